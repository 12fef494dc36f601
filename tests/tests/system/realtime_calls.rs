//! OpenAI's realtime dialect over WebRTC, `/v1/realtime/calls`: its unmodified SDK brings the offers of another
//! implementation (aiortc), callers by hand cut answers, commit and hang up, and what cannot be answered is refused.
//!
//! The model is scripted ([`tests::llm`]), the voice is espeak-ng's, and what a caller hears on its track is compared with
//! what the same voice says.

use std::{path::Path, time::Duration};

use media::dsp::resample::Resampler;
use serde_json::{Value, json};
use server::config::Config;
use tests::{
    client::{Socket, samples},
    clients, fixture,
    listening::{Sound, UNLIKE, likeness},
    llm::Model,
    scripted::Local,
    server::{self as kit, Server, models_or_skip},
    spoken::{Spoken, whole_sentences},
    webrtc_caller::{Caller, RATE_HZ, Wants, line::Line},
};
use tokio::time::{interval, timeout};

const KEY: &str = "hv_test_key_of_the_call_tests";

/// Speech without a pause in its first two seconds.
const QUESTION: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";
const QUESTION_S: usize = 2;

const SHIPPED: &str = "Your order was shipped yesterday.";
const CLOSED: &str = "On Sundays we are closed.";
const HERE: &str = "I have heard every word that you said.";
const STORY: &str = "Once upon a time there was a very small village behind seven mountains. In that village lived an old \
                     clock maker who had never been late in all his life. Every morning he walked down to the river, and \
                     every evening he walked back again. One day the river was gone, and nobody could tell him where it \
                     went.";

