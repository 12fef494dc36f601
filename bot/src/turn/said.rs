//! What a caller has said in the turn under way: settled words, and those of the utterance that is still heard.
//!
//! Pure and bounded: of a turn that is longer than any, the beginning is kept.

use asr::event::{self, Event, UtteranceId, Word};

/// The words of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    settled: String,
    /// The words so far of an utterance without its final.
    partial: String,
    /// An utterance that has begun and whose final is to come.
    open: Option<UtteranceId>,
    /// Words of this utterance that were settled or taken away while it went on: they come again with every revision.
    taken: Option<(UtteranceId, usize)>,
    /// The language of the last final that said one.
    language: Option<String>,
}

impl Said {
    /// Takes what the ears say; whether words changed.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        match event {
            Event::SpeechStarted { utterance, .. } => {
                self.keep_partial();
                self.open = Some(*utterance);
                false
            }
            Event::Partial { utterance, words, .. } => {
                self.open = Some(*utterance);
                let text = event::text(self.new_words(*utterance, words));
                let changed = text != self.partial;
                self.partial = text;
                changed
            }
            Event::Final { utterance, words, language, .. } => {
                if self.open.is_some_and(|open| open <= *utterance) {
                    self.open = None;
                }
                self.partial.clear();
                let text = event::text(self.new_words(*utterance, words));
                self.append(&text);
                if language.is_some() {
                    self.language.clone_from(language);
                }
                true
            }
            Event::SpeechEnded { .. } | Event::TurnEnded { .. } | Event::Lost { .. } => false,
        }
    }

    /// All words so far.
    pub(super) fn text(&self) -> String {
        match (self.settled.is_empty(), self.partial.is_empty()) {
            (_, true) => self.settled.clone(),
            (true, false) => self.partial.clone(),
            (false, false) => format!("{} {}", self.settled, self.partial),
        }
    }

    /// Whether there is a word.
    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.partial.is_empty()
    }

    /// Whether the recognizer still owes the words of an utterance.
    pub(super) fn is_owed(&self) -> bool {
        self.open.is_some()
    }

    /// The recognizer owes nothing any more: what it said so far counts.
    pub(super) fn keep_partial(&mut self) {
        self.remember_taken();
        self.open = None;
        let partial = std::mem::take(&mut self.partial);
        self.append(&partial);
    }

    /// The language of the last words that said one.
    pub(super) fn language(&self) -> Option<String> {
        self.language.clone()
    }

    /// Takes all words away, and their language; an utterance that is still heard stays open.
    pub(super) fn take(&mut self) -> String {
        let text = self.text();
        self.remember_taken();
        self.settled.clear();
        self.partial.clear();
        self.language = None;
        text
    }

    /// Puts words back that were taken away.
    pub(super) fn put_back(&mut self, text: &str) {
        self.append(text);
    }

    fn remember_taken(&mut self) {
        if let Some(open) = self.open
            && !self.partial.is_empty()
        {
            let before = self.taken.filter(|(taken, _)| *taken == open).map_or(0, |(_, words)| words);
            self.taken = Some((open, before + self.partial.split_whitespace().count()));
        }
    }

    fn new_words<'w>(&self, utterance: UtteranceId, words: &'w [Word]) -> &'w [Word] {
        let taken = self.taken.filter(|(taken, _)| *taken == utterance).map_or(0, |(_, words)| words);
        &words[taken.min(words.len())..]
    }

    fn append(&mut self, text: &str) {
        if text.is_empty() || self.settled.len() >= BYTES_MAX {
            return;
        }
        if !self.settled.is_empty() {
            self.settled.push(' ');
        }
        self.settled.push_str(text);
        let end = (0..=BYTES_MAX.min(self.settled.len())).rev().find(|at| self.settled.is_char_boundary(*at));
        self.settled.truncate(end.unwrap_or(0));
    }
}

/// Ten minutes of speech. A model reads no more with profit, and no caller may fill the memory.
const BYTES_MAX: usize = 12_000;
