//! The end of the server: a signal, a drain with a deadline, and a second signal for those in a hurry.
//!
//! On SIGTERM or Ctrl-C nothing new is taken (503 with `Retry-After`; `/readyz` says so), sockets are told to
//! finish, last words become final and are sent, rooms give their summary, and the process ends. Connections
//! that are still open after [`GRACE`] are dropped.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;

/// How long sockets may take to finish. The longest window decodes in a few seconds; supervisors commonly kill
/// after thirty.
pub const GRACE: Duration = Duration::from_secs(20);

/// Waits for a signal, then begins to drain `app`; a second signal ends the process at once.
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
    begin(&app);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("a second signal: ending at once");
    std::process::exit(1);
}

/// Begins to drain: nobody gets in, everybody who is in is told to finish.
pub fn begin(app: &App) {
    app.admission().drain();
    app.shutdown().cancel();
}

/// Closes every room, so that summaries are given and readers come to their end.
pub async fn close_rooms(app: &App) {
    for room in app.rooms().list() {
        app.rooms().take(room.id());
        room.close().await;
    }
}
