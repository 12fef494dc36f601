//! Which tone a row of runs is: judged by how long they last.

use super::{Heard, measure::Kind, runs::Run};

/// The three bands of the special information tones; the outer ones have a high and a low variant.
const SPECIAL_HZ: [std::ops::RangeInclusive<f32>; 3] = [890.0..=1_025.0, 1_340.0..=1_460.0, 1_720.0..=1_850.0];

/// How long one of them lasts: 276 or 380 ms; 330 in Europe.
const SPECIAL_MS: std::ops::RangeInclusive<u32> = 200..=450;

/// A fax that calls sends half a second of 1100 Hz every 3.5 s.
const CALLING_HZ: std::ops::RangeInclusive<f32> = 1_062.0..=1_138.0;
const CALLING_MS: std::ops::RangeInclusive<u32> = 400..=600;
const CALLING_PAUSE_MS: std::ops::RangeInclusive<u32> = 2_500..=3_500;

/// A fax or a modem that answers sends 2100 Hz, which no voicemail uses, for seconds.
const ANSWERING_HZ: std::ops::RangeInclusive<f32> = 2_080.0..=2_120.0;
const ANSWERING_MS: u32 = 600;

/// A beep is a tone of these frequencies and lengths, and then silence.
const BEEP_HZ: std::ops::RangeInclusive<f32> = 395.0..=2_000.0;
const BEEP_MS: std::ops::RangeInclusive<u32> = 140..=3_000;
const BEEP_SILENCE_MS: u32 = 150;

/// A ring, and the silence that tells it from a beat. Britain's rings come in pairs of shorter ones.
const RING_MS: std::ops::RangeInclusive<u32> = 700..=3_000;
const RING_SILENCE_MS: u32 = 700;
const SHORT_RING_MS: std::ops::RangeInclusive<u32> = 330..=480;

/// Beats: on and off for about the same time, half a second or half of that.
const BEAT_MS: std::ops::RangeInclusive<u32> = 150..=620;
const BEAT_PAUSE_MS: std::ops::RangeInclusive<u32> = 150..=680;

/// Beats shorter than this are those of congestion: 240 ms in Germany, 250 in America; busy has 375 at least.
const FAST_MS: u32 = 320;

/// A tone is told to sound after so long, and again after each half second.
const SOUNDS_MS: u32 = 100;
const SOUNDS_AGAIN_MS: u32 = 500;

/// What the runs so far add up to.
#[derive(Default)]
pub(super) struct Cadence {
    /// The run before the present one, and the one before that.
    before: Option<Run>,
    earlier: Option<Run>,
    /// Beats in a row, and the length of the last.
    beats: u32,
    beat_ms: u32,
    /// How many of the three special tones were heard.
    risen: usize,
    /// Whether the last tone was the third of them.
    was_special: bool,
    /// Milliseconds since a tone of a calling fax ended.
    calling_ago_ms: Option<u32>,
    /// Whether the present run was told.
    is_told: bool,
    /// How long the present tone was when it was told of last.
    sounded_ms: Option<u32>,
}

impl Cadence {
    /// A run is over.
    pub(super) fn ended(&mut self, run: Run) -> Option<Heard> {
        let heard = match run.kind {
            Kind::Quiet => {
                if !BEAT_PAUSE_MS.contains(&run.ms()) {
                    self.beats = 0;
                }
                if run.ms() > 100 {
                    self.risen = 0;
                }
                None
            }
            Kind::Other => {
                // What is shorter than a syllable is a click on the line.
                if run.ms() > 60 {
                    (self.beats, self.risen, self.calling_ago_ms) = (0, 0, None);
                }
                None
            }
            Kind::Single(hz) => self.single_ended(hz, run.ms()),
            Kind::Exchange | Kind::RingPair | Kind::BusyPair => self.beat_ended(run),
        };
        if let Some(ago_ms) = &mut self.calling_ago_ms {
            *ago_ms += run.ms();
        }
        if matches!(run.kind, Kind::Single(hz) if is_calling(hz, run.ms())) {
            self.calling_ago_ms = Some(0);
        }
        // Clicks and edges stand between nothing.
        if !(run.kind == Kind::Other && run.ms() <= 60) {
            self.earlier = self.before.replace(run);
        }
        self.is_told = false;
        self.sounded_ms = None;
        heard
    }

