//! What goes to the client of an agent, in its order: sound while the agent speaks, and what is told of it.
//!
//! The room hears of a sound when the engine plays it, and the sound itself comes a moment sooner or later. Here the
//! client hears that there is sound before it hears the sound, and that there is no more behind the last of it. Called by
//! the conversation's task alone; it waits for the client's socket and for nothing else.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{gate::Gate, message::Told};
use crate::{dialect::deepgram::client::Client, encode::Encoder};

/// How long after the room knows that a turn was heard its last sound may still be on its way to the client: the ring
/// between them, and a tick.
pub(super) const SOUND_WITHIN: Duration = Duration::from_millis(120);

/// Frames that wait for the news that there is sound: 200 ms.
const EARLY_FRAMES_MAX: usize = 10;

/// What goes to the client.
pub(super) struct Outgoing {
    encoder: Encoder,
    gate: Gate,
    /// What is told once the sound before it was sent.
    later: VecDeque<(Instant, Told)>,
    /// Whether the client knows that the agent speaks.
    is_told: bool,
    /// The beginning of a sound of which it was not yet told.
    early: Vec<Vec<f32>>,
}

impl Outgoing {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self { encoder, gate: Gate::default(), later: VecDeque::new(), is_told: false, early: Vec::new() }
    }

    /// When [`Self::tell_what_is_due`] has something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.later.front().map(|(at, _)| *at)
    }

    /// Sends a frame of the room, if it is the agent's.
    pub(super) async fn sound(&mut self, samples: Vec<f32>, client: &mut Client) {
        if !self.gate.passes(&samples) {
            return;
        }
        self.early.push(samples);
        if self.is_told || self.early.len() > EARLY_FRAMES_MAX {
            self.send_early(client).await;
        }
    }

    async fn send_early(&mut self, client: &mut Client) {
        for samples in self.early.drain(..) {
            let mut bytes = Vec::new();
            self.encoder.push(&samples, &mut bytes);
            client.sound(bytes).await;
        }
    }

    /// Tells something; what belongs behind the agent's last sound once that was sent.
    pub(super) async fn tell(&mut self, told: Told, client: &mut Client) {
        if matches!(told, Told::AgentStartedSpeaking { .. }) {
            // Where a new sound is heard, the last one before it is.
            self.tell_all_later(client).await;
        }
        if matches!(told, Told::AgentAudioDone) {
            self.later.push_back((Instant::now() + SOUND_WITHIN, told));
        } else if self.later.is_empty() || matches!(told, Told::UserStartedSpeaking) {
            self.tell_now(told, client).await;
        } else {
            // It keeps its place.
            self.later.push_back((Instant::now(), told));
        }
    }

    /// Tells what waited for its time, which is now.
    pub(super) async fn tell_what_is_due(&mut self, client: &mut Client) {
        let now = Instant::now();
        while self.later.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, told)) = self.later.pop_front() else { return };
            self.tell_now(told, client).await;
        }
    }

    /// Tells what waits, whether its time has come or not.
    pub(super) async fn tell_all_later(&mut self, client: &mut Client) {
        while let Some((_, told)) = self.later.pop_front() {
            self.tell_now(told, client).await;
        }
    }

    async fn tell_now(&mut self, told: Told, client: &mut Client) {
        let is_end = matches!(told, Told::AgentAudioDone);
        client.tell(&told).await;
        if is_end {
            self.is_told = false;
            self.gate.close();
        } else if matches!(told, Told::AgentStartedSpeaking { .. }) {
            self.is_told = true;
            self.send_early(client).await;
        }
    }
}
