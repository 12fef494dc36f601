//! Who may place how many calls how fast: a bucket of INVITEs and a count of calls for each source address.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::config::Limits;

/// How many addresses are remembered. When all of them are busy, new ones are refused until some have been quiet for a
/// second or two: somebody floods us from many, perhaps invented, addresses.
const MOST_SOURCES: usize = 8_192;

/// The sources of calls.
#[derive(Debug)]
pub(super) struct Sources {
    per_s: f64,
    burst: f64,
    calls_max: usize,
    of: BTreeMap<IpAddr, Bucket>,
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    calls: usize,
}

impl Sources {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            per_s: f64::from(limits.invites_per_source_per_s.max(1)),
            burst: f64::from(limits.invites_per_source_burst.max(1)),
            calls_max: limits.calls_per_source,
            of: BTreeMap::new(),
            swept_at: None,
        }
    }

    /// Whether a new INVITE of that source is taken.
    pub(super) fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        if !self.of.contains_key(&source) && self.of.len() >= MOST_SOURCES {
            self.sweep(now);
            if self.of.len() >= MOST_SOURCES {
                return false;
            }
        }
        let (per_s, burst) = (self.per_s, self.burst);
        let bucket = self.of.entry(source).or_insert(Bucket { tokens: burst, at: now, calls: 0 });
        bucket.fill(now, per_s, burst);
        let may = bucket.tokens >= 1.0 && bucket.calls < self.calls_max;
        if may {
            bucket.tokens -= 1.0;
        }
        may
    }

    /// A call of that source began.
    pub(super) fn began(&mut self, source: IpAddr) {
        if let Some(bucket) = self.of.get_mut(&source) {
            bucket.calls += 1;
        }
    }

    /// A call of that source is over.
    pub(super) fn ended(&mut self, source: IpAddr) {
        if let Some(bucket) = self.of.get_mut(&source) {
            bucket.calls = bucket.calls.saturating_sub(1);
        }
    }

    /// Forgets those who have no call and may send a whole burst again; at most once a second, since it looks at all.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(1)) {
            return;
        }
        self.swept_at = Some(now);
        let (per_s, burst) = (self.per_s, self.burst);
        self.of.retain(|_, bucket| {
            bucket.fill(now, per_s, burst);
            bucket.calls > 0 || bucket.tokens < burst
        });
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant, per_s: f64, burst: f64) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * per_s).min(burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn sources() -> Sources {
        Sources::new(&Limits {
            invites_per_source_per_s: 2,
            invites_per_source_burst: 3,
            calls_per_source: 4,
            ..Limits::default()
        })
    }

    #[test]
    fn a_burst_is_taken_and_then_only_the_rate() {
        let (mut sources, now, scanner) = (sources(), start(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!((0..10).filter(|_| sources.admit(now, scanner)).count(), 3);
        assert!(sources.admit(now, IpAddr::from([192, 0, 2, 2])), "others are not held to it");
        assert_eq!((0..10).filter(|_| sources.admit(now + Duration::from_secs(1), scanner)).count(), 2);
    }

    #[test]
    fn a_source_has_no_more_calls_than_its_share() {
        let (mut sources, mut now, trunk) = (sources(), start(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..4 {
            now += Duration::from_secs(1);
            assert!(sources.admit(now, trunk));
            sources.began(trunk);
        }
        now += Duration::from_secs(1);
        assert!(!sources.admit(now, trunk));
        sources.ended(trunk);
        assert!(sources.admit(now, trunk));
    }

    #[test]
    fn sources_that_were_quiet_are_forgotten_when_room_is_needed() {
        let (mut sources, now) = (sources(), start());
        for number in 0..MOST_SOURCES as u32 {
            assert!(sources.admit(now, IpAddr::from(number.to_be_bytes())));
        }
        let stranger = IpAddr::from([240, 0, 0, 1]);
        assert!(!sources.admit(now, stranger), "all are busy");
        assert!(sources.admit(now + Duration::from_secs(2), stranger));
        assert_eq!(sources.of.len(), 1);
    }
}
