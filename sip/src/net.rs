//! The sockets of SIP: the only place of this package that has any.
//!
//! Tasks of the runtime that [`Net::start`] is called in: one for each UDP socket and each listener, one for each
//! connection. What arrives is cut into messages and judged ([`crate::validate`]); what passes becomes an [`Event`],
//! what does not is answered or dropped here, and nobody above hears of it. What is sent never waits: datagrams go or
//! are lost, streams have a queue each. Nothing here knows transactions: whoever does is told when a connection is
//! gone. Dropping the last [`Net`] closes everything.
//!
//! Everything a stranger can make more of is bounded by [`Limits`]. When it is full: a datagram is lost and will be
//! sent again, a stream is not read on, a new connection is closed at once, and a connection whose queue of things
//! to be sent is full is closed, because whoever reads that slowly is gone.

mod datagram;
mod gate;
mod stream;
mod table;
mod tls;

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use thiserror::Error;
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Handle,
    sync::mpsc,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{gate::Gate, stream::Connection, table::Table, tls::Tls};
use crate::{
    message::{Malformed, Message},
    transport::{ConnectionId, Protocol, Source, Target},
    validate::{Rules, Verdict, judge, way_back},
};

/// How the sockets are set up.
#[derive(Clone, Debug, Default)]
pub struct NetConfig {
    /// Where datagrams are received and sent.
    pub udp: Vec<SocketAddr>,
    /// Where connections are accepted.
    pub tcp: Vec<SocketAddr>,
    /// Where encrypted connections are accepted.
    pub tls: Vec<SocketAddr>,
    /// Certificates and whom to trust.
    pub certificates: Certificates,
    /// What bounds it.
    pub limits: Limits,
    /// What messages are judged by.
    pub rules: Rules,
    /// Sources whose datagrams are not counted: trunks.
    pub trusted: Trusted,
    /// Whether refusals go back to the port that a datagram came from even where its Via does not ask for it.
    pub force_rport: bool,
}

/// Our certificates, and those whom we trust. All files are PEM.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// Shown to whoever connects; needed for listening.
    pub server: Option<Identity>,
    /// Shown to those we connect to, where they ask for one.
    pub client: Option<Identity>,
    /// Who vouches for those who connect; nobody is asked for a certificate where it is `None`.
    pub client_roots: Option<PathBuf>,
    /// Whether those who show none are turned away.
    pub demands_client: bool,
    /// Who vouches for those we connect to; the system's where it is `None`.
    pub roots: Option<PathBuf>,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate first, then those between it and the root.
    pub certificate: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1, without a password.
    pub key: PathBuf,
}

/// Which sources are trusted.
#[derive(Clone)]
pub struct Trusted(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

/// What bounds the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, both ways. Each holds some 20 KiB, an encrypted one 50 KiB.
    pub connections: usize,
    /// Connections that one address made to us. An office behind one address has a phone on each desk.
    pub connections_per_source: usize,
    /// Datagrams of one source in a second, on average; a trunk of 100 calls a second stays below it.
    pub datagrams_per_source_per_s: u32,
    /// How many may come at once.
    pub datagrams_per_source_burst: u32,
    /// How long a connection may say nothing. Longer than the half hour of a session timer, so that a call's
    /// connection lasts as long as the call.
    pub idle: Duration,
    /// How long it may take until a new connection says something that is SIP.
    pub first: Duration,
    /// How long connecting and the handshake of TLS may take, each.
    pub connecting: Duration,
    /// How many events wait to be taken.
    pub events: usize,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message that may be worked with.
    Received {
        /// As it was written.
        message: Message,
        /// Where it came from.
        source: Source,
    },
    /// A connection could not be made, or is gone: what was sent to it may not have arrived. A quiet end is told,
    /// too, but not that of a connection which never said anything.
    Failed {
        /// With the connection that is gone; without one where it was made by us, so that all that was sent to the
        /// address is meant.
        target: Target,
    },
}

