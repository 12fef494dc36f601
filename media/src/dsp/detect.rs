//! Hears the tones of the telephone in a stream: keys, ringback, busy, special information, a beep.
//!
//! Every 10 ms the latest window is measured: Goertzel's sums for the known pairs, and for a single tone of any
//! frequency the recurrence `x[n+1] + x[n-1] = 2 cos(w) x[n]`, which gives that frequency, and then its sum.
//! What one window says is then judged over time: a key must last, a ringback must pause. Speech is many
//! frequencies at once and fails the share of energy. Pure, no allocation after `new`.
//! Source: ITU-T Q.24 (a key of 40 ms is accepted, one of 20 ms is not).

use std::f32::consts::TAU;

use crate::dsp::tone::{COLUMNS_HZ, Digit, ROWS_HZ};

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// A key was pressed; once per press.
    Digit(Digit),
    /// It rings at the far end; once per ring.
    Ringback,
    /// The far end is busy; at the second beat, then once per beat.
    Busy,
    /// The three rising tones of a call that cannot be completed.
    Sit,
    /// A single tone and then silence, as before a recording.
    Beep,
}

/// Windows move on by this much.
const HOP_MS: u32 = 10;

/// Keys are measured over 20 ms: short enough for a key of 40 ms, long enough to tell rows apart.
const KEY_HOPS: usize = 2;

/// Call progress is measured over 40 ms, which tells 440 Hz from 480 Hz.
const PROGRESS_HOPS: usize = 4;

/// Below this mean energy (-45 dBFS) there is nothing to hear.
const FLOOR: f32 = 3.2e-5;

/// A pair of tones must hold this share of all energy; speech does not.
const PAIR_SHARE: f32 = 0.85;

/// One tone of a pair may be this much stronger than the other (8 dB in energy).
const TWIST: f32 = 6.3;

/// A single tone must hold this share of all energy.
const SINGLE_SHARE: f32 = 0.85;

/// Consecutive hops that make a key, and that end it.
const KEY_ON_HOPS: u32 = 2;
const KEY_OFF_HOPS: u32 = 2;

/// Listens to one stream.
pub struct Detector {
    hop_samples: usize,
    rate_hz: f32,
    /// The latest window, oldest first.
    window: Vec<f32>,
    /// Samples at the end of the window that belong to the hop under way.
    gathered: usize,
    key: Key,
    cadence: Cadence,
}

impl Detector {
    /// A detector for a stream at `rate_hz`; rates from 8 kHz hear all of it.
    pub fn new(rate_hz: u32) -> Self {
        let hop_samples = (rate_hz * HOP_MS / 1_000).max(1) as usize;
        Self {
            hop_samples,
            rate_hz: rate_hz as f32,
            window: vec![0.0; hop_samples * PROGRESS_HOPS],
            gathered: 0,
            key: Key::default(),
            cadence: Cadence::default(),
        }
    }

    /// Takes the next samples and tells what they complete.
    pub fn hear(&mut self, mut samples: &[f32], mut told: impl FnMut(Heard)) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.hop_samples - self.gathered));
            self.window.copy_within(now.len().., 0);
            let start = self.window.len() - now.len();
            self.window[start..].copy_from_slice(now);
            self.gathered += now.len();
            samples = later;
            if self.gathered == self.hop_samples {
                self.gathered = 0;
                self.hop(&mut told);
            }
        }
    }

    /// Whether the key that was told last is still down.
    pub fn is_key_down(&self) -> bool {
        self.key.is_down()
    }

    fn hop(&mut self, told: &mut impl FnMut(Heard)) {
        let recent = &self.window[self.window.len() - KEY_HOPS * self.hop_samples..];
        let digit = key_in(recent, self.rate_hz);
        if let Some(digit) = self.key.hop(digit) {
            told(Heard::Digit(digit));
        }
        let sound =
            if digit.is_some() || self.key.is_down() { Sound::Other } else { sound_in(&self.window, self.rate_hz) };
        if let Some(heard) = self.cadence.hop(sound) {
            told(heard);
        }
    }
}

