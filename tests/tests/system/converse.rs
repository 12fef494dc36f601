//! Deepgram's voice agent, `/v1/agent/converse`: a whole conversation of its unmodified SDK, and sockets by hand that
//! say what is wrong, or speak when it is not their turn.
//!
//! The model is scripted ([`tests::llm`]), the voice is espeak-ng's, and what a client hears is compared with what the
//! same voice says. Times are those at which sound comes, not those that the server tells.

use std::{collections::VecDeque, path::Path, time::Duration};

use serde_json::{Value, json};
use server::config::Config;
use tests::{
    baresip::Sampled,
    client::{Said, Socket, events, linear16, samples, until_told},
    clients, fixture,
    hook::Hook,
    listening::{ALIKE, Sound, UNLIKE, is_whole, likeness},
    llm::{Model, written},
    scripted::Local,
    server::{self as kit, Server, models_or_skip},
    spoken::{Spoken, whole_sentences},
    wer::word_error_rate,
};
use tokio::time::{Instant, Interval, interval, timeout};

const KEY: &str = "hv_test_key_of_the_sdk_tests";

/// What clients say, and what they hear.
const IN_HZ: u32 = 16_000;
const OUT_HZ: u32 = 24_000;

/// Samples of a microphone in 20 ms.
const PIECE: usize = IN_HZ as usize / 50;

/// The bytes of 20 ms of an agent.
const OUT_PIECE_BYTES: usize = OUT_HZ as usize / 50 * 2;

/// A recording, and what is said in it.
const YOUNG_MAN: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";
const YOUNG_MAN_SAYS: &str = "he was not an ill disposed young man";

const PROMPT: &str = "You are a clerk of a shop.";
const GREETING: &str = "Hello, how can I help you?";
const SHIPPED: &str = "Your order was shipped yesterday.";
const SUNDAYS: &str = "Do you open on Sundays?";
const CLOSED: &str = "On Sundays we are closed.";
const LAST: &str = "One last thing.";

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever speaks over an agent hears nothing of it after so long.
const SILENT_AFTER_S: f64 = 3.0;

/// Sound takes as long to come as it takes to be heard, and no more than this longer.
const LATE_S: f64 = 3.0;

/// Nor does it come at once: what stood still for a while comes sooner, but for this share of its length.
const PACED: f64 = 0.4;

/// Quieter than this is silence.
const QUIET: f32 = 0.004;

