//! Values in what is said, of the kind that a slot wants; how they are read back, and how a tool gets them. Pure.
//!
//! A value that was asked for may be said barely ("drei"); one that was not has to show what it is ("um drei", "drei
//! Personen"). What is a value of no kind is none: nothing is guessed.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use tts::voice::Language;

use super::{
    digits, email, name, phone, when,
    words::{self, Word, distance},
};
use crate::{
    brain,
    persona::{Slot, SlotKind},
};

/// A value that somebody said.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A whole number.
    Number(i64),
    /// Somebody's name.
    Name(String),
    /// An e-mail address.
    Email(String),
    /// Digits, with `+` in front where the country was said.
    Phone(String),
    /// Whatever was said.
    Text(String),
    /// The place of a choice in its slot.
    Choice(usize),
}

/// Where and when something is said.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The language that is likelier.
    pub language: Language,
    /// The day it is.
    pub today: Date,
}

impl Context {
    /// Both languages that there are rules for, the likelier first.
    fn languages(self) -> [brain::Language; 2] {
        if self.language.is_kin(Language::GERMAN) {
            [brain::Language::German, brain::Language::English]
        } else {
            [brain::Language::English, brain::Language::German]
        }
    }
}

impl fmt::Debug for Value {
    /// What kind: never somebody's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Date(_) => "Date",
            Self::Time(_) => "Time",
            Self::Number(_) => "Number",
            Self::Name(_) => "Name",
            Self::Email(_) => "Email",
            Self::Phone(_) => "Phone",
            Self::Text(_) => "Text",
            Self::Choice(_) => "Choice",
        })
    }
}

/// The value for `slot` in `text`; `is_asked` where it is the answer to its question.
pub fn find(slot: &Slot, text: &str, is_asked: bool, context: Context) -> Option<Value> {
    match slot.kind {
        SlotKind::Date => when::date(text, is_asked, context.languages(), context.today).map(Value::Date),
        SlotKind::Time => when::time(text, is_asked, context.languages()).map(Value::Time),
        SlotKind::Number => number(slot, text, is_asked).map(Value::Number),
        SlotKind::Name => name::find(text, is_asked).map(Value::Name),
        SlotKind::Email => email::find(text, is_asked).map(Value::Email),
        SlotKind::Phone => phone::find(&words::of(text), is_asked).map(Value::Phone),
        SlotKind::Text => {
            let text: String = text.trim().chars().take(TEXT_CHARS_MAX).collect();
            (is_asked && text.chars().any(char::is_alphanumeric)).then_some(Value::Text(text))
        }
        SlotKind::Choice => choice(slot, text).map(Value::Choice),
    }
}

/// The value for `slot` that was typed; nothing where keys say none of its kind.
pub fn typed(slot: &Slot, keys: &str) -> Option<Value> {
    let keys = keys.trim_end_matches('#');
    if keys.is_empty() || !keys.bytes().all(|key| key.is_ascii_digit()) {
        return None;
    }
    match slot.kind {
        SlotKind::Number => in_range(slot, keys.parse().ok()?).map(Value::Number),
        SlotKind::Phone => phone::find(&words::of(keys), true).map(Value::Phone),
        SlotKind::Choice => {
            let nth: usize = keys.parse().ok()?;
            (1..=slot.choices.len()).contains(&nth).then(|| Value::Choice(nth - 1))
        }
        SlotKind::Time => {
            let (hour, minute) =
                keys.split_at_checked(keys.len().saturating_sub(2)).filter(|_| keys.len() > 2).unwrap_or((keys, "0"));
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok().map(Value::Time)
        }
        SlotKind::Date | SlotKind::Name | SlotKind::Email | SlotKind::Text => None,
    }
}

