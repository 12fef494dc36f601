//! One live stream of audio: bytes from a socket in, the words of its lanes out, and a room that hears along.
//!
//! Every live dialect uses it. Bytes are decoded and resampled to 16 kHz, each lane (one for the mixture, or
//! one a channel) has its own stream of the ears, and a small task per lane carries its events to the room and
//! to the dialect. Back-pressure goes the other way by waiting: a dialect that reads nothing stops its own
//! lanes, whose ears stop taking audio, whose socket is then not read. Nothing here grows with what a client
//! sends. Containers are decoded on a thread of their own, since their parsers block.
//!
//! Push and read in two tasks (or branches of one `select!`): a push may wait until events have been read.

mod container;
mod lane;

use std::sync::Arc;

use asr::{
    diarize::Diarization,
    event::Event,
    pool::{Ears, StreamConfig},
    recognizer::Hints,
};
use bot::{
    actor::{JoinError, RoomHandle},
    participant::{Kind, Newcomer},
};
use bytes::Bytes;
use media::{
    codec::raw::{Encoding, RawDecoder},
    ears::{Ears as Downmix, Listen},
    frame::Format,
    id::{ParticipantId, RoomId},
    time::MediaTime,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    container::Container,
    lane::{Lanes, Progress},
};
use crate::{admission::Admission, app::App, error::ApiError};

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Headerless samples or packets, as the client announced them.
    Raw {
        /// How samples are written.
        encoding: Encoding,
        /// Samples per second and channel.
        rate_hz: u32,
        /// Interleaved channels.
        channels: u16,
    },
    /// A container that says so itself (WAV, Ogg, WebM, MP4, FLAC, MP3), as it arrives.
    Container,
}

/// Where the words go besides the dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomChoice {
    /// A room of its own; an empty title becomes `Room N`.
    New {
        /// What it is about.
        title: String,
    },
    /// A room that is there.
    Existing(RoomId),
    /// Nowhere.
    None,
}

/// What one live stream is to be.
#[derive(Clone, Debug)]
pub struct LiveSpec {
    /// What the bytes are.
    pub input: Input,
    /// A lane for each channel; otherwise channels are mixed into one.
    pub multichannel: bool,
    /// Language and key terms.
    pub hints: Hints,
    /// Whether partial results are wanted. A room always shows them, so only a stream without one saves them.
    pub partials: bool,
    /// Silence that closes an utterance, in milliseconds.
    pub endpointing_ms: u32,
    /// Silence after which it is scored whether whoever speaks is done, in milliseconds; `None` scores nothing.
    pub turn_after_ms: Option<u32>,
    /// Whether voices are told apart, and which are known; `None` tells nothing of them.
    pub diarization: Option<Diarization>,
    /// Where the words go.
    pub room: RoomChoice,
    /// What the room calls whoever speaks; lanes beyond the first say which channel they are.
    pub participant: String,
    /// What the room says of how they come.
    pub kind: Kind,
}

/// Why a live stream ends before its client ended it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// The bytes are not what the client said, or nothing that is known. Theirs to change.
    #[error("{0}")]
    Audio(String),
    /// A container turned out to have more channels than there are places. Worth trying again later.
    #[error("{0}")]
    Full(String),
    /// The room was deleted.
    #[error("the room was closed")]
    RoomClosed,
    /// Somebody sent the participant out.
    #[error("sent out of the room")]
    SentOut,
    /// The server shuts down. Worth trying again, here or elsewhere.
    #[error("the server is shutting down")]
    Draining,
    /// The recognizer is gone. The log says more.
    #[error("the recognizer stopped")]
    Stopped,
}

impl LiveError {
    /// The WebSocket close code that says the same.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Audio(_) => 1007,
            Self::Full(_) => 1013,
            Self::RoomClosed | Self::SentOut => 1000,
            Self::Draining => 1012,
            Self::Stopped => 1011,
        }
    }
}

impl From<LiveError> for ApiError {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Audio(why) => Self::bad_request("bad_audio", why),
            LiveError::Full(why) => Self::full(why),
            LiveError::RoomClosed => Self::not_found("the room was closed"),
            LiveError::SentOut => Self::forbidden("sent_out", "sent out of the room"),
            LiveError::Draining => Self::draining(),
            LiveError::Stopped => Self::internal("the recognizer stopped"),
        }
    }
}

