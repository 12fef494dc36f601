//! What somebody wants, of the list of a persona: patterns of words, and how much of what was said they cover.
//!
//! Pure. A turn may want several things: each clause is looked at by itself, in the order in which it was said. How sure an
//! intent is, is the share of the clause's telling words that its pattern names; greetings, articles, numbers and days tell
//! nothing. A clause that denies ("I don't want to book") wants nothing, unless the pattern itself denies.

use super::words::{self, Word};
use crate::{
    brain::{self, Language},
    persona::Intent,
};

/// Words in an order: `termin* * machen|buchen bitte?`.
///
/// A word is itself; `termin*` and `*termin` are all that begin or end so; `a|b` is either; `word?` may be missing; a `*`
/// alone is up to four words of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Word { any: Vec<Glob>, is_optional: bool },
    Gap,
}

/// A word, or the beginning or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    text: String,
    before: bool,
    after: bool,
}

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It has no word that has to be said.
    #[error("a pattern needs a word that has to be said")]
    Empty,
    /// It begins or ends with words of any kind, which every pattern does.
    #[error("a pattern begins and ends with a word, not with *")]
    Edge,
    /// It is longer than anybody speaks.
    #[error("a pattern has {PARTS_MAX} words at most")]
    Long,
    /// Its gaps could be filled in more ways than anybody waits for.
    #[error("a pattern has {GAPS_MAX} gaps (*) at most")]
    Gaps,
    /// One of its words is no word.
    #[error("a word of a pattern is letters and digits, with * at an end, | between and ? behind")]
    Word,
}

/// Something that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recognized {
    /// Its place in the persona's list.
    pub intent: usize,
    /// How sure that is, 0 to 1.
    pub confidence: f32,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let parts = text.split_whitespace().map(part).collect::<Result<Vec<Part>, BadPattern>>()?;
        if parts.len() > PARTS_MAX {
            return Err(BadPattern::Long);
        }
        if parts.iter().filter(|part| matches!(part, Part::Gap)).count() > GAPS_MAX {
            return Err(BadPattern::Gaps);
        }
        if matches!(parts.first(), Some(Part::Gap)) || matches!(parts.last(), Some(Part::Gap)) {
            return Err(BadPattern::Edge);
        }
        if !parts.iter().any(|part| matches!(part, Part::Word { is_optional: false, .. })) {
            return Err(BadPattern::Empty);
        }
        Ok(Self { parts })
    }

    /// Which of `words` it names, where it fits somewhere.
    fn find(&self, words: &[Word<'_>]) -> Option<Vec<usize>> {
        (0..words.len()).find_map(|at| fit(&self.parts, words, at))
    }
}

fn part(text: &str) -> Result<Part, BadPattern> {
    if text == "*" {
        return Ok(Part::Gap);
    }
    let (text, is_optional) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    let any = text.split('|').map(glob).collect::<Result<Vec<Glob>, BadPattern>>()?;
    Ok(Part::Word { any, is_optional })
}

fn glob(text: &str) -> Result<Glob, BadPattern> {
    let (text, before) = text.strip_prefix('*').map_or((text, false), |text| (text, true));
    let (text, after) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '\'' | '-'));
    is_word.then(|| Glob { text: text.to_lowercase(), before, after }).ok_or(BadPattern::Word)
}

impl Glob {
    fn is(&self, word: &str) -> bool {
        match (self.before, self.after) {
            (false, false) => word == self.text,
            (true, false) => word.ends_with(&self.text),
            (false, true) => word.starts_with(&self.text),
            (true, true) => word.contains(&self.text),
        }
    }
}