/// `value` with the digits `wrong` replaced by `right`: "4 5, not 5 4". Nothing where it has no such digits.
pub fn repaired(value: &Value, right: &str, wrong: &str) -> Option<Value> {
    let in_digits = |text: &str| {
        let words = words::of(text);
        (0..words.len()).find_map(|at| digits::run(&words, at)).map(|(digits, _)| digits)
    };
    let (right, wrong) = (in_digits(right)?, in_digits(wrong)?);
    let replaced = |digits: &str| {
        let at = digits.rfind(&wrong)?;
        Some(format!("{}{right}{}", &digits[..at], &digits[at + wrong.len()..]))
    };
    match value {
        Value::Phone(digits) => replaced(digits).map(Value::Phone),
        Value::Number(number) => replaced(&number.to_string())?.parse().ok().map(Value::Number),
        _ => None,
    }
}

impl Value {
    /// As a tool gets it.
    pub fn json(&self, slot: &Slot) -> serde_json::Value {
        match self {
            Self::Number(number) => (*number).into(),
            _ => self.plain(slot).into(),
        }
    }

    /// As it is written down.
    pub fn plain(&self, slot: &Slot) -> String {
        match self {
            Self::Date(date) => date.to_string(),
            Self::Time(time) => format!("{:02}:{:02}", time.hour(), time.minute()),
            Self::Number(number) => number.to_string(),
            Self::Name(text) | Self::Email(text) | Self::Phone(text) | Self::Text(text) => text.clone(),
            Self::Choice(at) => slot.choices.get(*at).map(|choice| choice.value.clone()).unwrap_or_default(),
        }
    }

    /// As it is read back: digits one by one.
    pub fn said(&self, slot: &Slot, language: Language) -> String {
        let is_german = language.is_kin(Language::GERMAN);
        match self {
            Self::Date(date) => day(*date, is_german),
            Self::Time(time) => clock(*time, is_german),
            Self::Phone(digits) => one_by_one(digits),
            Self::Choice(at) => {
                let choice = slot.choices.get(*at);
                let says = choice.and_then(|choice| choice.says.nearest(language, language)).map(str::to_owned);
                says.unwrap_or_else(|| self.plain(slot))
            }
            Self::Number(_) | Self::Name(_) | Self::Email(_) | Self::Text(_) => self.plain(slot),
        }
    }
}

fn number(slot: &Slot, text: &str, is_asked: bool) -> Option<i64> {
    let words = words::of(text);
    // "Einen Moment", "one second": that is no answer.
    let counts = |at: usize| !words.get(at + 1).is_some_and(|next| next.among(NOT_COUNTED));
    let read = |at: usize| digits::run(&words, at).filter(|_| counts(at) && (is_asked || is_about(slot, &words, at)));
    let found = (0..words.len()).find_map(read).map(|(digits, _)| digits);
    let group = |pair: &[Word<'_>]| {
        let (_, count) = GROUPS.iter().find(|(word, _)| pair[0].norm == "zu" && pair[1].norm == *word)?;
        Some(*count)
    };
    if let Some(count) = words.windows(2).find_map(group).filter(|_| is_asked) {
        return in_range(slot, count);
    }
    let is_one = || {
        let is_short = is_asked && words.len() <= ONE_WORDS_MAX;
        is_short && (0..words.len()).any(|at| words[at].among(ARTICLES) && counts(at))
    };
    let number = match found {
        Some(digits) => digits.parse().ok()?,
        None if is_one() => 1,
        None => return None,
    };
    in_range(slot, number)
}

