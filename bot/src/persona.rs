//! Who the agent is on a call: `personas/NAME.toml`, read and checked once, shared as a value.
//!
//! A persona has a voice, a greeting, instructions for the model, what it knows by heart, the tools it may use and
//! the manners of its turns. Pure: text comes in, a [`Persona`] or a [`BadPersona`] with its line comes out; who reads
//! files is the server's to know. Text may hold template variables (`{{caller}}`): they are the prompt's to fill in.
//! Nothing here is a secret, and nothing here trusts a caller.

mod file;
mod intents;
mod language;
mod memory;

use std::{collections::BTreeMap, time::Duration};

use tts::voice::Language;

pub use self::{
    file::{BadPersona, FILE_BYTES_MAX},
    intents::{Choice, Confirm, Intent, Slot, SlotKind, Understanding},
    language::{PerLanguage, language_of},
    memory::{Consent, Memory},
};
use crate::{llm::MustCall, tools::Approval};

/// Who the agent is.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// What calls name it by: the N of `agent:N`, the name of its file.
    pub name: String,
    /// What it calls itself.
    pub title: String,
    /// What it speaks first, and with those whose language nobody knows yet.
    pub language: Language,
    /// What it may speak, the first language first.
    pub languages: Vec<Language>,
    /// Who speaks, by the names that [`tts::voice::choose`] knows.
    pub voice: PerLanguage,
    /// How it talks: "friendly, short".
    pub tone: String,
    /// What it says first; nothing when the caller is to begin.
    pub greeting: PerLanguage,
    /// What it says before it hangs up by itself.
    pub goodbye: PerLanguage,
    /// What it says to somebody who says nothing.
    pub idle: PerLanguage,
    /// What the model is told to do and to leave.
    pub instructions: String,
    /// What it knows by heart: for the model's prompt, and for the answers without a model.
    pub facts: Vec<Fact>,
    /// Which tools it may use: names, or the beginning of names with a `*` behind it.
    pub tools: Vec<String>,
    /// How it uses them where that is not how everybody does.
    pub rules: BTreeMap<String, ToolRule>,
    /// Whom it may transfer to: what they are called, and their number or address.
    pub transfer: BTreeMap<String, String>,
    /// Which personas it may hand over to.
    pub hand_over: Vec<String>,
    /// Where it ends.
    pub limits: Limits,
    /// The manners of its turns.
    pub turn: TurnSettings,
    /// Which of the configured models it thinks with.
    pub models: Models,
    /// What callers may want of it.
    pub intents: Vec<Intent>,
    /// How that is understood.
    pub understanding: Understanding,
    /// What somebody says who speaks to it, where several people are in a room; nothing where it answers everybody.
    pub wake: Vec<String>,
    /// How callers are remembered from call to call; not at all where there is none.
    pub memory: Option<Memory>,
}

/// Something known by heart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Words that ask for it: "opening hours", "geöffnet".
    pub about: Vec<String>,
    /// What is so.
    pub answer: PerLanguage,
}

/// How one tool is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRule {
    /// Whether it may be.
    pub approval: Option<Approval>,
    /// How often in one call.
    pub calls_max: Option<u32>,
    /// How long it is waited for.
    pub timeout: Option<Duration>,
    /// Whether it may be dropped half-way.
    pub is_safe_to_cancel: Option<bool>,
    /// What is said when it takes long.
    pub filler: PerLanguage,
}

/// Where a call ends, whatever the caller says.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The longest call: it is ended with a good-bye.
    pub call: Duration,
    /// Turns of the caller in one call, answered or not.
    pub turns_max: u32,
    /// Tools called in one call, all together.
    pub tool_calls_max: u32,
    /// Tools under way at once.
    pub tools_at_once: usize,
    /// Rounds of tools that one turn of the agent may take before it has to answer.
    pub tool_rounds_max: u32,
    /// Tokens of one answer.
    pub answer_tokens_max: u32,
    /// Tokens of all models in one call, in and out; then the answers are those without a model.
    pub tokens_max: Option<u64>,
    /// What the models of one call may cost, in the currency of the configured prices.
    pub cost_max: Option<f64>,
}

