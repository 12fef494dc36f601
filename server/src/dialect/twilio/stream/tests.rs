//! A caller's room, a stream and a bot, all on virtual time: what the bot is sent, and what the caller hears of it.

use std::{f32::consts::TAU, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use media::{
    bridge::{Captured, Switchboard},
    dsp::level::rms_dbfs,
    graph::nodes::{capture::CaptureReader, frames::Heard},
    id::RoomId,
    time::Epoch,
};
use serde_json::{Value, json};
use tokio::{
    io::DuplexStream,
    task::JoinHandle,
    time::{sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// Room on the wire between a stream and its bot.
const WIRE_BYTES: usize = 64 * 1_024;

/// As loud as voices are here.
const VOICE_DBFS: f32 = -15.05;

const SID: &str = "MZ00000000000000000000000000000001";

/// Everything of a test. The engine ticks until it is dropped.
struct Scene {
    bot: WebSocketStream<DuplexStream>,
    stream: JoinHandle<Ended>,
    orders: Option<mpsc::Sender<Order>>,
    warnings: mpsc::Receiver<Warning>,
    /// The caller's own mouth and ear.
    mouth: Mouth,
    ear: CaptureReader,
    bridge: Bridge,
    _caller: Leg,
    engine: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.engine.abort();
        self.stream.abort();
    }
}

impl Scene {
    /// A bot that was connected by TwiML.
    async fn connected() -> Self {
        let (bridge, caller, mouth, ear, engine) = room().await;
        let ends = Ends::join(&bridge).await.unwrap();
        Self::with(ends, bridge, caller, mouth, ear, engine).await
    }

    async fn with(
        ends: Ends,
        bridge: Bridge,
        caller: Leg,
        mouth: Mouth,
        ear: CaptureReader,
        engine: JoinHandle<()>,
    ) -> Self {
        let (ours, theirs) = tokio::io::duplex(WIRE_BYTES);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let bot = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let (orders, from_call) = mpsc::channel(8);
        let (to_call, warnings) = mpsc::channel(8);
        let start = Start {
            stream_sid: SID.to_owned(),
            account_sid: "AC1".to_owned(),
            call_sid: "CA1".to_owned(),
            parameters: [("name".to_owned(), "Ada".to_owned())].into(),
            ..Start::default()
        };
        let stream = tokio::spawn(run(socket, start, ends, from_call, to_call));
        Self { bot, stream, orders: Some(orders), warnings, mouth, ear, bridge, _caller: caller, engine }
    }

    /// The next message that the bot is sent, and when.
    async fn told(&mut self) -> (Value, Instant) {
        loop {
            match self.bot.next().await {
                Some(Ok(Message::Text(text))) => return (serde_json::from_str(&text).unwrap(), Instant::now()),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message of this `event`; whatever comes before is passed over.
    async fn told_of(&mut self, event: &str) -> (Value, Instant) {
        loop {
            let (message, at) = self.told().await;
            if message["event"] == event {
                return (message, at);
            }
        }
    }

    async fn says(&mut self, command: &Command) {
        self.bot.send(Message::text(command.spell(SID))).await.unwrap();
    }

    /// Reads as bots do, for `span`: what came.
    async fn lives(&mut self, span: Duration) -> Vec<Value> {
        let mut told = Vec::new();
        let until = Instant::now() + span;
        while let Ok((message, _)) = tokio::time::timeout_at(until, self.told()).await {
            told.push(message);
        }
        told
    }

    /// What the caller has heard since the last time, at 48 kHz.
    fn heard(&mut self) -> Vec<f32> {
        let frames = std::iter::from_fn(|| self.ear.hear());
        frames
            .flat_map(|heard| match heard {
                Heard::Frame(frame) => frame.samples.to_vec(),
                Heard::Lost(hole) => panic!("nobody was slow, and yet {hole:?} was lost"),
            })
            .collect()
    }

    async fn ended(&mut self) -> Ended {
        timeout(Duration::from_secs(120), &mut self.stream).await.expect("it ends").unwrap()
    }
}

/// A room with a caller in it, and an engine that ticks in virtual time.
async fn room() -> (Bridge, Leg, Mouth, CaptureReader, JoinHandle<()>) {
    let began = Instant::now().into_std();
    let (switchboard, mut hand) = Switchboard::by_hand(began);
    let epoch = Epoch { instant: began, wall: SystemTime::UNIX_EPOCH };
    let bridge = switchboard.bridge(RoomId(1), epoch, 48_000);
    let engine = tokio::spawn(async move {
        let _switchboard = switchboard;
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            hand.tick();
        }
    });
    let (source, mouth) = playout(RATE_HZ);
    let (sink, ear) = capture();
    let plan =
        Plan { source: Some(Box::new(source)), sink: Some(Box::new(sink)), may_be_captured: true, ..Plan::default() };
    let caller = bridge.join(plan).await.unwrap();
    (bridge, caller, mouth, ear, engine)
}

/// A sine of a quarter of full scale, at 8 kHz.
fn tone(samples: usize) -> Vec<f32> {
    (0..samples).map(|n| 0.25 * (TAU * 440.0 * n as f32 / 8_000.0).sin()).collect()
}

fn mu_law(samples: &[f32]) -> Vec<u8> {
    samples.iter().map(|sample| Law::Mu.encode(*sample)).collect()
}

fn decoded(media: &Value) -> Vec<f32> {
    let payload = STANDARD.decode(media["media"]["payload"].as_str().unwrap()).unwrap();
    payload.into_iter().map(|byte| Law::Mu.decode(byte)).collect()
}

/// How long is louder than a whisper, and when it begins and ends, in milliseconds.
fn loud_ms(heard: &[f32]) -> (usize, usize, usize) {
    let loud: Vec<usize> =
        heard.chunks(48).enumerate().filter(|(_, ms)| rms_dbfs(ms) > -30.0).map(|(n, _)| n).collect();
    (loud.len(), loud.first().copied().unwrap_or(0), loud.last().copied().unwrap_or(0))
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_as_twilios_do_and_brings_silence_every_20_ms_to_the_millisecond() {
    let mut scene = Scene::connected().await;
    assert_eq!(scene.told().await.0, json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
    let (start, _) = scene.told().await;
    assert_eq!((&start["sequenceNumber"], &start["streamSid"]), (&json!("1"), &json!(SID)));
    assert_eq!(start["start"]["tracks"], json!(["inbound"]));
    assert_eq!(start["start"]["customParameters"], json!({"name": "Ada"}));
    let (first, began) = scene.told().await;
    assert_eq!(first["sequenceNumber"], "2");
    assert_eq!(decoded(&first), [0.0; CHUNK_SAMPLES]);
    for n in 1..500 {
        let (media, at) = scene.told().await;
        let sound = &media["media"];
        assert_eq!(sound["track"], "inbound");
        assert_eq!(media["sequenceNumber"], (n + 2).to_string());
        assert_eq!(sound["chunk"], (n + 1).to_string());
        assert_eq!(sound["timestamp"], (n * 20).to_string());
        assert_eq!(at - began, Duration::from_millis(n * 20));
        assert_eq!(decoded(&media).len(), CHUNK_SAMPLES);
    }
}

/// Samples of one chunk.
const CHUNK_SAMPLES: usize = 160;

#[tokio::test(start_paused = true)]
async fn what_the_caller_says_reaches_the_bot_and_what_the_bot_sends_back_reaches_the_caller() {
    let mut scene = Scene::connected().await;
    let (mut said, mut echoed) = (tone(8_000), Vec::new());
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let spoken = scene.mouth.speak(1, &said);
        said.drain(..spoken);
        let (media, _) = scene.told_of("media").await;
        let payload = STANDARD.decode(media["media"]["payload"].as_str().unwrap()).unwrap();
        echoed.extend(decoded(&media));
        scene.says(&Command::Media(payload)).await;
    }
    let loud: Vec<f32> = echoed.chunks(80).filter(|ms| rms_dbfs(ms) > -30.0).flatten().copied().collect();
    assert!((950..=1_050).contains(&(loud.len() / 8)), "the bot heard {} ms", loud.len() / 8);
    assert!((rms_dbfs(&loud) - VOICE_DBFS).abs() < 0.5);
    let heard = scene.heard();
    let (loud, first, last) = loud_ms(&heard);
    assert!((950..=1_050).contains(&loud), "the caller heard {loud} ms");
    assert_eq!(last + 1 - first, loud, "without a gap");
    assert!((rms_dbfs(&heard[48 * (first + 100)..48 * (last - 100)]) - VOICE_DBFS).abs() < 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_mark_comes_back_when_what_was_sent_before_it_has_been_heard() {
    let mut scene = Scene::connected().await;
    scene.told_of("media").await;
    let began = Instant::now();
    scene.says(&Command::Mark("nothing before it".to_owned())).await;
    scene.says(&Command::Media(mu_law(&tone(8_000)))).await;
    scene.says(&Command::Mark("a second".to_owned())).await;
    scene.says(&Command::Media(mu_law(&tone(80)))).await;
    scene.says(&Command::Mark("and a bit".to_owned())).await;
    let mut marks = Vec::new();
    for _ in 0..3 {
        let (mark, at) = scene.told_of("mark").await;
        marks.push((mark["mark"]["name"].as_str().unwrap().to_owned(), (at - began).as_millis()));
    }
    let names: Vec<_> = marks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["nothing before it", "a second", "and a bit"]);
    assert!(marks[0].1 <= 40, "{marks:?}");
    assert!((1_000..=1_050).contains(&marks[1].1), "{marks:?}");
    assert!((1_010..=1_060).contains(&marks[2].1), "{marks:?}");
    // The reader of the caller's ear is a few frames behind.
    scene.lives(Duration::from_millis(200)).await;
    let (loud, first, last) = loud_ms(&scene.heard());
    assert!((1_000..=1_020).contains(&loud) && last + 1 - first == loud, "{loud} ms from {first} to {last}");
}

#[tokio::test(start_paused = true)]
async fn a_clear_silences_the_bot_within_a_tick_and_a_fade_and_answers_its_marks_at_once() {
    let mut scene = Scene::connected().await;
    scene.says(&Command::Media(mu_law(&tone(80_000)))).await;
    scene.says(&Command::Mark("ten seconds".to_owned())).await;
    scene.says(&Command::Mark("more".to_owned())).await;
    scene.lives(Duration::from_millis(500)).await;
    scene.heard();
    let cleared = Instant::now();
    scene.says(&Command::Clear).await;
    for name in ["ten seconds", "more"] {
        let (mark, at) = scene.told_of("mark").await;
        assert_eq!(mark["mark"]["name"], name);
        assert!(at - cleared <= Duration::from_millis(20), "{:?}", at - cleared);
    }
    scene.lives(Duration::from_millis(500)).await;
    let (loud, _, last) = loud_ms(&scene.heard());
    // A frame of the reader may have been half full, and the resampler of the room rings on for some milliseconds.
    assert!(last <= 50, "{loud} ms, the last after {last}");
    // What comes afterwards is heard.
    scene.says(&Command::Media(mu_law(&tone(1_600)))).await;
    scene.lives(Duration::from_millis(500)).await;
    let (loud, ..) = loud_ms(&scene.heard());
    assert!((195..=215).contains(&loud), "{loud} ms");
}

#[tokio::test(start_paused = true)]
async fn messages_of_any_size_are_one_sound() {
    let mut scene = Scene::connected().await;
    for piece in mu_law(&tone(8_000)).chunks(7) {
        scene.says(&Command::Media(piece.to_vec())).await;
    }
    scene.lives(Duration::from_secs(2)).await;
    let (loud, first, last) = loud_ms(&scene.heard());
    assert!((995..=1_015).contains(&loud), "{loud} ms");
    assert_eq!(last + 1 - first, loud, "without a gap");
}

#[tokio::test(start_paused = true)]
async fn keys_reach_the_bot_and_a_stop_ends_the_stream_in_order() {
    let mut scene = Scene::connected().await;
    let orders = scene.orders.take().unwrap();
    orders.send(Order::Dtmf('7')).await.unwrap();
    let (dtmf, _) = scene.told_of("dtmf").await;
    assert_eq!(dtmf["dtmf"], json!({"track": "inbound_track", "digit": "7"}));
    orders.send(Order::Stop).await.unwrap();
    let (stop, _) = scene.told_of("stop").await;
    assert_eq!(stop["stop"], json!({"accountSid": "AC1", "callSid": "CA1"}));
    let Some(Ok(Message::Close(Some(frame)))) = scene.bot.next().await else { panic!("a close frame follows") };
    assert_eq!(frame.code, CloseCode::Normal);
    assert!(scene.bot.next().await.is_none_or(|next| next.is_err()));
    assert_eq!(scene.ended().await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_drops_its_orders_has_hung_up() {
    let mut scene = Scene::connected().await;
    scene.orders.take();
    scene.told_of("stop").await;
    drop(std::mem::replace(&mut scene.bot, idle().await));
    assert_eq!(scene.ended().await, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_closes_or_vanishes_ends_its_stream_and_its_voice() {
    let mut scene = Scene::connected().await;
    scene.says(&Command::Media(mu_law(&tone(80_000)))).await;
    scene.lives(Duration::from_secs(1)).await;
    let bye = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    scene.bot.close(Some(bye)).await.unwrap();
    while scene.bot.next().await.is_some_and(|message| message.is_ok()) {}
    assert_eq!(scene.ended().await, Ended::Closed(Some(1_000)));
    scene.heard();
    tokio::time::advance(Duration::from_millis(500)).await;
    sleep_until(Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(loud_ms(&scene.heard()).0, 0);

    let mut scene = Scene::connected().await;
    scene.told_of("media").await;
    drop(std::mem::replace(&mut scene.bot, idle().await));
    assert_eq!(scene.ended().await, Ended::Vanished);
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_told_once_and_too_much_of_it_ends_the_stream_alone() {
    let mut scene = Scene::connected().await;
    for nonsense in ["nonsense", "{}", r#"{"event":"clear","streamSid":"MZ2"}"#] {
        scene.bot.send(Message::text(nonsense)).await.unwrap();
    }
    scene.bot.send(Message::binary(vec![0; 160])).await.unwrap();
    scene.says(&Command::Media(mu_law(&tone(1_600)))).await;
    scene.lives(Duration::from_millis(500)).await;
    assert_eq!(scene.warnings.try_recv().map(Warning::twilio_code), Ok(31_951));
    assert!(scene.warnings.try_recv().is_err(), "once");
    assert!((195..=215).contains(&loud_ms(&scene.heard()).0), "the stream goes on");
    for _ in 0..BAD_FRAMES_MAX {
        scene.bot.send(Message::text("{}")).await.unwrap();
    }
    while !matches!(scene.bot.next().await, Some(Ok(Message::Close(_)))) {}
    assert_eq!(scene.ended().await, Ended::Raving);
    // The caller is where they were, and may be heard by the next bot.
    let mut again = Ends::join(&scene.bridge).await.unwrap();
    scene.mouth.speak(1, &tone(1_600));
    sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let mut heard = Vec::new();
    while let Some(chunk) = again.inbound.as_mut().unwrap().next(&mut None) {
        heard.extend(chunk.payload.map(|byte| Law::Mu.decode(byte)));
    }
    assert!(heard.chunks(80).any(|ms| rms_dbfs(ms) > -30.0));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_websocket_end_the_stream() {
    let mut scene = Scene::connected().await;
    scene.told_of("media").await;
    tokio::io::AsyncWriteExt::write_all(scene.bot.get_mut(), &[0xff; 64]).await.unwrap();
    assert_eq!(scene.ended().await, Ended::Raving);
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_is_too_far_ahead_is_told_and_one_that_never_stops_is_hung_up_on() {
    let mut scene = Scene::connected().await;
    let (mut writer, mut reader) = std::mem::replace(&mut scene.bot, idle().await).split();
    // A bot's framework reads while it writes.
    let reading = tokio::spawn(async move {
        loop {
            match reader.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    let minute = Command::Media(vec![0xff; 480_000]).spell(SID);
    let mut sent = 0;
    while writer.send(Message::text(minute.clone())).await.is_ok() && sent < 1_000 {
        sent += 1;
    }
    assert_eq!(scene.warnings.recv().await, Some(Warning::TooFarAhead(Full)));
    assert_eq!(reading.await.unwrap(), Some(CloseCode::Policy));
    assert_eq!(scene.ended().await, Ended::Flooding);
    assert!((22..40).contains(&sent), "{sent} minutes");
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_never_reads_misses_sound_and_is_then_hung_up_on() {
    let mut scene = Scene::connected().await;
    let began = Instant::now();
    assert_eq!(scene.ended().await, Ended::Deaf);
    assert_eq!(scene.warnings.recv().await, Some(Warning::Slow));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(10) && took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_says_nothing_is_left_alone_as_long_as_it_lives() {
    let mut scene = Scene::connected().await;
    let told = scene.lives(Duration::from_secs(300)).await;
    assert!((14_990..=15_003).contains(&told.len()), "{}", told.len());
    assert!(!scene.stream.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_only_goes_out_brings_both_sides_and_takes_nothing() {
    let (bridge, caller, mut mouth, ear, engine) = room().await;
    // What the caller says, and what everybody says: with a document's voice it would be what the caller hears.
    let inbound = bridge.capture(Captured::Leg(caller.id())).await.unwrap();
    let outbound = bridge.capture(Captured::Everybody).await.unwrap();
    let ends = Ends { inbound: Some(Ear::new(inbound)), outbound: Some(Ear::new(outbound)), voice: None };
    mouth.speak(1, &tone(800));
    let mut scene = Scene::with(ends, bridge, caller, mouth, ear, engine).await;
    let (start, _) = scene.told_of("start").await;
    assert_eq!(start["start"]["tracks"], json!(["inbound", "outbound"]));
    scene.says(&Command::Media(mu_law(&tone(8_000)))).await;
    let told = scene.lives(Duration::from_secs(1)).await;
    for track in ["inbound", "outbound"] {
        let chunks: Vec<_> =
            told.iter().filter(|told| told["media"]["track"] == track).map(|told| &told["media"]["chunk"]).collect();
        let expected: Vec<Value> = (1..=chunks.len()).map(|n| json!(n.to_string())).collect();
        assert_eq!(chunks, expected.iter().collect::<Vec<_>>(), "{track}");
        assert!((47..=50).contains(&chunks.len()), "{track}: {}", chunks.len());
    }
    assert_eq!(scene.warnings.recv().await, Some(Warning::BadFrame(BadFrame::OneWay)));
    assert_eq!(loud_ms(&scene.heard()).0, 0);
}

/// A socket that leads nowhere.
async fn idle() -> WebSocketStream<DuplexStream> {
    let (end, _) = tokio::io::duplex(1);
    WebSocketStream::from_raw_socket(end, Role::Server, None).await
}
