//! Documents leave as plain `.automerge` files: the public libraries, in Rust and in JavaScript,
//! load what a node exports and find the same content and the same heads.

use std::{collections::BTreeSet, fs};

use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, ValueRef};
use domain::Command;
use harness::{
    pair::{BEGINS, Conversation, Party, scope, worker},
    service::folder::Folder,
};
use names::{DocumentId, EntryId};
use node::Target;
use serde_json::{Value, json};
use store::MemoryStore;

use crate::javascript;

type Place = Party<MemoryStore>;

/// Texts that a careless writer or reader of JSON would change.
const AWKWARD: &str = "“Zoë” \\ \"4pm\"\t🙂\n\u{2028}\u{7f}\u{1} 25 %";

#[test]
fn a_case_with_every_kind_of_entry_leaves_as_a_public_file() {
    let mut team = Team::new();
    let case = team.case();
    team.check(
        case,
        &[
            "open-case",
            "identify",
            "add-note",
            "correct-note",
            "raise-alert",
            "review-alert",
            "add-task",
            "move-task",
            "complete-task",
            "record-outcome",
            "set-status",
            "set-lead",
            "set-review-date",
            "add-theme",
            "edit-text",
            "set-field",
        ],
    );
}

#[test]
fn a_session_with_every_kind_of_entry_leaves_as_a_public_file() {
    let mut team = Team::new();
    let session = team.session();
    team.check(
        session,
        &[
            "open-session",
            "set-plan",
            "set-times",
            "add-guest",
            "mark",
            "take-cash",
            "pay-out",
            "count-cash",
            "reverse-cash",
            "head-count",
            "tick",
            "edit-text",
            "set-field",
        ],
    );
}

/// A centre and an edge whose people write in the same documents.
struct Team {
    places: [Place; 2],
}

impl Team {
    fn new() -> Team {
        let open = |number| Party::open(number, MemoryStore::new(), 1, BEGINS);
        Team {
            places: [0, 1].map(|number| open(number).expect("a new node")),
        }
    }

    fn open(&mut self, command: Value) -> DocumentId {
        let [centre, _] = &mut self.places;
        let command = parse(command);
        let target = Target::New(vec![scope()]);
        let saved = centre.must(target, command, worker("w-0"), BEGINS);
        self.meet(1);
        saved.document
    }

    fn write(&mut self, place: usize, document: DocumentId, command: Value) -> EntryId {
        let by = worker(&format!("w-{place}"));
        let place = self.places.get_mut(place).expect("two places");
        let target = Target::Document(document);
        place.must(target, parse(command), by, BEGINS).entry
    }

    /// Both sides meet, exchange what they have, and part.
    fn meet(&mut self, link: u64) {
        let [centre, edge] = &mut self.places;
        let mut conversation = Conversation::begin(link, centre, edge);
        conversation.pump(centre, edge, BEGINS);
        conversation.end(centre, edge, BEGINS);
    }

    /// A case in which both sides have done everything that can be done in one, partly at once:
    /// values stand against each other, and two changes are its heads.
    fn case(&mut self) -> DocumentId {
        let case =
            self.open(json!({"command": "open-case", "opened": "2026-11-20", "source": "GP"}));
        let mut raised = Vec::new();
        for place in [0, 1] {
            let name = format!("Zoë {place}");
            self.write(
                place,
                case,
                json!({"command": "identify", "slot": "name", "value": name}),
            );
            let note = self.write(place, case, json!({"command": "add-note", "happened": "2026-11-20", "mode": "phone", "minutes": 15, "text": AWKWARD}));
            self.write(place, case, json!({"command": "correct-note", "note": note, "text": "rang, no answer", "reason": "wrong person"}));
            raised.push(self.write(place, case, json!({"command": "raise-alert", "code": "do-not-visit-alone", "detail": AWKWARD, "review_by": "2026-12-01"})));
            let edits = json!([{"position": 0, "insert": AWKWARD}, {"position": 1, "delete": 2}]);
            self.write(
                place,
                case,
                json!({"command": "edit-text", "splices": edits, "seen": []}),
            );
            self.write(
                place,
                case,
                json!({"command": "set-field", "field": "pronouns", "value": "they"}),
            );
            self.write(place, case, json!({"command": "record-outcome", "instrument": "phq-9", "total": 12, "taken": "2026-11-20", "point": "start"}));
            self.write(place, case, json!({"command": "set-review-date", "date": format!("2027-01-0{}", place + 1), "reason": "monthly"}));
        }
        self.meet(2);
        self.write(0, case, json!({"command": "review-alert", "code": "do-not-visit-alone", "clear": true, "reason": "dog gone", "seen": raised}));
        let task = self.write(
            1,
            case,
            json!({"command": "add-task", "what": "ring back", "due": "2026-11-23", "whom": "w-1"}),
        );
        self.write(1, case, json!({"command": "move-task", "task": task, "due": "2026-11-24", "reason": "office closed"}));
        self.write(
            1,
            case,
            json!({"command": "complete-task", "task": task, "result": "reached"}),
        );
        self.write(
            1,
            case,
            json!({"command": "set-status", "status": "paused", "reason": "in hospital"}),
        );
        self.write(
            1,
            case,
            json!({"command": "set-lead", "worker": "w-1", "reason": "knows them"}),
        );
        self.write(
            1,
            case,
            json!({"command": "add-theme", "theme": "self-harm"}),
        );
        self.meet(3);
        case
    }

