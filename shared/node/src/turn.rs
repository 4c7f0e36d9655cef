//! One turn: inputs in, one batch to the store, outputs out.
//!
//! The order is fixed. Inputs are taken in order and only decide; then digests and logs are
//! brought up to date; then proofs are judged; then the batch is made durable; and only then is
//! anything said, from what is on disk. So nothing can be said before it is durable: there is no
//! other place in which frames are made.

use names::{Moment, Nonce, Reason};
use protocol::message::{Bye, Frame};
use store::{Snapshot, Store, StoreError};

use crate::{
    draft::{Draft, Settled, unless_damaged},
    input::{Input, LinkId},
    link::Due,
    node::Node,
    output::{Lane, Notice, Output},
    verify::{Checked, VerifiedFrame},
};

/// Wait before a round is opened again because something could not be taken yet.
pub(crate) const ROUND_AGAIN_MS: i64 = 1_000;
/// How long a row may go unanswered: a peer answers in its next turn.
pub(crate) const ROW_WAIT_MS: i64 = 10_000;
/// Wait before a proof is given again: live entries may have been on their way.
pub(crate) const PROOF_AGAIN_MS: i64 = 300;
/// How long live traffic may go on before it is proved.
pub(crate) const PROOF_INTERVAL_MS: i64 = 5_000;
/// The longest wait between two rounds that ended unequal: ten minutes, so that a difference
/// nobody can mend costs little and is still looked at before a shift ends.
const UNEQUAL_WAIT_MAX_MS: i64 = 600_000;

/// What a turn carries along.
pub(crate) struct Turn<P> {
    pub(crate) draft: Draft<P>,
    pub(crate) now: Moment,
    pub(crate) outputs: Vec<Output>,
    entropy: [u8; 32],
    drawn: usize,
}

impl<P: Snapshot> Turn<P> {
    /// A turn that has decided nothing yet.
    pub(crate) fn new(draft: Draft<P>, now: Moment, entropy: [u8; 32]) -> Turn<P> {
        Turn {
            draft,
            now,
            outputs: Vec::new(),
            entropy,
            drawn: 0,
        }
    }

