//! Keys of a telephone: one, several that a caller typed, and those that are to be played.
//!
//! What a caller types may be the number of a card, so `Debug` tells how many keys there are and not which.

use std::{fmt, time::Duration};

/// One key: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

impl Key {
    /// `*`.
    pub const STAR: Self = Self(b'*');
    /// `#`.
    pub const POUND: Self = Self(b'#');

    /// The key with `sign` on it, if there is one; small letters are those of the keys `A` to `D`.
    pub const fn from_char(sign: char) -> Option<Self> {
        match sign {
            '0'..='9' | '*' | '#' | 'A'..='D' => Some(Self(sign as u8)),
            'a'..='d' => Some(Self(sign as u8 - b'a' + b'A')),
            _ => None,
        }
    }

    /// What is written on it.
    pub const fn as_char(self) -> char {
        self.0 as char
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key")
    }
}

/// Keys that a caller pressed, in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Appends a key.
    pub fn push(&mut self, key: Key) {
        self.0.push(key);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was pressed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they are written in a parameter of a webhook.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|key| key.as_char()).collect()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys({})", self.0.len())
    }
}

/// A set of keys, as `finishOnKey` names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySet(u16);

impl KeySet {
    /// The set without a key.
    pub const NONE: Self = Self(0);

    /// All twelve keys that every telephone has.
    pub const TWELVE: Self = Self((1 << 12) - 1);

    /// The keys of `text`; `None` when a sign of it is no key of the twelve.
    pub fn from_text(text: &str) -> Option<Self> {
        text.chars().try_fold(Self::NONE, |set, sign| Some(Self(set.0 | 1 << Self::place(Key::from_char(sign)?)?)))
    }

    /// Whether `key` is in it.
    pub fn contains(self, key: Key) -> bool {
        Self::place(key).is_some_and(|place| self.0 & (1 << place) != 0)
    }

    fn place(key: Key) -> Option<u32> {
        "0123456789*#".find(key.as_char()).map(|place| place as u32)
    }
}

/// One step of keys that are played to somebody: a tone, or a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The tones of a key.
    Key(Key),
    /// Silence: `w` is half a second, `W` a whole one.
    Wait(Duration),
}

impl Tone {
    /// The steps of `text`; `None` when a sign of it is neither a key nor a wait.
    pub fn read(text: &str) -> Option<Vec<Self>> {
        let step = |sign| match sign {
            'w' => Some(Self::Wait(Duration::from_millis(500))),
            'W' => Some(Self::Wait(Duration::from_secs(1))),
            _ => Key::from_char(sign).map(Self::Key),
        };
        text.chars().map(step).collect()
    }

    /// How long it takes, with the pause behind a key.
    pub fn lasts(self) -> Duration {
        match self {
            Self::Key(_) => KEY_PRESS + KEY_PAUSE,
            Self::Wait(pause) => pause,
        }
    }
}

/// How long a key is pressed, and the pause behind it: whoever counts keys at the far end tells two of a kind apart.
pub const KEY_PRESS: Duration = Duration::from_millis(120);
/// See [`KEY_PRESS`].
pub const KEY_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_does_not_show_in_debug() {
        let mut keys = Keys::default();
        "4929".chars().filter_map(Key::from_char).for_each(|key| keys.push(key));
        assert_eq!(keys.to_text(), "4929");
        assert_eq!(format!("{keys:?} {:?}", Key::STAR), "keys(4) key");
    }

    #[test]
    fn a_set_holds_the_keys_it_names_and_no_others() {
        let set = KeySet::from_text("1*#").expect("all are keys");
        let held: String = "0123456789*#".chars().filter(|sign| set.contains(Key::from_char(*sign).unwrap())).collect();
        assert_eq!(held, "1*#");
        assert_eq!(KeySet::from_text("1w"), None);
        assert_eq!(KeySet::from_text(""), Some(KeySet::NONE));
    }

    #[test]
    fn waits_stand_between_tones() {
        let tones = Tone::read("w1W#").expect("keys and waits");
        assert_eq!(tones[0], Tone::Wait(Duration::from_millis(500)));
        assert_eq!(tones[2], Tone::Wait(Duration::from_secs(1)));
        assert_eq!(tones[3], Tone::Key(Key::POUND));
        assert_eq!(Tone::read("1x"), None);
    }
}
