//! The verbs of a document, one after the other, until one has to wait.

use std::time::{Duration, Instant};

use super::{
    Machine, Role,
    conference::Conferring,
    dial::Dialling,
    frame::{Doing, Kind, Then},
    gather::Gathering,
    kept::Interest,
    prompts,
    queue::Queueing,
    record::Recording,
    relay::Relaying,
};
use crate::ivr::{
    call::CallStatus,
    effect::{Effect, RecordingSource, RecordingSpec, SoundId},
    input::SoundEnd,
    notice::Code,
    twiml::{AudioTrack, Connected, Dialled, RejectReason, StartRecording, Startable, Stoppable, Verb},
};

/// How long the far side has to take the call over. It rings somebody else meanwhile.
const REFER: Duration = Duration::from_secs(60);

impl Machine {
    /// Does verbs until one has to wait, or the call is over.
    pub(super) fn run(&mut self, now: Instant) {
        while let Some(at) = self.frames.len().checked_sub(1) {
            if !matches!(self.frames[at].doing, Doing::Ready) {
                return;
            }
            let frame = &mut self.frames[at];
            let Some(step) = frame.document.steps.get(frame.at).cloned() else {
                self.end_of_document(now, at);
                continue;
            };
            frame.at += 1;
            self.desk.focus(&self.frames[at]);
            if let Some(why) = self.is_out_of_place(at, &step.verb) {
                self.desk.warn(Code::WAIT_VERB, why);
                continue;
            }
            self.step(now, at, step.verb);
        }
    }

    pub(super) fn sound_ended(&mut self, now: Instant, id: SoundId, how: SoundEnd) {
        let Some(at) = self.frames.len().checked_sub(1) else { return };
        self.desk.focus(&self.frames[at]);
        let is_own = match self.frames[at].doing {
            Doing::Sounding(own) | Doing::Music(own) | Doing::Apologizing { id: own, .. } => own == id,
            _ => false,
        };
        if how == SoundEnd::Failed {
            self.desk.warn(Code::PLAY_CONTENT, "a sound could not be made; the call goes on without it");
        }
        match self.frames[at].doing {
            Doing::Sounding(_) if is_own => self.frames[at].doing = Doing::Ready,
            Doing::Apologizing { .. } if is_own => {
                self.frames[at].doing = Doing::Ready;
                self.hang_up(now);
            }
            _ => self.with(at, now, |desk, doing| match doing {
                Doing::Gathering(gathering) => gathering.sound_ended(desk, now, id),
                Doing::Recording(recording) => recording.sound_ended(desk, now, id),
                _ => Then::Stay,
            }),
        }
    }

    fn step(&mut self, now: Instant, at: usize, verb: Verb) {
        let desk = &mut self.desk;
        let (doing, then) = match verb {
            Verb::Say(say) if say.speech.is_empty() => {
                desk.warn(Code::SAY_TEXT, "nothing to say");
                return;
            }
            Verb::Say(say) => {
                desk.answer(now);
                (Doing::Sounding(desk.say(say.speech, say.times)), Then::Stay)
            }
            Verb::Play(play) => {
                desk.answer(now);
                let Some(id) = prompts::play(desk, &play.sound, play.times) else { return };
                (Doing::Sounding(id), Then::Stay)
            }
            Verb::Pause(length) if length.is_zero() => return,
            // Before the call is taken, a pause lets it ring.
            Verb::Pause(length) => (Doing::Pausing(now + length), Then::Stay),
            Verb::Gather(gather) => {
                desk.answer(now);
                let (gathering, then) = Gathering::start(desk, now, gather);
                (Doing::Gathering(Box::new(gathering)), then)
            }
            Verb::Record(record) => {
                desk.answer(now);
                let (recording, then) = Recording::start(desk, now, record);
                (Doing::Recording(Box::new(recording)), then)
            }
            Verb::Dial(mut dial) => match dial.dialled {
                Dialled::Conference(room) => {
                    dial.dialled = Dialled::Legs { targets: Vec::new(), sequential: false };
                    let (conferring, then) = Conferring::start(desk, now, dial, *room);
                    (Doing::Conferring(Box::new(conferring)), then)
                }
                _ => {
                    let (dialling, then) = Dialling::start(desk, now, dial);
                    (Doing::Dialling(Box::new(dialling)), then)
                }
            },
            Verb::Hangup => {
                desk.answer(now);
                return self.hang_up(now);
            }
            Verb::Redirect(redirect) => return self.ask(now, at, redirect.to, redirect.method, Vec::new()),
            Verb::Reject(reason) => return self.reject(now, reason),
            Verb::Refer(refer) => {
                desk.answer(now);
                desk.emit(Effect::Refer { to: refer.to.into() });
                (Doing::Referring { action: refer.action, until: now + REFER }, Then::Stay)
            }
            Verb::Enqueue(enqueue) => {
                let (queueing, then) = Queueing::start(desk, now, enqueue);
                (Doing::Queueing(Box::new(queueing)), then)
            }
            Verb::Leave => {
                return self.with(super::MAIN, now, |desk, doing| match doing {
                    Doing::Queueing(queueing) => queueing.leave(desk, now),
                    _ => Then::Stay,
                });
            }
            Verb::Connect(connect) => {
                desk.answer(now);
                let action = connect.action;
                let doing = match connect.to {
                    Connected::Stream(stream) => {
                        desk.start_stream(&stream, true).map(|tap| Doing::Streaming { tap, action })
                    }
                    Connected::Relay(relay) => {
                        Relaying::start(desk, now, *relay, action).map(|relaying| Doing::Relaying(Box::new(relaying)))
                    }
                };
                let Some(doing) = doing else { return };
                (doing, Then::Stay)
            }
            Verb::Start(started) => {
                desk.answer(now);
                return started.into_iter().for_each(|start| self.start(now, start));
            }
            Verb::Stop(stopped) => return stopped.into_iter().for_each(|stop| self.stop(now, &stop)),
            Verb::Unsupported { name } => {
                let why = format!("<{name}> is not built into this server");
                return self.fail(now, at, Code::SCHEMA, &why, None);
            }
        };
        self.frames[at].doing = doing;
        self.follow(now, at, then);
    }

