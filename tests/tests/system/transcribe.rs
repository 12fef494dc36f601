//! `harmony transcribe`, the real binary: every format, every way to be wrong, and work that ends.
//!
//! The tests need the recordings of `../shared` and the installed models; without, they say so.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    der, fixture, server,
    wer::{plain_words, word_error_rate},
};

const TWO_CITIES: &str = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the \
    age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it \
    was the season of darkness, it was the spring of hope, it was the winter of despair, we had everything before us, \
    we had nothing before us, we were all going direct to heaven, we were all going direct the other way. In short, \
    the period was so far like the present period that some of its noisiest authorities insisted on its being \
    received, for good or for evil, in the superlative degree of comparison only.";

#[test]
fn json_holds_words_in_order_and_text_says_the_same() {
    let Some(file) = recording("speech/two_cities_16k.wav") else { return };
    let output = transcribe(&["--format", "json", &file]);
    let value = json(&output);
    assert_eq!((&value["file"], &value["language"]), (&Value::from(file.as_str()), &Value::from("en")));
    assert!((value["duration_s"].as_f64().unwrap() - 44.374).abs() < 0.01, "{value}");
    let mut before_s = 0.0;
    for word in value["segments"].as_array().unwrap().iter().flat_map(|part| part["words"].as_array().unwrap()) {
        let (start_s, end_s) = (word["start_s"].as_f64().unwrap(), word["end_s"].as_f64().unwrap());
        assert!(before_s <= start_s && start_s <= end_s && end_s <= 44.4, "{word}");
        assert!((0.0..=1.0).contains(&word["confidence"].as_f64().unwrap()), "{word}");
        before_s = end_s;
    }
    let said = joined(&value);
    let rate = word_error_rate(TWO_CITIES, &said);
    assert!(rate <= 0.15, "WER {rate:.3}: {said}");
    assert!(stderr(&output).starts_with("recognizer: "), "{}", stderr(&output));
}

#[test]
fn subtitles_are_well_formed_and_hold_every_word() {
    let Some(file) = recording("speech/two_cities_16k.wav") else { return };
    for format in ["srt", "vtt"] {
        let written = stdout(&transcribe(&["--format", format, &file]));
        let mut blocks: Vec<&str> = written.split("\n\n").filter(|block| !block.is_empty()).collect();
        if format == "vtt" {
            assert_eq!(blocks.remove(0), "WEBVTT");
        }
        let mut said = String::new();
        for (number, block) in (1..).zip(&blocks) {
            let mut lines = block.lines();
            if format == "srt" {
                assert_eq!(lines.next(), Some(number.to_string().as_str()), "{block}");
            }
            let (start, end) = lines.next().and_then(|times| times.split_once(" --> ")).expect("a line of times");
            let (start_ms, end_ms) = (clock_ms(start), clock_ms(end));
            assert!(start_ms < end_ms && end_ms - start_ms <= 7_000, "{block}");
            let lines: Vec<&str> = lines.collect();
            assert!((1..=2).contains(&lines.len()) && lines.iter().all(|line| line.chars().count() <= 42), "{block}");
            said = said + " " + &lines.join(" ");
        }
        assert!(word_error_rate(TWO_CITIES, &said) <= 0.15, "{said}");
    }
}

#[test]
fn channels_are_speakers_in_every_format() {
    let Some(file) = recording("telephone/stereo_diarization.wav") else { return };
    let value = json(&transcribe(&["--format", "json", "--diarize", &file]));
    let speakers: Vec<&str> =
        value["speakers"].as_array().unwrap().iter().map(|speaker| speaker["id"].as_str().unwrap()).collect();
    assert_eq!(speakers, ["channel_0", "channel_1"]);
    assert!(
        value["speakers"].as_array().unwrap().iter().all(|speaker| speaker["speech_s"].as_f64() > Some(1.0)),
        "{value}"
    );
    let output = transcribe(&["--format", "rttm", "--speakers", "3", &file]);
    let lines: Vec<Vec<String>> =
        stdout(&output).lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    assert!(
        lines.iter().all(|fields| fields.len() == 10 && fields[0] == "SPEAKER" && fields[1] == "stereo_diarization")
    );
    assert!(lines.iter().any(|fields| fields[7] == "channel_0") && lines.iter().any(|fields| fields[7] == "channel_1"));
    assert!(stderr(&output).contains("3 speakers were expected"), "{}", stderr(&output));
}

