//! Real client programs as tests: the scripts of `tests/clients`, run in what `tests/setup.sh` makes.
//!
//! A script prints one JSON object, which is the report that the test judges; what it has to say besides goes to
//! standard error and is shown when it fails.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// The report of a Python script of `tests/clients`; `None`, with a line that says why, without the environment.
///
/// # Panics
/// When the script fails or prints no JSON.
pub fn python(script: &str, arguments: &[&str]) -> Option<Value> {
    let interpreter = target().join("pyenv/bin/python");
    if !interpreter.exists() {
        println!("skipped: there is no {}; tests/setup.sh makes it", interpreter.display());
        return None;
    }
    Some(report(Command::new(interpreter).arg(scripts().join(script)).args(arguments)))
}

/// The same for a script of the JavaScript runtime.
///
/// # Panics
/// When the script fails or prints no JSON.
pub fn node(script: &str, arguments: &[&str]) -> Option<Value> {
    let modules = target().join("node");
    if !modules.join("node_modules").exists() {
        println!("skipped: there is no {}; tests/setup.sh makes it", modules.display());
        return None;
    }
    Some(report(Command::new("node").arg(scripts().join(script)).args(arguments).current_dir(modules)))
}

fn report(command: &mut Command) -> Value {
    let output = command.stdin(Stdio::null()).output().expect("the interpreter runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("no report ({error}):\n{stdout}\n{stderr}"))
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The folder of the workspace's results, without links: Python finds its environment by the path it is called by.
fn target() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("the package lies where it was built");
    tests.with_file_name("target")
}
