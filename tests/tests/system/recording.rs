//! Recordings of a real server: people speak tones over sockets, and what lies on disk is decoded and measured.
//!
//! Each has a tone of their own, so a file says who is in it. Time passes by speaking: twenty milliseconds of sound
//! every twenty milliseconds, a little ahead of its time so that a busy machine makes no holes. No model is needed,
//! and none is used.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use media::decode::file::Decoder;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    client::{Socket, linear16},
    server::{Options, Server},
    standstill,
};
use tokio::{net::TcpStream, task::JoinHandle, time::Instant};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

type Wire = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What everybody sends and hears.
const RATE_HZ: usize = 16_000;

/// A tone at this amplitude has -9 dBFS, halved again by nothing on its way.
const AMPLITUDE: f32 = 0.5;

/// Opus keeps a tone's level this well; what leaks of another tone is far below.
const HEARD: f64 = 0.35;
const NOT_HEARD: f64 = 0.01;

/// How far ahead of its time everything is said.
const AHEAD_S: f64 = 0.3;

/// So many pieces of 100 ms a busy machine may break that nobody saw stand still.
const HELD_UP: usize = 4;

#[tokio::test]
async fn two_people_are_two_files_and_the_mix_holds_both_on_one_timeline() {
    for format in ["ogg", "wav"] {
        let disk = Disk::new();
        let server = disk.server("");
        let api = Api::of(&server);
        let room = api.room(json!({"title": "Two"})).await;
        let mut events =
            Socket::open(&format!("{}/api/rooms/{room}/events", server.ws_url()), &[]).await.expect("events");
        let mut ada = Person::join(&server, &room, "name=Ada", 440.0).await;
        let recordings = format!("/api/rooms/{room}/recordings");
        let (status, begun) = api.post(&recordings, json!({"format": format, "tracks": "both"})).await;
        let began = Instant::now();
        assert_eq!((status, &begun["state"]), (StatusCode::CREATED, &json!("recording")), "{begun}");
        let (status, refused) = api.post(&recordings, json!({})).await;
        assert_eq!((status, &refused["error"]["code"]), (StatusCode::CONFLICT, &json!("already_recording")));
        let recording = format!("{recordings}/{}", begun["id"].as_str().unwrap());

        speak(&mut [&mut ada], 1.0).await;
        let mut bob = Person::join(&server, &room, "name=Bob", 1_000.0).await;
        speak(&mut [&mut ada, &mut bob], 2.0).await;
        let running = api.delete(&recording).await;
        assert_eq!(running.0, StatusCode::CONFLICT, "{}", running.1);
        let (_, paused) = api.patch(&recording, json!({"state": "paused"})).await;
        assert_eq!(paused["state"], "paused", "{paused}");
        speak(&mut [&mut ada, &mut bob], 1.0).await;
        let (_, resumed) = api.patch(&recording, json!({"state": "recording"})).await;
        assert_eq!(resumed["state"], "recording", "{resumed}");
        speak(&mut [&mut ada, &mut bob], 2.0).await;
        let (_, ended) = api.patch(&recording, json!({"state": "stopped"})).await;
        let lasted_s = began.elapsed().as_secs_f64();
        assert_eq!(ended["state"], "finished", "{ended}");
        // The stop itself waits for the last sound.
        let duration_s = ended["duration_s"].as_f64().unwrap();
        assert!((duration_s - lasted_s).abs() < 0.01 * lasted_s + 1.5, "{duration_s} s of {lasted_s} s");

        let tracks = ended["tracks"].as_array().unwrap();
        let about: Vec<_> =
            tracks.iter().map(|track| (&track["participant"], track["name"].as_str().unwrap())).collect();
        assert_eq!(about, [(&Value::Null, "Everybody"), (&json!("p1"), "Ada"), (&json!("p2"), "Bob")]);
        let folder = disk.recordings().join(begun["id"].as_str().unwrap());
        let sound = |track: usize| decoded(&folder.join(tracks[track]["file"].as_str().unwrap()));
        let (mix, ada_sound, bob_sound) = (sound(0), sound(1), sound(2));
        let joined_s = tracks[2]["joined_s"].as_f64().unwrap() - tracks[2]["start_s"].as_f64().unwrap();
        assert!((0.9..5.0).contains(&joined_s), "{joined_s}");

        // Before Bob came, together, and at the end: who is where, and at what level.
        for (at_s, bob_is_there) in [(0.6, false), (joined_s + 0.8, true), (duration_s - 1.0, true)] {
            let hears = |sound: &[f32], hz| level(&sound[(at_s * 48_000.0) as usize..][..9_600], hz);
            assert!(hears(&ada_sound, 440.0) > HEARD && hears(&ada_sound, 1_000.0) < NOT_HEARD, "{format} {at_s}");
            assert_eq!(hears(&bob_sound, 1_000.0) > HEARD, bob_is_there, "{format} {at_s}");
            assert!(hears(&bob_sound, 440.0) < NOT_HEARD);
            assert!(hears(&mix, 440.0) > HEARD, "{format} {at_s}");
            assert_eq!(hears(&mix, 1_000.0) > HEARD, bob_is_there, "{format} {at_s}");
        }
        // The pause is silence of its own length, at the same place in every file.
        let pauses: Vec<_> =
            [&mix, &ada_sound, &bob_sound].into_iter().map(|sound| silence_after(sound, 2.0)).collect();
        for (start_s, length_s) in &pauses {
            assert!((0.95..3.0).contains(length_s), "{format}: {pauses:?}");
            assert!((start_s - pauses[0].0).abs() < 0.03, "{format}: {pauses:?}");
        }
        for track in tracks {
            ffmpeg_agrees(&folder.join(track["file"].as_str().unwrap()), track["duration_s"].as_f64().unwrap());
        }

        let told = events.until("recording.ended").await.unwrap();
        let told: Vec<_> = told.iter().filter_map(|event| event["type"].as_str()).collect();
        let of_recording: Vec<_> = told.into_iter().filter(|kind| kind.starts_with("recording.")).collect();
        assert_eq!(of_recording, ["recording.started", "recording.paused", "recording.resumed", "recording.ended"]);
        let (status, late) = api.patch(&recording, json!({"state": "paused"})).await;
        assert_eq!((status, &late["error"]["code"]), (StatusCode::CONFLICT, &json!("ended")));
        assert!(api.text("/metrics").await.contains("harmony_recordings{state=\"finished\"} 1"));
    }
}

