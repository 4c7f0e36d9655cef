//! What waits for the next turn, in the order in which it should be taken.

use std::collections::VecDeque;

use names::limits::{TURN_BYTES_MAX, TURN_CHANGES_MAX};

use crate::{input::Input, output::Lane, verify::Checked};

/// Changes that cost as much together, in one bundle, as one that comes alone.
const CHANGES_FOR_ONE: usize = 8;

/// Inputs waiting for a turn. People's own and live ones go before what was missed, so that a
/// long fill never delays a person; inputs of one conversation's lane keep their order.
///
/// Control frames share the queue of the fill: a marker must not overtake what it closes.
#[derive(Debug, Default)]
pub struct Inbox {
    first: VecDeque<Input>,
    then: VecDeque<Input>,
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Inbox {
        Inbox::default()
    }

    /// Adds an input.
    pub fn push(&mut self, input: Input) {
        let queue = match &input {
            Input::Frame { frame, .. } => match &frame.0 {
                Checked::Load(load) if load.lane == Lane::Live => &mut self.first,
                Checked::Load(_)
                | Checked::Statements { .. }
                | Checked::Plain(_)
                | Checked::Unknown => &mut self.then,
            },
            // A conversation's end stays behind its frames; its beginning comes before them all.
            Input::LinkDown { .. } => &mut self.then,
            Input::LinkUp { .. }
            | Input::Command { .. }
            | Input::Transfer { .. }
            | Input::Opened { .. }
            | Input::Stated { .. }
            | Input::Want(_)
            | Input::TryAgain
            | Input::Stop
            | Input::Errand { .. }
            | Input::Wake => &mut self.first,
        };
        queue.push_back(input);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.then.is_empty()
    }

    /// How many inputs wait.
    pub fn len(&self) -> usize {
        self.first.len() + self.then.len()
    }

    /// The inputs of the next turn, within its bounds: at least one if any waits.
    pub fn next_turn(&mut self) -> Vec<Input> {
        let (mut bytes, mut changes) = (0, 0);
        let mut turn = Vec::new();
        while bytes < TURN_BYTES_MAX && changes < TURN_CHANGES_MAX {
            // A quarter of each turn is for the rest, or a busy morning would starve it.
            let mine = changes < TURN_CHANGES_MAX * 3 / 4 || self.then.is_empty();
            let next = if mine { self.first.pop_front() } else { None };
            let Some(input) = next.or_else(|| self.then.pop_front()) else {
                break;
            };
            let (more_bytes, more_changes) = weight(&input);
            bytes += more_bytes;
            changes += more_changes;
            turn.push(input);
        }
        turn
    }
}

/// What an input costs a turn: bytes and changes; everything counts as one change at least.
fn weight(input: &Input) -> (usize, usize) {
    match input {
        Input::Frame { frame, .. } => match &frame.0 {
            Checked::Load(load) => {
                let bundles = load.bundles.iter();
                let bytes = bundles.clone().map(|bundle| bundle.bytes()).sum();
                let changes: usize = bundles.map(|bundle| bundle.headers().len()).sum();
                // What costs is rows, and a bundle's are few however many changes it has.
                let cost = load.bundles.len().max(changes / CHANGES_FOR_ONE);
                (bytes, cost.max(1))
            }
            Checked::Statements { .. } | Checked::Plain(_) | Checked::Unknown => (0, 1),
        },
        Input::Errand { errand, .. } => errand.weight(),
        Input::LinkUp { .. }
        | Input::LinkDown { .. }
        | Input::Command { .. }
        | Input::Transfer { .. }
        | Input::Opened { .. }
        | Input::Stated { .. }
        | Input::Want(_)
        | Input::TryAgain
        | Input::Stop
        | Input::Wake => (0, 1),
    }
}