/// Why something was not sent. Whoever tries again later may have more luck, but with [`Unsent::TooLong`] and
/// [`Unsent::NoWay`].
#[derive(Debug, Error)]
pub enum Unsent {
    /// There is no socket of that protocol and family; a configuration's fault.
    #[error("no socket is configured that leads there")]
    NoWay,
    /// More than a datagram holds.
    #[error("a message that no datagram holds")]
    TooLong,
    /// As many connections are open as may be.
    #[error("too many connections are open")]
    TooMany,
    /// The other side does not read what waits for it; its connection is closed.
    #[error("the connection's queue is full, and it is closed")]
    Full,
    /// The system refused the datagram.
    #[error("the datagram was refused: {0}")]
    Refused(#[from] io::Error),
}

/// Why the sockets could not be opened: the configuration's fault.
#[derive(Debug, Error)]
pub enum NetError {
    /// The address is taken, or not ours.
    #[error("cannot listen for {protocol} on {address}: {error}")]
    Bind {
        /// How.
        protocol: Protocol,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A file of [`Certificates`] cannot be used.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Encrypted connections are to be accepted, but there is nothing to show.
    #[error("listening for TLS needs a certificate and its key")]
    NoCertificate,
}

/// What became of what arrived, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that passed.
    pub received: u64,
    /// Refused with an answer.
    pub answered: u64,
    /// Neither readable nor worth an answer.
    pub dropped: u64,
    /// Datagrams of sources that sent too many.
    pub limited: u64,
    /// Datagrams lost because nobody took the events.
    pub overflowed: u64,
    /// Datagrams that we did not send because the system had no room.
    pub unsent: u64,
    /// Connections turned away because there were too many.
    pub turned_away: u64,
    /// Connections that are open.
    pub connections: u64,
}

/// The sockets. Clones are the same.
#[derive(Clone, Debug)]
pub struct Net(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    tcp: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    runtime: Handle,
    _stop: DropGuard,
}

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    gate: Mutex<Gate>,
    events: mpsc::Sender<Event>,
    tls: Tls,
    limits: Limits,
    rules: Rules,
    force_rport: bool,
    trusted: Trusted,
    counters: Counters,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    answered: AtomicU64,
    dropped: AtomicU64,
    limited: AtomicU64,
    overflowed: AtomicU64,
    unsent: AtomicU64,
    turned_away: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_000,
            connections_per_source: 250,
            datagrams_per_source_per_s: 2_000,
            datagrams_per_source_burst: 4_000,
            idle: Duration::from_secs(3_600),
            first: Duration::from_secs(30),
            connecting: Duration::from_secs(5),
            events: 4_096,
        }
    }
}

impl Trusted {
    /// Those for whom `is_trusted` says so. Asked for each datagram.
    pub fn new(is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_trusted))
    }
}

impl Default for Trusted {
    /// Nobody.
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusted")
    }
}

