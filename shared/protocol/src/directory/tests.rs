use names::{
    ChangeHash, Mark,
    limits::{LINE_BYTES_MAX, SIGNED_BYTES_MAX},
};
use proptest::prelude::*;

use super::*;
use crate::{
    codec,
    hash::{self, label},
    signed::DeviceKey,
    testing::{TENANT, issue, key, scope, statement},
};

fn authority() -> DeviceKey {
    key(9)
}

fn directory(statements: &[SignedStatement]) -> Directory {
    let mut directory = Directory::new(TENANT, authority().public());
    for statement in statements {
        directory.admit(statement).unwrap();
    }
    directory
}

fn site(id: &str, name: &str) -> Statement {
    Statement::Site(Site {
        id: id.parse().unwrap(),
        name: name.to_owned(),
    })
}

fn worker(id: &str, name: &str) -> Statement {
    Statement::Worker(Worker {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        site: "bath".parse().unwrap(),
        roles: ["practitioner".parse().unwrap()].into(),
    })
}

fn device(seed: u8, kind: DeviceKind, grants: &[(&str, Rights)]) -> Statement {
    Statement::Device(Device {
        key: key(seed).public(),
        kind,
        name: "a laptop".to_owned(),
        grants: grants
            .iter()
            .map(|(at, rights)| Grant {
                scope: scope(at),
                rights: *rights,
            })
            .collect(),
        site: Some("bath".parse().unwrap()),
        worker: None,
    })
}

fn site_rights() -> Rights {
    Rights::READ.with(Rights::WRITE).with(Rights::PLACE)
}

/// Signs bytes as the authority, whatever they are.
fn signed(payload: Vec<u8>) -> SignedStatement {
    let message = hash::message(label::STATEMENT, &TENANT, &[], &payload);
    SignedStatement {
        signature: authority().sign(&message),
        payload,
    }
}

#[test]
fn only_the_authority_of_this_tenant_is_believed() {
    let mut directory = directory(&[]);
    let said = issue(1, 1, site("bath", "Bath"));
    let forged = SignedStatement::sign(&key(1), &TENANT, &said).unwrap();
    assert_eq!(directory.admit(&forged), Err(Reason::BadSignature));
    let elsewhere = SignedStatement::sign(&authority(), &TenantId([0; 16]), &said).unwrap();
    assert_eq!(directory.admit(&elsewhere), Err(Reason::BadSignature));
    let unreadable = signed(vec![0xFF]);
    assert_eq!(directory.admit(&unreadable), Err(Reason::Malformed));
    let too_large = signed(vec![0; SIGNED_BYTES_MAX + 1]);
    assert_eq!(directory.admit(&too_large), Err(Reason::TooLarge));
    assert_eq!(
        (directory.count(), directory.digest()),
        (0, LtHash::new().value())
    );

    let proven = SignedStatement::sign(&authority(), &TENANT, &said).unwrap();
    assert_eq!(directory.admit(&proven), Ok(true));
    assert_eq!(directory.admit(&proven), Ok(false));
    assert_eq!(
        (directory.count(), directory.statement(&proven.id())),
        (1, Some(&proven))
    );
    assert_eq!(directory.sites().next().unwrap().name, "Bath");
}

#[test]
fn a_placement_is_not_taken_for_a_statement() {
    let statement = statement(1, 1, site("bath", "Bath"));
    let message = hash::message(label::PLACEMENT, &TENANT, &[], &statement.payload);
    let crossed = SignedStatement {
        signature: authority().sign(&message),
        ..statement
    };
    assert_eq!(directory(&[]).admit(&crossed), Err(Reason::BadSignature));
}

#[test]
fn the_latest_word_about_a_thing_counts() {
    let words = [
        statement(1, 10, worker("w-1", "Ann")),
        statement(2, 30, worker("w-1", "Ann Smith")),
        // A restored authority counts from the beginning again, but its clock went on.
        statement(1, 40, worker("w-1", "Ann Jones")),
        statement(3, 40, worker("w-2", "Bob")),
        statement(4, 40, worker("w-2", "Bob Brown")),
        statement(
            9,
            20,
            Statement::WorkerDisabled {
                worker: "w-2".parse().unwrap(),
            },
        ),
        statement(5, 50, worker("w-2", "Bob Brown")),
    ];
    let directory = directory(&words);
    let name = |id: &str| directory.worker(&id.parse().unwrap()).unwrap().name.clone();
    assert_eq!([name("w-1"), name("w-2")], ["Ann Jones", "Bob Brown"]);
    let disabled = |id: &str| directory.is_disabled(&id.parse().unwrap());
    assert_eq!(
        [disabled("w-1"), disabled("w-2")],
        [false, true],
        "nothing enables again"
    );
    assert_eq!(directory.latest(), Some(Moment(50)));
    assert_eq!(directory.next_number(&Incarnation([0x66; 16])), 10);
    assert_eq!(directory.next_number(&Incarnation([0; 16])), 1);
}

