//! `harmony bench`: how many calls this machine carries, and how well.
//!
//! The server's side runs here: echoing legs on the real engine, real sockets on loopback. The callers are a child
//! process, the same binary, so that the processor time of this process is the server's alone. The two speak lines:
//! addresses go in, stages and figures come out. Nothing is configured and nothing is kept.

pub mod echo;
pub mod generate;
pub mod report;

use std::{io, num::NonZero, process::Stdio, time::Duration};

use media::{
    bridge::{BridgeError, Switchboard},
    engine::report::Health,
    net::{Net, NetError},
    rtp::leg::BadLeg,
};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    time::{MissedTickBehavior, interval},
};

use self::{
    echo::{Echoes, PORTS},
    generate::{Figures, Stage},
    report::{Engine, Legs, Report},
};
use crate::clock::Clock;

/// The command of this binary that makes the calls; people have no use for it.
pub const CALLERS: &str = "bench-callers";

/// Calls settle before anything counts: latching, jitter buffers, caches.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Calls at once.
    pub calls: NonZero<usize>,
    /// For how long.
    pub seconds: NonZero<u32>,
    /// Shards of the engine.
    pub shards: NonZero<usize>,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The system refused threads, sockets or the child.
    #[error("this machine does not let the bench run: {0}")]
    Io(#[from] io::Error),
    /// No sockets for so many calls.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The engine takes no more.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The legs cannot be made: our mistake.
    #[error(transparent)]
    Leg(#[from] BadLeg),
    /// The callers' process ended without figures; it has said why.
    #[error("the callers ended before they had measured anything")]
    Callers,
}

/// Runs a bench.
///
/// # Errors
/// When the machine refuses what it needs.
pub async fn run(options: Options, clock: Clock) -> Result<Report, BenchError> {
    let switchboard = Switchboard::start(options.shards.get())?;
    let net = Net::start(PORTS)?;
    let baseline_kib = resident_kib();
    let mut echoes = Echoes::open(options.calls.get(), &switchboard, &net, clock.epoch()).await?;

    let mut callers = Callers::start(&echoes, options.seconds).await?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    let mut rss_kib = None;
    let figures = loop {
        tokio::select! {
            _ = second.tick() => {
                echoes.listen();
                watch.look(&switchboard.health());
            }
            // Cancelled while it waits for a line, it keeps what it has of it.
            said = callers.next() => match said? {
                Said::Stage(Stage::Measuring) => watch.begin(&switchboard.health(), clock),
                Said::Stage(Stage::Measured) => {
                    watch.end(&switchboard.health(), clock);
                    rss_kib = resident_kib();
                }
                Said::Figures(figures) => break figures,
            },
        }
    };
    echoes.listen();
    let heard = echoes.heard();
    let calls = options.calls.get() as f64;
    let report = Report {
        calls: options.calls.get(),
        seconds: f64::from(options.seconds.get()),
        shards: options.shards.get(),
        cpu_percent_per_call: watch.cpu.as_secs_f64() / watch.wall.as_secs_f64().max(1e-9) / calls * 100.0,
        rss_kib_per_call: rss_kib.zip(baseline_kib).map(|(now, before)| (now - before) / calls),
        callers: *figures,
        legs: Legs {
            lost: heard.lost,
            late: heard.late,
            dropped: heard.dropped,
            mos_min: f64::from(if heard.legs > 0 { heard.mos_min } else { 0.0 }),
        },
        engine: watch.engine,
        load_average: load_average(),
        cores: std::thread::available_parallelism().map_or(1, NonZero::get),
        budgets: Vec::new(),
    };
    Ok(report.judged())
}

/// The child that makes the calls. It ends with this value.
struct Callers {
    child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

/// A line of the callers.
enum Said {
    Stage(Stage),
    Figures(Box<Figures>),
}

impl Callers {
    async fn start(echoes: &Echoes, seconds: NonZero<u32>) -> Result<Self, BenchError> {
        let mut child = tokio::process::Command::new(std::env::current_exe()?)
            .args([CALLERS, "--seconds", &seconds.to_string()])
            .args(["--warm-up-ms", &WARM_UP.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let addresses: String = echoes.addresses().map(|address| format!("{address}\n")).collect();
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // It reads all of them before it says anything, so neither waits for the other.
        stdin.write_all(addresses.as_bytes()).await?;
        drop(stdin);
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Ok(Self { child, lines })
    }

    async fn next(&mut self) -> Result<Said, BenchError> {
        let Some(line) = self.lines.next_line().await? else {
            self.child.wait().await?;
            return Err(BenchError::Callers);
        };
        let stage = serde_json::from_str(&line).map(Said::Stage);
        let figures = || serde_json::from_str(&line).map(Box::new).map(Said::Figures);
        stage.or_else(|_| figures()).map_err(|_| BenchError::Callers)
    }
}

/// What this process and its engine did between two moments.
#[derive(Default)]
struct Watch {
    cpu: Duration,
    wall: Duration,
    engine: Engine,
    began: Option<(std::time::Instant, Duration, Vec<Health>)>,
}

impl Watch {
    fn begin(&mut self, health: &[Health], clock: Clock) {
        self.began = Some((clock.now(), processor_time(), health.to_vec()));
    }

    /// Remembers the worst of the last second.
    fn look(&mut self, health: &[Health]) {
        if self.began.is_none() || self.wall > Duration::ZERO {
            return;
        }
        for shard in health {
            self.engine.late_ms_max = self.engine.late_ms_max.max(shard.lateness_max.as_secs_f64() * 1e3);
            self.engine.work_ms_max = self.engine.work_ms_max.max(shard.work_max.as_secs_f64() * 1e3);
        }
    }

    fn end(&mut self, health: &[Health], clock: Clock) {
        self.look(health);
        let Some((began, cpu, before)) = &self.began else { return };
        self.wall = clock.now() - *began;
        self.cpu = processor_time() - *cpu;
        for (after, before) in health.iter().zip(before) {
            self.engine.ticks += after.ticks - before.ticks;
            self.engine.overruns += after.overruns - before.overruns;
            self.engine.skipped_ticks += after.skipped_ticks - before.skipped_ticks;
        }
    }
}

/// Processor time that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Resident memory of this process; absent where the system does not tell.
fn resident_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processes that wanted a core in the last minute.
fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
