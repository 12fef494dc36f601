//! A call between two legs in virtual time: two schedules, and a network of the kit between them.

#![allow(dead_code, reason = "each test takes what it needs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use media::{
    codec::voice::Codec,
    graph::{
        build::{Graph, NodeId},
        node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        schedule::Schedule,
    },
    ring::{
        bell::{Doorbell, bell},
        packets::{LONGEST_BYTES, PacketReader, PacketWriter, packets},
    },
    rtp::{
        delay::Bounds,
        leg::{self, Health, Keys, LegSpec, Telephone, Wire},
        seq::{RtpTime, SeqNo},
        session::Identity,
    },
    time::{Epoch, MediaTime},
};

use crate::netem::{Netem, Weather};

pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What both ends agree on unless a test changes it.
pub(crate) fn spec(codec: Codec, ssrc: u32) -> LegSpec {
    LegSpec {
        codec,
        payload_type: 96,
        telephone_event: Some(101),
        packet_ms: 20,
        identity: Identity {
            ssrc,
            first_seq: SeqNo(65_500),
            first_time: RtpTime(u32::MAX - 5_000),
            cname: format!("{ssrc}@x"),
        },
        protection: None,
        bounds: Bounds { margin_ms: 10, most_ms: 400 },
        rtcp: true,
        epoch: epoch(),
    }
}

fn epoch() -> Epoch {
    Epoch { instant: some_instant(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) }
}

/// Any beginning will do.
#[expect(clippy::disallowed_methods, reason = "there is no other way to an instant")]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

/// One end: what it says, what it hears, and what its leg tells.
pub(crate) struct End {
    pub(crate) schedule: Option<Schedule>,
    pub(crate) packets: PacketWriter,
    pub(crate) keys: Option<Keys>,
    pub(crate) events: Vec<Event>,
    wire: PacketReader,
    _doorbell: Doorbell,
    heard: Arc<Mutex<Vec<f32>>>,
    receive: NodeId,
    send: NodeId,
}

impl End {
    /// An end that says `sound`, then silence.
    pub(crate) fn new(spec: LegSpec, sound: Vec<f32>) -> Self {
        Self::telephone(spec, Telephone::default(), sound)
    }

    /// The same, as a telephone.
    pub(crate) fn telephone(spec: LegSpec, telephone: Telephone, sound: Vec<f32>) -> Self {
        let rate_hz = spec.codec.sample_hz();
        let (writer, wire) = packets(64, 64 * LONGEST_BYTES);
        let (bell, doorbell) = bell().unwrap();
        let leg = leg::telephone(spec, telephone, Wire::Ring(writer, bell)).unwrap();
        let heard = Arc::new(Mutex::new(Vec::with_capacity(rate_hz as usize * 200)));
        let mut graph = Graph::new();
        let speak = graph.add(Speak { rate_hz, sound, said: 0 });
        let send = graph.add(leg.send);
        let receive = graph.add(leg.receive);
        let listen = graph.add(Listen { rate_hz, heard: Arc::clone(&heard) });
        graph.chain(&[speak, send]).unwrap();
        graph.chain(&[receive, listen]).unwrap();
        Self {
            schedule: Some(graph.build().unwrap()),
            packets: leg.packets,
            keys: leg.keys,
            events: Vec::with_capacity(10_000),
            wire,
            _doorbell: doorbell,
            heard,
            receive,
            send,
        }
    }

    /// Gives an order to both nodes.
    pub(crate) fn tell(&mut self, control: Control) {
        let schedule = self.schedule.as_mut().unwrap();
        assert!(schedule.control(self.receive, control) && schedule.control(self.send, control));
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> Vec<f32> {
        self.heard.lock().unwrap().clone()
    }

    /// What the leg told of its stream, once a second.
    pub(crate) fn health(&self) -> Vec<Health> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Rtp(health) = event { Some(*health) } else { None })
            .collect()
    }

    /// The next datagram that leaves.
    pub(crate) fn sent(&mut self, datagram: &mut [u8]) -> Option<usize> {
        self.wire.pop(datagram).map(|(_, length)| length)
    }
}

/// Two ends, a network each way, and the time.
pub(crate) struct Call {
    pub(crate) ends: [End; 2],
    /// From the first end to the second, and back.
    pub(crate) net: [Netem; 2],
    began: Instant,
    ticks: u64,
}

impl Call {
    pub(crate) fn new(ends: [End; 2], weather: Weather) -> Self {
        Self { ends, net: [Netem::new(1, weather), Netem::new(2, weather)], began: epoch().instant, ticks: 0 }
    }

    pub(crate) fn now(&self) -> Duration {
        TICK * self.ticks as u32
    }

    /// Runs both ends for `ticks` ticks.
    pub(crate) fn run(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now();
        let mut datagram = [0; LONGEST_BYTES];
        for (index, end) in self.ends.iter_mut().enumerate() {
            let [there, back] = &mut self.net;
            let (out, into) = if index == 0 { (there, back) } else { (back, there) };
            while let Some((at, bytes)) = into.arrived(now) {
                // Only an end that is gone leaves its ring full.
                let taken = end.packets.push(self.began + at, &bytes).is_ok();
                assert!(taken || end.schedule.is_none());
            }
            if let Some(schedule) = &mut end.schedule {
                schedule.tick(MediaTime::from_duration(now), self.began + now);
                let receive = end.receive;
                end.events.extend(schedule.drain_events().filter(|(node, _)| *node == receive).map(|(_, event)| event));
            }
            while let Some(length) = end.sent(&mut datagram) {
                out.send(now, &datagram[..length]);
            }
        }
        self.ticks += 1;
    }
}

struct Speak {
    rate_hz: u32,
    sound: Vec<f32>,
    said: usize,
}

impl Node for Speak {
    fn ports(&self) -> Ports {
        Ports::source(mono(self.rate_hz))
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let left = &self.sound[self.said.min(self.sound.len())..];
        if left.is_empty() {
            return Status::Silent;
        }
        let out = outputs.samples(0);
        let now = left.len().min(out.len());
        out[..now].copy_from_slice(&left[..now]);
        out[now..].fill(0.0);
        self.said += now;
        Status::Sounding
    }
}

struct Listen {
    rate_hz: u32,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl Node for Listen {
    fn ports(&self) -> Ports {
        Ports::sink(mono(self.rate_hz))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        self.heard.lock().unwrap().extend_from_slice(inputs.samples(0));
        Status::Silent
    }
}
