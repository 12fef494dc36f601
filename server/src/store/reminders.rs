//! Reminders as they are kept: of what, when, and how far telling somebody has come.
//!
//! A reminder waits, is due, and is told or given up. Who tells it is [`crate::reminders`]; nothing here knows how. The
//! time of a reminder is kept as it was understood, in local time, and as the moment that this is.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;

use super::{Failed, Store, callers};

/// A reminder that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Of what.
    pub text: String,
    /// When, in local time: a day, or a time of a day.
    pub due: String,
    /// The moment that this is.
    pub due_at: Timestamp,
    /// Who was asked for it.
    pub persona: String,
    /// In which room.
    pub room: String,
    /// Who asked for it, where their number is known.
    pub number: Option<String>,
}

/// A reminder that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reminder {
    /// Counts up, never given twice.
    pub id: i64,
    /// Of what.
    pub text: String,
    /// When, in local time: a day, or a time of a day.
    pub due: String,
    /// The moment that this is.
    pub due_at: Timestamp,
    /// Who was asked for it.
    pub persona: String,
    /// In which room.
    pub room: String,
    /// Who asked for it, where their number is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// How far it has come.
    pub state: State,
    /// How often it was tried in vain to tell it.
    pub tries: u32,
}

/// How far a reminder has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its time is still to come, or it is to be tried again.
    Waiting,
    /// Its time has come, and nobody is to be told: it is for whoever looks.
    Due,
    /// Somebody was told.
    Told,
    /// It was tried too often in vain.
    GivenUp,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Told => "told",
            Self::GivenUp => "given_up",
        }
    }

    /// What another program has written into the file is for whoever looks.
    fn named(name: &str) -> Self {
        [Self::Waiting, Self::Told, Self::GivenUp].into_iter().find(|state| state.name() == name).unwrap_or(Self::Due)
    }
}

/// There are as many reminders as are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{REMINDERS_MAX} reminders are waiting already")]
pub struct TooMany;

impl Store {
    /// Keeps a reminder; its number.
    ///
    /// # Errors
    /// [`Failed`]; [`TooMany`] inside, and then nothing was kept.
    pub async fn remind(&self, new: &New, now: Timestamp) -> Result<Result<i64, TooMany>, Failed> {
        let mut transaction = self.pool.begin().await?;
        // What is over is kept for a while, for whoever looks. It goes first: a transaction that begins with reading
        // fails where somebody else writes before it does.
        sqlx::query("DELETE FROM reminders WHERE state <> ? AND due_s < ?")
            .bind(State::Waiting.name())
            .bind(now.as_second() - OVER_KEPT_S)
            .execute(&mut *transaction)
            .await?;
        let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM reminders WHERE state = ?")
            .bind(State::Waiting.name())
            .fetch_one(&mut *transaction)
            .await?;
        if waiting >= REMINDERS_MAX {
            return Ok(Err(TooMany));
        }
        let kept = sqlx::query(
            "INSERT INTO reminders (text, due, due_s, persona, room, number, made_s, state, tries, next_s) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        )
        .bind(&new.text)
        .bind(&new.due)
        .bind(new.due_at.as_second())
        .bind(&new.persona)
        .bind(&new.room)
        .bind(new.number.as_deref().and_then(callers::number_of))
        .bind(now.as_second())
        .bind(State::Waiting.name())
        .bind(new.due_at.as_second())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok(kept.last_insert_rowid()))
    }

    /// All that are kept, the soonest first; `most` at most.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn reminders(&self, most: u32) -> Result<Vec<Reminder>, Failed> {
        let rows = sqlx::query("SELECT * FROM reminders ORDER BY due_s, id LIMIT ?")
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(reminder).collect()
    }

    /// Those whose time has come, the longest due first; `most` at most.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn reminders_due(&self, now: Timestamp, most: u32) -> Result<Vec<Reminder>, Failed> {
        let rows = sqlx::query("SELECT * FROM reminders WHERE state = ? AND next_s <= ? ORDER BY next_s, id LIMIT ?")
            .bind(State::Waiting.name())
            .bind(now.as_second())
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(reminder).collect()
    }

    /// When the next one is due, or is to be tried again.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn next_reminder(&self) -> Result<Option<Timestamp>, Failed> {
        let next: Option<i64> = sqlx::query_scalar("SELECT MIN(next_s) FROM reminders WHERE state = ?")
            .bind(State::Waiting.name())
            .fetch_one(&self.pool)
            .await?;
        Ok(next.map(callers::at))
    }

    /// Whether a reminder is still there and to be told.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn is_waiting(&self, id: i64) -> Result<bool, Failed> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM reminders WHERE id = ? AND state = ?")
            .bind(id)
            .bind(State::Waiting.name())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// A reminder was tried, or is over: how far it has come, after so many tries in vain, and when it is tried again.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn note_reminder(&self, id: i64, state: State, tries: u32, next: Timestamp) -> Result<(), Failed> {
        sqlx::query("UPDATE reminders SET state = ?, tries = ?, next_s = ? WHERE id = ?")
            .bind(state.name())
            .bind(i64::from(tries))
            .bind(next.as_second())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Erases a reminder; whether there was one.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn drop_reminder(&self, id: i64) -> Result<bool, Failed> {
        let gone =
            sqlx::query("DELETE FROM reminders WHERE id = ?").bind(id).execute(&self.pool).await?.rows_affected();
        if gone > 0 {
            self.scrub().await;
        }
        Ok(gone > 0)
    }
}

