//! How German names days.

use jiff::civil::{Date, Weekday};

use super::{
    super::{number, tokens::Stop},
    Calendar, Force, Named, Part, Period, Preposition, Text, Unit,
};

/// The day named at `at`, without the preposition before it.
pub(super) fn at(text: &Text, at: usize) -> Option<Named> {
    let named = past(text, at)
        .or_else(|| day(text, at))
        .or_else(|| part(text, at))
        .or_else(|| ahead(text, at))
        .or_else(|| period(text, at))
        .or_else(|| clock_then_day(text, at))?;
    Some(Named { end: time_of_day(text, named.end), ..named })
}

/// Where the preposition before the day at `at` begins, at the earliest at `from`, and what it makes of it.
pub(super) fn preposition(text: &Text, at: usize, from: usize) -> (usize, Preposition) {
    text.preposition(at, from, PREPOSITIONS, NOT_DUE)
}

pub(super) fn weekday(word: &str) -> Option<Weekday> {
    if word == "sonnabend" {
        return Some(Weekday::Saturday);
    }
    super::weekday_among(["montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"], word)
}

pub(super) fn month(word: &str) -> Option<i8> {
    match word {
        "jänner" => Some(1),
        "juno" => Some(6),
        _ => super::month_among(
            [
                "januar",
                "februar",
                "märz",
                "april",
                "mai",
                "juni",
                "juli",
                "august",
                "september",
                "oktober",
                "november",
                "dezember",
            ],
            word,
        ),
    }
}

/// "Freitag", "Freitagabend", "freitagfrüh".
fn weekday_with_time(word: &str) -> Option<Weekday> {
    weekday(word).or_else(|| TIMES_OF_DAY.iter().find_map(|time| weekday(word.strip_suffix(time)?)))
}

/// "gestern", "letzte Woche", "vor zwei Tagen"; and habits ("freitags"), which are no day either.
fn past(text: &Text, at: usize) -> Option<Named> {
    let word = text.word(at);
    if ["gestern", "vorgestern", "vorhin"].contains(&word) || word.strip_suffix('s').and_then(weekday).is_some() {
        return Named::not_due(at + 1);
    }
    if let Some(stem) = inflected(word, &["letzt", "vergangen", "vorig"]) {
        let next = text.word(at + 1);
        let time = weekday_with_time(next).is_some() || month(next).is_some() || PAST_PERIODS.contains(&next);
        return if time && !stem.is_empty() { Named::not_due(at + 2) } else { None };
    }
    if word == "vor" {
        let (_, end) = count(text, at + 1)?;
        unit(text.word(end))?;
        return Named::not_due(end + 1);
    }
    None
}

/// One particular day.
fn day(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    match text.word(at) {
        "heute" => return relative(text, at + 1, calendar.today),
        "morgen" if is_tomorrow(text, at) => return relative(text, at + 1, super::plus_days(calendar.today, 1)?),
        "übermorgen" => return Named::day(at + 1, super::plus_days(calendar.today, 2)),
        "überübermorgen" => return Named::day(at + 1, super::plus_days(calendar.today, 3)),
        "feierabend" | "mittag" | "dienstschluss" | "tagesende" => return Named::if_due(at + 1, Some(calendar.today)),
        "nachmittag" | "vormittag" | "abend" if at > 0 && text.is(at - 1, &["am", "zum"]) => {
            return Named::if_due(at + 1, Some(calendar.today));
        }
        _ => {}
    }
    if let Some(end) = text.phrase(at, "ende des tages") {
        return Named::day(end, Some(calendar.today));
    }
    if let Some(date) = calendar.written(text.word(at)) {
        return Named::if_due(at + 1, Some(date));
    }
    feast(text, at).or_else(|| on_weekday(text, at)).or_else(|| of_month(text, at)).or_else(|| bare_ordinal(text, at))
}

/// "heute", "heute Abend", "heute in zwei Wochen".
fn relative(text: &Text, end: usize, from: Date) -> Option<Named> {
    if let Some((count, after)) = text.phrase(end, "in").and_then(|next| count(text, next))
        && let Some(unit) = unit(text.word(after)).filter(|unit| *unit != Unit::Hours)
    {
        return Named::day(after + 1, later(from, count, unit));
    }
    let evening = text.is(end, TIMES_OF_DAY);
    Named::day(end + usize::from(evening), Some(from))
}

