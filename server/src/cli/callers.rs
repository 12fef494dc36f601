//! `harmony export` and `harmony erase`: what is remembered of a caller, for them to have, and its end.
//!
//! Works on the data folder, whether or not a server runs on it.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use serde_json::json;

use crate::store::{Broken, Failed, Store};

/// `harmony export NUMBER`
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// The caller's number or address, as the network says it.
    number: String,
}

/// `harmony erase NUMBER`
#[derive(Clone, Debug, clap::Args)]
pub struct Erase {
    /// The caller's number or address, as the network says it.
    number: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints all that is remembered of a number, as JSON.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn export(args: Export, data_dir: &Path) -> Result<ExitCode, Error> {
    let known = Store::open(data_dir).await?.known(&args.number).await?;
    let text = serde_json::to_string_pretty(&known).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Erases all that is remembered of a number.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn erase(args: Erase, data_dir: &Path) -> Result<ExitCode, Error> {
    let erased = Store::open(data_dir).await?.erase(&args.number).await?;
    let mut out = io::stdout();
    match (args.json, erased) {
        (true, _) => writeln!(out, "{}", json!({ "number": args.number, "erased": erased }))?,
        (false, 0) => writeln!(out, "nothing was remembered of {}", args.number)?,
        (false, _) => writeln!(out, "erased {erased} entries of {}", args.number)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to look in.
    #[error(transparent)]
    Store(#[from] Broken),
    /// It could not be read or erased.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Print(#[from] io::Error),
}
