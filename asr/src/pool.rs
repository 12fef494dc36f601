//! The ears of the process: one voice-activity thread, a fixed number of decoders and one thread that tells voices
//! apart, for every stream.
//!
//! Thin shell around [`crate::listener`]: it owns the threads (`ears`, `asr-N`, `voices`), the queues and the clock,
//! and decides nothing but whose turn it is. Crossings: writer → `ears` holds 4 s a stream, a full one makes the
//! writer wait; `ears` → workers is one place a stream, the earliest due first; worker → reader holds 256
//! events, a newer partial replaces an unread one of the same utterance, and a reader that lets it fill up
//! stops its own stream, whose writer then waits. Nothing of one stream is ever waited for by another.
//! `ears` → `voices` holds 4 s a stream: what does not fit is heard as silence, but a file's writer waits. Words of a
//! stream that asks for voices wait for them in [`held`], 600 ms at most while it is live.

mod backlog;
mod cell;
mod ears;
mod held;
pub mod journal;
pub mod replay;
mod voices;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use media::{frame::EAR_HZ, journal::Journal, time::MediaTime};
use tokio::sync::Notify;

use self::cell::{Cell, INBOX_SAMPLES};
use crate::{
    diarize::{Diarization, live},
    event::Event,
    recognizer::{Error, Hints, Info, Recognizer},
    turn,
    vad::silero::Silero,
};

/// How many threads listen, and how much they take on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decoder threads; workers × threads per decoder never exceed the cores.
    pub workers: usize,
    /// Streams open at once; one more is refused with [`Refused::Full`].
    pub streams_max: usize,
}

/// What one stream wants.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Language and key terms.
    pub hints: Hints,
    /// Whether partial results are wanted; without them a stream costs one decode per utterance.
    pub partials: bool,
    /// Silence that closes an utterance, in milliseconds (clamped to 192..=10 000).
    pub endpointing_ms: u32,
    /// Where the stream's first sample lies on its room's timeline.
    pub starts_at: MediaTime,
    /// Whether somebody waits for the words as they are spoken (a call) or for the whole (a file).
    pub live: bool,
    /// Milliseconds of silence after which a live stream wants to know whether the speaker is done
    /// ([`Event::TurnEnded`]); clamped to 96..=10 000, and asked at the latest when the utterance ends. 200 is
    /// what the model learned from. `None` never asks, as when the ears have no model for it
    /// ([`Ears::scores_turns`]).
    pub turn_after_ms: Option<u32>,
    /// Whether it is told whose voice says what ([`Event::Final`] has it, [`Event::Relabelled`] puts it right).
    /// `None` tells nothing of voices, as when the ears cannot tell them ([`Ears::tells_voices`]). A `Final` of a live
    /// stream waits for that 600 ms at most, and what comes behind it waits with it: all but a `TurnEnded` that is
    /// about its own pause. Whoever begins to speak ends the wait.
    pub diarization: Option<Diarization>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            hints: Hints::default(),
            partials: true,
            endpointing_ms: 300,
            starts_at: MediaTime::ZERO,
            live: true,
            turn_after_ms: None,
            diarization: None,
        }
    }
}

/// Why a stream was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every place is taken; try again later.
    #[error("all {0} streams are taken")]
    Full(usize),
    /// The ears are shutting down.
    #[error("the recognizer is shutting down")]
    Closing,
}

/// The stream is gone: the ears shut down or its events were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

/// What the ears are doing, for metrics and admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Streams open now.
    pub streams: usize,
    /// Streams that may be open.
    pub streams_max: usize,
    /// Streams that wait for a decoder now.
    pub waiting: usize,
    /// Partials that were due and not made because the decoders were busy, since the start.
    pub partials_dropped: u64,
    /// Utterances whose words were given up, since the start.
    pub lost: u64,
}

/// What ears can tell besides words.
pub struct Senses {
    /// Says whether somebody who pauses is done.
    pub turn: Option<turn::Model>,
    /// Tells voices apart, or why nothing does, for whoever asks the server.
    pub voices: Result<live::Models, String>,
}

/// Everything that listens. Cheap to clone; dropping the last clone stops the threads and ends every stream.
#[derive(Clone)]
pub struct Ears {
    shared: Arc<Shared>,
    _stop: Arc<Stop>,
}

