//! The telephone exchange: the one task that owns the SIP endpoint, between the sockets and the calls.
//!
//! It carries messages and the time into [`sip::endpoint::Endpoint`] and carries out what comes of it: bytes to
//! sockets, names to the resolver, events to the task of each call. It decides nothing. Crossings: wishes of calls
//! wait in a queue of 1,024, then whoever wishes waits; a call has a mailbox of 64 events, and one that lets it fill
//! is hung up, since its task is stuck; incoming calls wait in a queue of 256, and beyond it get 503.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sip::{
    endpoint::{
        Body, CallEvent, CallId, Command, Ended, Endpoint, Failure, Input, Invite, OutOfDialog, Output, RequestId,
        TransactionId,
    },
    message::{Message, Method, Request, Response},
    net::{Event, Net},
    transport::Source,
};
use tokio::sync::{mpsc, oneshot};

use super::{incoming::retry_after, resolve::Resolver, trunks};
use crate::{clock::Clock, config::Trunk};

/// Wishes that wait for the exchange. A call has a few in its whole life; when it is full, who wishes waits.
const WISHES_MAX: usize = 1_024;

/// Events that wait for the task of a call. There are a few in a second at most.
const MAILBOX: usize = 64;

/// Calls that wait for somebody to look at them. The task that takes them only starts another.
const INCOMING_MAX: usize = 256;

/// Requests outside of calls that wait for an answer.
const ASKED_MAX: usize = 256;

/// The exchange, as everybody else holds it. Cheap to clone; the task ends with the last of them.
#[derive(Clone)]
pub(crate) struct Exchange {
    wishes: mpsc::Sender<Wish>,
    next_call: Arc<AtomicU64>,
    next_request: Arc<AtomicU64>,
}

/// What is wished for.
#[expect(clippy::large_enum_variant, reason = "the most frequent one is the largest; a box would cost each of them")]
enum Wish {
    /// Tell the endpoint.
    Tell(Input),
    /// Tell the endpoint to place a call, whose events go there.
    Place(CallId, Box<Invite>, mpsc::Sender<CallEvent>),
    /// Ask something outside of a call.
    Ask(RequestId, Box<OutOfDialog>, oneshot::Sender<Result<Box<Response>, Failure>>),
}

/// A call that somebody places with us.
pub(crate) struct Incoming {
    /// The call.
    pub(crate) dialog: Dialog,
    /// Its INVITE.
    pub(crate) request: Box<Request>,
    /// Where it came from.
    pub(crate) source: Source,
    /// Its offer; `None` leaves it to us.
    pub(crate) offer: Option<Body>,
    /// The call of ours that it takes the place of.
    pub(crate) replaces: Option<CallId>,
}

/// A request outside of a call, to be answered by [`Exchange::tell`].
pub(crate) struct Asked {
    /// To be given back.
    pub(crate) transaction: TransactionId,
    /// What is asked.
    pub(crate) request: Box<Request>,
    /// By whom.
    pub(crate) source: Source,
}

/// What comes to us from outside.
pub(crate) struct Callers {
    /// Calls.
    pub(crate) incoming: mpsc::Receiver<Incoming>,
    /// Requests outside of calls.
    pub(crate) asked: mpsc::Receiver<Asked>,
}

/// What leads to the world.
pub(crate) struct Lines {
    /// The sockets.
    pub(crate) net: Net,
    /// What comes in by them.
    pub(crate) events: mpsc::Receiver<Event>,
    /// Looks names up.
    pub(crate) resolver: Resolver,
    /// Those who may be known by what they show.
    pub(crate) trunks: Vec<Trunk>,
}

/// Starts the task; it ends with the last [`Exchange`].
pub(crate) fn start(
    endpoint: Endpoint,
    lines: Lines,
    guard: Arc<Mutex<super::desk::Desk>>,
    clock: Clock,
) -> (Exchange, Callers) {
    let Lines { net, events, resolver, trunks } = lines;
    let (wishes, inbox) = mpsc::channel(WISHES_MAX);
    let (to_incoming, incoming) = mpsc::channel(INCOMING_MAX);
    let (to_asked, asked) = mpsc::channel(ASKED_MAX);
    let exchange =
        Exchange { wishes, next_call: Arc::new(AtomicU64::new(1)), next_request: Arc::new(AtomicU64::new(1)) };
    let (to_resolved, resolved) = mpsc::channel(RESOLVED_MAX);
    let desk = Desk {
        endpoint,
        net,
        resolver,
        trunks,
        to_resolved,
        guard,
        clock,
        mailboxes: BTreeMap::new(),
        answers: BTreeMap::new(),
        to_incoming,
        to_asked,
        // Weak, so that the task ends when nobody else has a wish.
        wishes: exchange.wishes.downgrade(),
        ids: (exchange.next_call.clone(), exchange.next_request.clone()),
    };
    tokio::spawn(desk.run(events, inbox, resolved));
    (exchange, Callers { incoming, asked })
}

