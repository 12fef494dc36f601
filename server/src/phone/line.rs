//! The sound of one telephone call: its sockets, what was agreed on with the far end, and the nodes of its leg.
//!
//! Between SIP's session descriptions, which it hands to [`sip::sdp::Side`], and the graph, for which it makes
//! nodes: fresh ones for each room that the call enters, on the same sockets and under the same keys, each with an
//! SSRC of its own, so that no key stream is ever used twice. Runs in the task of the call; nothing here is real
//! time, and nothing decides what is spoken: `sip::sdp` does.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use media::{
    graph::nodes::{receive::Receive, send::Send},
    net::{self, Net, NetError, Rtcp},
    rtp::{
        delay::Bounds,
        leg::{self, BadLeg, Keys, Rekeying, Renewed, RtpLeg, Wire},
        seq::{RtpTime, SeqNo},
        session::Identity,
        srtp::BadMaster,
    },
    time::Epoch,
};
use sip::{
    endpoint::Body,
    message::Headers,
    sdp::{Agreed, BadSession, Capabilities, Direction, Local, Refusal, Session, Side},
};

/// Added to the jitter that was measured: one tick of the engine.
const MARGIN_MS: u32 = 10;

/// The most that a packet waits: beyond it a conversation is worse than its gaps.
const WAIT_MOST_MS: u32 = 400;

const BOUNDS: Bounds = Bounds { margin_ms: MARGIN_MS, most_ms: WAIT_MOST_MS };

/// The rate of a line of which nothing is known yet.
const TELEPHONE_HZ: u32 = 8_000;

/// The sound of one call.
pub(crate) struct Line {
    socket: net::Line,
    side: Side,
    /// As it was when our offer went out: each of those whom an INVITE reached answers it anew.
    asked: Option<Side>,
    /// What the nodes of the leg were made from, and under which numbers they send.
    used: Option<(Agreed, Numbers)>,
    agent: String,
    /// Whether the far end may turn out to be elsewhere than it says: behind a translator of addresses.
    latch: bool,
}

/// The numbers that one leg sends under.
#[derive(Clone)]
struct Numbers {
    ssrc: u32,
    seq: u16,
    time: u32,
    cname: String,
}

impl Numbers {
    fn identity(&self) -> Identity {
        Identity {
            ssrc: self.ssrc,
            first_seq: SeqNo(self.seq),
            first_time: RtpTime(self.time),
            cname: self.cname.clone(),
        }
    }
}

/// Why there is no sound with this far end; what to answer it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSound {
    /// What it said is no description.
    #[error(transparent)]
    Malformed(#[from] BadSession),
    /// Nothing fits.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The Warning that says so.
        warning: String,
    },
    /// What it sent is of another type.
    #[error("{0} is no session description")]
    Type(String),
}

impl NoSound {
    /// The status and the headers that say it.
    pub(crate) fn to_response(&self) -> (u16, Headers) {
        let mut headers = Headers::new();
        match self {
            Self::Malformed(_) => (400, headers),
            Self::Refused { warning, .. } => {
                headers.push("Warning", warning.clone());
                (488, headers)
            }
            Self::Type(_) => {
                headers.push("Accept", SDP);
                (415, headers)
            }
        }
    }
}

