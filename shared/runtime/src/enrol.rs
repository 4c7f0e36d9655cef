//! Enrolment: how a device without a certificate gets one, once.
//!
//! It has a protocol of its own on the centre's port, on which nothing else can be said: one
//! request on one stream, one reply on another, each a single frame. The device knows the centre
//! by the fingerprint in its code before it says anything; the centre knows the device by the
//! token alone, which the authority redeems once.

use std::{fmt, sync::Arc};

use node::{
    names::{DeviceId, Reason, limits::SIGNED_BYTES_MAX},
    protocol::{
        DeviceKey, PublicKey,
        directory::{Directory, HandedInLine},
        enrol::{EnrolAnswer, EnrolReply, EnrolRequest, EnrolmentCode},
    },
};
use quinn::{Connection, SendStream};
use rustls_pki_types::UnixTime;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    certificate::fingerprint,
    limits::{ENROLMENT_MAX, FLUSH_MAX, STRANGER_SILENT_MAX},
    link::{read_frame, write_frame},
    quic::{Dialler, client_config, close},
    shell, tls,
};

/// What the authority does for devices that are not in a conversation: at the centre alone. Each
/// is called on a thread that may block, never on the node's own.
pub trait Redeem: Send + Sync + 'static {
    /// Uses a token up and makes the device known under `name`; answers all that the device
    /// needs. Called on a thread that may block, never on the node's own. The caller has proved
    /// that it holds `key`.
    ///
    /// # Errors
    /// [`Reason::NotAllowed`] for a token that is unknown, used or expired: never which.
    fn redeem(&self, token: [u8; 16], key: PublicKey, name: &str) -> Result<EnrolAnswer, Reason>;

    /// Makes a device that is known another certificate: its chain. The caller has proved that it
    /// holds `key`, and that it is not revoked.
    ///
    /// # Errors
    /// Why it gets none.
    fn renew(&self, key: PublicKey) -> Result<Vec<Vec<u8>>, Reason>;

    /// Which of these stretches are not here. The caller has proved that it is a device that was
    /// revoked.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn lacking(&self, lines: Vec<HandedInLine>) -> Result<Vec<HandedInLine>, Reason>;

    /// Keeps what a revoked device hands in, unread; it is on disk when this answers.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] when more waits than is kept of one device, or why it is not on disk.
    fn review(&self, device: DeviceId, part: Vec<u8>) -> Result<(), Reason>;

    /// Notes that a revoked device has destroyed its keys; it is on disk when this answers.
    ///
    /// # Errors
    /// Why it is not.
    fn purged(&self, device: DeviceId) -> Result<(), Reason>;
}

/// Why a device could not be enrolled.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EnrolError {
    /// The code has expired.
    Expired,
    /// The centre could not be reached: why, at the last of its addresses.
    Unreachable(&'static str),
    /// The centre refused.
    Refused(Reason),
    /// The conversation broke off.
    BrokenOff,
    /// What the centre answered does not fit the code or the device.
    BadAnswer(&'static str),
}

impl fmt::Display for EnrolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnrolError::Expired => f.write_str(
                "the code has expired: ask for a new one (or check this machine's clock)",
            ),
            EnrolError::Unreachable(why) => write!(
                f,
                "the centre is not reached ({why}): check the network, and that UDP to the \
                 centre's port is let through"
            ),
            EnrolError::Refused(Reason::NotAllowed) => f.write_str(
                "the centre does not take this code: another device has used it, it has expired, \
                 or this device is known as another site's; ask for a new one",
            ),
            EnrolError::Refused(reason) => {
                write!(f, "the centre refuses ({reason}): {}", reason.words())
            }
            EnrolError::BrokenOff => f.write_str(
                "the conversation with the centre broke off: try again with the same folder and \
                 the same code; it still lets this very device in",
            ),
            EnrolError::BadAnswer(what) => {
                write!(
                    f,
                    "the centre's answer cannot be used ({what}): tell its operator"
                )
            }
        }
    }
}

impl std::error::Error for EnrolError {}