impl Exchange {
    /// Places a call.
    pub(crate) async fn place(&self, invite: Invite) -> Dialog {
        let id = CallId::Placed(self.next_call.fetch_add(1, Ordering::Relaxed));
        let (mailbox, events) = mpsc::channel(MAILBOX);
        // An exchange that is gone drops the mailbox, which reads as a call that ended.
        let _ = self.wishes.send(Wish::Place(id, Box::new(invite), mailbox)).await;
        Dialog { id, events, exchange: self.clone(), is_over: false }
    }

    /// Asks something outside of a call.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn ask(&self, request: OutOfDialog) -> Result<Box<Response>, Failure> {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let _ = self.wishes.send(Wish::Ask(id, Box::new(request), reply)).await;
        answer.await.unwrap_or(Err(Failure::TransportFailed))
    }

    /// Takes no new call from now on; those that are on go on.
    pub(crate) async fn drain(&self) {
        self.tell(Input::Drain(true)).await;
    }

    /// Tells the endpoint.
    pub(crate) async fn tell(&self, input: Input) {
        // Nobody is there to be told any more: every call has ended.
        let _ = self.wishes.send(Wish::Tell(input)).await;
    }
}

/// One call over SIP, as its task holds it. Dropping it hangs up.
pub(crate) struct Dialog {
    id: CallId,
    events: mpsc::Receiver<CallEvent>,
    exchange: Exchange,
    is_over: bool,
}

impl Dialog {
    /// Which call.
    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    /// What happens; the last is [`CallEvent::Ended`], and after it there is nothing. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<CallEvent> {
        if self.is_over {
            return None;
        }
        let event = self.events.recv().await;
        self.is_over = matches!(event, Some(CallEvent::Ended { .. }) | None);
        // A mailbox that was taken away belongs to a call that was ended.
        Some(event.unwrap_or(CallEvent::Ended { why: Ended::HungUp }))
    }

    /// Does something in the call.
    pub(crate) async fn tell(&self, command: Command) {
        self.exchange.tell(Input::Call { call: self.id, command }).await;
    }
}

impl Drop for Dialog {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let hang_up = Wish::Tell(Input::Call { call: self.id, command: Command::Hangup { reason: None } });
        if let Err(mpsc::error::TrySendError::Full(hang_up)) = self.exchange.wishes.try_send(hang_up) {
            let wishes = self.exchange.wishes.clone();
            tokio::spawn(async move { wishes.send(hang_up).await });
        }
    }
}

/// Answers of the resolver that wait.
const RESOLVED_MAX: usize = 64;

/// The task.
struct Desk {
    endpoint: Endpoint,
    net: Net,
    resolver: Resolver,
    trunks: Vec<Trunk>,
    to_resolved: mpsc::Sender<Input>,
    guard: Arc<Mutex<super::desk::Desk>>,
    clock: Clock,
    mailboxes: BTreeMap<CallId, mpsc::Sender<CallEvent>>,
    answers: BTreeMap<RequestId, oneshot::Sender<Result<Box<Response>, Failure>>>,
    to_incoming: mpsc::Sender<Incoming>,
    to_asked: mpsc::Sender<Asked>,
    wishes: mpsc::WeakSender<Wish>,
    ids: (Arc<AtomicU64>, Arc<AtomicU64>),
}

