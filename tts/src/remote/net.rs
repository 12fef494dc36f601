//! The shell of the voices across the network: connections, waiting, and when to give up.
//!
//! Whoever speaks blocks its `tts-N` thread here; one thread more, `tts-net`, keeps the connections of those who are
//! asked by `POST` between sentences, so that a second sentence needs no new handshake; a WebSocket is opened anew for
//! each. Every wait ends: with what was waited for, at a limit, or within 50 ms of `stop`. Certificates are the
//! system's, the arithmetic is ring's. Redirects are not followed: a key is for whom it was configured.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, rustls};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, handshake::client::Request, protocol::WebSocketConfig},
};
use url::Url;

use super::{Limits, RATE_HZ, Trouble, sound::Sound};
use crate::voice::{Error, Made, Sentence};

/// How often it is looked whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Connections that wait for their next sentence are kept for so long; providers close them after one to five minutes.
const KEPT_FOR: Duration = Duration::from_secs(55);

/// The largest message of a WebSocket: some seconds of sound with the times of its letters.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// A way into the network for voices; they may share one. Cheap to clone.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    http: reqwest::Client,
    tls: OnceLock<Result<TlsConnector, String>>,
    limits: Limits,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last voice may be dropped on an async thread, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl Net {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system gives no thread, or its certificates cannot be read.
    pub fn start(limits: Limits) -> Result<Self, Error> {
        let failed = |why: String| Error::Failed(format!("no way into the network: {why}"));
        // An error means that one is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tts-net")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(KEPT_FOR)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self(Arc::new(Inner { runtime: Some(runtime), http, tls: OnceLock::new(), limits })))
    }

    /// The client that requests are made for.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// The limits.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Runs `work` on the calling thread, which must be none of an async runtime's.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.runtime.as_ref().expect("it is there until it is dropped").block_on(work)
    }

    /// Speaks a sentence by a request whose answer is its sound; one that has nothing to say is not sent.
    pub(super) fn say(
        &self,
        provider: &'static str,
        request: reqwest::RequestBuilder,
        sentence: &Sentence,
        stop: &AtomicBool,
        made: &mut dyn FnMut(Made<'_>),
    ) -> Result<(), Error> {
        sentence.check()?;
        if super::is_silent(sentence) {
            return Ok(());
        }
        let wrong = |_| Trouble::Settings { provider, why: "the key cannot stand in a header".to_owned() };
        let request = request.build().map_err(wrong)?;
        let mut sound = Sound::new(provider, sentence, made);
        self.block_on(self.exchange(provider, request, stop, &mut sound))?;
        sound.finish()
    }

    async fn exchange(
        &self,
        provider: &'static str,
        request: reqwest::Request,
        stop: &AtomicBool,
        sound: &mut Sound<'_>,
    ) -> Result<(), Error> {
        let mut pace = Pace::new(Instant::now());
        let slow = |pace: &Pace| self.slow(provider, pace);
        let by = pace.next_by(Instant::now(), 0, self.limits());
        let asked = until(self.http().execute(request), by, stop).await.map_err(|cut| cut.or(slow(&pace)))?;
        let mut answer = asked.map_err(|error| fault(provider, &error))?;
        let status = answer.status();
        if !status.is_success() {
            let after = answer.headers().get(reqwest::header::RETRY_AFTER).and_then(|after| after.to_str().ok());
            return Err(Trouble::of_status(provider, status.as_u16(), after).into());
        }
        let kind = answer.headers().get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if let Some(kind) = kind.filter(|kind| is_text(kind)) {
            let kind: String = kind.chars().take(60).collect();
            return Err(Trouble::Broken { provider, why: format!("it answers with {kind}, not with sound") }.into());
        }
        loop {
            let by = pace.next_by(Instant::now(), sound.count(), self.limits());
            let came = until(answer.chunk(), by, stop).await.map_err(|cut| cut.or(slow(&pace)))?;
            let Some(bytes) = came.map_err(|error| fault(provider, &error))? else { return Ok(()) };
            sound.hear(&bytes)?;
            pace.heard(Instant::now(), sound.count());
        }
    }

    /// What it means that a limit has passed.
    pub(super) fn slow(&self, provider: &'static str, pace: &Pace) -> Error {
        let limits = self.limits();
        let (what, limit) = match pace.first {
            None => ("no sound came", limits.first_sound),
            Some(_) => ("the sound stood still", limits.behind),
        };
        Trouble::Slow { provider, what, ms: limit.as_millis() as u64 }.into()
    }

    /// Opens a WebSocket.
    pub(super) async fn dial(
        &self,
        provider: &'static str,
        url: &Url,
        request: Request,
        stop: &AtomicBool,
    ) -> Result<WebSocketStream<Box<dyn Connection>>, Error> {
        let limits = self.limits();
        let by = Instant::now() + limits.connect;
        let late = || {
            let ms = limits.connect.as_millis() as u64;
            Error::from(Trouble::Slow { provider, what: "no connection came about", ms })
        };
        let unreachable = |why: String| Error::from(Trouble::Unreachable { provider, why });
        let settings = |why: &str| Error::from(Trouble::Settings { provider, why: why.to_owned() });
        let host = url.host_str().ok_or_else(|| settings("its URL names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| settings("its URL names no port"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let connected = until(TcpStream::connect((bare, port)), by, stop).await.map_err(|cut| cut.or(late()))?;
        let tcp = connected.map_err(|error| unreachable(error.to_string()))?;
        // A question is small and waited for.
        let _ = tcp.set_nodelay(true);
        let stream: Box<dyn Connection> = if url.scheme() == "wss" {
            let tls = self.0.tls.get_or_init(trusting).as_ref().map_err(|why| unreachable(why.clone()))?;
            let name = rustls::pki_types::ServerName::try_from(bare.to_owned())
                .map_err(|_| settings("the host of its URL is no name"))?;
            let shaken = until(tls.connect(name, tcp), by, stop).await.map_err(|cut| cut.or(late()))?;
            Box::new(shaken.map_err(|error| unreachable(error.to_string()))?)
        } else {
            Box::new(tcp)
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let opening = client_async_with_config(request, stream, Some(config));
        match until(opening, by, stop).await.map_err(|cut| cut.or(late()))? {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok());
                Err(Trouble::of_status(provider, response.status().as_u16(), after).into())
            }
            Err(error) => Err(Trouble::Broken { provider, why: one_line(&error.to_string()) }.into()),
        }
    }
}

/// What a WebSocket runs over: plain or encrypted.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A wait that did not end with what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Stopped,
    Late,
}

