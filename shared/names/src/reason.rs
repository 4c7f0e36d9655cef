//! Every refusal, skip and exception, in one closed enum for frames, counters, API and screens.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $words:literal;)*) => {
        /// Why something was not done. The code is for the wire and never changes its meaning;
        /// the name is for counters and the API; the words are for a screen.
        ///
        /// *Not allowed* and *not existing* are one reason, so that an answer tells nothing.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason, in the order of their codes.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The number that stands for it on the wire.
            pub fn code(self) -> u16 {
                match self { $(Reason::$name => $code,)* }
            }

            /// Its name in counters and the API.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }

            /// What a person is told.
            pub fn words(self) -> &'static str {
                match self { $(Reason::$name => $words,)* }
            }
        }
    };
}

reasons! {
    /// Bytes that are not what their place demands.
    Malformed = 1, "malformed", "The data could not be read; it is damaged or not Ridgeway's.";
    /// A named limit would be exceeded.
    TooLarge = 2, "too-large", "This is larger than Ridgeway takes in one piece.";
    /// A hash does not fit its content.
    WrongHash = 3, "wrong-hash", "The data was damaged on its way.";
    /// A signature does not fit.
    BadSignature = 4, "bad-signature", "The signature does not fit the data.";
    /// The signer is not in the directory as known here; asked for again when it changes.
    UnknownSigner = 5, "unknown-signer", "The device that signed this is not known here yet.";
    /// The actor is not the hash of its signer, document, nonce and worker.
    WrongActor = 6, "wrong-actor", "The data names an author its signer may not speak for.";
    /// A change another change builds on is not here yet.
    MissingDependency = 7, "missing-dependency", "Something this builds on has not arrived yet.";
    /// The sequence number is not the next one of its actor.
    WrongSequence = 8, "wrong-sequence", "An earlier entry of the same author has not arrived yet.";
    /// Two different changes claim the same place of one actor: a cloned or restored store.
    Equivocation = 9, "equivocation", "Two copies of one device have written; a person must look.";
    /// Not there, or not for this peer: the two are never told apart.
    NotFound = 10, "not-found", "There is no such thing here, or you may not see it.";
    /// The person or device lacks the right.
    NotAllowed = 11, "not-allowed", "You may not do this.";
    /// No protocol version in common.
    NoCommonVersion = 12, "no-common-version", "The two programs are too far apart in version; update the older one.";
    /// The peer belongs to another organisation.
    WrongTenant = 13, "wrong-tenant", "This device belongs to another organisation.";
    /// The peer does not read what it is sent.
    PeerTooSlow = 14, "peer-too-slow", "The other side took too long.";
    /// The store failed, or the node ended, before it was known whether this is kept.
    NotSaved = 15, "not-saved", "It is not known whether this was saved; send it again with the same key.";
    /// The document could not be opened.
    CannotOpen = 16, "cannot-open", "This record could not be opened; its entries are kept.";
    /// After a whole exchange the two sides still differ.
    NotEqual = 17, "not-equal", "The two sides still differ after an exchange; Ridgeway will try again.";
    /// The document has no placement here, so nobody knows where it belongs.
    NotPlaced = 18, "not-placed", "It is not yet known where this record belongs.";
    /// A frame arrived that this state of the conversation does not allow.
    OutOfTurn = 19, "out-of-turn", "The other side said something out of turn.";
    /// Too many of the kind are waiting already.
    Busy = 20, "busy", "Too much is waiting already; try again in a moment.";
    /// The node is stopping.
    Stopping = 21, "stopping", "Ridgeway is stopping.";
    /// The document is not opened for now: the program ended too often while it was.
    SetAside = 22, "set-aside", "Ridgeway stopped again and again while it opened this record, so it is set aside; its entries are kept. `verify` has it tried again at once; some time after a start it is tried by itself.";
    /// The device broke the rules of the conversation too often, and is not listened to for a while.
    Barred = 23, "barred", "This device sent what no Ridgeway sends, three times; the centre listens to it again after ten minutes. Restart it, or look at its log.";
    /// Two copies of a device's store run, and nobody has said which of them stays.
    RunsTwice = 24, "runs-twice", "Two copies of this device's store run. Stop one of them, then say `device single` at the centre; until then its certificate is not renewed.";
    /// The device was revoked.
    Revoked = 30, "revoked", "This device's rights were taken away; nothing more can be done on it.";
    /// A certificate has ended, or its time has not come by this clock.
    Expired = 31, "expired", "The device's certificate does not hold at this time.";
    /// A centre that may be an older copy of itself does not yet know what it has forgotten.
    NotResumed = 32, "not-resumed", "The centre has started anew and does not know yet what it may have forgotten; its operator can say `resume`.";
    /// The document has been transferred to a site whose documents this node does not hold.
    Transferred = 40, "transferred", "This record has been handed over to another site; ask there.";
}

impl Reason {
    /// The reason a wire code stands for; an unknown code of a newer peer is [`Reason::Malformed`].
    pub fn from_code(code: u16) -> Reason {
        Reason::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
            .unwrap_or(Reason::Malformed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Reason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), *reason);
        }
    }
}
