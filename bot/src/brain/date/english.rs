//! How English names days.

use jiff::civil::{Date, Weekday};

use super::{
    super::{number, tokens::Stop},
    Calendar, Force, Named, Part, Period, Preposition, Text, Unit,
};

/// The day named at `at`, without the preposition before it.
pub(super) fn at(text: &Text, at: usize) -> Option<Named> {
    let named = past(text, at)
        .or_else(|| end_of_day(text, at))
        .or_else(|| day(text, at))
        .or_else(|| part(text, at))
        .or_else(|| ahead(text, at))
        .or_else(|| period(text, at))
        .or_else(|| clock_then_day(text, at))?;
    Some(Named { end: time_of_day(text, named.end), ..named })
}

/// Where the preposition before the day at `at` begins, at the earliest at `from`, and what it makes of it.
pub(super) fn preposition(text: &Text, at: usize, from: usize) -> (usize, Preposition) {
    let mut start = at;
    if start > from && text.is(start - 1, &["the", "this", "sometime"]) {
        start -= 1;
    }
    text.preposition(start, from, PREPOSITIONS, NOT_DUE)
}

pub(super) fn weekday(word: &str) -> Option<Weekday> {
    super::weekday_among(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], word)
}

pub(super) fn month(word: &str) -> Option<i8> {
    super::month_among(
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ],
        word,
    )
}

/// "yesterday", "last week", "two days ago"; and habits ("on Fridays"), which are no day either.
fn past(text: &Text, at: usize) -> Option<Named> {
    let word = text.word(at);
    if word == "yesterday"
        || word.strip_suffix('s').and_then(weekday).is_some()
        || word.strip_suffix("'s").and_then(weekday).is_some()
    {
        return Named::not_due(at + 1);
    }
    if text.is(at, &["last", "past", "previous"]) {
        let next = text.word(at + 1);
        let time = weekday(next).is_some() || month(next).is_some() || PAST_PERIODS.contains(&next);
        return if time { Named::not_due(at + 2) } else { None };
    }
    let (_, end) = count(text, at)?;
    unit(text, end)?;
    (text.word(end + 1) == "ago").then(|| Named::not_due(end + 2))?
}

/// "end of day", "EOD tomorrow", "close of business on Friday".
fn end_of_day(text: &Text, at: usize) -> Option<Named> {
    let end = text.skip(
        at,
        &["end of the day", "end of day", "end of business", "close of business", "end of play", "eod", "cob"],
    );
    if end == at {
        return None;
    }
    let next = text.skip(end, &["on the", "on", "of"]);
    match day(text, next) {
        Some(named) => Some(named),
        None => Named::day(end, Some(text.calendar.today)),
    }
}

/// One particular day.
fn day(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    match text.word(at) {
        "today" | "tonight" => return Named::day(at + 1, Some(calendar.today)),
        "tomorrow" => return Named::day(at + 1, super::plus_days(calendar.today, 1)),
        "this" if text.is(at + 1, &["morning", "afternoon", "evening"]) => {
            return Named::day(at + 2, Some(calendar.today));
        }
        "later" if text.word(at + 1) == "today" => return Named::day(at + 2, Some(calendar.today)),
        "noon" | "midday" | "lunchtime" | "midnight" | "lunch" => return Named::if_due(at + 1, Some(calendar.today)),
        _ => {}
    }
    if let Some(end) = text.phrase(at, "day after tomorrow") {
        return Named::day(end, super::plus_days(calendar.today, 2));
    }
    if let Some(date) = calendar.written(text.word(at)) {
        let sure = text.word(at).contains(['-', '/']);
        return if sure { Named::day(at + 1, Some(date)) } else { Named::if_due(at + 1, Some(date)) };
    }
    feast(text, at).or_else(|| on_weekday(text, at)).or_else(|| of_month(text, at)).or_else(|| bare_ordinal(text, at))
}

/// "Friday", "next Friday", "Friday next week", "Monday the 15th", "Friday in two weeks".
fn on_weekday(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    let adjective = text.skip(at, &["this coming", "this", "coming", "upcoming", "next", "following"]);
    let name = weekday(text.word(adjective))?;
    let end = adjective + 1;
    let adjective = text.word(adjective.saturating_sub(usize::from(adjective > at)));
    let after = text.skip(end, &["the", "on the", "on"]);
    if let Some(named) = of_month(text, after).or_else(|| bare_ordinal(text, after)) {
        return Some(named);
    }
    if let Some(after) = week_ahead(text, end) {
        return Named::day(after.0, calendar.in_week(after.1, name));
    }
    if let Some((count, after)) = text.phrase(end, "in").and_then(|next| count(text, next))
        && unit(text, after).is_some_and(|(unit, _)| unit == Unit::Weeks)
    {
        return Named::day(after + 1, calendar.in_week(i32::try_from(count.min(1000)).ok()?, name));
    }
    let date = match adjective {
        "next" | "following" => calendar.in_week(1, name),
        "coming" | "upcoming" => calendar.next_after_today(name),
        _ => calendar.next(name),
    };
    Named::day(end, date)
}

