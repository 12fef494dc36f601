//! `[[trunks]]`: lines to the telephone network and to other exchanges.

use std::{collections::BTreeSet, time::Duration};

use bot::routing::{source::Network, trunk};
use serde::Deserialize;
use sip::{auth::Credentials, message::Uri, registration};

use super::sip::{Srtp, is_host};

/// One trunk.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// What numbers and applications call it by.
    pub name: String,
    /// Where it is: `sip:HOST`, `sip:HOST:PORT` or `sips:HOST`.
    pub uri: String,
    /// Where else it is, in the order in which it is tried.
    #[serde(default)]
    pub failover: Vec<String>,
    /// How it is reached; UDP, and TLS for `sips:`, when not set.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// Our name there.
    #[serde(default)]
    pub user: Option<String>,
    /// The name that goes with the password, where it is another.
    #[serde(default)]
    pub auth_user: Option<String>,
    /// Our password there.
    #[serde(default)]
    pub password: Option<String>,
    /// Whether we register there, so that it knows where to send calls.
    #[serde(default)]
    pub register: bool,
    /// Seconds that a registration should last.
    #[serde(default = "expires_s")]
    pub expires_s: u32,
    /// Who calls that way: a number or name; `user` when not set.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// What is spoken there, best first; everything we can when empty.
    #[serde(default)]
    pub codecs: Vec<Codec>,
    /// Whether sound is encrypted there; as `rtp.srtp` says when not set.
    #[serde(default)]
    pub srtp: Option<Srtp>,
    /// Whether our offers speak of ICE there: for a trunk that sends its sound past its own servers.
    #[serde(default)]
    pub ice: bool,
    /// The certificate that its calls must come with by TLS: a name that stands in it, or `sha-256 AB:CD:…`. They come from
    /// anywhere then, or only from where `allow` says.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// The address or name that it is told; `sip.advertise` when not set.
    #[serde(default)]
    pub advertise: Option<String>,
    /// Where its calls come from; the addresses of `uri` and `failover` when empty and there is no `certificate`.
    #[serde(default)]
    pub allow: Vec<Network>,
    /// Calls at once, both directions together.
    #[serde(default = "calls_at_once")]
    pub calls_at_once: u32,
    /// Calls that begin in any second, both directions together.
    #[serde(default = "calls_per_second")]
    pub calls_per_second: u32,
    /// Seconds between two OPTIONS, which tell whether it is there; 0 asks never.
    #[serde(default = "keepalive_s")]
    pub keepalive_s: u32,
}

impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trunk").field("name", &self.name).field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// What a certificate must be, or hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Certificate {
    /// A host name or an address that stands in it.
    Name(String),
    /// The SHA-256 of the whole.
    Fingerprint([u8; 32]),
}

impl TryFrom<String> for Certificate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let Some(bytes) = text.strip_prefix("sha-256 ") else {
            return if is_host(&text) { Ok(Self::Name(text)) } else { Err(BAD_CERTIFICATE) };
        };
        let byte = |text: &str| (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten();
        let bytes: Option<Vec<u8>> = bytes.trim().split(':').map(byte).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self::Fingerprint).ok_or(BAD_CERTIFICATE)
    }
}

const BAD_CERTIFICATE: &str = "a certificate is a host name that stands in it, or sha-256 and 32 bytes such as AB:CD:…";

/// How a trunk is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted connection.
    Tls,
}

/// What is spoken on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// 48 kHz.
    Opus,
    /// 16 kHz.
    G722,
    /// 8 kHz, µ-law.
    Pcmu,
    /// 8 kHz, A-law.
    Pcma,
}

impl Trunk {
    /// What it may carry.
    pub fn limits(&self) -> trunk::Limits {
        trunk::Limits { calls_at_once: self.calls_at_once, calls_per_second: self.calls_per_second }
    }

    /// What proves who we are there.
    pub fn credentials(&self) -> Option<Credentials> {
        let username = self.auth_user.clone().or_else(|| self.user.clone())?;
        Some(Credentials { username, password: self.password.clone()?, realm: None })
    }

