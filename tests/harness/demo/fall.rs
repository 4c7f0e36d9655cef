//! The centre is lost after the week, and comes back from a copy of its files that was made on
//! Tuesday, under load: what it had acknowledged since, the devices it had enrolled and revoked, and
//! the case that had gone from one edge to another come back from the edges.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs,
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use domain::{Command, ContactMode, Text};
use names::{DocumentId, EntryId};
use serde_json::{Value, json};

use super::{
    closing::{self, has_arrived},
    desk::Written,
    handover::{FROM, TO},
    proofs::{allowed, scope},
    screen::{Screen, bytes, counted, number},
    switchboard::Switchboard,
    town::{DAYS, TOWN},
    week::{Past, Record},
};
use crate::service::{
    REST_MAX, Service,
    client::Client,
    copying::{self, CaughtUp, commits},
    devices, handover,
    host::Host,
    proof::{self, DIRECTORY, Proof, Sum},
    wait,
};

/// Commits of the centre before it is copied, so that it is a copy under load.
const COMMITS_FIRST: u64 = 5;
/// Entries that are saved at the edges while it stands still.
const MEANWHILE: usize = 5;

/// A copy of the centre's files.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
    bytes: u64,
    /// How long the centre stood still.
    stood: Duration,
    /// Entries that were saved at the edges meanwhile.
    meanwhile: usize,
}

impl Copy {
    /// What it is to be told of it on its day.
    pub fn news(&self) -> String {
        format!(
            "While everybody types, the centre's process is stopped for {} ms (SIGSTOP), and its \
             files are copied: {}. Meanwhile {} saved at the sites.",
            self.stood.as_millis(),
            bytes(self.bytes),
            counted(self.meanwhile, "entry is", "entries are")
        )
    }
}

/// Copies the centre's files while people work at the edges: it is stopped in the middle of what
/// they send, and goes on afterwards.
///
/// # Errors
/// When nobody works, or the files cannot be copied.
pub fn copy_under_load(service: &Service, board: &Switchboard) -> Result<Copy, String> {
    let client = board.client("centre")?;
    let first = commits(&client)? + COMMITS_FIRST;
    wait::for_it(
        "work at the centre on Tuesday",
        REST_MAX,
        || match commits(&client)? {
            enough if enough >= first => Ok(()),
            few => Err(format!("{few} of {first} commits")),
        },
    )?;
    let folder = service.folder.path().join("tuesday");
    service.centre.freeze()?;
    let (began, before) = (Instant::now(), board.written.load(Ordering::SeqCst));
    board.stands.store(true, Ordering::SeqCst);
    let copied = copying::copy(service.centre.data(), &folder);
    let since = || board.written.load(Ordering::SeqCst) - before;
    let saved = wait::until(REST_MAX, || {
        Some(since()).filter(|saved| *saved >= MEANWHILE)
    });
    service.centre.thaw()?;
    Ok(Copy {
        folder,
        bytes: copied?,
        stood: began.elapsed(),
        meanwhile: saved.ok_or("nobody works while the centre is copied")?,
    })
}

/// Entries, each in its document.
type Entries = BTreeSet<(DocumentId, EntryId)>;

/// The entries of which their nodes say that the centre has acknowledged them.
fn receipts(service: &Service, record: &Record) -> Result<Entries, String> {
    let mut held = Entries::new();
    for (node, written) in &record.written {
        let mut views: BTreeMap<DocumentId, Value> = BTreeMap::new();
        for written in written {
            let view = match views.entry(written.document) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let teller = service.client(record.teller(node, written.document))?;
                    new.insert(closing::reach(&teller, written.document)?)
                }
            };
            let said = view.get(written.entry.to_string());
            if said.and_then(Value::as_str).is_some_and(has_arrived) {
                held.insert((written.document, written.entry));
            }
        }
    }
    Ok(held)
}

/// How many of these entries the centre shows in their documents.
fn shown(centre: &Client, entries: &Entries) -> Result<usize, String> {
    let documents: BTreeSet<DocumentId> = entries.iter().map(|(document, _)| *document).collect();
    let mut count = 0;
    for document in documents {
        let view = closing::reach(centre, document)?;
        let of = entries.iter().filter(|(of, _)| *of == document);
        count += of
            .filter(|(_, entry)| view.get(entry.to_string()).is_some())
            .count();
    }
    Ok(count)
}

