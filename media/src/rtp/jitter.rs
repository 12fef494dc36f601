//! The adaptive jitter buffer: packets go in as they come, and are pulled out in order and in time.
//!
//! A fixed ring of packets, one slot a sequence number. Whoever plays pulls when it runs out of samples and is
//! given the next packet, or told to conceal, or that nobody speaks. How long packets wait follows [`Delay`].
//! While the buffer is shorter than its target, a missing packet is waited for behind a concealment, so nothing
//! is lost to make the wait longer. Runs on the engine's thread; a slot's bytes are made with the buffer and
//! grow once if a packet is larger, so nothing allocates after the first lap of the ring.

use super::{
    delay::{Bounds, Delay},
    packet::LONGEST_BYTES,
    seq::Clock,
    source::Arrival,
};
use crate::time::MediaTime;

/// Slots of the ring: 1.28 s of 20 ms. What is further ahead pushes the oldest out.
const SLOTS: usize = 64;

/// Concealed without a packet for so long, a stream counts as silent: a concealment has faded by then.
const SILENT_AFTER_MS: u32 = 120;

/// How much is concealed at once while waiting for a packet: a tick, so that it is played as soon as it comes.
const WAIT_MS: u32 = 10;

/// The longest packet that teaches how long packets are (RFC 7587: Opus has none longer).
const LONGEST_MS: u32 = 120;

/// A gap in the timestamps longer than this is a jump, not a silence: a sender says something sooner.
const LONGEST_SILENCE_MS: u32 = 120_000;

/// What a buffer is made for.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The clock of the stream's timestamps.
    pub clock: Clock,
    /// How long packets are until two of them tell.
    pub packet_ms: u32,
    /// Room in each slot to begin with; larger payloads up to a network packet are taken too.
    pub payload_bytes: usize,
    /// Bounds of the wait.
    pub bounds: Bounds,
}

/// What became of a packet that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for its time.
    Kept,
    /// Its time had passed: it was concealed already.
    Late,
    /// It was here before.
    Duplicate,
    /// It is longer than a network packet.
    TooLong,
}

/// What is to be played next.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled<'a> {
    /// The next packet.
    Packet {
        /// The payload type it came with.
        payload_type: u8,
        /// What the codec made.
        payload: &'a [u8],
    },
    /// A packet that has not come: to be concealed.
    Missing {
        /// How long, in ticks of the clock.
        ticks: i64,
        /// The payload after it, if that is here: Opus may carry a copy of the missing one in it.
        next: Option<&'a [u8]>,
    },
    /// Nobody speaks.
    Silence,
}

/// What was counted since the buffer was made. Times are in ticks of the stream's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets pulled.
    pub played: u64,
    /// Packets that were concealed and whose place is past, whether they came later or never.
    pub lost: u64,
    /// Packets that came after their place was past.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets pushed out unplayed because the ring was full.
    pub overflowed: u64,
    /// Packets longer than a network packet.
    pub too_long: u64,
    /// Time concealed, waits included.
    pub concealed_ticks: u64,
    /// Of it: time concealed to wait for a packet, after which nothing was left out.
    pub waited_ticks: u64,
    /// How often the stream ran dry until it counted as silent.
    pub dry: u64,
    /// How often the source or the timestamps began anew.
    pub restarts: u64,
}

/// Packets of one stream, waiting for their time.
pub struct Jitter {
    shape: Shape,
    slots: Box<[Slot]>,
    delay: Delay,
    filled: usize,
    highest: i64,
    last_put: Option<(i64, i64)>,
    packet_ticks: i64,
    stage: Stage,
    /// The packet to be pulled next, and the timestamp at which it should begin.
    next_seq: i64,
    next_time: i64,
    /// Time concealed since the last packet without moving on: what is owed to the gap if one follows.
    waited: i64,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing came yet.
    Empty,
    /// The first packet of a spurt of talk waits for its time.
    Holding,
    /// Packets are pulled one after the other.
    Playing,
}

struct Slot {
    holds: Holds,
    seq: i64,
    time: i64,
    payload_type: u8,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    Sound,
    /// A packet of the stream's numbers that is no sound, such as a telephone-event.
    Other,
}

impl Jitter {
    /// An empty buffer.
    pub fn new(shape: Shape) -> Self {
        let empty = || Slot {
            holds: Holds::Nothing,
            seq: 0,
            time: 0,
            payload_type: 0,
            payload: Vec::with_capacity(shape.payload_bytes),
        };
        Self {
            shape,
            slots: (0..SLOTS).map(|_| empty()).collect(),
            delay: Delay::new(shape.clock, shape.bounds),
            filled: 0,
            highest: 0,
            last_put: None,
            packet_ticks: shape.clock.ticks_of_ms(shape.packet_ms),
            stage: Stage::Empty,
            next_seq: 0,
            next_time: 0,
            waited: 0,
            stats: Stats::default(),
        }
    }

