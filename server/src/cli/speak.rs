//! `harmony speak`: text in, speech out, without a server.
//!
//! The voice is the one that the configuration names for the language. The sound is written as a WAV file, or to standard
//! output where that is no terminal, so that it can be piped into a player. What was said, where each word begins and
//! what a mouth does meanwhile is told with `--json`.

use std::{
    fs,
    io::{self, Cursor, IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use serde::Serialize;
use tts::{
    espeak::Phonemes,
    utterance::{CHARS_MAX, Utterance},
    voice::{self, Choice},
    worker::{Refused, Said},
};

use crate::{config::Config, voices};

/// `harmony speak …`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Who speaks: man, woman, a name such as Polly.Marlene, or a language such as de-DE.
    #[arg(long, value_name = "V")]
    pub voice: Option<String>,
    /// The language of the text: en, en-GB, de…
    #[arg(long, value_name = "LANG")]
    pub lang: Option<String>,
    /// Write the sound into this WAV file rather than to standard output.
    #[arg(long, value_name = "FILE.wav")]
    pub out: Option<PathBuf>,
    /// Print what was spoken as JSON; needs --out.
    #[arg(long, requires = "out")]
    pub json: bool,
    /// What is to be said; `-` is standard input.
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// Why nothing was spoken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What speaks is missing or failed.
    #[error(transparent)]
    Voice(#[from] voice::Error),
    /// The voices that are configured cannot speak.
    #[error(transparent)]
    Voices(#[from] voices::Broken),
    /// There is too much to say.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing in it can be said.
    #[error("there is nothing to say in that text")]
    Nothing,
    /// The text cannot be read.
    #[error("cannot read the text: {0}")]
    Input(io::Error),
    /// The sound cannot be written.
    #[error("cannot write {what}: {why}")]
    Output {
        /// Where.
        what: String,
        /// Why not.
        why: String,
    },
}

/// Speaks the text.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn run(args: Args, config: Config) -> Result<ExitCode, Error> {
    if args.out.is_none() && io::stdout().is_terminal() {
        note("harmony: a terminal cannot play sound; name a file with --out FILE.wav, or pipe this into a player")?;
        return Ok(ExitCode::from(2));
    }
    let speaking = tokio::task::spawn_blocking(move || speak(&args, config));
    speaking.await.expect("speaking does not panic and is never cancelled")
}

/// What was spoken, for `--json`.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    duration_s: f64,
    voice: &'static str,
    language: &'static str,
    rate_hz: u32,
    words: Vec<Word>,
    visemes: Vec<Viseme>,
}

#[derive(Debug, Serialize)]
struct Word {
    word: String,
    start_s: f64,
}

#[derive(Debug, Serialize)]
struct Viseme {
    viseme: &'static str,
    start_s: f64,
    duration_s: f64,
}

fn speak(args: &Args, mut config: Config) -> Result<ExitCode, Error> {
    let text = match args.text.as_str() {
        "-" => from_stdin()?,
        text => text.to_owned(),
    };
    let Choice { voice, warning, .. } = voice::choose(args.voice.as_deref(), args.lang.as_deref());
    if let Some(warning) = warning {
        note(&format!("harmony: {warning}"))?;
    }
    config.tts.workers = Some(1);
    let voices = voices::start_with(&config, args.json.then(Phonemes::default))?;
    let rate_hz = voices.info().rate_hz;
    let mut speech = voices.speak(&Utterance::plain(voice, text), rate_hz)?;
    let seconds = |samples: u64| samples as f64 / f64::from(rate_hz);
    let (mut samples, mut words, mut visemes) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(said) = speech.next_blocking() {
        match said {
            Said::Samples { samples: some, .. } => samples.extend(some),
            Said::Word { text, at_sample, .. } => {
                words.push(Word { word: text, start_s: seconds(at_sample) });
            }
            Said::Viseme { viseme, at_sample, samples, .. } => {
                let (start_s, duration_s) = (seconds(at_sample), seconds(samples));
                visemes.push(Viseme { viseme: viseme.name(), start_s, duration_s });
            }
            Said::Failed { error, .. } => return Err(error.into()),
            Said::Finished { .. } | Said::Dropped { .. } => {}
        }
    }
    if samples.is_empty() {
        return Err(Error::Nothing);
    }
    let file = args.out.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let refused = |why: String| Error::Output { what: file.clone(), why };
    let bytes = wav(&samples, rate_hz).map_err(|error| refused(error.to_string()))?;
    match &args.out {
        Some(path) => fs::write(path, bytes),
        None => io::stdout().lock().write_all(&bytes),
    }
    .map_err(|error| refused(error.to_string()))?;
    if args.json {
        let duration_s = seconds(samples.len() as u64);
        let (engine, language) = (voices.info().engine, voice.language.tag());
        let report = Report { file: file.clone(), duration_s, voice: engine, language, rate_hz, words, visemes };
        let json = serde_json::to_string(&report).expect("text and numbers always serialize");
        writeln!(io::stdout().lock(), "{json}").map_err(|error| refused(error.to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn from_stdin() -> Result<String, Error> {
    let mut text = String::new();
    // A little more than may be said is enough to be told so.
    let most = 4 * CHARS_MAX as u64 + 4;
    io::stdin().lock().take(most).read_to_string(&mut text).map_err(Error::Input)?;
    Ok(text)
}

fn wav(samples: &[f32], rate_hz: u32) -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for sample in samples {
        writer.write_sample((sample * 32_767.0).round() as i16)?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}

fn note(line: &str) -> Result<(), Error> {
    writeln!(io::stderr().lock(), "{line}")
        .map_err(|error| Error::Output { what: "a note".to_owned(), why: error.to_string() })
}
