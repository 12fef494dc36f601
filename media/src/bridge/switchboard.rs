//! The shell around the engine: rooms find it here, and its reports find their rooms.
//!
//! A [`Line`] is a room's sound behind a lock that is held for microseconds and only by control threads; each change
//! is handed to the engine at once. When the shard's ring of commands is full the change waits in the room,
//! which is bounded, and the shard's pump task tries again each tick; [`Bridge::join`] waits with it. The pump, one
//! task per shard, also hands reports to rooms. [`Switchboard::by_hand`] is the same without threads and
//! without a clock: the holder of the [`Hand`] makes time pass, for a replay or a test.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    bridge::{BridgeError, Captured, leg::Leg, leg::Plan, sound::Sound},
    engine::{
        ROOMS_MAX, TICK,
        command::Command,
        report::{Health, Refusal, Report},
        tick::{Engine, HandShard, Refused, Reports, Stopped},
    },
    graph::nodes::capture::CaptureReader,
    id::RoomId,
    journal::Journal,
    time::{Epoch, MediaTime},
};

/// What was dropped since the switchboard started, by crossing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Reports of the engine that found no room on their way here.
    pub reports: u64,
    /// Events of legs whose holders did not read them.
    pub leg_events: u64,
    /// Times that ears fell 4 s behind and lost sound.
    pub ears: u64,
    /// Times that a recorder fell 2 s behind and lost sound.
    pub captures: u64,
}

impl Drops {
    fn add(&mut self, more: Self) {
        self.reports += more.reports;
        self.leg_events += more.leg_events;
        self.ears += more.ears;
        self.captures += more.captures;
    }
}

/// The engine of a process with the rooms on it. The last clone that goes, with the last bridge, stops the engine.
#[derive(Clone)]
pub struct Switchboard(Arc<Exchange>);

/// What all lines share.
struct Exchange {
    engine: Engine,
    clock: Clock,
    lines: Mutex<HashMap<RoomId, Weak<Line>>>,
    shards: Vec<Desk>,
    drops: Mutex<Drops>,
}

/// What is known of one shard.
#[derive(Default)]
struct Desk {
    health: Mutex<Health>,
    /// Rooms that are open, or about to be.
    rooms: AtomicUsize,
    /// Lines with changes that found the ring full; each is in here once.
    waiting: Mutex<Vec<Weak<Line>>>,
    /// The last commands of lines that are gone: one room each, so never many.
    farewells: Mutex<VecDeque<Command>>,
}

/// Where now comes from.
enum Clock {
    Real,
    /// When the next tick is due.
    Told(Mutex<Instant>),
}

impl Switchboard {
    /// Starts the engine with `shards` shards and their pumps, in the tokio runtime that this is called in.
    ///
    /// # Errors
    /// When the system gives no thread.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(shards: usize) -> io::Result<Self> {
        let (engine, reports) = Engine::start(shards)?;
        let exchange = Exchange::new(engine, Clock::Real);
        for (shard, reports) in reports.into_iter().enumerate() {
            tokio::spawn(pump(shard, reports, Arc::downgrade(&exchange)));
        }
        Ok(Self(exchange))
    }

    /// A switchboard on whose [`Hand`] time passes, beginning at `began`; one shard, no thread.
    pub fn by_hand(began: Instant) -> (Self, Hand) {
        let (engine, shard) = Engine::by_hand(began);
        let exchange = Exchange::new(engine, Clock::Told(Mutex::new(began)));
        (Self(Arc::clone(&exchange)), Hand { shard, exchange })
    }

    /// The bridge of `room`, whose timeline begins at `epoch` and which mixes at `rate_hz` (8, 16 or 48 kHz; another
    /// rate refuses all legs). While a bridge or leg of this room is held, the same one again.
    pub fn bridge(&self, room: RoomId, epoch: Epoch, rate_hz: u32) -> Bridge {
        let mut lines = lock(&self.0.lines);
        if let Some(line) = lines.get(&room).and_then(Weak::upgrade) {
            return Bridge(line);
        }
        let line = Arc::new(Line {
            room,
            epoch,
            exchange: Arc::clone(&self.0),
            desk: self.0.engine.shard_of(room),
            state: Mutex::new(State {
                sound: Sound::new(room, epoch.instant, rate_hz),
                unsent: None,
                is_waiting: false,
                is_counted: false,
                is_stopped: false,
            }),
        });
        lines.insert(room, Arc::downgrade(&line));
        Bridge(line)
    }

    /// How each shard fares, as it told last; it tells once a second.
    pub fn health(&self) -> Vec<Health> {
        self.0.shards.iter().map(|desk| *lock(&desk.health)).collect()
    }

    /// What has been dropped.
    pub fn drops(&self) -> Drops {
        let mut drops = *lock(&self.0.drops);
        drops.reports += self.0.shards.iter().map(|desk| lock(&desk.health).reports_dropped).sum::<u64>();
        drops
    }
}

