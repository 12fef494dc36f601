//! The ears of a call: from the leg's tap to the recognizer, and from there to the room.
//!
//! Runs within the call's task. The tap is looked at every 20 ms, as nothing real-time may wake a task. The
//! recognizer counts samples from the first frame, whose place on the room's timeline it is told, so what is
//! missing between two frames is made up with silence: words stay where they were said, and the room is told
//! what went unheard. A push may wait for the recognizer; the tap then drops what is older than 2 s and says so.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use asr::{
    event::{Event, LostWhy},
    pool::{Ears, StreamConfig, StreamEvents, StreamInput},
    recognizer::Hints,
};
use bot::actor::Seat;
use media::{
    bridge::Bridge,
    frame::{EAR_HZ, Frame},
    graph::nodes::tap::{Heard, TapReader},
    time::{MediaTime, Span},
};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Progress;

/// How often the tap is looked at: once a frame.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at a tap whose leg has left until its end is taken for granted: the engine frees the leg within a
/// tenth of a second, unless it is stuck.
const LAST_LOOKS: u32 = 25;

/// What is between the room's sound and the ears' end of it: the frame that is being filled, the resampler's
/// block, and the tick at the border.
const TAP_DELAY: Duration = Duration::from_millis(50);

/// Silence is made up in pieces of this size: a tenth of a second.
const SILENCE: [f32; EAR_HZ as usize / 10] = [0.0; EAR_HZ as usize / 10];

/// Up to where words are wanted without waiting for a pause. One place: the latest wish holds the earlier.
#[derive(Default)]
pub(super) struct Finalize(Mutex<Option<MediaTime>>);

impl Finalize {
    pub(super) fn ask(&self, through: MediaTime) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = (*asked).max(Some(through + TAP_DELAY));
    }

    /// Whether it is time, now that everything up to `heard` has been pushed.
    fn is_due(&self, heard: MediaTime) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take_if(|through| *through <= heard).is_some()
    }
}

/// What is to be expected from now on. One place: the latest wish holds.
#[derive(Default)]
pub(super) struct Expected(Mutex<Option<Hints>>);

impl Expected {
    pub(super) fn tell(&self, hints: Hints) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hints);
    }

    fn take(&self) -> Option<Hints> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What it takes to listen to a leg.
pub(super) struct Listening {
    pub(super) reader: TapReader,
    pub(super) ears: Ears,
    pub(super) config: StreamConfig,
    pub(super) bridge: Bridge,
    pub(super) finalize: Arc<Finalize>,
    pub(super) expected: Arc<Expected>,
    pub(super) progress: Arc<Progress>,
    pub(super) hang_up: CancellationToken,
}

impl Listening {
    /// Listens until the leg has left and its last words are told.
    pub(super) async fn run(mut self, seat: &Seat) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Some(first) = self.first_frame(&mut look).await else { return };
        let config = StreamConfig { starts_at: first.at, ..self.config.clone() };
        let journal = seat.room().journal();
        let (input, events) = match self.ears.open_noted(config, journal.as_ref()) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, participant = %seat.participant(), "nobody listens to this participant");
                return;
            }
        };
        seat.listens(events.track());
        let told = Told { bridge: self.bridge.clone(), progress: self.progress.clone() };
        tokio::join!(self.hear(input, first, look, seat), told.tell(events, seat));
    }

    async fn first_frame(&mut self, look: &mut Interval) -> Option<Frame<320>> {
        let mut looks_left = LAST_LOOKS;
        loop {
            look.tick().await;
            match self.reader.hear() {
                Some(Heard::Frame(frame)) => return Some(frame),
                Some(Heard::Lost(_)) => {}
                None if self.is_over(&mut looks_left) => return None,
                None => {}
            }
        }
    }

    /// Pushes what the leg says until it has left. Ends the audio when it returns.
    async fn hear(mut self, mut input: StreamInput, first: Frame<320>, mut look: Interval, seat: &Seat) {
        let mut next = Some(Heard::Frame(first));
        let mut looks_left = LAST_LOOKS;
        loop {
            let Some(heard) = next.take().or_else(|| self.reader.hear()) else {
                if self.is_over(&mut looks_left) {
                    return;
                }
                look.tick().await;
                continue;
            };
            if let Some(hints) = self.expected.take() {
                input.expect(hints);
            }
            let pushed = match heard {
                Heard::Frame(frame) => {
                    let pushed = input.push(&frame.samples).await;
                    if self.finalize.is_due(frame.at + LOOK_EVERY) {
                        input.finalize();
                    }
                    pushed
                }
                Heard::Lost(span) => {
                    // A room that is closed ends the call anyway.
                    let _ = seat.heard(Event::Lost { span, why: LostWhy::Overload }).await;
                    push_silence(&mut input, span).await
                }
            };
            if pushed.is_err() {
                return;
            }
        }
    }

    fn is_over(&self, looks_left: &mut u32) -> bool {
        if self.hang_up.is_cancelled() {
            *looks_left = looks_left.saturating_sub(1);
        }
        self.reader.has_ended() || *looks_left == 0
    }
}

