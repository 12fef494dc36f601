//! `harmony eval`: scripted conversations with an agent, by the whole way that a caller's voice goes, and what of them was
//! not as it should be.
//!
//! One conversation after the other, so that they do not slow each other down; one that fails does not stop the rest. Each
//! is told as a table when it is over, all of them in one line at the end; with `--json` in one document. Scripts that
//! cannot be read are wrong use: nobody is called then.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use crate::{
    config::Config,
    eval::{
        Hearing, Stage, Wishes,
        report::{self, Became},
    },
    telemetry,
};

/// `harmony eval FILE…`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How callers are heard, whatever the scripts say.
    #[arg(long, value_enum, value_name = "HOW")]
    pub hearing: Option<Hearing>,
    /// Ask the configured language model, even where a script brings the model's answers.
    #[arg(long)]
    pub real_model: bool,
    /// Give every budget of time so many times as much: 3 for a slow machine.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = slack)]
    pub slack: f64,
    /// Print all of it as JSON.
    #[arg(long)]
    pub json: bool,
    /// Scripts of conversations.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

fn slack(value: &str) -> Result<f64, String> {
    let times = value.parse().ok().filter(|times| (0.1..=100.0).contains(times));
    times.ok_or_else(|| "expected a number from 0.1 to 100".to_owned())
}

/// Why nothing could be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody reads what is said.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

/// Performs every conversation; the exit code says whether all was as it should be.
///
/// # Errors
/// [`Error`], to be shown as one line. What an agent does wrong is no error but exit code 1.
pub async fn run(args: Args, config: Config) -> Result<ExitCode, Error> {
    telemetry::log_to_stderr(&config.log);
    let mut conversations = Vec::with_capacity(args.files.len());
    let mut is_readable = true;
    for file in &args.files {
        match crate::eval::read(file) {
            Ok(conversation) => conversations.push((file, conversation)),
            Err(wrong) => {
                is_readable = false;
                writeln!(io::stderr(), "harmony: {wrong}")?;
            }
        }
    }
    if !is_readable {
        return Ok(ExitCode::from(2));
    }
    let wishes = Wishes { hearing: args.hearing, asks_configured: args.real_model, slack: args.slack };
    let mut stage = Stage::new(config);
    let mut all = Vec::with_capacity(conversations.len());
    for (file, conversation) in &conversations {
        let became = match stage.perform(conversation, wishes).await {
            Ok(outcome) => Became::Performed(outcome),
            Err(why) => Became::Broke { file: file.display().to_string(), why: why.to_string() },
        };
        match &became {
            Became::Performed(outcome) if !args.json => writeln!(io::stdout(), "{}", report::table(outcome))?,
            Became::Performed(_) => {}
            Became::Broke { file, why } => writeln!(io::stderr(), "harmony: {file}: {why}")?,
        }
        all.push(became);
    }
    let last = if args.json { report::json(&all).to_string() } else { report::summary(&all) };
    writeln!(io::stdout(), "{last}")?;
    Ok(if all.iter().all(Became::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_stretched_by_a_sensible_number() {
        assert_eq!(slack("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "nan", "inf", "1e9", "much", ""] {
            assert!(slack(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn scripts_that_cannot_be_read_are_wrong_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrong.toml");
        std::fs::write(&path, "[[line]]\nsay = \"Hello?\"\n").unwrap();
        let args = Args { hearing: None, real_model: false, slack: 1.0, json: false, files: vec![path] };
        let code = run(args, Config::default()).await.unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    }
}
