//! Yes, no and never mind, as answers to a question of ours; and what of a correction is the new value. Pure.

use super::{
    digits,
    words::{self, Word},
};

/// What an answer says to a question that can be answered by yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Yes,
    No,
}

/// Whether `text` agrees or denies; nothing where it does neither, or both. How it begins counts, and a denial anywhere in a
/// short answer: "that is not right".
pub(super) fn of(text: &str) -> Option<Meaning> {
    let words = words::of(text);
    let mut opening = words.iter().filter(|word| !word.among(HESITATION));
    let first = opening.next()?;
    let is_short = words.len() <= SHORT;
    let has = |norms: &[&str]| words.iter().any(|word| word.among(norms));
    if is_short && has_phrase(&words, FINE) {
        return Some(Meaning::Yes);
    }
    if first.among(NO) {
        // "No, that's right" may mean either.
        let is_both = is_short && has(RIGHT) && words.iter().all(|word| word.among(NO) || says_nothing_else(word));
        return if is_both && !has(WRONG) { None } else { Some(Meaning::No) };
    }
    if is_short && has(WRONG) {
        return Some(Meaning::No);
    }
    if first.among(YES) {
        let second = opening.next();
        // "Yeah, no" and "yes, but": what follows counts; "ja, ne" asks for consent.
        let takes_back = second.is_some_and(|word| word.among(NO) && word.norm != "ne");
        let has_but = words.windows(2).any(|pair| pair[0].among(BUT) && !pair[1].among(YES));
        if takes_back || has_but {
            return Some(Meaning::No);
        }
        return if has(WRONG) { None } else { Some(Meaning::Yes) };
    }
    (is_short && (has(RIGHT) || has_phrase(&words, AGREES))).then_some(Meaning::Yes)
}

/// Whether the caller wants to leave it at that: a short turn that says nothing else, and does not deny that.
pub(super) fn is_cancel(text: &str) -> bool {
    let words = words::of(text);
    let said = joined(&words);
    if words.len() > SHORT {
        return false;
    }
    let said = said.trim();
    if CANCEL_ALONE.contains(&said) || CANCEL_AT_THE_END.iter().any(|phrase| said.ends_with(*phrase)) {
        return true;
    }
    let said = format!(" {said} ");
    // "Vergessen Sie es nicht" wants the contrary.
    let rest = CANCEL.iter().find_map(|phrase| said.split_once(&format!(" {phrase} ")));
    rest.is_some_and(|(before, after)| before.split(' ').chain(after.split(' ')).all(|word| !DENIALS.contains(&word)))
}

/// Whether nothing is wrong, to somebody who was asked what is.
pub(super) fn is_nothing(text: &str) -> bool {
    let words = words::of(text);
    words.len() <= SHORT && words.iter().any(|word| word.among(&["nichts", "nix", "nothing"]))
}

/// Whether `text` takes something back that was said before: "nein, am Dienstag", "sorry, I mean Tuesday".
pub(super) fn is_correction(text: &str) -> bool {
    let words = words::of(text);
    let begins =
        words.iter().find(|word| !word.among(HESITATION)).is_some_and(|word| word.among(CORRECTS) || word.among(NO));
    begins || has_phrase(&words, MEANS)
}

