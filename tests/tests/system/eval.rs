//! `harmony eval`: the conversations that are shipped, by the real command with the real voice; one that has to fail, and
//! scripts that nobody can perform.
//!
//! Words are those of the scripts unless a test says otherwise: what is tested is the command, not a recognizer. Budgets of
//! time are stretched; how fast an agent is belongs into a bench.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    fixture,
    server::{binary, models_or_skip},
};
use tts::{espeak::Espeak, voice::Voice as _};

/// What is said in the recording.
const YOUNG_MAN: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";

#[test]
fn the_english_conversations_pass() {
    if !can_perform() {
        return;
    }
    let report = passed(&shipped("en-"));
    let hours = lines(&report, "en-opening-hours");
    assert_eq!(hours[0]["caller"], "(greeting)");
    assert_eq!(hours[1]["heard"], "When are you open on Friday?");
    assert_eq!(hours[1]["tools"][0]["arguments"]["day"], "Friday");
    assert_eq!((&hours[2]["hung_up"], &hours[2]["tools"][0]["name"]), (&true.into(), &"hang_up".into()));
    let number = lines(&report, "en-phone-number");
    assert_eq!(number[1]["heard"], number[1]["caller"], "every piece of it was heard once");
    assert_cut(&lines(&report, "en-interruption"));
}

#[test]
fn the_german_conversations_pass() {
    if !can_perform() {
        return;
    }
    let report = passed(&shipped("de-"));
    let hours = lines(&report, "de-oeffnungszeiten");
    assert_eq!(hours[1]["heard"], "Wann haben Sie am Freitag geöffnet?");
    assert_eq!(hours[1]["tools"][0]["arguments"]["day"], "Freitag");
    let number = lines(&report, "de-telefonnummer");
    assert_eq!(number[1]["heard"], number[1]["caller"], "every piece of it was heard once");
    assert_eq!(lines(&report, "de-tasten")[2]["caller"], "keys 4711#");
    assert_cut(&lines(&report, "de-unterbrechung"));
}

#[test]
fn what_an_agent_does_wrong_is_a_miss_and_the_exit_says_so() {
    if !can_perform() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let script = written(
        &folder,
        "wrong.toml",
        r#"
            title = "Wrong"
            language = "en"

            [[model]]
            says = "We are closed."

            [[line]]
            says = "When are you open on Friday?"
            tools = [{ name = "opening_hours" }]
            words = ["nine to five"]
            no_words = ["closed"]
            hangs_up = true
        "#,
    );
    let output = eval(&["--slack", "20", "--hearing", "as-written"], std::slice::from_ref(&script));
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    for told in [
        "hearing: as written; model: scripted",
        "MISS",
        "not called: opening_hours",
        "not said: nine to five",
        "said, and must not be: closed",
        "it did not hang up",
        "0 of 1 conversations passed",
    ] {
        assert!(text.contains(told), "{told:?} is not in\n{text}");
    }
}

#[test]
fn scripts_that_nobody_can_perform_are_wrong_use_and_told_with_their_lines() {
    let folder = TempDir::new().unwrap();
    let fine = written(&folder, "fine.toml", "[[line]]\nsays = \"Hello?\"\n");
    for (text, told) in [
        ("[[line]]\nsays = \"Hello?\"\nwithin = 3\n", "script.toml:3: "),
        ("[[line]\n", "script.toml:1: "),
        ("title = \"nothing is said\"\n", "script.toml:1: "),
        ("hearing = \"by heart\"\n[[line]]\nsays = \"Hello?\"\n", "script.toml:1: "),
        ("[[line]]\nplays = \"absent.wav\"\n", "absent.wav"),
        ("persona = \"absent.toml\"\n[[line]]\nsays = \"Hello?\"\n", "absent.toml"),
    ] {
        let script = written(&folder, "script.toml", text);
        let output = eval(&[], &[fine.clone(), script]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}\n{stderr}");
        assert!(output.stdout.is_empty() && stderr.contains(told), "{text}\n{stderr}");
    }
    let absent = folder.path().join("absent.toml");
    assert_eq!(eval(&[], &[absent]).status.code(), Some(2));
    assert_eq!(eval(&["--slack", "much"], &[fine]).status.code(), Some(2));
    assert_eq!(eval(&[], &[]).status.code(), Some(2), "no script at all");
}

