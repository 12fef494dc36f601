//! Endpoints that a client names in its settings: of the model that thinks for it, and of functions. Pure.
//!
//! A model's is asked as OpenAI's chat completions are, with the client's own headers: vendors whose protocol is another
//! are refused by name. Where this server may call at all is decided when it does ([`bot::tools::reach`]).

use std::collections::BTreeMap;

use bot::{
    llm::Kind,
    tools::{BroughtTool, Endpoint, config::Method},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    message::ThinkProvider,
    settings::{Refused, refused},
};

/// Where a client's model is named.
pub(super) const MODEL_FIELD: &str = "agent.think.endpoint";

/// Where a function's endpoint is.
const FUNCTION_FIELD: &str = "agent.think.functions.endpoint";

/// Vendors who speak chat completions, or can be asked so where the client names the address.
const ALIKE: [&str; 3] = ["open_ai", "groq", "deepgram"];

/// A model that a client brought along.
#[derive(Clone, Debug)]
pub(super) struct OwnModel {
    pub(super) endpoint: Endpoint,
    pub(super) kind: Kind,
    pub(super) model: String,
}

#[derive(Deserialize)]
struct Written {
    url: Option<String>,
    method: Option<String>,
    headers: Option<BTreeMap<String, String>>,
}

/// The model of this provider at this endpoint.
///
/// # Errors
/// [`Refused`].
pub(super) fn model(provider: Option<&ThinkProvider>, endpoint: Value) -> Result<OwnModel, Refused> {
    let kind = provider.and_then(|provider| provider.kind.as_deref());
    if let Some(other) = kind.filter(|kind| !ALIKE.contains(kind)) {
        let other: String = other.chars().take(40).collect();
        let why = format!("is asked as OpenAI's chat completions are, and {other:?} is not: name an endpoint that is");
        return Err(refused(MODEL_FIELD, why));
    }
    let model = provider.and_then(|provider| provider.model.clone()).filter(|model| !model.trim().is_empty());
    let model = model.ok_or_else(|| refused(MODEL_FIELD, "needs the name of a model: agent.think.provider.model"))?;
    let (endpoint, _) = read(endpoint, MODEL_FIELD)?;
    // OpenAI's own models know one field by another name.
    let kind = if endpoint.host() == "api.openai.com" { Kind::OpenAi } else { Kind::Compatible };
    Ok(OwnModel { endpoint, kind, model })
}

/// The function at this endpoint.
///
/// # Errors
/// [`Refused`].
pub(super) fn function(endpoint: Value) -> Result<BroughtTool, Refused> {
    let (endpoint, method) = read(endpoint, FUNCTION_FIELD)?;
    let method = match method.map(|method| method.to_ascii_uppercase()).as_deref() {
        None | Some("POST") => Method::Post,
        Some("GET") => Method::Get,
        Some("PUT") => Method::Put,
        Some("PATCH") => Method::Patch,
        Some("DELETE") => Method::Delete,
        Some(_) => return Err(refused(FUNCTION_FIELD, "method is none of GET, POST, PUT, PATCH and DELETE")),
    };
    BroughtTool::new(method, endpoint).map_err(|bad| refused(FUNCTION_FIELD, bad.to_string()))
}

fn read(endpoint: Value, field: &'static str) -> Result<(Endpoint, Option<String>), Refused> {
    // What is wrong is not quoted: headers are secrets.
    let shape = |_: serde_json::Error| {
        refused(field, "is an object with url, headers (texts by name) and, for functions, method")
    };
    let Written { url, method, headers } = serde_json::from_value(endpoint).map_err(shape)?;
    let url = url.ok_or_else(|| refused(field, "has no url"))?;
    let endpoint = Endpoint::new(&url, &headers.unwrap_or_default());
    Ok((endpoint.map_err(|bad| refused(field, bad.to_string()))?, method))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(json: Value) -> ThinkProvider {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_model_is_asked_at_its_own_address_and_by_its_own_name() {
        let provider = provider(json!({"type": "open_ai", "model": "llama-3"}));
        let endpoint =
            json!({"url": "https://llm.example/v1/chat/completions", "headers": {"authorization": "Bearer k"}});
        let own = model(Some(&provider), endpoint).unwrap();
        assert_eq!((own.kind, own.model.as_str(), own.endpoint.host()), (Kind::Compatible, "llama-3", "llm.example"));
        assert!(!format!("{own:?}").contains("Bearer"));
        let home = model(Some(&provider), json!({"url": "https://api.openai.com/v1/chat/completions"})).unwrap();
        assert_eq!(home.kind, Kind::OpenAi);
    }

    #[test]
    fn other_protocols_and_half_an_endpoint_are_refused_without_a_secret() {
        let good = json!({"url": "https://llm.example/v1"});
        for (of, endpoint, why) in [
            (json!({"type": "anthropic", "model": "m"}), good.clone(), "\"anthropic\" is not"),
            (json!({"type": "open_ai"}), good.clone(), "agent.think.provider.model"),
            (json!({"type": "open_ai", "model": " "}), good, "agent.think.provider.model"),
            (json!({"model": "m"}), json!({"headers": {"a": "s3cret"}}), "no url"),
            (json!({"model": "m"}), json!({"url": "https://a.example/", "headers": "s3cret"}), "is an object"),
            (json!({"model": "m"}), json!({"url": "https://a.example/", "headers": {"host": "s3cret"}}), "not yours"),
            (json!({"model": "m"}), json!({"url": "ldap://s3cret/"}), "http or https"),
        ] {
            let refused = model(Some(&provider(of)), endpoint).unwrap_err().to_string();
            assert!(
                refused.starts_with(MODEL_FIELD) && refused.contains(why) && !refused.contains("s3cret"),
                "{refused}"
            );
        }
        assert!(model(None, json!({"url": "https://llm.example/v1"})).is_err());
    }

    #[test]
    fn a_function_is_posted_unless_it_says_otherwise() {
        for (endpoint, is_fine) in [
            (json!({"url": "https://a.example/f"}), true),
            (json!({"url": "https://a.example/f", "method": "get"}), true),
            (json!({"url": "https://a.example/f", "method": "TRACE"}), false),
            (json!({"url": "https://a.example/{f}"}), false),
            (json!({}), false),
            (json!("https://a.example/f"), false),
        ] {
            assert_eq!(function(endpoint.clone()).is_ok(), is_fine, "{endpoint}");
        }
    }
}
