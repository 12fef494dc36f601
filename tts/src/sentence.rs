//! Words become sentences: what a voice speaks in one go, and the silences between.
//!
//! A voice sounds best with whole sentences, and a caller waits for the first of them. So the first sentence is cut
//! where its first clause ends, later ones only where they are too long for a voice. Pure.

use std::time::Duration;

use crate::{
    text::Item,
    utterance::BREAK_MAX,
    voice::{Sentence, VoiceId, Word},
};

/// Characters of a sentence, at most, as it is read: half a minute of speech. A longer one is cut at a clause, else
/// between words. It bounds what is held in memory for one caller.
pub const SENTENCE_CHARS_MAX: usize = 400;

/// A first sentence longer than this is cut after its first clause, so that it can be heard sooner.
const FIRST_CHARS: usize = 80;

/// A clause shorter than this sounds odd alone.
const CLAUSE_CHARS: usize = 16;

/// Silence after a sentence, after a paragraph, after a clause that was cut off, and where nothing pauses.
const AFTER_SENTENCE: Duration = Duration::from_millis(300);
const AFTER_PARAGRAPH: Duration = Duration::from_millis(600);
const AFTER_CLAUSE: Duration = Duration::from_millis(150);
const AFTER_LAST: Duration = Duration::from_millis(150);

/// The longest silence in a row: what several breaks add up to.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is played, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Speech.
    Sentence(Sentence),
    /// Nothing, for so long.
    Silence(Duration),
}

/// `items` as sentences of `voice` with silences between them.
pub fn cut(items: Vec<Item>, voice: VoiceId) -> Vec<Part> {
    let mut cutter = Cutter { voice, words: Vec::new(), parts: Vec::new(), pause: Duration::ZERO };
    for item in items {
        match item {
            Item::Word(word) => cutter.words.extend(bounded(word)),
            Item::SentenceEnd => cutter.end(AFTER_SENTENCE),
            Item::ParagraphEnd => cutter.end(AFTER_PARAGRAPH),
            Item::Pause(span) => {
                cutter.end(Duration::ZERO);
                cutter.silence(span.min(BREAK_MAX));
            }
        }
    }
    cutter.end(AFTER_LAST);
    cutter.finish()
}

struct Cutter {
    voice: VoiceId,
    /// The sentence under way.
    words: Vec<Word>,
    parts: Vec<Part>,
    /// What punctuation asks for before the next sentence; a break that was asked for takes its place.
    pause: Duration,
}

impl Cutter {
    fn end(&mut self, pause: Duration) {
        if self.words.is_empty() {
            // Two ends at one place are one: the longer.
            if self.pause > Duration::ZERO {
                self.pause = self.pause.max(pause);
            }
            return;
        }
        let words = std::mem::take(&mut self.words);
        let is_first = !self.parts.iter().any(|part| matches!(part, Part::Sentence(_)));
        self.settle_pause();
        let pieces = clauses(words, is_first);
        let count = pieces.len();
        for (at, words) in pieces.into_iter().enumerate() {
            let pauses = words.last().is_some_and(|word| word.spoken.ends_with([',', ';', '.', '!', '?']));
            self.parts.push(Part::Sentence(Sentence { voice: self.voice, words }));
            if at + 1 < count && pauses {
                self.parts.push(Part::Silence(AFTER_CLAUSE));
            }
        }
        self.pause = pause;
    }

    fn silence(&mut self, span: Duration) {
        self.pause = Duration::ZERO;
        match self.parts.last_mut() {
            Some(Part::Silence(before)) => *before = (*before + span).min(SILENCE_MAX),
            _ => self.parts.push(Part::Silence(span)),
        }
    }

    fn settle_pause(&mut self) {
        let pause = std::mem::take(&mut self.pause);
        if pause > Duration::ZERO {
            self.silence(pause);
        }
    }

    fn finish(mut self) -> Vec<Part> {
        // However the last sentence ends, what comes after the utterance is not its matter.
        self.pause = self.pause.min(AFTER_LAST);
        self.settle_pause();
        self.parts.retain(|part| *part != Part::Silence(Duration::ZERO));
        self.parts
    }
}

/// A sentence in pieces that are not too long; a first one with its first clause apart.
fn clauses(mut words: Vec<Word>, is_first: bool) -> Vec<Vec<Word>> {
    let mut pieces = Vec::new();
    if is_first && let Some(at) = first_clause(&words) {
        let rest = words.split_off(at);
        pieces.push(std::mem::replace(&mut words, rest));
    }
    while let Some(at) = too_long(&words) {
        let rest = words.split_off(at);
        pieces.push(std::mem::replace(&mut words, rest));
    }
    pieces.push(words);
    pieces
}

/// After how many words the first clause of a long sentence ends.
fn first_clause(words: &[Word]) -> Option<usize> {
    let total: usize = words.iter().map(chars).sum();
    if total <= FIRST_CHARS {
        return None;
    }
    let mut so_far = 0;
    words
        .iter()
        .position(|word| {
            so_far += chars(word);
            (CLAUSE_CHARS..=SENTENCE_CHARS_MAX).contains(&so_far)
                && total - so_far >= CLAUSE_CHARS
                && word.spoken.ends_with([',', ';'])
        })
        .map(|at| at + 1)
}

