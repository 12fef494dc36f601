//! Anthropic's messages, streamed: a request out, an answer in.
//!
//! Pure. The vendor wants people and model to speak in turns, a person first and last, and every result in the turn
//! that follows its call: turns that follow each other are joined, and a missing first or last one is filled in with a
//! word about the call. Kinds of events and blocks that are not known are passed over, as its documentation asks.
//! A call is given out when the answer has ended as it should, so that half an answer never runs a tool.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Done, MustCall, Request, Stop, Trouble, Usage,
    history::{self, Turn},
    provider::Provider,
    sse,
    stream::{CALL_BYTES_MAX, CALLS_MAX, Piece},
    trouble,
};

/// The version of the interface, which every request names.
pub(super) const VERSION: &str = "2023-06-01";

/// What stands where a person must speak first and did not: a call begins with our greeting.
const CALL_BEGINS: &str = "(The call begins.)";
/// What stands where a person must speak last and did not.
const CALLER_IS_SILENT: &str = "(The caller says nothing.)";

/// The body of the request that asks `provider`.
pub(super) fn body(provider: &Provider, request: &Request) -> Value {
    let mut body = provider.extra.clone();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    put("model", json!(provider.model));
    put("stream", json!(true));
    put("max_tokens", json!(request.max_tokens));
    put("messages", messages(request));
    if !request.system.is_empty() {
        // What is the same in every turn is read from the vendor's cache: tools stand before it and are cached too.
        let cached = json!({ "type": "ephemeral" });
        put("system", json!([{ "type": "text", "text": request.system, "cache_control": cached }]));
    }
    if let Some(temperature) = request.temperature.filter(|temperature| temperature.is_finite()) {
        put("temperature", json!(temperature.clamp(0.0, 1.0)));
    }
    if !request.tools.is_empty() {
        let tools = request
            .tools
            .iter()
            .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters }));
        put("tools", tools.collect());
        // Who is configured to think first is refused where a call is forced: then the model does as it likes.
        let thinks = provider.extra.get("thinking").is_some_and(|thinking| thinking["type"] != "disabled");
        match request.must_call() {
            MustCall::Any if !thinks => {
                put("tool_choice", json!({ "type": "any" }));
            }
            MustCall::This(name) if !thinks => {
                put("tool_choice", json!({ "type": "tool", "name": name }));
            }
            MustCall::Nothing | MustCall::Any | MustCall::This(_) => {}
        }
    }
    Value::Object(body)
}

fn messages(request: &Request) -> Value {
    let mut sides: Vec<(Side, Vec<Value>)> = Vec::new();
    let mut add = |side: Side, blocks: Vec<Value>| match sides.last_mut() {
        Some((last, joined)) if *last == side => joined.extend(blocks),
        _ => sides.push((side, blocks)),
    };
    for (number, turn) in history::turns(&request.messages).into_iter().enumerate() {
        match turn {
            Turn::User(words) => add(Side::User, vec![text(words)]),
            Turn::Assistant { text: words, calls } => {
                if number == 0 {
                    add(Side::User, vec![text(CALL_BEGINS)]);
                }
                // Blank text is refused, and so is white space at the very end.
                let said = Some(words.trim_end()).filter(|words| !words.is_empty()).map(text);
                let called = calls.iter().map(|called| {
                    json!({ "type": "tool_use", "id": called.call.id, "name": called.name(),
                            "input": called.arguments })
                });
                add(Side::Assistant, said.into_iter().chain(called).collect());
                let results: Vec<Value> = calls
                    .iter()
                    .map(|called| {
                        json!({ "type": "tool_result", "tool_use_id": called.call.id, "content": called.content,
                                "is_error": called.is_error })
                    })
                    .collect();
                if !results.is_empty() {
                    add(Side::User, results);
                }
            }
        }
    }
    match sides.last() {
        None => sides.push((Side::User, vec![text(CALL_BEGINS)])),
        Some((Side::Assistant, _)) => sides.push((Side::User, vec![text(CALLER_IS_SILENT)])),
        Some((Side::User, _)) => {}
    }
    let messages = sides.into_iter().map(|(side, content)| {
        let role = match side {
            Side::User => "user",
            Side::Assistant => "assistant",
        };
        json!({ "role": role, "content": content })
    });
    messages.collect()
}

