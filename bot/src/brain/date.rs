//! Dates in speech: "by Friday", "bis zum 15.", resolved against the day of the call.
//!
//! What a day is called is often ambiguous; these are the choices, the same in both languages:
//! - a weekday alone, or with "this", is the next such day, today included; "coming"/"kommenden" excludes today;
//! - "next Friday"/"nächsten Freitag" is the Friday of the week after this one (weeks begin on Monday);
//! - a week means its Friday (on a weekend, "this week" means its Sunday), its beginning the Monday, its middle
//!   the Wednesday; a calendar week too;
//! - a month, quarter or year means its last day, its beginning the first day, the middle of a month the 15th;
//! - a day without a month or a year is the next such day, today included;
//! - "before Friday" and "by Friday" are both due on Friday; a time of day alone, and any number of hours, is today;
//! - "a couple" is 2, "a few"/"ein paar" is 3; "in acht Tagen" is a week, as people mean it;
//! - 3/15 is month/day, 15.3. is day.month.
//!
//! "After", "since" and "from" a day, and days gone by, are not due dates.

mod english;
mod german;

use std::ops::Range;

use jiff::{
    ToSpan,
    civil::{Date, ISOWeekDate, Weekday},
};

use super::{Language, tokens::Token};

/// A day somebody spoke of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dated {
    /// The tokens that name it, preposition included.
    pub(super) range: Range<usize>,
    /// The day.
    pub(super) date: Date,
    /// How much it sounds like a due date.
    pub(super) force: Force,
}

/// How much a date sounds like a due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Force {
    /// "for Friday"
    Attribute,
    /// "on Friday"
    Plain,
    /// "by Friday"
    Deadline,
}

/// What the words before a day make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preposition {
    /// There are none, or they say nothing.
    None,
    /// The day is due so surely.
    Force(Force),
    /// Nothing is due then.
    NotDue,
}

/// All due dates in `tokens`, from left to right, none overlapping another.
pub(super) fn find(tokens: &[Token], language: Language, today: Date) -> Vec<Dated> {
    let words: Vec<&str> = tokens.iter().map(|token| token.norm.as_str()).collect();
    let text = Text { words: &words, tokens, calendar: Calendar { today } };
    let mut dates: Vec<Dated> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let free_from = dates.last().map_or(0, |date| date.range.end);
        let named = match language {
            Language::English => english::at(&text, at),
            Language::German => german::at(&text, at),
        };
        let Some(named) = named else {
            at += 1;
            continue;
        };
        let end = named.end.max(at + 1);
        let (start, preposition) = match language {
            Language::English => english::preposition(&text, at, free_from),
            Language::German => german::preposition(&text, at, free_from),
        };
        let force = match (preposition, named.force) {
            (Preposition::NotDue, _) => None,
            (Preposition::Force(Force::Attribute), None) => None,
            (Preposition::Force(force), _) => Some(force),
            (Preposition::None, force) => force,
        };
        if let (Some(date), Some(force)) = (named.date, force) {
            dates.push(Dated { range: start..end, date, force });
        }
        at = end;
    }
    dates
}

/// The one of `dates` inside `within` that says when something is due: the most forceful, among equals the
/// first, unless `corrected` says that the date beginning at a token replaces what was said before.
pub(super) fn choose(dates: &[Dated], within: &Range<usize>, corrected: impl Fn(usize) -> bool) -> Option<Dated> {
    let inside = |date: &&Dated| date.range.start >= within.start && date.range.end <= within.end;
    dates.iter().filter(inside).cloned().reduce(|best, next| {
        let replaces = next.force > best.force || corrected(next.range.start);
        if replaces { next } else { best }
    })
}

/// The tokens of `due`, together with the day inside `within` that it corrects ("Friday, no, Monday").
pub(super) fn with_corrected(
    dates: &[Dated],
    due: &Dated,
    within: &Range<usize>,
    corrects: impl Fn(usize) -> bool,
) -> Range<usize> {
    let wrong = dates.iter().find(|date| {
        date.range.start >= within.start
            && date.range.end <= due.range.start
            && (date.range.end..due.range.start).any(&corrects)
    });
    wrong.map_or(due.range.start, |wrong| wrong.range.start)..due.range.end
}

/// Whether `word` is the name of a month in either language.
pub(super) fn is_month(word: &str) -> bool {
    english::month(word).or_else(|| german::month(word)).is_some()
}

/// Whether `word` is the name of a month or a day of the week in either language.
pub(super) fn is_calendar_word(word: &str) -> bool {
    is_month(word) || english::weekday(word).or_else(|| german::weekday(word)).is_some()
}

/// A day named at some place: where its name ends, and the day unless it is past or no due date.
struct Named {
    end: usize,
    date: Option<Date>,
    /// How it sounds before its preposition is looked at; none where it counts only with one.
    force: Option<Force>,
}

impl Named {
    fn day(end: usize, date: Option<Date>) -> Option<Self> {
        Some(Self { end, date, force: Some(Force::Plain) })
    }

