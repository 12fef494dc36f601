//! The voice-activity thread: takes windows from every stream that has one, scores them in one batch, tells
//! the listeners. Sleeps while nothing is pushed, so an open stream that is quiet costs nothing.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
};

use super::{
    Shared,
    cell::{Cell, Next, Voice, lock},
    now,
};
use crate::{
    segment::Score,
    vad::{
        gate::WINDOW_SAMPLES,
        silero::{Silero, Window},
    },
};

/// Streams scored in one run. More would let the first wait for the last.
const BATCH: usize = 64;

/// The line of streams that have something to be heard. Each stands in it once at most, so it is as long as
/// there are streams.
#[derive(Default)]
pub(super) struct Ready {
    line: Mutex<VecDeque<Arc<Cell>>>,
    bell: Condvar,
}

impl Ready {
    pub(super) fn add(&self, cell: &Arc<Cell>) {
        if !cell.is_ready.swap(true, Ordering::SeqCst) {
            lock(&self.line).push_back(cell.clone());
            self.bell.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        let _line = lock(&self.line);
        self.bell.notify_all();
    }

    /// Waits for streams and takes up to [`BATCH`]; none when the ears stop.
    fn take(&self, shared: &Shared, taken: &mut Vec<Arc<Cell>>) {
        let line = lock(&self.line);
        let mut line = self
            .bell
            .wait_while(line, |line| line.is_empty() && !shared.closing.load(Ordering::SeqCst))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = line.len().min(BATCH);
        taken.extend(line.drain(..count));
    }
}

/// One window on its way through the model.
struct Heard {
    cell: Arc<Cell>,
    samples: [f32; WINDOW_SAMPLES],
    real: usize,
    rms: f32,
    voice: Voice,
    speech: f32,
    scored: bool,
    /// The model failed on it, so it is heard as silence.
    failed: bool,
}

/// Runs until the ears stop.
pub(super) fn run(shared: &Shared, mut silero: Silero) {
    let mut cells = Vec::with_capacity(BATCH);
    let mut heard = Vec::with_capacity(BATCH);
    while !shared.closing.load(Ordering::SeqCst) {
        shared.ready.take(shared, &mut cells);
        for cell in cells.drain(..) {
            // Cleared first: what is pushed from here on puts the stream in line again.
            cell.is_ready.store(false, Ordering::SeqCst);
            if let Some(window) = listen(&cell) {
                heard.push(window);
            }
        }
        score(&mut silero, &mut heard);
        for mut window in heard.drain(..) {
            let at = now();
            window.cell.let_voices_hear(&window.samples[..window.real]);
            let mut ear = window.cell.ear();
            window.voice.calm.heard(window.rms, window.scored.then_some(window.speech));
            ear.voice = window.voice;
            ear.hear(&window.samples[..window.real], window.speech, window.failed, at);
            window.cell.publish(&mut ear, at);
            drop(ear);
            shared.ready.add(&window.cell);
        }
    }
}

/// Takes the stream's next window, passing on the marks before it.
fn listen(cell: &Arc<Cell>) -> Option<Heard> {
    if cell.is_abandoned() {
        return None;
    }
    let mut ear = cell.ear();
    loop {
        if cell.is_stalled(&ear) {
            return None;
        }
        match cell.next() {
            Next::Window(samples, real) => {
                let rms = Score::of(&samples[..real], 0.0).rms;
                let skip = ear.listener.is_idle() && ear.voice.calm.may_skip(rms);
                let voice = mem::take(&mut ear.voice);
                drop(ear);
                return Some(Heard {
                    cell: cell.clone(),
                    samples,
                    real,
                    rms,
                    voice,
                    speech: 0.0,
                    scored: !skip,
                    failed: false,
                });
            }
            Next::Finalize => ear.finalize(now()),
            Next::End => {
                ear.end(now());
                cell.end_voices();
            }
            Next::Nothing => return None,
        }
        cell.publish(&mut ear, now());
    }
}

fn score(silero: &mut Silero, heard: &mut [Heard]) {
    let started = now();
    let mut windows: Vec<Window<'_>> = Vec::with_capacity(heard.len());
    for window in heard.iter_mut().filter(|window| window.scored) {
        windows.push(Window { state: &mut window.voice.state, samples: &window.samples, speech: 0.0 });
    }
    if windows.is_empty() {
        return;
    }
    let scored = silero.score(&mut windows);
    let speech: Vec<f32> = windows.iter().map(|window| window.speech).collect();
    for (window, speech) in heard.iter_mut().filter(|window| window.scored).zip(speech) {
        window.speech = speech;
        window.failed = scored.is_err();
    }
    if let Err(error) = scored {
        // Heard as silence; the next batch may work.
        tracing::error!(%error, "voice activity detection failed");
    }
    metrics::histogram!("harmony_stage_seconds", "stage" => "vad").record(started.elapsed());
}
