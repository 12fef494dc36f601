//! What a caller has said in the turn under way: settled words, and those of the utterance that is still heard.
//!
//! Pure and bounded: of a turn that is longer than any, the beginning is kept.

use asr::event::{self, Event, UtteranceId, Word};

/// The words of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    settled: Vec<Word>,
    /// The words so far of an utterance without its final.
    partial: Vec<Word>,
    /// An utterance that has begun and whose final is to come.
    open: Option<UtteranceId>,
    /// Words of this utterance that were settled or taken away while it went on: they come again with every revision.
    taken: Option<(UtteranceId, usize)>,
    /// The language of the last final that said one.
    language: Option<String>,
}

impl Said {
    /// Takes what the ears say; whether words changed.
    pub fn hear(&mut self, event: &Event) -> bool {
        match event {
            Event::SpeechStarted { utterance, .. } => {
                self.keep_partial();
                self.open = Some(*utterance);
                false
            }
            Event::Partial { utterance, words, .. } => {
                self.open = Some(*utterance);
                let before = event::text(&self.partial);
                self.partial = self.new_words(*utterance, words);
                event::text(&self.partial) != before
            }
            Event::Final { utterance, words, language, .. } => {
                if self.open.is_some_and(|open| open <= *utterance) {
                    self.open = None;
                }
                self.partial.clear();
                let words = self.new_words(*utterance, words);
                self.append(words);
                if language.is_some() {
                    self.language.clone_from(language);
                }
                true
            }
            Event::SpeechEnded { .. } | Event::TurnEnded { .. } | Event::Relabelled { .. } | Event::Lost { .. } => {
                false
            }
        }
    }

    /// All words so far, with blanks between them.
    pub fn text(&self) -> String {
        event::text(&self.words())
    }

    /// All words so far.
    pub fn words(&self) -> Vec<Word> {
        self.settled.iter().chain(&self.partial).cloned().collect()
    }

    /// Whether there is a word.
    pub fn is_empty(&self) -> bool {
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
        self.append(partial);
    }

    /// The language of the last words that said one.
    pub(super) fn language(&self) -> Option<String> {
        self.language.clone()
    }

    /// Takes all words away, and their language; an utterance that is still heard stays open.
    pub fn take(&mut self) -> String {
        let text = self.text();
        self.remember_taken();
        self.settled.clear();
        self.partial.clear();
        self.language = None;
        text
    }

    /// Puts words back that were taken away.
    pub(super) fn put_back(&mut self, words: Vec<Word>) {
        self.append(words);
    }

    fn remember_taken(&mut self) {
        if let Some(open) = self.open
            && !self.partial.is_empty()
        {
            let before = self.taken.filter(|(taken, _)| *taken == open).map_or(0, |(_, words)| words);
            self.taken = Some((open, before + self.partial.len()));
        }
    }

    fn new_words(&self, utterance: UtteranceId, words: &[Word]) -> Vec<Word> {
        let taken = self.taken.filter(|(taken, _)| *taken == utterance).map_or(0, |(_, words)| words);
        words.iter().skip(taken).cloned().collect()
    }

    fn append(&mut self, words: Vec<Word>) {
        let mut bytes = self.settled.iter().map(|word| word.text.len() + 1).sum::<usize>();
        let fits = |word: &Word| {
            bytes += word.text.len() + 1;
            bytes <= BYTES_MAX
        };
        self.settled.extend(words.into_iter().take_while(fits));
    }
}

/// Ten minutes of speech. A model reads no more with profit, and no caller may fill the memory.
const BYTES_MAX: usize = 12_000;
