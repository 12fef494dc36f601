//! What a socket of `/v1/speak` has still to say, and which answers are due. Pure.
//!
//! Text comes in pieces, often of a word: whole sentences leave at once, the rest when it is flushed. Everything that
//! is said gets a number; a flush is answered when all that was said before it is over. Clearing drops whatever waits
//! and makes what is being said an older turn. What waits is bounded: more is refused, and the client told.

use std::collections::VecDeque;

use tts::utterance::CHARS_MAX;

/// Characters that wait, at most: a quarter of an hour of speech.
const WAITING_CHARS_MAX: usize = 20_000;

/// A text without any end of a sentence is said in pieces of this, cut between words.
const PIECE_CHARS_MAX: usize = CHARS_MAX / 4;

/// Flushes that wait for their answer, at most.
const FLUSHES_MAX: usize = 256;

/// What is to be said.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Text that is no whole sentence yet.
    rest: String,
    cues: VecDeque<Cue>,
    waiting_chars: usize,
    turn: u64,
    /// Numbers of what was said last, and of what was answered last.
    said: u64,
    answered: u64,
    next_sequence: u64,
    /// Flushes whose text is said: the number that they wait for, and their own.
    flushes: VecDeque<(u64, u64)>,
    flushes_waiting: usize,
    is_closing: bool,
}

#[derive(Debug)]
enum Cue {
    Say(String),
    Flush(u64),
}

/// More than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Script {
    /// A piece of text comes.
    pub(super) fn speak(&mut self, text: &str) -> Result<(), TooMuch> {
        let chars = text.chars().count();
        if self.waiting_chars + chars > WAITING_CHARS_MAX {
            return Err(TooMuch);
        }
        self.waiting_chars += chars;
        self.rest.push_str(text);
        while let Some(end) = [sentence_end(&self.rest), too_long(&self.rest)].into_iter().flatten().min() {
            let later = self.rest.split_off(end);
            let sentence = std::mem::replace(&mut self.rest, later);
            self.cue(sentence);
        }
        Ok(())
    }

    /// Everything so far is to be said, and to be answered for.
    pub(super) fn flush(&mut self) -> Result<(), TooMuch> {
        if self.flushes_waiting >= FLUSHES_MAX {
            return Err(TooMuch);
        }
        self.cue_rest();
        let sequence = self.sequence();
        self.cues.push_back(Cue::Flush(sequence));
        self.flushes_waiting += 1;
        self.settle();
        Ok(())
    }

    /// Nothing of all that is to be heard any more: the turn that is over, and the number of the answer.
    pub(super) fn clear(&mut self) -> (u64, u64) {
        self.rest.clear();
        self.cues.clear();
        self.flushes.clear();
        (self.waiting_chars, self.flushes_waiting) = (0, 0);
        let over = self.turn;
        self.turn += 1;
        (over, self.sequence())
    }

    /// What waits is said, then it is over.
    pub(super) fn close(&mut self) {
        self.cue_rest();
        self.is_closing = true;
    }

    /// What is to be said next, and on behalf of which turn.
    pub(super) fn next(&self) -> Option<(&str, u64)> {
        match self.cues.front() {
            Some(Cue::Say(text)) => Some((text, self.turn)),
            _ => None,
        }
    }

    /// That was taken, under this number.
    pub(super) fn said(&mut self, number: u64) {
        if let Some(Cue::Say(text)) = self.cues.pop_front() {
            self.waiting_chars = self.waiting_chars.saturating_sub(text.chars().count());
        }
        self.said = self.said.max(number);
        self.settle();
    }

    /// That could not be said.
    pub(super) fn skipped(&mut self) {
        self.said(self.said);
    }

    /// What bore this number is over.
    pub(super) fn answered(&mut self, number: u64) {
        self.answered = self.answered.max(number);
    }

    /// A flush that may be answered now.
    pub(super) fn due(&mut self) -> Option<u64> {
        let (waits_for, sequence) = *self.flushes.front()?;
        if waits_for > self.answered {
            return None;
        }
        self.flushes.pop_front();
        self.flushes_waiting -= 1;
        Some(sequence)
    }

    /// Whether all was said and nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.is_closing && self.cues.is_empty() && self.flushes.is_empty() && self.answered >= self.said
    }

    /// The number of what was said last.
    pub(super) fn number(&self) -> u64 {
        self.said
    }

    /// Whether nothing is being said, and nothing waits to be.
    pub(super) fn is_quiet(&self) -> bool {
        self.cues.is_empty() && self.answered >= self.said
    }

    fn cue(&mut self, text: String) {
        // White space alone is not said, and counts no more.
        if text.trim().is_empty() {
            self.waiting_chars = self.waiting_chars.saturating_sub(text.chars().count());
        } else {
            self.cues.push_back(Cue::Say(text));
        }
    }

    fn cue_rest(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.cue(rest);
    }

    /// Flushes that have come to the front wait for what was said last.
    fn settle(&mut self) {
        while let Some(Cue::Flush(sequence)) = self.cues.front() {
            self.flushes.push_back((self.said, *sequence));
            self.cues.pop_front();
        }
    }

    fn sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }
}

