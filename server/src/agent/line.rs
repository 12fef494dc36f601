//! The border between a conversation and whoever brings its caller: a telephone, a browser's room.
//!
//! What an agent wants of the line are [`Wish`]es; what happens on it is told as [`Input`]s. A conversation knows nothing
//! else of how its caller came. Whoever holds the reins may have brought tools along and may change who talks. Crossings:
//! wishes and what is told wait in queues of 16 each, then whoever sends waits. Whoever tells takes wishes while it waits, so
//! that an agent that waits itself goes on.

use std::{collections::VecDeque, sync::Arc};

use bot::{
    agent::{Input, Notice, TurnId},
    llm::Usage,
    persona::Persona,
    tools::Tool,
};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// What waits in either direction.
const QUEUE: usize = 16;

/// What an agent wants of the line, and what it tells there, all in the order in which it happens.
#[derive(Clone, Debug, PartialEq)]
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
    /// A sentence goes to the voice, or to whoever reads it. Told where [`Delivery`] says so, as are the next two.
    Says {
        /// Of which turn.
        turn: TurnId,
        /// What.
        text: String,
    },
    /// The agent did or decided something.
    Tells(Notice),
    /// A model has ended an answer, for which it took these tokens.
    Used(Usage),
    /// End it.
    HangUp,
}

/// How what the agent says reaches its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is heard.
    #[default]
    Spoken,
    /// It is heard, and whoever holds the reins is told of it.
    Told,
    /// It is read by whoever holds the reins, and not heard.
    Written,
}

/// What is told.
pub(super) enum Told {
    /// Something happened.
    Input(Input),
    /// What is said from now on reaches the caller so.
    Deliver(Delivery),
    /// Whoever speaks for the agent was interrupted, and had said this of the answer.
    Interrupted(String),
    /// Whoever speaks for the agent was not interrupted: what they have of it is heard, or will be.
    HeardAll,
    /// Whoever speaks for the agent has played this next.
    Played(String),
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
    /// Wishes that came while the agent was told something.
    kept: VecDeque<Wish>,
    told: mpsc::Sender<Told>,
}

/// A line and its reins.
pub(super) fn line() -> (Line, Reins) {
    let (wishes, wished) = mpsc::channel(QUEUE);
    let (tell, told) = mpsc::channel(QUEUE);
    (Line { wishes, told }, Reins { wishes: wished, kept: VecDeque::new(), told: tell })
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
        match self.kept.pop_front() {
            Some(wish) => Some(wish),
            None => self.wishes.recv().await,
        }
    }

    /// Waits until the conversation is over.
    pub(crate) async fn over(&self) {
        self.told.closed().await;
    }

    /// Tells what happened; a conversation that is over is told nothing.
    pub(crate) async fn tell(&mut self, input: Input) {
        self.send(Told::Input(input)).await;
    }

    /// Has what is said from now on reach the caller like this.
    pub(crate) async fn deliver(&mut self, delivery: Delivery) {
        self.send(Told::Deliver(delivery)).await;
    }

    /// Tells an agent that one speaks for that its caller interrupted, and what of the answer they had heard.
    pub(crate) async fn interrupted(&mut self, heard: String) {
        self.send(Told::Interrupted(heard)).await;
    }

    /// Tells an agent that one speaks for that nobody interrupted: its caller has heard what there was, or will.
    pub(crate) async fn heard_all(&mut self) {
        self.send(Told::HeardAll).await;
    }

    /// Tells an agent that one speaks for what its caller has heard next.
    pub(crate) async fn played(&mut self, text: String) {
        self.send(Told::Played(text)).await;
    }

    /// Lets the conversation go on as another persona, which nobody notices but by what it says.
    pub(crate) async fn change(&mut self, persona: Arc<Persona>, functions: Vec<Tool>) {
        self.send(Told::Change { persona, functions }).await;
    }

    /// Waits for room, and takes the agent's wishes meanwhile: an agent that waits for room itself takes nothing.
    async fn send(&mut self, told: Told) {
        loop {
            tokio::select! {
                biased;
                room = self.told.reserve() => {
                    if let Ok(room) = room {
                        room.send(told);
                    }
                    return;
                }
                Some(wish) = self.wishes.recv(), if self.kept.len() < KEPT_MAX => self.kept.push_back(wish),
            }
        }
    }
}

/// Wishes that are kept: more than an agent has before it takes what it is told. Behind them it waits.
const KEPT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn two_that_have_much_to_tell_each_other_do_not_wait_for_each_other() {
        let (mut line, mut reins) = line();
        for _ in 0..QUEUE {
            reins.tell(Input::Tick).await;
        }
        let wish = |number: usize| Wish::Press(number.to_string());
        let agent = async {
            for number in 0..3 * QUEUE {
                line.wish(wish(number)).await;
            }
            for _ in 0..=QUEUE {
                assert!(matches!(line.next().await, Some(Told::Input(Input::Tick))));
            }
        };
        let both = async { tokio::join!(agent, reins.tell(Input::Tick)) };
        timeout(Duration::from_secs(20), both).await.expect("one waits for the other");
        for number in 0..3 * QUEUE {
            assert_eq!(reins.next().await, Some(wish(number)));
        }
    }
}
