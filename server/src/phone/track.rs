//! The sound of one call wherever it goes: what its caller says and what they hear, on one timeline.
//!
//! A call moves: from its menu's room into a conference, into the room of whoever takes it from a queue, and back.
//! Recordings and streams of the call go with it. [`Follow`] captures in whichever room the call is and hands the
//! frames on through one [`Relay`] a side, with their times on the timeline that was asked for; between rooms there is
//! a hole. It is a future of whoever wants the sound, looks every 20 ms and is never real time; what its reader does not
//! take within 2 s is dropped and told as a hole. Consent is kept by the captures: of somebody who may not be captured
//! there is silence.

use std::time::Duration;

use media::{
    bridge::{BridgeError, Captured},
    frame::Frame,
    graph::nodes::{
        capture::{CaptureReader, Relay, relay},
        frames::Heard,
    },
    time::{Epoch, MediaTime},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::call::Place;
use crate::app::App;

/// How often captures are looked at: they hold 2 s.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long is waited before an engine that was full is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// 20 ms at 48 kHz.
pub(crate) type Captures = Frame<960>;

/// Whose sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What the caller says.
    Caller,
    /// What the caller hears.
    Others,
    /// Both in one.
    Everybody,
}

/// Hands the sound of a call on, for as long as it runs.
pub(crate) struct Follow {
    app: App,
    place: watch::Receiver<Option<Place>>,
    base: Epoch,
    sides: Vec<(Side, Relay)>,
    here: Option<Here>,
    again_at: Option<Instant>,
}

/// The room that the call is in.
struct Here {
    shift: Shift,
    /// One for each of the sides.
    readers: Vec<CaptureReader>,
}

/// Follows a call, whose place is `place`, on the timeline of `base`; a reader for each of `sides`.
pub(crate) fn follow(
    app: &App,
    place: watch::Receiver<Option<Place>>,
    base: Epoch,
    sides: &[Side],
) -> (Follow, Vec<CaptureReader>) {
    let (sides, readers) = sides
        .iter()
        .map(|side| {
            let (relay, reader) = relay();
            ((*side, relay), reader)
        })
        .unzip();
    (Follow { app: app.clone(), place, base, sides, here: None, again_at: None }, readers)
}

impl Follow {
    /// Hands on until the call is over or nobody reads any more; `heard` is shown each frame. The sound ends with this
    /// future.
    pub(crate) async fn run(mut self, mut heard: impl FnMut(Side, &Captures)) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.settle().await;
        loop {
            let has_moved = tokio::select! {
                // The call has the other end: when that is gone, it is over.
                moved = self.place.changed() => Some(moved.is_ok()),
                _ = looks.tick() => None,
            };
            self.hand_on(&mut heard);
            match has_moved {
                Some(true) => self.settle().await,
                Some(false) => return,
                None if self.sides.iter().all(|(_, relay)| relay.is_abandoned()) => return,
                None if self.again_at.is_some_and(|at| at <= Instant::now()) => self.settle().await,
                None => {}
            }
        }
    }

    /// Captures where the call is now.
    async fn settle(&mut self) {
        self.here = None;
        self.again_at = None;
        let Some(place) = self.place.borrow_and_update().clone() else { return };
        let sides: Vec<_> = self.sides.iter().map(|(side, _)| *side).collect();
        match open(&self.app, &place, self.base, sides).await {
            Ok(here) => self.here = here,
            Err(error) => {
                tracing::warn!(room = %place.room.id(), %error, "the sound of a call cannot be followed; tried again");
                self.again_at = Some(Instant::now() + AGAIN_AFTER);
            }
        }
    }

    fn hand_on(&mut self, heard: &mut impl FnMut(Side, &Captures)) {
        let Some(here) = &mut self.here else { return };
        for ((side, relay), reader) in self.sides.iter_mut().zip(&mut here.readers) {
            while let Some(captured) = reader.hear() {
                // A hole lies between the times of its neighbours; the next reader sees it by itself.
                let Heard::Frame(frame) = captured else { continue };
                let Some(at) = here.shift.apply(frame.at) else { continue };
                let frame = Captures { at, ..frame };
                heard(*side, &frame);
                if !relay.write(frame) {
                    metrics::counter!("harmony_drops_total", "crossing" => "call_tracks").increment(1);
                }
            }
        }
    }
}

