//! One conversation: carries what happens to the agent, and what it wants to whoever does it.
//!
//! One tokio task, from when its caller is there until they have gone or it was told to stop. It owns the pure
//! [`Agent`], drains it after every input, and wakes when it is due. It waits for the room's queue alone, and for a line
//! that is slow to take a wish; sound, models and tools have tasks of their own. Nothing of what is said is logged here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bot::{
    actor::{Follower, Seat},
    agent::{Agent, Facts, Input, Notice, Output, TurnId},
    event::{Published, RoomEvent},
    llm::{Delta, Message},
    participant::Kind,
    persona::Persona,
    room::Room,
    tools::{Action, Admitted, Does, Due, Outcome, Registry, Settled, Tool},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use media::time::MediaTime;
use tts::voice::{Language, VoiceId, choose};

use super::{
    Place, Seated, With,
    line::{Delivery, Line, Told, Wish},
    memory::Remembered,
    models::{Answered, Models, Moment},
    mouth::{Heard, Sentence},
    notice,
    outlet::Outlet,
    tools::{Tools, offers},
    waterfall::Waterfalls,
};
use crate::{app::App, reminders, sound::Presence, store::reminders::New, telemetry};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// What stands for `yes` in the texts of a persona where its caller has called before, and agreed to be remembered.
const KNOWN: &str = "known";

/// An agent to whom nobody comes leaves after this: it holds a place, and its room open.
const ALONE_MAX: Duration = Duration::from_secs(600);

/// What is known before the first word.
pub(super) struct Known {
    /// What stands for `{{name}}` in the texts of a persona.
    pub(super) values: BTreeMap<String, String>,
    /// What was said before, where the conversation began elsewhere.
    pub(super) past: Vec<Message>,
    /// The memory of the caller, where there is one.
    pub(super) remembered: Option<Remembered>,
}

/// A conversation that is on.
pub(super) struct Talk {
    app: App,
    seat: Seat,
    _presence: Option<Presence>,
    outlet: Outlet,
    agent: Agent,
    persona: Arc<Persona>,
    registry: Registry,
    models: Models,
    tools: Tools,
    line: Line,
    delivery: Delivery,
    /// Calls that whoever holds the line carries out.
    at_line: BTreeSet<String>,
    with: With,
    falls: Waterfalls,
    /// Where the caller's number is known: for reminders.
    number: Option<String>,
    remembered: Option<Remembered>,
    has_begun: bool,
    is_over: bool,
    // Last, so that whoever waits for its end finds everything else gone.
    place: Place,
}

impl Talk {
    pub(super) fn new(seated: Seated, line: Line, with: With, Known { mut values, past, remembered }: Known) -> Self {
        let Seated { app, seat, outlet, presence, persona, functions, place } = seated;
        let room = seat.room();
        let began = local(room.epoch().wall);
        let agents = app.agents().0.clone();
        let registry = Registry::new(agents.toolbox.catalog_with(&functions), &persona, began);
        let tools = offers(&registry, &persona);
        let memory = remembered.as_ref().map(|remembered| remembered.calls().to_vec()).unwrap_or_default();
        if !memory.is_empty() {
            values.entry(KNOWN.to_owned()).or_insert_with(|| "yes".to_owned());
        }
        let number = values.get("caller").cloned();
        let facts = Facts { values, tools, past, memory, ..Facts::new(began) };
        let now = room.epoch().at(app.clock().now());
        let models = agents.brains.of(&persona, &facts);
        let agent = Agent::new(persona.clone(), facts, now);
        let tools = agents.toolbox.open();
        Self {
            app,
            seat,
            _presence: presence,
            outlet,
            agent,
            persona,
            registry,
            models,
            tools,
            line,
            delivery: Delivery::default(),
            at_line: BTreeSet::new(),
            with,
            falls: Waterfalls::default(),
            number,
            remembered,
            has_begun: false,
            is_over: false,
            place,
        }
    }

