//! The native shell of a node: its thread, its openers, its keys and its sockets. It decides
//! nothing.
//!
//! [`start`] opens a node on a store and gives a [`Running`], whose [`Handle`] is how everybody
//! else speaks to it. In reading order:
//!
//! - `limits`: every bound and wait, with its reason.
//! - [`shell`]: the clock and chance.
//! - `secret`, `material`, `certificate`, `control`: what a device is made of, where its key
//!   comes from, and who may work in its folder.
//! - [`backup`]: the record as one file, and how a store comes back from it.
//! - `mailbox`, `driver`, `openers`, `hub`, `handle`: the node's thread and how it is spoken to.
//! - `tls`, `link`, `quic`, `enrol`: who may speak to whom, and how frames travel.
//! - `running`: all of it put together.
//!
//! What it does not know: what a case is, what a frame says, who may do what. It carries bytes
//! that the node's verifier takes or refuses, and does what the node asks.

pub mod backup;
mod certificate;
mod compress;
mod control;
mod driver;
mod enrol;
mod handle;
mod hub;
mod limits;
mod link;
mod mailbox;
mod material;
mod openers;
mod own;
mod quic;
mod running;
mod secret;
mod shelf;
pub mod shell;
#[cfg(test)]
mod testing;
mod tls;

pub use certificate::{CertificateAuthority, CertificateError, fingerprint};
pub use compress::Compressor;
pub use control::{Answer, ControlError, ControlServer, FolderLock, ask};
pub use enrol::{EnrolError, Redeem, enrol};
pub use handle::{Handle, PageOf};
pub use hub::{Life, LinkStatus, Unreached, Whoami};
pub use link::{LaneReader, LinkError, Traffic};
pub use material::{CentreKeys, Material, MaterialError};
pub use own::Leaving;
pub use quic::{BindError, tell_purged};
pub use running::{Config, Role, Running, StartError, start};
pub use secret::{KeySource, Passphrase, SecretError, beside};
pub use tls::TlsError;
