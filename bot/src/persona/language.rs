//! Words in one language, or in each of several.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use tts::voice::Language;

/// A text for whatever language, or one for each: `greeting = "Hello"`, or `greeting = { de = "…", en = "…" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerLanguage {
    any: Option<String>,
    each: BTreeMap<Language, String>,
}

impl PerLanguage {
    /// The same in every language.
    pub fn any(text: impl Into<String>) -> Self {
        Self { any: Some(text.into()), each: BTreeMap::new() }
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.each.is_empty()
    }

    /// The text in `language`, or in the same of another region, or the one that is for all.
    pub fn in_language(&self, language: Language) -> Option<&str> {
        let kin = || self.each.iter().find(|(known, _)| known.is_kin(language)).map(|(_, text)| text);
        self.each.get(&language).or_else(kin).or(self.any.as_ref()).map(String::as_str)
    }

    /// The text in `language`, else in `other`, else in any.
    pub fn nearest(&self, language: Language, other: Language) -> Option<&str> {
        let first = || self.each.values().next().map(String::as_str);
        self.in_language(language).or_else(|| self.in_language(other)).or_else(first)
    }

    /// The languages that have a text of their own, in the order of their tags.
    pub fn languages(&self) -> impl Iterator<Item = Language> {
        self.each.keys().copied()
    }
}

impl FromIterator<(Language, String)> for PerLanguage {
    fn from_iter<T: IntoIterator<Item = (Language, String)>>(texts: T) -> Self {
        Self { any: None, each: texts.into_iter().collect() }
    }
}

impl<'de> Deserialize<'de> for PerLanguage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = PerLanguage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or a table with a text for each language such as { de = \"…\", en = \"…\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PerLanguage, E> {
        Ok(PerLanguage::any(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PerLanguage, A::Error> {
        let mut each = BTreeMap::new();
        while let Some(tag) = map.next_key::<String>()? {
            let language = language_of(&tag).map_err(A::Error::custom)?;
            each.insert(language, map.next_value()?);
        }
        Ok(PerLanguage { any: None, each })
    }
}

/// The spoken language of a tag such as `de`, `en` or `en-GB`.
///
/// # Errors
/// In words, when nobody here speaks it.
pub fn language_of(tag: &str) -> Result<Language, String> {
    match Language::nearest(tag) {
        Some((language, true)) => Ok(language),
        Some((near, false)) => Err(format!("{tag:?} is not spoken here; {near} is")),
        None => Err(format!("{tag:?} is no language that is spoken here, such as de or en-GB")),
    }
}
