//! Keys sent over a network that misbehaves, in virtual time, and heard again: each once, in order.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

// The kit stands on this package, so its network is included, not depended on.
#[path = "../../tests/src/netem.rs"]
#[expect(dead_code, reason = "not every test turns the weather")]
#[expect(unreachable_pub, reason = "it is public in the kit")]
mod netem;

use std::time::Duration;

use media::{
    rtp::{
        dtmf::{Event, Key, Receiver, Sender},
        packet::{Contributors, Packet},
        seq::{Clock, RtpTime, SeqNo},
        source::{Arrival, Source},
    },
    time::MediaTime,
};
use netem::{Loss, Netem, Weather};
use proptest::prelude::*;

const CLOCK: Clock = Clock::TELEPHONE;
const EVENTS: u8 = 101;

/// What is heard of `keys`, each down for `press_ms`, between packets of sound.
fn heard(seed: u64, weather: Weather, keys: &str, press_ms: u32) -> Vec<Event> {
    let (mut sender, mut net) = (Sender::new(CLOCK), Netem::new(seed, weather));
    let (mut source, mut receiver) = (Source::new(CLOCK), Receiver::new(CLOCK));
    let mut waiting = keys.chars().map(|sign| Key::from_char(sign).unwrap()).peekable();
    let (mut events, mut quiet, mut number) = (Vec::new(), 0, 0_u32);
    // Whatever is under way arrives within a second after the last key.
    while quiet < 50 {
        let now = Duration::from_millis(20) * number;
        while waiting.peek().is_some_and(|key| sender.press(*key, press_ms).is_ok()) {
            waiting.next();
        }
        let time = RtpTime((u32::MAX - 50_000).wrapping_add(number * 160));
        let event = sender.next(time, 160);
        let packet = Packet {
            marker: event.is_some_and(|event| event.marker),
            payload_type: if event.is_some() { EVENTS } else { 0 },
            seq: SeqNo(65_400_u16.wrapping_add(number as u16)),
            time: event.map_or(time, |event| event.time),
            ssrc: 5,
            contributors: Contributors::default(),
            extension: None,
            payload: event.as_ref().map_or(&[0xff; 160][..], |event| &event.payload),
            padding_bytes: 0,
        };
        let mut bytes = [0; 200];
        let length = packet.write(&mut bytes).unwrap();
        net.send(now, &bytes[..length]);
        while let Some((at, bytes)) = net.arrived(now) {
            let packet = Packet::parse(&bytes).unwrap();
            if let Some(arrival) = source.hear(&packet, MediaTime::from_duration(at))
                && packet.payload_type == EVENTS
            {
                events.extend(receiver.hear(arrival, packet.payload));
            }
        }
        events.extend(receiver.tick(MediaTime::from_duration(now)));
        quiet = if sender.is_idle() { quiet + 1 } else { 0 };
        number += 1;
    }
    events
}

/// The signs of the keys pressed; each must be let go before the next, and for each press once.
fn signs(events: &[Event]) -> String {
    let mut down = None;
    let mut signs = String::new();
    for event in events {
        match event {
            Event::Pressed(key) => {
                assert!(down.replace(*key).is_none(), "pressed while another is down");
                signs.push(key.as_char());
            }
            Event::Released { key, .. } => assert_eq!(down.take(), Some(*key)),
        }
    }
    assert!(down.is_none(), "the last key was never let go");
    signs
}

const NUMBER: &str = "0049301122334455667788990*#ABCD111222333";

#[test]
fn a_number_is_heard_as_it_was_dialled_with_each_keys_length() {
    let events = heard(1, Weather::default(), NUMBER, 100);
    assert_eq!(signs(&events), NUMBER);
    assert!(events.iter().all(|event| !matches!(event, Event::Released { ticks, .. } if *ticks != 800)));
}

#[test]
fn keys_are_exact_through_bursts_of_loss_jitter_and_copies() {
    for share in [0.01, 0.1, 0.3] {
        for seed in 0..100 {
            let weather = Weather {
                loss: Loss::Bursts { share, length: 3 },
                jitter: Duration::from_millis(30),
                duplicate: 0.05,
                ..Weather::default()
            };
            assert_eq!(signs(&heard(seed, weather, NUMBER, 100)), NUMBER, "seed {seed} at {share}");
        }
    }
}

