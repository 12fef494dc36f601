//! A caller over WebRTC for tests: calls a server's WHIP endpoint, speaks samples in real time, and listens.
//!
//! One tokio task and one UDP socket on loopback each. Every packet that comes is kept with the instant of its
//! arrival, and put together afterwards by its own timestamp with zeros where one is missing, so that nothing
//! here hides what the server did. [`mod@line`] is the protocol, as a value.

pub mod line;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::codec::voice::{Codec, Decoder, Encoder, OpusOptions};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot, watch},
    time,
};

pub use self::line::Wants;
use self::line::{Got, Line};

/// Callers speak and hear at this rate.
pub const RATE_HZ: u32 = 48_000;

/// Samples of a packet that a caller sends.
const PACKET: usize = 960;

/// Texts that wait for the test to look; more are dropped.
const TEXTS_MAX: usize = 4_096;

/// A connection stands within this time or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// `error.code` of the body.
    pub code: String,
    /// The whole body.
    pub body: String,
}

/// A caller.
pub struct Caller {
    http: reqwest::Client,
    location: String,
    server_port: u16,
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Order>,
    texts: mpsc::Receiver<String>,
    record: Arc<Mutex<Record>>,
}

/// How the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet.
    Connecting,
    /// It stands.
    Connected,
    /// It is over.
    Lost,
}

enum Order {
    Speak(Vec<f32>, oneshot::Sender<()>),
    Tell(String),
    /// Ends without a word.
    Vanish,
}

#[derive(Default)]
struct Record {
    spoke_at: Option<Instant>,
    packets: Vec<Packet>,
}

struct Packet {
    at: Instant,
    timestamp: u32,
    payload: Bytes,
}

/// What a caller heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// From the first packet on, mono at [`RATE_HZ`]; zeros where a packet is missing.
    pub samples: Vec<f32>,
    /// When the first packet came, after the caller first spoke, corrected for what later packets were
    /// earlier or later than it: the median over all. Below zero when it came before.
    pub first_at_ms: f64,
    /// Packets that came.
    pub packets: usize,
    /// Packets of 20 ms that would fill the holes.
    pub missing: usize,
}

impl Caller {
    /// Calls `url`, such as `http://127.0.0.1:8080/whip/echo`, and waits for the answer, not for the connection.
    ///
    /// # Errors
    /// What the server said instead of an answer.
    ///
    /// # Panics
    /// When there is no server, or its answer is none.
    pub async fn call(url: &str, wants: Wants) -> Result<Self, Refused> {
        Self::call_with_key(url, wants, None).await
    }

    /// The same with an API key.
    ///
    /// # Errors
    /// As for [`Caller::call`].
    ///
    /// # Panics
    /// As for [`Caller::call`].
    pub async fn call_with_key(url: &str, wants: Wants, key: Option<&str>) -> Result<Self, Refused> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let local = socket.local_addr().expect("a bound socket has an address");
        let (mut line, offer) = Line::offer(now(), local, wants);
        let http = reqwest::Client::new();
        let mut request = http.post(url).header("content-type", "application/sdp").body(offer);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.expect("there is a server");
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let location = location.to_owned();
        let body = response.text().await.expect("a body");
        if status != 201 {
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            let code = parsed["error"]["code"].as_str().unwrap_or_default().to_owned();
            return Err(Refused { status, code, body });
        }
        let origin: reqwest::Url = url.parse().expect("the test's own address");
        let location = origin.join(&location).expect("a location").to_string();
        line.accept(now(), &body);
        let candidate = body.lines().find_map(|line| line.strip_prefix("a=candidate:"));
        let port = candidate.and_then(|candidate| candidate.split(' ').nth(5)?.parse().ok());
        let server_port = port.expect("the answer has a candidate");

