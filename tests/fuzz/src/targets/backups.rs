//! Backups and recovery keys: files as they came, and files by somebody who knows how one is made.
//!
//! Anybody can seal something to a recovery key's public half, and so write a file that opens. Here
//! that is done from the written form of a backup alone.

use std::{fs, path::PathBuf, sync::OnceLock};

use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use curve25519_dalek::MontgomeryPoint;
use protocol::{codec::minicbor, enrol::TenantKey};
use runtime::{
    Material,
    backup::{Backup, RecoveryKey, keep_recovery, restore, write_file},
};
use store::{MemoryStore, Store as _};

use crate::{
    craft::{AUTHORITY, TENANT, TENANT_KEY, key, statements, verifier},
    draw::{Draw, piece},
    folder, record,
};

/// The secret of the recovery key.
const SECRET: [u8; 32] = [0x51; 32];
/// What is drawn for each box.
const DRAWN: [u8; 32] = [0x52; 32];
/// The key of a file that is made here.
const FILE_KEY: [u8; 32] = [0x53; 32];
/// What a file begins with.
const MAGIC: &[u8] = b"ridgeway backup 1\n";
/// What a box is for.
const BOX: &str = "ridgeway backup v1: a box for a recovery key";
/// Records in one file.
const RECORDS_MAX: usize = 24;

/// The kinds of record that are sealed in a way of their own.
mod kind {
    /// Boxed to the recovery key.
    pub(super) const AUTHORITY: u8 = 2;
    /// A document's key: a name, and the key wrapped beside it.
    pub(super) const KEY: u8 = 4;
    /// Sealed under the document's key that came last.
    pub(super) const PIECES: u8 = 5;
}

/// A file gives a store or says what is wrong with it; what it gives is sound. The first byte says
/// whether the rest is a file, records to make one of, or a recovery key.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    match draw.byte() % 3 {
        0 => {
            open(draw.rest());
        }
        1 => {
            open(&file_of(&drawn(&mut draw)));
        }
        _ => {
            if let Some(key) = recovery(draw.rest()) {
                check_key(&key);
            }
        }
    }
}

/// Reads a file and brings back what is in it; answers whether that went well.
fn open(bytes: &[u8]) -> bool {
    let path = folder().join("a.backup");
    fs::write(&path, bytes).expect("a file can be written");
    let opened = Backup::open(&path, our_recovery());
    let Ok((mut backup, manifest, material)) = opened else {
        return false;
    };
    assert_eq!((manifest.tenant, material.tenant), (TENANT, TENANT));
    let about = (&manifest, &material);
    let store = MemoryStore::new();
    let restored = restore(store, &mut backup, about, false, &mut |_, _| true);
    let Ok((store, _)) = restored else {
        return false;
    };
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    let checked = node::check(&snapshot, &verifier(), |_, _| {});
    let refused = checked.expect("what was restored can be read").refused;
    assert!(refused.is_empty(), "brought back, and refused: {refused:?}");
    true
}

/// A recovery key as a file has it.
fn recovery(text: &[u8]) -> Option<RecoveryKey> {
    let path = folder().join("a.recovery");
    write_as_owner(&path, text);
    RecoveryKey::read(&path).ok()
}

/// Writes a file that nobody else may read.
fn write_as_owner(path: &PathBuf, text: &[u8]) {
    fs::write(path, text).expect("a file can be written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owners = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, owners).expect("the file is ours");
    }
}

fn check_key(key: &RecoveryKey) {
    let path = folder().join("another.recovery");
    let _ = fs::remove_file(&path);
    let written = key.write(&path, &folder().join("data"));
    written.expect("a file can be written");
    let again = RecoveryKey::read(&path).expect("it reads back");
    assert!(again.public() == key.public(), "another key");
    assert_eq!(format!("{again:?}"), format!("{key:?}"));
}

/// The file of the organisation's recovery key.
fn recovery_text() -> String {
    let authority = key(AUTHORITY).public();
    let secret: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "ridgeway recovery key 1\norganisation {TENANT}\nauthority {authority}\nsecret {secret}\n"
    )
}

fn our_recovery() -> &'static RecoveryKey {
    static RECOVERY: OnceLock<RecoveryKey> = OnceLock::new();
    RECOVERY.get_or_init(|| {
        let key = recovery(recovery_text().as_bytes());
        key.expect("a recovery key")
    })
}

