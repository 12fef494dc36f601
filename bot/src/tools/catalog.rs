//! All that can be called on this server: a list of tools with what a model has to know of each, and its rules.
//!
//! A value, shared by all calls and replaced as a whole when an MCP server says that its tools changed. What is
//! built in is not here: its parameters depend on the persona, see [`super::builtin`]. Pure.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{Approval, BuiltIn};
use crate::persona::PerLanguage;

/// A tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// What models call it: letters, digits, `_` and `-`, at most [`NAME_CHARS_MAX`].
    pub name: String,
    /// What it does, for models.
    pub description: String,
    /// The JSON schema of its arguments; always that of an object.
    pub parameters: Value,
    /// Who carries it out.
    pub origin: Origin,
    /// How it is called, unless the persona says otherwise.
    pub rule: Rule,
}

/// Who carries a tool out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The agent itself.
    BuiltIn(BuiltIn),
    /// Whoever holds the line: a client that brought the tool along.
    Line,
    /// A web server, as the configuration describes under this name.
    Http,
    /// A server of the Model Context Protocol.
    Mcp {
        /// The server, by its name in the configuration.
        server: String,
        /// What the server calls the tool.
        tool: String,
    },
}

/// How a tool is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it may be.
    pub approval: Approval,
    /// How often in one call.
    pub calls_max: u32,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Whether it may be dropped half-way: it changes nothing, or takes its change back.
    pub is_safe_to_cancel: bool,
    /// What is said when it takes long; the agent's own words where there are none.
    pub filler: PerLanguage,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            approval: Approval::Allow,
            calls_max: CALLS_MAX,
            timeout: TIMEOUT,
            is_safe_to_cancel: false,
            filler: PerLanguage::default(),
        }
    }
}

/// All tools outside, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    tools: BTreeMap<String, Arc<Tool>>,
}

impl Catalog {
    /// The tool of this name.
    pub fn find(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(name)
    }

    /// All, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.tools.values()
    }

    /// The same with other tools, whose names go first.
    #[must_use]
    pub fn with(&self, tools: impl IntoIterator<Item = Tool>) -> Self {
        let mut catalog: Self = tools.into_iter().collect();
        for (name, tool) in &self.tools {
            catalog.tools.entry(name.clone()).or_insert_with(|| tool.clone());
        }
        catalog
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }
}

impl FromIterator<Tool> for Catalog {
    /// The first tool of a name stays: a server cannot take the place of another's tool, nor of one built in.
    fn from_iter<T: IntoIterator<Item = Tool>>(tools: T) -> Self {
        let mut catalog = Self::default();
        for tool in tools {
            match catalog.tools.entry(tool.name.clone()) {
                Entry::Vacant(place) if BuiltIn::named(&tool.name).is_none() && is_name(&tool.name) => {
                    place.insert(Arc::new(tool));
                }
                // Names are the configuration's and the servers'.
                _ => tracing::warn!(tool = tool.name.as_str(), "a tool is left out: its name is taken, or is none"),
            }
        }
        catalog
    }
}

/// Whether models' vendors take `name` for that of a tool.
pub fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}

/// The name for models of an MCP server's tool: what they cannot write becomes `_`, what is too long is cut.
pub(super) fn name_of(server: &str, tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    format!("{server}__{tool}").chars().map(plain).take(NAME_CHARS_MAX).collect()
}

/// The longest name of a tool: what the vendors of models take.
pub const NAME_CHARS_MAX: usize = 64;

/// How often a tool may be called in one call. A conversation that needs one more often goes round in circles.
const CALLS_MAX: u32 = 20;

/// How long a tool is waited for. People on a telephone bear it, with a word in between; nobody bears more.
const TIMEOUT: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tool(name: &str, description: &str) -> Tool {
        Tool {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: json!({"type": "object"}),
            origin: Origin::Http,
            rule: Rule::default(),
        }
    }

    #[test]
    fn nobody_takes_the_name_of_somebody_elses_tool() {
        let catalog: Catalog =
            [tool("a", "first"), tool("a", "second"), tool("hang_up", "theirs"), tool("a b", "")].into_iter().collect();
        let known: Vec<_> = catalog.tools().map(|tool| (tool.name.as_str(), tool.description.as_str())).collect();
        assert_eq!(known, [("a", "first")]);
    }

    proptest! {
        #[test]
        fn whatever_a_server_calls_its_tools_models_can_write_it(tool in ".{0,100}") {
            prop_assert!(is_name(&name_of("crm", &tool)));
        }
    }
}
