//! The picture that most voice models look at: logarithms of Kaldi's filter bank, a row every 10 ms.
//!
//! Pure. Sound comes in pieces of any length and rows come out as soon as they are certain, as from
//! [`super::mel`]. A row looks at 25 ms of sound around its hop: the mean is taken out, highs are raised
//! (`x[n] - 0.97 x[n-1]`), a window is laid over it, and the power of 512 points is gathered in triangles that are
//! even on the scale `1127 ln(1 + f / 700)` from 20 Hz to 8 kHz. No dither. The mean over a piece is taken out later,
//! by whoever knows what belongs to a piece ([`super::voice`]).
//! Source: Kaldi's `compute-fbank-feats` in the form of torchaudio's `compliance.kaldi.fbank`; WeSpeaker's
//! `infer_onnx.py` for Hamming's window and 16-bit samples, 3D-Speaker's `processor.py` for Povey's window.

use std::{fmt, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

use super::mel::{COLUMNS, Row};
use crate::turn::features::{Band, HOP, WINDOW};

/// What the models differ in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    /// Bands, [`COLUMNS`] at most.
    pub(super) bands: usize,
    pub(super) taper: Taper,
    /// What full scale is to the model.
    pub(super) full: f32,
}

/// The window that is laid over 25 ms of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taper {
    /// Hann's to the power of 0.85, Kaldi's usual one.
    Povey,
    /// Hamming's.
    Hamming,
}

/// Makes rows.
pub(super) struct Fbank {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    full: f32,
    /// Sound from the beginning of the next row's window on.
    sound: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl Fbank {
    /// Lays out the tables.
    pub(super) fn new(form: Form) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(POINTS);
        Self {
            window: window(form.taper),
            bands: triangles(form.bands.min(COLUMNS)),
            full: form.full,
            sound: vec![0.0; AROUND],
            frame: vec![0.0; POINTS],
            spectrum: fft.make_output_vec(),
            power: vec![0.0; POINTS / 2 + 1],
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// Takes the next samples (16 kHz mono) and appends the rows that are certain by them.
    pub(super) fn hear(&mut self, samples: &[f32], rows: &mut impl Extend<Row>) {
        self.sound.extend_from_slice(samples);
        let mut at = 0;
        while at + WINDOW <= self.sound.len() {
            rows.extend([self.row(at)]);
            at += HOP;
        }
        self.sound.drain(..at);
    }

    /// Appends the last rows: the sound has ended.
    pub(super) fn end(&mut self, rows: &mut impl Extend<Row>) {
        self.hear(&[0.0; AROUND], rows);
    }

    /// The row of the window that begins at `at` in the sound.
    fn row(&mut self, at: usize) -> Row {
        let heard = &self.sound[at..at + WINDOW];
        let own = &heard[AROUND..AROUND + HOP];
        let power = own.iter().map(|sample| sample * sample).sum::<f32>() / HOP as f32;
        let mean = heard.iter().sum::<f32>() / WINDOW as f32;
        // Nothing is before the first sample: it stands in for that.
        let mut before = heard[0] - mean;
        for ((slot, sample), weight) in self.frame.iter_mut().zip(heard).zip(&self.window) {
            let sample = sample - mean;
            *slot = (sample - EMPHASIS * before) * weight * self.full;
            before = sample;
        }
        // The transform uses its input up: what lies behind the window has to be silence again.
        self.frame[WINDOW..].fill(0.0);
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("every buffer was made by the plan");
        for (power, point) in self.power.iter_mut().zip(&self.spectrum) {
            *power = point.norm_sqr();
        }
        let mut row = Row { bands: [0.0; COLUMNS], power };
        for (slot, band) in row.bands.iter_mut().zip(&self.bands) {
            *slot = band.of(&self.power).max(f32::EPSILON).ln();
        }
        row
    }
}

impl fmt::Debug for Fbank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fbank").finish_non_exhaustive()
    }
}

/// Samples that a row looks at on either side of its own.
const AROUND: usize = (WINDOW - HOP) / 2;

/// Points of the transform: the power of two next above the window.
const POINTS: usize = 512;

/// How much of the sample before is taken out.
const EMPHASIS: f32 = 0.97;

/// Where the lowest band begins and the highest ends.
const LOW_HZ: f64 = 20.0;
const HIGH_HZ: f64 = 8_000.0;

/// The window over [`WINDOW`] samples: the same at both ends.
fn window(taper: Taper) -> Vec<f32> {
    let cosine = |at: usize| (std::f64::consts::TAU * at as f64 / (WINDOW - 1) as f64).cos();
    let weight = |at: usize| match taper {
        Taper::Povey => (0.5 - 0.5 * cosine(at)).powf(0.85),
        Taper::Hamming => 0.54 - 0.46 * cosine(at),
    };
    (0..WINDOW).map(|at| weight(at) as f32).collect()
}

