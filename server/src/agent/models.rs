//! What agents think with: the configured language models, or the rules where none is configured.
//!
//! [`Brains`] is shared by all conversations, so that a model that fails for one is left alone by all; [`Models`] are one
//! conversation's questions, each a task that hands on what comes. A model that a client brought along ([`Brought`]) thinks
//! for its own conversation alone, and nobody else does there. Crossing: pieces of answers wait in a queue of 64, then
//! whoever brings them waits. A question that is cancelled is dropped at once, with its connection.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bot::{
    agent::{AskId, Facts, local::Local},
    llm::{
        Delta, Provider, Request, Role, Trouble,
        budget::{Limits, Purse},
        client::{Broken, Models as Client, Timing},
    },
    persona::{self, Persona},
    routing::money::Money,
};
use media::time::MediaTime;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tts::voice::Language;

use crate::{config::Config, telemetry};

/// Pieces of answers that wait for the conversation: it reads them as they come.
const PIECES_MAX: usize = 64;

/// What the names of models begin with that clients brought along: no configured model's does.
const BROUGHT: char = '\0';

/// Everything that agents think with.
pub(super) struct Brains {
    /// Nothing where there is no model.
    client: Option<Client>,
    own: Arc<Own>,
}

/// Models that clients brought along, by what their personas call them.
#[derive(Default)]
struct Own {
    by_name: Mutex<BTreeMap<String, Client>>,
    begun: AtomicU64,
}

impl Own {
    fn by_name(&self) -> MutexGuard<'_, BTreeMap<String, Client>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model that a client brought along, for as long as its conversation lasts.
pub(crate) struct Brought {
    own: Arc<Own>,
    name: String,
}

impl Brought {
    /// What a persona calls it, for whatever it thinks.
    pub(crate) fn choose(&self, models: &mut persona::Models) {
        for chosen in [&mut models.primary, &mut models.fast, &mut models.special] {
            *chosen = Some(self.name.clone());
        }
    }

    /// Puts another in its place.
    pub(crate) fn replace(&self, model: Client) {
        self.own.by_name().insert(self.name.clone(), model);
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        self.own.by_name().remove(&self.name);
    }
}

impl Brains {
    /// Those of the configuration.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub(super) fn new(config: &Config) -> Result<Self, Broken> {
        // Each was checked with the configuration.
        let providers: Vec<Provider> = config.llm.iter().filter_map(|model| model.provider().ok()).collect();
        let client = (!providers.is_empty()).then(|| Client::new(providers, config.agent.patience())).transpose()?;
        Ok(Self { client, own: Arc::default() })
    }

    /// Lets the persona that names it think with a model that its client brought along.
    pub(super) fn bring(&self, model: Client) -> Brought {
        let name = format!("{BROUGHT}{}", self.own.begun.fetch_add(1, Ordering::Relaxed));
        let brought = Brought { own: self.own.clone(), name };
        brought.replace(model);
        brought
    }

    /// For one conversation, which knows these facts.
    pub(super) fn of(&self, persona: &Arc<Persona>, facts: &Facts) -> Models {
        let limits = Limits {
            tokens: persona.limits.tokens_max,
            money: persona.limits.cost_max.map(|cost| Money { micros: (cost * 1e6) as u64 }),
        };
        let (told, pieces) = mpsc::channel(PIECES_MAX);
        Models {
            client: self.client.clone(),
            own: self.own.clone(),
            chosen: persona.models.clone(),
            purse: Purse::new(limits),
            local: Local::new(persona.clone(), facts.clone()),
            told,
            pieces,
            ready: VecDeque::new(),
            tasks: JoinSet::new(),
            asked: BTreeMap::new(),
        }
    }
}

/// The questions of one conversation.
pub(super) struct Models {
    client: Option<Client>,
    own: Arc<Own>,
    /// Which models the persona thinks with.
    chosen: persona::Models,
    purse: Purse,
    /// Answers where no model does.
    local: Local,
    told: mpsc::Sender<Answered>,
    pieces: mpsc::Receiver<Answered>,
    /// Pieces that were made here.
    ready: VecDeque<Answered>,
    tasks: JoinSet<()>,
    asked: BTreeMap<AskId, Asked>,
}

