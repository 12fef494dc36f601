//! Numbers in words: cardinals and ordinals below a hundred, in English and German.

/// The English cardinal that begins at `words[0]`, digits included, and how many words it takes.
pub(super) fn english_cardinal(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    if let Some(digits) = digits(first) {
        return Some((digits, 1));
    }
    if let Some(small) = position(ENGLISH_SMALL, first) {
        return Some((small, 1));
    }
    let (tens, unit) =
        first.split_once('-').map_or_else(|| (first, words.get(1).copied()), |(tens, unit)| (tens, Some(unit)));
    let tens = 10 * position(ENGLISH_TENS, tens)?;
    match unit.and_then(|unit| position(ENGLISH_SMALL, unit)).filter(|unit| (1..10).contains(unit)) {
        Some(unit) => Some((tens + unit, if first.contains('-') { 1 } else { 2 })),
        None if first.contains('-') => None,
        None => Some((tens, 1)),
    }
}

/// The English ordinal that begins at `words[0]` ("3rd", "third", "twenty first"), and how many words it takes.
pub(super) fn english_ordinal(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    for suffix in ["st", "nd", "rd", "th"] {
        if let Some(number) = first.strip_suffix(suffix).and_then(digits) {
            return Some((number, 1));
        }
    }
    if let Some(small) = position(ENGLISH_ORDINALS, first) {
        return Some((small, 1));
    }
    match first {
        "twentieth" => return Some((20, 1)),
        "thirtieth" => return Some((30, 1)),
        _ => {}
    }
    let (tens, unit, taken) = match first.split_once('-') {
        Some((tens, unit)) => (tens, unit, 1),
        None => (first, *words.get(1)?, 2),
    };
    let unit = position(ENGLISH_ORDINALS, unit).filter(|unit| *unit < 10)?;
    Some((10 * position(ENGLISH_TENS, tens)? + unit, taken))
}

/// The German cardinal `word`, digits included.
pub(super) fn german_cardinal(word: &str) -> Option<u32> {
    if let Some(digits) = digits(word) {
        return Some(digits);
    }
    match word {
        "eine" | "einen" | "einem" | "einer" | "eins" => return Some(1),
        "zwo" => return Some(2),
        _ => {}
    }
    position(GERMAN_SMALL, word).or_else(|| german_tens(word))
}

/// The German ordinal `word` in any case ("dritte", "dritten", "einundzwanzigster"); "3." is not one.
pub(super) fn german_ordinal(word: &str) -> Option<u32> {
    let stem = ["en", "er", "es", "em", "e"].iter().find_map(|ending| word.strip_suffix(ending))?;
    match stem {
        "erst" => return Some(1),
        "dritt" => return Some(3),
        "siebt" => return Some(7),
        "acht" => return Some(8),
        _ => {}
    }
    if let Some(tens) = stem.strip_suffix("st").and_then(german_tens) {
        return Some(tens);
    }
    position(GERMAN_SMALL, stem.strip_suffix('t')?).filter(|number| *number < 20)
}

/// "zwanzig", "einundzwanzig".
fn german_tens(word: &str) -> Option<u32> {
    if let Some(tens) = position(GERMAN_TENS, word) {
        return Some(10 * tens);
    }
    if word == "dreissig" {
        return Some(30);
    }
    let (unit, tens) = word.split_once("und")?;
    Some(
        position(GERMAN_SMALL, unit).filter(|unit| (1..10).contains(unit))?
            + german_tens(tens).filter(|_| !tens.contains("und"))?,
    )
}

fn digits(word: &str) -> Option<u32> {
    word.parse().ok().filter(|_| word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()))
}

/// Where `word` stands in `words`; empty places are never found.
fn position(words: &[&str], word: &str) -> Option<u32> {
    words.iter().position(|known| !known.is_empty() && *known == word).map(|at| at as u32)
}

#[rustfmt::skip]
const ENGLISH_SMALL: &[&str] = &[
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
];

#[rustfmt::skip]
const ENGLISH_TENS: &[&str] = &[
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

#[rustfmt::skip]
const ENGLISH_ORDINALS: &[&str] = &[
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
];

#[rustfmt::skip]
const GERMAN_SMALL: &[&str] = &[
    "null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf",
    "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
];

#[rustfmt::skip]
const GERMAN_TENS: &[&str] = &[
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_numbers_are_read_in_one_word_or_two() {
        assert_eq!(english_cardinal(&["twenty", "one"]), Some((21, 2)));
        assert_eq!(english_cardinal(&["twenty-one"]), Some((21, 1)));
        assert_eq!(english_cardinal(&["twenty", "people"]), Some((20, 1)));
        assert_eq!(english_cardinal(&["15"]), Some((15, 1)));
        assert_eq!(english_ordinal(&["twenty", "first"]), Some((21, 2)));
        assert_eq!(english_ordinal(&["3rd"]), Some((3, 1)));
        assert_eq!(english_ordinal(&["twelfth"]), Some((12, 1)));
        assert_eq!(english_ordinal(&["send"]), None);
        assert_eq!(english_cardinal(&[""]), None);
    }

    #[test]
    fn german_numbers_are_read_in_every_case() {
        assert_eq!(german_cardinal("einundzwanzig"), Some(21));
        assert_eq!(german_cardinal("zwölf"), Some(12));
        assert_eq!(german_ordinal("dritten"), Some(3));
        assert_eq!(german_ordinal("einunddreißigsten"), Some(31));
        assert_eq!(german_ordinal("fünfzehnter"), Some(15));
        assert_eq!(german_ordinal("zwanzigsten"), Some(20));
        assert_eq!(german_ordinal("zweite"), Some(2));
        assert_eq!(german_ordinal("gute"), None);
        assert_eq!(german_cardinal("und"), None);
    }
}
