//! Any act at all, drawn without regard to sense: what a hostile or newer node may have written.

use domain::{
    Act, AlertCode, Attendance, Attender, ChecklistItem, ContactMode, Day, Entry, Field,
    Instrument, OutcomePoint, SessionForm, Slot, Status, Text, Theme, TimeOfDay,
};
use names::{DocumentId, EntryId, Moment};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// The id that stands for a small number.
pub(crate) fn id(number: u8) -> EntryId {
    EntryId([number; 16])
}

/// One of few ids, so that entries collide and refer to each other, in circles too.
fn some_id() -> impl Strategy<Value = EntryId> {
    (0..8u8).prop_map(id)
}

fn seen() -> impl Strategy<Value = Vec<EntryId>> {
    vec(some_id(), 0..4)
}

fn text() -> impl Strategy<Value = Text> {
    select(vec!["", "a", "b"]).prop_map(Text::from)
}

fn day() -> impl Strategy<Value = Day> {
    (0..5i64).prop_map(|days| Day::of(Moment(0)).plus_days(days))
}

fn time() -> impl Strategy<Value = TimeOfDay> {
    (8..12u16, 0..60u16).prop_map(|(hour, minute)| TimeOfDay::new(hour, minute).unwrap())
}

fn attender() -> impl Strategy<Value = Attender> {
    prop_oneof![
        (0..2u8).prop_map(|n| Attender::Person(DocumentId([n; 16]))),
        some_id().prop_map(Attender::Guest),
    ]
}

fn one<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn case_record() -> BoxedStrategy<Act> {
    prop_oneof![
        (one(Slot::ALL), text(), text(), seen()).prop_map(|(slot, value, reason, seen)| {
            Act::Identify {
                slot,
                value,
                reason,
                seen,
            }
        }),
        (day(), one(ContactMode::ALL), 0..3u32, text(), seen()).prop_map(
            |(happened, mode, minutes, text, seen)| Act::AddNote {
                happened,
                mode,
                minutes,
                text,
                seen
            }
        ),
        (some_id(), text(), text()).prop_map(|(note, text, reason)| Act::CorrectNote {
            note,
            text,
            reason
        }),
        (one(&AlertCode::ALL[..2]), text(), option::of(day()), seen()).prop_map(
            |(code, detail, review_by, seen)| Act::RaiseAlert {
                code,
                detail,
                review_by,
                seen
            }
        ),
        (one(&AlertCode::ALL[..2]), any::<bool>(), text(), seen()).prop_map(
            |(code, clear, reason, seen)| Act::ReviewAlert {
                code,
                clear,
                reason,
                seen
            }
        ),
        (
            one(Instrument::ALL),
            0..3u32,
            day(),
            one(OutcomePoint::ALL),
            seen(),
            text(),
            seen()
        )
            .prop_map(
                |(instrument, total, taken, point, replaces, reason, seen)| {
                    Act::RecordOutcome {
                        instrument,
                        total,
                        taken,
                        point,
                        replaces,
                        reason,
                        seen,
                    }
                }
            ),
        one(Theme::ALL).prop_map(|theme| Act::AddTheme { theme }),
    ]
    .boxed()
}

fn case_steering() -> BoxedStrategy<Act> {
    prop_oneof![
        (day(), text()).prop_map(|(opened, source)| Act::OpenCase { opened, source }),
        (text(), option::of(day()), seen()).prop_map(|(what, due, seen)| Act::AddTask {
            what,
            due,
            whom: None,
            seen
        }),
        (some_id(), day(), text(), seen()).prop_map(|(task, due, reason, seen)| Act::MoveTask {
            task,
            due,
            reason,
            seen
        }),
        (some_id(), text()).prop_map(|(task, result)| Act::CompleteTask { task, result }),
        (one(Status::ALL), text(), seen()).prop_map(|(status, reason, seen)| Act::SetStatus {
            status,
            reason,
            seen
        }),
        (select(vec!["w-1", "w-2"]), text(), seen()).prop_map(|(worker, reason, seen)| {
            Act::SetLead {
                worker: worker.parse().unwrap(),
                reason,
                seen,
            }
        }),
        (day(), text(), seen()).prop_map(|(date, reason, seen)| Act::SetReviewDate {
            date,
            reason,
            seen
        }),
        (0..3u32, 0..3u32, text(), seen()).prop_map(|(inserted, deleted, removed, seen)| {
            Act::EditText {
                inserted,
                deleted,
                removed,
                seen,
            }
        }),
        (0..3u32, 0..3u32, text(), seen()).prop_map(|(inserted, deleted, removed, seen)| {
            Act::EditCrisisPlan {
                inserted,
                deleted,
                removed,
                seen,
            }
        }),
        (one(Field::ALL), text()).prop_map(|(field, value)| Act::SetField { field, value }),
    ]
    .boxed()
}

