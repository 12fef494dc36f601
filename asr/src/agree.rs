//! Agreement of successive hypotheses: which words of a growing window are settled.
//!
//! Pure. A streaming recognizer decodes the same window again and again as it grows; its early guesses about
//! the newest words are often wrong. A word is settled once two hypotheses in a row agree on it (LocalAgreement
//! with n = 2: Liu et al., "Low-Latency Sequence-to-Sequence Speech Recognition", 2020; Macháček et al.,
//! "Whisper-Streaming", 2023) and a further word follows it. What is settled never changes its text again;
//! a later hypothesis that reads it differently is laid over it by edit distance and only continues it.

use media::time::MediaTime;

use crate::event::Word;

/// The words of one utterance as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// All words of the newest hypothesis, the settled ones first.
    words: Vec<Word>,
    settled: usize,
}

impl Agreement {
    /// Goes on from words that were settled in an earlier window.
    pub fn resume(words: Vec<Word>) -> Self {
        Self { settled: words.len(), words }
    }

    /// The words so far.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// How many of [`Self::words`] are settled.
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// The words that never change again.
    pub fn settled_words(&self) -> &[Word] {
        &self.words[..self.settled]
    }

    /// Takes the next hypothesis of the window; only words that end before `certain_until` may settle, since the
    /// newest sound is heard without what follows it. True when the words or their settled count changed.
    pub fn revise(&mut self, hypothesis: Vec<Word>, certain_until: MediaTime) -> bool {
        let next = self.laid_over(hypothesis);
        let agreed = self.words[self.settled..]
            .iter()
            .zip(&next[self.settled..])
            .take_while(|(old, new)| same(&old.text, &new.text) && new.span.end <= certain_until)
            .count();
        // The newest word may still grow ("inter" → "international"): it settles when another follows.
        let settled = (self.settled + agreed).min(next.len().saturating_sub(1)).max(self.settled);
        let changed = settled != self.settled
            || next.len() != self.words.len()
            || next.iter().zip(&self.words).any(|(a, b)| a.text != b.text);
        self.words = next;
        self.settled = settled;
        changed
    }

    /// Takes the last hypothesis of the window: everything is settled now.
    pub fn settle(mut self, hypothesis: Vec<Word>) -> Vec<Word> {
        let mut words = self.laid_over(hypothesis);
        self.words.clear();
        in_order(&mut words);
        words
    }

    /// Splits after `count` words: the words before are handed out, those after stay, settled as they were.
    pub fn split_off_front(&mut self, count: usize) -> Vec<Word> {
        let rest = self.words.split_off(count.min(self.words.len()));
        self.settled = self.settled.saturating_sub(count);
        std::mem::replace(&mut self.words, rest)
    }

    /// The settled words, continued by whatever `hypothesis` says after them.
    fn laid_over(&self, hypothesis: Vec<Word>) -> Vec<Word> {
        let settled = self.settled_words();
        let Overlay { consumed, pairs } = overlay(settled, &hypothesis);
        let mut words = settled.to_vec();
        for (kept, heard) in pairs {
            if same(&words[kept].text, &hypothesis[heard].text) {
                words[kept].span = hypothesis[heard].span;
                words[kept].confidence = hypothesis[heard].confidence;
            }
        }
        words.extend(hypothesis.into_iter().skip(consumed));
        in_order(&mut words);
        words
    }
}

/// Whether two words are the same to a listener: capitals and punctuation apart.
pub fn same(a: &str, b: &str) -> bool {
    let mut a = a.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    let mut b = b.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (x, y) if x == y => {}
            _ => return false,
        }
    }
}

/// How alike two runs of words are: edit distance over words, divided by the longer length; 0 is the same.
pub fn distance(a: &[Word], b: &[Word]) -> f32 {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 0.0;
    }
    table(a, b)[a.len()][b.len()] as f32 / longer as f32
}

struct Overlay {
    /// How many words of the hypothesis the settled words cover.
    consumed: usize,
    /// Which settled word stands for which word of the hypothesis.
    pairs: Vec<(usize, usize)>,
}

/// Finds the beginning of `hypothesis` that says what `settled` says: the prefix with the least edit distance,
/// and among equals the one whose length is closest.
fn overlay(settled: &[Word], hypothesis: &[Word]) -> Overlay {
    let cost = table(settled, hypothesis);
    let row = &cost[settled.len()];
    let consumed = (0..=hypothesis.len())
        .min_by_key(|&taken| (row[taken], taken.abs_diff(settled.len())))
        .expect("the range holds at least zero");
    let (mut i, mut j) = (settled.len(), consumed);
    let mut pairs = Vec::new();
    while i > 0 && j > 0 {
        let step = u32::from(!same(&settled[i - 1].text, &hypothesis[j - 1].text));
        if cost[i][j] == cost[i - 1][j - 1] + step {
            pairs.push((i - 1, j - 1));
            i -= 1;
            j -= 1;
        } else if cost[i][j] == cost[i - 1][j] + 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    Overlay { consumed, pairs }
}

/// Edit distance between every prefix of `a` and every prefix of `b`. A window holds tens of words.
fn table(a: &[Word], b: &[Word]) -> Vec<Vec<u32>> {
    let mut cost = vec![(0..=b.len() as u32).collect::<Vec<_>>()];
    for (i, left) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i as u32 + 1);
        for (j, right) in b.iter().enumerate() {
            let swap = cost[i][j] + u32::from(!same(&left.text, &right.text));
            row.push(swap.min(cost[i][j + 1] + 1).min(row[j] + 1));
        }
        cost.push(row);
    }
    cost
}

