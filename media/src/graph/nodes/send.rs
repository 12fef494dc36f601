//! From the graph to datagrams: what a peer is to hear, packed, sealed and put on the wire.
//!
//! Ticks are collected until a packet is full; in its place goes a key where one is pressed, and nothing where the
//! codec says that nobody speaks. Reports go beside it where the transport does not write them, and a goodbye when
//! the node is dropped. It never waits: what the wire does not take is lost and counted there.

use std::{any::Any, mem::swap, time::Instant};

use crate::{
    codec::voice::{Codec, Encoder},
    graph::node::{Control, Inputs, Node, Outputs, Ports, Status, Tick, mono},
    ring::{Reader, packets::LONGEST_BYTES},
    rtp::{
        dtmf::{self, Key},
        leg::{PAYLOAD_MAX_BYTES, Wire},
        rtcp::Ntp,
        seq::{Clock, RtpTime},
        session::Sending,
        srtp::Sealer,
    },
    time::{Epoch, MediaTime},
};

/// A reported loss is believed to end within this many seconds after the far end stops reporting it: loss comes in
/// spells, and a single good report ends none.
const LOSS_LASTS_S: f32 = 10.0;

/// What the node is made of; see [`leg`](crate::rtp::leg::leg).
pub(crate) struct SendSpec {
    pub(crate) wire: Wire,
    pub(crate) codec: Codec,
    pub(crate) encoder: Encoder,
    pub(crate) sending: Sending,
    pub(crate) sealer: Option<Sealer>,
    /// Where it takes over from another: whether the keys of that one's cipher go on.
    pub(crate) keeps_cipher: bool,
    pub(crate) payload_type: u8,
    /// The payload type of keys, and those pressed.
    pub(crate) keys: Option<(u8, Reader<(Key, u32)>)>,
    /// Where it takes over from another: whether keys come where they came to that one.
    pub(crate) keeps_keys: bool,
    /// The clock in which a key's length is said.
    pub(crate) event_hz: u32,
    /// Nothing is said, but reports.
    pub(crate) is_quiet: bool,
    pub(crate) packet_ms: u32,
    pub(crate) rtcp: bool,
    pub(crate) epoch: Epoch,
}

/// One input at the codec's rate, nothing out.
pub struct Send {
    spec: SendSpec,
    keys: dtmf::Sender,
    /// One packet of samples, of which the first `filled` are of this packet.
    samples: Box<[f32]>,
    filled: usize,
    /// When the first of them is heard.
    began: MediaTime,
    /// The packet before left: this one does not begin a spurt of talk.
    is_talking: bool,
    /// The share of packets that the far end is believed to miss.
    loss: f32,
    has_put: bool,
    last_tick: Option<(MediaTime, Instant)>,
}

impl Send {
    pub(crate) fn new(spec: SendSpec) -> Self {
        let samples = spec.codec.sample_hz() as usize * spec.packet_ms as usize / 1_000;
        Self {
            keys: dtmf::Sender::new(Clock { ticks_hz: spec.event_hz, ..spec.codec.clock() }),
            spec,
            samples: vec![0.0; samples].into(),
            filled: 0,
            began: MediaTime::ZERO,
            is_talking: false,
            loss: 0.0,
            has_put: false,
            last_tick: None,
        }
    }

    /// Sends the packet that is full.
    fn packet(&mut self, now: MediaTime, due: Instant) {
        if self.spec.is_quiet {
            // Who is held hears no keys either, and none later.
            while self.spec.keys.as_mut().is_some_and(|(_, pressed)| pressed.pop().is_some()) {}
            return;
        }
        let time = self.spec.sending.time_of(self.began);
        if let Some(event) = self.key(time) {
            let (kind, dtmf::Outgoing { marker, time, payload }) = event;
            return self.put(now, due, time, kind, marker, &payload);
        }
        self.believe_loss();
        let mut payload = [0; PAYLOAD_MAX_BYTES];
        let length = self.spec.encoder.encode(&self.samples, &mut payload);
        let marker = !self.is_talking;
        self.is_talking = length > 0;
        if length > 0 {
            self.put(now, due, time, self.spec.payload_type, marker, &payload[..length]);
        }
    }

    /// The key that goes in the place of sound, if one is pressed.
    fn key(&mut self, time: RtpTime) -> Option<(u8, dtmf::Outgoing)> {
        let (kind, pressed) = self.spec.keys.as_mut()?;
        if self.keys.is_idle()
            && let Some((key, press_ms)) = pressed.pop()
        {
            // One that is idle has room.
            let _ = self.keys.press(key, press_ms);
        }
        let ticks = i64::from(self.spec.packet_ms) * i64::from(self.spec.event_hz) / 1_000;
        self.keys.next(time, ticks).map(|outgoing| (*kind, outgoing))
    }

