//! Names of things as Twilio's clients know them: two letters for the kind and 32 hexadecimal digits.
//!
//! Random, so that nobody guesses another's. Pure values.

use std::{fmt, str::FromStr, sync::Arc};

/// The account where none is configured.
pub(crate) const NO_ACCOUNT: &str = "AC00000000000000000000000000000000";

/// The kinds that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SidKind {
    /// A call.
    Call,
    /// A recording.
    Recording,
    /// A conference.
    Conference,
    /// A queue.
    Queue,
    /// A stream.
    Stream,
    /// A transcription.
    Transcription,
    /// A session of words, of `ConversationRelay`.
    Session,
}

impl SidKind {
    const ALL: [Self; 7] =
        [Self::Call, Self::Recording, Self::Conference, Self::Queue, Self::Stream, Self::Transcription, Self::Session];

    /// Its two letters.
    pub const fn letters(self) -> &'static str {
        match self {
            Self::Call => "CA",
            Self::Recording => "RE",
            Self::Conference => "CF",
            Self::Queue => "QU",
            Self::Stream => "MZ",
            Self::Transcription => "GT",
            Self::Session => "VX",
        }
    }
}

/// A name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// A fresh one.
    pub fn fresh(kind: SidKind) -> Self {
        Self(format!("{}{:032x}", kind.letters(), rand::random::<u128>()).into())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// It names nothing: two letters of a kind and 32 hexadecimal digits do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two letters and 32 hexadecimal digits name a call, a recording, a conference, a queue or a stream")]
pub struct NoSid;

impl FromStr for Sid {
    type Err = NoSid;

    fn from_str(text: &str) -> Result<Self, NoSid> {
        let (letters, digits) = text.split_at_checked(2).ok_or(NoSid)?;
        let is_kind = SidKind::ALL.iter().any(|kind| kind.letters() == letters);
        let is_number = digits.len() == 32 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if is_kind && is_number { Ok(Self(text.into())) } else { Err(NoSid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_name_is_read_again_and_nothing_else_is() {
        let sid = Sid::fresh(SidKind::Call);
        assert!(sid.as_str().starts_with("CA") && sid.as_str().len() == 34);
        assert_eq!(sid.as_str().parse(), Ok(sid));
        for wrong in
            ["", "CA", "CAxyz", "ÄÖ0123", "XX0123456789abcdef0123456789abcdef", "CA0123456789ABCDEF0123456789ABCDEF"]
        {
            assert_eq!(wrong.parse::<Sid>(), Err(NoSid), "{wrong}");
        }
    }
}
