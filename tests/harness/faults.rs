//! Faults: what can go wrong, and which of it does in a seed.
//!
//! Every seed draws its own *mix* of faults first and faults from that mix then. A run with four
//! cuts and nothing else finds other bugs than one with a little of everything (Groce and others,
//! *Swarm testing*, 2012).

use crate::{
    chance::Chance,
    swarm::{CENTRE, EdgePlan},
};

/// Something that can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// A wire is cut with frames under way, and the path stays down for a while.
    Cut,
    /// Nothing passes a path for a while; its wire lives on.
    Stall,
    /// A path becomes slow for a while.
    Slow,
    /// Power fails in the middle of a commit: unsynced writes are kept, lost or torn.
    PowerInCommit,
    /// The process is killed in the middle of a commit; what it had written stays.
    KillInCommit,
    /// The process is killed after a commit and before anything of that turn was said.
    KillBeforeRelease,
    /// Power fails while nothing is being written.
    PowerWhileIdle,
    /// Power fails in a commit, and again while the store is being opened after it.
    PowerInRecovery,
    /// A sync fails, whereupon the machine is started anew.
    SyncFails,
    /// The disk is full for a while.
    DiskFull,
    /// The process is stopped in order and started again.
    Restart,
    /// The centre's disk is replaced by an older copy of itself.
    Restore,
    /// An edge's is.
    RestoreEdge,
    /// A copy of an edge's disk is started on another machine, beside the edge.
    CloneEdge,
    /// A station's clock jumps, forwards or back, by up to a day.
    ClockJump,
    /// The authority takes an edge's device its rights away, mostly while it works out of touch.
    Revoke,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 16] = [
        FaultKind::Cut,
        FaultKind::Stall,
        FaultKind::Slow,
        FaultKind::PowerInCommit,
        FaultKind::KillInCommit,
        FaultKind::KillBeforeRelease,
        FaultKind::PowerWhileIdle,
        FaultKind::PowerInRecovery,
        FaultKind::SyncFails,
        FaultKind::DiskFull,
        FaultKind::Restart,
        FaultKind::Restore,
        FaultKind::ClockJump,
        FaultKind::RestoreEdge,
        FaultKind::CloneEdge,
        FaultKind::Revoke,
    ];

    /// Its name in the printed tables.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Cut => "cut",
            FaultKind::Stall => "stall",
            FaultKind::Slow => "slow",
            FaultKind::PowerInCommit => "power-in-commit",
            FaultKind::KillInCommit => "kill-in-commit",
            FaultKind::KillBeforeRelease => "kill-before-release",
            FaultKind::PowerWhileIdle => "power-while-idle",
            FaultKind::PowerInRecovery => "power-in-recovery",
            FaultKind::SyncFails => "sync-fails",
            FaultKind::DiskFull => "disk-full",
            FaultKind::Restart => "restart",
            FaultKind::Restore => "restore",
            FaultKind::RestoreEdge => "restore-edge",
            FaultKind::CloneEdge => "clone-edge",
            FaultKind::ClockJump => "clock-jump",
            FaultKind::Revoke => "revoke",
        }
    }

    /// Whether it comes at most once in a plan, drawn from a stream of its own.
    fn is_drawn_apart(self) -> bool {
        matches!(
            self,
            FaultKind::RestoreEdge | FaultKind::CloneEdge | FaultKind::Revoke
        )
    }

    /// Whether it strikes a path, not a node.
    pub(crate) fn is_of_path(self) -> bool {
        match self {
            FaultKind::Cut | FaultKind::Stall | FaultKind::Slow => true,
            FaultKind::PowerInCommit
            | FaultKind::KillInCommit
            | FaultKind::KillBeforeRelease
            | FaultKind::PowerWhileIdle
            | FaultKind::PowerInRecovery
            | FaultKind::SyncFails
            | FaultKind::DiskFull
            | FaultKind::Restart
            | FaultKind::Restore
            | FaultKind::RestoreEdge
            | FaultKind::CloneEdge
            | FaultKind::ClockJump
            | FaultKind::Revoke => false,
        }
    }

    /// Whether it falls between the receipt of an input and the release of its answer.
    pub fn is_before_release(self) -> bool {
        match self {
            FaultKind::PowerInCommit
            | FaultKind::KillInCommit
            | FaultKind::KillBeforeRelease
            | FaultKind::PowerInRecovery
            | FaultKind::SyncFails
            | FaultKind::DiskFull => true,
            FaultKind::Cut
            | FaultKind::Stall
            | FaultKind::Slow
            | FaultKind::PowerWhileIdle
            | FaultKind::Restart
            | FaultKind::Restore
            | FaultKind::RestoreEdge
            | FaultKind::CloneEdge
            | FaultKind::ClockJump
            | FaultKind::Revoke => false,
        }
    }
}

