use std::{f32::consts::TAU, fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::dsp::tone::{Digit, Generator, Region, Tone};

const RATE_HZ: u32 = 8_000;

/// What is heard, without that tones sound at all.
fn heard(samples: &[f32], rate_hz: u32) -> Vec<Heard> {
    let mut all = everything(samples, rate_hz);
    all.retain(|heard| *heard != Heard::Tone);
    all
}

fn everything(samples: &[f32], rate_hz: u32) -> Vec<Heard> {
    let mut all = Vec::new();
    let mut progress = Progress::new(rate_hz);
    samples.chunks(rate_hz as usize / 100).for_each(|now| progress.hear(now, |heard| all.push(heard)));
    all
}

/// Sines of these frequencies for `ms`, with edges of 3 ms, at -15 dBFS each.
fn tone(hz: &[f32], ms: u32) -> Vec<f32> {
    let len = (ms * RATE_HZ / 1_000) as usize;
    (0..len)
        .map(|n| {
            let at = n as f32 / RATE_HZ as f32;
            let edge = (n.min(len - 1 - n) as f32 / 24.0).min(1.0);
            0.25 * edge * hz.iter().map(|hz| (TAU * hz * at).sin()).sum::<f32>()
        })
        .collect()
}

fn silence(ms: u32) -> Vec<f32> {
    vec![0.0; (ms * RATE_HZ / 1_000) as usize]
}

/// Beats of a tone.
fn beats(hz: &[f32], on_ms: u32, off_ms: u32, count: usize) -> Vec<f32> {
    [tone(hz, on_ms), silence(off_ms)].concat().repeat(count)
}

fn generated(what: Tone, seconds: u32) -> Vec<f32> {
    let mut samples = vec![0.0; (seconds * RATE_HZ) as usize];
    Generator::new(what, RATE_HZ).write(&mut samples);
    samples
}

/// Uniform noise at about this level.
fn noise(samples: usize, level_dbfs: f32) -> Vec<f32> {
    let mut seed = 1_u32;
    let peak = 10.0_f32.powf(level_dbfs / 20.0) * 3.0_f32.sqrt();
    (0..samples)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 8) as f32 / 8_388_608.0 - 1.0) * peak
        })
        .collect()
}

/// As it is after a telephone network: with noise at -50 dBFS, and through G.711.
fn over_the_telephone(samples: &[f32]) -> Vec<f32> {
    use crate::codec::g711;
    let noise = noise(samples.len(), -50.0);
    samples.iter().zip(noise).map(|(s, n)| g711::Law::A.decode(g711::Law::A.encode(s + n))).collect()
}

/// Without what is said of voices.
fn tones_only(heard: Vec<Heard>) -> Vec<Heard> {
    heard.into_iter().filter(|heard| !matches!(heard, Heard::VoiceBegan { .. } | Heard::VoiceEnded { .. })).collect()
}

#[test]
fn exchanges_of_many_countries_ring_are_busy_and_are_congested() {
    let cases: Vec<(&str, Vec<f32>, Vec<Heard>)> = vec![
        ("ring, Germany", generated(Tone::Ringback(Region::Europe), 12), vec![Heard::Ringback; 3]),
        ("ring, America", generated(Tone::Ringback(Region::NorthAmerica), 12), vec![Heard::Ringback; 2]),
        (
            "ring, Britain",
            [tone(&[400.0, 450.0], 400), silence(200), tone(&[400.0, 450.0], 400), silence(2_000)].concat().repeat(2),
            vec![Heard::Ringback; 2],
        ),
        ("busy, Germany", generated(Tone::Busy(Region::Europe), 4), vec![Heard::Busy; 3]),
        ("busy, America", generated(Tone::Busy(Region::NorthAmerica), 4), vec![Heard::Busy; 3]),
        ("busy, Austria", beats(&[420.0], 400, 400, 4), vec![Heard::Busy; 3]),
        ("congestion, Germany", beats(&[425.0], 240, 240, 6), vec![Heard::Congestion; 4]),
        ("congestion, America", beats(&[480.0, 620.0], 250, 250, 6), vec![Heard::Congestion; 4]),
        ("special", [generated(Tone::Sit, 1), silence(1_000)].concat(), vec![Heard::Special]),
        (
            "special, America",
            [tone(&[913.8], 274), tone(&[1_370.6], 274), tone(&[1_776.7], 380), silence(900)].concat(),
            vec![Heard::Special],
        ),
        (
            "special with pauses",
            [tone(&[985.2], 380), silence(30), tone(&[1_428.5], 380), silence(30), tone(&[1_776.7], 380)].concat(),
            vec![],
        ),
    ];
    for (name, mut sound, expected) in cases {
        let expected = if name == "special with pauses" {
            sound.extend(silence(1_000));
            vec![Heard::Special]
        } else {
            expected
        };
        assert_eq!(heard(&sound, RATE_HZ), expected, "{name}");
        assert_eq!(heard(&over_the_telephone(&sound), RATE_HZ), expected, "{name}, over the telephone");
    }
}

