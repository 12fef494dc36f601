//! Telephone numbers in what is said: digits, `+` in front where the country was said. Pure.

use super::{
    digits,
    words::{Word, norm},
};

/// The telephone number in `words`. One that was not asked for counts when it looks like one or is called one.
pub(super) fn find(words: &[Word<'_>], is_asked: bool) -> Option<String> {
    let mut best: Option<String> = None;
    let mut at = 0;
    while at < words.len() {
        let Some((digits, end)) = digits::run(words, at) else {
            at += 1;
            continue;
        };
        let count = digits.bytes().filter(u8::is_ascii_digit).count();
        let before = at.saturating_sub(CUE_WITHIN)..at;
        let about =
            |cues: &[&str]| words[before.clone()].iter().any(|word| cues.iter().any(|cue| is_called(&word.norm, cue)));
        let looks_so = count >= LOOKS_SO && digits.starts_with(['+', '0']);
        let is_other = about(OTHER) || OTHER.iter().any(|other| is_called(norm(words, end), other));
        let is_one = DIGITS.contains(&count) && (is_asked || (!is_other && (looks_so || about(CUES))));
        if is_one && best.as_ref().is_none_or(|best| best.len() < digits.len()) {
            best = Some(digits);
        }
        at = end;
    }
    best.map(|digits| digits.strip_prefix("00").map_or_else(|| digits.clone(), |rest| format!("+{rest}")))
}

/// Whether `word` has `cue` in it; short ones only begin words: there is a "ring" in "dringend".
fn is_called(word: &str, cue: &str) -> bool {
    if cue.len() > SHORT { word.contains(cue) } else { word.starts_with(cue) }
}

/// Letters of a cue that is found in other words too.
const SHORT: usize = 5;

/// How many digits telephone numbers have.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// With so many digits and a nought or a plus in front it is one, whatever it is called.
const LOOKS_SO: usize = 7;

/// Words before a number among which it is called something.
const CUE_WITHIN: usize = 4;

#[rustfmt::skip]
const CUES: &[&str] = &[
    "telefon", "handy", "mobil", "rückruf", "erreich", "nummer", "anruf", "phone", "mobile", "cell", "number", "reach",
    "call", "ring", "telephone", "smartphone",
];

/// What other numbers are called.
#[rustfmt::skip]
const OTHER: &[&str] = &[
    "bestell", "kunden", "konto", "girokonto", "iban", "rechnung", "auftrag", "postleitzahl", "plz", "order", "account", "invoice",
    "customer", "zip", "postcode", "euro", "dollar", "pounds",
];

#[cfg(test)]
mod tests {
    use super::{super::words, *};

    #[test]
    fn telephone_numbers_are_found_and_other_numbers_are_not() {
        for (text, is_asked, number) in [
            ("Meine Nummer ist null acht neun, eins zwei drei vier fünf.", false, Some("08912345")),
            ("Sie erreichen mich unter 0171 2345678", false, Some("01712345678")),
            ("you can reach me at double five five, one two three four", false, Some("5551234")),
            ("plus 49 30 123456", false, Some("+4930123456")),
            ("0049 30 123456", false, Some("+4930123456")),
            ("my number is oh seven seven double zero nine", false, Some("077009")),
            ("fünf fünf eins zwei drei", true, Some("55123")),
            ("null acht neun Schrägstrich eins zwei drei", true, Some("089123")),
            ("Vorwahl 089, die Nummer 12345", true, Some("08912345")),
            ("null achthundert, drei drei drei", true, Some("0800333")),
            // Traps.
            ("fünf fünf eins zwei drei", false, None),
            ("Meine Bestellnummer ist 0123456789", false, None),
            ("my order number is 123456", false, None),
            ("Es ist dringend, 12345", false, None),
            ("am 24.12.2026 um 15:30", false, None),
            ("ein Tisch für vier", true, None),
            ("1 2 3", true, None),
            ("12345678901234567890", true, None),
            ("ich rufe an wegen der Rechnung 100200", false, None),
        ] {
            assert_eq!(find(&words::of(text), is_asked).as_deref(), number, "{text}");
        }
    }
}