/// Opens a live stream. The places it takes are free again when both ends are dropped and the last words are
/// out.
///
/// # Errors
/// 503 when no model is installed, every place is taken or the server drains; 400 for a format that cannot be
/// decoded; 404 for a room that is not there. Nothing was taken then.
pub async fn open(app: &App, spec: LiveSpec) -> Result<(LiveInput, LiveEvents), ApiError> {
    let ears = app.ears().map_err(|missing| ApiError::from(&missing))?.clone();
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    let decoder = Decoder::new(&spec)?;
    // The first place comes before the room: a full server opens no rooms.
    let first_place = app.admission().stream()?;
    let room = match &spec.room {
        RoomChoice::New { title } => Some(app.open_room(title)?),
        RoomChoice::Existing(id) => {
            Some(app.rooms().room(*id).ok_or_else(|| ApiError::not_found(format!("there is no room {id}")))?)
        }
        RoomChoice::None => None,
    };
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let progress = Arc::new(Progress::default());
    let mut opener = Opener {
        admission: app.admission().clone(),
        clock: app.clock(),
        ears,
        config: StreamConfig {
            hints: spec.hints,
            partials: spec.partials || room.is_some(),
            endpointing_ms: spec.endpointing_ms,
            starts_at: MediaTime::ZERO,
            live: true,
            turn_after_ms: spec.turn_after_ms,
            diarization: spec.diarization,
        },
        room: room.clone(),
        participant: spec.participant,
        kind: spec.kind,
        events,
        progress: progress.clone(),
        first_place: Some(first_place),
    };
    let feed = match decoder {
        Decoder::Raw { decoder, downmix, channels } => {
            let lanes = opener.open(downmix.streams()).await?;
            Feed::Raw {
                decoder: Box::new(decoder),
                downmix: Box::new(downmix),
                lanes,
                planar: vec![Vec::new(); channels],
            }
        }
        Decoder::Container => Feed::Container(Container::start(opener, spec.multichannel)?),
    };
    let interruption = Interruption { shutdown: app.shutdown().clone(), room, progress: progress.clone() };
    Ok((
        LiveInput { feed, interruption: interruption.clone(), progress: progress.clone() },
        LiveEvents { inbox, progress, room: interruption.room },
    ))
}

enum Decoder {
    Raw { decoder: RawDecoder, downmix: Downmix, channels: usize },
    Container,
}

impl Decoder {
    fn new(spec: &LiveSpec) -> Result<Self, ApiError> {
        let Input::Raw { encoding, rate_hz, channels } = spec.input else {
            return Ok(Self::Container);
        };
        let refused = |why: String| ApiError::bad_request("bad_audio_format", why);
        let decoder =
            RawDecoder::new(encoding, rate_hz, usize::from(channels)).map_err(|error| refused(error.to_string()))?;
        let downmix = Downmix::new(Format { rate_hz, channels }, listen(spec.multichannel))
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self::Raw { decoder, downmix, channels: usize::from(channels) })
    }
}

fn listen(multichannel: bool) -> Listen {
    if multichannel { Listen::PerChannel } else { Listen::Mixed }
}

/// What it takes to open lanes, now or when a container has shown how many there are.
struct Opener {
    admission: Admission,
    clock: crate::clock::Clock,
    ears: Ears,
    config: StreamConfig,
    room: Option<RoomHandle>,
    participant: String,
    kind: Kind,
    events: mpsc::Sender<(usize, Event)>,
    progress: Arc<Progress>,
    /// Taken before anything else was; the first lane gets it.
    first_place: Option<crate::admission::Place>,
}

impl Opener {
    /// Opens `count` lanes, all or none.
    async fn open(&mut self, count: usize) -> Result<Lanes, ApiError> {
        let mut lanes = Lanes::new(self.progress.clone(), self.clock);
        for index in 0..count {
            let place = match self.first_place.take() {
                Some(place) => place,
                None => self.admission.stream()?,
            };
            let journal = self.room.as_ref().and_then(RoomHandle::journal);
            let opened = self.ears.open_noted(self.config.clone(), journal.as_ref());
            let (input, events) = opened.map_err(|refused| match refused {
                asr::pool::Refused::Full(_) => ApiError::full(refused.to_string()),
                asr::pool::Refused::Closing => ApiError::draining(),
            })?;
            let seat = match &self.room {
                Some(room) => Some(room.join(self.newcomer(index, count)).await.map_err(|error| match error {
                    JoinError::Crowded(_) => ApiError::full(error.to_string()),
                    JoinError::Closed(_) => ApiError::not_found("the room was closed"),
                })?),
                None => None,
            };
            lanes.add(input, events, seat, place, self.events.clone());
        }
        self.progress.set_lanes(count);
        Ok(lanes)
    }

