//! Digits that are dictated: "null acht neun, zweiundzwanzig", "double four seven", "+49 30". Pure.

use super::words::{Word, norm};
use crate::brain::{self, Language};

/// The digits that are dictated from `words[at]` on, a `+` before them where one was said, and where they end.
pub(super) fn run(words: &[Word<'_>], at: usize) -> Option<(String, usize)> {
    let mut digits = String::new();
    let mut end = at;
    if norm(words, at) == "plus" {
        digits.push('+');
        end += 1;
    }
    loop {
        let filled = end + words.iter().skip(end).take_while(|word| !digits.is_empty() && word.among(BETWEEN)).count();
        let Some((more, next)) = piece(words, filled, !digits.is_empty()) else { break };
        if more.starts_with('+') && !digits.is_empty() {
            break;
        }
        // "+49 (0) 89": the nought is for those who call from within.
        let is_nought = digits.starts_with('+') && norm(words, filled) == "(0)";
        if !is_nought {
            digits.push_str(&more);
        }
        end = next;
        if digits.len() > DIGITS_MAX {
            return None;
        }
    }
    digits.bytes().any(|byte| byte.is_ascii_digit()).then_some((digits, end))
}

/// One piece: a digit, several written together, a number below a hundred, hundreds, the same twice. `is_inside` where
/// others stand before it.
fn piece(words: &[Word<'_>], at: usize, is_inside: bool) -> Option<(String, usize)> {
    let word = norm(words, at);
    let times = match word {
        "doppel" | "doppelt" | "zweimal" | "double" => 2,
        "dreifach" | "dreimal" | "triple" | "treble" => 3,
        _ => 1,
    };
    if times > 1 {
        // "dreimal die Sieben"
        let one_at = if matches!(norm(words, at + 1), "die" | "der") { at + 2 } else { at + 1 };
        let next = norm(words, one_at);
        let is_nought = is_oh(next).then(|| "0".to_owned());
        let one = digit(next).or(is_nought).or_else(|| written(next).filter(|digits| digits.len() == 1))?;
        return Some((one.repeat(times), one_at + 1));
    }
    if is_oh(word) {
        // Only among digits: "oh, seven people" is none.
        let next = norm(words, at + 1);
        let is_before_one = is_oh(next) || next == "double" || digit(next).or_else(|| written(next)).is_some();
        let is_last = is_inside && at + 1 == words.len();
        let is_among = is_last || is_before_one && words.get(at).is_some_and(|word| !word.stop);
        return is_among.then(|| ("0".to_owned(), at + 1));
    }
    if let Some(hundreds) = hundreds(words, at) {
        return Some(hundreds);
    }
    if let Some(digits) = digit(word).or_else(|| written(word)) {
        return Some((digits, at + 1));
    }
    let two = [word, norm(words, at + 1)];
    [Language::German, Language::English].into_iter().find_map(|language| {
        let (number, taken) = brain::cardinal(&two, language)?;
        (10..100).contains(&number).then(|| (number.to_string(), at + taken))
    })
}

/// "achthundert", "zweihundertfünfzig", "eight hundred", "two hundred and fifty".
fn hundreds(words: &[Word<'_>], at: usize) -> Option<(String, usize)> {
    let below = |at: usize, language: Language| {
        let (number, taken) = brain::cardinal(&[norm(words, at), norm(words, at + 1)], language)?;
        (1..100).contains(&number).then_some((number, at + taken))
    };
    let word = norm(words, at);
    if let Some((times, rest)) = word.split_once("hundert") {
        let times = if matches!(times, "" | "ein") { "1".to_owned() } else { digit(times)? };
        let rest = if rest.is_empty() { 0 } else { brain::cardinal(&[rest], Language::German)?.0 };
        return (rest < 100).then(|| (format!("{times}{rest:02}"), at + 1));
    }
    let times = digit(word).filter(|_| norm(words, at + 1) == "hundred")?;
    let (rest, end) = if norm(words, at + 2) == "and" { below(at + 3, Language::English)? } else { (0, at + 2) };
    Some((format!("{times}{rest:02}"), end))
}

/// The nought that is said as a letter.
fn is_oh(word: &str) -> bool {
    matches!(word, "oh" | "o")
}

/// One digit as a word.
fn digit(word: &str) -> Option<String> {
    let at = DIGITS.iter().position(|names| names.contains(&word))?;
    Some(at.to_string())
}

/// Digits as they are written in telephone numbers; dates and times are none.
fn written(word: &str) -> Option<String> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '/' | '-' | '(' | ')' | '.');
    let is_date = word.matches('.').count() == 2 && word.split('.').next().is_some_and(|day| day.len() <= 2);
    if !word.chars().all(is_number) || is_date || word.matches('+').count() > 1 {
        return None;
    }
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let plus = if word.starts_with('+') || word.starts_with("(+") { "+" } else { "" };
    (!digits.is_empty()).then(|| format!("{plus}{digits}"))
}

#[rustfmt::skip]
const DIGITS: [&[&str]; 10] = [
    &["null", "zero", "nought", "naught", "nil"], &["eins", "one"], &["zwei", "zwo", "two"], &["drei", "three"],
    &["vier", "four"],
    &["fünf", "fuenf", "five"], &["sechs", "six"], &["sieben", "seven"], &["acht", "eight"], &["neun", "nine", "niner"],
];

/// What people say between digits.
#[rustfmt::skip]
const BETWEEN: &[&str] = &[
    "und", "dann", "danach", "die", "nummer", "durchwahl", "äh", "ähm", "hm", "schrägstrich", "strich", "bindestrich", "and",
    "then", "the", "number", "uh", "um", "er", "erm", "slash", "dash", "hyphen",
];

/// More is no number that anybody dictates.
const DIGITS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::{super::words, *};

    #[test]
    fn digits_are_read_however_they_are_said() {
        for (text, digits) in [
            ("null acht neun drei zwei", Some("08932")),
            ("null eins sieben eins, zweiundzwanzig dreißig", Some("01712230")),
            ("plus 49 30 123", Some("+4930123")),
            ("+49 (0) 89 12", Some("+498912")),
            ("0171/234-56", Some("017123456")),
            ("oh seven double four nine", Some("07449")),
            ("null doppel sieben", Some("077")),
            ("triple five one", Some("5551")),
            ("twenty one forty", Some("2140")),
            ("drei, äh, vier", Some("34")),
            ("zwo null", Some("20")),
            ("oh double seven", Some("077")),
            ("oh 7 9", Some("079")),
            ("double o seven", Some("007")),
            ("one two oh.", Some("120")),
            ("dreimal die sieben", Some("777")),
            ("null achthundert, drei drei", Some("080033")),
            ("eight hundred five five", Some("80055")),
            ("two hundred and fifty", Some("250")),
            ("zweihundertfünfzig", Some("250")),
            ("089 Schrägstrich zwölf", Some("08912")),
            ("five five five dash one two", Some("55512")),
            // No digits.
            ("oh, seven people", None),
            ("24.12.2026", None),
            ("15:30", None),
            ("ein Tisch", None),
            ("eine Frage", None),
            ("double trouble", None),
            ("hundert Jahre", Some("100")),
            ("hundertmal", None),
            ("o", None),
            ("plus", None),
            ("", None),
        ] {
            let words = words::of(text);
            assert_eq!(run(&words, 0).map(|(digits, _)| digits).as_deref(), digits, "{text}");
        }
    }
}
