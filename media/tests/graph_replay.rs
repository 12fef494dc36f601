//! A call of three legs on the engine, and the same call from its journal: every sample that reached a sink is
//! the same, and whatever is changed in the journal is noticed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Captured, Plan, Switchboard},
    codec::voice::{Codec, Encoder, OpusOptions},
    graph::{
        node::Control,
        nodes::playout::playout,
        replay::{Again, Replayed, Stop},
    },
    id::RoomId,
    journal::{FILE_NAME, Journal, Kind, Reader, Record},
    ring::{
        bell::bell,
        packets::{LONGEST_BYTES, packets},
    },
    rtp::{
        delay::Bounds,
        leg::{LegSpec, RtpLeg, Wire, leg},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::Epoch,
};

#[tokio::test]
async fn a_call_of_three_legs_is_run_again_from_its_journal_to_the_same_samples() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().join("r1");
    record(&folder).await;
    let records = records(&folder);
    let replayed = run(&records).unwrap();
    assert!(replayed.ticks >= 295, "{replayed:?}");
    assert!(replayed.packets > 150 && replayed.pieces > 50 && replayed.compared > 1_000, "{replayed:?}");
    assert_eq!(run(&records).unwrap(), replayed, "twice the same");
}

#[tokio::test]
async fn a_packet_that_is_another_and_an_order_that_is_missing_are_noticed() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().join("r1");
    record(&folder).await;
    let whole = records(&folder);

    let mut other = whole.clone();
    let packet = other.iter_mut().filter(|record| record.kind == Kind::Packet).nth(50).unwrap();
    let length = packet.body.len();
    packet.body[length - 10..].iter_mut().for_each(|byte| *byte ^= 0x55);
    assert!(matches!(run(&other), Err(Stop::Different(_))), "another packet");

    let mute = whole.iter().rposition(|record| record.kind == Kind::GraphObeyed && record.body[8] == 3).unwrap();
    let without: Vec<Record> =
        whole.iter().enumerate().filter(|(index, _)| *index != mute).map(|(_, record)| record.clone()).collect();
    assert!(matches!(run(&without), Err(Stop::Different(_))), "a mute that is missing");
}

#[tokio::test]
async fn no_record_makes_a_replay_panic_or_hang() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().join("r1");
    record(&folder).await;
    let whole = records(&folder);
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut refused = 0;
    for _ in 0..150 {
        let mut other = whole.clone();
        for _ in 0..=next(3) {
            let index = next(other.len());
            match next(4) {
                0 => drop(other.remove(index)),
                1 => {
                    let later = (index + 7) % other.len();
                    other.swap(index, later);
                }
                _ if other[index].body.is_empty() => {}
                _ => {
                    let at = next(other[index].body.len());
                    other[index].body[at] ^= 1 << next(8);
                }
            }
        }
        refused += usize::from(run(&other).is_err());
    }
    assert!(refused > 50, "{refused} of 150");
}

/// How long the longest call is here.
const LONG_S: u64 = 300;

/// Packets that may wait for the journal's thread before the call goes on: more than a block that is not written yet holds,
/// and with what is said until the next look less than its tape holds.
const WAITING: usize = 500;

