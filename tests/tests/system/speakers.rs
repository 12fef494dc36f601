//! Several people on one channel, told apart by their voices at the doors of two vendors, with their own SDKs.
//!
//! Half a minute of a recorded meeting in which three people speak, one of them for a moment alone. Judged is who is said to speak when, not the words, and a
//! wrong name rather than none. Needs the recordings and the voice models of `../shared`; without, the tests say so.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    clients,
    console_page::write_wav,
    der::{self, Talk},
    fixture,
    server::{self, Options, Server},
};

const KEY: &str = "hv_test_key_of_the_speaker_tests";

/// What is heard of the meeting, in seconds of it.
const HEARD: (f64, f64) = (10.5, 47.0);

/// Where whoever speaks first is heard before that, alone.
const REFERENCE: (f64, f64) = (0.5, 10.4);

#[test]
fn deepgrams_words_say_whose_voice_they_are_live_and_recorded() {
    let Some(meeting) = Meeting::prepared() else { return };
    let Some(report) = meeting.client("deepgram_client.py", &["voices", &meeting.file("heard.wav")]) else { return };
    for (door, pace) in [("live", Pace::Live), ("recorded", Pace::AtOnce)] {
        let words = report[door].as_array().unwrap();
        assert!(words.len() >= 20, "{door}: {report}");
        let heard: Vec<Talk> = words.iter().map(talk).collect();
        meeting.assert_told_apart(&heard, pace, door);
    }
    let recorded = report["recorded"].as_array().unwrap();
    let sure = |word: &&Value| word["speaker"].is_u64() && word["speaker_confidence"].as_f64() > Some(0.0);
    assert!(recorded.iter().filter(sure).count() >= 10, "{report}");
    let utterances = report["utterances"].as_array().unwrap();
    assert!(utterances.len() >= 2, "a change of speaker parts utterances: {report}");
    assert_eq!(report["channels"], 1, "{report}");
    assert_eq!(report["warnings"], Value::Null, "{report}");
}

#[test]
fn openais_segments_have_letters_or_the_names_of_those_who_are_known() {
    let Some(meeting) = Meeting::prepared() else { return };
    let Some(report) = meeting.client("openai_client.py", &["voices", &meeting.file("heard.wav")]) else { return };
    for way in ["whole", "streamed", "known"] {
        let heard: Vec<Talk> = report[way].as_array().unwrap().iter().map(talk).collect();
        meeting.assert_told_apart(&heard, Pace::AtOnce, way);
    }
    assert_eq!(report["whole"], report["streamed"], "who speaks is known at the end, however it is told");
    let names: Vec<&str> =
        report["known"].as_array().unwrap().iter().filter_map(|part| part["speaker"].as_str()).collect();
    assert!(names.contains(&"Ada") && names.contains(&"A"), "one is known, the other has a letter: {report}");
    // Ada is whoever the recording of her is of.
    let first = &meeting.truth[0].speaker;
    let known = report["known"].as_array().unwrap().iter().map(talk);
    let (mut right, mut wrong) = (0.0, 0.0);
    for ada in known.filter(|talk| talk.speaker == "Ada") {
        for truth in &meeting.truth {
            let shared = (ada.end_s.min(truth.end_s) - ada.start_s.max(truth.start_s)).max(0.0);
            *(if truth.speaker == *first { &mut right } else { &mut wrong }) += shared;
        }
    }
    assert!(right > 4.0 * wrong && right > 3.0, "{right} s of her, {wrong} s of others: {report}");
    let refused = &report["refused"];
    assert_eq!((refused["status"].as_u64(), refused["param"].as_str()), (Some(400), Some("known_speaker_references")));
}

/// How a recording is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As it is spoken: words wait for their voices for a moment alone, and on a slow machine many go without.
    Live,
    /// For as long as it takes.
    AtOnce,
}

/// A server that tells voices apart, and what was said in what it will hear.
struct Meeting {
    server: Server,
    folder: TempDir,
    truth: Vec<Talk>,
    _models: TempDir,
}

impl Meeting {
    /// `None`, with a line that says why, where something is absent.
    fn prepared() -> Option<Self> {
        server::models_or_skip()?;
        let recording = fixture::recording("audio/meetings/meeting3.wav").map_err(|why| println!("{why}")).ok()?;
        let models = fixture::models_with_voices().map_err(|why| println!("{why}")).ok()?;
        let truth = fs::read_to_string(recording.with_extension("rttm")).unwrap();
        let (from, until) = HEARD;
        let truth = der::rttm(&truth).into_iter().filter(|talk| talk.end_s > from && talk.start_s < until);
        let shifted =
            |talk: Talk| Talk { start_s: (talk.start_s - from).max(0.0), end_s: talk.end_s.min(until) - from, ..talk };
        let folder = TempDir::new().unwrap();
        let samples = fixture::wav_16k(&recording);
        let at = |seconds: f64| (seconds * 16_000.0) as usize;
        for (name, (from, until)) in [("heard.wav", HEARD), ("reference.wav", REFERENCE)] {
            write_wav(&folder.path().join(name), &samples[at(from)..at(until)]);
        }
        let models_dir = models.path().display().to_string();
        let options = Options {
            config: &format!("[auth]\nkeys = [\"{KEY}\"]\n"),
            env: vec![("HARMONY_MODELS_DIR", models_dir.as_str())],
            ..Options::default()
        };
        let server = Server::start(options).expect("it starts");
        Some(Self { server, folder, truth: truth.map(shifted).collect(), _models: models })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn client(&self, script: &str, arguments: &[&str]) -> Option<Value> {
        let url = self.server.base_url();
        clients::python(script, &[&[url.as_str(), KEY][..], arguments].concat())
    }

    /// Two people at least are told apart, a good part of what they say is given to somebody, and little to the wrong one.
    /// Live somebody is told at least, and nobody is called by the name of another: how soon a second voice is somebody
    /// depends on the machine.
    fn assert_told_apart(&self, heard: &[Talk], pace: Pace, what: &str) {
        let known: Vec<Talk> = heard.iter().filter(|talk| talk.speaker != "unknown").cloned().collect();
        let mut names: Vec<&str> = known.iter().map(|talk| talk.speaker.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert!(!names.is_empty(), "{what}: {heard:?}");
        let errors = der::Errors::between(&self.truth, &known, HEARD.1 - HEARD.0);
        let told = errors.spoken_s - errors.missed_s;
        // Half a minute is short: one of them may pass for two. Names by chance would be wrong for more than half.
        assert!(errors.confused_s < 0.35 * told.max(2.0), "{what}: the wrong name: {errors:?}, {heard:?}");
        if pace == Pace::AtOnce {
            assert!(names.len() >= 2, "{what}: {heard:?}");
            assert!(told > 0.3 * errors.spoken_s, "{what}: too little is anybody's: {errors:?}, {heard:?}");
        }
    }
}

/// A word or a segment of either vendor.
fn talk(said: &Value) -> Talk {
    let speaker = match &said["speaker"] {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        _ => "unknown".to_owned(),
    };
    Talk { speaker, start_s: said["start"].as_f64().unwrap(), end_s: said["end"].as_f64().unwrap() }
}
