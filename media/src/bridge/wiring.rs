//! Which nodes a leg is made of and how they hang together, and how the legs of a room do.
//!
//! Each leg owns its nodes from the source to the gain and keeps them as long as it is there. What connects legs
//! (mixer and sum, both without memory) is drawn anew whenever somebody comes or goes; the resamplers between do have
//! memory, so they stay as long as anybody listens through them. Pure, and always on the control side.

use std::collections::BTreeMap;

use crate::{
    bridge::{
        BridgeError,
        leg::{LegId, Part},
    },
    frame::{EAR_HZ, MOUTH_HZ},
    graph::{
        build::{Graph, NodeId, Port},
        node::{Node, mono},
        nodes::{
            denoise::Denoise,
            gain::Gain,
            level::Level,
            mixer::{Mixer, Sum},
            resample::Resample,
            tap::{TapReader, tap},
        },
    },
};

/// Rates that a leg may have.
const LEG_RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// Rates that a room may mix at.
const ROOM_RATES_HZ: [u32; 3] = [8_000, 16_000, 48_000];

const CONNECTS: &str = "the bridge connects ports that exist, of equal formats";
const CONVERTS: &str = "all rates of legs and rooms can be converted";

/// Refuses a rate that a room cannot mix at.
pub(super) fn check_room(rate_hz: u32) -> Result<(), BridgeError> {
    ROOM_RATES_HZ.contains(&rate_hz).then_some(()).ok_or(BridgeError::UnsupportedRoomRate(rate_hz))
}

/// The rate of a source, if it is one.
pub(super) fn source_hz(node: &dyn Node) -> Result<u32, BridgeError> {
    let ports = node.ports();
    match (ports.inputs.as_slice(), ports.outputs.as_slice()) {
        ([], [format]) if format.channels == 1 => check_leg(Part::Source, format.rate_hz),
        _ => Err(BridgeError::BadSource(ports)),
    }
}

/// The rate of a sink, if it is one.
pub(super) fn sink_hz(node: &dyn Node) -> Result<u32, BridgeError> {
    let ports = node.ports();
    match (ports.inputs.as_slice(), ports.outputs.as_slice()) {
        ([format], []) if format.channels == 1 => check_leg(Part::Sink, format.rate_hz),
        _ => Err(BridgeError::BadSink(ports)),
    }
}

fn check_leg(part: Part, rate_hz: u32) -> Result<u32, BridgeError> {
    LEG_RATES_HZ.contains(&rate_hz).then_some(rate_hz).ok_or(BridgeError::UnsupportedRate { part, rate_hz })
}

/// The nodes of one room, and what is the same for all of them.
pub(super) struct Rack {
    pub(super) graph: Graph,
    room_hz: u32,
    /// The next resampler converts its blocks in the ticks between those of the last, so that no tick bears all.
    is_odd: bool,
}

impl Rack {
    /// No nodes, for a room that mixes at `room_hz`; rooms of different `seed` do not work in the same ticks.
    pub(super) fn new(room_hz: u32, seed: u64) -> Self {
        // Ids in a row, or every second one, come out odd as often as even (the golden ratio never repeats).
        let is_odd = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1;
        Self { graph: Graph::new(), room_hz, is_odd }
    }

    fn add(&mut self, node: impl Node + 'static) -> NodeId {
        self.graph.add(node)
    }

    fn chain(&mut self, nodes: &[NodeId]) {
        self.graph.chain(nodes).expect(CONNECTS);
    }

    fn connect(&mut self, from: Port, to: Port) {
        self.graph.connect(from, to).expect(CONNECTS);
    }

    fn remove(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        for node in nodes {
            self.graph.remove(node).expect(CONNECTS);
        }
    }

    /// A resampler, where one is needed.
    fn resample(&mut self, from_hz: u32, to_hz: u32) -> Option<NodeId> {
        if from_hz == to_hz {
            return None;
        }
        let shift_ticks = usize::from(self.is_odd);
        self.is_odd = !self.is_odd;
        Some(self.add(Resample::staggered(from_hz, to_hz, shift_ticks).expect(CONVERTS)))
    }

