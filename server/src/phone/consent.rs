//! Asks those in a call whether it may be recorded, and records it: the shell around [`bot::consent::Consent`].
//!
//! One task a call whose number wants that, from when everybody is in its room until the call is over. It speaks by a
//! [`Voice`] of its own, so that all hear the same, and tells the machine what the room tells: keys, words, and what becomes
//! of the recording, which anybody may also steer by the API, or have begun before. The room demands consent of everybody,
//! so that nobody is recorded who joins later and was not asked. What was agreed to is in the room's events. The ears are
//! not told which words to expect: a recognizer that expects a yes hears one in a cough. Nothing here is real time.

use std::{future::pending, sync::Arc};

use bot::{
    actor::{Follower, RoomHandle},
    consent::{Consent, Effect, Input, Language, Recording, Settings, meaning},
    event::{Published, RoomEvent},
    ivr::{
        effect::SoundId,
        twiml::{Speech, Times},
    },
    participant::Change,
    room::Room,
    routing::Ask,
};
use media::{
    id::ParticipantId,
    record::{RecordingId, State},
    time::MediaTime,
};

use super::{
    call::Phone,
    menu::{Heard, Voice, speak},
};
use crate::{
    app::App,
    recording::{self, Target, Wish},
};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// How the callers of a number are asked.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    question: String,
    language: Language,
    settings: Settings,
}

impl Asking {
    /// As it is configured.
    pub(super) fn of(app: &App, ask: &Ask) -> Self {
        let settings = app.config().recording.consent.settings();
        let named = ask.language.as_deref().or_else(|| app.config().sip.language.as_deref());
        let language = named.map(Language::nearest).unwrap_or_default();
        let question = ask.question.clone().unwrap_or_else(|| language.question(&settings));
        Self { question, language, settings }
    }

    /// What the room of a call demands that is recorded so.
    pub(super) fn room() -> bot::room::Settings {
        bot::room::Settings { consent_required: true }
    }
}

/// Asks everybody in `room`, who are these, until the first of them is gone.
pub(super) fn ask(app: &App, room: &RoomHandle, phones: &[Phone], asking: Asking) {
    let here = |phone: &Phone| {
        let place = phone.place().borrow().clone();
        place.filter(|place| place.room.id() == room.id()).map(|place| place.participant)
    };
    let Some(people) = phones.iter().map(here).collect::<Option<Vec<_>>>() else { return };
    let Some(first) = phones.first().cloned() else { return };
    let task = Task {
        app: app.clone(),
        room: room.clone(),
        events: room.follow(Some(room.read(Room::last_seq))),
        consent: Consent::new(asking.settings, people),
        asking,
        voice: None,
        said: 0,
        question: None,
        recording: None,
    };
    tokio::spawn(async move { task.run(&first).await });
}

struct Task {
    app: App,
    room: RoomHandle,
    events: Follower,
    consent: Consent,
    asking: Asking,
    voice: Option<Voice>,
    /// How much was said.
    said: u64,
    question: Option<SoundId>,
    recording: Option<RecordingId>,
}

impl Task {
    async fn run(mut self, first: &Phone) {
        match Voice::enter(&self.app.sound(&self.room)).await {
            Ok(voice) => self.voice = Some(voice),
            Err(error) => {
                tracing::warn!(room = %self.room.id(), %error, "nobody can be asked whether a call may be recorded");
                self.consent.handle(Input::Unasked, self.now());
            }
        }
        let over = first.over();
        tokio::pin!(over);
        self.obey().await;
        loop {
            let due = self.consent.next_deadline().map(|at| self.room.epoch().instant + at.as_duration());
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            let heard = async {
                match &mut self.voice {
                    Some(voice) => voice.next().await,
                    None => pending().await,
                }
            };
            // Cancel-safe all: what is not taken now is taken the next time.
            tokio::select! {
                _ = &mut over => break,
                entries = self.events.next(ENTRIES) => match entries {
                    // The room is closed, and its recording with it.
                    Ok(entries) if entries.is_empty() => return,
                    Ok(entries) => entries.iter().for_each(|entry| self.hear(entry)),
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                },
                heard = heard => self.told(&heard),
                () = due => self.consent.handle(Input::Tick, self.now()),
            }
            self.obey().await;
        }
        if let Some(recording) = &self.recording
            && let Err(error) = recording::change(&self.app, recording, Target::Stopped).await
        {
            tracing::debug!(room = %self.room.id(), %error, "the recording of a call ended by itself");
        }
    }