/// A record of a file, before it is sealed.
struct Record {
    kind: u8,
    content: Vec<u8>,
}

fn drawn(draw: &mut Draw<'_>) -> Vec<Record> {
    let mut records = Vec::new();
    while !draw.is_over() && records.len() < RECORDS_MAX {
        let kind = draw.byte();
        let content = draw.piece().to_vec();
        records.push(Record { kind, content });
    }
    records
}

/// What a box is sealed with: for a recovery key, by whoever drew this point.
fn box_cipher(point: MontgomeryPoint, shared: MontgomeryPoint) -> XChaCha20Poly1305 {
    let public = MontgomeryPoint::mul_base_clamped(SECRET);
    let parts = [shared.to_bytes(), point.to_bytes(), public.to_bytes()];
    XChaCha20Poly1305::new(&blake3::derive_key(BOX, &parts.concat()).into())
}

fn boxed(what: &[u8]) -> Vec<u8> {
    let public = MontgomeryPoint::mul_base_clamped(SECRET);
    let point = MontgomeryPoint::mul_base_clamped(DRAWN);
    let cipher = box_cipher(point, public.mul_clamped(DRAWN));
    let sealed = seal(&cipher, XNonce::default(), BOX.as_bytes(), what);
    [&point.to_bytes()[..], &sealed].concat()
}

fn unboxed(boxed: &[u8]) -> Option<Vec<u8>> {
    let (point, sealed) = boxed.split_first_chunk::<32>()?;
    let point = MontgomeryPoint(*point);
    let cipher = box_cipher(point, point.mul_clamped(SECRET));
    unseal(&cipher, XNonce::default(), BOX.as_bytes(), sealed)
}

fn seal(cipher: &XChaCha20Poly1305, nonce: XNonce, about: &[u8], what: &[u8]) -> Vec<u8> {
    let mut body = what.to_vec();
    let tag = cipher.encrypt_inout_detached(&nonce, about, body.as_mut_slice().into());
    body.extend(tag.expect("it is not long"));
    body
}

fn unseal(
    cipher: &XChaCha20Poly1305,
    nonce: XNonce,
    about: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let (body, tag) = sealed.split_last_chunk::<16>()?;
    let mut body = body.to_vec();
    let tag = Tag::from(*tag);
    let opened = cipher.decrypt_inout_detached(&nonce, about, body.as_mut_slice().into(), &tag);
    opened.is_ok().then_some(body)
}

fn nonce(number: u64) -> XNonce {
    let mut nonce = [0; 24];
    for (slot, byte) in nonce.iter_mut().skip(16).zip(number.to_be_bytes()) {
        *slot = byte;
    }
    XNonce::from(nonce)
}

