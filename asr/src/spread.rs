//! Word times by letters: words laid over what sounds, in proportion to how long they are written.
//!
//! Pure. For engines that know where a sentence begins and ends but not its words. Silence gets no letters,
//! so a pause falls between words more often than into one. About 10 µs for a second of sound.

/// Energy is judged in steps of 10 ms.
const STEP_SAMPLES: usize = 160;
const STEP_S: f32 = 0.01;

/// Loudness over time, and what counts as silence in it.
#[derive(Debug)]
pub(crate) struct Loudness {
    /// Mean energy of each 10 ms in dB, smoothed over three.
    steps_db: Vec<f32>,
    /// Three tenths of the way from the background to the loud parts.
    quiet_db: f32,
}

impl Loudness {
    /// Measures 16 kHz mono samples.
    pub(crate) fn of(audio: &[f32]) -> Self {
        let mean = |step: &[f32]| step.iter().map(|sample| sample * sample).sum::<f32>() / STEP_SAMPLES as f32;
        let raw: Vec<f32> = audio.chunks_exact(STEP_SAMPLES).map(|step| 10.0 * (mean(step) + 1e-9).log10()).collect();
        let steps_db: Vec<f32> = (0..raw.len())
            .map(|at| {
                let around = &raw[at.saturating_sub(1)..(at + 2).min(raw.len())];
                around.iter().sum::<f32>() / around.len() as f32
            })
            .collect();
        let mut sorted = steps_db.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let rank = |share: f32| sorted.get((share * sorted.len() as f32) as usize).copied().unwrap_or(0.0);
        let quiet_db = rank(0.05) + 0.3 * (rank(0.95) - rank(0.05));
        Self { steps_db, quiet_db }
    }

    fn is_quiet(&self, step: usize) -> bool {
        self.steps_db.get(step).is_none_or(|&db| db < self.quiet_db)
    }

    /// Moves both edges of a word inwards over silence, leaving at least 30 ms of it.
    pub(crate) fn trim(&self, start_s: f32, end_s: f32) -> (f32, f32) {
        let last = ((end_s / STEP_S) as usize).min(self.steps_db.len().saturating_sub(1));
        let first = ((start_s / STEP_S) as usize).min(last);
        let (mut start, mut end) = (first, last);
        while start + 3 < last && self.is_quiet(start) {
            start += 1;
        }
        while end > start + 3 && self.is_quiet(end - 1) {
            end -= 1;
        }
        let trimmed_start_s = if start > first { start_s.max((start as f32 - 1.0) * STEP_S) } else { start_s };
        let trimmed_end_s = if end < last { end_s.min((end as f32 + 2.0) * STEP_S) } else { end_s };
        (trimmed_start_s, trimmed_end_s)
    }

    /// Edges of words with so many letters each, spoken one after the other between two times.
    pub(crate) fn spread(&self, from_s: f32, until_s: f32, letters: &[usize]) -> Vec<(f32, f32)> {
        let (from_s, until_s) = self.trim(from_s, until_s.max(from_s));
        let (first, last) = ((from_s / STEP_S).round() as usize, (until_s / STEP_S).round() as usize);
        // Silence counts a little, or a sentence said in a whisper would have no length at all.
        let weight = |step: usize| if self.is_quiet(step) { 0.1 } else { 1.0f32 };
        let sounding: f32 = (first..last).map(weight).sum();
        let written: f32 = letters.iter().map(|&letters| letters as f32 + 1.0).sum();
        let (mut step, mut passed, mut read) = (first, 0.0, 0.0);
        let mut start_s = from_s;
        letters
            .iter()
            .map(|&letters| {
                read += letters as f32 + 1.0;
                while step < last && passed < read / written * sounding {
                    passed += weight(step);
                    step += 1;
                }
                let span = (start_s, (step as f32 * STEP_S).clamp(start_s, until_s));
                start_s = span.1;
                span
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two bursts of sound with a pause between them.
    fn bursts() -> Vec<f32> {
        let sounds = |n: usize| (3200..6400).contains(&n) || (9600..12_800).contains(&n);
        (0..16_000).map(|n| if sounds(n) { 0.3 * (n as f32 * 0.3).sin() } else { 0.0 }).collect()
    }

    #[test]
    fn a_pause_falls_between_words() {
        let loudness = Loudness::of(&bursts());
        let spans = loudness.spread(0.0, 1.0, &[4, 4]);
        let (first, second) = (loudness.trim(spans[0].0, spans[0].1), loudness.trim(spans[1].0, spans[1].1));
        assert!((first.0 - 0.2).abs() < 0.03 && (first.1 - 0.4).abs() < 0.05, "{first:?}");
        assert!((second.0 - 0.6).abs() < 0.05 && (second.1 - 0.8).abs() < 0.05, "{second:?}");
    }

    proptest! {
        #[test]
        fn edges_increase_and_stay_between(
            samples in 0usize..20_000,
            from_s in 0.0f32..1.5,
            length_s in 0.0f32..1.5,
            letters in proptest::collection::vec(0usize..12, 0..20),
        ) {
            let audio: Vec<f32> = (0..samples).map(|n| ((n * 7919) % 257) as f32 / 257.0 - 0.5).collect();
            let mut at = from_s;
            for (start_s, end_s) in Loudness::of(&audio).spread(from_s, from_s + length_s, &letters) {
                prop_assert!(start_s >= at && end_s >= start_s && end_s <= from_s + length_s + 1e-4);
                at = end_s;
            }
        }
    }
}