#[test]
fn devices_may_do_what_they_were_granted() {
    let bath = [
        ("site:bath", site_rights()),
        ("site:bath/safeguarding", Rights::READ),
    ];
    let directory = directory(&[
        statement(1, 1, site("bath", "Bath")),
        statement(2, 2, site("kent", "Kent")),
        statement(3, 3, device(1, DeviceKind::Centre, &[])),
        statement(4, 4, device(2, DeviceKind::Edge, &bath)),
        statement(
            5,
            5,
            device(3, DeviceKind::Phone, &[("caseload:w-1", Rights::WRITE)]),
        ),
    ]);
    let [centre, edge, phone, stranger] = [1, 2, 3, 4].map(|seed| key(seed).device_id());
    let rights = |device, at: &str| directory.rights(device, &scope(at));
    assert_eq!(rights(&edge, "site:bath"), site_rights());
    assert!(!rights(&edge, "site:bath").contains(Rights::REVIEW));
    assert_eq!(rights(&edge, "site:kent"), Rights::NONE);
    assert_eq!(rights(&phone, "caseload:w-1"), Rights::WRITE);
    assert_eq!(rights(&centre, "caseload:anyone"), Rights::ALL);
    for device in [&centre, &edge, &phone] {
        assert_eq!(rights(device, "directory"), Rights::READ);
    }
    assert_eq!(rights(&stranger, "directory"), Rights::NONE);

    let scopes = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| scope(text))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        directory.scopes_of(&edge),
        scopes(&["site:bath", "site:bath/safeguarding"])
    );
    assert_eq!(
        directory.scopes_of(&phone),
        scopes(&[]),
        "writing is not reading"
    );
    assert_eq!(directory.scopes_of(&stranger), scopes(&[]));
    assert_eq!(
        directory.scopes_of(&centre),
        scopes(&[
            "site:bath",
            "site:bath/safeguarding",
            "site:kent",
            "caseload:w-1"
        ])
    );

    assert!(directory.may_place(&edge, &scopes(&["site:bath"])));
    assert!(!directory.may_place(&edge, &scopes(&["site:bath", "site:kent"])));
    assert!(!directory.may_place(&edge, &scopes(&[])));
    assert!(directory.may_place(&centre, &scopes(&["site:bath", "site:kent"])));
    assert_eq!(directory.signer(&edge), Ok(key(2).public()));
    assert_eq!(directory.signer(&stranger), Err(Reason::UnknownSigner));
}

#[test]
fn what_a_newer_authority_says_is_kept_without_effect() {
    // [authority, number, at, 900, body], [.., 3, a worker this version cannot read].
    let head = [[0x85, 0x50].as_slice(), &[0x66; 16], &[1, 2]].concat();
    let newer = signed([head.as_slice(), &[0x19, 0x03, 0x84, 0x41, 0x00]].concat());
    let other = signed([head.as_slice(), &[0x03, 0x41, 0xFF]].concat());
    let directory = directory(&[newer.clone(), other]);
    assert_eq!(directory.count(), 2);
    assert_eq!(directory.workers().count(), 0);
    let said = newer.verify(&TENANT, &authority().public()).unwrap();
    assert_eq!(said, issue(1, 2, Statement::Unknown));
    assert_eq!(
        SignedStatement::sign(&authority(), &TENANT, &said),
        Err(Reason::Malformed),
        "what cannot be read cannot be said"
    );
}

#[test]
fn the_authority_says_nothing_that_would_not_read_back() {
    let sign = |statement| SignedStatement::sign(&authority(), &TENANT, &issue(1, 1, statement));
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    assert_eq!(sign(site("bath", &long)), Err(Reason::Malformed));
    assert!(sign(site("bath", &long[1..])).is_ok());
    let many: Vec<String> = (0..1_000).map(|n| format!("caseload:worker-{n}")).collect();
    let many: Vec<(&str, Rights)> = many.iter().map(|at| (at.as_str(), Rights::ALL)).collect();
    assert_eq!(
        sign(device(1, DeviceKind::Edge, &many)),
        Err(Reason::TooLarge)
    );
    assert!(sign(device(1, DeviceKind::Other(7), &many[..100])).is_ok());
}

