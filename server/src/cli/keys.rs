//! `harmony keys`: makes, lists and takes back the keys that open this server.
//!
//! A thin shell over [`crate::auth::keys::KeyFile`]: it reads the clock, prints, and shows a new key the one
//! time that it can be shown. A running server notices within a second.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Subcommand;
use serde_json::json;

use crate::auth::keys::{self, KeyFile};

/// `harmony keys …`
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a key and show it, once.
    Create {
        /// Whose key it is, for lists and logs.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the keys (never the keys themselves).
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a key back.
    Revoke {
        /// Its id, as `harmony keys list` shows it.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command on the keys in `data_dir`.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub fn run(command: Command, data_dir: &Path) -> Result<ExitCode, Error> {
    let file = KeyFile::at(data_dir);
    let mut out = io::stdout().lock();
    match command {
        Command::Create { name, json } => {
            let (stored, key) = file.create(&name, jiff::Timestamp::now())?;
            let key = key.reveal();
            if json {
                let value = json!({ "id": stored.id, "name": stored.name, "created": stored.created, "key": key });
                writeln!(out, "{value}")?;
            } else {
                writeln!(out, "{key}")?;
                writeln!(io::stderr(), "{} for {}: keep it now, it is not shown again", stored.id, stored.name)?;
            }
        }
        Command::List { json } => {
            let keys = file.read()?;
            if json {
                let row = |key: &keys::StoredKey| json!({ "id": key.id, "name": key.name, "created": key.created });
                writeln!(out, "{}", json!({ "keys": keys.iter().map(row).collect::<Vec<_>>() }))?;
            } else if keys.is_empty() {
                writeln!(out, "no keys; `harmony keys create` makes one")?;
            } else {
                writeln!(out, "{:<16}{:<24}CREATED", "ID", "NAME")?;
                for key in keys {
                    writeln!(out, "{:<16}{:<24}{:.0}", key.id, key.name, key.created)?;
                }
            }
        }
        Command::Revoke { id, json } => {
            let revoked = file.revoke(&id)?;
            if json {
                writeln!(out, "{}", json!({ "id": revoked.id, "name": revoked.name, "revoked": true }))?;
            } else {
                writeln!(out, "{} ({}) opens nothing any more", revoked.id, revoked.name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keys cannot be read or kept.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Print(#[from] io::Error),
}
