//! Copies of a node's files as anybody would make them: file by file, beside the running node, while
//! people write.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use harness::service::{
    copying::{commits, copy},
    host::Host,
    person::Person,
};
use names::DocumentId;

use super::note;

/// Commits of the node before the copy is begun, so that it is one under load.
const COMMITS_FIRST: u64 = 20;
/// Copies that may be made until one was written to meanwhile.
const COPIES_MAX: usize = 50;

/// Copies the files of a running node while a person types in these cases; answers how many
/// commits fell into the copy. Only a copy into which none fell is made again.
pub(super) fn copy_under_load(
    host: &Host,
    person: &mut Person,
    cases: &[DocumentId],
    to: &Path,
) -> u64 {
    let over = AtomicBool::new(false);
    let client = host.client().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                for case in cases {
                    person.does(*case, &note("beside the copy")).unwrap();
                }
            }
        });
        let _over = Over(&over);
        let begun = commits(&client).unwrap() + COMMITS_FIRST;
        while commits(&client).unwrap() < begun {}
        for _ in 0..COPIES_MAX {
            let before = commits(&client).unwrap();
            copy(host.data(), to).unwrap();
            let meanwhile = commits(&client).unwrap() - before;
            if meanwhile > 0 {
                return meanwhile;
            }
            fs::remove_dir_all(to).unwrap();
        }
        panic!("nothing is ever written while a copy is made");
    })
}

/// A failed assertion must not leave somebody typing for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
