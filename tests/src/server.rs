//! The real `harmony` binary, started for one test on a port of its own and ended with it.
//!
//! Each server has its own data folder and shares the models of this machine. Starting reads what the server
//! prints until it says which engine runs, so nothing is polled. A server that does not start says why.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use crate::{fixture, standstill, tls::Certificate};

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// More of `harmony.toml`; `[http]` and `[data]` are the kit's, `[models]` is free.
    pub config: &'a str,
    /// Variables besides those of the test, such as `HARMONY__AUTH__KEYS`.
    pub env: Vec<(&'a str, &'a str)>,
    /// Whether it has a telephone, on a port of its own; `[sip]` is the kit's then too, but for what this holds.
    pub telephone: Option<&'a str>,
    /// The certificate of its telephone, which then listens for TLS too.
    pub certificate: Option<&'a Certificate>,
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    sip: u16,
    sip_tls: u16,
    stdout: String,
    folder: TempDir,
}

impl Server {
    /// Starts the binary and waits until it serves.
    ///
    /// # Errors
    /// What the server said on stderr when it ended instead.
    ///
    /// # Panics
    /// When the binary is not built, or the machine refuses files, ports or processes.
    pub fn start(options: Options<'_>) -> Result<Self, String> {
        let mut refusal = String::new();
        for _ in 0..ATTEMPTS {
            match Self::attempt(&options) {
                // Somebody took the port between our look and the server's.
                Err(error) if error.contains("cannot listen") => refusal = error,
                outcome => return outcome,
            }
        }
        Err(refusal)
    }

    fn attempt(options: &Options<'_>) -> Result<Self, String> {
        standstill::watch();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("harmony.toml");
        let data = folder.path().join("data");
        let sip = options.telephone.map_or(0, |_| free_for_both());
        let sip_tls = options.certificate.map_or(0, |_| free_for_both());
        let certificate = options
            .certificate
            .map(|certificate| format!("tls_cert = {:?}\ntls_key = {:?}\n", certificate.path(), certificate.key()));
        let sip_text = format!(
            "[sip]\nport = {sip}\ntls_port = {sip_tls}\n{}{}\n",
            certificate.unwrap_or_default(),
            options.telephone.unwrap_or_default()
        );
        // What the test says may go on with `[data]`.
        let text = format!("[http]\nport = {}\n{sip_text}[data]\ndir = {data:?}\n{}\n", free.port(), options.config);
        std::fs::write(&config, text).expect("the configuration is written");
        let stderr = std::fs::File::create(folder.path().join("stderr")).expect("a file for the log");
        let mut command = Command::new(binary());
        if options.config.contains("[models]") {
            // The variable would win over the folder that the test names.
            command.env_remove("HARMONY_MODELS_DIR");
        }
        let mut child = command
            .args(["--config".as_ref(), config.as_os_str(), "serve".as_ref()])
            .envs(options.env.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut stdout = String::new();
        let last = match (options.telephone, options.certificate) {
            (Some(_), Some(_)) => "(TLS)",
            (Some(_), None) => "(TCP)",
            (None, _) => "\nengine:",
        };
        while !stdout.contains(last) {
            let Some(Ok(line)) = lines.next() else {
                // It has closed its stdout, so it has ended or is about to; it has said why.
                let _ = child.wait();
                return Err(std::fs::read_to_string(folder.path().join("stderr")).unwrap_or_default());
            };
            stdout = stdout + &line + "\n";
        }
        Ok(Self { child, address: free, sip, sip_tls, stdout, folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its telephone is called: `127.0.0.1:5060`.
    pub fn sip(&self) -> String {
        format!("127.0.0.1:{}", self.sip)
    }

    /// Where it is called by TLS: `127.0.0.1:5061`.
    pub fn sip_tls(&self) -> String {
        format!("127.0.0.1:{}", self.sip_tls)
    }

    /// Such as `http://127.0.0.1:40000`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Such as `ws://127.0.0.1:40000`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// What it printed when it started.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to drain, as a supervisor would.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.process_id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "SIGTERM cannot be sent");
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("our own child can be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards, and no zombie stays.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for datagrams and for connections.
fn free_for_both() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound port").port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether the models that a server hears with are there; says why a test is skipped when not.
pub fn models_or_skip() -> Option<()> {
    let parts = [fixture::onnx_library(), fixture::model("silero-vad"), fixture::model("moonshine-tiny-en")];
    match parts.into_iter().find_map(Result::err) {
        Some(why) => {
            println!("{why}");
            None
        }
        None => Some(()),
    }
}

/// The `harmony` that was built beside this test.
///
/// # Panics
/// When it was not built: run the whole workspace's tests, or `cargo build -p server`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let binary = profile.join("harmony");
    assert!(binary.exists(), "{} is not built: `cargo build -p server` builds it", binary.display());
    binary
}

/// A port may be taken between our look and the server's; thrice in a row is no accident.
const ATTEMPTS: usize = 3;
