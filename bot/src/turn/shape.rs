//! How a transcript ends: a whole sentence, a clause that goes on, a number or an address that is being dictated.
//!
//! Pure rules for German and English. They only ever lengthen a wait: a model that is sure of an end cannot know that
//! a telephone number has four digits more.

use std::time::Duration;

use serde::Serialize;

use super::words;
use crate::persona::TurnSettings;

/// How words end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A sentence with its full stop, or a short answer that is one.
    Whole,
    /// Words without a mark that says how they go on.
    #[default]
    Plain,
    /// A clause that goes on: it ends in "and", "the", "with", a comma, an "um".
    Open,
    /// Digits, letters or an address, one after the other.
    Dictating,
}

impl Shape {
    /// How `text` ends.
    pub fn of(text: &str) -> Self {
        let text = text.trim_end();
        let words = words::of(text);
        let Some(last) = words.last() else { return Self::Plain };
        if is_dictating(&words) {
            return Self::Dictating;
        }
        let ends = text.ends_with(['.', '!', '?', '…', '"', '“']) && !text.ends_with("...") && !text.ends_with('…');
        if words::is_hesitation(last)
            || text.ends_with([',', ':', ';', '-', '–', '…'])
            || text.ends_with("...")
            || goes_on(&words)
        {
            return Self::Open;
        }
        if ends || (words.len() <= 3 && words.iter().all(|word| ANSWERS.contains(&word.as_str()))) {
            Self::Whole
        } else {
            Self::Plain
        }
    }

    /// How long silence has to last after words of this shape, when the model says that the probability of an end is
    /// `probability`.
    pub(super) fn wait(self, probability: Option<f32>, settings: &TurnSettings) -> Duration {
        let TurnSettings { wait, wait_unsure, wait_dictating, sure, .. } = *settings;
        let longer = wait_unsure.saturating_sub(wait);
        let by_model = match probability.filter(|p| p.is_finite()) {
            Some(p) if p >= sure => wait,
            Some(p) => {
                let doubt_milli = ((sure - p) / sure.max(f32::EPSILON)).clamp(0.0, 1.0) * 1_000.0;
                wait + longer * doubt_milli.round() as u32 / 1_000
            }
            // Nobody to ask: a whole sentence is an end more often than not.
            None if self == Self::Whole => wait + longer / 3,
            None => wait_unsure,
        };
        let is_sure = probability.is_some_and(|p| p >= ALMOST_CERTAIN);
        let by_words = match self {
            Self::Whole | Self::Plain => Duration::ZERO,
            Self::Open if is_sure => wait_unsure,
            Self::Open => wait_unsure * 3 / 2,
            Self::Dictating if is_sure => wait_dictating * 2 / 3,
            Self::Dictating => wait_dictating,
        };
        by_model.max(by_words)
    }
}

/// Whether the last words are part of something that is dictated piece by piece.
fn is_dictating(words: &[String]) -> bool {
    let is_digits = |word: &str| word.chars().any(|c| c.is_ascii_digit());
    let tail: Vec<&str> = words.iter().rev().take(12).map(String::as_str).collect();
    // An address with a whole ending is one; before that it is being dictated.
    let is_mail = words.iter().any(|word| word.contains("mail") || word.contains("adresse"));
    let is_address = |word: &&str| word.contains('@') || ADDRESS.contains(word) || (is_mail && DOTS.contains(word));
    if tail.iter().take(6).any(is_address) {
        let last = tail[0];
        let (has_dot, end) = last.rsplit_once('.').map_or((false, last), |(_, end)| (true, end));
        let is_after_dot = has_dot || tail.get(1).is_some_and(|before| DOTS.contains(before) || *before == "dot");
        return !(is_after_dot && ENDINGS.contains(&end));
    }
    let run = tail.iter().take_while(|word| is_digits(word) || is_number(word)).count();
    let digits: usize = tail[..run]
        .iter()
        .map(|word| if is_digits(word) { word.chars().filter(char::is_ascii_digit).count() } else { 1 })
        .sum();
    // A year, an amount or a time is said in one go; a run of several pieces or of many digits is not.
    let is_long = run >= 3 || digits >= 5 || (run == 2 && digits >= 4);
    let is_whole_number = digits >= DIGITS_OF_A_WHOLE_NUMBER;
    let letters = tail.iter().take_while(|word| is_letter(word)).count();
    let named = words.iter().rev().take(8).any(|word| DICTATED.iter().any(|about| word.contains(about)));
    (is_long && !is_whole_number) || letters >= 2 || (named && (run >= 1 || letters >= 1) && digits < 5)
}

