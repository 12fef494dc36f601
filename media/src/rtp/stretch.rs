//! Makes a packet's sound a little shorter or longer without changing its pitch.
//!
//! One period of the voice is left out, or said twice, and the seam is faded over that period. It is how a wait
//! that became too long or too short, and a sender's clock that is not ours, are set right unheard. Runs on the
//! engine's thread; works in place, no allocation.

use super::conceal::best_lag;

/// The shortest stretch worth doing, and the longest period looked for.
const SHORTEST_US: usize = 2_500;
const LONGEST_US: usize = 10_000;

/// Two periods so alike are the same sound.
const ALIKE: f32 = 0.6;

/// Below this, root mean square, nothing can be heard of a seam: -50 dBFS.
const QUIET: f32 = 0.003;

/// Leaves one period out of `sound`; says how long it is then. When nothing can be left out unheard, and it is
/// not `urgent`, all is left as it is.
pub fn shorten(sound: &mut [f32], rate_hz: u32, urgent: bool) -> usize {
    let Some(lag) = period(sound, rate_hz, urgent) else { return sound.len() };
    for at in 0..lag {
        let share = (at + 1) as f32 / (lag + 1) as f32;
        sound[at] = sound[at] * (1.0 - share) + sound[at + lag] * share;
    }
    sound.copy_within(2 * lag.., lag);
    sound.len() - lag
}

/// Says one period of the first `length` samples of `sound` twice; says how long they are then. `sound` must
/// have room for half of `length` more, or nothing is done.
pub fn lengthen(sound: &mut [f32], length: usize, rate_hz: u32, urgent: bool) -> usize {
    let Some(lag) = period(&sound[..length], rate_hz, urgent) else { return length };
    if length + lag > sound.len() {
        return length;
    }
    sound.copy_within(lag..length, 2 * lag);
    // The first period is still at the front; the second, now at twice the lag, is what it leads into.
    for at in 0..lag {
        let share = (at + 1) as f32 / (lag + 1) as f32;
        sound[lag + at] = sound[2 * lag + at] * (1.0 - share) + sound[at] * share;
    }
    length + lag
}

fn period(sound: &[f32], rate_hz: u32, urgent: bool) -> Option<usize> {
    let rate_hz = rate_hz as usize;
    let shortest = rate_hz * SHORTEST_US / 1_000_000;
    let longest = (rate_hz * LONGEST_US / 1_000_000).min(sound.len() / 2);
    if shortest == 0 || longest < shortest {
        return None;
    }
    let power = sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32;
    if power.sqrt() < QUIET {
        return Some(longest);
    }
    let stride = (rate_hz / 8_000).max(1);
    // The first two periods of the packet are the ones to be merged, so only they are compared.
    let mut best = (longest, f32::MIN);
    for lag in (shortest..=longest).step_by(stride) {
        let (_, alike) = best_lag(&sound[..2 * lag], lag, std::iter::once(lag), stride);
        if alike > best.1 {
            best = (lag, alike);
        }
    }
    (urgent || best.1 >= ALIKE).then_some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, rate_hz: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|at| 0.5 * (std::f32::consts::TAU * hz * at as f32 / rate_hz as f32).sin()).collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_voice_loses_or_gains_whole_periods_and_no_seam_is_heard() {
        for rate_hz in [8_000_u32, 16_000, 48_000] {
            let packet = rate_hz as usize / 50;
            let sound = tone(200.0, rate_hz, packet);
            let mut short = sound.clone();
            let length = shorten(&mut short, rate_hz, false);
            assert!(length < packet && (packet - length).is_multiple_of(rate_hz as usize / 200), "{length}");
            assert!(steepest(&short[..length]) < 1.1 * steepest(&sound));
            let mut long = sound.clone();
            long.resize(packet * 2, 0.0);
            let length = lengthen(&mut long, packet, rate_hz, false);
            assert!(length > packet && (length - packet).is_multiple_of(rate_hz as usize / 200), "{length}");
            assert!(steepest(&long[..length]) < 1.1 * steepest(&sound));
            assert_eq!(long[length - 1], sound[packet - 1]);
        }
    }

    #[test]
    fn what_has_no_period_is_left_alone_unless_it_is_urgent() {
        let mut seed = 1_u32;
        let mut noise: Vec<f32> = (0..160)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        let before = noise.clone();
        assert_eq!(shorten(&mut noise, 8_000, false), 160);
        assert_eq!(noise, before);
        assert!(shorten(&mut noise, 8_000, true) < 160);
        assert!(shorten(&mut [0.0; 160], 8_000, false) == 80, "silence gives what it can");
        assert_eq!(shorten(&mut [0.5; 3], 8_000, true), 3, "too short to hold a period");
    }
}
