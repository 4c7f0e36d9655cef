//! The device's side of the narrow protocol: it asks how it stands, gets another certificate, and
//! hands in what the centre lacks when it is revoked.

use std::sync::Arc;

use node::{
    Errand,
    names::Reason,
    protocol::{
        DeviceKey,
        directory::HandedInLine,
        narrow::{Answer, Ask, LACKING_LINES_MAX, PartName, Told},
    },
};
use quinn::Connection;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

use super::{Dialler, client_config, close, narrow};
use crate::{
    handle::Handle,
    hub::Hub,
    limits::{CLOCK_OFF_MS, RENEW_DAYS, RENEW_LOOK},
    material::{self, Material},
    own::Leaving,
    shell,
    tls::{self, TlsError},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How a device asks, and what it asks for.
pub(crate) struct Consult {
    key: DeviceKey,
    ca: Vec<u8>,
    centre: Vec<String>,
    narrow: Dialler,
    main: Arc<Dialler>,
    handle: Handle,
    hub: Arc<Hub>,
    /// Held while it asks: one question at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Consult {
    /// # Errors
    /// When the certificates do not fit together.
    pub(crate) fn new(
        material: &Material,
        centre: Vec<String>,
        main: Arc<Dialler>,
        handle: Handle,
        hub: Arc<Hub>,
    ) -> Result<Consult, TlsError> {
        let Material {
            device, chain, ca, ..
        } = material;
        let narrow = Dialler::new(client_config(tls::narrow(device, chain, ca)?)?);
        hub.own.certify(material.certificate_ends(shell::now()));
        Ok(Consult {
            key: DeviceKey::from_seed(&device.seed()),
            ca: ca.clone(),
            centre,
            narrow,
            main,
            handle,
            hub,
            asking: tokio::sync::Mutex::new(()),
        })
    }

    /// Whether the certificate is past half its life.
    pub(crate) fn is_due(&self) -> bool {
        let days = i64::try_from(RENEW_DAYS).unwrap_or(i64::MAX);
        let soon = shell::now().plus_ms(days * DAY_MS);
        self.hub
            .own
            .certificate_ends()
            .is_none_or(|ends| ends < soon)
    }

    /// Asks how this device stands, and does what follows.
    pub(crate) async fn ask(&self) {
        let _one_at_a_time = self.asking.lock().await;
        // A command that only looks at the folder calls nobody.
        if self.centre.is_empty() || self.hub.own.leaving().is_some() {
            return;
        }
        if let Err(why) = self.try_ask().await {
            tracing::warn!(why, "the narrow protocol came to nothing");
            // A renewal that failed beside a conversation that goes on is no want of reach.
            if self.hub.links().is_empty() {
                self.hub.note_dial(Some(why));
            }
        }
    }

    async fn try_ask(&self) -> Result<(), &'static str> {
        let connection = self.narrow.dial(&self.centre).await?;
        let asked = self.ask_on(&connection).await;
        close(&connection, Reason::Stopping);
        asked
    }

    async fn ask_on(&self, connection: &Connection) -> Result<(), &'static str> {
        let told = match narrow::ask(connection, &Ask::Time).await {
            Some(Answer::Time(told)) => told,
            other => return Err(not_done(other)),
        };
        if told.now.0.abs_diff(shell::now().0) > CLOCK_OFF_MS {
            tracing::warn!("this machine's clock and the centre's differ by more than ten minutes");
        }
        if !told.revoked.is_empty() {
            return self.leave(connection, told).await;
        }
        if self.is_due() {
            self.renew(connection).await?;
        }
        Ok(())
    }

    /// Gets another certificate. It is on disk before it is used.
    async fn renew(&self, connection: &Connection) -> Result<(), &'static str> {
        let chain = match narrow::ask(connection, &Ask::Renew).await {
            Some(Answer::Renewed(chain)) => chain,
            other => return Err(not_done(other)),
        };
        tls::check_device(&self.key.public(), &chain, &self.ca, UnixTime::now())
            .map_err(|_| "the new certificate does not hold here: look at this machine's clock")?;
        let keep = Errand::Keep {
            name: material::CHAIN,
            values: chain.clone(),
        };
        self.handle.errand(keep).await.map_err(Reason::words)?;
        let config = |made: Result<_, TlsError>| {
            made.and_then(client_config)
                .map_err(|_| "the new certificate cannot be used")
        };
        let main = config(tls::client(&self.key, &chain, &self.ca))?;
        let narrow = config(tls::narrow(&self.key, &chain, &self.ca))?;
        self.main.reconfigure(main);
        self.narrow.reconfigure(narrow);
        let now = shell::now();
        let ends = tls::valid_until(&self.key.public(), &chain, &self.ca, now);
        self.hub.own.certify(ends);
        tracing::info!("the certificate was renewed");
        Ok(())
    }

    /// This device is revoked: it takes that in, whereupon nobody can write on it any more, hands
    /// in what the centre lacks, unless it is lost, and asks its node to stop. Its keys are the
    /// program's to destroy. While it holds something that the centre lacks and that cannot be read
    /// it does not go: a copy may be saved, and only a person can say that it is lost.
    async fn leave(&self, connection: &Connection, told: Told) -> Result<(), &'static str> {
        for statement in told.revoked {
            // What is not the authority's is refused here.
            self.handle.state(statement).await.map_err(Reason::words)?;
        }
        let device = self.key.device_id();
        let revoked = self.handle.directory().revoked(&device).copied();
        let revoked =
            revoked.ok_or("the centre's word that this device is revoked is not signed")?;
        let mut leaving = Leaving {
            at: revoked.at,
            lost: revoked.is_lost(),
            parts: 0,
            bytes: 0,
        };
        tracing::warn!(lost = leaving.lost, "this device was revoked");
        if !leaving.lost {
            let unread = self.hand_in(connection, &mut leaving).await?;
            if unread > 0 {
                tracing::error!(
                    documents = unread,
                    "what the centre lacks of these cannot be read here: the keys are kept"
                );
                return Err(
                    "this device is revoked, and cannot read all that the centre lacks: \
                            look at its log and run `verify`; `device revoke ID --lost` at the \
                            centre ends it as it is",
                );
            }
        }
        self.hub.own.leave(leaving);
        self.handle.stop();
        Ok(())
    }
}

