//! The real-time engine: shards of rooms that tick every 10 ms, whatever the rest of the process does.
//!
//! A [`Shard`] is pure: it is told the time and ticks its rooms, reading at most [`COMMANDS_PER_TICK`] commands
//! before. It never allocates after it was made, never frees, locks, logs or waits: what is to be freed leaves
//! through the ring of garbage to the reaper. The thread that owns the clock is in [`tick`]. Rooms are pinned to a
//! shard and shards share nothing.

pub mod command;
pub mod report;
pub mod tick;

use std::time::{Duration, Instant};

use crate::{
    engine::{
        command::Command,
        report::{Health, Refusal, Report},
    },
    graph::{TICKS_PER_SECOND, nodes::denoise, notes::Obeyed, schedule::Schedule},
    id::RoomId,
    ring::{Reader, Writer, ring},
    time::{CLOCK_HZ, MediaTime},
};

/// The length of a tick.
pub const TICK: Duration = Duration::from_millis(1_000 / TICKS_PER_SECOND as u64);

/// A tick reads so many commands at most; a burst must not make it late. The rest waits for the next tick.
pub const COMMANDS_PER_TICK: usize = 32;

/// Commands between control and a shard. When it is full, the control side waits.
const COMMANDS: usize = 256;

/// Reports between a shard and control: a second of a hundred busy rooms. When it is full, new ones are dropped and
/// counted.
const REPORTS: usize = 4_096;

/// Schedules on their way to the reaper. When it is full, the shard reads no commands, so nothing more is replaced.
const GARBAGE: usize = 64;

/// Rooms of one shard; more than a core can serve. One more is refused.
pub const ROOMS_MAX: usize = 1_024;

/// Ticks that are caught up at once after a stall (200 ms, as much as jitter buffers hide); older ones are skipped.
const CATCH_UP_TICKS: u64 = 20;

/// Makes a shard whose first tick is due at `began`, and the ends of its rings.
pub fn shard(began: Instant) -> (Shard, ShardEnds) {
    let (commands_in, commands) = ring(COMMANDS);
    let (reports, reports_out) = ring(REPORTS);
    let (garbage, garbage_out) = ring(GARBAGE);
    let shard = Shard {
        rooms: Vec::with_capacity(ROOMS_MAX),
        commands,
        reports,
        garbage,
        deadline: began,
        health: Health::default(),
        events_dropped: 0,
    };
    (shard, ShardEnds { commands: commands_in, reports: reports_out, garbage: garbage_out })
}

/// Makes what nodes keep per thread and per process when first used. To be called once on a thread that is about to
/// tick a shard: after it, no tick allocates.
pub fn warm_up() {
    denoise::warm_up();
}

/// The far ends of a shard's rings.
pub struct ShardEnds {
    /// Orders go in here.
    pub commands: Writer<Command>,
    /// What the shard tells comes out here.
    pub reports: Reader<Report>,
    /// What it is done with comes out here, to be dropped.
    pub garbage: Reader<Garbage>,
}

/// What a shard is done with: its only use is to be dropped, on a thread that may free.
pub struct Garbage {
    _schedule: Box<Schedule>,
}

/// Some rooms, one thread, one clock.
pub struct Shard {
    /// By rising id.
    rooms: Vec<Room>,
    commands: Reader<Command>,
    reports: Writer<Report>,
    garbage: Writer<Garbage>,
    deadline: Instant,
    health: Health,
    /// What closed and replaced schedules dropped is part of the count.
    events_dropped: u64,
}

struct Room {
    id: RoomId,
    at: MediaTime,
    schedule: Box<Schedule>,
}

impl Shard {
    /// When the next tick is due.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Does the tick that is due; `now` is when it begins. Call it again at once while [`Shard::deadline`] has passed.
    pub fn tick(&mut self, now: Instant) {
        let lateness = now.saturating_duration_since(self.deadline);
        self.health.lateness_max = self.health.lateness_max.max(lateness);
        self.health.overruns += u64::from(lateness >= TICK);
        let late_ticks = (lateness.as_nanos() / TICK.as_nanos()) as u64;
        if late_ticks > CATCH_UP_TICKS {
            self.skip(late_ticks);
        }
        self.obey();
        for room in &mut self.rooms {
            room.schedule.tick(room.at, self.deadline);
            for (node, event) in room.schedule.drain_events() {
                let report = Report::Node { room: room.id, node, at: room.at, event };
                self.health.reports_dropped += u64::from(self.reports.push(report).is_err());
            }
            room.at = next(room.at, 1);
        }
        self.health.ticks += 1;
        self.deadline += TICK;
        if self.health.ticks.is_multiple_of(u64::from(TICKS_PER_SECOND)) {
            self.tell_health();
        }
    }

