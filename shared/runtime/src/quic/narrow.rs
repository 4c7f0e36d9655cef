//! The narrow protocol on a connection: one question on a stream, one answer on another, again
//! and again. The centre's side is here, and how either side says a frame.

use std::sync::Arc;

use node::{
    names::Reason,
    protocol::{
        PublicKey,
        narrow::{Answer, Ask, PartName, PurgeReceipt, Told},
        signed::device_id,
    },
};
use quinn::Connection;
use tokio::time::timeout;

use super::{Dialler, client_config, close};
use crate::{
    enrol::Redeem,
    hub::Hub,
    limits::{FLUSH_MAX, NARROW_ASKS_MAX, NARROW_MAX},
    link::{read_frame, write_frame},
    material::Material,
    shell, tls,
};

/// Asks one thing; none when the conversation broke off.
pub(super) async fn ask(connection: &Connection, ask: &Ask) -> Option<Answer> {
    let exchange = async {
        say(connection, &ask.encode()).await?;
        let mut answering = connection.accept_uni().await.ok()?;
        let answer = read_frame(&mut answering).await.ok()??;
        Answer::decode(&answer).ok()
    };
    timeout(NARROW_MAX, exchange).await.ok()?
}

/// Writes one frame on a stream of its own, and waits until the other side has it.
async fn say(connection: &Connection, frame: &[u8]) -> Option<()> {
    let mut stream = connection.open_uni().await.ok()?;
    write_frame(&mut stream, frame).await.ok()?;
    stream.finish().ok()?;
    stream.stopped().await.ok()?;
    Some(())
}

/// The centre's side, until the device has nothing more to ask.
pub(super) async fn serve(
    connection: Connection,
    peer: PublicKey,
    hub: &Arc<Hub>,
    authority: &Arc<dyn Redeem>,
) {
    let device = device_id(&peer);
    tracing::info!(%device, "a device is let in to the narrow protocol");
    for _ in 0..NARROW_ASKS_MAX {
        let asked = async {
            let mut asking = connection.accept_uni().await.ok()?;
            read_frame(&mut asking).await.ok()?
        };
        let Ok(Some(asked)) = timeout(NARROW_MAX, asked).await else {
            break;
        };
        let (hub, authority) = (Arc::clone(hub), Arc::clone(authority));
        let answer = tokio::task::spawn_blocking(move || answer(&asked, peer, &hub, &*authority));
        let answer = answer.await.unwrap_or(Answer::Refused(Reason::NotSaved));
        if let Answer::Refused(reason) = &answer {
            tracing::warn!(%device, %reason, "a device asked in vain on the narrow protocol");
        }
        if timeout(NARROW_MAX, say(&connection, &answer.encode())).await != Ok(Some(())) {
            break;
        }
    }
    close(&connection, Reason::Stopping);
}

fn answer(asked: &[u8], peer: PublicKey, hub: &Hub, authority: &dyn Redeem) -> Answer {
    let answered = Ask::decode(asked).and_then(|ask| try_answer(ask, peer, hub, authority));
    answered.unwrap_or_else(Answer::Refused)
}

fn try_answer(
    ask: Ask,
    peer: PublicKey,
    hub: &Hub,
    authority: &dyn Redeem,
) -> Result<Answer, Reason> {
    let (device, directory) = (device_id(&peer), hub.directory());
    // The authority has signed its certificate, so it knows the device; if the directory does not,
    // the centre was restored and has to hear of it first.
    directory.signer(&device)?;
    let revoked = directory.is_revoked(&device);
    match ask {
        Ask::Time => Ok(Answer::Time(Told {
            now: shell::now(),
            revoked: directory.revocation(&device),
        })),
        Ask::Renew if revoked => Err(Reason::Revoked),
        Ask::Renew => authority.renew(peer).map(Answer::Renewed),
        // Everybody else synchronises.
        Ask::Lacking(_) | Ask::HandIn(_) | Ask::Purged(_) if !revoked => Err(Reason::NotAllowed),
        Ask::Lacking(lines) => authority.lacking(lines).map(Answer::Lacking),
        Ask::HandIn(part) => {
            let name = PartName::of(&part);
            authority.review(device, part)?;
            tracing::info!(%device, %name, "a revoked device has handed something in");
            Ok(Answer::Received(name))
        }
        Ask::Purged(receipt) => {
            if receipt.verify(&directory.tenant())? != device {
                return Err(Reason::NotAllowed);
            }
            authority.purged(device)?;
            tracing::info!(%device, "a revoked device has destroyed its keys");
            Ok(Answer::Noted)
        }
    }
}

/// Tells the centre that a device's keys are destroyed. The material is the last that is known of
/// it, in memory.
///
/// # Errors
/// Why the centre does not know it now.
pub async fn tell_purged(
    material: &Material,
    centre: &[String],
    receipt: PurgeReceipt,
) -> Result<(), &'static str> {
    let config = tls::narrow(&material.device, &material.chain, &material.ca);
    let config = config.and_then(client_config);
    let dialler = Dialler::new(config.map_err(|_| "TLS cannot be set up")?);
    let connection = dialler.dial(centre).await?;
    let answer = ask(&connection, &Ask::Purged(receipt)).await;
    close(&connection, Reason::Stopping);
    for endpoint in dialler.endpoints() {
        let _ = timeout(FLUSH_MAX, endpoint.wait_idle()).await;
    }
    match answer {
        Some(Answer::Noted) => Ok(()),
        Some(Answer::Refused(reason)) => Err(reason.words()),
        Some(Answer::Time(_) | Answer::Renewed(_) | Answer::Lacking(_) | Answer::Received(_)) => {
            Err("the centre's answer is not one")
        }
        None => Err("the conversation broke off"),
    }
}
