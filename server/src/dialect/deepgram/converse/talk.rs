//! A conversation of an agent with the client that described it, while it is on.
//!
//! One task, the twin of the one that reads the client: it carries the room's sound and events to the client, what the
//! agent wants of its line too, and what the client orders to the agent. It decides nothing. What happened is told before
//! what the agent wants because of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use bot::{
    actor::{Follower, RoomHandle},
    agent::{Input, When},
    persona::Persona,
    tools::Outcome,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    End,
    endpoint::MODEL_FIELD,
    message::{Behavior, Called, Cancelled, Control, History, Listen, OneOrMore, Request, Think, Told},
    outgoing::{Outgoing, SOUND_WITHIN},
    served::{Asked, Served},
    settings::{self, Listening, Refused, Thinking, refused, warning},
    story::Story,
};
use crate::{
    agent::{Brought, Reins, Wish},
    app::App,
    call,
    dialect::deepgram::client::Client,
    hearing::{Hearing, Item},
};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// As much of a function's answer as a model reads.
const CONTENT_CHARS_MAX: usize = 20_000;

/// A conversation that is on.
pub(super) struct Conversation {
    pub(super) room: RoomHandle,
    pub(super) hearing: Hearing,
    pub(super) out: Outgoing,
    pub(super) events: Follower,
    pub(super) reins: Reins,
    pub(super) story: Story,
    pub(super) persona: Persona,
    pub(super) listening: Listening,
    pub(super) thinking: Thinking,
    /// The model that the client brought along last; it stays known for as long as the conversation.
    pub(super) brought: Option<Brought>,
    /// Functions that this server carries out.
    pub(super) served: Served,
    /// Functions that the client carries out: their names and arguments.
    pub(super) asked: BTreeMap<String, (String, String)>,
    /// How often the client has ended its turn itself.
    pub(super) finalized: u64,
}

/// What the reading half hands over.
pub(super) enum Order {
    Control(Control),
    /// A message that cannot be read, and why.
    Unreadable(String),
}

impl Conversation {
    /// Until the client goes, the agent has done, or the server goes down.
    pub(super) async fn hold(mut self, app: &App, client: &mut Client, mut orders: mpsc::Receiver<Order>) -> End {
        let end = loop {
            if client.is_gone() {
                break End::Gone;
            }
            let next = self.out.due();
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: every arm hands out what it has once, or is looked at again. What happened is told before what
            // the agent wants because of it.
            tokio::select! {
                biased;
                () = app.shutdown().cancelled() => break End::Draining,
                () = due => self.out.tell_what_is_due(client).await,
                entries = self.events.next(ENTRIES) => match entries {
                    Ok(entries) if entries.is_empty() => break End::Over,
                    Ok(entries) => {
                        for entry in entries {
                            for told in self.story.tell(&entry) {
                                self.out.tell(told, client).await;
                            }
                        }
                    }
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                },
                item = self.hearing.next() => match item {
                    Some(Item::Sound(samples)) => self.out.sound(samples, client).await,
                    Some(Item::Nothing) => self.end_turn(client).await,
                    None => break End::Over,
                },
                wish = self.reins.next() => match wish {
                    Some(wish) => self.grant(wish, client).await,
                    None => break End::Over,
                },
                (id, asked, outcome) = self.served.next() => self.on_served(id, asked, outcome, client).await,
                order = orders.recv() => match order {
                    Some(Order::Control(control)) => self.obey(app, control, client).await,
                    Some(Order::Unreadable(why)) => client.tell(&warning("UNPARSABLE_CLIENT_MESSAGE", why)).await,
                    None => break End::Gone,
                },
            }
        };
        if matches!(end, End::Over) {
            self.hear_the_last(client).await;
        }
        let Self { hearing, mut reins, .. } = self;
        drop(hearing);
        let leaving = async {
            reins.tell(Input::HungUp).await;
            // Until the agent has told the room how it ended.
            while reins.next().await.is_some() {}
        };
        let _ = timeout(LEAVE_WITHIN, leaving).await;
        end
    }

    /// What the agent said last is still on its way when it has gone.
    async fn hear_the_last(&mut self, client: &mut Client) {
        let until = Instant::now() + SOUND_WITHIN;
        while let Ok(Some(item)) = tokio::time::timeout_at(until, self.hearing.next()).await {
            if let Item::Sound(samples) = item {
                self.out.sound(samples, client).await;
            }
        }
        self.out.tell_all_later(client).await;
    }

