//! One stream over a network that misbehaves, in virtual time: what is heard, how late, and what is made up.
//!
//! The payload of each packet is its number and the codec of the test turns it into samples of that value, so
//! what is heard says which packet it came from, and when.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

// The kit stands on this package, so its network is included, not depended on.
#[path = "../../tests/src/netem.rs"]
#[expect(dead_code, reason = "no test here rebinds")]
#[expect(unreachable_pub, reason = "it is public in the kit")]
mod netem;

use std::time::Duration;

use media::{
    rtp::{
        delay::Bounds,
        jitter::{Shape, Stats},
        packet::{Contributors, Packet},
        playout::{Ask, Made, Playout, Stretched},
        seq::{Clock, RtpTime, SeqNo},
        source::{Arrival, Source},
    },
    time::MediaTime,
};
use netem::{Loss, Netem, Weather};
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(10);
const TICK_SAMPLES: usize = 80;
const SHAPE: Shape = Shape {
    clock: Clock::TELEPHONE,
    packet_ms: 20,
    payload_bytes: 160,
    bounds: Bounds { margin_ms: 10, most_ms: 400 },
};

/// One packet that is to be sent.
#[derive(Clone, Copy)]
struct Sent {
    at: Duration,
    seq: u16,
    time: u32,
    ssrc: u32,
}

/// A stream of packets of 20 ms; the numbers wrap within it.
fn stream(packets: u32) -> Vec<Sent> {
    let sent = |number: u32| Sent {
        // The far clock is no multiple of ours.
        at: Duration::from_micros(3_700) + Duration::from_millis(20) * number,
        seq: 65_500_u16.wrapping_add(number as u16),
        time: (u32::MAX - 100_000).wrapping_add(number * 160),
        ssrc: 7,
    };
    (0..packets).map(sent).collect()
}

/// What one listener heard.
struct Heard {
    samples: Vec<f32>,
    made: Vec<Made>,
    arrivals: Vec<(u32, Duration)>,
    stats: Stats,
    stretched: Stretched,
    target_ms: f64,
}

/// Sends the stream, in the weather of its time, and listens until a second after it.
fn listen(seed: u64, sent: &[Sent], weather: impl Fn(Duration) -> Weather) -> Heard {
    let mut net = Netem::new(seed, Weather::default());
    for (number, packet) in sent.iter().enumerate() {
        let payload = (number as u32 + 1).to_be_bytes();
        let mut bytes = [0; 64];
        let packet_of = Packet {
            marker: false,
            payload_type: 0,
            seq: SeqNo(packet.seq),
            time: RtpTime(packet.time),
            ssrc: packet.ssrc,
            contributors: Contributors::default(),
            extension: None,
            payload: &payload,
            padding_bytes: 0,
        };
        let length = packet_of.write(&mut bytes).unwrap();
        net.turn(weather(packet.at));
        net.send(packet.at, &bytes[..length]);
    }
    let (mut source, mut playout) = (Source::new(SHAPE.clock), Playout::new(SHAPE));
    let (mut samples, mut made, mut arrivals) = (Vec::new(), Vec::new(), Vec::new());
    let end = sent.last().unwrap().at + Duration::from_secs(1);
    let mut now = Duration::ZERO;
    while now < end {
        while let Some((at, bytes)) = net.arrived(now) {
            let packet = Packet::parse(&bytes).unwrap();
            arrivals.push((number_of(packet.payload), at));
            if let Some(arrival) = source.hear(&packet, MediaTime::from_duration(at)) {
                playout.put(arrival, packet.payload_type, packet.payload);
            }
        }
        let mut out = [0.0; TICK_SAMPLES];
        made.push(playout.tick(MediaTime::from_duration(now), &mut out, &mut |ask, out| match ask {
            Ask::Decode { payload, .. } => {
                out[..160].fill(number_of(payload) as f32);
                Some(160)
            }
            Ask::Conceal { .. } => None,
        }));
        samples.extend_from_slice(&out);
        now += TICK;
    }
    Heard {
        samples,
        made,
        arrivals,
        stats: playout.stats(),
        stretched: playout.stretched(),
        target_ms: playout.target_ms(),
    }
}