/// "guten Morgen" and "am Morgen" are not tomorrow.
fn is_tomorrow(text: &Text, at: usize) -> bool {
    at == 0
        || !text.is(
            at - 1,
            &["guten", "am", "jeden", "der", "den", "einen", "schönen", "heute", "diesen", "dieser", "gestern"],
        )
}

/// "Freitag", "nächsten Freitag", "Freitag nächster Woche", "Freitag, den 3. März", "Freitag in zwei Wochen".
fn on_weekday(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    let ahead = adjective(text.word(at));
    let name_at = at + usize::from(ahead.is_some());
    let name = weekday_with_time(text.word(name_at))?;
    let end = name_at + 1;
    let after = text.skip(end, &["den", "dem", "der", "am"]);
    if let Some(named) = of_month(text, after).or_else(|| bare_ordinal(text, after)) {
        return Some(named);
    }
    let timed = text.skip(end, TIMES_OF_DAY);
    if let Some((end, weeks)) = week_ahead(text, timed) {
        return Named::day(end, calendar.in_week(weeks, name));
    }
    if let Some((week, end)) = calendar_week(text, text.skip(timed, &["der", "in der", "in"])) {
        return Named::day(end, calendar.calendar_week(week, name));
    }
    if let Some((count, after)) = text.phrase(timed, "in").and_then(|next| count(text, next))
        && unit(text.word(after)) == Some(Unit::Weeks)
    {
        return Named::day(after + 1, calendar.in_week(i32::try_from(count.min(1000)).ok()?, name));
    }
    let date = match ahead {
        Some(Adjective::Next) => calendar.in_week(1, name),
        Some(Adjective::AfterNext) => calendar.in_week(2, name),
        Some(Adjective::Coming) => calendar.next_after_today(name),
        Some(Adjective::This) | None => calendar.next(name),
    };
    Named::day(timed, date)
}

/// "nächste Woche", "der kommenden Woche", "in der übernächsten Woche": where it ends, how many weeks ahead.
fn week_ahead(text: &Text, at: usize) -> Option<(usize, i32)> {
    let next = text.skip(at, &["im laufe der", "in der", "der", "die"]);
    let ahead = adjective(text.word(next))?;
    (text.word(next + 1) == "woche").then_some((next + 2, ahead.periods()))
}

/// "3. März", "dritten März 2027", "3. 4.", "dritten vierten".
fn of_month(text: &Text, at: usize) -> Option<Named> {
    let day = ordinal(text, at)?;
    let next = text.word(at + 1);
    let by_number = || number::german_ordinal(next).or_else(|| dotted(text, at + 1)).filter(|number| *number <= 12);
    let month = month(next).or_else(|| by_number().and_then(|number| i8::try_from(number).ok()))?;
    let year = text.year(at + 2);
    Named::day(at + 2 + usize::from(year.is_some()), text.calendar.month_day(month, day, year))
}

/// "am 15.", "bis zum fünfzehnten", where no noun follows ("am dritten Punkt").
fn bare_ordinal(text: &Text, at: usize) -> Option<Named> {
    let day = ordinal(text, at)?;
    let introduced = at > 0 && text.is(at - 1, &["am", "zum", "den", "dem", "der"]);
    if !introduced || text.is(at + 1, NOT_AFTER_ORDINAL) {
        return None;
    }
    if let Some(end) = text.phrase(at + 1, "des nächsten monats").or_else(|| text.phrase(at + 1, "nächsten monats")) {
        let month = text.calendar.today.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
        return Named::day(end, Date::new(month.year(), month.month(), i8::try_from(day).ok()?).ok());
    }
    let end = text.skip(at + 1, &["diesen monats", "dieses monats", "des monats"]);
    Named::if_due(end, text.calendar.day_of_month(day))
}

/// A day of a month as an ordinal: "dritten", "3." or, before a month, "3".
fn ordinal(text: &Text, at: usize) -> Option<u32> {
    let digits =
        || text.word(at).parse().ok().filter(|_| text.tokens.get(at).is_some_and(|token| token.text.len() <= 2));
    number::german_ordinal(text.word(at)).or_else(digits).filter(|day| (1..=31).contains(day))
}

/// The month of "3. 4.", in digits.
fn dotted(text: &Text, at: usize) -> Option<u32> {
    let token = text.tokens.get(at)?;
    token.norm.parse().ok().filter(|_| token.stop == Stop::End)
}

