//! How long this caller pauses: learned from ends of turn that were none.
//!
//! Pure. A caller who went on before the answer was heard was cut off: from then on it is waited longer. Turns that
//! stood bring it back, slowly: being cut off annoys more than a tenth of a second.

use std::time::Duration;

/// The pace of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pace {
    /// What every wait is multiplied by, in thousandths.
    factor_milli: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { factor_milli: 1_000 }
    }
}

impl Pace {
    /// `wait` for this caller.
    pub(super) fn stretch(self, wait: Duration) -> Duration {
        wait * self.factor_milli / 1_000
    }

    /// A turn was ended, and the caller went on.
    pub(super) fn cut_off(&mut self) {
        self.factor_milli = (self.factor_milli * 13 / 10).min(MOST);
    }

    /// A turn was ended, and the answer was heard.
    pub(super) fn stood(&mut self) {
        self.factor_milli = (self.factor_milli * 96 / 100).max(LEAST);
    }
}

/// Nobody is waited for longer than twice as long as others; who hesitates more is known by the words.
const MOST: u32 = 2_000;

/// Quick callers gain a fifth.
const LEAST: u32 = 800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_was_cut_off_is_given_more_time_within_bounds() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert_eq!(pace.stretch(second), second);
        pace.cut_off();
        assert_eq!(pace.stretch(second), Duration::from_millis(1_300));
        pace.stood();
        assert!(pace.stretch(second) < Duration::from_millis(1_300) && pace.stretch(second) > second);
        (0..50).for_each(|_| pace.cut_off());
        assert_eq!(pace.stretch(second), 2 * second);
        (0..200).for_each(|_| pace.stood());
        assert_eq!(pace.stretch(second), Duration::from_millis(800));
    }
}
