//! Sentences that were spoken before: what a telephone application says to everybody is made once.
//!
//! Bounded by bytes; what was not used for longest leaves first. A sentence that is larger than an eighth of the
//! whole is not kept, so that one reading of a novel does not drive out the greetings. Pure.

use std::{collections::BTreeMap, sync::Arc};

use crate::{viseme::Shape, voice::Sentence};

/// A sentence that was spoken to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spoken {
    /// Mono f32 in [-1, 1] at the voice's rate.
    pub(crate) samples: Vec<f32>,
    /// Words by their place in the sentence, and the samples at which they begin.
    pub(crate) words: Vec<(usize, u64)>,
    /// Visemes, where they are wanted.
    pub(crate) shapes: Vec<Shape>,
}

impl Spoken {
    fn bytes(&self) -> usize {
        size_of_val(self.samples.as_slice()) + size_of_val(self.words.as_slice()) + size_of_val(self.shapes.as_slice())
    }
}

/// What is remembered.
pub(crate) struct Cache {
    bytes_max: usize,
    bytes: usize,
    /// Counts uses.
    clock: u64,
    /// By what was said, in full: two sentences are the same only if they are equal.
    entries: BTreeMap<String, Entry>,
    /// When each was used last.
    by_use: BTreeMap<u64, String>,
}

struct Entry {
    spoken: Arc<Spoken>,
    used: u64,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, clock: 0, entries: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    /// What `sentence` sounded like, if it is remembered.
    pub(crate) fn recall(&mut self, sentence: &Sentence) -> Option<Arc<Spoken>> {
        let key = key(sentence);
        let entry = self.entries.get_mut(&key)?;
        self.by_use.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.by_use.insert(self.clock, key);
        Some(entry.spoken.clone())
    }

    /// Remembers what `sentence` sounded like.
    pub(crate) fn keep(&mut self, sentence: &Sentence, spoken: Arc<Spoken>) {
        let key = key(sentence);
        let bytes = spoken.bytes() + 2 * key.len();
        if bytes > self.bytes_max / 8 {
            return;
        }
        self.forget(&key);
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(gone) = self.entries.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, key.clone());
        self.entries.insert(key, Entry { spoken, used: self.clock, bytes });
    }

    fn forget(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

/// All that decides how a sentence sounds, and nothing of how it was written.
fn key(sentence: &Sentence) -> String {
    use std::fmt::Write as _;
    let mut key = format!("{:?}", sentence.voice);
    for word in &sentence.words {
        // Writing to a string does not fail.
        let _ = write!(key, "\n{}\t{:?}", word.spoken, word.how);
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        utterance::Emphasis,
        voice::{How, VoiceId, Word},
    };

    fn sentence(text: &str) -> Sentence {
        let word = Word { written: text.to_uppercase(), spoken: text.to_owned(), how: How::default() };
        Sentence { voice: VoiceId::default(), words: vec![word] }
    }

    fn spoken(samples: usize) -> Arc<Spoken> {
        Arc::new(Spoken { samples: vec![0.0; samples], words: vec![(0, 0)], shapes: Vec::new() })
    }

    #[test]
    fn what_was_said_is_recalled_and_what_is_said_otherwise_is_not() {
        let mut cache = Cache::new(100_000);
        cache.keep(&sentence("hello"), spoken(100));
        assert_eq!(cache.recall(&sentence("hello")), Some(spoken(100)));
        assert_eq!(cache.recall(&sentence("hello.")), None);
        let mut weighty = sentence("hello");
        weighty.words[0].how.emphasis = Some(Emphasis::Strong);
        assert_eq!(cache.recall(&weighty), None);
    }

    #[test]
    fn what_was_not_used_for_longest_leaves_first() {
        let mut cache = Cache::new(40_000);
        for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            cache.keep(&sentence(text), spoken(1_100));
        }
        assert!(cache.recall(&sentence("a")).is_some());
        cache.keep(&sentence("i"), spoken(1_100));
        assert!(cache.recall(&sentence("a")).is_some());
        assert!(cache.recall(&sentence("b")).is_none());
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may(kept in prop::collection::vec((0..20_u8, 0..4_000_usize), 0..60)) {
            let mut cache = Cache::new(50_000);
            for (text, samples) in kept {
                cache.keep(&sentence(&text.to_string()), spoken(samples));
                let held: usize = cache.entries.values().map(|entry| entry.bytes).sum();
                prop_assert_eq!(held, cache.bytes);
                prop_assert!(held <= 50_000);
                prop_assert_eq!(cache.entries.len(), cache.by_use.len());
            }
        }
    }
}