/// Energy of `samples` at `hz`, on the scale on which a pure tone has its mean energy.
pub(super) fn energy_at(samples: &[f32], hz: f32, rate_hz: f32) -> f32 {
    let coefficient = 2.0 * (TAU * hz / rate_hz).cos();
    let (mut last, mut before) = (0.0_f32, 0.0_f32);
    for sample in samples {
        (last, before) = (sample + coefficient * last - before, last);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power / (samples.len() as f32 * samples.len() as f32)
}

pub(super) fn mean_energy(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32
}

/// The key that sounds through all of `samples`.
fn key_in(samples: &[f32], rate_hz: f32) -> Option<Digit> {
    let total = mean_energy(samples);
    if total < FLOOR {
        return None;
    }
    let strongest = |group: &[f32; 4]| {
        let energies = group.map(|hz| energy_at(samples, hz, rate_hz));
        let best = (0..4).max_by(|a, b| energies[*a].total_cmp(&energies[*b])).unwrap_or(0);
        (best, energies[best])
    };
    let ((row, low), (column, high)) = (strongest(&ROWS_HZ), strongest(&COLUMNS_HZ));
    let is_pair = low + high > PAIR_SHARE * total && low < TWIST * high && high < TWIST * low;
    if is_pair { Digit::at(row, column) } else { None }
}

/// The frequency of the tone in `samples`, if it is one: least squares of the recurrence. Noise pulls the estimate
/// towards a quarter of the rate, so it is repeated with the lag at which a quarter of the rate is the tone itself.
pub(super) fn frequency(samples: &[f32], rate_hz: f32) -> f32 {
    let angle = |lag: usize| {
        let (mut cross, mut square) = (0.0_f32, 0.0_f32);
        for n in lag..samples.len() - lag {
            cross += samples[n] * (samples[n - lag] + samples[n + lag]);
            square += samples[n] * samples[n];
        }
        (cross / (2.0 * square)).clamp(-1.0, 1.0).acos()
    };
    let rough = angle(1).max(0.01);
    let lag = ((TAU / 4.0 / rough).round() as usize).clamp(1, samples.len() / 4);
    angle(lag) / lag as f32 * rate_hz / TAU
}

/// What one window holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sound {
    Quiet,
    /// A pure tone of this frequency.
    Single(f32),
    /// The pair of the North American ringback.
    Ring,
    /// The pair of the North American busy tone.
    Busy,
    Other,
}

fn sound_in(samples: &[f32], rate_hz: f32) -> Sound {
    let total = mean_energy(samples);
    if total < FLOOR {
        return Sound::Quiet;
    }
    let hz = frequency(samples, rate_hz);
    if energy_at(samples, hz, rate_hz) > SINGLE_SHARE * total {
        return Sound::Single(hz);
    }
    let pair = |low_hz, high_hz| {
        let (low, high) = (energy_at(samples, low_hz, rate_hz), energy_at(samples, high_hz, rate_hz));
        low + high > PAIR_SHARE * total && low < TWIST * high && high < TWIST * low
    };
    match () {
        () if pair(440.0, 480.0) => Sound::Ring,
        () if pair(480.0, 620.0) => Sound::Busy,
        () => Sound::Other,
    }
}

/// Tells a key once, when it has lasted, and again only after it was released.
#[derive(Default)]
struct Key {
    candidate: Option<Digit>,
    hops: u32,
    down: Option<Digit>,
    off_hops: u32,
}

impl Key {
    fn hop(&mut self, digit: Option<Digit>) -> Option<Digit> {
        self.hops = if digit == self.candidate { self.hops + 1 } else { 1 };
        self.candidate = digit;
        self.off_hops = if digit.is_some() && digit == self.down { 0 } else { self.off_hops + 1 };
        if self.off_hops >= KEY_OFF_HOPS {
            self.down = None;
        }
        if digit.is_none() || self.down.is_some() || self.hops < KEY_ON_HOPS {
            return None;
        }
        (self.down, self.off_hops) = (digit, 0);
        digit
    }

    fn is_down(&self) -> bool {
        self.down.is_some()
    }
}

/// What kind of tone a run of hops was.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Quiet,
    /// Around 425 Hz: ringback or busy, as its beat says.
    Low,
    Ring,
    Busy,
    Sit(u8),
    /// Any other pure tone.
    Pure,
    Other,
}

