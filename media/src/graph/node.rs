//! What a node of the graph is, and the words it exchanges with the outside.
//!
//! A node is made, described ([`Node::ports`]) and dropped on control threads; [`Node::process`] and
//! [`Node::control`] run on the engine's thread, where they never allocate, free, lock, log or wait. Samples are
//! f32 in [-1, 1]; the buffers belong to the schedule, which lends a node the slices of its ports for one tick.

use std::{any::Any, time::Instant};

use crate::{
    dsp::{detect, progress, tone},
    frame::Format,
    graph::{TICKS_PER_SECOND, notes::Described},
    journal::{Kind, Tape},
    rtp::{dtmf, leg},
    time::MediaTime,
};

/// A stage of the graph. Implemented outside this package too, where legs meet their transports.
pub trait Node: Send + Any {
    /// The formats of its ports; called once, on the control thread.
    fn ports(&self) -> Ports;

    /// Handles one tick of 10 ms; called on the engine's thread. Outputs that are neither written nor silenced
    /// become silent.
    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status;

    /// What it is made of, for a journal from which it may be made again; called once, on the control thread. What
    /// a node that only takes sound does with it is nobody's matter, so that most need not say.
    fn describe(&self) -> Described {
        Described::by_ports(std::any::type_name_of_val(self), &self.ports())
    }

    /// Obeys `control`, or ignores it where it is not for this kind of node; called on the engine's thread,
    /// between ticks.
    fn control(&mut self, control: Control) {
        let _ = control;
    }

    /// Takes over from `before`, whose place it has from now on: exchanges what must go on, frees nothing and allocates
    /// nothing; called once, before its first tick, on the engine's thread. `before` is dropped elsewhere.
    fn succeed(&mut self, before: &mut dyn Any) {
        let _ = before;
    }
}

/// Formats of the ports of one node, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// What goes in; every input needs exactly one edge.
    pub inputs: Vec<Format>,
    /// What comes out; an output feeds any number of inputs.
    pub outputs: Vec<Format>,
}

impl Ports {
    /// One input and one output of the same format.
    pub fn through(format: Format) -> Self {
        Self { inputs: vec![format], outputs: vec![format] }
    }

    /// One output and nothing in.
    pub fn source(format: Format) -> Self {
        Self { inputs: Vec::new(), outputs: vec![format] }
    }

    /// One input and nothing out.
    pub fn sink(format: Format) -> Self {
        Self { inputs: vec![format], outputs: Vec::new() }
    }
}

/// A mono format.
pub const fn mono(rate_hz: u32) -> Format {
    Format { rate_hz, channels: 1 }
}

/// Samples of all channels in one tick; nothing for rates that do not divide into ticks.
pub const fn samples_per_tick(format: Format) -> Option<usize> {
    if format.rate_hz == 0 || format.channels == 0 || !format.rate_hz.is_multiple_of(TICKS_PER_SECOND) {
        return None;
    }
    Some((format.rate_hz / TICKS_PER_SECOND) as usize * format.channels as usize)
}

/// What a node answers for one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The outputs hold what was written or silenced.
    Sounding,
    /// All outputs are silent, whatever was written.
    Silent,
}

/// Orders to a node. Plain values, so that nothing is freed where they are obeyed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// Gain: the level to reach within a tick, in dB; minus infinity mutes.
    Gain(f32),
    /// Playout: drop all turns up to this one, now and when they come late, with a short fade.
    Flush(u64),
    /// Playout: fade out and hold what is queued. Receive: be silent, whatever comes. Send: send no sound and no keys.
    Pause,
    /// Playout: go on where it was held. Receive and Send: go on.
    Resume,
    /// Tone: begin this one from its start.
    Play(tone::Tone),
    /// Tone: stop with a short fade.
    Stop,
    /// Comfort noise: its level in dBFS.
    Noise(f32),
    /// Noise suppression: on or off, with a short crossfade.
    Suppress(bool),
}

/// What a node tells the outside. Plain values, so that telling allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Level: loudness since the last report.
    Level {
        /// Root mean square in dBFS; minus infinity for silence.
        rms_dbfs: f32,
        /// Largest magnitude in dBFS.
        peak_dbfs: f32,
    },
    /// Playout: everything written before this mark has been played.
    MarkPlayed(u64),
    /// Playout: this mark was flushed, with sound before it that was never played.
    MarkFlushed(u64),
    /// Playout: nothing is left to play.
    Drained,
    /// Tap: frames were dropped because the reader left no room; once per spell.
    TapOverflowed,
    /// Capture: frames were dropped because the reader left no room; once per spell.
    CaptureOverflowed,
    /// Capture: nobody reads any more, and the node may be removed; once a second.
    CaptureAbandoned,
    /// Tone detector: this was heard.
    ToneHeard(detect::Heard),
    /// Call progress: this was heard.
    Progress(progress::Heard),
    /// Receive: the far end pressed a key or let it go.
    Key(dtmf::Event),
    /// Receive: how the stream does, once a second.
    Rtp(leg::Health),
    /// Receive: the far end says that it leaves.
    Goodbye,
    /// A tone was played to its end.
    ToneEnded,
    /// The node panicked; it is mute until it is replaced.
    Panicked,
}