    /// Counts only when a preposition says that it is a due date.
    fn if_due(end: usize, date: Option<Date>) -> Option<Self> {
        Some(Self { end, date, force: None })
    }

    /// Read, but nothing can be due then.
    fn not_due(end: usize) -> Option<Self> {
        Some(Self { end, date: None, force: None })
    }
}

/// The words a grammar reads.
struct Text<'a> {
    words: &'a [&'a str],
    tokens: &'a [Token],
    calendar: Calendar,
}

impl Text<'_> {
    /// The word at `at`; empty past the end.
    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn is(&self, at: usize, words: &[&str]) -> bool {
        words.contains(&self.word(at))
    }

    /// Where `phrase` ends when it begins at `at`.
    fn phrase(&self, at: usize, phrase: &str) -> Option<usize> {
        let mut end = at;
        for word in phrase.split(' ') {
            if self.word(end) != word {
                return None;
            }
            end += 1;
        }
        Some(end)
    }

    /// Where the first of `phrases` that begins at `at` ends, else `at`.
    fn skip(&self, at: usize, phrases: &[&str]) -> usize {
        phrases.iter().find_map(|phrase| self.phrase(at, phrase)).unwrap_or(at)
    }

    /// The longest of `forces` or `not_due` that ends before `start`, at the earliest at `from`.
    fn preposition(
        &self,
        start: usize,
        from: usize,
        forces: &[(&str, Force)],
        not_due: &[&str],
    ) -> (usize, Preposition) {
        let begins = |phrase: &str| {
            let begin = start.checked_sub(phrase.split(' ').count()).filter(|begin| *begin >= from)?;
            self.phrase(begin, phrase).map(|_| begin)
        };
        let forced = forces.iter().find_map(|(phrase, force)| Some((begins(phrase)?, Preposition::Force(*force))));
        let excluded = || not_due.iter().find_map(|phrase| Some((begins(phrase)?, Preposition::NotDue)));
        forced.or_else(excluded).unwrap_or((start, Preposition::None))
    }

    fn rest(&self, at: usize) -> &[&str] {
        self.words.get(at..).unwrap_or_default()
    }

    /// A year in digits.
    fn year(&self, at: usize) -> Option<i16> {
        self.word(at).parse().ok().filter(|year| (2000..2100).contains(year))
    }
}

/// Days counted from the day of the call.
#[derive(Clone, Copy)]
struct Calendar {
    today: Date,
}

/// A part of a week, month, quarter or year.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Beginning,
    Middle,
    End,
}

/// A stretch of time that has a beginning and an end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Period {
    Week,
    Month,
    Quarter,
    Year,
}

/// What durations are counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Hours,
    Days,
    WorkingDays,
    Weeks,
    Fortnights,
    Months,
    Years,
}

impl Calendar {
    /// The next `weekday`, today included.
    fn next(self, weekday: Weekday) -> Option<Date> {
        plus_days(self.today, i32::from(self.today.weekday().until(weekday)))
    }

    /// The next `weekday` after today.
    fn next_after_today(self, weekday: Weekday) -> Option<Date> {
        self.next(weekday).filter(|date| *date > self.today).or_else(|| plus_days(self.today, 7))
    }

    /// `weekday` of the week that is `weeks` after this one.
    fn in_week(self, weeks: i32, weekday: Weekday) -> Option<Date> {
        let to_monday = -i32::from(self.today.weekday().to_monday_zero_offset());
        plus_days(self.today, to_monday + 7 * weeks + i32::from(weekday.to_monday_zero_offset()))
    }

