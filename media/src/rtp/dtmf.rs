//! Keys of a telephone as events in RTP (RFC 4733): each key heard once, however its packets came.
//!
//! A key is a row of packets with one timestamp, its start, and a growing duration; the last is sent three times.
//! The [`Receiver`] knows a key by its start, so copies, late packets and a lost end neither double nor hide it,
//! and any one packet of the row is enough. The [`Sender`] makes such rows in the place of packets of sound.
//! Told packets and the time; no allocation after `new`.

use std::{collections::VecDeque, fmt};

use thiserror::Error;

use super::{
    seq::{Clock, RtpTime},
    source::Arrival,
};
use crate::time::MediaTime;

/// A key counts as let go when nothing was heard of it for so long: five of the slowest senders' packets.
const SILENT_MS: u64 = 250;

/// The longest duration that a packet can say; a longer press continues in a new segment.
const SEGMENT: i64 = 0xffff;

/// Segments of one press begin so close to the longest duration: senders round down to whole packets.
const SEGMENT_SLACK_MS: u32 = 110;

/// How often the last packet of a key is sent (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;

/// Silence between two keys that are sent: what receivers of tones need, so what gateways behind us need.
const PAUSE_MS: u32 = 60;

/// A press that is sent lasts at least as long as a detector of tones needs.
const SHORTEST_MS: u32 = 60;

/// Keys waiting to be sent: twice the longest telephone number.
const QUEUE: usize = 32;

/// The loudness of the tone that stands behind an event, in -dBm0.
const VOLUME: u8 = 10;

/// One of the sixteen keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u8);

/// What was heard of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It went down.
    Pressed(Key),
    /// It came up again.
    Released {
        /// The key.
        key: Key,
        /// How long it was down, as far as was heard, in ticks of the clock.
        ticks: i64,
    },
}

/// Up to three events, in order: an old key let go, a new one pressed, and let go with the same packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    list: [Option<Event>; 3],
    count: usize,
}

/// The queue of keys to be sent is full: the caller's fault, who should wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{QUEUE} keys are waiting to be sent already")]
pub struct QueueFull;

/// One packet of a key, to be sent in the place of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Set on a key's first packet.
    pub marker: bool,
    /// The start of the key, or of its segment.
    pub time: RtpTime,
    /// The payload.
    pub payload: [u8; 4],
}

impl Key {
    /// The key with this sign: 0 to 9, `*`, `#`, A to D.
    pub fn from_char(sign: char) -> Option<Self> {
        SIGNS.iter().position(|known| *known == sign.to_ascii_uppercase()).map(|event| Self(event as u8))
    }

    /// Its sign.
    pub fn as_char(self) -> char {
        SIGNS[usize::from(self.0)]
    }
}

const SIGNS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

// A key may be part of a secret number: only whoever asks for its sign sees it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(_)")
    }
}

impl Heard {
    fn push(&mut self, event: Event) {
        self.list[self.count] = Some(event);
        self.count += 1;
    }
}

impl IntoIterator for Heard {
    type Item = Event;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Event>, 3>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().flatten()
    }
}

/// Hears the keys of one stream.
#[derive(Clone, Debug)]
pub struct Receiver {
    clock: Clock,
    down: Option<Down>,
    /// The latest start of a key or segment that is over.
    over: Option<i64>,
    ignored: u64,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    key: Key,
    start: i64,
    segment: i64,
    ticks: i64,
    last_at: MediaTime,
}

impl Receiver {
    /// No key was heard yet. `clock` is that of the stream the events are in.
    pub fn new(clock: Clock) -> Self {
        Self { clock, down: None, over: None, ignored: 0 }
    }

    /// Takes a telephone-event packet.
    pub fn hear(&mut self, arrival: Arrival, payload: &[u8]) -> Heard {
        let mut heard = Heard::default();
        if arrival.restarted {
            self.release(&mut heard);
            self.over = None;
        }
        let &[event @ 0..=15, flags, high, low, ..] = payload else {
            self.ignored += 1;
            return heard;
        };
        let (key, start) = (Key(event), arrival.time);
        let ends = flags & 0x80 != 0;
        let ticks = i64::from(u16::from_be_bytes([high, low]));
        if self.over.is_some_and(|over| start <= over) {
            return heard;
        }
        match &mut self.down {
            Some(down) if start < down.segment => return heard,
            Some(down) if down.key == key && continues(self.clock, down.segment, start) => {
                down.segment = start;
                down.ticks = down.ticks.max(start - down.start + ticks);
                down.last_at = arrival.at;
            }
            Some(down) if start == down.segment => return heard,
            _ => {
                self.release(&mut heard);
                heard.push(Event::Pressed(key));
                self.down = Some(Down { key, start, segment: start, ticks, last_at: arrival.at });
            }
        }
        if ends {
            self.release(&mut heard);
        }
        heard
    }

