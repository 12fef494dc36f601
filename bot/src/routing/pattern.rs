//! Which numbers an entry is for.
//!
//! A pattern is a number or name as it is dialled. `?` stands for one digit, `[2-9]` for one of these digits, `*` at
//! the end for anything, also for nothing; `\` takes the next character as it is (`\*21`). Between digits of a
//! number stand spaces, dots, dashes and brackets as people write them. A pattern that begins with `+` is compared
//! with the number in E.164, however it was dialled; any other with what was dialled. Names keep their case.

use std::str::FromStr;

use serde::{Deserialize, de::Error as _};

use super::number::Party;

/// Which numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    places: Vec<Place>,
    is_open: bool,
    is_world: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Exactly(char),
    /// One bit for each digit.
    OneOf(u16),
}

impl Pattern {
    /// What of the number stands for the wildcards: the text from the first of them on. `None` when it is another
    /// number.
    pub fn rest<'a>(&self, party: &'a Party) -> Option<&'a str> {
        let text = if self.is_world { party.number()?.as_str() } else { party.dialled() };
        let mut places = self.places.iter();
        let mut from = None;
        for (at, letter) in text.char_indices() {
            match places.next() {
                Some(Place::Exactly(wanted)) if *wanted == letter => {}
                Some(Place::OneOf(digits)) if letter.to_digit(10).is_some_and(|digit| digits & (1 << digit) != 0) => {
                    from = from.or(Some(at));
                }
                Some(_) => return None,
                None if self.is_open => {
                    from = from.or(Some(at));
                    break;
                }
                None => return None,
            }
        }
        places.next().is_none().then(|| &text[from.unwrap_or(text.len())..])
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} is no pattern: {why}"));
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+?[(".contains(first))
            && text.chars().all(|letter| letter.is_ascii_digit() || " -.()/+?*#[]\\".contains(letter));
        let mut places = Vec::new();
        let mut is_open = false;
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if is_open {
                return wrong("* stands at the end only");
            }
            match letter {
                '*' => is_open = true,
                '?' => places.push(Place::OneOf(0x3ff)),
                '[' => {
                    let Some((set, rest)) = letters.as_str().split_once(']') else { return wrong("a [ is not closed") };
                    let Some(digits) = digits(set) else { return wrong("[…] holds digits, such as [2-9] or [135]") };
                    places.push(Place::OneOf(digits));
                    letters = rest.chars();
                }
                '\\' => match letters.next() {
                    Some(letter) => places.push(Place::Exactly(letter)),
                    None => return wrong("nothing follows the \\"),
                },
                ' ' | '-' | '.' | '(' | ')' | '/' if is_number => {}
                letter => places.push(Place::Exactly(letter)),
            }
        }
        if text.is_empty() || places.len() > PLACES_MAX {
            return wrong("it must have 1 to 256 places");
        }
        Ok(Self { places, is_open, is_world: text.starts_with('+') })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The digits that `2-9`, `135` or `1-35` name, as bits.
fn digits(set: &str) -> Option<u16> {
    let mut digits = 0;
    let mut letters = set.chars().peekable();
    while let Some(letter) = letters.next() {
        let first = letter.to_digit(10)?;
        let last = if letters.next_if_eq(&'-').is_some() { letters.next()?.to_digit(10)? } else { first };
        if last < first {
            return None;
        }
        for digit in first..=last {
            digits |= 1 << digit;
        }
    }
    (digits != 0).then_some(digits)
}

/// No number has more, and few names.
const PLACES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::number::Home;

    #[test]
    fn a_pattern_takes_what_it_says_and_nothing_else() {
        for (pattern, called, rest) in [
            ("echo", "sip:echo@h", Some("")),
            ("echo", "sip:Echo@h", None),
            ("echo", "sip:echo2@h", None),
            ("echo", "sip:ech@h", None),
            ("echo*", "sip:echo2@h", Some("2")),
            ("*", "sip:anybody@h", Some("anybody")),
            ("*", "sip:h", Some("")),
            ("+4930123456", "sip:030123456@h", Some("")),
            ("+49 (30) 123-*", "sip:0049301234@h", Some("4")),
            ("+49 (30) 123-*", "+4930123", Some("")),
            ("+49*", "+4312345678", None),
            ("+49*", "sip:alice@h", None),
            ("030*", "0301234", Some("1234")),
            ("030*", "+49301234567", None),
            ("8??", "817", Some("17")),
            ("8??", "8170", None),
            ("8??", "81", None),
            ("8??", "8a1", None),
            ("[1-37]0?", "307", Some("307")),
            ("[1-37]0?", "407", None),
            ("\\*21*", "*2155", Some("55")),
            ("\\*21*", "2155", None),
            ("a.b", "sip:a.b@h", Some("")),
            ("a.b", "sip:ab@h", None),
            ("größe", "sip:gr%C3%B6%C3%9Fe@h", Some("")),
        ] {
            let home = Home { country: Some("49".to_owned()), ..Home::default() };
            let party = Party::read(called, &home).unwrap();
            assert_eq!(pattern.parse::<Pattern>().unwrap().rest(&party), rest, "{pattern} {called}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "a*b", "**", "[", "[]", "[a]", "[9-2]", "[1-]", "\\"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        assert!("1".repeat(257).parse::<Pattern>().is_err());
    }

    proptest! {
        #[test]
        fn a_prefix_takes_exactly_what_begins_with_it(prefix in "[0-9]{1,6}", called in "[0-9]{1,8}") {
            let pattern: Pattern = format!("{prefix}*").parse().unwrap();
            let party = Party::read(&called, &Home::default()).unwrap();
            prop_assert_eq!(pattern.rest(&party), called.strip_prefix(prefix.as_str()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}", called in "\\PC{0,20}") {
            if let (Ok(pattern), Ok(party)) = (text.parse::<Pattern>(), Party::read(&called, &Home::default())) {
                let _ = pattern.rest(&party);
            }
        }
    }
}
