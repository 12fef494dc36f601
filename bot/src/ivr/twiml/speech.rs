//! `Say`, and the part of SSML that may stand in it.

use std::{fmt, time::Duration};

use roxmltree::Node;

use super::{
    Times,
    attributes::{Attributes, Notes, name_of},
};
use crate::ivr::notice::Code;

/// Speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// What.
    pub speech: Speech,
    /// How often.
    pub times: Times,
}

/// What is spoken, and with which voice. Its `Debug` shows no words: an application may read a caller's back to them.
#[derive(Clone, Default, PartialEq)]
pub struct Speech {
    /// The voice as the application names it (`alice`, `Polly.Vicki`, `de_DE-thorsten`), which may be none we have.
    pub voice: Option<String>,
    /// The language as the application names it (`de-DE`); of the voice or of the call where it names none.
    pub language: Option<String>,
    /// Words and what is done with them, in order.
    pub pieces: Vec<Piece>,
}

impl Speech {
    /// `text`, with the voice of the call.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Text(text.into())], ..Self::default() }
    }

    /// The words alone, as a voice that knows no SSML would speak them.
    pub fn words(&self) -> String {
        let mut text = String::new();
        gather_words(&self.pieces, &mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether a voice would have nothing to do.
    pub fn is_empty(&self) -> bool {
        fn is_silent(piece: &Piece) -> bool {
            match piece {
                Piece::Break(pause) => pause.is_zero(),
                Piece::Text(text) | Piece::SayAs { text, .. } | Piece::Phoneme { text, .. } => text.trim().is_empty(),
                Piece::Sub { alias, .. } => alias.trim().is_empty(),
                Piece::Emphasis(_, within)
                | Piece::Prosody(_, within)
                | Piece::Language(_, within)
                | Piece::Paragraph(within)
                | Piece::Sentence(within) => within.iter().all(is_silent),
            }
        }
        self.pieces.iter().all(is_silent)
    }
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = self.words().chars().count();
        f.debug_struct("Speech")
            .field("voice", &self.voice)
            .field("language", &self.language)
            .field("signs", &signs)
            .finish_non_exhaustive()
    }
}

/// Words, or something that is done with words.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Words. White space is one blank, also at the ends where words may touch their neighbours.
    Text(String),
    /// Silence.
    Break(Duration),
    /// Words that stand out.
    Emphasis(Emphasis, Vec<Self>),
    /// Words spoken faster, higher or louder.
    Prosody(Prosody, Vec<Self>),
    /// Text that is read in a certain way.
    SayAs {
        /// In which.
        how: Interpretation,
        /// The text.
        text: String,
    },
    /// `alias` is spoken where `text` is written.
    Sub {
        /// What is written.
        text: String,
        /// What is spoken.
        alias: String,
    },
    /// A paragraph.
    Paragraph(Vec<Self>),
    /// A sentence.
    Sentence(Vec<Self>),
    /// A word by its sounds.
    Phoneme {
        /// `ipa` or `x-sampa`.
        alphabet: String,
        /// The sounds.
        sounds: String,
        /// The word, for a voice that cannot.
        text: String,
    },
    /// Words of another language.
    Language(String, Vec<Self>),
}

/// How much words stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emphasis {
    /// Louder and slower.
    Strong,
    /// A little.
    Moderate,
    /// Softer and quicker.
    Reduced,
    /// Not at all.
    None,
}

/// How words are spoken, against how they would be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prosody {
    /// Times as fast, 0.2 to 4.
    pub rate: f32,
    /// Times as high, 0.5 to 2.
    pub pitch: f32,
    /// Decibels louder, −96 (not heard) to 12.
    pub volume_db: f32,
}

/// How text is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interpretation {
    /// Letter by letter.
    Characters,
    /// As a number.
    Cardinal,
    /// As first, second, third.
    Ordinal,
    /// Digit by digit.
    Digits,
    /// As a fraction.
    Fraction,
    /// As a measure: `10ft`.
    Unit,
    /// As a date, in an order such as `dmy`; none said is the language's own.
    Date(Option<String>),
    /// As a duration: `1'21"`.
    Time,
    /// As a street and number.
    Address,
    /// As a telephone number.
    Telephone,
    /// A tone instead.
    Bleep,
}

