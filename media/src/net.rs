//! The UDP shell of RTP: sockets for legs, one thread that receives for all of them, and sending without waiting.
//!
//! `net-0` waits for any socket, reads what it holds, stamps all that it reads in a row with the time of the first read,
//! drops a stranger's, and pushes the rest into the leg's ring; it decides nothing else. The engine sends by itself
//! through a [`Sender`], which never waits and never tries again. Control code opens a [`Line`], learns its ports, and
//! tells it where the peer is; what is told reaches the thread through a list, which it works off in the round in which
//! it is woken for it. A line that is dropped closes its sockets as soon as the leg is gone too.

mod address;
mod gate;
mod ice;
mod listening;
mod ports;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Event, unix::SourceFd};
use thiserror::Error;

use self::{
    address::Address,
    listening::{Listening, Shaking, Wish},
    ports::{Ports, Sockets},
};
pub use self::{gate::is_behind_translator, ice::Lite};
#[cfg(target_os = "linux")]
use crate::engine::tick::claim_priority;
use crate::{
    ring::{
        bell::Bell,
        packets::{LONGEST_BYTES, PacketWriter},
    },
    rtp::{packet::is_rtcp, srtp::Opener},
};

/// Sockets that are told to be ready at once; more are told the next time.
const EVENTS: usize = 256;

/// Datagrams read from one socket before the others have their turn: as many as the ring of a leg holds.
const DATAGRAMS_IN_A_ROW: usize = 64;

/// The thread looks for datagrams so often at most. With a single call it is woken for each; with hundreds it finds ten at
/// a time and is spared nine of ten wakings, for half a millisecond that a datagram waits on average.
const REST: Duration = Duration::from_millis(1);

/// What the thread asks for: above ordinary work, so that datagrams are stamped when they come, and below the engine,
/// so that a flood does not hold it up.
#[cfg(target_os = "linux")]
const NICENESS: i32 = -9;

/// Tells the thread that there are orders.
const ORDERS: Token = Token(usize::MAX);

/// Where RTCP goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// Through the port of RTP (RFC 5761).
    Muxed,
    /// Through the port after it, which is odd.
    Beside,
}

/// Where the peer is, by signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it hears and whence it sends RTP.
    pub rtp: SocketAddr,
    /// The same for RTCP: `None` for the port after that of RTP (RFC 3550 section 11), the same address again for one
    /// port for both (RFC 5761).
    pub rtcp: Option<SocketAddr>,
    /// Whether it may turn out to be elsewhere, behind a translator of addresses: then who sends five packets of one
    /// stream in a row before the peer does is taken for it; later who goes on with the peer's own stream after 200 ms
    /// without it, which finds a peer whose port has changed within a third of a second. Where packets are sealed
    /// ([`Line::believe`]) one that opens is wanted instead, and enough. Never with a peer whose packets nothing
    /// protects and whose address is known.
    pub latch: bool,
}

/// Why there is no line.
#[derive(Debug, Error)]
pub enum NetError {
    /// Every port of the range is taken: as many calls as were configured for are up. Worth a try later.
    #[error("all RTP ports are taken: wait for calls to end, or widen rtp.port_min to rtp.port_max")]
    NoPort,
    /// The system refused: no such address here, or too many files open.
    #[error("no socket for RTP: {0}")]
    Io(#[from] io::Error),
}

/// What became of datagrams since the line was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pushed to the leg.
    pub heard: u64,
    /// Not from the peer: never heard, never answered.
    pub strangers: u64,
    /// Lost because the leg's ring was full.
    pub overflowed: u64,
    /// Came before somebody wanted to hear them.
    pub unheard: u64,
    /// Not sent: the socket had no room, or nobody said whereto.
    pub unsent: u64,
}

/// The sockets of all legs and the thread that receives for them. Clones are the same; the thread ends with the last
/// of them and of their lines.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    ports: Ports,
    shared: Arc<Shared>,
    next_line: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// What control and the thread share.
struct Shared {
    /// What control told since the thread looked last: a few words for each line that begins, moves or ends.
    orders: Mutex<Vec<(u64, Order)>>,
    waker: Waker,
    stop: AtomicBool,
}

enum Order {
    Open(Arc<Wiring>),
    Wish(Wish),
    Close,
}

/// The sockets of one line, and what is known of the far ends.
struct Wiring {
    rtp: UdpSocket,
    rtcp: Option<UdpSocket>,
    /// Such sockets know peers of IPv4 by a mapped address only.
    is_v6: bool,
    /// RTCP goes through the socket of RTP, although there is one beside it.
    is_muxed: AtomicBool,
    rtp_to: Address,
    rtcp_to: Address,
    heard: AtomicU64,
    strangers: AtomicU64,
    overflowed: AtomicU64,
    unheard: AtomicU64,
    unsent: AtomicU64,
}

