//! A hundred thousand documents: a reconnect with nothing changed, and a centre that comes back
//! from a backup a hundred documents old.
//!
//! The documents are cases with their opening alone. What they cost here is by their number: a
//! reconnect and a repair read no change of any that is the same on both sides.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path as FilePath, PathBuf},
    time::{Duration, Instant},
};

use harness::chance::Chance;
use names::DocumentId;
use node::{Notice, views::ScopeSync};
use runtime::backup::{self, Backup, keep_recovery};
use tokio::time::timeout;

use crate::{
    author::Order,
    disk::{self, Meter},
    failure::{Outcome, failed, must},
    figures::number,
    made::{self, Made},
    measure::{Bench, Measured, lead, write_notes},
    organisation::{Organisation, scope, site},
    pair::{PATIENCE, Pair, ms, silence, watch_handshake},
    path::Path,
    set::{Depth, SEED},
    station::Station,
};

/// Documents that the backup does not know of.
pub(crate) const FORGOTTEN: usize = 100;

/// How often it is looked whether the centre was told what it lacks.
const LOOK: Duration = Duration::from_millis(1);

/// A centre that is behind comes up again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Found {
    /// Until the handshake was over.
    pub(crate) linked_ms: f64,
    /// Until the centre could name every document that differs, and bytes of frames until then,
    /// both ways; nothing where cursors served and nothing had to be compared.
    pub(crate) named: Option<(f64, u64)>,
    /// The same where cursors served: until it was told how much it lacks.
    pub(crate) told: Option<(f64, u64)>,
    /// Until the centre had proved that both are equal.
    pub(crate) equal_ms: f64,
    /// Bytes of frames until all was quiet: of all lanes, and of all but the fill.
    pub(crate) bytes: u64,
    pub(crate) control_bytes: u64,
}

/// How a centre comes to be behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    /// By the service's own backup and its restoring: it is a new incarnation, and cursors serve.
    Restored,
    /// By an older copy of its file, as a snapshot of the disk gives it back: it believes to be
    /// what it was, and only a comparison finds out.
    OlderFile,
}

/// All that was measured on one disk.
pub(crate) struct Large {
    /// Reconnects.
    pub(crate) measured: Measured,
    /// Centres that are behind, and the same over a long path.
    pub(crate) restored: [Vec<Found>; 2],
    pub(crate) older: [Vec<Found>; 2],
}

/// The stores from which everything begins.
pub(crate) struct Stores {
    made: Made,
    folder: PathBuf,
}

impl Stores {
    /// The centre's store and the edge's, both equal.
    pub(crate) fn equal(&self) -> [PathBuf; 2] {
        ["centre.redb", "edge-met.redb"].map(|name| self.folder.join(name))
    }

    /// The centre's store as its backup brought it back, and the edge's, which is ahead.
    fn behind(&self) -> [PathBuf; 2] {
        ["restored.redb", "edge-ahead.redb"].map(|name| self.folder.join(name))
    }
}

/// What is to be written.
pub(crate) fn order(cases: u64) -> Order {
    Order {
        cases,
        first: 0,
        depth: Depth::Openings,
        site: site(0),
        scopes: BTreeSet::from([scope()]),
    }
}

/// Makes the stores, or takes those of an earlier run.
///
/// # Errors
/// When something cannot be carried out, or something was lost.
pub(crate) async fn prepare(
    organisation: &Organisation,
    folder: &FilePath,
    documents: u64,
) -> Outcome<Stores> {
    let pair = Pair::new(organisation, folder, Duration::ZERO);
    let made = made::make(&pair, folder, &order(documents)).await?;
    made.tell()?;
    let place = made.store.parent().unwrap_or(folder).to_owned();
    let stores = Stores {
        made,
        folder: place,
    };
    if !stores.equal().iter().all(|file| file.exists()) {
        first_meeting(&pair, &stores).await?;
    }
    if !stores.behind().iter().all(|file| file.exists()) {
        fall_behind(organisation, &pair, &stores).await?;
    }
    Ok(stores)
}