    fn now(&self) -> MediaTime {
        self.room.epoch().at(self.app.clock().now())
    }

    /// What an event of the room means.
    fn hear(&mut self, entry: &Arc<Published>) {
        let now = self.now();
        let is_ours = |name: &str| self.recording.as_ref().is_some_and(|own| own.to_string() == name);
        let input = match &entry.event {
            RoomEvent::Dtmf { participant, digit, .. } => Input::Key { who: *participant, key: *digit },
            RoomEvent::TranscriptFinal { segment } => {
                Input::Said { who: segment.participant, means: meaning(segment), from: segment.span.start }
            }
            RoomEvent::RecordingPaused { recording }
            | RoomEvent::RecordingResumed { recording }
            | RoomEvent::RecordingEnded { recording, .. }
                if is_ours(recording) =>
            {
                // The event may be older than what became of it since.
                Input::Recording(self.stands())
            }
            _ => return,
        };
        self.consent.handle(input, now);
    }

    /// Something was said to its end, or could not be said.
    fn told(&mut self, heard: &Heard) {
        let (id, input) = match heard {
            Heard::Played(id) => (*id, Input::Asked),
            Heard::Failed(id) => (*id, Input::Unasked),
        };
        if self.question.take_if(|question| *question == id).is_some() {
            self.consent.handle(input, self.now());
        }
    }

    async fn obey(&mut self) {
        while let Some(effect) = self.consent.poll() {
            match effect {
                Effect::Ask => self.question = self.say(self.asking.question.clone()),
                Effect::Hush => {
                    if let (Some(voice), Some(question)) = (&mut self.voice, self.question.take()) {
                        voice.stop(question);
                    }
                }
                Effect::Decided(who, agrees) => self.decided(who, agrees).await,
                Effect::Record => self.record().await,
                Effect::Pause => self.steer(Target::Paused).await,
                Effect::Resume => self.steer(Target::Recording).await,
                Effect::Tell(notice) => {
                    self.say(notice.text(self.asking.language).to_owned());
                }
            }
        }
    }

    fn say(&mut self, text: String) -> Option<SoundId> {
        let voice = self.voice.as_mut()?;
        self.said += 1;
        let id = SoundId(self.said);
        let speech = Speech { language: Some(self.asking.language.code().to_owned()), ..Speech::plain(text) };
        let speaking = speak(self.app.clone(), &speech, Times::Count(1));
        voice.begin(id, |mouth| speaking.into(mouth));
        Some(id)
    }

    async fn decided(&mut self, who: ParticipantId, agrees: bool) {
        tracing::info!(room = %self.room.id(), participant = %who, agrees, "somebody was asked whether they may be recorded");
        // Whoever has left is recorded no more.
        let _ = self.room.update(who, Change { consent: Some(agrees), is_muted: None }).await;
    }

    /// Records, or takes up the recording that somebody else has begun: there it is silence so far.
    async fn record(&mut self) {
        let begun = match recording::start(&self.app, &self.room, Wish::default()).await {
            // One that is being begun this very moment has no name yet: then nobody is recorded in it.
            Err(error) if error.code == "already_recording" => {
                recording::running(&self.app, self.room.id()).ok_or(error)
            }
            begun => begun,
        };
        match begun {
            Ok(manifest) => self.recording = Some(manifest.id.clone()),
            Err(error) => tracing::warn!(room = %self.room.id(), %error, "a call that may be recorded is not"),
        }
        self.consent.handle(Input::Steered(self.stands()), self.now());
    }

    async fn steer(&mut self, target: Target) {
        if let Some(recording) = &self.recording
            && let Err(error) = recording::change(&self.app, recording, target).await
        {
            tracing::warn!(room = %self.room.id(), %error, "a recording could not be paused, or go on");
        }
        self.consent.handle(Input::Steered(self.stands()), self.now());
    }

    /// How the recording stands now.
    fn stands(&self) -> Recording {
        let running = self.recording.as_ref().and_then(|own| self.app.recordings().ok()?.recorder().running(own));
        match running.map(|running| running.manifest().state) {
            Some(State::Recording) => Recording::Runs,
            Some(State::Paused) => Recording::Paused,
            Some(State::Finished | State::Interrupted | State::Failed) | None => Recording::Over,
        }
    }
}
