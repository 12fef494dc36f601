//! Agents that talk: what a real telephone hears of one, how soon, what happens when it is interrupted, when its model
//! fails, and when somebody says good-bye.
//!
//! The model is scripted ([`tests::llm`]), the voice is espeak-ng's, and what a caller hears is compared with what the same
//! voice says, sample by sample. Times are measured in what the caller heard, not in what the server tells.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use server::config::Config;
use tests::{
    baresip::{Baresip, Options, Sampled, pass},
    calls::Calls,
    client::{Said, Socket, begins_with, events, of_type, samples, until_spoke, until_told},
    fixture,
    listening::{ALIKE, Sound, UNLIKE, compare, is_whole, likeness},
    llm::{Model, last_message},
    scripted::Local,
    server::{self as kit, Server, models_or_skip},
    sounds::silence,
    spoken::{by_the_command, whole_sentences},
    standstill,
};
use tokio::time::timeout;

/// What a telephone says and hears.
const RATE_HZ: u32 = 8_000;

/// The greeting of the persona that is built in.
const GREETING: [&str; 2] = ["Hello, this is Harmony.", "How can I help you?"];

/// The greeting is over by then, and the caller speaks.
const GREETED_S: f64 = 8.0;

/// What is said in the recording.
const YOUNG_MAN: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";

