//! The sound of one room as a value: wishes and reports go in, commands to the engine come out.
//!
//! Pure control: it reads no clock and sends nothing. Wishes only change what shall be; [`Sound::poll`] says what the
//! engine must be told next, so a burst of wishes becomes one new schedule and a knob that is turned twice is told
//! once. All that can pile up is bounded: a schedule, one order per knob and leg, and [`TELLS`] orders to
//! nodes, above which they are refused. The room is open in the engine while it has a leg or a capture.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use crate::{
    bridge::{
        BridgeError, Captured, Drops,
        leg::{Busy, LegEvent, LegId, Level, Part, Plan},
        wiring::{self, Ear, Middle, Rack, Voice, Wired},
    },
    engine::command::Command,
    graph::{
        build::NodeId,
        node::{Control, Event, Node},
        nodes::{
            capture::{CaptureReader, capture},
            tap::TapReader,
        },
    },
    id::RoomId,
    journal::Journal,
    time::MediaTime,
};

/// Orders to nodes that wait for the engine; more are refused.
const TELLS: usize = 64;

/// Events of a leg that wait for whoever holds it. When it is full, the newest are dropped and counted.
const EVENTS: usize = 256;

/// More gain than this is a mistake, and infinite gain would make noise that no mixer can bend back.
const GAIN_MAX_DB: f32 = 40.0;

/// The sound of one room.
pub(super) struct Sound {
    room: RoomId,
    epoch: Instant,
    rate_hz: u32,
    rack: Rack,
    middle: Middle,
    legs: BTreeMap<LegId, Placed>,
    captures: BTreeMap<NodeId, Captured>,
    /// Whose reports a node's are.
    owners: BTreeMap<NodeId, LegId>,
    legs_ever: u64,
    is_open: bool,
    /// The graph is not the one that the engine has.
    is_changed: bool,
    turned: BTreeSet<(LegId, Dial)>,
    tells: VecDeque<(NodeId, Control)>,
    drops: Drops,
}

/// A leg that is there.
struct Placed {
    voice: Option<Voice>,
    ear: Option<Ear>,
    hears_itself: bool,
    is_muted: bool,
    gain_db: f32,
    may_be_captured: bool,
    /// Who alone hears it.
    heard_by: Option<LegId>,
    suppresses_noise: bool,
    events: mpsc::Sender<LegEvent>,
    levels: watch::Sender<Level>,
}

impl Placed {
    fn heard_db(&self) -> f32 {
        if self.is_muted { f32::NEG_INFINITY } else { self.gain_db }
    }

    /// What is for one alone is not kept for others.
    fn is_captured(&self) -> bool {
        self.may_be_captured && self.heard_by.is_none()
    }
}

/// What a leg that has joined holds.
pub(super) struct Joined {
    pub(super) id: LegId,
    pub(super) events: mpsc::Receiver<LegEvent>,
    pub(super) levels: watch::Receiver<Level>,
    pub(super) ears: Option<TapReader>,
}

/// A knob and what it is turned to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Knob {
    Muted(bool),
    GainDb(f32),
    MayBeCaptured(bool),
    HeardBy(Option<LegId>),
    SuppressNoise(bool),
}

/// What the engine knows of knobs: mute and gain are one dial there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dial {
    Volume,
    Consent,
    Suppression,
}

impl Sound {
    /// A room without sound, whose time zero is `epoch`.
    pub(super) fn new(room: RoomId, epoch: Instant, rate_hz: u32) -> Self {
        Self {
            room,
            epoch,
            rate_hz,
            rack: Rack::new(rate_hz, room.0),
            middle: Middle::default(),
            legs: BTreeMap::new(),
            captures: BTreeMap::new(),
            owners: BTreeMap::new(),
            legs_ever: 0,
            is_open: false,
            is_changed: false,
            turned: BTreeSet::new(),
            tells: VecDeque::with_capacity(TELLS),
            drops: Drops::default(),
        }
    }

    /// From now on what becomes of the graph, and what it takes in, is noted in `journal`.
    pub(super) fn note_in(&mut self, journal: Journal) {
        self.rack.graph.note_in(journal);
    }