/// `count` triangles of height one that overlap by half, even in mels. The point at half the sample rate is in none.
fn triangles(count: usize) -> Vec<Band> {
    let (low, high) = (mel(LOW_HZ), mel(HIGH_HZ));
    let step = (high - low) / (count + 1) as f64;
    let point_hz = HIGH_HZ * 2.0 / POINTS as f64;
    (0..count)
        .map(|band| {
            let left = low + band as f64 * step;
            let weight = |point: usize| {
                let at = (mel(point as f64 * point_hz) - left) / step;
                at.min(2.0 - at).max(0.0)
            };
            let first = (0..POINTS / 2).find(|&point| weight(point) > 0.0).unwrap_or(0);
            let weights = (first..POINTS / 2).map(weight).take_while(|&weight| weight > 0.0);
            Band { first, weights: weights.map(|weight| weight as f32).collect() }
        })
        .collect()
}

fn mel(hz: f64) -> f64 {
    1_127.0 * (1.0 + hz / 700.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WESPEAKER: Form = Form { bands: 80, taper: Taper::Hamming, full: 32_768.0 };
    const REDIMNET: Form = Form { bands: 72, taper: Taper::Hamming, full: 32_768.0 };
    const CAMPPLUS: Form = Form { bands: 80, taper: Taper::Povey, full: 1.0 };

    /// A voice of sorts, the same everywhere to the last bit: a sawtooth that swells, and noise.
    fn sound(samples: usize) -> Vec<f32> {
        let mut seed = 1_u32;
        (0..samples)
            .map(|at| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(seed >> 8) / f64::from(1 << 23) - 1.0;
                let voice = (at % 100) as f64 / 50.0 - 1.0;
                let swell = ((at % 4_800) as f64 / 2_400.0 - 1.0).abs();
                (0.3 * swell * voice + 0.02 * noise) as f32
            })
            .collect()
    }

    fn rows(form: Form, pieces: &[&[f32]]) -> Vec<Row> {
        let (mut fbank, mut rows) = (Fbank::new(form), Vec::new());
        for piece in pieces {
            fbank.hear(piece, &mut rows);
        }
        fbank.end(&mut rows);
        rows
    }

    /// At bands 0, 1, 5, 20, 40 and the last of some rows. Made with numpy in double precision by the steps of
    /// torchaudio's `compliance.kaldi.fbank` (no dither, edges snipped), which the models were trained on.
    type Reference = [(usize, [f32; 6]); 4];

    const OF_WESPEAKER: Reference = [
        (1, [10.8891, 12.5861, 20.8235, 20.3007, 19.8093, 22.2362]),
        (37, [11.1236, 11.0490, 19.5249, 19.0131, 18.5957, 20.6371]),
        (50, [12.7183, 11.1741, 19.3794, 18.8915, 18.2669, 20.5693]),
        (97, [9.6328, 9.5186, 19.5834, 19.1176, 18.9735, 21.3765]),
    ];

    const OF_REDIMNET: Reference = [
        (1, [11.6539, 13.8718, 20.4327, 20.8688, 21.1494, 22.3672]),
        (37, [11.2310, 12.2550, 19.1395, 19.3080, 19.6847, 20.8443]),
        (50, [12.6670, 11.7446, 19.0039, 19.4846, 19.8022, 20.6399]),
        (97, [9.7328, 12.7276, 19.2014, 19.6101, 19.9843, 21.4938]),
    ];

    const OF_CAMPPLUS: Reference = [
        (1, [-8.4729, -6.8483, 0.0104, -0.4872, -0.9622, 1.4533]),
        (37, [-9.5039, -7.8176, -1.2869, -1.7628, -2.1617, -0.1352]),
        (50, [-8.7703, -8.0441, -1.4007, -1.8779, -2.4891, -0.2064]),
        (97, [-9.6774, -8.5771, -1.2242, -1.6615, -1.7991, 0.5914]),
    ];

    #[test]
    fn rows_are_those_that_the_models_learned_from() {
        for (form, reference) in [(WESPEAKER, OF_WESPEAKER), (REDIMNET, OF_REDIMNET), (CAMPPLUS, OF_CAMPPLUS)] {
            // There a row begins at its hop, here half of what is around it earlier.
            let rows = rows(form, &[&sound(16_000)[AROUND..]]);
            for (at, expected) in reference {
                for (band, should) in [0, 1, 5, 20, 40, form.bands - 1].into_iter().zip(expected) {
                    let is = rows[at].bands[band];
                    assert!((is - should).abs() < 0.01, "{form:?} row {at} band {band}: {is} for {should}");
                }
            }
            assert!(rows[37].bands[form.bands..].iter().all(|column| *column == 0.0));
        }
    }

    #[test]
    fn silence_is_the_smallest_number_and_no_infinity() {
        let rows = rows(CAMPPLUS, &[&[0.0; 16_000]]);
        assert!(rows.iter().flat_map(|row| &row.bands).all(|band| (band + 15.9424).abs() < 1e-3));
    }

    #[test]
    fn pieces_of_any_length_make_the_same_rows() {
        let sound = sound(10_007);
        let whole = rows(WESPEAKER, &[&sound]);
        let pieces: Vec<&[f32]> = sound.chunks(37).collect();
        assert_eq!(rows(WESPEAKER, &pieces), whole);
    }

    #[test]
    fn every_whole_hop_has_a_row() {
        for samples in [0, 1, 159, 160, 161, 399, 400, 1_600, 1_759] {
            assert!(rows(WESPEAKER, &[&sound(samples)]).len() >= samples / HOP, "{samples}");
        }
    }
}
