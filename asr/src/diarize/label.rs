//! Who said each word.
//!
//! Pure. A word is said by whoever speaks longest while it is; where two speak at once, by whoever said the word
//! before. A sentence is not given to two people without cause: a word or two in the middle of somebody's sentence
//! are theirs, since turns are known to a quarter of a second and words to little better. A word that nobody's turn
//! is near has no speaker.

use std::time::Duration;

use media::time::Span;

use super::{Turn, VoiceId};
use crate::event::Word;

/// How far from a turn a word may lie and still be its speaker's.
const NEAR: Duration = Duration::from_millis(500);

/// A part of a sentence by somebody else has at least as many words, or lasts as long.
const PART_WORDS: usize = 3;
const PART: Duration = Duration::from_millis(1_000);

/// Who says each of the words of an utterance; `None` for an unknown voice. `turns` are in the order of their start.
pub fn speakers(words: &[Word], turns: &[Turn]) -> Vec<Option<VoiceId>> {
    let mut said: Vec<Option<VoiceId>> = Vec::with_capacity(words.len());
    for word in words {
        said.push(speaker(word.span, turns, said.last().copied().flatten()));
    }
    let mut start = 0;
    for sentence in words.split_inclusive(|word| ends_sentence(&word.text)) {
        let end = start + sentence.len();
        settle(sentence, &mut said[start..end]);
        start = end;
    }
    said
}

/// Whoever speaks longest during `span`, else whose turn is nearest.
fn speaker(span: Span, turns: &[Turn], before: Option<VoiceId>) -> Option<VoiceId> {
    let during = turns.iter().take_while(|turn| turn.span.start < span.end);
    let longest = during
        .map(|turn| (overlap(turn.span, span), turn.voice))
        .filter(|(shared, _)| !shared.is_zero())
        .max_by_key(|&(shared, voice)| (shared, prefers(voice, before)));
    match longest {
        Some((_, voice)) => voice,
        None => {
            let near = turns.iter().map(|turn| (distance(turn.span, span), turn.voice));
            near.filter(|(away, _)| *away <= NEAR).min_by_key(|(away, _)| *away)?.1
        }
    }
}

/// Of two who speak as long: whoever spoke before, else somebody known.
fn prefers(voice: Option<VoiceId>, before: Option<VoiceId>) -> u8 {
    match voice {
        Some(_) if voice == before => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// Gives parts of a sentence that are too short to be a turn to whoever says what is beside them.
fn settle(words: &[Word], said: &mut [Option<VoiceId>]) {
    loop {
        let runs = runs(said);
        let lasts = |&(start, end): &(usize, usize)| words[end - 1].span.end.since(words[start].span.start);
        let is_short = |run: &(usize, usize)| run.1 - run.0 < PART_WORDS && lasts(run) < PART;
        // The shortest first, so that it joins what is beside it before that is judged.
        let shortest = (0..runs.len()).filter(|&at| is_short(&runs[at])).min_by_key(|&at| lasts(&runs[at]));
        let Some(at) = shortest.filter(|_| runs.len() > 1) else { return };
        let beside = match (at.checked_sub(1), runs.get(at + 1)) {
            (Some(left), Some(right)) if lasts(&runs[left]) < lasts(right) => *right,
            (Some(left), _) => runs[left],
            (None, Some(right)) => *right,
            (None, None) => return,
        };
        let voice = said[beside.0];
        said[runs[at].0..runs[at].1].fill(voice);
    }
}

/// Stretches of words by one speaker: first and one past the last.
fn runs(said: &[Option<VoiceId>]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut start = 0;
    for run in said.chunk_by(|a, b| a == b) {
        runs.push((start, start + run.len()));
        start += run.len();
    }
    runs
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['"', '\'', '”', '“', '’', ')', '»', '«']).ends_with(['.', '!', '?', '…'])
}

fn overlap(a: Span, b: Span) -> Duration {
    a.end.min(b.end).since(a.start.max(b.start))
}

fn distance(a: Span, b: Span) -> Duration {
    a.start.since(b.end).max(b.start.since(a.end))
}

#[cfg(test)]
mod tests {
    use media::time::MediaTime;

    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span::new(MediaTime::from_millis(start_ms), MediaTime::from_millis(end_ms))
    }

    fn turn(voice: u16, start_ms: u64, end_ms: u64) -> Turn {
        Turn { voice: Some(VoiceId(voice)), span: span(start_ms, end_ms) }
    }

    /// Words of 300 ms, one after another from zero on.
    fn words(text: &str) -> Vec<Word> {
        let spoken = text.split_whitespace().zip(0..);
        spoken
            .map(|(text, at)| Word { text: text.to_owned(), span: span(at * 300, (at + 1) * 300), confidence: 0.9 })
            .collect()
    }

    /// One digit for each word, a dash where nobody is known.
    fn said(text: &str, turns: &[Turn]) -> String {
        let digit = |voice: Option<VoiceId>| voice.map_or('-', |voice| char::from(b'0' + voice.0 as u8));
        speakers(&words(text), turns).into_iter().map(digit).collect()
    }

    #[test]
    fn words_change_speaker_where_the_turn_does() {
        let turns = [turn(0, 0, 1_500), turn(1, 1_500, 3_000)];
        assert_eq!(said("How are you today then? Well thank you very much.", &turns), "0000011111");
    }

    #[test]
    fn a_word_or_two_within_a_sentence_are_whoever_says_it() {
        // The turn is some words late: the sentence is still one person's.
        let turns = [turn(0, 0, 1_900), turn(1, 1_900, 6_000)];
        assert_eq!(said("So that is it then. I will send it to you by Friday.", &turns), "0000011111111");
    }

    #[test]
    fn a_sentence_that_somebody_takes_over_is_split() {
        let turns = [turn(0, 0, 1_500), turn(1, 1_500, 3_000)];
        assert_eq!(said("and then we went to the sea for a week", &turns), "0000011111");
    }

    #[test]
    fn a_short_answer_is_a_sentence_of_its_own() {
        let turns = [turn(0, 0, 1_200), turn(1, 1_200, 1_500), turn(0, 1_500, 3_000)];
        assert_eq!(said("Will you be there? Yes. Good then I come too.", &turns), "0000100000");
    }

    #[test]
    fn where_two_speak_at_once_whoever_spoke_goes_on() {
        let turns = [turn(0, 0, 3_000), turn(1, 600, 1_500)];
        assert_eq!(said("one two three four five six seven eight nine ten", &turns), "0000000000");
    }

    #[test]
    fn unknown_voices_and_words_far_from_any_turn_have_no_speaker() {
        assert_eq!(said("one two three four five", &[Turn { voice: None, span: span(0, 1_500) }]), "-----");
        assert_eq!(said("one two three four five", &[]), "-----");
        assert_eq!(said("One. Two. Three. Four. Five.", &[turn(0, 0, 300)]), "000--");
    }

    #[test]
    fn no_words_have_no_speakers() {
        assert!(speakers(&[], &[turn(0, 0, 300)]).is_empty());
    }
}
