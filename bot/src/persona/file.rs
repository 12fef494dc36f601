//! `personas/NAME.toml` as it is written, and how it becomes a [`Persona`].
//!
//! Every wrong value is found while its line is known. Keys have units in their names; what is left out is the
//! default. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;
use tts::voice::{Language, choose};

use super::{
    Consent, Fact, Intent, Limits, Models, PerLanguage, Persona, ToolRule, TurnSettings,
    intents::{INTENTS_MAX, IntentOfFile, UnderstandingOfFile},
    language_of,
    memory::MemoryOfFile,
};
use crate::{
    llm::MustCall,
    tools::{Approval, BuiltIn, config::TIMEOUT_MS_MAX},
};

/// Why a persona is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPersona {
    /// Its name can be no part of `agent:NAME`.
    #[error("{0:?} is no name for a persona: small letters, digits, - and _, at most {NAME_CHARS_MAX}")]
    Name(String),
    /// Its file holds more than one ever does.
    #[error("{name}.toml has more than {FILE_BYTES_MAX} bytes")]
    Size {
        /// Which.
        name: String,
    },
    /// A line is wrong.
    #[error("{name}.toml:{line}: {why}")]
    Line {
        /// Which persona.
        name: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, in one line.
        why: String,
    },
}

/// Reads the file of the persona called `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Persona, BadPersona> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(BadPersona::Name(name.chars().take(NAME_CHARS_MAX).collect()));
    }
    if text.len() > FILE_BYTES_MAX {
        return Err(BadPersona::Size { name: name.to_owned() });
    }
    let wrong = |at: usize, why: &str| {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        BadPersona::Line { name: name.to_owned(), line, why }
    };
    let file: File =
        toml::from_str(text).map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message()))?;
    file.persona(name).map_err(|(at, why)| wrong(at, &why))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    title: String,
    language: Option<Tag>,
    languages: Vec<Tag>,
    voice: Option<Spanned<PerLanguage>>,
    tone: String,
    greeting: PerLanguage,
    goodbye: PerLanguage,
    idle: PerLanguage,
    instructions: String,
    facts: Vec<FactOfFile>,
    tools: Spanned<Vec<String>>,
    tool: BTreeMap<String, Spanned<Rule>>,
    transfer: Option<Spanned<BTreeMap<String, String>>>,
    hand_over: Option<Spanned<Vec<String>>>,
    limits: LimitsOfFile,
    turn: TurnOfFile,
    models: ModelsOfFile,
    intent: Vec<Spanned<IntentOfFile>>,
    understand: UnderstandingOfFile,
    wake: Option<Spanned<Vec<String>>>,
    memory: Option<MemoryOfFile>,
}

impl Default for File {
    fn default() -> Self {
        let tools = TOOLS.iter().map(|tool| tool.name().to_owned()).collect();
        Self {
            title: String::new(),
            language: None,
            languages: Vec::new(),
            voice: None,
            tone: String::new(),
            greeting: PerLanguage::default(),
            goodbye: PerLanguage::default(),
            idle: PerLanguage::default(),
            instructions: String::new(),
            facts: Vec::new(),
            tools: Spanned::new(0..0, tools),
            tool: BTreeMap::new(),
            transfer: None,
            hand_over: None,
            limits: LimitsOfFile::default(),
            turn: TurnOfFile::default(),
            models: ModelsOfFile::default(),
            intent: Vec::new(),
            understand: UnderstandingOfFile::default(),
            wake: None,
            memory: None,
        }
    }
}

