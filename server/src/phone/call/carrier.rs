//! The task of a telephone call: see [`super`].

mod taking;

use std::{pin::Pin, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use bot::{
    actor::RoomHandle,
    event::RoomEvent,
    participant::{Change, Kind},
};
use media::{
    bridge::{Bridge, Leg, LegEvent, Plan},
    dsp::progress::Heard,
    graph::{
        node::{Event, Node},
        nodes::{progress::Overheard, receive::Receive},
    },
    id::ParticipantId,
    rtp::{
        dtmf::Key,
        leg::{Health, Keys},
        watch::Watch,
    },
};
use sip::endpoint::{Body, CallEvent, Command, Ended, Failure, OfferBy};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    CallOver, Condition, Facts, NEWS, News, ORDERS, OVERHEARD, Order, Over, Part, Phone, Place, Quality, Refusal,
    Shared, State,
};
use crate::{
    app::App,
    call::{self, Call, Wish},
    error::ApiError,
    phone::{calls::Counted, exchange::Dialog, line::Line},
};

/// What a call begins with.
pub(crate) struct Beginning {
    /// What does not change.
    pub(crate) facts: Facts,
    /// Its dialog.
    pub(crate) dialog: Dialog,
    /// Its sound.
    pub(crate) line: Line,
    /// The offer that it came with, if they call us and it had one.
    pub(crate) offer: Option<Body>,
    /// Whether they call us.
    pub(crate) is_incoming: bool,
    /// The room that is told how it goes before it is in one.
    pub(crate) told: Option<RoomHandle>,
    /// Sound that does not come for so long ends the call; `None` never.
    pub(crate) silence: Option<Duration>,
}

/// Starts the task of a call.
pub(crate) fn carry(app: App, beginning: Beginning) -> (Phone, mpsc::Receiver<News>) {
    let Beginning { facts, dialog, line, offer, is_incoming, told, silence } = beginning;
    let (orders, inbox) = mpsc::channel(ORDERS);
    let (news, to_holder) = mpsc::channel(NEWS);
    let (state, states) = watch::channel(if is_incoming { State::Ringing } else { State::Dialling });
    let (place, places) = watch::channel(None);
    let (overheard, _) = broadcast::channel(OVERHEARD);
    let (condition, conditions) = watch::channel(Condition::default());
    let shared = Shared {
        facts: facts.clone(),
        orders,
        state: states,
        place: places,
        answered_by: watch::Sender::new(None),
        condition: conditions,
        overheard: overheard.clone(),
        longest: watch::Sender::new(None),
        dialog: dialog.id(),
    };
    let carrier = Carrier {
        app,
        facts,
        dialog,
        line,
        offer,
        answer: None,
        is_incoming,
        state,
        place,
        seat: Seat::None,
        keys: None,
        overheard,
        is_overheard: false,
        news,
        told,
        answering: None,
        early: None,
        due: None,
        is_shaken_early: false,
        referring: None,
        watch: silence.map(|silence| Watch::new(u32::try_from(silence.as_millis()).unwrap_or(u32::MAX))),
        wishes_hold: false,
        condition,
        expected: None,
        wants: None,
    };
    tokio::spawn(carrier.run(inbox));
    (Phone(Arc::new(shared)), to_holder)
}

struct Carrier {
    app: App,
    facts: Facts,
    dialog: Dialog,
    line: Line,
    /// Their offer that waits for our answer.
    offer: Option<Body>,
    /// Our answer to it: said again when the call is taken after early media.
    answer: Option<Body>,
    is_incoming: bool,
    state: watch::Sender<State>,
    place: watch::Sender<Option<Place>>,
    seat: Seat,
    keys: Option<Keys>,
    overheard: broadcast::Sender<Heard>,
    /// Whether the source at the seat is one that is overheard.
    is_overheard: bool,
    news: mpsc::Sender<News>,
    told: Option<RoomHandle>,
    /// Whoever waits for the answer to the offer that our 200 held, or for keys.
    answering: Option<oneshot::Sender<Result<(), CallOver>>>,
    /// Whoever waits for early sound that has no keys yet.
    early: Option<oneshot::Sender<Result<(), CallOver>>>,
    /// What keys are waited for with.
    due: Option<Due>,
    /// Whether the handshake that is waited for began before the call was taken.
    is_shaken_early: bool,
    referring: Option<oneshot::Sender<u16>>,
    watch: Option<Watch>,
    /// Whether we were told to hold them.
    wishes_hold: bool,
    condition: watch::Sender<Condition>,
    /// What its ears are to expect, where somebody said so.
    expected: Option<Hints>,
    /// Why we hung up, so that the protocol's word for it is not taken for theirs.
    wants: Option<Over>,
}

