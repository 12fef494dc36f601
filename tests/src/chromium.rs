//! A real Chromium for tests of the console: started headless, driven over its DevTools protocol.
//!
//! One browser a test, with an empty profile of its own and a microphone that plays a file. Commands and
//! answers are JSON over one WebSocket; a page's errors are kept, so that a test can say there were none.
//! Every wait has a deadline. The browser ends with its value, by its own process id.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::standstill;

/// What a browser is started with.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// A WAV file that the microphone plays once, then silence.
    pub microphone: Option<&'a Path>,
    /// Whether a page that asks for the microphone is given it.
    pub microphone_allowed: bool,
    /// What the person in front of it reads, such as `en-US`.
    pub language: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { microphone: None, microphone_allowed: true, language: "en-US" }
    }
}

/// A running browser with one page.
pub struct Chromium {
    link: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    commands: u64,
    errors: Vec<String>,
    // Dropped after the link: the process is killed, then its profile is removed.
    process: Child,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Where the browser is, or the reason to skip.
    ///
    /// # Errors
    /// When none is installed.
    pub fn installed() -> Result<PathBuf, String> {
        let named = std::env::var_os("HARMONY_TEST_CHROMIUM").map(PathBuf::from);
        let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
        named
            .into_iter()
            .chain(usual)
            .find(|path| path.exists())
            .ok_or_else(|| "skipped: no Chromium is installed (Debian package chromium)".to_owned())
    }

