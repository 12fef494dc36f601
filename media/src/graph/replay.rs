//! The graph of a recorded call again: the same nodes, wired and told the same at the same ticks, on the same input.
//!
//! Pure: no clock, no thread, no room of the engine; only schedules that tick one after the other. Sinks take sound
//! and do nothing with it; what they were given is held against the checksums of then, tick by tick. What
//! encoders made of it, and what went onto the wire, is not looked at.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Instant, SystemTime},
};

use crate::{
    codec::voice::{Codec, Decoder, OpusOptions},
    frame::Format,
    graph::{
        build::{Graph, NodeId, Port},
        node::{Inputs, Node, Outputs, Ports, Status, Tick},
        nodes::{
            denoise::Denoise,
            gain::Gain,
            mixer::{Mixer, Sum},
            playout::{Mouth, playout},
            receive::{Receive, ReceiveSpec},
            resample::Resample,
        },
        notes::{Described, Obeyed, Told},
        schedule::Schedule,
    },
    journal::{
        Kind, Record, TapeReader,
        body::{Short, Take},
        tape,
    },
    ring::packets::{PacketWriter, packets},
    rtp::{
        delay::Bounds,
        jitter::Shape,
        seq::{RtpTime, SeqNo},
        session::{Identity, session},
    },
    time::{CLOCK_HZ, Epoch, MediaTime},
};

/// 10 ms in ticks of the room's time.
const STEP: u64 = CLOCK_HZ / super::TICKS_PER_SECOND as u64;

/// What one tick reads of a queue at most, and then some.
const PACKETS: usize = 256;

/// The engine says something once a second; a journal that is silent for longer than this says nonsense.
const LONGEST_TICKS: u64 = 10 * CLOCK_HZ;

/// No call lasts for a hundred years.
const LATEST_TICKS: u64 = 100 * 365 * 24 * 3_600 * CLOCK_HZ;

/// What the graph did again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Ticks of 10 ms.
    pub ticks: u64,
    /// Datagrams that it was sent.
    pub packets: u64,
    /// Pieces that it was given to play.
    pub pieces: u64,
    /// Blocks of 10 ms that were compared, at every sink.
    pub compared: u64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticks, packets, pieces, compared } = self;
        let seconds = *ticks as f64 / f64::from(super::TICKS_PER_SECOND);
        write!(f, "{seconds:.1} s of the engine, {packets} packets, {pieces} pieces played, {compared} blocks compared")
    }
}

/// Where the samples differ first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// When.
    pub at: MediaTime,
    /// At which node.
    pub node: u32,
    /// What it is.
    pub what: String,
    /// The checksum then; `None` when it was silent.
    pub then: Option<u32>,
    /// The checksum now; `None` when it is silent.
    pub now: Option<u32>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |sum: Option<u32>| sum.map_or_else(|| "silence".to_owned(), |sum| format!("{sum:08x}"));
        write!(
            f,
            "the sound at {} (node {}) differs at {}\n  then: {}\n  now:  {}",
            self.what,
            self.node,
            self.at,
            sum(self.then),
            sum(self.now)
        )
    }
}

/// Why the graph cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Not a fault: the replay found what it looks for.
    #[error("{0}")]
    Different(Difference),
    /// A record makes no sense where it stands.
    #[error("{0}")]
    Senseless(String),
}

impl From<Short> for Stop {
    fn from(short: Short) -> Self {
        Self::Senseless(short.to_string())
    }
}

fn senseless(why: impl Into<String>) -> Stop {
    Stop::Senseless(why.into())
}

/// A graph in the middle of being run again.
pub struct Again {
    epoch: Epoch,
    /// What the graph will be told, oldest first.
    told: VecDeque<Told>,
    graph: Graph,
    names: BTreeMap<u32, String>,
    wires: BTreeMap<u32, PacketWriter>,
    mouths: BTreeMap<u32, Mouth>,
    room: Option<Room>,
    /// What was noted of the tick that is next.
    tick: Vec<Record>,
    done: Replayed,
}

struct Room {
    /// The next tick.
    at: MediaTime,
    schedule: Schedule,
    tape: TapeReader,
}

