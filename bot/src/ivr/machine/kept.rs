//! Recordings: those that run, and those that are finished while the call goes on or is over already.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::desk::{Desk, Extra};
use crate::ivr::{
    callback::{self, RecordingFacts, RecordingStatus},
    effect::{Effect, RecordingId, RecordingSource, RecordingSpec},
    input::RecordingEvent,
    notice::Code,
    twiml::{AudioTrack, RecordingEvents},
    webhook::{Endpoint, Method},
};

/// The most recordings of one call at a time. Each is a file that grows.
const MOST: usize = 8;

/// All recordings of a call that something is still to be heard of.
#[derive(Default)]
pub(super) struct Recordings(BTreeMap<RecordingId, Kept>);

struct Kept {
    name: Option<String>,
    /// Whether a document began it beside itself, so that `Stop` may end it.
    is_beside: bool,
    is_stopping: bool,
    facts: RecordingFacts,
    callback: Option<(Endpoint, RecordingEvents)>,
    /// Who is told the words; `None` when nobody wants them.
    transcript_to: Option<Endpoint>,
    wants_transcript: bool,
    /// Who is told once the file is there that the call ended within the verb, and with what.
    farewell: Option<(Endpoint, Extra)>,
    /// When it counts as failed.
    until: Instant,
}

/// Who wants to hear of a recording.
#[derive(Default)]
pub(super) struct Interest {
    pub(super) callback: Option<(Endpoint, RecordingEvents)>,
    pub(super) transcript_to: Option<Endpoint>,
}

impl Recordings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|kept| kept.until).min()
    }
}

impl Desk {
    /// Begins a recording; `None` when there are too many.
    pub(super) fn record(&mut self, now: Instant, spec: RecordingSpec, interest: Interest) -> Option<RecordingId> {
        if self.recordings.0.len() >= MOST {
            self.warn(Code::OURS, format!("more than {MOST} recordings of one call; not recorded"));
            return None;
        }
        let track = match spec.source {
            RecordingSource::Caller => AudioTrack::Inbound,
            RecordingSource::Other => AudioTrack::Outbound,
            RecordingSource::Both(_) => AudioTrack::Both,
        };
        let facts = RecordingFacts { source: spec.by, track: Some(track), ..RecordingFacts::default() };
        let kept = Kept {
            name: None,
            is_beside: false,
            is_stopping: false,
            facts,
            callback: interest.callback,
            transcript_to: interest.transcript_to,
            wants_transcript: spec.transcribe,
            farewell: None,
            until: now + spec.max_length + self.rules.recording_timeout,
        };
        let id = RecordingId(self.fresh());
        self.recordings.0.insert(id, kept);
        self.emit(Effect::Record { id, spec });
        Some(id)
    }

    /// Lets a recording run beside the document, under `name`.
    pub(super) fn record_beside(&mut self, id: RecordingId, name: Option<String>) {
        if let Some(kept) = self.recordings.0.get_mut(&id) {
            kept.name = name;
            kept.is_beside = true;
        }
    }

    pub(super) fn stop_recording(&mut self, now: Instant, id: RecordingId) {
        let until = now + self.rules.recording_timeout;
        if let Some(kept) = self.recordings.0.get_mut(&id).filter(|kept| !kept.is_stopping) {
            kept.is_stopping = true;
            kept.until = kept.until.min(until);
            self.emit(Effect::StopRecording(id));
        }
    }

    /// Ends the recording beside the document that is called `name`, or the one begun last; whether there was one.
    pub(super) fn stop_recording_beside(&mut self, now: Instant, name: Option<&str>) -> bool {
        let mut beside = self.recordings.0.iter().rev().filter(|(_, kept)| kept.is_beside && !kept.is_stopping);
        let found = beside.find(|(_, kept)| name.is_none() || kept.name.as_deref() == name).map(|(id, _)| *id);
        found.inspect(|id| self.stop_recording(now, *id)).is_some()
    }

    pub(super) fn stop_all_recordings(&mut self, now: Instant) {
        let running: Vec<_> = self.recordings.0.keys().copied().collect();
        running.into_iter().for_each(|id| self.stop_recording(now, id));
    }