/// What a record's place in its file is, as associated data.
fn about(header: &[u8], kind: u8, number: u64, clear: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(header);
    [&hash.as_bytes()[..], &[kind], &number.to_be_bytes(), clear].concat()
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// A file of these records, sealed as its reader expects.
fn file_of(records: &[Record]) -> Vec<u8> {
    let header = header();
    let length = u32::try_from(header.len()).unwrap_or(0).to_be_bytes();
    let mut file = [MAGIC, &length, &header].concat();
    let mut document = FILE_KEY;
    for (number, Record { kind, content }) in (0..).zip(records) {
        let about = |clear: &[u8]| about(&header, *kind, number, clear);
        let sealed = match *kind {
            kind::AUTHORITY => boxed(content),
            kind::KEY => {
                let mut draw = Draw::new(content);
                let name: [u8; 16] = draw.array();
                document = draw.array();
                let wrapped = seal(&cipher(&FILE_KEY), nonce(number), &about(&name), &document);
                [&name[..], &wrapped].concat()
            }
            kind::PIECES => seal(&cipher(&document), nonce(number), &about(&[]), content),
            _ => seal(&cipher(&FILE_KEY), nonce(number), &about(&[]), content),
        };
        let length = u32::try_from(sealed.len()).unwrap_or(0).to_be_bytes();
        file.extend(length);
        file.push(*kind);
        file.extend(sealed);
    }
    file
}

/// The clear beginning: whose it is, sealed to which key, when it was made, and the file's key.
fn header() -> Vec<u8> {
    let public = MontgomeryPoint::mul_base_clamped(SECRET).to_bytes();
    let name = blake3::derive_key("ridgeway backup v1: which recovery key", &public);
    let name: Vec<u8> = name.into_iter().take(16).collect();
    let key = boxed(&FILE_KEY);
    let mut header = minicbor::Encoder::new(Vec::new());
    header
        .array(4)
        .and_then(|header| header.bytes(&TENANT.0))
        .and_then(|header| header.bytes(&name))
        .and_then(|header| header.i64(record::NOW.0))
        .and_then(|header| header.bytes(&key))
        .expect("memory takes every byte");
    header.into_writer()
}

/// A backup of the record, as a centre writes it.
fn honest() -> Vec<u8> {
    let mut store = record::store();
    let material = Material {
        tenant: TENANT,
        tenant_key: TenantKey(TENANT_KEY),
        authority: key(AUTHORITY).public(),
        device: key(1),
        chain: vec![vec![1, 2, 3]],
        ca: vec![4, 5],
        site: None,
        centre: vec!["centre.example.org:7443".to_owned()],
        statements: statements().to_vec(),
        keys: None,
    };
    material
        .save(&mut store)
        .expect("a store in memory does not fail");
    let kept = keep_recovery(&mut store, &our_recovery().public());
    kept.expect("a store in memory does not fail");
    let path = folder().join("honest.backup");
    let _ = fs::remove_file(&path);
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    let written = write_file(&snapshot, &path, record::NOW, &mut |_, _| true);
    written.expect("a backup of the record");
    fs::read(&path).expect("it was written")
}

/// The records of a file, opened.
fn records_of(file: &[u8]) -> Option<Vec<Record>> {
    let rest = file.strip_prefix(MAGIC)?;
    let (header, mut rest) = with_length(rest, 0)?;
    let key = minicbor::Decoder::new(header);
    let file_key = last_bytes(key)?;
    let file_key: [u8; 32] = unboxed(&file_key)?.try_into().ok()?;
    let (mut records, mut document) = (Vec::new(), file_key);
    while !rest.is_empty() {
        let (framed, after) = with_length(rest, 1)?;
        let (kind, sealed) = framed.split_first()?;
        let number = records.len() as u64;
        let about = |clear: &[u8]| about(header, *kind, number, clear);
        let content = match *kind {
            kind::AUTHORITY => unboxed(sealed)?,
            kind::KEY => {
                let (name, wrapped) = sealed.split_first_chunk::<16>()?;
                let own = unseal(&cipher(&file_key), nonce(number), &about(name), wrapped)?;
                document = own.clone().try_into().ok()?;
                [&name[..], &own].concat()
            }
            kind::PIECES => unseal(&cipher(&document), nonce(number), &about(&[]), sealed)?,
            _ => unseal(&cipher(&file_key), nonce(number), &about(&[]), sealed)?,
        };
        let kind = *kind;
        records.push(Record { kind, content });
        rest = after;
    }
    Some(records)
}

/// What follows a length, with so many bytes besides; and what follows that.
fn with_length(bytes: &[u8], besides: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length.checked_add(besides)?)
}

/// The last field of a header: its key.
fn last_bytes(mut decoder: minicbor::Decoder<'_>) -> Option<Vec<u8>> {
    decoder.array().ok()?;
    decoder.bytes().ok()?;
    decoder.bytes().ok()?;
    decoder.i64().ok()?;
    decoder.bytes().ok().map(<[u8]>::to_vec)
}

/// A whole backup as a file and as records, with and without some of them; a recovery key.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let honest = honest();
    let records = records_of(&honest).expect("a backup has its written form");
    assert!(records.len() > 4, "a backup of something");
    let drawn = |records: &[Record]| {
        let each = records
            .iter()
            .map(|Record { kind, content }| [&[*kind][..], &piece(content)].concat());
        [vec![1], each.collect::<Vec<_>>().concat()].concat()
    };
    vec![
        [vec![0], honest].concat(),
        drawn(&records),
        drawn(records.get(..3).unwrap_or_default()),
        [&[2], recovery_text().as_bytes()].concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_file_is_brought_back_also_when_it_is_made_by_hand() {
        let honest = honest();
        let records = records_of(&honest).expect("a backup has its written form");
        assert!(open(&honest));
        assert!(open(&file_of(&records)));
        assert!(!open(&file_of(records.get(1..).unwrap_or_default())));
    }
}
