//! `Record`: a beep, the caller's words, and the key, the silence or the length that ends them.

use std::time::Instant;

use super::{
    desk::{Desk, Extra},
    frame::Then,
    kept::{FILE_WAIT, Interest, TRANSCRIPT_METHOD},
};
use crate::ivr::{
    callback,
    effect::{Effect, ListenId, Listening, RecordingId, RecordingSource, RecordingSpec, SoundId},
    input::{Heard, RecordingEvent},
    key::Key,
    notice::Code,
    twiml::Record,
};

/// A `Record` that runs.
pub(super) struct Recording {
    record: Record,
    phase: Phase,
    /// The key that ended it.
    ended_by: Option<Key>,
    /// Whether the caller spoke, as far as anybody listens.
    was_heard: bool,
}

enum Phase {
    Beeping(SoundId),
    Running {
        id: RecordingId,
        listening: Option<ListenId>,
        silent_at: Option<Instant>,
        full_at: Instant,
    },
    /// The file is being finished.
    Finishing {
        id: RecordingId,
        until: Instant,
    },
}

impl Recording {
    pub(super) fn start(desk: &mut Desk, now: Instant, record: Record) -> (Self, Then) {
        let beep = SoundId(desk.fresh());
        let mut recording = Self { record, phase: Phase::Beeping(beep), ended_by: None, was_heard: false };
        if recording.record.beep {
            desk.emit(Effect::Beep { id: beep });
            return (recording, Then::Stay);
        }
        let then = recording.run(desk, now);
        (recording, then)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Beeping(_) => None,
            Phase::Running { silent_at, full_at, .. } => Some(silent_at.map_or(full_at, |at| at.min(full_at))),
            Phase::Finishing { until, .. } => Some(until),
        }
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) -> Then {
        match self.phase {
            Phase::Running { silent_at, full_at, .. } if silent_at.is_some_and(|at| at <= now) || full_at <= now => {
                self.stop(desk, now);
            }
            Phase::Finishing { until, .. } if until <= now => {
                desk.warn(Code::OURS, "the recording is not finished in time; the call goes on without it");
                return Then::Next;
            }
            _ => {}
        }
        Then::Stay
    }

    pub(super) fn sound_ended(&mut self, desk: &mut Desk, now: Instant, ended: SoundId) -> Then {
        match self.phase {
            Phase::Beeping(id) if id == ended => self.run(desk, now),
            _ => Then::Stay,
        }
    }

    pub(super) fn press(&mut self, desk: &mut Desk, now: Instant, key: Key) -> Then {
        if matches!(self.phase, Phase::Running { .. }) && self.record.finish_on.contains(key) {
            self.ended_by = Some(key);
            self.stop(desk, now);
        }
        Then::Stay
    }

    pub(super) fn heard(&mut self, desk: &mut Desk, now: Instant, heard: ListenId, what: &Heard) {
        let Phase::Running { listening, silent_at, .. } = &mut self.phase else { return };
        if *listening != Some(heard) {
            return;
        }
        match what {
            Heard::SpeechStarted => {
                self.was_heard = true;
                *silent_at = None;
            }
            Heard::SpeechEnded => *silent_at = Some(now + self.record.timeout),
            Heard::Failed => {
                // Nobody can tell silence from speech now: the recording is as long as it may be, and is kept.
                self.was_heard = true;
                *listening = None;
                *silent_at = None;
                desk.warn(Code::OURS, "nobody listens for silence; only a key or maxLength ends the recording");
            }
            Heard::Partial { .. } | Heard::Final { .. } | Heard::Settled => {}
        }
    }

    pub(super) fn recorded(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        about: RecordingId,
        event: &RecordingEvent,
    ) -> Then {
        let (Phase::Running { id, .. } | Phase::Finishing { id, .. }) = self.phase else { return Then::Stay };
        if id != about {
            return Then::Stay;
        }
        match event {
            RecordingEvent::Started { .. } => Then::Stay,
            RecordingEvent::Done { sid, url, duration, .. } => {
                self.close(desk, now);
                // A caller who said nothing left no message, and the document says what then.
                if !self.was_heard && self.ended_by.is_none() {
                    return Then::Next;
                }
                let digits = self.ended_by.map_or_else(String::new, |key| key.as_char().to_string());
                let extra = vec![
                    ("RecordingUrl", url.clone()),
                    ("RecordingSid", sid.clone()),
                    ("RecordingDuration", callback::seconds(*duration)),
                    ("Digits", digits),
                ];
                self.ask(extra)
            }
            RecordingEvent::Absent => {
                self.close(desk, now);
                Then::Next
            }
            RecordingEvent::Failed => {
                self.close(desk, now);
                desk.warn(Code::OURS, "the recording could not be made; the call goes on without it");
                Then::Next
            }
            RecordingEvent::Transcribed { .. } => Then::Stay,
        }
    }

    /// Ends it without a result. `is_over` when the call is: then `action` is told as soon as the file is there.
    pub(super) fn abandon(&mut self, desk: &mut Desk, now: Instant, is_over: bool) {
        if let Phase::Beeping(id) = self.phase {
            desk.emit(Effect::StopSound(id));
        }
        let id = match self.phase {
            Phase::Running { id, .. } | Phase::Finishing { id, .. } => Some(id),
            Phase::Beeping(_) => None,
        };
        self.close(desk, now);
        if let Some(id) = id.filter(|_| is_over)
            && let Some(to) = desk.endpoint_or_own(self.record.action.as_ref(), self.record.method)
        {
            desk.tell_when_recorded(id, to, vec![("Digits", "hangup".to_owned())]);
        }
    }

    fn run(&mut self, desk: &mut Desk, now: Instant) -> Then {
        let record = &self.record;
        let spec = RecordingSpec {
            source: RecordingSource::Caller,
            max_length: record.max_length,
            trim: record.trim,
            transcribe: record.transcribe,
            by: "RecordVerb",
        };
        let callback = record.callback.clone();
        let callback = callback.and_then(|callback| Some((desk.endpoint(&callback.link)?, callback.events)));
        let transcript_to = record.transcribe_callback.clone();
        let transcript_to = transcript_to.and_then(|to| desk.endpoint_of(&to, TRANSCRIPT_METHOD));
        let Some(id) = desk.record(now, spec, Interest { callback, transcript_to }) else { return Then::Next };
        let listen = ListenId(desk.fresh());
        desk.emit(Effect::Listen { id: listen, to: Listening::Activity });
        self.phase = Phase::Running {
            id,
            listening: Some(listen),
            silent_at: Some(now + self.record.timeout),
            full_at: now + self.record.max_length,
        };
        Then::Stay
    }

    fn stop(&mut self, desk: &mut Desk, now: Instant) {
        self.close(desk, now);
        if let Phase::Running { id, .. } = self.phase {
            self.phase = Phase::Finishing { id, until: now + FILE_WAIT };
        }
    }

    /// Stops what runs for it.
    fn close(&mut self, desk: &mut Desk, now: Instant) {
        if let Phase::Running { id, listening, .. } = &mut self.phase {
            if let Some(listening) = listening.take() {
                desk.emit(Effect::StopListening(listening));
            }
            desk.stop_recording(now, *id);
        }
    }

    fn ask(&self, extra: Extra) -> Then {
        Then::Ask { to: self.record.action.clone(), method: self.record.method, extra }
    }
}
