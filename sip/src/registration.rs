//! Our own registration at somebody else's registrar, for a trunk that must know where we are (RFC 3261 section 10.2).
//!
//! Registers, proves the password, refreshes long before the time is up, goes to the next server when one does not
//! answer, waits longer after each failure (RFC 5626 section 4.5), and takes its leave at the end. Pure: told the time
//! and the answers, asks with [`Registration::poll`]; chance comes from a seed. After each call take everything out of
//! `poll`, and come back with [`Registration::tick`] by [`Registration::deadline`]. At most one request is under way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    auth::{Credentials, Prover, Unanswerable},
    message::{Headers, Method, NameAddr, Params, Request, Response, Uri},
};

/// What to register, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are there: `sip:user@domain`, From and To of the REGISTER.
    pub aor: Uri,
    /// The registrars, best first: each becomes the Request-URI. At least one.
    pub servers: Vec<Uri>,
    /// The user part of our Contact.
    pub contact_user: String,
    /// For a challenge.
    pub credentials: Option<Credentials>,
    /// How long a registration should last.
    pub expires: Duration,
}

/// A request that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// To be given back with the answer.
    pub id: AskId,
    /// All but Via and Contact.
    pub request: Request,
    /// The user part of the Contact that the request needs.
    pub contact_user: String,
    /// Which of the servers it is for.
    pub server: usize,
}

/// A request of a [`Registration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(u64);

/// How the registration fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not begun, or ended.
    Off,
    /// A REGISTER is under way.
    Asking,
    /// Registered, until the refresh.
    Registered,
    /// Something failed; it is tried again later.
    Waiting,
    /// Taking its leave.
    Leaving,
}

/// Why a REGISTER came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The server is silent, or cannot be reached.
    #[error("the server does not answer")]
    NoAnswer,
    /// The server refused with this status.
    #[error("the server refused with {0}")]
    Status(u16),
    /// The server wants a password and none is configured.
    #[error("the server asks for a password and none is configured")]
    NoCredentials,
    /// The server's challenge cannot be answered, or the answer was not taken.
    #[error("the server's challenge: {0}")]
    Credentials(Unanswerable),
}

/// How the registration fares, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Which server it is at, or is tried.
    pub server: usize,
    /// Until when the server sends us calls.
    pub registered_until: Option<Instant>,
    /// Rounds over all servers that failed in a row.
    pub failures: u32,
    /// What failed last, if nothing succeeded since.
    pub failed: Option<Failed>,
    /// When it is tried again.
    pub retry_at: Option<Instant>,
}

/// A registration.
#[derive(Debug)]
pub struct Registration {
    config: Config,
    rng: StdRng,
    prover: Option<Prover>,
    call_id: String,
    /// Of From: one who is challenged and asks again is the same (RFC 3261 section 22.2).
    tag: String,
    cseq: u32,
    state: State,
    /// The one to try first.
    preferred: usize,
    server: usize,
    /// Servers of this round that failed.
    tried: usize,
    /// How long a registration should last; longer than configured where the server said so (423).
    wanted: Duration,
    was_brief: bool,
    until: Option<Instant>,
    registered_at: Option<Instant>,
    failures: u32,
    failed: Option<Failed>,
    service_route: Vec<NameAddr>,
    next_id: u64,
    outbox: Option<Ask>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Asking(AskId),
    Registered { refresh_at: Instant },
    Waiting { retry_at: Instant },
    Leaving { id: AskId, was_challenged: bool },
}

