//! From the graph to the ears: 16 kHz in, frames of 20 ms into a ring, and the end of real time.
//!
//! The node writes; it never waits for whoever listens. When the ring is full, new frames are dropped. The
//! reader, on any other thread, skips ahead when it is more than 2 s behind, for old words are worth less than
//! new ones. It is told each hole, so that nothing is ever missing silently.

use crate::{
    frame::EAR_HZ,
    graph::{
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::frames::{FrameReader, FrameWriter, Written, frames},
    },
};

pub use super::frames::Heard;

/// Samples of a frame: 20 ms.
const FRAME_SAMPLES: usize = 320;

/// Frames in the ring: 4 s, enough for a recognizer that stumbles; it costs 256 KiB per track. When it is full,
/// new frames are dropped.
const RING_FRAMES: usize = 200;

/// More waiting than this, 2 s, is too old to be worth hearing: the reader skips ahead.
const BEHIND_FRAMES: usize = 100;

/// What is left after skipping ahead, 200 ms, so that the next word is not cut.
const KEPT_FRAMES: usize = 10;

/// The listening end of a tap.
pub type TapReader = FrameReader<FRAME_SAMPLES>;

/// A node that hands what it hears to a reader, and that reader.
pub fn tap() -> (Tap, TapReader) {
    let (writer, reader) = frames(RING_FRAMES, BEHIND_FRAMES, KEPT_FRAMES);
    (Tap { writer }, reader)
}

/// One input at 16 kHz, nothing out.
pub struct Tap {
    writer: FrameWriter<FRAME_SAMPLES>,
}

impl Node for Tap {
    fn ports(&self) -> Ports {
        Ports::sink(mono(EAR_HZ))
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        if self.writer.write(tick, inputs.samples(0)) == Written::BeganToDrop {
            tick.report(Event::TapOverflowed);
        }
        Status::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::Frame,
        graph::nodes::harness::Harness,
        time::{MediaTime, Span},
    };

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
