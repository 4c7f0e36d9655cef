//! The fuzzer: one target of [`fuzz::TARGETS`], named by the environment, under libFuzzer. `cargo
//! fuzz-all` builds it with coverage and runs it; whatever else libFuzzer can do (`-help=1`) it does.

#![no_main]

use std::{panic, sync::OnceLock};

use fuzz::{TARGET, Target};

/// Whose panics are caught where they happen, by the fence that documents are opened behind. The
/// engine would end at them before they are.
const BEHIND_THE_FENCE: [&str; 2] = ["/automerge-", "/hexane-"];

static CHOSEN: OnceLock<Target> = OnceLock::new();

/// Takes the target that the environment names.
fn choose() {
    let named = std::env::var(TARGET).unwrap_or_default();
    let target = fuzz::named(&named);
    let target = target.unwrap_or_else(|| panic!("{TARGET} names no target: '{named}'"));
    CHOSEN.get_or_init(|| target);
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let place = panicked.location().map_or("", |place| place.file());
        if !BEHIND_THE_FENCE.iter().any(|crates| place.contains(crates)) {
            end(panicked);
        }
    }));
}

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(input);
    }
});
