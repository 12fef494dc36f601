//! The load generator: many calls from one thread, each of which says something and knows it again when it returns.
//!
//! It runs in a process of its own, so that what it costs is not counted as the server's. Every packet of PCMU carries
//! a mark and its own number in its first samples; whoever echoes sound sample for sample sends them back, wherever in
//! a packet. The round trip of a sound is from when its packet left until the first sample of it is heard, so that
//! what the server's jitter buffer adds is in it. One thread, one socket a call, waiting for all of them at once.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use media::{
    codec::g711::Law,
    rtp::{
        packet::{Contributors, Packet, is_rtcp},
        seq::{RtpTime, SeqNo},
    },
};
use mio::{Events, Interest, Poll, Token, net::UdpSocket};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Load {
    /// Who echoes: a call each.
    pub targets: Vec<SocketAddr>,
    /// How long the calls go on before anything counts.
    pub warm_up: Duration,
    /// How long is measured.
    pub measured: Duration,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From here on everything counts.
    Measuring,
    /// The calls go on for a little, so that what is under way comes back.
    Measured,
}

/// What was measured, from the caller's end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Calls.
    pub calls: usize,
    /// Packets whose sound should have come back.
    pub sent: u64,
    /// Of these: packets whose sound did not.
    pub lost: u64,
    /// Packets of the echo that never came, by their numbers.
    pub missing: u64,
    /// Packets that our own socket did not take.
    pub unsent: u64,
    /// From sending a sound to hearing it, in milliseconds.
    pub round_trip_ms: Tail,
    /// By how much the time between two packets of the echo differs from what it should be, in milliseconds.
    pub jitter_ms: Tail,
    /// How late the generator itself sent, in milliseconds: what it adds to the jitter that the server sees.
    pub sent_late_ms: Tail,
}

/// The tail of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Half of the values are at most this.
    pub p50: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// None is more.
    pub max: f64,
}

impl Tail {
    /// Of these values, in any order.
    pub fn of(mut values: Vec<f32>) -> Self {
        values.sort_by(f32::total_cmp);
        let at = |percent: usize| {
            let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
            values.get(index).map_or(0.0, |value| (f64::from(*value) * 1e3).round() / 1e3)
        };
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }
}

/// Makes the calls; `told` hears how far it is. Takes as long as the load says, and a second.
///
/// # Errors
/// When the system gives no sockets.
///
/// # Panics
/// Without targets.
pub fn run(load: &Load, clock: Clock, mut told: impl FnMut(Stage)) -> io::Result<Figures> {
    assert!(!load.targets.is_empty(), "there is somebody to call");
    let mut poll = Poll::new()?;
    let mut calls = Vec::with_capacity(load.targets.len());
    for (index, target) in load.targets.iter().enumerate() {
        let mut call = Call::dial(*target, index as u32)?;
        poll.registry().register(&mut call.socket, Token(index), Interest::READABLE)?;
        calls.push(call);
    }
    let schedule = Schedule::new(load, clock.now());
    let mut tally = Tally::default();
    let mut events = Events::with_capacity(1_024);
    let mut stage = None;
    for turn in 0..schedule.turns() {
        let due = schedule.due(turn);
        loop {
            let now = clock.now();
            if now >= due {
                break;
            }
            // Rounded up to a millisecond by the system; what is late by then is sent in a row.
            if let Err(error) = poll.poll(&mut events, Some(due - now))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                calls[event.token().0].listen(clock, &schedule, &mut tally);
            }
        }
        let next = schedule.stage(turn);
        if next != stage {
            stage = next;
            stage.into_iter().for_each(&mut told);
        }
        let now = clock.now();
        let call = (turn % calls.len() as u64) as usize;
        if schedule.counts(turn) {
            tally.sent_late_ms.push((now - due).as_secs_f32() * 1e3);
        }
        calls[call].speak(now, schedule.counts(turn), &mut tally);
    }
    let (mut sent, mut lost) = (0, 0);
    for call in &calls {
        let counted = call.sounds.iter().filter(|sound| sound.counts);
        sent += counted.clone().count() as u64;
        lost += counted.filter(|sound| !sound.came_back).count() as u64;
    }
    Ok(Figures {
        calls: calls.len(),
        sent,
        lost,
        missing: tally.missing,
        unsent: tally.unsent,
        round_trip_ms: Tail::of(tally.round_trip_ms),
        jitter_ms: Tail::of(tally.jitter_ms),
        sent_late_ms: Tail::of(tally.sent_late_ms),
    })
}

/// A packet of every call in turn, evenly spread over the 20 ms of a packet.
struct Schedule {
    began: Instant,
    calls: u64,
    measured_from: Instant,
    measured_until: Instant,
    ends: Instant,
}

