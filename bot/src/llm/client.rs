//! Asking the configured models: the one door of this module for whoever holds a conversation.
//!
//! [`Models::ask`] starts a task for the question and gives back an [`Answer`], whose pieces come by
//! [`Answer::next`]; dropping it hangs up on every provider that is being asked. Who is asked, when somebody else is,
//! and for how long is decided inside ([`super::route`], the race of each question). Clones share connections and
//! breakers: one `Models` is enough for a server.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use reqwest::header::HeaderMap;
use tokio::{sync::mpsc, task::AbortHandle, time::Instant};
use url::Url;

use super::{
    Delta, Patience, Provider, Request, Role, Trouble,
    ask::{Asking, DELTAS_MAX, Shared},
    budget::Purse,
    http::Door,
    provider::BadProvider,
};
use crate::routing::money::Money;

/// The configured models. Clones are the same.
#[derive(Clone)]
pub struct Models {
    shared: Arc<Shared>,
    doors: Arc<[Arc<Door>]>,
}

/// Why models cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] BadProvider),
    /// The machine's TLS cannot be set up.
    #[error("connections to language models cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// How an answer went so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Who answers; nobody yet while it is empty.
    pub provider: Option<Arc<str>>,
    /// From the question to the first word or call.
    pub first: Option<Duration>,
    /// From the question to the end.
    pub took: Option<Duration>,
    /// How often somebody was asked.
    pub tries: u32,
    /// Whether a second provider was asked while the first was silent.
    pub is_hedged: bool,
    /// What the answer cost; known at its end.
    pub cost: Money,
}

impl Models {
    /// Models in the order in which they are asked; none at all is well, and then every question is answered by
    /// [`Trouble::NoModel`]. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new(providers: Vec<Provider>, patience: Patience) -> Result<Self, Broken> {
        let providers: Vec<Arc<Provider>> = providers.into_iter().map(Arc::new).collect();
        let mut doors = Vec::with_capacity(providers.len());
        for (at, provider) in providers.iter().enumerate() {
            provider.check()?;
            if providers[..at].iter().any(|other| other.name == provider.name) {
                return Err(BadProvider::Twice(provider.name.to_string()).into());
            }
            if provider.base_url.scheme() == "http" && provider.api_key.is_some() && !provider.is_local() {
                tracing::warn!(provider = &*provider.name, "the key of a language model is sent without encryption");
            }
            doors.push(Arc::new(Door::new(provider.clone())?));
        }
        let shared = Arc::new(Shared::new(providers, patience));
        Ok(Self { shared, doors: doors.into() })
    }

    /// One model that a client brought along: asked at this address as it is, by a client that goes only where it may, and
    /// with these headers beside our own.
    pub(crate) fn brought(
        provider: Provider,
        client: reqwest::Client,
        endpoint: Url,
        headers: HeaderMap,
        patience: Patience,
    ) -> Self {
        let provider = Arc::new(provider);
        let door = Arc::new(Door::through(provider.clone(), client, endpoint, headers));
        Self { shared: Arc::new(Shared::new(vec![provider], patience)), doors: vec![door].into() }
    }

    /// Whether there is none, so that only what is built in can answer.
    pub fn is_empty(&self) -> bool {
        self.doors.is_empty()
    }

    /// Asks, and first of all the model that is `preferred`, where there is one of that name; the call's `purse` pays. Call
    /// it in a tokio runtime.
    pub fn ask(&self, role: Role, preferred: Option<&str>, request: Request, purse: &Purse) -> Answer {
        let doors = self.doors.clone();
        let (told, deltas) = mpsc::channel(DELTAS_MAX);
        let timing = Arc::new(Mutex::new(Timing::default()));
        let asking = Asking {
            shared: self.shared.clone(),
            open: move |provider: usize, request: Request| doors[provider].clone().ask(request).boxed(),
            role,
            preferred: preferred.map(str::to_owned),
            request,
            purse: purse.clone(),
            asked_at: Instant::now(),
            told,
            timing: timing.clone(),
        };
        let task = tokio::spawn(asking.run()).abort_handle();
        Answer { deltas, timing, task, is_over: false }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shared.providers.iter().map(|provider| &provider.name)).finish()
    }
}

/// An answer that is coming in. Dropping it cancels it.
#[derive(Debug)]
pub struct Answer {
    deltas: mpsc::Receiver<Result<Delta, Trouble>>,
    timing: Arc<Mutex<Timing>>,
    task: AbortHandle,
    is_over: bool,
}

impl Answer {
    /// The next piece. The last is [`Delta::Done`] or a trouble, and one of them always comes. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Delta, Trouble>> {
        if self.is_over {
            return None;
        }
        // The task ends without a word only when it panics or the runtime goes.
        let next = self.deltas.recv().await.unwrap_or_else(|| {
            Err(Trouble::CutOff { provider: self.timing().provider.unwrap_or_else(|| "the language model".into()) })
        });
        self.is_over = matches!(next, Ok(Delta::Done(_)) | Err(_));
        Some(next)
    }

    /// How it went so far: the first word's time is known with the first piece, the rest with the last.
    pub fn timing(&self) -> Timing {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