    /// A resampler behind `node`, where one is needed.
    fn resample_after(&mut self, node: NodeId, from_hz: u32, to_hz: u32) -> Option<NodeId> {
        let resample = self.resample(from_hz, to_hz)?;
        self.chain(&[node, resample]);
        Some(resample)
    }
}

/// A voice on its way from the source: behind mute, at the rate of its own.
pub(super) struct Voice {
    pub(super) source: NodeId,
    pub(super) denoise: Option<NodeId>,
    pub(super) gain: NodeId,
    pub(super) level: NodeId,
    pub(super) tap: Option<NodeId>,
    source_hz: u32,
    /// The rate behind the gain.
    rate_hz: u32,
    /// Towards the mixer, while anybody hears it: a resampler, or nothing where the rates agree.
    heard: Option<Option<NodeId>>,
    /// Towards the captures, while there are any.
    consent: Option<Consent>,
    /// All nodes that are its own for good.
    nodes: Vec<NodeId>,
}

/// The gate before captures, and the resampler behind it where one is needed.
struct Consent {
    gate: NodeId,
    resample: Option<NodeId>,
}

impl Voice {
    /// Adds the nodes of a voice to `rack`, at `gain_db` to begin with; with ears, their reading end.
    pub(super) fn add(
        rack: &mut Rack,
        source: Box<dyn Node>,
        source_hz: u32,
        gain_db: f32,
        suppress_noise: bool,
        ears: bool,
    ) -> (Self, Option<TapReader>) {
        let source = rack.graph.add_boxed(source);
        let (tap, reader) = ears.then(tap).map(|(node, reader)| (rack.add(node), reader)).unzip();
        (Self::wire(rack, source, source_hz, gain_db, suppress_noise, tap), reader)
    }

    /// Puts `source` in the place of its source. Where the rate changes all that depends on it is made anew; its ears stay.
    pub(super) fn renew(mut self, rack: &mut Rack, source: Box<dyn Node>, source_hz: u32, gain_db: f32) -> Self {
        let source = rack.graph.replace(self.source, source).expect(CONNECTS);
        if source_hz == self.source_hz {
            rack.chain(&[source, self.nodes[1]]);
            (self.source, self.nodes[0]) = (source, source);
            return self;
        }
        self.be_heard(rack, false);
        self.be_captured(rack, None);
        let suppress_noise = self.denoise.is_some();
        rack.remove(self.nodes.into_iter().filter(|node| *node != self.source).chain([self.level]));
        Self::wire(rack, source, source_hz, gain_db, suppress_noise, self.tap)
    }

