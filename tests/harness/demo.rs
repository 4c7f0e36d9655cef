//! The demo: the whole service on this machine, with a week of work, the centre that falls back to an
//! older copy of itself, and the proof that nothing of the week was lost.

pub mod closing;
pub mod desk;
pub mod fall;
pub mod handover;
pub mod laptops;
pub mod mishaps;
pub mod proofs;
pub mod screen;
pub mod switchboard;
pub mod town;
pub mod week;

use std::time::Instant;

use crate::service::Service;
use screen::Screen;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// What everything is drawn from.
    pub seed: u64,
    /// A shorter week.
    pub is_fast: bool,
    /// Leave everything running afterwards.
    pub keep: bool,
}

/// Runs the demo. Answers whether all proofs hold.
///
/// # Errors
/// What did not work, in words.
pub fn run(wish: &Wish, screen: &mut Screen) -> Result<bool, String> {
    screen.heading("Ridgeway: one record from five sites");
    screen.progress("  building the programs ...");
    crate::service::binaries::Binaries::build()?;
    let began = Instant::now();
    let mut service = Service::begin("ridgeway-demo", town::TOWN, wish.seed, |step| {
        screen.progress(&format!("  starting {step} ..."));
    })?;
    let seconds = began.elapsed().as_secs_f64();
    screen.prose(
        2,
        &format!(
            "The centre, five site edges and a laptop are running, each a process with a sealed \
             store of its own; all are enrolled and speak QUIC with the centre. {seconds:.1} s, \
             seed {}.",
            wish.seed
        ),
    );
    screen.heading("A week of work");
    let past = week::run(&mut service, screen, wish.seed, wish.is_fast)?;
    let (record, is_back) = fall::tell(&mut service, screen, past)?;
    let arrived = closing::tell(&mut service, screen, &record)?;
    service.rest()?;
    let said = proofs::ask_all(&service)?;
    service.stop()?;
    let holds = proofs::show(&service, screen, &said, &record)? && arrived && is_back;
    screen.line("");
    let verdict = if holds {
        "All proofs hold."
    } else {
        "NOT all proofs hold."
    };
    screen.line(&format!(
        "{verdict} {:.0} s.",
        began.elapsed().as_secs_f64()
    ));
    if wish.keep {
        keep(&mut service, screen)?;
    } else if !holds {
        service.folder.keep();
        screen.line(&format!(
            "Everything is left in {}.",
            service.folder.path().display()
        ));
    }
    Ok(holds)
}

/// Starts everything again and leaves it running until somebody stops it.
fn keep(service: &mut Service, screen: &mut Screen) -> Result<(), String> {
    service.start_centre()?;
    let names: Vec<&'static str> = service.edges.keys().copied().collect();
    for name in names {
        service.start_edge(name)?;
    }
    service.rest()?;
    screen.heading("It is all running");
    for host in service.hosts() {
        let address = host.client()?.address();
        screen.line(&format!("  {:<10} http://{address}", host.name()));
    }
    let (folder, centre) = (
        service.folder.path().display(),
        service.client("centre")?.address(),
    );
    screen.heading("Try");
    screen.line(&format!("  cd {folder}"));
    let bearer = "\"Authorization: Bearer $(cat centre/api-token)\"";
    screen.line(&format!("  curl -s -H {bearer} \\"));
    screen.line(&format!("    http://{centre}/api/v1/views/conflicts"));
    screen.line(&format!("  curl -s -H {bearer} \\"));
    screen.line(&format!("    http://{centre}/api/v1/sync"));
    screen.line(&format!("  curl -s http://{centre}/metrics"));
    screen.line(&format!(
        "  {} device list --data centre",
        service.centre.program().display()
    ));
    if let Some(edge) = service.edges.values().next() {
        let (program, name) = (edge.host.program().display(), edge.host.name());
        screen.line(&format!("  {program} status --data {name}"));
    }
    screen.line("");
    screen.line("Ctrl-C stops all of it; the folder goes with the next run.");
    loop {
        // A process that is not asked for anything has nothing to do but to be there.
        std::thread::park();
    }
}
