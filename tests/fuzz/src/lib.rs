//! Fuzz targets for every decoder: what comes from a peer, a file or a browser is decoded in as many
//! ways as a fuzzer finds, and must keep what is promised of it.
//!
//! A target is a function of bytes that panics when something does not hold ([`TARGETS`]). It asks for
//! more than that nothing ends: what is taken keeps the limits of `names::limits`, reads back as it was
//! written, and was proved. Where a signature or a checksum would stop a fuzzer at the door, the bytes
//! are choices ([`draw`]), of which something is made that is signed and sealed as it must be ([`craft`]).
//!
//! Seeds are made, not kept: they are cut from a record that two real nodes have written ([`record`]).
//! What a fuzzer once found is kept, in `regressions`, one folder for each target. Both are run by the
//! tests of this crate; `cargo fuzz-all` runs the fuzzer itself.

// A target looks at some of what there may be and passes over the rest, whatever will be added.
#![allow(clippy::wildcard_enum_match_arm)]

pub mod craft;
pub mod draw;
pub mod record;
mod targets;

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

pub use targets::TARGETS;

/// The variable of the environment that tells the fuzzer its target.
pub const TARGET: &str = "RIDGEWAY_FUZZ_TARGET";

/// A family of decoders, and what is tried with it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it tries, in a few words.
    pub tries: &'static str,
    /// The longest input that is made: longer ones are slower and find no more.
    pub length_max: usize,
    /// Tries an input; panics when something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The target of this name.
pub fn named(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// A folder for files, which is removed when its thread ends. A fuzzer ends without that: whoever runs
/// one names a place for temporary files that may be thrown away.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ridgeway-fuzz-{}-{number}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is one folder of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The folder of this thread.
fn folder() -> PathBuf {
    thread_local! {
        static FOLDER: Folder = Folder::new();
    }
    FOLDER.with(|folder| folder.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs that a fuzzer once found.
    fn regressions(target: &Target) -> Vec<Vec<u8>> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions");
        let Ok(files) = fs::read_dir(folder.join(target.name)) else {
            return Vec::new();
        };
        let paths = files.map(|file| file.expect("a file that is listed").path());
        paths
            .map(|path| fs::read(path).expect("a file that is listed"))
            .collect()
    }

    /// A seed cut short and with a byte altered, in some places.
    fn altered(seed: &[u8]) -> Vec<Vec<u8>> {
        let places = (0..seed.len()).step_by(seed.len() / 4 + 1);
        let spoilt = places.clone().map(|place| {
            let mut spoilt = seed.to_vec();
            spoilt
                .iter_mut()
                .skip(place)
                .take(1)
                .for_each(|byte| *byte ^= 0x41);
            spoilt
        });
        let cut = places.map(|place| seed.iter().take(place).copied().collect());
        spoilt.chain(cut).collect()
    }

    /// Tries every target in a thread of its own, so that one that fails hides no other.
    fn each(tried: fn(&Target)) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = TARGETS
                .iter()
                .map(|target| (target.name, scope.spawn(|| tried(target))))
                .collect();
            let failed: Vec<&str> = threads
                .into_iter()
                .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
                .collect();
            assert!(failed.is_empty(), "these do not hold: {failed:?}");
        });
    }

    #[test]
    fn every_target_holds_for_its_seeds_and_what_is_near_them() {
        each(|target| {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "nothing to begin with");
            for seed in seeds {
                assert!(seed.len() <= target.length_max, "{} bytes", seed.len());
                (target.run)(&seed);
                altered(&seed).iter().for_each(|bytes| (target.run)(bytes));
            }
        });
    }

    #[test]
    fn every_target_holds_for_what_was_found() {
        each(|target| {
            let found = regressions(target);
            found.iter().for_each(|bytes| (target.run)(bytes));
        });
    }
}
