//! Keys that are told by INFO: `application/dtmf-relay`, and `application/dtmf` with nothing but the key.
//!
//! Neither is a standard; both are what telephones and gateways send. Pure.

use std::time::Duration;

use sip::endpoint::Body;

/// How long a key was held when nobody says.
const PRESS: Duration = Duration::from_millis(100);

/// Nobody holds a key for longer.
const PRESS_MAX: Duration = Duration::from_secs(10);

/// The key that a body tells, and how long it was held; `None` where it tells none.
pub(super) fn key(body: &Body) -> Option<(char, Duration)> {
    let kind = body.content_type.split(';').next().unwrap_or_default().trim();
    let text = std::str::from_utf8(&body.bytes).ok()?;
    if kind.eq_ignore_ascii_case("application/dtmf") {
        return Some((sign(text.trim())?, PRESS));
    }
    if !kind.eq_ignore_ascii_case("application/dtmf-relay") {
        return None;
    }
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find_map(|(key, value)| key.trim().eq_ignore_ascii_case(name).then(|| value.trim()))
    };
    let held = value("Duration").and_then(|held| held.parse().ok()).map_or(PRESS, Duration::from_millis);
    Some((sign(value("Signal")?)?, held.min(PRESS_MAX)))
}

/// A key by its sign, or by the number that telephone-events give it.
fn sign(text: &str) -> Option<char> {
    match text {
        "10" => return Some('*'),
        "11" => return Some('#'),
        _ => {}
    }
    let mut signs = text.chars();
    let sign = signs.next()?.to_ascii_uppercase();
    (signs.next().is_none() && matches!(sign, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_telephones_write_them() {
        let key_of =
            |kind: &str, text: &str| key(&Body { content_type: kind.to_owned(), bytes: text.to_owned().into() });
        let ms = Duration::from_millis;
        for (kind, text, told) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some(('5', ms(160)))),
            ("application/dtmf-relay", "Signal= #\nDuration= 90", Some(('#', ms(90)))),
            ("Application/DTMF-Relay; x=y", "signal=11", Some(('#', ms(100)))),
            ("application/dtmf-relay", "Signal=d\r\nDuration=99999999", Some(('D', ms(10_000)))),
            ("application/dtmf", "*", Some(('*', ms(100)))),
            ("application/dtmf", "12", None),
            ("application/dtmf-relay", "Duration=100", None),
            ("application/dtmf-relay", "Signal=!", None),
            ("text/plain", "Signal=5", None),
            ("application/dtmf", "", None),
        ] {
            assert_eq!(key_of(kind, text), told, "{kind} {text}");
        }
        let bytes = vec![0xff_u8, 0xfe];
        assert_eq!(key(&Body { content_type: "application/dtmf".to_owned(), bytes: bytes.into() }), None);
    }
}
