//! What offer and answer came to, in the words of [`media`].

use std::net::SocketAddr;

use media::{
    codec::voice::Codec,
    net::Remote,
    rtp::{
        delay::Bounds,
        leg::{LegSpec, Telephone},
        session::Identity,
        srtp::{MasterKey, Opener, Sealer},
    },
    time::Epoch,
};

use super::{Direction, Ice, audio::COMFORT};

/// What both ends do from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The codec, both ways.
    pub codec: Codec,
    /// The payload type that we send it under.
    pub send_type: u8,
    /// The payload type that it comes under.
    pub receive_type: u8,
    /// Whether both sides named one codec only; otherwise the far end may use another that was answered, and a new
    /// offer with this one alone makes it sure.
    pub is_only: bool,
    /// Keys as events, if both know them.
    pub events: Option<Events>,
    /// Whether silence may be described.
    pub comfort_noise: bool,
    /// How long the packets that we send are.
    pub packet_ms: u32,
    /// Who sends, as we see it: what we may do now.
    pub direction: Direction,
    /// Where to send, and whence it comes.
    pub destination: Destination,
    /// What protects it.
    pub protection: Protection,
    /// The far end's ICE, where both have it.
    pub ice: Option<Ice>,
}

/// Payload types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The one that we send under.
    pub send_type: u8,
    /// The one that they come under.
    pub receive_type: u8,
    /// The clock of their durations, in Hz.
    pub clock_hz: u32,
}

/// Where the far end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where RTP goes; `None` while the far end is held by an address that is none: what was known before holds.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes, if that is neither the port of RTP nor the one after it.
    pub rtcp: Option<SocketAddr>,
    /// RTCP goes through the port of RTP.
    pub is_muxed: bool,
}

/// What protects a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    None,
    /// Keys from the descriptions.
    Sdes {
        /// Seals what we send.
        ours: MasterKey,
        /// Opens what comes.
        theirs: MasterKey,
    },
    /// Keys from a handshake that is still to come.
    Dtls {
        /// The far end's certificate is one of these, as `a=fingerprint` says them.
        fingerprints: Vec<String>,
        /// Whether we begin.
        is_client: bool,
        /// The name of the association, where the far end gave it one.
        tls_id: Option<String>,
    },
}

impl Protection {
    /// Whether this goes on with the association that was agreed on `before`. One who leaves its name out, as in answers to
    /// offers that have none, means the one that there is.
    pub fn continues(&self, before: &Self) -> bool {
        match (self, before) {
            (
                Self::Dtls { fingerprints, is_client, tls_id },
                Self::Dtls { fingerprints: known, is_client: was_client, tls_id: name },
            ) => {
                let is_other = tls_id.as_ref().zip(name.as_ref()).is_some_and(|(now, before)| now != before);
                (fingerprints, is_client) == (known, was_client) && !is_other
            }
            _ => false,
        }
    }

    /// Whether it is an association that has a name.
    pub fn is_named(&self) -> bool {
        matches!(self, Self::Dtls { tls_id: Some(_), .. })
    }
}

impl Agreed {
    /// Whether the far end does not listen: music would be lost on it.
    pub fn is_held(&self) -> bool {
        !self.direction.sends()
    }

    /// What [`media::net`] is told; `latch` where the far end may turn out to be elsewhere, which is for its checks to say
    /// where both have ICE. `None` where nobody said where it is.
    pub fn remote(&self, latch: bool) -> Option<Remote> {
        let Destination { rtp, rtcp, is_muxed } = self.destination;
        let rtp = rtp?;
        // The same address twice is one port for both.
        let rtcp = if is_muxed { Some(rtp) } else { rtcp };
        Some(Remote { rtp, rtcp, latch: latch && self.ice.is_none() })
    }

    /// What a leg of [`media`] is made from. `seals` is what its [`Protection`] came to: who has none of what was agreed
    /// on yet makes no leg.
    pub fn leg(
        &self,
        identity: Identity,
        bounds: Bounds,
        epoch: Epoch,
        seals: Option<(Sealer, Opener)>,
    ) -> (LegSpec, Telephone) {
        let spec = LegSpec {
            codec: self.codec,
            payload_type: self.send_type,
            telephone_event: self.events.map(|events| events.send_type),
            packet_ms: self.packet_ms,
            identity,
            protection: seals,
            bounds,
            // One handshake is for one port: reports beside it have no keys.
            rtcp: self.destination.is_muxed || !matches!(self.protection, Protection::Dtls { .. }),
            epoch,
        };
        (spec, self.telephone())
    }

    /// What is the telephone's own about that leg.
    pub fn telephone(&self) -> Telephone {
        Telephone {
            receive_type: Some(self.receive_type),
            receive_event: self.events.map(|events| events.receive_type),
            event_hz: self.events.map(|events| events.clock_hz),
            comfort_noise: self.comfort_noise.then_some(COMFORT),
            fills_silence: true,
            keys_in_band: self.events.is_none(),
            is_quiet: !self.direction.sends() || self.destination.rtp.is_none(),
            is_paused: !self.direction.hears(),
        }
    }
}
