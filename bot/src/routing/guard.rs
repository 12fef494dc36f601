//! Who is not answered at all: a defence against those who try out numbers and passwords.
//!
//! Scanners ask for hundreds of numbers a minute and read from the answers which of them exist. Each source may be
//! refused a few times; then its requests are dropped without a word, for eight seconds at first and twice as long
//! each time it goes on, up to an hour. Whoever is quiet for a while begins anew. An answer that succeeds takes back
//! the challenge that came before it, so that telephones that register are never near the limit.
//!
//! Only requests outside of dialogs are judged, so a call that runs is never cut off. Trunks and trusted networks are
//! not judged at all, since somebody may forge their addresses over UDP to have them silenced. IPv6 sources are
//! judged by their /64, which is one customer. Sources are remembered in a table of bounded size; when it is full,
//! the one that was longest quiet is forgotten. Pure: told the time.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use super::{recent::Recent, source::Network};

/// How patient the guard is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Refusals that a source may have in quick succession. Ten are a person who cannot remember a number.
    pub refusals: u32,
    /// The time after which one refusal is forgiven. With six seconds, ten a minute never add up.
    pub forgiven_after: Duration,
    /// How long the first silence is: longer than scanners wait for an answer.
    pub silence: Duration,
    /// How long the longest silence is.
    pub silence_max: Duration,
    /// Sources that are remembered: 16,384 cost about 3 MB.
    pub sources_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            refusals: 10,
            forgiven_after: Duration::from_secs(6),
            silence: Duration::from_secs(8),
            silence_max: Duration::from_secs(3_600),
            sources_max: 16_384,
        }
    }
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer it.
    Answer,
    /// Say nothing.
    Drop,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked who it is (401, 407).
    Challenged,
    /// It was refused: no such number, wrong password, not theirs to call (403, 404), not SIP at all (400).
    Refused,
    /// It succeeded.
    Served,
}

/// Everybody who was refused lately.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    trusted: Vec<Network>,
    sources: Recent<IpAddr, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// What was refused and not yet forgiven.
    points: u32,
    /// From when on points are forgiven.
    since: Instant,
    /// How often it was silenced in a row.
    silences: u32,
    /// Until when it is silenced, or was.
    until: Option<Instant>,
}

impl Guard {
    /// Nobody was refused yet; nobody in `trusted` ever is.
    pub fn new(limits: Limits, trusted: Vec<Network>) -> Self {
        Self { sources: Recent::new(limits.sources_max), limits, trusted }
    }

    /// Whether a request from there, outside of any dialog, is answered.
    pub fn judge(&mut self, source: IpAddr, now: Instant) -> Verdict {
        let is_silenced =
            self.sources.peek(&whole(source)).is_some_and(|record| record.until.is_some_and(|at| now < at));
        if !is_silenced || self.is_trusted(source) {
            return Verdict::Answer;
        }
        Verdict::Drop
    }

    /// Takes note of how a request was answered.
    pub fn note(&mut self, source: IpAddr, outcome: Outcome, now: Instant) {
        if self.is_trusted(source) {
            return;
        }
        let key = whole(source);
        if outcome == Outcome::Served {
            if let Some(record) = self.sources.peek(&key) {
                record.forgive(&self.limits, now);
                record.points = record.points.saturating_sub(CHALLENGE_POINTS);
                if record.points == 0 && record.silences == 0 {
                    self.sources.remove(&key);
                }
            }
            return;
        }
        let record = self.sources.touch(&key, || Record { points: 0, since: now, silences: 0, until: None });
        record.forgive(&self.limits, now);
        record.points += if outcome == Outcome::Challenged { CHALLENGE_POINTS } else { REFUSAL_POINTS };
        if record.points > self.limits.refusals.saturating_mul(REFUSAL_POINTS) {
            let silence = record.silence(&self.limits);
            record.silences = record.silences.saturating_add(1);
            record.points = self.limits.refusals.saturating_mul(REFUSAL_POINTS);
            record.since = now + silence;
            record.until = Some(now + silence);
        }
    }

    fn is_trusted(&self, source: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(source))
    }
}

impl Record {
    fn forgive(&mut self, limits: &Limits, now: Instant) {
        let quiet = now.saturating_duration_since(self.since);
        let each = limits.forgiven_after / REFUSAL_POINTS;
        let forgiven = quiet.as_nanos().checked_div(each.as_nanos()).unwrap_or(u128::MAX);
        if forgiven >= u128::from(self.points) {
            (self.points, self.since) = (0, self.since.max(now));
            // As long a quiet as the last silence was, and a minute at least, shows that it has given up.
            let last = self.until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
            if last >= self.silence(limits).max(QUIET) {
                (self.silences, self.until) = (0, None);
            }
        } else {
            self.points -= forgiven as u32;
            self.since += each * forgiven as u32;
        }
    }

    /// How long the next silence is.
    fn silence(&self, limits: &Limits) -> Duration {
        limits.silence.saturating_mul(1 << self.silences.min(20)).min(limits.silence_max)
    }
}

