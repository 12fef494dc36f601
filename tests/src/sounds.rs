//! Sounds in which nobody speaks, made from numbers: what a recognizer must not turn into words.

use std::f32::consts::TAU;

const RATE_HZ: f32 = 16_000.0;

/// Silence, noises and telephone tones of `seconds` each, 16 kHz mono, with their names.
pub fn nobody_speaks(seconds: f32) -> Vec<(&'static str, Vec<f32>)> {
    let count = (seconds * RATE_HZ) as usize;
    vec![
        ("silence", vec![0.0; count]),
        ("white noise", noise(count).into_iter().map(|s| s * 0.05).collect()),
        ("pink noise", pink(count)),
        ("hum", tones(count, &[(50.0, 0.05), (100.0, 0.03), (150.0, 0.01)], |_| true)),
        ("ringback", tones(count, &[(425.0, 0.2)], |at_s| at_s % 5.0 < 1.0)),
        ("dialled digits", dtmf(count)),
        ("hold tune", tune(count)),
    ]
}

/// Uniform noise in [-1, 1], the same every time.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x2545_F491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Noise that falls by 3 dB an octave (Kellet's filter), at about -25 dBFS.
fn pink(count: usize) -> Vec<f32> {
    let mut b = [0.0_f32; 3];
    let shape = |white: f32| {
        b[0] = 0.99765 * b[0] + white * 0.099_046;
        b[1] = 0.963 * b[1] + white * 0.296_516_4;
        b[2] = 0.57 * b[2] + white * 1.052_691_3;
        (b[0] + b[1] + b[2] + white * 0.1848) * 0.05
    };
    noise(count).into_iter().map(shape).collect()
}

fn tones(count: usize, parts: &[(f32, f32)], on: impl Fn(f32) -> bool) -> Vec<f32> {
    let at = |n: usize| n as f32 / RATE_HZ;
    let sum = |at_s: f32| parts.iter().map(|(hz, level)| level * (TAU * hz * at_s % TAU).sin()).sum::<f32>();
    (0..count).map(|n| if on(at(n)) { sum(at(n)) } else { 0.0 }).collect()
}

/// Keys pressed for 100 ms with 100 ms between (ITU-T Q.23).
fn dtmf(count: usize) -> Vec<f32> {
    const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let sample = |n: usize| {
        let at_s = n as f32 / RATE_HZ;
        let key = (at_s / 0.2) as usize;
        let (low, high) = (LOW_HZ[key % 4], HIGH_HZ[key / 4 % 4]);
        if at_s % 0.2 < 0.1 { 0.15 * ((TAU * low * at_s).sin() + (TAU * high * at_s).sin()) } else { 0.0 }
    };
    (0..count).map(sample).collect()
}

/// A plucked melody over a slow chord, as telephones play to people who wait.
fn tune(count: usize) -> Vec<f32> {
    const MELODY_HZ: [f32; 8] = [523.3, 659.3, 784.0, 659.3, 587.3, 698.5, 880.0, 698.5];
    let sample = |n: usize| {
        let at_s = n as f32 / RATE_HZ;
        let since_s = at_s % 0.3;
        let hz = MELODY_HZ[(at_s / 0.3) as usize % MELODY_HZ.len()];
        let pluck = (-6.0 * since_s).exp() * ((TAU * hz * at_s).sin() + 0.3 * (TAU * 2.0 * hz * at_s).sin());
        let chord: f32 = [130.8, 164.8, 196.0].iter().map(|hz| (TAU * hz * at_s).sin()).sum();
        0.12 * pluck + 0.03 * chord
    };
    (0..count).map(sample).collect()
}
