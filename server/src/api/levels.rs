//! `/api/rooms/{id}/levels`: how loud everybody is, five times a second, as server-sent events.
//!
//! For meters: a value that a client misses is replaced by the next, and nothing is kept.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_util::stream;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::RoomOf;
use crate::app::App;

/// Often enough for a meter to look alive.
const EVERY: Duration = Duration::from_millis(200);

/// What silence reads as: JSON knows no infinity.
const SILENCE_DBFS: f32 = -90.0;

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/api/rooms/{id}/levels", get(follow))
}

async fn follow(State(app): State<App>, RoomOf(room): RoomOf) -> Response {
    let sound = app.sound(&room);
    let shutdown = app.shutdown().clone();
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let levels = stream::unfold(every, move |mut every| {
        let (room, sound, shutdown) = (room.clone(), sound.clone(), shutdown.clone());
        async move {
            tokio::select! {
                _ = every.tick() => {}
                () = room.closed() => return None,
                () = shutdown.cancelled() => return None,
            }
            let levels: BTreeMap<String, f32> = sound
                .members()
                .iter()
                .map(|member| (member.participant.to_string(), rounded(member.levels.borrow().rms_dbfs)))
                .collect();
            let data = json!({ "levels": levels }).to_string();
            Some((Ok::<_, Infallible>(Event::default().event("levels").data(data)), every))
        }
    });
    let mut response = Sse::new(levels).into_response();
    // A proxy that collects the answer first would show a meter that stands still.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// Tenths of a dB: finer is noise to a meter.
fn rounded(dbfs: f32) -> f32 {
    (dbfs.max(SILENCE_DBFS) * 10.0).round() / 10.0
}
