//! `harmony models`: lists, fetches and verifies the models.
//!
//! A thin shell over [`crate::models`]: it finds the folder, prints a table or JSON to stdout, and tells
//! progress and failures on stderr, one line for each model that failed.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use reqwest::Url;
use serde_json::{Value, json};

use crate::models::{
    self, Depth, NoFolder, State, Store,
    fetch::{Fetcher, Options, Outcome},
    manifest::{Manifest, Model},
    progress::Progress,
};

/// `harmony models …`
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show every model and whether it is here.
    List(Where),
    /// Bring models: those named, or what the server needs to listen.
    Fetch(Fetch),
    /// Read every file that is here and compare it with its hash.
    Verify(Verify),
}

/// What all three have in common.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// Folder of models [default: $HARMONY_MODELS_DIR, else models.dir, else the platform's data folder].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `harmony models fetch`
#[derive(Clone, Debug, Args)]
pub struct Fetch {
    /// Names, as `harmony models list` shows them.
    names: Vec<String>,
    /// Use no network: fail when something is missing.
    #[arg(long)]
    offline: bool,
    /// Take files from URL/MODEL/FILE instead of their own sources.
    #[arg(long, value_name = "URL", env = "HARMONY_MODELS_MIRROR")]
    mirror: Option<Url>,
    #[command(flatten)]
    place: Where,
}

/// `harmony models verify`
#[derive(Clone, Debug, Args)]
pub struct Verify {
    /// Names; without any, everything that is here.
    names: Vec<String>,
    #[command(flatten)]
    place: Where,
}

/// Runs the command; `configured_dir` is `models.dir` of the configuration.
///
/// # Errors
/// [`Error`], to be shown as one line. Models that could not be fetched or are damaged are shown here already
/// and make the exit code 1.
pub async fn run(command: Command, configured_dir: Option<&Path>) -> Result<ExitCode, Error> {
    let store = |place: &Where| models::folder(place.dir.as_deref(), configured_dir).map(Store::open);
    match command {
        Command::List(place) => list(&store(&place)?, place.json),
        Command::Fetch(fetch) => bring(store(&fetch.place)?, fetch).await,
        Command::Verify(verify) => compare(&store(&verify.place)?, &verify),
    }
}

fn list(store: &Store, json: bool) -> Result<ExitCode, Error> {
    let survey = store.survey(Depth::Quick);
    if json {
        let rows: Vec<_> = survey.iter().map(|row| described(store, row.model, &row.state)).collect();
        print(&json!({ "dir": store.dir(), "models": rows }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:<24}{:<10}{:>10}  {:<14}PURPOSE", "NAME", "STATE", "SIZE", "LICENCE")?;
    for row in &survey {
        let (model, size) = (row.model, DecimalBytes(row.model.bytes()).to_string());
        let state = row.state.word();
        writeln!(out, "{:<24}{state:<10}{size:>10}  {:<14}{}", model.name, model.licence, model.purpose)?;
    }
    writeln!(out, "\nin {}", store.dir().display())?;
    Ok(ExitCode::SUCCESS)
}

async fn bring(store: Store, fetch: Fetch) -> Result<ExitCode, Error> {
    let wanted = named(store.manifest(), &fetch.names)?;
    let wanted: Vec<Model> = if fetch.names.is_empty() {
        store.manifest().default_set().cloned().collect()
    } else {
        wanted.into_iter().cloned().collect()
    };
    let progress = Progress::stderr();
    let options = Options { mirror: fetch.mirror, offline: fetch.offline, ..Options::default() };
    let dir = store.dir().to_owned();
    let fetcher = Fetcher::new(store, options, progress.clone());
    let mut rows = Vec::new();
    let mut failures = 0;
    for model in &wanted {
        let row = match fetcher.fetch(model).await {
            Ok(Outcome::Present) => {
                progress.say(&format!("{} is here", model.name));
                json!({ "name": model.name.as_str(), "result": "present" })
            }
            Ok(Outcome::Fetched) => {
                progress.say(&format!("{} was fetched", model.name));
                json!({ "name": model.name.as_str(), "result": "fetched" })
            }
            Err(error) => {
                progress.say(&format!("harmony: {error}"));
                failures += 1;
                json!({ "name": model.name.as_str(), "result": "failed", "error": error.to_string() })
            }
        };
        rows.push(row);
    }
    if fetch.place.json {
        print(&json!({ "dir": dir, "models": rows }))?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads everything that is here. Without names a missing model is no failure; a named one is.
fn compare(store: &Store, verify: &Verify) -> Result<ExitCode, Error> {
    let names = named(store.manifest(), &verify.names)?;
    let models: Vec<&Model> = if names.is_empty() { store.manifest().models().iter().collect() } else { names };
    let mut rows = Vec::new();
    let mut sound = true;
    let mut stderr = io::stderr();
    for model in models {
        let state = store.state(model, Depth::Full);
        match &state {
            State::Present => {}
            State::Missing | State::Unlisted if verify.names.is_empty() => continue,
            State::Missing | State::Unlisted => {
                sound = false;
                writeln!(stderr, "harmony: {} is {}", model.name, state.word())?;
            }
            State::Damaged { file, why } => {
                sound = false;
                let fetch = format!("`harmony models fetch {}` brings it anew", model.name);
                writeln!(stderr, "harmony: {} is damaged: {why}; {fetch}", file.display())?;
            }
        }
        if verify.place.json {
            rows.push(described(store, model, &state));
        } else if state == State::Present {
            writeln!(io::stdout(), "{} is as it should be", model.name)?;
        }
    }
    if verify.place.json {
        print(&json!({ "dir": store.dir(), "models": rows }))?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named<'a>(manifest: &'a Manifest, names: &[String]) -> Result<Vec<&'a Model>, Error> {
    let known = |name: &String| {
        let model = manifest.model(name).or_else(|| manifest.model(&format!("whisper-{name}")));
        model.ok_or_else(|| Error::Unknown(name.clone()))
    };
    names.iter().map(known).collect()
}

fn described(store: &Store, model: &Model, state: &State) -> Value {
    let file = |file: &models::manifest::File| json!({ "path": store.path(model, file), "bytes": file.bytes, "sha256": file.sha256.to_string() });
    let why = match state {
        State::Damaged { why, .. } => Some(why),
        State::Present | State::Missing | State::Unlisted => None,
    };
    json!({
        "name": model.name.as_str(),
        "purpose": model.purpose,
        "licence": model.licence,
        "languages": model.languages,
        "default": model.default,
        "bytes": model.bytes(),
        "state": state.word(),
        "why": why,
        "files": model.files().map(file).collect::<Vec<_>>(),
    })
}

fn print(value: &Value) -> io::Result<()> {
    writeln!(io::stdout(), "{value:#}")
}

/// The command failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder for models is known.
    #[error(transparent)]
    Folder(#[from] NoFolder),
    /// A name is not on the list.
    #[error("there is no model {0}; `harmony models list` shows those there are")]
    Unknown(String),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Print(#[from] io::Error),
}
