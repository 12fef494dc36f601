//! What the machine asks for: the whole vocabulary from the menu to whoever carries it out.
//!
//! An effect is asked for once and in order. Whatever has an id is answered by an input with the same id; an answer
//! that comes after the machine has stopped waiting for it is ignored, so nobody needs to race it. Effects that
//! begin with `Stop`, `Leave` or `HangUp` may meet something that has ended already: then they do nothing.

use std::time::Duration;

use url::Url;

use super::{
    key::Tone,
    notice::Notice,
    private::Private,
    twiml::{
        Answering, AudioTrack, Channels, ConferenceRoom, MachineDetection, RejectReason, RelaySettings, Speech, Times,
    },
    webhook::{Endpoint, Fetch, Notify},
};

/// One sound that is made for the caller; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SoundId(pub u64);

/// One stretch of listening to the caller; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenId(pub u64);

/// One recording; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// One somebody who is dialled; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// One stream or transcription; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TapId(pub u64);

/// One conversation of words with an application; counts up within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub u64);

/// Something that the machine asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Take the call. Comes before the first effect that the caller hears or is heard by; asked for once.
    Answer,
    /// Do not take the call. The call is over; only `Notify` and `Warn` may follow.
    Reject(RejectReason),
    /// End the call. Whatever was open has been ended by the effects before it; recordings are still to be reported,
    /// as are their transcripts. Only `Notify` and `Warn` may follow.
    HangUp,
    /// The document has come to its end, and the call is not to end with it: only from a machine with the role
    /// [`super::machine::Role::Whisper`]. Whoever listened is to be connected now.
    Finished,

    /// Ask the application for a document. Answered by `Fetched`.
    Fetch(Fetch),
    /// Tell the application something.
    Notify(Notify),
    /// Tell the application's developer something.
    Warn(Notice),

    /// Speak. Answered by `SoundEnded`.
    Say {
        /// Which sound.
        id: SoundId,
        /// The words.
        speech: Speech,
        /// How often.
        times: Times,
    },
    /// Fetch and play a file. Answered by `SoundEnded`.
    Play {
        /// Which sound.
        id: SoundId,
        /// `http`, `https` or, for files that come with the server, `file`.
        url: Url,
        /// How often.
        times: Times,
    },
    /// Send the tones of keys to the caller. Answered by `SoundEnded`.
    PlayKeys {
        /// Which sound.
        id: SoundId,
        /// The tones.
        tones: Vec<Tone>,
        /// How often.
        times: Times,
    },
    /// A short tone: now you are recorded. Answered by `SoundEnded`.
    Beep {
        /// Which sound.
        id: SoundId,
    },
    /// Music while one waits, without end.
    HoldMusic {
        /// Which sound.
        id: SoundId,
    },
    /// The ringing that the caller hears while somebody is dialled, without end.
    Ringback {
        /// Which sound.
        id: SoundId,
        /// The country whose ringing it is.
        country: Option<String>,
        /// Whether the call is not taken yet: then the caller's own network makes the sound (180 Ringing).
        is_signalled: bool,
    },
    /// End a sound at once. Needs no answer.
    StopSound(SoundId),

    /// Listen to the caller. Answered by `Heard` inputs until it is stopped.
    Listen {
        /// Which.
        id: ListenId,
        /// For what.
        to: Listening,
    },
    /// The sentence is over: settle what was heard so far. Answered by the final words and `Settled`.
    SettleListening(ListenId),
    /// Listen no more. Needs no answer.
    StopListening(ListenId),

    /// Record. Answered by `Recording` inputs.
    Record {
        /// Which.
        id: RecordingId,
        /// What and how.
        spec: RecordingSpec,
    },
    /// End a recording. Answered by `Recording` inputs.
    StopRecording(RecordingId),

    /// Dial somebody. Answered by `Leg` inputs.
    Dial(Box<Leg>),
    /// End a leg, whether it rings or talks. Needs no answer: the machine counts it as ended.
    HangUpLeg(LegId),
    /// Let the caller hear what a leg plays before it takes the call, also where the caller's own call is not taken
    /// yet; until `Bridge`, `HangUpLeg`, a whisper, or `LegEvent::Unreached`.
    HearEarly(LegId),
    /// Connect the caller with a leg that is ready; both hear each other until `HangUpLeg` or `LegEvent::Ended`.
    Bridge(LegId),

    /// Take part in a conference. Answered by `Conference` inputs.
    JoinConference {
        /// Which, and how.
        room: Box<ConferenceRoom>,
        /// Where the conference's own events are told, with absolute addresses.
        callback: Option<Endpoint>,
        /// Where the conference's recording is told.
        recording_callback: Option<Endpoint>,
    },
    /// Leave the conference.
    LeaveConference,

    /// Wait in a queue. Answered by `Queue` inputs.
    Enqueue {
        /// In which.
        queue: String,
        /// How many may wait in it.
        max_size: u32,
    },
    /// Leave the queue, without being connected.
    LeaveQueue,
    /// What the dequeuing side wanted said was said: connect the two now.
    AcceptDequeue,

    /// Send the sound to a WebSocket. Answered by `Tap` inputs.
    StartStream {
        /// Which.
        id: TapId,
        /// Where and how.
        spec: StreamSpec,
    },
    /// Make what is said into text. Answered by `Tap` inputs.
    StartTranscription {
        /// Which.
        id: TapId,
        /// Whose words, and how.
        spec: TranscriptionSpec,
    },
    /// End a stream or a transcription. Answered by `TapEvent::Stopped`.
    StopTap(TapId),

    /// Let the caller talk with an application in words. Answered by `Relay` inputs, of which the last is its end.
    StartRelay {
        /// Which.
        id: RelayId,
        /// Where and how.
        spec: Box<RelaySpec>,
    },
    /// End it. Needs no answer.
    StopRelay(RelayId),

    /// Hand the call over to another address. Answered by `Referred`.
    Refer {
        /// The SIP address.
        to: Private,
    },
}

