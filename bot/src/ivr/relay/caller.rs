//! What a caller does in a relay: they speak, press keys and interrupt, and the application is told.
//!
//! Pure, a part of [`Relay`]. The turns are told who has the floor, and decide when a caller has ended and what
//! interrupts; what was said over something that cannot be interrupted is told only where the document wants it.

use std::time::Duration;

use asr::event::Event;
use media::time::MediaTime;

use super::{Output, Relay, message};
use crate::{
    ivr::{
        key::Key,
        twiml::{RelaySettings, Sensitivity},
    },
    persona::TurnSettings,
    turn::{self, Floor},
};

/// After a key that interrupts, tokens are taken for those of the answer that was interrupted for so long: a network's
/// way there and back. After words it is until the application was told them.
const STRAGGLING: Duration = Duration::from_millis(500);

/// Words that interrupt are told by then, or never.
const STRAGGLING_WORDS: Duration = Duration::from_secs(60);

impl Relay {
    pub(super) fn on_ears(&mut self, event: &Event, now: MediaTime) {
        self.said.hear(event);
        self.turns.handle(turn::Input::Ears(event), now);
        if !self.settings.partials || self.floor.0 != Floor::Free {
            return;
        }
        let text = self.said.text();
        if matches!(event, Event::Partial { .. } | Event::Final { .. }) && !text.is_empty() && text != self.told_partial
        {
            self.tell(message::prompt(&text, self.hears.as_deref().unwrap_or_default(), false));
            self.told_partial = text;
        }
    }

    pub(super) fn on_key(&mut self, key: Key, now: MediaTime) {
        let is_told = match self.cycles.front().map(|cycle| cycle.interruptible.by_keys()) {
            Some(true) => {
                self.interrupt(STRAGGLING, now);
                true
            }
            Some(false) => self.settings.reported.by_keys(),
            None => true,
        };
        if self.settings.keys && is_told {
            self.tell(message::dtmf(key));
        }
    }

    pub(super) fn hold_floor(&mut self, now: MediaTime) {
        let wanted = match self.cycles.front() {
            None => (Floor::Free, true),
            Some(cycle) => {
                let floor = if cycle.began.is_some() { Floor::Speaking } else { Floor::Thinking };
                (floor, cycle.interruptible.by_speech())
            }
        };
        let (floor, may_interrupt) = wanted;
        let before = std::mem::replace(&mut self.floor, wanted);
        if before == wanted {
            return;
        }
        // What was said over something that could not be interrupted is nobody's business, unless somebody asked.
        if floor == Floor::Free && !before.1 && !self.settings.reported.by_speech() {
            self.turns.take(now);
            self.forget_words();
        }
        self.turns.handle(turn::Input::Floor { floor, may_interrupt, asked: self.has_asked }, now);
    }

    pub(super) fn on_decided(&mut self, decided: turn::Output, now: MediaTime) {
        match decided {
            turn::Output::Ended(ended) => {
                self.forget_words();
                self.straggling_until = None;
                let language = self.hears.clone().or(ended.language).unwrap_or_default();
                self.tell(message::prompt(ended.said.reveal(), &language, true));
            }
            turn::Output::Pause => {
                self.paused_at = Some(now);
                self.outputs.push_back(Output::Pause);
            }
            turn::Output::Resume { .. } => {
                if self.paused_at.take().is_some() {
                    self.outputs.push_back(Output::Resume);
                }
            }
            turn::Output::Interrupt { .. } => {
                // What they spoke over may have ended meanwhile, and what is heard now is not to be interrupted.
                if self.cycles.front().is_some_and(|cycle| cycle.interruptible.by_speech()) {
                    self.interrupt(STRAGGLING_WORDS, now);
                } else if self.paused_at.take().is_some() {
                    self.outputs.push_back(Output::Resume);
                }
            }
            turn::Output::NotTaken { .. } => {
                self.forget_words();
                // Of words that turned out to be none the application is told nothing that it would wait for.
                self.straggling_until = self.straggling_until.map(|until| until.min(now + STRAGGLING));
            }
            turn::Output::Prepare { .. } | turn::Output::Discard | turn::Output::Idle { .. } | turn::Output::GiveUp => {
            }
        }
    }

    /// The caller interrupts: what was not heard by now never will be.
    fn interrupt(&mut self, straggling: Duration, now: MediaTime) {
        let Some(cycle) = self.cycles.front() else { return };
        let paused_at = self.paused_at.take();
        let heard = cycle.heard();
        let lasted = cycle.began.map_or(Duration::ZERO, |began| paused_at.unwrap_or(now).since(began));
        self.cycles.clear();
        self.outputs.push_back(Output::Hush(self.last_turn));
        if paused_at.is_some() {
            self.outputs.push_back(Output::Resume);
        }
        self.straggling_until = self.is_open.then(|| now + straggling);
        self.tell(message::interrupt(&heard, u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)));
    }

    fn forget_words(&mut self) {
        self.said.take();
        self.told_partial.clear();
    }
}

/// How the document wants turns to be taken.
pub(super) fn manners(settings: &RelaySettings) -> TurnSettings {
    let usual = TurnSettings::default();
    let (interrupt_words, interrupt_after) = match settings.sensitivity {
        Sensitivity::High => (1, usual.interrupt_after / 2),
        Sensitivity::Medium => (usual.interrupt_words, usual.interrupt_after),
        Sensitivity::Low => (2 * usual.interrupt_words, 2 * usual.interrupt_after),
    };
    // Whoever is silent is asked by the application, if at all.
    let manners =
        TurnSettings { is_eager: false, idle_after: Duration::ZERO, interrupt_words, interrupt_after, ..usual };
    match settings.speech_timeout {
        Some(wait) => {
            let wait_dictating = wait.max(manners.wait_dictating);
            TurnSettings { wait, wait_unsure: wait, wait_dictating, ..manners }
        }
        None => manners,
    }
}