    fn newcomer(&self, index: usize, count: usize) -> Newcomer {
        let name = if self.participant.is_empty() { "Speaker" } else { &self.participant };
        let name = if count == 1 { name.to_owned() } else { format!("{name}, channel {}", index + 1) };
        Newcomer { name, kind: self.kind, is_transcribed: true, ..Newcomer::default() }
    }
}

/// The writing end of a live stream. Dropping it ends the audio.
pub struct LiveInput {
    feed: Feed,
    interruption: Interruption,
    progress: Arc<Progress>,
}

enum Feed {
    Raw { decoder: Box<RawDecoder>, downmix: Box<Downmix>, lanes: Lanes, planar: Vec<Vec<f32>> },
    Container(Container),
}

impl LiveInput {
    /// Hands over what the client sent, waiting while the ears are behind.
    ///
    /// # Errors
    /// [`LiveError`]: send the client what is still to be read, then close. An Opus packet that is none is no
    /// error: it is concealed.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), LiveError> {
        let interrupted = self.interruption.clone();
        tokio::select! {
            biased;
            error = interrupted.wait() => Err(error),
            pushed = self.feed.push(bytes) => pushed,
        }
    }

    /// Asks for the words of everything pushed so far. Each lane answers with one final with
    /// [`asr::event::Cut::Finalize`], which may be empty.
    pub fn finalize(&mut self) {
        match &mut self.feed {
            Feed::Raw { lanes, .. } => lanes.finalize(),
            Feed::Container(container) => container.finalize(),
        }
    }

    /// Ends the audio: what is pending becomes final, then the events end.
    ///
    /// # Errors
    /// [`LiveError`] when the end of a container could not be read; words heard before are still coming.
    pub async fn finish(self) -> Result<(), LiveError> {
        match self.feed {
            Feed::Raw { mut downmix, mut lanes, .. } => {
                lanes.flush(&mut downmix).await?;
                Ok(())
            }
            Feed::Container(container) => container.finish().await,
        }
    }

    /// Resolves when the stream has to end although the client goes on: the server drains or the room was
    /// deleted. Independent of this value's life.
    pub fn interrupted(&self) -> impl Future<Output = LiveError> + Send + use<> {
        self.interruption.clone().wait()
    }

    /// The room that hears along.
    pub fn room(&self) -> Option<&RoomHandle> {
        self.interruption.room.as_ref()
    }

    /// Whoever speaks, one a lane; empty without a room, and before a container has shown its channels.
    pub fn participants(&self) -> Vec<ParticipantId> {
        self.progress.participants()
    }
}

impl Feed {
    async fn push(&mut self, bytes: Bytes) -> Result<(), LiveError> {
        match self {
            Self::Raw { decoder, downmix, lanes, planar } => {
                planar.iter_mut().for_each(Vec::clear);
                if let Err(error) = decoder.push(&bytes, planar) {
                    tracing::debug!(%error, "a packet was concealed");
                }
                lanes.hear(downmix, planar).await
            }
            Self::Container(container) => container.push(bytes).await,
        }
    }
}

/// The reading end of a live stream.
pub struct LiveEvents {
    inbox: mpsc::Receiver<(usize, Event)>,
    progress: Arc<Progress>,
    room: Option<RoomHandle>,
}

impl LiveEvents {
    /// How many lanes there are; zero until a container has shown its channels.
    pub fn lanes(&self) -> usize {
        self.progress.lanes()
    }

    /// The next event and its lane; `None` after the last. Cancel-safe. Times count from the stream's first
    /// sample.
    pub async fn next(&mut self) -> Option<(usize, Event)> {
        self.inbox.recv().await
    }

    /// How much audio has been taken in.
    pub fn heard(&self) -> MediaTime {
        self.progress.heard()
    }

    /// How long after its last sound arrived the newest partial or final came out, in milliseconds.
    pub fn lag_ms(&self) -> Option<u64> {
        self.progress.lag_ms()
    }

    /// The room that hears along.
    pub fn room(&self) -> Option<&RoomHandle> {
        self.room.as_ref()
    }
}

#[derive(Clone)]
struct Interruption {
    shutdown: CancellationToken,
    room: Option<RoomHandle>,
    progress: Arc<Progress>,
}

impl Interruption {
    async fn wait(self) -> LiveError {
        let room_closed = async {
            match &self.room {
                Some(room) => room.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => LiveError::Draining,
            () = room_closed => LiveError::RoomClosed,
            () = self.progress.sent_out() => LiveError::SentOut,
        }
    }
}

/// Events between a lane's task and the dialect. Few, since the ears replace unread partials only while they
/// still hold them; a lane that finds it full waits.
const EVENTS_MAX: usize = 8;
