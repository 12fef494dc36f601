//! Sentences: tokens of one speaker that belong together, and where a final is cut into them.

use std::ops::Range;

use asr::event::Cut;
use media::{id::ParticipantId, time::Span};

use super::{
    Evidence, Language,
    tokens::{Stop, Token},
};

/// Who said something, as far as known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Speaker {
    pub(super) participant: Option<ParticipantId>,
    pub(super) name: Option<String>,
}

impl Speaker {
    /// Whether both are certainly different people.
    pub(super) fn differs(&self, other: &Self) -> bool {
        match (self.participant, other.participant) {
            (Some(one), Some(two)) if one != two => true,
            _ => matches!((&self.name, &other.name), (Some(one), Some(two)) if one != two),
        }
    }

    /// Whether both may be taken for the same person.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.participant == other.participant && self.name == other.name
    }
}

/// One sentence; at least one token.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) speaker: Speaker,
    pub(super) language: Language,
    pub(super) tokens: Vec<Token>,
    /// Whether its recognizer writes punctuation at all.
    pub(super) punctuated: bool,
}

impl Sentence {
    /// Whether it ends in a question mark and is no statement with a tag ("I'll send it, okay?").
    pub(super) fn asks(&self) -> bool {
        let asks = self.tokens.last().is_some_and(|token| token.stop == Stop::Question);
        asks && !self.ends_in_tag()
    }

    fn ends_in_tag(&self) -> bool {
        let Some((_, before)) = self.tokens.split_last() else { return false };
        let Some(comma) = before.iter().rposition(|token| token.stop == Stop::Comma) else { return false };
        let tag = &self.tokens[comma + 1..];
        comma >= 2 && tag.len() <= 3 && tag.iter().all(|token| token.among(TAGS))
    }

    /// When `range` of its tokens was spoken, and where.
    pub(super) fn evidence(&self, range: &Range<usize>) -> Evidence {
        let first = &self.tokens[range.start];
        let last = &self.tokens[range.end.max(range.start + 1) - 1];
        Evidence {
            participant: self.speaker.participant,
            utterance: first.utterance,
            span: Span::new(first.span.start, last.span.end),
        }
    }

    /// The whole sentence as it was written.
    pub(super) fn text(&self) -> String {
        let mut text = render(&self.tokens);
        match self.tokens.last().map(|token| token.stop) {
            Some(Stop::Question) => text.push('?'),
            Some(Stop::End) => text.push('.'),
            _ => {}
        }
        text
    }
}

/// `tokens` as they were written, with their inner punctuation and a capital at the beginning.
pub(super) fn render<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> String {
    capitalised(&written(tokens))
}

/// `tokens` as they were written, with their inner punctuation.
pub(super) fn written<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> String {
    let mut text = String::new();
    let mut stop = Stop::None;
    for token in tokens {
        if token.text.is_empty() {
            stop = stop.max(token.stop);
            continue;
        }
        if !text.is_empty() {
            match stop {
                Stop::None | Stop::End | Stop::Question => {}
                Stop::Comma => text.push(','),
                Stop::Colon => text.push(':'),
            }
            text.push(' ');
        }
        text.push_str(&token.text);
        stop = token.stop;
    }
    text
}

/// `text` with an upper case first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Cuts the tokens of a final into sentences at its full stops and question marks.
pub(super) fn split(tokens: Vec<Token>) -> Vec<Vec<Token>> {
    let mut sentences = vec![Vec::new()];
    for token in tokens {
        let ends = token.stop >= Stop::End;
        sentences.last_mut().expect("there is always one").push(token);
        if ends {
            sentences.push(Vec::new());
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// Whether a sentence that a final breaks off after `tokens` goes on in the next final of its speaker.
pub(super) fn goes_on(tokens: &[Token], cut: Cut) -> bool {
    let Some(last) = tokens.last() else { return false };
    last.stop < Stop::End && (cut == Cut::Length || last.stop == Stop::Comma || last.among(DANGLING))
}

/// Words that end no sentence.
#[rustfmt::skip]
const DANGLING: &[&str] = &[
    "the", "a", "an", "my", "your", "our", "their", "to", "of", "for", "with", "by", "from", "and", "or", "but",
    "because", "if", "will", "would", "should", "could", "must", "need", "going", "until", "before", "next", "i",
    "we", "der", "die", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "mein", "meine", "unser",
    "unsere", "zum", "zur", "und", "oder", "aber", "weil", "dass", "wenn", "für", "bis", "ich", "wir", "werde",
    "muss", "müssen", "sollte", "nächste", "nächsten", "könntest", "kannst", "bitte",
];

/// What turns a statement into a question for approval.
#[rustfmt::skip]
const TAGS: &[&str] = &[
    "okay", "ok", "right", "yeah", "yes", "all", "alright", "is", "that", "fine", "good", "ja", "oder", "gut",
    "nicht", "wahr", "ne", "gell", "passt", "das", "so",
];
