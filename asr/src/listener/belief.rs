//! Whether a listener believes a hypothesis: the guards of [`crate::hallucination`], told what the segment knows.

use media::frame::EAR_HZ;

use crate::{
    hallucination::{self, Evidence, Verdict, peak_level_db},
    recognizer::Hypothesis,
    segment::Segment,
};

/// Whether a hypothesis of this audio is not to be believed. There is no second decode to ask for, so a guard
/// that would like one is taken at its worst.
pub(super) fn is_invented(segment: &Segment, hypothesis: &Hypothesis) -> bool {
    let words: Vec<&str> = hypothesis.words.iter().map(|word| word.text.as_str()).collect();
    let evidence = Evidence {
        text: &words.join(" "),
        mean_logprob: hypothesis.mean_logprob,
        no_speech: hypothesis.no_speech,
        window_s: segment.len() as f32 / EAR_HZ as f32,
        speech_s: segment.speech_s(),
        speech_peak: segment.scores().iter().map(|score| score.speech).fold(0.0, f32::max),
        level_db: peak_level_db(segment.samples()),
    };
    is_babble(words.len(), evidence.speech_s) || hallucination::judge(&evidence) != Verdict::Keep
}

/// Whether a moment of speech was heard as more words than fit into it: what recognizers make of half a
/// syllable ("eh, eh, eh").
fn is_babble(words: usize, speech_s: f32) -> bool {
    words > 2 && words as f32 > 1.5 + 5.0 * speech_s
}
