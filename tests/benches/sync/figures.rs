//! Figures of several runs, and how they are written.

use std::fmt;

/// A figure of every run, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// One figure of each of some runs.
    pub(crate) fn of<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Spread {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        Spread(figures)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }
}

impl Spread {
    /// The least one: where figures are compared that a busy machine can only raise.
    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    /// What so large a part of the figures does not go beyond.
    pub(crate) fn part(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * part).round() as usize;
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// A number with as many places as it deserves, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        small if small < 10.0 && small.fract() != 0.0 => 2,
        middling if middling < 100.0 && middling.fract() != 0.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.places$}");
    let (whole, rest) = plain
        .split_once('.')
        .map_or((plain.as_str(), ""), |parts| parts);
    let mut written = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !written.ends_with('-') {
            written.push(',');
        }
        written.push(digit);
    }
    if !rest.is_empty() {
        written.push('.');
        written.push_str(rest);
    }
    written
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number(self.median()))?;
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) if least < most => {
                write!(f, " [{}-{}]", number(*least), number(*most))
            }
            _ => Ok(()),
        }
    }
}

/// How many programs want the processors, on average over a minute; none where that is not told.
/// Whoever reads the figures needs it: what another program is given, these nodes wait for.
pub(crate) fn load() -> Option<String> {
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    load.split_whitespace().next().map(str::to_owned)
}

#[cfg(target_os = "linux")]
/// Seconds of processor time that this process has used; hundredths count.
pub(crate) fn cpu_seconds() -> Option<f64> {
    /// Where user and system time stand after the command's name, which ends with a bracket.
    const USER: usize = 11;
    /// The kernel counts in hundredths on every machine that is still built.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let ticks = after.split_whitespace().skip(USER).take(2);
    let ticks: Vec<f64> = ticks.map_while(|ticks| ticks.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS)
}

#[cfg(not(target_os = "linux"))]
/// Not known here.
pub(crate) fn cpu_seconds() -> Option<f64> {
    None
}
