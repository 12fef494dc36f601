//! The sound of one telephone call: its sockets, what was agreed on with the far end, and the nodes of its leg.
//!
//! Between SIP's session descriptions, which it hands to [`sip::sdp::Side`], and the graph, for which it makes
//! nodes: fresh ones for each room that the call enters, on the same sockets and under the same keys, each with an
//! SSRC of its own, so that no key stream is ever used twice; [`Sealing`] makes those keys. Runs in the task of the call;
//! nothing here is real time, and nothing decides what is spoken: `sip::sdp` does.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use media::{
    graph::nodes::{receive::Receive, send::Send},
    net::{self, Lite, NetError, Rtcp},
    rtp::{
        delay::Bounds,
        leg::{self, BadLeg, Keys, Rekeying, Renewed, RtpLeg, Wire},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::Epoch,
};
use sip::{
    endpoint::Body,
    message::Headers,
    sdp::{Agreed, BadSession, Capabilities, Credentials, Direction, Local, Refusal, Session, Side},
};

use super::{
    Phones,
    sealing::{NoKeys, Sealing},
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
    sealing: Sealing,
    /// What the nodes of the leg were made from.
    used: Option<Used>,
    agent: String,
    /// Whether the far end may turn out to be elsewhere than it says: behind a translator of addresses.
    latch: bool,
}

/// What the nodes of a leg were made from.
struct Used {
    agreed: Agreed,
    /// The keys.
    version: u64,
    /// The numbers that they send under.
    numbers: Numbers,
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
    /// It is protected by keys that are still to be agreed on.
    #[error("there are no keys yet for what was agreed on")]
    NoKeys,
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
    /// A line with sockets at our address, which the far end knows as `advertised`.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn open(
        phones: &Phones,
        advertised: IpAddr,
        capabilities: Capabilities,
        latch: bool,
    ) -> Result<Self, NetError> {
        // Beside, so that peers who know no RTCP on the same port are served too.
        let socket = phones.net().open(phones.here(), Rtcp::Beside)?;
        let ice = Credentials {
            ufrag: format!("{:08x}", rand::random::<u32>()),
            pwd: format!("{:032x}", rand::random::<u128>()),
        };
        // Nobody checks who was not told of it.
        socket.answer_checks(Lite::new(&ice.ufrag, &ice.pwd));
        let local = Local {
            ip: advertised,
            rtp: socket.local().port(),
            rtcp: socket.rtcp_local().map(|address| address.port()),
            ice: Some(ice),
        };
        let side = Side::new(capabilities, local, rand::random(), &mut |bytes| rand::fill(bytes));
        let sealing = Sealing::new(phones.certificate().clone());
        Ok(Self { socket, side, asked: None, sealing, used: None, agent: "harmony".to_owned(), latch })
    }

    /// Asks the far end.
    pub(crate) fn offer(&mut self) -> Body {
        let offer = self.side.offer();
        self.asked = Some(self.side.clone());
        if offer.media.iter().any(|media| media.has("fingerprint")) {
            self.sealing.prepare(&self.socket);
        }
        body(&offer)
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

    /// Whether there are the keys that were agreed on, where there are to be any.
    pub(crate) fn is_ready(&self) -> bool {
        self.sealing.is_ready()
    }

    /// Whether a leg is to follow what was agreed on: when there are its keys, or at once where what it carries must not
    /// be carried any more.
    pub(crate) fn is_followed(&self) -> bool {
        self.sealing.is_ready() || !self.sealing.may_carry()
    }

    /// Begins the handshake anew that was agreed on, where one has failed.
    pub(crate) fn shake_again(&mut self) {
        if self.sealing.has_failed()
            && let Some(agreed) = self.side.agreed().cloned()
        {
            self.follow(&agreed);
        }
    }

    /// Resolves when keys came that were waited for; never where none are. Can be cancelled without missing them.
    ///
    /// # Errors
    /// Why there are none, and will be none.
    pub(crate) async fn shaken(&mut self) -> Result<(), NoKeys> {
        self.sealing.shaken(&self.socket).await
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
        if !self.sealing.may_carry() {
            return Err(NoNodes::NoKeys);
        }
        let cname = format!("{:024x}", rand::random::<u128>() >> 32);
        let numbers = Numbers { ssrc: rand::random(), seq: rand::random(), time: rand::random(), cname };
        let (spec, telephone) = agreed.leg(numbers.identity(), BOUNDS, epoch, self.sealing.ends());
        let key_ticks_hz = telephone.key_hz(spec.codec);
        let RtpLeg { receive, send, packets, keys } =
            leg::telephone(spec, telephone, Wire::Socket(self.socket.sender()))?;
        self.socket.hear(packets);
        self.used = Some(Used { agreed, version: self.sealing.version(), numbers });
        Ok(Nodes { receive, send, keys, key_ticks_hz })
    }

    /// Nodes that take over from those of the leg, where something else was agreed on since they were made; the
    /// sources, numbers and keys of the far end go on. Where keys are still to come, they neither send nor hear.
    ///
    /// # Errors
    /// As [`Line::nodes`].
    pub(crate) fn renewed(&mut self, epoch: Epoch, keys: Option<Keys>) -> Result<Renewed, NoNodes> {
        let agreed = self.side.agreed().ok_or(NoNodes::NotAgreed)?.clone();
        let Used { version, numbers, .. } = self.used.as_ref().ok_or(NoNodes::NotAgreed)?;
        if !self.is_followed() {
            return Err(NoNodes::NoKeys);
        }
        let is_silent = !self.sealing.may_carry();
        let is_kept = *version == self.sealing.version();
        let (rekeying, seals) = match is_kept {
            _ if is_silent => (Rekeying::Changed, Some(Sealing::nobodys())),
            true => (Rekeying::Kept, None),
            false => (Rekeying::Changed, self.sealing.ends()),
        };
        let (mut spec, mut telephone) = agreed.leg(numbers.identity(), BOUNDS, epoch, seals);
        if is_silent {
            spec.rtcp = false;
            (telephone.is_quiet, telephone.is_paused) = (true, true);
        }
        let renewed = leg::renew(spec, telephone, rekeying, keys)?;
        let numbers = numbers.clone();
        self.used = Some(Used { agreed, version: self.sealing.version(), numbers });
        Ok(renewed)
    }

    /// Whether something else was agreed on since the nodes of the leg were made.
    pub(crate) fn has_changed(&self) -> bool {
        match (&self.used, self.side.agreed()) {
            (Some(used), Some(agreed)) => used.agreed != *agreed || used.version != self.sealing.version(),
            _ => false,
        }
    }

    fn follow(&mut self, agreed: &Agreed) {
        self.sealing.follow(agreed, &self.socket);
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
