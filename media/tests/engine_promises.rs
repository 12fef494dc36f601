//! What the engine promises to a room, on virtual time: it moves, it mutes what panics, it is silent when told,
//! it is the same each time, and it frees nothing itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    any::Any,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use media::{
    engine::{
        COMMANDS_PER_TICK, Shard, ShardEnds, TICK,
        command::Command,
        report::{Refusal, Report},
        shard,
    },
    frame::Format,
    graph::{
        build::{Graph, NodeId},
        node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::{
            comfort::Comfort,
            gain::Gain,
            level::Level,
            mixer::Mixer,
            playout::{Mouth, playout},
            resample::Resample,
            tap::{Heard, tap},
        },
    },
    id::RoomId,
    time::MediaTime,
};

const ROOM: RoomId = RoomId(7);
const FORMAT: Format = mono(8_000);

/// 5 ms at 8 kHz.
const FADE_SAMPLES: usize = 40;

#[test]
fn the_engine_moves_on_while_readers_and_control_sleep() {
    let mut bench = Bench::new();
    let mut graph = Graph::new();
    let (playout, mut mouth) = playout(16_000);
    let (tap, mut reader) = tap();
    let [playout, level, tap] = [graph.add(playout), graph.add(Level::new(mono(16_000))), graph.add(tap)];
    graph.connect(playout.port(0), level.port(0)).unwrap();
    graph.connect(playout.port(0), tap.port(0)).unwrap();
    bench.open(&mut graph);
    mouth.speak(1, &[0.5; 1_600]);
    // Nobody reads reports, garbage or ears for ten minutes.
    for _ in 0..60_000 {
        bench.tick();
    }
    assert_eq!(mouth.speak(1, &[0.5; 160]), 160);
    bench.tick();
    let waiting = bench.reports();
    assert_eq!(waiting.len(), 4_096, "the ring of reports is full and that is all");
    assert!(matches!(reader.hear(), Some(Heard::Frame(_))));
    // What the sleepers missed is told once they are awake.
    for _ in 0..200 {
        bench.tick();
    }
    let health = bench.reports().into_iter().find_map(|report| match report {
        Report::Health(health) => Some(health),
        _ => None,
    });
    let health = health.expect("a second has passed");
    assert!(health.reports_dropped > 1_000 && health.overruns == 0 && health.skipped_ticks == 0, "{health:?}");
    let heard: Vec<_> = std::iter::from_fn(|| reader.hear()).collect();
    assert!(heard.iter().any(|heard| matches!(heard, Heard::Lost(_))));
}

#[test]
fn a_panicking_node_is_muted_and_reported_and_the_room_lives() {
    let mut bench = Bench::new();
    let mut graph = Graph::new();
    let (good, mut mouth) = playout(8_000);
    let good = graph.add(good);
    let bad = graph.add(PanicsAt { tick: 3, ticks: 0 });
    let mixer = graph.add(Mixer::new(FORMAT, 2));
    let (probe, heard) = Probe::new(FORMAT);
    let probe = graph.add(probe);
    graph.connect(good.port(0), mixer.port(0)).unwrap();
    graph.connect(bad.port(0), mixer.port(1)).unwrap();
    graph.connect(mixer.port(2), probe.port(0)).unwrap();
    bench.open(&mut graph);
    mouth.speak(1, &[0.25; 800]);
    for _ in 0..8 {
        bench.tick();
    }
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard[..240], [0.75; 240]);
    assert_eq!(heard[240..640], [0.25; 400], "the others play on, from the very tick");
    let panics = |report: &&Report| matches!(report, Report::Node { node, event: Event::Panicked, .. } if *node == bad);
    assert_eq!(bench.reports().iter().filter(panics).count(), 1);
    // It stays mute when the room changes, and takes no orders.
    graph.add(Mixer::new(FORMAT, 0));
    bench.send(Command::Rebuild { room: ROOM, schedule: Box::new(graph.build().unwrap()) });
    bench.send(Command::Tell { room: ROOM, node: bad, control: Control::Stop });
    bench.tick();
    assert!(bench.reports().contains(&Report::Refused { room: ROOM, why: Refusal::NoSuchNode }));
}

