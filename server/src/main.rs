//! The `harmony` command: parses the arguments, runs the command, and says in one line what went wrong.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    server::cli::run(server::cli::Cli::parse()).await
}
