//! The picture that Whisper's encoders look at: logarithms of 80 mel bands, a column every 10 ms, for 8 s of sound.
//!
//! Pure, and allocates only when it is made: the tables of the window and of the bands, and room for the sound.
//! The sound is moved to mean zero and variance one over the whole 8 s, padding included; frames lie around
//! their hop, with the sound mirrored at both ends; bands are triangles on Slaney's scale, each of the same area;
//! what is more than 80 dB below the loudest point of the picture is raised to it.

use std::{fmt, sync::Arc};

use media::frame::EAR_HZ;
use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

/// Samples in the picture: 8 s.
pub const SAMPLES: usize = 8 * EAR_HZ as usize;

/// Mel bands: the rows of the picture.
pub const MELS: usize = 80;

/// Columns of the picture, one for every hop.
pub const FRAMES: usize = SAMPLES / HOP;

/// Samples from column to column: 10 ms.
pub(crate) const HOP: usize = 160;

/// Samples that a column looks at: 25 ms.
pub(crate) const WINDOW: usize = 400;
const HALF: usize = WINDOW / 2;
const BINS: usize = WINDOW / 2 + 1;

/// Kept from a variance of zero: digital silence stays zero.
const VARIANCE_MIN: f64 = 1e-7;

/// Power below this is none.
const POWER_MIN: f32 = 1e-10;

/// Powers of ten between the loudest point and the quietest that is shown.
const RANGE: f32 = 8.0;

/// Makes pictures.
pub struct Features {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    /// The sound with half a window of mirrored sound on either side.
    sound: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    scratch: Vec<Complex<f32>>,
    picture: Vec<f32>,
}

/// One mel band: what each frequency counts in it, from the first that does.
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) weights: Vec<f32>,
}

impl Band {
    /// What the band holds of a spectrum's power.
    pub(crate) fn of(&self, power: &[f32]) -> f32 {
        self.weights.iter().zip(&power[self.first..]).map(|(weight, power)| weight * power).sum()
    }
}

impl Features {
    /// Lays out the tables.
    pub fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        Self {
            window: hann(),
            bands: bands(MELS),
            sound: vec![0.0; SAMPLES + WINDOW],
            frame: vec![0.0; WINDOW],
            spectrum: fft.make_output_vec(),
            power: vec![0.0; BINS],
            scratch: fft.make_scratch_vec(),
            picture: vec![0.0; MELS * FRAMES],
            fft,
        }
    }

    /// The picture of the last 8 s of `sound` (16 kHz mono in [-1, 1]), with silence before it where it is shorter:
    /// [`MELS`] rows of [`FRAMES`]. What is not a number is silence, what is louder than full is full.
    pub fn of(&mut self, sound: &[f32]) -> &[f32] {
        self.take(sound);
        let mut loudest = f32::NEG_INFINITY;
        for column in 0..FRAMES {
            let heard = &self.sound[column * HOP..][..WINDOW];
            for ((slot, sample), weight) in self.frame.iter_mut().zip(heard).zip(&self.window) {
                *slot = sample * weight;
            }
            self.fft
                .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
                .expect("every buffer was made by the plan");
            for (power, point) in self.power.iter_mut().zip(&self.spectrum) {
                *power = point.norm_sqr();
            }
            for (row, band) in self.bands.iter().enumerate() {
                let level = band.of(&self.power).max(POWER_MIN).log10();
                loudest = loudest.max(level);
                self.picture[row * FRAMES + column] = level;
            }
        }
        for level in &mut self.picture {
            *level = (level.max(loudest - RANGE) + 4.0) / 4.0;
        }
        &self.picture
    }

    /// Puts the sound at the end of the 8 s, evens it out and mirrors its ends.
    fn take(&mut self, sound: &[f32]) {
        let sound = &sound[sound.len().saturating_sub(SAMPLES)..];
        let inner = &mut self.sound[HALF..][..SAMPLES];
        let (silence, heard) = inner.split_at_mut(SAMPLES - sound.len());
        silence.fill(0.0);
        for (slot, sample) in heard.iter_mut().zip(sound) {
            *slot = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        let mean = inner.iter().map(|&sample| f64::from(sample)).sum::<f64>() / SAMPLES as f64;
        let variance = inner.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>() / SAMPLES as f64;
        let scale = 1.0 / (variance + VARIANCE_MIN).sqrt();
        for sample in inner {
            *sample = ((f64::from(*sample) - mean) * scale) as f32;
        }
        for at in 0..HALF {
            self.sound[HALF - 1 - at] = self.sound[HALF + 1 + at];
            self.sound[HALF + SAMPLES + at] = self.sound[HALF + SAMPLES - 2 - at];
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Features").finish_non_exhaustive()
    }
}

/// Hann's window of [`WINDOW`] samples as one period, so that it begins with zero and does not end with it.
pub(crate) fn hann() -> Vec<f32> {
    let turn = |at: usize| std::f64::consts::TAU * at as f64 / WINDOW as f64;
    (0..WINDOW).map(|at| (0.5 - 0.5 * turn(at).cos()) as f32).collect()
}

/// `count` mel bands from 0 Hz to half the sample rate, over the spectrum of [`WINDOW`] samples: triangles that
/// overlap by half.
pub(crate) fn bands(count: usize) -> Vec<Band> {
    let top = mel(f64::from(EAR_HZ) / 2.0);
    let edge = |index: usize| hz(top * index as f64 / (count + 1) as f64);
    (0..count)
        .map(|row| {
            let (low, middle, high) = (edge(row), edge(row + 1), edge(row + 2));
            // Wider triangles are lower, so that all have the same area.
            let height = 2.0 / (high - low);
            let weight = |bin: usize| {
                let at = bin as f64 * f64::from(EAR_HZ) / WINDOW as f64;
                ((at - low) / (middle - low)).min((high - at) / (high - middle)).max(0.0) * height
            };
            let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..BINS).map(weight).take_while(|&weight| weight > 0.0).map(|weight| weight as f32);
            Band { first, weights: weights.collect() }
        })
        .collect()
}

