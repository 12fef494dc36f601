//! Keys as the tones that they are, told in the words of telephone-events: for who sends none.
//!
//! Listens to what a leg plays, behind the jitter buffer, so a loss within a tone is concealed before it is judged. The
//! tone itself stays in the sound. Runs on the engine's thread; no allocation after `new`.

use super::{
    dtmf::{Event, Key},
    seq::Clock,
};
use crate::{
    dsp::detect::{Detector, Heard},
    time::MediaTime,
};

/// Hears the keys of one stream.
pub struct InBand {
    clock: Clock,
    detector: Detector,
    down: Option<(Key, MediaTime)>,
}

impl InBand {
    /// Of a stream that is sampled and ticks by `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { clock, detector: Detector::new(clock.sample_hz), down: None }
    }

    /// Takes the sound that is heard at `at`, and tells which key goes down or comes up: each once, and never two
    /// at a time.
    pub fn hear(&mut self, sound: &[f32], at: MediaTime, mut told: impl FnMut(Event)) {
        let (clock, down) = (self.clock, &mut self.down);
        let release = |down: &mut Option<(Key, MediaTime)>, told: &mut dyn FnMut(Event)| {
            if let Some((key, since)) = down.take() {
                told(Event::Released { key, ticks: clock.ticks_at(at) - clock.ticks_at(since) });
            }
        };
        self.detector.hear(sound, |heard| {
            if let Heard::Digit(digit) = heard
                && let Some(key) = Key::from_char(digit.label())
            {
                release(down, &mut told);
                *down = Some((key, at));
                told(Event::Pressed(key));
            }
        });
        if !self.detector.is_key_down() {
            release(down, &mut told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::tone::{Digit, Generator, Tone};

    /// Keys of `ms` with as long a pause behind each.
    fn pressed(keys: &str, ms: usize, rate_hz: u32) -> Vec<f32> {
        let samples = rate_hz as usize * ms / 1_000;
        let mut all = vec![0.0; samples];
        for label in keys.chars() {
            let mut tone = vec![0.0; samples];
            Generator::new(Tone::Dtmf(Digit::new(label).unwrap()), rate_hz).write(&mut tone);
            all.extend(tone);
            all.extend(vec![0.0; samples]);
        }
        all
    }

    fn heard(clock: Clock, sound: &[f32]) -> Vec<(u64, Event)> {
        let mut in_band = InBand::new(clock);
        let mut events = Vec::new();
        for (tick, sound) in sound.chunks(clock.sample_hz as usize / 100).enumerate() {
            let at = tick as u64 * 10;
            in_band.hear(sound, MediaTime::from_millis(at), |event| events.push((at, event)));
        }
        events
    }

    #[test]
    fn each_key_goes_down_once_and_comes_up_with_its_length() {
        for clock in [Clock::TELEPHONE, Clock::G722, Clock::OPUS] {
            let events = heard(clock, &pressed("0123456789*#ABCD", 80, clock.sample_hz));
            let signs: String = events
                .iter()
                .filter_map(|(_, event)| if let Event::Pressed(key) = event { Some(key.as_char()) } else { None })
                .collect();
            assert_eq!(signs, "0123456789*#ABCD");
            for pair in events.chunks(2) {
                let [(down, Event::Pressed(key)), (up, Event::Released { key: same, ticks })] = *pair else {
                    panic!("{pair:?}")
                };
                assert_eq!(key, same);
                assert!((60..=110).contains(&(up - down)), "{down} to {up} ms");
                assert_eq!(ticks, clock.ticks_of_ms((up - down) as u32));
            }
        }
    }

    #[test]
    fn a_key_that_is_held_is_one_key() {
        let wave = |n: usize, hz: f32| 0.3 * (n as f32 * hz * std::f32::consts::TAU / 8_000.0).sin();
        let held: Vec<f32> = (0..16_000).map(|n| wave(n, 770.0) + wave(n, 1_336.0)).chain([0.0; 800]).collect();
        let events = heard(Clock::TELEPHONE, &held);
        assert_eq!(events.len(), 2);
        assert!(events[1].0 - events[0].0 > 1_900);
    }
}