/// Where the first whole sentence of `text` ends: behind its mark, whatever quotes and brackets close with it, and before
/// the white space that proves that it is one.
fn sentence_end(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['\n', '.', '!', '?', '…']).map(|at| from + at) {
        let rest = &text[at..];
        if rest.starts_with('\n') {
            return Some(at + 1);
        }
        let end = at + rest.find(|c: char| !MARKS.contains(&c) && !CLOSING.contains(&c)).unwrap_or(rest.len());
        let is_proved = text[end..].starts_with(char::is_whitespace);
        let is_lone_point = text[at..end].strip_prefix('.').is_some_and(|more| !more.contains(MARKS));
        if is_proved && !(is_lone_point && is_abbreviated(&text[..at])) {
            return Some(end);
        }
        from = end;
    }
    None
}

/// Whether a point behind `text` belongs to its last word: to a figure, a single letter or an abbreviation, as in
/// "3. Mai", "z. B." and "Dr. Müller". What is taken for one wrongly waits for the end of the next sentence.
fn is_abbreviated(text: &str) -> bool {
    let word = text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_single = word.chars().count() == 1;
    is_single || word.ends_with(char::is_numeric) || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// What ends a sentence.
const MARKS: [char; 4] = ['.', '!', '?', '…'];

/// What belongs to the sentence that it closes.
const CLOSING: [char; 10] = ['"', '“', '”', '»', '«', '\'', '’', '‘', ')', ']'];

/// Their point ends no sentence, but for those that are words as well.
#[rustfmt::skip]
const ABBREVIATIONS: [&str; 48] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "mt", "rd", "ave", "sr", "jr", "vs", "approx", "vol", "fig", "hr",
    "fr", "nr", "str", "tel", "ca", "bzw", "inkl", "exkl", "evtl", "ggf", "vgl", "sog", "zzgl", "abs", "bd", "dipl",
    "ing", "geb", "jan", "feb", "apr", "aug", "sept", "okt", "oct", "nov", "dez", "dec", "capt", "lt", "gen", "rev",
];

