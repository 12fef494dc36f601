//! A small registrar: which telephones a user is at, as they say themselves (RFC 3261 section 10.3).
//!
//! [`Registrar::answer`] answers one REGISTER and [`Registrar::lookup`] says where a user can be called. Pure: told the
//! time, holds no socket; one task owns it. Whether a user exists cannot be told from an answer: everybody is asked
//! for a password first. Everything is bounded by [`Limits`]; when it is full, what is there may be refreshed and new
//! telephones get 503. Path is kept (RFC 3327), so that a proxy may stand in front. There is no GRUU and no outbound
//! (RFC 5626); where a telephone registered from is kept instead, and calls go back there.

mod binding;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use self::binding::{Binding, Wanted};
use crate::{
    auth::{Checked, Guard, Unproven},
    message::{MalformedHeader, Method, NameAddr, Request, Response, Scheme, Uri},
    transport::{ConnectionId, Source, Target},
};

/// What bounds a registrar.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Shorter registrations are refused (423).
    pub expires_min: Duration,
    /// Longer ones are shortened.
    pub expires_max: Duration,
    /// Telephones of one user. Ten are a generous desk; a call rings at all of them.
    pub bindings_per_user: usize,
    /// Telephones altogether; each costs about 1 kB.
    pub bindings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            expires_min: Duration::from_secs(60),
            expires_max: Duration::from_secs(3_600),
            bindings_per_user: 10,
            bindings: 10_000,
        }
    }
}

/// Who is where.
#[derive(Debug)]
pub struct Registrar {
    limits: Limits,
    domains: Vec<String>,
    /// Names and passwords.
    users: Users,
    bindings: BTreeMap<String, Vec<Binding>>,
    swept_at: Option<Instant>,
}

/// Names and passwords of those who may register.
#[derive(Clone, Default)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    /// From names and passwords.
    pub fn new(users: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(users.into_iter().collect())
    }

    /// The password of a name.
    pub fn password(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

/// What a REGISTER gets, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Without a tag in To.
    pub response: Response,
    /// For counts and for whoever limits sources.
    pub outcome: Outcome,
}

/// What became of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked for a password.
    Challenged(Unproven),
    /// It was refused; 503 when it was for want of room.
    Refused,
    /// It was done, and the user is at so many telephones now.
    Done {
        /// Whose it was.
        user: String,
        /// How many telephones.
        bindings: usize,
    },
}

/// A telephone of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The Request-URI for a call.
    pub uri: Uri,
    /// Where it registered from, if that is where it is: behind a NAT the only way to it. `None`: follow `routes`, or
    /// the URI.
    pub target: Option<Target>,
    /// Proxies before it.
    pub routes: Vec<NameAddr>,
}

impl Registrar {
    /// For the users of these domains (names or addresses, IPv6 in brackets); nobody is anywhere yet.
    pub fn new(limits: Limits, domains: Vec<String>, users: Users) -> Self {
        Self { limits, domains, users, bindings: BTreeMap::new(), swept_at: None }
    }

    /// Those who may register; the same may make calls that demand a password.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Answers a REGISTER that came from `source`.
    pub fn answer(&mut self, request: &Request, source: &Source, guard: &mut Guard, now: Instant) -> Answer {
        self.sweep(now);
        match self.register(request, source, guard, now) {
            Ok((user, response)) => {
                let bindings = self.bindings.get(&user).map_or(0, Vec::len);
                Answer { response, outcome: Outcome::Done { user, bindings } }
            }
            Err(Refusal::Challenge { is_stale, why }) => Answer {
                response: guard.challenge(request, source.remote.ip(), now, is_stale),
                outcome: Outcome::Challenged(why),
            },
            Err(Refusal::Status(status, header)) => {
                let mut response = request.respond(status);
                if let Some((name, value)) = header {
                    response.headers.push(name, value);
                }
                Answer { response, outcome: Outcome::Refused }
            }
        }
    }

