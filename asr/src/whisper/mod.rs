//! Whisper through whisper.cpp: many languages, one shared model, a state per worker.
//!
//! The weights are loaded once; each decoder owns a state (its key/value cache) and runs on one `asr-N`
//! thread, with as many helpers as it was given: workers times threads must not exceed the cores, since
//! ggml's threads spin. `file` judges a model before native code sees it, `window` holds what is decided
//! about one window, `native` the unsafe calls. Flash attention stays off: with a cut audio context it
//! attends to padding and costs accuracy.

mod file;
mod native;
mod window;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use self::window::{Piece, Token};
use crate::{
    onnx::model_error,
    recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer},
};

/// A loaded ggml model.
#[derive(Debug)]
pub struct Whisper {
    info: Info,
    context: Arc<WhisperContext>,
    threads: usize,
}

impl Whisper {
    /// Loads a ggml model file. `threads` is how many threads each decoder computes with, 1 at least.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, no Whisper model, or without weights.
    pub fn load(model: &Path, threads: usize) -> Result<Self, Error> {
        native::log_to_tracing();
        file::check(model).map_err(|why| model_error(model, why))?;
        let path = model.to_str().ok_or_else(|| model_error(model, "the path is not UTF-8"))?;
        let mut parameters = WhisperContextParameters::new();
        parameters.flash_attn(false);
        let context = WhisperContext::new_with_params(path, parameters)
            .map_err(|_| model_error(model, "whisper.cpp refuses it; its reason is in the log at debug level"))?;
        let languages = if context.is_multilingual() {
            (0..=whisper_rs::get_lang_max_id()).filter_map(whisper_rs::get_lang_str).map(str::to_owned).collect()
        } else {
            vec!["en".to_owned()]
        };
        let model = model.file_stem().map_or_else(|| "whisper".to_owned(), |stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            info: Info { engine: "whisper", model, languages, window_max_s: 20 },
            context: Arc::new(context),
            threads: threads.max(1),
        })
    }
}

impl Recognizer for Whisper {
    fn info(&self) -> &Info {
        &self.info
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        let state = self
            .context
            .create_state()
            .map_err(|error| Error::Engine(format!("no memory for another Whisper decoder: {error}")))?;
        Ok(Box::new(Stateful {
            state,
            languages: self.info.languages.clone(),
            threads: self.threads,
            context: Arc::clone(&self.context),
            parameters: BTreeMap::new(),
            padded: Vec::new(),
        }))
    }
}

/// One worker's decoder.
struct Stateful {
    context: Arc<WhisperContext>,
    state: WhisperState,
    languages: Vec<String>,
    threads: usize,
    /// Per language, since setting one leaks its name: at most once per language and decoder this way.
    parameters: BTreeMap<Option<String>, FullParams<'static, 'static>>,
    padded: Vec<f32>,
}

impl Decoder for Stateful {
    fn decode(&mut self, audio: &[f32], hints: &Hints, abort: &AtomicBool) -> Result<Hypothesis, Error> {
        if abort.load(Ordering::Relaxed) {
            return Err(Error::Aborted);
        }
        let mut padded = std::mem::take(&mut self.padded);
        padded.clear();
        padded.extend_from_slice(audio);
        padded.resize(audio.len().max(window::SHORTEST_SAMPLES), 0.0);
        let heard = self.listen(&padded, audio, hints, abort);
        self.padded = padded;
        heard
    }
}

impl Stateful {
    /// Decodes in the language that was asked for or is found out, with an audio context that fits; once more with
    /// the full one when the result looks wrong.
    fn listen(
        &mut self,
        padded: &[f32],
        audio: &[f32],
        hints: &Hints,
        abort: &AtomicBool,
    ) -> Result<Hypothesis, Error> {
        let found = if self.known(hints.language.as_deref()).is_none() { self.detect(padded)? } else { None };
        let language = found.map(|(language, _)| language).or(hints.language.as_deref());
        let mut heard = self.listen_in(language, padded, audio, &hints.keyterms, abort)?;
        heard.language_probability = found.map(|(_, probability)| probability);
        Ok(heard)
    }

    fn listen_in(
        &mut self,
        language: Option<&str>,
        padded: &[f32],
        audio: &[f32],
        keyterms: &[String],
        abort: &AtomicBool,
    ) -> Result<Hypothesis, Error> {
        let full = usize::try_from(self.context.n_audio_ctx()).unwrap_or(window::AUDIO_CONTEXT_MAX);
        let fitted = window::audio_context(padded.len(), full);
        let prompt = self.prompt(keyterms);
        let first = self.attempt(language, padded, audio, fitted, &prompt, abort)?;
        let Some(why) = window::looks_wrong(&first, audio).filter(|_| fitted < full) else { return Ok(first) };
        tracing::debug!(?why, fitted, full, "decoding the window again with the full audio context");
        let second = self.attempt(language, padded, audio, full, &prompt, abort)?;
        let better = window::looks_wrong(&second, audio).is_none() || second.mean_logprob > first.mean_logprob;
        Ok(if better { second } else { first })
    }

