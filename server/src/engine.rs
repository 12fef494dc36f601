//! Which recognizer runs, and starting it: the choice is pure, the loading reads the model files.
//!
//! `auto` is Whisper when one of its models is installed, else Moonshine; what was chosen is always said. A
//! model that is missing is no failure of the server, which then says which command brings it; a model that is
//! there and broken is. Blocking: call it before serving, or on a blocking thread.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use asr::{
    cleaner::{self, Cleaning},
    diarize::{Diarizer, Speech, VoiceKind, live, print::Enroller},
    moonshine::Moonshine,
    onnx::Library,
    pool::{Ears, Options, Senses},
    recognizer::Recognizer,
    turn,
    vad::silero::Silero,
    whisper::Whisper,
};

use crate::{
    config::{Asr, Config, Engine},
    error::ApiError,
    models::{self, Store, Unusable},
};

/// No recognizer runs, because a model is missing. Says which command brings it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoEars(pub String);

impl From<&NoEars> for ApiError {
    fn from(missing: &NoEars) -> Self {
        Self {
            retry_after_s: Some(MISSING_RETRY_S),
            ..Self::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "no_model", "no speech model is installed")
                .hint(format!("{missing}, then restart the server"))
        }
    }
}

impl From<NoEars> for ApiError {
    fn from(missing: NoEars) -> Self {
        Self::from(&missing)
    }
}

/// Why the server cannot start with this configuration and these files.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A model's files are there and wrong, or the one that was asked for by name is not there.
    #[error(transparent)]
    Model(#[from] Unusable),
    /// The engine refused a model.
    #[error(transparent)]
    Engine(#[from] asr::recognizer::Error),
    /// There is no folder to look for models in.
    #[error(transparent)]
    Folder(#[from] models::NoFolder),
}

/// How many threads and streams the ears get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Decoder threads.
    pub workers: usize,
    /// Threads of one decoder.
    pub threads: usize,
    /// Streams at once.
    pub streams_max: usize,
}

impl Size {
    /// What the configuration asks for, within `cores`. Workers × threads never exceed the cores, since
    /// decoders that share a core only slow each other down.
    pub fn of(config: &Config, cores: usize) -> Self {
        let cores = cores.max(1);
        let threads = config.asr.threads.unwrap_or(1).clamp(1, cores);
        let workers = config.asr.workers.unwrap_or(cores / threads).clamp(1, (cores / threads).max(1));
        let streams_max = config.limits.streams_max.unwrap_or(STREAMS_PER_CORE * cores);
        Self { workers, threads, streams_max }
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Loads the recognizer that the configuration asks for and starts the ears.
///
/// # Errors
/// [`Broken`] when files are there and wrong, or a model was asked for by name and is not there. A missing
/// default model is the inner [`NoEars`].
pub fn start(config: &Config) -> Result<Result<Ears, NoEars>, Broken> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref())?);
    let size = Size::of(config, cores());
    let loaded = library(&store).and_then(|library| Ok((load_from(&library, &store, &config.asr, &size)?, library)));
    let ((recognizer, silero), library) = match loaded {
        Ok(loaded) => loaded,
        Err(Broken::Model(missing @ Unusable::Missing { .. })) if config.asr.model.is_none() => {
            return Ok(Err(NoEars(missing.to_string())));
        }
        Err(broken) => return Err(broken),
    };
    let info = recognizer.info();
    tracing::info!(engine = info.engine, model = %info.model, workers = size.workers, streams_max = size.streams_max, "recognizer loaded");
    let options = Options { workers: size.workers, streams_max: size.streams_max };
    let senses =
        Senses { turn: end_of_turn(&store, &library)?, voices: live_voices(&store, &library, config.asr.diarization) };
    Ok(Ok(Ears::start_with(recognizer, silero, senses, options)?))
}

/// What tells voices apart while they speak, or why nothing does. Words are worth having without it, so that a model
/// that is broken is said and no reason not to start.
fn live_voices(store: &Store, library: &Library, is_wanted: bool) -> Result<live::Models, String> {
    if !is_wanted {
        return Err("asr.diarization is off".to_owned());
    }
    let why = match with_voice(store, library, live::Models::load) {
        Ok(models) => return Ok(models),
        Err(why) => why,
    };
    match &why {
        Broken::Model(Unusable::Missing { .. }) => tracing::info!(%why, "nobody is told whose voice says what"),
        Broken::Model(Unusable::ByHand { path, .. }) if !path.exists() => {
            tracing::info!(%why, "nobody is told whose voice says what");
        }
        _ => tracing::warn!(%why, "nobody is told whose voice says what"),
    }
    Err(why.to_string())
}

/// The model that says whether somebody who pauses is done. Where it is missing nobody is told.
fn end_of_turn(store: &Store, library: &Library) -> Result<Option<turn::Model>, Broken> {
    match store.smart_turn() {
        Ok(path) => Ok(Some(turn::Model::load(library, &path)?)),
        Err(missing @ Unusable::Missing { .. }) => {
            tracing::info!(%missing, "agents go by silence and words alone");
            Ok(None)
        }
        Err(damaged) => Err(damaged.into()),
    }
}

/// Loads what tells voices apart, for one recording. Without the segmentation model voice activity serves.
///
/// # Errors
/// [`Broken`] when the voice model is not there, or files are there and wrong.
pub fn diarizer(config: &Config) -> Result<Diarizer, Broken> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref())?);
    // Said first: what is missing may be all that is.
    store.voice()?;
    with_voice(&store, &library(&store)?, Diarizer::load)
}