#[tokio::test]
async fn a_telephone_call_of_five_minutes_is_run_again_to_the_same_samples() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().join("r1");
    let began = some_instant();
    let (switchboard, mut hand) = Switchboard::by_hand(began);
    let epoch = Epoch { instant: began, wall: SystemTime::UNIX_EPOCH };
    let bridge = switchboard.bridge(RoomId(1), epoch, 8_000);
    let journal = Journal::create(&folder, began).unwrap();
    bridge.record_inputs(journal.clone());
    let mut written = Written::open(&folder);
    let mut ends = [8, 0].map(|payload_type| {
        let codec = if payload_type == 8 { Codec::Pcma } else { Codec::Pcmu };
        Far::new(codec, payload_type, began)
    });
    let mut legs = Vec::new();
    for end in &mut ends {
        let plan = Plan { ears: false, suppress_noise: false, ..end.plan() };
        legs.push(bridge.join(plan).await.unwrap());
    }
    let (mut seed, mut said) = (7_u32, 0);
    for tick in 0..LONG_S * 100 {
        // Held now and then, as callers are.
        if tick % 6_000 == 3_000 {
            legs[0].mute(tick % 12_000 == 3_000);
        }
        let now = hand.now();
        for end in &mut ends {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            said += usize::from(end.say(now, tick, seed));
        }
        hand.tick();
        if tick % 2_000 == 1_999 {
            written.until(said);
        }
    }
    drop(legs);
    hand.pass(Duration::from_millis(30));
    assert!(journal.is_complete(), "the journal has all of it");
    drop((bridge, switchboard, hand, journal));
    let replayed = run(&records(&folder)).unwrap();
    assert!(replayed.ticks >= LONG_S * 100 - 10, "{replayed:?}");
    assert!(replayed.packets > LONG_S * 60 && replayed.compared > LONG_S * 100, "{replayed:?}");
}

/// Three seconds: an Opus leg with loss, a G.711 leg, and a file that is played; a mute, a capture, leaving.
async fn record(folder: &Path) {
    let began = some_instant();
    let (switchboard, mut hand) = Switchboard::by_hand(began);
    let epoch = Epoch { instant: began, wall: SystemTime::UNIX_EPOCH };
    let bridge = switchboard.bridge(RoomId(1), epoch, 48_000);
    let journal = Journal::create(folder, began).unwrap();
    bridge.record_inputs(journal.clone());

    let opus = Codec::Opus(OpusOptions::default());
    let (mut browser, mut phone) = (Far::new(opus, 111, began), Far::new(Codec::Pcmu, 0, began));
    let (spoken, mut mouth) = playout(48_000);
    let mut spoken = Some(Plan { source: Some(Box::new(spoken)), ..Plan::default() });
    let mut seed = 7_u32;
    let (mut legs, mut capture) = (Vec::new(), None);
    for tick in 0..300 {
        match tick {
            0 => legs.push(Some(bridge.join(browser.plan()).await.unwrap())),
            20 => legs.push(Some(bridge.join(phone.plan()).await.unwrap())),
            60 => legs.push(Some(bridge.join(spoken.take().unwrap()).await.unwrap())),
            120 => legs[2].as_ref().unwrap().tell_source(Control::Pause).unwrap(),
            130 => legs[2].as_ref().unwrap().tell_source(Control::Flush(1)).unwrap(),
            90 => capture = Some(bridge.capture(Captured::Everybody).await.unwrap()),
            150 => legs[0].as_ref().unwrap().mute(true),
            190 => legs[0].as_ref().unwrap().mute(false),
            230 => legs[1] = None,
            _ => {}
        }
        let now = hand.now();
        for far in [&mut browser, &mut phone] {
            // A quarter is lost, and what comes, comes up to 15 ms late.
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            far.say(now, tick, seed);
        }
        // Full before the leg joins and after it was flushed.
        let _ = mouth.speak(1 + tick / 130, &[0.1; 480]);
        hand.tick();
    }
    drop((legs, capture));
    hand.pass(Duration::from_millis(30));
    drop((bridge, switchboard, hand));
}

/// A far end that says a tone.
struct Far {
    plan: Option<Plan>,
    near: media::ring::packets::PacketWriter,
    encoder: Encoder,
    codec: Codec,
    payload_type: u8,
    began: Instant,
    said: u64,
}