fn session_acts() -> BoxedStrategy<Act> {
    prop_oneof![
        (
            text(),
            day(),
            time(),
            option::of(time()),
            one(SessionForm::ALL)
        )
            .prop_map(|(venue, date, start, end, form)| Act::OpenSession {
                venue,
                date,
                start,
                end,
                form
            }),
        (option::of(time()), one(SessionForm::ALL), text(), seen()).prop_map(
            |(end, form, reason, seen)| Act::SetPlan {
                end,
                form,
                reason,
                seen
            }
        ),
        (time(), time(), text(), seen()).prop_map(|(start, end, reason, seen)| Act::SetTimes {
            start,
            end,
            reason,
            seen
        }),
        (
            attender(),
            one(Attendance::ALL),
            option::of(time()),
            option::of(time()),
            text(),
            seen()
        )
            .prop_map(|(attender, attendance, arrived, left, reason, seen)| {
                Act::Mark {
                    attender,
                    attendance,
                    arrived,
                    left,
                    reason,
                    seen,
                }
            }),
        (
            text(),
            one(Attendance::ALL),
            option::of(time()),
            option::of(time())
        )
            .prop_map(|(name, attendance, arrived, left)| Act::AddGuest {
                name,
                attendance,
                arrived,
                left
            }),
        (some_id(), option::of(attender()), text(), seen()).prop_map(
            |(guest, to, reason, seen)| Act::MatchGuest {
                guest,
                to,
                reason,
                seen
            }
        ),
    ]
    .boxed()
}

fn session_counts() -> BoxedStrategy<Act> {
    prop_oneof![
        (0..9u32, option::of(attender()), text()).prop_map(|(pence, from, what)| Act::TakeCash {
            pence,
            from,
            what
        }),
        (0..9u32, text()).prop_map(|(pence, what)| Act::PayOut { pence, what }),
        (0..9u32, text(), seen()).prop_map(|(pence, reason, seen)| Act::CountCash {
            pence,
            reason,
            seen
        }),
        (some_id(), text(), option::of(1..3u32)).prop_map(|(cash, reason, lines)| {
            Act::ReverseCash {
                cash,
                reason,
                lines,
            }
        }),
        (0..9u32, text(), seen()).prop_map(|(people, reason, seen)| Act::HeadCount {
            people,
            reason,
            seen
        }),
        one(ChecklistItem::ALL).prop_map(|item| Act::Tick { item }),
    ]
    .boxed()
}

fn unread() -> BoxedStrategy<Act> {
    let code = select(vec!["raise-alert", "open-case", "open-session", "teleport"]);
    let code = code.prop_map(Text::from);
    (code, seen())
        .prop_map(|(code, seen)| Act::Unread {
            code,
            reason: names::Reason::NoCommonVersion,
            seen,
        })
        .boxed()
}

/// Any act.
pub(crate) fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => case_record(),
        4 => case_steering(),
        3 => session_acts(),
        3 => session_counts(),
        1 => unread(),
    ]
}

/// Any entry.
pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
    let worker = select(vec!["w-1", "w-2"]);
    let site = select(vec!["bath", "kent"]);
    (some_id(), 0..3i64, worker, site, any_act()).prop_map(|(id, at, by, site, act)| Entry {
        id,
        at: Moment(at),
        by: by.parse().unwrap(),
        site: site.parse().unwrap(),
        act,
    })
}

/// Any entries, and the same ones in another order with some of them twice.
pub(crate) fn entries_and_shuffled() -> impl Strategy<Value = (Vec<Entry>, Vec<Entry>)> {
    vec(any_entry(), 0..24)
        .prop_flat_map(|entries| {
            let again = proptest::sample::subsequence(entries.clone(), 0..=entries.len());
            (Just(entries), again)
        })
        .prop_flat_map(|(entries, again)| {
            let mut more = entries.clone();
            more.extend(again);
            (Just(entries), Just(more).prop_shuffle())
        })
}