#[test]
fn a_node_that_panics_as_it_takes_over_is_muted_and_reported_and_the_shard_lives() {
    let mut bench = Bench::new();
    let mut graph = Graph::new();
    let good = graph.add(PanicsAt { tick: usize::MAX, ticks: 0 });
    let (probe, heard) = Probe::new(FORMAT);
    let probe = graph.add(probe);
    graph.chain(&[good, probe]).unwrap();
    bench.open(&mut graph);
    bench.tick();
    let bad = graph.replace(good, Box::new(PanicsTakingOver)).unwrap();
    graph.chain(&[bad, probe]).unwrap();
    bench.send(Command::Rebuild { room: ROOM, schedule: Box::new(graph.build().unwrap()) });
    bench.tick();
    bench.tick();
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard, [[0.5_f32; 80], [0.0; 80], [0.0; 80]].concat(), "mute from the first");
    let panics = |report: &&Report| matches!(report, Report::Node { node, event: Event::Panicked, .. } if *node == bad);
    assert_eq!(bench.reports().iter().filter(panics).count(), 1);
    bench.send(Command::Tell { room: ROOM, node: bad, control: Control::Stop });
    bench.tick();
    assert!(bench.reports().contains(&Report::Refused { room: ROOM, why: Refusal::NoSuchNode }));
}

#[test]
fn after_a_flush_there_is_silence_within_one_tick_plus_the_fade() {
    let mut bench = Bench::new();
    let (mut graph, playout, mut mouth, heard) = speaker();
    bench.open(&mut graph);
    mouth.speak(1, &[0.5; 3_200]);
    for _ in 0..10 {
        bench.tick();
    }
    bench.send(Command::Tell { room: ROOM, node: playout, control: Control::Flush(1) });
    let before = heard.lock().unwrap().len();
    for _ in 0..10 {
        bench.tick();
    }
    let after = heard.lock().unwrap()[before..].to_vec();
    assert!(after[0] > 0.45, "it does not stop hard: {}", after[0]);
    assert!(after[FADE_SAMPLES..].iter().all(|s| *s == 0.0));
    assert!(mouth.speak(2, &[0.1; 80]) == 80, "the ring is empty for the next turn");
}

#[test]
fn the_same_inputs_make_the_same_samples() {
    let run = |jitter_us: u64| {
        let mut bench = Bench::new();
        let mut graph = Graph::new();
        let (playout, mut mouth) = playout(48_000);
        let (probe, heard) = Probe::new(mono(16_000));
        let nodes = [
            graph.add(playout),
            graph.add(Comfort::new(mono(48_000), -50.0, 3)),
            graph.add(Gain::new(mono(48_000), -3.0)),
            graph.add(Resample::new(48_000, 16_000).unwrap()),
            graph.add(probe),
        ];
        graph.chain(&nodes).unwrap();
        bench.open(&mut graph);
        for tick in 0..300_u64 {
            let sound: Vec<f32> = (0..480).map(|n| ((tick * 480 + n) as f32 * 0.05).sin() * 0.3).collect();
            if tick % 90 < 40 {
                mouth.speak(tick / 90, &sound);
            }
            if tick == 120 {
                bench.send(Command::Tell { room: ROOM, node: nodes[0], control: Control::Flush(1) });
            }
            bench.late = Duration::from_micros(tick * jitter_us % 9_000);
            bench.tick();
        }
        Arc::try_unwrap(heard).map_or_else(|heard| heard.lock().unwrap().clone(), |heard| heard.into_inner().unwrap())
    };
    let samples = run(0);
    assert_eq!(samples.len(), 300 * 160);
    assert!(samples.iter().any(|s| s.abs() > 0.1));
    assert_eq!(samples, run(7_919));
}

