//! Voices across the network, against small servers of this machine that answer as providers do on good and bad days.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tts::{
    fake::Fake,
    fallback::Fallback,
    remote::{
        Limits, Net, Trouble,
        azure::{self, Azure},
        elevenlabs::{self, ElevenLabs},
        openai::{self, OpenAi},
    },
    secret::Secret,
    utterance::Utterance,
    voice::{Error, How, Language, Made, Sentence, Voice, VoiceId, Word},
    worker::{Options, Said, Voices},
};

/// Short enough that a test does not wait, long enough for a busy machine to answer.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_millis(1_500),
        first_sound: Duration::from_millis(1_500),
        behind: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        total: Duration::from_secs(5),
    }
}

fn sentence() -> Sentence {
    let word = |text: &str| Word { written: text.to_owned(), spoken: text.to_owned(), how: How::default() };
    let voice = VoiceId { language: Language::GERMAN, ..VoiceId::default() };
    Sentence { voice, words: vec![word("Guten"), word("Tag.")] }
}

/// Samples and words with their places.
fn spoken(voice: &dyn Voice, stop: &AtomicBool) -> Result<(usize, Vec<(usize, u64)>), Error> {
    let (mut samples, mut words) = (0, Vec::new());
    voice.speak(&sentence(), stop, &mut |made| match made {
        Made::Samples(some) => samples += some.len(),
        Made::Word { index, at_sample } => words.push((index, at_sample)),
        Made::Instead => {}
    })?;
    Ok((samples, words))
}

fn openai(address: SocketAddr) -> OpenAi {
    let settings = openai::Settings {
        url: format!("http://{address}/v1"),
        key: Secret::new("sk-secret"),
        model: "tts-1".to_owned(),
        voice: "alloy".to_owned(),
        instructions: None,
    };
    OpenAi::new(settings, Net::start(limits()).expect("its address is fine")).expect("its address is fine")
}

/// What a server was asked: its head in small letters, and its body.
struct Asked {
    head: String,
    body: String,
}

/// A server that answers each request by `answer`, and what it was asked.
fn server(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (SocketAddr, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    let (tell, asked) = mpsc::sync_channel(16);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let (tell, answer) = (tell.clone(), answer.clone());
            thread::spawn(move || {
                let mut stream = stream;
                while let Some(request) = read(&stream) {
                    let _ = tell.try_send(request);
                    answer(&mut stream);
                }
            });
        }
    });
    (address, asked)
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().ok()?;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { head, body: String::from_utf8(body).ok()? })
}

fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

fn whole(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    say(stream, format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).as_bytes());
    say(stream, body);
}