    /// Lets go of a key of which nothing was heard for long: its end was lost.
    pub fn tick(&mut self, now: MediaTime) -> Option<Event> {
        let silent_since = self.down?.last_at;
        if now.since(silent_since).as_millis() < u128::from(SILENT_MS) {
            return None;
        }
        let mut heard = Heard::default();
        self.release(&mut heard);
        heard.into_iter().next()
    }

    /// Packets that hold no key: other events, or too short.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn release(&mut self, heard: &mut Heard) {
        if let Some(down) = self.down.take() {
            self.over = Some(down.segment);
            heard.push(Event::Released { key: down.key, ticks: down.ticks });
        }
    }
}

/// Whether a packet that starts at `start` is of the segment, or of the one that continues it.
fn continues(clock: Clock, segment: i64, start: i64) -> bool {
    let step = start - segment;
    step == 0 || (SEGMENT - clock.ticks_of_ms(SEGMENT_SLACK_MS)..=SEGMENT + 1).contains(&step)
}

/// Sends keys, one after the other.
#[derive(Clone, Debug)]
pub struct Sender {
    clock: Clock,
    queue: VecDeque<(Key, i64)>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Idle,
    Pressing { key: Key, segment: RtpTime, before: i64, elapsed: i64, total: i64 },
    Ending { time: RtpTime, payload: [u8; 4], left: u8 },
    Pausing { left: i64 },
}

impl Sender {
    /// Nothing to send. `clock` is that of the stream.
    pub fn new(clock: Clock) -> Self {
        Self { clock, queue: VecDeque::with_capacity(QUEUE), stage: Stage::Idle }
    }

    /// Queues a key, to be down for `press_ms` but at least 60 ms.
    ///
    /// # Errors
    /// When 32 keys are waiting.
    pub fn press(&mut self, key: Key, press_ms: u32) -> Result<(), QueueFull> {
        if self.queue.len() == QUEUE {
            return Err(QueueFull);
        }
        self.queue.push_back((key, self.clock.ticks_of_ms(press_ms.max(SHORTEST_MS))));
        Ok(())
    }

    /// Whether nothing is being sent and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && matches!(self.stage, Stage::Idle | Stage::Pausing { .. })
    }

    /// The packet for the `ticks` that begin at `time`, instead of sound; `None` when sound may be sent. To be
    /// asked once for every packet of the stream.
    pub fn next(&mut self, time: RtpTime, ticks: i64) -> Option<Outgoing> {
        if let Stage::Pausing { left } = &mut self.stage {
            *left -= ticks;
            if *left > 0 {
                return None;
            }
            self.stage = Stage::Idle;
        }
        let mut marker = false;
        if matches!(self.stage, Stage::Idle) {
            let (key, total) = self.queue.pop_front()?;
            self.stage = Stage::Pressing { key, segment: time, before: 0, elapsed: 0, total };
            marker = true;
        }
        match &mut self.stage {
            Stage::Pressing { key, segment, before, elapsed, total } => {
                *elapsed = (*elapsed + ticks).min(*total);
                if *elapsed - *before > SEGMENT {
                    *before += SEGMENT;
                    *segment = segment.plus(SEGMENT as u32);
                }
                let ends = elapsed == total;
                let [high, low] = ((*elapsed - *before) as u16).to_be_bytes();
                let payload = [key.0, u8::from(ends) << 7 | VOLUME, high, low];
                let time = *segment;
                if ends {
                    self.stage = Stage::Ending { time, payload, left: ENDS - 1 };
                }
                Some(Outgoing { marker, time, payload })
            }
            Stage::Ending { time, payload, left } => {
                let outgoing = Outgoing { marker: false, time: *time, payload: *payload };
                *left -= 1;
                if *left == 0 {
                    self.stage = Stage::Pausing { left: self.clock.ticks_of_ms(PAUSE_MS) };
                }
                Some(outgoing)
            }
            Stage::Idle | Stage::Pausing { .. } => None,
        }
    }
}
