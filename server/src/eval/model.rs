//! A language model that says what a script says: chat completions on a port of loopback, streamed as vendors do.
//!
//! The agent asks it over HTTP as it asks any other, so that nothing of the way is left out but the thinking. The first
//! rule that fits the last message answers; the choosing is pure. What no rule answers is refused and kept for the report.
//! One task, which ends when the value is dropped.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::script::{Rule, To};
use crate::config::{Config, Llm};

/// Tokens come faster than they can be spoken.
const TOKEN_EVERY: Duration = Duration::from_millis(15);

/// Questions that are remembered; a conversation has fewer.
const TOLD_MAX: usize = 1_000;

/// A model that runs.
pub(super) struct Model {
    address: SocketAddr,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

struct Desk {
    rules: Vec<Rule>,
    takes: Duration,
    kept: Mutex<Kept>,
}

/// What it was told.
#[derive(Default)]
struct Kept {
    /// What no rule answers.
    unknown: Vec<String>,
    /// What each question says that the caller heard.
    heard: Vec<String>,
}

impl Model {
    /// Starts one with these rules, whose first word comes after `takes`.
    ///
    /// # Errors
    /// When the machine gives no port.
    pub(super) async fn start(rules: Vec<Rule>, takes: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk { rules, takes, kept: Mutex::default() });
        // Nothing else is ever asked of it.
        let router = Router::new().fallback(answer).with_state(desk.clone());
        let serving = tokio::spawn(async move {
            // It serves until it is dropped; what it cannot accept nobody asked.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, desk, serving })
    }

    /// Lets every model of a configuration be this one: names stay, for the personas that name them.
    pub(super) fn stand_in(&self, config: &mut Config) {
        let usual = || Llm {
            name: Some("scripted".to_owned()),
            kind: bot::llm::Kind::Compatible,
            base_url: Some(format!("http://{}/v1", self.address)),
            api_key: None,
            model: "scripted".to_owned(),
            role: bot::llm::Role::Primary,
            price: bot::llm::provider::Price::default(),
            extra: serde_json::Map::new(),
        };
        if config.llm.is_empty() {
            config.llm.push(usual());
        }
        for model in &mut config.llm {
            *model = Llm { name: Some(model.name().to_owned()), role: model.role, ..usual() };
        }
    }

    /// What it was asked since and had no answer to.
    pub(super) fn take_unknown(&self) -> Vec<String> {
        std::mem::take(&mut self.desk.kept().unknown)
    }

    /// Whether any question so far said that the caller heard this.
    pub(super) fn was_told_of(&self, words: &str) -> bool {
        self.desk.kept().heard.iter().any(|heard| heard.contains(words))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Desk {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let question: Value = serde_json::from_slice(&body).unwrap_or_default();
    let messages = question["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rule = rule_for(&desk.rules, messages);
    {
        let mut kept = desk.kept();
        if kept.heard.len() < TOLD_MAX {
            kept.heard.push(heard(messages));
        }
        if rule.is_none() && kept.unknown.len() < TOLD_MAX {
            kept.unknown.push(messages.last().map(text_of).unwrap_or_default());
        }
    }
    let Some(rule) = rule else {
        let why = json!({"error": {"message": "the script has no answer to that", "type": "invalid_request_error"}});
        return (StatusCode::BAD_REQUEST, axum::Json(why)).into_response();
    };
    let mut at = Instant::now() + desk.takes;
    let pieces = pieces(rule).into_iter().map(move |piece| {
        let due = at;
        at += TOKEN_EVERY;
        (due, piece)
    });
    let stream = stream::iter(pieces).then(|(due, piece)| async move {
        sleep_until(due).await;
        Ok::<Bytes, Infallible>(Bytes::from(piece))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// The first rule that fits the last message.
fn rule_for<'a>(rules: &'a [Rule], messages: &[Value]) -> Option<&'a Rule> {
    let last = messages.last()?;
    let text = text_of(last);
    let tool = (last["role"] == "tool").then(|| tool_of(last, messages));
    rules.iter().find(|rule| match (&rule.to, &tool) {
        (To::Caller(when), None) => when.as_ref().is_none_or(|when| when.is_in(&text)),
        (To::Tool(name, when), Some(tool)) => {
            tool.as_deref() == Some(name.as_str()) && when.as_ref().is_none_or(|when| when.is_in(&text))
        }
        (To::Caller(_), Some(_)) | (To::Tool(..), None) => false,
    })
}

/// Which tool gave this: the protocol tells the call alone.
fn tool_of(result: &Value, messages: &[Value]) -> Option<String> {
    let mut calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
    let call = calls.rfind(|call| call["id"] == result["tool_call_id"])?;
    call["function"]["name"].as_str().map(ToOwned::to_owned)
}

/// All that the assistant is said to have said.
fn heard(messages: &[Value]) -> String {
    let own = messages.iter().filter(|message| message["role"] == "assistant");
    own.map(text_of).collect::<Vec<_>>().join("\n")
}

/// The text of a message, which may be in parts.
fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// An answer as events: its words one by one, its calls, its end.
fn pieces(rule: &Rule) -> Vec<String> {
    let mut pieces: Vec<String> =
        rule.says.split_inclusive(' ').map(|word| event(&json!({"content": word}), &Value::Null)).collect();
    for (index, call) in rule.calls.iter().enumerate() {
        let arguments = Value::Object(call.arguments.clone()).to_string();
        let function = json!({"name": call.name, "arguments": arguments});
        let call = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function});
        pieces.push(event(&json!({"tool_calls": [call]}), &Value::Null));
    }
    let why = if rule.calls.is_empty() { "stop" } else { "tool_calls" };
    pieces.push(event(&json!({}), &why.into()));
    let usage = json!({"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70});
    pieces.push(data(&json!({"id": ID, "object": OBJECT, "choices": [], "usage": usage})));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

fn event(delta: &Value, finish: &Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    data(&json!({"id": ID, "object": OBJECT, "model": "scripted", "choices": [choice]}))
}

fn data(json: &Value) -> String {
    format!("data: {json}\n\n")
}

const ID: &str = "chatcmpl-scripted";
const OBJECT: &str = "chat.completion.chunk";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::script::Script;

    fn rules() -> Vec<Rule> {
        let text = r#"
            [[model]]
            when = "open | geöffnet"
            calls = [{ name = "hours", arguments = { day = "Friday" } }]

            [[model]]
            after = "hours"
            when = "closed"
            says = "We are closed then."

            [[model]]
            after = "hours"
            says = "We are open then."

            [[model]]
            says = "I did not get that."

            [[line]]
            says = "Hello?"
        "#;
        Script::parse(text).unwrap().model
    }

    fn asked(messages: &Value) -> Option<String> {
        let rules = rules();
        rule_for(&rules, messages.as_array().unwrap()).map(|rule| rule.says.clone())
    }

    fn after(tool: &str, result: &str) -> Value {
        let calls = json!([{"id": "c1", "function": {"name": tool, "arguments": "{}"}}]);
        json!([
            {"role": "system", "content": "You are a clerk."},
            {"role": "user", "content": "Are you open on Friday?"},
            {"role": "assistant", "content": null, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ])
    }

    #[test]
    fn the_first_rule_that_fits_answers_a_caller_or_a_tool() {
        assert_eq!(asked(&json!([{"role": "user", "content": "Are you OPEN?"}])).as_deref(), Some(""));
        assert_eq!(asked(&json!([{"role": "user", "content": "Hm."}])).as_deref(), Some("I did not get that."));
        assert_eq!(asked(&after("hours", "closed")).as_deref(), Some("We are closed then."));
        assert_eq!(asked(&after("hours", "9 to 5")).as_deref(), Some("We are open then."));
        assert_eq!(asked(&after("weather", "rain")), None, "no rule is about it");
        assert_eq!(asked(&json!([])), None);
        assert_eq!(asked(&json!([3])), Some("I did not get that.".to_owned()));
    }

    #[test]
    fn an_answer_is_streamed_word_by_word_and_a_call_whole() {
        let all = pieces(&rules()[3]).concat();
        assert!(all.contains(r#""content":"did ""#) && all.contains(r#""finish_reason":"stop""#), "{all}");
        let call = pieces(&rules()[0]).concat();
        assert!(call.contains("tool_calls") && call.contains(r#"{\"day\":\"Friday\"}"#), "{call}");
        assert!(call.ends_with("data: [DONE]\n\n"));
    }

    #[test]
    fn what_the_caller_heard_is_what_the_assistant_is_said_to_have_said() {
        let parts = json!([{"type": "text", "text": "Once"}]);
        let messages = json!([{"role": "assistant", "content": parts}, {"role": "user", "content": "No"}]);
        assert_eq!(heard(messages.as_array().unwrap()), "Once");
    }
}
