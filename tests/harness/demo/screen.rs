//! What the demo prints: plain lines of at most 80 columns that read the same in a pipe, and on a
//! terminal a line of progress that is written over.

use std::io::{IsTerminal as _, Write as _};

/// Columns of a line.
const WIDTH: usize = 80;

/// Where the demo prints.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
    has_colour: bool,
    /// Whether a line of progress stands there.
    is_dirty: bool,
}

/// How a word is coloured; each says the same without colour.
#[derive(Clone, Copy, Debug)]
enum Colour {
    Bold = 1,
    Red = 31,
    Green = 32,
}

impl Screen {
    /// The screen of this process: coloured on a terminal unless `NO_COLOR` is set.
    pub fn new() -> Screen {
        let is_terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            is_terminal,
            has_colour: is_terminal && !plain,
            is_dirty: false,
        }
    }

    fn paint(&self, colour: Colour, words: &str) -> String {
        if self.has_colour {
            format!("\u{1b}[{}m{words}\u{1b}[0m", colour as u8)
        } else {
            words.to_owned()
        }
    }

    /// Prints a line. A reader who has gone away does not matter here.
    pub fn line(&mut self, words: &str) {
        self.wipe();
        let _ = writeln!(std::io::stdout(), "{words}");
    }

    /// Prints words that may be long, broken between words and indented.
    pub fn prose(&mut self, indent: usize, words: &str) {
        for line in wrap(words, WIDTH - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// Begins a part.
    pub fn heading(&mut self, words: &str) {
        let words = self.paint(Colour::Bold, words);
        self.line("");
        self.line(&words);
    }

    /// Prints whether something holds.
    pub fn verdict(&mut self, holds: bool, words: &str) {
        let mark = if holds {
            self.paint(Colour::Green, "ok")
        } else {
            self.paint(Colour::Red, "NO")
        };
        let mut lines = wrap(words, WIDTH - 6).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("  {mark}  {first}"));
        lines.for_each(|line| self.line(&format!("      {line}")));
    }

    /// Shows what is going on just now, on a terminal only; the next line takes its place.
    pub fn progress(&mut self, words: &str) {
        if self.is_terminal {
            self.wipe();
            let words: String = words.chars().take(WIDTH - 1).collect();
            let mut stdout = std::io::stdout();
            let _ = write!(stdout, "{words}").and_then(|()| stdout.flush());
            self.is_dirty = true;
        }
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            let _ = write!(std::io::stdout(), "\r\u{1b}[K");
        }
    }
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new()
    }
}

/// Lines of at most `width` columns; a word that is longer has one of its own.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A number of bytes for a person to read.
pub fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// So many of something.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A small number in a sentence.
pub fn number(count: usize) -> String {
    let words = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight",
    ];
    let word = words.get(count).copied();
    word.map_or_else(|| count.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("unbreakable on", 4), ["unbreakable", "on"]);
    }
}
