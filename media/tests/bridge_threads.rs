//! Rooms on the engine's own threads, in real time: legs are heard, told and freed, on every shard.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Captured, LegEvent, Plan, Switchboard},
    graph::{
        node::{Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::{
            playout::{Mouth, playout},
            tap::Heard,
        },
    },
    id::RoomId,
    time::Epoch,
};
use tokio::time::{interval, timeout};

/// Far longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn legs_on_all_shards_are_heard_told_and_freed() {
    let switchboard = Switchboard::start(2).unwrap();
    let freed = Arc::new(AtomicUsize::new(0));
    let mut rooms = Vec::new();
    for room in 0..6 {
        let bridge = switchboard.bridge(RoomId(room), epoch(), 16_000);
        let (source, mouth) = playout(16_000);
        let (loudest, sink) = Listens::new(&freed);
        let speaker =
            bridge.join(Plan { source: Some(Box::new(source)), ears: true, ..Plan::default() }).await.unwrap();
        let listener = bridge.join(Plan { sink: Some(Box::new(sink)), ..Plan::default() }).await.unwrap();
        rooms.push((bridge, mouth, speaker, listener, loudest));
    }
    for (bridge, mouth, speaker, _listener, loudest) in &mut rooms {
        let mut levels = speaker.levels();
        say(mouth);
        timeout(PATIENCE, levels.wait_for(|level| level.rms_dbfs > -20.0)).await.unwrap().unwrap();
        let drained = async {
            loop {
                match speaker.events.recv().await {
                    Some(LegEvent::Source { event: Event::Drained, .. }) => break,
                    Some(_) => {}
                    None => panic!("the engine lives"),
                }
            }
        };
        timeout(PATIENCE, drained).await.unwrap();
        until(|| loudest.load(Ordering::Relaxed) >= 200).await;
        let mut ears = speaker.take_ears().unwrap();
        let Some(Heard::Frame(first)) = ears.hear() else { panic!("it has spoken") };
        assert!(first.at <= bridge.now());
    }
    assert!(switchboard.health().len() == 2);
    drop(rooms);
    until(|| freed.load(Ordering::Relaxed) == 6).await;
    until(|| switchboard.health().iter().all(|health| health.ticks > 0 && health.rooms == 0)).await;
}

#[tokio::test]
async fn a_join_that_nobody_waits_for_is_undone() {
    let switchboard = Switchboard::start(1).unwrap();
    let freed = Arc::new(AtomicUsize::new(0));
    let bridge = switchboard.bridge(RoomId(1), epoch(), 8_000);
    let (_loudest, sink) = Listens::new(&freed);
    let mut join = Box::pin(bridge.join(Plan { sink: Some(Box::new(sink)), ..Plan::default() }));
    // Polled once, whatever it answers.
    let _ = timeout(Duration::ZERO, &mut join).await;
    drop(join);
    until(|| freed.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn a_room_that_is_only_captured_is_closed_when_nobody_holds_it() {
    let switchboard = Switchboard::start(1).unwrap();
    let bridge = switchboard.bridge(RoomId(3), epoch(), 8_000);
    let mut capture = bridge.capture(Captured::Everybody).await.unwrap();
    let mut frames = 0;
    while frames < 5 {
        until(|| capture.hear().is_some()).await;
        frames += 1;
    }
    drop(bridge);
    let ended = || {
        while capture.hear().is_some() {}
        capture.has_ended()
    };
    until(ended).await;
}

fn say(mouth: &mut Mouth) {
    // A quarter of full scale for 300 ms, which fit the ring.
    assert_eq!(mouth.speak(1, &[0.25; 4_800]), 4_800);
}

/// Looks every 10 ms until `is_so`.
async fn until(mut is_so: impl FnMut() -> bool) {
    let mut looks = interval(Duration::from_millis(10));
    let so = async {
        while !is_so() {
            looks.tick().await;
        }
    };
    timeout(PATIENCE, so).await.expect("it takes much less");
}

/// A sink that keeps the loudest sample, in thousandths, and counts itself when it is dropped.
struct Listens {
    loudest: Arc<AtomicUsize>,
    freed: Arc<AtomicUsize>,
}

impl Listens {
    fn new(freed: &Arc<AtomicUsize>) -> (Arc<AtomicUsize>, Self) {
        let loudest = Arc::default();
        (Arc::clone(&loudest), Self { loudest, freed: Arc::clone(freed) })
    }
}

impl Node for Listens {
    fn ports(&self) -> Ports {
        Ports::sink(mono(48_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let loudest = inputs.samples(0).iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        self.loudest.fetch_max((loudest * 1_000.0) as usize, Ordering::Relaxed);
        Status::Silent
    }
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "these tests run in real time")]
fn epoch() -> Epoch {
    Epoch { instant: Instant::now(), wall: SystemTime::now() }
}
