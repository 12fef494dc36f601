//! Opus of a call: mono at 48 kHz both ways, with loss in mind.
//!
//! The encoder puts a coarse copy of the packet before into each packet once loss is expected (in-band FEC), and
//! may fall silent with the speaker (DTX). The decoder takes mono and stereo, fills a loss from that copy where
//! it came, and from its own state where it did not. Runs on the engine's thread: libopus keeps its state in
//! one block that is made in `new`, and nothing else allocates.

use ::opus::{Application, Bitrate, Channels, Signal};

/// The longest frame (RFC 6716 section 3.2.1).
pub const FRAME_MAX_BYTES: usize = 1_275;

/// Samples of the shortest frame, 2.5 ms: all lengths are multiples of it.
const GRAIN_SAMPLES: usize = 120;

/// A packet of so few bytes says only that nobody speaks, and need not be sent.
const NOTHING_SAID_BYTES: usize = 2;

/// Loss under this share is not worth the copies' bits.
const LOSS_WORTH_COPIES: f32 = 0.01;

/// More than this the encoder is not told: copies would starve the sound itself.
const LOSS_MOST: f32 = 0.3;

/// How a voice is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bits in a second on average; from 32,000 on it carries a full-band voice and its copies.
    pub bitrate_bps: u32,
    /// Whether packets carry copies of the one before while packets are lost.
    pub fec: bool,
    /// Whether nothing is sent while nobody speaks. Off, because the far end's idea of silence is often worse.
    pub dtx: bool,
    /// Effort, 0 to 10.
    pub complexity: u8,
}

impl Default for Options {
    /// Bits are cheaper than effort: 48 kbit/s at complexity 1 keep as much of a voice as 32 kbit/s at complexity 5
    /// (7.5 and 7.2 dB of signal over error in critical bands, read speech), for half the processor time.
    fn default() -> Self {
        Self { bitrate_bps: 48_000, fec: true, dtx: false, complexity: 1 }
    }
}

/// The encoder refused its options: a mistake of whoever chose them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Opus cannot be used so: {0}")]
pub struct BadOptions(String);

impl From<::opus::Error> for BadOptions {
    fn from(error: ::opus::Error) -> Self {
        Self(error.description().to_owned())
    }
}

/// A voice at 48 kHz into packets.
pub struct Encoder {
    inner: ::opus::Encoder,
    fec: bool,
    dtx: bool,
    loss_percent: i32,
}

impl Encoder {
    /// An encoder that expects no loss yet.
    ///
    /// # Errors
    /// When an option is out of its range.
    pub fn new(options: Options) -> Result<Self, BadOptions> {
        let mut inner = ::opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(options.bitrate_bps).unwrap_or(i32::MAX)))?;
        inner.set_complexity(i32::from(options.complexity))?;
        inner.set_signal(Signal::Voice)?;
        inner.set_inband_fec(options.fec)?;
        inner.set_dtx(options.dtx)?;
        Ok(Self { inner, fec: options.fec, dtx: options.dtx, loss_percent: 0 })
    }

    /// Tells which share of packets, 0 to 1, is lost on the way.
    pub fn expect_loss(&mut self, share: f32) {
        let share = if share < LOSS_WORTH_COPIES { 0.0 } else { share.min(LOSS_MOST) };
        let percent = (share * 100.0).round() as i32;
        if self.fec && percent != self.loss_percent && self.inner.set_packet_loss_perc(percent).is_ok() {
            self.loss_percent = percent;
        }
    }

    /// Encodes one packet of 10, 20, 40 or 60 ms to the front of `out`; how long it is, 0 when there is nothing to
    /// send.
    pub fn encode(&mut self, samples: &[f32], out: &mut [u8]) -> usize {
        let bytes = self.inner.encode_float(samples, out).unwrap_or(0);
        if self.dtx && bytes <= NOTHING_SAID_BYTES { 0 } else { bytes }
    }
}

/// Packets into a voice at 48 kHz.
pub struct Decoder {
    inner: ::opus::Decoder,
}