fn begin(stream: &mut TcpStream) {
    say(stream, b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n");
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) {
    say(stream, format!("{:x}\r\n", bytes.len()).as_bytes());
    say(stream, bytes);
    say(stream, b"\r\n");
}

/// So many milliseconds of a tone.
fn tone(ms: usize) -> Vec<u8> {
    (0..24 * ms).flat_map(|n| (((n as f32 * 0.1).sin() * 8_000.0) as i16).to_le_bytes()).collect()
}

/// Waits without a clock of its own: for somebody who never comes.
fn wait(duration: Duration) {
    let (_held, never) = mpsc::sync_channel::<()>(1);
    let _ = never.recv_timeout(duration);
}

#[expect(clippy::disallowed_methods, reason = "limits in real time are what is tested")]
fn now() -> Instant {
    Instant::now()
}

fn quiet() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn openai_is_asked_for_samples_and_they_are_heard_as_they_come() {
    let (address, asked) = server(|stream| {
        begin(stream);
        // Cut in the middle of a sample.
        let tone = tone(500);
        chunk(stream, &tone[..1_001]);
        chunk(stream, &tone[1_001..]);
        say(stream, b"0\r\n\r\n");
    });
    let voice = openai(address);
    let (samples, words) = spoken(&voice, &quiet()).unwrap();
    assert_eq!(samples, 12_000);
    assert_eq!(words.iter().map(|(word, _)| *word).collect::<Vec<_>>(), [0, 1]);
    assert!(words[1].1 > 0 && words[1].1 < 12_000, "{words:?}");
    let request = asked.recv().unwrap();
    assert!(request.head.starts_with("post /v1/audio/speech http/1.1"), "{}", request.head);
    assert!(request.head.contains("authorization: bearer sk-secret"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["input"], &body["response_format"]), (&json!("Guten Tag."), &json!("pcm")));
    // The connection is kept for the next sentence.
    assert!(spoken(&voice, &quiet()).is_ok());
}

/// What comes of an answer.
fn outcome(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Error {
    let (address, _asked) = server(answer);
    let began = now();
    let error = spoken(&openai(address), &quiet()).expect_err("it is no speech");
    assert!(now() - began < Duration::from_secs(6), "{error}");
    let shown = error.to_string();
    assert!(shown.lines().count() == 1 && !shown.contains("secret") && !shown.contains("Guten"), "{shown}");
    error
}

fn trouble(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Trouble {
    match outcome(answer) {
        Error::Remote(trouble) => trouble,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provider_that_refuses_says_whose_fault_it_is() {
    let refusing = |status: &'static str, headers: &'static str| {
        trouble(move |stream| whole(stream, status, headers, b"{\"error\":{\"message\":\"sk-secret Guten\"}}"))
    };
    assert!(matches!(refusing("401 Unauthorized", ""), Trouble::Key { status: 401, .. }));
    assert!(matches!(refusing("404 Not Found", ""), Trouble::Asked { status: 404, .. }));
    assert!(matches!(refusing("429 Slow", "retry-after: 3\r\n"), Trouble::Busy { retry_after_s: Some(3), .. }));
    assert!(matches!(refusing("429 Slow", ""), Trouble::Busy { retry_after_s: None, .. }));
    assert!(matches!(refusing("500 Oh", ""), Trouble::Broken { .. }));
    assert!(matches!(refusing("302 Found", "location: http://169.254.169.254/\r\n"), Trouble::Broken { .. }));
}

#[test]
fn an_answer_that_is_no_sound_is_never_heard() {
    for (kind, body) in [
        ("text/html", &b"<html>busy</html>"[..]),
        ("application/json", b"{\"error\":1}"),
        ("audio/pcm", b"RIFF\x00\x00\x00\x00WAVEfmt "),
        ("audio/mpeg", b"ID3\x04\x00"),
        ("application/octet-stream", b"{\"error\":1}"),
        ("audio/pcm", b""),
    ] {
        let found = trouble(move |stream| whole(stream, "200 OK", &format!("content-type: {kind}\r\n"), body));
        assert!(matches!(found, Trouble::Broken { .. }), "{kind}: {found:?}");
    }
    let found = trouble(|stream| say(stream, b"\xff\xfe\x00 this is no HTTP\r\n\r\n"));
    assert!(matches!(found, Trouble::Broken { .. }), "{found:?}");
}

#[test]
fn a_provider_that_breaks_off_hangs_drips_or_never_ends_is_given_up() {
    let found = trouble(|stream| {
        begin(stream);
        chunk(stream, &tone(200));
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    assert!(matches!(found, Trouble::Broken { .. }), "{found:?}");
    let found = trouble(|_| wait(Duration::from_secs(8)));
    assert!(matches!(found, Trouble::Slow { ms: 1_500, .. }), "{found:?}");
    let found = trouble(|stream| {
        begin(stream);
        wait(Duration::from_secs(8));
    });
    assert!(matches!(found, Trouble::Slow { ms: 1_500, .. }), "{found:?}");
    // A millisecond of sound every tenth of a second.
    let found = trouble(|stream| {
        begin(stream);
        for _ in 0..80 {
            chunk(stream, &tone(1));
            wait(Duration::from_millis(100));
        }
    });
    assert!(matches!(found, Trouble::Slow { ms: 300, .. }), "{found:?}");
    let found = trouble(|stream| {
        begin(stream);
        let second = tone(1_000);
        for _ in 0..200 {
            chunk(stream, &second);
        }
        wait(Duration::from_secs(8));
    });
    assert!(matches!(&found, Trouble::Broken { why, .. } if why.contains("does not stop")), "{found:?}");
}

#[test]
fn nobody_there_is_said_so() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = spoken(&openai(address), &quiet()).unwrap_err();
    assert!(matches!(error, Error::Remote(Trouble::Unreachable { .. })), "{error:?}");
}

#[test]
fn a_stop_is_obeyed_while_a_provider_is_waited_for() {
    let (address, asked) = server(|_| wait(Duration::from_secs(8)));
    let stop = Arc::new(quiet());
    let speaking = thread::spawn({
        let stop = stop.clone();
        move || (spoken(&openai(address), &stop), now())
    });
    asked.recv().unwrap();
    let told = now();
    stop.store(true, Ordering::Relaxed);
    let (answer, ended) = speaking.join().unwrap();
    assert_eq!(answer, Err(Error::Stopped));
    assert!(ended - told < Duration::from_millis(700), "{:?}", ended - told);
}

#[test]
fn a_call_is_never_mute_and_what_another_said_is_not_remembered() {
    let works = Arc::new(AtomicBool::new(false));
    let (address, _asked) = server({
        let works = works.clone();
        move |stream| match works.load(Ordering::Relaxed) {
            true => whole(stream, "200 OK", "content-type: audio/pcm\r\n", &tone(500)),
            false => whole(stream, "500 Oh", "", b""),
        }
    });
    let voice = Fallback::new(Arc::new(openai(address)), Arc::new(Fake::default()));
    let voices = Voices::start(Arc::new(voice), Options { workers: 1, ..Options::default() }).unwrap();
    let samples = || {
        let mut speech = voices.speak(&Utterance::plain(VoiceId::default(), "one two"), 24_000).unwrap();
        let mut samples = 0;
        while let Some(said) = speech.next_blocking() {
            match said {
                Said::Samples { samples: some, .. } => samples += some.len(),
                Said::Failed { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        samples
    };
    // Two words of the fake are 200 ms, and 150 ms of silence follow.
    assert_eq!(samples(), 350 * 24);
    works.store(true, Ordering::Relaxed);
    assert_eq!(samples(), 650 * 24);
    assert_eq!((samples(), voices.stats().recalled), (650 * 24, 1));
}

#[test]
fn azure_is_asked_in_ssml() {
    let (address, asked) = server(|stream| whole(stream, "200 OK", "content-type: audio/basic\r\n", &tone(300)));
    let settings = azure::Settings {
        region: format!("http://{address}/cognitiveservices/v1"),
        key: Secret::new("secret"),
        voice: "de-DE-KatjaNeural".to_owned(),
    };
    let voice = Azure::new(settings.clone(), Net::start(limits()).unwrap()).unwrap();
    assert_eq!(spoken(&voice, &quiet()).unwrap().0, 7_200);
    let request = asked.recv().unwrap();
    for header in [
        "ocp-apim-subscription-key: secret",
        "x-microsoft-outputformat: raw-24khz-16bit-mono-pcm",
        "content-type: application/ssml+xml",
        "user-agent: harmony",
    ] {
        assert!(request.head.contains(header), "{header}: {}", request.head);
    }
    assert!(request.body.contains("<voice name=\"de-DE-KatjaNeural\">Guten Tag. </voice>"), "{}", request.body);
    let keyless = azure::Settings { key: Secret::new(""), ..settings };
    assert!(matches!(Azure::new(keyless, Net::start(limits()).unwrap()), Err(Error::Remote(Trouble::Settings { .. }))));
}

/// A server of WebSockets that answers by `answers` once it has been told all, and what it was told.
fn socket_server(answers: Vec<Message>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let (tell, told) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
                while let Some(Ok(Message::Text(text))) = socket.next().await {
                    let _ = tell.try_send(text.to_string());
                    if text.as_str() == r#"{"text":""}"# {
                        break;
                    }
                }
                for answer in &answers {
                    let _ = socket.send(answer.clone()).await;
                }
                // Until the other side hangs up.
                while let Some(Ok(_)) = socket.next().await {}
            }
        });
    });
    (address, told)
}

fn elevenlabs(address: SocketAddr) -> ElevenLabs {
    let settings = elevenlabs::Settings {
        url: format!("http://{address}"),
        key: Secret::new("secret"),
        voice: "rachel".to_owned(),
        model: "eleven_flash_v2_5".to_owned(),
    };
    ElevenLabs::new(settings, Net::start(limits()).expect("its address is fine")).expect("its address is fine")
}

fn answer(ms: usize, letters: &[(&str, u64)]) -> Message {
    let (chars, starts): (Vec<&str>, Vec<u64>) = letters.iter().copied().unzip();
    let alignment = json!({"chars": chars, "charStartTimesMs": starts});
    let audio = BASE64_STANDARD.encode(tone(ms));
    Message::Text(json!({"audio": audio, "isFinal": null, "alignment": alignment}).to_string().into())
}

#[test]
fn elevenlabs_tells_where_each_word_begins() {
    let (address, told) = socket_server(vec![
        answer(300, &[("G", 20), ("u", 80), ("t", 120), ("e", 160), ("n", 200), (" ", 260)]),
        answer(200, &[("T", 10), ("a", 60), ("g", 120), (".", 180), (" ", 190)]),
        Message::Text(r#"{"audio":null,"isFinal":true}"#.into()),
    ]);
    let (samples, words) = spoken(&elevenlabs(address), &quiet()).unwrap();
    assert_eq!(samples, 500 * 24);
    // The times of the second chunk begin with it.
    assert_eq!(words, [(0, 20 * 24), (1, (300 + 10) * 24)]);
    let told: Vec<Value> = told.try_iter().map(|text| serde_json::from_str(&text).unwrap()).collect();
    assert_eq!(told[1], json!({"text": "Guten Tag. ", "flush": true}));
}

#[test]
fn elevenlabs_that_refuses_or_talks_nonsense_is_said_so() {
    let refused = |answers| match spoken(&elevenlabs(socket_server(answers).0), &quiet()).unwrap_err() {
        Error::Remote(trouble) => trouble,
        other => panic!("{other:?}"),
    };
    let text = |text: &str| Message::Text(text.into());
    let busy = refused(vec![text(r#"{"message":"no credits","error":"quota_exceeded","code":1008}"#)]);
    assert!(matches!(busy, Trouble::Busy { .. }), "{busy:?}");
    let closed = CloseFrame { code: CloseCode::Policy, reason: "invalid_api_key".into() };
    assert!(matches!(refused(vec![Message::Close(Some(closed))]), Trouble::Key { status: 1_008, .. }));
    assert!(matches!(refused(vec![text("<html>")]), Trouble::Broken { .. }));
    assert!(matches!(refused(vec![text(r#"{"audio":"%%%"}"#)]), Trouble::Broken { .. }));
    assert!(matches!(refused(vec![text(r#"{"audio":null,"isFinal":true}"#)]), Trouble::Broken { .. }));
    assert!(matches!(refused(vec![]), Trouble::Slow { ms: 1_500, .. }));
    assert!(matches!(refused(vec![answer(100, &[])]), Trouble::Slow { ms: 300, .. }));
    let (address, _asked) = server(|stream| whole(stream, "403 Forbidden", "", b""));
    assert!(matches!(spoken(&elevenlabs(address), &quiet()), Err(Error::Remote(Trouble::Key { status: 403, .. }))));
}
