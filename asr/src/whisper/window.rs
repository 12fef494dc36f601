//! What is decided about one window: how much the encoder looks at, whether a result is credible, which
//! words it holds and when they were said.
//!
//! Pure. Numbers and tokens in, a hypothesis out.

use crate::{
    hallucination::compression_ratio,
    recognizer::{Hypothesis, TimedWord},
    spread::Loudness,
};

const RATE_HZ: usize = 16_000;

/// whisper.cpp answers nothing on less than a second; shorter pieces are filled up with silence.
pub(super) const SHORTEST_SAMPLES: usize = RATE_HZ * 11 / 10;

/// The encoder's frames for 30 s.
pub(super) const AUDIO_CONTEXT_MAX: usize = 1500;

/// A timestamp token's unit.
pub(super) const TIMESTAMP_S: f32 = 0.02;

/// How many encoder frames (20 ms each) the window needs: a second of margin, rounded up to whole 64s so
/// that growing windows do not each need a graph of another size. Below 256 the text suffers.
pub(super) fn audio_context(samples: usize, full: usize) -> usize {
    let frames = samples.div_ceil(RATE_HZ / 50);
    (frames + 50).next_multiple_of(64).max(256).min(full)
}

/// How many tokens the window can hold: fast speech makes 6.5 a second; timestamps come on top.
pub(super) fn token_budget(samples: usize) -> usize {
    samples * 8 / RATE_HZ + 16
}

/// One token of a result.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) piece: Piece,
    /// Natural log of its probability.
    pub(super) logprob: f32,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Bytes of text; a leading space begins a word.
    Text(Vec<u8>),
    /// A point in time that the model itself states, in seconds.
    At(f32),
}

/// Why a result is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing was heard though the window is loud.
    Empty,
    /// The text compresses too well: it repeats itself.
    Repetition,
    /// The model itself is unsure.
    Unsure,
    /// The text ends long before the sound does.
    EndsEarly,
}

/// Whether a result of a cut audio context deserves a second look at the full one.
pub(super) fn looks_wrong(heard: &Hypothesis, audio: &[f32]) -> Option<Doubt> {
    let sound_end_s = loud_until_s(audio)?;
    let Some(last) = heard.words.last() else { return Some(Doubt::Empty) };
    let text = heard.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    if compression_ratio(&text) > 2.4 {
        Some(Doubt::Repetition)
    } else if heard.mean_logprob < -1.0 {
        Some(Doubt::Unsure)
    } else if sound_end_s - last.end_s > 1.5 {
        Some(Doubt::EndsEarly)
    } else {
        None
    }
}

/// Where the last of at least 300 ms of sound above -45 dBFS ends; `None` when the window is quiet.
fn loud_until_s(audio: &[f32]) -> Option<f32> {
    const STEP_SAMPLES: usize = 480;
    let loud = |step: &[f32]| step.iter().map(|sample| sample * sample).sum::<f32>() > 3.2e-5 * STEP_SAMPLES as f32;
    let steps: Vec<usize> =
        audio.chunks_exact(STEP_SAMPLES).enumerate().filter(|(_, step)| loud(step)).map(|(index, _)| index).collect();
    let last = steps.last().filter(|_| steps.len() >= 10)?;
    Some((last + 1) as f32 * STEP_SAMPLES as f32 / RATE_HZ as f32)
}