    /// Until the conversation is over.
    pub(super) async fn run(mut self, mut events: Follower) {
        let room = self.seat.room().clone();
        let mut standing = self.seat.standing();
        let (stop, shutdown) = (self.place.stop.clone(), self.app.shutdown().clone());
        if self.is_accompanied() {
            self.begin().await;
        }
        let alone_until = tokio::time::Instant::now() + ALONE_MAX;
        while !self.is_over {
            let due = self.due();
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let (epoch, clock, language) = (*room.epoch(), self.app.clock(), self.agent.language());
            // Cancel-safe: every arm hands out what it has once, or is looked at again.
            tokio::select! {
                entries = events.next(ENTRIES) => match entries {
                    Ok(entries) if entries.is_empty() => self.end().await,
                    Ok(entries) => {
                        for entry in entries {
                            self.hear(&entry).await;
                        }
                    }
                    Err(fell_off) => {
                        events = room.follow(Some(fell_off.resume));
                        // Whoever came meanwhile is among those who are there.
                        if self.is_accompanied() {
                            self.begin().await;
                        }
                    }
                },
                heard = self.outlet.next() => match heard {
                    Some((at, heard)) => self.on_heard(at, heard).await,
                    None => {
                        tracing::warn!(room = %room.id(), "an agent has lost its mouth");
                        self.end().await;
                    }
                },
                answered = self.models.next(language, move || epoch.at(clock.now())) => self.on_answered(answered).await,
                (call, outcome) = self.tools.next() => {
                    let now = self.now();
                    if self.registry.settle(&call, Settled::Answered(&outcome), now) {
                        self.tell(Input::ToolDone { call, outcome }).await;
                    }
                }
                told = self.line.next() => match told {
                    Some(Told::Input(Input::ToolDone { call, outcome })) => self.on_line_done(call, outcome).await,
                    Some(Told::Input(input)) => self.tell(input).await,
                    Some(Told::Interrupted(heard)) => self.on_interrupted(&heard).await,
                    Some(Told::HeardAll) => self.on_heard_all().await,
                    Some(Told::Played(text)) => self.on_played(&text).await,
                    Some(Told::Change { persona, functions }) => self.change(persona, &functions).await,
                    Some(Told::Deliver(delivery)) => self.delivery = delivery,
                    None => self.end().await,
                },
                Ok(()) = standing.changed() => {
                    let now = *standing.borrow_and_update();
                    self.outlet.mute(now.is_muted);
                    if now.is_sent_out {
                        self.end().await;
                    }
                }
                () = tokio::time::sleep_until(alone_until), if !self.has_begun => self.end().await,
                () = stop.cancelled() => self.end().await,
                () = shutdown.cancelled() => self.end().await,
                () = due => {
                    for (call, outcome) in self.registry.expire(self.now()) {
                        self.drop_call(&call).await;
                        self.tell(Input::ToolDone { call, outcome }).await;
                    }
                    self.tell(Input::Tick).await;
                }
            }
        }
        tracing::info!(room = %room.id(), persona = %self.persona.name, "an agent has done with talking");
        let (recap, language, ended) = (self.agent.recap(), self.agent.language(), self.now());
        let Self { models, remembered, .. } = self;
        if let (Some(remembered), Some(recap)) = (remembered, recap) {
            // Nobody waits for it: the place is free, and the room may close.
            tokio::spawn(remembered.keep(models, recap, language, ended));
        }
    }

    fn now(&self) -> MediaTime {
        self.seat.room().epoch().at(self.app.clock().now())
    }

    /// When it must be woken next.
    fn due(&self) -> Option<Instant> {
        let due = self.agent.due().into_iter().chain(self.registry.due()).min()?;
        Some(self.seat.room().epoch().instant + due.as_duration())
    }

    /// Whether somebody is there to be talked with.
    fn is_accompanied(&self) -> bool {
        self.company() > 0
    }

    /// How many people it talks with.
    fn company(&self) -> usize {
        let own = self.seat.participant();
        let people = self.seat.room().read(Room::participants);
        people.iter().filter(|who| who.kind != Kind::Agent && self.with.holds(who.id, own)).count()
    }

