//! Greedy decoding: the encoder once per window, then the decoder once per token.
//!
//! Runs on an `asr-N` thread and polls `abort` before every token. Keys and values go from one step to the
//! next as the engine's own tensors, without a copy of ours. A loop of words is cut, and the number of
//! tokens is bounded by the length of the sound, so a window's cost is bounded too.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    align::{self, Attention},
    attention,
    tokens::{self, Vocabulary},
};
use crate::{
    onnx::{self, Input, Library, Selection, Session, Tensor},
    recognizer::{Decoder, Error, Hints, Hypothesis, TimedWord},
};

const RATE_HZ: usize = 16_000;

/// Shorter windows are filled up with silence: the encoder's three convolutions need 895 samples, and below
/// a quarter of a second it invents text.
const SHORTEST_SAMPLES: usize = RATE_HZ / 4;

/// Fast speech makes about 6.5 tokens a second; the constant part lets a lone short word finish.
const TOKENS_PER_S: f32 = 6.5;
const TOKENS_SPARE: usize = 4;

/// The shape of keys and values, per layer, in all sizes of Moonshine's first generation.
const HEADS: usize = 8;
const HEAD_SIZE: usize = 36;

/// The two sessions of one worker.
#[derive(Debug)]
pub(super) struct Greedy {
    encoder: Session,
    encoded: Selection,
    decoder: Session,
    first: Selection,
    next: Selection,
    look: Selection,
    layers: usize,
    /// Layers whose cross-attention the graph shows.
    shown: Range<usize>,
    vocabulary: Arc<Vocabulary>,
    mask: Vec<i64>,
    padded: Vec<f32>,
}

/// The tokens of one window with their log-probabilities.
#[derive(Debug, Default)]
struct Heard {
    tokens: Vec<i64>,
    logprobs: Vec<f32>,
    /// Of the end mark, where it was reached.
    end_logprob: Option<f32>,
    /// Where each token listened; empty when the graph does not show it.
    attention: Attention,
}

impl Greedy {
    pub(super) fn load(library: &Library, folder: &Path, vocabulary: Arc<Vocabulary>) -> Result<Self, Error> {
        let encoder_path = folder.join("encoder_model.ort");
        let encoder = library.session(&encoder_path, &onnx::read_model(&encoder_path)?)?;
        if !encoder.inputs().eq(["input_values", "attention_mask"]) || !encoder.outputs().eq(["last_hidden_state"]) {
            return Err(onnx::model_error(&encoder_path, "not a Moonshine encoder"));
        }
        let decoder_path = folder.join("decoder_model_merged.ort");
        let (decoder, layers, shown) = open_decoder(library, &decoder_path)?;
        let mut greedy = Self {
            encoder,
            encoded: Selection::new(["last_hidden_state"])?,
            first: Selection::new(first_outputs(layers))?,
            next: Selection::new(next_outputs(layers).chain(attention_outputs(shown.clone())))?,
            look: Selection::new(attention_outputs(shown.clone()))?,
            decoder,
            layers,
            shown,
            vocabulary,
            mask: Vec::new(),
            padded: Vec::new(),
        };
        // A damaged file may load and still not run: better said at start than on the first caller.
        greedy
            .decode(&[0.0; SHORTEST_SAMPLES], &Hints::default(), &AtomicBool::new(false))
            .map_err(|error| onnx::model_error(folder, error))?;
        Ok(greedy)
    }

    fn encode(&mut self, audio: &[f32]) -> Result<Tensor, Error> {
        let shape = [1, audio.len()];
        let inputs = [Input::F32(&shape, audio), Input::I64(&shape, &self.mask[..audio.len()])];
        let mut outputs = self.encoder.run(&inputs, &self.encoded)?;
        Ok(outputs.remove(0))
    }

