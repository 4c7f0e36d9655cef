//! The harness of the proof: a world of nodes on fake disks and a fake network, in virtual time,
//! and the oracles that judge it.
//!
//! One seed draws everything ([`swarm`]): sites, edges, people, links, disks, clocks and faults.
//! The nodes are real, their stores are real sealed redb; only the disk under them ([`disk`]), the
//! network between them ([`network`]), time ([`clock`]) and chance ([`chance`]) are not. A run is
//! one thread and one agenda of events, so the same seed is the same run, byte for byte.
//!
//! Besides what may befall disks, wires, clocks and processes ([`faults`]), disks are put back from older
//! copies, edges are cloned, cases go from site to site, and in one plan of three a device is revoked
//! while its people work: what of theirs must then be in the record, marked, or waits for a person,
//! is an oracle of its own.
//!
//! Each run ends with a last act: an edge holds what the centre refuses, both come to be equal except
//! one, and what is innocent arrives. A run counts if it reached a repair before that, the
//! exception, and a disk that was put back ([`report::Tally::counts`]).
//!
//! What it cannot see: quinn, the runtime's driver, real disks. They have tests of their own.

// The harness reacts to some of what a node says and passes over the rest, whatever will be added.
#![allow(clippy::wildcard_enum_match_arm)]

mod acts;
mod answers;
mod aside;
pub mod authority;
pub mod cargo;
pub mod chance;
pub mod clock;
pub mod demo;
pub mod disk;
pub mod evidence;
pub mod faults;
pub mod habits;
mod judge;
mod lives;
pub mod mischief;
mod moves;
pub mod mutants;
mod narrow;
pub mod network;
pub mod oracle;
pub mod pair;
pub mod people;
pub mod promises;
pub mod reader;
mod refused;
pub mod report;
mod restored;
mod review;
mod revoked;
pub mod service;
mod shell;
pub mod sim;
mod spoil;
pub mod station;
pub mod swarm;
pub mod trace;
mod wires;
pub mod world;