    /// Tells `to` of the recording when its file is there: the call ended within the verb.
    pub(super) fn tell_when_recorded(&mut self, id: RecordingId, to: Endpoint, extra: Extra) {
        if let Some(kept) = self.recordings.0.get_mut(&id) {
            kept.farewell = Some((to, extra));
        }
    }

    /// Follows what became of a recording: tells whoever wanted to hear of it.
    pub(super) fn recorded(&mut self, now: Instant, id: RecordingId, event: &RecordingEvent) {
        let wall = self.wall(now);
        let Some(kept) = self.recordings.0.get_mut(&id) else { return };
        match event {
            RecordingEvent::Started { sid } => {
                kept.facts.sid.clone_from(sid);
                kept.facts.began = Some(wall);
                self.tell_recording(id, RecordingStatus::InProgress);
            }
            RecordingEvent::Done { sid, url, duration, channels } => {
                kept.facts.sid.clone_from(sid);
                kept.facts.url.clone_from(url);
                kept.facts.duration = *duration;
                kept.facts.channels = *channels;
                kept.is_stopping = true;
                kept.until = now + self.rules.recording_timeout;
                let wants_transcript = kept.wants_transcript;
                self.tell_recording(id, RecordingStatus::Completed);
                self.bid_farewell(id);
                if !wants_transcript {
                    self.recordings.0.remove(&id);
                }
            }
            RecordingEvent::Absent | RecordingEvent::Failed => {
                let is_absent = *event == RecordingEvent::Absent;
                self.tell_recording(id, if is_absent { RecordingStatus::Absent } else { RecordingStatus::Failed });
                self.bid_farewell(id);
                self.recordings.0.remove(&id);
            }
            RecordingEvent::Transcribed { sid, text } => {
                let Some(kept) = self.recordings.0.remove(&id) else { return };
                let facts = RecordingFacts { sid: sid.clone(), ..kept.facts };
                if let Some(to) = kept.transcript_to {
                    let params = callback::recording_text(&self.facts, &facts, text.as_ref(), self.status());
                    self.notify(&to, params);
                }
            }
        }
    }

    /// Gives up recordings of which nothing was heard for too long.
    pub(super) fn expire_recordings(&mut self, now: Instant) {
        let late: Vec<_> = self.recordings.0.iter().filter(|(_, kept)| kept.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            let has_file = self.recordings.0.get(&id).is_some_and(|kept| !kept.facts.url.is_empty());
            let event = if has_file {
                RecordingEvent::Transcribed { sid: self.recordings.0[&id].facts.sid.clone(), text: None }
            } else {
                RecordingEvent::Failed
            };
            self.recorded(now, id, &event);
        }
    }

    fn tell_recording(&mut self, id: RecordingId, status: RecordingStatus) {
        let Some(kept) = self.recordings.0.get(&id) else { return };
        let wanted = kept.callback.clone().filter(|(_, events)| match status {
            RecordingStatus::InProgress => events.in_progress,
            RecordingStatus::Completed | RecordingStatus::Failed => events.completed,
            RecordingStatus::Absent => events.absent,
        });
        if let Some((to, _)) = wanted {
            let params = callback::recording(&self.facts, &kept.facts, status);
            self.notify(&to, params);
        }
    }

    fn bid_farewell(&mut self, id: RecordingId) {
        let Some(kept) = self.recordings.0.get_mut(&id) else { return };
        let Some((to, extra)) = kept.farewell.take() else { return };
        let facts = kept.facts.clone();
        let mut params = self.params(extra);
        if !facts.url.is_empty() {
            params.push("RecordingUrl", &facts.url);
            params.push("RecordingSid", &facts.sid);
            params.push("RecordingDuration", callback::seconds(facts.duration));
        }
        self.notify(&to, params);
    }
}

/// How the words of a recording are told: the vendor takes no method for it.
pub(super) const TRANSCRIPT_METHOD: Method = Method::Post;

/// How long a document waits for the file of a recording that it stopped, before it goes on without it. The file is
/// written while it is recorded, so only its end is waited for.
pub(super) const FILE_WAIT: Duration = Duration::from_secs(10);
