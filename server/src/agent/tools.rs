//! Tools outside: what agents may call of other programs, and the calls of one conversation.
//!
//! [`Toolbox`] is shared by all conversations and holds the connections; [`Tools`] are one conversation's calls, each a
//! task of its own that ends in time. One that is cancelled is dropped at once. What a tool is asked and answers is never
//! logged here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bot::{
    agent::Offer,
    llm::ToolSpec,
    persona::{PerLanguage, Persona},
    tools::{
        Catalog, Outcome, Registry, Tool,
        run::{Misconfigured, Outside},
    },
};
use serde_json::{Map, Value};
use tokio::task::{AbortHandle, JoinSet};

use crate::config::Config;

/// Every tool outside.
pub(super) struct Toolbox {
    outside: Arc<Outside>,
}

impl Toolbox {
    /// Those of the configuration; MCP servers are connected in the background. Call it in a tokio runtime.
    ///
    /// # Errors
    /// [`Misconfigured`].
    pub(super) fn new(config: &Config) -> Result<Self, Misconfigured> {
        let variable = |name: &str| std::env::var(name).ok();
        let outside = Outside::start(&config.tools, config.http.call_private, &variable)?;
        Ok(Self { outside: Arc::new(outside) })
    }

    /// Ends the MCP servers.
    pub(super) async fn close(&self) {
        self.outside.close().await;
    }

    /// What calls them.
    pub(super) fn outside(&self) -> Arc<Outside> {
        self.outside.clone()
    }

    /// All tools as they are now.
    fn catalog(&self) -> Arc<Catalog> {
        self.outside.catalog()
    }

    /// The same with tools that somebody brought along; theirs go first.
    pub(super) fn catalog_with(&self, functions: &[Tool]) -> Arc<Catalog> {
        let catalog = self.catalog();
        if functions.is_empty() {
            return catalog;
        }
        Arc::new(catalog.with(functions.iter().cloned()))
    }

    /// For one conversation.
    pub(super) fn open(&self) -> Tools {
        Tools { outside: self.outside.clone(), tasks: JoinSet::new(), calls: BTreeMap::new() }
    }
}

/// What the model is told that it may call.
pub(super) fn offers(registry: &Registry, persona: &Persona) -> Vec<Offer> {
    let offer = |spec: ToolSpec| {
        let words = |language| Some((language, registry.filler(&spec.name, language)?.to_owned()));
        let filler: PerLanguage = persona.languages.iter().copied().filter_map(words).collect();
        Offer {
            is_safe_to_cancel: registry.is_safe_to_cancel(&spec.name),
            filler,
            timeout: registry.timeout(&spec.name).unwrap_or_default(),
            spec,
        }
    };
    registry.specs().into_iter().map(offer).collect()
}

/// The calls of one conversation.
pub(super) struct Tools {
    outside: Arc<Outside>,
    tasks: JoinSet<(String, Outcome)>,
    calls: BTreeMap<String, AbortHandle>,
}

impl Tools {
    /// Calls a tool; what comes of it is told by [`Tools::next`].
    pub(super) fn call(&mut self, id: String, name: String, arguments: Map<String, Value>, timeout: Duration) {
        let (outside, of) = (self.outside.clone(), id.clone());
        let task = self.tasks.spawn(async move { (of, outside.call(&name, &arguments, timeout).await) });
        self.calls.insert(id, task);
    }

    /// Drops a call half-way; nothing more is told of it.
    pub(super) fn cancel(&mut self, id: &str) {
        if let Some(task) = self.calls.remove(id) {
            task.abort();
        }
    }

    /// What came of a call. Cancel-safe.
    pub(super) async fn next(&mut self) -> (String, Outcome) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((id, outcome))) => {
                    // One that was cancelled when it had just come to its end is not told of.
                    if self.calls.remove(&id).is_some() {
                        return (id, outcome);
                    }
                }
                // It was cancelled, or it panicked, and then its time runs out.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