        let (orders, inbox) = mpsc::channel(64);
        let (texts_in, texts) = mpsc::channel(TEXTS_MAX);
        let (state_in, state) = watch::channel(State::Connecting);
        let record = Arc::<Mutex<Record>>::default();
        let task = Task { socket, line, texts: texts_in, state: state_in, record: record.clone(), speech: None };
        tokio::spawn(task.run(inbox));
        Ok(Self { http, location, server_port, state, orders, texts, record })
    }

    /// The session's URL.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The server's UDP port for this caller.
    pub fn server_port(&self) -> u16 {
        self.server_port
    }

    /// How the connection is.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits for the connection.
    ///
    /// # Panics
    /// When it does not stand within 20 s.
    pub async fn connected(&self) {
        self.until(State::Connected).await;
    }

    /// Waits for the other end's goodbye, or for the loss of the connection.
    ///
    /// # Panics
    /// When there is none within 20 s.
    pub async fn lost(&self) {
        self.until(State::Lost).await;
    }

    async fn until(&self, wanted: State) {
        let mut state = self.state.clone();
        let found = time::timeout(PATIENCE, state.wait_for(|state| *state == wanted)).await;
        assert!(found.is_ok_and(|found| found.is_ok()), "the connection is {:?}, not {wanted:?}", self.state());
    }

    /// Says `samples`, mono at [`RATE_HZ`], in real time, followed by silence without end.
    pub async fn speak(&self, samples: &[f32]) {
        let (done, said) = oneshot::channel();
        // A caller that is gone says nothing.
        let _ = self.orders.send(Order::Speak(samples.to_vec(), done)).await;
        let _ = said.await;
    }

    /// Sends a text over the data channel, which must be open.
    pub async fn tell(&self, text: &str) {
        let _ = self.orders.send(Order::Tell(text.to_owned())).await;
    }

    /// The next text over the data channel as JSON.
    ///
    /// # Panics
    /// When none comes within 20 s, or it is no JSON.
    pub async fn text(&mut self) -> serde_json::Value {
        let text = time::timeout(PATIENCE, self.texts.recv()).await.expect("a text in time").expect("a live caller");
        serde_json::from_str(&text).expect("the server speaks JSON")
    }

    /// The texts up to and including the first of this `type`.
    ///
    /// # Panics
    /// As for [`Caller::text`].
    pub async fn texts_until(&mut self, kind: &str) -> Vec<serde_json::Value> {
        let mut texts = Vec::new();
        loop {
            texts.push(self.text().await);
            if texts.last().is_some_and(|text| text["type"] == kind) {
                return texts;
            }
        }
    }

    /// Forgets what was heard and when speaking began.
    ///
    /// # Panics
    /// When a thread died that held the record.
    pub fn forget(&self) {
        *self.record.lock().expect("nobody panics with the record") = Record::default();
    }

    /// What was heard since the call began.
    ///
    /// # Panics
    /// When a thread died that held the record.
    pub fn heard(&self) -> Heard {
        let record = self.record.lock().expect("nobody panics with the record");
        put_together(&record)
    }

    /// Ends the call over HTTP; the status.
    ///
    /// # Panics
    /// When there is no server.
    pub async fn hang_up(&self) -> u16 {
        self.http.delete(&self.location).send().await.expect("there is a server").status().as_u16()
    }

    /// Vanishes: no word, and the socket is closed.
    pub async fn vanish(self) {
        let _ = self.orders.send(Order::Vanish).await;
        self.orders.closed().await;
    }
}

struct Task {
    socket: UdpSocket,
    line: Line,
    texts: mpsc::Sender<String>,
    state: watch::Sender<State>,
    record: Arc<Mutex<Record>>,
    speech: Option<Speech>,
}

