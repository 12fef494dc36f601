//! Chat completions, streamed, as OpenAI, Azure, vLLM, Ollama and most vendors speak them: a request out, an answer in.
//!
//! Pure: a request becomes a body, events become pieces of an answer. A call is put together from its pieces and is
//! given out when the answer has ended as it should, so that half an answer never runs a tool. Fields that are not
//! known are passed over; vendors' ways that differ are taken where they are known:
//! - Ollama numbers every call 0 and ends with `stop`; some give no number or no id at all;
//! - early vLLM invents an id for every piece of one call;
//! - some write the arguments as an object instead of a string.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Done, MustCall, Request, Stop, Trouble, Usage,
    history::{self, Turn},
    provider::{Kind, Provider},
    sse,
    stream::{CALL_BYTES_MAX, CALLS_MAX, Piece},
    trouble,
};

/// The body of the request that asks `provider`.
pub(super) fn body(provider: &Provider, request: &Request) -> Value {
    let mut body = provider.extra.clone();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    put("model", json!(provider.model));
    put("stream", json!(true));
    put("stream_options", json!({ "include_usage": true }));
    put("messages", messages(request));
    // OpenAI's own models that think refuse the older name, others know no newer one.
    let limit = match provider.kind {
        Kind::OpenAi | Kind::Azure => "max_completion_tokens",
        Kind::Compatible | Kind::Anthropic => "max_tokens",
    };
    put(limit, json!(request.max_tokens));
    if let Some(temperature) = request.temperature.filter(|temperature| temperature.is_finite()) {
        put("temperature", json!(temperature.clamp(0.0, 2.0)));
    }
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({ "type": "function", "function": {
                "name": tool.name, "description": tool.description, "parameters": tool.parameters,
            }})
        });
        put("tools", tools.collect());
        match request.must_call() {
            MustCall::Nothing => {}
            MustCall::Any => {
                put("tool_choice", json!("required"));
            }
            MustCall::This(name) => {
                put("tool_choice", json!({ "type": "function", "function": { "name": name } }));
            }
        }
    }
    Value::Object(body)
}

