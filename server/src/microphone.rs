//! Bytes of a client that speaks, headerless or a container, into the voice of a leg.
//!
//! Decoded, mixed to one channel, brought to the leg's rate where the graph does not do that itself, and spoken at
//! the pace at which it is heard: a client that sends faster waits. Containers are decoded on a thread of their
//! own, and a small task carries their sound on. Marks come back as events of the leg: one when everything that
//! was sent before [`Microphone::finalize`] has been heard, and one when all has been ([`FINISHED`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use media::{
    codec::raw::RawDecoder,
    decode::stream::{self, Item, StreamInput, StreamOutput},
    dsp::resample::{BadRate, Resampler},
    frame::MOUTH_HZ,
    graph::nodes::playout::Playout,
    time::{CLOCK_HZ, MediaTime},
};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    error::ApiError,
    live::{Input, LiveError},
    speaker::{Abandoned, Pace, Speaker},
    telemetry,
};

/// The mark of [`Microphone::finalize`].
pub const FINALIZED: u64 = 1;

/// The mark behind the last sound.
pub const FINISHED: u64 = 2;

/// Rates that a leg may have without being resampled here.
const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// All that a client says is one turn: nobody interrupts them.
const TURN: u64 = 1;

/// Silence after the last sound, for what the graph's resamplers still hold.
const TAIL: Duration = Duration::from_millis(60);

/// A decoder that has had nothing to say for this long has decoded what it was given.
const DECODER_IDLE: Duration = Duration::from_millis(50);

/// The writing end of a client's voice. Dropping it leaves the last 40 ms unsaid; finish it.
pub struct Microphone {
    feed: Feed,
    taken: Arc<Taken>,
}

enum Feed {
    Raw { decoder: Box<RawDecoder>, planar: Vec<Vec<f32>>, voice: Box<Voice> },
    Container { input: StreamInput, finalize: Arc<Notify>, pump: Option<JoinHandle<Result<(), LiveError>>> },
}

/// How much has been taken of what a client sent.
#[derive(Default)]
pub struct Taken(AtomicU64);

impl Taken {
    /// As long as it sounds.
    pub fn duration(&self) -> MediaTime {
        MediaTime::from_ticks(self.0.load(Ordering::Acquire))
    }

    fn add(&self, samples: usize, rate_hz: u32) {
        self.0.fetch_add(samples as u64 * CLOCK_HZ / u64::from(rate_hz), Ordering::AcqRel);
    }
}

impl Microphone {
    /// A source for a leg, and its microphone. Nothing is spoken before there is a leg: start it after joining.
    ///
    /// # Errors
    /// 400 when `input` cannot be decoded, 503 when the system gives no thread.
    pub fn open(input: Input) -> Result<(Playout, Self), ApiError> {
        let refused = |why: String| ApiError::bad_request("bad_audio_format", why);
        let taken = Arc::new(Taken::default());
        let (playout, feed) = match input {
            Input::Raw { encoding, rate_hz, channels } => {
                let channels = usize::from(channels);
                let decoder =
                    RawDecoder::new(encoding, rate_hz, channels).map_err(|error| refused(error.to_string()))?;
                let leg_hz = if RATES_HZ.contains(&rate_hz) { rate_hz } else { MOUTH_HZ };
                let (playout, speaker) = Speaker::new(leg_hz, Pace::Spoken);
                let mut voice = Voice::new(speaker, leg_hz);
                voice.comes_at(rate_hz).map_err(|error| refused(error.to_string()))?;
                let planar = vec![Vec::new(); channels];
                (playout, Feed::Raw { decoder: Box::new(decoder), planar, voice: Box::new(voice) })
            }
            Input::Container => {
                let (input, output) = stream::open().map_err(|error| {
                    tracing::error!(%error, "cannot start a decoder");
                    ApiError::full("the server cannot start another decoder")
                })?;
                let (playout, speaker) = Speaker::new(MOUTH_HZ, Pace::Spoken);
                let finalize = Arc::new(Notify::new());
                let pump = Pump {
                    output,
                    voice: Voice::new(speaker, MOUTH_HZ),
                    finalize: finalize.clone(),
                    taken: taken.clone(),
                };
                (playout, Feed::Container { input, finalize, pump: Some(tokio::spawn(pump.run())) })
            }
        };
        Ok((playout, Self { feed, taken }))
    }