/// Everything goes to the centre once.
async fn first_meeting(pair: &Pair<'_>, stores: &Stores) -> Outcome<()> {
    pair.begin_from(&stores.made.store)?;
    let centre = pair.centre().await?;
    let documents = stores.made.held;
    let (edge, meeting) = pair.meet(&centre, None, documents).await?;
    edge.stop().await;
    centre.stop().await;
    println!(
        "first sync of these, once: {} ms until proved, {} bytes up; quiet after {} ms",
        number(meeting.proved_ms),
        number(meeting.bytes().0 as f64),
        number(meeting.quiet_ms),
    );
    let [kept_centre, kept_edge] = stores.equal();
    fs::copy(pair.edge_file(), kept_edge).map_err(failed("a copy"))?;
    fs::copy(pair.centre_file(), kept_centre).map_err(failed("a copy"))?;
    Ok(())
}

/// The centre is backed up; a hundred cases get a note there, which the edge takes; the centre
/// comes back from the backup.
async fn fall_behind(organisation: &Organisation, pair: &Pair<'_>, stores: &Stores) -> Outcome<()> {
    let key = organisation.store_key();
    let recovery = organisation.recovery();
    let [kept_centre, kept_edge] = stores.equal();
    pair.clear()?;
    fs::copy(kept_edge, pair.edge_file()).map_err(failed("a copy"))?;
    fs::copy(kept_centre, pair.centre_file()).map_err(failed("a copy"))?;
    let mut store = disk::open(&pair.centre_file(), &key, &Meter::new(Duration::ZERO))?;
    let kept = organisation.centre()?.save(&mut store);
    kept.map_err(failed("what the centre is made of"))?;
    keep_recovery(&mut store, &recovery.public()).map_err(failed("the recovery key"))?;
    drop(store);
    let file = pair.folder().join("backup");
    let _ = fs::remove_file(&file);
    let began = Instant::now();
    let centre = pair.centre().await?;
    let backed = centre.handle().backup(file.clone(), |_, _| true).await;
    let (backed, _) = backed.map_err(failed("the backup"))?;
    let backing = began.elapsed();
    let mut chance = Chance::new(SEED, "after the backup");
    let chosen: Vec<&DocumentId> = stores.made.written.cases.iter().take(FORGOTTEN).collect();
    write_notes(&centre, &chosen, &mut chance).await?;
    let (edge, _) = pair.meet(&centre, None, stores.made.held).await?;
    edge.stop().await;
    centre.stop().await;
    let began = Instant::now();
    let [kept_centre, kept_edge] = stores.behind();
    let _ = fs::remove_file(&kept_centre);
    let restored = tokio::task::spawn_blocking(move || -> Outcome<u64> {
        let opened = Backup::open(&file, &recovery).map_err(failed("the backup"))?;
        let (mut backup, manifest, material) = opened;
        let mut store = disk::open(&kept_centre, &key, &Meter::new(Duration::ZERO))?;
        keep_recovery(&mut store, &recovery.public()).map_err(failed("the recovery key"))?;
        let of = (&manifest, &material);
        let done = backup::restore(store, &mut backup, of, false, &mut |_, _| true);
        let (store, done) = done.map_err(failed("the restoring"))?;
        drop(store);
        fs::remove_file(&file).map_err(failed("the backup"))?;
        Ok(done.documents)
    });
    let restored = restored.await.map_err(failed("the restoring"))??;
    println!(
        "a backup of {} documents and {} bytes took {} ms, bringing {} back {} ms",
        number(backed.documents as f64),
        number(backed.bytes as f64),
        number(ms(backing)),
        number(restored as f64),
        number(ms(began.elapsed())),
    );
    fs::copy(pair.edge_file(), kept_edge).map_err(failed("a copy"))?;
    Ok(())
}

