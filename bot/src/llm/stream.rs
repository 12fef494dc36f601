//! An answer out of bytes: events, the vendor's pieces, thoughts taken out, bounds kept.
//!
//! Pure but for the ids of calls, which are this process's own: where the bytes were cut makes no difference, and no
//! bytes make it panic or grow. [`Delta::Done`] comes once, last, and only from an answer that ended as it should; an
//! answer that says and calls nothing is a trouble.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
    /// A call is being written, so many bytes of it.
    Calling(usize),
    /// Thoughts are being written, so many bytes of them.
    Thinking(usize),
    /// A call, whole.
    Call {
        /// Which tool.
        name: String,
        /// As the model wrote them.
        arguments: String,
    },
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
    written_bytes: usize,
    steps: u64,
    has_begun: bool,
    is_calling: bool,
    has_called: bool,
    is_done: bool,
}

#[derive(Debug)]
enum Wire {
    OpenAi(openai::Reader),
    Anthropic(anthropic::Reader),
}

impl Stream {
    /// A reader of an answer of `provider`.
    pub fn new(kind: Kind, provider: Arc<str>) -> Self {
        let wire = match kind {
            Kind::OpenAi | Kind::Compatible | Kind::Azure => Wire::OpenAi(openai::Reader::new(provider.clone())),
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
            written_bytes: 0,
            steps: 0,
            has_begun: false,
            is_calling: false,
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

    /// Whether a call is being written: vendors hold its arguments back until a whole value is there, and only keep the
    /// line open meanwhile.
    pub fn is_calling(&self) -> bool {
        self.is_calling
    }

    /// How many bytes the model has written: words, calls and thoughts.
    pub fn written_bytes(&self) -> usize {
        self.written_bytes
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
        self.is_calling = matches!(piece, Piece::Calling(_));
        self.written_bytes += match &piece {
            Piece::Text(text) => text.len(),
            Piece::Calling(bytes) | Piece::Thinking(bytes) => *bytes,
            // Its bytes were counted as they came.
            Piece::Call { .. } | Piece::Done(_) => 0,
        };
        match piece {
            Piece::Text(text) => {
                let said = self.filter.pass(&text);
                self.say(said, out)?;
            }
            Piece::Thinking(_) => {}
            Piece::Calling(_) => self.has_begun = true,
            Piece::Call { name, arguments } => {
                (self.has_begun, self.has_called) = (true, true);
                out.push(Delta::Call(Call { id: call_id(), name, arguments }));
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

/// An id for a call. The vendors' own are of no use: one vendor's are too long or too odd for another, which is told of
/// the same conversation later, and some number the calls of every answer from 0. Nine digits suit all; Mistral takes
/// nothing else.
fn call_id() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    format!("{:09}", CALLS.fetch_add(1, Ordering::Relaxed))
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
