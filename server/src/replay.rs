//! A recorded call lived through again, faster than it was: the same code, the same inputs, a time that is read
//! from the journal. What comes out is held against what came out then.
//!
//! [`words`] hears the ears' streams again and lets the room be told what it was told; [`sound`] runs the graph of
//! the call, tick by tick, on the packets that it was sent. Each stops at the first difference. Blocking, and
//! without any thread of its own: a journal gives the same answer on every run.

mod sound;
mod words;

use std::{fmt, fs::File, io::BufReader, path::Path, sync::Arc};

use asr::{
    pool::{journal::Opened, replay::Diverged},
    recognizer::{Decoder, Recognizer},
    vad::silero::Silero,
};
use media::journal::{FILE_NAME, JournalError, Reader};

use self::words::Words;

/// Why a journal cannot be replayed at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder holds no journal, or it cannot be opened.
    #[error("there is no journal in {folder}: {error}")]
    Missing {
        /// Where it was looked for.
        folder: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The journal is something else, newer, or damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record of the journal makes no sense where it stands, though its checksum is right.
    #[error("record {number} of the journal ({kind}) cannot be understood: {why}")]
    Record {
        /// Which, from one.
        number: u64,
        /// Of what kind.
        kind: String,
        /// What is wrong.
        why: String,
    },
    /// The models that heard the call are not here.
    #[error("the call was heard by {model} ({engine}): {why}")]
    Models {
        /// Then.
        engine: String,
        /// Then.
        model: String,
        /// What the matter is.
        why: String,
    },
}

/// What hears again.
pub struct Models {
    silero: Silero,
    decoder: Box<dyn Decoder>,
}

impl Models {
    /// The voice-activity model and one decoder of `recognizer`.
    ///
    /// # Errors
    /// When the decoder cannot be made.
    pub fn new(recognizer: &Arc<dyn Recognizer>, silero: Silero) -> Result<Self, asr::recognizer::Error> {
        Ok(Self { silero, decoder: recognizer.decoder()? })
    }
}

/// How a journal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In good order.
    Closed,
    /// In the middle: the process died, or the file was cut. All that is there was replayed.
    Cut,
    /// The journal says that so many records are missing from there on; what came before was replayed.
    Incomplete(u64),
}

/// What differs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An event of the room.
    Event {
        /// Which, from one.
        number: usize,
        /// As it was; `None` when there was none.
        then: Option<String>,
        /// As it is now; `None` when there is none.
        now: Option<String>,
    },
    /// Somebody's ears took another way.
    Ears {
        /// Which stream.
        track: u32,
        /// After so many milliseconds of it.
        heard_ms: u64,
        /// How.
        how: Diverged,
    },
    /// The room was told something of the ears that they do not say now.
    Unsaid {
        /// Which stream.
        track: u32,
        /// What they said then.
        then: String,
        /// What they say now and nobody took yet.
        now: Vec<String>,
    },
    /// The samples at a place of the graph.
    Sound(media::graph::replay::Difference),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |event: &Option<String>| event.clone().unwrap_or_else(|| "nothing".to_owned());
        match self {
            Self::Event { number, then, now } => {
                write!(f, "event {number} differs\n  then: {}\n  now:  {}", or_nothing(then), or_nothing(now))
            }
            Self::Ears { track, heard_ms, how } => {
                write!(f, "stream {track} differs {:.3} s into its sound: {how}", *heard_ms as f64 / 1_000.0)
            }
            Self::Unsaid { track, then, now } => {
                write!(f, "stream {track} differs\n  then: {then}\n  now:  {}", now.join(", "))
            }
            Self::Sound(difference) => difference.fmt(f),
        }
    }
}

/// What was replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The room as it was opened; `None` when the journal was cut before that.
    pub room: Option<bot::conversation::Opened>,
    /// Streams that were heard again.
    pub streams: usize,
    /// Seconds of sound that they heard.
    pub heard_s: f64,
    /// Events of the room that were compared.
    pub events: usize,
    /// What the graph did; `None` when the call had none.
    pub sound: Option<media::graph::replay::Replayed>,
    /// How the journal ended.
    pub end: End,
    /// What differs first; `None` when all is the same.
    pub difference: Option<Difference>,
}

/// Replays the call whose journal lies in `folder`. `load` is asked for the models once there is something to hear.
///
/// # Errors
/// [`ReplayError`]; a difference is no error.
pub fn replay(folder: &Path, load: impl FnMut(&Opened) -> Result<Models, String>) -> Result<Replayed, ReplayError> {
    // The sound comes first: loading a model may change how this thread treats the smallest of numbers.
    let sound = sound::replay(|| open(folder))?;
    let words = Words::new(load).replay(&mut open(folder)?)?;
    let Some((sound, differs)) = sound else { return Ok(words) };
    let difference = words.difference.clone().or_else(|| differs.map(Difference::Sound));
    Ok(Replayed { sound: Some(sound), difference, ..words })
}

fn open(folder: &Path) -> Result<Reader<BufReader<File>>, ReplayError> {
    let path = folder.join(FILE_NAME);
    let file =
        File::open(&path).map_err(|error| ReplayError::Missing { folder: folder.display().to_string(), error })?;
    Ok(Reader::open(BufReader::new(file))?)
}
