//! Figures: what a row of digits and signs is, before any language says it.

use super::lexicon::Lexicon;

/// The longest number that is read as one; a longer one is a code, read digit by digit.
const DIGITS_MAX: usize = 15;

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    pub(super) is_negative: bool,
    pub(super) whole: u64,
    /// The digits after the point.
    pub(super) fraction: &'a str,
}

/// `text` as a number of the language: digits, with thousands in groups of three, with a fraction.
pub(super) fn number<'a>(text: &'a str, lexicon: &Lexicon) -> Option<Number<'a>> {
    let (is_negative, text) = match text.strip_prefix(['-', '−', '–']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.split_once(lexicon.decimal) {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let whole = ungrouped(whole, lexicon.group)?;
    if fraction.len() > DIGITS_MAX || whole.len() > DIGITS_MAX || is_code(&whole) {
        return None;
    }
    Some(Number { is_negative, whole: whole.parse().ok()?, fraction })
}

/// The number in words.
pub(super) fn spoken(number: Number<'_>, lexicon: &Lexicon) -> String {
    let mut words = String::new();
    if number.is_negative {
        words.push_str(lexicon.minus);
        words.push(' ');
    }
    words.push_str(&(lexicon.cardinal)(number.whole));
    if !number.fraction.is_empty() {
        words.push(' ');
        words.push_str(lexicon.point);
        words.push(' ');
        words.push_str(&digit_by_digit(number.fraction, lexicon));
    }
    words
}

/// Each digit of `text` as a word; whatever is no digit is left out.
pub(super) fn digit_by_digit(text: &str, lexicon: &Lexicon) -> String {
    let words: Vec<_> = text.chars().filter_map(|c| c.to_digit(10)).map(|d| lexicon.digits[d as usize]).collect();
    words.join(" ")
}

/// Whether `text` is digits and nothing else.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A short row of digits as a number.
pub(super) fn small(text: &str, digits: std::ops::RangeInclusive<usize>, max: u64) -> Option<u64> {
    if !is_digits(text) || !digits.contains(&text.len()) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= max)
}

/// A row that begins with a zero is no number but a code.
pub(super) fn is_code(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

fn ungrouped(text: &str, group: char) -> Option<String> {
    if is_digits(text) {
        return Some(text.to_owned());
    }
    let mut groups = text.split(group);
    let first = groups.next().filter(|first| is_digits(first) && first.len() <= 3)?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !is_digits(group) {
            return None;
        }
        digits.push_str(group);
        if digits.len() > DIGITS_MAX {
            return None;
        }
    }
    Some(digits)
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: Option<u64>,
}

/// `14:30` or `14:30:05`, with `separator`.
pub(super) fn clock(text: &str, separator: char) -> Option<Clock> {
    let mut parts = text.split(separator);
    let hour = small(parts.next()?, 1..=2, 24)?;
    let minute = small(parts.next()?, 2..=2, 59)?;
    let second = match parts.next() {
        Some(part) => Some(small(part, 2..=2, 59)?),
        None => None,
    };
    parts.next().is_none().then_some(Clock { hour, minute, second })
}

/// A day of the calendar, with what of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) day: Option<u64>,
    /// 1 to 12.
    pub(super) month: usize,
    pub(super) year: Option<u64>,
}

/// The three parts of a date in figures, in this order.
pub(super) fn day(day: &str, month: &str, year: Option<&str>) -> Option<Day> {
    let month = small(month, 1..=2, 12).filter(|month| *month > 0)?;
    let day = small(day, 1..=2, 31).filter(|day| *day > 0)?;
    let year = match year {
        Some(year) => Some(year_of(year)?),
        None => None,
    };
    Some(Day { day: Some(day), month: month as usize, year })
}

/// A year in four digits, or in two, of which the later half is the century before.
pub(super) fn year_of(text: &str) -> Option<u64> {
    match (text.len(), small(text, 2..=4, 9_999)?) {
        (4, year) if year > 0 => Some(year),
        (2, year) => Some(if year < 70 { 2_000 + year } else { 1_900 + year }),
        _ => None,
    }
}

/// `2026-05-03`.
pub(super) fn iso_day(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let (year, month, date) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    day(date, month, Some(year))
}
