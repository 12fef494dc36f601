//! What a menu lets its caller hear: speech, files, tones and music, one leg of the call's room.
//!
//! The leg has a mouth of 400 ms and nobody behind it: it is no participant, nobody transcribes it. Each sound is a
//! task that fills the mouth and asks for a mark behind its last sample; the mark comes back when the caller has heard
//! it. Stopping a sound aborts its task and flushes what waits, so that the caller hears silence within a tick and the
//! fade. Sounds that are made one after the other wait for each other at the mouth.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bot::ivr::effect::SoundId;
use media::{
    bridge::{BridgeError, Leg, LegEvent, LegId, Plan},
    dsp::tone::{Generator, Region, Tone},
    frame::MOUTH_HZ,
    graph::node::{Control, Event},
};
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinSet},
};

use super::music::Music;
use crate::{
    sound::RoomSound,
    speaker::{Abandoned, Pace, Speaker},
};

/// Samples that are made at a time: 20 ms.
const BLOCK: usize = MOUTH_HZ as usize / 50;

/// The voice of a menu.
pub(in crate::phone) struct Voice {
    leg: Leg,
    mouth: Arc<Mutex<Speaker>>,
    tasks: JoinSet<(SoundId, Result<(), NoSound>)>,
    sounds: BTreeMap<SoundId, AbortHandle>,
}

/// Why a sound was not made to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSound {
    /// Nobody hears it any more.
    #[error(transparent)]
    Abandoned(#[from] Abandoned),
    /// The file is not there or is none, or the voice failed.
    #[error("{0}")]
    Failed(String),
}

/// What became of a sound.
pub(in crate::phone) enum Heard {
    /// The caller heard all of it.
    Played(SoundId),
    /// It could not be made.
    Failed(SoundId),
}

impl Voice {
    /// A voice in a room.
    ///
    /// # Errors
    /// When the engine is full, or gone.
    pub(in crate::phone) async fn enter(sound: &RoomSound) -> Result<Self, BridgeError> {
        Self::enter_for(sound, None).await
    }

    /// A voice in a room that one of its legs alone hears, where one is named.
    ///
    /// # Errors
    /// When the engine is full, or gone.
    pub(in crate::phone) async fn enter_for(sound: &RoomSound, heard_by: Option<LegId>) -> Result<Self, BridgeError> {
        let (playout, speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
        let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, heard_by, ..Plan::default() };
        let leg = sound.bridge().join(plan).await?;
        Ok(Self { leg, mouth: Arc::new(Mutex::new(speaker)), tasks: JoinSet::new(), sounds: BTreeMap::new() })
    }

    /// Lets `make` make a sound. It is given the mouth, and what it says is heard on behalf of `id`.
    pub(in crate::phone) fn begin<F>(&mut self, id: SoundId, make: impl FnOnce(Mouth) -> F)
    where
        F: Future<Output = Result<(), NoSound>> + Send + 'static,
    {
        let mouth = Mouth { turn: id.0, speaker: self.mouth.clone() };
        let making = make(mouth.clone());
        let task = self.tasks.spawn(async move {
            let made = match making.await {
                Ok(()) => mouth.mark().await.map_err(NoSound::from),
                failed => failed,
            };
            (id, made)
        });
        self.sounds.insert(id, task);
    }

    /// Ends a sound at once.
    pub(in crate::phone) fn stop(&mut self, id: SoundId) {
        if let Some(task) = self.sounds.remove(&id) {
            task.abort();
            // A room that has too many orders is one whose engine has stalled: it plays on for 400 ms at most.
            let _ = self.leg.tell_source(Control::Flush(id.0));
        }
    }

    /// Ends all of them.
    pub(in crate::phone) fn stop_all(&mut self) {
        while let Some((id, _)) = self.sounds.first_key_value() {
            self.stop(*id);
        }
    }

    /// What became of a sound; never of one that was stopped. Cancel-safe.
    pub(in crate::phone) async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                Some(made) = self.tasks.join_next() => {
                    // A task that was aborted belongs to a sound that was stopped.
                    let Ok((id, Err(error))) = made else { continue };
                    if self.sounds.remove(&id).is_some() {
                        tracing::info!(%error, "a sound of a menu failed");
                        return Heard::Failed(id);
                    }
                }
                event = self.leg.events.recv() => match event {
                    Some(LegEvent::Source { event: Event::MarkPlayed(id), .. }) => {
                        if self.sounds.remove(&SoundId(id)).is_some() {
                            return Heard::Played(SoundId(id));
                        }
                    }
                    Some(_) => {}
                    None => match self.sounds.pop_first() {
                        Some((id, _)) => return Heard::Failed(id),
                        None => std::future::pending().await,
                    },
                },
            }
        }
    }
}

/// The mouth, for one sound.
#[derive(Clone)]
pub(in crate::phone) struct Mouth {
    turn: u64,
    speaker: Arc<Mutex<Speaker>>,
}

impl Mouth {
    /// Says samples at [`MOUTH_HZ`], waiting while the mouth is full.
    pub(in crate::phone) async fn say(&self, samples: &[f32]) -> Result<(), Abandoned> {
        self.speaker.lock().await.speak(self.turn, samples).await
    }

    async fn mark(&self) -> Result<(), Abandoned> {
        self.speaker.lock().await.mark(self.turn, self.turn).await
    }
}

/// A tone, to its end, or for ever.
pub(in crate::phone) async fn tone(mouth: Mouth, tone: Tone) -> Result<(), NoSound> {
    let mut generator = Generator::new(tone, MOUTH_HZ);
    let mut block = [0.0; BLOCK];
    loop {
        let goes_on = generator.write(&mut block);
        mouth.say(&block).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Music for somebody who waits, for ever.
pub(in crate::phone) async fn music(mouth: Mouth) -> Result<(), NoSound> {
    let mut music = Music::new(MOUTH_HZ);
    let mut block = [0.0; BLOCK];
    loop {
        music.write(&mut block);
        mouth.say(&block).await?;
    }
}

/// Nothing, for so long.
pub(in crate::phone) async fn silence(mouth: Mouth, length: Duration) -> Result<(), NoSound> {
    for _ in 0..length.as_millis() / 20 {
        mouth.say(&[0.0; BLOCK]).await?;
    }
    Ok(())
}

/// The ringing of a country.
pub(in crate::phone) fn ringing(country: Option<&str>) -> Tone {
    let is_american = country.is_some_and(|country| matches!(country.to_ascii_lowercase().as_str(), "us" | "ca"));
    Tone::Ringback(if is_american { Region::NorthAmerica } else { Region::Europe })
}

/// A file, so many times; `None` for ever.
pub(in crate::phone) async fn file(mouth: Mouth, bytes: bytes::Bytes, times: Option<u32>) -> Result<(), NoSound> {
    let mut left = times;
    loop {
        if left == Some(0) {
            return Ok(());
        }
        left = left.map(|left| left - 1);
        let mut blocks = crate::play::decoded(bytes.clone());
        let mut converter = crate::play::Converter::default();
        let mut samples = Vec::new();
        let mut heard_any = false;
        while let Some(block) = blocks.recv().await {
            let block = block.map_err(|error| NoSound::Failed(error.to_string()))?;
            samples.clear();
            converter.convert(&block, &mut samples).map_err(|error| NoSound::Failed(error.to_string()))?;
            heard_any |= !samples.is_empty();
            mouth.say(&samples).await?;
        }
        samples.clear();
        converter.finish(&mut samples);
        mouth.say(&samples).await?;
        if !heard_any && samples.is_empty() {
            // A file without a sample would be played for ever without ever waiting.
            return Ok(());
        }
    }
}
