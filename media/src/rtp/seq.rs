//! Wire numbers of RTP and what they mean: sequence numbers, timestamps and the clock that they tick by.
//!
//! Both numbers begin anywhere and wrap; they are unwrapped once, when a packet comes in, into 64 bits that
//! only count up. Nothing after that does arithmetic modulo anything. Pure values without state but the last
//! number seen; no allocation.

use crate::time::{CLOCK_HZ, MediaTime};

/// A sequence number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

/// A timestamp on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

impl SeqNo {
    /// The number `count` packets later.
    pub const fn plus(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many packets this is after `earlier`, the short way round: negative when it is before.
    pub const fn since(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }
}

impl RtpTime {
    /// The timestamp `ticks` later.
    pub const fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// How many ticks this is after `earlier`, the short way round: negative when it is before.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Where unwrapped numbers begin, so that a packet from before the first one still has a positive number.
const ORIGIN: i64 = 1 << 40;

/// Sequence numbers without end: each is the one nearest to the highest so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeqUnwrap {
    highest: Option<(SeqNo, i64)>,
}

impl SeqUnwrap {
    /// The unwrapped number of `seq`; remembers it when it is the highest so far.
    pub fn unwrap(&mut self, seq: SeqNo) -> i64 {
        let Some((last, wide)) = self.highest else {
            let wide = ORIGIN + i64::from(seq.0);
            self.highest = Some((seq, wide));
            return wide;
        };
        let steps = i64::from(seq.since(last));
        if steps > 0 {
            self.highest = Some((seq, wide + steps));
        }
        wide + steps
    }
}

/// Timestamps without end: each is the one nearest to the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeUnwrap {
    last: Option<(RtpTime, i64)>,
}

impl TimeUnwrap {
    /// The unwrapped number of `time`, in ticks of the stream's clock.
    pub fn unwrap(&mut self, time: RtpTime) -> i64 {
        let wide = match self.last {
            None => ORIGIN + i64::from(time.0),
            Some((last, wide)) => wide + i64::from(time.since(last)),
        };
        self.last = Some((time, wide));
        wide
    }
}

/// How a codec's timestamps tick, and how its sound is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Ticks of the RTP timestamp in a second.
    pub ticks_hz: u32,
    /// Samples of the decoded sound in a second.
    pub sample_hz: u32,
}

impl Clock {
    /// G.711 and telephone-event beside it.
    pub const TELEPHONE: Self = Self { ticks_hz: 8_000, sample_hz: 8_000 };
    /// G.722: sampled at 16 kHz, but ticking at 8 kHz because a standard once said so (RFC 3551 section 4.5.2).
    pub const G722: Self = Self { ticks_hz: 8_000, sample_hz: 16_000 };
    /// Opus always ticks at 48 kHz (RFC 7587 section 4.1).
    pub const OPUS: Self = Self { ticks_hz: 48_000, sample_hz: 48_000 };

    /// A codec whose timestamps count samples, as L16 does.
    pub const fn of_samples(rate_hz: u32) -> Self {
        Self { ticks_hz: rate_hz, sample_hz: rate_hz }
    }

    /// How many samples `ticks` last.
    pub const fn samples(self, ticks: i64) -> i64 {
        ticks * self.sample_hz as i64 / self.ticks_hz as i64
    }

    /// How many ticks `samples` last.
    pub const fn ticks(self, samples: i64) -> i64 {
        samples * self.ticks_hz as i64 / self.sample_hz as i64
    }

    /// `time` since the room began, in ticks of this clock.
    pub const fn ticks_at(self, time: MediaTime) -> i64 {
        (time.ticks() as i128 * self.ticks_hz as i128 / CLOCK_HZ as i128) as i64
    }

    /// How many ticks `millis` milliseconds last.
    pub const fn ticks_of_ms(self, millis: u32) -> i64 {
        millis as i64 * self.ticks_hz as i64 / 1000
    }

    /// `ticks` in milliseconds.
    pub fn ms(self, ticks: i64) -> f64 {
        ticks as f64 * 1000.0 / f64::from(self.ticks_hz)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_unwrap_to_the_steps_that_were_taken(first: u16, steps in prop::collection::vec(-300_i64..300, 1..200)) {
            let mut unwrap = SeqUnwrap::default();
            let start = unwrap.unwrap(SeqNo(first));
            let mut highest = start;
            for step in steps {
                let wanted = highest + step;
                prop_assert_eq!(unwrap.unwrap(SeqNo((i64::from(first) + wanted - start) as u16)), wanted);
                highest = highest.max(wanted);
            }
        }

        #[test]
        fn timestamps_unwrap_across_the_wrap(first: u32, steps in prop::collection::vec(-100_000_i64..1_000_000, 1..200)) {
            let mut unwrap = TimeUnwrap::default();
            let start = unwrap.unwrap(RtpTime(first));
            let mut at = start;
            for step in steps {
                at += step;
                prop_assert_eq!(unwrap.unwrap(RtpTime((i64::from(first) + at - start) as u32)), at);
            }
        }
    }

    #[test]
    fn twenty_milliseconds_of_g722_are_160_ticks_and_320_samples() {
        assert_eq!(Clock::G722.ticks_of_ms(20), 160);
        assert_eq!(Clock::G722.samples(160), 320);
        assert_eq!(Clock::G722.ticks(320), 160);
        assert!((Clock::G722.ms(160) - 20.0).abs() < 1e-9);
        assert_eq!(Clock::G722.ticks_at(MediaTime::from_millis(20)), 160);
    }
}
