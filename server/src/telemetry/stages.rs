//! How long each stage took in the last minutes, as quantiles.
//!
//! Prometheus is given counts since the start; a person at the console asks about now. [`Watched`] stands in
//! front of the Prometheus recorder as the recorder of the process: it hands everything on, and what goes
//! into `harmony_stage_seconds` it also counts here, whichever crate records it. Counts lie in slots of half
//! a minute; the slots turn when [`Stages::turn`] is told to, and the oldest is forgotten. Recording takes
//! one short lock a stage; the engine's threads record nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde::Serialize;

/// The histogram whose label `stage` names the stages.
pub const STAGE_SECONDS: &str = "harmony_stage_seconds";

/// What the last minutes say of one stage. Milliseconds, each right to about four parts in a hundred.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its name, as in the metric.
    pub stage: String,
    /// How often it was measured.
    pub count: u64,
    /// Half of the times are at most this.
    pub p50_ms: f64,
    /// Nineteen of twenty are.
    pub p95_ms: f64,
    /// All but one of a hundred are.
    pub p99_ms: f64,
}

/// Every stage that was ever measured. Cheap to clone.
#[derive(Clone, Default)]
pub struct Stages {
    by_name: Arc<RwLock<BTreeMap<String, Arc<Both>>>>,
}

impl Stages {
    /// What the last minutes say, in the order in which sound passes the stages; those that were measured.
    pub fn lately(&self) -> Vec<Stage> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut stages: Vec<Stage> = by_name.iter().filter_map(|(name, both)| both.window().stage(name)).collect();
        stages.sort_by_key(|stage| IN_ORDER.iter().position(|name| *name == stage.stage).unwrap_or(IN_ORDER.len()));
        stages
    }

    /// Begins the next slot and forgets the oldest. To be called every [`SLOT_S`] seconds.
    pub fn turn(&self) {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        for both in by_name.values() {
            both.window().turn();
        }
    }

    fn histogram(&self, key: &Key, theirs: impl FnOnce() -> Histogram) -> Histogram {
        let Some(name) = key.labels().find(|label| label.key() == "stage").map(metrics::Label::value) else {
            return theirs();
        };
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(both) = by_name.get(name) {
            return Histogram::from_arc(Arc::clone(both));
        }
        let is_full = by_name.len() >= STAGES_MAX;
        drop(by_name);
        if is_full {
            return theirs();
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let both = by_name
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Both { theirs: theirs(), ours: Mutex::new(Window::default()) }));
        Histogram::from_arc(Arc::clone(both))
    }
}

/// Seconds that one slot covers.
pub const SLOT_S: u32 = 30;

/// Seconds that are remembered when every slot is in use.
pub const WINDOW_S: u32 = SLOT_S * SLOTS as u32;

/// The recorder of the process: all of `R`, and the stages besides.
pub struct Watched<R> {
    inner: R,
    stages: Stages,
}

impl<R> Watched<R> {
    /// Watches what is recorded into `inner`.
    pub fn new(inner: R, stages: Stages) -> Self {
        Self { inner, stages }
    }
}

impl<R: Recorder> Recorder for Watched<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let theirs = || self.inner.register_histogram(key, metadata);
        if key.name() == STAGE_SECONDS { self.stages.histogram(key, theirs) } else { theirs() }
    }
}

/// One stage: Prometheus's histogram and our own window.
struct Both {
    theirs: Histogram,
    ours: Mutex<Window>,
}

