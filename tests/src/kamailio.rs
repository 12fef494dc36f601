//! Kamailio in front: a registrar and proxy, as it stands before many a telephone, with a configuration of our own.
//!
//! `tests/data/kamailio` holds it. It listens on one loopback port for datagrams, asks for a password, records its
//! route in every call and lets nothing through that does not come by it. Telephones and the server may register at it;
//! whoever is not registered here is sought at the server, if it has one behind it. What it has seen can be waited
//! for. It ends with its value, by its own process id, and its children with it.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{interval, timeout};

use crate::sipp::{free_port, is_listened_at};

/// The program.
const PROGRAM: &str = "/usr/sbin/kamailio";

/// What everybody who registers at it, and the server that calls through it, must know.
pub const PASSWORD: &str = "four-words-of-kamailio";

const PATIENCE: Duration = Duration::from_secs(20);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A port that is to be Kamailio's: whoever is told of it may start before.
#[derive(Clone, Copy, Debug)]
pub struct Port(u16);

impl Port {
    /// One that is free.
    pub fn free() -> Self {
        Self(free_port())
    }

    /// Where it will be: `127.0.0.1:5060`.
    pub fn address(self) -> String {
        format!("127.0.0.1:{}", self.0)
    }
}

/// A running Kamailio.
pub struct Kamailio {
    child: Child,
    folder: TempDir,
}

impl Kamailio {
    /// Whether there is one, or the reason to skip.
    ///
    /// # Errors
    /// When none is installed.
    pub fn installed() -> Result<(), String> {
        let skipped = || "skipped: no kamailio is installed (Debian package kamailio)".to_owned();
        Path::new(PROGRAM).exists().then_some(()).ok_or_else(skipped)
    }

    /// Starts it at `port`, with the server at `harmony` (`127.0.0.1:5060`) behind it, or none.
    ///
    /// # Panics
    /// When it does not listen soon; the message holds what it said.
    pub async fn start(port: Port, harmony: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for Kamailio");
        let behind = harmony.and_then(|address| address.rsplit_once(':')).map_or("0", |(_, port)| port);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/kamailio/kamailio.cfg");
        let config = std::fs::read_to_string(template)
            .expect("the configuration lies beside this package")
            .replace("{KAMAILIO}", &port.0.to_string())
            .replace("{HARMONY}", behind)
            .replace("{PASSWORD}", PASSWORD);
        std::fs::write(folder.path().join("kamailio.cfg"), config).expect("the configuration is written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(PROGRAM)
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f", "kamailio.cfg"])
            .arg("-Y")
            .arg(folder.path())
            .arg("-w")
            .arg(folder.path())
            .current_dir(folder.path())
            // It may end its whole group, which shall not be ours.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("kamailio starts");
        let started = Self { child, folder };
        let listening = async {
            let mut looks = interval(LOOK_EVERY);
            while !is_listened_at(port.0, false) {
                looks.tick().await;
            }
        };
        assert!(timeout(PATIENCE, listening).await.is_ok(), "kamailio does not listen:\n{}", started.log());
        started
    }

    /// Waits until it has noted this, such as `seen BYE from 40000 by its route`.
    ///
    /// # Panics
    /// When it does not in time; the message holds what it said.
    pub async fn until_noted(&self, note: &str) {
        let noting = async {
            let mut looks = interval(LOOK_EVERY);
            while !self.has_noted(note) {
                looks.tick().await;
            }
        };
        assert!(timeout(PATIENCE, noting).await.is_ok(), "{note:?} was not noted:\n{}", self.log());
    }

    /// Whether it has noted this.
    pub fn has_noted(&self, note: &str) -> bool {
        self.log().lines().any(|line| line.ends_with(note))
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Asked to, it ends its children first; killed, it would leave them.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