/// Makes up for what was missed, so that what follows keeps its time.
async fn push_silence(input: &mut StreamInput, span: Span) -> Result<(), asr::pool::Closed> {
    let mut missing = samples_of(span);
    while missing > 0 {
        let now = missing.min(SILENCE.len() as u64);
        input.push(&SILENCE[..now as usize]).await?;
        missing -= now;
    }
    Ok(())
}

/// How many samples of the ears a stretch is.
fn samples_of(span: Span) -> u64 {
    span.end.samples(EAR_HZ).saturating_sub(span.start.samples(EAR_HZ))
}

struct Told {
    bridge: Bridge,
    progress: Arc<Progress>,
}

impl Told {
    /// Hands the words to the room, until the ears end or the room is closed.
    async fn tell(self, mut events: StreamEvents, seat: &Seat) {
        while let Some(event) = events.next().await {
            match &event {
                Event::Partial { span, words, .. } | Event::Final { span, words, .. } if !words.is_empty() => {
                    self.progress.came_out(self.bridge.now().since(span.end));
                }
                _ => {}
            }
            if seat.heard(event).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use media::graph::{
        build::Graph,
        nodes::{playout::playout, tap::tap},
    };

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn what_was_heard_and_what_is_made_up_are_as_long_as_the_time_that_passed() {
        let (source, _mouth) = playout(EAR_HZ);
        let (tap, mut reader) = tap();
        let mut graph = Graph::new();
        let nodes = [graph.add(source), graph.add(tap)];
        graph.chain(&nodes).unwrap();
        let mut schedule = graph.build().unwrap();
        let (mut samples, mut holes, mut end) = (0, 0, MediaTime::ZERO);
        // The engine stands still twice, the first time in the middle of a frame.
        for tick in (0..25).chain(150..180).chain(181..400) {
            schedule.tick(MediaTime::from_millis(10 * tick), Clock.now());
            while let Some(heard) = reader.hear() {
                match heard {
                    Heard::Frame(frame) => {
                        assert_eq!(MediaTime::from_samples(samples, EAR_HZ), frame.at, "pushed so far, and its time");
                        samples += 320;
                        end = frame.at + LOOK_EVERY;
                    }
                    Heard::Lost(span) => {
                        samples += samples_of(span);
                        holes += 1;
                    }
                }
            }
        }
        assert_eq!(holes, 2);
        assert!(end > MediaTime::from_millis(3_900), "{end}");
    }

    #[test]
    fn words_so_far_are_due_once_everything_before_the_request_is_in() {
        let finalize = Finalize::default();
        assert!(!finalize.is_due(MediaTime::from_millis(5_000)));
        finalize.ask(MediaTime::from_millis(1_000));
        assert!(!finalize.is_due(MediaTime::from_millis(1_040)));
        assert!(finalize.is_due(MediaTime::from_millis(1_060)));
        assert!(!finalize.is_due(MediaTime::from_millis(2_000)), "answered once");
    }
}
