//! What a shell has to have kept or done that is no command of a person's: rows of its own, and
//! what a revoked device hands in (see [`crate::review`]).

use std::collections::BTreeMap;

use names::{DeviceId, Moment, Reason, limits::TURN_BYTES_MAX};
use protocol::{codec, narrow::PART_BYTES_MAX};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    admit::{self, Verdict},
    draft::unless_damaged,
    node::Node,
    review,
    rows::LinesRow,
    turn::Turn,
    verify::{Checked, VerifiedFrame},
};

/// What a shell asks of its node.
#[derive(Debug)]
pub enum Errand {
    /// Keep rows of the shell's own, in place of those under this name.
    Keep {
        /// Whose name no row of the node's has.
        name: &'static [u8],
        /// The rows, in order.
        values: Vec<Vec<u8>>,
    },
    /// Keep a part that a revoked device hands in, unread.
    HandIn {
        /// The device, proven by the transport.
        device: DeviceId,
        /// The part: at most [`PART_BYTES_MAX`].
        part: Vec<u8>,
    },
    /// Let a part into the record that was handed in.
    LetIn {
        /// The device that handed it in.
        device: DeviceId,
        /// Where it is kept.
        position: u64,
        /// The part, verified.
        frame: Box<VerifiedFrame>,
    },
    /// A backup is begun: whatever snapshot is taken after this has what was said to be held before.
    BeginBackup,
    /// A backup was read back and put away, and lacks nothing.
    KeepBackup {
        /// Its number, as the answer to its beginning gave it.
        number: u64,
    },
    /// One copy alone of a device's store runs now, after two did.
    OneStays {
        /// Whose store.
        device: DeviceId,
    },
    /// Forget parts that were handed in, for good.
    Discard {
        /// The device that handed them in.
        device: DeviceId,
        /// The last of them: what came meanwhile stays.
        until: u64,
    },
}

impl Errand {
    /// Whether it moves what a revoked device has handed in: nobody waits for that as for a command.
    pub fn is_of_review(&self) -> bool {
        match self {
            Errand::Keep { .. }
            | Errand::BeginBackup
            | Errand::KeepBackup { .. }
            | Errand::OneStays { .. } => false,
            Errand::HandIn { .. } | Errand::LetIn { .. } | Errand::Discard { .. } => true,
        }
    }

    /// What it costs a turn: bytes and changes. A part may fill one.
    pub fn weight(&self) -> (usize, usize) {
        match self {
            Errand::Keep { values, .. } => (values.iter().map(Vec::len).sum(), 1),
            Errand::HandIn { part, .. } => (part.len(), 1),
            Errand::LetIn { .. } => (PART_BYTES_MAX, 1),
            Errand::Discard { .. }
            | Errand::BeginBackup
            | Errand::KeepBackup { .. }
            | Errand::OneStays { .. } => (0, 1),
        }
    }
}

/// What came of an errand; all nought when it only kept something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ran {
    /// Bundles and placements of which something is new in the record.
    pub admitted: u64,
    /// Those that were there before.
    pub held: u64,
    /// Those that were not taken, by reason; their part is kept.
    pub refused: BTreeMap<Reason, u64>,
    /// The number of the backup that was begun.
    pub backup: u64,
}

impl Ran {
    fn refuse(&mut self, reason: Reason) {
        *self.refused.entry(reason).or_default() += 1;
    }
}

impl<S: Store> Node<S> {
    pub(crate) fn run_errand(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        errand: Errand,
    ) -> Result<Result<Ran, Reason>, StoreError> {
        match errand {
            Errand::Keep { name, values } => keep(turn, name, values),
            Errand::HandIn { device, part } => {
                let kept = review::hand_in(&mut turn.draft, device, part)?;
                Ok(kept.map(|()| Ran::default()))
            }
            Errand::BeginBackup => Ok(Ok(Ran {
                backup: self.begin_backup(turn),
                ..Ran::default()
            })),
            Errand::KeepBackup { number } => {
                self.keep_backup(turn, number);
                Ok(Ok(Ran::default()))
            }
            Errand::OneStays { device } => {
                Ok(self.one_stays(turn, device).map(|()| Ran::default()))
            }
            Errand::Discard { device, until } => {
                review::discard(&mut turn.draft, device, until)?;
                Ok(Ok(Ran::default()))
            }
            Errand::LetIn {
                device,
                position,
                frame,
            } => self.let_in(turn, device, position, *frame),
        }
    }

