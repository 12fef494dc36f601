//! From any sample rate to any other, streaming, mono.
//!
//! The converter works in blocks of about 20 ms and its filter delays by half a block. That delay is cut off
//! the start and delivered by [`Resampler::flush`], so output sample `n` belongs to the same instant as input
//! sample `n * from / to`, and a whole signal of `n` samples becomes `round(n * to / from)` samples. Equal
//! rates pass through untouched. Allocates only when the caller's output grows; never reads a clock.

use rubato::{Fft, FixedSync, Resampler as _, audioadapter_buffers::direct::InterleavedSlice};

/// Lowest sample rate that is accepted.
pub const MIN_RATE_HZ: u32 = 1_000;

/// Highest sample rate that is accepted.
pub const MAX_RATE_HZ: u32 = 384_000;

/// Blocks on the slower side are at least this long: the filter has one tap per sample of a block on that
/// side, and fewer than 160 would eat into the telephone band (3.4 kHz at 8 kHz).
const MIN_BLOCK_SAMPLES: u32 = 160;

/// Blocks per second that [`Resampler`] aims at; half a block is the delay of its filter.
const BLOCKS_PER_SECOND: u32 = 50;

/// The caller asked for a rate outside [`MIN_RATE_HZ`]..=[`MAX_RATE_HZ`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample {0} Hz: give a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")]
pub struct BadRate(pub u32);

/// A streaming converter of one channel from one sample rate to another.
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    taken_samples: u64,
    given_samples: u64,
    blocks: Option<Blocks>,
}

impl Resampler {
    /// A converter from `from_hz` to `to_hz`.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, BadRate> {
        for rate_hz in [from_hz, to_hz] {
            if !(MIN_RATE_HZ..=MAX_RATE_HZ).contains(&rate_hz) {
                return Err(BadRate(rate_hz));
            }
        }
        let blocks = (from_hz != to_hz).then(|| Blocks::new(from_hz, to_hz));
        Ok(Self { from_hz, to_hz, taken_samples: 0, given_samples: 0, blocks })
    }

    /// Takes `input` and appends what can be said already to `output`; about 30 ms stay inside.
    pub fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        let before = output.len();
        self.taken_samples += input.len() as u64;
        match &mut self.blocks {
            Some(blocks) => blocks.process(input, output),
            None => output.extend_from_slice(input),
        }
        self.given_samples += (output.len() - before) as u64;
    }

    /// Appends the tail that [`process`](Self::process) still holds, and starts afresh: what comes next is a new signal.
    pub fn flush(&mut self, output: &mut Vec<f32>) {
        if let Some(blocks) = &mut self.blocks {
            let due = scale(self.taken_samples, self.from_hz, self.to_hz).saturating_sub(self.given_samples);
            let end = output.len() + due as usize;
            while output.len() < end {
                blocks.process_silence(output);
            }
            output.truncate(end);
            blocks.restart();
        }
        self.taken_samples = 0;
        self.given_samples = 0;
    }
}

/// `samples` at `from_hz` as a count at `to_hz`, to the nearest.
fn scale(samples: u64, from_hz: u32, to_hz: u32) -> u64 {
    let from = u128::from(from_hz);
    ((u128::from(samples) * u128::from(to_hz) + from / 2) / from) as u64
}

/// The FFT converter with the blocks it wants gathered in front of it.
struct Blocks {
    fft: Fft<f32>,
    gathered: Vec<f32>,
    block_in: usize,
    converted: Vec<f32>,
    /// Samples of the filter's delay that are still to be dropped.
    skip: usize,
}

impl Blocks {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let common = greatest_common_divisor(from_hz, to_hz);
        let (step_in, step_out) = (from_hz / common, to_hz / common);
        let slower = step_in.min(step_out);
        let wanted = (from_hz.min(to_hz) / BLOCKS_PER_SECOND).max(MIN_BLOCK_SAMPLES);
        let mut steps = wanted.div_ceil(slower);
        // Half a block is the filter's delay: blocks that are even on both sides make it a whole number of samples.
        steps += steps % 2;
        let block_in = (steps * step_in) as usize;
        let fft = Fft::new_custom(
            from_hz as usize,
            to_hz as usize,
            block_in,
            1,
            1,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .expect("rates and block are not zero");
        let converted = vec![0.0; fft.output_frames_max()];
        let skip = fft.output_delay();
        Self { fft, gathered: Vec::with_capacity(block_in), block_in, converted, skip }
    }

