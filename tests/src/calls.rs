//! The calls of a running server, seen and made by its API.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::server::Server;

/// How long something is waited for that happens by itself.
const WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The calls of one server.
#[derive(Clone, Debug)]
pub struct Calls {
    base: String,
    client: reqwest::Client,
}

impl Calls {
    /// Of that server.
    pub fn of(server: &Server) -> Self {
        Self::at(&server.base_url())
    }

    /// Of the server there, such as `http://127.0.0.1:40000`.
    pub fn at(base_url: &str) -> Self {
        server::models::tls::install();
        Self { base: format!("{base_url}/api"), client: reqwest::Client::new() }
    }

    /// What the API answers.
    ///
    /// # Panics
    /// When it does not answer, or no JSON.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await.expect("the server answers");
        serde_json::from_str(&answer.text().await.expect("a whole answer")).expect("JSON")
    }

    /// What it answers to this; the status, and nothing where there is no JSON.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}/{path}", self.base)).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.expect("the server answers");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("a whole answer")).unwrap_or(Value::Null))
    }

    /// Calls somebody, who then waits for `wait_s` seconds; the id of the call.
    ///
    /// # Panics
    /// When the call is not made.
    pub async fn make(&self, to: &str, wait_s: u32) -> String {
        let twiml = format!("<Response><Pause length=\"{wait_s}\"/></Response>");
        let (status, call) = self.post("calls", &json!({"to": to, "twiml": twiml})).await;
        assert_eq!(status, 201, "{call}");
        call["id"].as_str().expect("a call has an id").to_owned()
    }

    /// Does something in a call.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn act(&self, id: &str, action: &Value) {
        let (status, answer) = self.post(&format!("calls/{id}"), action).await;
        assert_eq!(status, 202, "{action}: {answer}");
    }

    /// Hangs up; it may be over already.
    pub async fn end(&self, id: &str) {
        let _ = self.client.delete(format!("{}/calls/{id}", self.base)).send().await;
    }

    /// How a call stands once it stands so.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until(&self, id: &str, status: &str) -> Value {
        self.until_so(id, |call| call["status"] == status).await
    }

    /// A call once it is like this.
    ///
    /// # Panics
    /// When it never is.
    pub async fn until_so(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("calls/{id}");
        self.look(async || {
            let call = self.get(&path).await;
            if is_so(&call) { Ok(call) } else { Err(format!("another call was awaited: {call}")) }
        })
        .await
    }

    /// The room of the only call.
    ///
    /// # Panics
    /// When there is no call, or it never has a room.
    pub async fn room(&self) -> String {
        let all = self.get("calls").await;
        let id = all["calls"][0]["id"].as_str().expect("there is a call");
        let call = self.until_so(id, |call| !call["room"].is_null()).await;
        call["room"].as_str().expect("a room has a name").to_owned()
    }

    /// Waits until no call is on; those that were.
    ///
    /// # Panics
    /// When one stays.
    pub async fn none(&self) -> Vec<Value> {
        self.look(async || {
            let calls = self.get("calls").await["calls"].as_array().cloned().unwrap_or_default();
            let stuck: Vec<_> = calls.iter().filter(|call| call["ended_at"].is_null()).collect();
            if stuck.is_empty() { Ok(calls) } else { Err(format!("calls are stuck: {stuck:?}")) }
        })
        .await
    }

    async fn look<T>(&self, look: impl AsyncFn() -> Result<T, String>) -> T {
        let mut last = String::new();
        let looking = async {
            let mut looks = interval(LOOK_EVERY);
            loop {
                looks.tick().await;
                match look().await {
                    Ok(found) => return found,
                    Err(why) => last = why,
                }
            }
        };
        match timeout(WITHIN, looking).await {
            Ok(found) => found,
            Err(_) => panic!("{last}"),
        }
    }
}
