//! One answer as its client sees it: what protocol and SDKs call a response, from its beginning to its end. Pure.
//!
//! Its words are told as they go to the voice, a sentence at a time, and its sound as it is heard. What an item holds at
//! its end is what was heard of it: of an answer that was cut, the rest belongs to no conversation. Where sound goes over a
//! track of its own, the client is told when it begins and when it is over instead.

use std::collections::BTreeMap;

use bot::{agent::TurnId, llm::Usage};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    items::{Item, Items, Status, What},
    outbox::Outbox,
    session::Session,
};

/// An answer that is under way.
pub(super) struct Answer {
    id: String,
    /// The agent's turn, once it has begun.
    pub(super) turn: Option<TurnId>,
    is_written: bool,
    /// Whether its sound goes over a track, and since when.
    is_tracked: bool,
    sounds_since: Option<Instant>,
    /// What is the same in all that is told of it.
    frame: Value,
    /// Its items that are whole, by their places.
    output: BTreeMap<usize, Value>,
    /// How many items it has.
    items: usize,
    message: Option<Message>,
    /// Whether it called a function, whose output may be followed by the wish for another answer at once.
    pub(super) has_called: bool,
    /// Whether its client wants no more of it.
    pub(super) is_cancelled: bool,
    /// What went wrong last.
    pub(super) trouble: Option<String>,
    pub(super) used: Usage,
}

/// What is being said.
struct Message {
    item: String,
    index: usize,
    /// The words that the client has read.
    told: String,
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of this was heard.
    Spoke(String),
    /// Somebody spoke over it; this was heard before.
    Interrupted(String),
    /// Its client stopped it; this was heard before.
    Cancelled(String),
    /// Nobody could say it.
    Failed,
}

impl Answer {
    /// One that begins now.
    pub(super) fn new(session: &Session, metadata: &Value, conversation: &str, used: Usage, out: &mut Outbox) -> Self {
        let id = out.name("resp");
        let frame = json!({
            "object": "realtime.response", "id": id, "conversation_id": conversation, "metadata": metadata,
            "output_modalities": session.modalities(), "max_output_tokens": session.max_output_tokens(),
            "audio": session.response_audio(),
        });
        let answer = Self {
            id,
            turn: None,
            is_written: session.is_written(),
            is_tracked: session.is_tracked() && !session.is_written(),
            sounds_since: None,
            frame,
            output: BTreeMap::new(),
            items: 0,
            message: None,
            has_called: false,
            is_cancelled: false,
            trouble: None,
            used,
        };
        let response = answer.to_json("in_progress", &Value::Null, &Value::Null);
        out.tell(json!({"type": "response.created", "response": response}));
        answer
    }

    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether sound of it may come.
    pub(super) fn is_speaking(&self) -> bool {
        self.message.is_some() && !self.is_written
    }

    /// The item that is being said.
    pub(super) fn item(&self) -> Option<&str> {
        self.message.as_ref().map(|message| message.item.as_str())
    }

    /// A sentence goes to the voice, or to whoever reads.
    pub(super) fn says(&mut self, text: &str, items: &mut Items, out: &mut Outbox) {
        if self.message.is_none() {
            self.open(items, out);
        }
        let Some(message) = &mut self.message else { return };
        let delta = if message.told.is_empty() { text.to_owned() } else { format!(" {text}") };
        message.told.push_str(&delta);
        let kind =
            if self.is_written { "response.output_text.delta" } else { "response.output_audio_transcript.delta" };
        out.tell(part(&self.id, message, kind, json!({"delta": delta})));
    }

    /// Sound of it, in base64, so long.
    pub(super) fn sounds(&mut self, delta: String, ms: u64, items: &mut Items, out: &mut Outbox) {
        let Some(message) = self.message.as_ref().filter(|_| !self.is_written) else { return };
        if let Some(Item { what: What::Assistant { sound_ms, .. }, .. }) = items.get_mut(&message.item) {
            *sound_ms += ms;
        }
        out.tell(part(&self.id, message, "response.output_audio.delta", json!({"delta": delta})));
    }

    /// Its first sound is heard; whoever gets the sound itself is not told.
    pub(super) fn begins_to_sound(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_tracked && self.sounds_since.is_none() {
            self.sounds_since = Some(now);
            out.tell(json!({"type": "output_audio_buffer.started", "response_id": self.id}));
        }
    }

