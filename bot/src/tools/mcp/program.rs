//! An MCP server that is a program: started with an environment of its own, ended with everything it started.
//!
//! It is given no secret of this server: its environment is what every program needs and what the configuration
//! names. It has a process group, so that what it started (runners like `npx` start another program) goes with it; and
//! its input ends when this server dies. What it writes to its error output may be about a caller: DEBUG.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::super::config::ServerName;
use crate::llm::Secret;

/// A running program, until it is dropped.
pub(super) struct Program {
    child: Child,
    /// What it leads. A child that has been waited for has no number any more, and may have left others behind.
    group: Option<Pid>,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// In one line.
    pub(super) fn start(
        server: &ServerName,
        command: &[String],
        env: &[(String, Secret)],
    ) -> Result<(Self, ChildStdout, ChildStdin), String> {
        let (name, arguments) = command.split_first().ok_or("it has no command")?;
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(name)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(env.iter().map(|(name, value)| (name, value.reveal())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let program = Self { child, group };
        if let Some(stderr) = stderr {
            // It ends with the program.
            tokio::spawn(log(server.as_str().to_owned(), stderr));
        }
        let (Some(stdout), Some(stdin)) = (stdout, stdin) else { return Err("it has no input and output".to_owned()) };
        Ok((program, stdout, stdin))
    }

    /// Lets it end by itself for a while: its input has ended. Then it is killed, and what it has left behind.
    pub(super) async fn end(mut self, patience: Duration) {
        let _ = timeout(patience, self.child.wait()).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A group's number stays its own while anybody is in it; where nobody is, nothing happens.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn log(server: String, mut stderr: ChildStderr) {
    let mut buffer = [0; LOGGED_BYTES];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..read]);
        tracing::debug!(server, text = text.trim_end(), "an MCP server says");
    }
}

/// What a program needs of our environment; everything else may be a secret.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME"];

/// Logged in one line.
const LOGGED_BYTES: usize = 2_048;
