//! A session over WebRTC: its sound goes over tracks, its events over the data channel.
//!
//! One task a call, from the answer to the end. The client comes into its room when it is connected, since what it says is
//! heard from then on; its channel may open a moment later. It ends with the connection, with the conversation, or with the
//! server; whoever is sent away is told why first. Others may join by [`super::sideband`], and never keep it alive. Never
//! real time: the sound passes between the peer and a leg.

use std::time::Duration;

use bot::actor::RoomHandle;
use media::webrtc::State;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    carrier::Carrier,
    reading::{End, Order, read_texts},
    session::{Refused, Session},
    sideband::Joinable,
    talk::{self, Lines, ORDERS_MAX, Talk, begin, refuse, tell},
};
use crate::{app::App, webrtc::Entry};

/// How long a goodbye may take to be sent and read.
const FAREWELL: Duration = Duration::from_secs(2);

/// A session that was asked for.
pub(super) struct Asked {
    pub(super) session: Session,
    /// What is in all its names.
    pub(super) tag: String,
    /// What of the wish has no effect.
    pub(super) idle: Vec<Refused>,
    /// The longest text that its channel carries.
    pub(super) text_bytes_max: usize,
}

/// What a caller says: its texts, the orders that come of them, and where orders go, of others, too, who join.
struct Wire {
    texts: mpsc::Receiver<String>,
    orders: mpsc::Sender<Order>,
    ordered: mpsc::Receiver<Order>,
    _joinable: Joinable,
}

/// Serves a caller that was answered until it goes. Others may join from when this returns, and wait for the caller.
pub(super) fn run(
    app: App,
    room: RoomHandle,
    entry: Entry,
    texts: mpsc::Receiver<String>,
    lines: Lines,
    asked: Asked,
) -> impl Future<Output = ()> {
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let joinable = app.realtime_calls().open(entry.name.clone(), &orders);
    serve(app, room, entry, Wire { texts, orders, ordered, _joinable: joinable }, lines, asked)
}

async fn serve(
    app: App,
    room: RoomHandle,
    entry: Entry,
    Wire { texts, orders, ordered, _joinable }: Wire,
    lines: Lines,
    Asked { session, tag, idle, text_bytes_max }: Asked,
) {
    let caller = entry.session.clone();
    let mut state = caller.peer.state();
    // An error means that the peer's task is gone, which its last state says too.
    let _ = state.wait_for(|state| *state != State::Connecting).await;
    if state.borrow().is_over() {
        tracing::info!(state = ?*state.borrow(), "a caller of the realtime dialect never came");
        room.close().await;
        return;
    }
    tracing::info!(room = %room.id(), "a caller of the realtime dialect came");
    let farewell = format!("event_{tag}bye");
    let mut client = Carrier::channel(caller.clone(), text_bytes_max);
    let mut story = talk::open(&app, session, tag);
    idle.iter().for_each(|idle| story.refuse(None, idle));
    tell(&mut story, &mut client).await;
    let end = match begin(&app, &room, story.session.clone(), story.persona(), lines).await {
        Ok(entered) => {
            let talk = Talk::new(room.clone(), entered, story);
            let over = CancellationToken::new();
            let reading = over.run_until_cancelled(read_texts(texts, orders));
            let writing = async {
                let end = talk.hold(&app, &mut client, ordered).await;
                over.cancel();
                end
            };
            let (came, went) = tokio::join!(reading, writing);
            room.close().await;
            came.unwrap_or(went)
        }
        Err(error) => {
            refuse(&mut story, &mut client, &error, None).await;
            End::Refused
        }
    };
    if !matches!(end, End::Gone) {
        let (_, why) = end.goodbye();
        if !(why.is_empty() || matches!(end, End::Refused)) {
            let error = json!({"type": "server_error", "code": "session_ended", "message": why});
            client.tell(&json!({"type": "error", "event_id": farewell, "error": error})).await;
        }
        // What a connection that is closed had not sent yet is lost.
        let _ = timeout(FAREWELL, state.wait_for(|state| state.is_over())).await;
    }
    // Over already where the caller went by itself.
    caller.peer.close();
    let _ = state.wait_for(|state| state.is_over()).await;
    tracing::info!(room = %room.id(), ?end, state = ?*state.borrow(), "a caller of the realtime dialect left");
}
