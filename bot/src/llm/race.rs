//! One question, several providers: who is asked next, and when a second one is asked besides.
//!
//! The first provider is asked; when it fails before a word, the next one is, at once. When it says nothing for
//! [`Patience::hedge_after`], the next one is asked besides, and whoever speaks first has won. A provider that failed by
//! chance gets a second try after a short pause. At [`Patience::first`] it is over: by then the caller must hear
//! something. Pure: told the time, it says what to do; the shell does it.

use std::time::Duration;

use super::{
    Trouble, Wait,
    route::{Rests, Routes},
};

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the first word before somebody else is asked besides; nobody is when not set.
    pub hedge_after: Option<Duration>,
    /// For the first word, of whomever.
    pub first: Duration,
    /// For every next piece, also of a call's arguments. What only keeps the line open is none, but while a call is being
    /// written: vendors hold back what is no whole value yet.
    pub next: Duration,
    /// For the whole answer.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // Large models far away begin within 0.8 s nearly always; a second answer costs as much as the first.
            hedge_after: Some(Duration::from_millis(1_200)),
            // The caller hears the apology within five seconds, and it has to be spoken.
            first: Duration::from_secs(4),
            // Speech that was begun lasts some seconds; after that it is silence.
            next: Duration::from_secs(4),
            // Nobody listens to one turn for a minute.
            whole: Duration::from_secs(60),
        }
    }
}

/// Tries of one provider for one question.
const TRIES_MAX: u8 = 2;
/// Before a provider's second try: what was chance is over, and nobody is hammered.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest rest of a provider that is sat out when there is nobody else; longer, and the caller hears silence.
const REST_MAX: Duration = Duration::from_secs(1);
/// Providers asked at the same time.
const RUNNING_MAX: usize = 2;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask this provider.
    Start(usize),
    /// Nothing before this time, unless something comes.
    Wait(Duration),
    /// Give up.
    Fail(Trouble),
}

/// One question on its way.
#[derive(Debug)]
pub(super) struct Race {
    runners: Vec<Runner>,
    patience: Patience,
    asked_at: Duration,
    hedge_at: Option<Duration>,
    starts: u32,
    is_hedged: bool,
    last: Option<Trouble>,
}

#[derive(Debug)]
struct Runner {
    provider: usize,
    tries: u8,
    ready_at: Duration,
    running_since: Option<Duration>,
}

impl Race {
    /// A question to these providers, in their order.
    pub(super) fn new(order: Vec<usize>, patience: Patience, now: Duration) -> Self {
        let runners =
            order.into_iter().map(|provider| Runner { provider, tries: 0, ready_at: now, running_since: None });
        Self {
            runners: runners.collect(),
            patience,
            asked_at: now,
            hedge_at: None,
            starts: 0,
            is_hedged: false,
            last: None,
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, routes: &mut Routes, now: Duration) -> Next {
        let deadline = self.asked_at + self.patience.first;
        if now >= deadline {
            return Next::Fail(self.late(routes));
        }
        let running = self.running().count();
        if running > 0 {
            let Some(hedge_at) = self.hedge_at.filter(|_| running < RUNNING_MAX) else { return Next::Wait(deadline) };
            if now < hedge_at {
                return Next::Wait(hedge_at.min(deadline));
            }
        }
        let mut wake_at = deadline;
        let mut rests_until = None;
        for runner in &mut self.runners {
            // Whoever is asked besides is somebody else, asked for the first time.
            let is_left = if running > 0 { runner.tries == 0 } else { runner.tries < TRIES_MAX };
            if runner.running_since.is_some() || !is_left {
                continue;
            }
            if now < runner.ready_at {
                wake_at = wake_at.min(runner.ready_at);
                continue;
            }
            match routes.admit(runner.provider, now) {
                Ok(()) => {
                    runner.tries += 1;
                    runner.running_since = Some(now);
                    self.starts += 1;
                    self.is_hedged |= running > 0;
                    self.hedge_at = self.patience.hedge_after.map(|after| now + after);
                    return Next::Start(runner.provider);
                }
                Err(Rests { until }) => {
                    rests_until = Some(rests_until.map_or(until, |first: Duration| first.min(until)));
                    if until - now <= REST_MAX {
                        wake_at = wake_at.min(until);
                    }
                }
            }
        }
        if running > 0 {
            // Nobody is left to be asked besides.
            self.hedge_at = None;
            return Next::Wait(deadline);
        }
        if wake_at < deadline {
            return Next::Wait(wake_at);
        }
        let resting = rests_until.map(|until| Trouble::Resting { after: until - now });
        Next::Fail(self.last.take().or(resting).unwrap_or(Trouble::NoModel))
    }

    /// A provider failed before it said a word.
    pub(super) fn failed(&mut self, provider: usize, why: Trouble, now: Duration) {
        if let Some(runner) = self.runners.iter_mut().find(|runner| runner.provider == provider) {
            runner.running_since = None;
            runner.ready_at = now + RETRY_PAUSE;
            // Another try would fail alike, or come too late.
            if !why.is_retryable() || why.retry_after().is_some_and(|after| after > REST_MAX) {
                runner.tries = TRIES_MAX;
            }
        }
        self.last = Some(why);
    }

    /// Who is being asked.
    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        self.runners.iter().filter(|runner| runner.running_since.is_some()).map(|runner| runner.provider)
    }

