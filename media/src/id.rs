//! Ids of what lives in a server: integers inside, strings only on the wire.
//!
//! Each id prints with a one-letter prefix (`r7`, `p2`, `t3`) and parses back from it, so a log line, a URL
//! and a metric label all say the same thing.

use std::{fmt, str::FromStr};

/// The text was not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an id such as {example}, got {got:?}")]
pub struct BadId {
    example: &'static str,
    got: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or_else(|| BadId { example: $example, got: text.chars().take(64).collect() })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

ids! {
    /// A room: one conversation, its participants, its timeline and its events.
    RoomId "r" "r7";
    /// Somebody (or something) in a room.
    ParticipantId "p" "p2";
    /// One direction of audio of one participant.
    TrackId "t" "t3";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_back() {
        assert_eq!(RoomId(7).to_string().parse(), Ok(RoomId(7)));
    }

    #[test]
    fn other_text_is_refused_with_an_example() {
        for text in ["", "r", "7", "p7", "r-7", "r7x", "r99999999999999999999", "r+7"] {
            assert!(text.parse::<RoomId>().is_err(), "{text:?}");
        }
    }
}
