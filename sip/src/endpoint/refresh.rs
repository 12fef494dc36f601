//! Session timers: who refreshes a session, how often, and when it counts as dead (RFC 4028).

use std::time::{Duration, Instant};

use super::config::SessionTimer;
use crate::message::{Headers, Response};

/// The shortest interval that the RFC knows.
const SHORTEST_S: u32 = 90;

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refresh {
    expires_s: u32,
    is_ours: bool,
    /// When we refresh it.
    refresh_at: Option<Instant>,
    /// When the other side has been silent for too long.
    expires_at: Instant,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Refresh,
    Expired,
}

/// The session would be refreshed more often than we like: 422.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooBrief {
    pub(super) min_se_s: u32,
}

/// What is asked for and granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) expires_s: u32,
    /// Whether whoever sends the request refreshes.
    is_by_caller: bool,
    /// Whether the sender of the request knows session timers.
    is_known: bool,
}

impl Refresh {
    /// What a 2xx to a request of ours grants; `None` where it wants no timer.
    pub(super) fn granted(now: Instant, response: &Headers) -> Option<Self> {
        let expires_s = response.number("Session-Expires").ok()??;
        let is_ours = refresher(response) != Some(Refresher::Callee);
        Some(Self::new(now, expires_s, is_ours))
    }

    /// What our 2xx to a request grants.
    pub(super) fn granting(now: Instant, terms: Terms) -> Self {
        Self::new(now, terms.expires_s, !terms.is_by_caller)
    }

    fn new(now: Instant, expires_s: u32, is_ours: bool) -> Self {
        let expires = Duration::from_secs(u64::from(expires_s.max(SHORTEST_S / 3)));
        // Whoever refreshes does so after half of the time; the other one waits for nearly all of it.
        let margin = (expires / 3).min(Duration::from_secs(32));
        Self {
            expires_s,
            is_ours,
            refresh_at: is_ours.then(|| now + expires / 2),
            expires_at: now + if is_ours { expires } else { expires - margin },
        }
    }

    /// The headers of a request that refreshes, or offers, while this is agreed on.
    pub(super) fn ask(&self, config: &SessionTimer) -> Headers {
        let who = if self.is_ours { "uac" } else { "uas" };
        let mut headers = Headers::new();
        headers.push("Session-Expires", format!("{};refresher={who}", self.expires_s));
        headers.push("Min-SE", config.min_se_s.max(SHORTEST_S).to_string());
        headers
    }

    /// The other side wants it longer.
    pub(super) fn lengthen(&mut self, response: &Response) {
        if let Ok(Some(min_se_s)) = response.headers.number("Min-SE") {
            self.expires_s = self.expires_s.max(min_se_s);
        }
    }

    /// The refresh that was due did not fit, or failed: it is tried again soon.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.refresh_at = self.is_ours.then(|| now + Duration::from_secs(10));
    }

    /// When [`Refresh::tick`] is due.
    pub(super) fn deadline(&self) -> Instant {
        self.refresh_at.map_or(self.expires_at, |at| at.min(self.expires_at))
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Instant) -> Due {
        if self.expires_at <= now {
            return Due::Expired;
        }
        match self.refresh_at {
            Some(at) if at <= now => {
                self.refresh_at = None;
                Due::Refresh
            }
            _ => Due::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresher {
    Caller,
    Callee,
}

/// What the first INVITE of a call asks for.
pub(super) fn ask(config: &SessionTimer, expires_s: u32) -> Headers {
    let mut headers = Headers::new();
    headers.push("Session-Expires", expires_s.to_string());
    headers.push("Min-SE", config.min_se_s.max(SHORTEST_S).to_string());
    headers
}

/// What we grant to an INVITE or UPDATE; `None` for no timer.
pub(super) fn judge(config: &SessionTimer, request: &Headers) -> Result<Option<Terms>, TooBrief> {
    let is_known = request.contains_token("Supported", "timer") || request.contains_token("Require", "timer");
    let min_se_s = config.min_se_s.max(SHORTEST_S);
    // A header that cannot be read counts as none.
    let asked = request.number("Session-Expires").ok().flatten();
    let theirs = request.number("Min-SE").ok().flatten().unwrap_or(SHORTEST_S);
    match (asked, config.expires_s) {
        (Some(asked), _) if asked < min_se_s && is_known => Err(TooBrief { min_se_s }),
        (Some(asked), ours) => {
            let expires_s = ours.map_or(asked, |ours| ours.min(asked)).max(min_se_s).max(theirs);
            let is_by_caller = is_known && refresher(request) != Some(Refresher::Callee);
            Ok(Some(Terms { expires_s, is_by_caller, is_known }))
        }
        // They ask for nothing: we refresh, where it is cheap for them to answer.
        (None, Some(ours)) if is_known || request.contains_token("Allow", "UPDATE") => {
            let expires_s = ours.max(min_se_s).max(theirs);
            Ok(Some(Terms { expires_s, is_by_caller: false, is_known }))
        }
        (None, _) => Ok(None),
    }
}

impl Terms {
    /// The headers of the 2xx.
    pub(super) fn headers(&self) -> Headers {
        let who = if self.is_by_caller { "uac" } else { "uas" };
        let mut headers = Headers::new();
        headers.push("Session-Expires", format!("{};refresher={who}", self.expires_s));
        if self.is_known && self.is_by_caller {
            headers.push("Require", "timer");
        }
        headers
    }
}

fn refresher(headers: &Headers) -> Option<Refresher> {
    let value = headers.first("Session-Expires")?;
    let named = value.split(';').skip(1).find_map(|param| param.trim().strip_prefix("refresher="))?;
    match named.trim() {
        named if named.eq_ignore_ascii_case("uac") => Some(Refresher::Caller),
        named if named.eq_ignore_ascii_case("uas") => Some(Refresher::Callee),
        _ => None,
    }
}