/// Groups tokens into timed words; sound descriptions in brackets are no words.
pub(super) fn words(tokens: &[Token], audio: &[f32]) -> Hypothesis {
    let duration_s = audio.len() as f32 / RATE_HZ as f32;
    let mut drafts: Vec<Draft> = Vec::new();
    let (mut sentence, mut from_s, mut joins) = (0, 0.0, false);
    for token in tokens {
        match &token.piece {
            Piece::At(at_s) => {
                drafts
                    .iter_mut()
                    .rev()
                    .take_while(|draft| draft.sentence == sentence)
                    .for_each(|draft| draft.until_s = *at_s);
                (sentence, from_s, joins) = (sentence + 1, *at_s, false);
            }
            Piece::Text(bytes) => {
                if bytes.first().is_some_and(u8::is_ascii_whitespace) || !joins {
                    drafts.push(Draft { sentence, from_s, until_s: duration_s, ..Draft::default() });
                }
                joins = true;
                let draft = drafts.last_mut().expect("the first text of a sentence begins a word");
                draft.bytes.extend_from_slice(bytes);
                draft.logprob += token.logprob;
                draft.tokens += 1;
            }
        }
    }
    let texts: Vec<f32> =
        tokens.iter().filter(|token| matches!(token.piece, Piece::Text(_))).map(|token| token.logprob).collect();
    Hypothesis {
        words: times(spoken(drafts), audio),
        mean_logprob: texts.iter().sum::<f32>() / texts.len().max(1) as f32,
        ..Hypothesis::default()
    }
}

/// A word in the making.
#[derive(Debug, Default)]
struct Draft {
    bytes: Vec<u8>,
    text: String,
    logprob: f32,
    tokens: usize,
    /// Which sentence it belongs to, and that sentence's bounds.
    sentence: usize,
    from_s: f32,
    until_s: f32,
}

/// Leaves out what was not spoken: `[BLANK_AUDIO]`, `(upbeat music)`, `*laughs*`, notes; and what has no text.
fn spoken(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut inside = None;
    drafts
        .into_iter()
        .filter_map(|mut draft| {
            draft.text = String::from_utf8_lossy(&draft.bytes)
                .chars()
                .filter(|c| !c.is_whitespace() && !c.is_control() && *c != char::REPLACEMENT_CHARACTER)
                .collect();
            let opened = match draft.text.chars().next()? {
                '[' => Some(']'),
                '(' => Some(')'),
                '*' => Some('*'),
                _ => None,
            };
            let was_inside = inside.is_some() || opened.is_some();
            inside = inside.or(opened);
            if inside.is_some_and(|close| draft.text.chars().skip(usize::from(opened.is_some())).any(|c| c == close)) {
                inside = None;
            }
            (!was_inside && draft.text.chars().any(char::is_alphanumeric)).then_some(draft)
        })
        .collect()
}

