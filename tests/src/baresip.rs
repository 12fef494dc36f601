//! A real telephone: baresip, told what to do over its control socket, speaking a file and keeping what it hears.
//!
//! One process a telephone, on loopback ports of its own, with a folder that holds its configuration and both sides of
//! its sound. What it says begins when a call begins; when the file is over it falls silent and stays on the line.
//! Events come as it tells them; every wait has a deadline. It ends with its value, by its own process id.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use crate::{listening::Sound, sipp::free_port, standstill};

/// The program.
const PROGRAM: &str = "/usr/bin/baresip";

/// Where Debian keeps its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// The longest that anything is waited for: what a telephone has to say first is part of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a telephone that starts is tried: it takes a few tenths of a second.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Silence behind what is said: longer than any test's call.
const STAYS_S: usize = 120;

/// What a telephone is like.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// Its user.
    pub user: &'a str,
    /// What stands behind its address: `;auth_pass=secret;regint=60`.
    pub account: String,
    /// Its codecs, the best first; `PCMU` when empty.
    pub codecs: &'a str,
    /// More modules, such as `opus`.
    pub modules: Vec<&'a str>,
    /// What it says, mono at the rate of its codec; nothing when empty.
    pub says: Vec<f32>,
    /// The rate of its codec, where that is not 8 kHz.
    pub rate_hz: Option<u32>,
    /// More lines of its configuration, such as `sip_cafile /tmp/roots.pem`.
    pub config: String,
}

/// A running telephone.
pub struct Baresip {
    child: Child,
    control: TcpStream,
    unread: Vec<u8>,
    folder: TempDir,
    port: u16,
}

impl Baresip {
    /// Whether there is one, or the reason to skip.
    ///
    /// # Errors
    /// When none is installed.
    pub fn installed() -> Result<(), String> {
        let is_there = Path::new(PROGRAM).exists() && Path::new(MODULES).exists();
        if is_there { Ok(()) } else { Err("skipped: no baresip is installed (Debian package baresip-core)".to_owned()) }
    }

    /// Whether it has these modules too, or the reason to skip.
    ///
    /// # Errors
    /// When it lacks one.
    pub fn has(modules: &[&str]) -> Result<(), String> {
        Self::installed()?;
        let lacks = |module: &&&str| !Path::new(MODULES).join(format!("{module}.so")).exists();
        match modules.iter().find(lacks) {
            Some(module) => Err(format!("skipped: baresip has no module {module}")),
            None => Ok(()),
        }
    }

    /// Starts a telephone whose calls go to `server` (`127.0.0.1:5060`, `127.0.0.1:5061;transport=tls`).
    ///
    /// # Panics
    /// When it does not start: a broken test machine.
    pub async fn start(server: &str, options: Options<'_>) -> Self {
        standstill::watch();
        let folder = tempfile::tempdir().expect("a folder for the telephone");
        let (port, control) = (free_port(), free_port());
        write_files(folder.path(), server, port, control, &options);
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(PROGRAM)
            .arg("-f")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("baresip starts");
        let connecting = async {
            let mut tries = tokio::time::interval(TRY_EVERY);
            loop {
                tries.tick().await;
                if let Ok(stream) = TcpStream::connect(("127.0.0.1", control)).await {
                    return stream;
                }
            }
        };
        let control = timeout(PATIENCE, connecting).await.expect("baresip listens to its control socket");
        Self { child, control, unread: Vec::new(), folder, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Calls somebody.
    pub async fn dial(&mut self, uri: &str) {
        self.tell("dial", uri).await;
    }

    /// Takes the call that rings.
    pub async fn accept(&mut self) {
        self.tell("accept", "").await;
    }

    /// Presses keys, one after the other.
    pub async fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.tell("sndcode", &key.to_string()).await;
        }
    }

    /// Hangs up.
    pub async fn hang_up(&mut self) {
        self.tell("hangup", "").await;
    }

    /// Gives any other command of its menu.
    ///
    /// # Panics
    /// When the telephone is gone.
    pub async fn tell(&mut self, command: &str, params: &str) {
        let text = json!({"command": command, "params": params}).to_string();
        let netstring = format!("{}:{text},", text.len());
        self.control.write_all(netstring.as_bytes()).await.expect("the telephone takes commands");
    }