/// Why there are no nodes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoNodes {
    /// Nothing was agreed on yet.
    #[error("nothing was agreed on with the far end yet")]
    NotAgreed,
    /// What was agreed on cannot be done: our fault.
    #[error(transparent)]
    Leg(#[from] BadLeg),
    /// Keys of another length than their profile: our fault.
    #[error(transparent)]
    Keys(#[from] BadMaster),
}

/// The nodes of a leg, and its keys.
pub(crate) struct Nodes {
    /// What the far end says.
    pub(crate) receive: Receive,
    /// What it hears.
    pub(crate) send: Send,
    /// Presses keys at the far end, where it takes them as events.
    pub(crate) keys: Option<Keys>,
    /// Ticks in a second, in which the source says how long keys were pressed.
    pub(crate) key_ticks_hz: u32,
}

impl Line {
    /// A line with sockets at `here`, which the far end knows as `advertised`.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn open(
        net: &Net,
        here: IpAddr,
        advertised: IpAddr,
        capabilities: Capabilities,
        latch: bool,
    ) -> Result<Self, NetError> {
        // Beside, so that peers who know no RTCP on the same port are served too.
        let socket = net.open(here, Rtcp::Beside)?;
        let local = Local {
            ip: advertised,
            rtp: socket.local().port(),
            rtcp: socket.rtcp_local().map(|address| address.port()),
            ice: None,
        };
        let side = Side::new(capabilities, local, rand::random(), &mut |bytes| rand::fill(bytes));
        Ok(Self { socket, side, asked: None, used: None, agent: "harmony".to_owned(), latch })
    }

    /// Asks the far end.
    pub(crate) fn offer(&mut self) -> Body {
        let offer = body(&self.side.offer());
        self.asked = Some(self.side.clone());
        offer
    }

    /// Answers what the far end asks.
    ///
    /// # Errors
    /// Why not; what was agreed on before holds.
    pub(crate) fn answer(&mut self, offer: &Body) -> Result<Body, NoSound> {
        let offer = read(offer)?;
        let (answer, agreed) = self.side.answer(&offer).map_err(|refusal| self.refused(refusal))?;
        self.follow(&agreed);
        Ok(body(&answer))
    }

    /// Takes the far end's answer to our offer; another one, of another telephone that the call reached, takes its
    /// place until [`Line::settle`].
    ///
    /// # Errors
    /// Why not; what was agreed on before holds.
    pub(crate) fn accept(&mut self, answer: &Body) -> Result<(), NoSound> {
        let answer = read(answer)?;
        if let Some(asked) = self.asked.as_ref().filter(|_| !self.side.is_asking()) {
            self.side = asked.clone();
        }
        let agreed = self.side.accept(&answer).map_err(|refusal| self.refused(refusal))?;
        self.follow(&agreed);
        Ok(())
    }

    /// Nobody else answers our last offer any more.
    pub(crate) fn settle(&mut self) {
        self.asked = None;
    }

    /// Our offer was refused: what was agreed on before holds.
    pub(crate) fn withdraw(&mut self) {
        self.side.withdraw();
        self.asked = None;
    }

    /// From now on, once it is offered, we hold the far end, or talk to it again.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.side.turn(if is_held { Direction::SendOnly } else { Direction::SendRecv });
    }

    /// What was agreed on.
    pub(crate) fn agreed(&self) -> Option<&Agreed> {
        self.side.agreed()
    }

    /// The rate of the sound.
    pub(crate) fn sample_hz(&self) -> u32 {
        self.side.agreed().map_or(TELEPHONE_HZ, |agreed| agreed.codec.sample_hz())
    }

    /// Fresh nodes for a room whose timeline begins at `epoch`; from now on the far end is heard by them.
    ///
    /// # Errors
    /// When nothing was agreed on, or it cannot be done.
    pub(crate) fn nodes(&mut self, epoch: Epoch) -> Result<Nodes, NoNodes> {
        let agreed = self.side.agreed().ok_or(NoNodes::NotAgreed)?.clone();
        let cname = format!("{:024x}", rand::random::<u128>() >> 32);
        let numbers = Numbers { ssrc: rand::random(), seq: rand::random(), time: rand::random(), cname };
        let (spec, telephone) = agreed.leg(numbers.identity(), BOUNDS, epoch)?;
        let key_ticks_hz = telephone.key_hz(spec.codec);
        let RtpLeg { receive, send, packets, keys } =
            leg::telephone(spec, telephone, Wire::Socket(self.socket.sender()))?;
        self.socket.hear(packets);
        self.used = Some((agreed, numbers));
        Ok(Nodes { receive, send, keys, key_ticks_hz })
    }

    /// Nodes that take over from those of the leg, where something else was agreed on since they were made; the
    /// sources, numbers and keys of the far end go on.
    ///
    /// # Errors
    /// As [`Line::nodes`].
    pub(crate) fn renewed(&mut self, epoch: Epoch, keys: Option<Keys>) -> Result<Renewed, NoNodes> {
        let agreed = self.side.agreed().ok_or(NoNodes::NotAgreed)?.clone();
        let (before, numbers) = self.used.as_ref().ok_or(NoNodes::NotAgreed)?;
        let is_kept = before.protection == agreed.protection;
        let rekeying = if is_kept { Rekeying::Kept } else { Rekeying::Changed };
        let (spec, telephone) = agreed.leg(numbers.identity(), BOUNDS, epoch)?;
        let renewed = leg::renew(spec, telephone, rekeying, keys)?;
        let numbers = numbers.clone();
        self.used = Some((agreed, numbers));
        Ok(renewed)
    }

    /// Whether something else was agreed on since the nodes of the leg were made.
    pub(crate) fn has_changed(&self) -> bool {
        match (&self.used, self.side.agreed()) {
            (Some((before, _)), Some(agreed)) => before != agreed,
            _ => false,
        }
    }

    fn follow(&self, agreed: &Agreed) {
        // Found elsewhere only by what opens; keys that were agreed on here have the right length.
        self.socket.believe(agreed.protection.ends().ok().flatten().map(|(_, opener)| opener));
        // Held by an address that is none: whoever was heard before is still there.
        if let Some(remote) = agreed.remote(self.latch) {
            self.socket.talk_to(remote);
        }
    }

    fn refused(&self, refusal: Refusal) -> NoSound {
        let warning = refusal.warning(&self.agent);
        NoSound::Refused { refusal, warning }
    }
}

fn read(body: &Body) -> Result<Session, NoSound> {
    let kind = body.content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(SDP) {
        return Err(NoSound::Type(kind.chars().filter(|c| !c.is_control()).take(60).collect()));
    }
    Ok(Session::parse(&body.bytes)?)
}

fn body(session: &Session) -> Body {
    Body::sdp(session.to_string())
}

/// Our address as the system would use it towards `remote`; `bound` where that is one already.
pub(crate) fn local_ip(bound: IpAddr, remote: SocketAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let any: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    // Nothing is sent: connecting a datagram socket only chooses a route.
    let chosen = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(remote)?;
        socket.local_addr()
    });
    chosen.map_or(bound, |address| address.ip())
}

const SDP: &str = "application/sdp";
