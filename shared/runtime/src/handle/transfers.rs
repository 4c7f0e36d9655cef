//! Transfers of cases, and the rulings that some of them call for.

use std::sync::Arc;

use node::{
    NotDone, Transfer, Transferred, names::Reason, protocol::directory::Statement,
    views::HandedOver,
};
use tokio::sync::oneshot;

use super::Handle;
use crate::mailbox::{Arrival, Haste};

impl Handle {
    /// Has a case handed over to another site; answers when that is on disk.
    ///
    /// # Errors
    /// Why it was not. [`Reason::NotSaved`] when the node ended before it could say whether it was:
    /// asking again hands nothing over twice.
    pub async fn transfer(&self, transfer: Transfer) -> Result<Transferred, NotDone> {
        self.must_run().map_err(NotDone::Reason)?;
        let permit = Arc::clone(&self.hub.commands).try_acquire_owned();
        let permit = permit.map_err(|_| NotDone::Reason(Reason::Busy))?;
        let (answer, asked) = oneshot::channel();
        let arrival = Arrival::Transfer {
            transfer: Box::new(transfer),
            answer,
            permit,
        };
        let put = self.hub.mailbox.put(Haste::First, arrival);
        put.map_err(|_| NotDone::Reason(Reason::Stopping))?;
        asked
            .await
            .unwrap_or(Err(NotDone::Reason(Reason::NotSaved)))
    }

    /// The next ruling that the authority owes on what was done at the same time; only at the
    /// centre, and for one listener. Waits until there is one.
    pub async fn next_ruling(&self) -> Statement {
        loop {
            if let Some(ruling) = self.hub.next_owed() {
                return ruling;
            }
            self.hub.is_owed.notified().await;
        }
    }

    /// Documents that were handed over to another site, as of the last turn.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn handed_over(&self) -> Result<Vec<HandedOver>, Reason> {
        self.reads.handed_over().await
    }
}
