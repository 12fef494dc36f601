//! Fetching what a client points at, and delivering where a client asks: the two times this server calls out on
//! somebody's word.
//!
//! Addresses inside the server's own network are refused unless the configuration allows them: the host is
//! resolved once, every address it has must be public, and the connection goes to exactly those addresses, so
//! that no later answer of a name server can point elsewhere. Redirects are followed by hand, each checked alike.
//! Deliveries are tried a few times with growing pauses, then given up with a log line.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, Method, Response, Url, header, redirect::Policy};

use super::query::Callback;
use crate::webhook::address::{Scope, scope};

/// Whether addresses inside the server's own network may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only public addresses.
    Public,
    /// Any address: the configuration says that clients are trusted.
    Anywhere,
}

/// Why a URL was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The client's mistake.
    #[error("{0:.200} is not an http or https URL")]
    Url(String),
    /// The client asks for what only this network may see.
    #[error("{0} is an address inside this server's network")]
    Private(IpAddr),
    /// The name does not resolve, or nobody answers there in time.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What went wrong.
        why: String,
    },
    /// The other server answered with something else than the content.
    #[error("{host} answered {status}")]
    Status {
        /// Who was asked.
        host: String,
        /// What it answered.
        status: u16,
    },
    /// A chain of redirects without an end.
    #[error("more than {REDIRECTS_MAX} redirects")]
    Redirects,
}

/// Redirects followed; browsers follow 20, storage links need one or two.
const REDIRECTS_MAX: usize = 5;
/// Time for the other server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole fetch or delivery.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Pauses before the second and later tries of a delivery; with them a receiver may be away for half a minute.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Opens `url` for reading, following redirects; the body is yet to be read.
///
/// # Errors
/// [`RemoteError`]: all but some `Unreachable` are the client's to mend.
pub async fn fetch(url: &str, reach: Reach) -> Result<Response, RemoteError> {
    let mut url = parse(url)?;
    for _ in 0..=REDIRECTS_MAX {
        let response = request(&url, reach, Method::GET, None).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let location = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        let Some(location) = location.filter(|_| status.is_redirection()) else {
            return Err(RemoteError::Status { host: host_of(&url), status: status.as_u16() });
        };
        url = parse(url.join(location).map_err(|_| RemoteError::Url(location.to_owned()))?.as_str())?;
    }
    Err(RemoteError::Redirects)
}

/// Checks where a callback goes without calling it.
///
/// # Errors
/// [`RemoteError`] for a URL that would be refused.
pub async fn check(callback: &Callback, reach: Reach) -> Result<(), RemoteError> {
    addresses(&parse(&callback.url)?, reach).await.map(|_| ())
}

/// What is delivered, and under which names.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where and how.
    pub callback: Callback,
    /// JSON.
    pub body: Bytes,
    /// The request it answers.
    pub request_id: String,
    /// The name of the key that the request was made with: the receiver tells by it whose result it is.
    pub token: Option<String>,
}

/// Delivers, trying again while the receiver is away or fails. Redirects are not followed.
pub async fn deliver(delivery: Delivery, reach: Reach) {
    for pause in std::iter::once(Duration::ZERO).chain(RETRY_AFTER) {
        if !pause.is_zero() {
            tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
        }
        let url = match parse(&delivery.callback.url) {
            Ok(url) => url,
            Err(error) => return tracing::warn!(request = %delivery.request_id, %error, "callback refused"),
        };
        let method = if delivery.callback.put { Method::PUT } else { Method::POST };
        match request(&url, reach, method, Some(&delivery)).await {
            Ok(response) if response.status().is_success() => return,
            // The receiver refuses for good: asking again changes nothing.
            Ok(response) if response.status().is_client_error() && response.status().as_u16() != 429 => {
                let status = response.status().as_u16();
                return tracing::warn!(request = %delivery.request_id, status, "callback refused by its receiver");
            }
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(request = %delivery.request_id, status, "callback failed");
            }
            Err(error @ (RemoteError::Private(_) | RemoteError::Url(_))) => {
                return tracing::warn!(request = %delivery.request_id, %error, "callback refused");
            }
            Err(error) => tracing::debug!(request = %delivery.request_id, %error, "callback failed"),
        }
    }
    tracing::warn!(request = %delivery.request_id, "callback given up; its result is lost");
}

