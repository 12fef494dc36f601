//! The tones of the telephone: digits, ringback, busy, special information, and the beep before a recording.
//!
//! A tone is a list of steps, each up to two frequencies for some time, said once or over and over. The
//! generator writes them into slices sample by sample with soft edges; pure, nothing is allocated.
//! Sources: ITU-T Q.23 (digits), ITU-T E.180 and its supplement 2 (Germany, North America).

use std::f32::consts::TAU;

/// One key of a telephone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digit(u8);

/// The keys, row by row: each row a low frequency, each column a high one.
const KEYS: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// Frequencies of the rows.
pub const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];

/// Frequencies of the columns.
pub const COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

impl Digit {
    /// The key labelled `label`: 0 to 9, A to D in either case, star or hash.
    pub fn new(label: char) -> Option<Self> {
        let label = u8::try_from(label.to_ascii_uppercase()).ok()?;
        KEYS.as_flattened().contains(&label).then_some(Self(label))
    }

    /// The key in `row` and `column`, each 0 to 3.
    pub fn at(row: usize, column: usize) -> Option<Self> {
        KEYS.get(row)?.get(column).copied().map(Self)
    }

    /// Its label.
    pub fn label(self) -> char {
        char::from(self.0)
    }

    fn hz(self) -> [f32; 2] {
        let place = KEYS.as_flattened().iter().position(|key| *key == self.0).unwrap_or(0);
        [ROWS_HZ[place / 4], COLUMNS_HZ[place % 4]]
    }
}

/// Whose ringback and busy tones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// Germany, and much of Europe: 425 Hz.
    Europe,
    /// The United States and Canada: pairs of 440, 480 and 620 Hz.
    NorthAmerica,
}

/// What can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// A key, for 100 ms and 100 ms of silence after it.
    Dtmf(Digit),
    /// It rings at the other end; goes on until stopped.
    Ringback(Region),
    /// The other end is busy; goes on until stopped.
    Busy(Region),
    /// Three rising tones: the call cannot be completed. Once.
    Sit,
    /// Recording begins: 1 kHz for 400 ms. Once.
    Beep,
}

/// Part of a tone; a frequency of zero is none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    hz: [f32; 2],
    ms: u32,
}

const fn step(low_hz: f32, high_hz: f32, ms: u32) -> Step {
    Step { hz: [low_hz, high_hz], ms }
}

const RINGBACK_EUROPE: [Step; 2] = [step(425.0, 0.0, 1_000), step(0.0, 0.0, 4_000)];
const RINGBACK_AMERICA: [Step; 2] = [step(440.0, 480.0, 2_000), step(0.0, 0.0, 4_000)];
const BUSY_EUROPE: [Step; 2] = [step(425.0, 0.0, 480), step(0.0, 0.0, 480)];
const BUSY_AMERICA: [Step; 2] = [step(480.0, 620.0, 500), step(0.0, 0.0, 500)];
const SIT: [Step; 3] = [step(950.0, 0.0, 330), step(1_400.0, 0.0, 330), step(1_800.0, 0.0, 330)];
const BEEP: [Step; 1] = [step(1_000.0, 0.0, 400)];

/// Each frequency of a pair has this magnitude, -9 dBFS: both together stay below full scale.
const MAGNITUDE: f32 = 0.35;

/// Edges of a tone rise and fall within this time: no click, and still well within what detectors demand.
const EDGE_MS: u32 = 3;

impl Tone {
    fn steps(self) -> ([Step; 3], usize) {
        let pad = |steps: &[Step]| {
            let mut all = [step(0.0, 0.0, 0); 3];
            all[..steps.len()].copy_from_slice(steps);
            (all, steps.len())
        };
        match self {
            Self::Dtmf(digit) => pad(&[Step { hz: digit.hz(), ms: 100 }, step(0.0, 0.0, 100)]),
            Self::Ringback(Region::Europe) => pad(&RINGBACK_EUROPE),
            Self::Ringback(Region::NorthAmerica) => pad(&RINGBACK_AMERICA),
            Self::Busy(Region::Europe) => pad(&BUSY_EUROPE),
            Self::Busy(Region::NorthAmerica) => pad(&BUSY_AMERICA),
            Self::Sit => pad(&SIT),
            Self::Beep => pad(&BEEP),
        }
    }