/// Reads `Say`.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Say {
    let mut attributes = Attributes::of(node, notes);
    let times = Times::read(&mut attributes, Code::SAY_LOOP);
    let (voice, language) = (attributes.word("voice"), attributes.word("language"));
    attributes.done();
    let pieces = pieces(node, notes);
    Say { speech: Speech { voice, language, pieces }, times }
}

fn pieces(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for child in node.children() {
        if let Some(text) = child.text().filter(|_| child.is_text()) {
            let text = blanks_to_one(text);
            if !text.is_empty() {
                pieces.push(Piece::Text(text));
            }
        } else if child.is_element() {
            piece(child, notes, &mut pieces);
        }
    }
    pieces
}

fn piece(node: Node<'_, '_>, notes: &mut Notes<'_>, pieces: &mut Vec<Piece>) {
    let mut attributes = Attributes::of(node, notes);
    let read = match node.tag_name().name() {
        "break" => {
            let pause = pause(&mut attributes);
            attributes.done();
            Piece::Break(pause)
        }
        "emphasis" => {
            let table = [
                ("moderate", Emphasis::Moderate),
                ("strong", Emphasis::Strong),
                ("reduced", Emphasis::Reduced),
                ("none", Emphasis::None),
            ];
            let level = attributes.choice("level", Code::SCHEMA, &table);
            attributes.done();
            Piece::Emphasis(level, self::pieces(node, notes))
        }
        "prosody" => {
            let prosody = prosody(&mut attributes);
            attributes.done();
            Piece::Prosody(prosody, self::pieces(node, notes))
        }
        "say-as" => {
            let how = interpretation(&mut attributes);
            attributes.done();
            let text = words_within(node);
            match how {
                Some(how) => Piece::SayAs { how, text },
                None => Piece::Text(text),
            }
        }
        "sub" => {
            let alias = attributes.word("alias");
            attributes.done();
            let text = words_within(node);
            Piece::Sub { alias: alias.unwrap_or_else(|| text.clone()), text }
        }
        "phoneme" => {
            let alphabet = attributes.choice("alphabet", Code::SCHEMA, &[("ipa", "ipa"), ("x-sampa", "x-sampa")]);
            let sounds = attributes.word("ph");
            attributes.done();
            let text = words_within(node);
            match sounds {
                Some(sounds) => Piece::Phoneme { alphabet: alphabet.to_owned(), sounds, text },
                None => Piece::Text(text),
            }
        }
        "lang" => {
            let language = attributes.word("lang");
            attributes.done();
            let within = self::pieces(node, notes);
            match language {
                Some(language) => Piece::Language(language, within),
                None => return pieces.extend(within),
            }
        }
        name @ ("p" | "s") => {
            attributes.done();
            let within = self::pieces(node, notes);
            if name == "p" { Piece::Paragraph(within) } else { Piece::Sentence(within) }
        }
        // A word with its part of speech: our voices guess that themselves.
        "w" => return pieces.extend(self::pieces(node, notes)),
        _ => {
            let name = name_of(node);
            notes.tell(node, Code::SCHEMA, format!("<{name}> means nothing to our voices; its words are spoken"));
            return pieces.extend(self::pieces(node, notes));
        }
    };
    pieces.push(read);
}

/// `time` in `s` or `ms`, up to ten seconds, or a `strength`.
fn pause(attributes: &mut Attributes<'_, '_, '_, '_>) -> Duration {
    let table = [("medium", 500), ("none", 0), ("x-weak", 100), ("weak", 250), ("strong", 800), ("x-strong", 1_200)];
    let strength = Duration::from_millis(attributes.choice("strength", Code::SCHEMA, &table));
    let Some(time) = attributes.word("time") else { return strength };
    let number = |unit: &str| time.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok());
    let seconds = number("ms").map(|ms| ms / 1_000.0).or_else(|| number("s"));
    match seconds.filter(|seconds| (0.0..=10.0).contains(seconds)) {
        Some(seconds) => Duration::from_secs_f64(seconds),
        None => {
            let why = "time is no duration up to 10s, such as 500ms; the break is as long as its strength says";
            attributes.tell(Code::SCHEMA, why.to_owned());
            strength
        }
    }
}