impl Net {
    /// Opens all sockets; what happens comes out of the receiver, whose end means that the last [`Net`] is gone.
    ///
    /// # Errors
    /// When an address cannot be had or a file cannot be used.
    pub async fn start(config: NetConfig) -> Result<(Self, mpsc::Receiver<Event>), NetError> {
        if !config.tls.is_empty() && config.certificates.server.is_none() {
            return Err(NetError::NoCertificate);
        }
        let (events, receiver) = mpsc::channel(config.limits.events.max(1));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            table: Mutex::new(Table::new(config.limits)),
            gate: Mutex::new(Gate::new(
                config.limits.datagrams_per_source_per_s,
                config.limits.datagrams_per_source_burst,
            )),
            events,
            tls: Tls::read(&config.certificates)?,
            limits: config.limits,
            rules: config.rules,
            force_rport: config.force_rport,
            trusted: config.trusted,
            counters: Counters::default(),
            stop: stop.clone(),
        });
        // All addresses are had before any task begins, so that a failure leaves nothing behind.
        let mut udp = Vec::new();
        for address in config.udp {
            let socket = datagram::bind(address).await.map_err(unbound(Protocol::Udp, address))?;
            udp.push((socket.local_addr().unwrap_or(address), Arc::new(socket)));
        }
        let (mut listeners, mut tcp, mut tls) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = config.tcp.into_iter().map(|address| (Protocol::Tcp, address));
        for (protocol, address) in wanted.chain(config.tls.into_iter().map(|address| (Protocol::Tls, address))) {
            let listener = TcpListener::bind(address).await.map_err(unbound(protocol, address))?;
            let address = listener.local_addr().unwrap_or(address);
            if protocol == Protocol::Tls { &mut tls } else { &mut tcp }.push(address);
            listeners.push((protocol, listener));
        }
        for (local, socket) in &udp {
            tokio::spawn(datagram::receive(shared.clone(), socket.clone(), *local));
        }
        for (protocol, listener) in listeners {
            tokio::spawn(stream::accept(shared.clone(), listener, protocol));
        }
        let inner = Inner { shared, udp, tcp, tls, runtime: Handle::current(), _stop: stop.drop_guard() };
        Ok((Self(Arc::new(inner)), receiver))
    }

    /// Sends a message without waiting. That it is not refused does not mean that it arrives; a connection that
    /// fails later tells [`Event::Failed`].
    ///
    /// # Errors
    /// When it is known at once that it does not arrive; no event follows for this message then.
    pub fn send(&self, bytes: Bytes, target: &Target) -> Result<(), Unsent> {
        match target.protocol {
            Protocol::Udp => self.send_datagram(&bytes, target),
            Protocol::Tcp | Protocol::Tls => self.send_stream(bytes, target),
        }
    }

    /// Where we are, as bound; the port is known even where it was left to the system.
    pub fn addresses(&self, protocol: Protocol) -> Vec<SocketAddr> {
        match protocol {
            Protocol::Udp => self.0.udp.iter().map(|(local, _)| *local).collect(),
            Protocol::Tcp => self.0.tcp.clone(),
            Protocol::Tls => self.0.tls.clone(),
        }
    }

    /// Whether whoever made this encrypted connection to us showed a certificate with that very name, vouched for by one of
    /// [`Certificates::client_roots`]. A trunk is known by it. Nobody is by a connection that we made.
    pub fn is_certified(&self, connection: ConnectionId, name: &str) -> bool {
        let table = self.0.shared.table();
        table.is_theirs(connection) && table.is_certified(connection, name)
    }

    /// The SHA-256 of the certificate that whoever made this encrypted connection to us showed, vouched for as above.
    pub fn fingerprint(&self, connection: ConnectionId) -> Option<[u8; 32]> {
        let table = self.0.shared.table();
        table.fingerprint(connection).filter(|_| table.is_theirs(connection))
    }

    /// What became of what arrived so far.
    pub fn counts(&self) -> Counts {
        let counters = &self.0.shared.counters;
        Counts {
            received: counters.received.load(Relaxed),
            answered: counters.answered.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            limited: counters.limited.load(Relaxed),
            overflowed: counters.overflowed.load(Relaxed),
            unsent: counters.unsent.load(Relaxed),
            turned_away: counters.turned_away.load(Relaxed),
            connections: self.0.shared.table().len() as u64,
        }
    }

    fn send_datagram(&self, bytes: &Bytes, target: &Target) -> Result<(), Unsent> {
        let fits = |local: &SocketAddr| local.is_ipv4() == target.address.is_ipv4();
        let ours = target.local.and_then(|wanted| self.0.udp.iter().find(|(local, _)| *local == wanted));
        let any = || self.0.udp.iter().find(|(local, _)| fits(local));
        let (_, socket) = ours.filter(|(local, _)| fits(local)).or_else(any).ok_or(Unsent::NoWay)?;
        datagram::send(&self.0.shared, socket, bytes, target.address)
    }

    fn send_stream(&self, bytes: Bytes, target: &Target) -> Result<(), Unsent> {
        let shared = &self.0.shared;
        let mut table = shared.table();
        if let Some(id) = table.find(target) {
            return table.push(id, bytes);
        }
        let ends = table.open_ours(target).ok_or(Unsent::TooMany)?;
        table.push(ends.id, bytes)?;
        drop(table);
        self.0.runtime.spawn(Connection::new(shared.clone(), ends).dial(target.clone()));
        Ok(())
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges what was read. What passes is returned; what is to be answered is, with the way back.
    fn judged(&self, read: Result<Message, Malformed>, source: &Source) -> Judged {
        match judge(read, &self.rules) {
            Verdict::Accept(message) => {
                self.counters.received.fetch_add(1, Relaxed);
                Judged::Accepted(message)
            }
            Verdict::Answer { response, fault } => {
                tracing::debug!(%source.remote, status = response.status, %fault, "a SIP request was refused");
                self.counters.answered.fetch_add(1, Relaxed);
                let (bytes, target) = way_back(&response, source, self.force_rport);
                Judged::Answered(bytes, target)
            }
            Verdict::Drop(fault) => {
                tracing::debug!(%source.remote, %fault, "a SIP message was dropped");
                self.counters.dropped.fetch_add(1, Relaxed);
                Judged::Dropped
            }
        }
    }
}

enum Judged {
    Accepted(Message),
    Answered(Bytes, Target),
    Dropped,
}

fn unbound(protocol: Protocol, address: SocketAddr) -> impl FnOnce(io::Error) -> NetError {
    move |error| NetError::Bind { protocol, address, error }
}

#[expect(clippy::disallowed_methods, reason = "this is the named shell that owns SIP's sockets and their clock")]
fn now() -> Instant {
    Instant::now()
}

/// Waits a little where the system refuses what it will give again soon, such as another open file.
#[expect(clippy::disallowed_methods, reason = "this is the named shell that owns SIP's sockets and their clock")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Connections by where they lead to.
type Ways = BTreeMap<table::Way, ConnectionId>;
