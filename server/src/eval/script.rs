//! A conversation as it is written, `NAME.toml`: read and checked as a whole before anybody is called.
//!
//! Every wrong value is found while its line is known. Keys have units in their names. Pure: text comes in, a [`Script`] or
//! a [`BadScript`] comes out; the files that it names are read by whoever runs it.

mod file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bot::tools::Tool;
use media::rtp::dtmf::Key;
use serde::Deserialize;
use serde_json::{Map, Value};
use tts::voice::{Language, VoiceId};

use super::phrase::Phrase;

/// A conversation.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What it is about.
    pub(crate) title: String,
    /// Who is called: a persona of the server, or a file; the usual one without.
    pub(crate) persona: Option<Who>,
    /// What stands for `{{name}}` in the persona's texts.
    pub(crate) values: BTreeMap<String, String>,
    /// How the caller is heard.
    pub(crate) hearing: Hearing,
    /// What the agent's first words must hold.
    pub(crate) greeting: Expected,
    /// What the model answers; the configured model is asked where this is empty.
    pub(crate) model: Vec<Rule>,
    /// How long the scripted model takes for its first word.
    pub(crate) model_takes: Duration,
    /// Tools that the script brings along.
    pub(crate) tools: Vec<Scripted>,
    /// What the caller does, in order; never nothing.
    pub(crate) lines: Vec<Line>,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A persona of this name.
    Named(String),
    /// The persona that this file describes, from the script's folder on.
    File(PathBuf),
}

/// How the caller is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
pub enum Hearing {
    /// By the configured recognizer.
    #[default]
    #[serde(rename = "recognizer")]
    Recognizer,
    /// Sound, voice activity and ends of turns are real, the words are those of the script.
    #[serde(rename = "as written", alias = "as-written")]
    AsWritten,
}

impl Hearing {
    /// As scripts and reports name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recognizer => "recognizer",
            Self::AsWritten => "as written",
        }
    }
}

/// What the model answers, and to what.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// To whom.
    pub(crate) to: To,
    /// Words, said before the calls.
    pub(crate) says: String,
    /// Tools that it calls.
    pub(crate) calls: Vec<Wanted>,
}

/// What an answer of the model is to.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// Something that the caller said, with these words in it where there are any.
    Caller(Option<Phrase>),
    /// What the tool of this name gave, with these words in it where there are any.
    Tool(String, Option<Phrase>),
}

/// A tool, and arguments of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Which.
    pub(crate) name: String,
    /// What it is asked.
    #[serde(default)]
    pub(crate) arguments: Map<String, Value>,
}

/// A tool of the script.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    /// As the agent is offered it.
    pub(crate) tool: Tool,
    /// What it gives.
    pub(crate) answer: String,
    /// Whether that is a failure.
    pub(crate) fails: bool,
    /// How long it takes.
    pub(crate) takes: Duration,
}

/// One thing that the caller does, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What.
    pub(crate) does: Does,
    /// In which language.
    pub(crate) language: Language,
    /// How long into the answer to the line before; after it where not set.
    pub(crate) interrupts: Option<Duration>,
    /// What must come of it.
    pub(crate) expected: Expected,
}

/// What a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Says this.
    Says {
        /// The words.
        words: String,
        /// In this voice.
        voice: VoiceId,
    },
    /// Says what is in a recording.
    Plays {
        /// Which, from the script's folder on.
        file: PathBuf,
        /// The words in it, where they are known.
        words: String,
    },
    /// Presses keys; never none.
    Presses(Vec<Key>, String),
}

impl Does {
    /// What the report shows.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Says { words, .. } => words.clone(),
            Self::Plays { file, words } if words.is_empty() => file.display().to_string(),
            Self::Plays { words, .. } => words.clone(),
            Self::Presses(_, keys) => format!("keys {keys}"),
        }
    }
}

/// What must come of a line.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Whether anything is answered.
    pub(crate) answers: bool,
    /// What must be in the words that are heard.
    pub(crate) words: Vec<Phrase>,
    /// What must not be.
    pub(crate) no_words: Vec<Phrase>,
    /// The tools that are called, in any order and no others; not looked at where not set.
    pub(crate) tools: Option<Vec<Wanted>>,
    /// What the caller wants of the persona's intents, in any order and no others; not looked at where not set.
    pub(crate) intents: Option<Vec<String>>,
    /// From the end of what the caller does to the first sound.
    pub(crate) within: Option<Duration>,
    /// From the first sound over an answer to the last of that one.
    pub(crate) stops_within: Duration,
    /// Whether the agent hangs up.
    pub(crate) hangs_up: bool,
}