    /// Waits for an event of this type, such as `CALL_ESTABLISHED`.
    ///
    /// # Panics
    /// When it does not come in time; the message holds what the telephone said.
    pub async fn until(&mut self, kind: &str) -> Value {
        let waiting = async {
            loop {
                let message = self.message().await;
                if message["type"] == kind {
                    return message;
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(event) => event,
            Err(_) => panic!("no {kind} came; baresip said:\n{}", self.log()),
        }
    }

    /// Waits until it has printed this: for what it does before anybody listens to its events, such as registering.
    ///
    /// # Panics
    /// When it does not print it in time; the message holds what it printed instead.
    pub async fn until_printed(&self, text: &str) {
        let printing = async {
            let mut looks = tokio::time::interval(TRY_EVERY);
            while !self.log().contains(text) {
                looks.tick().await;
            }
        };
        if timeout(PATIENCE, printing).await.is_err() {
            panic!("{text:?} was not printed; baresip said:\n{}", self.log());
        }
    }

    /// Both sides of the sound of its only call, once it is over: what it said, and what it heard, each with its rate.
    ///
    /// # Panics
    /// When there is none.
    pub fn sound(&self) -> (Sampled, Sampled) {
        let find = |side: &str| {
            let files = std::fs::read_dir(self.folder.path().join("sound")).expect("a folder of sound");
            let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
            paths.sort();
            paths.into_iter().find(|path| path.to_string_lossy().ends_with(side))
        };
        let read = |side: &str| {
            let path = find(side).unwrap_or_else(|| panic!("no sound was kept; baresip said:\n{}", self.log()));
            let mut reader = hound::WavReader::open(path).expect("a WAV file");
            let hound::WavSpec { sample_rate: rate_hz, channels, .. } = reader.spec();
            let samples = reader.samples::<i16>().map_while(Result::ok).map(|sample| f32::from(sample) / 32_768.0);
            // Both channels of a codec that has two hold the same.
            Sampled { samples: samples.step_by(usize::from(channels)).collect(), rate_hz }
        };
        (read("enc.wav"), read("dec.wav"))
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it in good order, so that its files are whole.
    pub async fn quit(&mut self) {
        self.tell("quit", "").await;
        // One that does not end is killed with its value.
        let _ = timeout(PATIENCE, self.child.wait()).await;
    }

    /// The next message of its control socket: a netstring that holds JSON.
    async fn message(&mut self) -> Value {
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b':') {
                let length: usize =
                    std::str::from_utf8(&self.unread[..at]).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
                if self.unread.len() > at + 1 + length {
                    let rest = self.unread.split_off(at + 2 + length);
                    let whole = std::mem::replace(&mut self.unread, rest);
                    return serde_json::from_slice(&whole[at + 1..at + 1 + length]).unwrap_or(Value::Null);
                }
            }
            let read = self.control.read_buf(&mut self.unread).await.expect("the telephone tells events");
            assert!(read > 0, "the telephone is gone; it said:\n{}", self.log());
        }
    }
}

/// Sound with its rate.
pub struct Sampled {
    /// Mono.
    pub samples: Vec<f32>,
    /// In Hz.
    pub rate_hz: u32,
}

impl Sampled {
    /// For comparing.
    pub fn sound(&self) -> Sound<'_> {
        Sound { samples: &self.samples, rate_hz: self.rate_hz }
    }
}

/// A call lasts as long as what is said in it.
pub async fn pass(time: Duration) {
    let mut seconds = tokio::time::interval(time);
    seconds.tick().await;
    seconds.tick().await;
}

fn write_files(folder: &Path, server: &str, port: u16, control: u16, options: &Options<'_>) {
    let sound = folder.join("sound");
    std::fs::create_dir(&sound).expect("a folder for sound");
    let says = folder.join("says.wav");
    let rate_hz = options.rate_hz.unwrap_or(8_000);
    // Opus is two channels to it, whatever is in them.
    let channels = if rate_hz == 48_000 { 2 } else { 1 };
    let spec =
        hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(&says, spec).expect("a WAV file");
    let silence = std::iter::repeat_n(0.0, STAYS_S * rate_hz as usize);
    for sample in options.says.iter().copied().chain(silence) {
        for _ in 0..channels {
            wav.write_sample((sample * 32_767.0) as i16).expect("a sample");
        }
    }
    wav.finalize().expect("a WAV file");
    let more: String = options.modules.iter().map(|module| format!("module {module}.so\n")).collect();
    let config = format!(
        "module_path {MODULES}\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n{more}module_tmp uuid.so\n\
         module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n\
         sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\naudio_source aufile,{}\nsnd_path {}\nrtp_timeout 0\n{}",
        says.display(),
        sound.display(),
        options.config
    );
    let codecs = if options.codecs.is_empty() { "PCMU" } else { options.codecs };
    let account = format!("<sip:{}@{server}>;audio_codecs={codecs}{}\n", options.user, options.account);
    for (name, text) in [("config", config), ("accounts", account), ("contacts", String::new())] {
        std::fs::write(folder.join(name), text).expect("a file of the telephone");
    }
}
