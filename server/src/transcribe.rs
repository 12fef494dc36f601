//! From a recording to its transcript: decode, hear, order, and let the brain find what is to be done.
//!
//! [`start`] opens the recording and gives back a [`Running`] that yields segments as they are recognized;
//! [`transcribe`] runs one to its end. A blocking thread decodes and feeds the ears ([`feed`]); everything
//! else happens on the caller's task. Memory does not grow with the recording but for its words, and for the voices
//! in it where they are told apart: the ears take 4 s ahead, then the decoder waits. Dropping a `Running` ends its
//! work.

mod feed;
mod outcome;
mod source;
mod voices;

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use asr::{
    event::{Event, LostWhy, UtteranceId, Word},
    pool::{Ears, Refused},
    recognizer::{Hints, Info},
};
use futures_util::{
    Stream, StreamExt,
    stream::{SelectAll, select_all, unfold},
};
use media::{decode::DecodeError, ears::Listen};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub use self::{
    source::Source,
    voices::{ByTime, Told, Voices},
};
use crate::transcript::{Segment, Speakers, Transcript};

/// What is to be transcribed, and how.
#[derive(Debug)]
pub struct Job {
    /// Where the bytes come from.
    pub source: Source,
    /// Language and terms to expect.
    pub hints: Hints,
    /// Whether channels are heard as one or each by itself.
    pub listen: Listen,
    /// Whether somebody asked who speaks.
    pub speakers: bool,
    /// What tells speakers apart who share a channel, for those who asked.
    pub voices: Voices,
    /// Silence that closes a segment, in milliseconds.
    pub endpointing_ms: u32,
    /// How fast the audio is handed over.
    pub pace: Pace,
    /// The day of the recording: "by Friday" counts from it.
    pub call_date: jiff::civil::Date,
}

/// How fast the audio is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it is taken; no partials.
    Full,
    /// One second a second, as a call would; with partials.
    Live,
}

impl Job {
    /// Channels heard as one, any language, no haste.
    pub fn new(source: Source, call_date: jiff::civil::Date) -> Self {
        Self {
            source,
            hints: Hints::default(),
            listen: Listen::Mixed,
            speakers: false,
            voices: Voices::Alike(NOTHING_TELLS.into()),
            endpointing_ms: 500,
            pace: Pace::Full,
            call_date,
        }
    }
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError {
    /// The file is missing, a directory, or not ours to read.
    #[error("cannot open it: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The bytes are no audio that can be decoded: another file may do.
    #[error(transparent)]
    Media(#[from] DecodeError),
    /// The container is sound and holds not one sample.
    #[error("it holds no audio")]
    Silent,
    /// The recognizer does not know the language that was asked for.
    #[error(
        "{engine} does not know the language '{language}', only {known}; a Whisper model knows more: `harmony models fetch whisper-base`"
    )]
    Language {
        /// Model that runs.
        engine: String,
        /// What was asked for.
        language: String,
        /// What it knows.
        known: String,
    },
    /// Every place at the ears is taken, or the recording has more channels than there are places: try later.
    #[error("{0}")]
    Full(Refused),
    /// The ears are shutting down.
    #[error("the recognizer is shutting down")]
    Closing,
}

impl TranscribeError {
    /// Whether the recording or the wish is at fault rather than this server.
    pub fn is_senders(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Silent | Self::Language { .. } => true,
            Self::Media(error) => !matches!(error, DecodeError::Fault { .. } | DecodeError::Read(_)),
            Self::Full(_) | Self::Closing => false,
        }
    }
}

/// What a [`Running`] yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// How much of the recording has been handed to the ears, 0..=1; only where its length is known.
    Progress(f64),
    /// The words so far of the utterance on this lane; only at [`Pace::Live`].
    Partial {
        /// Which lane.
        lane: usize,
        /// Which utterance of the lane.
        utterance: UtteranceId,
        /// How many of the words are settled.
        stable_words: usize,
        /// All words so far.
        words: Vec<Word>,
    },
    /// A finished utterance, in order within its lane.
    Segment(Segment),
    /// Everything; nothing follows.
    Done(Box<Transcript>),
}

/// The events of one lane, each with the lane's index.
type LaneEvents = Pin<Box<dyn Stream<Item = (usize, Event)> + Send>>;

/// A transcription under way.
pub struct Running {
    heard: SelectAll<LaneEvents>,
    progress: Option<watch::Receiver<f64>>,
    feeder: Option<JoinHandle<feed::Fed>>,
    began: Instant,
    collected: outcome::Collected,
    // Dropped with the rest: the feeder waits on its other end while it paces.
    _alive: std::sync::mpsc::SyncSender<()>,
}

