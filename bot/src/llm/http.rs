//! The door to one provider: a question goes out by HTTP, and the bytes of its answer come back.
//!
//! Redirects are refused, since a key must not follow them. An answer that is no stream, an error or a page is read to
//! its limit and becomes a [`Trouble`]. Connections are kept open between questions. A door waits for ever: whoever
//! knocks has the deadlines.

use std::{error::Error, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{Provider, Request, Trouble, anthropic, ask::Body, openai, provider::Kind, trouble};

/// Time to connect; beyond it another provider is asked sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept: between two turns of a call it stays warm.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// How much of an error is read: vendors' are below 2 kB.
const ERROR_BYTES_MAX: usize = 64 * 1_024;
/// How long an error is read: the caller waits.
const ERROR_TIMEOUT: Duration = Duration::from_millis(500);

/// The door to one provider.
#[derive(Debug)]
pub(super) struct Door {
    provider: Arc<Provider>,
    client: Client,
    endpoint: Url,
    headers: HeaderMap,
}

impl Door {
    /// A door; nothing is asked yet.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub(super) fn new(provider: Arc<Provider>) -> Result<Self, reqwest::Error> {
        // Whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("harmony/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE);
        // A proxy does not reach this machine's loopback.
        if provider.is_local() {
            client = client.no_proxy();
        }
        let (endpoint, headers) = (provider.endpoint(), headers(&provider));
        Ok(Self { client: client.build()?, endpoint, headers, provider })
    }

    /// A door to this address and no other, through a client that decides where it goes, with headers beside our own.
    pub(super) fn through(provider: Arc<Provider>, client: Client, endpoint: Url, mut brought: HeaderMap) -> Self {
        // Ours say what is sent and wanted.
        brought.extend(headers(&provider));
        Self { client, endpoint, headers: brought, provider }
    }

    /// Asks; the answer's bytes are yet to be read.
    ///
    /// # Errors
    /// [`Trouble`]: no connection, an error, or an answer that is none.
    pub(super) async fn ask(self: Arc<Self>, request: Request) -> Result<Body, Trouble> {
        let provider = &self.provider;
        let body = match provider.kind {
            Kind::OpenAi | Kind::Compatible | Kind::Azure => openai::body(provider, &request),
            Kind::Anthropic => anthropic::body(provider, &request),
        };
        let asked = self.client.post(self.endpoint.clone()).headers(self.headers.clone()).body(body.to_string());
        let response = asked.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if status != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        if kind.contains("html") {
            return Err(self.garbled("a web page"));
        }
        if kind.contains("json") {
            return Err(match serde_json::from_slice::<Value>(&start_of(response).await) {
                Ok(body) if trouble::is_error(&body) => trouble::of_error(&provider.name, &body),
                Ok(_) | Err(_) => self.garbled("a document instead of a stream"),
            });
        }
        let name = provider.name.clone();
        let cut_off = move |_: reqwest::Error| Trouble::CutOff { provider: name.clone() };
        Ok(response.bytes_stream().map_err(cut_off).boxed())
    }

    async fn refused(&self, response: Response) -> Trouble {
        let status = response.status();
        let headers = response.headers();
        let retry_after = trouble::retry_after(|name| headers.get(name).and_then(|value| value.to_str().ok()));
        if status.is_success() || status.is_informational() {
            return self.garbled("a success without an answer");
        }
        let body = start_of(response).await;
        trouble::of_status(&self.provider.name, status.as_u16(), retry_after, &body)
    }

    fn garbled(&self, what: &'static str) -> Trouble {
        Trouble::Garbled { provider: self.provider.name.clone(), what }
    }

    fn unreachable(&self, error: reqwest::Error) -> Trouble {
        let provider = self.provider.name.clone();
        // The innermost reason: "connection refused" rather than "error sending request", and without the URL.
        let mut cause: &(dyn Error + 'static) = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let why = if error.is_timeout() { "no connection in time".to_owned() } else { cause.to_string() };
        Trouble::Unreachable { provider, why: why.chars().take(WHY_CHARS_MAX).collect() }
    }
}

/// The reasons of operating systems and TLS fit.
const WHY_CHARS_MAX: usize = 200;

/// What comes of a body within its limits.
async fn start_of(mut response: Response) -> Vec<u8> {
    let mut start = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            let left = ERROR_BYTES_MAX - start.len();
            start.extend_from_slice(&bytes[..bytes.len().min(left)]);
            if start.len() == ERROR_BYTES_MAX {
                break;
            }
        }
    };
    // What came by then says enough, or the status does.
    let _ = timeout(ERROR_TIMEOUT, read).await;
    start
}

fn headers(provider: &Provider) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if provider.kind == Kind::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
    }
    if let Some(key) = provider.api_key.as_ref().filter(|key| !key.is_empty()) {
        let (name, value) = match provider.kind {
            Kind::OpenAi | Kind::Compatible => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
            Kind::Azure => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
            Kind::Anthropic => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
        };
        // A key that no header can carry was refused with the configuration.
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}
