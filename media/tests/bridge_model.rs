//! Whatever legs and captures do, in any order, each leg hears exactly the sum of the others, in every tick.
//!
//! Voices are constants that are powers of two, so that any sum of them is exact and names who is in it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Bridge, Captured, Hand, Leg, Plan, Switchboard},
    graph::{
        node::{Inputs, Node, Outputs, Ports, Status, Tick, mono},
        nodes::{capture::CaptureReader, frames::Heard, tap::TapReader},
    },
    id::RoomId,
    time::Epoch,
};
use proptest::prelude::*;
use tokio::runtime::Builder;

/// Voices and room.
const RATE_HZ: u32 = 16_000;

/// Legs at once; the sum of their voices stays below what a mixer bends.
const LEGS_MAX: usize = 6;

/// After a change, so many ticks pass before the sums are looked at: gains take one to arrive.
const SETTLED_TICKS: usize = 3;

/// After so many ticks the resamplers before captures have settled too.
const CAPTURED_TICKS: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Join { speaks: bool, listens: bool, hears_itself: bool, ears: bool, is_muted: bool, may_be_captured: bool },
    Leave(prop::sample::Index),
    Mute(prop::sample::Index, bool),
    Allow(prop::sample::Index, bool),
    CaptureAll,
    CaptureLeg(prop::sample::Index),
    CaptureOthers(prop::sample::Index),
    EndCaptures,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || any::<prop::sample::Index>();
    let flags = any::<[bool; 6]>();
    prop_oneof![
        4 => flags.prop_map(|[speaks, listens, hears_itself, ears, is_muted, may_be_captured]| Step::Join {
            speaks, listens, hears_itself, ears: ears && speaks, is_muted, may_be_captured
        }),
        2 => who().prop_map(Step::Leave),
        2 => (who(), any::<bool>()).prop_map(|(who, is)| Step::Mute(who, is)),
        2 => (who(), any::<bool>()).prop_map(|(who, is)| Step::Allow(who, is)),
        1 => Just(Step::CaptureAll),
        1 => who().prop_map(Step::CaptureLeg),
        1 => who().prop_map(Step::CaptureOthers),
        1 => Just(Step::EndCaptures),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_leg_hears_exactly_the_others_whatever_happens(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut room = Model::new();
        for step in steps {
            runtime.block_on(room.take(&step));
            for _ in 0..SETTLED_TICKS {
                room.hand.tick();
            }
            room.check_ears_and_ticks()?;
            for _ in 0..CAPTURED_TICKS {
                room.hand.tick();
            }
            room.check_captures()?;
        }
    }
}

#[test]
fn each_of_a_hundred_legs_hears_the_other_ninety_nine() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let mut room = Model::new();
    let voice = 1.0 / 256.0;
    let mut legs = Vec::new();
    for _ in 0..100 {
        let last = Arc::new(Mutex::new((0, 0.0)));
        let plan = Plan {
            source: Some(Box::new(Constant(voice))),
            sink: Some(Box::new(Remembers(Arc::clone(&last)))),
            ..Plan::default()
        };
        legs.push((runtime.block_on(room.bridge.join(plan)).unwrap(), last));
    }
    // More changes than a tick obeys: the last of them are a few ticks late, and none is lost.
    room.hand.pass(Duration::from_millis(100));
    for (leg, last) in &legs {
        assert_eq!(last.lock().unwrap().1, 99.0 * voice, "{}", leg.id());
    }
    legs.truncate(2);
    room.hand.pass(Duration::from_millis(100));
    assert_eq!(legs[0].1.lock().unwrap().1, voice);
}

/// A room and what it should sound like.
struct Model {
    hand: Hand,
    bridge: Bridge,
    legs: Vec<Placed>,
    captures: Vec<(Captured, CaptureReader)>,
}

struct Placed {
    leg: Leg,
    ears: Option<TapReader>,
    /// Zero for nobody.
    voice: f32,
    last: Option<Arc<Mutex<(usize, f32)>>>,
    ticks_before: usize,
    hears_itself: bool,
    is_muted: bool,
    may_be_captured: bool,
}

impl Placed {
    fn audible(&self) -> f32 {
        if self.is_muted { 0.0 } else { self.voice }
    }

    fn captured(&self) -> f32 {
        if self.may_be_captured { self.audible() } else { 0.0 }
    }
}

