//! A trunk: whether its servers are there, which of them to call by, and our registration with it.
//!
//! Each server is asked by OPTIONS now and then, and what calls find out counts too. Three failures in a row make it
//! down, two successes make it up again, so that one lost answer changes nothing. On streams a pair of line breaks
//! keeps the way open (RFC 5626 section 3.5.1), and where the server answers them, silence means that the connection is
//! dead. Calls go by the first server that is up; when none is, all are tried in order rather than none.
//!
//! Pure: told the time and the answers; after each call take everything out of [`Trunk::poll`], and come back with
//! [`Trunk::tick`] by [`Trunk::deadline`]. Each server has at most one request under way, and one output of a kind.

mod health;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::health::{Change, Health};
use crate::{
    message::{Headers, Method, NameAddr, Request, Response, Uri},
    registration::{self, Registration},
};

/// What a trunk is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is, best first; at least one.
    pub servers: Vec<Uri>,
    /// Who asks by OPTIONS: `sip:user@domain`, or `sip:domain`.
    pub from: Uri,
    /// How often each server is asked; `None` never asks.
    pub options_every: Option<Duration>,
    /// On streams: how often line breaks are sent; `None` on UDP.
    pub pulse_every: Option<Duration>,
    /// Our registration with it, at the same servers.
    pub registration: Option<registration::Config>,
}

/// What is to be done, or what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this request to the server, and tell the answer with [`Trunk::responded`].
    Ask {
        /// To be given back.
        id: AskId,
        /// All but Via, Max-Forwards and From's tag, and Call-ID and CSeq where they are missing.
        request: Box<Request>,
        /// The user part of the Contact that the request needs; `None` where it needs none.
        contact_user: Option<String>,
    },
    /// Send CR LF CR LF on the connection to the server, if there is one.
    Pulse {
        /// Which.
        server: usize,
    },
    /// Close the connection to the server: it is dead.
    Close {
        /// Which.
        server: usize,
    },
    /// The server is up again.
    Up {
        /// Which.
        server: usize,
    },
    /// The server is down.
    Down {
        /// Which.
        server: usize,
    },
}

/// A request of a [`Trunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskId {
    /// OPTIONS.
    Options {
        /// To which server.
        server: usize,
        /// Which of them.
        number: u64,
    },
    /// REGISTER.
    Register(registration::AskId),
}

/// A trunk.
#[derive(Debug)]
pub struct Trunk {
    config: Config,
    rng: StdRng,
    health: Vec<Health>,
    registration: Option<Registration>,
    outputs: VecDeque<Output>,
    next_number: u64,
    is_stopping: bool,
}

