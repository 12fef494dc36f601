//! What agents think with: the configured language models, or the rules where none is configured.
//!
//! [`Brains`] is shared by all conversations, so that a model that fails for one is left alone by all who ask the same; [`Models`] are one
//! conversation's questions, each a task that hands on what comes. Crossing: pieces of answers wait in a queue of 64, then
//! whoever brings them waits. A question that is cancelled is dropped at once, with its connection.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
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

use super::personas::Personas;
use crate::{config::Config, telemetry};

/// Pieces of answers that wait for the conversation: it reads them as they come.
const PIECES_MAX: usize = 64;

/// Everything that agents think with.
pub(super) struct Brains {
    /// One for each choice of models that personas make; nothing where there is no model.
    clients: BTreeMap<Chosen, Client>,
}

/// Which models are asked first, by role.
type Chosen = [Option<String>; 3];

fn chosen(models: &persona::Models) -> Chosen {
    [models.primary.clone(), models.fast.clone(), models.special.clone()]
}

impl Brains {
    /// Those of the configuration, for these personas.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub(super) fn new(config: &Config, personas: &Personas) -> Result<Self, Broken> {
        // Each was checked with the configuration.
        let providers: Vec<Provider> = config.llm.iter().filter_map(|model| model.provider().ok()).collect();
        let mut clients = BTreeMap::new();
        // Each may be chosen by a client of the server, too.
        let each = providers.iter().map(|provider| [Some(provider.name.to_string()), None, None]);
        for choice in personas.all().map(|persona| chosen(&persona.models)).chain(each) {
            if providers.is_empty() {
                break;
            }
            if let Entry::Vacant(entry) = clients.entry(choice) {
                let client = Client::new(ordered(&providers, entry.key()), config.agent.patience())?;
                entry.insert(client);
            }
        }
        Ok(Self { clients })
    }

    /// For one conversation, which knows these facts.
    pub(super) fn of(&self, persona: &Arc<Persona>, facts: &Facts) -> Models {
        let limits = Limits {
            tokens: persona.limits.tokens_max,
            money: persona.limits.cost_max.map(|cost| Money { micros: (cost * 1e6) as u64 }),
        };
        let (told, pieces) = mpsc::channel(PIECES_MAX);
        Models {
            client: self.clients.get(&chosen(&persona.models)).cloned(),
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

/// The providers with those that were chosen first, in the roles for which they were.
fn ordered(providers: &[Provider], chosen: &Chosen) -> Vec<Provider> {
    let roles = [Role::Primary, Role::Fast, Role::Special];
    let first = roles.into_iter().zip(chosen).filter_map(|(role, name)| {
        let named = providers.iter().find(|provider| Some(&*provider.name) == name.as_deref())?;
        Some(Provider { role, ..named.clone() })
    });
    let mut ordered: Vec<Provider> = first.collect();
    for provider in providers {
        let is_there = |known: &Provider| known.name == provider.name && known.role == provider.role;
        if !ordered.iter().any(is_there) {
            ordered.push(provider.clone());
        }
    }
    // One that has two roles is two providers, and each has a name of its own.
    for at in 1..ordered.len() {
        if ordered[..at].iter().any(|known| known.name == ordered[at].name) {
            let role = format!("{:?}", ordered[at].role).to_lowercase();
            ordered[at].name = format!("{} ({role})", ordered[at].name).into();
        }
    }
    ordered
}

/// The questions of one conversation.
pub(super) struct Models {
    client: Option<Client>,
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
    pub(super) fn hand_over(&mut self, brains: &Brains, persona: &Arc<Persona>) {
        self.client = brains.clients.get(&chosen(&persona.models)).cloned();
        self.local.hand_over(persona.clone());
    }

    /// Asks; what comes is told by [`Models::next`].
    pub(super) fn ask(&mut self, ask: AskId, role: Role, request: Request, at: Moment) {
        while self.tasks.try_join_next().is_some() {}
        let Some(client) = &self.client else { return self.answer_by_rules(ask, role, &request, at) };
        let (mut answer, told) = (client.ask(role, request.clone(), &self.purse), self.told.clone());
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

    fn answer_by_rules(&mut self, ask: AskId, role: Role, request: &Request, Moment { language, now }: Moment) {
        let pieces = self.local.answer(role, request, language, now);
        self.ready.extend(pieces.into_iter().map(|piece| Answered { ask, answer: Ok(piece) }));
    }
}

#[cfg(test)]
mod tests {
    use bot::llm::Kind;

    use super::*;

    fn provider(name: &str, role: Role) -> Provider {
        Provider::new(name, Kind::Compatible, "http://127.0.0.1:1/v1".parse().unwrap(), "m", role)
    }

    #[test]
    fn the_model_that_a_persona_names_is_asked_first_and_the_others_stand_in() {
        let providers = [provider("a", Role::Primary), provider("b", Role::Primary), provider("c", Role::Fast)];
        let names = |chosen: Chosen| -> Vec<(String, Role)> {
            ordered(&providers, &chosen).iter().map(|provider| (provider.name.to_string(), provider.role)).collect()
        };
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(
            names([name("b"), None, None]),
            [("b".into(), Role::Primary), ("a".into(), Role::Primary), ("c".into(), Role::Fast)]
        );
        assert_eq!(
            names([name("c"), None, None]),
            [
                ("c".into(), Role::Primary),
                ("a".into(), Role::Primary),
                ("b".into(), Role::Primary),
                ("c (fast)".into(), Role::Fast),
            ]
        );
        assert_eq!(names([name("gone"), None, None]).len(), 3);
    }
}
