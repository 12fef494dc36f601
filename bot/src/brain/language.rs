//! Which language a final is in: as the recognizer says, else by its commonest words.

use serde::{Serialize, Serializer};

use super::tokens::Token;

/// A language the brain has rules for. Serialises as `en` or `de`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// The language that `tag` names (`en`, `en-US`, `german`, `Deutsch`), when there are rules for it.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let tag = tag.to_lowercase();
        match tag.split(['-', '_']).next().unwrap_or_default() {
            "en" | "eng" | "english" | "englisch" => Some(Self::English),
            "de" | "deu" | "ger" | "german" | "deutsch" => Some(Self::German),
            _ => None,
        }
    }

    /// The two-letter tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language whose function words are more among `tokens`; none when they are even.
    pub(super) fn detect(tokens: &[Token]) -> Option<Self> {
        let count = |words: &[&str]| tokens.iter().filter(|token| token.among(words)).count();
        let (english, german) = (count(ENGLISH), count(GERMAN));
        match english.cmp(&german) {
            std::cmp::Ordering::Greater => Some(Self::English),
            std::cmp::Ordering::Less => Some(Self::German),
            std::cmp::Ordering::Equal => None,
        }
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.tag())
    }
}

/// Frequent words that the other language lacks ("in", "an", "was", "so", "will", "man" and "am" are in both).
#[rustfmt::skip]
const ENGLISH: &[&str] = &[
    "the", "a", "i", "you", "he", "she", "it", "we", "they", "me", "my", "your", "our", "and", "or", "but", "of",
    "to", "for", "with", "on", "at", "by", "from", "is", "are", "were", "be", "been", "have", "has", "had", "do",
    "does", "did", "not", "this", "that", "these", "what", "who", "when", "where", "why", "how", "can", "could",
    "would", "should", "going", "let", "please", "yes", "okay", "will", "need", "send", "next", "week", "tomorrow",
    "until",
];

#[rustfmt::skip]
const GERMAN: &[&str] = &[
    "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "ich", "du", "er", "sie",
    "es", "wir", "ihr", "mich", "mir", "dich", "dir", "uns", "ihnen", "und", "oder", "aber", "von", "zu", "zum",
    "zur", "für", "mit", "auf", "bei", "bis", "aus", "nach", "ist", "sind", "sein", "habe", "haben", "hat", "hatte",
    "nicht", "kein", "keine", "dass", "wie", "wer", "wann", "wo", "warum", "kann", "kannst", "können", "könnte",
    "muss", "müssen", "soll", "sollte", "werde", "werden", "wird", "wollen", "bitte", "ja", "nein", "auch", "noch",
    "dann", "morgen", "heute", "mal", "schon", "wenn", "im", "vom", "ans", "machen", "mache", "woche",
];
