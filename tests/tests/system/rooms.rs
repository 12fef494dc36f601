//! Rooms end to end inside one process: real sockets, real voice activity, and a recognizer that hears
//! loudness, so that what is tested is the way from a socket to a reader of events.

use asr::event::{Cut, Event, UtteranceId, Word};
use media::time::{MediaTime, Span};
use serde_json::Value;
use server::config::Config;
use tests::{
    client::{Closed, Socket, linear16},
    fixture,
    scripted::Local,
};

#[tokio::test]
async fn speech_into_a_room_comes_out_as_events_in_order_and_as_a_transcript() {
    let Some((local, speech)) = parts().await else { return };
    let room = local.app.open_room("").unwrap();
    let mut events = events(&local, "r1", None).await;
    let mut audio =
        Socket::open(&format!("{}/api/rooms/r1/audio?encoding=linear16&name=Ada", local.ws_url()), &[]).await.unwrap();
    let ready = audio.json().await.unwrap();
    assert_eq!(
        (&ready["type"], &ready["room"], &ready["participants"][0]),
        (&"ready".into(), &"r1".into(), &"p1".into())
    );
    audio.audio(&speech, 3_200).await;
    audio.text("{\"type\":\"finish\"}").await;
    let (reports, closed) = audio.rest().await;
    assert_eq!(closed.code, Some(1000));
    assert_eq!(reports.last().unwrap()["type"], "finished");
    let seconds = speech.len() as f64 / 32_000.0;
    assert!((reports.last().unwrap()["audio_s"].as_f64().unwrap() - seconds).abs() < 0.1, "{reports:?}");

    let seen = events.until("participant.left").await.unwrap();
    assert!(seen.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()));
    assert!(seen.iter().all(|event| event["v"] == 1 && event["at_s"].is_f64()));
    assert_eq!((&seen[0]["type"], &seen[0]["name"]), (&"participant.joined".into(), &"Ada".into()));
    assert_eq!(seen[1]["type"], "speech.started");
    let finals: Vec<&Value> = seen.iter().filter(|event| event["type"] == "transcript.final").collect();
    assert!(
        !finals.is_empty() && finals.iter().any(|event| event["text"].as_str().unwrap().contains("amber")),
        "{finals:?}"
    );
    let kept = room.read(bot_transcript);
    assert_eq!(
        kept,
        finals.iter().filter_map(|event| event["text"].as_str()).filter(|text| !text.is_empty()).collect::<Vec<_>>()
    );
    let partials = seen.iter().filter(|event| event["type"] == "transcript.partial").count();
    println!("{} events, {partials} partials, {} finals", seen.len(), finals.len());
}

#[tokio::test]
async fn a_reader_that_reconnects_with_its_last_number_misses_nothing_and_sees_nothing_twice() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let seat = room.join("Ada").await.unwrap();
    let mut first = events(&local, "r1", None).await;
    seat.heard(finished(0, "one")).await.unwrap();
    let seen = first.until("transcript.final").await.unwrap();
    let last = seen.last().unwrap()["seq"].as_u64().unwrap();
    first.vanish();
    seat.heard(finished(1, "two")).await.unwrap();
    seat.heard(finished(2, "three")).await.unwrap();
    drop(seat);
    let mut second = events(&local, "r1", Some(last)).await;
    let rest = second.until("participant.left").await.unwrap();
    let texts: Vec<_> = rest.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(texts[..2], ["two", "three"]);
    assert_eq!(rest[0]["seq"].as_u64(), Some(last + 1));
}

#[tokio::test]
async fn server_sent_events_carry_the_same_and_resume_by_their_last_id() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let seat = room.join("Ada").await.unwrap();
    seat.heard(finished(0, "one")).await.unwrap();
    room.close().await;
    // The room is closed and out of reach for newcomers; one who came before reads to the end.
    let room = local.app.open_room("").unwrap();
    let seat_of_two = room.join("Bob").await.unwrap();
    seat_of_two.heard(finished(0, "two")).await.unwrap();
    server::models::tls::install();
    let url = format!("{}/api/rooms/r2/events", local.base_url());
    let request = reqwest::Client::new().get(&url).header("accept", "text/event-stream").header("last-event-id", "1");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    drop(seat_of_two);
    let reading = tokio::spawn(response.text());
    room.close().await;
    let text = reading.await.unwrap().unwrap();
    assert!(text.contains("id: 2\nevent: transcript.final\ndata: {\"v\":1,\"seq\":2,"), "{text}");
    assert!(!text.contains("id: 1\n") && text.contains("event: participant.left\n"), "{text}");
    drop(seat);
}

#[tokio::test]
async fn a_reader_that_reads_nothing_holds_up_nobody_and_is_told_where_to_resume() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let seat = room.join("Ada").await.unwrap();
    let mut slow = events(&local, "r1", None).await;
    // The room takes all of it while the slow one reads nothing: this ends, or the test does not.
    for utterance in 0..200_000 {
        seat.heard(Event::SpeechStarted { utterance: UtteranceId(utterance), at: MediaTime::ZERO }).await.unwrap();
    }
    seat.heard(finished(200_000, "the end")).await.unwrap();
    while room.read(bot::room::Room::transcript_len) == 0 {
        tokio::task::yield_now().await;
    }

    let (seen, Closed { code, reason }) = slow.rest().await;
    assert_eq!(code, Some(4008), "{reason}");
    let resume: u64 = reason.strip_prefix("resume=").unwrap().parse().unwrap();
    assert!(seen.last().unwrap()["seq"].as_u64().unwrap() <= resume);
    let mut again = events(&local, "r1", Some(resume)).await;
    assert_eq!(again.json().await.unwrap()["seq"].as_u64(), Some(resume + 1));
}

