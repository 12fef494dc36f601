//! `[[llm]]`: the language models that agents think with, in the order in which they are asked.

use std::{collections::BTreeSet, fmt};

use bot::llm::{
    Kind, Provider, Role, Secret,
    provider::{BadProvider, Price},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

/// One model behind one address.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Llm {
    /// What logs and personas call it; the model's name when not set.
    #[serde(default)]
    pub name: Option<String>,
    /// Which protocol it speaks: `openai`, `compatible` (vLLM, Ollama, most others), `azure`, `anthropic`.
    #[serde(default)]
    pub kind: Kind,
    /// Where it is; the vendor's own address where there is one.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Its key.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The model; with Azure the deployment.
    pub model: String,
    /// What it is asked for: `primary`, `fast`.
    #[serde(default)]
    pub role: Role,
    /// What a million tokens cost.
    #[serde(default)]
    pub price: Price,
    /// More for the body of every request.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm").field("name", &self.name()).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Llm {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.model)
    }

    /// The provider that it describes.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn provider(&self) -> Result<Provider, (&'static str, String)> {
        let base_url = self.base_url.as_deref().or_else(|| self.kind.home());
        let base_url = base_url.ok_or_else(|| ("base_url", "must be set for this kind".to_owned()))?;
        let base_url =
            Url::parse(base_url).map_err(|_| ("base_url", "must be such as http://127.0.0.1:11434/v1".to_owned()))?;
        let provider = Provider {
            name: self.name().into(),
            kind: self.kind,
            base_url,
            api_key: self.api_key.clone().filter(|key| !key.is_empty()),
            model: self.model.clone(),
            role: self.role,
            price: self.price,
            extra: self.extra.clone(),
        };
        provider.check().map_err(|bad| {
            let key = match bad {
                // Where it has no name of its own it is called as its model.
                BadProvider::Name if self.name.is_none() => "model",
                BadProvider::Name | BadProvider::Twice(_) => "name",
                BadProvider::Model(_) => "model",
                BadProvider::Url(_) => "base_url",
                BadProvider::Key(_) => "api_key",
            };
            (key, format!("is wrong: {bad}"))
        })?;
        Ok(provider)
    }
}

/// What makes no sense: the key, and why.
pub(super) fn fault(models: &[Llm]) -> Option<(String, String)> {
    let mut names = BTreeSet::new();
    for (at, model) in models.iter().enumerate() {
        if let Err((key, why)) = model.provider() {
            return Some((format!("llm[{at}].{key}"), why));
        }
        if model.role == Role::Special {
            let why = "must be primary or fast: nothing here asks a special model";
            return Some((format!("llm[{at}].role"), why.to_owned()));
        }
        if !names.insert(model.name()) {
            return Some((format!("llm[{at}].name"), format!("must differ: there are two {:?}", model.name())));
        }
    }
    None
}
