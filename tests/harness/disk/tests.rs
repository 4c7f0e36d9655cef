//! What survives a cut on this disk, and what may not.

use super::*;
use crate::chance::Chance;

fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut chance = Chance::new(seed, "disk");
    move || chance.any()
}

#[test]
fn what_is_synced_survives_and_the_rest_may_not() {
    let (mut kept, mut dropped, mut torn, mut short) = (0, 0, 0, 0);
    for seed in 0..800 {
        let disk = Disk::new();
        let backend = disk.backend();
        backend.set_len(4_096).unwrap();
        backend.write(0, &[1; 2_048]).unwrap();
        backend.sync_data().unwrap();
        backend.write(512, &[2; 1_024]).unwrap();
        backend.set_len(8_192).unwrap();
        backend.write(4_096, &[3; 4_096]).unwrap();
        disk.crash(&mut chance(seed));
        let bytes = disk.bytes();
        assert!(bytes[..512] == [1; 512] && bytes[1_536..2_048] == [1; 512]);
        assert!(bytes[2_048..4_096].iter().all(|byte| *byte == 0));
        match (bytes[512], bytes[1_024]) {
            (2, 2) => kept += 1,
            (1, 1) => dropped += 1,
            (1, 2) | (2, 1) => torn += 1,
            other => panic!("sectors hold {other:?}"),
        }
        short += u32::from(bytes.len() == 4_096);
        let Crashed {
            kept, lost, torn, ..
        } = disk.crashed();
        assert_eq!(kept + lost + torn, 3, "two writes and a length");
    }
    assert!(
        kept > 100 && dropped > 100 && torn > 30,
        "{kept} {dropped} {torn}"
    );
    assert!((300..500).contains(&short), "{short}");
}

#[test]
fn a_dead_process_writes_nothing_more() {
    let disk = Disk::new();
    let before = disk.backend();
    before.set_len(512).unwrap();
    before.sync_data().unwrap();
    disk.crash(&mut chance(1));
    assert!(before.write(0, &[1]).is_err() && before.sync_data().is_err());
    let after = disk.backend();
    after.write(0, &[2]).unwrap();
    assert_eq!(disk.bytes()[0], 2);
}

#[test]
fn a_failed_sync_forgets_what_it_should_have_saved() {
    let disk = Disk::new();
    let backend = disk.backend();
    backend.set_len(512).unwrap();
    backend.sync_data().unwrap();
    backend.write(0, &[1; 512]).unwrap();
    disk.fail_after(0, Fault::Sync);
    assert!(backend.sync_data().is_err());
    disk.mend();
    backend.sync_data().unwrap();
    assert_eq!(disk.bytes()[0], 1);
    disk.crash(&mut chance(1));
    assert_eq!(disk.bytes()[0], 0);
}

#[test]
fn a_cut_stops_everything_until_the_crash() {
    let disk = Disk::new();
    let backend = disk.backend();
    backend.set_len(512).unwrap();
    disk.fail_after(1, Fault::Cut);
    backend.sync_data().unwrap();
    assert!(backend.write(0, &[1]).is_err());
    assert!(backend.len().is_err() && backend.sync_data().is_err());
    assert!(disk.backend().len().is_err());
    disk.crash(&mut chance(1));
    assert_eq!(disk.backend().len().unwrap(), 512);
}

#[test]
fn a_killed_process_leaves_what_it_wrote() {
    let disk = Disk::new();
    let backend = disk.backend();
    backend.set_len(512).unwrap();
    backend.write(0, &[1; 512]).unwrap();
    disk.fail_after(0, Fault::Cut);
    assert!(backend.write(0, &[2; 256]).is_err());
    disk.kill();
    assert!(backend.len().is_err());
    assert_eq!(disk.bytes()[..], [[2; 256], [1; 256]].concat());
    disk.backend().sync_data().unwrap();
    disk.crash(&mut chance(1));
    assert_eq!(disk.bytes()[..], [[2; 256], [1; 256]].concat());
}

#[test]
fn a_full_disk_takes_more_once_there_is_room() {
    let disk = Disk::new();
    let backend = disk.backend();
    disk.fail_after(1, Fault::Full);
    backend.set_len(512).unwrap();
    let refused = backend.set_len(1_024).map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::StorageFull));
    disk.mend();
    backend.set_len(1_024).unwrap();
    let copy = disk.copy();
    assert_eq!((copy.bytes().len(), copy.syncs()), (1_024, 0));
    copy.crash(&mut chance(3));
    assert_eq!(copy.bytes().len(), 1_024, "a copy is safe as it is");
    disk.restore(&copy);
    assert!(backend.len().is_err());
}
