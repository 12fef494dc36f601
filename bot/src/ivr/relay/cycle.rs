//! One thing that an application lets the caller hear: an answer that comes token by token, a file, or keys.
//!
//! Pure. An answer is cut into what can be said in one go ([`Splitter`]); what the voice has and what of it was heard
//! is kept, so that an interruption can say how far the caller came. What was never spoken does not count as heard.

use std::{collections::VecDeque, time::Duration};

use media::time::MediaTime;
use tts::voice::Language;
use url::Url;

use crate::{
    agent::reply::Splitter,
    ivr::{
        key::Tone,
        twiml::{Disturbing, Times},
    },
};

/// Sentences that the voice has at once: the next is made while one is heard.
const AHEAD: usize = 8;

/// An application whose tokens stop without a last one is not waited for any longer: what is there is said.
const STALLED: Duration = Duration::from_millis(800);

/// Who speaks, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tongue {
    /// The language (`de-DE`); that of the voice where none is named.
    pub language: Option<String>,
    /// The voice, as the application calls it.
    pub voice: Option<String>,
}

/// One thing that is heard, or waits for it.
pub(super) struct Cycle {
    /// Counts up within a relay.
    pub(super) turn: u64,
    pub(super) interruptible: Disturbing,
    pub(super) preemptible: bool,
    /// When the caller heard the first of it.
    pub(super) began: Option<MediaTime>,
    pub(super) what: What,
}

pub(super) enum What {
    Answer(Answer),
    File { url: Url, times: Times, is_begun: bool },
    Keys { tones: Vec<Tone>, is_begun: bool },
}

/// An answer that is spoken.
pub(super) struct Answer {
    splitter: Splitter,
    tongue: Tongue,
    waiting: VecDeque<Sentence>,
    /// What the voice has.
    sent: VecDeque<Sentence>,
    last_number: u64,
    /// What was heard to its end.
    heard: String,
    /// How many words of the sentence that is heard.
    words: usize,
    is_whole: bool,
    /// Whether something may be left that is not cut yet, and since when nothing came.
    rest_since: Option<MediaTime>,
}

/// What is said in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) tongue: Tongue,
}

impl Cycle {
    /// What of it was heard.
    pub(super) fn heard(&self) -> String {
        match &self.what {
            What::Answer(answer) => answer.heard(),
            What::File { .. } | What::Keys { .. } => String::new(),
        }
    }

    /// The answer that it is, if it is one.
    pub(super) fn answer(&mut self) -> Option<&mut Answer> {
        match &mut self.what {
            What::Answer(answer) => Some(answer),
            What::File { .. } | What::Keys { .. } => None,
        }
    }
}

impl Answer {
    pub(super) fn new(tongue: Tongue) -> Self {
        Self {
            splitter: splitter(&tongue),
            tongue,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            last_number: 0,
            heard: String::new(),
            words: 0,
            is_whole: false,
            rest_since: None,
        }
    }

    /// Takes a token; another tongue begins a sentence of its own.
    pub(super) fn push(&mut self, token: &str, tongue: &Tongue, now: MediaTime) {
        if self.tongue != *tongue {
            self.finish();
            self.splitter = splitter(tongue);
            self.tongue = tongue.clone();
        }
        if !token.is_empty() {
            let pieces = self.splitter.push(token);
            self.rest_since = Some(now);
            self.wait(pieces);
        }
    }

    /// No more of it comes.
    pub(super) fn end(&mut self) {
        self.is_whole = true;
        self.finish();
    }

    /// Whether more of it may come.
    pub(super) fn is_open(&self) -> bool {
        !self.is_whole
    }

    /// Whether all of it was heard, as far as anybody knows.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty() && self.rest_since.is_none()
    }

    /// Bytes that the voice does not have yet.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|sentence| sentence.text.len()).sum()
    }

    /// When what is left is said although no last token came.
    pub(super) fn due(&self) -> Option<MediaTime> {
        self.rest_since.map(|since| since + STALLED)
    }

    /// Says what is left when that is due.
    pub(super) fn tick(&mut self, now: MediaTime) {
        if self.due().is_some_and(|due| due <= now) {
            self.finish();
        }
    }

    /// The next sentence for the voice, if it is to have one.
    pub(super) fn send(&mut self) -> Option<Sentence> {
        if self.sent.len() >= AHEAD {
            return None;
        }
        let sentence = self.waiting.pop_front()?;
        self.sent.push_back(sentence.clone());
        Some(sentence)
    }

    /// A sentence begins to be heard; its words.
    pub(super) fn began(&self, number: u64) -> Option<&str> {
        self.sent.iter().find(|sentence| sentence.number == number).map(|sentence| sentence.text.as_str())
    }

    /// So many words of a sentence were heard.
    pub(super) fn words(&mut self, number: u64, words: usize) {
        if self.sent.front().is_some_and(|sentence| sentence.number == number) {
            self.words = words;
        }
    }

    /// A sentence was heard to its end, and so were those before it whose ends were not told; what that adds.
    pub(super) fn played(&mut self, number: u64) -> String {
        let mut played = String::new();
        while let Some(sentence) = self.sent.pop_front_if(|sentence| sentence.number <= number) {
            append(&mut self.heard, &sentence.text);
            append(&mut played, &sentence.text);
            self.words = 0;
        }
        played
    }

    /// A sentence is not spoken.
    pub(super) fn not_spoken(&mut self, number: u64) {
        // One that is made ahead may fail while another is heard.
        if self.sent.front().is_some_and(|sentence| sentence.number == number) {
            self.words = 0;
        }
        self.sent.retain(|sentence| sentence.number != number);
    }

    fn heard(&self) -> String {
        let mut heard = self.heard.clone();
        if let Some(sentence) = self.sent.front() {
            let words: Vec<&str> = sentence.text.split_whitespace().take(self.words).collect();
            append(&mut heard, &words.join(" "));
        }
        heard
    }

    fn finish(&mut self) {
        let pieces = self.splitter.finish();
        self.rest_since = None;
        self.wait(pieces);
    }

    fn wait(&mut self, pieces: Vec<String>) {
        for text in pieces {
            self.last_number += 1;
            self.waiting.push_back(Sentence { number: self.last_number, text, tongue: self.tongue.clone() });
        }
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

fn splitter(tongue: &Tongue) -> Splitter {
    let language = tongue.language.as_deref().and_then(Language::nearest);
    Splitter::new(language.map_or(Language::ENGLISH_US, |(language, _)| language))
}
