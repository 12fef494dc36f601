//! Text whose kind is known.

use super::{
    address, english,
    figures::{self, Day, day, is_digits, small, year_of},
    german, lexicon_of, phone, quantity,
    reading::{figure, grouped_digits},
};
use crate::{
    utterance::{DateOrder, SayAs},
    voice::{Language, Rules},
};

/// `text` read as `kind`; what is not of that kind is read as any text.
pub(super) fn read(kind: SayAs, text: &str, language: Language) -> String {
    let text = text.trim();
    let rules = language.rules();
    let Some(lexicon) = lexicon_of(rules) else {
        return match kind {
            // The voice reads one sign at a time by its own rules.
            SayAs::Digits | SayAs::Characters | SayAs::Telephone => {
                let signs: Vec<_> = text.chars().filter(|c| c.is_alphanumeric()).map(String::from).collect();
                signs.join(", ")
            }
            SayAs::Expletive => String::new(),
            _ => super::read(text, language),
        };
    };
    let known = match kind {
        SayAs::Cardinal => figure(text, lexicon),
        SayAs::Ordinal => ordinal(text, rules),
        SayAs::Digits => {
            let has_other =
                text.chars().any(|c| !c.is_ascii_digit() && !c.is_whitespace() && !c.is_ascii_punctuation());
            (!has_other && text.contains(|c: char| c.is_ascii_digit())).then(|| {
                let groups: Vec<_> =
                    text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
                groups.iter().map(|group| grouped_digits(group, lexicon)).collect::<Vec<_>>().join(", ")
            })
        }
        SayAs::Characters => {
            let names = text.chars().filter(|c| !c.is_whitespace());
            Some(
                names
                    .map(|c| lexicon.name(c).map_or_else(|| c.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(", "),
            )
        }
        SayAs::Telephone => text.contains(|c: char| c.is_ascii_digit()).then(|| phone::told_plainly(text, lexicon)),
        SayAs::Date(order) => date(text, order, rules),
        SayAs::Time => time(text, rules),
        SayAs::Currency => quantity::sum_of(text, lexicon),
        SayAs::Unit => quantity::measure_of(text, lexicon),
        SayAs::Email => (!text.contains(char::is_whitespace)).then(|| address::told(&text.to_lowercase(), lexicon)),
        SayAs::Fraction | SayAs::Address => None,
        SayAs::Expletive => Some(String::new()),
    };
    known.unwrap_or_else(|| super::read(text, language))
}

fn ordinal(text: &str, rules: Rules) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number = small(digits, 1..=9, 999_999_999)?;
    match rules {
        Rules::German => Some(german::ordinal_in_words(number)),
        Rules::English { .. } => Some(english::ordinal_in_words(number)),
        Rules::Own => None,
    }
}

fn date(text: &str, order: DateOrder, rules: Rules) -> Option<String> {
    let day = figures::iso_day(text).or_else(|| in_order(text, order, rules))?;
    match rules {
        Rules::German => Some(german::day_in_words(day, "er")),
        Rules::English { .. } => Some(english::day_in_words(day)),
        Rules::Own => None,
    }
}

fn in_order(text: &str, order: DateOrder, rules: Rules) -> Option<Day> {
    let compact = is_digits(text) && text.len() == 8;
    // 20260503
    if compact {
        return day(&text[6..], &text[4..6], Some(&text[..4]));
    }
    let parts: Vec<&str> = text.split(['.', '/', '-', ' ']).filter(|part| !part.is_empty()).collect();
    let month_first = match (order, rules) {
        (DateOrder::MonthFirst, _) | (DateOrder::OfLanguage, Rules::English { month_first: true }) => true,
        (DateOrder::OfLanguage | DateOrder::DayFirst | DateOrder::YearFirst, _) => false,
    };
    match parts.as_slice() {
        [year, month, date] if order == DateOrder::YearFirst || year.len() == 4 => day(date, month, Some(year)),
        [month, date, year] if month_first => day(date, month, Some(year)),
        [date, month, year] => day(date, month, Some(year)),
        [month, year] if year.len() == 4 => {
            let month = small(month, 1..=2, 12).filter(|month| *month > 0)?;
            Some(Day { day: None, month: month as usize, year: Some(year_of(year)?) })
        }
        [month, date] if month_first => day(date, month, None),
        [date, month] => day(date, month, None),
        _ => None,
    }
}

fn time(text: &str, rules: Rules) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
    let (figures, letters) = (lower[..at].trim(), lower[at..].trim());
    let clock = figures::clock(figures, ':').or_else(|| figures::clock(figures, '.')).or_else(|| {
        let hour = small(figures, 1..=2, 24).filter(|_| !letters.is_empty())?;
        Some(figures::Clock { hour, minute: 0, second: None })
    })?;
    match rules {
        Rules::German => matches!(letters, "" | "uhr" | "h").then(|| german::clock_in_words(clock)),
        Rules::English { .. } if letters.is_empty() => Some(english::clock_in_words(clock, None)),
        Rules::English { .. } => Some(english::clock_in_words(clock, Some(english::half_of(letters)?))),
        Rules::Own => None,
    }
}
