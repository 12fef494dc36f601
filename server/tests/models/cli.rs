//! `harmony models` and `harmony keys` as a person meets them: arguments, output, exit codes. The web is one on
//! the loopback.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use server::models::Store;

use crate::web::{Page, Web, noise};

const SILERO_BYTES: usize = 2_327_524;

#[test]
fn the_list_shows_every_model_and_where_it_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let shown = harmony(dir.path(), &["models", "list"]);
    assert!(shown.status.success());
    let text = stdout(&shown);
    assert!(text.contains("silero-vad") && text.contains("whisper-large-v3-turbo"), "{text}");
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&harmony(dir.path(), &["models", "list", "--json"]))).unwrap();
    let silero = json["models"].as_array().unwrap().iter().find(|model| model["name"] == "silero-vad").unwrap();
    assert_eq!((&silero["state"], &silero["bytes"]), (&"missing".into(), &SILERO_BYTES.into()));
}

#[test]
fn what_is_missing_offline_is_one_line_each_and_exit_1() {
    let dir = tempfile::tempdir().unwrap();
    let failed = harmony(dir.path(), &["models", "fetch", "--offline", "silero-vad", "whisper-tiny"]);
    assert_eq!(failed.status.code(), Some(1));
    let lines = stderr(&failed);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("whisper-tiny/ggml-tiny.bin") || lines.contains("whisper-tiny"), "{lines}");
    let unknown = harmony(dir.path(), &["models", "fetch", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("there is no model nonsense"), "{}", stderr(&unknown));
    assert_eq!(harmony(dir.path(), &["models", "fetch", "--nonsense"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_with_other_content_is_refused_and_verify_finds_a_damaged_file() {
    let path = "/silero-vad/silero_vad.onnx";
    let web = Web::serve([(path, Page::Whole(noise(SILERO_BYTES, 1)))]).await;
    let dir = tempfile::tempdir().unwrap();
    let refused = harmony(dir.path(), &["models", "fetch", "silero-vad", "--mirror", &web.base]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("was refused and removed"), "{}", stderr(&refused));
    assert_eq!(web.count(path), 1);
    assert!(harmony(dir.path(), &["models", "verify"]).status.success(), "nothing is here, so nothing is wrong");
    assert_eq!(harmony(dir.path(), &["models", "verify", "silero-vad"]).status.code(), Some(1));
    fs::create_dir_all(dir.path().join("silero-vad")).unwrap();
    fs::write(dir.path().join("silero-vad/silero_vad.onnx"), noise(SILERO_BYTES, 1)).unwrap();
    let damaged = harmony(dir.path(), &["models", "verify", "--json"]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(stdout(&damaged).contains("\"state\": \"damaged\""), "{}", stdout(&damaged));
    assert_eq!(stderr(&damaged).lines().count(), 1, "{}", stderr(&damaged));
}

/// The kernel refuses to let the file grow, as a quota does.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_is_one_clear_line_and_what_arrived_is_kept() {
    let web = Web::serve([("/silero-vad/silero_vad.onnx", Page::Whole(noise(SILERO_BYTES, 1)))]).await;
    let dir = tempfile::tempdir().unwrap();
    // 1200 blocks of 512 or 1024 bytes; the signal is ignored so that the write itself fails.
    let script = "trap '' XFSZ; ulimit -f 1200; exec \"$0\" models fetch silero-vad --mirror \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_harmony"), &web.base]).env("HARMONY_MODELS_DIR", dir.path());
    let failed = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let lines = stderr(&failed);
    assert!(lines.lines().any(|line| line.starts_with("harmony: silero-vad: the disk of")), "{lines}");
    let kept = fs::metadata(dir.path().join("silero-vad/silero_vad.onnx.part")).unwrap().len();
    assert!(kept > 0 && kept < SILERO_BYTES as u64, "{kept}");
}

#[test]
fn keys_are_made_listed_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let made = harmony(dir.path(), &["keys", "create", "--name", "ada", "--json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("hv_") && key.len() == 46, "{key}");
    let listed = stdout(&harmony(dir.path(), &["keys", "list"]));
    assert!(listed.contains(id) && listed.contains("ada") && !listed.contains(key), "{listed}");
    assert!(harmony(dir.path(), &["keys", "revoke", id]).status.success());
    let again = harmony(dir.path(), &["keys", "revoke", id]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(stderr(&again).lines().count(), 1);
}

#[test]
fn the_doctor_names_what_is_missing_and_the_command_that_brings_it() {
    let dir = tempfile::tempdir().unwrap();
    let found = harmony(dir.path(), &["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1), "{}", stderr(&found));
    let json: serde_json::Value = serde_json::from_str(&stdout(&found)).unwrap();
    let problems: Vec<_> = json["problems"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for model in ["onnxruntime", "silero-vad", "moonshine-tiny-en"] {
        assert!(problems.iter().any(|line| line.contains(&format!("`harmony models fetch {model}`"))), "{problems:?}");
    }
    assert_eq!((&json["library"]["loads"], &json["speed"]), (&false.into(), &serde_json::Value::Null));
    assert!(json["machine"]["cores"].as_u64().unwrap() > 0);
}

#[test]
fn the_doctor_measures_the_real_recognizer() {
    let Some(models) = server::models::folder(None, None).ok().filter(|dir| Store::open(dir).moonshine().is_ok())
    else {
        println!("skipped: no models here; `harmony models fetch` brings them");
        return;
    };
    let found = harmony(&models, &["doctor", "--json"]);
    assert!(found.status.success(), "{}", stdout(&found));
    let json: serde_json::Value = serde_json::from_str(&stdout(&found)).unwrap();
    assert!(json["speed"]["streams"].as_u64().unwrap() >= 1, "{json}");
    assert!((0.0..1.0).contains(&json["speed"]["cores_per_stream"].as_f64().unwrap()), "{json}");
}

/// Runs the binary with its models and data in `dir`, and blocks: never from a current-thread runtime that
/// also serves.
fn harmony(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
    command.args(arguments).current_dir(dir).env("HARMONY_MODELS_DIR", dir).env("HARMONY__DATA__DIR", dir);
    command.env_remove("HARMONY_MODELS_MIRROR").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
