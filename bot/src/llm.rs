//! Language models: what is asked of one, and what comes back.
//!
//! The types here are all that the rest of the brain knows of a model: a [`Request`] goes out, [`Delta`]s come back,
//! and a [`Trouble`] says whose fault it is when they do not. [`sse`], the vendors' wires and [`stream`] turn bytes into
//! deltas, [`route`] says who may be asked, a race for each question who is asked next, [`budget`] what a call may
//! spend: all pure. [`client`] is the shell with the sockets, the timers and one task for each question.
//! Nothing here speaks, runs a tool or remembers: whoever asks holds the conversation.

mod anthropic;
mod ask;
pub mod budget;
pub mod client;
mod history;
mod http;
mod openai;
pub mod provider;
mod race;
pub mod route;
pub mod sse;
pub mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod trouble;

use serde::{Deserialize, Serialize};
pub use tts::secret::Secret;

pub use self::{
    provider::{Kind, Provider},
    race::Patience,
    trouble::{Fault, Trouble, Wait},
};

/// A question to a model. It holds what people said, so it is not for any log above DEBUG.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Who the model is to be, and what it must know.
    pub system: String,
    /// What was said so far, oldest first.
    ///
    /// A call whose result is not here is sent as one that has no result yet, and a result without its call is left
    /// out: vendors refuse a history with such holes, and an interrupted turn leaves them.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// Whether it has to call one of them. It counts only where what it asks for is among `tools`.
    pub must_call: MustCall,
    /// The most tokens that it may answer with.
    pub max_tokens: u32,
    /// How freely it chooses its words, 0 to 2; the model's own default when not set. Some models know no other.
    pub temperature: Option<f32>,
}

/// One piece of a conversation, as the model is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What a person said.
    User(String),
    /// What the model said and called. Only what was really heard belongs here.
    Assistant {
        /// The words; may be empty where it only called.
        text: String,
        /// The calls, in their order.
        calls: Vec<Call>,
    },
    /// What a call came to.
    ToolResult {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// What the model reads.
        content: String,
        /// Whether it failed.
        is_error: bool,
    },
}

/// A call of a tool, as the model wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Our name for this call, not the vendor's: nine digits at least, unlike that of every other call of the process's
    /// models.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// JSON text as the model wrote it, unchecked: not necessarily JSON.
    pub arguments: String,
}

/// A tool that a model is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name: letters, digits, `_` and `-`, 64 at most, or vendors refuse the request.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: serde_json::Value,
}

/// Whether a model has to call a tool, or may also just speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MustCall {
    /// It does as it likes.
    #[default]
    Nothing,
    /// Any tool that it is offered.
    Any,
    /// The tool of this name.
    This(String),
}

impl Request {
    /// What has to be called, as far as that can be: nothing where what is asked for is not offered.
    pub(crate) fn must_call(&self) -> &MustCall {
        let is_offered = match &self.must_call {
            MustCall::Nothing | MustCall::Any => !self.tools.is_empty(),
            MustCall::This(name) => self.tools.iter().any(|tool| tool.name == *name),
        };
        if is_offered { &self.must_call } else { &MustCall::Nothing }
    }
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// More words; never empty.
    Text(String),
    /// A call, whole.
    Call(Call),
    /// The answer is complete; nothing follows.
    Done(Done),
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Why.
    pub why: Stop,
    /// What it took.
    pub usage: Usage,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It had said what it had to say.
    End,
    /// It waits for the results of its calls.
    Calls,
    /// It was cut at the most tokens it may use.
    Length,
    /// It, or its vendor's filter, does not want to answer.
    Refused,
}

/// Tokens that were used, as the vendor counts them; estimated where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read, cached ones among them.
    pub input_tokens: u32,
    /// Written, thoughts among them.
    pub output_tokens: u32,
}

/// Which of the configured models is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one that talks.
    #[default]
    Primary,
    /// A small one for quick decisions; the primary where there is none.
    Fast,
    /// A large or trained one for what needs it; the primary where there is none.
    Special,
}
