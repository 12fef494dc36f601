//! Bad manners and crowds: whatever a client does, it is told clearly, costs a bounded amount, and nobody else
//! notices.

use server::config::Config;
use tests::{
    client::{Socket, linear16},
    fixture,
    scripted::Local,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[tokio::test]
async fn five_hundred_connections_at_once_are_served_or_refused_clearly_and_the_server_goes_on() {
    let mut config = Config::default();
    config.limits.connections_max = 64;
    let local = Local::deaf(config).await;
    let address = local.address;
    // All of them connect before any is answered, and none is closed before all have been.
    let open: Vec<TcpStream> = futures_util::future::join_all((0..500).map(|_| TcpStream::connect(address)))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let answers = futures_util::future::join_all(open.into_iter().map(async |mut stream| {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        // A refused connection may be closed already.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut head = vec![0; 256];
        let read = stream.read(&mut head).await.unwrap_or(0);
        (String::from_utf8_lossy(&head[..read]).to_lowercase(), stream)
    }))
    .await;
    let served = answers.iter().filter(|(head, _)| head.starts_with("http/1.1 200")).count();
    let refused =
        answers.iter().filter(|(head, _)| head.starts_with("http/1.1 503") && head.contains("retry-after:")).count();
    println!("{served} served, {refused} refused");
    assert_eq!((served, served + refused), (64, 500));
    drop(answers);
    let mut next = String::new();
    while !next.starts_with("HTTP/1.1 200") {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream
            .write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
            .await;
        next.clear();
        let _ = stream.read_to_string(&mut next).await;
    }
}

#[tokio::test]
async fn a_stream_too_many_is_refused_and_a_client_that_vanishes_mid_word_gives_its_place_back() {
    let mut config = Config::default();
    config.limits.streams_max = Some(2);
    let Some((local, speech)) = parts(config).await else { return };
    local.app.open_room("").unwrap();
    let url = format!("{}/api/rooms/r1/audio?encoding=linear16&live=false", local.ws_url());
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events", local.ws_url()), &[]).await.unwrap();
    let mut first = Socket::open(&url, &[]).await.unwrap();
    let _second = Socket::open(&url, &[]).await.unwrap();
    let refused = Socket::open(&url, &[]).await.err().unwrap();
    assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (503, Some("full")));
    assert_eq!(refused.headers["retry-after"], "5");

    first.audio(&speech[..64_000], 3_200).await;
    events.until("speech.started").await.unwrap();
    first.vanish();
    let seen = events.until("participant.left").await.unwrap();
    let said: Vec<_> = seen
        .iter()
        .filter(|event| event["type"] == "transcript.final")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert!(said.concat().contains("amber"), "the words before it vanished are kept: {seen:?}");
    assert!(Socket::open(&url, &[]).await.is_ok(), "the place is free again");
}

#[tokio::test]
async fn text_that_is_no_command_ends_the_socket_with_the_reason() {
    let Some((local, _)) = parts(Config::default()).await else { return };
    for garbage in ["hello", "{\"type\":\"explode\"}", "{", "[]", "\u{0}"] {
        let mut socket = audio(&local, "encoding=linear16").await;
        socket.text(garbage).await;
        let (messages, closed) = socket.rest().await;
        assert_eq!(closed.code, Some(1003), "{garbage:?}: {messages:?}");
        assert_eq!(messages.last().unwrap()["error"]["code"], "bad_command", "{garbage:?}");
    }
}

#[tokio::test]
async fn a_message_over_a_mebibyte_is_refused_with_1009_and_one_of_a_mebibyte_is_taken() {
    let Some((local, _)) = parts(Config::default()).await else { return };
    let mut socket = audio(&local, "encoding=linear16").await;
    // The header announces the length; the server need not wait for the bytes.
    socket.raw(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4]).await;
    let (messages, closed) = socket.rest().await;
    assert_eq!(closed.code, Some(1009), "{messages:?}");

    let mut socket = audio(&local, "encoding=linear16&live=false").await;
    socket.audio(&vec![0; 1 << 20], 1 << 20).await;
    socket.text("{\"type\":\"finish\"}").await;
    let (messages, closed) = socket.rest().await;
    assert_eq!(closed.code, Some(1000), "{messages:?}");
    assert!(messages.last().unwrap()["audio_s"].as_f64().unwrap() > 32.0);
}

