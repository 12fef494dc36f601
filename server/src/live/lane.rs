//! The lanes of one live stream: each a stream of the ears, and the small task that carries its events.
//!
//! The task reads the ears and hands each event to the room first and to the dialect then. When the dialect is
//! gone, what was spoken before still reaches the room; without a room the task ends, which closes the stream.
//! Whoever is muted is heard as silence, and whoever is sent out ends the stream with all its lanes. The task holds the lane's place and seat, so that both are free when the last words are out.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use asr::{
    event::Event,
    pool::{StreamEvents, StreamInput},
};
use bot::{actor::Seat, participant::Standing};
use media::{
    ears::Ears as Downmix,
    frame::EAR_HZ,
    id::ParticipantId,
    time::{MediaTime, Span},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::LiveError;
use crate::{admission::Place, clock::Clock, telemetry};

/// How far a live stream has come; shared by its two ends and its lanes.
#[derive(Default)]
pub(super) struct Progress {
    lanes: AtomicUsize,
    heard_samples: AtomicU64,
    /// Milliseconds, plus one; zero while nothing has come out.
    lag_plus_one: AtomicU64,
    participants: Mutex<Vec<ParticipantId>>,
    sent_out: CancellationToken,
    arrivals: Mutex<Arrivals>,
}

impl Progress {
    pub(super) fn set_lanes(&self, lanes: usize) {
        self.lanes.store(lanes, Ordering::Release);
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.load(Ordering::Acquire)
    }

    pub(super) fn heard(&self) -> MediaTime {
        MediaTime::from_samples(self.heard_samples.load(Ordering::Acquire), EAR_HZ)
    }

    pub(super) fn lag_ms(&self) -> Option<u64> {
        self.lag_plus_one.load(Ordering::Acquire).checked_sub(1)
    }

    pub(super) fn participants(&self) -> Vec<ParticipantId> {
        self.participants.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves when somebody sent one of the participants out.
    pub(super) async fn sent_out(&self) {
        self.sent_out.cancelled().await;
    }

    fn took(&self, samples: usize, now: Instant) {
        let end = self.heard_samples.fetch_add(samples as u64, Ordering::AcqRel) + samples as u64;
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).note(end, now);
    }

    /// Measures how long ago the sound that an event rests on arrived.
    fn came_out(&self, span: Span, now: Instant) {
        let arrived = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).at(span.end.samples(EAR_HZ));
        if let Some(arrived) = arrived {
            let lag = now.saturating_duration_since(arrived);
            telemetry::stage("ear_to_text", lag);
            self.lag_plus_one
                .store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1), Ordering::Release);
        }
    }
}

/// When which sample arrived, for the last stretch of audio.
#[derive(Default)]
struct Arrivals(VecDeque<(u64, Instant)>);

impl Arrivals {
    fn note(&mut self, end_sample: u64, now: Instant) {
        if self.0.len() >= ARRIVALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((end_sample, now));
    }

    /// When the sample before `end_sample` was in; `None` when that is too long ago to know.
    fn at(&self, end_sample: u64) -> Option<Instant> {
        if self.0.front().is_none_or(|(oldest, _)| *oldest > end_sample) {
            return None;
        }
        let index = self.0.partition_point(|(end, _)| *end < end_sample);
        self.0.get(index).or_else(|| self.0.back()).map(|(_, at)| *at)
    }
}

/// The writing ends of every lane.
pub(super) struct Lanes {
    inputs: Vec<(StreamInput, Option<watch::Receiver<Standing>>)>,
    progress: Arc<Progress>,
    clock: Clock,
    resampled: Vec<Vec<f32>>,
}