    /// Where a user can be called: the most wanted telephone first, among equals the one that registered last.
    pub fn lookup(&self, user: &str, now: Instant) -> Vec<Reach> {
        let bindings = self.bindings.get(user).into_iter().flatten();
        let mut bindings: Vec<&Binding> = bindings.filter(|binding| now < binding.expires_at).collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse((binding.q, binding.registered_at)));
        bindings.into_iter().map(Binding::reach).collect()
    }

    /// Whether the URI names a user of ours, and whom: `sip:user@domain`.
    pub fn user_of(&self, uri: &Uri) -> Option<String> {
        let is_sip = matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
        (is_sip && self.is_ours(&uri.host)).then(|| uri.user_unescaped().map(std::borrow::Cow::into_owned))?
    }

    /// Users who are somewhere, and at how many telephones.
    #[cfg(test)]
    pub(crate) fn registered(&self, now: Instant) -> impl Iterator<Item = (&str, usize)> {
        self.bindings.iter().filter_map(move |(user, bindings)| {
            let count = bindings.iter().filter(|binding| now < binding.expires_at).count();
            (count > 0).then_some((user.as_str(), count))
        })
    }

    /// A connection is gone: telephones that registered over it are called as their Contact says.
    pub fn lost(&mut self, connection: ConnectionId) {
        for binding in self.bindings.values_mut().flatten() {
            if binding.target.as_ref().is_some_and(|target| target.connection == Some(connection)) {
                binding.target = None;
            }
        }
    }

    fn register(
        &mut self,
        request: &Request,
        source: &Source,
        guard: &mut Guard,
        now: Instant,
    ) -> Result<(String, Response), Refusal> {
        debug_assert!(request.method == Method::Register, "only REGISTER comes here");
        if !self.is_ours(&request.uri.host) {
            return Err(Refusal::Status(404, None));
        }
        let unknown: Vec<&str> =
            request.headers.elements("Require").filter(|tag| !tag.eq_ignore_ascii_case("path")).collect();
        if !unknown.is_empty() {
            return Err(Refusal::Status(420, Some(("Unsupported", unknown.join(", ")))));
        }
        let checked = guard.check(request, source.remote.ip(), now, |name| self.users.password(name));
        let user = match checked {
            Checked::Known { username } => username,
            Checked::Unknown { is_stale, why } => return Err(Refusal::Challenge { is_stale, why }),
        };
        // Nobody speaks for somebody else.
        match self.user_of(&request.headers.to()?.uri) {
            Some(to) if to == user => {}
            Some(_) => return Err(Refusal::Status(403, None)),
            None => return Err(Refusal::Status(404, None)),
        }
        let wanted = Wanted::read(request, source, &self.limits, now)?;
        let mut bindings = self.bindings.get(&user).cloned().unwrap_or_default();
        bindings.retain(|binding| now < binding.expires_at);
        wanted.apply(&mut bindings, now)?;
        let others = self.count() - self.bindings.get(&user).map_or(0, Vec::len);
        let had = self.bindings.get(&user).map_or(0, Vec::len);
        let is_full = bindings.len() > self.limits.bindings_per_user || others + bindings.len() > self.limits.bindings;
        if is_full && bindings.len() > had {
            return Err(Refusal::Status(503, Some(("Retry-After", RETRY_AFTER_S.to_string()))));
        }
        let mut response = request.respond(200);
        for binding in &bindings {
            response.headers.push("Contact", binding.contact(now).to_string());
        }
        response.headers.copy(&request.headers, "Path");
        if bindings.is_empty() {
            self.bindings.remove(&user);
        } else {
            self.bindings.insert(user.clone(), bindings);
        }
        Ok((user, response))
    }

    fn is_ours(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host.trim_end_matches('.')))
    }

    fn count(&self) -> usize {
        self.bindings.values().map(Vec::len).sum()
    }

    /// Forgets what has expired, now and then.
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        self.bindings.retain(|_, bindings| {
            bindings.retain(|binding| now < binding.expires_at);
            !bindings.is_empty()
        });
    }
}

/// Why a REGISTER is not done.
#[derive(Debug)]
enum Refusal {
    Challenge { is_stale: bool, why: Unproven },
    Status(u16, Option<(&'static str, String)>),
}

impl From<MalformedHeader> for Refusal {
    fn from(_: MalformedHeader) -> Self {
        Self::Status(400, None)
    }
}

const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Registrations last an hour at most, so room comes slowly.
const RETRY_AFTER_S: u32 = 300;

#[cfg(test)]
mod tests;