impl File {
    /// The persona, or the place in the text that is wrong and why.
    fn persona(self, name: &str) -> Result<Persona, (usize, String)> {
        let tools_at = self.tools.span().start;
        let tools = self.tools.into_inner();
        if let Some(wrong) = tools.iter().find(|tool| !is_pattern(tool)) {
            return Err((tools_at, format!("{wrong:?} is no name of a tool, nor the beginning of one with a *")));
        }
        let (transfer_at, transfer) = self.transfer.map_or((0, BTreeMap::new()), taken_apart);
        let (voice_at, voice) = self.voice.map_or_else(|| (0, PerLanguage::default()), taken_apart);
        let unknown = |language| choose(voice.in_language(language), None).warning;
        if let Some(wrong) = voice.languages().find_map(unknown) {
            return Err((voice_at, format!("voice: {wrong}; man, woman, or a name that telephone applications use")));
        }
        let (hand_over_at, hand_over) = self.hand_over.map_or((0, Vec::new()), taken_apart);
        let (wake_at, wake) = self.wake.map_or((0, Vec::new()), taken_apart);
        let letters = |phrase: &str| phrase.chars().filter(|c| c.is_alphabetic()).count();
        if let Some(wrong) = wake.iter().find(|phrase| letters(phrase) < WAKE_LETTERS_MIN) {
            return Err((wake_at, format!("wake: {wrong:?} is too short to be told from other words")));
        }
        let is_line = |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control);
        if !transfer.iter().all(|(name, to)| is_line(name) && is_line(to)) {
            return Err((transfer_at, "transfer: each needs a name and a number or address".to_owned()));
        }
        let mut rules = BTreeMap::new();
        let mut rules_at = BTreeMap::new();
        for (tool, rule) in self.tool {
            let (at, rule) = taken_apart(rule);
            rules_at.insert(tool.clone(), at);
            rules.insert(tool, rule.into());
        }
        let mut intents = Vec::new();
        let mut intents_at = Vec::new();
        for intent in self.intent {
            let (at, intent) = taken_apart(intent);
            let intent = intent.intent().map_err(|why| (at, why))?;
            if intents.len() == INTENTS_MAX {
                return Err((at, format!("at most {INTENTS_MAX} intents")));
            }
            if intents.iter().any(|before: &Intent| before.name == intent.name) {
                return Err((at, format!("two intents are called {}", intent.name)));
            }
            intents.push(intent);
            intents_at.push(at);
        }
        let language = self.language.or_else(|| self.languages.first().copied()).map(|tag| tag.0);
        let language = language.or_else(|| self.greeting.languages().next()).unwrap_or(Language::ENGLISH_US);
        let mut languages = vec![language];
        for other in self.languages.into_iter().map(|tag| tag.0).chain(self.greeting.languages()) {
            if !languages.contains(&other) {
                languages.push(other);
            }
        }
        let persona = Persona {
            name: name.to_owned(),
            title: if self.title.is_empty() { name.to_owned() } else { self.title },
            language,
            languages,
            voice,
            tone: self.tone,
            greeting: self.greeting,
            goodbye: self.goodbye,
            idle: self.idle,
            instructions: self.instructions,
            facts: self.facts.into_iter().map(Into::into).collect(),
            tools,
            rules,
            transfer,
            hand_over,
            limits: self.limits.into(),
            turn: self.turn.into(),
            models: self.models.into(),
            intents,
            understanding: self.understand.into(),
            wake,
            memory: self.memory.map(Into::into),
        };
        // A door without its tool, and a rule without its tool, are mistakes that nobody would hear of on a call.
        let needs = |tool: BuiltIn| !persona.may_use(tool.name());
        if !persona.transfer.is_empty() && needs(BuiltIn::Transfer) {
            return Err((transfer_at, "transfer: tools has to name \"transfer\"".to_owned()));
        }
        if !persona.hand_over.is_empty() && needs(BuiltIn::HandOver) {
            return Err((hand_over_at, "hand_over: tools has to name \"hand_over\"".to_owned()));
        }
        let asks = persona.memory.is_some_and(|memory| memory.consent == Consent::Asked);
        if asks && needs(BuiltIn::Remember) {
            return Err((tools_at, "memory: tools has to name \"remember\", or consent is \"given\"".to_owned()));
        }
        for (intent, at) in persona.intents.iter().zip(intents_at) {
            if let Some(tool) = intent.tool.as_ref().filter(|tool| !persona.may_use(tool)) {
                return Err((at, format!("intent {}: tools does not name {tool:?}", intent.name)));
            }
        }
        match rules_at.iter().find(|(tool, _)| !persona.may_use(tool)) {
            Some((tool, at)) => Err((*at, format!("tool.{tool}: tools does not name it"))),
            None => Ok(persona),
        }
    }
}

