//! One telephone of a user, and what a REGISTER wants done to them.

use std::time::{Duration, Instant};

use super::{Limits, Reach, Refusal};
use crate::{
    message::{NameAddr, Request, Scheme, Uri},
    transport::{Source, Target},
};

/// A telephone.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// As it was written, unknown parameters too, without `expires`.
    address: NameAddr,
    pub(super) expires_at: Instant,
    pub(super) registered_at: Instant,
    /// Thousandths: how much it wants calls.
    pub(super) q: u16,
    call_id: String,
    cseq: u32,
    pub(super) target: Option<Target>,
    routes: Vec<NameAddr>,
}

impl Binding {
    /// As a response tells it.
    pub(super) fn contact(&self, now: Instant) -> NameAddr {
        let mut contact = self.address.clone();
        // A begun second counts, or a telephone would be told that it expired.
        let left = self.expires_at.saturating_duration_since(now);
        let left_s = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        contact.params.set("expires", Some(&left_s.to_string()));
        contact
    }

    pub(super) fn reach(&self) -> Reach {
        let mut uri = self.address.uri.clone();
        // Neither may stand in a Request-URI (RFC 3261 section 19.1.1), and nobody makes our calls carry headers.
        uri.headers = None;
        uri.params.remove("method");
        Reach { uri, target: self.target.clone(), routes: self.routes.clone() }
    }
}

/// What a REGISTER wants.
#[derive(Debug)]
pub(super) struct Wanted {
    call_id: String,
    cseq: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// To know.
    Nothing,
    /// `*`: to be nowhere.
    Leave,
    /// These, with the time that each lasts; zero removes it.
    Contacts(Vec<(Binding, Duration)>),
}

impl Wanted {
    /// What the request wants, or why it cannot.
    pub(super) fn read(request: &Request, source: &Source, limits: &Limits, now: Instant) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let bad = || Refusal::Status(400, None);
        let (call_id, cseq) = (headers.call_id()?.to_owned(), headers.cseq()?.number);
        let elements: Vec<&str> = headers.elements("Contact").collect();
        let expires = headers.first("Expires").map(seconds);
        let what = match elements[..] {
            [] => What::Nothing,
            ["*"] if expires == Some(0) => What::Leave,
            _ if elements.contains(&"*") => return Err(bad()),
            // More than any user may have could not be kept, and nobody makes us look at them.
            _ if elements.len() > limits.bindings_per_user => return Err(bad()),
            _ => {
                let mut contacts = Vec::with_capacity(elements.len());
                for mut address in headers.name_addrs("Contact")? {
                    let is_callable = matches!(address.uri.scheme, Scheme::Sip | Scheme::Sips);
                    if !is_callable {
                        return Err(bad());
                    }
                    let own = address.params.get("expires").map(|value| seconds(value.unwrap_or_default()));
                    let lasts = lasts(own.or(expires).unwrap_or(DEFAULT_EXPIRES_S), limits)?;
                    let q = address.params.get("q").flatten().map_or(1_000, thousandths);
                    address.params.remove("expires");
                    contacts.push((
                        Binding {
                            address,
                            expires_at: now + lasts,
                            registered_at: now,
                            q,
                            call_id: call_id.clone(),
                            cseq,
                            target: way_back(request, source),
                            routes: headers.name_addrs("Path")?,
                        },
                        lasts,
                    ));
                }
                What::Contacts(contacts)
            }
        };
        Ok(Self { call_id, cseq, what })
    }

    /// Does it, wholly or, when it is an error, not to be used (RFC 3261 section 10.3 steps 6 and 7).
    pub(super) fn apply(self, bindings: &mut Vec<Binding>, now: Instant) -> Result<(), Refusal> {
        let Self { call_id, cseq, what } = self;
        // A request that was overtaken by a later one of the same telephone.
        let is_late = |binding: &Binding| binding.call_id == call_id && cseq <= binding.cseq;
        match what {
            What::Nothing => {}
            What::Leave if bindings.iter().any(is_late) => return Err(Refusal::Status(500, None)),
            What::Leave => bindings.clear(),
            What::Contacts(contacts) => {
                let known = bindings.clone();
                for (binding, lasts) in contacts {
                    let is_same = |other: &Binding| same(&other.address.uri, &binding.address.uri);
                    if known.iter().any(|other| is_same(other) && is_late(other)) {
                        return Err(Refusal::Status(500, None));
                    }
                    bindings.retain(|other| !is_same(other));
                    if now + lasts > now {
                        bindings.push(binding);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where the telephone is seen to be. What came through a proxy came from there, not from the telephone.
fn way_back(request: &Request, source: &Source) -> Option<Target> {
    (request.headers.elements("Via").count() == 1 && !request.headers.contains("Path")).then(|| source.target())
}

fn same(one: &Uri, other: &Uri) -> bool {
    one.same_as(other)
}

/// How long a registration lasts that wants `wanted_s`.
fn lasts(wanted_s: u32, limits: &Limits) -> Result<Duration, Refusal> {
    let wanted = Duration::from_secs(wanted_s.into());
    if wanted_s != 0 && wanted < limits.expires_min {
        return Err(Refusal::Status(423, Some(("Min-Expires", limits.expires_min.as_secs().to_string()))));
    }
    Ok(wanted.min(limits.expires_max))
}

/// A time in seconds: too large a number is the largest, anything else an hour (RFC 3261 section 20.19).
fn seconds(text: &str) -> u32 {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u32::MAX)
    } else {
        DEFAULT_EXPIRES_S
    }
}

/// `0.7` as 700; what cannot be read wants calls as much as any.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1_000.0).round() as u16,
        _ => 1_000,
    }
}

/// RFC 3261 section 10.2.1.1.
const DEFAULT_EXPIRES_S: u32 = 3_600;
