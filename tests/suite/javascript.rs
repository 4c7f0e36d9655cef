//! What the npm package `@automerge/automerge` finds in a file, by `tests/js/read.mjs`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use harness::{cargo::NO_JAVASCRIPT, report::say};

/// What to do without Node.
const NEEDED: &str = "to read an export as others do: install Node 20 with npm, or leave this \
                      half out with RIDGEWAY_NO_JAVASCRIPT=1";

/// The canonical line that the package gives for a file; none where JavaScript is left out, which
/// is then said.
pub(crate) fn read(file: &Path) -> Option<String> {
    if env::var_os(NO_JAVASCRIPT).is_some() {
        say("skipped: no npm package reads this export, as there is no JavaScript here");
        return None;
    }
    let mut node = Command::new("node");
    node.arg("read.mjs").arg(file).current_dir(folder());
    let output = node.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("node is needed {NEEDED} ({error})"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "read.mjs: {said}");
    let line = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    Some(line.trim_end_matches('\n').to_owned())
}

/// The folder of the reader, with the npm package installed.
fn folder() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
        if !folder.join("node_modules/@automerge/automerge").is_dir() {
            let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
            let mut npm = Command::new("npm");
            npm.args(install).current_dir(&folder).stdin(Stdio::null());
            let installed = npm.status();
            let installed =
                installed.unwrap_or_else(|error| panic!("npm is needed {NEEDED} ({error})"));
            assert!(installed.success(), "`npm ci` failed in tests/js");
        }
        folder
    })
}
