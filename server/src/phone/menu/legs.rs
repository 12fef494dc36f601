//! Those whom a menu dials: the calls that it makes, what becomes of them, and connecting them with the caller.
//!
//! One task a leg. It calls, tells the machine how it goes, presses the keys and runs the whisper that were asked for,
//! and waits for the end. A leg of a user who has several telephones rings at all of them; whoever takes it first
//! stays. Nothing is decided here but who was first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use asr::recognizer::Hints;
use bot::{
    actor::RoomHandle,
    ivr::{
        effect::{Callee, Leg, LegId},
        input::{Input, LegEvent, Unreached},
        key::{KEY_PAUSE, KEY_PRESS, Tone},
        machine::{Role, Source},
        private::Private,
        twiml::{Answering, MachineDetection},
    },
};
use sip::message::Headers;
use tokio::sync::mpsc;

use super::{Application, fetch::Desk, run, voice::NoSound};
use crate::{
    app::App,
    phone::{
        Phones,
        call::{News, Over, Phone, State},
        detect::{Detection, detect},
        incoming::part,
        outgoing::{self, Dial, Held, NotDialled, Whom},
    },
};

/// Hops of a call that a menu makes.
const MAX_FORWARDS: u8 = 30;

/// The legs of one menu.
pub(super) struct Legs {
    app: App,
    phones: Arc<Phones>,
    parent: Phone,
    told: mpsc::Sender<Input>,
    legs: Arc<Mutex<BTreeMap<LegId, Vec<Phone>>>>,
}

impl Legs {
    pub(super) fn new(app: &App, phones: &Arc<Phones>, parent: &Phone, told: mpsc::Sender<Input>) -> Self {
        Self { app: app.clone(), phones: phones.clone(), parent: parent.clone(), told, legs: Arc::default() }
    }

    /// Dials somebody for the caller.
    pub(super) fn dial(&self, leg: Leg, room: &RoomHandle, desk: &Desk) {
        let id = leg.id;
        lock(&self.legs).insert(id, Vec::new());
        let task = Task {
            app: self.app.clone(),
            phones: self.phones.clone(),
            parent: self.parent.clone(),
            told: self.told.clone(),
            legs: self.legs.clone(),
            room: room.clone(),
            reach: desk.reach().clone(),
            id,
        };
        tokio::spawn(async move {
            let event = match &leg.who {
                Callee::Phone(who) => task.phone(who, &leg).await,
                Callee::Queue(queue) => task.queue(queue, &leg).await,
            };
            lock(&task.legs).remove(&id);
            task.tell(event).await;
        });
    }

    /// Ends a leg, whether it rings or talks.
    pub(super) async fn hang_up(&self, id: LegId) {
        let phones = lock(&self.legs).remove(&id).unwrap_or_default();
        for phone in phones {
            phone.hang_up().await;
        }
    }

    /// Ends all of them.
    pub(super) async fn hang_up_all(&self) {
        let legs = std::mem::take(&mut *lock(&self.legs));
        for phone in legs.into_values().flatten() {
            phone.hang_up().await;
        }
    }

    /// Lets the ears of those who are connected, or will be, expect something else.
    pub(super) async fn expect(&self, hints: Hints) {
        let phones: Vec<_> = lock(&self.legs).values().flatten().cloned().collect();
        for phone in phones {
            phone.expect(hints.clone()).await;
        }
    }

    /// Lets the caller's room hear what a leg plays before anybody takes it. Who took it meanwhile is left alone: they are
    /// connected when they are ready.
    pub(super) async fn hear_early(&self, id: LegId, room: &RoomHandle, hints: Hints) {
        let Some(phone) = self.first_of(id) else { return };
        match phone.enter_early(room, part(&self.app, &phone)).await {
            Ok(true) => phone.expect(hints).await,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(call = %phone.sid(), %error, "what a leg plays could not be heard");
                phone.hang_up().await;
            }
        }
    }

    fn first_of(&self, id: LegId) -> Option<Phone> {
        lock(&self.legs).get(&id).and_then(|phones| phones.first().cloned())
    }

    /// Brings a leg into the caller's room, where it is not there yet.
    pub(super) async fn bridge(&self, id: LegId, room: &RoomHandle, hints: Hints) {
        let Some(phone) = self.first_of(id) else { return };
        // Whoever was heard before they took the call is there already, and must not be broken off.
        if phone.place().borrow().as_ref().is_some_and(|place| place.room.id() == room.id()) {
            return;
        }
        phone.expect(hints).await;
        if let Err(error) = phone.enter(room, part(&self.app, &phone)).await {
            tracing::warn!(call = %phone.sid(), %error, "a leg could not be connected");
            phone.hang_up().await;
        }
    }
}

