//! Carries out what a TwiML application asks for: the shell around [`bot::ivr::machine::Machine`].
//!
//! One task a menu. It tells the machine what happens (keys and words from the room, sounds that end, answers of
//! webhooks, calls that it made) and does what the machine wants: it decides nothing. A menu has a room of its own, with
//! its caller, its [`voice`], and whomever it connects the caller with; conferences and queues are rooms elsewhere, to
//! which the call goes and from which it comes back. Crossing: what menus' helper tasks tell waits in a queue of 64, then
//! they wait.

mod conference;
mod doors;
mod ears;
mod expecting;
mod fetch;
mod legs;
mod music;
mod queue;
mod records;
mod relay;
mod speech;
mod taps;
mod voice;

use std::{sync::Arc, time::Instant};

use asr::recognizer::Hints;
use bot::{
    actor::{Follower, Hold, RoomHandle},
    event::{Direction, Published},
    ivr::{
        call::{CallFacts, Direction as CallDirection, StatusCallback},
        effect::{Effect, Listening, RelayId, RelaySpec},
        input::{ConferenceEvent, Ending, Input, QueueEvent, RelayEvent, SoundEnd},
        machine::{Machine, Role, Rules, Setup, Source},
        notice::Code,
        private::Private,
        twiml::RejectReason,
        webhook::Endpoint,
    },
    room::Room,
    routing::Ivr,
};
use media::id::ParticipantId;
use sip::{endpoint::ReferTo, message::Headers};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::{
    conference::{Change, Conferences, NotAnnounced, ParticipantView, View as ConferenceView, Wanted},
    doors::{Door, MenuOrder, Menus},
    fetch::{Reach, tell},
    legs::press,
    queue::{MemberView, QueueRefusal, QueueView, Queues},
    records::beside,
};
use self::{ears::Ears, expecting::Expecting, fetch::Desk, legs::Legs, records::Records, taps::Taps};
pub(super) use self::{
    expecting::hints,
    speech::speak,
    voice::{Heard, Voice, ringing, tone},
};
use super::{
    Phones,
    call::{News, Over, Phone, Place, State},
    incoming::part,
    sid::NO_ACCOUNT,
};
use crate::app::App;

/// What helper tasks tell the machine: it is read as fast as it is told.
const TOLD_MAX: usize = 64;

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// A number's application, with everything about it that is configured.
pub(crate) struct Application {
    /// Where its first document comes from.
    pub(crate) source: Source,
    /// Asked when a document cannot be had.
    pub(crate) fallback: Option<Endpoint>,
    /// Told how the call goes.
    pub(crate) status: Option<StatusCallback>,
    /// What its documents may reach beside the public network.
    pub(crate) reach: Reach,
}

/// Answers a call that came in with the application of its number.
pub(super) async fn answer(app: &App, phones: &Arc<Phones>, phone: &Phone, mut news: mpsc::Receiver<News>, ivr: &Ivr) {
    let application = match fetch::application(ivr) {
        Ok(application) => application,
        Err(error) => {
            tracing::error!(call = %phone.sid(), %error, "the application of a number cannot be used");
            return phone.reject(500, Headers::new()).await;
        }
    };
    run(app, phones, phone, &mut news, application, Role::Call).await;
}

/// Runs an application on a call until the call is over, or the whisper is through; true when it is through.
pub(crate) async fn run(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: &mut mpsc::Receiver<News>,
    application: Application,
    role: Role,
) -> bool {
    let door = phones.menus().open(phone.sid());
    let room = match app.open_room("") {
        Ok(room) => room,
        Err(error) => {
            tracing::warn!(call = %phone.sid(), %error, "a menu found no room");
            phone.reject(503, super::incoming::retry_after(5)).await;
            phone.hang_up().await;
            return false;
        }
    };
    run_in(room, door, app, phones, phone, news, application, role).await
}

/// The same in a room where the call may be already, for whoever has taken orders for it.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and all are needed")]
pub(crate) async fn run_in(
    room: RoomHandle,
    door: Door,
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: &mut mpsc::Receiver<News>,
    application: Application,
    role: Role,
) -> bool {
    let setup = Setup {
        facts: facts(app, phone, application.status.clone()),
        role,
        source: application.source,
        fallback: application.fallback,
        rules: Rules { language: app.config().sip.language.clone(), ..Rules::default() },
    };
    let now = app.clock().now();
    let (told, telling) = mpsc::channel(TOLD_MAX);
    let desk = Desk::new(app, application.reach, told.clone());
    let menu = Menu {
        events: room.follow(Some(room.read(Room::last_seq))),
        machine: Machine::new(now, setup),
        app: app.clone(),
        phones: phones.clone(),
        phone: phone.clone(),
        ears: Ears::default(),
        expecting: Expecting::default(),
        legs: Legs::new(app, phones, phone, told.clone()),
        records: Records::new(app, phones.recorded(), phone, told.clone()),
        taps: Taps::new(app, phone, told.clone()),
        relay: None,
        queue: None,
        conference: None,
        voice: None,
        caller: None,
        elsewhere: None,
        room: room.clone(),
        _hold: room.hold(),
        desk,
        told,
        is_through: false,
        is_over: false,
    };
    let is_through = menu.run(telling, door.inbox, news).await;
    if !is_through {
        room.close().await;
    }
    is_through
}

