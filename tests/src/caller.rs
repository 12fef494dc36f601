//! Callers on plain RTP in virtual time: each speaks a sound through a network of its own, and listens back.
//!
//! The server's side is the real one, a bridge with legs of RTP, driven by hand; only the network and the far ends
//! stand in for the world. A caller packs its sound itself, on a clock that may drift, and keeps every packet that
//! comes; what it heard is put together afterwards by the packets' own numbers, with zeros where one is missing, so
//! that nothing here hides what the server did. Nobody waits: ten minutes of a call pass in seconds.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Bridge, Hand, Leg, LegEvent, Plan, Switchboard},
    codec::voice::{Codec, Decoder, Encoder},
    engine::TICK,
    graph::node::Event,
    id::RoomId,
    ring::bell::{Doorbell, bell},
    ring::packets::{LONGEST_BYTES, PacketReader, PacketWriter, packets},
    rtp::{
        delay::Bounds,
        dtmf::{self, Key},
        leg::{Health, Keys, LegSpec, Wire, leg},
        packet::{Contributors, Packet, is_rtcp},
        seq::{RtpTime, SeqNo, SeqUnwrap, TimeUnwrap},
        session::Identity,
        source::Arrival,
    },
    time::{Epoch, MediaTime},
};

use crate::netem::{Netem, Weather};

/// Who calls, and over what.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is spoken both ways.
    pub codec: Codec,
    /// How long the caller's packets are.
    pub packet_ms: u32,
    /// What it says, mono at the codec's rate; silence follows.
    pub says: Vec<f32>,
    /// The network from the caller to the server.
    pub there: Weather,
    /// And from the server to the caller.
    pub back: Weather,
    /// Decides every packet's fate.
    pub seed: u64,
    /// How fast the caller's clock is, in parts of a million.
    pub drift_ppm: i64,
    /// Whether the room plays back to it what it says.
    pub hears_itself: bool,
}

impl Setup {
    /// Somebody who says this over a perfect network.
    pub fn new(codec: Codec, says: Vec<f32>) -> Self {
        let (there, back) = (Weather::default(), Weather::default());
        Self { codec, packet_ms: 20, says, there, back, seed: 1, drift_ppm: 0, hears_itself: false }
    }
}

/// A room of the server in virtual time, with its callers.
pub struct Room {
    hand: Hand,
    bridge: Bridge,
    epoch: Epoch,
    callers: Vec<Caller>,
    log: Vec<Logged>,
}

/// Something that the server told of a caller's leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    /// When, on the room's timeline.
    pub at: MediaTime,
    /// Whose.
    pub caller: usize,
    /// What.
    pub event: Event,
}

impl Room {
    /// An empty room that mixes at `rate_hz`. Its bridge is there for whoever wants to record it.
    pub fn new(rate_hz: u32) -> Self {
        let epoch = Epoch { instant: some_instant(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) };
        let (switchboard, hand) = Switchboard::by_hand(epoch.instant);
        let bridge = switchboard.bridge(RoomId(1), epoch, rate_hz);
        Self { hand, bridge, epoch, callers: Vec::new(), log: Vec::new() }
    }

    /// Its bridge.
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Somebody calls, and is in the room at once; says which caller it is. To be called in a tokio runtime.
    ///
    /// # Panics
    /// When the room does not take the leg.
    pub async fn call(&mut self, setup: Setup) -> usize {
        let index = self.callers.len();
        let (wire, from_server) = packets(PACKETS, PACKETS * LONGEST_BYTES);
        let (bell, doorbell) = bell().expect("a pair of sockets");
        let spec = LegSpec {
            codec: setup.codec,
            payload_type: payload_type(setup.codec),
            telephone_event: Some(TELEPHONE_EVENT),
            packet_ms: 20,
            identity: Identity {
                ssrc: 0x5e12_0000 + index as u32,
                first_seq: SeqNo(65_000),
                first_time: RtpTime(u32::MAX - 48_000),
                cname: format!("leg-{index}"),
            },
            protection: None,
            bounds: Bounds { margin_ms: 10, most_ms: 400 },
            rtcp: false,
            epoch: self.epoch,
        };
        let ends = leg(spec, Wire::Ring(wire, bell)).expect("what is agreed on here can be done");
        let plan = Plan {
            source: Some(Box::new(ends.receive)),
            sink: Some(Box::new(ends.send)),
            hears_itself: setup.hears_itself,
            may_be_captured: true,
            ..Plan::default()
        };
        let leg = self.bridge.join(plan).await.expect("the room takes the leg");
        let keys = ends.keys.expect("telephone-event was agreed on");
        let now = self.now();
        self.callers.push(Caller::new(setup, now, index as u32, ends.packets, from_server, doorbell, leg, keys));
        index
    }