/// The manners of its turns.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnSettings {
    /// Silence after which an answer begins when the caller has surely ended.
    pub wait: Duration,
    /// The same when the caller has hardly ended: an unfinished clause.
    pub wait_unsure: Duration,
    /// The same while somebody dictates a number, a name or an address.
    pub wait_dictating: Duration,
    /// The probability of an end from which a caller has surely ended, in 0..=1.
    pub sure: f32,
    /// Whether the model is asked while it is not yet sure that the caller has ended.
    pub is_eager: bool,
    /// Whether callers may interrupt at all.
    pub is_interruptible: bool,
    /// Whether they may interrupt the greeting.
    pub is_greeting_interruptible: bool,
    /// Speech over the agent's that is long enough to be an interruption.
    pub interrupt_after: Duration,
    /// Words over the agent's that are enough to be an interruption.
    pub interrupt_words: usize,
    /// How long the agent pauses to find out whether what is said over it interrupts it; a sound without words holds it for
    /// longer, until it is over.
    pub decide_within: Duration,
    /// A tool or a model that takes longer is bridged by a word.
    pub filler_after: Duration,
    /// Silence of a caller after which they are asked whether they are there; never when zero.
    pub idle_after: Duration,
    /// How often they are asked before the call is ended.
    pub idle_times: u32,
    /// Whether a turn of the caller ends, and is answered, when whoever holds the line asks for it, and never by silence.
    pub answers_when_asked: bool,
    /// Whether a turn of the agent ends with the calls that it makes. What they come to is part of the conversation then,
    /// and answered with the next turn.
    pub ends_with_calls: bool,
}

/// Which of the configured models it thinks with, by the names of the configuration; the server's choice where none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// For answers.
    pub primary: Option<String>,
    /// For what has to be quick.
    pub fast: Option<String>,
    /// For what needs somebody who knows the field.
    pub special: Option<String>,
    /// How freely it chooses words, in thousandths: 0 is strict, 1,000 is free.
    pub temperature_milli: Option<u32>,
    /// Whether an answer to somebody has to begin with a call. No file says so; whoever brings tools along may.
    pub must_call: MustCall,
}

impl Persona {
    /// Reads the persona of this name from the text of its file.
    ///
    /// # Errors
    /// [`BadPersona`], with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, BadPersona> {
        file::parse(name, text)
    }

    /// The one that answers where nobody set up another: it greets, takes notes, and says what it can do.
    pub fn built_in() -> Self {
        file::parse(BUILT_IN, include_str!("persona/built_in.toml")).expect("a test reads the persona in this binary")
    }

    /// Whether it may use the tool of this name.
    pub fn may_use(&self, tool: &str) -> bool {
        self.tools.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => tool.starts_with(beginning),
            None => tool == allowed,
        })
    }

    /// The language that it speaks with somebody who speaks `language`.
    pub fn answers_in(&self, language: Language) -> Language {
        let spoken = |same: &dyn Fn(Language) -> bool| self.languages.iter().copied().find(|known| same(*known));
        spoken(&|known| known == language).or_else(|| spoken(&|known| known.is_kin(language))).unwrap_or(self.language)
    }

    /// What it says first, in `language` or what comes nearest.
    pub fn greeting_in(&self, language: Language) -> Option<&str> {
        self.greeting.nearest(language, self.language)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30 * 60),
            turns_max: 300,
            tool_calls_max: 50,
            tools_at_once: 4,
            tool_rounds_max: 5,
            answer_tokens_max: 400,
            tokens_max: None,
            cost_max: None,
        }
    }
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(200),
            wait_unsure: Duration::from_millis(900),
            wait_dictating: Duration::from_millis(1_800),
            sure: 0.6,
            is_eager: true,
            is_interruptible: true,
            is_greeting_interruptible: true,
            interrupt_after: Duration::from_millis(600),
            interrupt_words: 2,
            decide_within: Duration::from_millis(300),
            filler_after: Duration::from_millis(800),
            idle_after: Duration::from_secs(12),
            idle_times: 2,
            answers_when_asked: false,
            ends_with_calls: false,
        }
    }
}

/// The name of the persona that is built in.
pub const BUILT_IN: &str = "default";

#[cfg(test)]
mod tests;
