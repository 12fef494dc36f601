//! The shell of HTTP tools: asks, follows redirects by hand, and reads no more than it may.
//!
//! Runs on the task of whoever waits. Every name is resolved here and judged ([`Guard`]), and what was judged is what is
//! connected to; an address in a URL is judged before the request, also after a redirect. Headers of the
//! configuration are secrets: they go to the tool's own origin and nowhere else. Proxies of the environment are not
//! used, since they would resolve names themselves.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::timeout};
use url::{Host, Url};

use super::{
    Outcome,
    config::{HttpTool, Method},
    http::{self, Question},
    reach::{Guard, Refused},
};

/// Redirects followed. A tool that needs more is another tool.
const REDIRECTS_MAX: usize = 3;

/// Time for one connection: name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Names being resolved at once. Each holds a thread of the system's; when all are taken, others wait as long as their
/// tools may take.
const LOOKUPS_MAX: usize = 16;

/// Addresses of one name that are tried; a name with more is served by the first of them anyway.
const ADDRESSES_MAX: usize = 8;

/// Clients kept, one for each port that is called. Redirects may name any port: beyond this many, a client is made for
/// one request.
const CLIENTS_MAX: usize = 16;

/// Why nothing was asked, or nothing came. Its `Display` is for the model: it holds no argument and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    /// It leads where only this server's own network may go.
    #[error("The address may not be called: {0}.")]
    Refused(#[from] Refused),
    /// Where a redirect leads is no URL that can be called.
    #[error("The server sent us on to something that is no address.")]
    Url,
    /// It sent us on and on.
    #[error("The server sent us on too often.")]
    Redirects,
    /// It sent us on with what it was sent, and that is for nobody else.
    #[error("The server sent us on to another one, which is not given what was sent. It was not done.")]
    Elsewhere,
    /// It answered more than is taken.
    #[error("The server answered more than {0} bytes.")]
    TooLarge(usize),
    /// Nothing came, or it broke off.
    #[error("The server could not be reached: {0}.")]
    Unreachable(String),
    /// This server cannot call anybody: its certificates cannot be read.
    #[error("This server cannot make requests: {0}.")]
    NoClient(String),
}

/// Makes clients that call only what they may.
#[derive(Debug)]
pub(super) struct Clients {
    guard: Arc<Guard>,
    lookups: Arc<Semaphore>,
    by_port: Mutex<BTreeMap<u16, Client>>,
}

impl Clients {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard: Arc::new(guard), lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)), by_port: Mutex::default() }
    }

    /// A client for `url`, whose address is judged where it is written out; a name's are judged when it is resolved.
    ///
    /// # Errors
    /// [`FetchError::Refused`], [`FetchError::Url`], [`FetchError::NoClient`].
    pub(super) async fn client(&self, url: &Url) -> Result<Client, FetchError> {
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(FetchError::Url)?;
        let literal = match url.host().ok_or(FetchError::Url)? {
            Host::Ipv4(address) => Some(IpAddr::from(address)),
            Host::Ipv6(address) => Some(IpAddr::from(address)),
            Host::Domain(_) => None,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Url);
        }
        if let Some(address) = literal {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            self.guard.judge(host, port, [SocketAddr::new(address, port)])?;
        }
        let known = self.by_port.lock().unwrap_or_else(PoisonError::into_inner).get(&port).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let resolver = Resolver { guard: self.guard.clone(), port, lookups: self.lookups.clone() };
        // It reads the system's certificates from the disk.
        let made = tokio::task::spawn_blocking(move || client(resolver)).await;
        let no_client = |error: &dyn std::fmt::Display| FetchError::NoClient(error.to_string());
        let client = made.map_err(|error| no_client(&error))?.map_err(|error| no_client(&error))?;
        let mut clients = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() < CLIENTS_MAX {
            clients.insert(port, client.clone());
        }
        Ok(client)
    }

    /// Asks `tool`, whose configured headers are `headers`, within `patience`.
    pub(super) async fn ask(
        &self,
        tool: &HttpTool,
        headers: &HeaderMap,
        arguments: &Map<String, Value>,
        patience: Duration,
    ) -> Outcome {
        let question = match tool.question(arguments) {
            Ok(question) => question,
            Err(why) => return Outcome::failed(format!("This cannot be asked: {why}.")),
        };
        let host = question.url.host_str().unwrap_or_default().to_owned();
        match timeout(patience, self.follow(tool, headers, question)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::info!(host, %error, "a tool was not answered");
                Outcome::failed(error.to_string())
            }
            Err(_) => {
                tracing::info!(host, after_ms = patience.as_millis(), "a tool did not answer in time");
                Outcome::failed(format!("The server did not answer within {} ms.", patience.as_millis()))
            }
        }
    }

    async fn follow(&self, tool: &HttpTool, headers: &HeaderMap, question: Question) -> Result<Outcome, FetchError> {
        let ours = question.url.origin();
        let Question { mut url, mut body } = question;
        let mut method = match tool.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        for _ in 0..=REDIRECTS_MAX {
            let client = self.client(&url).await?;
            let mut request =
                client.request(method.clone(), url.clone()).header(ACCEPT, "application/json, text/*;q=0.5");
            if url.origin() == ours {
                request = request.headers(headers.clone());
            }
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
            }
            let response = request.send().await.map_err(|error| trouble(&error))?;
            let status = response.status();
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return answer(tool, response).await;
            };
            url = url.join(location).map_err(|_| FetchError::Url)?;
            // Elsewhere what was sent becomes a plain question, as browsers have it.
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                (method, body) = (reqwest::Method::GET, None);
            } else if body.is_some() && url.origin() != ours {
                return Err(FetchError::Elsewhere);
            }
        }
        Err(FetchError::Redirects)
    }
}

async fn answer(tool: &HttpTool, mut response: Response) -> Result<Outcome, FetchError> {
    let most = tool.answer_bytes_max;
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(FetchError::TooLarge(most));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(http::read(status, &kind, &body, tool.pick.as_deref()))
}

/// What went wrong, without the URL: a caller's words are in it.
fn trouble(error: &reqwest::Error) -> FetchError {
    let mut cause: &(dyn StdError + 'static) = error;
    loop {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return FetchError::Refused(refused.clone());
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    // The innermost cause is the system's own; the outermost would name the URL.
    let is_outermost = error.source().is_none();
    FetchError::Unreachable(if is_outermost { "it broke off".to_owned() } else { cause.to_string() })
}

/// Blocking.
fn client(resolver: Resolver) -> Result<Client, reqwest::Error> {
    // Whoever comes first decides for the process; both choose the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Arc::new(resolver))
        .build()
}

/// Resolves names and judges what they resolve to.
#[derive(Debug)]
struct Resolver {
    guard: Arc<Guard>,
    /// That of the URLs which its client is for.
    port: u16,
    lookups: Arc<Semaphore>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, port, lookups) = (self.guard.clone(), self.port, self.lookups.clone());
        Box::pin(async move {
            let place = lookups.acquire_owned().await?;
            let host = name.as_str().to_owned();
            // A task of its own: whoever waits may give up, the lookup keeps its place until it is over.
            let lookup = tokio::spawn(async move {
                let found = tokio::net::lookup_host((host.as_str(), port)).await;
                let found = found.map(|found| found.take(ADDRESSES_MAX).collect::<Vec<_>>());
                drop(place);
                found
            });
            let addresses = lookup.await??;
            guard.judge(name.as_str(), port, addresses.iter().copied())?;
            Ok::<Addrs, Box<dyn StdError + Send + Sync>>(Box::new(addresses.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests;
