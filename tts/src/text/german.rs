//! What German reads by its own rules: dates, times of day, ordinals with their endings, opening hours.

mod number;
mod tables;

pub(super) use self::tables::LEXICON;
use self::tables::{MONTHS, ORDINAL_NOUNS, WEEKDAYS};
use super::{
    figures::{self, Clock, Day, small},
    reading::{Line, Reading, grouped_digits},
};

/// Reads what German reads in its own way; nothing for anything else.
pub(super) fn read(line: Line<'_>) -> Option<Reading> {
    if line.now().core.is_empty() {
        return None;
    }
    date(line)
        .or_else(|| time(line))
        .or_else(|| weekdays(line))
        .or_else(|| ordinal(line))
        .or_else(|| code(line))
        .or_else(|| year_alone(line))
        .or_else(|| gendered(line.now().core).map(|word| Reading::of(1, word)))
}

/// A date, its day with the ending of where it stands: "am dritten Mai".
pub(super) fn day_in_words(day: Day, ending: &str) -> String {
    let mut words = Vec::new();
    if let Some(day) = day.day {
        words.push(format!("{}{ending}", number::ordinal_stem(day)));
    }
    words.push(MONTHS[day.month - 1].0.to_owned());
    words.extend(day.year.map(number::year));
    words.join(" ")
}

/// A time of day: "vierzehn Uhr dreißig".
pub(super) fn clock_in_words(clock: Clock) -> String {
    let mut words = format!("{} Uhr", number::before_noun(clock.hour));
    if clock.minute > 0 || clock.second.is_some() {
        words.push(' ');
        words.push_str(&number::cardinal(clock.minute));
    }
    if let Some(second) = clock.second {
        words.push_str(&format!(
            " und {} {}",
            number::before_noun(second),
            if second == 1 { "Sekunde" } else { "Sekunden" }
        ));
    }
    words
}

/// An ordinal that stands alone.
pub(super) fn ordinal_in_words(number: u64) -> String {
    format!("{}e", number::ordinal_stem(number))
}

fn date(line: Line<'_>) -> Option<Reading> {
    let now = line.now();
    if let Some(day) = figures::iso_day(now.core) {
        return Some(Reading::of(1, day_in_words(day, ending(line, "er"))));
    }
    // 3.5.2026, 03.05.26, and 3.5. with its stop.
    let mut parts = now.core.split('.');
    if let (Some(day), Some(month), year, None) = (parts.next(), parts.next(), parts.next(), parts.next())
        && (year.is_some() || now.has_stop())
        && let Some(day) = figures::day(day, month, year)
    {
        let spoken = day_in_words(day, ending(line, "er"));
        if year.is_some() {
            return Some(Reading::of(1, spoken));
        }
        // The stop belongs to the date, and nothing tells whether it ends a sentence but what follows.
        let is_over = line.following().is_none_or(|next| next.core.chars().next().is_some_and(char::is_uppercase));
        return Some(Reading { taken: 1, spoken, keeps_stop: is_over });
    }
    // 3. Mai 2026.
    if let Some(day) = small(now.core, 1..=2, 31).filter(|day| *day > 0 && now.tail == ".") {
        let next = line.following()?;
        let month = month(next.core)?;
        let abbreviated = next.has_stop() && !is_full(next.core);
        let year = line.tokens.get(line.at + 2).filter(|_| next.tail.is_empty() || next.tail == "." && abbreviated);
        let year = year.and_then(|year| small(year.core, 4..=4, 2_999)).filter(|year| *year >= 1_000);
        let spoken = day_in_words(Day { day: Some(day), month, year }, ending(line, "er"));
        let taken = if year.is_some() { 3 } else { 2 };
        return Some(if abbreviated && year.is_none() {
            Reading::with_stop(taken, spoken)
        } else {
            Reading::of(taken, spoken)
        });
    }
    // Mai 2026.
    let month = month(now.core).filter(|_| is_full(now.core))?;
    let year = small(line.next(1)?.core, 4..=4, 2_999).filter(|year| *year >= 1_000)?;
    Some(Reading::of(2, day_in_words(Day { day: None, month, year: Some(year) }, "")))
}

fn month(word: &str) -> Option<usize> {
    MONTHS.iter().position(|(full, short)| *full == word || *short == word).map(|at| at + 1)
}

fn is_full(word: &str) -> bool {
    MONTHS.iter().any(|(full, _)| *full == word)
}

/// The ending of an ordinal, from the words before it.
fn ending(line: Line<'_>, alone: &'static str) -> &'static str {
    const DATIVE: [&str; 22] = [
        "am",
        "vom",
        "zum",
        "dem",
        "den",
        "des",
        "im",
        "beim",
        "ab",
        "bis",
        "seit",
        "jeden",
        "jedem",
        "diesen",
        "diesem",
        "einen",
        "einem",
        "ersten",
        "ihren",
        "ihrem",
        "nächsten",
        "letzten",
    ];
    const BEFORE_DATIVE: [&str; 11] = ["in", "zu", "von", "mit", "bei", "nach", "aus", "an", "auf", "seit", "vor"];
    let before = line.before(1);
    // "am Montag, 3. Mai"
    if WEEKDAYS.iter().any(|(full, _)| full.to_lowercase() == before) {
        return if DATIVE.contains(&line.before(2).as_str()) { "en" } else { alone };
    }
    match before.as_str() {
        "der" if BEFORE_DATIVE.contains(&line.before(2).as_str()) => "en",
        "der" | "die" | "das" | "dieser" | "diese" | "dieses" | "jede" | "eine" => "e",
        "ein" | "mein" | "ihr" | "kein" => "er",
        word if DATIVE.contains(&word) => "en",
        _ => alone,
    }
}

