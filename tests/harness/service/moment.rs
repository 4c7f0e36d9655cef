//! One moment of a process that stands still: what it has received, as the kernel tells it.
//!
//! Linux tells it in `/proc`. Elsewhere nothing is told, and nothing can be counted.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where Linux tells of TCP over IPv4.
const SOCKETS: &str = "/proc/net/tcp";

/// Whether such moments can be looked at here.
pub fn can_be_seen() -> bool {
    Path::new(SOCKETS).exists()
}

/// Whether every thread of a process that was told to stand still does.
pub(crate) fn is_frozen(process: u32) -> bool {
    if !can_be_seen() {
        return true;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    // The state follows the name, which is in brackets and may hold anything.
    threads.flatten().all(|thread| {
        let about = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        about
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Of requests that have left in full for `node`, by their ports on this side, those of which
/// `node` has read all: nothing that came from there waits in the kernel to be read.
pub fn received(node: SocketAddr, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
    let sockets = fs::read_to_string(SOCKETS).unwrap_or_default();
    let read = sockets.lines().skip(1).filter_map(|line| {
        let (near, far, unread) = parse(line)?;
        (near == node.port() && unread == 0).then_some(far)
    });
    read.filter(|far| ports.contains(far)).collect()
}

/// A socket's own port, the other end's, and how many bytes wait to be read from it.
fn parse(line: &str) -> Option<(u16, u16, u64)> {
    let mut fields = line.split_whitespace().skip(1);
    let mut port = || u16::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok();
    let (near, far) = (port()?, port()?);
    let (_, unread) = fields.nth(1)?.split_once(':')?;
    Some((near, far, u64::from_str_radix(unread, 16).ok()?))
}

/// The processes in whose command line a path stands.
pub fn processes_with(path: &Path) -> Vec<PathBuf> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let path = path.to_string_lossy();
    let names = |process: &PathBuf| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        memchr::memmem::find(&line, path.as_bytes()).is_some()
    };
    let processes = processes.flatten().map(|process| process.path());
    processes.filter(names).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use super::*;
    use crate::service::wait;

    #[test]
    fn a_line_tells_both_ports_and_what_is_unread() {
        let line = "   3: 0100007F:1F90 0100007F:C350 01 00000000:0000001A 00:00000000 00000000";
        assert_eq!(parse(line), Some((8_080, 50_000, 26)));
        assert_eq!(parse("  sl  local_address"), None);
    }

    #[test]
    fn what_was_read_is_told_from_what_waits() {
        if !can_be_seen() {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap();
        let mut near = TcpStream::connect(node).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let ports = BTreeSet::from([near.local_addr().unwrap().port()]);
        near.write_all(b"hello").unwrap();
        let waits = || received(node, &ports).is_empty().then_some(());
        assert!(wait::until(Duration::from_secs(5), waits).is_some());
        far.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(received(node, &ports), ports);
    }
}
