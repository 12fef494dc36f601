//! Speech and overlap in 10 s of sound: the segmentation model, and its windows laid over each other.
//!
//! The model tells for each 17 ms who of at most three local voices speaks, two at once at most. Its local voices
//! are not trusted: it takes two people for one too often. What is trusted is whether anybody speaks, and whether
//! two do. [`Overlaid`] is the pure half: windows overlap, and the mean of all that heard a moment counts.
//! Source: pyannote segmentation 3.0 (MIT), int8. Tensor `[N, 1, 160000]` to `[N, 589, 7]`, logarithms of the
//! probabilities of none, 1, 2, 3, 1+2, 1+3, 2+3.

use std::{collections::VecDeque, path::Path};

use super::Hop;
use crate::{
    onnx::{self, Input, Library, Selection, Session},
    recognizer::Error,
    turn::features::HOP,
};

/// Samples in a window: 10 s.
pub(super) const WINDOW: usize = 160_000;

/// Samples from window to window: 2 s. Every moment is heard by five; twice as many were measured to change
/// nothing but the cost.
pub(super) const STRIDE: usize = 32_000;

/// Moments that the model tells of in a window of that many samples: 589 in 10 s. Its layers look at 251 samples every
/// 10, then take the largest of three, thrice, with five of these looked at together in between.
const fn moments(samples: usize) -> usize {
    ((((samples - 251) / 10 + 1) / 3 - 4) / 3 - 4) / 3
}

/// What the model tells of a moment.
const CLASSES: usize = 7;

/// The first class in which two speak.
const FIRST_PAIR: usize = 4;

/// Samples from moment to moment, and around which sample the first of them lies.
const STEP: i64 = 270;
const FIRST: i64 = 495;

/// From this mean probability on somebody speaks. Lower than even: the model is quick to hear a pause.
pub(super) const SPEECH: f32 = 0.4;

/// From this mean probability on two speak.
pub(super) const OVERLAP: f32 = 0.5;

/// The loaded model.
#[derive(Debug)]
pub(super) struct Segmentation {
    session: Session,
    select: Selection,
}

impl Segmentation {
    /// Loads the model and shows it a window of silence.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub(super) fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let bytes = onnx::read_model(model)?;
        let session = library.session(model, &bytes)?;
        if !session.inputs().eq(["x"]) || !session.outputs().eq(["y"]) {
            return Err(onnx::model_error(model, "not a pyannote segmentation model"));
        }
        let mut segmentation = Self { session, select: Selection::new(["y"])? };
        // A damaged file may load and still not run: better said at once than in the middle of a recording.
        segmentation.hear(&vec![0.0; WINDOW]).map_err(|error| onnx::model_error(model, error))?;
        Ok(segmentation)
    }

    /// What the model tells of a window of some seconds, [`WINDOW`] samples as it learned: [`CLASSES`] logarithms for
    /// each of its [`moments`].
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails.
    pub(super) fn hear(&mut self, window: &[f32]) -> Result<Vec<f32>, Error> {
        let outputs = self.session.run(&[Input::F32(&[1, 1, window.len()], window)], &self.select)?;
        match outputs[0].f32s()? {
            // Another number of moments is another model: its moments would lie elsewhere.
            (shape, told) if *shape == [1, moments(window.len()) as i64, CLASSES as i64] => Ok(told.to_vec()),
            (shape, _) => Err(Error::Engine(format!("segmentation: a result of another shape ({shape:?})"))),
        }
    }
}

/// How likely anybody speaks at the hop `at`, and how likely two do, by what was told of the window whose first sample
/// is `start`.
pub(super) fn told_at(told: &[f32], start: i64, at: usize) -> Option<(f32, f32)> {
    let moments = told.len() / CLASSES;
    let sample = (at * HOP + HOP / 2) as i64 - start;
    let moment = (sample - FIRST + STEP / 2).div_euclid(STEP);
    let moment = usize::try_from(moment).unwrap_or(0).min(moments.saturating_sub(1));
    let told = told.get(moment * CLASSES..(moment + 1) * CLASSES)?;
    Some((1.0 - told[0].exp(), told[FIRST_PAIR..].iter().map(|told| told.exp()).sum()))
}

