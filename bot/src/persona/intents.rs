//! What callers may want of a persona, as it stands in its file: `[[intent]]` with phrases, and the slots that have to be
//! filled before its tool is called. Every wrong value is found while its line is known. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{PerLanguage, language_of};
use crate::understand::intent::Pattern;

/// Something that callers want.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// What prompts, events and the rules here call it.
    pub name: String,
    /// What callers hear it called; its name where there is nothing else.
    pub title: PerLanguage,
    /// How it is asked for, in all languages.
    pub phrases: Vec<Pattern>,
    /// What has to be known first, in the order in which it is asked for.
    pub slots: Vec<Slot>,
    /// Which tool is called then, with the slots as its arguments; a note is taken where there is none.
    pub tool: Option<String>,
    /// What is said to it, once everything is known.
    pub answer: PerLanguage,
    /// What is said once the tool has done it.
    pub done: PerLanguage,
}

/// Something that has to be known.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The tool's name for it.
    pub name: String,
    /// What callers hear it called; its name where there is nothing else.
    pub title: PerLanguage,
    /// What kind of thing it is.
    pub kind: SlotKind,
    /// How it is asked for.
    pub prompt: PerLanguage,
    /// Whether it is read back.
    pub confirm: Confirm,
    /// Words beside it that show what a number is about: `["persons", "Personen"]`.
    pub about: Vec<String>,
    /// What it may be, where it is a choice. The first is key 1.
    pub choices: Vec<Choice>,
    /// The least that a number may be.
    pub min: Option<i64>,
    /// The most that a number may be.
    pub max: Option<i64>,
    /// Whether it is only taken when it is said, and never asked for.
    pub is_optional: bool,
}

/// What kind of thing a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A day: `2026-12-01` for the tool.
    Date,
    /// A time of day: `15:30`.
    Time,
    /// A whole number.
    Number,
    /// Somebody's name.
    Name,
    /// An e-mail address.
    Email,
    /// A telephone number: digits, with `+` where the country was said.
    Phone,
    /// Whatever is answered.
    Text,
    /// One of several.
    Choice,
}

/// Whether a slot is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// It is not.
    No,
    /// Once everything is known.
    #[default]
    Yes,
    /// As soon as it is known, and again with everything.
    Always,
}

/// One of several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The tool's word for it.
    pub value: String,
    /// How callers say it.
    pub words: Vec<String>,
    /// How it is read back; the tool's word where there is nothing else.
    #[serde(default)]
    pub says: PerLanguage,
}

/// How what callers want is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Understanding {
    /// An intent that is less sure is none, in 0..=1.
    pub confidence: f32,
    /// How often in a row something is asked for in vain before it is given up.
    pub tries_max: u32,
    /// What is said, without a model, to somebody who wants nothing that is known.
    pub fallback: PerLanguage,
    /// What is said when a form is given up.
    pub gave_up: PerLanguage,
    /// Among several people, how long it is listened to without a wake phrase after it was spoken to, or has spoken.
    pub followed_for: Duration,
}

impl Default for Understanding {
    fn default() -> Self {
        Self {
            confidence: 0.4,
            tries_max: 3,
            fallback: PerLanguage::default(),
            gave_up: PerLanguage::default(),
            followed_for: Duration::from_secs(8),
        }
    }
}

impl SlotKind {
    /// What a model calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
            Self::Number => "number",
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Text => "text",
            Self::Choice => "choice",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntentOfFile {
    name: String,
    #[serde(default)]
    title: PerLanguage,
    phrases: Phrases,
    #[serde(default)]
    slot: Vec<SlotOfFile>,
    tool: Option<String>,
    #[serde(default)]
    answer: PerLanguage,
    #[serde(default)]
    done: PerLanguage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotOfFile {
    name: String,
    #[serde(default)]
    title: PerLanguage,
    kind: SlotKind,
    #[serde(default)]
    prompt: PerLanguage,
    #[serde(default)]
    confirm: Confirm,
    #[serde(default)]
    about: Vec<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default)]
    optional: bool,
}

