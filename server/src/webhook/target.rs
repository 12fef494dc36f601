//! A URL that may be called: read once, checked for what any caller needs, and taken apart.
//!
//! Pure: [`Target`] says which name and port a URL means and who it belongs to ([`Origin`]); [`Guard`] decides
//! whether the addresses that the name has may be called. A name, a port and a scheme that somebody made up are
//! harmless until there is an address, so all that is decided here is decided about addresses.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bot::tools::reach;
use url::Url;

use super::error::WebhookError;
use crate::config;

/// The longest URL that is called: TwiML may name one in an attribute, and servers take about 8 kB.
const URL_BYTES_MAX: usize = 8 * 1_024;

/// Who a URL belongs to: scheme, host and port, as browsers use the word. `ws` counts as `http`, `wss` as `https`:
/// it is the same server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL that the configuration names.
    ///
    /// # Errors
    /// [`WebhookError::Url`] when it is none of http, https, ws and wss.
    pub fn of(url: &str) -> Result<Self, WebhookError> {
        Ok(Target::read(url, &["http", "https", "ws", "wss"])?.origin())
    }
}

/// A URL that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: String,
    port: u16,
    is_tls: bool,
}

impl Target {
    /// A URL for HTTP.
    ///
    /// # Errors
    /// [`WebhookError::Url`].
    pub fn http(url: &str) -> Result<Self, WebhookError> {
        Self::read(url, &["http", "https"])
    }

    /// A URL for a WebSocket.
    ///
    /// # Errors
    /// [`WebhookError::Url`].
    pub fn socket(url: &str) -> Result<Self, WebhookError> {
        Self::read(url, &["ws", "wss"])
    }

    fn read(text: &str, schemes: &[&str]) -> Result<Self, WebhookError> {
        let refused = || WebhookError::Url(text.chars().take(SHOWN_CHARS).collect());
        let text = text.trim();
        if text.len() > URL_BYTES_MAX {
            return Err(refused());
        }
        let mut url = Url::parse(text).map_err(|_| refused())?;
        url.set_fragment(None);
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(refused)?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or_else(refused)?;
        if !schemes.contains(&url.scheme()) {
            return Err(refused());
        }
        let is_tls = matches!(url.scheme(), "https" | "wss");
        Ok(Self { url, host, port, is_tls })
    }

    /// Where an answer's `Location` leads.
    ///
    /// # Errors
    /// [`WebhookError::Url`].
    pub fn follow(&self, location: &str) -> Result<Self, WebhookError> {
        let refused = || WebhookError::Url(location.chars().take(SHOWN_CHARS).collect());
        Self::http(self.url.join(location).map_err(|_| refused())?.as_str())
    }

    /// The same, with more in its query.
    pub fn with_query(mut self, params: &[(String, String)]) -> Self {
        if !params.is_empty() {
            self.url.query_pairs_mut().extend_pairs(params);
        }
        self
    }

    /// Who it belongs to.
    pub fn origin(&self) -> Origin {
        Origin { is_tls: self.is_tls, host: self.host.trim_end_matches('.').to_owned(), port: self.port }
    }

    /// The name or address as the URL spells it; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name without brackets, as resolvers and certificates spell it.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The address, where the URL names one instead of a name.
    pub fn address(&self) -> Option<SocketAddr> {
        self.name().parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, self.port))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The URL's path.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Path and query, as a request line has them.
    pub fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Host and port, as the `Host` header has them: without the port that the scheme has anyway.
    pub fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// `Authorization`, where the URL carries a name and a password.
    pub fn authorization(&self) -> Option<String> {
        let (user, password) = (self.url.username(), self.url.password());
        if user.is_empty() && password.is_none() {
            return None;
        }
        let mut pair = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
        pair.push(b':');
        pair.extend(percent_encoding::percent_decode_str(password.unwrap_or_default()));
        Some(format!("Basic {}", STANDARD.encode(pair)))
    }

    /// The URL without name and password: what is signed, logged and shown.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        // Both fail only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.into()
    }
}

/// Decides which addresses may be called.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The exceptions.
    pub exceptions: config::Webhooks,
    /// Whether everything is an exception.
    pub is_open: bool,
}