/// What the threads share.
struct Shared {
    info: Info,
    options: Options,
    /// Scores pauses; without it nobody's are.
    turn: Option<turn::Model>,
    /// The line for `voices`; without it nobody is told of voices.
    voices: Option<voices::Line>,
    /// Why there is none.
    no_voices: Option<String>,
    ready: ears::Ready,
    wanted: worker::Wanted,
    closing: AtomicBool,
    /// Wakes whoever waits for a stream when the ears stop.
    stopped: Notify,
    streams: AtomicUsize,
    next_stream: AtomicU64,
    partials_dropped: AtomicU64,
    lost: AtomicU64,
}

struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::SeqCst);
        self.0.ready.wake_all();
        self.0.wanted.wake_all();
        if let Some(line) = &self.0.voices {
            line.wake_all();
        }
        self.0.stopped.notify_waiters();
    }
}

impl Ears {
    /// Starts the threads; no stream is told when a turn has ended.
    ///
    /// # Errors
    /// When a decoder cannot be instantiated or a thread cannot be started.
    pub fn start(recognizer: Arc<dyn Recognizer>, silero: Silero, options: Options) -> Result<Self, Error> {
        Self::start_with_turns(recognizer, silero, None, options)
    }

    /// The same; with a model, streams that ask are told when a turn has ended.
    ///
    /// # Errors
    /// When a decoder cannot be instantiated or a thread cannot be started.
    pub fn start_with_turns(
        recognizer: Arc<dyn Recognizer>,
        silero: Silero,
        turn: Option<turn::Model>,
        options: Options,
    ) -> Result<Self, Error> {
        let senses = Senses { turn, voices: Err("these ears have no model for voices".to_owned()) };
        Self::start_with(recognizer, silero, senses, options)
    }

