//! The step `wasm`: every shared crate but `runtime` and `api` must compile for a browser.
//!
//! The standard library of wasm32-unknown-unknown is found in one of three ways, tried in order:
//! it is installed; rustup installs it; on Debian a second compiler is unpacked beside the first
//! and the standard library built from its source. `RIDGEWAY_WASM` names one way to try alone.
//! Checking is enough: what a crate may not do in a browser fails to compile, not to link.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Outcome, tool};

const TARGET: &str = "wasm32-unknown-unknown";

/// The crates a phone runs.
const PACKAGES: [&str; 6] = [
    "ridgeway-names",
    "ridgeway-domain",
    "ridgeway-document",
    "ridgeway-protocol",
    "ridgeway-store",
    "ridgeway-node",
];

/// Debian's compiler for web targets, its host library, the standard library's source and LLVM.
/// They are unpacked, never installed: installed they would displace the toolchain in use.
const DEBIAN: [&str; 5] = [
    "rustc-web",
    "libstd-rust-web-1.96",
    "libstd-rust-web-dev",
    "rust-web-src",
    "libllvm22",
];

/// A way to the target's standard library: `Ok(None)` when this machine does not have it.
type Way = fn() -> Result<Option<Command>, String>;

const WAYS: [(&str, Way); 3] = [
    ("installed", installed),
    ("rustup", rustup),
    ("debian", debian),
];

/// Runs the check in the first way that this machine offers.
pub(crate) fn step() -> Result<Outcome, String> {
    let named = env::var("RIDGEWAY_WASM").ok();
    for (name, way) in WAYS {
        if named.as_deref().is_some_and(|named| named != name) {
            continue;
        }
        match way() {
            Ok(Some(mut cargo)) => {
                println!("wasm: standard library of {TARGET}: {name}");
                tool::run(&mut cargo)?;
                return Ok(Outcome::Passed);
            }
            Ok(None) => println!("wasm: not by way of '{name}'"),
            Err(message) => println!("wasm: not by way of '{name}': {message}"),
        }
    }
    Ok(Outcome::Skipped(format!(
        "no standard library for {TARGET} to be had"
    )))
}

/// `cargo check` of the shared crates, in a target folder of its own so that two compilers never
/// share one.
fn check(folder: &str) -> Command {
    let mut cargo = tool::cargo(&["check", "--quiet", "--locked", "--target", TARGET]);
    // Nothing built here ever runs, but for macros and build scripts: optimising them costs minutes.
    cargo.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo.env("CARGO_TARGET_DIR", tool::target().join(folder));
    cargo
}

fn is_installed() -> bool {
    let args = ["--print", "target-libdir", "--target", TARGET];
    tool::answer(tool::command("rustc").args(args))
        .is_some_and(|folder| Path::new(&folder).is_dir())
}

fn installed() -> Result<Option<Command>, String> {
    Ok(is_installed().then(|| check("wasm")))
}

fn rustup() -> Result<Option<Command>, String> {
    if !tool::has("rustup") {
        return Ok(None);
    }
    tool::run(tool::command("rustup").args(["target", "add", TARGET]))?;
    installed()
}

fn debian() -> Result<Option<Command>, String> {
    if !tool::has("apt-get") || !tool::has("dpkg") {
        return Ok(None);
    }
    // Debian names the folder of its libraries by the machine's triple, without the vendor.
    let Some(libraries) = host().and_then(|host| multiarch(&host)) else {
        return Ok(None);
    };
    let compiler = unpacked()?;
    let mut cargo = check("wasm-debian");
    cargo.arg("-Zbuild-std=std,panic_abort");
    cargo.env("RUSTC", compiler.join("usr/bin/rustc"));
    cargo.env("LD_LIBRARY_PATH", compiler.join("usr/lib").join(libraries));
    // The one place that may ask a stable compiler for an unstable flag: building the standard
    // library from source has no stable form.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    Ok(Some(cargo))
}

/// The triple of this machine, as its compiler says it.
fn host() -> Option<String> {
    let said = tool::answer(tool::command("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(host.to_owned())
}

/// What Debian calls a machine; nothing for one that is no GNU system.
fn multiarch(host: &str) -> Option<String> {
    let (machine, system) = host.split_once("-unknown-")?;
    (system == "linux-gnu").then(|| format!("{machine}-linux-gnu"))
}

/// The unpacked compiler, kept outside the clone because it is 850 MB and 150 MB to fetch. The
/// folder gets its name only when it is whole, so a killed run leaves nothing that looks usable.
fn unpacked() -> Result<PathBuf, String> {
    let home = tool::cache()
        .unwrap_or_else(tool::target)
        .join("ridgeway-wasm");
    let whole = home.join(DEBIAN.join("+"));
    if whole.is_dir() {
        return Ok(whole);
    }
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    let packages = home.join("packages");
    let partial = home.join("partial");
    for folder in [&packages, &partial] {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
    }
    download(&packages)?;
    for file in fs::read_dir(&packages).map_err(failed)? {
        let file = file.map_err(failed)?.path();
        tool::run(tool::command("dpkg").arg("-x").args([&file, &partial]))?;
    }
    fs::rename(&partial, &whole).map_err(failed)?;
    fs::remove_dir_all(&packages).map_err(failed)?;
    Ok(whole)
}

/// Fetches the packages; when the list of packages is missing or old, renews it once (needs root).
fn download(folder: &Path) -> Result<(), String> {
    let fetch = || {
        let mut apt = tool::command("apt-get");
        tool::run(
            apt.args(["--quiet=2", "download"])
                .args(DEBIAN)
                .current_dir(folder),
        )
    };
    fetch().or_else(|_| {
        tool::run(tool::command("apt-get").args(["--quiet=2", "update"]))?;
        fetch()
    })
}

#[cfg(test)]
mod tests {
    use super::multiarch;

    #[test]
    fn debian_has_a_name_of_its_own_for_a_machine() {
        let named = |host| multiarch(host);
        let intel = named("x86_64-unknown-linux-gnu");
        assert_eq!(intel.as_deref(), Some("x86_64-linux-gnu"));
        let arm = named("aarch64-unknown-linux-gnu");
        assert_eq!(arm.as_deref(), Some("aarch64-linux-gnu"));
        assert_eq!(named("x86_64-unknown-linux-musl"), None);
        assert_eq!(named("aarch64-apple-darwin"), None);
    }
}
