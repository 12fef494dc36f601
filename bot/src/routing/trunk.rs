//! How much a trunk carries, and which trunk a call came by.
//!
//! Calls in both directions count together. Pure: told the time. Whoever admits a call releases it when it ends.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{source::Network, window::Window};

/// What a trunk may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once; none when zero.
    pub calls_at_once: u32,
    /// Calls that begin in any second; none when zero.
    pub calls_per_second: u32,
}

/// Why a trunk does not carry the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// No trunk has that name.
    #[error("there is no such trunk")]
    Unknown,
    /// As many as it may carry.
    #[error("the trunk carries as many calls as it may")]
    AtOnce,
    /// As many as may begin in a second.
    #[error("the trunk has begun as many calls as it may in a second")]
    PerSecond {
        /// When asking again may help.
        retry_after: Duration,
    },
}

/// All trunks and what they carry.
#[derive(Debug)]
pub struct Trunks(BTreeMap<String, Load>);

#[derive(Debug)]
struct Load {
    limits: Limits,
    sources: Vec<Network>,
    calls: u32,
    begun: Window,
}

impl Trunks {
    /// Trunks by name, what they may carry, and where their calls come from.
    pub fn new(trunks: impl IntoIterator<Item = (String, Limits, Vec<Network>)>, now: Instant) -> Self {
        let load = |limits, sources| Load { limits, sources, calls: 0, begun: Window::new(SECOND, now) };
        Self(trunks.into_iter().map(|(name, limits, sources)| (name, load(limits, sources))).collect())
    }

    /// The trunk that calls from this address come by: the first by name whose sources hold it.
    pub fn by_source(&self, address: IpAddr) -> Option<&str> {
        let holds = |load: &Load| load.sources.iter().any(|network| network.contains(address));
        self.0.iter().find(|(_, load)| holds(load)).map(|(name, _)| name.as_str())
    }

    /// Takes a place for a call, in either direction.
    ///
    /// # Errors
    /// [`Busy`]; nothing was taken then.
    pub fn admit(&mut self, trunk: &str, now: Instant) -> Result<(), Busy> {
        let load = self.0.get_mut(trunk).ok_or(Busy::Unknown)?;
        if load.calls >= load.limits.calls_at_once {
            return Err(Busy::AtOnce);
        }
        let most = u64::from(load.limits.calls_per_second);
        if load.begun.sum(now) >= most {
            let retry_after = if most == 0 { SECOND } else { load.begun.wait(most - 1, now) };
            return Err(Busy::PerSecond { retry_after });
        }
        load.calls += 1;
        load.begun.add(1, now);
        Ok(())
    }

    /// Gives the place of an ended call back.
    pub fn release(&mut self, trunk: &str) {
        if let Some(load) = self.0.get_mut(trunk) {
            load.calls = load.calls.saturating_sub(1);
        }
    }

    /// Names and calls at once, for metrics.
    pub fn calls(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, load)| (name.as_str(), load.calls))
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_carries_what_it_may_and_no_more() {
        let now = start();
        let mut trunks = Trunks::new([("berlin".to_owned(), limits(3, 2), Vec::new())], now);
        assert_eq!(trunks.admit("paris", now), Err(Busy::Unknown));
        assert_eq!(trunks.admit("berlin", now), Ok(()));
        assert_eq!(trunks.admit("berlin", now), Ok(()));
        let Err(Busy::PerSecond { retry_after }) = trunks.admit("berlin", now) else { panic!("three in a second") };
        let now = now + retry_after;
        assert_eq!(trunks.admit("berlin", now), Ok(()));
        assert_eq!(trunks.admit("berlin", now + SECOND * 2), Err(Busy::AtOnce));
        trunks.release("berlin");
        assert_eq!(trunks.admit("berlin", now + SECOND * 2), Ok(()));
        assert_eq!(trunks.calls().collect::<Vec<_>>(), [("berlin", 3)]);
    }

    #[test]
    fn calls_belong_to_the_trunk_from_whose_network_they_come() {
        let networks = |text: &str| vec![text.parse().unwrap()];
        let trunks = Trunks::new(
            [
                ("berlin".to_owned(), limits(1, 1), networks("192.0.2.0/24")),
                ("paris".to_owned(), limits(1, 1), networks("2001:db8::/32")),
            ],
            start(),
        );
        assert_eq!(trunks.by_source("192.0.2.9".parse().unwrap()), Some("berlin"));
        assert_eq!(trunks.by_source("2001:db8::5".parse().unwrap()), Some("paris"));
        assert_eq!(trunks.by_source("192.0.3.9".parse().unwrap()), None);
    }

    fn limits(calls_at_once: u32, calls_per_second: u32) -> Limits {
        Limits { calls_at_once, calls_per_second }
    }

    #[expect(clippy::disallowed_methods, reason = "an instant from which virtual time runs")]
    fn start() -> Instant {
        Instant::now()
    }
}
