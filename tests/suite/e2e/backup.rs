//! The centre backed up while people write, lost, and brought back into an empty folder: what was
//! written before and after comes back from the edges by themselves, and what no edge holds any
//! more comes from the backup.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use harness::{
    report::say,
    service::{Service, person::Person, wait},
};
use names::DocumentId;
use serde_json::Value;

use super::{TOWN, begin_case, document, list, note};

/// Cases of Kent's before the backup.
const CASES: usize = 12;
/// Notes that are on disk while the backup is made, before it is looked at.
const NOTES_MEANWHILE: u64 = 5;

/// How long an edge may take to dial again that found no centre for a while.
const HEARD_MAX: Duration = Duration::from_secs(90);

/// Backs the running centre up while a person types, until some of it fell into the backup.
fn back_up_under_load(
    service: &Service,
    person: &mut Person,
    case: DocumentId,
    to: &Path,
) -> Value {
    let (over, typed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                person.does(case, &note("beside the backup")).unwrap();
                typed.fetch_add(1, Ordering::SeqCst);
            }
        });
        while typed.load(Ordering::SeqCst) < NOTES_MEANWHILE {
            std::thread::yield_now();
        }
        let before = typed.load(Ordering::SeqCst);
        let done = service.centre.command(&["backup", to.to_str().unwrap()]);
        let meanwhile = typed.load(Ordering::SeqCst) - before;
        over.store(true, Ordering::SeqCst);
        say(format!("the backup was made beside {meanwhile} notes"));
        assert!(meanwhile > 0, "nothing was written beside it");
        done.unwrap()
    })
}

fn state(service: &Service, case: DocumentId) -> Value {
    document(&service.client("centre").unwrap(), case)["state"].clone()
}

/// How far the entries of a case have got that were written at Kent's edge, as it says.
fn reach(service: &Service, case: DocumentId) -> BTreeSet<String> {
    let view = document(&service.client("kent-a").unwrap(), case);
    let reach = view["reach"].as_object().unwrap().values();
    reach.map(|of| of.as_str().unwrap().to_owned()).collect()
}

/// Kent's edge comes to say so of every entry of a case.
fn reaches(service: &Service, case: DocumentId, far: &str) {
    wait::for_it(&format!("every entry is {far}"), HEARD_MAX, || {
        let reach = reach(service, case);
        let all = BTreeSet::from([far.to_owned()]);
        (reach == all).then_some(()).ok_or(format!("{reach:?}"))
    })
    .unwrap();
}

#[test]
fn a_lost_centre_comes_back_from_its_backup() {
    let mut service = Service::begin("ridgeway-e2e-backup", TOWN, 7, |_| {}).unwrap();
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let mut cara = service.person("bath", "cara", "cara").unwrap();
    let cases: Vec<DocumentId> = (0..CASES)
        .map(|number| begin_case(&mut anna, &format!("case {number}")))
        .collect();
    let bath = begin_case(&mut cara, "a case of Bath's");
    service.rest().unwrap();
    let only_in_backup = state(&service, bath);

    let file = service.folder.path().join("centre.backup");
    let done = back_up_under_load(&service, &mut anna, cases[0], &file);
    assert_eq!(done["documents"], CASES + 1);
    assert_eq!(done["scopes"], 2, "both scopes were computed again: {done}");
    reaches(&service, cases[1], "backed-up");
    let again = service.centre.command(&["backup", file.to_str().unwrap()]);
    assert!(again.is_err(), "a backup does not overwrite another");
    let inside = service.centre.data().join("backup-monday");
    let inside = service
        .centre
        .command(&["backup", inside.to_str().unwrap()]);
    assert!(inside.unwrap_err().contains("in the centre's own folder"));
    back_up_elsewhere(&service);

    // After the backup: entries that the centre acknowledges, and loses with its disk.
    let late = begin_case(&mut anna, "after the backup");
    anna.does(cases[1], &note("after the backup")).unwrap();
    service.rest().unwrap();
    let before: Vec<Value> = cases.iter().map(|case| state(&service, *case)).collect();
    let late_before = state(&service, late);
    reaches(&service, late, "at-the-centre");
    // Bath's edge is gone for good, and with it the only other copy of what Bath wrote.
    service.edges.remove("bath");

    lose_and_restore(&mut service, &file);
    act_again(&service);
    assert_eq!(state(&service, bath), only_in_backup);
    for (case, before) in cases.iter().zip(before) {
        assert_eq!(state(&service, *case), before, "{case} is as it was");
    }
    assert_eq!(state(&service, late), late_before);
    service.centre.command(&["verify"]).unwrap();
    anna.does(late, &note("life goes on")).unwrap();
    service.rest().unwrap();
    reaches(&service, cases[2], "backed-up");
    reaches(&service, late, "at-the-centre");
    let second = service.folder.path().join("second.backup");
    let second = ["backup", second.to_str().unwrap()];
    service.centre.command(&second).unwrap();
    reaches(&service, late, "backed-up");
}

