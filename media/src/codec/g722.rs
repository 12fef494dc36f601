//! G.722 at 64 kbit/s: wideband speech, two samples at 16 kHz in each byte (ITU-T G.722, 11/88 and later).
//!
//! A pair of mirror filters parts the sound at 4 kHz; the lower half is coded with six bits and the upper with
//! two, each as the difference from what an adaptive filter predicts. Coder and decoder run the same prediction
//! over what was sent, so both know it. Whole-number arithmetic exactly as the recommendation writes it, under
//! its own names for the blocks. No allocation, no clock.

use super::pcm::to_i16;

/// The filters that part and join the halves (table 11 of the recommendation), every second tap; the other half
/// is the same backwards.
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];

/// What each code of two, four and six bits stands for, in parts of the step (tables 14 to 16).
const HIGH_LEVELS: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
const LOW_LEVELS_4: [i32; 16] =
    [0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200, 0];
const LOW_LEVELS_6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232, -9_360,
    -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776, -2_400, -2_032,
    -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576,
    7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040,
    728, 432, 136, -432, -136,
];

/// Where one level of the lower half ends and the next begins, in eighths of the step (table 13).
const LOW_BOUNDS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121, 1_219, 1_339,
    1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];

/// The boundary between the two levels of the upper half (table 13).
const HIGH_BOUND: i32 = 564;

/// How each level changes the logarithm of the step (tables 17 and 18).
const LOW_STEP_CHANGES: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];
const HIGH_STEP_CHANGES: [i32; 4] = [798, -214, 798, -214];

/// Powers of two by 32nds, from 2048: the step of a logarithm (table 19).
const STEPS: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774, 2_834,
    2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// Sound at 16 kHz into bytes.
#[derive(Clone, Debug)]
pub struct Encoder {
    low: Band,
    high: Band,
    mirror: Mirror,
}

/// Bytes into sound at 16 kHz.
#[derive(Clone, Debug)]
pub struct Decoder {
    low: Band,
    high: Band,
    mirror: Mirror,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), mirror: Mirror::default() }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), mirror: Mirror::default() }
    }
}

impl Encoder {
    /// Encodes pairs of samples in [-1, 1] to the front of `out`; how many bytes that were. What `out` has no room
    /// for is left out, and so is an odd sample.
    pub fn encode(&mut self, samples: &[f32], out: &mut [u8]) -> usize {
        let pairs = samples.as_chunks::<2>().0;
        for (byte, [first, second]) in out.iter_mut().zip(pairs) {
            *byte = self.byte(to_i16(*first).into(), to_i16(*second).into());
        }
        pairs.len().min(out.len())
    }

    fn byte(&mut self, first: i32, second: i32) -> u8 {
        let (odd, even) = self.mirror.push(first, second);
        let (low, high) = ((even + odd) >> 14, (even - odd) >> 14);
        let low_code = low_code(saturate(low - self.low.predicted), self.low.step);
        self.low.adapt_low(low_code >> 2);
        let high_code = high_code(saturate(high - self.high.predicted), self.high.step);
        self.high.adapt_high(high_code);
        (high_code << 6 | low_code) as u8
    }
}