/// Whether a word that shows what the number at `at` is about stands near it.
fn is_about(slot: &Slot, words: &[Word<'_>], at: usize) -> bool {
    let near = at.saturating_sub(ABOUT_WITHIN)..(at + ABOUT_WITHIN + 1).min(words.len());
    words.get(near).is_some_and(|near| near.iter().any(|word| slot.about.contains(&word.norm)))
}

fn in_range(slot: &Slot, number: i64) -> Option<i64> {
    let is_in = slot.min.is_none_or(|min| number >= min) && slot.max.is_none_or(|max| number <= max);
    is_in.then_some(number)
}

/// The one choice that is named; none where several are.
fn choice(slot: &Slot, text: &str) -> Option<usize> {
    let words = words::of(text);
    let said: Vec<&str> = words.iter().map(|word| word.norm.as_str()).collect();
    let is_named = |phrase: &String| {
        let phrase = phrase.to_lowercase();
        let parts: Vec<&str> = phrase.split_whitespace().collect();
        // A long word may be misheard by a letter.
        let fits = |(said, part): (&&str, &&str)| {
            said == part || (part.chars().count() >= TOLERANT && distance(said, part) <= 1)
        };
        !parts.is_empty() && said.windows(parts.len()).any(|window| window.iter().zip(&parts).all(fits))
    };
    let mut named = slot.choices.iter().enumerate().filter(|(_, choice)| choice.words.iter().any(is_named));
    let (at, _) = named.next()?;
    named.next().is_none().then_some(at)
}

fn day(date: Date, is_german: bool) -> String {
    if !is_german {
        return date.strftime("%A, %B %-d").to_string();
    }
    let (weekday, month) = german(date);
    format!("{weekday}, {}. {month}", date.day())
}

/// What Germans call the day of the week and the month of `date`.
pub(crate) fn german(date: Date) -> (&'static str, &'static str) {
    let month = usize::from(date.month().unsigned_abs()).saturating_sub(1).min(11);
    let weekday = usize::from(date.weekday().since(Weekday::Monday).unsigned_abs()).min(6);
    (GERMAN_DAYS[weekday], GERMAN_MONTHS[month])
}

fn clock(time: Time, is_german: bool) -> String {
    match (is_german, time.minute()) {
        (true, 0) => format!("{} Uhr", time.hour()),
        (true, minute) => format!("{} Uhr {minute}", time.hour()),
        (false, 0) => time.strftime("%-I %p").to_string(),
        (false, _) => time.strftime("%-I:%M %p").to_string(),
    }
}

/// "+49 30 12" as "plus 4 9 3, 0 1 2": in threes, as people write along.
fn one_by_one(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let group = |digits: &[char]| digits.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
    let groups: Vec<String> = digits.chunks(3).map(group).collect();
    let plus = if number.starts_with('+') { "plus " } else { "" };
    format!("{plus}{}", groups.join(", "))
}

/// "Eine Person" is one, for whoever asked how many.
const ARTICLES: &[&str] = &["ein", "eine", "einen", "einem", "einer", "a", "an"];

/// "Wir sind zu viert."
#[rustfmt::skip]
const GROUPS: &[(&str, i64)] = &[
    ("zweit", 2), ("dritt", 3), ("viert", 4), ("fünft", 5), ("sechst", 6), ("siebt", 7), ("acht", 8), ("neunt", 9), ("zehnt", 10),
];

/// What makes neither "one" nor an article a number.
#[rustfmt::skip]
const NOT_COUNTED: &[&str] = &[
    "moment", "augenblick", "sekunde", "minute", "paar", "bisschen", "second", "sec", "few", "couple", "lot", "bit",
];

/// In a longer answer an article counts nothing.
const ONE_WORDS_MAX: usize = 5;

/// What somebody says to one question.
const TEXT_CHARS_MAX: usize = 300;

/// Words beside a number among which it says what it is about.
const ABOUT_WITHIN: usize = 2;

/// A word of so many letters is known with one of them wrong.
const TOLERANT: usize = 5;

const GERMAN_DAYS: [&str; 7] = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];

#[rustfmt::skip]
const GERMAN_MONTHS: [&str; 12] = [
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
];

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::persona::Persona;

    const SLOTS: &str = r#"
