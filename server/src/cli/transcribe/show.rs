//! What a person at a terminal sees while a recording is heard: a bar, or the words as they come.
//!
//! Drawn on standard error, and only when that is a terminal. Settled words are bright, the rest is dim: dim
//! words may still change.

use std::{
    cell::RefCell,
    io::{self, IsTerminal},
};

use asr::event::{Word, text};
use indicatif::{ProgressBar, ProgressStyle};

/// One file's display.
pub(super) struct Show {
    bar: ProgressBar,
    /// The words so far of each lane that speaks, by lane.
    partials: RefCell<Vec<Option<String>>>,
}

impl Show {
    pub(super) fn new(name: &str, live: bool) -> Self {
        let bar = match (io::stderr().is_terminal(), live) {
            (false, _) => ProgressBar::hidden(),
            (true, false) => ProgressBar::new(STEPS)
                .with_style(style("{prefix} {bar:30} {percent:>3} % {elapsed_precise} {msg}"))
                .with_prefix(name.to_owned()),
            (true, true) => ProgressBar::new_spinner().with_style(style("{wide_msg}")),
        };
        Self { bar, partials: RefCell::default() }
    }

    pub(super) fn progress(&self, fraction: f64) {
        self.bar.set_position((fraction * STEPS as f64) as u64);
    }

    pub(super) fn partial(&self, lane: usize, stable_words: usize, words: &[Word]) {
        let words = &words[words.len().saturating_sub(WORDS_SHOWN)..];
        let stable = stable_words.saturating_sub(stable_words.max(words.len()) - words.len()).min(words.len());
        let (stable, rest) = words.split_at(stable);
        let gap = if stable.is_empty() || rest.is_empty() { "" } else { " " };
        self.put(lane, Some(format!("{}{gap}\x1b[2m{}\x1b[0m", text(stable), text(rest))));
    }

    /// The lane's utterance has ended: its words are printed elsewhere.
    pub(super) fn finished(&self, lane: usize) {
        self.put(lane, None);
    }

    /// Runs `print` with the display out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn put(&self, lane: usize, shown: Option<String>) {
        let mut partials = self.partials.borrow_mut();
        if partials.len() <= lane {
            partials.resize(lane + 1, None);
        }
        partials[lane] = shown;
        let lines: Vec<&str> = partials.iter().flatten().map(String::as_str).collect();
        self.bar.set_message(lines.join("  |  "));
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant that parses")
}

/// A bar of thousandths: as fine as progress is told.
const STEPS: u64 = 1_000;

/// The last words of a long utterance: about what fits on a line.
const WORDS_SHOWN: usize = 14;
