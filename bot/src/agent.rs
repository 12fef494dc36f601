//! The agent: holds one conversation with a caller, from the greeting to the good-bye.
//!
//! [`Agent`] is a pure value. It is told what happens ([`Input`]) and when, and asks for what is to be done
//! ([`Output`]): ask a model, say a sentence, call a tool, hang up. The contract is that of all our machines: *after
//! every `handle`, drain `poll` until it is empty, then sleep until `due` or the next input*; at `due` it is told
//! `Tick`. [`crate::turn`] decides who has the floor; here is what is said with it.
//!
//! Everything of one answer carries the same [`TurnId`]; after `Hush` nothing of that turn or an older one comes out.
//! The history holds what was played, not what was written. What callers say is data for a model, never an order to
//! this machine. Nothing here opens a socket, reads a clock or logs.

mod calls;
mod dialog;
mod exchange;
mod history;
mod keys;
mod language;
mod lines;
pub mod local;
mod machine;
mod notice;
mod parting;
mod plain;
mod prompt;
mod recap;
pub(crate) mod reply;
mod speech;
mod template;
#[cfg(test)]
mod tests;
mod thinking;
mod understanding;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, civil::DateTime};
use media::time::MediaTime;
use tts::voice::Language;

pub use self::{
    machine::Agent,
    notice::{Dropped, Notice, ToolStep},
};
pub use crate::turn::TurnId;
use crate::{
    ivr::key::Key,
    llm,
    persona::{PerLanguage, Persona},
    tools,
};

/// A question to a model; counts up from 1 within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What an agent has to know before the first word.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What stands for `{{name}}` in the texts of a persona: `caller`, `name`, whatever an integrator gave. Data: it
    /// may come from a caller, and is never read as a template again.
    pub values: BTreeMap<String, String>,
    /// The local time at the beginning of the room.
    pub began: DateTime,
    /// The caller's language, where that is known beforehand.
    pub language: Option<Language>,
    /// What the model may call.
    pub tools: Vec<Offer>,
    /// What is remembered of earlier calls of this caller, with their consent. Data.
    pub memory: Vec<String>,
    /// What was said before this call, where a conversation goes on that began elsewhere; oldest first.
    pub past: Vec<llm::Message>,
}

/// A tool that is offered to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// As the model sees it.
    pub spec: llm::ToolSpec,
    /// Whether it may be dropped half-way when the caller interrupts.
    pub is_safe_to_cancel: bool,
    /// What is said while it takes long; the agent's own words where there are none.
    pub filler: PerLanguage,
    /// How long it is waited for.
    pub timeout: Duration,
}

/// What an agent is told. Inputs may come in any order and late: what does not fit is ignored.
#[derive(Clone, PartialEq)]
pub enum Input {
    /// The caller hears us from now on.
    Begin,
    /// The ears heard something of the caller.
    Ears(asr::event::Event),
    /// How probable it is that the caller has ended, for the silence that just began; for ears that do not say it in
    /// their events.
    EndOfTurn {
        /// 0..=1.
        probability: f32,
    },
    /// The caller pressed a key.
    Key(Key),
    /// The caller wrote this instead of saying it: a turn of theirs, whole.
    Wrote(String),
    /// Whoever holds the line wants this said in the agent's name.
    Say {
        /// What: plain text.
        text: String,
        /// When.
        when: When,
    },
    /// Whoever holds the line wants an answer now: to what the caller has said, and to the conversation as it is where they
    /// said nothing. While one is under way that is the answer.
    Respond,
    /// Whoever holds the line stops the turn under way; it is answered no more.
    Stop,
    /// What the caller has said of the turn under way counts for nothing.
    Forget,
    /// This was said beside the call, and belongs to the conversation from now on. Nobody answers it by itself.
    Recall(llm::Message),
    /// This is the conversation so far, in place of what is remembered.
    Past(Vec<llm::Message>),
    /// A piece of a model's answer.
    Said {
        /// To which question.
        ask: AskId,
        /// The piece.
        delta: llm::Delta,
    },
    /// There is no answer, or no rest of it.
    AskFailed {
        /// To which question.
        ask: AskId,
        /// Why.
        why: llm::Trouble,
    },
    /// The first sample of a sentence was heard.
    SpeechBegan {
        /// Whose.
        turn: TurnId,
        /// Which.
        sentence: u64,
    },
    /// So many words of a sentence were heard, all together; words are what white space parts in its text.
    WordPlayed {
        /// Whose.
        turn: TurnId,
        /// Which.
        sentence: u64,
        /// How many.
        words: usize,
    },
    /// A sentence was heard to its end.
    Played {
        /// Whose.
        turn: TurnId,
        /// Which.
        sentence: u64,
    },
    /// A sentence was not said, or not to its end: the voice failed.
    NotSpoken {
        /// Whose.
        turn: TurnId,
        /// Which.
        sentence: u64,
    },
    /// A tool of the agent's own was admitted; the agent does it once what it said before was heard. Transfer, hang
    /// up, press keys and hand over come so; notes, reminders and what is remembered are done by whoever admits them.
    Granted {
        /// The model's name for the call.
        call: String,
        /// What is to be done.
        action: tools::Action,
    },
    /// A tool is done, or was refused.
    ToolDone {
        /// The model's name for the call.
        call: String,
        /// What came of it.
        outcome: tools::Outcome,
    },
    /// Nobody took the transfer, or the other persona is not to be had: the caller is ours again.
    CameBack,
    /// Another persona goes on, after [`Output::HandOver`].
    TookOver {
        /// Who.
        persona: Arc<Persona>,
        /// What it may call.
        tools: Vec<Offer>,
    },
    /// The persona goes on with other instructions, another voice or other tools: nobody notices a change of hands.
    Changed {
        /// As it is from now on.
        persona: Arc<Persona>,
        /// What it may call.
        tools: Vec<Offer>,
    },
    /// So many people are there besides the agent. Among several, one that has wake phrases answers only whoever says one.
    Company(usize),
    /// Time has passed: at the latest when [`Agent::due`] says so.
    Tick,
    /// The caller has gone.
    HungUp,
}