fn number_of(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().unwrap())
}

impl Heard {
    /// The packets that were heard, in order, each with the time of its first clear sample.
    fn packets(&self) -> Vec<(u32, Duration)> {
        let mut packets: Vec<(u32, Duration)> = Vec::new();
        for (at, pair) in self.samples.windows(2).enumerate() {
            let number = pair[0] as u32;
            let clear = pair[0] == pair[1] && pair[0].fract() == 0.0 && number > 0;
            if clear && packets.last().is_none_or(|(last, _)| *last != number) {
                packets.push((number, Duration::from_micros(at as u64 * 125)));
            }
        }
        packets
    }

    /// How long each packet that was heard waited in the buffer, in milliseconds.
    fn waits_ms(&self) -> Vec<f64> {
        let arrived = |number| self.arrivals.iter().find(|(came, _)| *came == number).unwrap().1;
        // A packet of a repeated period may begin a little before its own first clear sample.
        self.packets()
            .iter()
            .map(|(number, at)| at.as_secs_f64() * 1e3 - arrived(*number).as_secs_f64() * 1e3)
            .collect()
    }

    /// The longest time concealed in a row between two times.
    fn longest_gap_ms(&self, from: Duration, to: Duration) -> usize {
        let ticks = |time: Duration| (time.as_millis() / TICK.as_millis()) as usize;
        let made = &self.made[ticks(from)..ticks(to)];
        made.split(|made| made.concealed == 0).map(|gap| gap.len() * 10).max().unwrap()
    }