#[test]
fn a_fax_that_calls_is_heard_at_its_second_tone_and_one_that_answers_at_once() {
    let calling = [silence(500), beats(&[1_100.0], 500, 3_000, 3)].concat();
    assert_eq!(heard(&over_the_telephone(&calling), RATE_HZ), [Heard::FaxCalling; 2]);
    let answering = [silence(500), tone(&[2_100.0], 3_300), silence(500)].concat();
    assert_eq!(heard(&over_the_telephone(&answering), RATE_HZ), [Heard::FaxAnswering]);
    // With the phase turned every 450 ms and its level waving, as modems of V.8 answer.
    let mut turned: Vec<f32> = tone(&[2_100.0], 3_300);
    for (n, sample) in turned.iter_mut().enumerate() {
        let at = n as f32 / RATE_HZ as f32;
        let sign = if ((at / 0.45) as u32).is_multiple_of(2) { 1.0 } else { -1.0 };
        *sample *= sign * (1.0 + 0.2 * (TAU * 15.0 * at).sin());
    }
    turned.extend(silence(500));
    assert_eq!(heard(&over_the_telephone(&turned), RATE_HZ), [Heard::FaxAnswering]);
}

#[test]
fn beeps_of_many_pitches_and_lengths_are_heard_with_both() {
    for hz in [440.0, 500.0, 620.0, 800.0, 950.0, 1_000.0, 1_300.0, 1_400.0] {
        for ms in [180, 250, 500, 1_000, 2_000] {
            let sound = [silence(700), tone(&[hz], ms), silence(600)].concat();
            for sound in [sound.clone(), over_the_telephone(&sound)] {
                let said = heard(&sound, RATE_HZ);
                let [Heard::Beep { hz: pitch, ms: length }] = said[..] else { panic!("{hz} Hz, {ms} ms: {said:?}") };
                assert!((f32::from(pitch) - hz).abs() < 0.03 * hz, "{hz} Hz: {pitch}");
                assert!(u32::from(length).abs_diff(ms) <= 60, "{ms} ms: {length}");
            }
        }
    }
}

#[test]
fn a_tone_is_told_to_sound_while_it_does() {
    let sound = |ms| [silence(300), tone(&[1_000.0], ms), silence(100)].concat();
    for (ms, times) in [(60, 0), (200, 1), (900, 2), (2_000, 4)] {
        assert_eq!(everything(&sound(ms), RATE_HZ), vec![Heard::Tone; times], "{ms}");
    }
}

#[test]
fn keys_and_tones_that_are_too_short_or_go_on_are_no_beeps() {
    let keys: Vec<f32> =
        "159D*0#".chars().filter_map(Digit::new).flat_map(|digit| generated(Tone::Dtmf(digit), 1)).collect();
    assert_eq!(tones_only(heard(&keys, RATE_HZ)), []);
    assert_eq!(heard(&[silence(300), tone(&[1_000.0], 80), silence(600)].concat(), RATE_HZ), []);
    assert_eq!(heard(&[silence(300), tone(&[1_000.0], 9_000), silence(600)].concat(), RATE_HZ), []);
}

#[test]
fn noise_hum_and_silence_are_nothing_and_a_noisy_line_is_nobody() {
    for level_dbfs in [-70.0, -50.0, -42.0] {
        assert_eq!(heard(&noise(20 * 8_000, level_dbfs), RATE_HZ), [], "{level_dbfs}");
    }
    let hum: Vec<f32> = tone(&[50.0, 100.0, 150.0], 20_000).iter().map(|sample| 0.1 * sample).collect();
    assert_eq!(heard(&hum, RATE_HZ), []);
    // A line that is still until it is answered, and noisy from then on.
    assert_eq!(heard(&[silence(5_000), noise(10 * 8_000, -42.0)].concat(), RATE_HZ), []);
    assert_eq!(heard(&silence(20_000), RATE_HZ), []);
}

