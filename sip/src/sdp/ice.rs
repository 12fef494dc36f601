//! What a description says of ICE (RFC 8839): read from the far end, written for ours.
//!
//! We are lite: one candidate, no checks of our own; who offers ICE checks us, and the transport must answer.

use std::net::{IpAddr, SocketAddr};

use super::{Attribute, Media, Session};

/// Candidates taken from one description.
const CANDIDATES_MAX: usize = 32;

/// What a host candidate of ours counts (RFC 8445 section 5.1.2), for RTP; for RTCP one less.
const PRIORITY: u32 = (126 << 24) + (65_535 << 8) + 255;

/// Names one end of ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user, 4 to 256 letters.
    pub ufrag: String,
    /// The secret, 22 to 256 letters.
    pub pwd: String,
}

/// The far end's ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ice {
    /// What its checks are known by.
    pub credentials: Credentials,
    /// Whether it sends no checks either.
    pub is_lite: bool,
    /// Where it may be; what is no UDP address is left out.
    pub candidates: Vec<Candidate>,
}

/// A place where the far end may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// 1 for RTP, 2 for RTCP beside it.
    pub component: u16,
    /// The higher the better.
    pub priority: u32,
    /// Where.
    pub address: SocketAddr,
}

impl Ice {
    /// What `media` of `session` says, if it says all that is needed.
    pub(super) fn read(session: &Session, media: &Media) -> Option<Self> {
        let named = |name| media.value(name).or_else(|| session.value(name)).map(str::to_owned);
        let (ufrag, pwd) = (named("ice-ufrag")?, named("ice-pwd")?);
        if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&pwd.len()) {
            return None;
        }
        let candidates = media.values("candidate").filter_map(candidate).take(CANDIDATES_MAX).collect();
        let is_lite = session.attributes.iter().any(|attribute| attribute.name == "ice-lite");
        Some(Self { credentials: Credentials { ufrag, pwd }, is_lite, candidates })
    }
}

/// `foundation component transport priority address port typ kind…`
fn candidate(text: &str) -> Option<Candidate> {
    let mut words = text.split_ascii_whitespace();
    words.next()?;
    let component = words.next()?.parse().ok().filter(|component| (1..=2).contains(component))?;
    if !words.next()?.eq_ignore_ascii_case("udp") {
        return None;
    }
    let priority = words.next()?.parse().ok()?;
    let ip: IpAddr = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let is_typed = words.next() == Some("typ") && words.next().is_some();
    let is_usable = is_typed && !ip.is_unspecified() && !ip.is_multicast();
    is_usable.then(|| Candidate { component, priority, address: SocketAddr::new(ip, port) })
}

/// Whether a section speaks of ICE.
pub(super) fn is_spoken(media: &Media) -> bool {
    media.has("ice-ufrag")
}

/// What our section says of ICE, with RTP at `rtp` and RTCP beside it at `rtcp`.
pub(super) fn lines(credentials: &Credentials, ip: IpAddr, rtp: u16, rtcp: Option<u16>) -> Vec<Attribute> {
    let mut lines = vec![
        Attribute::of("ice-ufrag", &credentials.ufrag),
        Attribute::of("ice-pwd", &credentials.pwd),
        Attribute::of("candidate", format!("1 1 UDP {PRIORITY} {ip} {rtp} typ host")),
    ];
    lines.extend(rtcp.map(|port| Attribute::of("candidate", format!("1 2 UDP {} {ip} {port} typ host", PRIORITY - 1))));
    lines
}
