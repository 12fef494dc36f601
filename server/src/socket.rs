//! What every WebSocket of the server shares: how large a message may be, how one that is larger ends, and how
//! long a client may leave its end unread.
//!
//! Used by the room sockets and by every dialect. A message over the limit, or bytes that are no WebSocket,
//! end the socket with the close code that says so; nothing a client sends can make a buffer grow further.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};

/// Largest message taken. A second of 48 kHz stereo in 32-bit floats is 384 kB; 1 MiB leaves room for slow
/// senders of big pieces, and bounds what one connection can make the server hold.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A client that leaves its socket unread for this long is gone: its kernel and ours are full of what it did
/// not read. Half a minute outlasts a phone that changes its network.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A body or a socket of which nothing at all arrives for this long has been left; a minute outlasts every
/// pause of a living sender. The room sockets follow `limits.idle_s`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The upgrade with the limits above.
pub fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX)
}

/// The client's end cannot be written to any more: it has gone, or reads nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// Sends one message, waiting at most [`WRITE_TIMEOUT`].
///
/// # Errors
/// [`Gone`]: end the socket.
pub async fn send(socket: &mut (impl futures_util::Sink<Message> + Unpin), message: Message) -> Result<(), Gone> {
    use futures_util::SinkExt as _;
    match tokio::time::timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}

/// Says goodbye with `code` and `reason` (at most 123 bytes are sent), and waits shortly for the client to
/// answer in kind, so that the last words are not lost with the connection.
pub async fn close(mut socket: WebSocket, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let frame = CloseFrame { code, reason: reason.into() };
    if send(&mut socket, Message::Close(Some(frame))).await.is_err() {
        return;
    }
    let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
    // Whether the client answered or not, the socket ends here.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, answered).await;
}

/// The close code and reason for a message that could not be read; `None` when the connection itself is gone.
pub fn refusal(error: &axum::Error) -> Option<(u16, &'static str)> {
    use std::error::Error as _;
    use tungstenite::Error as Wire;
    let wire = error.source().and_then(|source| source.downcast_ref::<Wire>());
    match wire? {
        Wire::Capacity(_) => Some((close_code::SIZE, "a message may hold at most 1048576 bytes")),
        Wire::Utf8(_) => Some((close_code::INVALID, "a text message must be UTF-8")),
        Wire::Protocol(_) => Some((close_code::PROTOCOL, "that is not the WebSocket protocol")),
        _ => None,
    }
}

/// A close frame holds 125 bytes, two of which are the code.
const REASON_BYTES_MAX: usize = 123;

/// A living client answers a close within a round trip.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
