//! What is said beside an entry that is shown, about how it came to be here.

use serde::{Deserialize, Serialize};

/// Why an entry is marked. Marks hide nothing and refuse nothing; a person reads them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Its device had seen that it is revoked, and wrote it all the same.
    DeviceRevoked,
    /// It arrived after its device was revoked, and a person let it in.
    ArrivedLate,
    /// Its node had seen that the worker works here no more.
    WorkerDisabled,
    /// Its device claims to have seen less of the directory than it had seen before.
    SeenLess,
    /// Its device had not seen that the case was transferred, and whoever transferred it had not seen
    /// the entry.
    TransferUnseen,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Mark; 5] = [
        Mark::DeviceRevoked,
        Mark::ArrivedLate,
        Mark::WorkerDisabled,
        Mark::SeenLess,
        Mark::TransferUnseen,
    ];

    /// What a person is told.
    pub fn words(self) -> &'static str {
        match self {
            Mark::DeviceRevoked => "Written by a device that knew it was revoked.",
            Mark::ArrivedLate => "Arrived after the device that wrote it was revoked.",
            Mark::WorkerDisabled => "Written for somebody who was known to work here no more.",
            Mark::SeenLess => {
                "Written by a device that claims to have known less than it knew before."
            }
            Mark::TransferUnseen => {
                "Written at the former site before it was known there that the case was transferred."
            }
        }
    }
}