/// When something is said in the agent's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Now, if neither the caller nor the agent is in the middle of something; else never ([`Notice::NotSaid`]).
    #[default]
    Free,
    /// As soon as neither is.
    Next,
    /// Now, whoever speaks.
    Now,
}

/// What is to be done.
#[derive(Clone, PartialEq)]
pub enum Output {
    /// Ask a model; its answer comes as [`Input::Said`].
    Ask {
        /// The question's name.
        ask: AskId,
        /// On whose behalf.
        turn: TurnId,
        /// Which model.
        role: llm::Role,
        /// The question.
        request: llm::Request,
    },
    /// Nobody waits for that answer any more.
    Cancel(AskId),
    /// Say a sentence, after those before it.
    Speak {
        /// On whose behalf.
        turn: TurnId,
        /// Its name; counts up within a call.
        sentence: u64,
        /// What is said: plain text.
        text: String,
        /// In which language.
        language: Language,
    },
    /// Hold what is being played still, at once.
    Pause,
    /// Go on where it was held.
    Resume,
    /// Drop what was to be said on behalf of this turn and of older ones; play on if it is held still.
    Hush(TurnId),
    /// Call a tool, if it is admitted.
    Call {
        /// What the model wrote.
        call: llm::Call,
        /// On whose behalf.
        turn: TurnId,
        /// Whether it was offered. Another name is whatever the model wrote, and shows in no `Debug`.
        is_offered: bool,
    },
    /// Drop a call half-way.
    CancelCall(String),
    /// Press these keys: `0`–`9`, `*`, `#`, `A`–`D`, `w` for half a second.
    Press(String),
    /// Send the caller on; [`Input::CameBack`] if that fails, [`Input::HungUp`] when the call is gone.
    Transfer {
        /// What the persona calls it.
        name: String,
        /// The number or address.
        to: String,
    },
    /// Let this persona go on: [`Input::TookOver`], or [`Input::CameBack`] where it is not to be had.
    HandOver {
        /// Its name.
        persona: String,
    },
    /// End the call.
    HangUp {
        /// Why.
        why: HangUpWhy,
    },
    /// Tell whoever looks on.
    Publish(Notice),
}

/// Why an agent ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUpWhy {
    /// It was said good-bye.
    Goodbye,
    /// Nobody said anything any more.
    Idle,
    /// The call has lasted as long, or had as many turns, as it may.
    Limit,
}

impl HangUpWhy {
    /// A word for events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Idle => "idle",
            Self::Limit => "limit",
        }
    }
}