    /// Admits a part like any other frame, whatever scopes its documents stand in by now: losing
    /// a scope stops reading, never handing in. What others wrote is in it where a centre that was
    /// restored lacks that too: their signatures are theirs, whoever carries them.
    fn let_in(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        position: u64,
        frame: VerifiedFrame,
    ) -> Result<Result<Ran, Reason>, StoreError> {
        let Checked::Load(load) = frame.0 else {
            return Ok(Err(Reason::Malformed));
        };
        let mut ran = Ran::default();
        for rejected in &load.rejected {
            ran.refuse(rejected.reason);
        }
        let directory = self.directory();
        for placement in &load.placements {
            let document = placement.placement().document;
            let verdict = admit::placement(&mut turn.draft, &directory, placement, None);
            match unless_damaged(verdict)? {
                Some(Verdict::Admitted) => {
                    ran.admitted += 1;
                    unless_damaged(self.owe_rulings(turn, document))?;
                }
                Some(Verdict::Held) => ran.held += 1,
                Some(Verdict::Refused(reason)) => ran.refuse(reason),
                None => ran.refuse(Reason::CannotOpen),
            }
        }
        for bundle in &load.bundles {
            let admission = admit::bundle(&mut turn.draft, bundle, None, &self.ruled_out(bundle));
            let Some(admission) = unless_damaged(admission)? else {
                ran.refuse(Reason::CannotOpen);
                continue;
            };
            if admission.admitted {
                ran.admitted += 1;
                self.stale.insert(bundle.document());
                if self.branches.losing.contains(&bundle.document()) {
                    self.branches.due.insert(bundle.document());
                }
            } else if admission.nothing.is_none() && admission.refused.is_empty() {
                ran.held += 1;
            }
            let refused = admission.refused.into_iter().map(|(_, _, reason)| reason);
            admission
                .nothing
                .into_iter()
                .chain(refused)
                .for_each(|reason| ran.refuse(reason));
        }
        for (reason, count) in &ran.refused {
            *self.counters.entry(*reason).or_default() += count;
        }
        if ran.refused.is_empty() {
            review::forget(&mut turn.draft, device, position)?;
        }
        Ok(Ok(ran))
    }
}

fn keep<P: Snapshot>(
    turn: &mut Turn<P>,
    name: &'static [u8],
    values: Vec<Vec<u8>>,
) -> Result<Result<Ran, Reason>, StoreError> {
    let bytes: usize = values.iter().map(Vec::len).sum();
    if bytes > TURN_BYTES_MAX {
        return Ok(Err(Reason::TooLarge));
    }
    let before = turn
        .draft
        .snapshot()
        .range(Table::Meta, name, 0, usize::MAX)?;
    for (position, _) in before {
        turn.draft.delete(Table::Meta, name, position);
    }
    for (position, value) in (0..).zip(values) {
        turn.draft.put_bytes(Table::Meta, name, position, value);
    }
    Ok(Ok(Ran::default()))
}

/// When the last entry of a device that is here was written, by its own clock; none when there is
/// none of it. Looks through every author's line: for a rare question of an operator's.
///
/// # Errors
/// When the store cannot be read.
pub fn written_until<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
) -> Result<Option<Moment>, StoreError> {
    let mut latest = None;
    store::each(snapshot, Table::Actor, |row| {
        let row = codec::decode::<LinesRow>(&row.value).unwrap_or_default();
        let own = row.lines.values().filter(|line| line.device == device);
        latest = latest.max(own.map(|line| line.at).max());
    })?;
    Ok(latest)
}
