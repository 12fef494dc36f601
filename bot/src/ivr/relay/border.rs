//! The border of a relay: what it is told, and what it asks for.

use asr::event::Event;
use url::Url;

use super::Tongue;
use crate::ivr::{
    input::RelayEvent,
    key::{Key, Tone},
    private::Private,
    twiml::Times,
};

/// What is told. No `Debug`: it holds what a caller said.
#[derive(Clone, PartialEq)]
pub enum Input<'a> {
    /// The application is there.
    Begin,
    /// A message of the application.
    Message(&'a str),
    /// A message that is no text.
    Binary,
    /// What the caller's ears hear.
    Ears(&'a Event),
    /// The caller pressed a key.
    Key(Key),
    /// The first sample of a sentence is heard.
    Began {
        /// Of what.
        turn: u64,
        /// Which.
        sentence: u64,
    },
    /// So many of its words were heard so far.
    Words {
        /// Of what.
        turn: u64,
        /// Which.
        sentence: u64,
        /// How many.
        words: usize,
    },
    /// All of it was heard.
    Played {
        /// Of what.
        turn: u64,
        /// Which.
        sentence: u64,
    },
    /// The voice failed at it.
    NotSpoken {
        /// Of what.
        turn: u64,
        /// Which.
        sentence: u64,
    },
    /// A file or keys are over.
    SoundEnded {
        /// What.
        turn: u64,
        /// Whether it could be made.
        is_made: bool,
    },
    /// The application has closed its socket, or the socket broke.
    Closed,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this to the application.
    Tell(Private),
    /// Speak. Answered by `Began`, `Words`, `Played` or `NotSpoken`.
    Say {
        /// Of what.
        turn: u64,
        /// Counts up within it.
        sentence: u64,
        /// The words.
        text: Private,
        /// Who speaks, and what.
        tongue: Tongue,
    },
    /// Fetch and play a file. Answered by `SoundEnded`.
    Play {
        /// What.
        turn: u64,
        /// `http` or `https`.
        url: Url,
        /// How often.
        times: Times,
    },
    /// Press keys at the far end. Answered by `SoundEnded`.
    Press {
        /// What.
        turn: u64,
        /// The keys.
        tones: Vec<Tone>,
    },
    /// Hold the voice still.
    Pause,
    /// Let it go on.
    Resume,
    /// Drop everything up to this, and say nothing more of it.
    Hush(u64),
    /// Listen for this language from now on, or for whichever it turns out to be.
    Expect(Option<String>),
    /// It is over: nothing more is asked for.
    End(RelayEvent),
}
