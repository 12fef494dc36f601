//! What of an agent's speech was heard: marks in the mouth, and what each of them tells when it comes back.
//!
//! The mouth puts a mark before the first sample of a sentence, one every [`STEP_MS`] of it, and one behind its last. A mark
//! that was played says how far the sentence was heard, and so which of its words: a word is heard when the next begins.
//! Voices may tell where words begin long after their samples, so places are kept and looked at when marks come back. The
//! shapes of the mouth ([`Lips`]) are told by the same marks, while it neither holds still nor is muted.
//! Pure: whoever writes the mouth asks for marks, whoever hears of the engine brings them back.

use std::collections::VecDeque;

use media::{frame::MOUTH_HZ, time::MediaTime};
use tts::viseme::Shape;

use super::mouth::{Heard, Sentence};
use crate::lips::Lips;

/// How often a mark asks how far the sound was heard: a cut answer is remembered to within a short word. A mark takes one
/// of the forty places of the mouth, so that it holds 350 ms instead of 400.
pub(super) const STEP_MS: u32 = 60;

/// Samples between two marks.
pub(crate) const STEP_SAMPLES: u64 = MOUTH_HZ as u64 * STEP_MS as u64 / 1_000;

/// Words that are looked through for one that a voice names: voices skip some, but never many.
const AHEAD: usize = 6;

/// Marks that are out at once, at most: the mouth has forty places. Reports may be lost under load, and what was lost is
/// told by a later mark, so the list is emptied by it.
const MARKS_MAX: usize = 64;

/// The marks that are out, and the sentences that they lie in.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    next_mark: u64,
    marks: VecDeque<Mark>,
    sentences: VecDeque<Spoken>,
    is_paused: bool,
    is_muted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    id: u64,
    sentence: Sentence,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Begin,
    /// So many samples of the sentence lie before it.
    Within(u64),
    End,
}

/// A sentence that is being played, or waits for it.
#[derive(Debug)]
struct Spoken {
    sentence: Sentence,
    /// Its words, as they are written.
    written: Vec<String>,
    /// Where each began that the voice told of: its place among the words, and its first sample.
    begins: Vec<(usize, u64)>,
    /// How many words were told as heard.
    told: usize,
    lips: Lips,
}

impl Ledger {
    /// A sentence will be said.
    pub(super) fn say(&mut self, sentence: Sentence, text: &str) {
        let written = text.split_whitespace().map(str::to_owned).collect();
        self.sentences.push_back(Spoken { sentence, written, begins: Vec::new(), told: 0, lips: Lips::default() });
    }

    /// A word begins at a sample of its sentence.
    pub(super) fn word(&mut self, sentence: Sentence, word: &str, at_sample: u64) {
        let Some(spoken) = self.sentences.iter_mut().find(|spoken| spoken.sentence == sentence) else { return };
        let next = spoken.begins.last().map_or(0, |(at, _)| at + 1);
        let Some(rest) = spoken.written.get(next..).filter(|rest| !rest.is_empty()) else { return };
        let at = next + rest.iter().take(AHEAD).position(|written| written == word).unwrap_or(0);
        spoken.begins.push((at, at_sample));
    }

    /// The mouth takes a shape at a sample of its sentence.
    pub(super) fn shape(&mut self, sentence: Sentence, shape: Shape) {
        if let Some(spoken) = self.sentences.iter_mut().find(|spoken| spoken.sentence == sentence) {
            spoken.lips.shape(shape);
        }
    }

    /// A mark before its first sample.
    pub(super) fn begin(&mut self, sentence: Sentence) -> u64 {
        self.mark(sentence, Place::Begin)
    }

    /// A mark behind so many of its samples.
    pub(super) fn within(&mut self, sentence: Sentence, samples: u64) -> u64 {
        self.mark(sentence, Place::Within(samples))
    }

    /// A mark behind its last.
    pub(super) fn end(&mut self, sentence: Sentence) -> u64 {
        self.mark(sentence, Place::End)
    }

