//! How a call goes, in the graph: a source that is overheard on its way.
//!
//! A leg that was called has one source; [`Overheard`] stands in its place, passes everything on, and reports what
//! [`crate::dsp::progress`] makes of it. To a journal it is the source that it holds, so that a replay hears the same.

use std::{any::Any, mem::swap};

use crate::{
    dsp::progress::Progress,
    graph::{
        node::{Content, Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, samples_per_tick},
        notes::Described,
    },
};

/// A source, overheard: its ports, its sound, its reports, and those of call progress.
pub struct Overheard<N> {
    source: N,
    progress: Progress,
    /// A tick of nothing, for when the source is silent.
    silence: Box<[f32]>,
}

impl<N: Node> Overheard<N> {
    /// Overhears the only output of `source`, which is mono.
    ///
    /// # Panics
    /// When `source` has no output or one that is not mono: the caller's mistake.
    pub fn new(source: N) -> Self {
        let ports = source.ports();
        let format = ports.outputs.first().filter(|format| format.channels == 1).expect("a source has a mono output");
        let silence = vec![0.0; samples_per_tick(*format).unwrap_or_default()].into_boxed_slice();
        Self { progress: Progress::new(format.rate_hz), source, silence }
    }
}

impl<N: Node> Node for Overheard<N> {
    fn ports(&self) -> Ports {
        self.source.ports()
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let status = self.source.process(tick, inputs, outputs);
        let buffer = outputs.ports[0];
        let is_written = outputs.contents[buffer.index - outputs.first] == Content::Fresh;
        let start = buffer.start - outputs.base;
        let sound = match status {
            Status::Sounding if is_written => &outputs.memory[start..start + buffer.len],
            Status::Sounding | Status::Silent => &self.silence,
        };
        self.progress.hear(sound, |heard| tick.report(Event::Progress(heard)));
        status
    }

    fn describe(&self) -> Described {
        self.source.describe()
    }

    fn control(&mut self, control: Control) {
        self.source.control(control);
    }

    fn succeed(&mut self, before: &mut dyn Any) {
        match before.downcast_mut::<Self>() {
            Some(before) => {
                self.source.succeed(&mut before.source);
                // A detector belongs to its rate.
                if self.silence.len() == before.silence.len() {
                    swap(&mut self.progress, &mut before.progress);
                }
            }
            // A source that nobody overheard.
            None => self.source.succeed(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dsp::{
            progress::Heard,
            tone::{Generator, Region, Tone},
        },
        graph::{
            node::mono,
            nodes::{harness::Harness, tone::TonePlayer},
        },
    };

    #[test]
    fn a_source_that_is_overheard_sounds_as_it_does_alone_and_is_told_of() {
        let mut alone = Harness::new(TonePlayer::new(8_000));
        let mut overheard = Harness::new(Overheard::new(TonePlayer::new(8_000)));
        for node in [0, 1] {
            let order = Control::Play(Tone::Ringback(Region::Europe));
            if node == 0 { alone.control(order) } else { overheard.control(order) }
        }
        assert_eq!(alone.run(300), overheard.run(300));
        let tones = [Event::Progress(Heard::Tone); 2];
        assert_eq!(overheard.events, [&tones[..], &[Event::Progress(Heard::Ringback)]].concat());
        assert_eq!(overheard.node.describe(), alone.node.describe());
        alone.control(Control::Stop);
        overheard.control(Control::Stop);
        assert_eq!(alone.run(20), overheard.run(20));
        assert_eq!(overheard.events.last(), Some(&Event::ToneEnded));
    }

    /// What is left to be said, which whoever takes over goes on with.
    #[derive(Default)]
    struct Says(Vec<f32>);

    impl Node for Says {
        fn ports(&self) -> Ports {
            Ports::source(mono(8_000))
        }

        fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
            let out = outputs.samples(0);
            let rest = self.0.split_off(out.len().min(self.0.len()));
            out.fill(0.0);
            out[..self.0.len()].copy_from_slice(&self.0);
            self.0 = rest;
            Status::Sounding
        }

        fn succeed(&mut self, before: &mut dyn Any) {
            if let Some(before) = before.downcast_mut::<Self>() {
                swap(&mut self.0, &mut before.0);
            }
        }
    }

    #[test]
    fn a_source_that_takes_over_goes_on_and_so_does_what_was_heard() {
        let mut rings = vec![0.0; 8_000 * 3];
        Generator::new(Tone::Ringback(Region::Europe), 8_000).write(&mut rings);
        let mut whole = Harness::new(Overheard::new(Says(rings.clone())));
        let sound = whole.run(300);
        assert!(whole.events.contains(&Event::Progress(Heard::Ringback)), "{:?}", whole.events);
        let mut first = Harness::new(Overheard::new(Says(rings.clone())));
        let mut second = Harness::new(Overheard::new(Says::default()));
        let before = first.run(60);
        second.node.succeed(&mut first.node);
        assert_eq!([before, second.run(240)].concat(), sound);
        assert_eq!([first.events, second.events].concat(), whole.events);
        // Whoever was not overheard before is from now on.
        let mut third = Harness::new(Overheard::new(Says::default()));
        third.node.succeed(&mut Says(rings));
        assert_eq!(third.run(300), sound);
    }
}
