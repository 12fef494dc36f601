//! After warm-up no tick allocates or frees, whatever the room does: speaks, is flushed, changes, closes.
//!
//! A binary of its own, because it counts every call of the allocator on the thread that ticks.

#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Captured, Plan, Switchboard},
    dsp::tone::{Region, Tone},
    engine::{Shard, command::Command, shard, warm_up},
    graph::{
        build::Graph,
        node::{Control, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::{
            comfort::Comfort,
            denoise::Denoise,
            gain::Gain,
            level::Level,
            mixer::Mixer,
            playout::playout,
            resample::Resample,
            tap::tap,
            tone::{ToneDetector, TonePlayer},
        },
    },
    id::RoomId,
    ring::{Writer, ring},
    time::Epoch,
};

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and nobody asks it.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is handed on unchanged to the system's allocator, which keeps the contract; counting touches
// a constant-initialised thread local and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: `memory` came from `alloc` above, that is from the system's allocator, with this `layout`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller's promises about `size` are handed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_tick_allocates_or_frees_after_warm_up() {
    warm_up();
    let (mut shard, mut ends) = shard(now());
    let room = RoomId(1);
    let mut graph = Graph::new();
    let (playout, mut mouth) = playout(48_000);
    let (tap, mut reader) = tap();
    let playout = graph.add(playout);
    let tones = graph.add(TonePlayer::new(8_000));
    let up = graph.add(Resample::new(8_000, 48_000).unwrap());
    let denoise = graph.add(Denoise::new());
    let mixer = graph.add(Mixer::new(mono(48_000), 2));
    let [gain, comfort, down, tap, level] = [
        graph.add(Gain::new(mono(48_000), -3.0)),
        graph.add(Comfort::new(mono(48_000), -60.0, 5)),
        graph.add(Resample::new(48_000, 16_000).unwrap()),
        graph.add(tap),
        graph.add(Level::new(mono(48_000))),
    ];
    let detector = graph.add(ToneDetector::new(8_000));
    graph.connect(tones.port(0), detector.port(0)).unwrap();
    graph.chain(&[tones, up, denoise]).unwrap();
    graph.connect(denoise.port(0), mixer.port(0)).unwrap();
    graph.connect(playout.port(0), mixer.port(1)).unwrap();
    graph.connect(mixer.port(2), gain.port(0)).unwrap();
    graph.connect(mixer.port(0), level.port(0)).unwrap();
    graph.chain(&[gain, comfort, down, tap]).unwrap();
    let epoch = shard.deadline();
    ends.commands.push(Command::Open { room, epoch, schedule: Box::new(graph.build().unwrap()) }).unwrap();

    let mut allocated = Vec::new();
    for tick in 0..3_000_u64 {
        // The control side: may allocate, is not counted.
        let sound: Vec<f32> = (0..480).map(|n| (n as f32 * 0.1).sin() * 0.2).collect();
        mouth.speak(tick / 200, &sound);
        mouth.mark(tick / 200, tick);
        let tell = |node, control| Command::Tell { room, node, control };
        let command = match tick % 200 {
            20 => Some(tell(tones, Control::Play(Tone::Busy(Region::Europe)))),
            60 => Some(tell(playout, Control::Pause)),
            70 => Some(tell(playout, Control::Resume)),
            90 => Some(tell(playout, Control::Flush(tick / 200))),
            110 => Some(tell(gain, Control::Gain(-10.0))),
            130 => Some(tell(denoise, Control::Suppress(tick % 400 < 200))),
            150 => Some(tell(tones, Control::Stop)),
            170 => {
                graph.add(Mixer::new(mono(8_000), 0));
                Some(Command::Rebuild { room, schedule: Box::new(graph.build().unwrap()) })
            }
            _ => None,
        };
        if let Some(command) = command {
            ends.commands.push(command).unwrap();
        }
        let calls = calls_of_a_tick(&mut shard);
        if calls > 0 {
            allocated.push((tick, calls));
        }
        while reader.hear().is_some() || ends.reports.pop().is_some() || ends.garbage.pop().is_some() {}
    }
    ends.commands.push(Command::Close { room }).unwrap();
    assert_eq!(calls_of_a_tick(&mut shard), 0, "closing a room frees nothing here");
    assert!(ends.garbage.pop().is_some());
    assert_eq!(allocated, [], "(tick, calls of the allocator)");
}

