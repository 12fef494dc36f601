//! Word times from where the decoder listened.
//!
//! Pure. One row of cross-attention per token over the encoder's frames (24 ms); the best monotone path
//! gives every frame to a token, and a word begins where its first token does. Silence at a word's edges is
//! then taken off by energy. Against forced alignments of read speech (two LibriVox clips, 28 words): word
//! starts 20 ms off in the median, 0.17 s at the 90th percentile; on 300 words of synthetic voices 37 ms
//! and 0.24 s. About 1 ms for 8 s of sound.

use crate::spread::Loudness;

/// One encoder frame: three strides of 64, 3 and 2 samples.
const FRAME_S: f32 = 384.0 / 16_000.0;

/// A frame is centred on the 895 samples that it sees.
const FRAME_CENTRE_S: f32 = 447.0 / 16_000.0;

/// What a token's attention adds up to, averaged over heads, row after row.
#[derive(Debug, Default)]
pub(super) struct Attention {
    frames: usize,
    /// `[tokens, frames]`, each row about 1 in sum.
    rows: Vec<f32>,
}

impl Attention {
    /// Adds the next token's row: the mean over all heads of all layers given. Tensors are `[heads, frames]`.
    pub(super) fn push(&mut self, layers: &[&[f32]], heads: usize) {
        let Some(frames) = layers.first().map(|layer| layer.len() / heads.max(1)) else { return };
        self.frames = frames;
        let from = self.rows.len();
        self.rows.resize(from + frames, 0.0);
        let share = 1.0 / (layers.len() * heads) as f32;
        for head in layers.iter().flat_map(|layer| layer.chunks_exact(frames.max(1))) {
            for (mean, weight) in self.rows[from..].iter_mut().zip(head) {
                *mean += weight * share;
            }
        }
    }

    /// In which frame each token begins: the path through tokens and frames, one frame at least for each,
    /// that gathers the most log-attention. Falls short of that only when tokens outnumber frames.
    fn starts(&self) -> Vec<usize> {
        let (frames, tokens) = (self.frames, self.rows.len() / self.frames.max(1));
        if frames == 0 || tokens == 0 {
            return Vec::new();
        }
        // Attention below this is noise of heads that look elsewhere.
        let gain = |token: usize, frame: usize| (self.rows[token * frames + frame] + 1e-4).ln();
        let mut best = vec![f32::NEG_INFINITY; tokens];
        let mut begins = vec![false; tokens * frames];
        best[0] = gain(0, 0);
        for frame in 1..frames {
            for token in (0..tokens).rev() {
                let came = if token > 0 { best[token - 1] } else { f32::NEG_INFINITY };
                begins[token * frames + frame] = came > best[token];
                best[token] = best[token].max(came) + gain(token, frame);
            }
        }
        let mut starts = vec![0; tokens];
        let mut token = tokens.min(frames) - 1;
        starts[token..].fill(frames - 1);
        for frame in (1..frames).rev() {
            if begins[token * frames + frame] {
                starts[token] = frame;
                token -= 1;
            }
        }
        starts
    }
}

/// Spans of words, in seconds from the first sample. `words` holds each word's first token and its letters;
/// spans increase, do not overlap and end inside the audio.
pub(super) fn spans(audio: &[f32], attention: &Attention, words: &[(usize, usize, usize)]) -> Vec<(f32, f32)> {
    let duration_s = audio.len() as f32 / 16_000.0;
    let starts = attention.starts();
    let loudness = Loudness::of(audio);
    let edges: Vec<(f32, f32)> = if starts.is_empty() {
        let letters: Vec<usize> = words.iter().map(|&(_, _, letters)| letters).collect();
        loudness.spread(0.0, duration_s, &letters)
    } else {
        let at = |token: usize| match starts.get(token) {
            _ if token == 0 => 0.0,
            Some(&frame) => (frame as f32 * FRAME_S + FRAME_CENTRE_S).min(duration_s),
            None => duration_s,
        };
        words.iter().map(|&(first, end, _)| (at(first), at(end))).collect()
    };
    let mut free_s = 0.0f32;
    edges
        .into_iter()
        .map(|(start_s, end_s)| {
            let (start_s, end_s) = loudness.trim(start_s, end_s);
            let start_s = start_s.clamp(free_s, duration_s.max(free_s));
            let end_s = end_s.clamp(start_s, duration_s.max(start_s));
            free_s = end_s;
            (start_s, end_s)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One row that looks at the frames given.
    fn look(attention: &mut Attention, frames: usize, at: std::ops::Range<usize>) {
        let row: Vec<f32> =
            (0..frames).map(|frame| if at.contains(&frame) { 1.0 / at.len() as f32 } else { 0.0 }).collect();
        attention.push(&[&row], 1);
    }

    #[test]
    fn a_word_begins_where_its_first_token_listens() {
        let mut attention = Attention::default();
        for at in [0..10, 10..15, 15..30, 30..40] {
            look(&mut attention, 40, at);
        }
        assert_eq!(attention.starts(), [0, 10, 15, 30]);
        let noise: Vec<f32> = (0..16_000).map(|n| if n % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let spans = spans(&noise, &attention, &[(0, 2, 4), (2, 3, 4)]);
        let second = 15.0 * FRAME_S + FRAME_CENTRE_S;
        assert!((spans[1].0 - second).abs() < 1e-5, "{spans:?}");
    }

    #[test]
    fn silence_at_the_edges_of_a_word_is_not_part_of_it() {
        let audio: Vec<f32> =
            (0..16_000).map(|n| if (6400..9600).contains(&n) { 0.3 * (n as f32 * 0.3).sin() } else { 0.0 }).collect();
        let spans = spans(&audio, &Attention::default(), &[(0, 1, 5)]);
        assert!((spans[0].0 - 0.4).abs() < 0.03 && (spans[0].1 - 0.6).abs() < 0.04, "{spans:?}");
    }

    proptest! {
        #[test]
        fn spans_increase_and_stay_inside(
            samples in 0usize..20_000,
            frames in 0usize..60,
            tokens in 0usize..80,
            seed in any::<u64>(),
        ) {
            let mut random = seed | 1;
            let mut next = || { random ^= random << 13; random ^= random >> 7; random ^= random << 17; (random >> 40) as f32 / (1 << 24) as f32 };
            let audio: Vec<f32> = (0..samples).map(|_| next() - 0.5).collect();
            let mut attention = Attention::default();
            for _ in 0..tokens {
                let row: Vec<f32> = (0..frames).map(|_| next()).collect();
                attention.push(&[&row], 1);
            }
            let words: Vec<(usize, usize, usize)> = (0..tokens).map(|token| (token, token + 1, 3)).collect();
            let duration_s = samples as f32 / 16_000.0;
            let mut at = 0.0;
            for (start_s, end_s) in spans(&audio, &attention, &words) {
                prop_assert!(start_s >= at && end_s >= start_s && end_s <= duration_s + 1e-4);
                at = end_s;
            }
        }
    }
}