[[intent]]
name = "all"
phrases.en = ["all"]
[[intent.slot]]
name = "count"
kind = "number"
prompt = "?"
about = ["Personen", "people", "party"]
min = 1
max = 12
[[intent.slot]]
name = "what"
kind = "choice"
prompt = "?"
choices = [
    { value = "cut", words = ["Haarschnitt", "schneiden", "haircut"], says = { de = "Haarschnitt", en = "haircut" } },
    { value = "colour", words = ["färben", "colour"] },
]
[[intent.slot]]
name = "phone"
kind = "phone"
prompt = "?"
[[intent.slot]]
name = "note"
kind = "text"
prompt = "?"
[[intent.slot]]
name = "time"
kind = "time"
prompt = "?"
"#;

    fn slots() -> Vec<Slot> {
        Persona::parse("p", SLOTS).unwrap().intents.remove(0).slots
    }

    fn context() -> Context {
        Context { language: Language::GERMAN, today: date(2026, 11, 30) }
    }

    #[test]
    fn what_was_not_asked_for_has_to_show_what_it_is() {
        let slots = slots();
        for (at, text, is_asked, plain) in [
            (0, "vier", true, Some("4")),
            (0, "vier", false, None),
            (0, "ein Tisch für vier Personen", false, Some("4")),
            (0, "a party of six", false, Some("6")),
            (0, "eine Person", true, Some("1")),
            (0, "Nur eine Person, danke.", true, Some("1")),
            (0, "Wir sind zu viert.", true, Some("4")),
            (0, "zu acht", true, Some("8")),
            (0, "Einen Moment, bitte.", true, None),
            (0, "One second, please.", true, None),
            (0, "ein paar", true, None),
            (0, "a few", true, None),
            (0, "Das weiß ich noch nicht, eine Freundin kommt vielleicht auch", true, None),
            (0, "zwanzig", true, None),
            (0, "viele", true, None),
            (1, "Ich möchte färben lassen", false, Some("colour")),
            (1, "einen Haarschnit bitte", false, Some("cut")),
            (1, "schneiden und färben", false, None),
            (1, "etwas anderes", true, None),
            (3, " Rückenschmerzen ", true, Some("Rückenschmerzen")),
            (3, "Rückenschmerzen", false, None),
            (3, "…", true, None),
        ] {
            let found = find(&slots[at], text, is_asked, context());
            assert_eq!(found.map(|value| value.plain(&slots[at])).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn keys_are_numbers_choices_and_times() {
        let slots = slots();
        for (at, keys, plain) in [
            (0, "4#", Some("4")),
            (0, "13", None),
            (1, "2", Some("colour")),
            (1, "3", None),
            (2, "08912345#", Some("08912345")),
            (2, "12", None),
            (3, "1", None),
            (4, "1530", Some("15:30")),
            (4, "9", Some("09:00")),
            (4, "2575", None),
            (0, "*", None),
            (0, "", None),
        ] {
            assert_eq!(typed(&slots[at], keys).map(|value| value.plain(&slots[at])).as_deref(), plain, "{keys}");
        }
    }

    #[test]
    fn values_are_read_back_as_people_say_them_and_shown_to_nobody() {
        let slots = slots();
        let (de, en) = (Language::GERMAN, Language::ENGLISH_US);
        let day = Value::Date(date(2026, 12, 1));
        assert_eq!(day.said(&slots[0], de), "Dienstag, 1. Dezember");
        assert_eq!(day.said(&slots[0], en), "Tuesday, December 1");
        let time = |hour, minute| Value::Time(Time::constant(hour, minute, 0, 0));
        assert_eq!(
            (time(15, 0).said(&slots[0], de), time(15, 30).said(&slots[0], en)),
            ("15 Uhr".to_owned(), "3:30 PM".to_owned())
        );
        let phone = Value::Phone("+49301234".to_owned());
        assert_eq!(phone.said(&slots[2], de), "plus 4 9 3, 0 1 2, 3 4");
        assert_eq!(
            (Value::Choice(0).said(&slots[1], en), Value::Choice(1).said(&slots[1], de)),
            ("haircut".to_owned(), "colour".to_owned())
        );
        assert_eq!(Value::Number(4).json(&slots[0]), serde_json::json!(4));
        assert_eq!(format!("{phone:?}"), "Phone");
    }

    #[test]
    fn single_digits_are_repaired() {
        let phone = Value::Phone("08954321".to_owned());
        let repaired = |right: &str, wrong: &str| repaired(&phone, right, wrong);
        assert!(repaired("4 5", "5 4") == Some(Value::Phone("08945321".to_owned())));
        assert!(repaired("vier fünf", "fünf vier") == Some(Value::Phone("08945321".to_owned())));
        assert!(repaired("1", "7").is_none() && repaired("Weber", "Meier").is_none());
    }
}