/// What is right and what is wrong in a correction: of "no, 4 5 not 5 4" `4 5` and `5 4`, of "nicht am Montag, sondern am
/// Dienstag" `am Dienstag` and `am Montag`, of "am Montag geht es nicht, am Dienstag schon" `am Dienstag schon` and `am
/// Montag geht es`. All of it is right where nothing is said to be wrong.
pub(super) fn parted(text: &str) -> (String, Option<String>) {
    let words = words::of(text);
    let count = words.len();
    let is_lead = |word: &Word<'_>| word.among(NO) || word.among(HESITATION) || word.among(CORRECTS);
    let begin = words.iter().take_while(|word| is_lead(word)).count();
    let said = |from: usize, to: usize| words[from..to].iter().map(|word| word.raw).collect::<Vec<_>>().join(" ");
    let but = words.iter().position(|word| word.among(&["sondern", "but", "instead"]));
    if let Some(but) = but.filter(|but| *but + 1 < count && !denies(&words, *but) && !denies(&words, *but + 1)) {
        let wrong_at = (0..but).find(|at| denies(&words, *at));
        return (said(but + 1, count), wrong_at.map(|at| said(at + 1, but)));
    }
    let Some(at) = (begin..count).find(|at| denies(&words, *at)) else { return (said(begin, count), None) };
    // Behind the clause that denies.
    let end = (at..count).find(|at| words[*at].stop).map_or(count, |at| at + 1);
    let ends_there = end == at + 1 || words.get(at + 1).is_some_and(|word| word.among(DENIED_BEFORE));
    if ends_there {
        // "Am Montag kann ich nicht"
        return (said(end, count), Some(said(begin, at)));
    }
    if at == begin {
        // "nicht am Montag" begins with what is wrong.
        return (said(end, count), Some(said(at + 1, end)));
    }
    // Digits are parted by commas too: "4, 5, not 5, 4".
    let wrong_to = if digits::run(&words, end).is_some() { count } else { end };
    let right = [said(begin, at), said(wrong_to, count)];
    (right.join(" ").trim().to_owned(), Some(said(at + 1, wrong_to)))
}

/// `text` without the clauses that deny: what is not wanted is no value for anything.
pub(super) fn granted(text: &str) -> String {
    let words = words::of(text);
    let mut kept: Vec<&str> = Vec::new();
    let mut begin = 0;
    for (at, word) in words.iter().enumerate() {
        let ends = word.stop || at + 1 == words.len() || words[at + 1].among(JOINS);
        if ends {
            if !(begin..=at).any(|at| denies(&words, at)) {
                kept.extend(words[begin..=at].iter().map(|word| word.raw));
            }
            begin = at + 1;
        }
    }
    kept.join(" ")
}

