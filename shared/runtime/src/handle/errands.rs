//! What the shell has its node keep, and what it reads of devices that were revoked.

use std::collections::BTreeSet;

use node::{
    Errand, Ran, VerifiedFrame, errand,
    names::{DeviceId, Moment, Reason},
    protocol::directory::HandedInLine,
    review::{self, HandIn, Holding, Kept, Waiting},
    store::Snapshot,
};
use tokio::sync::oneshot;

use super::Handle;
use crate::{
    mailbox::{Arrival, Haste},
    own::Leaving,
    shelf::{Shelf, Soon},
};

/// Reading what was kept, whatever store it is in.
pub(super) trait Keeps: Send + Sync {
    fn holding(&self) -> Soon<'_, Result<Holding, Reason>>;
    fn lacking(&self, lines: Vec<HandedInLine>) -> Soon<'_, Result<HandIn, Reason>>;
    fn unanswered(
        &self,
        device: DeviceId,
        asked_for: Vec<HandedInLine>,
    ) -> Soon<'_, Result<HandIn, Reason>>;
    fn waiting(&self, devices: Vec<DeviceId>) -> Soon<'_, Result<Vec<Waiting>, Reason>>;
    fn handed_in(&self, device: DeviceId) -> Soon<'_, Result<Kept, Reason>>;
    fn beyond(&self, lines: Vec<HandedInLine>) -> Soon<'_, Result<Vec<HandedInLine>, Reason>>;
    fn written_until(&self, device: DeviceId) -> Soon<'_, Result<Option<Moment>, Reason>>;
}

impl<P: Snapshot> Keeps for Shelf<P> {
    fn holding(&self) -> Soon<'_, Result<Holding, Reason>> {
        self.scan(|snapshot| review::holding(snapshot))
    }

    fn lacking(&self, lines: Vec<HandedInLine>) -> Soon<'_, Result<HandIn, Reason>> {
        self.scan(move |snapshot| review::lacking(snapshot, &lines))
    }

    fn unanswered(
        &self,
        device: DeviceId,
        asked_for: Vec<HandedInLine>,
    ) -> Soon<'_, Result<HandIn, Reason>> {
        self.scan(move |snapshot| review::unanswered(snapshot, device, &asked_for))
    }

    fn waiting(&self, devices: Vec<DeviceId>) -> Soon<'_, Result<Vec<Waiting>, Reason>> {
        self.read(move |snapshot| {
            let waiting = devices
                .iter()
                .map(|device| review::waiting(snapshot, *device));
            waiting.collect()
        })
    }

    fn handed_in(&self, device: DeviceId) -> Soon<'_, Result<Kept, Reason>> {
        self.scan(move |snapshot| review::kept(snapshot, device))
    }

    fn beyond(&self, lines: Vec<HandedInLine>) -> Soon<'_, Result<Vec<HandedInLine>, Reason>> {
        self.read(move |snapshot| review::beyond(snapshot, &lines))
    }

    fn written_until(&self, device: DeviceId) -> Soon<'_, Result<Option<Moment>, Reason>> {
        self.scan(move |snapshot| errand::written_until(snapshot, device))
    }
}

impl Handle {
    /// Has something kept or done that is no person's command; answers when it is on disk.
    ///
    /// # Errors
    /// Why it was not. [`Reason::NotSaved`] when the node ended before it could say whether it was.
    pub async fn errand(&self, errand: Errand) -> Result<Ran, Reason> {
        self.must_run()?;
        let _place = self.hub.commands.try_acquire().map_err(|_| Reason::Busy)?;
        let (answer, asked) = oneshot::channel();
        let haste = match errand.is_of_review() {
            true => Haste::Then,
            false => Haste::First,
        };
        let put = self
            .hub
            .mailbox
            .put(haste, Arrival::Errand { errand, answer });
        put.map_err(|_| Reason::Stopping)?;
        asked.await.unwrap_or(Err(Reason::NotSaved))
    }

    /// Verifies a part that a revoked device handed in, as a frame of its own conversation would
    /// have been.
    ///
    /// # Errors
    /// When it is no frame.
    pub async fn verify(&self, part: Vec<u8>) -> Result<VerifiedFrame, Reason> {
        let verifier = self.hub.verifier();
        let verifying = tokio::task::spawn_blocking(move || verifier.frame(&part));
        verifying.await.unwrap_or(Err(Reason::Malformed))
    }

    /// How far every author's line goes here.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn holding(&self) -> Result<Holding, Reason> {
        self.keeps.holding().await
    }

    /// What is here of stretches that the centre lacks, in parts.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn lacking(&self, lines: Vec<HandedInLine>) -> Result<HandIn, Reason> {
        self.keeps.lacking(lines).await
    }

    /// What a device wrote and knows no answer to, and the cases that it placed anew, beyond what it
    /// was asked for.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn unanswered(
        &self,
        device: DeviceId,
        asked_for: Vec<HandedInLine>,
    ) -> Result<HandIn, Reason> {
        self.keeps.unanswered(device, asked_for).await
    }

    /// How much of each of these devices waits for a person.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn in_review(&self, devices: Vec<DeviceId>) -> Result<Vec<Waiting>, Reason> {
        self.keeps.waiting(devices).await
    }

    /// The parts of a device that wait for a person, with where each is kept.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn handed_in(&self, device: DeviceId) -> Result<Kept, Reason> {
        self.keeps.handed_in(device).await
    }

    /// Those of these stretches that are not here.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn beyond(&self, lines: Vec<HandedInLine>) -> Result<Vec<HandedInLine>, Reason> {
        self.keeps.beyond(lines).await
    }

    /// When the last entry of a device that is here was written, by the device's clock.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn written_until(&self, device: DeviceId) -> Result<Option<Moment>, Reason> {
        self.keeps.written_until(device).await
    }

    /// Until when the device's certificate lets it in, if this node dials.
    pub fn certificate_ends(&self) -> Option<Moment> {
        self.hub.own.certificate_ends()
    }

    /// Whether this device was revoked and has handed in what it had to: then its keys are to be
    /// destroyed.
    pub fn leaving(&self) -> Option<Leaving> {
        self.hub.own.leaving()
    }

    /// Devices with which the directory was merged since the start.
    pub fn heard(&self) -> BTreeSet<DeviceId> {
        self.hub.own.heard()
    }
}
