//! Dates as Twilio's version of 2010 spells them: RFC 2822, in UTC.

use jiff::{Timestamp, tz::TimeZone};

/// Such as `Tue, 31 Aug 2010 20:36:28 +0000`.
pub(super) fn date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_reads_as_twilios_do() {
        for (time, expected) in [
            ("2010-08-31T20:36:28.9Z", "Tue, 31 Aug 2010 20:36:28 +0000"),
            ("2026-01-01T01:00:00+02:00", "Wed, 31 Dec 2025 23:00:00 +0000"),
        ] {
            assert_eq!(date(time.parse().unwrap()), expected);
        }
    }
}
