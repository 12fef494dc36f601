//! What webhooks are told: the vendor's parameters, by its names and in its order.
//!
//! Pure: facts in, [`Params`] out. The machine uses most of these; those of calls that never came to have a machine
//! are for whoever holds them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::{
    call::{CallFacts, CallStatus, ProgressEvents},
    input::Standing,
    private::Private,
    twiml::AudioTrack,
    webhook::Params,
};

/// The version of the interface.
pub const API_VERSION: &str = "2010-04-01";

/// What every request about a call says.
pub fn call(facts: &CallFacts, status: CallStatus) -> Params {
    let mut params = Params::default();
    params.push("CallSid", &facts.call_sid);
    params.push("AccountSid", &facts.account_sid);
    params.push("From", facts.from.reveal());
    params.push("To", facts.to.reveal());
    params.push("CallStatus", status.as_str());
    params.push("ApiVersion", API_VERSION);
    params.push("Direction", facts.direction.as_str());
    if let Some(number) = &facts.forwarded_from {
        params.push("ForwardedFrom", number.reveal());
    }
    if let Some(name) = &facts.caller_name {
        params.push("CallerName", name.reveal());
    }
    if let Some(sid) = &facts.parent_call_sid {
        params.push("ParentCallSid", sid);
    }
    params.push("Caller", facts.from.reveal());
    params.push("Called", facts.to.reveal());
    for (name, value) in facts.own_params.iter().take(CallFacts::OWN_PARAMS) {
        params.push_own(name, value.reveal());
    }
    params
}

/// Tells that a call got on: the body of a status callback. `talked` is how long it lasted since it was taken.
pub fn progress(facts: &CallFacts, status: CallStatus, talked: Option<Duration>, at: SystemTime) -> Params {
    let mut params = call(facts, status);
    add_progress(&mut params, status, talked, at);
    params
}

/// Somebody who was dialled by a call: a call of its own, whose parent is the call of `facts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildCall {
    /// As the REST API knows it.
    pub call_sid: String,
    /// The number that is shown there.
    pub from: Private,
    /// Who is called.
    pub to: Private,
}

/// Tells that somebody who was dialled got on.
pub fn child_progress(
    parent: &CallFacts,
    child: &ChildCall,
    status: CallStatus,
    talked: Option<Duration>,
    at: SystemTime,
) -> Params {
    let mut params = child_call(parent, child, status);
    add_progress(&mut params, status, talked, at);
    params
}

/// Tells what answered: `human`, `machine_start`, …; `listened` is how long it took to know.
pub fn machine_detection(parent: &CallFacts, child: &ChildCall, answered_by: &str, listened: Duration) -> Params {
    let mut params = Params::default();
    params.push("CallSid", &child.call_sid);
    params.push("AccountSid", &parent.account_sid);
    params.push("AnsweredBy", answered_by);
    params.push("MachineDetectionDuration", listened.as_millis().to_string());
    params
}

/// Whether `events` holds the event that brings a call to `status`.
pub fn is_wanted(events: ProgressEvents, status: CallStatus) -> bool {
    match status {
        CallStatus::Queued | CallStatus::Initiated => events.initiated,
        CallStatus::Ringing => events.ringing,
        CallStatus::InProgress => events.answered,
        CallStatus::Completed | CallStatus::Busy | CallStatus::Failed | CallStatus::NoAnswer | CallStatus::Canceled => {
            events.completed
        }
    }
}

/// What became of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingStatus {
    /// It runs.
    InProgress,
    /// The file is there.
    Completed,
    /// There was nothing to record.
    Absent,
    /// It could not be made.
    Failed,
}

/// A recording, as callbacks tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingFacts {
    /// As the REST API knows it; empty until it began.
    pub sid: String,
    /// Where the file can be had; empty until it is there.
    pub url: String,
    /// How long it is.
    pub duration: Duration,
    /// How many channels it has.
    pub channels: u8,
    /// The verb that asked for it: `RecordVerb`, `DialVerb`, `StartCallRecordingTwiML`, `Conference`.
    pub source: &'static str,
    /// Whose sound it has.
    pub track: Option<AudioTrack>,
    /// When it began.
    pub began: Option<SystemTime>,
}

