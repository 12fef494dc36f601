//! The ears of the process: one voice-activity thread and a fixed number of decoders for every stream.

use std::sync::Arc;

use crate::{
    event::Event,
    recognizer::{Hints, Info, Recognizer},
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
    /// Silence that closes an utterance, in milliseconds (clamped to 200..=10 000).
    pub endpointing_ms: u32,
    /// Where the stream's first sample lies on its room's timeline.
    pub starts_at: media::time::MediaTime,
    /// Whether audio arrives in real time (a call) or as fast as it is taken (a file).
    pub live: bool,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            hints: Hints::default(),
            partials: true,
            endpointing_ms: 250,
            starts_at: media::time::MediaTime::ZERO,
            live: true,
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

/// Everything that listens. Cheap to clone; the last clone stops the threads.
#[derive(Clone)]
pub struct Ears {
    info: Info,
}

impl Ears {
    /// Starts the threads.
    ///
    /// # Errors
    /// When a decoder or the voice-activity model cannot be instantiated.
    pub fn start(_recognizer: Arc<dyn Recognizer>, _options: Options) -> Result<Self, crate::recognizer::Error> {
        unimplemented!()
    }

    /// What recognizes.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`Refused`] when full or closing; nothing was taken.
    pub fn open(&self, _config: StreamConfig) -> Result<(StreamInput, StreamEvents), Refused> {
        unimplemented!()
    }
}

/// The writing end of a stream. Dropping it ends the audio, as [`StreamInput::finish`] does.
pub struct StreamInput {}

impl StreamInput {
    /// Hands over 16 kHz mono samples in [-1, 1], waiting while 4 s are queued.
    ///
    /// # Errors
    /// [`Closed`] when nobody listens any more.
    pub async fn push(&mut self, _samples: &[f32]) -> Result<(), Closed> {
        unimplemented!()
    }

    /// The same, blocking the calling thread while 4 s are queued. Never call it on an async thread.
    ///
    /// # Errors
    /// [`Closed`] when nobody listens any more.
    pub fn push_blocking(&mut self, _samples: &[f32]) -> Result<(), Closed> {
        unimplemented!()
    }

    /// Asks for the words of everything pushed so far, without waiting for a pause. Always answered by one
    /// `Final` with [`crate::event::Cut::Finalize`], which may be empty.
    pub fn finalize(&mut self) {
        unimplemented!()
    }

    /// Ends the audio: what is pending becomes final (with [`crate::event::Cut::End`]), then the events end.
    pub fn finish(self) {}
}

/// The reading end of a stream. Dropping it closes the stream and frees its place.
pub struct StreamEvents {}

impl StreamEvents {
    /// The next event; `None` after the last. A partial that was not read in time is replaced by its
    /// successor; nothing else is ever dropped.
    pub async fn next(&mut self) -> Option<Event> {
        unimplemented!()
    }

    /// The same, blocking the calling thread. Never call it on an async thread.
    pub fn next_blocking(&mut self) -> Option<Event> {
        unimplemented!()
    }
}
