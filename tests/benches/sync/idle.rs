//! What two nodes cost that are in touch and have nothing to say to one another.

use std::{fs, thread, time::Duration};

use crate::{child::Child, table::Row};

/// How long they are left alone first: threads that wait for work in vain end after ten seconds, and
/// what they have had is not told any more then.
const SETTLE: Duration = Duration::from_secs(12);
/// How long they are looked at: three keep-alives.
const LOOK: Duration = Duration::from_secs(30);
/// Looks in a minute.
const A_MINUTE: f64 = 2.0;

/// What was counted up to a moment: of the centre and of the edge, and of this machine's network.
type Counted = [Option<(f64, f64)>; 3];

/// Both in a minute in which nobody writes anything.
pub(crate) fn rows(title: &str, centre: &Child, edge: &Child) -> Vec<Row> {
    let look = || -> Counted { [centre.scheduled(), edge.scheduled(), network()] };
    thread::sleep(SETTLE);
    let before = look();
    thread::sleep(LOOK);
    let after = look();
    let names = [
        "centre, idle: ms of processors a minute, and times it was woken",
        "edge, idle: ms of processors a minute, and times it was woken",
        "both, idle: datagrams a minute, and their bytes with IP and UDP",
    ];
    let rows = names.iter().zip(before.into_iter().zip(after));
    rows.map(|(name, counted)| {
        let measure = format!("{title}: {name}");
        match counted {
            (Some(before), Some(after)) => {
                let [first, second] = [after.0 - before.0, after.1 - before.1];
                let figure = format!("{:.1}, {:.0}", first * A_MINUTE, second * A_MINUTE);
                Row::new(measure, figure)
            }
            _ => Row::new(measure, "not told by this system"),
        }
    })
    .collect()
}

/// UDP datagrams and bytes of IP that this machine has sent, its loopback among them; none where
/// that is not told.
fn network() -> Option<(f64, f64)> {
    let datagrams = field("/proc/net/snmp", "Udp:", "OutDatagrams")?;
    let bytes = field("/proc/net/netstat", "IpExt:", "OutOctets")?;
    Some((datagrams, bytes))
}

/// One field of a table of the kernel's: a line with the names, and below it one with the values.
fn field(file: &str, table: &str, name: &str) -> Option<f64> {
    let told = fs::read_to_string(file).ok()?;
    let mut lines = told.lines().filter(|line| line.starts_with(table));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|field| field == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}