impl Net {
    /// Starts the thread; sockets will have these ports.
    ///
    /// # Errors
    /// When the system gives no thread or no way to wait for sockets.
    pub fn start(ports: RangeInclusive<u16>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), ORDERS)?;
        let shared = Arc::new(Shared { orders: Mutex::default(), waker, stop: AtomicBool::new(false) });
        let receiver = Receiver { poll, shared: Arc::clone(&shared), lines: BTreeMap::new(), unfinished: Vec::new() };
        let thread = thread::Builder::new().name("net-0".to_owned()).spawn(move || receiver.run())?;
        let ports = Ports::new(ports);
        Ok(Self(Arc::new(Inner { ports, shared, next_line: AtomicU64::new(0), thread: Some(thread) })))
    }

    /// Opens a line at our address `ip`. Nothing is heard or sent until it is told where the peer is.
    ///
    /// # Errors
    /// When no port is free, or the system refuses.
    pub fn open(&self, ip: IpAddr, rtcp: Rtcp) -> Result<Line, NetError> {
        let Sockets { rtp, rtcp } = self.0.ports.bind(ip, rtcp == Rtcp::Beside)?.ok_or(NetError::NoPort)?;
        let local = rtp.local_addr()?;
        let rtcp_local = rtcp.as_ref().map(UdpSocket::local_addr).transpose()?;
        let wiring = Arc::new(Wiring {
            rtp,
            rtcp,
            is_v6: local.is_ipv6(),
            is_muxed: AtomicBool::new(false),
            rtp_to: Address::default(),
            rtcp_to: Address::default(),
            heard: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
        });
        let id = self.0.next_line.fetch_add(1, Relaxed);
        let line = Line { id, local, rtcp_local, wiring: Arc::clone(&wiring), net: Arc::clone(&self.0) };
        line.tell(Order::Open(wiring));
        Ok(line)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        let woken = self.shared.waker.wake().is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // A panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// The sockets of one leg, held by control code for as long as the leg lives.
pub struct Line {
    id: u64,
    local: SocketAddr,
    rtcp_local: Option<SocketAddr>,
    wiring: Arc<Wiring>,
    net: Arc<Inner>,
}

impl Line {
    /// Where RTP is heard.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Where RTCP is heard, unless that is the same.
    pub fn rtcp_local(&self) -> Option<SocketAddr> {
        self.rtcp_local
    }

    /// What the engine sends through.
    pub fn sender(&self) -> Sender {
        Sender(Arc::clone(&self.wiring))
    }

    /// Says where the peer is, or that it has moved. Said again unchanged, the peer stays where it was found, and may be
    /// found elsewhere with a new stream.
    pub fn talk_to(&self, remote: Remote) {
        self.tell(Order::Wish(Wish::TalkTo(remote)));
    }

    /// From now on `packets` takes what comes; what came before is lost.
    pub fn hear(&self, packets: PacketWriter) {
        self.tell(Order::Wish(Wish::Hear(packets)));
    }

    /// From now on the peer is found elsewhere only by what opens with this; `None` where nothing is sealed any more.
    pub fn believe(&self, opener: Option<Opener>) {
        self.tell(Order::Wish(Wish::Believe(opener.map(Box::new))));
    }

    /// From now on checks of ICE are answered, and the far end is where it chooses to be. Told before a description
    /// that speaks of ICE is sent.
    pub fn answer_checks(&self, lite: Lite) {
        self.tell(Order::Wish(Wish::Answer(Box::new(lite))));
    }

    /// From now on `packets` takes the peer's datagrams of DTLS, and `bell` is rung for each: for a
    /// [`Handshake`](crate::webrtc::handshake::Handshake), whose own leave through [`Line::sender`]. It is rung as well
    /// when it is known where the peer is, before which nothing can be sent, and each time a check chooses. Told before an offer is
    /// sent, the peer's first words are kept that overtake its answer.
    pub fn shake(&self, packets: PacketWriter, bell: Bell) {
        self.tell(Order::Wish(Wish::Shake(Box::new(Shaking::new(packets, bell)))));
    }

    /// What became of datagrams.
    pub fn counts(&self) -> Counts {
        let Wiring { heard, strangers, overflowed, unheard, unsent, .. } = &*self.wiring;
        Counts {
            heard: heard.load(Relaxed),
            strangers: strangers.load(Relaxed),
            overflowed: overflowed.load(Relaxed),
            unheard: unheard.load(Relaxed),
            unsent: unsent.load(Relaxed),
        }
    }

    fn tell(&self, order: Order) {
        let shared = &self.net.shared;
        shared.orders.lock().unwrap_or_else(PoisonError::into_inner).push((self.id, order));
        if let Err(error) = shared.waker.wake() {
            tracing::warn!(%error, "the receiving thread was not woken and obeys later");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tell(Order::Close);
    }
}

/// Sends the datagrams of one leg.
#[derive(Clone)]
pub struct Sender(Arc<Wiring>);

impl Sender {
    /// Sends `datagram` to the peer, RTCP to where it belongs; false when it is lost and counted. Never waits and
    /// allocates nothing: for the engine's thread.
    pub fn try_send(&self, datagram: &[u8]) -> bool {
        let wiring = &*self.0;
        let (socket, to) = match &wiring.rtcp {
            Some(rtcp) if is_rtcp(datagram) && !wiring.is_muxed.load(Relaxed) => (rtcp, &wiring.rtcp_to),
            _ => (&wiring.rtp, &wiring.rtp_to),
        };
        let to = to.load().map(|to| if wiring.is_v6 { mapped(to) } else { to });
        let sent = to.is_some_and(|to| socket.send_to(datagram, to).is_ok());
        if !sent {
            wiring.unsent.fetch_add(1, Relaxed);
        }
        sent
    }
}

/// The receiving thread.
struct Receiver {
    poll: Poll,
    shared: Arc<Shared>,
    lines: BTreeMap<u64, Listening>,
    /// Sockets that may hold more than was read.
    unfinished: Vec<Token>,
}

impl Receiver {
    fn run(mut self) {
        #[cfg(target_os = "linux")]
        claim_priority(NICENESS);
        let mut events = Events::with_capacity(EVENTS);
        let mut woken = now();
        while !self.shared.stop.load(Relaxed) {
            let early = REST.saturating_sub(now().saturating_duration_since(woken));
            if early > Duration::ZERO && self.unfinished.is_empty() {
                // Who stops the thread wakes it from the poll, at most this much later.
                thread::park_timeout(early);
            }
            let patience = if self.unfinished.is_empty() { None } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, patience) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "nothing more can be received by UDP: restart the process");
                    return;
                }
            }
            woken = now();
            let unfinished = std::mem::take(&mut self.unfinished);
            for token in unfinished.into_iter().chain(events.iter().map(Event::token)) {
                match token {
                    ORDERS => self.obey(),
                    token => self.read(token),
                }
            }
        }
    }

    fn obey(&mut self) {
        let orders = std::mem::take(&mut *self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, order) in orders {
            if let Order::Open(wiring) = order {
                if let Err(error) = watch(self.poll.registry(), id, &wiring) {
                    tracing::error!(%error, "a socket cannot be waited for: its leg will hear nothing");
                }
                self.lines.insert(id, Listening::new(wiring));
                continue;
            }
            let Some(line) = self.lines.get_mut(&id) else { continue };
            match order {
                Order::Wish(wish) => line.obey(wish),
                Order::Close => {
                    unwatch(self.poll.registry(), &line.wiring);
                    self.lines.remove(&id);
                }
                Order::Open(_) => {}
            }
        }
    }

    /// Reads what one socket holds.
    fn read(&mut self, token: Token) {
        let (id, is_rtcp_socket) = line_of(token);
        // A line that was closed in the same breath.
        let Some(line) = self.lines.get_mut(&id) else { return };
        let wiring = Arc::clone(&line.wiring);
        let Some(socket) = (if is_rtcp_socket { wiring.rtcp.as_ref() } else { Some(&wiring.rtp) }) else { return };
        let at = now();
        // One more than is taken, so that what is too long shows.
        let mut datagram = [0; LONGEST_BYTES + 1];
        for _ in 0..DATAGRAMS_IN_A_ROW {
            match socket.recv_from(&mut datagram) {
                Ok((length, from)) => line.take(at, from, is_rtcp_socket, &datagram[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The far end's host refused something that we sent: of no concern here.
                Err(_) => {}
            }
        }
        self.unfinished.push(token);
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => address,
    }
}

/// Two tokens for each line.
fn token_of(id: u64, is_rtcp_socket: bool) -> Token {
    Token((id as usize) << 1 | usize::from(is_rtcp_socket))
}

fn line_of(token: Token) -> (u64, bool) {
    ((token.0 >> 1) as u64, token.0 & 1 == 1)
}

fn watch(registry: &Registry, id: u64, wiring: &Wiring) -> io::Result<()> {
    for (socket, is_rtcp_socket) in [(Some(&wiring.rtp), false), (wiring.rtcp.as_ref(), true)] {
        if let Some(socket) = socket {
            let token = token_of(id, is_rtcp_socket);
            registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        }
    }
    Ok(())
}

fn unwatch(registry: &Registry, wiring: &Wiring) {
    for socket in [Some(&wiring.rtp), wiring.rtcp.as_ref()].into_iter().flatten() {
        // One that was never watched needs nothing.
        let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
    }
}

#[expect(clippy::disallowed_methods, reason = "the receiving thread stamps what comes")]
fn now() -> Instant {
    Instant::now()
}
