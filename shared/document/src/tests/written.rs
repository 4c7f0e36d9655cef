//! What is written, change by change, and what a newer version may have written.

use automerge::{ActorId as AutoActorId, ObjType, ReadDoc, ScalarValue, transaction::Transactable};
use domain::{Entry, Flaw, FlawAt, Refusal};
use names::Reason;

use super::*;
use crate::{preflight, schema};

#[test]
fn one_command_is_one_change_in_its_actors_line() {
    let mut replica = Replica::new(Kind::CASE, 1);
    let genesis = replica.doc.heads();
    let first = replica.perform(&open_case(), entry(1)).unwrap();
    assert_eq!(first.header.deps, genesis);
    let second = Moment(NOW.0 / 1_000 * 1_000);
    assert_eq!((first.header.seq, first.header.time), (1, second));
    let second = replica.perform(&note("hello"), entry(2)).unwrap();
    assert_eq!(second.header.deps, [first.header.hash]);
    assert_eq!(second.header.seq, 2);
    assert_eq!(replica.doc.heads(), [second.header.hash]);
    assert_eq!(preflight::header(&second.chunk), Ok(second.header.clone()));
    assert_eq!(
        preflight::header_for(Kind::SESSION, &second.chunk),
        Err(Reason::Malformed)
    );
}

#[test]
fn an_actors_next_change_names_its_last_even_after_a_merge() {
    let (mut one, mut other) = (Replica::new(Kind::CASE, 1), Replica::new(Kind::CASE, 2));
    let opened = one.perform(&open_case(), entry(1)).unwrap();
    other.merge(&one, &mut Chance::new(1));
    let theirs = other.perform(&note("theirs"), entry(2)).unwrap();
    one.merge(&other, &mut Chance::new(1));
    let ours = one.perform(&note("ours"), entry(3)).unwrap();
    assert!(ours.header.deps.contains(&opened.header.hash));
    assert!(ours.header.deps.contains(&theirs.header.hash));
}

#[test]
fn what_was_recorded_is_not_written_again() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    replica.perform(&note("hello"), entry(2)).unwrap();
    let heads = replica.doc.heads();
    let mut again =
        |command: &Command| perform(&mut replica.doc, actor(1), command, entry(2), &by(1), NOW);
    assert_eq!(again(&note("hello")), Ok(None));
    assert_eq!(again(&note("other")), Err(Refusal::EntryIdUsed));
    assert_eq!(replica.doc.heads(), heads);
}

#[test]
fn a_change_that_could_not_be_sent_is_not_kept() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    let before = (replica.doc.heads(), replica.doc.read());
    let mut refused = |who: ActorId, now: Moment| {
        perform(&mut replica.doc, who, &note("hello"), entry(2), &by(1), now)
    };
    // A clock far in the future, and the actor of a genesis.
    assert_eq!(
        refused(actor(1), Moment(i64::MAX)),
        Err(Refusal::NotWritten)
    );
    let fixed = crate::genesis::genesis(Kind::SESSION).unwrap().actor;
    assert_eq!(refused(fixed, NOW), Err(Refusal::NotWritten));
    assert_eq!((replica.doc.heads(), replica.doc.read()), before);
    assert!(replica.perform(&note("hello"), entry(3)).is_some());
}

#[test]
fn a_full_text_edit_passes_its_own_preflight() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    replica
        .perform(&edit(0, 0, &"word ".repeat(3_000)), entry(2))
        .unwrap();
    replica.perform(&edit(100, 9_000, ""), entry(3)).unwrap();
    assert_eq!(replica.doc.state().prose().length(), 6_000);
}

