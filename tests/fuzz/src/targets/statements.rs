//! What the authority says: any bytes that it has signed, and the directory that comes of them.

use names::{Reason, limits::SIGNED_BYTES_MAX};
use protocol::{
    Directory, SignedStatement, Statement,
    directory::{HandedIn, HandedInLine, Purge, Revocation},
};

use crate::{
    craft::{AUTHORITY, TENANT, as_statement, key, say, scope, statements},
    draw::{Draw, piece},
    record,
};

/// Statements in one input.
const STATEMENTS_MAX: usize = 8;
/// Numbers of statements that stand in no seed's directory.
const LATER: u64 = 100;

/// Whoever has the same statements has the same directory, in whatever order they came; nobody else's
/// signature counts, and what is understood can be said again.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let mut said = Vec::new();
    while !draw.is_over() && said.len() < STATEMENTS_MAX {
        said.push(as_statement(AUTHORITY, draw.piece()));
    }
    let (forwards, backwards) = (admit(said.iter()), admit(said.iter().rev()));
    assert_eq!(view(&forwards), view(&backwards), "the order counts");
    let authority = key(AUTHORITY).public();
    if let Some(first) = said.first() {
        let forged = as_statement(1, &first.payload);
        assert!(forged.verify(&TENANT, &authority).is_err(), "forged");
    }
    for signed in &said {
        if let Ok(issue) = signed.verify(&TENANT, &authority) {
            assert!(signed.payload.len() <= SIGNED_BYTES_MAX);
            // What a newer version says is kept, and nobody else can say it.
            if issue.statement == Statement::Unknown {
                continue;
            }
            match SignedStatement::sign(&key(AUTHORITY), &TENANT, &issue) {
                Ok(again) => assert_eq!(again.claim(), Ok(issue), "it does not read back"),
                Err(reason) => assert_eq!(reason, Reason::TooLarge, "understood, and not said"),
            }
        }
    }
}

fn admit<'s>(said: impl Iterator<Item = &'s SignedStatement>) -> Directory {
    let mut directory = Directory::new(TENANT, key(AUTHORITY).public());
    for signed in said {
        let before = directory.count();
        match directory.admit(signed) {
            Ok(is_new) => assert_eq!(directory.count(), before + u64::from(is_new)),
            Err(_) => assert_eq!(directory.count(), before, "refused, and counted"),
        }
    }
    directory
}

/// All that a directory answers.
fn view(directory: &Directory) -> String {
    let devices: Vec<_> = directory
        .devices()
        .map(|(id, device)| {
            let (revoked, rights) = (directory.revoked(&id), directory.rights(&id, &scope()));
            let ever = directory.ever(&id, &scope());
            let scopes = directory.scopes_of(&id);
            let revocation: Vec<_> = directory.revocation(&id);
            (
                device,
                rights,
                ever,
                scopes,
                directory.purged(&id),
                revoked.is_some(),
                revocation,
            )
        })
        .collect();
    let workers: Vec<_> = directory
        .workers()
        .map(|worker| (&worker.id, &worker.name, directory.is_disabled(&worker.id)))
        .collect();
    let sites: Vec<_> = directory.sites().collect();
    let order: Vec<_> = directory.in_order().map(|(id, _)| id).collect();
    format!(
        "{:?} {:?} {sites:?} {workers:?} {devices:?} {order:?} {:?}",
        directory.digest(),
        directory.organisation(),
        directory.latest(),
    )
}

/// The statements of the record, and of each kind that it has none of.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let device = key(1).device_id();
    let line = HandedInLine {
        document: names::DocumentId([4; 16]),
        actor: names::ActorId([5; 16]),
        first: 1,
        last: 3,
    };
    let more = [
        Statement::WorkerDisabled {
            worker: crate::craft::worker(),
        },
        Statement::DeviceRevoked(Revocation {
            device,
            lost: true,
            held: Some(record::NOW),
        }),
        Statement::DevicePurged(Purge { device }),
        Statement::HandedIn(HandedIn {
            device,
            lines: vec![line],
        }),
    ];
    let more = (LATER..).zip(more).map(|(number, said)| say(number, said));
    let all: Vec<SignedStatement> = statements().iter().cloned().chain(more).collect();
    let each = all.iter().map(|said| piece(&said.payload));
    let together = each.clone().collect::<Vec<_>>().concat();
    each.chain([together]).collect()
}
