//! The mutants: each still fits the file that it is about, and the tests that it names are there.
//! `cargo mutants-core` tries them.

use harness::mutants::{MUTANTS, misfits};

use super::{assert_none, root, texts};

#[test]
fn every_mutant_fits_its_file() {
    let misfits = misfits(&root()).unwrap_or_else(|error| panic!("a mutant's file: {error}"));
    assert_none(misfits, "mutants that no longer fit:");
}

#[test]
fn every_test_that_a_mutant_names_is_there() {
    let all: String = texts()
        .filter(|(name, _)| name.ends_with(".rs"))
        .map(|(_, text)| text)
        .collect();
    let mut findings = Vec::new();
    for mutant in MUTANTS {
        for proof in mutant.proofs {
            let name = proof.name;
            let test = name.rsplit("::").next().unwrap_or(name);
            if !all.contains(&format!("fn {test}()")) {
                findings.push(format!("{}: {name}", mutant.name));
            }
        }
    }
    assert_none(findings, "tests that mutants name and nobody has:");
}
