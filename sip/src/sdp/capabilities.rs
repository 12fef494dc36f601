//! What we can do on a line, and where: the codecs in order, the policy of protection, our address.

use std::net::IpAddr;

use media::{
    codec::voice::{Codec, OpusOptions},
    rtp::srtp::Profile,
};

use super::Credentials;

/// What can be agreed on with the far ends of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Codecs, the best first.
    pub codecs: Vec<Codec>,
    /// Whose order counts when we answer.
    pub choice: Choice,
    /// Whether keys are told as events (RFC 4733).
    pub telephone_event: bool,
    /// Whether silence may be left out and described instead (RFC 3389), beside codecs of 8 kHz.
    pub comfort_noise: bool,
    /// How long we like packets to be: 10, 20, 40 or 60 ms.
    pub packet_ms: u32,
    /// Protection.
    pub srtp: Srtp,
    /// Sets of algorithms, the best first.
    pub suites: Vec<Profile>,
    /// Whether our own `a=crypto` lines say how long keys live: Teams wants it, some old telephones break on it. An
    /// answer does as the offer did.
    pub says_lifetime: bool,
    /// Whether RTCP may go through the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// Whether our own first offer speaks of ICE, where our place has an end of it: some old telephones break on it. An answer
    /// does where the offer did.
    pub offers_ice: bool,
    /// The fingerprint of our certificate, `sha-256 AB:…`, where keys may be agreed on by DTLS: only where the
    /// transport shakes hands. Without it such an offer is refused; without `suites` beside it nothing else is taken for
    /// protection.
    pub fingerprint: Option<String>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            codecs: vec![Codec::Opus(OpusOptions::default()), Codec::G722, Codec::Pcmu, Codec::Pcma],
            choice: Choice::Ours,
            telephone_event: true,
            comfort_noise: true,
            packet_ms: 20,
            srtp: Srtp::Accepted,
            suites: vec![
                Profile::AesCm128HmacSha1_80,
                Profile::AeadAes256Gcm,
                Profile::AeadAes128Gcm,
                Profile::AesCm128HmacSha1_32,
            ],
            says_lifetime: false,
            rtcp_mux: true,
            offers_ice: false,
            fingerprint: None,
        }
    }
}

/// Whose order of codecs counts when we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Ours: the room hears the best that both have.
    Ours,
    /// Theirs, as RFC 3264 section 6.1 recommends: for trunks that charge or transcode by codec.
    Theirs,
}

/// What policy says of SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    /// Neither offered nor taken.
    Forbidden,
    /// Not offered, but taken.
    Accepted,
    /// Offered so that who does not know it is heard in the clear (RFC 8643), and taken.
    Offered,
    /// Nothing else.
    Required,
}

/// Where we are to the far end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Our address as it sees us.
    pub ip: IpAddr,
    /// Where RTP is heard.
    pub rtp: u16,
    /// Where RTCP is heard beside it; `None` where there is one port for both.
    pub rtcp: Option<u16>,
    /// Our end of ICE-lite: only where the transport answers checks.
    pub ice: Option<Credentials>,
}
