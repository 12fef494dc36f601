//! `ConversationRelay`: what a caller says goes to an application as words, and words that come back are spoken.

use std::time::Duration;

use roxmltree::Node;

use super::{
    Reference,
    attributes::{Attributes, Notes},
    gather,
};
use crate::ivr::{notice::Code, private::Private};

/// Hands the words over to an application, both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Where: `ws` or `wss`.
    pub url: Reference,
    /// How it is spoken and listened.
    pub settings: RelaySettings,
    /// What the application is told at the start.
    pub parameters: Vec<(String, Private)>,
}

/// How an application of words speaks and listens.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaySettings {
    /// What is said first; nothing when empty.
    pub greeting: String,
    /// What of a caller interrupts it.
    pub greeting_interruptible: Disturbing,
    /// What of a caller interrupts everything else, where a message does not say.
    pub interruptible: Disturbing,
    /// Whether what is said gives way to what comes next, where a message does not say.
    pub preemptible: bool,
    /// What of a caller is told although what is said meanwhile cannot be interrupted by it.
    pub reported: Disturbing,
    /// The language that is spoken (`de-DE`); that of the voice where none is named.
    pub speaks: Option<String>,
    /// Who speaks it.
    pub voice: Option<String>,
    /// The language that is listened for, or none: whichever it turns out to be.
    pub hears: Option<String>,
    /// The languages that the application may change to.
    pub languages: Vec<RelayLanguage>,
    /// Words that are likely to come.
    pub hints: Vec<String>,
    /// Whether keys are told.
    pub keys: bool,
    /// How little speech interrupts.
    pub sensitivity: Sensitivity,
    /// The silence that ends what a caller says; none is as their words have it.
    pub speech_timeout: Option<Duration>,
    /// Whether words that may still change are told.
    pub partials: bool,
    /// Whether the application is told which sentences were heard, as they were.
    pub tells_played: bool,
}

/// A language that an application may change to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLanguage {
    /// `de-DE`.
    pub code: String,
    /// Who speaks it.
    pub voice: Option<String>,
    /// Words that are likely to come in it.
    pub hints: Vec<String>,
}

impl RelaySettings {
    /// Words that are likely to come while this language is listened for.
    pub fn hints_of(&self, language: Option<&str>) -> Vec<String> {
        let declared = self.languages.iter().filter(|own| language.is_some_and(|code| is_kin(&own.code, code)));
        self.hints.iter().chain(declared.flat_map(|own| &own.hints)).cloned().collect()
    }
}

/// Whether two codes name the same language, of whichever region: `de`, `de-DE`, `de-AT`.
pub(in crate::ivr) fn is_kin(one: &str, other: &str) -> bool {
    let base = |code: &str| code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    base(one) == base(other)
}

/// What of a caller disturbs what is said to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbing {
    /// Nothing.
    Nothing,
    /// Keys.
    Keys,
    /// Speech.
    Speech,
    /// Both.
    Anything,
}

/// How little speech interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// A word.
    High,
    /// Two words, or one that lasts.
    Medium,
    /// Half a sentence.
    Low,
}

impl Disturbing {
    /// What each word means; `true` and `false` are of the time before the others.
    pub const WORDS: [(&str, Self); 6] = [
        ("any", Self::Anything),
        ("speech", Self::Speech),
        ("dtmf", Self::Keys),
        ("none", Self::Nothing),
        ("true", Self::Anything),
        ("false", Self::Nothing),
    ];

    /// What a word means, if it means anything.
    pub fn read(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.trim())).map(|(_, what)| *what)
    }

    /// Whether keys do.
    pub fn by_keys(self) -> bool {
        matches!(self, Self::Keys | Self::Anything)
    }

    /// Whether speech does.
    pub fn by_speech(self) -> bool {
        matches!(self, Self::Speech | Self::Anything)
    }
}

/// What a language element, or the relay itself, says of engines that are chosen by the configuration here.
const ENGINES: [&str; 11] = [
    "ttsProvider",
    "transcriptionProvider",
    "speechModel",
    "elevenlabsTextNormalization",
    "elevenlabsLanguageTextNormalization",
    "ttsTextNormalization",
    "ttsLanguageTextNormalization",
    "deepgramSmartFormat",
    "asrSmartFormat",
    "profanityFilter",
    "backgroundNoiseReduction",
];

/// What is done here in any case: "mhm" and the agent's own words interrupt nobody, and words say when a turn is over.
const ALWAYS: [&str; 4] = ["ignoreBackchannel", "echoPromptFiltering", "turnDetection", "eagerEotThreshold"];

