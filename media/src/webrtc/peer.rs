//! A caller over WebRTC: the task that owns its socket, and the handle that others hold.
//!
//! One tokio task and one UDP socket per peer. It carries datagrams between the socket and the
//! [`Connection`], sound between the connection and a leg's rings, and texts between the data channel and
//! whoever holds the handle. Crossings, and when they are full: sound in, 64 packets, new ones are dropped and
//! counted by the leg; sound out, the same; the socket, dropped, never retried; texts out, 64, the sender waits;
//! texts in, 16 and what fits into 256 KiB behind them, dropped. Dropping the [`Peer`] says goodbye and frees
//! everything, as does a caller that never connects or vanishes.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rtc::peer_connection::{certificate::RTCCertificate, state::RTCPeerConnectionState};
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time,
};

use super::{
    connection::{Address, Connection, Got},
    fragment::Fragment,
    offer::Offer,
    unread::Unread,
};
use crate::ring::{
    bell::Doorbell,
    packets::{LONGEST_BYTES, PacketReader, PacketWriter},
};

/// Fragments waiting for the task, each of at most 32 candidates.
const FRAGMENTS_MAX: usize = 16;

/// Texts waiting for the data channel.
const TEXTS_OUT_MAX: usize = 64;

/// Texts of the caller waiting for their reader; people do not press buttons faster.
const TEXTS_IN_MAX: usize = 16;

/// Datagrams read from the socket before anything else has its turn.
const BURST: usize = 32;

/// Timers are no finer than this; one that is overdue is not asked again sooner.
const FINEST: Duration = Duration::from_millis(1);

/// Where the sound of a peer comes from and goes to.
pub struct Sound {
    /// Takes what the caller says.
    pub incoming: PacketWriter,
    /// What the caller hears; `None` for a caller that only speaks.
    pub outgoing: Option<Outgoing>,
}

/// What a caller hears.
pub struct Outgoing {
    /// The datagrams of RTP and RTCP, in the clear.
    pub packets: PacketReader,
    /// Rings when there are some.
    pub doorbell: Doorbell,
    /// The source that they are sent as.
    pub ssrc: u32,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The caller has its answer and has not come yet.
    Connecting,
    /// Sound flows.
    Connected,
    /// Nothing has come for some seconds; it may come back.
    Disconnected,
    /// It is over, and why.
    Failed(Failure),
    /// It is over because one of us said goodbye.
    Closed,
}

impl State {
    /// Whether nothing will come any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Closed)
    }
}

/// Why a connection is over though nobody said goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller never came: its network, or ours, lets no UDP through.
    NeverConnected,
    /// The caller came and vanished.
    Vanished,
    /// The caller did what no caller should.
    Harmful,
    /// Something of ours broke.
    Broken,
}

/// The connection is over, and nothing can be handed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is over")]
pub struct Over;

/// A caller over WebRTC. Dropping it says goodbye.
#[derive(Debug)]
pub struct Peer {
    fragments: mpsc::Sender<Fragment>,
    texts: mpsc::Sender<String>,
    state: watch::Receiver<State>,
    closing: watch::Sender<bool>,
    ufrag: String,
}

/// A peer that was answered.
pub struct Answered {
    /// The peer.
    pub peer: Peer,
    /// The answer, as SDP.
    pub sdp: String,
    /// The texts that the caller sends over the data channel.
    pub said: mpsc::Receiver<String>,
}

impl Peer {
    /// How the connection is, and becomes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The name of the caller's ICE session; a fragment with another one asks for a restart.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Hands over candidates that came after the offer. Waits while 16 fragments wait.
    ///
    /// # Errors
    /// [`Over`] when the connection is.
    pub async fn trickle(&self, fragment: Fragment) -> Result<(), Over> {
        self.fragments.send(fragment).await.map_err(|_| Over)
    }

    /// Sends a text over the data channel, waiting while the caller is behind or has not opened it yet.
    ///
    /// # Errors
    /// [`Over`] when the connection is.
    pub async fn tell(&self, text: String) -> Result<(), Over> {
        self.texts.send(text).await.map_err(|_| Over)
    }

    /// Says goodbye. The state becomes [`State::Closed`] when everything is freed.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }
}

/// What a peer is made of.
pub(super) struct Setup {
    pub(super) offer: Offer,
    pub(super) socket: UdpSocket,
    pub(super) address: Address,
    pub(super) certificate: RTCCertificate,
    pub(super) sound: Sound,
    pub(super) limits: Limits,
    pub(super) place: OwnedSemaphorePermit,
}