    /// A mark was played at this moment, and so were those before it whose reports were lost; what that means.
    pub(super) fn played(&mut self, id: u64, at: MediaTime, heard: &mut Vec<Heard>) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.id <= id) {
            self.passed(mark, heard);
            // Nobody knows when one was whose report was lost.
            if mark.id == id {
                self.moved(mark, at, heard);
            }
        }
    }

    /// What is said holds still from this moment on, or goes on; what that means.
    pub(super) fn paused(&mut self, is_paused: bool, at: MediaTime) -> Vec<Heard> {
        self.is_paused = is_paused;
        self.rest(at)
    }

    /// Nobody hears what is said from this moment on, or everybody again; what that means.
    pub(super) fn muted(&mut self, is_muted: bool, at: MediaTime) -> Vec<Heard> {
        self.is_muted = is_muted;
        self.rest(at)
    }

    /// A mark was dropped with the sound before it: its sentence is not heard any further.
    pub(super) fn flushed(&mut self, id: u64) {
        let Some(at) = self.marks.iter().position(|mark| mark.id == id) else { return };
        let Some(mark) = self.marks.remove(at) else { return };
        if mark.place == Place::End {
            self.forget(mark.sentence);
        }
    }

    /// Nothing more of this sentence and of those before it is heard after this moment, and a pause is over; what that means.
    pub(super) fn hushed(&mut self, through: u64, at: MediaTime) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.sentences.retain_mut(|spoken| {
            let stays = spoken.sentence.key() > through;
            if !stays {
                heard.extend(spoken.rest(at));
            }
            stays
        });
        self.marks.retain(|mark| mark.sentence.key() > through);
        self.is_paused = false;
        heard
    }

    /// A sentence will not be said after all, or not to its end.
    pub(super) fn forget(&mut self, sentence: Sentence) {
        self.sentences.retain(|spoken| spoken.sentence != sentence);
    }

    fn mark(&mut self, sentence: Sentence, place: Place) -> u64 {
        self.next_mark += 1;
        if self.marks.len() >= MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { id: self.next_mark, sentence, place });
        self.next_mark
    }

    fn rest(&mut self, at: MediaTime) -> Vec<Heard> {
        if !self.is_paused && !self.is_muted {
            return Vec::new();
        }
        self.sentences.iter_mut().filter_map(|spoken| spoken.rest(at)).collect()
    }

    /// A mark tells how far its sentence was heard, and so what its mouth does.
    fn moved(&mut self, Mark { sentence, place, .. }: Mark, at: MediaTime, heard: &mut Vec<Heard>) {
        let samples = match place {
            Place::Begin => 0,
            Place::Within(samples) => samples,
            Place::End => return,
        };
        if self.is_paused || self.is_muted {
            return;
        }
        let spoken = self.sentences.iter_mut().find(|spoken| spoken.sentence == sentence);
        heard.extend(spoken.and_then(|spoken| spoken.lips.heard(at, samples)).map(|m| Heard::Moved(sentence, m)));
    }

    fn passed(&mut self, Mark { sentence, place, .. }: Mark, heard: &mut Vec<Heard>) {
        let Some(spoken) = self.sentences.iter_mut().find(|spoken| spoken.sentence == sentence) else { return };
        match place {
            Place::Begin => heard.push(Heard::Began(sentence)),
            Place::Within(samples) => {
                let words = spoken.heard_until(samples);
                if words > spoken.told {
                    spoken.told = words;
                    heard.push(Heard::Words(sentence, words));
                }
            }
            Place::End => {
                self.forget(sentence);
                heard.push(Heard::Played(sentence));
            }
        }
    }
}

impl Spoken {
    /// Its sound falls silent.
    fn rest(&mut self, at: MediaTime) -> Option<Heard> {
        self.lips.rest(at).map(|motion| Heard::Moved(self.sentence, motion))
    }

    /// How many of its words are over after so many samples: those before the last that has begun.
    fn heard_until(&self, samples: u64) -> usize {
        self.begins.iter().take_while(|(_, at)| *at <= samples).last().map_or(0, |(index, _)| *index)
    }
}

#[cfg(test)]
mod tests {
    use tts::viseme::Viseme;

    use super::*;

    fn sentence(turn: u64, number: u64) -> Sentence {
        Sentence::new(turn, number)
    }

    fn played(ledger: &mut Ledger, id: u64) -> Vec<Heard> {
        played_at(ledger, id, 0)
    }

    fn played_at(ledger: &mut Ledger, id: u64, at_ms: u64) -> Vec<Heard> {
        let mut heard = Vec::new();
        ledger.played(id, MediaTime::from_millis(at_ms), &mut heard);
        heard
    }

    fn moves(heard: &[Heard]) -> usize {
        heard.iter().filter(|heard| matches!(heard, Heard::Moved(..))).count()
    }