    /// All its nodes that are there for good.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied().chain([self.level]).chain(self.tap)
    }

    /// The nodes between a source and the gain, and what hangs behind that.
    fn wire(
        rack: &mut Rack,
        source: NodeId,
        source_hz: u32,
        gain_db: f32,
        suppress_noise: bool,
        tap: Option<NodeId>,
    ) -> Self {
        let mut nodes = vec![source];
        let (mut rate_hz, mut denoise) = (source_hz, None);
        if suppress_noise {
            nodes.extend(rack.resample(rate_hz, MOUTH_HZ));
            rate_hz = MOUTH_HZ;
            denoise = Some(rack.add(Denoise::new()));
            nodes.extend(denoise);
        }
        let gain = rack.add(Gain::new(mono(rate_hz), gain_db));
        nodes.push(gain);
        rack.chain(&nodes);
        let level = rack.add(Level::new(mono(rate_hz)));
        rack.chain(&[gain, level]);
        if let Some(tap) = tap {
            let resample = rack.resample_after(gain, rate_hz, EAR_HZ);
            rack.chain(&[resample.unwrap_or(gain), tap]);
            nodes.extend(resample);
        }
        Self { source, denoise, gain, level, tap, source_hz, rate_hz, heard: None, consent: None, nodes }
    }

    /// The gate that captures stand behind, while there are any.
    pub(super) fn gate(&self) -> Option<NodeId> {
        self.consent.as_ref().map(|consent| consent.gate)
    }

    /// Whether `node` stands on its way to the mixer or to the captures.
    pub(super) fn goes_through(&self, node: NodeId) -> bool {
        let captured = self.consent.iter().any(|consent| consent.gate == node || consent.resample == Some(node));
        captured || self.heard == Some(Some(node))
    }

    /// Takes all its nodes out of `rack`.
    pub(super) fn remove(mut self, rack: &mut Rack) {
        self.be_heard(rack, false);
        self.be_captured(rack, None);
        rack.remove(self.nodes.into_iter().chain([self.level]).chain(self.tap));
    }

    /// Puts a way to the mixer behind the gain, or takes it away.
    fn be_heard(&mut self, rack: &mut Rack, is_heard: bool) {
        match (is_heard, self.heard) {
            (true, None) => self.heard = Some(rack.resample_after(self.gain, self.rate_hz, rack.room_hz)),
            (false, Some(resample)) => {
                self.heard = None;
                rack.remove(resample);
            }
            _ => {}
        }
    }

    /// Puts a gate and a way to captures behind the gain, or takes them away.
    fn be_captured(&mut self, rack: &mut Rack, may_be_captured: Option<bool>) {
        match (may_be_captured, self.consent.take()) {
            (Some(is_allowed), None) => {
                let gate = rack.add(Gain::new(mono(self.rate_hz), gate_db(is_allowed)));
                rack.chain(&[self.gain, gate]);
                let resample = rack.resample_after(gate, self.rate_hz, MOUTH_HZ);
                self.consent = Some(Consent { gate, resample });
            }
            (None, Some(consent)) => rack.remove([consent.gate].into_iter().chain(consent.resample)),
            (_, unchanged) => self.consent = unchanged,
        }
    }

    /// Where its voice enters the mixer.
    fn at_room_rate(&self) -> Option<Port> {
        self.heard.map(|resample| resample.unwrap_or(self.gain).port(0))
    }

    /// Where its voice, so far as it may be captured, is at 48 kHz.
    fn for_captures(&self) -> Option<Port> {
        self.consent.as_ref().map(|consent| consent.resample.unwrap_or(consent.gate).port(0))
    }
}

/// The level of a gate.
pub(super) fn gate_db(is_open: bool) -> f32 {
    if is_open { 0.0 } else { f32::NEG_INFINITY }
}

/// What a leg hears, on its way to the sink.
pub(super) struct Ear {
    pub(super) sink: NodeId,
    sink_hz: u32,
    resample: Option<NodeId>,
}

impl Ear {
    /// Adds `sink` to `rack`, behind a resampler where it needs one.
    pub(super) fn add(rack: &mut Rack, sink: Box<dyn Node>, sink_hz: u32) -> Self {
        let resample = rack.resample(rack.room_hz, sink_hz);
        let sink = rack.graph.add_boxed(sink);
        let way: Vec<_> = resample.into_iter().chain([sink]).collect();
        rack.chain(&way);
        Self { sink, sink_hz, resample }
    }

    /// Puts `sink` in the place of its sink.
    pub(super) fn renew(self, rack: &mut Rack, sink: Box<dyn Node>, sink_hz: u32) -> Self {
        let sink = rack.graph.replace(self.sink, sink).expect(CONNECTS);
        let resample = if sink_hz == self.sink_hz {
            self.resample
        } else {
            rack.remove(self.resample);
            rack.resample(rack.room_hz, sink_hz)
        };
        let way: Vec<_> = resample.into_iter().chain([sink]).collect();
        rack.chain(&way);
        Self { sink, sink_hz, resample }
    }

    /// All its nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.resample.into_iter().chain([self.sink])
    }

    /// Takes its nodes out of `rack`.
    pub(super) fn remove(self, rack: &mut Rack) {
        rack.remove(self.nodes());
    }

    fn port(&self) -> Port {
        self.resample.unwrap_or(self.sink).port(0)
    }
}

/// A leg as the wiring sees it.
pub(super) struct Wired<'a> {
    pub(super) id: LegId,
    pub(super) voice: Option<&'a mut Voice>,
    pub(super) ear: Option<&'a Ear>,
    pub(super) hears_itself: bool,
    pub(super) may_be_captured: bool,
    /// Who alone hears it.
    pub(super) heard_by: Option<LegId>,
    /// Its input of the mixer, while it has one.
    pub(super) input: Option<usize>,
}

/// The nodes without memory between the legs.
#[derive(Default)]
pub(super) struct Middle {
    mixer: Option<NodeId>,
    sums: Vec<NodeId>,
}

