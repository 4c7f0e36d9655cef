//! A table of measures, each beside its floor, the best rival and its bar.

use crate::figures::{Spread, number};

/// The verdict on what is good enough.
const MET: &str = "met";

/// One line of a table.
#[derive(Default)]
pub(crate) struct Row {
    measure: String,
    here: String,
    floor: &'static str,
    rival: String,
    bar: String,
    verdict: String,
}

impl Row {
    /// What was measured here.
    pub(crate) fn new(measure: impl ToString, here: impl ToString) -> Row {
        Row {
            measure: measure.to_string(),
            here: here.to_string(),
            ..Row::default()
        }
    }

    /// A figure of every run.
    pub(crate) fn of<T>(measure: impl ToString, runs: &[T], figure: impl Fn(&T) -> f64) -> Row {
        Row::new(measure, Spread::of(runs, figure))
    }

    /// The same, judged by its median against what it may be at most.
    pub(crate) fn judged<T>(
        measure: impl ToString,
        runs: &[T],
        figure: impl Fn(&T) -> f64,
        most: f64,
    ) -> Row {
        let here = Spread::of(runs, figure);
        Row::new(measure, &here).bar(here.median(), most)
    }

    /// The least that physics allows, as it was measured with the rivals.
    pub(crate) fn floor(self, floor: &'static str) -> Row {
        Row { floor, ..self }
    }

    /// The rival that does it best.
    pub(crate) fn rival(self, rival: impl ToString) -> Row {
        let rival = rival.to_string();
        Row { rival, ..self }
    }

    /// Judges a figure against what it may be at most.
    pub(crate) fn bar(self, figure: f64, most: f64) -> Row {
        let verdict = if figure <= most {
            MET.to_owned()
        } else if most == 0.0 {
            format!("missed: {}", number(figure))
        } else {
            format!("missed by {:.2}x", figure / most)
        };
        Row {
            bar: format!(
                "<= {}",
                number(if most < 100.0 { most } else { most.round() })
            ),
            verdict,
            ..self
        }
    }

    /// Judges a figure against what it must be at least.
    pub(crate) fn at_least(self, figure: f64, least: f64) -> Row {
        let verdict = if figure >= least {
            MET.to_owned()
        } else {
            format!("missed by {:.2}x", least / figure)
        };
        Row {
            bar: format!(">= {}", number(least)),
            verdict,
            ..self
        }
    }

    /// Judges what is so or is not.
    pub(crate) fn so(self, bar: &str, is_so: bool) -> Row {
        let verdict = if is_so { MET } else { "missed" };
        let (bar, verdict) = (bar.to_owned(), verdict.to_owned());
        Row {
            bar,
            verdict,
            ..self
        }
    }

    /// A bar that is a target and bars nothing.
    pub(crate) fn only_a_target(mut self) -> Row {
        if !self.bar.is_empty() {
            self.bar.push_str(" (target)");
        }
        self
    }

    fn cells(&self) -> [&str; 6] {
        let cells = [
            &self.measure,
            &self.here,
            self.floor,
            &self.rival,
            &self.bar,
            &self.verdict,
        ];
        cells.map(|cell| if cell.is_empty() { "-" } else { cell })
    }
}

/// How many bars were met, and how many missed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Verdicts {
    pub(crate) met: usize,
    pub(crate) missed: usize,
}

/// Prints a table under its title.
pub(crate) fn print(title: &str, rows: &[Row]) -> Verdicts {
    println!("\n{title}\n");
    let head = ["measure", "here", "floor", "best rival", "bar", "verdict"];
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = cell.chars().count().max(*width);
        }
    }
    line(head, widths);
    println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
    let mut verdicts = Verdicts::default();
    for row in rows {
        line(row.cells(), widths);
        verdicts.met += usize::from(row.verdict == MET);
        verdicts.missed += usize::from(row.verdict.starts_with("missed"));
    }
    verdicts
}

impl std::ops::AddAssign for Verdicts {
    fn add_assign(&mut self, more: Verdicts) {
        self.met += more.met;
        self.missed += more.missed;
    }
}

fn line(cells: [&str; 6], widths: [usize; 6]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    println!("| {} |", padded.join(" | "));
}