/// How long a caller is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until it is connected.
    pub(super) setup: Duration,
    /// After it was last heard of.
    pub(super) gone: Duration,
}

/// Starts the task of a peer, and waits for its answer.
///
/// # Errors
/// Why the protocol crate refuses the offer; `None` when it broke over it.
pub(super) async fn start(setup: Setup) -> Result<Answered, Option<String>> {
    let (fragments_in, fragments) = mpsc::channel(FRAGMENTS_MAX);
    let (texts_in, texts) = mpsc::channel(TEXTS_OUT_MAX);
    let (said_in, said) = mpsc::channel(TEXTS_IN_MAX);
    let (closing_in, closing) = watch::channel(false);
    let (state_in, state) = watch::channel(State::Connecting);
    let (answer_in, answer) = oneshot::channel();
    let ufrag = setup.offer.ufrag.clone();
    tokio::spawn(async move {
        // A panic inside the protocol crate ends this task and nothing else; the state says so.
        let state = Last(state_in);
        let now = now();
        let ssrc = setup.sound.outgoing.as_ref().map(|outgoing| outgoing.ssrc);
        let answered = Connection::answer(now, &setup.offer, setup.address, setup.certificate, ssrc, setup.limits.gone);
        let (connection, sdp) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                // Nobody waits for it when the request was given up.
                let _ = answer_in.send(Err(error.to_string()));
                return;
            }
        };
        if answer_in.send(Ok(sdp)).is_err() {
            return;
        }
        let (outgoing, doorbell) = match setup.sound.outgoing {
            Some(Outgoing { packets, doorbell, .. }) => (Some(packets), Some(doorbell)),
            None => (None, None),
        };
        let task = Task {
            connection,
            socket: setup.socket,
            incoming: setup.sound.incoming,
            outgoing,
            said: said_in,
            unread: Unread::default(),
            state,
            limits: setup.limits,
            give_up: Some((now + setup.limits.setup, Failure::NeverConnected)),
            _place: setup.place,
        };
        task.run(doorbell, fragments, texts, closing).await;
    });
    let sdp = answer.await.map_err(|_| None)?.map_err(Some)?;
    let peer = Peer { fragments: fragments_in, texts: texts_in, state, closing: closing_in, ufrag };
    Ok(Answered { peer, sdp, said })
}

/// The state, which is over in any case once the task is.
struct Last(watch::Sender<State>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.send_if_modified(|state| {
            let was_over = state.is_over();
            if !was_over {
                *state = State::Failed(Failure::Broken);
            }
            !was_over
        });
    }
}

struct Task {
    connection: Connection,
    socket: UdpSocket,
    incoming: PacketWriter,
    outgoing: Option<PacketReader>,
    said: mpsc::Sender<String>,
    /// Texts for which `said` has no room yet.
    unread: Unread,
    state: Last,
    limits: Limits,
    give_up: Option<(Instant, Failure)>,
    _place: OwnedSemaphorePermit,
}

impl Task {
    async fn run(
        mut self,
        mut doorbell: Option<Doorbell>,
        mut fragments: mpsc::Receiver<Fragment>,
        mut texts: mpsc::Receiver<String>,
        mut closing: watch::Receiver<bool>,
    ) {
        let said = self.said.clone();
        let end = loop {
            if let Some(end) = self.settle() {
                break end;
            }
            let deadline = self.deadline();
            let can_tell = self.connection.can_tell();
            // Cancel-safe: readiness, channels and the bell lose nothing when another branch is taken.
            tokio::select! {
                biased;
                rung = async { doorbell.as_mut().expect("asked for only while it is there").rung().await }, if doorbell.is_some() => {
                    if rung {
                        self.say();
                    } else {
                        doorbell = None;
                    }
                }
                ready = self.socket.readable() => {
                    if let Err(error) = ready.and_then(|()| self.hear()) {
                        tracing::warn!(%error, "a peer's socket broke");
                        break State::Failed(Failure::Broken);
                    }
                }
                () = time::sleep_until(time::Instant::from_std(deadline)) => self.connection.tick(now()),
                fragment = fragments.recv() => match fragment {
                    Some(fragment) => self.connection.trickle(fragment.candidates),
                    // The handle is gone.
                    None => break State::Closed,
                },
                room = said.reserve(), if !self.unread.is_empty() => {
                    drop(room);
                    self.unread.hand_on(&self.said);
                }
                text = texts.recv(), if can_tell => match text {
                    Some(text) => self.connection.tell(now(), text),
                    None => break State::Closed,
                },
                // An error means that the handle is gone.
                _ = closing.wait_for(|closing| *closing) => break State::Closed,
            }
        };
        self.connection.close();
        self.flush();
        let Self { state, .. } = self;
        state.0.send_replace(end);
    }

