//! `[sip]` and `[rtp]`: how telephones and trunks reach this server, and who may register here.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use bot::routing::{Unknown, source::Network};
use serde::Deserialize;

use super::{LOOPBACK, host};

/// `[sip]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// The address to listen on; anything but loopback needs an API key.
    #[serde(deserialize_with = "host")]
    pub host: IpAddr,
    /// UDP and TCP port; 0 switches them off.
    pub port: u16,
    /// TLS port; 0 switches it off, and so does having no certificate.
    pub tls_port: u16,
    /// The address or name that others are told instead, where a router maps one to the other or a certificate
    /// demands a name.
    pub advertise: Option<String>,
    /// The domain whose users register here, and the realm they are asked for; `advertise`, or the address, when not
    /// set.
    pub domain: Option<String>,
    /// The certificate chain that TLS shows, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Whoever connects by TLS must show a certificate that one of these signed, in PEM.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether whoever connects by TLS is only asked for that certificate, and heard without one.
    pub tls_client_optional: bool,
    /// Whom we connect to by TLS is vouched for by one of these, in PEM; the system's when not set.
    pub tls_roots: Option<PathBuf>,
    /// The language of menus that name none, such as `de-DE`; that of their voice when not set.
    pub language: Option<String>,
    /// What others are told we are; nothing when empty.
    pub user_agent: String,
    /// Who may register, and make the calls that demand a password.
    pub users: Vec<User>,
    /// How passwords are proved: `md5`, which every telephone knows; `sha256`; or `both`, from which newer telephones
    /// choose and on which some older ones give up.
    pub digest: Digest,
    /// Seconds that a registration lasts at least; shorter ones are refused (423).
    pub register_min_s: u32,
    /// Seconds that a registration lasts at most; longer ones are shortened.
    pub register_max_s: u32,
    /// Networks that may try out as many numbers as they like, such as a proxy in front.
    pub trusted: Vec<Network>,
    /// What callers of unknown numbers are told: `not_found` (404) or `challenge` (401, as numbers that demand a
    /// password answer, so that nobody learns which numbers there are).
    pub unknown: Unknown,
}

/// How passwords are proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// By MD5 (RFC 3261).
    #[default]
    Md5,
    /// By SHA-256 (RFC 8760).
    Sha256,
    /// By either.
    Both,
}

/// Somebody who may register.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// As in `sip:NAME@domain`.
    pub name: String,
    /// Their password.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `[rtp]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rtp {
    /// First UDP port.
    pub port_min: u16,
    /// Last UDP port.
    pub port_max: u16,
    /// The address that others are told for sound; `sip.advertise` when not set and that is one.
    pub advertise: Option<IpAddr>,
    /// Whether sound is encrypted.
    pub srtp: Srtp,
    /// Seconds without a packet after which a call that is not on hold is ended; 0 never ends one.
    pub timeout_s: u64,
}

/// Whether sound is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    /// Where the other side can.
    #[default]
    Prefer,
    /// Or there is no call. What we offer has its keys in the description (SDES).
    Require,
    /// Or there is no call, with keys by DTLS and in no other way.
    Dtls,
    /// Never.
    Off,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            host: LOOPBACK,
            port: 5_060,
            tls_port: 5_061,
            advertise: None,
            domain: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_optional: false,
            tls_roots: None,
            language: None,
            user_agent: "harmony".to_owned(),
            users: Vec::new(),
            digest: Digest::Md5,
            // Keeps a NAT open where telephones ask for it, and a hundred of them cost two messages a second.
            register_min_s: 60,
            // A telephone that vanished is called in vain for an hour at most.
            register_max_s: 3_600,
            trusted: Vec::new(),
            unknown: Unknown::NotFound,
        }
    }
}

impl Default for Rtp {
    fn default() -> Self {
        // Half a minute outlasts every hand-over between networks; nobody listens to silence for longer.
        Self { port_min: 20_000, port_max: 29_999, advertise: None, srtp: Srtp::Prefer, timeout_s: 30 }
    }
}

impl Sip {
    /// Where UDP and TCP listen, unless they are off.
    pub fn address(&self) -> Option<SocketAddr> {
        (self.port != 0).then(|| SocketAddr::new(self.host, self.port))
    }

    /// Where TLS listens, unless it is off.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        (self.tls_port != 0 && self.tls_cert.is_some()).then(|| SocketAddr::new(self.host, self.tls_port))
    }

    /// The domain whose users register here.
    pub fn domain(&self) -> String {
        let told = self.domain.as_ref().or(self.advertise.as_ref());
        told.cloned().unwrap_or_else(|| bracketed(self.host))
    }

    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let wrong = |key, why: &str| Some((key, why.to_owned()));
        for (key, text) in [("sip.advertise", &self.advertise), ("sip.domain", &self.domain)] {
            if text.as_ref().is_some_and(|text| !is_host(text)) {
                return wrong(key, "must be a host name or an address, without port");
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return wrong("sip.tls_key", "must be set where sip.tls_cert is"),
            (None, Some(_)) => return wrong("sip.tls_cert", "must be set where sip.tls_key is"),
            (None, None) if self.tls_client_ca.is_some() => {
                return wrong("sip.tls_client_ca", "needs sip.tls_cert and sip.tls_key");
            }
            _ if self.tls_client_optional && self.tls_client_ca.is_none() => {
                return wrong("sip.tls_client_optional", "needs sip.tls_client_ca");
            }
            _ => {}
        }
        if self.port != 0 && self.port == self.tls_port {
            return wrong("sip.tls_port", "must not be sip.port");
        }
        if self.register_min_s == 0 || self.register_min_s > self.register_max_s {
            return wrong("sip.register_min_s", "must be 1 to sip.register_max_s");
        }
        if self.user_agent.chars().any(char::is_control) || self.user_agent.len() > 128 {
            return wrong("sip.user_agent", "must be one line of at most 128 bytes");
        }
        let mut names = BTreeSet::new();
        for user in &self.users {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte);
            if user.name.is_empty() || !user.name.bytes().all(is_name) {
                return wrong("sip.users", "must have names of letters, digits and -_.!~*'()+");
            }
            if user.password.is_empty() {
                return Some(("sip.users", format!("must have passwords, and {:?} has none", user.name)));
            }
            if !names.insert(&user.name) {
                return Some(("sip.users", format!("must have different names, and there are two {:?}", user.name)));
            }
        }
        None
    }
}

impl Rtp {
    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        (self.port_min > self.port_max).then(|| ("rtp.port_min", "must not lie above rtp.port_max".to_owned()))
    }
}

/// Whether the text is a host name or an address.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().is_ok() || text.len() <= 253 && text.split('.').all(is_label)
}

/// As it stands in a URI.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
