//! Who must be called when: one deadline for each owner, the earliest first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// One deadline for each owner.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines<K> {
    of: BTreeMap<K, Instant>,
    in_order: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self { of: BTreeMap::new(), in_order: BTreeSet::new() }
    }

    /// Sets an owner's deadline, or takes it away.
    pub(crate) fn set(&mut self, owner: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(owner, at),
            None => self.of.remove(&owner),
        };
        if before == at {
            return;
        }
        before.inspect(|before| _ = self.in_order.remove(&(*before, owner)));
        at.inspect(|at| _ = self.in_order.insert((*at, owner)));
    }

    /// The earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest owner whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, owner) = *self.in_order.first()?;
        if at > now {
            return None;
        }
        self.in_order.pop_first();
        self.of.remove(&owner);
        Some(owner)
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }
}
