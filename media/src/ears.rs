//! From whatever was decoded to what the ears take: mono at 16 kHz, one stream per channel or one for all.
//!
//! Everything that listens stands behind this adaptor, so nobody else resamples or mixes. Pure; it holds
//! about 30 ms of audio per stream until [`Ears::flush`].

use crate::{
    dsp::resample::{BadRate, Resampler},
    frame::{EAR_HZ, Format},
};

/// How many streams the ears make of several channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// One stream per channel: each channel is somebody else.
    PerChannel,
    /// One stream, the mean of all channels.
    Mixed,
}

/// Channels at some rate into mono streams at [`EAR_HZ`].
pub struct Ears {
    channels: usize,
    listen: Listen,
    streams: Vec<Resampler>,
    mixed: Vec<f32>,
}

impl Ears {
    /// Ears for audio of `format`.
    ///
    /// # Panics
    /// When `format` has no channel.
    pub fn new(format: Format, listen: Listen) -> Result<Self, BadRate> {
        assert!(format.channels > 0, "audio has at least one channel");
        let channels = usize::from(format.channels);
        let streams = match listen {
            Listen::PerChannel => channels,
            Listen::Mixed => 1,
        };
        let streams = (0..streams).map(|_| Resampler::new(format.rate_hz, EAR_HZ)).collect::<Result<_, _>>()?;
        Ok(Self { channels, listen, streams, mixed: Vec::new() })
    }

    /// How many streams come out: the length that `out` must have.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes one block, a slice of equal length per channel, and appends to `out`, one vector per stream.
    ///
    /// # Panics
    /// When `block` has not one entry per channel, its channels differ in length, or `out` has not one per stream.
    pub fn hear(&mut self, block: &[impl AsRef<[f32]>], out: &mut [Vec<f32>]) {
        assert_eq!(block.len(), self.channels, "one slice per channel");
        assert_eq!(out.len(), self.streams.len(), "one vector per stream");
        match self.listen {
            Listen::PerChannel => {
                for ((stream, channel), out) in self.streams.iter_mut().zip(block).zip(out) {
                    stream.process(channel.as_ref(), out);
                }
            }
            Listen::Mixed => {
                let share = 1.0 / self.channels as f32;
                self.mixed.clear();
                self.mixed.resize(block[0].as_ref().len(), 0.0);
                for channel in block {
                    assert_eq!(channel.as_ref().len(), self.mixed.len(), "channels of equal length");
                    for (sum, sample) in self.mixed.iter_mut().zip(channel.as_ref()) {
                        *sum += sample * share;
                    }
                }
                self.streams[0].process(&self.mixed, &mut out[0]);
            }
        }
    }

    /// Appends what is still inside to `out`; what comes next is a new signal.
    ///
    /// # Panics
    /// When `out` has not one vector per stream.
    pub fn flush(&mut self, out: &mut [Vec<f32>]) {
        assert_eq!(out.len(), self.streams.len(), "one vector per stream");
        for (stream, out) in self.streams.iter_mut().zip(out) {
            stream.flush(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: Format = Format { rate_hz: 48_000, channels: 2 };

    fn hear(listen: Listen, block: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let mut ears = Ears::new(STEREO, listen).unwrap();
        let mut out = vec![Vec::new(); ears.streams()];
        ears.hear(block, &mut out);
        ears.flush(&mut out);
        out
    }

    fn tone(hz: f32, rate_hz: f32) -> Vec<f32> {
        (0..rate_hz as usize).map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / rate_hz).sin()).collect()
    }

    #[test]
    fn channels_stay_apart_when_each_is_somebody_else() {
        let out = hear(Listen::PerChannel, &[tone(500.0, 48_000.0), vec![0.0; 48_000]]);
        let expected = tone(500.0, 16_000.0);
        assert!((2_000..14_000).all(|n| (out[0][n] - expected[n]).abs() < 1e-3));
        assert!(out[1].iter().all(|s| s.abs() < 1e-9));
        assert_eq!([out[0].len(), out[1].len()], [16_000; 2]);
    }

    #[test]
    fn mixed_ears_hear_the_mean() {
        let out = hear(Listen::Mixed, &[tone(500.0, 48_000.0), vec![0.0; 48_000]]);
        let expected = tone(500.0, 16_000.0);
        assert_eq!(out.len(), 1);
        assert!((2_000..14_000).all(|n| (out[0][n] - expected[n] / 2.0).abs() < 1e-3));
    }
}
