//! How far what the centre holds is in backups, said to those who let go what they have handed in.
//!
//! A backup has what was durable when its snapshot was taken, and so all that was said to be held
//! before it was begun. They are counted in memory, from each opening of the store: an older copy of
//! it does not know what was made after it, and whoever let go something on the word of the centre
//! of before would not be told. So a new opening is a new count, and what was not yet let go is
//! handed in again.

use protocol::message::Frame;
use store::Store;

use crate::{link::Stage, node::Node, output::Lane};

impl<S: Store> Node<S> {
    /// Counts a backup that is to be made of the next snapshot.
    pub(crate) fn begin_backup(&mut self) -> u64 {
        self.backups.begun += 1;
        self.say_backups();
        self.backups.begun
    }

    /// Notes that a backup was put away. One that is not of this opening says nothing.
    pub(crate) fn keep_backup(&mut self, number: u64) {
        if number > self.backups.kept && number <= self.backups.begun {
            self.backups.kept = number;
            self.say_backups();
        }
    }

    fn say_backups(&mut self) {
        let links = self.links.values_mut();
        for link in links.filter(|link| link.stage == Stage::Scopes) {
            link.ready
                .push((Lane::Control, Frame::Backups(self.backups)));
        }
    }
}
