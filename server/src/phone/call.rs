//! One telephone call: its dialog, its sound, and the room that it is in, carried by one task.
//!
//! [`Phone`] is the call as everybody else holds it: menus, conferences, the REST API, other calls. What they want is
//! an order; the task obeys in sequence and tells how the call stands. A call enters rooms and leaves them with the
//! same dialog and the same sockets. The task answers by itself what the protocol asks of an established call: new
//! offers, keys by INFO, a peer that has fallen silent. Crossings: orders wait in a queue of 32, then whoever orders
//! waits; news to the holder wait in a queue of 32, and the newest is dropped and counted when it is full; of what is
//! overheard a listener that does not look misses the oldest. Nothing here is real time.

mod carrier;
mod info;
mod limit;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use asr::recognizer::Hints;
use bot::{actor::RoomHandle, answering::AnsweredBy, event::Direction};
use media::{
    bridge::LegId,
    dsp::progress::Heard,
    id::{ParticipantId, RoomId},
};
use sip::{
    endpoint::{CallId, ReferId, ReferTo},
    message::{Headers, NameAddr},
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub(crate) use self::carrier::{Beginning, carry};
use super::sid::Sid;
use crate::{clock::Clock, error::ApiError};

/// Orders that wait for the task of a call.
const ORDERS: usize = 32;

/// News that wait for whoever holds a call.
const NEWS: usize = 32;

/// Things overheard on the line that wait for whoever listens: there are a few in a second.
const OVERHEARD: usize = 64;

/// How long early sound is waited for: many telephones agree on keys only when the call is taken, and whoever waits for
/// those is to notice that it is.
const EARLY_WITHIN: Duration = Duration::from_secs(2);

/// What does not change about a call.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Its name.
    pub(crate) sid: Sid,
    /// Who began it.
    pub(crate) direction: Direction,
    /// Who calls: a number, or the user of an address.
    pub(crate) from: String,
    /// The name that came with it.
    pub(crate) from_name: Option<String>,
    /// Who is called.
    pub(crate) to: String,
    /// The call that this one was made for.
    pub(crate) parent: Option<Sid>,
    /// The trunk that it came by or goes to.
    pub(crate) trunk: Option<String>,
    /// Who is counted for the calls that this one makes, and pays in the end: a user, a trunk, an address.
    pub(crate) payer: String,
    /// When it began.
    pub(crate) began: SystemTime,
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// On its way.
    Dialling,
    /// It rings.
    Ringing,
    /// Not taken yet, but there is something to hear.
    Early,
    /// Taken.
    Answered {
        /// When.
        at: SystemTime,
    },
    /// Over.
    Ended {
        /// Why.
        why: Over,
        /// When it was taken.
        answered: Option<SystemTime>,
        /// When it ended.
        at: SystemTime,
        /// What the far end said where it refused the call.
        refusal: Option<Refusal>,
    },
}

/// How a far end refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// 300 to 699.
    pub(crate) status: u16,
    /// When it may be asked again.
    pub(crate) retry_after_s: Option<u32>,
}

impl State {
    /// Whether it is taken and not over.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// Whether there is, or was, something to hear.
    pub(crate) fn has_sound(&self) -> bool {
        matches!(self, Self::Early | Self::Answered { .. })
    }
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// They hung up.
    Them,
    /// We hung up, or refused it.
    Us,
    /// They gave up before anybody took it.
    Cancelled,
    /// They are busy, or declined.
    Busy,
    /// Nobody took it in time.
    NoAnswer,
    /// It could not be made: no such number, no way to it, no common codec.
    Failed,
    /// The network lost it: no sound, no sign, no acknowledgement.
    Lost,
    /// Another call took its place.
    Replaced,
}

impl Over {
    /// In a word, for events.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Them | Self::Us => "completed",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
        }
    }
}

/// How a call takes part in a room.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// As the room calls it.
    pub(crate) name: String,
    /// Whether its words are wanted.
    pub(crate) words: crate::call::Words,
    /// Language and key terms.
    pub(crate) hints: Hints,
    /// Silence that closes an utterance, in milliseconds.
    pub(crate) endpointing_ms: u32,
    /// Whether it agreed to be recorded.
    pub(crate) consent: Option<bool>,
    /// Whether it only listens.
    pub(crate) is_muted: bool,
    /// Whether several people may be on the line: their voices are told apart then.
    pub(crate) diarize: bool,
}

/// Where a call was, who holds whom, and how the far end is heard: for people.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    /// The room that it entered last.
    pub(crate) entered: Option<RoomId>,
    /// Whether we hold the far end.
    pub(crate) is_held: bool,
    /// Whether the far end holds us.
    pub(crate) holds_us: bool,
    /// How it is heard; `None` until it was for a second. Holds the last that was known when the call is over.
    pub(crate) quality: Option<Quality>,
}