#[test]
fn without_the_voice_model_one_channel_is_one_unknown_speaker_and_where_it_belongs_is_said() {
    let Some(file) = recording("speech/jfk.wav") else { return };
    let Some(models) = models_with_voices() else { return };
    let voice = models.path().join("resemblyzer-ge2e/resemblyzer_ge2e.onnx");
    fs::remove_file(&voice).unwrap();
    let output = transcribe_with(&models, &["--format", "json", "--diarize", &file]);
    let value = json(&output);
    assert_eq!(value["speakers"][0]["id"], "unknown");
    assert_eq!(value["speakers"].as_array().map(Vec::len), Some(1));
    let said = stderr(&output);
    assert!(said.contains("cannot be told apart by their voices"), "{said}");
    assert!(said.contains(&voice.display().to_string()), "{said}");

    fs::write(&voice, b"\x08 not a model").unwrap();
    let output = transcribe_with(&models, &["--format", "json", "--diarize", &file]);
    assert_eq!(json(&output)["speakers"][0]["id"], "unknown");
    let said = stderr(&output);
    let line =
        said.lines().find(|line| line.contains(&voice.display().to_string())).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("by hand") && !line.contains("models fetch"), "no command brings this model: {line}");
}

/// Far from the figures of `make bench`: this proves that the parts are put together rightly, on any machine.
#[test]
fn three_people_on_one_channel_are_told_apart_by_their_voices() {
    let Some(file) = recording("meetings/meeting3.wav") else { return };
    let Some(models) = models_with_voices() else { return };
    let truth = fs::read_to_string(Path::new(&file).with_extension("rttm")).unwrap();
    let truth = der::rttm(&truth);

    let heard = stdout(&transcribe_with(&models, &["--format", "rttm", "--diarize", &file]));
    let errors = der::Errors::between(&truth, &der::rttm(&heard), 126.0);
    assert!(errors.rate() < 0.2, "{errors:?}\n{heard}");
    assert!(heard.lines().all(|line| line.starts_with("SPEAKER meeting3 1 ")), "{heard}");

    let output = transcribe_with(&models, &["--format", "json", "--speakers", "3", &file]);
    let value = json(&output);
    let speakers: Vec<&str> =
        value["speakers"].as_array().unwrap().iter().map(|speaker| speaker["id"].as_str().unwrap()).collect();
    assert_eq!(speakers, ["speaker_0", "speaker_1", "speaker_2"]);
    // Words are where their speaker's turns are.
    let said: Vec<der::Talk> = value["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| der::Talk {
            speaker: part["speaker"].as_str().unwrap().to_owned(),
            start_s: part["start_s"].as_f64().unwrap(),
            end_s: part["end_s"].as_f64().unwrap(),
        })
        .collect();
    let errors = der::Errors::between(&truth, &said, 126.0);
    assert!(errors.confused_s < 0.1 * errors.spoken_s, "{errors:?}");
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}

#[test]
fn one_reader_is_one_speaker_even_without_the_segmentation_model() {
    let Some(file) = recording("speech/two_cities_16k.wav") else { return };
    let Some(models) = models_with_voices() else { return };
    fs::remove_dir_all(models.path().join("pyannote-segmentation-3.0")).unwrap();
    let value = json(&transcribe_with(&models, &["--format", "json", "--diarize", &file]));
    assert_eq!(value["speakers"][0]["id"], "speaker_0");
    assert_eq!(value["speakers"].as_array().map(Vec::len), Some(1), "{}", value["speakers"]);
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let Some(file) = recording("speech/jfk.wav") else { return };
    let output = command(&["-"]).stdin(File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        plain_words(&stdout(&output)).ends_with(&plain_words("what you can do for your country")),
        "{}",
        stdout(&output)
    );
}

