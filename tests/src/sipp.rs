//! sipp, with scenarios of our own: a telephone that does exactly what its script says, as caller or as callee.
//!
//! One process a run, on free loopback ports, in a folder of its own that is gone with it. The scenarios lie in
//! `tests/data/sipp`; what differs from run to run is given as keys, which stand in them as `[name]`. A run is good when
//! every message came as the script expects it; if not, what it saw and what it sent are in the error. What a scenario
//! logs can be waited for while it runs. It ends with its value, by its own process id.

use std::{
    net::{TcpListener, UdpSocket},
    ops::Range,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

/// The program.
const PROGRAM: &str = "/usr/bin/sipp";

/// How long a run may take, unless its options say more.
const PATIENCE_S: u32 = 30;

/// How often a file or a port is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Where ports for signalling are taken, and for anything else that is to listen later.
const SIGNALLING: Range<u16> = 32_000..32_768;

/// Where ports for sound and picture are taken.
const MEDIA: Range<u16> = 11_000..19_000;

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Whom a caller calls: the user of the Request-URI.
    pub user: &'a str,
    /// Over connections instead of datagrams.
    pub is_tcp: bool,
    /// What `[name]` stands for in the scenario.
    pub keys: &'a [(&'a str, &'a str)],
    /// Name and password for a challenge.
    pub login: (&'a str, &'a str),
    /// Whether the proof is for a Request-URI with a user, as INVITE has it and REGISTER has not.
    pub proves_user: bool,
    /// How many calls, one after the other.
    pub calls: u32,
    /// How long it may take.
    pub within_s: u32,
    /// Where a callee listens; a free port when 0.
    pub port: u16,
}

impl Default for Options<'_> {
    fn default() -> Self {
        let within_s = PATIENCE_S;
        Self {
            user: "echo",
            is_tcp: false,
            keys: &[],
            login: ("", ""),
            proves_user: false,
            calls: 1,
            within_s,
            port: 0,
        }
    }
}

/// A running scenario.
pub struct Sipp {
    child: tokio::process::Child,
    folder: TempDir,
    scenario: String,
    port: u16,
    within_s: u32,
}

/// What a run that was good leaves.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the scenario logged, a line each.
    pub notes: String,
    /// Every message, both ways, with times.
    pub messages: String,
}

impl Sipp {
    /// Whether it can be run here, or why a test is skipped.
    ///
    /// # Errors
    /// The reason to skip.
    pub fn installed() -> Result<(), String> {
        if Path::new(PROGRAM).exists() {
            Ok(())
        } else {
            Err("skipped: no sipp is installed (Debian package sip-tester)".to_owned())
        }
    }

    /// Calls `server` (`127.0.0.1:5060`) by this scenario.
    ///
    /// # Panics
    /// When it cannot be started: a broken test machine.
    pub fn call(server: &str, scenario: &str, options: Options<'_>) -> Self {
        Self::start(Some(server), scenario, options)
    }

    /// Waits for calls by this scenario; it listens when this returns.
    ///
    /// # Panics
    /// When it does not listen soon.
    pub async fn await_calls(scenario: &str, options: Options<'_>) -> Self {
        let mut run = Self::start(None, scenario, options);
        let listening = async {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            while !is_listened_at(run.port, options.is_tcp) {
                looks.tick().await;
                assert!(run.child.try_wait().is_ok_and(|ended| ended.is_none()), "{}", run.story());
            }
        };
        timeout(Duration::from_secs(10), listening).await.expect("sipp listens soon");
        run
    }

    fn start(server: Option<&str>, scenario: &str, options: Options<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for sipp");
        let file = scenarios().join(format!("{scenario}.xml"));
        assert!(file.exists(), "there is no scenario {}", file.display());
        let port = if options.port == 0 { free_port() } else { options.port };
        let mut command = Command::new(PROGRAM);
        command.arg("-sf").arg(file).args(["-i", "127.0.0.1", "-p", &port.to_string()]);
        command.args(["-mp", &free_media_port().to_string(), "-nostdin", "-m", &options.calls.to_string(), "-l", "1"]);
        command.args(["-r", "20", "-timeout", &format!("{}s", options.within_s), "-timeout_error"]);
        command.args(["-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages"]);
        command.args(["-trace_logs", "-log_file", "notes", "-t", if options.is_tcp { "t1" } else { "u1" }]);
        if !options.login.0.is_empty() {
            command.args(["-au", options.login.0, "-ap", options.login.1]);
        }
        for (name, value) in options.keys {
            command.args(["-key", name, value]);
        }
        if let Some(server) = server {
            command.args(["-s", options.user, server]);
            if options.proves_user {
                command.args(["-auth_uri", &format!("{}@{server}", options.user)]);
            }
        }
        let screen = std::fs::File::create(folder.path().join("screen")).expect("a file for the screen");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(screen.try_clone().expect("a file"))
            .stderr(screen)
            .kill_on_drop(true)
            .spawn()
            .expect("sipp starts");
        Self { child, folder, scenario: scenario.to_owned(), port, within_s: options.within_s }
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address by which it is called.
    pub fn uri(&self) -> String {
        format!("sip:bob@127.0.0.1:{}", self.port)
    }

    /// What the scenario logs after `name` and a space, as soon as it does.
    ///
    /// # Panics
    /// When it never does.
    pub async fn noted(&mut self, name: &str) -> String {
        let noting = async {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            loop {
                looks.tick().await;
                let notes = self.read("notes");
                // A line that is not ended is still being written.
                let whole = notes.rsplit_once('\n').map_or("", |(whole, _)| whole);
                let found = whole.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                if let Some(found) = found {
                    return found.trim().to_owned();
                }
            }
        };
        match timeout(Duration::from_secs(u64::from(self.within_s)), noting).await {
            Ok(note) => note,
            Err(_) => panic!("{name:?} was not noted; {}", self.story()),
        }
    }

    /// Waits until it has run.
    ///
    /// # Panics
    /// When anything came otherwise than the scenario says; the message tells what.
    pub async fn good(self) -> Ended {
        self.outcome().await.unwrap_or_else(|story| panic!("{story}"))
    }

    /// Waits until all of them have run.
    ///
    /// # Panics
    /// When one was not good; the message tells what all those saw that were not.
    pub async fn all_good(runs: Vec<Self>) -> Vec<Ended> {
        let outcomes = join_all(runs.into_iter().map(Self::outcome)).await;
        let stories: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().cloned()).collect();
        assert!(stories.is_empty(), "{}", stories.join("\n\n"));
        outcomes.into_iter().flatten().collect()
    }

