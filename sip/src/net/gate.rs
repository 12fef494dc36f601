//! How many datagrams one source may send: a bucket of allowances for each, and one for all who are too many.
//!
//! Pure. At most [`MOST`] sources are kept; when there are more, those that sent nothing for a while are forgotten, and
//! if all are busy, the newcomers share one bucket: a flood from ever new addresses, which are mostly not theirs, then
//! takes from itself and not from those who were there.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Some 400 KiB.
const MOST: usize = 4_096;

/// Counts the datagrams of all sources.
#[derive(Debug)]
pub(super) struct Gate {
    per_s: f64,
    burst: f64,
    buckets: BTreeMap<IpAddr, Bucket>,
    newcomers: Option<Bucket>,
    /// When those who are quiet were forgotten last.
    tidied_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Gate {
    pub(super) fn new(per_s: u32, burst: u32) -> Self {
        Self { per_s: per_s.into(), burst: burst.into(), buckets: BTreeMap::new(), newcomers: None, tidied_at: None }
    }

    /// Whether one more of that source may pass.
    pub(super) fn pass(&mut self, source: IpAddr, now: Instant) -> bool {
        let fresh = Bucket { left: self.burst, at: now };
        if self.buckets.len() >= MOST && !self.buckets.contains_key(&source) {
            self.tidy(now);
            if self.buckets.len() >= MOST {
                let bucket = self.newcomers.get_or_insert(fresh);
                return bucket.take(now, self.per_s, self.burst);
            }
        }
        self.buckets.entry(source).or_insert(fresh).take(now, self.per_s, self.burst)
    }

    /// Forgets those who are quiet. Once in a second, since a flood would have it done for each datagram.
    fn tidy(&mut self, now: Instant) {
        if self.tidied_at.is_none_or(|at| now >= at + Duration::from_secs(1)) {
            let (per_s, burst) = (self.per_s, self.burst);
            self.buckets.retain(|_, bucket| bucket.filled(now, per_s, burst) < burst);
            self.tidied_at = Some(now);
        }
    }
}

impl Bucket {
    fn filled(&self, now: Instant, per_s: f64, burst: f64) -> f64 {
        let passed_s = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed_s * per_s).min(burst)
    }

    fn take(&mut self, now: Instant, per_s: f64, burst: f64) -> bool {
        self.left = self.filled(now, per_s, burst);
        self.at = now;
        let is_left = self.left >= 1.0;
        self.left -= f64::from(u8::from(is_left));
        is_left
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_source_gets_its_rate_and_no_more_and_takes_from_nobody() {
        let (mut gate, zero) = (Gate::new(100, 20), zero());
        let passed = |gate: &mut Gate, source: u32, at_ms: u64| {
            gate.pass(Ipv4Addr::from(source).into(), zero + Duration::from_millis(at_ms))
        };
        let flood = (0..10_000).filter(|n| passed(&mut gate, 1, n / 10)).count();
        assert!((115..=121).contains(&flood), "{flood} in a second");
        assert!(passed(&mut gate, 2, 1_000));
    }

    #[test]
    fn ever_new_sources_share_what_is_left_and_those_who_were_there_keep_theirs() {
        let (mut gate, zero) = (Gate::new(100, 20), zero());
        let mut pass =
            |source: u32, at_ms: u64| gate.pass(Ipv4Addr::from(source).into(), zero + Duration::from_millis(at_ms));
        (0..MOST as u32).for_each(|source| assert!(pass(source, 0)));
        let strangers = (0..10_000).filter(|n| pass(1_000_000 + n, 1)).count();
        assert!(strangers <= 21, "{strangers}");
        assert!(pass(7, 2), "who was there is heard");
        assert!((0..20).all(|_| pass(2_000_000, 2_000)), "when all are quiet again, there is room");
        assert!(pass(2_000_001, 2_000), "for more than one");
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn zero() -> Instant {
        Instant::now()
    }
}
