//! Brings bytes from the web into a file that survives a cut: the shell that owns the timers of fetching.
//!
//! Runs on tokio. A transfer writes to a `.part` file and, when it is cut, goes on where it stopped; it gives
//! up after a bounded number of tries in a row without progress. It never trusts a length: what is written is
//! bounded by what the caller expects, and room on the disk is looked for first. What the bytes are worth is
//! the caller's to check.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt as _;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_RANGE, RANGE, RETRY_AFTER},
};
use tokio::{
    fs,
    io::{AsyncWriteExt as _, BufWriter},
    time::{Instant, timeout},
};

use super::{index::shown, progress::Meter};

/// How long to wait and how often to try again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect_timeout: Duration,
    /// For the next bytes.
    pub idle_timeout: Duration,
    /// A transfer that brings less than `slow_bytes` within this span counts as stalled, so that a server
    /// which drips single bytes cannot hold it for ever.
    pub slow_span: Duration,
    /// See `slow_span`.
    pub slow_bytes: u64,
    /// Tries in a row without progress.
    pub tries: u32,
    /// Before the second try; doubled before each further one.
    pub backoff: Duration,
}

impl Default for Patience {
    /// Fit for slow lines: 64 KiB a minute is still progress, and four tries ride out a restart of the server
    /// while a machine without a network hears of it within seconds.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            slow_span: Duration::from_secs(60),
            slow_bytes: 64 * 1024,
            tries: 4,
            backoff: Duration::from_millis(500),
        }
    }
}

/// How much a file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// It is known.
    Exactly(u64),
    /// Only a bound is known.
    AtMost(u64),
}

/// Fetches over HTTP.
#[derive(Clone, Debug)]
pub struct Transfer {
    client: Client,
    patience: Patience,
}

