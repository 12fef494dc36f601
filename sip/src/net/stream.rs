//! Connections: one task for each reads and writes until one side ends it, or it says nothing for too long.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::{timeout, timeout_at},
};

use super::{Event, Judged, Shared, now, pause, table::Ends};
use crate::{
    message::{Frame, Framer, Message},
    transport::{Protocol, Source, Target},
};

/// How long the other side may take to read one message.
const SLOWEST_WRITE: Duration = Duration::from_secs(10);

/// How long, and how many bytes, we go on reading after the last word of ours: closing at once would make the other
/// side's system throw away what it has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// When the system asks a silent other side whether it is still there, so that the dead do not count as idle.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// One connection's task.
pub(super) struct Connection {
    shared: Arc<Shared>,
    ends: Ends,
    /// Whether anything was said that made sense.
    was_heard: bool,
}

/// How a conversation ended.
enum Ended {
    /// By us: the queue is closed, or nobody wants it any more.
    Here,
    /// By them, in whatever way.
    There,
    /// Nobody knows where the next message would begin; what remains to be said is in the queue.
    Lost,
}

/// Takes connections until the net is gone.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, protocol: Protocol) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a SIP connection could not be accepted");
                pause().await;
                continue;
            }
        };
        let ends = shared.table().open_theirs(protocol, remote);
        match ends {
            Some(ends) => _ = tokio::spawn(Connection::new(shared.clone(), ends).answer(stream, remote, protocol)),
            None => _ = shared.counters.turned_away.fetch_add(1, Relaxed),
        }
    }
}

impl Connection {
    pub(super) const fn new(shared: Arc<Shared>, ends: Ends) -> Self {
        Self { shared, ends, was_heard: false }
    }

    /// Goes on with a connection that somebody made.
    async fn answer(mut self, stream: TcpStream, remote: SocketAddr, protocol: Protocol) {
        let Ok(local) = stream.local_addr() else { return self.shared.table().close(self.ends.id) };
        let source = Source { protocol, remote, local, connection: Some(self.ends.id) };
        prepare(&stream);
        if protocol == Protocol::Tls {
            let shared = self.shared.clone();
            match self.in_time(shared.tls.accept(stream)).await {
                Ok(stream) => {
                    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let is_certified = certificate.is_some();
                    if let Some(certificate) = certificate {
                        self.shared.table().certify(self.ends.id, certificate.clone().into_owned());
                    }
                    self.converse(stream, source, is_certified).await;
                }
                Err(error) => tracing::debug!(%remote, %error, "a TLS handshake failed"),
            }
        } else {
            self.converse(stream, source, false).await;
        }
        let was_heard = self.was_heard;
        self.end(source.target(), was_heard).await;
    }

    /// Makes a connection.
    pub(super) async fn dial(mut self, target: Target) {
        if let Err(error) = self.connect(&target).await {
            tracing::debug!(%target.address, %error, "a SIP connection could not be made");
        }
        self.end(Target { connection: None, ..target }, true).await;
    }

