//! What outlives a call: callers who want to be remembered ([`callers`]) and reminders ([`reminders`]).
//!
//! One SQLite file in the data folder, `harmony.sqlite`, readable by its owner alone; nothing to install. Runs on the
//! tasks of whoever asks: each question is a few milliseconds on the library's own threads, and waits at most two
//! seconds for its turn. What was written is on the disk before its writer goes on, but for the last moments before the
//! power fails. Never on a real-time thread. Words of callers are in it, so they are in no log.

pub mod callers;
pub mod reminders;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// The file's name.
const FILE: &str = "harmony.sqlite";

/// How long a question waits for others'. Whoever waits longer is told that it did not work.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions at once. SQLite writes one at a time; a few may read beside it.
const CONNECTIONS_MAX: u32 = 4;

/// What makes a file of version N one of version N + 1, each in one piece.
const STEPS: [&str; 1] = ["
    CREATE TABLE callers (
        number TEXT NOT NULL, persona TEXT NOT NULL, agreed_s INTEGER NOT NULL,
        PRIMARY KEY (number, persona)
    ) STRICT;
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY, number TEXT NOT NULL, persona TEXT NOT NULL, at_s INTEGER NOT NULL, text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX calls_of ON calls (number, persona, at_s);
    CREATE INDEX calls_at ON calls (at_s);
    CREATE TABLE reminders (
        id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, due TEXT NOT NULL, due_s INTEGER NOT NULL,
        persona TEXT NOT NULL, room TEXT NOT NULL, number TEXT, made_s INTEGER NOT NULL,
        state TEXT NOT NULL, tries INTEGER NOT NULL, next_s INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX reminders_next ON reminders (state, next_s);
"];

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The file cannot be made or opened.
    #[error("{} cannot be opened: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no file of ours, or a damaged one.
    #[error("{} cannot be read: {source} (move it away to begin anew)", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
    /// A newer program wrote it.
    #[error("{} is of version {version}, and this program knows {}; use the newer one", path.display(), STEPS.len())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
}

/// It was not kept, or cannot be read now. Its `Display` says nothing of what it was about.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct Failed(#[from] sqlx::Error);

/// What outlives a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the file in the data folder, or makes it. Call it in a tokio runtime.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn open(folder: &Path) -> Result<Self, Broken> {
        let path = folder.join(FILE);
        let made = fs::create_dir_all(folder).and_then(|()| private(&path));
        made.map_err(|source| Broken::File { path: path.clone(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE)
            // What is erased is overwritten, not only forgotten.
            .pragma("secure_delete", "ON");
        let opened = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await;
        let database = |source| Broken::Database { path: path.clone(), source };
        let store = Self { pool: opened.map_err(database)? };
        let version = store.version().await.map_err(database)?;
        let done = usize::try_from(version).ok().filter(|done| *done <= STEPS.len());
        let Some(done) = done else { return Err(Broken::Newer { path, version }) };
        for (step, number) in STEPS[done..].iter().zip(done + 1..) {
            store.step(step, number).await.map_err(database)?;
        }
        // What could not be written out when it was erased.
        store.scrub().await;
        Ok(store)
    }

    async fn version(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await
    }

    async fn step(&self, step: &'static str, number: usize) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        // A pragma takes no parameter.
        sqlx::raw_sql(&format!("PRAGMA user_version = {number}")).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Writes out what was erased, so that no other file holds it any more. Where somebody reads for too long this is
    /// made up for by the next time, at the latest when the file is opened again: what was erased is gone all the same.
    async fn scrub(&self) {
        // The first column says whether somebody was in the way.
        let done: Result<i64, _> = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await;
        match done {
            Ok(0) => {}
            Ok(_) => tracing::warn!("what was erased stays in the store's log until it is written out the next time"),
            Err(error) => tracing::warn!(%error, "what was erased stays in the store's log until the next time"),
        }
    }
}

/// Makes the file if it is not there, for its owner alone.
fn private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_made_once_and_opened_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("data");
        for _ in 0..2 {
            let store = Store::open(&inner).await.unwrap();
            assert_eq!(store.version().await.unwrap(), STEPS.len() as i64);
            store.pool.close().await;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(inner.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
    }

    #[tokio::test]
    async fn what_is_no_store_or_a_newer_one_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "these are notes of somebody else, and no database at all").unwrap();
        assert!(matches!(Store::open(folder.path()).await, Err(Broken::Database { .. })));
        assert!(fs::read_to_string(&path).unwrap().starts_with("these are notes"));

        fs::remove_file(&path).unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&store.pool).await.unwrap();
        store.pool.close().await;
        let newer = Store::open(folder.path()).await.unwrap_err();
        assert!(matches!(newer, Broken::Newer { version: 99, .. }), "{newer}");
    }
}
