//! The set as people wrote it: a store to begin from, and what is in it. A large one is kept from
//! one run to the next, since to write it takes longer than to measure it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use names::DocumentId;
use serde_json::{Value, json};

use crate::{
    author::{self, Order, Size, Written},
    disk::Work,
    failure::{Outcome, failed},
    figures::number,
    pair::Pair,
    set::{Depth, SEED},
};

/// Documents from which on a set is kept.
const KEPT_FROM: u64 = 5_000;
/// Raised by whoever changes the set, or what a store that is kept must hold.
const FORM: u32 = 2;

/// A set that was made.
pub(crate) struct Made {
    /// The edge's file, as the authors left it.
    pub(crate) store: PathBuf,
    /// What they wrote.
    pub(crate) written: Written,
    /// How large that is.
    pub(crate) size: Size,
    /// Its documents, counted once in every scope that they stand in.
    pub(crate) held: u64,
    /// What the edge's disk was asked for meanwhile.
    work: Work,
    /// Whether it was there from an earlier run.
    is_kept: bool,
}

/// Where sets are kept: beside what was built.
pub(crate) fn kept_folder() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = scratch.parent().unwrap_or(scratch);
    target.join("bench-cache")
}

/// Lets people write the set at the first edge, while it is alone, and keeps a copy of its store;
/// or takes the copy of an earlier run.
///
/// # Errors
/// When a command is refused, or files cannot be written.
pub(crate) async fn make(pair: &Pair<'_>, folder: &Path, order: &Order) -> Outcome<Made> {
    let keeps = order.cases >= KEPT_FROM;
    let name = format!(
        "set-{FORM}-seed-{SEED}-{}-{:?}-{}",
        order.cases,
        order.depth,
        order.scopes.len()
    );
    let place = if keeps {
        kept_folder().join(name.to_lowercase())
    } else {
        folder.join("pristine")
    };
    let about = place.join("about.json");
    if keeps && about.exists() {
        return read(&place, &about, order);
    }
    fs::create_dir_all(&place).map_err(failed("the set's folder"))?;
    pair.clear()?;
    let edge = pair.edge(None).await?;
    let written = author::write(&edge.handle(), order).await?;
    let work = edge.work();
    edge.caught_up().await?;
    let size = match order.depth {
        Depth::Whole => author::size(&edge.handle(), &written).await?,
        // Their number counts alone, and to export all of them takes as long as to write them.
        Depth::Openings => Size {
            documents: order.cases,
            changes: order.cases,
            ..Size::default()
        },
    };
    edge.stop().await;
    let made = Made {
        store: place.join("edge.redb"),
        written,
        size,
        held: order.held(),
        work,
        is_kept: false,
    };
    fs::copy(pair.edge_file(), &made.store).map_err(failed("the copy"))?;
    // Written last: a set without it was not finished.
    fs::write(&about, made.about().to_string()).map_err(failed("what the set is"))?;
    Ok(made)
}

impl Made {
    /// Writes beside the store what the rivals are given: the same documents as Automerge files
    /// and changes.
    ///
    /// # Errors
    /// When they cannot be exported or written.
    pub(crate) async fn export(&self, pair: &Pair<'_>) -> Outcome<()> {
        pair.begin_from(&self.store)?;
        let edge = pair.edge(None).await?;
        let file = self.store.with_file_name("docs.bin");
        author::export(&edge.handle(), &self.written, &file).await?;
        edge.stop().await;
        Ok(())
    }

    fn about(&self) -> Value {
        let ids = |ids: &[DocumentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "cases": ids(&self.written.cases),
            "registers": ids(&self.written.registers),
            "took_ms": self.written.took.as_millis() as u64,
            "documents": self.size.documents,
            "changes": self.size.changes,
            "change_bytes": self.size.change_bytes,
            "saved_bytes": self.size.saved_bytes,
            "commits": self.work.commits,
            "syncs": self.work.syncs,
        })
    }

    /// Says what was written, and how fast.
    pub(crate) fn tell(&self) -> Outcome<()> {
        let whole = |count: u64| number(count as f64);
        let bytes = fs::metadata(&self.store).map_err(failed("the set's store"))?;
        let (documents, changes) = (whole(self.size.documents), whole(self.size.changes));
        print!("the set: {documents} documents, {changes} changes in as many runs");
        if self.size.saved_bytes > 0 {
            let (bytes, saved) = (self.size.change_bytes, self.size.saved_bytes);
            print!(
                ", {} bytes of changes, {} bytes saved",
                whole(bytes),
                whole(saved)
            );
        }
        println!();
        let seconds = self.written.took.as_secs_f64();
        println!(
            "written by commands at the edge in {} s ({} a second, {} commits, {} sync_data \
             calls){}; its store: {} bytes",
            number(seconds),
            number((self.size.changes as f64 / seconds).round()),
            whole(self.work.commits),
            whole(self.work.syncs),
            if self.is_kept {
                ", in an earlier run"
            } else {
                ""
            },
            whole(bytes.len()),
        );
        Ok(())
    }
}

fn read(place: &Path, about: &Path, order: &Order) -> Outcome<Made> {
    let text = fs::read_to_string(about).map_err(failed("what the set is"))?;
    let about: Value = serde_json::from_str(&text).map_err(failed("what the set is"))?;
    let figure = |name: &str| about.get(name).and_then(Value::as_u64).unwrap_or_default();
    let ids = |name: &str| -> Outcome<Vec<DocumentId>> {
        let all = about.get(name).and_then(Value::as_array);
        let all = all.into_iter().flatten().filter_map(Value::as_str);
        all.map(|id| id.parse().map_err(failed("a document's id")))
            .collect()
    };
    Ok(Made {
        store: place.join("edge.redb"),
        written: Written {
            cases: ids("cases")?,
            registers: ids("registers")?,
            took: Duration::from_millis(figure("took_ms")),
            ..Written::default()
        },
        size: Size {
            documents: figure("documents"),
            changes: figure("changes"),
            change_bytes: figure("change_bytes"),
            saved_bytes: figure("saved_bytes"),
        },
        held: order.held(),
        work: Work {
            commits: figure("commits"),
            syncs: figure("syncs"),
            ..Work::default()
        },
        is_kept: true,
    })
}