fn time(line: Line<'_>) -> Option<Reading> {
    let now = line.now();
    let next_is_uhr = line.next(1).is_some_and(|next| next.core == "Uhr");
    let core = now.core.strip_suffix('h').unwrap_or(now.core);
    let taken = if next_is_uhr { 2 } else { 1 };
    let clock = |text: &str| figures::clock(text, ':').or_else(|| figures::clock(text, '.').filter(|_| next_is_uhr));
    if let Some(clock) = clock(core) {
        return Some(Reading::of(taken, clock_in_words(clock)));
    }
    // 8-17 Uhr, 8:00-12:30.
    if let Some((from, to)) = core.split_once(['-', '–']) {
        let whole = |text: &str| {
            let hour = small(text, 1..=2, 24).filter(|_| next_is_uhr)?;
            Some(Clock { hour, minute: 0, second: None })
        };
        let (early, late) = (clock(from).or_else(|| whole(from))?, clock(to).or_else(|| whole(to))?);
        let early = match early {
            Clock { hour, minute: 0, second: None } if whole(from).is_some() => number::cardinal(hour),
            early => clock_in_words(early),
        };
        return Some(Reading::of(taken, format!("{early} bis {}", clock_in_words(late))));
    }
    // 9 Uhr, 9 Uhr 30.
    let hour = small(core, 1..=2, 24).filter(|_| next_is_uhr)?;
    let minute = line.next(2).and_then(|token| small(token.core, 1..=2, 59));
    // "um 9 Uhr 3 Personen" has a word after the figure.
    let minute =
        minute.filter(|_| line.next(3).is_none_or(|after| after.core.chars().next().is_some_and(char::is_lowercase)));
    let clock = Clock { hour, minute: minute.unwrap_or_default(), second: None };
    Some(Reading::of(if minute.is_some() { 3 } else { 2 }, clock_in_words(clock)))
}

/// Mo-Fr, Mo.–Fr., and Mo. alone.
fn weekdays(line: Line<'_>) -> Option<Reading> {
    let now = line.now();
    let full = |short: &str| {
        let short = short.trim_end_matches('.');
        WEEKDAYS.iter().find(|(_, known)| *known == short).map(|(full, _)| *full)
    };
    if let Some((from, to)) = now.core.split_once(['-', '–']) {
        let spoken = format!("{} bis {}", full(from)?, full(to)?);
        let is_over = line.following().is_none();
        return Some(Reading { taken: 1, spoken, keeps_stop: is_over || !now.has_stop() });
    }
    // "Fr." may be a woman, "So." the word that ends a sentence.
    let is_sure = match now.core {
        "So" => false,
        "Fr" => !line.following().is_some_and(|next| next.core.chars().next().is_some_and(char::is_uppercase)),
        _ => true,
    };
    let spoken = full(now.core).filter(|_| now.has_stop() && is_sure)?;
    Some(Reading { taken: 1, spoken: spoken.to_owned(), keeps_stop: line.following().is_none() })
}

fn ordinal(line: Line<'_>) -> Option<Reading> {
    let now = line.now();
    let number = small(now.core, 1..=3, 999).filter(|number| *number > 0 && now.tail == ".")?;
    let next = line.following()?;
    let first = next.core.chars().next()?;
    let is_noun = ORDINAL_NOUNS.contains(&next.core);
    // A small letter after the stop: no sentence has begun.
    if !first.is_lowercase() && !is_noun {
        return None;
    }
    Some(Reading::with_stop(1, format!("{}{}", number::ordinal_stem(number), ending(line, "e"))))
}

/// A row of digits after a word that says it is a code: digit by digit.
fn code(line: Line<'_>) -> Option<Reading> {
    const CODES: [&str; 16] = [
        "pin",
        "tan",
        "code",
        "nummer",
        "nr",
        "kennwort",
        "durchwahl",
        "notruf",
        "telefon",
        "tel",
        "fax",
        "plz",
        "konto",
        "aktenzeichen",
        "wählen",
        "wähle",
    ];
    let core = line.now().core;
    (figures::is_digits(core) && core.len() >= 3 && line.follows(&CODES))
        .then(|| Reading::of(1, grouped_digits(core, &LEXICON)))
}

/// A year after a word that says it is one; from 2000 on a year is read as any number.
fn year_alone(line: Line<'_>) -> Option<Reading> {
    const BEFORE: [&str; 12] =
        ["im", "jahr", "jahre", "jahres", "seit", "anno", "sommer", "winter", "herbst", "frühjahr", "frühling", "ende"];
    let year = small(line.now().core, 4..=4, 1_999).filter(|year| *year >= 1_100)?;
    BEFORE.contains(&line.before(1).as_str()).then(|| Reading::of(1, number::year(year)))
}

/// "Kund*innen", "Kund:innen" and "Kund_innen": said with a little break.
fn gendered(word: &str) -> Option<String> {
    let (head, tail) = word.split_once(['*', ':', '_'])?;
    let is_ending = ["in", "innen", "n", "r", "e"].contains(&tail);
    (is_ending && head.chars().count() > 2 && head.chars().all(char::is_alphabetic)).then(|| format!("{head}-{tail}"))
}

#[cfg(test)]
mod tests {
    use crate::{text::read, voice::Language};

    #[test]
    fn german_is_read_as_people_say_it() {
        let rows = include_str!("../../tests/data/read_de.tsv").lines().filter(|line| !line.is_empty());
        let wrong: Vec<_> = rows
            .map(|row| row.split_once('\t').expect("two columns"))
            .filter(|(written, spoken)| read(written, Language::GERMAN) != *spoken)
            .map(|(written, spoken)| (read(written, Language::GERMAN), spoken))
            .collect();
        assert!(wrong.is_empty(), "said, and to be said: {wrong:#?}");
    }
}
