//! Whether a voice that failed is asked again: a circuit breaker, told the time.
//!
//! Failures in a row open it; while it is open nobody is kept waiting for what will fail. After a while one
//! sentence tries; if it works all go that way again, else the wait is twice as long, half a minute at most. Pure.

use std::time::{Duration, Instant};

/// So many failures in a row open it: one may be the sentence's fault, three are not.
const FAILURES_MAX: u32 = 3;

/// The first wait.
const WAIT: Duration = Duration::from_secs(2);

/// The longest wait, also where a provider asks for a longer one: a caller notices nothing of a try that fails but a
/// slow sentence.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The breaker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    /// How long the last wait was; nothing while it is closed.
    wait: Option<Duration>,
    until: Option<Instant>,
    /// A sentence tries.
    is_trying: bool,
}

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Once: the next sentence may work.
    Once,
    /// At once: the next would fail alike, for so long as was said.
    AtOnce(Option<Duration>),
}

impl Breaker {
    /// Whether a sentence may be tried now. Whoever is told yes answers by one of the three below.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        match self.until {
            None => true,
            Some(until) if now < until || self.is_trying => false,
            Some(_) => {
                self.is_trying = true;
                true
            }
        }
    }

    /// It worked. True when it had been given up.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_open = self.wait.is_some();
        *self = Self::default();
        was_open
    }

    /// Nobody waited for the end of it: nothing was learned.
    pub(crate) fn let_go(&mut self) {
        self.is_trying = false;
    }

    /// It failed. True when it is given up with this.
    pub(crate) fn failed(&mut self, now: Instant, weight: Weight) -> bool {
        self.failures = self.failures.saturating_add(1);
        let was_open = self.wait.is_some();
        let asked = match weight {
            Weight::AtOnce(asked) => asked,
            Weight::Once if was_open || self.failures >= FAILURES_MAX => None,
            Weight::Once => return false,
        };
        // One that was under way when another opened it learns nothing new.
        if was_open && !self.is_trying {
            return false;
        }
        let wait = self.wait.map_or(WAIT, |wait| 2 * wait).max(asked.unwrap_or_default()).min(WAIT_MAX);
        self.wait = Some(wait);
        self.until = Some(now + wait);
        self.is_trying = false;
        !was_open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; no test depends on which"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_in_a_row_give_it_up_and_one_success_between_does_not() {
        let (mut breaker, now) = (Breaker::default(), start());
        assert!(!breaker.failed(now, Weight::Once) && !breaker.failed(now, Weight::Once));
        assert!(!breaker.succeeded());
        assert!(!breaker.failed(now, Weight::Once) && !breaker.failed(now, Weight::Once));
        assert!(breaker.admit(now));
        assert!(breaker.failed(now, Weight::Once));
        assert!(!breaker.admit(now + s(1)));
    }

    #[test]
    fn one_tries_after_the_wait_and_the_wait_doubles_up_to_half_a_minute() {
        let (mut breaker, mut now) = (Breaker::default(), start());
        assert!(breaker.failed(now, Weight::AtOnce(None)));
        for wait in [2, 4, 8, 16, 30, 30] {
            assert!(!breaker.admit(now + s(wait) - Duration::from_millis(1)), "{wait}");
            now += s(wait);
            assert!(breaker.admit(now), "{wait}");
            assert!(!breaker.admit(now), "one at a time");
            assert!(!breaker.failed(now, Weight::Once), "it is told once");
        }
        now += s(30);
        assert!(breaker.admit(now));
        assert!(breaker.succeeded());
        assert!(breaker.admit(now) && breaker.admit(now));
    }

    #[test]
    fn a_provider_that_says_how_long_is_believed_within_reason() {
        let (mut breaker, now) = (Breaker::default(), start());
        breaker.failed(now, Weight::AtOnce(Some(s(7))));
        assert!(!breaker.admit(now + s(6)) && breaker.admit(now + s(7)));
        let mut breaker = Breaker::default();
        breaker.failed(now, Weight::AtOnce(Some(s(3_600))));
        assert!(breaker.admit(now + s(30)));
    }

    #[test]
    fn a_try_that_nobody_waited_for_leaves_the_next_to_try() {
        let (mut breaker, now) = (Breaker::default(), start());
        breaker.failed(now, Weight::AtOnce(None));
        assert!(breaker.admit(now + s(2)));
        breaker.let_go();
        assert!(breaker.admit(now + s(2)));
    }

    proptest! {
        #[test]
        fn it_is_never_closed_for_good(steps in prop::collection::vec((0..4_u8, 0..40_u64), 0..80)) {
            let (mut breaker, mut now) = (Breaker::default(), start());
            let mut tries = 0_u32;
            for (step, after) in steps {
                now += s(after);
                match step {
                    0 | 1 => tries += u32::from(breaker.admit(now)),
                    _ if tries == 0 => {}
                    2 => { tries -= 1; breaker.failed(now, Weight::AtOnce(Some(s(after * 100)))); }
                    _ => { tries -= 1; breaker.let_go(); }
                }
            }
            // Whoever was told yes and never came back is the only one who could hold it.
            breaker.let_go();
            prop_assert!(breaker.admit(now + WAIT_MAX));
        }
    }
}