    fn start(&mut self, now: Instant, start: Startable) {
        let desk = &mut self.desk;
        match start {
            Startable::Stream(stream) => {
                desk.start_stream(&stream, false);
            }
            Startable::Transcription(transcription) => desk.start_transcription(&transcription),
            Startable::Recording(StartRecording { name, track, channels, trim, callback }) => {
                let source = match track {
                    AudioTrack::Inbound => RecordingSource::Caller,
                    AudioTrack::Outbound => RecordingSource::Other,
                    AudioTrack::Both => RecordingSource::Both(channels),
                };
                let by = "StartCallRecordingTwiML";
                let spec = RecordingSpec { source, max_length: desk.rules.call, trim, transcribe: false, by };
                let callback = callback.and_then(|callback| Some((desk.endpoint(&callback.link)?, callback.events)));
                if let Some(id) = desk.record(now, spec, Interest { callback, transcript_to: None }) {
                    desk.record_beside(id, name);
                }
            }
        }
    }

    fn stop(&mut self, now: Instant, stop: &Stoppable) {
        let desk = &mut self.desk;
        let was_there = match stop {
            Stoppable::Stream(name) => desk.stop_tap_beside(true, name.as_deref()),
            Stoppable::Transcription(name) => desk.stop_tap_beside(false, name.as_deref()),
            Stoppable::Recording(name) => desk.stop_recording_beside(now, name.as_deref()),
        };
        if !was_there {
            desk.warn(Code::START_NOUN, "nothing of that name runs");
        }
    }

    fn reject(&mut self, now: Instant, reason: RejectReason) {
        if self.desk.answered_at.is_some() {
            self.desk.warn(Code::SCHEMA, "the call has been taken already; it is hung up instead");
            return self.hang_up(now);
        }
        let status = match reason {
            RejectReason::Busy => CallStatus::Busy,
            RejectReason::Rejected => CallStatus::NoAnswer,
        };
        self.end(now, status, Some(Effect::Reject(reason)));
    }

    /// Why a verb does not belong where it stands, if it does not.
    fn is_out_of_place(&self, at: usize, verb: &Verb) -> Option<String> {
        let is_allowed = match (&self.frames[at].kind, verb) {
            (_, Verb::Say(_) | Verb::Play(_) | Verb::Pause(_) | Verb::Redirect(_)) => true,
            (Kind::Main, Verb::Leave) => false,
            (Kind::Main, Verb::Gather(_) | Verb::Hangup) => true,
            (Kind::Main, _) => self.desk.role == Role::Call,
            (Kind::Wait { .. }, Verb::Gather(_) | Verb::Hangup) => true,
            (Kind::Wait { is_queue, .. }, Verb::Leave) => *is_queue,
            (Kind::Wait { .. } | Kind::Whisper, _) => false,
        };
        let place = match self.frames[at].kind {
            Kind::Main if self.desk.role == Role::Call => "outside of a queue's waitUrl",
            Kind::Wait { .. } => "in a document that plays while the caller waits",
            _ => "in a document that plays before somebody is connected",
        };
        (!is_allowed).then(|| format!("<{}> may not stand {place}; left out", verb.name()))
    }
}
