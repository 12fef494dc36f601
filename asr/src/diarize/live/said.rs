//! What was said by whom, as it was told: so that it can be put right.
//!
//! Pure. Utterances of the last ten minutes are kept with their words and can be labelled anew; of older ones it is
//! kept whose words are whose, and they change only where one number became another. Bounded: what is older than
//! twenty thousand utterances stays as it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use media::time::MediaTime;

use super::ledger::Merge;
use crate::event::{UtteranceId, VoiceRun, Word};

/// Utterances that are remembered: some fifteen hours of talk, 3 MB.
const KEPT: usize = 20_000;

/// How much later there is more to say about an utterance: its last pieces of voice have all been heard by then.
const RIPE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Utterance {
    /// None where they are no longer kept.
    words: Vec<Word>,
    voices: Vec<VoiceRun>,
    /// It was labelled as soon as could be, and not again since.
    is_fresh: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    utterances: BTreeMap<UtteranceId, Utterance>,
    /// Those with words.
    whole: BTreeSet<UtteranceId>,
    /// Those whose labels changed since they were told.
    changed: BTreeSet<UtteranceId>,
}

impl Said {
    /// Remembers what was told of an utterance.
    pub(super) fn tell(&mut self, id: UtteranceId, words: &[Word], voices: &[VoiceRun]) {
        self.changed.remove(&id);
        self.whole.insert(id);
        let utterance = Utterance { words: words.to_vec(), voices: voices.to_vec(), is_fresh: true };
        self.utterances.insert(id, utterance);
        while self.utterances.len() > KEPT {
            let Some((gone, _)) = self.utterances.pop_first() else { return };
            self.whole.remove(&gone);
            self.changed.remove(&gone);
        }
    }

    /// Lets go of the words of utterances that ended before `from`.
    pub(super) fn forget(&mut self, from: MediaTime) {
        let utterances = &mut self.utterances;
        self.whole.retain(|id| {
            let Some(utterance) = utterances.get_mut(id) else { return false };
            let is_kept = utterance.words.last().is_some_and(|word| word.span.end >= from);
            if !is_kept {
                utterance.words = Vec::new();
            }
            is_kept
        });
    }

    /// Those of which there is more to say once all is known until `known_until`, by when they begin.
    pub(super) fn ripe(&self, known_until: MediaTime) -> Vec<UtteranceId> {
        let is_ripe = |id: &&UtteranceId| {
            self.utterances.get(*id).is_some_and(|utterance| {
                let end = utterance.words.last().map(|word| word.span.end);
                utterance.is_fresh && end.is_some_and(|end| end + RIPE <= known_until)
            })
        };
        self.whole.iter().filter(is_ripe).copied().collect()
    }

    /// All that can be labelled anew.
    pub(super) fn whole(&self) -> Vec<UtteranceId> {
        self.whole.iter().copied().collect()
    }

    /// The words of one of those.
    pub(super) fn words(&self, id: UtteranceId) -> &[Word] {
        self.utterances.get(&id).map(|utterance| utterance.words.as_slice()).unwrap_or_default()
    }

    /// An utterance was labelled anew. That it is surer or less sure of the same is no news.
    pub(super) fn put_right(&mut self, id: UtteranceId, voices: Vec<VoiceRun>) {
        let Some(utterance) = self.utterances.get_mut(&id) else { return };
        utterance.is_fresh = false;
        let key = |run: &VoiceRun| (run.words, run.voice);
        if !utterance.voices.iter().map(key).eq(voices.iter().map(key)) {
            utterance.voices = voices;
            self.changed.insert(id);
        }
    }

    /// One number became another, wherever it was told.
    pub(super) fn rename(&mut self, Merge { gone, kept }: Merge) {
        for (id, utterance) in &mut self.utterances {
            if !utterance.voices.iter().any(|run| run.voice == Some(gone)) {
                continue;
            }
            for run in &mut utterance.voices {
                if run.voice == Some(gone) {
                    run.voice = Some(kept);
                }
            }
            utterance.voices.dedup_by(|next, run| {
                let is_same = next.voice == run.voice;
                if is_same {
                    let words = run.words + next.words;
                    let sum = run.confidence * run.words as f32 + next.confidence * next.words as f32;
                    *run = VoiceRun { words, confidence: sum / words.max(1) as f32, ..*run };
                }
                is_same
            });
            self.changed.insert(*id);
        }
    }

