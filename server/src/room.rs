//! Room on the disk beside the centre's store: what is spooled there must never take what the store
//! needs to go on.

use std::{path::Path, process::Command};

/// Bytes that stay free: far above what a store writes in the second between two looks, and above
/// what it grows by while a backup of it is made.
pub(crate) const ROOM_MIN: u64 = 512 << 20;

/// Whether so much is free on the disk of a folder. Where nobody can tell, it is taken to be: then
/// the disk itself says no.
pub(crate) fn is_there(folder: &Path) -> bool {
    free(folder).is_none_or(|free| free >= ROOM_MIN)
}

/// Bytes free for this user on the disk of a folder, as `df` tells them.
fn free(folder: &Path) -> Option<u64> {
    let asked = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    read(std::str::from_utf8(&asked.stdout).ok()?)
}

/// The figure before the per cent of use, in the last line: names of disks may have spaces.
fn read(table: &str) -> Option<u64> {
    let words: Vec<&str> = table.lines().last()?.split_whitespace().collect();
    let used = words.iter().position(|word| word.ends_with('%'))?;
    let free: u64 = words.get(used.checked_sub(1)?)?.parse().ok()?;
    free.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_df_says_is_read() {
        let table = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                     /dev/my disk     263174212 46671820  48989544      49% /srv\n";
        assert_eq!(read(table), Some(48_989_544 * 1_024));
        assert_eq!(read("df: nowhere: No such file"), None);
        assert_eq!(read(""), None);
        assert!(is_there(Path::new("/nowhere at all")));
        assert!(free(&std::env::temp_dir()).is_none_or(|free| free > 0));
    }
}
