//! Mutual TLS: who may speak to whom, and by which of two protocols.
//!
//! TLS 1.3 alone, no session tickets, no early data: a resumed session would skip the look at the
//! client's certificate, and with it at who is still known. Trust hangs on one pinned authority,
//! on no list of the operating system's and on no name in an address.
//!
//! Three protocols are offered on one port: one for devices with a certificate, one for a device
//! that has none yet, and can do nothing but enrol, and a narrow one for devices whose certificate
//! has ended, has not begun or whose rights were taken away. TLS decides the protocol and the
//! certificate in one handshake, and lets nobody say which of the two it is to judge by; so a
//! certificate out of its time passes the handshake, and the two are put together afterwards,
//! before a byte is read, in [`admit`] and nowhere else.

use std::{fmt, sync::Arc, time::Duration};

use node::{
    names::{Moment, Reason},
    protocol::{DeviceKey, PublicKey, enrol::Fingerprint},
};
use rustls::{
    CertificateError as TlsCertificateError, ClientConfig, DigitallySignedStruct,
    DistinguishedName, Error, OtherError, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use any_time::{CentreAtAnyTime, DeviceAtAnyTime};

use crate::{
    certificate::{CENTRE_NAME, CertificateError, fingerprint, public_key, tls_key},
    limits::CA_DAYS,
};

/// Two nodes that know each other.
const ALPN_NODE: &[u8] = b"ridgeway/1";
/// A device asks to be made known.
const ALPN_ENROL: &[u8] = b"ridgeway-enrol/1";

/// A device says what it may still say that is let in nowhere else.
const ALPN_NARROW: &[u8] = b"ridgeway-narrow/1";

/// Why no TLS configuration could be made, or a peer not let in.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or key is not usable.
    Certificate(CertificateError),
    /// The library refused the parts.
    Setup,
    /// The peer settled on no protocol of ours.
    NoProtocol,
    /// The peer showed no certificate where one is needed.
    NoCertificate,
    /// The certificate shown does not hold at this time.
    NotNow,
}

impl TlsError {
    /// What the peer is told.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            TlsError::NotNow => Reason::Expired,
            TlsError::Certificate(_)
            | TlsError::Setup
            | TlsError::NoProtocol
            | TlsError::NoCertificate => Reason::NotAllowed,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Certificate(error) => error.fmt(f),
            TlsError::Setup => {
                f.write_str("the certificates do not fit together: enrol the device again")
            }
            TlsError::NoProtocol => f.write_str("the peer speaks no protocol of ours"),
            TlsError::NoCertificate => f.write_str("the peer showed no certificate of ours"),
            TlsError::NotNow => f.write_str("the peer's certificate does not hold at this time"),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<CertificateError> for TlsError {
    fn from(error: CertificateError) -> TlsError {
        TlsError::Certificate(error)
    }
}

/// A peer that the handshake let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admitted {
    /// A node that proved to hold this key.
    Node(PublicKey),
    /// A device that proved to hold this key, and may say four things.
    Narrow(PublicKey),
    /// Somebody who may only enrol.
    Enrol,
}

/// Puts together what the handshake settled: the protocol, and the certificates shown (which TLS
/// has verified against the pinned authority, at whatever time). The one place that decides what a
/// peer may do. A side that answers says by which authority, and what time it is; one that dialled
/// has had all of it verified.
///
/// # Errors
/// [`TlsError::NoProtocol`], [`TlsError::NoCertificate`] for a node without one, or
/// [`TlsError::NotNow`] for one whose time is not now.
pub(crate) fn admit(
    alpn: Option<&[u8]>,
    certificates: Option<&[CertificateDer<'_>]>,
    answers: Option<(&[u8], UnixTime)>,
) -> Result<Admitted, TlsError> {
    let shown = certificates.and_then(<[_]>::split_first);
    let shown = shown.and_then(|(own, between)| Some((public_key(own)?, own, between)));
    match alpn {
        Some(ALPN_NODE) => {
            let (key, own, between) = shown.ok_or(TlsError::NoCertificate)?;
            if let Some((ca, now)) = answers {
                let checked = device_verifier(ca)?.verify_client_cert(own, between, now);
                checked.map_err(|_| TlsError::NotNow)?;
            }
            Ok(Admitted::Node(key))
        }
        Some(ALPN_NARROW) => {
            let (key, ..) = shown.ok_or(TlsError::NoCertificate)?;
            Ok(Admitted::Narrow(key))
        }
        Some(ALPN_ENROL) => Ok(Admitted::Enrol),
        Some(_) | None => Err(TlsError::NoProtocol),
    }
}

/// The centre's side of all protocols.
///
/// # Errors
/// When the certificate, its key and the authority do not fit together.
pub(crate) fn server(
    key: &DeviceKey,
    chain: &[Vec<u8>],
    ca: &[u8],
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        // Whoever enrols has none; `admit` asks everybody else for it.
        .allow_unauthenticated()
        .build()
        .map_err(|_| TlsError::Setup)?;
    let verifier = Arc::new(DeviceAtAnyTime(verifier));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| TlsError::Setup)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(shown(key, chain, ca)?));
    config.alpn_protocols = vec![
        ALPN_NODE.to_vec(),
        ALPN_ENROL.to_vec(),
        ALPN_NARROW.to_vec(),
    ];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// A device's side of the node protocol.
