//! What is seen and heard of one line while it happens, and when it is over.
//!
//! Told the time, the loudness of what the caller says and hears, and what the room tells of the agent. Pure.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::judge::{Called, Observed};

/// Pieces of 20 ms without sound after which what was being said is over: no pause within an answer is so long.
const OVER_PIECES: usize = 30;

/// Pieces without sound after which an answer that is spoken over has stopped: a pause between sentences is shorter.
const STOPPED_PIECES: usize = 25;

/// One line as it happens.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When the caller began, and when they were done.
    began: Option<Instant>,
    done: Option<Instant>,
    /// The answer before, which is spoken over.
    stopping: Option<Stopping>,
    /// The first sound of the answer.
    answered: Option<Instant>,
    spoke_over: bool,
    /// Pieces without sound since the last with some.
    silent: usize,
    /// Turns that the agent takes and has not ended.
    open: BTreeSet<u64>,
    /// Whether a turn of the agent began that answers all of the line.
    is_asked: bool,
    /// Whether a turn ended since.
    is_answered: bool,
    is_bridged: bool,
    hung_up: bool,
    heard: Vec<String>,
    answer: Vec<String>,
    unheard: Option<String>,
    tools: Vec<Called>,
    /// What the scripted model had no answer to, and what failed.
    unknown: Vec<String>,
    troubles: Vec<(u64, String)>,
}

/// An answer that is spoken over.
#[derive(Debug, Default)]
struct Stopping {
    /// Its last sound since then.
    last: Option<Instant>,
    is_over: bool,
}

impl Seen {
    /// The agent's first words: nobody says anything before them.
    pub(super) fn greeting(now: Instant) -> Self {
        Self { began: Some(now), done: Some(now), is_asked: true, ..Self::default() }
    }

    /// A line that is said over the answer before it.
    pub(super) fn over_an_answer() -> Self {
        Self { stopping: Some(Stopping::default()), ..Self::default() }
    }

    /// The caller's first sound, or key.
    pub(super) fn began(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// The caller's last.
    pub(super) fn done(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.done.get_or_insert(now);
    }

    /// 20 ms of what the caller hears.
    pub(super) fn hear(&mut self, is_loud: bool, now: Instant) {
        if !is_loud {
            self.silent = self.silent.saturating_add(1);
            if let Some(stopping) = &mut self.stopping {
                stopping.is_over |= self.silent >= STOPPED_PIECES;
            }
            return;
        }
        self.silent = 0;
        if let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.is_over) {
            stopping.last = Some(now);
            return;
        }
        match (self.began, self.done) {
            (_, Some(_)) => _ = self.answered.get_or_insert(now),
            (Some(_), None) => self.spoke_over = true,
            (None, None) => {}
        }
    }

    /// The ears made this of it.
    pub(super) fn understood(&mut self, text: &str) {
        if !text.is_empty() {
            self.heard.push(text.to_owned());
        }
    }

    /// The agent takes a turn that answers what was said.
    pub(super) fn turn(&mut self, turn: u64) {
        self.open.insert(turn);
        self.is_asked |= self.done.is_some();
    }

    /// The first sound of a turn is only a word that bridges a wait.
    pub(super) fn bridged(&mut self) {
        self.is_bridged = true;
    }

    /// A turn was heard to its end.
    pub(super) fn spoke(&mut self, turn: u64, text: &str) {
        self.ended(turn, text);
    }

    /// A turn was cut.
    pub(super) fn cut(&mut self, turn: u64, text: &str, unheard: &str) {
        self.ended(turn, text);
        if !unheard.trim().is_empty() {
            self.unheard = Some(unheard.trim().to_owned());
        }
    }

    /// A turn will not be answered by itself, or was only prepared: what failed in it makes no difference.
    pub(super) fn dropped(&mut self, turn: u64) {
        self.open.remove(&turn);
        self.troubles.retain(|(of, _)| *of != turn);
    }

    fn ended(&mut self, turn: u64, text: &str) {
        self.open.remove(&turn);
        self.is_answered |= self.is_asked;
        if !text.trim().is_empty() {
            self.answer.push(text.trim().to_owned());
        }
    }

    /// A tool was called.
    pub(super) fn called(&mut self, called: Called) {
        self.tools.push(called);
    }

    /// The scripted model has no answer to these.
    pub(super) fn unknown(&mut self, asked: Vec<String>) {
        self.unknown.extend(asked);
    }

    /// Something failed in a turn.
    pub(super) fn trouble(&mut self, turn: u64, why: &str) {
        self.troubles.push((turn, why.to_owned()));
    }

    /// The agent hung up.
    pub(super) fn hung_up(&mut self) {
        self.hung_up = true;
    }

    /// Since when the answer sounds.
    pub(super) fn answered_at(&self) -> Option<Instant> {
        self.answered
    }

    /// Whether nothing has sounded for as long as an answer never pauses.
    pub(super) fn is_silent(&self) -> bool {
        self.silent >= OVER_PIECES
    }

    /// Whether the answer was heard to its end, or cut, and nothing more comes of it.
    pub(super) fn is_settled(&self) -> bool {
        let is_over = (self.is_answered && self.open.is_empty()) || self.hung_up;
        self.done.is_some() && is_over && self.is_silent()
    }

