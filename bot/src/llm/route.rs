//! Who is asked: providers in their order, and which of them is left alone for a while.
//!
//! Each provider has a breaker. Closed, everybody asks; after [`FAILURES_MAX`] failures in a row it opens and nobody
//! asks; when its pause is over it is half open: one question is the trial, everybody else passes by. A word of the
//! trial's answer closes it. Pauses grow from two seconds to twenty, so a provider that is well again answers within
//! half a minute. `Retry-After` is kept besides, whatever the breaker says.
//! Pure: told the time since the shell began; no timer runs here, so a pause ends when somebody asks.

use std::{sync::Arc, time::Duration};

use super::{Fault, Role, Trouble};

/// Failures in a row that open a breaker. One may be chance, and a caller has heard the filler for each.
pub const FAILURES_MAX: u32 = 3;

/// How long an open breaker keeps everybody away, the first time and the next times in a row.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20)];

/// A trial that says nothing for this long does not keep others from trying.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest `Retry-After` that is kept: one of an hour is a quota, and trying twelve times an hour harms nobody.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Providers by role, each with its breaker.
#[derive(Debug)]
pub struct Routes {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    role: Role,
    breaker: Breaker,
    failures: u32,
    openings: usize,
    rests_until: Duration,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// By everybody.
    Closed,
    /// By nobody before this.
    Open {
        /// The end of the pause.
        until: Duration,
    },
    /// By one, to see whether it is well again.
    HalfOpen {
        /// When the trial began.
        since: Duration,
    },
}

/// That a breaker moved: once for each spell of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The provider is left alone now.
    Opened,
    /// It is asked again.
    Closed,
}

/// Why a provider is not asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rests {
    /// When it may be asked.
    pub until: Duration,
}

impl Routes {
    /// Providers by name and role, in the order of the configuration.
    pub fn new(providers: impl IntoIterator<Item = (Arc<str>, Role)>) -> Self {
        let entries = providers.into_iter().map(|(name, role)| Entry {
            name,
            role,
            breaker: Breaker::Closed,
            failures: 0,
            openings: 0,
            rests_until: Duration::ZERO,
        });
        Self { entries: entries.collect() }
    }

    /// Who is asked for `role`, first to last: the one that is preferred by its name, whatever its role; those of the role;
    /// then those that can stand in. A special model does not: it may be slow, dear or trained for one thing.
    pub fn order(&self, role: Role, preferred: Option<&str>) -> Vec<usize> {
        let roles: &[Role] = match role {
            Role::Primary => &[Role::Primary, Role::Fast],
            Role::Fast => &[Role::Fast, Role::Primary],
            Role::Special => &[Role::Special, Role::Primary, Role::Fast],
        };
        let of = |role: &Role| {
            let role = *role;
            self.entries.iter().enumerate().filter(move |(_, entry)| entry.role == role).map(|(at, _)| at)
        };
        let first = preferred.and_then(|name| self.entries.iter().position(|entry| &*entry.name == name));
        let others = roles.iter().flat_map(of).filter(|at| Some(*at) != first);
        first.into_iter().chain(others).collect()
    }

    /// Whether `provider` may be asked now; when its pause is over, whoever asks is the trial.
    ///
    /// # Errors
    /// [`Rests`].
    pub fn admit(&mut self, provider: usize, now: Duration) -> Result<(), Rests> {
        let entry = &mut self.entries[provider];
        if now < entry.rests_until {
            return Err(Rests { until: entry.rests_until });
        }
        match entry.breaker {
            Breaker::Closed => Ok(()),
            Breaker::Open { until } if now < until => Err(Rests { until }),
            Breaker::HalfOpen { since } if now < since + TRIAL_TIMEOUT => Err(Rests { until: since + TRIAL_TIMEOUT }),
            Breaker::Open { .. } | Breaker::HalfOpen { .. } => {
                entry.breaker = Breaker::HalfOpen { since: now };
                Ok(())
            }
        }
    }

    /// Its answer has begun.
    pub fn began(&mut self, provider: usize) -> Option<Change> {
        self.entries[provider].close()
    }

    /// Its answer came to its end.
    pub fn finished(&mut self, provider: usize) -> Option<Change> {
        let entry = &mut self.entries[provider];
        entry.openings = 0;
        entry.failures = 0;
        entry.close()
    }

