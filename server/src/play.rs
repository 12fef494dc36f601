//! A file that is played to a room: decoded as it is heard, through a leg of its own.
//!
//! A room plays one file at a time; a newer one takes the place of the older, which fades. The bytes are kept
//! while they are played and never all of their samples: a blocking thread decodes a few blocks ahead and waits,
//! and the mouth holds 400 ms. Whoever starts a play is told how long it is, so the file is decoded once before.
//! Files have a size and a length that they must not exceed, and so has the number of plays of the server.

use std::{
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bot::{
    actor::RoomHandle,
    event::{PlayEnd, RoomEvent},
};
use bytes::Bytes;
use media::{
    bridge::{Leg, LegEvent, Plan},
    decode::{Block, DecodeError, file::Decoder},
    dsp::resample::{BadRate, Resampler},
    frame::MOUTH_HZ,
    graph::node::{Control, Event},
    time::MediaTime,
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    app::App,
    error::ApiError,
    sound::RoomSound,
    speaker::{Abandoned, Pace, Speaker},
};

/// The largest file that is played: what lasts [`LONGEST`], compressed, or three minutes of CD-quality sound.
pub const BYTES_MAX: u64 = 32 << 20;

/// The longest: music on hold and announcements are far shorter.
const LONGEST: Duration = Duration::from_secs(1_800);

/// Blocks that the decoder is ahead: less than a second of most formats. When it is full, the decoder waits.
const BLOCKS_AHEAD: usize = 8;

/// The leg plays one file, which is one turn.
const TURN: u64 = 1;

/// The mark behind its end.
pub(crate) const END: u64 = 1;

/// A file that is stopped fades within a tick or two.
const FADE: Duration = Duration::from_millis(60);

/// How long the mark behind the end is waited for: the mouth's 400 ms, and room for a busy engine.
pub(crate) const MARK_WITHIN: Duration = Duration::from_secs(2);

/// What a room plays.
pub(crate) struct Player {
    places: Arc<Semaphore>,
    playing: Mutex<Option<Playing>>,
    started: AtomicU64,
}

struct Playing {
    stop: watch::Sender<Option<PlayEnd>>,
    task: JoinHandle<()>,
}

impl Playing {
    /// Ends it, and returns when everybody has been told.
    async fn stop(self, why: PlayEnd) {
        self.stop.send_replace(Some(why));
        // The task neither panics nor is cancelled; a play that is over is over either way.
        let _ = self.task.await;
    }
}

/// A play that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Its name within the room.
    pub play: Arc<str>,
    /// How long it is.
    pub duration: MediaTime,
}

/// A place for one more play; take it before the file is read, since that is what costs.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Player {
    pub(crate) fn new(places: Arc<Semaphore>) -> Self {
        Self { places, playing: Mutex::new(None), started: AtomicU64::new(0) }
    }

    /// A place for one more play.
    ///
    /// # Errors
    /// 503 when as many play in this server as may.
    pub(crate) fn place(&self) -> Result<Place, ApiError> {
        let place = self.places.clone().try_acquire_owned();
        place.map(|_permit| Place { _permit }).map_err(|_| ApiError::full("too many files are being played"))
    }

    /// Plays `file`, in the place of what is played now.
    ///
    /// # Errors
    /// 400 when it cannot be decoded or is too long; 503 when the engine is full.
    pub(crate) async fn play(
        &self,
        app: &App,
        room: &RoomHandle,
        sound: &RoomSound,
        place: Place,
        file: Bytes,
    ) -> Result<Started, ApiError> {
        let measured = file.clone();
        let measuring = tokio::task::spawn_blocking(move || measure(measured));
        let duration = measuring.await.map_err(|_| ApiError::internal("the decoder broke"))??;
        let (playout, speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
        let mut playing = self.playing.lock().await;
        if let Some(older) = playing.take() {
            older.stop(PlayEnd::Replaced).await;
        }
        let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
        let leg = sound.bridge().join(plan).await?;
        let play: Arc<str> = format!("play{}", self.started.fetch_add(1, Ordering::Relaxed) + 1).into();
        room.publish(RoomEvent::PlayStarted { play: play.clone(), duration })
            .await
            .map_err(|_| ApiError::not_found("the room was closed"))?;
        let (stop, stopped) = watch::channel(None);
        let run = Run { leg, speaker, stopped, room: room.clone(), shutdown: app.shutdown().clone() };
        let (room, of) = (room.clone(), play.clone());
        let task = tokio::spawn(async move {
            let why = run.run(file).await;
            // A room that is closed has nobody to tell.
            let _ = room.publish(RoomEvent::PlayEnded { play: of, why }).await;
            drop(place);
        });
        *playing = Some(Playing { stop, task });
        Ok(Started { play, duration })
    }

    /// Stops what is played; false when nothing was.
    pub(crate) async fn stop(&self) -> bool {
        match self.playing.lock().await.take() {
            Some(playing) if !playing.task.is_finished() => {
                playing.stop(PlayEnd::Stopped).await;
                true
            }
            _ => false,
        }
    }
}

