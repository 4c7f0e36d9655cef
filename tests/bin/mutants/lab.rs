//! Building a mutant, and running what must notice it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use harness::{
    cargo::command,
    mutants::{Mutant, Proof},
};

use crate::tree;

/// How long a test may take: many times what the slowest takes. Without its check
/// a program may go on for ever.
const PROOF_TIME_MAX: Duration = Duration::from_secs(300);
/// How often it is looked whether one has ended.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// The crates that most mutants are in. They are built together, whichever of them are needed, so
/// that what they depend on is built in one form. Any other is built alone, in a form of its own:
/// beside the suite it would be that of the suite, with everything that stands on the crate.
const CORE: [&str; 4] = [
    "ridgeway-document",
    "ridgeway-protocol",
    "ridgeway-store",
    "ridgeway-node",
];
/// What is not optimised: our own code is built for each mutant anew, to run some short tests.
const PLAIN: [&str; 7] = [
    "ridgeway-names",
    "ridgeway-domain",
    "ridgeway-document",
    "ridgeway-protocol",
    "ridgeway-store",
    "ridgeway-node",
    "ridgeway-runtime",
];

/// What became of a mutant.
pub(crate) enum Verdict {
    /// Everything that had to notice did: what that was, and whether a program died of it.
    Caught(String),
    /// Some did not: which.
    Missed(Vec<String>),
    /// It shows nothing: the compiler refused it.
    NoBuild,
}

impl Verdict {
    /// Whether all is well.
    pub(crate) fn is_caught(&self) -> bool {
        matches!(self, Verdict::Caught(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Caught(by) => write!(f, "caught by {by}"),
            Verdict::Missed(by) => write!(f, "NOT CAUGHT by {}", by.join(", ")),
            Verdict::NoBuild => write!(f, "NOT BUILT: see target/mutants/build.log"),
        }
    }
}

/// What must notice, in words.
pub(crate) fn name_of(proof: &Proof) -> String {
    let test = proof.name.rsplit("::").next().unwrap_or(proof.name);
    if proof.of.is_empty() {
        test.to_owned()
    } else {
        format!("{test} ({})", proof.of)
    }
}

/// How a proof went.
enum Ended {
    Passed,
    Failed(String),
}

/// A program that cargo has built, and where its tests expect to be.
#[derive(Clone)]
struct Program {
    file: PathBuf,
    folder: PathBuf,
}

/// Where mutants are built.
pub(crate) struct Lab {
    tree: PathBuf,
    target: PathBuf,
    log: PathBuf,
    /// Whether the log was begun in this run.
    begun: RefCell<bool>,
}

impl Lab {
    /// Makes the copy of the tree, below the repository's `target`.
    pub(crate) fn new(root: &Path) -> Result<Lab, String> {
        let folder = root.join("target").join("mutants");
        let tree = folder.join("tree");
        fs::create_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
        tree::copy(root, &tree)?;
        Ok(Lab {
            tree,
            target: folder.join("target"),
            log: folder.join("build.log"),
            begun: RefCell::new(false),
        })
    }

    /// Runs what must notice these mutants where nothing is taken out: all of it has to pass.
    pub(crate) fn baseline(&self, mutants: &[&Mutant]) -> Result<(), String> {
        let mut proofs: Vec<&Proof> = Vec::new();
        for proof in mutants.iter().flat_map(|mutant| mutant.proofs) {
            if !proofs.contains(&proof) {
                proofs.push(proof);
            }
        }
        let programs = self.build(&proofs)?;
        let programs = programs.ok_or("the tree does not build: see target/mutants/build.log")?;
        for proof in proofs {
            if let Ended::Failed(how) = self.run(proof, &programs)? {
                let name = name_of(proof);
                return Err(format!("{name} fails where nothing is taken out: {how}"));
            }
        }
        Ok(())
    }

    /// Takes a check out, sees what notices, and puts it back.
    pub(crate) fn try_mutant(&self, mutant: &Mutant) -> Result<Verdict, String> {
        let file = self.tree.join(mutant.file);
        let before = tree::read(&file)?;
        let whole = String::from_utf8_lossy(&before);
        if let Some(misfit) = mutant.misfit(&whole) {
            return Err(misfit);
        }
        tree::put(&file, whole.replace(mutant.text, mutant.instead).as_bytes())?;
        let verdict = self.verdict(mutant);
        tree::put(&file, &before)?;
        verdict
    }

