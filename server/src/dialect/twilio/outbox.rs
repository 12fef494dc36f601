//! What waits to be written to a WebSocket, one message at a time, and no more than is worth waiting for.
//!
//! A peer that reads slowly makes messages wait; sound that is late is dropped, everything else is kept up to a
//! bound beyond which the peer is as good as gone. [`Outbox::advance`] may be cancelled at any time: no message is
//! lost in a future. Runs on the stream's task.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use futures_util::Sink;
use tokio::time::Instant;

/// Chunks of sound that may wait: 2 s. What is later is of no use to a conversation.
const SOUNDS_MAX: usize = 100;

/// Messages that may wait in all; marks and keys are far fewer.
const MESSAGES_MAX: usize = 4_096;

/// How long one message may take. A phone that changes its network is back by then, and the kernel's buffers hold
/// minutes of sound before this is ever reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages to be written.
pub(crate) struct Outbox<M> {
    waiting: VecDeque<(Kind, M)>,
    sounds: usize,
    /// A message has been handed over and is on its way since then.
    flushing: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sound,
    Word,
}

/// The peer reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow;

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), sounds: 0, flushing: None }
    }
}

impl<M> Outbox<M> {
    /// Adds a chunk of sound.
    ///
    /// # Errors
    /// [`Slow`]: it was dropped.
    pub(crate) fn sound(&mut self, message: M) -> Result<(), Slow> {
        if self.sounds >= SOUNDS_MAX {
            return Err(Slow);
        }
        self.sounds += 1;
        self.waiting.push_back((Kind::Sound, message));
        Ok(())
    }

    /// Adds a message that must not be lost.
    ///
    /// # Errors
    /// [`Slow`]: it was lost all the same, and the peer should be.
    pub(crate) fn word(&mut self, message: M) -> Result<(), Slow> {
        if self.waiting.len() >= MESSAGES_MAX {
            return Err(Slow);
        }
        self.waiting.push_back((Kind::Word, message));
        Ok(())
    }

    /// Whether anything is to be written.
    pub(crate) fn has_work(&self) -> bool {
        self.flushing.is_some() || !self.waiting.is_empty()
    }

    /// Whether one message has been on its way for too long.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.flushing.is_some_and(|since| now.saturating_duration_since(since) > PATIENCE)
    }

    /// Writes one message, or the rest of it. Cancel-safe.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) async fn advance<S: Sink<M> + Unpin>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        poll_fn(|cx| {
            let mut sink = Pin::new(&mut *sink);
            if self.flushing.is_none() {
                ready!(sink.as_mut().poll_ready(cx))?;
                let Some((kind, message)) = self.waiting.pop_front() else { return Poll::Ready(Ok(())) };
                self.sounds -= usize::from(kind == Kind::Sound);
                sink.as_mut().start_send(message)?;
                self.flushing = Some(Instant::now());
            }
            ready!(sink.poll_flush(cx))?;
            self.flushing = None;
            Poll::Ready(Ok(()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Takes one message, then nothing until it is opened.
    #[derive(Default)]
    struct Gate {
        taken: Vec<u32>,
        is_open: bool,
    }

    impl Sink<u32> for Gate {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, item: u32) -> Result<(), Infallible> {
            self.taken.push(item);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            if self.is_open { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_given_up_loses_nothing_and_sends_nothing_twice() {
        let (mut outbox, mut gate) = (Outbox::default(), Gate::default());
        for n in 0..3 {
            outbox.word(n).unwrap();
        }
        for _ in 0..5 {
            let given_up = tokio::time::timeout(Duration::from_secs(1), outbox.advance(&mut gate)).await;
            assert!(given_up.is_err());
        }
        assert_eq!(gate.taken, [0]);
        assert!(!outbox.is_stuck(Instant::now()));
        gate.is_open = true;
        while outbox.has_work() {
            outbox.advance(&mut gate).await.unwrap();
        }
        assert_eq!(gate.taken, [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn late_sound_is_dropped_and_words_are_kept_until_there_are_far_too_many() {
        let (mut outbox, mut gate) = (Outbox::default(), Gate::default());
        let sounds = (0..200).filter(|n| outbox.sound(*n).is_ok()).count();
        let words = (0..5_000).filter(|n| outbox.word(*n).is_ok()).count();
        assert_eq!((sounds, words), (SOUNDS_MAX, MESSAGES_MAX - SOUNDS_MAX));
        let given_up = tokio::time::timeout(PATIENCE + Duration::from_secs(1), outbox.advance(&mut gate)).await;
        assert!(given_up.is_err() && outbox.is_stuck(Instant::now()));
        assert_eq!(outbox.sound(1), Ok(()), "one sound has gone out");
    }
}