    /// Starts a browser with an empty page.
    ///
    /// # Panics
    /// When it does not start or does not answer: a broken test machine.
    pub async fn start(program: &Path, options: Options<'_>) -> Self {
        standstill::watch();
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut command = Command::new(program);
        command
            .args(QUIET)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--accept-lang={}", options.language))
            .args(["--remote-debugging-port=0", "--use-fake-device-for-media-stream"])
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if options.microphone_allowed {
            command.arg("--use-fake-ui-for-media-stream");
        }
        if let Some(wav) = options.microphone {
            command.arg(format!("--use-file-for-fake-audio-capture={}%noloop", wav.display()));
        }
        let mut process = command.spawn().expect("the browser starts");
        let stderr = process.stderr.take().expect("stderr is piped");
        let mut lines = BufReader::new(stderr).lines();
        let address = timeout(START_TIMEOUT, async {
            while let Some(line) = lines.next_line().await.expect("stderr is text") {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return address.to_owned();
                }
            }
            panic!("the browser ended before it listened");
        });
        let address = address.await.expect("the browser listens in time");
        // What it writes later is read, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (link, _) = tokio_tungstenite::connect_async(address).await.expect("DevTools answers");
        let mut browser =
            Self { link, session: String::new(), commands: 0, errors: Vec::new(), process, _profile: profile };
        browser.attach(&options).await;
        browser
    }

    async fn attach(&mut self, options: &Options<'_>) {
        let target = self.command("Target.createTarget", json!({"url": "about:blank"})).await;
        let attached =
            self.command("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true})).await;
        self.session = attached["sessionId"].as_str().expect("an attached page has a session").to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "DOM.enable", "Network.enable"] {
            self.command(domain, json!({})).await;
        }
        if !options.microphone_allowed {
            let denied = json!({"permission": {"name": "microphone"}, "setting": "denied"});
            self.command("Browser.setPermission", denied).await;
        }
    }

    /// Ends the browser and waits for it, so that its profile can be removed whole.
    pub async fn close(mut self) {
        // One that has ended by itself is as good.
        let _ = self.process.kill().await;
    }

    /// What went wrong on the page so far: uncaught exceptions and everything its console calls an error.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Sets the size of the window in CSS pixels; a phone is touched and has two dots a pixel.
    pub async fn resize(&mut self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Asks the page to be light or dark.
    pub async fn prefer_dark(&mut self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to a page and waits until it and its modules are loaded.
    pub async fn open(&mut self, url: &str) {
        let went = self.command("Page.navigate", json!({"url": url})).await;
        assert_eq!(went["errorText"], Value::Null, "{url}");
        let loaded = "location.href !== 'about:blank' && document.readyState === 'complete'";
        self.wait_for(loaded, LOAD_TIMEOUT).await;
    }

    /// The value of a JavaScript expression (a promise is awaited), as if a person had just touched the page.
    ///
    /// # Panics
    /// When it throws.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.command("Runtime.evaluate", asked).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is truthy.
    ///
    /// # Panics
    /// With what the page shows, when it is not so in time.
    pub async fn wait_for(&mut self, condition: &str, within: Duration) {
        if self.becomes_true(condition, within).await {
            return;
        }
        let shown = self.evaluate("document.body.innerText").await;
        panic!(
            "waited {within:?} for {condition}\nerrors: {:#?}\nthe page: {}",
            self.errors,
            shown.as_str().unwrap_or("")
        );
    }

    async fn becomes_true(&mut self, condition: &str, within: Duration) -> bool {
        // The page looks by itself every 20 ms, so that nothing here has to wait in between.
        let watch = format!(
            "new Promise((resolve) => {{ const until = performance.now() + {}; const look = () => {{ \
             let met = false; try {{ met = Boolean({condition}); }} catch {{ /* not yet */ }} \
             if (met || performance.now() > until) resolve(met); else setTimeout(look, 20); }}; look(); }})",
            within.as_millis()
        );
        let asked = json!({"expression": watch, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", asked, within + COMMAND_TIMEOUT).await;
        // A page that is being replaced takes the promise with it: look again on the new one.
        match answer {
            Ok(answer) => answer["result"]["value"] == true,
            Err(_) => Box::pin(self.becomes_true(condition, within)).await,
        }
    }

    /// Takes the network away from the page, or gives it back.
    pub async fn go_offline(&mut self, is_offline: bool) {
        let network = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.command("Network.emulateNetworkConditions", network).await;
    }

    /// Presses the element that a selector finds, with a real mouse at its middle, once nothing else lies there.
    ///
    /// # Panics
    /// When it never comes to lie free.
    pub async fn click(&mut self, selector: &str) {
        // What moves or is redrawn is measured again: two looks, a moment apart, find it in the same place.
        let middle = format!(
            "(async () => {{ const look = () => {{ const e = document.querySelector({selector:?}); \
             if (!e) return null; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect(); \
             const at = [b.x + b.width / 2, b.y + b.height / 2]; const top = document.elementFromPoint(...at); \
             return [e, ...(e.labels ?? [])].some((one) => one.contains(top)) ? at : null; }}; \
             const until = performance.now() + {}; let before = null; \
             while (performance.now() < until) {{ const at = look(); \
             if (at && before && at[0] === before[0] && at[1] === before[1]) return at; \
             before = at; await new Promise((go) => setTimeout(go, 20)); }} return null; }})()",
            FREE_WITHIN.as_millis()
        );
        let middle = self.evaluate(&middle).await;
        assert!(middle.is_array(), "{selector} does not lie free");
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.command("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Gives files to a file input, as the file dialog would.
    pub async fn choose_file(&mut self, selector: &str, file: &Path) {
        let root = self.command("DOM.getDocument", json!({})).await["root"]["nodeId"].clone();
        let node =
            self.command("DOM.querySelector", json!({"nodeId": root, "selector": selector})).await["nodeId"].clone();
        self.command("DOM.setFileInputFiles", json!({"nodeId": node, "files": [file]})).await;
    }

    /// Presses a key where the focus is, such as `Enter` or `Escape`.
    pub async fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types text where the focus is.
    pub async fn type_text(&mut self, text: &str) {
        self.command("Input.insertText", json!({"text": text})).await;
    }

    /// Takes a picture of the page as a PNG file, making its folder. What is on its way in or out arrives first.
    pub async fn screenshot(&mut self, file: &Path) {
        self.evaluate(ARRIVED).await;
        use base64::Engine as _;
        let picture = self.command("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64::prelude::BASE64_STANDARD.decode(picture["data"].as_str().expect("a picture is text"));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("the folder for artifacts");
        }
        std::fs::write(file, bytes.expect("a picture is base64")).expect("the picture is written");
    }

    async fn command(&mut self, method: &str, params: Value) -> Value {
        match self.call(method, params, COMMAND_TIMEOUT).await {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    async fn call(&mut self, method: &str, params: Value, within: Duration) -> Result<Value, Value> {
        self.commands += 1;
        let id = self.commands;
        let mut command = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.link.send(Message::text(command.to_string())).await.expect("DevTools takes a command");
        let answered = timeout(within, async {
            loop {
                let message = self.link.next().await.expect("the browser still runs").expect("DevTools is readable");
                let Message::Text(text) = message else { continue };
                let mut message: Value = serde_json::from_str(&text).expect("DevTools speaks JSON");
                if message["id"] != json!(id) {
                    self.errors.extend(error_of(&message));
                } else if message["error"] == Value::Null {
                    return Ok(message["result"].take());
                } else {
                    return Err(message["error"].take());
                }
            }
        });
        answered.await.unwrap_or_else(|_| panic!("{method} was not answered within {within:?}"))
    }
}

/// The error that an event tells of, if it is one.
fn error_of(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => Some(params["entry"].to_string()),
        _ => None,
    }
}

/// No window, no graphics card, and nothing sent to anybody.
const QUIET: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    // A page in the background would be given fewer frames and timers; these pages are all in front.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
];

/// Resolves when every movement that ends has ended.
const ARRIVED: &str = "Promise.allSettled(document.getAnimations()
    .filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime)).map((one) => one.finished)).then(() => null)";

// A loaded machine with two cores starts a browser in a few seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
// Shorter than a command may take.
const FREE_WITHIN: Duration = Duration::from_secs(20);
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
