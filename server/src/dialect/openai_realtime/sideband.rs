//! A second client of a call: `WS /v1/realtime?call_id=…`, a server's own socket beside the caller's data channel.
//!
//! It reads the events of the call from when it joins, and may send all that the caller may but sound, which has its
//! track. What it says waits in the queue of the caller's own orders, and behind that it waits itself. A socket that
//! reads too slowly is closed, and the call goes on; where the call ends, it is closed, too. One task a socket. A call is
//! joined by its secret name, of which [`Calls`] knows those that are connected. Source: openai-python,
//! `resources/realtime/realtime.py`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::extract::ws::{WebSocket, close_code};
use serde_json::Value;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc, oneshot,
};

use super::{
    command::{Command, Said},
    reading::{End, Heard, Order, Sent, hear},
    session::Refused,
};
use crate::{
    app::App,
    dialect::{deepgram::client::Client, wire},
};

/// Whoever steers a call may be silent for as long as callers talk.
const IDLE_AFTER: Duration = Duration::from_secs(4 * 3_600);

/// All calls that can be joined, by their names.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<String, mpsc::WeakSender<Order>>>>);

/// A call that can be joined until this is dropped.
pub(super) struct Joinable {
    calls: Calls,
    name: String,
}

/// What somebody who joins is told: the session as it is, and whatever comes from then on.
pub(super) type Joined = (Value, broadcast::Receiver<Arc<Value>>);

impl Calls {
    /// Lets others join the call of this name, whose orders go there.
    pub(super) fn open(&self, name: String, orders: &mpsc::Sender<Order>) -> Joinable {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), orders.downgrade());
        Joinable { calls: self.clone(), name }
    }

    /// Where the orders for this call go; `None` where there is no such call, or it is over.
    pub(super) fn orders(&self, name: &str) -> Option<mpsc::WeakSender<Order>> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(name).filter(|orders| orders.upgrade().is_some()).cloned()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls(…)")
    }
}

impl Drop for Joinable {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// Serves a socket that joins a call until it goes, or the call ends.
pub(super) async fn run(app: App, socket: WebSocket, call: mpsc::WeakSender<Order>) {
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let mut client = Client::new(writer);
    // The caller may take long to connect, which a server that goes down does not wait for.
    let joined = tokio::select! {
        biased;
        () = app.shutdown().cancelled() => Err(End::Draining),
        joined = join(&call) => joined.ok_or(End::Over),
    };
    let (code, reason) = match joined {
        Ok((session, mut events)) => {
            client.tell(&session).await;
            let mut garbage = 0;
            loop {
                if client.is_gone() {
                    break End::Gone.goodbye();
                }
                // Cancel-safe: either arm hands out what it has once.
                let heard = tokio::select! {
                    biased;
                    () = app.shutdown().cancelled() => break End::Draining.goodbye(),
                    event = events.recv() => match event {
                        Ok(event) => {
                            client.tell(&*event).await;
                            continue;
                        }
                        Err(RecvError::Closed) => break End::Over.goodbye(),
                        Err(RecvError::Lagged(_)) => break (close_code::POLICY, "the events of the call were not read"),
                    },
                    incoming = reader.next() => hear(incoming, &mut garbage),
                };
                let order = match heard {
                    Heard::Said(said) => order(said),
                    Heard::Wrong(event_id, refused) => Order::Wrong(event_id, refused),
                    Heard::Ended(end) => break end.goodbye(),
                };
                // Held only while it waits: the call must not live for its guests.
                let sent = match call.upgrade() {
                    Some(orders) => orders.send(order).await.is_ok(),
                    None => false,
                };
                if !sent {
                    break End::Over.goodbye();
                }
            }
        }
        Err(end) => end.goodbye(),
    };
    wire::close(client.into_writer(), reader, code, reason).await;
}

async fn join(call: &mpsc::WeakSender<Order>) -> Option<Joined> {
    let (reply, joined) = oneshot::channel();
    call.upgrade()?.send(Order::Join(reply)).await.ok()?;
    joined.await.ok()
}

/// What a guest says, as an order; sound is the caller's.
fn order(said: Said) -> Order {
    match said.command {
        Command::Append { .. } | Command::Commit {} | Command::Clear {} => {
            let why =
                "the sound of a call is its caller's: input_audio_buffer events come over its data channel".to_owned();
            Order::Wrong(said.event_id, Refused { code: "unsupported_event", param: "type".to_owned(), why })
        }
        // Only calls are joined, and their sound is on a track.
        Command::Update { .. } => Order::Update(said, Sent::Track),
        _ => Order::Said(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said::read(text).map_err(|(_, refused)| refused).unwrap()
    }

    #[test]
    fn a_call_is_joined_by_its_name_while_it_lasts() {
        let calls = Calls::default();
        let (orders, _ordered) = mpsc::channel(1);
        let joinable = calls.open("a".to_owned(), &orders);
        assert!(calls.orders("a").is_some() && calls.orders("b").is_none());
        let guest = calls.orders("a").unwrap();
        drop(joinable);
        assert!(calls.orders("a").is_none());
        drop(orders);
        assert!(guest.upgrade().is_none(), "a guest keeps no call alive");
    }

    #[tokio::test]
    async fn whoever_joins_is_told_the_session_and_what_comes_then() {
        let (orders, mut ordered) = mpsc::channel(1);
        let call = orders.downgrade();
        let (tell, _) = broadcast::channel(1);
        let answering = async {
            let Some(Order::Join(reply)) = ordered.recv().await else { panic!("somebody joins") };
            assert!(reply.send((serde_json::json!({"type": "session.created"}), tell.subscribe())).is_ok());
        };
        let (joined, ()) = tokio::join!(join(&call), answering);
        let (session, mut events) = joined.unwrap();
        assert_eq!(session["type"], "session.created");
        tell.send(Arc::new(serde_json::json!({"type": "response.done"}))).unwrap();
        assert_eq!(events.recv().await.unwrap()["type"], "response.done");
        drop(orders);
        assert!(join(&call).await.is_none(), "the call is over");
    }

    #[test]
    fn guests_steer_a_call_and_do_not_speak_in_it() {
        assert!(matches!(order(said(r#"{"type": "response.create"}"#)), Order::Said(_)));
        let update = r#"{"type": "session.update", "session": {}}"#;
        assert!(matches!(order(said(update)), Order::Update(_, Sent::Track)));
        for text in [
            r#"{"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e1"}"#,
            r#"{"type": "input_audio_buffer.commit", "event_id": "e1"}"#,
            r#"{"type": "input_audio_buffer.clear", "event_id": "e1"}"#,
        ] {
            let Order::Wrong(Some(named), refused) = order(said(text)) else { panic!("{text} is fine") };
            assert_eq!((named.as_str(), refused.code), ("e1", "unsupported_event"), "{text}");
        }
    }
}