    #[test]
    fn a_word_is_heard_when_the_next_begins_however_late_the_voice_tells_of_it() {
        let mut ledger = Ledger::default();
        let first = sentence(1, 0);
        ledger.say(first, "Good morning, this is the office.");
        let begin = ledger.begin(first);
        let marks = [1_000, 2_000, 3_000].map(|samples| ledger.within(first, samples));
        let end = ledger.end(first);
        assert_eq!(played(&mut ledger, begin), [Heard::Began(first)]);
        // Nothing is known of the words yet.
        assert_eq!(played(&mut ledger, marks[0]), []);
        for (word, at) in [("Good", 0), ("morning,", 900), ("this", 1_900), ("is", 2_100), ("office.", 2_900)] {
            ledger.word(first, word, at);
        }
        assert_eq!(played(&mut ledger, marks[1]), [Heard::Words(first, 2)]);
        // The voice left out "the".
        assert_eq!(played(&mut ledger, marks[2]), [Heard::Words(first, 5)]);
        assert_eq!(played(&mut ledger, end), [Heard::Played(first)]);
        assert_eq!(played(&mut ledger, end), []);
    }

    #[test]
    fn marks_whose_reports_were_lost_are_made_up_for_by_a_later_one() {
        let mut ledger = Ledger::default();
        let (first, second) = (sentence(1, 0), sentence(1, 1));
        ledger.say(first, "One.");
        ledger.say(second, "Two.");
        ledger.begin(first);
        ledger.end(first);
        let begin = ledger.begin(second);
        assert_eq!(played(&mut ledger, begin), [Heard::Began(first), Heard::Played(first), Heard::Began(second)]);
    }

    #[test]
    fn what_was_hushed_is_never_told_as_heard() {
        let mut ledger = Ledger::default();
        let (old, new) = (sentence(1, 3), sentence(2, 0));
        ledger.say(old, "The old one.");
        ledger.say(new, "The new one.");
        let marks = [ledger.begin(old), ledger.within(old, 5), ledger.end(old)];
        ledger.word(old, "The", 0);
        ledger.word(old, "old", 4);
        assert_eq!(ledger.hushed(Sentence::last_of(1), MediaTime::ZERO), []);
        let begin = ledger.begin(new);
        assert_eq!(played(&mut ledger, marks[2]), []);
        assert_eq!(played(&mut ledger, begin), [Heard::Began(new)]);
    }

    #[test]
    fn a_mouth_rests_while_it_holds_still_or_is_muted_and_after_a_hush() {
        let mut ledger = Ledger::default();
        let (old, new) = (sentence(1, 0), sentence(2, 0));
        let second = u64::from(MOUTH_HZ);
        for of in [old, new] {
            ledger.say(of, "Aah.");
            ledger.shape(of, Shape { viseme: Viseme::Aa, at_sample: 0, samples: second });
        }
        let marks = [ledger.begin(old), ledger.within(old, second / 4), ledger.within(old, second / 2)];
        let next = ledger.begin(new);
        assert_eq!(moves(&played_at(&mut ledger, marks[0], 1_000)), 1);
        assert_eq!(moves(&ledger.paused(true, MediaTime::from_millis(1_200))), 1);
        // This one was on its way.
        assert_eq!(moves(&played_at(&mut ledger, marks[1], 1_250)), 0);
        assert_eq!(moves(&ledger.muted(true, MediaTime::from_millis(1_300))), 0, "it rests");
        assert_eq!(ledger.paused(false, MediaTime::from_millis(1_400)), []);
        assert_eq!(moves(&ledger.muted(false, MediaTime::from_millis(1_400))), 0);
        assert_eq!(moves(&played_at(&mut ledger, marks[2], 1_500)), 1, "it goes on");
        let hushed = ledger.hushed(Sentence::last_of(1), MediaTime::from_millis(1_600));
        assert!(matches!(&hushed[..], [Heard::Moved(of, _)] if *of == old), "{hushed:?}");
        assert_eq!(moves(&played_at(&mut ledger, next, 1_700)), 1, "the next turn is its own");
    }

    #[test]
    fn words_that_are_not_in_the_text_are_counted_in_order() {
        let mut ledger = Ledger::default();
        let first = sentence(1, 0);
        ledger.say(first, "Call 030 123456 now.");
        for (word, at) in [("Call", 0), ("zero", 10), ("123456", 20), ("now.", 30), ("more", 40), ("again", 50)] {
            ledger.word(first, word, at);
        }
        let mark = ledger.within(first, 35);
        assert_eq!(played(&mut ledger, mark), [Heard::Words(first, 3)]);
        let mark = ledger.within(first, 1_000);
        assert_eq!(played(&mut ledger, mark), [], "there are no more words than are written");
    }

    #[test]
    fn marks_that_never_come_back_do_not_pile_up() {
        let mut ledger = Ledger::default();
        let first = sentence(1, 0);
        ledger.say(first, "On and on.");
        for samples in 0..1_000 {
            ledger.within(first, samples);
        }
        assert_eq!(ledger.marks.len(), MARKS_MAX);
        let end = ledger.end(first);
        ledger.flushed(end);
        assert!(ledger.sentences.is_empty());
    }
}
