//! Streams and transcriptions: what takes the sound while the document runs, or instead of it.

use std::{collections::BTreeMap, time::Instant};

use super::desk::Desk;
use crate::ivr::{
    callback::{self, StreamChange, TranscriptionChange},
    effect::{Effect, StreamSpec, TapId, TranscriptionSpec},
    input::TapEvent,
    notice::Code,
    twiml::{AudioTrack, Stream, Transcription},
    webhook::Endpoint,
};

/// The most streams and transcriptions of one call at a time, eight together: as many as with the vendor's four each.
const MOST: usize = 8;

/// All streams and transcriptions of a call.
#[derive(Default)]
pub(super) struct Taps(BTreeMap<TapId, Tap>);

struct Tap {
    name: Option<String>,
    kind: Kind,
    sid: String,
    callback: Option<Endpoint>,
    is_stopping: bool,
    /// How much was told of it.
    told: u64,
}

enum Kind {
    Stream { is_beside: bool },
    Transcription { language: Option<String>, inbound: Option<String>, outbound: Option<String> },
}

impl Desk {
    /// Begins a stream; `None` when its address is of no use or there are too many.
    pub(super) fn start_stream(&mut self, stream: &Stream, is_bidirectional: bool) -> Option<TapId> {
        let url = self.resolve(&stream.url, &["ws", "wss"])?;
        if !self.has_place() {
            return None;
        }
        let callback = stream.callback.as_ref().and_then(|link| self.endpoint(link));
        let id = self.add_tap(stream.name.clone(), Kind::Stream { is_beside: !is_bidirectional }, callback);
        let (name, track, parameters) = (stream.name.clone(), stream.track, stream.parameters.clone());
        self.emit(Effect::StartStream { id, spec: StreamSpec { url, name, track, is_bidirectional, parameters } });
        Some(id)
    }

    pub(super) fn start_transcription(&mut self, transcription: &Transcription) {
        if !self.has_place() {
            return;
        }
        let callback = transcription.callback.as_ref().and_then(|link| self.endpoint(link));
        let language = transcription.language.clone().or_else(|| self.rules.language.clone());
        let language = language.filter(|language| language != "multi");
        let kind = Kind::Transcription {
            language: language.clone(),
            inbound: transcription.inbound_label.clone(),
            outbound: transcription.outbound_label.clone(),
        };
        let id = self.add_tap(transcription.name.clone(), kind, callback);
        let spec = TranscriptionSpec {
            track: transcription.track,
            language,
            hints: transcription.hints.clone(),
            partials: transcription.partial_results,
            profanity_filter: transcription.profanity_filter,
        };
        self.emit(Effect::StartTranscription { id, spec });
    }

    pub(super) fn stop_tap(&mut self, id: TapId) {
        if let Some(tap) = self.taps.0.get_mut(&id).filter(|tap| !tap.is_stopping) {
            tap.is_stopping = true;
            self.emit(Effect::StopTap(id));
        }
    }

    /// Ends the stream (or transcription) beside the document that is called `name`, or the one begun last; whether
    /// there was one.
    pub(super) fn stop_tap_beside(&mut self, wants_stream: bool, name: Option<&str>) -> bool {
        let mut beside = self.taps.0.iter().rev().filter(|(_, tap)| {
            let fits = match tap.kind {
                Kind::Stream { is_beside } => wants_stream && is_beside,
                Kind::Transcription { .. } => !wants_stream,
            };
            fits && !tap.is_stopping
        });
        let found = beside.find(|(_, tap)| name.is_none() || tap.name.as_deref() == name).map(|(id, _)| *id);
        found.inspect(|id| self.stop_tap(*id)).is_some()
    }

    /// Ends all: the call is over, so their ends are told now.
    pub(super) fn stop_all_taps(&mut self, now: Instant) {
        let ids: Vec<_> = self.taps.0.keys().copied().collect();
        for id in ids {
            self.stop_tap(id);
            self.tapped(now, id, &TapEvent::Stopped);
        }
    }

    /// Follows what became of a stream or transcription. Whether it is over.
    pub(super) fn tapped(&mut self, now: Instant, id: TapId, event: &TapEvent) -> bool {
        let wall = self.wall(now);
        let Some(tap) = self.taps.0.get_mut(&id) else { return false };
        if let TapEvent::Started { sid } = event {
            tap.sid.clone_from(sid);
        }
        tap.told += 1;
        let params = match &tap.kind {
            Kind::Stream { .. } => {
                let change = match event {
                    TapEvent::Started { .. } => Some(StreamChange::Started),
                    TapEvent::Stopped => Some(StreamChange::Stopped),
                    TapEvent::Failed { why } => Some(StreamChange::Failed(why)),
                    TapEvent::Said { .. } => None,
                };
                change.map(|change| callback::stream(&self.facts, &tap.sid, tap.name.as_deref(), change, wall))
            }
            Kind::Transcription { language, inbound, outbound } => {
                let mut spoken = language.as_deref();
                let change = match event {
                    TapEvent::Started { .. } => TranscriptionChange::Started,
                    TapEvent::Stopped => TranscriptionChange::Stopped,
                    TapEvent::Failed { why } => TranscriptionChange::Failed(why),
                    TapEvent::Said { track, text, confidence, is_final, language } => {
                        spoken = language.as_deref().or(spoken);
                        let label = if *track == AudioTrack::Inbound { inbound } else { outbound };
                        let (confidence, is_final) = (*confidence, *is_final);
                        TranscriptionChange::Said { track: *track, label: label.as_deref(), text, confidence, is_final }
                    }
                };
                Some(callback::transcription(&self.facts, &tap.sid, spoken, tap.told, change, wall))
            }
        };
        let callback = tap.callback.clone();
        let is_over = matches!(event, TapEvent::Stopped | TapEvent::Failed { .. });
        if is_over {
            self.taps.0.remove(&id);
        }
        if let Some((to, params)) = callback.zip(params) {
            self.notify(&to, params);
        }
        is_over
    }

    fn has_place(&mut self) -> bool {
        let has_place = self.taps.0.len() < MOST;
        if !has_place {
            self.warn(Code::OURS, format!("more than {MOST} streams and transcriptions of one call; not started"));
        }
        has_place
    }

    fn add_tap(&mut self, name: Option<String>, kind: Kind, callback: Option<Endpoint>) -> TapId {
        let id = TapId(self.fresh());
        self.taps.0.insert(id, Tap { name, kind, sid: String::new(), callback, is_stopping: false, told: 0 });
        id
    }
}
