//! What goes wrong in the demo's week: two links are cut for days, an edge is killed, a link is
//! slow.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    desk::Load,
    screen::{bytes, counted, number},
    switchboard::Switchboard,
};
use crate::service::{REST_MAX, Service, wait};

/// The sites whose links are cut from Wednesday to Friday.
const APART: [&str; 2] = ["devizes", "kent"];
/// The edge that is killed on Thursday.
pub const KILLED: &str = "salisbury";
/// What is done everywhere on Tuesday besides, so that people still type when the centre is copied.
const MORE_AT_THE_COPY: usize = 10;
/// What of that is done at each site only once the centre stands still.
const HELD_BACK_FOR_THE_COPY: usize = 4;
/// What is done there on Thursday besides, so that somebody still types when it is killed.
const MORE_AT_THE_KILL: usize = 20;
/// How long it may take until somebody types while it stands still, and how often it is tried.
const ASKED_MAX: Duration = Duration::from_secs(2);
const FREEZES_MAX: usize = 20;
/// The link that is slow on Saturday, and how slow each way.
const SLOW: (&str, Duration) = ("bath", Duration::from_millis(100));

/// Cuts two edges off.
///
/// # Errors
/// When one of them does not start again on its side.
pub fn cut(service: &mut Service, board: &Switchboard) -> Result<String, String> {
    for site in APART {
        service.cut_off(site)?;
        board.set(site, service.client(site)?);
    }
    Ok(
        "The links of Devizes and Kent are cut, and their edges started anew without them; \
        everybody goes on."
            .to_owned(),
    )
}

/// Lets both back, and waits until all is equal.
///
/// # Errors
/// When it does not become equal, or they had never been apart.
pub fn mend(service: &mut Service) -> Result<String, String> {
    let mut before = Vec::new();
    for site in APART {
        before.push(service.edge(site)?.relay.passed());
    }
    let (began, mended) = (Instant::now(), wait::now());
    for site in APART {
        service.edge(site)?.relay.mend();
    }
    service.rest()?;
    let seconds = began.elapsed().as_secs_f64();
    let (mut carried, mut lost) = (0, 0);
    for (site, before) in APART.iter().zip(before) {
        let passed = service.assert_rejoined(site, mended)?;
        carried += passed.since(&before).bytes();
        lost += passed.dropped;
    }
    Ok(format!(
        "The links are back; {lost} datagrams were lost, and both edges began new conversations. \
         All {} nodes are equal {seconds:.1} s later, after {}.",
        number(service.hosts().count()),
        bytes(carried)
    ))
}

/// What is done at a site on a day when something happens while people type.
pub fn load_on(name: &str, site: &str, load: Load) -> Load {
    let (more, held_back) = match name {
        "Tue" => (MORE_AT_THE_COPY, HELD_BACK_FOR_THE_COPY),
        "Thu" if site == KILLED => (MORE_AT_THE_KILL, 0),
        _ => (0, 0),
    };
    Load {
        others: load.others + more,
        held_back,
        ..load
    }
}

/// Kills an edge once work has begun there, in the middle of a request, and starts it again.
///
/// It stands still first: then the request that it has, or is sent now, cannot be answered any
/// more, and every run shows one.
///
/// # Errors
/// When nobody works there, or it does not start again.
pub fn kill_one(service: &mut Service, board: &Switchboard) -> Result<(), String> {
    let begun = || (board.own(KILLED).written > 0).then_some(());
    wait::until(REST_MAX, begun).ok_or("nobody works at Salisbury on Thursday")?;
    let client = board.client(KILLED)?;
    for _ in 0..FREEZES_MAX {
        service.edge(KILLED)?.host.freeze()?;
        // One that is found at two looks was not answered just before.
        let mut seen = BTreeSet::new();
        let asked = || {
            let before = std::mem::replace(&mut seen, client.unanswered());
            let waits = !before.is_disjoint(&seen);
            (waits && board.own(KILLED).sending > 0).then_some(())
        };
        if wait::until(ASKED_MAX, asked).is_some() {
            service.edge(KILLED)?.host.kill();
            service.start_edge(KILLED)?;
            board.set(KILLED, service.client(KILLED)?);
            return Ok(());
        }
        // What waits there only looks at something: nothing of it would be sent again.
        service.edge(KILLED)?.host.thaw()?;
    }
    Err("nobody types at Salisbury when it is killed".to_owned())
}

/// What came of the kill.
///
/// # Errors
/// When it struck nobody.
pub fn after_the_kill(board: &Switchboard) -> Result<String, String> {
    let repeated = board.repeated.load(Ordering::SeqCst);
    if repeated == 0 {
        return Err("Salisbury was killed, and no request was left without an answer".to_owned());
    }
    let requests = counted(repeated, "request", "requests");
    Ok(format!(
        "Salisbury's edge is killed (SIGKILL) while people type, and started again. What had left \
         for it and was not answered ({requests}) is sent again under the same id."
    ))
}

/// Makes a link slow. What comes of it is told when the day is over.
///
/// # Errors
/// When there is no such edge.
pub fn slow_down(service: &mut Service, board: &Switchboard) -> Result<String, String> {
    let (site, each_way) = SLOW;
    service.edge(site)?.relay.delay(each_way);
    board.begin_anew(site);
    Ok(String::new())
}

/// How fast entries were saved behind the slow link.
pub fn after_the_slow_day(board: &Switchboard) -> String {
    let (site, each_way) = SLOW;
    let own = board.own(site);
    format!(
        "Bath has a slow link: {} ms there and back. The slowest of the {} entries written there \
         was saved in {} ms.",
        2 * each_way.as_millis(),
        own.written,
        own.slowest.as_millis()
    )
}

/// The link is as before.
///
/// # Errors
/// When there is no such edge.
pub fn speed_up(service: &mut Service) -> Result<(), String> {
    let (site, _) = SLOW;
    service.edge(site)?.relay.delay(Duration::ZERO);
    Ok(())
}
