//! The host of a `ConversationRelay`, for tests: it says what a caller would, and reads what it is to speak.
//!
//! It has neither ears nor a voice: the test says what was heard. Every wait has a deadline.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::{Closed, Refused, Socket};

/// The longest that a message is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// A host that holds a call.
pub struct RelayHost(Socket);

impl RelayHost {
    /// Dials an application, with more headers where a test needs them.
    ///
    /// # Errors
    /// What it answered instead.
    ///
    /// # Panics
    /// When there is no server.
    pub async fn dial(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Refused> {
        Ok(Self(Socket::open(url, headers).await?))
    }

    /// Says who calls, with the parameters of a document.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn sets_up(&mut self, parameters: &Value) {
        self.sends(&json!({
            "type": "setup", "sessionId": "VX1", "accountSid": "AC1", "callSid": "CA1", "parentCallSid": "",
            "from": "+15005550006", "to": "+15005550001", "forwardedFrom": "", "callType": "PSTN", "callerName": "Ada",
            "direction": "inbound", "callStatus": "IN-PROGRESS", "customParameters": parameters,
        }))
        .await;
    }

    /// The caller has said this, in American English.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn says(&mut self, text: &str) {
        self.sends(&json!({"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": true})).await;
    }

    /// The caller interrupts, and has heard this.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn interrupts(&mut self, heard: &str) {
        let message = json!({"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 1_000});
        self.sends(&message).await;
    }

    /// The caller presses these keys.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn presses(&mut self, keys: &str) {
        for key in keys.chars() {
            self.sends(&json!({"type": "dtmf", "digit": key.to_string()})).await;
        }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn sends(&mut self, message: &Value) {
        self.raw(&message.to_string()).await;
    }

    /// Sends a text, whatever it is.
    ///
    /// # Panics
    /// When the application has gone.
    pub async fn raw(&mut self, text: &str) {
        self.0.text(text).await;
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Closed`] when there is none.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        timeout(PATIENCE, self.0.json()).await.expect("the application says something, or ends")
    }

    /// The next answer, up to its last token: what is to be spoken, and the tokens.
    ///
    /// # Panics
    /// When something else comes, or it has no end.
    pub async fn answer(&mut self) -> (String, Vec<Value>) {
        let (mut text, mut tokens) = (String::new(), Vec::new());
        loop {
            let token = self.next().await.unwrap_or_else(|closed| panic!("{closed:?} after {tokens:?}"));
            assert_eq!(token["type"], "text", "after {tokens:?}: {token}");
            text.push_str(token["token"].as_str().expect("a token is a text"));
            let is_last = token["last"] == true;
            tokens.push(token);
            if is_last {
                return (text.trim_end().to_owned(), tokens);
            }
        }
    }

    /// How the application closes the socket.
    ///
    /// # Panics
    /// When it says something else before, or stays.
    pub async fn closed(&mut self) -> Closed {
        match self.next().await {
            Ok(message) => panic!("it was to be closed: {message}"),
            Err(closed) => closed,
        }
    }
}
