//! English number words to digits, where that is sound.
//!
//! Rewritten are numbers of two words or more and lone ones from ten upwards: "nine hundred" → "900",
//! "nineteen eighty four" → "1984", "five five five one two" → "55512". A lone "one" to "nine" stays a word, as
//! it is a pronoun as often as a count. A number never reaches across a comma or a full stop.

use super::words::Spoken;

/// The words with their numbers in digits; with `amounts`, currencies and per cent as signs.
pub fn rewrite(words: Vec<Spoken>, amounts: bool) -> Vec<Spoken> {
    let mut rewritten = Vec::with_capacity(words.len());
    let mut rest = words.as_slice();
    while let Some(first) = rest.first() {
        let Some((mut digits, mut used)) = number(rest) else {
            rewritten.push(first.clone());
            rest = &rest[1..];
            continue;
        };
        let unit = rest.get(used).filter(|_| amounts && !rest[used - 1].ends_clause());
        if let Some(amount) = unit.and_then(|unit| amount(&digits, &unit.bare)) {
            digits = amount;
            used += 1;
        }
        rewritten.push(Spoken::joined(&rest[..used], digits.clone(), &digits));
        rest = &rest[used..];
    }
    rewritten
}

/// How many digits a word stands for, in English or German or in digits: 0 for "hundred", which adds none of
/// its own, `None` when it is no number.
pub fn digits_of(bare: &str) -> Option<usize> {
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    if digits > 0 {
        return bare.chars().all(|c| c.is_ascii_digit() || "-./:,".contains(c)).then_some(digits);
    }
    if MULTIPLIERS.iter().any(|(word, _)| *word == bare) || ["hundred", "hundert", "tausend"].contains(&bare) {
        return Some(0);
    }
    if unit(bare).is_some() || GERMAN_DIGITS.contains(&bare) {
        return Some(1);
    }
    if below_hundred_word(bare).is_some() || german_below_hundred(bare) {
        return Some(2);
    }
    None
}

fn number(words: &[Spoken]) -> Option<(String, usize)> {
    // Only words up to the first written pause can be one number.
    let pause = words.iter().position(Spoken::ends_clause).map_or(words.len(), |index| index + 1);
    let words: Vec<&str> = words[..pause].iter().map(|word| word.bare.as_str()).collect();
    let single = words.iter().take_while(|word| digit(word).is_some()).count();
    if single >= 3 {
        let digits = words[..single].iter().filter_map(|word| digit(word)).map(|digit| digit.to_string()).collect();
        return Some((digits, single));
    }
    if let Some(year) = year(&words) {
        return Some(year);
    }
    let (value, used) = cardinal(&words)?;
    (used >= 2 || value >= 10).then(|| (value.to_string(), used))
}

fn year(words: &[&str]) -> Option<(String, usize)> {
    let century = words.first().and_then(|word| below_hundred_word(word)).filter(|c| (15..=20).contains(c))?;
    let (within, used) = below_hundred(&words[1..])?;
    (within >= 10).then(|| ((century * 100 + within).to_string(), used + 1))
}

fn cardinal(words: &[&str]) -> Option<(u64, usize)> {
    let (mut group, mut used) = below_thousand(words)?;
    let mut total = 0;
    let mut ceiling = u64::MAX;
    loop {
        let multiplier = words.get(used).and_then(|word| MULTIPLIERS.iter().find(|(name, _)| name == word));
        let Some(&(_, multiplier)) = multiplier.filter(|(_, multiplier)| *multiplier < ceiling) else {
            return Some((total + group, used));
        };
        total += group * multiplier;
        ceiling = multiplier;
        used += 1;
        let and = usize::from(words.get(used) == Some(&"and"));
        let Some((next, more)) = below_thousand(&words[used + and..]) else { return Some((total, used)) };
        group = next;
        used += and + more;
    }
}

fn below_thousand(words: &[&str]) -> Option<(u64, usize)> {
    let (value, used) = below_hundred(words)?;
    if words.get(used) != Some(&"hundred") || value > 9 && used > 1 {
        return Some((value, used));
    }
    let used = used + 1;
    let and = usize::from(words.get(used) == Some(&"and"));
    match words.get(used + and..).and_then(below_hundred) {
        Some((rest, more)) => Some((value * 100 + rest, used + and + more)),
        None => Some((value * 100, used)),
    }
}