    /// Whom `winner` has overtaken: those who had time enough and said nothing.
    pub(super) fn overtaken(&self, winner: usize, now: Duration) -> impl Iterator<Item = usize> {
        let enough = self.patience.hedge_after.unwrap_or(self.patience.first);
        let is_slow =
            move |runner: &&Runner| runner.running_since.is_some_and(|since| now.saturating_sub(since) >= enough);
        self.runners.iter().filter(is_slow).map(|runner| runner.provider).filter(move |provider| *provider != winner)
    }

    /// How often somebody was asked.
    pub(super) fn starts(&self) -> u32 {
        self.starts
    }

    /// Whether somebody was asked besides.
    pub(super) fn is_hedged(&self) -> bool {
        self.is_hedged
    }

    fn late(&mut self, routes: &Routes) -> Trouble {
        let running = self.running().next().map(|provider| Trouble::Late {
            provider: routes.name(provider).clone(),
            wait: Wait::First,
            after: self.patience.first,
        });
        running.or_else(|| self.last.take()).unwrap_or(Trouble::NoModel)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::Role;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn failed() -> Trouble {
        Trouble::Failed { provider: "x".into(), status: 500, code: None }
    }

    fn refused() -> Trouble {
        Trouble::Refused { provider: "x".into(), status: 400, code: None }
    }

    fn race(providers: usize) -> (Race, Routes) {
        let names = (0..providers).map(|number| (number.to_string().into(), Role::Primary));
        let routes = Routes::new(names);
        (Race::new(routes.order(Role::Primary, None), Patience::default(), ms(0)), routes)
    }

    #[test]
    fn whoever_fails_is_followed_by_the_next_at_once() {
        let (mut race, mut routes) = race(2);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Start(0));
        assert_eq!(race.next(&mut routes, ms(0)), Next::Wait(ms(1_200)));
        race.failed(0, failed(), ms(100));
        assert_eq!(race.next(&mut routes, ms(100)), Next::Start(1));
        assert_eq!(race.next(&mut routes, ms(100)), Next::Wait(ms(1_300)));
        assert_eq!((race.starts(), race.is_hedged()), (2, false));
    }