/// "Ende der Woche", "Mitte April", "Anfang nächster Woche", "Monatsende", "Wochenende".
fn part(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    if let Some((_, part, period)) = COMPOUNDS.iter().find(|(word, ..)| *word == text.word(at)) {
        return Named::day(at + 1, calendar.part(*part, *period, 0));
    }
    let ahead = adjective(text.word(at));
    let weekend = at + usize::from(ahead.is_some());
    if text.word(weekend) == "wochenende" {
        let before = at > 0 && text.is(at - 1, &["zum", "bis", "vorm"]);
        let weeks = ahead.map_or(0, |ahead| if ahead == Adjective::Coming { 0 } else { ahead.periods() });
        return Named::day(
            weekend + 1,
            calendar.in_week(weeks, if before { Weekday::Friday } else { Weekday::Sunday }),
        );
    }
    let part = match text.word(at) {
        "ende" => Part::End,
        "mitte" => Part::Middle,
        "anfang" | "beginn" => Part::Beginning,
        _ => return None,
    };
    let next = text.skip(at + 1, &["des monats", "der", "des", "vom", "von"]);
    if text.word(next - 1) == "monats" {
        return Named::day(next, calendar.part(part, Period::Month, 0));
    }
    if let Some((week, end)) = calendar_week(text, next) {
        return Named::day(end, calendar.calendar_week(week, part.weekday()));
    }
    if let Some(month) = month(text.word(next)) {
        let year = text.year(next + 1);
        return Named::day(next + 1 + usize::from(year.is_some()), calendar.part_of_named_month(part, month, year));
    }
    if let Some((quarter, end)) = quarter(text, next) {
        return Named::day(end, calendar.end_of_quarter(quarter));
    }
    let ahead = adjective(text.word(next));
    let period_at = next + usize::from(ahead.is_some());
    let period = period_named(text.word(period_at))?;
    Named::day(period_at + 1, calendar.part(part, period, ahead.map_or(0, Adjective::periods)))
}

/// "in zwei Wochen", "innerhalb von drei Tagen", "in den nächsten Tagen".
fn ahead(text: &Text, at: usize) -> Option<Named> {
    let leading = text.skip(
        at,
        &[
            "innerhalb der nächsten",
            "innerhalb von",
            "innerhalb",
            "binnen",
            "in den nächsten",
            "in den kommenden",
            "in",
        ],
    );
    if leading == at {
        return None;
    }
    let (count, end) = count(text, leading).or_else(|| {
        let vague = text.is(leading - 1, &["nächsten", "kommenden"]);
        vague.then_some((3, leading))
    })?;
    let unit = unit(text.word(end))?;
    Named::day(end + 1, later(text.calendar.today, count, unit))
}

/// "In acht Tagen" is in a week, as people mean it.
fn later(from: Date, count: u32, unit: Unit) -> Option<Date> {
    let count = if count == 8 && unit == Unit::Days { 7 } else { count };
    Calendar::after(from, count, unit)
}

/// "nächste Woche", "nächste Woche Dienstag", "diesen Monat", "KW 12", "Montag KW 12", "im März", "Q3".
fn period(text: &Text, at: usize) -> Option<Named> {
    let calendar = text.calendar;
    if let Some((week, end)) = calendar_week(text, at) {
        let next = text.skip(end, &["am"]);
        return match weekday_with_time(text.word(next)) {
            Some(weekday) => Named::day(next + 1, calendar.calendar_week(week, weekday)),
            None => Named::day(end, calendar.calendar_week(week, Weekday::Friday)),
        };
    }
    if let Some((end, ahead)) = week_ahead(text, at) {
        let next = text.skip(end, &["am"]);
        return match weekday_with_time(text.word(next)) {
            Some(weekday) => Named::day(text.skip(next + 1, TIMES_OF_DAY), calendar.in_week(ahead, weekday)),
            None => Named::day(end, calendar.part(Part::End, Period::Week, ahead)),
        };
    }
    if let Some(ahead) = adjective(text.word(at)) {
        if let Some(month) = month(text.word(at + 1)) {
            return Named::day(at + 2, calendar.part_of_named_month(Part::End, month, None));
        }
        let period = period_named(text.word(at + 1))?;
        return Named::day(at + 2, calendar.part(Part::End, period, ahead.periods()));
    }
    if let Some((quarter, end)) = quarter(text, at) {
        return Named::if_due(end, calendar.end_of_quarter(quarter));
    }
    let month = month(text.word(at))?;
    let year = text.year(at + 1);
    Named::if_due(at + 1 + usize::from(year.is_some()), calendar.part_of_named_month(Part::End, month, year))
}

