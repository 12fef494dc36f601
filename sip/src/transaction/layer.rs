//! The transactions that run, and how messages find them.
//!
//! What it sends is taken out with [`Layer::poll_transmit`] after each call; what its user must know, with
//! [`Layer::tick`]. A message that matches nothing is the user's to judge.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;

use super::{
    Again, Client, ClientInvite, Deadlines, Heard, Server, ServerInvite, Ticked, Timing,
    hop::{ack_of_refusal, cancel_of},
    key::{ClientKey, ServerKey},
};
use crate::{
    message::{MalformedHeader, Method, Request, Response, Uri},
    transport::Target,
};

/// A transaction of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(u64);

/// A transaction of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId(u64);

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// A whole message.
    pub bytes: Bytes,
    /// Where to.
    pub target: Target,
}

/// What became of a request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// It had been here before, or was the ACK of a refusal: all is done.
    Absorbed,
    /// It is new: open a transaction with [`Layer::serve`], or answer without one.
    New,
    /// An ACK for an INVITE that was accepted.
    Ack,
}

/// What the user must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// No final response came to a request of ours.
    Unanswered(ClientId),
    /// Nothing more will come to a request of ours.
    ClientOver(ClientId),
    /// A request of somebody else's will not come again.
    ServerOver(ServerId),
}

/// All transactions.
#[derive(Debug)]
pub struct Layer {
    timing: Timing,
    clients: BTreeMap<ClientId, Asking>,
    servers: BTreeMap<ServerId, Serving>,
    client_ids: BTreeMap<ClientKey, ClientId>,
    server_ids: BTreeMap<ServerKey, ServerId>,
    deadlines: Deadlines<Id>,
    transmits: VecDeque<Transmit>,
    notices: VecDeque<Notice>,
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Client(ClientId),
    Server(ServerId),
}

#[derive(Debug)]
struct Asking {
    key: ClientKey,
    machine: ClientMachine,
    target: Target,
    /// The request, as sent.
    bytes: Bytes,
    /// Of an INVITE: what its ACK and CANCEL are made of.
    invite: Option<Box<Request>>,
    ack: Option<Bytes>,
}

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