/// Opens the recording and starts to hear it.
///
/// # Errors
/// When the recording cannot be opened or decoded at all, the language is unknown, or the ears are full.
pub async fn start(ears: &Ears, job: Job) -> Result<Running, TranscribeError> {
    check_language(ears.info(), &job.hints)?;
    let (opened, opening) = oneshot::channel();
    let (progress_to, progress) = watch::channel(0.0);
    // Nothing is ever sent: the feeder only notices that the sender is gone.
    let (alive, gone) = std::sync::mpsc::sync_channel(0);
    let collected = outcome::Collected::new(ears.info().clone(), &job);
    let feeder = {
        let ears = ears.clone();
        tokio::task::spawn_blocking(move || feed::run(&ears, job, opened, &progress_to, &gone))
    };
    // The feeder either opens the streams or says why not; it goes without a word only if it panicked.
    let opened = match opening.await {
        Ok(opened) => opened?,
        Err(_) => {
            return Err(feeder
                .await
                .map_or(TranscribeError::Closing, |fed| fed.failed.unwrap_or(TranscribeError::Closing)));
        }
    };
    let lanes = opened.streams.len();
    let heard = select_all(opened.streams.into_iter().enumerate().map(|(lane, events)| {
        unfold(events, move |mut events| async move { events.next().await.map(|event| ((lane, event), events)) })
            .boxed()
    }));
    Ok(Running {
        heard,
        progress: Some(progress),
        feeder: Some(feeder),
        began: opened.at,
        collected: collected.with_lanes(lanes, opened.channels, opened.voices),
        _alive: alive,
    })
}

impl Running {
    /// When the first sample was handed to the ears; what is heard at `t` was spoken at this instant plus `t`
    /// at [`Pace::Live`].
    pub fn began(&self) -> Instant {
        self.began
    }

    /// How many lanes are heard.
    pub fn lanes(&self) -> usize {
        self.collected.lanes()
    }

    /// Who the lanes are. Where voices are told apart that is known at the end alone.
    pub fn speakers(&self) -> Speakers {
        self.collected.speakers()
    }

    /// Whether voices are told apart: then the transcript at the end has other lanes than the segments before it.
    pub fn tells_voices(&self) -> bool {
        self.collected.tells_voices()
    }

    /// What comes next; `None` after [`Update::Done`] or an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Update, TranscribeError>> {
        loop {
            tokio::select! {
                biased;
                heard = self.heard.next() => match heard {
                    Some((lane, event)) => {
                        if let Some(update) = self.on_event(lane, event) {
                            return Some(Ok(update));
                        }
                    }
                    None => return self.end().await,
                },
                fraction = changed(&mut self.progress) => match fraction {
                    Some(fraction) => return Some(Ok(Update::Progress(fraction))),
                    None => self.progress = None,
                },
            }
        }
    }

    fn on_event(&mut self, lane: usize, event: Event) -> Option<Update> {
        match event {
            Event::Partial { utterance, stable_words, words, .. } => {
                Some(Update::Partial { lane, utterance, stable_words, words })
            }
            Event::Final { utterance, words, span, cut, language, .. } => {
                if words.is_empty() {
                    return None;
                }
                let segment = Segment { lane, utterance, words, span, cut, language };
                self.collected.segment(segment.clone());
                Some(Update::Segment(segment))
            }
            Event::Lost { span, why } => {
                self.collected.lost(span.duration(), why);
                None
            }
            Event::SpeechStarted { .. }
            | Event::SpeechEnded { .. }
            | Event::TurnEnded { .. }
            | Event::Relabelled { .. } => None,
        }
    }

    /// Every stream has ended: because all was fed, or because feeding failed.
    async fn end(&mut self) -> Option<Result<Update, TranscribeError>> {
        let fed = match self.feeder.as_mut()?.await {
            Ok(fed) => fed,
            Err(_) => feed::Fed { failed: Some(TranscribeError::Closing), ..feed::Fed::default() },
        };
        self.feeder = None;
        Some(self.collected.finish(fed).map(|transcript| Update::Done(Box::new(transcript))))
    }
}

/// Runs a job to its end, telling its progress (0..=1) on the way.
///
/// # Errors
/// As [`start`], or when the recognizer shuts down in the middle.
pub async fn transcribe(ears: &Ears, job: Job, mut progress: impl FnMut(f64)) -> Result<Transcript, TranscribeError> {
    let mut running = start(ears, job).await?;
    while let Some(update) = running.next().await {
        match update? {
            Update::Progress(fraction) => progress(fraction),
            Update::Partial { .. } | Update::Segment(_) => {}
            Update::Done(transcript) => return Ok(*transcript),
        }
    }
    Err(TranscribeError::Closing)
}

/// Says early that the recognizer does not know the language that is asked for.
///
/// # Errors
/// [`TranscribeError::Language`].
pub fn check_language(engine: &Info, hints: &Hints) -> Result<(), TranscribeError> {
    match &hints.language {
        Some(language) if !engine.languages.contains(language) => Err(TranscribeError::Language {
            engine: engine.model.clone(),
            language: language.clone(),
            known: engine.languages.join(", "),
        }),
        _ => Ok(()),
    }
}

/// The next progress; `None` once the feeder is done. Waits for ever where there is none to come.
async fn changed(progress: &mut Option<watch::Receiver<f64>>) -> Option<f64> {
    match progress {
        Some(receiver) => {
            receiver.changed().await.ok()?;
            Some(*receiver.borrow_and_update())
        }
        None => std::future::pending().await,
    }
}

/// Why nobody is told apart by voice unless a caller brings what does.
const NOTHING_TELLS: &str = "nothing was brought that does it";

/// In words for people.
fn why_lost(why: LostWhy) -> &'static str {
    match why {
        LostWhy::Overload => "the recognizer could not keep up",
        LostWhy::Recognizer => "the recognizer failed on it",
    }
}

/// `1:02:03.4` for messages.
fn readable(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    let (hours, minutes, seconds) = (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}.{}", tenths % 10),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{}", tenths % 10),
    }
}
