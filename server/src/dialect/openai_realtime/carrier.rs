//! How a session reaches its client: over a socket, or over the data channel of a peer whose sound has a track.
//!
//! Runs on the session's task. A client that takes nothing is gone: of a socket its own limit says so, after 30 s; of a
//! channel this does, after 10 s and behind the 64 texts that its peer keeps. Once it is gone, nothing is told to it any
//! more. Whoever joined a call reads what its channel is told from a queue of 256 events, and is left behind where that is
//! full. What is larger than a channel carries is told smaller, and that it is.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::broadcast, time::timeout};

use crate::{dialect::deepgram::client::Client, webrtc};

/// The longest that a channel may take nothing.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// Events that wait for one who joined a call; one that is further behind reads nothing.
const EVENTS_MAX: usize = 256;

/// The way to a client.
pub(super) enum Carrier {
    /// A socket.
    Socket(Client),
    /// A data channel.
    Channel(Channel),
}

/// The data channel of a peer.
pub(super) struct Channel {
    session: Arc<webrtc::Session>,
    text_bytes_max: usize,
    joined: broadcast::Sender<Arc<Value>>,
    is_gone: bool,
}

impl Carrier {
    /// A peer's channel, which may still have to open, and carries texts of so many bytes.
    pub(super) fn channel(session: Arc<webrtc::Session>, text_bytes_max: usize) -> Self {
        let (joined, _) = broadcast::channel(EVENTS_MAX);
        Self::Channel(Channel { session, text_bytes_max, joined, is_gone: false })
    }

    /// Whether the client cannot be reached any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Socket(client) => client.is_gone(),
            Self::Channel(channel) => channel.is_gone,
        }
    }

    /// What the client is told from now on, for somebody else who reads it, too; nobody reads along with a socket.
    pub(super) fn read_along(&self) -> Option<broadcast::Receiver<Arc<Value>>> {
        match self {
            Self::Socket(_) => None,
            Self::Channel(channel) => Some(channel.joined.subscribe()),
        }
    }

    /// Tells the client something.
    pub(super) async fn tell(&mut self, event: &Value) {
        match self {
            Self::Socket(client) => client.tell(event).await,
            Self::Channel(channel) => channel.tell(event).await,
        }
    }
}

impl Channel {
    async fn tell(&mut self, event: &Value) {
        if self.joined.receiver_count() > 0 {
            // An error means that nobody reads along any more.
            let _ = self.joined.send(Arc::new(event.clone()));
        }
        for text in fitting(event, self.text_bytes_max) {
            if self.is_gone {
                return;
            }
            let told = timeout(TELL_WITHIN, self.session.peer.tell(text)).await;
            self.is_gone = !matches!(told, Ok(Ok(())));
        }
    }
}

/// An event as texts of at most so many bytes. One that is larger loses what makes it large where that is the session's
/// own description, which its client has written itself, and else is left out; an error says so.
fn fitting(event: &Value, bytes_max: usize) -> Vec<String> {
    let text = event.to_string();
    if text.len() <= bytes_max {
        return vec![text];
    }
    let mut event = event.clone();
    let mut lost = Vec::new();
    if let Some(session) = event.get_mut("session").and_then(Value::as_object_mut) {
        for (name, without) in [("tools", json!([])), ("instructions", json!(""))] {
            if let Some(value) = session.get_mut(name) {
                *value = without;
                lost.push(name);
            }
        }
    }
    let smaller = Some(event.to_string()).filter(|smaller| !lost.is_empty() && smaller.len() <= bytes_max);
    let kind = event["type"].as_str().unwrap_or_default();
    let without = match &smaller {
        Some(_) => format!("is told without {}, which are set all the same", lost.join(" and ")),
        None => "is not told".to_owned(),
    };
    let why = format!("{kind} has {} bytes, and this data channel carries {bytes_max}: it {without}", text.len());
    let error = json!({
        "type": "error", "event_id": format!("{}large", event["event_id"].as_str().unwrap_or_default()),
        "error": {
            "type": "server_error", "code": "event_too_large", "message": why, "param": null, "event_id": null,
        },
    });
    let error = Some(error.to_string()).filter(|error| error.len() <= bytes_max);
    smaller.into_iter().chain(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[String]) -> Vec<Value> {
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn what_fits_is_told_as_it_is() {
        let event = json!({"type": "session.updated", "event_id": "event_1", "session": {"instructions": "Be brief."}});
        assert_eq!(read(&fitting(&event, event.to_string().len())), [event]);
    }

    #[test]
    fn a_session_that_is_too_large_for_a_channel_is_told_without_what_makes_it_large() {
        let instructions = "ä".repeat(50_000);
        let session =
            json!({"type": "realtime", "instructions": instructions, "tools": [{"name": "stock"}], "model": "m"});
        let told = fitting(&json!({"type": "session.updated", "event_id": "event_1", "session": session}), 65_536);
        assert!(told.iter().all(|text| text.len() <= 65_536));
        let told = read(&told);
        assert_eq!(told[0]["session"], json!({"type": "realtime", "instructions": "", "tools": [], "model": "m"}));
        assert_eq!((&told[1]["type"], &told[1]["error"]["code"]), (&json!("error"), &json!("event_too_large")));
        assert_ne!(told[0]["event_id"], told[1]["event_id"]);
        let why = told[1]["error"]["message"].as_str().unwrap();
        assert!(why.contains("session.updated") && why.contains("without tools and instructions"), "{why}");
    }

    #[test]
    fn what_stays_too_large_is_left_out_and_that_is_said_as_far_as_it_fits() {
        let event = json!({"type": "conversation.item.retrieved", "item": "x".repeat(70_000)});
        let told = read(&fitting(&event, 65_536));
        assert!(told.len() == 1 && told[0]["type"] == "error", "{told:?}");
        assert!(told[0]["error"]["message"].as_str().unwrap().ends_with("is not told"));
        assert!(fitting(&event, 10).is_empty());
    }
}