impl Middle {
    /// Draws the lines between all legs, in the order of their ids, and to the captures: nodes that take everybody, or
    /// everybody but one leg, and nodes that take one leg.
    pub(super) fn draw(
        &mut self,
        rack: &mut Rack,
        legs: &mut [Wired<'_>],
        sums: &BTreeMap<Option<LegId>, Vec<NodeId>>,
        captures: &BTreeMap<LegId, Vec<NodeId>>,
    ) {
        rack.remove(self.mixer.take().into_iter().chain(self.sums.drain(..)));
        let (mixer, whispered) = mix(rack, legs);
        self.mixer = mixer;
        for leg in legs.iter_mut() {
            let Some(voice) = &mut leg.voice else { continue };
            let captures = captures.get(&leg.id).map(Vec::as_slice).unwrap_or_default();
            let is_summed = sums.keys().any(|without| *without != Some(leg.id));
            let is_wanted = is_summed || !captures.is_empty();
            voice.be_captured(rack, is_wanted.then_some(leg.may_be_captured));
            let Some(voice) = voice.for_captures() else { continue };
            for &capture in captures {
                rack.graph.disconnect(capture.port(0));
                rack.connect(voice, capture.port(0));
            }
        }
        let summed = sums.iter().map(|(without, captures)| sum(rack, legs, *without, captures));
        self.sums = whispered.into_iter().chain(summed).collect();
    }
}

/// The mixer of the voices that anybody hears, none without ears; and what adds those to it, at one ear, that only that one
/// hears.
fn mix(rack: &mut Rack, legs: &mut [Wired<'_>]) -> (Option<NodeId>, Vec<NodeId>) {
    let ears: Vec<_> = legs.iter().filter(|leg| leg.ear.is_some()).map(|leg| leg.id).collect();
    let (mut voices, mut whispers) = (Vec::new(), Vec::new());
    for leg in legs.iter_mut() {
        let is_heard = match leg.heard_by {
            Some(listener) => listener != leg.id && ears.contains(&listener),
            None => ears.iter().any(|ear| *ear != leg.id || leg.hears_itself),
        };
        let Some(voice) = &mut leg.voice else { continue };
        voice.be_heard(rack, is_heard);
        let Some(port) = voice.at_room_rate() else { continue };
        match leg.heard_by {
            Some(listener) => whispers.push((listener, port)),
            None => {
                leg.input = Some(voices.len());
                voices.push(port);
            }
        }
    }
    if ears.is_empty() {
        return (None, Vec::new());
    }
    let everybody = voices.len();
    let mut whispered = Vec::new();
    let mixer = rack.add(Mixer::new(mono(rack.room_hz), voices.len()));
    for (index, voice) in voices.into_iter().enumerate() {
        rack.connect(voice, mixer.port(index));
    }
    for leg in legs.iter() {
        let Some(ear) = leg.ear else { continue };
        let without_itself = leg.input.filter(|_| !leg.hears_itself);
        let others = mixer.port(without_itself.unwrap_or(everybody));
        let own: Vec<_> = whispers.iter().filter(|(listener, _)| *listener == leg.id).map(|(_, port)| *port).collect();
        if own.is_empty() {
            rack.connect(others, ear.port());
            continue;
        }
        let sum = rack.add(Sum::new(mono(rack.room_hz), own.len() + 1));
        for (index, voice) in own.into_iter().chain([others]).enumerate() {
            rack.connect(voice, sum.port(index));
        }
        rack.connect(sum.port(0), ear.port());
        whispered.push(sum);
    }
    (Some(mixer), whispered)
}

/// The sum of the voices that may be captured, without those of one leg.
fn sum(rack: &mut Rack, legs: &[Wired<'_>], without: Option<LegId>, captures: &[NodeId]) -> NodeId {
    let summed = legs.iter().filter(|leg| without != Some(leg.id));
    let voices: Vec<_> = summed.filter_map(|leg| leg.voice.as_ref()?.for_captures()).collect();
    let sum = rack.add(Sum::new(mono(MOUTH_HZ), voices.len()));
    for (index, voice) in voices.into_iter().enumerate() {
        rack.connect(voice, sum.port(index));
    }
    for capture in captures {
        rack.connect(sum.port(0), capture.port(0));
    }
    sum
}