#[tokio::test]
async fn files_are_fetched_whole_or_in_parts_and_only_files_of_recordings_with_a_key() {
    let disk = Disk::new();
    let server = disk.server("[auth]\nkeys = [\"sesame\"]");
    let api = Api { client: client(), base: server.base_url(), key: Some("sesame") };
    let room = api.room(json!({})).await;
    let mut ada = Person::join_with(&server, &room, "name=Ada", 440.0, Some("sesame")).await;
    let (_, begun) =
        api.post(&format!("/api/rooms/{room}/recordings"), json!({"format": "wav", "tracks": "mixed"})).await;
    speak(&mut [&mut ada], 0.5).await;
    let id = begun["id"].as_str().unwrap();
    let recording = format!("/api/rooms/{room}/recordings/{id}");
    let (_, ended) = api.patch(&recording, json!({"state": "stopped"})).await;
    assert_eq!(ended["tracks"].as_array().unwrap().len(), 1, "{ended}");
    let file = format!("{recording}/files/mixed.wav");

    let whole = api.send(Method::GET, &file, &[]).await;
    assert_eq!((whole.status(), &whole.headers()["content-type"]), (StatusCode::OK, &"audio/wav".parse().unwrap()));
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(bytes, fs::read(disk.recordings().join(id).join("mixed.wav")).unwrap());
    assert_eq!(ended["tracks"][0]["bytes"].as_u64(), Some(bytes.len() as u64));

    let part = api.send(Method::GET, &file, &[("range", "bytes=100-299")]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 100-299/{}", bytes.len()).as_str());
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(100..300));
    let beyond = api.send(Method::GET, &file, &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", bytes.len()).as_str());
    assert_eq!(beyond.json::<Value>().await.unwrap()["error"]["code"], "bad_range");
    let known = api.send(Method::GET, &file, &[("if-none-match", &etag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let other = api.send(Method::GET, &file, &[("range", "bytes=0-9"), ("if-range", "\"another\"")]).await;
    assert_eq!((other.status(), other.bytes().await.unwrap().len()), (StatusCode::OK, bytes.len()));

    for elsewhere in [
        format!("{recording}/files/recording.json"),
        format!("{recording}/files/..%2F..%2F..%2Fharmony.toml"),
        format!("{recording}/files/%2Fetc%2Fpasswd"),
        format!("/api/rooms/{room}/recordings/..%2F{id}"),
        format!("/api/rooms/r999/recordings/{id}"),
        "/api/rooms/r999/recordings".to_owned(),
    ] {
        let answer = api.send(Method::GET, &elsewhere, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{elsewhere}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "not_found", "{elsewhere}");
    }
    let stranger = Api { key: None, client: client(), base: server.base_url() };
    for closed in [file.as_str(), "/api/recordings", recording.as_str()] {
        assert_eq!(stranger.send(Method::GET, closed, &[]).await.status(), StatusCode::UNAUTHORIZED, "{closed}");
    }
    let (status, bad) = api.patch(&recording, json!({"state": "dancing"})).await;
    assert_eq!((status, &bad["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("bad_json")));

    // The room may close: its recordings stay where they were.
    assert_eq!(api.delete(&format!("/api/rooms/{room}")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/api/recordings").await.1["recordings"][0]["id"], *id);
    assert_eq!(api.delete(&recording).await.0, StatusCode::NO_CONTENT);
    assert_eq!(api.get(&recording).await.0, StatusCode::NOT_FOUND);
    assert!(!disk.recordings().join(id).exists());
}

#[tokio::test]
async fn twenty_recordings_that_are_killed_are_interrupted_and_playable_to_the_last_two_seconds() {
    const ROOMS: usize = 20;
    let disk = Disk::new();
    let server = disk.server("");
    let api = Api::of(&server);
    let (mut people, mut begun) = (Vec::new(), Vec::new());
    for n in 0..ROOMS {
        let room = api.room(json!({"title": format!("Room {n}")})).await;
        people.push(Person::join(&server, &room, &format!("name=Person-{n}"), 300.0 + 50.0 * n as f32).await);
        let format = if n % 4 == 3 { "wav" } else { "ogg" };
        let (status, recording) = api.post(&format!("/api/rooms/{room}/recordings"), json!({"format": format})).await;
        assert_eq!(status, StatusCode::CREATED, "{recording}");
        begun.push((recording["id"].as_str().unwrap().to_owned(), Instant::now()));
    }
    speak(&mut people.iter_mut().collect::<Vec<_>>(), 5.0).await;
    // Nothing is said to it and nothing is waited for: it is gone in the middle of everything.
    let killed = Command::new("kill").args(["-KILL", &server.process_id().to_string()]).status().unwrap();
    assert!(killed.success());
    let killed_at = Instant::now();
    drop((people, server));

    let server = disk.server("");
    let api = Api::of(&server);
    let (_, listed) = api.get("/api/recordings").await;
    let listed = listed["recordings"].as_array().unwrap().clone();
    assert_eq!(listed.len(), ROOMS);
    assert!(api.text("/metrics").await.contains("harmony_recordings{state=\"interrupted\"} 20"));
    let mut most_lost_s: f64 = 0.0;
    for (n, (id, began)) in begun.iter().enumerate() {
        let lasted_s = (killed_at - *began).as_secs_f64();
        let recording = listed.iter().find(|recording| recording["id"] == id.as_str()).expect("it is listed");
        assert_eq!(recording["state"], "interrupted", "{recording}");
        let tracks = recording["tracks"].as_array().unwrap();
        assert_eq!(tracks.len(), 2, "{recording}");
        for track in tracks {
            let path = disk.recordings().join(id).join(track["file"].as_str().unwrap());
            let sound = decoded(&path);
            let seconds = sound.len() as f64 / 48_000.0;
            assert!((seconds - track["duration_s"].as_f64().unwrap()).abs() < 0.03, "{seconds} s: {track}");
            // Two seconds are what it may lose; what is on its way through a busy machine comes on top.
            assert!(seconds > lasted_s - 3.5 && seconds < lasted_s + 1.0, "{seconds} s of {lasted_s} s: {track}");
            most_lost_s = most_lost_s.max(lasted_s - seconds);
            // Their own tone, without a break from the first second to the last sample.
            let hz = 300.0 + 50.0 * n as f64;
            let pieces = sound[sound.len() - 4 * 48_000..].chunks_exact(4_800);
            let broken = pieces.filter(|piece| level(piece, hz) < HEARD).count();
            // Some of forty may be broken where the test itself was held up for longer than it speaks ahead.
            assert!(standstill::explains(broken.saturating_sub(HELD_UP)), "{track}: {broken} of 40 pieces");
            ffmpeg_agrees(&path, seconds);
        }
    }
    println!("{ROOMS} killed recordings lost at most {most_lost_s:.2} s of their end");
    let file = format!("/api/rooms/r1/recordings/{}/files/p1.ogg", begun[0].0);
    // Decoding took long: the connection of before may be closed for its idleness.
    assert_eq!(Api::of(&server).send(Method::GET, &file, &[]).await.headers()["content-type"], "audio/ogg");
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_and_not_the_call() {
    let disk = Disk::new();
    let Some(_mounted) = Mounted::tmpfs(&disk.recordings()) else { return };
    // Room for some seconds of two WAV tracks.
    let filler = disk.recordings().join("filler");
    fs::write(&filler, vec![1; (20 << 20) - (1_200 << 10)]).unwrap();
    let server = disk.server("free_bytes_min = 0");
    let api = Api::of(&server);
    let room = api.room(json!({})).await;
    let mut events = Socket::open(&format!("{}/api/rooms/{room}/events", server.ws_url()), &[]).await.expect("events");
    let mut ada = Person::join(&server, &room, "name=Ada&listen=true", 440.0).await;
    let mut bob = Person::join(&server, &room, "name=Bob&listen=true", 1_000.0).await;
    speak(&mut [&mut ada, &mut bob], 1.0).await;
    let (status, begun) = api.post(&format!("/api/rooms/{room}/recordings"), json!({"format": "wav"})).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");
    speak(&mut [&mut ada, &mut bob], 8.0).await;
    let told = events.until("recording.ended").await.unwrap();
    let ended = told.last().unwrap();
    assert_eq!((&ended["state"], &ended["why"]), (&json!("failed"), &json!("the disk is full")), "{ended}");
    speak(&mut [&mut ada, &mut bob], 1.0).await;

    let (_, recording) = api.get(&format!("/api/rooms/{room}/recordings/{}", begun["id"].as_str().unwrap())).await;
    assert_eq!((&recording["state"], &recording["reason"]), (&json!("failed"), &json!("the disk is full")));
    assert!(api.text("/metrics").await.contains("harmony_recordings{state=\"failed\"} 1"));
    for (track, hz) in recording["tracks"].as_array().unwrap().iter().zip([440.0, 440.0, 1_000.0]) {
        let path = disk.recordings().join(begun["id"].as_str().unwrap()).join(track["file"].as_str().unwrap());
        let sound = decoded(&path);
        let seconds = sound.len() as f64 / 48_000.0;
        assert!((seconds - track["duration_s"].as_f64().unwrap()).abs() < 0.01 && seconds > 2.0, "{seconds}: {track}");
        let broken = sound[48_000..].chunks_exact(4_800).filter(|piece| level(piece, hz) <= HEARD).count();
        assert!(standstill::explains(broken.saturating_sub(HELD_UP)), "{track}: {broken} pieces");
        ffmpeg_agrees(&path, seconds);
    }
    // Each heard the other through all of it: from the first sound to the last there is no hole.
    for (person, hz) in [(ada, 1_000.0), (bob, 440.0)] {
        let heard = person.heard().await;
        let pieces: Vec<f64> =
            heard.chunks_exact(RATE_HZ / 50).map(|piece| level_at(piece, hz, RATE_HZ as f64)).collect();
        let first = pieces.iter().position(|&level| level > 0.3).expect("they heard something");
        let last = pieces.iter().rposition(|&level| level > 0.3).expect("they heard something");
        assert!(last - first > 9 * 50, "{} pieces", last - first);
        let is_hole: Vec<bool> = pieces[first + 1..last].iter().map(|&level| level < 0.3).collect();
        let longest = is_hole.split(|is_hole| !is_hole).map(<[bool]>::len).max().unwrap_or(0);
        // Half a second is what a machine that also compiles takes from anybody; a stalled call loses far more.
        assert!(longest <= 25, "{} ms are missing at once", longest * 20);
    }

    // With room again the state that could not be written is written, and recording works again.
    fs::remove_file(&filler).unwrap();
    let state = disk.recordings().join(begun["id"].as_str().unwrap()).join("recording.json");
    let mut again = tokio::time::interval(Duration::from_millis(100));
    for tries in 0.. {
        let text = fs::read_to_string(&state).unwrap();
        if text.contains("\"failed\"") {
            break;
        }
        assert!(tries < 50, "{text}");
        again.tick().await;
    }
    let (status, _) = api.post(&format!("/api/rooms/{room}/recordings"), json!({})).await;
    assert_eq!(status, StatusCode::CREATED);
    drop(server);

    // What is kept free is kept free: nothing begins.
    let server = disk.server("free_bytes_min = 30000000");
    let api = Api::of(&server);
    let room = api.room(json!({})).await;
    let (status, refused) = api.post(&format!("/api/rooms/{room}/recordings"), json!({})).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::INSUFFICIENT_STORAGE, &json!("disk_full")));
}

#[tokio::test]
async fn nobody_is_recorded_before_they_agreed_where_the_room_demands_it() {
    let disk = Disk::new();
    let server = disk.server("");
    let api = Api::of(&server);
    let room = api.room(json!({"consent": "required", "record": {"format": "wav"}})).await;
    assert_eq!(api.get("/api/recordings").await.1["recordings"], json!([]));
    let mut events = Socket::open(&format!("{}/api/rooms/{room}/events", server.ws_url()), &[]).await.expect("events");
    let mut ada = Person::join(&server, &room, "name=Ada", 440.0).await;
    let mut bob = Person::join(&server, &room, "name=Bob&consent=true", 1_000.0).await;
    // The room's own wish to be recorded began with the first leg.
    events.until("recording.started").await.unwrap();
    speak(&mut [&mut ada, &mut bob], 1.5).await;
    let (_, listed) = api.get(&format!("/api/rooms/{room}/recordings")).await;
    let names = |recording: &Value| -> Vec<String> {
        let tracks = recording["tracks"].as_array().unwrap().iter();
        tracks.map(|track| track["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&listed["recordings"][0]), ["Everybody", "Bob"], "{listed}");
    let agreed_s = listed["recordings"][0]["duration_s"].as_f64().unwrap();
    let agreed = api.patch(&format!("/api/rooms/{room}/participants/p1"), json!({"consent": true})).await;
    assert_eq!(agreed.0, StatusCode::OK, "{}", agreed.1);
    speak(&mut [&mut ada, &mut bob], 1.5).await;
    // Closing the room ends its recording.
    assert_eq!(api.delete(&format!("/api/rooms/{room}")).await.0, StatusCode::NO_CONTENT);
    let (_, listed) = api.get("/api/recordings").await;
    let recording = &listed["recordings"][0];
    assert_eq!((recording["state"].as_str(), names(recording).len()), (Some("finished"), 3), "{recording}");
    let folder = disk.recordings().join(recording["id"].as_str().unwrap());
    for file in ["mixed.wav", "p1.wav"] {
        let sound = decoded(&folder.join(file));
        // The list is told once a second: up to then at least nobody had asked Ada.
        let before = &sound[..(agreed_s * 48_000.0) as usize];
        assert!(before.len() > 24_000);
        let loudest = before.chunks_exact(4_800).map(|piece| level(piece, 440.0)).fold(0.0, f64::max);
        // Bob's tone begins and leaks a little; of a file of her own there is nothing to leak into.
        assert!(loudest < if file == "p1.wav" { f64::MIN_POSITIVE } else { NOT_HEARD }, "{file}: {loudest}");
        let after = &sound[sound.len() - 48_000..][..24_000];
        assert!(level(after, 440.0) > HEARD, "{file}: {}", level(after, 440.0));
    }
    let bob_sound = decoded(&folder.join("p2.wav"));
    assert!(level(&bob_sound[48_000..][..24_000], 1_000.0) > HEARD);
    let ended = events.until("recording.ended").await.unwrap();
    assert_eq!(ended.last().unwrap()["state"], "finished");
}

#[tokio::test]
async fn a_server_that_is_told_to_end_finishes_its_recordings() {
    let disk = Disk::new();
    let mut server = disk.server("");
    let api = Api::of(&server);
    let room = api.room(json!({"record": {}})).await;
    let mut ada = Person::join(&server, &room, "name=Ada", 440.0).await;
    speak(&mut [&mut ada], 1.5).await;
    let (_, listed) = api.get(&format!("/api/rooms/{room}/recordings")).await;
    let id = listed["recordings"][0]["id"].as_str().unwrap().to_owned();
    server.terminate();
    assert!(server.wait().success());
    let state: Value =
        serde_json::from_slice(&fs::read(disk.recordings().join(&id).join("recording.json")).unwrap()).unwrap();
    assert_eq!(state["state"], "finished", "{state}");
    let path = disk.recordings().join(&id).join("p1.ogg");
    assert!(level(&decoded(&path)[24_000..][..24_000], 440.0) > HEARD);
    ffmpeg_agrees(&path, state["tracks"][1]["duration_s"].as_f64().unwrap());
}

/// Where a server keeps recordings, longer than it lives.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("recordings")).unwrap();
        Self(folder)
    }

    fn recordings(&self) -> std::path::PathBuf {
        self.0.path().join("recordings")
    }

    /// A server without models that records here; `more` goes into its `[recording]`, or begins another section.
    fn server(&self, more: &str) -> Server {
        let nowhere = self.0.path().join("no-models");
        let config = format!("[models]\ndir = {nowhere:?}\n[recording]\ndir = {:?}\n{more}\n", self.recordings());
        Server::start(Options { config: &config, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A small disk of its own, for as long as this lives.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            Ok(output) => {
                println!("skipped: a tmpfs cannot be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: a tmpfs cannot be mounted: {error}");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a server that is about to end may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The server's own protocol.
struct Api {
    client: Client,
    base: String,
    key: Option<&'static str>,
}

impl Api {
    fn of(server: &Server) -> Self {
        Self { client: client(), base: server.base_url(), key: None }
    }

    async fn room(&self, wish: Value) -> String {
        let (status, room) = self.post("/api/rooms", wish).await;
        assert_eq!(status, StatusCode::CREATED, "{room}");
        room["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.json(Method::GET, path, None).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.json(Method::DELETE, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.json(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.json(Method::PATCH, path, Some(body)).await
    }

    async fn text(&self, path: &str) -> String {
        self.send(Method::GET, path, &[]).await.text().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> reqwest::Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(key) = self.key {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(key) = self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }
}

fn client() -> Client {
    server::models::tls::install();
    Client::new()
}

/// Somebody who says a tone.
struct Person {
    wire: SplitSink<Wire, Message>,
    listening: JoinHandle<Vec<f32>>,
    hz: f32,
    said: usize,
    began: Option<Instant>,
}

impl Person {
    async fn join(server: &Server, room: &str, query: &str, hz: f32) -> Self {
        Self::join_with(server, room, query, hz, None).await
    }

    async fn join_with(server: &Server, room: &str, query: &str, hz: f32, key: Option<&str>) -> Self {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
        let url = format!("{}/api/rooms/{room}/audio?encoding=linear16&sample_rate={RATE_HZ}&{query}", server.ws_url());
        let mut request = url.into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let (wire, _) = connect_async(request).await.unwrap();
        let (wire, mut back) = wire.split();
        let ready = back.next().await.unwrap().unwrap();
        assert!(ready.to_text().unwrap().contains("\"ready\""), "{ready}");
        Self { wire, listening: tokio::spawn(listen(back)), hz, said: 0, began: None }
    }

    /// All that is due, and a little more: the server holds 400 ms before it stops reading.
    async fn say_what_is_due(&mut self) {
        let began = *self.began.get_or_insert_with(Instant::now);
        while (self.said as f64) < (began.elapsed().as_secs_f64() + AHEAD_S) * RATE_HZ as f64 {
            self.say().await;
        }
    }

    /// Twenty milliseconds more.
    async fn say(&mut self) {
        let sample = |n: usize| AMPLITUDE * (n as f32 * self.hz * std::f32::consts::TAU / RATE_HZ as f32).sin();
        // The phase starts over with every second, in which every tone here has whole periods.
        let samples: Vec<f32> = (self.said..self.said + RATE_HZ / 50).map(|n| sample(n % RATE_HZ)).collect();
        self.said += samples.len();
        self.wire.send(Message::binary(linear16(&samples))).await.unwrap();
    }

    /// Hangs up; everything that was heard.
    async fn heard(mut self) -> Vec<f32> {
        self.wire.close().await.unwrap();
        self.listening.await.unwrap()
    }
}

async fn listen(mut back: SplitStream<Wire>) -> Vec<f32> {
    let mut heard = Vec::new();
    while let Some(Ok(message)) = back.next().await {
        if let Message::Binary(bytes) = message {
            heard
                .extend(bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0));
        }
    }
    heard
}

/// All of them speak for so long, in real time.
async fn speak(people: &mut [&mut Person], seconds: f64) {
    let mut every = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..(seconds * 50.0) as usize {
        every.tick().await;
        for person in people.iter_mut() {
            person.say_what_is_due().await;
        }
    }
}

fn decoded(path: &Path) -> Vec<f32> {
    let mut decoder = Decoder::open(File::open(path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut samples = Vec::new();
    while let Some(block) = decoder.next_block().unwrap() {
        assert_eq!((block.rate_hz, block.channels.len()), (48_000, 1));
        samples.extend_from_slice(&block.channels[0]);
    }
    let losses = decoder.losses();
    assert!(!losses.truncated && losses.damaged_packets == 0, "{path:?}: {losses:?}");
    samples
}

/// The amplitude of one tone in 48 kHz samples.
fn level(samples: &[f32], hz: f64) -> f64 {
    level_at(samples, hz, 48_000.0)
}

fn level_at(samples: &[f32], hz: f64, rate_hz: f64) -> f64 {
    let turn = hz * std::f64::consts::TAU / rate_hz;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let (sin, cos) = (n as f64 * turn).sin_cos();
        re += f64::from(sample) * cos;
        im += f64::from(sample) * sin;
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

/// The first silence of more than half a second after `from_s`: where it begins and how long it is.
fn silence_after(sound: &[f32], from_s: f64) -> (f64, f64) {
    let piece = 480;
    let first = (from_s * 48_000.0) as usize / piece;
    let quiet: Vec<bool> = sound.chunks_exact(piece).map(|piece| piece.iter().all(|s| s.abs() < 0.01)).collect();
    let mut at = first;
    while at < quiet.len() {
        let length = quiet[at..].iter().take_while(|quiet| **quiet).count();
        if length >= 50 {
            return (at as f64 / 100.0, length as f64 / 100.0);
        }
        at += length.max(1);
    }
    (f64::NAN, f64::NAN)
}

/// Another decoder finds the same length and nothing to complain about, where it is installed.
fn ffmpeg_agrees(path: &Path, seconds: f64) {
    let probe = ["-v", "error", "-show_entries", "stream=duration", "-of", "csv=p=0"];
    let Ok(output) = Command::new("ffprobe").args(probe).arg(path).output() else {
        println!("skipped: ffprobe is not installed");
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{path:?}: {complaints}");
    let found: f64 = String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').parse().unwrap_or(f64::NAN);
    assert!((found - seconds).abs() < 0.03, "{path:?}: {found} s, not {seconds} s");
    let decoded = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(path).args(["-f", "null", "-"]).output();
    if let Ok(output) = decoded {
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaints.is_empty(), "{path:?}: {complaints}");
    }
}