    /// Whether it goes on until stopped.
    pub fn repeats(self) -> bool {
        matches!(self, Self::Ringback(_) | Self::Busy(_))
    }
}

/// Writes one tone after its start, as many samples at a time as wanted.
#[derive(Clone, Debug)]
pub struct Generator {
    tone: Tone,
    rate_hz: f32,
    steps: [Step; 3],
    len: usize,
    step: usize,
    /// Samples of this step that have been written.
    written: u32,
    /// Samples until the end of the fade, once it is stopping.
    stopping: Option<u32>,
}

impl Generator {
    /// The start of `tone` at `rate_hz`.
    pub fn new(tone: Tone, rate_hz: u32) -> Self {
        let (steps, len) = tone.steps();
        Self { tone, rate_hz: rate_hz as f32, steps, len, step: 0, written: 0, stopping: None }
    }

    /// Writes the next samples; false when the tone had ended before, and `output` is zeros.
    pub fn write(&mut self, output: &mut [f32]) -> bool {
        let was_sounding = self.step < self.len;
        output.iter_mut().for_each(|out| *out = self.next());
        was_sounding
    }

    /// Ends it with a soft edge.
    pub fn stop(&mut self) {
        let edge = self.samples(EDGE_MS);
        self.stopping.get_or_insert(edge);
    }

    fn next(&mut self) -> f32 {
        if self.step >= self.len {
            return 0.0;
        }
        let Step { hz, ms } = self.steps[self.step];
        let (len, edge) = (self.samples(ms), self.samples(EDGE_MS));
        let near = self.written.min(len - 1 - self.written).min(edge);
        let mut level = MAGNITUDE * near as f32 / edge as f32;
        if let Some(left) = &mut self.stopping {
            level *= *left as f32 / edge as f32;
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.step = self.len;
                return 0.0;
            }
        }
        // From the count of samples, not by adding up: no drift however long it rings.
        let at = self.written as f32 / self.rate_hz;
        let sample = hz.iter().filter(|hz| **hz > 0.0).map(|hz| (TAU * (hz * at).fract()).sin()).sum::<f32>();
        self.written += 1;
        if self.written == len {
            self.written = 0;
            self.step += 1;
            if self.step == self.len && self.tone.repeats() {
                self.step = 0;
            }
        }
        sample * level
    }

    fn samples(&self, ms: u32) -> u32 {
        (self.rate_hz as u32 * ms / 1_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::level::{peak_dbfs, rms_dbfs};

    #[test]
    fn all_sixteen_keys_exist_and_nothing_else() {
        let keys: String = (0..=255_u8).map(char::from).filter(|c| Digit::new(*c).is_some()).collect();
        assert_eq!(keys, "#*0123456789ABCDabcd");
        assert_eq!(Digit::new('5').map(Digit::hz), Some([770.0, 1_336.0]));
    }

    #[test]
    fn tones_keep_their_cadence_and_end_or_go_on_as_they_should() {
        let mut busy = vec![0.0; 8_000 * 96 / 100 * 3];
        Generator::new(Tone::Busy(Region::Europe), 8_000).write(&mut busy);
        for cycle in busy.chunks_exact(7_680) {
            assert!(rms_dbfs(&cycle[..3_840]) > -13.0);
            assert_eq!(rms_dbfs(&cycle[3_840..]), f32::NEG_INFINITY);
        }
        let mut beep = Generator::new(Tone::Beep, 8_000);
        let mut samples = vec![0.0; 3_200];
        assert!(beep.write(&mut samples));
        assert!(!beep.write(&mut samples));
    }

    #[test]
    fn tones_stay_below_full_scale_and_stop_softly() {
        let mut samples = vec![0.0; 800];
        let mut tone = Generator::new(Tone::Ringback(Region::NorthAmerica), 8_000);
        tone.write(&mut samples);
        assert!(peak_dbfs(&samples) < -2.0);
        tone.stop();
        tone.write(&mut samples);
        assert!(samples[24..].iter().all(|s| *s == 0.0));
        assert!(!tone.write(&mut samples));
    }
}
