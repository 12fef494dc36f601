//! What a client brings along for its own conversation: endpoints that this server asks on its word, for a tool or for a
//! model.
//!
//! Pure values, checked when they come. An address is a client's word: it is judged like every other that this server
//! has not in its configuration ([`super::reach`]), when [`super::run::Outside`] asks it. Its headers hold keys: no `Debug`
//! and no message here shows a header's value, or more of an address than its host.

use std::{collections::BTreeMap, fmt};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{
    catalog::Rule,
    config::{ANSWER_BYTES_MAX, HttpTool, Method, OURS},
};

/// Headers of one endpoint. Nobody's key needs more.
const HEADERS_MAX: usize = 32;

/// An address with the headers that go there. Its `Debug` shows the host alone.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

/// What is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Its address cannot be asked.
    #[error("url must be an http or https URL with a host and without user, braces or fragment")]
    Url,
    /// Too many headers.
    #[error("headers are more than {HEADERS_MAX}")]
    Headers,
    /// A header has no name that can be sent.
    #[error("headers: a name is none that can be sent")]
    Name,
    /// A header says how a message is carried.
    #[error("headers: {0} is not yours to set")]
    Ours(HeaderName),
    /// A header's value cannot be sent.
    #[error("headers: the value of {0} has something that no header can hold")]
    Value(HeaderName),
    /// It leads where only this server's own network may go, or nowhere.
    #[error("{0}")]
    Refused(String),
}

impl Endpoint {
    /// Checks what can be checked before it is asked.
    ///
    /// # Errors
    /// [`BadEndpoint`].
    pub fn new(url: &str, headers: &BTreeMap<String, String>) -> Result<Self, BadEndpoint> {
        // A tool's address has places for arguments in braces; a client's has none.
        let url = Url::parse(url).ok().filter(|_| !url.contains(['{', '}'])).ok_or(BadEndpoint::Url)?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain {
            return Err(BadEndpoint::Url);
        }
        if headers.len() > HEADERS_MAX {
            return Err(BadEndpoint::Headers);
        }
        let mut known = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadEndpoint::Name)?;
            if OURS.contains(&name.as_str()) {
                return Err(BadEndpoint::Ours(name));
            }
            let mut value = HeaderValue::from_str(value).map_err(|_| BadEndpoint::Value(name.clone()))?;
            // Whoever prints it prints nothing.
            value.set_sensitive(true);
            known.insert(name, value);
        }
        Ok(Self { url, headers: known })
    }

    /// Who answers there.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host()).finish_non_exhaustive()
    }
}

/// An endpoint that is asked with the arguments of a tool.
#[derive(Clone)]
pub struct BroughtTool {
    pub(super) tool: HttpTool,
    pub(super) headers: HeaderMap,
}

impl BroughtTool {
    /// One that is asked so: with the arguments as a JSON body, or in the address where the method has no body.
    ///
    /// # Errors
    /// [`BadEndpoint::Url`] where its path would become another one.
    pub fn new(method: Method, endpoint: Endpoint) -> Result<Self, BadEndpoint> {
        let Endpoint { url, headers } = endpoint;
        let tool = HttpTool {
            description: String::new(),
            method,
            url: url.as_str().parse().map_err(|_| BadEndpoint::Url)?,
            // They are sent as they are.
            headers: BTreeMap::new(),
            parameters: BTreeMap::new(),
            optional: Vec::new(),
            body: None,
            pick: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
            rule: Rule::default(),
        };
        Ok(Self { tool, headers })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn endpoint(url: &str, headers: &[(&str, &str)]) -> Result<Endpoint, BadEndpoint> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Endpoint::new(url, &headers)
    }

    #[test]
    fn what_cannot_be_asked_is_refused_and_no_secret_is_shown() {
        for (url, headers, expected) in [
            ("no url", [("a", "b")], BadEndpoint::Url),
            ("ftp://a.example/", [("a", "b")], BadEndpoint::Url),
            ("https://ada:s3cret@a.example/", [("a", "b")], BadEndpoint::Url),
            ("https://a.example/#s3cret", [("a", "b")], BadEndpoint::Url),
            ("https://a.example/{city}", [("a", "b")], BadEndpoint::Url),
            ("https://a.example/?key={key}", [("a", "b")], BadEndpoint::Url),
            ("https://a.example/", [("s3cret s3cret", "b")], BadEndpoint::Name),
            ("https://a.example/", [("Host", "s3cret")], BadEndpoint::Ours(HeaderName::from_static("host"))),
            ("https://a.example/", [("X-Key", "s3\ncret")], BadEndpoint::Value(HeaderName::from_static("x-key"))),
        ] {
            let bad = endpoint(url, &headers).unwrap_err();
            assert_eq!(bad, expected, "{url}");
            assert!(!bad.to_string().contains("s3cret"), "{bad}");
        }
        let many: BTreeMap<String, String> = (0..100).map(|at| (format!("x-{at}"), String::new())).collect();
        assert_eq!(Endpoint::new("https://a.example/", &many).unwrap_err(), BadEndpoint::Headers);
        let good = endpoint("https://a.example/v1?key=s3cret", &[("Authorization", "Bearer s3cret")]).unwrap();
        let tool = BroughtTool::new(Method::Post, good.clone()).unwrap();
        assert!(!format!("{good:?} {:?}", tool.headers).contains("s3cret"));
        assert_eq!(good.host(), "a.example");
    }

    #[test]
    fn arguments_go_into_the_body_or_into_the_address() {
        let arguments: Map<String, Value> = json!({"city": "Kiel & Co", "days": 3}).as_object().unwrap().clone();
        let ask = |method| {
            let endpoint = endpoint("https://a.example/weather?key=k", &[]).unwrap();
            BroughtTool::new(method, endpoint).unwrap().tool.question(&arguments).unwrap()
        };
        let posted = ask(Method::Post);
        assert_eq!(posted.url.as_str(), "https://a.example/weather?key=k");
        assert_eq!(serde_json::from_str::<Value>(&posted.body.unwrap()).unwrap(), Value::Object(arguments.clone()));
        let got = ask(Method::Get);
        assert_eq!(got.url.as_str(), "https://a.example/weather?key=k&city=Kiel+%26+Co&days=3");
        assert_eq!(got.body, None);
    }
}