impl Cut {
    /// The error it is, `late` for a limit.
    pub(super) fn or(self, late: Error) -> Error {
        match self {
            Self::Stopped => Error::Stopped,
            Self::Late => late,
        }
    }
}

/// Waits for `work`, `by` at the latest, unless it is to stop.
pub(super) async fn until<T>(work: impl Future<Output = T>, by: Instant, stop: &AtomicBool) -> Result<T, Cut> {
    let mut work = pin!(work);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Cut::Stopped);
        }
        let look = (Instant::now() + LOOK_EVERY).min(by);
        match timeout_at(look, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_) if Instant::now() >= by => return Err(Cut::Late),
            Err(_) => {}
        }
    }
}

/// How the sound comes along against the listener, who hears it from its first sample on. Pure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Instant,
    first: Option<Instant>,
}

impl Pace {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, first: None }
    }

    /// So many samples have come by `now`.
    pub(super) fn heard(&mut self, now: Instant, samples: u64) {
        if samples > 0 {
            self.first.get_or_insert(now);
        }
    }

    /// When more must have come.
    pub(super) fn next_by(&self, now: Instant, samples: u64, limits: &Limits) -> Instant {
        let total = self.began + limits.total;
        match self.first {
            None => (self.began + limits.first_sound).min(total),
            Some(first) => {
                let dry = first + Duration::from_millis(samples * 1_000 / u64::from(RATE_HZ)) + limits.behind;
                dry.min(now + limits.idle).min(total)
            }
        }
    }
}

/// What reqwest says, without the URL and in one line.
fn fault(provider: &'static str, error: &reqwest::Error) -> Error {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let why = one_line(&innermost.to_string());
    if error.is_connect() {
        Trouble::Unreachable { provider, why }.into()
    } else if error.is_builder() {
        Trouble::Settings { provider, why }.into()
    } else {
        Trouble::Broken { provider, why }.into()
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

fn is_text(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/") || kind.contains("json") || kind.contains("html") || kind.contains("xml")
}

/// With the certificates that the system trusts, which are read from its disk.
fn trusting() -> Result<TlsConnector, String> {
    let unreadable = |error: rustls::Error| format!("this system's certificates cannot be read: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| Ok(builder.with_platform_verifier()?.with_no_client_auth()));
    Ok(TlsConnector::from(Arc::new(config.map_err(unreadable)?)))
}

const USER_AGENT: &str = concat!("harmony/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drips_is_given_up_when_the_listener_has_heard_nothing_for_long_enough() {
        let (limits, began) = (Limits::default(), Instant::now());
        let ms = |ms| began + Duration::from_millis(ms);
        let mut pace = Pace::new(began);
        assert_eq!(pace.next_by(began, 0, &limits), ms(4_000));
        pace.heard(ms(500), 0);
        assert_eq!(pace.next_by(ms(500), 0, &limits), ms(4_000), "nothing is no sound");
        pace.heard(ms(500), 2_400);
        // A tenth of a second came at 0.5 s: at 2.6 s the listener has been waiting for two seconds.
        assert_eq!(pace.next_by(ms(500), 2_400, &limits), ms(2_600));
        // Much came: nobody waits for what is still to be heard, but a connection on which nothing moves is dead.
        assert_eq!(pace.next_by(ms(600), 20 * 24_000, &limits), ms(5_600));
        assert_eq!(pace.next_by(ms(29_000), 60 * 24_000, &limits), ms(30_000));
    }
}
