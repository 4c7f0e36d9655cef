//! The first half of verification: bundles taken apart, and which signatures would prove them.

use std::collections::BTreeSet;

use document::preflight::Header;
use names::Reason;
use protocol::{bundle::Bundle, placement::SignedPlacement, together::Signed};

use super::Verifier;
use crate::bundle;

/// A bundle that was taken apart; nothing in it is proved yet.
pub(super) struct Read {
    pub(super) bundle: Bundle,
    pub(super) headers: Vec<Header>,
    /// Of its changes as they were written.
    pub(super) bytes: usize,
}

impl Read {
    /// # Errors
    /// What is wrong with it as a whole.
    pub(super) fn new(bundle: Bundle) -> Result<Read, Reason> {
        let mut headers: Vec<Header> = Vec::with_capacity(bundle.changes.len());
        let mut bytes = 0;
        bundle::each_change(&bundle, |whole| {
            bytes += whole.chunk().len();
            headers.push(whole.header()?);
            Ok(())
        })?;
        check_form(&bundle)?;
        Ok(Read {
            bundle,
            headers,
            bytes,
        })
    }
}

impl Verifier {
    /// What the heads in a bundle have to be signed by, so far as that is known.
    pub(super) fn heads_signed<'b>(&'b self, read: &'b Read) -> impl Iterator<Item = Signed> + 'b {
        let bundle = &read.bundle;
        bundle.closings.iter().filter_map(move |closing| {
            let place = usize::from(closing.change);
            let (header, change) = (read.headers.get(place)?, bundle.changes.get(place)?);
            let actor = bundle.authors.get(usize::from(change.author))?;
            let head = closing.head(&header.hash);
            let key = self.directory.signer(&head.claim().ok()?.device).ok()?;
            Some(head.signed(&self.tenant, &bundle.document, actor, &key))
        })
    }

    /// The same of a placement.
    pub(super) fn placement_signed(&self, placement: &SignedPlacement) -> Option<Signed> {
        let (_, claim) = placement.claim().ok()?;
        let key = self.directory.signer(&claim.device).ok()?;
        Some(placement.signed(&self.tenant, &key))
    }
}

/// A bundle is kept as it came, and passed on: nothing may be in it that no signature answers for,
/// nor may it be longer than whoever gets it next can read.
fn check_form(bundle: &Bundle) -> Result<(), Reason> {
    // Were one author listed twice, two branches of one line could come in together.
    let authors: BTreeSet<_> = bundle.authors.iter().collect();
    let wrote = bundle.changes.iter().map(|change| change.author);
    let wrote: BTreeSet<u16> = wrote.collect();
    let closings = bundle.closings.iter();
    let mut closed = closings.map(|closing| usize::from(closing.change));
    if authors.len() < bundle.authors.len()
        || wrote.len() < authors.len()
        || closed.any(|place| place >= bundle.changes.len())
    {
        return Err(Reason::Malformed);
    }
    if !bundle::may_travel(bundle) {
        return Err(Reason::TooLarge);
    }
    Ok(())
}