fn prosody(attributes: &mut Attributes<'_, '_, '_, '_>) -> Prosody {
    let rates = [("x-slow", 0.5), ("slow", 0.75), ("medium", 1.0), ("fast", 1.25), ("x-fast", 1.6)];
    let pitches = [("x-low", 0.75), ("low", 0.9), ("medium", 1.0), ("high", 1.12), ("x-high", 1.3)];
    let volumes =
        [("silent", -96.0), ("x-soft", -12.0), ("soft", -6.0), ("medium", 0.0), ("loud", 6.0), ("x-loud", 10.0)];
    // A rate of 80% is slower; a pitch of +5% is higher, and one of 80% is of that height.
    let percent = |text: &str| {
        let number = text.strip_suffix('%')?.trim();
        let value: f32 = number.parse().ok()?;
        let is_change = number.starts_with(['+', '-']);
        Some(if is_change { 1.0 + value / 100.0 } else { value / 100.0 })
    };
    let decibels = |text: &str| text.strip_suffix("dB").and_then(|number| number.trim().parse().ok());
    let mut read = |name, table: &[(&str, f32)], number: &dyn Fn(&str) -> Option<f32>, neutral, least, most| {
        let Some(text) = attributes.word(name) else { return neutral };
        let named = table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let value = named.or_else(|| number(&text)).or_else(|| (text == "default").then_some(neutral));
        match value.filter(|value| value.is_finite()) {
            Some(value) => value.clamp(least, most),
            None => {
                attributes.tell(Code::SCHEMA, format!("{name} is not understood; left as it is"));
                neutral
            }
        }
    };
    Prosody {
        rate: read("rate", &rates, &percent, 1.0, 0.2, 4.0),
        pitch: read("pitch", &pitches, &percent, 1.0, 0.5, 2.0),
        volume_db: read("volume", &volumes, &decibels, 0.0, -96.0, 12.0),
    }
}

fn interpretation(attributes: &mut Attributes<'_, '_, '_, '_>) -> Option<Interpretation> {
    attributes.known(&["role"]);
    let format = attributes.word("format");
    let how = match attributes.text("interpret-as").map(str::trim) {
        Some("characters" | "spell-out" | "verbatim") => Interpretation::Characters,
        Some("cardinal" | "number") => Interpretation::Cardinal,
        Some("ordinal") => Interpretation::Ordinal,
        Some("digits") => Interpretation::Digits,
        Some("fraction") => Interpretation::Fraction,
        Some("unit") => Interpretation::Unit,
        Some("date") => Interpretation::Date(format),
        Some("time") => Interpretation::Time,
        Some("address") => Interpretation::Address,
        Some("telephone") => Interpretation::Telephone,
        Some("expletive" | "bleep") => Interpretation::Bleep,
        _ => {
            attributes.tell(Code::SCHEMA, "interpret-as is not understood; its words are spoken as they are".into());
            return None;
        }
    };
    Some(how)
}

/// All words in `node`, whatever they stand in.
fn words_within(node: Node<'_, '_>) -> String {
    let text: String = node.descendants().filter(Node::is_text).filter_map(|child| child.text()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` with each run of white space as one blank.
fn blanks_to_one(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign.is_whitespace() {
            true if out.ends_with(' ') => {}
            true => out.push(' '),
            false => out.push(sign),
        }
    }
    out
}

fn gather_words(pieces: &[Piece], out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) | Piece::SayAs { text, .. } | Piece::Phoneme { text, .. } => out.push_str(text),
            Piece::Sub { alias, .. } => out.push_str(alias),
            Piece::Break(_) => out.push(' '),
            Piece::Emphasis(_, within) | Piece::Prosody(_, within) | Piece::Language(_, within) => {
                gather_words(within, out);
            }
            Piece::Paragraph(within) | Piece::Sentence(within) => {
                out.push(' ');
                gather_words(within, out);
                out.push(' ');
            }
        }
    }
}