/// "KW 12", "KW12", "Kalenderwoche zwölf", "der 12. Kalenderwoche": the week and where it ends.
fn calendar_week(text: &Text, at: usize) -> Option<(u32, usize)> {
    let in_range = |week: &u32| (1..=53).contains(week);
    if let Some(week) = text.word(at).strip_prefix("kw").and_then(|digits| digits.parse().ok()).filter(in_range) {
        return Some((week, at + 1));
    }
    if text.is(at + 1, &["kalenderwoche", "kw"]) {
        return Some((ordinal(text, at).filter(in_range)?, at + 2));
    }
    let number = text.skip(at, &["kalenderwoche", "kw", "k w", "woche"]);
    (number > at).then_some(())?;
    Some((number::german_cardinal(text.word(number)).filter(in_range)?, number + 1))
}

/// "Q3", "dritten Quartals".
fn quarter(text: &Text, at: usize) -> Option<(u32, usize)> {
    if let Some(quarter) = text.word(at).strip_prefix('q').and_then(|digits| digits.parse().ok()) {
        return Some((quarter, at + 1));
    }
    text.is(at + 1, &["quartal", "quartals"]).then(|| Some((ordinal(text, at)?, at + 2)))?
}

fn feast(text: &Text, at: usize) -> Option<Named> {
    let (month, day) = match text.word(at) {
        "weihnachten" | "heiligabend" => (12, 24),
        "silvester" | "jahreswechsel" => (12, 31),
        "neujahr" => (1, 1),
        "nikolaus" => (12, 6),
        _ => return None,
    };
    Named::if_due(at + 1, text.calendar.month_day(month, day, None))
}

/// "15 Uhr", "17:30 Uhr morgen": the day that follows, else today.
fn clock_then_day(text: &Text, at: usize) -> Option<Named> {
    let end = clock(text, at)?;
    match day(text, text.skip(end, &["am"])) {
        Some(named) => Some(named),
        None => Named::if_due(end, Some(text.calendar.today)),
    }
}

fn clock(text: &Text, at: usize) -> Option<usize> {
    let at = text.skip(at, &["halb", "viertel vor", "viertel nach", "dreiviertel"]);
    let word = text.word(at);
    let hours =
        word.split_once([':', '.']).map_or_else(|| number::german_cardinal(word), |(hours, _)| hours.parse().ok());
    let in_day = hours.is_some_and(|hours| hours <= 24);
    (in_day && text.word(at + 1) == "uhr").then(|| text.skip(at + 2, &["dreißig", "fünfzehn", "30", "15", "45"]))
}

/// "Freitag um 15 Uhr", "Montag früh", "Freitag spätestens".
fn time_of_day(text: &Text, end: usize) -> usize {
    let mut end = text.skip(end, TIMES_OF_DAY);
    let at = text.skip(end, &["um", "bis", "gegen", "ab"]);
    if let Some(after) = clock(text, at) {
        end = after;
    }
    text.skip(end, &["spätestens"])
}

fn count(text: &Text, at: usize) -> Option<(u32, usize)> {
    let (count, end) = match text.word(at) {
        "paar" | "einigen" | "wenigen" => (3, at + 1),
        "ein" if text.word(at + 1) == "paar" => (3, at + 2),
        word => (number::german_cardinal(word)?, at + 1),
    };
    Some((count, end))
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "minute" | "minuten" | "stunde" | "stunden" => Unit::Hours,
        "tag" | "tage" | "tagen" => Unit::Days,
        "werktag" | "werktage" | "werktagen" | "arbeitstag" | "arbeitstage" | "arbeitstagen" => Unit::WorkingDays,
        "woche" | "wochen" => Unit::Weeks,
        "monat" | "monate" | "monaten" => Unit::Months,
        "jahr" | "jahre" | "jahren" => Unit::Years,
        _ => return None,
    })
}

fn period_named(word: &str) -> Option<Period> {
    Some(match word {
        "woche" => Period::Week,
        "monat" | "monats" => Period::Month,
        "quartal" | "quartals" => Period::Quarter,
        "jahr" | "jahres" => Period::Year,
        _ => return None,
    })
}

/// What an adjective before a day or a period says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adjective {
    This,
    Coming,
    Next,
    AfterNext,
}

