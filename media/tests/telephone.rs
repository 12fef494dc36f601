//! What telephones have beside plain legs, on virtual time: keys as tones, comfort noise, numbers that differ by
//! direction, holding, and a call that changes in the midst of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

// The kit stands on this package, so its network is included, not depended on.
#[path = "../../tests/src/netem.rs"]
#[expect(dead_code, reason = "not all weather is wanted here")]
#[expect(unreachable_pub, reason = "it is public in the kit")]
mod netem;

mod call;

use std::time::{Duration, Instant, SystemTime};

use call::{Call, End, some_instant, spec};
use media::{
    bridge::{Hand, Leg, LegEvent, Plan, Switchboard},
    codec::voice::{Codec, OpusOptions},
    dsp::{
        level::rms_dbfs,
        tone::{Digit, Generator, Tone},
    },
    graph::{
        node::{Control, Event},
        nodes::tap::TapReader,
        replay::Again,
    },
    id::RoomId,
    journal::{FILE_NAME, Journal, Kind, Reader},
    ring::{
        bell::{Doorbell, bell},
        packets::{LONGEST_BYTES, PacketReader, PacketWriter, packets},
    },
    rtp::{
        dtmf,
        leg::{self, LegSpec, Rekeying, Telephone, Wire},
        packet::{Contributors, Packet, is_rtcp},
        seq::{RtpTime, SeqNo},
        srtp::{Opener, Profile, Sealer},
    },
    time::{Epoch, MediaTime},
};
use netem::{Loss, Weather};

fn tone(rate_hz: u32, seconds: usize) -> Vec<f32> {
    let sample = |n: usize| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin();
    (0..rate_hz as usize * seconds).map(sample).collect()
}

/// Keys of 80 ms with as long a pause.
fn pressed(keys: &str, rate_hz: u32) -> Vec<f32> {
    let samples = rate_hz as usize * 80 / 1_000;
    let mut all = vec![0.0; rate_hz as usize / 2];
    for label in keys.chars() {
        let mut key = vec![0.0; samples];
        Generator::new(Tone::Dtmf(Digit::new(label).unwrap()), rate_hz).write(&mut key);
        all.extend(key);
        all.extend(vec![0.0; samples]);
    }
    all
}

fn keys_of(events: &[Event]) -> String {
    let pressed = |event: &Event| match event {
        Event::Key(dtmf::Event::Pressed(key)) => Some(key.as_char()),
        _ => None,
    };
    events.iter().filter_map(pressed).collect()
}

#[tokio::test]
async fn keys_that_come_as_tones_are_told_as_keys() {
    let plain = |codec, ssrc| LegSpec { telephone_event: None, ..spec(codec, ssrc) };
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus(OpusOptions::default())] {
        let listens = Telephone { keys_in_band: true, ..Telephone::default() };
        let sound = pressed("0123456789*#", codec.sample_hz());
        let ends = [End::new(plain(codec, 1), sound), End::telephone(plain(codec, 2), listens, Vec::new())];
        let mut call = Call::new(ends, Weather { jitter: Duration::from_millis(20), ..Weather::default() });
        call.run(400);
        assert_eq!(keys_of(&call.ends[1].events), "0123456789*#", "{codec:?}");
        let released =
            call.ends[1].events.iter().filter(|event| matches!(event, Event::Key(dtmf::Event::Released { .. })));
        assert_eq!(released.count(), 12);
    }
}

