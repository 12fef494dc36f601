//! How a session reaches its client: over a socket, or over the data channel of a peer whose sound has a track.
//!
//! Runs on the session's task. A client that takes nothing is gone: of a socket its own limit says so, after 30 s; of a
//! channel this does, after 10 s and behind the 64 texts that its peer keeps. Once it is gone, nothing is told to it any more.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use crate::{dialect::deepgram::client::Client, webrtc};

/// The longest that a channel may take nothing.
const TELL_WITHIN: Duration = Duration::from_secs(10);

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
    is_gone: bool,
}

impl Carrier {
    /// A peer's channel, which may still have to open.
    pub(super) fn channel(session: Arc<webrtc::Session>) -> Self {
        Self::Channel(Channel { session, is_gone: false })
    }

    /// Whether the client cannot be reached any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Socket(client) => client.is_gone(),
            Self::Channel(channel) => channel.is_gone,
        }
    }

    /// Tells the client something.
    pub(super) async fn tell(&mut self, event: &Value) {
        match self {
            Self::Socket(client) => client.tell(event).await,
            Self::Channel(channel) => {
                if !channel.is_gone {
                    let told = timeout(TELL_WITHIN, channel.session.peer.tell(event.to_string())).await;
                    channel.is_gone = !matches!(told, Ok(Ok(())));
                }
            }
        }
    }
}