impl Exchange {
    fn new(engine: Engine, clock: Clock) -> Arc<Self> {
        let shards = (0..engine.shards()).map(|_| Desk::default()).collect();
        Arc::new(Self { engine, clock, lines: Mutex::default(), shards, drops: Mutex::default() })
    }

    /// Hands a report to whom it concerns.
    fn hand_over(&self, shard: usize, report: Report) {
        match report {
            Report::Node { room, node, at, event } => {
                let line = lock(&self.lines).get(&room).and_then(Weak::upgrade);
                if let Some(line) = line {
                    line.with(|sound| sound.hear(node, at, event));
                }
            }
            Report::Health(health) => *lock(&self.shards[shard].health) = health,
            Report::Closed { .. } => {}
            // A node that has just panicked: its leg is told of that.
            Report::Refused { why: Refusal::NoSuchNode, .. } => {}
            Report::Refused { room, why } => tracing::error!(%room, ?why, "the engine did not take an order"),
        }
    }

    /// Sends what waits because the ring was full.
    fn send_waiting(&self, shard: usize) {
        let desk = &self.shards[shard];
        let mut farewells = lock(&desk.farewells);
        while let Some(command) = farewells.pop_front() {
            if let Some(command) = refused(self.engine.try_send(command)) {
                farewells.push_front(command);
                break;
            }
        }
        drop(farewells);
        let waiting = std::mem::take(&mut *lock(&desk.waiting));
        for line in waiting.iter().filter_map(Weak::upgrade) {
            line.retry();
        }
    }

    /// The shard is gone: so are its rooms.
    fn stop(&self, shard: usize) {
        let lines: Vec<_> = lock(&self.lines).values().filter_map(Weak::upgrade).collect();
        for line in lines.iter().filter(|line| line.desk == shard) {
            line.stop();
        }
    }
}

/// The task of one shard: until the shard or the switchboard is gone.
async fn pump(shard: usize, mut reports: Reports, exchange: Weak<Exchange>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(exchange) = exchange.upgrade() else { return };
        let is_last = reports.is_last();
        while let Some(report) = reports.poll() {
            exchange.hand_over(shard, report);
        }
        if is_last {
            return exchange.stop(shard);
        }
        exchange.send_waiting(shard);
    }
}

/// Makes time pass on a switchboard without threads.
pub struct Hand {
    shard: HandShard,
    exchange: Arc<Exchange>,
}

impl Hand {
    /// When the next tick is due: what happens now, happens before it.
    pub fn now(&self) -> Instant {
        self.shard.deadline()
    }

    /// Does the next tick: 10 ms pass for all rooms, and their reports are handed over.
    pub fn tick(&mut self) {
        self.tick_engine();
        self.tick_control();
    }

    /// The engine's half of a tick, which frees nothing and tells nobody.
    pub fn tick_engine(&mut self) {
        self.shard.tick();
        if let Clock::Told(now) = &self.exchange.clock {
            *lock(now) = self.shard.deadline();
        }
    }

    /// The other half: frees what the engine is done with, hands its reports over, and sends what waited.
    pub fn tick_control(&mut self) {
        self.shard.reap();
        while let Some(report) = self.shard.reports.poll() {
            self.exchange.hand_over(0, report);
        }
        self.exchange.send_waiting(0);
    }

    /// Ticks until `duration` has passed, rounded down to ticks.
    pub fn pass(&mut self, duration: Duration) {
        for _ in 0..duration.as_nanos() / TICK.as_nanos() {
            self.tick();
        }
    }
}

/// A room with sound. Costs nothing while it has neither legs nor captures.
#[derive(Clone)]
pub struct Bridge(Arc<Line>);

impl Bridge {
    /// Zero of its timeline.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// Now, on its timeline.
    pub fn now(&self) -> MediaTime {
        let now = match &self.0.exchange.clock {
            Clock::Real => real_now(),
            Clock::Told(now) => *lock(now),
        };
        self.0.epoch.at(now)
    }

    /// From now on what the room's graph takes in is noted in `journal`, so that it can be run again
    /// ([`crate::graph::replay`]). To be called before the first leg.
    pub fn record_inputs(&self, journal: Journal) {
        self.0.with(|sound| sound.note_in(journal));
    }

    /// Adds a leg. When this returns, the engine has the order and obeys within two ticks; dropping the future undoes it.
    ///
    /// # Errors
    /// See [`BridgeError`]: the plan cannot be, the engine is full, or it is gone.
    pub async fn join(&self, plan: Plan) -> Result<Leg, BridgeError> {
        let joined = self.0.open(|sound| sound.join(plan))?;
        let leg = Leg::new(Arc::clone(&self.0), joined);
        self.0.sent().await?;
        Ok(leg)
    }

