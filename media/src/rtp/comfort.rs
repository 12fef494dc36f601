//! The hiss of a far end that is silent: as loud as it says (RFC 3389), or as quiet as its line was.
//!
//! A sender that leaves silence out leaves a hole that sounds like a broken line. Only the level of a description is
//! used, not its spectrum. Runs on the engine's thread; plain arithmetic, no allocation.

use super::playout::Made;
use crate::dsp::{
    level::rms,
    mix::{Ramp, factor},
    noise::Noise,
};

/// A description louder than this is a mistake, or an attack on ears.
const LOUDEST_DBFS: f32 = -30.0;

/// A line is never made louder than this where nobody said how loud it is.
const FLOOR_MOST: f32 = 0.003_16;

/// Quieter lines are as good as silent (-75 dBFS).
const FLOOR_LEAST: f32 = 0.000_178;

/// The floor of a line is known after so many ticks of its sound.
const TICKS_TO_KNOW: u32 = 50;

/// How fast the floor rises when the line gets louder: 6 dB in 14 s, so that words do not lift it.
const RISE: f32 = 1.000_5;

/// A hiss ends when for so many ticks nothing came: nobody is to be fooled by a line that is dead.
const TICKS_AT_MOST: u32 = 1_000;

/// Fills what is silent.
pub struct Comfort {
    noise: Noise,
    ramp: Ramp,
    /// What the far end said.
    described: Option<f32>,
    /// How quiet its line is, if that counts.
    floor: Option<Floor>,
    silent_ticks: u32,
}

struct Floor {
    rms: f32,
    ticks: u32,
}

impl Comfort {
    /// Of a far end that said nothing yet; with `by_itself` its silence hisses although it describes none.
    pub fn new(by_itself: bool) -> Self {
        let floor = by_itself.then_some(Floor { rms: 1.0, ticks: 0 });
        Self { noise: Noise::new(0x5111), ramp: Ramp::resting(0.0), described: None, floor, silent_ticks: 0 }
    }

    /// Takes the payload of a packet of comfort noise.
    pub fn describe(&mut self, payload: &[u8]) {
        if let Some(level) = payload.first() {
            self.described = Some(factor(-f32::from(level & 0x7f)).min(factor(LOUDEST_DBFS)));
            self.silent_ticks = 0;
        }
    }

    /// Adds noise to a tick of sound that was `made` so.
    pub fn fill(&mut self, out: &mut [f32], made: Made) {
        let is_heard = made == Made::default();
        if is_heard {
            self.silent_ticks = 0;
            self.learn(out);
        } else if made.silent > 0 {
            self.silent_ticks += 1;
        }
        let is_silent = made.silent > 0 && self.silent_ticks < TICKS_AT_MOST;
        let wanted = if is_silent { self.level() } else { 0.0 };
        if self.ramp.target() != wanted {
            self.ramp.aim(wanted, 2 * out.len());
        }
        if self.ramp.rests_at(0.0) {
            return;
        }
        for sample in out {
            *sample = (*sample + self.noise.sample() * self.ramp.advance()).clamp(-1.0, 1.0);
        }
    }

    fn level(&self) -> f32 {
        if let Some(described) = self.described {
            return described;
        }
        match &self.floor {
            Some(floor) if floor.ticks >= TICKS_TO_KNOW && floor.rms >= FLOOR_LEAST => floor.rms.min(FLOOR_MOST),
            _ => 0.0,
        }
    }

    fn learn(&mut self, sound: &[f32]) {
        if let Some(floor) = &mut self.floor {
            let now = rms(sound);
            floor.rms = if now < floor.rms { now.max(FLOOR_LEAST / 2.0) } else { (floor.rms * RISE).min(1.0) };
            floor.ticks = floor.ticks.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::level::rms_dbfs;

    const HEARD: Made = Made { concealed: 0, silent: 0 };
    const SILENT: Made = Made { concealed: 0, silent: 80 };

    fn filled(comfort: &mut Comfort, ticks: usize, made: Made, sound: f32) -> Vec<f32> {
        let tick = |n: usize| if n.is_multiple_of(2) { sound } else { -sound };
        (0..ticks)
            .flat_map(|_| {
                let mut out: Vec<f32> = (0..80).map(tick).collect();
                comfort.fill(&mut out, made);
                out
            })
            .collect()
    }

    #[test]
    fn a_silence_that_is_described_hisses_at_its_level_until_somebody_speaks() {
        let mut comfort = Comfort::new(false);
        assert!(filled(&mut comfort, 50, SILENT, 0.0).iter().all(|sample| *sample == 0.0), "nothing was said of it");
        comfort.describe(&[55, 1, 2, 3]);
        let hiss = filled(&mut comfort, 200, SILENT, 0.0);
        let level = rms_dbfs(&hiss[800..]);
        assert!((level + 55.0).abs() < 1.0, "{level}");
        let speech = filled(&mut comfort, 20, HEARD, 0.25);
        assert!(speech[160..].iter().all(|sample| sample.abs() == 0.25), "gone within two ticks");
    }

    #[test]
    fn a_description_that_would_hurt_does_not() {
        let mut comfort = Comfort::new(false);
        comfort.describe(&[0]);
        let level = rms_dbfs(&filled(&mut comfort, 200, SILENT, 0.0)[800..]);
        assert!((level - LOUDEST_DBFS).abs() < 1.0, "{level}");
        comfort.describe(&[]);
    }

    #[test]
    fn a_silence_that_is_not_described_is_as_quiet_as_the_line_was() {
        let mut comfort = Comfort::new(true);
        filled(&mut comfort, 30, HEARD, 0.001);
        filled(&mut comfort, 300, HEARD, 0.3);
        let level = rms_dbfs(&filled(&mut comfort, 200, SILENT, 0.0)[800..]);
        assert!((level + 59.0).abs() < 2.5, "{level}: the line was at -60");
        let mut loud = Comfort::new(true);
        filled(&mut loud, 100, HEARD, 0.3);
        let level = rms_dbfs(&filled(&mut loud, 200, SILENT, 0.0)[800..]);
        assert!((level + 50.0).abs() < 1.0, "{level}: no louder than that");
    }

    #[test]
    fn a_line_that_is_dead_falls_silent() {
        let mut comfort = Comfort::new(false);
        comfort.describe(&[50]);
        let hiss = filled(&mut comfort, 1_200, SILENT, 0.0);
        assert!(rms_dbfs(&hiss[80 * 900..80 * 990]) > -52.0);
        assert!(hiss[80 * 1_003..].iter().all(|sample| *sample == 0.0));
    }
}
