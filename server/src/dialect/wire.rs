//! The reading half of a dialect's socket: messages of the client, and every way in which they can end.
//!
//! Runs on the connection's task. Control frames are the WebSocket library's business and never count as a sign
//! of life; limits and goodbyes are those of [`crate::socket`].

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::time::{Instant, timeout_at};

use crate::socket;

/// The writing half of a dialect's socket.
pub type Writer = SplitSink<WebSocket, Message>;

/// What the client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(Utf8Bytes),
    /// Nothing more will come.
    Ended(Ended),
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client closed, or vanished.
    Gone,
    /// The client sent nothing for too long.
    Idle,
    /// The client sent what no server can read: the close code and reason for it.
    Unreadable(u16, &'static str),
}

/// The reading half of a dialect's socket.
pub struct Reader {
    socket: SplitStream<WebSocket>,
    idle_after: Duration,
}

/// Takes a socket apart. A client that sends neither text nor binary for `idle_after` has ended.
pub fn split(socket: WebSocket, idle_after: Duration) -> (Writer, Reader) {
    let (writer, socket) = socket.split();
    (writer, Reader { socket, idle_after })
}

/// Puts a socket together again and closes it, waiting shortly for the client to do the same.
pub async fn close(writer: Writer, reader: Reader, code: u16, reason: &str) {
    let socket = writer.reunite(reader.socket).expect("both halves come from one split");
    socket::close(socket, code, reason).await;
}

impl Reader {
    /// The next message.
    pub async fn next(&mut self) -> Incoming {
        let deadline = Instant::now() + self.idle_after;
        loop {
            let message = match timeout_at(deadline, self.socket.next()).await {
                Err(_) => return Incoming::Ended(Ended::Idle),
                Ok(None) => return Incoming::Ended(Ended::Gone),
                Ok(Some(message)) => message,
            };
            match message {
                Ok(Message::Binary(bytes)) => return Incoming::Binary(bytes),
                Ok(Message::Text(text)) => return Incoming::Text(text),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) => return Incoming::Ended(Ended::Gone),
                Err(error) => {
                    let ended =
                        socket::refusal(&error).map_or(Ended::Gone, |(code, reason)| Ended::Unreadable(code, reason));
                    return Incoming::Ended(ended);
                }
            }
        }
    }
}