    /// Milliseconds concealed between two times.
    fn concealed_ms(&self, from: Duration, to: Duration) -> usize {
        let ticks = |time: Duration| (time.as_millis() / TICK.as_millis()) as usize;
        self.made[ticks(from)..ticks(to)].iter().map(|made| made.concealed).sum::<usize>() / 8
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_clean_link_adds_at_most_25_ms_and_makes_nothing_up() {
    let heard = listen(1, &stream(1_500), |_| Weather { delay: Duration::from_millis(40), ..Weather::default() });
    let waits = heard.waits_ms();
    let worst = waits[50..].iter().copied().fold(0.0, f64::max);
    println!("clean link: waits of {:.1} to {worst:.1} ms", waits[50..].iter().copied().fold(f64::MAX, f64::min));
    assert!(worst <= 25.0, "waited {worst} ms");
    assert_eq!(heard.concealed_ms(Duration::ZERO, secs(30)), 0);
    assert_eq!(heard.packets().len(), 1_500);
}

#[test]
fn a_step_of_60_ms_jitter_is_followed_within_two_seconds() {
    for seed in 0..20 {
        let heard = listen(seed, &stream(1_500), |at| Weather {
            delay: Duration::from_millis(40),
            jitter: if at < secs(10) { Duration::ZERO } else { Duration::from_millis(60) },
            ..Weather::default()
        });
        let (first, later) = (heard.concealed_ms(secs(10), secs(12)), heard.concealed_ms(secs(12), secs(30)));
        let gap = heard.longest_gap_ms(secs(10), secs(12));
        println!("seed {seed}: {first} ms made up, {gap} in a row, then {later}; target {:.0} ms", heard.target_ms);
        assert!(gap <= 60, "a gap of {gap} ms is heard, seed {seed}");
        assert!(first <= 120, "{first} ms made up in the first two seconds of seed {seed}");
        assert_eq!(later, 0, "made up in the 18 s after, seed {seed}");
    }
}

#[test]
fn jitter_that_ends_gives_its_delay_back() {
    let heard = listen(3, &stream(3_000), |at| Weather {
        jitter: if at < secs(10) { Duration::from_millis(80) } else { Duration::ZERO },
        ..Weather::default()
    });
    let waits = heard.waits_ms();
    let last = waits[waits.len() - 100..].iter().copied().fold(0.0, f64::max);
    println!("after the jitter: {last:.1} ms");
    assert!(last <= 25.0, "still waits {last} ms");
    assert_eq!(heard.concealed_ms(secs(13), secs(60)), 0);
}

#[test]
fn bursts_of_loss_are_concealed_and_nothing_else_is() {
    for share in [0.0, 0.01, 0.05, 0.1, 0.2, 0.3] {
        let loss = Loss::Bursts { share, length: 3 };
        let heard = listen(11, &stream(6_000), |_| Weather { loss, ..Weather::default() });
        let came = heard.arrivals.len();
        let concealed = heard.concealed_ms(Duration::ZERO, secs(120)) as f64;
        let lost_ms = (6_000 - came) as f64 * 20.0;
        println!("{:4.0} % loss: {} lost, {concealed} ms concealed", share * 100.0, 6_000 - came);
        assert!((concealed - lost_ms).abs() <= 0.02 * lost_ms + 60.0, "{concealed} ms for {lost_ms} ms at {share}");
        assert_eq!(heard.packets().len(), came, "all that came is heard");
        let longest = heard.longest_gap_ms(Duration::ZERO, secs(120));
        assert!(longest <= 80, "a gap of {longest} ms at {share}");
    }
}

#[test]
fn what_is_reordered_or_doubled_is_heard_once_and_in_order() {
    let heard = listen(5, &stream(3_000), |_| Weather { reorder: 0.05, duplicate: 0.05, ..Weather::default() });
    let numbers: Vec<_> = heard.packets().iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let missed = 3_000 - numbers.len();
    println!("reordered: {missed} of 3000 not heard, {:?}", heard.stats);
    assert!(missed <= 6, "{missed} packets were not heard");
    assert!(heard.stats.duplicates > 100);
}

#[test]
fn clocks_that_differ_are_set_right_without_a_gap() {
    for parts in [-200_i64, 200] {
        let mut sent = stream(30_000);
        for packet in &mut sent {
            let drift = packet.at.as_micros() as i64 * parts / 1_000_000;
            packet.at = Duration::from_micros((packet.at.as_micros() as i64 + drift) as u64);
        }
        let heard = listen(2, &sent, |_| Weather::default());
        let waits = heard.waits_ms();
        let worst = waits[50..].iter().copied().fold(0.0, f64::max);
        let made_up = heard.concealed_ms(Duration::ZERO, secs(590));
        println!("{parts} ppm for 10 minutes: at most {worst:.1} ms, {made_up} ms made up, {:?}", heard.stretched);
        assert!(worst <= 32.0, "{worst} ms");
        assert_eq!(made_up, 0);
        let set_right = heard.stretched.left_out.max(heard.stretched.repeated);
        assert!((700..2_000).contains(&set_right), "120 ms are 960 samples, not {set_right}");
    }
}

#[test]
fn a_sender_that_is_silent_for_a_while_is_heard_again_from_its_first_word() {
    let mut sent = stream(600);
    for (number, packet) in sent.iter_mut().enumerate() {
        let silent = 2 * (number as u32 / 100);
        packet.at += Duration::from_secs(u64::from(silent));
        packet.time = packet.time.wrapping_add(silent * 8_000);
    }
    let heard = listen(2, &sent, |_| Weather::default());
    assert_eq!(heard.packets().len(), 600);
    assert_eq!(heard.stats.lost, 0);
    // Each pause begins with what a loss would be answered by, faded; the rest of it is silence.
    assert!(heard.concealed_ms(Duration::ZERO, secs(22)) <= 5 * 130);
    assert!(heard.waits_ms()[50..].iter().all(|wait| *wait <= 30.0));
}

#[test]
fn a_new_source_and_a_jump_of_the_timestamps_are_followed_within_two_packets() {
    let mut sent = stream(600);
    for packet in &mut sent[200..] {
        (packet.ssrc, packet.seq) = (99, packet.seq.wrapping_add(30_000));
    }
    for packet in &mut sent[400..] {
        packet.time = packet.time.wrapping_add(1_000_000_000);
    }
    let heard = listen(2, &sent, |_| Weather::default());
    let numbers: Vec<_> = heard.packets().iter().map(|(number, _)| *number).collect();
    let missed: Vec<_> = (1..=600).filter(|number| !numbers.contains(number)).collect();
    println!("missed {missed:?}, {:?}", heard.stats);
    assert!(missed.iter().all(|number| (198..=202).contains(number) || (398..=402).contains(number)), "{missed:?}");
    assert!(missed.len() <= 6);
    assert_eq!(heard.stats.restarts, 2);
    assert!(heard.waits_ms()[450..].iter().all(|wait| *wait <= 30.0));
}

#[test]
fn a_line_that_stood_still_and_pours_is_caught_up_with() {
    let mut sent = stream(1_500);
    for packet in &mut sent[500..540] {
        // As a phone does that changes its cell: 800 ms at once.
        packet.at = Duration::from_millis(10_803);
    }
    let heard = listen(2, &sent, |_| Weather::default());
    println!("poured: {:?} {:?}", heard.stats, heard.stretched);
    let numbers: Vec<_> = heard.packets().iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let waits = heard.waits_ms();
    let last = waits[waits.len() - 50..].iter().copied().fold(0.0, f64::max);
    assert!(last <= 30.0, "{last} ms after 19 s");
}

#[test]
fn the_same_seed_is_heard_the_same() {
    let weather = Weather {
        loss: Loss::Gilbert { share: 0.1, mean_length: 3.0 },
        jitter: Duration::from_millis(50),
        reorder: 0.02,
        duplicate: 0.02,
        ..Weather::default()
    };
    let (once, again) = (listen(9, &stream(1_000), |_| weather), listen(9, &stream(1_000), |_| weather));
    assert_eq!(once.samples, again.samples);
    assert_ne!(once.samples, listen(10, &stream(1_000), |_| weather).samples);
}

proptest! {
    #[test]
    fn no_row_of_packets_breaks_the_playout_or_makes_it_run_on(
        steps in prop::collection::vec(
            (-150_i64..200, prop_oneof![Just(160_i64), -2_000_i64..50_000, any::<i32>().prop_map(i64::from)], 0_u64..200, 0_u8..40),
            1..400,
        ),
    ) {
        let mut playout = Playout::new(SHAPE);
        let (mut seq, mut time, mut now, mut decoded) = (1 << 40, 1 << 40, 0, 0_u64);
        for (seq_step, time_step, pause_ms, kind) in steps {
            // Most packets are good, so that the odd ones meet a stream that plays.
            seq += if kind < 30 { 1 } else { seq_step };
            time += if kind < 30 { 160 } else { time_step };
            now += if kind < 30 { 20 } else { pause_ms };
            let arrival = Arrival { seq, time, at: MediaTime::from_millis(now), restarted: kind == 31 };
            match kind {
                32 => playout.put_other(arrival),
                33 => playout.put(arrival, 0, &[0; 1_501]),
                _ => playout.put(arrival, 0, &[0; 160]),
            };
            for tick in 0..2 {
                let mut out = [f32::NAN; TICK_SAMPLES];
                playout.tick(MediaTime::from_millis(now + tick * 10), &mut out, &mut |ask, out| match ask {
                    Ask::Decode { .. } => {
                        decoded += 1;
                        out[..160].fill(0.25);
                        (kind != 34).then_some(160)
                    }
                    Ask::Conceal { .. } => None,
                });
                prop_assert!(out.iter().all(|sample| sample.abs() <= 0.26), "{out:?}");
            }
        }
        prop_assert_eq!(playout.stats().played, decoded);
        prop_assert!(playout.target_ms() <= 400.0);
    }
}
