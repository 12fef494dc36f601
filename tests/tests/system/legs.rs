//! Sockets as legs of a room, end to end inside one process: real sockets, the real engine, and a recognizer that
//! hears loudness. What each client says is compared with what the others hear, sample against sample.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{
    bridge::Captured,
    graph::{
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::frames::Heard as Captures,
    },
    rtp::dtmf::{self, Key},
};
use serde_json::{Value, json};
use server::{
    call::{self, Wish, Words},
    config::Config,
};
use tests::{
    client::{Closed, Said, Socket, linear16},
    fixture,
    listening::{Hearing, NotHeard, Sound, compare},
    scripted::Local,
    standstill,
};
use tokio::time::{MissedTickBehavior, interval_at};

/// Everybody speaks and listens at this rate.
const RATE_HZ: u32 = 16_000;

/// 20 ms.
const MESSAGE_SAMPLES: usize = 320;

/// How far ahead of its time something is said where gaps are looked for.
const AHEAD: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn two_legs_hear_each_other_and_not_themselves_and_each_is_transcribed_under_its_name() {
    let Some((local, ada_says, bob_says)) = parts(Config::default(), 6).await else { return };
    let room = local.app.open_room("").unwrap();
    let ada = Leg::join(&local, "r1", "name=Ada&listen=true").await;
    let bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    assert_eq!(ada.ready["listen_rate_hz"], RATE_HZ);
    assert_eq!((&ada.ready["is_transcribed"], &ada.ready["engine"]), (&true.into(), &"scripted".into()));
    // Both at once: whatever leaked from one to the other would be heard in both ways.
    let (ada, bob) = tokio::join!(ada.talk(&ada_says), bob.talk(&bob_says));
    for (who, said, heard) in [("Bob", &ada_says, &bob), ("Ada", &bob_says, &ada)] {
        let hearing = heard_of(said, heard).unwrap_or_else(|error| panic!("{who} heard nothing: {error:?}"));
        println!(
            "{who} heard: {:.0} ms late, likeness {:.3}, {:+.2} dB",
            hearing.delay_ms, hearing.likeness, hearing.level_db
        );
        assert!(hearing.likeness > 0.95, "{who}: {hearing:?}");
        assert!(hearing.level_db.abs() < 1.0, "{who}: {hearing:?}");
        assert!(standstill::explains(hearing.gaps.len()), "{who}: {hearing:?}");
    }
    for (who, said, heard) in [("Ada", &ada_says, &ada), ("Bob", &bob_says, &bob)] {
        assert!(heard_of(said, heard).is_err(), "{who} heard their own voice");
    }
    let segments = room.read(bot::room::Room::transcript);
    for who in ["Ada", "Bob"] {
        let words: usize =
            segments.iter().filter(|segment| &*segment.speaker == who).map(|segment| segment.words.len()).sum();
        assert!(words >= 5, "{who} said {words} words: {segments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_leg_lie_on_the_rooms_timeline_where_they_were_said() {
    let Some((local, speech, _)) = parts(Config::default(), 4).await else { return };
    // As a file the words count from when it joined, which the room knows.
    let file_room = local.app.open_room("").unwrap();
    let url = format!("{}/api/rooms/r1/audio?encoding=linear16&live=false", local.ws_url());
    let mut file = Socket::open(&url, &[]).await.unwrap();
    file.audio(&linear16(&speech), 3_200).await;
    file.text("{\"type\":\"finish\"}").await;
    assert_eq!(file.rest().await.1.code, Some(1000));
    let joined = file_room.read(|room| room.read(0, 1).unwrap()[0].at);
    let in_file = file_room.read(|room| room.transcript()[0].words[0].span.start).since(joined);

    let room = local.app.open_room("").unwrap();
    // A room that is not new: its clock and the leg's would differ by this.
    let mut leg = Leg::join(&local, "r2", "name=Ada").await;
    tokio::time::timeout(Duration::from_secs(2), std::future::pending::<()>()).await.unwrap_err();
    let began = room.epoch().at(leg.now());
    let heard = leg.say(&speech).await;
    assert!(heard.is_empty(), "it did not ask to listen");
    leg.finish().await;
    let in_room = room.read(|room| room.transcript()[0].words[0].span.start);
    let late_ms = in_room.as_millis() as i64 - (began + in_file).as_millis() as i64;
    println!("the first word lies {late_ms} ms behind where it was sent");
    assert!(
        (0..1_000).contains(&late_ms),
        "{late_ms} ms: {in_room} in the room, {in_file:?} in the file, sent at {began}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_muted_is_neither_heard_nor_transcribed_until_they_are_not() {
    let Some((local, speech, _)) = parts(Config::default(), 3).await else { return };
    let room = local.app.open_room("").unwrap();
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events", local.ws_url()), &[]).await.unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let mut bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    let muted = local.patch("r1", "p1", json!({"is_muted": true})).await;
    assert_eq!((muted.0, &muted.1["is_muted"], &muted.1["kind"]), (200, &true.into(), &"websocket".into()));
    let (_, heard) = tokio::join!(ada.say(&speech), bob.listen(Duration::from_secs(4)));
    assert!(loudest(&heard) < 0.001, "a muted leg was heard at {}", loudest(&heard));
    assert_eq!(room.read(bot::room::Room::transcript_len), 0);
    assert_eq!(local.patch("r1", "p1", json!({"is_muted": false})).await.0, 200);
    let (_, heard) = tokio::join!(ada.say(&speech), bob.listen(Duration::from_secs(4)));
    assert!(loudest(&heard) > 0.1, "a leg that is not muted any more was not heard");
    ada.finish().await;
    assert!(room.read(bot::room::Room::transcript_len) > 0);
    bob.finish().await;
    room.close().await;
    let seen = events.rest().await.0;
    let updates: Vec<_> =
        seen.iter().filter(|event| event["type"] == "participant.updated").map(|event| &event["is_muted"]).collect();
    assert_eq!(updates, [&json!(true), &json!(false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_room_makes_way_for_another_unless_somebody_will_come_back_to_it() {
    let config = Config::parse(Path::new("test.toml"), "[limits]\nrooms_max = 1\n", []).unwrap();
    let local = Local::deaf(config).await;
    let hold = local.app.open_room("").unwrap().hold();
    assert!(local.app.open_room("").is_err(), "a room that somebody comes back to was taken from them");
    drop(hold);
    let second = local.app.open_room("").unwrap();
    assert_eq!(second.id().to_string(), "r2");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_it_is_heard_without_the_noise_around_them() {
    let local = Local::deaf(Config::default()).await;
    local.app.open_room("").unwrap();
    // White noise, from a generator of one line.
    let mut seed = 1_u32;
    let noise: Vec<f32> = (0..RATE_HZ * 4)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.1 * (seed as f32 / u32::MAX as f32 - 0.5)
        })
        .collect();
    let mut level = Vec::new();
    for wish in ["", "&suppress_noise=true"] {
        let mut ada = Leg::join(&local, "r1", &format!("name=Ada{wish}")).await;
        let mut bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
        let (_, heard) = tokio::join!(ada.say(&noise), bob.listen(Duration::from_secs(4)));
        // The network listens for a second before it knows what is noise.
        let late = &heard[heard.len() / 2..heard.len() * 3 / 4];
        level.push(media::dsp::level::rms_dbfs(late));
        ada.finish().await;
        bob.finish().await;
    }
    assert!(level[0] > -40.0 && level[1] < level[0] - 10.0, "{level:?} dBFS, as it is and suppressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_sent_out_hears_why_and_the_others_stay() {
    let Some((local, speech, _)) = parts(Config::default(), 3).await else { return };
    let room = local.app.open_room("").unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    ada.say(&speech[..16_000]).await;
    assert_eq!(local.delete("r1/participants/p1").await, 204);
    let (messages, closed) = ada.socket.rest().await;
    assert_eq!((closed.code, &messages.last().unwrap()["error"]["code"]), (Some(1000), &"sent_out".into()));
    assert_eq!(local.delete("r1/participants/p1").await, 404);
    let names: Vec<_> = room.read(|room| room.participants().iter().map(|who| who.name.to_string()).collect());
    assert_eq!(names, ["Bob"]);
    bob.finish().await;

    // A file, which has no leg, is silenced and goes the same way.
    let url = format!("{}/api/rooms/r1/audio?encoding=linear16&live=false", local.ws_url());
    let mut file = Socket::open(&url, &[]).await.unwrap();
    let id = file.json().await.unwrap()["participants"][0].as_str().unwrap().to_owned();
    assert_eq!(local.patch("r1", &id, json!({"is_muted": true})).await.0, 200);
    let before = room.read(bot::room::Room::transcript_len);
    file.audio(&linear16(&speech), 3_200).await;
    file.text("{\"type\":\"finalize\"}").await;
    // The first report says that it was heard, and there was nothing in it.
    let heard = file.until("heard").await.unwrap();
    assert!(heard.last().unwrap()["audio_s"].as_f64().unwrap() > 0.0, "{heard:?}");
    assert_eq!(local.delete(&format!("r1/participants/{id}")).await, 204);
    let (messages, closed) = file.rest().await;
    assert_eq!((closed.code, &messages.last().unwrap()["error"]["code"]), (Some(1000), &"sent_out".into()));
    assert_eq!(room.read(bot::room::Room::transcript_len), before, "a muted file was transcribed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_played_to_everybody_replaced_by_a_newer_one_and_stopped() {
    let Some((local, speech, other)) = parts(Config::default(), 8).await else { return };
    let speech = &speech[..64_000];
    local.app.open_room("").unwrap();
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events", local.ws_url()), &[]).await.unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada&listen=true").await;
    let mut bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    assert_eq!(local.delete("r1/play").await, 404);
    let (status, started) = local.play("r1", wav(speech)).await;
    assert_eq!((status, &started["play"], &started["duration_s"]), (202, &"play1".into(), &4.0.into()));
    let (ada_heard, bob_heard) = tokio::join!(ada.listen(Duration::from_secs(7)), bob.listen(Duration::from_secs(7)));
    for heard in [&ada_heard, &bob_heard] {
        let hearing = heard_of(speech, heard).expect("the file was heard");
        assert!(hearing.likeness > 0.95 && hearing.level_db.abs() < 1.0, "{hearing:?}");
        assert!(standstill::explains(hearing.gaps.len()), "{hearing:?}");
    }
    assert_eq!(local.delete("r1/play").await, 404, "it has come to its end");
    local.play("r1", wav(speech)).await;
    local.play("r1", wav(&other)).await;
    let heard = ada.listen(Duration::from_secs(4)).await;
    let hearing = heard_of(&other[..48_000], &heard).expect("the newer file was heard");
    assert!(hearing.likeness > 0.95, "{hearing:?}");
    assert_eq!(local.delete("r1/play").await, 204);
    let heard = ada.listen(Duration::from_secs(3)).await;
    // What was on its way when it was stopped takes a moment to arrive.
    let after = &heard[2 * RATE_HZ as usize..];
    assert!(loudest(after) < 0.001, "a stopped file is heard at {}", loudest(after));

    let seen = events.until_count("play.ended", 3).await;
    let told: Vec<_> = seen
        .iter()
        .filter(|event| event["type"].as_str().is_some_and(|kind| kind.starts_with("play.")))
        .map(|event| (event["type"].as_str().unwrap(), event["play"].as_str().unwrap(), event["why"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("play.started", "play1", None),
            ("play.ended", "play1", Some("finished")),
            ("play.started", "play2", None),
            ("play.ended", "play2", Some("replaced")),
            ("play.started", "play3", None),
            ("play.ended", "play3", Some("stopped")),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_refused_with_the_reason() {
    let local = Local::deaf(Config::default()).await;
    local.app.open_room("").unwrap();
    for garbage in [&b""[..], b"hello", &[0; 10_000]] {
        let (status, body) = local.play("r1", garbage.to_vec()).await;
        assert_eq!((status, &body["error"]["code"]), (400, &"bad_audio".into()), "{body}");
    }
    let (status, body) = local.play("r1", vec![0; (32 << 20) + 1]).await;
    assert_eq!((status, &body["error"]["code"]), (413, &"too_large".into()), "{body}");
    assert_eq!(local.play("r9", wav(&[0.0; 100])).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_people_hear_each_other_and_are_told_that_nobody_writes_it_down() {
    let Ok(speech) = speech("audio/speech/jfk.wav", 4) else { return println!("skipped: no recordings") };
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let mut bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    assert_eq!((&ada.ready["is_transcribed"], &ada.ready["engine"]), (&false.into(), &Value::Null));
    let (_, heard) = tokio::join!(ada.say_ahead(&speech), bob.listen(Duration::from_secs(6)));
    let hearing = heard_of(&speech, &heard).expect("Ada was heard");
    assert!(standstill::explains(hearing.gaps.len()), "{hearing:?}");
    let (_, listed) = local.fetch("r1/participants").await;
    assert_eq!(
        listed["participants"][0],
        json!({"id": "p1", "name": "Ada", "kind": "websocket", "is_muted": false, "consent": null, "is_transcribed": false})
    );
    assert_eq!(local.app.admission().streams_taken(), 0);
    ada.finish().await;
    assert_eq!(room.read(bot::room::Room::transcript_len), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_beside_a_conversation_makes_no_gap_in_it() {
    let Some((local, speech, other)) = parts(Config::default(), 6).await else { return };
    local.app.open_room("").unwrap();
    local.app.open_room("").unwrap();
    let ada = Leg::join(&local, "r1", "name=Ada&listen=true").await;
    let bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    let mut floods = Vec::new();
    for query in
        ["encoding=linear16", "encoding=linear16&live=false", "encoding=mulaw", "encoding=linear16&listen=true"]
    {
        let url = format!("{}/api/rooms/r2/audio?{query}", local.ws_url());
        let noise = vec![0x55; 100_000];
        floods.push(tokio::spawn(async move {
            let mut socket = Socket::open(&url, &[]).await.unwrap();
            loop {
                socket.audio(&noise, 1_000).await;
            }
        }));
    }
    let (ada, bob) = tokio::join!(ada.talk(&speech), bob.talk(&other));
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    for (said, heard) in [(&speech, &bob), (&other, &ada)] {
        let hearing = heard_of(said, heard).expect("they heard each other");
        assert!(standstill::explains(hearing.gaps.len()), "{hearing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_who_reads_nothing_holds_nobody_up_and_misses_what_it_did_not_read() {
    let Ok(speech) = speech("audio/speech/jfk.wav", 4) else { return println!("skipped: no recordings") };
    let local = Local::deaf(Config::default()).await;
    local.app.open_room("").unwrap();
    let _deaf: Vec<Leg> = futures_util::future::join_all((0..8).map(|_| Leg::join(&local, "r1", "listen=true"))).await;
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let mut bob = Leg::join(&local, "r1", "name=Bob&listen=true").await;
    let (_, heard) = tokio::join!(ada.say_ahead(&speech), bob.listen(Duration::from_secs(6)));
    let hearing = heard_of(&speech, &heard).expect("Ada was heard");
    assert!(standstill::explains(hearing.gaps.len()), "{hearing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_too_many_is_refused_and_its_place_is_free_when_one_has_left() {
    let mut config = Config::default();
    config.limits.streams_max = Some(1);
    let Some((local, speech, _)) = parts(config, 2).await else { return };
    let room = local.app.open_room("").unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let url = format!("{}/api/rooms/r1/audio?encoding=linear16&name=Bob", local.ws_url());
    let refused = Socket::open(&url, &[]).await.err().unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (503, &"full".into()));
    assert!(refused.headers.contains_key("retry-after"));
    ada.say(&speech).await;
    ada.finish().await;
    assert!(room.read(|room| room.participants().is_empty()));
    let bob = Leg::join(&local, "r1", "name=Bob").await;
    bob.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_words_so_far_brings_them_without_a_pause_and_the_last_come_before_the_end() {
    let Some((local, speech, _)) = parts(Config::default(), 5).await else { return };
    let room = local.app.open_room("").unwrap();
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events", local.ws_url()), &[]).await.unwrap();
    // Nothing but the request ends an utterance.
    let mut ada = Leg::join(&local, "r1", "name=Ada&endpointing=10000").await;
    ada.say(&speech[..48_000]).await;
    ada.socket.text("{\"type\":\"finalize\"}").await;
    let seen = events.until("transcript.final").await.unwrap();
    assert!(!seen.last().unwrap()["text"].as_str().unwrap().is_empty(), "{seen:?}");
    ada.say(&speech[48_000..]).await;
    let reports = ada.finish().await;
    let finished = reports.last().unwrap();
    assert_eq!(finished["type"], "finished");
    assert!((finished["audio_s"].as_f64().unwrap() - 5.0).abs() < 0.01, "{finished}");
    let words: usize = room.read(|room| room.transcript().iter().map(|segment| segment.words.len()).sum());
    assert!(words >= 8, "the last words were in the transcript before the end: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_show_who_is_loud() {
    let Ok(speech) = speech("audio/speech/jfk.wav", 3) else { return println!("skipped: no recordings") };
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let _bob = Leg::join(&local, "r1", "name=Bob").await;
    let reading =
        tokio::spawn(client().get(format!("{}/api/rooms/r1/levels", local.base_url())).send().await.unwrap().text());
    ada.say(&speech).await;
    room.close().await;
    let text = reading.await.unwrap().unwrap();
    let levels: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    assert!((10..40).contains(&levels.len()), "five a second for three seconds: {}", levels.len());
    let loudest =
        |who: &str| levels.iter().filter_map(|level| level["levels"][who].as_f64()).fold(f64::NEG_INFINITY, f64::max);
    assert!(loudest("p1") > -30.0, "{}", loudest("p1"));
    assert_eq!(loudest("p2"), -90.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_captured_before_they_agreed_where_the_room_demands_it() {
    let Ok(speech) = speech("audio/speech/jfk.wav", 2) else { return println!("skipped: no recordings") };
    let local = Local::deaf(Config::default()).await;
    let opened =
        client().post(format!("{}/api/rooms", local.base_url())).json_body(&json!({"consent": "required"})).await;
    assert_eq!((opened.0, &opened.1["consent"]), (201, &"required".into()));
    let room = local.app.rooms().list().remove(0);
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    let sound = local.app.sound(&room);
    let mut everybody = sound.bridge().capture(Captured::Everybody).await.unwrap();
    let mut captured = move || {
        std::iter::from_fn(|| everybody.hear())
            .filter_map(|heard| match heard {
                Captures::Frame(frame) => Some(loudest(&frame.samples)),
                Captures::Lost(_) => None,
            })
            .fold(0.0, f32::max)
    };
    ada.say(&speech[..24_000]).await;
    assert_eq!(captured(), 0.0, "captured without consent");
    assert_eq!(local.patch("r1", "p1", json!({"consent": true})).await.1["consent"], true);
    ada.say(&speech).await;
    assert!(captured() > 0.1, "not captured after consent");
    assert_eq!(local.patch("r1", "p1", json!({"consent": false})).await.0, 200);
    // What was on its way when it was taken back.
    ada.say(&[0.0; 8_000]).await;
    captured();
    ada.say(&speech[..24_000]).await;
    assert_eq!(captured(), 0.0, "captured after consent was taken back");
    // Whoever says so when they come is captured from their first word.
    let mut bob = Leg::join(&local, "r1", "name=Bob&consent=true").await;
    bob.say(&speech).await;
    assert!(captured() > 0.1, "not captured although they agreed");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_become_events_of_the_room_with_their_time_and_length() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let wish = Wish {
        name: "Telephone".to_owned(),
        kind: bot::participant::Kind::Webrtc,
        consent: None,
        hints: asr::recognizer::Hints::default(),
        endpointing_ms: call::ENDPOINTING_MS,
        words: Words::NotWanted,
        source: Some(Box::new(Keypad { ticks: 0 })),
        sink: None,
        key_ticks_hz: 8_000,
        suppress_noise: false,
        hears_itself: false,
        diarize: false,
    };
    let call = call::join(&local.app, &room, wish).await.unwrap();
    let mut events = Socket::open(&format!("{}/api/rooms/r1/events", local.ws_url()), &[]).await.unwrap();
    let seen = events.until_count("dtmf", 2).await;
    let keys: Vec<_> = seen.iter().filter(|event| event["type"] == "dtmf").collect();
    assert_eq!((&keys[0]["digit"], &keys[0]["duration_ms"]), (&"5".into(), &120.into()));
    assert_eq!((&keys[1]["digit"], &keys[1]["duration_ms"]), (&"#".into(), &80.into()));
    let apart = keys[1]["start_s"].as_f64().unwrap() - keys[0]["start_s"].as_f64().unwrap();
    assert!((apart - 0.3).abs() < 0.011, "{apart}");
    call.hung_up().await;
    assert!(room.read(|room| room.participants().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_closes_or_a_server_that_drains_ends_its_calls_by_itself() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("").unwrap();
    let mut ada = Leg::join(&local, "r1", "name=Ada").await;
    room.close().await;
    let (messages, closed) = ada.socket.rest().await;
    assert_eq!((closed.code, &messages.last().unwrap()["error"]["code"]), (Some(1000), &"room_closed".into()));
    local.app.open_room("").unwrap();
    let mut bob = Leg::join(&local, "r2", "name=Bob&listen=true").await;
    let (rest, ()) = tokio::join!(bob.socket.rest(), local.drain());
    assert_eq!(rest.1.code, Some(1012));
}

/// Presses 5 at 0.2 s for 120 ms and # at 0.5 s for 80 ms.
struct Keypad {
    ticks: u32,
}

impl Node for Keypad {
    fn ports(&self) -> Ports {
        Ports::source(mono(8_000))
    }

    fn process(&mut self, tick: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let key = |sign| Key::from_char(sign).unwrap();
        let event = match self.ticks {
            20 => Some(dtmf::Event::Pressed(key('5'))),
            32 => Some(dtmf::Event::Released { key: key('5'), ticks: 960 }),
            50 => Some(dtmf::Event::Pressed(key('#'))),
            58 => Some(dtmf::Event::Released { key: key('#'), ticks: 640 }),
            _ => None,
        };
        self.ticks += 1;
        if let Some(event) = event {
            tick.report(Event::Key(event));
        }
        Status::Silent
    }
}

/// A client of the audio socket that keeps real time.
struct Leg {
    socket: Socket,
    ready: Value,
}

impl Leg {
    async fn join(local: &Local, room: &str, query: &str) -> Self {
        let url = format!("{}/api/rooms/{room}/audio?encoding=linear16&sample_rate={RATE_HZ}&{query}", local.ws_url());
        let mut socket = Socket::open(&url, &[]).await.unwrap();
        let ready = socket.json().await.unwrap();
        assert_eq!(ready["type"], "ready");
        Self { socket, ready }
    }

    #[expect(clippy::disallowed_methods, reason = "a client that speaks in real time has a clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Says all of `samples`, 20 ms at a time; what was heard meanwhile.
    async fn say(&mut self, samples: &[f32]) -> Vec<f32> {
        self.say_since(samples, tokio::time::Instant::now()).await
    }

    /// The same [`AHEAD`] of its time, so that a busy machine makes no hole in it.
    async fn say_ahead(&mut self, samples: &[f32]) -> Vec<f32> {
        self.say_since(samples, tokio::time::Instant::now() - AHEAD).await
    }

    /// The same as if it had begun then.
    async fn say_since(&mut self, samples: &[f32], began: tokio::time::Instant) -> Vec<f32> {
        let mut heard = Vec::new();
        let mut due = interval_at(began, Duration::from_millis(20));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for message in samples.chunks(MESSAGE_SAMPLES) {
            loop {
                tokio::select! {
                    _ = due.tick() => break,
                    said = self.socket.message() => hear(said.unwrap(), &mut heard),
                }
            }
            self.socket.audio(&linear16(message), 2 * MESSAGE_SAMPLES).await;
        }
        heard
    }

    /// Listens for so long.
    async fn listen(&mut self, duration: Duration) -> Vec<f32> {
        let mut heard = Vec::new();
        let listening = async {
            loop {
                hear(self.socket.message().await.unwrap(), &mut heard);
            }
        };
        let _: Result<(), _> = tokio::time::timeout(duration, listening).await;
        heard
    }

    /// Says all of it ahead of its time, listens a little longer, and leaves.
    async fn talk(mut self, samples: &[f32]) -> Vec<f32> {
        let mut heard = self.say_ahead(samples).await;
        heard.extend(self.listen(Duration::from_secs(2)).await);
        self.finish().await;
        heard
    }

    /// Leaves in good order; the reports since it last looked.
    async fn finish(mut self) -> Vec<Value> {
        self.socket.text("{\"type\":\"finish\"}").await;
        let (reports, closed) = self.socket.rest().await;
        assert_eq!(closed, Closed { code: Some(1000), reason: "finished".to_owned() }, "{reports:?}");
        reports
    }
}

fn hear(said: Said, heard: &mut Vec<f32>) {
    if let Said::Sound(bytes) = said {
        assert_eq!(bytes.len(), 2 * MESSAGE_SAMPLES, "20 ms a message");
        heard.extend(bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0));
    }
}

fn heard_of(said: &[f32], heard: &[f32]) -> Result<Hearing, NotHeard> {
    compare(Sound { samples: said, rate_hz: RATE_HZ }, Sound { samples: heard, rate_hz: RATE_HZ })
}

fn loudest(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |loudest, sample| sample.abs().max(loudest))
}

/// A server, and two voices of so many seconds.
async fn parts(config: Config, seconds: usize) -> Option<(Local, Vec<f32>, Vec<f32>)> {
    let started = async {
        let (one, other) =
            (speech("audio/speech/jfk.wav", seconds)?, speech("audio/speech/two_cities_16k.wav", seconds)?);
        Ok::<_, String>((Local::start(config).await?, one, other))
    };
    started.await.map_err(|why| println!("{why}")).ok()
}

fn speech(name: &str, seconds: usize) -> Result<Vec<f32>, String> {
    let mut samples = fixture::wav_16k(&fixture::recording(name)?);
    samples.truncate(seconds * RATE_HZ as usize);
    Ok(samples)
}

fn wav(samples: &[f32]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample((sample * 32_767.0) as i16).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn client() -> reqwest::Client {
    server::models::tls::install();
    reqwest::Client::new()
}

trait Asks {
    async fn fetch(&self, path: &str) -> (u16, Value);
    async fn patch(&self, room: &str, participant: &str, change: Value) -> (u16, Value);
    async fn delete(&self, path: &str) -> u16;
    async fn play(&self, room: &str, file: Vec<u8>) -> (u16, Value);
}

impl Asks for Local {
    async fn fetch(&self, path: &str) -> (u16, Value) {
        answer(client().get(format!("{}/api/rooms/{path}", self.base_url()))).await
    }

    async fn patch(&self, room: &str, participant: &str, change: Value) -> (u16, Value) {
        client()
            .patch(format!("{}/api/rooms/{room}/participants/{participant}", self.base_url()))
            .json_body(&change)
            .await
    }

    async fn delete(&self, path: &str) -> u16 {
        answer(client().delete(format!("{}/api/rooms/{path}", self.base_url()))).await.0
    }

    async fn play(&self, room: &str, file: Vec<u8>) -> (u16, Value) {
        answer(client().post(format!("{}/api/rooms/{room}/play", self.base_url())).body(Bytes::from(file))).await
    }
}

trait JsonBody {
    async fn json_body(self, body: &Value) -> (u16, Value);
}

impl JsonBody for reqwest::RequestBuilder {
    async fn json_body(self, body: &Value) -> (u16, Value) {
        answer(self.header("content-type", "application/json").body(body.to_string())).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

trait UntilCount {
    async fn until_count(&mut self, kind: &str, count: usize) -> Vec<Value>;
}

impl UntilCount for Socket {
    /// Reads until so many messages of this `type` have come.
    async fn until_count(&mut self, kind: &str, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.extend(self.until(kind).await.unwrap());
        }
        messages
    }
}
