//! A person at the console in a call: joins, mutes, leaves, and what their loudspeaker plays is kept.
//!
//! Drives the page as a person does, by its buttons. What the page hears is taken from the stream that its
//! loudspeaker plays, with the page's own audio worklet, as 16 kHz mono. A microphone's file begins with
//! silence, so that everybody is in the room before anybody speaks.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    chromium::{Chromium, Options},
    fixture,
    server::Server,
};

/// What the page does by itself; a loaded machine with two cores is slow to start a browser.
pub const SOON: Duration = Duration::from_secs(30);

/// How often a level is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The rate of what was heard.
pub const HEARD_HZ: u32 = 16_000;

/// One browser with the console open.
pub struct Person {
    /// Their page.
    pub page: Chromium,
    name: String,
}

impl Person {
    /// Starts a browser and opens the console. Echo and noise are left in, as the microphone gives them, so
    /// that levels can be compared.
    pub async fn at(server: &Server, browser: &Path, name: &str, microphone: Option<&Path>) -> Self {
        let mut page = Chromium::start(browser, Options { microphone, ..Default::default() }).await;
        page.resize(1440, 900, false).await;
        page.open(&server.base_url()).await;
        page.evaluate("localStorage.setItem('harmony.plain-sound', 'yes')").await;
        page.open(&format!("{}/?{name}", server.base_url())).await;
        page.wait_for("document.querySelector('#engine').textContent !== ''", SOON).await;
        Self { page, name: name.to_owned() }
    }

    /// Shows a room of the list.
    pub async fn open(&mut self, room: &str) {
        let entry = format!("[data-room={room}]");
        self.page.wait_for(&format!("document.querySelector('{entry}')"), SOON).await;
        self.page.click(&entry).await;
        self.page.wait_for("document.querySelector('#link').dataset.state === 'live'", SOON).await;
    }

    /// Asks to join the room on show and gives the name; whatever else is asked is still open.
    pub async fn ask_to_join(&mut self) {
        self.page.wait_for("!document.querySelector('#join').hidden", SOON).await;
        self.page.click("#join").await;
        self.page.wait_for("document.querySelector('#join-dialog').open", SOON).await;
        self.page.evaluate("document.querySelector('#join-name').select()").await;
        let name = self.name.clone();
        self.page.type_text(&name).await;
    }

    /// Joins the room on show, and waits until sound can flow.
    pub async fn join(&mut self) {
        self.ask_to_join().await;
        self.confirm_join().await;
    }

    /// Presses the button of the question before a call, and waits until sound can flow.
    pub async fn confirm_join(&mut self) {
        self.page.click("#join-form [value=join]").await;
        self.is_in("connected").await;
    }

    /// Waits until the call is in a state.
    pub async fn is_in(&mut self, state: &str) {
        let is_so = format!(
            "!document.querySelector('#call').hidden && document.querySelector('#call').dataset.state === '{state}'"
        );
        self.page.wait_for(&is_so, SOON).await;
    }

    /// Keeps what the loudspeaker plays from now on.
    pub async fn listen(&mut self) {
        self.page.evaluate(LISTEN).await;
    }

    /// What the loudspeaker has played since [`Person::listen`]: f32 mono at [`HEARD_HZ`].
    ///
    /// # Panics
    /// When the page gives something else.
    pub async fn heard(&mut self) -> Vec<f32> {
        let heard = self.page.evaluate(HEARD).await;
        let bytes = BASE64_STANDARD.decode(heard.as_str().expect("sound comes as text")).expect("it is base64");
        bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
    }

    /// The loudness of the last `seconds` that the loudspeaker played, in dBFS.
    pub async fn heard_lately_dbfs(&mut self, seconds: f32) -> f32 {
        let heard = self.heard().await;
        let from = heard.len().saturating_sub((seconds * HEARD_HZ as f32) as usize);
        media::dsp::level::rms_dbfs(&heard[from..])
    }

    /// Waits until the last `seconds` that the loudspeaker played are so loud; `what` names it where they never are.
    ///
    /// # Panics
    /// With the last level, when that is not so in time.
    pub async fn until_level(&mut self, seconds: f32, is_so: impl Fn(f32) -> bool, within: Duration, what: &str) {
        let mut dbfs = f32::NAN;
        let looking = async {
            loop {
                dbfs = self.heard_lately_dbfs(seconds).await;
                if is_so(dbfs) {
                    return;
                }
                self.wait(LOOK_EVERY).await;
            }
        };
        let is_seen = timeout(within, looking).await.is_ok();
        assert!(is_seen, "{what}: heard at {dbfs} dBFS");
    }

    /// Lets real time pass in the page, as sound does.
    pub async fn wait(&mut self, span: Duration) {
        self.page.evaluate(&format!("new Promise((go) => setTimeout(go, {}))", span.as_millis())).await;
    }