/// A question that is out.
struct Asked {
    role: Role,
    request: Request,
    task: AbortHandle,
}

/// A piece of an answer, or why there is none.
pub(super) struct Answered {
    /// To which question.
    pub(super) ask: AskId,
    /// What came.
    pub(super) answer: Result<Delta, Trouble>,
}

/// When a question is asked, and in which language it is to be answered where rules do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The language of the conversation.
    pub(super) language: Language,
    /// On the room's timeline.
    pub(super) now: MediaTime,
}

impl Models {
    /// Another persona goes on, with the models of its choice and the purse of the call.
    pub(super) fn hand_over(&mut self, persona: &Arc<Persona>) {
        self.chosen = persona.models.clone();
        self.local.hand_over(persona.clone());
    }

    /// Asks; what comes is told by [`Models::next`].
    pub(super) fn ask(&mut self, ask: AskId, role: Role, request: Request, at: Moment) {
        while self.tasks.try_join_next().is_some() {}
        let preferred = match role {
            Role::Primary => &self.chosen.primary,
            Role::Fast => &self.chosen.fast,
            Role::Special => &self.chosen.special,
        };
        let client = match preferred {
            // What is said to a client's model is for no other.
            Some(name) if name.starts_with(BROUGHT) => self.own.by_name().get(name).cloned(),
            _ => self.client.clone(),
        };
        let Some(client) = client else { return self.answer_by_rules(ask, role, &request, at) };
        let mut answer = client.ask(role, preferred.as_deref(), request.clone(), &self.purse);
        let told = self.told.clone();
        let task = self.tasks.spawn(async move {
            while let Some(piece) = answer.next().await {
                if told.send(Answered { ask, answer: piece }).await.is_err() {
                    return;
                }
            }
            if let Timing { provider: Some(provider), took: Some(took), .. } = answer.timing() {
                telemetry::upstream(&provider, took);
            }
        });
        self.asked.insert(ask, Asked { role, request, task });
    }

    /// Nobody waits for that answer any more.
    pub(super) fn cancel(&mut self, ask: AskId) {
        self.ready.retain(|answered| answered.ask != ask);
        if let Some(asked) = self.asked.remove(&ask) {
            asked.task.abort();
        }
    }

    /// What came next. Where every model rests after failures, or the call has used up what it may, the rules answer. Of
    /// a question that was cancelled nothing comes. Cancel-safe.
    pub(super) async fn next(&mut self, language: Language, now: impl Fn() -> MediaTime) -> Answered {
        loop {
            if let Some(answered) = self.ready.pop_front() {
                return answered;
            }
            // A sender is kept here, so it never ends.
            let Some(answered) = self.pieces.recv().await else { return std::future::pending().await };
            let Answered { ask, answer } = &answered;
            if !self.asked.contains_key(ask) {
                continue;
            }
            let is_over = matches!(answer, Err(_) | Ok(Delta::Done(_)));
            let asked = if is_over { self.asked.remove(ask) } else { None };
            match (answer, asked) {
                // Nothing was asked of anybody, so nothing of an answer has come.
                (Err(Trouble::Resting { .. } | Trouble::Spent { .. } | Trouble::NoModel), Some(asked)) => {
                    let at = Moment { language, now: now() };
                    self.answer_by_rules(*ask, asked.role, &asked.request, at);
                }
                _ => return answered,
            }
        }
    }

    /// Answers without a model; what comes is told by [`Models::next`].
    pub(super) fn answer_by_rules(
        &mut self,
        ask: AskId,
        role: Role,
        request: &Request,
        Moment { language, now }: Moment,
    ) {
        let pieces = self.local.answer(role, request, language, now);
        self.ready.extend(pieces.into_iter().map(|piece| Answered { ask, answer: Ok(piece) }));
    }
}
