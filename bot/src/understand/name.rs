//! Names of people: after "my name is" and its like, or as the answer to the question for one; spelled or not. Pure.

use super::{
    spelling,
    words::{self, Word, distance, norm},
};
use crate::brain;

/// The name in `text`, with capital letters. Where it was asked for, a short answer is one without "my name is".
pub(super) fn find(text: &str, is_asked: bool) -> Option<String> {
    let words = words::of(text);
    let told = (0..words.len()).find_map(|at| {
        let (begin, is_plain) = cue(&words, at)?;
        read(&words, begin, is_plain)
    });
    told.or_else(|| if is_asked { answer(&words) } else { None })
}

/// Where a name begins behind a phrase at `at`, and whether that phrase is said of names alone.
fn cue(words: &[Word<'_>], at: usize) -> Option<(usize, bool)> {
    let (phrase, is_plain) = CUES
        .iter()
        .find(|(phrase, _)| phrase.split(' ').enumerate().all(|(nth, word)| norm(words, at + nth) == word))?;
    Some((at + phrase.split(' ').count(), *is_plain))
}

/// The name that begins at `begin`. What "I am" introduces is a name only when it surely looks like one: "ich bin Kunde".
fn read(words: &[Word<'_>], begin: usize, is_plain: bool) -> Option<String> {
    let begin = begin + words[begin.min(words.len())..].iter().take_while(|word| word.among(ARTICLES)).count();
    let has_title = words.get(begin).is_some_and(|word| word.among(TITLES));
    let begin = begin + words[begin.min(words.len())..].iter().take_while(|word| word.among(TITLES)).count();
    if let Some(spelled) = spelling::run(words, begin) {
        return is_plain.then(|| capital(&spelled.letters));
    }
    let is_known = has_title || brain::is_first_name(norm(words, begin));
    if !is_plain && !is_known {
        return None;
    }
    let end = end_of(words, begin);
    let parts: Vec<&Word<'_>> = words.get(begin..end)?.iter().collect();
    if parts.is_empty() || parts.iter().all(|word| word.among(PARTICLES)) {
        return None;
    }
    let mut name: Vec<String> = parts.iter().map(|word| cased(word)).collect();
    // "Meier, M E Y E R": who spells knows.
    let spelled_at = end + words[end..].iter().take_while(|word| word.among(BEFORE_SPELLING)).count();
    if let Some(spelled) = spelling::run(words, spelled_at)
        && let Some(last) = name.last_mut()
        && distance(&last.to_lowercase(), &spelled.letters) <= spelled.letters.chars().count() / 2
    {
        *last = capital(&spelled.letters);
    }
    Some(name.join(" "))
}

/// Where the name ends: three names at most, in capitals where anything is; a mark ends it.
fn end_of(words: &[Word<'_>], begin: usize) -> usize {
    let is_written = words.iter().skip(1).any(Word::is_capital);
    let (mut end, mut names) = (begin, 0);
    while let Some(word) = words.get(end) {
        let is_particle = word.among(PARTICLES);
        let is_name = word.norm.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\''))
            && !word.among(NO_NAMES)
            && (!is_written || word.is_capital());
        if !(is_particle || is_name) || spelling::run(words, end).is_some() {
            break;
        }
        end += 1;
        names += usize::from(!is_particle);
        if word.stop || names == NAMES_MAX {
            break;
        }
    }
    end
}

/// An answer that is a name and little else.
fn answer(words: &[Word<'_>]) -> Option<String> {
    let begin = words.iter().take_while(|word| word.among(LEADS_IN)).count();
    let rest = &words[begin..];
    let is_brief = (1..=ANSWER_WORDS_MAX).contains(&rest.len());
    let is_question = rest.last().is_some_and(|word| word.raw.ends_with('?'));
    let is_spelled = (begin..words.len()).any(|at| spelling::run(words, at).is_some());
    if is_question || !(is_brief || is_spelled) || rest.first().is_some_and(|word| word.among(NO_NAMES)) {
        return None;
    }
    let name = read(words, begin, true)?;
    // "Weber hier", but not "drei Kilo Äpfel": most of the answer has to be the name.
    let telling = rest.iter().filter(|word| !word.among(BESIDE)).count();
    let is_most = is_spelled || 2 * name.split(' ').count() >= telling;
    is_most.then_some(name)
}

fn cased(word: &Word<'_>) -> String {
    if word.is_capital() || word.among(PARTICLES) { word.bare.to_owned() } else { capital(&word.norm) }
}

/// With a capital first letter, also behind a hyphen.
fn capital(text: &str) -> String {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    };
    text.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// What stands before a name, and whether it stands before nothing else.
#[rustfmt::skip]
const CUES: &[(&str, bool)] = &[
    ("mein name ist", true), ("mein name wäre", true), ("ich heiße", true), ("ich heisse", true), ("auf den namen", true),
    ("unter dem namen", true), ("der name ist", true), ("my name is", true), ("my name's", true), ("the name is", true),
    ("the name's", true), ("i'm called", true), ("nachname ist", true), ("vorname ist", true),
    ("name lautet", true), ("last name is", true), ("surname is", true), ("first name is", true), ("call me", false),
    ("under the name", true), ("name of", true), ("ich bin", false),
    ("hier ist", false), ("hier spricht", false), ("am apparat", false), ("i am", false), ("i'm", false), ("this is", false),
    ("it's", false),
];

const ARTICLES: &[&str] = &["der", "die", "of"];

#[rustfmt::skip]
const TITLES: &[&str] = &[
    "herr", "frau", "dr", "doktor", "prof", "professor", "mr", "mrs", "ms", "miss", "mister", "doctor",
];

const PARTICLES: &[&str] =
    &["von", "van", "de", "der", "den", "zu", "zur", "ter", "bin", "al", "la", "da", "di", "del", "mac"];

/// What follows "my name is" or "I am" and is no name.
#[rustfmt::skip]
const NO_NAMES: &[&str] = &[
    "sie", "ihnen", "dich", "euch", "egal", "und", "ich", "aber", "nicht", "nein", "ja", "das", "am", "um", "auf", "in",
    "bei", "aus", "hier", "da", "mit", "noch", "schon", "sehr", "bitte", "danke", "weiß", "keine", "kein", "ein", "eine",
    "einen", "wie", "was", "wer", "wo", "wann", "warum", "not", "on", "at", "from", "in", "the", "a", "an", "and", "but",
    "here", "it", "is", "no", "yes", "what", "who", "why", "how", "when", "where", "not", "you", "your", "i", "we", "so",
    "please", "thanks", "for", "with", "calling", "speaking", "morgen", "heute", "tomorrow", "today", "okay", "ok", "moment",
    "warten", "wait", "hallo", "hello", "montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "ist", "möchte", "will", "want", "would",
    "need", "brauche", "next", "nächsten", "nächste", "can", "could", "kann", "können", "egal", "eins", "zwei", "drei",
    "vier", "fünf", "stimmt", "falsch", "richtig", "genau", "wrong", "right", "correct", "incorrect", "passt", "one", "two", "three", "four", "five", "that", "this", "my", "mein", "meine", "never", "nie", "to",
    "null", "sechs", "sieben", "acht", "neun", "zehn", "zero", "six", "seven", "eight", "nine", "ten", "keinen", "jeden",
    "vielen", "dank", "guten", "gute", "good", "wiederhören", "wiedersehen", "wiederholen", "tschüss", "tschüß", "ciao", "bye",
    "goodbye", "habe", "hab", "hätte", "würde", "wollte", "rufe", "suche", "sag", "sage", "geht", "hören", "alles", "niemand",
    "wieso", "weshalb", "nochmal", "hilfe", "abbrechen", "stopp", "i'd", "i'm", "i'll", "i've", "it's", "that's", "don't",
    "can't", "have", "had", "got", "looking", "hold", "hang", "say", "said", "repeat", "pardon", "excuse", "thank",
    "course", "nobody", "stop", "help",
];

/// What an answer may begin with.
#[rustfmt::skip]
const LEADS_IN: &[&str] = &[
    "ja", "äh", "ähm", "also", "das", "ist", "gern", "gerne", "natürlich", "klar", "yes", "sure", "uh", "um", "well",
    "that's", "it's", "okay", "ok", "hier", "nein", "no", "sorry", "entschuldigung", "auf", "unter", "für", "under", "for",
    "mein", "my", "name", "nachname", "last", "surname", "is", "hm", "hmm", "ach", "ah", "er", "erm",
];

/// What stands beside a name in an answer: "Weber ist mein Name".
#[rustfmt::skip]
const BESIDE: &[&str] = &[
    "ist", "mein", "name", "bitte", "danke", "hier", "am", "apparat", "is", "my", "the", "please", "thanks", "here", "speaking",
];

/// What may stand between a name and its letters.
#[rustfmt::skip]
const BEFORE_SPELLING: &[&str] = &[
    "also", "das", "ist", "buchstabiert", "ich", "buchstabiere", "spelled", "spelt", "that's", "that", "is", "mit", "with",
];

/// First name, second name, family name.
const NAMES_MAX: usize = 3;

/// An answer with more words is no name.
const ANSWER_WORDS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_somebody_says_theirs() {
        for (text, is_asked, name) in [
            ("Mein Name ist Anna Weber.", false, Some("Anna Weber")),
            ("Guten Tag, ich heiße Jürgen von der Heide und möchte etwas", false, Some("Jürgen von der Heide")),
            ("my name is john smith", false, Some("John Smith")),
            ("My name is Mary-Jane O'Neill, hello", false, Some("Mary-Jane O'Neill")),
            ("Hallo, hier ist Frau Weber", false, Some("Weber")),
            ("Hi, this is Peter Miller calling", false, Some("Peter Miller")),
            ("I'm Sarah", false, Some("Sarah")),
            ("Mein Name ist Meier, M E Y E R", false, Some("Meyer")),
            ("mein Name ist S C H M I doppel T", false, Some("Schmitt")),
            ("a table under the name Miller please", false, Some("Miller")),
            ("Weber", true, Some("Weber")),
            ("Ja, das ist Anna Weber.", true, Some("Anna Weber")),
            ("anna weber", true, Some("Anna Weber")),
            ("W E B E R", true, Some("Weber")),
            ("Auf Müller, bitte.", true, Some("Müller")),
            ("Weber ist mein Name", true, Some("Weber")),
            ("Mein Name? Weber.", true, Some("Weber")),
            ("under Miller please", true, Some("Miller")),
            ("my last name is miller", false, Some("Miller")),
            ("my name is john smith i'd like a table", false, Some("John Smith")),
            // Traps.
            ("Ich bin Kunde bei Ihnen", false, None),
            ("Ich bin am Dienstag da", false, None),
            ("I'm late", false, None),
            ("This is urgent", false, None),
            ("Ich heiße Sie willkommen", false, None),
            ("Mein Name ist egal", false, None),
            ("my name is on the list", false, None),
            ("Weber", false, None),
            ("Was meinen Sie?", true, None),
            ("am Dienstag um drei", true, None),
            ("Ich möchte lieber mit jemand anderem sprechen", true, None),
            ("nein", true, None),
            ("Vielen Dank", true, None),
            ("Auf Wiederhören", true, None),
            ("Auf keinen Fall", true, None),
            ("Guten Tag", true, None),
            ("Hold on", true, None),
            ("Hm", true, None),
            ("call me back", false, None),
            ("für vier", true, None),
            ("", true, None),
        ] {
            assert_eq!(find(text, is_asked).as_deref(), name, "{text}");
        }
    }
}
