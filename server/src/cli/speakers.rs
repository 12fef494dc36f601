//! `harmony speakers`: people whose voices are known. Enrols, lists and erases them, whether or not a server runs.
//!
//! A thin shell over [`crate::known_voices`]: it opens the recording, reads the clock and prints. A running server asks
//! the same folder each time, so what is changed here counts from the next transcript or call on.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use asr::diarize::VoiceKind;
use clap::Subcommand;
use media::decode::file::Decoder;
use serde_json::json;

use super::NoDataDir;
use crate::{
    clock::Clock,
    config::Config,
    engine,
    known_voices::{
        self, BadWish, KnownVoices, Wish,
        enrol::{self, Failed},
    },
};

/// `harmony speakers …`
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List the people whose voices are known (never their prints).
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Know somebody by their voice from now on.
    Add {
        /// What they are called in transcripts.
        name: String,
        /// A recording of them alone, with 4 s of speech at least; half a minute is better. `-` is standard input.
        file: PathBuf,
        /// How they agreed to that: it is kept with their print.
        #[arg(long, value_name = "TEXT")]
        consent: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Erase somebody's print and name.
    Erase {
        /// Their id, as `harmony speakers list` shows it.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command on the voices in the data folder.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn run(command: Command, config: Config) -> Result<ExitCode, Error> {
    let work = move || -> Result<(), Error> {
        let voices = KnownVoices::at(&super::data_dir(&config)?);
        match command {
            Command::List { json } => list(&voices, &config, json),
            Command::Add { name, file, consent, json } => {
                add(&voices, &config, Wish::new(&name, &consent)?, &file, json)
            }
            Command::Erase { id, json } => erase(&voices, &id, json),
        }
    };
    tokio::task::spawn_blocking(work).await.expect("it does not panic and is never cancelled")?;
    Ok(ExitCode::SUCCESS)
}

fn list(voices: &KnownVoices, config: &Config, json: bool) -> Result<(), Error> {
    let found = voices.list()?;
    let model = engine::voice_kind(config).map(VoiceKind::name);
    let people: Vec<_> = found.people.iter().map(|person| person.shown(model)).collect();
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "model": model, "speakers": people, "damaged": found.damaged }))?;
        return Ok(());
    }
    if people.is_empty() {
        writeln!(out, "nobody's voice is known; `harmony speakers add` makes one known")?;
    } else {
        writeln!(out, "{:<21}{:<24}{:<22}NAME", "ID", "CREATED", "MODEL")?;
    }
    for person in &people {
        let created_at = format!("{:.0}", person.created_at);
        writeln!(out, "{:<21}{created_at:<24}{:<22}{}", person.id, person.model, person.name)?;
    }
    let mut aside = io::stderr().lock();
    for person in &people {
        if let Some(why) = &person.why {
            writeln!(aside, "harmony: {} is not recognized: {why}", person.id)?;
        }
    }
    for file in &found.damaged {
        let id = file.trim_end_matches(".json");
        writeln!(aside, "harmony: {file} holds nobody who can be read; `harmony speakers erase {id}` removes it")?;
    }
    Ok(())
}

fn add(voices: &KnownVoices, config: &Config, wish: Wish, file: &Path, json: bool) -> Result<(), Error> {
    let recording = if file == Path::new("-") {
        Decoder::open_stream(io::stdin())
    } else {
        Decoder::open(File::open(file).map_err(|source| Error::Open { file: file.to_owned(), source })?)
    };
    let failed = |why: Failed| Error::Recording { file: file.to_owned(), why: Box::new(why) };
    let print = enrol::print(config, recording.map_err(|error| failed(error.into()))?).map_err(failed)?;
    let model = print.model.clone();
    let now = jiff::Timestamp::try_from(Clock.wall()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let person = voices.add(wish, print, now)?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!(person.shown(Some(&model))))?;
    } else {
        writeln!(out, "{} ({}) is known by their voice", person.id, person.name)?;
    }
    Ok(())
}

fn erase(voices: &KnownVoices, id: &str, json: bool) -> Result<(), Error> {
    voices.erase(id)?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "id": id, "erased": true }))?;
    } else {
        writeln!(out, "{id} is erased")?;
    }
    Ok(())
}

/// The command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no folder to keep voices in.
    #[error(transparent)]
    Folder(#[from] NoDataDir),
    /// The name or the consent is none.
    #[error(transparent)]
    Wish(#[from] BadWish),
    /// The recording cannot be opened.
    #[error("{} cannot be opened: {source}", file.display())]
    Open {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The recording makes no print.
    #[error("{}: {why}", file.display())]
    Recording {
        /// Which.
        file: PathBuf,
        /// Why not.
        why: Box<Failed>,
    },
    /// The voices cannot be read or kept.
    #[error(transparent)]
    Voices(#[from] known_voices::Error),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Print(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn nobody_is_added_without_saying_how_they_agreed() {
        let line = |words: &[&str]| Line::try_parse_from([&["speakers"][..], words].concat());
        assert!(line(&["add", "Ada", "ada.wav", "--consent", "signed"]).is_ok());
        assert_eq!(line(&["add", "Ada", "ada.wav"]).unwrap_err().exit_code(), 2);
        assert_eq!(line(&["erase"]).unwrap_err().exit_code(), 2);
    }
}
