//! What a room promises to its legs, on virtual time: all others are heard and oneself is not, nobody hears a seam
//! when somebody else comes or goes, and mute and consent hold for everything that listens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    f64::consts::TAU,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use media::{
    bridge::{Bridge, BridgeError, Captured, Hand, Leg, LegEvent, LegId, Part, Plan, Switchboard},
    dsp::level::rms_dbfs,
    frame::Frame,
    graph::{
        node::{Control, Event, Inputs, Node, Outputs, Ports, Status, Tick, mono, samples_per_tick},
        nodes::{
            capture::CaptureReader,
            playout::playout,
            tap::{Heard, TapReader},
        },
    },
    id::RoomId,
    time::{Epoch, MediaTime},
};
use tokio::sync::mpsc::error::TryRecvError;

/// As loud as each voice here is: a sine of a quarter of full scale.
const VOICE_DBFS: f32 = -15.05;

/// Filters and blocks have passed what they hold.
const SETTLED: Duration = Duration::from_millis(300);

#[tokio::test]
async fn three_legs_of_different_rates_hear_each_other_at_their_level_and_never_themselves() {
    for room_hz in [8_000, 16_000, 48_000] {
        let mut room = Room::new(room_hz);
        let [a, b, c] =
            [room.talker(8_000, 440.0).await, room.talker(16_000, 1_000.0).await, room.talker(48_000, 1_700.0).await];
        room.hand.pass(Duration::from_secs(2));
        for (leg, rate_hz, own_hz, others_hz) in [
            (&a, 8_000, 440.0, [1_000.0, 1_700.0]),
            (&b, 16_000, 1_000.0, [440.0, 1_700.0]),
            (&c, 48_000, 1_700.0, [440.0, 1_000.0]),
        ] {
            let heard = leg.heard();
            assert_eq!(heard.len(), 2 * rate_hz as usize, "each tick hears exactly its samples");
            let settled = &heard[rate_hz as usize / 2..];
            for other in others_hz {
                let level = tone_dbfs(settled, other, rate_hz);
                assert!((level - VOICE_DBFS).abs() < 0.3, "{room_hz}: {other} Hz came with {level} dBFS");
            }
            let itself = tone_dbfs(settled, own_hz, rate_hz);
            assert!(itself < -80.0, "{room_hz}: it heard itself with {itself} dBFS");
            let rest = without_tones(settled, &others_hz, rate_hz);
            assert!(rms_dbfs(&rest) < -70.0, "{room_hz}: gaps or noise of {} dBFS", rms_dbfs(&rest));
        }
    }
}

#[tokio::test]
async fn who_stays_hears_no_seam_when_somebody_joins_and_leaves() {
    let hears = |visit: Option<Visit>| async move {
        let mut room = Room::new(48_000);
        let (_speaker, listener) = (room.talker(16_000, 440.0).await, room.listener(8_000).await);
        room.hand.pass(SETTLED);
        if let Some(visit) = visit {
            for _ in 0..4 {
                let guest = match visit {
                    Visit::Listens => room.listener(24_000).await,
                    Visit::Mute => room.talker_who(8_000, 777.0, |plan| plan.is_muted = true).await,
                };
                let everybody = room.bridge.capture(Captured::Everybody).await.unwrap();
                room.hand.pass(Duration::from_millis(70));
                drop((guest, everybody));
                room.hand.pass(Duration::from_millis(30));
            }
        } else {
            room.hand.pass(Duration::from_millis(400));
        }
        room.hand.pass(SETTLED);
        listener.heard()
    };
    let alone = hears(None).await;
    assert!((tone_dbfs(&alone[4_000..], 440.0, 8_000) - VOICE_DBFS).abs() < 0.3);
    for visit in [Visit::Listens, Visit::Mute] {
        assert!(alone == hears(Some(visit)).await, "every sample is the same, to the last bit: {visit:?}");
    }
}

