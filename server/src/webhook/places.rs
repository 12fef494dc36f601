//! How many webhooks are waited for at once: in all, and at one host.
//!
//! A host that answers slowly has its own few places, so that it cannot take those of others; whoever finds none
//! waits as long as they would have waited for the answer. The map holds hosts that are being called and no others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::target::Origin;

/// All places.
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_host: usize,
    hosts: Mutex<BTreeMap<Origin, Weak<Semaphore>>>,
}

/// One place, until it is dropped.
pub(super) struct Place {
    _in_all: OwnedSemaphorePermit,
    _at_host: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(all: usize, per_host: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_host, hosts: Mutex::default() }
    }

    /// Waits for a place at `origin`. The host's comes first: whoever waits for a slow host holds nobody up.
    pub(super) async fn enter(&self, origin: Origin) -> Place {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.retain(|_, host| host.strong_count() > 0);
            let known = hosts.get(&origin).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let host = Arc::new(Semaphore::new(self.per_host));
                hosts.insert(origin, Arc::downgrade(&host));
                host
            })
        };
        let at_host = host.acquire_owned().await.expect("these places are never closed");
        let in_all = self.all.clone().acquire_owned().await.expect("these places are never closed");
        Place { _in_all: in_all, _at_host: at_host }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_takes_its_own_places_and_no_others() {
        let places = Places::new(3, 2);
        let [slow, quick] = ["http://slow/", "http://quick/"].map(|url| Origin::of(url).unwrap());
        let first = places.enter(slow.clone()).await;
        let _second = places.enter(slow.clone()).await;
        let patience = Duration::from_secs(1);
        assert!(timeout(patience, places.enter(slow.clone())).await.is_err());
        let quick = timeout(patience, places.enter(quick)).await;
        assert!(quick.is_ok());
        assert!(timeout(patience, places.enter(Origin::of("http://third/").unwrap())).await.is_err());
        drop((first, quick));
        assert!(timeout(patience, places.enter(slow)).await.is_ok());
        assert_eq!(places.hosts.lock().unwrap().len(), 1, "hosts that nobody calls are forgotten");
    }
}
