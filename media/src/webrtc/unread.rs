//! Texts of a caller that wait until their reader has room for them.
//!
//! Owned by the peer's task, which asks it again when there is room. Bounded in bytes: programs send what they have all at
//! once when the channel opens. What does not fit is the caller's loss, which the task says.

use std::collections::VecDeque;

use tokio::sync::mpsc::{Sender, error::TrySendError};

/// What may wait, in bytes.
const BYTES_MAX: usize = 256 * 1024;

/// Texts in the order in which they came.
#[derive(Default)]
pub(super) struct Unread {
    texts: VecDeque<String>,
    bytes: usize,
}

impl Unread {
    /// Takes a text; whether there was room.
    pub(super) fn push(&mut self, text: String) -> bool {
        let fits = self.bytes + weight(&text) <= BYTES_MAX;
        if fits {
            self.bytes += weight(&text);
            self.texts.push_back(text);
        }
        fits
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Hands on what `reader` has room for.
    pub(super) fn hand_on(&mut self, reader: &Sender<String>) {
        while let Some(text) = self.texts.pop_front() {
            let bytes = weight(&text);
            match reader.try_send(text) {
                Err(TrySendError::Full(text)) => return self.texts.push_front(text),
                // Whoever reads no more misses nothing.
                Ok(()) | Err(TrySendError::Closed(_)) => self.bytes -= bytes,
            }
        }
    }
}

/// What a text weighs while it waits: an empty one is not nothing.
fn weight(text: &str) -> usize {
    text.len() + size_of::<String>()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn texts_keep_their_order_and_wait_for_room() {
        let (reader, mut read) = mpsc::channel(2);
        let mut unread = Unread::default();
        for text in ["a", "b", "c", "d"] {
            assert!(unread.push(text.to_owned()));
            unread.hand_on(&reader);
        }
        let mut all = Vec::new();
        while let Ok(text) = read.try_recv() {
            all.push(text);
            unread.hand_on(&reader);
        }
        assert_eq!(all, ["a", "b", "c", "d"]);
        assert_eq!((unread.is_empty(), unread.bytes), (true, 0));
    }

    #[test]
    fn what_waits_is_bounded_even_where_it_is_nothing() {
        let mut unread = Unread::default();
        assert!(!unread.push("x".repeat(BYTES_MAX)));
        assert!((0..BYTES_MAX).any(|_| !unread.push(String::new())), "empty texts wait without end");
        assert!(unread.bytes <= BYTES_MAX);
    }

    #[test]
    fn nothing_waits_for_a_reader_that_is_gone() {
        let (reader, read) = mpsc::channel(1);
        let mut unread = Unread::default();
        assert!(unread.push("a".to_owned()) && unread.push("b".to_owned()));
        drop(read);
        unread.hand_on(&reader);
        assert_eq!((unread.is_empty(), unread.bytes), (true, 0));
    }
}
