//! What is to be said: text, and the marks of SSML that change how it is said.
//!
//! Plain values. Whoever reads a markup language builds them; [`SayAs::parse`] takes the attribute values of `say-as`
//! as its authors write them and never fails. Nesting and length are bounded by [`Utterance::check`], which
//! [`crate::worker`] asks before anything is spoken.

use std::time::Duration;

use crate::voice::{Language, VoiceId};

/// Characters of one utterance, at most: what a caller would listen to for five minutes. Twilio's limit is the same.
pub const CHARS_MAX: usize = 4_096;

/// Pieces within pieces, at most; deeper marks than this come from no person.
pub const DEPTH_MAX: usize = 16;

/// Pieces of one utterance, at most: as many as there can be characters.
pub const PIECES_MAX: usize = CHARS_MAX;

/// The longest break: SSML's readers agree on ten seconds.
pub const BREAK_MAX: Duration = Duration::from_secs(10);

/// What somebody wants said, in one voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Who says it, and in which language, where no piece says otherwise.
    pub voice: VoiceId,
    /// What, in order.
    pub pieces: Vec<Piece>,
}

impl Utterance {
    /// Plain text.
    pub fn plain(voice: VoiceId, text: impl Into<String>) -> Self {
        Self { voice, pieces: vec![Piece::Text(text.into())] }
    }

    /// Refuses what is too long or too deep.
    ///
    /// # Errors
    /// [`TooMuch`], which names the limit.
    pub fn check(&self) -> Result<(), TooMuch> {
        let mut count = Count::default();
        count.pieces(&self.pieces, 1)
    }
}

/// More than anybody listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Too many characters.
    #[error("more than {CHARS_MAX} characters in one utterance: say it in parts")]
    Chars,
    /// Too many marks.
    #[error("more than {PIECES_MAX} marks in one utterance: say it in parts")]
    Pieces,
    /// Marks within marks.
    #[error("marks are nested more than {DEPTH_MAX} deep")]
    Depth,
}

/// A piece of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text as people write it.
    Text(String),
    /// Silence; longer than [`BREAK_MAX`] counts as that.
    Break(Duration),
    /// More or less weight.
    Emphasis(Emphasis, Vec<Self>),
    /// Another speed, pitch or loudness.
    Prosody(Prosody, Vec<Self>),
    /// Text whose kind is known: it is read as that.
    SayAs(SayAs, String),
    /// Text that is written one way and read another; only the reading is kept.
    Sub(String),
    /// A sentence, whatever its punctuation says.
    Sentence(Vec<Self>),
    /// A paragraph.
    Paragraph(Vec<Self>),
    /// How it sounds, in a phonetic alphabet, with the text for voices that cannot read it.
    Phoneme {
        /// The pronunciation.
        sounds: Sounds,
        /// What is written.
        text: String,
    },
    /// Another language.
    Lang(Language, Vec<Self>),
}

/// A pronunciation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sounds {
    /// In the International Phonetic Alphabet.
    Ipa(String),
    /// In another alphabet, which no voice here reads: the text is read instead.
    Other,
}

/// How much weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emphasis {
    /// Slower and louder.
    Strong,
    /// A little slower and louder.
    #[default]
    Moderate,
    /// As everything else.
    None,
    /// Faster and softer.
    Reduced,
}

/// Speed, pitch and loudness, each relative to what surrounds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prosody {
    /// Speed as a factor, 0.3 to 3.
    pub rate: f32,
    /// Pitch as a factor, 0.5 to 2.
    pub pitch: f32,
    /// Loudness in dB, -30 to 10; minus infinity is silent.
    pub volume_db: f32,
}

impl Default for Prosody {
    fn default() -> Self {
        Self { rate: 1.0, pitch: 1.0, volume_db: 0.0 }
    }
}

impl Prosody {
    /// This within `outer`: factors multiply, decibels add.
    pub fn within(self, outer: Self) -> Self {
        Self {
            rate: (self.rate * outer.rate).clamp(0.3, 3.0),
            pitch: (self.pitch * outer.pitch).clamp(0.5, 2.0),
            volume_db: match self.volume_db + outer.volume_db {
                f32::NEG_INFINITY => f32::NEG_INFINITY,
                db => db.clamp(-30.0, 10.0),
            },
        }
    }
}

/// What a text is, as `say-as` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SayAs {
    /// A number that counts: "23" is twenty-three.
    Cardinal,
    /// A number that orders: "23" is twenty-third.
    Ordinal,
    /// Digits one by one.
    Digits,
    /// Letter by letter.
    Characters,
    /// A telephone number: digit by digit, in groups.
    Telephone,
    /// A date, its parts in this order.
    Date(DateOrder),
    /// A time of day.
    Time,
    /// An amount of money.
    Currency,
    /// A number with a unit.
    Unit,
    /// A number with a stroke.
    Fraction,
    /// A postal address.
    Address,
    /// An e-mail address or a link.
    Email,
    /// A word that is hidden by a beep; here it is left out.
    Expletive,
}