///
/// # Errors
/// When the certificate, its key and the authority do not fit together.
pub(crate) fn client(
    key: &DeviceKey,
    chain: &[Vec<u8>],
    ca: &[u8],
) -> Result<ClientConfig, TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .build()
        .map_err(|_| TlsError::Setup)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| TlsError::Setup)?
        .with_webpki_verifier(verifier)
        .with_client_cert_resolver(Arc::new(shown(key, chain, ca)?));
    Ok(without_memory(config, ALPN_NODE))
}

/// A device's side of the narrow protocol. Its clock may be wrong, so the centre's certificate may
/// be out of its time too; whose it is must be right.
///
/// # Errors
/// When the certificate, its key and the authority do not fit together.
pub(crate) fn narrow(
    key: &DeviceKey,
    chain: &[Vec<u8>],
    ca: &[u8],
) -> Result<ClientConfig, TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .build()
        .map_err(|_| TlsError::Setup)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(CentreAtAnyTime(verifier)))
        .with_client_cert_resolver(Arc::new(shown(key, chain, ca)?));
    Ok(without_memory(config, ALPN_NARROW))
}

/// A new device's side of the enrolment protocol, which knows the authority by its fingerprint
/// alone.
///
/// # Errors
/// [`TlsError::Setup`], which does not happen.
pub(crate) fn enrolling(ca: Fingerprint) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            ca,
            provider: provider(),
        }))
        .with_no_client_auth();
    Ok(without_memory(config, ALPN_ENROL))
}

/// Whom a client expects to meet.
pub(crate) fn centre_name() -> &'static str {
    CENTRE_NAME
}

/// Checks that a chain is for `key`, and by the authority: what a peer would check of us.
///
/// # Errors
/// When a peer would refuse it.
pub(crate) fn check_device(
    key: &PublicKey,
    chain: &[Vec<u8>],
    ca: &[u8],
    now: UnixTime,
) -> Result<(), TlsError> {
    let (own, between) = chain.split_first().ok_or(TlsError::NoCertificate)?;
    if public_key(own) != Some(*key) {
        return Err(CertificateError::NotOurs.into());
    }
    let verifier = device_verifier(ca)?;
    let between: Vec<CertificateDer<'_>> = between
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let checked = verifier.verify_client_cert(&CertificateDer::from(own.as_slice()), &between, now);
    checked
        .map(|_| ())
        .map_err(|_| CertificateError::NotOurs.into())
}

/// Until when a peer would take this chain, to the minute; none when it would not at `now`.
pub(crate) fn valid_until(
    key: &PublicKey,
    chain: &[Vec<u8>],
    ca: &[u8],
    now: Moment,
) -> Option<Moment> {
    const MINUTE: u64 = 60;
    let valid = |second: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(second));
        check_device(key, chain, ca, at).is_ok()
    };
    let mut last = u64::try_from(now.0).ok()? / 1_000;
    // No certificate outlives its authority.
    let mut after = last + CA_DAYS * 24 * 60 * MINUTE;
    if !valid(last) {
        return None;
    }
    while after - last > MINUTE {
        let middle = last + (after - last) / 2;
        if valid(middle) {
            last = middle;
        } else {
            after = middle;
        }
    }
    Some(Moment(i64::try_from(last * 1_000).ok()?))
}

/// Holds a device's certificate against the authority.
fn device_verifier(ca: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .build()
        .map_err(|_| TlsError::Setup)
}

fn without_memory(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(ca: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let added = roots.add(CertificateDer::from(ca));
    added.map_err(|_| TlsError::Certificate(CertificateError::NotOurs))?;
    Ok(roots)
}

/// What this side shows: its own certificate, those between, and the authority's, by which an
/// enrolling device recognises the centre.
fn shown(key: &DeviceKey, chain: &[Vec<u8>], ca: &[u8]) -> Result<SingleCertAndKey, TlsError> {
    if chain.first().and_then(|own| public_key(own)) != Some(key.public()) {
        return Err(CertificateError::NotOurs.into());
    }
    let all = chain.iter().map(Vec::as_slice).chain([ca]);
    let all = all.map(|der| CertificateDer::from(der.to_vec())).collect();
    Ok(SingleCertAndKey::from(CertifiedKey::new(
        all,
        tls_key(key)?,
    )))
}

/// Takes a server for the centre when its certificate is for the centre and by the authority with
/// this fingerprint, whose certificate the server shows along with its own.
#[derive(Debug)]
struct Pinned {
    ca: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(TlsCertificateError::UnknownIssuer);
        let ca = intermediates
            .iter()
            .find(|shown| fingerprint(shown) == self.ca);
        let roots = roots(ca.ok_or_else(unknown)?).map_err(|_| unknown())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        );
        let verifier = verifier
            .build()
            .map_err(|error| Error::Other(OtherError(Arc::new(error))))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 alone is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

mod any_time;

#[cfg(test)]
mod tests;