/// "next week", "of next week", "the week after next": where it ends and how many weeks it is ahead.
fn week_ahead(text: &Text, at: usize) -> Option<(usize, i32)> {
    let at = text.skip(at, &["of the", "of", "in the", "the"]);
    let (end, ahead) = [
        ("week after next", 2),
        ("following week", 1),
        ("next week", 1),
        ("coming week", 1),
        ("this week", 0),
        ("this coming week", 1),
    ]
    .into_iter()
    .find_map(|(phrase, ahead)| Some((text.phrase(at, phrase)?, ahead)))?;
    Some((end, ahead))
}

/// "March 3rd", "March third 2027", "3rd of March", "3 March".
fn of_month(text: &Text, at: usize) -> Option<Named> {
    let ordinal = |at| number::english_ordinal(text.rest(at)).or_else(|| number::english_cardinal(text.rest(at)));
    let (month, day, end) = if let Some(month) = month(text.word(at)) {
        let next = text.skip(at + 1, &["the"]);
        let (day, taken) = ordinal(next).filter(|(day, _)| (1..=31).contains(day))?;
        (month, day, next + taken)
    } else {
        let (day, taken) = ordinal(at)?;
        let next = text.skip(at + taken, &["day of", "of"]);
        (month(text.word(next))?, day, next + 1)
    };
    let year = text.year(end);
    Named::day(end + usize::from(year.is_some()), text.calendar.month_day(month, day, year))
}

/// "the 15th", where no noun follows ("the third point").
fn bare_ordinal(text: &Text, at: usize) -> Option<Named> {
    let (day, taken) = number::english_ordinal(text.rest(at)).filter(|(day, _)| (1..=31).contains(day))?;
    let end = at + taken;
    let after_article = at > 0 && text.word(at - 1) == "the";
    let ends = text.tokens[end - 1].stop > Stop::None || end == text.words.len() || text.is(end, AFTER_ORDINAL);
    if !after_article || !ends {
        return None;
    }
    if let Some(end) = text.phrase(end, "of next month") {
        let month = text.calendar.today.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
        return Named::day(end, Date::new(month.year(), month.month(), i8::try_from(day).ok()?).ok());
    }
    let end = text.skip(end, &["of this month", "of the month"]);
    Named::if_due(end, text.calendar.day_of_month(day))
}

/// "end of the month", "early next week", "mid-March", "weekend".
fn part(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    if let Some(end) = ["weekend", "next weekend", "this weekend"].iter().find_map(|phrase| text.phrase(at, phrase)) {
        let ahead = i32::from(text.word(at) == "next");
        let before =
            at > 0 && text.is(at - 1 - usize::from(at > 1 && text.word(at - 1) == "the"), &["by", "before", "until"]);
        return Named::day(end, calendar.in_week(ahead, if before { Weekday::Friday } else { Weekday::Sunday }));
    }
    let (part, end) = match text.word(at) {
        "end" | "late" | "later" => (Part::End, at + 1),
        "beginning" | "start" | "early" => (Part::Beginning, at + 1),
        "middle" | "mid" => (Part::Middle, at + 1),
        word => {
            let month = month(word.strip_prefix("mid-")?)?;
            return Named::day(at + 1, calendar.part_of_named_month(Part::Middle, month, None));
        }
    };
    let next = text.skip(end, &["of the", "of", "in the", "in"]);
    if let Some((_, after)) = calendar_week(text, next) {
        return Named::day(after.0, calendar.calendar_week(after.1, part.weekday()));
    }
    if let Some(month) = month(text.word(next)) {
        let year = text.year(next + 1);
        return Named::day(next + 1 + usize::from(year.is_some()), calendar.part_of_named_month(part, month, year));
    }
    if let Some((quarter, end)) = quarter(text, next) {
        return Named::day(end, calendar.end_of_quarter(quarter));
    }
    let (ahead, next) = match text.word(next) {
        "next" | "following" | "coming" => (1, next + 1),
        "this" | "the" | "current" => (0, next + 1),
        _ if next > end => (0, next),
        _ => return None,
    };
    let period = period_named(text.word(next))?;
    if let Some(end) = text.phrase(next, "week after next") {
        return Named::day(end, calendar.part(part, Period::Week, 2));
    }
    Named::day(next + 1, calendar.part(part, period, ahead))
}

