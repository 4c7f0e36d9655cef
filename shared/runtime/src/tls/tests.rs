//! The matrix of who may speak to whom, with both ends in memory: no socket is needed to see what
//! a handshake decides.

#![allow(clippy::unwrap_used)]

use rustls::{ClientConnection, HandshakeKind, ServerConnection};

use super::*;
use crate::{
    certificate::{CertificateAuthority, Purpose},
    shell,
};

/// An organisation: its authority and its centre.
struct Organisation {
    authority: CertificateAuthority,
    centre: ServerConfig,
}

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32])
}

fn organisation(seed: u8) -> Organisation {
    let now = shell::now();
    let authority = CertificateAuthority::create(&key(seed), now).unwrap();
    let own = key(seed + 1);
    let chain = vec![authority.issue_centre(&own.public(), now).unwrap()];
    let centre = server(&own, &chain, authority.certificate()).unwrap();
    Organisation { authority, centre }
}

impl Organisation {
    fn device(&self, seed: u8) -> Vec<Vec<u8>> {
        vec![
            self.authority
                .issue_device(&key(seed).public(), shell::now())
                .unwrap(),
        ]
    }

    fn client(&self, seed: u8) -> ClientConfig {
        client(&key(seed), &self.device(seed), self.authority.certificate()).unwrap()
    }

    fn meet(&self, client: &ClientConfig) -> Result<Admitted, String> {
        let server = Arc::new(self.centre.clone());
        let ca = self.authority.certificate();
        meet(&server, &Arc::new(client.clone()), ca).map(|(admitted, _, _)| admitted)
    }
}

/// A whole handshake, and what it lets the client do; or who refused, and why.
fn meet(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    ca: &[u8],
) -> Result<(Admitted, Option<HandshakeKind>, u32), String> {
    let name = ServerName::try_from(centre_name()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server
                .process_new_packets()
                .map_err(|error| format!("server: {error:?}"))?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client
                .process_new_packets()
                .map_err(|error| format!("client: {error:?}"))?;
        }
    }
    let now = Some((ca, UnixTime::now()));
    let admitted = admit(server.alpn_protocol(), server.peer_certificates(), now);
    let admitted = admitted.map_err(|error| format!("admit: {error:?}"))?;
    Ok((
        admitted,
        server.handshake_kind(),
        client.tls13_tickets_received(),
    ))
}

#[track_caller]
fn assert_refused(met: Result<Admitted, String>, by: &str, why: &str) {
    let refused = met.expect_err("the handshake should have failed");
    assert!(
        refused.starts_with(by) && refused.contains(why),
        "refused by {refused}"
    );
}

#[test]
fn a_device_of_the_organisation_is_known_by_its_key() {
    let ours = organisation(1);
    assert_eq!(
        ours.meet(&ours.client(9)),
        Ok(Admitted::Node(key(9).public()))
    );
}

#[test]
fn another_organisations_device_is_refused() {
    let (ours, other) = (organisation(1), organisation(3));
    // It trusts our centre, but its certificate is by its own authority.
    let client = client(&key(9), &other.device(9), ours.authority.certificate()).unwrap();
    assert_refused(ours.meet(&client), "server", "BadSignature");
}

#[test]
fn another_organisations_centre_is_refused() {
    let (ours, other) = (organisation(1), organisation(3));
    assert_refused(other.meet(&ours.client(9)), "client", "BadSignature");
}

#[test]
fn a_node_without_a_certificate_is_refused() {
    let ours = organisation(1);
    let mut nobody = enrolling(ours.authority.fingerprint()).unwrap();
    nobody.alpn_protocols = vec![ALPN_NODE.to_vec()];
    assert_refused(ours.meet(&nobody), "admit", "NoCertificate");
}