/// What is listened for.
#[derive(Clone, Debug, PartialEq)]
pub enum Listening {
    /// Whether somebody speaks: no words are wanted.
    Activity,
    /// Words.
    Words(Words),
}

/// How words are recognized.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words {
    /// The language (`de-DE`), or none: whichever it turns out to be.
    pub language: Option<String>,
    /// Words that are likely to come.
    pub hints: Vec<String>,
    /// Whether words that may still change are wanted.
    pub partials: bool,
}

/// What is recorded, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSpec {
    /// Whose sound.
    pub source: RecordingSource,
    /// When it ends at the latest.
    pub max_length: Duration,
    /// Whether silence at its ends is cut off.
    pub trim: bool,
    /// Whether the words are wanted afterwards, as `RecordingEvent::Transcribed`.
    pub transcribe: bool,
    /// The verb that asked for it, as `RecordingSource` in callbacks.
    pub by: &'static str,
}

/// Whose sound is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingSource {
    /// What the caller says.
    Caller,
    /// The caller and whoever they are connected with, from the answer or from the ringing on.
    Both(Channels),
    /// What the application and whoever is connected say.
    Other,
}

/// Somebody to dial.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// Which.
    pub id: LegId,
    /// Whom.
    pub who: Callee,
    /// The number that is shown.
    pub caller_id: Private,
    /// How long it may ring. The machine counts too; this is for the far side.
    pub timeout: Duration,
    /// Keys that are played to them when they answer, before the whisper.
    pub send_digits: Vec<Tone>,
    /// What they hear before they are connected: a machine of its own, with the role
    /// [`super::machine::Role::Whisper`], runs it; `LegEvent::Ready` says it is through. None: `Answered` is enough.
    pub whisper: Option<Endpoint>,
    /// Whether somebody listens for a machine.
    pub detection: Option<MachineDetection>,
}

/// Whom a leg reaches.
#[derive(Clone, Debug, PartialEq)]
pub enum Callee {
    /// A telephone.
    Phone(Answering),
    /// Whoever waits longest in this queue. `Answered` when somebody was there, whose own machine is then told
    /// `QueueEvent::Taken` with the leg's whisper; `Ready` when that machine asks for `AcceptDequeue`.
    Queue(String),
}

/// A WebSocket that is sent the sound.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    /// Where: `ws` or `wss`.
    pub url: Url,
    /// What the application calls it.
    pub name: Option<String>,
    /// Which sound.
    pub track: AudioTrack,
    /// Whether what comes back is heard by the caller: so in `Connect`.
    pub is_bidirectional: bool,
    /// What the application is told at the start.
    pub parameters: Vec<(String, Private)>,
}

/// A WebSocket that is sent words, and whose words are spoken.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaySpec {
    /// Where: `ws` or `wss`.
    pub url: Url,
    /// How it is spoken and listened.
    pub settings: RelaySettings,
    /// What the application is told at the start.
    pub parameters: Vec<(String, Private)>,
}

/// What is made into text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptionSpec {
    /// Whose words.
    pub track: AudioTrack,
    /// In which language; none: whichever it turns out to be.
    pub language: Option<String>,
    /// Words that are likely to come.
    pub hints: Vec<String>,
    /// Whether words that may still change are wanted.
    pub partials: bool,
    /// Whether words that offend are masked.
    pub profanity_filter: bool,
}
