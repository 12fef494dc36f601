//! The trace of every wish of the model: what was decided and why, and how long it took.
//!
//! Pure values for a room's events, the log and the metrics. They hold names, times and sizes, never arguments or
//! results, since a caller's words are in both.

use std::time::Duration;

use media::time::MediaTime;
use serde::{Serialize, Serializer};

/// One thing that happened to a wish.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The wish, by its id in the conversation with the model.
    pub call: String,
    /// The tool, as the model named it; cut when nobody could have meant it.
    pub tool: String,
    /// When.
    #[serde(rename = "at_s", serialize_with = "seconds")]
    pub at: MediaTime,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
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
        #[serde(rename = "took_s", serialize_with = "long")]
        took: Duration,
        /// How much the model is given to read.
        bytes: usize,
    },
}

fn seconds<S: Serializer>(at: &MediaTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.as_secs_f64())
}

fn long<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}
