//! Whom to ask: one model behind one address, as the configuration describes it.
//!
//! Plain values that are checked once, when the server starts. A model that is named twice, for two roles, is two
//! providers. Whoever runs the server names it, so it may lie anywhere, on loopback too.

use std::{fmt, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::{Role, Secret};
use crate::routing::money::Money;

/// One model behind one address. Its `Debug` shows neither its key nor its extras.
#[derive(Clone)]
pub struct Provider {
    /// What logs, metrics and the console call it; unlike every other.
    pub name: Arc<str>,
    /// Which protocol it speaks.
    pub kind: Kind,
    /// Where, such as `http://127.0.0.1:11434/v1`; see [`Kind::home`].
    pub base_url: Url,
    /// The key, where it wants one.
    pub api_key: Option<Secret>,
    /// The model's name; with Azure the deployment's.
    pub model: String,
    /// What it is asked for.
    pub role: Role,
    /// What a million tokens cost.
    pub price: Price,
    /// More for the body of every request, such as `reasoning_effort = "minimal"`. What the request itself says wins.
    pub extra: Map<String, Value>,
}

/// Which protocol a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// OpenAI itself.
    OpenAi,
    /// What speaks chat completions as OpenAI does: vLLM, Ollama, llama.cpp, most vendors.
    #[default]
    #[serde(alias = "vllm", alias = "ollama")]
    Compatible,
    /// Azure OpenAI by deployment: another path, another header.
    Azure,
    /// Anthropic's messages.
    Anthropic,
}

impl Kind {
    /// Where it is at home, if it has a home.
    pub const fn home(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com/v1"),
            Self::Compatible | Self::Azure => None,
        }
    }
}

/// What a million tokens cost, in the configured currency; nothing for a model of one's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// A million that it reads.
    pub input: Money,
    /// A million that it writes.
    pub output: Money,
}

impl Price {
    /// What so many tokens cost; begun millionths count.
    pub fn of(self, input_tokens: u32, output_tokens: u32) -> Money {
        let cost = |price: Money, tokens: u32| u128::from(price.micros) * u128::from(tokens);
        let total = (cost(self.input, input_tokens) + cost(self.output, output_tokens)).div_ceil(MILLION);
        Money { micros: total.try_into().unwrap_or(u64::MAX) }
    }

    /// How many tokens it writes for `money`; `None` when it writes for nothing.
    pub(super) fn output_tokens(self, money: Money) -> Option<u32> {
        let tokens = (u128::from(money.micros) * MILLION).checked_div(u128::from(self.output.micros))?;
        Some(tokens.try_into().unwrap_or(u32::MAX))
    }
}

const MILLION: u128 = 1_000_000;

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("host", &self.base_url.host_str())
            .field("model", &self.model)
            .field("role", &self.role)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a provider's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProvider {
    /// It has no name.
    #[error("a language model needs a name")]
    Name,
    /// Two share a name.
    #[error("two language models are called {0}")]
    Twice(String),
    /// It names no model.
    #[error("{0} needs the name of a model")]
    Model(String),
    /// Its address cannot be asked.
    #[error("base_url of {0} must be an http or https URL with a host and without user, query or fragment")]
    Url(String),
    /// Its key cannot be sent.
    #[error("api_key of {0} holds what no header can carry")]
    Key(String),
}

