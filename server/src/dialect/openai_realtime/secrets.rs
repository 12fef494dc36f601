//! Short-lived keys for pages and apps: each opens `/v1/realtime` for a few minutes, with the session that was bound to it.
//!
//! They are kept in memory and nowhere else: a server that starts again knows none of them. Of a key only its digest is
//! kept, with whoever asked for it. Bounded; expired ones are forgotten when there are too many. Told the time; a lock that is
//! held for a look-up.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng as _, rngs::SysRng};
use sha2::{Digest as _, Sha256};

use super::session::Session;
use crate::{auth::Caller, error::ApiError};

/// How such a key begins.
pub(crate) const PREFIX: &str = "ek_";

/// Keys that are alive at once.
const SECRETS_MAX: usize = 10_000;

/// How long a key lives, in seconds: when nobody says so, and at least and at most.
pub(super) const LIFE_S: u64 = 600;
pub(super) const LIVES_S: (u64, u64) = (10, 7_200);

/// All keys that are alive.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<HashMap<[u8; 32], Bound>>);

/// What a key opens.
struct Bound {
    until: Instant,
    caller: Caller,
    session: Session,
}

impl Secrets {
    /// A key for whoever `caller` gives it to, which lives so long from `now`.
    ///
    /// # Errors
    /// 503 when too many are alive, 500 when the system has no randomness.
    pub(super) fn create(
        &self,
        caller: Caller,
        session: Session,
        life: Duration,
        now: Instant,
    ) -> Result<String, ApiError> {
        let mut bits = [0; 32];
        SysRng.try_fill_bytes(&mut bits).map_err(|_| ApiError::internal("the system has no randomness"))?;
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits));
        let mut alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.len() >= SECRETS_MAX {
            alive.retain(|_, bound| bound.until > now);
        }
        if alive.len() >= SECRETS_MAX {
            return Err(ApiError::full("too many client secrets are alive"));
        }
        alive.insert(digest(&key), Bound { until: now + life, caller, session });
        Ok(key)
    }

    /// Who gave this key, and the session it opens; `None` when it opens nothing.
    pub(super) fn open(&self, key: &str, now: Instant) -> Option<(Caller, Session)> {
        if !key.starts_with(PREFIX) || key.len() > KEY_BYTES_MAX {
            return None;
        }
        let alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = alive.get(&digest(key)).filter(|bound| bound.until > now)?;
        Some((bound.caller.clone(), bound.session.clone()))
    }

    /// Who gave this key; `None` when it opens nothing.
    pub(crate) fn giver(&self, key: &str, now: Instant) -> Option<Caller> {
        self.open(key, now).map(|(caller, _)| caller)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

const KEY_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::{super::session::Kind, *};
    use crate::clock::Clock;

    #[test]
    fn a_secret_opens_its_session_until_it_has_expired() {
        let (secrets, now) = (Secrets::default(), Clock.now());
        let session = Session::new("sess_1".to_owned(), Kind::Transcription, "");
        let key = secrets.create(Caller::Local, session, Duration::from_secs(10), now).unwrap();
        assert!(key.starts_with("ek_") && key.len() > 40);
        let (caller, session) = secrets.open(&key, now + Duration::from_secs(9)).unwrap();
        assert_eq!((caller, session.kind), (Caller::Local, Kind::Transcription));
        assert!(secrets.open(&key, now + Duration::from_secs(10)).is_none());
        for other in ["", "ek_", "hv_1", &key[..20]] {
            assert!(secrets.giver(other, now).is_none(), "{other}");
        }
    }

    #[test]
    fn what_has_expired_makes_room() {
        let (secrets, now) = (Secrets::default(), Clock.now());
        let create = |now| {
            let session = Session::new(String::new(), Kind::Realtime, "");
            secrets.create(Caller::Local, session, Duration::from_secs(10), now)
        };
        for _ in 0..SECRETS_MAX {
            create(now).unwrap();
        }
        assert!(create(now).is_err());
        assert!(create(now + Duration::from_secs(11)).is_ok());
    }
}