/// How long `file` is. Blocking: decodes all of it.
fn measure(file: Bytes) -> Result<MediaTime, ApiError> {
    let refused = |error: DecodeError| {
        ApiError::bad_request("bad_audio", error.to_string())
            .hint("send WAV, FLAC, MP3, AAC, Ogg, WebM or MP4 as the body")
    };
    let mut decoder = Decoder::open(Cursor::new(file)).map_err(refused)?;
    let mut duration = MediaTime::ZERO;
    while let Some(block) = decoder.next_block().map_err(refused)? {
        duration += MediaTime::from_samples(block.samples() as u64, block.rate_hz.max(1)).as_duration();
        if duration.as_duration() > LONGEST {
            let minutes = LONGEST.as_secs() / 60;
            return Err(ApiError::bad_request(
                "too_long",
                format!("a file that is played lasts {minutes} minutes at most"),
            ));
        }
    }
    Ok(duration)
}

/// One play, from its first sound to its last.
struct Run {
    leg: Leg,
    speaker: Speaker,
    stopped: watch::Receiver<Option<PlayEnd>>,
    room: RoomHandle,
    shutdown: tokio_util::sync::CancellationToken,
}

impl Run {
    async fn run(self, file: Bytes) -> PlayEnd {
        let Self { mut leg, mut speaker, mut stopped, room, shutdown } = self;
        let speaking = async {
            let spoken = speak(&mut speaker, decoded(file)).await;
            until_heard(&mut leg).await;
            spoken
        };
        let why = tokio::select! {
            spoken = speaking => return if spoken.is_ok() { PlayEnd::Finished } else { PlayEnd::Failed },
            why = stopped.wait_for(Option::is_some) => why.ok().and_then(|why| *why).unwrap_or(PlayEnd::Stopped),
            () = room.closed() => PlayEnd::Stopped,
            () = shutdown.cancelled() => PlayEnd::Stopped,
        };
        if leg.tell_source(Control::Flush(TURN)).is_ok() {
            let faded = async {
                while !matches!(leg.events.recv().await, Some(LegEvent::Source { event: Event::Drained, .. }) | None) {}
            };
            // What has not faded by then was paused or is stuck: it goes all the same.
            let _ = tokio::time::timeout(FADE, faded).await;
        }
        why
    }
}

/// Why a file was not spoken to its end.
enum Broken {
    Abandoned,
    File,
}

impl From<Abandoned> for Broken {
    fn from(_: Abandoned) -> Self {
        Self::Abandoned
    }
}

async fn speak(speaker: &mut Speaker, mut decoded: mpsc::Receiver<Result<Block, DecodeError>>) -> Result<(), Broken> {
    let mut samples = Vec::new();
    let mut converter = Converter::default();
    while let Some(block) = decoded.recv().await {
        let block = block.map_err(|error| {
            tracing::warn!(%error, "a file that is played broke off");
            Broken::File
        })?;
        samples.clear();
        converter.convert(&block, &mut samples).map_err(|_| Broken::File)?;
        speaker.speak(TURN, &samples).await?;
    }
    samples.clear();
    converter.finish(&mut samples);
    speaker.speak(TURN, &samples).await?;
    speaker.mark(TURN, END).await?;
    Ok(())
}