/// What is said, packet by packet.
struct Speech {
    encoder: Encoder,
    samples: Vec<f32>,
    said: usize,
    done: Option<oneshot::Sender<()>>,
    next_at: Instant,
    packets: u16,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut datagram = [0; 2_048];
        loop {
            self.settle();
            let soonest = now() + Duration::from_millis(1);
            let tick = self.line.next_tick().unwrap_or(soonest + Duration::from_secs(1)).max(soonest);
            let speak_at = self.speech.as_ref().map(|speech| speech.next_at);
            tokio::select! {
                biased;
                () = time::sleep_until(speak_at.unwrap_or(tick).into()), if speak_at.is_some() => self.speak(),
                received = self.socket.recv_from(&mut datagram) => {
                    if let Ok((length, from)) = received {
                        self.line.hear(now(), from, &datagram[..length]);
                    }
                }
                () = time::sleep_until(tick.into()) => self.line.tick(now()),
                order = orders.recv() => match order {
                    Some(Order::Speak(samples, done)) => self.begin(samples, done),
                    Some(Order::Tell(text)) => self.line.tell(now(), &text),
                    Some(Order::Vanish) => return,
                    None => {
                        self.line.close();
                        self.settle();
                        return;
                    }
                },
            }
        }
    }

    fn begin(&mut self, samples: Vec<f32>, done: oneshot::Sender<()>) {
        let speech = self.speech.get_or_insert_with(|| Speech {
            encoder: Encoder::new(Codec::Opus(OpusOptions::default())).expect("options of our own"),
            samples: Vec::new(),
            said: 0,
            done: None,
            next_at: now(),
            packets: 0,
        });
        (speech.samples, speech.said, speech.done) = (samples, 0, Some(done));
        self.record.lock().expect("nobody panics with the record").spoke_at.get_or_insert(speech.next_at);
    }

    fn speak(&mut self) {
        let Some(speech) = &mut self.speech else { return };
        let mut samples = [0.0; PACKET];
        let rest = &speech.samples[speech.said.min(speech.samples.len())..];
        let length = rest.len().min(PACKET);
        samples[..length].copy_from_slice(&rest[..length]);
        speech.said += length;
        let mut payload = [0; 1_275];
        let bytes = speech.encoder.encode(&samples, &mut payload);
        let timestamp = u32::from(speech.packets).wrapping_mul(PACKET as u32);
        self.line.say(now(), speech.packets, timestamp, &payload[..bytes]);
        speech.packets = speech.packets.wrapping_add(1);
        speech.next_at += Duration::from_millis(20);
        if speech.said >= speech.samples.len()
            && let Some(done) = speech.done.take()
        {
            // Nobody waits when the test was given up.
            let _ = done.send(());
        }
    }

    fn settle(&mut self) {
        loop {
            while let Some((to, bytes)) = self.line.next_datagram() {
                send(&self.socket, &bytes, to);
            }
            let Some(got) = self.line.got() else { return };
            match got {
                Got::Sound { at, timestamp, payload, .. } => {
                    let packet = Packet { at, timestamp, payload };
                    self.record.lock().expect("nobody panics with the record").packets.push(packet);
                }
                Got::Text(text) => {
                    let _ = self.texts.try_send(text);
                }
                Got::ChannelOpen => {}
                Got::Connected => {
                    self.state.send_replace(State::Connected);
                }
                Got::Lost => {
                    self.state.send_replace(State::Lost);
                }
            }
        }
    }
}

fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    // A full socket loses a packet, as any network may.
    let _ = socket.try_send_to(bytes, to);
}

fn put_together(record: &Record) -> Heard {
    let Some(first) = record.packets.first() else {
        return Heard { samples: Vec::new(), first_at_ms: 0.0, packets: 0, missing: 0 };
    };
    let mut decoder = Decoder::new(Codec::Opus(OpusOptions::default())).expect("options of our own");
    let mut samples: Vec<f32> = Vec::new();
    let mut lateness_ms: Vec<f64> = Vec::new();
    let mut decoded = [0.0; 5_760];
    let mut missing = 0;
    for packet in &record.packets {
        let from = packet.timestamp.wrapping_sub(first.timestamp) as usize;
        if from > samples.len() + 60 * RATE_HZ as usize {
            continue;
        }
        let Some(length) = decoder.decode(&packet.payload, &mut decoded) else { continue };
        if from > samples.len() {
            missing += (from - samples.len()).div_ceil(PACKET);
        }
        if samples.len() < from + length {
            samples.resize(from + length, 0.0);
        }
        samples[from..from + length].copy_from_slice(&decoded[..length]);
        let due_ms = from as f64 / f64::from(RATE_HZ) * 1_000.0;
        lateness_ms.push((packet.at - first.at).as_secs_f64() * 1_000.0 - due_ms);
    }
    lateness_ms.sort_by(f64::total_cmp);
    let spoke_at = record.spoke_at.unwrap_or(first.at);
    let first_ms = match first.at.checked_duration_since(spoke_at) {
        Some(after) => after.as_secs_f64() * 1_000.0,
        None => -(spoke_at - first.at).as_secs_f64() * 1_000.0,
    };
    let first_at_ms = first_ms + lateness_ms[lateness_ms.len() / 2];
    Heard { samples, first_at_ms, packets: record.packets.len(), missing }
}

#[expect(clippy::disallowed_methods, reason = "a caller lives in real time")]
fn now() -> Instant {
    Instant::now()
}
