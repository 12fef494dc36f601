//! What English reads by its own rules: dates, times of day, ordinals, years.

mod number;
mod tables;

pub(super) use self::tables::LEXICON;
use self::tables::MONTHS;
use super::{
    figures::{self, Clock, Day, small},
    reading::{Line, Reading, grouped_digits},
    token::Token,
};

/// Reads what English reads in its own way; nothing for anything else.
pub(super) fn read(line: Line<'_>, month_first: bool) -> Option<Reading> {
    if line.now().core.is_empty() {
        return None;
    }
    date(line, month_first)
        .or_else(|| time(line))
        .or_else(|| ordinal(line))
        .or_else(|| code(line))
        .or_else(|| year_alone(line))
        .or_else(|| numbered(line))
}

/// A date: "May third, twenty twenty-six".
pub(super) fn day_in_words(day: Day) -> String {
    let mut words = MONTHS[day.month - 1].0.to_owned();
    if let Some(day) = day.day {
        words.push(' ');
        words.push_str(&number::ordinal(day));
    }
    if let Some(year) = day.year {
        words.push_str(if day.day.is_some() { ", " } else { " " });
        words.push_str(&number::year(year));
    }
    words
}

/// A time of day: "three thirty", "fifteen thirty", "three o'clock".
pub(super) fn clock_in_words(clock: Clock, half: Option<Half>) -> String {
    let mut words = number::cardinal(clock.hour);
    match clock.minute {
        0 if half.is_some() || clock.second.is_some() => {}
        0 if (1..=12).contains(&clock.hour) => words.push_str(" o'clock"),
        0 => words.push_str(" hundred"),
        minute if minute < 10 => words.push_str(&format!(" oh {}", number::cardinal(minute))),
        minute => words.push_str(&format!(" {}", number::cardinal(minute))),
    }
    if let Some(second) = clock.second {
        words.push_str(&format!(" and {} second{}", number::cardinal(second), if second == 1 { "" } else { "s" }));
    }
    match half {
        Some(Half::Morning) => words.push_str(" ay em"),
        Some(Half::Afternoon) => words.push_str(" pee em"),
        None => {}
    }
    words
}

/// An ordinal.
pub(super) fn ordinal_in_words(number: u64) -> String {
    number::ordinal(number)
}

/// Which half of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Morning,
    Afternoon,
}

/// `am`, `a.m.`, `PM`.
pub(super) fn half_of(text: &str) -> Option<Half> {
    match text.to_ascii_lowercase().replace('.', "").as_str() {
        "am" => Some(Half::Morning),
        "pm" => Some(Half::Afternoon),
        _ => None,
    }
}

fn date(line: Line<'_>, month_first: bool) -> Option<Reading> {
    let now = line.now();
    if let Some(day) = figures::iso_day(now.core) {
        return Some(Reading::of(1, day_in_words(day)));
    }
    // 5/3/2026.
    let mut parts = now.core.split('/');
    if let (Some(first), Some(second), Some(year), None) = (parts.next(), parts.next(), parts.next(), parts.next()) {
        let in_order = if month_first { figures::day(second, first, Some(year)) } else { None };
        let day = in_order.or_else(|| figures::day(first, second, Some(year)));
        let day = day.or_else(|| figures::day(second, first, Some(year)))?;
        return Some(Reading::of(1, day_in_words(day)));
    }
    // May 3, May 3rd, 2026.
    if let Some(month) = month(now) {
        let is_apart = now.is_open() || now.tail == ".";
        let next = line.following().filter(|_| is_apart)?;
        let Some(day) = day_of(next.core) else {
            let year = small(next.core, 4..=4, 2_999).filter(|year| *year >= 1_000)?;
            return Some(Reading::of(2, day_in_words(Day { day: None, month, year: Some(year) })));
        };
        let year = line.tokens.get(line.at + 2).filter(|_| matches!(next.tail, "" | ","));
        let year = year.and_then(|year| small(year.core, 4..=4, 2_999)).filter(|year| *year >= 1_000);
        let taken = if year.is_some() { 3 } else { 2 };
        return Some(Reading::of(taken, day_in_words(Day { day: Some(day), month, year })));
    }
    // 3 May, 3rd of May 2026.
    let day = day_of(now.core)?;
    let of = usize::from(line.next(1)?.core == "of");
    let named = line.next(1 + of)?;
    let month = month(named)?;
    // "3 March" the word is a month only with its capital letter, as the table has it.
    let year = line.next(2 + of).and_then(|year| small(year.core, 4..=4, 2_999)).filter(|year| *year >= 1_000);
    let mut words = format!("the {} of {}", number::ordinal(day), MONTHS[month - 1].0);
    if line.before(1) == "the" {
        words.drain(..4);
    }
    if let Some(year) = year {
        words.push_str(&format!(", {}", number::year(year)));
    }
    Some(Reading::of(2 + of + usize::from(year.is_some()), words))
}

fn month(token: Token<'_>) -> Option<usize> {
    let is_short = |short: &str| *short == *token.core && token.core != "May";
    MONTHS.iter().position(|(full, short)| *full == token.core || is_short(short)).map(|at| at + 1)
}

/// A day of a month, with or without its ending.
fn day_of(text: &str) -> Option<u64> {
    let bare = ["st", "nd", "rd", "th"].iter().find_map(|ending| text.strip_suffix(ending)).unwrap_or(text);
    small(bare, 1..=2, 31).filter(|day| *day > 0)
}

