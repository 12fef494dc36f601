//! What every voice offers: one sentence in, samples and the places of its words out.
//!
//! [`crate::espeak`] is a program beside this one, [`crate::piper`] a model, [`crate::remote`] companies across the
//! network; [`crate::fallback`] and [`crate::cast`] are made of others. A voice knows nothing of utterances, turns or
//! calls. It is called on `tts-N` threads, where it may block within its own time limit and allocate.

pub(crate) mod borrowed;
mod choice;
mod language;

use std::sync::atomic::AtomicBool;

pub use self::{
    choice::{Choice, Speaker, VoiceId, choose},
    language::{Language, Rules},
};
use crate::{
    remote::Trouble,
    sentence::SENTENCE_CHARS_MAX,
    utterance::{Emphasis, Prosody},
};

/// Whatever speaks. Shared by every worker thread.
pub trait Voice: Send + Sync {
    /// What speaks, for people, logs and caches.
    fn info(&self) -> &Info;

    /// Whether it can speak now, at the cost of looking for what it needs.
    ///
    /// # Errors
    /// [`Error::Missing`] with what to install.
    fn ready(&self) -> Result<(), Error>;

    /// Speaks one sentence and hands over what is made as soon as it is made. Returns when all of it was handed over.
    ///
    /// Where a word begins may be told after its samples, never after the sentence. `stop` is looked at at least
    /// every 50 ms; once it is set the answer is [`Error::Stopped`] and nothing more is handed over.
    ///
    /// # Errors
    /// [`Error`]; the voice stays usable, and the next sentence may work.
    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error>;
}

/// What a voice is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// `espeak-ng`.
    pub engine: &'static str,
    /// Sample rate of all that it makes.
    pub rate_hz: u32,
}

/// What a voice hands over while it speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Made<'a> {
    /// The next samples: mono f32 in [-1, 1] at [`Info::rate_hz`].
    Samples(&'a [f32]),
    /// A word begins.
    Word {
        /// Its place in [`Sentence::words`]; places only grow, and some may be left out.
        index: usize,
        /// The sample of the sentence at which it begins; never falls.
        at_sample: u64,
    },
    /// Another voice speaks from here on, in place of the one that should: the sentence is not to be remembered.
    Instead,
}

/// What is spoken in one go: a sentence or a clause, already in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence {
    /// Who says it. The language holds for words that name no other.
    pub voice: VoiceId,
    /// Its words, in order.
    pub words: Vec<Word>,
}

impl Sentence {
    /// Its words as they are read, with a space between them.
    pub fn spoken(&self) -> String {
        let mut text = String::new();
        for word in self.words.iter().filter(|word| !word.spoken.is_empty()) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word.spoken);
        }
        text
    }

    /// Refuses one that is longer than any of ours.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let chars = self.words.iter().map(|word| word.spoken.chars().count() + 1).sum();
        if chars > SENTENCE_CHARS_MAX {
            return Err(Error::TooLong { chars, max: SENTENCE_CHARS_MAX });
        }
        Ok(())
    }

    /// How fast it is said, as a factor: the mean over its words.
    pub fn rate(&self) -> f32 {
        let sum: f32 = self.words.iter().map(|word| word.how.prosody.rate).sum();
        if self.words.is_empty() { 1.0 } else { sum / self.words.len() as f32 }
    }
}

/// A word as written, with how it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// As it was written, without white space: what a transcript shows.
    pub written: String,
    /// As it is read: one or several words with their punctuation, or nothing. Plain text: a voice that reads markup
    /// must escape it.
    pub spoken: String,
    /// How it is said.
    pub how: How,
}

/// How a word is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct How {
    /// Speed, pitch, loudness.
    pub prosody: Prosody,
    /// Weight; nothing where none is marked.
    pub emphasis: Option<Emphasis>,
    /// Another language than the sentence's.
    pub language: Option<Language>,
    /// Its pronunciation in the International Phonetic Alphabet, for voices that read it.
    pub ipa: Option<String>,
}

/// Why a voice did not speak.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What it needs is not on this machine.
    #[error("{what} is not installed: {install}")]
    Missing {
        /// The program or file.
        what: String,
        /// What to do.
        install: String,
    },
    /// It failed on this sentence; the next may work.
    #[error("the voice failed: {0}")]
    Failed(String),
    /// It took longer than any sentence takes.
    #[error("the voice took longer than {0} ms for a sentence")]
    TimedOut(u64),
    /// A company across the network did not speak; it says whose fault that is.
    #[error(transparent)]
    Remote(#[from] Trouble),
    /// The sentence is longer than it takes.
    #[error("a sentence of {chars} characters; the voice takes {max}")]
    TooLong {
        /// How long it is.
        chars: usize,
        /// How long it may be.
        max: usize,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}