#[tokio::test(flavor = "multi_thread")]
async fn deepgrams_own_sdk_is_greeted_answers_a_function_call_and_hears_every_answer() {
    let (Some(spoken), Some(question), Some(())) = (voice(), recorded(), models_or_skip()) else { return };
    // What a function answered is the last message too; a question may be asked before its turn has surely ended.
    let script = json!([
        {"when": "shipped", "say": SHIPPED},
        {"when": "sundays", "say": CLOSED},
        {"when": "young man", "calls": [{"name": "look_up_order", "arguments": {"number": "4711"}}]},
        {"say": "I am afraid I did not understand that."},
    ]);
    let mut model = Model::with(script).await;
    let config = format!("[auth]\nkeys = [\"{KEY}\"]\n{}", model.config());
    let server = Server::start(kit::Options { config: &config, ..kit::Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("heard.raw");
    let arguments = [server.base_url(), KEY.to_owned(), question, out.to_string_lossy().into_owned()];
    let talking = tokio::task::spawn_blocking(move || {
        clients::python("deepgram_converse.py", &arguments.each_ref().map(String::as_str))
    });
    let Some(report) = talking.await.unwrap() else { return };
    let messages = report["messages"].as_array().unwrap();

    assert_in_order(
        messages,
        &[
            kind("Welcome"),
            kind("SettingsApplied"),
            kind("AgentStartedSpeaking"),
            says("assistant", GREETING),
            kind("AgentAudioDone"),
            kind("UserStartedSpeaking"),
            json!({"type": "ConversationText", "role": "user"}),
            kind("FunctionCallRequest"),
            kind("AgentStartedSpeaking"),
            says("assistant", SHIPPED),
            kind("AgentAudioDone"),
            kind("AgentStartedSpeaking"),
            says("assistant", CLOSED),
            kind("AgentAudioDone"),
            kind("AgentStartedSpeaking"),
            says("assistant", LAST),
            kind("AgentAudioDone"),
            kind("PromptUpdated"),
        ],
    );
    assert_eq!(report["errors"], json!([]), "{messages:#?}");
    let unknown = messages.iter().find(|message| message["class"] == "dict");
    assert!(unknown.is_none(), "the SDK does not know {unknown:?}");
    let trouble = messages.iter().find(|message| message["type"] == "Error" || message["type"] == "Warning");
    assert!(trouble.is_none(), "{trouble:?}");
    assert!(messages[0]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{}", messages[0]);

    let (spoke, asked) = (place(messages, &kind("UserStartedSpeaking")), place(messages, &kind("FunctionCallRequest")));
    let words: Vec<&str> = messages[spoke..asked]
        .iter()
        .filter(|message| message["type"] == "ConversationText" && message["role"] == "user")
        .filter_map(|message| message["content"].as_str())
        .collect();
    let wrong = word_error_rate(YOUNG_MAN_SAYS, &words.join(" "));
    assert!(wrong <= 0.4, "{:.0} % of the words are wrong: {words:?}", wrong * 100.0);

    let functions = messages[asked]["functions"].as_array().unwrap();
    let function = &functions[0];
    assert_eq!((functions.len(), &function["name"]), (1, &json!("look_up_order")), "{function}");
    assert_eq!(function["client_side"], true, "{function}");
    assert!(function["id"].as_str().is_some_and(|id| !id.is_empty()), "{function}");
    let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"number": "4711"}));

    for started in messages.iter().filter(|message| message["type"] == "AgentStartedSpeaking") {
        for latency in ["total_latency", "tts_latency", "ttt_latency"] {
            let seconds = started[latency].as_f64();
            assert!(seconds.is_some_and(|seconds| (0.0..20.0).contains(&seconds)), "{latency}: {started}");
        }
    }
    let heard = samples(&std::fs::read(&out).unwrap());
    assert_eq!(report["pieces"], json!([OUT_PIECE_BYTES]), "pieces of 20 ms");
    let mut ended = 0;
    for text in [GREETING, SHIPPED, CLOSED, LAST] {
        let at = place(messages, &says("assistant", text));
        let started = messages[..at].iter().rfind(|message| message["type"] == "AgentStartedSpeaking").unwrap();
        let done = messages[at..].iter().find(|message| message["type"] == "AgentAudioDone").unwrap();
        let bytes = |message: &Value| message["bytes"].as_u64().unwrap() as usize;
        let (from, until) = (bytes(started), bytes(done));
        assert_eq!(from, ended, "nothing comes before {text:?} while nobody speaks");
        ended = until;
        let turn = Sound { samples: &heard[from / 2..until / 2], rate_hz: OUT_HZ };
        is_whole(said(&spoken, text).sound(), turn, text);
        let length_s = turn.samples.len() as f64 / f64::from(OUT_HZ);
        let took_s = done["at_s"].as_f64().unwrap() - started["at_s"].as_f64().unwrap();
        println!("{text:?}: {length_s:.2} s of sound in {took_s:.2} s");
        let in_time = PACED * length_s..length_s + LATE_S;
        assert!(in_time.contains(&took_s), "{text:?}: {length_s} s of sound came in {took_s} s");
    }

    let questions = model.so_far();
    for question in &questions {
        let is_told = written(question, "system").iter().any(|text| text.contains(PROMPT));
        let tools = question["tools"].as_array();
        let offered = tools.into_iter().flatten().find(|tool| tool["function"]["name"] == "look_up_order");
        assert!(is_told, "{question}");
        assert!(offered.is_some_and(|tool| tool["function"]["parameters"]["required"][0] == "number"), "{question}");
    }
    let was_written =
        |role: &str, part: &str| questions.iter().any(|all| written(all, role).iter().any(|text| text.contains(part)));
    assert!(was_written("tool", "shipped"), "{questions:#?}");
    assert!(was_written("user", SUNDAYS), "{questions:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_does_not_begin_with_settings_ends_with_an_error() {
    if voice().is_none() {
        return;
    }
    let model = Model::with(json!([])).await;
    let Some(local) = Local::asking(&model).await else { return };
    for first in [
        r#"{"type": "InjectUserMessage", "content": "Hello?"}"#,
        r#"{"type": "UpdatePrompt", "prompt": "You are somebody else."}"#,
        "nonsense",
    ] {
        let (mut socket, error) = refused(&local, first).await;
        assert!(!error["code"].as_str().unwrap_or_default().is_empty(), "{first}: {error}");
        assert!(!error["description"].as_str().unwrap_or_default().is_empty(), "{first}: {error}");
        let (_, closed) = timeout(PATIENCE, socket.rest()).await.expect("the socket is closed");
        assert!(closed.code.is_some(), "{first}: {closed:?}");
    }
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_kept_are_refused_by_what_is_wrong_with_them() {
    if voice().is_none() {
        return;
    }
    let model = Model::with(json!([])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let unsayable = json!([{"name": "look_up_order", "endpoint": {"url": "https://shop.example/", "method": "trace"}}]);
    let inside = json!({
        "provider": {"type": "open_ai", "model": "own"},
        "endpoint": {"url": "http://169.254.169.254/v1", "headers": {"authorization": "Bearer s3cret"}},
    });
    let other = json!({
        "provider": {"type": "aws_bedrock", "model": "own"},
        "endpoint": {"url": "https://llm.example/v1", "headers": {}},
    });
    for (place, value, code, word) in [
        ("/audio/input/encoding", json!("amr-nb"), Some("INVALID_SETTINGS"), ""),
        ("/agent", json!("2e8b5c30-6d0f-4f0e-9a57-6f5f3e5a7c11"), None, "agent"),
        ("/agent/think/functions", unsayable, Some("INVALID_SETTINGS"), "method"),
        ("/agent/think", inside, Some("INVALID_SETTINGS"), "may not be called"),
        ("/agent/think", other, Some("INVALID_SETTINGS"), "aws_bedrock"),
    ] {
        let mut wrong = settings();
        *wrong.pointer_mut(place).unwrap() = value;
        let (socket, error) = refused(&local, &wrong.to_string()).await;
        let found = error["code"].as_str().unwrap_or_default();
        assert!(code.map_or(!found.is_empty(), |code| code == found), "{place}: {error}");
        let why = error["description"].as_str().unwrap_or_default().to_lowercase();
        assert!(!why.is_empty() && why.contains(word) && !why.contains("s3cret"), "{place}: {error}");
        socket.vanish();
    }
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_brings_its_own_model_and_a_function_that_this_server_calls() {
    let Some(spoken) = voice() else { return };
    let mut house = Model::with(json!([{"say": "The house answers."}])).await;
    let script = json!([
        {"when": "on a ship", "say": SHIPPED},
        {"calls": [{"name": "look_up_order", "arguments": {"number": "4711"}}]},
    ]);
    let mut own = Model::with(script).await;
    let mut shop = Hook::start("It is on a ship.").await;
    let config = format!("{}[tools]\nallow = [\"127.0.0.1\"]\n", house.config());
    let config = Config::parse(Path::new("test.toml"), &config, []).unwrap();
    let Ok(local) = Local::start(config).await.map_err(|why| println!("{why}")) else { return };
    let mut client = Client::greeted(&local).await;
    let from = client.came.heard.len();
    let think = json!({
        "provider": {"type": "open_ai", "model": "my-own"},
        "endpoint": {"url": own.url("/v1/chat/completions"), "headers": {"authorization": "Bearer s3cret"}},
        "prompt": PROMPT,
        "functions": [{
            "name": "look_up_order",
            "description": "Says what became of an order.",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
            "endpoint": {"url": shop.url("/orders"), "method": "post"},
        }],
    });
    client.tell(&json!({"type": "UpdateThink", "think": think})).await;
    client.until("its model", |came| came.count("ThinkUpdated") == 1).await;
    client.tell(&json!({"type": "InjectUserMessage", "content": "Where is my order?"})).await;
    client.until("the answer", |came| came.texts("assistant").last() == Some(&SHIPPED)).await;
    client.until("the end of the answer", |came| came.is_last("AgentAudioDone")).await;
    let listen = json!({"provider": {"type": "deepgram", "language": "de", "keyterms": ["Kiel"]}});
    client.tell(&json!({"type": "UpdateListen", "listen": listen})).await;
    client.until("another language", |came| came.count("ListenUpdated") == 1).await;

    let asked = shop.next().await;
    assert_eq!(asked.path, "/orders");
    assert!(asked.params.keys().any(|body| body.contains("4711")), "{asked:?}");
    let (_, request) = client.came.of("FunctionCallRequest").next().expect("it is told of the call");
    let (_, response) = client.came.of("FunctionCallResponse").next().expect("it is told what came of it");
    let function = &request["functions"][0];
    assert_eq!((&function["client_side"], &function["id"]), (&json!(false), &response["id"]), "{request} {response}");
    assert_eq!((&response["name"], &response["content"]), (&json!("look_up_order"), &json!("It is on a ship.")));
    let questions = own.so_far();
    assert!(!questions.is_empty() && questions.iter().all(|question| question["model"] == "my-own"), "{questions:?}");
    assert!(house.so_far().is_empty(), "what is said to a client's model is for nobody else");
    let heard = likeness(said(&spoken, SHIPPED).sound(), client.came.heard_since(from));
    assert!(heard > ALIKE, "{SHIPPED:?} was not heard: {heard}");
    assert_eq!(client.came.count("Warning"), 0, "{:#?}", client.came.messages);
    client.socket.vanish();
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_ends_its_turn_itself_in_the_middle_of_a_sentence_and_is_answered() {
    let (Some(_), Some(sentence)) = (voice(), recorded()) else { return };
    let answer = "I am afraid I did not understand that.";
    let model = Model::with(json!([{"say": answer}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::greeted(&local).await;
    client.tell(&json!({"type": "ForceEndTurn"})).await;
    client.until("that there is no turn", |came| came.count("Warning") == 1).await;
    assert_eq!(client.came.of("Warning").next().unwrap().1["code"], "NO_TURN");
    client.says.extend(fixture::wav_16k(Path::new(&sentence)));
    client.until("that they speak", |came| came.count("UserStartedSpeaking") > 0).await;
    client.tell(&json!({"type": "ForceEndTurn"})).await;
    client.until("what they said", |came| !came.texts("user").is_empty()).await;
    let seen = until_told(&mut events(&local.ws_url(), "r1").await, "turn.ended").await;
    assert_eq!(seen.last().unwrap()["why"], "asked", "{seen:?}");
    client.socket.vanish();
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_understands_is_warned_of_and_the_conversation_goes_on() {
    let Some(spoken) = voice() else { return };
    let model = Model::with(json!([])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::greeted(&local).await;
    for text in ["nonsense", r#"{"type": "Sing"}"#, r#"{"content": "Hello?"}"#] {
        let before = client.came.count("Warning");
        client.socket.text(text).await;
        client.until("a warning", |came| came.count("Warning") > before).await;
    }
    for (_, warning) in client.came.of("Warning") {
        assert!(!warning["code"].as_str().unwrap_or_default().is_empty(), "{warning}");
        assert!(!warning["description"].as_str().unwrap_or_default().is_empty(), "{warning}");
    }
    // No whole samples, and none at all.
    client.socket.audio(&[0xff; 7], 7).await;
    client.socket.audio(&[0x2a], 1).await;
    let from = client.came.heard.len();
    client.tell(&json!({"type": "InjectAgentMessage", "message": LAST})).await;
    client.until("the words", |came| came.texts("assistant").last() == Some(&LAST)).await;
    client.until("the end of the words", |came| came.count("AgentAudioDone") == 2).await;
    let heard = likeness(said(&spoken, LAST).sound(), client.came.heard_since(from));
    assert!(heard > ALIKE, "{LAST:?} was not heard: {heard}");
    client.socket.vanish();
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_over_a_long_answer_hears_it_end_and_is_told_what_was_heard_of_it() {
    let (Some(spoken), Some(sentence)) = (voice(), recorded()) else { return };
    let story = "Once upon a time there was a very small village behind seven mountains. In that village lived an old \
                 clock maker who had never been late in all his life. Every morning he walked down to the river, and \
                 every evening he walked back again. One day the river was gone, and nobody could tell him where it \
                 went.";
    let answer = "All right, let us talk about something else.";
    let model = Model::with(json!([{"when": "tell me a story", "say": story}, {"say": answer}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::greeted(&local).await;
    let from = client.came.heard.len();
    client.tell(&json!({"type": "InjectUserMessage", "content": "Tell me a story."})).await;
    // A sentence and a half.
    client.until("the story", |came| came.heard.len() > from + 7 * OUT_HZ as usize).await;
    client.says.extend(fixture::wav_16k(Path::new(&sentence)));
    client.until("an end of the story", |came| came.count("AgentAudioDone") >= 2).await;
    client.until("the answer", |came| came.texts("assistant").last() == Some(&answer)).await;
    client.until("the end of the answer", |came| came.is_last("AgentAudioDone")).await;

    let came = &client.came;
    let began_s = came.spoke_s.expect("the recording sounds");
    let noticed_s = came.of("UserStartedSpeaking").map(|(at_s, _)| *at_s).find(|at_s| *at_s > began_s);
    assert!(noticed_s.is_some_and(|at_s| at_s - began_s < SILENT_AFTER_S), "{began_s} {noticed_s:?}");
    let (answered_s, _) = came.of("AgentStartedSpeaking").nth(2).expect("the answer began");
    let of_story = |piece: &&(f64, bool)| piece.0 < *answered_s && piece.1;
    let (silent_s, _) = came.pieces.iter().rfind(of_story).expect("the story was heard");
    println!("silent {:.0} ms after the first sound over it", (silent_s - began_s) * 1_000.0);
    assert!(*silent_s > began_s, "it was silent before: {began_s} {silent_s}");
    assert!(silent_s - began_s < SILENT_AFTER_S, "{began_s} {silent_s}");

    let texts = came.texts("assistant");
    let told = texts[1].trim_end_matches(['…', '—', '-']);
    let untold = story.strip_prefix(told).unwrap_or_else(|| panic!("{told:?} is not how the story begins"));
    assert!(!told.is_empty() && !untold.trim().is_empty(), "{told:?}");
    // Of the sentence that was not heard to its end a part was.
    let (told, untold) = (whole_sentences(told), whole_sentences(untold));
    assert!(!told.is_empty() && untold.len() > 1, "{told:?} {untold:?}");
    let likeness = |sentence: &str| likeness(said(&spoken, sentence).sound(), came.heard_since(from));
    for sentence in told.into_iter().chain([answer]) {
        assert!(likeness(sentence) > ALIKE, "{sentence:?} was not heard: {}", likeness(sentence));
    }
    for sentence in &untold[1..] {
        assert!(likeness(sentence) < UNLIKE, "{sentence:?} was heard: {}", likeness(sentence));
    }
    client.socket.vanish();
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_nothing_that_it_is_told_to_while_somebody_speaks() {
    let (Some(spoken), Some(sentence)) = (voice(), recorded()) else { return };
    let answer = "I am afraid I did not understand that.";
    let model = Model::with(json!([{"say": answer}])).await;
    let Some(local) = Local::asking(&model).await else { return };
    let mut client = Client::greeted(&local).await;
    let from = client.came.heard.len();
    client.says.extend(fixture::wav_16k(Path::new(&sentence)));
    client.until("that they speak", |came| came.count("UserStartedSpeaking") > 0).await;
    client.tell(&json!({"type": "InjectAgentMessage", "message": LAST})).await;
    client.until("a refusal", |came| came.count("InjectionRefused") > 0).await;
    client.until("the answer", |came| came.texts("assistant").last() == Some(&answer)).await;
    client.until("the end of the answer", |came| came.is_last("AgentAudioDone")).await;
    client.listen(Duration::from_secs(2)).await;
    let (_, refusal) = client.came.of("InjectionRefused").next().expect("it came");
    assert!(!refusal["message"].as_str().unwrap_or_default().is_empty(), "{refusal}");
    assert!(!client.came.texts("assistant").contains(&LAST), "{:?}", client.came.messages);
    let likeness = |text: &str| likeness(said(&spoken, text).sound(), client.came.heard_since(from));
    assert!(likeness(answer) > ALIKE, "{answer:?} was not heard: {}", likeness(answer));
    assert!(likeness(LAST) < UNLIKE, "{LAST:?} was heard: {}", likeness(LAST));
    client.socket.vanish();
    local.drain().await;
}

/// What came, and when: seconds of the client.
#[derive(Default)]
struct Came {
    messages: Vec<(f64, Value)>,
    heard: Vec<f32>,
    /// Each piece of sound, and whether something sounds in it.
    pieces: Vec<(f64, bool)>,
    /// When the first sound of what was said was sent.
    spoke_s: Option<f64>,
}

impl Came {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a (f64, Value)> {
        self.messages.iter().filter(move |(_, message)| message["type"] == kind)
    }

    fn count(&self, kind: &str) -> usize {
        self.of(kind).count()
    }

    fn is_last(&self, kind: &str) -> bool {
        self.messages.last().is_some_and(|(_, message)| message["type"] == kind)
    }

    /// The sound from this sample on.
    fn heard_since(&self, from: usize) -> Sound<'_> {
        Sound { samples: &self.heard[from..], rate_hz: OUT_HZ }
    }

    /// What is told that this role has said.
    fn texts(&self, role: &str) -> Vec<&str> {
        let texts = self.of("ConversationText").filter(|(_, text)| text["role"] == role);
        texts.filter_map(|(_, text)| text["content"].as_str()).collect()
    }
}

/// A client by hand: a microphone that never stops, and a memory of all that comes.
struct Client {
    socket: Socket,
    ticks: Interval,
    began: Instant,
    /// What the microphone hears next; silence when nothing is left.
    says: VecDeque<f32>,
    came: Came,
}

impl Client {
    /// One whose settings were taken and whose greeting was heard.
    async fn greeted(local: &Local) -> Self {
        let mut client = Self {
            socket: Socket::open(&url(local), &[]).await.unwrap(),
            ticks: interval(Duration::from_millis(20)),
            began: Instant::now(),
            says: VecDeque::new(),
            came: Came::default(),
        };
        client.tell(&settings()).await;
        client.until("SettingsApplied", |came| came.count("SettingsApplied") == 1).await;
        client.until("the greeting", |came| came.count("AgentAudioDone") == 1).await;
        assert_eq!(client.came.texts("assistant"), [GREETING]);
        client
    }

    async fn tell(&mut self, message: &Value) {
        self.socket.text(&message.to_string()).await;
    }

    /// Speaks and listens until what came is as it should be.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Came) -> bool) {
        let talking = async {
            while !is_so(&self.came) {
                self.step().await;
            }
        };
        let is_there = timeout(PATIENCE, talking).await.is_ok();
        assert!(is_there, "{what} did not come: {:#?}", self.came.messages);
    }

    /// Goes on for so long.
    async fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.until("the time", |_| Instant::now() >= until).await;
    }

    async fn step(&mut self) {
        tokio::select! {
            _ = self.ticks.tick() => {
                let count = self.says.len().min(PIECE);
                let mut piece: Vec<f32> = self.says.drain(..count).collect();
                piece.resize(PIECE, 0.0);
                if is_loud(&piece) && self.came.spoke_s.is_none() {
                    self.came.spoke_s = Some(self.began.elapsed().as_secs_f64());
                }
                let bytes = linear16(&piece);
                self.socket.audio(&bytes, bytes.len()).await;
            }
            said = self.socket.message() => {
                let at_s = self.began.elapsed().as_secs_f64();
                match said {
                    Ok(Said::Sound(bytes)) => {
                        let samples = samples(&bytes);
                        self.came.pieces.push((at_s, is_loud(&samples)));
                        self.came.heard.extend(samples);
                    }
                    Ok(Said::Json(message)) => self.came.messages.push((at_s, message)),
                    Err(closed) => panic!("{closed:?} after {:#?}", self.came.messages),
                }
            }
        }
    }
}

/// The error that a conversation ends with which begins with `first`.
async fn refused(local: &Local, first: &str) -> (Socket, Value) {
    let mut socket = Socket::open(&url(local), &[]).await.unwrap();
    socket.text(first).await;
    let came = timeout(PATIENCE, socket.until("Error")).await.unwrap_or_else(|_| panic!("no answer to {first}"));
    let mut came = came.unwrap_or_else(|closed| panic!("{closed:?} without an error after {first}"));
    let error = came.pop().expect("an error came");
    assert!(came.iter().all(|message| message["type"] == "Welcome"), "{first}: {came:?}");
    (socket, error)
}

fn url(local: &Local) -> String {
    format!("{}/v1/agent/converse", local.ws_url())
}

/// What a client sends first.
fn settings() -> Value {
    json!({
        "type": "Settings",
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": IN_HZ},
            "output": {"encoding": "linear16", "sample_rate": OUT_HZ, "container": "none"},
        },
        "agent": {
            "language": "en",
            "greeting": GREETING,
            "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
            "think": {"provider": {"type": "open_ai", "model": "scripted"}, "prompt": PROMPT, "functions": []},
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        },
    })
}

/// A voice that says what an agent says.
fn voice() -> Option<Spoken> {
    Spoken::start(OUT_HZ).map_err(|why| println!("{why}")).ok()
}

/// The path of the recording.
fn recorded() -> Option<String> {
    let path = fixture::recording(YOUNG_MAN).map_err(|why| println!("{why}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// What an agent is to be heard saying.
fn said(spoken: &Spoken, text: &str) -> Sampled {
    Sampled { samples: spoken.says("en", text), rate_hz: OUT_HZ }
}

fn kind(kind: &str) -> Value {
    json!({"type": kind})
}

fn says(role: &str, content: &str) -> Value {
    json!({"type": "ConversationText", "role": role, "content": content})
}

/// Whether a message holds all that is wanted of it.
fn fits(message: &Value, wanted: &Value) -> bool {
    wanted.as_object().is_some_and(|wanted| wanted.iter().all(|(name, value)| message[name] == *value))
}

/// Where the first message is that holds all that is wanted of it.
fn place(messages: &[Value], wanted: &Value) -> usize {
    let place = messages.iter().position(|message| fits(message, wanted));
    place.unwrap_or_else(|| panic!("{wanted} did not come: {messages:#?}"))
}

/// They come in this order, whatever comes between them.
fn assert_in_order(messages: &[Value], expected: &[Value]) {
    let mut rest = messages.iter();
    for wanted in expected {
        assert!(rest.any(|message| fits(message, wanted)), "{wanted} does not come in its place: {messages:#?}");
    }
}

fn is_loud(samples: &[f32]) -> bool {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt() > QUIET
}
