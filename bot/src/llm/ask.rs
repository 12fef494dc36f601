//! The task of one question: asks who the race says, then carries the winner's answer to whoever waits for it.
//!
//! One tokio task a question. It ends with the answer, with a trouble, or by being dropped, and then every connection
//! it holds is closed. Deltas go through a channel of [`DELTAS_MAX`]; when that is full the task waits and the
//! provider's socket is not read. Times are tokio's, so tests turn them; the connections come from outside
//! ([`Asking::open`]), so tests need none. What is asked and answered is never logged.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Delta, Done, Patience, Provider, Request, Role, Trouble, Wait,
    budget::{Charge, Purse},
    client::Timing,
    race::{Next, Race},
    route::{Change, Routes},
    stream::Stream,
};

/// The bytes of an answer.
pub(super) type Body = BoxStream<'static, Result<Bytes, Trouble>>;

/// Deltas that wait for their reader: some seconds of speech, and a fast provider is held up no earlier.
pub(super) const DELTAS_MAX: usize = 64;

/// How long the vendor's count of tokens is waited for when the model has stopped; the caller waits for neither.
const COUNT_TIMEOUT: Duration = Duration::from_secs(1);
/// What may follow the end of an answer: `[DONE]` and the end of the body.
const REST_BYTES_MAX: usize = 4 * 1_024;

/// What all questions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) providers: Vec<Arc<Provider>>,
    pub(super) patience: Patience,
    routes: Mutex<Routes>,
    began_at: Instant,
}

impl Shared {
    pub(super) fn new(providers: Vec<Arc<Provider>>, patience: Patience) -> Self {
        let routes = Routes::new(providers.iter().map(|provider| (provider.name.clone(), provider.role)));
        Self { providers, patience, routes: Mutex::new(routes), began_at: Instant::now() }
    }

    /// The providers' breakers; never held across a wait.
    pub(super) fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began_at.elapsed()
    }

    fn failed(&self, provider: usize, why: &Trouble) {
        let name = &*self.providers[provider].name;
        tracing::debug!(provider = name, %why, "a language model failed");
        let change = self.routes().failed(provider, why, self.now());
        self.note(provider, change, Some(why));
    }

    fn note(&self, provider: usize, change: Option<Change>, why: Option<&Trouble>) {
        let provider = &*self.providers[provider].name;
        match change {
            Some(Change::Opened) => {
                let why = why.map(tracing::field::display);
                tracing::warn!(provider, why, "a language model is left alone for a while");
            }
            Some(Change::Closed) => tracing::info!(provider, "a language model is asked again"),
            None => {}
        }
    }
}

/// One question.
pub(super) struct Asking<O> {
    pub(super) shared: Arc<Shared>,
    /// Opens a connection to a provider and asks; what comes back is the answer's bytes.
    pub(super) open: O,
    pub(super) role: Role,
    /// Who is asked first, by name.
    pub(super) preferred: Option<String>,
    pub(super) request: Request,
    pub(super) purse: Purse,
    pub(super) asked_at: Instant,
    pub(super) told: mpsc::Sender<Result<Delta, Trouble>>,
    pub(super) timing: Arc<Mutex<Timing>>,
}

