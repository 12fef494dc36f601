//! Tells a person how far a fetch has come: bars on a terminal, plain lines elsewhere, always on stderr.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressStyle};

/// Where progress is shown.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A bar for each file.
    Bars(MultiProgress),
    /// A line when a file begins and one when it is there.
    Lines,
    /// Nowhere.
    Silent,
}

impl Progress {
    /// Bars when stderr is a terminal, else lines.
    pub fn stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars(MultiProgress::new()) } else { Self::Lines }
    }

    /// Shows a line.
    pub fn say(&self, line: &str) {
        match self {
            Self::Bars(bars) => bars.suspend(|| to_stderr(line)),
            Self::Lines => to_stderr(line),
            Self::Silent => {}
        }
    }

    /// Begins a file.
    pub fn meter(&self, what: impl Into<String>) -> Meter {
        let what = what.into();
        let bar = match self {
            Self::Bars(bars) => bars.add(ProgressBar::no_length().with_style(style()).with_message(what.clone())),
            Self::Lines | Self::Silent => ProgressBar::hidden(),
        };
        Meter { bar, what, progress: self.clone() }
    }
}

/// How far one file has come. The bar goes when it is dropped.
#[derive(Debug)]
pub struct Meter {
    bar: ProgressBar,
    what: String,
    progress: Progress,
}

impl Meter {
    /// How much there will be.
    pub fn total(&self, bytes: u64) {
        let is_news = self.bar.length() != Some(bytes);
        self.bar.set_length(bytes);
        if is_news && matches!(self.progress, Progress::Lines) {
            self.progress.say(&format!("fetching {} ({})", self.what, DecimalBytes(bytes)));
        }
    }

    /// How much there is.
    pub fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{msg:32!} [{bar:30}] {decimal_bytes:>9}/{decimal_total_bytes:9} {decimal_bytes_per_sec} {eta}",
    )
    .expect("a constant template")
    .progress_chars("=> ")
}

/// A closed stderr is no reason to stop.
fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