    /// It failed.
    pub fn failed(&mut self, provider: usize, why: &Trouble, now: Duration) -> Option<Change> {
        let entry = &mut self.entries[provider];
        if let Some(after) = why.retry_after() {
            entry.rests_until = entry.rests_until.max(now + after.min(RETRY_AFTER_MAX));
        }
        match why.fault() {
            // It is well enough to say what is wrong with the question.
            Fault::Request => return entry.close(),
            Fault::Limit => {
                entry.abandon(now);
                return None;
            }
            Fault::Settings | Fault::Provider => {}
        }
        entry.failures = entry.failures.saturating_add(1);
        let opens = match entry.breaker {
            Breaker::Closed => entry.failures >= FAILURES_MAX,
            Breaker::HalfOpen { .. } => true,
            // Questions from before; they say nothing new.
            Breaker::Open { .. } => false,
        };
        if !opens {
            return None;
        }
        let was_closed = entry.breaker == Breaker::Closed;
        entry.breaker = Breaker::Open { until: now + PAUSES[entry.openings.min(PAUSES.len() - 1)] };
        entry.openings = entry.openings.saturating_add(1);
        was_closed.then_some(Change::Opened)
    }

    /// Nobody waits for its answer any more, which says nothing about it.
    pub fn abandoned(&mut self, provider: usize, now: Duration) {
        self.entries[provider].abandon(now);
    }

    /// What a provider is called.
    pub fn name(&self, provider: usize) -> &Arc<str> {
        &self.entries[provider].name
    }

    /// Every provider's breaker.
    #[cfg(test)]
    pub(super) fn breakers(&self) -> Vec<Breaker> {
        self.entries.iter().map(|entry| entry.breaker).collect()
    }
}

impl Entry {
    fn close(&mut self) -> Option<Change> {
        let was_closed = self.breaker == Breaker::Closed;
        self.breaker = Breaker::Closed;
        (!was_closed).then_some(Change::Closed)
    }

