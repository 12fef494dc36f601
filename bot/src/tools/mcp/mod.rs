//! Servers of the Model Context Protocol, through the official SDK: a task each, which keeps one connection.
//!
//! [`Server::run`] connects, asks for the tools and puts them on the board, asks for them again when the server says
//! that they changed, and pings it while nothing happens. What breaks is begun anew, later each time; the tools stay
//! on the board meanwhile, so that a call in progress is told "not now" and not "no such tool". A [`Line`] is what
//! callers hold: it asks without passing through the task. Everything that a server sends has a size, and is data.

mod offer;
mod program;

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rmcp::{
    ClientHandler, Peer, RoleClient, ServiceError, ServiceExt as _,
    model::{
        CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, Implementation, PaginatedRequestParams,
        PingRequest,
    },
    service::{ClientInitializeError, NotificationContext, PeerRequestOptions, RunningService},
    transport::{
        StreamableHttpClientTransport,
        async_rw::AsyncRwTransport,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, interval, sleep_until, timeout},
};
use url::{Position, Url};

use self::program::Program;
use super::{
    Outcome,
    catalog::{Rule, Tool},
    config::ServerName,
    fetch::Clients,
};
use crate::llm::Secret;

/// Time for a server to start and to say what it is: a program may have to be fetched first by its own runner.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Time for the list of tools.
const LIST_WITHIN: Duration = Duration::from_secs(10);

/// A server of which nothing is heard is asked this often whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Time for the answer to that.
const PING_WITHIN: Duration = Duration::from_secs(10);

/// A list that changed is asked for after this long: some servers say that it did whenever it is asked for.
const LIST_PAUSE: Duration = Duration::from_secs(1);

/// Time for an orderly good-bye.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A connection that held for this long has not failed, whatever ends it.
const HELD: Duration = Duration::from_secs(60);

/// The largest message of a server. Tools' answers are cut much earlier; one page of a list is smaller.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Calls of one server that are under way at once; more wait within their own patience.
const CALLS_MAX: usize = 32;

/// Pages of a list of tools that are asked for.
const PAGES_MAX: usize = 16;

/// How a server is reached, with all secrets read.
pub(super) enum Way {
    /// It is a program of this machine.
    Program { command: Vec<String>, env: Vec<(String, Secret)> },
    /// It speaks streamable HTTP.
    Http { url: Url, headers: HeaderMap },
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// It is being connected for the first time.
    Connecting,
    /// It answers.
    Up {
        /// How many tools it offers here.
        tools: usize,
    },
    /// It does not answer; it is tried again.
    Down {
        /// Why, in one line.
        why: String,
        /// How often in a row.
        failures: u32,
    },
    /// It was ended with this server.
    Ended,
}

/// What callers hold of a server.
#[derive(Clone)]
pub(super) struct Line {
    state: watch::Receiver<State>,
    places: Arc<Semaphore>,
}

#[derive(Clone)]
struct State {
    health: Health,
    peer: Option<Peer<RoleClient>>,
}

/// One server, and the task that keeps it.
pub(super) struct Server {
    name: ServerName,
    way: Way,
    /// Which of its tools are taken.
    taken: Vec<String>,
    rule: Rule,
    clients: Arc<Clients>,
    post: Post,
    state: watch::Sender<State>,
}

/// Where a server's tools are put when they are known or change.
pub(super) type Post = Arc<dyn Fn(&ServerName, Vec<Tool>) + Send + Sync>;

impl Server {
    pub(super) fn new(
        name: ServerName,
        way: Way,
        (taken, rule): (Vec<String>, Rule),
        clients: Arc<Clients>,
        post: Post,
    ) -> (Self, Line) {
        let (state, line) = watch::channel(State { health: Health::Connecting, peer: None });
        let line = Line { state: line, places: Arc::new(Semaphore::new(CALLS_MAX)) };
        (Self { name, way, taken, rule, clients, post, state }, line)
    }