#[tokio::test]
async fn what_a_visitor_says_is_all_that_changes_for_who_stays() {
    let mut room = Room::new(16_000);
    let (_speaker, listener) = (room.talker(16_000, 440.0).await, room.listener(16_000).await);
    room.hand.pass(SETTLED);
    let guest = room.talker(16_000, 1_000.0).await;
    room.hand.pass(SETTLED);
    drop(guest);
    room.hand.pass(SETTLED);
    let heard = listener.heard();
    let [before, during, after] = [&heard[..4_800], &heard[4_800..9_600], &heard[9_600..]];
    assert_eq!(after.len(), 4_800);
    for tone_hz in [440.0, 1_000.0] {
        assert!((tone_dbfs(during, tone_hz, 16_000) - VOICE_DBFS).abs() < 0.5);
    }
    for quiet in [before, after] {
        let rest = without_tones(quiet, &[440.0], 16_000);
        assert!(rest.iter().all(|sample| sample.abs() < 1e-4), "nothing but the speaker, from the very tick");
    }
}

#[tokio::test]
async fn a_muted_leg_is_neither_heard_nor_transcribed_nor_captured_and_its_meter_shows_nothing() {
    let mut room = Room::new(48_000);
    let mut leg = room
        .talker_who(16_000, 500.0, |plan| {
            plan.ears = true;
            plan.may_be_captured = true;
        })
        .await;
    let other = room.listener(48_000).await;
    let mut ears = leg.take_ears().unwrap();
    let mut captures = [
        room.bridge.capture(Captured::Leg(leg.id())).await.unwrap(),
        room.bridge.capture(Captured::Everybody).await.unwrap(),
    ];
    room.hand.pass(Duration::from_millis(500));
    let levels = leg.levels();
    assert!((levels.borrow().rms_dbfs - VOICE_DBFS).abs() < 0.2, "{:?}", levels.borrow());
    listen(&mut ears);
    captures.iter_mut().for_each(|capture| _ = record(capture));

    leg.mute(true);
    room.hand.pass(SETTLED);
    let _fading = (other.take(), listen(&mut ears), captures.each_mut().map(record));
    room.hand.pass(SETTLED);
    assert_eq!(levels.borrow().rms_dbfs, f32::NEG_INFINITY);
    let heard = other.take();
    assert_eq!(heard, vec![0.0; heard.len()]);
    for silence in [listen(&mut ears), record(&mut captures[0]), record(&mut captures[1])] {
        assert!(silence.len() >= 16_000 / 5, "time goes on: {}", silence.len());
        assert_eq!(silence, vec![0.0; silence.len()]);
    }

    leg.mute(false);
    room.hand.pass(2 * SETTLED);
    for sound in [other.take(), listen(&mut ears), record(&mut captures[0]), record(&mut captures[1])] {
        let end = &sound[sound.len() / 2..];
        assert!((rms_dbfs(end) - VOICE_DBFS).abs() < 0.3, "{}", rms_dbfs(end));
    }
}

#[tokio::test]
async fn nothing_said_before_consent_or_after_its_end_is_captured() {
    let mut room = Room::new(8_000);
    let [asked, other] = [
        room.talker_who(8_000, 500.0, |plan| plan.may_be_captured = false).await,
        room.talker_who(8_000, 1_500.0, |plan| plan.may_be_captured = true).await,
    ];
    let mut own = room.bridge.capture(Captured::Leg(asked.id())).await.unwrap();
    let mut all = room.bridge.capture(Captured::Everybody).await.unwrap();
    room.hand.pass(2 * SETTLED);
    let (silence, half) = (record(&mut own), record(&mut all));
    assert_eq!(silence, vec![0.0; silence.len()]);
    let settled = &half[half.len() / 2..];
    assert!((tone_dbfs(settled, 1_500.0, 48_000) - VOICE_DBFS).abs() < 0.3);
    assert!(tone_dbfs(settled, 500.0, 48_000) < -80.0);
    assert!(tone_dbfs(&other.heard()[2_000..], 500.0, 8_000) > VOICE_DBFS - 0.3, "the others hear it all the same");

    asked.allow_capture(true);
    room.hand.pass(2 * SETTLED);
    for capture in [record(&mut own), record(&mut all)] {
        assert!((tone_dbfs(&capture[capture.len() / 2..], 500.0, 48_000) - VOICE_DBFS).abs() < 0.3);
    }

    asked.allow_capture(false);
    room.hand.pass(SETTLED);
    let _fading = (record(&mut own), record(&mut all));
    room.hand.pass(SETTLED);
    let (silence, half) = (record(&mut own), record(&mut all));
    assert_eq!(silence, vec![0.0; silence.len()]);
    assert!(tone_dbfs(&half, 500.0, 48_000) < -80.0);
}

