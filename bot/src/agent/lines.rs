//! What an agent says of itself, mostly where its persona has no words of its own: German and English. Values only.

use tts::voice::Language;

use super::{Facts, language::is_german, template};
use crate::persona::Persona;

/// Bridges a wait, for the `nth` time in a turn.
pub(super) fn bridge(nth: u32, language: Language) -> &'static str {
    let lines = if is_german(language) {
        ["Einen Moment, bitte.", "Es dauert noch einen kleinen Augenblick.", "Ich bin noch dran."]
    } else {
        ["One moment, please.", "It takes just a little longer.", "I am still on it."]
    };
    lines[nth as usize % lines.len()]
}

/// There is no answer, for the `nth` time in a row.
pub(super) fn excuse(nth: u32, language: Language) -> &'static str {
    match (is_german(language), nth) {
        (true, 0) => "Entschuldigung, das hat gerade nicht geklappt. Können Sie das bitte noch einmal sagen?",
        (true, _) => "Es tut mir leid, ich habe gerade technische Schwierigkeiten. Bitte versuchen Sie es noch einmal.",
        (false, 0) => "I am sorry, that did not work just now. Could you say that again, please?",
        (false, _) => "I am sorry, I am having technical difficulties. Please try once more.",
    }
}

/// The model does not want to answer.
pub(super) fn refusal(language: Language) -> &'static str {
    if is_german(language) {
        "Dabei kann ich leider nicht helfen. Kann ich sonst etwas für Sie tun?"
    } else {
        "I am sorry, I cannot help with that. Is there anything else I can do for you?"
    }
}

/// Asks somebody who is silent.
pub(super) fn idle(language: Language) -> &'static str {
    if is_german(language) { "Sind Sie noch da?" } else { "Are you still there?" }
}

/// Ends a call: the persona's good-bye, filled in, or one of ours where it has none.
pub(super) fn goodbye(persona: &Persona, facts: &Facts, language: Language) -> String {
    let own = persona.goodbye.nearest(language, persona.language).map(|own| template::fill(own, &facts.values));
    let usual = if is_german(language) { "Auf Wiederhören!" } else { "Good-bye!" };
    own.filter(|own| !own.trim().is_empty()).unwrap_or_else(|| usual.to_owned())
}

/// Before the caller goes to somebody else.
pub(super) fn passing_on(language: Language) -> &'static str {
    if is_german(language) {
        "Ich verbinde Sie, einen Moment bitte."
    } else {
        "I am putting you through, one moment please."
    }
}

/// The caller is back: nobody was there.
pub(super) fn came_back(language: Language) -> &'static str {
    if is_german(language) {
        "Dort ist leider niemand zu erreichen. Kann ich sonst etwas für Sie tun?"
    } else {
        "I am sorry, nobody can be reached there. Is there anything else I can do for you?"
    }
}