/// The moment that a node handles, and where it leaves its reports.
pub struct Tick<'a> {
    /// When the first sample of this tick is heard.
    pub at: MediaTime,
    /// The deadline of this tick, the real time that `at` stands for: what arrived at the instant `arrival` did so
    /// at `at` minus (`due` - `arrival`) of the room's timeline.
    pub due: Instant,
    pub(super) events: &'a mut dyn FnMut(Event),
    /// Where what a node takes in from outside is noted, and under which number.
    pub(super) tape: Option<(&'a mut Tape, u32)>,
}

impl Tick<'_> {
    /// Leaves a report; when there are too many in one tick, the newest are dropped and counted.
    pub fn report(&mut self, event: Event) {
        (self.events)(event);
    }

    /// Whether somebody wants to know what comes in from outside of the graph.
    pub(crate) fn is_noted(&self) -> bool {
        self.tape.is_some()
    }

    /// Notes what came in from outside of the graph, where that is wanted.
    pub(crate) fn note(&mut self, kind: Kind, parts: [&[u8]; 2]) {
        if let Some((tape, node)) = &mut self.tape {
            tape.note(kind, *node, &[&self.at.ticks().to_le_bytes(), parts[0], parts[1]]);
        }
    }
}

/// Where a port's samples lie in the schedule's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) index: usize,
    pub(super) start: usize,
    pub(super) len: usize,
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Zeros, all of it.
    Silent,
    /// What was written in this tick.
    Fresh,
    /// What was written in an earlier tick.
    Stale,
}

/// The samples that came in, one slice per input port.
pub struct Inputs<'a> {
    pub(super) memory: &'a [f32],
    pub(super) contents: &'a [Content],
    pub(super) ports: &'a [Buffer],
}

impl<'a> Inputs<'a> {
    /// Samples of `port`, interleaved, one tick; zeros where it is silent.
    ///
    /// # Panics
    /// When the node has no such input.
    pub fn samples(&self, port: usize) -> &'a [f32] {
        let buffer = self.ports[port];
        &self.memory[buffer.start..buffer.start + buffer.len]
    }

    /// Whether `port` is known to hold zeros only, so that work can be saved.
    ///
    /// # Panics
    /// When the node has no such input.
    pub fn is_silent(&self, port: usize) -> bool {
        self.contents[self.ports[port].index] == Content::Silent
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// Whether there is no input.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

/// The slices to be written, one per output port.
pub struct Outputs<'a> {
    pub(super) memory: &'a mut [f32],
    /// Where `memory` begins within the schedule's.
    pub(super) base: usize,
    pub(super) contents: &'a mut [Content],
    /// Index of the first of `contents`.
    pub(super) first: usize,
    pub(super) ports: &'a [Buffer],
}

impl Outputs<'_> {
    /// The samples of `port`, to be written in full; they hold what they held a tick ago.
    ///
    /// # Panics
    /// When the node has no such output.
    pub fn samples(&mut self, port: usize) -> &mut [f32] {
        let buffer = self.ports[port];
        self.contents[buffer.index - self.first] = Content::Fresh;
        let start = buffer.start - self.base;
        &mut self.memory[start..start + buffer.len]
    }

    /// Makes `port` silent.
    ///
    /// # Panics
    /// When the node has no such output.
    pub fn silence(&mut self, port: usize) {
        let buffer = self.ports[port];
        let content = &mut self.contents[buffer.index - self.first];
        if *content != Content::Silent {
            *content = Content::Silent;
            let start = buffer.start - self.base;
            self.memory[start..start + buffer.len].fill(0.0);
        }
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// Whether there is no output.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    pub(super) fn begin(&mut self) {
        for content in self.contents.iter_mut().filter(|content| **content == Content::Fresh) {
            *content = Content::Stale;
        }
    }

    pub(super) fn silence_stale(&mut self) {
        for port in 0..self.ports.len() {
            if self.contents[self.ports[port].index - self.first] == Content::Stale {
                self.silence(port);
            }
        }
    }

    pub(super) fn silence_all(&mut self) {
        for port in 0..self.ports.len() {
            self.silence(port);
        }
    }
}
