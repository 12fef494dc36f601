//! From the graph to another thread: frames of 20 ms in a ring, and what is missing between them.
//!
//! The writing end lives in a node and never waits for whoever reads. When the ring is full, new frames are
//! dropped. Some readers may skip ahead when they are far behind. Both leave a hole between the times of two frames,
//! and the reader tells each hole as [`Heard::Lost`], so that nothing is ever missing silently.

use crate::{
    frame::Frame,
    graph::node::Tick,
    ring::{Reader, Writer, ring},
    time::{MediaTime, Span},
};

/// Frames in a second.
const FRAMES_PER_SECOND: usize = 50;

/// Makes a ring of `capacity` frames; a reader with more than `behind_max` waiting skips ahead to `kept`.
pub(super) fn frames<const N: usize>(
    capacity: usize,
    behind_max: usize,
    kept: usize,
) -> (FrameWriter<N>, FrameReader<N>) {
    let (writer, reader) = ring(capacity);
    let frame = Frame { at: MediaTime::ZERO, samples: [0.0; N] };
    let writer = FrameWriter { ring: writer, frame, filled: 0, is_overflowing: false };
    (writer, FrameReader { ring: reader, expected: None, held: None, behind_max, kept })
}

/// What the writing end did with a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was kept.
    Kept,
    /// The ring is full since now: a frame was dropped, the first of its spell.
    BeganToDrop,
    /// A frame was dropped, one more of its spell.
    Dropped,
}

/// Gathers ticks into frames.
pub(super) struct FrameWriter<const N: usize> {
    ring: Writer<Frame<N>>,
    frame: Frame<N>,
    filled: usize,
    is_overflowing: bool,
}

impl<const N: usize> FrameWriter<N> {
    /// Takes the samples of one tick, which divide a frame.
    pub(super) fn write(&mut self, tick: &Tick<'_>, samples: &[f32]) -> Written {
        let begun = self.frame.at + MediaTime::from_samples(self.filled as u64, rate_hz::<N>()).as_duration();
        if self.filled == 0 || begun != tick.at {
            // Time jumped (the engine had to skip): half a frame from before belongs to nothing.
            (self.frame.at, self.filled) = (tick.at, 0);
        }
        self.frame.samples[self.filled..self.filled + samples.len()].copy_from_slice(samples);
        self.filled += samples.len();
        if self.filled < N {
            return Written::Kept;
        }
        self.filled = 0;
        let overflowed = self.ring.push(self.frame.clone()).is_err();
        match (overflowed, std::mem::replace(&mut self.is_overflowing, overflowed)) {
            (true, false) => Written::BeganToDrop,
            (true, true) => Written::Dropped,
            (false, _) => Written::Kept,
        }
    }

    /// Takes a whole frame; false when it was dropped because the ring is full.
    pub(super) fn push(&mut self, frame: Frame<N>) -> bool {
        self.filled = 0;
        self.ring.push(frame).is_ok()
    }

    /// Whether the reader is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// What a reader takes: 20 ms at 16 kHz unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<const N: usize = 320> {
    /// The next 20 ms.
    Frame(Frame<N>),
    /// This much will never be heard: the reader was too slow, or the engine skipped.
    Lost(Span),
}

/// The reading end, on any thread; it never waits, so whoever holds it looks every 20 ms.
pub struct FrameReader<const N: usize> {
    ring: Reader<Frame<N>>,
    expected: Option<MediaTime>,
    held: Option<Frame<N>>,
    behind_max: usize,
    kept: usize,
}

impl<const N: usize> FrameReader<N> {
    /// The next frame or hole, in the order of time; nothing when all has been heard.
    pub fn hear(&mut self) -> Option<Heard<N>> {
        if let Some(frame) = self.held.take() {
            return Some(Heard::Frame(frame));
        }
        if self.ring.len() > self.behind_max {
            while self.ring.len() > self.kept {
                self.ring.pop();
            }
        }
        let frame = self.ring.pop()?;
        let after = MediaTime::from_samples(N as u64, rate_hz::<N>()).as_duration();
        let expected = self.expected.replace(frame.at + after).unwrap_or(frame.at);
        if frame.at > expected {
            let lost = Span::new(expected, frame.at);
            self.held = Some(frame);
            return Some(Heard::Lost(lost));
        }
        Some(Heard::Frame(frame))
    }

    /// Whether the sound has ended and all of it has been heard.
    pub fn has_ended(&self) -> bool {
        self.ring.is_abandoned() && self.ring.is_empty() && self.held.is_none()
    }
}

/// The rate at which `N` samples are a frame.
const fn rate_hz<const N: usize>() -> u32 {
    (N * FRAMES_PER_SECOND) as u32
}