/// On the engine's own thread: between two ticks of one node lies all that the thread does.
#[tokio::test]
async fn the_engines_thread_allocates_nothing_while_legs_come_and_go() {
    let switchboard = Switchboard::start(1).unwrap();
    let epoch = Epoch { instant: now(), wall: SystemTime::UNIX_EPOCH };
    let bridge = switchboard.bridge(RoomId(1), epoch, 48_000);
    let (told, mut counts) = ring(4_096);
    let counter = Box::new(CountsCalls { rate_hz: 8_000, before: None, told: Some(told) });
    let sink = Box::new(CountsCalls { rate_hz: 8_000, before: None, told: None });
    let plan = Plan { source: Some(counter), sink: Some(sink), ears: true, may_be_captured: true, ..Plan::default() };
    let mut leg = bridge.join(plan).await.unwrap();
    let mut ears = leg.take_ears().unwrap();
    let mut patience = tokio::time::interval(Duration::from_millis(10));
    let (mut ticks, mut guest, mut captures, mut heard) = (0, None, Vec::new(), 0);
    let mut allocated = Vec::new();
    for round in 0_u32..100 {
        patience.tick().await;
        while let Some(calls) = counts.pop() {
            ticks += 1;
            allocated.extend((calls > 0).then_some((round, calls)));
        }
        match round % 10 {
            1 => {
                let source = CountsCalls { rate_hz: 16_000, before: None, told: None };
                let suppress_noise = round.is_multiple_of(20);
                let plan = Plan { source: Some(Box::new(source)), ears: true, suppress_noise, ..Plan::default() };
                guest = Some(bridge.join(plan).await.unwrap());
            }
            3 => captures.push(bridge.capture(Captured::Everybody).await.unwrap()),
            4 => captures.push(bridge.capture(Captured::Leg(leg.id())).await.unwrap()),
            5 => leg.mute(round > 50),
            6 => leg.allow_capture(round < 50),
            7 => captures.clear(),
            8 => guest = None,
            _ => {}
        }
        heard += std::iter::from_fn(|| ears.hear()).count();
        heard += captures.iter_mut().map(|capture| std::iter::from_fn(|| capture.hear()).count()).sum::<usize>();
    }
    drop(guest);
    assert!(ticks > 40 && heard > 20, "{ticks} ticks, {heard} frames");
    assert_eq!(allocated, [], "(round, calls of the allocator in one turn of the engine's thread)");
}

/// A source or sink that tells how often its thread has called the allocator since it ticked last.
struct CountsCalls {
    rate_hz: u32,
    before: Option<usize>,
    told: Option<Writer<usize>>,
}

impl Node for CountsCalls {
    fn ports(&self) -> Ports {
        match self.told.is_some() || self.rate_hz != 8_000 {
            true => Ports::source(mono(self.rate_hz)),
            false => Ports::sink(mono(self.rate_hz)),
        }
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let calls = CALLS.with(Cell::get);
        let before = self.before.replace(calls);
        if let (Some(told), Some(before)) = (&mut self.told, before) {
            told.push(calls - before).expect("the test reads it");
        }
        if outputs.is_empty() {
            return Status::Silent;
        }
        outputs.samples(0).fill(0.25);
        Status::Sounding
    }
}

#[test]
fn the_counter_counts() {
    let before = CALLS.with(Cell::get);
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(CALLS.with(Cell::get) - before, 2);
}

fn calls_of_a_tick(shard: &mut Shard) -> usize {
    let before = CALLS.with(Cell::get);
    shard.tick(shard.deadline());
    CALLS.with(Cell::get) - before
}

#[expect(
    clippy::disallowed_methods,
    reason = "an instant can only be had from the clock; the test does not depend on which"
)]
fn now() -> Instant {
    Instant::now()
}