impl Registration {
    /// Asks nothing before [`Self::start`]. The seed must not be guessed.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        Self {
            prover: config.credentials.clone().map(Prover::new),
            call_id: word(&mut rng),
            tag: word(&mut rng),
            cseq: rng.random_range(1..100_000),
            state: State::Off,
            preferred: 0,
            server: 0,
            tried: 0,
            wanted: config.expires,
            was_brief: false,
            until: None,
            registered_at: None,
            failures: 0,
            failed: None,
            service_route: Vec::new(),
            next_id: 0,
            outbox: None,
            config,
            rng,
        }
    }

    /// Begins to register.
    pub fn start(&mut self, now: Instant) {
        if self.state == State::Off {
            self.begin_round(now);
        }
    }

    /// The time has come that [`Self::deadline`] named, or any other.
    pub fn tick(&mut self, now: Instant) {
        let due = match self.state {
            State::Registered { refresh_at } => refresh_at,
            State::Waiting { retry_at } => retry_at,
            State::Off | State::Asking(_) | State::Leaving { .. } => return,
        };
        if now >= due {
            match self.state {
                // A refresh goes where the registration is; only a failure leads elsewhere.
                State::Registered { .. } => {
                    self.tried = 0;
                    self.ask(now);
                }
                _ => self.begin_round(now),
            }
        }
    }

    /// The final answer to a request; `None` when there is none. Answers to what is no longer under way are ignored.
    pub fn responded(&mut self, id: AskId, response: Option<&Response>, now: Instant) {
        match self.state {
            State::Asking(asked) if asked == id => match response {
                None => self.server_failed(Failed::NoAnswer, None, now),
                Some(response) => self.answered(response, now),
            },
            State::Leaving { id: asked, was_challenged } if asked == id => {
                let challenge = response.filter(|response| matches!(response.status, 401 | 407) && !was_challenged);
                let is_answered = match (challenge, &mut self.prover) {
                    (Some(challenge), Some(prover)) => prover.challenged(challenge).is_ok(),
                    _ => false,
                };
                if is_answered {
                    let id = self.send(Duration::ZERO);
                    self.state = State::Leaving { id, was_challenged: true };
                } else {
                    self.left();
                }
            }
            _ => {}
        }
    }

    /// The connection by which the server would send calls is gone: registers anew, at once if the last one held.
    pub fn lost(&mut self, now: Instant) {
        let State::Registered { .. } = self.state else { return };
        self.until = None;
        let held = self.registered_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if held >= STEADY {
            self.begin_round(now);
        } else {
            self.round_failed(Failed::NoAnswer, None, now);
        }
    }

    /// Another server is the one to be at: registers there, now unless a request is under way.
    pub fn prefer(&mut self, server: usize, now: Instant) {
        if server >= self.config.servers.len() {
            return;
        }
        self.preferred = server;
        if matches!(self.state, State::Registered { .. } | State::Waiting { .. }) && self.server != server {
            self.begin_round(now);
        }
    }

    /// Takes leave of the server, as far as it is needed; [`Phase::Off`] tells that it is done.
    pub fn stop(&mut self, now: Instant) {
        let is_there = self.until.is_some_and(|until| now < until) || matches!(self.state, State::Asking(_));
        match self.state {
            State::Leaving { .. } => {}
            _ if is_there => {
                let id = self.send(Duration::ZERO);
                self.state = State::Leaving { id, was_challenged: false };
            }
            _ => self.left(),
        }
    }

    /// The request that is to be sent, if there is one.
    pub fn poll(&mut self) -> Option<Ask> {
        self.outbox.take()
    }

    /// When [`Self::tick`] must be called.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Registered { refresh_at } => Some(refresh_at),
            State::Waiting { retry_at } => Some(retry_at),
            State::Off | State::Asking(_) | State::Leaving { .. } => None,
        }
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        let (phase, retry_at) = match self.state {
            State::Off => (Phase::Off, None),
            State::Asking(_) => (Phase::Asking, None),
            State::Registered { .. } => (Phase::Registered, None),
            State::Waiting { retry_at } => (Phase::Waiting, Some(retry_at)),
            State::Leaving { .. } => (Phase::Leaving, None),
        };
        Status {
            phase,
            server: self.server,
            registered_until: self.until,
            failures: self.failures,
            failed: self.failed,
            retry_at,
        }
    }

    /// Proxies that calls must pass through, as the server said (RFC 3608).
    pub fn service_route(&self) -> &[NameAddr] {
        &self.service_route
    }

    fn answered(&mut self, response: &Response, now: Instant) {
        match response.status {
            200..=299 => self.registered(response, now),
            401 | 407 => match &mut self.prover {
                None => self.round_failed(Failed::NoCredentials, None, now),
                Some(prover) => match prover.challenged(response) {
                    Ok(()) => self.ask(now),
                    Err(why) => self.round_failed(Failed::Credentials(why), None, now),
                },
            },
            423 => {
                let min = response.headers.number("Min-Expires").ok().flatten();
                let min = min.map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into()));
                if self.was_brief || min <= self.wanted || min > EXPIRES_MAX {
                    return self.round_failed(Failed::Status(423), None, now);
                }
                (self.was_brief, self.wanted) = (true, min);
                self.ask(now);
            }
            // Its own trouble, or the network's: another server may be better off.
            408 | 430 | 500..=599 => self.server_failed(Failed::Status(response.status), retry_after(response), now),
            status => self.round_failed(Failed::Status(status), retry_after(response), now),
        }
    }

    fn registered(&mut self, response: &Response, now: Instant) {
        let granted = self.granted(response);
        if granted.is_zero() {
            return self.round_failed(Failed::Status(response.status), None, now);
        }
        self.service_route = response.headers.name_addrs("Service-Route").unwrap_or_default();
        let early = granted.mul_f64(self.rng.random_range(0.0..0.1));
        let after = if granted <= BRIEF { granted / 2 } else { granted - (granted / 4).max(BRIEF / 2) };
        self.state = State::Registered { refresh_at: now + after.saturating_sub(early).max(REFRESH_MIN) };
        self.until = Some(now + granted);
        self.registered_at = Some(now);
        (self.failures, self.failed, self.tried, self.was_brief) = (0, None, 0, false);
    }

    /// How long the server keeps us: what it says of our Contact, else of all, else what we wanted. Of several Contacts
    /// of ours, such as one from before a restart, the shortest counts.
    fn granted(&self, response: &Response) -> Duration {
        let contacts = response.headers.name_addrs("Contact").unwrap_or_default();
        let ours = contacts.iter().filter(|contact| contact.uri.user.as_deref() == Some(&self.config.contact_user));
        let of_ours = ours.filter_map(|contact| contact.params.get("expires").flatten()?.parse::<u32>().ok()).min();
        let seconds = of_ours.or_else(|| response.headers.number("Expires").ok().flatten());
        seconds.map_or(self.wanted, |seconds| Duration::from_secs(seconds.into())).min(EXPIRES_MAX)
    }

    fn begin_round(&mut self, now: Instant) {
        self.server = self.preferred;
        self.tried = 0;
        self.ask(now);
    }

    fn server_failed(&mut self, why: Failed, retry_after: Option<Duration>, now: Instant) {
        self.tried += 1;
        if self.tried >= self.config.servers.len() {
            return self.round_failed(why, retry_after, now);
        }
        self.failed = Some(why);
        self.server = (self.server + 1) % self.config.servers.len();
        self.ask(now);
    }

    fn round_failed(&mut self, why: Failed, retry_after: Option<Duration>, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(why);
        self.was_brief = false;
        if matches!(why, Failed::Credentials(_)) {
            // What was known of challenges did not help; the next round begins without.
            self.prover = self.config.credentials.clone().map(Prover::new);
        }
        let longest = BASE.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        let wait = longest.mul_f64(self.rng.random_range(0.5..=1.0));
        // What is wrong with us does not pass by itself, and whoever asks too often is locked out.
        let is_ours = match why {
            Failed::NoCredentials | Failed::Credentials(_) => true,
            Failed::Status(status) => (400..500).contains(&status) && !matches!(status, 408 | 430 | 480),
            Failed::NoAnswer => false,
        };
        let least = if is_ours { OURS_MIN } else { Duration::ZERO };
        let wait = wait.max(least).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        self.state = State::Waiting { retry_at: now + wait };
    }

    fn ask(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
        }
        let id = self.send(self.wanted);
        self.state = State::Asking(id);
    }

    fn left(&mut self) {
        (self.state, self.until, self.outbox) = (State::Off, None, None);
    }

    fn send(&mut self, expires: Duration) -> AskId {
        self.cseq = (self.cseq + 1) % (1 << 31);
        self.next_id += 1;
        let id = AskId(self.next_id);
        let aor = NameAddr { display: None, uri: self.config.aor.clone(), params: Params::new() };
        let mut from = aor.clone();
        from.params.set("tag", Some(&self.tag));
        let mut headers = Headers::new();
        headers.push("From", from.to_string());
        headers.push("To", aor.to_string());
        headers.push("Call-ID", self.call_id.clone());
        headers.push("CSeq", format!("{} REGISTER", self.cseq));
        headers.push("Expires", expires.as_secs().to_string());
        headers.push("Supported", "path");
        let uri = self.config.servers[self.server].clone();
        let mut request = Request { method: Method::Register, uri, headers, body: Bytes::new() };
        if let Some(prover) = &mut self.prover {
            let cnonce = word(&mut self.rng);
            prover.authorize(&mut request, &cnonce);
        }
        let contact_user = self.config.contact_user.clone();
        self.outbox = Some(Ask { id, request, contact_user, server: self.server });
        id
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    response.headers.number("Retry-After").ok().flatten().map(|seconds| Duration::from_secs(seconds.into()))
}

/// 128 bits that nobody guesses.
fn word(rng: &mut StdRng) -> String {
    format!("{:032x}", rng.random::<u128>())
}

/// RFC 5626 section 4.5: what the wait grows from when nothing works.
const BASE: Duration = Duration::from_secs(30);

/// RFC 5626 section 4.5: the longest wait.
const WAIT_MAX: Duration = Duration::from_secs(1_800);

/// Wrong passwords are tried again every five minutes at most: carriers lock accounts after a few in a row.
const OURS_MIN: Duration = Duration::from_secs(300);

/// A server that wants longer is tried once an hour all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Nobody grants more than a day, and whoever seems to is asked again before.
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);

/// Up to here a registration is refreshed at half its time: the other half is time for a retransmission's 32 s.
const BRIEF: Duration = Duration::from_secs(120);

/// A server that grants seconds is not asked every second.
const REFRESH_MIN: Duration = Duration::from_secs(5);

/// A connection that broke sooner after registering is a failure and not a loss.
const STEADY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