    /// How much has been taken, for whoever reports it.
    pub fn taken(&self) -> Arc<Taken> {
        self.taken.clone()
    }

    /// Takes what the client sent, waiting while what came before is not yet heard.
    ///
    /// # Errors
    /// [`LiveError::Audio`] when the bytes are no audio. A leg that has left is no error: nobody hears it.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), LiveError> {
        match &mut self.feed {
            Feed::Raw { decoder, planar, voice } => {
                planar.iter_mut().for_each(Vec::clear);
                if let Err(error) = decoder.push(&bytes, planar) {
                    tracing::debug!(%error, "a packet was concealed");
                }
                self.taken.add(planar.first().map_or(0, Vec::len), voice.rate_hz);
                let _: Result<(), Abandoned> = voice.say(planar).await;
                Ok(())
            }
            Feed::Container { input, pump, .. } => match input.push(bytes).await {
                Ok(()) => Ok(()),
                // The decoder has ended; the task knows why. Bytes after a complete file are nobody's loss.
                Err(_) => outcome(pump).await,
            },
        }
    }

    /// Asks for a mark behind everything pushed so far.
    pub async fn finalize(&mut self) {
        match &mut self.feed {
            // When the leg has left, so has whoever waits for the mark.
            Feed::Raw { voice, .. } => drop(voice.speaker.mark(TURN, FINALIZED).await),
            Feed::Container { finalize, .. } => finalize.notify_one(),
        }
    }

    /// Says the last of it, and asks for the mark behind that.
    ///
    /// # Errors
    /// [`LiveError::Audio`] when the end of a container could not be read.
    pub async fn finish(self) -> Result<(), LiveError> {
        match self.feed {
            Feed::Raw { mut voice, .. } => {
                let _: Result<(), Abandoned> = voice.finish().await;
                Ok(())
            }
            Feed::Container { input, mut pump, .. } => {
                input.finish();
                outcome(&mut pump).await
            }
        }
    }
}

/// How the task ended; fine when that was told before.
async fn outcome(pump: &mut Option<JoinHandle<Result<(), LiveError>>>) -> Result<(), LiveError> {
    match pump.take() {
        Some(pump) => pump.await.unwrap_or(Err(LiveError::Stopped)),
        None => Ok(()),
    }
}

/// Channels at some rate, as the mono voice of a leg.
struct Voice {
    speaker: Speaker,
    leg_hz: u32,
    rate_hz: u32,
    resampler: Option<Resampler>,
    mixed: Vec<f32>,
    resampled: Vec<f32>,
    /// Samples said since the stage was measured last.
    unmeasured: usize,
}

impl Voice {
    fn new(speaker: Speaker, leg_hz: u32) -> Self {
        let (mixed, resampled) = (Vec::new(), Vec::new());
        Self { speaker, leg_hz, rate_hz: leg_hz, resampler: None, mixed, resampled, unmeasured: 0 }
    }

    /// Says what rate comes from now on.
    fn comes_at(&mut self, rate_hz: u32) -> Result<(), BadRate> {
        if rate_hz != self.rate_hz {
            self.resampler = (rate_hz != self.leg_hz).then(|| Resampler::new(rate_hz, self.leg_hz)).transpose()?;
            self.rate_hz = rate_hz;
        }
        Ok(())
    }

    /// Says one block, a slice of equal length per channel.
    async fn say(&mut self, planar: &[Vec<f32>]) -> Result<(), Abandoned> {
        let share = 1.0 / planar.len().max(1) as f32;
        let samples = planar.iter().map(Vec::len).min().unwrap_or(0);
        self.mixed.clear();
        // What is not a number is heard as silence.
        let number = |sample: f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        self.mixed.extend((0..samples).map(|n| planar.iter().map(|channel| number(channel[n])).sum::<f32>() * share));
        self.unmeasured += samples;
        if self.unmeasured >= self.rate_hz as usize {
            self.unmeasured = 0;
            telemetry::stage("packet_to_frame", self.speaker.waiting());
        }
        match &mut self.resampler {
            None => self.speaker.speak(TURN, &self.mixed).await,
            Some(resampler) => {
                self.resampled.clear();
                resampler.process(&self.mixed, &mut self.resampled);
                self.speaker.speak(TURN, &self.resampled).await
            }
        }
    }

