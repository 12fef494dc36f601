//! The engine on its own threads, in real time: it ticks while control is blocked, control waits when it is ahead,
//! and what is thrown away is dropped on the reaper's thread, whatever happens there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use media::{
    engine::{
        TICK,
        command::Command,
        report::{Refusal, Report},
        tick::{Engine, Reports},
    },
    graph::{
        build::Graph,
        node::{Inputs, Node, Outputs, Ports, Status, Tick},
    },
    id::RoomId,
};

/// Far longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_engine_ticks_while_the_control_thread_is_blocked() {
    let (engine, _reports) = Engine::start(1).unwrap();
    let (told, wait) = mpsc::sync_channel(1);
    let mut graph = Graph::new();
    graph.add(CountDown { left: 25, told });
    engine.try_send(open(RoomId(1), &mut graph)).unwrap();
    wait.recv_timeout(PATIENCE).expect("25 ticks take a quarter of a second");
}

#[tokio::test]
async fn control_waits_when_it_is_ahead_and_no_order_is_lost() {
    let (engine, mut reports) = Engine::start(2).unwrap();
    // Even rooms live on the first shard: twice what its ring holds.
    for room in 0..512 {
        engine.send(Command::Close { room: RoomId(2 * room) }).await.unwrap();
    }
    let mut refused = Vec::new();
    while refused.len() < 512 {
        let report = tokio::time::timeout(PATIENCE, next(&mut reports[0])).await.unwrap();
        if let Some(Report::Refused { room, why: Refusal::NoSuchRoom }) = report {
            refused.push(room.0 / 2);
        }
    }
    assert_eq!(refused, (0..512).collect::<Vec<_>>());
}

#[tokio::test]
async fn reports_end_when_the_engine_is_dropped() {
    let (engine, mut reports) = Engine::start(1).unwrap();
    drop(engine);
    let last = async { while next(&mut reports[0]).await.is_some() {} };
    tokio::time::timeout(PATIENCE, last).await.unwrap();
}

/// The next report, looked for once a tick; nothing once the shard is gone.
async fn next(reports: &mut Reports) -> Option<Report> {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        let is_last = reports.is_last();
        if let Some(report) = reports.poll() {
            return Some(report);
        }
        if is_last {
            return None;
        }
        ticks.tick().await;
    }
}

#[test]
fn nodes_are_dropped_by_the_reaper_which_survives_a_node_that_panics_then() {
    let (engine, _reports) = Engine::start(1).unwrap();
    let (told, wait) = mpsc::sync_channel(2);
    for room in [RoomId(1), RoomId(2)] {
        let mut graph = Graph::new();
        graph.add(PanicsWhenDropped { told: told.clone() });
        engine.try_send(open(room, &mut graph)).unwrap();
        engine.try_send(Command::Close { room }).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(wait.recv_timeout(PATIENCE).unwrap().as_deref(), Some("reaper"));
    }
}

fn open(room: RoomId, graph: &mut Graph) -> Command {
    #[expect(clippy::disallowed_methods, reason = "these tests run in real time")]
    let epoch = Instant::now();
    Command::Open { room, epoch, schedule: Box::new(graph.build().unwrap()) }
}

struct CountDown {
    left: usize,
    told: mpsc::SyncSender<()>,
}

impl Node for CountDown {
    fn ports(&self) -> Ports {
        Ports::default()
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            // Told already: the test has what it waits for.
            let _ = self.told.try_send(());
        }
        Status::Silent
    }
}

/// Tells on which thread it is dropped.
struct PanicsWhenDropped {
    told: mpsc::SyncSender<Option<String>>,
}

impl Node for PanicsWhenDropped {
    fn ports(&self) -> Ports {
        Ports::default()
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        Status::Silent
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        let _ = self.told.try_send(thread::current().name().map(str::to_owned));
        panic!("as the test demands");
    }
}