    /// Virtual time since the room began.
    pub fn now(&self) -> Duration {
        self.hand.now() - self.epoch.instant
    }

    /// Lets time pass: callers speak, packets travel, the engine ticks, callers listen.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now() + duration;
        while self.now() < until {
            let now = self.now();
            for caller in &mut self.callers {
                caller.speak(now, self.epoch.instant);
            }
            self.hand.tick();
            for (index, caller) in self.callers.iter_mut().enumerate() {
                caller.listen(now);
                while let Ok(LegEvent::Source { at, event } | LegEvent::Sink { at, event }) =
                    caller.leg.events.try_recv()
                {
                    self.log.push(Logged { at, caller: index, event });
                }
            }
        }
        // What is on its way when time stands still comes with the next tick.
        debug_assert_eq!(self.now().as_nanos() % TICK.as_nanos(), 0);
    }

    /// A caller.
    pub fn caller(&mut self, index: usize) -> &mut Caller {
        &mut self.callers[index]
    }

    /// All that the server told so far, in order.
    pub fn log(&self) -> &[Logged] {
        &self.log
    }

    /// The keys that the server heard of a caller.
    pub fn keys_heard(&self, index: usize) -> String {
        let pressed = self.log.iter().filter(|logged| logged.caller == index).filter_map(|logged| match logged.event {
            Event::Key(dtmf::Event::Pressed(key)) => Some(key.as_char()),
            _ => None,
        });
        pressed.collect()
    }

    /// How a caller's stream did, second by second.
    pub fn health(&self, index: usize) -> Vec<(MediaTime, Health)> {
        let told = self.log.iter().filter(|logged| logged.caller == index).filter_map(|logged| match logged.event {
            Event::Rtp(health) => Some((logged.at, health)),
            _ => None,
        });
        told.collect()
    }

    /// Everything that came out of the room, as one number: what the server told and what each caller heard, to the
    /// last bit.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for logged in &self.log {
            format!("{:?} {} {:?}", logged.at, logged.caller, logged.event).hash(&mut hasher);
        }
        for caller in &self.callers {
            for (seq, came) in &caller.came {
                (seq, came.time, came.at, &came.payload).hash(&mut hasher);
            }
            caller.heard().samples.iter().for_each(|sample| sample.to_bits().hash(&mut hasher));
        }
        hasher.finish()
    }
}

/// One far end.
pub struct Caller {
    setup: Setup,
    there: Netem,
    back: Netem,
    to_server: PacketWriter,
    from_server: PacketReader,
    /// Rung by the leg, and heard by nobody: here everybody looks in every tick.
    _doorbell: Doorbell,
    leg: Leg,
    keys: Keys,
    /// The binding that the server was told of: it hears no other, and sends to no other.
    signalled: u16,
    encoder: Encoder,
    began: Duration,
    ssrc: u32,
    /// Packets sent so far, sound or key.
    sent: u32,
    /// Packets that the server was given.
    delivered: u32,
    pressing: dtmf::Sender,
    came: BTreeMap<i64, Came>,
    seqs: SeqUnwrap,
    times: TimeUnwrap,
    hears_keys: dtmf::Receiver,
    keys_heard: Vec<Key>,
}

/// A packet of sound that came.
struct Came {
    time: i64,
    at: Duration,
    payload: Vec<u8>,
}

/// What a caller heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Mono, from when the caller began to speak; zeros where no packet came.
    pub samples: Vec<f32>,
    /// Their rate.
    pub rate_hz: u32,
    /// Packets that are missing.
    pub missing: usize,
}

