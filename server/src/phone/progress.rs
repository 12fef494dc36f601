//! Tells an application how a call goes that we make: on its way, ringing, taken, over, also when nobody takes it.
//!
//! Two tasks a call: one sees how the call stands, one tells of it in order. There are four things to tell, and that many
//! places between the two, so a slow application delays what it is told and nothing else. What is told and when is
//! decided by [`Told`], a value.

use std::time::{Duration, SystemTime};

use bot::{
    event::Direction,
    ivr::{
        call::{CallStatus, StatusCallback},
        callback,
        webhook::Notify,
    },
};
use tokio::sync::mpsc;

use super::{
    call::{Phone, State},
    calls, menu,
};
use crate::app::App;

/// Things to tell of one call.
const THINGS: usize = 4;

/// Tells `wish.to` what it wants to hear of the call until that is over; returns at once.
pub(super) fn tell(app: &App, phone: &Phone, wish: StatusCallback) {
    let (things, mut telling) = mpsc::channel::<Thing>(THINGS);
    let (teller, called, events) = (app.clone(), phone.clone(), wish.events);
    tokio::spawn(async move {
        while let Some(Thing { status, at, talked }) = telling.recv().await {
            // Made anew: who took it may be known by now.
            let params = callback::progress(&menu::facts(&teller, &called, None), status, talked, at);
            menu::tell(&teller, &Notify { to: wish.to.clone(), params }).await;
        }
    });
    let (app, phone) = (app.clone(), phone.clone());
    tokio::spawn(async move {
        let mut states = phone.state();
        let mut told = Told { direction: phone.facts().direction, last: None };
        loop {
            let state = states.borrow_and_update().clone();
            for thing in told.next(&state, app.clock().wall()) {
                if callback::is_wanted(events, thing.status) {
                    // There are as many places as things.
                    let _ = things.try_send(thing);
                }
            }
            if state.is_over() || states.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thing {
    status: CallStatus,
    at: SystemTime,
    /// How long it lasted since it was taken, if it was.
    talked: Option<Duration>,
}

/// What was told of a call so far.
struct Told {
    direction: Direction,
    last: Option<CallStatus>,
}

impl Told {
    /// What is to be told of a call that stands so at `now`. States may have been missed in between.
    fn next(&mut self, state: &State, now: SystemTime) -> Vec<Thing> {
        let mut things = Vec::new();
        if self.last.is_none() {
            self.add(&mut things, CallStatus::Initiated, now, None);
        }
        match state {
            State::Dialling => {}
            State::Ringing | State::Early => self.add(&mut things, CallStatus::Ringing, now, None),
            State::Answered { at } => self.add(&mut things, CallStatus::InProgress, *at, None),
            State::Ended { why, answered, at, .. } => {
                if let Some(answered) = answered {
                    self.add(&mut things, CallStatus::InProgress, *answered, None);
                }
                let talked = answered.and_then(|answered| at.duration_since(answered).ok());
                self.add(&mut things, calls::ended(*why, answered.is_some(), self.direction), *at, talked);
            }
        }
        things
    }

    fn add(&mut self, things: &mut Vec<Thing>, status: CallStatus, at: SystemTime, talked: Option<Duration>) {
        if self.last.is_none_or(|last| stage(last) < stage(status)) {
            self.last = Some(status);
            things.push(Thing { status, at, talked });
        }
    }
}

/// How far a call is: what comes later is never told before, nor twice.
fn stage(status: CallStatus) -> u8 {
    match status {
        CallStatus::Queued => 0,
        CallStatus::Initiated => 1,
        CallStatus::Ringing => 2,
        CallStatus::InProgress => 3,
        CallStatus::Completed | CallStatus::Busy | CallStatus::Failed | CallStatus::NoAnswer | CallStatus::Canceled => {
            4
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::call::Over, *};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn told(states: &[State]) -> Vec<CallStatus> {
        let mut told = Told { direction: Direction::Outbound, last: None };
        states.iter().flat_map(|state| told.next(state, at(0))).map(|thing| thing.status).collect()
    }

    #[test]
    fn a_call_that_nobody_takes_is_told_to_its_end() {
        let over = |why| State::Ended { why, answered: None, at: at(9), refusal: None };
        for (why, status) in [
            (Over::Busy, CallStatus::Busy),
            (Over::NoAnswer, CallStatus::NoAnswer),
            (Over::Failed, CallStatus::Failed),
            (Over::Us, CallStatus::Canceled),
        ] {
            let states = [State::Dialling, State::Ringing, State::Early, over(why)];
            assert_eq!(told(&states), [CallStatus::Initiated, CallStatus::Ringing, status], "{why:?}");
        }
    }

    #[test]
    fn what_was_missed_in_between_is_told_in_order_and_once() {
        let mut told = Told { direction: Direction::Outbound, last: None };
        assert_eq!(told.next(&State::Dialling, at(1)).len(), 1);
        let ended = State::Ended { why: Over::Them, answered: Some(at(3)), at: at(8), refusal: None };
        let thing = |status, second, talked: Option<u64>| Thing {
            status,
            at: at(second),
            talked: talked.map(Duration::from_secs),
        };
        let expected = [thing(CallStatus::InProgress, 3, None), thing(CallStatus::Completed, 8, Some(5))];
        assert_eq!(told.next(&ended, at(9)), expected);
        assert_eq!(told.next(&ended, at(9)), []);
    }
}