#[test]
fn an_expired_certificate_is_refused() {
    let ours = organisation(1);
    let long_ago = shell::now().plus_ms(-500 * 24 * 60 * 60 * 1_000);
    let chain = vec![
        ours.authority
            .issue_device(&key(9).public(), long_ago)
            .unwrap(),
    ];
    let ca = ours.authority.certificate();
    let client = client(&key(9), &chain, ca).unwrap();
    assert_refused(ours.meet(&client), "admit", "NotNow");
    let narrow = narrow(&key(9), &chain, ca).unwrap();
    assert_eq!(ours.meet(&narrow), Ok(Admitted::Narrow(key(9).public())));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused() {
    let ours = organisation(1);
    let some_day = shell::now().plus_ms(10 * 24 * 60 * 60 * 1_000);
    let chain = vec![
        ours.authority
            .issue_device(&key(9).public(), some_day)
            .unwrap(),
    ];
    let ca = ours.authority.certificate();
    let client = client(&key(9), &chain, ca).unwrap();
    assert_refused(ours.meet(&client), "admit", "NotNow");
    let narrow = narrow(&key(9), &chain, ca).unwrap();
    assert_eq!(ours.meet(&narrow), Ok(Admitted::Narrow(key(9).public())));
}

#[test]
fn time_is_all_that_the_narrow_protocol_overlooks() {
    let (ours, other) = (organisation(1), organisation(3));
    let long_ago = shell::now().plus_ms(-500 * 24 * 60 * 60 * 1_000);
    let issue = |whose: &Organisation, purpose| {
        let issued = whose
            .authority
            .issue(&key(9).public(), long_ago, 60, purpose);
        vec![issued.unwrap()]
    };
    let ca = ours.authority.certificate();
    let dials = |chain: &[Vec<u8>]| ours.meet(&narrow(&key(9), chain, ca).unwrap());
    assert!(dials(&issue(&ours, Purpose::Device)).is_ok());
    assert!(dials(&issue(&ours, Purpose::Centre)).is_err());
    assert!(dials(&issue(&other, Purpose::Device)).is_err());
    // And the same of the centre: another one is not taken for ours, whatever the clock says.
    let elsewhere = narrow(&key(9), &ours.device(9), ca).unwrap();
    assert_refused(other.meet(&elsewhere), "client", "BadSignature");
    let own = key(2);
    let old = vec![
        ours.authority
            .issue(&own.public(), long_ago, 60, Purpose::Centre)
            .unwrap(),
    ];
    let config = server(&own, &old, ca).unwrap();
    let strict = client(&key(9), &ours.device(9), ca).unwrap();
    let asleep = Organisation {
        centre: config,
        ..organisation(1)
    };
    assert_refused(asleep.meet(&strict), "client", "Expired");
    assert!(asleep.meet(&elsewhere).is_ok());
}

#[test]
fn the_end_of_a_certificate_is_known_to_the_minute() {
    let (ours, now) = (organisation(1), shell::now());
    let chain = ours.device(9);
    let ends = |at| valid_until(&key(9).public(), &chain, ours.authority.certificate(), at);
    let days = i64::try_from(crate::limits::CERTIFICATE_DAYS).unwrap();
    let end = now.plus_ms(days * 24 * 60 * 60 * 1_000);
    let found = ends(now).unwrap();
    assert!((end.0 - found.0).abs() <= 2 * 60 * 1_000, "{found:?}");
    assert_eq!(ends(end.plus_ms(120_000)), None);
}

#[test]
fn a_device_cannot_pass_for_the_centre() {
    let ours = organisation(1);
    let stolen = ours.device(9);
    let config = server(&key(9), &stolen, ours.authority.certificate()).unwrap();
    let thief = Organisation {
        centre: config,
        ..organisation(1)
    };
    assert_refused(thief.meet(&ours.client(10)), "client", "Purpose");
    let new = enrolling(ours.authority.fingerprint()).unwrap();
    assert_refused(thief.meet(&new), "client", "Purpose");
}

#[test]
fn a_certificate_for_servers_is_none_for_clients() {
    let ours = organisation(1);
    let chain = ours
        .authority
        .issue(&key(9).public(), shell::now(), 1, Purpose::Centre)
        .unwrap();
    let client = client(&key(9), &[chain], ours.authority.certificate()).unwrap();
    assert_refused(ours.meet(&client), "server", "Purpose");
}

#[test]
fn a_certificate_is_shown_only_with_its_own_key() {
    let ours = organisation(1);
    let shown = client(&key(8), &ours.device(9), ours.authority.certificate());
    assert_eq!(
        shown.err(),
        Some(TlsError::Certificate(CertificateError::NotOurs))
    );
    let (now, ca) = (UnixTime::now(), ours.authority.certificate());
    assert_eq!(
        check_device(&key(9).public(), &ours.device(9), ca, now),
        Ok(())
    );
    assert!(check_device(&key(8).public(), &ours.device(9), ca, now).is_err());
    let other = organisation(3);
    assert!(check_device(&key(9).public(), &other.device(9), ca, now).is_err());
}

#[test]
fn a_new_device_may_enrol_and_nothing_else() {
    let ours = organisation(1);
    let new = enrolling(ours.authority.fingerprint()).unwrap();
    assert_eq!(ours.meet(&new), Ok(Admitted::Enrol));
    let mut both = new.clone();
    both.alpn_protocols = vec![ALPN_ENROL.to_vec(), ALPN_NODE.to_vec()];
    assert_refused(ours.meet(&both), "admit", "NoCertificate");
    let mut neither = new;
    neither.alpn_protocols = vec![b"h3".to_vec()];
    assert_refused(ours.meet(&neither), "server", "NoApplicationProtocol");
}

#[test]
fn a_code_of_another_authority_is_noticed() {
    let (ours, other) = (organisation(1), organisation(3));
    let lured = enrolling(other.authority.fingerprint()).unwrap();
    assert_refused(ours.meet(&lured), "client", "UnknownIssuer");
}

#[test]
fn showing_the_pinned_authority_is_not_enough() {
    // A stranger shows our authority's certificate, which is no secret, behind its own.
    let (ours, other) = (organisation(1), organisation(3));
    let own = key(5);
    let chain = vec![
        other
            .authority
            .issue_centre(&own.public(), shell::now())
            .unwrap(),
    ];
    let config = server(&own, &chain, ours.authority.certificate()).unwrap();
    let stranger = Organisation {
        centre: config,
        ..other
    };
    let new = enrolling(ours.authority.fingerprint()).unwrap();
    assert_refused(stranger.meet(&new), "client", "BadSignature");
}

#[test]
fn no_session_is_ever_resumed() {
    let ours = organisation(1);
    let server = Arc::new(ours.centre.clone());
    let mut willing = ours.client(9);
    // Even a client that would keep tickets gets none.
    willing.resumption = Resumption::in_memory_sessions(8);
    let willing = Arc::new(willing);
    for _ in 0..2 {
        let (admitted, kind, tickets) =
            meet(&server, &willing, ours.authority.certificate()).unwrap();
        assert_eq!(admitted, Admitted::Node(key(9).public()));
        assert_eq!((kind, tickets), (Some(HandshakeKind::Full), 0));
    }
}