/// One letter, or the name of one in the alphabets of telephony.
fn is_letter(word: &str) -> bool {
    word.chars().count() == 1 && word.chars().all(char::is_alphabetic) && !["i", "a", "o"].contains(&word)
        || SPELLED.contains(&word)
}

fn is_number(word: &str) -> bool {
    NUMBERS.contains(&word)
        || (word.len() > 6 && (word.ends_with("zig") || word.ends_with("zehn") || word.contains("hundert")))
}

fn goes_on(words: &[String]) -> bool {
    let last = words.last().map_or("", String::as_str);
    // "Ich rufe an", "weil ich krank bin": such words end a sentence when what needs them stands before.
    let is_particle = PARTICLES.contains(&last) && words.len() >= 3;
    let is_last_verb = VERBS.contains(&last) && words.iter().any(|word| SUBORDINATE.contains(&word.as_str()));
    GOES_ON.contains(&last) && !is_particle && !is_last_verb
}

/// From here on the end-of-turn model is believed even against the words.
const ALMOST_CERTAIN: f32 = 0.9;

/// With so many digits a telephone number is whole, country and area included.
const DIGITS_OF_A_WHOLE_NUMBER: usize = 11;

#[rustfmt::skip]
const GOES_ON: &[&str] = &[
    // German: conjunctions, articles, prepositions, possessives, pronouns and auxiliaries that want more.
    "und", "oder", "aber", "denn", "weil", "dass", "ob", "wenn", "als", "sondern", "sowie", "also", "bevor", "nachdem",
    "damit", "obwohl", "während", "beziehungsweise", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen",
    "einem", "einer", "eines", "kein", "keine", "keinen", "mein", "meine", "meinen", "meinem", "meiner", "unser",
    "unsere", "ihr", "ihre", "ihren", "sein", "seine", "in", "im", "ins", "am", "an", "auf", "bei", "beim", "mit",
    "nach", "von", "vom", "vor", "zu", "zum", "zur", "für", "über", "unter", "um", "aus", "bis", "durch", "gegen",
    "ohne", "wegen", "zwischen", "ich", "wir", "ist", "sind", "bin", "habe", "hätte", "möchte", "würde", "werde",
    "wollte", "könnte", "muss", "soll", "sollte", "nämlich", "sehr", "so", "heiße", "lautet",
    // English.
    "and", "or", "but", "because", "that", "if", "when", "while", "than", "although", "so", "the", "a", "an", "my",
    "your", "our", "their", "his", "her", "its", "this", "these", "those", "of", "for", "with", "from", "at", "by",
    "on", "into", "onto", "about", "between", "until", "to", "is", "are", "was", "were", "am", "have", "has", "had",
    "would", "could", "should", "will", "can", "i", "we", "i'm", "i'd", "i'll", "it's", "very", "like", "some", "any",
];

/// Of these, the ones that also end sentences: separable German verbs, and English ones with a particle.
#[rustfmt::skip]
const PARTICLES: &[&str] = &[
    "an", "auf", "aus", "bei", "mit", "nach", "vor", "zu", "um", "das", "so", "on", "to", "about", "that", "this", "her",
    "some", "any", "like", "with", "for", "from", "of",
];

/// Of these, the ones that end a German subordinate clause.
#[rustfmt::skip]
const VERBS: &[&str] = &[
    "ist", "sind", "bin", "habe", "hätte", "möchte", "würde", "werde", "wollte", "könnte", "muss", "soll", "sollte",
    "heiße", "lautet", "is", "are", "was", "were", "am", "have", "has", "had", "can", "will",
];

/// What makes a clause subordinate, or a question within a sentence.
#[rustfmt::skip]
const SUBORDINATE: &[&str] = &[
    "weil", "dass", "ob", "wenn", "als", "wie", "was", "wo", "wer", "wann", "warum", "bevor", "nachdem", "damit", "obwohl",
    "where", "what", "who", "how", "if", "because",
];

/// Answers that are whole without a mark.
#[rustfmt::skip]
const ANSWERS: &[&str] = &[
    "ja", "nein", "doch", "genau", "okay", "ok", "danke", "bitte", "gerne", "gern", "hallo", "tschüss", "stimmt", "richtig",
    "yes", "no", "yeah", "yep", "nope", "sure", "thanks", "thank", "you", "hello", "hi", "bye", "right", "correct",
    "please", "schön", "guten", "tag", "wiederhören", "auf", "goodbye", "that's", "all", "das", "wars", "war's",
];

