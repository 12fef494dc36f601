//! `load`: calls whoever echoes PCMU sample for sample, and prints what the callers found.
//!
//! The same generator as that of `harmony bench`, for a server on another machine, or another server. One call for
//! each address; the other end must echo sound, as an echo application of any telephone system does.
//!
//!     load [--seconds S] HOST:PORT...

#![expect(clippy::print_stderr, reason = "a tool says what is wrong")]
#![expect(clippy::print_stdout, reason = "a tool prints its figures")]

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use server::{
    bench::generate::{Load, run},
    clock::Clock,
};

/// How the calls are used before anything counts: jitter buffers settle.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let load = match read(std::env::args().skip(1)) {
        Ok(load) => load,
        Err(why) => {
            eprintln!("load: {why}\nusage: load [--seconds S] HOST:PORT...");
            return ExitCode::from(2);
        }
    };
    match run(&load, Clock, |stage| eprintln!("{stage:?}")) {
        Ok(figures) => {
            println!("{}", serde_json::to_string_pretty(&figures).expect("numbers always serialize"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: the calls cannot be made: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Load, String> {
    let (mut targets, mut seconds) = (Vec::new(), 20);
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let value = arguments.next().unwrap_or_default();
            seconds =
                value.parse().ok().filter(|s| *s > 0).ok_or_else(|| format!("{value:?} is no number of seconds"))?;
        } else {
            let target: SocketAddr = argument.parse().map_err(|_| format!("{argument:?} is no address with a port"))?;
            targets.push(target);
        }
    }
    if targets.is_empty() {
        return Err("nobody to call".to_owned());
    }
    Ok(Load { targets, warm_up: WARM_UP, measured: Duration::from_secs(seconds) })
}