#[test]
fn chunks_may_come_twice_late_and_in_any_order() {
    let mut writer = Replica::new(Kind::CASE, 1);
    writer.perform(&open_case(), entry(1)).unwrap();
    for n in 2..6 {
        writer.perform(&note("a note"), entry(n)).unwrap();
    }
    let chunks = writer.doc.history.chunks()[1..].to_vec();
    let mut reader = Document::new(Kind::CASE).unwrap();
    let missing = |flaws: Vec<Flaw>| {
        flaws
            .iter()
            .filter(|f| f.reason == Reason::MissingDependency)
            .count()
    };
    assert_eq!(missing(reader.apply(&[&chunks[4], &chunks[2]])), 2);
    assert_eq!(reader.heads(), Document::new(Kind::CASE).unwrap().heads());
    assert_eq!(missing(reader.apply(&[&chunks[0]])), 2);
    assert_eq!(missing(reader.read().1), 2);
    assert_eq!(
        reader.apply(&[&chunks[1], &chunks[1], &chunks[3], &chunks[0]]),
        []
    );
    assert_eq!(reader.read(), writer.doc.read());
    let genesis = crate::genesis::genesis(Kind::CASE).unwrap();
    assert_eq!(reader.apply(&[&genesis.chunk, &chunks[4]]), []);
}

/// A newer version writes an act and a field this one does not know: both stay in the document,
/// and this version says that there is something it cannot show.
#[test]
fn what_a_newer_version_wrote_survives_and_is_reported() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    let mut newer = replica
        .doc
        .auto
        .fork()
        .with_actor(AutoActorId::from([0x77; 16]));
    let list = replica.doc.places.entries.clone();
    newer
        .transact::<_, _, automerge::AutomergeError>(|tx| {
            for (n, act) in [(7, "tick"), (8, "teleport")] {
                let map = tx.insert_object(&list, 1, ObjType::Map)?;
                let known = Entry {
                    id: entry(n),
                    at: NOW,
                    by: by(1).worker,
                    site: by(1).site,
                    act: Act::CorrectNote {
                        note: entry(1),
                        text: Text::from("t"),
                        reason: Text::default(),
                    },
                };
                for (key, value) in schema::to_row(&known) {
                    let value = if key == "act" && n == 8 {
                        ScalarValue::from(act)
                    } else {
                        value
                    };
                    tx.put(&map, key, value)?;
                }
                tx.put(&map, "mood", "unknown here")?;
            }
            Ok(())
        })
        .unwrap();
    let chunk = newer.get_last_local_change().unwrap().raw_bytes().to_vec();
    replica.doc.view();
    assert_eq!(replica.doc.apply(&[&chunk]), []);
    let flaw = |n| Flaw {
        at: FlawAt::Entry(entry(n)),
        reason: Reason::NoCommonVersion,
    };
    assert_eq!(replica.doc.read().1, [flaw(7), flaw(8)]);
    assert_eq!(
        journal(&mut replica.doc).len(),
        3,
        "the entry with one more field is shown, and that there is another"
    );
    let mut anew = Document::new(Kind::CASE).unwrap();
    let chunks: Vec<_> = replica.doc.history.chunks()[1..].to_vec();
    anew.apply(&chunks.iter().map(|chunk| &**chunk).collect::<Vec<_>>());
    assert_eq!(anew.read(), replica.doc.read());
    replica.perform(&note("life goes on"), entry(9)).unwrap();
    assert_eq!(replica.doc.auto.length(&list), 4);
}

/// The way out of [`Document::save`] when Automerge cannot load what it saved.
#[test]
fn the_original_changes_one_after_the_other_are_a_file_as_well() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    replica.perform(&edit(0, 0, "a plan"), entry(2)).unwrap();
    for file in [replica.doc.save(), replica.doc.history.chunks().concat()] {
        let loaded = automerge::Automerge::load(&file).unwrap();
        assert_eq!(loaded.get_heads(), replica.doc.auto.get_heads());
        assert_eq!(loaded.text(&replica.doc.places.text).unwrap(), "a plan");
    }
}

fn words() -> Text {
    Text::from("some words")
}

fn some_entries() -> Vec<EntryId> {
    vec![entry(1), entry(2)]
}

/// Every field with something in it, and every field that may be empty without.
fn every_act() -> Vec<Act> {
    [telling_acts(), steering_acts(), session_acts()].concat()
}