#[tokio::test]
async fn numbers_may_differ_by_direction_and_events_tick_by_a_clock_of_their_own() {
    let codec = Codec::Opus(OpusOptions::default());
    let theirs = |ssrc| LegSpec { payload_type: 111, telephone_event: Some(101), ..spec(codec, ssrc) };
    let ours = |ssrc| LegSpec { payload_type: 96, telephone_event: Some(97), ..spec(codec, ssrc) };
    let manners = |receive_type, receive_event| Telephone {
        receive_type: Some(receive_type),
        receive_event: Some(receive_event),
        event_hz: Some(8_000),
        ..Telephone::default()
    };
    let ends = [
        End::telephone(ours(1), manners(111, 101), tone(48_000, 4)),
        End::telephone(theirs(2), manners(96, 97), tone(48_000, 4)),
    ];
    let mut call = Call::new(ends, Weather { loss: Loss::Single(0.05), ..Weather::default() });
    for end in &mut call.ends {
        end.keys.as_mut().unwrap().press(dtmf::Key::from_char('5').unwrap(), 300).unwrap();
    }
    call.run(300);
    for end in &call.ends {
        assert!(rms_dbfs(&end.heard()[48_000..]) > -10.0);
        assert_eq!(keys_of(&end.events), "5");
        let ticks = end.events.iter().find_map(|event| match event {
            Event::Key(dtmf::Event::Released { ticks, .. }) => Some(*ticks),
            _ => None,
        });
        assert_eq!(ticks, Some(2_400), "300 ms at 8 kHz");
        assert_eq!(end.health().last().unwrap().refused, 0);
    }
}