    async fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.tell(Input::Begin).await;
            self.tell(Input::Company(self.company())).await;
        }
    }

    /// The conversation is to end now, whatever the agent would still say.
    async fn end(&mut self) {
        self.tell(Input::HungUp).await;
    }

    /// Something happened in the room.
    async fn hear(&mut self, entry: &Arc<Published>) {
        match &entry.event {
            RoomEvent::ParticipantJoined { .. } if self.is_accompanied() => self.begin().await,
            // Somebody's room is empty: a telephone's call is told of by whoever holds its line.
            RoomEvent::ParticipantLeft { .. } if self.with == With::Everybody && !self.is_accompanied() => {
                return self.end().await;
            }
            RoomEvent::TranscriptFinal { segment } if self.with.holds(segment.participant, self.seat.participant()) => {
                let now = self.now();
                self.registry.hear(segment, now);
            }
            _ => {}
        }
        if matches!(entry.event, RoomEvent::ParticipantJoined { .. } | RoomEvent::ParticipantLeft { .. }) {
            self.tell(Input::Company(self.company())).await;
        }
        if let Some(input) = self.with.hear(&entry.event, self.seat.participant()) {
            self.tell(input).await;
        }
    }

    /// Something of what is said was heard, or will not be.
    async fn on_heard(&mut self, at: MediaTime, heard: Heard) {
        let input = match heard {
            Heard::Made(sentence) => return self.falls.made(TurnId(sentence.turn()), at),
            Heard::Began(sentence) => {
                let turn = TurnId(sentence.turn());
                let took = self.falls.heard(turn, at);
                measured(took.filter(|_| self.outlet.hears_itself()));
                Input::SpeechBegan { turn, sentence: sentence.number() }
            }
            Heard::Words(sentence, words) => {
                Input::WordPlayed { turn: TurnId(sentence.turn()), sentence: sentence.number(), words }
            }
            Heard::Moved(sentence, motion) => {
                return self.publish(motion.of_agent(self.seat.participant(), sentence.turn())).await;
            }
            Heard::Played(sentence) => Input::Played { turn: TurnId(sentence.turn()), sentence: sentence.number() },
            Heard::NotSpoken(sentence, why) => {
                tracing::warn!(room = %self.seat.room().id(), why, "a sentence of an agent was not spoken");
                Input::NotSpoken { turn: TurnId(sentence.turn()), sentence: sentence.number() }
            }
        };
        self.tell(input).await;
    }

    /// Whoever speaks for the agent was interrupted, and had said this.
    async fn on_interrupted(&mut self, heard: &str) {
        let heard = self.outlet.heard_until(heard);
        self.count(heard);
        self.tell(Input::Stop).await;
    }

    /// Nobody has interrupted whoever speaks for the agent.
    async fn on_heard_all(&mut self) {
        let now = self.now();
        for heard in self.outlet.heard_all() {
            self.on_heard(now, heard).await;
        }
    }

    /// Whoever speaks for the agent has played this next.
    async fn on_played(&mut self, text: &str) {
        let now = self.now();
        for heard in self.outlet.played(text) {
            self.on_heard(now, heard).await;
        }
    }

    /// So many words of sentences were heard. What the agent wants then is drained by whoever tells it the next thing.
    fn count(&mut self, heard: Vec<(Sentence, usize)>) {
        let now = self.now();
        for (sentence, words) in heard {
            let turn = TurnId(sentence.turn());
            self.agent.handle(Input::WordPlayed { turn, sentence: sentence.number(), words }, now);
        }
    }

    /// A model said something, or nothing.
    async fn on_answered(&mut self, Answered { ask, answer }: Answered) {
        let input = match answer {
            Ok(delta) => {
                if matches!(delta, Delta::Text(_) | Delta::Call(_)) {
                    measured(self.falls.answered(ask, self.now()));
                }
                if let Delta::Done(done) = &delta
                    && self.delivery != Delivery::Spoken
                {
                    let used = done.usage;
                    self.line.wish(Wish::Used(used)).await;
                }
                Input::Said { ask, delta }
            }
            Err(why) => {
                tracing::warn!(room = %self.seat.room().id(), %why, "a language model did not answer");
                Input::AskFailed { ask, why }
            }
        };
        self.tell(input).await;
    }

    /// Tells the agent, and does all that it wants.
    async fn tell(&mut self, input: Input) {
        let is_end = matches!(input, Input::HungUp);
        tracing::trace!(room = %self.seat.room().id(), ?input, "an agent is told");
        if is_end {
            let heard = self.outlet.heard_by_now();
            self.count(heard);
        }
        self.agent.handle(input, self.now());
        self.obey().await;
        self.is_over |= is_end || self.agent.is_over();
    }

    async fn obey(&mut self) {
        while let Some(output) = self.agent.poll() {
            tracing::debug!(room = %self.seat.room().id(), ?output, "an agent wants");
            self.carry_out(output).await;
        }
        if !self.agent.is_composing() {
            self.outlet.rest();
        }
        while let Some(record) = self.registry.poll() {
            self.publish(notice::record(record, self.seat.participant())).await;
        }
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Ask { ask, turn, role, request } => {
                self.falls.asked(turn, ask, self.now());
                let at = Moment { language: self.agent.language(), now: self.now() };
                self.models.ask(ask, role, request, at);
            }
            Output::Cancel(ask) => self.models.cancel(ask),
            Output::Speak { turn, sentence, text, .. } if self.delivery == Delivery::Written => {
                self.line.wish(Wish::Says { turn, text }).await;
                // Whoever reads has it at once. It is drained by whoever drains this.
                let now = self.now();
                self.agent.handle(Input::SpeechBegan { turn, sentence }, now);
                self.agent.handle(Input::Played { turn, sentence }, now);
            }
            Output::Speak { turn, sentence, text, language } => {
                if self.delivery == Delivery::Told {
                    self.line.wish(Wish::Says { turn, text: text.clone() }).await;
                }
                self.outlet.say(Sentence::new(turn.0, sentence), text, voice(&self.persona, language), language);
            }
            Output::Pause => self.outlet.pause(),
            Output::Resume => self.outlet.resume(),
            Output::Hush(turn) => self.outlet.hush(turn.0),
            Output::Call { call, .. } => {
                let now = self.now();
                let told = match self.registry.admit(&call, now) {
                    Ok(admitted) => self.begin_tool(admitted).await,
                    Err(refusal) => Some(Input::ToolDone { call: call.id, outcome: refusal.outcome() }),
                };
                if let Some(told) = told {
                    // It is drained by whoever drains this.
                    self.agent.handle(told, now);
                }
            }
            Output::CancelCall(call) => {
                self.drop_call(&call).await;
                self.registry.settle(&call, Settled::Cancelled, self.now());
            }
            Output::Press(keys) => self.line.wish(Wish::Press(keys)).await,
            Output::Transfer { to, .. } => self.line.wish(Wish::Transfer { to }).await,
            Output::HandOver { persona } => self.hand_over(&persona),
            Output::HangUp { why } => {
                tracing::info!(room = %self.seat.room().id(), why = why.name(), "an agent hangs up");
                self.line.wish(Wish::HangUp).await;
            }
            Output::Publish(notice) => self.on_notice(notice).await,
        }
    }

    /// Does what was admitted, or lets somebody do it; what the agent is told at once.
    async fn begin_tool(&mut self, admitted: Admitted) -> Option<Input> {
        let Admitted { id, name, does, timeout, .. } = admitted;
        let action = match does {
            Does::Outside(arguments) => {
                self.tools.call(id, name, arguments, timeout);
                return None;
            }
            Does::Line(arguments) => {
                self.at_line.insert(id.clone());
                self.line.wish(Wish::Call { id, name, arguments }).await;
                return None;
            }
            Does::BuiltIn(action) => action,
        };
        let outcome = match self.do_here(&action).await {
            Ok(()) => action.reply(),
            Err(failed) => failed,
        };
        self.registry.settle(&id, Settled::Answered(&outcome), self.now());
        if outcome.is_error {
            return Some(Input::ToolDone { call: id, outcome });
        }
        let (text, due) = match action {
            Action::TakeNote { text } => (text, None),
            Action::Remind { text, due } => (text, Some(due.to_string().into())),
            Action::Remember { .. } => return Some(Input::ToolDone { call: id, outcome }),
            action => return Some(Input::Granted { call: id, action }),
        };
        let participant = self.seat.participant();
        self.publish(RoomEvent::NoteTaken { participant, text: text.into(), due }).await;
        Some(Input::ToolDone { call: id, outcome })
    }

    /// Does what needs the store; what the model reads where it did not work. Everything else is done by others.
    async fn do_here(&mut self, action: &Action) -> Result<(), Outcome> {
        match action {
            Action::Remind { text, due } => self.remind(text, *due).await,
            Action::Remember { agreed } => match &mut self.remembered {
                Some(remembered) => remembered.decide(*agreed).await,
                None if *agreed => {
                    Err(Outcome::failed("This caller cannot be remembered: their number is not known here.".to_owned()))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Keeps a reminder, and wakes whoever tells it.
    async fn remind(&mut self, text: &str, due: Due) -> Result<(), Outcome> {
        let failed = |why: &str| Outcome::failed(format!("The reminder is not set: {why}."));
        let store = self.app.store().map_err(|_| failed("this server keeps no reminders"))?;
        let Some(due_at) = reminders::moment(due, &TimeZone::system()) else {
            return Err(failed("there is no such time"));
        };
        let new = New {
            text: text.to_owned(),
            due: due.to_string(),
            due_at,
            persona: self.persona.name.clone(),
            room: self.seat.room().id().to_string(),
            number: self.number.clone(),
        };
        match store.remind(&new, reminders::now(self.app.clock())).await {
            Ok(Ok(_)) => {
                self.app.bell().ring();
                Ok(())
            }
            Ok(Err(too_many)) => Err(failed(&too_many.to_string())),
            Err(error) => {
                tracing::error!(%error, "a reminder could not be kept");
                Err(failed("it could not be kept"))
            }
        }
    }

    /// What came of a call that whoever holds the line carried out; one that nobody waits for is none.
    async fn on_line_done(&mut self, call: String, outcome: Outcome) {
        let now = self.now();
        if self.at_line.remove(&call) && self.registry.settle(&call, Settled::Answered(&outcome), now) {
            self.tell(Input::ToolDone { call, outcome }).await;
        }
    }

    /// Nobody waits for a call any more, whoever carries it out.
    async fn drop_call(&mut self, call: &str) {
        self.tools.cancel(call);
        if self.at_line.remove(call) {
            self.line.wish(Wish::Cancel { id: call.to_owned() }).await;
        }
    }

    /// Whoever holds the line has other wishes of who talks.
    async fn change(&mut self, persona: Arc<Persona>, functions: &[Tool]) {
        let shared = self.app.agents().0.clone();
        let persona = self.outlet.suit(persona);
        self.persona = persona.clone();
        self.registry.offer(shared.toolbox.catalog_with(functions), &persona);
        self.models.hand_over(&persona);
        let tools = offers(&self.registry, &persona);
        self.tell(Input::Changed { persona, tools }).await;
    }

    /// Another persona goes on.
    fn hand_over(&mut self, name: &str) {
        let now = self.now();
        let told = match self.app.agents().persona(Some(name)) {
            Ok(persona) => {
                self.app.agents().goes_on_as(self.seat.room().id(), &persona.name);
                let persona = self.outlet.suit(persona);
                self.persona = persona.clone();
                self.registry.hand_over(&persona);
                self.models.hand_over(&persona);
                let tools = offers(&self.registry, &persona);
                Input::TookOver { persona, tools }
            }
            Err(_) => Input::CameBack,
        };
        self.agent.handle(told, now);
    }

    async fn on_notice(&mut self, notice: Notice) {
        if self.delivery != Delivery::Spoken {
            self.line.wish(Wish::Tells(notice.clone())).await;
        }
        if let Notice::TurnEnded { turn, ended, .. } = &notice {
            let now = self.now();
            measured(Some(self.falls.turn_ended(*turn, ended.at, now)));
        }
        let waterfall = notice::ends(&notice).and_then(|turn| self.falls.take(turn));
        self.publish(notice::event(notice, self.seat.participant(), waterfall)).await;
    }

    async fn publish(&mut self, event: RoomEvent) {
        // A room that is closed ends the conversation anyway.
        let _ = self.seat.room().publish(event).await;
    }
}

/// Who says it.
fn voice(persona: &Persona, language: Language) -> VoiceId {
    choose(persona.voice.nearest(language, persona.language), Some(language.tag())).voice
}

/// A moment in the time of this machine's place.
fn local(wall: std::time::SystemTime) -> DateTime {
    let at = Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::system()).datetime()
}

fn measured(took: Option<super::waterfall::Took>) {
    if let Some((stage, took)) = took {
        telemetry::stage(stage, took);
    }
}