/// Alike from here on is the same speech, behind Opus too.
const ALIKE: f64 = 0.8;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_brings_a_call_that_talks_and_calls_functions() {
    let (Some(spoken), Some(question), Some(())) = (voice(), recorded(), models_or_skip()) else { return };
    // Whatever is heard of the question, an order is looked up.
    let call = json!([{"name": "look_up_order", "arguments": {"number": "4711"}}]);
    let model = Model::with(json!([{"when": "shipped", "say": SHIPPED}, {"calls": call}])).await;
    let config = format!("[auth]\nkeys = [\"{KEY}\"]\n{}", model.config());
    let server = Server::start(kit::Options { config: &config, ..kit::Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("heard.raw");
    let arguments = [server.base_url(), KEY.to_owned(), question, out.to_string_lossy().into_owned()];
    let talking = tokio::task::spawn_blocking(move || {
        clients::python("openai_realtime_calls.py", &arguments.each_ref().map(String::as_str))
    });
    let Some(report) = talking.await.unwrap() else { return };

    assert_eq!((&report["status"], &report["refused"]), (&json!(201), &json!("AuthenticationError")), "{report:#}");
    let location = report["location"].as_str().unwrap_or_default();
    assert!(location.strip_prefix("/v1/realtime/calls/").is_some_and(|id| id.len() == 32), "{location:?}");
    let events = report["events"].as_array().unwrap();
    assert_in_order(
        events,
        &[
            "session.created",
            "session.updated",
            "input_audio_buffer.speech_started",
            "response.created",
            "response.function_call_arguments.done",
            "response.done",
            "conversation.item.done",
            "response.created",
            "response.content_part.added",
            "output_audio_buffer.started",
            "response.output_audio_transcript.done",
            "response.done",
            "output_audio_buffer.stopped",
        ],
    );
    assert!(events.iter().all(|event| event["type"] != "response.output_audio.delta"), "sound is on the track alone");
    let created = &events[0]["session"];
    assert_eq!((&created["tools"][0]["name"], &created["model"]), (&json!("look_up_order"), &json!("gpt-realtime")));
    let called = events.iter().find(|event| event["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!((&called["name"], &called["arguments"]), (&json!("look_up_order"), &json!(r#"{"number":"4711"}"#)));
    assert_heard(&spoken, SHIPPED, &samples(&std::fs::read(&out).unwrap()));
    // Hung up over HTTP, and found no more.
    assert_eq!((&report["hung_up"], &report["again"]), (&json!(true), &json!("NotFoundError")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_on_its_track_cut_by_its_client_and_frees_everything() {
    let (Some(spoken), Some(question)) = (voice(), recorded()) else { return };
    // Of a story that was cut before a word of it was heard the wish stays, and the next question stands behind it.
    let script = json!([{"when": "sundays", "say": CLOSED}, {"when": "tell me a story", "say": STORY}, {"say": HERE}]);
    let model = Model::with(script).await;
    let Some(local) = Local::asking(&model).await else { return };
    let url = format!("{}/v1/realtime/calls?model=scripted", local.base_url());
    let mut caller = Caller::call(&url, Wants::ALL).await.unwrap();
    let created = caller.texts_until("session.created").await.pop().unwrap();
    assert_eq!(created["session"]["model"], "scripted", "{created}");
    caller.speak(&[0.0; 960]).await;

    ask(&caller, "Do you open on Sundays?").await;
    let events = caller.texts_until("output_audio_buffer.stopped").await;
    assert_in_order(
        &events,
        &["response.created", "response.content_part.added", "output_audio_buffer.started", "response.done"],
    );
    assert_eq!(done(&events)["status"], "completed", "{events:#?}");
    assert_heard(&spoken, CLOSED, &caller.heard().samples);

    for cut in ["response.cancel", "output_audio_buffer.clear"] {
        caller.forget();
        ask(&caller, "Tell me a story.").await;
        caller.texts_until("output_audio_buffer.started").await;
        tell(&caller, &json!({"type": cut})).await;
        let events = caller.texts_until("output_audio_buffer.cleared").await;
        let response = done(&events);
        assert_eq!(response["status_details"]["reason"], "client_cancelled", "{cut}: {response}");
        // It goes on with the next answer, and not with what was cut.
        ask(&caller, "Do you open on Sundays?").await;
        caller.texts_until("output_audio_buffer.stopped").await;
        let heard = caller.heard().samples;
        assert_heard(&spoken, CLOSED, &heard);
        let last = whole_sentences(STORY).pop().unwrap();
        let alike = likeness(Sound { samples: &spoken.says("en", last), rate_hz: RATE_HZ }, of_track(&heard));
        assert!(alike < UNLIKE, "{last:?} was heard after {cut}: {alike}");
    }

    // What is said is answered when it ends, or when the client ends it.
    let question = question_48k(&question);
    caller.forget();
    caller.speak(&question).await;
    let events = caller.texts_until("output_audio_buffer.stopped").await;
    assert_in_order(&events, &["input_audio_buffer.speech_started", "response.created", "output_audio_buffer.started"]);
    assert!(events.iter().any(|event| event["type"] == "input_audio_buffer.committed"), "{events:#?}");
    assert_heard(&spoken, HERE, &caller.heard().samples);
    let input = json!({"turn_detection": null, "transcription": {"language": "en"}});
    tell(&caller, &json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": input}}})).await;
    caller.texts_until("session.updated").await;
    caller.forget();
    caller.speak(&question).await;
    tell(&caller, &json!({"type": "input_audio_buffer.commit"})).await;
    let events = caller.texts_until("conversation.item.input_audio_transcription.completed").await;
    let words = events.last().unwrap()["transcript"].as_str().unwrap_or_default();
    assert!(!words.is_empty(), "nothing was heard of what was committed: {events:#?}");
    tell(&caller, &json!({"type": "response.create"})).await;
    caller.texts_until("output_audio_buffer.stopped").await;
    assert_heard(&spoken, HERE, &caller.heard().samples);

    // Sound is not taken twice, and nonsense is answered.
    for (message, param) in [
        (r#"{"type": "input_audio_buffer.append", "event_id": "e1", "audio": "AAAA"}"#, json!("type")),
        (r#"{"type": "sing", "event_id": "e1"}"#, json!("type")),
        (r#"{"type": "response.cancel", "event_id": "e1"}"#, json!("response_id")),
    ] {
        caller.tell(message).await;
        let error = caller.texts_until("error").await.pop().unwrap()["error"].take();
        assert_eq!((&error["event_id"], &error["param"]), (&json!("e1"), &param), "{message}: {error}");
    }

    let http = reqwest::Client::new();
    let hang_up = format!("{}/hangup", caller.location());
    assert_eq!(http.post(&hang_up).send().await.unwrap().status(), 200);
    caller.lost().await;
    assert_eq!(http.post(&hang_up).send().await.unwrap().status(), 404);
    assert_eq!(caller.hang_up().await, 404);
    freed(&local).await;

    // Whoever vanishes or hangs up themselves leaves nothing either.
    let mut another = Caller::call(&url, Wants::ALL).await.unwrap();
    another.texts_until("session.created").await;
    drop(another);
    freed(&local).await;
    let mut third = Caller::call(&url, Wants::ALL).await.unwrap();
    third.texts_until("session.created").await;
    assert_eq!(third.hang_up().await, 200);
    third.lost().await;
    freed(&local).await;
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_client_sends_when_its_channel_opens_is_read() {
    if voice().is_none() {
        return;
    }
    let model = Model::with(json!([{"say": CLOSED}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut caller = Caller::call(&format!("{}/v1/realtime/calls", local.base_url()), Wants::ALL).await.unwrap();
    caller.texts_until("session.created").await;
    // A history of 60 messages at once, and instructions that are longer than one datagram.
    let instructions = "Be brief. ".repeat(4_000);
    tell(&caller, &json!({"type": "session.update", "session": {"instructions": instructions}})).await;
    for number in 0..60 {
        let content = json!([{"type": "input_text", "text": format!("Message {number}.")}]);
        let item = json!({"type": "message", "role": "user", "id": format!("mine_{number}"), "content": content});
        tell(&caller, &json!({"type": "conversation.item.create", "item": item})).await;
    }
    tell(&caller, &json!({"type": "response.create", "response": {"output_modalities": ["text"]}})).await;
    let events = caller.texts_until("response.done").await;
    let added = events.iter().filter(|event| event["type"] == "conversation.item.added");
    let added: Vec<&str> =
        added.filter_map(|event| event["item"]["id"].as_str()).filter(|id| id.starts_with("mine_")).collect();
    let expected: Vec<String> = (0..60).map(|number| format!("mine_{number}")).collect();
    assert_eq!(added, expected);
    let updated = events.iter().find(|event| event["type"] == "session.updated").expect("the session was updated");
    assert_eq!(updated["session"]["instructions"], instructions);
    // An answer that is read is not heard.
    assert_eq!(done(&events)["output"][0]["content"][0]["text"], CLOSED);
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap_or_default().starts_with("output_audio_buffer")));

    // Somebody else joins the call, steers it, and reads what its caller reads.
    let id = caller.location().rsplit('/').next().unwrap();
    let of_call = |id: &str| format!("{}/v1/realtime?call_id={id}", local.ws_url());
    let refused = Socket::open(&of_call("0a"), &[]).await.err().expect("there is no such call");
    assert_eq!((refused.status, &refused.body["error"]["param"]), (404, &json!("call_id")));
    let mut guest = Socket::open(&of_call(id), &[]).await.unwrap();
    let created = timeout(PATIENCE, guest.json()).await.expect("a session").unwrap();
    assert_eq!(created["type"], "session.created");
    assert_eq!(created["session"]["instructions"], instructions);
    guest.text(r#"{"type": "input_audio_buffer.commit", "event_id": "e7"}"#).await;
    let errors = timeout(PATIENCE, guest.until("error")).await.expect("an error").unwrap();
    assert_eq!(errors.last().unwrap()["error"]["event_id"], "e7");
    let text = json!({"type": "response.create", "response": {"output_modalities": ["text"]}});
    guest.text(&text.to_string()).await;
    let read = timeout(PATIENCE, guest.until("response.done")).await.expect("an answer").unwrap();
    let told = caller.texts_until("response.done").await;
    assert_eq!((done(&read), done(&read)["output"][0]["content"][0]["text"].as_str()), (done(&told), Some(CLOSED)));
    drop(caller);
    let (_, closed) = timeout(PATIENCE, guest.rest()).await.expect("the call's end is the guest's");
    assert_eq!(closed.code, Some(1000));
    freed(&local).await;
    local.drain().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_openais_shape() {
    let local = Local::deaf(Config::default()).await;
    let http = reqwest::Client::new();
    let base = format!("{}/v1/realtime/calls", local.base_url());
    let offer = offer(Wants::ALL);
    let mute = self::offer(Wants { has_channel: false, ..Wants::ALL });
    let without_opus = offer.replace("opus/48000/2", "speex/32000");
    let form = |session: &str| {
        let part = |name: &str, value: &str| {
            format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        format!("{}{}--X--\r\n", part("sdp", &offer), part("session", session))
    };
    let (sdp, multipart) = ("application/sdp", "multipart/form-data; boundary=X");
    for (query, kind, body, status, code, param) in [
        ("", "application/json", offer.clone(), 415, "unsupported_media_type", None),
        ("", sdp, "nonsense".to_owned(), 400, "bad_sdp", Some("sdp")),
        ("", sdp, "v=0\r\n".repeat(20_000), 413, "too_large", Some("sdp")),
        ("", sdp, without_opus, 406, "codec_not_offered", Some("sdp")),
        ("", sdp, mute, 400, "no_data_channel", Some("sdp")),
        ("", multipart, form("nonsense"), 400, "invalid_json", Some("session")),
        ("", multipart, form(r#"{"type": "song"}"#), 400, "invalid_value", Some("session.type")),
        ("", multipart, form(r#"{"type": "realtime", "la": 1}"#), 400, "unknown_parameter", Some("session.la")),
        ("?call_id=0a", sdp, offer.clone(), 400, "unsupported_parameter", Some("call_id")),
        ("/0a/hangup", sdp, String::new(), 404, "call_not_found", None),
        ("/0a/accept", sdp, String::new(), 404, "call_not_found", None),
        ("/0a/refer", sdp, String::new(), 404, "call_not_found", None),
    ] {
        let response =
            http.post(format!("{base}{query}")).header("content-type", kind).body(body).send().await.unwrap();
        let answered = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let error = &body["error"];
        assert_eq!((answered, &error["code"], error["param"].as_str()), (status, &json!(code), param), "{body}");
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert!(!error["message"].as_str().unwrap_or_default().is_empty(), "{body}");
    }
    assert!(local.app.rooms().list().is_empty(), "a room was left");
    assert_eq!(local.app.webrtc().taken(), 0);
}

#[tokio::test]
async fn a_page_of_another_origin_may_make_calls_with_a_key_and_reaches_nothing_else() {
    let mut config = Config::default();
    config.auth.keys = vec![KEY.to_owned()];
    config.http.pages = vec!["https://app.example.org".to_owned()];
    let local = Local::deaf(config).await;
    let http = reqwest::Client::new();
    let (listed, of_this_machine, stranger) =
        (Some("https://app.example.org"), Some("http://localhost:5173"), Some("https://evil.example"));
    for (path, origin, is_let_in) in [
        ("/v1/realtime/calls", listed, true),
        ("/v1/realtime/client_secrets", of_this_machine, true),
        ("/v1/realtime/calls", stranger, false),
        ("/v1/realtime/calls", None, false),
        ("/api/rooms", listed, false),
    ] {
        let url = format!("{}{path}", local.base_url());
        let of_page = |request: reqwest::RequestBuilder| match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        let asked = of_page(http.request(reqwest::Method::OPTIONS, &url))
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-stainless-os");
        let answer = asked.send().await.unwrap();
        let allowed = answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap());
        assert_eq!(allowed, origin.filter(|_| is_let_in), "{path} {origin:?}");
        assert_eq!(answer.status() == 204, is_let_in, "{path} {origin:?}");
        if is_let_in {
            assert_eq!(answer.headers()["access-control-allow-headers"], "authorization,content-type,x-stainless-os");
        }
        // Without a key nobody gets in, and a page that may call reads why.
        let refused = of_page(http.post(&url)).send().await.unwrap();
        let allowed = refused.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap());
        assert_eq!((refused.status().as_u16(), allowed), (401, origin.filter(|_| is_let_in)), "{path} {origin:?}");
    }
    let secret = http.post(format!("{}/v1/realtime/client_secrets", local.base_url())).bearer_auth(KEY);
    let secret = secret.header("origin", "https://app.example.org").send().await.unwrap();
    assert_eq!(secret.status(), 200);
    assert_eq!(secret.headers()["access-control-allow-origin"], "https://app.example.org");
    local.drain().await;
}

/// Writes something and asks for an answer.
async fn ask(caller: &Caller, text: &str) {
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
    tell(caller, &json!({"type": "conversation.item.create", "item": item})).await;
    tell(caller, &json!({"type": "response.create"})).await;
}

async fn tell(caller: &Caller, event: &Value) {
    caller.tell(&event.to_string()).await;
}

/// The answer that is over.
fn done(events: &[Value]) -> &Value {
    let done = events.iter().rfind(|event| event["type"] == "response.done");
    &done.unwrap_or_else(|| panic!("no answer is over: {events:#?}"))["response"]
}

/// That events of these types came one after the other, whatever came between them.
fn assert_in_order(events: &[Value], types: &[&str]) {
    let mut came = events.iter();
    for kind in types {
        assert!(came.any(|event| event["type"] == *kind), "{kind} did not come in its turn: {events:#?}");
    }
}

fn assert_heard(spoken: &Spoken, text: &str, heard: &[f32]) {
    let alike = likeness(Sound { samples: &spoken.says("en", text), rate_hz: RATE_HZ }, of_track(heard));
    assert!(alike > ALIKE, "{text:?} was not heard: {alike}");
}

fn of_track(samples: &[f32]) -> Sound<'_> {
    Sound { samples, rate_hz: RATE_HZ }
}

/// Waits until no call and no room is left.
async fn freed(local: &Local) {
    let look = async {
        let mut every = interval(Duration::from_millis(50));
        while local.app.webrtc().taken() > 0 || !local.app.rooms().list().is_empty() {
            every.tick().await;
        }
    };
    let is_freed = timeout(PATIENCE, look).await.is_ok();
    assert!(is_freed, "{} calls, {} rooms", local.app.webrtc().taken(), local.app.rooms().list().len());
}

fn offer(wants: Wants) -> String {
    Line::offer(now(), ([127, 0, 0, 1], 9).into(), wants).1
}

#[expect(clippy::disallowed_methods, reason = "callers live in real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A voice that says what an agent says.
fn voice() -> Option<Spoken> {
    Spoken::start(RATE_HZ).map_err(|why| println!("{why}")).ok()
}

/// The path of the recording.
fn recorded() -> Option<String> {
    let path = fixture::recording(QUESTION).map_err(|why| println!("{why}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// The beginning of the recording, as callers speak it.
fn question_48k(path: &str) -> Vec<f32> {
    let mut question = fixture::wav_16k(Path::new(path));
    question.truncate(QUESTION_S * 16_000);
    let mut resampler = Resampler::new(16_000, RATE_HZ).unwrap();
    let mut samples = Vec::new();
    resampler.process(&question, &mut samples);
    resampler.flush(&mut samples);
    samples
}
