//! What the telephone counts and judges: who may be answered, who proved a password, what may be dialled, how much a
//! trunk carries.
//!
//! Pure values of `bot::routing` and `sip::auth`, held together behind one lock that is taken for microseconds.

use std::{net::IpAddr, time::Instant};

use bot::routing::{
    dialling::Dialling,
    guard::{self, Outcome, Verdict},
    trunk::Trunks,
};
use sip::{
    auth::{self, Checked},
    message::{Headers, Request},
    registrar::{Answer, Registrar},
    transport::Source,
};

/// Everything that is counted.
pub(crate) struct Desk {
    pub(crate) guard: guard::Guard,
    pub(crate) dialling: Dialling,
    pub(crate) trunks: Trunks,
    pub(crate) registrar: Registrar,
    auth: auth::Guard,
}

impl Desk {
    pub(super) fn new(
        guard: guard::Guard,
        dialling: Dialling,
        trunks: Trunks,
        auth: auth::Guard,
        registrar: Registrar,
    ) -> Self {
        Self { guard, dialling, trunks, auth, registrar }
    }

    /// Whether a request from there is answered at all.
    pub(crate) fn answers(&mut self, source: IpAddr, now: Instant) -> bool {
        self.guard.judge(source, now) == Verdict::Answer
    }

    /// Who a request proves to come from.
    pub(crate) fn check(&mut self, request: &Request, source: IpAddr, now: Instant) -> Checked {
        let users = self.registrar.users();
        self.auth.check(request, source, now, |name| users.password(name))
    }

    /// Answers somebody who registers.
    pub(crate) fn register(&mut self, request: &Request, source: &Source, now: Instant) -> Answer {
        self.registrar.answer(request, source, &mut self.auth, now)
    }

    /// The headers that ask for a proof.
    pub(crate) fn challenge(&mut self, request: &Request, source: IpAddr, now: Instant, is_stale: bool) -> Headers {
        self.guard.note(source, Outcome::Challenged, now);
        let response = self.auth.challenge(request, source, now, is_stale);
        let mut headers = Headers::new();
        headers.copy(&response.headers, "WWW-Authenticate");
        headers
    }
}
