//! Word times.

/// Spans of words in seconds, in proportion to their letters over what sounds.
pub(crate) fn spans(audio: &[f32], words: &[&str]) -> Vec<(f32, f32)> {
    let total: usize = words.iter().map(|word| word.len() + 2).sum();
    let duration = audio.len() as f32 / 16_000.0;
    let mut passed = 0;
    words
        .iter()
        .map(|word| {
            let start = passed;
            passed += word.len() + 2;
            (start as f32 / total as f32 * duration, passed as f32 / total as f32 * duration)
        })
        .collect()
}
