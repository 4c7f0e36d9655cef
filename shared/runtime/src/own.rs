//! What a node's shell knows of its own device: until when it is let in, whom it has heard, and
//! whether it is on its way out.

use std::{collections::BTreeSet, sync::Mutex};

use node::names::{DeviceId, Moment};

use crate::hub::lock;

/// A device that was revoked and has handed in what it had to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaving {
    /// When it was revoked, by the centre's clock.
    pub at: Moment,
    /// Whether it counts as lost: then it hands in nothing.
    pub lost: bool,
    /// Parts handed in.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is known of the own device.
#[derive(Debug, Default)]
pub(crate) struct Own {
    certificate_ends: Mutex<Option<Moment>>,
    leaving: Mutex<Option<Leaving>>,
    heard: Mutex<BTreeSet<DeviceId>>,
}

impl Own {
    /// When the certificate ends; none when it does not hold.
    pub(crate) fn certificate_ends(&self) -> Option<Moment> {
        *lock(&self.certificate_ends)
    }

    pub(crate) fn certify(&self, ends: Option<Moment>) {
        *lock(&self.certificate_ends) = ends;
    }

    pub(crate) fn leaving(&self) -> Option<Leaving> {
        *lock(&self.leaving)
    }

    pub(crate) fn leave(&self, leaving: Leaving) {
        *lock(&self.leaving) = Some(leaving);
    }

    /// Devices with which the directory was merged since the start.
    pub(crate) fn heard(&self) -> BTreeSet<DeviceId> {
        lock(&self.heard).clone()
    }

    pub(crate) fn hear(&self, device: DeviceId) {
        lock(&self.heard).insert(device);
    }
}
