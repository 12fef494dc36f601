//! What a stream of speech says about itself: the words of the border between ears and everybody else.
//!
//! All times are [`MediaTime`] on the stream's own timeline (its first sample is zero unless the stream was
//! opened elsewhere on a room's timeline).

use media::time::{MediaTime, Span};
use serde::Serialize;

use crate::diarize::VoiceId;

/// One utterance of one stream; counts up from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UtteranceId(pub u64);

/// One recognized word.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// As written, with its punctuation and capitals; never empty, no white space.
    pub text: String,
    /// When it was spoken. Spans of one final increase and never overlap.
    pub span: Span,
    /// How sure the recognizer is, 0..=1.
    pub confidence: f32,
}

/// Words one after another that one voice said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceRun {
    /// How many words; never nought.
    pub words: usize,
    /// Whose voice; `None` for one that is like nobody's yet.
    pub voice: Option<VoiceId>,
    /// How sure that is, 0..=1.
    pub confidence: f32,
}

/// Why a final was closed where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The speaker paused for as long as the stream's endpointing asks.
    Pause,
    /// Speech goes on; what is certain was handed over so that the window stays short.
    Length,
    /// The client asked for what there is.
    Finalize,
    /// The audio ended.
    End,
}

/// Why audio was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostWhy {
    /// The listener fell too far behind live audio and skipped ahead.
    Overload,
    /// The recognizer failed on it; the log says how.
    Recognizer,
}

/// What happened on a stream, in order.
///
/// Per utterance: `SpeechStarted`, any number of `Partial`s, one `Final`. An utterance cut by
/// [`Cut::Length`] is followed by one that begins without a `SpeechStarted`. `SpeechEnded` comes after the
/// `Final` of the last utterance of a stretch of speech. A `Final` may be empty when the sound was no speech.
/// A `TurnEnded` comes at most once a pause, before or after the `Final` that the pause brings, and never once
/// somebody has spoken again; only streams that ask for it have any, and only where its model is installed.
/// A stream that is told voices has its `Final`s up to 600 ms later than others, and what comes behind them too; a
/// `Relabelled` comes any time after the `Final` that it is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody began to speak.
    SpeechStarted {
        /// The utterance that begins.
        utterance: UtteranceId,
        /// Where the speech began (earlier than where it was noticed).
        at: MediaTime,
    },
    /// The words so far. The first `stable_words` never change in later revisions nor in the final.
    Partial {
        /// Which utterance.
        utterance: UtteranceId,
        /// Counts up from 1 within the utterance.
        revision: u32,
        /// How many of `words` are settled.
        stable_words: usize,
        /// All words so far.
        words: Vec<Word>,
        /// The audio they were heard in.
        span: Span,
    },
    /// The words of an utterance, settled.
    Final {
        /// Which utterance.
        utterance: UtteranceId,
        /// All its words; empty when the sound was no speech.
        words: Vec<Word>,
        /// The audio they were heard in.
        span: Span,
        /// Why it ends here.
        cut: Cut,
        /// The language as the recognizer knows it, such as `en`.
        language: Option<String>,
        /// Who said which of the words, in their order, as far as voices tell by now: the runs hold all words. Empty
        /// where voices are not told apart.
        voices: Vec<VoiceRun>,
    },
    /// What was said of the voices of an utterance was wrong, or too little was known of them: this replaces it.
    /// Comes any time after its `Final`, more than once if need be, also after the last of the audio.
    Relabelled {
        /// Which utterance.
        utterance: UtteranceId,
        /// As in its `Final`, for the same words.
        voices: Vec<VoiceRun>,
    },
    /// Nobody speaks any more.
    SpeechEnded {
        /// The utterance that ended.
        utterance: UtteranceId,
        /// Where the speech ended (earlier than where it was noticed).
        at: MediaTime,
    },
    /// Whoever spoke has paused, and this is how likely it is that they are done. Not a decision: the probability
    /// may be near nought.
    TurnEnded {
        /// The utterance that the pause is in, or that it ended.
        utterance: UtteranceId,
        /// 0..=1.
        probability: f32,
        /// Where the speech before the pause ended.
        at: MediaTime,
    },
    /// Audio went unheard; never silently.
    Lost {
        /// Which stretch.
        span: Span,
        /// Why.
        why: LostWhy,
    },
}

/// The words joined by single spaces.
pub fn text(words: &[Word]) -> String {
    let mut text = String::with_capacity(words.iter().map(|word| word.text.len() + 1).sum());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}