/// What applications are told of a call.
pub(crate) fn facts(app: &App, phone: &Phone, status: Option<StatusCallback>) -> CallFacts {
    let facts = phone.facts();
    let private = |text: &str| Private::from(text.to_owned());
    CallFacts {
        call_sid: facts.sid.to_string(),
        account_sid: app.config().twilio.account_sid.clone().unwrap_or_else(|| NO_ACCOUNT.to_owned()),
        from: private(&facts.from),
        to: private(&facts.to),
        direction: match (facts.direction, &facts.parent) {
            (Direction::Inbound, _) => CallDirection::Inbound,
            (Direction::Outbound, None) => CallDirection::OutboundApi,
            (Direction::Outbound, Some(_)) => CallDirection::OutboundDial,
        },
        caller_name: facts.from_name.as_deref().map(private),
        forwarded_from: None,
        parent_call_sid: facts.parent.as_ref().map(ToString::to_string),
        is_answered: phone.now().is_answered(),
        status,
        own_params: phone.answered_by().map(|who| ("AnsweredBy".to_owned(), private(who.name()))).into_iter().collect(),
        epoch: app.clock().epoch(),
    }
}

struct Menu {
    app: App,
    phones: Arc<Phones>,
    phone: Phone,
    room: RoomHandle,
    /// The caller comes back to it from a conference or a queue, however long they were there.
    _hold: Hold,
    events: Follower,
    machine: Machine,
    ears: Ears,
    expecting: Expecting,
    voice: Option<Voice>,
    /// Who the caller is in the menu's room, while they are in it.
    caller: Option<ParticipantId>,
    /// Where the caller is instead: in a conference, or with whoever took them from a queue.
    elsewhere: Option<Elsewhere>,
    desk: Desk,
    legs: Legs,
    records: Records,
    taps: Taps,
    /// The application that the caller talks with in words; the conversation ends when this is dropped.
    relay: Option<(RelayId, DropGuard)>,
    queue: Option<queue::Waiting>,
    conference: Option<conference::Attending>,
    told: mpsc::Sender<Input>,
    is_through: bool,
    is_over: bool,
}

/// Another room that the caller is in, and what happens in it.
struct Elsewhere {
    place: Place,
    events: Follower,
}

