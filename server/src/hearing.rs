//! What a socket hears that is a leg of its room: the counterpart of its [`crate::microphone`].
//!
//! It follows the call: marks of the microphone become wishes to the ears, the mixture goes to the client when it asked
//! for it, and the end comes when the last words are out. A client that takes its messages slowly misses sound; nothing
//! of it piles up and nobody waits. Never real time: it looks at what the graph has left once a frame.

use std::{pin::Pin, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use media::{
    bridge::LegEvent,
    dsp::resample::{BadRate, Resampler},
    frame::MOUTH_HZ,
    graph::{
        node::Event,
        nodes::{capture::CaptureReader, frames::Heard},
    },
    time::MediaTime,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::{
    call::Call,
    microphone::{FINALIZED, FINISHED, Taken},
};

/// How often the mixture is looked at: once a frame.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Frames that may wait for a client: 200 ms. Older ones are dropped: late sound is worse than none.
const WAITING_FRAMES: usize = 10;

/// How long after the last sound was said its mark is waited for: the mouth's 400 ms, and room for a busy engine.
const MARK_WITHIN: Duration = Duration::from_millis(1_500);

/// The writing half.
pub(crate) struct Hearing {
    stage: Stage,
    taken: Arc<Taken>,
    mix: Option<Mix>,
    lag_ms: Option<u64>,
    finalized: u64,
}

enum Stage {
    On { call: Box<Call>, give_up_at: Option<Instant> },
    HangingUp(Pin<Box<dyn Future<Output = ()> + Send>>),
    Gone,
}

/// What the writing half has for the client.
pub(crate) enum Item {
    /// 20 ms of what the room says, without the client's own voice, at the client's rate.
    Sound(Vec<f32>),
    /// Nothing to send.
    Nothing,
}

impl Hearing {
    pub(crate) fn new(call: Call, taken: Arc<Taken>, mix: Option<Mix>) -> Self {
        Self { stage: Stage::On { call: Box::new(call), give_up_at: None }, taken, mix, lag_ms: None, finalized: 0 }
    }

    /// What comes next; `None` when the last words are out and the participant has left. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        match &mut self.stage {
            Stage::On { call, give_up_at } => {
                let give_up = async {
                    match *give_up_at {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                let sound = async {
                    match &mut self.mix {
                        Some(mix) => mix.next().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    event = call.next() => {
                        self.lag_ms = call.lag_ms();
                        match event {
                            Some(LegEvent::Source { at, event: Event::MarkPlayed(FINALIZED) }) => {
                                self.finalized += 1;
                                call.finalize_through(at);
                            }
                            Some(LegEvent::Source { event: Event::MarkPlayed(FINISHED), .. }) | None => self.hang_up(),
                            Some(_) => {}
                        }
                        Some(Item::Nothing)
                    }
                    sound = sound => Some(Item::Sound(sound)),
                    () = give_up => {
                        self.hang_up();
                        Some(Item::Nothing)
                    }
                }
            }
            Stage::HangingUp(gone) => {
                gone.await;
                self.stage = Stage::Gone;
                None
            }
            Stage::Gone => None,
        }
    }

    /// The client has said its last: the mark behind it is on its way.
    pub(crate) fn no_more_comes(&mut self) {
        if let Stage::On { give_up_at, .. } = &mut self.stage {
            *give_up_at = Some(Instant::now() + MARK_WITHIN);
        }
    }

    /// How much has been taken in.
    pub(crate) fn heard(&self) -> MediaTime {
        self.taken.duration()
    }

    /// How often the words of all that was said so far were asked for.
    pub(crate) fn finalized(&self) -> u64 {
        self.finalized
    }

    /// Asks for the words of all that is said until `after` from now, where no microphone has marks.
    pub(crate) fn finalize_soon(&mut self, after: Duration) {
        if let Stage::On { call, .. } = &self.stage {
            call.finalize_soon(after);
        }
        self.finalized += 1;
    }

    /// Lets the ears expect another language or other terms from now on.
    pub(crate) fn expect(&self, hints: Hints) {
        if let Stage::On { call, .. } = &self.stage {
            call.expect(hints);
        }
    }

    /// How long after its last sound the newest words came out.
    pub(crate) fn lag_ms(&self) -> Option<u64> {
        match &self.stage {
            Stage::On { call, .. } => call.lag_ms(),
            Stage::HangingUp(_) | Stage::Gone => self.lag_ms,
        }
    }

    fn hang_up(&mut self) {
        self.mix = None;
        if let Stage::On { call, .. } = std::mem::replace(&mut self.stage, Stage::Gone) {
            self.stage = Stage::HangingUp(Box::pin(call.hung_up()));
        }
    }
}

/// What the room says to one client, at the client's rate.
pub(crate) struct Mix {
    reader: CaptureReader,
    resampler: Resampler,
    rate_hz: u32,
    /// Resampled and not yet sent.
    samples: Vec<f32>,
    look: Interval,
}

impl Mix {
    pub(crate) fn new(reader: CaptureReader, rate_hz: u32) -> Result<Self, BadRate> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { reader, resampler: Resampler::new(MOUTH_HZ, rate_hz)?, rate_hz, samples: Vec::new(), look })
    }

    /// The next 20 ms. Cancel-safe.
    async fn next(&mut self) -> Vec<f32> {
        let frame_samples = (self.rate_hz / 50) as usize;
        loop {
            self.take_in(frame_samples);
            if self.samples.len() >= frame_samples {
                return self.samples.drain(..frame_samples).collect();
            }
            self.look.tick().await;
        }
    }

    /// Takes what the graph has left, and drops what is too old to be worth hearing.
    fn take_in(&mut self, frame_samples: usize) {
        while let Some(heard) = self.reader.hear() {
            match heard {
                Heard::Frame(frame) => self.resampler.process(&frame.samples, &mut self.samples),
                // What the engine never made is no sound that waits.
                Heard::Lost(_) => {}
            }
        }
        let waiting = self.samples.len() / frame_samples;
        if waiting > WAITING_FRAMES {
            let late = waiting - 2;
            self.samples.drain(..late * frame_samples);
            metrics::counter!("harmony_drops_total", "crossing" => "listeners").increment(late as u64);
        }
    }
}