/// Quieter than this is silence on the line: G.711's own noise is far below.
const QUIET: f32 = 0.004;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_greeted_says_a_sentence_and_soon_hears_what_the_model_answers() {
    let (Some(sentence), Some(())) = (telephone_parts(), models_or_skip()) else { return };
    let mut model = Model::start("office").await;
    let server = Server::start(with_telephone(&model.config())).unwrap();
    let says = [silence(GREETED_S), sentence.clone()].concat();
    let mut ada = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:agent@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    let mut events = events(&server.ws_url(), &Calls::of(&server).room().await).await;
    let mut questions = vec![model.next().await];
    let mut seen = until_spoke(&mut events, "That is said of somebody").await;
    // What the telephone has still to play.
    pass(Duration::from_secs(1)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    seen.extend(until_told(&mut events, "call.ended").await);
    ada.quit().await;

    // What somebody said is in a message of theirs, and the greeting is in what the model knows.
    questions.extend(model.so_far());
    let is_about = |question: &Value| {
        last_message(question).contains("young man") && question["messages"].to_string().contains("this is Harmony")
    };
    assert!(questions.iter().any(is_about), "{questions:?}");
    let (said, heard) = ada.sound();
    for sentence in GREETING {
        is_whole(by_the_command("en", sentence).sound(), heard.sound(), sentence);
    }
    let answer = by_the_command("en", "That is said of somebody in a famous novel.");
    let hearing = compare(answer.sound(), heard.sound()).unwrap();
    assert!(hearing.likeness > ALIKE && standstill::explains(hearing.breaks().count()), "{hearing:?}");
    let stopped_s = last_sound_s(&said);
    // Where the words of the answer lie, whatever else was heard before them.
    let answered_s = hearing.delay_ms / 1_000.0 + first_sound_s(&answer, 0.0).expect("a voice sounds");
    println!("answered {:.0} ms after the last sound", (answered_s - stopped_s) * 1_000.0);
    // How soon is a bench's to say; here it is after the caller, and before they would be asked whether they are there.
    assert!((0.1..8.0).contains(&(answered_s - stopped_s)), "{stopped_s} {answered_s}");

    let spoke = of_type(&seen, "bot.spoke").find(|event| begins_with(event, "That is said of somebody")).unwrap();
    let waterfall = &spoke["waterfall"];
    println!("{waterfall}");
    let steps = ["speech_ended_s", "asked_s", "first_token_s", "first_audio_s", "heard_s"];
    let times: Vec<f64> = steps.iter().map(|step| waterfall[step].as_f64().unwrap_or(f64::NAN)).collect();
    // What is heard is told by the beginning of its tick of 10 ms.
    let is_in_order = times.windows(2).all(|pair| pair[0] <= pair[1] + 0.010);
    assert!(is_in_order && times.iter().all(|at| at.is_finite()), "{waterfall}");
    let ended = of_type(&seen, "turn.ended").next().expect("a turn ended");
    assert!(ended["why"].is_string() && ended["waited_ms"].is_u64(), "{ended}");
    let joined: Vec<_> = of_type(&seen, "participant.joined").map(|event| event["kind"].clone()).collect();
    assert!(joined.contains(&"agent".into()) && joined.contains(&"sip".into()), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_over_an_agent_hears_it_fall_silent_and_it_remembers_what_was_heard_alone() {
    let Some(sentence) = telephone_parts() else { return };
    let story = "Once upon a time there was a very small village behind seven mountains. In that village lived an old \
                 clock maker who had never been late in all his life. Every morning he walked down to the river, and \
                 every evening he walked back again. One day the river was gone, and nobody could tell him where it \
                 went.";
    let answer = "All right, let us talk about something else.";
    let mut model = Model::with(json!([{"say": story, "once": true}, {"say": answer}])).await;
    let Some((local, telephone)) = listening(&model).await else { return };
    // It has told two sentences or so, and surely one, when it is interrupted.
    let interrupts_s = GREETED_S + 3.0 + 9.5;
    let says = [silence(GREETED_S), sentence.clone(), silence(interrupts_s - GREETED_S - 3.0), sentence].concat();
    let mut ada = Baresip::start(&telephone, Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:agent@{telephone}")).await;
    ada.until("CALL_ESTABLISHED").await;
    let mut events = events(&local.ws_url(), &Calls::at(&local.base_url()).room().await).await;
    let mut seen = until_told(&mut events, "bot.interrupted").await;
    let cut = seen.last().unwrap().clone();
    seen.extend(until_spoke(&mut events, answer).await);
    // What the telephone has still to play.
    pass(Duration::from_secs(1)).await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    local.drain().await;

    let (said, heard) = ada.sound();
    let begins_s = first_sound_s(&said, interrupts_s - 0.5).expect("she interrupts");
    let silent_s = silent_from_s(&heard, begins_s, 1.5).expect("it falls silent");
    println!("silent {:.0} ms after the first sound over it", (silent_s - begins_s) * 1_000.0);
    // How soon is a bench's to say; here it speaks when it is interrupted, and does not end its story.
    assert!(silent_s > begins_s + 0.02, "it was silent before: {begins_s} {silent_s}");
    assert!(silent_s - begins_s < 2.5, "{begins_s} {silent_s}");

    // Its mouth rests from then on: what was not heard is not told.
    let faces: Vec<&Value> = of_type(&seen, "avatar.viseme").filter(|event| event["turn"] == cut["turn"]).collect();
    let last = faces.last().expect("it has a face");
    assert!(faces.len() > 1 && last["visemes"] == json!([]), "{faces:?}");
    assert!(last["start_s"].as_f64() <= cut["at_s"].as_f64().map(|at_s| at_s + 0.1), "{last} {cut}");

    let (heard_of_it, unheard) = (cut["text"].as_str().unwrap(), cut["unheard"].as_str().unwrap());
    assert!(story.starts_with(heard_of_it.trim_end_matches(['…', '—', '-'])), "{heard_of_it}");
    assert!(!heard_of_it.is_empty() && !unheard.is_empty(), "{cut}");
    // What the telephone heard says the same. Of the first sentence that was not heard to its end a part was.
    let likeness = |sentence: &str| likeness(by_the_command("en", sentence).sound(), heard.sound());
    let (told, untold) = (whole_sentences(heard_of_it), whole_sentences(unheard));
    assert!(!told.is_empty() && untold.len() > 1, "{cut}");
    for sentence in told.into_iter().chain([answer]) {
        assert!(likeness(sentence) > ALIKE, "{sentence:?} was not heard: {}", likeness(sentence));
    }
    for sentence in &untold[1..] {
        assert!(likeness(sentence) < UNLIKE, "{sentence:?} was heard: {}", likeness(sentence));
    }
    let last = model.so_far().pop().expect("it was asked again");
    let told: Vec<&str> = last["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "assistant")
        .filter_map(|message| message["content"].as_str())
        .collect();
    let remembered = told.iter().find(|text| text.starts_with("Once upon")).expect("it remembers that it told a story");
    assert!(!remembered.contains("where it went"), "{remembered}");
    // To within a word.
    let (remembered, heard_of_it) = (remembered.split_whitespace().count(), heard_of_it.split_whitespace().count());
    assert!(remembered.abs_diff(heard_of_it) <= 1, "{remembered} words remembered, {heard_of_it} heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_ended_by_the_model_once_its_good_bye_was_heard() {
    let Some(sentence) = telephone_parts() else { return };
    let goodbye = "Thank you for calling the office, good bye.";
    let script = json!([{"say": goodbye, "calls": [{"name": "hang_up", "arguments": {"why": "done"}}]}]);
    let model = Model::with(script).await;
    let Some((local, telephone)) = listening(&model).await else { return };
    let says = [silence(GREETED_S), sentence].concat();
    let mut ada = Baresip::start(&telephone, Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:agent@{telephone}")).await;
    ada.until("CALL_ESTABLISHED").await;
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    let calls = Calls::at(&local.base_url()).none().await;
    assert_eq!(calls[0]["status"], "completed", "{calls:?}");
    local.drain().await;
    let (_, heard) = ada.sound();
    is_whole(by_the_command("en", goodbye).sound(), heard.sound(), goodbye);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_in_whatever_way_leaves_nobody_in_silence() {
    let Some(sentence) = telephone_parts() else { return };
    let excuse = "I am sorry, that did not work just now. Could you say that again, please?";
    // What was said of an answer that breaks off is the answer.
    let half = "One two three.";
    // It asks once for each turn: a model that failed three times rests, and the rules answer.
    let personas = tempfile::tempdir().unwrap();
    let persona = "languages = [\"en\"]\n[greeting]\nen = \"Hello, this is Harmony.\"\n[turn]\neager = false\n";
    std::fs::write(personas.path().join("patient.toml"), persona).unwrap();
    let agent = format!("[agent]\npersonas = {:?}\npersona = \"patient\"\n", personas.path());
    for (name, failure, says) in [
        ("nobody listens", None, excuse),
        ("says nothing", Some(json!([{"fail": "hang"}])), excuse),
        ("too busy", Some(json!([{"fail": "status", "status": 503}])), excuse),
        ("a hotel's page", Some(json!([{"fail": "html"}])), excuse),
        ("broken in the middle", Some(json!([{"say": "One two three. ", "fail": "garbage"}])), half),
    ] {
        let model = match failure {
            Some(script) => Model::with(script).await.config(),
            // Nothing listens on a port that was free a moment ago.
            None => {
                let port = tests::sipp::free_port();
                format!("[[llm]]\nbase_url = \"http://127.0.0.1:{port}/v1\"\nmodel = \"gone\"\n")
            }
        };
        let config = Config::parse(Path::new("test.toml"), &format!("{agent}{model}"), []).unwrap();
        let (local, telephone) = match Local::listening_with_telephone(config).await {
            Ok(started) => started,
            Err(why) => return println!("{why}"),
        };
        let telephone = telephone.to_string();
        let speaks = [silence(GREETED_S), sentence.clone()].concat();
        let mut ada = Baresip::start(&telephone, Options { user: "ada", says: speaks, ..Options::default() }).await;
        ada.dial(&format!("sip:agent@{telephone}")).await;
        ada.until("CALL_ESTABLISHED").await;
        let mut events = events(&local.ws_url(), &Calls::at(&local.base_url()).room().await).await;
        let mut seen = until_spoke(&mut events, says).await;
        // What the telephone has still to play, and time for an excuse that nobody needs.
        pass(Duration::from_secs(if says == half { 7 } else { 2 })).await;
        ada.hang_up().await;
        ada.until("CALL_CLOSED").await;
        seen.extend(until_told(&mut events, "call.ended").await);
        ada.quit().await;
        local.drain().await;
        let (said, heard) = ada.sound();
        let stopped_s = last_sound_s(&said);
        let waited_s = first_sound_s(&heard, stopped_s + 0.05).map(|at_s| at_s - stopped_s);
        println!("{name}: {waited_s:?} s");
        assert!(waited_s.is_some_and(|waited_s| waited_s < 8.0), "{name}: {waited_s:?}");
        let after = &heard.samples[((stopped_s * f64::from(heard.rate_hz)) as usize).min(heard.samples.len())..];
        let after = Sound { samples: after, rate_hz: heard.rate_hz };
        let said = likeness(by_the_command("en", says).sound(), after);
        assert!(said > ALIKE, "{name}: {says:?} was not heard: {said}");
        let troubles = of_type(&seen, "bot.trace").filter(|event| event["what"] == "trouble").count();
        assert!(troubles > 0, "{name}: {seen:?}");
        if says == half {
            let is_excuse = |event: &Value| event["text"].as_str().is_some_and(|text| text.contains("I am sorry"));
            assert!(!seen.iter().any(is_excuse), "{name}: half is enough: {seen:?}");
            let excused = likeness(by_the_command("en", whole_sentences(excuse)[0]).sound(), after);
            assert!(excused < UNLIKE, "{name}: half is enough, and an excuse was heard: {excused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_given_an_agent_that_greets_whoever_is_there_and_leaves_when_it_is_told_to() {
    let Some(local) = speaking().await else { return };
    let room = local.app.open_room("").unwrap();
    let calls = Calls::at(&local.base_url());
    let mut ada = listener(&local).await;
    assert_eq!(calls.post("rooms/r1/agent", &json!({"persona": "nobody"})).await.0, 404);
    let (status, begun) = calls.post("rooms/r1/agent", &json!({})).await;
    assert_eq!((status, &begun["persona"]), (201, &"default".into()), "{begun}");
    assert_eq!(calls.post("rooms/r1/agent", &json!({})).await.0, 409, "one is enough");
    assert_eq!(calls.get("rooms/r1/agent").await["persona"], "default");
    let heard = listen(&mut ada, Duration::from_secs(12)).await;
    for sentence in GREETING {
        is_whole(by_the_command("en", sentence).sound(), heard.sound(), sentence);
    }
    let gone = reqwest::Client::new().delete(format!("{}/api/rooms/r1/agent", local.base_url())).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 204);
    let mut events = events(&local.ws_url(), "r1").await;
    let seen = until_told(&mut events, "participant.left").await;
    let over = of_type(&seen, "bot.trace").find(|event| event["what"] == "over");
    assert!(over.is_some(), "{seen:?}");
    assert!(room.is_open(), "a room that was opened by somebody else stays open");
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_leaves_a_room_by_itself_once_the_last_of_the_others_has_gone() {
    let Some(local) = speaking().await else { return };
    let _room = local.app.open_room("").unwrap();
    let calls = Calls::at(&local.base_url());
    let ada = listener(&local).await;
    assert_eq!(calls.post("rooms/r1/agent", &json!({})).await.0, 201);
    ada.vanish();
    let mut events = events(&local.ws_url(), "r1").await;
    let mut seen: Vec<Value> = Vec::new();
    // Ada, and then the agent.
    for _ in 0..2 {
        seen.extend(until_told(&mut events, "participant.left").await);
    }
    let agent = of_type(&seen, "participant.joined").find(|event| event["kind"] == "agent").expect("it came");
    assert_eq!(seen.last().unwrap()["participant"], agent["participant"], "{seen:?}");
    assert!(of_type(&seen, "bot.trace").any(|event| event["what"] == "over"), "{seen:?}");
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_said_to_a_room_and_it_is_told_when_they_were_heard() {
    let Some(local) = speaking().await else { return };
    let _room = local.app.open_room("").unwrap();
    let calls = Calls::at(&local.base_url());
    let mut ada = listener(&local).await;
    let text = "Das Essen ist fertig.";
    let (status, begun) = calls.post("rooms/r1/say", &json!({"text": text, "language": "de"})).await;
    assert_eq!((status, &begun["say"]), (202, &"say1".into()), "{begun}");
    let heard = listen(&mut ada, Duration::from_secs(8)).await;
    let said = by_the_command("de", text);
    is_whole(said.sound(), heard.sound(), text);
    let seen = until_told(&mut events(&local.ws_url(), "r1").await, "say.ended").await;
    let ended = seen.last().unwrap();
    assert_eq!(ended["why"], "finished");
    // Not when it was made, but when it was heard.
    let started = of_type(&seen, "say.started").next().expect("it began");
    let took_s = ended["at_s"].as_f64().unwrap() - started["at_s"].as_f64().unwrap();
    let length_s = said.samples.len() as f64 / f64::from(said.rate_hz);
    assert!(took_s >= length_s - 0.3, "told after {took_s} s of {length_s} s");
    for (bad, status) in [
        (json!({"text": " "}), 400),
        (json!({"text": "x".repeat(5_000)}), 400),
        (json!({"text": "a", "language": "tlh"}), 400),
        (json!({"words": "a"}), 400),
    ] {
        assert_eq!(calls.post("rooms/r1/say", &bad).await.0, status, "{bad}");
    }
    local.drain().await;
}

/// A server in this process that hears whatever is said as words, asks the model, and tells visemes.
async fn listening(model: &Model) -> Option<(Local, String)> {
    let config = format!("{}[tts]\nvisemes = true\n", model.config());
    let config = Config::parse(Path::new("test.toml"), &config, []).unwrap();
    match Local::listening_with_telephone(config).await {
        Ok((local, telephone)) => Some((local, telephone.to_string())),
        Err(why) => {
            println!("{why}");
            None
        }
    }
}

/// A server in this process that speaks, where there is a voice.
async fn speaking() -> Option<Local> {
    if !has_voice() {
        println!("skipped: no espeak-ng");
        return None;
    }
    Some(Local::deaf(Config::default()).await)
}

/// Ada, who listens in the first room.
async fn listener(local: &Local) -> Socket {
    let url =
        format!("{}/api/rooms/r1/audio?encoding=linear16&sample_rate={RATE_HZ}&name=Ada&listen=true", local.ws_url());
    let mut ada = Socket::open(&url, &[]).await.unwrap();
    assert_eq!(ada.json().await.unwrap()["type"], "ready");
    ada
}

/// The recorded sentence as a telephone says it, where there is a telephone and a voice.
fn telephone_parts() -> Option<Vec<f32>> {
    if !has_voice() {
        println!("skipped: no espeak-ng");
        return None;
    }
    let parts = Baresip::installed().and_then(|()| fixture::recording(YOUNG_MAN));
    let path = parts.map_err(|why| println!("{why}")).ok()?;
    let mut resampler = media::dsp::resample::Resampler::new(16_000, RATE_HZ).unwrap();
    let mut says = Vec::new();
    resampler.process(&fixture::wav_16k(&path), &mut says);
    resampler.flush(&mut says);
    Some(says)
}

fn has_voice() -> bool {
    Path::new("/usr/bin/espeak-ng").exists()
}

fn with_telephone(config: &str) -> kit::Options<'_> {
    kit::Options { config, telephone: Some(""), ..kit::Options::default() }
}

/// What a leg of a room hears in so long.
async fn listen(socket: &mut Socket, time: Duration) -> Sampled {
    let mut heard = Vec::new();
    let listening = async {
        while let Ok(said) = socket.message().await {
            if let Said::Sound(bytes) = said {
                heard.extend(samples(&bytes));
            }
        }
    };
    let _: Result<(), _> = timeout(time, listening).await;
    Sampled { samples: heard, rate_hz: RATE_HZ }
}

/// Stretches of 20 ms, and whether something sounds in them.
fn loud(sound: &Sampled) -> Vec<bool> {
    let level = |piece: &[f32]| (piece.iter().map(|s| s * s).sum::<f32>() / piece.len() as f32).sqrt();
    sound.samples.chunks(sound.rate_hz as usize / 50).map(|piece| level(piece) > QUIET).collect()
}

/// The first sound from `from_s` on.
fn first_sound_s(sound: &Sampled, from_s: f64) -> Option<f64> {
    let from = (from_s * 50.0) as usize;
    let at = loud(sound).get(from..)?.iter().position(|loud| *loud)?;
    Some((from + at) as f64 / 50.0)
}

/// The end of the last sound.
fn last_sound_s(sound: &Sampled) -> f64 {
    loud(sound).iter().rposition(|loud| *loud).map_or(0.0, |at| (at + 1) as f64 / 50.0)
}

/// When a silence of `length_s` begins, from `from_s` on.
fn silent_from_s(sound: &Sampled, from_s: f64, length_s: f64) -> Option<f64> {
    let (from, length) = ((from_s * 50.0) as usize, (length_s * 50.0) as usize);
    let loud = loud(sound);
    let at = loud.get(from..)?.windows(length).position(|window| window.iter().all(|loud| !loud))?;
    Some((from + at) as f64 / 50.0)
}