fn datagram(payload_type: u8, seq: u16, time: u32, payload: &[u8]) -> Vec<u8> {
    let packet = Packet {
        marker: false,
        payload_type,
        seq: SeqNo(seq),
        time: RtpTime(time),
        ssrc: 9,
        contributors: Contributors::default(),
        extension: None,
        payload,
        padding_bytes: 0,
    };
    let mut bytes = vec![0; LONGEST_BYTES];
    let length = packet.write(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn a_silence_that_is_described_hisses_at_its_level_and_is_no_loss() {
    let listens = Telephone { comfort_noise: Some(13), ..Telephone::default() };
    let ends = [End::new(spec(Codec::Pcmu, 1), Vec::new()), End::telephone(spec(Codec::Pcmu, 2), listens, Vec::new())];
    let mut call = Call::new(ends, Weather::default());
    call.ends[0].schedule = None;
    let mut seq = 0;
    // Half a second of speech, two of silence with a description every 400 ms, and speech again.
    for packet in 0..150_u32 {
        let at = Duration::from_millis(20) * packet;
        let is_speech = !(25..125).contains(&packet);
        if is_speech || packet % 20 == 5 {
            let (kind, payload): (_, &[u8]) = if is_speech { (96, &[0x90; 160]) } else { (13, &[50]) };
            call.net[0].send(at, &datagram(kind, seq, packet * 160, payload));
            seq += 1;
        }
    }
    call.run(310);
    let heard = call.ends[1].heard();
    let hiss = rms_dbfs(&heard[8_000..16_000]);
    assert!((hiss + 50.0).abs() < 1.0, "{hiss} dBFS");
    assert!(rms_dbfs(&heard[21_600..23_000]) > -10.0, "speech again");
    let health = call.ends[1].health();
    assert_eq!((health.last().unwrap().lost, health.last().unwrap().refused), (0, 0));
}

#[tokio::test]
async fn who_is_held_hears_nothing_but_reports_and_who_holds_is_deaf() {
    let mut call = Call::new([1, 2].map(|ssrc| End::new(spec(Codec::Pcmu, ssrc), tone(8_000, 40))), Weather::default());
    call.run(300);
    call.ends[0].tell(Control::Pause);
    let (before, mark) = (call.ends[1].heard().len(), call.ends[0].heard().len());
    call.ends[0].keys.as_mut().unwrap().press(dtmf::Key::from_char('1').unwrap(), 100).unwrap();
    call.run(1_000);
    assert!(call.ends[1].heard()[before + 4_000..].iter().all(|sample| *sample == 0.0), "nothing is sent");
    assert!(call.ends[0].heard()[mark..].iter().all(|sample| *sample == 0.0), "nothing is heard");
    let health = call.ends[1].health();
    assert!(health.iter().all(|now| now.silent_ms < 8_000), "reports go on, so nobody thinks that we are gone");
    assert!(health.iter().any(|now| now.silent_ms > 2_000));
    let counted = call.ends[0].health().last().unwrap().received;
    assert!(counted > 600, "what comes is counted all the same: {counted}");
    call.ends[0].tell(Control::Resume);
    call.run(200);
    for end in &call.ends {
        let heard = end.heard();
        assert!(rms_dbfs(&heard[heard.len() - 4_000..]) > -10.0);
        assert_eq!(keys_of(&end.events), "", "a key that was pressed while held is not sent later");
    }
}

#[tokio::test]
async fn how_long_a_far_end_is_silent_is_told() {
    let mut call = Call::new([1, 2].map(|ssrc| End::new(spec(Codec::Pcmu, ssrc), tone(8_000, 40))), Weather::default());
    call.run(300);
    call.ends[0].schedule = None;
    call.run(1_000);
    let silent: Vec<_> = call.ends[1].health().iter().map(|now| now.silent_ms).collect();
    assert!(silent[..3].iter().all(|ms| *ms < 50), "{silent:?}");
    assert!((9_900..=10_050).contains(silent.last().unwrap()), "{silent:?}");
}

/// A telephone on one side, a room with its echo on the other, and a perfect line between.
struct Desk {
    phone: End,
    leg: Leg,
    keys: Option<leg::Keys>,
    into: PacketWriter,
    out: PacketReader,
    _doorbell: Doorbell,
    hand: Hand,
    began: Instant,
    ticks: u32,
    /// Source and number of every packet of sound or keys from the room, and how many were marked.
    sent: Vec<(u32, u16)>,
    marked: usize,
    ears: TapReader,
    /// Frames of 20 ms.
    ears_heard: usize,
}

impl Desk {
    async fn new(phone: End, spec: LegSpec, manners: Telephone, journal: Option<&std::path::Path>) -> Self {
        let began = some_instant();
        let (switchboard, hand) = Switchboard::by_hand(began);
        let bridge = switchboard.bridge(RoomId(1), Epoch { instant: began, wall: SystemTime::UNIX_EPOCH }, 16_000);
        if let Some(folder) = journal {
            bridge.record_inputs(Journal::create(folder, began).unwrap());
        }
        let (writer, out) = packets(64, 64 * LONGEST_BYTES);
        let (bell, doorbell) = bell().unwrap();
        let ends = leg::telephone(spec, manners, Wire::Ring(writer, bell)).unwrap();
        let plan = Plan {
            source: Some(Box::new(ends.receive)),
            sink: Some(Box::new(ends.send)),
            hears_itself: true,
            ears: true,
            may_be_captured: true,
            ..Plan::default()
        };
        let mut leg = bridge.join(plan).await.unwrap();
        let ears = leg.take_ears().unwrap();
        Self {
            phone,
            leg,
            keys: ends.keys,
            into: ends.packets,
            out,
            _doorbell: doorbell,
            hand,
            began,
            ticks: 0,
            sent: Vec::new(),
            marked: 0,
            ears,
            ears_heard: 0,
        }
    }

    /// Something else was agreed on: the leg goes on as that.
    fn renew(&mut self, spec: LegSpec, manners: Telephone, rekeying: Rekeying) {
        let nodes = leg::renew(spec, manners, rekeying, self.keys.take()).unwrap();
        self.keys = nodes.keys;
        self.leg.renew(Some(Box::new(nodes.receive)), Some(Box::new(nodes.send))).unwrap();
    }

    fn run(&mut self, ticks: u32) {
        let mut datagram = [0; LONGEST_BYTES];
        for _ in 0..ticks {
            let at = Duration::from_millis(10) * self.ticks;
            let schedule = self.phone.schedule.as_mut().unwrap();
            schedule.tick(MediaTime::from_duration(at), self.began + at);
            let events: Vec<_> = schedule.drain_events().map(|(_, event)| event).collect();
            self.phone.events.extend(events);
            while let Some(length) = self.phone.sent(&mut datagram) {
                self.into.push(self.began + at, &datagram[..length]).unwrap();
            }
            self.hand.tick();
            self.ears_heard += usize::from(self.ears.hear().is_some());
            while let Some((_, length)) = self.out.pop(&mut datagram) {
                let bytes = &datagram[..length];
                if !is_rtcp(bytes) {
                    self.sent.push((
                        u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
                        u16::from_be_bytes([bytes[2], bytes[3]]),
                    ));
                    self.marked += usize::from(bytes[1] & 0x80 != 0);
                }
                self.phone.packets.push(self.began + at, bytes).unwrap();
            }
            self.ticks += 1;
        }
    }

    /// The level of what the telephone heard in the last second.
    fn level(&self, rate_hz: usize) -> f32 {
        let heard = self.phone.heard();
        rms_dbfs(&heard[heard.len() - rate_hz..])
    }

    fn events(&mut self) -> Vec<LegEvent> {
        std::iter::from_fn(|| self.leg.events.try_recv().ok()).collect()
    }
}

fn is_one_row(sent: &[(u32, u16)]) -> bool {
    sent.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1.wrapping_add(1) == pair[1].1)
}

fn sealed(spec: LegSpec, out: u8, into: u8) -> LegSpec {
    let profile = Profile::AesCm128HmacSha1_80;
    let protection = (Sealer::new(profile, &[out; 30]).unwrap(), Opener::new(profile, &[into; 30]).unwrap());
    LegSpec { protection: Some(protection), ..spec }
}

#[tokio::test]
async fn a_codec_of_another_rate_takes_over_within_the_call_and_nobody_leaves() {
    let phone = End::new(spec(Codec::Pcmu, 1), tone(8_000, 40));
    let mut desk = Desk::new(phone, spec(Codec::Pcmu, 2), Telephone::default(), None).await;
    desk.leg.gain_db(-6.0);
    desk.run(300);
    let expected = -9.03 - 6.0;
    assert!((desk.level(8_000) - expected).abs() < 1.0, "{}", desk.level(8_000));
    for (codec, kind) in [(Codec::G722, 9), (Codec::Opus(OpusOptions::default()), 96), (Codec::Pcma, 8)] {
        let to = |ssrc| LegSpec { payload_type: kind, ..spec(codec, ssrc) };
        desk.renew(to(2), Telephone::default(), Rekeying::Kept);
        // The telephone speaks anew: another source from the same place.
        desk.phone = End::new(to(u32::from(kind)), tone(codec.sample_hz(), 40));
        desk.run(300);
        let level = desk.level(codec.sample_hz() as usize);
        assert!((level - expected).abs() < 2.0, "{codec:?}: {level} dBFS, the gain stays");
    }
    assert!(is_one_row(&desk.sent), "one source, whose numbers go on");
    let events = desk.events();
    assert!(!events.iter().any(|event| matches!(event, LegEvent::Panicked { .. })), "{events:?}");
    assert!((595..=600).contains(&desk.ears_heard), "the ears are the same, and miss nothing: {}", desk.ears_heard);
}

#[tokio::test]
async fn the_same_codec_under_other_terms_goes_on_without_a_gap_and_sealed_as_before() {
    // The numbers wrap after 36 packets: who began to count anew would neither seal nor open right after it.
    let phone = End::new(sealed(spec(Codec::Pcmu, 1), 1, 2), tone(8_000, 40));
    let mut desk = Desk::new(phone, sealed(spec(Codec::Pcmu, 2), 2, 1), Telephone::default(), None).await;
    desk.run(300);
    let before = desk.phone.heard().len();
    for (packet_ms, receive_event) in [(40, 101), (20, 102), (10, 101)] {
        let manners = Telephone { receive_event: Some(receive_event), fills_silence: true, ..Telephone::default() };
        desk.renew(LegSpec { packet_ms, ..spec(Codec::Pcmu, 2) }, manners, Rekeying::Kept);
        desk.run(200);
    }
    assert!(is_one_row(&desk.sent));
    let heard = desk.phone.heard();
    let levels = heard[before - 800..].chunks_exact(160).map(rms_dbfs).enumerate();
    let odd: Vec<_> = levels.filter(|(_, level)| *level < -12.0).collect();
    assert!(odd.is_empty(), "windows of 20 ms that are not as they should be: {odd:?}");
    let health = *desk.phone.health().last().unwrap();
    assert_eq!((health.refused, health.lost), (0, 0));
    let restarts =
        desk.events().iter().filter(|event| matches!(event, LegEvent::Source { event: Event::Goodbye, .. })).count();
    assert_eq!(restarts, 0);
    assert!(!desk.phone.events.contains(&Event::Goodbye), "who goes on says no goodbye");
    // Keys are pressed where they were.
    desk.keys.as_mut().unwrap().press(dtmf::Key::from_char('9').unwrap(), 100).unwrap();
    desk.run(50);
    assert_eq!(keys_of(&desk.phone.events), "9");
}

#[tokio::test]
async fn other_keys_take_the_place_of_those_before() {
    let phone = End::new(sealed(spec(Codec::Pcmu, 1), 1, 2), tone(8_000, 40));
    let mut desk = Desk::new(phone, sealed(spec(Codec::Pcmu, 2), 2, 1), Telephone::default(), None).await;
    desk.run(200);
    desk.renew(sealed(spec(Codec::Pcmu, 2), 4, 3), Telephone::default(), Rekeying::Changed);
    desk.run(20);
    let quiet = desk.phone.heard().len();
    desk.run(100);
    assert!(
        desk.phone.heard()[quiet + 800..].iter().all(|sample| *sample == 0.0),
        "the old keys open nothing any more"
    );
    desk.phone = End::new(sealed(spec(Codec::Pcmu, 3), 3, 4), tone(8_000, 40));
    desk.run(200);
    assert!((desk.level(8_000) + 9.03).abs() < 1.0);
}

#[tokio::test]
async fn a_leg_may_begin_held_and_go_on_by_a_change() {
    let phone = End::new(spec(Codec::Pcmu, 1), tone(8_000, 40));
    let held = Telephone { is_quiet: true, is_paused: true, ..Telephone::default() };
    let mut desk = Desk::new(phone, spec(Codec::Pcmu, 2), held, None).await;
    desk.run(200);
    assert!(desk.sent.is_empty());
    desk.renew(spec(Codec::Pcmu, 2), Telephone::default(), Rekeying::Kept);
    desk.run(200);
    assert!((desk.level(8_000) + 9.03).abs() < 1.0);
    assert_eq!(desk.marked, 1, "a spurt of talk begins");
}

#[tokio::test]
async fn a_call_that_changed_is_run_again_from_its_journal() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().join("r1");
    {
        let phone = End::new(spec(Codec::Pcmu, 1), tone(8_000, 40));
        let manners = Telephone { fills_silence: true, comfort_noise: Some(13), ..Telephone::default() };
        let mut desk = Desk::new(phone, spec(Codec::Pcmu, 2), manners, Some(&folder)).await;
        desk.run(150);
        desk.renew(LegSpec { packet_ms: 40, ..spec(Codec::Pcmu, 2) }, manners, Rekeying::Kept);
        desk.run(100);
        desk.leg.tell_source(Control::Pause).unwrap();
        desk.run(20);
        desk.renew(LegSpec { payload_type: 9, ..spec(Codec::G722, 2) }, manners, Rekeying::Kept);
        desk.phone = End::new(LegSpec { payload_type: 9, ..spec(Codec::G722, 5) }, tone(16_000, 1));
        desk.run(200);
    }
    let mut records = Vec::new();
    loop {
        let mut reader = Reader::open(std::fs::File::open(folder.join(FILE_NAME)).unwrap()).unwrap();
        records.clear();
        while let Some(record) = reader.record().unwrap() {
            records.push(record);
        }
        if !reader.was_cut() {
            break;
        }
        std::thread::yield_now();
    }
    let told: Vec<_> = records.iter().filter(|record| record.kind == Kind::GraphTold).cloned().collect();
    let mut again = Again::new(&told, some_instant()).unwrap();
    let taped = [Kind::GraphObeyed, Kind::Packet, Kind::Sound, Kind::Passed];
    for record in records.iter().filter(|record| taped.contains(&record.kind)) {
        again.take(record.clone()).unwrap();
    }
    let replayed = again.end(true).unwrap();
    assert!(replayed.packets > 200 && replayed.compared > 400, "{replayed:?}");
}
