//! How many live streams this machine carries, from a few seconds of the real thing.
//!
//! Each decoder thread plays a clip of unbroken speech (`speech.ogg`, seventeen seconds of a synthetic English
//! voice) through the very policy that a live stream has ([`Listener`]), in the clip's own time, and measures
//! what its decodes cost; all threads run at once, so that they get in each other's way as they do in service.
//! Voice activity is scored beforehand and costs every stream its share. Blocking.

use std::{
    io::Cursor,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use asr::{
    listener::Listener,
    pool::StreamConfig,
    recognizer::{Error, Hints, Hypothesis, Recognizer},
    vad::silero::{self, Silero, WINDOW_SAMPLES},
};
use media::{
    decode::file::Decoder,
    ears::{Ears, Listen},
    frame::EAR_HZ,
};

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// Share of one core that a stream takes while somebody speaks on it without a pause.
    pub(super) cores_per_stream: f64,
    /// Streams like that which the decoder threads carry at once.
    pub(super) streams: u32,
    /// Seconds of speech recognized for the measurement, over all threads.
    pub(super) measured_s: f64,
    /// Words that were heard in the clip; none means that the recognizer does not work.
    pub(super) words: usize,
}

/// Measures for about `budget` on `workers` decoder threads.
///
/// # Errors
/// When the recognizer or the voice-activity model fails.
pub(super) fn measure(
    recognizer: &dyn Recognizer,
    silero: &mut Silero,
    workers: usize,
    budget: Duration,
) -> Result<Speed, Error> {
    let clip = clip();
    let (scores, vad) = score(silero, &clip)?;
    let began = now();
    let runs: Vec<_> = thread::scope(|scope| {
        let (clip, scores) = (&clip, &scores);
        let started: Vec<_> =
            (0..workers.max(1)).map(|_| scope.spawn(move || play(recognizer, clip, scores, began, budget))).collect();
        started
            .into_iter()
            .map(|run| run.join().unwrap_or_else(|_| Err(Error::Engine("a decoder panicked".into()))))
            .collect()
    });
    let runs = runs.into_iter().collect::<Result<Vec<_>, Error>>()?;
    let vad_share = vad.as_secs_f64() / seconds(clip.len());
    let measured_s: f64 = runs.iter().map(|run| run.played_s).sum();
    let decoding_s: f64 = runs.iter().map(|run| run.decoding.as_secs_f64()).sum();
    let cores_per_stream = decoding_s / measured_s + vad_share;
    Ok(Speed {
        cores_per_stream,
        streams: (runs.len() as f64 / cores_per_stream) as u32,
        measured_s,
        words: runs.iter().map(|run| run.words).max().unwrap_or_default(),
    })
}

struct Run {
    played_s: f64,
    decoding: Duration,
    words: usize,
}

/// A decode under way in the clip's time: its answer is known here and handed over when it would be.
struct UnderWay {
    job: u64,
    answer: Result<Hypothesis, Error>,
    cost: Duration,
    done_at: Instant,
}

/// Plays the clip again and again until the budget is used, but once in any case.
fn play(
    recognizer: &dyn Recognizer,
    clip: &[f32],
    scores: &[f32],
    began: Instant,
    budget: Duration,
) -> Result<Run, Error> {
    let mut decoder = recognizer.decoder()?;
    let hints = Hints { language: Some("en".into()), ..Hints::default() };
    let never = AtomicBool::new(false);
    // The first decode pays for memory that later ones find.
    decoder.decode(&clip[..clip.len().min(EAR_HZ as usize)], &hints, &never)?;
    let mut run = Run { played_s: 0.0, decoding: Duration::ZERO, words: 0 };
    while run.played_s == 0.0 || now() - began < budget {
        let mut listener = Listener::new(StreamConfig::default(), recognizer.info().window_max_s);
        let mut words = 0;
        let mut under_way: Option<UnderWay> = None;
        let mut at = began;
        for (window, &speech) in clip.chunks_exact(WINDOW_SAMPLES).zip(scores) {
            at += WINDOW;
            listener.hear(window, speech, at);
            if let Some(done) = under_way.take_if(|job| job.done_at <= at) {
                listener.decoded(done.job, done.answer, done.cost);
            }
            if under_way.is_none() && listener.due(at).is_some() {
                under_way = decode(&mut listener, decoder.as_mut(), &hints, at);
                run.decoding += under_way.as_ref().map_or(Duration::ZERO, |job| job.cost);
            }
            words += final_words(&mut listener);
        }
        listener.end(at);
        loop {
            if let Some(done) = under_way.take() {
                at = at.max(done.done_at);
                listener.decoded(done.job, done.answer, done.cost);
            }
            words += final_words(&mut listener);
            under_way = decode(&mut listener, decoder.as_mut(), &hints, at);
            let Some(job) = &under_way else { break };
            run.decoding += job.cost;
        }
        run.words = run.words.max(words);
        run.played_s += seconds(clip.len());
    }
    Ok(run)
}

fn decode(
    listener: &mut Listener,
    decoder: &mut dyn asr::recognizer::Decoder,
    hints: &Hints,
    at: Instant,
) -> Option<UnderWay> {
    let job = listener.take_job(at)?;
    let before = now();
    let answer = decoder.decode(&job.audio, hints, &job.abort);
    let cost = now() - before;
    Some(UnderWay { job: job.id, answer, cost, done_at: at + cost })
}

fn final_words(listener: &mut Listener) -> usize {
    let mut count = 0;
    while let Some(event) = listener.poll() {
        if let asr::event::Event::Final { words, .. } = event {
            count += words.len();
        }
    }
    count
}

/// The probability of speech in each window, and what scoring one stream alone took.
fn score(silero: &mut Silero, clip: &[f32]) -> Result<(Vec<f32>, Duration), Error> {
    let mut state = silero::State::default();
    let mut scores = Vec::with_capacity(clip.len() / WINDOW_SAMPLES);
    let before = now();
    for samples in clip.as_chunks().0 {
        let mut window = [silero::Window { state: &mut state, samples, speech: 0.0 }];
        silero.score(&mut window)?;
        scores.push(window[0].speech);
    }
    Ok((scores, now() - before))
}

/// The clip at 16 kHz, mono.
fn clip() -> Vec<f32> {
    let bytes: &'static [u8] = include_bytes!("speech.ogg");
    let mut decoder = Decoder::open(Cursor::new(bytes)).expect("the clip is part of this binary and read by a test");
    let mut ears = None;
    let mut heard = vec![Vec::new()];
    while let Ok(Some(block)) = decoder.next_block() {
        let ears =
            ears.get_or_insert_with(|| Ears::new(block.format(), Listen::Mixed).expect("the clip's rate is ordinary"));
        ears.hear(&block.channels, &mut heard);
    }
    heard.swap_remove(0)
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(EAR_HZ)
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// What one window lasts.
const WINDOW: Duration = Duration::from_micros(WINDOW_SAMPLES as u64 * 1_000_000 / EAR_HZ as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_speech_of_about_seventeen_seconds() {
        let clip = clip();
        assert!((16.0..18.0).contains(&seconds(clip.len())), "{} s", seconds(clip.len()));
        let loudest = clip.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.1..=1.0).contains(&loudest), "{loudest}");
    }
}