impl Caller {
    #[expect(clippy::too_many_arguments, reason = "called once, by the room that made all of them")]
    fn new(
        setup: Setup,
        began: Duration,
        index: u32,
        to_server: PacketWriter,
        from_server: PacketReader,
        doorbell: Doorbell,
        leg: Leg,
        keys: Keys,
    ) -> Self {
        let clock = setup.codec.clock();
        let mut encoder = Encoder::new(setup.codec).expect("what is agreed on here can be done");
        // As reports of the server would have told it.
        encoder.expect_loss(setup.there.loss.share() as f32);
        Self {
            there: Netem::new(setup.seed, setup.there),
            back: Netem::new(setup.seed ^ 0x5555_aaaa, setup.back),
            to_server,
            from_server,
            _doorbell: doorbell,
            leg,
            keys,
            signalled: 0,
            encoder,
            began,
            ssrc: 0xca11_0000 + index,
            sent: 0,
            delivered: 0,
            pressing: dtmf::Sender::new(clock),
            came: BTreeMap::new(),
            seqs: SeqUnwrap::default(),
            times: TimeUnwrap::default(),
            hears_keys: dtmf::Receiver::new(clock),
            keys_heard: Vec::new(),
            setup,
        }
    }

    /// The leg that the server has for it.
    pub fn leg(&self) -> &Leg {
        &self.leg
    }

    /// Changes the network from here on.
    pub fn turn(&mut self, there: Weather) {
        self.there.turn(there);
    }

    /// The caller presses keys, one after the other, 100 ms each.
    ///
    /// # Panics
    /// When a sign is no key, or too many are waiting.
    pub fn press(&mut self, keys: &str) {
        for sign in keys.chars() {
            let key = Key::from_char(sign).expect("a key of a telephone");
            self.pressing.press(key, 100).expect("there is room for them");
        }
    }

    /// The server presses a key towards the caller.
    ///
    /// # Panics
    /// When too many are waiting.
    pub fn is_sent_key(&mut self, sign: char) {
        let key = Key::from_char(sign).expect("a key of a telephone");
        self.keys.press(key, 100).expect("there is room for it");
    }

    /// The keys that the caller heard.
    pub fn keys_heard(&self) -> String {
        self.keys_heard.iter().map(|key| key.as_char()).collect()
    }

    /// A translator of addresses on the way gives the caller another port: the server takes it for a stranger, and
    /// what it sends comes no further than to the old one, until signalling tells.
    pub fn rebind(&mut self) {
        self.there.rebind();
    }

    /// Signalling tells the server where the caller is now.
    pub fn signal(&mut self) {
        self.signalled = self.there.binding();
    }

    /// What it has to say.
    pub fn said(&self) -> &[f32] {
        &self.setup.says
    }

    /// Of the packets that it sent, how many never came to the server. Those under way count.
    pub fn lost(&self) -> u32 {
        self.sent - self.delivered
    }

    /// The rate of what it says and hears.
    pub fn rate_hz(&self) -> u32 {
        self.setup.codec.sample_hz()
    }

    /// Sends what is due by `now`, and hands over what has arrived.
    fn speak(&mut self, now: Duration, zero: Instant) {
        loop {
            let at = self.began + self.packet_at(self.sent);
            if at > now {
                break;
            }
            let bytes = self.next_packet();
            self.there.send(at, &bytes);
        }
        while let Some((at, binding, bytes)) = self.there.arrived_from(now) {
            if binding == self.signalled {
                self.delivered += 1;
                // A full ring is the server's loss, and it counts it.
                let _ = self.to_server.push(zero + at, &bytes);
            }
        }
    }

    /// When the caller's clock says that a packet is to be sent. It is no multiple of the server's.
    fn packet_at(&self, number: u32) -> Duration {
        let ideal = Duration::from_millis(u64::from(number * self.setup.packet_ms)).as_nanos() as i64;
        let drifted = ideal - ideal / 1_000_000 * self.setup.drift_ppm;
        PHASE + Duration::from_nanos(drifted.max(0) as u64)
    }

