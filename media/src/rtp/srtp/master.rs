//! A master key with its salt, as SDES writes it and DTLS derives it: what sealers and openers are made from.
//!
//! Held by control code for as long as a call lasts, since a call that moves is sealed anew under the same key. Its length
//! is that of its profile from the beginning; it shows itself to nobody by accident.

use std::fmt;

use super::{BadMaster, Opener, Profile, Rollover, Sealer};

/// What seals one direction: key and salt of a profile. Shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: Profile,
    bytes: Vec<u8>,
}

impl MasterKey {
    /// The key in `bytes`, its salt behind it.
    ///
    /// # Errors
    /// When they have not the length of the profile.
    pub fn new(profile: Profile, bytes: Vec<u8>) -> Result<Self, BadMaster> {
        match bytes.len() == profile.key_bytes() + profile.salt_bytes() {
            true => Ok(Self { profile, bytes }),
            false => Err(BadMaster { profile, given: bytes.len() }),
        }
    }

    /// A fresh key; `random` fills what it is given from a good generator.
    pub fn fresh(profile: Profile, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = vec![0; profile.key_bytes() + profile.salt_bytes()];
        random(&mut bytes);
        Self { profile, bytes }
    }

    /// Its set of algorithms.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Key and salt: for who must tell the far end.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What seals with it, after those that have under `rollover`.
    pub fn sealer(&self, rollover: &Rollover) -> Sealer {
        Sealer::after(self.profile, &self.bytes, rollover).expect("its length was checked when it was made")
    }

    /// What opens with it, after those that have under `rollover`.
    pub fn opener(&self, rollover: &Rollover) -> Opener {
        Opener::after(self.profile, &self.bytes, rollover).expect("its length was checked when it was made")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, _)", self.profile)
    }
}