    /// Waits until it has run; its story where that was not good.
    async fn outcome(mut self) -> Result<Ended, String> {
        // It gives up by itself, a little earlier.
        let patience = Duration::from_secs(u64::from(self.within_s) + 5);
        let is_good = matches!(timeout(patience, self.child.wait()).await, Ok(Ok(status)) if status.success());
        if is_good {
            Ok(Ended { notes: self.read("notes"), messages: self.read("messages") })
        } else {
            Err(self.story())
        }
    }

    /// What it was about and what became of it.
    fn story(&self) -> String {
        let (errors, messages, screen) = (self.read("errors"), self.read("messages"), self.read("screen"));
        let screen = screen.lines().rev().take(12).collect::<Vec<_>>();
        let screen = screen.into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("scenario {}:\n{errors}\n{screen}\n{messages}", self.scenario)
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Ended {
    /// How many messages came whose first line begins so.
    pub fn received(&self, start: &str) -> usize {
        self.count("received", start)
    }

    /// How many messages went out whose first line begins so.
    pub fn sent(&self, start: &str) -> usize {
        self.count("sent", start)
    }

    fn count(&self, way: &str, start: &str) -> usize {
        // A rule of dashes, the way and the length, an empty line, and the message.
        let parts = self.messages.split("-----------------------------------------------");
        let of_way = parts.filter(|part| part.lines().nth(1).is_some_and(|line| line.contains(&format!(" {way} "))));
        of_way.filter(|part| part.lines().nth(3).is_some_and(|line| line.starts_with(start))).count()
    }
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sipp")
}

/// A port that is free for datagrams and connections, and that the system gives to nobody who asks for any port: who is
/// to have it may take it later. So is the one after it, where a telephone listens for TLS without being asked.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    free_ports(&NEXT, SIGNALLING, 2, |port| {
        UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
    })
}

/// The first of the ports that a scenario's sound and picture take.
fn free_media_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    free_ports(&NEXT, MEDIA, 4, |port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// The first of so many ports in a row that are free. All lie below those that the system gives to anybody who asks for
/// any port, and each process begins elsewhere: nobody takes one between our look and whoever is to have it.
fn free_ports(next: &AtomicU32, range: Range<u16>, width: u16, is_free: impl Fn(u16) -> bool) -> u16 {
    let rows = u32::from((range.end - range.start) / width);
    let mut tried = (0..rows).map(|_| {
        let number = std::process::id().wrapping_mul(31).wrapping_add(next.fetch_add(1, Ordering::Relaxed));
        range.start + (number % rows) as u16 * width
    });
    tried.find(|first| (*first..first + width).all(&is_free)).expect("a free port")
}

/// Whether somebody listens at a port, as the system tells: who tries to bind it instead takes it from whoever is just
/// about to.
pub(crate) fn is_listened_at(port: u16, is_tcp: bool) -> bool {
    let table = if is_tcp { "/proc/net/tcp" } else { "/proc/net/udp" };
    let table = std::fs::read_to_string(table).expect("the system tells who listens");
    let own = format!(":{port:04X}");
    // A line each: its number, our address, theirs, and the state, of which 0A is listening.
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_here = fields.next().is_some_and(|address| address.ends_with(&own));
        is_here && (!is_tcp || fields.nth(1) == Some("0A"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_seen_without_taking_the_port() {
        let port = free_port();
        assert!(SIGNALLING.contains(&port));
        let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        assert!(is_listened_at(port, false));
        assert!(!is_listened_at(port, true));
        drop(datagrams);
        assert!(!is_listened_at(port, false));
        let _connections = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(is_listened_at(port, true));
        assert_ne!(free_port(), port);
    }
}