/// "in two weeks", "within three days", "a week from Friday", "two weeks from now".
fn ahead(text: &Text, at: usize) -> Option<Named> {
    let leading = text.skip(at, &["within the next", "over the next", "in the next", "within", "in"]);
    let (count, end) = count(text, leading)?;
    let (unit, end) = unit(text, end)?;
    if let Some(from) = text.phrase(end, "from") {
        let (from, end) = match text.word(from) {
            "now" => (Some(text.calendar.today), from + 1),
            _ => day(text, from).map(|named| (named.date, named.end))?,
        };
        return Named::day(end, Calendar::after(from?, count, unit));
    }
    let end = text.skip(end, &["time"]);
    (leading > at).then(|| Named::day(end, Calendar::after(text.calendar.today, count, unit)))?
}

/// "next week", "next week Tuesday", "this month", "week 12", "by March", "Q3".
fn period(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    if let Some((_, (end, week))) = calendar_week(text, at) {
        let next = text.skip(end, &["on"]);
        return match weekday(text.word(next)) {
            Some(weekday) => Named::day(next + 1, calendar.calendar_week(week, weekday)),
            None => Named::day(end, calendar.calendar_week(week, Weekday::Friday)),
        };
    }
    if let Some((end, ahead)) = week_ahead(text, at) {
        let next = text.skip(end, &["on"]);
        return match weekday(text.word(next)) {
            Some(weekday) => Named::day(next + 1, calendar.in_week(ahead, weekday)),
            None => Named::day(end, calendar.part(Part::End, Period::Week, ahead)),
        };
    }
    let ahead = match text.word(at) {
        "next" | "following" | "coming" => Some(1),
        "this" => Some(0),
        _ => None,
    };
    if let (Some(ahead), Some(period)) = (ahead, period_named(text.word(at + 1))) {
        return Named::day(at + 2, calendar.part(Part::End, period, ahead));
    }
    if ahead == Some(1)
        && let Some(month) = month(text.word(at + 1))
    {
        return Named::day(at + 2, calendar.part_of_named_month(Part::End, month, None));
    }
    if let Some((quarter, end)) = quarter(text, at) {
        return Named::if_due(end, calendar.end_of_quarter(quarter));
    }
    let month = month(text.word(at))?;
    let year = text.year(at + 1);
    Named::if_due(at + 1 + usize::from(year.is_some()), calendar.part_of_named_month(Part::End, month, year))
}

/// "week 12", "calendar week twelve": where its words begin, and where they end with which week.
fn calendar_week(text: &Text, at: usize) -> Option<(usize, (usize, u32))> {
    let number = text.skip(at, &["calendar week", "week number", "week", "cw", "kw"]);
    if number == at {
        return None;
    }
    let (week, taken) = number::english_cardinal(text.rest(number)).filter(|(week, _)| (1..=53).contains(week))?;
    Some((at, (number + taken, week)))
}

/// "Q3", "the third quarter".
fn quarter(text: &Text, at: usize) -> Option<(u32, usize)> {
    if let Some(quarter) = text.word(at).strip_prefix('q').and_then(|digits| digits.parse().ok()) {
        return Some((quarter, at + 1));
    }
    let at = text.skip(at, &["the"]);
    let (quarter, taken) = number::english_ordinal(text.rest(at))?;
    (text.word(at + taken) == "quarter").then_some((quarter, at + taken + 1))
}

fn feast(text: &Text, at: usize) -> Option<Named> {
    let (end, month, day) = [
        ("christmas eve", 12, 24),
        ("christmas", 12, 25),
        ("new year's eve", 12, 31),
        ("new year's", 1, 1),
        ("new year", 1, 1),
    ]
    .into_iter()
    .find_map(|(phrase, month, day)| Some((text.phrase(at, phrase)?, month, day)))?;
    Named::if_due(end, text.calendar.month_day(month, day, None))
}

/// "5 pm", "five o'clock", "noon tomorrow": the day that follows, else today.
fn clock_then_day(text: &Text, at: usize) -> Option<Named> {
    let end = clock(text, at)?;
    let next = text.skip(end, &["on the", "on"]);
    match day(text, next) {
        Some(named) => Some(named),
        None => Named::if_due(end, Some(text.calendar.today)),
    }
}