/// How the far end is heard.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Quality {
    /// By its name in SDP.
    pub(crate) codec: &'static str,
    /// How a listener would judge it, 1 to 4.5.
    pub(crate) mos: f32,
    /// The share of packets that did not come lately, 0 to 1.
    pub(crate) loss: f32,
    /// Interarrival jitter.
    pub(crate) jitter_ms: f32,
    /// There and back; `None` where the far end reports nothing.
    pub(crate) round_trip_ms: Option<f32>,
    /// The share of our packets that the far end missed lately; `None` where it reports nothing.
    pub(crate) far_loss: Option<f32>,
}

/// What a holder of the call is told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "32 wait at most, for a moment")]
pub(crate) enum News {
    /// The other side asks us to call somebody else in its place; to be answered with [`Phone::answer_refer`].
    Referred {
        /// To be given back.
        refer: ReferId,
        /// Whom.
        to: NameAddr,
        /// The value of the Replaces header for the call that is to be placed.
        replaces: Option<String>,
        /// The value of Referred-By.
        referred_by: Option<String>,
    },
    /// It left its room because the room closed, the server drains, or somebody sent it out.
    LeftRoom,
}

/// The call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call is over")]
pub(crate) struct CallOver;

enum Order {
    Ring,
    RingEarly(oneshot::Sender<Result<(), CallOver>>),
    Answer(oneshot::Sender<Result<(), CallOver>>),
    Reject(u16, Headers),
    Enter(RoomHandle, Box<Part>, oneshot::Sender<Result<ParticipantId, ApiError>>),
    EnterEarly(RoomHandle, Box<Part>, oneshot::Sender<Result<bool, ApiError>>),
    Echo(oneshot::Sender<Result<(), ApiError>>),
    Press(char, u32),
    Mute(bool),
    HeardBy(Option<LegId>),
    Hold(bool),
    Refer(ReferTo, Headers, oneshot::Sender<u16>),
    AnswerRefer(ReferId, u16),
    NotifyRefer(ReferId, u16),
    NoAnswer,
    Finalize,
    Expect(Hints),
    HangUp,
}

/// A call as everybody else holds it. Cheap to clone; the call goes on when all are dropped.
#[derive(Clone)]
pub(crate) struct Phone(Arc<Shared>);

struct Shared {
    facts: Facts,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
    place: watch::Receiver<Option<Place>>,
    answered_by: watch::Sender<Option<AnsweredBy>>,
    condition: watch::Receiver<Condition>,
    overheard: broadcast::Sender<Heard>,
    longest: watch::Sender<Option<Duration>>,
    dialog: CallId,
}

/// Where a call is.
#[derive(Clone)]
pub(crate) struct Place {
    /// The room.
    pub(crate) room: RoomHandle,
    /// Who it is there.
    pub(crate) participant: ParticipantId,
}

impl Phone {
    /// What does not change.
    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// Its name.
    pub(crate) fn sid(&self) -> &Sid {
        &self.0.facts.sid
    }