    /// Does what the agent wants of its line.
    async fn grant(&mut self, wish: Wish, client: &mut Client) {
        match wish {
            Wish::Call { id, name, arguments } => {
                let text = serde_json::Value::Object(arguments.clone()).to_string();
                let tool = self.thinking.served.get(&name).cloned();
                let client_side = tool.is_none();
                match tool {
                    Some(tool) => {
                        let asked = Asked { name: name.clone(), arguments: text.clone() };
                        self.served.call(id.clone(), asked, tool, arguments);
                    }
                    None => {
                        self.asked.insert(id.clone(), (name.clone(), text.clone()));
                    }
                }
                let functions = vec![Request { id, name, arguments: text, client_side }];
                self.out.tell(Told::FunctionCallRequest { functions }, client).await;
            }
            Wish::Cancel { id } => {
                let asked = self.asked.remove(&id).map(|(name, _)| name);
                if let Some(name) = asked.or_else(|| self.served.cancel(&id).map(|asked| asked.name)) {
                    let functions = vec![Cancelled { id, name }];
                    self.out.tell(Told::FunctionCallCancelled { functions }, client).await;
                }
            }
            Wish::HangUp => self.reins.tell(Input::HungUp).await,
            // There is no telephone: nobody can be sent on, and no keys be pressed.
            Wish::Transfer { .. } => self.reins.tell(Input::CameBack).await,
            // What is told of a conversation is read from the room's events.
            Wish::Press(_) | Wish::Says { .. } | Wish::Tells(_) | Wish::Used(_) => {}
        }
    }

    /// Does what the client wants.
    async fn obey(&mut self, app: &App, control: Control, client: &mut Client) {
        match control {
            Control::InjectUserMessage { content: text } | Control::InjectAgentMessage { message: Some(text), .. }
                if !settings::is_brief(&text) =>
            {
                let why = format!("a message has at most {} characters", settings::TEXT_CHARS_MAX);
                self.out.tell(warning("MESSAGE_TOO_LONG", why), client).await;
            }
            Control::InjectUserMessage { content } => self.reins.tell(Input::Wrote(content)).await,
            Control::InjectAgentMessage { message: Some(text), behavior } => {
                let when = match behavior {
                    Behavior::Default => When::Free,
                    Behavior::Queue => When::Next,
                    Behavior::Interrupt => When::Now,
                };
                self.reins.tell(Input::Say { text, when }).await;
            }
            Control::FunctionCallResponse { id, name, content } => self.on_response(id, name, content, client).await,
            Control::UpdatePrompt { prompt } => match settings::instructions(prompt, "prompt") {
                Ok(instructions) => {
                    self.persona.instructions = instructions;
                    self.change(Told::PromptUpdated, client).await;
                }
                Err(refused) => client.tell(&warning("INVALID_SETTINGS", refused.to_string())).await,
            },
            Control::UpdateSpeak { speak } => {
                settings::speak_as(speak, &mut self.persona);
                self.change(Told::SpeakUpdated, client).await;
            }
            Control::UpdateThink { think } => match self.think(app, think).await {
                Ok(warnings) => {
                    self.change(Told::ThinkUpdated, client).await;
                    for told in warnings {
                        client.tell(&told).await;
                    }
                }
                Err(refused) => client.tell(&warning("INVALID_SETTINGS", refused.to_string())).await,
            },
            Control::UpdateListen { listen } => match self.listen(app, listen) {
                Ok(told) => {
                    self.change(Told::ListenUpdated, client).await;
                    if let Some(told) = told {
                        client.tell(&told).await;
                    }
                }
                Err(why) => client.tell(&warning("INVALID_SETTINGS", why)).await,
            },
            Control::Settings(_) => {
                let why = "applied already: UpdatePrompt, UpdateSpeak, UpdateThink and UpdateListen change them";
                client.tell(&warning("SETTINGS_ALREADY_APPLIED", why)).await;
            }
            Control::InjectAgentMessage { message: None, .. } | Control::Other => {
                let why = "this message means nothing here; see docs/dialects.md for those that do";
                client.tell(&warning("UNSUPPORTED_CLIENT_MESSAGE", why)).await;
            }
            // It is told of by the microphone, behind the sound that it ends.
            Control::KeepAlive | Control::ForceEndTurn => {}
        }
    }

