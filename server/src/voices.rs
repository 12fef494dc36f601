//! Who speaks: the voices that the configuration names, put together; and the one place that gives Piper its network.
//!
//! Each language that is named has its voice, all others share one; behind every voice that can fail stands espeak-ng.
//! Loading a model reads and hashes its file: blocking, so it is done at the start. `tts` knows voices and no library
//! for models, `asr` knows that library: here they meet.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use asr::onnx::{self, Library, Selection, Session};
use tts::{
    cast::Cast,
    espeak::{Espeak, Phonemes},
    fallback::Fallback,
    piper::{self, Piper},
    remote::{
        Limits, Net,
        azure::{self, Azure},
        elevenlabs::{self, ElevenLabs},
        openai::{self, OpenAi},
    },
    voice::{self, Language, Voice},
    worker::{Options, Voices},
};

use crate::{
    config::{Config, Mouth, Part},
    engine,
    models::{self, Store, Unusable},
};

/// Why the voices that are configured cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A voice's files are missing or damaged.
    #[error(transparent)]
    Model(#[from] Unusable),
    /// There is no folder to look for models in.
    #[error(transparent)]
    Folder(#[from] models::NoFolder),
    /// The library for models does not load, or refuses this one.
    #[error(transparent)]
    Engine(#[from] asr::recognizer::Error),
    /// What describes a voice is wrong.
    #[error("{path}: {why}")]
    Piper {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// What is configured makes no voice.
    #[error(transparent)]
    Voice(#[from] voice::Error),
    /// The system gives no threads.
    #[error("no thread for the voices: {0}")]
    Threads(#[source] io::Error),
}

/// Starts what speaks. Blocks while models are loaded.
///
/// # Errors
/// [`Broken`].
pub fn start(config: &Config) -> Result<Voices, Broken> {
    start_with(config, config.tts.visemes.then(Phonemes::default))
}

/// The same for readers who are told visemes or not, whatever the configuration says of that.
///
/// # Errors
/// [`Broken`].
pub fn start_with(config: &Config, visemes: Option<Phonemes>) -> Result<Voices, Broken> {
    let tts = &config.tts;
    let usual = if tts.is_remote() { REMOTE_WORKERS } else { Options::default().workers };
    let workers = tts.workers.unwrap_or(usual);
    let options = Options { workers, visemes, ..Options::default() };
    let voice =
        Maker { config, workers, espeak: Arc::new(Espeak::default()), net: None, loaded: BTreeMap::new() }.make()?;
    Voices::start(voice, options).map_err(Broken::Threads)
}

/// Threads where somebody across the network is waited for: each holds a sentence for a second or so, asleep.
const REMOTE_WORKERS: usize = 16;

/// Networks of one Piper voice, at most; each has its own copy of the weights, 80 MB for a medium voice.
const NETWORKS_MAX: usize = 4;

/// Makes voices, and shares what they can share.
struct Maker<'a> {
    config: &'a Config,
    workers: usize,
    espeak: Arc<Espeak>,
    net: Option<Net>,
    /// Voices that were made, by how they are configured.
    loaded: BTreeMap<String, Arc<dyn Voice>>,
}

impl Maker<'_> {
    fn make(mut self) -> Result<Arc<dyn Voice>, Broken> {
        let config = self.config;
        let tts = &config.tts;
        let rest = self.part(&tts.rest())?;
        let mut parts = Vec::new();
        for part in &tts.languages {
            // A language that nobody knows was refused with the configuration.
            if let Some((language, _)) = Language::nearest(&part.language) {
                parts.push((language, self.part(part)?));
            }
        }
        Ok(if parts.is_empty() { rest } else { Arc::new(Cast::new(parts, rest)) })
    }

    fn part(&mut self, part: &Part) -> Result<Arc<dyn Voice>, Broken> {
        let key = format!("{:?} {:?} {:?}", part.engine, part.voice, part.speaker);
        if let Some(known) = self.loaded.get(&key) {
            return Ok(known.clone());
        }
        let voice = self.voice(part)?;
        let voice: Arc<dyn Voice> = if self.config.tts.fallback && part.engine != Mouth::Espeak {
            Arc::new(Fallback::new(voice, self.espeak.clone()))
        } else {
            voice
        };
        self.loaded.insert(key, voice.clone());
        Ok(voice)
    }

    fn voice(&mut self, part: &Part) -> Result<Arc<dyn Voice>, Broken> {
        let config = self.config;
        let tts = &config.tts;
        let voice = part.voice.clone().unwrap_or_default();
        Ok(match part.engine {
            Mouth::Espeak => self.espeak.clone(),
            Mouth::Piper => Arc::new(self.piper(&voice, part.speaker.as_deref())?),
            Mouth::OpenAi => {
                let own = &tts.openai;
                let settings = openai::Settings {
                    url: own.base_url.clone(),
                    key: own.api_key.clone(),
                    model: own.model.clone(),
                    voice,
                    instructions: own.instructions.clone(),
                };
                Arc::new(OpenAi::new(settings, self.net()?)?)
            }
            Mouth::ElevenLabs => {
                let own = &tts.elevenlabs;
                let (url, key, model) = (own.base_url.clone(), own.api_key.clone(), own.model.clone());
                Arc::new(ElevenLabs::new(elevenlabs::Settings { url, key, voice, model }, self.net()?)?)
            }
            Mouth::Azure => {
                let settings =
                    azure::Settings { region: tts.azure.region.clone(), key: tts.azure.api_key.clone(), voice };
                Arc::new(Azure::new(settings, self.net()?)?)
            }
        })
    }

    fn net(&mut self) -> Result<Net, voice::Error> {
        if let Some(net) = &self.net {
            return Ok(net.clone());
        }
        let net = Net::start(Limits::default())?;
        self.net = Some(net.clone());
        Ok(net)
    }

    fn piper(&self, name: &str, speaker: Option<&str>) -> Result<Piper, Broken> {
        let store = Store::open(models::folder(None, self.config.models.dir.as_deref())?);
        let files = store.piper(name)?;
        let library = Library::open(&store.library()?)?;
        let count = self.workers.min(engine::cores()).clamp(1, NETWORKS_MAX);
        let voice = load(&library, &files.model, &files.config, speaker, count)?;
        tracing::info!(voice = name, networks = count, "voice loaded");
        Ok(voice)
    }
}

/// A Piper voice with so many networks.
fn load(library: &Library, model: &Path, config: &Path, speaker: Option<&str>, count: usize) -> Result<Piper, Broken> {
    let wrong = |path: &Path, why: String| Broken::Piper { path: path.display().to_string(), why };
    let json = fs::read(config).map_err(|error| wrong(config, error.to_string()))?;
    let judged = piper::Config::parse(&json).map_err(|error| wrong(config, error.to_string()))?;
    let speaker_id = judged.speaker(speaker).map_err(|error| wrong(config, error.to_string()))?;
    let bytes = onnx::read_model(model)?;
    let networks = (0..count.max(1))
        .map(|_| Ok(Box::new(Onnx::load(library, model, &bytes, speaker_id)?) as Box<dyn piper::Network>))
        .collect::<Result<Vec<_>, Broken>>()?;
    Piper::new(judged, speaker, Phonemes::default(), networks).map_err(|error| wrong(config, error.to_string()))
}

/// A network of Piper on ONNX Runtime.
struct Onnx {
    session: Session,
    select: Selection,
}

impl Onnx {
    fn load(
        library: &Library,
        path: &Path,
        model: &[u8],
        speaker: Option<i64>,
    ) -> Result<Self, asr::recognizer::Error> {
        let refused =
            |why: &str| asr::recognizer::Error::Model { path: path.display().to_string(), why: why.to_owned() };
        let session = library.session(path, model)?;
        let expected = &["input", "input_lengths", "scales", "sid"][..if speaker.is_some() { 4 } else { 3 }];
        if !session.inputs().eq(expected.iter().copied()) || !session.outputs().any(|name| name == "output") {
            return Err(refused("not a Piper voice, or not the one that its JSON describes"));
        }
        let mut network = Self { session, select: Selection::new(["output"])? };
        // A damaged file may load and still not run: better said at the start than to the first caller.
        let input = piper::Input { ids: &[1, 0, 2], scales: [0.667, 1.0, 0.8], speaker };
        let samples = piper::Network::run(&mut network, &input).map_err(|why| refused(&why))?;
        if !samples.iter().all(|sample| sample.is_finite()) {
            return Err(refused("it makes no sound that can be heard"));
        }
        Ok(network)
    }
}

impl piper::Network for Onnx {
    fn run(&mut self, input: &piper::Input<'_>) -> Result<Vec<f32>, String> {
        let piper::Input { ids, scales, speaker } = *input;
        let (count, speakers) = ([ids.len() as i64], [speaker.unwrap_or_default()]);
        let shape = [1, ids.len()];
        let mut given =
            vec![onnx::Input::I64(&shape, ids), onnx::Input::I64(&[1], &count), onnx::Input::F32(&[3], &scales)];
        if speaker.is_some() {
            given.push(onnx::Input::I64(&[1], &speakers));
        }
        let outputs = self.session.run(&given, &self.select).map_err(|error| one_line(&error))?;
        let output = outputs.first().ok_or_else(|| "the model answers nothing".to_owned())?;
        let (_, samples) = output.f32s().map_err(|error| one_line(&error))?;
        Ok(samples.to_vec())
    }
}

fn one_line(error: &asr::recognizer::Error) -> String {
    let text = match error {
        asr::recognizer::Error::Engine(why) => format!("the model failed: {why}"),
        error => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