/// Tells of a recording.
pub fn recording(facts: &CallFacts, recording: &RecordingFacts, status: RecordingStatus) -> Params {
    let mut params = Params::default();
    params.push("AccountSid", &facts.account_sid);
    params.push("CallSid", &facts.call_sid);
    params.push("RecordingSid", &recording.sid);
    if status == RecordingStatus::Completed {
        params.push("RecordingUrl", &recording.url);
    }
    let text = match status {
        RecordingStatus::InProgress => "in-progress",
        RecordingStatus::Completed => "completed",
        RecordingStatus::Absent => "absent",
        RecordingStatus::Failed => "failed",
    };
    params.push("RecordingStatus", text);
    if status == RecordingStatus::Completed {
        params.push("RecordingDuration", seconds(recording.duration));
        params.push("RecordingChannels", recording.channels.to_string());
    }
    if let Some(began) = recording.began {
        params.push("RecordingStartTime", day_and_time(began));
    }
    params.push("RecordingSource", recording.source);
    params.push("RecordingTrack", recording.track.map_or("both", short_track));
    params.push("ErrorCode", if status == RecordingStatus::Failed { "1" } else { "0" });
    params
}

/// Tells what was said in a recording; `None` when nobody could tell.
pub fn recording_text(
    facts: &CallFacts,
    recording: &RecordingFacts,
    text: Option<&Private>,
    status: CallStatus,
) -> Params {
    let mut params = call(facts, status);
    let sid = recording.sid.strip_prefix("RE").map_or_else(|| recording.sid.clone(), |tail| format!("TR{tail}"));
    params.push("TranscriptionSid", sid);
    params.push("TranscriptionText", text.map_or("", Private::reveal));
    params.push("TranscriptionStatus", if text.is_some() { "completed" } else { "failed" });
    params.push("RecordingSid", &recording.sid);
    params.push("RecordingUrl", &recording.url);
    params
}

