//! Bombs on the wire (the fault catalogue's H3): what inflates without end is refused before it is
//! held, so the memory of the whole process stays where it was.

use std::{fs, io::Write as _, process::Command};

use zstd::stream::{raw::CParameter, write::Encoder};

use super::*;

/// What bombs may add to what a process ever had resident, in KiB: the catalogue's 16 MiB.
const RISE_MAX_KIB: u64 = 16 << 10;
/// What a bomb inflates to: many times that.
const BOMB_BYTES: usize = 512 << 20;
/// How far back an honest stream refers, and one that wants a reader to hold much, as powers of two.
const WINDOWS: [u32; 2] = [21, 27];
/// The fill lane, which alone is compressed.
const FILL: u8 = 2;

/// The most that this process ever had resident; none where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Zeros, compressed a piece at a time: whoever makes the bomb does not hold it either.
fn bomb(window: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), 1).unwrap();
    encoder
        .set_parameter(CParameter::WindowLog(window))
        .unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..BOMB_BYTES / piece.len() {
        encoder.write_all(&piece).unwrap();
    }
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

/// The peak is of a whole process, and it never falls: so the bombs meet one of their own.
#[test]
fn bombs_on_the_wire_take_no_memory() {
    if peak_kib().is_none() {
        println!("skipped: this system does not tell what a process has had resident");
        return;
    }
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", "quic::tests::bomb::a_process_meets_bombs"]);
    let ran = own.args(["--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("1 passed"), "it was run: {said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "its memory is measured in a process of its own, which another test starts"]
async fn a_process_meets_bombs() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let bombs = WINDOWS.map(bomb);
    // An honest edge comes first, so that what every conversation takes is counted before.
    let edge = edge_of(organisation.edge(), &centre).await;
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    let before = peak_kib().unwrap();
    for bomb in &bombs {
        assert!(bomb.len() < 128 << 10, "{} bytes", bomb.len());
        // From several devices, as one is barred after some of them.
        let devices = [organisation.edge(), organisation.edge()];
        for material in &devices {
            let connection = call(tls_of(material), &centre).await.unwrap();
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&[FILL]).await.unwrap();
            write_frame(&mut stream, bomb).await.unwrap();
            assert_eq!(ended(&connection).await, Reason::Malformed);
        }
    }
    let rise = peak_kib().unwrap() - before;
    println!(
        "{} bombs of {BOMB_BYTES} bytes: {rise} KiB more",
        2 * bombs.len()
    );
    assert!(rise <= RISE_MAX_KIB, "{rise} KiB more than before");
    // Everybody else goes on.
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    edge.stop().await;
    centre.stop().await;
}
