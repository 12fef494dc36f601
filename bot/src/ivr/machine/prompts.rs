//! What a `Gather` plays while it waits: one after the other, until something silences it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::desk::Desk;
use crate::ivr::{
    effect::{Effect, SoundId},
    key::Tone,
    notice::Code,
    twiml::{Play, Prompt, Say, Sound, Times},
};

/// Prompts that play, or have played.
pub(super) struct Prompts {
    rest: VecDeque<Prompt>,
    now: Playing,
}

enum Playing {
    Nothing,
    Sound(SoundId),
    Silence(Instant),
}

impl Prompts {
    /// Begins with the first.
    pub(super) fn start(desk: &mut Desk, now: Instant, prompts: Vec<Prompt>) -> Self {
        let mut prompts = Self { rest: prompts.into(), now: Playing::Nothing };
        prompts.next(desk, now);
        prompts
    }

    /// Whether all have been played, or silenced.
    pub(super) fn are_over(&self) -> bool {
        matches!(self.now, Playing::Nothing) && self.rest.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.now {
            Playing::Silence(until) => Some(until),
            _ => None,
        }
    }

    /// A sound has come to its end.
    pub(super) fn sound_ended(&mut self, desk: &mut Desk, now: Instant, id: SoundId) {
        if matches!(self.now, Playing::Sound(own) if own == id) {
            self.next(desk, now);
        }
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) {
        if matches!(self.now, Playing::Silence(until) if until <= now) {
            self.next(desk, now);
        }
    }

    /// Silences what plays and drops the rest.
    pub(super) fn silence(&mut self, desk: &mut Desk) {
        if let Playing::Sound(id) = self.now {
            desk.emit(Effect::StopSound(id));
        }
        self.now = Playing::Nothing;
        self.rest.clear();
    }

    fn next(&mut self, desk: &mut Desk, now: Instant) {
        self.now = Playing::Nothing;
        while let Some(prompt) = self.rest.pop_front() {
            let sound = match prompt {
                Prompt::Say(Say { speech, times }) => say(desk, speech, times),
                Prompt::Play(Play { sound, times }) => play(desk, &sound, times),
                Prompt::Pause(Duration::ZERO) => None,
                Prompt::Pause(length) => {
                    self.now = Playing::Silence(now + length);
                    return;
                }
            };
            if let Some(id) = sound {
                self.now = Playing::Sound(id);
                return;
            }
        }
    }
}

/// Speaks, unless there is nothing to say.
pub(super) fn say(desk: &mut Desk, speech: crate::ivr::twiml::Speech, times: Times) -> Option<SoundId> {
    if speech.is_empty() {
        desk.warn(Code::SAY_TEXT, "nothing to say");
        return None;
    }
    Some(desk.say(speech, times))
}

/// Plays, unless the address is of no use.
pub(super) fn play(desk: &mut Desk, sound: &Sound, times: Times) -> Option<SoundId> {
    match sound {
        Sound::File(reference) => {
            let url = desk.resolve(reference, &["http", "https"])?;
            let id = SoundId(desk.fresh());
            desk.emit(Effect::Play { id, url, times });
            Some(id)
        }
        Sound::Keys(tones) => Some(play_keys(desk, tones.clone(), times)),
    }
}

fn play_keys(desk: &mut Desk, tones: Vec<Tone>, times: Times) -> SoundId {
    let id = SoundId(desk.fresh());
    desk.emit(Effect::PlayKeys { id, tones, times });
    id
}
