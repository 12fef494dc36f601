//! One process of espeak-ng: text in, samples out, and always an end.

use std::{
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::voice::Error;

/// How long a read waits before the caller looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The header of a WAV file as espeak-ng writes it to a pipe.
const HEADER_BYTES: usize = 44;

/// The signal of what is killed here.
const KILLED: i32 = 9;

/// What is read at once: the kernel's pipe holds as much.
const READ_BYTES: usize = 65_536;

/// A started process. Dropping it kills it and waits for it.
pub(super) struct Process {
    child: Child,
    stdout: ChildStdout,
    header: Vec<u8>,
    /// The first byte of a sample whose second has not come.
    half: Option<u8>,
    buffer: Box<[u8]>,
    has_ended: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Nothing yet.
    Nothing,
    /// Samples, perhaps none.
    Some,
    /// The process has said everything.
    End,
}

impl Process {
    /// Starts `program` with `voice`. It waits for its text.
    pub(super) fn start(program: &OsStr, voice: &str) -> Result<Self, Error> {
        // UTF-8, SSML, no pause at the end: pauses are ours to make.
        let mut child = spawn(program, &["-v", voice, "-b", "1", "-m", "-z", "--stdin", "--stdout"])?;
        let stdout = child.stdout.take().expect("stdout was asked for");
        let header = Vec::with_capacity(HEADER_BYTES);
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { child, stdout, header, half: None, buffer, has_ended: false })
    }

    /// Hands over the text, all of it. A sentence is smaller than what a pipe holds, so this does not wait.
    pub(super) fn tell(&mut self, text: &str) -> io::Result<()> {
        let mut stdin = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(text.as_bytes())
        // Dropped here: the end of the text.
    }

    /// Appends what has come, waiting 20 ms for it at most.
    pub(super) fn read(&mut self, samples: &mut Vec<f32>) -> io::Result<Chunk> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.as_nanos() as _ };
        let mut waiting = [PollFd::new(&self.stdout, PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Chunk::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let read = match self.stdout.read(&mut self.buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Chunk::Nothing),
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(Chunk::End);
        }
        let missing = (HEADER_BYTES - self.header.len()).min(read);
        let (header, mut bytes) = self.buffer[..read].split_at(missing);
        self.header.extend_from_slice(header);
        if let Some(low) = self.half.take() {
            match bytes.split_first() {
                Some((high, rest)) => {
                    samples.push(sample(low, *high));
                    bytes = rest;
                }
                None => self.half = Some(low),
            }
        }
        let (pairs, odd) = bytes.as_chunks::<2>();
        samples.extend(pairs.iter().map(|[low, high]| sample(*low, *high)));
        if let Some(low) = odd.first() {
            self.half = Some(*low);
        }
        Ok(Chunk::Some)
    }

    /// Whether it has begun to speak.
    pub(super) fn has_begun(&self) -> bool {
        self.header.len() == HEADER_BYTES
    }

    /// The sample rate that it names, once that has come.
    pub(super) fn rate_hz(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.header.get(24..28)?.try_into().ok()?))
    }

    /// Ends it after its last sample, and says whether it had come to grief.
    pub(super) fn end(&mut self) -> Result<(), String> {
        // It has closed its stdout, so what it may still do is of no use; what it died of stays its status.
        let ended = self.child.kill().and_then(|()| self.child.wait());
        self.has_ended = ended.is_ok();
        match ended {
            Ok(status) if status.success() || status.signal() == Some(KILLED) => Ok(()),
            Ok(status) => Err(format!("it ended with {status}")),
            Err(error) => Err(format!("it does not end: {error}")),
        }
    }

    /// Whether it still waits; a process that has ended is waited for by the asking.
    pub(super) fn is_running(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(None) => true,
            Ok(Some(_)) => {
                self.has_ended = true;
                false
            }
            Err(_) => false,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended {
            // Killing fails only when it has ended already; waiting after that returns at once.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Starts `program` with its ends in our hands and nothing of our environment.
pub(super) fn spawn(program: &OsStr, args: &[&str]) -> Result<Child, Error> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Keys and addresses in the environment are none of its business.
        .env_clear();
    for name in ["PATH", "ESPEAK_DATA_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Error::Missing {
            what: program.display().to_string(),
            install: "install the package espeak-ng (apt-get install espeak-ng)".to_owned(),
        },
        _ => Error::Failed(format!("it cannot be started: {error}")),
    })
}

fn sample(low: u8, high: u8) -> f32 {
    f32::from(i16::from_le_bytes([low, high])) / 32_768.0
}
