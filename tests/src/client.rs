//! A client of the server's own sockets, for tests: JSON in, bytes out, and how the socket was closed; and what the
//! events of a room tell.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http},
};

/// The longest that an event of a room is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// An open WebSocket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Something to read.
    Json(Value),
    /// Something to hear.
    Sound(Bytes),
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code; `None` when the connection just ended.
    pub code: Option<u16>,
    /// What the server gave as its reason.
    pub reason: String,
}

/// An answer that was no WebSocket.
#[derive(Debug)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, as JSON where it is.
    pub body: Value,
}

impl Socket {
    /// Connects, with more headers where a test needs them.
    ///
    /// # Errors
    /// What the server answered instead.
    ///
    /// # Panics
    /// When there is no server.
    pub async fn open(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Refused> {
        let mut request = url.into_client_request().expect("the test's own address");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("the test's own header"));
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let body = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or(Value::Null);
                Err(Refused { status: parts.status.as_u16(), headers: parts.headers, body })
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// The next JSON message, or how the socket was closed.
    ///
    /// # Errors
    /// [`Closed`] when there is no further message.
    ///
    /// # Panics
    /// When a text message is no JSON.
    pub async fn json(&mut self) -> Result<Value, Closed> {
        loop {
            if let Said::Json(json) = self.message().await? {
                return Ok(json);
            }
        }
    }

    /// The next message, or how the socket was closed. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when there is no further message.
    ///
    /// # Panics
    /// When a text message is no JSON.
    pub async fn message(&mut self) -> Result<Said, Closed> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(Said::Json(serde_json::from_str(&text).expect("the server speaks JSON")));
                }
                Some(Ok(Message::Binary(bytes))) => return Ok(Said::Sound(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.as_ref().map(|frame| frame.code.into());
                    return Err(Closed {
                        code,
                        reason: frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Closed { code: None, reason: String::new() }),
            }
        }
    }

    /// Reads until a message of this `type` has come, which is last in the list.
    ///
    /// # Errors
    /// [`Closed`] when the socket ended before.
    pub async fn until(&mut self, kind: &str) -> Result<Vec<Value>, Closed> {
        let mut messages = Vec::new();
        loop {
            let message = self.json().await?;
            let is_it = message["type"] == kind;
            messages.push(message);
            if is_it {
                return Ok(messages);
            }
        }
    }

    /// Reads everything up to the end.
    pub async fn rest(&mut self) -> (Vec<Value>, Closed) {
        let mut messages = Vec::new();
        loop {
            match self.json().await {
                Ok(message) => messages.push(message),
                Err(closed) => return (messages, closed),
            }
        }
    }

    /// Sends audio in pieces of `piece` bytes.
    ///
    /// # Panics
    /// When the server has gone.
    pub async fn audio(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            self.0.send(Message::Binary(Bytes::copy_from_slice(piece))).await.expect("the server reads");
        }
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// When the server has gone.
    pub async fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the server reads");
    }

    /// Sends bytes under the WebSocket's own framing, as a broken client would.
    ///
    /// # Panics
    /// When the server has gone.
    pub async fn raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        self.0.get_mut().write_all(bytes).await.expect("the server reads");
    }

    /// Ends the connection without a word, as a client whose network is gone.
    pub fn vanish(self) {
        drop(self);
    }
}

/// The events of a room, from its first on.
///
/// # Panics
/// When there is no such room.
pub async fn events(ws_url: &str, room: &str) -> Socket {
    let url = format!("{ws_url}/api/rooms/{room}/events?since=0");
    Socket::open(&url, &[]).await.unwrap_or_else(|refused| panic!("{url}: {refused:?}"))
}

/// Those of this `type`.
pub fn of_type<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["type"] == kind)
}

/// Whether the text of an event begins with `text`.
pub fn begins_with(event: &Value, text: &str) -> bool {
    event["text"].as_str().is_some_and(|all| all.starts_with(text))
}

/// Events until one of this `type` has come, which is last.
///
/// # Panics
/// When none comes in time; with those that came.
pub async fn until_told(events: &mut Socket, kind: &str) -> Vec<Value> {
    until(events, kind, |event| event["type"] == kind).await
}

/// Events until an agent was heard to its end who said something that begins with `text`.
///
/// # Panics
/// When that is not said in time; with the events that came.
pub async fn until_spoke(events: &mut Socket, text: &str) -> Vec<Value> {
    until(events, text, |event| event["type"] == "bot.spoke" && begins_with(event, text)).await
}

async fn until(events: &mut Socket, what: &str, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    let coming = async {
        while !seen.last().is_some_and(&is_it) {
            match events.json().await {
                Ok(event) => seen.push(event),
                Err(closed) => panic!("{closed:?} before {what:?}: {seen:?}"),
            }
        }
    };
    let came = timeout(PATIENCE, coming).await.is_ok();
    assert!(came, "{what:?} did not come: {seen:?}");
    seen
}

/// 16-bit little-endian bytes of samples in [-1, 1].
pub fn linear16(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect()
}

/// The samples in [-1, 1] of 16-bit little-endian bytes.
pub fn samples(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<2>().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect()
}
