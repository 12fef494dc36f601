//! How late words came, judged by the sound itself: no recognizer is asked when speech began or ended.
//!
//! Only for clean recordings, where a voice stands well above the room.

use std::{collections::BTreeMap, time::Duration};

use asr::event::{Cut, Event, UtteranceId};

/// Latencies of one stream, in seconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From the first sound of an utterance to its first partial.
    pub first_partial: Vec<f64>,
    /// From the last sound before a pause to the final.
    pub after_pause: Vec<f64>,
    /// From the end of the audio that a partial speaks of to the partial.
    pub lag: Vec<f64>,
}

impl Latencies {
    /// Adds another stream's.
    pub fn extend(&mut self, other: Self) {
        self.first_partial.extend(other.first_partial);
        self.after_pause.extend(other.after_pause);
        self.lag.extend(other.lag);
    }
}

/// Measures the events of a stream against its audio (16 kHz mono); each event carries when it came out,
/// counted from when the first sample went in.
pub fn measure(audio: &[f32], events: &[(Duration, Event)]) -> Latencies {
    let loud = loud_frames(audio);
    let mut latencies = Latencies::default();
    let mut began: BTreeMap<UtteranceId, f64> = BTreeMap::new();
    for (index, (at, event)) in events.iter().enumerate() {
        let at_s = at.as_secs_f64();
        match event {
            Event::SpeechStarted { utterance, at } => {
                began.insert(*utterance, onset_s(&loud, at.as_secs_f64()));
            }
            Event::Partial { utterance, span, .. } => {
                latencies.lag.push(at_s - span.end.as_secs_f64());
                if let Some(onset_s) = began.remove(utterance) {
                    latencies.first_partial.push(at_s - onset_s);
                }
            }
            Event::Final { cut: Cut::Pause, words, .. } if !words.is_empty() => {
                if let Some((_, Event::SpeechEnded { at: ended, .. })) = events.get(index + 1) {
                    latencies.after_pause.push(at_s - end_s(&loud, ended.as_secs_f64()));
                }
            }
            _ => {}
        }
    }
    latencies
}

/// Frames of 10 ms that hold sound: above 6 % of the level of loud speech in the recording.
fn loud_frames(audio: &[f32]) -> Vec<bool> {
    let level = |frame: &[f32]| (frame.iter().map(|s| s * s).sum::<f32>() / frame.len() as f32).sqrt();
    let levels: Vec<f32> = audio.chunks(FRAME_SAMPLES).map(level).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let threshold = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(1.0) * 0.06;
    levels.iter().map(|&level| level > threshold).collect()
}

/// The beginning of the sound around `near_s`: back over it while there was any within 50 ms, else ahead.
fn onset_s(loud: &[bool], near_s: f64) -> f64 {
    let near = ((near_s * FRAMES_PER_S) as usize).min(loud.len().saturating_sub(1));
    let mut onset = near;
    while onset > near.saturating_sub(30) && loud[onset.saturating_sub(5)..onset].contains(&true) {
        onset -= 1;
    }
    while onset + 1 < loud.len() && !loud[onset] {
        onset += 1;
    }
    onset as f64 / FRAMES_PER_S
}

/// The end of the last sound before `near_s`, or up to 200 ms after it: a score falls before the voice does.
fn end_s(loud: &[bool], near_s: f64) -> f64 {
    let mut frame = ((near_s * FRAMES_PER_S) as usize + 20).min(loud.len().saturating_sub(1));
    while frame > 0 && !loud[frame] {
        frame -= 1;
    }
    (frame + 1) as f64 / FRAMES_PER_S
}

const FRAME_SAMPLES: usize = 160;
const FRAMES_PER_S: f64 = 100.0;