    fn listen(&mut self, hidden: &Tensor, samples: usize, abort: &AtomicBool) -> Result<Heard, Error> {
        let budget = (samples as f32 / RATE_HZ as f32 * TOKENS_PER_S).ceil() as usize + TOKENS_SPARE;
        let mut heard = Heard::default();
        // Keys and values: of the text so far (grow each step) and of the sound (made by the first step).
        let (mut text, mut sound): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        let mask = &self.mask[..samples];
        for step in 0..=budget {
            if abort.load(Ordering::Relaxed) {
                return Err(Error::Aborted);
            }
            let token = heard.tokens.last().copied().unwrap_or(tokens::BEGIN);
            let select = if step == 0 { &self.first } else { &self.next };
            let mut outputs = step_decoder(&mut self.decoder, select, mask, hidden, token, step > 0, &text, &sound)?;
            let (best, logprob) = {
                let (_, logits) = outputs[0].f32s()?;
                if logits.len() != self.vocabulary.len() {
                    return Err(Error::Engine("the decoder's vocabulary is not the tokenizer's".to_owned()));
                }
                likeliest(logits)
            };
            let rest = outputs.split_off(1 + 2 * self.layers);
            outputs.remove(0);
            if step == 0 {
                sound = rest;
                // The first step shows no attention; asked again with an empty past it does.
                if !self.shown.is_empty() && best != tokens::END {
                    let seen = step_decoder(&mut self.decoder, &self.look, mask, hidden, token, true, &text, &sound)?;
                    push_attention(&mut heard.attention, &seen, HEADS)?;
                }
            } else {
                push_attention(&mut heard.attention, &rest, HEADS)?;
            }
            text = outputs;
            if best == tokens::END {
                heard.end_logprob = Some(logprob);
                break;
            }
            heard.tokens.push(best);
            heard.logprobs.push(logprob);
            if let Some(keep) = loop_start(&heard.tokens) {
                heard.tokens.truncate(keep);
                heard.logprobs.truncate(keep);
                break;
            }
        }
        Ok(heard)
    }
}

impl Decoder for Greedy {
    fn decode(&mut self, audio: &[f32], _hints: &Hints, abort: &AtomicBool) -> Result<Hypothesis, Error> {
        if abort.load(Ordering::Relaxed) {
            return Err(Error::Aborted);
        }
        let samples = audio.len().max(SHORTEST_SAMPLES);
        if self.mask.len() < samples {
            self.mask.resize(samples, 1);
        }
        let mut padded = std::mem::take(&mut self.padded);
        let window = if audio.len() < samples {
            padded.clear();
            padded.extend_from_slice(audio);
            padded.resize(samples, 0.0);
            &padded[..]
        } else {
            audio
        };
        let hidden = self.encode(window);
        self.padded = padded;
        let heard = self.listen(&hidden?, samples, abort)?;

        let spelled = self.vocabulary.spell(&heard.tokens);
        let edges: Vec<_> = spelled.iter().map(|word| (word.first, word.end, word.text.chars().count())).collect();
        let spans = align::spans(audio, &heard.attention, &edges);
        let words = spelled
            .into_iter()
            .zip(spans)
            .map(|(word, (start_s, end_s))| TimedWord {
                confidence: confidence(&heard.logprobs[word.first..word.end]),
                text: word.text,
                start_s,
                end_s,
            })
            .collect();
        let logprobs = heard.logprobs.iter().chain(&heard.end_logprob);
        let count = logprobs.clone().count().max(1);
        Ok(Hypothesis {
            words,
            language: Some("en".to_owned()),
            language_probability: None,
            mean_logprob: logprobs.sum::<f32>() / count as f32,
            no_speech: None,
        })
    }
}

/// Opens the decoder so that it shows where it listens; as published when its graph does not allow that.
/// Answers how many layers it has and which of them show their attention.
fn open_decoder(library: &Library, path: &Path) -> Result<(Session, usize, Range<usize>), Error> {
    let mut model = onnx::read_model(path)?;
    let shown = attention::expose(&mut model).unwrap_or(0..0);
    let (decoder, shown) = match library.session(path, &model) {
        Err(_) if !shown.is_empty() => (library.session(path, &onnx::read_model(path)?)?, 0..0),
        session => (session?, shown),
    };
    if shown.is_empty() {
        tracing::info!(model = %path.display(), "the decoder shows no attention; word times go by letters");
    }
    let layers = check_decoder(&decoder).map_err(|why| onnx::model_error(path, why))?;
    Ok((decoder, layers, shown))
}

/// One step of the decoder: the next token given the text so far (keys and values of each layer, none at
/// first) and the sound's.
#[expect(clippy::too_many_arguments, reason = "they are the graph's inputs")]
fn step_decoder(
    decoder: &mut Session,
    select: &Selection,
    mask: &[i64],
    hidden: &Tensor,
    token: i64,
    cached: bool,
    text: &[Tensor],
    sound: &[Tensor],
) -> Result<Vec<Tensor>, Error> {
    const EMPTY: Input<'static> = Input::F32(&[1, HEADS, 0, HEAD_SIZE], &[]);
    let (mask_shape, token, cached) = ([1, mask.len()], [token], [cached]);
    let mut inputs = vec![Input::I64(&mask_shape, mask), Input::I64(&[1, 1], &token), Input::Kept(hidden)];
    let layers = (decoder.inputs().count() - 4) / 4;
    for layer in 0..layers {
        for past in [text, sound] {
            for tensor in [2 * layer, 2 * layer + 1] {
                inputs.push(past.get(tensor).map_or(EMPTY, Input::Kept));
            }
        }
    }
    inputs.push(Input::Bool(&[1], &cached));
    decoder.run(&inputs, select)
}