    /// The present run goes on. `was_voice` says whether somebody spoke on this line before.
    pub(super) fn lasts(&mut self, now: Run, was_voice: bool) -> Option<Heard> {
        if self.sounds(now) {
            return Some(Heard::Tone);
        }
        let heard = match now.kind {
            Kind::Single(hz) if ANSWERING_HZ.contains(&hz) && now.ms() >= ANSWERING_MS => Some(Heard::FaxAnswering),
            Kind::Quiet => self.silence_lasts(now.ms(), was_voice),
            _ => None,
        }?;
        if std::mem::replace(&mut self.is_told, true) { None } else { Some(heard) }
    }

    /// Whether a tone is to be told of.
    fn sounds(&mut self, now: Run) -> bool {
        if !now.kind.is_tone() {
            self.sounded_ms = None;
            return false;
        }
        let due_ms = self.sounded_ms.map_or(SOUNDS_MS, |told_ms| told_ms + SOUNDS_AGAIN_MS);
        let is_due = now.ms() >= due_ms;
        if is_due {
            self.sounded_ms = Some(now.ms());
        }
        is_due
    }

    /// The silence is long enough to tell what the tone before it was.
    fn silence_lasts(&self, ms: u32, was_voice: bool) -> Option<Heard> {
        let Run { kind, .. } = self.before?;
        let tone_ms = self.before?.ms();
        match kind {
            Kind::Exchange | Kind::RingPair if ms >= RING_SILENCE_MS => {
                let is_pair = SHORT_RING_MS.contains(&tone_ms) && kind == Kind::RingPair && self.beats >= 2;
                (RING_MS.contains(&tone_ms) || is_pair).then_some(Heard::Ringback)
            }
            Kind::Single(hz) if ms >= BEEP_SILENCE_MS && BEEP_HZ.contains(&hz) && BEEP_MS.contains(&tone_ms) => {
                // Part of something else: the tones of a fax come again, the special ones rise.
                let is_fax = is_calling(hz, tone_ms) && !was_voice;
                let is_third = self.was_special || self.earlier.is_some_and(|run| run.kind.is_tone());
                let is_repeated = self.earlier.is_some_and(|run| run.kind.is_like(kind));
                (!is_fax && !is_third && !is_repeated).then_some(Heard::Beep { hz: hz as u16, ms: tone_ms as u16 })
            }
            _ => None,
        }
    }

    fn single_ended(&mut self, hz: f32, ms: u32) -> Option<Heard> {
        self.beats = 0;
        let step = SPECIAL_HZ.iter().position(|band| band.contains(&hz)).filter(|_| SPECIAL_MS.contains(&ms));
        self.risen = match step {
            Some(step) if step == self.risen => step + 1,
            Some(0) => 1,
            _ => 0,
        };
        self.was_special = self.risen == SPECIAL_HZ.len();
        if self.was_special {
            self.risen = 0;
            return Some(Heard::Special);
        }
        let is_second = self.calling_ago_ms.is_some_and(|ago_ms| CALLING_PAUSE_MS.contains(&ago_ms));
        (is_second && is_calling(hz, ms)).then_some(Heard::FaxCalling)
    }

    fn beat_ended(&mut self, run: Run) -> Option<Heard> {
        let ms = run.ms();
        self.risen = 0;
        if !BEAT_MS.contains(&ms) {
            self.beats = 0;
            return None;
        }
        // A beat of another length begins anew.
        let is_alike = self.beats == 0 || ms.abs_diff(self.beat_ms) <= 80;
        self.beats = if is_alike { self.beats + 1 } else { 1 };
        self.beat_ms = ms;
        match (ms <= FAST_MS, run.kind, self.beats) {
            (true, Kind::Exchange | Kind::BusyPair, 3..) => Some(Heard::Congestion),
            (false, Kind::Exchange | Kind::BusyPair, 2..) => Some(Heard::Busy),
            _ => None,
        }
    }
}

fn is_calling(hz: f32, ms: u32) -> bool {
    CALLING_HZ.contains(&hz) && CALLING_MS.contains(&ms)
}