    /// Who we are there: `sip:user@host of the trunk`, or our own domain where we have no user.
    pub fn identity(&self, our_domain: &str) -> Uri {
        match (&self.user, self.servers().next()) {
            (Some(user), Some(server)) => Uri::sip(Some(&Uri::escaped_user(user)), &server.host, None),
            _ => Uri::sip(None, our_domain, None),
        }
    }

    /// How it is kept alive and registered with.
    pub fn line(&self, our_domain: &str) -> sip::trunk::Config {
        let servers: Vec<Uri> = self.servers().collect();
        let is_stream = |uri: &Uri| uri.is_sips() || uri.transport().is_some_and(|transport| transport != "udp");
        let registration = self.user.as_ref().filter(|_| self.register).map(|user| registration::Config {
            aor: self.identity(our_domain),
            servers: servers.clone(),
            contact_user: Uri::escaped_user(user),
            credentials: self.credentials(),
            expires: Duration::from_secs(self.expires_s.into()),
        });
        sip::trunk::Config {
            from: self.identity(our_domain),
            options_every: (self.keepalive_s != 0).then(|| Duration::from_secs(self.keepalive_s.into())),
            pulse_every: servers.iter().any(is_stream).then_some(PULSE_EVERY),
            registration,
            servers,
        }
    }

    /// Where it is, best first, each with the transport that it is reached by.
    fn servers(&self) -> impl Iterator<Item = Uri> {
        std::iter::once(&self.uri).chain(&self.failover).filter_map(|uri| {
            // A text that is no URI has been refused as a fault.
            let mut uri: Uri = uri.parse().ok()?;
            match self.transport {
                Some(Transport::Tcp) => uri.params.set("transport", Some("tcp")),
                Some(Transport::Tls) if !uri.is_sips() => uri.params.set("transport", Some("tls")),
                Some(Transport::Udp | Transport::Tls) | None => {}
            }
            Some(uri)
        })
    }

    fn fault(&self) -> Option<(&'static str, String)> {
        let wrong = |key, why: &str| Some((key, why.to_owned()));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_name) {
            return wrong("name", "must be letters, digits and -_.");
        }
        if !is_place(&self.uri) {
            return wrong("uri", "must be such as sip:sip.example.org or sip:192.0.2.1:5070");
        }
        if !self.failover.iter().all(|uri| is_place(uri)) {
            return wrong("failover", "must hold URIs such as sip:backup.example.org");
        }
        let is_secure = |uri: &String| uri.starts_with("sips:");
        if self.transport.is_some_and(|transport| transport != Transport::Tls)
            && (is_secure(&self.uri) || self.failover.iter().any(is_secure))
        {
            return wrong("transport", "must be tls where a URI is sips:");
        }
        if self.register && self.user.is_none() {
            return wrong("user", "must be set where register is");
        }
        if self.password.is_some() && self.user.is_none() && self.auth_user.is_none() {
            return wrong("user", "must be set where password is");
        }
        for (key, text) in [("user", &self.user), ("auth_user", &self.auth_user), ("caller_id", &self.caller_id)] {
            let is_line = |text: &String| !text.is_empty() && !text.chars().any(char::is_control);
            if text.as_ref().is_some_and(|text| !is_line(text)) {
                return wrong(key, "must be text of one line");
            }
        }
        if self.advertise.as_ref().is_some_and(|text| !is_host(text)) {
            return wrong("advertise", "must be a host name or an address, without port");
        }
        if self.expires_s < EXPIRES_S_MIN {
            return wrong("expires_s", "must be at least 60");
        }
        let codecs: BTreeSet<_> = self.codecs.iter().collect();
        (codecs.len() != self.codecs.len()).then(|| ("codecs", "must be different ones".to_owned()))
    }
}

/// What makes no sense: the key, and why; `asks` says whether whoever connects is asked for a certificate.
pub(super) fn fault(trunks: &[Trunk], asks: bool) -> Option<(String, String)> {
    let mut names = BTreeSet::new();
    for (at, trunk) in trunks.iter().enumerate() {
        if let Some((key, why)) = trunk.fault() {
            return Some((format!("trunks[{at}].{key}"), why));
        }
        if trunk.certificate.is_some() && !asks {
            return Some((format!("trunks[{at}].certificate"), "needs sip.tls_client_ca".to_owned()));
        }
        if !names.insert(&trunk.name) {
            return Some((format!("trunks[{at}].name"), format!("must differ: there are two {:?}", trunk.name)));
        }
    }
    None
}