#[test]
fn a_rebuilt_room_keeps_what_is_queued() {
    let mut bench = Bench::new();
    let (mut graph, playout, mut mouth, heard) = speaker();
    bench.open(&mut graph);
    let sound: Vec<f32> = (0..1_600).map(|n| n as f32 / 1_600.0).collect();
    mouth.speak(1, &sound);
    for _ in 0..5 {
        bench.tick();
    }
    let level = graph.add(Level::new(FORMAT));
    graph.connect(playout.port(0), level.port(0)).unwrap();
    bench.send(Command::Rebuild { room: ROOM, schedule: Box::new(graph.build().unwrap()) });
    for _ in 0..15 {
        bench.tick();
    }
    assert_eq!(*heard.lock().unwrap(), sound);
}

#[test]
fn what_the_engine_is_done_with_is_dropped_by_whoever_empties_the_garbage() {
    let mut bench = Bench::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::new();
    let first = graph.add(CountsDrops(Arc::clone(&dropped)));
    graph.add(CountsDrops(Arc::clone(&dropped)));
    bench.open(&mut graph);
    graph.remove(first).unwrap();
    bench.send(Command::Rebuild { room: ROOM, schedule: Box::new(graph.build().unwrap()) });
    bench.tick();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(bench.ends.garbage.pop().expect("the first schedule"));
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    bench.send(Command::Close { room: ROOM });
    bench.tick();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    drop(bench.ends.garbage.pop().expect("the second schedule"));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn while_the_reaper_sleeps_commands_wait_and_sound_does_not() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        let epoch = bench.shard.deadline();
        bench.send(Command::Open { room: ROOM, epoch, schedule: Box::new(Graph::new().build().unwrap()) });
    }
    for _ in 0..10 {
        bench.tick();
    }
    assert_eq!(bench.refusals(), 64, "one room is open, the garbage is full, the rest waits");
    while bench.ends.garbage.pop().is_some() {}
    for _ in 0..10 {
        bench.tick();
    }
    assert_eq!(bench.refusals(), 99 - 64);
}

#[test]
fn a_tick_reads_a_bounded_number_of_commands() {
    let mut bench = Bench::new();
    for room in 0..100 {
        bench.send(Command::Close { room: RoomId(room) });
    }
    for expected in [COMMANDS_PER_TICK, COMMANDS_PER_TICK, COMMANDS_PER_TICK, 100 - 3 * COMMANDS_PER_TICK, 0] {
        bench.tick();
        assert_eq!(bench.refusals(), expected);
    }
}

#[test]
fn short_stalls_are_caught_up_and_long_ones_leave_a_marked_hole() {
    let mut bench = Bench::new();
    let mut graph = Graph::new();
    let (tap, mut reader) = tap();
    let source = graph.add(Mixer::new(mono(16_000), 0));
    let tap = graph.add(tap);
    graph.chain(&[source, tap]).unwrap();
    bench.open(&mut graph);
    bench.tick();
    reader.hear();
    bench.stall(Duration::from_millis(150));
    assert!(std::iter::from_fn(|| reader.hear()).all(|heard| matches!(heard, Heard::Frame(_))));
    bench.stall(Duration::from_secs(5));
    for _ in 0..2 {
        bench.tick();
    }
    let lost: Vec<_> = std::iter::from_fn(|| reader.hear()).filter(|heard| matches!(heard, Heard::Lost(_))).collect();
    let [Heard::Lost(span)] = lost[..] else { panic!("{lost:?}") };
    assert!(
        span.duration() >= Duration::from_secs(5) - 2 * TICK && span.duration() <= Duration::from_secs(5) + 2 * TICK
    );
}

