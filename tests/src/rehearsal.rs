//! A stream rehearsed in virtual time: real audio, real models, a clock that only this file moves.
//!
//! The listener is told windows as a microphone would deliver them, and each decode takes as long as a stated
//! cost says, so that latency, stability and word error rate come out the same on every machine.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use asr::{
    event::Event,
    listener::{Job, Listener},
    pool::StreamConfig,
    recognizer::{Decoder, Error, Hypothesis},
    vad::{
        gate::WINDOW_SAMPLES,
        silero::{Silero, State, Window},
    },
};

/// What a decode costs: a fixed part and a part that grows with the window.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Whatever the length.
    pub fixed: Duration,
    /// Per second of window.
    pub per_s: Duration,
}

impl Cost {
    /// Moonshine tiny on one core of a small server.
    pub const MOONSHINE: Self = Self { fixed: Duration::from_millis(8), per_s: Duration::from_millis(22) };

    fn of(self, samples: usize) -> Duration {
        self.fixed + self.per_s.mul_f64(samples as f64 / 16_000.0)
    }
}

/// What was said when: events with the stream's own time at which they came out.
#[derive(Debug, Default)]
pub struct Rehearsed {
    /// Every event with when it was published, after the stream's first sample.
    pub events: Vec<(Duration, Event)>,
    /// All the decoding that was done, in stated cost.
    pub decoding: Duration,
    /// How many decodes.
    pub decodes: usize,
}

impl Rehearsed {
    /// The text of all finals.
    pub fn text(&self) -> String {
        let finals = self.events.iter().filter_map(|(_, event)| match event {
            Event::Final { words, .. } if !words.is_empty() => Some(asr::event::text(words)),
            _ => None,
        });
        finals.collect::<Vec<_>>().join(" ")
    }
}

/// Plays `audio` (16 kHz mono) to a new stream, then a second of silence, then ends it.
///
/// # Errors
/// Whatever the models answer.
pub fn rehearse(
    audio: &[f32],
    config: StreamConfig,
    window_max_s: u32,
    silero: &mut Silero,
    decoder: &mut dyn Decoder,
    cost: Cost,
) -> Result<Rehearsed, Error> {
    let began = epoch();
    let hints = config.hints.clone();
    let mut listener = Listener::new(config, window_max_s);
    let mut state = State::default();
    let mut done = Rehearsed::default();
    let mut at = Duration::ZERO;
    let mut running: Option<(Duration, Duration, Job, Result<Hypothesis, Error>)> = None;
    let silence = [0.0; 16_000];
    let mut windows = audio.chunks(WINDOW_SAMPLES).chain(silence.chunks(WINDOW_SAMPLES));
    loop {
        match windows.next() {
            Some(window) => {
                at += Duration::from_secs_f64(window.len() as f64 / 16_000.0);
                let mut samples = [0.0; WINDOW_SAMPLES];
                samples[..window.len()].copy_from_slice(window);
                let mut scored = [Window { state: &mut state, samples: &samples, speech: 0.0 }];
                silero.score(&mut scored)?;
                let speech = scored[0].speech;
                finish_until(at, &mut listener, &mut running, &mut done);
                listener.hear(window, speech, began + at);
            }
            None if listener.is_done() => return Ok(done),
            None => {
                listener.end(began + at);
                at += Duration::from_millis(32);
                finish_until(at, &mut listener, &mut running, &mut done);
            }
        }
        drain(at, &mut listener, &mut done);
        if let Some((_, _, job, _)) = running.take_if(|(_, _, job, _)| job.abort.load(Ordering::Relaxed)) {
            listener.decoded(job.id, Err(Error::Aborted), Duration::ZERO);
        }
        if running.is_none()
            && let Some(job) = listener.take_job(began + at)
        {
            let answer = decoder.decode(&job.audio, &hints, &AtomicBool::new(false));
            let takes = cost.of(job.audio.len());
            done.decoding += takes;
            done.decodes += 1;
            running = Some((at + takes, takes, job, answer));
        }
    }
}

fn finish_until(
    at: Duration,
    listener: &mut Listener,
    running: &mut Option<(Duration, Duration, Job, Result<Hypothesis, Error>)>,
    done: &mut Rehearsed,
) {
    if let Some((ready, takes, job, answer)) = running.take_if(|(ready, ..)| *ready <= at) {
        listener.decoded(job.id, answer, takes);
        drain(ready, listener, done);
    }
}

fn drain(at: Duration, listener: &mut Listener, done: &mut Rehearsed) {
    while let Some(event) = listener.poll() {
        done.events.push((at, event));
    }
}

/// Any instant will do: only differences are looked at.
#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
fn epoch() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
