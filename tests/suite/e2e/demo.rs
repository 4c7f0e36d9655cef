//! `cargo demo`, killed at moments that chance draws and run again: it ends with all proofs, and
//! nothing of the killed runs is left.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use harness::{chance::Chance, service::wait};

const SEED: u64 = 8;
const KILLS: usize = 3;
/// When a run is killed, in milliseconds after its start: while its processes start, while people
/// work, while it proves. A run takes about ten seconds.
const KILLED_MS: (u64, u64) = (100, 9_000);

fn demo() -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.arg("--fast").stdin(Stdio::null());
    demo
}

/// The folders of runs of this process's children, by their name.
fn folder_of(run: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/ridgeway-demo-{run}-0"))
}

#[test]
fn a_killed_demo_runs_again() {
    let mut chance = Chance::new(SEED, "demo");
    let mut killed = Vec::new();
    for _ in 0..KILLS {
        let after = Duration::from_millis(chance.between(KILLED_MS.0, KILLED_MS.1));
        let mut run = demo().stdout(Stdio::null()).spawn().unwrap();
        let ended = wait::until(after, || run.try_wait().unwrap());
        assert_eq!(ended, None, "a run takes longer than {after:?}");
        run.kill().unwrap();
        run.wait().unwrap();
        killed.push(folder_of(run.id()));
    }
    let output = demo().output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("All proofs hold."), "{said}");
    let left: Vec<_> = killed.iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}
