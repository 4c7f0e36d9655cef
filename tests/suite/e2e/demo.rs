//! `cargo demo`, killed at moments that chance draws and run again: it ends with all proofs, and
//! nothing of the killed runs is left, neither a process nor a folder.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{
    chance::Chance,
    report::say,
    service::{moment, wait},
};

const SEED: u64 = 8;
const KILLS: usize = 4;
/// How long a run may take to make a file, or the processes of a killed one to end.
const MOMENT_MAX: Duration = Duration::from_secs(60);

/// When a run is killed. How long it takes to get there is the machine's affair.
#[derive(Clone, Copy, Debug)]
enum When {
    /// It has printed a line with these words.
    Says(&'static str),
    /// There is a file of this name in its folder.
    Makes(&'static str),
    /// It has printed a line with these words, and its centre has been stopped, as it is while it is
    /// copied.
    Stands(&'static str),
}

/// From the first line to the last but one: before there is anything, while processes start, while
/// people work, while the centre is copied, while what came of it is told, while it proves.
const MOMENTS: [When; 11] = [
    When::Says("Ridgeway:"),
    When::Makes("centre.log"),
    When::Makes("bath.log"),
    When::Says("A week of work"),
    When::Makes("tuesday"),
    When::Says(" Thu"),
    When::Makes("saturday.backup"),
    When::Says("The centre is lost"),
    When::Says("Now the centre is killed"),
    When::Says("What merged"),
    When::Says("The proofs"),
];
/// One that is among the kills of every run: what was stopped does not end by itself.
const ALWAYS: When = When::Stands("A week of work");

fn demo() -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.arg("--fast").stdin(Stdio::null());
    demo
}

/// The folder of a run: its process's first.
fn folder_of(run: &Child) -> PathBuf {
    PathBuf::from(format!("/tmp/ridgeway-demo-{}-0", run.id()))
}

/// Starts a run and kills it at a moment; answers its folder.
fn killed(when: When) -> PathBuf {
    let mut run = demo().stdout(Stdio::piped()).spawn().unwrap();
    let folder = folder_of(&run);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    match when {
        When::Says(words) => {
            let said = lines.any(|line| line.unwrap().contains(words));
            assert!(said, "a run ended without a word of '{words}'");
        }
        When::Stands(words) => {
            let said = lines.any(|line| line.unwrap().contains(words));
            assert!(said, "a run ended without a word of '{words}'");
            stop_the_centre(&folder);
        }
        When::Makes(name) => {
            let made = || folder.join(name).exists().then_some(());
            assert!(
                wait::until(MOMENT_MAX, made).is_some(),
                "{name} is not made"
            );
        }
    }
    assert_eq!(run.try_wait().unwrap(), None, "a run is over at {when:?}");
    run.kill().unwrap();
    run.wait().unwrap();
    folder
}

/// Stops a run's centre with SIGSTOP.
fn stop_the_centre(folder: &Path) {
    let centre = moment::processes_with(&folder.join("centre"));
    assert_eq!(centre.len(), 1, "{centre:?}");
    let id = centre[0].file_name().unwrap().to_str().unwrap();
    let line = format!("kill -s STOP {id}");
    let sent = Command::new("sh").args(["-c", &line]).status();
    assert!(sent.unwrap().success());
}

fn assert_nobody_is_left(folder: &Path) {
    let gone = || moment::processes_with(folder).is_empty().then_some(());
    let left = || moment::processes_with(folder);
    assert!(wait::until(MOMENT_MAX, gone).is_some(), "{:?}", left());
}

#[test]
fn a_killed_demo_runs_again() {
    let mut chance = Chance::new(SEED, "demo");
    let mut moments = MOMENTS.to_vec();
    let (mut folders, mut left) = (Vec::new(), 0);
    let drawn = (0..KILLS).map(|_| moments.swap_remove(chance.index(moments.len())));
    for when in drawn.chain([ALWAYS]) {
        let folder = killed(when);
        assert_nobody_is_left(&folder);
        left += usize::from(folder.exists());
        say(format!("a demo was killed at {when:?}"));
        folders.push(folder);
    }
    assert!(left > 0, "no killed run has left anything to be cleared");
    let output = demo().output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("All proofs hold."), "{said}");
    folders.retain(|folder| folder.exists());
    assert!(folders.is_empty(), "{folders:?}");
}