/// What belongs to the revocation of a seed beside its fault.
#[derive(Clone, Copy, Debug)]
pub struct RevocationPlan {
    /// For how long its edge has been out of touch when the authority says so; none: it is in touch.
    pub out_of_touch_ms: Option<i64>,
    /// Whether it counts as lost: then it is to destroy its keys before it hands anything in.
    pub is_lost: bool,
    /// How long after something was handed in a person lets it in; none: nobody ever does.
    pub let_in_after_ms: Option<i64>,
    /// How often in a hundred frames of the narrow protocol the conversation breaks off, or one of
    /// both sides dies.
    pub breaks_percent: u64,
    /// From the last answer until the device's keys are destroyed.
    pub purges_after_ms: i64,
}

/// One fault of a seed.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Where: an edge's number for paths, a station's number for nodes.
    pub at: usize,
    /// After how many acts of people.
    pub after_act: u64,
    /// For how long, in milliseconds.
    pub lasts_ms: i64,
    /// For a restored station: after how many acts its disk was copied.
    pub copied_after_act: u64,
}

impl FaultPlan {
    /// The edge that it strikes; none when that is the centre.
    pub(crate) fn edge(&self) -> Option<usize> {
        match self.kind.is_of_path() {
            true => Some(self.at),
            false => self.at.checked_sub(1),
        }
    }
}

pub(crate) fn draw_faults(
    chance: &mut Chance,
    edges: usize,
    acts: u64,
    pace_ms: u64,
) -> Vec<FaultPlan> {
    let mut mix: Vec<FaultKind> = FaultKind::ALL
        .into_iter()
        .filter(|kind| !kind.is_drawn_apart())
        .filter(|_| chance.percent(40))
        .collect();
    if mix.is_empty() {
        mix.push(FaultKind::Cut);
    }
    let mut faults = Vec::new();
    for _ in 0..chance.between(4, 10) {
        let kind = chance.pick(&mix).copied().unwrap_or(FaultKind::Cut);
        let at = match kind {
            _ if kind.is_of_path() => chance.index(edges),
            FaultKind::Restore => CENTRE,
            // The centre is as likely as all edges together: everything passes it.
            _ if chance.percent(50) => CENTRE,
            _ => chance.index(edges) + 1,
        };
        // Early enough that people still act after it.
        let after_act = chance.between(acts / 20, acts * 9 / 10);
        faults.push(FaultPlan {
            kind,
            at,
            after_act,
            // From a blink to a good part of the whole run.
            lasts_ms: chance.span_ms(100, (pace_ms * acts / 3).max(60_000)),
            copied_after_act: chance.below(after_act),
        });
    }
    faults.sort_by_key(|fault| fault.after_act);
    faults
}

/// In some worlds an edge's disk is replaced by an older copy of itself: in all of those in which
/// the centre's is not.
pub(crate) fn draw_restored_edge(
    chance: &mut Chance,
    edges: usize,
    acts: u64,
    pace_ms: u64,
) -> FaultPlan {
    let after_act = chance.between(acts / 10, acts * 9 / 10);
    FaultPlan {
        kind: FaultKind::RestoreEdge,
        at: chance.index(edges) + 1,
        after_act,
        lasts_ms: chance.span_ms(100, (pace_ms * acts / 3).max(60_000)),
        copied_after_act: chance.below(after_act),
    }
}

/// A copy of an edge's disk that is started on a machine of its own, over a path like the edge's.
pub(crate) fn draw_clone(
    chance: &mut Chance,
    edges: &[EdgePlan],
    acts: u64,
) -> (EdgePlan, FaultPlan) {
    let of = chance.index(edges.len());
    let after_act = chance.between(acts / 10, acts * 8 / 10);
    let copy = EdgePlan {
        enrolled_after_act: u64::MAX,
        copy_of: Some(of),
        ..edges.get(of).cloned().expect("an index of the edges")
    };
    let fault = FaultPlan {
        kind: FaultKind::CloneEdge,
        at: of + 1,
        after_act,
        lasts_ms: chance.span_ms(100, 60_000),
        copied_after_act: 0,
    };
    (copy, fault)
}

/// The device of one edge is revoked, in the plans in which that happens.
pub(crate) fn draw_revocation(
    chance: &mut Chance,
    edges: usize,
    acts: u64,
    pace_ms: u64,
) -> (RevocationPlan, FaultPlan) {
    let longest_ms = (pace_ms * acts / 4).max(60_000);
    let is_out_of_touch = chance.percent(70);
    let out_of_touch_ms = chance.span_ms(1_000, longest_ms);
    let is_let_in = chance.percent(65);
    let let_in_after_ms = chance.span_ms(100, 600_000);
    let plan = RevocationPlan {
        out_of_touch_ms: is_out_of_touch.then_some(out_of_touch_ms),
        is_lost: chance.percent(10),
        let_in_after_ms: is_let_in.then_some(let_in_after_ms),
        breaks_percent: chance.below(25),
        purges_after_ms: chance.span_ms(1, 600_000),
    };
    let fault = FaultPlan {
        kind: FaultKind::Revoke,
        at: chance.index(edges) + 1,
        after_act: chance.between(acts / 10, acts * 8 / 10),
        lasts_ms: chance.span_ms(100, longest_ms),
        copied_after_act: 0,
    };
    (plan, fault)
}
