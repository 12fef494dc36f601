//! Deepgram's turns, `/v2/listen`: its unmodified SDK hears two recordings begin and end, and sockets by hand change
//! thresholds, end turns themselves, or say what nobody understands.
//!
//! They need the recordings of `../shared` and the installed models; without, they say so. The times of turns are
//! those of the audio.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tests::{
    client::{Said, Socket, linear16},
    clients, fixture,
    server::{Options, Server, models_or_skip},
    wer::{plain_words, word_error_rate},
};
use tokio::time::{Instant, Interval, interval, timeout};

const KEY: &str = "hv_test_key_of_the_sdk_tests";

/// A recording, and what is said in it.
struct Recorded {
    file: &'static str,
    says: &'static str,
}

const JFK: Recorded = Recorded {
    file: "audio/speech/jfk.wav",
    says: "and so my fellow americans ask not what your country can do for you ask what you can do for your country",
};

const YOUNG_MAN: Recorded = Recorded {
    file: "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav",
    says: "he was not an ill disposed young man",
};

/// One long sentence.
const DASHWOOD: Recorded = Recorded {
    file: "audio/speech/sense_and_sensibility_01_austen_64kb-0870.wav",
    says: "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do \
           for them",
};

/// What sockets by hand send: 16 kHz in pieces of 80 ms.
const FORM: &str = "encoding=linear16&sample_rate=16000";
const PIECE_MS: u64 = 80;
const PIECE: usize = 16 * PIECE_MS as usize;

/// With these a breath within a sentence ends no turn.
const PATIENT: &str = "&eot_threshold=0.9&eot_timeout_ms=10000";

/// Whoever has said so many words is in the middle of the long sentence.
const SOME_WORDS: usize = 5;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A turn that a client ends has ended after so long.
const FORCED_WITHIN: Duration = Duration::from_secs(8);

/// A turn ends so long after its last word, in seconds of the audio.
const ENDS_WITHIN_S: f64 = 2.5;

/// That it has ended is told so long after that, in seconds.
const TOLD_WITHIN_S: f64 = 5.0;

/// What scores ends of turns, where it is installed.
const SMART_TURN: &str = "smart-turn-v3/smart-turn-v3.2-cpu.onnx";

