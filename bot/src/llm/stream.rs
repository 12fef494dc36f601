//! An answer out of bytes: events, the vendor's pieces, thoughts taken out, bounds kept.
//!
//! Pure: where the bytes were cut makes no difference, and no bytes make it panic or grow. [`Delta::Done`] comes once,
//! last, and only from an answer that ended as it should; an answer that says and calls nothing is a trouble.

use std::sync::Arc;

use super::{
    Call, Delta, Done, Stop, Trouble, anthropic, openai,
    provider::Kind,
    sse::{self, TooLong},
    thinking::Filter,
};

/// A piece of an answer, as the vendors' readers find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Words.
    Text(String),
    /// A call is being written.
    Calling,
    /// Thoughts are being written.
    Thinking,
    /// A call, whole.
    Call(Call),
    /// The end.
    Done(Done),
}

/// The most bytes of an answer on the wire. An event of one token takes up to 500, so this is far more than anybody
/// speaks in a turn, thoughts among it.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The most words of an answer, in bytes: over an hour of speech.
pub const TEXT_BYTES_MAX: usize = 64 * 1_024;
/// The most calls of an answer.
pub const CALLS_MAX: usize = 32;
/// The longest call.
pub const CALL_BYTES_MAX: usize = 64 * 1_024;

/// Reads one answer.
#[derive(Debug)]
pub struct Stream {
    provider: Arc<str>,
    events: sse::Reader,
    wire: Wire,
    filter: Filter,
    pieces: Vec<Piece>,
    bytes: usize,
    text_bytes: usize,
    steps: u64,
    has_begun: bool,
    has_called: bool,
    is_done: bool,
}

#[derive(Debug)]
enum Wire {
    OpenAi(openai::Reader),
    Anthropic(anthropic::Reader),
}

impl Stream {
    /// A reader of an answer of `provider`; `tag` is unlike that of every other answer.
    pub fn new(kind: Kind, provider: Arc<str>, tag: u64) -> Self {
        let wire = match kind {
            Kind::OpenAi | Kind::Compatible | Kind::Azure => Wire::OpenAi(openai::Reader::new(provider.clone(), tag)),
            Kind::Anthropic => Wire::Anthropic(anthropic::Reader::new(provider.clone())),
        };
        Self {
            provider,
            events: sse::Reader::default(),
            wire,
            filter: Filter::new(),
            pieces: Vec::new(),
            bytes: 0,
            text_bytes: 0,
            steps: 0,
            has_begun: false,
            has_called: false,
            is_done: false,
        }
    }

    /// Takes bytes and appends what they say. What follows the end is passed over.
    ///
    /// # Errors
    /// [`Trouble`]; the reader is of no use after that.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<(), Trouble> {
        let room = ANSWER_BYTES_MAX - self.bytes;
        let taken = &bytes[..bytes.len().min(room)];
        self.bytes += taken.len();
        let mut events = std::mem::take(&mut self.events);
        let pushed = events.push(taken, |event| self.take(&event, out).map_err(Broken::Trouble));
        self.events = events;
        match pushed {
            _ if self.is_done => Ok(()),
            Ok(()) if taken.len() == bytes.len() => Ok(()),
            Ok(()) => Err(self.too_long(ANSWER_BYTES_MAX, "bytes")),
            Err(Broken::Event) => Err(self.too_long(sse::EVENT_BYTES_MAX, "bytes of one event")),
            Err(Broken::Trouble(trouble)) => Err(trouble),
        }
    }

    /// Takes the end of the bytes, or of our patience with what may follow.
    ///
    /// # Errors
    /// [`Trouble::CutOff`] when the answer has not ended, [`Trouble::Empty`].
    pub fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), Trouble> {
        if self.is_done {
            return Ok(());
        }
        let mut pieces = Vec::new();
        match &mut self.wire {
            Wire::OpenAi(reader) => reader.end(&mut pieces)?,
            Wire::Anthropic(reader) => reader.end(&mut pieces)?,
        }
        pieces.into_iter().try_for_each(|piece| self.piece(piece, out))
    }

    /// Whether words or a call have begun to come; thoughts do not count.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether [`Delta::Done`] was given.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the model has stopped: what may follow is its count of tokens.
    pub fn has_stopped(&self) -> bool {
        match &self.wire {
            Wire::OpenAi(reader) => reader.has_stopped(),
            Wire::Anthropic(reader) => reader.has_stopped(),
        }
    }

    /// How often the answer has moved on: it grows with words, calls and thoughts, not with what keeps a line open.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many bytes of words came.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    fn take(&mut self, event: &sse::Event, out: &mut Vec<Delta>) -> Result<(), Trouble> {
        if self.is_done {
            return Ok(());
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        let taken = match &mut self.wire {
            Wire::OpenAi(reader) => reader.take(event, &mut pieces),
            Wire::Anthropic(reader) => reader.take(event, &mut pieces),
        };
        // What was said before the trouble was said.
        let given = pieces.drain(..).try_for_each(|piece| self.piece(piece, out));
        self.pieces = pieces;
        given.and(taken)
    }

    fn piece(&mut self, piece: Piece, out: &mut Vec<Delta>) -> Result<(), Trouble> {
        self.steps += 1;
        match piece {
            Piece::Text(text) => {
                let said = self.filter.pass(&text);
                self.say(said, out)?;
            }
            Piece::Thinking => {}
            Piece::Calling => self.has_begun = true,
            Piece::Call(call) => {
                (self.has_begun, self.has_called) = (true, true);
                out.push(Delta::Call(call));
            }
            Piece::Done(done) => {
                let held = self.filter.end();
                self.say(held, out)?;
                if self.text_bytes == 0 && !self.has_called && done.why != Stop::Refused {
                    return Err(Trouble::Empty { provider: self.provider.clone() });
                }
                self.is_done = true;
                out.push(Delta::Done(done));
            }
        }
        Ok(())
    }

    fn say(&mut self, text: String, out: &mut Vec<Delta>) -> Result<(), Trouble> {
        if text.is_empty() {
            return Ok(());
        }
        self.text_bytes += text.len();
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(self.too_long(TEXT_BYTES_MAX, "bytes of words"));
        }
        self.has_begun = true;
        out.push(Delta::Text(text));
        Ok(())
    }

    fn too_long(&self, max: usize, what: &'static str) -> Trouble {
        Trouble::TooLong { provider: self.provider.clone(), max, what }
    }
}

/// Why the reader of events stopped.
enum Broken {
    Event,
    Trouble(Trouble),
}

impl From<TooLong> for Broken {
    fn from(_: TooLong) -> Self {
        Self::Event
    }
}