    /// The next utterance whose labels changed, the oldest first, and what they are now.
    pub(super) fn changed(&mut self) -> Option<(UtteranceId, Vec<VoiceRun>)> {
        while let Some(id) = self.changed.pop_first() {
            if let Some(utterance) = self.utterances.get(&id) {
                return Some((id, utterance.voices.clone()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use media::time::Span;

    use super::*;
    use crate::diarize::VoiceId;

    fn words(at_s: u64, count: u64) -> Vec<Word> {
        let span = |at: u64| {
            let start = MediaTime::from_millis(at_s * 1_000 + at * 300);
            Span::new(start, start + Duration::from_millis(250))
        };
        (0..count).map(|at| Word { text: "word".to_owned(), span: span(at), confidence: 0.9 }).collect()
    }

    fn runs(of: &[(usize, u16)]) -> Vec<VoiceRun> {
        of.iter().map(|&(words, voice)| VoiceRun { words, voice: Some(VoiceId(voice)), confidence: 0.8 }).collect()
    }

    const A: UtteranceId = UtteranceId(0);
    const B: UtteranceId = UtteranceId(1);

    #[test]
    fn what_changed_is_told_once_and_what_did_not_is_not() {
        let mut said = Said::default();
        said.tell(A, &words(0, 4), &runs(&[(4, 0)]));
        said.tell(B, &words(2, 4), &runs(&[(2, 0), (2, 1)]));
        let mut surer = runs(&[(4, 0)]);
        surer[0].confidence = 1.0;
        said.put_right(A, surer);
        said.put_right(B, runs(&[(4, 1)]));
        assert_eq!(said.changed(), Some((B, runs(&[(4, 1)]))));
        assert_eq!(said.changed(), None);
        // What changes twice before it is asked for is told as it is in the end.
        said.put_right(A, runs(&[(4, 2)]));
        said.put_right(A, runs(&[(4, 3)]));
        assert_eq!(said.changed(), Some((A, runs(&[(4, 3)]))));
        said.put_right(UtteranceId(99), runs(&[(1, 0)]));
        assert_eq!(said.changed(), None);
    }

    #[test]
    fn a_number_that_became_another_changes_old_utterances_too_and_runs_grow_together() {
        let mut said = Said::default();
        said.tell(A, &words(0, 6), &runs(&[(2, 0), (3, 1), (1, 2)]));
        said.tell(B, &words(4, 2), &runs(&[(2, 2)]));
        said.forget(MediaTime::from_millis(3_000));
        assert_eq!((said.words(A).len(), said.words(B).len(), said.whole()), (0, 2, vec![B]));
        said.rename(Merge { gone: VoiceId(1), kept: VoiceId(0) });
        let (id, voices) = said.changed().unwrap();
        assert_eq!((id, voices.len(), voices[0].words, voices[1].words), (A, 2, 5, 1));
        assert!((voices[0].confidence - 0.8).abs() < 1e-5);
        assert_eq!(said.changed(), None);
    }

    #[test]
    fn an_utterance_is_looked_at_again_once_it_is_over() {
        let mut said = Said::default();
        said.tell(A, &words(0, 2), &runs(&[(2, 0)]));
        assert!(said.ripe(MediaTime::from_millis(3_400)).is_empty());
        assert_eq!(said.ripe(MediaTime::from_millis(3_600)), [A]);
        said.put_right(A, runs(&[(2, 0)]));
        assert!(said.ripe(MediaTime::from_millis(9_000)).is_empty());
    }

    #[test]
    fn days_of_talk_take_no_more_room_than_a_day() {
        let mut said = Said::default();
        for at in 0..(KEPT as u64 + 5_000) {
            said.tell(UtteranceId(at), &words(at, 3), &runs(&[(3, 0)]));
            said.forget(MediaTime::from_millis(at.saturating_sub(600) * 1_000));
        }
        assert_eq!(said.utterances.len(), KEPT);
        assert!(said.whole.len() <= 602, "{}", said.whole.len());
        said.rename(Merge { gone: VoiceId(0), kept: VoiceId(0) });
        assert!(said.changed.len() <= KEPT);
    }
}