    /// A session in which both sides have done everything that can be done in one.
    fn session(&mut self) -> DocumentId {
        let session = self.open(json!({"command": "open-session", "venue": "Guildhall", "date": "2026-11-20", "start": "10:00", "end": "12:00", "form": "psychosocial"}));
        for place in [0, 1] {
            let mark = ["present", "absent"].get(place);
            let guest = self.write(
                place,
                session,
                json!({"command": "add-guest", "name": "Zoë", "attendance": "late"}),
            );
            let guest = format!("guest:{guest}");
            self.write(place, session, json!({"command": "mark", "attender": guest, "attendance": mark, "arrived": "10:05"}));
            let cash = self.write(
                place,
                session,
                json!({"command": "take-cash", "pence": 250, "from": guest, "what": "lunch"}),
            );
            self.write(
                place,
                session,
                json!({"command": "reverse-cash", "cash": cash, "reason": "paid twice"}),
            );
            self.write(
                place,
                session,
                json!({"command": "pay-out", "pence": 1_99, "what": "milk 🥛"}),
            );
            self.write(
                place,
                session,
                json!({"command": "count-cash", "pence": 1_000 + place}),
            );
            self.write(
                place,
                session,
                json!({"command": "head-count", "people": 7 + place}),
            );
            self.write(
                place,
                session,
                json!({"command": "tick", "item": "safety-check"}),
            );
            self.write(
                place,
                session,
                json!({"command": "edit-text", "splices": [{"position": 0, "insert": AWKWARD}], "seen": []}),
            );
            self.write(
                place,
                session,
                json!({"command": "set-field", "field": "room", "value": AWKWARD.trim()}),
            );
        }
        self.meet(2);
        self.write(
            0,
            session,
            json!({"command": "set-times", "start": "10:02", "end": "11:58", "reason": "late key"}),
        );
        self.write(1, session, json!({"command": "set-plan", "end": "12:30", "form": "peer-led", "reason": "guest speaker"}));
        self.meet(3);
        session
    }

    /// Both sides export the document; every public library reads the same from both files.
    fn check(&mut self, document: DocumentId, acts: &[&str]) {
        let folder = Folder::new("ridgeway-export").expect("a temporary folder");
        let mut lines = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            let exported = place.export(document);
            let auto = Automerge::load(&exported).expect("the public crate loads it");
            let found = acts_of(&auto);
            let expected: BTreeSet<String> = acts.iter().map(|act| (*act).to_owned()).collect();
            assert_eq!(found, expected, "every kind of entry is there");
            let line = canonical_line(&auto);
            let file = folder.path().join(format!("{number}.automerge"));
            fs::write(&file, &exported).expect("a temporary file");
            if let Some(read) = javascript::read(&file) {
                assert_eq!(read, line, "the npm package reads the same");
            }
            lines.push(line);
        }
        let [centre, edge] = lines.as_slice() else {
            panic!("two places");
        };
        assert_eq!(centre, edge, "both nodes export the same content");
        assert!(
            centre.contains("🙂"),
            "texts are compared as they were typed"
        );
        let auto = Automerge::load(&self.places[0].export(document)).expect("it loads");
        assert_eq!(auto.get_heads().len(), 2, "both sides wrote at once");
    }
}

fn parse(command: Value) -> Command {
    serde_json::from_value(command).expect("a command")
}

/// The kinds of entries in a document.
fn acts_of(auto: &Automerge) -> BTreeSet<String> {
    let (_, entries) = auto.get(ROOT, "entries").expect("a map").expect("a list");
    let act = |index| {
        let (_, entry) = auto
            .get(&entries, index)
            .expect("a list")
            .expect("an entry");
        let (act, _) = auto.get(&entry, "act").expect("a map").expect("an act");
        act.into_string().expect("a code")
    };
    (0..auto.length(&entries)).map(act).collect()
}

/// What `tests/js/read.mjs` prints for the same document.
pub(crate) fn canonical_line(auto: &Automerge) -> String {
    let mut content = String::new();
    canonical_object(auto, &ROOT, ObjType::Map, &mut content);
    let mut heads: Vec<String> = auto.get_heads().iter().map(ToString::to_string).collect();
    heads.sort_unstable();
    format!("{{\"content\":{content},\"heads\":{}}}", json!(heads))
}

fn canonical_object(auto: &Automerge, object: &ObjId, kind: ObjType, out: &mut String) {
    match kind {
        ObjType::Map | ObjType::Table => {
            // Keys come in the order of their bytes.
            out.push('{');
            for (number, item) in auto.map_range(object, ..).enumerate() {
                out.push_str(if number > 0 { "," } else { "" });
                out.push_str(&json!(item.key).to_string());
                out.push(':');
                canonical_value(auto, &item.value, &item.id(), out);
            }
            out.push('}');
        }
        ObjType::List => {
            out.push('[');
            for item in auto.list_range(object, ..) {
                out.push_str(if item.index > 0 { "," } else { "" });
                canonical_value(auto, &item.value, &item.id(), out);
            }
            out.push(']');
        }
        ObjType::Text => {
            let text = auto.text(object).expect("a text");
            out.push_str(&json!(text).to_string());
        }
    }
}

fn canonical_value(auto: &Automerge, value: &ValueRef<'_>, id: &ObjId, out: &mut String) {
    if let ValueRef::Object(kind) = value {
        return canonical_object(auto, id, *kind, out);
    }
    let written = match value.to_owned().into_value().into_scalar() {
        Ok(ScalarValue::Str(text)) => json!(text.as_str()),
        Ok(ScalarValue::Int(number)) => json!(number),
        Ok(ScalarValue::Boolean(yes)) => json!(yes),
        Ok(ScalarValue::Bytes(bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(hex)
        }
        other => panic!("nothing of ours is written as {other:?}"),
    };
    out.push_str(&written.to_string());
}