impl Transfer {
    /// A client that trusts the system's certificates (or those of `SSL_CERT_FILE`).
    ///
    /// # Errors
    /// [`Trouble::Client`] when the system offers no certificates.
    pub fn new(patience: Patience) -> Result<Self, Trouble> {
        super::tls::install();
        let builder = Client::builder()
            .connect_timeout(patience.connect_timeout)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| Trouble::Client(cause(&error)))?;
        Ok(Self { client, patience })
    }

    /// A text of at most `bytes_max`, and where it was found after redirects.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn page(&self, url: &Url, accept: &str, bytes_max: usize) -> Result<(Url, String), Trouble> {
        let mut failures = 0;
        loop {
            match self.page_once(url, accept, bytes_max).await {
                Err(trouble) if trouble.may_pass() && failures + 1 < self.patience.tries => {
                    failures += 1;
                    self.pause(failures, &trouble).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Brings `url` into the file `part`, going on where an earlier transfer stopped. Answers with whether
    /// bytes of an earlier transfer are in it.
    ///
    /// `reserve_bytes` of room are kept free beyond the file itself. On failure the part stays for the next
    /// attempt, unless its length is wrong.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn file(
        &self,
        url: &Url,
        part: &Path,
        size: Size,
        reserve_bytes: u64,
        meter: &Meter,
    ) -> Result<bool, Trouble> {
        let resumed = length(part).await > 0;
        let mut failures = 0;
        loop {
            let before = length(part).await;
            match self.file_once(url, part, size, reserve_bytes, meter).await {
                Ok(()) => return Ok(resumed),
                Err(trouble) if trouble.may_pass() => {
                    if length(part).await >= before.saturating_add(PROGRESS_BYTES) {
                        failures = 0;
                    }
                    failures += 1;
                    if failures >= self.patience.tries {
                        return Err(trouble);
                    }
                    self.pause(failures, &trouble).await;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn page_once(&self, url: &Url, accept: &str, bytes_max: usize) -> Result<(Url, String), Trouble> {
        let request = self.client.get(url.clone()).header(ACCEPT, accept);
        let response = self.answer(url, request).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(url, &response));
        }
        // The name and password that the request went out with are asked for again at the same place.
        let mut found_at = response.url().clone();
        if found_at.origin() == url.origin() && found_at.username().is_empty() {
            let _ = found_at.set_username(url.username());
            let _ = found_at.set_password(url.password());
        }
        let mut chunks = response.bytes_stream();
        let mut body = Vec::new();
        let mut pace = Pace::new(self.patience);
        while let Some(chunk) = self.chunk(url, &mut chunks).await? {
            body.extend_from_slice(&chunk);
            if body.len() > bytes_max {
                return Err(Trouble::TooLarge { url: shown(url), bytes_max: bytes_max as u64 });
            }
            if pace.is_too_slow(body.len() as u64) {
                return Err(Trouble::Stalled { url: shown(url) });
            }
        }
        Ok((found_at, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn file_once(
        &self,
        url: &Url,
        part: &Path,
        size: Size,
        reserve_bytes: u64,
        meter: &Meter,
    ) -> Result<(), Trouble> {
        let mut have = length(part).await;
        if matches!(size, Size::Exactly(bytes) if have == bytes) {
            return Ok(());
        }
        if matches!(size, Size::Exactly(bytes) | Size::AtMost(bytes) if have > bytes) {
            discard(part).await;
            have = 0;
        }
        let mut request = self.client.get(url.clone());
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = self.answer(url, request).await?;
        match response.status() {
            StatusCode::OK => have = 0,
            StatusCode::PARTIAL_CONTENT if content_range(&response).is_some_and(|range| range.from == Some(have)) => {}
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                if content_range(&response).is_some_and(|range| range.total == Some(have)) {
                    return Ok(());
                }
                discard(part).await;
                return Err(Trouble::Cut { url: shown(url) });
            }
            StatusCode::PARTIAL_CONTENT => {
                discard(part).await;
                return Err(Trouble::Cut { url: shown(url) });
            }
            _ => return Err(refused(url, &response)),
        }
        let total = response.content_length().map(|length| have.saturating_add(length));
        let bytes_max = match size {
            Size::Exactly(expected) => {
                if let Some(found) = total.filter(|&total| total != expected) {
                    discard(part).await;
                    return Err(Trouble::Length { url: shown(url), found, expected });
                }
                expected
            }
            Size::AtMost(bytes_max) => {
                if total.is_some_and(|total| total > bytes_max) {
                    discard(part).await;
                    return Err(Trouble::TooLarge { url: shown(url), bytes_max });
                }
                bytes_max
            }
        };
        if let Some(total) = total {
            meter.total(total);
            let needed = (total - have).saturating_add(reserve_bytes);
            if let Some(free) = free_bytes(part).filter(|&free| free < needed) {
                return Err(Trouble::Full { dir: folder_of(part), needed, free: Some(free) });
            }
        }
        let file =
            if have > 0 { fs::OpenOptions::new().append(true).open(part).await } else { fs::File::create(part).await };
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file.map_err(|error| unwritten(part, error))?);
        let outcome = self.receive(url, response, &mut file, have, bytes_max, meter).await;
        // What arrived is kept even when the rest did not.
        file.flush().await.map_err(|error| unwritten(part, error))?;
        let have = outcome.map_err(|stop| match stop {
            Stop::Web(trouble) => trouble,
            Stop::Disk(error) => unwritten(part, error),
        })?;
        match size {
            _ if have > bytes_max => {
                discard(part).await;
                Err(Trouble::TooLarge { url: shown(url), bytes_max })
            }
            Size::Exactly(expected) if have != expected => Err(Trouble::Cut { url: shown(url) }),
            _ if total.is_some_and(|total| have != total) => Err(Trouble::Cut { url: shown(url) }),
            _ => Ok(()),
        }
    }

    /// Writes the body until its end or one chunk beyond `bytes_max`; answers with the file's length.
    async fn receive(
        &self,
        url: &Url,
        response: Response,
        file: &mut BufWriter<fs::File>,
        mut have: u64,
        bytes_max: u64,
        meter: &Meter,
    ) -> Result<u64, Stop> {
        let mut chunks = response.bytes_stream();
        let mut pace = Pace::new(self.patience);
        let mut received = 0;
        while let Some(chunk) = self.chunk(url, &mut chunks).await.map_err(Stop::Web)? {
            have += chunk.len() as u64;
            received += chunk.len() as u64;
            if have > bytes_max {
                break;
            }
            file.write_all(&chunk).await.map_err(Stop::Disk)?;
            meter.at(have);
            if pace.is_too_slow(received) {
                return Err(Stop::Web(Trouble::Stalled { url: shown(url) }));
            }
        }
        Ok(have)
    }

    async fn answer(&self, url: &Url, request: reqwest::RequestBuilder) -> Result<Response, Trouble> {
        match timeout(self.patience.idle_timeout + self.patience.connect_timeout, request.send()).await {
            Err(_) => Err(Trouble::Stalled { url: shown(url) }),
            Ok(Err(error)) if error.is_redirect() => Err(Trouble::Redirects { url: shown(url) }),
            Ok(Err(error)) => Err(Trouble::Unreachable { url: shown(url), why: cause(&error) }),
            Ok(Ok(response)) => Ok(response),
        }
    }

    async fn chunk<B>(
        &self,
        url: &Url,
        chunks: &mut (impl futures_util::Stream<Item = reqwest::Result<B>> + Unpin),
    ) -> Result<Option<B>, Trouble> {
        match timeout(self.patience.idle_timeout, chunks.next()).await {
            Err(_) => Err(Trouble::Stalled { url: shown(url) }),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(Trouble::Cut { url: shown(url) }),
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the shell of fetching owns the pause between two tries")]
    async fn pause(&self, failures: u32, trouble: &Trouble) {
        let own = self.patience.backoff * 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
        let asked = match trouble {
            Trouble::Status { retry_after: Some(after), .. } => (*after).min(RETRY_AFTER_MAX),
            _ => Duration::ZERO,
        };
        tokio::time::sleep(own.max(asked)).await;
    }
}

/// Why bytes did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No HTTP client can be made on this machine.
    #[error("no encrypted connection is possible here: {0}")]
    Client(String),
    /// Nobody answers: no network, no such host, or a certificate that is not trusted.
    #[error("{url} cannot be reached ({why})")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The innermost cause.
        why: String,
    },
    /// The server says no.
    #[error("{url} answers {code}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        code: StatusCode,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server sends the client in circles.
    #[error("{url} redirects without end")]
    Redirects {
        /// What was asked for.
        url: String,
    },
    /// Bytes stopped coming, or come too slowly to ever end.
    #[error("{url} stopped sending; what arrived is kept, try again later")]
    Stalled {
        /// What was asked for.
        url: String,
    },
    /// The connection broke again and again.
    #[error("{url} breaks off; what arrived is kept, try again later")]
    Cut {
        /// What was asked for.
        url: String,
    },
    /// The file there is another one.
    #[error("{url} has {found} bytes instead of {expected}")]
    Length {
        /// What was asked for.
        url: String,
        /// The length it has.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// More came than may come.
    #[error("{url} is larger than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The bound.
        bytes_max: u64,
    },
    /// The disk has no room.
    #[error("the disk of {} is full{}; what arrived is kept, make room and try again", dir.display(), room(*needed, *free))]
    Full {
        /// Where.
        dir: PathBuf,
        /// What is still to come, when it is known.
        needed: u64,
        /// What is free, when it is known.
        free: Option<u64>,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Trouble {
    /// Whether the same request may succeed in a moment.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Cut { .. } => true,
            Self::Status { code, .. } => {
                code.is_server_error() || matches!(*code, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            _ => false,
        }
    }
}

/// A failed write, told apart by whether room is the matter.
pub(super) fn unwritten(path: &Path, source: io::Error) -> Trouble {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Trouble::Full { dir: folder_of(path), needed: 0, free: None }
        }
        _ => Trouble::Write { path: path.to_owned(), source },
    }
}

enum Stop {
    Web(Trouble),
    Disk(io::Error),
}

/// Notices a transfer that creeps.
struct Pace {
    patience: Patience,
    since: Instant,
    since_bytes: u64,
}

impl Pace {
    fn new(patience: Patience) -> Self {
        Self { patience, since: Instant::now(), since_bytes: 0 }
    }

    fn is_too_slow(&mut self, bytes: u64) -> bool {
        if self.since.elapsed() < self.patience.slow_span {
            return false;
        }
        let slow = bytes - self.since_bytes < self.patience.slow_bytes;
        (self.since, self.since_bytes) = (Instant::now(), bytes);
        slow
    }
}

struct ContentRange {
    from: Option<u64>,
    total: Option<u64>,
}

/// Reads `bytes 5-9/10` and `bytes */10`.
fn content_range(response: &Response) -> Option<ContentRange> {
    let (range, total) =
        response.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-').and_then(|(from, _)| from.trim().parse().ok());
    Some(ContentRange { from, total: total.trim().parse().ok() })
}

fn refused(url: &Url, response: &Response) -> Trouble {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Trouble::Status { url: shown(url), code: response.status(), retry_after: seconds.map(Duration::from_secs) }
}

/// The innermost cause, which is the one that says something, on one line.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().replace('\n', " ")
}

async fn length(path: &Path) -> u64 {
    fs::metadata(path).await.map_or(0, |found| found.len())
}

async fn discard(path: &Path) {
    let _ = fs::remove_file(path).await;
}

/// Room for this user on the disk that holds `path`; `None` when the system does not say.
fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder_of(path).as_path()).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn room(needed: u64, free: Option<u64>) -> String {
    let Some(free) = free else { return String::new() };
    format!(" ({} needed, {} free)", indicatif::DecimalBytes(needed), indicatif::DecimalBytes(free))
}

/// Hubs send a download through one or two other hosts; more is a loop.
const REDIRECTS_MAX: usize = 6;

/// A try that brought this much counts as progress and starts the count of tries anew: a line that breaks off
/// every few megabytes still ends, and a server that sends a byte a connection does not hold us.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What a server may ask us to wait; beyond it the person is better told.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// Few large writes, since each is a trip to a blocking thread.
const WRITE_BYTES: usize = 1 << 20;
