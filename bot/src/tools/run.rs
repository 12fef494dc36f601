//! The shell of tools outside: holds the HTTP tools and the MCP servers of the configuration, and calls them.
//!
//! One for the whole process. [`Outside::start`] begins a task for each MCP server; [`Outside::catalog`] is what can be
//! called at the moment; [`Outside::call`] calls it, on the task of whoever waits, and always comes back with an
//! [`Outcome`], within the time that it was given. Nothing here decides whether a tool may be called: that is
//! [`super::Registry`]'s.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    BadEndpoint, BroughtTool, Catalog, Endpoint, Outcome,
    catalog::{Origin, Tool},
    config::{HttpTool, McpAt, ServerName, Text, Tools},
    fetch::Clients,
    mcp::{Health, Line, Server, Way},
    reach::Guard,
};
use crate::llm::{Kind, Patience, Provider, Role, client::Models};

/// What a model that a client brought along is called in logs, metrics and troubles, whosever it is.
const BROUGHT: &str = "the client's model";

/// Time for all servers to end in an orderly way.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Why the tools of a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misconfigured {
    /// A secret is not where it should be.
    #[error("tools: the variable {variable} of the environment is not set, and {tool} needs it")]
    Variable {
        /// Which.
        variable: String,
        /// Whose.
        tool: String,
    },
    /// A secret can be no header.
    #[error("tools: the value of {header} of {tool} has something that no header can hold")]
    Header {
        /// Which.
        header: String,
        /// Whose.
        tool: String,
    },
}

/// The tools outside. See the module for how it is used.
pub struct Outside {
    http: BTreeMap<String, (HttpTool, HeaderMap)>,
    lines: BTreeMap<String, Line>,
    clients: Arc<Clients>,
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

/// What is offered at the moment.
struct Board {
    http: Vec<Tool>,
    mcp: Mutex<BTreeMap<ServerName, Vec<Tool>>>,
    catalog: watch::Sender<Arc<Catalog>>,
}

impl Board {
    fn post(&self, server: &ServerName, tools: Vec<Tool>) {
        let mut mcp = self.mcp.lock().unwrap_or_else(PoisonError::into_inner);
        if mcp.get(server) == Some(&tools) {
            return;
        }
        mcp.insert(server.clone(), tools);
        let all = self.http.iter().chain(mcp.values().flatten()).cloned();
        self.catalog.send_replace(Arc::new(all.collect()));
    }
}

impl Outside {
    /// The tools of a configuration. `variable` reads the environment; `is_open` lets all tools call private addresses.
    /// MCP servers are connected in the background: this waits for none of them.
    ///
    /// # Errors
    /// [`Misconfigured`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        config: &Tools,
        is_open: bool,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Misconfigured> {
        let mut http = BTreeMap::new();
        for (name, tool) in &config.http {
            let headers = headers(&tool.headers, name.as_str(), variable)?;
            http.insert(name.as_str().to_owned(), (tool.clone(), headers));
        }
        let listed = http.iter().map(|(name, (tool, _))| Tool {
            name: name.clone(),
            description: tool.description.clone(),
            parameters: tool.schema(),
            origin: Origin::Http,
            rule: tool.rule.clone(),
        });
        let listed: Vec<Tool> = listed.collect();
        let (catalog, _) = watch::channel(Arc::new(listed.iter().cloned().collect::<Catalog>()));
        let board = Arc::new(Board { http: listed, mcp: Mutex::default(), catalog });
        let clients = Arc::new(Clients::new(Guard { allow: config.allow.clone(), is_open }));
        let (stop, stopping) = watch::channel(false);
        let mut servers = Vec::new();
        let mut lines = BTreeMap::new();
        for (name, server) in &config.mcp {
            let way = match &server.at {
                McpAt::Program { command, env } => {
                    let read =
                        |(key, text): (&String, &Text)| Ok((key.clone(), secret(text, name.as_str(), variable)?));
                    Way::Program {
                        command: command.clone(),
                        env: env.iter().map(read).collect::<Result<_, Misconfigured>>()?,
                    }
                }
                McpAt::Http { url, headers: texts } => {
                    Way::Http { url: url.clone(), headers: headers(texts, name.as_str(), variable)? }
                }
            };
            let posting = board.clone();
            let post = Arc::new(move |server: &ServerName, tools: Vec<Tool>| posting.post(server, tools));
            let taken = (server.tools.clone(), server.rule.clone());
            let (server, line) = Server::new(name.clone(), way, taken, clients.clone(), post);
            lines.insert(name.as_str().to_owned(), line);
            servers.push(server);
        }
        let mut tasks = JoinSet::new();
        for server in servers {
            tasks.spawn(server.run(stopping.clone()));
        }
        Ok(Self { http, lines, clients, board, stop, tasks: Mutex::new(tasks) })
    }