impl Both {
    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        // Counts are whole at every step, so a panic elsewhere leaves them usable.
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistogramFn for Both {
    fn record(&self, seconds: f64) {
        self.theirs.record(seconds);
        self.window().note(seconds);
    }
}

/// Counts of the last slots, by how long it took.
#[derive(Default)]
struct Window {
    slots: [Counts; SLOTS],
    current: usize,
}

struct Counts([u32; BUCKETS]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Window {
    fn note(&mut self, seconds: f64) {
        let count = &mut self.slots[self.current].0[bucket_of(seconds)];
        *count = count.saturating_add(1);
    }

    fn turn(&mut self) {
        self.current = (self.current + 1) % SLOTS;
        self.slots[self.current] = Counts::default();
    }

    fn stage(&self, name: &str) -> Option<Stage> {
        let mut counts = [0_u64; BUCKETS];
        for slot in &self.slots {
            for (sum, count) in counts.iter_mut().zip(slot.0) {
                *sum += u64::from(count);
            }
        }
        let count = counts.iter().sum::<u64>();
        let quantile = |per_hundred: u64| quantile_ms(&counts, count, per_hundred);
        (count > 0).then(|| Stage {
            stage: name.to_owned(),
            count,
            p50_ms: quantile(50),
            p95_ms: quantile(95),
            p99_ms: quantile(99),
        })
    }
}

/// The smallest time that `per_hundred` of a hundred measurements do not exceed (nearest rank).
fn quantile_ms(counts: &[u64; BUCKETS], count: u64, per_hundred: u64) -> f64 {
    let rank = (count * per_hundred).div_ceil(100).max(1);
    let mut seen = 0;
    let reached = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    let middle_s = FINEST_S * 2_f64.powf((reached.unwrap_or(BUCKETS - 1) as f64 + 0.5) / STEPS_PER_OCTAVE);
    // A hundredth of a millisecond is more than the width of a bucket says, and keeps the JSON short.
    (middle_s * 100_000.0).round() / 100.0
}

fn bucket_of(seconds: f64) -> usize {
    // A float becomes an integer by saturation: what is below the finest (or no number) falls into the first.
    let step = ((seconds / FINEST_S).log2() * STEPS_PER_OCTAVE).floor();
    (step as usize).min(BUCKETS - 1)
}

/// Ten slots of half a minute: the last five minutes, of which the newest half minute is still filling.
const SLOTS: usize = 10;

/// The lower end of the first bucket: ten microseconds.
const FINEST_S: f64 = 1e-5;

/// Eight buckets double the time, so a bucket's middle is within 4.5 % of all that fell into it.
const STEPS_PER_OCTAVE: f64 = 8.0;

/// Twenty-four octaves: ten microseconds to 168 seconds. A stage costs 7.7 kB.
const BUCKETS: usize = 24 * 8;

/// Stages are named in the source; this bound is for a label that somebody fills from elsewhere by mistake.
const STAGES_MAX: usize = 64;

/// The way of sound through the server; totals last. A stage that is not named follows behind, by name.
const IN_ORDER: [&str; 10] = [
    "packet_to_frame",
    "vad",
    "asr_partial",
    "asr_final",
    "voices",
    "turn",
    "llm_first_token",
    "tts_first_audio",
    "ear_to_text",
    "ear_to_ear",
];

#[cfg(test)]
mod tests {
    use metrics::NoopRecorder;
    use proptest::prelude::*;

    use super::*;

    fn recorded(stage: &'static str, values_s: &[f64]) -> (Watched<NoopRecorder>, Stages) {
        let stages = Stages::default();
        let recorder = Watched::new(NoopRecorder, stages.clone());
        record(&recorder, stage, values_s);
        (recorder, stages)
    }

    fn record(recorder: &Watched<NoopRecorder>, stage: &'static str, values_s: &[f64]) {
        metrics::with_local_recorder(recorder, || {
            for value_s in values_s {
                metrics::histogram!(STAGE_SECONDS, "stage" => stage).record(*value_s);
            }
        });
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let values_s: Vec<f64> = (1..=1000).map(|ms| f64::from(ms) / 1000.0).collect();
        let (_, stages) = recorded("vad", &values_s);
        let [stage] = &stages.lately()[..] else { panic!("one stage was recorded") };
        assert_eq!((stage.stage.as_str(), stage.count), ("vad", 1000));
        for (shown, expected) in [(stage.p50_ms, 500.0), (stage.p95_ms, 950.0), (stage.p99_ms, 990.0)] {
            assert!((shown / expected - 1.0_f64).abs() < 0.05, "{shown} for {expected}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let (recorder, stages) = recorded("asr_final", &[5.0]);
        for _ in 1..SLOTS {
            stages.turn();
        }
        record(&recorder, "asr_final", &[0.1]);
        assert_eq!(stages.lately()[0].count, 2);
        stages.turn();
        let stage = &stages.lately()[0];
        assert_eq!(stage.count, 1);
        assert!(stage.p99_ms < 110.0, "{stage:?}");
        (0..SLOTS).for_each(|_| stages.turn());
        assert!(stages.lately().is_empty(), "a stage that rests is not shown");
    }

    #[test]
    fn stages_come_in_the_order_of_the_sound_and_other_metrics_pass_by() {
        let (recorder, stages) = recorded("ear_to_text", &[0.4]);
        record(&recorder, "vad", &[0.001]);
        record(&recorder, "a_new_one", &[0.001]);
        metrics::with_local_recorder(&recorder, || metrics::histogram!("other").record(1.0));
        let names: Vec<String> = stages.lately().into_iter().map(|stage| stage.stage).collect();
        assert_eq!(names, ["vad", "ear_to_text", "a_new_one"]);
    }

    #[test]
    fn numbers_that_are_no_times_break_nothing() {
        let (_, stages) = recorded("vad", &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300]);
        assert_eq!(stages.lately()[0].count, 6);
    }

    proptest! {
        #[test]
        fn a_single_time_comes_back_within_a_twentieth(seconds in 2e-5_f64..150.0) {
            let (_, stages) = recorded("turn", &[seconds]);
            let shown_s = stages.lately()[0].p50_ms / 1000.0;
            // Below a millisecond the hundredths to which it is rounded count as well.
            prop_assert!((shown_s - seconds).abs() <= seconds * 0.05 + 5.1e-6, "{shown_s} for {seconds}");
        }

        #[test]
        fn quantiles_never_cross(values_s in proptest::collection::vec(1e-6_f64..200.0, 1..200)) {
            let (_, stages) = recorded("turn", &values_s);
            let stage = &stages.lately()[0];
            prop_assert!(stage.p50_ms <= stage.p95_ms && stage.p95_ms <= stage.p99_ms);
        }
    }
}