fn push_attention(attention: &mut Attention, layers: &[Tensor], heads: usize) -> Result<(), Error> {
    let layers = layers.iter().map(|layer| Ok(layer.f32s()?.1)).collect::<Result<Vec<_>, Error>>()?;
    attention.push(&layers, heads);
    Ok(())
}

/// The outputs that [`attention::expose`] redirects.
fn attention_outputs(shown: Range<usize>) -> impl Iterator<Item = String> {
    shown.map(|layer| format!("present.{layer}.encoder.key"))
}

/// Checks the decoder's inputs and outputs against the loop's order; answers how many layers it has.
fn check_decoder(decoder: &Session) -> Result<usize, &'static str> {
    let inputs: Vec<&str> = decoder.inputs().collect();
    let layers = inputs.len().saturating_sub(4) / 4;
    let mut expected =
        vec!["encoder_attention_mask".to_owned(), "input_ids".to_owned(), "encoder_hidden_states".to_owned()];
    for layer in 0..layers {
        for side in ["decoder", "encoder"] {
            for part in ["key", "value"] {
                expected.push(format!("past_key_values.{layer}.{side}.{part}"));
            }
        }
    }
    expected.push("use_cache_branch".to_owned());
    let outputs: Vec<&str> = decoder.outputs().collect();
    let shown = first_outputs(layers).all(|name| outputs.contains(&name.as_str()));
    if layers > 0 && inputs == expected && shown { Ok(layers) } else { Err("not a Moonshine decoder") }
}

/// Logits, then the text's keys and values.
fn next_outputs(layers: usize) -> impl Iterator<Item = String> {
    std::iter::once("logits".to_owned()).chain(present(layers, "decoder"))
}

/// The first step makes the sound's keys and values as well.
fn first_outputs(layers: usize) -> impl Iterator<Item = String> {
    next_outputs(layers).chain(present(layers, "encoder"))
}

fn present(layers: usize, side: &'static str) -> impl Iterator<Item = String> {
    (0..layers).flat_map(move |layer| ["key", "value"].map(|part| format!("present.{layer}.{side}.{part}")))
}

/// The likeliest token and its log-probability.
fn likeliest(logits: &[f32]) -> (i64, f32) {
    let (mut best, mut highest) = (0, f32::NEG_INFINITY);
    for (index, &logit) in logits.iter().enumerate() {
        if logit > highest {
            (best, highest) = (index, logit);
        }
    }
    // What lies more than 16 below adds less than 1e-7 each; skipping it spares nearly all exponentials.
    let total: f32 = logits.iter().map(|logit| logit - highest).filter(|&below| below > -16.0).map(f32::exp).sum();
    (best as i64, -total.max(1.0).ln())
}

/// Where to cut when the text runs in a circle: one round of the loop is kept, two of a short one.
fn loop_start(tokens: &[i64]) -> Option<usize> {
    (1..=16).find_map(|length| {
        // People do say a word four times over; nobody says a clause three times within one window.
        let (rounds, keep) = if length <= 2 {
            (6, 2)
        } else if length <= 4 {
            (4, 1)
        } else {
            (3, 1)
        };
        let from = tokens.len().checked_sub(length * rounds)?;
        let tail = &tokens[from..];
        tail.iter().zip(&tail[length..]).all(|(a, b)| a == b).then_some(from + keep * length)
    })
}

/// How sure a word is: the geometric mean of its tokens' probabilities.
fn confidence(logprobs: &[f32]) -> f32 {
    let mean = logprobs.iter().sum::<f32>() / logprobs.len().max(1) as f32;
    mean.exp().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_token_comes_with_its_log_probability() {
        let mut logits = vec![-30.0; 1000];
        logits[7] = 2.0;
        logits[9] = 1.0;
        let (token, logprob) = likeliest(&logits);
        assert_eq!(token, 7);
        let expected = -(1.0f32 + (-1.0f32).exp()).ln();
        assert!((logprob - expected).abs() < 1e-4, "{logprob} {expected}");
    }

    #[test]
    fn a_circle_of_words_is_cut_to_one_round_and_speech_is_left_alone() {
        let clause = [5, 6, 7, 8, 9];
        let mut tokens = vec![1, 2];
        tokens.extend(clause.repeat(3));
        assert_eq!(loop_start(&tokens), Some(7));
        assert_eq!(loop_start(&[4, 9, 9, 9, 9, 9, 9]), Some(3));
        assert_eq!(loop_start(&[4, 9, 9, 9, 9]), None, "no, no, no, no");
        assert_eq!(loop_start(&clause.repeat(2)), None);
        assert_eq!(loop_start(&[]), None);
    }
}
