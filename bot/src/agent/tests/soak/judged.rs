//! What is judged of an hour: what the referee of the walk cannot see, because it shows only in the long run.
//!
//! Every turn ends within a bound, the words of a caller become a turn or are told to be none, the history is what was
//! heard, and nothing grows. And it is counted what happened: an hour without trouble would prove nothing.

use super::{super::super::exchange::Exchange, *};

/// A turn of the caller is answered or dropped within this: five rounds of tools that never answer, and a long story.
const OPEN_MAX: Duration = Duration::from_secs(300);

/// Words are somebody's turn, or none, within this: a caller who talks over an answer waits for its end.
const OWED_MAX: Duration = Duration::from_secs(180);

/// Tokens of a history whose summaries fail: 6,000, and what is said and looked up until that is noticed.
const TOKENS_MAX: usize = 10_000;

impl Hour {
    pub(super) fn counts(&mut self, notice: &Notice) {
        match notice {
            Notice::TurnEnded { turn, .. } => {
                (self.owed, self.is_settled) = (None, true);
                self.open.insert(*turn, self.now);
            }
            Notice::NotTaken { .. } => {
                (self.owed, self.is_settled) = (None, true);
                self.saw("not taken");
            }
            Notice::BotSpoke { turn, .. } | Notice::BotInterrupted { turn, .. } => {
                if self.open.remove(turn).is_some() {
                    self.saw("answered");
                }
                if matches!(notice, Notice::BotInterrupted { .. }) {
                    self.saw("interrupted");
                }
            }
            Notice::Dropped { turn, .. } => {
                self.open.remove(turn);
                self.saw("dropped");
            }
            Notice::ThrownAway { .. } => self.saw("thrown away"),
            Notice::BotResumed { .. } => self.saw("resumed"),
            Notice::Bridged { .. } => self.saw("bridged"),
            Notice::Trouble { .. } => self.saw("trouble"),
            Notice::Tool { what: ToolStep::TimedOut, .. } => self.saw("a tool timed out"),
            Notice::Tool { what: ToolStep::Done { .. }, .. } => self.saw("a tool is done"),
            Notice::Keys { .. } => self.saw("keys"),
            Notice::Idle { .. } => {
                self.was_asked = true;
                self.saw("idle");
            }
            Notice::Summarised { .. } => {
                self.has_forgotten = true;
                self.saw("summarised");
            }
            Notice::Forgotten { .. } => self.has_forgotten = true,
            _ => {}
        }
    }

    pub(super) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(super) fn times(&self, what: &str) -> u32 {
        self.seen.get(what).copied().unwrap_or(0)
    }

    pub(super) fn check(&mut self) {
        assert!(!self.referee.is_over && !self.agent.is_over(), "nobody hung up, and it is over{}", self.place());
        let Some(due) = self.agent.due() else { panic!("waits without a timer{}", self.place()) };
        assert!(due > self.now, "waits for what has come{}", self.place());
        assert!(due.since(self.now) <= Duration::from_secs(61), "waits until {due}{}", self.place());
        let answering =
            self.agent.exchange.as_ref().filter(|exchange| !exchange.is_prepared && exchange.said.is_some());
        let answering = answering.map(|exchange| exchange.turn);
        assert!(self.referee.open.iter().copied().eq(answering), "turns that nobody works on{}", self.place());
        let late = self.open.values().find(|since| self.now.since(**since) > OPEN_MAX);
        assert!(late.is_none(), "a turn is neither answered nor dropped{}", self.place());
        if self.agent.phase != Phase::Talking {
            // Whoever is elsewhere is heard by somebody else.
            self.owed = None;
        }
        let is_lost = self.owed.is_some_and(|since| self.now.since(since) > OWED_MAX);
        assert!(!is_lost, "words are neither a turn nor none{}", self.place());
        self.check_history();
        let (history, exchange) = (&self.agent.history, self.agent.exchange.as_ref());
        let is_bounded = history.tokens() <= TOKENS_MAX
            && self.agent.orphans.len() <= 64
            && self.agent.to_say.len() <= 16
            && exchange.is_none_or(|exchange| exchange.sentences.len() <= 100 && exchange.calls.len() <= 100);
        assert!(is_bounded, "grows: {} tokens{}", history.tokens(), self.place());
    }

    /// History is what was heard; of an hour, the end of that.
    pub(super) fn check_history(&mut self) {
        let told = self.agent.history.messages().filter_map(|message| match message {
            Message::Assistant { text, .. } if !text.is_empty() => Some(text.clone()),
            _ => None,
        });
        let now = self.agent.exchange.as_ref().map(Exchange::heard).filter(|heard| !heard.is_empty());
        let told = told.chain(now).collect::<Vec<_>>().join(" ");
        if std::mem::take(&mut self.has_forgotten) {
            while !self.referee.heard.is_empty() && self.referee.heard().len() > told.len() {
                self.referee.heard.remove(0);
            }
        }
        assert!(told == self.referee.heard(), "history is not what was heard{}", self.place());
    }
}
