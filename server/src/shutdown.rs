//! The end of the server: a signal, a drain with a deadline, and a second signal for those in a hurry.
//!
//! On SIGTERM or Ctrl-C nothing new is taken (503 with `Retry-After`; `/readyz` says so), sockets are told to
//! finish, last words become final, rooms give their summary, and whoever reads their events reads it to the
//! end. Connections that are still open after [`GRACE`] are dropped.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;

/// How long sockets may take to finish. The longest window decodes in a few seconds; supervisors commonly kill
/// after thirty.
pub const GRACE: Duration = Duration::from_secs(20);

/// Waits for a signal, then drains `app` and returns; a second signal ends the process at once.
///
/// # Errors
/// When the process cannot listen for signals.
pub async fn on_signal(app: App) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("interrupted: draining; once more ends at once"),
    }
    tokio::select! {
        () = drain(&app) => return Ok(()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("a second signal: ending at once");
    std::process::exit(1);
}

/// Lets nobody in, tells everybody who is in to finish, waits for the last words, and closes the rooms.
pub async fn drain(app: &App) {
    app.admission().drain();
    app.shutdown().cancel();
    if tokio::time::timeout(LAST_WORDS, app.admission().streams_gone()).await.is_err() {
        tracing::warn!(streams = app.admission().streams_taken(), "streams were still open when rooms had to close");
    }
    for room in app.rooms().list() {
        app.rooms().take(room.id());
        room.close().await;
    }
}

/// How long last words may take; the rest of the grace is for summaries and for readers to take them.
const LAST_WORDS: Duration = Duration::from_secs(15);
