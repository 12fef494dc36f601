//! When somebody wants to be reminded: an ISO time, or as people say it in German and English.
//!
//! Pure: days come from the brain's grammar of dates, hours from the small one here. What is ambiguous is read as
//! office people mean it: "um drei" is 15:00, "at eight" is 8:00, an hour that is over today is the one after noon, and
//! over at all is tomorrow's; "abends" is 18:00, "morning" 9:00. The model reads back what was understood.

use std::fmt;

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

use crate::brain::{self, Language};

/// A day, or a time of a day, in local time. Its `Display` is ISO 8601.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The day.
    pub date: Date,
    /// The time, where one was said.
    pub time: Option<Time>,
}

/// Why there is no time to remind somebody at. Its `Display` is for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTime {
    /// It says no time that can be understood.
    #[error("the time is not understood; write it as {}, local time", iso(*.0))]
    Unclear(DateTime),
    /// It is over.
    #[error("{due} is over; it is {} now", iso(*.now))]
    Over {
        /// What was understood.
        due: Due,
        /// The local time.
        now: DateTime,
    },
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(f, "{}T{:02}:{:02}", self.date, time.hour(), time.minute()),
            None => write!(f, "{}", self.date),
        }
    }
}

/// Reads `when`, said at `now` in `language`, or in the other one.
///
/// # Errors
/// [`NoTime`].
pub(super) fn read(when: &str, language: Language, now: DateTime) -> Result<Due, NoTime> {
    let other = match language {
        Language::English => Language::German,
        Language::German => Language::English,
    };
    let due = written(when).or_else(|| said(when, [language, other], now)).ok_or(NoTime::Unclear(now))?;
    let is_over = due.date < now.date() || (due.date == now.date() && due.time.is_some_and(|time| time < now.time()));
    if is_over { Err(NoTime::Over { due, now }) } else { Ok(due) }
}

/// ISO 8601, local.
fn written(when: &str) -> Option<Due> {
    let when = when.trim();
    if let Ok(date) = when.parse::<Date>()
        && when.len() <= DATE_CHARS
    {
        return Some(Due { date, time: None });
    }
    when.parse::<DateTime>().ok().map(|at| Due { date: at.date(), time: Some(at.time()) })
}

/// The first of `languages` is the likelier; the one that names a day is the one that was spoken.
fn said(when: &str, languages: [Language; 2], now: DateTime) -> Option<Due> {
    let lower = when.to_lowercase();
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| matches!(c, ',' | ';' | '!' | '?' | '"' | '(' | ')')))
        .filter(|word| !word.is_empty())
        .collect();
    if is_sum(&words) {
        return None;
    }
    if let Some(at) = from_now(&words, now) {
        return Some(Due { date: at.date(), time: Some(at.time()) });
    }
    let day = |language: Language| Some((brain::day_in(&lower, language, now.date())?, language));
    let named = languages.into_iter().find_map(day);
    let clock = clock(&words, named.map_or(languages[0], |(_, language)| language));
    // "15 Uhr" is a day too to those who look for one.
    let is_number = |word: &str| number(word).is_some() && !word.ends_with('.');
    let is_clock = |word: &&str| is_number(word) || word.contains(':') || CLOCK_WORDS.contains(word);
    let has_day = clock.is_none() || !words.iter().all(is_clock);
    let date = named.filter(|_| has_day).map(|(date, _)| date);
    match (date, clock) {
        (None, None) => None,
        (Some(date), None) => Some(Due { date, time: None }),
        (Some(date), Some(clock)) => {
            let is_today = date == now.date();
            Some(Due { date, time: Some(clock.meant(is_today.then(|| now.time()))) })
        }
        (None, Some(clock)) => {
            let time = clock.meant(Some(now.time()));
            let date = if time < now.time() { now.date().tomorrow().ok()? } else { now.date() };
            Some(Due { date, time: Some(time) })
        }
    }
}

/// The time of day in `words`, which are in small letters and without marks around them. What is ambiguous is read as
/// everywhere here.
pub(crate) fn time_in(words: &[&str], language: Language) -> Option<Time> {
    clock(words, language).map(|clock| clock.meant(None))
}

/// "in 20 Minuten", "in an hour", "in einer halben Stunde", "in zwei Stunden".
fn from_now(words: &[&str], now: DateTime) -> Option<DateTime> {
    let at = words.iter().position(|word| *word == "in")?;
    let rest = words.get(at + 1..)?;
    let half = rest.iter().take(2).any(|word| matches!(*word, "half" | "halben" | "halbe"));
    let unit = rest.iter().take(UNIT_WITHIN).find_map(|word| unit(word))?;
    let minutes = if half && unit == 60 { 30 } else { i64::from(number(rest.first()?)?) * unit };
    let later = now.checked_add(minutes.minutes()).ok()?;
    // People who say "in an hour" do not mean seconds.
    Some(later.date().at(later.hour(), later.minute(), 0, 0))
}

