//! A caller over WebRTC that hears itself: decoded, through the engine's graph, and encoded again.
//!
//! No room, no words, no events: for measuring the way, and for trying a microphone. Each echo has a bridge of
//! its own, with one leg.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::Response;
use media::{
    bridge::{Leg, Plan},
    frame::MOUTH_HZ,
    id::RoomId,
    webrtc::{Sound, State, offer::Offer},
};

use super::not_acceptable;
use crate::{app::App, error::ApiError, webrtc::Entry};

/// Where the ids of echoes begin, which are in the engine only: far above those of rooms.
const FIRST: u64 = 1 << 62;

/// Answers a caller that wants to hear itself, and starts its task.
///
/// # Errors
/// What HTTP says: a place, the offer.
pub(super) async fn begin(app: &App, offer: Offer) -> Result<Response, ApiError> {
    if !(offer.audio.direction.is_receiving() && offer.audio.direction.is_sending()) {
        return Err(not_acceptable("one_way", "an echo goes both ways").hint("offer audio with a=sendrecv"));
    }
    let epoch = app.clock().epoch();
    let (leg, outgoing) = super::leg(offer.audio, epoch)?;
    let sound = Sound { incoming: leg.packets, outgoing: Some(outgoing) };
    let (entry, _, response) = super::answer(app, "/whip/echo".to_owned(), offer, sound).await?;
    let plan = Plan {
        source: Some(Box::new(leg.receive)),
        sink: Some(Box::new(leg.send)),
        hears_itself: true,
        ..Plan::default()
    };
    static ECHOES: AtomicU64 = AtomicU64::new(FIRST);
    let id = RoomId(ECHOES.fetch_add(1, Ordering::Relaxed));
    let bridge = app.sounds().switchboard().bridge(id, epoch, MOUTH_HZ);
    let app = app.clone();
    tokio::spawn(async move { carry(&app, entry, bridge, plan).await });
    Ok(response)
}

/// From the answer to the end.
async fn carry(app: &App, entry: Entry, bridge: media::bridge::Bridge, plan: Plan) {
    let session = &entry.session;
    let mut state = session.peer.state();
    let _ = state.wait_for(|state| *state != State::Connecting).await;
    if state.borrow().is_over() {
        return;
    }
    let leg = match bridge.join(plan).await {
        Ok(leg) => leg,
        Err(error) => {
            tracing::warn!(%error, "an echo could not begin");
            session.peer.close();
            return;
        }
    };
    tokio::select! {
        _ = state.wait_for(|state| state.is_over()) => {}
        () = app.shutdown().cancelled() => {}
        () = forget_events(leg) => {}
    }
    session.peer.close();
    let _ = session.peer.state().wait_for(|state| state.is_over()).await;
}

/// Keeps the leg for as long as the engine does.
async fn forget_events(mut leg: Leg) {
    while leg.events.recv().await.is_some() {}
}
