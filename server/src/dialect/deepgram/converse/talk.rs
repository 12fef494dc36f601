//! A conversation of an agent with the client that described it, while it is on.
//!
//! One task, the twin of the one that reads the client: it carries the room's sound and events to the client, what the
//! agent wants of its line too, and what the client orders to the agent. It decides nothing. What happened is told before
//! what the agent wants because of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bot::{
    actor::{Follower, RoomHandle},
    agent::{Input, When},
    persona::Persona,
    tools::{Outcome, Tool},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    End,
    message::{Behavior, Called, Cancelled, Control, History, Request, Told},
    outgoing::{Outgoing, SOUND_WITHIN},
    settings::{self, warning},
    story::Story,
};
use crate::{
    agent::{Reins, Wish},
    app::App,
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
    pub(super) functions: Vec<Tool>,
    /// Functions that the client carries out: their names and arguments.
    pub(super) asked: BTreeMap<String, (String, String)>,
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
                    Some(Item::Nothing) => {}
                    None => break End::Over,
                },
                wish = self.reins.next() => match wish {
                    Some(wish) => self.grant(wish, client).await,
                    None => break End::Over,
                },
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
                let arguments = serde_json::Value::Object(arguments).to_string();
                self.asked.insert(id.clone(), (name.clone(), arguments.clone()));
                let functions = vec![Request { id, name, arguments, client_side: true }];
                self.out.tell(Told::FunctionCallRequest { functions }, client).await;
            }
            Wish::Cancel { id } => {
                if let Some((name, _)) = self.asked.remove(&id) {
                    let functions = vec![Cancelled { id, name }];
                    self.out.tell(Told::FunctionCallCancelled { functions }, client).await;
                }
            }
            Wish::HangUp => self.reins.tell(Input::HungUp).await,
            // There is no telephone: nobody can be sent on, and no keys be pressed.
            Wish::Transfer { .. } => self.reins.tell(Input::CameBack).await,
            Wish::Press(_) => {}
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
            Control::UpdateThink { think } => {
                let known: Vec<_> = app.config().llm.iter().map(|model| (model.name(), model.model.as_str())).collect();
                let (mut persona, mut functions) = (self.persona.clone(), self.functions.clone());
                match settings::think_as(think, &known, &mut persona, &mut functions) {
                    Ok(told) => {
                        (self.persona, self.functions) = (persona, functions);
                        self.change(Told::ThinkUpdated, client).await;
                        if let Some(told) = told {
                            client.tell(&told).await;
                        }
                    }
                    Err(refused) => client.tell(&warning("INVALID_SETTINGS", refused.to_string())).await,
                }
            }
            Control::Settings(_) => {
                let why = "the settings are applied already: UpdatePrompt, UpdateSpeak and UpdateThink change them";
                client.tell(&warning("SETTINGS_ALREADY_APPLIED", why)).await;
            }
            Control::InjectAgentMessage { message: None, .. } | Control::Other => {
                let why = "this message means nothing here; see docs/dialects.md for those that do";
                client.tell(&warning("UNSUPPORTED_CLIENT_MESSAGE", why)).await;
            }
            Control::KeepAlive => {}
        }
    }

    async fn change(&mut self, told: Told, client: &mut Client) {
        self.reins.change(Arc::new(self.persona.clone()), self.functions.clone()).await;
        self.out.tell(told, client).await;
    }

    /// A function was carried out.
    async fn on_response(&mut self, id: Option<String>, name: String, content: String, client: &mut Client) {
        let id = id.or_else(|| self.asked.iter().find(|(_, (asked, _))| *asked == name).map(|(id, _)| id.clone()));
        let Some((id, (name, arguments))) = id.and_then(|id| self.asked.remove_entry(&id)) else {
            let why = "nobody waits for the answer of that function";
            return client.tell(&warning("UNKNOWN_FUNCTION_CALL", why)).await;
        };
        let content: String = content.chars().take(CONTENT_CHARS_MAX).collect();
        if self.story.keeps_history() {
            let response = content.clone();
            let called = Called { id: id.clone(), name, client_side: true, arguments, response };
            self.out.tell(Told::History(History::Called { function_calls: vec![called] }), client).await;
        }
        self.reins.tell(Input::ToolDone { call: id, outcome: Outcome::done(content) }).await;
    }
}

/// How long an agent may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