/// Fits `parts` to the words from `at` on.
fn fit(parts: &[Part], words: &[Word<'_>], at: usize) -> Option<Vec<usize>> {
    let Some((part, rest)) = parts.split_first() else { return Some(Vec::new()) };
    match part {
        Part::Gap => (at..=(at + GAP_MAX).min(words.len())).find_map(|next| fit(rest, words, next)),
        Part::Word { any, is_optional } => {
            let fits = words.get(at).is_some_and(|word| any.iter().any(|glob| glob.is(&word.norm)));
            let named = || {
                let mut named = fit(rest, words, at + 1)?;
                named.push(at);
                Some(named)
            };
            let without = || if *is_optional { fit(rest, words, at) } else { None };
            if fits { named().or_else(without) } else { without() }
        }
    }
}

/// What `text` wants of `intents`, in the order in which it says so, as far as that is as sure as `confidence`.
pub fn route(text: &str, intents: &[Intent], confidence: f32) -> Vec<Recognized> {
    let words = words::of(text);
    let mut found: Vec<Recognized> = Vec::new();
    let keep = |best: Option<Recognized>, found: &mut Vec<Recognized>| {
        let Some(best) = best.filter(|best| best.confidence >= confidence) else { return };
        match found.iter_mut().find(|known| known.intent == best.intent) {
            Some(known) => known.confidence = known.confidence.max(best.confidence),
            None => found.push(best),
        }
    };
    for clause in clauses(&words) {
        keep(best(clause, intents), &mut found);
    }
    if found.is_empty() {
        // "Bed and breakfast" are two clauses only to those who do not look.
        keep(best(&words, intents), &mut found);
    }
    found
}

/// The intent that covers most of a clause; among equals the one that names more words, then the first.
fn best(clause: &[Word<'_>], intents: &[Intent]) -> Option<Recognized> {
    let mut best: Option<(Recognized, usize)> = None;
    for (at, intent) in intents.iter().enumerate() {
        for named in intent.phrases.iter().filter_map(|phrase| phrase.find(clause)) {
            let is_denied = clause.iter().enumerate().any(|(at, word)| denies(word, at) && !named.contains(&at));
            if is_denied {
                continue;
            }
            let telling = clause.iter().enumerate().filter(|(at, word)| named.contains(at) || is_telling(word)).count();
            let confidence = named.len() as f32 / telling.max(1) as f32;
            let is_better = best.is_none_or(|(known, count)| {
                confidence > known.confidence || (confidence >= known.confidence && named.len() > count)
            });
            if is_better {
                best = Some((Recognized { intent: at, confidence }, named.len()));
            }
        }
    }
    best.map(|(recognized, _)| recognized)
}

/// The parts of a turn that may each want something.
fn clauses<'w, 't>(words: &'w [Word<'t>]) -> Vec<&'w [Word<'t>]> {
    let mut clauses = Vec::new();
    let mut begin = 0;
    for (at, word) in words.iter().enumerate() {
        if word.among(JOINS) {
            clauses.push(&words[begin..at]);
            begin = at + 1;
        } else if word.stop {
            clauses.push(&words[begin..=at]);
            begin = at + 1;
        }
    }
    clauses.push(&words[begin..]);
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

fn denies(word: &Word<'_>, at: usize) -> bool {
    // At the beginning it answers what was asked before.
    word.among(DENIALS) || (at > 0 && word.norm == "no")
}

/// Whether a word tells one wish from another.
fn is_telling(word: &Word<'_>) -> bool {
    let norm = [word.norm.as_str()];
    let is_number =
        [Language::German, Language::English].into_iter().any(|language| brain::cardinal(&norm, language).is_some());
    !is_number && !word.among(FILLERS) && !word.norm.chars().any(|c| c.is_ascii_digit())
}

const JOINS: &[&str] =
    &["und", "oder", "aber", "außerdem", "sowie", "dann", "and", "or", "but", "then", "also", "plus"];

#[rustfmt::skip]
const DENIALS: &[&str] = &[
    "nicht", "kein", "keine", "keinen", "keinem", "keiner", "nie", "niemals", "not", "don't", "dont", "doesn't", "didn't",
    "won't", "never", "without", "ohne",
];

/// Words that are said with every wish.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "ich", "du", "er", "sie", "es", "wir", "ihr", "mich", "mir", "uns", "ihnen", "ihre", "ihren", "mein", "meine", "meinen",
    "meinem", "meiner", "unser", "unsere", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem",
    "einer", "im", "in", "am", "an", "um", "bei", "zu", "zum", "zur", "für", "mit", "von", "auf", "aus", "nach", "bis",
    "ab", "vor", "ist", "sind", "war", "bin", "habe", "haben", "hat", "hätte", "hätten", "gern", "gerne", "möchte",
    "möchten", "will", "wollen", "wollte", "würde", "würden", "kann", "können", "könnte", "könnten", "soll", "sollte",
    "muss", "müsste", "werde", "bitte", "danke", "mal", "noch", "schon", "auch", "ja", "nein", "doch", "denn", "so",
    "hallo", "guten", "tag", "morgen", "abend", "äh", "ähm", "hier", "uhr", "heute", "übermorgen", "nächste", "nächsten",
    "nächster", "woche", "montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag", "vormittag",
    "nachmittag", "mittag", "halb", "viertel", "januar", "februar", "märz", "april", "mai", "juni", "juli", "august",
    "september", "oktober", "november", "dezember", "was", "wie", "wann", "wo", "ob", "dass", "sagen", "gerade", "eigentlich",
    "brauche", "bräuchte", "benötige", "bitten", "nächstes", "mal",
    "i", "you", "he", "she", "it", "we", "they", "me", "my", "your", "our", "us", "the", "a", "an", "to", "of", "for", "at",
    "on", "by", "with", "from", "is", "are", "was", "am", "be", "have", "has", "had", "i'd", "i'm", "i'll", "like", "want",
    "need", "would", "could", "can", "may", "should", "do", "does", "did", "please", "thanks", "thank", "hello", "hi",
    "hey", "good", "morning", "afternoon", "evening", "uh", "um", "well", "just", "yes", "no", "what", "what's", "how",
    "when", "where", "if", "that", "this", "tell", "o'clock", "today", "tomorrow", "next", "week", "monday", "tuesday",
    "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march", "june", "july", "october",
    "december", "half", "past", "quarter", "pm", "some", "there", "let", "let's", "ihn", "ihm", "actually",
];

