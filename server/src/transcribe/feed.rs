//! The blocking half of a transcription: decodes the recording and hands 16 kHz mono samples to the ears.
//!
//! Runs on a thread of the blocking pool. It waits while the ears have 4 s queued; it stops as soon as nobody
//! listens any more. At [`Pace::Live`] it owns a clock and hands over 20 ms at a time, when they are due.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use asr::{
    diarize::Turn,
    pool::{Ears, Refused, StreamConfig, StreamEvents, StreamInput},
    recognizer,
};
use media::{
    decode::Losses,
    frame::EAR_HZ,
    time::{CLOCK_HZ, MediaTime},
};
use tokio::sync::{oneshot, watch};

use super::{Job, Pace, Told, TranscribeError, Voices, source::Opened as Media};
use crate::clock::Clock;

/// What the feeder says once the streams are open.
pub(super) struct Opened {
    pub(super) streams: Vec<StreamEvents>,
    pub(super) channels: u16,
    /// Whether voices are told apart on the only lane.
    pub(super) voices: bool,
    pub(super) at: Instant,
}

/// What the feeder says at the end.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Length of all audio that was decoded.
    pub(super) duration: Duration,
    /// What was missing in it.
    pub(super) losses: Losses,
    /// Who spoke when, where voices are told apart.
    pub(super) turns: Option<Result<Vec<Turn>, recognizer::Error>>,
    /// Why it ended before the end of the recording.
    pub(super) failed: Option<TranscribeError>,
}

/// Decodes everything, or until nobody listens.
pub(super) fn run(
    ears: &Ears,
    job: Job,
    opened: oneshot::Sender<Result<Opened, TranscribeError>>,
    progress: &watch::Sender<f64>,
    gone: &Receiver<()>,
) -> Fed {
    let pace = job.pace;
    match open(ears, job) {
        Ok((mut feeder, streams)) => {
            let at = Clock.now();
            let (channels, voices) = (feeder.channels, feeder.voices.is_some());
            if opened.send(Ok(Opened { streams, channels, voices, at })).is_err() {
                return Fed::default();
            }
            let deadline = (pace == Pace::Live).then_some(Deadlines { began: at, gone });
            let failed = feeder.run(progress, deadline.as_ref()).err();
            let (duration, losses) = (feeder.duration(), feeder.media.decoder.losses());
            let voices = feeder.voices.take();
            // That ends the streams; the words that are pending become final.
            drop(feeder);
            // Where nobody listens any more nobody asks either.
            let is_asked = !matches!(failed, Some(TranscribeError::Closing));
            let turns = voices.filter(|_| is_asked).map(Listening::finish);
            Fed { duration, losses, turns, failed }
        }
        Err(error) => {
            // The receiver is gone when the caller is: then nobody is left to tell.
            let _ = opened.send(Err(error));
            Fed::default()
        }
    }
}