    /// Whether there is anything to hear, so that the room must be open in the engine.
    pub(super) fn is_wanted(&self) -> bool {
        !self.legs.is_empty() || !self.captures.is_empty()
    }

    /// Adds a leg.
    pub(super) fn join(&mut self, plan: Plan) -> Result<Joined, BridgeError> {
        wiring::check_room(self.rate_hz)?;
        let source_hz = plan.source.as_deref().map(wiring::source_hz).transpose()?;
        let sink_hz = plan.sink.as_deref().map(wiring::sink_hz).transpose()?;
        if plan.source.is_none() && (plan.ears || plan.suppress_noise) {
            return Err(BridgeError::NothingToHear);
        }
        let id = LegId(self.legs_ever);
        self.legs_ever += 1;
        let (told, events) = mpsc::channel(EVENTS);
        let (metered, levels) = watch::channel(Level::SILENT);
        let mut placed = Placed {
            voice: None,
            ear: None,
            hears_itself: plan.hears_itself,
            is_muted: plan.is_muted,
            gain_db: 0.0,
            may_be_captured: plan.may_be_captured,
            heard_by: plan.heard_by,
            suppresses_noise: plan.suppress_noise,
            events: told,
            levels: metered,
        };
        let mut ears = None;
        let mark = self.rack.graph.next_id();
        if let (Some(source), Some(source_hz)) = (plan.source, source_hz) {
            let gain_db = placed.heard_db();
            let (voice, reader) =
                Voice::add(&mut self.rack, source, source_hz, gain_db, plan.suppress_noise, plan.ears);
            (placed.voice, ears) = (Some(voice), reader);
        }
        if let (Some(sink), Some(sink_hz)) = (plan.sink, sink_hz) {
            placed.ear = Some(Ear::add(&mut self.rack, sink, sink_hz));
        }
        self.owners.extend((mark.0..self.rack.graph.next_id().0).map(|node| (NodeId(node), id)));
        self.legs.insert(id, placed);
        self.is_changed = true;
        Ok(Joined { id, events, levels, ears })
    }

    /// Puts other nodes in the places of a leg's source and sink; nothing when it has left.
    pub(super) fn renew(
        &mut self,
        id: LegId,
        source: Option<Box<dyn Node>>,
        sink: Option<Box<dyn Node>>,
    ) -> Result<(), BridgeError> {
        let source_hz = source.as_deref().map(wiring::source_hz).transpose()?;
        let sink_hz = sink.as_deref().map(wiring::sink_hz).transpose()?;
        let Some(leg) = self.legs.get_mut(&id) else { return Ok(()) };
        let has_places = (source.is_none() || leg.voice.is_some()) && (sink.is_none() || leg.ear.is_some());
        if !has_places {
            return Err(BridgeError::NoPlace(id));
        }
        let heard_db = leg.heard_db();
        if let (Some(voice), Some(source), Some(source_hz)) =
            (leg.voice.take_if(|_| source.is_some()), source, source_hz)
        {
            leg.voice = Some(voice.renew(&mut self.rack, source, source_hz, heard_db));
            self.turned.insert((id, Dial::Suppression));
        }
        if let (Some(ear), Some(sink), Some(sink_hz)) = (leg.ear.take_if(|_| sink.is_some()), sink, sink_hz) {
            leg.ear = Some(ear.renew(&mut self.rack, sink, sink_hz));
        }
        let nodes = leg.voice.iter().flat_map(Voice::nodes).chain(leg.ear.iter().flat_map(Ear::nodes));
        let nodes: Vec<_> = nodes.map(|node| (node, id)).collect();
        self.owners.retain(|_, owner| *owner != id);
        self.owners.extend(nodes);
        self.is_changed = true;
        Ok(())
    }

    /// Removes a leg and the captures of it.
    pub(super) fn leave(&mut self, id: LegId) {
        let Some(leg) = self.legs.remove(&id) else { return };
        if let Some(voice) = leg.voice {
            voice.remove(&mut self.rack);
        }
        if let Some(ear) = leg.ear {
            ear.remove(&mut self.rack);
        }
        self.owners.retain(|_, owner| *owner != id);
        let orphans: Vec<_> =
            self.captures.iter().filter(|(_, what)| what.depends_on(id)).map(|(&node, _)| node).collect();
        orphans.into_iter().for_each(|node| self.end_capture(node));
        self.is_changed = true;
    }

