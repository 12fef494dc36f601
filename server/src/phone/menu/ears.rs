//! What a menu hears: the events of the caller's room that are theirs, as inputs of the machine.
//!
//! The room's own ears do the work; keys, speech and words come as room events and only those of the caller count.
//! A stretch of listening decides whether words are passed on. When the machine wants what was said so far settled, the
//! ears are asked to finalize, and the answer comes with the final of the utterance that was open, or at once where
//! none was. Pure: told the time.

use std::time::{Duration, Instant};

use asr::event::Word;
use bot::{
    event::RoomEvent,
    ivr::{
        effect::{ListenId, Listening},
        input::{Heard, Input},
        key::Key,
        private::Private,
    },
};
use media::id::ParticipantId;

/// How long a final is waited for once it was asked for: a decoder under load takes a second or two.
const SETTLE_WITHIN: Duration = Duration::from_secs(4);

/// What is listened for, and how far it is.
#[derive(Default)]
pub(super) struct Ears {
    listening: Option<(ListenId, Listening)>,
    /// Utterances that began and have no final yet, oldest first; a handful at most.
    open: Vec<u64>,
    /// Who waits for what was said so far, and until when.
    settling: Option<(ListenId, Instant)>,
}

/// Utterances without a final that are remembered: the ears have a few in hand, and drop what waits too long.
const OPEN_MAX: usize = 32;

impl Ears {
    /// Listens from now on.
    pub(super) fn listen(&mut self, id: ListenId, to: Listening) {
        self.listening = Some((id, to));
        self.settling = None;
    }

    /// Listens no more.
    pub(super) fn stop(&mut self, id: ListenId) {
        if self.listening.as_ref().is_some_and(|(now, _)| *now == id) {
            self.listening = None;
            self.settling = None;
        }
    }

    /// Wants what was said so far settled; the answer at once where nothing is open. Whoever asks also asks the room's
    /// ears to finalize.
    pub(super) fn settle(&mut self, id: ListenId, now: Instant) -> Option<Input> {
        if self.open.is_empty() {
            return Some(Input::Heard { id, what: Heard::Settled });
        }
        self.settling = Some((id, now + SETTLE_WITHIN));
        None
    }

    /// The caller is in another room, with other ears: of what was open nothing more is told.
    pub(super) fn forget_open(&mut self) {
        self.open.clear();
    }

    /// When [`Ears::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.settling.map(|(_, until)| until)
    }

    /// A final that does not come is not waited for any longer.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Input> {
        let (id, _) = self.settling.take_if(|(_, until)| *until <= now)?;
        self.open.clear();
        Some(Input::Heard { id, what: Heard::Settled })
    }

    /// What an event of the room means to the machine.
    pub(super) fn hear(&mut self, event: &RoomEvent, caller: ParticipantId, inputs: &mut Vec<Input>) {
        match event {
            RoomEvent::Dtmf { participant, digit, .. } if *participant == caller => {
                inputs.extend(Key::from_char(*digit).map(Input::Key));
            }
            RoomEvent::SpeechStarted { participant, utterance, .. } if *participant == caller => {
                if self.open.len() >= OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push(*utterance);
                self.tell(Heard::SpeechStarted, inputs);
            }
            RoomEvent::SpeechEnded { participant, .. } if *participant == caller => {
                self.tell(Heard::SpeechEnded, inputs);
            }
            RoomEvent::TranscriptPartial { stable_words, segment, .. } if segment.participant == caller => {
                let Some((_, Listening::Words(words))) = &self.listening else { return };
                if words.partials && !segment.text.is_empty() {
                    let share = *stable_words as f32 / segment.words.len().max(1) as f32;
                    let text = Private::from(segment.text.clone());
                    self.tell(Heard::Partial { text, stability: share.clamp(0.0, 1.0) }, inputs);
                }
            }
            RoomEvent::TranscriptFinal { segment } if segment.participant == caller => {
                if let Some((_, Listening::Words(_))) = &self.listening {
                    let what = Heard::Final {
                        text: Private::from(segment.text.clone()),
                        confidence: confidence(&segment.words),
                        language: segment.language.as_deref().map(str::to_owned),
                    };
                    self.tell(what, inputs);
                }
                self.closed(segment.utterance, inputs);
            }
            RoomEvent::TranscriptLost { participant, .. } if *participant == caller => {
                // Nobody says which utterance it was: the oldest has waited longest.
                if let Some(oldest) = self.open.first().copied() {
                    self.closed(oldest, inputs);
                }
            }
            _ => {}
        }
    }

    /// An utterance has its words, and so have those before it.
    fn closed(&mut self, utterance: u64, inputs: &mut Vec<Input>) {
        self.open.retain(|open| *open > utterance);
        if self.open.is_empty()
            && let Some((id, _)) = self.settling.take()
        {
            inputs.push(Input::Heard { id, what: Heard::Settled });
        }
    }

    fn tell(&self, what: Heard, inputs: &mut Vec<Input>) {
        if let Some((id, _)) = &self.listening {
            inputs.push(Input::Heard { id: *id, what });
        }
    }
}

/// How sure the recognizer is of all of it: the mean of its words.
fn confidence(words: &[Word]) -> f32 {
    if words.is_empty() {
        return 0.0;
    }
    words.iter().map(|word| word.confidence).sum::<f32>() / words.len() as f32
}