impl Desk {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut inbox: mpsc::Receiver<Wish>,
        mut resolved: mpsc::Receiver<Input>,
    ) {
        loop {
            let deadline = self.endpoint.next_deadline();
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe all. Wishes first: a hang-up is not to wait behind a flood of messages.
            tokio::select! {
                biased;
                wish = inbox.recv() => match wish {
                    Some(wish) => self.wished(wish),
                    None => return,
                },
                () = due => self.handle(Input::Tick),
                Some(input) = resolved.recv() => self.handle(input),
                event = events.recv() => match event {
                    Some(event) => self.came(event),
                    None => return,
                },
            }
        }
    }

    fn wished(&mut self, wish: Wish) {
        match wish {
            Wish::Tell(input) => self.handle(input),
            Wish::Place(call, invite, mailbox) => {
                self.mailboxes.insert(call, mailbox);
                self.handle(Input::Call { call, command: Command::Invite(invite) });
            }
            Wish::Ask(id, request, reply) => {
                self.answers.insert(id, reply);
                self.handle(Input::Request { id, request });
            }
        }
    }

    fn came(&mut self, event: Event) {
        match event {
            Event::Received { message, source } => {
                if self.is_welcome(&message, &source) {
                    self.handle(Input::Received { message, source });
                }
            }
            Event::Failed { target } => self.handle(Input::TransportFailed { target }),
        }
    }

    /// Whoever tried too many numbers or passwords is not answered for a while, outside of the calls that it has.
    fn is_welcome(&self, message: &Message, source: &Source) -> bool {
        let Message::Request(request) = message else { return true };
        let is_in_dialog = request.headers.to().is_ok_and(|to| to.tag().is_some());
        if is_in_dialog || matches!(request.method, Method::Ack | Method::Cancel) {
            return true;
        }
        let now = self.now();
        let is_answered = self.guard.lock().unwrap_or_else(PoisonError::into_inner).answers(source.remote.ip(), now);
        // Whoever forges the address of a trunk over UDP does not show its certificate.
        is_answered || trunks::certified(&self.net, &self.trunks, source).is_some()
    }

    fn handle(&mut self, input: Input) {
        self.endpoint.handle(self.now(), input);
        // What a stuck call leads to is told the endpoint at once, so that no list of it grows.
        while let Some(output) = self.endpoint.poll_output() {
            if let Some(back) = self.carry_out(output) {
                self.endpoint.handle(self.now(), back);
            }
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Carries something out; what the endpoint is to be told of it.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Transmit { bytes, target } => {
                let sent = self.net.send(bytes, &target);
                sent.is_err().then_some(Input::TransportFailed { target })
            }
            Output::Resolve { token, host, port, protocol } => {
                self.resolver.resolve(token, host, port, protocol, self.to_resolved.clone())
            }
            Output::Call { call, event } => self.happened(call, event),
            Output::Asked { transaction, request, source } => {
                let asked = Asked { transaction, request, source };
                let is_full = self.to_asked.try_send(asked).is_err();
                is_full.then(|| Input::Respond { transaction, status: 503, headers: retry_after(5), body: None })
            }
            Output::Responded { id, result } => {
                if let Some(reply) = self.answers.remove(&id) {
                    // Whoever asked may have lost interest.
                    let _ = reply.send(result);
                }
                None
            }
        }
    }

    fn happened(&mut self, call: CallId, event: CallEvent) -> Option<Input> {
        if let CallEvent::Invited { request, source, offer, replaces, .. } = event {
            let exchange = Exchange {
                wishes: self.wishes.upgrade()?,
                next_call: self.ids.0.clone(),
                next_request: self.ids.1.clone(),
            };
            let (mailbox, events) = mpsc::channel(MAILBOX);
            self.mailboxes.insert(call, mailbox);
            let dialog = Dialog { id: call, events, exchange, is_over: false };
            let incoming = Incoming { dialog, request, source, offer, replaces };
            let refused = self.to_incoming.try_send(incoming).err()?;
            self.mailboxes.remove(&call);
            let (mpsc::error::TrySendError::Full(mut incoming) | mpsc::error::TrySendError::Closed(mut incoming)) =
                refused;
            incoming.dialog.is_over = true;
            return Some(Input::Call { call, command: Command::Reject { status: 503, headers: retry_after(5) } });
        }
        let is_last = matches!(event, CallEvent::Ended { .. });
        let mailbox = self.mailboxes.get(&call)?;
        let delivered = mailbox.try_send(event);
        if is_last {
            self.mailboxes.remove(&call);
        }
        match delivered {
            Err(mpsc::error::TrySendError::Full(_)) if !is_last => {
                tracing::error!(?call, "the task of a call does not read its events: the call is ended");
                metrics::counter!("harmony_drops_total", "crossing" => "sip_events").increment(1);
                self.mailboxes.remove(&call);
                Some(Input::Call { call, command: Command::Hangup { reason: None } })
            }
            _ => None,
        }
    }
}