#[test]
fn somebody_who_speaks_is_heard_to_begin_and_to_end() {
    let Some(speech) = recording("speech/jfk.wav") else { return };
    let (samples, rate_hz) = speech;
    let at = |seconds: f32| (seconds * rate_hz as f32) as usize;
    // "And so my fellow Americans" begins at 0.33 s; a second of silence on both sides.
    let sound = [vec![0.0; at(1.0)], samples[at(0.3)..at(2.1)].to_vec(), vec![0.0; at(1.0)]].concat();
    let mut told = Vec::new();
    let mut progress = Progress::new(rate_hz);
    for (n, hop) in sound.chunks(at(0.01)).enumerate() {
        progress.hear(hop, |heard| told.push((10 * (n as u32 + 1), heard)));
    }
    let [(began, Heard::VoiceBegan { ago_ms: began_ago }), .., (ended, Heard::VoiceEnded { ago_ms: ended_ago })] =
        told[..]
    else {
        panic!("{told:?}")
    };
    let (began, ended) = (began - u32::from(began_ago), ended - u32::from(ended_ago));
    assert!((980..1_200).contains(&began), "{began} {told:?}");
    assert!((2_500..2_850).contains(&ended), "{ended} {told:?}");
}

#[test]
fn people_who_talk_are_no_fax_no_special_tone_and_no_beep() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/audio");
    let (mut seconds, mut wrong, mut tones) = (0.0, Vec::new(), 0);
    for name in ["speech", "german", "meetings", "telephone"] {
        let Ok(files) = fs::read_dir(folder.join(name)) else {
            return println!("skipped: no recordings in {}", folder.display());
        };
        let mut paths: Vec<_> = files.filter_map(Result::ok).map(|file| file.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "wav")) {
            let Some((samples, rate_hz)) = read(path) else { continue };
            seconds += samples.len() as f32 / rate_hz as f32;
            let narrow = narrowed(&samples, rate_hz);
            let telephone = over_the_telephone(&narrow);
            for (sound, rate_hz) in [(&samples, rate_hz), (&narrow, RATE_HZ), (&telephone, RATE_HZ)] {
                let said = tones_only(heard(sound, rate_hz));
                tones += said.len();
                wrong.extend(said.into_iter().map(|heard| (path.file_name().map(ToOwned::to_owned), rate_hz, heard)));
            }
        }
    }
    println!(
        "{tones} tones in three forms of {seconds:.0} s of people who talk: {:.2} an hour",
        3_600.0 * tones as f32 / (3.0 * seconds)
    );
    assert!(seconds > 320.0, "only {seconds} s of recordings");
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn recording(name: &str) -> Option<(Vec<f32>, u32)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/audio").join(name);
    let found = read(&path);
    if found.is_none() {
        println!("skipped: no {}", path.display());
    }
    found
}

fn read(path: &Path) -> Option<(Vec<f32>, u32)> {
    let mut recording = hound::WavReader::open(path).ok()?;
    let spec = recording.spec();
    let channels = usize::from(spec.channels);
    let samples: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
        (hound::SampleFormat::Float, 32) => {
            recording.samples::<f32>().step_by(channels).map(|s| s.expect("the file is whole")).collect()
        }
        (hound::SampleFormat::Int, 16) => {
            let whole = recording.samples::<i16>().step_by(channels);
            whole.map(|s| f32::from(s.expect("the file is whole")) / 32_768.0).collect()
        }
        _ => return None,
    };
    Some((samples, spec.sample_rate))
}

fn narrowed(samples: &[f32], rate_hz: u32) -> Vec<f32> {
    let mut resampler = crate::dsp::resample::Resampler::new(rate_hz, RATE_HZ).expect("a rate that sound has");
    let mut narrow = Vec::new();
    resampler.process(samples, &mut narrow);
    resampler.flush(&mut narrow);
    narrow
}

proptest! {
    #[test]
    fn no_samples_make_it_panic_and_voices_alternate(
        samples in prop::collection::vec(prop_oneof![any::<f32>(), -1.0_f32..1.0, Just(0.0)], 0..20_000),
        rate_hz in prop::sample::select(vec![1_000_u32, 8_000, 16_000, 48_000]),
    ) {
        let mut is_speaking = false;
        for heard in heard(&samples, rate_hz) {
            match heard {
                Heard::VoiceBegan { .. } => prop_assert!(!std::mem::replace(&mut is_speaking, true)),
                Heard::VoiceEnded { .. } => prop_assert!(std::mem::replace(&mut is_speaking, false)),
                _ => {}
            }
        }
    }

    #[test]
    fn a_beat_is_heard_at_any_level_and_wherever_it_begins(level in 0.05_f32..3.0, offset in 0..160_usize) {
        let mut sound = [vec![0.0; offset], beats(&[425.0], 480, 480, 4)].concat();
        sound.iter_mut().for_each(|sample| *sample *= level);
        prop_assert_eq!(heard(&sound, RATE_HZ), [Heard::Busy; 3]);
    }
}
