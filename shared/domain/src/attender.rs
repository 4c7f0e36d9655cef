//! Who stands in a register.

use std::{fmt, str::FromStr};

use names::{DocumentId, EntryId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::code::UnknownCode;

/// Somebody in a register: a person with a case, or a guest of whom only a name is known.
///
/// Its text form is `person:<document id>` or `guest:<entry id>`: a guest goes by the entry that
/// brought them in, so that two guests of one name are two rows until a person says that they are
/// one (`reference/domain.md` 1.3 E, attendance register).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Attender {
    /// The person's case.
    Person(DocumentId),
    /// The entry that brought the guest in.
    Guest(EntryId),
}

impl fmt::Display for Attender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attender::Person(document) => write!(f, "person:{document}"),
            Attender::Guest(entry) => write!(f, "guest:{entry}"),
        }
    }
}

impl FromStr for Attender {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<Attender, UnknownCode> {
        const FORM: UnknownCode = UnknownCode {
            expected: "person:<document id>, guest:<entry id>",
        };
        match text.split_once(':') {
            Some(("person", document)) => document.parse().map(Attender::Person).map_err(|_| FORM),
            Some(("guest", entry)) => entry.parse().map(Attender::Guest).map_err(|_| FORM),
            _ => Err(FORM),
        }
    }
}

impl Serialize for Attender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Attender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Attender, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
