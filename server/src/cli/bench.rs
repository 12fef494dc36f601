//! `harmony bench`: measures the echo of many calls, and the hidden command that makes them.

use std::{
    io::{self, BufRead as _, Write as _},
    net::SocketAddr,
    num::NonZero,
    process::ExitCode,
    time::Duration,
};

use clap::Args as ClapArgs;

use crate::{
    bench::{
        self, BenchError,
        generate::{self, Load},
    },
    clock::Clock,
};

/// `harmony bench`
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Calls at once.
    #[arg(long, default_value = "100", value_name = "N")]
    calls: NonZero<usize>,
    /// How long to measure.
    #[arg(long, default_value = "20", value_name = "S")]
    seconds: NonZero<u32>,
    /// Threads of the engine.
    #[arg(long, default_value = "1", value_name = "N")]
    shards: NonZero<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// [`BenchError`], to be shown as one line.
pub async fn run(args: Args) -> Result<ExitCode, BenchError> {
    let options = bench::Options { calls: args.calls, seconds: args.seconds, shards: args.shards };
    let report = bench::run(options, Clock).await?;
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&report).expect("text and numbers always serialize");
        writeln!(out, "{json}")?;
    } else {
        report.print(&mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The callers of a bench: addresses to call on stdin, a line each; stages and figures on stdout, as lines of JSON.
#[derive(Clone, Debug, ClapArgs)]
pub struct CallersArgs {
    /// How long to measure.
    #[arg(long, value_name = "S")]
    seconds: NonZero<u32>,
    /// How long the calls go on before anything counts.
    #[arg(long, default_value = "1000", value_name = "MS")]
    warm_up_ms: u32,
}

/// Makes the calls. Blocks its thread until they are over, and there is nothing else to do in this process.
///
/// # Errors
/// When stdin holds no addresses, or the system gives no sockets.
pub fn call(args: &CallersArgs) -> Result<ExitCode, CallersError> {
    let mut targets = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        targets.push(line.parse::<SocketAddr>().map_err(|_| CallersError::NoAddress(line))?);
    }
    if targets.is_empty() {
        return Err(CallersError::Nobody);
    }
    let load = Load {
        targets,
        warm_up: Duration::from_millis(u64::from(args.warm_up_ms)),
        measured: Duration::from_secs(u64::from(args.seconds.get())),
    };
    let mut out = io::stdout().lock();
    let figures = generate::run(&load, Clock, |stage| {
        let line = serde_json::to_string(&stage).expect("a word always serializes");
        // Who reads this has gone when it cannot be written, and nobody wants the figures.
        let _ = writeln!(out, "{line}");
    })?;
    writeln!(out, "{}", serde_json::to_string(&figures).expect("numbers always serialize"))?;
    Ok(ExitCode::SUCCESS)
}

/// Why nobody was called.
#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    /// A line is no address.
    #[error("{0:?} is no address: write HOST:PORT with a number for the host")]
    NoAddress(String),
    /// No line came.
    #[error("nobody to call: write addresses to stdin, a line each")]
    Nobody,
    /// The system refused.
    #[error("the calls cannot be made: {0}")]
    Io(#[from] io::Error),
}