/// What the copy holds, read from a copy of it, which goes again: looking changes a store.
fn read(service: &Service, copy: &Copy) -> Result<Proof, String> {
    let program = service.centre.program();
    let looked_at = Host::new("looked-at", program, service.folder.path());
    copying::copy(&copy.folder, looked_at.data())?;
    let failed = |error: std::io::Error| format!("{}: {error}", looked_at.name());
    fs::copy(service.centre.key(), looked_at.key()).map_err(failed)?;
    let proof = proof::read(&looked_at, &allowed(service, service.centre.name())?);
    fs::remove_dir_all(looked_at.data()).map_err(failed)?;
    fs::remove_file(looked_at.key()).map_err(failed)?;
    proof
}

/// What the copy lacks of what there is when the centre is lost.
struct Lost {
    /// What the centre had acknowledged.
    held: Entries,
    /// Entries of that which the copy lacks.
    entries: usize,
    /// Statements of the directory that the copy lacks.
    statements: u64,
    /// The entries of the case that went to Bath.
    moved: BTreeSet<String>,
}

impl Lost {
    /// Compares, and tells. A copy that lacks nothing would show nothing.
    fn tell(
        service: &Service,
        screen: &mut Screen,
        record: &Record,
        copy: &Copy,
    ) -> Result<Lost, String> {
        let (held, old) = (receipts(service, record)?, read(service, copy)?);
        let count = |sum: Option<&Sum>| sum.map_or(0, |sum| sum.count);
        let said = proof::said(&service.client("centre")?)?;
        let now = count(said.scopes.get(DIRECTORY));
        let statements = now.saturating_sub(count(old.scopes.get(DIRECTORY)));
        let entries = held.difference(&old.entries).count();
        let case = record.moved;
        let moved = view_entries(&service.client(TO)?, case)?;
        let had = old.entries.iter().filter(|(of, _)| *of == case).count();
        let at_devizes = BTreeSet::from([scope(FROM)?]);
        if entries == 0 || statements < 2 || old.placed.get(&case) != Some(&at_devizes) {
            return Err("Tuesday's copy knows what happened since".to_owned());
        }
        screen.prose(
            2,
            &format!(
                "The centre had acknowledged {} entries, and has {now} statements in its directory. \
                 Tuesday's copy lacks {entries} of the entries and {statements} of the statements: it \
                 knows neither the laptop that was enrolled nor that another was revoked. The case \
                 that went to Bath, and is gone from Devizes, it has at Devizes, with {had} of its {} \
                 entries.",
                held.len(),
                moved.len()
            ),
        );
        let now = "Now the centre is killed, its folder removed, and the copy started.";
        screen.line(&format!("  {now}"));
        Ok(Lost {
            held,
            entries,
            statements,
            moved,
        })
    }

    /// What is back.
    fn is_back(
        &self,
        service: &Service,
        screen: &mut Screen,
        past: &Past,
        caught_up: &CaughtUp,
        since: &Entries,
    ) -> Result<bool, String> {
        let (centre, edges) = (service.client("centre")?, service.edges.len());
        let shown_of_held = shown(&centre, &self.held)?;
        let back = shown_of_held == self.held.len();
        let words = format!(
            "equal with all {} edges {:.1} s after its start, after {}, and nobody did anything for \
             it; all {shown_of_held} acknowledged entries are there, the {} that the copy lacks too",
            number(edges),
            caught_up.seconds,
            bytes(caught_up.bytes),
            self.entries
        );
        screen.verdict(back, &words);
        let shown_of_since = shown(&centre, since)?;
        let went_on = shown_of_since == since.len();
        let words = format!(
            "{shown_of_since} of the {} entries that people typed at the edges before it had caught \
             up are there",
            since.len()
        );
        screen.verdict(went_on, &words);
        let known = past.devices.are_known(service)?;
        let words = format!(
            "the edges gave back the {} statements: Salisbury's laptop is enrolled, Swindon's is \
             revoked",
            self.statements
        );
        screen.verdict(known, &words);
        let moved = self.came_from_bath(service, screen, past.record.moved)?;
        let listed = listed_at(service)?;
        let words = format!(
            "{} of the {} edges list the centre as one that came back from an older copy, for a \
             person to see",
            number(listed),
            number(edges)
        );
        screen.verdict(listed > 0, &words);
        Ok(back && went_on && known && moved && listed > 0)
    }

