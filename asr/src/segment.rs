//! The audio of one utterance while it is being heard: samples, scores, and where it may be cut.
//!
//! Pure. A segment begins with the pre-roll before the first speech and grows window by window. When a
//! monologue makes it long, it is cut at the quietest moment inside a stretch that the caller names, so that
//! no word is cut in two and the cost of decoding stays bounded.

use crate::vad::gate::WINDOW_SAMPLES;

/// How sure the voice detector was of a window, and how loud it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// 0..=1.
    pub speech: f32,
    /// Root mean square of the window's samples.
    pub rms: f32,
}

impl Score {
    /// The score of `window`, given what the voice detector said.
    pub fn of(window: &[f32], speech: f32) -> Self {
        let power = window.iter().map(|s| s * s).sum::<f32>() / window.len().max(1) as f32;
        Self { speech, rms: power.sqrt() }
    }
}

/// A stretch of one stream's audio, at 16 kHz.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Where it begins on the stream, in samples.
    start: u64,
    samples: Vec<f32>,
    /// One score for every [`WINDOW_SAMPLES`], in step with `samples`; the last may cover fewer.
    scores: Vec<Score>,
}

impl Segment {
    /// An empty segment that begins at sample `start` of the stream.
    pub fn new(start: u64) -> Self {
        Self { start, samples: Vec::new(), scores: Vec::new() }
    }

    /// Appends a window (shorter only when it is the last).
    pub fn push(&mut self, window: &[f32], score: Score) {
        self.samples.extend_from_slice(window);
        self.scores.push(score);
    }

    /// First sample on the stream.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// First sample on the stream that is no longer inside.
    pub fn end(&self) -> u64 {
        self.start + self.samples.len() as u64
    }

    /// How long it is, in samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Its samples.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Its scores, one per window.
    pub fn scores(&self) -> &[Score] {
        &self.scores
    }

    /// Forgets all but the last `windows` whole windows.
    pub fn keep_last(&mut self, windows: usize) {
        let drop_windows = self.scores.len().saturating_sub(windows);
        let drop_samples = (drop_windows * WINDOW_SAMPLES).min(self.samples.len());
        self.scores.drain(..drop_windows);
        self.samples.drain(..drop_samples);
        self.start += drop_samples as u64;
    }

    /// Forgets what lies behind sample `end` of the stream.
    pub fn truncate(&mut self, end: u64) {
        let len = end.saturating_sub(self.start).min(self.samples.len() as u64) as usize;
        self.samples.truncate(len);
        self.scores.truncate(len.div_ceil(WINDOW_SAMPLES));
    }

    /// Splits at sample `at` of the stream, moved down to a window: this keeps what lies before, the rest is
    /// returned.
    pub fn split_off(&mut self, at: u64) -> Self {
        let windows = (at.saturating_sub(self.start) as usize / WINDOW_SAMPLES).min(self.scores.len());
        let samples = (windows * WINDOW_SAMPLES).min(self.samples.len());
        Self {
            start: self.start + samples as u64,
            samples: self.samples.split_off(samples),
            scores: self.scores.split_off(windows),
        }
    }

    /// The best place to cut between samples `from` and `until` of the stream: the middle of the quietest
    /// 96 ms, as a sample on a window's border, with how quiet it is.
    pub fn quietest(&self, from: u64, until: u64) -> Option<Dip> {
        let first = (from.saturating_sub(self.start) as usize).div_ceil(WINDOW_SAMPLES);
        let last = (until.saturating_sub(self.start) as usize / WINDOW_SAMPLES).min(self.scores.len());
        let loudest = self.scores.iter().map(|score| score.rms).fold(f32::MIN_POSITIVE, f32::max);
        // A cut at window i lies between windows i-1 and i: both must be quiet, the detector's word counts
        // as much as the level's.
        (first.max(1)..last)
            .map(|i| {
                let quiet = |score: &Score| score.speech + score.rms / loudest;
                let depth = (quiet(&self.scores[i - 1]) + quiet(&self.scores[i])) / 2.0;
                Dip { at: self.start + (i * WINDOW_SAMPLES) as u64, depth }
            })
            .min_by(|a, b| a.depth.total_cmp(&b.depth))
    }

    /// Seconds of windows that the voice detector took for speech.
    pub fn speech_s(&self) -> f32 {
        let windows = self.scores.iter().filter(|score| score.speech >= 0.5).count();
        (windows * WINDOW_SAMPLES) as f32 / media::frame::EAR_HZ as f32
    }
}

/// A quiet moment inside a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dip {
    /// Sample on the stream.
    pub at: u64,
    /// 0 is silence, 2 is the loudest certain speech.
    pub depth: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(loud: &[f32]) -> Segment {
        let mut segment = Segment::new(1000);
        for &rms in loud {
            let window = [rms; WINDOW_SAMPLES];
            segment.push(&window, Score::of(&window, if rms > 0.1 { 0.9 } else { 0.1 }));
        }
        segment
    }

    #[test]
    fn the_cut_lies_in_the_quiet_between_words() {
        let segment = segment(&[0.5, 0.4, 0.5, 0.01, 0.02, 0.5, 0.3, 0.4]);
        let dip = segment.quietest(segment.start(), segment.end()).expect("there is a dip");
        assert_eq!(dip.at, 1000 + 4 * WINDOW_SAMPLES as u64);
    }

    #[test]
    fn split_and_rest_together_are_the_whole() {
        let mut front = segment(&[0.1, 0.2, 0.3, 0.4]);
        let whole = front.clone();
        let rest = front.split_off(1000 + 2 * WINDOW_SAMPLES as u64 + 5);
        assert_eq!(rest.start(), front.end());
        assert_eq!([front.samples(), rest.samples()].concat(), whole.samples());
        assert_eq!([front.scores(), rest.scores()].concat(), whole.scores());
    }

    #[test]
    fn keeping_the_last_windows_moves_the_start() {
        let mut segment = segment(&[0.1, 0.2, 0.3]);
        let end = segment.end();
        segment.keep_last(1);
        assert_eq!((segment.len(), segment.end()), (WINDOW_SAMPLES, end));
    }

    #[test]
    fn an_empty_stretch_has_no_dip() {
        assert_eq!(Segment::new(0).quietest(0, 10_000), None);
    }
}
