use super::*;
use crate::testing::{TENANT, key, placement, scope};

fn derived(by: &DeviceKey, at: i64) -> Placement {
    Placement {
        kind: Kind::SESSION,
        at: Moment(at),
        root: Some(Root {
            site: "devizes".parse().unwrap(),
            venue: "town-hall".to_owned(),
            date: "2026-11-24".to_owned(),
            start: "14:00".to_owned(),
        }),
        ..placement(by)
    }
}

fn id(key: &DeviceKey, placement: &Placement) -> PlacementId {
    SignedPlacement::sign(key, &TENANT, placement)
        .claim()
        .unwrap()
        .0
}

#[test]
fn a_placement_proves_what_it_says() {
    let [mine, theirs] = [key(1), key(2)];
    let said = placement(&mine);
    let signed = SignedPlacement::sign(&mine, &TENANT, &said);
    let proven = signed
        .verify(&TENANT, &mine.public(), &Proven::default())
        .unwrap();
    assert_eq!(proven, (id(&mine, &said), said));
    assert_eq!(
        signed.verify(&TENANT, &theirs.public(), &Proven::default()),
        Err(Reason::UnknownSigner)
    );
    let stranger = TenantId([0; 16]);
    assert_eq!(
        signed.verify(&stranger, &mine.public(), &Proven::default()),
        Err(Reason::BadSignature)
    );
    let forged = SignedPlacement::sign(&theirs, &TENANT, &placement(&mine));
    assert_eq!(
        forged.verify(&TENANT, &mine.public(), &Proven::default()),
        Err(Reason::BadSignature)
    );
}

#[test]
fn two_sites_that_create_one_register_make_one_placement() {
    let [here, there] = [key(1), key(2)];
    assert_eq!(
        id(&here, &derived(&here, 1)),
        id(&there, &derived(&there, 2))
    );
    let mut elsewhere = derived(&here, 1);
    elsewhere.scopes.insert(scope("site:devizes/safeguarding"));
    assert_ne!(id(&here, &derived(&here, 1)), id(&here, &elsewhere));
    // What is not derived is two documents' worth of placements.
    let later = Placement {
        at: Moment(0),
        ..placement(&here)
    };
    assert_ne!(id(&here, &placement(&here)), id(&here, &later));
}

fn later(by: &DeviceKey) -> Placement {
    Placement {
        previous: Some(PlacementId([7; 16])),
        reason: Some(TransferReason::MovedHome),
        ..placement(by)
    }
}

#[test]
fn what_leaves_a_scope_says_why_and_a_register_does_not_leave() {
    let device = key(1);
    let scopes = |texts: &[&str]| texts.iter().map(|text| scope(text)).collect();
    let before = Placement {
        scopes: scopes(&["site:devizes", "site:bath"]),
        ..placement(&device)
    };
    let moved = Placement {
        scopes: scopes(&["site:kent", "site:bath"]),
        ..later(&device)
    };
    assert_eq!(moved.check_leaving(&before, None), Ok(()));
    let silent = Placement {
        reason: None,
        ..moved.clone()
    };
    assert_eq!(silent.check_leaving(&before, None), Err(Reason::Malformed));
    let wider = Placement {
        scopes: scopes(&["site:kent", "site:devizes", "site:bath"]),
        reason: None,
        ..moved
    };
    assert_eq!(wider.check_leaving(&before, None), Ok(()));
    // A register may leave another site again, and never its own.
    let root = derived(&device, 1).root;
    let register = |texts: &[&str]| Placement {
        kind: Kind::SESSION,
        scopes: scopes(texts),
        ..later(&device)
    };
    let both = register(&["site:devizes", "site:bath"]);
    let home = register(&["site:devizes"]);
    let away = register(&["site:bath"]);
    assert_eq!(home.check_leaving(&both, root.as_ref()), Ok(()));
    assert_eq!(
        away.check_leaving(&both, root.as_ref()),
        Err(Reason::NotAllowed)
    );
}