    fn next_packet(&mut self) -> Vec<u8> {
        let clock = self.setup.codec.clock();
        let ticks = clock.ticks_of_ms(self.setup.packet_ms);
        let length = clock.samples(ticks) as usize;
        let from = (self.sent as usize * length).min(self.setup.says.len());
        let until = (from + length).min(self.setup.says.len());
        let mut samples = vec![0.0; length];
        samples[..until - from].copy_from_slice(&self.setup.says[from..until]);
        let mut payload = [0; LONGEST_BYTES];
        let bytes = self.encoder.encode(&samples, &mut payload);
        let time = RtpTime(FIRST_TIME).plus((i64::from(self.sent) * ticks) as u32);
        let key = self.pressing.next(time, ticks);
        let packet = Packet {
            marker: key.map_or(self.sent == 0, |key| key.marker),
            payload_type: key.map_or_else(|| payload_type(self.setup.codec), |_| TELEPHONE_EVENT),
            seq: SeqNo(FIRST_SEQ).plus(self.sent as u16),
            time: key.map_or(time, |key| key.time),
            ssrc: self.ssrc,
            contributors: Contributors::default(),
            extension: None,
            payload: key.as_ref().map_or(&payload[..bytes], |key| &key.payload),
            padding_bytes: 0,
        };
        let mut out = [0; LONGEST_BYTES];
        let written = packet.write(&mut out).expect("a packet of a call has room");
        self.sent += 1;
        out[..written].to_vec()
    }

    /// Takes what the server sent in the tick at `now`, and what has come by then.
    fn listen(&mut self, now: Duration) {
        let mut bytes = [0; LONGEST_BYTES];
        while let Some((_, length)) = self.from_server.pop(&mut bytes) {
            if self.signalled == self.there.binding() {
                self.back.send(now, &bytes[..length]);
            }
        }
        while let Some((at, bytes)) = self.back.arrived(now) {
            if is_rtcp(&bytes) {
                continue;
            }
            let packet = Packet::parse(&bytes).expect("the server sends packets");
            let (seq, time) = (self.seqs.unwrap(packet.seq), self.times.unwrap(packet.time));
            if packet.payload_type == TELEPHONE_EVENT {
                let arrival = Arrival { seq, time, at: MediaTime::from_duration(at), restarted: false };
                for event in self.hears_keys.hear(arrival, packet.payload) {
                    if let dtmf::Event::Pressed(key) = event {
                        self.keys_heard.push(key);
                    }
                }
            } else {
                self.came.entry(seq).or_insert(Came { time, at, payload: packet.payload.to_vec() });
            }
        }
        self.hears_keys.tick(MediaTime::from_duration(now));
    }

    /// What it heard so far.
    ///
    /// # Panics
    /// When the server sent what its codec cannot read.
    pub fn heard(&self) -> Heard {
        let clock = self.setup.codec.clock();
        let mut decoder = Decoder::new(self.setup.codec).expect("what is agreed on here can be done");
        let rate_hz = clock.sample_hz;
        let mut heard = Heard { samples: Vec::new(), rate_hz, missing: 0 };
        let Some((first_seq, first)) = self.came.first_key_value() else { return heard };
        let lead = ((first.at - self.began).as_secs_f64() * f64::from(rate_hz)) as usize;
        let mut pcm = [0.0; 5_760];
        for came in self.came.values() {
            let place = lead + clock.samples(came.time - first.time).max(0) as usize;
            let samples = decoder.decode(&came.payload, &mut pcm).expect("the server's sound can be decoded");
            heard.samples.resize(heard.samples.len().max(place + samples), 0.0);
            heard.samples[place..place + samples].copy_from_slice(&pcm[..samples]);
        }
        let last_seq = self.came.last_key_value().map_or(*first_seq, |(seq, _)| *seq);
        heard.missing = (last_seq - first_seq + 1) as usize - self.came.len();
        heard
    }
}

/// Packets that may lie between a tick and whoever looks after it.
const PACKETS: usize = 64;

/// A payload type for events that everybody uses.
const TELEPHONE_EVENT: u8 = 101;

/// Numbers that wrap within the first second.
const FIRST_SEQ: u16 = 65_520;
const FIRST_TIME: u32 = u32::MAX - 4_000;

/// The caller's packets leave so long after the server's tick.
const PHASE: Duration = Duration::from_micros(3_700);

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus(_) => 111,
        Codec::L16 { .. } => 96,
    }
}

/// Any instant will do: only differences are looked at.
#[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
fn some_instant() -> Instant {
    Instant::now()
}