    /// The words on the page that are settled, of one speaker.
    pub async fn words_of(&mut self, speaker: &str) -> String {
        let words = format!(
            "(() => {{ let who = ''; const said = []; for (const line of document.querySelectorAll('.line:not(.live)')) \
             {{ who = line.querySelector('.speaker')?.textContent || who; if (who === {speaker:?}) \
             said.push(line.querySelector('.said')?.textContent ?? ''); }} return said.join(' '); }})()"
        );
        self.page.evaluate(&words).await.as_str().unwrap_or_default().to_owned()
    }

    /// Ends the browser. Gives what went wrong on the page.
    pub async fn close(self) -> Vec<String> {
        let errors = self.page.errors().to_vec();
        self.page.close().await;
        errors
    }
}

/// Opens a room and says its id.
///
/// # Panics
/// When the server refuses.
pub async fn open_room(server: &Server, wish: Value) -> String {
    let url = format!("{}/api/rooms", server.base_url());
    let body = serde_json::to_vec(&wish).expect("a value is JSON");
    let request = client().post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("the server answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    let room: Value = serde_json::from_slice(&answer.bytes().await.expect("an answer")).expect("a room is JSON");
    room["id"].as_str().expect("a room has an id").to_owned()
}

/// Closes a room.
///
/// # Panics
/// When the server does not answer.
pub async fn close_room(server: &Server, room: &str) {
    let request = client().delete(format!("{}/api/rooms/{room}", server.base_url()));
    request.send().await.expect("the server answers");
}

fn client() -> reqwest::Client {
    ::server::models::tls::install();
    reqwest::Client::new()
}

/// The bytes at a path.
///
/// # Panics
/// When the server does not answer.
pub async fn fetch(server: &Server, path: &str) -> Vec<u8> {
    let answer = client().get(format!("{}{path}", server.base_url())).send().await.expect("the server answers");
    answer.bytes().await.expect("an answer").to_vec()
}

/// What the server says of a path.
///
/// # Panics
/// When it does not answer in JSON.
pub async fn ask(server: &Server, path: &str) -> Value {
    serde_json::from_slice(&fetch(server, path).await).expect("it answers JSON")
}

/// The browser, with models to hear by; says why a test is skipped when something is absent.
pub fn browser_or_skip() -> Option<PathBuf> {
    let found = Chromium::installed().and_then(|browser| fixture::model("moonshine-tiny-en").map(|_| browser));
    found.map_err(|why| println!("{why}")).ok()
}

/// Speech as a microphone's file: silence, the recording, silence. Gives the file and the speech alone.
///
/// A browser whose file is over repeats its last ten milliseconds, which had better be silent.
///
/// # Panics
/// When the file cannot be written.
pub fn microphone(name: &str, recording: &str, silence: Duration) -> Option<(PathBuf, Vec<f32>)> {
    repeating_microphone(name, recording, silence, 1)
}

/// The same, where the recording is said so many times over: for whoever has to speak as long as a test goes on.
///
/// # Panics
/// When the file cannot be written.
pub fn repeating_microphone(
    name: &str,
    recording: &str,
    silence: Duration,
    times: usize,
) -> Option<(PathBuf, Vec<f32>)> {
    let path = fixture::recording(recording).map_err(|why| println!("{why}")).ok()?;
    let speech = fixture::wav_16k(&path);
    let file = artifact(&format!("microphone-{name}.wav"));
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder for artifacts");
    let silent = (silence.as_secs_f32() * HEARD_HZ as f32) as usize;
    write_wav(&file, &[vec![0.0; silent], speech.repeat(times), vec![0.0; HEARD_HZ as usize]].concat());
    // A browser takes no path with `..` in it.
    Some((file.canonicalize().expect("it was just written"), speech))
}

/// Writes 16 kHz mono.
///
/// # Panics
/// When the file cannot be written.
pub fn write_wav(file: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: HEARD_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).expect("the file can be made");
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32_767.0) as i16).expect("the disk takes it");
    }
    writer.finalize().expect("the disk takes it");
}

/// What our own recognizer hears in 16 kHz mono.
///
/// # Panics
/// When `harmony transcribe` fails.
pub fn recognized(name: &str, samples: &[f32]) -> String {
    let file = artifact(&format!("heard-{name}.wav"));
    write_wav(&file, samples);
    let output = std::process::Command::new(crate::server::binary())
        .args(["transcribe", "--format", "json"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("it writes JSON");
    let segments = value["segments"].as_array().expect("segments are a list");
    segments.iter().filter_map(|segment| segment["text"].as_str()).collect::<Vec<_>>().join(" ")
}

/// Where pictures and sounds of the tests are kept.
pub fn artifact(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/artifacts").join(name)
}

const LISTEN: &str = "(async () => {
    window.played = [];
    const context = new AudioContext({ sampleRate: 16000 });
    await context.audioWorklet.addModule('/console/capture-worklet.js');
    const ear = new AudioWorkletNode(context, 'capture', { numberOfInputs: 1, numberOfOutputs: 0 });
    ear.port.onmessage = ({ data }) => window.played.push(new Uint8Array(data.samples));
    context.createMediaStreamSource(document.querySelector('#room-sound').srcObject).connect(ear);
    window.ear = { context, ear };
    return null;
})()";

const HEARD: &str = "new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.readAsDataURL(new Blob(window.played));
})";
