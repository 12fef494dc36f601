//! What an agent tells of itself: turns, what was heard of them, tools, and everything it decided, with why and how
//! long. For the room's events, the console and metrics; whatever somebody said shows in no `Debug`.

use std::time::Duration;

use media::time::MediaTime;
use serde::Serialize;
use tts::voice::Language;

use crate::{
    ivr::private::Private,
    turn::{Ended, NotTaken, TurnId},
    understand::emotion::Emotion,
};

/// Something that an agent did or decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The caller has said what they wanted to say; an answer is on its way.
    TurnEnded {
        /// The turn that answers.
        turn: TurnId,
        /// What was said, why it is over, how sure that is, how long was waited.
        ended: Ended,
        /// Whether the model was asked already while that was not yet sure.
        was_prepared: bool,
    },
    /// What rules make of the caller's turn: a hint, for whoever looks on.
    Understood {
        /// The turn that answers.
        turn: TurnId,
        /// What it seems to want of the persona's list, and how sure that is, in 0..=1.
        intents: Vec<(String, f32)>,
        /// How the caller sounds and how surely, where they do not sound calm.
        emotion: Option<(Emotion, f32)>,
    },
    /// Somebody spoke, among several people, and not to the agent.
    NotMeant {
        /// What was said.
        said: Private,
    },
    /// What was prepared for an end that was none was thrown away.
    ThrownAway {
        /// The turn that will not be.
        turn: TurnId,
        /// How long it was worked on.
        after: Duration,
    },
    /// The model began to answer.
    Thought {
        /// The turn.
        turn: TurnId,
        /// How long after it was asked.
        after: Duration,
    },
    /// The first sample of the turn was heard.
    BotSpeaking {
        /// The turn.
        turn: TurnId,
        /// How long after the caller stopped speaking; after the turn was begun where there was no caller's.
        after: Duration,
        /// Whether it was only a word to bridge the wait.
        is_filler: bool,
    },
    /// The turn was said to its end.
    BotSpoke {
        /// The turn.
        turn: TurnId,
        /// All that was heard of it.
        heard: Private,
        /// In which language.
        language: Language,
        /// How long after its first sample.
        took: Duration,
    },
    /// The caller spoke over the agent, and it holds still until it is clear what that was.
    BotPaused {
        /// The turn.
        turn: TurnId,
    },
    /// That was no interruption: it goes on.
    BotResumed {
        /// The turn.
        turn: TurnId,
        /// What it was.
        why: NotTaken,
        /// How long it held still.
        after: Duration,
    },
    /// The agent was interrupted.
    BotInterrupted {
        /// The turn.
        turn: TurnId,
        /// What was heard of it.
        heard: Private,
        /// What was ready and was not heard.
        unheard: Private,
        /// How long after the caller was noticed.
        after: Duration,
    },
    /// The turn will not be answered, at least not by itself.
    Dropped {
        /// The turn.
        turn: TurnId,
        /// Why.
        why: Dropped,
        /// How long after it was begun.
        after: Duration,
    },
    /// Something the caller said that is no turn: "mhm" while the agent spoke.
    NotTaken {
        /// What was said.
        said: Private,
        /// Why.
        why: NotTaken,
    },
    /// A word was said to bridge a wait.
    Bridged {
        /// The turn.
        turn: TurnId,
        /// How long it had been silent.
        after: Duration,
    },
    /// Something about a tool.
    Tool {
        /// The turn.
        turn: TurnId,
        /// The model's name for the call.
        call: String,
        /// Which tool; `unknown` where it was not offered.
        name: String,
        /// What.
        what: ToolStep,
        /// How long after it was called.
        after: Duration,
    },
    /// A model or a voice failed.
    Trouble {
        /// The turn.
        turn: TurnId,
        /// What went wrong, in one line without anybody's words.
        why: String,
        /// How long after it was asked.
        after: Duration,
    },
    /// The caller was silent for long, and is asked whether they are there.
    Idle {
        /// How often that was asked before.
        before: u32,
    },
    /// What was said long ago was summed up, so that it fits into a prompt.
    Summarised {
        /// So many messages.
        messages: usize,
        /// How long it took.
        after: Duration,
    },
    /// So many of the oldest messages were forgotten without a summary.
    Forgotten {
        /// How many.
        messages: usize,
    },
    /// The caller pressed keys, and these are their turn.
    Keys {
        /// How many.
        count: usize,
    },
    /// Something was to be said in the agent's name, and was not: somebody speaks, or too much waits.
    NotSaid,
    /// The conversation is over.
    Over {
        /// When.
        at: MediaTime,
        /// How many turns of the caller were answered.
        answered: u32,
        /// How many were not.
        dropped: u32,
    },
}

/// Why a turn was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// The caller went on before anything was heard: it is answered together with what follows.
    WentOn,
    /// Whoever holds the line stopped it.
    Stopped,
    /// No voice could say it.
    Mute,
    /// The call was over.
    HungUp,
}

/// What happened to a call of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolStep {
    /// The model wants it, and it was handed on.
    Called,
    /// It is done.
    Done {
        /// Whether it went wrong.
        is_error: bool,
    },
    /// It was dropped, because the caller interrupted.
    Cancelled,
    /// It goes on although the caller interrupted: it is not safe to cancel.
    GoesOn,
    /// It took too long.
    TimedOut,
    /// The model wanted the same again under the same name, or more than one round may hold; it was not called.
    Repeated,
    /// A result that nobody waits for (any more).
    Ignored,
}