impl Decoder {
    /// A decoder of which nothing was asked yet.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self, BadOptions> {
        Ok(Self { inner: ::opus::Decoder::new(48_000, Channels::Mono)? })
    }

    /// Decodes a packet to the front of `out`; how many samples that were, `None` when it is no Opus packet or
    /// longer than `out`.
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Option<usize> {
        if packet.is_empty() {
            return None;
        }
        self.inner.decode_float(packet, out, false).ok()
    }

    /// Makes up `samples` samples that are missing, to the front of `out`; how many that were. `next` is the packet
    /// right behind them, whose copy of the missing one is used where it has one.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut [f32]) -> Option<usize> {
        let samples = samples.next_multiple_of(GRAIN_SAMPLES);
        if let Some(next) = next.filter(|next| !next.is_empty())
            && let Ok(copied) = self.inner.get_nb_samples(next)
        {
            // The copy is of a whole packet; of a gap whose beginning was made up already, its end is what is missing.
            let whole = samples.max(copied);
            if let Ok(made) = self.inner.decode_float(next, out.get_mut(..whole)?, true) {
                out.copy_within(made.saturating_sub(samples)..made, 0);
                return Some(made.min(samples));
            }
        }
        self.inner.decode_float(&[], out.get_mut(..samples)?, false).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::level::rms_dbfs;

    const PACKET: usize = 960;

    fn tone(packets: usize) -> Vec<f32> {
        (0..PACKET * packets).map(|n| 0.5 * (n as f32 * std::f32::consts::TAU / 96.0).sin()).collect()
    }

    fn packets(options: Options, loss: f32, sound: &[f32]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(options).unwrap();
        encoder.expect_loss(loss);
        let mut out = [0; 1_275];
        let encode = |packet: &[f32]| {
            let length = encoder.encode(packet, &mut out);
            out[..length].to_vec()
        };
        sound.chunks_exact(PACKET).map(encode).collect()
    }

    #[test]
    fn a_tone_keeps_its_level_from_mono_and_from_stereo() {
        let mono = packets(Options::default(), 0.0, &tone(50));
        let mut stereo = ::opus::Encoder::new(48_000, Channels::Stereo, Application::Voip).unwrap();
        let both: Vec<f32> = tone(50).iter().flat_map(|sample| [*sample; 2]).collect();
        let stereo =
            both.chunks_exact(2 * PACKET).map(|packet| stereo.encode_vec_float(packet, 1_275).unwrap()).collect();
        for packets in [mono, stereo] {
            let mut decoder = Decoder::new().unwrap();
            let mut sound = Vec::new();
            for packet in &packets {
                let mut out = [0.0; 5_760];
                let samples = decoder.decode(packet, &mut out).unwrap();
                sound.extend_from_slice(&out[..samples]);
            }
            let level = rms_dbfs(&sound[24_000..]);
            assert!((level + 9.03).abs() < 0.5, "{level} dBFS");
        }
    }

    #[test]
    fn a_lost_packet_is_taken_from_the_copy_in_the_next_also_when_half_of_it_was_made_up() {
        // A voice that glides, so that what is lost cannot be guessed from what was before.
        let mut phase = 0.0_f32;
        let sound: Vec<f32> = (0..PACKET * 100)
            .map(|n| {
                let hz = 180.0 + 70.0 * (n as f32 / 1_100.0).sin();
                phase += hz * std::f32::consts::TAU / 48_000.0;
                (1..6).map(|harmonic| 0.1 * (phase * harmonic as f32).sin()).sum()
            })
            .collect();
        let packets = packets(Options::default(), 0.2, &sound);
        for made_up in [0, 480] {
            let [with_copy, without] = [true, false].map(|has_copy| {
                let (mut whole, mut lossy) = (Decoder::new().unwrap(), Decoder::new().unwrap());
                let (mut expected, mut made) = ([0.0; 5_760], [0.0; 5_760]);
                let mut error = 0.0;
                for (number, packet) in packets.iter().enumerate() {
                    whole.decode(packet, &mut expected).unwrap();
                    let Some(next) = packets.get(number + 1).filter(|_| number % 5 == 4) else {
                        lossy.decode(packet, &mut made).unwrap();
                        continue;
                    };
                    if made_up > 0 {
                        assert_eq!(lossy.conceal(made_up, None, &mut made), Some(made_up));
                    }
                    let rest = PACKET - made_up;
                    assert_eq!(lossy.conceal(rest, has_copy.then_some(next), &mut made), Some(rest));
                    let truth = &expected[made_up..PACKET];
                    error += made.iter().zip(truth).map(|(made, truth)| (made - truth) * (made - truth)).sum::<f32>();
                }
                error
            });
            println!("{made_up} made up: an error of {with_copy} with the copy, {without} without");
            assert!(with_copy < 0.6 * without, "{made_up} made up: {with_copy} with the copy, {without} without");
        }
    }

    #[test]
    fn silence_is_not_sent_when_it_need_not_be() {
        let mut sound = tone(25);
        sound.resize(PACKET * 200, 0.0);
        let sent = |dtx| {
            let packets = packets(Options { dtx, ..Options::default() }, 0.0, &sound);
            packets[50..].iter().filter(|packet| !packet.is_empty()).count()
        };
        assert_eq!(sent(false), 150);
        assert!(sent(true) < 30, "{} of 150", sent(true));
    }

    #[test]
    fn options_out_of_range_are_refused() {
        assert!(Encoder::new(Options { complexity: 11, ..Options::default() }).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic_and_odd_lengths_are_rounded_up() {
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0.0; 5_760];
        for first in 0..=255 {
            let packet = [first, 0xff, 3, 0, 1, 2, 3];
            for length in 0..packet.len() {
                let _ = decoder.decode(&packet[..length], &mut out);
                let _ = decoder.conceal(960, Some(&packet[..length]), &mut out);
            }
        }
        assert_eq!(decoder.conceal(441, None, &mut out), Some(480));
        assert_eq!(decoder.conceal(481, None, &mut out[..480]), None);
    }
}
