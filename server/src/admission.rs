//! Who gets in: places for streams, for requests and for connections, each counted and each bounded.
//!
//! Nobody queues. Whoever finds no place is told so at once, with a time to try again; a place is a guard that
//! frees itself when it is dropped, however its holder ends. Once the server drains, nobody gets in. Counting
//! is pure; [`crate::listen`] and [`crate::app`] ask for places.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use crate::error::ApiError;

/// Every place of the server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    streams: Gate,
    requests: Gate,
    connections: Gate,
}

impl Admission {
    /// All places free.
    pub fn new(streams_max: usize, requests_max: usize, connections_max: usize) -> Self {
        Self {
            streams: Gate::new(streams_max),
            requests: Gate::new(requests_max),
            connections: Gate::new(connections_max),
        }
    }

    /// A place for one stream of audio that is listened to.
    ///
    /// # Errors
    /// 503 with `Retry-After`: every place is taken, or the server drains.
    pub fn stream(&self) -> Result<Place, ApiError> {
        self.streams.enter("streams")
    }

    /// A place for one request while it is being answered.
    ///
    /// # Errors
    /// 503 with `Retry-After`: every place is taken.
    pub fn request(&self) -> Result<Place, ApiError> {
        self.requests.enter("requests")
    }

    /// A place for one connection; `None` when every place is taken.
    pub fn connection(&self) -> Option<Place> {
        self.connections.enter("connections").ok()
    }

    /// Takes no new stream from now on; places that are held stay held.
    pub fn drain(&self) {
        self.streams.places.close();
    }

    /// Waits until no stream is listened to any more; only after [`Admission::drain`] does that last.
    pub async fn streams_gone(&self) {
        self.streams.holders.close();
        self.streams.holders.wait().await;
    }

    /// Whether [`Admission::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.streams.places.is_closed()
    }

    /// Streams listened to now.
    pub fn streams_taken(&self) -> usize {
        self.streams.taken()
    }

    /// Streams that may be listened to at once.
    pub fn streams_max(&self) -> usize {
        self.streams.max
    }

    /// Connections open now.
    pub fn connections_taken(&self) -> usize {
        self.connections.taken()
    }
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _holder: TaskTrackerToken,
}

#[derive(Clone, Debug)]
struct Gate {
    places: Arc<Semaphore>,
    holders: TaskTracker,
    max: usize,
}

impl Gate {
    fn new(max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max)), holders: TaskTracker::new(), max }
    }

    fn enter(&self, what: &str) -> Result<Place, ApiError> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => Ok(Place { _permit: permit, _holder: self.holders.token() }),
            Err(tokio::sync::TryAcquireError::Closed) => Err(ApiError::draining()),
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                Err(ApiError::full(format!("all {} {what} are taken", self.max))
                    .hint("try again shortly; limits in the configuration set how many there are"))
            }
        }
    }

    fn taken(&self) -> usize {
        self.max.saturating_sub(self.places.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_holder_is_gone() {
        let admission = Admission::new(1, 1, 1);
        let place = admission.stream().unwrap();
        assert_eq!(admission.stream().unwrap_err().code, "full");
        assert_eq!(admission.streams_taken(), 1);
        drop(place);
        assert!(admission.stream().is_ok());
    }

    #[test]
    fn a_draining_server_lets_nobody_in_and_says_so() {
        let admission = Admission::new(4, 4, 4);
        let held = admission.stream().unwrap();
        admission.drain();
        assert_eq!(admission.stream().unwrap_err().code, "draining");
        assert!(admission.is_draining());
        assert_eq!(admission.streams_taken(), 1);
        drop(held);
        assert_eq!(admission.streams_taken(), 0);
    }
}
