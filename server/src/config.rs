//! The configuration: `harmony.toml`, then `HARMONY__SECTION__KEY` from the environment, checked as a whole.
//!
//! Every key has a default that works on one machine without a file. An unknown key is refused with its file
//! and line, a wrong value with the reason. Pure: the text of the file and the variables are handed in, nothing
//! is opened here but by [`Config::load`].

mod agent;
mod dialling;
mod llm;
mod numbers;
mod recording;
mod reminders;
mod sip;
mod trunks;
mod tts;
mod twilio;
mod webhooks;
mod webrtc;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use asr::cleaner::Suppression;
pub use bot::tools::config::Tools;
use serde::Deserialize;

pub use self::{
    agent::Agent,
    dialling::{Dialling, Numbering},
    llm::Llm,
    numbers::Numbers,
    recording::Recording,
    reminders::Reminders,
    sip::{Digest, Rtp, Sip, Srtp, User},
    trunks::{Certificate, Codec, Transport, Trunk},
    tts::{Mouth, Part, Tts},
    twilio::Twilio,
    webhooks::{Allowed, Webhooks},
    webrtc::{Turn, Webrtc},
};

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP and WebSocket listener.
    pub http: Http,
    /// The SIP listeners.
    pub sip: Sip,
    /// The ports that telephone audio uses.
    pub rtp: Rtp,
    /// What answers which number.
    pub numbers: Numbers,
    /// Lines to the telephone network and to other exchanges.
    pub trunks: Vec<Trunk>,
    /// What may be dialled out.
    pub dialling: Dialling,
    /// How numbers of this country are read.
    pub numbering: Numbering,
    /// How browsers reach the sound.
    pub webrtc: Webrtc,
    /// Who we are to programs that know Twilio.
    pub twilio: Twilio,
    /// Which of our own machines applications may lie on.
    pub webhooks: Webhooks,
    /// The threads that carry sound.
    pub engine: RealTime,
    /// What recognizes.
    pub asr: Asr,
    /// What speaks.
    pub tts: Tts,
    /// Who talks.
    pub agent: Agent,
    /// What agents think with.
    pub llm: Vec<Llm>,
    /// What agents may call.
    pub tools: Tools,
    /// Who is told of reminders.
    pub reminders: Reminders,
    /// Who may use the server.
    pub auth: Auth,
    /// What the server keeps.
    pub data: Data,
    /// Where recordings are kept, and how they are written.
    pub recording: Recording,
    /// Where the models are.
    pub models: Models,
    /// How much at once.
    pub limits: Limits,
    /// What the log holds.
    pub log: Log,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The address to listen on; anything but loopback needs an API key.
    #[serde(deserialize_with = "host")]
    pub host: IpAddr,
    /// The port; 0 switches the listener off.
    pub port: u16,
    /// Whether URLs that clients name (callbacks, files to fetch) may lie in this machine or its networks.
    pub call_private: bool,
    /// Origins of pages (`https://app.example.org`) that may call the realtime dialect from a browser, besides those of this
    /// machine.
    pub pages: Vec<String>,
}

/// `[engine]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealTime {
    /// Threads that share the rooms between them; one for every four cores when not set.
    pub shards: Option<usize>,
}

/// `[asr]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asr {
    /// Which engine.
    pub engine: Engine,
    /// Which of the engine's models, such as `base.en`; the largest installed when not set.
    pub model: Option<String>,
    /// Decoder threads; as many as the cores allow when not set.
    pub workers: Option<usize>,
    /// Threads of one decoder; workers × threads stay within the cores.
    pub threads: Option<usize>,
    /// Whether quiet talkers are made louder for engines that lose words of them.
    pub gain: bool,
    /// When noise is taken out before an engine listens.
    pub noise_suppression: Suppression,
    /// Whether voices are told apart while they speak, for whoever asks, where the models for it are there.
    pub diarization: bool,
}

