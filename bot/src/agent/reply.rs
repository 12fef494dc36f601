//! A model's stream of text cut into what is spoken in one go, as early as possible.
//!
//! Pure. The first clause of an answer leaves as soon as it is whole: whoever waits hears it while the rest is still
//! being written. Later pieces are sentences. A full stop ends a sentence unless it belongs to an abbreviation
//! ("z. B.", "Dr.", "e.g."), a number ("3.5", "1.000") or an ordinal ("3. Mai"); to know that, the next letter is waited
//! for. However long a model writes without a stop, no piece is longer than a voice takes.

use tts::voice::Language;

use super::plain;

/// Cuts one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Splitter {
    /// What was written and is not yet said.
    rest: String,
    is_first: bool,
    is_german: bool,
}

impl Splitter {
    /// An answer in `language`.
    pub(crate) fn new(language: Language) -> Self {
        Self { rest: String::new(), is_first: true, is_german: language.is_kin(Language::GERMAN) }
    }

    /// Takes the next piece of text; what can be said now.
    pub(crate) fn push(&mut self, text: &str) -> Vec<String> {
        self.rest.push_str(text);
        let mut said = Vec::new();
        while let Some(end) = self.end() {
            let rest = self.rest.split_off(end);
            let piece = std::mem::replace(&mut self.rest, rest);
            self.take(&piece, &mut said);
        }
        said
    }

    /// There is no more; what is left to say.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let mut said = self.push("\n");
        let piece = std::mem::take(&mut self.rest);
        self.take(&piece, &mut said);
        self.is_first = true;
        said
    }

    /// Forgets what is not yet said: the answer broke off.
    pub(super) fn drop_rest(&mut self) {
        self.rest.clear();
    }

    fn take(&mut self, piece: &str, said: &mut Vec<String>) {
        let piece = plain::spoken(piece);
        if !piece.is_empty() {
            self.is_first = false;
            said.push(piece);
        }
    }

    /// Where the next piece ends, when that is certain.
    fn end(&self) -> Option<usize> {
        let text = &self.rest;
        let mut clause = None;
        for (chars, (at, c)) in text.char_indices().enumerate() {
            let end = at + c.len_utf8();
            let next = text[end..].chars().next();
            if chars + 1 >= PIECE_CHARS_MAX {
                return Some(clause.or_else(|| text[..end].rfind(' ').filter(|at| *at > 0)).unwrap_or(end));
            }
            let is_end = match c {
                '\n' => !text[..at].trim().is_empty(),
                '!' | '?' | '…' => next.is_some_and(|next| next.is_whitespace() || CLOSING.contains(&next)),
                '.' => self.stops_at(at)?,
                ',' | ';' | ':' | '–' | '—' => {
                    let is_clause = next.is_some_and(char::is_whitespace) && chars + 1 >= CLAUSE_CHARS;
                    if is_clause {
                        clause = Some(end);
                    }
                    is_clause && self.is_first
                }
                _ => false,
            };
            if is_end {
                return Some(end + text[end..].find(|c: char| !CLOSING.contains(&c)).unwrap_or(text.len() - end));
            }
        }
        None
    }

    /// Whether the full stop at `at` ends a sentence; nothing when that depends on what is not yet written.
    fn stops_at(&self, at: usize) -> Option<bool> {
        let after = &self.rest[at + 1..];
        let next = after.chars().next()?;
        if !next.is_whitespace() && !CLOSING.contains(&next) {
            return Some(false);
        }
        let before = &self.rest[..at];
        let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
        let lower = word.to_lowercase();
        let is_abbreviation = ABBREVIATIONS.contains(&lower.as_str())
            || (self.is_german && GERMAN_ABBREVIATIONS.contains(&lower.as_str()))
            || (word.chars().count() == 1 && word.chars().all(char::is_alphabetic));
        let ends_weakly = WEAK.contains(&lower.as_str());
        let has_dots = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
        if is_abbreviation || (has_dots && !ends_weakly) {
            return Some(false);
        }
        let is_ordinal = self.is_german && (1..=2).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
        if !is_ordinal && !ends_weakly {
            return Some(true);
        }
        // Who comes next decides; until then nothing is certain.
        let follower = after.trim_start();
        let end = follower.find(char::is_whitespace);
        if is_ordinal {
            let word = &follower[..end?];
            let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            return Some(BEGINNINGS.contains(&word.as_str()));
        }
        follower.chars().next().map(|c| c.is_uppercase() || c.is_numeric())
    }
}

/// What belongs to the sentence that it closes.
const CLOSING: &[char] = &['"', '“', '”', '»', '\'', '’', ')', ']', '!', '?', '*', '_'];

/// A clause shorter than this sounds odd alone.
const CLAUSE_CHARS: usize = 18;

/// Half a minute of speech. It bounds what is held for one caller.
const PIECE_CHARS_MAX: usize = 360;

