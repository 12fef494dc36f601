//! From a target to an open connection, past the guard: names are resolved here, judged, and connected to as judged.
//!
//! No later answer of a name server can point elsewhere, since what was judged is what is connected to. A name is
//! resolved on a blocking thread of the system's; one that hangs there keeps one of few places until it returns, so
//! that a dead name server cannot take all threads. Runs on the task of whoever waits.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    error::WebhookError,
    target::{Guard, Origin, Target},
};

/// Names being resolved at once. Each holds a thread; when all are taken, others wait within their own patience.
const LOOKUPS_MAX: usize = 32;

/// Addresses of one name that are tried; a name with more is served by the first of them anyway.
const ADDRESSES_MAX: usize = 8;

/// Opens connections.
pub(super) struct Connector {
    guard: Guard,
    /// Made when it is first needed: a server that calls nobody reads no certificates.
    tls: OnceCell<TlsConnector>,
    lookups: Arc<Semaphore>,
}

impl Connector {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, tls: OnceCell::new(), lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// Connects within `patience`.
    pub(super) async fn connect(
        &self,
        target: &Target,
        trusts: Option<&Origin>,
        patience: Duration,
    ) -> Result<Stream, WebhookError> {
        let deadline = Instant::now() + patience;
        let host = || target.host().to_owned();
        let late =
            |_| WebhookError::Connect { host: host(), why: format!("nothing came for {} ms", patience.as_millis()) };
        let addresses = timeout_at(deadline, self.resolve(target)).await.map_err(|_| WebhookError::Name {
            host: host(),
            why: "its name servers did not answer in time".to_owned(),
        })??;
        self.guard.judge(target, trusts, &addresses)?;
        let tcp = reach(target, &addresses, deadline, patience).await?;
        // An answer is small and waited for.
        let _ = tcp.set_nodelay(true);
        if !target.is_tls() {
            return Ok(Stream::Plain(tcp));
        }
        let insecure = |why: String| WebhookError::Tls { host: host(), why };
        let tls = self.tls.get_or_try_init(trusting).await.map_err(insecure)?;
        let name = ServerName::try_from(target.name().to_owned()).map_err(|error| insecure(error.to_string()))?;
        let shaken = timeout_at(deadline, tls.connect(name, tcp)).await.map_err(late)?;
        shaken.map(|tls| Stream::Tls(Box::new(tls))).map_err(|error| insecure(error.to_string()))
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, WebhookError> {
        if let Some(address) = target.address() {
            return Ok(vec![address]);
        }
        let failed = |why: String| WebhookError::Name { host: target.host().to_owned(), why };
        let place = self.lookups.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let name = (target.name().to_owned(), target.port());
        // A task of its own: whoever waits may give up, the lookup keeps its place until it is over.
        let lookup = tokio::spawn(async move {
            let found = tokio::net::lookup_host(name).await.map(|found| found.take(ADDRESSES_MAX).collect::<Vec<_>>());
            drop(place);
            found
        });
        let found = lookup.await.map_err(|error| failed(error.to_string()))?;
        match found {
            Ok(addresses) if addresses.is_empty() => Err(failed("nothing was found".to_owned())),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// With the certificates that the system trusts, which are read from its disk.
async fn trusting() -> Result<TlsConnector, String> {
    match tokio::task::spawn_blocking(configuration).await {
        Ok(Ok(config)) => Ok(TlsConnector::from(Arc::new(config))),
        Ok(Err(error)) => Err(format!("this system's certificates cannot be read: {error}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Blocking.
fn configuration() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

/// Tries one address after the other; where there are more, none may use up all the patience.
async fn reach(
    target: &Target,
    addresses: &[SocketAddr],
    deadline: Instant,
    patience: Duration,
) -> Result<TcpStream, WebhookError> {
    let mut why = "it has no address".to_owned();
    for (n, address) in addresses.iter().enumerate() {
        let is_last = n + 1 == addresses.len();
        let until = if is_last { deadline } else { deadline.min(Instant::now() + patience / 2) };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = format!("nothing came for {} ms", patience.as_millis()),
        }
    }
    Err(WebhookError::Connect { host: target.host().to_owned(), why })
}

/// An open connection.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