    /// What can be called at the moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.board.catalog.borrow().clone()
    }

    /// The same whenever it changes.
    pub fn catalogs(&self) -> watch::Receiver<Arc<Catalog>> {
        self.board.catalog.subscribe()
    }

    /// How the MCP servers are, by name.
    pub fn health(&self) -> BTreeMap<String, Health> {
        self.lines.iter().map(|(name, line)| (name.clone(), line.health())).collect()
    }

    /// Calls the tool of this name within `patience`. A future that is dropped gives up the call: an HTTP connection is
    /// closed, an MCP server is told.
    pub async fn call(&self, name: &str, arguments: &Map<String, Value>, patience: Duration) -> Outcome {
        let catalog = self.catalog();
        let gone = || Outcome::failed("This tool is not there any more.");
        let Some(tool) = catalog.find(name) else { return gone() };
        match &tool.origin {
            Origin::Http => match self.http.get(name) {
                Some((tool, headers)) => self.clients.ask(tool, headers, arguments, patience).await,
                None => gone(),
            },
            Origin::Mcp { server, tool } => match self.lines.get(server) {
                Some(line) => line.call(tool, arguments, patience).await,
                None => gone(),
            },
            Origin::BuiltIn(_) | Origin::Line => gone(),
        }
    }

    /// Calls an endpoint that a client brought along, within `patience`. A future that is dropped closes the connection.
    pub async fn call_brought(
        &self,
        brought: &BroughtTool,
        arguments: &Map<String, Value>,
        patience: Duration,
    ) -> Outcome {
        self.clients.ask(&brought.tool, &brought.headers, arguments, patience).await
    }

    /// A language model that a client brought along: it is asked at just this address, with its own headers and no key of
    /// this server's, and only where this server may call on a client's word.
    ///
    /// # Errors
    /// [`BadEndpoint::Refused`] where the address is written out and may not be called; a name's addresses are judged when
    /// it is asked.
    pub async fn model(
        &self,
        endpoint: Endpoint,
        kind: Kind,
        model: &str,
        patience: Patience,
    ) -> Result<Models, BadEndpoint> {
        let Endpoint { url, headers } = endpoint;
        let client = self.clients.client(&url).await.map_err(|error| BadEndpoint::Refused(error.to_string()))?;
        let provider = Provider::new(BROUGHT, kind, url.clone(), model, Role::Primary);
        Ok(Models::brought(provider, client, url, headers, patience))
    }

    /// Waits until every MCP server is connected or known to be away.
    pub async fn settled(&self) {
        for line in self.lines.values() {
            line.clone().until(|health| *health != Health::Connecting).await;
        }
    }

    /// Ends the MCP servers; returns when they are gone, or have had their time.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = timeout(END_WITHIN, async { while tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!(left = tasks.len(), "MCP servers did not end in time and are killed");
        }
    }
}

fn secret(
    text: &Text,
    tool: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<crate::llm::Secret, Misconfigured> {
    text.read(variable).ok_or_else(|| Misconfigured::Variable {
        variable: if let Text::Env(name) = text { name.clone() } else { String::new() },
        tool: tool.to_owned(),
    })
}

fn headers(
    texts: &BTreeMap<String, Text>,
    tool: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<HeaderMap, Misconfigured> {
    let mut headers = HeaderMap::new();
    for (name, text) in texts {
        let wrong = || Misconfigured::Header { header: name.clone(), tool: tool.to_owned() };
        let secret = secret(text, tool, variable)?;
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(secret.reveal()).map_err(|_| wrong())?;
        // Whoever prints it prints nothing.
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
