//! From the graph to a recorder: 48 kHz in, frames of 20 ms into a ring, and the end of real time.
//!
//! The node writes; it never waits for whoever records. A recorder that stalls for more than 2 s (a disk that hangs)
//! loses the newest frames, and is told the hole. A reader that is gone is reported, so that control removes the
//! node; until then it writes into a full ring and nothing else happens.

use crate::{
    frame::{Frame, MOUTH_HZ},
    graph::{
        TICKS_PER_SECOND,
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::frames::{FrameReader, FrameWriter, Written, frames},
    },
};

/// Samples of a frame: 20 ms.
const FRAME_SAMPLES: usize = 960;

/// Frames in the ring: 2 s, 385 KiB. When it is full, new frames are dropped.
const RING_FRAMES: usize = 100;

/// The recording end of a capture: all that is in the ring, however late.
pub type CaptureReader = FrameReader<FRAME_SAMPLES>;

/// A node that hands what it hears to a recorder, and that recorder's end.
pub fn capture() -> (Capture, CaptureReader) {
    let (writer, reader) = frames(RING_FRAMES, RING_FRAMES, RING_FRAMES);
    (Capture { writer, ticks: 0 }, reader)
}

/// A recorder's end that no node feeds but whoever holds the [`Relay`]: who follows somebody from room to room, whose
/// captures are many, hands them on as one.
pub fn relay() -> (Relay, CaptureReader) {
    let (writer, reader) = frames(RING_FRAMES, RING_FRAMES, RING_FRAMES);
    (Relay { writer }, reader)
}

/// The feeding end of [`relay`]; not real time. The sound has ended when it is dropped.
pub struct Relay {
    writer: FrameWriter<FRAME_SAMPLES>,
}

impl Relay {
    /// Hands a frame on; false when it was dropped because 2 s wait already. The reader is told the hole.
    pub fn write(&mut self, frame: Frame<FRAME_SAMPLES>) -> bool {
        self.writer.push(frame)
    }

    /// Whether nobody reads any more.
    pub fn is_abandoned(&self) -> bool {
        self.writer.is_abandoned()
    }
}

/// One input at 48 kHz, nothing out.
pub struct Capture {
    writer: FrameWriter<FRAME_SAMPLES>,
    ticks: u32,
}

impl Node for Capture {
    fn ports(&self) -> Ports {
        Ports::sink(mono(MOUTH_HZ))
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        if self.writer.is_abandoned() {
            // Said once a second: a report may be dropped.
            if self.ticks.is_multiple_of(TICKS_PER_SECOND) {
                tick.report(Event::CaptureAbandoned);
            }
            self.ticks = self.ticks.wrapping_add(1);
            return Status::Silent;
        }
        if self.writer.write(tick, inputs.samples(0)) == Written::BeganToDrop {
            tick.report(Event::CaptureOverflowed);
        }
        Status::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::nodes::{frames::Heard, harness::Harness},
        time::{MediaTime, Span},
    };

    #[test]
    fn a_recorder_that_stalls_loses_the_newest_and_is_told_the_hole() {
        let (capture, mut reader) = capture();
        let mut harness = Harness::new(capture);
        harness.feed(&[0.1; FRAME_SAMPLES * 130]);
        assert_eq!(harness.events, [Event::CaptureOverflowed]);
        let kept: Vec<_> = std::iter::from_fn(|| reader.hear()).collect();
        assert_eq!(kept.len(), RING_FRAMES);
        assert_eq!(kept[99], Heard::Frame(Frame { at: MediaTime::from_millis(1_980), samples: [0.1; FRAME_SAMPLES] }));
        harness.feed(&[0.2; FRAME_SAMPLES]);
        let hole = Span::new(MediaTime::from_millis(2_000), MediaTime::from_millis(2_600));
        assert_eq!(reader.hear(), Some(Heard::Lost(hole)));
        assert!(matches!(reader.hear(), Some(Heard::Frame(frame)) if frame.samples[0] == 0.2));
    }

    #[test]
    fn what_is_handed_on_is_heard_with_its_holes_and_ends() {
        let (mut relay, mut reader) = relay();
        let frame = |millis, sample| Frame { at: MediaTime::from_millis(millis), samples: [sample; FRAME_SAMPLES] };
        assert!(relay.write(frame(0, 0.1)) && relay.write(frame(60, 0.2)));
        assert_eq!(reader.hear(), Some(Heard::Frame(frame(0, 0.1))));
        let hole = Span::new(MediaTime::from_millis(20), MediaTime::from_millis(60));
        assert_eq!(reader.hear(), Some(Heard::Lost(hole)));
        // The frame behind the hole waits with the reader, not in the ring.
        assert!((0..RING_FRAMES as u64).all(|n| relay.write(frame(80 + 20 * n, 0.0))));
        assert!(!relay.write(frame(9_000, 0.0)));
        drop(relay);
        assert!(!reader.has_ended());
        while reader.hear().is_some() {}
        assert!(reader.has_ended());
    }

    #[test]
    fn a_reader_that_is_gone_is_reported_once_a_second() {
        let (capture, reader) = capture();
        let mut harness = Harness::new(capture);
        harness.feed(&[0.1; FRAME_SAMPLES]);
        drop(reader);
        harness.feed(&[0.1; 75 * FRAME_SAMPLES]);
        assert_eq!(harness.events, [Event::CaptureAbandoned; 2]);
    }
}
