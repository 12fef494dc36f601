//! One node alone on a bench, for tests: slices in, slices, silence and reports out.

use std::time::Instant;

use crate::{
    graph::{
        TICKS_PER_SECOND,
        node::{Buffer, Content, Control, Event, Inputs, Node, Outputs, Status, Tick, samples_per_tick},
    },
    time::{CLOCK_HZ, MediaTime},
};

/// Samples of a tick at 8 kHz.
pub(crate) const TICK_8K: usize = 80;

pub(crate) struct Harness<N> {
    pub(crate) node: N,
    pub(crate) events: Vec<Event>,
    at: u64,
    began: Instant,
    inputs: Vec<Buffer>,
    input_memory: Vec<f32>,
    outputs: Vec<Buffer>,
    output_memory: Vec<f32>,
    output_contents: Vec<Content>,
}

impl<N: Node> Harness<N> {
    pub(crate) fn new(node: N) -> Self {
        let ports = node.ports();
        let layout = |formats: &[_]| {
            let mut start = 0;
            let mut buffers = Vec::new();
            for (index, &format) in formats.iter().enumerate() {
                let len = samples_per_tick(format).unwrap();
                buffers.push(Buffer { index, start, len });
                start += len;
            }
            (buffers, vec![0.0; start])
        };
        let (inputs, input_memory) = layout(&ports.inputs);
        let (outputs, output_memory) = layout(&ports.outputs);
        let output_contents = vec![Content::Silent; outputs.len()];
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be had from the clock; no test depends on which"
        )]
        let began = Instant::now();
        Self { node, events: Vec::new(), at: 0, began, inputs, input_memory, outputs, output_memory, output_contents }
    }

    /// One tick; nothing stands for a silent input.
    pub(crate) fn tick(&mut self, sounds: &[Option<&[f32]>]) -> Vec<Vec<f32>> {
        let mut contents = Vec::new();
        for (buffer, sound) in self.inputs.iter().zip(sounds) {
            let memory = &mut self.input_memory[buffer.start..buffer.start + buffer.len];
            match sound {
                Some(sound) => memory.copy_from_slice(sound),
                None => memory.fill(0.0),
            }
            contents.push(if sound.is_some() { Content::Fresh } else { Content::Silent });
        }
        let inputs = Inputs { memory: &self.input_memory, contents: &contents, ports: &self.inputs };
        let mut outputs = Outputs {
            memory: &mut self.output_memory,
            base: 0,
            contents: &mut self.output_contents,
            first: 0,
            ports: &self.outputs,
        };
        let mut report = |event| self.events.push(event);
        let at = MediaTime::from_ticks(self.at);
        let mut tick = Tick { at, due: self.began + at.as_duration(), events: &mut report, tape: None };
        outputs.begin();
        match self.node.process(&mut tick, &inputs, &mut outputs) {
            Status::Sounding => outputs.silence_stale(),
            Status::Silent => outputs.silence_all(),
        }
        self.at += CLOCK_HZ / u64::from(TICKS_PER_SECOND);
        self.outputs.iter().map(|b| self.output_memory[b.start..b.start + b.len].to_vec()).collect()
    }

    /// `ticks` ticks of a node with one output and no sounding input.
    pub(crate) fn run(&mut self, ticks: usize) -> Vec<f32> {
        let silence = vec![None; self.inputs.len()];
        (0..ticks).flat_map(|_| self.tick(&silence).remove(0)).collect()
    }

    /// Feeds `sound` to the only input, tick by tick; what came out of the first output.
    pub(crate) fn feed(&mut self, sound: &[f32]) -> Vec<f32> {
        let len = self.inputs[0].len;
        sound.chunks_exact(len).flat_map(|now| self.tick(&[Some(now)]).into_iter().next().unwrap_or_default()).collect()
    }

    pub(crate) fn control(&mut self, control: Control) {
        self.node.control(control);
    }

    pub(crate) fn silent(&self) -> Vec<bool> {
        self.output_contents.iter().map(|content| *content == Content::Silent).collect()
    }
}
