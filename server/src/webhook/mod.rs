//! Calling out on somebody's word: every URL that a caller, a document or a configuration can name.
//!
//! A form is posted or a query asked, as Twilio does it: signed ([`signature`]), with the cookies of its call
//! ([`cookies`]), redirects followed by hand. Nobody can make this server call what only its own network may see
//! ([`address`], [`target::Guard`]): each hop's name is resolved, judged and connected to as judged. A request has a
//! time, an answer a size, and both are kept while bytes come, not afterwards. Every request has a connection of
//! its own: one that is kept was judged for somebody else. Sockets and clocks are here, decisions in the files beside.

mod connect;
mod cookies;
mod error;
mod places;
pub mod signature;
pub mod target;

use std::time::Duration;

pub use bot::tools::reach::address;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    StatusCode,
    client::conn::http1,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

use self::{
    connect::Connector,
    places::Places,
    signature::AuthToken,
    target::{Guard, Origin, Target},
};
pub use self::{
    connect::Stream,
    cookies::{Cookies, Jar},
    error::{Fault, WebhookError},
};
use crate::{clock::Clock, config::Config, socket::MESSAGE_BYTES_MAX};

/// Redirects followed.
pub const REDIRECTS_MAX: usize = 5;

/// Time for a whole answer, redirects and all: what Twilio gives.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// Time for one connection: name, TCP and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is a document: TwiML is at most 64 kB at Twilio too.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1_024;

/// Webhooks waited for at once; each holds a socket and at most one answer in memory.
const ALL_MAX: usize = 256;

/// Webhooks waited for at once at one host: a slow application keeps this many of its own calls waiting.
const PER_HOST_MAX: usize = 64;

/// Headers of one answer; a server that sends more is not one.
const HEADERS_MAX: usize = 100;

/// Bytes of headers, and of anything else that is read at once.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// The one client for all of that.
pub struct Webhooks {
    connector: Connector,
    places: Places,
    clock: Clock,
}

/// GET or POST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Parameters go into the query.
    Get,
    /// Parameters are a form.
    #[default]
    Post,
}

/// What is asked, and on whose word.
#[derive(Clone, Debug)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Whom; a name and a password in it become `Authorization`.
    pub url: String,
    /// The parameters, in any order.
    pub params: Vec<(String, String)>,
    /// Whose word: the origin of the configuration's URL that led to this one. It may lie in our own network.
    pub trusts: Option<Origin>,
    /// What it is signed with.
    pub token: Option<AuthToken>,
    /// The cookies of the call that it belongs to.
    pub cookies: Option<Cookies>,
    /// The largest answer.
    pub bytes_max: usize,
    /// The time for all of it.
    pub timeout: Duration,
}

impl Request {
    /// A request for a document, unsigned and on nobody's word.
    pub fn new(method: Method, url: impl Into<String>, params: Vec<(String, String)>) -> Self {
        Self {
            method,
            url: url.into(),
            params,
            trusts: None,
            token: None,
            cookies: None,
            bytes_max: DOCUMENT_BYTES_MAX,
            timeout: TIMEOUT,
        }
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A success: 200 to 299.
    pub status: u16,
    /// `Content-Type`, in lower case and without parameters.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
    /// Where it came from in the end: what relative URLs in it are relative to.
    pub url: String,
}

/// A WebSocket to be dialled.
#[derive(Clone, Debug)]
pub struct SocketRequest {
    /// `ws` or `wss`.
    pub url: String,
    /// As in [`Request`].
    pub trusts: Option<Origin>,
    /// As in [`Request`].
    pub token: Option<AuthToken>,
    /// The time until it is open.
    pub timeout: Duration,
}

impl Webhooks {
    /// The client as configured.
    pub fn new(config: &Config, clock: Clock) -> Self {
        let guard = Guard { exceptions: config.webhooks.clone(), is_open: config.http.call_private };
        let places = Places::new(ALL_MAX, PER_HOST_MAX);
        Self { connector: Connector::new(guard), places, clock }
    }

    /// Sends a request and takes its answer.
    ///
    /// # Errors
    /// [`WebhookError`]; an answer that is no success is one.
    pub async fn send(&self, request: &Request) -> Result<Answer, WebhookError> {
        let deadline = Instant::now() + request.timeout;
        let target = Target::http(&request.url)?;
        let mut hop = match request.method {
            Method::Get => Hop { target: target.with_query(&request.params), form: None },
            Method::Post => Hop { target, form: Some(form(&request.params)) },
        };
        for _ in 0..=REDIRECTS_MAX {
            match self.ask(&hop, request, deadline).await? {
                Asked::Answered(answer) => return Ok(answer),
                Asked::SentOn(status, location) => {
                    let form = hop.form.filter(|_| keeps_form(status));
                    hop = Hop { target: hop.target.follow(&location)?, form };
                }
            }
        }
        Err(WebhookError::Redirects { host: hop.target.host().to_owned() })
    }