impl Adjective {
    /// How many periods ahead.
    fn periods(self) -> i32 {
        match self {
            Self::This => 0,
            Self::Coming | Self::Next => 1,
            Self::AfterNext => 2,
        }
    }
}

fn adjective(word: &str) -> Option<Adjective> {
    let is = |stems: &[&str]| inflected(word, stems).is_some();
    if is(&["dies", "laufend", "aktuell"]) {
        Some(Adjective::This)
    } else if is(&["kommend"]) {
        Some(Adjective::Coming)
    } else if is(&["nächst", "folgend", "naechst"]) {
        Some(Adjective::Next)
    } else if is(&["übernächst"]) {
        Some(Adjective::AfterNext)
    } else {
        None
    }
}

/// Which of `stems` the word is an inflected form of.
fn inflected<'a>(word: &str, stems: &[&'a str]) -> Option<&'a str> {
    stems
        .iter()
        .copied()
        .find(|stem| word.strip_prefix(stem).is_some_and(|ending| ["e", "en", "er", "em", "es"].contains(&ending)))
}

/// What the words before a day make of it, longest first.
const PREPOSITIONS: &[(&str, Force)] = &[
    ("bis spätestens zum", Force::Deadline),
    ("bis spätestens am", Force::Deadline),
    ("spätestens bis zum", Force::Deadline),
    ("spätestens bis", Force::Deadline),
    ("bis spätestens", Force::Deadline),
    ("spätestens am", Force::Deadline),
    ("spätestens zum", Force::Deadline),
    ("bis zu den", Force::Deadline),
    ("bis zum", Force::Deadline),
    ("bis zur", Force::Deadline),
    ("bis am", Force::Deadline),
    ("bis zu", Force::Deadline),
    ("bis im", Force::Deadline),
    ("bis in", Force::Deadline),
    ("bis um", Force::Deadline),
    ("noch bis", Force::Deadline),
    ("noch vor", Force::Deadline),
    ("bis", Force::Deadline),
    ("spätestens", Force::Deadline),
    ("vor dem", Force::Deadline),
    ("vor", Force::Deadline),
    ("noch am", Force::Plain),
    ("gleich am", Force::Plain),
    ("am", Force::Plain),
    ("im laufe der", Force::Plain),
    ("im laufe des", Force::Plain),
    ("übers", Force::Plain),
    ("über das", Force::Plain),
    ("im", Force::Plain),
    ("in der", Force::Plain),
    ("in", Force::Plain),
    ("um", Force::Plain),
    ("gegen", Force::Plain),
    ("zum", Force::Plain),
    ("zu", Force::Plain),
    ("noch", Force::Plain),
    ("gleich", Force::Plain),
    ("für den", Force::Attribute),
    ("für die", Force::Attribute),
    ("für", Force::Attribute),
];

/// After these words nothing is due on the day.
#[rustfmt::skip]
const NOT_DUE: &[&str] = &[
    "nach dem", "nach", "seit dem", "seit", "ab dem", "ab", "vom", "von der", "von", "seit der",
];

#[rustfmt::skip]
const TIMES_OF_DAY: &[&str] = &[
    "früh", "vormittag", "mittag", "nachmittag", "abend", "nacht", "morgen", "vormittags", "nachmittags", "abends",
    "mittags",
];

#[rustfmt::skip]
const PAST_PERIODS: &[&str] = &[
    "woche", "wochen", "monat", "monate", "jahr", "quartal", "mal", "tage", "tagen", "nacht", "wochenende", "sitzung",
];

/// Nouns that an ordinal counts instead of days.
#[rustfmt::skip]
const NOT_AFTER_ORDINAL: &[&str] = &[
    "stock", "kapitel", "punkt", "mal", "platz", "geburtstag", "etage", "folie", "quartal", "version", "seite",
    "teil", "schritt", "uhr", "prozent", "euro", "leute", "personen", "stelle", "satz", "fall", "blick", "entwurf",
    "termin", "tag", "woche",
];

/// Parts of periods in one word.
const COMPOUNDS: &[(&str, Part, Period)] = &[
    ("monatsende", Part::End, Period::Month),
    ("monatsmitte", Part::Middle, Period::Month),
    ("monatsanfang", Part::Beginning, Period::Month),
    ("jahresende", Part::End, Period::Year),
    ("quartalsende", Part::End, Period::Quarter),
    ("wochenanfang", Part::Beginning, Period::Week),
    ("wochenmitte", Part::Middle, Period::Week),
];
