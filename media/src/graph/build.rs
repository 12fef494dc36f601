//! The control half of the graph: nodes, ports and edges, checked and flattened. Never runs on a real-time thread.
//!
//! A [`Graph`] outlives its schedules: legs come and go by [`Graph::add`] and [`Graph::remove`], then
//! [`Graph::build`] makes the next schedule, which takes new nodes along and names the old ones. The engine
//! moves those over from the schedule before, so that a queue keeps what is in it while the room changes.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    frame::Format,
    graph::{
        node::{Buffer, Node, Ports, samples_per_tick},
        notes::{self, Told},
        schedule::{Schedule, Slot, Step},
    },
    journal::{Journal, Kind, Tape},
};

/// A node of one graph; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One port of a node, counted from zero among its inputs or its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Whose port.
    pub node: NodeId,
    /// Which of its inputs or outputs.
    pub index: usize,
}

impl NodeId {
    /// The port `index` of this node: an output where sound is taken from, an input where it goes to.
    pub const fn port(self, index: usize) -> Port {
        Port { node: self, index }
    }
}

/// Why a graph cannot be: always the caller's mistake, and the graph is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The node was never added, or has been removed.
    #[error("there is no node {0:?}: add it, or drop the edge to it")]
    NoSuchNode(NodeId),
    /// The node has fewer outputs.
    #[error("there is no output {0:?}")]
    NoSuchOutput(Port),
    /// The node has fewer inputs.
    #[error("there is no input {0:?}")]
    NoSuchInput(Port),
    /// An input takes one edge; to add sounds up, put a mixer in between.
    #[error("the input {0:?} has an edge already: mix in a node of its own")]
    InputTaken(Port),
    /// Two ports of different formats; put a resampler in between.
    #[error("{from:?} gives {gives:?} and {to:?} takes {takes:?}: put a resampler between them")]
    FormatsDiffer {
        /// The output.
        from: Port,
        /// Its format.
        gives: Format,
        /// The input.
        to: Port,
        /// Its format.
        takes: Format,
    },
    /// A format that does not divide into ticks of 10 ms.
    #[error("{0:?} has {1:?}: the rate must be a multiple of 100 Hz, with at least one channel")]
    BadFormat(NodeId, Format),
    /// An input without an edge.
    #[error("nothing is connected to the input {0:?}")]
    InputOpen(Port),
    /// These nodes feed themselves.
    #[error("the nodes {0:?} feed themselves: a graph has no loops")]
    Cycle(Vec<NodeId>),
}

/// The graph of one room, as it shall be.
#[derive(Default)]
pub struct Graph {
    next: u32,
    nodes: BTreeMap<NodeId, Placed>,
    /// From each input to the output that feeds it.
    edges: BTreeMap<Port, Port>,
    /// Schedules made so far.
    built: u64,
    /// Where its changes are noted.
    journal: Option<Journal>,
    /// For the next schedule.
    tape: Option<Tape>,
}

struct Placed {
    ports: Ports,
    /// The node itself, until a schedule takes it along.
    node: Option<Box<dyn Node>>,
    /// Whose place it takes in the schedule that takes it along.
    succeeds: Option<NodeId>,
}

impl Graph {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every change is noted in `journal`. Before the first node, or a replay lacks it.
    pub fn note_in(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// The next schedule begins anew rather than replace another: it gets a tape of its own.
    pub fn begin(&mut self) {
        self.tape = self.journal.as_ref().map(Journal::tape);
    }

    fn note(&self, told: impl FnOnce() -> Told) {
        if let Some(journal) = &self.journal {
            let told = serde_json::to_vec(&told()).expect("a change is numbers and names");
            journal.note(Kind::GraphTold, 0, told);
        }
    }

    /// The id that the next node will have; ids rise by one.
    pub fn next_id(&self) -> NodeId {
        NodeId(self.next)
    }

    /// Adds `node` without any edge.
    pub fn add(&mut self, node: impl Node + 'static) -> NodeId {
        self.add_boxed(Box::new(node))
    }

    /// Adds a node of a kind that only its maker knows, without any edge.
    pub fn add_boxed(&mut self, node: Box<dyn Node>) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.note(|| Told::Add { node: id.0, is: node.describe() });
        self.nodes.insert(id, Placed { ports: node.ports(), node: Some(node), succeeds: None });
        id
    }

