//! How long words take from the mouth to the screen when a recording is played as if live. Pure.
//!
//! First words: from the start of an utterance's first word to its first partial. Settled words: from the end
//! of an utterance's last word to its final; utterances cut for their length or by the end of the file have
//! no pause to wait for and are not counted. Word times are the recognizer's own.

use std::{collections::BTreeSet, fmt, time::Duration};

use asr::event::{Cut, UtteranceId, Word};
use media::time::MediaTime;

use crate::transcript::Segment;

/// What was measured so far.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    begun: BTreeSet<(usize, UtteranceId)>,
    first_ms: Vec<u64>,
    settled_ms: Vec<u64>,
}

impl Latencies {
    /// A partial that came `after` the recording began.
    pub(super) fn partial(&mut self, lane: usize, utterance: UtteranceId, words: &[Word], after: Duration) {
        if let Some(first) = words.first()
            && self.begun.insert((lane, utterance))
        {
            self.first_ms.push(since(first.span.start, after));
        }
    }

    /// A final that came `after` the recording began.
    pub(super) fn last(&mut self, segment: &Segment, after: Duration) {
        if segment.cut == Cut::Pause {
            self.settled_ms.push(since(segment.speech().end, after));
        }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "latency: first words {}; settled words {}", Line(&self.first_ms), Line(&self.settled_ms))
    }
}

fn since(at: MediaTime, after: Duration) -> u64 {
    after.saturating_sub(at.as_duration()).as_millis() as u64
}

/// `p50 312 ms, p95 498 ms, max 510 ms (n = 12)`.
struct Line<'a>(&'a [u64]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.to_vec();
        sorted.sort_unstable();
        // The nearest rank: the smallest value that `percent` of all do not exceed.
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        if sorted.is_empty() {
            return f.write_str("not measured (no pause in the recording)");
        }
        write!(f, "p50 {} ms, p95 {} ms, max {} ms (n = {})", at(50), at(95), at(100), sorted.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::sample;

    #[test]
    fn only_the_first_partial_of_an_utterance_counts() {
        let mut latencies = Latencies::default();
        let words = sample::words("ask not", 1_000, 300);
        latencies.partial(0, UtteranceId(0), &words, Duration::from_millis(1_350));
        latencies.partial(0, UtteranceId(0), &words, Duration::from_millis(2_000));
        latencies.partial(1, UtteranceId(0), &words, Duration::from_millis(1_450));
        assert_eq!(latencies.first_ms, [350, 450]);
    }

    #[test]
    fn settled_words_are_measured_from_the_last_word_to_the_final() {
        let mut latencies = Latencies::default();
        let mut segment = sample::segment(0, "ask not", 1_000);
        latencies.last(&segment, Duration::from_millis(1_900));
        segment.cut = Cut::Length;
        latencies.last(&segment, Duration::from_millis(9_000));
        assert_eq!(latencies.settled_ms, [300]);
        assert_eq!(
            latencies.to_string(),
            "latency: first words not measured (no pause in the recording); \
             settled words p50 300 ms, p95 300 ms, max 300 ms (n = 1)"
        );
    }
}
