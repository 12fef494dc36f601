//! From the graph to the ears: 16 kHz in, frames of 20 ms into a ring, and the end of real time.
//!
//! The node writes; it never waits for whoever listens. When the ring is full, new frames are dropped. The
//! reader, on any other thread, skips ahead when it is more than 2 s behind. Both leave a hole between the times
//! of two frames, and the reader tells each hole as [`Heard::Lost`], so that nothing is ever missing silently.

use crate::{
    frame::{EAR_HZ, Frame},
    graph::node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
    ring::{Reader, Writer, ring},
    time::{MediaTime, Span},
};

/// Samples of a frame: 20 ms.
const FRAME_SAMPLES: usize = 320;

/// Frames in the ring: 4 s, enough for a recognizer that stumbles; it costs 256 KiB per track. When it is full,
/// new frames are dropped.
const RING_FRAMES: usize = 200;

/// More waiting than this, 2 s, is too old to be worth hearing: the reader skips ahead.
const BEHIND_FRAMES: usize = 100;

/// What is left after skipping ahead, 200 ms, so that the next word is not cut.
const KEPT_FRAMES: usize = 10;

/// A node that hands what it hears to a reader, and that reader.
pub fn tap() -> (Tap, TapReader) {
    let (writer, reader) = ring(RING_FRAMES);
    let frame = Frame { at: MediaTime::ZERO, samples: [0.0; FRAME_SAMPLES] };
    let tap = Tap { ring: writer, frame, filled: 0, is_overflowing: false };
    (tap, TapReader { ring: reader, expected: None, held: None })
}

/// One input at 16 kHz, nothing out.
pub struct Tap {
    ring: Writer<Frame<FRAME_SAMPLES>>,
    frame: Frame<FRAME_SAMPLES>,
    filled: usize,
    is_overflowing: bool,
}

impl Node for Tap {
    fn ports(&self) -> Ports {
        Ports::sink(mono(EAR_HZ))
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let samples = inputs.samples(0);
        let begun = self.frame.at + MediaTime::from_samples(self.filled as u64, EAR_HZ).as_duration();
        if self.filled == 0 || begun != tick.at {
            // Time jumped (the engine had to skip): half a frame from before belongs to nothing.
            (self.frame.at, self.filled) = (tick.at, 0);
        }
        self.frame.samples[self.filled..self.filled + samples.len()].copy_from_slice(samples);
        self.filled += samples.len();
        if self.filled == FRAME_SAMPLES {
            self.filled = 0;
            let overflowed = self.ring.push(self.frame.clone()).is_err();
            if overflowed && !self.is_overflowing {
                tick.report(Event::TapOverflowed);
            }
            self.is_overflowing = overflowed;
        }
        Status::Silent
    }
}

/// What a reader takes from a tap.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are frames, and none is stored")]
pub enum Heard {
    /// The next 20 ms.
    Frame(Frame<FRAME_SAMPLES>),
    /// This much of the track will never be heard: the reader was too slow, or the engine skipped.
    Lost(Span),
}

/// The listening end of a tap.
pub struct TapReader {
    ring: Reader<Frame<FRAME_SAMPLES>>,
    expected: Option<MediaTime>,
    held: Option<Frame<FRAME_SAMPLES>>,
}

impl TapReader {
    /// The next frame or hole, in the order of time; nothing when all has been heard.
    pub fn hear(&mut self) -> Option<Heard> {
        if let Some(frame) = self.held.take() {
            return Some(Heard::Frame(frame));
        }
        if self.ring.len() > BEHIND_FRAMES {
            while self.ring.len() > KEPT_FRAMES {
                self.ring.pop();
            }
        }
        let frame = self.ring.pop()?;
        let after = MediaTime::from_samples(FRAME_SAMPLES as u64, EAR_HZ).as_duration();
        let expected = self.expected.replace(frame.at + after).unwrap_or(frame.at);
        if frame.at > expected {
            let lost = Span::new(expected, frame.at);
            self.held = Some(frame);
            return Some(Heard::Lost(lost));
        }
        Some(Heard::Frame(frame))
    }

    /// Whether the track has ended and all of it has been heard.
    pub fn has_ended(&self) -> bool {
        self.ring.is_abandoned() && self.ring.is_empty() && self.held.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::nodes::harness::Harness;

    fn frames(reader: &mut TapReader) -> Vec<Heard> {
        std::iter::from_fn(|| reader.hear()).collect()
    }

    fn at(frame: u64) -> MediaTime {
        MediaTime::from_millis(20 * frame)
    }

    #[test]
    fn samples_come_out_in_order_with_their_times() {
        let (tap, mut reader) = tap();
        let mut harness = Harness::new(tap);
        let sound: Vec<f32> = (0..16_000).map(|n| n as f32 / 16_000.0).collect();
        harness.feed(&sound);
        let heard = frames(&mut reader);
        assert_eq!(heard.len(), 50);
        for (n, heard) in heard.iter().enumerate() {
            let samples = sound[n * 320..][..320].try_into().unwrap();
            assert_eq!(*heard, Heard::Frame(Frame { at: at(n as u64), samples }));
        }
    }

    #[test]
    fn a_reader_more_than_two_seconds_behind_skips_ahead_and_says_what_is_lost() {
        let (tap, mut reader) = tap();
        let mut harness = Harness::new(tap);
        harness.feed(&[0.1; 320]);
        assert_eq!(frames(&mut reader).len(), 1);
        harness.feed(&[0.1; 320 * 110]);
        let heard = frames(&mut reader);
        assert_eq!(heard[0], Heard::Lost(Span::new(at(1), at(101))));
        assert_eq!(heard.len(), 1 + KEPT_FRAMES);
        assert!(!harness.events.contains(&Event::TapOverflowed));
    }

    #[test]
    fn a_full_ring_drops_new_frames_tells_once_and_leaves_a_gap_mark() {
        let (tap, mut reader) = tap();
        let mut harness = Harness::new(tap);
        harness.feed(&[0.1; 320 * 230]);
        assert_eq!(harness.events, [Event::TapOverflowed]);
        assert_eq!(frames(&mut reader).len(), KEPT_FRAMES);
        harness.feed(&[0.1; 320]);
        assert_eq!(frames(&mut reader)[0], Heard::Lost(Span::new(at(200), at(230))));
        drop(harness);
        assert!(reader.has_ended());
    }
}
