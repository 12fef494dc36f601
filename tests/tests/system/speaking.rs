//! Speech as other services' clients ask for it: OpenAI's `/v1/audio/speech`, Deepgram's `/v1/speak` both ways, and
//! their unmodified SDKs; and a voice across the network with ours behind it.

use std::{
    io::{Cursor, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ::server::config::Config;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use media::{decode::file::Decoder, dsp::level::rms_dbfs};
use serde_json::{Value, json};
use tests::{
    baresip::Sampled,
    client::{Said, Socket, samples},
    clients,
    listening::{ALIKE, Sound, UNLIKE, compare, likeness},
    scripted::Local,
    server,
    spoken::{by_a_woman, by_the_command},
};
use tts::{espeak::Espeak, voice::Voice as _};

/// What is said in German, by a man as `harmony speak` says it.
const TEXT: &str = "Guten Tag, wie kann ich Ihnen helfen?";

const KEY: &str = "hv_test_key_of_the_sdk_tests";

/// Whether there is a voice; says so where there is none.
fn has_voice() -> bool {
    match Espeak::default().ready() {
        Ok(()) => true,
        Err(why) => {
            println!("skipped: {why}");
            false
        }
    }
}

fn client() -> reqwest::Client {
    ::server::models::tls::install();
    reqwest::Client::new()
}

/// Status, media type and body.
async fn post(url: String, body: Value) -> (u16, String, Vec<u8>) {
    let request = client().post(url).header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status().as_u16(), kind, response.bytes().await.unwrap().to_vec())
}

/// Samples and rate of a file, as another's decoder hears them.
fn decoded(bytes: Vec<u8>) -> (Vec<f32>, u32) {
    let mut decoder = Decoder::open(Cursor::new(bytes)).expect("a file that is known");
    let (mut samples, mut rate_hz) = (Vec::new(), 0);
    while let Some(block) = decoder.next_block().expect("a whole file") {
        rate_hz = block.rate_hz;
        samples.extend_from_slice(&block.channels[0]);
    }
    (samples, rate_hz)
}

/// A sentence of two seconds sounds like one.
fn assert_speech(samples: &[f32], rate_hz: u32, what: &str) {
    let seconds = samples.len() as f32 / rate_hz as f32;
    assert!((1.0..4.0).contains(&seconds), "{what}: {seconds} s");
    let level = rms_dbfs(samples);
    assert!((-32.0..-10.0).contains(&level), "{what}: {level} dBFS");
}

/// It is what the command says, and as loud as speech.
fn assert_says(said: &Sampled, samples: &[f32], rate_hz: u32, what: &str) {
    assert_speech(samples, rate_hz, what);
    let hearing = compare(said.sound(), Sound { samples, rate_hz });
    assert!(hearing.as_ref().is_ok_and(|hearing| hearing.likeness > ALIKE), "{what}: {hearing:?}");
}

#[tokio::test]
async fn openais_speech_comes_in_every_format_that_is_made_here() {
    if !has_voice() {
        return;
    }
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/v1/audio/speech", local.base_url());
    let said = by_the_command("de", TEXT);
    let ask = |format: &str| {
        let mut body = json!({"model": "tts-1", "voice": "onyx", "input": TEXT});
        if !format.is_empty() {
            body["response_format"] = format.into();
        }
        post(url.clone(), body)
    };
    for (format, media_type) in [("", "audio/wav"), ("wav", "audio/wav"), ("flac", "audio/flac")] {
        let (status, kind, bytes) = ask(format).await;
        assert_eq!((status, kind.as_str()), (200, media_type), "{format}");
        let (samples, rate_hz) = decoded(bytes);
        assert_eq!(rate_hz, 24_000, "{format}");
        assert_says(&said, &samples, rate_hz, format);
    }
    let (status, kind, bytes) = ask("opus").await;
    assert_eq!((status, kind.as_str()), (200, "audio/ogg; codecs=opus"));
    let (opus, rate_hz) = decoded(bytes);
    assert_says(&said, &opus, rate_hz, "opus");
    let (status, kind, bytes) = ask("pcm").await;
    assert_eq!((status, kind.as_str()), (200, "audio/pcm"));
    assert_says(&said, &samples(&bytes), 24_000, "pcm");

    let body = json!({"model": "tts-1", "voice": "onyx", "input": TEXT, "response_format": "pcm",
        "stream_format": "sse"});
    let (status, _, events) = post(url.clone(), body).await;
    let events = String::from_utf8(events).unwrap();
    let events: Vec<Value> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let heard: Vec<u8> = events
        .iter()
        .filter(|event| event["type"] == "speech.audio.delta")
        .flat_map(|event| BASE64_STANDARD.decode(event["audio"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(status, 200);
    assert!(heard == bytes, "the same sound in events: {} bytes, and {} without", heard.len(), bytes.len());
    assert_eq!(events.last().unwrap()["type"], "speech.audio.done");
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused_in_the_vendors_shape() {
    if !has_voice() {
        return;
    }
    let local = Local::deaf(Config::default()).await;
    let openai = format!("{}/v1/audio/speech", local.base_url());
    for (change, param) in [
        (json!({"response_format": "mp3"}), "response_format"),
        (json!({"input": "***"}), "input"),
        (json!({"input": "x".repeat(5_000)}), "input"),
        (json!({"voice": null}), "voice"),
    ] {
        let mut body = json!({"model": "tts-1", "voice": "alloy", "input": "Hello"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, _, bytes) = post(openai.clone(), body).await;
        let error: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((status, error["error"]["param"].as_str()), (400, Some(param)), "{error}");
    }
    let deepgram = |query: &str| format!("{}/v1/speak?{query}", local.base_url());
    for (query, body) in [
        ("encoding=mp3", json!({"text": "Hello"})),
        ("", json!({"text": "***"})),
        ("", json!({"text": "x".repeat(5_000)})),
        ("", json!({"txt": "Hello"})),
    ] {
        let (status, _, bytes) = post(deepgram(query), body).await;
        let error: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(status == 400 && error["err_code"].is_string() && error["request_id"].is_string(), "{error}");
    }
    let refused = Socket::open(&format!("{}/v1/speak?encoding=opus", local.ws_url()), &[]).await.err().unwrap();
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn deepgrams_speech_is_a_file_that_says_what_it_is() {
    if !has_voice() {
        return;
    }
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/v1/speak?model=aura-2-julius-de&encoding=mulaw&container=wav", local.base_url());
    let text = "Guten Tag, wie geht es Ihnen?";
    let request = client().post(url).header("content-type", "text/plain").body(text);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("dg-model-name"), "aura-2-julius-de");
    assert_eq!(header("dg-char-count"), "29");
    assert_eq!(header("content-type"), "audio/wav");
    assert!(!header("dg-request-id").is_empty());
    let (samples, rate_hz) = decoded(response.bytes().await.unwrap().to_vec());
    assert_eq!(rate_hz, 8_000);
    assert_says(&by_the_command("de", text), &samples, rate_hz, "mulaw");
}

/// Sound until a message of this kind, and that message.
async fn until(socket: &mut Socket, kind: &str) -> (Vec<f32>, Value) {
    let mut heard = Vec::new();
    loop {
        match socket.message().await.expect("it is open") {
            Said::Sound(bytes) => heard.extend(samples(&bytes)),
            Said::Json(message) if message["type"] == kind => return (heard, message),
            Said::Json(message) => panic!("{message} before {kind}"),
        }
    }
}

#[tokio::test]
async fn a_socket_speaks_what_is_written_and_says_when_it_has() {
    if !has_voice() {
        return;
    }
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/v1/speak?encoding=linear16&sample_rate=16000&model=aura-2-thalia-en", local.ws_url());
    let likeness =
        |text: &str, heard: &[f32]| likeness(by_a_woman("en", text).sound(), Sound { samples: heard, rate_hz: 16_000 });
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    let (_, metadata) = until(&mut socket, "Metadata").await;
    assert_eq!(metadata["model_name"], "aura-2-thalia-en");
    for token in ["Hello", " there", ". How are", " you?"] {
        socket.text(&json!({"type": "Speak", "text": token}).to_string()).await;
    }
    socket.text(r#"{"type":"Flush"}"#).await;
    let (heard, flushed) = until(&mut socket, "Flushed").await;
    assert_eq!(flushed["sequence_id"], 0);
    for sentence in ["Hello there.", "How are you?"] {
        let alike = likeness(sentence, &heard);
        assert!(alike > ALIKE, "{sentence:?} was not heard: {alike}");
    }

    // What is cleared is not heard to its end, and what comes after it is heard.
    let long = "This is a long sentence that nobody will hear to its end.";
    let often = [long; 20].join(" ");
    socket.text(&json!({"type": "Speak", "text": often}).to_string()).await;
    socket.text(r#"{"type":"Flush"}"#).await;
    socket.text(r#"{"type":"Clear"}"#).await;
    let cleared = loop {
        match socket.message().await.expect("it is open") {
            Said::Json(message) if message["type"] == "Cleared" => break message,
            // Where the client is slower than the voice.
            Said::Json(message) => assert_eq!(message["type"], "Flushed", "{message}"),
            Said::Sound(_) => {}
        }
    };
    assert_eq!(cleared["sequence_id"], 2);
    let after = "Good bye to all of you.";
    socket.text(&json!({"type": "Speak", "text": after}).to_string()).await;
    socket.text(r#"{"type":"Flush"}"#).await;
    let (heard, flushed) = until(&mut socket, "Flushed").await;
    assert_eq!(flushed["sequence_id"], 3);
    assert!(heard.len() < 2 * 16_000, "a short sentence, and nothing of the long one: {} samples", heard.len());
    let (alike, cleared) = (likeness(after, &heard), likeness(long, &heard));
    assert!(alike > ALIKE, "{after:?} was not heard: {alike}");
    assert!(cleared < UNLIKE, "{long:?} was heard: {cleared}");

    socket.text(r#"{"type":"Sing"}"#).await;
    let (_, warning) = until(&mut socket, "Warning").await;
    assert_eq!(warning["code"], "UNREADABLE_MESSAGE");
    let last = "Nobody has to wait for me any longer";
    socket.text(&json!({"type": "Speak", "text": last}).to_string()).await;
    socket.text(r#"{"type":"Close"}"#).await;
    let mut heard = Vec::new();
    let closed = loop {
        match socket.message().await {
            Ok(Said::Sound(bytes)) => heard.extend(samples(&bytes)),
            Ok(Said::Json(message)) => panic!("{message}"),
            Err(closed) => break closed,
        }
    };
    let alike = likeness(last, &heard);
    assert!(alike > ALIKE, "what was written is not said before the end: {alike}");
    assert_eq!(closed.code, Some(1_000));
}

/// Reads a question to its end, or until nobody asks any more: an answer before it would break the connection.
fn read_question(stream: &mut TcpStream) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 8_192]);
    while !is_whole(&bytes) {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => bytes.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
}

/// Whether a request is there with all of its body.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    bytes.len() >= end + 4 + length.unwrap_or(0)
}

/// What a provider says, whatever it is to say: half a second of a saw's teeth, in samples of 16 bits at 24 kHz.
fn sawtooth() -> impl Iterator<Item = i16> {
    (0..12_000).map(|n| n % 100 * 100)
}

/// A provider of OpenAI's interface that says [`sawtooth`], or fails.
fn provider(works: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            read_question(&mut stream);
            let sound: Vec<u8> = sawtooth().flat_map(i16::to_le_bytes).collect();
            let head = match works.load(Ordering::Relaxed) {
                true => format!("200 OK\r\ncontent-type: audio/pcm\r\ncontent-length: {}", sound.len()),
                false => "500 Oh\r\ncontent-length: 0".to_owned(),
            };
            let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes());
            if works.load(Ordering::Relaxed) {
                let _ = stream.write_all(&sound);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_configured_voice_speaks_its_language_and_ours_stands_behind_it() {
    if !has_voice() {
        return;
    }
    let works = Arc::new(AtomicBool::new(true));
    let text = format!(
        "[tts.openai]\nbase_url = \"http://{}/v1\"\n[[tts.languages]]\nlanguage = \"de\"\nengine = \"openai\"\n\
         voice = \"marin\"\n",
        provider(works.clone())
    );
    let config = Config::parse(Path::new("test.toml"), &text, []).unwrap();
    let local = Local::deaf(config).await;
    let url = format!("{}/v1/audio/speech", local.base_url());
    let ask = |input: &str| {
        post(url.clone(), json!({"model": "x", "voice": "alloy", "input": input, "response_format": "pcm"}))
    };
    // What the provider says, and the pause after the last sentence.
    let (status, _, bytes) = ask("Guten Tag").await;
    assert_eq!((status, bytes.len()), (200, 2 * (12_000 + 3_600)));
    let mut expected: Vec<f32> = sawtooth().map(|sample| f32::from(sample) / 32_768.0).collect();
    expected.resize(12_000 + 3_600, 0.0);
    let pairs = samples(&bytes).into_iter().zip(expected);
    let wrong = pairs.enumerate().find(|(_, (heard, said))| (heard - said).abs() > 0.001);
    assert!(wrong.is_none(), "not what the provider said: {wrong:?}");
    let english = "Hello there, how are you?";
    let (status, _, bytes) = ask(english).await;
    assert_eq!(status, 200);
    assert_says(&by_a_woman("en", english), &samples(&bytes), 24_000, "English is spoken here");
    works.store(false, Ordering::Relaxed);
    let (status, _, bytes) = ask(TEXT).await;
    assert_eq!(status, 200);
    assert_says(&by_a_woman("de", TEXT), &samples(&bytes), 24_000, "the voice behind it");
}

#[test]
fn the_unmodified_sdks_hear_speech() {
    if !has_voice() {
        return;
    }
    let config = format!("[auth]\nkeys = [\"{KEY}\"]");
    let server = server::Server::start(server::Options { config: &config, ..server::Options::default() }).unwrap();
    let heard = |report: &Value, what: &str| {
        let text = report[what].as_str().unwrap_or_else(|| panic!("no sound of {what}"));
        BASE64_STANDARD.decode(text).unwrap()
    };
    if let Some(report) = clients::python("openai_client.py", &[&server.base_url(), KEY, "speech", "-"]) {
        let said = by_a_woman("en", "Hello, how can I help you?");
        for format in ["wav", "opus", "flac"] {
            let (samples, rate_hz) = decoded(heard(&report, format));
            assert_says(&said, &samples, rate_hz, format);
        }
        let (pcm, streamed) = (heard(&report, "pcm"), heard(&report, "streamed"));
        assert_says(&said, &samples(&pcm), 24_000, "pcm");
        assert!(pcm == streamed, "the same as it comes: {} bytes, and {} at once", streamed.len(), pcm.len());
        assert_eq!(report["refused"], json!(["BadRequestError", 400, "response_format"]));
    }
    if let Some(report) = clients::python("deepgram_client.py", &[&server.base_url(), KEY, "speak"]) {
        let text = "Hello, how can I help you today?";
        let (whole, rate_hz) = decoded(heard(&report, "rest"));
        assert_says(&by_a_woman("en", text), &whole, rate_hz, "at once");
        assert_says(&by_the_command("en", text), &samples(&heard(&report, "live")), 24_000, "over a socket");
        assert_eq!(report["kinds"], json!(["SpeakV1Metadata", "SpeakV1Flushed"]));
        assert_eq!(report["refused"], json!(["BadRequestError", 400]));
    }
}
