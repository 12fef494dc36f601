//! Adding sounds up, and ramps that change a level without a click.
//!
//! Plain functions on slices of equal length; nothing is allocated.

/// Above this magnitude a sum is bent instead of clipped. 0.8 (-2 dBFS) leaves one loud voice untouched; it
/// costs some distortion when several shout at once.
const KNEE: f32 = 0.8;

/// Adds `sound` to `sum`.
pub fn add(sum: &mut [f32], sound: &[f32]) {
    for (sum, sample) in sum.iter_mut().zip(sound) {
        *sum += sample;
    }
}

/// Bends what is louder than full scale back below it: the identity up to -2 dBFS, then ever flatter.
pub fn limit(samples: &mut [f32]) {
    for sample in samples {
        let over = sample.abs() - KNEE;
        if over > 0.0 {
            // Slope one at the knee, one at infinity: no corner that could be heard, no wrap-around.
            let room = 1.0 - KNEE;
            *sample = (KNEE + room * over / (room + over)).copysign(*sample);
        }
    }
}

/// The factor that `db` stands for; zero for minus infinity and for what is not a number.
pub fn factor(db: f32) -> f32 {
    if db.is_nan() { 0.0 } else { 10.0_f32.powf(db / 20.0) }
}

/// A factor on its way to another, the same step for each sample.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    now: f32,
    target: f32,
    step: f32,
    samples_left: usize,
}

impl Ramp {
    /// A ramp that rests at `factor`.
    pub fn resting(factor: f32) -> Self {
        Self { now: factor, target: factor, step: 0.0, samples_left: 0 }
    }

    /// Sets out for `target`, to be reached in `samples` (at least one) wherever it is now.
    pub fn aim(&mut self, target: f32, samples: usize) {
        self.target = target;
        self.samples_left = samples.max(1);
        self.step = (target - self.now) / self.samples_left as f32;
    }

    /// The factor that it has reached or is on its way to.
    pub fn target(&self) -> f32 {
        self.target
    }

    /// Whether it rests at `factor`.
    pub fn rests_at(&self, factor: f32) -> bool {
        self.samples_left == 0 && self.now == factor
    }

    /// The factor for the next sample.
    pub fn advance(&mut self) -> f32 {
        if self.samples_left > 0 {
            self.samples_left -= 1;
            self.now = if self.samples_left == 0 { self.target } else { self.now + self.step };
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn limited_samples_keep_their_order_and_stay_in_range(a in -40.0_f32..40.0, b in -40.0_f32..40.0) {
            let mut bent = [a, b];
            limit(&mut bent);
            prop_assert!(bent.iter().all(|s| s.abs() <= 1.0));
            prop_assert!((a <= b) == (bent[0] <= bent[1]) || bent[0] == bent[1]);
        }

        #[test]
        fn what_is_below_the_knee_is_untouched(sample in -0.8_f32..=0.8) {
            let mut same = [sample];
            limit(&mut same);
            prop_assert_eq!(same[0], sample);
        }

        #[test]
        fn a_ramp_arrives_on_time_and_never_overshoots(from in 0.0_f32..2.0, to in 0.0_f32..2.0, samples in 1..500_usize) {
            let mut ramp = Ramp::resting(from);
            ramp.aim(to, samples);
            for _ in 0..samples {
                let now = ramp.advance();
                prop_assert!(now >= from.min(to) - 1e-5 && now <= from.max(to) + 1e-5);
            }
            prop_assert!(ramp.rests_at(to));
        }
    }

    #[test]
    fn decibels_become_factors() {
        assert_eq!([factor(0.0), factor(20.0), factor(f32::NEG_INFINITY), factor(f32::NAN)], [1.0, 10.0, 0.0, 0.0]);
    }
}
