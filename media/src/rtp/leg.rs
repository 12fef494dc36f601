//! A leg of RTP: everything between the datagrams of one peer and the graph of a room.
//!
//! [`leg`] makes both nodes from what was agreed on with the peer, on a control thread; the transport is whoever
//! pushes datagrams and takes what the [`Wire`] was given. It may be a socket of [`crate::net`], or a ring that a
//! task empties. The nodes run on the engine's thread: see [`receive`](crate::graph::nodes::receive) and
//! [`send`](crate::graph::nodes::send). [`telephone`] is the same with what telephones have beside it, and [`renew`]
//! makes nodes that take over from those of a leg when something else was agreed on within the call.

use std::time::Instant;

use thiserror::Error;

use super::{
    delay::Bounds,
    dtmf::{Key, QueueFull},
    jitter::Shape,
    session::{Identity, session},
    srtp::{Opener, Profile, Sealer},
};
use crate::{
    codec::{
        opus::live::BadOptions,
        voice::{Codec, Decoder, Encoder},
    },
    graph::nodes::{
        receive::{Receive, ReceiveSpec},
        send::{Send, SendSpec},
    },
    net,
    ring::{
        Reader, Writer,
        bell::Bell,
        packets::{LONGEST_BYTES, PacketReader, PacketWriter, packets},
        ring,
    },
    rtp::packet::FIXED_HEADER_BYTES,
    time::Epoch,
};

/// Datagrams that may wait for a tick: over a second of packets of 20 ms. When it is full, new ones are dropped and
/// counted, and concealed like any loss.
const PACKETS: usize = 64;

/// Room for headers, their extensions and the trailer of SRTP beside each payload.
const BESIDE_PAYLOAD_BYTES: usize = 64;

/// The longest payload that leaves: with its header, its trailer and those of IP and UDP it fits Ethernet.
pub(crate) const PAYLOAD_MAX_BYTES: usize = LONGEST_BYTES - 28 - FIXED_HEADER_BYTES - Profile::LONGEST_TRAILER_BYTES;

/// Keys that may wait for their turn: as many as are queued behind it.
const KEYS: usize = 32;

/// What was agreed on with the peer, and who we are to it.
pub struct LegSpec {
    /// The codec, the same both ways.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of telephone-event at the codec's RTP clock, if it was agreed on.
    pub telephone_event: Option<u8>,
    /// How long the packets that we send are: 10, 20, 40 or 60 ms. Any length is heard.
    pub packet_ms: u32,
    /// Our numbers.
    pub identity: Identity,
    /// What seals and opens packets; without it nothing is protected.
    pub protection: Option<(Sealer, Opener)>,
    /// How long what comes may wait.
    pub bounds: Bounds,
    /// Whether to send reports and a goodbye; false when the transport does it.
    pub rtcp: bool,
    /// When the room began, for wall times in reports.
    pub epoch: Epoch,
}

/// What telephones have beside a [`LegSpec`]. Nothing of it by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telephone {
    /// The payload type that the codec comes under, where it is not the one that we send it under.
    pub receive_type: Option<u8>,
    /// The same for telephone-event.
    pub receive_event: Option<u8>,
    /// The clock in which the length of a key is said, in Hz, where it is not the codec's. Lengths of keys that are
    /// heard are told in it ([`Telephone::key_hz`]).
    pub event_hz: Option<u32>,
    /// The payload type of comfort noise (RFC 3389), if it was agreed on: 13.
    pub comfort_noise: Option<u8>,
    /// Whether the far end's silence hisses as quietly as its line did, where it describes none.
    pub fills_silence: bool,
    /// Whether keys are heard as the tones that they are: where telephone-event was not agreed on.
    pub keys_in_band: bool,
    /// Whether nothing is sent but reports, until [`Control::Resume`](crate::graph::node::Control::Resume): the far end
    /// is held, or does not listen.
    pub is_quiet: bool,
    /// Whether what comes is not heard, until the same is told to the source: we hold the far end.
    pub is_paused: bool,
}

impl Telephone {
    /// How many ticks of a key's length are a second, with this codec.
    pub fn key_hz(&self, codec: Codec) -> u32 {
        self.event_hz.filter(|_| !self.keys_in_band).unwrap_or_else(|| codec.clock().ticks_hz)
    }
}

/// What becomes of the cipher of a leg that another takes over from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rekeying {
    /// It goes on with its numbers: nothing else was agreed on. The protection of the [`LegSpec`] is not looked at.
    Kept,
    /// The protection of the [`LegSpec`] takes its place, be it none.
    Changed,
}

/// Both nodes that take over from those of a leg, and the ends that its owner keeps; where its datagrams come and go
/// stays as it is.
pub struct Renewed {
    /// The source.
    pub receive: Receive,
    /// The sink.
    pub send: Send,
    /// Sends keys to the peer; `None` when telephone-event was not agreed on.
    pub keys: Option<Keys>,
}