#[derive(Debug)]
struct Serving {
    key: ServerKey,
    machine: ServerMachine,
    target: Target,
    /// The last response, as sent. An INVITE begins with its 100.
    bytes: Option<Bytes>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

impl Layer {
    /// No transactions.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            client_ids: BTreeMap::new(),
            server_ids: BTreeMap::new(),
            deadlines: Deadlines::new(),
            transmits: VecDeque::new(),
            notices: VecDeque::new(),
            next: 0,
        }
    }

    /// How many transactions run.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When [`Layer::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// What is to be sent, in order.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Sends a request whose topmost Via has a fresh branch, and sees to it. Not for ACK.
    ///
    /// # Errors
    /// When the Via cannot be read; nothing is sent.
    pub fn ask(&mut self, now: Instant, request: &Request, target: Target) -> Result<ClientId, MalformedHeader> {
        let key = ClientKey::of_request(request)?;
        let id = ClientId(self.next_number());
        let is_reliable = target.protocol.is_reliable();
        let is_invite = request.method == Method::Invite;
        let machine = match is_invite {
            true => ClientMachine::Invite(ClientInvite::new(now, self.timing, is_reliable)),
            false => ClientMachine::Other(Client::new(now, self.timing, is_reliable)),
        };
        let bytes = request.to_bytes();
        let invite = is_invite.then(|| Box::new(Request { body: Bytes::new(), ..request.clone() }));
        self.transmits.push_back(Transmit { bytes: bytes.clone(), target: target.clone() });
        self.client_ids.insert(key.clone(), id);
        self.deadlines.set(Id::Client(id), machine.deadline());
        self.clients.insert(id, Asking { key, machine, target, bytes, invite, ack: None });
        Ok(id)
    }

    /// Takes a response; the transaction whose user must know of it, if any.
    pub fn hear_response(&mut self, now: Instant, response: &Response) -> Option<ClientId> {
        let key = ClientKey::of_response(response).ok()?;
        let id = *self.client_ids.get(&key)?;
        let asking = self.clients.get_mut(&id)?;
        let heard = match &mut asking.machine {
            ClientMachine::Invite(machine) => machine.hear(now, response.status),
            ClientMachine::Other(machine) => machine.hear(now, response.status),
        };
        if heard == Heard::TellAndAck {
            asking.ack = asking.invite.as_ref().map(|invite| ack_of_refusal(invite, response).to_bytes());
        }
        if matches!(heard, Heard::TellAndAck | Heard::AckAgain)
            && let Some(bytes) = asking.ack.clone()
        {
            self.transmits.push_back(Transmit { bytes, target: asking.target.clone() });
        }
        if asking.machine.is_answered() {
            // It is not sent again.
            asking.bytes = Bytes::new();
        }
        self.settle_client(id);
        matches!(heard, Heard::Tell | Heard::TellAndAck).then_some(id)
    }

    /// The CANCEL for an INVITE that rings; `None` while nothing was heard, or when it was answered.
    pub fn cancel(&mut self, now: Instant, id: ClientId) -> Option<(Request, Target)> {
        let asking = self.clients.get_mut(&id)?;
        let ClientMachine::Invite(machine) = &mut asking.machine else { return None };
        if !machine.is_heard() || machine.is_answered() {
            return None;
        }
        machine.cancelled(now);
        let cancel = cancel_of(asking.invite.as_ref()?);
        let target = asking.target.clone();
        self.settle_client(id);
        Some((cancel, target))
    }

    /// Gives up all that was sent to where nothing arrives any more; who is not answered yet.
    pub fn transport_failed(&mut self, target: &Target) -> Vec<ClientId> {
        let is_meant = |asking: &Asking| {
            asking.target.protocol == target.protocol
                && asking.target.address == target.address
                && (target.connection.is_none()
                    || asking.target.connection.is_none_or(|is| Some(is) == target.connection))
        };
        let failed: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, asking)| is_meant(asking) && !asking.machine.is_answered())
            .map(|(id, _)| *id)
            .collect();
        failed.iter().for_each(|id| self.forget(*id));
        failed
    }

    /// Drops a transaction of ours without a word.
    pub fn forget(&mut self, id: ClientId) {
        if let Some(asking) = self.clients.remove(&id) {
            self.client_ids.remove(&asking.key);
            self.deadlines.set(Id::Client(id), None);
        }
    }

    /// Looks where a request belongs.
    ///
    /// # Errors
    /// When its Via, or what takes its place, cannot be read.
    pub fn hear_request(&mut self, now: Instant, request: &Request) -> Result<Matched, MalformedHeader> {
        let key = ServerKey::of(request)?;
        let is_ack = request.method == Method::Ack;
        let unmatched = if is_ack { Matched::Ack } else { Matched::New };
        let Some(id) = self.server_ids.get(&key).copied() else { return Ok(unmatched) };
        let Some(serving) = self.servers.get_mut(&id) else { return Ok(unmatched) };
        let again = match &mut serving.machine {
            ServerMachine::Invite(machine) if is_ack => {
                let matched = if machine.acked(now) { Matched::Absorbed } else { Matched::Ack };
                self.settle_server(id);
                return Ok(matched);
            }
            ServerMachine::Invite(machine) => machine.hear_again(),
            ServerMachine::Other(machine) => machine.hear_again(),
        };
        if again == Again::Resend
            && let Some(bytes) = serving.bytes.clone()
        {
            self.transmits.push_back(Transmit { bytes, target: serving.target.clone() });
        }
        Ok(Matched::Absorbed)
    }

    /// The INVITE that a CANCEL means; `None` where there is none.
    pub fn cancelled_by(&self, request: &Request) -> Option<ServerId> {
        self.server_ids.get(&ServerKey::cancelled_by(request).ok()?).copied()
    }

    /// Whether an INVITE of ours has that branch and Request-URI: it came back as it was sent.
    pub fn has_sent(&self, branch: &str, method: &Method, uri: &Uri) -> bool {
        let asking = self.client_ids.get(&ClientKey::new(branch, method)).and_then(|id| self.clients.get(id));
        asking.and_then(|asking| asking.invite.as_ref()).is_some_and(|invite| invite.uri == *uri)
    }

    /// Opens a transaction for a request that is [`Matched::New`]; responses go to `target`.
    ///
    /// # Errors
    /// When its Via, or what takes its place, cannot be read.
    pub fn serve(&mut self, now: Instant, request: &Request, target: Target) -> Result<ServerId, MalformedHeader> {
        let key = ServerKey::of(request)?;
        let id = ServerId(self.next_number());
        let is_reliable = target.protocol.is_reliable();
        let (machine, bytes) = match request.method {
            Method::Invite => {
                let machine = ServerInvite::new(now, self.timing, is_reliable);
                (ServerMachine::Invite(machine), Some(request.respond(100).to_bytes()))
            }
            _ => (ServerMachine::Other(Server::new(self.timing, is_reliable)), None),
        };
        self.deadlines.set(Id::Server(id), machine.deadline());
        self.server_ids.insert(key.clone(), id);
        self.servers.insert(id, Serving { key, machine, target, bytes });
        Ok(id)
    }

    /// Sends a response; `false` where the request was answered before or is forgotten.
    pub fn respond(&mut self, now: Instant, id: ServerId, response: &Response) -> bool {
        let Some(serving) = self.servers.get_mut(&id) else { return false };
        let may = match &mut serving.machine {
            ServerMachine::Invite(machine) => machine.respond(now, response.status),
            ServerMachine::Other(machine) => machine.respond(now, response.status),
        };
        if may {
            let bytes = response.to_bytes();
            serving.bytes = Some(bytes.clone());
            self.transmits.push_back(Transmit { bytes, target: serving.target.clone() });
            if let ServerMachine::Invite(machine) = &serving.machine
                && (200..300).contains(&response.status)
            {
                debug_assert!(machine.is_answered());
                // Whoever accepted sends it again until the ACK comes.
                serving.bytes = None;
            }
            self.settle_server(id);
        }
        may
    }

    /// Where responses to a request go.
    pub fn reply_target(&self, id: ServerId) -> Option<&Target> {
        self.servers.get(&id).map(|serving| &serving.target)
    }

    /// Does what is due and says, one by one, what the user must know; `None` when nothing is due any more.
    pub fn tick(&mut self, now: Instant) -> Option<Notice> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Some(notice);
            }
            match self.deadlines.pop_due(now)? {
                Id::Client(id) => self.tick_client(now, id),
                Id::Server(id) => self.tick_server(now, id),
            }
        }
    }

    fn tick_client(&mut self, now: Instant, id: ClientId) {
        let Some(asking) = self.clients.get_mut(&id) else { return };
        let ticked = match &mut asking.machine {
            ClientMachine::Invite(machine) => machine.tick(now),
            ClientMachine::Other(machine) => machine.tick(now),
        };
        match ticked {
            Ticked::Resend => {
                self.transmits.push_back(Transmit { bytes: asking.bytes.clone(), target: asking.target.clone() });
            }
            Ticked::TimedOut => self.notices.push_back(Notice::Unanswered(id)),
            Ticked::Nothing | Ticked::Trying | Ticked::Over => {}
        }
        self.settle_client(id);
    }

    fn tick_server(&mut self, now: Instant, id: ServerId) {
        let Some(serving) = self.servers.get_mut(&id) else { return };
        let ticked = match &mut serving.machine {
            ServerMachine::Invite(machine) => machine.tick(now),
            ServerMachine::Other(machine) => machine.tick(now),
        };
        if matches!(ticked, Ticked::Resend | Ticked::Trying)
            && let Some(bytes) = serving.bytes.clone()
        {
            self.transmits.push_back(Transmit { bytes, target: serving.target.clone() });
        }
        self.settle_server(id);
    }

    /// Sets the deadline anew, or forgets what is over.
    fn settle_client(&mut self, id: ClientId) {
        let Some(asking) = self.clients.get(&id) else { return };
        if asking.machine.is_over() {
            self.forget(id);
            self.notices.push_back(Notice::ClientOver(id));
        } else {
            self.deadlines.set(Id::Client(id), asking.machine.deadline());
        }
    }

    fn settle_server(&mut self, id: ServerId) {
        let Some(serving) = self.servers.get(&id) else { return };
        if !serving.machine.is_over() {
            self.deadlines.set(Id::Server(id), serving.machine.deadline());
        } else if let Some(serving) = self.servers.remove(&id) {
            self.server_ids.remove(&serving.key);
            self.deadlines.set(Id::Server(id), None);
            self.notices.push_back(Notice::ServerOver(id));
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl ClientMachine {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_over(),
            Self::Other(machine) => machine.is_over(),
        }
    }

    fn is_answered(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_answered(),
            Self::Other(machine) => machine.is_answered(),
        }
    }
}

impl ServerMachine {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_over(),
            Self::Other(machine) => machine.is_over(),
        }
    }
}
