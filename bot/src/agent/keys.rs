//! Keys that a caller presses: gathered until `#` or a pause, then a turn like any other.
//!
//! Pure. What is typed may be the number of a card: it shows in no `Debug`.

use std::time::Duration;

use media::time::MediaTime;

use crate::ivr::key::{Key, Keys};

/// Keys that are being pressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Typing {
    keys: Keys,
    due: Option<MediaTime>,
}

impl Typing {
    /// A key; what was typed, when it is the last.
    pub(super) fn press(&mut self, key: Key, now: MediaTime) -> Option<Keys> {
        if key == Key::POUND && !self.keys.is_empty() {
            return self.take();
        }
        self.keys.push(key);
        self.due = Some(now + PAUSE);
        if self.keys.len() >= KEYS_MAX || key == Key::POUND { self.take() } else { None }
    }

    /// What was typed, when nothing came for a while.
    pub(super) fn expire(&mut self, now: MediaTime) -> Option<Keys> {
        if self.due.is_some_and(|due| due <= now) { self.take() } else { None }
    }

    /// When a pause ends it.
    pub(super) fn due(&self) -> Option<MediaTime> {
        self.due
    }

    /// Whether keys wait for more.
    pub(super) fn is_under_way(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What was typed so far, taken away.
    pub(super) fn take(&mut self) -> Option<Keys> {
        self.due = None;
        let keys = std::mem::take(&mut self.keys);
        (!keys.is_empty()).then_some(keys)
    }
}

/// Between two keys of a number people pause for a second, and look at a card for two.
const PAUSE: Duration = Duration::from_millis(2_500);

/// No number is longer.
const KEYS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn keys_are_a_turn_when_pound_or_a_pause_ends_them() {
        let key = |sign| Key::from_char(sign).unwrap();
        let mut typing = Typing::default();
        assert_eq!(typing.press(key('1'), ms(0)), None);
        assert_eq!(typing.press(key('2'), ms(1_000)), None);
        assert_eq!(typing.expire(ms(3_499)), None);
        assert_eq!(typing.expire(ms(3_500)).map(|keys| keys.to_text()), Some("12".to_owned()));
        assert_eq!(typing.due(), None);
        typing.press(key('7'), ms(4_000));
        assert_eq!(typing.press(key('#'), ms(4_100)).map(|keys| keys.to_text()), Some("7".to_owned()));
        assert_eq!(typing.press(key('#'), ms(5_000)).map(|keys| keys.to_text()), Some("#".to_owned()));
        assert!(!typing.is_under_way());
    }
}