    /// Follows what the far end reports: at once up, slowly down.
    fn believe_loss(&mut self) {
        let Some(said) = self.spec.sending.far_loss() else { return };
        let share = self.spec.packet_ms as f32 / 1_000.0 / LOSS_LASTS_S;
        self.loss = if said > self.loss { said } else { self.loss + (said - self.loss) * share };
        self.spec.encoder.expect_loss(self.loss);
    }

    fn put(&mut self, now: MediaTime, due: Instant, time: RtpTime, kind: u8, marker: bool, payload: &[u8]) {
        let mut datagram = [0; LONGEST_BYTES];
        let packet = self.spec.sending.send(now, time, kind, marker, payload);
        let Ok(length) = packet.write(&mut datagram) else { return };
        let sealed = match &mut self.spec.sealer {
            Some(sealer) => sealer.seal_rtp(&mut datagram, length).ok(),
            None => Some(length),
        };
        // Nothing leaves unsealed that should be: a sealer that is out of numbers ends the stream.
        let Some(length) = sealed else { return };
        self.spec.wire.put(due, &datagram[..length]);
        self.has_put = true;
    }

    /// Sends a report, the last one with a goodbye.
    fn report(&mut self, now: MediaTime, due: Instant, is_last: bool) {
        let mut datagram = [0; LONGEST_BYTES];
        let wall = Ntp::at(self.spec.epoch.wall_at(now));
        let written = match is_last {
            true => self.spec.sending.goodbye(now, wall, &mut datagram),
            false => self.spec.sending.report(now, wall, &mut datagram),
        };
        let Ok(length) = written else { return };
        let sealed = match &mut self.spec.sealer {
            Some(sealer) => sealer.seal_rtcp(&mut datagram, length).ok(),
            None => Some(length),
        };
        let Some(length) = sealed else { return };
        self.spec.wire.put(due, &datagram[..length]);
        self.has_put = true;
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.has_put) {
            self.spec.wire.flush();
        }
    }
}

impl Node for Send {
    fn ports(&self) -> Ports {
        Ports::sink(mono(self.spec.codec.sample_hz()))
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let samples = inputs.samples(0);
        let expected =
            self.began + MediaTime::from_samples(self.filled as u64, self.spec.codec.sample_hz()).as_duration();
        if self.filled > 0 && expected != tick.at {
            // Time jumped (the engine had to skip): half a packet from before belongs to nothing.
            (self.filled, self.is_talking) = (0, false);
        }
        if self.filled == 0 {
            self.began = tick.at;
        }
        self.samples[self.filled..self.filled + samples.len()].copy_from_slice(samples);
        self.filled += samples.len();
        if self.filled == self.samples.len() {
            self.filled = 0;
            self.packet(tick.at, tick.due);
        }
        if self.spec.rtcp && self.spec.sending.is_report_due(tick.at) {
            self.report(tick.at, tick.due, false);
        }
        self.flush();
        self.last_tick = Some((tick.at, tick.due));
        Status::Silent
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Pause => (self.spec.is_quiet, self.is_talking) = (true, false),
            Control::Resume => self.spec.is_quiet = false,
            _ => {}
        }
    }

    fn succeed(&mut self, before: &mut dyn Any) {
        let Some(before) = before.downcast_mut::<Self>() else { return };
        swap(&mut self.spec.wire, &mut before.spec.wire);
        if self.spec.keeps_cipher {
            swap(&mut self.spec.sealer, &mut before.spec.sealer);
        }
        if let (true, Some((_, keys)), Some((_, kept))) =
            (self.spec.keeps_keys, &mut self.spec.keys, &mut before.spec.keys)
        {
            swap(keys, kept);
        }
        // What that one took over it may have kept for us.
        (self.spec.keeps_cipher, self.spec.keeps_keys) = (before.spec.keeps_cipher, before.spec.keeps_keys);
        self.loss = before.loss;
        let (codec, codec_before) = (self.spec.codec, before.spec.codec);
        if codec.clock() == codec_before.clock() {
            swap(&mut self.spec.sending, &mut before.spec.sending);
            if self.spec.event_hz == before.spec.event_hz {
                swap(&mut self.keys, &mut before.keys);
            }
        } else {
            self.spec.sending.follow(&before.spec.sending);
        }
        if codec == codec_before {
            swap(&mut self.spec.encoder, &mut before.spec.encoder);
            // What was gathered begins the next packet, unless that is shorter.
            if before.filled < self.samples.len() {
                (self.filled, self.began) = (before.filled, before.began);
                self.samples[..self.filled].copy_from_slice(&before.samples[..self.filled]);
            }
        }
        // It does not leave: it goes on as another.
        before.last_tick = None;
    }
}

impl Drop for Send {
    /// Says goodbye, on the thread that drops nodes.
    fn drop(&mut self) {
        if let Some((at, due)) = self.last_tick
            && self.spec.rtcp
        {
            self.report(at, due, true);
            self.flush();
        }
    }
}
