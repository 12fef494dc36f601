//! OpenAI's realtime socket, `/v1/realtime`: whole sessions of its unmodified SDKs, and sockets by hand that speak over the
//! agent, or say what nobody understands.
//!
//! The model is scripted ([`tests::llm`]), the voice is espeak-ng's, and what a client hears is compared with what the
//! same voice says.

use std::{collections::VecDeque, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use media::codec::g711::Law;
use serde_json::{Value, json};
use tests::{
    baresip::Sampled,
    client::{Socket, samples},
    clients, fixture,
    listening::{ALIKE, Sound, UNLIKE, is_whole, likeness},
    llm::{Model, written},
    scripted::Local,
    server::{self as kit, Server, models_or_skip},
    spoken::{Spoken, whole_sentences},
    wer::word_error_rate,
};
use tokio::time::{Interval, interval, timeout};

const KEY: &str = "hv_test_key_of_the_sdk_tests";

/// What a session says and hears.
const HZ: u32 = 24_000;

/// What clients by hand say: mu-law, as a telephone has it.
const LINE_HZ: u32 = 8_000;

/// A recording, and what is said in it.
const YOUNG_MAN: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";
const YOUNG_MAN_SAYS: &str = "he was not an ill disposed young man";

const INSTRUCTIONS: &str = "You are a clerk of a shop.";
const SHIPPED: &str = "Your order was shipped yesterday.";
const SUNDAYS: &str = "Do you open on Sundays?";
const CLOSED: &str = "On Sundays we are closed.";
const BY_HAND: &str = "That was said by hand.";
const STORY: &str = "Once upon a time there was a very small village behind seven mountains. In that village lived an old \
                     clock maker who had never been late in all his life. Every morning he walked down to the river, and \
                     every evening he walked back again. One day the river was gone, and nobody could tell him where it \
                     went.";

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn openais_own_sdk_talks_calls_writes_cancels_and_commits() {
    let (Some(spoken), Some(question), Some(())) = (voice(), recorded(), models_or_skip()) else { return };
    // What a function answered is the last message too; a question may be asked before its turn has surely ended.
    let script = json!([
        {"when": "shipped", "say": SHIPPED},
        {"when": "sundays", "say": CLOSED},
        {"when": "tell me a story", "say": STORY},
        {"when": "manually", "say": BY_HAND},
        {"when": "young man", "calls": [{"name": "look_up_order", "arguments": {"number": "4711"}}]},
        {"say": "I am afraid I did not understand that."},
    ]);
    let mut model = Model::with(script).await;
    let Some((report, heard)) = python(&model, "talk", question).await else { return };
    let events = report["events"].as_array().unwrap();
    assert_eq!(report["errors"], json!([]), "{events:#?}");
    let unknown = events.iter().find(|event| event["class"] == "dict" || event["class"] == "BaseModel");
    assert!(unknown.is_none(), "the SDK does not know {unknown:?}");

    assert_in_order(
        events,
        &[
            kind("session.created"),
            kind("session.updated"),
            kind("error"),
            kind("input_audio_buffer.speech_started"),
            kind("response.created"),
            kind("response.output_item.added"),
            kind("response.function_call_arguments.delta"),
            kind("response.function_call_arguments.done"),
            kind("response.output_item.done"),
            kind("response.done"),
            kind("conversation.item.done"),
            kind("response.created"),
            kind("response.content_part.added"),
            json!({"type": "response.output_audio_transcript.delta", "delta": SHIPPED}),
            kind("response.output_audio.done"),
            json!({"type": "response.output_audio_transcript.done", "transcript": SHIPPED}),
            kind("response.content_part.done"),
            kind("response.done"),
            json!({"type": "response.output_text.delta", "delta": CLOSED}),
            json!({"type": "response.output_text.done", "text": CLOSED}),
            kind("response.done"),
            kind("response.output_audio_transcript.delta"),
            kind("response.done"),
            kind("conversation.item.truncated"),
            kind("conversation.item.retrieved"),
            kind("session.updated"),
            kind("input_audio_buffer.committed"),
            json!({"type": "response.output_audio_transcript.done", "transcript": BY_HAND}),
            kind("response.done"),
        ],
    );
    let mut names: Vec<&str> = events.iter().filter_map(|event| event["event_id"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), events.len(), "every event has a name of its own");
    let errors: Vec<&Value> = events.iter().filter(|event| event["type"] == "error").collect();
    assert_eq!((errors.len(), &errors[0]["error"]["code"]), (1, &json!("invalid_json")), "{errors:?}");
    let session = &events[0]["session"];
    assert_eq!((&session["model"], &session["type"]), (&json!("gpt-realtime"), &json!("realtime")), "{session}");

    let words = events.iter().filter(|event| event["type"] == "conversation.item.input_audio_transcription.completed");
    let words: Vec<&str> = words.filter_map(|event| event["transcript"].as_str()).collect();
    // It was said twice: as the seconds passed, and in one go.
    let expected = format!("{YOUNG_MAN_SAYS} {YOUNG_MAN_SAYS}");
    let wrong = word_error_rate(&expected, &words.join(" "));
    assert!(wrong <= 0.4, "{:.0} % of the words are wrong: {words:?}", wrong * 100.0);

    let called = events.iter().find(|event| event["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!(called["name"], "look_up_order", "{called}");
    let arguments: Value = serde_json::from_str(called["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"number": "4711"}));

    let done = |fits: &dyn Fn(&Value) -> bool| {
        let mut done = events.iter().filter(|event| event["type"] == "response.done");
        done.find(|event| fits(&event["response"])).unwrap_or_else(|| panic!("no such answer: {events:#?}"))
    };
    let says = |text: &'static str| done(&|response| response["output"][0]["content"][0]["transcript"] == text);
    let call = done(&|response| response["output"][0]["type"] == "function_call");
    let closed = done(&|response| response["output"][0]["content"][0]["text"] == CLOSED);
    for answer in [call, says(SHIPPED), closed, says(BY_HAND)] {
        assert_eq!(answer["response"]["status"], "completed", "{answer}");
    }
    assert_eq!(closed["response"]["output_modalities"], json!(["text"]));
    assert_eq!(closed["bytes"], says(SHIPPED)["bytes"], "a written answer is not heard");
    for text in [SHIPPED, BY_HAND] {
        is_whole(said(&spoken, text).sound(), turn(events, &heard, text), text);
    }
    let story = done(&|response| response["status_details"]["reason"] == "client_cancelled");
    assert_eq!(story["response"]["status"], "cancelled", "{story}");
    let cut = story["response"]["output"][0]["content"][0]["transcript"].as_str().unwrap_or_default();
    assert!(!cut.is_empty() && STORY.starts_with(cut), "{cut:?}");
    let kept = events.iter().find(|event| event["type"] == "conversation.item.retrieved").unwrap();
    let kept = kept["item"]["content"][0]["transcript"].as_str().unwrap_or_default();
    assert!(cut.starts_with(kept) && kept.len() < cut.len(), "{kept:?} of {cut:?}");

    let questions = model.so_far();
    for question in &questions {
        assert!(written(question, "system").iter().any(|text| text.contains(INSTRUCTIONS)), "{question}");
    }
    let was_written =
        |role: &str, part: &str| questions.iter().any(|all| written(all, role).iter().any(|text| text.contains(part)));
    assert!(was_written("tool", "shipped") && was_written("user", SUNDAYS), "{questions:#?}");
    let last = questions.last().unwrap();
    let told = written(last, "assistant");
    assert!(told.contains(&kept) || kept.is_empty(), "what was cut is not {kept:?} for the model: {last:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_javascript_sdk_forces_a_call_hears_its_answer_and_reads_another() {
    let Some(spoken) = voice() else { return };
    let script = json!([
        {"when": "shipped", "say": SHIPPED},
        {"when": "sundays", "say": CLOSED},
        {"calls": [{"name": "look_up_order", "arguments": {"number": "4711"}}]},
    ]);
    let mut model = Model::with(script).await;
    let Some(local) = Local::asking(&model).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("heard.raw");
    let arguments = [local.base_url(), KEY.to_owned(), out.to_string_lossy().into_owned()];
    let talking = tokio::task::spawn_blocking(move || {
        clients::node("openai_realtime.mjs", &arguments.each_ref().map(String::as_str))
    });
    let Some(report) = talking.await.unwrap() else { return };
    let events = report["events"].as_array().unwrap();
    assert_in_order(
        events,
        &[
            kind("session.created"),
            kind("session.updated"),
            kind("response.created"),
            json!({"type": "response.function_call_arguments.done", "arguments": r#"{"number":"4711"}"#}),
            kind("response.done"),
            kind("response.content_part.added"),
            json!({"type": "response.output_audio_transcript.done", "transcript": SHIPPED}),
            kind("response.done"),
            json!({"type": "response.output_text.done", "text": CLOSED}),
            kind("response.done"),
            kind("error"),
        ],
    );
    // Of all that was sent, only what nobody can choose was wrong.
    assert_eq!(report["errors"], json!(["invalid_value"]), "{events:#?}");
    let heard = samples(&std::fs::read(&out).unwrap());
    is_whole(said(&spoken, SHIPPED).sound(), turn(events, &heard, SHIPPED), SHIPPED);
    // The call was forced in the one answer that wanted it, and in no other.
    let choices: Vec<Value> = model.so_far().iter().map(|question| question["tool_choice"].clone()).collect();
    let forced = json!({"type": "function", "function": {"name": "look_up_order"}});
    assert_eq!(choices.first(), Some(&forced), "{choices:?}");
    assert!(choices.len() > 2 && choices[1..].iter().all(Value::is_null), "{choices:?}");
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_opens_the_session_it_was_made_for_and_nothing_else() {
    let (Some(question), Some(())) = (recorded(), models_or_skip()) else { return };
    let model = Model::with(json!([])).await;
    let Some((report, _)) = python(&model, "secret", question).await else { return };
    let events = report["events"].as_array().unwrap();
    assert_eq!((&report["errors"], &report["bytes"]), (&json!([]), &json!(0)), "{events:#?}");
    assert_eq!(report["refused"], "AuthenticationError");
    let secret = &report["secret"];
    assert!(secret["value"].as_str().is_some_and(|value| value.starts_with("ek_")), "a secret has its sign");
    assert!(secret["expires_at"].as_u64().is_some_and(|at| at > 1_700_000_000), "it expires");
    assert_eq!(
        (&secret["session"]["type"], &events[0]["session"]["type"]),
        (&json!("transcription"), &json!("transcription"))
    );
    assert_in_order(
        events,
        &[
            kind("session.created"),
            kind("input_audio_buffer.speech_started"),
            kind("input_audio_buffer.speech_stopped"),
            kind("input_audio_buffer.committed"),
            kind("conversation.item.added"),
            kind("conversation.item.input_audio_transcription.completed"),
        ],
    );
    let of = |kind: &str| events.iter().filter(move |event| event["type"] == kind).collect::<Vec<_>>();
    let completed = of("conversation.item.input_audio_transcription.completed");
    let words: Vec<&str> = completed.iter().filter_map(|event| event["transcript"].as_str()).collect();
    let wrong = word_error_rate(YOUNG_MAN_SAYS, &words.join(" "));
    assert!(wrong <= 0.4, "{:.0} % of the words are wrong: {words:?}", wrong * 100.0);
    let item = &completed[0]["item_id"];
    let deltas = of("conversation.item.input_audio_transcription.delta");
    let read: String =
        deltas.iter().filter(|delta| delta["item_id"] == *item).filter_map(|delta| delta["delta"].as_str()).collect();
    let wrong = word_error_rate(words[0], &read);
    assert!(wrong <= 0.4, "{read:?} was read of {:?}", words[0]);
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap_or_default().starts_with("response.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_over_an_answer_cancels_it_and_is_answered() {
    let (Some(spoken), Some(sentence)) = (voice(), recorded()) else { return };
    let answer = "All right, let us talk about something else.";
    let model = Model::with(json!([{"when": "tell me a story", "say": STORY}, {"say": answer}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::open(&local).await;
    let session = json!({"audio": {
        "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad", "silence_duration_ms": 300}},
    }});
    client.tell(&json!({"type": "session.update", "session": session})).await;
    client.write("Tell me a story.").await;
    client.tell(&json!({"type": "response.create"})).await;
    // A sentence and a half.
    client.until("the story", |came| came.heard.len() > 7 * HZ as usize).await;
    client.says.extend(at_8k(&fixture::wav_16k(Path::new(&sentence))));
    client.until("an end of the story", |came| came.done().len() == 1).await;
    let until = client.came.heard.len();
    client.until("the answer", |came| came.done().iter().any(|done| done["status"] == "completed")).await;

    let came = &client.came;
    let done = came.done();
    assert_eq!(done[0]["status"], "cancelled");
    assert_eq!(done[0]["status_details"], json!({"type": "cancelled", "reason": "turn_detected"}));
    let told = done[0]["output"][0]["content"][0]["transcript"].as_str().unwrap_or_default();
    let untold = STORY.strip_prefix(told).unwrap_or_else(|| panic!("{told:?} is not how the story begins"));
    let (told, untold) = (whole_sentences(told), whole_sentences(untold));
    assert!(!told.is_empty() && untold.len() > 1, "{told:?} {untold:?}");
    let alike = |sentence: &str, heard: &[f32]| {
        likeness(said(&spoken, sentence).sound(), Sound { samples: heard, rate_hz: HZ })
    };
    for sentence in told {
        assert!(alike(sentence, &came.heard[..until]) > ALIKE, "{sentence:?} was not heard");
    }
    for sentence in &untold[1..] {
        assert!(alike(sentence, &came.heard) < UNLIKE, "{sentence:?} was heard");
    }
    assert!(alike(answer, &came.heard[until..]) > ALIKE, "{answer:?} was not heard");
    client.socket.vanish();
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_understands_is_answered_by_an_error_and_the_session_lives() {
    if voice().is_none() {
        return;
    }
    let model = Model::with(json!([{"say": CLOSED}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::open(&local).await;
    for (message, param) in [
        (r#"{"type": "sing", "event_id": "e1"}"#, "type"),
        (
            r#"{"type": "session.update", "event_id": "e1", "session": {"tool_choice": "always"}}"#,
            "session.tool_choice",
        ),
        (r#"{"type": "session.update", "event_id": "e1", "session": {"voice": "alloy"}}"#, "session.voice"),
        (r#"{"type": "conversation.item.retrieve", "event_id": "e1", "item_id": "nobody"}"#, "item_id"),
        (r#"{"type": "input_audio_buffer.append", "event_id": "e1", "audio": "?"}"#, "audio"),
        (r#"{"type": "response.cancel", "event_id": "e1"}"#, "response_id"),
        (r#"{"type": "output_audio_buffer.clear", "event_id": "e1"}"#, "type"),
    ] {
        let before = client.came.of("error").count();
        client.socket.text(message).await;
        client.until("an error", |came| came.of("error").count() > before).await;
        let error = &client.came.of("error").last().expect("it came")["error"];
        assert_eq!((&error["param"], &error["event_id"]), (&json!(param), &json!("e1")), "{message}: {error}");
        assert!(!error["message"].as_str().unwrap_or_default().is_empty(), "{message}: {error}");
    }
    client.write(SUNDAYS).await;
    client.tell(&json!({"type": "response.create", "response": {"output_modalities": ["text"]}})).await;
    client.until("an answer", |came| came.done().len() == 1).await;
    assert_eq!(client.came.of("response.output_text.done").next().map(|done| &done["text"]), Some(&json!(CLOSED)));

    // There is an end to patience.
    let mut garbage = Socket::open(&url(&local), &[]).await.unwrap();
    for _ in 0..51 {
        garbage.text("nonsense").await;
    }
    let (came, closed) = timeout(PATIENCE, garbage.rest()).await.expect("the socket is closed");
    assert_eq!((came.iter().filter(|event| event["type"] == "error").count(), closed.code), (50, Some(1008)));
    client.socket.vanish();
    local.drain().await;
}

/// What came.
#[derive(Default)]
struct Came {
    events: Vec<Value>,
    heard: Vec<f32>,
}

impl Came {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["type"] == kind)
    }

    /// Answers that are over.
    fn done(&self) -> Vec<&Value> {
        self.of("response.done").map(|event| &event["response"]).collect()
    }
}

/// A client by hand: a microphone that never stops, once there is a session, and a memory of all that comes.
struct Client {
    socket: Socket,
    ticks: Interval,
    /// What the microphone hears next, 8,000 samples in a second; silence when nothing is left.
    says: VecDeque<f32>,
    came: Came,
}

impl Client {
    async fn open(local: &Local) -> Self {
        let mut client = Self {
            socket: Socket::open(&url(local), &[]).await.unwrap(),
            ticks: interval(Duration::from_millis(20)),
            says: VecDeque::new(),
            came: Came::default(),
        };
        let created = timeout(PATIENCE, client.socket.json()).await.expect("a session").expect("an open socket");
        assert_eq!(created["type"], "session.created", "{created}");
        client
    }

    async fn tell(&mut self, event: &Value) {
        self.socket.text(&event.to_string()).await;
    }

    async fn write(&mut self, text: &str) {
        let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
        self.tell(&json!({"type": "conversation.item.create", "item": item})).await;
    }

    /// Speaks and listens until what came is as it should be.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Came) -> bool) {
        let talking = async {
            while !is_so(&self.came) {
                self.step().await;
            }
        };
        let is_there = timeout(PATIENCE, talking).await.is_ok();
        assert!(is_there, "{what} did not come: {:#?}", self.came.events);
    }

    async fn step(&mut self) {
        tokio::select! {
            // Silence is said, too: somebody who speaks has to stop.
            _ = self.ticks.tick(), if !self.came.events.is_empty() => {
                let count = self.says.len().min(LINE_HZ as usize / 50);
                let mut piece: Vec<f32> = self.says.drain(..count).collect();
                piece.resize(LINE_HZ as usize / 50, 0.0);
                let bytes: Vec<u8> = piece.iter().map(|sample| Law::Mu.encode(*sample)).collect();
                let audio = STANDARD.encode(bytes);
                self.tell(&json!({"type": "input_audio_buffer.append", "audio": audio})).await;
            }
            event = self.socket.json() => {
                let event = event.unwrap_or_else(|closed| panic!("{closed:?} after {:#?}", self.came.events));
                if event["type"] == "response.output_audio.delta" {
                    let bytes = STANDARD.decode(event["delta"].as_str().expect("base64")).expect("base64");
                    self.came.heard.extend(samples(&bytes));
                } else {
                    self.came.events.push(event);
                }
            }
        }
    }
}

/// What a scenario of the SDK reports, and what it heard; `None` where there is no SDK.
async fn python(model: &Model, scenario: &'static str, question: String) -> Option<(Value, Vec<f32>)> {
    let config = format!("[auth]\nkeys = [\"{KEY}\"]\n{}", model.config());
    let server = Server::start(kit::Options { config: &config, ..kit::Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("heard.raw");
    let path = out.to_string_lossy().into_owned();
    let arguments = [server.base_url(), KEY.to_owned(), scenario.to_owned(), question, path];
    let talking = tokio::task::spawn_blocking(move || {
        clients::python("openai_realtime.py", &arguments.each_ref().map(String::as_str))
    });
    let report = talking.await.unwrap()?;
    let heard = samples(&std::fs::read(&out).unwrap());
    Some((report, heard))
}

/// The sound of the answer that says this.
fn turn<'a>(events: &[Value], heard: &'a [f32], text: &str) -> Sound<'a> {
    let ended =
        events.iter().find(|event| event["transcript"] == text).unwrap_or_else(|| panic!("{text:?} was not said"));
    let began = events
        .iter()
        .find(|event| event["type"] == "response.content_part.added" && event["item_id"] == ended["item_id"]);
    let sample = |event: &Value| event["bytes"].as_u64().unwrap() as usize / 2;
    Sound { samples: &heard[sample(began.expect("it began"))..sample(ended)], rate_hz: HZ }
}

fn url(local: &Local) -> String {
    format!("{}/v1/realtime?model=gpt-realtime", local.ws_url())
}

/// A voice that says what an agent says.
fn voice() -> Option<Spoken> {
    Spoken::start(HZ).map_err(|why| println!("{why}")).ok()
}

/// The path of the recording.
fn recorded() -> Option<String> {
    let path = fixture::recording(YOUNG_MAN).map_err(|why| println!("{why}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// What an agent is to be heard saying.
fn said(spoken: &Spoken, text: &str) -> Sampled {
    Sampled { samples: spoken.says("en", text), rate_hz: HZ }
}

/// Every second sample: the recordings hold little above four kilohertz.
fn at_8k(samples: &[f32]) -> Vec<f32> {
    samples.chunks(2).map(|pair| pair.iter().sum::<f32>() / pair.len() as f32).collect()
}

fn kind(kind: &str) -> Value {
    json!({"type": kind})
}

/// They come in this order, whatever comes between them.
fn assert_in_order(events: &[Value], expected: &[Value]) {
    let fits = |event: &Value, wanted: &Value| {
        wanted.as_object().is_some_and(|wanted| wanted.iter().all(|(name, value)| event[name] == *value))
    };
    let mut rest = events.iter();
    for wanted in expected {
        assert!(rest.any(|event| fits(event, wanted)), "{wanted} does not come in its place: {events:#?}");
    }
}
