//! Clients that do what no client should: each gets a clear answer, and a well-behaved one beside them notices
//! nothing.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tests::server::{Options, Server, models_or_skip};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, protocol::CloseFrame},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const RAW: &str = "/v1/listen?encoding=linear16&sample_rate=16000";
/// No answer takes longer; a server that hangs fails here.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn text_garbage_is_answered_and_then_ends_the_connection() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, RAW).await;
    for _ in 0..20 {
        if socket.send(Message::text("}{ not json")).await.is_err() {
            break;
        }
    }
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages[0]["type"], "Error");
    assert_eq!(messages[0]["variant"], "SchemaError");
    assert_eq!(close.map(|(code, _)| code), Some(1008));
}

#[tokio::test]
async fn an_unknown_message_is_answered_and_the_stream_goes_on() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, RAW).await;
    socket.send(Message::text(r#"{"type": "Dance"}"#)).await.unwrap();
    socket.send(Message::binary(vec![0; 32_000])).await.unwrap();
    socket.send(Message::text(r#"{"type": "CloseStream"}"#)).await.unwrap();
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages[0]["variant"], "SchemaError");
    let metadata = messages.last().unwrap();
    assert_eq!((metadata["type"].as_str(), metadata["duration"].as_f64()), (Some("Metadata"), Some(1.0)));
    assert_eq!(close.map(|(code, _)| code), Some(1000));
}

#[tokio::test]
async fn an_empty_binary_message_ends_the_stream_as_it_always_did() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, RAW).await;
    socket.send(Message::binary(vec![0; 16_000])).await.unwrap();
    socket.send(Message::binary(Vec::new())).await.unwrap();
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages.last().unwrap()["type"], "Metadata");
    assert_eq!(close.map(|(code, _)| code), Some(1000));
}

#[tokio::test]
async fn a_giant_frame_is_refused_by_its_size() {
    let Some(server) = server("") else { return };
    for path in [RAW, "/vosk"] {
        let mut socket = connect(&server, path).await;
        // The server stops reading in the middle: sending may fail before the answer is read.
        let _ = socket.send(Message::binary(vec![0; 8 << 20])).await;
        let (_, close) = rest(&mut socket).await;
        assert!(close.is_none_or(|(code, _)| code == 1009), "{path}");
    }
    is_well(&server).await;
}

#[tokio::test]
async fn bytes_that_are_no_audio_are_refused_as_such() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, "/v1/listen").await;
    for _ in 0..8 {
        let _ = socket.send(Message::binary(vec![0x2a; 65_536])).await;
    }
    let _ = socket.send(Message::text(r#"{"type": "CloseStream"}"#)).await;
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages.last().unwrap()["variant"], "DATA-0000", "{messages:?}");
    let (code, reason) = close.unwrap();
    assert_eq!(code, 1008);
    assert!(reason.starts_with("DATA-0000"), "{reason}");
}

#[tokio::test]
async fn silence_on_the_line_ends_with_the_code_that_clients_know() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, RAW).await;
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages.last().unwrap()["variant"], "NET-0001");
    let (code, reason) = close.unwrap();
    assert_eq!(code, 1011);
    assert!(reason.starts_with("NET-0001"), "{reason}");
}

#[tokio::test]
async fn wrong_values_are_refused_before_the_upgrade_with_the_vendors_shape() {
    let Some(server) = server("") else { return };
    for (parameter, query) in [
        ("encoding", "encoding=g729&sample_rate=8000"),
        ("sample_rate", "encoding=linear16&sample_rate=fast"),
        ("sample_rate", "encoding=linear16"),
        ("interim_results", "interim_results=perhaps"),
        ("utterance_end_ms", "interim_results=true&utterance_end_ms=5"),
        ("language", "language=tlh"),
        ("redact", "redact=phi"),
        ("callback", "callback=https://example.org/"),
        ("diarize_model", "diarize_model=v2"),
    ] {
        let Error::Http(response) = refused(&server, &format!("/v1/listen?{query}")).await else {
            panic!("{query} was not refused over HTTP");
        };
        assert_eq!(response.status(), 400, "{query}");
        assert!(response.headers().contains_key("dg-request-id") && response.headers().contains_key("dg-error"));
        let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap();
        assert_eq!(body["err_code"], "Bad Request", "{query}");
        let said = body["err_msg"].as_str().unwrap();
        assert!(said.starts_with(parameter), "{query}: {said}");
    }
}