impl Schedule {
    fn new(load: &Load, began: Instant) -> Self {
        let measured_from = began + load.warm_up;
        let measured_until = measured_from + load.measured;
        Self { began, calls: load.targets.len() as u64, measured_from, measured_until, ends: measured_until + FADE_OUT }
    }

    fn turns(&self) -> u64 {
        ((self.ends - self.began).as_micros() / PACKET.as_micros()) as u64 * self.calls
    }

    fn due(&self, turn: u64) -> Instant {
        self.began + Duration::from_nanos(turn * PACKET.as_nanos() as u64 / self.calls)
    }

    fn counts(&self, turn: u64) -> bool {
        self.counts_at(self.due(turn))
    }

    fn counts_at(&self, at: Instant) -> bool {
        (self.measured_from..self.measured_until).contains(&at)
    }

    fn stage(&self, turn: u64) -> Option<Stage> {
        let at = self.due(turn);
        match at >= self.measured_from {
            true if at >= self.measured_until => Some(Stage::Measured),
            true => Some(Stage::Measuring),
            false => None,
        }
    }
}

/// What all calls count.
#[derive(Default)]
struct Tally {
    round_trip_ms: Vec<f32>,
    jitter_ms: Vec<f32>,
    sent_late_ms: Vec<f32>,
    missing: u64,
    unsent: u64,
}

/// One call.
struct Call {
    socket: UdpSocket,
    ssrc: u32,
    /// The sounds that were sent, by their numbers.
    sounds: Vec<Sound>,
    /// The packet of the echo that came last: its number, its timestamp, and when it came.
    last: Option<(SeqNo, RtpTime, Instant)>,
    /// The last bytes of it: a mark may lie across two packets.
    carried: Vec<u8>,
}

/// What became of a packet of ours.
struct Sound {
    left_at: Instant,
    /// Whether it was due while it was measured.
    counts: bool,
    came_back: bool,
}

impl Call {
    fn dial(target: SocketAddr, index: u32) -> io::Result<Self> {
        let ours: SocketAddr = match (target.is_ipv4(), target.ip().is_loopback()) {
            (true, true) => (Ipv4Addr::LOCALHOST, 0).into(),
            (true, false) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            (false, true) => (Ipv6Addr::LOCALHOST, 0).into(),
            (false, false) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(ours)?;
        socket.connect(target)?;
        Ok(Self { socket, ssrc: 0x6861_0000 + index, sounds: Vec::new(), last: None, carried: Vec::new() })
    }

    /// Sends the next packet.
    fn speak(&mut self, now: Instant, counts: bool, tally: &mut Tally) {
        let number = self.sounds.len() as u32;
        let payload = sound(number);
        let packet = Packet {
            marker: number == 0,
            payload_type: PCMU,
            seq: SeqNo(number as u16),
            time: RtpTime(number.wrapping_mul(PACKET_SAMPLES as u32)),
            ssrc: self.ssrc,
            contributors: Contributors::default(),
            extension: None,
            payload: &payload,
            padding_bytes: 0,
        };
        let mut bytes = [0; PACKET_SAMPLES + 64];
        let length = packet.write(&mut bytes).expect("a packet of 20 ms has room");
        // Who is not there yet refuses the first packets of a call, and the system tells us with a later one.
        tally.unsent += u64::from(self.socket.send(&bytes[..length]).is_err());
        self.sounds.push(Sound { left_at: now, counts, came_back: false });
    }

    /// Takes all that has come.
    fn listen(&mut self, clock: Clock, schedule: &Schedule, tally: &mut Tally) {
        let mut bytes = [0; 2_048];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(length) => self.hear(&bytes[..length], clock.now(), schedule, tally),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                Err(_) => return,
            }
        }
    }

    fn hear(&mut self, bytes: &[u8], at: Instant, schedule: &Schedule, tally: &mut Tally) {
        if is_rtcp(bytes) {
            return;
        }
        let Ok(packet) = Packet::parse(bytes) else { return };
        if packet.payload_type != PCMU {
            return;
        }
        if let Some((seq, time, before)) = self.last {
            let step = packet.seq.since(seq);
            if step <= 0 {
                return;
            }
            if step > 1 {
                self.carried.clear();
            }
            if schedule.counts_at(at) {
                let should_ms = f64::from(packet.time.since(time)) / SAMPLES_PER_MS;
                let differs_ms = (at - before).as_secs_f64() * 1e3 - should_ms;
                tally.jitter_ms.push(differs_ms.abs() as f32);
                tally.missing += u64::from(step.unsigned_abs()) - 1;
            }
        }
        self.last = Some((packet.seq, packet.time, at));
        let carried = self.carried.len();
        self.carried.extend_from_slice(packet.payload);
        for (place, number) in marks(&self.carried) {
            let Some(sound) = self.sounds.get_mut(number as usize).filter(|sound| !sound.came_back) else { continue };
            sound.came_back = true;
            if sound.counts {
                let in_packet_ms = (place as f64 - carried as f64) / SAMPLES_PER_MS;
                let round_trip_ms = (at - sound.left_at).as_secs_f64() * 1e3 + in_packet_ms;
                tally.round_trip_ms.push(round_trip_ms as f32);
            }
        }
        let keep = self.carried.len().saturating_sub(MARK_BYTES - 1);
        self.carried.drain(..keep);
    }
}

