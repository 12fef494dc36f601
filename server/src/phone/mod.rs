//! The telephone: SIP calls as legs of rooms.
//!
//! [`exchange`] is the one task that owns the SIP endpoint; [`call`] the task of each call; [`mod@line`] its
//! sound. [`incoming`] takes calls as [`bot::routing`] decides and [`outgoing`] makes them; [`agent`] lets an agent talk;
//! [`calls`] knows them all.
//! What is decided is decided elsewhere: in `sip` what the protocol wants, in `bot` who is called and what a menu
//! does. Nothing here is real time.

mod agent;
pub(crate) mod call;
pub(crate) mod calls;
mod consent;
mod desk;
pub(crate) mod detect;
pub(crate) mod exchange;
mod incoming;
pub(crate) mod line;
pub(crate) mod menu;
pub(crate) mod originate;
pub(crate) mod outgoing;
mod progress;
pub(crate) mod recordings;
mod registered;
mod resolve;
mod sealing;
pub mod sid;
mod start;
mod together;
mod track;
pub(crate) mod trunks;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bot::routing::{Home, Table};
use media::{
    bridge::Bridge,
    codec::voice::{Codec, OpusOptions},
    id::RoomId,
    net::Net,
    time::Epoch,
    webrtc::handshake::Certificate,
};
use sip::{
    message::{Params, Scheme, Uri},
    sdp::{Capabilities, Srtp},
    transport::{Protocol, Source},
};

pub(crate) use self::start::{Listening, start, start_at};
pub use self::start::{NoPhone, connect_at};
use self::{
    calls::Calls,
    desk::Desk,
    exchange::Exchange,
    menu::{Conferences, Menus, Queues},
    outgoing::{NotDialled, Whom},
    recordings::Recorded,
    resolve::Resolver,
    trunks::Lines,
};
use crate::{
    app::App,
    config::{self, Trunk},
};

/// The telephone of this server.
pub(crate) struct Phones {
    exchange: Exchange,
    sip_net: sip::net::Net,
    net: Net,
    certificate: Certificate,
    calls: Calls,
    desk: Arc<Mutex<Desk>>,
    resolver: Resolver,
    table: Table,
    numbering: Home,
    trunks: Vec<Trunk>,
    lines: Lines,
    domains: Vec<String>,
    menus: Menus,
    queues: Queues,
    conferences: Conferences,
    recorded: Recorded,
    sip: config::Sip,
    rtp: config::Rtp,
}

impl Phones {
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Looks names up.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Menus that are running.
    pub(crate) fn menus(&self) -> &Menus {
        &self.menus
    }

    /// Those who wait.
    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Those who talk together.
    pub(crate) fn conferences(&self) -> &Conferences {
        &self.conferences
    }

    /// What was recorded of calls.
    pub(crate) fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// Where sound comes and goes.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// What we show in handshakes for the keys of sound.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The trunk that a request comes by which a certificate proves.
    pub(crate) fn certified(&self, source: &Source) -> Option<&Trunk> {
        trunks::certified(&self.sip_net, &self.trunks, source)
    }

    /// Every call.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What is counted and judged; locked for microseconds.
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What answers which number.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// How numbers of this country are read.
    pub(crate) fn numbering(&self) -> &Home {
        &self.numbering
    }

    /// The lines to the telephone network.
    pub(crate) fn trunks(&self) -> &[Trunk] {
        &self.trunks
    }

    /// Our address, which may be all of them.
    pub(crate) fn here(&self) -> IpAddr {
        self.sip.host
    }

    /// Where SIP listens, for people.
    pub(crate) fn addresses(&self) -> Vec<(Protocol, SocketAddr)> {
        let all = [Protocol::Udp, Protocol::Tcp, Protocol::Tls];
        let bound = |protocol| self.sip_net.addresses(protocol).into_iter().map(move |address| (protocol, address));
        all.into_iter().flat_map(bound).collect()
    }

    /// The domain whose users register here.
    pub(crate) fn domain(&self) -> String {
        self.sip.domain()
    }

