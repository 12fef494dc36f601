//! Proves a password to those who ask for it (RFC 3261 section 22, RFC 8760 section 2.4).

use std::fmt;

use thiserror::Error;

use super::{
    Algorithm,
    algorithm::Question,
    field::{Fields, quoted},
};
use crate::message::{Request, Response};

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// As the server knows it.
    pub username: String,
    /// Never sent, never shown.
    pub password: String,
    /// The only realm that is answered; any where it is `None`.
    pub realm: Option<String>,
}

/// Answers challenges for one name, for as long as one registration or one call lasts.
///
/// A nonce is used again, with its count, until the server wants another: most requests then need one way instead of
/// two. At most eight realms are kept; a server that names more gets no answer for the rest.
#[derive(Clone, Debug)]
pub struct Prover {
    credentials: Credentials,
    known: Vec<Challenge>,
    /// How many challenges came in a row without one of our answers having been taken.
    streak: u8,
}

/// Why a challenge gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unanswerable {
    /// The response asks for nothing that we can compute: no digest, another algorithm, another realm than the one
    /// that the credentials are for.
    #[error("the challenge is none that these credentials answer")]
    Foreign,
    /// The answer was right in form and was not taken: our configuration's fault.
    #[error("name or password were refused")]
    Refused,
    /// The server asks and asks.
    #[error("the server asks again and again")]
    Looping,
}

#[derive(Clone, Debug)]
struct Challenge {
    from_proxy: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    has_qop: bool,
    /// How often the nonce was answered.
    uses: u32,
    /// The client's nonce of the first answer: a session's secret is made with it.
    session_cnonce: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Prover {
    /// One server after the other may say that a nonce is stale; one that always says so is left.
    const MOST_IN_A_ROW: u8 = 4;
    const MOST_REALMS: usize = 8;

    /// Knows no challenge so far.
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials, known: Vec::new(), streak: 0 }
    }

    /// Learns the challenges of a 401 or 407. Of several for one realm the strongest is taken.
    ///
    /// # Errors
    /// When asking again with [`Self::authorize`] makes no sense.
    pub fn challenged(&mut self, response: &Response) -> Result<(), Unanswerable> {
        let (from_proxy, header) = match response.status {
            401 => (false, "WWW-Authenticate"),
            407 => (true, "Proxy-Authenticate"),
            _ => return Err(Unanswerable::Foreign),
        };
        let mut best: Vec<(Challenge, bool)> = Vec::new();
        for line in response.headers.all(header) {
            let Some((challenge, is_stale)) = self.read(line, from_proxy) else { continue };
            match best.iter().position(|(other, _)| other.realm == challenge.realm) {
                Some(at) if best[at].0.algorithm < challenge.algorithm => best[at] = (challenge, is_stale),
                Some(_) => {}
                None if best.len() == Self::MOST_REALMS => {}
                None => best.push((challenge, is_stale)),
            }
        }
        if best.is_empty() {
            return Err(Unanswerable::Foreign);
        }
        let mut was_taken = false;
        for (challenge, is_stale) in &best {
            let Some(known) = self.find(challenge.from_proxy, &challenge.realm) else { continue };
            if known.uses == 1 && !is_stale {
                return Err(Unanswerable::Refused);
            }
            // A nonce that was answered twice was taken the first time.
            was_taken |= known.uses > 1;
        }
        self.streak = if was_taken { 1 } else { self.streak + 1 };
        if self.streak > Self::MOST_IN_A_ROW {
            return Err(Unanswerable::Looping);
        }
        for (challenge, _) in best {
            self.known.retain(|known| known.from_proxy != challenge.from_proxy || known.realm != challenge.realm);
            if self.known.len() == Self::MOST_REALMS {
                self.known.remove(0);
            }
            self.known.push(challenge);
        }
        Ok(())
    }

    /// Puts answers to all challenges that are known into a request, in the place of those that it has. `cnonce` is
    /// fresh and cannot be guessed; it goes into quotes as it is.
    pub fn authorize(&mut self, request: &mut Request, cnonce: &str) {
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        let (method, uri) = (request.method.as_str().to_owned(), request.uri.to_string());
        for challenge in &mut self.known {
            let header = if challenge.from_proxy { "Proxy-Authorization" } else { "Authorization" };
            request.headers.push(header, challenge.answer(&self.credentials, &method, &uri, cnonce));
        }
    }

    /// Whether there is anything to be proven so far.
    pub fn is_challenged(&self) -> bool {
        !self.known.is_empty()
    }

    fn find(&self, from_proxy: bool, realm: &str) -> Option<&Challenge> {
        self.known.iter().find(|known| known.from_proxy == from_proxy && known.realm == realm)
    }

    fn read(&self, line: &str, from_proxy: bool) -> Option<(Challenge, bool)> {
        let fields = Fields::read(line).filter(Fields::is_digest)?;
        let realm = fields.get("realm")?.to_owned();
        if self.credentials.realm.as_ref().is_some_and(|only| *only != realm) {
            return None;
        }
        let qop = fields.get("qop");
        let challenge = Challenge {
            from_proxy,
            realm,
            nonce: fields.get("nonce")?.to_owned(),
            opaque: fields.get("opaque").map(str::to_owned),
            algorithm: fields.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::named)?,
            has_qop: qop.is_some(),
            uses: 0,
            session_cnonce: None,
        };
        let is_ours = qop.is_none_or(|all| all.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        let is_stale = fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        is_ours.then_some((challenge, is_stale))
    }
}

impl Challenge {
    fn answer(&mut self, credentials: &Credentials, method: &str, uri: &str, cnonce: &str) -> String {
        self.uses = self.uses.saturating_add(1);
        let is_for_session = self.algorithm.is_for_session();
        let cnonce = match (is_for_session, &self.session_cnonce) {
            (true, Some(first)) => first.clone(),
            _ => cnonce.to_owned(),
        };
        let count = format!("{:08x}", self.uses);
        let response = Question {
            algorithm: self.algorithm,
            username: &credentials.username,
            realm: &self.realm,
            password: &credentials.password,
            nonce: &self.nonce,
            method,
            uri,
            auth: self.has_qop.then_some((&count, &cnonce)),
        }
        .answer();
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quoted(&credentials.username),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(uri),
            self.algorithm.as_str(),
        );
        if self.has_qop {
            value += &format!(", qop=auth, nc={count}, cnonce={}", quoted(&cnonce));
        } else if is_for_session {
            value += &format!(", cnonce={}", quoted(&cnonce));
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque={}", quoted(opaque));
        }
        self.session_cnonce = Some(cnonce);
        value
    }
}
