//! One node of a bench, running, and what can be asked of it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use names::ScopeId;
use node::views::ScopeSync;
use runtime::{Handle, Running};

use crate::{
    disk::{Meter, Work},
    failure::{Outcome, failed, must},
    pair::PATIENCE,
};

/// When nothing was sent or written for so long, nothing follows: every wait of a node that is
/// left over after a proof is longer than a run.
pub(crate) const QUIET: Duration = Duration::from_millis(400);
/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_millis(5);

/// One of the two nodes, running.
pub(crate) struct Station {
    pub(crate) running: Running,
    pub(crate) meter: Arc<Meter>,
    /// The scopes that are looked at here.
    pub(crate) scopes: BTreeSet<ScopeId>,
}

impl Station {
    /// A way to the node.
    pub(crate) fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// What its disk was asked for since it was opened.
    pub(crate) fn work(&self) -> Work {
        self.meter.read()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        let address = self.running.quic_addr();
        address.ok_or_else(|| "the centre listens nowhere".to_owned())
    }

    /// Stops it and closes its store.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// What its disk was asked for, commit by commit.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How its scopes stand, in the order of their names.
    pub(crate) async fn stands(&self) -> Outcome<Vec<ScopeSync>> {
        let all = self.handle().sync().await.map_err(failed("the scopes"))?;
        let ours: Vec<ScopeSync> = all
            .iter()
            .filter(|row| self.scopes.contains(&row.scope))
            .cloned()
            .collect();
        must(ours.len() == self.scopes.len(), || {
            "a scope is not known".to_owned()
        })?;
        Ok(ours)
    }

    /// Whether all its scopes were found equal with a peer.
    pub(crate) async fn is_proved(&self) -> Outcome<bool> {
        let proved = |row: &ScopeSync| row.peers.iter().any(|peer| peer.proved.is_some());
        Ok(self.stands().await?.iter().all(proved))
    }

    /// Documents whose summary is behind.
    pub(crate) async fn behind(&self) -> Outcome<u64> {
        let mut behind = 0;
        for scope in &self.scopes {
            let listed = self.handle().list(scope.clone()).await;
            let listed = listed.map_err(failed("a list"))?;
            behind += listed.iter().filter(|row| row.stale).count() as u64;
        }
        Ok(behind)
    }

    /// Waits until it opens and writes nothing more: what is due when a node stops, it does when it
    /// is started again.
    ///
    /// # Errors
    /// When that does not end.
    pub(crate) async fn caught_up(&self) -> Outcome<()> {
        let look = || (self.handle().openings(), self.work());
        unchanged(QUIET, look).await.map(|_| ())
    }

    /// Nothing may be acknowledged that is not durable: since it was opened, every turn that wrote
    /// has told the disk so at least once.
    pub(crate) fn must_be_durable(&self) -> Outcome<()> {
        let (_, wrote) = self.handle().turns();
        let work = self.work();
        must(work.syncs >= work.commits && work.commits >= wrote, || {
            format!("{wrote} turns wrote, with {work:?}")
        })
    }
}

/// Waits until what is looked at has stayed the same for `long`; answers since when.
///
/// # Errors
/// When that does not end.
pub(crate) async fn unchanged<T: PartialEq>(
    long: Duration,
    look: impl Fn() -> T,
) -> Outcome<Instant> {
    let at_most = Instant::now() + PATIENCE;
    let (mut seen, mut since) = (look(), Instant::now());
    while since.elapsed() < long {
        must(Instant::now() < at_most, || "no end of it".to_owned())?;
        tokio::time::sleep(LOOK).await;
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(since)
}
