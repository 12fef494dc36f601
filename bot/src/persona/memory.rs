//! How callers are remembered from call to call: the `[memory]` of a persona.
//!
//! Pure. Without it nothing of a call is kept. What is kept is the summary of a call, for whoever talks with the same
//! number next, and only with the caller's consent.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// How callers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Whose word it takes.
    pub consent: Consent,
    /// How many of the last calls are told to whoever talks next.
    pub calls: usize,
    /// How long a call is remembered.
    pub kept_for: Duration,
}

/// Whose word it takes to remember a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The caller's, in a call.
    #[default]
    Asked,
    /// Whoever runs the server has it already, as from a contract.
    Given,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MemoryOfFile {
    consent: Consent,
    calls: Calls,
    days: Days,
}

impl Default for MemoryOfFile {
    fn default() -> Self {
        Self { consent: Consent::default(), calls: Calls(5), days: Days(180) }
    }
}

impl From<MemoryOfFile> for Memory {
    fn from(file: MemoryOfFile) -> Self {
        let kept_for = Duration::from_secs(u64::from(file.days.0) * 24 * 3_600);
        Self { consent: file.consent, calls: file.calls.0, kept_for }
    }
}

struct Calls(usize);

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let calls = usize::deserialize(deserializer)?;
        let is_some = (1..=CALLS_MAX).contains(&calls);
        if is_some { Ok(Self(calls)) } else { Err(D::Error::custom(format!("from 1 to {CALLS_MAX} calls"))) }
    }
}

struct Days(u32);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let days = u32::deserialize(deserializer)?;
        let is_some = (1..=DAYS_MAX).contains(&days);
        if is_some { Ok(Self(days)) } else { Err(D::Error::custom(format!("from 1 to {DAYS_MAX} days"))) }
    }
}

/// More calls cost a model time on every turn, and tell it less than the last ones do.
const CALLS_MAX: usize = 20;

/// Ten years.
const DAYS_MAX: u32 = 3_650;