impl<O> Asking<O>
where
    O: Fn(usize, Request) -> BoxFuture<'static, Result<Body, Trouble>> + Send + Sync,
{
    /// Asks until there is an answer or a trouble.
    pub(super) async fn run(self) {
        let result = match self.race().await {
            Ok(winner) => self.carry(winner).await,
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = result {
            self.timed(|timing| timing.took = Some(self.asked_at.elapsed()));
            // Whoever asked may be gone, and then nobody minds.
            let _ = self.told.send(Err(trouble)).await;
        }
    }

    /// The first provider to say something.
    async fn race(&self) -> Result<Winner, Trouble> {
        let shared = &self.shared;
        let order = shared.routes().order(self.role, self.preferred.as_deref());
        let mut race = Race::new(order, shared.patience, shared.now());
        let mut attempts = FuturesUnordered::new();
        loop {
            let next = race.next(&mut shared.routes(), shared.now());
            self.timed(|timing| (timing.tries, timing.is_hedged) = (race.starts(), race.is_hedged()));
            let until = match next {
                Next::Start(provider) => {
                    attempts.push(self.attempt(provider));
                    continue;
                }
                Next::Wait(until) => until,
                Next::Fail(trouble) => {
                    for provider in race.running() {
                        shared.failed(provider, &self.late(provider, Wait::First, shared.patience.first));
                    }
                    return Err(trouble);
                }
            };
            tokio::select! {
                Some((provider, result)) = attempts.next() => match result {
                    Ok(winner) => {
                        let waited = shared.patience.hedge_after.unwrap_or(shared.patience.first);
                        for slow in race.overtaken(provider, shared.now()) {
                            shared.failed(slow, &self.late(slow, Wait::First, waited));
                        }
                        return Ok(winner);
                    }
                    Err(trouble) => race.failed(provider, trouble, shared.now()),
                },
                () = sleep_until(shared.began_at + until) => {}
            }
        }
    }

    async fn attempt(&self, provider: usize) -> (usize, Result<Winner, Trouble>) {
        let trial = Trial { shared: self.shared.clone(), provider, is_over: false };
        let result = match self.begin(provider).await {
            Ok(answer) => {
                let change = self.shared.routes().began(provider);
                self.shared.note(provider, change, None);
                Ok(Winner { provider, trial, answer })
            }
            Err(trouble) => {
                trial.failed(&trouble);
                Err(trouble)
            }
        };
        (provider, result)
    }

    /// Asks a provider and waits for its first word or call.
    async fn begin(&self, provider: usize) -> Result<Coming, Trouble> {
        let asked = &self.shared.providers[provider];
        let mut charge = self.purse.open(&self.request, asked.price)?;
        let request = Request { max_tokens: charge.output_tokens(), ..self.request.clone() };
        let mut body = match (self.open)(provider, request).await {
            Ok(body) => body,
            Err(trouble) => {
                charge.void();
                return Err(trouble);
            }
        };
        let mut stream = Stream::new(asked.kind, asked.name.clone());
        let mut deltas = Vec::new();
        while !stream.has_begun() && !stream.is_done() {
            match body.next().await {
                Some(bytes) => stream.push(&bytes?, &mut deltas)?,
                None => stream.end(&mut deltas)?,
            }
            // Who is overtaken while it thinks is paid for its thoughts.
            charge.wrote(stream.written_bytes());
        }
        Ok(Coming { body, stream, deltas, charge: Some(charge) })
    }

    /// Hands on what the winner says, to its end.
    async fn carry(&self, winner: Winner) -> Result<(), Trouble> {
        let Winner { provider, trial, answer } = winner;
        self.timed(|timing| {
            timing.provider = Some(self.shared.providers[provider].name.clone());
            timing.first = Some(self.asked_at.elapsed());
        });
        let carried = self.carry_on(provider, answer).await;
        match &carried {
            Ok(Carried::Whole) => trial.finished(),
            Ok(Carried::Unwanted) => {}
            Err(trouble) => trial.failed(trouble),
        }
        carried.map(|_| ())
    }

    async fn carry_on(&self, provider: usize, mut answer: Coming) -> Result<Carried, Trouble> {
        let patience = self.shared.patience;
        let whole_by = self.asked_at + patience.whole;
        let mut result = Ok(());
        loop {
            if let Some(charge) = &mut answer.charge {
                charge.wrote(answer.stream.written_bytes());
            }
            for delta in answer.deltas.drain(..) {
                let delta = match delta {
                    Delta::Done(done) => Delta::Done(self.settled(&mut answer.charge, done)),
                    delta => delta,
                };
                if self.told.send(Ok(delta)).await.is_err() {
                    return Ok(Carried::Unwanted);
                }
            }
            result?;
            if answer.stream.is_done() {
                // The task may be dropped with the answer; the connection is to be kept for the next turn.
                tokio::spawn(read_out(answer.body));
                return Ok(Carried::Whole);
            }
            let has_stopped = answer.stream.has_stopped();
            let after = if has_stopped { COUNT_TIMEOUT } else { patience.next };
            let by = (Instant::now() + after).min(whole_by);
            result = match timeout_at(by, answer.moves_on()).await {
                Ok(moved) => moved,
                Err(_) if has_stopped => answer.stream.end(&mut answer.deltas),
                Err(_) if by == whole_by => Err(self.late(provider, Wait::End, patience.whole)),
                Err(_) => Err(self.late(provider, Wait::Next, patience.next)),
            };
        }
    }

    fn settled(&self, charge: &mut Option<Charge>, done: Done) -> Done {
        let Some(charge) = charge.take() else { return done };
        let (usage, cost) = charge.settle(done.usage);
        self.timed(|timing| (timing.cost, timing.took) = (cost, Some(self.asked_at.elapsed())));
        Done { usage, ..done }
    }

    fn late(&self, provider: usize, wait: Wait, after: Duration) -> Trouble {
        Trouble::Late { provider: self.shared.providers[provider].name.clone(), wait, after }
    }

    fn timed(&self, note: impl FnOnce(&mut Timing)) {
        note(&mut self.timing.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A provider that has begun to answer.
struct Winner {
    provider: usize,
    trial: Trial,
    answer: Coming,
}

/// An answer that is coming in.
struct Coming {
    body: Body,
    stream: Stream,
    /// What was read and not yet handed on.
    deltas: Vec<Delta>,
    charge: Option<Charge>,
}

enum Carried {
    /// To its end.
    Whole,
    /// Nobody waits for it any more.
    Unwanted,
}

impl Coming {
    /// Reads until the answer has moved on: what only keeps the line open is passed over, but while a call is written.
    async fn moves_on(&mut self) -> Result<(), Trouble> {
        let (steps, had_stopped) = (self.stream.steps(), self.stream.has_stopped());
        while (self.stream.steps(), self.stream.has_stopped()) == (steps, had_stopped) && !self.stream.is_done() {
            match self.body.next().await {
                Some(Ok(bytes)) => {
                    self.stream.push(&bytes, &mut self.deltas)?;
                    if self.stream.is_calling() && !bytes.is_empty() {
                        return Ok(());
                    }
                }
                // The model had stopped; how the connection ends is no matter.
                Some(Err(_)) if self.stream.has_stopped() => self.stream.end(&mut self.deltas)?,
                Some(Err(trouble)) => return Err(trouble),
                None => self.stream.end(&mut self.deltas)?,
            }
        }
        Ok(())
    }
}

/// Reads what is left of a body, within reason: over HTTP/1.1 only a connection that was read to the end is used again,
/// and another one costs the next turn a handshake.
async fn read_out(mut body: Body) {
    let mut left = REST_BYTES_MAX;
    let read = async {
        while let Some(Ok(bytes)) = body.next().await
            && let Some(still) = left.checked_sub(bytes.len())
        {
            left = still;
        }
    };
    // What does not end by then is closed.
    let _ = timeout_at(Instant::now() + COUNT_TIMEOUT, read).await;
}

/// What a provider's breaker learns of one try; dropped without an outcome, it learns that nobody waited.
struct Trial {
    shared: Arc<Shared>,
    provider: usize,
    is_over: bool,
}

impl Trial {
    fn finished(mut self) {
        self.is_over = true;
        let change = self.shared.routes().finished(self.provider);
        self.shared.note(self.provider, change, None);
    }

    fn failed(mut self, why: &Trouble) {
        self.is_over = true;
        self.shared.failed(self.provider, why);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.is_over {
            let now = self.shared.now();
            self.shared.routes().abandoned(self.provider, now);
        }
    }
}
