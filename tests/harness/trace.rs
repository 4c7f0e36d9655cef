//! What happened in a run: hashed in order, and printed if somebody wants to read it.

use names::Moment;

/// How much of a run is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Print {
    /// Nothing.
    #[default]
    Nothing,
    /// Faults, starts and stops, and what operators would be told.
    Summary,
    /// Every event.
    Everything,
}

/// The record of one run. Its hash covers every output of every node, with its moment, in order.
#[derive(Debug)]
pub struct Trace {
    hasher: blake3::Hasher,
    begun: Moment,
    events: u64,
    print: Print,
}

impl Trace {
    /// An empty record of a run that begins at `begun`.
    pub fn new(begun: Moment, print: Print) -> Trace {
        Trace {
            hasher: blake3::Hasher::new(),
            begun,
            events: 0,
            print,
        }
    }

    /// Notes an event: what, where, and the bytes that tell it from others of its kind. `words`
    /// are for a reader and are only made if somebody reads.
    pub fn note(
        &mut self,
        now: Moment,
        station: usize,
        what: &'static str,
        bytes: &[u8],
        words: impl FnOnce() -> String,
    ) {
        self.hash(now, station, what, bytes);
        if self.print >= Print::Everything {
            self.line(now, station, what, &words());
        }
    }

    /// Notes an event that belongs in a summary.
    pub fn tell(
        &mut self,
        now: Moment,
        station: usize,
        what: &'static str,
        words: impl FnOnce() -> String,
    ) {
        self.hash(now, station, what, &[]);
        if self.print >= Print::Summary {
            self.line(now, station, what, &words());
        }
    }

    fn hash(&mut self, now: Moment, station: usize, what: &str, bytes: &[u8]) {
        self.events += 1;
        self.hasher.update(&now.0.to_le_bytes());
        self.hasher.update(&(station as u64).to_le_bytes());
        self.hasher.update(&(what.len() as u64).to_le_bytes());
        self.hasher.update(what.as_bytes());
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    fn line(&self, now: Moment, station: usize, what: &str, words: &str) {
        let ms = now.0 - self.begun.0;
        let (minutes, seconds) = (ms / 60_000, ms % 60_000);
        let (seconds, ms) = (seconds / 1_000, seconds % 1_000);
        let name = station_name(station);
        println!("{minutes:>5}:{seconds:02}.{ms:03}  {name:<7}  {what:<14} {words}");
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The hash over all of them.
    pub fn hash_of_all(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

/// What a station is called in a trace.
pub fn station_name(station: usize) -> String {
    match station.checked_sub(1) {
        None => "centre".to_owned(),
        Some(edge) => format!("edge {edge}"),
    }
}