#[test]
fn bad_files_get_one_clear_line_each_and_the_good_ones_are_done() {
    let Some(good) = recording("speech/jfk.wav") else { return };
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(&good).unwrap();
    let put = |name: &str, bytes: &[u8]| -> String {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let empty = put("empty.wav", b"");
    let header = put("header.wav", &bytes[..40]);
    let silent = put("no-samples.wav", &wav(16_000, 1, &[]));
    let picture = put("picture.wav", b"\x89PNG\r\n\x1a\n0000000000000000");
    let noise = put("noise.mp3", &bytes[50..4_000]);
    let missing = folder.path().join("missing.wav").display().to_string();
    let directory = folder.path().display().to_string();
    let cut = put("cut.wav", &bytes[..150_000]);
    let bad = [&empty, &header, &silent, &picture, &noise, &missing, &directory];
    let mut arguments: Vec<&str> = bad.iter().map(|path| path.as_str()).collect();
    arguments.extend([cut.as_str(), good.as_str()]);
    let output = transcribe(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let complaints = stderr(&output);
    for path in bad {
        let about: Vec<&str> =
            complaints.lines().filter(|line| line.starts_with(&format!("harmony: {path}: "))).collect();
        assert_eq!(about.len(), 1, "{path}: {complaints}");
    }
    assert!(complaints.contains("PNG image"), "{complaints}");
    assert!(complaints.contains(&format!("{cut}: warning: the recording is cut off")), "{complaints}");
    assert!(!complaints.contains("panicked"), "{complaints}");
    assert_eq!(stdout(&output).matches("== ").count(), 2, "{}", stdout(&output));
    assert!(stdout(&output).to_lowercase().contains("for your country"), "{}", stdout(&output));
}

#[test]
fn unusual_rates_and_many_channels_are_heard() {
    let Some(file) = recording("speech/jfk.wav") else { return };
    let samples = fixture::wav_16k(Path::new(&file));
    let folder = TempDir::new().unwrap();
    // 192 kHz by repeating each sample twelve times: the images lie far above what speech needs.
    let fast: Vec<f32> = samples.iter().flat_map(|sample| [*sample; 12]).collect();
    let wide: Vec<f32> = samples.iter().flat_map(|sample| [*sample; 32]).collect();
    for (name, rate_hz, channels, samples) in [("fast.wav", 192_000, 1, &fast), ("wide.wav", 16_000, 32, &wide)] {
        let path = folder.path().join(name);
        fs::write(&path, wav(rate_hz, channels, samples)).unwrap();
        let output = transcribe(&[&path.display().to_string()]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert!(stdout(&output).to_lowercase().contains("country can do for you"), "{name}: {}", stdout(&output));
    }
}

#[test]
fn a_long_recording_is_never_held_in_memory() {
    if server::models_or_skip().is_none() {
        return;
    }
    // Twenty minutes of silence at 48 kHz stereo, 230 MB. What the pipe has taken has been decoded, but for 64 KiB.
    let seconds = 20 * 60;
    let mut child = command(&["--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&wav_header(48_000, 2, seconds * 48_000 * 4)).unwrap();
    for _ in 0..seconds {
        stdin.write_all(&vec![0; 48_000 * 4]).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    drop(stdin);
    let peak_kb = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let output = child.wait_with_output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["segments"], serde_json::json!([]));
    assert_eq!(value["duration_s"], 1_200.0);
    match peak_kb {
        Some(peak_kb) => assert!((10_000_u64..350_000).contains(&peak_kb), "{peak_kb} kB"),
        None => println!("skipped: this system does not tell the peak of a process's memory"),
    }
}

#[test]
fn wrong_use_is_exit_code_2_and_a_language_that_nobody_knows_is_1() {
    for arguments in [
        &["--format", "xml", "a.wav"][..],
        &["--language", "english", "a.wav"],
        &["--format", "srt", "a.wav", "b.wav"],
        &["-", "-"],
        &[],
    ] {
        assert_eq!(transcribe(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let Some(file) = recording("speech/jfk.wav") else { return };
    let output = transcribe(&["--engine", "moonshine", "--language", "de", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("harmony models fetch whisper"), "{}", stderr(&output));
}

#[test]
fn each_transcript_goes_into_the_folder_under_the_name_of_its_file() {
    let (Some(one), Some(two)) = (recording("speech/jfk.wav"), recording("telephone/stereo_diarization.wav")) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("subtitles");
    let output = transcribe(&["--format", "vtt", "--out-dir", &out.display().to_string(), &one, &two]);
    assert!(output.status.success() && output.stdout.is_empty(), "{}", stderr(&output));
    for name in ["jfk.vtt", "stereo_diarization.vtt"] {
        assert!(fs::read_to_string(out.join(name)).unwrap().contains(" --> "), "{name}");
    }
}

#[test]
fn a_recording_played_as_live_tells_its_latency() {
    let Some(file) = recording("telephone/digits.wav") else { return };
    let output = transcribe(&["--realtime", &file]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    let line = said.lines().find(|line| line.starts_with("latency: ")).expect("a line of latencies");
    assert!(line.contains("first words p50 ") && line.contains("settled words p50 "), "{line}");
    assert!(!stdout(&output).is_empty());
}

/// As it is spoken, whose words are whose is printed at the end, like everything that is no text.
#[test]
fn a_recording_played_as_live_has_its_speakers_too() {
    let Some(file) = recording("telephone/stereo_diarization.wav") else { return };
    let output = transcribe(&["--realtime", "--diarize", "--format", "json", &file]);
    let value = json(&output);
    let speakers: Vec<&str> =
        value["speakers"].as_array().unwrap().iter().map(|speaker| speaker["id"].as_str().unwrap()).collect();
    assert_eq!(speakers, ["channel_0", "channel_1"]);
    assert!(value["speakers"].as_array().unwrap().iter().all(|speaker| speaker["speech_s"].as_f64() > Some(1.0)));
    assert!(stderr(&output).contains("latency: "), "{}", stderr(&output));
}

/// English only: the models that the registries carry know no German. That German sentences become items is
/// proven on text, by the brain's own tests.
#[test]
fn spoken_action_items_are_found() {
    if server::models_or_skip().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("items.wav").display().to_string();
    let text =
        "Okay. I will send the report to the customer by Friday. Please book the meeting room for the next week.";
    let spoken = Command::new("espeak-ng").args(["-v", "en-us", "-s", "130", "-w", &path, text]).status();
    if !spoken.is_ok_and(|status| status.success()) {
        println!("skipped: espeak-ng is not installed");
        return;
    }
    let value = json(&transcribe(&["--format", "json", "--engine", "moonshine", &path]));
    let items = value["action_items"].as_array().unwrap();
    let item = |word: &str| items.iter().find(|item| item["text"].as_str().unwrap().to_lowercase().contains(word));
    let report = item("report").unwrap_or_else(|| panic!("no item about the report: {value}"));
    assert!(report["due"].as_str().is_some_and(|date| date.len() == 10), "{report}");
    assert!(report["start_s"].as_f64() < report["end_s"].as_f64(), "{report}");
    assert!(item("room").is_some(), "no item about the room: {value}");
}

/// A recording, or `None` and a line that says why not.
fn recording(name: &str) -> Option<String> {
    server::models_or_skip()?;
    fixture::recording(&format!("audio/{name}"))
        .map_err(|why| println!("{why}"))
        .ok()
        .map(|path: PathBuf| path.display().to_string())
}

/// A folder of models with those that tell voices apart, or `None` and a line that says why not.
fn models_with_voices() -> Option<TempDir> {
    fixture::models_with_voices().map_err(|why| println!("{why}")).ok()
}

fn transcribe_with(models: &TempDir, arguments: &[&str]) -> Output {
    command(arguments).env("HARMONY_MODELS_DIR", models.path()).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(server::binary());
    command.arg("transcribe").args(arguments).stdin(Stdio::null());
    command
}

fn transcribe(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn joined(value: &Value) -> String {
    let parts: Vec<&str> =
        value["segments"].as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap()).collect();
    parts.join(" ")
}

/// `HH:MM:SS` and milliseconds after a comma or a dot.
fn clock_ms(clock: &str) -> u64 {
    let parts: Vec<u64> = clock.split([':', ',', '.']).map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts.len(), 4, "{clock}");
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + parts[3]
}

/// A WAV file of interleaved samples as 16-bit integers.
fn wav(rate_hz: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let mut bytes = wav_header(rate_hz, channels, samples.len() as u32 * 2);
    bytes.extend(samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()));
    bytes
}

fn wav_header(rate_hz: u32, channels: u16, data_bytes: u32) -> Vec<u8> {
    let frame_bytes = channels * 2;
    let mut header = Vec::with_capacity(44);
    header.extend(b"RIFF");
    header.extend((36 + data_bytes).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(channels.to_le_bytes());
    header.extend(rate_hz.to_le_bytes());
    header.extend((rate_hz * u32::from(frame_bytes)).to_le_bytes());
    header.extend(frame_bytes.to_le_bytes());
    header.extend(16_u16.to_le_bytes());
    header.extend(b"data");
    header.extend(data_bytes.to_le_bytes());
    header
}
