//! Asks for a password and checks the proof (RFC 3261 section 22, RFC 7616 section 3.6, RFC 8760 section 2.3).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use thiserror::Error;

use super::{
    Algorithm,
    algorithm::Question,
    field::{Fields, quoted},
    nonce::Nonces,
};
use crate::message::{Request, Response, Uri};

/// How a [`Guard`] is set up.
#[derive(Clone, Debug)]
pub struct GuardConfig {
    /// What the password is for; shown to people.
    pub realm: String,
    /// Offered in this order, the preferred first. Others are not taken.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce is taken. Afterwards a right answer gets another nonce, unseen by people.
    pub lifetime: Duration,
    /// The most nonces whose counts are kept: one for each phone that registers within the lifetime. Beyond it the
    /// oldest is forgotten, and its phone asked once more.
    pub most_nonces: usize,
}

/// Lets those pass who prove a password.
///
/// Whether a name is known cannot be told from what it says, nor from how long it takes. Failures are told to the
/// caller, who bounds them for each source.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    nonces: Nonces,
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Somebody who proved that name's password.
    Known {
        /// The name.
        username: String,
    },
    /// Nobody who proved anything: answer with [`Guard::challenge`].
    Unknown {
        /// The proof was right, but its nonce is used up.
        is_stale: bool,
        /// For logs and counts; not for the answer.
        why: Unproven,
    },
}

/// Why a request proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Unproven {
    /// It holds no digest for our realm: every first request.
    #[error("no proof for our realm")]
    Missing,
    /// Its proof lacks something, or has something that we did not offer.
    #[error("a proof that is not of the form that was asked for")]
    Form,
    /// Its proof is for another Request-URI.
    #[error("a proof for another URI")]
    Uri,
    /// Its nonce is none of ours, or was given to somebody else or for another algorithm.
    #[error("a nonce that was not given to this source for this algorithm")]
    Nonce,
    /// There is no such name, or it has another password.
    #[error("a wrong name or password")]
    Password,
    /// Its nonce is too old.
    #[error("a nonce past its lifetime")]
    Old,
    /// Its count came before.
    #[error("a nonce count that was used before")]
    Replayed,
}

impl GuardConfig {
    /// SHA-256 and MD5, nonces of five minutes.
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            lifetime: Duration::from_secs(300),
            most_nonces: 10_000,
        }
    }
}

impl Guard {
    /// `secret` signs nonces and must not be guessed; `epoch` is any time before the first request.
    pub fn new(config: GuardConfig, secret: [u8; 32], epoch: Instant) -> Self {
        let nonces = Nonces::new(secret, epoch, config.most_nonces);
        Self { config, nonces }
    }

    /// Checks the Authorization of a request. `password_of` gives the password of a name.
    pub fn check<'a>(
        &mut self,
        request: &Request,
        source: IpAddr,
        now: Instant,
        password_of: impl FnOnce(&str) -> Option<&'a str>,
    ) -> Checked {
        self.nonces.tidy(now, self.config.lifetime);
        let lines = || request.headers.all("Authorization").filter_map(Fields::read);
        let ours = lines().find(|fields| fields.is_digest() && fields.get("realm") == Some(&self.config.realm));
        let Some(fields) = ours else { return unproven(Unproven::Missing) };
        match self.check_proof(&fields, request, source, now, password_of) {
            Ok(username) => Checked::Known { username },
            Err(why) => unproven(why),
        }
    }

    /// The 401 that asks for a proof, with one header for each algorithm.
    pub fn challenge(&mut self, request: &Request, source: IpAddr, now: Instant, is_stale: bool) -> Response {
        let mut response = request.respond(401);
        for algorithm in self.config.algorithms.clone() {
            let nonce = self.nonces.make(now, source, algorithm);
            let stale = if is_stale { ", stale=true" } else { "" };
            response.headers.push(
                "WWW-Authenticate",
                format!(
                    "Digest realm={}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                    quoted(&self.config.realm),
                    algorithm.as_str()
                ),
            );
        }
        response
    }

    fn check_proof<'a>(
        &mut self,
        fields: &Fields<'_>,
        request: &Request,
        source: IpAddr,
        now: Instant,
        password_of: impl FnOnce(&str) -> Option<&'a str>,
    ) -> Result<String, Unproven> {
        let get = |name| fields.get(name).ok_or(Unproven::Form);
        let algorithm = fields.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::named).ok_or(Unproven::Form)?;
        if !self.config.algorithms.contains(&algorithm) {
            return Err(Unproven::Form);
        }
        let (username, uri, nonce) = (get("username")?, get("uri")?, get("nonce")?);
        // Phones of before qop answer without it. Their nonce is good for one request.
        let (auth, count) = match fields.get("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let digits = get("nc")?;
                let is_count = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let count = u32::from_str_radix(digits, 16).ok().filter(|_| is_count).ok_or(Unproven::Form)?;
                (Some((digits, get("cnonce")?)), count)
            }
            Some(_) => return Err(Unproven::Form),
            None if algorithm.is_for_session() => return Err(Unproven::Form),
            None => (None, 1),
        };
        let is_same = |other: Uri| other.same_as(&request.uri);
        if uri != request.uri.to_string() && !uri.parse().is_ok_and(is_same) {
            return Err(Unproven::Uri);
        }
        let known = self.nonces.read(nonce, source, algorithm);
        let nobodys = self.nonces.nobodys_password(username);
        let password = password_of(username);
        let expected = Question {
            algorithm,
            username,
            realm: &self.config.realm,
            password: password.unwrap_or(&nobodys),
            nonce,
            method: request.method.as_str(),
            uri,
            auth,
        }
        .answer();
        let given = get("response")?.to_ascii_lowercase();
        let is_right = bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), given.as_bytes()));
        if !is_right || password.is_none() {
            return Err(Unproven::Password);
        }
        // Whoever knows the password and comes with a nonce of before a restart only needs another.
        let nonce = known.ok_or(Unproven::Nonce)?;
        if !self.nonces.is_fresh(nonce, now, self.config.lifetime) {
            return Err(Unproven::Old);
        }
        if !self.nonces.count(nonce, count) {
            return Err(Unproven::Replayed);
        }
        Ok(username.to_owned())
    }
}

/// Only whoever knows the password is told that it was the nonce (RFC 7616 section 3.3).
const fn unproven(why: Unproven) -> Checked {
    Checked::Unknown { is_stale: matches!(why, Unproven::Nonce | Unproven::Old | Unproven::Replayed), why }
}
