//! How the endpoint is set up, and what bounds it.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use crate::{message::Method, transaction::Timing, transport::Target};

/// How the endpoint is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The value of User-Agent and Server; empty for none.
    pub user_agent: String,
    /// T1, T2 and T4.
    pub timing: Timing,
    /// What bounds it.
    pub limits: Limits,
    /// Session timers.
    pub session: SessionTimer,
    /// How others reach us.
    pub advertise: Advertise,
    /// Requests outside of dialogs that are handed up as [`Output::Asked`](super::Output::Asked): REGISTER for a
    /// registrar, MESSAGE. Other known ones get 405, unknown ones 501.
    pub asked: Vec<Method>,
    /// Content types that INFO may have; others get 415.
    pub info_types: Vec<String>,
    /// Whether responses go back to the port that a request came from even where its Via does not ask for it
    /// (RFC 3581): for phones behind a NAT that know nothing of it.
    pub force_rport: bool,
    /// What tags, branches and Call-IDs are drawn from. From the system's generator, so that nobody guesses them; the
    /// same seed and the same inputs give the same outputs.
    pub seed: [u8; 32],
}

/// What bounds the endpoint. Where one is reached, new requests get 503 with Retry-After and commands are refused;
/// what is there goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls, from the first INVITE until nothing is owed any more. Each holds some 10 KiB.
    pub calls: usize,
    /// Calls that one source address placed with us.
    pub calls_per_source: usize,
    /// New INVITEs of one source address in a second, on average.
    pub invites_per_source_per_s: u32,
    /// How many may come at once.
    pub invites_per_source_burst: u32,
    /// Transactions of either side; a call makes about three, each of which lingers for 32 s. Requests within
    /// dialogs may take a quarter more, so that calls can be ended when all is full.
    pub transactions: usize,
    /// Dialogs that one INVITE may make; whoever answers beyond is told BYE.
    pub forks: usize,
    /// How long a call may ring, either way.
    pub ringing: Duration,
    /// The Retry-After of a 503, in seconds.
    pub retry_after_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 2_000,
            calls_per_source: 1_000,
            // Twice what a busy trunk sends; phones never reach it, and a flood is held to it.
            invites_per_source_per_s: 200,
            invites_per_source_burst: 400,
            transactions: 50_000,
            forks: 8,
            ringing: Duration::from_secs(180),
            retry_after_s: 5,
        }
    }
}

/// Session timers (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// What we ask for, in seconds; `None` asks for none, and obeys what the other side asks for.
    pub expires_s: Option<u32>,
    /// The shortest that we accept, in seconds; at least 90.
    pub min_se_s: u32,
}

impl Default for SessionTimer {
    /// Half an hour, as the RFC recommends.
    fn default() -> Self {
        Self { expires_s: Some(1_800), min_se_s: 90 }
    }
}

/// Tells which host and port to name in Via and Contact towards a target, for each trunk and interface.
#[derive(Clone)]
pub struct Advertise(Arc<dyn Fn(&Target) -> HostPort + Send + Sync>);

impl Advertise {
    /// Asked for each message; the same target must give the same answer.
    pub fn new(table: impl Fn(&Target) -> HostPort + Send + Sync + 'static) -> Self {
        Self(Arc::new(table))
    }

    /// The same towards everybody.
    pub fn always(host: &str, port: u16) -> Self {
        let here = HostPort { host: host.to_owned(), port };
        Self::new(move |_| here.clone())
    }

    pub(crate) fn towards(&self, target: &Target) -> HostPort {
        (self.0)(target)
    }
}

impl fmt::Debug for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Advertise")
    }
}

/// A host as a URI writes it, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address; IPv6 in brackets.
    pub host: String,
    /// Always written.
    pub port: u16,
}

impl HostPort {
    /// An address, as a URI writes it.
    pub fn of(address: IpAddr, port: u16) -> Self {
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self { host, port }
    }
}

impl Config {
    /// The defaults, towards everybody from one host and port.
    pub fn new(advertise: Advertise, seed: [u8; 32]) -> Self {
        Self {
            user_agent: concat!("Harmony/", env!("CARGO_PKG_VERSION")).to_owned(),
            timing: Timing::default(),
            limits: Limits::default(),
            session: SessionTimer::default(),
            advertise,
            asked: vec![Method::Register],
            info_types: ["application/dtmf-relay", "application/dtmf"].map(str::to_owned).to_vec(),
            force_rport: false,
            seed,
        }
    }
}