async fn request(
    url: &Url,
    reach: Reach,
    method: Method,
    delivery: Option<&Delivery>,
) -> Result<Response, RemoteError> {
    let host = host_of(url);
    let unreachable = |error: reqwest::Error| RemoteError::Unreachable { host: host.clone(), why: cause(&error) };
    let addresses = addresses(url, reach).await?;
    crate::models::tls::install();
    let client = Client::builder()
        .resolve_to_addrs(&host, &addresses)
        .redirect(Policy::none())
        // A proxy would resolve the name anew, past the check.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()
        .map_err(unreachable)?;
    let mut request = client.request(method, url.clone());
    if let Some(delivery) = delivery {
        request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("dg-request-id", &delivery.request_id)
            .body(delivery.body.clone());
        if let Some(token) = &delivery.token {
            request = request.header("dg-token", token);
        }
    }
    request.send().await.map_err(unreachable)
}

fn parse(url: &str) -> Result<Url, RemoteError> {
    let refused = || RemoteError::Url(url.to_owned());
    let parsed = Url::parse(url).map_err(|_| refused())?;
    let spoken = matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some();
    spoken.then_some(parsed).ok_or_else(refused)
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

async fn addresses(url: &Url, reach: Reach) -> Result<Vec<SocketAddr>, RemoteError> {
    let host = host_of(url);
    let port = url.port_or_known_default().unwrap_or(443);
    // Brackets are the URL's way of writing IPv6, not the resolver's.
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let resolved = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((name, port))).await;
    let unreachable = |why: String| RemoteError::Unreachable { host: host.clone(), why };
    let addresses: Vec<SocketAddr> = resolved
        .map_err(|_| unreachable("its name did not resolve in time".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(unreachable("it has no address".to_owned()));
    }
    match addresses.iter().find(|address| reach == Reach::Public && !is_public(address.ip())) {
        Some(private) => Err(RemoteError::Private(private.ip())),
        None => Ok(addresses),
    }
}

/// The innermost reason: "connection refused" rather than "error sending request".
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether anybody on the internet may see what is there.
fn is_public(address: IpAddr) -> bool {
    scope(address) == Scope::Public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_network_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn private_addresses_are_refused_however_they_are_written() {
        for url in [
            "http://127.0.0.1/a.wav",
            "http://[::1]/a.wav",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://localhost:1/",
        ] {
            let refusal = fetch(url, Reach::Public).await.unwrap_err();
            assert!(matches!(refusal, RemoteError::Private(_)), "{url}: {refusal}");
        }
        for url in ["file:///etc/passwd", "ftp://example.org/", "nonsense", ""] {
            let refusal = fetch(url, Reach::Public).await.unwrap_err();
            assert!(matches!(refusal, RemoteError::Url(_)), "{url}: {refusal}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_followed_and_an_endless_one_is_not() {
        let app = axum::Router::new()
            .route("/there", axum::routing::get(|| async { "content" }))
            .route("/hop", axum::routing::get(|| async { axum::response::Redirect::temporary("/there") }))
            .route("/loop", axum::routing::get(|| async { axum::response::Redirect::temporary("/loop") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let hop = fetch(&format!("{base}/hop"), Reach::Anywhere).await.unwrap();
        assert_eq!(hop.text().await.unwrap(), "content");
        let endless = fetch(&format!("{base}/loop"), Reach::Anywhere).await.unwrap_err();
        assert!(matches!(endless, RemoteError::Redirects), "{endless}");
        let missing = fetch(&format!("{base}/nothing"), Reach::Anywhere).await.unwrap_err();
        assert!(matches!(missing, RemoteError::Status { status: 404, .. }), "{missing}");
        server.abort();
    }
}