/// "in an hour and a half", "in einer Stunde und zehn Minuten": more than is read here, and half of it would be another
/// time.
fn is_sum(words: &[&str]) -> bool {
    let rest = words.iter().skip_while(|word| **word != "in").skip(1);
    let rest: Vec<&str> = rest.take(UNIT_WITHIN + 2).copied().collect();
    // "two and a half hours" has a word more than what is read.
    let unit_at = rest.iter().take(UNIT_WITHIN + 1).position(|word| unit(word).is_some());
    unit_at.is_some_and(|at| rest.iter().take(at + 2).any(|word| matches!(*word, "and" | "und")))
}

/// The minutes of a unit of time.
fn unit(word: &str) -> Option<i64> {
    match word.trim_end_matches('.') {
        "minute" | "minutes" | "minuten" | "min" => Some(1),
        "hour" | "hours" | "stunde" | "stunden" => Some(60),
        "viertelstunde" => Some(15),
        "dreiviertelstunde" => Some(45),
        _ => None,
    }
}

/// An hour as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    hour: i8,
    minute: i8,
    /// Which half of the day is meant, where that was said or is plain.
    half: Option<Half>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    BeforeNoon,
    AfterNoon,
    /// The hour is one of twenty-four.
    Whole,
}

impl Clock {
    /// The time that is meant; `after` is the time it is, where it is about today.
    fn meant(self, after: Option<Time>) -> Time {
        let Self { hour, minute, .. } = self;
        let at = |hour: i8| Time::new(hour, minute, 0, 0).unwrap_or(Time::MIN);
        match self.half {
            Some(Half::AfterNoon) if hour < 12 => at(hour + 12),
            Some(Half::BeforeNoon) if hour == 12 => at(0),
            Some(_) => at(hour),
            None if hour == 0 || hour > 11 => at(hour),
            None if hour < OFFICE_OPENS => at(hour + 12),
            None if after.is_some_and(|now| at(hour) < now && at(hour + 12) >= now) => at(hour + 12),
            None => at(hour),
        }
    }
}

fn clock(words: &[&str], language: Language) -> Option<Clock> {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let said_half = words.iter().enumerate().find_map(|(at, word)| half(word, at, words, language));
    let with = |hour: u32, minute: u32, half: Option<Half>| {
        let is_time = hour < 24 && minute < 60;
        let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
        is_time.then_some(Clock { hour, minute, half: said_half.or(half) })
    };
    for at in 0..words.len() {
        // "15:30", "9.15 Uhr", "3:30 pm".
        let (bare, glued) = without_half(word(at));
        let parts = bare.split_once(':').or_else(|| bare.split_once('.').filter(|_| word(at + 1) == "uhr"));
        if let Some((hour, minute)) = parts
            && let (Ok(hour), Ok(minute)) = (hour.parse(), minute.parse())
        {
            let whole = (glued.is_none() && word(at).len() > "9:15".len()).then_some(Half::Whole);
            return with(hour, minute, glued.or(whole));
        }
        if let (Some(half), Some(hour)) = (glued, number(bare)) {
            return with(hour, 0, Some(half));
        }
        let next = || number(word(at + 1)).filter(|hour| (1..=12).contains(hour));
        let next_but_one = || number(word(at + 2)).filter(|hour| (1..=12).contains(hour));
        match (word(at), word(at + 1)) {
            ("halb", _) if let Some(hour) = next() => return with((hour + 11) % 12, 30, None).map(Clock::civil),
            ("dreiviertel", _) if let Some(hour) = next() => return with((hour + 11) % 12, 45, None).map(Clock::civil),
            ("half", "past") if let Some(hour) = next_but_one() => return with(hour % 12, 30, None).map(Clock::civil),
            ("viertel" | "quarter", "nach" | "past") if let Some(hour) = next_but_one() => {
                return with(hour % 12, 15, None).map(Clock::civil);
            }
            ("viertel" | "quarter", "vor" | "to") if let Some(hour) = next_but_one() => {
                return with((hour + 11) % 12, 45, None).map(Clock::civil);
            }
            ("mittag" | "mittags" | "noon" | "midday", _) => return with(12, 0, Some(Half::Whole)),
            _ => {}
        }
        // "15 Uhr 30", "3 o'clock", "um 3", "at three".
        if let Some(hour) = number(word(at)) {
            if word(at + 1) == "uhr" {
                return with(hour, number(word(at + 2)).unwrap_or(0), None);
            }
            let is_named = at > 0 && matches!(word(at - 1), "um" | "gegen" | "at" | "around" | "ab");
            if is_named || matches!(word(at + 1), "o'clock" | "pm" | "p.m." | "p.m" | "a.m." | "a.m") {
                return with(hour, 0, None);
            }
        }
    }
    let part = words.iter().find_map(|word| match *word {
        "früh" | "vormittag" | "vormittags" | "morning" => Some(9),
        "nachmittag" | "nachmittags" | "afternoon" => Some(15),
        "abend" | "abends" | "evening" | "tonight" => Some(18),
        _ => None,
    })?;
    Some(Clock { hour: part, minute: 0, half: Some(Half::Whole) })
}