fn below_hundred(words: &[&str]) -> Option<(u64, usize)> {
    let first = words.first()?;
    if let Some((tens, ones)) = first.split_once('-') {
        let tens = TENS.iter().position(|word| *word == tens)? as u64 * 10 + 20;
        return Some((tens + unit(ones).filter(|ones| *ones > 0)?, 1));
    }
    if let Some(value) = unit(first) {
        return Some((value, 1));
    }
    let value = below_hundred_word(first)?;
    let ones = (value >= 20).then(|| words.get(1).and_then(|word| unit(word))).flatten().filter(|ones| *ones > 0);
    Some(ones.map_or((value, 1), |ones| (value + ones, 2)))
}

fn below_hundred_word(word: &str) -> Option<u64> {
    let teen = TEENS.iter().position(|teen| *teen == word).map(|index| index as u64 + 10);
    teen.or_else(|| TENS.iter().position(|tens| *tens == word).map(|index| index as u64 * 10 + 20))
}

fn unit(word: &str) -> Option<u64> {
    UNITS.iter().position(|unit| *unit == word).map(|index| index as u64)
}

fn digit(word: &str) -> Option<u64> {
    if word == "oh" { Some(0) } else { unit(word) }
}

fn german_below_hundred(word: &str) -> bool {
    GERMAN_TEENS.contains(&word)
        || GERMAN_TENS.contains(&word)
        || word
            .split_once("und")
            .is_some_and(|(ones, tens)| (ones == "ein" || GERMAN_DIGITS.contains(&ones)) && GERMAN_TENS.contains(&tens))
}

fn amount(digits: &str, unit: &str) -> Option<String> {
    match unit {
        "percent" => Some(format!("{digits}%")),
        "dollar" | "dollars" => Some(format!("${digits}")),
        "euro" | "euros" => Some(format!("€{digits}")),
        _ => None,
    }
}

const UNITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const MULTIPLIERS: [(&str, u64); 3] = [("thousand", 1_000), ("million", 1_000_000), ("billion", 1_000_000_000)];
const GERMAN_DIGITS: [&str; 11] =
    ["null", "eins", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"];
const GERMAN_TEENS: [&str; 10] =
    ["zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"];
const GERMAN_TENS: [&str; 8] = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

#[cfg(test)]
mod tests {
    use super::{
        super::words::{Effects, Extent, tests::heard},
        *,
    };

    fn numerals(text: &str) -> String {
        let effects = Effects { punctuate: true, numerals: true, amounts: true, ..Effects::default() };
        effects.transcript(&effects.apply(&heard(text), Extent::Whole))
    }

    #[test]
    fn numbers_that_are_surely_numbers_become_digits() {
        for (spoken, written) in [
            ("the total is nine hundred", "the total is 900"),
            ("twenty one people", "21 people"),
            ("Twenty-one.", "21."),
            ("two thousand five hundred and six", "2506"),
            ("one million two hundred thousand and three", "1200003"),
            ("in nineteen eighty four, they", "in 1984, they"),
            ("call five five five one two oh now", "call 555120 now"),
            ("twelve dollars or twenty percent", "$12 or 20%"),
            ("thirteen", "13"),
        ] {
            assert_eq!(numerals(spoken), written, "{spoken}");
        }
    }

    #[test]
    fn words_that_only_look_like_numbers_stay() {
        for text in ["one of them", "no one knows", "five years", "a hundred", "two, three", "oh no", "thousand"] {
            assert_eq!(numerals(text), text);
        }
    }

    #[test]
    fn a_number_never_reaches_across_a_comma() {
        assert_eq!(numerals("twenty, five hundred"), "20, 500");
    }

    #[test]
    fn a_joined_number_keeps_the_audio_of_its_words() {
        let words = rewrite(
            Effects { punctuate: true, ..Effects::default() }.apply(&heard("say nine hundred."), Extent::Whole),
            false,
        );
        assert_eq!((words[1].start_s, words[1].end_s), (0.12, 0.34));
        assert_eq!((words[1].bare.as_str(), words[1].written.as_str()), ("900", "900."));
    }

    #[test]
    fn digits_are_counted_in_both_languages() {
        for (word, digits) in [
            ("4111", Some(4)),
            ("078-05-1120", Some(9)),
            ("four", Some(1)),
            ("eleven", Some(2)),
            ("hundred", Some(0)),
            ("fünf", Some(1)),
            ("einundzwanzig", Some(2)),
            ("hello", None),
            ("b2b", None),
            ("hund", None),
        ] {
            assert_eq!(digits_of(word), digits, "{word}");
        }
    }
}