impl SayAs {
    /// The values of `interpret-as` and `format`; `None` for what is read as any text.
    pub fn parse(interpret_as: &str, format: Option<&str>) -> Option<Self> {
        let kind = match interpret_as.trim().to_ascii_lowercase().as_str() {
            "cardinal" | "number" => match format.map(str::trim) {
                Some("ordinal") => Self::Ordinal,
                Some("digits") => Self::Digits,
                Some("telephone") => Self::Telephone,
                _ => Self::Cardinal,
            },
            "ordinal" => Self::Ordinal,
            "digits" | "number_digit" => Self::Digits,
            "characters" | "spell-out" | "verbatim" | "letters" => Self::Characters,
            "telephone" | "phone" => Self::Telephone,
            "date" => Self::Date(DateOrder::parse(format)),
            "time" => Self::Time,
            "currency" | "money" => Self::Currency,
            "unit" => Self::Unit,
            "fraction" => Self::Fraction,
            "address" => Self::Address,
            "email" | "net" => Self::Email,
            "expletive" | "bleep" => Self::Expletive,
            _ => return None,
        };
        Some(kind)
    }
}

/// The order of a date's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// As the language has it: day first in German, month first in American English. A year in front is seen.
    #[default]
    OfLanguage,
    /// `mdy`, `md`, `my`.
    MonthFirst,
    /// `dmy`, `dm`.
    DayFirst,
    /// `ymd`, `ym`.
    YearFirst,
}

impl DateOrder {
    fn parse(format: Option<&str>) -> Self {
        match format.map(|format| format.trim().to_ascii_lowercase()).unwrap_or_default().chars().next() {
            Some('m') => Self::MonthFirst,
            Some('d') => Self::DayFirst,
            Some('y') => Self::YearFirst,
            _ => Self::OfLanguage,
        }
    }
}

#[derive(Default)]
struct Count {
    chars: usize,
    pieces: usize,
}

impl Count {
    fn pieces(&mut self, pieces: &[Piece], depth: usize) -> Result<(), TooMuch> {
        if depth > DEPTH_MAX {
            return Err(TooMuch::Depth);
        }
        self.pieces += pieces.len();
        if self.pieces > PIECES_MAX {
            return Err(TooMuch::Pieces);
        }
        for piece in pieces {
            match piece {
                Piece::Text(text) | Piece::Sub(text) | Piece::SayAs(_, text) => self.text(text)?,
                Piece::Phoneme { sounds, text } => {
                    self.text(text)?;
                    if let Sounds::Ipa(ipa) = sounds {
                        self.text(ipa)?;
                    }
                }
                Piece::Break(_) => {}
                Piece::Emphasis(_, inner)
                | Piece::Prosody(_, inner)
                | Piece::Sentence(inner)
                | Piece::Paragraph(inner)
                | Piece::Lang(_, inner) => self.pieces(inner, depth + 1)?,
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), TooMuch> {
        // Bytes bound the work of counting, whatever comes.
        if text.len() > 4 * CHARS_MAX {
            return Err(TooMuch::Chars);
        }
        self.chars += text.chars().count();
        if self.chars > CHARS_MAX { Err(TooMuch::Chars) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn say_as_knows_the_names_that_twilio_and_amazon_use() {
        assert_eq!(SayAs::parse("telephone", None), Some(SayAs::Telephone));
        assert_eq!(SayAs::parse("spell-out", None), Some(SayAs::Characters));
        assert_eq!(SayAs::parse("date", Some("dmy")), Some(SayAs::Date(DateOrder::DayFirst)));
        assert_eq!(SayAs::parse("date", None), Some(SayAs::Date(DateOrder::OfLanguage)));
        assert_eq!(SayAs::parse("interjection", None), None);
    }

    #[test]
    fn too_long_too_many_and_too_deep_is_refused() {
        let voice = VoiceId::default();
        assert_eq!(Utterance::plain(voice, "x".repeat(CHARS_MAX)).check(), Ok(()));
        assert_eq!(Utterance::plain(voice, "ä".repeat(CHARS_MAX + 1)).check(), Err(TooMuch::Chars));
        let many = vec![Piece::Break(Duration::ZERO); PIECES_MAX + 1];
        assert_eq!(Utterance { voice, pieces: many }.check(), Err(TooMuch::Pieces));
        let deep = (0..DEPTH_MAX).fold(Piece::Text("x".into()), |inner, _| Piece::Sentence(vec![inner]));
        assert_eq!(Utterance { voice, pieces: vec![deep] }.check(), Err(TooMuch::Depth));
    }
}