impl IntentOfFile {
    /// The intent, or why it is none.
    pub(super) fn intent(self) -> Result<Intent, String> {
        let name = self.name;
        if !is_name(&name) {
            return Err(format!("{name:?} is no name for an intent: small letters, digits, - and _"));
        }
        if self.phrases.0.is_empty() || self.phrases.0.len() > PHRASES_MAX {
            return Err(format!("intent {name}: phrases has from 1 to {PHRASES_MAX} patterns"));
        }
        if self.slot.is_empty() && self.answer.is_empty() && self.tool.is_none() {
            return Err(format!("intent {name}: needs slots, an answer or a tool"));
        }
        if self.slot.len() > SLOTS_MAX {
            return Err(format!("intent {name}: at most {SLOTS_MAX} slots"));
        }
        let slots = self.slot.into_iter().map(SlotOfFile::slot).collect::<Result<Vec<Slot>, String>>();
        let slots = slots.map_err(|why| format!("intent {name}: {why}"))?;
        let is_twice = |(at, slot): (usize, &Slot)| slots[..at].iter().any(|before| before.name == slot.name);
        if slots.iter().enumerate().any(is_twice) {
            return Err(format!("intent {name}: two slots have the same name"));
        }
        Ok(Intent {
            name,
            title: self.title,
            phrases: self.phrases.0,
            slots,
            tool: self.tool,
            answer: self.answer,
            done: self.done,
        })
    }
}

impl SlotOfFile {
    fn slot(self) -> Result<Slot, String> {
        let name = self.name;
        if !is_name(&name) {
            return Err(format!("{name:?} is no name for a slot: small letters, digits, - and _"));
        }
        if self.prompt.is_empty() && !self.optional {
            return Err(format!("slot {name}: needs a prompt, or to be optional"));
        }
        let is_choice = self.kind == SlotKind::Choice;
        let are_said = self.choices.iter().all(|choice| !choice.words.is_empty());
        if is_choice && !((2..=CHOICES_MAX).contains(&self.choices.len()) && are_said) {
            return Err(format!("slot {name}: choices has from 2 to {CHOICES_MAX} of them, each with its words"));
        }
        if !is_choice && !self.choices.is_empty() {
            return Err(format!("slot {name}: only a choice has choices"));
        }
        if (self.min.is_some() || self.max.is_some()) && self.kind != SlotKind::Number {
            return Err(format!("slot {name}: only a number has min and max"));
        }
        if self.min.zip(self.max).is_some_and(|(min, max)| min > max) {
            return Err(format!("slot {name}: min is more than max"));
        }
        Ok(Slot {
            name,
            title: self.title,
            kind: self.kind,
            prompt: self.prompt,
            confirm: self.confirm,
            about: self.about.iter().map(|word| word.to_lowercase()).collect(),
            choices: self.choices,
            min: self.min,
            max: self.max,
            is_optional: self.optional,
        })
    }
}

/// Patterns for each language: `{ de = ["…"], en = ["…"] }`.
struct Phrases(Vec<Pattern>);

impl<'de> Deserialize<'de> for Phrases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let each = BTreeMap::<String, Vec<String>>::deserialize(deserializer)?;
        let mut patterns = Vec::new();
        for (tag, phrases) in each {
            language_of(&tag).map_err(D::Error::custom)?;
            for phrase in phrases {
                let pattern = Pattern::parse(&phrase);
                patterns.push(pattern.map_err(|why| D::Error::custom(format!("{phrase:?}: {why}")))?);
            }
        }
        Ok(Self(patterns))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UnderstandingOfFile {
    confidence: Option<super::file::Share>,
    tries_max: Option<super::file::AtLeastOne<u32>>,
    fallback: PerLanguage,
    gave_up: PerLanguage,
    followed_for_ms: Option<super::file::Millis>,
}

