//! Days and times of day in what is said, each without the words of the other. Pure, told the day it is.

use jiff::civil::{Date, Time};

use super::words::{self, Word};
use crate::{
    brain::{self, Language},
    tools,
};

/// The day that is spoken of; the last one, where more are: people correct themselves forwards. `is_asked` when a day was
/// asked for: then a bare number is one.
pub(super) fn date(text: &str, is_asked: bool, languages: [Language; 2], today: Date) -> Option<Date> {
    let words = without_greeting(text);
    let kept = without_clock(&words);
    languages.into_iter().find_map(|language| {
        let named = brain::days_in(&kept, language, today).last().copied();
        named.or_else(|| if is_asked { brain::day_in(&kept, language, today) } else { None })
    })
}

/// The time of day that is spoken of.
pub(super) fn time(text: &str, is_asked: bool, languages: [Language; 2]) -> Option<Time> {
    let words = without_greeting(text);
    let read = |before: Option<&'static str>| {
        let numbers = in_digits(&words, is_asked);
        let said: Vec<&str> = before.into_iter().chain(numbers.iter().map(String::as_str)).collect();
        languages.into_iter().find_map(|language| tools::time_in(&said, language))
    };
    // "Drei" is a time for whoever asked for one.
    let is_number = || brain_number(words::norm(&words, 0), words::norm(&words, 1)).is_some();
    read(None).or_else(|| if is_asked && is_number() { read(Some("um")) } else { None })
}

/// The words with numbers in digits, and "three thirty" as `3:30` where a time is expected.
fn in_digits(words: &[Word<'_>], is_asked: bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let norm = words[at].norm.as_str();
        if let Some((hour, minute, end)) = beside_an_hour(words, at) {
            out.push(format!("{hour}:{minute:02}"));
            at = end;
            continue;
        }
        let Some((number, taken)) = brain_number(norm, words::norm(words, at + 1)) else {
            let is_half = is_am(words, at);
            let is_time = |before: &&mut String| is_half && before.starts_with(|c: char| c.is_ascii_digit());
            match out.last_mut().filter(is_time) {
                Some(before) => before.push_str("am"),
                None if matches!(norm, "mitternacht" | "midnight") => out.push("0:00".to_owned()),
                None => out.push(with_its_dots(&words[at])),
            }
            at += 1;
            continue;
        };
        let begin = at;
        at += taken;
        if begin > 0 && words[begin - 1].norm == "uhr" && is_of_its_own(words, begin, at, number) {
            out.push(PAUSE.to_owned());
        }
        let is_expected =
            is_asked || out.last().is_some_and(|before| matches!(before.as_str(), "at" | "around" | "um"));
        let is_on = !words[at - 1].stop;
        let minutes = brain_number(words::norm(words, at), words::norm(words, at + 1));
        match minutes.filter(|(minutes, _)| is_expected && is_on && number <= 12 && (10..60).contains(minutes)) {
            Some((minutes, taken)) => {
                out.push(format!("{number}:{minutes}"));
                at += taken;
            }
            None => out.push(number.to_string()),
        }
    }
    out
}