fn time(line: Line<'_>) -> Option<Reading> {
    let now = line.now();
    // 9-5pm and 9:00-17:00.
    if let Some((from, to)) = now.core.split_once(['-', '–']) {
        let ((early, first), (late, second)) = (timed(from)?, timed(to)?);
        let is_clear = |text: &str, half: Option<Half>| half.is_some() || text.contains(':');
        if !is_clear(to, second) || !(is_clear(from, first) || second.is_some()) {
            return None;
        }
        let early = match (early.minute, first) {
            (0, None) if !from.contains(':') => number::cardinal(early.hour),
            _ => clock_in_words(early, first),
        };
        return Some(Reading::of(1, format!("{early} to {}", clock_in_words(late, second))));
    }
    let (clock, joined) = timed(now.core)?;
    if joined.is_some() {
        return Some(Reading { taken: 1, spoken: clock_in_words(clock, joined), keeps_stop: keeps_stop(line, 1) });
    }
    let apart = line.next(1).and_then(|next| half_of(next.core));
    if let Some(half) = apart.filter(|_| clock.hour <= 12) {
        return Some(Reading { taken: 2, spoken: clock_in_words(clock, Some(half)), keeps_stop: keeps_stop(line, 2) });
    }
    // An hour alone is a number.
    now.core.contains(':').then(|| Reading::of(1, clock_in_words(clock, None)))
}

/// The stop of "a.m." ends a sentence where nothing or a capital letter follows.
fn keeps_stop(line: Line<'_>, taken: usize) -> bool {
    let next = line.tokens.get(line.at + taken);
    next.is_none_or(|next| next.core.chars().next().is_some_and(char::is_uppercase))
}

/// An hour with or without minutes, and which half of the day is written at its end.
fn timed(text: &str) -> Option<(Clock, Option<Half>)> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (figures, letters) = text.split_at(at);
    let half = if letters.is_empty() { None } else { Some(half_of(letters)?) };
    let clock = figures::clock(figures, ':')
        .or_else(|| Some(Clock { hour: small(figures, 1..=2, 24)?, minute: 0, second: None }))?;
    Some((clock, half))
}

fn ordinal(line: Line<'_>) -> Option<Reading> {
    let core = line.now().core;
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|ending| core.strip_suffix(ending))?;
    Some(Reading::of(1, number::ordinal(small(&digits.replace(',', ""), 1..=9, 999_999_999)?)))
}

/// A row of digits after a word that says it is a code: digit by digit.
fn code(line: Line<'_>) -> Option<Reading> {
    const CODES: [&str; 17] = [
        "pin",
        "code",
        "number",
        "no",
        "extension",
        "ext",
        "room",
        "suite",
        "flight",
        "apartment",
        "apt",
        "dial",
        "account",
        "zip",
        "reference",
        "ticket",
        "order",
    ];
    let core = line.now().core;
    let is_code = figures::is_digits(core) && core.len() >= 3 && line.follows(&CODES);
    is_code.then(|| Reading::of(1, grouped_digits(core, &LEXICON)))
}

/// A year after a word that says it is one, and decades.
fn year_alone(line: Line<'_>) -> Option<Reading> {
    const BEFORE: [&str; 15] = [
        "in", "since", "of", "by", "until", "from", "year", "late", "early", "before", "after", "spring", "summer",
        "fall", "winter",
    ];
    let core = line.now().core;
    if let Some(decade) = core.strip_suffix('s').and_then(|year| small(year, 4..=4, 2_090)) {
        let is_decade = decade >= 1_100 && decade.is_multiple_of(10) && !decade.is_multiple_of(100);
        let tens = number::cardinal(decade % 100);
        let plural = format!("{}ies", tens.strip_suffix('y')?);
        return is_decade.then(|| Reading::of(1, format!("{} {plural}", number::cardinal(decade / 100))));
    }
    let year = small(core, 4..=4, 2_099).filter(|year| *year >= 1_100)?;
    BEFORE.contains(&line.before(1).as_str()).then(|| Reading::of(1, number::year(year)))
}

/// #5.
fn numbered(line: Line<'_>) -> Option<Reading> {
    let digits = line.now().core.strip_prefix('#').filter(|digits| figures::is_digits(digits) && digits.len() <= 15)?;
    let number = super::reading::figure(digits, &LEXICON)?;
    Some(Reading::of(1, format!("number {number}")))
}

#[cfg(test)]
mod tests {
    use crate::{text::read, voice::Language};

    #[test]
    fn english_is_read_as_people_say_it() {
        let rows = include_str!("../../tests/data/read_en.tsv").lines().filter(|line| !line.is_empty());
        let wrong: Vec<_> = rows
            .map(|row| row.split_once('\t').expect("two columns"))
            .filter(|(written, spoken)| read(written, Language::ENGLISH_US) != *spoken)
            .map(|(written, spoken)| (read(written, Language::ENGLISH_US), spoken))
            .collect();
        assert!(wrong.is_empty(), "said, and to be said: {wrong:#?}");
    }

    #[test]
    fn the_day_comes_first_in_britain() {
        let british = Language::nearest("en-GB").expect("it is spoken").0;
        assert_eq!(read("05/03/2026", british), "March fifth, twenty twenty-six");
        assert_eq!(read("05/03/2026", Language::ENGLISH_US), "May third, twenty twenty-six");
        assert_eq!(read("12/25/2026", british), "December twenty-fifth, twenty twenty-six");
    }
}
