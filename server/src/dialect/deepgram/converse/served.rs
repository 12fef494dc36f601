//! Functions that this server carries out for a client: requests to the endpoints that it named, a task each.
//!
//! How many are at work, and for how long, is decided by the agent's registry; one that is cancelled is dropped with its
//! connection. What a function is asked and answers is never logged here.

use std::{collections::BTreeMap, sync::Arc};

use bot::tools::{BroughtTool, Outcome, run::Outside};
use serde_json::{Map, Value};
use tokio::task::{AbortHandle, JoinSet};

use super::settings::FUNCTION_WITHIN;

/// The functions of one conversation that are at work.
pub(super) struct Served {
    outside: Arc<Outside>,
    tasks: JoinSet<(String, Outcome)>,
    calls: BTreeMap<String, (Asked, AbortHandle)>,
}

/// What was asked of a function.
pub(super) struct Asked {
    pub(super) name: String,
    /// JSON.
    pub(super) arguments: String,
}

impl Served {
    pub(super) fn new(outside: Arc<Outside>) -> Self {
        Self { outside, tasks: JoinSet::new(), calls: BTreeMap::new() }
    }

    /// Calls a function; what comes of it is told by [`Served::next`].
    pub(super) fn call(&mut self, id: String, asked: Asked, tool: BroughtTool, arguments: Map<String, Value>) {
        let (outside, of) = (self.outside.clone(), id.clone());
        let task =
            self.tasks.spawn(async move { (of, outside.call_brought(&tool, &arguments, FUNCTION_WITHIN).await) });
        self.calls.insert(id, (asked, task));
    }

    /// Drops a call half-way, and nothing more is told of it; what it was.
    pub(super) fn cancel(&mut self, id: &str) -> Option<Asked> {
        let (asked, task) = self.calls.remove(id)?;
        task.abort();
        Some(asked)
    }

    /// What came of a call. Cancel-safe.
    pub(super) async fn next(&mut self) -> (String, Asked, Outcome) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((id, outcome))) => {
                    // One that was cancelled when it had just come to its end is not told of.
                    if let Some((asked, _)) = self.calls.remove(&id) {
                        return (id, asked, outcome);
                    }
                }
                // It was cancelled, or it panicked, and then its time runs out.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