/// A packet's payload: the mark, its number, and a soft hum.
fn sound(number: u32) -> [u8; PACKET_SAMPLES] {
    let mut payload = std::array::from_fn(|n| {
        let phase = (number as usize * PACKET_SAMPLES + n) as f32 * 0.1;
        match Law::Mu.encode(0.1 * phase.sin()) {
            // The law has two zeros, and decoding makes one of them.
            NEGATIVE_ZERO => 0xff,
            byte => byte,
        }
    });
    let digits = [number >> 12 & 63, number >> 6 & 63, number & 63];
    let check = digits.iter().fold(SALT, |sum, digit| sum ^ digit);
    payload[0] = Law::Mu.encode(MARK);
    for (byte, digit) in payload[1..MARK_BYTES].iter_mut().zip(digits.into_iter().chain([check])) {
        // The softest positive samples: none is the mark, and each survives decoding and encoding.
        *byte = 0xff - digit as u8;
    }
    payload
}

/// The marks that lie whole in `bytes`: where, and the number of each.
fn marks(bytes: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let mark = Law::Mu.encode(MARK);
    bytes.windows(MARK_BYTES).enumerate().filter(move |(_, window)| window[0] == mark).filter_map(|(place, window)| {
        let digits: [u32; 4] = std::array::from_fn(|n| u32::from(0xff - window[n + 1]));
        let is_whole = digits.iter().all(|digit| *digit < 64) && digits.iter().fold(SALT, |sum, d| sum ^ d) == 0;
        is_whole.then(|| (place, digits[0] << 12 | digits[1] << 6 | digits[2]))
    })
}

/// As long as a packet of nearly every telephone.
const PACKET: Duration = Duration::from_millis(20);
const PACKET_SAMPLES: usize = 160;
const SAMPLES_PER_MS: f64 = 8.0;

/// After what is measured the calls go on: longer than any jitter buffer here waits.
const FADE_OUT: Duration = Duration::from_millis(800);

/// The static payload type of PCMU (RFC 3551).
const PCMU: u8 = 0;

/// The zero of mu-law that decodes to the other one.
const NEGATIVE_ZERO: u8 = 0x7f;

/// The level of the mark: well above the hum, and below where a mixer begins to bend.
const MARK: f32 = 0.7;
/// The mark, three digits of 6 bits and their check.
const MARK_BYTES: usize = 5;
/// So that zeros are no number.
const SALT: u32 = 0x2a;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_is_known_again_wherever_it_lies_and_never_taken_for_another() {
        for number in (0..262_144).step_by(517) {
            let sound = sound(number);
            assert_eq!(marks(&sound).collect::<Vec<_>>(), [(0, number)]);
            let again: Vec<u8> = sound.iter().map(|byte| Law::Mu.encode(Law::Mu.decode(*byte))).collect();
            assert_eq!(again, sound, "decoding and encoding leaves it alone");
            let shifted = [&sound[77..], &super::sound(number ^ 1)[..]].concat();
            assert_eq!(marks(&shifted).collect::<Vec<_>>(), [(83, number ^ 1)]);
        }
        let damaged = {
            let mut sound = sound(4_711);
            sound[3] ^= 1;
            sound
        };
        assert_eq!(marks(&damaged).count(), 0);
    }

    #[test]
    fn the_tail_of_nothing_is_zero_and_of_a_hundred_values_their_ranks() {
        assert_eq!(Tail::of(Vec::new()), Tail::default());
        let tail = Tail::of((1..=100).rev().map(|value| value as f32).collect());
        assert_eq!(tail, Tail { p50: 51.0, p95: 96.0, p99: 100.0, max: 100.0 });
    }

    #[test]
    fn packets_of_all_calls_are_spread_evenly_and_stages_follow_each_other() {
        let load = Load {
            targets: vec![(Ipv4Addr::LOCALHOST, 9).into(); 4],
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(2),
        };
        let schedule = Schedule::new(&load, Clock.now());
        assert_eq!(schedule.turns(), 4 * 190);
        assert_eq!(schedule.due(5) - schedule.due(4), Duration::from_millis(5));
        let stages: Vec<_> = [0, 199, 200, 599, 600].map(|turn| schedule.stage(turn)).to_vec();
        assert_eq!(stages, [None, None, Some(Stage::Measuring), Some(Stage::Measuring), Some(Stage::Measured)],);
        assert_eq!((0..schedule.turns()).filter(|turn| schedule.counts(*turn)).count(), 400);
    }
}
