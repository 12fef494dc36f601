//! `Gather`: keys or words of the caller, and what is played while they think.

use std::time::Duration;

use roxmltree::Node;

use super::{
    Link, Play, Say,
    attributes::{Attributes, Notes, name_of},
    verb,
};
use crate::ivr::{
    key::{Key, KeySet},
    notice::Code,
    webhook::Method,
};

/// Waits for keys or words.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Whether keys count.
    pub keys: bool,
    /// Whether words count.
    pub speech: bool,
    /// Who is told what came in; the document itself when nobody is named.
    pub action: Option<super::Reference>,
    /// How they are asked.
    pub method: Method,
    /// How long is waited for the first key or word, and for each key after the first.
    pub timeout: Duration,
    /// How long the caller may pause before their sentence is over.
    pub speech_timeout: SpeechTimeout,
    /// How long they may speak.
    pub max_speech: Duration,
    /// The key that ends the input and is none of it.
    pub finish_on: Option<Key>,
    /// After how many keys the input is whole.
    pub num_digits: Option<usize>,
    /// Words that are likely to come.
    pub hints: Vec<String>,
    /// The language that is spoken (`de-DE`); `multi` is whichever it turns out to be.
    pub language: Option<String>,
    /// Whether keys and words silence what is played.
    pub barge_in: bool,
    /// Who is told words that may still change.
    pub partial_results: Option<Link>,
    /// Whether `action` is asked when nothing came in.
    pub action_on_empty_result: bool,
    /// What keys and words mean. Ours: sent as the parameter `Choice`, so that a file can go on without a program.
    pub choices: Vec<Choice>,
    /// What is played meanwhile.
    pub prompts: Vec<Prompt>,
}

/// When a sentence is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechTimeout {
    /// When the recognizer thinks so.
    Auto,
    /// After this long a pause.
    After(Duration),
}

/// One thing that a caller may choose: `choices="de = 1, Deutsch, German; en = 2, English, Englisch"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name, as the parameter `Choice` tells it; chooses it as well.
    pub name: String,
    /// Keys that choose it when they are all that was typed, and words that choose it wherever they stand in a sentence;
    /// in small letters.
    pub words: Vec<String>,
}

/// What is played while input is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Words.
    Say(Say),
    /// A file, or keys.
    Play(Play),
    /// Silence.
    Pause(Duration),
}

/// Reads `Gather`. `debug`, `enhanced`, `profanityFilter` and `speechModel` are taken and without effect: there is one
/// model, and its words are told as they were heard.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Gather {
    let mut attributes = Attributes::of(node, notes);
    let (keys, speech) = input(&mut attributes);
    let timeout = attributes.seconds("timeout", Code::GATHER_TIMEOUT, 1..=600, 5);
    let speech_timeout = speech_timeout(&mut attributes, timeout);
    let partial_method = attributes.method("partialResultCallbackMethod");
    let num_digits = attributes.whole("numDigits", Code::GATHER_NUM_DIGITS, 1..=1_000, 0);
    attributes.known(&["debug", "enhanced", "profanityFilter", "speechModel"]);
    let mut gather = Gather {
        keys,
        speech,
        action: attributes.reference("action"),
        method: attributes.method("method"),
        timeout,
        speech_timeout,
        max_speech: attributes.seconds("maxSpeechTime", Code::GATHER_MAX_SPEECH_TIME, 1..=600, 60),
        finish_on: finish_on(&mut attributes),
        num_digits: (num_digits > 0).then_some(num_digits as usize),
        hints: hints(&mut attributes),
        language: attributes.word("language"),
        barge_in: attributes.flag("bargeIn", true),
        partial_results: attributes.reference("partialResultCallback").map(|to| Link { to, method: partial_method }),
        action_on_empty_result: attributes.flag("actionOnEmptyResult", false),
        choices: choices(&mut attributes),
        prompts: Vec::new(),
    };
    attributes.done();
    gather.prompts = prompts(node, notes);
    gather
}

fn input(attributes: &mut Attributes<'_, '_, '_, '_>) -> (bool, bool) {
    let Some(text) = attributes.word("input") else { return (true, false) };
    let (mut keys, mut speech, mut is_known) = (false, false, true);
    for word in text.split_whitespace() {
        match word {
            "dtmf" => keys = true,
            "speech" => speech = true,
            _ => is_known = false,
        }
    }
    if !is_known {
        attributes.tell(Code::SCHEMA, "input is none of dtmf, speech, dtmf speech".to_owned());
    }
    if keys || speech { (keys, speech) } else { (true, false) }
}

fn speech_timeout(attributes: &mut Attributes<'_, '_, '_, '_>, timeout: Duration) -> SpeechTimeout {
    match attributes.text("speechTimeout").map(str::trim) {
        None => SpeechTimeout::After(timeout),
        Some("auto") => SpeechTimeout::Auto,
        Some(_) => {
            let default_s = timeout.as_secs() as u32;
            let after = attributes.seconds("speechTimeout", Code::GATHER_SPEECH_TIMEOUT, 1..=600, default_s);
            SpeechTimeout::After(after)
        }
    }
}

fn finish_on(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Key> {
    let Some(text) = attributes.text("finishOnKey").map(str::trim) else { return Some(Key::POUND) };
    let mut signs = text.chars();
    match (signs.next(), signs.next()) {
        (None, _) => None,
        (Some(sign), None) if KeySet::from_text(text).is_some() => Key::from_char(sign),
        _ => {
            attributes.tell(Code::GATHER_FINISH_ON_KEY, "finishOnKey is no single key; # is taken".to_owned());
            Some(Key::POUND)
        }
    }
}

/// Hints are parted by commas. The vendor takes 500 of them with 100 signs each.
pub(super) fn hints(attributes: &mut Attributes<'_, '_, '_, '_>) -> Vec<String> {
    let hints = attributes.text("hints").unwrap_or_default().split(',').map(str::trim);
    hints.filter(|hint| !hint.is_empty() && hint.chars().count() <= 100).take(500).map(str::to_owned).collect()
}

fn choices(attributes: &mut Attributes<'_, '_, '_, '_>) -> Vec<Choice> {
    let text = attributes.text("choices").unwrap_or_default();
    let mut choices = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()).take(64) {
        let (name, words) = part.split_once('=').unwrap_or((part, ""));
        let words = words.split(',').map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty());
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|sign| sign.is_ascii_alphanumeric() || "*#-_".contains(sign)) {
            attributes.tell(Code::SCHEMA, "a choice is named by letters, digits, *, #, - or _; left out".to_owned());
            continue;
        }
        choices.push(Choice { name: name.to_owned(), words: words.collect() });
    }
    choices
}

fn prompts(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Vec<Prompt> {
    let mut prompts = Vec::new();
    for child in node.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "Say" => prompts.push(Prompt::Say(super::speech::read(child, notes))),
            "Play" => prompts.extend(verb::play(child, notes).map(Prompt::Play)),
            "Pause" => prompts.push(Prompt::Pause(verb::pause(child, notes))),
            _ => {
                let name = name_of(child);
                let text = format!("<{name}> may not stand in <Gather>, which takes Say, Play and Pause; left out");
                notes.tell(child, Code::GATHER_NESTED, text);
            }
        }
    }
    prompts
}