impl Provider {
    /// A model without key, price and extras.
    pub fn new(name: impl Into<Arc<str>>, kind: Kind, base_url: Url, model: impl Into<String>, role: Role) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url,
            api_key: None,
            model: model.into(),
            role,
            price: Price::default(),
            extra: Map::new(),
        }
    }

    /// Checks that it can be asked at all.
    ///
    /// # Errors
    /// [`BadProvider`], for whoever wrote the configuration.
    pub fn check(&self) -> Result<(), BadProvider> {
        let name = || self.name.to_string();
        if self.name.trim().is_empty() {
            return Err(BadProvider::Name);
        }
        if self.model.trim().is_empty() {
            return Err(BadProvider::Model(name()));
        }
        let url = &self.base_url;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none_or(|query| self.kind == Kind::Azure && query.starts_with(API_VERSION))
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain {
            return Err(BadProvider::Url(name()));
        }
        let is_sendable = |key: &Secret| key.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        match &self.api_key {
            Some(key) if !is_sendable(key) => Err(BadProvider::Key(name())),
            _ => Ok(()),
        }
    }

    /// Where its requests go.
    pub(super) fn endpoint(&self) -> Url {
        let mut url = self.base_url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        let steps: &[&str] = match self.kind {
            Kind::Anthropic if path.ends_with("/v1") => &["messages"],
            Kind::Anthropic => &["v1", "messages"],
            Kind::Azure if path.contains("/deployments/") => &["chat", "completions"],
            Kind::Azure => &["openai", "deployments", &self.model, "chat", "completions"],
            Kind::OpenAi | Kind::Compatible if path.is_empty() => &["v1", "chat", "completions"],
            Kind::OpenAi | Kind::Compatible => &["chat", "completions"],
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(steps);
        }
        if self.kind == Kind::Azure && url.query().is_none() {
            url.query_pairs_mut().append_pair(API_VERSION, AZURE_API);
        }
        url
    }

    /// Whether it lies on this machine.
    pub(super) fn is_local(&self) -> bool {
        match self.base_url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

/// The first version of Azure's interface that is no preview and counts tokens of a stream; `base_url` may end in
/// `?api-version=…` with another.
const AZURE_API: &str = "2024-10-21";
const API_VERSION: &str = "api-version";

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(kind: Kind, base_url: &str, model: &str) -> Provider {
        Provider::new("p", kind, base_url.parse().unwrap(), model, Role::Primary)
    }

    #[test]
    fn a_base_url_is_completed_as_each_vendor_has_it() {
        for (kind, base, model, endpoint) in [
            (Kind::OpenAi, "https://api.openai.com/v1", "m", "https://api.openai.com/v1/chat/completions"),
            (Kind::OpenAi, "https://api.openai.com/v1/", "m", "https://api.openai.com/v1/chat/completions"),
            (Kind::Compatible, "http://127.0.0.1:8000", "m", "http://127.0.0.1:8000/v1/chat/completions"),
            (Kind::Compatible, "http://localhost:11434/v1", "m", "http://localhost:11434/v1/chat/completions"),
            (Kind::Compatible, "https://h/openai/", "m", "https://h/openai/chat/completions"),
            (Kind::Anthropic, "https://api.anthropic.com", "m", "https://api.anthropic.com/v1/messages"),
            (Kind::Anthropic, "https://api.anthropic.com/v1/", "m", "https://api.anthropic.com/v1/messages"),
            (
                Kind::Azure,
                "https://x.openai.azure.com",
                "my model/1",
                "https://x.openai.azure.com/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-10-21",
            ),
            (
                Kind::Azure,
                "https://x.openai.azure.com/openai/deployments/d?api-version=2025-01-01-preview",
                "m",
                "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01-preview",
            ),
        ] {
            let provider = provider(kind, base, model);
            assert_eq!(provider.check(), Ok(()), "{base}");
            assert_eq!(provider.endpoint().as_str(), endpoint);
        }
        for kind in [Kind::OpenAi, Kind::Anthropic] {
            assert_eq!(provider(kind, kind.home().unwrap(), "m").check(), Ok(()));
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_the_reason() {
        for (url, model) in [
            ("ftp://h/", "m"),
            ("file:///etc/passwd", "m"),
            ("https://user@h/v1", "m"),
            ("https://u:p@h/v1", "m"),
            ("https://h/v1?key=x", "m"),
            ("https://h/v1?api-version=1", "m"),
            ("https://h/v1#x", "m"),
            ("https://h/v1", " "),
        ] {
            assert!(provider(Kind::Compatible, url, model).check().is_err(), "{url} {model:?}");
        }
        let mut keyed = provider(Kind::Compatible, "https://h", "m");
        keyed.api_key = Some(Secret::new("sk-one\nx: y"));
        let refused = keyed.check().unwrap_err();
        assert_eq!(refused, BadProvider::Key("p".to_owned()));
        keyed.api_key = Some(Secret::new(" sk-one\n"));
        assert_eq!(keyed.check(), Ok(()));
        keyed.name = " ".into();
        assert_eq!(keyed.check(), Err(BadProvider::Name));
    }

    #[test]
    fn kinds_are_read_by_the_names_people_write() {
        for (text, kind) in [
            ("openai", Kind::OpenAi),
            ("compatible", Kind::Compatible),
            ("vllm", Kind::Compatible),
            ("ollama", Kind::Compatible),
            ("azure", Kind::Azure),
            ("anthropic", Kind::Anthropic),
        ] {
            assert_eq!(serde_json::from_value::<Kind>(text.into()).unwrap(), kind);
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let mut keyed = provider(Kind::OpenAi, "https://h/v1", "m");
        keyed.api_key = serde_json::from_str("\" sk-verysecret\\n\"").unwrap();
        assert_eq!(keyed.api_key.as_ref().unwrap().reveal(), "sk-verysecret");
        let shown = format!("{keyed:?} {:#?}", keyed.api_key);
        assert!(!shown.contains("very") && shown.contains("Secret(…)"), "{shown}");
    }

    #[test]
    fn prices_are_exact_and_begun_millionths_count() {
        let price: Price = serde_json::from_str(r#"{"input": 0.25, "output": 2.0}"#).unwrap();
        assert_eq!(price.of(1_000_000, 500_000).micros, 1_250_000);
        assert_eq!(price.of(1, 0).micros, 1);
        assert_eq!(price.of(0, 0).micros, 0);
        assert_eq!(price.output_tokens(Money { micros: 1_000 }), Some(500));
        assert_eq!(Price::default().output_tokens(Money { micros: 1_000 }), None);
        assert_eq!(Price::default().of(u32::MAX, u32::MAX).micros, 0);
        assert!(serde_json::from_str::<Price>(r#"{"in": 1.0}"#).is_err());
    }
}