#[test]
fn a_tick_knows_its_deadline_and_the_time_since_the_rooms_epoch() {
    let mut bench = Bench::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut graph = Graph::new();
    graph.add(SeesTicks(Arc::clone(&seen)));
    let epoch = bench.shard.deadline() - Duration::from_millis(1_234);
    bench.send(Command::Open { room: ROOM, epoch, schedule: Box::new(graph.build().unwrap()) });
    let first = bench.shard.deadline();
    bench.late = Duration::from_millis(3);
    for _ in 0..3 {
        bench.tick();
    }
    let expected = [0, 1, 2].map(|tick| (MediaTime::from_millis(1_230 + 10 * u64::from(tick)), first + tick * TICK));
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// A shard on virtual time with its far ends.
struct Bench {
    shard: Shard,
    ends: ShardEnds,
    late: Duration,
}

impl Bench {
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; no test depends on which"
    )]
    fn new() -> Self {
        let (shard, ends) = shard(Instant::now());
        Self { shard, ends, late: Duration::ZERO }
    }

    /// Opens [`ROOM`]; its first tick is done.
    fn open(&mut self, graph: &mut Graph) {
        let epoch = self.shard.deadline();
        self.send(Command::Open { room: ROOM, epoch, schedule: Box::new(graph.build().unwrap()) });
    }

    fn send(&mut self, command: Command) {
        assert!(self.ends.commands.push(command).is_ok(), "the ring has room");
    }

    fn tick(&mut self) {
        self.shard.tick(self.shard.deadline() + self.late);
    }

    /// Nothing happens for `after`, then all ticks that are due.
    fn stall(&mut self, after: Duration) {
        let now = self.shard.deadline() + after;
        while self.shard.deadline() <= now {
            self.shard.tick(now);
        }
    }

    fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.ends.reports.pop()).collect()
    }

    fn refusals(&mut self) -> usize {
        self.reports().iter().filter(|report| matches!(report, Report::Refused { .. })).count()
    }
}

fn speaker() -> (Graph, NodeId, Mouth, Arc<Mutex<Vec<f32>>>) {
    let mut graph = Graph::new();
    let (playout, mouth) = playout(8_000);
    let (probe, heard) = Probe::new(FORMAT);
    let [playout, probe] = [graph.add(playout), graph.add(probe)];
    graph.chain(&[playout, probe]).unwrap();
    (graph, playout, mouth, heard)
}

/// Keeps all that it hears.
struct Probe {
    format: Format,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl Probe {
    fn new(format: Format) -> (Self, Arc<Mutex<Vec<f32>>>) {
        let heard = Arc::default();
        (Self { format, heard: Arc::clone(&heard) }, heard)
    }
}

impl Node for Probe {
    fn ports(&self) -> Ports {
        Ports::sink(self.format)
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        self.heard.lock().unwrap().extend_from_slice(inputs.samples(0));
        Status::Silent
    }
}

/// Sounds until it panics, having written half of its output.
struct PanicsAt {
    tick: usize,
    ticks: usize,
}

impl Node for PanicsAt {
    fn ports(&self) -> Ports {
        Ports::source(FORMAT)
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        outputs.samples(0).fill(0.5);
        assert!(self.ticks < self.tick, "as the test demands");
        self.ticks += 1;
        Status::Sounding
    }
}

/// Would sound, had it not panicked before.
struct PanicsTakingOver;

impl Node for PanicsTakingOver {
    fn ports(&self) -> Ports {
        Ports::source(FORMAT)
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        outputs.samples(0).fill(0.5);
        Status::Sounding
    }

    fn succeed(&mut self, before: &mut dyn Any) {
        assert!(!before.is::<PanicsAt>(), "as the test demands");
    }
}

struct SeesTicks(Arc<Mutex<Vec<(MediaTime, Instant)>>>);

impl Node for SeesTicks {
    fn ports(&self) -> Ports {
        Ports::default()
    }

    fn process(&mut self, tick: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        self.0.lock().unwrap().push((tick.at, tick.due));
        Status::Silent
    }
}

struct CountsDrops(Arc<AtomicUsize>);

impl Node for CountsDrops {
    fn ports(&self) -> Ports {
        Ports::default()
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        Status::Silent
    }
}

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