    fn process(&mut self, mut input: &[f32], output: &mut Vec<f32>) {
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(self.block_in - self.gathered.len()));
            self.gathered.extend_from_slice(now);
            input = later;
            if self.gathered.len() == self.block_in {
                self.convert(output);
            }
        }
    }

    /// Fills the gathered block up with silence and converts it.
    fn process_silence(&mut self, output: &mut Vec<f32>) {
        self.gathered.resize(self.block_in, 0.0);
        self.convert(output);
    }

    fn convert(&mut self, output: &mut Vec<f32>) {
        let capacity = self.converted.len();
        let from = InterleavedSlice::new(&self.gathered, 1, self.block_in).expect("a gathered block is full");
        let mut to = InterleavedSlice::new_mut(&mut self.converted, 1, capacity).expect("the length is its own");
        let (_, made) = self.fft.process_into_buffer(&from, &mut to, None).expect("both blocks have the agreed size");
        let dropped = self.skip.min(made);
        self.skip -= dropped;
        output.extend_from_slice(&self.converted[dropped..made]);
        self.gathered.clear();
    }

    fn restart(&mut self) {
        self.fft.reset();
        self.gathered.clear();
        self.skip = self.fft.output_delay();
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dsp::level::rms_dbfs;

    const RATES_HZ: [u32; 10] = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000];

    fn tone(hz: f64, rate_hz: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate_hz)).sin() as f32).collect()
    }

    fn convert(from_hz: u32, to_hz: u32, input: &[f32]) -> Vec<f32> {
        let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
        let mut output = Vec::new();
        resampler.process(input, &mut output);
        resampler.flush(&mut output);
        output
    }

    #[test]
    fn a_tone_comes_out_at_the_same_times_and_level_for_every_pair_of_rates() {
        for from_hz in RATES_HZ {
            for to_hz in RATES_HZ {
                let output = convert(from_hz, to_hz, &tone(1_000.0, from_hz, from_hz as usize));
                let expected = tone(1_000.0, to_hz, to_hz as usize);
                assert_eq!(output.len(), expected.len());
                let middle = output.len() / 10..output.len() * 9 / 10;
                let error: Vec<f32> = middle.map(|n| output[n] - expected[n]).collect();
                let error_db = rms_dbfs(&error);
                assert!(error_db < -90.0, "{from_hz} -> {to_hz}: error {error_db} dBFS");
            }
        }
    }

    #[test]
    fn tones_above_half_the_new_rate_are_a_hundred_db_down() {
        for (from_hz, to_hz) in [(48_000, 16_000), (44_100, 16_000), (16_000, 8_000), (192_000, 16_000)] {
            for above in [1.01, 1.2, 1.7] {
                let hz = f64::from(to_hz) / 2.0 * above;
                if hz < f64::from(from_hz) / 2.0 {
                    let output = convert(from_hz, to_hz, &tone(hz, from_hz, from_hz as usize));
                    let middle = &output[output.len() / 4..output.len() * 3 / 4];
                    let left_db = rms_dbfs(middle) + 3.01;
                    assert!(left_db < -100.0, "{hz} Hz, {from_hz} -> {to_hz}: {left_db} dB");
                }
            }
        }
    }

    #[test]
    fn images_of_a_tone_are_a_hundred_db_down_when_the_rate_rises() {
        let output = convert(8_000, 16_000, &tone(3_000.0, 8_000, 8_000));
        let expected = tone(3_000.0, 16_000, 16_000);
        let error: Vec<f32> = (4_000..12_000).map(|n| output[n] - expected[n]).collect();
        assert!(rms_dbfs(&error) < -100.0, "{}", rms_dbfs(&error));
    }

    #[test]
    fn the_telephone_band_passes() {
        for hz in [300.0, 1_000.0, 3_000.0, 3_300.0] {
            let level = rms_dbfs(&convert(8_000, 16_000, &tone(hz, 8_000, 8_000))[4_000..12_000]) + 3.01;
            assert!(level.abs() < 0.5, "{hz} Hz: {level} dB");
        }
    }

    #[test]
    fn speech_bandwidth_passes_on_the_way_to_the_ears() {
        for hz in [100.0, 4_000.0, 7_000.0] {
            let level = rms_dbfs(&convert(48_000, 16_000, &tone(hz, 48_000, 48_000))[4_000..12_000]) + 3.01;
            assert!(level.abs() < 0.5, "{hz} Hz: {level} dB");
        }
    }

    #[test]
    fn after_a_flush_a_new_signal_starts_clean() {
        let mut resampler = Resampler::new(44_100, 16_000).unwrap();
        let mut first = Vec::new();
        resampler.process(&tone(440.0, 44_100, 10_000), &mut first);
        resampler.flush(&mut first);
        let mut silence = Vec::new();
        resampler.process(&[0.0; 4_410], &mut silence);
        resampler.flush(&mut silence);
        assert_eq!(silence, vec![0.0; 1_600]);
    }

    #[test]
    fn rates_beyond_reason_are_refused() {
        assert_eq!(Resampler::new(0, 16_000).err(), Some(BadRate(0)));
        assert_eq!(Resampler::new(16_000, 4_000_000_000).err(), Some(BadRate(4_000_000_000)));
    }

    proptest! {
        #[test]
        fn the_length_is_the_ratio_and_the_chunks_do_not_matter(
            from_hz in prop_oneof![prop::sample::select(RATES_HZ.to_vec()), 1_000..50_000_u32],
            to_hz in prop::sample::select(RATES_HZ.to_vec()),
            chunks in prop::collection::vec(0..3_000_usize, 0..12),
        ) {
            let input = tone(300.0, from_hz, chunks.iter().sum());
            let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
            let mut output = Vec::new();
            let mut rest = input.as_slice();
            for chunk in chunks {
                let (now, later) = rest.split_at(chunk);
                resampler.process(now, &mut output);
                rest = later;
            }
            resampler.flush(&mut output);
            let exact = input.len() as f64 * f64::from(to_hz) / f64::from(from_hz);
            prop_assert!((output.len() as f64 - exact).abs() <= 0.5 + 1e-9);
            prop_assert_eq!(output, convert(from_hz, to_hz, &input));
        }
    }
}
