//! The real-time half of the graph: a flat list of steps over memory that is allocated once.
//!
//! Made by `Graph::build` on a control thread and dropped on one; [`Schedule::tick`], [`Schedule::adopt`] and
//! [`Schedule::control`] run on the engine's thread and never allocate, free, lock or wait. Buffers lie in the order of
//! the steps, so that what a node reads always lies before what it writes. A node that panics is muted: its
//! outputs are silent from then on, the rest of the room plays.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use crate::{
    graph::{
        build::NodeId,
        node::{Buffer, Content, Control, Event, Inputs, Node, Outputs, Status, Tick},
        notes::{Obeyed, checksum},
    },
    journal::{Kind, Tape},
    time::{CLOCK_HZ, MediaTime},
};

/// Reports that one tick may leave per node; what is more is dropped and counted. Marks and levels need two.
const EVENTS_PER_NODE: usize = 4;

/// A compiled graph with its nodes, its memory and its reports.
pub struct Schedule {
    steps: Vec<Step>,
    /// By rising id.
    slots: Vec<Slot>,
    memory: Vec<f32>,
    contents: Vec<Content>,
    reports: Reports,
    /// How its graph counts it.
    number: u64,
    /// Where what comes in and what passes is noted.
    tape: Option<Tape>,
}

/// What nodes report until it is drained, in memory that never grows.
struct Reports {
    waiting: Vec<(NodeId, Event)>,
    /// How many found no room, ever.
    dropped: u64,
}

impl Reports {
    /// Takes a report; one that finds no room is counted.
    fn add(&mut self, node: NodeId, event: Event) {
        match self.waiting.len() < self.waiting.capacity() {
            true => self.waiting.push((node, event)),
            false => self.dropped += 1,
        }
    }

    /// Mutes a node in whose place `panic` lies, and reports it. What it panicked with is kept there, because dropping it
    /// frees.
    fn mute(&mut self, node: NodeId, panic: &mut Option<Box<dyn Any + Send>>, payload: Box<dyn Any + Send>) {
        *panic = Some(payload);
        self.add(node, Event::Panicked);
    }
}

/// One call of one node.
pub(super) struct Step {
    pub(super) node: NodeId,
    pub(super) inputs: Vec<Buffer>,
    pub(super) outputs: Vec<Buffer>,
    /// Index of the first output among all buffers.
    pub(super) first: usize,
    /// Where the first output begins in memory.
    pub(super) start: usize,
}

/// The place of one node.
pub(super) struct Slot {
    id: NodeId,
    node: Option<Box<dyn Node>>,
    /// Whose place the node takes, in the schedule before.
    succeeds: Option<NodeId>,
    /// What the node panicked with: kept, because dropping it frees, and the sign that it is mute.
    panic: Option<Box<dyn Any + Send>>,
}

impl Slot {
    pub(super) fn new(id: NodeId, node: Option<Box<dyn Node>>, succeeds: Option<NodeId>) -> Self {
        Self { id, node, succeeds, panic: None }
    }
}

impl Schedule {
    pub(super) fn new(steps: Vec<Step>, slots: Vec<Slot>, samples: usize, buffers: usize) -> Self {
        let reports = Reports { waiting: Vec::with_capacity(slots.len() * EVENTS_PER_NODE), dropped: 0 };
        Self {
            steps,
            slots,
            memory: vec![0.0; samples],
            contents: vec![Content::Silent; buffers],
            reports,
            number: 0,
            tape: None,
        }
    }

    /// How its graph counts it, from one.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    /// From now on what comes in and what passes is noted on `tape`, also in the schedules that follow this one.
    pub(super) fn note_on(&mut self, tape: Tape) {
        self.tape = Some(tape);
    }

    /// Notes what the engine did to the room before the tick at `at`.
    pub(crate) fn note(&mut self, obeyed: Obeyed, at: MediaTime) {
        if let Some(tape) = &mut self.tape {
            obeyed.note(tape, at);
        }
    }