#[test]
fn a_recording_is_heard_by_the_recognizer_and_the_budget_is_kept_to() {
    let recording = match fixture::recording(YOUNG_MAN) {
        Ok(recording) if can_perform() && models_or_skip().is_some() => recording,
        Ok(_) => return,
        Err(why) => return println!("{why}"),
    };
    let folder = TempDir::new().unwrap();
    let recording = recording.canonicalize().unwrap();
    let text = format!(
        r#"
            title = "A recording"
            hearing = "recognizer"

            [[model]]
            when = "young man"
            says = "That is said of somebody in a famous novel."

            [[model]]
            says = "I am afraid I did not understand that."

            [[line]]
            plays = {recording:?}
            within_ms = 0
        "#
    );
    let script = written(&folder, "recording.toml", &text);
    let output = eval(&["--json"], &[script]);
    let report = json(&output);
    let line = &report["conversations"][0]["lines"][1];
    assert_eq!((output.status.code(), &report["conversations"][0]["hearing"]), (Some(1), &"recognizer".into()));
    assert!(line["heard"].as_str().unwrap().to_lowercase().contains("young man"), "{line}");
    assert!(line["answer"].as_str().unwrap().contains("famous novel"), "{line}");
    let misses = line["misses"].as_array().unwrap();
    assert!(misses.iter().any(|miss| miss.as_str().unwrap().contains("to the first sound; 0 at most")), "{line}");
}

/// The answer before was cut, and what was heard of it ends before what was not.
fn assert_cut(lines: &[Value]) {
    let [_, story, instead] = lines else { panic!("{lines:?}") };
    assert!(story["unheard"].as_str().is_some_and(|unheard| !unheard.is_empty()), "{story}");
    assert!(instead["stopped_ms"].is_u64(), "{instead}");
}

/// Whether there is a voice, and what hears that somebody speaks; says so where there is not.
fn can_perform() -> bool {
    let voice = Espeak::default().ready().map_err(|why| format!("skipped: {why}"));
    let missing = [voice, fixture::onnx_library().map(drop), fixture::model("silero-vad").map(drop)];
    match missing.into_iter().find_map(Result::err) {
        Some(why) => {
            println!("{why}");
            false
        }
        None => true,
    }
}

/// The conversations that are shipped in one language.
fn shipped(language: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/conversations");
    let is_its = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(language) && name.ends_with(".toml")
    };
    let all = std::fs::read_dir(folder).expect("there are examples").map(|entry| entry.expect("a file").path());
    let mut its: Vec<PathBuf> = all.filter(is_its).collect();
    its.sort();
    assert!(its.len() >= 3, "{its:?}");
    its
}

/// What is told of conversations that all pass.
fn passed(scripts: &[PathBuf]) -> Value {
    let output = eval(&["--json", "--slack", "20"], scripts);
    let report = json(&output);
    println!("{report:#}");
    assert_eq!((output.status.code(), &report["passed"]), (Some(0), &true.into()));
    assert!(report["latency"]["p95_ms"].is_u64(), "answers were measured");
    report
}

/// What is told of the lines of one of them.
fn lines(report: &Value, name: &str) -> Vec<Value> {
    let mut conversations = report["conversations"].as_array().expect("a list").iter();
    let its = conversations.find(|one| one["file"].as_str().is_some_and(|file| file.contains(name)));
    its.expect("it was performed")["lines"].as_array().expect("a list").clone()
}

fn eval(options: &[&str], scripts: &[PathBuf]) -> Output {
    // No configuration but the default one, whatever folder the tests run in.
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new(binary());
    command.arg("eval").args(options).args(scripts).current_dir(folder.path()).env("HARMONY__LOG__LEVEL", "warn");
    command.output().expect("the binary is built")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("it is written");
    path
}
