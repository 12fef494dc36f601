//! How loud the speech of a window is and how loud the rest, and what gain a quiet talker gets.
//!
//! Pure. Both levels are read from the window's own steps of 20 ms: its quietest tenth is the room, what comes
//! within 15 dB of its loudest is the speech. Where nobody speaks the two are next to each other.

use media::dsp::level::rms;

/// Levels of one window in dBFS (a full-scale sine has -3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Of whoever speaks; of the noise itself where nobody does.
    pub speech_db: f32,
    /// Of the room behind; never below -120.
    pub noise_db: f32,
}

impl Levels {
    /// Measures a window, 16 kHz mono; `None` when it is shorter than 200 ms or digitally silent.
    pub fn of(audio: &[f32]) -> Option<Self> {
        let mut powers: Vec<f32> = audio.chunks_exact(STEP_SAMPLES).map(|step| rms(step).powi(2)).collect();
        if powers.len() < STEPS_LEAST {
            return None;
        }
        powers.sort_by(f32::total_cmp);
        // One step in twenty may be a click.
        let loudest = powers[powers.len() - 1 - powers.len() / 20];
        if loudest < SILENCE {
            return None;
        }
        let mean = |powers: &[f32]| powers.iter().sum::<f32>() / powers.len().max(1) as f32;
        let room = mean(&powers[..powers.len().div_ceil(10)]);
        let speech = mean(&powers[powers.partition_point(|&power| power < loudest * SPEECH_WITHIN)..]);
        Some(Self { speech_db: db(speech), noise_db: db(room) })
    }

    /// How far the speech stands out of the room, in dB. Some 0 to 3 for noise that nobody speaks in.
    pub fn snr_db(&self) -> f32 {
        self.speech_db - self.noise_db
    }
}

/// The factor that brings a quiet talker up; `None` for a window that is best left alone.
///
/// Never so much that the room behind rises above -45 dBFS, nor that a sample comes within 1 dB of full scale.
pub(super) fn gain(audio: &[f32]) -> Option<f32> {
    let levels = Levels::of(audio).filter(|levels| levels.speech_db < QUIET_DB)?;
    let wanted_db = (TARGET_DB - levels.speech_db).min(GAIN_MAX_DB).min(NOISE_MAX_DB - levels.noise_db);
    let peak = audio.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let factor = 10.0_f32.powf(wanted_db / 20.0).min(PEAK_MAX / peak.max(f32::MIN_POSITIVE));
    (factor > 1.0).then_some(factor)
}

fn db(power: f32) -> f32 {
    10.0 * (power + 1e-12).log10()
}

/// 20 ms.
const STEP_SAMPLES: usize = 320;

/// 200 ms: in less there is no telling speech from room.
const STEPS_LEAST: usize = 10;

/// -90 dBFS, below the last bit of 16-bit audio, as power.
const SILENCE: f32 = 1e-9;

/// 15 dB, as power: vowels and most consonants of one voice.
const SPEECH_WITHIN: f32 = 0.0316;

/// Speech above this is heard as well as it ever is; leaving it alone keeps it bit for bit.
const QUIET_DB: f32 = -35.0;

/// Where speech is brought to.
const TARGET_DB: f32 = -23.0;

const GAIN_MAX_DB: f32 = 24.0;

/// What the room may become. The second look at a window counts as sound what is louder.
const NOISE_MAX_DB: f32 = -45.0;

/// 1 dB below full scale.
const PEAK_MAX: f32 = 0.89;

#[cfg(test)]
mod tests {
    use media::dsp::noise::Noise;
    use proptest::prelude::*;

    use super::*;

    fn factor(db: f32) -> f32 {
        10.0_f32.powf(db / 20.0)
    }

    /// Words of 400 ms with pauses of 200 ms at one level, in white noise at another.
    fn words(speech_db: f32, noise_db: f32) -> Vec<f32> {
        let mut noise = Noise::new(5);
        let (speech, hiss) = (factor(speech_db) * std::f32::consts::SQRT_2, factor(noise_db));
        (0..48_000)
            .map(|n| {
                let voice = if n % 9_600 < 6_400 { speech * (n as f32 * 0.2).sin() } else { 0.0 };
                voice + hiss * noise.sample()
            })
            .collect()
    }

    #[test]
    fn speech_and_room_are_told_apart_from_0_to_40_db() {
        for snr_db in [5.0, 10.0, 15.0, 20.0, 30.0, 40.0] {
            let levels = Levels::of(&words(-30.0, -30.0 - snr_db)).unwrap();
            assert!((levels.snr_db() - snr_db).abs() < 3.0, "{snr_db} dB was measured as {levels:?}");
            assert!((levels.speech_db + 30.0).abs() < 2.5, "{levels:?}");
        }
        // Noise alone, and a hum.
        assert!(Levels::of(&words(-120.0, -30.0)).unwrap().snr_db() < 3.0);
        let hum: Vec<f32> = (0..48_000).map(|n| 0.1 * (n as f32 * std::f32::consts::TAU / 320.0).sin()).collect();
        assert!(Levels::of(&hum).unwrap().snr_db() < 1.0);
    }

    #[test]
    fn what_cannot_be_measured_is_left_alone() {
        for nothing in [&[][..], &[0.1; 300], &[0.1; 3_000], &[0.0; 48_000]] {
            assert_eq!(Levels::of(nothing), None);
            assert_eq!(gain(nothing), None);
        }
    }

    #[test]
    fn quiet_talkers_come_up_to_the_usual_and_others_stay() {
        for (speech_db, gain_db) in [(-60.0, 24.0), (-50.0, 24.0), (-45.0, 22.0), (-40.0, 17.0)] {
            let factor = gain(&words(speech_db, -100.0)).expect("a gain");
            assert!((20.0 * factor.log10() - gain_db).abs() < 1.5, "{speech_db} dBFS gained {}", 20.0 * factor.log10());
        }
        assert_eq!(gain(&words(-30.0, -100.0)), None);
        assert_eq!(gain(&words(-20.0, -60.0)), None);
    }

    #[test]
    fn the_room_between_the_words_stays_down() {
        let factor = gain(&words(-45.0, -60.0)).expect("a gain");
        assert!((20.0 * factor.log10() - 15.0).abs() < 1.5, "to -45 dBFS: {}", 20.0 * factor.log10());
        assert_eq!(gain(&words(-40.0, -44.0)), None);
        assert_eq!(gain(&words(-120.0, -40.0)), None, "noise alone, louder than it may become");
    }

    #[test]
    fn a_click_in_quiet_speech_is_no_reason_to_clip_it() {
        let mut audio = words(-50.0, -100.0);
        audio[20_000] = 0.8;
        assert!(gain(&audio).unwrap() * 0.8 <= 0.9);
    }

    proptest! {
        #[test]
        fn nothing_clips_and_nothing_becomes_quieter(
            audio in proptest::collection::vec(-1.0_f32..1.0, 3_200..4_000),
            level_db in -90.0_f32..0.0,
        ) {
            let audio: Vec<f32> = audio.iter().map(|sample| sample * factor(level_db)).collect();
            if let Some(gain) = gain(&audio) {
                prop_assert!(gain > 1.0 && gain <= factor(GAIN_MAX_DB) * 1.001);
                prop_assert!(audio.iter().all(|sample| (sample * gain).abs() <= PEAK_MAX * 1.001));
            }
        }
    }
}