#[test]
fn deepgrams_own_sdk_hears_every_turn_begin_and_end_in_order() {
    let (Some(first), Some(second), Some(())) = (YOUNG_MAN.path(), JFK.path(), models_or_skip()) else { return };
    let config = format!("[auth]\nkeys = [\"{KEY}\"]\n");
    let server = Server::start(Options { config: &config, ..Options::default() }).expect("the server starts");
    let (first, second) = (first.to_string_lossy(), second.to_string_lossy());
    let Some(report) = clients::python("deepgram_turns.py", &[&server.base_url(), KEY, &first, &second]) else {
        return;
    };
    assert_eq!((&report["errors"], report["close"].as_u64()), (&json!([]), Some(1000)), "{report:#}");
    let messages = report["messages"].as_array().unwrap();
    assert_orderly(messages);
    assert_eq!(messages[0]["class"], "ListenV2Connected", "{}", messages[0]);
    let other = messages[1..].iter().find(|message| message["class"] != "ListenV2TurnInfo");
    assert!(other.is_none(), "{other:?}");

    let ends = ends(messages);
    let text = heard(&ends);
    assert_heard(&format!("{} {}", YOUNG_MAN.says, JFK.says), &text, 0.25);
    let second_s = seconds(&report["second_s"]);
    let (of_first, of_second): (Vec<&Value>, Vec<&Value>) =
        ends.into_iter().partition(|end| last_word_s(end) < second_s);
    assert!(!of_first.is_empty() && !of_second.is_empty(), "both recordings are one turn: {text:?}");
    assert_heard(YOUNG_MAN.says, &heard(&of_first), 0.4);
    let end = of_first.last().expect("there is one");
    let waited_s = seconds(&end["audio_window_end"]) - last_word_s(end);
    println!("the first turn ends {waited_s:.2} s after its last word");
    println!("{} events: {:?}", messages.len(), infos(messages).map(|info| &info["event"]).collect::<Vec<_>>());
    assert!(waited_s <= ENDS_WITHIN_S, "{waited_s} s after its last word: {end}");
    // What ends with the stream waits for its last words.
    for end in of_first.iter().chain(&of_second).filter(|end| end["trigger"] != "manual") {
        let late_s = seconds(&end["at_s"]) - seconds(&end["audio_window_end"]);
        println!("an end is told {late_s:.2} s after it");
        assert!(late_s < TOLD_WITHIN_S, "told {late_s} s after it: {end}");
    }
    // A model that is sure of an end leaves no time to foretell it.
    if fixture::model(SMART_TURN).is_err() {
        assert!(has_foretold(messages), "{messages:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_by_its_name_before_the_upgrade() {
    if models_or_skip().is_none() {
        return;
    }
    let server = Server::start(Options::default()).expect("the server starts");
    for (query, name) in [
        (format!("{FORM}&eot_threshold=0.2"), "eot_threshold"),
        (format!("{FORM}&eager_eot_threshold=0.8&eot_threshold=0.6"), "eager_eot_threshold"),
        (format!("{FORM}&redact=pci"), "redact"),
        ("encoding=amr-nb&sample_rate=8000".to_owned(), "encoding"),
    ] {
        let Err(refused) = Socket::open(&url(&server, &query), &[]).await else { panic!("{query} was taken") };
        assert_eq!(refused.status, 400, "{query}: {}", refused.body);
        let why = refused.body["err_msg"].as_str().unwrap_or_default();
        assert!(why.contains(name), "{query}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_change_while_a_stream_goes_on_and_wrong_ones_change_nothing() {
    let Some((server, audio)) = prepared(&JFK) else { return };
    let mut client = Client::open(&server, "").await;
    let success = client.ask(&configure(json!({"eager_eot_threshold": 0.3})), "ConfigureSuccess").await;
    assert_thresholds(&success, Some(0.3), 0.7, 5000.0);
    // Nothing is as sure as that: silence ends the turn, and leaves time to foretell its end.
    let other = configure(json!({"eot_threshold": 1.0, "eot_timeout_ms": 3000}));
    let success = client.ask(&other, "ConfigureSuccess").await;
    assert_thresholds(&success, Some(0.3), 1.0, 3000.0);
    let failure = client.ask(&configure(json!({"eot_threshold": 7})), "ConfigureFailure").await;
    assert_told(&failure);
    let success = client.ask(&configure(json!({"eot_timeout_ms": 2500})), "ConfigureSuccess").await;
    assert_thresholds(&success, Some(0.3), 1.0, 2500.0);

    client.say(&audio).await;
    let messages = client.close().await;
    assert_orderly(&messages);
    assert_heard(JFK.says, &heard(&ends(&messages)), 0.25);
    assert!(has_foretold(&messages), "{messages:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_understands_is_warned_of_and_the_stream_goes_on() {
    let Some((server, audio)) = prepared(&YOUNG_MAN) else { return };
    let mut client = Client::open(&server, "").await;
    for text in ["nonsense", r#"{"type": "Sing"}"#, r#"{"content": "Hello?"}"#] {
        let warning = client.ask(text, "Warning").await;
        assert_told(&warning);
    }
    client.say(&audio).await;
    let messages = client.close().await;
    assert_orderly(&messages);
    assert_heard(YOUNG_MAN.says, &heard(&ends(&messages)), 0.4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_a_client_ends_holds_the_words_so_far_and_the_next_one_those_after_it() {
    let Some((server, audio)) = prepared(&DASHWOOD) else { return };
    let mut client = Client::open(&server, PATIENT).await;
    client.says.extend(&audio);
    client.until("some words", |client| client.words_so_far() >= SOME_WORDS).await;
    let asked = Instant::now();
    client.tell(&json!({"type": "ForceEndTurn"})).await;
    client.until("the end of the turn", |client| !ends(&client.came).is_empty()).await;
    let took = asked.elapsed();
    assert!(took < FORCED_WITHIN, "the turn ended after {took:?}");
    client.until("all of the recording", |client| client.says.is_empty()).await;
    client.listen(1.0).await;
    let messages = client.close().await;
    assert_orderly(&messages);

    let ends = ends(&messages);
    assert!(ends.len() >= 2, "{messages:#?}");
    let (forced, rest) = (ends[0], &ends[1..]);
    assert_eq!(forced["trigger"], "manual", "{forced}");
    assert_begins(DASHWOOD.says, &heard(&[forced]));
    assert!(plain_words(&heard(rest)).len() >= SOME_WORDS, "{:?}", heard(rest));
    assert_heard(DASHWOOD.says, &heard(&ends), 0.3);
    let next_s = rest.iter().find_map(|end| end["words"].get(0)).map(|word| seconds(&word["start"]));
    let ended_s = last_word_s(forced);
    // The ends of words are heard to a fifth of a second.
    assert!(next_s.is_some_and(|next_s| next_s > ended_s - 0.2), "{ended_s} {next_s:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_closed_in_the_middle_of_a_turn_ends_it_with_the_words_so_far() {
    let Some((server, audio)) = prepared(&DASHWOOD) else { return };
    let mut client = Client::open(&server, PATIENT).await;
    client.says.extend(&audio);
    client.until("some words", |client| client.words_so_far() >= SOME_WORDS).await;
    let messages = client.close().await;
    assert_orderly(&messages);
    let ends = ends(&messages);
    assert_eq!(ends.len(), 1, "{messages:#?}");
    let text = heard(&ends);
    // The last word is cut off and may be heard as none.
    assert!(plain_words(&text).len() + 1 >= SOME_WORDS, "{text:?}");
    assert_begins(DASHWOOD.says, &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_no_turn() {
    if models_or_skip().is_none() {
        return;
    }
    let server = Server::start(Options::default()).expect("the server starts");
    let mut client = Client::open(&server, "&eager_eot_threshold=0.3&eot_threshold=0.5&eot_timeout_ms=1000").await;
    client.listen(5.0).await;
    let messages = client.close().await;
    assert_orderly(&messages);
    assert_eq!(messages.len(), 1, "{messages:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_is_foretold_to_a_client_that_did_not_ask_for_it() {
    let Some((server, audio)) = prepared(&JFK) else { return };
    let mut client = Client::open(&server, "").await;
    client.say(&audio).await;
    let messages = client.close().await;
    assert_orderly(&messages);
    let foretold = infos(&messages).find(|info| info["event"] == "EagerEndOfTurn" || info["event"] == "TurnResumed");
    assert!(foretold.is_none(), "{foretold:?}");
    assert_heard(JFK.says, &heard(&ends(&messages)), 0.25);
}

impl Recorded {
    fn path(&self) -> Option<PathBuf> {
        fixture::recording(self.file).map_err(|why| println!("{why}")).ok()
    }
}

/// A client by hand: a microphone that never stops, and a memory of all that comes.
struct Client {
    socket: Socket,
    ticks: Interval,
    /// What the microphone hears next; silence when nothing is left.
    says: VecDeque<f32>,
    /// Pieces.
    sent: usize,
    came: Vec<Value>,
}

impl Client {
    /// One with more options than the form of its audio.
    async fn open(server: &Server, options: &str) -> Self {
        Self {
            socket: Socket::open(&url(server, &format!("{FORM}{options}")), &[]).await.unwrap(),
            ticks: interval(Duration::from_millis(PIECE_MS)),
            says: VecDeque::new(),
            sent: 0,
            came: Vec::new(),
        }
    }

    async fn tell(&mut self, message: &Value) {
        self.socket.text(&message.to_string()).await;
    }

    /// Says it; the next message of this type.
    async fn ask(&mut self, text: &str, kind: &str) -> Value {
        let before = self.count(kind);
        self.socket.text(text).await;
        self.until(kind, |client| client.count(kind) > before).await;
        self.came.iter().rfind(|message| message["type"] == kind).cloned().expect("it came")
    }

    /// Says it all and waits for the end of the turn.
    async fn say(&mut self, audio: &[f32]) {
        self.says.extend(audio);
        let has_ended = |client: &Self| infos(&client.came).last().is_some_and(|info| info["event"] == "EndOfTurn");
        self.until("the end of the turn", |client| client.says.is_empty() && has_ended(client)).await;
    }

    /// Goes on for so long.
    async fn listen(&mut self, seconds: f64) {
        let until = self.sent + (seconds * 1_000.0) as usize / PIECE_MS as usize;
        self.until("the time", |client| client.sent >= until).await;
    }

    /// Closes the stream; all that came, up to the end.
    async fn close(mut self) -> Vec<Value> {
        self.tell(&json!({"type": "CloseStream"})).await;
        let (rest, closed) = timeout(PATIENCE, self.socket.rest()).await.expect("the socket is closed");
        self.came.extend(rest);
        assert_eq!(closed.code, Some(1000), "{closed:?} after {:#?}", self.came);
        self.came
    }

    fn count(&self, kind: &str) -> usize {
        self.came.iter().filter(|message| message["type"] == kind).count()
    }

    /// How many words the turn has that goes on.
    fn words_so_far(&self) -> usize {
        let going_on = infos(&self.came).last().filter(|info| info["event"] != "EndOfTurn");
        going_on.map_or(0, |info| plain_words(transcript(info)).len())
    }

    /// Speaks and listens until it is as it should be.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let streaming = async {
            while !is_so(self) {
                self.step().await;
            }
        };
        let is_there = timeout(PATIENCE, streaming).await.is_ok();
        assert!(is_there, "{what} did not come: {:#?}", self.came);
    }

    async fn step(&mut self) {
        tokio::select! {
            _ = self.ticks.tick() => {
                let count = self.says.len().min(PIECE);
                let mut piece: Vec<f32> = self.says.drain(..count).collect();
                piece.resize(PIECE, 0.0);
                let bytes = linear16(&piece);
                self.socket.audio(&bytes, bytes.len()).await;
                self.sent += 1;
            }
            said = self.socket.message() => match said {
                Ok(Said::Json(message)) => self.came.push(message),
                Ok(Said::Sound(bytes)) => panic!("{} bytes of sound came", bytes.len()),
                Err(closed) => panic!("{closed:?} after {:#?}", self.came),
            },
        }
    }
}

/// A server that anybody may use, and the samples of a recording.
fn prepared(recorded: &Recorded) -> Option<(Server, Vec<f32>)> {
    let path = recorded.path()?;
    models_or_skip()?;
    let server = Server::start(Options::default()).expect("the server starts");
    Some((server, fixture::wav_16k(&path)))
}

fn url(server: &Server, query: &str) -> String {
    format!("{}/v2/listen?model=flux-general-en&{query}", server.ws_url())
}

fn configure(thresholds: Value) -> String {
    json!({"type": "Configure", "thresholds": thresholds}).to_string()
}

fn infos(messages: &[Value]) -> impl Iterator<Item = &Value> {
    messages.iter().filter(|message| message["type"] == "TurnInfo")
}

fn ends(messages: &[Value]) -> Vec<&Value> {
    infos(messages).filter(|info| info["event"] == "EndOfTurn").collect()
}

/// Whether an end was told of before it was sure.
fn has_foretold(messages: &[Value]) -> bool {
    infos(messages).any(|info| info["event"] == "EagerEndOfTurn")
}

fn transcript(info: &Value) -> &str {
    info["transcript"].as_str().unwrap_or_default()
}

/// What was heard in these turns, spelled as the recordings are.
fn heard(turns: &[&Value]) -> String {
    let texts: Vec<&str> = turns.iter().map(|turn| transcript(turn)).collect();
    texts.join(" ").replace("Mr.", "mister")
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no time"))
}

/// When the last word of a turn ended; 0 when it has none.
fn last_word_s(turn: &Value) -> f64 {
    turn["words"].as_array().and_then(|words| words.last()).map_or(0.0, |word| seconds(&word["end"]))
}

/// The share of wrong words is at most `share`.
fn assert_heard(said: &str, heard: &str, share: f64) {
    let wrong = word_error_rate(said, heard);
    assert!(wrong <= share, "{:.0} % of the words are wrong: {heard:?}", wrong * 100.0);
}

/// What was heard is how a sentence begins, and not all of it.
fn assert_begins(said: &str, heard: &str) {
    let (said, count) = (plain_words(said), plain_words(heard).len());
    assert!(count < said.len(), "{heard:?}");
    assert_heard(&said[..count].join(" "), heard, 0.4);
}

/// A message says what is wrong, for programs and for people.
fn assert_told(message: &Value) {
    assert!(message["code"].as_str().is_some_and(|code| !code.is_empty()), "{message}");
    assert!(message["description"].as_str().is_some_and(|description| !description.is_empty()), "{message}");
}

fn assert_thresholds(success: &Value, eager: Option<f64>, end: f64, timeout_ms: f64) {
    let all = [("eager_eot_threshold", eager), ("eot_threshold", Some(end)), ("eot_timeout_ms", Some(timeout_ms))];
    for (name, wanted) in all {
        let found = success["thresholds"][name].as_f64();
        let is_near = found.zip(wanted).is_none_or(|(found, wanted)| (found - wanted).abs() < 1e-6);
        assert!(found.is_some() == wanted.is_some() && is_near, "{name}: {wanted:?} {success}");
    }
}

/// What holds for all that a stream brought: it is counted, and its turns follow one another.
fn assert_orderly(messages: &[Value]) {
    let first = messages.first().expect("something came");
    assert_eq!(first["type"], "Connected", "{messages:#?}");
    assert!(first["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{first}");
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message["sequence_id"], index, "{messages:#?}");
        assert_eq!(message["request_id"], first["request_id"], "{message}");
    }
    let infos: Vec<&Value> = infos(messages).collect();
    let mut began_s = 0.0;
    for (index, turn) in infos.chunk_by(|one, next| one["turn_index"] == next["turn_index"]).enumerate() {
        assert_turn(turn, index, began_s);
        began_s = seconds(&turn[turn.len() - 1]["audio_window_end"]);
    }
}

/// One turn from its start to its end, which began where the one before ended.
fn assert_turn(turn: &[&Value], index: usize, began_s: f64) {
    let events: Vec<&str> = turn.iter().filter_map(|info| info["event"].as_str()).collect();
    assert_eq!(events.len(), turn.len(), "{turn:#?}");
    let [first, between @ .., last] = events.as_slice() else { panic!("no turn: {turn:#?}") };
    assert_eq!((*first, *last), ("StartOfTurn", "EndOfTurn"), "{events:?}");
    assert!(between.iter().all(|event| ["Update", "EagerEndOfTurn", "TurnResumed"].contains(event)), "{events:?}");
    for (pair, infos) in events.windows(2).zip(turn.windows(2)) {
        if pair[0] == "EagerEndOfTurn" {
            assert!(["TurnResumed", "EndOfTurn"].contains(&pair[1]), "{events:?}");
        }
        if pair[1] == "TurnResumed" {
            assert_eq!(pair[0], "EagerEndOfTurn", "{events:?}");
        }
        if pair == ["EagerEndOfTurn", "EndOfTurn"] {
            assert_eq!(transcript(infos[0]), transcript(infos[1]), "{infos:#?}");
        }
    }
    assert!(!transcript(turn[0]).is_empty(), "{}", turn[0]);
    let mut until_s = began_s;
    for info in turn {
        assert_info(info);
        assert_eq!(info["turn_index"], index, "{info}");
        let (start_s, end_s) = (seconds(&info["audio_window_start"]), seconds(&info["audio_window_end"]));
        assert!((start_s - began_s).abs() < 0.001, "not from {began_s} s on: {info}");
        assert!(end_s > until_s - 0.001, "{until_s} s were heard already: {info}");
        until_s = end_s;
    }
}

/// What one message tells of a turn fits together.
fn assert_info(info: &Value) {
    let is_share = |value: &Value| value.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share));
    assert!(is_share(&info["end_of_turn_confidence"]), "{info}");
    assert_eq!(info["trigger"].is_string(), info["event"] == "EndOfTurn", "{info}");
    assert!(info["trigger"].is_string() || info["trigger"].is_null(), "{info}");
    let words = info["words"].as_array().unwrap_or_else(|| panic!("no words: {info}"));
    for word in words {
        assert!(is_share(&word["confidence"]), "{word}");
        assert!(seconds(&word["start"]) <= seconds(&word["end"]), "{word}");
    }
    let joined: Vec<&str> = words.iter().filter_map(|word| word["word"].as_str()).collect();
    assert!(joined.len() == words.len() && !joined.contains(&""), "{info}");
    assert_eq!(joined.join(" "), info["transcript"].as_str().unwrap_or("no transcript"), "{info}");
}