/// Measures on one disk.
///
/// # Errors
/// When something cannot be carried out, or something was lost.
pub(crate) async fn run(
    pair: Pair<'_>,
    stores: &Stores,
    runs: usize,
    path: Option<&Path>,
) -> Outcome<Large> {
    let [kept_centre, kept_edge] = stores.equal();
    pair.clear()?;
    fs::copy(kept_edge, pair.edge_file()).map_err(failed("a copy"))?;
    fs::copy(kept_centre, pair.centre_file()).map_err(failed("a copy"))?;
    let made = &stores.made;
    let bench = Bench { pair, made, runs };
    let measured = bench.reconnects(path).await?;
    let mut large = Large {
        measured,
        restored: Default::default(),
        older: Default::default(),
    };
    for _ in 0..runs {
        for (behind, [near, far]) in [
            (Behind::Restored, &mut large.restored),
            (Behind::OlderFile, &mut large.older),
        ] {
            near.push(repair(&bench.pair, stores, behind, None).await?);
            if path.is_some() {
                far.push(repair(&bench.pair, stores, behind, path).await?);
            }
        }
    }
    Ok(large)
}

/// A centre that is behind comes up again; from the same two stores every time.
async fn repair(
    pair: &Pair<'_>,
    stores: &Stores,
    behind: Behind,
    path: Option<&Path>,
) -> Outcome<Found> {
    let ([restored, kept_edge], [older, _]) = (stores.behind(), stores.equal());
    pair.clear()?;
    fs::copy(kept_edge, pair.edge_file()).map_err(failed("a copy"))?;
    let kept_centre = match behind {
        Behind::Restored => restored,
        Behind::OlderFile => older,
    };
    fs::copy(kept_centre, pair.centre_file()).map_err(failed("a copy"))?;
    let centre = pair.centre().await?;
    let address = lead(path, &centre)?.map_or_else(|| centre.address(), Ok)?;
    let mut centre_says = centre.handle().notices();
    let began = Instant::now();
    let edge = pair.edge(Some(address)).await?;
    let dials = edge.meter().last_commit().unwrap_or(began);
    let linked = watch_handshake(edge.handle());
    let (mut named, mut told) = (None, None);
    let equal = loop {
        let said = match told.or(named) {
            Some(_) => timeout(PATIENCE, centre_says.recv()).await,
            None => {
                if is_told(&centre).await? {
                    told = Some((ms(dials.elapsed()), total(&edge)));
                }
                match timeout(LOOK, centre_says.recv()).await {
                    Err(_) if dials.elapsed() < PATIENCE => continue,
                    said => said,
                }
            }
        };
        match said {
            Ok(Ok(Notice::Differing { documents, .. })) => {
                must(documents == FORGOTTEN as u64, || {
                    format!("{documents} documents were named and not {FORGOTTEN}")
                })?;
                named = Some((ms(dials.elapsed()), total(&edge)));
            }
            Ok(Ok(Notice::Equal { .. })) => break Instant::now(),
            Ok(Ok(_)) => {}
            _ => return Err("the centre that was behind stays behind".to_owned()),
        }
    };
    silence(&edge, &centre).await?;
    let linked = linked.join().map_err(failed("the handshake"))?;
    let (ours, theirs) = (edge.stands().await?, centre.stands().await?);
    let digest = |rows: &[ScopeSync]| rows.first().map(|row| row.digest);
    must(digest(&ours) == digest(&theirs), || {
        "the repair did not make them equal".to_owned()
    })?;
    let [control, live, _] = edge.handle().traffic();
    let other = control.with(live);
    let found = Found {
        linked_ms: ms(linked - dials),
        named,
        told,
        equal_ms: ms(equal - dials),
        bytes: total(&edge),
        control_bytes: other.sent + other.received,
    };
    edge.stop().await;
    centre.stop().await;
    Ok(found)
}

/// Whether a peer has told a node how much it lacks.
async fn is_told(station: &Station) -> Outcome<bool> {
    let rows = station.stands().await?;
    let mut peers = rows.iter().flat_map(|row| &row.peers);
    Ok(peers.any(|peer| peer.expected.documents > 0))
}

/// Bytes of frames, both ways, since the edge was started.
fn total(edge: &Station) -> u64 {
    let lanes = edge.handle().traffic();
    lanes.iter().map(|lane| lane.sent + lane.received).sum()
}