#[tokio::test]
async fn binary_before_the_options_is_told_what_was_expected() {
    let Some(server) = server("") else { return };
    let mut socket = connect(&server, "/whisperlive").await;
    socket.send(Message::binary(vec![0; 4_096])).await.unwrap();
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages[0]["status"], "ERROR");
    assert!(messages[0]["message"].as_str().unwrap().contains("options"));
    assert_eq!(close.map(|(code, _)| code), Some(1008));

    let mut socket = connect(&server, "/vosk").await;
    socket.send(Message::text("hello")).await.unwrap();
    let (code, reason) = rest(&mut socket).await.1.unwrap();
    assert_eq!(code, 1008);
    assert!(reason.contains("config"), "{reason}");
}

#[tokio::test]
async fn a_client_that_vanishes_gives_its_place_back() {
    let Some(server) = server("[limits]\nstreams_max = 1\n") else { return };
    for round in 0..3 {
        let mut socket = connect_when_free(&server, RAW).await;
        socket.send(Message::binary(vec![1; 20_000])).await.unwrap();
        // No goodbye: the connection is cut, as by a phone in a tunnel.
        drop(socket);
        println!("round {round}: gone");
    }
    is_well(&server).await;
}

#[tokio::test]
async fn past_the_limit_everybody_is_refused_clearly_and_those_inside_notice_nothing() {
    let Some(server) = server("[limits]\nstreams_max = 4\nconnections_max = 600\n") else { return };
    let mut inside = connect(&server, RAW).await;
    inside.send(Message::binary(vec![0; 32_000])).await.unwrap();
    let crowd = futures_util::future::join_all((0..500).map(|_| connect_async(url(&server, RAW)))).await;
    let mut open = Vec::new();
    let mut refused = 0;
    for outcome in crowd {
        match outcome {
            Ok((socket, _)) => open.push(socket),
            Err(Error::Http(response)) => {
                assert!([429, 503].contains(&response.status().as_u16()), "{}", response.status());
                assert!(response.headers().contains_key("retry-after"));
                refused += 1;
            }
            Err(other) => panic!("refused without an answer: {other}"),
        }
    }
    assert_eq!((open.len(), refused), (3, 497));
    inside.send(Message::binary(vec![0; 32_000])).await.unwrap();
    inside.send(Message::text(r#"{"type": "CloseStream"}"#)).await.unwrap();
    let (messages, close) = rest(&mut inside).await;
    assert_eq!(messages.last().unwrap()["duration"], 2.0);
    assert_eq!(close.map(|(code, _)| code), Some(1000));
}

#[tokio::test]
async fn a_full_server_tells_whisperlive_clients_to_wait() {
    let Some(server) = server("[limits]\nstreams_max = 1\n") else { return };
    let _inside = connect(&server, RAW).await;
    let mut socket = connect(&server, "/whisperlive").await;
    socket
        .send(Message::text(r#"{"uid": "u", "language": "en", "task": "transcribe", "model": "small"}"#))
        .await
        .unwrap();
    let (messages, close) = rest(&mut socket).await;
    assert_eq!((messages[0]["status"].as_str(), messages[0]["message"].is_f64()), (Some("WAIT"), true));
    assert_eq!(close.map(|(code, _)| code), Some(1013));
}

fn server(config: &str) -> Option<Server> {
    models_or_skip()?;
    Some(Server::start(Options { config, ..Default::default() }).expect("the server starts"))
}

fn url(server: &Server, path: &str) -> String {
    format!("{}{path}", server.ws_url())
}

async fn connect(server: &Server, path: &str) -> Socket {
    connect_async(url(server, path)).await.expect("the server takes the connection").0
}

async fn refused(server: &Server, path: &str) -> Error {
    connect_async(url(server, path)).await.expect_err("the server refuses the connection")
}

/// Connects as soon as a place is free; each try is a round trip.
async fn connect_when_free(server: &Server, path: &str) -> Socket {
    let tries = async {
        loop {
            if let Ok((socket, _)) = connect_async(url(server, path)).await {
                return socket;
            }
        }
    };
    timeout(PATIENCE, tries).await.expect("a place becomes free")
}

/// Every JSON message until the end, and the close code and reason.
async fn rest(socket: &mut Socket) -> (Vec<Value>, Option<(u16, String)>) {
    let mut messages = Vec::new();
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) => messages.push(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => {
                    return frame.map(|CloseFrame { code, reason }| (code.into(), reason.to_string()));
                }
                _ => {}
            }
        }
        None
    };
    let close = timeout(PATIENCE, read).await.expect("the server ends the connection");
    (messages, close)
}

/// A stream opened now works from beginning to end.
async fn is_well(server: &Server) {
    let mut socket = connect_when_free(server, RAW).await;
    socket.send(Message::binary(vec![0; 32_000])).await.unwrap();
    socket.send(Message::text(r#"{"type": "CloseStream"}"#)).await.unwrap();
    let (messages, close) = rest(&mut socket).await;
    assert_eq!(messages.last().unwrap()["duration"], 1.0);
    assert_eq!(close.map(|(code, _)| code), Some(1000));
}
