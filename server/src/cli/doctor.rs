//! `harmony doctor`: what this machine has, what is missing, and how much it carries.
//!
//! A shell: it looks (processor, memory, models, ports, programs), tries the library, and measures the real
//! recognizer for five seconds. What it found is one value, printed as a table or as JSON. Nothing is changed
//! and no network is used.

mod machine;
mod speed;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use asr::onnx::Library;
use clap::Args as ClapArgs;
use indicatif::DecimalBytes;
use serde::Serialize;

use self::machine::{Machine, Port, Program};
use crate::{
    config::{Config, Engine},
    engine,
    models::{self, Condition, Depth, NoFolder, State, Store},
};

/// `harmony doctor`
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Do not measure the recognizer.
    #[arg(long)]
    quick: bool,
}

/// Looks at this machine under `config` and prints what was found. The exit code is 1 when something is
/// missing without which the server cannot listen.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn run(args: Args, config: &Config) -> Result<ExitCode, Error> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref())?);
    let config = config.clone();
    let quick = args.quick;
    let looked = tokio::task::spawn_blocking(move || Findings::collect(&store, &config, quick));
    let findings = looked.await.expect("looking does not panic and is never cancelled");
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&findings).expect("text and numbers always serialize");
        writeln!(out, "{json}")?;
    } else {
        findings.print(&mut out)?;
    }
    Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Findings {
    machine: Machine,
    models_dir: String,
    models: Vec<ModelFound>,
    /// `ok` when voices can be told apart while they speak; otherwise what is missing.
    voices: String,
    library: LibraryFound,
    ports: Vec<Port>,
    programs: Vec<Program>,
    speed: Option<SpeedFound>,
    /// What keeps the server from listening, each with what to do.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ModelFound {
    name: String,
    purpose: String,
    bytes: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct LibraryFound {
    loads: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct SpeedFound {
    engine: &'static str,
    model: String,
    workers: usize,
    cores_per_stream: f64,
    streams: u32,
    measured_s: f64,
}

impl Findings {
    fn collect(store: &Store, config: &Config, quick: bool) -> Self {
        let mut problems = Vec::new();
        let models = store.survey(Depth::Quick).iter().filter(|found| is_telling(found)).map(described).collect();
        let library = match store.library().map_err(|error| error.to_string()) {
            Ok(path) => Library::open(&path).map(|_| ()).map_err(|error| error.to_string()),
            Err(missing) => Err(missing),
        };
        problems.extend(library.as_ref().err().cloned());
        problems.extend(store.silero().err().map(|missing| missing.to_string()));
        problems.extend(no_recognizer(store, config));
        let mut speed = None;
        if problems.is_empty() {
            match measured(store, config, quick) {
                Ok(found) => speed = found,
                Err(why) => problems.push(why),
            }
        }
        Self {
            machine: Machine::look(),
            models_dir: store.dir().display().to_string(),
            models,
            voices: no_voices(store, config).unwrap_or_else(|| "ok".to_owned()),
            library: LibraryFound { loads: library.is_ok(), why: library.err() },
            ports: machine::ports(config),
            programs: machine::programs(),
            speed,
            problems,
        }
    }

    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Machine { cores, instructions, memory_bytes, memory_free_bytes, platform } = &self.machine;
        let memory =
            |bytes: &Option<u64>| bytes.map_or_else(|| "unknown".into(), |bytes| DecimalBytes(bytes).to_string());
        writeln!(out, "machine    {platform}, {cores} cores, {}", instructions.join(" "))?;
        writeln!(out, "memory     {}, {} free", memory(memory_bytes), memory(memory_free_bytes))?;
        writeln!(out, "models     in {}", self.models_dir)?;
        for ModelFound { name, purpose, state, why, .. } in &self.models {
            let why = why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            writeln!(out, "           {name:<24}{state:<10}{purpose}{why}")?;
        }
        writeln!(out, "voices     {}", if self.voices == "ok" { "are told apart" } else { self.voices.as_str() })?;
        writeln!(out, "library    {}", if self.library.loads { "loads" } else { "cannot be loaded" })?;
        for (at, Port { name, address, state, .. }) in self.ports.iter().enumerate() {
            let head = if at == 0 { "ports" } else { "" };
            writeln!(out, "{head:<11}{name:<10}{address:<24}{state}")?;
        }
        for (at, Program { name, purpose, path }) in self.programs.iter().enumerate() {
            let head = if at == 0 { "programs" } else { "" };
            writeln!(out, "{head:<11}{name:<12}{}", path.clone().unwrap_or_else(|| format!("not here: {purpose}")))?;
        }
        if let Some(SpeedFound { engine, model, workers, cores_per_stream, streams, .. }) = &self.speed {
            let share = cores_per_stream * 100.0;
            writeln!(out, "speed      this machine carries about {streams} live streams of {engine} ({model})")?;
            writeln!(out, "           that all speak at once: {share:.1} % of a core each, {workers} decoders")?;
        }
        match self.problems.as_slice() {
            [] => writeln!(out, "\nready to listen")?,
            problems => {
                writeln!(out, "\nnot ready to listen:")?;
                problems.iter().try_for_each(|problem| writeln!(out, "  {problem}"))?;
            }
        }
        Ok(())
    }
}

/// A model that nobody fetched and nobody needs is no news.
fn is_telling(found: &Condition<'_>) -> bool {
    found.model.default || matches!(found.state, State::Present | State::Damaged { .. })
}

fn described(found: &Condition<'_>) -> ModelFound {
    let why = match &found.state {
        State::Damaged { file, why } => Some(format!("{}: {why}", file.display())),
        State::Present | State::Missing | State::Unlisted => None,
    };
    ModelFound {
        name: found.model.name.to_string(),
        purpose: found.model.purpose.clone(),
        bytes: found.model.bytes(),
        state: found.state.word(),
        why,
    }
}

/// Why voices are not told apart while they speak.
fn no_voices(store: &Store, config: &Config) -> Option<String> {
    if !config.asr.diarization {
        return Some("are not told apart: asr.diarization is off".to_owned());
    }
    // Without the segmentation model voice activity serves.
    store.voice().err().map(|missing| missing.to_string())
}

/// What is missing for the recognizer that the configuration asks for.
fn no_recognizer(store: &Store, config: &Config) -> Option<String> {
    let whisper = store.whisper(config.asr.model.as_deref());
    let missing = match (config.asr.engine, whisper) {
        (Engine::Moonshine, _) | (Engine::Auto, Ok(None)) => {
            return store.moonshine().err().map(|error| error.to_string());
        }
        (Engine::Whisper | Engine::Auto, Ok(Some(_))) => return None,
        (Engine::Whisper, Ok(None)) => {
            "no Whisper model is installed; `harmony models fetch whisper-base` brings one".into()
        }
        (Engine::Whisper | Engine::Auto, Err(error)) => error.to_string(),
    };
    Some(missing)
}

/// Loads what the configuration asks for and measures it; with `quick` it is only loaded.
fn measured(store: &Store, config: &Config, quick: bool) -> Result<Option<SpeedFound>, String> {
    let size = engine::Size::of(config, engine::cores());
    let (recognizer, mut silero) = engine::load(store, &config.asr, &size).map_err(|error| error.to_string())?;
    if quick {
        return Ok(None);
    }
    let measured = speed::measure(recognizer.as_ref(), &mut silero, size.workers, BUDGET);
    let found = measured.map_err(|error| error.to_string())?;
    let info = recognizer.info();
    if found.words == 0 {
        return Err(format!("{} heard no word in a clip of speech; the model does not work here", info.model));
    }
    Ok(Some(SpeedFound {
        engine: info.engine,
        model: info.model.clone(),
        workers: size.workers,
        cores_per_stream: found.cores_per_stream,
        streams: found.streams,
        measured_s: found.measured_s,
    }))
}

/// The command failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder for models is known.
    #[error(transparent)]
    Folder(#[from] NoFolder),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Print(#[from] io::Error),
}

/// Long enough to be past the first decodes, short enough to wait for.
const BUDGET: Duration = Duration::from_secs(5);
