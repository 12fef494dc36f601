//! Who calls over WebRTC right now: the peers of the media package, and their sessions by their secret names.
//!
//! Held by [`crate::app::App`]. A session is entered when its caller was answered and removed when its task
//! ends; its name is 128 random bits, so that only who was told it can change or end it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use axum::http::HeaderValue;
use media::webrtc::{Peer, Peers, Settings};

use crate::{config::Config, error::ApiError};

/// Everybody who calls over WebRTC.
pub struct WebRtc {
    settings: Settings,
    peers: OnceLock<Result<Peers, String>>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    ice_servers: Vec<HeaderValue>,
}

/// One caller's session.
pub struct Session {
    /// The caller.
    pub peer: Peer,
    /// The path that it was made at, such as `/whip/r7`.
    pub endpoint: String,
    /// The entity tag of its ICE session.
    pub etag: HeaderValue,
}

impl WebRtc {
    /// Nobody yet. Sockets and the certificate are made for the first caller.
    pub fn new(config: &Config) -> Self {
        let webrtc = &config.webrtc;
        let stun = webrtc.stun.iter().filter_map(|url| url.strip_prefix("stun:"));
        let settings = Settings {
            host: webrtc.host.unwrap_or(config.http.host),
            advertise: webrtc.advertise,
            ports: webrtc.port_min.unwrap_or(config.rtp.port_min)..=webrtc.port_max.unwrap_or(config.rtp.port_max),
            stun: stun.map(with_port).collect(),
            peers_max: webrtc.max_peers,
            setup_limit: Duration::from_secs(webrtc.setup_s),
            gone_limit: Duration::from_secs(webrtc.gone_s),
        };
        Self { settings, peers: OnceLock::new(), sessions: Mutex::default(), ice_servers: ice_servers(config) }
    }

    /// The peers.
    ///
    /// # Errors
    /// 500 when no certificate could be made.
    pub fn peers(&self) -> Result<&Peers, ApiError> {
        let peers = self.peers.get_or_init(|| Peers::new(self.settings.clone()).map_err(|error| error.to_string()));
        peers.as_ref().map_err(|error| {
            tracing::error!(error, "nobody can call over WebRTC");
            ApiError::internal("WebRTC is out of order")
        })
    }

    /// Callers that hold a place.
    pub fn taken(&self) -> usize {
        self.peers.get().and_then(|peers| peers.as_ref().ok()).map_or(0, Peers::taken)
    }

    /// `Link` headers with the STUN and TURN servers that callers may use (RFC 9725 section 4.6).
    pub fn ice_servers(&self) -> &[HeaderValue] {
        &self.ice_servers
    }

    /// Enters a session under a fresh name until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, session: Session) -> Entry {
        let name = format!("{:032x}", rand::random::<u128>());
        let session = Arc::new(session);
        lock(&self.sessions).insert(name.clone(), session.clone());
        Entry { webrtc: self.clone(), name, session }
    }

    /// The session of this name that was made at `endpoint`.
    pub(crate) fn session(&self, endpoint: &str, name: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(name).filter(|session| session.endpoint == endpoint).cloned()
    }
}

/// A session is found by its name until this is dropped.
pub(crate) struct Entry {
    webrtc: Arc<WebRtc>,
    pub(crate) name: String,
    pub(crate) session: Arc<Session>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.webrtc.sessions).remove(&self.name);
    }
}

/// STUN's own port where the URL names none.
fn with_port(server: &str) -> String {
    let (host, _) = server.split_once('?').unwrap_or((server, ""));
    let is_bare = host.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err());
    if is_bare { format!("{host}:3478") } else { host.to_owned() }
}

fn ice_servers(config: &Config) -> Vec<HeaderValue> {
    let stun = config.webrtc.stun.iter().map(|url| format!("<{url}>; rel=\"ice-server\""));
    let turn = config.webrtc.turn.iter().map(|turn| {
        let (username, credential) = (quoted(&turn.username), quoted(&turn.credential));
        format!(
            "<{}>; rel=\"ice-server\"; username={username}; credential={credential}; credential-type=\"password\"",
            turn.url
        )
    });
    stun.chain(turn).filter_map(|link| HeaderValue::from_str(&link).ok()).collect()
}

/// `text` as a quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_as_links_and_asked_at_their_port() {
        let text = "[webrtc]\nstun = [\"stun:stun.example.org\"]\n\
            turn = [{ url = \"turn:turn.example.org?transport=udp\", username = \"a\\\"b\", credential = \"c\" }]\n";
        let config = Config::parse("test.toml".as_ref(), text, []).unwrap();
        let webrtc = WebRtc::new(&config);
        assert_eq!(webrtc.settings.stun, ["stun.example.org:3478"]);
        assert_eq!(
            webrtc.ice_servers(),
            [
                "<stun:stun.example.org>; rel=\"ice-server\"",
                "<turn:turn.example.org?transport=udp>; rel=\"ice-server\"; username=\"a\\\"b\"; credential=\"c\"; \
                 credential-type=\"password\"",
            ]
        );
        assert_eq!(with_port("10.0.0.1:19302"), "10.0.0.1:19302");
    }
}
