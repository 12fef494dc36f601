//! What is spoken is heard: sentences of a telephone, spoken by espeak-ng through the whole worker, written down by our
//! own recognizer; and `harmony speak` as a person runs it.

use std::{io::Write as _, process::Command, sync::Arc};

use media::frame::MOUTH_HZ;
use serde_json::Value;
use tests::{
    listening::Sound,
    server::binary,
    transcriber::Transcriber,
    wer::{plain_words, word_error_rate},
};
use tts::{
    espeak::Espeak,
    utterance::Utterance,
    voice::choose,
    worker::{Options, Said, Voices},
};

/// What is written, and what is to be heard.
const SENTENCES: [(&str, &str); 7] = [
    ("Thank you for calling the doctor's office.", "thank you for calling the doctor's office"),
    ("Please leave a message after the tone.", "please leave a message after the tone"),
    ("Press 1 for sales, or press 2 for support.", "press one for sales or press two for support"),
    ("Your appointment is on May 3rd at 2:30 pm.", "your appointment is on may 3rd at two 30 pm"),
    ("That comes to $12.50.", "that comes to twelve dollars and fifty cents"),
    ("Your code is 4711.", "your code is four seven one one"),
    ("Please hold the line, we will be right with you.", "please hold the line we will be right with you"),
];

fn voices() -> Result<Voices, String> {
    let voices = Voices::start(Arc::new(Espeak::default()), Options::default()).expect("there are threads");
    voices.ready().map_err(|error| format!("skipped: {error}"))?;
    Ok(voices)
}

fn spoken(voices: &Voices, name: &str, text: &str) -> Vec<f32> {
    let utterance = Utterance::plain(choose(Some(name), None).voice, text);
    let mut speech = voices.speak(&utterance, MOUTH_HZ).expect("it is short");
    let mut all = vec![0.0; MOUTH_HZ as usize / 2];
    while let Some(said) = speech.next_blocking() {
        match said {
            Said::Samples { samples, .. } => all.extend(samples),
            Said::Failed { error, .. } => panic!("{text}: {error}"),
            Said::Word { .. } | Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
        }
    }
    all.extend(vec![0.0; MOUTH_HZ as usize / 2]);
    all
}

/// Figures are heard as figures or as words; both are right.
fn comparable(text: &str) -> String {
    let words = plain_words(
        &text.replace(['$', ':'], " ").replace("pm", " pm").replace("12.50", "twelve dollars and fifty cents"),
    );
    let named = |word: &String| match word.as_str() {
        "1" => "one".to_owned(),
        "2" => "two".to_owned(),
        "4711" | "4711's" => "four seven one one".to_owned(),
        "third" => "3rd".to_owned(),
        "thirty" => "30".to_owned(),
        word => word.to_owned(),
    };
    words.iter().map(named).collect::<Vec<_>>().join(" ")
}

#[test]
fn sentences_of_a_telephone_are_heard_as_they_were_written() {
    let (voices, mut transcriber) = match voices().and_then(|voices| Ok((voices, Transcriber::load()?))) {
        Ok(parts) => parts,
        Err(why) => return println!("{why}"),
    };
    let (mut said, mut heard) = (String::new(), String::new());
    for (written, expected) in SENTENCES {
        let sound = spoken(&voices, "Polly.Matthew", written);
        let text = transcriber.text(Sound { samples: &sound, rate_hz: MOUTH_HZ });
        println!("{written} -> {text}");
        for (all, more) in [(&mut said, expected), (&mut heard, text.as_str())] {
            all.push_str(&comparable(more));
            all.push(' ');
        }
    }
    let rate = word_error_rate(&said, &heard);
    println!("word error rate {:.1} %", 100.0 * rate);
    // The voice is a robot and the recognizer the smallest there is: of good sound they make 15 %.
    assert!(rate <= 0.3, "said: {said}\nheard: {heard}");
}

#[test]
fn the_command_writes_a_file_and_says_what_is_in_it() {
    if let Err(why) = voices() {
        return println!("{why}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hello.wav");
    let output = Command::new(binary())
        .args(["speak", "--lang", "de", "--voice", "woman", "--json", "--out"])
        .arg(&file)
        .arg("Um 14:30 Uhr, bitte.")
        .output()
        .expect("the binary is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(report["language"], "de");
    assert_eq!(report["words"][1]["word"], "14:30 Uhr,");
    // "Um": a rounded mouth, then closed lips; no gap to the end.
    let visemes = report["visemes"].as_array().expect("a list");
    assert_eq!((visemes[0]["viseme"].as_str(), visemes[1]["viseme"].as_str()), (Some("U"), Some("PP")), "{report}");
    assert_eq!(visemes[0]["start_s"], report["words"][0]["start_s"]);
    assert!(visemes.windows(2).all(|pair| {
        let number = |shape: &Value, key: &str| shape[key].as_f64().expect("a number");
        (number(&pair[0], "start_s") + number(&pair[0], "duration_s") - number(&pair[1], "start_s")).abs() < 1e-3
    }));
    let mut reader = hound::WavReader::open(&file).expect("a WAV file");
    assert!(loudest(&mut reader) > 1_600, "something is said");
    let seconds = f64::from(reader.duration()) / f64::from(reader.spec().sample_rate);
    assert!((seconds - report["duration_s"].as_f64().expect("a number")).abs() < 1e-3);
    assert!((1.0..5.0).contains(&seconds), "{seconds} s");
}

#[test]
fn the_command_takes_text_from_stdin_and_gives_sound_to_stdout() {
    if let Err(why) = voices() {
        return println!("{why}");
    }
    let mut child = Command::new(binary())
        .args(["speak", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary is built");
    child.stdin.take().expect("it was asked for").write_all(b"Hello <b>there</b> [[h]].").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let mut reader = hound::WavReader::new(output.stdout.as_slice()).expect("a WAV file");
    assert!(reader.duration() > 10_000);
    assert!(loudest(&mut reader) > 1_600, "something is said");
}

/// The loudest sample of 16 bits.
fn loudest(reader: &mut hound::WavReader<impl std::io::Read>) -> u16 {
    reader.samples::<i16>().map(|sample| sample.expect("a sample").unsigned_abs()).max().unwrap_or_default()
}

#[test]
fn the_command_says_in_one_line_what_is_wrong() {
    let fails = |args: &[&str], path: &str| {
        let output = Command::new(binary()).arg("speak").args(args).env("PATH", path).output().expect("it is built");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let missing = fails(&["Hello."], "/nonexistent");
    assert!(missing.contains("apt-get install espeak-ng"), "{missing}");
    let long = fails(&[&"word ".repeat(2_000)], "/usr/bin");
    assert!(long.contains("4096 characters"), "{long}");
    let empty = fails(&["***"], "/usr/bin");
    assert!(empty.contains("nothing to say"), "{empty}");
}
