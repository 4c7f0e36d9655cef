//! Ids: sixteen drawn or derived bytes for what nodes name, short codes for what people name.
//!
//! Byte ids are written as lower-case hexadecimal wherever text is needed. None of them is made
//! from a person's identifiers, so all of them may stand in a log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not a valid id or code: which kind of name it should have been, and its form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidName {
    /// The kind of name that was expected, as a person would call it.
    pub expected: &'static str,
    /// The form such a name has.
    pub form: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: expected {}", self.expected, self.form)
    }
}

impl std::error::Error for InvalidName {}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.len() != N * 2 {
        return None;
    }
    let mut out = [0u8; N];
    for (slot, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *slot = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(out)
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $length:literal, $called:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $length]);

        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                $name(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                parse_hex(text).map($name).ok_or(InvalidName {
                    expected: $called,
                    form: concat!(stringify!($length), " bytes in hexadecimal"),
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

byte_id!(
    /// The organisation whose record this is; drawn once by `ridgeway-server init`.
    TenantId, 16, "tenant id"
);
byte_id!(
    /// A document: random, or derived with the tenant's key from what the document is about.
    DocumentId, 16, "document id"
);
byte_id!(
    /// An entry somebody made: drawn where it is made; the API's idempotency key.
    EntryId, 16, "entry id"
);
byte_id!(
    /// A device: the first 16 bytes of a hash of its public key.
    DeviceId, 16, "device id"
);
byte_id!(
    /// A store, for as long as its database exists; a file copy carries the same one.
    StoreId, 16, "store id"
);
byte_id!(
    /// One life of a store between two restores.
    Incarnation, 16, "incarnation"
);
byte_id!(
    /// A process that writes logs into a store: redb has one, PostgreSQL one per server.
    WriterId, 16, "writer id"
);
byte_id!(
    /// What a store drew when it was opened; part of every actor that is born in that opening.
    Nonce, 16, "opening nonce"
);
byte_id!(
    /// An Automerge actor, self-certifying: a hash of tenant, device key, document, nonce, worker.
    ActorId, 16, "actor id"
);
byte_id!(
    /// An Automerge change: SHA-256 of its chunk.
    ChangeHash, 32, "change hash"
);

/// The greatest length of a code, in bytes: fits a line of a log and a column of a table.
const CODE_BYTES_MAX: usize = 40;

/// A short code a person chose: 1 to 40 of `a-z 0-9 -`, not beginning or ending with `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(String);

impl Code {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str, expected: &'static str) -> Result<Code, InvalidName> {
        let fits = (1..=CODE_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Code(text.to_owned()))
        } else {
            Err(InvalidName {
                expected,
                form: "1 to 40 of a-z, 0-9 and '-', not at either end",
            })
        }
    }
}

macro_rules! code_id {
    ($(#[$doc:meta])* $name:ident, $called:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Code);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Code::parse(text, $called).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

code_id!(
    /// A site: `devizes`, `swindon`, `salisbury`, `bath`, `kent`.
    SiteId, "site id"
);
code_id!(
    /// A worker, by the code the administrator gave; a pseudonym, never a name.
    WorkerId, "worker id"
);

/// What kind of document: a code that never changes meaning, kept open so that an older node
/// carries kinds it cannot read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub u16);

impl Kind {
    /// A referral spell: notes, safety facts, plan, tasks, outcomes.
    pub const CASE: Kind = Kind(2);
    /// A group session with its register and its cash.
    pub const SESSION: Kind = Kind(4);

    /// The kind's name on screens and in exports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::CASE => "case",
            Kind::SESSION => "session",
            Kind(_) => "unknown kind",
        }
    }

    /// Whether a document of this kind may leave its site. A register belongs to its venue, whose
    /// owner is part of what its id is made from: it stays there for ever.
    pub fn may_leave_its_site(self) -> bool {
        self == Kind::CASE
    }
}

/// The unit of permission, subscription, digest and progress.
///
/// Its text form is `directory`, `site:<id>`, `caseload:<worker>` or `site:<id>/<compartment>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeId {
    /// Who is who; synced before anything else.
    Directory,
    /// All that a site's team shares.
    Site(SiteId),
    /// What one worker carries.
    Caseload(WorkerId),
    /// What only some at a site may read, such as `safeguarding`.
    Compartment(SiteId, Code),
}

impl fmt::Display for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScopeId::Directory => f.write_str("directory"),
            ScopeId::Site(site) => write!(f, "site:{site}"),
            ScopeId::Caseload(worker) => write!(f, "caseload:{worker}"),
            ScopeId::Compartment(site, name) => write!(f, "site:{site}/{}", name.as_str()),
        }
    }
}

impl fmt::Debug for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeId({self})")
    }
}

impl FromStr for ScopeId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "directory" {
            return Ok(ScopeId::Directory);
        }
        if let Some(worker) = text.strip_prefix("caseload:") {
            return worker.parse().map(ScopeId::Caseload);
        }
        let site = text.strip_prefix("site:").ok_or(InvalidName {
            expected: "scope",
            form: "directory, site:<id>, caseload:<worker> or site:<id>/<compartment>",
        })?;
        match site.split_once('/') {
            None => site.parse().map(ScopeId::Site),
            Some((site, name)) => Ok(ScopeId::Compartment(
                site.parse()?,
                Code::parse(name, "compartment")?,
            )),
        }
    }
}

impl Serialize for ScopeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_what_they_write() {
        for text in [
            "directory",
            "site:devizes",
            "caseload:w-17",
            "site:bath/safeguarding",
        ] {
            assert_eq!(
                text.parse::<ScopeId>().map(|s| s.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in [
            "",
            "site:",
            "site:Bath",
            "caseload:",
            "site:bath/",
            "team:bath",
            "site:-x",
        ] {
            assert!(text.parse::<ScopeId>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn byte_ids_read_back_what_they_write() {
        let id = DocumentId([0xA5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("a5".parse::<DocumentId>().is_err());
        assert!("zz".repeat(16).parse::<DocumentId>().is_err());
    }
}
