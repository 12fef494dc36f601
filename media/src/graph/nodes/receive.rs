//! From datagrams to the graph: what a peer says, evenly, whatever the network does.
//!
//! At each tick the node takes what has come, opens it, tells RTP from RTCP and sound from keys, and plays what is
//! due out of the jitter buffer. It never waits for a packet. It reports keys as they are pressed, the far end's
//! goodbye, and how the stream does once a second. Where keys come as tones they are heard as such; where the far end
//! is silent it may hiss. Datagrams come from a stranger: what is wrong with them is counted, and nothing else happens.

use std::{
    any::Any,
    mem::swap,
    time::{Duration, Instant},
};

use crate::{
    codec::voice::{Codec, Decoder},
    graph::{
        TICKS_PER_SECOND,
        node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
        notes::Described,
    },
    journal::Kind,
    ring::packets::{LONGEST_BYTES, PacketReader},
    rtp::{
        comfort::Comfort,
        dtmf,
        in_band::InBand,
        jitter::Shape,
        leg::Health,
        packet::{Packet, is_rtcp},
        playout::{Ask, Playout},
        rtcp::Ntp,
        seq::Clock,
        session::Hearing,
        source::Counts,
        srtp::Opener,
    },
    time::{Epoch, MediaTime},
};

/// Datagrams that one tick takes at most: all that fit the queue, so that a flood cannot hold it up.
const DATAGRAMS_PER_TICK: usize = 64;

/// What the node is made of; see [`leg`](crate::rtp::leg::leg).
pub(crate) struct ReceiveSpec {
    pub(crate) packets: PacketReader,
    pub(crate) codec: Codec,
    pub(crate) decoder: Decoder,
    pub(crate) hearing: Hearing,
    pub(crate) opener: Option<Opener>,
    /// Where it takes over from another: whether the keys of that one go on.
    pub(crate) keeps_cipher: bool,
    pub(crate) payload_type: u8,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) event_hz: u32,
    pub(crate) keys_in_band: bool,
    pub(crate) comfort_noise: Option<u8>,
    pub(crate) fills_silence: bool,
    pub(crate) is_paused: bool,
    pub(crate) shape: Shape,
    pub(crate) epoch: Epoch,
}

/// Nothing in, one output at the codec's rate.
pub struct Receive {
    spec: ReceiveSpec,
    playout: Playout,
    keys: dtmf::Receiver,
    in_band: Option<InBand>,
    comfort: Option<Comfort>,
    /// When something of the far end came last; before that, when it was first waited for.
    last_sign: Option<MediaTime>,
    /// Datagrams that were not believed before a source was asked for.
    refused: u64,
    second: Second,
}

/// What the second that runs began with, and what was made up in it.
#[derive(Default)]
struct Second {
    ticks: u32,
    counts: Counts,
    concealed_samples: usize,
}

impl Receive {
    pub(crate) fn new(spec: ReceiveSpec) -> Self {
        let playout = Playout::new(spec.shape);
        let Shape { clock, .. } = spec.shape;
        let keys = dtmf::Receiver::new(Clock { ticks_hz: spec.event_hz, ..clock });
        let in_band = spec.keys_in_band.then(|| InBand::new(clock));
        let comfort = (spec.fills_silence || spec.comfort_noise.is_some()).then(|| Comfort::new(spec.fills_silence));
        Self { spec, playout, keys, in_band, comfort, last_sign: None, refused: 0, second: Second::default() }
    }

    /// Takes one datagram, which came `at`.
    fn take(&mut self, tick: &mut Tick<'_>, at: MediaTime, datagram: &mut [u8]) {
        if is_rtcp(datagram) {
            return self.take_rtcp(tick, at, datagram);
        }
        let opened = match &mut self.spec.opener {
            Some(opener) => opener.open_rtp(datagram).ok(),
            None => Some(datagram.len()),
        };
        if let Some(length) = opened {
            tick.note(Kind::Packet, [&at.ticks().to_le_bytes(), &datagram[..length]]);
        }
        let Some(Ok(packet)) = opened.map(|length| Packet::parse(&datagram[..length])) else {
            self.refused += 1;
            return;
        };
        let is_sound = packet.payload_type == self.spec.payload_type;
        let is_key = Some(packet.payload_type) == self.spec.telephone_event;
        let is_comfort = Some(packet.payload_type) == self.spec.comfort_noise;
        if !is_sound && !is_key && !is_comfort {
            self.refused += 1;
            // Of a source that is heard it still has its place in the row, or it would be missed as a loss.
            if self.spec.hearing.ssrc() != Some(packet.ssrc) {
                return;
            }
        }
        // A source that is not believed is counted where it was judged.
        let Some(arrival) = self.spec.hearing.hear(&packet, at) else { return };
        self.last_sign = Some(at);
        if is_sound {
            self.playout.put(arrival, packet.payload_type, packet.payload);
            return;
        }
        self.playout.put_other(arrival);
        if is_key {
            for event in self.keys.hear(arrival, packet.payload) {
                tick.report(Event::Key(event));
            }
        }
        if let Some(comfort) = self.comfort.as_mut().filter(|_| is_comfort) {
            comfort.describe(packet.payload);
        }
    }

    fn take_rtcp(&mut self, tick: &mut Tick<'_>, at: MediaTime, datagram: &mut [u8]) {
        let opened = match &mut self.spec.opener {
            Some(opener) => opener.open_rtcp(datagram).ok(),
            None => Some(datagram.len()),
        };
        if let Some(length) = opened {
            tick.note(Kind::Packet, [&at.ticks().to_le_bytes(), &datagram[..length]]);
        }
        let wall = Ntp::at(self.spec.epoch.wall_at(at));
        match opened.map(|length| self.spec.hearing.hear_rtcp(&datagram[..length], at, wall)) {
            Some(Ok(said)) if said.goodbye => tick.report(Event::Goodbye),
            // Who reports on us is there, though it may have nothing to say.
            Some(Ok(said)) if said.report => self.last_sign = Some(at),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.refused += 1,
        }
    }

