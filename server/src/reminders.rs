//! Reminders: kept when an agent is asked for one, told when their time has come.
//!
//! One task ([`watch`]) sleeps until the next is due and posts a form to `reminders.url`, signed as every webhook; what
//! fails is tried again, seven times in a day, and given up then. Where no URL is configured a reminder is due
//! for whoever looks ([`crate::api::reminders`]). What fell due while no server ran is told at the next start. How often and
//! when again is decided by a pure function. Never real time; no reminder's words are logged.

use std::{collections::BTreeMap, time::Duration};

use bot::tools::Due;
use jiff::{Timestamp, civil::Time, tz::TimeZone};
use tokio::sync::Notify;

use crate::{
    app::App,
    clock::Clock,
    store::reminders::{Reminder, State},
    webhook::{Method, Request, signature::AuthToken, target::Origin},
};

/// A day without a time is meant for its morning.
const MORNING: Time = Time::constant(9, 0, 0, 0);

/// After how many seconds it is tried again, for each time that it failed.
const AGAIN_S: [i64; 7] = [30, 120, 600, 1_800, 7_200, 21_600, 43_200];

/// Told one after another before it is looked again.
const AT_ONCE: u32 = 32;

/// The longest sleep: a clock that was set, or a machine that slept, is noticed after that.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Whoever keeps a reminder wakes the task with this.
#[derive(Debug, Default)]
pub struct Bell(Notify);