/// Captures in the room of `place`; nothing when the call has left it meanwhile.
async fn open(app: &App, place: &Place, base: Epoch, sides: Vec<Side>) -> Result<Option<Here>, BridgeError> {
    let sound = app.sound(&place.room);
    let member = sound.members().into_iter().find(|member| member.participant == place.participant);
    let Some(member) = member else { return Ok(None) };
    let mut readers = Vec::new();
    for side in sides {
        let what = match side {
            Side::Caller => Captured::Leg(member.leg),
            Side::Others => Captured::Others(member.leg),
            Side::Everybody => Captured::Everybody,
        };
        match sound.bridge().capture(what).await {
            Ok(reader) => readers.push(reader),
            Err(BridgeError::NoSuchLeg(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Here { shift: Shift::between(place.room.epoch(), &base), readers }))
}

/// Hands the sound of one capture on, so that it can be looked at on its way; a reader of it, and the future that does it
/// until the capture has ended or nobody reads any more.
pub(crate) fn pass_on(
    mut from: CaptureReader,
    mut heard: impl FnMut(&Captures),
) -> (impl Future<Output = ()>, CaptureReader) {
    let (mut relay, to) = relay();
    let passing = async move {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !from.has_ended() && !relay.is_abandoned() {
            looks.tick().await;
            while let Some(captured) = from.hear() {
                if let Heard::Frame(frame) = captured {
                    heard(&frame);
                    relay.write(frame);
                }
            }
        }
    };
    (passing, to)
}

/// From the timeline of one room to that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shift {
    ticks: i64,
}

impl Shift {
    fn between(from: &Epoch, to: &Epoch) -> Self {
        let ticks = |span: Duration| i64::try_from(MediaTime::from_duration(span).ticks()).unwrap_or(i64::MAX);
        let later = from.instant.saturating_duration_since(to.instant);
        let earlier = to.instant.saturating_duration_since(from.instant);
        Self { ticks: ticks(later) - ticks(earlier) }
    }

    /// `None` for what was before the other timeline began.
    fn apply(self, at: MediaTime) -> Option<MediaTime> {
        at.ticks().checked_add_signed(self.ticks).map(MediaTime::from_ticks)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Instant, SystemTime};

    use media::{bridge::Plan, frame::MOUTH_HZ, id::ParticipantId};

    use super::*;
    use crate::{
        auth::keys::KeyRing,
        config::Config,
        engine::NoEars,
        sound::Member,
        speaker::{Pace, Speaker},
    };

    #[test]
    fn a_moment_keeps_its_instant_on_another_timeline() {
        let began = now();
        let epoch = |millis| Epoch { instant: began + Duration::from_millis(millis), wall: SystemTime::UNIX_EPOCH };
        for (from, to, at, expected) in [
            (0, 0, 500, Some(500)),
            (2_000, 0, 500, Some(2_500)),
            (0, 2_000, 2_500, Some(500)),
            (0, 2_000, 1_999, None),
        ] {
            let shift = Shift::between(&epoch(from), &epoch(to));
            let moved = shift.apply(MediaTime::from_millis(at));
            assert_eq!(moved, expected.map(MediaTime::from_millis), "{from} {to} {at}");
        }
    }

    /// Somebody who speaks at a constant level, and is captured.
    pub(in crate::phone) async fn speak(app: &App, room: &bot::actor::RoomHandle, who: u64, level: f32) -> impl Sized {
        let sound = app.sound(room);
        let (playout, mut speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
        let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
        let leg = sound.bridge().join(plan).await.unwrap();
        let (participant, levels) = (ParticipantId(who), leg.levels());
        let presence = sound.enter(Member { participant, name: "Ada".into(), leg: leg.id(), levels });
        let talking = tokio::spawn(async move { while speaker.speak(1, &[level; 480]).await.is_ok() {} });
        (leg, presence, talking)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_is_heard_in_whichever_room_it_is_and_apart_from_the_others() {
        let data = tempfile::tempdir().unwrap();
        let keys = KeyRing::load(data.path(), &[]).unwrap();
        let app = App::new(Config::default(), Err(NoEars(String::new())), keys).unwrap();
        let (first, second) = (app.open_room("a").unwrap(), app.open_room("b").unwrap());
        let _caller = speak(&app, &first, 1, 0.25).await;
        let _other = speak(&app, &first, 2, 0.125).await;
        let _moved = speak(&app, &second, 7, 0.5).await;
        let (to, place) = watch::channel(None);
        let sides = [Side::Caller, Side::Others, Side::Everybody];
        let (follow, readers) = follow(&app, place, *first.epoch(), &sides);
        let followed = tokio::spawn(follow.run(|_, _| {}));
        to.send_replace(Some(Place { room: first.clone(), participant: ParticipantId(1) }));
        let mut readers: Vec<_> = readers.into_iter().map(|reader| (reader, MediaTime::ZERO)).collect();
        for (reader, expected) in readers.iter_mut().zip([0.25, 0.125, 0.375]) {
            until_level(reader, expected).await;
        }
        to.send_replace(Some(Place { room: second.clone(), participant: ParticipantId(7) }));
        for (reader, expected) in readers.iter_mut().zip([0.5, 0.0, 0.5]) {
            until_level(reader, expected).await;
        }
        drop(to);
        followed.await.unwrap();
        for (mut reader, _) in readers {
            while reader.hear().is_some() {}
            assert!(reader.has_ended());
        }
    }

    /// Until the reader gives this level, never going back in time by more than a frame.
    async fn until_level((reader, last): &mut (CaptureReader, MediaTime), expected: f32) {
        let mut looks = interval(LOOK_EVERY);
        for _ in 0..500 {
            looks.tick().await;
            while let Some(heard) = reader.hear() {
                let Heard::Frame(frame) = heard else { continue };
                assert!(frame.at + LOOK_EVERY > *last, "{} after {last}", frame.at);
                *last = frame.at;
                if frame.samples.iter().all(|sample| (sample - expected).abs() < 2e-3) {
                    return;
                }
            }
        }
        panic!("never heard {expected}");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; no test depends on which"
    )]
    fn now() -> Instant {
        Instant::now()
    }
}
