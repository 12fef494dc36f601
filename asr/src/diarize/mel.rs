//! The picture that the GE2E voice model looks at: the power in 40 mel bands, a row every 10 ms.
//!
//! Pure. Sound comes in pieces of any length and rows come out as soon as they are certain, each with the power
//! of its 10 ms of sound, so that whoever gathers rows can even out how loud somebody is. No logarithm, no
//! normalisation. Rows lie around their hop; before the first sample and after the last there is silence.
//! Source: Resemblyzer 0.1.4, whose front end is librosa's mel spectrogram.

use std::{fmt, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

use crate::turn::features::{Band, HOP, WINDOW, bands, hann};

/// Mel bands: the columns of a row that this picture fills.
pub(super) const MELS: usize = 40;

/// Columns that a row has room for: as many as the widest picture of any voice model.
pub(super) const COLUMNS: usize = 80;

const HALF: usize = WINDOW / 2;

/// 10 ms of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// What there is of each band, as the model wants it; columns that its picture lacks are zero.
    pub(super) bands: [f32; COLUMNS],
    /// Mean square of the samples.
    pub(super) power: f32,
}

/// Makes rows.
pub(super) struct Mel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    /// Sound from half a window before the next row on.
    sound: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl Mel {
    /// Lays out the tables.
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        Self {
            window: hann(),
            bands: bands(MELS),
            sound: vec![0.0; HALF],
            frame: vec![0.0; WINDOW],
            spectrum: fft.make_output_vec(),
            power: vec![0.0; WINDOW / 2 + 1],
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
        self.hear(&[0.0; HALF], rows);
    }

    /// The row of the window that begins at `at` in the sound.
    fn row(&mut self, at: usize) -> Row {
        let heard = &self.sound[at..at + WINDOW];
        for ((slot, sample), weight) in self.frame.iter_mut().zip(heard).zip(&self.window) {
            *slot = sample * weight;
        }
        let own = &heard[HALF..HALF + HOP];
        let loudness = own.iter().map(|sample| sample * sample).sum::<f32>() / HOP as f32;
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("every buffer was made by the plan");
        for (power, point) in self.power.iter_mut().zip(&self.spectrum) {
            *power = point.norm_sqr();
        }
        let mut row = Row { bands: [0.0; COLUMNS], power: loudness };
        for (slot, band) in row.bands.iter_mut().zip(&self.bands) {
            *slot = band.of(&self.power);
        }
        row
    }
}

impl fmt::Debug for Mel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mel").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn rows(pieces: &[&[f32]]) -> Vec<Row> {
        let (mut mel, mut rows) = (Mel::new(), Vec::new());
        for piece in pieces {
            mel.hear(piece, &mut rows);
        }
        mel.end(&mut rows);
        rows
    }

    const BANDS: [usize; 5] = [0, 1, 5, 20, 39];

    /// At [`BANDS`] of some rows. Made with numpy in double precision by the steps of librosa's `melspectrogram` (400
    /// samples, hop 160, 40 bands, padded with zeros), which is what the model was trained on.
    const REFERENCE: [(usize, [f32; 5]); 5] = [
        (0, [1.369_18, 2.171_58, 0.133_306, 0.011_682_4, 0.001_331_29]),
        (1, [0.420_093, 4.548_26, 0.322_821, 0.033_665_1, 0.002_758_38]),
        (37, [0.130_171, 1.476_77, 0.102_081, 0.008_464_01, 0.001_900_02]),
        (50, [0.055_241_6, 0.602_553, 0.051_054_2, 0.003_172_09, 0.000_755_703]),
        (99, [0.077_441, 0.843_409, 0.059_071_9, 0.005_172_48, 0.000_895_459]),
    ];

    #[test]
    fn rows_are_those_that_the_model_learned_from() {
        let rows = rows(&[&sound(16_000)]);
        assert_eq!(rows.len(), 101);
        for (at, expected) in REFERENCE {
            for (band, should) in BANDS.into_iter().zip(expected) {
                let is = rows[at].bands[band];
                assert!((is - should).abs() < 1e-3 * should, "row {at} band {band}: {is} for {should}");
            }
        }
    }

    #[test]
    fn pieces_of_any_length_make_the_same_rows() {
        let sound = sound(10_007);
        let whole = rows(&[&sound]);
        let pieces: Vec<&[f32]> = sound.chunks(37).collect();
        assert_eq!(rows(&pieces), whole);
    }

    #[test]
    fn every_whole_hop_has_a_row() {
        for samples in [0, 1, 159, 160, 161, 399, 400, 1_600, 1_759] {
            assert!(rows(&[&sound(samples)]).len() >= samples / HOP, "{samples}");
        }
    }
}
