//! The trace of every wish of the model: what was decided and why, and how long it took.
//!
//! Pure values for a room's events, the log and the metrics. They hold names, times and sizes, never arguments or
//! results, since a caller's words are in both.

use std::time::Duration;

use media::time::MediaTime;

/// One thing that happened to a wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The wish, by its id in the conversation with the model.
    pub call: String,
    /// The tool, as the model named it; cut when nobody could have meant it.
    pub tool: String,
    /// When.
    pub at: MediaTime,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is being carried out.
    Admitted {
        /// Why: `allowed`, or `approved` by the caller.
        why: &'static str,
    },
    /// It is not.
    Refused {
        /// Why, in a word: see [`super::Refusal::code`].
        why: &'static str,
    },
    /// The caller was asked for it, and answered.
    Answered {
        /// Yes or no.
        agreed: bool,
    },
    /// It came to an end.
    Ended {
        /// How: see [`super::Settled`].
        how: &'static str,
        /// How long it took.
        took: Duration,
        /// How much the model is given to read.
        bytes: usize,
    },
}