impl Model {
    fn new() -> Self {
        let (switchboard, hand) = Switchboard::by_hand(now());
        let epoch = Epoch { instant: hand.now(), wall: SystemTime::UNIX_EPOCH };
        Self { bridge: switchboard.bridge(RoomId(1), epoch, RATE_HZ), hand, legs: Vec::new(), captures: Vec::new() }
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Join { speaks, listens, hears_itself, ears, is_muted, may_be_captured } => {
                // The loudest voice that nobody has.
                let free = (0..LEGS_MAX).map(|n| 0.25 / (1 << n) as f32);
                let Some(voice) = free.into_iter().find(|voice| self.legs.iter().all(|leg| leg.voice != *voice)) else {
                    return;
                };
                let last = listens.then(|| Arc::new(Mutex::new((0, 0.0))));
                let plan = Plan {
                    source: speaks.then(|| Box::new(Constant(voice)) as Box<dyn Node>),
                    sink: last.clone().map(|last| Box::new(Remembers(last)) as Box<dyn Node>),
                    ears,
                    hears_itself,
                    is_muted,
                    may_be_captured,
                    ..Plan::default()
                };
                let mut leg = self.bridge.join(plan).await.unwrap();
                let ears = leg.take_ears();
                let voice = if speaks { voice } else { 0.0 };
                let placed =
                    Placed { leg, ears, voice, last, ticks_before: 0, hears_itself, is_muted, may_be_captured };
                self.legs.push(placed);
            }
            Step::Leave(who) if !self.legs.is_empty() => {
                let left = self.legs.remove(who.index(self.legs.len()));
                let id = left.leg.id();
                self.captures.retain(|(what, _)| ![Captured::Leg(id), Captured::Others(id)].contains(what));
            }
            Step::Mute(who, is_muted) if !self.legs.is_empty() => {
                let index = who.index(self.legs.len());
                self.legs[index].leg.mute(is_muted);
                self.legs[index].is_muted = is_muted;
            }
            Step::Allow(who, is_allowed) if !self.legs.is_empty() => {
                let index = who.index(self.legs.len());
                self.legs[index].leg.allow_capture(is_allowed);
                self.legs[index].may_be_captured = is_allowed;
            }
            Step::CaptureAll => {
                self.captures.push((Captured::Everybody, self.bridge.capture(Captured::Everybody).await.unwrap()));
            }
            Step::CaptureLeg(who) if !self.legs.is_empty() => {
                let leg = &self.legs[who.index(self.legs.len())];
                let what = Captured::Leg(leg.leg.id());
                match self.bridge.capture(what).await {
                    Ok(reader) => self.captures.push((what, reader)),
                    Err(error) => assert_eq!(leg.voice, 0.0, "{error}"),
                }
            }
            Step::CaptureOthers(who) if !self.legs.is_empty() => {
                let what = Captured::Others(self.legs[who.index(self.legs.len())].leg.id());
                self.captures.push((what, self.bridge.capture(what).await.unwrap()));
            }
            Step::EndCaptures => self.captures.clear(),
            Step::Leave(_) | Step::Mute(..) | Step::Allow(..) | Step::CaptureLeg(_) | Step::CaptureOthers(_) => {}
        }
    }

    fn check_ears_and_ticks(&mut self) -> Result<(), TestCaseError> {
        let everybody: f32 = self.legs.iter().map(Placed::audible).sum();
        for leg in &mut self.legs {
            let audible = leg.audible();
            if let Some(last) = &leg.last {
                let (ticks, heard) = *last.lock().unwrap();
                let expected = if leg.hears_itself { everybody } else { everybody - audible };
                prop_assert_eq!(heard, expected, "to the last bit");
                let gone = if leg.ticks_before == 0 { SETTLED_TICKS } else { SETTLED_TICKS + CAPTURED_TICKS };
                prop_assert_eq!(ticks, leg.ticks_before + gone, "no tick is left out or heard twice");
                leg.ticks_before = ticks;
            }
            if let Some(ears) = &mut leg.ears {
                let frames: Vec<_> = std::iter::from_fn(|| ears.hear()).collect();
                let Some(Heard::Frame(last)) = frames.last() else {
                    return Err(TestCaseError::fail("three ticks are a frame at least"));
                };
                prop_assert_eq!(last.samples[319], audible);
            }
        }
        Ok(())
    }

    fn check_captures(&mut self) -> Result<(), TestCaseError> {
        let everybody: f32 = self.legs.iter().map(Placed::captured).sum();
        for (what, reader) in &mut self.captures {
            let expected = match *what {
                Captured::Everybody => everybody,
                Captured::Leg(id) => self.legs.iter().find(|leg| leg.leg.id() == id).unwrap().captured(),
                Captured::Others(id) => self.legs.iter().filter(|leg| leg.leg.id() != id).map(Placed::captured).sum(),
            };
            let mut last = None;
            while let Some(heard) = reader.hear() {
                let Heard::Frame(frame) = heard else { return Err(TestCaseError::fail("a hole in a capture")) };
                last = Some(frame);
            }
            let heard = last.expect("twelve ticks are frames").samples[959];
            prop_assert!((heard - expected).abs() < 1e-3, "{what:?}: {heard} is not {expected}");
        }
        Ok(())
    }
}

struct Constant(f32);

impl Node for Constant {
    fn ports(&self) -> Ports {
        Ports::source(mono(RATE_HZ))
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        outputs.samples(0).fill(self.0);
        Status::Sounding
    }
}

/// Counts its ticks and keeps the last sample.
struct Remembers(Arc<Mutex<(usize, f32)>>);

impl Node for Remembers {
    fn ports(&self) -> Ports {
        Ports::sink(mono(RATE_HZ))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        let mut last = self.0.lock().unwrap();
        *last = (last.0 + 1, *inputs.samples(0).last().unwrap());
        Status::Silent
    }
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock; no test depends on which")]
fn now() -> Instant {
    Instant::now() + Duration::from_secs(1)
}