    /// Which language is spoken and how sure that is; `None` for a model that knows only one. Costs one run of the
    /// encoder with the audio context that fits the window, so that the answer depends on the window alone.
    fn detect(&mut self, padded: &[f32]) -> Result<Option<(&'static str, f32)>, Error> {
        if self.languages.len() < 2 {
            return Ok(None);
        }
        let full = usize::try_from(self.context.n_audio_ctx()).unwrap_or(window::AUDIO_CONTEXT_MAX);
        // Any language will do: with one given, it is not found out twice.
        let mut parameters = self.parameters(Some("en"));
        parameters.set_audio_ctx(i32::try_from(window::audio_context(padded.len(), full)).unwrap_or(0));
        native::take_in(&mut self.state, parameters, padded)?;
        let (id, probabilities) = self.state.lang_detect(0, self.threads).map_err(engine_error)?;
        let probability = usize::try_from(id).ok().and_then(|index| probabilities.get(index)).copied();
        Ok(whisper_rs::get_lang_str(id).zip(probability.map(|probability| probability.clamp(0.0, 1.0))))
    }

    fn attempt(
        &mut self,
        language: Option<&str>,
        padded: &[f32],
        audio: &[f32],
        audio_context: usize,
        prompt: &[i32],
        abort: &AtomicBool,
    ) -> Result<Hypothesis, Error> {
        let multilingual = self.languages.len() > 1;
        let mut parameters = self.parameters(language);
        parameters.set_audio_ctx(i32::try_from(audio_context).unwrap_or(0));
        parameters.set_max_tokens(i32::try_from(window::token_budget(padded.len())).unwrap_or(0));
        if !prompt.is_empty() {
            parameters.set_tokens(prompt);
        }
        native::full(&mut self.state, parameters, padded, abort)?;

        let tokens = self.tokens()?;
        let language = if multilingual {
            whisper_rs::get_lang_str(self.state.full_lang_id_from_state()).map(str::to_owned)
        } else {
            Some("en".to_owned())
        };
        // whisper.cpp reads this from the first prompt token, which is the right one only when it is alone.
        let no_speech = (!multilingual && prompt.is_empty())
            .then(|| self.state.get_segment(0).map(|segment| segment.no_speech_probability()))
            .flatten();
        let mut heard = window::words(&tokens, audio);
        heard.language = language;
        heard.no_speech = no_speech;
        Ok(heard)
    }

    /// The tokens of the result, timestamps among them, special marks left out.
    fn tokens(&self) -> Result<Vec<Token>, Error> {
        let (end, first_time) = (self.context.token_eot(), self.context.token_beg());
        let mut tokens = Vec::new();
        for segment in self.state.as_iter() {
            for index in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(index) else { continue };
                let (id, data) = (token.token_id(), token.token_data());
                let piece = if id >= first_time {
                    Piece::At((id - first_time) as f32 * window::TIMESTAMP_S)
                } else if id < end {
                    Piece::Text(token.to_bytes().map_err(engine_error)?.to_vec())
                } else {
                    continue;
                };
                tokens.push(Token { piece, logprob: data.plog.min(0.0) });
            }
        }
        Ok(tokens)
    }

    /// Terms to expect, as the text before this one. Too many are cut: a prompt longer than this crowds out
    /// the window's own text.
    fn prompt(&self, keyterms: &[String]) -> Vec<i32> {
        const LONGEST_TOKENS: usize = 96;
        if keyterms.is_empty() {
            return Vec::new();
        }
        let mut tokens = Vec::new();
        for term in keyterms {
            let text = format!(" {},", term.replace('\0', " "));
            let Ok(more) = self.context.tokenize(&text, LONGEST_TOKENS) else { continue };
            if tokens.len() + more.len() > LONGEST_TOKENS {
                break;
            }
            tokens.extend(more);
        }
        tokens
    }

    /// The language of a hint, where the model knows it.
    fn known(&self, hint: Option<&str>) -> Option<String> {
        hint.map(str::to_ascii_lowercase).filter(|hint| self.languages.contains(hint))
    }

    fn parameters(&mut self, hint: Option<&str>) -> FullParams<'static, 'static> {
        let language = if self.languages.len() > 1 { self.known(hint) } else { Some("en".to_owned()) };
        let threads = self.threads;
        self.parameters
            .entry(language)
            .or_insert_with_key(|language| new_parameters(language.as_deref(), threads))
            .clone()
    }
}

fn new_parameters(language: Option<&str>, threads: usize) -> FullParams<'static, 'static> {
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(i32::try_from(threads).unwrap_or(1));
    parameters.set_language(language.and_then(whisper_rs::get_lang_id).and_then(whisper_rs::get_lang_str));
    parameters.set_translate(false);
    // What the agreement of hypotheses has committed is all that may be carried on; whisper.cpp's own
    // context feeds a mistake to the next window.
    parameters.set_no_context(true);
    parameters.set_single_segment(true);
    parameters.set_suppress_blank(true);
    parameters.set_suppress_nst(true);
    // No second try at a higher temperature: up to five more decodes, and guesses instead of an admission.
    parameters.set_temperature_inc(0.0);
    parameters.set_print_special(false);
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_timestamps(false);
    parameters
}

fn engine_error(error: whisper_rs::WhisperError) -> Error {
    Error::Engine(error.to_string())
}