#[test]
fn a_newer_field_of_a_known_statement_is_skipped() {
    let Statement::Site(bath) = site("bath", "Bath") else {
        panic!()
    };
    let mut body = codec::encode(&bath);
    if let Some(first) = body.first_mut() {
        *first += 1;
    }
    body.extend([0x61, b'x']);
    let length = u8::try_from(body.len()).unwrap();
    let payload = [
        [0x85, 0x50].as_slice(),
        &[0x66; 16],
        &[1, 2, 2, 0x40 + length],
        &body,
    ];
    let directory = directory(&[signed(payload.concat())]);
    assert_eq!(directory.site(&bath.id), Some(&bath));
}

#[test]
fn names_of_people_are_not_printed() {
    let said = statement(1, 1, worker("w-1", "Ann Smith"));
    let directory = directory(std::slice::from_ref(&said));
    let read = said.verify(&TENANT, &authority().public());
    let printed = format!(
        "{said:?} {read:?} {directory:?} {:?}",
        directory.workers().next()
    );
    assert!(
        printed.contains("w-1") && !printed.contains("Ann"),
        "{printed}"
    );
}

/// Everything that can be asked of a directory.
fn seen(directory: &Directory) -> String {
    let names: Vec<&str> = directory
        .workers()
        .map(|worker| worker.name.as_str())
        .collect();
    let disabled: Vec<bool> = directory
        .workers()
        .map(|worker| directory.is_disabled(&worker.id))
        .collect();
    let devices: Vec<_> = directory.devices().collect();
    let sites: Vec<_> = directory.sites().collect();
    let revoked: Vec<_> = devices
        .iter()
        .map(|(id, _)| (directory.revoked(id), directory.purged(id)))
        .collect();
    let marks: Vec<_> = every_stretch().map(|one| directory.marks(&one)).collect();
    format!(
        "{} {:?} {:?} {names:?} {disabled:?} {devices:?} {sites:?} {revoked:?} {marks:?} {:?}",
        directory.digest(),
        directory.ids().collect::<Vec<_>>(),
        directory.organisation(),
        directory.latest(),
    )
}

fn revoked(seed: u8, lost: bool, held: i64) -> Statement {
    Statement::DeviceRevoked(Revocation {
        device: key(seed).device_id(),
        lost,
        held: Some(Moment(held)),
    })
}

const LINE: (DocumentId, ActorId) = (DocumentId([0x22; 16]), ActorId([0xBB; 16]));

fn handed_in(seed: u8, first: u64, last: u64) -> Statement {
    let (document, actor) = LINE;
    Statement::HandedIn(HandedIn {
        device: key(seed).device_id(),
        lines: vec![HandedInLine {
            document,
            actor,
            first,
            last,
        }],
    })
}

fn written(seed: u8, (first, last): (u64, u64), worker: &str, seen: i64) -> Written {
    let (document, actor) = LINE;
    Written {
        document,
        actor,
        first,
        last,
        device: key(seed).device_id(),
        worker: worker.parse().unwrap(),
        directory_seen: Moment(seen),
    }
}

fn every_stretch() -> impl Iterator<Item = Written> {
    (0u8..3).flat_map(|which| {
        (0i64..3).map(move |seen| {
            let first = u64::from(which) + 1;
            written(which, (first, first + 1), &format!("x-{which}"), seen)
        })
    })
}

#[test]
fn a_revoked_device_may_do_nothing_and_is_still_believed() {
    let edge = key(2).device_id();
    let known = device(2, DeviceKind::Edge, &[("site:bath", site_rights())]);
    let place: BTreeSet<ScopeId> = [scope("site:bath")].into();
    let words = [
        statement(1, 10, site("bath", "Bath")),
        statement(2, 20, known.clone()),
        statement(3, 30, revoked(2, false, 29)),
        // Being made known again gives nothing back.
        statement(4, 40, known),
        statement(5, 50, revoked(2, true, 0)),
        statement(6, 60, Statement::DevicePurged(Purge { device: edge })),
    ];
    let directory = directory(&words);
    assert!(directory.is_revoked(&edge) && !directory.is_revoked(&key(1).device_id()));
    for at in ["site:bath", "directory"] {
        assert_eq!(directory.rights(&edge, &scope(at)), Rights::NONE);
    }
    assert_eq!(directory.scopes_of(&edge), BTreeSet::new());
    assert!(!directory.may_place(&edge, &place));
    // Admission is not standing: what it signed is still proven, and stays placed.
    assert!(directory.might_place(&edge, &place));
    assert_eq!(directory.signer(&edge), Ok(key(2).public()));
    let known = directory.revoked(&edge).unwrap();
    assert_eq!((known.at, known.held), (Moment(30), Some(Moment(29))));
    assert!(known.is_lost(), "that it is lost may be found out later");
    assert_eq!(directory.purged(&edge), Some(Moment(60)));
    let told = directory.revocation(&edge);
    assert!(told.len() == 2 && told.contains(&words[2]) && told.contains(&words[4]));
    assert_eq!(directory.revocation(&key(1).device_id()), []);
}

