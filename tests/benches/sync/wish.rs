//! What a bench was asked to measure.

use crate::{measure::CHANGED, report::RIVALS_CASES};

/// What is said to whoever asks for help.
pub(crate) const USAGE: &str = "\
How fast an edge and the centre come to agree, beside the rivals' figures and the physical floors.
Every figure that has a bar is printed with it and with a verdict.

  cargo bench-sync                      1,000 cases and an edge with 40 scopes: some minutes
  cargo bench-sync --all                everything below
  cargo bench-sync --part PART ...      parts of it:
      meetings   first sync, reconnect, ten and ten changed, at 1,000 cases
      scopes     reconnect of an edge with 40 scopes
      live       a note from one edge to another, 10,000 cases held
      ten        as meetings, at 10,000 cases
      large      100,000 documents: reconnect, and a centre restored from a backup
      ingest     eight edges at once
      memory     what nodes with many documents take, and the programs' sizes
      rivals     the rivals on the same documents; RIVALS_DIR says where their harness is set up
  cargo bench-sync --cases N            as meetings, so many cases, a register for twenty (1000)
  cargo bench-sync --runs R             every meeting so often (5)
  cargo bench-sync --disk plain|slow|both   on this disk, with 4 ms more per sync_data, or both
  cargo bench-sync --large N, --live N  fewer documents than that, to see whether it works

Sets of 5,000 cases and more are kept in target/bench-cache; remove it after a change of what a
store holds.

Exit codes: 0 measured, 1 something was lost or failed, 2 usage.
";

/// Documents where there are very many.
const LARGE: u64 = 100_000;

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Meetings,
    Scopes,
    Live,
    Ten,
    Large,
    Ingest,
    Memory,
    Rivals,
}

impl Part {
    const ALL: [(&str, Part); 8] = [
        ("meetings", Part::Meetings),
        ("scopes", Part::Scopes),
        ("live", Part::Live),
        ("ten", Part::Ten),
        ("large", Part::Large),
        ("ingest", Part::Ingest),
        ("memory", Part::Memory),
        ("rivals", Part::Rivals),
    ];
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) parts: Vec<Part>,
    pub(crate) cases: u64,
    pub(crate) large: u64,
    pub(crate) live_cases: Option<u64>,
    pub(crate) runs: usize,
    pub(crate) plain: bool,
    pub(crate) slow: bool,
}

impl Wish {
    /// What the words ask for; none when they ask for help.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Wish>, String> {
        let mut wish = Wish {
            parts: Vec::new(),
            cases: RIVALS_CASES,
            large: LARGE,
            live_cases: None,
            runs: 5,
            plain: true,
            slow: true,
        };
        let mut is_sized = false;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{word} needs a number"));
            match word.as_str() {
                // What `cargo bench` says to every bench.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--all" => wish.parts = Part::ALL.map(|(_, part)| part).to_vec(),
                "--part" => wish.parts.push(part(&value()?)?),
                "--cases" => (wish.cases, is_sized) = (number(value()?)?, true),
                "--large" => wish.large = number(value()?)?,
                "--live" => wish.live_cases = Some(number(value()?)?),
                "--runs" => wish.runs = value()?.parse().map_err(|_| "--runs needs a number")?,
                "--disk" => {
                    (wish.plain, wish.slow) = match value()?.as_str() {
                        "plain" => (true, false),
                        "slow" => (false, true),
                        "both" => (true, true),
                        _ => return Err("--disk is plain, slow or both".to_owned()),
                    }
                }
                other => return Err(format!("{other} is not known here")),
            }
        }
        if wish.cases < 2 * CHANGED as u64 || wish.runs == 0 {
            return Err("it takes 20 cases and one run".to_owned());
        }
        if wish.parts.is_empty() {
            wish.parts.push(Part::Meetings);
            if !is_sized {
                wish.parts.push(Part::Scopes);
            }
        }
        Ok(Some(wish))
    }
}

fn part(name: &str) -> Result<Part, String> {
    let found = Part::ALL.into_iter().find(|(known, _)| *known == name);
    found
        .map(|(_, part)| part)
        .ok_or(format!("there is no part {name}"))
}
