//! The echoing legs that the generator calls: each a room of its own with one leg that hears itself.
//!
//! The way of a call and nothing beside it: socket, jitter buffer, decoder, graph, encoder, socket. A leg finds its
//! caller by the first packets that come, as with a telephone behind a translator of addresses. The legs' events are
//! taken once a second, as whoever holds a call does.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use media::{
    bridge::{Bridge, Leg, LegEvent, Plan, Switchboard},
    codec::voice::Codec,
    graph::node::Event,
    id::RoomId,
    net::{Line, Net, Remote, Rtcp},
    rtp::{
        delay::Bounds,
        leg::{Health, LegSpec, Wire, leg},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::Epoch,
};

use super::BenchError;

/// The echoing legs of a bench.
pub struct Echoes {
    legs: Vec<Echo>,
}

/// One call: what holds it.
struct Echo {
    line: Line,
    leg: Leg,
    _bridge: Bridge,
    /// What it told last.
    health: Option<Health>,
}

/// What the legs of a bench tell together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// Legs that told something.
    pub legs: usize,
    /// Packets that did not come.
    pub lost: i64,
    /// Packets that came after their place was past.
    pub late: u64,
    /// Datagrams lost because a ring was full, or not sent because a socket was.
    pub dropped: u64,
    /// The worst judgement of a leg, 1 to 4.5.
    pub mos_min: f32,
}

impl Echoes {
    /// Opens `calls` legs.
    ///
    /// # Errors
    /// When the system gives no sockets, or the engine takes no legs.
    pub async fn open(calls: usize, switchboard: &Switchboard, net: &Net, epoch: Epoch) -> Result<Self, BenchError> {
        let mut legs = Vec::with_capacity(calls);
        for call in 0..calls {
            let line = net.open(IpAddr::V4(Ipv4Addr::LOCALHOST), Rtcp::Muxed)?;
            line.talk_to(Remote { rtp: NOBODY, rtcp: None, latch: true });
            let spec = LegSpec {
                codec: Codec::Pcmu,
                payload_type: 0,
                telephone_event: Some(101),
                packet_ms: 20,
                identity: identity(call as u32),
                protection: None,
                bounds: Bounds { margin_ms: 10, most_ms: 400 },
                rtcp: true,
                epoch,
            };
            let ends = leg(spec, Wire::Socket(line.sender()))?;
            line.hear(ends.packets);
            let bridge = switchboard.bridge(RoomId(call as u64 + 1), epoch, 8_000);
            let plan = Plan {
                source: Some(Box::new(ends.receive)),
                sink: Some(Box::new(ends.send)),
                hears_itself: true,
                ..Plan::default()
            };
            let leg = bridge.join(plan).await?;
            legs.push(Echo { line, leg, _bridge: bridge, health: None });
        }
        Ok(Self { legs })
    }

    /// Where each leg is called.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.legs.iter().map(|echo| echo.line.local())
    }

    /// Takes what the legs have told since.
    pub fn listen(&mut self) {
        for echo in &mut self.legs {
            while let Ok(event) = echo.leg.events.try_recv() {
                if let LegEvent::Source { event: Event::Rtp(health), .. } = event {
                    echo.health = Some(health);
                }
            }
        }
    }

    /// What they told last.
    pub fn heard(&self) -> Heard {
        let told = || self.legs.iter().filter_map(|echo| echo.health);
        let dropped = self.legs.iter().map(|echo| echo.line.counts()).map(|counts| counts.overflowed + counts.unsent);
        Heard {
            legs: told().count(),
            lost: told().map(|health| health.lost).sum(),
            late: told().map(|health| health.late).sum(),
            dropped: dropped.sum(),
            mos_min: told().map(|health| health.mos).fold(f32::INFINITY, f32::min),
        }
    }
}

/// Numbers that nobody has to guess, since nobody but us listens on loopback.
fn identity(call: u32) -> Identity {
    Identity { ssrc: 0x4563_0000 + call, first_seq: SeqNo(1), first_time: RtpTime(0), cname: format!("echo-{call}") }
}

/// Nobody is here: the caller is found by what it sends (the port of RFC 863, which takes and never answers).
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Ports for the legs: above those that services have, below those that systems lend to sockets that name none.
pub const PORTS: RangeInclusive<u16> = 10_000..=32_000;