/// Lays the words of each sentence over what sounds between its bounds. whisper.cpp's own guesses for tokens
/// are not used: on our clips they are ten times further off.
fn times(drafts: Vec<Draft>, audio: &[f32]) -> Vec<TimedWord> {
    let duration_s = audio.len() as f32 / RATE_HZ as f32;
    let loudness = Loudness::of(audio);
    let mut words: Vec<TimedWord> = Vec::with_capacity(drafts.len());
    for sentence in drafts.chunk_by(|a, b| a.sentence == b.sentence) {
        let free_s = words.last().map_or(0.0, |word| word.end_s);
        let from_s = sentence[0].from_s.clamp(free_s, duration_s.max(free_s));
        let until_s = sentence[0].until_s.clamp(from_s, duration_s.max(from_s));
        let letters: Vec<usize> = sentence.iter().map(|draft| draft.text.chars().count()).collect();
        for (draft, (start_s, end_s)) in sentence.iter().zip(loudness.spread(from_s, until_s, &letters)) {
            let (start_s, end_s) = loudness.trim(start_s, end_s);
            words.push(TimedWord {
                text: draft.text.clone(),
                start_s,
                end_s,
                confidence: (draft.logprob / draft.tokens.max(1) as f32).exp().clamp(0.0, 1.0),
            });
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(piece: &str) -> Token {
        Token { piece: Piece::Text(piece.as_bytes().to_vec()), logprob: -0.1 }
    }

    fn at(at_s: f32) -> Token {
        Token { piece: Piece::At(at_s), logprob: -0.1 }
    }

    fn texts(heard: &Hypothesis) -> Vec<&str> {
        heard.words.iter().map(|word| word.text.as_str()).collect()
    }

    static SECOND: [f32; RATE_HZ] = [0.0; RATE_HZ];

    #[test]
    fn the_audio_context_follows_the_window() {
        assert_eq!(audio_context(SHORTEST_SAMPLES, 1500), 256);
        assert_eq!(audio_context(RATE_HZ * 8, 1500), 512);
        assert_eq!(audio_context(RATE_HZ * 30, 1500), 1500);
        assert!(audio_context(RATE_HZ * 20, 1500) < 1500);
    }

    #[test]
    fn tokens_join_into_words_and_keep_order() {
        let heard = words(&[text(" Hel"), text("lo"), text(","), text(" you")], &SECOND);
        assert_eq!(texts(&heard), ["Hello,", "you"]);
        assert!((heard.words[0].confidence - (-0.1f32).exp()).abs() < 1e-5);
    }

    #[test]
    fn descriptions_of_sounds_are_no_words() {
        let heard = words(
            &[text(" [BLANK"), text("_AUDIO]"), text(" (upbeat"), text(" music)"), text(" yes"), text(" ♪")],
            &SECOND,
        );
        assert_eq!(texts(&heard), ["yes"]);
    }

    #[test]
    fn words_stay_inside_the_bounds_that_the_model_states() {
        let noise: Vec<f32> = (0..RATE_HZ).map(|n| ((n * 7919) % 257) as f32 / 257.0 - 0.5).collect();
        let heard = words(&[at(0.2), text(" one"), text(" two"), at(0.5), at(0.6), text("three"), at(0.8)], &noise);
        let span = |word: usize| (heard.words[word].start_s, heard.words[word].end_s);
        assert!(span(0).0 >= 0.2 && span(0).1 <= span(1).0 && span(1).1 <= 0.5, "{heard:?}");
        assert!(span(2).0 >= 0.6 && span(2).1 <= 0.8 + 1e-3, "{heard:?}");
    }

    #[test]
    fn wrong_results_are_told_from_right_ones() {
        let loud: Vec<f32> = (0..RATE_HZ * 3).map(|n| (n as f32 * 0.2).sin() * 0.2).collect();
        let word = |text: &str, end_s: f32| TimedWord { text: text.to_owned(), start_s: 0.0, end_s, confidence: 0.9 };
        let mut heard = Hypothesis { words: vec![word("hello", 2.9)], mean_logprob: -0.2, ..Hypothesis::default() };
        assert_eq!(looks_wrong(&heard, &loud), None);
        assert_eq!(looks_wrong(&Hypothesis::default(), &loud), Some(Doubt::Empty));
        assert_eq!(looks_wrong(&Hypothesis::default(), &SECOND), None, "silence may be empty");
        heard.words[0].end_s = 0.5;
        assert_eq!(looks_wrong(&heard, &loud), Some(Doubt::EndsEarly));
        heard.mean_logprob = -1.5;
        assert_eq!(looks_wrong(&heard, &loud), Some(Doubt::Unsure));
        heard.words = vec![word("and so on", 2.9); 12];
        assert_eq!(looks_wrong(&heard, &loud), Some(Doubt::Repetition));
    }

    proptest! {
        #[test]
        fn spans_increase_and_stay_inside_whatever_was_stated(
            stated in proptest::collection::vec((0u8..3, -1.0f32..3.0), 0..30),
        ) {
            let tokens: Vec<Token> = stated.iter().map(|&(kind, at_s)| match kind {
                0 => at(at_s),
                1 => text(" word"),
                _ => text("er"),
            }).collect();
            let mut at = 0.0;
            for word in words(&tokens, &SECOND).words {
                prop_assert!(word.start_s >= at - 1e-5 && word.end_s >= word.start_s && word.end_s <= 1.0 + 1e-5, "{word:?} after {at}");
                at = word.end_s;
            }
        }
    }
}
