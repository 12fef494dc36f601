//! `harmony replay`: a call whose inputs were recorded, lived through again and held against itself.
//!
//! Says what the journal holds, then `same`, or the first difference and exit 1. Runs without a server, on the
//! models that heard the call.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use asr::pool::journal::Opened;

use crate::{
    clock::Clock,
    config::{Config, Engine},
    engine::{self, Size},
    models::{self, Store},
    replay::{self, End, Models, ReplayError, Replayed},
};

/// `harmony replay DIR`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder of one call under `inputs` in the data folder, as the log names it.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Why a call was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal, or the models that it needs.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Nobody reads what is said.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Replays one call.
///
/// # Errors
/// [`Error`], to be shown as one line. A difference is no error but exit code 1.
pub async fn run(args: Args, config: Config) -> Result<ExitCode, Error> {
    let began = Clock.now();
    let replaying = tokio::task::spawn_blocking(move || replay::replay(&args.folder, |opened| load(&config, opened)));
    let replayed = replaying.await.expect("a replay does not panic")?;
    let took_s = Clock.now().saturating_duration_since(began).as_secs_f64();
    io::stdout().lock().write_all(tell(&replayed, took_s).as_bytes())?;
    Ok(if replayed.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The models that heard the call.
fn load(config: &Config, opened: &Opened) -> Result<Models, String> {
    let mut config = config.clone();
    config.asr.engine = match opened.engine.as_str() {
        "moonshine" => Engine::Moonshine,
        "whisper" => Engine::Whisper,
        _ => return Err("this program has no such engine".to_owned()),
    };
    config.asr.model = Some(opened.model.clone());
    let folder = models::folder(None, config.models.dir.as_deref()).map_err(|error| error.to_string())?;
    let size = Size::of(&config, engine::cores());
    let (recognizer, silero) =
        engine::load(&Store::open(folder), &config.asr, &size).map_err(|error| error.to_string())?;
    Models::new(&recognizer, silero).map_err(|error| error.to_string())
}

/// What was replayed, in words.
fn tell(replayed: &Replayed, took_s: f64) -> String {
    let mut text = String::new();
    let mut line = |said: String| {
        text.push_str(&said);
        text.push('\n');
    };
    match &replayed.room {
        Some(room) => {
            line(format!(
                "room:   {} \"{}\", begun {}, recorded by harmony {}",
                room.room, room.title, room.began, room.program
            ));
        }
        None => line("room:   none: the journal was cut off before it".to_owned()),
    }
    line(format!(
        "words:  {} heard for {:.1} s, {}",
        counted(replayed.streams, "stream"),
        replayed.heard_s,
        counted(replayed.events, "event")
    ));
    match &replayed.sound {
        Some(sound) => line(format!("sound:  {sound}")),
        None => line("sound:  no leg of the engine; what was heard came to the ears directly".to_owned()),
    }
    match replayed.end {
        End::Closed => line("end:    closed in good order".to_owned()),
        End::Cut => line("end:    cut off; replayed to its last whole block".to_owned()),
        End::Incomplete(missing) => {
            line(format!("end:    {missing} records are missing (the disk was too slow); replayed up to there"));
        }
    }
    line(format!("took:   {took_s:.1} s"));
    match &replayed.difference {
        None => line("same".to_owned()),
        Some(difference) => line(format!("different: {difference}")),
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