    /// `after` of `unit` from `from`.
    fn after(from: Date, count: u32, unit: Unit) -> Option<Date> {
        let count = i32::try_from(count.min(1000)).ok()?;
        match unit {
            Unit::Hours => Some(from),
            Unit::Days => plus_days(from, count),
            Unit::WorkingDays => {
                let mut date = from;
                for _ in 0..count {
                    date = plus_days(date, 1)?;
                    while matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
                        date = plus_days(date, 1)?;
                    }
                }
                Some(date)
            }
            Unit::Weeks => plus_days(from, 7 * count),
            Unit::Fortnights => plus_days(from, 14 * count),
            Unit::Months => from.checked_add(count.months()).ok(),
            Unit::Years => from.checked_add(count.years()).ok(),
        }
    }

    /// `part` of the `period` that is `ahead` after the present one.
    fn part(self, part: Part, period: Period, ahead: i32) -> Option<Date> {
        match period {
            Period::Week => self.part_of_week(part, ahead),
            Period::Month => {
                Self::part_of_months(part, self.today.first_of_month().checked_add(ahead.months()).ok()?, 1)
            }
            Period::Quarter => {
                let first = (self.today.month() - 1) / 3 * 3 + 1;
                let first = Date::new(self.today.year(), first, 1).ok()?.checked_add((3 * ahead).months()).ok()?;
                Self::part_of_months(part, first, 3)
            }
            Period::Year => {
                let first = self.today.first_of_year().checked_add(ahead.years()).ok()?;
                Self::part_of_months(part, first, 12)
            }
        }
    }

    fn part_of_week(self, part: Part, ahead: i32) -> Option<Date> {
        let day = self.in_week(ahead, part.weekday())?;
        if day >= self.today || part != Part::End {
            return Some(day.max(self.today));
        }
        self.in_week(ahead, Weekday::Sunday)
    }

    fn part_of_months(part: Part, first: Date, months: i32) -> Option<Date> {
        let end = || first.checked_add(months.months()).ok().and_then(|after| after.yesterday().ok());
        match (part, months) {
            (Part::Beginning, _) => Some(first),
            (Part::Middle, 1) => Date::new(first.year(), first.month(), 15).ok(),
            (Part::Middle, _) => first.checked_add((months / 2).months()).ok().map(Date::last_of_month),
            (Part::End, _) => end(),
        }
    }

    /// `part` of the named month that is not over yet, or of `year`.
    fn part_of_named_month(self, part: Part, month: i8, year: Option<i16>) -> Option<Date> {
        let this_year = year.unwrap_or_else(|| self.today.year());
        let day = Self::part_of_months(part, Date::new(this_year, month, 1).ok()?, 1)?;
        if day >= self.today || year.is_some() {
            return Some(day);
        }
        Self::part_of_months(part, Date::new(this_year.checked_add(1)?, month, 1).ok()?, 1)
    }

    /// The end of quarter `quarter` that is not over yet.
    fn end_of_quarter(self, quarter: u32) -> Option<Date> {
        let month = i8::try_from(3 * quarter).ok().filter(|month| (3..=12).contains(month))?;
        self.part_of_named_month(Part::End, month, None)
    }

    /// The next `day` of `month`, today included, or the one of `year`.
    fn month_day(self, month: i8, day: u32, year: Option<i16>) -> Option<Date> {
        let day = i8::try_from(day).ok()?;
        if let Some(year) = year {
            return Date::new(year, month, day).ok();
        }
        // Eight years reach over the one gap between leap days.
        (0..=8).find_map(|ahead| {
            let year = self.today.year().checked_add(ahead)?;
            Date::new(year, month, day).ok().filter(|date| *date >= self.today)
        })
    }

    /// The next `day`th of any month, today included.
    fn day_of_month(self, day: u32) -> Option<Date> {
        let day = i8::try_from(day).ok()?;
        (0..=2).find_map(|ahead| {
            let month = self.today.first_of_month().checked_add(ahead.months()).ok()?;
            Date::new(month.year(), month.month(), day).ok().filter(|date| *date >= self.today)
        })
    }

    /// `weekday` of ISO week `week`, in this year unless that is past.
    fn calendar_week(self, week: u32, weekday: Weekday) -> Option<Date> {
        let week = i8::try_from(week).ok()?;
        let year = self.today.iso_week_date().year();
        (0..=1).find_map(|ahead| {
            let date = ISOWeekDate::new(year.checked_add(ahead)?, week, weekday).ok()?.date();
            (date >= self.today).then_some(date)
        })
    }

    /// A day written as `2026-03-15`, `3/15`, `3/15/2027`, `15.3`, `15.03.2027` or `15.3.27`.
    fn written(self, word: &str) -> Option<Date> {
        let numbers = |separator: char| -> Option<Vec<u32>> {
            let parts: Vec<&str> = word.split(separator).collect();
            if parts.len() < 2 || parts.iter().any(|part| part.is_empty() || part.len() > 4) {
                return None;
            }
            parts.into_iter().map(|part| part.parse().ok()).collect()
        };
        let day = |month: u32, day: u32, year: Option<u32>| {
            let year = match year {
                Some(year) => Some(i16::try_from(if year < 100 { 2000 + year } else { year }).ok()?),
                None => None,
            };
            self.month_day(i8::try_from(month).ok()?, day, year)
        };
        match (numbers('-').as_deref(), numbers('/').as_deref(), numbers('.').as_deref()) {
            (Some(&[y, m, d]), ..) if y >= 2000 => day(m, d, Some(y)),
            (_, Some(&[m, d]), _) | (.., Some(&[d, m])) => day(m, d, None),
            (_, Some(&[m, d, y]), _) | (.., Some(&[d, m, y])) => day(m, d, Some(y)),
            _ => None,
        }
    }
}

impl Part {
    /// The day of a week that stands for it.
    fn weekday(self) -> Weekday {
        match self {
            Self::Beginning => Weekday::Monday,
            Self::Middle => Weekday::Wednesday,
            Self::End => Weekday::Friday,
        }
    }
}

fn plus_days(date: Date, days: i32) -> Option<Date> {
    date.checked_add(days.days()).ok()
}

/// The day of the week that `names` (from Monday) gives the name `word`.
fn weekday_among(names: [&str; 7], word: &str) -> Option<Weekday> {
    let at = names.iter().position(|name| *name == word)?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

/// The number from 1 of the month that `names` (from January) gives the name `word`.
fn month_among(names: [&str; 12], word: &str) -> Option<i8> {
    names.iter().position(|name| *name == word).and_then(|at| i8::try_from(at + 1).ok())
}
