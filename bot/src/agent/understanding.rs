//! What rules make of the caller's turns while an agent talks: what is told of them, and whether they are meant for it.
//!
//! Pure. Among several people an agent with wake phrases answers only who says one, and for a while whatever follows.
//! Keys and written words are always meant for it: nobody else reads them.

use media::time::MediaTime;

use super::{
    Notice, TurnId,
    dialog::{Asks, Dialog},
    machine::Agent,
};
use crate::{
    turn::{EndWhy, Ended},
    understand::{emotion::Emotion, entity::Context, wake},
};

impl Agent {
    /// Tells what the caller's last turn seems to want, and how they sound; nothing where that is nothing.
    pub(super) fn tell_understood(&mut self, turn: TurnId, now: MediaTime) {
        self.listens_on(now);
        let context = Context { language: self.language, today: self.facts.local_time(now).date() };
        let persona = self.persona.clone();
        let dialog = Dialog::read(&persona, self.history.messages(), Asks::Model, context);
        let intents: Vec<(String, f32)> = dialog
            .wanted
            .iter()
            .map(|wanted| (persona.intents[wanted.intent].name.clone(), wanted.confidence))
            .collect();
        let (emotion, score) = dialog.mood.now();
        let emotion = (emotion != Emotion::Calm).then_some((emotion, score));
        if !intents.is_empty() || emotion.is_some() {
            self.publish(Notice::Understood { turn, intents, emotion });
        }
    }

    /// Whether a turn is meant for it.
    pub(super) fn is_meant(&self, ended: &Ended, now: MediaTime) -> bool {
        matches!(ended.why, EndWhy::Keys | EndWhy::Written | EndWhy::Asked)
            || self.is_spoken_to(ended.said.reveal(), now)
    }

    /// Whether `said` is spoken to it.
    pub(super) fn is_spoken_to(&self, said: &str, now: MediaTime) -> bool {
        let phrases = &self.persona.wake;
        self.company < 2 || phrases.is_empty() || now < self.listens_until || wake::names(said, phrases)
    }

    /// What is said next goes on with what was said to it.
    pub(super) fn listens_on(&mut self, now: MediaTime) {
        self.listens_until = now + self.persona.understanding.followed_for;
    }
}