/// The task of one leg.
struct Task {
    app: App,
    phones: Arc<Phones>,
    parent: Phone,
    told: mpsc::Sender<Input>,
    legs: Arc<Mutex<BTreeMap<LegId, Vec<Phone>>>>,
    room: RoomHandle,
    reach: super::fetch::Reach,
    id: LegId,
}

impl Task {
    /// What became of a telephone in the end.
    async fn phone(&self, who: &Answering, leg: &Leg) -> LegEvent {
        let dial = match self.wish(who, leg) {
            Ok(dial) => dial,
            Err(error) => return self.unreached(&error),
        };
        let held = match outgoing::dial(&self.app, &self.phones, dial).await {
            Ok(held) => held,
            Err(error) => return self.unreached(&error),
        };
        let is_wanted = lock(&self.legs).get_mut(&self.id).is_some_and(|phones| {
            phones.extend(held.iter().map(|(phone, _)| phone.clone()));
            true
        });
        if !is_wanted {
            for (phone, _) in held {
                phone.hang_up().await;
            }
            return LegEvent::Ended;
        }
        self.tell(LegEvent::Started { call_sid: held[0].0.sid().to_string() }).await;
        if let Some(wish) = &leg.detection {
            held.iter().for_each(|(phone, _)| self.detect(phone, wish));
        }
        let (phone, mut news) = match self.first(held).await {
            Ok(taken) => taken,
            Err(why) => return LegEvent::Unreached(why),
        };
        if let Some(phones) = lock(&self.legs).get_mut(&self.id) {
            *phones = vec![phone.clone()];
        }
        self.tell(LegEvent::Answered).await;
        if !leg.send_digits.is_empty() {
            // Tones pressed while they hang up are pressed into the void.
            let _ = press(phone.clone(), leg.send_digits.clone(), Some(1)).await;
        }
        if let Some(whisper) = &leg.whisper {
            let application = Application {
                source: Source::At(whisper.clone()),
                fallback: None,
                status: None,
                reach: self.reach.clone(),
            };
            // A menu within a menu: boxed, since its future holds this one's like.
            let whispering = run(&self.app, &self.phones, &phone, &mut news, application, Role::Whisper);
            let is_through = Box::pin(whispering).await;
            if !is_through {
                phone.hang_up().await;
                return LegEvent::Ended;
            }
            self.tell(LegEvent::Ready).await;
        }
        self.until_over(&phone, &mut news).await;
        LegEvent::Ended
    }

    /// Finds out who takes it, and tells the machine; nothing where somebody else does.
    fn detect(&self, phone: &Phone, wish: &MachineDetection) {
        let detection = Detection { settings: wish.settings(), is_aside: true, told: None };
        let detected = detect(&self.app, phone, detection);
        let (told, id) = (self.told.clone(), self.id);
        tokio::spawn(async move {
            if let Ok(outcome) = detected.await {
                // A menu that is gone wants to know no more.
                let event = LegEvent::Detected(outcome.answered_by.name());
                let _ = told.send(Input::Leg { id, event }).await;
            }
        });
    }

    /// Whoever takes it first; the others are told to stop.
    async fn first(&self, held: Vec<Held>) -> Result<Held, Unreached> {
        let mut states: Vec<_> = held.iter().map(|(phone, _)| phone.state()).collect();
        let (mut has_rung, mut has_sounded) = (false, false);
        let taken = loop {
            let now: Vec<State> = states.iter_mut().map(|state| state.borrow_and_update().clone()).collect();
            if let Some(at) = now.iter().position(State::is_answered) {
                break at;
            }
            if now.iter().all(State::is_over) {
                let why = now.iter().map(|state| match state {
                    State::Ended { why: Over::Busy, .. } => Unreached::Busy,
                    State::Ended { why: Over::NoAnswer | Over::Us, .. } => Unreached::NoAnswer,
                    _ => Unreached::Failed,
                });
                // The nearest to a person of several.
                let nearness = |why: &Unreached| match why {
                    Unreached::Busy => 0,
                    Unreached::NoAnswer => 1,
                    Unreached::Failed => 2,
                };
                return Err(why.min_by_key(nearness).unwrap_or(Unreached::Failed));
            }
            // What one far side plays is heard before anybody answers; of several telephones, none.
            if !has_sounded && now[..] == [State::Early] {
                (has_rung, has_sounded) = (true, true);
                self.tell(LegEvent::Early).await;
            } else if !has_rung && now.iter().any(|state| matches!(state, State::Ringing | State::Early)) {
                has_rung = true;
                self.tell(LegEvent::Ringing).await;
            }
            let waiting = states.iter_mut().zip(&now).filter(|(_, now)| !now.is_over());
            let _ = futures_util::future::select_all(waiting.map(|(state, _)| Box::pin(state.changed()))).await;
        };
        let mut held = held;
        let winner = held.swap_remove(taken);
        for (phone, _) in held {
            phone.hang_up().await;
        }
        Ok(winner)
    }

