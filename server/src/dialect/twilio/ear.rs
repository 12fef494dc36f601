//! What is heard, as Media Streams carry it: mu-law at 8 kHz, 160 bytes every 20 ms, silence and all.
//!
//! The graph makes a frame every 20 ms and so sets the pace; whoever holds an [`Ear`] looks often and takes what is
//! there. What the graph could not hand over is silence when it is short, so that sounds stay where they were, and a
//! jump of the time when it is long. Told nothing of clocks: times are those of the frames.

use std::time::Duration;

use media::{
    codec::g711::Law,
    dsp::resample::Resampler,
    frame::MOUTH_HZ,
    graph::nodes::{capture::CaptureReader, frames::Heard},
    time::MediaTime,
};

/// The rate of a stream.
pub const RATE_HZ: u32 = 8_000;

/// Bytes of 20 ms.
pub const CHUNK_BYTES: usize = 160;

/// A hole up to this long is filled with silence: longer ones would come as a flood.
const FILLED_MS: u64 = 200;

/// 20 ms of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// When it was heard, in milliseconds since the stream's first frame.
    pub at_ms: u64,
    /// Mu-law.
    pub payload: [u8; CHUNK_BYTES],
}

/// A reader of one track.
pub struct Ear {
    reader: CaptureReader,
    resampler: Resampler,
    /// At 8 kHz, not yet taken.
    samples: Vec<f32>,
    /// When the next chunk was heard; `None` before the first frame.
    at_ms: Option<u64>,
}

impl Ear {
    /// Of what `reader` hears.
    pub fn new(reader: CaptureReader) -> Self {
        let resampler = Resampler::new(MOUTH_HZ, RATE_HZ).expect("both rates are among those that are resampled");
        Self { reader, resampler, samples: Vec::new(), at_ms: None }
    }

    /// The next 20 ms, when they are there. `zero` is the stream's first frame, set by whichever ear comes first.
    pub fn next(&mut self, zero: &mut Option<MediaTime>) -> Option<Chunk> {
        while self.samples.len() < CHUNK_BYTES {
            match self.reader.hear()? {
                Heard::Frame(frame) => {
                    let zero = *zero.get_or_insert(frame.at);
                    self.at_ms.get_or_insert_with(|| millis(frame.at.since(zero)));
                    self.resampler.process(&frame.samples, &mut self.samples);
                }
                Heard::Lost(hole) => {
                    let lost_ms = millis(hole.duration());
                    let filled_ms = lost_ms.min(FILLED_MS);
                    self.samples.resize(self.samples.len() + filled_ms as usize * (RATE_HZ as usize / 1_000), 0.0);
                    if let Some(at_ms) = &mut self.at_ms {
                        *at_ms += lost_ms - filled_ms;
                    }
                }
            }
        }
        let mut payload = [0; CHUNK_BYTES];
        for (byte, sample) in payload.iter_mut().zip(self.samples.drain(..CHUNK_BYTES)) {
            *byte = Law::Mu.encode(sample.clamp(-1.0, 1.0));
        }
        let at_ms = self.at_ms.unwrap_or_default();
        self.at_ms = Some(at_ms + 20);
        Some(Chunk { at_ms, payload })
    }

    /// Whether whoever was heard is gone and all of it was taken.
    pub fn has_ended(&self) -> bool {
        self.reader.has_ended()
    }

    /// Throws away what waits, for a stream that begins only now.
    pub fn skip(&mut self) {
        while self.reader.hear().is_some() {}
        self.samples.clear();
        self.at_ms = None;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