/// Enrols a device with a code. Nothing is kept here: the answer is for
/// [`Material::enrolled`](crate::Material::enrolled). The key should be on disk before: the code is
/// good for the device that used it, and for no other.
///
/// # Errors
/// [`EnrolError`] says what is wrong and what to do.
pub async fn enrol(
    code: &EnrolmentCode,
    key: &DeviceKey,
    name: &str,
) -> Result<EnrolAnswer, EnrolError> {
    if code.expires <= shell::now() {
        return Err(EnrolError::Expired);
    }
    let config = tls::enrolling(code.ca).and_then(client_config);
    let config = config.map_err(|_| EnrolError::BadAnswer("TLS cannot be set up"))?;
    let dialler = Dialler::new(config);
    let connection = dialler
        .dial(&code.addresses)
        .await
        .map_err(EnrolError::Unreachable)?;
    let request = EnrolRequest::sign(key, code.token.clone(), name.to_owned());
    let reply = timeout(ENROLMENT_MAX, exchange(&connection, &request.encode())).await;
    let reply = reply.unwrap_or(None);
    close(&connection, Reason::Stopping);
    for endpoint in dialler.endpoints() {
        let _ = timeout(FLUSH_MAX, endpoint.wait_idle()).await;
    }
    let reply = EnrolReply::decode(&reply.ok_or(EnrolError::BrokenOff)?);
    match reply.map_err(|_| EnrolError::BadAnswer("it is not one"))? {
        EnrolReply::Refused(reason) => Err(EnrolError::Refused(reason)),
        EnrolReply::Enrolled(answer) => check(code, key, &answer).map(|()| *answer),
    }
}

async fn exchange(connection: &Connection, request: &[u8]) -> Option<Vec<u8>> {
    let mut asking = connection.open_uni().await.ok()?;
    write_frame(&mut asking, request).await.ok()?;
    asking.finish().ok()?;
    let mut answering = connection.accept_uni().await.ok()?;
    read_frame(&mut answering).await.ok()?
}

/// Whether an answer is what the code promised, and enough to work with.
fn check(code: &EnrolmentCode, key: &DeviceKey, answer: &EnrolAnswer) -> Result<(), EnrolError> {
    if fingerprint(&answer.ca) != code.ca {
        return Err(EnrolError::BadAnswer("another authority's certificate"));
    }
    tls::check_device(&key.public(), &answer.chain, &answer.ca, UnixTime::now())
        .map_err(|_| EnrolError::BadAnswer("a certificate that is not for this device"))?;
    let mut directory = Directory::new(answer.tenant, answer.authority);
    for statement in &answer.statements {
        directory
            .admit(statement)
            .map_err(|_| EnrolError::BadAnswer("a statement that is not the authority's"))?;
    }
    if directory.device(&key.device_id()).is_none() {
        return Err(EnrolError::BadAnswer("a directory without this device"));
    }
    Ok(())
}

/// The centre's side of one enrolment. It takes one of `places` once the device has said what it
/// wants: whoever says nothing keeps nobody from enrolling.
pub(crate) async fn receive(
    connection: Connection,
    authority: Arc<dyn Redeem>,
    places: Arc<Semaphore>,
) {
    let served = timeout(ENROLMENT_MAX, serve(&connection, authority, places)).await;
    let reason = match served {
        Ok(Some(())) => Reason::Stopping,
        Ok(None) => Reason::Malformed,
        Err(_) => Reason::PeerTooSlow,
    };
    close(&connection, reason);
}

async fn serve(
    connection: &Connection,
    authority: Arc<dyn Redeem>,
    places: Arc<Semaphore>,
) -> Option<()> {
    let asked = async {
        let mut asking = connection.accept_uni().await.ok()?;
        read_frame(&mut asking).await.ok()?
    };
    let asked = timeout(STRANGER_SILENT_MAX, asked).await.ok()??;
    let place = places.acquire_owned().await.ok()?;
    let reply = tokio::task::spawn_blocking(move || {
        let _place = place;
        redeem(&asked, &*authority)
    });
    let reply = reply.await.ok()?;
    let mut answering: SendStream = connection.open_uni().await.ok()?;
    write_frame(&mut answering, &reply.encode()).await.ok()?;
    answering.finish().ok()?;
    // The connection must not end before the device has its answer.
    answering.stopped().await.ok()?;
    Some(())
}

fn redeem(asked: &[u8], authority: &dyn Redeem) -> EnrolReply {
    let request = if asked.len() > SIGNED_BYTES_MAX {
        Err(Reason::TooLarge)
    } else {
        EnrolRequest::decode(asked)
    };
    let redeemed = request.and_then(|request| {
        request.verify()?;
        let device = node::protocol::signed::device_id(&request.key);
        let answer = authority.redeem(request.token.0, request.key, &request.name);
        match &answer {
            Ok(_) => tracing::info!(%device, "a device was enrolled"),
            Err(reason) => tracing::warn!(%device, %reason, "an enrolment was refused"),
        }
        answer
    });
    redeemed.map_or_else(EnrolReply::Refused, |answer| {
        EnrolReply::Enrolled(Box::new(answer))
    })
}
