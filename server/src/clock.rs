//! The server's clock: the one place of this package that reads the time.
//!
//! Handlers ask it once and pass the answer on; whatever decides is told the time as a value.

use std::time::{Instant, SystemTime};

use jiff::civil::Date;
use media::time::Epoch;

/// Reads the time of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "this is the named shell that owns the clock")]
    pub fn now(self) -> Instant {
        Instant::now()
    }

    /// The wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is the named shell that owns the clock")]
    pub fn wall(self) -> SystemTime {
        SystemTime::now()
    }

    /// Both, for a room that begins now.
    pub fn epoch(self) -> Epoch {
        Epoch { instant: self.now(), wall: self.wall() }
    }

    /// Today in this machine's time zone: what "tomorrow" is counted from.
    pub fn today(self) -> Date {
        jiff::Timestamp::try_from(self.wall())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::system())
            .date()
    }
}