#[tokio::test]
async fn a_room_that_is_deleted_in_use_ends_its_sockets_with_the_reason() {
    let Some((local, speech)) = parts().await else { return };
    local.app.open_room("").unwrap();
    let mut events = events(&local, "r1", None).await;
    let mut audio =
        Socket::open(&format!("{}/api/rooms/r1/audio?encoding=linear16", local.ws_url()), &[]).await.unwrap();
    audio.audio(&speech[..64_000], 3_200).await;
    events.until("speech.started").await.unwrap();
    server::models::tls::install();
    let deleted = reqwest::Client::new().delete(format!("{}/api/rooms/r1", local.base_url())).send().await.unwrap();
    assert_eq!(deleted.status(), 204);

    let (seen, closed) = events.rest().await;
    assert_eq!(closed, Closed { code: Some(1000), reason: "the room is closed".to_owned() });
    assert!(seen.iter().any(|event| event["type"] == "participant.left"), "{seen:?}");
    let (reports, closed) = audio.rest().await;
    assert_eq!(closed.code, Some(1000), "{reports:?}");
    assert_eq!(reports.last().unwrap()["error"]["code"], "room_closed");
}

#[tokio::test]
async fn draining_brings_the_last_words_out_and_closes_with_the_code_for_a_restart() {
    let Some((local, speech)) = parts().await else { return };
    local.app.open_room("").unwrap();
    let mut events = events(&local, "r1", None).await;
    let mut audio =
        Socket::open(&format!("{}/api/rooms/r1/audio?encoding=linear16", local.ws_url()), &[]).await.unwrap();
    audio.audio(&speech[..96_000], 3_200).await;
    events.until("speech.started").await.unwrap();
    let room = local.app.rooms().list().remove(0);
    let (drained, (reports, closed), (seen, events_closed)) = tokio::join!(local.drain(), audio.rest(), events.rest());
    let () = drained;
    assert_eq!(closed.code, Some(1012), "{reports:?}");
    assert_eq!(events_closed.code, Some(1012));
    assert!(events_closed.reason.contains("resume="), "{events_closed:?}");
    let kinds: Vec<_> = seen.iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(kinds.contains(&"transcript.final") && kinds.contains(&"summary.ready"), "{kinds:?}");
    let text = room.read(bot_transcript).join(" ");
    assert!(text.contains("amber"), "the words before the drain are in the transcript: {text:?}");
}

#[tokio::test]
async fn two_speakers_in_one_room_keep_their_own_words_and_names() {
    let Some((local, speech)) = parts().await else { return };
    let room = local.app.open_room("").unwrap();
    let url = |name: &str| format!("{}/api/rooms/r1/audio?encoding=linear16&name={name}", local.ws_url());
    let (ada, bob) = (Socket::open(&url("Ada"), &[]).await.unwrap(), Socket::open(&url("Bob"), &[]).await.unwrap());
    let talk = async |mut socket: Socket| {
        socket.audio(&speech, 3_200).await;
        socket.text("{\"type\":\"finish\"}").await;
        assert_eq!(socket.rest().await.1.code, Some(1000));
    };
    tokio::join!(talk(ada), talk(bob));
    let speakers =
        room.read(|room| room.transcript().iter().map(|segment| segment.speaker.to_string()).collect::<Vec<_>>());
    assert!(speakers.iter().any(|name| name == "Ada") && speakers.iter().any(|name| name == "Bob"), "{speakers:?}");
}

#[tokio::test]
async fn a_wav_file_streamed_in_pieces_is_heard_like_the_samples_it_holds() {
    let Some((local, _)) = parts().await else { return };
    let room = local.app.open_room("").unwrap();
    let file = std::fs::read(fixture::recording("audio/speech/jfk.wav").unwrap()).unwrap();
    let mut audio = Socket::open(&format!("{}/api/rooms/r1/audio", local.ws_url()), &[]).await.unwrap();
    audio.audio(&file, 5_000).await;
    audio.text("{\"type\":\"finish\"}").await;
    let (reports, closed) = audio.rest().await;
    assert_eq!(closed.code, Some(1000), "{reports:?}");
    assert!(room.read(bot_transcript).join(" ").contains("amber"));
}

async fn parts() -> Option<(Local, Vec<u8>)> {
    let started = async {
        let speech = fixture::recording("audio/speech/jfk.wav")?;
        Ok::<_, String>((Local::start(Config::default()).await?, linear16(&fixture::wav_16k(&speech))))
    };
    started.await.map_err(|why| println!("{why}")).ok()
}

async fn events(local: &Local, room: &str, since: Option<u64>) -> Socket {
    let since = since.map(|seq| format!("?since={seq}")).unwrap_or_default();
    Socket::open(&format!("{}/api/rooms/{room}/events{since}", local.ws_url()), &[]).await.unwrap()
}

fn bot_transcript(room: &bot::room::Room) -> Vec<String> {
    room.transcript().iter().map(|segment| segment.text.clone()).collect()
}

fn finished(utterance: u64, text: &str) -> Event {
    let span = Span::new(MediaTime::ZERO, MediaTime::from_millis(500));
    let words = text.split_whitespace().map(|word| Word { text: word.to_owned(), span, confidence: 1.0 }).collect();
    Event::Final { utterance: UtteranceId(utterance), words, span, cut: Cut::Pause, language: None, voices: Vec::new() }
}
