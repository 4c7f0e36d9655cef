//! A table of measures, each beside its floor, the best rival and its bar.

use crate::figures::{Spread, number};

/// One line of a table.
#[derive(Default)]
pub(crate) struct Row {
    measure: &'static str,
    here: String,
    floor: &'static str,
    rival: &'static str,
    bar: String,
    verdict: String,
}

impl Row {
    /// What was measured here.
    pub(crate) fn new(measure: &'static str, here: impl ToString) -> Row {
        Row {
            measure,
            here: here.to_string(),
            ..Row::default()
        }
    }

    /// A figure of every run.
    pub(crate) fn of<T>(measure: &'static str, runs: &[T], figure: impl Fn(&T) -> f64) -> Row {
        Row::new(measure, Spread::of(runs, figure))
    }

    /// The same, judged by its median against what it may be at most.
    pub(crate) fn judged<T>(
        measure: &'static str,
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
    pub(crate) fn rival(self, rival: &'static str) -> Row {
        Row { rival, ..self }
    }

    /// Judges a figure against what it may be at most.
    pub(crate) fn bar(self, figure: f64, most: f64) -> Row {
        let verdict = if figure <= most {
            "met".to_owned()
        } else if most == 0.0 {
            format!("missed: {}", number(figure))
        } else {
            format!("missed by {:.1}x", figure / most)
        };
        Row {
            bar: format!("<= {}", number(most.round())),
            verdict,
            ..self
        }
    }

    fn cells(&self) -> [&str; 6] {
        let cells = [
            self.measure,
            &self.here,
            self.floor,
            self.rival,
            &self.bar,
            &self.verdict,
        ];
        cells.map(|cell| if cell.is_empty() { "-" } else { cell })
    }
}

/// Prints a table.
pub(crate) fn print(rows: &[Row]) {
    let head = ["measure", "here", "floor", "best rival", "bar", "verdict"];
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = cell.chars().count().max(*width);
        }
    }
    line(head, widths);
    println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
    for row in rows {
        line(row.cells(), widths);
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