/// Windows laid over each other, hop by hop.
#[derive(Debug, Default)]
pub(super) struct Overlaid {
    /// Hops that are settled already.
    settled: usize,
    /// Those that a later window may still hear.
    open: VecDeque<Sum>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    speech: f32,
    overlap: f32,
    windows: f32,
}

impl Overlaid {
    /// Lays the window whose first sample is `start` (negative for one that begins before the sound) over those
    /// before.
    pub(super) fn add(&mut self, start: i64, told: &[f32]) {
        let hop = HOP as i64;
        let first = usize::try_from(start.div_euclid(hop)).unwrap_or(0).max(self.settled);
        let end = usize::try_from((start + WINDOW as i64).div_euclid(hop)).unwrap_or(0);
        for at in first..end {
            let Some((speech, overlap)) = told_at(told, start, at) else { return };
            while self.settled + self.open.len() <= at {
                self.open.push_back(Sum::default());
            }
            let sum = &mut self.open[at - self.settled];
            sum.speech += speech;
            sum.overlap += overlap;
            sum.windows += 1.0;
        }
    }

    /// Appends the hops before `until`: no window that is still to come hears them.
    pub(super) fn settle(&mut self, until: usize, hops: &mut Vec<Hop>) {
        while self.settled < until {
            let sum = self.open.pop_front().unwrap_or_default();
            let of = |part: f32, least: f32| sum.windows > 0.0 && part / sum.windows > least;
            let speech = of(sum.speech, SPEECH);
            hops.push(Hop { speech, overlap: speech && of(sum.overlap, OVERLAP) });
            self.settled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window in which one class is certain at each moment.
    fn told(class: impl Fn(usize) -> usize) -> Vec<f32> {
        let mut told = Vec::new();
        for moment in 0..moments(WINDOW) {
            let heard = class(moment);
            told.extend((0..CLASSES).map(|at| if at == heard { 0.0 } else { -50.0 }));
        }
        told
    }

    fn settled(overlaid: &mut Overlaid, until: usize) -> Vec<Hop> {
        let mut hops = Vec::new();
        overlaid.settle(until, &mut hops);
        hops
    }

    #[test]
    fn a_window_has_as_many_moments_as_the_model_was_seen_to_tell() {
        assert_eq!((moments(WINDOW), moments(WINDOW / 2)), (589, 293));
    }

    #[test]
    fn each_class_says_how_many_speak() {
        for (class, speech, overlap) in
            [(0, false, false), (1, true, false), (3, true, false), (4, true, true), (6, true, true)]
        {
            let mut overlaid = Overlaid::default();
            overlaid.add(0, &told(|_| class));
            let hops = settled(&mut overlaid, 1_000);
            assert!(hops.iter().all(|hop| (hop.speech, hop.overlap) == (speech, overlap)), "class {class}");
        }
    }

    #[test]
    fn a_moment_lies_where_the_model_looked() {
        let mut overlaid = Overlaid::default();
        // Speech from moment 200 on: that is around sample 54,495, in hop 340.
        overlaid.add(0, &told(|moment| usize::from(moment >= 200)));
        let hops = settled(&mut overlaid, 1_000);
        let first = hops.iter().position(|hop| hop.speech).unwrap();
        assert!((339..=341).contains(&first), "{first}");
    }

    #[test]
    fn the_mean_of_all_windows_that_heard_a_moment_counts() {
        let mut overlaid = Overlaid::default();
        // Three windows hear hop 900, the second and third hear speech from their beginning on.
        overlaid.add(0, &told(|_| 0));
        overlaid.add(32_000, &told(|_| 1));
        overlaid.add(64_000, &told(|_| 2));
        let hops = settled(&mut overlaid, 1_400);
        assert!(!hops[100].speech, "one window heard nothing");
        assert!(hops[300].speech, "one of two heard speech");
        assert!(hops[900].speech && hops[1_300].speech);
    }

    #[test]
    fn a_window_may_begin_before_the_sound_and_unheard_hops_are_silence() {
        let mut overlaid = Overlaid::default();
        overlaid.add(-128_000, &told(|_| 1));
        let hops = settled(&mut overlaid, 300);
        assert_eq!((hops.len(), hops.iter().filter(|hop| hop.speech).count()), (300, 200));
        // What is settled stays so.
        overlaid.add(0, &told(|_| 1));
        assert!(settled(&mut overlaid, 300).is_empty());
    }
}