/// What becomes of a call when there are keys for its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// There is early sound.
    Early,
    /// It is taken.
    Taken,
}

/// Where the sound goes.
enum Seat {
    None,
    Room { call: Box<Call>, ended: Pin<Box<dyn Future<Output = call::Ended> + Send>> },
    Echo { leg: Box<Leg>, _bridge: Bridge },
}

/// What happens at the seat.
enum Seated {
    Leg(Option<LegEvent>),
    Out(call::Ended),
}

impl Seat {
    /// Cancel-safe.
    async fn next(&mut self) -> Seated {
        match self {
            Self::None => std::future::pending().await,
            Self::Room { call, ended } => tokio::select! {
                biased;
                why = ended => Seated::Out(why),
                event = call.next() => Seated::Leg(event),
            },
            Self::Echo { leg, .. } => Seated::Leg(leg.events.recv().await),
        }
    }
}

impl Carrier {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let _counted = Counted::new(self.facts.direction);
        let ringing = RoomEvent::CallRinging { call: self.facts.sid.shared(), direction: self.facts.direction };
        self.tell_room(ringing).await;
        let shutdown = self.app.shutdown().clone();
        let mut is_draining = false;
        loop {
            // Cancel-safe all: each hands out what it has once.
            tokio::select! {
                event = self.dialog.next() => match event {
                    Some(CallEvent::Ended { why }) => break self.end(&why).await,
                    Some(event) => self.on_dialog(event).await,
                    None => break,
                },
                Some(order) = orders.recv() => self.on_order(order).await,
                seated = self.seat.next() => self.on_seat(seated).await,
                shaken = self.line.shaken() => self.on_keys(shaken).await,
                () = shutdown.cancelled(), if !is_draining => {
                    is_draining = true;
                    self.hang_up(Over::Us, None).await;
                }
            }
        }
    }

    async fn on_dialog(&mut self, event: CallEvent) {
        match event {
            CallEvent::Ringing { answer, .. } => {
                let has_sound = answer.is_some_and(|answer| self.accept(&answer));
                if !self.state.borrow().has_sound() {
                    self.due = self.due.or_else(|| has_sound.then_some(Due::Early));
                    if self.due.is_none() || !self.line.is_ready() {
                        self.state.send_replace(State::Ringing);
                    }
                }
                self.refresh().await;
                self.settle().await;
            }
            CallEvent::Answered { answer, .. } => {
                if answer.is_some_and(|answer| !self.accept(&answer)) {
                    return self.hang_up(Over::Failed, Some(NOT_ACCEPTABLE)).await;
                }
                self.line.settle();
                // Where we made no offer, theirs follows and is answered first.
                if self.line.agreed().is_some() {
                    self.line.shake_again();
                    self.refresh().await;
                    self.take();
                    self.settle().await;
                }
            }
            CallEvent::Acked { answer } => self.on_ack(answer).await,
            CallEvent::Offered { offer, .. } => self.on_offer(offer).await,
            CallEvent::OfferAnswered { answer } => {
                if answer.is_some_and(|answer| !self.accept(&answer)) {
                    self.line.withdraw();
                }
                self.line.settle();
                self.refresh().await;
            }
            // Not answered yet, so nothing was agreed on by it.
            CallEvent::OfferWithdrawn => {}
            CallEvent::OfferDeclined { status } => {
                tracing::debug!(call = %self.facts.sid, status, "a new offer was declined");
                self.line.withdraw();
            }
            CallEvent::Info { body } => self.on_info(&body).await,
            CallEvent::Referred { refer, to, replaces, referred_by } => {
                let news = News::Referred { refer, to, replaces, referred_by };
                if self.news.try_send(news).is_err() {
                    // Nobody holds this call who could pass it on.
                    self.dialog.tell(Command::AnswerRefer { refer, status: DECLINE }).await;
                }
            }
            CallEvent::ReferProgress { status } => {
                if status >= 200
                    && let Some(waiting) = self.referring.take()
                {
                    let _ = waiting.send(status);
                }
            }
            CallEvent::Refused { command, why } => {
                tracing::debug!(call = %self.facts.sid, command, why, "an order did not fit");
            }
            CallEvent::Redirected { .. } | CallEvent::Invited { .. } | CallEvent::Ended { .. } => {}
        }
    }

    /// Takes an answer to our offer; false when it is of no use.
    fn accept(&mut self, answer: &Body) -> bool {
        let accepted = self.line.accept(answer);
        if let Err(error) = &accepted {
            tracing::info!(call = %self.facts.sid, %error, "an answer to our offer is of no use");
        }
        accepted.is_ok()
    }

    /// They offer anew, or for the first time where we made no offer.
    async fn on_offer(&mut self, offer: Option<Body>) {
        let is_first = !self.is_incoming && !self.state.borrow().is_answered();
        let body = match &offer {
            None => self.line.offer(),
            Some(offer) => match self.line.answer(offer) {
                Ok(body) => body,
                Err(error) => {
                    tracing::info!(call = %self.facts.sid, %error, "an offer was declined");
                    let (status, headers) = error.to_response();
                    return self.dialog.tell(Command::Decline { status, headers }).await;
                }
            },
        };
        self.dialog.tell(Command::Answer { body }).await;
        self.refresh().await;
        if is_first && offer.is_some() {
            self.due = Some(Due::Taken);
            self.settle().await;
        }
    }

    /// Lets the leg follow what was agreed on, and the holder know who holds whom.
    async fn refresh(&mut self) {
        let Some(agreed) = self.line.agreed() else { return };
        let (holds_us, hears) = (agreed.is_held(), agreed.direction.hears());
        if let Some(watch) = &mut self.watch {
            // Whoever we do not listen to, or who holds us, need not send.
            watch.hold(holds_us || !hears);
        }
        let is_held = self.wishes_hold && !hears;
        self.condition.send_modify(|condition| (condition.is_held, condition.holds_us) = (is_held, holds_us));
        let epoch = match &self.seat {
            Seat::None => return,
            Seat::Room { call, .. } => *call.room().epoch(),
            Seat::Echo { _bridge, .. } => _bridge.epoch(),
        };
        if !self.line.has_changed() || !self.line.is_followed() {
            return;
        }
        let renewed = match self.line.renewed(epoch, self.keys.take()) {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::error!(call = %self.facts.sid, %error, "a leg could not follow a new agreement");
                return self.hang_up(Over::Failed, None).await;
            }
        };
        self.keys = renewed.keys;
        let (source, sink) = (Some(self.source(renewed.receive)), Some(Box::new(renewed.send) as _));
        let taken = match &self.seat {
            Seat::None => return,
            Seat::Room { call, .. } => call.renew(source, sink),
            Seat::Echo { leg, .. } => leg.renew(source, sink),
        };
        if let Err(error) = taken {
            tracing::error!(call = %self.facts.sid, %error, "a leg could not follow a new agreement");
            self.hang_up(Over::Failed, None).await;
        }
    }

    async fn on_order(&mut self, order: Order) {
        match order {
            Order::Ring => self.dialog.tell(Command::Ring { status: 180, body: None, is_reliable: false }).await,
            Order::RingEarly(reply) => {
                self.ring_early(reply).await;
            }
            Order::Answer(reply) => self.answer(reply).await,
            Order::Reject(status, headers) => {
                self.wants = Some(Over::Us);
                self.dialog.tell(Command::Reject { status, headers }).await;
            }
            Order::Enter(room, part, reply) => {
                let entered = self.enter(room, *part).await;
                let _ = reply.send(entered);
            }
            Order::EnterEarly(room, part, reply) => {
                let is_free = *self.state.borrow() == State::Early && self.place.borrow().is_none();
                let entered = if is_free { self.enter(room, *part).await.map(|_| true) } else { Ok(false) };
                let _ = reply.send(entered);
            }
            Order::Echo(reply) => {
                let entered = self.echo().await;
                let _ = reply.send(entered);
            }
            Order::Press(key, press_ms) => self.press(key, press_ms).await,
            Order::Mute(is_muted) => {
                let place = self.place.borrow().clone();
                if let Some(Place { room, participant }) = place {
                    // It may have been sent out meanwhile.
                    let _ = room.update(participant, Change { is_muted: Some(is_muted), consent: None }).await;
                }
            }
            Order::HeardBy(listener) => {
                if let Seat::Room { call, .. } = &self.seat {
                    call.heard_by(listener);
                }
            }
            Order::Hold(is_held) => {
                self.wishes_hold = is_held;
                self.line.hold(is_held);
                let body = self.line.offer();
                self.dialog.tell(Command::Offer { body: Some(body), by: OfferBy::Default }).await;
            }
            Order::Refer(to, headers, reply) => {
                self.referring = Some(reply);
                self.dialog.tell(Command::Refer { to, headers }).await;
            }
            Order::AnswerRefer(refer, status) => self.dialog.tell(Command::AnswerRefer { refer, status }).await,
            Order::NotifyRefer(refer, status) => self.dialog.tell(Command::NotifyRefer { refer, status }).await,
            Order::NoAnswer => {
                if !self.state.borrow().is_answered() {
                    self.hang_up(Over::NoAnswer, None).await;
                }
            }
            Order::Expect(hints) => {
                if let Seat::Room { call, .. } = &self.seat {
                    call.expect(hints.clone());
                }
                self.expected = Some(hints);
            }
            Order::Finalize => {
                if let Seat::Room { call, .. } = &self.seat {
                    call.finalize();
                }
            }
            Order::HangUp => self.hang_up(Over::Us, None).await,
        }
    }

    async fn enter(&mut self, room: RoomHandle, part: Part) -> Result<ParticipantId, ApiError> {
        self.must_sound()?;
        self.leave();
        let nodes = self.line.nodes(*room.epoch()).map_err(|error| {
            tracing::error!(call = %self.facts.sid, %error, "no leg for a call");
            ApiError::internal("the call's sound cannot be carried")
        })?;
        self.is_overheard = self.overheard.receiver_count() > 0;
        let wish = Wish {
            name: part.name,
            kind: Kind::Sip,
            consent: part.consent,
            hints: self.expected.clone().unwrap_or(part.hints),
            endpointing_ms: part.endpointing_ms,
            words: part.words,
            source: Some(self.source(nodes.receive)),
            sink: Some(Box::new(nodes.send)),
            key_ticks_hz: nodes.key_ticks_hz,
            suppress_noise: false,
            hears_itself: false,
            diarize: part.diarize,
        };
        let call = call::join(&self.app, &room, wish).await?;
        let participant = call.participant();
        if part.is_muted {
            let _ = room.update(participant, Change { is_muted: Some(true), consent: None }).await;
        }
        self.keys = nodes.keys;
        let ended = Box::pin(call.ended());
        self.seat = Seat::Room { call: Box::new(call), ended };
        let was_told = self.told.replace(room.clone()).is_some_and(|told| told.id() == room.id());
        self.condition.send_modify(|condition| condition.entered = Some(room.id()));
        self.place.send_replace(Some(Place { room, participant }));
        if !was_told && self.state.borrow().is_answered() {
            let event = RoomEvent::CallAnswered { call: self.facts.sid.shared(), direction: self.facts.direction };
            self.tell_room(event).await;
        }
        Ok(participant)
    }

    async fn echo(&mut self) -> Result<(), ApiError> {
        self.must_sound()?;
        self.leave();
        let epoch = self.app.clock().epoch();
        let nodes = self.line.nodes(epoch).map_err(|error| {
            tracing::error!(call = %self.facts.sid, %error, "no leg for an echo");
            ApiError::internal("the call's sound cannot be carried")
        })?;
        self.is_overheard = false;
        let bridge = crate::phone::echo_bridge(&self.app, epoch, self.line.sample_hz());
        let plan = Plan {
            source: Some(Box::new(nodes.receive)),
            sink: Some(Box::new(nodes.send)),
            hears_itself: true,
            ..Plan::default()
        };
        let leg = Box::new(bridge.join(plan).await?);
        self.keys = nodes.keys;
        self.seat = Seat::Echo { leg, _bridge: bridge };
        Ok(())
    }

    /// What the far end says, as a source of the room.
    fn source(&self, receive: Receive) -> Box<dyn Node> {
        if self.is_overheard { Box::new(Overheard::new(receive)) } else { Box::new(receive) }
    }

    fn must_sound(&self) -> Result<(), ApiError> {
        if self.state.borrow().has_sound() && self.line.agreed().is_some() {
            return Ok(());
        }
        let message = "the call is not taken, or is over";
        Err(ApiError::new(axum::http::StatusCode::CONFLICT, "no_sound", message))
    }

    /// Leaves the room; its last words come out while the call goes on.
    fn leave(&mut self) {
        self.place.send_replace(None);
        self.keys = None;
        if let Seat::Room { call, .. } = std::mem::replace(&mut self.seat, Seat::None) {
            // Another leg of the same sockets comes next; the words of this one are waited for elsewhere.
            tokio::spawn(call.hung_up());
        }
    }

    async fn press(&mut self, key: char, press_ms: u32) {
        let Some(pressed) = Key::from_char(key) else { return };
        let is_event = self.keys.as_mut().is_some_and(|keys| keys.press(pressed, press_ms).is_ok());
        if !is_event {
            let duration_ms = u16::try_from(press_ms).unwrap_or(u16::MAX);
            self.dialog.tell(Command::Dtmf { key, duration_ms }).await;
        }
    }

    async fn on_info(&mut self, body: &Body) {
        let Some((digit, duration)) = super::info::key(body) else { return };
        let place = self.place.borrow().clone();
        if let Some(Place { room, participant }) = place {
            let start = room.epoch().at(self.app.clock().now()).saturating_sub(duration);
            let _ = room.publish(RoomEvent::Dtmf { participant, digit, start, duration }).await;
        }
    }

    async fn on_seat(&mut self, seated: Seated) {
        match seated {
            Seated::Out(why) => {
                self.leave();
                // A room that closed may be followed by another, if somebody is there who knows it.
                let is_held = why == call::Ended::RoomClosed && !self.news.is_closed();
                self.announce(News::LeftRoom);
                if !is_held {
                    self.hang_up(Over::Us, None).await;
                }
            }
            // The engine is gone, or the leg was taken out.
            Seated::Leg(None) => {
                self.leave();
                self.hang_up(Over::Lost, None).await;
            }
            Seated::Leg(Some(LegEvent::Source { event: Event::Rtp(health), .. })) => {
                self.on_health(&health).await;
            }
            Seated::Leg(Some(LegEvent::Source { event: Event::Progress(heard), .. })) => {
                // Nobody may want to know any more.
                let _ = self.overheard.send(heard);
            }
            Seated::Leg(Some(_)) => {}
        }
    }

    /// Once a second: how it sounds is shown, and a far end that is meant to speak and does not is gone.
    async fn on_health(&mut self, health: &Health) {
        let codec = self.line.agreed().map(|agreed| agreed.codec.name());
        let quality = codec.filter(|_| health.received > 0).map(|codec| Quality {
            codec,
            mos: health.mos,
            loss: health.loss,
            jitter_ms: health.jitter_ms,
            round_trip_ms: health.round_trip_ms,
            far_loss: health.far_loss,
        });
        if quality.is_some() {
            self.condition.send_modify(|condition| condition.quality = quality);
        }
        let Some(silent_ms) = self.watch.as_mut().and_then(|watch| watch.hear(health)) else { return };
        if self.state.borrow().is_answered() {
            tracing::info!(call = %self.facts.sid, silent_ms, "nothing came from the far end: the call is ended");
            self.hang_up(Over::Lost, Some(NO_MEDIA)).await;
        }
    }

    async fn hang_up(&mut self, why: Over, reason: Option<&str>) {
        self.wants.get_or_insert(why);
        self.dialog.tell(Command::Hangup { reason: reason.map(str::to_owned) }).await;
    }

    /// What is left to be done and said.
    async fn end(&mut self, why: &Ended) {
        let over = self.over(why);
        tracing::debug!(call = %self.facts.sid, ?over, "a telephone call is over");
        let at = self.app.clock().wall();
        let answered = match &*self.state.borrow() {
            State::Answered { at } => Some(*at),
            _ => None,
        };
        let duration = answered.and_then(|answered| at.duration_since(answered).ok()).unwrap_or_default();
        self.place.send_replace(None);
        // The last words come out before the end is told.
        if let Seat::Room { call, .. } = std::mem::replace(&mut self.seat, Seat::None) {
            call.hung_up().await;
        }
        self.state.send_replace(State::Ended { why: over, answered, at, refusal: refusal(why) });
        let ended = RoomEvent::CallEnded { call: self.facts.sid.shared(), why: over.as_str().into(), duration };
        self.tell_room(ended).await;
    }

    fn over(&self, why: &Ended) -> Over {
        let is_answered = self.state.borrow().is_answered();
        match why {
            Ended::HungUp => self.wants.unwrap_or(Over::Us),
            Ended::Bye { .. } | Ended::Gone => Over::Them,
            Ended::Cancelled { .. } => Over::Cancelled,
            Ended::Rejected(response) => match response.status {
                486 | 600 | 603 => Over::Busy,
                408 | 480 | 487 => Over::NoAnswer,
                _ => Over::Failed,
            },
            Ended::NoAnswer => Over::NoAnswer,
            Ended::NoAgreement => Over::Failed,
            // Nobody was reached at all.
            Ended::Failed(Failure::TimedOut) if !is_answered => Over::NoAnswer,
            Ended::Failed(_) if !is_answered => Over::Failed,
            Ended::NoAck | Ended::NoPrack | Ended::SessionExpired | Ended::Failed(_) => Over::Lost,
            Ended::Replaced { .. } => Over::Replaced,
        }
    }

    fn tell_room(&self, event: RoomEvent) -> impl Future<Output = ()> + Send + use<> {
        let told = self.told.clone();
        async move {
            if let Some(room) = told {
                // A room that is closed has nobody to tell.
                let _ = room.publish(event).await;
            }
        }
    }

    fn announce(&self, news: News) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.news.try_send(news) {
            metrics::counter!("harmony_drops_total", "crossing" => "call_news").increment(1);
        }
    }
}

/// How they refused it, if they did.
fn refusal(why: &Ended) -> Option<Refusal> {
    let Ended::Rejected(response) = why else { return None };
    // One that cannot be read is none.
    let retry_after_s = response.headers.number("Retry-After").ok().flatten();
    Some(Refusal { status: response.status, retry_after_s })
}

/// Declined.
const DECLINE: u16 = 603;

/// Why we hang up on somebody whose answer fits nothing (RFC 3326).
const NOT_ACCEPTABLE: &str = "SIP;cause=488;text=\"Not Acceptable Here\"";

/// Why we hang up on somebody who has fallen silent.
const NO_MEDIA: &str = "X.int;text=\"no media\"";