    /// Keeps the connection until `stop` says so, or its sender is gone.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let Err(why) = self.session(&mut stop).await else { break };
            let why = self.shown(why);
            if began.elapsed() >= HELD {
                failures = 0;
            }
            failures += 1;
            if failures == 1 {
                tracing::warn!(server = self.name.as_str(), %why, "an MCP server is not reached; it is tried again");
            } else {
                tracing::debug!(server = self.name.as_str(), %why, failures, "an MCP server is still not reached");
            }
            self.state.send_replace(State { health: Health::Down { why, failures }, peer: None });
            if timeout(pause(failures), stopped(&mut stop)).await.is_ok() {
                break;
            }
        }
        self.state.send_replace(State { health: Health::Ended, peer: None });
    }

    /// One connection, from its beginning to its end.
    ///
    /// # Errors
    /// Why it broke; none when it was to stop.
    async fn session(&self, stop: &mut watch::Receiver<bool>) -> Result<(), String> {
        let changed = Arc::new(Notify::new());
        let connecting = timeout(CONNECT_WITHIN, self.connect(Client { changed: changed.clone() }));
        let (service, program) = tokio::select! {
            connected = connecting => connected.map_err(|_| "it did not answer in time".to_owned())??,
            () = stopped(stop) => return Ok(()),
        };
        let peer = service.peer().clone();
        let cancel = service.cancellation_token();
        let waiting = service.waiting();
        tokio::pin!(waiting);
        let session = async {
            self.list(&peer).await?;
            tracing::info!(server = self.name.as_str(), "an MCP server is connected");
            let mut pings = interval(PING_EVERY);
            pings.tick().await;
            loop {
                tokio::select! {
                    () = changed.notified() => {
                        sleep_until(Instant::now() + LIST_PAUSE).await;
                        self.list(&peer).await?;
                    }
                    _ = pings.tick() => ping(&peer).await?,
                }
            }
        };
        let ended: Result<(), String> = tokio::select! {
            broken = session => broken,
            _ = &mut waiting => return Err("it ended the connection".to_owned()),
            () = stopped(stop) => Ok(()),
        };
        cancel.cancel();
        let _ = timeout(END_WITHIN, waiting).await;
        if let Some(program) = program {
            program.end(END_WITHIN).await;
        }
        ended
    }

    async fn connect(&self, client: Client) -> Result<(RunningService<RoleClient, Client>, Option<Program>), String> {
        match &self.way {
            Way::Program { command, env } => {
                let (program, stdout, stdin) = Program::start(&self.name, command, env)?;
                let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
                let service = client.serve(transport).await.map_err(|error| innermost(&error))?;
                Ok((service, Some(program)))
            }
            Way::Http { url, headers } => {
                let http = self.clients.client(url).await.map_err(|error| innermost(&error))?;
                let headers: HashMap<HeaderName, HeaderValue> =
                    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    .max_json_response_size(MESSAGE_BYTES_MAX)
                    .max_sse_event_size(MESSAGE_BYTES_MAX)
                    .max_error_response_size(ERROR_BYTES_MAX);
                let transport = StreamableHttpClientTransport::with_client(http, config);
                let service = client.serve(transport).await.map_err(|error| innermost(&error))?;
                Ok((service, None))
            }
        }
    }

    /// Why it broke, in one short line without what may be secret in a URL: servers repeat the path that they were
    /// asked for.
    fn shown(&self, mut why: String) -> String {
        if let Way::Http { url, .. } = &self.way {
            for part in [&url[Position::BeforePath..], url.path(), url.query().unwrap_or_default()] {
                if !matches!(part, "" | "/") {
                    why = why.replace(part, "…");
                }
            }
        }
        offer::short(&why)
    }

    /// Asks for the tools and puts them on the board.
    async fn list(&self, peer: &Peer<RoleClient>) -> Result<(), String> {
        let listing = async {
            let mut listed = Vec::new();
            let mut cursor = None;
            for _ in 0..PAGES_MAX {
                let page = PaginatedRequestParams::default().with_cursor(cursor.take());
                let page = peer.list_tools(Some(page)).await.map_err(|error| innermost(&error))?;
                listed.extend(page.tools);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            Ok::<_, String>(listed)
        };
        let listed =
            timeout(LIST_WITHIN, listing).await.map_err(|_| "it did not list its tools in time".to_owned())??;
        let tools = offer::tools(self.name.as_str(), &listed, &self.taken, &self.rule);
        let health = Health::Up { tools: tools.len() };
        (self.post)(&self.name, tools);
        self.state.send_replace(State { health, peer: Some(peer.clone()) });
        Ok(())
    }
}