/// Whether the word at `at` denies what stands beside it.
fn denies(words: &[Word<'_>], at: usize) -> bool {
    let Some(word) = words.get(at) else { return false };
    let next = words::norm(words, at + 1);
    match word.norm.as_str() {
        "instead" => next == "of",
        "rather" => next == "than",
        "not" | "nicht" if at > 0 && words[at - 1].among(&["why", "warum", "wieso"]) => false,
        // Doubts deny nothing.
        "not" | "nicht" => !matches!(next, "sure" | "certain" | "sicher" | "nur" | "only" | "wahr"),
        norm => DENIALS.contains(&norm),
    }
}

/// Whether `phrases` has one that is said, of whole words.
fn has_phrase(words: &[Word<'_>], phrases: &[&str]) -> bool {
    let said = format!(" {} ", joined(words));
    phrases.iter().any(|phrase| said.contains(&format!(" {phrase} ")))
}

fn joined(words: &[Word<'_>]) -> String {
    words.iter().map(|word| word.norm.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whether a word beside "right" says nothing by itself.
fn says_nothing_else(word: &Word<'_>) -> bool {
    let fillers = ["das", "ist", "so", "alles", "schon", "that's", "that", "is", "it's", "all"];
    word.among(RIGHT) || word.among(HESITATION) || word.among(YES) || word.among(&fillers)
}

#[rustfmt::skip]
const YES: &[&str] = &[
    "ja", "jawohl", "jo", "jep", "jap", "jup", "joa", "mhm", "genau", "stimmt", "richtig", "korrekt", "passt", "gerne", "gern",
    "klar", "natürlich", "selbstverständlich", "sicher", "gut", "okay", "ok", "einverstanden", "yes", "yeah", "yep", "yup",
    "yah", "uh-huh", "mm-hmm", "correct", "right", "exactly", "sure", "absolutely", "definitely", "certainly", "indeed", "fine",
];

/// Words that agree wherever they stand in a short answer.
#[rustfmt::skip]
const RIGHT: &[&str] = &[
    "stimmt", "richtig", "korrekt", "passt", "ordnung", "gut", "correct", "right", "perfect", "perfekt", "fine", "course",
];

#[rustfmt::skip]
const NO: &[&str] = &["nein", "nee", "ne", "nö", "falsch", "no", "nope", "nah", "wrong"];

/// Words that deny wherever they stand in a short answer.
#[rustfmt::skip]
const WRONG: &[&str] = &[
    "nicht", "falsch", "kein", "keine", "keinen", "fehler", "problem", "not", "wrong", "isn't", "ain't", "wasn't", "aren't",
    "don't", "incorrect", "doesn't", "mistake", "error",
];

/// Words that deny, and agree all the same.
#[rustfmt::skip]
const FINE: &[&str] = &[
    "kein problem", "keine frage", "kein thema", "nicht schlecht", "warum nicht", "no problem", "not a problem", "no worries",
    "not bad", "why not", "no doubt",
];

/// What agrees where nothing denies it: "so ist es nicht".
const AGREES: &[&str] = &["so ist es", "das ist es", "auf jeden fall", "sounds good", "all good", "it is yes"];

/// What takes back a part of a yes.
const BUT: &[&str] = &["aber", "außer", "but", "except"];

#[rustfmt::skip]
const DENIALS: &[&str] = &[
    "nicht", "kein", "keine", "keinen", "keinem", "keiner", "nie", "niemals", "statt", "anstatt", "ohne", "not", "don't",
    "doesn't", "can't", "cannot", "won't", "isn't", "never", "without",
];

/// What follows a denial of what was said before it: "Monday doesn't work", "am Montag habe ich keine Zeit".
#[rustfmt::skip]
const DENIED_BEFORE: &[&str] = &[
    "zeit", "gut", "so", "möglich", "recht", "richtig", "kommen", "good", "work", "suit", "fit", "possible", "right", "correct",
    "free", "available", "okay", "ok",
];

/// What begins another clause.
const JOINS: &[&str] = &["und", "aber", "sondern", "and", "but"];

#[rustfmt::skip]
const HESITATION: &[&str] = &[
    "äh", "ähm", "hm", "hmm", "also", "na", "naja", "ach", "ah", "tja", "nun", "uh", "um", "er", "erm", "well", "oh", "so",
];

#[rustfmt::skip]
const CORRECTS: &[&str] = &[
    "doch", "sorry", "entschuldigung", "verzeihung", "pardon", "moment", "warte", "warten", "stopp", "quatsch", "actually",
    "halt", "wait", "stop",
];

#[rustfmt::skip]
const MEANS: &[&str] = &[
    "ich meine", "ich meinte", "ich sagte", "ich habe gesagt", "lieber", "stattdessen", "i mean", "i meant", "i said",
    "make that", "make it", "instead", "rather",
];

#[rustfmt::skip]
const CANCEL: &[&str] = &[
    "abbrechen", "vergiss es", "vergessen sie es", "vergessen sie's", "ach egal", "lassen wir das", "lassen wir es",
    "lassen sie es", "never mind", "nevermind", "forget it", "cancel that", "cancel it", "stop that", "leave it",
    "hat sich erledigt", "changed my mind",
];

/// What only leaves it at that when it is all that is said.
const CANCEL_ALONE: &[&str] = &["cancel", "cancel please", "please cancel", "abbruch"];

/// What goes on with a value means that one: "doch nicht am Montag".
const CANCEL_AT_THE_END: &[&str] = &["doch nicht", "anders überlegt", "will nicht mehr", "möchte nicht mehr"];

/// Words of an answer that says nothing else.
const SHORT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_told_apart_in_both_languages() {
        use Meaning::{No, Yes};
        for (text, meaning) in [
            ("Ja.", Some(Yes)),
            ("Ja, das stimmt so.", Some(Yes)),
            ("äh, genau", Some(Yes)),
            ("Das ist richtig.", Some(Yes)),
            ("yes please", Some(Yes)),
            ("That's correct.", Some(Yes)),
            ("Kein Problem", Some(Yes)),
            ("Nein, kein Problem.", Some(Yes)),
            ("That's fine.", Some(Yes)),
            ("Of course.", Some(Yes)),
            ("Ja, aber gern.", Some(Yes)),
            ("not bad", Some(Yes)),
            ("Nein.", Some(No)),
            ("Nein, am Dienstag.", Some(No)),
            ("Das stimmt nicht.", Some(No)),
            ("That's not right", Some(No)),
            ("no, four five", Some(No)),
            ("Ach nein.", Some(No)),
            ("Yeah, no.", Some(No)),
            ("Nein, das ist schlecht.", Some(No)),
            ("Da ist ein Fehler.", Some(No)),
            ("That ain't right.", Some(No)),
            ("Ja, aber am Mittwoch.", Some(No)),
            ("of course not", Some(No)),
            ("So ist es.", Some(Yes)),
            ("So ist es nicht.", Some(No)),
            // Both.
            ("No, that's right.", None),
            ("Ja, also ich glaube, der Name stimmt so nicht", None),
            ("am Dienstag um drei", None),
            ("Wie bitte?", None),
            ("what did you say", None),
            ("", None),
        ] {
            assert_eq!(of(text), meaning, "{text}");
        }
    }

    #[test]
    fn a_correction_says_what_is_right_and_what_is_wrong() {
        for (text, right, wrong) in [
            ("no, 4 5 not 5 4", "4 5", Some("5 4")),
            ("nein, am Dienstag", "am Dienstag", None),
            ("nicht am Montag, sondern am Dienstag", "am Dienstag", Some("am Montag,")),
            ("not Monday but Tuesday", "Tuesday", Some("Monday")),
            ("am Dienstag, nicht am Montag", "am Dienstag,", Some("am Montag")),
            ("nein, nicht am Montag", "", Some("am Montag")),
            ("nicht am Montag, am Dienstag", "am Dienstag", Some("am Montag,")),
            ("Am Montag kann ich nicht, am Dienstag schon", "am Dienstag schon", Some("Am Montag kann ich")),
            ("Am Montag habe ich keine Zeit", "", Some("Am Montag habe ich")),
            ("Monday doesn't work, Tuesday does", "Tuesday does", Some("Monday")),
            ("I can't do Monday, Tuesday works", "I Tuesday works", Some("do Monday,")),
            ("Tuesday instead of Monday", "Tuesday", Some("of Monday")),
            ("Tuesday, but not Monday", "Tuesday, but", Some("Monday")),
            ("no, 4, 5, not 5, 4", "4, 5,", Some("5, 4")),
            ("Ich bin nicht sicher, vielleicht Dienstag", "Ich bin nicht sicher, vielleicht Dienstag", None),
            ("am Dienstag", "am Dienstag", None),
            ("nein", "", None),
            ("", "", None),
        ] {
            assert_eq!(parted(text), (right.to_owned(), wrong.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn never_mind_ends_it_and_a_long_turn_does_not() {
        for (text, is_one) in [
            ("Vergiss es.", true),
            ("Ach, lassen wir das", true),
            ("never mind, thanks", true),
            ("doch nicht", true),
            ("Cancel, please.", true),
            ("Ach, egal.", true),
            ("Ich habe es mir anders überlegt", true),
            ("Vergessen Sie es nicht!", false),
            ("Don't forget it", false),
            ("Bitte nicht abbrechen", false),
            ("doch nicht am Montag", false),
            ("Das ist mir egal", false),
            ("cancel my order", false),
            ("Es ist mir egal, ob das um drei oder um vier ist", false),
            ("am Dienstag", false),
        ] {
            assert_eq!(is_cancel(text), is_one, "{text}");
        }
        for (text, is_one) in [
            ("nein, am Dienstag", true),
            ("Entschuldigung, am Dienstag", true),
            ("Ach nein, am Dienstag", true),
            ("Lieber am Dienstag", true),
            ("I said Tuesday", true),
            ("I mean Tuesday", true),
            ("make it four", true),
            ("am Dienstag", false),
            ("Tuesday please", false),
        ] {
            assert_eq!(is_correction(text), is_one, "{text}");
        }
    }

    #[test]
    fn what_is_denied_is_not_granted() {
        for (text, left) in [
            ("Ich möchte einen Termin, aber nicht am Montag", "Ich möchte einen Termin,"),
            ("Ich war noch nicht bei Ihnen und möchte am Montag kommen", "und möchte am Montag kommen"),
            ("I can't do Monday", ""),
            ("a table for two", "a table for two"),
            ("", ""),
        ] {
            assert_eq!(granted(text), left, "{text}");
        }
        assert!(is_nothing("Nichts, alles gut.") && !is_nothing("die Uhrzeit"));
    }
}
