//! Messages out of a stream (RFC 3261 section 18.3): where one ends is what its Content-Length says.
//!
//! The owner of the connection pushes what it read and takes frames until there is none. At most one head, one body
//! and one read are held. After an error nobody knows where the next message begins: the connection is closed, after
//! the error's answer where it has one. Keep-alives (RFC 5626 section 4.4.1) are told, not answered.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{
    Malformed, Message,
    wire::{Head, LONGEST_BODY_BYTES, LONGEST_HEAD_BYTES, Why, head_length},
};

/// What a stream held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// Something that is no message, but whose end is known: the stream goes on after it.
    Malformed(Malformed),
    /// The other side asks whether we are there: answer with a line break.
    Ping,
    /// A line break alone: the answer to our ping, if we sent one.
    Pong,
}

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// No head ends before this place of the buffer.
    searched: usize,
    /// A head whose body is not all there, and how much that is.
    head: Option<(Head, usize)>,
    /// When the message that is not whole began.
    began_at: Option<Instant>,
    /// When a line break came that may be half a ping.
    broke_at: Option<Instant>,
}

impl Framer {
    /// How long a message may take from its first byte to its last. Ten seconds are three lost segments on a bad
    /// line; whoever is slower holds a connection for nothing.
    pub const SLOWEST: Duration = Duration::from_secs(10);

    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read. Take all frames before reading on.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` when there is no whole one.
    ///
    /// # Errors
    /// When nobody knows where the next message begins, or the rest of this one did not come in time. The connection
    /// must be closed.
    pub fn next(&mut self, now: Instant) -> Result<Option<Frame>, Malformed> {
        if self.head.is_none() {
            if let Some(frame) = self.line_break(now) {
                return Ok(Some(frame));
            }
            if let Err(malformed) = self.take_head() {
                return Err(self.stop(malformed));
            }
        }
        match self.head.take() {
            Some((head, length)) if self.buffer.len() >= length => {
                self.began_at = None;
                self.broke_at = None;
                let body = self.buffer.split_to(length).freeze();
                Ok(Some(head.with_body(body).map_or_else(Frame::Malformed, Frame::Message)))
            }
            head => {
                self.head = head;
                self.wait(now)
            }
        }
    }

    /// Until when the rest of a half message must be there; look for the [`Self::next`] frame then.
    pub fn deadline(&self) -> Option<Instant> {
        self.began_at.map(|at| at + Self::SLOWEST)
    }

    fn wait(&mut self, now: Instant) -> Result<Option<Frame>, Malformed> {
        if self.buffer.is_empty() && self.head.is_none() {
            self.began_at = None;
            return Ok(None);
        }
        if now < *self.began_at.get_or_insert(now) + Self::SLOWEST {
            return Ok(None);
        }
        let malformed = match self.head.take() {
            Some((head, _)) => head.malformed(Why::Slow),
            None => Head::read_unended(&self.buffer).malformed(Why::Slow),
        };
        Err(self.stop(malformed))
    }

    /// Takes a line break between messages off the buffer.
    fn line_break(&mut self, now: Instant) -> Option<Frame> {
        loop {
            let (length, frame) = match &self.buffer[..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => (4, Frame::Ping),
                // A ping may come in two halves, as close to each other as the network lets them.
                [b'\r', b'\n', ..] => match self.broke_at.take() {
                    Some(at) if now < at + Duration::from_secs(1) => (2, Frame::Ping),
                    _ => {
                        self.broke_at = Some(now);
                        (2, Frame::Pong)
                    }
                },
                [b'\n', ..] => {
                    self.cut(1);
                    continue;
                }
                _ => return None,
            };
            self.cut(length);
            self.began_at = None;
            return Some(frame);
        }
    }

    fn take_head(&mut self) -> Result<(), Malformed> {
        let end = head_length(&self.buffer, self.searched);
        if end.unwrap_or(self.buffer.len()) > LONGEST_HEAD_BYTES {
            return Err(Head::read_unended(&self.buffer).malformed(Why::LongHead));
        }
        let Some(end) = end else {
            self.searched = self.buffer.len().saturating_sub(3);
            return Ok(());
        };
        self.searched = 0;
        let head = Head::read(&self.buffer.split_to(end).freeze());
        let why = match head.body_bytes {
            Ok(Some(length)) if length <= LONGEST_BODY_BYTES => {
                self.head = Some((head, length));
                return Ok(());
            }
            Ok(Some(_)) => Why::LongBody,
            Ok(None) => Why::NoContentLength,
            Err(why) => why,
        };
        Err(head.malformed(why))
    }

    fn cut(&mut self, length: usize) {
        _ = self.buffer.split_to(length);
        self.searched = 0;
    }

    fn stop(&mut self, malformed: Malformed) -> Malformed {
        *self = Self::default();
        malformed
    }
}