    /// Puts in a packet of sound.
    pub fn put(&mut self, arrival: Arrival, payload_type: u8, payload: &[u8]) -> Put {
        if payload.len() > LONGEST_BYTES {
            self.stats.too_long += 1;
            return Put::TooLong;
        }
        if arrival.restarted {
            self.restart();
        }
        if self.delay.take(arrival.time, self.shape.clock.ticks_at(arrival.at)) && self.stage != Stage::Empty {
            self.restart();
            self.delay.take(arrival.time, self.shape.clock.ticks_at(arrival.at));
        }
        self.learn_length(arrival);
        self.place(arrival, Holds::Sound, payload_type, payload)
    }

    /// Puts in the place of a packet that has the stream's numbers but is no sound: it is not missed.
    pub fn put_other(&mut self, arrival: Arrival) -> Put {
        if arrival.restarted {
            self.restart();
        }
        self.place(arrival, Holds::Other, 0, &[])
    }

    /// What is to be played at `now`, after the `ahead_samples` that are pulled but not played yet.
    pub fn pull(&mut self, now: MediaTime, ahead_samples: usize) -> Pulled<'_> {
        match self.decide(now, ahead_samples) {
            Decided::Play(slot) => {
                let slot = &self.slots[slot];
                Pulled::Packet { payload_type: slot.payload_type, payload: &slot.payload }
            }
            Decided::Conceal { ticks, next } => {
                Pulled::Missing { ticks, next: next.map(|slot| &*self.slots[slot].payload) }
            }
            Decided::Silence => Pulled::Silence,
        }
    }

    /// How much longer than its target the next packet would wait if it were played at `now` after
    /// `ahead_samples`, in samples: to be shortened when above zero, stretched when below. Zero in a silence,
    /// which sets the wait right by itself.
    pub fn excess_samples(&self, now: MediaTime, ahead_samples: usize) -> i64 {
        match self.stage {
            Stage::Playing => self.shape.clock.samples(self.wait(now, ahead_samples) - self.delay.target()),
            Stage::Empty | Stage::Holding => 0,
        }
    }

    /// How long packets are meant to wait, in milliseconds.
    pub fn target_ms(&self) -> f64 {
        self.shape.clock.ms(self.delay.target())
    }

    /// How long a packet is, in samples, as far as is known.
    pub fn packet_samples(&self) -> usize {
        self.shape.clock.samples(self.packet_ticks) as usize
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn restart(&mut self) {
        for slot in &mut self.slots {
            slot.holds = Holds::Nothing;
        }
        self.delay.restart();
        self.filled = 0;
        self.last_put = None;
        self.stats.restarts += u64::from(self.stage != Stage::Empty);
        self.stage = Stage::Empty;
        self.waited = 0;
    }

    fn learn_length(&mut self, arrival: Arrival) {
        if let Some((seq, time)) = self.last_put
            && arrival.seq == seq + 1
        {
            let ticks = arrival.time - time;
            // A silence between two packets looks like a long one; only a shorter step corrects it.
            let longest = self.shape.clock.ticks_of_ms(LONGEST_MS);
            let believable = if self.stats.played < 2 { longest } else { self.packet_ticks };
            if (1..=believable).contains(&ticks) {
                self.packet_ticks = ticks;
            }
        }
        self.last_put = Some((arrival.seq, arrival.time));
    }

    fn place(&mut self, arrival: Arrival, holds: Holds, payload_type: u8, payload: &[u8]) -> Put {
        if self.stage == Stage::Empty {
            self.stage = Stage::Holding;
            self.next_seq = arrival.seq;
            self.next_time = arrival.time;
            self.highest = arrival.seq;
        }
        let behind = self.next_seq - arrival.seq;
        if behind > 0 {
            let unplayed = self.stage == Stage::Holding && self.stats.played == 0;
            if !unplayed || self.highest - arrival.seq >= SLOTS as i64 {
                let slot = &self.slots[index(arrival.seq)];
                let again = slot.seq == arrival.seq && slot.holds == Holds::Nothing && slot.time == arrival.time;
                *(if again { &mut self.stats.duplicates } else { &mut self.stats.late }) += 1;
                return if again { Put::Duplicate } else { Put::Late };
            }
            self.next_seq = arrival.seq;
            self.next_time = arrival.time;
        }
        if arrival.seq - self.next_seq >= SLOTS as i64 {
            self.push_out_before(arrival.seq - SLOTS as i64 + 1);
        }
        let slot = &mut self.slots[index(arrival.seq)];
        if slot.holds != Holds::Nothing {
            self.stats.duplicates += 1;
            return Put::Duplicate;
        }
        slot.holds = holds;
        slot.seq = arrival.seq;
        slot.time = arrival.time;
        slot.payload_type = payload_type;
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        self.filled += 1;
        self.highest = self.highest.max(arrival.seq);
        Put::Kept
    }

    /// Makes room: the oldest go, because the newest say what is being said now.
    fn push_out_before(&mut self, seq: i64) {
        let first = self.next_seq.max(seq - SLOTS as i64);
        for old in first..seq {
            if self.take(old) {
                self.stats.overflowed += 1;
            }
        }
        self.next_seq = seq;
        self.stage = Stage::Holding;
        self.waited = 0;
    }

    fn decide(&mut self, now: MediaTime, ahead_samples: usize) -> Decided {
        if self.stage == Stage::Empty {
            return Decided::Silence;
        }
        loop {
            let at = index(self.next_seq);
            match self.slots[at].holds {
                Holds::Other => {
                    self.take(self.next_seq);
                    self.next_seq += 1;
                    self.stage = Stage::Holding;
                    self.waited = 0;
                }
                Holds::Sound => {
                    if let Some(decided) = self.sound(at, now, ahead_samples) {
                        return decided;
                    }
                }
                Holds::Nothing if self.filled == 0 => return self.dry(),
                Holds::Nothing => {
                    if let Some(decided) = self.gap(now, ahead_samples) {
                        return decided;
                    }
                }
            }
        }
    }

    /// The next packet is here. `None` to look again.
    fn sound(&mut self, at: usize, now: MediaTime, ahead_samples: usize) -> Option<Decided> {
        let gap = self.slots[at].time - self.next_time;
        if self.stage == Stage::Playing && gap > 0 && gap <= self.shape.clock.ticks_of_ms(LONGEST_SILENCE_MS) {
            // The sender was silent in between: what was concealed meanwhile was no loss.
            self.stage = Stage::Holding;
        }
        self.next_time = self.slots[at].time;
        if self.stage == Stage::Holding {
            if self.wait(now, ahead_samples) < self.delay.target() {
                return Some(Decided::Silence);
            }
            self.stage = Stage::Playing;
        }
        self.stats.waited_ticks += self.waited as u64;
        self.waited = 0;
        self.take(self.next_seq);
        self.next_seq += 1;
        self.next_time += self.packet_ticks;
        self.stats.played += 1;
        Some(Decided::Play(at))
    }

    /// Nothing at all is here: it is late, or the sender is silent.
    fn dry(&mut self) -> Decided {
        if self.stage != Stage::Playing {
            return Decided::Silence;
        }
        if self.waited >= self.shape.clock.ticks_of_ms(SILENT_AFTER_MS) {
            self.stats.dry += 1;
            self.stage = Stage::Holding;
            self.waited = 0;
            return Decided::Silence;
        }
        self.wait_for_it()
    }

    /// The next packet is not here, but a later one is. `None` to look again.
    fn gap(&mut self, now: MediaTime, ahead_samples: usize) -> Option<Decided> {
        if self.stage == Stage::Holding {
            // Lost in a silence: nothing to conceal. While there is time it may still come.
            let first = (self.next_seq..).find(|seq| self.slots[index(*seq)].holds != Holds::Nothing)?;
            let slot = &self.slots[index(first)];
            if slot.holds == Holds::Sound {
                let until = slot.time - self.next_time;
                if self.wait(now, ahead_samples) - until < self.delay.target() {
                    return Some(Decided::Silence);
                }
            }
            self.stats.lost += (first - self.next_seq) as u64;
            self.next_seq = first;
            return None;
        }
        if self.waited >= self.packet_ticks {
            // Concealed already, while it was waited for.
            self.waited -= self.packet_ticks;
            self.pass();
            return None;
        }
        if self.wait(now, ahead_samples) < self.delay.target() {
            return Some(self.wait_for_it());
        }
        let ticks = self.packet_ticks - self.waited;
        self.waited = 0;
        self.stats.concealed_ticks += ticks as u64;
        self.pass();
        let next = index(self.next_seq);
        let next = (self.slots[next].holds == Holds::Sound).then_some(next);
        Some(Decided::Conceal { ticks, next })
    }

    /// Gives the next packet up.
    fn pass(&mut self) {
        self.stats.lost += 1;
        self.next_seq += 1;
        self.next_time += self.packet_ticks;
    }

    fn wait_for_it(&mut self) -> Decided {
        let ticks = self.shape.clock.ticks_of_ms(WAIT_MS);
        self.waited += ticks;
        self.stats.concealed_ticks += ticks as u64;
        Decided::Conceal { ticks, next: None }
    }

    /// How long the next packet would have waited since the quickest of its kind, if played at `now`.
    fn wait(&self, now: MediaTime, ahead_samples: usize) -> i64 {
        let ahead = self.shape.clock.ticks(ahead_samples as i64);
        self.shape.clock.ticks_at(now) + ahead - self.next_time - self.delay.baseline()
    }

    /// Empties a slot; its bytes stay until the next packet of that slot.
    fn take(&mut self, seq: i64) -> bool {
        let slot = &mut self.slots[index(seq)];
        let held = slot.holds != Holds::Nothing;
        slot.holds = Holds::Nothing;
        self.filled -= usize::from(held);
        held
    }
}

enum Decided {
    Play(usize),
    Conceal { ticks: i64, next: Option<usize> },
    Silence,
}

fn index(seq: i64) -> usize {
    seq.rem_euclid(SLOTS as i64) as usize
}