impl Default for Asr {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            model: None,
            workers: None,
            threads: None,
            gain: true,
            noise_suppression: Suppression::default(),
            diarization: true,
        }
    }
}

/// Which engine recognizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Whisper when one of its models is installed, else Moonshine.
    #[default]
    Auto,
    /// whisper.cpp.
    Whisper,
    /// Moonshine on ONNX Runtime.
    Moonshine,
}

/// `[auth]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Keys that open this server, plain or `sha256:HEX`, besides those of `harmony keys create`.
    pub keys: Vec<String>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("keys", &format_args!("{} kept secret", self.keys.len())).finish()
    }
}

/// `[data]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder for what the server keeps; the platform's data folder when not set.
    pub dir: Option<PathBuf>,
    /// Whether calls keep what came in, packet by packet, so that they can be replayed. It holds what people
    /// said: switch it on to find a fault, and off again.
    pub record_inputs: bool,
}

/// `[models]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// The folder of models; `HARMONY_MODELS_DIR` and the platform's data folder come first and last.
    pub dir: Option<PathBuf>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Streams of audio listened to at once; sized from the cores when not set.
    pub streams_max: Option<usize>,
    /// Rooms kept at once.
    pub rooms_max: usize,
    /// Requests being answered at once.
    pub requests_max: usize,
    /// Connections open at once.
    pub connections_max: usize,
    /// Largest request body.
    pub upload_bytes_max: u64,
    /// Seconds after which a socket for audio on which nothing comes is closed.
    pub idle_s: u64,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,server=debug`.
    pub level: String,
    /// Lines for people or JSON for programs.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Http {
    fn default() -> Self {
        Self { host: LOOPBACK, port: 8_080, call_private: false, pages: Vec::new() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: None,
            // A room whose people have left costs a transcript, some hundred kB: 256 are a busy day's.
            rooms_max: 256,
            // Each may hold one message or one block of a body in memory.
            requests_max: 256,
            // A socket costs two small tasks and its buffers, about 50 kB.
            connections_max: 1_024,
            // Two hours of CD-quality stereo WAV are 1.3 GB; compressed speech is a hundredth of that.
            upload_bytes_max: 2 << 30,
            // A minute outlasts every pause of a client that sends keep-alives, and frees what the dead hold.
            idle_s: 60,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads the file, if one is named, and the environment.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be read, or for what [`Config::parse`] refuses.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let text = match file {
            Some(path) => fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        // A variable that is not UTF-8 cannot be one of ours: every name and value that is taken is text.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(file.unwrap_or_else(|| Path::new("harmony.toml")), &text, variables)
    }

    /// The configuration that `text` (of the file `name`) and `variables` describe; variables win.
    ///
    /// # Errors
    /// [`Error`] for an unknown key, a value of the wrong kind, or values that do not go together.
    pub fn parse(
        name: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut config: Self = toml::from_str(text).map_err(|error| Error::in_file(name, text, &error))?;
        // The text has just been read as a configuration, so it is a table; variables are laid over it.
        let mut table: toml::Table = toml::from_str(text).map_err(|error| Error::in_file(name, text, &error))?;
        let mut variables: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        for (variable, value) in variables {
            (table, config) = overlay(&table, &variable, &value)?;
        }
        config.check()
    }

    /// Where the HTTP listener is, unless it is off.
    pub fn http_address(&self) -> Option<SocketAddr> {
        (self.http.port != 0).then(|| SocketAddr::new(self.http.host, self.http.port))
    }

    /// Every address that is listened on, and the key that sets it.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, &'static str)> {
        let sip = [self.sip.address(), self.sip.tls_address()].into_iter().flatten();
        self.http_address().map(|address| (address, "http.host")).into_iter().chain(sip.map(|at| (at, "sip.host")))
    }

    fn check(self) -> Result<Self, Error> {
        let positive = |name: &str, value: Option<usize>| match value {
            Some(0) => Err(Error::Value { key: name.to_owned(), why: "must be at least 1".to_owned() }),
            _ => Ok(()),
        };
        positive("engine.shards", self.engine.shards)?;
        positive("asr.workers", self.asr.workers)?;
        positive("asr.threads", self.asr.threads)?;
        positive("limits.streams_max", self.limits.streams_max)?;
        positive("limits.rooms_max", Some(self.limits.rooms_max))?;
        positive("limits.requests_max", Some(self.limits.requests_max))?;
        positive("limits.connections_max", Some(self.limits.connections_max))?;
        if let Some((key, why)) = self.recording.fault() {
            return Err(Error::Value { key: key.to_owned(), why: why.to_owned() });
        }
        let page = self.http.pages.iter().find_map(|page| crate::auth::pages::fault(page));
        let sections = [
            page.map(|why| ("http.pages", why)),
            self.webrtc.fault(),
            self.sip.fault(),
            self.rtp.fault(),
            self.twilio.fault(),
            self.agent.fault(),
            self.reminders.fault(),
        ];
        if let Some((key, why)) = sections.into_iter().flatten().next() {
            return Err(Error::Value { key: key.to_owned(), why });
        }
        let telephone = trunks::fault(&self.trunks, self.sip.tls_client_ca.is_some())
            .or_else(|| self.numbers.fault(&self.trunks))
            .or_else(|| dialling::fault(&self.dialling, &self.numbering))
            .or_else(|| self.tts.fault())
            .or_else(|| llm::fault(&self.llm));
        if let Some((key, why)) = telephone {
            return Err(Error::Value { key, why });
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::filter::Targets>() {
            return Err(Error::Value { key: "log.level".to_owned(), why: error.to_string() });
        }
        Ok(self)
    }
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that was named cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file is wrong.
    #[error("{}:{line}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, in one line.
        why: String,
    },
    /// A variable of the environment is wrong.
    #[error("{variable}: {why}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong, in one line.
        why: String,
    },
    /// A value is of the right kind and makes no sense.
    #[error("{key} {why}")]
    Value {
        /// As `section.key`.
        key: String,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Self::File { path: path.to_owned(), line, why: one_line(error.message()) }
    }
}

/// The table with one variable laid over it, and the configuration that it makes.
fn overlay(table: &toml::Table, variable: &str, value: &str) -> Result<(toml::Table, Config), Error> {
    let wrong = |why: &str| Error::Variable { variable: variable.to_owned(), why: one_line(why) };
    let path = variable[PREFIX.len()..].to_lowercase();
    // A variable is text and says nothing of its kind: as TOML would read it, as a string, as a list.
    let as_toml =
        toml::from_str::<toml::Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    let Some((section, key)) = path.split_once("__") else {
        // A section that is a list, such as the numbers, has no keys: it is written whole.
        let Some(list @ toml::Value::Array(_)) = as_toml else {
            return Err(wrong("expected HARMONY__SECTION__KEY"));
        };
        let mut table = table.clone();
        table.insert(path, list);
        let config = table.clone().try_into().map_err(|error: toml::de::Error| wrong(error.message()))?;
        return Ok((table, config));
    };
    let list = value.split(',').map(|item| toml::Value::String(item.trim().to_owned())).collect();
    let readings = as_toml.into_iter().chain([toml::Value::String(value.to_owned()), toml::Value::Array(list)]);
    let mut refusal = None;
    for reading in readings {
        let mut table = table.clone();
        let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
        if let Some(section) = section.as_table_mut() {
            section.insert(key.to_owned(), reading);
        }
        match table.clone().try_into() {
            Ok(config) => return Ok((table, config)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(wrong(refusal.as_ref().map_or("cannot be read", toml::de::Error::message)))
}

fn host<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "localhost" {
        return Ok(LOOPBACK);
    }
    text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no IP address (nor localhost)")))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const PREFIX: &str = "HARMONY__";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
