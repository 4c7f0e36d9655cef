//! Revocation, as the authority does it: a device's rights are taken away, and what it hands in
//! afterwards waits for a person, who lets it in or discards it.

use std::{collections::BTreeMap, sync::Arc};

use node::{
    Errand,
    names::{DeviceId, Reason},
    protocol::{
        Statement,
        directory::{HANDED_IN_LINES_MAX, HandedIn, Revocation, Revoked},
    },
    review::Waiting,
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
    pub(crate) async fn revoke(
        self: &Arc<Self>,
        device: DeviceId,
        lost: bool,
    ) -> Result<Revoked, Reason> {
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
    /// What is new there of the device's own is named in a statement first, so that every node
    /// marks it alike. A part that is not taken stays, and stops none of the others.
    ///
    /// # Errors
    /// Why it could not be done; what was done before stays.
    pub(crate) async fn let_handed_in(self: &Arc<Self>, device: DeviceId) -> Result<LetIn, Reason> {
        let node = self.node()?;
        let mut all = LetIn::default();
        let kept = node.handed_in(device).await?;
        if kept.unread > 0 {
            all.refused.insert(Reason::CannotOpen, kept.unread);
        }
        for (position, part) in kept.parts {
            let frame = match node.verify(part).await {
                Ok(frame) => frame,
                Err(reason) => {
                    *all.refused.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let new = node.beyond(frame.lines_of(device)).await?;
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
            let ran = match node.errand(let_in).await {
                Ok(ran) => ran,
                Err(reason) if is_of_the_node(reason) => return Err(reason),
                Err(reason) => {
                    *all.refused.entry(reason).or_default() += 1;
                    continue;
                }
            };
            all.admitted += ran.admitted;
            all.held += ran.held;
            for (reason, count) in ran.refused {
                *all.refused.entry(reason).or_default() += count;
            }
        }
        Ok(all)
    }

    /// Discards what a device has handed in and nobody has let in, as it is now; answers how much
    /// that was. Nothing brings it back but the device, if its keys are not destroyed yet.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(crate) async fn discard_handed_in(&self, device: DeviceId) -> Result<Waiting, Reason> {
        let node = self.node()?;
        let discarded = node.in_review(vec![device]).await?;
        let discarded = discarded.first().copied().unwrap_or_default();
        let until = discarded.last;
        node.errand(Errand::Discard { device, until }).await?;
        tracing::warn!(
            %device,
            parts = discarded.parts,
            bytes = discarded.bytes,
            "what a device had handed in was discarded"
        );
        Ok(discarded)
    }
}

/// Whether this says something of the node at the moment, and nothing of the part.
fn is_of_the_node(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Busy | Reason::Stopping | Reason::NotSaved | Reason::CannotOpen
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use node::{
        names::ScopeId,
        protocol::message::{Batch, Frame, Ping},
    };

    use super::*;
    use crate::centre::tests::Started;

    /// Parts that are nothing, or no load, came before one that is: it is let in all the same, and
    /// the others go when a person says so.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_bad_part_stops_no_later_one_and_can_be_discarded() {
        let started = Started::new().await;
        let authority = &started.centre.authority;
        let device = DeviceId([7; 16]);
        let empty = Frame::Fill(Batch {
            scope: ScopeId::Directory,
            placements: Vec::new(),
            bundles: Vec::new(),
            number: 0,
            after: None,
            from: None,
        });
        let ping = Frame::Ping(Ping { token: 1 });
        let node = authority.node().unwrap();
        for part in [b"noise".to_vec(), ping.encode(), empty.encode()] {
            node.errand(Errand::HandIn { device, part }).await.unwrap();
        }
        let let_in = authority.let_handed_in(device).await.unwrap();
        assert_eq!(let_in.refused.values().sum::<u64>(), 2, "{let_in:?}");
        let waits = async || *node.in_review(vec![device]).await.unwrap().first().unwrap();
        assert_eq!(waits().await.parts, 2, "the third was taken");
        let discarded = authority.discard_handed_in(device).await.unwrap();
        assert_eq!(discarded.parts, 2);
        assert_eq!(waits().await, Waiting::default());
    }
}