    /// Ends the second that runs, at `now`.
    fn health(&mut self, now: MediaTime) -> Health {
        let session = self.spec.hearing.health();
        let (heard, before) = (session.heard, self.second.counts);
        // Another source, or one that began anew, is counted from its own beginning.
        let before = if heard.restarts == before.restarts { before } else { Counts::default() };
        let expected = heard.expected.saturating_sub(before.expected);
        let missing = expected.saturating_sub(heard.received.saturating_sub(before.received));
        let target_ms = self.playout.target_ms();
        let buffered = Duration::from_secs_f64(target_ms / 1e3);
        let played = self.spec.shape.clock.sample_hz as f32;
        let concealed = self.second.concealed_samples as f32 / played;
        self.second = Second { counts: heard, ..Second::default() };
        Health {
            received: heard.received,
            lost: heard.lost(),
            late: self.playout.stats().late,
            refused: self.refused + heard.refused,
            silent_ms: self.last_sign.map_or(0, |last| now.since(last).as_millis().try_into().unwrap_or(u32::MAX)),
            loss: missing as f32 / expected.max(1) as f32,
            concealed: concealed.min(1.0),
            jitter_ms: session.jitter_ms as f32,
            target_ms: target_ms as f32,
            round_trip_ms: session.round_trip.map(|time| time.as_secs_f32() * 1e3),
            far_loss: session.far_loss.map(|share| share as f32),
            mos: self.spec.hearing.mos(buffered, self.spec.codec.robustness()) as f32,
        }
    }
}

impl Node for Receive {
    fn ports(&self) -> Ports {
        Ports::source(mono(self.spec.codec.sample_hz()))
    }

    fn describe(&self) -> Described {
        let Shape { packet_ms, payload_bytes, bounds, .. } = self.spec.shape;
        Described::Receive {
            codec: self.spec.codec.name().to_owned(),
            rate_hz: self.spec.codec.sample_hz(),
            payload_type: self.spec.payload_type,
            telephone_event: self.spec.telephone_event,
            packet_ms,
            payload_bytes,
            margin_ms: bounds.margin_ms,
            most_ms: bounds.most_ms,
            comfort_noise: self.spec.comfort_noise,
            fills_silence: self.spec.fills_silence,
            is_paused: self.spec.is_paused,
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Pause => self.spec.is_paused = true,
            Control::Resume => self.spec.is_paused = false,
            _ => {}
        }
    }

    fn succeed(&mut self, before: &mut dyn Any) {
        let Some(before) = before.downcast_mut::<Self>() else { return };
        swap(&mut self.spec.packets, &mut before.spec.packets);
        if self.spec.keeps_cipher {
            swap(&mut self.spec.opener, &mut before.spec.opener);
        }
        // What that one took over it may have kept for us.
        self.spec.keeps_cipher = before.spec.keeps_cipher;
        (self.refused, self.last_sign) = (before.refused, before.last_sign);
        if self.spec.shape.clock != before.spec.shape.clock {
            return;
        }
        swap(&mut self.spec.hearing, &mut before.spec.hearing);
        swap(&mut self.second, &mut before.second);
        swap(&mut self.comfort, &mut before.comfort);
        if self.spec.event_hz == before.spec.event_hz {
            swap(&mut self.keys, &mut before.keys);
        }
        if self.spec.codec.is_decoded_as(before.spec.codec) {
            swap(&mut self.spec.decoder, &mut before.spec.decoder);
            swap(&mut self.playout, &mut before.playout);
        }
    }

    fn process(&mut self, tick: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        self.last_sign.get_or_insert(tick.at);
        let mut datagram = [0; LONGEST_BYTES];
        for _ in 0..DATAGRAMS_PER_TICK {
            let Some((came, length)) = self.spec.packets.pop(&mut datagram) else { break };
            let at = arrival(tick.at, tick.due, came);
            self.take(tick, at, &mut datagram[..length]);
        }
        if let Some(event) = self.keys.tick(tick.at) {
            tick.report(Event::Key(event));
        }
        let (out, decoder) = (outputs.samples(0), &mut self.spec.decoder);
        let made = self.playout.tick(tick.at, out, &mut |ask, out| match ask {
            Ask::Decode { payload, .. } => decoder.decode(payload, out),
            Ask::Conceal { samples, next } => decoder.conceal(samples, next, out),
        });
        if self.spec.is_paused {
            out.fill(0.0);
        } else if let Some(in_band) = &mut self.in_band {
            in_band.hear(out, tick.at, |event| tick.report(Event::Key(event)));
        }
        if let Some(comfort) = self.comfort.as_mut().filter(|_| !self.spec.is_paused) {
            comfort.fill(out, made);
        }
        let is_silent = (made.silent > 0 || self.spec.is_paused) && out.iter().all(|sample| *sample == 0.0);
        self.second.concealed_samples += made.concealed;
        self.second.ticks += 1;
        if self.second.ticks == TICKS_PER_SECOND {
            let health = self.health(tick.at);
            tick.report(Event::Rtp(health));
        }
        if is_silent { Status::Silent } else { Status::Sounding }
    }
}

/// When a datagram that came at `came` came on the timeline of a room whose tick at `at` is `due`.
fn arrival(at: MediaTime, due: Instant, came: Instant) -> MediaTime {
    match due.checked_duration_since(came) {
        Some(before) => at.saturating_sub(before),
        None => at + came.saturating_duration_since(due),
    }
}