impl Facts {
    /// Facts of a call that began at this local time, and nothing else.
    pub fn new(began: DateTime) -> Self {
        Self { values: BTreeMap::new(), began, language: None, tools: Vec::new(), memory: Vec::new(), past: Vec::new() }
    }

    /// Local time at `now`.
    fn local_time(&self, now: MediaTime) -> DateTime {
        let passed = SignedDuration::try_from(now.as_duration()).unwrap_or_default();
        self.began.checked_add(passed).unwrap_or(self.began)
    }
}

impl fmt::Debug for Input {
    /// What kind, and of which turn: never words, numbers or keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => f.write_str("Begin"),
            Self::Ears(event) => f.write_str(match event {
                asr::event::Event::SpeechStarted { .. } => "SpeechStarted",
                asr::event::Event::Partial { .. } => "Partial",
                asr::event::Event::Final { .. } => "Final",
                asr::event::Event::SpeechEnded { .. } => "SpeechEnded",
                asr::event::Event::TurnEnded { .. } => "TurnEnded",
                asr::event::Event::Relabelled { .. } => "Relabelled",
                asr::event::Event::Lost { .. } => "Lost",
            }),
            Self::EndOfTurn { probability } => write!(f, "EndOfTurn({probability:.2})"),
            Self::Key(_) => f.write_str("Key"),
            Self::Wrote(text) => write!(f, "Wrote({} characters)", text.chars().count()),
            Self::Say { text, when } => write!(f, "Say({} characters, {when:?})", text.chars().count()),
            Self::Respond => f.write_str("Respond"),
            Self::Stop => f.write_str("Stop"),
            Self::Forget => f.write_str("Forget"),
            Self::Recall(_) => f.write_str("Recall"),
            Self::Past(messages) => write!(f, "Past({} messages)", messages.len()),
            Self::Company(people) => write!(f, "Company({people})"),
            Self::Said { ask, delta } => {
                let what = match delta {
                    llm::Delta::Text(_) => "text",
                    llm::Delta::Call(_) => "call",
                    llm::Delta::Done(_) => "done",
                };
                write!(f, "Said({}, {what})", ask.0)
            }
            Self::AskFailed { ask, why } => write!(f, "AskFailed({}, {why})", ask.0),
            Self::SpeechBegan { turn, sentence } => write!(f, "SpeechBegan({turn}, {sentence})"),
            Self::WordPlayed { turn, sentence, words } => write!(f, "WordPlayed({turn}, {sentence}, {words})"),
            Self::Played { turn, sentence } => write!(f, "Played({turn}, {sentence})"),
            Self::NotSpoken { turn, sentence } => write!(f, "NotSpoken({turn}, {sentence})"),
            Self::Granted { .. } => f.write_str("Granted"),
            Self::ToolDone { outcome, .. } => write!(f, "ToolDone(is_error: {})", outcome.is_error),
            Self::CameBack => f.write_str("CameBack"),
            Self::TookOver { persona, .. } => write!(f, "TookOver({:?})", persona.name),
            Self::Changed { persona, .. } => write!(f, "Changed({:?})", persona.name),
            Self::Tick => f.write_str("Tick"),
            Self::HungUp => f.write_str("HungUp"),
        }
    }
}

impl fmt::Debug for Output {
    /// What kind, and of which turn: never words, numbers or keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { ask, turn, role, .. } => write!(f, "Ask({}, {turn}, {role:?})", ask.0),
            Self::Cancel(ask) => write!(f, "Cancel({})", ask.0),
            Self::Speak { turn, sentence, text, language } => {
                write!(f, "Speak({turn}, {sentence}, {} characters, {language})", text.chars().count())
            }
            Self::Pause => f.write_str("Pause"),
            Self::Resume => f.write_str("Resume"),
            Self::Hush(turn) => write!(f, "Hush({turn})"),
            Self::Call { call, turn, is_offered } => {
                write!(f, "Call({turn}, {:?})", if *is_offered { call.name.as_str() } else { tools::UNKNOWN })
            }
            Self::CancelCall(_) => f.write_str("CancelCall"),
            Self::Press(keys) => write!(f, "Press({} keys)", keys.len()),
            Self::Transfer { name, .. } => write!(f, "Transfer({name:?})"),
            Self::HandOver { persona } => write!(f, "HandOver({persona:?})"),
            Self::HangUp { why } => write!(f, "HangUp({})", why.name()),
            Self::Publish(notice) => write!(f, "Publish({notice:?})"),
        }
    }
}