    async fn until_over(&self, phone: &Phone, news: &mut mpsc::Receiver<News>) {
        let over = phone.over();
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = &mut over => return,
                Some(told) = news.recv() => match told {
                    News::Referred { refer, to, .. } => {
                        // The application decides what becomes of the caller; whoever asked has done its part.
                        phone.answer_refer(refer, 202).await;
                        phone.notify_refer(refer, 200).await;
                        self.tell(LegEvent::Refers { to: Private::from(to.to_string()) }).await;
                    }
                    News::LeftRoom => phone.hang_up().await,
                },
            }
        }
    }

    /// Whoever waits longest in a queue.
    async fn queue(&self, queue: &str, leg: &Leg) -> LegEvent {
        let Some(taken) = self.phones.queues().take(queue, self.parent.sid(), leg.whisper.clone()) else {
            return LegEvent::Unreached(Unreached::NoAnswer);
        };
        let phone = taken.phone().clone();
        let is_wanted = lock(&self.legs).get_mut(&self.id).is_some_and(|phones| {
            phones.push(phone.clone());
            true
        });
        self.tell(LegEvent::Started { call_sid: phone.sid().to_string() }).await;
        // What the waiting caller is to hear first is said; then they are ours.
        if !is_wanted || !taken.accepted().await {
            taken.give_back().await;
            return LegEvent::Unreached(Unreached::NoAnswer);
        }
        // It belongs to its own menu, which gets it back: hanging up this leg must not end that call.
        lock(&self.legs).insert(self.id, Vec::new());
        if phone.enter(&self.room, part(&self.app, &phone)).await.is_err() {
            return LegEvent::Ended;
        }
        self.tell(LegEvent::Answered).await;
        self.tell(LegEvent::Ready).await;
        taken.bridged().await;
        let mut gone = phone.place();
        let room = self.room.id();
        let left = gone.wait_for(|place| place.as_ref().is_none_or(|place| place.room.id() != room));
        let no_longer_wanted = async {
            while lock(&self.legs).contains_key(&self.id) && !self.parent.now().is_over() {
                pass(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            _ = left => {}
            () = no_longer_wanted => {}
        }
        taken.ended().await;
        LegEvent::Ended
    }

    fn wish(&self, who: &Answering, leg: &Leg) -> Result<Dial, NotDialled> {
        let mut headers = Headers::new();
        let mut credentials = None;
        let whom = match who {
            Answering::Number(number) => Whom::Number(number.reveal().to_owned()),
            Answering::Client { identity, .. } => Whom::User(identity.clone()),
            Answering::Sip { uri, headers: own, credentials: known } => {
                for (name, value) in own {
                    headers.push(name, value.reveal());
                }
                credentials = known.as_ref().map(|(username, password)| sip::auth::Credentials {
                    username: username.clone(),
                    password: password.reveal().to_owned(),
                    realm: None,
                });
                self.phones.whom(&uri.reveal().parse().map_err(|_| NotDialled::Unreadable)?)
            }
        };
        Ok(Dial {
            whom,
            from: leg.caller_id.reveal().to_owned(),
            from_name: None,
            payer: self.parent.facts().payer.clone(),
            is_trusted: false,
            parent: Some(self.parent.sid().clone()),
            told: Some(self.room.clone()),
            ring_for: leg.timeout,
            credentials,
            headers,
            max_forwards: MAX_FORWARDS,
        })
    }

    fn unreached(&self, error: &NotDialled) -> LegEvent {
        tracing::info!(call = %self.parent.sid(), %error, "a menu could not dial");
        LegEvent::Unreached(match error.status() {
            486 => Unreached::Busy,
            480 => Unreached::NoAnswer,
            _ => Unreached::Failed,
        })
    }

    async fn tell(&self, event: LegEvent) {
        // A menu that is gone has hung up its legs.
        let _ = self.told.send(Input::Leg { id: self.id, event }).await;
    }
}

/// Presses keys at the far end of a call, so many times; `None` for ever.
pub(crate) async fn press(phone: Phone, tones: Vec<Tone>, times: Option<u32>) -> Result<(), NoSound> {
    let mut left = times;
    while left != Some(0) && !tones.is_empty() && !phone.now().is_over() {
        left = left.map(|left| left - 1);
        for tone in &tones {
            if phone.now().is_over() {
                return Ok(());
            }
            match tone {
                Tone::Key(key) => {
                    phone.press(key.as_char(), KEY_PRESS.as_millis() as u32).await;
                    pass(KEY_PAUSE).await;
                }
                Tone::Wait(pause) => pass(*pause).await,
            }
        }
    }
    Ok(())
}

/// Lets time pass: pauses between keys are what is asked for.
#[expect(clippy::disallowed_methods, reason = "a pause between keys waits for nothing but the time")]
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// How often a leg from a queue looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Locks, also after a panic elsewhere: every change of the guarded values is complete before it can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