    /// How it stands, as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.0.state.clone()
    }

    /// How it stands now.
    pub(crate) fn now(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// Where it is, as that changes.
    pub(crate) fn place(&self) -> watch::Receiver<Option<Place>> {
        self.0.place.clone()
    }

    /// Who holds whom, and how the far end is heard.
    pub(crate) fn condition(&self) -> Condition {
        *self.0.condition.borrow()
    }

    /// Who took it, as far as anybody can tell.
    pub(crate) fn answered_by(&self) -> Option<AnsweredBy> {
        *self.0.answered_by.borrow()
    }

    /// Resolves when it is known who took it, or cannot be any more.
    pub(crate) async fn identified(&self) -> Option<AnsweredBy> {
        let mut answered_by = self.0.answered_by.subscribe();
        tokio::select! {
            known = answered_by.wait_for(Option::is_some) => known.ok().and_then(|known| *known),
            _ = self.over() => None,
        }
    }

    /// It is known now who took it.
    pub(super) fn is_answered_by(&self, who: AnsweredBy) {
        self.0.answered_by.send_replace(Some(who));
    }

    /// What is heard on the line from the next room on that it enters: voices, and the tones of the network.
    pub(super) fn overhear(&self) -> broadcast::Receiver<Heard> {
        self.0.overheard.subscribe()
    }

    /// Ends it once it has been taken for so long; what is said last holds.
    pub(crate) fn limit(&self, clock: Clock, longest: Duration) {
        if self.0.longest.send_replace(Some(longest)).is_none() {
            tokio::spawn(limit::keep(self.clone(), clock, self.0.longest.subscribe()));
        }
    }

    /// Its dialog.
    pub(crate) fn dialog(&self) -> CallId {
        self.0.dialog
    }

    /// Says that it rings.
    pub(crate) async fn ring(&self) {
        self.order(Order::Ring).await;
    }

    /// Lets the caller hear something before the call is taken (183 with an answer); whether it can, within
    /// [`EARLY_WITHIN`]. There may be no offer to answer, or no keys before the call is taken: whoever asks lets it ring then.
    /// A far end with which there is no sound at all is refused.
    pub(crate) async fn ring_early(&self) -> bool {
        let asked = tokio::time::timeout(EARLY_WITHIN, self.ask(Order::RingEarly)).await;
        matches!(asked, Ok(Ok(Ok(()))))
    }

    /// Takes the call; there is sound when this returns.
    ///
    /// # Errors
    /// When it is over, or there is no sound with this far end, which ends it.
    pub(crate) async fn answer(&self) -> Result<(), CallOver> {
        self.ask(Order::Answer).await.unwrap_or(Err(CallOver))
    }

    /// Refuses it.
    pub(crate) async fn reject(&self, status: u16, headers: Headers) {
        self.order(Order::Reject(status, headers)).await;
    }

    /// Enters a room, and leaves the one it was in.
    ///
    /// # Errors
    /// As [`crate::call::join`]; 409 when there is no sound yet, or the call is over. It is in no room then.
    pub(crate) async fn enter(&self, room: &RoomHandle, part: Part) -> Result<ParticipantId, ApiError> {
        let room = room.clone();
        self.ask(|reply| Order::Enter(room, Box::new(part), reply)).await.unwrap_or_else(|CallOver| Err(is_over()))
    }

    /// Enters a room to be heard there before it is taken. False where it is taken by now, or in a room: it stays where it
    /// is then, since whoever took it may be told something before anybody hears them.
    ///
    /// # Errors
    /// As [`Phone::enter`].
    pub(crate) async fn enter_early(&self, room: &RoomHandle, part: Part) -> Result<bool, ApiError> {
        let room = room.clone();
        let asked = self.ask(|reply| Order::EnterEarly(room, Box::new(part), reply));
        asked.await.unwrap_or_else(|CallOver| Err(is_over()))
    }

    /// Hears itself from now on, in no room.
    ///
    /// # Errors
    /// When the engine is full, or the call is over.
    pub(crate) async fn echo(&self) -> Result<(), ApiError> {
        self.ask(Order::Echo).await.unwrap_or_else(|CallOver| Err(is_over()))
    }

    /// Presses a key at the far end.
    pub(crate) async fn press(&self, key: char, press_ms: u32) {
        self.order(Order::Press(key, press_ms)).await;
    }

    /// Silences it for its room.
    pub(crate) async fn mute(&self, is_muted: bool) {
        self.order(Order::Mute(is_muted)).await;
    }

    /// Who alone hears it in the room where it is; everybody where nobody is named. The next room knows nothing of it.
    pub(crate) async fn heard_by(&self, listener: Option<LegId>) {
        self.order(Order::HeardBy(listener)).await;
    }

    /// Holds the far end, or talks to it again.
    pub(crate) async fn hold(&self, is_held: bool) {
        self.order(Order::Hold(is_held)).await;
    }

    /// Asks the far end to call somebody else instead; the last status that it tells, 408 when it says nothing.
    pub(crate) async fn refer(&self, to: ReferTo, headers: Headers) -> u16 {
        self.ask(|reply| Order::Refer(to, headers, reply)).await.unwrap_or(TIMEOUT)
    }

    /// Answers [`News::Referred`]: 202 to try it, 300 to 699 not to.
    pub(crate) async fn answer_refer(&self, refer: ReferId, status: u16) {
        self.order(Order::AnswerRefer(refer, status)).await;
    }

    /// Tells how far the call is that was referred to.
    pub(crate) async fn notify_refer(&self, refer: ReferId, status: u16) {
        self.order(Order::NotifyRefer(refer, status)).await;
    }

    /// Gives up calling somebody who does not answer.
    pub(crate) async fn no_answer(&self) {
        self.order(Order::NoAnswer).await;
    }

    /// Lets the ears expect another language or other terms, wherever the call goes from now on.
    pub(crate) async fn expect(&self, hints: Hints) {
        self.order(Order::Expect(hints)).await;
    }

    /// Asks for the words of everything that was said so far, without waiting for a pause.
    pub(crate) async fn finalize(&self) {
        self.order(Order::Finalize).await;
    }

    /// Ends it, however it stands.
    pub(crate) async fn hang_up(&self) {
        self.order(Order::HangUp).await;
    }

    /// Resolves when it is over.
    pub(crate) async fn over(&self) -> Over {
        let mut state = self.state();
        match state.wait_for(State::is_over).await.as_deref() {
            Ok(State::Ended { why, .. }) => *why,
            // Its task is gone without a word.
            _ => Over::Lost,
        }
    }

    /// Resolves when it is taken (true) or over (false).
    pub(crate) async fn taken(&self) -> bool {
        let mut state = self.state();
        let settled = state.wait_for(|state| state.is_answered() || state.is_over()).await;
        settled.is_ok_and(|state| state.is_answered())
    }

    async fn order(&self, order: Order) {
        // A call that is over has no use for it.
        let _ = self.0.orders.send(order).await;
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, CallOver> {
        let (reply, answer) = oneshot::channel();
        self.0.orders.send(order(reply)).await.map_err(|_| CallOver)?;
        answer.await.map_err(|_| CallOver)
    }
}

fn is_over() -> ApiError {
    ApiError::new(axum::http::StatusCode::CONFLICT, "call_over", "the call is over")
}

/// Request Timeout.
const TIMEOUT: u16 = 408;