impl Consult {
    /// Hands in what the centre lacks; answers of how many documents something could not be read.
    async fn hand_in(
        &self,
        connection: &Connection,
        leaving: &mut Leaving,
    ) -> Result<u64, &'static str> {
        let holding = self.handle.holding().await.map_err(Reason::words)?;
        let mut unread = holding.unread;
        let mut asked_for = Vec::new();
        for lines in questions(&holding.lines) {
            let lacking = match narrow::ask(connection, &Ask::Lacking(lines)).await {
                Some(Answer::Lacking(lacking)) => lacking,
                other => return Err(not_done(other)),
            };
            asked_for.extend_from_slice(&lacking);
            let lacking = self.handle.lacking(lacking).await.map_err(Reason::words)?;
            unread += lacking.unread;
            hand_over(connection, lacking.parts, leaving).await?;
        }
        let device = self.hub.whoami.device;
        let more = self.handle.unanswered(device, asked_for).await;
        let more = more.map_err(Reason::words)?;
        hand_over(connection, more.parts, leaving).await?;
        // Both count the same damage; more than nothing is what matters.
        Ok(unread.max(more.unread))
    }
}

/// Hands in these parts, one after another.
async fn hand_over(
    connection: &Connection,
    parts: Vec<Vec<u8>>,
    leaving: &mut Leaving,
) -> Result<(), &'static str> {
    for part in parts {
        let (name, bytes) = (PartName::of(&part), part.len() as u64);
        match narrow::ask(connection, &Ask::HandIn(part)).await {
            Some(Answer::Received(received)) if received == name => {}
            Some(Answer::Refused(Reason::TooLarge)) => {
                return Err(
                    "the centre keeps no more of this device unread: it goes on when somebody \
                     there has said `device accept`",
                );
            }
            other => return Err(not_done(other)),
        }
        leaving.parts += 1;
        leaving.bytes += bytes;
    }
    Ok(())
}

/// As many lines as a question may have, those of one document together: what is handed in of it
/// builds on itself.
fn questions(lines: &[HandedInLine]) -> Vec<Vec<HandedInLine>> {
    let mut questions: Vec<Vec<HandedInLine>> = Vec::new();
    for of in lines.chunk_by(|one, other| one.document == other.document) {
        match questions.last_mut() {
            Some(last) if last.len() + of.len() <= LACKING_LINES_MAX => last.extend(of),
            Some(_) | None => questions.extend(of.chunks(LACKING_LINES_MAX).map(<[_]>::to_vec)),
        }
    }
    questions
}

impl std::fmt::Debug for Consult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consult({})", self.key.device_id())
    }
}

fn not_done(answer: Option<Answer>) -> &'static str {
    match answer {
        Some(Answer::Refused(reason)) => reason.words(),
        Some(
            Answer::Time(_)
            | Answer::Renewed(_)
            | Answer::Lacking(_)
            | Answer::Received(_)
            | Answer::Noted,
        ) => "the centre's answer is not one",
        None => "the conversation broke off",
    }
}

/// Looks now and then whether the certificate should be renewed, for as long as the node runs.
pub(crate) async fn keep_renewed(consult: Arc<Consult>) {
    let mut life = consult.hub.life.subscribe();
    while consult.hub.is_running() {
        if consult.is_due() {
            consult.ask().await;
        }
        tokio::select! {
            () = sleep(RENEW_LOOK) => {}
            _ = life.wait_for(|life| *life != crate::hub::Life::Running) => return,
        }
    }
}