impl Clock {
    /// An hour counted from 0 to 11: 0 is noon unless a morning was spoken of.
    fn civil(self) -> Self {
        let is_noon = self.hour == 0 && self.half != Some(Half::BeforeNoon);
        if is_noon { Self { hour: 12, half: Some(Half::Whole), ..self } } else { self }
    }
}

/// Which half of the day `word` says.
fn half(word: &str, at: usize, words: &[&str], language: Language) -> Option<Half> {
    match word {
        "a.m." | "a.m" | "vormittags" | "vormittag" | "früh" | "morgens" | "morning" => Some(Half::BeforeNoon),
        "p.m." | "p.m" | "pm" | "nachmittags" | "nachmittag" | "abends" | "abend" | "afternoon" | "evening"
        | "tonight" => Some(Half::AfterNoon),
        // In German it is a preposition.
        "am" if language == Language::English && at > 0 && number(words[at - 1]).is_some() => Some(Half::BeforeNoon),
        _ => None,
    }
}

/// "3pm" and "3:30am" taken apart.
fn without_half(word: &str) -> (&str, Option<Half>) {
    for (ending, half) in
        [("am", Half::BeforeNoon), ("pm", Half::AfterNoon), ("a.m.", Half::BeforeNoon), ("p.m.", Half::AfterNoon)]
    {
        if let Some(bare) = word.strip_suffix(ending)
            && bare.ends_with(|c: char| c.is_ascii_digit())
        {
            return (bare, Some(half));
        }
    }
    (word, None)
}

fn number(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches('.');
    if !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().ok();
    }
    NUMBERS.iter().find(|(words, _)| words.contains(&word)).map(|(_, number)| *number)
}

fn iso(at: DateTime) -> Due {
    Due { date: at.date(), time: Some(at.time()) }
}

/// An hour before this is one after noon, when nothing else is said: nobody is reminded at four in the morning.
const OFFICE_OPENS: i8 = 7;

/// Words behind "in" among which the unit is.
const UNIT_WITHIN: usize = 4;

/// `2026-05-31`: what is longer has a time.
const DATE_CHARS: usize = 10;

/// What stands beside the numbers of a time without a day.
#[rustfmt::skip]
const CLOCK_WORDS: &[&str] = &[
    "um", "gegen", "ab", "uhr", "halb", "viertel", "dreiviertel", "vor", "nach", "at", "around", "half", "quarter",
    "past", "to", "o'clock", "am", "pm", "a.m.", "p.m.", "a.m", "p.m", "mittags", "noon", "midday",
];

