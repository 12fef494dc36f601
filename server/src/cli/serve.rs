//! `harmony serve`: loads the recognizer, listens, says where to look, and drains when told to stop.
//!
//! Without a model it serves all the same and says which command brings one; with a broken one it refuses to
//! start. Without a key it listens on loopback only.

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use asr::pool::Ears;
use tokio::net::TcpListener;

use super::NoDataDir;
use crate::{
    app::{self, App},
    auth::keys::{self, KeyRing},
    config::Config,
    engine::{self, NoEars},
    listen,
    phone::{self, SharedPhones},
    recording::{self, Recordings},
    reminders,
    shutdown::{self, Signals},
    store::Store,
    telemetry,
};

/// Arguments of `harmony serve`; everything else is in the configuration.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model files are wrong; see the text.
    #[error(transparent)]
    Engine(#[from] engine::Broken),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// There is no folder for data.
    #[error(transparent)]
    Data(#[from] NoDataDir),
    /// Anybody in the network could use the server.
    #[error(
        "refusing to listen on {address} without an API key, since anybody who reaches it could listen in; \
         create one with `harmony keys create`, or set {key} to 127.0.0.1"
    )]
    Open {
        /// Where.
        address: SocketAddr,
        /// What sets it.
        key: &'static str,
    },
    /// Every listener is switched off.
    #[error("nothing to serve: http.port is 0, which switches the only listener off")]
    NothingToServe,
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source} (http.host and http.port set the address)")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The machine lacks something; see the text.
    #[error(transparent)]
    App(#[from] app::Broken),
    /// Recordings cannot be kept; see the text.
    #[error(transparent)]
    Recordings(#[from] recording::Broken),
    /// The process could not be ended in good order.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The telephone cannot listen; see the text.
    #[error(transparent)]
    Phone(#[from] phone::NoPhone),
    /// The loading thread broke.
    #[error("what is loaded at the start could not be: {0}")]
    Loading(#[from] tokio::task::JoinError),
}

/// Serves until a signal has been taken and the server has drained.
///
/// # Errors
/// [`Error`]; nothing was served then.
pub async fn run(_args: Args, config: Config) -> Result<ExitCode, Error> {
    telemetry::log_to_stderr(&config.log);
    let address = config.http_address().ok_or(Error::NothingToServe)?;
    let keys = KeyRing::load(&super::data_dir(&config)?, &config.auth.keys)?;
    if keys.is_empty()
        && let Some((address, key)) = config.addresses().find(|(address, _)| !address.ip().is_loopback())
    {
        return Err(Error::Open { address, key });
    }
    // Bound before the model is loaded: a port that is taken is told at once.
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
    let loading = config.clone();
    let ears = tokio::task::spawn_blocking(move || engine::start(&loading)).await??;
    let keeping = config.clone();
    let recordings = tokio::task::spawn_blocking(move || Recordings::open(&keeping)).await??;
    let signals = Signals::catch().map_err(Error::Signals)?;
    // Voices are loaded here, and whoever waits for the first line shall not be told too early.
    let app = tokio::task::spawn_blocking(move || App::new(config, ears, keys)).await??;
    announce(std::io::stdout(), address, app.ears());
    app.keep(recordings);
    match Store::open(&super::data_dir(app.config())?).await {
        Ok(store) => app.remember_in(store),
        // Calls are taken all the same.
        Err(error) => tracing::error!(%error, "callers are not remembered, and reminders are refused"),
    }
    if app.config().data.record_inputs {
        let inputs = super::data_dir(app.config())?.join("inputs");
        tracing::warn!(folder = %inputs.display(), "everything that rooms take in is recorded, voices included");
        app.rooms().record_inputs(inputs);
    }
    if let Some(phones) = phone::start(&app).await? {
        announce_phone(std::io::stdout(), &phones);
        app.connect(phones);
    }
    let draining = tokio::spawn(signals.drain(app.clone()));
    let tidying = tokio::spawn(tidy(app.clone()));
    let reminding = tokio::spawn(reminders::watch(app.clone()));
    let router = app::router(app.clone());
    listen::serve(listener, router, app.admission(), app.shutdown().clone(), shutdown::GRACE).await;
    // Rooms may still be closing when the last connection has gone; what takes longer than the grace is left.
    let _ = tokio::time::timeout(shutdown::GRACE, draining).await;
    tidying.abort();
    // One that is being told is noted, so that it is not told again at the next start.
    let _ = tokio::time::timeout(shutdown::GRACE, reminding).await;
    // What takes longer than this has whole blocks up to its last second.
    let _ = tokio::task::spawn_blocking(|| media::journal::finish(JOURNALS_GRACE)).await;
    tracing::info!("drained; goodbye");
    Ok(ExitCode::SUCCESS)
}

/// How long the journals of closed rooms may take to reach their end: they write once a second.
const JOURNALS_GRACE: Duration = Duration::from_secs(3);

/// Says on stdout where to look. Programs read the first line, and may close their end after it: that is no reason to
/// end.
fn announce(mut stdout: impl Write, address: SocketAddr, ears: Result<&Ears, NoEars>) {
    let heard = match ears {
        Ok(ears) => {
            let info = ears.info();
            format!("{} ({}), languages: {}", info.engine, info.model, languages(&info.languages))
        }
        Err(missing) => format!("none: {missing}"),
    };
    let _ = writeln!(
        stdout,
        "console:   http://{address}/\n\
         live:      websocat -b 'ws://{address}/v1/listen?encoding=linear16&sample_rate=16000' < speech.raw\n\
         file:      curl -F file=@speech.wav -F model=whisper-1 http://{address}/v1/audio/transcriptions\n\
         engine:    {heard}"
    );
}

/// Says on stdout where to call.
fn announce_phone(mut stdout: impl Write, phones: &SharedPhones) {
    for (name, address) in phones.addresses() {
        let _ = writeln!(stdout, "telephone: sip:echo@{address} ({name}); also agent, ivr, scribe, ring");
    }
}

fn languages(codes: &[String]) -> String {
    match codes.len() {
        0..=8 => codes.join(", "),
        count => format!("{} and {} more", codes[..4].join(", "), count - 4),
    }
}

async fn tidy(app: App) {
    let mut every = tokio::time::interval(telemetry::TIDY_EVERY);
    loop {
        every.tick().await;
        app.metrics().tidy();
    }
}