/// Opens the recording up to its first audio, and a stream for each lane.
fn open(ears: &Ears, job: Job) -> Result<(Feeder, Vec<StreamEvents>), TranscribeError> {
    let mut media = job.source.open()?;
    let first = media.decoder.next_block()?.ok_or(TranscribeError::Silent)?;
    let adaptor = media::ears::Ears::new(first.format(), job.listen).map_err(|_| TranscribeError::Silent)?;
    let config = StreamConfig {
        hints: job.hints,
        partials: job.pace == Pace::Live,
        endpointing_ms: job.endpointing_ms,
        starts_at: MediaTime::ZERO,
        live: job.pace == Pace::Live,
        turn_after_ms: None,
        diarization: None,
    };
    let (inputs, streams) = (0..adaptor.streams())
        .map(|_| ears.open(config.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|refused| match refused {
            Refused::Full(_) => TranscribeError::Full(refused),
            Refused::Closing => TranscribeError::Closing,
        })?
        .into_iter()
        .unzip();
    let lanes = vec![Vec::new(); adaptor.streams()];
    let channels = first.format().channels;
    let voices = match job.voices {
        Voices::Told(told) if job.speakers && lanes.len() == 1 => Some(Listening { told, failed: None }),
        Voices::Told(_) | Voices::Alike(_) => None,
    };
    let mut feeder = Feeder {
        media,
        adaptor,
        inputs,
        lanes,
        voices,
        channels,
        rate_hz: first.rate_hz,
        decoded_samples: 0,
        pushed_samples: 0,
    };
    feeder.hear(&first);
    Ok((feeder, streams))
}

struct Feeder {
    media: Media,
    adaptor: media::ears::Ears,
    inputs: Vec<StreamInput>,
    /// Samples at [`EAR_HZ`] not yet handed over, per lane; all of one length.
    lanes: Vec<Vec<f32>>,
    /// What listens for voices on the only lane.
    voices: Option<Listening>,
    channels: u16,
    rate_hz: u32,
    decoded_samples: u64,
    pushed_samples: u64,
}

impl Feeder {
    fn run(&mut self, progress: &watch::Sender<f64>, deadlines: Option<&Deadlines<'_>>) -> Result<(), TranscribeError> {
        loop {
            self.hand_over(deadlines)?;
            if let Some(fraction) = self.media.fraction() {
                progress.send_if_modified(|told| {
                    let news = fraction - *told >= PROGRESS_STEP;
                    if news {
                        *told = fraction;
                    }
                    news
                });
            }
            match self.media.decoder.next_block() {
                Ok(Some(block)) => self.hear(&block),
                ended => {
                    self.adaptor.flush(&mut self.lanes);
                    self.hand_over(deadlines)?;
                    return ended.map(|_| ()).map_err(TranscribeError::Media);
                }
            }
        }
    }

    fn hear(&mut self, block: &media::decode::Block) {
        self.decoded_samples += block.samples() as u64;
        self.adaptor.hear(&block.channels, &mut self.lanes);
    }

    /// Pushes what is there, lane by lane in turns, so that no lane is far ahead of another.
    fn hand_over(&mut self, deadlines: Option<&Deadlines<'_>>) -> Result<(), TranscribeError> {
        let step = if deadlines.is_some() { LIVE_STEP_SAMPLES } else { FULL_STEP_SAMPLES };
        let longest = self.lanes.iter().map(Vec::len).max().unwrap_or(0);
        for from in (0..longest).step_by(step) {
            for (lane, input) in self.lanes.iter().zip(&mut self.inputs) {
                let piece = &lane[from.min(lane.len())..(from + step).min(lane.len())];
                input.push_blocking(piece).map_err(|_| TranscribeError::Closing)?;
                if let Some(voices) = &mut self.voices {
                    voices.hear(piece);
                }
            }
            self.pushed_samples += step.min(longest - from) as u64;
            if let Some(deadlines) = deadlines {
                deadlines.wait(MediaTime::from_samples(self.pushed_samples, EAR_HZ))?;
            }
        }
        self.lanes.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    fn duration(&self) -> Duration {
        let ticks = u128::from(self.decoded_samples) * u128::from(CLOCK_HZ) / u128::from(self.rate_hz);
        MediaTime::from_ticks(ticks as u64).as_duration()
    }
}

/// Voices that are told apart while the recording is read. What fails costs the names, never the words.
struct Listening {
    told: Box<Told>,
    failed: Option<recognizer::Error>,
}

impl Listening {
    fn hear(&mut self, samples: &[f32]) {
        if self.failed.is_none() {
            self.failed = self.told.diarizer.hear(samples).err();
        }
    }

    fn finish(self) -> Result<Vec<Turn>, recognizer::Error> {
        let Told { diarizer, expected, names: _ } = *self.told;
        match self.failed {
            Some(error) => Err(error),
            None => diarizer.finish(expected),
        }
    }
}

/// When samples are due: the recording was begun at `began` and takes as long as it lasts.
struct Deadlines<'a> {
    began: Instant,
    gone: &'a Receiver<()>,
}

impl Deadlines<'_> {
    /// Waits until the moment `at` of the recording has come, or says that nobody listens any more.
    fn wait(&self, at: MediaTime) -> Result<(), TranscribeError> {
        match self.gone.recv_timeout((self.began + at.as_duration()).saturating_duration_since(Clock.now())) {
            Err(RecvTimeoutError::Timeout) | Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(TranscribeError::Closing),
        }
    }
}

/// 20 ms, as a call delivers them.
const LIVE_STEP_SAMPLES: usize = EAR_HZ as usize / 50;

/// Half a second: few enough hand-overs to cost nothing, short enough that lanes stay together.
const FULL_STEP_SAMPLES: usize = EAR_HZ as usize / 2;

/// Progress is told in steps of a thousandth: finer than a bar can show.
const PROGRESS_STEP: f64 = 0.001;
