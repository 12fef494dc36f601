//! A map of bounded size that forgets whoever was longest not seen.

use std::collections::BTreeMap;

/// Values by key, at most so many; the one that was touched longest ago goes first.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    touched: u64,
    entries_max: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// `entries_max` must not be zero.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), touched: 0, entries_max: entries_max.max(1) }
    }

    /// The value, made if it is not there, and now the newest.
    pub(super) fn touch(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.touched += 1;
        if let Some((at, _)) = self.entries.get(key) {
            self.order.remove(at);
        } else if self.entries.len() >= self.entries_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.touched, key.clone());
        let touched = self.touched;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| (touched, make()));
        entry.0 = touched;
        &mut entry.1
    }

    /// The value, left as old as it is.
    pub(super) fn peek(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Forgets it.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some((at, _)) = self.entries.remove(key) {
            self.order.remove(&at);
        }
    }

    /// How many.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unseen_goes_first() {
        let mut recent = Recent::new(2);
        *recent.touch(&'a', || 0) += 1;
        *recent.touch(&'b', || 0) += 1;
        *recent.touch(&'a', || 0) += 1;
        *recent.touch(&'c', || 0) += 1;
        assert_eq!(recent.len(), 2);
        assert_eq!(recent.peek(&'a'), Some(&mut 2));
        assert_eq!(recent.peek(&'b'), None);
        recent.remove(&'a');
        *recent.touch(&'d', || 0) += 1;
        assert_eq!(recent.len(), 2);
        assert!(recent.peek(&'c').is_some());
    }
}