impl Kind {
    fn of(sound: Sound) -> Self {
        match sound {
            Sound::Quiet => Self::Quiet,
            Sound::Ring => Self::Ring,
            Sound::Busy => Self::Busy,
            Sound::Other => Self::Other,
            Sound::Single(hz) if (400.0..=450.0).contains(&hz) => Self::Low,
            Sound::Single(hz) if (890.0..=1_025.0).contains(&hz) => Self::Sit(0),
            Sound::Single(hz) if (1_340.0..=1_460.0).contains(&hz) => Self::Sit(1),
            Sound::Single(hz) if (1_720.0..=1_850.0).contains(&hz) => Self::Sit(2),
            Sound::Single(hz) if (350.0..=2_500.0).contains(&hz) => Self::Pure,
            Sound::Single(_) => Self::Other,
        }
    }
}

/// Judges runs of equal sound by how long they last.
struct Cadence {
    kind: Kind,
    hops: u32,
    /// Hops that fit no run: the edges of a tone.
    odd_hops: u32,
    /// The tone before the present silence, and its length.
    before: Option<(Kind, u32)>,
    /// Beats of a busy tone so far.
    beats: u32,
    /// How many of the three rising tones were heard.
    risen: u8,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { kind: Kind::Quiet, hops: 0, odd_hops: 0, before: None, beats: 0, risen: 0 }
    }
}

/// A run goes on over this many hops that do not fit, which is what a window of 40 ms makes of an edge.
const EDGE_HOPS: u32 = 5;

impl Cadence {
    fn hop(&mut self, sound: Sound) -> Option<Heard> {
        let kind = Kind::of(sound);
        if kind == self.kind {
            self.hops += 1 + self.odd_hops;
            self.odd_hops = 0;
            return self.lasting();
        }
        self.odd_hops += 1;
        // Silence and a lasting tone begin a new run at once; an edge must first outlast what an edge is.
        let is_edge = kind == Kind::Other && self.odd_hops < EDGE_HOPS;
        if is_edge {
            return None;
        }
        let heard = self.ended();
        self.before = Some((self.kind, self.hops));
        (self.kind, self.hops, self.odd_hops) = (kind, 1, 0);
        heard
    }

    /// A run of tone is over: what was it?
    fn ended(&mut self) -> Option<Heard> {
        let ms = self.hops * HOP_MS;
        match self.kind {
            Kind::Sit(step) if (150..=450).contains(&ms) && (step == 0 || step == self.risen) => {
                self.risen = step + 1;
                (self.risen == 3).then(|| {
                    self.risen = 0;
                    Heard::Sit
                })
            }
            Kind::Low | Kind::Busy if (150..=600).contains(&ms) => {
                self.beats += 1;
                (self.beats >= 2).then_some(Heard::Busy)
            }
            // The pause between beats is as short as a beat; a longer one, or speech, ends the count.
            Kind::Quiet if ms <= 650 => None,
            // A hop at the edge of a tone.
            Kind::Pure | Kind::Other | Kind::Sit(_) | Kind::Low | Kind::Ring | Kind::Busy if ms <= 50 => None,
            _ => {
                (self.beats, self.risen) = (0, 0);
                None
            }
        }
    }