#[tokio::test]
async fn a_capture_of_everybody_goes_on_without_legs_and_ends_when_its_reader_is_dropped() {
    let mut room = Room::new(48_000);
    let mut all = room.bridge.capture(Captured::Everybody).await.unwrap();
    room.hand.pass(SETTLED);
    let guest = room.talker_who(48_000, 500.0, |plan| plan.may_be_captured = true).await;
    room.hand.pass(SETTLED);
    drop(guest);
    room.hand.pass(SETTLED);
    let frames: Vec<_> = std::iter::from_fn(|| all.hear()).collect();
    let times: Vec<_> = frames
        .iter()
        .map(|heard| match heard {
            Heard::Frame(Frame { at, .. }) => *at,
            Heard::Lost(span) => panic!("a hole: {span:?}"),
        })
        .collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(20)));
    assert_eq!(times.len(), 45);
    assert_eq!(room.open_rooms(), 1);
    drop(all);
    assert_eq!(room.open_rooms(), 0, "the room costs nothing once nobody reads");
}

#[tokio::test]
async fn a_room_is_open_in_the_engine_from_its_first_leg_to_its_last() {
    let mut room = Room::new(8_000);
    assert_eq!(room.open_rooms(), 0);
    let first = room.talker(8_000, 440.0).await;
    let second = room.listener(8_000).await;
    assert_eq!(room.open_rooms(), 1);
    drop(first);
    assert_eq!(room.open_rooms(), 1);
    drop(second);
    assert_eq!(room.open_rooms(), 0);
    let again = room.echo(8_000, 440.0).await;
    room.hand.pass(SETTLED);
    assert_eq!(room.open_rooms(), 1);
    assert!((rms_dbfs(&again.heard()) - VOICE_DBFS).abs() < 0.3);
}

#[tokio::test]
async fn an_echo_hears_itself_and_the_others_do_not_hear_it_twice() {
    let mut room = Room::new(8_000);
    let [echo, other] = [room.echo(8_000, 440.0).await, room.listener(8_000).await];
    room.hand.pass(Duration::from_secs(1));
    for heard in [echo.heard(), other.heard()] {
        assert!((tone_dbfs(&heard, 440.0, 8_000) - VOICE_DBFS).abs() < 0.1);
    }
}

#[tokio::test]
async fn who_is_heard_by_one_alone_is_heard_by_nobody_else_and_captured_nowhere_until_everybody_may_hear_again() {
    let mut room = Room::new(48_000);
    let (host, guest) = (room.talker(8_000, 440.0).await, room.talker(16_000, 1_000.0).await);
    let coach = room
        .talker_who(16_000, 1_700.0, |plan| {
            plan.may_be_captured = true;
            plan.heard_by = Some(guest.id());
        })
        .await;
    let mut everybody = room.bridge.capture(Captured::Everybody).await.unwrap();
    let pass = |room: &mut Room, everybody: &mut CaptureReader| {
        room.hand.pass(SETTLED);
        let _fading = (host.take(), guest.take(), coach.take(), record(everybody));
        room.hand.pass(SETTLED);
        let level = |heard: &[f32], rate_hz| tone_dbfs(heard, 1_700.0, rate_hz);
        let others = tone_dbfs(&coach.take(), 440.0, 16_000);
        assert!((others - VOICE_DBFS).abs() < 0.5, "it hears the others all the same: {others} dBFS");
        [level(&host.take(), 8_000), level(&guest.take(), 16_000), level(&record(everybody), 48_000)]
    };
    let is_heard = |level: f32| (level - VOICE_DBFS).abs() < 0.5;
    let [to_host, to_guest, captured] = pass(&mut room, &mut everybody);
    assert!(to_host < -60.0 && is_heard(to_guest) && captured < -60.0, "{to_host} {to_guest} {captured}");
    coach.heard_by(Some(host.id()));
    let [to_host, to_guest, captured] = pass(&mut room, &mut everybody);
    assert!(is_heard(to_host) && to_guest < -60.0 && captured < -60.0, "{to_host} {to_guest} {captured}");
    // Whom it is for has never been there.
    coach.heard_by(Some(LegId(1_000)));
    let [to_host, to_guest, captured] = pass(&mut room, &mut everybody);
    assert!(to_host < -60.0 && to_guest < -60.0 && captured < -60.0, "{to_host} {to_guest} {captured}");
    coach.heard_by(None);
    let [to_host, to_guest, captured] = pass(&mut room, &mut everybody);
    assert!(is_heard(to_host) && is_heard(to_guest) && is_heard(captured), "{to_host} {to_guest} {captured}");
}