/// Where a text that goes on without an end is cut.
fn too_long(text: &str) -> Option<usize> {
    let (end, _) = text.char_indices().nth(PIECE_CHARS_MAX)?;
    Some(text[..end].rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Says everything that waits, from this number on.
    fn say_all(script: &mut Script, number: &mut u64) -> Vec<String> {
        let mut said = Vec::new();
        while let Some((text, _)) = script.next() {
            said.push(text.trim().to_owned());
            *number += 1;
            script.said(*number);
        }
        said
    }

    #[test]
    fn whole_sentences_leave_at_once_and_the_rest_with_a_flush() {
        let (mut script, mut number) = (Script::default(), 0);
        for token in ["Gu", "ten Tag", ". Am 3", ". Mai, z", ". B. um ", "9. Ja", "? Gut"] {
            script.speak(token).unwrap();
        }
        assert_eq!(say_all(&mut script, &mut number), ["Guten Tag.", "Am 3. Mai, z. B. um 9. Ja?"]);
        script.flush().unwrap();
        assert_eq!(say_all(&mut script, &mut number), ["Gut"]);
        assert_eq!(script.due(), None, "it is still being said");
        script.answered(3);
        assert_eq!((script.due(), script.due()), (Some(0), None));
    }

    #[test]
    fn a_point_of_an_abbreviation_ends_no_sentence_and_a_quote_belongs_to_its_own() {
        for (text, sentences) in [
            ("Mr. Smith called. Then", vec!["Mr. Smith called."]),
            ("Fragen Sie Dr. Müller. Er", vec!["Fragen Sie Dr. Müller."]),
            ("He said \"Go!\" Then he went. ", vec!["He said \"Go!\"", "Then he went."]),
            ("„Los!“ Dann", vec!["„Los!“"]),
            ("It ends (as said.) Yes... I", vec!["It ends (as said.)", "Yes..."]),
            ("One thing z.B. this. Two", vec!["One thing z.B. this."]),
            ("He said \"Go!\"", vec![]),
            ("Really?!x", vec![]),
        ] {
            let (mut script, mut number) = (Script::default(), 0);
            script.speak(text).unwrap();
            assert_eq!(say_all(&mut script, &mut number), sentences, "{text}");
        }
    }

    #[test]
    fn it_is_quiet_when_what_was_said_is_over() {
        let (mut script, mut number) = (Script::default(), 0);
        assert!(script.is_quiet());
        script.speak("One. Two").unwrap();
        assert!(!script.is_quiet(), "a sentence waits");
        say_all(&mut script, &mut number);
        assert!(!script.is_quiet() && script.number() == 1, "it is being said");
        script.answered(1);
        assert!(script.is_quiet(), "what is no sentence yet needs nobody");
    }

    #[test]
    fn a_flush_of_nothing_is_answered_at_once_and_each_in_its_order() {
        let (mut script, mut number) = (Script::default(), 0);
        script.flush().unwrap();
        assert_eq!(script.due(), Some(0));
        script.speak("One").unwrap();
        script.flush().unwrap();
        script.speak("Two").unwrap();
        script.flush().unwrap();
        assert_eq!(say_all(&mut script, &mut number).len(), 2);
        script.answered(1);
        assert_eq!((script.due(), script.due()), (Some(1), None));
        script.answered(2);
        assert_eq!(script.due(), Some(2));
    }

    #[test]
    fn what_is_cleared_is_neither_said_nor_answered_for() {
        let (mut script, mut number) = (Script::default(), 0);
        script.speak("One. Two").unwrap();
        script.flush().unwrap();
        assert_eq!(script.clear(), (0, 1));
        assert_eq!(script.next(), None);
        assert_eq!(script.due(), None);
        script.speak("Three").unwrap();
        script.flush().unwrap();
        assert_eq!(script.next(), Some(("Three", 1)));
        say_all(&mut script, &mut number);
        script.answered(number);
        assert_eq!(script.due(), Some(2));
    }

    #[test]
    fn it_is_over_when_all_was_heard() {
        let (mut script, mut number) = (Script::default(), 0);
        script.speak("Bye").unwrap();
        script.close();
        assert!(!script.is_over());
        assert_eq!(say_all(&mut script, &mut number), ["Bye"]);
        assert!(!script.is_over());
        script.answered(1);
        assert!(script.is_over());
    }

    #[test]
    fn more_than_anybody_listens_to_is_refused_and_room_comes_back() {
        let (mut script, mut number) = (Script::default(), 0);
        let long = "word ".repeat(1_000);
        for _ in 0..4 {
            script.speak(&long).unwrap();
        }
        assert_eq!(script.speak("more"), Err(TooMuch));
        let said = say_all(&mut script, &mut number);
        assert!(said.iter().all(|text| text.chars().count() <= PIECE_CHARS_MAX), "each is short enough for a voice");
        assert_eq!(script.speak("more"), Ok(()));
        for _ in 0..FLUSHES_MAX {
            script.flush().unwrap();
        }
        assert_eq!(script.flush(), Err(TooMuch));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_said_twice(tokens in prop::collection::vec("[a-zß.!? \\n1]{0,8}", 0..40)) {
            let (mut script, mut number) = (Script::default(), 0);
            let mut said = String::new();
            for token in &tokens {
                script.speak(token).unwrap();
                said.extend(say_all(&mut script, &mut number));
            }
            script.close();
            said.extend(say_all(&mut script, &mut number));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&said), letters(&tokens.concat()));
            prop_assert_eq!(script.waiting_chars, 0);
            script.answered(number);
            prop_assert!(script.is_over());
        }
    }
}