    #[test]
    fn whoever_says_nothing_is_overtaken_by_somebody_asked_besides() {
        let (mut race, mut routes) = race(3);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Start(0));
        assert_eq!(race.next(&mut routes, ms(1_200)), Next::Start(1));
        assert_eq!(race.next(&mut routes, ms(3_000)), Next::Wait(ms(4_000)), "two at a time");
        assert_eq!(race.overtaken(1, ms(1_500)).collect::<Vec<_>>(), [0]);
        assert_eq!(race.overtaken(0, ms(1_500)).collect::<Vec<_>>(), [0; 0], "it has just been asked");
        assert!(race.is_hedged());
    }

    #[test]
    fn somebody_alone_is_not_asked_besides_and_has_until_the_deadline() {
        let (mut race, mut routes) = race(1);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Start(0));
        assert_eq!(race.next(&mut routes, ms(1_200)), Next::Wait(ms(4_000)));
        let Next::Fail(Trouble::Late { provider, wait: Wait::First, .. }) = race.next(&mut routes, ms(4_000)) else {
            panic!("it is late");
        };
        assert_eq!((&*provider, race.running().collect::<Vec<_>>()), ("0", vec![0]));
    }

    #[test]
    fn chance_gets_a_second_try_after_a_pause_and_no_third() {
        let (mut race, mut routes) = race(1);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Start(0));
        race.failed(0, failed(), ms(10));
        assert_eq!(race.next(&mut routes, ms(10)), Next::Wait(ms(260)));
        assert_eq!(race.next(&mut routes, ms(260)), Next::Start(0));
        race.failed(0, failed(), ms(300));
        assert_eq!(race.next(&mut routes, ms(600)), Next::Fail(failed()));
    }

    #[test]
    fn what_would_fail_alike_is_not_tried_again() {
        let (mut race, mut routes) = race(1);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Start(0));
        race.failed(0, refused(), ms(10));
        assert_eq!(race.next(&mut routes, ms(10)), Next::Fail(refused()));
    }

    #[test]
    fn a_short_rest_is_sat_out_and_a_long_one_is_not() {
        for (after, next) in
            [(ms(800), Next::Wait(ms(800))), (ms(30_000), Next::Fail(Trouble::Resting { after: ms(30_000) }))]
        {
            let (mut race, mut routes) = race(1);
            let busy = Trouble::Busy { provider: "0".into(), status: 429, code: None, retry_after: Some(after) };
            routes.failed(0, &busy, ms(0));
            assert_eq!(race.next(&mut routes, ms(0)), next);
        }
    }

    #[test]
    fn nobody_to_ask_is_said_at_once() {
        let (mut race, mut routes) = race(0);
        assert_eq!(race.next(&mut routes, ms(0)), Next::Fail(Trouble::NoModel));
    }

    proptest! {
        /// Whatever providers do, the race ends by its deadline and never waits without an end.
        #[test]
        fn every_race_ends_in_time(
            providers in 1_usize..4,
            fates in proptest::collection::vec((0_u64..3_000, any::<bool>()), 16),
        ) {
            let (mut race, mut routes) = race(providers);
            let (mut now, mut fates) = (ms(0), fates.into_iter());
            let mut due: Vec<(Duration, usize, bool)> = Vec::new();
            for _ in 0..100 {
                match race.next(&mut routes, now) {
                    Next::Start(provider) => {
                        prop_assert!(race.running().count() <= RUNNING_MAX);
                        let (after, is_chance) = fates.next().unwrap_or((9_000, true));
                        due.push((now + ms(after), provider, is_chance));
                    }
                    Next::Wait(until) => {
                        prop_assert!(until > now && until <= ms(4_000));
                        let at = due.iter().map(|due| due.0).min().map_or(until, |at| at.min(until));
                        now = at;
                        let (over, rest) = due.into_iter().partition(|due| due.0 <= now);
                        due = rest;
                        for (_, provider, is_chance) in over {
                            let why = if is_chance { failed() } else { refused() };
                            routes.failed(provider, &why, now);
                            race.failed(provider, why, now);
                        }
                    }
                    Next::Fail(_) => {
                        prop_assert!(now <= ms(4_000));
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "it goes on for ever");
        }
    }
}