    /// Removes `node` and its edges; the schedule in use keeps it until it is replaced.
    pub fn remove(&mut self, node: NodeId) -> Result<(), GraphError> {
        self.nodes.remove(&node).ok_or(GraphError::NoSuchNode(node))?;
        self.edges.retain(|to, from| to.node != node && from.node != node);
        self.note(|| Told::Remove(node.0));
        Ok(())
    }

    /// Adds `node` in the place of `old`, which is removed with its edges: `node` takes over from it
    /// ([`Node::succeed`]) when the engine goes from one to the other.
    pub fn replace(&mut self, old: NodeId, node: Box<dyn Node>) -> Result<NodeId, GraphError> {
        self.ports(old)?;
        let id = self.add_boxed(node);
        self.succeed(id, old)?;
        self.remove(old)?;
        Ok(id)
    }

    /// Lets `node` take over from `old`, which is to be removed next.
    pub(crate) fn succeed(&mut self, node: NodeId, old: NodeId) -> Result<(), GraphError> {
        let before = self.nodes.get_mut(&old).ok_or(GraphError::NoSuchNode(old))?;
        let (of, mut before) = (before.succeeds.take(), before.node.take());
        let placed = self.nodes.get_mut(&node).ok_or(GraphError::NoSuchNode(node))?;
        match (&mut placed.node, &mut before) {
            // No schedule has taken it yet: what it would have taken over itself is still to come.
            (Some(node), Some(before)) => {
                node.succeed(&mut **before as &mut dyn Any);
                placed.succeeds = of;
            }
            _ => placed.succeeds = Some(old),
        }
        self.note(|| Told::Succeed { node: node.0, of: old.0 });
        Ok(())
    }

    /// Lets the output `from` feed the input `to`.
    pub fn connect(&mut self, from: Port, to: Port) -> Result<(), GraphError> {
        let gives = *self.ports(from.node)?.outputs.get(from.index).ok_or(GraphError::NoSuchOutput(from))?;
        let takes = *self.ports(to.node)?.inputs.get(to.index).ok_or(GraphError::NoSuchInput(to))?;
        if gives != takes {
            return Err(GraphError::FormatsDiffer { from, gives, to, takes });
        }
        if self.edges.contains_key(&to) {
            return Err(GraphError::InputTaken(to));
        }
        self.edges.insert(to, from);
        self.note(|| Told::Connect { from: notes::port(from), to: notes::port(to) });
        Ok(())
    }

    /// Takes the edge to the input `to` away; where there is none, nothing happens.
    pub fn disconnect(&mut self, to: Port) {
        self.edges.remove(&to);
        self.note(|| Told::Disconnect(notes::port(to)));
    }

    /// Connects the first output of each node to the first input of the next.
    pub fn chain(&mut self, nodes: &[NodeId]) -> Result<(), GraphError> {
        nodes.windows(2).try_for_each(|pair| self.connect(pair[0].port(0), pair[1].port(0)))
    }

    /// Checks the graph and flattens it. Nodes that no schedule has taken yet move into this one; the others are
    /// expected from the schedule that it replaces ([`Schedule::adopt`]).
    pub fn build(&mut self) -> Result<Schedule, GraphError> {
        let order = self.order()?;
        let mut steps = Vec::with_capacity(order.len());
        let mut buffers: BTreeMap<Port, Buffer> = BTreeMap::new();
        let mut samples = 0;
        for &node in &order {
            let ports = self.ports(node)?;
            let (first, start) = (buffers.len(), samples);
            let mut outputs = Vec::with_capacity(ports.outputs.len());
            for (index, &format) in ports.outputs.iter().enumerate() {
                let len = samples_per_tick(format).ok_or(GraphError::BadFormat(node, format))?;
                let buffer = Buffer { index: buffers.len(), start: samples, len };
                buffers.insert(node.port(index), buffer);
                outputs.push(buffer);
                samples += len;
            }
            let inputs = (0..ports.inputs.len()).map(|index| buffers[&self.edges[&node.port(index)]]).collect();
            steps.push(Step { node, inputs, outputs, first, start });
        }
        let slots = self.nodes.iter_mut();
        let slots = slots.map(|(&id, placed)| Slot::new(id, placed.node.take(), placed.succeeds.take())).collect();
        let mut schedule = Schedule::new(steps, slots, samples, buffers.len());
        self.built += 1;
        self.note(|| Told::Built(self.built));
        schedule.set_number(self.built);
        if let Some(tape) = self.tape.take() {
            schedule.note_on(tape);
        }
        Ok(schedule)
    }