impl Decoder {
    /// Decodes bytes to pairs of samples at the front of `out`; how many samples that were. What `out` has no room
    /// for is left out.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [f32]) -> usize {
        let pairs = out.as_chunks_mut::<2>().0;
        let decoded = pairs.len().min(bytes.len());
        for (pair, byte) in pairs.iter_mut().zip(bytes) {
            *pair = self.pair(*byte).map(|sample| sample as f32 / 32_768.0);
        }
        2 * decoded
    }

    fn pair(&mut self, byte: u8) -> [i32; 2] {
        let (low_code, high_code) = (usize::from(byte & 0x3f), usize::from(byte >> 6));
        let low = self.low.predicted + ((self.low.step * LOW_LEVELS_6[low_code]) >> 15);
        self.low.adapt_low(low_code >> 2);
        let high = self.high.predicted + ((self.high.step * HIGH_LEVELS[high_code]) >> 15);
        self.high.adapt_high(high_code);
        let (low, high) = (low.clamp(-16_384, 16_383), high.clamp(-16_384, 16_383));
        let (odd, even) = self.mirror.push(low + high, low - high);
        [saturate(even >> 11), saturate(odd >> 11)]
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// QUANTL: the code of six bits for a difference in the lower half.
fn low_code(difference: i32, step: i32) -> usize {
    let magnitude = if difference >= 0 { difference } else { -(difference + 1) };
    let level = LOW_BOUNDS.iter().take_while(|bound| magnitude >= (*bound * step) >> 12).count();
    match (difference < 0, level) {
        (true, 0) => 63,
        (true, 1) => 62,
        (true, level) => 33 - level,
        (false, level) => 61 - level,
    }
}

/// QUANTH: the code of two bits for a difference in the upper half.
fn high_code(difference: i32, step: i32) -> usize {
    let magnitude = if difference >= 0 { difference } else { -(difference + 1) };
    let is_large = magnitude >= (HIGH_BOUND * step) >> 12;
    match (difference < 0, is_large) {
        (true, false) => 1,
        (true, true) => 0,
        (false, false) => 3,
        (false, true) => 2,
    }
}

/// The last 24 samples before or behind the mirror filters: the first and the second of each pair, oldest first.
#[derive(Clone, Debug, Default)]
struct Mirror {
    first: [i32; 12],
    second: [i32; 12],
}

impl Mirror {
    /// Takes two samples; the sums of both halves of the filter.
    fn push(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.first.copy_within(1.., 0);
        self.second.copy_within(1.., 0);
        (self.first[11], self.second[11]) = (first, second);
        let odd = self.first.iter().zip(MIRROR).map(|(sample, tap)| sample * tap).sum();
        let even = self.second.iter().zip(MIRROR.iter().rev()).map(|(sample, tap)| sample * tap).sum();
        (odd, even)
    }
}

/// One half of the sound: how coarse its steps are, and what is predicted.
#[derive(Clone, Debug)]
struct Band {
    /// What the next sample is predicted to be: S.
    predicted: i32,
    /// The part of it from the six differences before: SZ.
    from_differences: i32,
    /// The size of a step, DET, and its logarithm, NB.
    step: i32,
    step_log: i32,
    /// The last differences with the weights that predict from them, newest first: D and B.
    differences: [i32; 6],
    difference_weights: [i32; 6],
    /// The last two samples with their weights: R and A.
    samples: [i32; 2],
    weights: [i32; 2],
    /// The last two samples without the share of [`Band::samples`]: P.
    partials: [i32; 2],
}

impl Band {
    fn new(step: i32) -> Self {
        Self {
            predicted: 0,
            from_differences: 0,
            step,
            step_log: 0,
            differences: [0; 6],
            difference_weights: [0; 6],
            samples: [0; 2],
            weights: [0; 2],
            partials: [0; 2],
        }
    }

    /// Learns from the upper four bits of the lower half's code: the other two may be lost to data on the way.
    fn adapt_low(&mut self, code: usize) {
        let difference = (self.step * LOW_LEVELS_4[code]) >> 15;
        self.adapt_step(LOW_STEP_CHANGES[code], 18_432, 8);
        self.predict(difference);
    }

    /// Learns from the upper half's code.
    fn adapt_high(&mut self, code: usize) {
        let difference = (self.step * HIGH_LEVELS[code]) >> 15;
        self.adapt_step(HIGH_STEP_CHANGES[code], 22_528, 10);
        self.predict(difference);
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH.
    fn adapt_step(&mut self, change: i32, most: i32, octaves: i32) {
        self.step_log = (((self.step_log * 127) >> 7) + change).clamp(0, most);
        let down = octaves - (self.step_log >> 11);
        let mantissa = STEPS[(self.step_log >> 6 & 31) as usize];
        let shifted = if down < 0 { mantissa << -down } else { mantissa >> down };
        self.step = shifted << 2;
    }

    /// Takes the difference that was coded and predicts the next sample.
    fn predict(&mut self, difference: i32) {
        let sample = saturate(self.predicted + difference);
        let partial = saturate(self.from_differences + difference);
        self.adapt_weights(partial);
        self.adapt_difference_weights(difference);
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.samples = [sample, self.samples[0]];
        self.partials = [partial, self.partials[0]];
        // FILTEP and FILTEZ.
        let from_samples = weighted(&self.samples, &self.weights);
        self.from_differences = weighted(&self.differences, &self.difference_weights);
        self.predicted = saturate(from_samples + self.from_differences);
    }

    /// UPPOL2, then UPPOL1, which is kept where the filter is stable.
    fn adapt_weights(&mut self, partial: i32) {
        let [first, second] = self.weights;
        let agrees = |before: i32| (partial < 0) == (before < 0);
        let leaning = saturate(first << 2);
        let leaning = if agrees(self.partials[0]) { (-leaning).min(32_767) } else { leaning };
        let nudge = if agrees(self.partials[1]) { 128 } else { -128 };
        let second = (nudge + (leaning >> 7) + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);
        let nudge = if agrees(self.partials[0]) { 192 } else { -192 };
        let most = saturate(15_360 - second);
        let first = saturate(nudge + ((first * 32_640) >> 15)).clamp(-most, most);
        self.weights = [first, second];
    }

    /// UPZERO.
    fn adapt_difference_weights(&mut self, difference: i32) {
        let nudge = if difference == 0 { 0 } else { 128 };
        for (weight, before) in self.difference_weights.iter_mut().zip(self.differences) {
            let nudge = if (difference < 0) == (before < 0) { nudge } else { -nudge };
            *weight = saturate(nudge + ((*weight * 32_640) >> 15));
        }
    }
}

fn weighted(values: &[i32], weights: &[i32]) -> i32 {
    let parts = values.iter().zip(weights);
    // The oldest first, as the recommendation adds; the sum saturates once, as its 32-bit reference does.
    saturate(parts.rev().map(|(value, weight)| (weight * saturate(value << 1)) >> 15).sum())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    /// Two seconds of everything: quiet tones, loud noise, and jumps between the ends of the scale.
    fn everything() -> Vec<i16> {
        let mut state = 1_u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        (0..32_000_i32)
            .map(|n| match n / 8_000 {
                0 => (n % 80 * 200 - 8_000) as i16,
                1 => draw() / 64,
                2 => draw(),
                _ => [i16::MIN, i16::MAX][usize::from(draw() > 0)],
            })
            .collect()
    }

    fn encoded(samples: &[i16]) -> Vec<u8> {
        let samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        let mut bytes = vec![0; samples.len() / 2];
        assert_eq!(Encoder::default().encode(&samples, &mut bytes), bytes.len());
        bytes
    }

    fn decoded(bytes: &[u8]) -> Vec<i16> {
        let mut samples = vec![0.0; 2 * bytes.len()];
        assert_eq!(Decoder::default().decode(bytes, &mut samples), samples.len());
        samples.iter().map(|sample| (sample * 32_768.0) as i16).collect()
    }

    fn little_endian(samples: &[i16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    /// Every byte that there is, in no order.
    fn any_bytes() -> Vec<u8> {
        (0..16_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    /// FNV-1a, in 32 bits.
    fn fingerprint(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }

    #[test]
    fn the_bits_are_those_of_the_recommendation() {
        // Of these inputs, as an independent coder and decoder of the recommendation made them.
        assert_eq!(fingerprint(&encoded(&everything())), ENCODED);
        assert_eq!(fingerprint(&little_endian(&decoded(&any_bytes()))), DECODED);
    }

    const ENCODED: u32 = 2_248_429_456;
    const DECODED: u32 = 863_570_612;

    /// What `ffmpeg` makes of `input`; `None` where there is none.
    fn ffmpeg(arguments: &[&str], input: Vec<u8>) -> Option<Vec<u8>> {
        let mut child = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take()?;
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().ok()?;
        writer.join().unwrap().unwrap();
        output.status.success().then_some(output.stdout)
    }

    #[test]
    fn another_coder_and_decoder_agree_bit_by_bit() {
        let sound = everything();
        let encode = ["-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", "-c:a", "g722", "-f", "g722", "-"];
        let decode = ["-f", "g722", "-i", "-", "-f", "s16le", "-"];
        let Some(theirs) = ffmpeg(&encode, little_endian(&sound)) else {
            println!("skipped: no ffmpeg with G.722 on this machine");
            return;
        };
        assert!(theirs == encoded(&sound), "encoded otherwise");
        for bytes in [theirs, any_bytes()] {
            let samples = ffmpeg(&decode, bytes.clone()).unwrap();
            assert!(samples == little_endian(&decoded(&bytes)), "decoded otherwise");
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_and_no_sample_is_too_odd() {
        let mut bytes = [7; 3];
        let odd = [f32::NAN, f32::INFINITY, -f32::INFINITY, 9.0, 0.1];
        assert_eq!(Encoder::default().encode(&odd, &mut bytes), 2);
        assert_eq!(bytes[2], 7);
        assert_eq!(Encoder::default().encode(&[0.0; 8], &mut bytes[..1]), 1);
        let mut samples = [0.0; 5];
        assert_eq!(Decoder::default().decode(&[1, 2, 3, 4], &mut samples), 4);
    }
}
