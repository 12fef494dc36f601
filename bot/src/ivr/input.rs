//! What the machine is told.
//!
//! Inputs may come in any order and late: what does not fit the machine's state is ignored.

use std::time::Duration;

use super::{
    effect::{LegId, ListenId, RecordingId, RelayId, SoundId, TapId},
    key::Key,
    machine::Source,
    notice::Code,
    private::Private,
    twiml::AudioTrack,
    webhook::{Endpoint, FetchError, Page, RequestId},
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed: at the latest when `next_deadline` says so.
    Tick,
    /// An application answered, or did not.
    Fetched {
        /// Which request.
        id: RequestId,
        /// The answer.
        result: Result<Page, FetchError>,
    },
    /// A sound has come to its end by itself.
    SoundEnded {
        /// Which.
        id: SoundId,
        /// Whether it could be made.
        how: SoundEnd,
    },
    /// The caller pressed a key.
    Key(Key),
    /// The ears heard something.
    Heard {
        /// For which stretch of listening.
        id: ListenId,
        /// What.
        what: Heard,
    },
    /// Something about a recording.
    Recording {
        /// Which.
        id: RecordingId,
        /// What.
        event: RecordingEvent,
    },
    /// Something about somebody who was dialled.
    Leg {
        /// Which.
        id: LegId,
        /// What.
        event: LegEvent,
    },
    /// Something about the conference that the caller is in.
    Conference(ConferenceEvent),
    /// Something about the queue that the caller waits in.
    Queue(QueueEvent),
    /// Something about a stream or a transcription.
    Tap {
        /// Which.
        id: TapId,
        /// What.
        event: TapEvent,
    },
    /// Something about a conversation of words with an application.
    Relay {
        /// Which.
        id: RelayId,
        /// What.
        event: RelayEvent,
    },
    /// The far side took the call over after `Effect::Refer`, or did not.
    Referred {
        /// The status of SIP that said so; 202 and 200 are a yes.
        sip_status: u16,
    },
    /// The REST API wants the call to go on elsewhere, now.
    Redirected(Source),
    /// The REST API, or an administrator, wants the call to end.
    HangUp,
    /// The call is over.
    HungUp(Ending),
}

/// How a sound ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundEnd {
    /// It was played to its end.
    Played,
    /// It could not be made: the file is not there, is none, or the voice failed.
    Failed,
}

/// What the ears heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Somebody began to speak.
    SpeechStarted,
    /// Somebody stopped speaking.
    SpeechEnded,
    /// Words that may still change: all of the sentence so far.
    Partial {
        /// The words.
        text: Private,
        /// How much of it will stay, 0 to 1.
        stability: f32,
    },
    /// Words that stay. Several of them are one after the other.
    Final {
        /// The words; empty when it was no speech.
        text: Private,
        /// How sure the recognizer is, 0 to 1.
        confidence: f32,
        /// The language, when it was to be found out.
        language: Option<String>,
    },
    /// After `SettleListening`: nothing more will come of what was said before it.
    Settled,
    /// Nobody listens (any more): the recognizer failed or is full.
    Failed,
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordingEvent {
    /// It runs.
    Started {
        /// As the REST API knows it.
        sid: String,
    },
    /// It is over, and the file is there.
    Done {
        /// As the REST API knows it.
        sid: String,
        /// Where the file can be had.
        url: String,
        /// How long it is.
        duration: Duration,
        /// How many channels it has.
        channels: u8,
    },
    /// It is over, and nothing was in it.
    Absent,
    /// It could not be made: no consent, no disk.
    Failed,
    /// What was said in it; only after `RecordingSpec::transcribe`.
    Transcribed {
        /// As the REST API knows it.
        sid: String,
        /// The words; `None` when it failed.
        text: Option<Private>,
    },
}

/// What became of somebody who was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// The call is on its way.
    Started {
        /// As the REST API knows it.
        call_sid: String,
    },
    /// It rings there.
    Ringing,
    /// There is something to hear of them although they have not taken it: an announcement, or ringing of their own.
    /// It rings there, too.
    Early,
    /// Somebody took it.
    Answered,
    /// The whisper is through; they may be connected.
    Ready,
    /// A machine or a human, as far as anybody can tell: `human`, `machine_start`, `fax`, `unknown`, …
    Detected(&'static str),
    /// They could not be reached.
    Unreached(Unreached),
    /// They hung up, or their whisper did, after `Answered`.
    Ended,
    /// They want the caller to be passed on to another SIP address.
    Refers {
        /// Which.
        to: Private,
    },
}

/// Why somebody could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// Busy, or they declined.
    Busy,
    /// Nobody took it.
    NoAnswer,
    /// There is no such number or no way to it, or it may not be dialled from here.
    Failed,
}

/// What happened to the caller in a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConferenceEvent {
    /// The caller is in it.
    Joined {
        /// As the REST API knows it.
        sid: String,
        /// Whether it has not begun, or there is nobody else.
        is_waiting: bool,
    },
    /// It began, or somebody else came: the waiting is over.
    Started,
    /// The caller is alone again, or put on hold.
    Waiting,
    /// The caller was put on hold, and is to hear this meanwhile.
    Held(Endpoint),
    /// The caller is out of it: it ended, was full, or they were taken out.
    Left,
}

/// What happened to the caller in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueEvent {
    /// The caller waits.
    Entered {
        /// As the REST API knows it.
        sid: String,
        /// How they stand.
        standing: Standing,
    },
    /// How they stand has changed.
    Moved(Standing),
    /// There was no place.
    Full,
    /// The queue, or the server, failed.
    Failed,
    /// Somebody takes the caller out of the queue.
    Taken {
        /// Their call.
        by_call_sid: String,
        /// What the caller is to hear before they are connected, after which `AcceptDequeue` is asked for; without
        /// it, it is asked for at once.
        whisper: Option<Endpoint>,
    },
    /// Whoever took them is gone before the two were connected: the caller waits on, where they waited.
    GivenBack,
    /// They are connected.
    Bridged,
    /// They are no longer connected.
    BridgeEnded,
}

/// How a caller stands in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// From 1.
    pub position: u32,
    /// How many wait.
    pub size: u32,
    /// How long callers wait on average.
    pub average_wait: Duration,
}

/// What became of a stream or a transcription.
#[derive(Clone, Debug, PartialEq)]
pub enum TapEvent {
    /// It runs.
    Started {
        /// As the REST API knows it.
        sid: String,
    },
    /// It is over: the far side closed it, or it was stopped.
    Stopped,
    /// It could not be made, or broke.
    Failed {
        /// What is wrong, in one sentence without a caller's words.
        why: String,
    },
    /// Words of a transcription.
    Said {
        /// Whose.
        track: AudioTrack,
        /// The words.
        text: Private,
        /// How sure the recognizer is, or how much of it will stay: 0 to 1.
        confidence: f32,
        /// Whether the words stay.
        is_final: bool,
        /// The language, when it was to be found out.
        language: Option<String>,
    },
}

/// What became of a conversation of words with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayEvent {
    /// It is on.
    Started {
        /// As the application knows it.
        sid: String,
    },
    /// The application is done, or it was stopped.
    Ended {
        /// What the application leaves to whoever goes on.
        handoff: Option<Private>,
    },
    /// It could not be had, or broke.
    Failed {
        /// The vendor's number for it.
        code: Code,
        /// What is wrong, in one sentence without a caller's words.
        why: String,
    },
}

/// How a call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The caller hung up, or the network lost them.
    Caller,
    /// We hung up or did not take it: the answer to `HangUp` and `Reject`.
    Us,
    /// The caller gave up before the call was taken.
    Canceled,
}