impl Again {
    /// A graph that is going to be told `told`, the [`Kind::GraphTold`] of a journal.
    ///
    /// # Errors
    /// [`Stop::Senseless`] when a record is something else.
    pub fn new(told: &[Record], began: Instant) -> Result<Self, Stop> {
        let told = told.iter().map(|record| serde_json::from_slice(&record.body));
        let told = told.collect::<Result<_, _>>().map_err(|error| senseless(error.to_string()))?;
        Ok(Self {
            epoch: Epoch { instant: began, wall: SystemTime::UNIX_EPOCH },
            told,
            graph: Graph::new(),
            names: BTreeMap::new(),
            wires: BTreeMap::new(),
            mouths: BTreeMap::new(),
            room: None,
            tick: Vec::new(),
            done: Replayed::default(),
        })
    }

    /// Takes the next record of the tape, and runs what can be run.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn take(&mut self, record: Record) -> Result<(), Stop> {
        let mut body = Take::new(&record.body);
        let at = MediaTime::from_ticks(body.u64()?);
        if at.ticks() > LATEST_TICKS {
            return Err(senseless(format!("nothing happens at {at}")));
        }
        if record.kind == Kind::GraphObeyed {
            let obeyed = Obeyed::read(record.track, &mut body)?;
            let obeyed = obeyed.ok_or_else(|| senseless("an order that a journal does not hold"))?;
            return self.obey(obeyed, at);
        }
        self.run_until(at)?;
        self.tick.push(record);
        Ok(())
    }

    /// Runs what is left, and says what was done.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn end(mut self, is_whole: bool) -> Result<Replayed, Stop> {
        // The last tick of a journal that was cut may lack some of its records.
        if is_whole && !self.tick.is_empty() {
            self.run()?;
        }
        Ok(self.done)
    }

    fn obey(&mut self, obeyed: Obeyed, at: MediaTime) -> Result<(), Stop> {
        match obeyed {
            Obeyed::Open(number) => {
                if let Some(room) = &self.room {
                    return Err(senseless(format!("the room is open already, at {}", room.at)));
                }
                let mut schedule = self.build(number)?;
                let (writer, tape) = tape();
                schedule.note_on(writer);
                self.room = Some(Room { at, schedule, tape });
                return Ok(());
            }
            Obeyed::Jump(from) => {
                self.run_until(from)?;
                self.run_pending()?;
                self.room()?.at = at;
                return Ok(());
            }
            Obeyed::Beat => return self.run_until(at),
            Obeyed::Rebuild(_) | Obeyed::Tell(..) | Obeyed::Close => self.run_until(at)?,
        }
        match obeyed {
            Obeyed::Rebuild(number) => {
                let mut schedule = self.build(number)?;
                let room = self.room()?;
                schedule.adopt(&mut room.schedule);
                room.schedule = schedule;
            }
            Obeyed::Tell(node, control) => {
                // What panicked then is told nothing, then as now.
                self.room()?.schedule.control(node, control);
            }
            _ => self.room = None,
        }
        Ok(())
    }

    fn room(&mut self) -> Result<&mut Room, Stop> {
        self.room.as_mut().ok_or_else(|| senseless("the room is not open"))
    }

    /// Runs all ticks before `at`.
    fn run_until(&mut self, at: MediaTime) -> Result<(), Stop> {
        let now = self.room()?.at;
        if at < now || at.ticks() - now.ticks() > LONGEST_TICKS {
            return Err(senseless(format!("a record of {at} comes at {now}")));
        }
        while self.room()?.at < at {
            self.run()?;
        }
        Ok(())
    }

    fn run_pending(&mut self) -> Result<(), Stop> {
        if self.tick.is_empty() { Ok(()) } else { self.run() }
    }

    /// Runs the next tick on what was noted of it, and compares.
    fn run(&mut self) -> Result<(), Stop> {
        let noted = std::mem::take(&mut self.tick);
        let (epoch, at) = (self.epoch, self.room()?.at);
        let due = epoch.instant + at.as_duration();
        let mut then = Vec::new();
        for record in noted {
            let mut body = Take::new(&record.body);
            body.u64()?;
            match record.kind {
                Kind::Packet => {
                    let came = MediaTime::from_ticks(body.u64()?);
                    let before = at.as_duration().saturating_sub(came.as_duration());
                    let after = came.as_duration().saturating_sub(at.as_duration());
                    let came = (due + after).checked_sub(before).unwrap_or(due);
                    let wire = self.wires.get_mut(&record.track);
                    let wire = wire.ok_or_else(|| senseless("a packet for a node that takes none"))?;
                    wire.push(came, body.rest()).map_err(|error| senseless(error.to_string()))?;
                    self.done.packets += 1;
                }
                Kind::Sound => {
                    let mouth = self.mouths.get_mut(&record.track);
                    let mouth = mouth.ok_or_else(|| senseless("a piece for a node that plays none"))?;
                    let (is_mark, turn) = (body.u8()? != 0, body.u64()?);
                    let is_taken = match is_mark {
                        true => mouth.mark(turn, body.u64()?),
                        false => {
                            let samples = body.samples()?;
                            mouth.speak(turn, &samples) == samples.len()
                        }
                    };
                    if !is_taken {
                        return Err(senseless("more pieces for one tick than a queue holds"));
                    }
                    self.done.pieces += 1;
                }
                Kind::Passed => then.push((record.track, body.u32()?)),
                _ => return Err(senseless(format!("{:?} on a tape", record.kind))),
            }
        }
        let room = self.room()?;
        room.schedule.tick(at, due);
        room.schedule.drain_events().for_each(drop);
        room.at = MediaTime::from_ticks(at.ticks() + STEP);
        let mut now = Vec::new();
        let mut is_readable = true;
        room.tape.empty(|kind, node, body| {
            if kind == Kind::Passed as u8 {
                let mut body = Take::new(body);
                match body.u64().and_then(|_| body.u32()) {
                    Ok(sum) => now.push((node, sum)),
                    Err(_) => is_readable = false,
                }
            }
        });
        if !is_readable || room.tape.take_dropped() > 0 {
            return Err(senseless("more happens in one tick now than a tape holds"));
        }
        self.done.ticks += 1;
        self.compare(at, &then, &now)
    }

    fn compare(&mut self, at: MediaTime, then: &[(u32, u32)], now: &[(u32, u32)]) -> Result<(), Stop> {
        self.done.compared += then.len() as u64;
        if then == now {
            return Ok(());
        }
        let (by_then, by_now): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (then.iter().copied().collect(), now.iter().copied().collect());
        let nodes = then.iter().chain(now).map(|&(node, _)| node);
        let differs = nodes.into_iter().find(|node| by_then.get(node) != by_now.get(node));
        let node = differs.unwrap_or_default();
        let what = self.names.get(&node).cloned().unwrap_or_else(|| "a node".to_owned());
        let (then, now) = (by_then.get(&node).copied(), by_now.get(&node).copied());
        Err(Stop::Different(Difference { at, node, what, then, now }))
    }

    /// Does to the graph what was done up to the making of schedule `number`, and makes it.
    fn build(&mut self, number: u64) -> Result<Schedule, Stop> {
        loop {
            let told = self.told.pop_front();
            let told = told.ok_or_else(|| senseless(format!("schedule {number} was never made")))?;
            match told {
                Told::Add { node, is } => self.add(node, &is)?,
                Told::Succeed { node, of } => {
                    // The new one reads what the old one read, as far as they are of a kind.
                    if let Some(wire) = self.wires.remove(&of).filter(|_| self.wires.contains_key(&node)) {
                        self.wires.insert(node, wire);
                    }
                    let succeeded = self.graph.succeed(NodeId(node), NodeId(of));
                    succeeded.map_err(|error| senseless(error.to_string()))?;
                }
                Told::Remove(node) => {
                    self.wires.remove(&node);
                    self.mouths.remove(&node);
                    self.graph.remove(NodeId(node)).map_err(|error| senseless(error.to_string()))?;
                }
                Told::Connect { from, to } => {
                    let connected = self.graph.connect(port(from), port(to));
                    connected.map_err(|error| senseless(error.to_string()))?;
                }
                Told::Disconnect(to) => self.graph.disconnect(port(to)),
                Told::Built(made) => {
                    let schedule = self.graph.build().map_err(|error| senseless(error.to_string()))?;
                    if made == number {
                        return Ok(schedule);
                    }
                    // One that the engine never saw takes new nodes along into nothing, then as now.
                }
            }
        }
    }

    fn add(&mut self, node: u32, is: &Described) -> Result<(), Stop> {
        let cannot = |why: &dyn fmt::Display| senseless(format!("node {node}, {}, cannot be made: {why}", is.name()));
        if !is.rates_hz().iter().all(|rate_hz| RATES_HZ.contains(rate_hz)) {
            return Err(cannot(&"no leg and no room has such a rate"));
        }
        if self.graph.next_id() != NodeId(node) {
            return Err(cannot(&"nodes before it are missing"));
        }
        let made: Box<dyn Node> = match is {
            Described::Receive {
                codec,
                rate_hz,
                payload_type,
                telephone_event,
                packet_ms,
                payload_bytes,
                margin_ms,
                most_ms,
                comfort_noise,
                fills_silence,
                is_paused,
            } => {
                let codec = named(codec, *rate_hz).ok_or_else(|| cannot(&"its codec is unknown"))?;
                let decoder = Decoder::new(codec).map_err(|error| cannot(&error))?;
                let (writer, reader) = packets(PACKETS, PACKETS * crate::ring::packets::LONGEST_BYTES);
                self.wires.insert(node, writer);
                let nobody = Identity { ssrc: 0, first_seq: SeqNo(0), first_time: RtpTime(0), cname: String::new() };
                let (hearing, _) = session(nobody, codec.clock());
                let bounds = Bounds { margin_ms: *margin_ms, most_ms: *most_ms };
                let shape = Shape {
                    clock: codec.clock(),
                    packet_ms: *packet_ms,
                    payload_bytes: (*payload_bytes).min(crate::ring::packets::LONGEST_BYTES),
                    bounds,
                };
                Box::new(Receive::new(ReceiveSpec {
                    packets: reader,
                    codec,
                    decoder,
                    hearing,
                    opener: None,
                    keeps_cipher: true,
                    payload_type: *payload_type,
                    telephone_event: *telephone_event,
                    // What keys are called makes no sound.
                    event_hz: codec.clock().ticks_hz,
                    keys_in_band: false,
                    comfort_noise: *comfort_noise,
                    fills_silence: *fills_silence,
                    is_paused: *is_paused,
                    shape,
                    epoch: self.epoch,
                }))
            }
            Described::Playout { rate_hz } => {
                let (playout, mouth) = playout(*rate_hz);
                self.mouths.insert(node, mouth);
                Box::new(playout)
            }
            Described::Resample { from_hz, to_hz, shift_ticks } => {
                let resample = Resample::staggered(*from_hz, *to_hz, (*shift_ticks).min(8));
                Box::new(resample.map_err(|error| cannot(&error))?)
            }
            Described::Gain { format, factor } => {
                Box::new(Gain::by_factor(self::format(*format), f32::from_bits(*factor)))
            }
            Described::Mixer { format, legs } => Box::new(Mixer::new(self::format(*format), (*legs).min(LEGS_MAX))),
            Described::Sum { format, legs } => Box::new(Sum::new(self::format(*format), (*legs).min(LEGS_MAX))),
            Described::Denoise => Box::new(Denoise::new()),
            Described::Sink { inputs, .. } => Box::new(Hole(inputs.iter().copied().map(format).collect())),
            Described::Other { .. } => return Err(cannot(&"a journal does not hold what it takes in")),
        };
        self.names.insert(node, is.name().to_owned());
        self.graph.add_boxed(made);
        Ok(())
    }
}

/// Rates of legs, ears and rooms.
const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// More legs than any room has: a journal cannot ask for more memory.
const LEGS_MAX: usize = 1_024;

fn named(codec: &str, rate_hz: u32) -> Option<Codec> {
    Some(match codec {
        "PCMU" => Codec::Pcmu,
        "PCMA" => Codec::Pcma,
        "G722" => Codec::G722,
        "opus" => Codec::Opus(OpusOptions::default()),
        "L16" => Codec::L16 { rate_hz },
        _ => return None,
    })
}

fn format((rate_hz, channels): (u32, u16)) -> Format {
    Format { rate_hz, channels }
}

fn port((node, index): (u32, usize)) -> Port {
    NodeId(node).port(index)
}

/// Takes sound and does nothing with it.
struct Hole(Vec<Format>);

impl Node for Hole {
    fn ports(&self) -> Ports {
        Ports { inputs: self.0.clone(), outputs: Vec::new() }
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        Status::Silent
    }
}
