//! In which language the agent answers: the one it is spoken to in, as far as its persona speaks it.
//!
//! Pure. Short words ("okay", "hallo") are in every language and change nothing; a recognizer that names a language is
//! believed when there are enough words for it to know.

use tts::voice::Language;

use crate::{brain, persona::Persona};

/// The language for an answer to `text`, spoken so far in `current`.
pub(super) fn heard(text: &str, tag: Option<&str>, current: Language, persona: &Persona) -> Language {
    let words = text.split_whitespace().count();
    let named = tag.filter(|_| words >= WORDS_MIN).and_then(Language::nearest).map(|(language, _)| language);
    let found = || match brain::language_in(text)? {
        brain::Language::English => Some(Language::ENGLISH_US),
        brain::Language::German => Some(Language::GERMAN),
    };
    match found().filter(|_| words >= WORDS_MIN).or(named) {
        // Another region of the same language is no change.
        Some(language) if language.is_kin(current) => current,
        Some(language) => persona.answers_in(language),
        None => current,
    }
}

/// Whether fixed texts are German; otherwise they are English, which more people understand than any other.
pub(super) fn is_german(language: Language) -> bool {
    language.is_kin(Language::GERMAN)
}

/// What a model calls the language.
pub(super) fn name(language: Language) -> &'static str {
    match language.tag().split('-').next().unwrap_or_default() {
        "de" => "German",
        "en" => "English",
        "fr" => "French",
        "es" => "Spanish",
        "it" => "Italian",
        "nl" => "Dutch",
        "pl" => "Polish",
        "pt" => "Portuguese",
        "tr" => "Turkish",
        _ => language.tag(),
    }
}

/// Fewer words are in no language in particular.
const WORDS_MIN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_language_that_was_heard() {
        let persona = Persona::built_in();
        let (de, en) = (Language::GERMAN, Language::ENGLISH_US);
        for (text, tag, current, answer) in [
            ("Ich hätte gern einen Termin.", None, en, de),
            ("I would like to book a table.", None, de, en),
            ("okay", None, de, de),
            ("okay", Some("en"), de, de),
            ("Super Service hier", Some("de"), en, de),
            ("Je voudrais un rendez-vous demain", Some("fr"), de, persona.language),
        ] {
            assert_eq!(heard(text, tag, current, &persona), answer, "{text}");
        }
    }
}