#[tokio::test]
async fn a_panicking_source_is_told_to_its_leg_and_the_room_lives() {
    let mut room = Room::new(16_000);
    let (_good, listener) = (room.talker(16_000, 440.0).await, room.listener(16_000).await);
    let plan = Plan { source: Some(Box::new(PanicsAt { tick: 5, ticks: 0 })), ears: true, ..Plan::default() };
    let mut bad = room.bridge.join(plan).await.unwrap();
    room.hand.pass(Duration::from_secs(1));
    let Ok(LegEvent::Panicked { part: Part::Source, .. }) = bad.events.try_recv() else {
        panic!("it is told of the panic")
    };
    assert_eq!(bad.events.try_recv(), Err(TryRecvError::Empty));
    assert!((tone_dbfs(&listener.heard()[8_000..], 440.0, 16_000) - VOICE_DBFS).abs() < 0.1);
    assert_eq!(bad.tell_source(Control::Stop), Ok(()));
    drop(bad);
    room.hand.pass(SETTLED);
    let repaired = room.talker(16_000, 1_000.0).await;
    listener.take();
    room.hand.pass(SETTLED);
    assert!((tone_dbfs(&listener.take(), 1_000.0, 16_000) - VOICE_DBFS).abs() < 0.5);
    drop(repaired);
}

