//! What must not be guessed: tags, branches, Call-IDs, nonces; and delays that must differ.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// A generator that is good enough for secrets, seeded by the shell.
#[derive(Debug)]
pub(super) struct Chance {
    rng: StdRng,
    secret: u64,
}

impl Chance {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        Self { secret: rng.next_u64(), rng }
    }

    /// 80 bits as 16 letters: nobody finds one within the life of a call.
    pub(super) fn word(&mut self) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bits = (u128::from(self.rng.next_u64()) << 64) | u128::from(self.rng.next_u64());
        let mut word = String::with_capacity(16);
        for _ in 0..16 {
            word.push(char::from(LETTERS[(bits & 31) as usize]));
            bits >>= 5;
        }
        word
    }

    /// A word for something that is not remembered: the same for the same thing.
    pub(super) fn word_for(&self, thing: impl Hash) -> String {
        let mut hasher = DefaultHasher::new();
        (self.secret, thing).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    pub(super) fn branch(&mut self) -> String {
        format!("{}{}", crate::transaction::COOKIE, self.word())
    }

    /// A CSeq or RSeq to count from, with room above.
    pub(super) fn first_number(&mut self) -> u32 {
        self.rng.random_range(1..100_000)
    }

    /// A delay of that range in steps of 10 ms, as RFC 3261 section 14.1 has it.
    pub(super) fn delay_ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(10 * self.rng.random_range(from / 10..=to / 10))
    }

    /// Seconds for a Retry-After.
    pub(super) fn seconds(&mut self, most: u32) -> u32 {
        self.rng.random_range(0..=most)
    }
}