/// Makes blocks of a file into what a mouth takes: mono, at [`MOUTH_HZ`].
#[derive(Default)]
pub(crate) struct Converter {
    mixed: Vec<f32>,
    resampler: Option<(u32, Resampler)>,
}

impl Converter {
    /// Appends the samples of `block`; a few come with the next.
    ///
    /// # Errors
    /// When the block is at a rate that nothing has.
    pub(crate) fn convert(&mut self, block: &Block, samples: &mut Vec<f32>) -> Result<(), BadRate> {
        let (_, resampler) = match &mut self.resampler {
            Some(resampler) if resampler.0 == block.rate_hz => resampler,
            other => other.insert((block.rate_hz, Resampler::new(block.rate_hz, MOUTH_HZ)?)),
        };
        mix_down(block, &mut self.mixed);
        resampler.process(&self.mixed, samples);
        Ok(())
    }

    /// Appends what was held back.
    pub(crate) fn finish(&mut self, samples: &mut Vec<f32>) {
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.flush(samples);
        }
    }
}

/// Until the mark behind the last sound comes back, or the leg is gone.
async fn until_heard(leg: &mut Leg) {
    let heard = async {
        while let Some(event) = leg.events.recv().await {
            if matches!(event, LegEvent::Source { event: Event::MarkPlayed(END), .. }) {
                break;
            }
        }
    };
    // A mark that was dropped on its way is as good as played by then.
    let _ = tokio::time::timeout(MARK_WITHIN, heard).await;
}

/// The blocks of `file`, decoded a few ahead of whoever takes them; it ends when they are not taken any more.
pub(crate) fn decoded(file: Bytes) -> mpsc::Receiver<Result<Block, DecodeError>> {
    let (blocks, decoded) = mpsc::channel(BLOCKS_AHEAD);
    tokio::task::spawn_blocking(move || decode(file, &blocks));
    decoded
}

/// Blocking.
fn decode(file: Bytes, blocks: &mpsc::Sender<Result<Block, DecodeError>>) {
    let mut decoder = match Decoder::open(Cursor::new(file)) {
        Ok(decoder) => decoder,
        Err(error) => return drop(blocks.blocking_send(Err(error))),
    };
    while let Some(block) = decoder.next_block().transpose() {
        let is_last = block.is_err();
        if blocks.blocking_send(block).is_err() || is_last {
            return;
        }
    }
}

/// All channels of a block as one.
pub(crate) fn mix_down(block: &Block, mixed: &mut Vec<f32>) {
    let share = 1.0 / block.channels.len().max(1) as f32;
    mixed.clear();
    mixed.extend((0..block.samples()).map(|n| block.channels.iter().map(|channel| channel[n]).sum::<f32>() * share));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_none_is_refused_with_what_would_do() {
        let error = measure(Bytes::from_static(b"hello, this is no sound at all")).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, "bad_audio"));
        assert!(error.hint.is_some());
        assert_eq!(measure(Bytes::new()).unwrap_err().status.as_u16(), 400);
    }

    #[test]
    fn a_file_is_as_long_as_its_samples_and_half_an_hour_is_the_most() {
        assert_eq!(measure(wav(8_000, 12_000)).unwrap(), MediaTime::from_millis(1_500));
        let error = measure(wav(1_000, 1_801_000)).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, "too_long"));
    }

    fn wav(rate_hz: u32, samples: u32) -> Bytes {
        let mut bytes = Vec::from(*b"RIFF");
        bytes.extend((36 + 2 * samples).to_le_bytes());
        bytes.extend(*b"WAVEfmt ");
        bytes.extend(16_u32.to_le_bytes());
        bytes.extend([1, 0, 1, 0]);
        bytes.extend(rate_hz.to_le_bytes());
        bytes.extend((2 * rate_hz).to_le_bytes());
        bytes.extend([2, 0, 16, 0]);
        bytes.extend(*b"data");
        bytes.extend((2 * samples).to_le_bytes());
        bytes.resize(44 + 2 * samples as usize, 0);
        bytes.into()
    }
}
