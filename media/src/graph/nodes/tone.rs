//! Tones of the telephone in the graph: a node that plays them and a node that hears them.
//!
//! The player is a source that is silent until it is told to play; the detector is a sink that reports. What the
//! tones are is known to [`crate::dsp::tone`] and [`crate::dsp::detect`].

use crate::{
    dsp::{
        detect::Detector,
        tone::{Generator, Tone},
    },
    graph::node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono},
};

/// Nothing in, one output.
pub struct TonePlayer {
    rate_hz: u32,
    playing: Option<Generator>,
    /// What to play when the one before has faded.
    next: Option<Tone>,
}

impl TonePlayer {
    /// A silent player at `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz, playing: None, next: None }
    }
}

impl Node for TonePlayer {
    fn ports(&self) -> Ports {
        Ports::source(mono(self.rate_hz))
    }

    fn process(&mut self, tick: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        let Some(generator) = &mut self.playing else { return Status::Silent };
        if generator.write(outputs.samples(0)) {
            return Status::Sounding;
        }
        tick.report(Event::ToneEnded);
        self.playing = self.next.take().map(|tone| Generator::new(tone, self.rate_hz));
        Status::Silent
    }

    fn control(&mut self, control: Control) {
        match (control, &mut self.playing) {
            (Control::Play(tone), None) => self.playing = Some(Generator::new(tone, self.rate_hz)),
            (Control::Play(tone), Some(generator)) => {
                generator.stop();
                self.next = Some(tone);
            }
            (Control::Stop, Some(generator)) => {
                generator.stop();
                self.next = None;
            }
            _ => {}
        }
    }
}

/// One input, nothing out.
pub struct ToneDetector {
    rate_hz: u32,
    detector: Detector,
}

impl ToneDetector {
    /// A detector at `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz, detector: Detector::new(rate_hz) }
    }
}

impl Node for ToneDetector {
    fn ports(&self) -> Ports {
        Ports::sink(mono(self.rate_hz))
    }

    fn process(&mut self, tick: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        self.detector.hear(inputs.samples(0), |heard| tick.report(Event::ToneHeard(heard)));
        Status::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dsp::{
            detect::Heard,
            tone::{Digit, Region},
        },
        graph::nodes::harness::Harness,
    };

    #[test]
    fn what_one_node_plays_the_other_hears() {
        let mut player = Harness::new(TonePlayer::new(8_000));
        let digit = Digit::new('#').unwrap();
        player.control(Control::Play(Tone::Dtmf(digit)));
        let sound = player.run(30);
        assert_eq!(player.events, [Event::ToneEnded]);
        let mut detector = Harness::new(ToneDetector::new(8_000));
        detector.feed(&sound);
        assert_eq!(detector.events, [Event::ToneHeard(Heard::Digit(digit))]);
    }

    #[test]
    fn a_tone_that_goes_on_stops_when_told() {
        let mut player = Harness::new(TonePlayer::new(8_000));
        player.control(Control::Play(Tone::Ringback(Region::Europe)));
        assert!(player.run(20).iter().any(|s| *s != 0.0));
        player.control(Control::Stop);
        player.run(1);
        assert!(player.run(20).iter().all(|s| *s == 0.0));
        assert_eq!(player.events, [Event::ToneEnded]);
    }
}