    /// The user of our Contact towards others.
    pub(crate) fn contact_user(&self) -> &'static str {
        "harmony"
    }

    /// The address that others are told for sound, where it is not the one that they see.
    pub(crate) fn advertised_sound(&self) -> Option<IpAddr> {
        self.rtp.advertise.or_else(|| self.sip.advertise.as_ref()?.parse().ok())
    }

    /// How long a far end may be silent.
    pub(crate) fn silence(&self) -> Option<Duration> {
        (self.rtp.timeout_s != 0).then(|| Duration::from_secs(self.rtp.timeout_s))
    }

    /// An address of this server.
    pub(crate) fn uri_of(&self, user: &str) -> Uri {
        Uri {
            scheme: Scheme::Sip,
            user: (!user.is_empty()).then(|| Uri::escaped_user(user)),
            host: self.domain(),
            port: None,
            params: Params::default(),
            headers: None,
        }
    }

    /// Whether an address leads to this very server.
    pub(crate) fn is_here(&self, uri: &Uri) -> bool {
        let host = uri.host.trim_end_matches('.');
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host))
    }

    /// Whom an address means: a number, a user of ours, or somebody elsewhere.
    pub(crate) fn whom(&self, uri: &Uri) -> Whom {
        let user = uri.user_unescaped().map(std::borrow::Cow::into_owned);
        match (&uri.scheme, user) {
            (Scheme::Tel, Some(number)) => Whom::Number(number),
            (Scheme::Sip | Scheme::Sips, Some(user)) if self.is_here(uri) && self.is_user(&user) => Whom::User(user),
            _ => Whom::Address(Box::new(uri.clone())),
        }
    }

    /// Whom somebody means who writes a number, `client:user` or an address.
    ///
    /// # Errors
    /// When it is none of them.
    pub(crate) fn whom_called(&self, text: &str) -> Result<Whom, NotDialled> {
        let text = text.trim();
        if let Some(user) = text.strip_prefix("client:") {
            return Ok(Whom::User(user.to_owned()));
        }
        if text.starts_with("sip:") || text.starts_with("sips:") || text.starts_with("tel:") {
            return Ok(self.whom(&text.parse().map_err(|_| NotDialled::Unreadable)?));
        }
        let party = bot::routing::Party::read(text, &self.numbering).map_err(|_| NotDialled::Unreadable)?;
        if self.is_user(party.dialled()) {
            return Ok(Whom::User(party.dialled().to_owned()));
        }
        let is_number = party.dialled().chars().all(|sign| sign.is_ascii_digit() || "+*#".contains(sign));
        if is_number && !party.dialled().is_empty() {
            return Ok(Whom::Number(text.to_owned()));
        }
        Err(NotDialled::Unreadable)
    }

    /// The address of somebody whom a far end is to call.
    ///
    /// # Errors
    /// When it is no address and no number.
    pub(crate) fn address_called(&self, text: &str) -> Result<Uri, NotDialled> {
        match self.whom_called(text)? {
            Whom::Address(uri) => Ok(*uri),
            Whom::Number(number) | Whom::User(number) => Ok(self.uri_of(&number)),
            Whom::Trunk { number, .. } => Ok(self.uri_of(&number)),
        }
    }

    fn is_user(&self, name: &str) -> bool {
        self.sip.users.iter().any(|user| user.name == name)
    }

    /// What is spoken with whoever comes by `trunk`, or by none.
    pub(crate) fn capabilities(&self, trunk: Option<&Trunk>) -> Capabilities {
        let policy = trunk.and_then(|trunk| trunk.srtp).unwrap_or(self.rtp.srtp);
        let srtp = match policy {
            config::Srtp::Prefer => Srtp::Accepted,
            config::Srtp::Require | config::Srtp::Dtls => Srtp::Required,
            config::Srtp::Off => Srtp::Forbidden,
        };
        let mut capabilities = Capabilities {
            srtp,
            offers_ice: trunk.is_some_and(|trunk| trunk.ice),
            fingerprint: Some(self.certificate.fingerprint().to_owned()),
            ..Capabilities::default()
        };
        if policy == config::Srtp::Dtls {
            capabilities.suites.clear();
        }
        if let Some(trunk) = trunk.filter(|trunk| !trunk.codecs.is_empty()) {
            capabilities.codecs = trunk.codecs.iter().map(|codec| codec_of(*codec)).collect();
        }
        capabilities
    }
}

fn codec_of(codec: config::Codec) -> Codec {
    match codec {
        config::Codec::Opus => Codec::Opus(OpusOptions::default()),
        config::Codec::G722 => Codec::G722,
        config::Codec::Pcmu => Codec::Pcmu,
        config::Codec::Pcma => Codec::Pcma,
    }
}

/// A bridge for one leg that hears itself, in no room.
pub(crate) fn echo_bridge(app: &App, epoch: Epoch, rate_hz: u32) -> Bridge {
    static ECHOES: AtomicU64 = AtomicU64::new(FIRST_ECHO);
    let id = RoomId(ECHOES.fetch_add(1, Ordering::Relaxed));
    // A rate that a room can mix at; others are resampled to it.
    let rate_hz = if rate_hz == 24_000 { 48_000 } else { rate_hz };
    app.sounds().switchboard().bridge(id, epoch, rate_hz)
}

/// Where the ids of echoes begin, which are in the engine only: far above those of rooms and of WebRTC's echoes.
const FIRST_ECHO: u64 = 3 << 61;

/// The telephone, shared.
pub(crate) type SharedPhones = Arc<Phones>;