#[test]
fn a_first_placement_leaves_nothing() {
    let device = key(1);
    let reasoned = Placement {
        previous: None,
        ..later(&device)
    };
    check(&reasoned, Err(Reason::Malformed));
    let seeing = Placement {
        heads: vec![ChangeHash([1; 32])],
        ..placement(&device)
    };
    check(&seeing, Err(Reason::Malformed));
    check(&later(&device), Ok(()));
}

fn check(placement: &Placement, answer: Result<(), Reason>) {
    assert_eq!(placement.check(), answer, "{placement:?}");
    let signed = SignedPlacement::sign(&key(1), &TENANT, placement);
    assert_eq!(
        signed
            .verify(&TENANT, &key(1).public(), &Proven::default())
            .is_ok(),
        answer.is_ok()
    );
}

#[test]
fn a_placement_names_scopes_that_its_root_allows() {
    let with_scopes = |scopes: &[&str]| Placement {
        scopes: scopes.iter().map(|text| scope(text)).collect(),
        ..derived(&key(1), 1)
    };
    check(&derived(&key(1), 1), Ok(()));
    check(
        &with_scopes(&["site:devizes", "site:devizes/safeguarding"]),
        Ok(()),
    );
    check(
        &Placement {
            root: None,
            ..with_scopes(&["site:bath", "caseload:w-17"])
        },
        Ok(()),
    );
    for scopes in [
        &[][..],
        &["directory"],
        &["site:devizes", "site:bath"],
        &["site:bath/safeguarding"],
        &["caseload:w-17"],
    ] {
        check(&with_scopes(scopes), Err(Reason::Malformed));
    }
    let later = Placement {
        previous: Some(PlacementId([0; 16])),
        ..derived(&key(1), 1)
    };
    check(&later, Err(Reason::Malformed));
}

#[test]
fn a_placement_is_bounded() {
    let many = (0..=PLACEMENT_SCOPES_MAX)
        .map(|n| scope(&format!("site:s{n}")))
        .collect();
    check(
        &Placement {
            scopes: many,
            ..placement(&key(1))
        },
        Err(Reason::TooLarge),
    );
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    let mut crowded = later(&key(1));
    crowded.heads = vec![ChangeHash([1; 32]); PLACEMENT_HEADS_MAX];
    check(&crowded, Ok(()));
    crowded.heads.push(ChangeHash([1; 32]));
    check(&crowded, Err(Reason::TooLarge));
    let mut far = derived(&key(1), 1);
    far.root = far.root.map(|root| Root {
        venue: long,
        ..root
    });
    check(&far, Err(Reason::TooLarge));
}

#[test]
fn scopes_out_of_order_are_refused() {
    let device = key(1);
    let scopes = BTreeSet::from([scope("site:bath"), scope("site:kent")]);
    let payload = codec::encode(&Placement {
        scopes,
        ..placement(&device)
    });
    let mut swapped = payload.clone();
    for (place, window) in payload.windows(4).enumerate() {
        let other: &[u8] = match window {
            b"bath" => b"kent",
            b"kent" => b"bath",
            _ => continue,
        };
        swapped.splice(place..place + 4, other.iter().copied());
    }
    assert_ne!(swapped, payload);
    let payload = swapped;
    let message = hash::message(label::PLACEMENT, &TENANT, &[], &payload);
    let forged = SignedPlacement {
        signature: device.sign(&message),
        payload,
    };
    assert_eq!(
        forged.verify(&TENANT, &device.public(), &Proven::default()),
        Err(Reason::Malformed)
    );
}

#[test]
fn what_people_wrote_is_not_printed() {
    let device = key(1);
    let said = derived(&device, 1);
    let printed = format!(
        "{said:?} {:?}",
        SignedPlacement::sign(&device, &TENANT, &said)
    );
    assert!(!printed.contains("town-hall"), "{printed}");
}