    /// The same; streams that ask are told what the ears have senses for.
    ///
    /// # Errors
    /// When a decoder cannot be instantiated or a thread cannot be started.
    pub fn start_with(
        recognizer: Arc<dyn Recognizer>,
        silero: Silero,
        senses: Senses,
        options: Options,
    ) -> Result<Self, Error> {
        let Senses { turn, voices } = senses;
        let (voices, no_voices) = match voices {
            Ok(models) => (Some(models), None),
            Err(why) => (None, Some(why)),
        };
        let shared = Arc::new(Shared {
            info: recognizer.info().clone(),
            options: Options { workers: options.workers.max(1), ..options },
            turn,
            voices: voices.as_ref().map(|_| voices::Line::default()),
            no_voices,
            ready: ears::Ready::default(),
            wanted: worker::Wanted::default(),
            closing: AtomicBool::new(false),
            stopped: Notify::new(),
            streams: AtomicUsize::new(0),
            next_stream: AtomicU64::new(0),
            partials_dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let stop = Arc::new(Stop(shared.clone()));
        for index in 0..shared.options.workers {
            let decoder = recognizer.decoder()?;
            let (shared, recognizer) = (shared.clone(), recognizer.clone());
            spawn(format!("asr-{index}"), move || worker::run(&shared, recognizer.as_ref(), decoder))?;
        }
        let of_ears = shared.clone();
        spawn("ears".to_owned(), move || ears::run(&of_ears, silero))?;
        if let Some(models) = voices {
            let of_voices = shared.clone();
            spawn("voices".to_owned(), move || voices::run(&of_voices, models))?;
        }
        Ok(Self { shared, _stop: stop })
    }

    /// What recognizes.
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Whether streams that ask are told when a turn has ended.
    pub fn scores_turns(&self) -> bool {
        self.shared.turn.is_some()
    }

    /// Whether streams that ask are told whose voice says what.
    pub fn tells_voices(&self) -> bool {
        self.shared.voices.is_some()
    }

    /// Why streams are not told whose voice says what; `None` when they are.
    pub fn no_voices(&self) -> Option<&str> {
        self.shared.no_voices.as_deref()
    }

    /// What is going on now.
    pub fn stats(&self) -> Stats {
        Stats {
            streams: self.shared.streams.load(Ordering::Relaxed),
            streams_max: self.shared.options.streams_max,
            waiting: self.shared.wanted.len(),
            partials_dropped: self.shared.partials_dropped.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`Refused`] when full or closing; nothing was taken.
    pub fn open(&self, config: StreamConfig) -> Result<(StreamInput, StreamEvents), Refused> {
        self.open_noted(config, None)
    }

    /// The same; what the stream takes in is noted in `journal`, so that it can be heard again.
    ///
    /// # Errors
    /// [`Refused`] when full or closing; nothing was taken.
    pub fn open_noted(
        &self,
        config: StreamConfig,
        journal: Option<&Journal>,
    ) -> Result<(StreamInput, StreamEvents), Refused> {
        let shared = &self.shared;
        if shared.closing.load(Ordering::SeqCst) {
            return Err(Refused::Closing);
        }
        let max = shared.options.streams_max;
        shared
            .streams
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| (open < max).then_some(open + 1))
            .map_err(|_| Refused::Full(max))?;
        let config = StreamConfig {
            turn_after_ms: config.turn_after_ms.filter(|_| self.scores_turns()),
            diarization: config.diarization.filter(|_| self.tells_voices()),
            ..config
        };
        let id = shared.next_stream.fetch_add(1, Ordering::Relaxed);
        let notes = journal.map(|journal| journal::Notes::open(journal, &config, &shared.info));
        let track = notes.as_ref().map(journal::Notes::track);
        let cell = Arc::new(Cell::new(id, config, notes, shared.clone()));
        Ok((StreamInput { cell: cell.clone() }, StreamEvents { cell, track }))
    }
}

/// The writing end of a stream. Dropping it ends the audio, as [`StreamInput::finish`] does.
pub struct StreamInput {
    cell: Arc<Cell>,
}

impl StreamInput {
    /// Hands over 16 kHz mono samples in [-1, 1], waiting while 4 s are queued. Samples that are not numbers
    /// are heard as silence.
    ///
    /// # Errors
    /// [`Closed`] when nobody listens any more.
    pub async fn push(&mut self, mut samples: &[f32]) -> Result<(), Closed> {
        loop {
            let taken = self.cell.take_in(samples)?;
            samples = &samples[taken..];
            if samples.is_empty() {
                return Ok(());
            }
            self.cell.changed(&self.cell.inbox_room).await;
        }
    }

    /// The same, blocking the calling thread while 4 s are queued. Never call it on an async thread.
    ///
    /// # Errors
    /// [`Closed`] when nobody listens any more.
    pub fn push_blocking(&mut self, mut samples: &[f32]) -> Result<(), Closed> {
        loop {
            let taken = self.cell.take_in(samples)?;
            samples = &samples[taken..];
            if samples.is_empty() {
                return Ok(());
            }
            self.cell.wait_for_inbox();
        }
    }

    /// Expects another language or other terms from the next decode on, also of what was pushed and not decoded yet.
    pub fn expect(&mut self, hints: Hints) {
        self.cell.ear().expect(hints);
    }

    /// Asks for the words of everything pushed so far, without waiting for a pause. Always answered by one
    /// `Final` with [`crate::event::Cut::Finalize`], which may be empty. Asking again before anything new was
    /// pushed changes nothing.
    pub fn finalize(&mut self) {
        self.cell.ask_final();
    }

    /// Ends the audio: what is pending becomes final (with [`crate::event::Cut::End`]), then the events end.
    pub fn finish(self) {}

    /// How much is queued and not yet heard.
    pub fn queued(&self) -> std::time::Duration {
        MediaTime::from_samples(self.cell.queued().min(INBOX_SAMPLES) as u64, EAR_HZ).as_duration()
    }
}

impl Drop for StreamInput {
    fn drop(&mut self) {
        self.cell.end_input();
    }
}

/// The reading end of a stream. Dropping it closes the stream and frees its place.
pub struct StreamEvents {
    cell: Arc<Cell>,
    track: Option<u32>,
}

impl StreamEvents {
    /// The stream's number in its journal; `None` where nothing is noted.
    pub fn track(&self) -> Option<u32> {
        self.track
    }

    /// The next event; `None` after the last. A partial that was not read in time is replaced by its
    /// successor; nothing else is ever dropped. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.cell.take_out() {
                return event;
            }
            self.cell.changed(&self.cell.outbox_news).await;
        }
    }

    /// The same, blocking the calling thread. Never call it on an async thread.
    pub fn next_blocking(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.cell.take_out() {
                return event;
            }
            self.cell.wait_for_news();
        }
    }
}

impl Drop for StreamEvents {
    fn drop(&mut self) {
        self.cell.abandon();
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map(drop)
        .map_err(|error| Error::Engine(format!("cannot start a thread: {error}")))
}

/// The shell's clock.
#[expect(clippy::disallowed_methods, reason = "the pool owns the threads that listen, and their clock")]
fn now() -> Instant {
    Instant::now()
}