/// Both nodes of a leg, and the ends that its owner keeps.
pub struct RtpLeg {
    /// The source: what the peer says, mono at [`Codec::sample_hz`].
    pub receive: Receive,
    /// The sink: what the peer hears, of the same format.
    pub send: Send,
    /// Takes the peer's datagrams, RTP and RTCP alike (RFC 5761), still sealed where there is protection.
    pub packets: PacketWriter,
    /// Sends keys to the peer; `None` when telephone-event was not agreed on.
    pub keys: Option<Keys>,
}

/// Why a leg cannot be: a mistake of whoever agreed on it.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum BadLeg {
    /// Packets of such a length are not sent with this codec.
    #[error("packets of {packet_ms} ms are not sent with {codec}: take 10 or 20 ms")]
    PacketTime {
        /// The length asked for.
        packet_ms: u32,
        /// The codec's name.
        codec: &'static str,
    },
    /// Not a payload type that can be told from RTCP on the same port (RFC 5761), or used twice.
    #[error("{0} cannot be a payload type here: take 0 to 63 or 96 to 127, each once")]
    PayloadType(u8),
    /// Not a rate of the graph.
    #[error("sound at {0} Hz cannot meet the graph: take 8000, 16000, 24000 or 48000")]
    Rate(u32),
    /// The options of Opus.
    #[error(transparent)]
    Opus(#[from] BadOptions),
}

/// How a leg's stream does, once a second. Counts are since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// Packets that came from the source that is heard.
    pub received: u64,
    /// Packets that did not come, as RTCP counts: below zero when more came twice.
    pub lost: i64,
    /// Packets that came after their place was past.
    pub late: u64,
    /// Datagrams that were not believed: malformed, forged, from another source, or of a payload type that was not
    /// agreed on.
    pub refused: u64,
    /// How long nothing was heard of the far end, be it sound, silence or a report on us, in milliseconds.
    pub silent_ms: u32,
    /// The share of packets that did not come, in the last second, 0 to 1.
    pub loss: f32,
    /// The share of the last second that was made up, 0 to 1.
    pub concealed: f32,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f32,
    /// How long packets are meant to wait, in milliseconds.
    pub target_ms: f32,
    /// Time to the far end and back; `None` until it reported on us.
    pub round_trip_ms: Option<f32>,
    /// The share of our packets that the far end missed lately; `None` until it reported on us.
    pub far_loss: Option<f32>,
    /// How a listener would judge what is heard so far, 1 to 4.5.
    pub mos: f32,
}

/// Where datagrams leave.
pub enum Wire {
    /// Through a socket, at once. What the socket does not take is lost and counted.
    Socket(net::Sender),
    /// Into a ring that a task empties, which is rung for at most once a tick. What does not fit is lost and counted.
    Ring(PacketWriter, Bell),
    /// Nowhere: a node that takes over from another has its wire from then on.
    Nowhere,
}

impl Wire {
    /// Sends a datagram.
    pub(crate) fn put(&mut self, at: Instant, datagram: &[u8]) {
        match self {
            Self::Socket(socket) => {
                socket.try_send(datagram);
            }
            Self::Ring(ring, _) => {
                // The ring counts what it does not take.
                let _ = ring.push(at, datagram);
            }
            Self::Nowhere => {}
        }
    }

    /// To be called after a tick that has put something.
    pub(crate) fn flush(&mut self) {
        if let Self::Ring(_, bell) = self {
            bell.ring();
        }
    }
}

/// Presses keys on a leg, from any thread.
pub struct Keys(Writer<(Key, u32)>);

impl Keys {
    /// Queues a key, to be down for `press_ms` but at least 60 ms.
    ///
    /// # Errors
    /// When too many keys are waiting.
    pub fn press(&mut self, key: Key, press_ms: u32) -> Result<(), QueueFull> {
        self.0.push((key, press_ms)).map_err(|_| QueueFull)
    }
}

/// Makes the leg that `spec` describes, whose datagrams leave through `wire`.
///
/// # Errors
/// When what was agreed on cannot be done.
pub fn leg(spec: LegSpec, wire: Wire) -> Result<RtpLeg, BadLeg> {
    telephone(spec, Telephone::default(), wire)
}

/// As [`leg`], for a telephone.
///
/// # Errors
/// When what was agreed on cannot be done.
pub fn telephone(spec: LegSpec, telephone: Telephone, wire: Wire) -> Result<RtpLeg, BadLeg> {
    check(&spec, telephone)?;
    let payload_bytes = spec.codec.payload_bytes(spec.packet_ms);
    let (writer, reader) = packets(PACKETS, PACKETS * (payload_bytes + BESIDE_PAYLOAD_BYTES));
    let (keys, pressed) = spec.telephone_event.map(|_| ring(KEYS)).unzip();
    let ends = Ends { reader, wire, pressed, keeps_cipher: false, keeps_keys: false };
    let (receive, send) = nodes(spec, telephone, ends)?;
    Ok(RtpLeg { receive, send, packets: writer, keys: keys.map(Keys) })
}

