//! How a listener would judge a call, from what was measured: the E-model of ITU-T G.107, for one kind of room.
//!
//! A rating R begins at what an undisturbed narrowband call has and loses for delay and for loss; G.107 Annex B
//! maps it to a mean opinion, 1 to 4.5. The impairment by delay is the two-piece line that Cole and Rosenbluth
//! ("Voice over IP performance monitoring", 2001) fitted to the model. Numbers only. It is an estimate: it knows
//! neither the codec's bandwidth nor what was said.

use std::time::Duration;

/// R of a call with every parameter at its default (G.107 section 7.7).
const UNDISTURBED: f64 = 93.2;

/// From here on delay disturbs the turns of a conversation.
const FELT_MS: f64 = 177.3;

/// How a codec bears loss (ITU-T G.113 Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robustness {
    /// What it impairs without any loss: Ie.
    pub impairment: f64,
    /// How much random loss it stands: Bpl.
    pub stands_loss: f64,
}

impl Robustness {
    /// G.711 with its losses concealed.
    pub const G711_CONCEALED: Self = Self { impairment: 0.0, stands_loss: 25.1 };
}

/// The mean opinion of listeners, 1 (bad) to 4.5, of a call whose sound is `delay` old when heard and of whose
/// packets the share `loss`, 0 to 1, is lost at random.
pub fn mos(delay: Duration, loss: f64, robustness: Robustness) -> f64 {
    let delay_ms = delay.as_secs_f64() * 1e3;
    let delayed = 0.024 * delay_ms + 0.11 * (delay_ms - FELT_MS).max(0.0);
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let Robustness { impairment, stands_loss } = robustness;
    let lossy = impairment + (95.0 - impairment) * percent / (percent + stands_loss);
    let rating = (UNDISTURBED - delayed - lossy).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_match_the_models_own_points() {
        let of = |delay_ms, loss| mos(Duration::from_millis(delay_ms), loss, Robustness::G711_CONCEALED);
        // G.107 Annex B: R = 93.2 is 4.41; with 1 % of loss Ie,eff is 3.64, with 5 % 15.8.
        assert!((of(0, 0.0) - 4.41).abs() < 0.005);
        assert!((of(0, 0.01) - 4.33).abs() < 0.01);
        assert!((of(0, 0.05) - 3.92).abs() < 0.02);
        assert!(of(100, 0.0) > 4.3 && of(400, 0.0) < 3.6);
        assert!(of(60_000, 1.0) >= 1.0);
    }

    #[test]
    fn more_delay_and_more_loss_are_never_judged_better() {
        let mut last = f64::MAX;
        for step in 0..100_u32 {
            let now =
                mos(Duration::from_millis(u64::from(step) * 10), f64::from(step) / 100.0, Robustness::G711_CONCEALED);
            assert!(now <= last);
            last = now;
        }
    }
}