    /// Whether the case that had gone to Bath is whole again, and where it should be.
    fn came_from_bath(
        &self,
        service: &Service,
        screen: &mut Screen,
        case: DocumentId,
    ) -> Result<bool, String> {
        let centre = service.client("centre")?;
        let view = centre.get_json(&format!("/api/v1/views/documents/{case}"))?;
        let stands = view.get("scopes") == Some(&json!([scope(TO)?]));
        let there = handover::entries(&view);
        let whole = there.is_superset(&self.moved);
        let devizes = handover::row(&service.client(FROM)?, case)?;
        let gone = devizes.get("held").is_some_and(|held| held == false);
        let words = format!(
            "the case that went to Bath came back from there, all {} entries; it stands at Bath \
             alone, and is still gone from Devizes' disk",
            self.moved.len()
        );
        let holds = stands && whole && gone;
        screen.verdict(holds, &words);
        Ok(holds)
    }
}

fn view_entries(client: &Client, document: DocumentId) -> Result<BTreeSet<String>, String> {
    let view = client.get_json(&format!("/api/v1/views/documents/{document}"))?;
    Ok(handover::entries(&view))
}

/// At every edge somebody goes on writing, in a case of which the copy may lack what that builds on.
/// Answers what was written.
fn go_on(service: &mut Service, record: &mut Record) -> Result<Entries, String> {
    let names: Vec<&'static str> = service.edges.keys().copied().collect();
    let happened = DAYS.last().and_then(|(_, date)| date.parse().ok());
    let happened = happened.ok_or("the week has no last day")?;
    let mut since = Entries::new();
    for name in names {
        let nobody = || format!("nobody works at {name}");
        let site = service.edge(name)?.site;
        let mut sites = TOWN.iter().filter(|town| town.id == site);
        let worker = sites.find_map(|site| site.workers.first());
        let (worker, ..) = worker.ok_or_else(nobody)?;
        let written = record.written.get_mut(name).ok_or_else(nobody)?;
        let client = service.client(name)?;
        let is_case = |document: &DocumentId| {
            let view = client.get_json(&format!("/api/v1/views/documents/{document}"));
            view.is_ok_and(|view| view.get("kind").is_some_and(|kind| kind == "case"))
        };
        let mut own = written.iter().rev().map(|written| written.document);
        let document = own.find(is_case).ok_or_else(nobody)?;
        let words = format!("typed at {name} while the centre catches up");
        let note = Command::AddNote {
            happened,
            mode: ContactMode::Phone,
            minutes: 5,
            text: Text::from(words.clone()),
        };
        let mut person = service.person(name, worker, &format!("{name}, afterwards"))?;
        let entry = person.does(document, &note)?.entry;
        written.push(Written { document, entry });
        since.insert((document, entry));
        record.typed.insert(words);
    }
    Ok(since)
}

/// How many edges list the centre as a node whose store came back from an older copy.
fn listed_at(service: &Service) -> Result<usize, String> {
    let centre = devices::of(&service.client("centre")?)?;
    let mut count = 0;
    for edge in service.edges.values() {
        let sync = edge.host.client()?.get_json("/api/v1/sync")?;
        let copies = sync.get("copies").and_then(Value::as_array);
        let is_it = |copy: &Value| {
            copy.get("device").is_some_and(|device| *device == centre)
                && copy.get("how").is_some_and(|how| how == "older-copy")
        };
        count += usize::from(copies.into_iter().flatten().any(is_it));
    }
    Ok(count)
}

/// Lets the centre fall back, and shows what came of it. Answers what was written, and whether all
/// is as it was.
///
/// # Errors
/// What did not work, in words.
pub fn tell(
    service: &mut Service,
    screen: &mut Screen,
    mut past: Past,
) -> Result<(Record, bool), String> {
    screen.heading("The centre is lost, and comes back from Tuesday's copy");
    screen.progress("  reading the copy ...");
    let lost = Lost::tell(service, screen, &past.record, &past.copy)?;
    screen.progress("  waiting until everything is back ...");
    let mut since = Entries::new();
    let caught_up = service.fall_back(&past.copy.folder, |service| {
        since = go_on(service, &mut past.record)?;
        Ok(())
    })?;
    let is_back = lost.is_back(service, screen, &past, &caught_up, &since)?;
    screen.progress("  switching Swindon's laptop on ...");
    let told = past.devices.switch_on(service, screen)?;
    Ok((past.record, is_back && told))
}
