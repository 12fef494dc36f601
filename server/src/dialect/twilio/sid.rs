//! Twilio's names of things: two letters that say what it is, and 32 hexadecimal digits.
//!
//! Pure; whoever makes one brings the chance.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// What a sid names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `CA`: a call.
    Call,
    /// `RE`: a recording.
    Recording,
    /// `CF`: a conference.
    Conference,
    /// `QU`: a queue.
    Queue,
    /// `MZ`: a media stream.
    Stream,
    /// `GT`: a live transcription.
    LiveTranscription,
    /// `TR`: the words of a recording.
    Transcription,
}

impl Kind {
    /// The two letters.
    pub const fn letters(self) -> &'static str {
        match self {
            Self::Call => "CA",
            Self::Recording => "RE",
            Self::Conference => "CF",
            Self::Queue => "QU",
            Self::Stream => "MZ",
            Self::LiveTranscription => "GT",
            Self::Transcription => "TR",
        }
    }
}

/// A name, such as `CA0123456789abcdef0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    kind: Kind,
    number: u128,
}

impl Sid {
    /// The name of `kind` with `number`, which should be random: it is hard to guess then.
    pub const fn new(kind: Kind, number: u128) -> Self {
        Self { kind, number }
    }

    /// What it names.
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// The same text as a name of `kind`; nothing for another kind's and for what is none.
    pub fn of(kind: Kind, text: &str) -> Option<Self> {
        text.parse::<Self>().ok().filter(|sid| sid.kind == kind)
    }
}

/// No name of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sid is two letters and 32 hexadecimal digits")]
pub struct NoSid;

impl FromStr for Sid {
    type Err = NoSid;

    fn from_str(text: &str) -> Result<Self, NoSid> {
        let (letters, digits) = text.split_at_checked(2).ok_or(NoSid)?;
        let kinds = [
            Kind::Call,
            Kind::Recording,
            Kind::Conference,
            Kind::Queue,
            Kind::Stream,
            Kind::LiveTranscription,
            Kind::Transcription,
        ];
        let kind = kinds.into_iter().find(|kind| kind.letters() == letters).ok_or(NoSid)?;
        let is_number = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if is_number { u128::from_str_radix(digits, 16).ok() } else { None };
        number.map(|number| Self { kind, number }).ok_or(NoSid)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:032x}", self.kind.letters(), self.number)
    }
}

impl Serialize for Sid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_names_and_reads_back() {
        let sid = Sid::new(Kind::Stream, 0xabc);
        assert_eq!(sid.to_string(), "MZ00000000000000000000000000000abc");
        assert_eq!(sid.to_string().parse(), Ok(sid));
        assert_eq!(Sid::of(Kind::Stream, &sid.to_string()), Some(sid));
        assert_eq!(Sid::of(Kind::Call, &sid.to_string()), None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", "C", "CA", "CA123", "XX00000000000000000000000000000abc", "CA+0000000000000000000000000000abc", "ä0"]
        {
            assert_eq!(text.parse::<Sid>(), Err(NoSid), "{text}");
        }
    }
}