/// Why a script is not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {why}")]
pub(crate) struct BadScript {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What is wrong, in one line.
    pub(crate) why: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`BadScript`], with the line.
    pub(crate) fn parse(text: &str) -> Result<Self, BadScript> {
        file::parse(text)
    }

    /// A recording that must be answered and whose words are not written: only a recognizer hears those.
    pub(crate) fn wordless(&self) -> Option<&Path> {
        self.lines.iter().filter(|line| line.expected.answers).find_map(|line| match &line.does {
            Does::Plays { file, words } if words.trim().is_empty() => Some(file.as_path()),
            Does::Plays { .. } | Does::Says { .. } | Does::Presses(..) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = r#"
title = "Opening hours"
language = "de"
hearing = "as written"
within_ms = 2000

[greeting]
words = ["Harmony"]

[[tool]]
name = "hours"
answer = "9 to 5"
parameters = { type = "object", properties = { day = { type = "string" } } }

[[model]]
when = "geöffnet | offen"
calls = [{ name = "hours", arguments = { day = "Freitag" } }]

[[model]]
after = "hours"
says = "Von neun bis fünf."

[[line]]
says = "Wann haben Sie am Freitag geöffnet?"
tools = [{ name = "hours", arguments = { day = "freitag" } }]
words = ["neun | 9"]

[[line]]
says = "Moment, und am Montag?"
language = "en"
interrupts_after_ms = 700
stops_within_ms = 300
within_ms = 900

[[line]]
presses = "12#"
"#;

    fn wrong(text: &str) -> String {
        Script::parse(text).map_or_else(|wrong| wrong.to_string(), |script| format!("{script:?}"))
    }

    #[test]
    fn a_whole_script_is_read_as_it_is_meant() {
        let script = Script::parse(WHOLE).unwrap();
        assert_eq!((script.title.as_str(), script.hearing), ("Opening hours", Hearing::AsWritten));
        assert_eq!(script.model_takes, Duration::from_millis(150));
        assert!(matches!(&script.model[1].to, To::Tool(name, None) if name == "hours"));
        assert_eq!(script.model[0].calls[0].arguments["day"], "Freitag");
        let [first, second, third] = &script.lines[..] else { panic!("{:?}", script.lines) };
        assert_eq!(first.expected.within, Some(Duration::from_millis(2_000)));
        assert_eq!(first.language, Language::GERMAN);
        assert_eq!(second.interrupts, Some(Duration::from_millis(700)));
        assert_eq!(second.expected.stops_within, Duration::from_millis(300));
        assert_eq!((second.expected.within, second.language), (Some(Duration::from_millis(900)), Language::ENGLISH_US));
        assert!(matches!(&third.does, Does::Presses(keys, _) if keys.len() == 3));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let line = "[[line]]\nsays = \"Hello?\"\n";
        for (text, at, why) in [
            ("title = \"a\"\nlines = 3\n".to_owned(), 2, "lines"),
            (format!("{line}wihtin_ms = 3\n"), 3, "wihtin_ms"),
            (format!("title = 3\n{line}"), 1, "string"),
            ("title = \"none\"\n".to_owned(), 1, "no [[line]]"),
            (format!("language = \"xx\"\n{line}"), 1, "language"),
            (format!("title = \"a\"\n\nvoice = \"nobody at all\"\n{line}"), 3, "voice"),
            (format!("within_ms = 99999999\n{line}"), 1, "within_ms"),
            ("\n[[line]]\nwords = [\"a\"]\n".to_owned(), 2, "one of says"),
            ("[[line]]\nsays = \"a\"\npresses = \"1\"\n".to_owned(), 1, "one of says"),
            ("[[line]]\nsays = \"?!\"\n".to_owned(), 1, "no word"),
            ("[[line]]\npresses = \"12x\"\n".to_owned(), 1, "presses"),
            (format!("{line}words = [\"a |\"]\n"), 1, "words"),
            (format!("{line}answers = false\nwords = [\"a\"]\n"), 1, "answers"),
            (format!("{line}stops_within_ms = 3\n"), 1, "interrupts_after_ms"),
            (format!("{line}interrupts_after_ms = 3\n"), 1, "first line"),
            (format!("{line}answers = false\n{line}interrupts_after_ms = 3\n"), 4, "nothing to interrupt"),
            (format!("{line}hangs_up = true\n{line}"), 4, "hung up"),
            (format!("{line}tools = [{{ name = \"a\", arguments = {{ b = 1 }} }}]\n"), 1, "not seen"),
            (format!("{line}[[tool]]\nname = \"hang_up\"\n"), 3, "hang_up"),
            (format!("{line}[[tool]]\nname = \"a b\"\n"), 3, "name"),
            (format!("{line}[[tool]]\nname = \"a\"\n[[tool]]\nname = \"a\"\n"), 5, "two tools"),
            (format!("{line}[[tool]]\nname = \"a\"\nparameters = {{ type = \"array\" }}\n"), 3, "schema"),
            (format!("{line}[[model]]\nwhen = \"a\"\n"), 3, "says, calls"),
            (format!("{line}[[model]]\nsays = \"a\"\nafter = \"b c\"\n"), 3, "after"),
        ] {
            let told = wrong(&text);
            assert!(told.starts_with(&format!("{at}: ")) && told.contains(why), "{text}\n{told}");
        }
    }

    #[test]
    fn a_persona_is_named_or_described_by_a_file() {
        let of = |persona: &str| {
            Script::parse(&format!("persona = {persona:?}\n[[line]]\nsays = \"Hello?\"\n")).unwrap().persona
        };
        assert_eq!(of("office"), Some(Who::Named("office".to_owned())));
        assert_eq!(of("../office.toml"), Some(Who::File(PathBuf::from("../office.toml"))));
    }

    #[test]
    fn a_recording_whose_words_nobody_wrote_is_found_where_it_must_be_answered() {
        let found = |more: &str| {
            let script = Script::parse(&format!("[[line]]\nplays = \"a.wav\"\n{more}\n")).unwrap();
            script.wordless().map(Path::to_owned)
        };
        assert_eq!(found(""), Some(PathBuf::from("a.wav")));
        assert_eq!(found("says = \"Hello?\""), None);
        assert_eq!(found("answers = false"), None, "a cough has no words");
    }

    proptest! {
        #[test]
        fn no_text_at_all_makes_it_panic(text in "\\PC{0,200}", cut in 0..WHOLE.len()) {
            let _ = Script::parse(&text);
            let whole: String = WHOLE.chars().take(cut).collect();
            let _ = Script::parse(&whole);
        }
    }
}