    /// Begins to capture; the first frame comes some 30 ms later. Dropping the reader ends it, within a second.
    ///
    /// # Errors
    /// See [`BridgeError`]: there is no such leg, the engine is full, or it is gone.
    pub async fn capture(&self, what: Captured) -> Result<CaptureReader, BridgeError> {
        let reader = self.0.open(|sound| sound.capture(what))?;
        self.0.sent().await?;
        Ok(reader)
    }
}

/// A room's sound, and its way to the engine.
pub(super) struct Line {
    room: RoomId,
    epoch: Epoch,
    exchange: Arc<Exchange>,
    /// Index of its shard.
    desk: usize,
    state: Mutex<State>,
}

struct State {
    sound: Sound,
    /// A command that the engine had no room for: the next to go.
    unsent: Option<Command>,
    /// The pump knows that something waits.
    is_waiting: bool,
    /// It is one of the shard's rooms.
    is_counted: bool,
    is_stopped: bool,
}

impl Line {
    /// Changes the sound, and tells the engine as far as it has room.
    pub(super) fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut Sound) -> R) -> R {
        let mut state = lock(&self.state);
        let answer = change(&mut state.sound);
        self.send(&mut state);
        answer
    }

    /// As [`Line::with`], for what makes a room sound: refused when the engine can take no more rooms.
    fn open<R>(self: &Arc<Self>, change: impl FnOnce(&mut Sound) -> Result<R, BridgeError>) -> Result<R, BridgeError> {
        let mut state = lock(&self.state);
        if state.is_stopped {
            return Err(BridgeError::Stopped(Stopped));
        }
        if !state.is_counted {
            let taken = self
                .rooms()
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rooms| (rooms < ROOMS_MAX).then_some(rooms + 1));
            taken.map_err(|_| BridgeError::Full)?;
            state.is_counted = true;
        }
        let answer = change(&mut state.sound);
        self.send(&mut state);
        answer
    }

    /// Waits until the engine has all that it was to be told.
    async fn sent(self: &Arc<Self>) -> Result<(), Stopped> {
        let mut ticks = None;
        loop {
            {
                let state = lock(&self.state);
                if state.is_stopped {
                    return Err(Stopped);
                }
                if !state.is_waiting {
                    return Ok(());
                }
            }
            ticks.get_or_insert_with(|| interval(TICK)).tick().await;
        }
    }

    /// The pump's call: the ring may have room again.
    fn retry(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.is_waiting = false;
        self.send(&mut state);
    }

    fn send(self: &Arc<Self>, state: &mut State) {
        if self.send_some(state) && !state.is_waiting {
            state.is_waiting = true;
            lock(&self.exchange.shards[self.desk].waiting).push(Arc::downgrade(self));
        }
        lock(&self.exchange.drops).add(state.sound.take_drops());
    }

    /// Sends commands until the ring is full or all are sent; whether something is left.
    fn send_some(&self, state: &mut State) -> bool {
        while !state.is_stopped {
            let Some(command) = state.unsent.take().or_else(|| state.sound.poll()) else { break };
            match self.exchange.engine.try_send(command) {
                Ok(()) => {}
                Err(Refused::Full(command)) => {
                    state.unsent = Some(command);
                    return true;
                }
                Err(Refused::Stopped(Stopped)) => state.stop(),
            }
        }
        if state.is_counted && !state.sound.is_wanted() {
            state.is_counted = false;
            self.rooms().fetch_sub(1, Ordering::Relaxed);
        }
        false
    }

    fn stop(&self) {
        lock(&self.state).stop();
    }

    fn rooms(&self) -> &AtomicUsize {
        &self.exchange.shards[self.desk].rooms
    }
}

impl State {
    fn stop(&mut self) {
        self.is_stopped = true;
        self.unsent = None;
        self.sound.stop();
    }
}

impl Drop for Line {
    /// Nobody holds the room: no leg is left, and captures end.
    fn drop(&mut self) {
        let exchange = Arc::clone(&self.exchange);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.sound.end_captures();
        // A shard that is gone refuses them, and they are dropped.
        let mut left = VecDeque::new();
        while let Some(command) = state.unsent.take().or_else(|| state.sound.poll()) {
            match left.is_empty() {
                true => left.extend(refused(exchange.engine.try_send(command))),
                false => left.push_back(command),
            }
        }
        lock(&exchange.shards[self.desk].farewells).append(&mut left);
        if state.is_counted {
            self.exchange.shards[self.desk].rooms.fetch_sub(1, Ordering::Relaxed);
        }
        let mut lines = lock(&exchange.lines);
        if lines.get(&self.room).is_some_and(|line| line.strong_count() == 0) {
            lines.remove(&self.room);
        }
    }
}

/// The command that was handed back.
fn refused(answer: Result<(), Refused>) -> Option<Command> {
    match answer {
        Err(Refused::Full(command)) => Some(command),
        Ok(()) | Err(Refused::Stopped(_)) => None,
    }
}

/// Locks are held for a few lines that do not panic; if one did, what it left is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "the switchboard hands out the engine's real time")]
fn real_now() -> Instant {
    Instant::now()
}