/// "Zehn vor acht", "twenty past three", "fünf nach halb acht", "viertel acht": the hour, from 1 to 12, its minute, and where
/// that ends.
fn beside_an_hour(words: &[Word<'_>], at: usize) -> Option<(u32, u32, usize)> {
    let number = |at: usize| brain_number(words::norm(words, at), words::norm(words, at + 1));
    let hour =
        |at: usize| number(at).filter(|(hour, _)| (1..=12).contains(hour)).map(|(hour, taken)| (hour, at + taken));
    let of = |minutes: u32, end: usize| {
        let hour = minutes / 60 % 12;
        Some((if hour == 0 { 12 } else { hour }, minutes % 60, end))
    };
    // Twelve hours more, so that nothing is below nought.
    let from = |hour: u32| (hour + 12) * 60;
    if words::norm(words, at) == "viertel" {
        // "Viertel acht" is a quarter past seven; before and after it is for others.
        let (hour, end) = hour(at + 1)?;
        return of(from(hour) - 45, end);
    }
    if words::norm(words, at) == "drei" && words::norm(words, at + 1) == "viertel" {
        let (hour, end) = hour(at + 2)?;
        return of(from(hour) - 15, end);
    }
    // "From ten to twelve" is a span.
    let is_span = at > 0 && words[at - 1].among(&["from", "between", "for", "von", "zwischen", "für"]);
    let is_free = !is_span && words.get(at).is_some_and(|word| !word.stop);
    let (minutes, taken) =
        number(at).filter(|(minutes, _)| is_free && (5..=25).contains(minutes) && minutes % 5 == 0)?;
    let next = at + taken;
    let next = if matches!(words::norm(words, next), "minuten" | "minutes") { next + 1 } else { next };
    let is_before = match words::norm(words, next) {
        "vor" | "to" | "before" => true,
        "nach" | "past" | "after" => false,
        _ => return None,
    };
    let is_half = words::norm(words, next + 1) == "halb";
    let (hour, end) = hour(next + 1 + usize::from(is_half))?;
    // "10 to 12 people"
    if words.get(end).is_some_and(|word| word.among(&["people", "persons", "guests", "personen", "leute", "gäste"])) {
        return None;
    }
    let middle = from(hour) - if is_half { 30 } else { 0 };
    of(if is_before { middle - minutes } else { middle + minutes }, end)
}

/// Whether "am" at `at` is half of a day and no German preposition.
fn is_meridiem(words: &[Word<'_>], at: usize) -> bool {
    let next = words::norm(words, at + 1);
    words[at].stop
        || matches!(next, "" | "on" | "tomorrow" | "today" | "in" | "for" | "please" | "this" | "next" | "would")
}

/// Whether the number at `begin..end` behind "Uhr" is no minute: "19 Uhr, vier Personen", "15 Uhr am 3. März".
fn is_of_its_own(words: &[Word<'_>], begin: usize, end: usize, number: u32) -> bool {
    let is_followed = words.get(end).is_some_and(|next| !next.among(&["am", "an", "bitte", "morgen", "heute"]));
    let is_ordinal = words[begin].raw.ends_with('.') && end < words.len();
    words[begin - 1].stop || is_ordinal || (number < 10 && is_followed && !words[end - 1].stop)
}

/// "p.m" is written with its last dot.
fn with_its_dots(word: &Word<'_>) -> String {
    if matches!(word.norm.as_str(), "a.m" | "p.m") { format!("{}.", word.norm) } else { word.norm.clone() }
}

/// The number that `word` begins, and how many words it takes; an article is none.
fn brain_number(word: &str, next: &str) -> Option<(u32, usize)> {
    if matches!(word, "ein" | "eine" | "einen" | "einem" | "einer") {
        return None;
    }
    let words = [word, next];
    brain::cardinal(&words, Language::German).or_else(|| brain::cardinal(&words, Language::English))
}

/// The words that are no part of a time of day: "15 Uhr" is no day.
fn without_clock(words: &[Word<'_>]) -> String {
    let number = |at: usize| brain_number(words::norm(words, at), words::norm(words, at + 1)).map(|(_, taken)| taken);
    let mut kept: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let norm = words[at].norm.as_str();
        let after = at + 1;
        let is_named = matches!(norm, "um" | "gegen" | "ab" | "at" | "around" | "halb" | "dreiviertel");
        if let Some((_, _, end)) = beside_an_hour(words, if is_named { after } else { at }) {
            at = end;
            continue;
        }
        let next = words::norm(words, after);
        let is_part = matches!((norm, next), ("viertel" | "quarter" | "half", "vor" | "nach" | "past" | "to"));
        // "ab 15. März" is a day.
        let is_day = norm == "ab" && words.get(after).is_some_and(|word| word.stop && is_digits(&word.norm));
        let end = if is_clock(norm) {
            Some(after)
        } else if is_part {
            number(at + 2).map(|taken| at + 2 + taken)
        } else if is_named && !is_day {
            number(after).map(|taken| after + taken).or_else(|| is_clock(next).then_some(after + 1))
        } else {
            let is_hour = |end: &usize| is_hours(words::norm(words, *end)) || is_am(words, *end);
            number(at).map(|taken| at + taken).filter(is_hour)
        };
        let Some(mut end) = end else {
            kept.push(words[at].raw);
            at = after;
            continue;
        };
        if is_hours(words::norm(words, end)) || is_am(words, end) {
            end += 1;
        }
        // "15 Uhr 30", "at three thirty"
        if (is_named || words::norm(words, end.saturating_sub(1)) == "uhr")
            && let Some(taken) = number(end)
            && !(words[end].raw.ends_with('.') && end + 1 < words.len())
        {
            end += taken;
        }
        at = end;
    }
    kept.join(" ")
}

/// "15:30", "3pm".
fn is_clock(word: &str) -> bool {
    let has_digits = word.starts_with(|c: char| c.is_ascii_digit());
    has_digits && (word.contains(':') || word.ends_with("am") || word.ends_with("pm"))
}

fn is_hours(word: &str) -> bool {
    matches!(word, "uhr" | "o'clock" | "pm" | "p.m" | "a.m")
}

fn is_am(words: &[Word<'_>], at: usize) -> bool {
    words::norm(words, at) == "am" && is_meridiem(words, at)
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words of `text` but for greetings: "Guten Morgen" names no day, "good evening" no time.
fn without_greeting(text: &str) -> Vec<Word<'_>> {
    let words = words::of(text);
    let greets = |at: usize| {
        words.get(at).is_some_and(|word| word.among(&["guten", "schönen", "good", "gute"]))
            && words.get(at + 1).is_some_and(|word| word.among(DAYTIMES))
    };
    let is_kept = |at: usize| !greets(at) && !at.checked_sub(1).is_some_and(greets);
    let kept: Vec<bool> = (0..words.len()).map(is_kept).collect();
    words.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(word, _)| word).collect()
}

/// Stands between a time and a number that is none of its minutes.
const PAUSE: &str = "-";

const DAYTIMES: &[&str] =
    &["morgen", "tag", "abend", "nachmittag", "nacht", "morning", "day", "afternoon", "evening", "night"];

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;

    use super::*;

    const DE: [Language; 2] = [Language::German, Language::English];
    const EN: [Language; 2] = [Language::English, Language::German];

    #[test]
    fn days_are_found_beside_times_and_are_none_themselves() {
        // A Monday.
        let today = day(2026, 11, 30);
        for (text, is_asked, languages, found) in [
            ("am Dienstag um 15 Uhr", false, DE, Some(day(2026, 12, 1))),
            ("am 3. Dezember um 15 Uhr 30", false, DE, Some(day(2026, 12, 3))),
            ("morgen um neun", false, EN, Some(day(2026, 12, 1))),
            ("tomorrow at three pm", false, EN, Some(day(2026, 12, 1))),
            ("on Friday at half past three", false, DE, Some(day(2026, 12, 4))),
            ("am Montag, nein, am Dienstag", false, DE, Some(day(2026, 12, 1))),
            ("Dienstag", true, DE, Some(day(2026, 12, 1))),
            ("um 15 Uhr am 3. Dezember", false, DE, Some(day(2026, 12, 3))),
            ("am Dienstag um zehn vor acht", false, DE, Some(day(2026, 12, 1))),
            ("9 am", true, EN, None),
            ("zehn vor acht", true, DE, None),
            ("Guten Morgen, ich hätte gern einen Termin", false, DE, None),
            ("um 15 Uhr", false, DE, None),
            ("um 15 Uhr", true, DE, None),
            ("at three thirty", true, EN, None),
            ("mein Name ist Weber", true, DE, None),
            ("", true, DE, None),
        ] {
            assert_eq!(date(text, is_asked, languages, today), found, "{text}");
        }
    }

    #[test]
    fn times_are_found_beside_days_and_are_none_themselves() {
        let at = |hour, minute| Some(Time::constant(hour, minute, 0, 0));
        for (text, is_asked, languages, found) in [
            ("am Dienstag um 15 Uhr", false, DE, at(15, 0)),
            ("um sechzehn Uhr dreißig", false, DE, at(16, 30)),
            ("um halb vier", false, DE, at(15, 30)),
            ("viertel nach neun", true, DE, at(9, 15)),
            ("drei", true, DE, at(15, 0)),
            ("neun", true, DE, at(9, 0)),
            ("at three thirty", false, EN, at(15, 30)),
            ("ten forty five", true, EN, at(10, 45)),
            ("tomorrow at 9:15 a.m.", false, EN, at(9, 15)),
            ("4 p.m.", true, EN, at(16, 0)),
            ("5 am", true, EN, at(5, 0)),
            ("tomorrow at 5 am, please", false, EN, at(5, 0)),
            ("zehn vor acht", true, DE, at(7, 50)),
            ("um fünf nach halb vier", false, DE, at(15, 35)),
            ("viertel acht", true, DE, at(7, 15)),
            ("um drei viertel acht", false, DE, at(7, 45)),
            ("twenty past three", true, EN, at(15, 20)),
            ("ten to four pm", true, EN, at(15, 50)),
            ("five minutes to ten", true, EN, at(9, 55)),
            ("morgen um 19 Uhr vier Personen", false, DE, at(19, 0)),
            ("um 19 Uhr, 4 Personen", false, DE, at(19, 0)),
            ("at three, twelve people", true, EN, at(15, 0)),
            ("um 19 Uhr fünf", false, DE, at(19, 5)),
            ("um Mitternacht", false, DE, at(0, 0)),
            ("um 15:30.", false, EN, at(15, 30)),
            ("Guten Abend, ich hätte gern einen Tisch", false, DE, None),
            ("am 3. Dezember", false, DE, None),
            ("drei Personen", false, DE, None),
            ("my name is Weber", true, EN, None),
            ("10 to 12 people", false, EN, None),
            ("from ten to twelve people", false, EN, None),
            ("", true, DE, None),
        ] {
            assert_eq!(time(text, is_asked, languages), found, "{text}");
        }
    }
}