    /// Its last sound was heard now.
    pub(super) fn has_sounded(&self, now: Instant, items: &mut Items) {
        if let (Some(since), Some(message)) = (self.sounds_since, &self.message)
            && let Some(Item { what: What::Assistant { sound_ms, .. }, .. }) = items.get_mut(&message.item)
        {
            *sound_ms = now.saturating_duration_since(since).as_millis() as u64;
        }
    }

    /// It calls a function.
    pub(super) fn calls(
        &mut self,
        (call_id, name, arguments): (String, String, String),
        items: &mut Items,
        out: &mut Outbox,
    ) {
        self.has_called = true;
        let (index, item) = (self.next_index(), out.name("item"));
        let what = What::Call { call_id: call_id.clone(), name: name.clone(), arguments: String::new() };
        let mut call = Item { id: item.clone(), status: Status::InProgress, what };
        let previous = items.last_id().map(str::to_owned);
        self.adds(index, previous.as_deref(), &call.to_json(), out);
        let about = |kind: &str, rest: Value| {
            let mut event = json!({
                "type": kind, "response_id": self.id, "item_id": item, "output_index": index, "call_id": call_id,
            });
            put(&mut event, rest);
            event
        };
        out.tell(about("response.function_call_arguments.delta", json!({"delta": arguments})));
        let done = json!({"arguments": arguments, "name": name});
        out.tell(about("response.function_call_arguments.done", done));
        call.status = Status::Completed;
        call.what = What::Call { call_id: call_id.clone(), name, arguments };
        let whole = call.to_json();
        items.push(call);
        self.ends_item(index, previous.as_deref(), whole, out);
    }

    /// It is over.
    pub(super) fn end(mut self, end: End, items: &mut Items, out: &mut Outbox) {
        let (status, details) = match &end {
            End::Spoke(_) => ("completed", Value::Null),
            End::Interrupted(_) => ("cancelled", json!({"type": "cancelled", "reason": "turn_detected"})),
            End::Cancelled(_) => ("cancelled", json!({"type": "cancelled", "reason": "client_cancelled"})),
            End::Failed => {
                let why = self.trouble.as_deref().unwrap_or("nobody could say the answer");
                let error = json!({"type": "server_error", "code": "no_answer", "message": why});
                ("failed", json!({"type": "failed", "error": error}))
            }
        };
        let item = if status == "completed" { Status::Completed } else { Status::Incomplete };
        let heard = match end {
            End::Spoke(heard) | End::Interrupted(heard) | End::Cancelled(heard) => heard,
            End::Failed => String::new(),
        };
        self.close(heard, item, items, out);
        let Usage { input_tokens, output_tokens } = self.used;
        let usage = json!({
            "input_tokens": input_tokens, "output_tokens": output_tokens,
            "total_tokens": u64::from(input_tokens) + u64::from(output_tokens),
            "input_token_details": {"text_tokens": input_tokens, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
        });
        let response = self.to_json(status, &details, &usage);
        out.tell(json!({"type": "response.done", "response": response}));
        if self.sounds_since.is_some() {
            let kind =
                if status == "completed" { "output_audio_buffer.stopped" } else { "output_audio_buffer.cleared" };
            out.tell(json!({"type": kind, "response_id": self.id}));
        }
    }

    fn open(&mut self, items: &mut Items, out: &mut Outbox) {
        let (index, item) = (self.next_index(), out.name("item"));
        let what = What::Assistant { text: String::new(), is_sound: !self.is_written, sound_ms: 0 };
        let said = Item { id: item.clone(), status: Status::InProgress, what };
        let told = said.to_json();
        let previous = items.push(said);
        self.adds(index, previous.as_deref(), &told, out);
        let message = Message { item, index, told: String::new() };
        let empty = self.content("");
        out.tell(part(&self.id, &message, "response.content_part.added", json!({"part": empty})));
        self.message = Some(message);
    }

    /// What was being said is over; this was heard of it.
    fn close(&mut self, heard: String, status: Status, items: &mut Items, out: &mut Outbox) {
        let Some(message) = self.message.take() else { return };
        let tell = |kind: &str, rest: Value, out: &mut Outbox| out.tell(part(&self.id, &message, kind, rest));
        if self.is_written {
            tell("response.output_text.done", json!({"text": heard}), out);
        } else {
            tell("response.output_audio.done", json!({}), out);
            tell("response.output_audio_transcript.done", json!({"transcript": heard}), out);
        }
        tell("response.content_part.done", json!({"part": self.content(&heard)}), out);
        // A client may have taken it out of the conversation meanwhile.
        let Some(item) = items.get_mut(&message.item) else { return };
        item.status = status;
        if let What::Assistant { text, .. } = &mut item.what {
            *text = heard;
        }
        let whole = item.to_json();
        let previous = items.before(&message.item);
        self.ends_item(message.index, previous.as_deref(), whole, out);
    }

    fn content(&self, text: &str) -> Value {
        if self.is_written {
            json!({"type": "text", "text": text})
        } else {
            json!({"type": "audio", "transcript": text})
        }
    }

    fn adds(&self, index: usize, previous: Option<&str>, item: &Value, out: &mut Outbox) {
        out.tell(json!({
            "type": "response.output_item.added", "response_id": self.id, "output_index": index, "item": item,
        }));
        out.tell(json!({"type": "conversation.item.added", "previous_item_id": previous, "item": item}));
    }

    fn ends_item(&mut self, index: usize, previous: Option<&str>, item: Value, out: &mut Outbox) {
        out.tell(json!({
            "type": "response.output_item.done", "response_id": self.id, "output_index": index, "item": item,
        }));
        out.tell(json!({"type": "conversation.item.done", "previous_item_id": previous, "item": item}));
        self.output.insert(index, item);
    }

    fn next_index(&mut self) -> usize {
        self.items += 1;
        self.items - 1
    }

    fn to_json(&self, status: &str, details: &Value, usage: &Value) -> Value {
        let mut response = self.frame.clone();
        let output: Vec<&Value> = self.output.values().collect();
        put(&mut response, json!({"status": status, "status_details": details, "usage": usage, "output": output}));
        response
    }
}

/// Something about what is being said.
fn part(response: &str, message: &Message, kind: &str, rest: Value) -> Value {
    let mut event = json!({
        "type": kind, "response_id": response, "item_id": message.item, "output_index": message.index,
        "content_index": 0,
    });
    put(&mut event, rest);
    event
}

/// Puts fields to those that are there.
fn put(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::session::Kind, *};