    fn verdict(&self, mutant: &Mutant) -> Result<Verdict, String> {
        let proofs: Vec<&Proof> = mutant.proofs.iter().collect();
        let Some(programs) = self.build(&proofs)? else {
            return Ok(Verdict::NoBuild);
        };
        let (mut caught, mut missed) = (Vec::new(), Vec::new());
        for proof in proofs {
            match self.run(proof, &programs)? {
                Ended::Passed => missed.push(name_of(proof)),
                Ended::Failed(how) => caught.push(how),
            }
        }
        if !missed.is_empty() {
            return Ok(Verdict::Missed(missed));
        }
        let count = caught.len();
        let first = caught.into_iter().next().unwrap_or_default();
        Ok(Verdict::Caught(match count {
            1 => first,
            _ => format!("{first} and {} more, all {count}", count - 1),
        }))
    }

    /// Builds what these proofs need; none when the compiler refuses.
    fn build(&self, proofs: &[&Proof]) -> Result<Option<BTreeMap<String, Program>>, String> {
        let packages: BTreeSet<&str> = proofs.iter().map(|proof| proof.package).collect();
        let (core, alone): (Vec<&str>, Vec<&str>) = packages
            .into_iter()
            .partition(|package| CORE.contains(package));
        let mut asked: Vec<Vec<&str>> = alone.into_iter().map(|package| vec![package]).collect();
        if !core.is_empty() {
            asked.push(CORE.to_vec());
        }
        let mut programs = BTreeMap::new();
        for packages in asked {
            match self.cargo(&packages)? {
                Some(built) => programs.extend(built),
                None => return Ok(None),
            }
        }
        Ok(Some(programs))
    }

    /// Builds the unit tests of packages in the copy; answers the programs, by their packages.
    fn cargo(&self, packages: &[&str]) -> Result<Option<BTreeMap<String, Program>>, String> {
        let failed = |error: std::io::Error| format!("cargo: {error}");
        let begun = self.begun.replace(true);
        let mut log = File::options();
        let log = log.create(true).write(true).append(begun).truncate(!begun);
        let log = log.open(&self.log).map_err(failed)?;
        let mut cargo = command("cargo");
        cargo.args(["test", "--no-run", "--lib"]);
        for package in packages {
            cargo.args(["--package", package]);
        }
        for package in PLAIN {
            cargo.arg("--config");
            cargo.arg(format!("profile.dev.package.{package}.opt-level=0"));
        }
        let output = cargo
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .arg("--message-format=json-render-diagnostics")
            .stderr(log)
            .output()
            .map_err(failed)?;
        if !output.status.success() {
            return Ok(None);
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        Ok(Some(lines.lines().filter_map(program).collect()))
    }

    fn run(&self, proof: &Proof, programs: &BTreeMap<String, Program>) -> Result<Ended, String> {
        let target = proof.package;
        let program = programs.get(target);
        let program = program.ok_or(format!("cargo has built no tests of {target}"))?;
        let printed = self.target.with_file_name("printed");
        let out = File::create(&printed).map_err(|error| format!("{target}: {error}"))?;
        let child = Command::new(&program.file)
            .current_dir(&program.folder)
            .args(["--exact", proof.name])
            .stdout(out)
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| format!("{target}: {error}"))?;
        let status = wait(&mut child).map_err(|error| format!("{target}: {error}"))?;
        let printed = tree::read(&printed)?;
        judge(proof, status, &String::from_utf8_lossy(&printed))
    }
}

/// Waits for a program to end, but not for ever; none if it was ended.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > PROOF_TIME_MAX {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(LOOKS_EVERY);
    }
}

/// What the end of a program and what it printed say.
fn judge(proof: &Proof, status: Option<ExitStatus>, printed: &str) -> Result<Ended, String> {
    let name = name_of(proof);
    let Some(status) = status else {
        return Ok(Ended::Failed(format!("{name}, which did not end")));
    };
    if !printed.contains("running 1 test\n") {
        let test = proof.name;
        return Err(format!("there is no test {test}: a mutant names it"));
    }
    if status.success() {
        return Ok(Ended::Passed);
    }
    let is_told = printed.contains(&format!("test {} ... FAILED", proof.name));
    let died = if is_told { "" } else { ", which died" };
    Ok(Ended::Failed(format!("{name}{died}")))
}

/// The program that a line of cargo's messages tells of, and the package it is of.
fn program(line: &str) -> Option<(String, Program)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let file = PathBuf::from(message.get("executable")?.as_str()?);
    let (_, id) = message.get("package_id")?.as_str()?.rsplit_once('#')?;
    let (name, _) = id.split_once('@')?;
    let manifest = PathBuf::from(message.get("manifest_path")?.as_str()?);
    let folder = manifest.parent()?.to_owned();
    Some((name.to_owned(), Program { file, folder }))
}