fn messages(request: &Request) -> Value {
    let mut messages = Vec::new();
    if !request.system.is_empty() {
        messages.push(json!({ "role": "system", "content": request.system }));
    }
    for turn in history::turns(&request.messages) {
        match turn {
            Turn::User(text) => messages.push(json!({ "role": "user", "content": text })),
            Turn::Assistant { text, calls } if calls.is_empty() => {
                messages.push(json!({ "role": "assistant", "content": text }));
            }
            Turn::Assistant { text, calls } => {
                let written = calls.iter().map(|called| {
                    json!({ "id": called.call.id, "type": "function", "function": {
                        "name": called.name(), "arguments": called.arguments.to_string(),
                    }})
                });
                let mut message = Map::new();
                message.insert("role".to_owned(), json!("assistant"));
                message.insert("content".to_owned(), if text.is_empty() { Value::Null } else { json!(text) });
                message.insert("tool_calls".to_owned(), written.collect());
                messages.push(Value::Object(message));
                // The protocol has no field for a failure: the content says it.
                let results = calls.iter().map(|called| {
                    let content = match called.is_error {
                        true => format!("error: {}", called.content),
                        false => called.content.to_owned(),
                    };
                    json!({ "role": "tool", "tool_call_id": called.call.id, "content": content })
                });
                messages.extend(results);
            }
        }
    }
    Value::Array(messages)
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Reader {
    provider: Arc<str>,
    calls: Vec<Building>,
    usage: Usage,
    stop: Option<Stop>,
    is_done: bool,
}

#[derive(Debug, Default)]
struct Building {
    index: Option<u64>,
    /// The vendor's, which tells it from others while it is put together.
    id: String,
    name: String,
    arguments: String,
}

impl Reader {
    /// A reader of an answer of `provider`.
    pub(super) fn new(provider: Arc<str>) -> Self {
        Self { provider, calls: Vec::new(), usage: Usage::default(), stop: None, is_done: false }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`Trouble`]: what the provider says went wrong, or what is wrong with what it says.
    pub(super) fn take(&mut self, event: &sse::Event, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        if event.data.trim() == "[DONE]" {
            return self.end(out);
        }
        if event.data.trim().is_empty() {
            return Ok(());
        }
        let Ok(chunk) = serde_json::from_str::<Chunk>(&event.data) else { return Err(self.told(&event.data)) };
        if chunk.error.is_some() {
            return Err(self.told(&event.data));
        }
        let counts = chunk.usage.is_some();
        if let Some(usage) = chunk.usage {
            self.usage = usage.into();
        }
        for choice in chunk.choices.into_iter().flatten().take(1) {
            if self.stop.is_none() {
                self.choice(choice, out)?;
            }
        }
        // With the count everything is said; without, what follows may hold it.
        if counts && self.stop.is_some() {
            return self.end(out);
        }
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`Trouble::CutOff`] when the answer has not.
    pub(super) fn end(&mut self, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        let Some(why) = self.stop else { return Err(Trouble::CutOff { provider: self.provider.clone() }) };
        if !std::mem::replace(&mut self.is_done, true) {
            out.push(Piece::Done(Done { why, usage: self.usage }));
        }
        Ok(())
    }

    /// Whether the model has stopped, so that only the count of tokens can follow.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    fn choice(&mut self, choice: Choice, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        if let Some(delta) = choice.delta {
            let words = [delta.content, delta.refusal].into_iter().flatten();
            for text in words.filter_map(|words| words.as_str().map(str::to_owned)).filter(|text| !text.is_empty()) {
                out.push(Piece::Text(text));
            }
            // Some send the same thoughts under both names.
            let thoughts = [delta.reasoning, delta.reasoning_content].iter().flatten().map(bytes_of).max().unwrap_or(0);
            if thoughts > 0 {
                out.push(Piece::Thinking(thoughts));
            }
            for piece in delta.tool_calls.into_iter().flatten() {
                let bytes = self.call(piece)?;
                out.push(Piece::Calling(bytes));
            }
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => Ok(()),
            Some("error") => {
                Err(Trouble::Failed { provider: self.provider.clone(), status: 500, code: Some("error".to_owned()) })
            }
            // vLLM's word for a request that it gave up.
            Some("abort") => Err(Trouble::CutOff { provider: self.provider.clone() }),
            Some(reason) => self.stopped(reason, out),
        }
    }

    /// Takes a piece of a call, and says how many bytes the model wrote for it.
    fn call(&mut self, piece: CallPiece) -> Result<usize, Trouble> {
        let id = piece.id.unwrap_or_default();
        let function = piece.function.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let known = match piece.index {
            Some(_) => self.calls.iter().rposition(|call| call.index == piece.index),
            None => self.calls.len().checked_sub(1),
        };
        // A name begins a call. It is another one when it says so by its id, or when nothing numbers it.
        let is_another =
            |call: &Building| !name.is_empty() && if id.is_empty() { piece.index.is_none() } else { call.id != id };
        let at = match known {
            Some(at) if !is_another(&self.calls[at]) => at,
            _ => {
                if self.calls.len() == CALLS_MAX {
                    return Err(self.too_long(CALLS_MAX, "calls"));
                }
                self.calls.push(Building { index: piece.index, ..Building::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        let before = call.name.len() + call.arguments.len();
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        match function.arguments {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(other) => call.arguments.push_str(&other.to_string()),
        }
        if call.arguments.len() + call.name.len() + call.id.len() > CALL_BYTES_MAX {
            return Err(self.too_long(CALL_BYTES_MAX, "bytes of one call"));
        }
        Ok(call.name.len() + call.arguments.len() - before)
    }

    fn stopped(&mut self, reason: &str, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        let is_cut = reason == "length";
        for call in std::mem::take(&mut self.calls) {
            // The last call of an answer that was cut is half a call.
            if is_cut && serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err() {
                continue;
            }
            if call.name.is_empty() {
                return Err(Trouble::Garbled { provider: self.provider.clone(), what: "a call without a name" });
            }
            out.push(Piece::Call { name: call.name, arguments: call.arguments });
        }
        let has_called = out.iter().any(|piece| matches!(piece, Piece::Call { .. }));
        self.stop = Some(match reason {
            "length" => Stop::Length,
            "content_filter" | "refusal" => Stop::Refused,
            _ if has_called => Stop::Calls,
            _ => Stop::End,
        });
        Ok(())
    }

    /// What an event that is no piece of an answer says.
    fn told(&self, data: &str) -> Trouble {
        match serde_json::from_str::<Value>(data) {
            Ok(body) if trouble::is_error(&body) => trouble::of_error(&self.provider, &body),
            Ok(_) => Trouble::Garbled { provider: self.provider.clone(), what: "JSON of another shape" },
            Err(_) => Trouble::Garbled { provider: self.provider.clone(), what: "broken JSON" },
        }
    }

    fn too_long(&self, max: usize, what: &'static str) -> Trouble {
        Trouble::TooLong { provider: self.provider.clone(), max, what }
    }
}

/// How much `value` says.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counted>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    /// A string; vendors whose models think put lists here too, whose words are thoughts.
    content: Option<Value>,
    refusal: Option<Value>,
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Counted {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        let tokens = |count: Option<u64>| count.unwrap_or(0).try_into().unwrap_or(u32::MAX);
        Self { input_tokens: tokens(counted.prompt_tokens), output_tokens: tokens(counted.completion_tokens) }
    }
}