impl Trunk {
    /// Asks all servers and registers, beginning now. The seed must not be guessed.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let registration = config.registration.clone().map(|config| {
            let mut registration = Registration::new(config, rng.random());
            registration.start(now);
            registration
        });
        let pulse_at = config.pulse_every.map(|every| now + every);
        let health = config.servers.iter().map(|_| Health::new(config.options_every.map(|_| now), pulse_at)).collect();
        let mut trunk =
            Self { config, rng, health, registration, outputs: VecDeque::new(), next_number: 0, is_stopping: false };
        trunk.tick(now);
        trunk
    }

    /// The time has come that [`Self::deadline`] named, or any other.
    pub fn tick(&mut self, now: Instant) {
        if let Some(registration) = &mut self.registration {
            registration.tick(now);
        }
        for server in 0..self.health.len() {
            self.tick_server(server, now);
        }
        self.collect();
    }

    /// The final answer to a request; `None` when there is none.
    pub fn responded(&mut self, id: AskId, response: Option<&Response>, now: Instant) {
        match id {
            AskId::Register(id) => {
                let Some(registration) = &mut self.registration else { return };
                let server = registration.status().server;
                registration.responded(id, response, now);
                // Where nobody asks by OPTIONS, registering tells who is there.
                if self.config.options_every.is_none() && !self.is_stopping {
                    let change = self.health[server].judge(is_alive(response), now);
                    self.changed(server, change, now);
                }
            }
            AskId::Options { server, number } => {
                let Some(health) = self.health.get_mut(server) else { return };
                if health.asked == Some(number) {
                    health.asked = None;
                    let change = health.judge(is_alive(response), now);
                    let next = if health.is_in_doubt() { DOUBT } else { self.config.options_every.unwrap_or(RETRY) };
                    health.ask_at = self.config.options_every.map(|_| now + jittered(next, &mut self.rng));
                    self.changed(server, change, now);
                }
            }
        }
        self.collect();
    }

    /// What a call by the server found out: it answered, whatever it said, or it did not, or was full (503).
    pub fn found(&mut self, server: usize, is_there: bool, now: Instant) {
        let Some(health) = self.health.get_mut(server) else { return };
        let change = health.judge(is_there, now);
        if !is_there && self.config.options_every.is_some() && health.asked.is_none() {
            // Ask at once rather than let the next call find out.
            health.ask_at = Some(now);
        }
        self.changed(server, change, now);
        self.tick(now);
    }

    /// The server sent something on its connection: a lone CR LF, which answers a pulse, or anything else.
    pub fn heard(&mut self, server: usize, is_pong: bool) {
        if let Some(health) = self.health.get_mut(server) {
            health.pulses.heard(is_pong);
        }
    }

    /// The connection to the server is gone.
    pub fn lost(&mut self, server: usize, now: Instant) {
        if let Some(health) = self.health.get_mut(server) {
            health.pulses.forget(self.config.pulse_every.map(|every| now + every));
        }
        if let Some(registration) = &mut self.registration
            && registration.status().server == server
        {
            registration.lost(now);
        }
        self.collect();
    }

    /// Asks no more, and takes leave where we are registered. Done when [`Self::is_done`].
    pub fn stop(&mut self, now: Instant) {
        self.is_stopping = true;
        for health in &mut self.health {
            (health.ask_at, health.asked, health.retry_at) = (None, None, None);
            health.pulses.forget(None);
        }
        if let Some(registration) = &mut self.registration {
            registration.stop(now);
        }
        self.collect();
    }

    /// Whether all leave is taken.
    pub fn is_done(&self) -> bool {
        let is_off = |registration: &Registration| registration.status().phase == registration::Phase::Off;
        self.is_stopping && self.registration.as_ref().is_none_or(is_off)
    }

    /// What is to be done; empty it after each call.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::tick`] must be called.
    pub fn deadline(&self) -> Option<Instant> {
        let registration = self.registration.as_ref().and_then(Registration::deadline);
        self.health.iter().filter_map(Health::deadline).chain(registration).min()
    }

    /// The servers in the order in which a call should try them: those that are up; when none is, all of them.
    pub fn order(&self) -> Vec<usize> {
        let up: Vec<usize> = (0..self.health.len()).filter(|&server| self.health[server].is_up()).collect();
        if up.is_empty() { (0..self.health.len()).collect() } else { up }
    }

    /// Whether any server is up.
    pub fn is_up(&self) -> bool {
        self.health.iter().any(Health::is_up)
    }

    /// How our registration fares, where there is one.
    pub fn registration(&self) -> Option<registration::Status> {
        self.registration.as_ref().map(Registration::status)
    }

    /// Proxies that calls must pass through, as the registrar said (RFC 3608).
    pub fn service_route(&self) -> &[NameAddr] {
        self.registration.as_ref().map_or(&[], Registration::service_route)
    }

    fn tick_server(&mut self, server: usize, now: Instant) {
        let health = &mut self.health[server];
        if health.retry_at.is_some_and(|at| now >= at) {
            let change = health.give_another_chance();
            self.changed(server, change, now);
        }
        let health = &mut self.health[server];
        if health.ask_at.is_some_and(|at| now >= at) && health.asked.is_none() {
            self.next_number += 1;
            health.asked = Some(self.next_number);
            health.ask_at = None;
            let request = Box::new(self.options(server));
            let id = AskId::Options { server, number: self.next_number };
            self.outputs.push_back(Output::Ask { id, request, contact_user: None });
        }
        let Some(every) = self.config.pulse_every else { return };
        match self.health[server].pulses.tick(every, now) {
            health::Beat::Nothing => {}
            health::Beat::Send => self.outputs.push_back(Output::Pulse { server }),
            health::Beat::Dead => self.outputs.push_back(Output::Close { server }),
        }
    }

    fn changed(&mut self, server: usize, change: Change, now: Instant) {
        match change {
            Change::None => return,
            Change::Up => self.outputs.push_back(Output::Up { server }),
            Change::Down => self.outputs.push_back(Output::Down { server }),
        }
        // The registration goes where calls go.
        if let (Some(registration), Some(best)) = (&mut self.registration, self.health.iter().position(Health::is_up)) {
            registration.prefer(best, now);
        }
        self.collect();
    }

    fn collect(&mut self) {
        if let Some(ask) = self.registration.as_mut().and_then(Registration::poll) {
            self.outputs.push_back(Output::Ask {
                id: AskId::Register(ask.id),
                request: Box::new(ask.request),
                contact_user: Some(ask.contact_user),
            });
        }
    }

    fn options(&self, server: usize) -> Request {
        let uri = self.config.servers[server].clone();
        let mut headers = Headers::new();
        headers.push("From", NameAddr::new(self.config.from.clone()).to_string());
        headers.push("To", NameAddr::new(uri.clone()).to_string());
        headers.push("Accept", "application/sdp");
        Request { method: Method::Options, uri, headers, body: Bytes::new() }
    }
}

/// Whether the server can take calls: any answer shows it, but that it is full, going down, or a proxy without one.
fn is_alive(response: Option<&Response>) -> bool {
    response.is_some_and(|response| !matches!(response.status, 408 | 502 | 503 | 504))
}

/// Up to a tenth sooner, so that many trunks do not ask at once.
fn jittered(span: Duration, rng: &mut StdRng) -> Duration {
    span.mul_f64(rng.random_range(0.9..=1.0))
}

/// In doubt a server is asked again soon: it is known to be down after three answers that did not come.
const DOUBT: Duration = Duration::from_secs(5);

/// Where nobody asks, one that is down is called again after this time.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
