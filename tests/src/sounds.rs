//! Sounds made from numbers: those in which nobody speaks, which a recognizer must not turn into words, and one that
//! has what matters of a voice to codecs, jitter buffers and whoever compares waveforms.

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

/// The rate of [`voice`] and of [`silence`].
pub const VOICE_HZ: u32 = 8_000;

/// Nothing, at 8 kHz.
pub fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; (seconds * f64::from(VOICE_HZ)) as usize]
}

/// Something like a voice at 8 kHz: pulses through three formants, syllables of 200 ms, every seventh silent.
pub fn voice(seconds: f64, seed: u64) -> Vec<f32> {
    let count = (seconds * f64::from(VOICE_HZ)) as usize;
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
    };
    let mut sound = vec![0.0; count];
    let mut memory = [[0.0_f32; 2]; 3];
    let mut glottis = [0.0_f32; 2];
    let (mut phase, mut pitch_hz, mut formants) = (0.0_f32, 120.0_f32, [500.0_f32, 1_500.0, 2_500.0]);
    for (n, sample) in sound.iter_mut().enumerate() {
        if n % 1_600 == 0 {
            pitch_hz = 120.0 + 40.0 * noise();
            formants = [500.0 + 250.0 * noise(), 1_500.0 + 600.0 * noise(), 2_600.0 + 400.0 * noise()];
        }
        phase += pitch_hz / VOICE_HZ as f32;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase %= 1.0;
        glottis[0] = 0.8 * glottis[0] + pulse;
        glottis[1] = 0.8 * glottis[1] + glottis[0];
        let mut value = glottis[1] + 0.02 * noise();
        for (hz, memory) in formants.iter().zip(&mut memory) {
            let (radius, angle) = (0.97_f32, TAU * hz / VOICE_HZ as f32);
            let out =
                value * (1.0 - radius) * 2.0 + 2.0 * radius * angle.cos() * memory[0] - radius * radius * memory[1];
            *memory = [out, memory[0]];
            value = out;
        }
        let syllable = (n % 1_600) as f32 / 1_600.0;
        let opening = (std::f32::consts::PI * syllable).sin().powf(0.3);
        *sample = value * opening * if n / 1_600 % 7 == 6 { 0.0 } else { 1.0 };
    }
    for syllable in sound.chunks_mut(1_600) {
        // As loud as the others, whatever its formants.
        let level = (syllable.iter().map(|s| s * s).sum::<f32>() / syllable.len() as f32).sqrt().max(1e-6);
        syllable.iter_mut().for_each(|s| *s = (*s * 0.12 / level).clamp(-0.9, 0.9));
    }
    sound
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