#[tokio::test]
async fn what_source_and_ears_report_reaches_the_leg() {
    let mut room = Room::new(48_000);
    let (source, mut mouth) = playout(48_000);
    let plan = Plan { source: Some(Box::new(source)), ears: true, ..Plan::default() };
    let mut leg = room.bridge.join(plan).await.unwrap();
    mouth.speak(1, &[0.1; 4_800]);
    mouth.mark(1, 42);
    room.hand.pass(Duration::from_millis(200));
    let told: Vec<_> = std::iter::from_fn(|| leg.events.try_recv().ok()).collect();
    let events: Vec<_> = told
        .iter()
        .map(|told| match told {
            LegEvent::Source { event, .. } => *event,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(events, [Event::MarkPlayed(42), Event::Drained]);
    mouth.speak(2, &[0.1; 4_800]);
    leg.tell_source(Control::Flush(2)).unwrap();
    room.hand.pass(Duration::from_millis(50));
    assert!(matches!(leg.events.try_recv(), Ok(LegEvent::Source { event: Event::Drained, .. })));
    room.hand.pass(Duration::from_secs(6));
    assert!(matches!(leg.events.try_recv(), Ok(LegEvent::EarsOverflowed { .. })));
    assert_eq!(room.switchboard.drops().ears, 1);
}

#[tokio::test]
async fn ears_hear_on_the_rooms_timeline_whatever_the_rates() {
    for rate_hz in [8_000, 16_000, 24_000, 48_000] {
        let mut room = Room::new(8_000);
        let mut leg = room.talker_who(rate_hz, 300.0, |plan| plan.ears = true).await;
        let mut ears = leg.take_ears().unwrap();
        assert!(leg.take_ears().is_none());
        room.hand.pass(Duration::from_secs(1));
        let Some(Heard::Frame(first)) = ears.hear() else { panic!("a second of sound") };
        assert_eq!(first.at, MediaTime::from_millis(1_000), "the room began a second before");
        let heard = listen(&mut ears);
        assert!((tone_dbfs(&heard[8_000..], 300.0, 16_000) - VOICE_DBFS).abs() < 0.3);
        drop(leg);
        room.hand.tick();
        listen(&mut ears);
        assert!(ears.has_ended(), "ears end when the leg leaves");
    }
}

#[tokio::test]
async fn suppressed_noise_is_a_leg_like_another() {
    let mut room = Room::new(8_000);
    let leg = room.talker_who(8_000, 440.0, |plan| plan.suppress_noise = true).await;
    let other = room.listener(8_000).await;
    leg.suppress_noise(false);
    room.hand.pass(Duration::from_secs(1));
    assert!((tone_dbfs(&other.heard()[4_000..], 440.0, 8_000) - VOICE_DBFS).abs() < 0.3);
}

#[tokio::test]
async fn gain_is_heard_and_has_a_ceiling() {
    let mut room = Room::new(8_000);
    let (leg, other) = (room.talker(8_000, 440.0).await, room.listener(8_000).await);
    leg.gain_db(-20.0);
    room.hand.pass(SETTLED);
    other.take();
    room.hand.pass(SETTLED);
    assert!((rms_dbfs(&other.take()) - VOICE_DBFS + 20.0).abs() < 0.1);
    leg.gain_db(f32::INFINITY);
    room.hand.pass(SETTLED);
    assert!(other.take().iter().all(|sample| sample.abs() <= 1.0));
}

#[tokio::test]
async fn a_leg_that_cannot_be_is_refused_with_whose_fault_it_is() {
    let room = Room::new(16_000);
    let source = |rate_hz| Plan { source: Some(Box::new(Sine::new(rate_hz, 100.0))), ..Plan::default() };
    let refusal = room.bridge.join(source(11_000)).await.err().unwrap();
    assert!(matches!(refusal, BridgeError::UnsupportedRate { part: Part::Source, rate_hz: 11_000 }), "{refusal}");
    let (probe, _) = Probe::new(44_100);
    let refusal = room.bridge.join(Plan { sink: Some(Box::new(probe)), ..Plan::default() }).await.err().unwrap();
    assert!(matches!(refusal, BridgeError::UnsupportedRate { part: Part::Sink, rate_hz: 44_100 }), "{refusal}");
    let (probe, _) = Probe::new(8_000);
    let refusal = room.bridge.join(Plan { source: Some(Box::new(probe)), ..Plan::default() }).await.err().unwrap();
    assert!(matches!(refusal, BridgeError::BadSource(_)), "{refusal}");
    let sink = Plan { sink: Some(Box::new(Sine::new(8_000, 100.0))), ..Plan::default() };
    assert!(matches!(room.bridge.join(sink).await.err(), Some(BridgeError::BadSink(_))));
    let deaf = Plan { ears: true, ..Plan::default() };
    assert!(matches!(room.bridge.join(deaf).await.err(), Some(BridgeError::NothingToHear)));
    let nobody = room.bridge.capture(Captured::Leg(LegId(9))).await.err();
    assert!(matches!(nobody, Some(BridgeError::NoSuchLeg(LegId(9)))));
    let odd = room.switchboard.bridge(RoomId(2), room.epoch, 44_100);
    assert!(matches!(odd.join(source(8_000)).await.err(), Some(BridgeError::UnsupportedRoomRate(44_100))));
}

#[tokio::test]
async fn a_refused_leg_leaves_nothing_behind() {
    let mut room = Room::new(16_000);
    let source = Box::new(Sine::new(11_000, 100.0));
    assert!(room.bridge.join(Plan { source: Some(source), ..Plan::default() }).await.is_err());
    assert_eq!(room.open_rooms(), 0);
    let (talker, listener) = (room.talker(8_000, 440.0).await, room.listener(8_000).await);
    room.hand.pass(SETTLED);
    assert!(tone_dbfs(&listener.heard()[1_200..], 440.0, 8_000) > VOICE_DBFS - 0.5);
    drop(talker);
}

#[tokio::test]
async fn a_shard_that_is_full_refuses_the_next_room_until_one_is_gone() {
    let (switchboard, mut hand) = Switchboard::by_hand(now());
    let epoch = epoch(&hand);
    let plan = || Plan { source: Some(Box::new(Sine::new(8_000, 100.0))), ..Plan::default() };
    let mut legs = Vec::new();
    for room in 0..1_024 {
        legs.push(switchboard.bridge(RoomId(room), epoch, 8_000).join(plan()).await.unwrap());
        if room % 16 == 0 {
            hand.tick();
        }
    }
    let late = switchboard.bridge(RoomId(5_000), epoch, 8_000);
    assert!(matches!(late.join(plan()).await.err(), Some(BridgeError::Full)));
    drop(legs.pop());
    assert!(late.join(plan()).await.is_ok());
}

#[tokio::test]
async fn changes_that_find_the_ring_full_wait_and_none_is_lost() {
    let mut room = Room::new(8_000);
    let (leg, other) = (room.talker(8_000, 440.0).await, room.listener(8_000).await);
    // Far more than the ring holds, without a tick: the last one must win.
    for turn in 0..2_000 {
        leg.mute(turn % 2 == 0);
        leg.gain_db(-(turn as f32));
    }
    leg.gain_db(-6.0);
    let mut refused = 0;
    for _ in 0..400 {
        refused += usize::from(leg.tell_source(Control::Stop).is_err());
    }
    assert!(refused > 0, "orders to nodes are refused when too many wait");
    room.hand.pass(Duration::from_secs(1));
    other.take();
    room.hand.pass(SETTLED);
    assert!((rms_dbfs(&other.take()) - VOICE_DBFS + 6.0).abs() < 0.1);
}

#[tokio::test]
async fn the_same_joins_make_the_same_samples() {
    let run = || async {
        let mut room = Room::new(48_000);
        let mut legs = Vec::new();
        let mut heard = Vec::new();
        for (n, rate_hz) in [8_000, 48_000, 16_000, 24_000, 8_000, 48_000].into_iter().enumerate() {
            legs.push(room.talker(rate_hz, 200.0 + 137.0 * n as f64).await);
            room.hand.pass(Duration::from_millis(130));
            if n == 3 {
                heard.push(legs.remove(1).heard());
            }
            legs[0].mute(n % 2 == 1);
        }
        room.hand.pass(SETTLED);
        heard.extend(legs.iter().map(Sounding::heard));
        heard
    };
    let first = run().await;
    assert!(first.iter().all(|heard| rms_dbfs(heard) > -40.0));
    assert!(first == run().await);
}

#[derive(Clone, Copy, Debug)]
enum Visit {
    Listens,
    Mute,
}

/// A room on virtual time, which began a second before the first tick.
struct Room {
    switchboard: Switchboard,
    hand: Hand,
    bridge: Bridge,
    epoch: Epoch,
}

impl Room {
    fn new(rate_hz: u32) -> Self {
        let (switchboard, hand) = Switchboard::by_hand(now());
        let epoch = epoch(&hand);
        let bridge = switchboard.bridge(RoomId(7), epoch, rate_hz);
        Self { switchboard, hand, bridge, epoch }
    }

    async fn talker(&self, rate_hz: u32, tone_hz: f64) -> Sounding {
        self.talker_who(rate_hz, tone_hz, |_| {}).await
    }

    async fn talker_who(&self, rate_hz: u32, tone_hz: f64, change: impl FnOnce(&mut Plan)) -> Sounding {
        let (probe, heard) = Probe::new(rate_hz);
        let mut plan = Plan {
            source: Some(Box::new(Sine::new(rate_hz, tone_hz))),
            sink: Some(Box::new(probe)),
            ..Plan::default()
        };
        change(&mut plan);
        Sounding { leg: self.bridge.join(plan).await.unwrap(), heard }
    }

    async fn echo(&self, rate_hz: u32, tone_hz: f64) -> Sounding {
        self.talker_who(rate_hz, tone_hz, |plan| plan.hears_itself = true).await
    }

    async fn listener(&self, rate_hz: u32) -> Sounding {
        let (probe, heard) = Probe::new(rate_hz);
        let plan = Plan { sink: Some(Box::new(probe)), ..Plan::default() };
        Sounding { leg: self.bridge.join(plan).await.unwrap(), heard }
    }

    /// After all that waits has been obeyed and a second has passed.
    fn open_rooms(&mut self) -> usize {
        self.hand.pass(Duration::from_secs(3));
        self.switchboard.health()[0].rooms
    }
}

/// A leg and what it has heard.
struct Sounding {
    leg: Leg,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl Sounding {
    fn heard(&self) -> Vec<f32> {
        self.heard.lock().unwrap().clone()
    }

    fn take(&self) -> Vec<f32> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

impl std::ops::Deref for Sounding {
    type Target = Leg;

    fn deref(&self) -> &Leg {
        &self.leg
    }
}

impl std::ops::DerefMut for Sounding {
    fn deref_mut(&mut self) -> &mut Leg {
        &mut self.leg
    }
}

/// All that waits in ears, without holes.
fn listen(ears: &mut TapReader) -> Vec<f32> {
    frames(std::iter::from_fn(|| ears.hear()))
}

/// All that waits in a capture, without holes.
fn record(capture: &mut CaptureReader) -> Vec<f32> {
    frames(std::iter::from_fn(|| capture.hear()))
}

fn frames<const N: usize>(heard: impl Iterator<Item = Heard<N>>) -> Vec<f32> {
    heard
        .flat_map(|heard| match heard {
            Heard::Frame(frame) => frame.samples,
            Heard::Lost(span) => panic!("a hole: {span:?}"),
        })
        .collect()
}

/// How loud `tone_hz` is in `sound`, by what a sine and a cosine of it have in common with it.
fn tone_dbfs(sound: &[f32], tone_hz: f64, rate_hz: u32) -> f32 {
    let (sine, cosine) = fit(sound, tone_hz, rate_hz);
    (10.0 * ((sine * sine + cosine * cosine) / 2.0).log10()) as f32
}

/// What is left of `sound` when these tones are taken out.
fn without_tones(sound: &[f32], tones_hz: &[f64], rate_hz: u32) -> Vec<f32> {
    let mut rest = sound.to_vec();
    // Once more than there are tones, because short pieces of tones are not quite independent.
    for tone_hz in tones_hz.iter().cycle().take(tones_hz.len() * 8) {
        let (sine, cosine) = fit(&rest, *tone_hz, rate_hz);
        for (n, sample) in rest.iter_mut().enumerate() {
            let phase = TAU * tone_hz * n as f64 / f64::from(rate_hz);
            *sample -= (sine * phase.sin() + cosine * phase.cos()) as f32;
        }
    }
    rest
}

fn fit(sound: &[f32], tone_hz: f64, rate_hz: u32) -> (f64, f64) {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in sound.iter().enumerate() {
        let phase = TAU * tone_hz * n as f64 / f64::from(rate_hz);
        sine += f64::from(*sample) * phase.sin();
        cosine += f64::from(*sample) * phase.cos();
    }
    let scale = 2.0 / sound.len() as f64;
    (sine * scale, cosine * scale)
}

/// A quarter of full scale, for ever.
struct Sine {
    rate_hz: u32,
    tone_hz: f64,
    samples: u64,
}

impl Sine {
    fn new(rate_hz: u32, tone_hz: f64) -> Self {
        Self { rate_hz, tone_hz, samples: 0 }
    }
}

impl Node for Sine {
    fn ports(&self) -> Ports {
        Ports::source(mono(self.rate_hz))
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        for out in outputs.samples(0) {
            let phase = TAU * self.tone_hz * self.samples as f64 / f64::from(self.rate_hz);
            *out = 0.25 * phase.sin() as f32;
            self.samples += 1;
        }
        Status::Sounding
    }
}

/// Keeps all that it hears.
struct Probe {
    rate_hz: u32,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl Probe {
    fn new(rate_hz: u32) -> (Self, Arc<Mutex<Vec<f32>>>) {
        let heard = Arc::default();
        (Self { rate_hz, heard: Arc::clone(&heard) }, heard)
    }
}

impl Node for Probe {
    fn ports(&self) -> Ports {
        Ports::sink(mono(self.rate_hz))
    }

    fn process(&mut self, _: &mut Tick<'_>, inputs: &Inputs<'_>, _: &mut Outputs<'_>) -> Status {
        assert_eq!(Some(inputs.samples(0).len()), samples_per_tick(mono(self.rate_hz)));
        self.heard.lock().unwrap().extend_from_slice(inputs.samples(0));
        Status::Silent
    }
}

/// Sounds until it panics.
struct PanicsAt {
    tick: usize,
    ticks: usize,
}

impl Node for PanicsAt {
    fn ports(&self) -> Ports {
        Ports::source(mono(8_000))
    }

    fn process(&mut self, _: &mut Tick<'_>, _: &Inputs<'_>, outputs: &mut Outputs<'_>) -> Status {
        outputs.samples(0).fill(0.5);
        assert!(self.ticks < self.tick, "as the test demands");
        self.ticks += 1;
        Status::Sounding
    }
}

/// A second before the first tick.
fn epoch(hand: &Hand) -> Epoch {
    Epoch { instant: hand.now() - Duration::from_secs(1), wall: SystemTime::UNIX_EPOCH }
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock; no test depends on which")]
fn now() -> Instant {
    // A second later, so that there is an instant a second before it on a machine that has just started.
    Instant::now() + Duration::from_secs(1)
}
