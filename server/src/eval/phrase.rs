//! Words that a text must hold, as people write them down: `nine | 9`, `appointment*`.
//!
//! A phrase is one or several ways to say something, parted by `|`. Letters and digits count, capitals and punctuation do
//! not; words must follow each other as they are written, and a `*` at the end of a way stands for the rest of a word.
//! Pure.

use std::fmt;

/// Words that are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phrase {
    written: String,
    ways: Vec<Way>,
}

/// One way to say it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    /// Never none.
    words: Vec<String>,
    /// Whether the last word is only the beginning of one.
    is_open: bool,
}

impl Phrase {
    /// The phrase that is written so; `None` where a way of it holds no word.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        let ways = written.split('|').map(Way::parse).collect::<Option<Vec<_>>>()?;
        Some(Self { written: written.trim().to_owned(), ways })
    }

    /// Whether one of its ways is in `text`.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let said = words(text);
        self.ways.iter().any(|way| said.windows(way.words.len()).any(|here| way.is(here)))
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Way {
    fn parse(written: &str) -> Option<Self> {
        let written = written.trim();
        let is_open = written.ends_with('*');
        let words = words(written);
        (!words.is_empty()).then_some(Self { words, is_open })
    }

    /// Whether `here`, which has as many words, is this.
    fn is(&self, here: &[String]) -> bool {
        let last = self.words.len() - 1;
        self.words.iter().zip(here).enumerate().all(|(at, (wanted, said))| {
            if at == last && self.is_open { said.starts_with(wanted.as_str()) } else { said == wanted }
        })
    }
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let parts = text.split(|sign: char| !sign.is_alphanumeric());
    parts.filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(phrase: &str, text: &str) -> bool {
        Phrase::parse(phrase).unwrap().is_in(text)
    }

    #[test]
    fn words_are_found_whole_and_however_they_are_capitalised() {
        assert!(is_in("nine to five", "We are there from Nine to five."));
        assert!(!is_in("open", "We have opened."));
        assert!(!is_in("to nine", "Nine to five."));
        assert!(is_in("Öffnungszeiten", "Die ÖFFNUNGSZEITEN sind kurz"));
    }

    #[test]
    fn one_of_several_ways_is_enough_and_a_star_leaves_the_end_open() {
        assert!(is_in("nine | 9", "At 9 o'clock"));
        assert!(is_in("Termin*", "Ihre Termine stehen"));
        assert!(is_in("zero three | 03*", "call 0301234"));
        assert!(!is_in("nine | 9", "At 10 o'clock"));
    }

    #[test]
    fn a_phrase_without_words_is_none() {
        for nothing in ["", "  ", "?!", "*", "nine |", "| 9"] {
            assert_eq!(Phrase::parse(nothing), None, "{nothing:?}");
        }
        assert!(!is_in("a b c", "a b"), "longer than the text");
    }
}