fn telling_acts() -> Vec<Act> {
    let (text, seen) = (words, some_entries);
    vec![
        Act::OpenCase {
            opened: day(),
            source: text(),
        },
        Act::Identify {
            slot: domain::Slot::Name,
            value: text(),
            reason: text(),
            seen: seen(),
        },
        Act::AddNote {
            happened: day(),
            mode: ContactMode::Video,
            minutes: 9,
            text: text(),
            seen: seen(),
        },
        Act::CorrectNote {
            note: entry(1),
            text: text(),
            reason: text(),
        },
        Act::RaiseAlert {
            code: AlertCode::Weapons,
            detail: text(),
            review_by: Some(day()),
            seen: seen(),
        },
        Act::RaiseAlert {
            code: AlertCode::Weapons,
            detail: Text::default(),
            review_by: None,
            seen: vec![],
        },
        Act::ReviewAlert {
            code: AlertCode::Weapons,
            clear: true,
            reason: text(),
            seen: seen(),
        },
        Act::AddTask {
            what: text(),
            due: Some(day()),
            whom: Some(by(1).worker),
            seen: seen(),
        },
        Act::AddTask {
            what: text(),
            due: None,
            whom: None,
            seen: vec![],
        },
    ]
}

fn steering_acts() -> Vec<Act> {
    let (text, seen) = (words, some_entries);
    vec![
        Act::MoveTask {
            task: entry(1),
            due: day(),
            reason: text(),
            seen: seen(),
        },
        Act::CompleteTask {
            task: entry(1),
            result: text(),
        },
        Act::RecordOutcome {
            instrument: domain::Instrument::Phq9,
            total: 27,
            taken: day(),
            point: domain::OutcomePoint::End,
            replaces: vec![entry(3)],
            reason: text(),
            seen: seen(),
        },
        Act::SetStatus {
            status: Status::Closed,
            reason: text(),
            seen: seen(),
        },
        Act::SetLead {
            worker: by(0).worker,
            reason: text(),
            seen: seen(),
        },
        Act::SetReviewDate {
            date: day(),
            reason: text(),
            seen: seen(),
        },
        Act::AddTheme {
            theme: domain::Theme::Housing,
        },
        Act::EditText {
            inserted: 3,
            deleted: u32::MAX,
            removed: text(),
            seen: seen(),
        },
        Act::EditCrisisPlan {
            inserted: 3,
            deleted: 0,
            removed: text(),
            seen: seen(),
        },
        Act::SetField {
            field: Field::Room,
            value: text(),
        },
    ]
}

fn session_acts() -> Vec<Act> {
    let (text, seen) = (words, some_entries);
    vec![
        Act::OpenSession {
            venue: text(),
            date: day(),
            start: time("09:30"),
            end: Some(time("23:59")),
            form: SessionForm::Psychosocial,
        },
        Act::SetPlan {
            end: None,
            form: SessionForm::PeerLed,
            reason: text(),
            seen: seen(),
        },
        Act::SetTimes {
            start: time("09:30"),
            end: time("10:30"),
            reason: text(),
            seen: seen(),
        },
        Act::Mark {
            attender: Attender::Guest(entry(7)),
            attendance: Attendance::Late,
            arrived: Some(time("10:10")),
            left: None,
            reason: text(),
            seen: seen(),
        },
        Act::AddGuest {
            name: Text::from("Ann: the second"),
            attendance: Attendance::Late,
            arrived: None,
            left: Some(time("11:00")),
        },
        Act::MatchGuest {
            guest: entry(7),
            to: Some(Attender::Guest(entry(8))),
            reason: text(),
            seen: seen(),
        },
        Act::TakeCash {
            pence: 250,
            from: Some(Attender::Person(DocumentId([3; 16]))),
            what: text(),
        },
        Act::PayOut {
            pence: 1,
            what: text(),
        },
        Act::CountCash {
            pence: 0,
            reason: text(),
            seen: seen(),
        },
        Act::ReverseCash {
            cash: entry(5),
            reason: text(),
            lines: Some(2),
        },
        Act::HeadCount {
            people: 12,
            reason: text(),
            seen: vec![],
        },
        Act::Tick {
            item: domain::ChecklistItem::Debrief,
        },
    ]
}

#[test]
fn every_act_reads_back_what_it_wrote() {
    let mut codes: Vec<&str> = Vec::new();
    for act in every_act() {
        codes.push(act.code());
        let written = Entry {
            id: entry(1),
            at: NOW,
            by: by(1).worker,
            site: by(1).site,
            act,
        };
        let row = schema::to_row(&written);
        let keys: std::collections::BTreeSet<_> = row.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys.len(), row.len(), "two fields under one key");
        let row = row
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let schema::Found::Whole(read) = schema::from_row(row) else {
            panic!("{written:?}")
        };
        assert_eq!(read, written);
    }
    codes.dedup();
    assert_eq!(
        codes,
        schema::CODES,
        "every act is written, under the code it has in domain"
    );
}

