//! From packets that come as they like to an even stream of samples: the one place where two clocks meet.
//!
//! Each tick takes what the tick needs; when samples run out, the jitter buffer is asked, the packet decoded, or
//! its absence concealed. A wait that is longer or shorter than the buffer's target, be it for jitter or because
//! the sender's clock is not ours, is set right by leaving out or repeating single periods of the voice. Runs on
//! the engine's thread; all buffers are made in `new`, nothing allocates after it but a slot's first lap.

use super::{
    conceal::Concealer,
    jitter::{Jitter, Pulled, Put, Shape, Stats},
    source::Arrival,
    stretch,
};
use crate::time::MediaTime;

/// The most that one packet holds, and a lost one too.
const LONGEST_MS: usize = 120;

/// The longest tick: the engine's is half of it.
const LONGEST_TICK_MS: usize = 20;

/// A wait this much over the target is shortened: more than a tick, because a tick may fall anywhere between two
/// packets. One under the target is stretched at once, because a tick asks up to its length early.
const TOO_LONG_MS: i64 = 12;

/// From here on it is urgent: every second packet is stretched, and what has no period too.
const URGENT_MS: i64 = 20;

/// Packets between two stretches that nobody should notice.
const CALM_PACKETS: u32 = 5;

/// What the codec of the stream is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// To decode a packet.
    Decode {
        /// The payload type it came with.
        payload_type: u8,
        /// What the far codec made.
        payload: &'a [u8],
    },
    /// To make up `samples` that are missing.
    Conceal {
        /// How many.
        samples: usize,
        /// The payload after the missing one, which may carry a copy of it.
        next: Option<&'a [u8]>,
    },
}

/// What one tick was made of, in samples; the rest is what the sender said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Concealed.
    pub concealed: usize,
    /// Silent, because nobody spoke.
    pub silent: usize,
}

/// How often the sound was stretched, and by how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretched {
    /// Samples left out.
    pub left_out: u64,
    /// Samples said twice.
    pub repeated: u64,
}

/// One stream on its way to the ear.
pub struct Playout {
    jitter: Jitter,
    concealer: Concealer,
    shape: Shape,
    /// Samples ready to be played, oldest first.
    ready: Vec<f32>,
    /// One packet's samples, with room to stretch them.
    packet: Box<[f32]>,
    packets_since_stretch: u32,
    stretched: Stretched,
}

impl Playout {
    /// A stream of which nothing came yet.
    pub fn new(shape: Shape) -> Self {
        let rate_hz = shape.clock.sample_hz;
        let longest = rate_hz as usize * LONGEST_MS / 1000;
        Self {
            jitter: Jitter::new(shape),
            concealer: Concealer::new(rate_hz),
            shape,
            ready: Vec::with_capacity(longest + longest / 2 + rate_hz as usize * LONGEST_TICK_MS / 1000),
            packet: vec![0.0; longest + longest / 2].into(),
            packets_since_stretch: 0,
            stretched: Stretched::default(),
        }
    }

    /// Takes a packet of sound.
    pub fn put(&mut self, arrival: Arrival, payload_type: u8, payload: &[u8]) -> Put {
        self.jitter.put(arrival, payload_type, payload)
    }

    /// Takes the place of a packet that is no sound.
    pub fn put_other(&mut self, arrival: Arrival) -> Put {
        self.jitter.put_other(arrival)
    }

    /// Fills `out`, mono at the clock's rate and at most 20 ms, with what is heard at `now`.
    ///
    /// `codec` writes samples to the front of the slice it is lent and says how many; `None` when it could not
    /// decode, or has no concealment of its own.
    ///
    /// # Panics
    /// When `out` is longer than 20 ms: no engine ticks so slowly.
    pub fn tick(
        &mut self,
        now: MediaTime,
        out: &mut [f32],
        codec: &mut impl FnMut(Ask<'_>, &mut [f32]) -> Option<usize>,
    ) -> Made {
        let longest = self.packet.len() * 2 / 3;
        let longest_tick = self.shape.clock.sample_hz as usize * LONGEST_TICK_MS / 1000;
        assert!(out.len() <= longest_tick, "a tick is at most 20 ms");
        let mut made = Made::default();
        while self.ready.len() < out.len() {
            match self.jitter.pull(now, self.ready.len()) {
                Pulled::Packet { payload_type, payload } => {
                    let decoded = codec(Ask::Decode { payload_type, payload }, &mut self.packet[..longest]);
                    match decoded.filter(|samples| (1..=longest).contains(samples)) {
                        Some(samples) => self.heard(now, samples),
                        None => {
                            let lost = self.jitter.packet_samples();
                            made.concealed += self.fill(lost);
                        }
                    }
                }
                Pulled::Missing { ticks, next } => {
                    let samples = (self.shape.clock.samples(ticks).max(1) as usize).min(longest);
                    match codec(Ask::Conceal { samples, next }, &mut self.packet[..longest]) {
                        Some(written) if (1..=longest).contains(&written) => {
                            self.concealer.remember(&self.packet[..written]);
                            self.ready.extend_from_slice(&self.packet[..written]);
                            made.concealed += written;
                        }
                        _ => made.concealed += self.fill(samples),
                    }
                }
                Pulled::Silence => made.silent += self.fill(out.len() - self.ready.len()),
            }
        }
        out.copy_from_slice(&self.ready[..out.len()]);
        let left = self.ready.len() - out.len();
        self.ready.copy_within(out.len().., 0);
        self.ready.truncate(left);
        made
    }

    /// How long packets are meant to wait, in milliseconds.
    pub fn target_ms(&self) -> f64 {
        self.jitter.target_ms()
    }

    /// What the jitter buffer counted.
    pub fn stats(&self) -> Stats {
        self.jitter.stats()
    }

    /// What was left out and repeated.
    pub fn stretched(&self) -> Stretched {
        self.stretched
    }

    fn heard(&mut self, now: MediaTime, samples: usize) {
        self.concealer.heard(&mut self.packet[..samples]);
        let length = self.set_right(now, samples);
        self.ready.extend_from_slice(&self.packet[..length]);
    }

    fn fill(&mut self, samples: usize) -> usize {
        let samples = samples.clamp(1, self.packet.len());
        self.concealer.fill(&mut self.packet[..samples]);
        self.ready.extend_from_slice(&self.packet[..samples]);
        samples
    }

    /// Stretches the packet just decoded if the wait asks for it; says how long it is then.
    fn set_right(&mut self, now: MediaTime, samples: usize) -> usize {
        self.packets_since_stretch += 1;
        let rate_hz = self.shape.clock.sample_hz;
        let excess = self.jitter.excess_samples(now, self.ready.len() + samples);
        let excess_ms = excess * 1000 / i64::from(rate_hz);
        let urgent = excess_ms.abs() >= URGENT_MS;
        if self.packets_since_stretch < if urgent { 2 } else { CALM_PACKETS } {
            return samples;
        }
        let length = if excess_ms > TOO_LONG_MS {
            stretch::shorten(&mut self.packet[..samples], rate_hz, urgent)
        } else if excess < 0 {
            stretch::lengthen(&mut self.packet, samples, rate_hz, urgent)
        } else {
            return samples;
        };
        if length != samples {
            self.packets_since_stretch = 0;
        }
        self.stretched.left_out += samples.saturating_sub(length) as u64;
        self.stretched.repeated += length.saturating_sub(samples) as u64;
        length
    }
}
