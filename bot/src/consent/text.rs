//! What is said to those who are asked, in the language of the call.

use super::Settings;

/// A language in which people are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// The nearest to a language as configurations name it: `de`, `de-AT`; English where it is none that is spoken here.
    pub fn nearest(name: &str) -> Self {
        let code = name.split(['-', '_']).next().unwrap_or_default();
        if code.eq_ignore_ascii_case("de") { Self::German } else { Self::English }
    }

    /// As voices know it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::German => "de-DE",
        }
    }

    /// The question, where nobody wrote another.
    pub fn question(self, settings: &Settings) -> String {
        let Settings { agree, refuse, .. } = settings;
        match self {
            Self::English => format!(
                "This call will be recorded if everybody agrees. To agree, press {agree}, or say yes. If you do not \
                 agree, press {refuse}, or say no."
            ),
            Self::German => format!(
                "Dieses Gespräch wird aufgezeichnet, wenn alle einverstanden sind. Drücken Sie dafür die {agree}, oder \
                 sagen Sie ja. Wenn Sie nicht einverstanden sind, drücken Sie die {refuse}, oder sagen Sie nein."
            ),
        }
    }
}

/// Something that everybody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is recorded from now on.
    Begins,
    /// It is not recorded.
    Declined,
    /// It is not recorded for now.
    Paused,
    /// It is recorded again.
    Resumed,
    /// It could not be paused.
    GoesOn,
    /// It is over, and neither paused nor goes on.
    Ended,
}

impl Notice {
    /// In words.
    pub const fn text(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::Begins) => "Thank you. This call is being recorded.",
            (Language::English, Self::Declined) => "This call is not recorded.",
            (Language::English, Self::Paused) => "Recording paused.",
            (Language::English, Self::Resumed) => "Recording resumed.",
            (Language::English, Self::GoesOn) => "This call is still being recorded.",
            (Language::English, Self::Ended) => "The recording has ended.",
            (Language::German, Self::Begins) => "Vielen Dank. Das Gespräch wird aufgezeichnet.",
            (Language::German, Self::Declined) => "Das Gespräch wird nicht aufgezeichnet.",
            (Language::German, Self::Paused) => "Die Aufnahme ist angehalten.",
            (Language::German, Self::Resumed) => "Die Aufnahme läuft wieder.",
            (Language::German, Self::GoesOn) => "Das Gespräch wird weiterhin aufgezeichnet.",
            (Language::German, Self::Ended) => "Die Aufnahme ist beendet.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_the_keys_that_answer_it() {
        let settings = Settings { agree: '4', refuse: '6', ..Settings::default() };
        for language in [Language::English, Language::German] {
            let question = language.question(&settings);
            assert!(question.contains('4') && question.contains('6'), "{question}");
        }
        assert_eq!([Language::nearest("de_AT"), Language::nearest("fr")], [Language::German, Language::English]);
    }
}