impl Guard {
    /// Judges `addresses`, all those that the target's name has: one that may not be called spoils the rest, since
    /// nobody with honest intentions mixes them. `trusts` is the origin whose owner the configuration trusts.
    ///
    /// # Errors
    /// [`WebhookError::Refused`].
    pub fn judge(
        &self,
        target: &Target,
        trusts: Option<&Origin>,
        addresses: &[SocketAddr],
    ) -> Result<(), WebhookError> {
        if trusts.is_some_and(|trusted| *trusted == target.origin()) {
            return Ok(());
        }
        let guard = reach::Guard { allow: self.exceptions.allow.clone(), is_open: self.is_open };
        let judged = guard.judge(target.name(), target.port(), addresses.iter().copied());
        judged.map_err(|refused| WebhookError::Refused { host: target.host().to_owned(), scope: refused.scope })
    }
}

/// How much of a URL that is none is shown.
const SHOWN_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::address::Scope;

    #[test]
    fn a_url_that_cannot_be_called_is_refused_before_anything_is_looked_up() {
        for url in ["", "nonsense", "/voice", "ftp://a/", "file:///etc/passwd", "http://", "gopher://a", "http://a:0/"]
        {
            assert!(matches!(Target::http(url), Err(WebhookError::Url(_))), "{url}");
        }
        assert!(matches!(Target::http("wss://a/"), Err(WebhookError::Url(_))));
        assert!(matches!(Target::socket("https://a/"), Err(WebhookError::Url(_))));
        let long = format!("http://a/{}", "x".repeat(URL_BYTES_MAX));
        assert!(matches!(Target::http(&long), Err(WebhookError::Url(shown)) if shown.len() == SHOWN_CHARS));
    }

    #[test]
    fn an_address_is_recognized_in_every_spelling_that_browsers_know() {
        for url in
            ["http://127.0.0.1/", "http://0x7f000001/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/"]
        {
            assert_eq!(Target::http(url).unwrap().address(), Some("127.0.0.1:80".parse().unwrap()), "{url}");
        }
        assert_eq!(Target::http("https://[::1]/").unwrap().address(), Some("[::1]:443".parse().unwrap()));
        assert_eq!(Target::http("http://localhost/").unwrap().address(), None);
    }

    #[test]
    fn what_is_signed_has_neither_password_nor_fragment_and_keeps_its_query() {
        let target = Target::http("https://ada:s%40cret@app.example:8443/voice?x=1&y=%20#top").unwrap();
        assert_eq!(target.shown(), "https://app.example:8443/voice?x=1&y=%20");
        assert_eq!(target.path_and_query(), "/voice?x=1&y=%20");
        assert_eq!(target.authority(), "app.example:8443");
        assert_eq!(target.authorization().as_deref(), Some("Basic YWRhOnNAY3JldA=="));
        assert_eq!(Target::http("https://app.example:443/").unwrap().authority(), "app.example");
        let params = [("From".to_owned(), "+49 30".to_owned())];
        assert_eq!(Target::http("http://a/b?c=d").unwrap().with_query(&params).shown(), "http://a/b?c=d&From=%2B49+30");
    }

    #[test]
    fn a_private_address_needs_an_exception_or_the_trust_of_its_own_origin() {
        let address: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let target = Target::http("http://127.0.0.1:5000/voice").unwrap();
        let closed = Guard::default();
        assert!(matches!(
            closed.judge(&target, None, &[address]),
            Err(WebhookError::Refused { scope: Scope::Loopback, .. })
        ));
        for (origin, is_fine) in [
            ("http://127.0.0.1:5000/other", true),
            ("ws://127.0.0.1:5000/media", true),
            ("http://127.0.0.1:5001/", false),
            ("https://127.0.0.1:5000/", false),
            ("http://localhost:5000/", false),
        ] {
            let origin = Origin::of(origin).unwrap();
            assert_eq!(closed.judge(&target, Some(&origin), &[address]).is_ok(), is_fine, "{origin:?}");
        }
        let exceptions = config::Webhooks { allow: vec!["127.0.0.1".parse().unwrap()] };
        assert!(Guard { exceptions, is_open: false }.judge(&target, None, &[address]).is_ok());
        assert!(Guard { is_open: true, ..Guard::default() }.judge(&target, None, &[address]).is_ok());
    }

    #[test]
    fn one_private_address_among_public_ones_spoils_the_name() {
        let target = Target::http("http://rebinding.example/").unwrap();
        let public: SocketAddr = "8.8.8.8:80".parse().unwrap();
        let private: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
        assert!(Guard::default().judge(&target, None, &[public]).is_ok());
        assert!(Guard::default().judge(&target, None, &[public, private]).is_err());
    }
}
