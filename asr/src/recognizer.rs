//! What every speech recognizer offers: weights shared by all, one decoder per worker thread.
//!
//! Two implementations: Whisper (whisper.cpp) and Moonshine (ONNX). A decoder is handed one window of speech
//! and answers with a hypothesis; it knows nothing of streams, partials or rooms. Called on `asr-N` threads,
//! where it may block and allocate.

use std::sync::atomic::AtomicBool;

/// Loaded weights, shared by every worker.
pub trait Recognizer: Send + Sync {
    /// What runs, for people, logs and `/v1/models`.
    fn info(&self) -> &Info;

    /// A decoder for one worker thread.
    ///
    /// # Errors
    /// When the model cannot be instantiated, usually for want of memory.
    fn decoder(&self) -> Result<Box<dyn Decoder>, Error>;
}

/// The state of one worker: decodes one window at a time.
pub trait Decoder: Send {
    /// Decodes one window of speech: 16 kHz mono f32 in [-1, 1], at most [`Info::window_max_s`] long.
    ///
    /// An empty hypothesis is an answer: nothing was said. `abort` is polled where the engine can; once it
    /// is set the result is [`Error::Aborted`].
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails on this window; the decoder stays usable.
    fn decode(&mut self, audio: &[f32], hints: &Hints, abort: &AtomicBool) -> Result<Hypothesis, Error>;
}

/// What a recognizer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// `whisper` or `moonshine`.
    pub engine: &'static str,
    /// The model's name as `harmony models list` shows it, such as `moonshine-tiny-en`.
    pub model: String,
    /// Languages it can be asked for (ISO 639-1); one entry means it knows no other.
    pub languages: Vec<String>,
    /// The longest window that it decodes well, in seconds.
    pub window_max_s: u32,
}

/// What the caller knows before listening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// ISO 639-1 code; `None` asks the engine to detect it where it can.
    pub language: Option<String>,
    /// Names and terms to expect; engines that cannot use them ignore them.
    pub keyterms: Vec<String>,
}

/// What one window was heard as. Times are seconds from the window's first sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    /// The words in order; spans increase, lie inside the window and never overlap.
    pub words: Vec<TimedWord>,
    /// The language heard (ISO 639-1), where the engine knows.
    pub language: Option<String>,
    /// How sure the engine is of the language, 0..=1; only where it was asked to find it out and says.
    pub language_probability: Option<f32>,
    /// Mean log-probability per token (natural log, at most 0), for guards.
    pub mean_logprob: f32,
    /// Probability that the window holds no speech, where the engine can tell soundly.
    pub no_speech: Option<f32>,
}

/// One word inside a window.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedWord {
    /// As written, with punctuation; no white space, never empty.
    pub text: String,
    /// Seconds from the window's first sample.
    pub start_s: f32,
    /// Seconds from the window's first sample, at least `start_s`.
    pub end_s: f32,
    /// 0..=1.
    pub confidence: f32,
}

/// Why a recognizer could not load or decode.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model's files are missing, cut, altered or of another kind: fetch them anew.
    #[error("{path}: {why}; `harmony models fetch` brings it anew")]
    Model {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The inference engine failed on this window; the next may work.
    #[error("the recognizer failed: {0}")]
    Engine(String),
    /// The caller asked to stop.
    #[error("decoding was stopped")]
    Aborted,
}
