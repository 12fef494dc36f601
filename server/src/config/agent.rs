//! `[agent]`: who talks, and what it may use.

use std::{path::PathBuf, time::Duration};

use bot::llm::Patience;
use serde::Deserialize;

/// `[agent]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// The folder of personas, one file `NAME.toml` each; the one that is built in when not set.
    pub personas: Option<PathBuf>,
    /// The persona that talks where nobody names another.
    pub persona: String,
    /// Conversations at once, over all rooms.
    pub conversations_max: usize,
    /// How long a language model may take for its first word before the next one is asked besides; 0 asks no other.
    pub hedge_after_ms: u64,
    /// How long the first word is waited for, of whomever; then the agent says that it did not work.
    pub first_word_ms: u64,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            personas: None,
            persona: bot::persona::BUILT_IN.to_owned(),
            // What two cores carry with a model elsewhere; each costs a voice and a place of the recognizer.
            conversations_max: 50,
            hedge_after_ms: 1_200,
            first_word_ms: 4_000,
        }
    }
}

impl Agent {
    /// How long language models are waited for.
    pub fn patience(&self) -> Patience {
        Patience {
            hedge_after: (self.hedge_after_ms > 0).then(|| Duration::from_millis(self.hedge_after_ms)),
            first: Duration::from_millis(self.first_word_ms),
            ..Patience::default()
        }
    }

    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if self.conversations_max == 0 {
            return Some(("agent.conversations_max", "must be at least 1".to_owned()));
        }
        // An agent gives a question up soon after, so that nobody hears nothing for five seconds.
        if !(100..=4_000).contains(&self.first_word_ms) {
            return Some(("agent.first_word_ms", "must be 100 to 4000".to_owned()));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.persona.is_empty() || !self.persona.bytes().all(is_name) {
            return Some((
                "agent.persona",
                "must be letters, digits and -_, as the persona's file is called".to_owned(),
            ));
        }
        None
    }
}
