//! After warm-up no tick allocates or frees, whatever the room does: speaks, is flushed, changes, closes.
//!
//! A binary of its own, because it counts every call of the allocator on the thread that ticks.

#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Instant,
};

use media::{
    dsp::tone::{Region, Tone},
    engine::{Shard, command::Command, shard, warm_up},
    graph::{
        build::Graph,
        node::{Control, mono},
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
    ends.commands.push(Command::Open { room, schedule: Box::new(graph.build().unwrap()) }).unwrap();

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
