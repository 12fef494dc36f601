//! The end of the server: a signal, a drain with a deadline, and a second signal for those in a hurry.
//!
//! On SIGTERM or Ctrl-C nothing new is taken (503 with `Retry-After`; `/readyz` says so), sockets are told to
//! finish, last words become final, rooms give their summary, and whoever reads their events reads it to the
//! end. Connections that are still open after [`GRACE`] are dropped.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{app::App, recording};

/// How long sockets may take to finish. The longest window decodes in a few seconds; supervisors commonly kill
/// after thirty.
pub const GRACE: Duration = Duration::from_secs(20);

/// The signals that end the server. Caught from [`Signals::catch`] on, so catch them before saying that the
/// server is there: a supervisor may be quick.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the process cannot listen for signals.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one, then drains `app` and returns; a second ends the process at once.
    pub async fn drain(mut self, app: App) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = self.interrupt.recv() => tracing::info!("interrupted: draining; once more ends at once"),
        }
        tokio::select! {
            () = drain(&app) => return,
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::warn!("a second signal: ending at once");
        std::process::exit(1);
    }
}

/// Lets nobody in, tells everybody who is in to finish, waits for the last words, and closes the rooms.
pub async fn drain(app: &App) {
    app.admission().drain();
    if let Ok(phones) = app.phones() {
        // A proxy in front sends new calls elsewhere from now on.
        phones.exchange().drain().await;
    }
    app.shutdown().cancel();
    if tokio::time::timeout(LAST_WORDS, app.admission().streams_gone()).await.is_err() {
        tracing::warn!(streams = app.admission().streams_taken(), "streams were still open when rooms had to close");
    }
    for room in app.rooms().list() {
        recording::end_with(app, room.id()).await;
        app.rooms().take(room.id());
        room.close().await;
    }
    recording::all_ended(app).await;
    app.agents().close().await;
    if let Ok(phones) = app.phones() {
        // A registrar that was not told would send calls to nobody for as long as it was promised.
        phones.trunks_left().await;
    }
}

/// How long last words may take; the rest of the grace is for summaries and for readers to take them.
const LAST_WORDS: Duration = Duration::from_secs(15);