#[test]
fn losses_without_a_longest_row_may_hide_a_key_but_never_invent_or_double_one() {
    for share in [0.1, 0.3] {
        let loss = Loss::Gilbert { share, mean_length: 3.0 };
        let (mut dialled, mut missed) = (0, 0);
        for seed in 0..50 {
            let signs = signs(&heard(seed, Weather { loss, ..Weather::default() }, NUMBER, 120));
            let mut rest = NUMBER.chars();
            assert!(signs.chars().all(|sign| rest.any(|dialled| dialled == sign)), "{signs} is not within it");
            dialled += NUMBER.len();
            missed += NUMBER.len() - signs.len();
        }
        let missing = missed as f64 / dialled as f64;
        println!("{:.0} % of Gilbert's loss hides {:.2} % of keys of 120 ms", share * 100.0, missing * 100.0);
        assert!(missing < 0.1 * share);
    }
}

#[test]
fn a_key_held_longer_than_a_packet_can_say_is_one_key() {
    for loss in [Loss::None, Loss::Bursts { share: 0.1, length: 3 }] {
        let events = heard(4, Weather { loss, ..Weather::default() }, "5", 20_000);
        assert_eq!(signs(&events), "5");
        let Event::Released { ticks, .. } = events[1] else { panic!("let go") };
        assert!((158_000..=160_000).contains(&ticks), "{ticks} ticks");
    }
}

fn arrival(seq: i64, time: i64, at_ms: u64) -> Arrival {
    Arrival { seq, time, at: MediaTime::from_millis(at_ms), restarted: false }
}

#[test]
fn a_key_whose_end_was_lost_is_let_go_by_the_clock_or_by_the_next_key() {
    let mut receiver = Receiver::new(CLOCK);
    assert_eq!(receiver.hear(arrival(1, 1_000, 0), &[1, 10, 0, 160]).into_iter().count(), 1);
    assert_eq!(receiver.tick(MediaTime::from_millis(249)), None);
    assert!(matches!(receiver.tick(MediaTime::from_millis(250)), Some(Event::Released { ticks: 160, .. })));
    assert_eq!(receiver.hear(arrival(2, 1_000, 260), &[1, 0x8a, 1, 64]).into_iter().count(), 0, "a late end");
    receiver.hear(arrival(3, 9_000, 1_000), &[2, 10, 0, 160]);
    let overlapped: Vec<_> = receiver.hear(arrival(9, 9_800, 1_100), &[3, 10, 0, 160]).into_iter().collect();
    assert!(matches!(overlapped[..], [Event::Released { .. }, Event::Pressed(key)] if key.as_char() == '3'));
    assert_eq!(receiver.hear(arrival(4, 9_000, 1_110), &[2, 0x8a, 1, 64]).into_iter().count(), 0, "of the key before");
}

#[test]
fn events_that_are_no_keys_and_short_payloads_are_counted_and_ignored() {
    let mut receiver = Receiver::new(CLOCK);
    for payload in [&[][..], &[1, 2, 3], &[36, 10, 0, 160], &[255; 4]] {
        assert_eq!(receiver.hear(arrival(1, 1, 0), payload).into_iter().count(), 0);
    }
    assert_eq!(receiver.ignored(), 4);
}

#[test]
fn the_queue_of_keys_has_an_end() {
    let mut sender = Sender::new(CLOCK);
    let key = Key::from_char('#').unwrap();
    assert_eq!((0..40).filter(|_| sender.press(key, 100).is_ok()).count(), 32);
    assert_eq!(Key::from_char('x'), None);
    assert_eq!(format!("{key:?}"), "Key(_)", "a log shows no secret number");
}

proptest! {
    #[test]
    fn no_row_of_packets_breaks_the_order_of_pressed_and_released(
        packets in prop::collection::vec((0_i64..4_000, prop::collection::vec(any::<u8>(), 0..6), 0_u64..100, any::<bool>()), 0..200),
    ) {
        let (mut receiver, mut now, mut events) = (Receiver::new(CLOCK), 0, Vec::new());
        for (time, payload, later, restarted) in packets {
            now += later;
            let mut arrival = arrival(0, time * 80, now);
            arrival.restarted = restarted && time % 16 == 0;
            events.extend(receiver.hear(arrival, &payload));
            events.extend(receiver.tick(MediaTime::from_millis(now)));
        }
        events.extend(receiver.tick(MediaTime::from_millis(now + 1_000)));
        signs(&events);
    }
}
