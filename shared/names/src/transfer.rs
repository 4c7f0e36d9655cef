//! Why a case is transferred to another site: a code, never words.
//!
//! A placement goes also to people who may not read the document any more, so it must not repeat
//! what somebody typed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $words:literal;)*) => {
        /// Why a case goes to another site. The code is for the wire and never changes its meaning;
        /// the name is for the API; the words are for a screen.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum TransferReason {
            $($(#[$doc])* $name,)*
        }

        impl TransferReason {
            /// Every reason, in the order of their codes.
            pub const ALL: &'static [TransferReason] = &[$(TransferReason::$name,)*];

            /// The number that stands for it on the wire.
            pub fn code(self) -> u16 {
                match self { $(TransferReason::$name => $code,)* }
            }

            /// Its name in the API.
            pub fn name(self) -> &'static str {
                match self { $(TransferReason::$name => $text,)* }
            }

            /// What a person is told.
            pub fn words(self) -> &'static str {
                match self { $(TransferReason::$name => $words,)* }
            }
        }
    };
}

reasons! {
    /// The person lives in another site's area now.
    MovedHome = 1, "moved-home", "The person has moved to the other site's area.";
    /// The person asked for it.
    AskedFor = 2, "asked-for", "The person asked to be seen at the other site.";
    /// The other site has what the person needs.
    BetterPlaced = 3, "better-placed", "The other site has what the person needs.";
    /// The team cannot take the case.
    Capacity = 4, "capacity", "This site's team cannot take the case at present.";
    /// The case was opened at the wrong site.
    Mistake = 5, "mistake", "The case was opened at the wrong site.";
    /// None of these, or a reason of a newer version.
    Other = 6, "other", "Another reason.";
}

impl TransferReason {
    /// The reason a wire code stands for; an unknown one of a newer node is
    /// [`TransferReason::Other`].
    pub fn from_code(code: u16) -> TransferReason {
        let mut known = TransferReason::ALL.iter().copied();
        known
            .find(|reason| reason.code() == code)
            .unwrap_or(TransferReason::Other)
    }
}

/// A name that stands for no [`TransferReason`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownTransferReason;

impl fmt::Display for UnknownTransferReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a reason for a transfer")
    }
}

impl std::error::Error for UnknownTransferReason {}

impl FromStr for TransferReason {
    type Err = UnknownTransferReason;
    fn from_str(text: &str) -> Result<Self, UnknownTransferReason> {
        let mut known = TransferReason::ALL.iter().copied();
        known
            .find(|reason| reason.name() == text)
            .ok_or(UnknownTransferReason)
    }
}

impl fmt::Display for TransferReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_read_back() {
        for reason in TransferReason::ALL {
            assert_eq!(TransferReason::from_code(reason.code()), *reason);
            assert_eq!(reason.name().parse(), Ok(*reason));
        }
        assert_eq!(TransferReason::from_code(999), TransferReason::Other);
        assert_eq!("".parse::<TransferReason>(), Err(UnknownTransferReason));
    }
}