    /// The nodes in an order in which each comes after what feeds it; the older first where both would do, so
    /// that equal graphs have equal schedules.
    fn order(&self) -> Result<Vec<NodeId>, GraphError> {
        // Whom each node feeds, and how many edges each node still waits for.
        let mut fed: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        let mut waiting: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (&node, placed) in &self.nodes {
            for (index, &format) in placed.ports.inputs.iter().enumerate() {
                samples_per_tick(format).ok_or(GraphError::BadFormat(node, format))?;
                let to = node.port(index);
                fed.entry(self.edges.get(&to).ok_or(GraphError::InputOpen(to))?.node).or_default().push(node);
            }
            waiting.insert(node, placed.ports.inputs.len());
        }
        let mut ready: BTreeSet<NodeId> =
            waiting.iter().filter(|(_, edges)| **edges == 0).map(|(&node, _)| node).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(node) = ready.pop_first() {
            waiting.remove(&node);
            order.push(node);
            for &other in fed.get(&node).into_iter().flatten() {
                if let Some(edges) = waiting.get_mut(&other) {
                    *edges -= 1;
                    if *edges == 0 {
                        ready.insert(other);
                    }
                }
            }
        }
        match waiting.is_empty() {
            true => Ok(order),
            false => Err(GraphError::Cycle(waiting.into_keys().collect())),
        }
    }

    fn ports(&self, node: NodeId) -> Result<&Ports, GraphError> {
        self.nodes.get(&node).map(|placed| &placed.ports).ok_or(GraphError::NoSuchNode(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{
        node::mono,
        nodes::{gain::Gain, level::Level, mixer::Mixer, resample::Resample},
    };

    #[test]
    fn ports_of_different_formats_are_refused_until_a_resampler_stands_between() {
        let mut graph = Graph::new();
        let mixer = graph.add(Mixer::new(mono(8_000), 0));
        let level = graph.add(Level::new(mono(16_000)));
        let refused = graph.connect(mixer.port(0), level.port(0));
        assert!(matches!(refused, Err(GraphError::FormatsDiffer { .. })), "{refused:?}");
        let resample = graph.add(Resample::new(8_000, 16_000).unwrap());
        graph.chain(&[mixer, resample, level]).unwrap();
        assert!(graph.build().is_ok());
    }

    #[test]
    fn a_loop_is_named() {
        let mut graph = Graph::new();
        let [a, b] = [graph.add(Gain::new(mono(8_000), 0.0)), graph.add(Gain::new(mono(8_000), 0.0))];
        graph.chain(&[a, b, a]).unwrap();
        assert_eq!(graph.build().err(), Some(GraphError::Cycle(vec![a, b])));
    }

    #[test]
    fn each_mistake_has_its_own_error_and_leaves_the_graph_as_it_was() {
        let mut graph = Graph::new();
        let source = graph.add(Mixer::new(mono(8_000), 0));
        let gain = graph.add(Gain::new(mono(8_000), 0.0));
        assert_eq!(graph.build().err(), Some(GraphError::InputOpen(gain.port(0))));
        assert_eq!(graph.connect(source.port(1), gain.port(0)), Err(GraphError::NoSuchOutput(source.port(1))));
        assert_eq!(graph.connect(source.port(0), gain.port(1)), Err(GraphError::NoSuchInput(gain.port(1))));
        assert_eq!(graph.connect(source.port(0), NodeId(9).port(0)), Err(GraphError::NoSuchNode(NodeId(9))));
        graph.connect(source.port(0), gain.port(0)).unwrap();
        assert_eq!(graph.connect(source.port(0), gain.port(0)), Err(GraphError::InputTaken(gain.port(0))));
        assert!(graph.build().is_ok());
        assert_eq!(graph.remove(NodeId(9)), Err(GraphError::NoSuchNode(NodeId(9))));
        graph.remove(source).unwrap();
        assert_eq!(graph.build().err(), Some(GraphError::InputOpen(gain.port(0))));
    }

    #[test]
    fn a_rate_that_does_not_divide_into_ticks_is_refused() {
        let mut graph = Graph::new();
        let mixer = graph.add(Mixer::new(mono(22_050), 0));
        assert_eq!(graph.build().err(), Some(GraphError::BadFormat(mixer, mono(22_050))));
    }
}