/// Makes spans increase: where a word of one hypothesis meets a word of another they may overlap.
fn in_order(words: &mut [Word]) {
    let mut earliest = words.first().map_or(MediaTime::ZERO, |word| word.span.start);
    for word in words {
        word.span.start = word.span.start.max(earliest);
        word.span.end = word.span.end.max(word.span.start);
        earliest = word.span.end;
    }
}

#[cfg(test)]
mod tests {
    use media::time::{MediaTime, Span};
    use proptest::prelude::*;

    use super::*;
    use crate::event::text;

    /// Later than every word of these tests.
    const LATE: MediaTime = MediaTime::from_millis(60_000);

    fn words(line: &str) -> Vec<Word> {
        line.split_whitespace()
            .enumerate()
            .map(|(i, word)| Word {
                text: word.to_owned(),
                span: Span::new(MediaTime::from_millis(300 * i as u64), MediaTime::from_millis(300 * i as u64 + 250)),
                confidence: 0.9,
            })
            .collect()
    }

    #[test]
    fn a_word_settles_when_two_hypotheses_agree_and_another_follows() {
        let mut agreement = Agreement::default();
        agreement.revise(words("and so my"), LATE);
        assert_eq!(agreement.settled(), 0);
        agreement.revise(words("And so, my fellow"), LATE);
        assert_eq!(text(&agreement.words()[..agreement.settled()]), "And so, my");
    }

    #[test]
    fn a_word_heard_a_moment_ago_does_not_settle() {
        let mut agreement = Agreement::default();
        agreement.revise(words("my joy is"), MediaTime::from_millis(100));
        agreement.revise(words("my joy is great"), MediaTime::from_millis(300));
        assert_eq!(text(agreement.settled_words()), "my");
    }

    #[test]
    fn the_newest_word_never_settles_before_the_end() {
        let mut agreement = Agreement::default();
        agreement.revise(words("inter"), LATE);
        agreement.revise(words("inter"), LATE);
        assert_eq!(agreement.settled(), 0);
        assert_eq!(text(&agreement.settle(words("international"))), "international");
    }

    #[test]
    fn settled_words_keep_their_text_when_a_later_hypothesis_reads_them_differently() {
        let mut agreement = Agreement::default();
        agreement.revise(words("the weather is"), LATE);
        agreement.revise(words("the weather is fine"), LATE);
        agreement.revise(words("whether is fine today"), LATE);
        assert_eq!(text(agreement.words()), "the weather is fine today");
        assert_eq!(
            text(&agreement.settle(words("the whether is fine today again"))),
            "the weather is fine today again"
        );
    }

    #[test]
    fn a_hypothesis_that_lost_its_beginning_continues_where_it_fits() {
        let mut agreement = Agreement::resume(words("ask not what your country"));
        agreement.revise(words("your country can do"), LATE);
        assert_eq!(text(agreement.words()), "ask not what your country can do");
    }

    #[test]
    fn an_empty_last_hypothesis_keeps_what_was_settled() {
        assert_eq!(text(&Agreement::resume(words("good morning")).settle(Vec::new())), "good morning");
    }

    fn lines() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("([abc]{1,2}[.,]? ?){0,8}", 0..8)
    }

    proptest! {
        #[test]
        fn settled_words_are_never_retracted(hypotheses in lines(), last in "([abc]{1,2}[.,]? ?){0,8}") {
            let mut agreement = Agreement::default();
            let mut settled = Vec::<String>::new();
            for line in &hypotheses {
                agreement.revise(words(line), LATE);
                let now: Vec<_> = agreement.words()[..agreement.settled()].iter().map(|word| word.text.clone()).collect();
                prop_assert_eq!(&now[..settled.len()], &settled[..]);
                settled = now;
            }
            let all = agreement.settle(words(&last));
            let all: Vec<_> = all.iter().map(|word| word.text.clone()).collect();
            prop_assert_eq!(&all[..settled.len()], &settled[..]);
        }

        #[test]
        fn spans_increase_whatever_is_laid_over_what(hypotheses in lines()) {
            let mut agreement = Agreement::default();
            for line in &hypotheses {
                agreement.revise(words(line), LATE);
                for pair in agreement.words().windows(2) {
                    prop_assert!(pair[0].span.end <= pair[1].span.start);
                }
            }
        }
    }
}