impl From<UnderstandingOfFile> for Understanding {
    fn from(file: UnderstandingOfFile) -> Self {
        let usual = Self::default();
        Self {
            confidence: file.confidence.map_or(usual.confidence, |share| share.0),
            tries_max: file.tries_max.map_or(usual.tries_max, |tries| tries.0),
            fallback: file.fallback,
            gave_up: file.gave_up,
            followed_for: file.followed_for_ms.map_or(usual.followed_for, |ms| ms.0),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// The longest name of an intent or a slot.
const NAME_CHARS_MAX: usize = 64;

/// Intents of one persona; every turn is compared with all of them.
pub(super) const INTENTS_MAX: usize = 64;

/// Patterns of one intent, in all languages together.
const PHRASES_MAX: usize = 64;

/// Nobody answers more questions on the telephone.
const SLOTS_MAX: usize = 12;

/// Each has a key.
const CHOICES_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::super::Persona;

    #[test]
    fn what_is_wrong_with_an_intent_is_said() {
        let wrong =
            |text: &str| Persona::parse("p", text).map_or_else(|wrong| wrong.to_string(), |_| "taken".to_owned());
        let intent = |rest: &str| format!("[[intent]]\nname = \"book\"\nphrases.en = [\"book *table\"]\n{rest}");
        let slot = |rest: &str| intent(&format!("[[intent.slot]]\nname = \"day\"\nkind = \"date\"\n{rest}"));
        let number = |rest: &str| {
            intent(&format!("[[intent.slot]]\nname = \"count\"\nkind = \"number\"\nprompt = \"?\"\n{rest}"))
        };
        for (text, expected) in [
            (intent("answer = \"Yes.\""), "taken"),
            (slot("prompt = \"When?\""), "taken"),
            (slot("optional = true"), "taken"),
            (intent(""), "needs slots, an answer or a tool"),
            (slot(""), "slot day: needs a prompt"),
            (slot("prompt = \"When?\"\nmin = 1"), "only a number has min"),
            (slot("prompt = \"When?\"\nchoices = [{ value = \"a\", words = [\"a\"] }]"), "only a choice has choices"),
            (slot("prompt = \"When?\"\nconfirm = \"maybe\""), "unknown variant `maybe`"),
            (slot("prompt = \"When?\"\n[[intent.slot]]\nname = \"day\"\nkind = \"text\"\nprompt = \"?\""), "same name"),
            (number("min = 4\nmax = 2"), "min is more than max"),
            (number("min = 2\nmax = 4"), "taken"),
            (intent("tool = \"book\""), "tools does not name"),
            (intent("answer = \"Yes.\"\nfoo = 1"), "unknown field `foo`"),
            ("[[intent]]\nname = \"B\"\nphrases.en = [\"a\"]\nanswer = \"x\"".to_owned(), "is no name for an intent"),
            (
                "[[intent]]\nname = \"b\"\nphrases.en = [\"* a\"]\nanswer = \"x\"".to_owned(),
                "begins and ends with a word",
            ),
            (
                "[[intent]]\nname = \"b\"\nphrases.xx = [\"a\"]\nanswer = \"x\"".to_owned(),
                "no language that is spoken here",
            ),
            ("[[intent]]\nname = \"b\"\nphrases.en = []\nanswer = \"x\"".to_owned(), "from 1 to 64 patterns"),
            ("[understand]\nconfidence = 2.0".to_owned(), "from 0 to 1"),
            ("[understand]\ntries_max = 0".to_owned(), "at least 1"),
            ("[understand]\nfollowed_for_ms = 90000".to_owned(), "at most 60000 ms"),
            ("wake = [\"hey harmony\"]".to_owned(), "taken"),
            ("wake = [\"hi\"]".to_owned(), "wake: \"hi\" is too short"),
        ] {
            let said = wrong(&text);
            assert!(said.contains(expected), "{text}: {said}");
        }
        let twice = format!("{0}\n{0}", intent("answer = \"Yes.\""));
        assert!(wrong(&twice).contains("two intents are called book"));
    }
}
