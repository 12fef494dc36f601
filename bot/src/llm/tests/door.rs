//! The door by real sockets: a small server on loopback that behaves as badly as each test wants.
//!
//! What these tests wait for comes by itself; deadlines are far away, or what is waited for never comes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{call, done, numbered, provider, text, word};
use crate::{
    llm::{
        Delta, Fault, Kind, Message, Patience, Provider, Request, Role, Secret, Stop, Trouble, Wait,
        budget::Purse,
        client::{Answer, Broken, Models},
        provider::BadProvider,
    },
    tools::{Endpoint, config::Tools, run::Outside},
};

/// A server that answers every question alike, and remembers them.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    /// Told when a client has hung up.
    gone: mpsc::Receiver<()>,
}

/// How the connection goes on when the answer was sent.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Closes,
    Resets,
    Waits,
    Drips,
    Floods,
}

impl Server {
    async fn new(answer: impl Into<Vec<u8>>, after: After) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (tell_gone, gone) = mpsc::channel(16);
        let (answer, noted) = (answer.into(), heard.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, noted, tell_gone) = (answer.clone(), noted.clone(), tell_gone.clone());
                tokio::spawn(async move {
                    if serve(socket, &answer, after, &noted).await.is_none() {
                        let _ = tell_gone.send(()).await;
                    }
                });
            }
        });
        Self { address, heard, gone }
    }

    fn provider(&self, kind: Kind) -> Provider {
        provider("home", kind, &format!("http://{}/v1", self.address))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// `None` when the client has gone first.
async fn serve(mut socket: TcpStream, answer: &[u8], after: After, noted: &Mutex<Vec<String>>) -> Option<()> {
    let question = question(&mut socket).await?;
    noted.lock().unwrap().push(question);
    socket.write_all(answer).await.ok()?;
    match after {
        After::Closes => socket.shutdown().await.ok(),
        After::Resets => socket.set_zero_linger().ok(),
        After::Waits => {
            let mut nothing = [0; 1];
            while socket.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
            None
        }
        After::Drips => {
            let mut nothing = [0; 1];
            loop {
                let pause = tokio::time::timeout(Duration::from_millis(10), socket.read(&mut nothing)).await;
                if pause.is_ok() || socket.write_all(b":").await.is_err() {
                    return None;
                }
            }
        }
        After::Floods => loop {
            socket.write_all(&[b'x'; 4_096]).await.ok()?;
        },
    }
}

/// One request: its head and its body.
async fn question(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = socket.read(&mut buffer).await.ok().filter(|&read| read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

fn stream_of(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n{body}")
}

fn status(line: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {line}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n\
                     data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Well\"}}]}\n\n";

/// Deadlines that come soon, for what would never come.
const HASTE: Patience = Patience {
    hedge_after: None,
    first: Duration::from_millis(700),
    next: Duration::from_millis(200),
    whole: Duration::from_secs(60),
};

/// Deadlines that do not come.
const CALM: Patience = Patience {
    hedge_after: None,
    first: Duration::from_secs(60),
    next: Duration::from_secs(60),
    whole: Duration::from_secs(120),
};

fn asked(providers: Vec<Provider>, patience: Patience) -> Answer {
    let request = Request {
        system: "Be brief.".to_owned(),
        messages: vec![Message::User("Hallo".to_owned())],
        max_tokens: 50,
        ..Request::default()
    };
    Models::new(providers, patience).unwrap().ask(Role::Primary, None, request, &Purse::unlimited())
}

async fn whole(mut answer: Answer) -> (Vec<Delta>, Option<Trouble>) {
    let mut deltas = Vec::new();
    while let Some(next) = answer.next().await {
        match next {
            Ok(delta) => deltas.push(delta),
            Err(trouble) => {
                assert_eq!(answer.next().await, None, "a trouble is the last");
                return (deltas, Some(trouble));
            }
        }
    }
    (deltas, None)
}

async fn trouble_of(answer: impl Into<Vec<u8>>, after: After, patience: Patience) -> Trouble {
    let server = Server::new(answer, after).await;
    whole(asked(vec![server.provider(Kind::Compatible)], patience)).await.1.expect("it went wrong")
}

#[tokio::test]
async fn a_question_goes_out_as_the_vendor_wants_it_and_the_answer_comes_back() {
    let server = Server::new(stream_of(HELLO), After::Closes).await;
    let mut provider = server.provider(Kind::Compatible);
    provider.api_key = Some(Secret::new("sk-hush"));
    let (deltas, trouble) = whole(asked(vec![provider], CALM)).await;
    assert_eq!((deltas, trouble), (vec![text("Hello"), done(Stop::End, 9, 1)], None));
    let heard = server.heard();
    let [question] = &heard[..] else { panic!("{heard:?}") };
    let (head, body) = question.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer sk-hush\r\n") && head.contains("accept: text/event-stream"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["stream"], &body["messages"][1]["content"]), (&Value::Bool(true), &"Hallo".into()));
}

#[tokio::test]
async fn a_model_that_a_client_brought_is_asked_at_just_its_address_with_its_own_headers() {
    let server = Server::new(stream_of(HELLO), After::Closes).await;
    let headers = [("Authorization", "Bearer own"), ("X-Shop", "7"), ("Content-Type", "text/plain")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let endpoint = Endpoint::new(&format!("http://{}/chat?v=2", server.address), &headers).unwrap();
    let outside = Outside::start(&Tools::default(), true, &|_| None).unwrap();
    let models = outside.model(endpoint, Kind::Compatible, "llama", CALM).await.unwrap();
    let request = Request { messages: vec![Message::User("Hallo".to_owned())], max_tokens: 50, ..Request::default() };
    // Whatever it is asked for, there is no other.
    let answer = models.ask(Role::Special, Some("another"), request, &Purse::unlimited());
    assert_eq!(whole(answer).await.0[0], text("Hello"));
    let question = server.heard().remove(0);
    let (head, body) = question.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /chat?v=2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer own\r\n") && head.contains("x-shop: 7"), "{head}");
    assert!(head.contains("content-type: application/json") && !head.contains("text/plain"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["model"], "llama");
}

#[tokio::test]
async fn azure_and_anthropic_have_headers_and_paths_of_their_own() {
    let server = Server::new(stream_of(HELLO), After::Closes).await;
    let mut azure = provider("azure", Kind::Azure, &format!("http://{}", server.address));
    azure.api_key = Some(Secret::new("az-hush"));
    assert_eq!(whole(asked(vec![azure], CALM)).await.0[0], text("Hello"));
    let question = server.heard().remove(0);
    let line = "POST /openai/deployments/some-model/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n";
    assert!(question.starts_with(line) && question.contains("api-key: az-hush\r\n"), "{question}");
    assert!(!question.contains("authorization"), "{question}");

    let says = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":8}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let server = Server::new(stream_of(says), After::Waits).await;
    let mut anthropic = server.provider(Kind::Anthropic);
    anthropic.api_key = Some(Secret::new("ant-hush"));
    let (deltas, trouble) = whole(asked(vec![anthropic], CALM)).await;
    assert_eq!((numbered(deltas), trouble), (vec![call(1, "f", "{}"), done(Stop::Calls, 3, 8)], None));
    let question = server.heard().remove(0);
    assert!(question.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{question}");
    assert!(question.contains("x-api-key: ant-hush\r\n") && question.contains("anthropic-version: 2023-06-01\r\n"));
}

#[tokio::test]
async fn an_answer_in_small_pieces_is_the_same_answer() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = provider("home", Kind::Compatible, &format!("http://{}/v1", server.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        question(&mut socket).await.unwrap();
        for piece in stream_of(HELLO).as_bytes().chunks(7) {
            socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(whole(asked(vec![provider], CALM)).await, (vec![text("Hello"), done(Stop::End, 9, 1)], None));
}

#[tokio::test]
async fn statuses_become_troubles_with_their_reasons() {
    let error = r#"{"error":{"message":"said: my card is 4111","type":"server_error","code":null}}"#;
    for (answer, line) in [
        (status("500 Internal Server Error", "", error), "home failed: 500 (server_error)"),
        (status("503 Service Unavailable", "", "<html>busy</html>"), "home is busy: 503"),
        (status("429 Too Many Requests", "", ""), "home is busy: 429"),
        (
            status("429 Too Many Requests", "retry-after: 20\r\n", ""),
            "home is busy: 429, to be asked again in 20000 ms",
        ),
        (
            status("529 Overloaded", "", r#"{"type":"error","error":{"type":"overloaded_error"}}"#),
            "home is busy: 529 (overloaded_error)",
        ),
        (status("401 Unauthorized", "", ""), "home refused the request: 401; check its api_key"),
        (status("404 Not Found", "", "no"), "home refused the request: 404; check its base_url and model"),
        (status("422 Unprocessable", "", r#"{"detail":[{"input":"my card"}]}"#), "home refused the request: 422"),
        (status("204 No Content", "", ""), "home answered with a success without an answer"),
        (status("200 OK", "content-type: text/html\r\n", "<html>login</html>"), "home answered with a web page"),
        (
            status("200 OK", "content-type: application/json\r\n", "{\"choices\":[]}"),
            "home answered with a document instead of a stream",
        ),
        (status("200 OK", "content-type: application/json\r\n", error), "home failed: 500 (server_error)"),
        (status("200 OK", "content-type: text/event-stream\r\n", ""), "home broke off in the middle of its answer"),
        ("HTTP/1.1 500 X\r\ncontent-length: 9999999\r\n\r\n<html>".to_owned(), "home failed: 500"),
    ] {
        let trouble = trouble_of(answer, After::Closes, CALM).await;
        assert_eq!(trouble.to_string(), line);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_here() {
    let elsewhere = Server::new(stream_of(HELLO), After::Closes).await;
    let location = format!("location: http://{}/v1/chat/completions\r\n", elsewhere.address);
    for line in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let trouble = trouble_of(status(line, &location, ""), After::Closes, CALM).await;
        assert_eq!((word(&trouble), trouble.fault()), ("redirected", Fault::Settings));
    }
    assert!(elsewhere.heard().is_empty());
}

#[tokio::test]
async fn what_is_no_http_or_nobody_is_unreachable() {
    for (answer, after) in [
        (b"".to_vec(), After::Closes),
        (b"".to_vec(), After::Resets),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), After::Closes),
        (b"HTTP/1.1 200 OK\r\nx: ".to_vec(), After::Floods),
    ] {
        assert_eq!(word(&trouble_of(answer, after, CALM).await), "unreachable");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = provider("home", Kind::Compatible, &format!("http://{}/v1", listener.local_addr().unwrap()));
    drop(listener);
    let trouble = whole(asked(vec![nobody], CALM)).await.1.unwrap();
    assert!(trouble.to_string().contains("refused") && !trouble.to_string().contains("http"), "{trouble}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_told_after_its_words() {
    for (body, after, words, expected) in [
        (WORD.to_owned(), After::Closes, 1, "cut_off"),
        (format!("{WORD}data: {{\"cho\n\n"), After::Closes, 0, "garbled"),
        (format!("{WORD}<html>"), After::Closes, 1, "cut_off"),
        (format!("{WORD}data: "), After::Floods, 1, "too_long"),
    ] {
        let server = Server::new(stream_of(&body), after).await;
        let (deltas, trouble) = whole(asked(vec![server.provider(Kind::Compatible)], CALM)).await;
        assert_eq!((deltas.len(), word(&trouble.expect("it broke"))), (words, expected), "{body}");
    }
    // A reset may overtake the words before it, as resets do.
    let server = Server::new(stream_of(WORD), After::Resets).await;
    let trouble = whole(asked(vec![server.provider(Kind::Compatible)], CALM)).await.1.unwrap();
    assert!(["cut_off", "unreachable"].contains(&word(&trouble)), "{trouble}");
    // Bytes that are no text harm the words they are in, and nothing else.
    let mut odd = stream_of("data: {\"choices\":[{\"delta\":{\"content\":\"ja").into_bytes();
    odd.extend(b"\xff\xc0!\"},\"finish_reason\":\"stop\"}]}\n\n");
    let server = Server::new(odd, After::Closes).await;
    let (deltas, trouble) = whole(asked(vec![server.provider(Kind::Compatible)], CALM)).await;
    assert_eq!((&deltas[0], trouble), (&text("ja!"), None));
}

#[tokio::test]
async fn hanging_dripping_and_endless_answers_end_at_the_deadlines() {
    for (answer, after, wait) in [
        (String::new(), After::Waits, Wait::First),
        (stream_of(""), After::Waits, Wait::First),
        (stream_of(""), After::Drips, Wait::First),
        ("HTTP/1.1 200 OK\r\n".to_owned(), After::Drips, Wait::First),
        (stream_of(WORD), After::Waits, Wait::Next),
        (stream_of(WORD), After::Drips, Wait::Next),
    ] {
        let trouble = trouble_of(answer.clone(), after, HASTE).await;
        assert!(matches!(&trouble, Trouble::Late { wait: late, .. } if *late == wait), "{trouble} {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_closes_its_connection() {
    for answer in [String::new(), stream_of(WORD)] {
        let is_silent = answer.is_empty();
        let mut server = Server::new(answer, After::Waits).await;
        let mut coming = asked(vec![server.provider(Kind::Compatible)], CALM);
        if is_silent {
            while server.heard().is_empty() {
                tokio::task::yield_now().await;
            }
        } else {
            assert_eq!(coming.next().await, Some(Ok(text("Well"))));
            assert_eq!(coming.timing().provider.as_deref(), Some("home"));
        }
        drop(coming);
        server.gone.recv().await.expect("the server sees that the client has gone");
    }
}

#[tokio::test]
async fn the_next_provider_answers_for_the_first() {
    let broken = Server::new(status("500 X", "", ""), After::Closes).await;
    let well = Server::new(stream_of(HELLO), After::Closes).await;
    let mut second = well.provider(Kind::Compatible);
    second.name = "second".into();
    let models = Models::new(vec![broken.provider(Kind::Compatible), second], CALM).unwrap();
    for _ in 0..4 {
        let request = Request { max_tokens: 5, ..Request::default() };
        let answer = models.ask(Role::Primary, None, request, &Purse::unlimited());
        assert_eq!(whole(answer).await.0[0], text("Hello"));
    }
    assert_eq!(broken.heard().len(), 3, "then it is left alone");
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_asked() {
    let one = || provider("one", Kind::OpenAi, "https://h/v1");
    let Err(Broken::Settings(BadProvider::Twice(name))) = Models::new(vec![one(), one()], CALM) else {
        panic!("two of one name");
    };
    assert_eq!(name, "one");
    let none = Models::new(Vec::new(), CALM).unwrap();
    assert!(none.is_empty());
    let answer = none.ask(Role::Fast, None, Request::default(), &Purse::unlimited());
    assert_eq!(whole(answer).await, (vec![], Some(Trouble::NoModel)));
    let mut keyed = one();
    keyed.api_key = Some(Secret::new("sk-hush"));
    assert!(!format!("{:?}", Models::new(vec![keyed], CALM).unwrap()).contains("hush"));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = provider("home", Kind::Compatible, &format!("http://{}/v1", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        // One connection is taken, for both questions.
        let (mut socket, _) = listener.accept().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = format!("{head}{:x}\r\n{HELLO}\r\n", HELLO.len());
        for _ in 0..2 {
            question(&mut socket).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            // The end of the body comes apart from the end of the answer.
            tokio::task::yield_now().await;
            socket.write_all(b"0\r\n\r\n").await.unwrap();
        }
    });
    let models = Models::new(vec![provider], CALM).unwrap();
    for _ in 0..2 {
        let request = Request { max_tokens: 5, ..Request::default() };
        assert_eq!(whole(models.ask(Role::Primary, None, request, &Purse::unlimited())).await.0[0], text("Hello"));
        // The rest of the body is read by a task of its own.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    server.await.unwrap();
}