const NUMBERS: &[(&[&str], u32)] = &[
    (&["one", "a", "an", "ein", "eins", "eine", "einer", "einem"], 1),
    (&["two", "zwei", "zwo"], 2),
    (&["three", "drei"], 3),
    (&["four", "vier"], 4),
    (&["five", "fünf"], 5),
    (&["six", "sechs"], 6),
    (&["seven", "sieben"], 7),
    (&["eight", "acht"], 8),
    (&["nine", "neun"], 9),
    (&["ten", "zehn"], 10),
    (&["eleven", "elf"], 11),
    (&["twelve", "zwölf"], 12),
    (&["fifteen", "fünfzehn"], 15),
    (&["twenty", "zwanzig"], 20),
    (&["thirty", "dreißig", "dreissig"], 30),
    (&["forty", "vierzig"], 40),
    (&["forty-five", "fünfundvierzig"], 45),
];

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// A Monday.
    fn now() -> DateTime {
        date(2026, 11, 30).at(14, 30, 0, 0)
    }

    fn when(text: &str, language: Language) -> String {
        read(text, language, now()).map_or_else(|wrong| format!("{wrong:?}"), |due| due.to_string())
    }

    #[test]
    fn germans_say_when() {
        for (text, due) in [
            ("2026-12-24", "2026-12-24"),
            ("2026-12-24T09:30", "2026-12-24T09:30"),
            ("morgen", "2026-12-01"),
            ("morgen um 15 Uhr", "2026-12-01T15:00"),
            ("Morgen um drei", "2026-12-01T15:00"),
            ("am Freitag um 9 Uhr", "2026-12-04T09:00"),
            ("am Freitag um 9.15 Uhr", "2026-12-04T09:15"),
            ("übermorgen halb vier", "2026-12-02T15:30"),
            ("übermorgen halb eins", "2026-12-02T12:30"),
            ("am 15. um 15 Uhr 30", "2026-12-15T15:30"),
            ("24.12. 18:00", "2026-12-24T18:00"),
            ("um 16 Uhr", "2026-11-30T16:00"),
            ("um 4", "2026-11-30T16:00"),
            ("um 9 Uhr", "2026-11-30T21:00"),
            ("um 13:00", "2026-12-01T13:00"),
            ("in 20 Minuten", "2026-11-30T14:50"),
            ("in einer Stunde", "2026-11-30T15:30"),
            ("in einer halben Stunde", "2026-11-30T15:00"),
            ("in einer Viertelstunde", "2026-11-30T14:45"),
            ("heute Abend", "2026-11-30T18:00"),
            ("heute Abend um acht", "2026-11-30T20:00"),
            ("morgen früh um 7", "2026-12-01T07:00"),
            ("Mittwoch mittags", "2026-12-02T12:00"),
        ] {
            assert_eq!(when(text, Language::German), due, "{text}");
        }
    }

    #[test]
    fn the_english_say_when() {
        for (text, due) in [
            ("tomorrow at 3 pm", "2026-12-01T15:00"),
            ("tomorrow at 3pm", "2026-12-01T15:00"),
            ("tomorrow at 9 am", "2026-12-01T09:00"),
            ("tomorrow at three", "2026-12-01T15:00"),
            ("on Friday at half past nine", "2026-12-04T09:30"),
            ("Wednesday, quarter to four", "2026-12-02T15:45"),
            ("at 5 o'clock", "2026-11-30T17:00"),
            ("in two hours", "2026-11-30T16:30"),
            ("in half an hour", "2026-11-30T15:00"),
            ("tomorrow morning", "2026-12-01T09:00"),
            ("tomorrow at noon", "2026-12-01T12:00"),
            ("12/24 at 12:30 pm", "2026-12-24T12:30"),
        ] {
            assert_eq!(when(text, Language::English), due, "{text}");
        }
        // Whoever set the persona's language did not set the caller's.
        assert_eq!(when("tomorrow at 3 pm", Language::German), "2026-12-01T15:00");
        assert_eq!(when("übermorgen um 10 Uhr", Language::English), "2026-12-02T10:00");
    }

    #[test]
    fn a_time_that_is_none_or_over_is_said_to_be() {
        for text in [
            "",
            "soon",
            "irgendwann",
            "25:00",
            "um 99",
            "in an hour and a half",
            "in two and a half hours",
            "in einer Stunde und zehn Minuten",
        ] {
            assert_eq!(read(text, Language::German, now()), Err(NoTime::Unclear(now())), "{text}");
        }
        for text in ["2026-11-29", "2026-11-30T14:29", "heute um 8:00 morgens"] {
            let over = read(text, Language::German, now()).unwrap_err();
            assert!(matches!(over, NoTime::Over { .. }), "{text}: {over:?}");
            assert!(over.to_string().contains("is over; it is 2026-11-30T14:30 now"), "{over}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_does_harm(text in ".{0,60}") {
            let _ = read(&text, Language::German, now());
        }

        #[test]
        fn what_is_understood_is_still_to_come(
            words in prop::collection::vec(prop::sample::select(vec![
                "morgen", "um", "halb", "3", "15:30", "Uhr", "in", "Minuten", "am", "pm", "Freitag", "abends", "to",
                "quarter", "half", "past", "einer", "999", "Stunden", "24.12.", "früh",
            ]), 0..8),
        ) {
            if let Ok(due) = read(&words.join(" "), Language::German, now()) {
                let due = due.date.to_datetime(due.time.unwrap_or(Time::MAX));
                prop_assert!(due >= now());
            }
        }
    }
}
