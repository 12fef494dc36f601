//! The comparison is given known damage and must tell it: so that a test that passes by it says something.

use media::codec::g711::Law;

use super::*;
use crate::sounds::voice;

const RATE_HZ: u32 = 8_000;

fn late(sound: &[f32], samples: usize) -> Vec<f32> {
    [vec![0.0; samples], sound.to_vec(), vec![0.0; 800]].concat()
}

fn through_mu_law(sound: &[f32]) -> Vec<f32> {
    sound.iter().map(|s| Law::Mu.decode(Law::Mu.encode(*s))).collect()
}

fn at(samples: &[f32], rate_hz: u32) -> Sound<'_> {
    Sound { samples, rate_hz }
}

fn heard_as(said: &[f32], heard: &[f32]) -> Hearing {
    compare(at(said, RATE_HZ), at(heard, RATE_HZ)).expect("it was heard")
}

/// A place in the middle of a loud syllable, near `share` of the sound.
fn inside_speech(sound: &[f32], share: f64) -> usize {
    let syllable = (sound.len() as f64 * share) as usize / 1_600;
    (if syllable % 7 == 6 { syllable - 1 } else { syllable }) * 1_600 + 800
}

/// What a jitter buffer makes of it that hurries: a period is taken out of every 240 ms, 3.4 % in all.
fn hurried(sound: &[f32]) -> Vec<f32> {
    const EVERY: usize = 1_900;
    let alike = |at: usize, lag: usize| -> f32 {
        let (here, there) = (&sound[at..at + 120], &sound[at + lag..at + lag + 120]);
        let dot: f32 = here.iter().zip(there).map(|(a, b)| a * b).sum();
        dot / (rms(here) * rms(there)).max(1e-9)
    };
    let (mut heard, mut at) = (Vec::new(), 0);
    while at + EVERY + 400 < sound.len() {
        heard.extend_from_slice(&sound[at..at + EVERY]);
        at += EVERY;
        let period = (40..=100).max_by(|a, b| alike(at, *a).total_cmp(&alike(at, *b))).unwrap();
        heard.extend((0..period).map(|n| {
            let share = n as f32 / period as f32;
            sound[at + n] * (1.0 - share) + sound[at + period + n] * share
        }));
        at += 2 * period;
    }
    heard.extend_from_slice(&sound[at..]);
    heard
}

/// Every two packets of 20 ms in the wrong order.
fn swapped(sound: &[f32]) -> Vec<f32> {
    sound.chunks(320).flat_map(|pair| [&pair[pair.len().min(160)..], &pair[..pair.len().min(160)]].concat()).collect()
}

/// Sixteen cases, the same every time: a seed, and numbers between 0 and 1 to make the rest of.
fn cases() -> impl Iterator<Item = (u64, [f64; 3])> {
    let share = |seed: u64, step: f64| (seed as f64 * step).fract();
    (0..16).map(move |seed| (seed, [share(seed, 0.618), share(seed, 0.414), share(seed, 0.732)]))
}

#[test]
fn what_is_only_late_softer_and_coded_is_heard_whole() {
    for (seed, [late_by, softer, _]) in cases() {
        let (delay, gain_db) = ((late_by * 8_000.0) as usize, 6.0 - 26.0 * softer);
        let said = voice(3.0, seed);
        let gain = 10_f64.powf(gain_db / 20.0) as f32;
        let heard: Vec<f32> = late(&said, delay).iter().map(|s| (s * gain).clamp(-1.0, 1.0)).collect();
        let hearing = heard_as(&said, &through_mu_law(&heard));
        assert!((hearing.delay_ms - delay as f64 / PER_MS).abs() < 0.1, "{hearing:?}");
        assert!((hearing.level_db - gain_db).abs() < 0.3, "{hearing:?} and not {gain_db}");
        assert!(hearing.likeness > 0.99 && hearing.delay_spread_ms < 0.5, "{hearing:?}");
        assert!(hearing.gaps.is_empty() && hearing.clicks_s.is_empty(), "seed {seed}: {hearing:?}");
    }
}

#[test]
fn a_hole_in_speech_is_a_gap_of_its_length() {
    for (seed, [share, length, late_by]) in cases() {
        let (length_ms, delay) = (14 + (length * 66.0) as usize, (late_by * 4_000.0) as usize);
        let said = voice(3.0, seed);
        let middle = inside_speech(&said, 0.1 + 0.8 * share);
        let mut heard = through_mu_law(&late(&said, delay));
        let from = delay + middle - length_ms * 4;
        heard[from..from + length_ms * 8].fill(0.0);
        let hearing = heard_as(&said, &heard);
        let [gap] = hearing.gaps[..] else { panic!("seed {seed}, {length_ms} ms: {hearing:?}") };
        assert!((gap.length_ms - length_ms as f64).abs() <= 5.0, "{length_ms} ms: {hearing:?}");
        assert!((gap.at_s - (from - delay) as f64 / 8_000.0).abs() <= 0.005, "{hearing:?}");
    }
}