    /// Begins a capture.
    pub(super) fn capture(&mut self, what: Captured) -> Result<CaptureReader, BridgeError> {
        wiring::check_room(self.rate_hz)?;
        match what {
            Captured::Leg(id) => {
                let leg = self.legs.get(&id).filter(|leg| leg.voice.is_some());
                leg.ok_or(BridgeError::NoSuchLeg(id))?;
            }
            Captured::Others(id) => {
                self.legs.get(&id).ok_or(BridgeError::NoSuchLeg(id))?;
            }
            Captured::Everybody => {}
        }
        let (node, reader) = capture();
        self.captures.insert(self.rack.graph.add(node), what);
        self.is_changed = true;
        Ok(reader)
    }

    /// Ends all captures, because nobody holds the room any more.
    pub(super) fn end_captures(&mut self) {
        let nodes: Vec<_> = self.captures.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.end_capture(node));
    }

    fn end_capture(&mut self, node: NodeId) {
        if self.captures.remove(&node).is_some() {
            self.rack.graph.remove(node).expect("a capture is in the graph as long as in the list");
            self.is_changed = true;
        }
    }

    /// Turns a knob of a leg; nothing when it has left.
    pub(super) fn turn(&mut self, id: LegId, knob: Knob) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let dial = match knob {
            Knob::Muted(is_muted) => {
                leg.is_muted = is_muted;
                Dial::Volume
            }
            Knob::GainDb(db) => {
                leg.gain_db = db.min(GAIN_MAX_DB);
                Dial::Volume
            }
            Knob::MayBeCaptured(is_allowed) => {
                leg.may_be_captured = is_allowed;
                Dial::Consent
            }
            Knob::HeardBy(listener) => {
                self.is_changed |= leg.heard_by != listener;
                leg.heard_by = listener;
                Dial::Consent
            }
            Knob::SuppressNoise(is_on) => {
                leg.suppresses_noise = is_on;
                Dial::Suppression
            }
        };
        self.turned.insert((id, dial));
    }

    /// Queues an order to the source or the sink of a leg; nothing happens where there is none.
    pub(super) fn tell(&mut self, id: LegId, part: Part, control: Control) -> Result<(), Busy> {
        let Some(leg) = self.legs.get(&id) else { return Ok(()) };
        let node = match part {
            Part::Source => leg.voice.as_ref().map(|voice| voice.source),
            Part::Sink => leg.ear.as_ref().map(|ear| ear.sink),
            Part::Ears | Part::Sound => None,
        };
        let Some(node) = node else { return Ok(()) };
        if self.tells.len() == TELLS {
            return Err(Busy);
        }
        self.tells.push_back((node, control));
        Ok(())
    }

    /// The next command for the engine, in the order in which they must go.
    pub(super) fn poll(&mut self) -> Option<Command> {
        let room = self.room;
        if !self.is_wanted() {
            self.turned.clear();
            self.tells.clear();
            return mem::take(&mut self.is_open).then_some(Command::Close { room });
        }
        if mem::take(&mut self.is_changed) || !self.is_open {
            self.draw();
            if !self.is_open {
                self.rack.graph.begin();
            }
            let schedule = self.rack.graph.build().expect("the bridge connects every input, in no loop");
            let schedule = Box::new(schedule);
            return Some(match mem::replace(&mut self.is_open, true) {
                true => Command::Rebuild { room, schedule },
                false => Command::Open { room, epoch: self.epoch, schedule },
            });
        }
        while let Some((id, dial)) = self.turned.pop_first() {
            if let Some((node, control)) = self.setting(id, dial) {
                return Some(Command::Tell { room, node, control });
            }
        }
        while let Some((node, control)) = self.tells.pop_front() {
            if self.owners.contains_key(&node) {
                return Some(Command::Tell { room, node, control });
            }
        }
        None
    }

    /// What a dial stands at, and the node that shall know.
    fn setting(&self, id: LegId, dial: Dial) -> Option<(NodeId, Control)> {
        let leg = self.legs.get(&id)?;
        let voice = leg.voice.as_ref()?;
        Some(match dial {
            Dial::Volume => (voice.gain, Control::Gain(leg.heard_db())),
            Dial::Consent => (voice.gate()?, Control::Gain(wiring::gate_db(leg.is_captured()))),
            Dial::Suppression => (voice.denoise?, Control::Suppress(leg.suppresses_noise)),
        })
    }

    /// Draws the lines between the legs.
    fn draw(&mut self) {
        let (mut of_sums, mut of_legs) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (&node, &what) in &self.captures {
            match what {
                Captured::Everybody => of_sums.entry(None).or_default().push(node),
                Captured::Others(id) => of_sums.entry(Some(id)).or_default().push(node),
                Captured::Leg(id) => of_legs.entry(id).or_default().push(node),
            }
        }
        let mut legs: Vec<_> = self
            .legs
            .iter_mut()
            .map(|(&id, leg)| Wired {
                id,
                may_be_captured: leg.is_captured(),
                voice: leg.voice.as_mut(),
                ear: leg.ear.as_ref(),
                hears_itself: leg.hears_itself,
                heard_by: leg.heard_by,
                input: None,
            })
            .collect();
        self.middle.draw(&mut self.rack, &mut legs, &of_sums, &of_legs);
    }

    /// Hands what a node reported to its leg.
    pub(super) fn hear(&mut self, node: NodeId, at: MediaTime, event: Event) {
        if self.captures.contains_key(&node) {
            match event {
                Event::CaptureOverflowed => self.drops.captures += 1,
                _ => self.end_capture(node),
            }
            return;
        }
        let owner = self.owners.get(&node).copied().or_else(|| {
            let mut legs = self.legs.iter();
            legs.find(|(_, leg)| leg.voice.as_ref().is_some_and(|voice| voice.goes_through(node))).map(|(&id, _)| id)
        });
        let Some(leg) = owner.and_then(|id| self.legs.get(&id)) else {
            if event == Event::Panicked {
                tracing::error!(room = %self.room, ?node, "what mixes this room panicked: it is silent until somebody comes or goes");
            }
            return;
        };
        let part = leg.part(node);
        let told = match (part, event) {
            (_, Event::Panicked) => LegEvent::Panicked { at, part },
            (Part::Source, event) => LegEvent::Source { at, event },
            (Part::Sink, event) => LegEvent::Sink { at, event },
            (Part::Ears, _) => {
                self.drops.ears += 1;
                LegEvent::EarsOverflowed { at }
            }
            (Part::Sound, Event::Level { rms_dbfs, peak_dbfs }) => {
                leg.levels.send_replace(Level { rms_dbfs, peak_dbfs });
                return;
            }
            (Part::Sound, _) => return,
        };
        self.drops.leg_events += u64::from(leg.events.try_send(told).is_err());
    }

    /// Takes the counts of what was dropped since the last call.
    pub(super) fn take_drops(&mut self) -> Drops {
        mem::take(&mut self.drops)
    }

    /// The engine is gone: no leg will hear of anything any more.
    pub(super) fn stop(&mut self) {
        for leg in self.legs.values_mut() {
            // The receiver sees the end; the sender that takes its place has no receiver.
            leg.events = mpsc::channel(1).0;
        }
        (self.is_open, self.is_changed) = (false, false);
    }
}

impl Captured {
    /// Whether it is of no use once this leg has left.
    fn depends_on(self, id: LegId) -> bool {
        match self {
            Self::Leg(whose) | Self::Others(whose) => whose == id,
            Self::Everybody => false,
        }
    }
}

impl Placed {
    fn part(&self, node: NodeId) -> Part {
        let voice = self.voice.as_ref();
        if voice.is_some_and(|voice| voice.source == node) {
            Part::Source
        } else if self.ear.as_ref().is_some_and(|ear| ear.sink == node) {
            Part::Sink
        } else if voice.is_some_and(|voice| voice.tap == Some(node)) {
            Part::Ears
        } else {
            Part::Sound
        }
    }
}
