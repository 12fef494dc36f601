//! A recognizer that hears by loudness alone, for tests of the wiring around it: real voice activity, real
//! rooms, real sockets, and words that need no model.
//!
//! Each stretch of [`WORD_S`] seconds in which something sounds is one word of a fixed list, counted within the
//! window; the first is the first term that it is told to expect, where it is told one. It lives in the test kit and in no product.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use asr::{
    onnx::Library,
    pool::{Ears, Options},
    recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer, TimedWord},
    vad::silero::Silero,
};
use server::{
    app::{self, App},
    auth::keys::KeyRing,
    config::Config,
    engine::NoEars,
    listen,
    recording::Recordings,
    shutdown,
    store::Store,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{fixture, llm::Model, standstill};

/// Seconds of sound that make one word.
pub const WORD_S: f32 = 0.4;

/// The words, over and over.
pub const WORDS: [&str; 12] =
    ["amber", "birch", "copper", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "jasper", "kelp", "lotus"];

/// Hears loudness.
#[derive(Debug)]
pub struct Loudness {
    info: Info,
    words: &'static [&'static str],
}

impl Default for Loudness {
    fn default() -> Self {
        Self::saying(&WORDS)
    }
}

impl Loudness {
    /// Hears these words, over and over, in whatever is said.
    pub fn saying(words: &'static [&'static str]) -> Self {
        let info = Info {
            engine: "scripted",
            model: "loudness".to_owned(),
            languages: vec!["en".to_owned(), "de".to_owned()],
            window_max_s: 20,
        };
        Self { info, words }
    }
}

impl Recognizer for Loudness {
    fn info(&self) -> &Info {
        &self.info
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        Ok(Box::new(Meter(self.words)))
    }
}

struct Meter(&'static [&'static str]);

impl Decoder for Meter {
    fn decode(&mut self, audio: &[f32], hints: &Hints, _abort: &AtomicBool) -> Result<Hypothesis, Error> {
        let block = (WORD_S * 16_000.0) as usize;
        let words = audio.chunks(block).enumerate().filter(|(_, samples)| is_loud(samples));
        let mut expected = hints.keyterms.first().cloned();
        let words = words.map(|(index, _)| TimedWord {
            text: expected.take().unwrap_or_else(|| self.0[index % self.0.len()].to_owned()),
            start_s: index as f32 * WORD_S,
            end_s: ((index + 1) as f32 * WORD_S).min(audio.len() as f32 / 16_000.0),
            confidence: 0.9,
        });
        Ok(Hypothesis {
            words: words.collect(),
            language: Some(hints.language.clone().unwrap_or_else(|| "en".to_owned())),
            language_probability: None,
            mean_logprob: -0.1,
            no_speech: None,
        })
    }
}

/// A server inside this process, on a loopback port, hearing loudness.
pub struct Local {
    /// What its handlers reach.
    pub app: App,
    /// Such as `127.0.0.1:40000`.
    pub address: std::net::SocketAddr,
    serving: JoinHandle<()>,
    _data: TempDir,
    kept: Option<TempDir>,
}

impl Local {
    /// Starts one; the reason to skip when the voice-activity model is not there.
    ///
    /// # Errors
    /// `skipped: why`.
    ///
    /// # Panics
    /// When the models are there and do not load, or the machine refuses a port.
    pub async fn start(config: Config) -> Result<Self, String> {
        Ok(Self::serve(config, Ok(ears(Loudness::default())?)).await)
    }

    /// The same, asking this model; says why it skips.
    ///
    /// # Panics
    /// As [`Local::start`].
    pub async fn asking(model: &Model) -> Option<Self> {
        let config =
            Config::parse(Path::new("test.toml"), &model.config(), []).expect("the model's settings are settings");
        Self::start(config).await.map_err(|why| println!("{why}")).ok()
    }

    /// The same with a telephone and recordings; where it is called.
    ///
    /// # Errors
    /// `skipped: why`.
    ///
    /// # Panics
    /// When the models are there and do not load, or the machine refuses a port or a folder.
    pub async fn listening_with_telephone(config: Config) -> Result<(Self, std::net::SocketAddr), String> {
        Ok(Self::connect(config, Ok(ears(Loudness::default())?)).await)
    }

    /// The same, where whatever is said is heard as these words.
    ///
    /// # Errors
    /// `skipped: why`.
    ///
    /// # Panics
    /// As [`Local::listening_with_telephone`].
    pub async fn hearing_with_telephone(
        config: Config,
        words: &'static [&'static str],
    ) -> Result<(Self, std::net::SocketAddr), String> {
        Ok(Self::connect(config, Ok(ears(Loudness::saying(words))?)).await)
    }

    /// Starts one that has no model to hear with.
    pub async fn deaf(config: Config) -> Self {
        Self::serve(config, deafness()).await
    }

    /// Starts one that has no model to hear with, but a telephone and recordings; where it is called.
    ///
    /// # Panics
    /// When the machine refuses a port or a folder.
    pub async fn with_telephone(config: Config) -> (Self, std::net::SocketAddr) {
        Self::connect(config, deafness()).await
    }

    async fn connect(mut config: Config, ears: Result<Ears, NoEars>) -> (Self, std::net::SocketAddr) {
        let kept = TempDir::new().expect("a temporary folder");
        config.recording.dir = Some(kept.path().join("recordings"));
        let recordings = Recordings::open(&config).expect("recordings can be kept");
        let mut local = Self::serve(config, ears).await;
        local.kept = Some(kept);
        local.app.keep(recordings);
        let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let address = server::phone::connect_at(&local.app, anywhere).await.expect("the telephone can listen");
        (local, address)
    }

    async fn serve(config: Config, ears: Result<Ears, NoEars>) -> Self {
        standstill::watch();
        let data = TempDir::new().expect("a temporary folder");
        let keys = KeyRing::load(data.path(), &config.auth.keys).expect("the keys of the test are keys");
        let app = App::new(config, ears, keys).expect("an HTTP client can be made");
        app.remember_in(Store::open(data.path()).await.expect("a store in a new folder"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (router, serving) = (app::router(app.clone()), app.clone());
        let serving = tokio::spawn(async move {
            let shutdown = serving.shutdown().clone();
            listen::serve(listener, router, serving.admission(), shutdown, shutdown::GRACE).await;
        });
        Self { app, address, serving, _data: data, kept: None }
    }

    /// Such as `http://127.0.0.1:40000`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Such as `ws://127.0.0.1:40000`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Drains, as on a signal, and waits for the end.
    pub async fn drain(self) {
        shutdown::drain(&self.app).await;
        // The serving task neither panics nor is cancelled.
        let _ = self.serving.await;
    }
}

/// The ears that hear loudness.
fn ears(recognizer: Loudness) -> Result<Ears, String> {
    let library = fixture::onnx_library()?;
    let silero = fixture::model("silero-vad")?.join("silero_vad.onnx");
    let library = Library::open(&library).expect("ONNX Runtime loads");
    let silero = Silero::load(&library, &silero).expect("the voice-activity model loads");
    let options = Options { workers: 1, streams_max: 1_000 };
    Ok(Ears::start(Arc::new(recognizer), silero, options).expect("the ears start"))
}

fn deafness() -> Result<Ears, NoEars> {
    Err(NoEars("the model loudness is not in /models; `harmony models fetch loudness` brings it".to_owned()))
}

fn is_loud(samples: &[f32]) -> bool {
    let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
    energy / samples.len().max(1) as f32 > QUIET * QUIET
}

/// Root mean square below which a stretch is silence: -46 dBFS.
const QUIET: f32 = 0.005;