/// Words in a gap.
const GAP_MAX: usize = 4;

/// Gaps of a pattern: each makes it five times as long to try.
const GAPS_MAX: usize = 4;

/// Words of a pattern.
const PARTS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persona::Persona;

    const INTENTS: &str = r#"
[[intent]]
name = "book"
phrases.de = ["*termin* * machen|vereinbaren|buchen|haben", "*termin* frei?", "anmelden"]
phrases.en = ["book|make|schedule * appointment", "appointment"]
answer = "book"

[[intent]]
name = "cancel"
phrases.de = ["*termin* * absagen|stornieren", "bestellung * stornieren", "kann * nicht kommen"]
phrases.en = ["cancel * order|appointment", "can't come|make"]
answer = "cancel"

[[intent]]
name = "hours"
phrases.de = ["öffnungszeiten", "geöffnet", "haben * offen|auf"]
phrases.en = ["opening? hours", "open * until|at?"]
answer = "hours"

[[intent]]
name = "stay"
phrases.en = ["bed and breakfast"]
phrases.de = ["übernacht*"]
answer = "stay"
"#;

    fn wanted(text: &str) -> Vec<String> {
        let persona = Persona::parse("p", INTENTS).unwrap();
        let found = route(text, &persona.intents, 0.4);
        found.iter().map(|found| persona.intents[found.intent].name.clone()).collect()
    }

    #[test]
    fn what_is_wanted_is_found_in_both_languages_and_several_at_once() {
        for (text, intents) in [
            ("Ich möchte bitte gern einen Termin machen.", vec!["book"]),
            ("Hallo, ich hätte gern am Dienstag um 15 Uhr einen Zahnarzttermin", vec!["book"]),
            ("I'd like to book an appointment for tomorrow at three", vec!["book"]),
            ("appointment", vec!["book"]),
            ("cancel my order and what are your hours", vec!["cancel", "hours"]),
            ("Wann haben Sie geöffnet, und ich möchte einen Termin vereinbaren", vec!["hours", "book"]),
            ("Ich möchte meine Bestellung bitte stornieren", vec!["cancel"]),
            ("Ich kann morgen nicht kommen", vec!["cancel"]),
            ("When do you open?", vec!["hours"]),
            ("What are your opening hours?", vec!["hours"]),
            ("a bed and breakfast please", vec!["stay"]),
            ("Ich will übernachten", vec!["stay"]),
            // Traps.
            ("Ich möchte keinen Termin machen", vec![]),
            ("I don't want to book an appointment", vec![]),
            ("Der Termin gestern war wirklich furchtbar langweilig und teuer", vec![]),
            ("It took hours until somebody finally answered this stupid phone", vec![]),
            ("Guten Tag", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(wanted(text), intents, "{text}");
        }
    }

    #[test]
    fn how_sure_it_is_is_how_much_is_covered() {
        let persona = Persona::parse("p", INTENTS).unwrap();
        let sure = |text: &str| route(text, &persona.intents, 0.0).first().map(|found| found.confidence);
        assert_eq!(sure("I'd like to make an appointment"), Some(1.0));
        assert_eq!(sure("The appointment yesterday cost money"), Some(0.25));
        assert_eq!(sure("nothing of that kind"), None);
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for (text, wrong) in [
            ("", BadPattern::Empty),
            ("a? b?", BadPattern::Empty),
            ("* a", BadPattern::Edge),
            ("a *", BadPattern::Edge),
            ("a (b)", BadPattern::Word),
            ("a| b", BadPattern::Word),
            ("**", BadPattern::Word),
            ("a b c d e f g h i j k l m", BadPattern::Long),
            ("a * b * c * d * e * f", BadPattern::Gaps),
        ] {
            assert_eq!(Pattern::parse(text), Err(wrong), "{text}");
        }
        assert!(Pattern::parse("book|make * appointment* please?").is_ok());
    }
}
