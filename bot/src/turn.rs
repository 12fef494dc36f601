//! Who has the floor: when a caller has ended, and whether what they say over the agent is an interruption.
//!
//! [`Turns`] is a pure value that knows nothing of models, tools or voices. It is told what the ears hear
//! ([`Input::Ears`]), how probable an end of turn is, and what the agent does ([`Floor`]); it answers with decisions
//! ([`Output`]): ask the model ahead, that is the caller's turn, pause, go on, you were interrupted. After every
//! `handle`, drain `poll`, then come back at `due`. Every wait has a time in `due`.
//!
//! A turn ends after a silence whose length depends on the end-of-turn model, on how the transcript ends ([`shape`])
//! and on the caller ([`pace`]). Interruptions are reversible: speech over the agent pauses it, and its words decide
//! ([`barge`]). A sound without words is held for longer: until it is over, nobody can tell a cough from a word.

mod backchannel;
mod barge;
mod echo;
mod floor;
mod pace;
mod said;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, time::Duration};

use asr::event::Event;
use media::time::MediaTime;
use serde::{Serialize, Serializer};

pub use self::{floor::Turns, said::Said, shape::Shape};
use crate::ivr::private::Private;

/// A turn of the agent: an answer, a greeting, a question whether somebody is there. Counts up from 1 within a call; what
/// was prepared and thrown away has one, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(pub u64);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for TurnId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// What the agent does with the floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Floor {
    /// Nothing: it is the caller's turn.
    #[default]
    Free,
    /// It prepares to speak, and nothing of it was heard.
    Thinking,
    /// It speaks, or has begun to and goes on soon.
    Speaking,
}

/// What is told.
#[derive(Clone, PartialEq)]
pub enum Input<'a> {
    /// The caller's ears.
    Ears(&'a Event),
    /// How probable an end of turn is, for the silence that just began; for ears that do not say it in their events.
    EndOfTurn {
        /// 0..=1; what is no number counts as unknown.
        probability: f32,
    },
    /// What the agent does from now on.
    Floor {
        /// What.
        floor: Floor,
        /// Whether callers may interrupt it.
        may_interrupt: bool,
        /// Whether the last it said is a question: a "yes" at its very end is an answer.
        asked: bool,
    },
    /// This is being heard of the agent: what comes back of it is an echo.
    Audible(&'a str),
    /// The caller pressed a key, which nobody does by accident.
    Key,
    /// Time has passed.
    Tick,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The caller has probably ended; an answer may be prepared.
    Prepare {
        /// What they said so far.
        said: Private,
        /// The language the recognizer heard.
        language: Option<String>,
    },
    /// They have not: what was prepared is of no use.
    Discard,
    /// The caller has ended.
    Ended(Ended),
    /// Somebody speaks over the agent: hold still.
    Pause,
    /// That was no interruption: go on.
    Resume {
        /// What it was.
        why: NotTaken,
        /// How long the agent held still.
        after: Duration,
    },
    /// That is an interruption: what is not yet heard never will be.
    Interrupt {
        /// How long after the caller was noticed.
        after: Duration,
    },
    /// What was said is no turn.
    NotTaken {
        /// What was said.
        said: Private,
        /// Why.
        why: NotTaken,
    },
    /// Nobody has said anything for long.
    Idle {
        /// How often that was noticed before, since somebody spoke.
        before: u32,
    },
    /// Nobody has said anything although they were asked.
    GiveUp,
}

/// A turn of the caller that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What they said.
    pub said: Private,
    /// The language the recognizer heard.
    pub language: Option<String>,
    /// What ended it.
    pub why: EndWhy,
    /// What the end-of-turn model said of it.
    pub probability: Option<f32>,
    /// How the words end.
    pub shape: Shape,
    /// When the caller stopped speaking.
    pub at: MediaTime,
    /// How long after that.
    pub silence: Duration,
}

/// What ended a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndWhy {
    /// Silence of the length that was to be waited for.
    Silence,
    /// The agent became free after the caller had ended.
    FloorFree,
    /// It has become too long for a turn.
    TooLong,
    /// The recognizer still owed its words after a while; those that were there count.
    Overdue,
    /// Keys were pressed.
    Keys,
    /// It was written, not spoken.
    Written,
    /// Whoever holds the line asked for an answer.
    Asked,
}

/// Why something is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotTaken {
    /// "Mhm": it says that somebody listens.
    Backchannel,
    /// A sound without words: a cough, a door.
    NoWords,
    /// Words of our own that came back.
    Echo,
    /// Fewer words, in less time, than an interruption takes.
    TooShort,
    /// The agent stopped by itself meanwhile: there is nothing to hold still.
    NothingPlays,
    /// The call was over before it was a turn.
    CallEnded,
}

/// A caller is waited for so long to fall silent. Somebody who talks for longer is answered in between; a detector that
/// has lasted so long without a word hears an engine or music.
const SPEECH_MAX: Duration = Duration::from_secs(60);

/// The recognizer's final words are waited for so long after the end of speech.
const FINAL_MAX: Duration = Duration::from_millis(1_500);

/// A sound without words holds the agent still for so long. It costs silence when it is music, and nothing else.
const WORDLESS_MAX: Duration = Duration::from_millis(1_500);

/// "Yes" said over the last so much of a question is its answer.
const ANSWERS_EARLY: Duration = Duration::from_millis(1_500);

/// A score is that of a pause when both begin within this: gates trail the voice by a window or two.
const SAME_PAUSE: Duration = Duration::from_millis(250);

/// An end of turn that is further away than this is worth preparing for.
const WORTH_PREPARING: Duration = Duration::from_millis(60);
