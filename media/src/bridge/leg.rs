//! The handle of one leg of a room: its ears, its events, its level, and the knobs that it has.
//!
//! Held by whoever brought the leg (a call, a socket, a file that is played); dropping the [`Leg`] is leaving. A knob
//! takes effect within a tick or two and never waits: what is set last wins, and orders to nodes are refused
//! when too many wait. Nothing here runs on a real-time thread.

use std::{fmt, ops::Deref, sync::Arc};

use tokio::sync::{mpsc, watch};

use crate::{
    bridge::{
        BridgeError,
        sound::{Joined, Knob},
        switchboard::Line,
    },
    graph::{
        node::{Control, Event, Node},
        nodes::tap::TapReader,
    },
    time::MediaTime,
};

/// A leg of one room; never given twice in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg {}", self.0)
    }
}

/// What a leg is made of, and how it begins.
#[derive(Default)]
pub struct Plan {
    /// Where its voice comes from: no input, one mono output of 8, 16, 24 or 48 kHz.
    pub source: Option<Box<dyn Node>>,
    /// Where what it hears goes: one mono input of 8, 16, 24 or 48 kHz, no output.
    pub sink: Option<Box<dyn Node>>,
    /// Whether its voice is to be heard by somebody who transcribes it: [`Leg::take_ears`].
    pub ears: bool,
    /// Whether noise is taken out of its voice, for everybody who hears it.
    pub suppress_noise: bool,
    /// Whether it hears itself, as an echo.
    pub hears_itself: bool,
    /// Whether it begins muted.
    pub is_muted: bool,
    /// Whether captures may hold its voice from the start.
    pub may_be_captured: bool,
    /// Who alone hears its voice, see [`LegControl::heard_by`]; everybody else where nobody is named.
    pub heard_by: Option<LegId>,
}

/// A part of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The node that its voice comes from.
    Source,
    /// The node that takes what it hears.
    Sink,
    /// The tap of its ears.
    Ears,
    /// What the room put around the others: resamplers, gain, meter, noise suppression.
    Sound,
}

/// What happened to a leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LegEvent {
    /// Its source reported something.
    Source {
        /// In which tick.
        at: MediaTime,
        /// What.
        event: Event,
    },
    /// Its sink reported something.
    Sink {
        /// In which tick.
        at: MediaTime,
        /// What.
        event: Event,
    },
    /// A part of it panicked and is silent from now on; the rest lives. To repair it, leave and join again.
    Panicked {
        /// In which tick.
        at: MediaTime,
        /// Which part.
        part: Part,
    },
    /// Its ears were not read for 4 s; the reader is told what it missed.
    EarsOverflowed {
        /// In which tick.
        at: MediaTime,
    },
}

/// How loud a leg is, behind its mute; minus infinity for silence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root mean square in dBFS, over 100 ms.
    pub rms_dbfs: f32,
    /// Largest magnitude in dBFS.
    pub peak_dbfs: f32,
}

impl Level {
    /// Nothing at all.
    pub const SILENT: Self = Self { rms_dbfs: f32::NEG_INFINITY, peak_dbfs: f32::NEG_INFINITY };
}

/// Too many orders to the nodes of this room wait: the engine has stalled, or somebody floods it. Try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many orders to this room's nodes wait: try again a tick later")]
pub struct Busy;

/// A leg in a room, until it is dropped. Its knobs are those of [`LegControl`].
pub struct Leg {
    control: LegControl,
    /// What happens to it: 256 wait; when that is full the newest is dropped and counted. Ends when the engine stops.
    pub events: mpsc::Receiver<LegEvent>,
    levels: watch::Receiver<Level>,
    ears: Option<TapReader>,
}

impl Leg {
    pub(super) fn new(line: Arc<Line>, joined: Joined) -> Self {
        let control = LegControl { id: joined.id, line };
        Self { control, events: joined.events, levels: joined.levels, ears: joined.ears }
    }

    /// The reading end of its ears; nothing when the plan had none, or somebody took it.
    pub fn take_ears(&mut self) -> Option<TapReader> {
        self.ears.take()
    }

    /// Its level, ten times a second while there is a source.
    pub fn levels(&self) -> watch::Receiver<Level> {
        self.levels.clone()
    }

    /// Its knobs, for somebody else; they do nothing once the leg has left.
    pub fn control(&self) -> LegControl {
        self.control.clone()
    }
}

impl Deref for Leg {
    type Target = LegControl;

    fn deref(&self) -> &LegControl {
        &self.control
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.control.line.with(|sound| sound.leave(self.control.id));
    }
}

/// The knobs of a leg.
#[derive(Clone)]
pub struct LegControl {
    id: LegId,
    line: Arc<Line>,
}

impl LegControl {
    /// Which leg.
    pub fn id(&self) -> LegId {
        self.id
    }

    /// Silences its voice for everybody and everything: the others, the ears and the captures.
    pub fn mute(&self, is_muted: bool) {
        self.turn(Knob::Muted(is_muted));
    }

    /// Makes its voice louder or softer by `db`, at most 40 dB louder.
    pub fn gain_db(&self, db: f32) {
        self.turn(Knob::GainDb(db));
    }

    /// Whether captures may hold its voice: before it is allowed they hold silence in its place.
    pub fn allow_capture(&self, is_allowed: bool) {
        self.turn(Knob::MayBeCaptured(is_allowed));
    }

    /// Who alone hears its voice from now on: one leg, beside all that it hears anyway, and no capture; nobody where that
    /// leg is not there. `None` for everybody else, as most are heard. Its ears hear it always.
    pub fn heard_by(&self, listener: Option<LegId>) {
        self.turn(Knob::HeardBy(listener));
    }

    /// Switches noise suppression on or off, where the plan asked for it.
    pub fn suppress_noise(&self, is_on: bool) {
        self.turn(Knob::SuppressNoise(is_on));
    }

    /// Gives an order to the source.
    pub fn tell_source(&self, control: Control) -> Result<(), Busy> {
        self.line.with(|sound| sound.tell(self.id, Part::Source, control))
    }

    /// Gives an order to the sink.
    pub fn tell_sink(&self, control: Control) -> Result<(), Busy> {
        self.line.with(|sound| sound.tell(self.id, Part::Sink, control))
    }

    /// Puts other nodes in the places of the leg's source and sink, where they are given: they take over from those
    /// there ([`Node::succeed`]), and may have other rates. Nobody leaves by it: the ears, the knobs and the captures
    /// stay. Takes effect within two ticks.
    ///
    /// # Errors
    /// When the nodes have a shape or a rate that no leg has, or the leg never had such a place; nothing happens then.
    pub fn renew(&self, source: Option<Box<dyn Node>>, sink: Option<Box<dyn Node>>) -> Result<(), BridgeError> {
        self.line.with(|sound| sound.renew(self.id, source, sink))
    }

    fn turn(&self, knob: Knob) {
        self.line.with(|sound| sound.turn(self.id, knob));
    }
}