impl Menu {
    /// Until the call is over and nothing is left to tell, or the whisper is through.
    async fn run(
        mut self,
        mut telling: mpsc::Receiver<Input>,
        mut orders: mpsc::Receiver<MenuOrder>,
        news: &mut mpsc::Receiver<News>,
    ) -> bool {
        let phone = self.phone.clone();
        let ended = phone.over();
        let mut places = phone.place();
        tokio::pin!(ended);
        // A call that was taken before its menu began never asks to be answered.
        if self.phone.now().is_answered() {
            self.come_back().await;
        }
        self.obey().await;
        while !self.is_through {
            let due = self.machine.next_deadline().into_iter().chain(self.ears.deadline()).min();
            if due.is_none() && self.is_over {
                break;
            }
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                match &mut self.voice {
                    Some(voice) => voice.next().await,
                    None => std::future::pending().await,
                }
            };
            let happened = async {
                match &mut self.elsewhere {
                    Some(elsewhere) => elsewhere.events.next(ENTRIES).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe all: what is not taken now is taken the next time.
            tokio::select! {
                why = &mut ended, if !self.is_over => {
                    self.is_over = true;
                    self.silence();
                    self.tell(Input::HungUp(ending(why, &self.phone))).await;
                }
                Some(input) = telling.recv() => self.told(input).await,
                heard = heard => {
                    let (id, how) = match heard {
                        Heard::Played(id) => (id, SoundEnd::Played),
                        Heard::Failed(id) => (id, SoundEnd::Failed),
                    };
                    self.tell(Input::SoundEnded { id, how }).await;
                }
                entries = self.events.next(ENTRIES) => match entries {
                    // The room was closed by somebody: the call has nowhere to be.
                    Ok(entries) if entries.is_empty() => {
                        self.phone.hang_up().await;
                        self.events = self.room.follow(Some(u64::MAX));
                        if self.is_over {
                            break;
                        }
                        (&mut ended).await;
                        self.is_over = true;
                        self.tell(Input::HungUp(Ending::Us)).await;
                        break;
                    }
                    Ok(entries) => {
                        if let Some(caller) = self.caller {
                            self.hear(&entries, caller).await;
                        }
                    }
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                },
                // It never closes before the call is over, and then it is over.
                Ok(()) = places.changed() => {
                    let place = places.borrow_and_update().clone();
                    self.moved(place);
                }
                entries = happened => {
                    let Some(elsewhere) = &mut self.elsewhere else { continue };
                    match entries {
                        // The room was closed: the call goes somewhere else, or ends.
                        Ok(entries) if entries.is_empty() => self.elsewhere = None,
                        Ok(entries) => {
                            let caller = elsewhere.place.participant;
                            self.hear(&entries, caller).await;
                        }
                        Err(fell_off) => elsewhere.events = elsewhere.place.room.follow(Some(fell_off.resume)),
                    }
                }
                Some(order) = orders.recv() => {
                    let MenuOrder::Redirect(source) = order;
                    self.tell(Input::Redirected(source)).await;
                }
                Some(told) = news.recv() => self.on_news(told).await,
                () = due => {
                    let now = self.now();
                    if let Some(input) = self.ears.tick(now) {
                        self.tell(input).await;
                    }
                    self.tell(Input::Tick).await;
                }
            }
        }
        self.silence();
        self.legs.hang_up_all().await;
        self.is_through
    }

    /// What happens in the room that the caller is in, as whom they are there.
    async fn hear(&mut self, entries: &[Arc<Published>], caller: ParticipantId) {
        let mut inputs = Vec::new();
        for entry in entries {
            self.ears.hear(&entry.event, caller, &mut inputs);
            self.taps.hear(&entry.event, caller);
        }
        for input in inputs {
            self.tell(input).await;
        }
    }

    /// The call is in another room now. Keys that are pressed there are for the menu, too.
    fn moved(&mut self, place: Option<Place>) {
        self.ears.forget_open();
        self.elsewhere = place.filter(|place| place.room.id() != self.room.id()).map(|place| {
            let events = place.room.follow(Some(place.room.read(Room::last_seq)));
            Elsewhere { place, events }
        });
    }

    fn now(&self) -> Instant {
        self.app.clock().now()
    }

    /// What a helper task tells: the call goes where that says before the machine knows.
    async fn told(&mut self, input: Input) {
        match &input {
            Input::Conference(ConferenceEvent::Started | ConferenceEvent::Joined { is_waiting: false, .. }) => {
                if let Some(attending) = &self.conference
                    && let Err(error) = attending.enter().await
                {
                    tracing::info!(call = %self.phone.sid(), %error, "a caller could not enter their conference");
                    self.conference = None;
                    return self.tell(Input::Conference(ConferenceEvent::Left)).await;
                }
            }
            Input::Relay { id, event: RelayEvent::Ended { .. } | RelayEvent::Failed { .. } } => {
                self.end_relay(*id);
                // Its language and its words are nobody's any more; the next relay has said its own.
                if self.relay.is_none() {
                    self.phone.expect(self.expecting.of_caller()).await;
                }
            }
            Input::Conference(ConferenceEvent::Waiting | ConferenceEvent::Held(_) | ConferenceEvent::Left)
            | Input::Queue(QueueEvent::BridgeEnded | QueueEvent::GivenBack) => self.come_back().await,
            _ => {}
        }
        self.tell(input).await;
    }

    async fn tell(&mut self, input: Input) {
        self.machine.handle(self.now(), input);
        self.obey().await;
    }

    /// Does everything that the machine wants.
    async fn obey(&mut self) {
        while let Some(effect) = self.machine.poll() {
            self.carry_out(effect).await;
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Answer => self.answer().await,
            Effect::Reject(why) => {
                let status = match why {
                    RejectReason::Busy => 486,
                    RejectReason::Rejected => 603,
                };
                self.phone.reject(status, Headers::new()).await;
            }
            Effect::HangUp => {
                self.legs.hang_up_all().await;
                self.phone.hang_up().await;
            }
            Effect::Finished => self.is_through = true,
            Effect::Fetch(fetch) => self.desk.fetch(fetch),
            Effect::Notify(notify) => self.desk.notify(notify),
            Effect::Warn(notice) => tracing::warn!(call = %self.phone.sid(), %notice, "a TwiML application"),
            Effect::Say { id, speech, times } => {
                let speaking = speak(self.app.clone(), &speech, times);
                self.sound(id, |mouth| speaking.into(mouth));
            }
            Effect::Play { id, url, times } => {
                let getting = self.desk.file(url);
                self.sound(id, |mouth| async move {
                    let bytes = getting.await.map_err(voice::NoSound::Failed)?;
                    voice::file(mouth, bytes, speech::count(times)).await
                });
            }
            Effect::PlayKeys { id, tones, times } => {
                let phone = self.phone.clone();
                self.sound(id, |_| press(phone, tones, speech::count(times)));
            }
            Effect::Beep { id } => self.sound(id, |mouth| tone(mouth, media::dsp::tone::Tone::Beep)),
            Effect::HoldMusic { id } => self.sound(id, voice::music),
            Effect::Ringback { id, country, is_signalled } => {
                // Also where its keys came too late for early sound: nobody speaks to it yet.
                if is_signalled && (self.voice.is_none() || !self.phone.now().has_sound()) {
                    self.phone.ring().await;
                } else {
                    self.sound(id, |mouth| tone(mouth, ringing(country.as_deref())));
                }
            }
            Effect::StopSound(id) => {
                if let Some(voice) = &mut self.voice {
                    voice.stop(id);
                }
            }
            Effect::Listen { id, to } => {
                if let Listening::Words(words) = &to {
                    let hints = self.hints(words.language.as_deref(), &words.hints);
                    self.expecting.gather(id, hints);
                    self.phone.expect(self.expecting.of_caller()).await;
                }
                self.ears.listen(id, to);
            }
            Effect::SettleListening(id) => {
                self.phone.finalize().await;
                if let Some(input) = self.ears.settle(id, self.now()) {
                    self.later(input);
                }
            }
            Effect::StopListening(id) => {
                if self.expecting.gathered(id) {
                    self.phone.expect(self.expecting.of_caller()).await;
                }
                self.ears.stop(id);
            }
            Effect::Record { id, spec } => self.records.begin(id, spec, &self.room),
            Effect::StopRecording(id) => self.records.stop(id),
            Effect::Dial(leg) => self.legs.dial(*leg, &self.room, &self.desk),
            Effect::HangUpLeg(id) => self.legs.hang_up(id).await,
            Effect::HearEarly(id) => {
                if self.sound_before_answer().await {
                    self.legs.hear_early(id, &self.room, self.expecting.of_others()).await;
                }
            }
            Effect::Bridge(id) => self.legs.bridge(id, &self.room, self.expecting.of_others()).await,
            Effect::JoinConference { room, callback, recording_callback } => {
                let wish = conference::Wish { room: *room, callback, recording_callback };
                let (phone, told, notifier) = (&self.phone, self.told.clone(), self.desk.notifier());
                self.conference = Some(conference::attend(&self.app, &self.phones, phone, wish, told, notifier));
            }
            Effect::LeaveConference => {
                if let Some(attending) = self.conference.take() {
                    attending.leave().await;
                    self.come_back().await;
                }
            }
            Effect::Enqueue { queue, max_size } => {
                self.queue = Some(self.phones.queues().enter(&queue, max_size, &self.phone, self.told.clone()));
            }
            Effect::LeaveQueue => {
                self.queue = None;
                self.come_back().await;
            }
            Effect::AcceptDequeue => {
                if let Some(waiting) = &self.queue {
                    waiting.accept();
                }
            }
            Effect::StartStream { id, spec } => self.taps.stream(id, spec, &self.room, &self.desk),
            Effect::StartTranscription { id, spec } => {
                let hints = self.hints(spec.language.as_deref(), &spec.hints);
                self.expecting.transcribe(id, hints);
                self.expect().await;
                self.taps.transcribe(id, spec);
            }
            Effect::StopTap(id) => {
                if self.expecting.transcribed(id) {
                    self.expect().await;
                }
                self.taps.stop(id);
            }
            Effect::StartRelay { id, spec } => self.relay(id, *spec),
            Effect::StopRelay(id) => self.end_relay(id),
            Effect::Refer { to } => self.refer(to),
        }
    }

    /// Lets the caller talk with an application in words.
    fn relay(&mut self, id: RelayId, spec: RelaySpec) {
        let Some(caller) = self.caller else {
            let why = "the caller is not there".to_owned();
            return self.later(Input::Relay { id, event: RelayEvent::Failed { code: Code::OURS, why } });
        };
        let stop = CancellationToken::new();
        let task = relay::Task {
            app: self.app.clone(),
            phone: self.phone.clone(),
            room: self.room.clone(),
            caller,
            id,
            spec,
            desk: self.desk.clone(),
            told: self.told.clone(),
            stop: stop.clone(),
        };
        self.relay = Some((id, stop.drop_guard()));
        tokio::spawn(task.run());
    }

    fn end_relay(&mut self, id: RelayId) {
        if self.relay.as_ref().is_some_and(|(on, _)| *on == id) {
            self.relay = None;
        }
    }

    /// What the recognizer is told of a language and of words that are likely to come.
    fn hints(&self, language: Option<&str>, terms: &[String]) -> Hints {
        let Ok(ears) = self.app.ears() else { return Hints::default() };
        let (model, known) = (&ears.info().model, &ears.info().languages);
        let hints = hints(known, language, terms);
        if let (Some(language), None) = (language, &hints.language) {
            tracing::warn!(call = %self.phone.sid(), language, model, "the recognizer does not know a menu's language");
        }
        hints
    }

    /// Lets the ears of everybody who is here expect what is listened for.
    async fn expect(&mut self) {
        self.phone.expect(self.expecting.of_caller()).await;
        self.legs.expect(self.expecting.of_others()).await;
    }

    /// Takes the call, and brings it into the menu's room.
    async fn answer(&mut self) {
        if self.phone.answer().await.is_err() {
            return;
        }
        self.come_back().await;
    }

    /// Lets the caller hear the menu's room, also where their call is not taken; false where that cannot be, and it rings
    /// for them.
    async fn sound_before_answer(&mut self) -> bool {
        if !self.phone.now().has_sound() && !self.phone.ring_early().await {
            self.phone.ring().await;
            return false;
        }
        self.come_back().await;
        true
    }

    /// Brings the caller into the menu's room, where the voice is.
    async fn come_back(&mut self) {
        if self.voice.is_none() {
            match Voice::enter(&self.app.sound(&self.room)).await {
                Ok(voice) => self.voice = Some(voice),
                Err(error) => {
                    tracing::warn!(call = %self.phone.sid(), %error, "a menu has no voice");
                    return self.phone.hang_up().await;
                }
            }
        }
        let is_here = self.phone.place().borrow().as_ref().is_some_and(|place| place.room.id() == self.room.id());
        if is_here {
            return;
        }
        match self.phone.enter(&self.room, part(&self.app, &self.phone)).await {
            Ok(participant) => self.caller = Some(participant),
            Err(error) => {
                tracing::info!(call = %self.phone.sid(), %error, "a caller could not enter the room of their menu");
                self.phone.hang_up().await;
            }
        }
    }

    fn sound<F>(&mut self, id: bot::ivr::effect::SoundId, make: impl FnOnce(voice::Mouth) -> F)
    where
        F: Future<Output = Result<(), voice::NoSound>> + Send + 'static,
    {
        match &mut self.voice {
            Some(voice) => voice.begin(id, make),
            // A call that is not taken, or over, hears nothing.
            None => self.later(Input::SoundEnded { id, how: SoundEnd::Failed }),
        }
    }

    /// Tells the machine something once it is through with what it wants now.
    fn later(&self, input: Input) {
        if let Err(mpsc::error::TrySendError::Full(input)) = self.told.try_send(input) {
            let told = self.told.clone();
            tokio::spawn(async move { told.send(input).await });
        }
    }

    async fn on_news(&mut self, news: News) {
        match news {
            News::Referred { refer, .. } => {
                // A caller of a menu has nobody to pass on; those it is connected with are asked by their own legs.
                self.phone.answer_refer(refer, 603).await;
            }
            News::LeftRoom => self.caller = None,
        }
    }

    fn refer(&self, to: Private) {
        let (phone, told) = (self.phone.clone(), self.told.clone());
        tokio::spawn(async move {
            let status = match to.reveal().parse() {
                Ok(address) => phone.refer(ReferTo::Blind(address), Headers::new()).await,
                Err(_) => 400,
            };
            let _ = told.send(Input::Referred { sip_status: status }).await;
        });
    }

    fn silence(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.stop_all();
        }
        if self.is_over {
            self.voice = None;
            self.relay = None;
            self.queue = None;
            self.conference = None;
        }
    }
}

/// How a call came to its end, for the machine.
fn ending(why: Over, phone: &Phone) -> Ending {
    let was_answered = matches!(phone.now(), State::Ended { answered: Some(_), .. });
    match why {
        Over::Us => Ending::Us,
        Over::Cancelled if !was_answered => Ending::Canceled,
        _ => Ending::Caller,
    }
}
