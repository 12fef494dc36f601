//! Tells when nothing comes any more from a far end that should be speaking.
//!
//! Pure control, told what a leg reports of itself once a second ([`Health`]) and whether the far
//! end is held. A far end that is silent but there reports on us, so a stream without packets is not dead yet; one that
//! sends neither is gone, or its network is.

use super::leg::Health;

/// Between two reports of health.
const STEP_MS: u32 = 1_000;

/// Watches one leg.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    patience_ms: u32,
    /// How long it is watched without a pause.
    watched_ms: u32,
    is_held: bool,
    is_told: bool,
}

impl Watch {
    /// Tells after `patience_ms` of nothing; never sooner than the next report. A usual one is 30 s: a telephone that
    /// changes its network is back within ten.
    pub const fn new(patience_ms: u32) -> Self {
        Self { patience_ms, watched_ms: 0, is_held: false, is_told: false }
    }

    /// While the far end is held it need not send, and patience begins anew after it.
    pub fn hold(&mut self, is_held: bool) {
        (self.is_held, self.watched_ms, self.is_told) = (is_held, 0, false);
    }

    /// Takes a report; how long nothing came, once, when that is longer than there is patience.
    pub fn hear(&mut self, health: &Health) -> Option<u32> {
        if self.is_held {
            return None;
        }
        self.watched_ms = self.watched_ms.saturating_add(STEP_MS);
        let silent_ms = health.silent_ms.min(self.watched_ms);
        let is_over = silent_ms >= self.patience_ms;
        let is_new = is_over && !self.is_told;
        self.is_told = is_over;
        is_new.then_some(silent_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(silent_ms: u32) -> Health {
        Health { silent_ms, ..Health::default() }
    }

    #[test]
    fn a_far_end_that_is_gone_is_told_of_once_and_again_after_it_came_back() {
        let mut watch = Watch::new(3_000);
        let told: Vec<_> = (1..8).map(|second| watch.hear(&silent(second * 1_000))).collect();
        assert_eq!(told, [None, None, Some(3_000), None, None, None, None]);
        assert_eq!(watch.hear(&silent(20)), None);
        let told: Vec<_> = (1..5).map(|second| watch.hear(&silent(second * 1_000))).collect();
        assert_eq!(told, [None, None, Some(3_000), None]);
    }

    #[test]
    fn a_far_end_that_is_held_may_be_silent_and_has_time_to_return() {
        let mut watch = Watch::new(3_000);
        watch.hold(true);
        assert!((1..100).all(|second| watch.hear(&silent(second * 1_000)).is_none()));
        watch.hold(false);
        let told: Vec<_> = (100..104).map(|second| watch.hear(&silent(second * 1_000))).collect();
        assert_eq!(told, [None, None, Some(3_000), None]);
    }
}