/// Makes nodes that take over from those of a leg, for what `spec` and `telephone` say now; `keys` are the leg's. Put them
/// in the place of its own by [`LegControl::renew`](crate::bridge::LegControl::renew): where codec and clock are the
/// same nothing is lost, the source and its numbers go on in any case, and no key stream is used twice. The identity
/// in `spec` must be the leg's. Rings keep their sizes: who makes them larger makes a new leg.
///
/// # Errors
/// When what was agreed on cannot be done; the leg is as it was.
pub fn renew(spec: LegSpec, telephone: Telephone, rekeying: Rekeying, keys: Option<Keys>) -> Result<Renewed, BadLeg> {
    check(&spec, telephone)?;
    let (keeps_keys, events) = (keys.is_some(), spec.telephone_event);
    let (fresh, pressed) = events.map(|_| ring(KEYS)).unzip();
    let keeps_cipher = rekeying == Rekeying::Kept;
    let ends = Ends { reader: packets(1, 1).1, wire: Wire::Nowhere, pressed, keeps_cipher, keeps_keys };
    let spec = LegSpec { protection: spec.protection.filter(|_| !keeps_cipher), ..spec };
    let (receive, send) = nodes(spec, telephone, ends)?;
    let keys = keys.filter(|_| events.is_some()).or_else(|| fresh.map(Keys));
    Ok(Renewed { receive, send, keys })
}

/// Where a leg's datagrams and keys come from and go.
struct Ends {
    reader: PacketReader,
    wire: Wire,
    pressed: Option<Reader<(Key, u32)>>,
    keeps_cipher: bool,
    keeps_keys: bool,
}

fn nodes(spec: LegSpec, telephone: Telephone, ends: Ends) -> Result<(Receive, Send), BadLeg> {
    let LegSpec { codec, payload_type, telephone_event, packet_ms, identity, protection, bounds, rtcp, epoch } = spec;
    let Ends { reader, wire, pressed, keeps_cipher, keeps_keys } = ends;
    let (encoder, decoder) = (Encoder::new(codec)?, Decoder::new(codec)?);
    let (hearing, sending) = session(identity, codec.clock());
    let (sealer, opener) = protection.unzip();
    let event_hz = telephone.event_hz.unwrap_or_else(|| codec.clock().ticks_hz);
    let shape = Shape { clock: codec.clock(), packet_ms, payload_bytes: codec.payload_bytes(packet_ms), bounds };
    let receive = Receive::new(ReceiveSpec {
        packets: reader,
        codec,
        decoder,
        hearing,
        opener,
        keeps_cipher,
        payload_type: telephone.receive_type.unwrap_or(payload_type),
        telephone_event: telephone.receive_event.or(telephone_event),
        event_hz,
        keys_in_band: telephone.keys_in_band,
        comfort_noise: telephone.comfort_noise,
        fills_silence: telephone.fills_silence,
        is_paused: telephone.is_paused,
        shape,
        epoch,
    });
    let send = Send::new(SendSpec {
        wire,
        codec,
        encoder,
        sending,
        sealer,
        keeps_cipher,
        payload_type,
        keys: telephone_event.zip(pressed),
        keeps_keys,
        event_hz,
        is_quiet: telephone.is_quiet,
        packet_ms,
        rtcp,
        epoch,
    });
    Ok((receive, send))
}

fn check(spec: &LegSpec, telephone: Telephone) -> Result<(), BadLeg> {
    let rate_hz = spec.codec.sample_hz();
    if !matches!(rate_hz, 8_000 | 16_000 | 24_000 | 48_000) {
        return Err(BadLeg::Rate(rate_hz));
    }
    let fits = spec.codec.payload_bytes(spec.packet_ms) <= PAYLOAD_MAX_BYTES;
    if !matches!(spec.packet_ms, 10 | 20 | 40 | 60) || !fits {
        return Err(BadLeg::PacketTime { packet_ms: spec.packet_ms, codec: spec.codec.name() });
    }
    let sent = [Some(spec.payload_type), spec.telephone_event, None];
    let heard = [
        Some(telephone.receive_type.unwrap_or(spec.payload_type)),
        telephone.receive_event.or(spec.telephone_event),
        telephone.comfort_noise,
    ];
    for types in [sent, heard] {
        let mut known = types.into_iter().flatten();
        while let Some(kind) = known.next() {
            if !matches!(kind, 0..=63 | 96..=127) || known.clone().any(|other| other == kind) {
                return Err(BadLeg::PayloadType(kind));
            }
        }
    }
    Ok(())
}
