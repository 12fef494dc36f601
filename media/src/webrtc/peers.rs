//! Everybody who calls over WebRTC: their places, their ports, and the one certificate.
//!
//! Runs in tokio tasks. A caller gets a place or is told that there is none; a place is free again when the
//! peer's task has ended, however it did.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use rtc::{
    crypto::{self, SignatureScheme},
    peer_connection::certificate::{CertificateParams, RTCCertificate},
};
use tokio::{
    net::{UdpSocket, lookup_host},
    sync::Semaphore,
    time,
};

use super::{
    connection::Address,
    offer::Offer,
    peer::{self, Answered, Limits, Setup, Sound},
    ports::Ports,
    reflexive::Question,
};

/// A name server that takes longer is as good as none.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);

/// How callers reach us, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address that sockets are bound to; an unspecified one stands for the one that leads to the world.
    pub host: IpAddr,
    /// The address that callers are told instead, where a router maps one to the other.
    pub advertise: Option<IpAddr>,
    /// The UDP ports, one for each caller; 0 to 0 lets the system choose.
    pub ports: RangeInclusive<u16>,
    /// STUN servers as `host:port`; the first that answers says how the world sees us.
    pub stun: Vec<String>,
    /// Callers at once.
    pub peers_max: usize,
    /// How long a caller may take to connect.
    pub setup_limit: Duration,
    /// How long a caller that vanished is waited for.
    pub gone_limit: Duration,
}

/// Why a caller was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Every place is taken: the caller may come back later.
    #[error("all {0} places for WebRTC are taken")]
    Full(usize),
    /// Every port is taken: the caller may come back later, the operator may widen the range.
    #[error("no UDP port is free: {0}")]
    NoPort(#[source] io::Error),
    /// The offer passed our look at it, and the protocol crate refuses it: the caller's to mend.
    #[error("the offer cannot be answered: {0}")]
    Refused(String),
    /// The protocol crate broke over the offer: ours to mend.
    #[error("answering the offer failed inside")]
    Broken,
}

/// Why nobody can be answered at all.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for WebRTC can be made: {0}")]
pub struct NoCertificate(String);

/// Everybody who calls over WebRTC. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Shared>);

struct Shared {
    settings: Settings,
    ports: Ports,
    places: Arc<Semaphore>,
    certificate: RTCCertificate,
}

impl Peers {
    /// All places free. Makes the certificate, which lives as long as this does.
    ///
    /// # Errors
    /// [`NoCertificate`] when the machine has no randomness for one.
    pub fn new(settings: Settings) -> Result<Self, NoCertificate> {
        let certificate = certificate().map_err(NoCertificate)?;
        let ports = Ports::new(settings.host, settings.ports.clone());
        let places = Arc::new(Semaphore::new(settings.peers_max));
        Ok(Self(Arc::new(Shared { settings, ports, places, certificate })))
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.0.settings.peers_max.saturating_sub(self.0.places.available_permits())
    }

    /// Answers `offer` and starts the peer, whose sound is `sound`. Takes as long as a STUN server does, where
    /// one is set; some milliseconds else.
    ///
    /// # Errors
    /// [`AnswerError`]; each variant says whose turn it is.
    pub async fn answer(&self, offer: Offer, sound: Sound) -> Result<Answered, AnswerError> {
        let Shared { settings, ports, places, certificate } = &*self.0;
        let place = places.clone().try_acquire_owned().map_err(|_| AnswerError::Full(settings.peers_max))?;
        let socket = ports.bind().and_then(UdpSocket::from_std).map_err(AnswerError::NoPort)?;
        let bound = socket.local_addr().map_err(AnswerError::NoPort)?;
        let local = settings.advertise.map_or(bound, |ip| SocketAddr::new(ip, bound.port()));
        let reflexive = if settings.advertise.is_none() { self.reflexive(&socket, bound).await } else { None };
        let address = Address { local, reflexive };
        let limits = Limits { setup: settings.setup_limit, gone: settings.gone_limit };
        let certificate = certificate.clone();
        let setup = Setup { offer, socket, address, certificate, sound, limits, place };
        peer::start(setup).await.map_err(|refused| refused.map_or(AnswerError::Broken, AnswerError::Refused))
    }

    async fn reflexive(&self, socket: &UdpSocket, bound: SocketAddr) -> Option<SocketAddr> {
        for server in &self.0.settings.stun {
            let Ok(Ok(addresses)) = time::timeout(RESOLVE_PATIENCE, lookup_host(server)).await else {
                tracing::warn!(server, "the STUN server's name is not found");
                continue;
            };
            let Some(address) = addresses.into_iter().find(|address| address.is_ipv4() == bound.is_ipv4()) else {
                continue;
            };
            let question = Question::new(rand::random());
            match peer::ask_stun(socket, address, &question).await {
                Some(seen) => return Some(seen),
                None => tracing::warn!(server, "the STUN server does not answer"),
            }
        }
        None
    }
}

fn certificate() -> Result<RTCCertificate, String> {
    let provider = crypto::default_provider().map_err(|error| error.to_string())?;
    let params = CertificateParams::new(vec!["harmony".to_owned()]).map_err(|error| error.to_string())?;
    RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)
        .map_err(|error| error.to_string())
}
