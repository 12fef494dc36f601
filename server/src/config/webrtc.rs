//! `[webrtc]`: how browsers reach this server's sound, and what they are told of other servers.

use std::net::IpAddr;

use serde::Deserialize;

/// `[webrtc]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webrtc {
    /// The address that sockets are bound to; `http.host` when not set.
    pub host: Option<IpAddr>,
    /// The address that callers are told instead, where a router maps one to the other.
    pub advertise: Option<IpAddr>,
    /// First UDP port; `rtp.port_min` when not set.
    pub port_min: Option<u16>,
    /// Last UDP port; `rtp.port_max` when not set.
    pub port_max: Option<u16>,
    /// STUN servers, such as `stun:stun.example.org:3478`: asked how the world sees us, and told to callers.
    pub stun: Vec<String>,
    /// TURN servers that callers are told.
    pub turn: Vec<Turn>,
    /// Callers at once.
    pub max_peers: usize,
    /// Seconds that a caller may take to connect.
    pub setup_s: u64,
    /// Seconds that a caller is waited for who was connected and is silent for five.
    pub gone_s: u64,
}

/// A TURN server, through which callers reach us whose network lets nothing else through.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Such as `turn:turn.example.org:3478?transport=udp`.
    pub url: String,
    /// Who the callers are there.
    pub username: String,
    /// Their password there. Everybody who may call learns it.
    pub credential: String,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("url", &self.url).field("username", &self.username).finish_non_exhaustive()
    }
}

impl Default for Webrtc {
    fn default() -> Self {
        Self {
            host: None,
            advertise: None,
            port_min: None,
            port_max: None,
            stun: Vec::new(),
            turn: Vec::new(),
            // A caller costs about 1 % of a core and, with its codecs, half a MB.
            max_peers: 500,
            // Browsers give up after 15 to 30 s; by then a path was found or there is none.
            setup_s: 25,
            // A telephone that changes its network comes back within half a minute or not at all.
            gone_s: 30,
        }
    }
}

impl Webrtc {
    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if let (Some(min), Some(max)) = (self.port_min, self.port_max)
            && min > max
        {
            return Some(("webrtc.port_min", "must not lie above webrtc.port_max".to_owned()));
        }
        if self.max_peers == 0 {
            return Some(("webrtc.max_peers", "must be at least 1".to_owned()));
        }
        for (key, urls, schemes) in [
            ("webrtc.stun", self.stun.iter().map(String::as_str).collect::<Vec<_>>(), ["stun:", "stuns:"]),
            ("webrtc.turn", self.turn.iter().map(|turn| turn.url.as_str()).collect(), ["turn:", "turns:"]),
        ] {
            for url in urls {
                let is_sound =
                    schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
                        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
                if !is_sound {
                    let example = format!("{}server.example.org:3478", schemes[0]);
                    return Some((key, format!("must hold URLs such as {example}, not {url:?}")));
                }
            }
        }
        None
    }
}