    /// Says something to the shell, once the turn is on disk.
    pub(crate) fn say(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// A nonce that no other turn has.
    pub(crate) fn nonce(&self) -> Nonce {
        let (_, last) = self
            .entropy
            .split_last_chunk()
            .expect("32 bytes have a last 16");
        Nonce(*last)
    }

    /// A delay of up to a half more than `milliseconds`, so that many nodes do not act at once.
    pub(crate) fn soon(&mut self, milliseconds: i64) -> Moment {
        let byte = self
            .entropy
            .get(self.drawn % self.entropy.len())
            .copied()
            .unwrap_or(0);
        self.drawn += 1;
        self.now
            .plus_ms(milliseconds + milliseconds * i64::from(byte) / 512)
    }
}

impl<S: Store> Node<S> {
    /// Takes one turn: all of `inputs`, decided together, in one transaction of the store.
    ///
    /// `entropy` spreads waits, and makes new actors for documents that were dropped; it never
    /// decides what is kept, and must never be handed in twice.
    ///
    /// # Errors
    /// When the store fails. Nothing of the turn has been said then; the node is dead and must be
    /// opened again from its store.
    pub fn turn(
        &mut self,
        now: Moment,
        entropy: [u8; 32],
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StoreError> {
        if self.dead {
            return Err(StoreError::Dead);
        }
        let outputs = self.try_turn(now, entropy, inputs);
        self.dead = outputs.is_err();
        outputs
    }

    fn try_turn(
        &mut self,
        now: Moment,
        entropy: [u8; 32],
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StoreError> {
        let mut turn = Turn::new(Draft::new(self.store.snapshot()?), now, entropy);
        for input in inputs {
            self.take(&mut turn, input)?;
        }
        self.follow_directory(&mut turn)?;
        self.follow_rulings(&mut turn)?;
        self.follow_branches(&mut turn)?;
        self.drop_transferred(&mut turn)?;
        let Settled {
            heads,
            restated,
            shifts,
        } = turn.draft.settle(self.meta.writer)?;
        self.follow_shifts(&mut turn, shifts)?;
        self.judge_proofs(&mut turn)?;
        self.judge_directories(now);
        self.act_on_time(&mut turn);
        self.assign_openings(&mut turn)?;
        self.plan_hand_ins(&mut turn)?;
        let Turn {
            draft, mut outputs, ..
        } = turn;
        let mut batch = draft.into_batch();
        self.keep_backed(&mut batch);
        if !batch.is_empty() {
            self.store.commit(batch)?;
            self.commits += 1;
        }
        self.log_heads.extend(heads);
        self.update_sketches(restated);
        self.outbox.durable = self.outbox.next;
        self.speak(now, &mut outputs)?;
        outputs.extend(self.wake_at(now).map(Output::WakeAt));
        Ok(outputs)
    }

    fn take(&mut self, turn: &mut Turn<S::Snapshot>, input: Input) -> Result<(), StoreError> {
        match input {
            Input::LinkUp { link, peer, side } => {
                let device = protocol::signed::device_id(&peer);
                self.greet(turn, link, device, side)
            }
            Input::LinkDown { link } => {
                self.keep_arrived(turn, link)?;
                self.links.remove(&link);
                Ok(())
            }
            Input::Frame { link, frame } if self.links.contains_key(&link) => {
                self.note_contact(turn, link);
                self.take_frame(turn, link, frame)
            }
            // Frames of a conversation that ended while they were on their way.
            Input::Frame { .. } | Input::Wake => Ok(()),
            Input::Command { ticket, request } => self.take_command(turn, ticket, *request),
            Input::Transfer { ticket, transfer } => self.take_transfer(turn, ticket, &transfer),
            Input::Opened { job, opened } => self.take_opened(turn, job, opened),
            Input::Want(document) => self.want(turn, document),
            Input::TryAgain => {
                self.try_again(turn);
                Ok(())
            }
            Input::Stop => {
                self.desk.is_closing = true;
                Ok(())
            }
            Input::Errand { ticket, errand } => {
                let ran = unless_damaged(self.run_errand(turn, errand))?;
                let result = ran.unwrap_or(Err(Reason::CannotOpen));
                turn.say(Output::Ran { ticket, result });
                Ok(())
            }
            Input::Stated { ticket, statement } => {
                let result = self.keep_statement(turn, &statement);
                turn.say(Output::Stated {
                    ticket,
                    result: result.map(|_| ()),
                });
                Ok(())
            }
        }
    }

    fn take_frame(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        link: LinkId,
        frame: VerifiedFrame,
    ) -> Result<(), StoreError> {
        match frame.0 {
            Checked::Unknown => Ok(()),
            Checked::Statements {
                statements,
                rejected,
                last,
            } => {
                for reason in rejected {
                    self.refuse(turn, link, reason);
                }
                self.take_statements(turn, link, &statements, last)
            }
            Checked::Load(load) => self.take_load(turn, link, &load),
            Checked::Plain(frame) => self.take_plain(turn, link, frame),
        }
    }

    /// Counts a refusal and tells the operator.
    pub(crate) fn refuse(&mut self, turn: &mut Turn<S::Snapshot>, link: LinkId, reason: Reason) {
        self.count(reason);
        turn.say(Output::Notice(Notice::Refused { link, reason }));
    }

    /// Ends a conversation from this side.
    pub(crate) fn close(&mut self, turn: &mut Turn<S::Snapshot>, link: LinkId, reason: Reason) {
        if self.links.remove(&link).is_some() {
            self.count(reason);
            turn.say(Output::Send {
                link,
                lane: Lane::Control,
                frame: Frame::Bye(Bye { reason }).encode(),
            });
            turn.say(Output::Close { link, reason });
        }
    }

    /// Does what was put off to a moment that has come.
    fn act_on_time(&mut self, turn: &mut Turn<S::Snapshot>) {
        let now = turn.now;
        for link in self.links.values_mut() {
            for talk in link.scopes.values_mut() {
                if talk.look_again.is_some_and(|at| at <= now) {
                    talk.doubt_exceptions(now);
                    talk.begin(talk.round.saturating_add(1));
                }
                match talk.due {
                    Some((at, Due::Round)) if at <= now => talk.begin(talk.round.saturating_add(1)),
                    Some((at, Due::Proof)) if at <= now => {
                        // Before both have sent all, a proof would say nothing.
                        let is_time = talk.sent && talk.they_sent;
                        talk.ask_due |= is_time;
                        let later = turn.soon(PROOF_INTERVAL_MS);
                        talk.due = (!is_time).then_some((later, Due::Proof));
                    }
                    Some(_) => {}
                    None if talk.proved.is_none() && talk.sent && talk.they_sent => {
                        talk.due = Some((turn.soon(PROOF_INTERVAL_MS), Due::Proof));
                    }
                    None => {}
                }
            }
        }
    }

    pub(crate) fn wake_at(&self, now: Moment) -> Option<Moment> {
        if self.links.values().any(|link| link.unfinished) || self.has_to_drop() {
            return Some(now);
        }
        let talks = self.links.values().flat_map(|link| link.scopes.values());
        let due = talks.flat_map(|talk| [talk.due.map(|(at, _)| at), talk.look_again]);
        let due = due.flatten();
        let due = due.chain(self.release_at()).chain(self.trying.take_up_at());
        due.chain(self.hands_in_at()).min()
    }

    /// How long to wait after `failures` rounds that ended unequal, one after another.
    pub(crate) fn unequal_wait_ms(failures: u32) -> i64 {
        (ROUND_AGAIN_MS << failures.min(16)).min(UNEQUAL_WAIT_MAX_MS)
    }
}