    async fn finish(&mut self) -> Result<(), Abandoned> {
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.flush(&mut self.resampled);
        }
        let tail = (TAIL.as_millis() as usize * self.leg_hz as usize) / 1_000;
        self.resampled.resize(self.resampled.len() + tail, 0.0);
        self.speaker.speak(TURN, &self.resampled).await?;
        self.speaker.mark(TURN, FINISHED).await
    }
}

/// The task of a container: from its decoder to the voice.
struct Pump {
    output: StreamOutput,
    voice: Voice,
    finalize: Arc<Notify>,
    taken: Arc<Taken>,
}

impl Pump {
    async fn run(mut self) -> Result<(), LiveError> {
        loop {
            // Cancel-safe: an item is handed out once, a notification is kept until it is looked at.
            let item = tokio::select! {
                biased;
                item = self.output.next() => item,
                () = self.finalize.notified() => {
                    // Bytes that came before the request may still be on the decoder's thread.
                    while let Ok(item) = tokio::time::timeout(DECODER_IDLE, self.output.next()).await {
                        if !self.on_item(item).await? {
                            return Ok(());
                        }
                    }
                    if self.voice.speaker.mark(TURN, FINALIZED).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            };
            if !self.on_item(item).await? {
                return Ok(());
            }
        }
    }

    /// False after the last item, or when nobody hears any more.
    async fn on_item(&mut self, item: Option<Item>) -> Result<bool, LiveError> {
        match item {
            Some(Item::Block(block)) => {
                self.voice.comes_at(block.rate_hz).map_err(|error| LiveError::Audio(error.to_string()))?;
                self.taken.add(block.samples(), block.rate_hz);
                Ok(self.voice.say(&block.channels).await.is_ok())
            }
            Some(Item::Failed(error)) => {
                let _: Result<(), Abandoned> = self.voice.finish().await;
                Err(LiveError::Audio(error.to_string()))
            }
            Some(Item::End(losses)) => {
                if losses.truncated || losses.damaged_packets > 0 {
                    tracing::debug!(losses.truncated, losses.damaged_packets, "a container was not whole");
                }
                let _: Result<(), Abandoned> = self.voice.finish().await;
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use media::codec::raw::Encoding;

    use super::*;

    #[tokio::test]
    async fn what_a_client_sent_is_counted_in_its_own_time() {
        for rate_hz in [8_000, 16_000, 44_100] {
            let input = Input::Raw { encoding: Encoding::Linear16, rate_hz, channels: 2 };
            let (_playout, mut microphone) = Microphone::open(input).unwrap();
            // A tenth of a second of both channels.
            microphone.push(vec![0; rate_hz as usize / 10 * 4].into()).await.unwrap();
            let taken_ms = microphone.taken().duration().as_millis();
            assert!((99..=100).contains(&taken_ms), "{rate_hz} Hz: {taken_ms} ms");
        }
    }

    #[test]
    fn formats_that_cannot_be_decoded_are_refused_before_anybody_joins() {
        let input = Input::Raw { encoding: Encoding::Opus, rate_hz: 44_100, channels: 1 };
        assert_eq!(Microphone::open(input).err().map(|error| error.status.as_u16()), Some(400));
        let input = Input::Raw { encoding: Encoding::Linear16, rate_hz: 1, channels: 1 };
        assert_eq!(Microphone::open(input).err().map(|error| error.status.as_u16()), Some(400));
    }

    #[tokio::test]
    async fn a_leg_that_has_left_takes_no_time_of_its_client() {
        let input = Input::Raw { encoding: Encoding::Linear16, rate_hz: 16_000, channels: 1 };
        let (playout, mut microphone) = Microphone::open(input).unwrap();
        drop(playout);
        microphone.push(vec![0; 320_000].into()).await.unwrap();
        microphone.finish().await.unwrap();
    }
}
