//! What one audio section says, drawn together from its own lines and the session's.

use std::{borrow::Cow, net::SocketAddr};

use media::codec::voice::{Codec, OpusOptions};

use super::{
    Direction, Dtls, Host, Ice, Local, Media, Refusal, Session, parse::address_of, refusal::quoted, srtp::Crypto,
};

/// The least that Opus is asked for: below it a voice is not itself any more.
const OPUS_LEAST_BPS: u32 = 8_000;

/// The name of events in `a=rtpmap`.
pub(super) const EVENT: &str = "telephone-event";

/// The static payload type of comfort noise.
pub(super) const COMFORT: u8 = 13;

/// An audio section.
#[derive(Debug)]
pub(super) struct Audio<'a> {
    pub(super) media: &'a Media,
    pub(super) formats: Vec<Format<'a>>,
    /// As they see it; who is held by its address hears nothing.
    pub(super) direction: Direction,
    /// `None` where it is held by its address.
    pub(super) rtp: Option<SocketAddr>,
    pub(super) rtcp: Option<SocketAddr>,
    pub(super) is_muxed: bool,
    pub(super) packet_ms: Option<u32>,
    pub(super) longest_ms: Option<u32>,
    pub(super) keying: Keying,
    pub(super) ice: Option<Ice>,
}

/// How keys are agreed on.
#[derive(Debug)]
pub(super) enum Keying {
    /// RTP/AVP, perhaps with keys for who wants them (RFC 8643).
    Plain(Vec<Crypto>),
    /// RTP/SAVP.
    Sdes(Result<Vec<Crypto>, &'static str>),
    /// UDP/TLS/RTP/SAVP.
    Dtls(Result<Dtls, &'static str>),
}

/// One payload type, and what it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format<'a> {
    pub(super) number: u8,
    pub(super) name: Cow<'a, str>,
    pub(super) clock_hz: u32,
    channels: u8,
    parameters: Option<&'a str>,
}

impl<'a> Audio<'a> {
    /// Reads `media` of `session`, which is at `local` to us.
    pub(super) fn read(session: &'a Session, media: &'a Media, local: &Local) -> Result<Self, Refusal> {
        let host = media.connection.as_ref().or(session.connection.as_ref()).ok_or(Refusal::NoAddress)?;
        let direction = direction(session, media);
        let rtp = destination(host, media.port, local)?;
        let rtcp = match media.value("rtcp") {
            Some(said) if rtp.is_some() => rtcp(said, host, local)?,
            _ => None,
        };
        let milliseconds = |name| {
            let said = media.value(name).or_else(|| session.value(name))?;
            said.trim().parse().ok().filter(|ms| *ms > 0)
        };
        Ok(Self {
            formats: formats(media),
            direction: Direction::of(direction.sends(), direction.hears() && rtp.is_some()),
            rtp,
            rtcp,
            is_muxed: media.has("rtcp-mux"),
            packet_ms: milliseconds("ptime"),
            longest_ms: milliseconds("maxptime"),
            keying: keying(session, media)?,
            ice: Ice::read(session, media),
            media,
        })
    }

    /// The first payload type that means `codec`.
    pub(super) fn find(&self, codec: Codec) -> Option<&Format<'a>> {
        self.formats.iter().find(|format| format.is(codec))
    }

    /// The payload type of events at this clock; at another where there is none.
    pub(super) fn events(&self, clock_hz: u32) -> Option<&Format<'a>> {
        let mut events = self.formats.iter().filter(|format| format.name.eq_ignore_ascii_case(EVENT));
        let mut others = events.clone();
        events.find(|format| format.clock_hz == clock_hz).or_else(|| others.find(|format| format.clock_hz > 0))
    }

    /// Whether silence may be described instead of sent.
    pub(super) fn has_comfort_noise(&self) -> bool {
        let is_comfort = |format: &Format<'_>| format.number == COMFORT && format.name.eq_ignore_ascii_case("CN");
        self.formats.iter().any(is_comfort)
    }

    /// What it has, for a refusal.
    pub(super) fn names(&self) -> String {
        quoted(self.formats.iter().map(|format| &*format.name))
    }
}