    /// Runs every node once for the 10 ms that begin at `at`, which is `due` in real time.
    pub fn tick(&mut self, at: MediaTime, due: Instant) {
        if at.ticks().is_multiple_of(CLOCK_HZ) {
            self.note(Obeyed::Beat, at);
        }
        for step in &self.steps {
            let id = step.node;
            let (before, rest) = self.memory.split_at_mut(step.start);
            let (contents_before, contents) = self.contents.split_at_mut(step.first);
            let inputs = Inputs { memory: before, contents: contents_before, ports: &step.inputs };
            let mut outputs = Outputs {
                memory: rest,
                base: step.start,
                contents: &mut contents[..step.outputs.len()],
                first: step.first,
                ports: &step.outputs,
            };
            let mut report = |event| self.reports.add(id, event);
            outputs.begin();
            let slot = self.slots.binary_search_by_key(&id, |slot| slot.id).ok().map(|index| &mut self.slots[index]);
            let Some(Slot { node: Some(node), panic: panic @ None, .. }) = slot else {
                outputs.silence_all();
                continue;
            };
            if let (Some(tape), []) = (&mut self.tape, step.outputs.as_slice()) {
                for port in (0..inputs.len()).filter(|&port| !inputs.is_silent(port)) {
                    let sum = checksum(inputs.samples(port));
                    tape.note(Kind::Passed, id.0, &[&at.ticks().to_le_bytes(), &sum.to_le_bytes()]);
                }
            }
            let tape = self.tape.as_mut().map(|tape| (tape, id.0));
            let mut tick = Tick { at, due, events: &mut report, tape };
            // A node that panicked is never called again, so nobody sees what it left half done.
            match catch_unwind(AssertUnwindSafe(|| node.process(&mut tick, &inputs, &mut outputs))) {
                Ok(Status::Sounding) => outputs.silence_stale(),
                Ok(Status::Silent) => outputs.silence_all(),
                Err(payload) => {
                    outputs.silence_all();
                    self.reports.mute(id, panic, payload);
                }
            }
        }
    }

    /// Takes the reports since the last call, oldest first.
    pub fn drain_events(&mut self) -> impl Iterator<Item = (NodeId, Event)> {
        self.reports.waiting.drain(..)
    }

    /// How many reports were dropped, ever.
    pub fn events_dropped(&self) -> u64 {
        self.reports.dropped
    }

    /// Moves the nodes that both have from `old` into this schedule, which replaces it, and lets those that take
    /// another's place take over from it; what stays in `old` has been removed from the graph.
    pub fn adopt(&mut self, old: &mut Self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.node.is_none()) {
            if let Ok(index) = old.slots.binary_search_by_key(&slot.id, |slot| slot.id) {
                std::mem::swap(slot, &mut old.slots[index]);
            }
        }
        for slot in &mut self.slots {
            let before = slot.succeeds.take().and_then(|id| old.slots.binary_search_by_key(&id, |slot| slot.id).ok());
            let before = before.and_then(|index| old.slots[index].node.as_mut());
            let (Some(node), Some(before)) = (&mut slot.node, before) else { continue };
            // What it leaves half done in the other goes with that one.
            let taken_over = catch_unwind(AssertUnwindSafe(|| node.succeed(&mut **before as &mut dyn Any)));
            if let Err(payload) = taken_over {
                self.reports.mute(slot.id, &mut slot.panic, payload);
            }
        }
        self.reports.dropped += old.reports.dropped;
        std::mem::swap(&mut self.tape, &mut old.tape);
    }

    /// Hands `control` to `node`; false when there is no such node, or it is mute.
    pub fn control(&mut self, node: NodeId, control: Control) -> bool {
        let slot = self.slots.binary_search_by_key(&node, |slot| slot.id).ok().map(|index| &mut self.slots[index]);
        let Some(Slot { node: Some(node), panic: panic @ None, id, .. }) = slot else { return false };
        match catch_unwind(AssertUnwindSafe(|| node.control(control))) {
            Ok(()) => true,
            Err(payload) => {
                self.reports.mute(*id, panic, payload);
                false
            }
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("nodes", &self.slots.len()).field("samples", &self.memory.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_finds_no_room_is_counted_and_kept() {
        let mut reports = Reports { waiting: Vec::with_capacity(1), dropped: 0 };
        let room = reports.waiting.capacity();
        for _ in 0..room + 2 {
            let mut panic = None;
            reports.mute(NodeId(1), &mut panic, Box::new("why"));
            assert!(panic.is_some());
        }
        assert_eq!((reports.waiting.len(), reports.waiting.capacity(), reports.dropped), (room, room, 2));
    }
}