/// Whether the text says where a server is: a scheme, a host and perhaps a port.
fn is_place(text: &str) -> bool {
    let is_bare = |uri: &Uri| {
        uri.user.is_none()
            && uri.params.is_empty()
            && uri.headers.is_none()
            && uri.port != Some(0)
            && is_host(&uri.host)
    };
    (text.starts_with("sip:") || text.starts_with("sips:")) && text.parse().is_ok_and(|uri| is_bare(&uri))
}

fn expires_s() -> u32 {
    // What registrars grant in most cases anyway.
    600
}

fn calls_at_once() -> u32 {
    // Two primary rate lines; a contract says more or, mostly, less.
    60
}

fn calls_per_second() -> u32 {
    // Carriers allow one to ten; callers of ours that dial by program would be cut off by them.
    10
}

fn keepalive_s() -> u32 {
    // Shorter than NATs forget UDP, and a dead trunk is known within two minutes.
    25
}

/// RFC 5626 section 4.4.1: between 95 and 120 s.
const PULSE_EVERY: Duration = Duration::from_secs(100);

/// Registering more often is a burden that registrars refuse.
const EXPIRES_S_MIN: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_becomes_a_line_with_its_servers_and_its_registration() {
        let trunk: Trunk = toml::from_str(
            "name = \"a\"\nuri = \"sip:a.example\"\nfailover = [\"sip:b.example:5070\"]\ntransport = \"tcp\"
             user = \"line@1\"\nauth_user = \"x\"\npassword = \"y\"\nregister = true\nkeepalive_s = 0",
        )
        .unwrap();
        assert_eq!(trunk.fault(), None);
        let line = trunk.line("ours.example");
        let servers: Vec<_> = line.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["sip:a.example;transport=tcp", "sip:b.example:5070;transport=tcp"]);
        let registration = line.registration.unwrap();
        assert_eq!(registration.aor.to_string(), "sip:line%401@a.example");
        assert_eq!(registration.credentials.unwrap().username, "x");
        assert_eq!((line.options_every, line.pulse_every), (None, Some(PULSE_EVERY)));
        let bare: Trunk = toml::from_str("name = \"a\"\nuri = \"sip:192.0.2.1\"").unwrap();
        assert_eq!(bare.identity("ours.example").to_string(), "sip:ours.example");
        assert_eq!((bare.line("ours.example").registration.is_none(), bare.credentials()), (true, None));
    }

    #[test]
    fn a_certificate_is_a_name_or_a_fingerprint() {
        let read = |text: &str| {
            let text = format!("name = \"a\"\nuri = \"sip:a.example\"\ncertificate = \"{text}\"");
            toml::from_str::<Trunk>(&text).map(|trunk| trunk.certificate.unwrap())
        };
        assert_eq!(read("sbc.example.org").unwrap(), Certificate::Name("sbc.example.org".to_owned()));
        let bytes = ["aB"; 32].join(":");
        assert_eq!(read(&format!("sha-256 {bytes}")).unwrap(), Certificate::Fingerprint([0xab; 32]));
        for wrong in ["", "sbc.example.org:5061", "sha-1 AB:CD", "sha-256 AB:CD", "*.example.org"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let trunk: Trunk = toml::from_str("name = \"a\"\nuri = \"sip:a\"\ncertificate = \"a\"").unwrap();
        assert_eq!(fault(std::slice::from_ref(&trunk), true), None);
        let (key, _) = fault(&[trunk], false).unwrap();
        assert_eq!(key, "trunks[0].certificate");
    }

    #[test]
    fn only_a_scheme_a_host_and_a_port_say_where_a_trunk_is() {
        for (text, is_one) in [
            ("sip:a.example", true),
            ("sips:a.example:5061", true),
            ("sip:[2001:db8::1]:5060", true),
            ("sip:192.0.2.1", true),
            ("a.example", false),
            ("sip:user@a.example", false),
            ("sip:a.example;transport=tcp", false),
            ("sip:a.example:0", false),
            ("sip:2001:db8::1", false),
            ("tel:+49301234", false),
            ("sip:", false),
        ] {
            assert_eq!(is_place(text), is_one, "{text}");
        }
    }
}