/// A backup onto another disk is a copy, which is held against what was proved. Where there is no
/// other disk there is nothing to see.
fn back_up_elsewhere(service: &Service) {
    let elsewhere = Path::new("/dev/shm");
    if !elsewhere.is_dir() {
        return;
    }
    let file = elsewhere.join(format!("ridgeway-{}.backup", std::process::id()));
    let done = service.centre.command(&["backup", file.to_str().unwrap()]);
    let there = fs::metadata(&file).map(|about| about.len());
    let _ = fs::remove_file(&file);
    let done = done.unwrap();
    assert_eq!(done["bytes"].as_u64(), there.ok());
    assert!(fs::read_dir(service.centre.data()).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        !name.to_string_lossy().starts_with(".spool-")
    }));
}

/// What a restored centre has forgotten nobody knows before every edge was heard, and Bath's is
/// gone: it lets nobody in until somebody says so, and takes rights away all the same.
fn act_again(service: &Service) {
    let devices = service.centre.command(&["device", "list"]).unwrap();
    let bath = list(&devices).iter().find(|row| row["site"] == "bath");
    let bath = bath.unwrap()["id"].as_str().unwrap().to_owned();
    let invite = ["invite", "--site", "kent"];
    let refused = service.centre.command(&invite).unwrap_err();
    assert!(refused.contains("resume"), "{refused}");
    let revoke = ["device", "revoke", &bath, "--lost"];
    service.centre.command(&revoke).unwrap();
    // Once everybody else has been in touch, nothing is left to wait for.
    let code = wait::for_it("every other edge is heard", HEARD_MAX, || {
        service.centre.command(&invite)
    });
    assert!(code.unwrap()["code"].is_string());
    let resumed = service.centre.command(&["resume"]).unwrap();
    assert_eq!(resumed["unheard"], serde_json::json!([]));
}

/// The centre's folder, key file and all, is gone; a backup and the recovery key are left.
fn lose_and_restore(service: &mut Service, file: &Path) {
    let recovery = service.centre.data().with_extension("recovery");
    let words = [
        "restore",
        file.to_str().unwrap(),
        "--recovery",
        recovery.to_str().unwrap(),
    ];
    let refused = service.centre.command(&words);
    assert!(
        refused.is_err(),
        "nothing is restored over a running centre"
    );
    service.centre.kill();
    let refused = service.centre.command(&words);
    assert!(refused.is_err(), "nothing is restored over a store");
    fs::remove_dir_all(service.centre.data()).unwrap();
    fs::remove_file(service.centre.key()).unwrap();

    // A file that was cut off on its way leaves nothing half made.
    let cut = service.folder.path().join("cut.backup");
    let whole = fs::read(file).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let short = ["restore", cut.to_str().unwrap(), "--recovery", words[3]];
    let refused = service.centre.command(&short);
    assert!(refused.unwrap_err().contains("ends too early"));
    assert!(!service.centre.key().exists());
    assert!(!service.centre.data().join("store.redb").exists());

    let done = service.centre.command(&words).unwrap();
    assert_eq!(done["documents"], CASES + 1);
    assert_eq!(done["struck"], 0);
    assert_eq!(done["refused"], serde_json::json!([]));
    let scopes = list(&done["scopes"]);
    assert!(scopes.iter().all(|scope| scope["equal"] == true), "{done}");
    service.start_centre().unwrap();
    service.rest().unwrap();
}
