//! English numbers in words.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "quintillion"),
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// A number that counts.
pub(super) fn cardinal(mut number: u64) -> String {
    if number < 20 {
        return SMALL[number as usize].to_owned();
    }
    let mut words = Vec::new();
    for (scale, name) in SCALES {
        if number >= scale {
            words.push(format!("{} {name}", cardinal(number / scale)));
            number %= scale;
        }
    }
    if number >= 100 {
        words.push(format!("{} hundred", SMALL[(number / 100) as usize]));
        number %= 100;
    }
    match number {
        0 => {}
        1..20 => words.push(SMALL[number as usize].to_owned()),
        _ if number.is_multiple_of(10) => words.push(TENS[(number / 10) as usize].to_owned()),
        _ => words.push(format!("{}-{}", TENS[(number / 10) as usize], SMALL[(number % 10) as usize])),
    }
    words.join(" ")
}

/// A number that orders.
pub(super) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let cut = words.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = words.split_at(cut);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    format!("{head}{last}")
}

/// A year, in pairs of digits where they are said so.
pub(super) fn year(year: u64) -> String {
    match (year / 100, year % 100) {
        (10 | 20, rest) if rest < 10 => cardinal(year),
        (10..=99, 0) if !(year / 100).is_multiple_of(10) => format!("{} hundred", cardinal(year / 100)),
        (10..=99, 0) => cardinal(year),
        (century @ 10..=99, rest) if rest < 10 => format!("{} oh {}", cardinal(century), cardinal(rest)),
        (century @ 10..=99, rest) => format!("{} {}", cardinal(century), cardinal(rest)),
        _ => cardinal(year),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_count() {
        for (number, words) in [
            (0, "zero"),
            (13, "thirteen"),
            (21, "twenty-one"),
            (90, "ninety"),
            (100, "one hundred"),
            (999, "nine hundred ninety-nine"),
            (1_001, "one thousand one"),
            (1_234_567, "one million two hundred thirty-four thousand five hundred sixty-seven"),
            (2_000_000_000, "two billion"),
        ] {
            assert_eq!(cardinal(number), words);
        }
        assert!(cardinal(u64::MAX).starts_with("eighteen quintillion"));
    }

    #[test]
    fn numbers_that_order() {
        for (number, words) in [
            (1, "first"),
            (2, "second"),
            (3, "third"),
            (8, "eighth"),
            (12, "twelfth"),
            (20, "twentieth"),
            (21, "twenty-first"),
            (100, "one hundredth"),
            (111, "one hundred eleventh"),
        ] {
            assert_eq!(ordinal(number), words);
        }
    }

    #[test]
    fn years() {
        for (number, words) in [
            (1066, "ten sixty-six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (1984, "nineteen eighty-four"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2026, "twenty twenty-six"),
            (2100, "twenty-one hundred"),
            (476, "four hundred seventy-six"),
        ] {
            assert_eq!(year(number), words);
        }
    }
}