    /// Answers a client that has ended its turn itself, once all that it sent before was heard.
    async fn end_turn(&mut self, client: &mut Client) {
        let finalized = self.hearing.finalized();
        if std::mem::replace(&mut self.finalized, finalized) == finalized {
            return;
        }
        if self.story.has_begun_turn() {
            self.reins.tell(Input::Respond).await;
        } else {
            client.tell(&warning("NO_TURN", "nobody has spoken since the last turn, which is over")).await;
        }
    }

    /// Thinks otherwise from the next turn on; what else the client should know.
    async fn think(&mut self, app: &App, think: OneOrMore<Think>) -> Result<Vec<Told>, Refused> {
        let known: Vec<_> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
        let (mut persona, mut thinking) = (self.persona.clone(), self.thinking.clone());
        let warnings = settings::think_as(think, &known, &mut persona, &mut thinking)?;
        bring(app, &thinking, &mut persona, &mut self.brought).await?;
        (self.persona, self.thinking) = (persona, thinking);
        Ok(warnings)
    }

    /// Listens for something else from now on; what else the client should know, or why it cannot be.
    fn listen(&mut self, app: &App, listen: Listen) -> Result<Option<Told>, String> {
        let provider = listen.provider.ok_or("agent.listen.provider: is missing")?;
        let (mut persona, mut listening) = (self.persona.clone(), self.listening.clone());
        let told =
            settings::listen_as(provider, &mut persona, &mut listening).map_err(|refused| refused.to_string())?;
        let language = call::language(app, listening.language.as_deref()).map_err(|error| error.to_string())?;
        self.hearing.expect(Hints { language, keyterms: listening.keyterms.clone() });
        (self.persona, self.listening) = (persona, listening);
        Ok(told)
    }

    async fn change(&mut self, told: Told, client: &mut Client) {
        self.reins.change(Arc::new(self.persona.clone()), self.thinking.functions.clone()).await;
        self.out.tell(told, client).await;
    }

    /// This server carried a function out.
    async fn on_served(&mut self, id: String, asked: Asked, outcome: Outcome, client: &mut Client) {
        let Asked { name, arguments } = asked;
        let content: String = outcome.content.chars().take(CONTENT_CHARS_MAX).collect();
        let told = Told::FunctionCallResponse { id: id.clone(), name: name.clone(), content: content.clone() };
        self.out.tell(told, client).await;
        let called = Called { id: id.clone(), name, client_side: false, arguments, response: content.clone() };
        self.keep(called, client).await;
        let outcome = Outcome { content, ..outcome };
        self.reins.tell(Input::ToolDone { call: id, outcome }).await;
    }

    /// A function was carried out.
    async fn on_response(&mut self, id: Option<String>, name: String, content: String, client: &mut Client) {
        let id = id.or_else(|| self.asked.iter().find(|(_, (asked, _))| *asked == name).map(|(id, _)| id.clone()));
        let Some((id, (name, arguments))) = id.and_then(|id| self.asked.remove_entry(&id)) else {
            let why = "nobody waits for the answer of that function";
            return client.tell(&warning("UNKNOWN_FUNCTION_CALL", why)).await;
        };
        let content: String = content.chars().take(CONTENT_CHARS_MAX).collect();
        let called = Called { id: id.clone(), name, client_side: true, arguments, response: content.clone() };
        self.keep(called, client).await;
        self.reins.tell(Input::ToolDone { call: id, outcome: Outcome::done(content) }).await;
    }

    /// Keeps what came of a function for a client that keeps the conversation.
    async fn keep(&mut self, called: Called, client: &mut Client) {
        if self.story.keeps_history() {
            self.out.tell(Told::History(History::Called { function_calls: vec![called] }), client).await;
        }
    }
}

/// Lets a persona think with the model that its client brought along, where it did.
///
/// # Errors
/// [`Refused`] where this server may not call there.
pub(super) async fn bring(
    app: &App,
    thinking: &Thinking,
    persona: &mut Persona,
    brought: &mut Option<Brought>,
) -> Result<(), Refused> {
    let Some(own) = &thinking.model else { return Ok(()) };
    let (outside, patience) = (app.agents().outside(), app.config().agent.patience());
    let model = outside.model(own.endpoint.clone(), own.kind, &own.model, patience).await;
    let model = model.map_err(|bad| refused(MODEL_FIELD, bad.to_string()))?;
    let known = match brought.take() {
        Some(known) => {
            known.replace(model);
            known
        }
        None => app.agents().bring(model),
    };
    known.choose(&mut persona.models);
    *brought = Some(known);
    Ok(())
}

/// How long an agent may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