fn clock(text: &Text, at: usize) -> Option<usize> {
    let word = text.word(at);
    let glued = ["am", "pm"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
    let with_minutes = glued.split_once(':').is_some_and(|(hours, minutes)| {
        hours.parse::<u32>().is_ok_and(|hours| hours < 24) && minutes.len() == 2 && minutes.parse::<u32>().is_ok()
    });
    if with_minutes {
        return Some(text.skip(at + 1, MERIDIEMS));
    }
    if glued.len() < word.len() && glued.parse::<u32>().is_ok_and(|hours| hours <= 12) {
        return Some(at + 1);
    }
    let (hours, taken) = number::english_cardinal(text.rest(at))?;
    let end = text.skip(at + taken, &["thirty", "fifteen", "forty five", "30", "15", "45"]);
    let named = text.skip(end, MERIDIEMS);
    let at_the_end = text.tokens.get(end - 1).is_some_and(|token| token.stop > Stop::None) || end == text.words.len();
    let by = at > 0 && text.is(at - 1, &["by", "before", "until"]);
    (hours <= 24 && (named > end || (by && at_the_end && hours <= 12))).then_some(named)
}

/// "tomorrow morning", "Friday at noon", "Monday by 5 pm", "Friday at the latest".
fn time_of_day(text: &Text, end: usize) -> usize {
    let mut end = text.skip(
        end,
        &[
            "morning",
            "afternoon",
            "evening",
            "night",
            "noon",
            "at noon",
            "at lunchtime",
            "eod",
            "end of day",
            "close of business",
        ],
    );
    let at = text.skip(end, &["at", "by", "before", "around"]);
    if at > end
        && let Some(after) = clock(text, at)
    {
        end = after;
    }
    text.skip(end, &["at the latest", "at the very latest", "latest"])
}

fn count(text: &Text, at: usize) -> Option<(u32, usize)> {
    for (phrase, count) in [("a couple of", 2), ("a couple", 2), ("a few", 3), ("a", 1), ("an", 1), ("the next few", 3)]
    {
        if let Some(end) = text.phrase(at, phrase) {
            return Some((count, end));
        }
    }
    number::english_cardinal(text.rest(at)).map(|(count, taken)| (count, at + taken))
}

fn unit(text: &Text, at: usize) -> Option<(Unit, usize)> {
    if text.is(at, &["business", "working"]) && text.is(at + 1, &["day", "days"]) {
        return Some((Unit::WorkingDays, at + 2));
    }
    let unit = match text.word(at) {
        "minute" | "minutes" | "hour" | "hours" => Unit::Hours,
        "day" | "days" => Unit::Days,
        "week" | "weeks" | "week's" => Unit::Weeks,
        "fortnight" | "fortnights" => Unit::Fortnights,
        "month" | "months" => Unit::Months,
        "year" | "years" => Unit::Years,
        _ => return None,
    };
    Some((unit, at + 1))
}

fn period_named(word: &str) -> Option<Period> {
    Some(match word {
        "week" => Period::Week,
        "month" => Period::Month,
        "quarter" => Period::Quarter,
        "year" => Period::Year,
        _ => return None,
    })
}

/// What the words before a day make of it, longest first.
const PREPOSITIONS: &[(&str, Force)] = &[
    ("no later than", Force::Deadline),
    ("not later than", Force::Deadline),
    ("at the latest by", Force::Deadline),
    ("at the latest on", Force::Deadline),
    ("latest by", Force::Deadline),
    ("due by", Force::Deadline),
    ("due on", Force::Deadline),
    ("by", Force::Deadline),
    ("until", Force::Deadline),
    ("till", Force::Deadline),
    ("before", Force::Deadline),
    ("due", Force::Deadline),
    ("on", Force::Plain),
    ("over", Force::Plain),
    ("during", Force::Plain),
    ("in", Force::Plain),
    ("at", Force::Plain),
    ("for", Force::Attribute),
];

/// Before a day, these mean that nothing is due then.
const NOT_DUE: &[&str] = &["after", "since", "from", "of", "starting", "about", "than"];

/// What may follow "the 15th" when it is a day.
#[rustfmt::skip]
const AFTER_ORDINAL: &[&str] = &[
    "please", "and", "or", "but", "so", "at", "of", "if", "i", "we", "you", "to", "with", "for", "then", "because",
    "in", "from", "okay",
];

#[rustfmt::skip]
const PAST_PERIODS: &[&str] = &[
    "week", "month", "year", "quarter", "night", "time", "weekend", "few", "two", "evening",
];

const MERIDIEMS: &[&str] = &["am", "pm", "o'clock", "oclock", "sharp", "a m", "p m"];