#[test]
fn a_jump_is_a_click_at_its_place() {
    for (seed, [share, height, late_by]) in cases() {
        let (height, delay) = (0.35 + 0.25 * height as f32, (late_by * 4_000.0) as usize);
        let said = voice(3.0, seed);
        let place = delay + inside_speech(&said, 0.1 + 0.8 * share) + 200;
        let mut heard = late(&said, delay);
        heard[place] += if heard[place] > 0.0 { -height } else { height };
        let hearing = heard_as(&said, &through_mu_law(&heard));
        let [click_s] = hearing.clicks_s[..] else { panic!("seed {seed}: {hearing:?}") };
        assert!((click_s - place as f64 / 8_000.0).abs() < 0.002, "{hearing:?} and not at sample {place}");
    }
}

#[test]
fn another_sound_is_not_heard() {
    for (seed, _) in cases() {
        let (said, other) = (voice(3.0, seed), voice(3.0, seed + 100));
        assert!(compare(at(&said, RATE_HZ), at(&other, RATE_HZ)).is_err());
        assert!(compare(at(&said, RATE_HZ), at(&vec![0.0; 24_000], RATE_HZ)).is_err());
        assert!(compare(at(&said, RATE_HZ), at(&[], RATE_HZ)).is_err());
    }
}

#[test]
fn what_a_jitter_buffer_hurries_is_whole_and_a_hole_in_it_is_a_gap_still() {
    for (seed, _) in cases() {
        let said = voice(3.0, seed);
        let mut heard = late(&hurried(&said), 400);
        let hearing = heard_as(&said, &heard);
        assert!(hearing.likeness > 0.95, "seed {seed}: {hearing:?}");
        assert!(hearing.longest_gap_ms() < 20.0, "seed {seed}: {hearing:?}");
        heard[13_000..13_320].fill(0.0);
        let hearing = heard_as(&said, &heard);
        let is_hole = |gap: &Gap| (gap.length_ms - 40.0).abs() <= 5.0 && !gap.is_onset;
        assert_eq!(hearing.gaps.iter().filter(|gap| is_hole(gap)).count(), 1, "seed {seed}: {hearing:?}");
    }
}

#[test]
fn packets_in_the_wrong_order_are_another_sound() {
    for (seed, _) in cases() {
        let said = voice(3.0, seed);
        let alike = likeness(at(&said, RATE_HZ), at(&late(&swapped(&said), 400), RATE_HZ));
        assert!(alike < UNLIKE, "seed {seed}: {alike}");
    }
}

#[test]
fn clocks_that_differ_are_told_with_their_sign() {
    let said = voice(40.0, 3);
    for ppm in [-300.0, 300.0] {
        // A far clock that is slow makes the sound longer.
        let heard: Vec<f32> = (0..said.len())
            .map_while(|n| {
                let place = n as f64 / (1.0 + ppm * 1e-6);
                let (index, part) = (place as usize, place.fract() as f32);
                Some(said.get(index)? * (1.0 - part) + said.get(index + 1)? * part)
            })
            .collect();
        let hearing = heard_as(&said, &heard);
        assert!((hearing.drift_ppm - ppm).abs() < 20.0, "{} and not {ppm}", hearing.drift_ppm);
    }
}

#[test]
fn a_delay_that_changes_in_a_pause_is_followed_and_in_a_word_is_a_gap_too() {
    let said = voice(6.0, 5);
    for (place, gaps) in [(13 * 1_600 + 800, 0), (16 * 1_600 + 800, 1)] {
        let heard = [&said[..place], &vec![0.0; 480], &said[place..]].concat();
        let hearing = heard_as(&said, &heard);
        assert!((hearing.delay_spread_ms - 60.0).abs() < 1.0 && hearing.likeness > 0.95, "{hearing:?}");
        assert_eq!(hearing.gaps.len(), gaps, "{hearing:?}");
        assert!(hearing.gaps.iter().all(|gap| (gap.length_ms - 60.0).abs() <= 5.0), "{hearing:?}");
    }
}

#[test]
fn sounds_of_other_rates_are_compared() {
    let said = voice(3.0, 9);
    let mut resampler = Resampler::new(RATE_HZ, 48_000).unwrap();
    let mut heard = Vec::new();
    resampler.process(&late(&said, 800), &mut heard);
    resampler.flush(&mut heard);
    let hearing = compare(at(&said, RATE_HZ), at(&heard, 48_000)).expect("it was heard");
    assert!((hearing.delay_ms - 100.0).abs() < 0.2 && hearing.likeness > 0.98, "{hearing:?}");
    assert!(hearing.gaps.is_empty() && hearing.clicks_s.is_empty(), "{hearing:?}");
}
