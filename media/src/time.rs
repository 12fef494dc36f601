//! Media time: the one clock that audio, words and events share.
//!
//! A room counts samples at 48 kHz since it began. 48 000 is divisible by 8 000, 16 000 and 24 000, so the
//! rates of telephony and recognition convert exactly; other rates are resampled before they get a time.
//! Pure values, no clock is read here: [`Epoch`] is handed in by the shell that took it.

use std::{
    fmt,
    ops::{Add, AddAssign, Sub},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

/// Ticks of [`MediaTime`] in one second.
pub const CLOCK_HZ: u64 = 48_000;

/// A point on a room's timeline, in samples at 48 kHz since the room began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The moment the room began.
    pub const ZERO: Self = Self(0);

    /// The time after `ticks` samples at 48 kHz.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }

    /// The time after `samples` at `rate_hz`, rounded down to a tick (exact for 8, 16, 24 and 48 kHz).
    ///
    /// # Panics
    /// When `rate_hz` is zero.
    pub const fn from_samples(samples: u64, rate_hz: u32) -> Self {
        let wide = samples as u128 * CLOCK_HZ as u128 / rate_hz as u128;
        Self(wide as u64)
    }

    /// The time after `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * (CLOCK_HZ / 1000))
    }

    /// The tick nearest to `seconds`; negative and not-a-number become zero.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * CLOCK_HZ as f64).round().max(0.0) as u64)
    }

    /// Samples at 48 kHz since the room began.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// Samples at `rate_hz` since the room began, rounded down.
    pub const fn samples(self, rate_hz: u32) -> u64 {
        (self.0 as u128 * rate_hz as u128 / CLOCK_HZ as u128) as u64
    }

    /// Seconds since the room began.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / CLOCK_HZ as f64
    }

    /// Whole milliseconds since the room began.
    pub const fn as_millis(self) -> u64 {
        self.0 / (CLOCK_HZ / 1000)
    }

    /// How long after `earlier` this is; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Self(self.0.saturating_sub(earlier.0)).as_duration()
    }

    /// This time moved back by `duration`, never below zero.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from_duration(duration).0))
    }

    /// The time since the room began, as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos((u128::from(self.0) * 1_000_000_000 / u128::from(CLOCK_HZ)) as u64)
    }

    /// The point `duration` after the room began, to the nearest tick.
    pub fn from_duration(duration: Duration) -> Self {
        Self(((duration.as_nanos() * u128::from(CLOCK_HZ) + 500_000_000) / 1_000_000_000) as u64)
    }
}

impl Add<Duration> for MediaTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + Self::from_duration(duration).0)
    }
}

impl AddAssign<Duration> for MediaTime {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for MediaTime {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.as_secs_f64())
    }
}

/// A stretch of a room's timeline: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First tick inside.
    pub start: MediaTime,
    /// First tick after.
    pub end: MediaTime,
}

impl Span {
    /// The span from `start` to `end`; empty at `start` when `end` lies before it.
    pub fn new(start: MediaTime, end: MediaTime) -> Self {
        Self { start, end: end.max(start) }
    }

    /// How long it lasts.
    pub fn duration(self) -> Duration {
        self.end - self.start
    }
}

/// The only bridge between a room's timeline and the world's: taken once, when the room begins.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// The monotonic instant at [`MediaTime::ZERO`].
    pub instant: Instant,
    /// The wall clock at [`MediaTime::ZERO`].
    pub wall: SystemTime,
}

impl Epoch {
    /// The media time at `now`; zero for instants before the room began.
    pub fn at(&self, now: Instant) -> MediaTime {
        MediaTime::from_duration(now.saturating_duration_since(self.instant))
    }

    /// The wall clock at `time`.
    pub fn wall_at(&self, time: MediaTime) -> SystemTime {
        self.wall + time.as_duration()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn telephony_rates_convert_exactly(samples in 0..u64::from(u32::MAX), rate in prop::sample::select(vec![8_000_u32, 16_000, 24_000, 48_000])) {
            prop_assert_eq!(MediaTime::from_samples(samples, rate).samples(rate), samples);
        }

        #[test]
        fn durations_survive_the_round_trip_to_a_tick(ticks in 0..u64::from(u32::MAX)) {
            let time = MediaTime::from_ticks(ticks);
            prop_assert_eq!(MediaTime::from_duration(time.as_duration()), time);
        }
    }

    #[test]
    fn a_span_never_ends_before_it_starts() {
        let late = MediaTime::from_millis(20);
        assert_eq!(Span::new(late, MediaTime::ZERO).duration(), Duration::ZERO);
    }
}
