//! Revocation, as the authority does it: a device's rights are taken away, and what it hands in
//! afterwards waits for a person.

use std::collections::BTreeMap;

use node::{
    Errand,
    names::{DeviceId, Reason},
    protocol::{
        Statement,
        directory::{HANDED_IN_LINES_MAX, HandedIn, Revocation, Revoked},
    },
};
use serde::Serialize;

use crate::authority::Authority;

/// What came of letting in what a device had handed in.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LetIn {
    /// Runs and placements that are new in the record; each is marked where it is shown.
    pub(crate) admitted: u64,
    /// Those that were there before.
    pub(crate) held: u64,
    /// Those that were not taken, by reason. Their parts stay in the queue.
    pub(crate) refused: BTreeMap<Reason, u64>,
}

impl Authority {
    /// Takes a device's rights away; its conversations end with the turn. Nothing takes it back.
    ///
    /// # Errors
    /// Why the statement was not kept.
    pub(crate) async fn revoke(&self, device: DeviceId, lost: bool) -> Result<Revoked, Reason> {
        let node = self.node()?;
        let known = node.directory().revoked(&device).copied();
        // It may be found out later that it is lost.
        if known.is_none_or(|known| lost && !known.is_lost()) {
            let held = node.written_until(device).await?;
            let revocation = Revocation { device, lost, held };
            self.state(Statement::DeviceRevoked(revocation)).await?;
        }
        let directory = node.directory();
        directory.revoked(&device).copied().ok_or(Reason::NotSaved)
    }

    /// Lets what a device has handed in into the record, through the same door as everything else.
    /// What is new there is named in a statement first, so that every node marks it alike.
    ///
    /// # Errors
    /// Why it could not be done; what was done before stays.
    pub(crate) async fn let_handed_in(&self, device: DeviceId) -> Result<LetIn, Reason> {
        let node = self.node()?;
        let mut all = LetIn::default();
        for (position, part) in node.handed_in(device).await? {
            let frame = match node.verify(part).await {
                Ok(frame) => frame,
                Err(reason) => {
                    *all.refused.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let new = node.beyond(frame.lines()).await?;
            for lines in new.chunks(HANDED_IN_LINES_MAX) {
                let lines = lines.to_vec();
                let said = HandedIn { device, lines };
                self.state(Statement::HandedIn(said)).await?;
            }
            let let_in = Errand::LetIn {
                device,
                position,
                frame: Box::new(frame),
            };
            let ran = node.errand(let_in).await?;
            all.admitted += ran.admitted;
            all.held += ran.held;
            for (reason, count) in ran.refused {
                *all.refused.entry(reason).or_default() += count;
            }
        }
        Ok(all)
    }
}