/// The scalars of an entry by a newer version, or a damaged one, with some of them replaced.
fn read_with(act: Act, changed: &[(&str, ScalarValue)]) -> schema::Found {
    let written = Entry {
        id: entry(1),
        at: NOW,
        by: by(1).worker,
        site: by(1).site,
        act,
    };
    let row = schema::to_row(&written).into_iter();
    let mut row: BTreeMap<String, ScalarValue> =
        row.map(|(key, value)| (key.to_owned(), value)).collect();
    for (key, value) in changed {
        row.insert((*key).to_owned(), value.clone());
    }
    schema::from_row(row)
}

#[test]
fn a_code_of_a_newer_version_leaves_who_when_where_and_what_kind() {
    let newer = ScalarValue::from("of-tomorrow");
    let long: Vec<u8> = vec![7; 16 * (names::limits::SEEN_MAX + 1)];
    let (reason, seen) = (words, some_entries);
    for (act, key, value, why) in [
        (
            Act::RaiseAlert {
                code: AlertCode::Weapons,
                detail: words(),
                review_by: None,
                seen: seen(),
            },
            "code",
            newer.clone(),
            Reason::NoCommonVersion,
        ),
        (
            Act::AddNote {
                happened: day(),
                mode: ContactMode::Video,
                minutes: 9,
                text: words(),
                seen: seen(),
            },
            "mode",
            newer.clone(),
            Reason::NoCommonVersion,
        ),
        (
            Act::SetStatus {
                status: Status::Closed,
                reason: reason(),
                seen: seen(),
            },
            "seen",
            ScalarValue::Bytes(long),
            Reason::TooLarge,
        ),
        (
            Act::HeadCount {
                people: 3,
                reason: reason(),
                seen: seen(),
            },
            "people",
            newer,
            Reason::Malformed,
        ),
    ] {
        let code = act.code();
        let schema::Found::Partly(read, reason) = read_with(act, &[(key, value)]) else {
            panic!("{code} is not reported")
        };
        assert_eq!(reason, why, "{code}");
        assert_eq!((read.id, read.at, read.by), (entry(1), NOW, by(1).worker));
        let expected = if key == "seen" { vec![] } else { seen() };
        let Act::Unread {
            code: said, seen, ..
        } = read.act
        else {
            panic!("{code} was read")
        };
        assert_eq!((said.as_str(), seen), (code, expected));
    }
}

/// Under one id the same edit is one entry, but its words stand in the text twice: that is shown.
#[test]
fn an_edit_sent_through_two_nodes_is_reported() {
    let mut one = Replica::new(Kind::CASE, 1);
    let mut other = Replica::new(Kind::CASE, 2);
    let opened = one.perform(&open_case(), entry(1)).unwrap();
    other.doc.apply(&[&opened.chunk]);
    let typed = edit(0, 0, "ring Ann. ");
    for replica in [&mut one, &mut other] {
        let doc = &mut replica.doc;
        let done = perform(doc, actor(replica.number), &typed, entry(2), &by(1), NOW);
        replica
            .chunks
            .insert(ChangeHash([9; 32]), done.unwrap().unwrap().chunk);
    }
    assert_eq!(one.doc.read().1, []);
    let chunk = other.chunks.values().next().unwrap();
    assert_eq!(one.doc.apply(&[chunk]), []);
    assert_eq!(
        one.doc.state().prose().text().as_str(),
        "ring Ann. ring Ann. "
    );
    let flaw = Flaw {
        at: FlawAt::Entry(entry(2)),
        reason: Reason::Equivocation,
    };
    assert_eq!(one.doc.read().1, [flaw]);
    let mut anew = Document::new(Kind::CASE).unwrap();
    let chunks: Vec<_> = one.doc.history.chunks()[1..].to_vec();
    anew.apply(&chunks.iter().map(|chunk| &**chunk).collect::<Vec<_>>());
    assert_eq!(anew.read(), one.doc.read());
}
