//! The commands of `harmony`.
//!
//! Each command is a file with its own arguments; this one is the tree, and the place where an error becomes
//! one line on stderr. Exit 0 done, 1 failed, 2 wrong use (clap's own).

pub mod bench;
pub mod call;
pub mod callers;
pub mod doctor;
pub mod eval;
pub mod keys;
pub mod models;
pub mod replay;
pub mod serve;
pub mod speak;
pub mod speakers;
pub mod transcribe;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::config::Config;

/// A real-time media and voice server: sound in, live words out.
#[derive(Debug, Parser)]
#[command(name = "harmony", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file; `harmony.toml` in the current folder is used when it is there.
    #[arg(long, global = true, env = "HARMONY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `harmony` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP and WebSockets until told to stop.
    Serve(serve::Args),
    /// Write down what is said in recordings.
    Transcribe(transcribe::Args),
    /// Speak a text.
    Speak(speak::Args),
    /// Call a telephone: play, run a menu, or listen and write down what is said.
    Call(call::Args),
    /// The speech models: what there is, fetching, verifying.
    #[command(subcommand)]
    Models(models::Command),
    /// Look at this machine: cores, library, models, ports, and how many streams it carries.
    Doctor(doctor::Args),
    /// Talk with an agent as scripts say, and judge what it does.
    Eval(eval::Args),
    /// Live through a recorded call again, and say whether it is the same.
    Replay(replay::Args),
    /// The API keys that open this server.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The people whose voices are known.
    #[command(subcommand)]
    Speakers(speakers::Command),
    /// Print all that is remembered of a caller, as JSON.
    Export(callers::Export),
    /// Erase all that is remembered of a caller.
    Erase(callers::Erase),
    /// Measure how many calls this machine carries, and how well.
    Bench(bench::Args),
    /// The callers of a bench: started by it.
    #[command(name = crate::bench::CALLERS, hide = true)]
    BenchCallers(bench::CallersArgs),
}

/// Runs a command; its failure is one line on stderr.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(code) => code,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// What went wrong in any command: only its text matters from here on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let config = Config::load(config_file(cli.config.as_deref()))?;
    match cli.command {
        Command::Serve(args) => Ok(serve::run(args, config).await?),
        Command::Transcribe(args) => Ok(transcribe::run(args, config).await?),
        Command::Speak(args) => Ok(speak::run(args, config).await?),
        Command::Call(args) => Ok(Box::pin(call::run(args, config)).await?),
        Command::Models(command) => Ok(models::run(command, config.models.dir.as_deref()).await?),
        Command::Doctor(args) => Ok(doctor::run(args, &config).await?),
        Command::Eval(args) => Ok(Box::pin(eval::run(args, config)).await?),
        Command::Replay(args) => Ok(replay::run(args, config).await?),
        Command::Keys(command) => Ok(keys::run(command, &data_dir(&config)?)?),
        Command::Speakers(command) => Ok(speakers::run(command, config).await?),
        Command::Export(args) => Ok(callers::export(args, &data_dir(&config)?).await?),
        Command::Erase(args) => Ok(callers::erase(args, &data_dir(&config)?).await?),
        Command::Bench(args) => Ok(bench::run(args).await?),
        Command::BenchCallers(args) => Ok(bench::call(&args)?),
    }
}

/// The named file, else the one in the current folder, else none.
fn config_file(named: Option<&Path>) -> Option<&Path> {
    let usual = Path::new("harmony.toml");
    named.or_else(|| usual.exists().then_some(usual))
}

/// The folder for what the server keeps: as configured, else the platform's.
pub(crate) fn data_dir(config: &Config) -> Result<PathBuf, NoDataDir> {
    let platform = || directories::ProjectDirs::from("", "", "harmony").map(|folders| folders.data_dir().to_owned());
    config.data.dir.clone().or_else(platform).ok_or(NoDataDir)
}

/// The platform names no folder for data.
#[derive(Debug, thiserror::Error)]
#[error("there is no home folder to keep data in; set data.dir in the configuration")]
pub struct NoDataDir;

#[expect(clippy::print_stderr, reason = "the one line that says why a command failed")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("harmony: {error}");
}
