//! What the agent can do beside talking: a registry that decides, and a shell that carries out.
//!
//! [`Catalog`] is all that can be called, [`Registry`] what one call of one persona may call of it: it makes the
//! list for the model, checks every wish of the model (name, arguments, limits, approval) and keeps the record.
//! Both are pure and told the time. What a tool of this server does is an [`Action`] that the agent hands to its
//! shell; what is outside ([`config`]: HTTP, MCP) is asked by [`run::Outside`], which runs on tokio's threads.
//! What a model wants is data that may be wrong or hostile: it is refused with a sentence that the model can read.
//! Words of a caller are in arguments and in results: neither is logged above DEBUG, neither is in a [`Record`].

mod audit;
mod brought;
mod builtin;
mod catalog;
pub mod config;
mod fetch;
mod http;
pub mod mcp;
pub mod reach;
mod registry;
mod remind;
pub mod run;
pub mod schema;

pub(crate) use self::remind::time_in;
pub use self::{
    audit::{Record, Verdict},
    brought::{BadEndpoint, BroughtTool, Endpoint},
    builtin::{Action, BuiltIn, Doors},
    catalog::{Catalog, NAME_CHARS_MAX, Origin, Rule, Tool, is_name},
    registry::{Admitted, Does, Refusal, Registry, Settled},
    remind::{Due, NoTime},
};
use serde::{Deserialize, Serialize};

/// What stands for the name of a tool that was not offered, wherever that is told of: it may be any words.
pub const UNKNOWN: &str = "unknown";

/// What a tool answered, in the words that the model reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Text; JSON where the tool gave some.
    pub content: String,
    /// Whether it went wrong. The model is told, and can try something else or say so.
    pub is_error: bool,
}

impl Outcome {
    /// It worked.
    pub fn done(content: impl Into<String>) -> Self {
        Self { content: content.into(), is_error: false }
    }

    /// It went wrong.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { content: why.into(), is_error: true }
    }
}

/// Whether a tool may be called when the model wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// It may.
    #[default]
    Allow,
    /// Once the caller has said yes to just this.
    Ask,
    /// It may not. The model is not even told that there is such a tool.
    Deny,
}

impl Approval {
    /// The stricter of both.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Deny, _) | (_, Self::Deny) => Self::Deny,
            (Self::Ask, _) | (_, Self::Ask) => Self::Ask,
            (Self::Allow, Self::Allow) => Self::Allow,
        }
    }
}