impl Format<'_> {
    fn is(&self, codec: Codec) -> bool {
        if !self.name.eq_ignore_ascii_case(codec.name()) {
            return false;
        }
        match codec {
            Codec::Pcmu | Codec::Pcma => self.clock_hz == 8_000 && self.channels == 1,
            // The clock that is right says 8,000; who thinks that wrong says 16,000 and ticks at 8,000.
            Codec::G722 => matches!(self.clock_hz, 8_000 | 16_000) && self.channels == 1,
            // Two channels are written whatever is sent (RFC 7587 section 7); not by all.
            Codec::Opus(_) => self.clock_hz == 48_000,
            Codec::L16 { rate_hz } => self.clock_hz == rate_hz && self.channels == 1,
        }
    }

    /// `codec` as the far end wants to hear it.
    pub(super) fn tuned(&self, codec: Codec) -> Codec {
        let Codec::Opus(ours) = codec else { return codec };
        let says = |name| self.parameter(name) == Some("1");
        let most = self.parameter("maxaveragebitrate").and_then(|bits| bits.parse::<u32>().ok());
        Codec::Opus(OpusOptions {
            bitrate_bps: most.map_or(ours.bitrate_bps, |most| most.max(OPUS_LEAST_BPS).min(ours.bitrate_bps)),
            fec: ours.fec && says("useinbandfec"),
            dtx: ours.dtx && says("usedtx"),
            complexity: ours.complexity,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters?.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

fn direction(session: &Session, media: &Media) -> Direction {
    let said = |attributes: &[super::Attribute]| attributes.iter().find_map(|a| Direction::named(&a.name));
    said(&media.attributes).or_else(|| said(&session.attributes)).unwrap_or_default()
}

/// Where to send; `None` for who is held by an address that is none (RFC 3264 section 8.4, RFC 6157).
fn destination(host: &Host, port: u16, local: &Local) -> Result<Option<SocketAddr>, Refusal> {
    let ip = match host {
        Host::Ip(ip) => ip.to_canonical(),
        Host::Name(name) if name.to_ascii_lowercase().ends_with(".invalid") => return Ok(None),
        Host::Name(_) => return Err(Refusal::HostName),
    };
    if ip.is_unspecified() {
        return Ok(None);
    }
    if ip.is_multicast() {
        return Err(Refusal::Multicast);
    }
    let ours = local.ip.to_canonical();
    if ip.is_ipv4() != ours.is_ipv4() {
        return Err(Refusal::Family(if ours.is_ipv4() { "IPv4" } else { "IPv6" }));
    }
    Ok(Some(SocketAddr::new(ip, port)))
}

/// `port` or `port IN IP4 address` (RFC 3605).
fn rtcp(said: &str, host: &Host, local: &Local) -> Result<Option<SocketAddr>, Refusal> {
    let mut words = said.split_ascii_whitespace();
    let Some(port) = words.next().and_then(|port| port.parse().ok()).filter(|port| *port != 0) else { return Ok(None) };
    match words.nth(2) {
        Some(address) => destination(&address_of(address).ok_or(Refusal::NoAddress)?, port, local),
        None => destination(host, port, local),
    }
}

fn keying(session: &Session, media: &Media) -> Result<Keying, Refusal> {
    let cryptos = || Crypto::read(media.values("crypto"));
    let dtls = || Dtls::read(session, media);
    Ok(match media.protocol.to_ascii_uppercase().as_str() {
        "RTP/AVP" | "RTP/AVPF" => Keying::Plain(cryptos().unwrap_or_default()),
        // Before there was a name for it, DTLS was offered so.
        "RTP/SAVP" | "RTP/SAVPF" => match dtls() {
            Some(dtls) if !media.has("crypto") => Keying::Dtls(dtls),
            _ => Keying::Sdes(cryptos()),
        },
        "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Keying::Dtls(dtls().unwrap_or(Err("it has no fingerprint"))),
        _ => return Err(Refusal::Transport(quoted([media.protocol.as_str()]))),
    })
}

/// The payload types that can be told from RTCP on the same port, each once, with what they mean.
fn formats(media: &Media) -> Vec<Format<'_>> {
    let mut formats: Vec<Format<'_>> = Vec::new();
    for text in &media.formats {
        let Some(number) = text.parse::<u8>().ok().filter(|number| matches!(*number, 0..=63 | 96..=127)) else {
            continue;
        };
        if formats.iter().any(|format| format.number == number) {
            continue;
        }
        let of_number = |line: &'_ str| -> Option<usize> {
            let (format, _) = line.split_once(' ')?;
            (format.parse() == Ok(number)).then_some(format.len() + 1)
        };
        let said = |name| media.values(name).find_map(|line| of_number(line).map(|at| line[at..].trim()));
        let parameters = said("fmtp");
        let mapped = said("rtpmap").and_then(|map| {
            let mut parts = map.split('/');
            let (name, clock) = (parts.next()?, parts.next()?);
            let channels = parts.next().map_or(Some(1), |channels| channels.trim().parse().ok())?;
            Some((Cow::Borrowed(name.trim()), clock.trim().parse().ok()?, channels))
        });
        let Some((name, clock_hz, channels)) = mapped.or_else(|| well_known(number)) else { continue };
        formats.push(Format { number, name, clock_hz, channels, parameters });
    }
    formats
}

/// Payload types that need no `a=rtpmap` (RFC 3551), of those that are spoken here.
fn well_known(number: u8) -> Option<(Cow<'static, str>, u32, u8)> {
    let name = match number {
        0 => "PCMU",
        3 => "GSM",
        8 => "PCMA",
        9 => "G722",
        COMFORT => "CN",
        18 => "G729",
        _ => return None,
    };
    Some((Cow::Borrowed(name), 8_000, 1))
}