impl Far {
    fn new(codec: Codec, payload_type: u8, began: Instant) -> Self {
        let (writer, _wire) = packets(64, 64 * LONGEST_BYTES);
        let identity = Identity { ssrc: 9, first_seq: SeqNo(1), first_time: RtpTime(2), cname: "us".to_owned() };
        let spec = LegSpec {
            codec,
            payload_type,
            telephone_event: None,
            packet_ms: 20,
            identity,
            protection: None,
            bounds: Bounds { margin_ms: 10, most_ms: 400 },
            rtcp: false,
            epoch: Epoch { instant: began, wall: SystemTime::UNIX_EPOCH },
        };
        let RtpLeg { receive, send, packets, .. } = leg(spec, Wire::Ring(writer, bell().unwrap().0)).unwrap();
        let plan = Plan {
            source: Some(Box::new(receive)),
            sink: Some(Box::new(send)),
            ears: true,
            may_be_captured: true,
            suppress_noise: payload_type == 0,
            ..Plan::default()
        };
        let encoder = Encoder::new(codec).unwrap();
        Self { plan: Some(plan), near: packets, encoder, codec, payload_type, began, said: 0 }
    }

    fn plan(&mut self) -> Plan {
        self.plan.take().unwrap()
    }

    /// Whether a packet arrived.
    fn say(&mut self, now: Instant, tick: u64, chance: u32) -> bool {
        if !tick.is_multiple_of(2) {
            return false;
        }
        let samples = self.codec.sample_hz() as usize / 50;
        let sound: Vec<f32> = (0..samples)
            .map(|n| {
                let at = (self.said as usize * samples + n) as f32 / self.codec.sample_hz() as f32;
                0.4 * (std::f32::consts::TAU * (300.0 + 200.0 * at) * at).sin()
            })
            .collect();
        let mut payload = [0; LONGEST_BYTES];
        let length = self.encoder.encode(&sound, &mut payload);
        let (seq, time) = (self.said as u16, (self.said as u32) * (self.codec.clock().ticks_hz / 50));
        self.said += 1;
        if chance >> 30 == 0 {
            return false;
        }
        let mut datagram = vec![0x80, self.payload_type];
        datagram.extend(seq.to_be_bytes());
        datagram.extend(time.to_be_bytes());
        datagram.extend(77_u32.to_be_bytes());
        datagram.extend(&payload[..length]);
        let late = Duration::from_micros(u64::from(chance % 15_000));
        let came = (now + late).checked_sub(Duration::from_millis(20)).filter(|came| *came > self.began).unwrap_or(now);
        self.near.push(came, &datagram).is_ok()
    }
}

/// What of a call is in its journal's file already: a call on virtual time is faster than the journal's thread, which would
/// have to drop what it has no time for.
struct Written {
    reader: Reader<Following>,
    packets: usize,
}

impl Written {
    fn open(folder: &Path) -> Self {
        let file = File::open(folder.join(FILE_NAME)).unwrap();
        Self { reader: Reader::open(Following(file)).unwrap(), packets: 0 }
    }

    /// Waits until so many packets are in it, but for [`WAITING`].
    fn until(&mut self, packets: usize) {
        while self.packets + WAITING < packets {
            let Some(record) = self.reader.record().unwrap() else { return };
            self.packets += usize::from(record.kind == Kind::Packet);
        }
    }
}

/// A file that is still being written: its end is waited for, though not for ever.
struct Following(File);

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..4_000 {
            let count = self.0.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(0)
    }
}

/// All records of a journal, once it is closed.
fn records(folder: &Path) -> Vec<Record> {
    loop {
        let mut reader = Reader::open(File::open(folder.join(FILE_NAME)).unwrap()).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.record().unwrap() {
            records.push(record);
        }
        if !reader.was_cut() {
            return records;
        }
        std::thread::yield_now();
    }
}

fn run(records: &[Record]) -> Result<Replayed, Stop> {
    let told: Vec<Record> = records.iter().filter(|record| record.kind == Kind::GraphTold).cloned().collect();
    let mut again = Again::new(&told, some_instant())?;
    let taped = [Kind::GraphObeyed, Kind::Packet, Kind::Sound, Kind::Passed];
    for record in records.iter().filter(|record| taped.contains(&record.kind)) {
        again.take(record.clone())?;
    }
    again.end(true)
}

#[expect(clippy::disallowed_methods, reason = "there is no other way to an instant")]
fn some_instant() -> Instant {
    Instant::now()
}