fn taken_apart<T>(spanned: Spanned<T>) -> (usize, T) {
    (spanned.span().start, spanned.into_inner())
}

/// A name, or the beginning of one with a `*` behind it.
fn is_pattern(tool: &str) -> bool {
    let name = tool.strip_suffix('*').unwrap_or(tool);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    tool.len() <= NAME_CHARS_MAX && !tool.is_empty() && name.bytes().all(is_plain)
}

/// A language that is spoken.
#[derive(Clone, Copy)]
struct Tag(Language);

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tag = String::deserialize(deserializer)?;
        language_of(&tag).map(Self).map_err(D::Error::custom)
    }
}

/// Milliseconds, a minute at most: whatever a turn waits for.
#[derive(Clone, Copy)]
pub(super) struct Millis(pub(super) Duration);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if ms > MILLIS_MAX {
            return Err(D::Error::custom(format!("at most {MILLIS_MAX} ms")));
        }
        Ok(Self(Duration::from_millis(ms)))
    }
}

/// How long a tool is waited for, in milliseconds.
#[derive(Clone, Copy)]
struct ToolMillis(Duration);

impl<'de> Deserialize<'de> for ToolMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if !(1..=TIMEOUT_MS_MAX).contains(&ms) {
            return Err(D::Error::custom(format!("from 1 to {TIMEOUT_MS_MAX} ms")));
        }
        Ok(Self(Duration::from_millis(ms)))
    }
}

/// A count of what cannot be done without.
#[derive(Clone, Copy)]
pub(super) struct AtLeastOne<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default + PartialEq> Deserialize<'de> for AtLeastOne<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let count = T::deserialize(deserializer)?;
        if count == T::default() { Err(D::Error::custom("at least 1")) } else { Ok(Self(count)) }
    }
}

/// A share, in 0..=1.
#[derive(Clone, Copy)]
pub(super) struct Share(pub(super) f32);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f32::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(D::Error::custom("from 0 to 1")) }
    }
}

/// An amount of money.
#[derive(Clone, Copy)]
struct Cost(f64);

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cost = f64::deserialize(deserializer)?;
        if cost.is_finite() && cost >= 0.0 { Ok(Self(cost)) } else { Err(D::Error::custom("an amount of 0 or more")) }
    }
}

/// How freely a model chooses words, 0 to 2, kept in thousandths.
#[derive(Clone, Copy)]
struct Temperature(u32);

