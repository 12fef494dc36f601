//! What the server says about itself: the log, and the metrics that Prometheus reads.
//!
//! Counters and histograms are recorded where things happen; what others count for themselves (the ears, the
//! places, the rooms) is looked at when somebody asks. One recorder serves the process. No words of a caller,
//! no key and no address of a client is ever a label.

pub mod stages;

use std::{
    io::IsTerminal as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::stages::{STAGE_SECONDS, Stage, Stages, Watched};
use crate::{
    app::App,
    config::{Log, LogFormat},
};

/// The process's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    prometheus: PrometheusHandle,
    stages: Stages,
    tidied: Arc<AtomicU32>,
}

impl Metrics {
    /// The recorder of this process, installed on the first call.
    pub fn installed() -> Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED.get_or_init(install).clone()
    }

    /// The text that Prometheus reads, with what `app` counts right now.
    pub fn render(&self, app: &App) -> String {
        observe(app);
        self.prometheus.render()
    }

    /// How long each stage took in the last minutes.
    pub fn stages(&self) -> Vec<Stage> {
        self.stages.lately()
    }

    /// Folds recorded samples into their histograms, so that they do not pile up when nobody asks, and forgets
    /// what the stages took before the last minutes. To be called [`TIDY_EVERY`].
    pub fn tidy(&self) {
        self.prometheus.run_upkeep();
        let tidied = self.tidied.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if tidied.is_multiple_of(TIDIED_A_SLOT) {
            self.stages.turn();
        }
    }
}

/// How often [`Metrics::tidy`] is called. A busy server records some hundred samples a second; five seconds of
/// them are a few kB.
pub const TIDY_EVERY: Duration = Duration::from_secs(5);

const TIDIED_A_SLOT: u32 = stages::SLOT_S / TIDY_EVERY.as_secs() as u32;

/// Records how long a stage took.
pub fn stage(stage: &'static str, took: Duration) {
    metrics::histogram!(STAGE_SECONDS, "stage" => stage).record(took.as_secs_f64());
}

/// Records how long somebody else's server took, by its name in the configuration.
pub fn upstream(provider: &str, took: Duration) {
    metrics::histogram!(UPSTREAM_SECONDS, "provider" => provider.to_owned()).record(took.as_secs_f64());
}

/// How long other servers take that this one asks.
const UPSTREAM_SECONDS: &str = "harmony_upstream_seconds";

/// Sets up the log as configured. What it cannot set up again (in a test, say) stays as it was.
pub fn log_to_stderr(log: &Log) {
    let targets: Targets = log.level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    // ONNX Runtime tells every session it opens at the level at which we tell of calls.
    let targets = if log.level.contains("ort=") { targets } else { targets.with_target("ort", tracing::Level::WARN) };
    // The WebRTC stack warns of every datagram of a stranger that it refuses, which strangers would like.
    let targets = if log.level.contains("rtc") { targets } else { targets.with_target("rtc", tracing::Level::ERROR) };
    // The MCP client tells what servers send, and callers' words are in it; what matters of that is told by us.
    let targets = if log.level.contains("rmcp") {
        targets
    } else {
        targets.with_target("rmcp", tracing::level_filters::LevelFilter::OFF)
    };
    let registry = tracing_subscriber::registry().with(targets);
    let is_terminal = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal);
    // An error here means that a log was set up before, which then goes on.
    let _ = match log.format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
}

fn install() -> Metrics {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(STAGE_SECONDS.to_owned()), &STAGE_BUCKETS_S)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(UPSTREAM_SECONDS.to_owned()), &STAGE_BUCKETS_S)
        })
        .expect("the list of buckets is not empty");
    let recorder = builder.build_recorder();
    let prometheus = recorder.handle();
    let stages = Stages::default();
    if metrics::set_global_recorder(Watched::new(recorder, stages.clone())).is_err() {
        tracing::warn!("another recorder of metrics is installed already; ours stays empty");
    }
    metrics::describe_histogram!(STAGE_SECONDS, metrics::Unit::Seconds, "How long a stage takes, by stage");
    metrics::describe_histogram!(UPSTREAM_SECONDS, metrics::Unit::Seconds, "How long other servers take, by provider");
    metrics::describe_counter!("harmony_drops_total", "What was dropped under load, by crossing");
    metrics::describe_gauge!("harmony_streams", "Streams of audio, by state");
    metrics::describe_gauge!("harmony_streams_max", "Streams that may be open at once");
    metrics::describe_gauge!("harmony_calls", "Participants with sound, by whether somebody listens to their words");
    metrics::describe_counter!("harmony_engine_tick_overrun_total", "Ticks that began after the next one was due");
    metrics::describe_counter!(
        "harmony_engine_ticks_skipped_total",
        "Ticks that were never done: the machine stood still"
    );
    metrics::describe_gauge!(
        "harmony_engine_tick_work_seconds",
        metrics::Unit::Seconds,
        "The longest work of a tick in the last second"
    );
    metrics::describe_gauge!("harmony_webrtc_peers", "Callers over WebRTC that hold a place");
    metrics::describe_gauge!(
        "harmony_recordings",
        "Recordings, by state: those that grow now, and those that ended since the start"
    );
    metrics::describe_counter!(
        "harmony_recording_lost_ms_total",
        "Sound that was recorded as silence because it came too late"
    );
    metrics::describe_gauge!("harmony_rooms", "Rooms that are open");
    metrics::describe_gauge!("harmony_connections", "Connections that are open");
    Metrics { prometheus, stages, tidied: Arc::default() }
}

fn observe(app: &App) {
    let admission = app.admission();
    metrics::gauge!("harmony_streams", "state" => "open").set(admission.streams_taken() as f64);
    metrics::gauge!("harmony_streams_max").set(admission.streams_max() as f64);
    metrics::gauge!("harmony_connections").set(admission.connections_taken() as f64);
    metrics::gauge!("harmony_rooms").set(app.rooms().list().len() as f64);
    app.sounds().observe();
    if let Ok(recordings) = app.recordings() {
        recordings.observe();
    }
    metrics::gauge!("harmony_webrtc_peers").set(app.webrtc().taken() as f64);
    if let Ok(ears) = app.ears() {
        let stats = ears.stats();
        metrics::gauge!("harmony_streams", "state" => "waiting").set(stats.waiting as f64);
        metrics::counter!("harmony_drops_total", "crossing" => "partials").absolute(stats.partials_dropped);
        metrics::counter!("harmony_drops_total", "crossing" => "utterances").absolute(stats.lost);
    }
}

/// From a tenth of a 20 ms frame to the slowest decode that anybody waits for.
const STAGE_BUCKETS_S: [f64; 14] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0, 5.0, 10.0];