    /// Notes how long the last tick worked.
    pub fn note_work(&mut self, work: Duration) {
        self.health.work_max = self.health.work_max.max(work);
    }

    /// Leaves out ticks that are too late to be heard; the rooms' time goes on, so taps see a hole.
    fn skip(&mut self, ticks: u64) {
        self.health.skipped_ticks += ticks;
        self.deadline += TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        for room in &mut self.rooms {
            let from = room.at;
            room.at = next(from, ticks);
            room.schedule.note(Obeyed::Jump(from), room.at);
        }
    }

    fn obey(&mut self) {
        for _ in 0..COMMANDS_PER_TICK {
            if self.garbage.vacant() == 0 {
                break;
            }
            let Some(command) = self.commands.pop() else { break };
            let (room, found) = (command.room(), self.find(command.room()));
            let refusal = match (command, found) {
                (Command::Open { schedule, .. }, Ok(_)) => self.throw(schedule, Some(Refusal::AlreadyOpen)),
                (Command::Open { schedule, .. }, Err(_)) if self.rooms.len() == ROOMS_MAX => {
                    self.throw(schedule, Some(Refusal::Full))
                }
                (Command::Open { mut schedule, epoch, .. }, Err(index)) => {
                    let ticks = self.deadline.saturating_duration_since(epoch).as_nanos() / TICK.as_nanos();
                    let at = next(MediaTime::ZERO, u64::try_from(ticks).unwrap_or(u64::MAX >> 16));
                    schedule.note(Obeyed::Open(schedule.number()), at);
                    self.rooms.insert(index, Room { id: room, at, schedule });
                    None
                }
                (Command::Rebuild { mut schedule, .. }, Ok(index)) => {
                    let Room { at, schedule: current, .. } = &mut self.rooms[index];
                    schedule.adopt(current);
                    schedule.note(Obeyed::Rebuild(schedule.number()), *at);
                    let old = std::mem::replace(current, schedule);
                    self.throw(old, None)
                }
                (Command::Rebuild { schedule, .. }, Err(_)) => self.throw(schedule, Some(Refusal::NoSuchRoom)),
                (Command::Tell { node, control, .. }, Ok(index)) => {
                    let Room { at, schedule, .. } = &mut self.rooms[index];
                    schedule.note(Obeyed::Tell(node, control), *at);
                    let obeyed = schedule.control(node, control);
                    (!obeyed).then_some(Refusal::NoSuchNode)
                }
                (Command::Close { .. }, Ok(index)) => {
                    let Room { at, mut schedule, .. } = self.rooms.remove(index);
                    schedule.note(Obeyed::Close, at);
                    self.events_dropped += schedule.events_dropped();
                    self.tell(Report::Closed { room, at });
                    self.throw(schedule, None)
                }
                (Command::Tell { .. } | Command::Close { .. }, Err(_)) => Some(Refusal::NoSuchRoom),
            };
            if let Some(why) = refusal {
                self.tell(Report::Refused { room, why });
            }
        }
    }

    /// Sends `schedule` to the reaper.
    fn throw(&mut self, schedule: Box<Schedule>, refusal: Option<Refusal>) -> Option<Refusal> {
        if let Err(garbage) = self.garbage.push(Garbage { _schedule: schedule }) {
            // A command makes one piece of garbage and is only read when there is room for it. Leaking would
            // still be better than freeing here.
            std::mem::forget(garbage);
        }
        refusal
    }

    fn tell(&mut self, report: Report) {
        self.health.reports_dropped += u64::from(self.reports.push(report).is_err());
    }

    fn tell_health(&mut self) {
        let in_rooms: u64 = self.rooms.iter().map(|room| room.schedule.events_dropped()).sum();
        let mut health = self.health;
        health.rooms = self.rooms.len();
        health.reports_dropped += self.events_dropped + in_rooms;
        (self.health.lateness_max, self.health.work_max) = (Duration::ZERO, Duration::ZERO);
        self.tell(Report::Health(health));
    }

    fn find(&self, room: RoomId) -> Result<usize, usize> {
        self.rooms.binary_search_by_key(&room, |room| room.id)
    }
}

/// `ticks` ticks after `at`.
fn next(at: MediaTime, ticks: u64) -> MediaTime {
    MediaTime::from_ticks(at.ticks() + ticks * CLOCK_HZ / u64::from(TICKS_PER_SECOND))
}
