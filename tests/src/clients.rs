//! Real client programs as tests: the scripts of `tests/clients`, run in what `tests/setup.sh` makes.
//!
//! A script prints one JSON object, which is the report that the test judges; what it has to say besides goes to
//! standard error and is shown when it fails.

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
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

/// A Python program of `tests/clients` that serves until it is dropped; `None`, with a line that says why, without the
/// environment. Returns when it has said `ready`.
///
/// # Panics
/// When it ends instead.
pub fn python_program(script: &str, arguments: &[&str]) -> Option<Program> {
    let interpreter = target().join("pyenv/bin/python");
    if !interpreter.exists() {
        println!("skipped: there is no {}; tests/setup.sh makes it", interpreter.display());
        return None;
    }
    let mut command = Command::new(interpreter);
    command.arg(scripts().join(script)).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the interpreter runs");
    let mut said = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
    let first = said.next().and_then(Result::ok);
    assert_eq!(first.as_deref(), Some("ready"), "{script} did not start");
    Some(Program { child, _said: said })
}

/// A program that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Kept open: a program whose output nobody takes may end by it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