#[test]
fn what_travels_under_one_signature_is_judged_change_by_change() {
    let stretches = [(5, 6), (6, 9), (12, 12), (20, u64::MAX)];
    let words: Vec<_> = stretches
        .iter()
        .zip(1..)
        .map(|((first, last), number)| statement(number, 10, handed_in(2, *first, *last)))
        .collect();
    let directory = directory(&words);
    for (first, last) in [(1, 4), (1, 30), (6, 6), (7, 12), (10, 11), (22, 23)] {
        let whole = written(2, (first, last), "w-1", 0);
        let parts = directory.alike(&whole);
        let mut next = first;
        for part in &parts {
            assert_eq!((part.first, part.last >= part.first), (next, true));
            for change in part.first..=part.last {
                let alone = directory.marks(&written(2, (change, change), "w-1", 0));
                assert_eq!(alone, directory.marks(part), "change {change}");
            }
            next = part.last + 1;
        }
        assert_eq!(next, last + 1);
    }
}

#[test]
fn changes_are_marked_by_what_their_writer_had_seen() {
    let disabled = Statement::WorkerDisabled {
        worker: "w-2".parse().unwrap(),
    };
    let directory = directory(&[
        statement(1, 10, device(2, DeviceKind::Edge, &[])),
        statement(2, 20, disabled),
        statement(3, 30, revoked(2, false, 0)),
        statement(4, 40, handed_in(2, 5, 6)),
    ]);
    let marks = |seed, stretch, worker, seen| {
        let marks = directory.marks(&written(seed, stretch, worker, seen));
        marks.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(marks(2, (1, 4), "w-1", 29), [], "it could not know");
    assert_eq!(marks(2, (1, 4), "w-1", 30), [Mark::DeviceRevoked]);
    assert_eq!(marks(3, (1, 4), "w-1", 30), []);
    assert_eq!(marks(3, (1, 4), "w-2", 19), []);
    assert_eq!(marks(3, (1, 4), "w-2", 20), [Mark::WorkerDisabled]);
    assert_eq!(marks(2, (4, 5), "w-1", 0), [Mark::ArrivedLate]);
    assert_eq!(marks(2, (6, 9), "w-1", 0), [Mark::ArrivedLate]);
    assert_eq!(marks(2, (7, 9), "w-1", 0), []);
    assert_eq!(marks(3, (4, 5), "w-1", 0), [], "another has handed it in");
    let all = [Mark::DeviceRevoked, Mark::ArrivedLate, Mark::WorkerDisabled];
    assert_eq!(marks(2, (5, 5), "w-2", 99), all);
}

#[test]
fn a_statement_holds_as_many_lines_as_promised() {
    let Statement::HandedIn(mut many) = handed_in(2, u64::MAX, u64::MAX) else {
        panic!()
    };
    many.lines = vec![many.lines[0]; HANDED_IN_LINES_MAX];
    let sign = |said: &HandedIn| {
        let said = issue(1, 1, Statement::HandedIn(said.clone()));
        SignedStatement::sign(&authority(), &TENANT, &said).map(|_| ())
    };
    assert_eq!(sign(&many), Ok(()));
    many.lines.push(many.lines[0]);
    assert!(sign(&many).is_err());
}

fn statements() -> impl Strategy<Value = Vec<SignedStatement>> {
    let one =
        (0u8..10, 0u8..3, 0u64..3, 0i64..3, 0u8..2).prop_map(|(what, which, number, at, n)| {
            let id = format!("x-{which}");
            let said = match what {
                0 => Statement::Organisation {
                    name: format!("Organisation {n}"),
                },
                1 => site(&id, &format!("Site {n}")),
                2 => Statement::WorkerDisabled {
                    worker: id.parse().unwrap(),
                },
                3 => device(
                    which,
                    [DeviceKind::Edge, DeviceKind::Phone][usize::from(n)],
                    &[],
                ),
                4 => revoked(which, n == 1, at),
                5 => Statement::DevicePurged(Purge {
                    device: key(which).device_id(),
                }),
                6 => handed_in(which, number + 1, number + u64::from(n)),
                _ => worker(&id, &format!("Worker {n}")),
            };
            statement(number, at, said)
        });
    proptest::collection::vec(one, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_same_statements_make_the_same_directory(
        (one, other) in statements()
            .prop_flat_map(|said| (Just(said.clone()), Just(said).prop_shuffle()))
    ) {
        prop_assert_eq!(seen(&directory(&one)), seen(&directory(&other)));
    }

    #[test]
    fn nothing_takes_a_revocation_back(before in statements(), after in statements(), lost: bool) {
        let said = statement(1, 1, revoked(1, lost, 0));
        let edge = key(1).device_id();
        let all: Vec<_> = before.into_iter().chain([said]).chain(after).collect();
        let directory = directory(&all);
        prop_assert!(directory.is_revoked(&edge));
        prop_assert!(directory.revoked(&edge).is_some_and(|known| known.at <= Moment(1)));
        prop_assert!(!lost || directory.revoked(&edge).is_some_and(Revoked::is_lost));
        prop_assert_eq!(directory.rights(&edge, &scope("directory")), Rights::NONE);
    }
}

/// Whoever was told half of the directory said that it had seen all up to the latest of it.
#[test]
fn statements_are_passed_on_in_the_order_in_which_they_were_made() {
    let made: Vec<SignedStatement> = (1..=20i64)
        .map(|at| statement(at.unsigned_abs(), at, site("bath", &format!("Bath {at}"))))
        .collect();
    let ids: Vec<StatementId> = made.iter().map(SignedStatement::id).collect();
    assert!(!ids.is_sorted(), "their ids are in another order");
    let mut last_first = made.clone();
    last_first.reverse();
    let directory = directory(&last_first);
    let told: Vec<StatementId> = directory.in_order().map(|(id, _)| id).collect();
    assert_eq!(told, ids);
}

#[test]
fn the_first_ruling_on_concurrent_placements_stands() {
    let (document, previous) = (DocumentId([1; 16]), Some(PlacementId([2; 16])));
    let ruling = |previous, stands: u8| {
        Statement::Ruling(Ruling {
            document,
            previous,
            stands: PlacementId([stands; 16]),
        })
    };
    let said = [
        statement(4, 50, ruling(previous, 3)),
        // A centre that came back from before that ruled again.
        statement(1, 60, ruling(previous, 4)),
        statement(2, 60, ruling(None, 5)),
    ];
    let mut reversed = said.clone();
    reversed.reverse();
    for said in [said, reversed] {
        let known = directory(&said);
        let stands = |previous| known.ruling(document, previous);
        assert_eq!(stands(previous), Some(PlacementId([3; 16])));
        assert_eq!(stands(None), Some(PlacementId([5; 16])));
        assert_eq!(stands(Some(PlacementId([9; 16]))), None);
        assert_eq!(known.ruling(DocumentId([2; 16]), previous), None);
    }
}

#[test]
fn the_first_ruling_on_a_branch_stands() {
    let (document, other) = (DocumentId([1; 16]), DocumentId([2; 16]));
    let ruling = |document, seq, stands: u8| BranchRuling {
        document,
        actor: ActorId([7; 16]),
        seq,
        stands: BranchName([stands; 16]),
    };
    let said = [
        statement(4, 50, Statement::Branch(ruling(document, 3, 3))),
        // A centre that came back from before that ruled again.
        statement(1, 60, Statement::Branch(ruling(document, 3, 4))),
        statement(2, 60, Statement::Branch(ruling(document, 9, 5))),
        statement(3, 60, Statement::Branch(ruling(other, 1, 6))),
    ];
    let mut reversed = said.clone();
    reversed.reverse();
    for said in [said, reversed] {
        let known = directory(&said);
        let of: Vec<_> = known.branches(document).collect();
        assert_eq!(of, [ruling(document, 3, 3), ruling(document, 9, 5)]);
        let branched: Vec<_> = known.branched().collect();
        assert_eq!(branched, [document, other]);
        assert_eq!(known.branches(DocumentId([3; 16])).count(), 0);
    }
}

#[test]
fn a_branch_is_named_for_members_alone() {
    let name = |key: u8, document: u8, actor: u8, change: u8| {
        BranchName::of(
            &[key; 32],
            &DocumentId([document; 16]),
            &ActorId([actor; 16]),
            &ChangeHash([change; 32]),
        )
    };
    let names = [
        name(1, 1, 1, 1),
        name(2, 1, 1, 1),
        name(1, 2, 1, 1),
        name(1, 1, 2, 1),
        name(1, 1, 1, 2),
    ];
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert_eq!(names[0].to_string(), "01644de0a3aa7a4c5dde830f0b25c6e6");
}