    /// Since when the caller has been done.
    pub(super) fn done_at(&self) -> Option<Instant> {
        self.done
    }

    /// What was cut of the answer.
    pub(super) fn unheard(&self) -> Option<&str> {
        self.unheard.as_deref()
    }

    /// What there is to judge; `before` is the line before, `is_misremembered` what the model was told of it.
    pub(super) fn observed(&self, before: Option<&Self>, is_misremembered: bool) -> Observed {
        let since = |from: Option<Instant>, to: Option<Instant>| Some(to?.saturating_duration_since(from?));
        let stopped = self.stopping.as_ref().filter(|stopping| stopping.is_over).map(|stopping| {
            // One that made no more sound was over before.
            since(self.began, stopping.last).unwrap_or(Duration::ZERO)
        });
        Observed {
            was_done: self.done.is_some(),
            heard: self.heard.join(" "),
            // Who the agent is says what there is to be wanted.
            intents: Vec::new(),
            answer: self.answer.join(" "),
            unheard: self.unheard.clone(),
            tools: self.tools.clone(),
            latency: since(self.done, self.answered),
            is_bridged: self.is_bridged,
            spoke_over: self.spoke_over,
            stopped,
            cut_before: before.is_some_and(|before| before.unheard.is_some()),
            is_misremembered,
            is_complete: self.is_answered && self.open.is_empty(),
            hung_up: self.hung_up,
            // What was asked beforehand and never wanted needs no answer.
            unknown: if self.troubles.is_empty() { Vec::new() } else { self.unknown.clone() },
            troubles: self.troubles.iter().map(|(_, why)| why.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const PIECE: Duration = Duration::from_millis(20);

    /// Hears so many pieces, and returns the time behind them.
    fn hears(seen: &mut Seen, is_loud: bool, pieces: u32, from: Instant) -> Instant {
        (0..pieces).for_each(|n| seen.hear(is_loud, from + PIECE * n));
        from + PIECE * pieces
    }

    #[test]
    fn an_answer_is_over_when_its_turn_is_and_nothing_sounds_any_more() {
        let mut seen = Seen::default();
        let start = Clock.now();
        let now = hears(&mut seen, false, 50, start);
        seen.began(now);
        let now = hears(&mut seen, false, 50, now);
        seen.done(now);
        seen.turn(1);
        let now = hears(&mut seen, false, 40, now);
        assert!(!seen.is_settled(), "nothing was said");
        let now = hears(&mut seen, true, 20, now);
        seen.spoke(1, "Hello.");
        let now = hears(&mut seen, false, 29, now);
        assert!(!seen.is_settled(), "it may be a pause");
        hears(&mut seen, false, 1, now);
        assert!(seen.is_settled());
        let observed = seen.observed(None, false);
        assert_eq!(observed.latency, Some(Duration::from_millis(800)));
        assert_eq!((observed.answer.as_str(), observed.is_complete, observed.spoke_over), ("Hello.", true, false));
    }

    #[test]
    fn what_answers_a_part_of_a_line_is_no_answer_to_it() {
        let mut seen = Seen::default();
        let now = Clock.now();
        seen.began(now);
        seen.turn(1);
        let now = hears(&mut seen, true, 5, now);
        seen.cut(1, "It is", "nine o'clock.");
        let now = hears(&mut seen, false, 40, now);
        seen.done(now);
        hears(&mut seen, false, 40, now);
        assert!(!seen.is_settled());
        let observed = seen.observed(None, false);
        assert!(observed.spoke_over && !observed.is_complete);
        assert_eq!(observed.latency, None);
    }

    #[test]
    fn an_answer_that_is_spoken_over_has_stopped_after_its_last_sound() {
        let mut seen = Seen::over_an_answer();
        let start = Clock.now();
        seen.began(start);
        let now = hears(&mut seen, true, 10, start);
        let now = hears(&mut seen, false, 30, now);
        seen.done(now);
        hears(&mut seen, true, 1, now);
        let before = Seen { unheard: Some("the rest".to_owned()), ..Seen::default() };
        let observed = seen.observed(Some(&before), false);
        assert_eq!(observed.stopped, Some(Duration::from_millis(180)));
        assert_eq!((observed.latency, observed.cut_before), (Some(Duration::ZERO), true));
        assert!(!observed.spoke_over);
    }

    #[test]
    fn what_failed_in_a_turn_that_was_only_prepared_is_no_trouble() {
        let mut seen = Seen::default();
        seen.unknown(vec!["My number is".to_owned()]);
        seen.trouble(1, "the model did not answer");
        seen.dropped(1);
        assert_eq!(seen.observed(None, false), Observed::default());
        seen.trouble(2, "the voice failed");
        let observed = seen.observed(None, false);
        assert_eq!((observed.unknown.len(), observed.troubles.len()), (1, 1));
    }

    #[test]
    fn an_answer_that_goes_on_never_stops() {
        let mut seen = Seen::over_an_answer();
        let start = Clock.now();
        seen.began(start);
        let now = hears(&mut seen, true, 10, start);
        let now = hears(&mut seen, false, 10, now);
        hears(&mut seen, true, 50, now);
        assert_eq!(seen.observed(None, false).stopped, None);
    }
}