/// Loads something that tells voices apart.
fn with_voice<T>(
    store: &Store,
    library: &Library,
    load: impl FnOnce(&Library, Speech<'_>, &Path) -> Result<T, asr::recognizer::Error>,
) -> Result<T, Broken> {
    let voice = store.voice()?;
    let loaded = match store.segmentation() {
        Ok(path) => load(library, Speech::Segmentation(&path), &voice),
        Err(missing @ Unusable::Missing { .. }) => {
            tracing::info!(%missing, "two who speak at once are heard as one");
            load(library, Speech::Activity(&store.silero()?), &voice)
        }
        Err(damaged) => return Err(damaged.into()),
    };
    loaded.map_err(|error| by_hand(error, voice))
}

/// Loads what makes prints of voices. Speech is what the voice-activity model takes for it, where that is there.
///
/// # Errors
/// [`Broken`] when the voice model is not there, or files are there and wrong.
pub fn enroller(config: &Config) -> Result<Enroller, Broken> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref())?);
    let voice = store.voice()?;
    let library = library(&store)?;
    let enroller = Enroller::load(&library, &voice).map_err(|error| by_hand(error, voice))?;
    match store.silero() {
        Ok(path) => Ok(enroller.with_activity(Silero::load(&library, &path)?)),
        Err(Unusable::Missing { .. }) => Ok(enroller),
        Err(damaged) => Err(damaged.into()),
    }
}

/// Which model tells voices apart here, where there is one. Looks at the folder and loads nothing.
pub fn voice_kind(config: &Config) -> Option<VoiceKind> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref()).ok()?);
    store.voice().ok().map(|path| VoiceKind::at(&path))
}

/// What is wrong with a voice model, which no command brings anew.
fn by_hand(error: asr::recognizer::Error, voice: PathBuf) -> Broken {
    match error {
        asr::recognizer::Error::Model { path, why } if path == voice.display().to_string() => {
            Unusable::ByHand { path: voice, why: format!("is not right ({why})") }.into()
        }
        other => other.into(),
    }
}

/// Loads the recognizer that the configuration asks for, and the voice-activity model.
///
/// # Errors
/// [`Broken`]; a model that is not there is [`Unusable::Missing`] inside.
pub fn load(store: &Store, asr: &Asr, size: &Size) -> Result<(Arc<dyn Recognizer>, Silero), Broken> {
    load_from(&library(store)?, store, asr, size)
}

/// The ONNX Runtime that every model of the process runs on.
fn library(store: &Store) -> Result<Library, Broken> {
    Ok(Library::open(&store.library()?)?)
}

fn load_from(
    library: &Library,
    store: &Store,
    asr: &Asr,
    size: &Size,
) -> Result<(Arc<dyn Recognizer>, Silero), Broken> {
    let silero = Silero::load(library, &store.silero()?)?;
    let recognizer = match asr.engine {
        Engine::Moonshine => moonshine(store, asr, library)?,
        Engine::Whisper => match store.whisper(asr.model.as_deref())? {
            Some(model) => whisper(&model, size)?,
            None => {
                return Err(Unusable::Missing { model: USUAL_WHISPER.to_owned(), dir: store.dir().to_owned() }.into());
            }
        },
        Engine::Auto if asks_for_moonshine(asr) => moonshine(store, asr, library)?,
        Engine::Auto => match store.whisper(asr.model.as_deref())? {
            Some(model) => whisper(&model, size)?,
            None => moonshine(store, asr, library)?,
        },
    };
    Ok((cleaner::before(recognizer, cleaning(asr)), silero))
}

/// What is done to the sound before it is recognized.
fn cleaning(asr: &Asr) -> Cleaning {
    Cleaning { gain: asr.gain, suppression: asr.noise_suppression }
}

/// Whether the model's name says which engine is meant.
fn asks_for_moonshine(asr: &Asr) -> bool {
    asr.model.as_deref().is_some_and(|model| model.starts_with("moonshine"))
}

fn whisper(model: &models::Whisper, size: &Size) -> Result<Arc<dyn Recognizer>, Broken> {
    Ok(Arc::new(Whisper::load(&model.path, size.threads)?))
}

fn moonshine(store: &Store, asr: &Asr, library: &Library) -> Result<Arc<dyn Recognizer>, Broken> {
    if let Some(other) = asr.model.as_deref().filter(|name| *name != MOONSHINE) {
        return Err(Unusable::Unknown { model: other.to_owned() }.into());
    }
    let files = store.moonshine()?;
    let folder = files.encoder.parent().unwrap_or_else(|| store.dir());
    Ok(Arc::new(Moonshine::load(library, folder)?))
}

/// The one Moonshine model there is.
const MOONSHINE: &str = "moonshine-tiny-en";

/// The Whisper model to fetch when one is asked for and none is there: it hears German and English well and
/// keeps up on two cores.
const USUAL_WHISPER: &str = "whisper-base";

/// Streams listened to at once for each core. An idle stream costs next to nothing and a speaking one about a
/// tenth of a core, so sixteen bear a room in which a third speaks at once; beyond that partials are thinned.
const STREAMS_PER_CORE: usize = 16;

/// Somebody has to fetch a model first.
const MISSING_RETRY_S: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_never_outnumber_the_cores() {
        for cores in 1..9 {
            for threads in [None, Some(1), Some(3), Some(64)] {
                for workers in [None, Some(1), Some(100)] {
                    let asr = Asr { workers, threads, ..Asr::default() };
                    let size = Size::of(&Config { asr, ..Config::default() }, cores);
                    assert!(size.workers >= 1 && size.workers * size.threads <= cores, "{size:?} on {cores}");
                }
            }
        }
    }
}