fn text(words: &str) -> Value {
    json!({ "type": "text", "text": words })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Reader {
    provider: Arc<str>,
    /// Calls by the number of their block, in their order.
    calls: BTreeMap<u64, Building>,
    usage: Usage,
    stop: Option<Stop>,
    is_done: bool,
}

#[derive(Debug)]
struct Building {
    name: String,
    /// What the block began with; only where nothing follows it.
    input: Value,
    json: String,
}

impl Reader {
    /// A reader of an answer of `provider`.
    pub(super) fn new(provider: Arc<str>) -> Self {
        Self { provider, calls: BTreeMap::new(), usage: Usage::default(), stop: None, is_done: false }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`Trouble`]: what the provider says went wrong, or what is wrong with what it says.
    pub(super) fn take(&mut self, event: &sse::Event, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        if event.data.trim().is_empty() {
            return Ok(());
        }
        let garbled = |what| Trouble::Garbled { provider: self.provider.clone(), what };
        let body: Value = serde_json::from_str(&event.data).map_err(|_| garbled("broken JSON"))?;
        if trouble::is_error(&body) {
            return Err(trouble::of_error(&self.provider, &body));
        }
        let known = body.get("type").and_then(Value::as_str);
        if !known.is_some_and(|kind| KINDS.contains(&kind)) {
            return match known {
                Some(_) => Ok(()),
                None => Err(garbled("JSON of another shape")),
            };
        }
        match serde_json::from_value(body).map_err(|_| garbled("JSON of another shape"))? {
            Told::MessageStart { message } => self.count(message.usage),
            Told::ContentBlockStart { index, content_block } => self.block(index, content_block, out)?,
            Told::ContentBlockDelta { index, delta } => self.delta(index, delta, out)?,
            Told::MessageDelta { delta, usage } => {
                self.count(usage);
                if let Some(reason) = delta.stop_reason.filter(|_| self.stop.is_none()) {
                    self.stopped(&reason, out);
                }
            }
            Told::MessageStop => return self.end(out),
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

    /// Whether the model has stopped, so that only the end of the message can follow.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    fn count(&mut self, counted: Option<Counted>) {
        let Some(counted) = counted else { return };
        let tokens = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let read = [counted.input_tokens, counted.cache_creation_input_tokens, counted.cache_read_input_tokens];
        let input = read.into_iter().flatten().fold(0, u64::saturating_add);
        // The counts of the end are of the whole answer; what it does not repeat stays as it was.
        self.usage.input_tokens = self.usage.input_tokens.max(tokens(input));
        self.usage.output_tokens = self.usage.output_tokens.max(tokens(counted.output_tokens.unwrap_or(0)));
    }

    fn block(&mut self, index: u64, block: Block, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        match block.kind.as_str() {
            "text" => self.say(block.text, out),
            "tool_use" => {
                if self.calls.len() == CALLS_MAX {
                    return Err(self.too_long(CALLS_MAX, "calls"));
                }
                let Some(name) = filled(block.name) else {
                    let what = "a call without a name";
                    return Err(Trouble::Garbled { provider: self.provider.clone(), what });
                };
                let input = block.input.unwrap_or_else(|| Value::Object(Map::new()));
                out.push(Piece::Calling(name.len()));
                self.calls.insert(index, Building { name, input, json: String::new() });
            }
            _ => out.push(Piece::Thinking(0)),
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Added, out: &mut Vec<Piece>) -> Result<(), Trouble> {
        match delta.kind.as_str() {
            "text_delta" => self.say(delta.text, out),
            "input_json_delta" => {
                // A piece of a block that is no call of ours, such as a tool that the vendor runs itself.
                let Some(call) = self.calls.get_mut(&index) else { return Ok(()) };
                let json = delta.partial_json.unwrap_or_default();
                call.json.push_str(&json);
                if call.json.len() + call.name.len() > CALL_BYTES_MAX {
                    return Err(self.too_long(CALL_BYTES_MAX, "bytes of one call"));
                }
                out.push(Piece::Calling(json.len()));
            }
            "thinking_delta" => out.push(Piece::Thinking(delta.thinking.unwrap_or_default().len())),
            _ => {}
        }
        Ok(())
    }

    fn say(&self, text: Option<String>, out: &mut Vec<Piece>) {
        out.extend(filled(text).filter(|_| self.stop.is_none()).map(Piece::Text));
    }

    fn stopped(&mut self, reason: &str, out: &mut Vec<Piece>) {
        let stop = match reason {
            "max_tokens" | "model_context_window_exceeded" => Stop::Length,
            "refusal" => Stop::Refused,
            "tool_use" => Stop::Calls,
            _ if !self.calls.is_empty() => Stop::Calls,
            _ => Stop::End,
        };
        for call in std::mem::take(&mut self.calls).into_values() {
            let arguments = if call.json.trim().is_empty() { call.input.to_string() } else { call.json };
            // The last call of an answer that was cut is half a call.
            if stop == Stop::Length && serde_json::from_str::<serde::de::IgnoredAny>(&arguments).is_err() {
                continue;
            }
            out.push(Piece::Call { name: call.name, arguments });
        }
        self.stop = Some(stop);
    }

    fn too_long(&self, max: usize, what: &'static str) -> Trouble {
        Trouble::TooLong { provider: self.provider.clone(), max, what }
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The events that say something; `ping` and `content_block_stop` do not.
const KINDS: [&str; 5] =
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"];

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    MessageStart { message: Begun },
    ContentBlockStart { index: u64, content_block: Block },
    ContentBlockDelta { index: u64, delta: Added },
    MessageDelta { delta: Ended, usage: Option<Counted> },
    MessageStop,
}

#[derive(Deserialize)]
struct Begun {
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

#[derive(Deserialize)]
struct Added {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct Ended {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}
