//! The border between a conversation and whoever brings its caller: a telephone, a browser's room.
//!
//! What an agent wants of the line are [`Wish`]es; what happens on it is told as [`Input`]s. A conversation knows nothing
//! else of how its caller came. Whoever holds the reins may have brought tools along and may change who talks. Crossings:
//! wishes and what is told wait in queues of 16 each, then whoever sends waits; a call has a handful.

use std::sync::Arc;

use bot::{agent::Input, persona::Persona, tools::Tool};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// What waits in either direction.
const QUEUE: usize = 16;

/// What an agent wants of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Press keys; `w` waits for half a second.
    Press(String),
    /// Send the caller to this number or address; [`Input::CameBack`] where that came to nothing.
    Transfer {
        /// The number or address.
        to: String,
    },
    /// Call a tool that was brought along; [`Input::ToolDone`] when it is done.
    Call {
        /// The call.
        id: String,
        /// Which tool.
        name: String,
        /// Checked against the tool's schema.
        arguments: Map<String, Value>,
    },
    /// Nobody waits for that call any more.
    Cancel {
        /// The call.
        id: String,
    },
    /// End it.
    HangUp,
}

/// What is told.
pub(super) enum Told {
    /// Something happened.
    Input(Input),
    /// Whoever talks goes on as this.
    Change {
        /// With this voice, these instructions, these models.
        persona: Arc<Persona>,
        /// And these tools that were brought along.
        functions: Vec<Tool>,
    },
}

/// The line, for a conversation.
pub(super) struct Line {
    wishes: mpsc::Sender<Wish>,
    told: mpsc::Receiver<Told>,
}

/// A conversation, for whoever brings its caller. Dropping it ends the conversation.
pub(crate) struct Reins {
    wishes: mpsc::Receiver<Wish>,
    told: mpsc::Sender<Told>,
}

/// A line and its reins.
pub(super) fn line() -> (Line, Reins) {
    let (wishes, wished) = mpsc::channel(QUEUE);
    let (tell, told) = mpsc::channel(QUEUE);
    (Line { wishes, told }, Reins { wishes: wished, told: tell })
}

impl Line {
    /// Wants something; whoever holds the reins may be gone.
    pub(super) async fn wish(&self, wish: Wish) {
        let _ = self.wishes.send(wish).await;
    }

    /// What happened; `None` when nobody holds the reins any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Reins {
    /// What the agent wants next; `None` when the conversation is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Wish> {
        self.wishes.recv().await
    }

    /// Waits until the conversation is over.
    pub(crate) async fn over(&self) {
        self.told.closed().await;
    }

    /// Tells what happened; a conversation that is over is told nothing.
    pub(crate) async fn tell(&self, input: Input) {
        let _ = self.told.send(Told::Input(input)).await;
    }

    /// Lets the conversation go on as another persona, which nobody notices but by what it says.
    pub(crate) async fn change(&self, persona: Arc<Persona>, functions: Vec<Tool>) {
        let _ = self.told.send(Told::Change { persona, functions }).await;
    }
}