#[tokio::test]
async fn bytes_that_are_no_websocket_or_no_text_or_no_audio_end_with_the_code_that_says_so() {
    let Some((local, _)) = parts(Config::default()).await else { return };
    let mut not_text = audio(&local, "encoding=linear16").await;
    not_text.raw(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await;
    assert_eq!(not_text.rest().await.1.code, Some(1007));

    let mut unmasked = audio(&local, "encoding=linear16").await;
    unmasked.raw(&[0x82, 0x02, 1, 2]).await;
    assert_eq!(unmasked.rest().await.1.code, Some(1002));

    let mut no_container = audio(&local, "").await;
    no_container.audio(&[7; 100_000], 10_000).await;
    no_container.text("{\"type\":\"finish\"}").await;
    let (messages, closed) = no_container.rest().await;
    assert_eq!(closed.code, Some(1007), "{messages:?}");
    assert_eq!(messages.last().unwrap()["error"]["code"], "bad_audio");
}

#[tokio::test]
async fn empty_messages_and_half_samples_and_noise_harm_nobody() {
    let Some((local, _)) = parts(Config::default()).await else { return };
    let mut socket = audio(&local, "encoding=linear16").await;
    for piece in [&[][..], &[1], &[2, 3, 4], &[]] {
        socket.audio(piece, 16).await;
    }
    let noise: Vec<u8> = (0..64_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    socket.audio(&noise, 333).await;
    socket.text("{\"type\":\"finalize\"}").await;
    socket.text("{\"type\":\"keep_alive\"}").await;
    socket.text("{\"type\":\"finish\"}").await;
    let (messages, closed) = socket.rest().await;
    assert_eq!(closed.code, Some(1000), "{messages:?}");
}

#[tokio::test]
async fn wrong_options_are_refused_before_the_socket_opens() {
    let Some((local, _)) = parts(Config::default()).await else { return };
    local.app.open_room("").unwrap();
    for query in [
        "encoding=mp9",
        "encoding=linear16&sample_rate=1",
        "encoding=linear16&sample_rate=abc",
        "encoding=linear16&channels=0",
        "encoding=linear16&channels=99",
        "encoding=opus&sample_rate=44100",
        "sample_rate=16000",
        "encoding=linear16&language=xx",
        "encoding=linear16&colour=red",
    ] {
        let url = format!("{}/api/rooms/r1/audio?{query}", local.ws_url());
        let refused = Socket::open(&url, &[]).await.err().unwrap_or_else(|| panic!("{query} was taken"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{query}");
    }
    assert_eq!(local.app.admission().streams_taken(), 0);
}

#[tokio::test]
async fn a_socket_on_which_nothing_comes_is_closed_with_the_reason_once_it_has_been_idle() {
    let mut config = Config::default();
    config.limits.idle_s = 1;
    let Some((local, _)) = parts(config).await else { return };
    let mut socket = audio(&local, "encoding=linear16").await;
    socket.json().await.unwrap();
    let (messages, closed) = socket.rest().await;
    assert_eq!(closed.code, Some(1008), "{messages:?}");
    assert_eq!(messages.last().unwrap()["error"]["code"], "idle");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let mut config = Config::default();
    config.limits.upload_bytes_max = 1_000;
    let local = Local::deaf(config).await;
    let mut stream = TcpStream::connect(local.address).await.unwrap();
    let head = format!(
        "POST /api/rooms HTTP/1.1\r\nhost: {}\r\ncontent-length: 1001\r\nconnection: close\r\n\r\n",
        local.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"too_large\""), "{answer}");
}

async fn audio(local: &Local, query: &str) -> Socket {
    let room = local.app.open_room("").unwrap();
    Socket::open(&format!("{}/api/rooms/{}/audio?{query}", local.ws_url(), room.id()), &[]).await.unwrap()
}

async fn parts(config: Config) -> Option<(Local, Vec<u8>)> {
    let started = async {
        let speech = fixture::recording("audio/speech/jfk.wav")?;
        Ok::<_, String>((Local::start(config).await?, linear16(&fixture::wav_16k(&speech))))
    };
    started.await.map_err(|why| println!("{why}")).ok()
}