/// What counts as one source.
fn whole(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A challenge is the first half of every honest registration.
const CHALLENGE_POINTS: u32 = 1;

/// So that whoever only collects challenges is stopped as well, four times later.
const REFUSAL_POINTS: u32 = 4;

const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scan_is_answered_ten_times_and_then_hardly_ever() {
        let mut guard = Guard::new(Limits::default(), Vec::new());
        let scanner = "198.51.100.7".parse().unwrap();
        // 33 numbers a second for an hour, as fast as svwar asks.
        let answered = scan(&mut guard, scanner, Outcome::Refused, 33 * 3_600);
        // The first ten and the one that is too much, and one after each silence of 8, 16, … 2048 s.
        assert_eq!(answered, 11 + 8);
        assert_eq!(guard.judge("198.51.100.8".parse().unwrap(), start()), Verdict::Answer);
    }

    #[test]
    fn collecting_challenges_is_stopped_too() {
        let mut guard = Guard::new(Limits::default(), Vec::new());
        let answered = scan(&mut guard, "198.51.100.7".parse().unwrap(), Outcome::Challenged, 33 * 60);
        assert!((41..60).contains(&answered), "{answered}");
    }

    #[test]
    fn telephones_that_register_and_people_who_misdial_are_always_answered() {
        let mut guard = Guard::new(Limits::default(), Vec::new());
        let office = "192.0.2.1".parse().unwrap();
        let mut now = start();
        for second in 0..7_200 {
            now += Duration::from_secs(1);
            // Fifty telephones behind one address, which register every minute.
            if second % 60 < 50 {
                assert_eq!(guard.judge(office, now), Verdict::Answer, "after {second} s");
                guard.note(office, Outcome::Challenged, now);
                guard.note(office, Outcome::Served, now);
            }
            if second % 10 == 0 {
                guard.note(office, Outcome::Refused, now);
            }
        }
    }

    #[test]
    fn whoever_gives_up_begins_anew_and_whoever_goes_on_waits_twice_as_long() {
        let mut guard = Guard::new(Limits::default(), Vec::new());
        let source = "198.51.100.7".parse().unwrap();
        let refuse =
            |guard: &mut Guard, times: u32, now| (0..times).for_each(|_| guard.note(source, Outcome::Refused, now));
        refuse(&mut guard, 11, start());
        let after = |seconds: u64| start() + Duration::from_secs(seconds);
        assert_eq!(guard.judge(source, after(7)), Verdict::Drop);
        assert_eq!(guard.judge(source, after(8)), Verdict::Answer);
        refuse(&mut guard, 1, after(8));
        assert_eq!(guard.judge(source, after(23)), Verdict::Drop);
        assert_eq!(guard.judge(source, after(24)), Verdict::Answer);
        refuse(&mut guard, 10, after(24 + 120));
        assert_eq!(guard.judge(source, after(24 + 120)), Verdict::Answer);
        refuse(&mut guard, 1, after(24 + 120));
        assert_eq!(guard.judge(source, after(24 + 120 + 7)), Verdict::Drop);
        assert_eq!(guard.judge(source, after(24 + 120 + 8)), Verdict::Answer);
    }

    #[test]
    fn trusted_networks_are_never_silenced_and_a_v6_customer_is_one_source() {
        let mut guard = Guard::new(Limits::default(), vec!["192.0.2.0/24".parse().unwrap()]);
        let answered = scan(&mut guard, "192.0.2.5".parse().unwrap(), Outcome::Refused, 1_000);
        assert_eq!(answered, 1_000);
        for host in 0..11_u16 {
            let source = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
            guard.note(source, Outcome::Refused, start());
        }
        assert_eq!(guard.judge("2001:db8:0:1:ffff::1".parse().unwrap(), start()), Verdict::Drop);
        assert_eq!(guard.judge("2001:db8:0:2::1".parse().unwrap(), start()), Verdict::Answer);
    }

    #[test]
    fn a_flood_from_many_addresses_takes_bounded_memory() {
        let mut guard = Guard::new(Limits { sources_max: 100, ..Limits::default() }, Vec::new());
        for source in 0..10_000_u32 {
            guard.note(IpAddr::from(source.to_be_bytes()), Outcome::Refused, start());
        }
        assert_eq!(guard.sources.len(), 100);
    }

    proptest! {
        #[test]
        fn whatever_happens_a_silence_ends(
            steps in prop::collection::vec((0_u64..40_000, 0_u8..3), 1..200),
        ) {
            let mut guard = Guard::new(Limits::default(), Vec::new());
            let source = "198.51.100.7".parse().unwrap();
            let mut now = start();
            for (after_ms, outcome) in steps {
                now += Duration::from_millis(after_ms);
                if guard.judge(source, now) == Verdict::Answer {
                    let outcomes = [Outcome::Challenged, Outcome::Refused, Outcome::Served];
                    guard.note(source, outcomes[usize::from(outcome)], now);
                }
                prop_assert_eq!(guard.judge(source, now + Duration::from_secs(3_600)), Verdict::Answer);
            }
        }
    }

    /// How many of so many requests, thirty milliseconds apart, are answered.
    fn scan(guard: &mut Guard, source: IpAddr, outcome: Outcome, requests: u32) -> usize {
        let answered = (0..requests).filter(|&number| {
            let now = start() + Duration::from_millis(30) * number;
            let is_answered = guard.judge(source, now) == Verdict::Answer;
            if is_answered {
                guard.note(source, outcome, now);
            }
            is_answered
        });
        answered.count()
    }

    #[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now)
    }
}
