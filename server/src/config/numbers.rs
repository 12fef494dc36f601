//! `[[numbers]]`: what answers which number. Entries that are configured replace the default ones.

use bot::routing::{Entry, Pattern, Source, destination::Target};
use serde::Deserialize;

use super::trunks::Trunk;

/// All numbers, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Numbers(pub Vec<Entry>);

/// What there is to try: `echo`, `ivr`, `agent`, `scribe`, `ring`, and `auth` for whoever has a password.
impl Default for Numbers {
    fn default() -> Self {
        let entry = |name: &str, to: &str| {
            let (number, to) = (name.parse::<Pattern>(), to.parse::<Target>());
            Entry::new(number.expect("a name is a pattern"), to.expect("a word of the list is a destination"))
        };
        Self(vec![
            entry("echo", "echo"),
            entry("ivr", "ivr"),
            entry("agent", "agent"),
            entry("scribe", "scribe"),
            entry("ring", "ring"),
            Entry { auth: true, ..entry("auth", "echo") },
        ])
    }
}

impl Numbers {
    /// What makes no sense: the key, and why.
    pub(super) fn fault(&self, trunks: &[Trunk]) -> Option<(String, String)> {
        let is_trunk = |name: &str| trunks.iter().any(|trunk| trunk.name == name);
        for (at, entry) in self.0.iter().enumerate() {
            let key = |key: &str| format!("numbers[{at}].{key}");
            if let Some((name, why)) = entry.fault() {
                return Some((key(name), why.to_owned()));
            }
            if let Target::Trunk(trunk) = &entry.to
                && !is_trunk(trunk)
            {
                return Some((key("to"), format!("names a trunk {trunk:?} that is not configured")));
            }
            for source in &entry.from {
                if let Source::Trunk(trunk) = source
                    && !is_trunk(trunk)
                {
                    return Some((key("from"), format!("names a trunk {trunk:?} that is not configured")));
                }
            }
        }
        None
    }
}