    /// A run goes on: does the silence, now long enough, tell what the tone before it was?
    fn lasting(&mut self) -> Option<Heard> {
        if self.kind != Kind::Quiet {
            return None;
        }
        let (before, hops) = self.before?;
        match (before, hops * HOP_MS, self.hops * HOP_MS) {
            (Kind::Low | Kind::Ring, 800.., 700) => Some(Heard::Ringback),
            (Kind::Pure | Kind::Sit(0 | 1), 120.., 150) => Some(Heard::Beep),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dsp::tone::{Generator, Region, Tone};

    fn sound(tones: &[Tone], seconds: f32, rate_hz: u32) -> Vec<f32> {
        let len = (seconds * rate_hz as f32) as usize;
        let mut all = Vec::new();
        for tone in tones {
            let mut samples = vec![0.0; len];
            Generator::new(*tone, rate_hz).write(&mut samples);
            all.extend(samples);
        }
        all
    }

    fn heard(samples: &[f32], rate_hz: u32) -> Vec<Heard> {
        let mut all = Vec::new();
        let mut detector = Detector::new(rate_hz);
        samples.chunks(rate_hz as usize / 100).for_each(|now| detector.hear(now, |heard| all.push(heard)));
        all
    }

    fn key(digit: Digit, ms: usize, level: f32) -> Vec<f32> {
        let mut samples = vec![0.0; ms * 8];
        Generator::new(Tone::Dtmf(digit), 8_000).write(&mut samples);
        samples.iter_mut().for_each(|s| *s *= level);
        samples
    }

    #[test]
    fn every_key_is_heard_once_at_every_rate() {
        for rate_hz in [8_000, 16_000, 48_000] {
            let digits: Vec<_> = "1234567890*#ABCD".chars().filter_map(Digit::new).collect();
            let tones: Vec<_> = digits.iter().map(|digit| Tone::Dtmf(*digit)).collect();
            let expected: Vec<_> = digits.iter().map(|digit| Heard::Digit(*digit)).collect();
            assert_eq!(heard(&sound(&tones, 0.2, rate_hz), rate_hz), expected, "{rate_hz} Hz");
        }
    }

    proptest! {
        #[test]
        fn keys_of_fifty_ms_are_heard_wherever_they_begin_and_twenty_ms_are_not(
            place in 0..16_usize, offset in 0..80_usize, level in 0.05_f32..1.2,
        ) {
            let digit = Digit::at(place / 4, place % 4).unwrap();
            let press = |ms| [vec![0.0; 800 + offset], key(digit, ms, level), vec![0.0; 800]].concat();
            prop_assert_eq!(heard(&press(50), 8_000), [Heard::Digit(digit)]);
            prop_assert_eq!(heard(&press(20), 8_000), []);
        }

        #[test]
        fn no_samples_make_it_panic(samples in prop::collection::vec(any::<f32>(), 0..2_000)) {
            heard(&samples, 8_000);
        }
    }

    #[test]
    fn ringback_is_heard_once_per_ring() {
        for (region, rings) in [(Region::Europe, 3), (Region::NorthAmerica, 2)] {
            let sound = sound(&[Tone::Ringback(region)], 12.0, 8_000);
            assert_eq!(heard(&sound, 8_000), vec![Heard::Ringback; rings], "{region:?}");
        }
    }

    #[test]
    fn busy_is_heard_from_the_second_beat_on() {
        for region in [Region::Europe, Region::NorthAmerica] {
            let beats = sound(&[Tone::Busy(region)], 4.0, 8_000);
            assert_eq!(heard(&beats, 8_000), [Heard::Busy; 3], "{region:?}");
        }
    }

    #[test]
    fn three_rising_tones_are_special_information_and_one_tone_is_a_beep() {
        assert_eq!(heard(&sound(&[Tone::Sit], 2.0, 8_000), 8_000), [Heard::Sit]);
        assert_eq!(heard(&sound(&[Tone::Beep], 2.0, 8_000), 8_000), [Heard::Beep]);
    }

    #[test]
    fn noise_twelve_db_below_a_key_does_not_hide_it() {
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        for label in "159D*0#".chars() {
            let digit = Digit::new(label).unwrap();
            let mut press = [vec![0.0; 800], key(digit, 100, 0.5), vec![0.0; 800]].concat();
            press.iter_mut().for_each(|s| *s += 0.075 * noise());
            assert_eq!(heard(&press, 8_000), [Heard::Digit(digit)]);
        }
    }

    #[test]
    fn people_who_talk_press_no_keys_and_ring_no_bells() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/audio");
        let mut seconds = 0;
        for name in ["speech", "german", "meetings"] {
            let Ok(files) = std::fs::read_dir(format!("{folder}/{name}")) else {
                return println!("skipped: no recordings in {folder}/{name}");
            };
            for path in
                files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "wav"))
            {
                let mut recording = hound::WavReader::open(&path).unwrap();
                let spec = recording.spec();
                if (spec.channels, spec.bits_per_sample, spec.sample_format) != (1, 16, hound::SampleFormat::Int) {
                    continue;
                }
                let samples: Vec<f32> = recording.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
                seconds += samples.len() / spec.sample_rate as usize;
                assert_eq!(heard(&samples, spec.sample_rate), [], "{}", path.display());
            }
        }
        assert!(seconds > 100, "only {seconds} s of recordings");
    }
}