    struct World {
        items: Items,
        out: Outbox,
        answer: Answer,
    }

    impl World {
        fn new(update: Value) -> Self {
            Self::over(|session| session, update)
        }

        fn over(carried: fn(Session) -> Session, update: Value) -> Self {
            let session = carried(Session::new("sess_1".to_owned(), Kind::Realtime, "gpt-realtime"));
            let (session, _) = session.update(&update, false).unwrap();
            let mut out = Outbox::new(String::new());
            let answer = Answer::new(&session, &json!({"a": "b"}), "conv_1", Usage::default(), &mut out);
            Self { items: Items::default(), out, answer }
        }

        fn says(&mut self, text: &str) {
            self.answer.says(text, &mut self.items, &mut self.out);
        }

        fn end(mut self, end: End) -> (Vec<Value>, Items) {
            self.answer.end(end, &mut self.items, &mut self.out);
            (std::iter::from_fn(|| self.out.next()).collect(), self.items)
        }
    }

    fn types(told: &[Value]) -> Vec<&str> {
        told.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    #[test]
    fn an_answer_that_is_heard_is_told_in_the_order_that_sdks_expect() {
        let mut world = World::new(json!({}));
        world.says("Until six.");
        assert!(world.answer.is_speaking());
        world.answer.sounds("AAAA".to_owned(), 20, &mut world.items, &mut world.out);
        world.says("Anything else?");
        world.answer.used = Usage { input_tokens: 10, output_tokens: 5 };
        let (told, items) = world.end(End::Spoke("Until six. Anything else?".to_owned()));
        assert_eq!(
            types(&told),
            [
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                "response.output_audio_transcript.delta",
                "response.output_audio.delta",
                "response.output_audio_transcript.delta",
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
                "response.output_item.done",
                "conversation.item.done",
                "response.done",
            ]
        );
        assert_eq!((&told[6]["delta"], &told[5]["content_index"]), (&json!(" Anything else?"), &json!(0)));
        let done = &told[12]["response"];
        assert_eq!((&done["status"], &done["usage"]["total_tokens"]), (&json!("completed"), &json!(15)));
        assert_eq!((&done["metadata"], &done["output"][0]["status"]), (&json!({"a": "b"}), &json!("completed")));
        assert!(
            told[1..12]
                .iter()
                .filter(|event| event["type"] != "conversation.item.added")
                .all(|event| { event["type"] == "conversation.item.done" || event["response_id"] == done["id"] })
        );
        let item = items.get(done["output"][0]["id"].as_str().unwrap()).unwrap();
        assert!(matches!(&item.what, What::Assistant { sound_ms: 20, .. }));
    }

    #[test]
    fn what_was_cut_holds_what_was_heard() {
        let mut world = World::new(json!({}));
        world.says("Once upon a time there was a mill.");
        let (told, items) = world.end(End::Interrupted("Once upon".to_owned()));
        let done = &told.last().unwrap()["response"];
        assert_eq!(done["status_details"], json!({"type": "cancelled", "reason": "turn_detected"}));
        assert_eq!(done["output"][0]["content"][0]["transcript"], "Once upon");
        assert_eq!(done["output"][0]["status"], "incomplete");
        assert_eq!(items.past().len(), 1);
        let (told, _) = World::new(json!({})).end(End::Failed);
        let error = &told[1]["response"]["status_details"]["error"];
        assert_eq!((told.len(), &error["type"]), (2, &json!("server_error")));
    }

    #[test]
    fn sound_on_a_track_of_its_own_is_told_of_by_its_beginning_and_its_end() {
        let now = Instant::from_std(crate::clock::Clock.now());
        for (end, last) in [
            (End::Spoke("Until six.".to_owned()), "output_audio_buffer.stopped"),
            (End::Interrupted("Until".to_owned()), "output_audio_buffer.cleared"),
            (End::Failed, "output_audio_buffer.cleared"),
        ] {
            let mut world = World::over(Session::over_track, json!({}));
            world.says("Until six.");
            for _ in 0..2 {
                world.answer.begins_to_sound(now, &mut world.out);
            }
            world.answer.has_sounded(now + std::time::Duration::from_millis(700), &mut world.items);
            let (told, items) = world.end(end);
            let types = types(&told);
            let started = types.iter().filter(|kind| **kind == "output_audio_buffer.started").count();
            assert_eq!((started, types[types.len() - 2], types[types.len() - 1]), (1, "response.done", last));
            let done = &told[told.len() - 2]["response"];
            assert_eq!(told[told.len() - 1]["response_id"], done["id"]);
            let item = items.get(done["output"][0]["id"].as_str().unwrap()).unwrap();
            assert!(matches!(&item.what, What::Assistant { sound_ms: 700, .. }));
        }
        // Nothing sounds in writing, and who gets the sound need not be told.
        let over_track: fn(Session) -> Session = Session::over_track;
        for (carried, update) in [(over_track, json!({"output_modalities": ["text"]})), (|session| session, json!({}))]
        {
            let mut world = World::over(carried, update);
            world.says("Until six.");
            world.answer.begins_to_sound(now, &mut world.out);
            let (told, _) = world.end(End::Spoke("Until six.".to_owned()));
            assert!(!types(&told).iter().any(|kind| kind.starts_with("output_audio_buffer")), "{told:?}");
        }
    }

    #[test]
    fn a_call_is_an_item_and_written_words_are_no_sound() {
        let mut world = World::new(json!({"output_modalities": ["text"]}));
        world.says("One moment.");
        assert!(!world.answer.is_speaking());
        world.answer.sounds("AAAA".to_owned(), 20, &mut world.items, &mut world.out);
        let call = ("c1".to_owned(), "stock".to_owned(), r#"{"of":"roses"}"#.to_owned());
        world.answer.calls(call, &mut world.items, &mut world.out);
        assert!(world.answer.has_called);
        let (told, items) = world.end(End::Spoke("One moment.".to_owned()));
        assert!(!types(&told).iter().any(|kind| kind.contains("audio")), "{told:?}");
        let done = told.iter().find(|event| event["type"] == "response.function_call_arguments.done").unwrap();
        assert_eq!(
            (&done["arguments"], &done["call_id"], &done["output_index"]),
            (&json!(r#"{"of":"roses"}"#), &json!("c1"), &json!(1))
        );
        let output = &told.last().unwrap()["response"]["output"];
        assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("message"), &json!("function_call")));
        assert!(items.call("c1").is_some());
    }
}
