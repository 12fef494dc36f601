//! How long a tick of the engine works: 200 G.711 legs that echo, on one core.
//!
//! Budgets: 200 legs (decode, graph, encode) p99.9 ≤ 1 ms of work in a tick of 10 ms, and no overrun in a minute
//! of real time. Each leg is in a room of its own, as the bridge makes it: mu-law bytes in, gain, meter, mix-minus,
//! mu-law bytes out. The dearer rooms (48 kHz mixing with resampling both ways, ears, noise suppression) are shown
//! without a budget. Work is the processor time of the ticking thread; wall time, which on a busy machine holds
//! whoever else ran, stands beside it. `HARMONY_BENCH_MINUTE=1` adds the minute of real time.

use std::time::{Duration, Instant, SystemTime};

use benches::{Budgets, cpu, percentile, resident_mib};
use media::{
    bridge::{BridgeError, Leg, Plan, Switchboard},
    codec::g711::Law,
    engine::{TICK, report::Health},
    graph::{
        node::{Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::tap::TapReader,
    },
    id::RoomId,
    ring::{Reader, Writer, ring},
    time::Epoch,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

const LEGS: u64 = 200;

/// Bytes of a tick at 8 kHz.
const TICK_BYTES: usize = 80;

/// Ticks that are measured: half a minute of sound.
const TICKS: usize = 3_000;

/// Ticks before that, to warm caches up.
const WARM_UP_TICKS: usize = 200;

/// What an echoing leg is made of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// All at 8 kHz.
    Narrow,
    /// Mixed at 48 kHz, as in a room with a browser.
    Wide,
    /// Narrow, with ears at 16 kHz.
    Heard,
    /// Wide, with noise suppression.
    Denoised,
}

fn main() {
    let mut budgets = Budgets::default();
    if let Err(error) = run(&mut budgets) {
        budgets.note(&error.to_string());
        std::process::exit(1);
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

fn run(budgets: &mut Budgets) -> Result<(), Box<dyn std::error::Error>> {
    virtual_time(budgets, "200 G.711 legs echoing at 8 kHz", Kind::Narrow, LEGS)?;
    virtual_time(budgets, "200 G.711 legs echoing, ears at 16 kHz", Kind::Heard, LEGS)?;
    virtual_time(budgets, "200 G.711 legs echoing, mixed at 48 kHz", Kind::Wide, LEGS)?;
    virtual_time(budgets, "10 G.711 legs echoing, mixed at 48 kHz, noise suppressed", Kind::Denoised, 10)?;
    if std::env::var_os("HARMONY_BENCH_MINUTE").is_some() {
        real_time(budgets)?;
    }
    Ok(())
}

/// As fast as it goes: the work of a tick.
fn virtual_time(budgets: &mut Budgets, title: &str, kind: Kind, legs: u64) -> Result<(), Box<dyn std::error::Error>> {
    budgets.section(title);
    let before_mib = resident_mib();
    let runtime = runtime()?;
    let (switchboard, mut hand) = Switchboard::by_hand(now());
    let mut far_ends = Vec::new();
    for leg in 0..legs {
        far_ends.push(runtime.block_on(echo(&switchboard, leg, kind))?);
    }
    let (mut work_ms, mut wall_ms, mut used) = (Vec::new(), Vec::new(), Duration::ZERO);
    for tick in 0..WARM_UP_TICKS + TICKS {
        far_ends.iter_mut().enumerate().for_each(|(leg, far_end)| far_end.send(tick, leg));
        if tick == WARM_UP_TICKS {
            used = cpu();
        }
        let (began, worked) = (now(), thread_cpu());
        hand.tick_engine();
        if tick >= WARM_UP_TICKS {
            work_ms.push((thread_cpu() - worked).as_secs_f64() * 1e3);
            wall_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        hand.tick_control();
    }
    let used = cpu() - used;
    let echoed: u64 = far_ends.iter().map(|far_end| far_end.echoed).sum();
    if echoed < (TICKS as u64) * legs * 9 / 10 {
        return Err(format!("{echoed} of {} ticks were echoed", TICKS as u64 * legs).into());
    }
    for (what, ms) in [("work", &work_ms), ("wall", &wall_ms)] {
        budgets.figure(&format!("{what} of a tick, p50"), percentile(ms, 50), "ms");
        budgets.figure(&format!("{what} of a tick, p99"), percentile(ms, 99), "ms");
        let (title, tail) = (format!("{what} of a tick, p99.9"), per_mille(ms, 999));
        match (what, kind) {
            ("work", Kind::Narrow) => budgets.at_most(&title, tail, 1.0, "ms"),
            _ => budgets.figure(&title, tail, "ms"),
        }
        budgets.figure(&format!("{what} of a tick, max"), per_mille(ms, 1_000), "ms");
    }
    let sound = TICK.as_secs_f64() * TICKS as f64;
    budgets.figure(
        "processor time per leg, feeding it included",
        used.as_secs_f64() / sound / legs as f64 * 100.0,
        "%",
    );
    budgets.figure("memory per leg", (resident_mib() - before_mib) * 1_024.0 / legs as f64, "KiB");
    Ok(())
}

/// A minute on the engine's own thread.
fn real_time(budgets: &mut Budgets) -> Result<(), Box<dyn std::error::Error>> {
    budgets.section("200 G.711 legs echoing at 8 kHz, a minute of real time");
    let runtime = runtime()?;
    let _inside = runtime.enter();
    let switchboard = Switchboard::start(1)?;
    let mut far_ends = Vec::new();
    for leg in 0..LEGS {
        far_ends.push(runtime.block_on(echo(&switchboard, leg, Kind::Narrow))?);
    }
    let used = cpu();
    let began = now();
    let mut last = Health::default();
    let (mut work, mut late) = (Duration::ZERO, Duration::ZERO);
    let mut tick = 0;
    while began.elapsed() < Duration::from_secs(60) {
        let due = began + TICK * tick as u32;
        std::thread::park_timeout(due.saturating_duration_since(now()));
        if now() < due {
            continue;
        }
        far_ends.iter_mut().enumerate().for_each(|(leg, far_end)| far_end.send(tick, leg));
        tick += 1;
        last = switchboard.health().first().copied().unwrap_or_default();
        (work, late) = (work.max(last.work_max), late.max(last.lateness_max));
    }
    let used = cpu() - used;
    budgets.at_most("ticks that began after the next was due", last.overruns as f64, 0.0, "");
    budgets.figure("ticks", last.ticks as f64, "");
    budgets.figure("latest start of a tick", late.as_secs_f64() * 1e3, "ms");
    budgets.figure("longest work of a tick", work.as_secs_f64() * 1e3, "ms");
    budgets.figure("processor time per leg, feeding it included", used.as_secs_f64() / 60.0 / LEGS as f64 * 100.0, "%");
    Ok(())
}

/// A leg that hears itself, in a room of its own.
async fn echo(switchboard: &Switchboard, leg: u64, kind: Kind) -> Result<FarEnd, BridgeError> {
    let (bytes, decoded) = ring(64);
    let (encoded, echo) = ring(64);
    let room_hz = if matches!(kind, Kind::Wide | Kind::Denoised) { 48_000 } else { 8_000 };
    let epoch = Epoch { instant: now(), wall: SystemTime::UNIX_EPOCH };
    let plan = Plan {
        source: Some(Box::new(Decode(decoded))),
        sink: Some(Box::new(Encode(encoded))),
        ears: kind == Kind::Heard,
        suppress_noise: kind == Kind::Denoised,
        hears_itself: true,
        ..Plan::default()
    };
    let mut leg = switchboard.bridge(RoomId(leg), epoch, room_hz).join(plan).await?;
    let ears = leg.take_ears();
    Ok(FarEnd { _leg: leg, bytes, echo, ears, echoed: 0 })
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).enable_time().build()
}

/// The caller: says something, and counts what comes back.
struct FarEnd {
    _leg: Leg,
    bytes: Writer<[u8; TICK_BYTES]>,
    echo: Reader<[u8; TICK_BYTES]>,
    ears: Option<TapReader>,
    echoed: u64,
}

impl FarEnd {
    /// Sends a tick of a tone and takes what has come back.
    fn send(&mut self, tick: usize, leg: usize) {
        let sound = std::array::from_fn(|n| {
            let phase = ((tick * TICK_BYTES + n) * (leg + 20)) % 800;
            Law::Mu.encode((phase as f32 / 800.0 - 0.5) * 0.6)
        });
        // A full ring: the leg is late, and this tick is lost to it as it would be to a socket.
        let _ = self.bytes.push(sound);
        while let Some(bytes) = self.echo.pop() {
            self.echoed += u64::from(bytes.iter().any(|byte| *byte != bytes[0]));
        }
        if let Some(ears) = &mut self.ears {
            while ears.hear().is_some() {}
        }
    }
}

/// Mu-law from a ring.
struct Decode(Reader<[u8; TICK_BYTES]>);

impl Node for Decode {
    fn ports(&self) -> Ports {
        Ports::source(mono(8_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let Some(bytes) = self.0.pop() else { return Status::Silent };
        for (out, byte) in outputs.samples(0).iter_mut().zip(bytes) {
            *out = Law::Mu.decode(byte);
        }
        Status::Sounding
    }
}

/// Mu-law into a ring.
struct Encode(Writer<[u8; TICK_BYTES]>);

impl Node for Encode {
    fn ports(&self) -> Ports {
        Ports::sink(mono(8_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let mut bytes = [0xff; TICK_BYTES];
        for (byte, sample) in bytes.iter_mut().zip(inputs.samples(0)) {
            *byte = Law::Mu.encode(*sample);
        }
        // The far end is slow: what it does not take is lost, as on a wire.
        let _ = self.0.push(bytes);
        Status::Silent
    }
}

/// The value below which `per_mille` of a thousand lie.
fn per_mille(values: &[f64], per_mille: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * per_mille / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0.0)
}

/// Processor time that this thread has used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
