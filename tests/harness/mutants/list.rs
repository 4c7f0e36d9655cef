//! The mutants themselves, from the bytes that come in to what is said of them.

use super::{Mutant, Proof};

const DOCUMENT: &str = "ridgeway-document";
const NODE: &str = "ridgeway-node";
const PROTOCOL: &str = "ridgeway-protocol";
const RUNTIME: &str = "ridgeway-runtime";
const STORE: &str = "ridgeway-store";

/// A test that is about all of the check.
const fn test(package: &'static str, name: &'static str) -> Proof {
    way("", package, name)
}

/// A test that is about one way in.
const fn way(of: &'static str, package: &'static str, name: &'static str) -> Proof {
    Proof { of, package, name }
}

/// Every mutant. Those of one crate stand together, because each is built upon the one before.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "inflate",
        breaks: "what a peer sends inflates without a bound",
        file: "shared/runtime/src/compress.rs",
        text: "if frame.len() + produced.len() > FRAME_BYTES_MAX {",
        instead: "if frame.len() > usize::MAX - FRAME_BYTES_MAX {",
        proofs: &[test(
            RUNTIME,
            "compress::tests::a_bomb_is_refused_before_it_is_held",
        )],
    },
    Mutant {
        name: "inflate-window",
        breaks: "a peer chooses how much memory inflating takes",
        file: "shared/runtime/src/compress.rs",
        text: ".set_parameter(DParameter::WindowLogMax(WINDOW_LOG))",
        instead: ".set_parameter(DParameter::WindowLogMax(27))",
        proofs: &[test(
            RUNTIME,
            "compress::tests::what_asks_for_a_larger_window_is_refused",
        )],
    },
    Mutant {
        name: "deflated",
        breaks: "chunks that Automerge inflates without a bound pass pre-flight",
        file: "shared/document/src/preflight.rs",
        text: "    if input.array()? != [CHANGE_CHUNK] {\n        return Err(Reason::Malformed);\n    }\n",
        instead: "    let _ = input.array::<1>()? != [CHANGE_CHUNK];\n",
        proofs: &[test(
            DOCUMENT,
            "preflight::tests::hostile_headers_are_refused",
        )],
    },
    Mutant {
        name: "operations",
        breaks: "a hundred bytes may be ten million operations",
        file: "shared/document/src/preflight/columns.rs",
        text: "            total = total.saturating_add(count);\n            if total > limits::CHANGE_OPS_MAX {",
        instead: "            total = total.saturating_add(count);\n            if total > 100_000_000 {",
        proofs: &[
            test(
                DOCUMENT,
                "preflight::tests::a_hundred_bytes_that_cost_automerge_45_seconds_are_refused_unexpanded",
            ),
            way(
                "at the door",
                NODE,
                "tests::forged::hostile::each_hostile_change_is_refused_for_its_own_reason",
            ),
        ],
    },
    Mutant {
        name: "genesis-actor",
        breaks: "anybody may write as the actor of a genesis",
        file: "shared/document/src/preflight.rs",
        text: "if genesis::fixed_actor_parts(&header.actor).is_some() {",
        instead: "if genesis::fixed_actor_parts(&header.actor).is_some() && header.seq == 0 {",
        proofs: &[test(
            DOCUMENT,
            "tests::hostile::nobody_may_write_as_a_fixed_actor",
        )],
    },
    Mutant {
        name: "genesis",
        breaks: "a change may write into what another kind's genesis has made",
        file: "shared/node/src/admit/footing.rs",
        text: "preflight::suits(header, row.kind).and(preflight::continues(header, highest));",
        instead: "preflight::continues(header, highest);",
        proofs: &[test(
            NODE,
            "tests::forged::hostile::a_change_keeps_to_the_genesis_of_its_kind",
        )],
    },
    Mutant {
        name: "genesis-fixed",
        breaks: "the genesis is not the same change in every document",
        file: "shared/document/src/genesis.rs",
        text: "        tx.put_object(ROOT, schema::FIELDS, ObjType::Map)?;\n",
        instead: "",
        proofs: &[test(
            DOCUMENT,
            "genesis::tests::the_bytes_are_what_they_always_were",
        )],
    },
    Mutant {
        name: "direct-link",
        breaks: "an author's next change need not name his last one",
        file: "shared/document/src/preflight.rs",
        text: "if header.seq == seq.saturating_add(1) && header.deps.contains(&hash) {",
        instead: "if header.seq == seq.saturating_add(1) && hash != ChangeHash([0; 32]) {",
        proofs: &[
            test(
                DOCUMENT,
                "preflight::tests::an_actors_changes_form_one_chain",
            ),
            way(
                "at the door",
                NODE,
                "tests::forged::hostile::an_authors_next_change_names_his_last",
            ),
        ],
    },
    Mutant {
        name: "direct-link-in-bundle",
        breaks: "within a bundle an author's changes need not name one another",
        file: "shared/node/src/verify.rs",
        text: "before.seq.checked_add(1) && after.deps.contains(&before.hash);",
        instead: "before.seq.checked_add(1);",
        proofs: &[test(
            NODE,
            "tests::forged::hostile::an_authors_next_change_names_his_last",
        )],
    },
    Mutant {
        name: "counters",
        breaks: "a device may use up the counters of a document",
        file: "shared/node/src/admit/footing.rs",
        text: "preflight::suits(header, row.kind).and(preflight::continues(header, highest));",
        instead: "preflight::suits(header, row.kind).and(Ok(drop(highest)));",
        proofs: &[test(
            NODE,
            "tests::forged::hostile::each_hostile_change_is_refused_for_its_own_reason",
        )],
    },
    Mutant {
        name: "signature",
        breaks: "the signature over an author's changes is not checked",
        file: "shared/protocol/src/signed.rs",
        text: "        proven.check(key, &message, &self.signature)?;\n",
        instead: "        drop(message);\n",
        proofs: &[
            way(
                "the head",
                PROTOCOL,
                "signed::tests::nobody_signs_for_another_device",
            ),
            way(
                "live",
                NODE,
                "tests::forged::a_forged_signature_does_not_come_in_live",
            ),
            way(
                "fill",
                NODE,
                "tests::forged::a_forged_signature_does_not_come_in_a_fill",
            ),
            way(
                "repair",
                NODE,
                "tests::forged::a_forged_signature_does_not_come_in_a_repair",
            ),
            way(
                "restore",
                NODE,
                "tests::forged::a_forged_signature_does_not_come_out_of_a_backup",
            ),
            way(
                "hand-in",
                NODE,
                "tests::forged::a_forged_signature_does_not_come_in_with_what_is_handed_in",
            ),
            way(
                "a store's check",
                NODE,
                "tests::forged::a_forged_signature_is_found_when_a_store_is_checked",
            ),
        ],
    },
    Mutant {
        name: "signature-placement",
        breaks: "the signature of a placement is not checked",
        file: "shared/protocol/src/placement.rs",
        text: "        proven.check(key, &message, &self.signature)?;\n",
        instead: "        drop(message);\n",
        proofs: &[
            way(
                "live",
                NODE,
                "tests::forged::a_forged_placement_does_not_come_in_live",
            ),
            way(
                "fill",
                NODE,
                "tests::forged::a_forged_placement_does_not_come_in_a_fill",
            ),
            way(
                "restore",
                NODE,
                "tests::forged::a_forged_placement_does_not_come_out_of_a_backup",
            ),
            way(
                "hand-in",
                NODE,
                "tests::forged::a_forged_placement_does_not_come_in_with_what_is_handed_in",
            ),
        ],
    },
    Mutant {
        name: "signature-together",
        breaks: "signatures that are checked together are all taken for good",
        file: "shared/protocol/src/together.rs",
        text: "if sum.verify(Weights::of(&names)).is_ok() {",
        instead: "if sum.verify(Weights::of(&names)).is_ok() || !names.is_empty() {",
        proofs: &[
            test(
                PROTOCOL,
                "together::tests::a_wrong_one_is_found_among_good_ones_and_costs_them_nothing",
            ),
            way(
                "fill",
                NODE,
                "tests::forged::one_forged_signature_among_many_does_not_come_in",
            ),
        ],
    },
    Mutant {
        name: "signature-of-another",
        breaks: "what was proved of one message is taken for proof of another",
        file: "shared/protocol/src/together.rs",
        text: "hash::hash32(label::SIGNED, &[key.as_ref(), signature.as_ref(), message])",
        instead: "hash::hash32(label::SIGNED, &[key.as_ref(), signature.as_ref(), &message[..0]])",
        proofs: &[test(
            PROTOCOL,
            "together::tests::what_is_proven_proves_nothing_else",
        )],
    },
    Mutant {
        name: "signature-statement",
        breaks: "the authority's signature is not checked",
        file: "shared/protocol/src/directory/statement.rs",
        text: "        authority.verify(&message, &self.signature)?;\n",
        instead: "        drop((message, authority));\n",
        proofs: &[
            way(
                "a peer",
                NODE,
                "tests::forged::a_forged_statement_does_not_come_in_from_a_peer",
            ),
            way(
                "API",
                NODE,
                "tests::forged::a_forged_statement_is_stated_by_nobody",
            ),
            way(
                "enrolment",
                NODE,
                "tests::forged::a_forged_statement_does_not_come_in_at_an_opening",
            ),
        ],
    },
    Mutant {
        name: "signature-purged",
        breaks: "anybody may say that a device has destroyed its keys",
        file: "shared/protocol/src/narrow.rs",
        text: "        self.key.verify(&message, &self.signature)?;\n",
        instead: "        drop(message);\n",
        proofs: &[test(
            PROTOCOL,
            "narrow::tests::only_the_device_itself_says_that_it_is_purged",
        )],
    },
    Mutant {
        name: "actor",
        breaks: "a device may write in the line of another",
        file: "shared/protocol/src/signed.rs",
        text: "if head.device != device_id(key) || *actor != speaks_for {",
        instead: "if head.device != device_id(key) || speaks_for == ActorId([0; 16]) {",
        proofs: &[
            test(
                PROTOCOL,
                "signed::tests::a_head_fits_no_other_tenant_document_actor_or_key",
            ),
            way(
                "at the door",
                NODE,
                "tests::forged::hostile::each_hostile_change_is_refused_for_its_own_reason",
            ),
        ],
    },
    Mutant {
        name: "closing",
        breaks: "changes come in that no signature closes",
        file: "shared/node/src/verify.rs",
        text: "if runs.last().map_or(0, |(count, _)| *count) == places.len() && !places.is_empty() {",
        instead: "if runs.last().map_or(0, |(count, _)| *count) <= places.len() && !places.is_empty() {",
        proofs: &[test(
            NODE,
            "tests::forged::hostile::what_no_signature_closes_is_not_taken",
        )],
    },
    Mutant {
        name: "fresh-actors",
        breaks: "a store that is opened again writes as the actor it was before",
        file: "shared/node/src/node.rs",
        text: "nonce: Nonce(part(&entropy, 0)),",
        instead: "nonce: Nonce([0; 16]),",
        proofs: &[test(
            NODE,
            "tests::forged::a_store_that_was_put_back_writes_as_another_actor",
        )],
    },
    Mutant {
        name: "scope",
        breaks: "a device is listened to in scopes that are not its own",
        file: "shared/node/src/load.rs",
        text: "if link.scopes.contains_key(scope) {",
        instead: "if !link.scopes.is_empty() {",
        proofs: &[test(NODE, "tests::forged::nobody_writes_where_he_may_not")],
    },
    Mutant {
        name: "scope-of-document",
        breaks: "a document is written in by way of a scope that it does not stand in",
        file: "shared/node/src/load.rs",
        text: "if row.placed.contains(scope) || self.may_hand_in(&row, scope, bundle) =>",
        instead: "if !row.placed.is_empty() || self.may_hand_in(&row, scope, bundle) =>",
        proofs: &[test(NODE, "tests::forged::nobody_writes_where_he_may_not")],
    },
    Mutant {
        name: "scope-of-place",
        breaks: "a device may create documents in another site's scope",
        file: "shared/node/src/verify.rs",
        text: "if placement.is_first() && !may {",
        instead: "if placement.is_first() && !may && placement.scopes.is_empty() {",
        proofs: &[test(NODE, "tests::forged::nobody_places_where_he_may_not")],
    },
    Mutant {
        name: "scope-of-move",
        breaks: "a device may pull another site's document over",
        file: "shared/node/src/admit/placed.rs",
        text: "if !directory.might_place(&claim.device, &before.scopes) {",
        instead: "if !directory.might_place(&claim.device, &claim.scopes) {",
        proofs: &[test(
            NODE,
            "tests::forged::nobody_pulls_over_what_stands_elsewhere",
        )],
    },
    Mutant {
        name: "scope-of-reading",
        breaks: "a peer is told scopes that only the other side may read",
        file: "shared/node/src/greet.rs",
        text: "let theirs = self.directory.scopes_of(peer);",
        instead: "let theirs = self.directory.scopes_of(&self.device);\n        let _ = peer;",
        proofs: &[test(
            NODE,
            "tests::forged::nobody_is_told_what_he_may_not_read",
        )],
    },
    Mutant {
        name: "digest",
        breaks: "two sides are called equal without a proof",
        file: "shared/node/src/compare.rs",
        text: "if proof.digest == row.value() {",
        instead: "if proof.digest == row.value() || proof.scope == *scope {",
        proofs: &[test(
            NODE,
            "tests::a_centre_restored_from_an_old_copy_gets_back_exactly_what_it_lost",
        )],
    },
    Mutant {
        name: "digest-of-greeting",
        breaks: "greetings call two sides equal whatever they hold",
        file: "shared/node/src/greet.rs",
        text: "Some(said.root == hello.root)",
        instead: "Some(said.statements > 0)",
        proofs: &[test(
            NODE,
            "tests::what_one_edge_writes_reaches_the_centre_and_the_other_edge",
        )],
    },
    Mutant {
        name: "refused-is-not-arrived",
        breaks: "what the centre has refused is called arrived",
        file: "shared/node/src/held.rs",
        text: "if !Self::is_refused(turn, held, document, slot)? {",
        instead: "if !Self::is_refused(turn, held, document, slot)? || seq > 0 {",
        proofs: &[test(
            NODE,
            "tests::forged::what_is_refused_of_one_device_costs_nobody_else_an_entry",
        )],
    },
    Mutant {
        name: "commit",
        breaks: "it is said and never written to disk",
        file: "shared/node/src/turn.rs",
        text: "            self.store.commit(batch)?;\n",
        instead: "            drop(batch);\n",
        proofs: &[test(NODE, "tests::forged::what_was_said_is_on_disk")],
    },
    Mutant {
        name: "commit-fails",
        breaks: "it is said though the disk has refused it",
        file: "shared/node/src/turn.rs",
        text: "            self.store.commit(batch)?;\n",
        instead: "            drop(self.store.commit(batch));\n",
        proofs: &[test(NODE, "tests::forged::what_is_not_on_disk_is_not_said")],
    },
    Mutant {
        name: "durable",
        breaks: "a commit does not wait for the disk",
        file: "shared/store/src/redb.rs",
        text: ".set_durability(Durability::Immediate)",
        instead: ".set_durability(Durability::None)",
        proofs: &[test(STORE, "redb::tests::a_commit_waits_for_the_disk")],
    },
];