impl<'de> Deserialize<'de> for Temperature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let free = f64::deserialize(deserializer)?;
        if (0.0..=2.0).contains(&free) {
            Ok(Self((free * 1_000.0).round() as u32))
        } else {
            Err(D::Error::custom("from 0 to 2"))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactOfFile {
    about: Vec<String>,
    answer: PerLanguage,
}

impl From<FactOfFile> for Fact {
    fn from(fact: FactOfFile) -> Self {
        Self { about: fact.about, answer: fact.answer }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rule {
    approval: Option<Approval>,
    calls_max: Option<u32>,
    timeout_ms: Option<ToolMillis>,
    cancellable: Option<bool>,
    filler: PerLanguage,
}

impl From<Rule> for ToolRule {
    fn from(rule: Rule) -> Self {
        Self {
            approval: rule.approval,
            calls_max: rule.calls_max,
            timeout: rule.timeout_ms.map(|ms| ms.0),
            is_safe_to_cancel: rule.cancellable,
            filler: rule.filler,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsOfFile {
    call_minutes: Option<AtLeastOne<u32>>,
    turns_max: Option<AtLeastOne<u32>>,
    tool_calls_max: Option<u32>,
    tools_at_once: Option<AtLeastOne<usize>>,
    tool_rounds_max: Option<u32>,
    answer_tokens_max: Option<AtLeastOne<u32>>,
    tokens_max: Option<u64>,
    cost_max: Option<Cost>,
}

impl From<LimitsOfFile> for Limits {
    fn from(file: LimitsOfFile) -> Self {
        let usual = Self::default();
        Self {
            call: file.call_minutes.map_or(usual.call, |minutes| Duration::from_secs(60 * u64::from(minutes.0))),
            turns_max: file.turns_max.map_or(usual.turns_max, |turns| turns.0),
            tool_calls_max: file.tool_calls_max.unwrap_or(usual.tool_calls_max),
            tools_at_once: file.tools_at_once.map_or(usual.tools_at_once, |tools| tools.0),
            tool_rounds_max: file.tool_rounds_max.unwrap_or(usual.tool_rounds_max),
            answer_tokens_max: file.answer_tokens_max.map_or(usual.answer_tokens_max, |tokens| tokens.0),
            tokens_max: file.tokens_max,
            cost_max: file.cost_max.map(|cost| cost.0),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TurnOfFile {
    wait_ms: Option<Millis>,
    wait_unsure_ms: Option<Millis>,
    wait_dictating_ms: Option<Millis>,
    sure: Option<Share>,
    eager: Option<bool>,
    interruptible: Option<bool>,
    greeting_interruptible: Option<bool>,
    interrupt_after_ms: Option<Millis>,
    interrupt_words: Option<usize>,
    decide_within_ms: Option<Millis>,
    filler_after_ms: Option<Millis>,
    idle_after_ms: Option<Millis>,
    idle_times: Option<u32>,
}

impl From<TurnOfFile> for TurnSettings {
    fn from(file: TurnOfFile) -> Self {
        let usual = Self::default();
        let span = |own: Option<Millis>, usual: Duration| own.map_or(usual, |ms| ms.0);
        Self {
            wait: span(file.wait_ms, usual.wait),
            wait_unsure: span(file.wait_unsure_ms, usual.wait_unsure),
            wait_dictating: span(file.wait_dictating_ms, usual.wait_dictating),
            sure: file.sure.map_or(usual.sure, |share| share.0),
            is_eager: file.eager.unwrap_or(usual.is_eager),
            is_interruptible: file.interruptible.unwrap_or(usual.is_interruptible),
            is_greeting_interruptible: file.greeting_interruptible.unwrap_or(usual.is_greeting_interruptible),
            interrupt_after: span(file.interrupt_after_ms, usual.interrupt_after),
            interrupt_words: file.interrupt_words.unwrap_or(usual.interrupt_words),
            decide_within: span(file.decide_within_ms, usual.decide_within),
            filler_after: span(file.filler_after_ms, usual.filler_after),
            idle_after: span(file.idle_after_ms, usual.idle_after),
            idle_times: file.idle_times.unwrap_or(usual.idle_times),
            answers_when_asked: usual.answers_when_asked,
            ends_with_calls: usual.ends_with_calls,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelsOfFile {
    primary: Option<String>,
    fast: Option<String>,
    special: Option<String>,
    temperature: Option<Temperature>,
}

impl From<ModelsOfFile> for Models {
    fn from(file: ModelsOfFile) -> Self {
        Self {
            primary: file.primary,
            fast: file.fast,
            special: file.special,
            temperature_milli: file.temperature.map(|free| free.0),
            must_call: MustCall::Nothing,
        }
    }
}

/// The longest name of a persona: it is a part of addresses and of files' names.
const NAME_CHARS_MAX: usize = 64;

/// The largest file: instructions of forty pages. What is longer is no persona but a library, and costs a model
/// seconds on every turn.
pub const FILE_BYTES_MAX: usize = 128 * 1_024;

/// A name of fewer letters is heard in whatever anybody says.
const WAKE_LETTERS_MIN: usize = 4;

/// The longest that anything in a turn may wait: a caller has hung up by then.
const MILLIS_MAX: u64 = 60_000;

/// What a persona may use that names no tools: what does no harm.
const TOOLS: [BuiltIn; 4] = [BuiltIn::HangUp, BuiltIn::TakeNote, BuiltIn::Remind, BuiltIn::Remember];
