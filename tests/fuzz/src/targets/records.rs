//! What a store keeps sealed: records that were damaged or moved, the file of epochs, keys as text.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use names::StoreId;
use store::{
    Batch, EPOCHS_MAX, Epochs, MemoryStore, Sealed, Snapshot as _, Store as _, StoreError,
    StoreKey, Table,
};

use crate::draw::{Draw, piece};

/// The key of every store here.
const KEY: [u8; 32] = [0x1E; 32];
/// What a nonce has.
const NONCE_BYTES: usize = 24;
/// What is kept: a table, a name, a position, a value.
const ROWS: [(Table, &[u8], u64, &[u8]); 4] = [
    (Table::Meta, b"node", 0, b"a row of the store's own"),
    (Table::Scope, b"site:bath", 0, b"another"),
    (Table::Document, &[4; 16], 0, b"a row of a document"),
    (Table::Bundle, &[4; 16], 7, b"another of the same document"),
];

/// A row comes back as it was put or as damaged, whatever was done to the records; only what is sealed
/// as it must be is a file of epochs; a key is read as it is written. The first byte says which is
/// tried.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    match draw.byte() % 4 {
        0 => damaged(draw),
        1 => {
            if let Ok(epochs) = Epochs::unseal(draw.rest(), &StoreKey::from_bytes(KEY)) {
                check_epochs(&epochs);
            }
        }
        2 => {
            let sealed = as_epochs(draw.rest());
            if let Ok(epochs) = Epochs::unseal(&sealed, &StoreKey::from_bytes(KEY)) {
                check_epochs(&epochs);
            }
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(draw.rest()) {
                check_key(text);
            }
        }
    }
}

fn entropy() -> store::Entropy {
    let mut next = 0_u8;
    Box::new(move |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(5).wrapping_add(17);
            *byte = next;
        }
    })
}

fn epochs() -> Epochs {
    Epochs::first([2; 32], [3; 32])
}

/// The records as they are kept.
fn sealed() -> MemoryStore {
    let key = StoreKey::from_bytes(KEY);
    let store = Sealed::create(
        MemoryStore::new(),
        &key,
        epochs(),
        StoreId([1; 16]),
        entropy(),
    );
    let mut store = store.expect("nothing is there yet");
    let mut batch = Batch::new();
    for (table, name, position, value) in ROWS {
        batch.put(table, name, position, value);
    }
    store
        .commit(batch)
        .expect("a store in memory does not fail");
    store.into_inner()
}

/// Every record, where it stands.
fn records(store: &MemoryStore) -> Vec<(Table, store::Row)> {
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    let mut records = Vec::new();
    for table in Table::ALL {
        let each = store::each(&snapshot, *table, |row| records.push((*table, row)));
        each.expect("a store in memory does not fail");
    }
    records
}

/// Does something to the records, and reads all of them.
fn damaged(mut draw: Draw<'_>) {
    let mut inner = sealed();
    let records = records(&inner);
    while !draw.is_over() {
        let (Some((table, row)), Some((_, other))) = (draw.one_of(&records), draw.one_of(&records))
        else {
            return;
        };
        let mut value = row.value.clone();
        match draw.byte() % 4 {
            0 => {
                let place = draw.below(value.len());
                for (slot, byte) in value.iter_mut().skip(place).zip(draw.piece()) {
                    *slot ^= byte;
                }
            }
            1 => value.truncate(draw.below(value.len())),
            2 => value.extend(draw.piece()),
            _ => value.clone_from(&other.value),
        }
        let mut batch = Batch::new();
        batch.put(*table, row.name.clone(), row.position, value);
        inner
            .commit(batch)
            .expect("a store in memory does not fail");
    }
    let key = StoreKey::from_bytes(KEY);
    let Ok(mut store) = Sealed::open(inner, &key, epochs(), entropy()) else {
        return;
    };
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    let mut whole = true;
    for (table, name, position, value) in ROWS {
        match snapshot.get(table, name, position) {
            Ok(Some(read)) => assert_eq!(read, value, "read wrongly"),
            Ok(None) => panic!("a row is gone, and nobody deleted it"),
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
                whole = false;
            }
        }
    }
    assert!(whole || store.verify().is_err(), "damage that is not found");
}

fn check_epochs(epochs: &Epochs) {
    let key = StoreKey::from_bytes(KEY);
    let again = epochs.seal(&key, [5; NONCE_BYTES]);
    assert!(again.len() <= 2 + NONCE_BYTES + 32 + EPOCHS_MAX * 36 + 16);
    let again = Epochs::unseal(&again, &key).expect("what was sealed opens");
    assert_eq!(again.current(), epochs.current());
    let other = StoreKey::from_bytes([1; 32]);
    let sealed = epochs.seal(&key, [5; NONCE_BYTES]);
    assert!(
        Epochs::unseal(&sealed, &other).is_err(),
        "another key opens it"
    );
}

/// Any bytes as the content of a file of epochs, sealed under the key as it must be.
fn as_epochs(content: &[u8]) -> Vec<u8> {
    let key = blake3::derive_key("ridgeway store v1: keys of epochs", &KEY);
    let mut body = content.to_vec();
    let about = [&b"ridgeway store v1: epochs"[..], &[1, 1]].concat();
    let tag = XChaCha20Poly1305::new(&key.into())
        .encrypt_inout_detached(
            &XNonce::from([6; NONCE_BYTES]),
            &about,
            body.as_mut_slice().into(),
        )
        .expect("it is not long");
    [&[1, 1], &[6; NONCE_BYTES][..], &body, &tag].concat()
}

fn check_key(text: &str) {
    if let Ok(key) = StoreKey::parse(text) {
        let written = key.to_text();
        assert!(written.trim() == text.trim().to_lowercase(), "another key");
        assert!(StoreKey::parse(&written).is_ok(), "it does not read back");
    }
}

/// One damage of each sort, files of epochs as they are and as they are within, and a key.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let key = StoreKey::from_bytes(KEY);
    let content = [
        &[2; 32][..],
        &[0, 0, 0, 1],
        &[3; 32],
        &[0, 0, 0, 2],
        &[4; 32],
    ]
    .concat();
    let turned = [vec![0, 2, 0, 0, 0, 0, 9, 0], piece(&[1])].concat();
    let longer = [vec![0, 3, 0, 0, 0, 2], piece(b"more")].concat();
    vec![
        turned,
        vec![0, 4, 0, 0, 0, 1, 30, 0],
        longer,
        vec![0, 4, 0, 5, 0, 3],
        [vec![1], epochs().seal(&key, [7; NONCE_BYTES])].concat(),
        [vec![2], content].concat(),
        [&[3], key.to_text().as_bytes()].concat(),
    ]
}