/// Their full stop ends no sentence.
#[rustfmt::skip]
const ABBREVIATIONS: &[&str] = &[
    "dr", "prof", "hr", "fr", "nr", "str", "tel", "st", "ca", "bzw", "inkl", "exkl", "evtl", "ggf", "vgl", "sog", "zzgl",
    "abs", "bd", "dipl", "ing", "geb", "jan", "feb", "apr", "aug", "sept", "okt", "nov", "dez", "mr", "mrs", "ms", "mt",
    "ave", "rd", "sr", "jr", "vs", "approx", "vol", "fig", "oct", "dec", "z", "u", "d", "o", "i", "e.g", "i.e", "z.b",
    "d.h", "u.a", "o.ä",
];

/// The same in German alone: in English they are words and names.
const GERMAN_ABBREVIATIONS: &[&str] = &["art", "max", "min", "mind"];

/// Their full stop ends a sentence when another begins. "U.S." is none of them: a name often follows it.
const WEAK: &[&str] = &["usw", "etc", "uhr", "a.m", "p.m"];

/// Words that begin a German sentence after a number, so that the number was none of an ordinal.
#[rustfmt::skip]
const BEGINNINGS: &[&str] = &[
    "das", "die", "der", "es", "ich", "wir", "sie", "und", "aber", "dann", "danach", "haben", "ist", "sind", "möchten",
    "kann", "können", "soll", "passt", "wenn", "bitte", "also", "in", "am", "für", "dafür", "damit", "was", "wann", "wie",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str, language: Language) -> Vec<String> {
        let mut splitter = Splitter::new(language);
        // As a model writes: a few letters at a time.
        let letters: Vec<char> = text.chars().collect();
        let mut said: Vec<String> =
            letters.chunks(3).flat_map(|piece| splitter.push(&piece.iter().collect::<String>())).collect();
        said.extend(splitter.finish());
        said
    }

    #[test]
    fn a_full_stop_that_ends_no_sentence_cuts_none() {
        for (text, pieces) in [
            ("Am 3. Mai um 9 Uhr. Passt das?", vec!["Am 3. Mai um 9 Uhr.", "Passt das?"]),
            ("Wir sind 3. Das reicht.", vec!["Wir sind 3.", "Das reicht."]),
            ("Es kostet 3.50 Euro. Gut?", vec!["Es kostet 3.50 Euro.", "Gut?"]),
            ("Fragen Sie Dr. Weber. Er hilft.", vec!["Fragen Sie Dr. Weber.", "Er hilft."]),
            ("Obst, z. B. Äpfel. Ja.", vec!["Obst, z. B. Äpfel.", "Ja."]),
            ("Obst, z.B. Äpfel. Ja.", vec!["Obst, z.B. Äpfel.", "Ja."]),
            ("„Ja!“ Gut.", vec!["„Ja!“", "Gut."]),
            ("Es dauert mind. zehn Minuten. Gut?", vec!["Es dauert mind. zehn Minuten.", "Gut?"]),
        ] {
            assert_eq!(cut(text, Language::GERMAN), pieces, "{text}");
        }
        for (text, pieces) in [
            ("See Dr. Jones at 9 a.m. tomorrow. Fine?", vec!["See Dr. Jones at 9 a.m. tomorrow.", "Fine?"]),
            ("We open at 9 a.m. Would you like to come?", vec!["We open at 9 a.m.", "Would you like to come?"]),
            ("Ask the U.S. Embassy. Fine?", vec!["Ask the U.S. Embassy.", "Fine?"]),
            ("I do not mind. Ask Max. He knows.", vec!["I do not mind.", "Ask Max.", "He knows."]),
            ("It is 3. Next one.", vec!["It is 3.", "Next one."]),
            ("Really?! Yes... I think so.", vec!["Really?!", "Yes...", "I think so."]),
        ] {
            assert_eq!(cut(text, Language::ENGLISH_US), pieces, "{text}");
        }
    }

    #[test]
    fn the_first_clause_leaves_at_once_and_later_ones_wait_for_their_sentence() {
        let mut splitter = Splitter::new(Language::GERMAN);
        assert!(splitter.push("Gern, ich sehe mal nach").is_empty());
        assert_eq!(splitter.push(", einen Mo"), ["Gern, ich sehe mal nach,"]);
        assert!(splitter.push("ment noch, das dauert immer ein wenig, leider").is_empty());
        assert_eq!(splitter.push(". "), ["einen Moment noch, das dauert immer ein wenig, leider."]);
        assert!(splitter.finish().is_empty());
    }

    #[test]
    fn a_list_is_spoken_line_by_line() {
        assert_eq!(cut("Wir haben:\n- Montag\n- Dienstag\n", Language::GERMAN), ["Wir haben:", "Montag", "Dienstag"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_piece_is_too_long(text in "([a-zäß]{1,9}|[.,!?] |[0-9]{1,3}|\\. | |\n|[a-z]{300,500}){0,60}") {
            let said = cut(&text, Language::GERMAN);
            prop_assert!(said.iter().all(|piece| piece.chars().count() <= PIECE_CHARS_MAX));
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&said.concat()), letters(&text));
        }
    }
}