/// Slaney's mel scale: three mels for every 200 Hz up to 1 kHz, then 27 for every factor of 6.4.
fn mel(hz: f64) -> f64 {
    if hz < 1_000.0 { hz * 3.0 / 200.0 } else { 15.0 + 27.0 * (hz / 1_000.0).ln() / 6.4_f64.ln() }
}

fn hz(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1_000.0 * ((mel - 15.0) / 27.0 * 6.4_f64.ln()).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mels_and_hertz_are_each_others_inverse() {
        for at in [0.0, 40.0, 999.0, 1_000.0, 1_001.0, 3_400.0, 8_000.0] {
            assert!((hz(mel(at)) - at).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn a_tone_is_brightest_in_its_own_band() {
        let mut features = Features::new();
        for tone in [300.0_f64, 1_000.0, 3_000.0, 7_000.0] {
            let step = tone / f64::from(EAR_HZ) * std::f64::consts::TAU;
            let sound: Vec<f32> = (0..SAMPLES).map(|at| (at as f64 * step).sin() as f32 / 2.0).collect();
            let picture = features.of(&sound);
            let brightest = (0..MELS).max_by(|&a, &b| picture[a * FRAMES + 400].total_cmp(&picture[b * FRAMES + 400]));
            let row = brightest.expect("there are bands") as f64;
            let centre = (row + 1.0) * mel(8_000.0) / (MELS + 1) as f64;
            assert!((centre - mel(tone)).abs() < 0.6, "{tone} Hz is brightest in row {row}");
        }
    }

    #[test]
    fn nothing_in_the_sound_makes_a_picture_of_no_numbers() {
        let mut features = Features::new();
        let hostile = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1e-40];
        let sounds = [vec![], vec![0.0; 1], vec![1.0; SAMPLES * 2], hostile.repeat(20_000), vec![f32::NAN; 16_000]];
        for sound in &sounds {
            assert!(features.of(sound).iter().all(|level| (-1.51..10.0).contains(level)));
        }
    }

    #[test]
    fn a_picture_does_not_depend_on_the_one_before() {
        let mut features = Features::new();
        let short: Vec<f32> = (0..5_000).map(|at| (at % 70) as f32 / 70.0).collect();
        let first = features.of(&short).to_vec();
        features.of(&vec![0.7; SAMPLES]);
        assert_eq!(features.of(&short), first);
    }
}