fn reminder(row: &sqlx::sqlite::SqliteRow) -> Result<Reminder, Failed> {
    let seconds: i64 = row.try_get("due_s")?;
    let state: String = row.try_get("state")?;
    let tries: i64 = row.try_get("tries")?;
    Ok(Reminder {
        id: row.try_get("id")?,
        text: row.try_get("text")?,
        due: row.try_get("due")?,
        due_at: callers::at(seconds),
        persona: row.try_get("persona")?,
        room: row.try_get("room")?,
        number: row.try_get("number")?,
        state: State::named(&state),
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
    })
}

/// Reminders that wait at once. Whoever has agents asked for more wants to fill the disk.
const REMINDERS_MAX: i64 = 10_000;

/// What is over is kept for thirty days.
const OVER_KEPT_S: i64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn new(text: &str, due_at: &str) -> New {
        New {
            text: text.to_owned(),
            due: "2026-12-02T15:00".to_owned(),
            due_at: at(due_at),
            persona: "office".to_owned(),
            room: "r1".to_owned(),
            number: Some("+49301".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_reminder_waits_for_its_time_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let now = at("2026-12-01T10:00:00Z");
        assert_eq!(store.next_reminder().await.unwrap(), None);
        let late = store.remind(&new("offer", "2026-12-02T14:00:00Z"), now).await.unwrap().unwrap();
        let soon = store.remind(&new("call", "2026-12-01T11:00:00Z"), now).await.unwrap().unwrap();
        assert_eq!(store.next_reminder().await.unwrap(), Some(at("2026-12-01T11:00:00Z")));
        assert!(store.reminders_due(at("2026-12-01T10:59:59Z"), 9).await.unwrap().is_empty());

        let due = store.reminders_due(at("2026-12-03T00:00:00Z"), 9).await.unwrap();
        assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [soon, late]);
        store.note_reminder(soon, State::Told, 0, due[0].due_at).await.unwrap();
        store.note_reminder(late, State::Waiting, 1, at("2026-12-03T00:01:00Z")).await.unwrap();
        assert!(store.reminders_due(at("2026-12-03T00:00:00Z"), 9).await.unwrap().is_empty());
        assert_eq!(store.next_reminder().await.unwrap(), Some(at("2026-12-03T00:01:00Z")));
        assert!(store.is_waiting(late).await.unwrap() && !store.is_waiting(soon).await.unwrap());

        // A server that is started anew knows them all.
        store.pool.close().await;
        let store = Store::open(folder.path()).await.unwrap();
        let all = store.reminders(9).await.unwrap();
        assert_eq!(
            all.iter().map(|one| (one.text.as_str(), one.state, one.tries)).collect::<Vec<_>>(),
            [("call", State::Told, 0), ("offer", State::Waiting, 1)]
        );
        assert!(store.drop_reminder(late).await.unwrap() && !store.drop_reminder(late).await.unwrap());
        assert!(!store.is_waiting(late).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_long_over_makes_room_and_a_number_that_is_erased_takes_its_reminders_along() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let old = store.remind(&new("old", "2026-10-01T10:00:00Z"), at("2026-09-01T10:00:00Z")).await.unwrap().unwrap();
        store.note_reminder(old, State::Told, 0, at("2026-10-01T10:00:00Z")).await.unwrap();
        store.remind(&new("new", "2026-12-02T10:00:00Z"), at("2026-12-01T10:00:00Z")).await.unwrap().unwrap();
        let left = store.reminders(9).await.unwrap();
        assert_eq!(left.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["new"]);
        store.erase("+49301").await.unwrap();
        assert!(store.reminders(9).await.unwrap().is_empty());
    }
}
