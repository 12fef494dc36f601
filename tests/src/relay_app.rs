//! Somebody's application of words, for tests: the WebSocket server that `ConversationRelay` dials.
//!
//! Every call is handed to the test, with the address that was asked for and its proof; what the test says goes to the
//! caller's ear. It ends with the test's runtime. Every wait has a deadline.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, tungstenite::Message};

/// The longest that a call or a message is waited for: somebody has to speak before there is one.
const PATIENCE: Duration = Duration::from_secs(40);

/// Calls that wait for the test; a test has one or two.
const CALLS_MAX: usize = 16;

/// A running application.
pub struct RelayApp {
    address: SocketAddr,
    calls: mpsc::Receiver<RelayCall>,
}

/// A call that the application was given.
pub struct RelayCall {
    /// The path that was asked for, with its query.
    pub path: String,
    /// The proof of who asks.
    pub signature: String,
    socket: WebSocketStream<TcpStream>,
}

impl RelayApp {
    /// Starts one.
    ///
    /// # Panics
    /// When the machine refuses a port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (hand, calls) = mpsc::channel(CALLS_MAX);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(call) = accept(stream).await else { continue };
                if hand.send(call).await.is_err() {
                    return;
                }
            }
        });
        Self { address, calls }
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The next call.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> RelayCall {
        timeout(PATIENCE, self.calls.recv()).await.expect("the application is dialled").expect("the application runs")
    }
}

impl RelayCall {
    /// Reads until a message of this `type` has come, which is last in the list.
    ///
    /// # Panics
    /// When the socket ends before, or it does not come in time; the message holds what came instead.
    pub async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut came = Vec::new();
        let reading = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let message: Value = serde_json::from_str(&text).expect("the server speaks JSON");
                        let is_it = message["type"] == kind;
                        came.push(message);
                        if is_it {
                            return true;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                    Some(Ok(_)) => {}
                }
            }
        };
        let has_come = timeout(PATIENCE, reading).await;
        assert!(has_come == Ok(true), "no {kind} came, but {came:?}");
        came
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn send(&mut self, message: &Value) {
        self.raw(&message.to_string()).await;
    }

    /// Sends a piece of an answer.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn says(&mut self, token: &str, is_last: bool) {
        self.send(&json!({"type": "text", "token": token, "last": is_last})).await;
    }

    /// Sends a text, whatever it is.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn raw(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the socket is open");
    }

    /// Closes the socket, and reads to its end.
    pub async fn close(mut self) {
        // One that is closed already is closed.
        let _ = self.socket.close(None).await;
        self.end().await;
    }

    /// Reads until the other side has closed the socket.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn end(mut self) {
        let reading = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(PATIENCE, reading).await.expect("the socket is closed");
    }
}

async fn accept(stream: TcpStream) -> Option<RelayCall> {
    let (mut path, mut signature) = (String::new(), String::new());
    #[expect(clippy::result_large_err, reason = "the library's own shape")]
    let note = |request: &tokio_tungstenite::tungstenite::handshake::server::Request, response| {
        path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let header = request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok());
        signature = header.unwrap_or_default().to_owned();
        Ok(response)
    };
    let socket = accept_hdr_async(stream, note).await.ok()?;
    Some(RelayCall { path, signature, socket })
}