/// After how many words a sentence that is too long is cut: at the last clause that fits, else at the last word.
fn too_long(words: &[Word]) -> Option<usize> {
    let (mut so_far, mut clause) = (0, None);
    for (at, word) in words.iter().enumerate() {
        so_far += chars(word);
        if so_far > SENTENCE_CHARS_MAX {
            return Some(clause.unwrap_or(at).max(1));
        }
        if word.spoken.ends_with([',', ';']) && so_far >= CLAUSE_CHARS {
            clause = Some(at + 1);
        }
    }
    None
}

fn chars(word: &Word) -> usize {
    word.spoken.chars().count() + 1
}

/// A word that is longer than any sentence may be, in pieces.
fn bounded(word: Word) -> Vec<Word> {
    const PIECE: usize = SENTENCE_CHARS_MAX - 1;
    if word.spoken.len() <= PIECE || word.spoken.chars().count() <= PIECE {
        return vec![word];
    }
    let mut pieces = vec![String::new()];
    let mut count = 0;
    for part in word.spoken.split_inclusive(' ') {
        for c in part.chars().collect::<Vec<_>>().chunks(PIECE) {
            if count + c.len() > PIECE {
                pieces.push(String::new());
                count = 0;
            }
            count += c.len();
            if let Some(piece) = pieces.last_mut() {
                piece.extend(c);
            }
        }
    }
    // Written once, with the first of them.
    let written = |at: usize| if at == 0 { word.written.clone() } else { String::new() };
    pieces
        .into_iter()
        .enumerate()
        .map(|(at, spoken)| Word { written: written(at), spoken: spoken.trim().to_owned(), how: word.how.clone() })
        .filter(|word| !word.spoken.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{text, utterance::Utterance};

    fn parts(text: &str) -> Vec<Part> {
        let voice = VoiceId::default();
        cut(text::shape(&Utterance::plain(voice, text)), voice)
    }

    fn spoken(text: &str) -> Vec<String> {
        parts(text)
            .iter()
            .map(|part| match part {
                Part::Sentence(sentence) => {
                    sentence.words.iter().map(|word| word.spoken.as_str()).collect::<Vec<_>>().join(" ")
                }
                Part::Silence(span) => format!("{}", span.as_millis()),
            })
            .collect()
    }

    #[test]
    fn sentences_are_spoken_one_by_one_with_silence_between() {
        assert_eq!(spoken("Hello. How are you?"), ["Hello.", "300", "How are you?", "150"]);
        assert_eq!(spoken("One.\n\nTwo"), ["One.", "600", "Two", "150"]);
        assert_eq!(spoken("At 9 a.m. we open"), ["At nine ay em we open", "150"]);
        assert_eq!(spoken("  "), Vec::<String>::new());
    }

    #[test]
    fn the_first_clause_of_a_long_sentence_leaves_at_once_and_later_ones_stay_whole() {
        let long = "Welcome to the office of Doctor Jones, where we are happy to hear from you, whatever it may be. And this sentence is just as long as the first one was, with a comma, but it stays in one piece.";
        let said = spoken(long);
        assert_eq!(said[0], "Welcome to the office of Doctor Jones,");
        assert_eq!(said[1], "150");
        assert_eq!(said.len(), 6, "{said:?}");
        assert_eq!(spoken("Well, short, this one.").len(), 2);
    }

    #[test]
    fn a_break_takes_the_place_of_the_pause_of_punctuation() {
        use crate::utterance::Piece;
        let voice = VoiceId::default();
        let pieces = vec![
            Piece::Text("One.".into()),
            Piece::Break(Duration::from_secs(1)),
            Piece::Break(Duration::from_secs(2)),
            Piece::Text("Two.".into()),
        ];
        let parts = cut(text::shape(&Utterance { voice, pieces }), voice);
        assert_eq!(parts[1], Part::Silence(Duration::from_secs(3)));
        assert_eq!(parts.len(), 4);
    }

    proptest! {
        #[test]
        fn every_word_is_in_one_sentence_and_no_sentence_is_too_long(text in "([a-z]{1,12}|[a-z]{300,900}|[.,;!?] |[0-9]{1,30}| ){0,120}") {
            let all = text::shape(&Utterance::plain(VoiceId::default(), text.as_str()));
            let words: Vec<_> = all.iter().filter_map(|item| match item {
                Item::Word(word) => Some(word.spoken.replace(' ', "")),
                _ => None,
            }).collect();
            let mut said = String::new();
            for part in parts(&text) {
                match part {
                    Part::Sentence(sentence) => {
                        prop_assert!(!sentence.words.is_empty());
                        prop_assert!(sentence.words.iter().map(chars).sum::<usize>() <= SENTENCE_CHARS_MAX);
                        said.extend(sentence.words.iter().map(|word| word.spoken.replace(' ', "")));
                    }
                    Part::Silence(span) => prop_assert!(span > Duration::ZERO && span <= SILENCE_MAX),
                }
            }
            prop_assert_eq!(said, words.concat());
        }
    }
}