impl Bell {
    /// A reminder was kept.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// The moment of a local time in `zone`: a day alone is its morning. A time that the clocks skip is the one after, one
/// that comes twice the first. Nothing for years that no calendar has.
pub fn moment(due: Due, zone: &TimeZone) -> Option<Timestamp> {
    let local = due.date.to_datetime(due.time.unwrap_or(MORNING));
    local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// What becomes of a reminder that could not be told for the `tries`th time.
fn after_failure(tries: u32, now: Timestamp) -> (State, Timestamp) {
    let again = tries.checked_sub(1).and_then(|failed| AGAIN_S.get(failed as usize));
    match again {
        Some(&seconds) => (State::Waiting, Timestamp::from_second(now.as_second() + seconds).unwrap_or(now)),
        None => (State::GivenUp, now),
    }
}

/// Tells reminders until the server drains.
pub async fn watch(app: App) {
    let Ok(store) = app.store() else { return };
    let shutdown = app.shutdown().clone();
    // What was told and could not be noted, so that it is not told again while the disk is full.
    let mut unnoted: BTreeMap<i64, Came> = BTreeMap::new();
    loop {
        let due = store.reminders_due(now(app.clock()), AT_ONCE).await.unwrap_or_else(|error| {
            tracing::error!(%error, "reminders cannot be read; they are looked for again in a minute");
            Vec::new()
        });
        for reminder in &due {
            // What is under way is waited for, and nothing is begun any more.
            if shutdown.is_cancelled() {
                return;
            }
            let told = unnoted.remove(&reminder.id);
            // It may have been erased while those before it were told.
            if told.is_none() && !store.is_waiting(reminder.id).await.unwrap_or(false) {
                continue;
            }
            let came = match told {
                Some(came) => came,
                None => tell(&app, reminder).await,
            };
            if let Err(error) = store.note_reminder(reminder.id, came.state, came.tries, came.next).await {
                tracing::error!(reminder = reminder.id, %error, "what came of a reminder could not be noted");
                unnoted.insert(reminder.id, came);
            }
        }
        if due.len() == AT_ONCE as usize && unnoted.is_empty() {
            continue;
        }
        let next = store.next_reminder().await.ok().flatten();
        let wait = next.map_or(SLEEP_MAX, |next| wait(now(app.clock()), next));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = app.bell().0.notified() => {}
            () = tokio::time::sleep_until(tokio::time::Instant::now() + wait) => {}
        }
    }
}

/// How long to sleep for what is next; never nought, so that a store that cannot be written does not keep it busy.
fn wait(now: Timestamp, next: Timestamp) -> Duration {
    Duration::try_from(next.duration_since(now)).unwrap_or_default().clamp(Duration::from_secs(1), SLEEP_MAX)
}

/// What came of a reminder: how far it has come, after so many tries in vain, and when it is tried again.
#[derive(Clone, Copy, Debug)]
struct Came {
    state: State,
    tries: u32,
    next: Timestamp,
}

async fn tell(app: &App, reminder: &Reminder) -> Came {
    let (state, tries, next) = match &app.config().reminders.url {
        None => (State::Due, reminder.tries, reminder.due_at),
        Some(url) => match app.webhooks().send(&form(app, url, reminder)).await {
            Ok(_) => (State::Told, reminder.tries, reminder.due_at),
            Err(error) => {
                let tries = reminder.tries.saturating_add(1);
                tracing::warn!(reminder = reminder.id, tries, %error, "a reminder could not be told");
                let (state, next) = after_failure(tries, now(app.clock()));
                (state, tries, next)
            }
        },
    };
    Came { state, tries, next }
}

fn form(app: &App, url: &str, reminder: &Reminder) -> Request {
    let mut params = vec![
        ("Event".to_owned(), "reminder.due".to_owned()),
        ("ReminderId".to_owned(), reminder.id.to_string()),
        ("Text".to_owned(), reminder.text.clone()),
        ("Due".to_owned(), reminder.due.clone()),
        ("DueAt".to_owned(), reminder.due_at.to_string()),
        ("Persona".to_owned(), reminder.persona.clone()),
        ("Room".to_owned(), reminder.room.clone()),
    ];
    if let Some(number) = &reminder.number {
        params.push(("Caller".to_owned(), number.clone()));
    }
    let token = app.config().twilio.auth_token.as_ref().map(AuthToken::new);
    // The configuration names it, so it may lie in our own network.
    Request { trusts: Origin::of(url).ok(), token, ..Request::new(Method::Post, url, params) }
}

/// The time of this machine.
pub(crate) fn now(clock: Clock) -> Timestamp {
    Timestamp::try_from(clock.wall()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_local_time_is_a_moment_also_when_the_clocks_change() {
        let moment = |date, time| moment(Due { date, time }, &berlin()).unwrap().to_string();
        assert_eq!(moment(date(2026, 12, 2), Some(time(15, 0, 0, 0))), "2026-12-02T14:00:00Z");
        assert_eq!(moment(date(2026, 7, 2), Some(time(15, 0, 0, 0))), "2026-07-02T13:00:00Z");
        assert_eq!(moment(date(2026, 12, 2), None), "2026-12-02T08:00:00Z", "a day is its morning");
        assert_eq!(moment(date(2027, 3, 28), Some(time(2, 30, 0, 0))), "2027-03-28T01:30:00Z", "skipped");
        assert_eq!(moment(date(2026, 10, 25), Some(time(2, 30, 0, 0))), "2026-10-25T00:30:00Z", "comes twice");
    }

    #[test]
    fn what_fails_is_tried_again_for_a_day_and_given_up_then() {
        let mut now: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
        let begin = now;
        for tries in 1..=AGAIN_S.len() as u32 {
            let (state, next) = after_failure(tries, now);
            assert_eq!(state, State::Waiting, "{tries}");
            assert!(next > now);
            now = next;
        }
        assert!(now.duration_since(begin).as_hours() >= 20);
        assert_eq!(after_failure(AGAIN_S.len() as u32 + 1, now).0, State::GivenUp);
    }

    #[test]
    fn it_sleeps_a_second_at_least_and_a_minute_at_most() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(wait(at(100), at(50)), Duration::from_secs(1));
        assert_eq!(wait(at(100), at(110)), Duration::from_secs(10));
        assert_eq!(wait(at(100), at(100_000)), SLEEP_MAX);
    }
}