    /// Opens a WebSocket. Redirects are not followed, since bots' frameworks do not send any.
    ///
    /// # Errors
    /// [`WebhookError`]; [`WebhookError::Status`] when the other side is a server and no bot.
    pub async fn dial_socket(&self, request: &SocketRequest) -> Result<WebSocketStream<Stream>, WebhookError> {
        let deadline = Instant::now() + request.timeout;
        let target = Target::socket(&request.url)?;
        let host = || target.host().to_owned();
        let broken = |why: String| WebhookError::Protocol { host: host(), why };
        let late = |_| WebhookError::Timeout { host: host(), after: request.timeout };
        // The place is for the dialling: a stream lasts as long as its call.
        let _place = timeout_at(deadline, self.places.enter(target.origin())).await.map_err(|_| WebhookError::Full)?;
        let patience = CONNECT_TIMEOUT.min(request.timeout);
        let stream = self.connector.connect(&target, request.trusts.as_ref(), patience).await?;
        let mut handshake = target.shown().into_client_request().map_err(|error| broken(error.to_string()))?;
        let headers = handshake.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = target.authorization() {
            insert(headers, header::AUTHORIZATION, &authorization);
        }
        if let Some(token) = &request.token {
            insert(headers, SIGNATURE, &signature::sign(token, &target.shown(), &[]));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .max_write_buffer_size(2 * MESSAGE_BYTES_MAX);
        let opened = client_async_with_config(handshake, stream, Some(config));
        match timeout_at(deadline, opened).await.map_err(late)? {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                Err(WebhookError::Status { host: host(), status: response.status().as_u16() })
            }
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// One hop.
    async fn ask(&self, hop: &Hop, request: &Request, deadline: Instant) -> Result<Asked, WebhookError> {
        let host = || hop.target.host().to_owned();
        let late = |_| WebhookError::Timeout { host: host(), after: request.timeout };
        let entered = timeout_at(deadline, self.places.enter(hop.target.origin())).await;
        let _place = entered.map_err(|_| WebhookError::Full)?;
        let asked = async {
            let stream = self.connector.connect(&hop.target, request.trusts.as_ref(), CONNECT_TIMEOUT).await?;
            self.exchange(hop, request, stream).await
        };
        timeout_at(deadline, asked).await.map_err(late)?
    }

    async fn exchange(&self, hop: &Hop, request: &Request, stream: Stream) -> Result<Asked, WebhookError> {
        let broken =
            |error: hyper::Error| WebhookError::Protocol { host: hop.target.host().to_owned(), why: innermost(&error) };
        let mut http = http1::Builder::new();
        http.max_headers(HEADERS_MAX).max_buf_size(BUFFER_BYTES_MAX);
        let written = self.written(hop, request)?;
        let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(written).await.map_err(broken)?;
            self.read(hop, request, response).await
        };
        tokio::pin!(exchange, connection);
        let mut is_open = true;
        loop {
            // The connection moves the bytes; what it has read is still to be taken when it has ended.
            tokio::select! {
                asked = &mut exchange => return asked,
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }

    fn written(&self, hop: &Hop, request: &Request) -> Result<hyper::Request<Full<Bytes>>, WebhookError> {
        let mut written = hyper::Request::new(Full::new(hop.form.clone().unwrap_or_default()));
        // Parameters of a query may make it longer than HTTP's.
        let too_long = |_| WebhookError::Url(hop.target.path().chars().take(SHOWN_CHARS).collect());
        *written.uri_mut() = hop.target.path_and_query().parse().map_err(too_long)?;
        let headers = written.headers_mut();
        insert(headers, header::HOST, &hop.target.authority());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(authorization) = hop.target.authorization() {
            insert(headers, header::AUTHORIZATION, &authorization);
        }
        if let Some(cookies) = request.cookies.as_ref().and_then(|jar| jar.header(&hop.target, self.clock.wall())) {
            insert(headers, header::COOKIE, &cookies);
        }
        if let Some(token) = &request.token {
            let params: &[_] = if hop.form.is_some() { &request.params } else { &[] };
            insert(headers, SIGNATURE, &signature::sign(token, &hop.target.shown(), params));
        }
        if hop.form.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
            *written.method_mut() = hyper::Method::POST;
        }
        Ok(written)
    }

    async fn read(
        &self,
        hop: &Hop,
        request: &Request,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Asked, WebhookError> {
        let host = || hop.target.host().to_owned();
        let (parts, mut body) = response.into_parts();
        if let Some(jar) = &request.cookies {
            let set = parts.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
            jar.store(&hop.target, set, self.clock.wall());
        }
        let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let status = parts.status;
        if status.is_redirection()
            && let Some(location) = text(header::LOCATION)
        {
            return Ok(Asked::SentOn(status, location.to_owned()));
        }
        if !status.is_success() {
            return Err(WebhookError::Status { host: host(), status: status.as_u16() });
        }
        let too_large = || WebhookError::TooLarge { host: host(), bytes_max: request.bytes_max };
        let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
        if announced > request.bytes_max as u64 {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| WebhookError::Protocol { host: host(), why: innermost(&error) })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > request.bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        let content_type = text(header::CONTENT_TYPE)
            .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        Ok(Asked::Answered(Answer {
            status: status.as_u16(),
            content_type,
            body: bytes.freeze(),
            url: hop.target.shown(),
        }))
    }
}

/// One request of perhaps several.
struct Hop {
    target: Target,
    /// The form; `None` for GET.
    form: Option<Bytes>,
}

enum Asked {
    Answered(Answer),
    SentOn(StatusCode, String),
}

/// Whether what is sent on is asked in the same way: elsewhere a form becomes a plain question, as browsers have it.
fn keeps_form(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

fn form(params: &[(String, String)]) -> Bytes {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish().into()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What comes from a URL or a cookie is printable by then; anything else is better left out than sent.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The innermost reason: "connection reset" rather than "error reading a body".
fn innermost(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// How much of a path that cannot be asked is shown.
const SHOWN_CHARS: usize = 100;

const USER_AGENT: &str = concat!("harmony/", env!("CARGO_PKG_VERSION"));
const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const SIGNATURE: HeaderName = HeaderName::from_static(signature::HEADER);

#[cfg(test)]
mod tests;