/// What is dictated, when it is named.
#[rustfmt::skip]
const DICTATED: &[&str] = &[
    "nummer", "postleitzahl", "vorwahl", "iban", "kontonummer", "geburtsdatum", "buchstabier", "number", "phone",
    "zip", "postcode", "account", "spell", "digits", "code",
];

/// Words of an address that is being dictated, and of nothing else.
const ADDRESS: &[&str] = &["ät", "klammeraffe", "unterstrich", "underscore", "dot"];

/// Words that are of an address when one was spoken of.
const DOTS: &[&str] = &["punkt", "at", "bindestrich", "minus", "hyphen", "dash", "strich"];

/// How addresses end.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "de", "com", "net", "org", "eu", "at", "ch", "info", "io", "uk", "us", "edu", "gov", "example", "email", "online",
];

#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "null", "eins", "ein", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf",
    "zwölf", "zwanzig", "dreißig", "doppel", "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight",
    "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "double",
    "triple", "plus",
];

/// The alphabets of telephony, as far as their words are no others.
#[rustfmt::skip]
const SPELLED: &[&str] = &[
    "anton", "berta", "cäsar", "dora", "emil", "friedrich", "gustav", "heinrich", "ida", "kaufmann", "ludwig", "martha",
    "nordpol", "otto", "paula", "quelle", "samuel", "siegfried", "theodor", "ulrich", "viktor", "wilhelm", "xanthippe",
    "ypsilon", "zacharias", "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "juliett", "kilo", "lima", "oscar",
    "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "x-ray", "yankee", "zulu",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_words_end_is_seen_in_both_languages() {
        for (text, shape) in [
            ("Ich hätte gern einen Termin.", Shape::Whole),
            ("Could I book a table for two?", Shape::Whole),
            ("ja", Shape::Whole),
            ("nein danke", Shape::Whole),
            ("ich hätte gern einen Termin am Dienstag", Shape::Plain),
            ("a table for two tomorrow", Shape::Plain),
            ("Ich hätte gern einen Termin und", Shape::Open),
            ("Ich rufe an wegen der", Shape::Open),
            ("Ich rufe an", Shape::Plain),
            ("Mein Name ist", Shape::Open),
            ("and I would like to book a", Shape::Open),
            ("because", Shape::Open),
            ("Also, äh", Shape::Open),
            ("Well, um...", Shape::Open),
            ("Ja,", Shape::Open),
            ("Meine Nummer ist 0171", Shape::Dictating),
            ("0171 234", Shape::Dictating),
            ("null eins sieben", Shape::Dictating),
            ("my number is five five five", Shape::Dictating),
            ("+49 171 2345678", Shape::Plain),
            ("um drei", Shape::Plain),
            ("2026", Shape::Plain),
            ("meine mail ist anna punkt weber", Shape::Dictating),
            ("meine mail ist anna punkt weber at example punkt de", Shape::Plain),
            ("anna underscore weber at", Shape::Dictating),
            ("let's meet at the office", Shape::Plain),
            ("Das ist der Punkt", Shape::Plain),
            ("weil ich krank bin", Shape::Plain),
            ("anna.weber@example.de", Shape::Plain),
            ("anna weber at example dot com", Shape::Plain),
            ("W E", Shape::Dictating),
            ("Wilhelm Emil Berta", Shape::Dictating),
            ("", Shape::Plain),
            ("...", Shape::Plain),
        ] {
            assert_eq!(Shape::of(text), shape, "{text:?}");
        }
    }

    #[test]
    fn a_sure_end_is_waited_for_shortly_and_a_dictated_number_long_whatever_the_model_says() {
        let settings = TurnSettings::default();
        let wait = |shape: Shape, p| shape.wait(p, &settings);
        assert_eq!(wait(Shape::Whole, Some(0.95)), settings.wait);
        assert_eq!(wait(Shape::Plain, Some(0.0)), settings.wait_unsure);
        assert!(wait(Shape::Plain, Some(0.3)) > settings.wait && wait(Shape::Plain, Some(0.3)) < settings.wait_unsure);
        assert!(wait(Shape::Whole, None) < settings.wait_unsure);
        assert_eq!(wait(Shape::Plain, Some(f32::NAN)), settings.wait_unsure);
        assert!(wait(Shape::Open, Some(0.7)) > settings.wait_unsure);
        assert!(wait(Shape::Dictating, Some(1.0)) > settings.wait_unsure);
        assert_eq!(wait(Shape::Dictating, None), settings.wait_dictating);
    }
}