impl Line {
    /// How the server is.
    pub(super) fn health(&self) -> Health {
        self.state.borrow().health.clone()
    }

    /// Calls its tool within `patience`. Who gives up waiting has told the server so.
    pub(super) async fn call(&self, tool: &str, arguments: &Map<String, Value>, patience: Duration) -> Outcome {
        let peer = self.state.borrow().peer.clone();
        let Some(peer) = peer else {
            return Outcome::failed("The server of this tool cannot be reached now.");
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        let called = timeout(patience, async {
            let _place = self.places.acquire().await;
            peer.call_tool(params).await
        });
        match called.await {
            Ok(Ok(result)) => offer::outcome(&result),
            Ok(Err(ServiceError::McpError(error))) => {
                Outcome::failed(format!("The tool failed: {}", offer::short(&error.message)))
            }
            Ok(Err(ServiceError::TransportClosed)) => {
                Outcome::failed("The connection to the server of this tool broke; what it did is not known.")
            }
            Ok(Err(_)) => Outcome::failed("The server of this tool answered with something that is no result."),
            Err(_) => Outcome::failed(format!("The tool did not answer within {} ms.", patience.as_millis())),
        }
    }

    /// Waits until the server is what `is_it` looks for.
    pub(super) async fn until(&mut self, is_it: impl Fn(&Health) -> bool) {
        // It errs when the server's task is gone, and then nothing changes any more.
        let _ = self.state.wait_for(|state| is_it(&state.health)).await;
    }
}

/// Ours to a server: it may say that its tools changed, and may ask for nothing.
struct Client {
    changed: Arc<Notify>,
}

impl ClientHandler for Client {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("harmony", env!("CARGO_PKG_VERSION")))
    }
}

/// Whatever it answers, it is there.
async fn ping(peer: &Peer<RoleClient>) -> Result<(), String> {
    let asked = async {
        let options = PeerRequestOptions::with_timeout(PING_WITHIN);
        let request = ClientRequest::PingRequest(PingRequest::default());
        peer.send_request_with_option(request, options).await?.await_response().await
    };
    match asked.await {
        Ok(_) | Err(ServiceError::McpError(_) | ServiceError::UnexpectedResponse) => Ok(()),
        Err(ServiceError::Timeout { .. }) => Err("it did not answer a ping".to_owned()),
        Err(error) => Err(innermost(&error)),
    }
}

/// Returns when `stop` says so, or nobody can say it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How long a server is left alone after so many failures: a second, and twice as long each time, up to a minute.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(PAUSE_MAX)
}

/// What lies innermost in an error: it says best what happened, such as the address that may not be called or the
/// connection that was refused. The HTTP client's own errors name the URL, which may be a secret: they are never shown.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = inside(cause) {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>().map(reqwest::Error::status) {
        Some(Some(status)) => format!("HTTP {}", status.as_u16()),
        Some(None) => "the request failed".to_owned(),
        None => cause.to_string(),
    }
}

/// The SDK shows some of what lies inside its errors and does not name it as their source.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(StreamableHttpError::Client(http)) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        return Some(http);
    }
    match error.downcast_ref::<ClientInitializeError>() {
        Some(ClientInitializeError::TransportError { error, .. }) => Some(error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => Some(&**fallback),
        _ => error.source(),
    }
}

/// A server that is away is tried this often at least: whoever mends it does not want to wait.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The most that is read of an error's page.
const ERROR_BYTES_MAX: usize = 4 * 1_024;

#[cfg(test)]
mod tests;