/// What is not there.
const MISSING: [&str; 6] = [
    "intelligenceService",
    "conversationConfiguration",
    "customerName",
    "includeInPrompt",
    "partialPromptOnHangup",
    "applicationReconnect",
];

/// The most languages and the most parameters: more than any application has.
const CHILDREN_MAX: usize = 64;

/// Reads `ConversationRelay`; `None` without an address.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Relay> {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&ENGINES);
    attributes.known(&ALWAYS);
    attributes.without_effect(&MISSING);
    let url = Reference(attributes.word("url").unwrap_or_default());
    let language = attributes.word("language");
    let mut settings = RelaySettings {
        greeting: attributes.word("welcomeGreeting").unwrap_or_default(),
        greeting_interruptible: disturbing(&mut attributes, "welcomeGreetingInterruptible", Disturbing::Anything),
        interruptible: disturbing(&mut attributes, "interruptible", Disturbing::Anything),
        preemptible: attributes.flag("preemptible", false),
        reported: disturbing(&mut attributes, "reportInputDuringAgentSpeech", Disturbing::Nothing),
        speaks: attributes.word("ttsLanguage").or_else(|| language.clone()),
        voice: attributes.word("voice"),
        hears: attributes.word("transcriptionLanguage").or(language),
        languages: Vec::new(),
        hints: gather::hints(&mut attributes),
        keys: attributes.flag("dtmfDetection", false),
        sensitivity: attributes.choice(
            "interruptSensitivity",
            Code::RELAY_PARAMETER,
            &[("high", Sensitivity::High), ("medium", Sensitivity::Medium), ("low", Sensitivity::Low)],
        ),
        speech_timeout: speech_timeout(&mut attributes),
        partials: attributes.flag("partialPrompts", false),
        tells_played: tells_played(&mut attributes),
    };
    if url.0.is_empty() {
        attributes.tell(Code::RELAY_PARAMETER, "a relay without a url; left out".to_owned());
    }
    attributes.done();
    let mut parameters = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Language" if settings.languages.len() < CHILDREN_MAX => {
                settings.languages.extend(spoken(child, notes));
            }
            "Parameter" if parameters.len() < CHILDREN_MAX => parameters.extend(parameter(child, notes)),
            _ => notes.tell(child, Code::SCHEMA, "does not belong into <ConversationRelay>, or one too many; left out"),
        }
    }
    (!url.0.is_empty()).then_some(Relay { url, settings, parameters })
}

fn disturbing(attributes: &mut Attributes<'_, '_, '_, '_>, name: &'static str, default: Disturbing) -> Disturbing {
    let mut table = Disturbing::WORDS;
    let at = table.iter().position(|(_, what)| *what == default).unwrap_or_default();
    table.swap(0, at);
    attributes.choice(name, Code::RELAY_PARAMETER, &table)
}

/// Whether what was played is among the events that are asked for: under `events`, or under `debug`, their name before that.
fn tells_played(attributes: &mut Attributes<'_, '_, '_, '_>) -> bool {
    let mut is_wanted = false;
    for name in ["events", "debug"] {
        let words = attributes.word(name).unwrap_or_default();
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            if word.eq_ignore_ascii_case("tokens-played") {
                is_wanted = true;
            } else {
                attributes.tell(Code::SCHEMA, format!("{name} other than tokens-played have no effect here"));
            }
        }
    }
    is_wanted
}

fn speech_timeout(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Duration> {
    let word = attributes.word("speechTimeout").filter(|word| !word.eq_ignore_ascii_case("auto"))?;
    let ms = word.parse().ok().filter(|ms: &u64| (100..=10_000).contains(ms));
    if ms.is_none() {
        let why = "speechTimeout is neither auto nor milliseconds from 100 to 10000; auto is taken";
        attributes.tell(Code::RELAY_PARAMETER, why.to_owned());
    }
    ms.map(Duration::from_millis)
}

fn spoken(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<RelayLanguage> {
    let mut attributes = Attributes::of(node, notes);
    attributes.known(&ENGINES);
    let (code, voice, hints) = (attributes.word("code"), attributes.word("voice"), gather::hints(&mut attributes));
    if code.is_none() {
        attributes.tell(Code::RELAY_PARAMETER, "a language without a code; left out".to_owned());
    }
    attributes.done();
    Some(RelayLanguage { code: code?, voice, hints })
}

fn parameter(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<(String, Private)> {
    let mut attributes = Attributes::of(node, notes);
    let (name, value) = (attributes.word("name"), attributes.text("value").map(str::to_owned));
    if name.is_none() || value.is_none() {
        attributes.tell(Code::RELAY_PARAMETER, "a parameter without a name or a value; left out".to_owned());
    }
    attributes.done();
    Some((name?, value?.into()))
}