    /// A trial without an outcome: the next may try at once.
    fn abandon(&mut self, now: Duration) {
        if matches!(self.breaker, Breaker::HalfOpen { .. }) {
            self.breaker = Breaker::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failed() -> Trouble {
        Trouble::Failed { provider: "a".into(), status: 500, code: None }
    }

    fn busy(after: u64) -> Trouble {
        Trouble::Busy { provider: "a".into(), status: 429, code: None, retry_after: Some(s(after)) }
    }

    fn refused(status: u16) -> Trouble {
        Trouble::Refused { provider: "a".into(), status, code: None }
    }

    fn one() -> Routes {
        Routes::new([("a".into(), Role::Primary)])
    }

    #[test]
    fn a_role_is_served_by_its_own_first_then_by_those_that_can_stand_in() {
        let roles = [Role::Primary, Role::Fast, Role::Special, Role::Primary];
        let named = ["a", "b", "c", "d"].into_iter().zip(roles).map(|(name, role)| (name.into(), role));
        let routes = Routes::new(named);
        assert_eq!(routes.order(Role::Primary, None), [0, 3, 1]);
        assert_eq!(routes.order(Role::Fast, None), [1, 0, 3]);
        assert_eq!(routes.order(Role::Special, None), [2, 0, 3, 1]);
        assert!(Routes::new([("x".into(), Role::Special)]).order(Role::Primary, None).is_empty());
    }

    #[test]
    fn one_that_is_preferred_goes_first_whatever_its_role_and_the_others_stand_in() {
        let roles = [("a", Role::Primary), ("b", Role::Primary), ("c", Role::Fast)];
        let routes = Routes::new(roles.map(|(name, role)| (name.into(), role)));
        assert_eq!(routes.order(Role::Primary, Some("b")), [1, 0, 2]);
        assert_eq!(routes.order(Role::Primary, Some("c")), [2, 0, 1]);
        assert_eq!(routes.order(Role::Primary, Some("gone")), [0, 1, 2]);
    }

    #[test]
    fn three_failures_in_a_row_open_a_breaker_and_one_trial_closes_it() {
        let mut routes = one();
        assert_eq!(routes.failed(0, &failed(), s(0)), None);
        assert_eq!(routes.failed(0, &failed(), s(0)), None);
        assert_eq!(routes.failed(0, &failed(), s(1)), Some(Change::Opened));
        assert_eq!(routes.admit(0, s(2)), Err(Rests { until: s(3) }));
        assert_eq!(routes.admit(0, s(3)), Ok(()));
        assert!(routes.admit(0, s(3)).is_err(), "one is the trial, others pass by");
        assert_eq!(routes.began(0), Some(Change::Closed));
        assert_eq!(routes.admit(0, s(4)), Ok(()));
        // It has said a word and no more: the next failure opens it again.
        assert_eq!(routes.failed(0, &failed(), s(4)), Some(Change::Opened));
        assert_eq!(routes.admit(0, s(9)), Ok(()));
        assert_eq!(routes.finished(0), Some(Change::Closed));
        assert_eq!(routes.failed(0, &failed(), s(10)), None);
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let mut routes = one();
        for at in 0..20 {
            assert_eq!(routes.failed(0, &failed(), s(at)), None);
            assert_eq!(routes.failed(0, &failed(), s(at)), None);
            assert_eq!(routes.finished(0), None);
        }
    }

    #[test]
    fn a_trial_that_is_given_up_or_hangs_makes_room_for_the_next() {
        let mut routes = one();
        for _ in 0..FAILURES_MAX {
            routes.failed(0, &failed(), s(0));
        }
        assert_eq!(routes.admit(0, s(2)), Ok(()));
        routes.abandoned(0, s(3));
        assert_eq!(routes.admit(0, s(3)), Ok(()));
        assert_eq!(routes.admit(0, s(12)), Err(Rests { until: s(13) }));
        assert_eq!(routes.admit(0, s(13)), Ok(()));
        // A question that nobody waits for any more changes nothing else.
        let mut well = one();
        well.abandoned(0, s(0));
        assert_eq!(well.breakers(), [Breaker::Closed]);
    }

    #[test]
    fn retry_after_is_kept_within_reason() {
        let mut routes = one();
        assert_eq!(routes.failed(0, &busy(7), s(1)), None);
        assert_eq!(routes.admit(0, s(7)), Err(Rests { until: s(8) }));
        assert_eq!(routes.admit(0, s(8)), Ok(()));
        routes.failed(0, &busy(86_400), s(10));
        assert_eq!(routes.admit(0, s(10)), Err(Rests { until: s(310) }));
    }

    #[test]
    fn a_bad_question_is_not_held_against_the_provider_and_a_bad_key_is() {
        let mut routes = one();
        for _ in 0..10 {
            assert_eq!(routes.failed(0, &refused(400), s(0)), None);
        }
        assert_eq!(routes.admit(0, s(0)), Ok(()));
        for _ in 0..FAILURES_MAX {
            routes.failed(0, &refused(401), s(0));
        }
        assert!(routes.admit(0, s(0)).is_err());
        assert_eq!(routes.admit(0, s(2)), Ok(()));
        assert_eq!(routes.failed(0, &Trouble::Spent { what: "tokens" }, s(2)), None);
        assert_eq!(routes.admit(0, s(2)), Ok(()), "a question that was never asked is no trial");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask,
        Begin,
        Finish,
        Fail,
        Abandon,
        Wait(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            Just(Step::Ask),
            Just(Step::Begin),
            Just(Step::Finish),
            Just(Step::Fail),
            Just(Step::Fail),
            Just(Step::Abandon),
            any::<u8>().prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn whatever_happened_it_is_asked_again_within_half_a_minute(steps in steps()) {
            let (mut routes, mut now) = (one(), s(0));
            for step in steps {
                match step {
                    Step::Ask => _ = routes.admit(0, now),
                    Step::Begin => _ = routes.began(0),
                    Step::Finish => _ = routes.finished(0),
                    Step::Fail => _ = routes.failed(0, &failed(), now),
                    Step::Abandon => routes.abandoned(0, now),
                    Step::Wait(millis) => now += Duration::from_millis(u64::from(millis) * 50),
                }
            }
            prop_assert_eq!(routes.admit(0, now + s(30)), Ok(()));
        }
    }
}