impl Lanes {
    pub(super) fn new(progress: Arc<Progress>, clock: Clock) -> Self {
        Self { inputs: Vec::new(), progress, clock, resampled: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        input: StreamInput,
        events: StreamEvents,
        seat: Option<Seat>,
        place: Place,
        to: mpsc::Sender<(usize, Event)>,
    ) {
        if let Some(seat) = &seat {
            seat.listens(events.track());
            self.progress.participants.lock().unwrap_or_else(PoisonError::into_inner).push(seat.participant());
        }
        let standing = seat.as_ref().map(Seat::standing);
        let lane = Lane {
            index: self.inputs.len(),
            events,
            seat,
            to,
            progress: self.progress.clone(),
            clock: self.clock,
            _place: place,
        };
        self.inputs.push((input, standing));
        self.resampled.push(Vec::new());
        tokio::spawn(lane.run());
    }

    /// Resamples planar audio and hands it to every lane, waiting while one is behind.
    pub(super) async fn hear(&mut self, downmix: &mut Downmix, planar: &[Vec<f32>]) -> Result<(), LiveError> {
        self.resampled.iter_mut().for_each(Vec::clear);
        downmix.hear(planar, &mut self.resampled);
        self.push().await
    }

    /// Hands over what the resampler still holds: the last few milliseconds.
    pub(super) async fn flush(&mut self, downmix: &mut Downmix) -> Result<(), LiveError> {
        self.resampled.iter_mut().for_each(Vec::clear);
        downmix.flush(&mut self.resampled);
        self.push().await
    }

    pub(super) fn finalize(&mut self) {
        self.inputs.iter_mut().for_each(|(input, _)| input.finalize());
    }

    async fn push(&mut self) -> Result<(), LiveError> {
        let samples = self.resampled.first().map_or(0, Vec::len);
        // Noted before the ears get it: what they say of it may come out at once.
        self.progress.took(samples, self.clock.now());
        for ((input, standing), samples) in self.inputs.iter_mut().zip(&mut self.resampled) {
            if standing.as_ref().is_some_and(|standing| standing.borrow().is_muted) {
                samples.fill(0.0);
            }
            input.push(samples).await.map_err(|_| LiveError::Stopped)?;
        }
        Ok(())
    }
}

/// The task of one lane.
struct Lane {
    index: usize,
    // Dropped in this order: whoever sees the participant leave finds the place free.
    events: StreamEvents,
    _place: Place,
    seat: Option<Seat>,
    to: mpsc::Sender<(usize, Event)>,
    progress: Arc<Progress>,
    clock: Clock,
}

impl Lane {
    async fn run(mut self) {
        let mut is_read = true;
        let mut standing = self.seat.as_ref().map(Seat::standing);
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                () = sent_out(&mut standing) => {
                    self.progress.sent_out.cancel();
                    continue;
                }
            };
            let Some(event) = event else { return };
            match &event {
                Event::Partial { span, words, .. } | Event::Final { span, words, .. } if !words.is_empty() => {
                    self.progress.came_out(*span, self.clock.now());
                }
                _ => {}
            }
            if let Some(seat) = &self.seat
                && seat.heard(event.clone()).await.is_err()
            {
                self.seat = None;
            }
            is_read = is_read && self.to.send((self.index, event)).await.is_ok();
            if !is_read && self.seat.is_none() {
                return;
            }
        }
    }
}

/// Resolves once, when whoever sits there is sent out.
async fn sent_out(standing: &mut Option<watch::Receiver<Standing>>) {
    if let Some(following) = standing {
        let was_sent = following.wait_for(|standing| standing.is_sent_out).await.is_ok();
        *standing = None;
        if was_sent {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// 2048 messages of 20 ms are 40 s: longer than any utterance stays open.
const ARRIVALS_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_arrival_of_a_sample_is_that_of_the_message_that_held_it() {
        let start = Clock.now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut arrivals = Arrivals::default();
        for (end, ms) in [(320, 20), (640, 40), (960, 60)] {
            arrivals.note(end, at(ms));
        }
        assert_eq!(arrivals.at(320), Some(at(20)));
        assert_eq!(arrivals.at(321), Some(at(40)));
        assert_eq!(arrivals.at(5_000), Some(at(60)));
        assert_eq!(arrivals.at(100), None);
    }
}
