//! The threads of the engine: one per shard with the only clock of real time, and one reaper.
//!
//! A shard's thread waits for the absolute time of its next tick, so lateness never adds up, and touches nothing but its
//! shard. The reaper drops what shards are done with; it may free, block and take its time. [`Engine`] is the handle
//! that control code holds: any thread may send through it, and it is the control side that waits when a
//! shard's ring is full. Dropping it closes all rooms and ends the threads.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::time::interval;

use crate::{
    engine::{Garbage, Shard, TICK, command::Command, report::Report, shard, warm_up},
    id::RoomId,
    ring::{Reader, Writer},
};

/// The reaper looks for garbage this often.
const REAP_EVERY: Duration = Duration::from_millis(100);

/// What the engine's threads ask for: above all ordinary work, and below what keeps the machine alive.
#[cfg(target_os = "linux")]
const NICENESS: i32 = -11;

/// The engine is not there any more: it was dropped, or a shard's thread died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has stopped: no call can go on, restart the process")]
pub struct Stopped;

/// Why a command was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The ring is full: try again a tick later, with the command handed back.
    #[error("the shard has too many commands waiting: try again a tick later")]
    Full(Command),
    /// See [`Stopped`].
    #[error(transparent)]
    Stopped(Stopped),
}

/// The control handle of all shards.
pub struct Engine {
    shards: Vec<Mutex<Writer<Command>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts `shards` shards (at least one) and the reaper; one end of reports per shard.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(shards: usize) -> io::Result<(Self, Vec<Reports>)> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut engine = Self { shards: Vec::new(), stop: Arc::clone(&stop), threads: Vec::new() };
        let (mut reports, mut garbage) = (Vec::new(), Vec::new());
        for index in 0..shards.max(1) {
            let (shard, ends) = shard(now());
            let stop = Arc::clone(&stop);
            let thread = thread::Builder::new().name(format!("engine-{index}"));
            engine.threads.push(thread.spawn(move || run(shard, &stop))?);
            engine.shards.push(Mutex::new(ends.commands));
            reports.push(Reports(ends.reports));
            garbage.push(ends.garbage);
        }
        engine.threads.push(thread::Builder::new().name("reaper".to_owned()).spawn(move || reap(garbage))?);
        Ok((engine, reports))
    }

    /// One shard without a thread, whose first tick is due at `began`: for time that does not pass by itself.
    pub fn by_hand(began: Instant) -> (Self, HandShard) {
        let (shard, ends) = shard(began);
        let engine = Self { shards: vec![Mutex::new(ends.commands)], stop: Arc::default(), threads: Vec::new() };
        (engine, HandShard { shard, reports: Reports(ends.reports), garbage: ends.garbage })
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Sends `command` to the shard of its room, or hands it back.
    pub fn try_send(&self, command: Command) -> Result<(), Refused> {
        let shard = &self.shards[self.shard_of(command.room())];
        let mut commands = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.is_abandoned() {
            return Err(Refused::Stopped(Stopped));
        }
        commands.push(command).map_err(Refused::Full)
    }

    /// Sends `command` to the shard of its room; waits while the ring is full.
    ///
    /// # Errors
    /// When the shard is gone.
    pub async fn send(&self, command: Command) -> Result<(), Stopped> {
        let mut command = command;
        let mut ticks = None;
        loop {
            match self.try_send(command) {
                Ok(()) => return Ok(()),
                Err(Refused::Stopped(stopped)) => return Err(stopped),
                Err(Refused::Full(back)) => command = back,
            }
            ticks.get_or_insert_with(|| interval(TICK)).tick().await;
        }
    }

    /// The shard that `room` is pinned to.
    pub fn shard_of(&self, room: RoomId) -> usize {
        (room.0 % self.shards.len() as u64) as usize
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A shard wakes within a tick and the reaper within its pause. A panic was printed where it happened.
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// A shard that ticks when it is told to, and is its own reaper.
pub struct HandShard {
    shard: Shard,
    /// What it tells.
    pub reports: Reports,
    garbage: Reader<Garbage>,
}

impl HandShard {
    /// When the next tick is due.
    pub fn deadline(&self) -> Instant {
        self.shard.deadline()
    }

    /// Does the next tick, exactly on time. Frees nothing; see [`HandShard::reap`].
    pub fn tick(&mut self) {
        self.shard.tick(self.shard.deadline());
    }

    /// Drops what the shard is done with.
    pub fn reap(&mut self) {
        while self.garbage.pop().is_some() {}
    }
}

/// What one shard tells, in order.
pub struct Reports(Reader<Report>);

impl Reports {
    /// The next report, if there is one.
    pub fn poll(&mut self) -> Option<Report> {
        self.0.pop()
    }

    /// Whether the shard is gone: what waits is the last there will be.
    pub fn is_last(&self) -> bool {
        self.0.is_abandoned()
    }
}

/// The thread of one shard.
fn run(mut shard: Shard, stop: &AtomicBool) {
    #[cfg(target_os = "linux")]
    claim_priority(NICENESS);
    warm_up();
    while !stop.load(Ordering::Relaxed) {
        let began = now();
        let early = shard.deadline().saturating_duration_since(began);
        if early > Duration::ZERO {
            thread::park_timeout(early);
            continue;
        }
        shard.tick(began);
        shard.note_work(now().saturating_duration_since(began));
    }
}

/// Asks for the calling thread to run before those that may wait. Where that is not allowed it works all the same,
/// and is late when the machine is busy.
#[cfg(target_os = "linux")]
pub(crate) fn claim_priority(niceness: i32) {
    let id = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(id), niceness) {
        let thread = thread::current();
        tracing::info!(%error, niceness, thread = thread.name(), "a thread of real time runs with ordinary priority");
    }
}

/// The thread of the reaper: until all shards are gone and nothing is left of them.
fn reap(mut garbage: Vec<Reader<Garbage>>) {
    while !garbage.is_empty() {
        garbage.retain_mut(|shard| {
            let is_last = shard.is_abandoned();
            while let Some(piece) = shard.pop() {
                // A node that panics when dropped must not end the reaper, or the shards run out of room.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(piece)));
            }
            !is_last
        });
        if !garbage.is_empty() {
            thread::park_timeout(REAP_EVERY);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the engine's threads own the clock of real time")]
fn now() -> Instant {
    Instant::now()
}
