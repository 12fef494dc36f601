//! A call whose inputs were recorded is lived through again: the same events, the same samples, and where something
//! else comes out, or the journal is not what was written, that is said.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use asr::{onnx::Library, recognizer::Recognizer, vad::silero::Silero};
use media::{
    dsp::resample::Resampler,
    journal::{
        FILE_NAME, JournalError, Kind, Reader, Record,
        format::{Block, header},
    },
};
use server::{
    config::Config,
    replay::{Difference, End, Models, ReplayError, Replayed, replay},
};
use tempfile::TempDir;
use tests::{
    baresip::{self as telephone, Baresip},
    client::{Socket, linear16},
    console_page::{Person, ask, browser_or_skip, close_room, microphone, open_room},
    fixture,
    scripted::{Local, Loudness},
    server::{Options, Server, binary, models_or_skip},
    webrtc_caller::{Caller, RATE_HZ, Wants},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_lived_through_again_and_its_journal_is_trusted_as_far_as_it_is_whole() {
    let Some(call) = call().await else { return };
    let again = call.replay().unwrap();
    assert_eq!((again.difference.as_ref(), again.end), (None, End::Closed), "{again:?}");
    assert!(again.events > 20 && again.streams == 2 && again.heard_s > 8.0, "{again:?}");
    let sound = again.sound.unwrap();
    assert!(sound.packets > 150 && sound.pieces > 150 && sound.compared > 2_000, "{sound:?}");
    assert_eq!(call.replay().unwrap(), again, "every time the same");

    // Cut anywhere it is replayed to its last whole block.
    let whole = call.bytes();
    let mut events = Vec::new();
    for share in [1, 2, 9, 25, 50, 75, 99] {
        call.write(&whole[..whole.len() * share / 100]);
        let cut = call.replay().unwrap();
        assert_eq!((cut.difference.as_ref(), cut.end), (None, End::Cut), "{share} %: {cut:?}");
        events.push(cut.events);
    }
    assert!(events.is_sorted() && *events.last().unwrap() > 0, "{events:?}");

    // A changed byte is an error that names its place.
    for share in [0, 3, 30, 60, 95] {
        let mut damaged = whole.clone();
        let at = 16 + (whole.len() - 17) * share / 100;
        damaged[at] ^= 0x10;
        call.write(&damaged);
        let error = call.replay().unwrap_err();
        assert!(matches!(error, ReplayError::Journal(JournalError::Damaged { .. })), "byte {at}: {error}");
    }
    let mut newer = whole.clone();
    newer[8] += 1;
    let sum = crc32(&newer[..12]);
    newer[12..16].copy_from_slice(&sum.to_le_bytes());
    call.write(&newer);
    assert!(matches!(call.replay(), Err(ReplayError::Journal(JournalError::Newer { found: 3 }))));
    call.write(b"RIFF....WAVEfmt ");
    assert!(matches!(call.replay(), Err(ReplayError::Journal(JournalError::NotAJournal))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_out_otherwise_than_it_did_is_told_as_the_first_difference() {
    let Some(call) = call().await else { return };
    let whole = call.records();

    let mut other = whole.clone();
    let published = other.iter_mut().filter(|record| record.kind == Kind::Published).nth(6).unwrap();
    let text = String::from_utf8(published.body.clone()).unwrap();
    published.body = text.replacen("\"seq\"", "\"sea\"", 1).into_bytes();
    call.write(&written(&other));
    assert!(matches!(call.replay().unwrap().difference, Some(Difference::Event { number: 7, .. })));

    let mut other = whole.clone();
    let packets = other.iter_mut().filter(|record| record.kind == Kind::Packet && record.body.len() > 100);
    let packet = packets.into_iter().nth(60).unwrap();
    packet.body[40..].iter_mut().for_each(|byte| *byte ^= 0x3c);
    call.write(&written(&other));
    assert!(matches!(call.replay().unwrap().difference, Some(Difference::Sound(_))));

    let mut other = whole.clone();
    let windows: Vec<usize> = (0..other.len()).filter(|&index| other[index].kind == Kind::EarsHeard).collect();
    for &index in &windows[windows.len() / 3..] {
        other[index].body[9..].fill(0);
    }
    call.write(&written(&other));
    assert!(call.replay().unwrap().difference.is_some(), "silence in place of speech");

    // What the disk was too slow for is not made up.
    let mut other = whole.clone();
    other.insert(whole.len() / 2, Record { kind: Kind::Dropped, track: 0, body: 5_u64.to_le_bytes().to_vec() });
    call.write(&written(&other));
    let half = call.replay().unwrap();
    assert_eq!((half.difference.as_ref(), half.end), (None, End::Incomplete(5)), "{half:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harmony_replays_a_call_of_the_real_server_and_says_same() {
    if models_or_skip().is_none() {
        return;
    }
    let speech = match fixture::recording("audio/speech/jfk.wav") {
        Ok(path) => fixture::wav_16k(&path),
        Err(why) => return println!("{why}"),
    };
    let server = Server::start(Options { config: "record_inputs = true\n", ..Options::default() }).unwrap();
    // Whoever makes an HTTP client first says which library seals; in this process there is no server that did.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let caller = Caller::call(&format!("{}/whip/kitchen?name=Ada", server.base_url()), Wants::ALL).await.unwrap();
    caller.connected().await;
    caller.speak(&at_48k(&speech[..6 * 16_000])).await;
    caller.speak(&[0.0; RATE_HZ as usize]).await;
    assert_eq!(caller.hang_up().await, 200);
    // Their last words are out, and the room sums up, when it is closed.
    close_room(&server, "r1").await;
    assert!(server.log().contains("voices included"), "{}", server.log());
    let folder = folder_of(&server.data_dir().join("inputs"));
    wait_for_end(&folder);

    let (said, output) = harmony_replay(&folder);
    println!("{said}");
    assert!(output.status.success() && said.trim_end().ends_with("same"), "{said}{output:?}");
    assert!(said.contains("room:   r1 \"kitchen\"") && said.contains("1 stream heard for"), "{said}");

    let mut records = records(&folder);
    let finals = records.iter_mut().filter(|record| record.kind == Kind::Published);
    let mut changed = 0;
    for record in finals {
        let text = String::from_utf8(record.body.clone()).unwrap();
        if text.contains("transcript.final") && text.contains("\"text\":\"And") {
            changed += 1;
            record.body = text.replacen("\"text\":\"And", "\"text\":\"Ant", 1).into_bytes();
        }
    }
    assert!(changed > 0, "the speech begins with: And so");
    fs::write(folder.join(FILE_NAME), written(&records)).unwrap();
    let (said, output) = harmony_replay(&folder);
    println!("{said}");
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("different: event") && said.contains("\"text\":\"Ant"), "{said}");

    fs::write(folder.join(FILE_NAME), b"no journal").unwrap();
    let (_, output) = harmony_replay(&folder);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("this is no journal of a call"), "{output:?}");
}

/// How long a telephone call is that is replayed. `HARMONY_REPLAY_CALL_S=600` makes it one of ten minutes.
const CALL_S: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_call_with_a_menu_keys_and_speech_is_replayed_to_the_same_events_and_samples() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let speech = match fixture::recording("audio/speech/jfk.wav") {
        Ok(path) => telephone_sound(&fixture::wav_16k(&path)),
        Err(why) => return println!("{why}"),
    };
    let call_s = std::env::var("HARMONY_REPLAY_CALL_S").ok().and_then(|text| text.parse().ok()).unwrap_or(CALL_S);
    let pages = TempDir::new().unwrap();
    let menu = "<Response><Gather input=\"dtmf speech\" numDigits=\"1\" timeout=\"8\" language=\"en-US\" \
                hints=\"Americans, country\"><Say>Press a key, or say something.</Say></Gather>\
                <Redirect>menu.xml</Redirect></Response>";
    let path = pages.path().join("menu.xml");
    fs::write(&path, menu).unwrap();
    let numbers = format!("record_inputs = true\n[[numbers]]\nnumber = \"7\"\nto = \"ivr:{}\"\n", path.display());
    let server = Server::start(Options { config: &numbers, telephone: Some(""), ..Options::default() }).unwrap();
    let pause = vec![0.0; 3 * 8_000];
    let says = [&speech[..], &pause].concat().repeat(call_s as usize / 14 + 1);
    let mut ada = Baresip::start(&server.sip(), telephone::Options { user: "ada", says, ..Default::default() }).await;
    ada.dial(&format!("sip:7@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    let mut keys = tokio::time::interval(Duration::from_secs(10));
    keys.tick().await;
    for key in ["1", "5", "#", "9"].into_iter().cycle().take(call_s as usize / 10) {
        keys.tick().await;
        ada.press(key).await;
    }
    // The last is pressed before she goes.
    keys.tick().await;
    ada.hang_up().await;
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    let folder = folder_of(&server.data_dir().join("inputs"));
    wait_for_end(&folder);

    let (said, output) = harmony_replay(&folder);
    println!("{said}");
    assert!(output.status.success() && said.trim_end().ends_with("same"), "{said}{output:?}");
    assert!(said.contains("end:    closed in good order"), "{said}");
    let records = records(&folder);
    let published = |what: &str| {
        let all = records.iter().filter(|record| record.kind == Kind::Published);
        all.filter(|record| String::from_utf8_lossy(&record.body).contains(&format!("\"type\":\"{what}\""))).count()
    };
    assert_eq!(published("dtmf"), call_s as usize / 10);
    // The caller's packets, one every 20 ms; and what the menu said to them.
    let packets = records.iter().filter(|record| record.kind == Kind::Packet).count();
    assert!(packets as u64 > call_s * 45, "{packets} packets in {call_s} s");
    assert!(records.iter().any(|record| record.kind == Kind::Sound), "the menu said nothing");
    if models_or_skip().is_some() {
        assert!(published("transcript.final") as u64 >= call_s / 20, "nothing was heard");
    }
}

#[tokio::test]
async fn a_call_of_two_browsers_is_replayed_to_the_same_words_events_and_samples() {
    let Some(browser) = browser_or_skip() else { return };
    let Some((jfk, _)) = microphone("ada-again", "audio/speech/jfk.wav", LEAD) else { return };
    let Some((novel, _)) = microphone("ben-again", NOVEL_WAV, LEAD) else { return };
    let server = Server::start(Options { config: "record_inputs = true\n", ..Options::default() }).unwrap();
    let room = open_room(&server, serde_json::json!({"title": "Two browsers"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&jfk)).await;
    let mut ben = Person::at(&server, &browser, "Ben", Some(&novel)).await;
    for person in [&mut ada, &mut ben] {
        person.open(&room).await;
        person.ask_to_join().await;
    }
    for person in [&mut ada, &mut ben] {
        person.confirm_join().await;
    }
    for last in ["country", "for them"] {
        let settled = format!(
            "[...document.querySelectorAll('.line:not(.live) .said')].some((said) => \
             said.textContent.toLowerCase().replace(/[^a-z ]/g, '').trim().endsWith('{last}'))"
        );
        ada.page.wait_for(&settled, SPOKEN_WITHIN).await;
    }
    let then = ask(&server, &format!("/api/rooms/{room}/transcript")).await;
    ada.close().await;
    ben.close().await;
    close_room(&server, &room).await;
    let folder = folder_of(&server.data_dir().join("inputs"));
    wait_for_end(&folder);

    let (said, output) = harmony_replay(&folder);
    println!("{said}");
    assert!(output.status.success() && said.trim_end().ends_with("same"), "{said}{output:?}");
    assert!(said.contains("2 streams heard for"), "{said}");
    // What was compared are the words that a reader of the room was given.
    let published: Vec<String> = records(&folder)
        .into_iter()
        .filter(|record| record.kind == Kind::Published)
        .map(|record| String::from_utf8(record.body).unwrap())
        .collect();
    for segment in then["segments"].as_array().unwrap() {
        let text = segment["text"].to_string();
        assert!(published.iter().any(|event| event.contains("transcript.final") && event.contains(&text)), "{text}");
    }
}

fn harmony_replay(folder: &Path) -> (String, Output) {
    let output = Command::new(binary()).arg("replay").arg(folder).current_dir(folder).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output)
}

const NOVEL_WAV: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0870.wav";

/// Long enough for two browsers on a loaded machine to join one after the other.
const LEAD: Duration = Duration::from_secs(20);

/// The silence before, eleven seconds of speech in real time, and a machine that does other things too.
const SPOKEN_WITHIN: Duration = Duration::from_secs(90);

/// A call whose journal lies in a folder of its own.
struct Call {
    folder: PathBuf,
    _data: TempDir,
}

/// A browser and a socket in one room for some seconds, one of them muted for a while.
async fn call() -> Option<Call> {
    let speech = match fixture::recording("audio/speech/jfk.wav") {
        Ok(path) => fixture::wav_16k(&path),
        Err(why) => {
            println!("{why}");
            return None;
        }
    };
    let local = match Local::start(Config::default()).await {
        Ok(local) => local,
        Err(why) => {
            println!("{why}");
            return None;
        }
    };
    let data = TempDir::new().unwrap();
    local.app.rooms().record_inputs(data.path().join("inputs"));
    let caller = Caller::call(&format!("{}/whip/kitchen?name=Ada", local.base_url()), Wants::ALL).await.unwrap();
    caller.connected().await;
    let url = format!("{}/api/rooms/r1/audio?encoding=linear16&sample_rate=16000&name=Ben", local.ws_url());
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    socket.until("ready").await.unwrap();
    let browser = async {
        caller.speak(&at_48k(&speech[..3 * 16_000])).await;
        caller.tell(r#"{"type":"mute","is_muted":true}"#).await;
        caller.speak(&at_48k(&speech[3 * 16_000..4 * 16_000])).await;
        caller.tell(r#"{"type":"mute","is_muted":false}"#).await;
        caller.speak(&at_48k(&speech[4 * 16_000..5 * 16_000])).await;
        caller.speak(&[0.0; RATE_HZ as usize / 2]).await;
    };
    let bytes = linear16(&speech[5 * 16_000..9 * 16_000]);
    let of_socket = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for piece in bytes.chunks(3_200) {
            pace.tick().await;
            socket.audio(piece, 3_200).await;
        }
        socket.text(r#"{"type":"finish"}"#).await;
        socket.rest().await
    };
    tokio::join!(browser, of_socket);
    caller.hang_up().await;
    caller.lost().await;
    let room = local.app.rooms().list().pop().unwrap();
    room.close().await;
    drop(room);
    let folder = folder_of(&data.path().join("inputs"));
    wait_for_end(&folder);
    local.drain().await;
    Some(Call { folder, _data: data })
}

impl Call {
    fn replay(&self) -> Result<Replayed, ReplayError> {
        replay(&self.folder, |opened| {
            assert_eq!(opened.engine, "scripted");
            let recognizer: Arc<dyn Recognizer> = Arc::new(Loudness::default());
            Models::new(&recognizer, silero()).map_err(|error| error.to_string())
        })
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.folder.join(FILE_NAME)).unwrap()
    }

    fn write(&self, bytes: &[u8]) {
        fs::write(self.folder.join(FILE_NAME), bytes).unwrap();
    }

    fn records(&self) -> Vec<Record> {
        records(&self.folder)
    }
}

fn records(folder: &Path) -> Vec<Record> {
    let mut reader = Reader::open(BufReader::new(File::open(folder.join(FILE_NAME)).unwrap())).unwrap();
    std::iter::from_fn(|| reader.record().unwrap()).collect()
}

/// The file that holds these records.
fn written(records: &[Record]) -> Vec<u8> {
    let mut file = header().to_vec();
    let mut block = Block::default();
    for record in records {
        if !block.add(record.kind, record.track, &record.body) {
            file.extend_from_slice(block.bytes());
            block.begin_next();
            assert!(block.add(record.kind, record.track, &record.body));
        }
    }
    file.extend_from_slice(block.bytes());
    file
}

/// Waits until the journal's own thread has closed it, which it does a moment after its room.
fn wait_for_end(folder: &Path) {
    for _ in 0..200 {
        let mut reader = Reader::open(BufReader::new(File::open(folder.join(FILE_NAME)).unwrap())).unwrap();
        while reader.record().unwrap().is_some() {}
        if !reader.was_cut() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("the journal is never closed");
}

fn folder_of(inputs: &Path) -> PathBuf {
    let mut folders = fs::read_dir(inputs).unwrap().map(|entry| entry.unwrap().path());
    let folder = folders.next().unwrap();
    assert_eq!(folders.next(), None, "one room, one folder");
    assert!(folder.file_name().unwrap().to_string_lossy().starts_with("r1-"), "{}", folder.display());
    folder
}

fn silero() -> Silero {
    let library = Library::open(&fixture::onnx_library().unwrap()).unwrap();
    Silero::load(&library, &fixture::model("silero-vad").unwrap().join("silero_vad.onnx")).unwrap()
}

/// As a telephone says it.
fn telephone_sound(samples: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(16_000, 8_000).unwrap();
    let mut out = Vec::new();
    resampler.process(samples, &mut out);
    resampler.flush(&mut out);
    out
}

fn at_48k(samples: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(16_000, RATE_HZ).unwrap();
    let mut out = Vec::new();
    resampler.process(samples, &mut out);
    resampler.flush(&mut out);
    out
}

/// CRC-32, bit by bit: the test does not trust the code that it tests.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, bit: u32| (crc >> 1) ^ if (crc ^ bit) & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc, |crc, bit| step(crc, u32::from(byte >> bit))))
}
