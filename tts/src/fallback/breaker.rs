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
    /// The trial that is under way.
    trying: Option<u64>,
    /// Trials so far.
    trials: u64,
}

/// The leave of one sentence to try, which comes back with what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    /// Which trial it is, where the breaker is open.
    trial: Option<u64>,
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
    /// Whether a sentence may be tried now. Whoever is given leave answers by one of the three below.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Leave> {
        match self.until {
            None => Some(Leave { trial: None }),
            Some(until) if now < until || self.trying.is_some() => None,
            Some(_) => {
                self.trials += 1;
                self.trying = Some(self.trials);
                Some(Leave { trial: self.trying })
            }
        }
    }

    /// It worked. True when it had been given up.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_open = self.wait.is_some();
        *self = Self { trials: self.trials, ..Self::default() };
        was_open
    }

    /// Nobody waited for the end of it: nothing was learned.
    pub(crate) fn let_go(&mut self, leave: Leave) {
        if self.is_trial(leave) {
            self.trying = None;
        }
    }

    /// It failed. True when it is given up with this.
    pub(crate) fn failed(&mut self, now: Instant, weight: Weight, leave: Leave) -> bool {
        let was_open = self.wait.is_some();
        // One that was under way when another opened it learns nothing new, and is not the trial.
        if was_open && !self.is_trial(leave) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let asked = match weight {
            Weight::AtOnce(asked) => asked,
            Weight::Once if was_open || self.failures >= FAILURES_MAX => None,
            Weight::Once => return false,
        };
        let wait = self.wait.map_or(WAIT, |wait| 2 * wait).max(asked.unwrap_or_default()).min(WAIT_MAX);
        self.wait = Some(wait);
        self.until = Some(now + wait);
        self.trying = None;
        !was_open
    }

    fn is_trial(&self, leave: Leave) -> bool {
        leave.trial.is_some() && leave.trial == self.trying
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

    /// The leave of one that is no trial.
    const ANY: Leave = Leave { trial: None };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_in_a_row_give_it_up_and_one_success_between_does_not() {
        let (mut breaker, now) = (Breaker::default(), start());
        assert!(!breaker.failed(now, Weight::Once, ANY) && !breaker.failed(now, Weight::Once, ANY));
        assert!(!breaker.succeeded());
        assert!(!breaker.failed(now, Weight::Once, ANY) && !breaker.failed(now, Weight::Once, ANY));
        assert!(breaker.admit(now).is_some());
        assert!(breaker.failed(now, Weight::Once, ANY));
        assert!(breaker.admit(now + s(1)).is_none());
    }

    #[test]
    fn one_tries_after_the_wait_and_the_wait_doubles_up_to_half_a_minute() {
        let (mut breaker, mut now) = (Breaker::default(), start());
        assert!(breaker.failed(now, Weight::AtOnce(None), ANY));
        for wait in [2, 4, 8, 16, 30, 30] {
            assert!(breaker.admit(now + s(wait) - Duration::from_millis(1)).is_none(), "{wait}");
            now += s(wait);
            let trial = breaker.admit(now).expect("one tries");
            assert!(breaker.admit(now).is_none(), "one at a time");
            assert!(!breaker.failed(now, Weight::Once, trial), "it is told once");
        }
        now += s(30);
        assert!(breaker.admit(now).is_some());
        assert!(breaker.succeeded());
        assert!(breaker.admit(now).is_some() && breaker.admit(now).is_some());
    }

    #[test]
    fn a_provider_that_says_how_long_is_believed_within_reason() {
        let (mut breaker, now) = (Breaker::default(), start());
        breaker.failed(now, Weight::AtOnce(Some(s(7))), ANY);
        assert!(breaker.admit(now + s(6)).is_none() && breaker.admit(now + s(7)).is_some());
        let mut breaker = Breaker::default();
        breaker.failed(now, Weight::AtOnce(Some(s(3_600))), ANY);
        assert!(breaker.admit(now + s(30)).is_some());
    }

    #[test]
    fn a_try_that_nobody_waited_for_leaves_the_next_to_try() {
        let (mut breaker, now) = (Breaker::default(), start());
        breaker.failed(now, Weight::AtOnce(None), ANY);
        let trial = breaker.admit(now + s(2)).expect("one tries");
        breaker.let_go(trial);
        assert!(breaker.admit(now + s(2)).is_some());
    }

    #[test]
    fn what_comes_late_of_a_sentence_before_is_not_what_came_of_the_trial() {
        let (mut breaker, now) = (Breaker::default(), start());
        let early = breaker.admit(now).expect("it is closed");
        breaker.failed(now, Weight::AtOnce(None), ANY);
        let trial = breaker.admit(now + s(2)).expect("one tries");
        assert!(!breaker.failed(now + s(2), Weight::Once, early));
        breaker.let_go(early);
        assert!(breaker.admit(now + s(2)).is_none(), "the trial is under way");
        assert!(!breaker.failed(now + s(2), Weight::Once, trial));
        assert!(breaker.admit(now + s(5)).is_none() && breaker.admit(now + s(6)).is_some(), "it doubled the wait once");
        // A trial of another time is none of now.
        breaker.let_go(trial);
        assert!(breaker.admit(now + s(6)).is_none());
    }

    proptest! {
        #[test]
        fn it_is_never_closed_for_good(steps in prop::collection::vec((0..4_u8, 0..40_u64), 0..80)) {
            let (mut breaker, mut now) = (Breaker::default(), start());
            let mut leaves = Vec::new();
            for (step, after) in steps {
                now += s(after);
                match step {
                    0 | 1 => leaves.extend(breaker.admit(now)),
                    2 => {
                        if let Some(leave) = leaves.pop() {
                            breaker.failed(now, Weight::AtOnce(Some(s(after * 100))), leave);
                        }
                    }
                    _ => {
                        if let Some(leave) = leaves.pop() {
                            breaker.let_go(leave);
                        }
                    }
                }
            }
            // Whoever was told yes and never came back is the only one who could hold it.
            leaves.into_iter().for_each(|leave| breaker.let_go(leave));
            prop_assert!(breaker.admit(now + WAIT_MAX).is_some());
        }
    }
}