/// How a caller stands in a queue, for the document that runs while they wait.
pub fn standing(queue_sid: &str, standing: Standing, waited: Duration) -> [(&'static str, String); 5] {
    [
        ("QueueSid", queue_sid.to_owned()),
        ("QueueTime", seconds(waited)),
        ("QueuePosition", standing.position.to_string()),
        ("AvgQueueTime", seconds(standing.average_wait)),
        ("CurrentQueueSize", standing.size.to_string()),
    ]
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChange<'a> {
    /// It runs.
    Started,
    /// It is over.
    Stopped,
    /// It could not be made, or broke.
    Failed(&'a str),
}

/// Tells of a stream.
pub fn stream(facts: &CallFacts, sid: &str, name: Option<&str>, change: StreamChange<'_>, at: SystemTime) -> Params {
    let mut params = Params::default();
    params.push("AccountSid", &facts.account_sid);
    params.push("CallSid", &facts.call_sid);
    params.push("StreamSid", sid);
    params.push("StreamName", name.unwrap_or(sid));
    match change {
        StreamChange::Started => params.push("StreamEvent", "stream-started"),
        StreamChange::Stopped => params.push("StreamEvent", "stream-stopped"),
        StreamChange::Failed(why) => {
            params.push("StreamEvent", "stream-error");
            params.push("StreamError", why);
        }
    }
    params.push("Timestamp", timestamp(at));
    params
}

/// What a transcription has to say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TranscriptionChange<'a> {
    /// It runs.
    Started,
    /// Words.
    Said {
        /// Whose.
        track: AudioTrack,
        /// What that side is called.
        label: Option<&'a str>,
        /// The words.
        text: &'a Private,
        /// How sure the recognizer is, or how much of it will stay.
        confidence: f32,
        /// Whether the words stay.
        is_final: bool,
    },
    /// It is over.
    Stopped,
    /// It could not be made, or broke.
    Failed(&'a str),
}

/// Tells of a transcription. `sequence` counts what was told of it, from 1.
pub fn transcription(
    facts: &CallFacts,
    sid: &str,
    language: Option<&str>,
    sequence: u64,
    change: TranscriptionChange<'_>,
    at: SystemTime,
) -> Params {
    let mut params = Params::default();
    params.push("AccountSid", &facts.account_sid);
    params.push("CallSid", &facts.call_sid);
    params.push("TranscriptionSid", sid);
    params.push("Timestamp", day_and_time(at));
    params.push("SequenceId", sequence.to_string());
    if let Some(language) = language {
        params.push("LanguageCode", language);
    }
    match change {
        TranscriptionChange::Started => params.push("TranscriptionEvent", "transcription-started"),
        TranscriptionChange::Stopped => params.push("TranscriptionEvent", "transcription-stopped"),
        TranscriptionChange::Failed(why) => {
            params.push("TranscriptionEvent", "transcription-error");
            params.push("TranscriptionError", why);
        }
        TranscriptionChange::Said { track, label, text, confidence, is_final } => {
            params.push("TranscriptionEvent", "transcription-content");
            params.push("Track", long_track(track));
            if let Some(label) = label {
                params.push("TrackLabel", label);
            }
            let data = serde_json::json!({ "transcript": text.reveal(), "confidence": share(confidence) });
            params.push("TranscriptionData", data.to_string());
            params.push("Final", is_final.to_string());
            if !is_final {
                params.push("Stability", share(confidence).to_string());
            }
        }
    }
    params
}

/// Whole seconds, as the vendor counts them.
pub fn seconds(duration: Duration) -> String {
    duration.as_secs().to_string()
}

/// A share of one with at most four digits: more would be noise.
pub fn share(share: f32) -> f64 {
    (f64::from(share.clamp(0.0, 1.0)) * 10_000.0).round() / 10_000.0
}

/// `Tue, 01 Dec 2026 08:15:00 +0000`.
pub fn timestamp(at: SystemTime) -> String {
    let text = |at: Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    Timestamp::try_from(at).map_or_else(|_| String::new(), text)
}

/// `2026-12-01T08:15:00.000Z`.
fn day_and_time(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

fn child_call(parent: &CallFacts, child: &ChildCall, status: CallStatus) -> Params {
    let mut params = Params::default();
    params.push("CallSid", &child.call_sid);
    params.push("AccountSid", &parent.account_sid);
    params.push("From", child.from.reveal());
    params.push("To", child.to.reveal());
    params.push("CallStatus", status.as_str());
    params.push("ApiVersion", API_VERSION);
    params.push("Direction", "outbound-dial");
    params.push("ParentCallSid", &parent.call_sid);
    params.push("Caller", child.from.reveal());
    params.push("Called", child.to.reveal());
    params
}

fn add_progress(params: &mut Params, status: CallStatus, talked: Option<Duration>, at: SystemTime) {
    let sequence = match status {
        CallStatus::Queued | CallStatus::Initiated => 0,
        CallStatus::Ringing => 1,
        CallStatus::InProgress => 2,
        _ => 3,
    };
    if sequence == 3 {
        let talked = talked.unwrap_or_default();
        params.push("CallDuration", seconds(talked));
        // Minutes begun, as they are paid for.
        params.push("Duration", talked.as_secs().div_ceil(60).to_string());
    }
    params.push("Timestamp", timestamp(at));
    params.push("CallbackSource", "call-progress-events");
    params.push("SequenceNumber", sequence.to_string());
}

fn short_track(track: AudioTrack) -> &'static str {
    match track {
        AudioTrack::Inbound => "inbound",
        AudioTrack::Outbound => "outbound",
        AudioTrack::Both => "both",
    }
}

fn long_track(track: AudioTrack) -> &'static str {
    match track {
        AudioTrack::Inbound => "inbound_track",
        AudioTrack::Outbound => "outbound_track",
        AudioTrack::Both => "both_tracks",
    }
}