    async fn connect(&mut self, target: &Target) -> io::Result<()> {
        let address = target.address;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = target.local.filter(|local| local.is_ipv4() == address.is_ipv4()) {
            socket.bind(SocketAddr::new(local.ip(), 0))?;
        }
        let stream = self.in_time(socket.connect(address)).await?;
        prepare(&stream);
        let (protocol, connection) = (target.protocol, Some(self.ends.id));
        let source = Source { protocol, remote: address, local: stream.local_addr()?, connection };
        if protocol != Protocol::Tls {
            self.converse(stream, source, false).await;
            return Ok(());
        }
        let shared = self.shared.clone();
        let stream = self.in_time(shared.tls.connect(stream, address, target.server_name.as_deref())).await?;
        if let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) {
            self.shared.table().certify(self.ends.id, certificate.clone().into_owned());
        }
        self.converse(stream, source, false).await;
        Ok(())
    }

    /// Reads and writes until it ends.
    async fn converse<S: AsyncRead + AsyncWrite>(&mut self, stream: S, source: Source, is_certified: bool) {
        let (mut read, write) = tokio::io::split(stream);
        let Ends { id, queue, waiting_bytes, stop } = &mut self.ends;
        let id = *id;
        let mut writing = pin!(write_queue(write, queue, waiting_bytes));
        let mut reader = Reader { shared: &self.shared, source, is_certified, was_heard: false };
        let ended = tokio::select! {
            () = stop.cancelled() => Ended::Here,
            () = self.shared.stop.cancelled() => Ended::Here,
            ended = reader.read(&mut read) => ended,
            () = &mut writing => Ended::There,
        };
        self.was_heard = reader.was_heard;
        if let Ended::Lost = ended {
            // Closing the queue lets the writer say what is in it, and then that it was the last.
            self.shared.table().close(id);
            let discarding = async {
                let (mut buffer, mut bytes) = ([0; 4_096], 0);
                while let Ok(length @ 1..) = read.read(&mut buffer).await {
                    bytes += length;
                    if bytes > LINGER_BYTES {
                        return;
                    }
                }
            };
            _ = timeout(LINGER, async { tokio::join!(writing, discarding) }).await;
        }
    }

    /// Forgets the connection, and tells those who counted on it.
    async fn end(self, target: Target, is_told: bool) {
        self.shared.table().close(self.ends.id);
        if is_told {
            tokio::select! {
                // Nobody is told that what everybody let go of is gone.
                biased;
                () = self.shared.stop.cancelled() => {}
                _ = self.shared.events.send(Event::Failed { target }) => {}
            }
        }
    }

    /// What takes too long fails, and so does what nobody wants any more.
    async fn in_time<T>(&self, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            () = self.ends.stop.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            () = self.shared.stop.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            done = timeout(self.shared.limits.connecting, what) => {
                done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    source: Source,
    /// Whether the other side proved who it is.
    is_certified: bool,
    was_heard: bool,
}

impl Reader<'_> {
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Ended {
        let (mut framer, mut buffer) = (Framer::new(), [0; 4_096]);
        let mut heard_at = now();
        loop {
            loop {
                match framer.next(now()) {
                    Ok(Some(Frame::Message(message))) => self.hear(Ok(message)).await,
                    Ok(Some(Frame::Malformed(malformed))) => self.hear(Err(malformed)).await,
                    Ok(Some(Frame::Ping)) => self.say(Bytes::from_static(b"\r\n")),
                    Ok(Some(Frame::Pong)) => {}
                    Ok(None) => break,
                    Err(malformed) => {
                        self.hear(Err(malformed)).await;
                        return Ended::Lost;
                    }
                }
            }
            let limits = &self.shared.limits;
            let silent = heard_at + if self.was_heard { limits.idle } else { limits.first };
            let deadline: Instant = framer.deadline().map_or(silent, |deadline| deadline.min(silent));
            match timeout_at(deadline.into(), stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return Ended::There,
                Ok(Ok(length)) => {
                    framer.push(&buffer[..length]);
                    // Until it made sense once, a trickle of bytes gains no time.
                    if self.was_heard {
                        heard_at = now();
                    }
                }
                Err(_) if deadline >= silent => return Ended::Here,
                // The framer says what is wrong with half a message.
                Err(_) => {}
            }
        }
    }

    async fn hear(&mut self, read: Result<Message, crate::message::Malformed>) {
        match self.shared.judged(read, &self.source) {
            Judged::Accepted(message) => {
                self.was_heard = true;
                self.note_alias(&message);
                // When nobody takes the events, we do not read on, and the other side waits.
                _ = self.shared.events.send(Event::Received { message, source: self.source }).await;
            }
            Judged::Answered(bytes, _) => self.say(bytes),
            Judged::Dropped => {}
        }
    }

    /// A full queue ends the connection by itself.
    fn say(&self, bytes: Bytes) {
        if let Some(id) = self.source.connection {
            _ = self.shared.table().push(id, bytes);
        }
    }

    /// Whoever proved who it is may ask to be sent to over its own connection what is for its listening port
    /// (RFC 5923). Nobody else may: it could be another program on the same host.
    fn note_alias(&self, message: &Message) {
        if !self.is_certified || !matches!(message, Message::Request(_)) {
            return;
        }
        let Ok(via) = message.headers().via() else { return };
        if let Some(id) = self.source.connection.filter(|_| via.params.contains("alias")) {
            let port = via.port.unwrap_or_else(|| self.source.protocol.default_port());
            let address = SocketAddr::new(self.source.remote.ip(), port);
            self.shared.table().alias(id, self.source.protocol, address);
        }
    }
}

/// Writes what is in the queue until it is closed and empty, or the other side is gone.
async fn write_queue(mut stream: impl AsyncWrite + Unpin, queue: &mut mpsc::Receiver<Bytes>, waiting: &AtomicUsize) {
    while let Some(bytes) = queue.recv().await {
        let writing = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        if !matches!(timeout(SLOWEST_WRITE, writing).await, Ok(Ok(()))) {
            return;
        }
        waiting.fetch_sub(bytes.len(), Relaxed);
    }
    _ = timeout(SLOWEST_WRITE, stream.shutdown()).await;
}

fn prepare(stream: &TcpStream) {
    _ = stream.set_nodelay(true);
    _ = sockopt::set_socket_keepalive(stream, true);
    _ = sockopt::set_tcp_keepidle(stream, KEEP_ALIVE);
}
