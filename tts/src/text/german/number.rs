//! German numbers in words.

const SMALL: [&str; 20] = [
    "null",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const TENS: [&str; 10] =
    ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];
const SCALES: [(u64, &str, &str); 5] = [
    (1_000_000_000_000_000_000, "eine Trillion", "Trillionen"),
    (1_000_000_000_000_000, "eine Billiarde", "Billiarden"),
    (1_000_000_000_000, "eine Billion", "Billionen"),
    (1_000_000_000, "eine Milliarde", "Milliarden"),
    (1_000_000, "eine Million", "Millionen"),
];

/// A number that counts, alone: "eins", "hunderteins".
pub(super) fn cardinal(number: u64) -> String {
    let mut words = before_noun(number);
    if words.ends_with("ein") {
        words.push('s');
    }
    words
}

/// A number before what it counts: "ein", "einundzwanzig".
pub(super) fn before_noun(mut number: u64) -> String {
    if number == 0 {
        return SMALL[0].to_owned();
    }
    let mut words = Vec::new();
    for (scale, one, many) in SCALES {
        match number / scale {
            0 => {}
            1 => words.push(one.to_owned()),
            count => words.push(format!("{} {many}", before_noun(count))),
        }
        number %= scale;
    }
    if number > 0 {
        words.push(below_million(number));
    }
    words.join(" ")
}

/// What an ordinal begins with: "dritt", to which its ending is put.
pub(super) fn ordinal_stem(number: u64) -> String {
    let last = number % 100;
    if !(1..20).contains(&last) {
        return format!("{}st", before_noun(number).replace(' ', ""));
    }
    let head = if number > last { before_noun(number - last).replace(' ', "") } else { String::new() };
    let tail = match last {
        1 => "erst".to_owned(),
        3 => "dritt".to_owned(),
        7 => "siebt".to_owned(),
        8 => "acht".to_owned(),
        _ => format!("{}t", SMALL[last as usize]),
    };
    format!("{head}{tail}")
}

/// A year: until 1999 in hundreds.
pub(super) fn year(year: u64) -> String {
    match (year / 100, year % 100) {
        (11..=19, 0) => format!("{}hundert", below_hundred(year / 100)),
        (11..=19, rest) => {
            let rest = if rest == 1 { "eins".to_owned() } else { below_hundred(rest) };
            format!("{}hundert{rest}", below_hundred(year / 100))
        }
        _ => cardinal(year),
    }
}

fn below_million(number: u64) -> String {
    let (thousands, rest) = (number / 1_000, number % 1_000);
    let mut word = String::new();
    if thousands > 0 {
        word.push_str(&below_thousand(thousands));
        word.push_str("tausend");
    }
    if rest > 0 {
        word.push_str(&below_thousand(rest));
    }
    word
}

fn below_thousand(number: u64) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    let mut word = String::new();
    if hundreds > 0 {
        word.push_str(SMALL[hundreds as usize]);
        word.push_str("hundert");
    }
    if rest > 0 {
        word.push_str(&below_hundred(rest));
    }
    word
}

fn below_hundred(number: u64) -> String {
    match (number / 10, number % 10) {
        (0 | 1, _) => SMALL[number as usize].to_owned(),
        (tens, 0) => TENS[tens as usize].to_owned(),
        (tens, ones) => format!("{}und{}", SMALL[ones as usize], TENS[tens as usize]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_count() {
        for (number, words) in [
            (0, "null"),
            (1, "eins"),
            (12, "zwölf"),
            (21, "einundzwanzig"),
            (30, "dreißig"),
            (101, "einhunderteins"),
            (999, "neunhundertneunundneunzig"),
            (1_000, "eintausend"),
            (21_000, "einundzwanzigtausend"),
            (1_000_001, "eine Million eins"),
            (2_500_000, "zwei Millionen fünfhunderttausend"),
            (1_000_000_000, "eine Milliarde"),
        ] {
            assert_eq!(cardinal(number), words);
        }
        assert_eq!(before_noun(1), "ein");
        assert!(cardinal(u64::MAX).starts_with("achtzehn Trillionen"));
    }

    #[test]
    fn numbers_that_order() {
        for (number, stem) in [
            (1, "erst"),
            (3, "dritt"),
            (7, "siebt"),
            (8, "acht"),
            (12, "zwölft"),
            (20, "zwanzigst"),
            (31, "einunddreißigst"),
            (100, "einhundertst"),
            (101, "einhunderterst"),
        ] {
            assert_eq!(ordinal_stem(number), stem);
        }
    }

    #[test]
    fn years() {
        for (number, words) in [
            (1984, "neunzehnhundertvierundachtzig"),
            (1900, "neunzehnhundert"),
            (1901, "neunzehnhunderteins"),
            (2000, "zweitausend"),
            (2026, "zweitausendsechsundzwanzig"),
            (800, "achthundert"),
        ] {
            assert_eq!(year(number), words);
        }
    }
}