    /// Carries out what the connection wants; says how it ended if it did.
    fn settle(&mut self) -> Option<State> {
        self.flush();
        while let Some(got) = self.connection.got() {
            match got {
                Got::Sound(at, bytes) => {
                    // A full ring counts what it does not take.
                    let _ = self.incoming.push(at, &bytes);
                }
                Got::Text(text) => self.take(text),
                Got::State(state) => {
                    if let Some(end) = self.changed(state) {
                        return Some(end);
                    }
                }
                Got::Harm(what) => {
                    tracing::info!(what, "a caller was sent away");
                    return Some(State::Failed(Failure::Harmful));
                }
            }
        }
        self.flush();
        self.give_up.filter(|(at, _)| now() >= *at).map(|(_, why)| State::Failed(why))
    }

    /// Takes a text of the caller's, in its turn.
    fn take(&mut self, text: String) {
        if !self.unread.push(text) {
            tracing::debug!("a caller sends texts faster than they are read; one was dropped");
        }
        self.unread.hand_on(&self.said);
    }

    fn changed(&mut self, state: RTCPeerConnectionState) -> Option<State> {
        match state {
            RTCPeerConnectionState::Connected => {
                self.give_up = None;
                self.state.0.send_replace(State::Connected);
                None
            }
            RTCPeerConnectionState::Disconnected => {
                let was_connected = *self.state.0.borrow() != State::Connecting;
                if was_connected {
                    self.give_up = Some((now() + self.limits.gone, Failure::Vanished));
                    self.state.0.send_replace(State::Disconnected);
                }
                None
            }
            RTCPeerConnectionState::Failed => {
                let was_connected = *self.state.0.borrow() != State::Connecting;
                Some(State::Failed(if was_connected { Failure::Vanished } else { Failure::NeverConnected }))
            }
            RTCPeerConnectionState::Closed => Some(State::Closed),
            _ => None,
        }
    }

    fn deadline(&mut self) -> Instant {
        let soonest = now() + FINEST;
        let tick = self.connection.next_tick().unwrap_or(soonest + self.limits.gone);
        let give_up = self.give_up.map_or(tick, |(at, _)| at);
        tick.min(give_up).max(soonest)
    }

    /// Sends what the leg has for the caller.
    fn say(&mut self) {
        let mut datagram = [0; LONGEST_BYTES];
        while let Some((_, length)) = self.outgoing.as_mut().and_then(|packets| packets.pop(&mut datagram)) {
            self.connection.say(now(), &datagram[..length]);
        }
    }

    /// Reads what the socket has, up to a burst.
    fn hear(&mut self) -> io::Result<()> {
        let mut datagram = [0; LONGEST_BYTES];
        for _ in 0..BURST {
            match self.socket.try_recv_from(&mut datagram) {
                Ok((length, from)) => self.connection.hear(now(), from, &datagram[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // ICMP says that an address of the caller does not exist, which is nothing new with candidates.
                Err(error) if is_about_the_caller(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        while let Some((to, datagram)) = self.connection.next_datagram() {
            // A full socket or an address without a route loses a packet, as any network may.
            let _ = self.socket.try_send_to(&datagram, to);
        }
    }
}

fn is_about_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// How the world sees `socket`, asked of the STUN server at `server`; `None` when it does not answer in time.
pub(super) async fn ask_stun(
    socket: &UdpSocket,
    server: SocketAddr,
    question: &super::reflexive::Question,
) -> Option<SocketAddr> {
    let mut answer = [0; 512];
    for _ in 0..STUN_ATTEMPTS {
        socket.send_to(&question.bytes(), server).await.ok()?;
        let listened = time::timeout(STUN_PATIENCE, async {
            loop {
                let (length, from) = socket.recv_from(&mut answer).await.ok()?;
                if from == server
                    && let Some(address) = question.answer(&answer[..length])
                {
                    return Some(address);
                }
            }
        });
        if let Ok(found) = listened.await {
            return found;
        }
    }
    None
}

/// A STUN server answers within a tenth of a second; a caller waits for its answer meanwhile.
const STUN_PATIENCE: Duration = Duration::from_millis(250);
const STUN_ATTEMPTS: usize = 3;

/// The clock of a peer's task, which owns one.
#[expect(clippy::disallowed_methods, reason = "the shell of a peer reads the clock for the pure connection")]
pub(super) fn now() -> Instant {
    Instant::now()
}
