//! A case of Devizes' that goes to Bath on Friday, while Devizes is cut off and works on it; on
//! Saturday, once a backup has it, it goes from Devizes' disk.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{Command, ContactMode, Day};
use names::DocumentId;

use super::{
    desk::Desk,
    screen::{bytes, counted},
    switchboard::Switchboard,
};
use crate::service::{
    REST_MAX, Service,
    handover::{entries, marked, row, transfer},
    wait,
};

/// Where the case was.
pub const FROM: &str = "devizes";
/// Where it goes.
pub const TO: &str = "bath";
/// Who hands it over: Devizes' senior, who is at the centre.
const BY: &str = "tom";
/// How long a node may take to show what it has.
const SHOWN_MAX: Duration = Duration::from_secs(30);

/// The case, once it was handed over.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Which.
    pub case: DocumentId,
    /// Its entries that the centre had then.
    known: BTreeSet<String>,
}

/// The desk of a site.
fn desk<'d, 'a>(desks: &'d mut [Desk<'a>], site: &str) -> Result<&'d mut Desk<'a>, String> {
    let mut desks = desks.iter_mut();
    let desk = desks.find(|desk| desk.site == site);
    desk.ok_or_else(|| format!("{site} has no desk"))
}

/// The centre hands the case over; Bath goes on with it, and so does Devizes, which has not heard.
///
/// # Errors
/// When a node refuses, or Devizes hears of it.
pub fn goes(board: &Switchboard, desks: &mut [Desk<'_>], day: Day) -> Result<Handover, String> {
    let from = desk(desks, FROM)?;
    let case = from.first_known().ok_or("nobody is known in Devizes")?;
    let name = from.name_of(case).unwrap_or_default();
    let centre = board.client("centre")?;
    let path = format!("/api/v1/views/documents/{case}");
    let known = entries(&centre.get_json(&path)?);
    transfer(&centre, case, BY, TO)?;
    let to = desk(desks, TO)?;
    let client = board.client(TO)?;
    wait::for_it("the case at Bath", REST_MAX, || Ok(client.get(&path)?))?;
    to.takes_over(case, name.clone());
    let mut note = |site: &str, words: String| {
        let desk = desk(desks, site)?;
        let [worker, _] = &mut desk.workers;
        let (happened, mode, minutes) = (day, ContactMode::Phone, 10);
        let text = worker.types(words);
        let note = Command::AddNote {
            happened,
            mode,
            minutes,
            text,
        };
        worker.adds(case, &note)
    };
    note(TO, format!("{name} rang from the new flat in Bath"))?;
    note(FROM, format!("{name} was not at the old address"))?;
    Ok(Handover { case, known })
}

impl Handover {
    /// What Devizes wrote without having heard is at Bath, and marked; Devizes keeps it, and works
    /// on it no more.
    ///
    /// # Errors
    /// When it is not so.
    pub fn arrives(&self, board: &Switchboard, desks: &mut [Desk<'_>]) -> Result<String, String> {
        let from = desk(desks, FROM)?;
        from.gives_up(self.case);
        let workers = from.workers.iter();
        let written = workers.flat_map(|worker| worker.written.iter());
        let written = written.filter(|written| written.document == self.case);
        let unheard: BTreeSet<String> = written
            .map(|written| written.entry.to_string())
            .filter(|entry| !self.known.contains(entry))
            .collect();
        let bath = board.client(TO)?;
        let path = format!("/api/v1/views/documents/{}", self.case);
        wait::for_it("Devizes' entries at Bath", SHOWN_MAX, || {
            let view = bath.get_json(&path)?;
            let marked = marked(&view, "transfer-unseen");
            if marked == unheard {
                Ok(())
            } else {
                Err(format!("marked are {marked:?}, and not {unheard:?}"))
            }
        })?;
        self.at_devizes(board, |held, awaits_backup| held && awaits_backup)?;
        Ok(format!(
            "What Devizes wrote in the case that had gone to Bath ({}) is there, marked as written \
             before Devizes had heard. Devizes shows the case no more, and keeps it until a backup \
             of the centre has it.",
            counted(unheard.len(), "entry", "entries")
        ))
    }

    /// The centre is backed up as it runs; then the case goes from Devizes' disk.
    ///
    /// # Errors
    /// When it does not go.
    pub fn is_let_go(&self, service: &Service, board: &Switchboard) -> Result<String, String> {
        let file = service.folder.path().join("saturday.backup");
        let began = Instant::now();
        let words = ["backup", &file.to_string_lossy()];
        let made = service.centre.command(&words)?;
        let ms = began.elapsed().as_millis();
        self.at_devizes(board, |held, _| !held)?;
        let count = |key: &str| made.get(key).and_then(|count| count.as_u64()).unwrap_or(0);
        Ok(format!(
            "The centre is backed up while it runs, and the backup is read back: {} documents, {}, \
             {ms} ms. With that the case that went to Bath goes from Devizes' disk.",
            count("documents"),
            bytes(count("bytes"))
        ))
    }

    /// Waits until Devizes says of the case what it should: whether it is held, and awaits a backup.
    fn at_devizes(
        &self,
        board: &Switchboard,
        is_so: impl Fn(bool, bool) -> bool,
    ) -> Result<(), String> {
        let devizes = board.client(FROM)?;
        wait::for_it("what Devizes says of the case", SHOWN_MAX, || {
            let row = row(&devizes, self.case)?;
            let is = |key: &str| row.get(key).is_some_and(|value| value == true);
            if is_so(is("held"), is("awaits_backup")) {
                Ok(())
            } else {
                Err(row.to_string())
            }
        })
    }
}
