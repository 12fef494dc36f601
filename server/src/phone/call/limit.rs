//! Ends a call that has lasted as long as it may: one task a call that has such a limit.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::{Phone, State};
use crate::clock::Clock;

/// Until the call is over; `longest` may change meanwhile.
pub(super) async fn keep(phone: Phone, clock: Clock, mut longest: watch::Receiver<Option<Duration>>) {
    if !phone.taken().await {
        return;
    }
    loop {
        let State::Answered { at } = phone.now() else { return };
        let lasted = clock.wall().duration_since(at).unwrap_or_default();
        let left = longest.borrow_and_update().unwrap_or(Duration::MAX).saturating_sub(lasted);
        let waiting = async {
            tokio::select! {
                _ = phone.over() => {}
                // The call has the other end.
                _ = longest.changed() => {}
            }
        };
        if timeout(left, waiting).await.is_err() {
            tracing::info!(call = %phone.sid(), "a call is ended: it has lasted as long as it may");
            return phone.hang_up().await;
        }
    }
}
