//! Callers who want to be remembered: that they agreed, and what their calls were about.
//!
//! Kept by number and persona: whoever agreed with one has not agreed with the others. A number is what the network
//! said; it is no proof of who calls. Without a word of consent there is no row, and with a no there is none any more.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Failed, Store};

/// Who is remembered, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    number: String,
    persona: String,
}

/// What is remembered of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Whom they talked with.
    pub persona: String,
    /// When it was over.
    pub at: Timestamp,
    /// What it was about.
    pub text: String,
}

/// All that is kept of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The number.
    pub number: String,
    /// With whom they agreed to be remembered, and when.
    pub agreed: Vec<Agreed>,
    /// Their calls, oldest first.
    pub calls: Vec<Call>,
}

/// That a caller agreed to be remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// By whom.
    pub persona: String,
    /// When.
    pub at: Timestamp,
}

impl Caller {
    /// Whoever calls `persona` from this number or address; nobody where it is withheld.
    pub fn of(number: &str, persona: &str) -> Option<Self> {
        let number = number_of(number)?;
        Some(Self { number, persona: persona.to_owned() })
    }
}

/// A number or address as it is kept; nothing where there is none that tells one caller from another.
pub fn number_of(text: &str) -> Option<String> {
    let number = text.trim().to_lowercase();
    let address = number.strip_prefix("sip:").unwrap_or(&number);
    let (user, host) = address.split_once('@').unwrap_or((address, ""));
    let is_withheld = user.is_empty() || WITHHELD.contains(&user) || host == WITHHELD_HOST;
    (!is_withheld && number.len() <= NUMBER_BYTES_MAX).then_some(number)
}

impl Store {
    /// Whether the caller has agreed to be remembered.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn has_agreed(&self, caller: &Caller) -> Result<bool, Failed> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM callers WHERE number = ? AND persona = ?")
            .bind(&caller.number)
            .bind(&caller.persona)
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// The caller agrees to be remembered; when they did so first stays.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn agree(&self, caller: &Caller, now: Timestamp) -> Result<(), Failed> {
        sqlx::query("INSERT INTO callers (number, persona, agreed_s) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(&caller.number)
            .bind(&caller.persona)
            .bind(now.as_second())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The caller is forgotten, by this persona.
    ///
    /// # Errors
    /// [`Failed`]; then nothing was forgotten.
    pub async fn forget(&self, caller: &Caller) -> Result<(), Failed> {
        let mut transaction = self.pool.begin().await?;
        for statement in [
            "DELETE FROM calls WHERE number = ? AND persona = ?",
            "DELETE FROM callers WHERE number = ? AND persona = ?",
        ] {
            sqlx::query(statement).bind(&caller.number).bind(&caller.persona).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.scrub().await;
        Ok(())
    }

    /// Keeps what a call was about, and no more than [`CALLS_MAX`] of one caller. Of whoever has not agreed, or was
    /// forgotten or erased while the call went on, nothing is kept.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn keep_call(&self, caller: &Caller, text: &str, now: Timestamp) -> Result<(), Failed> {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO calls (number, persona, at_s, text) \
             SELECT number, persona, ?, ? FROM callers WHERE number = ? AND persona = ?",
        )
        .bind(now.as_second())
        .bind(text)
        .bind(&caller.number)
        .bind(&caller.persona)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM calls WHERE number = ?1 AND persona = ?2 AND id NOT IN \
             (SELECT id FROM calls WHERE number = ?1 AND persona = ?2 ORDER BY id DESC LIMIT ?3)",
        )
        .bind(&caller.number)
        .bind(&caller.persona)
        .bind(CALLS_MAX)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The last calls of a caller that are not older than `kept_for`, oldest first, `most` at most. What is older is
    /// erased, whoever called that persona: some never call again.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn calls(
        &self,
        caller: &Caller,
        most: usize,
        kept_for: Duration,
        now: Timestamp,
    ) -> Result<Vec<Call>, Failed> {
        let oldest = now.as_second().saturating_sub(i64::try_from(kept_for.as_secs()).unwrap_or(i64::MAX));
        let gone = sqlx::query("DELETE FROM calls WHERE persona = ? AND at_s < ?")
            .bind(&caller.persona)
            .bind(oldest)
            .execute(&self.pool)
            .await?;
        if gone.rows_affected() > 0 {
            self.scrub().await;
        }
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT persona, at_s, text FROM calls WHERE number = ? AND persona = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(&caller.number)
        .bind(&caller.persona)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().rev().map(call).collect())
    }

    /// All that is kept of a number, whoever talked with it.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn known(&self, number: &str) -> Result<Known, Failed> {
        let number = number_of(number).unwrap_or_default();
        let agreed: Vec<(String, i64)> =
            sqlx::query_as("SELECT persona, agreed_s FROM callers WHERE number = ? ORDER BY persona")
                .bind(&number)
                .fetch_all(&self.pool)
                .await?;
        let calls: Vec<(String, i64, String)> =
            sqlx::query_as("SELECT persona, at_s, text FROM calls WHERE number = ? ORDER BY id")
                .bind(&number)
                .fetch_all(&self.pool)
                .await?;
        let agreed = agreed.into_iter().map(|(persona, at_s)| Agreed { persona, at: at(at_s) }).collect();
        Ok(Known { number, agreed, calls: calls.into_iter().map(call).collect() })
    }

    /// Erases all that is kept of a number, its reminders too; how many rows there were.
    ///
    /// # Errors
    /// [`Failed`]; then nothing was erased.
    pub async fn erase(&self, number: &str) -> Result<u64, Failed> {
        let Some(number) = number_of(number) else { return Ok(0) };
        let mut transaction = self.pool.begin().await?;
        let mut gone = 0;
        for statement in [
            "DELETE FROM calls WHERE number = ?",
            "DELETE FROM callers WHERE number = ?",
            "DELETE FROM reminders WHERE number = ?",
        ] {
            gone += sqlx::query(statement).bind(&number).execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        self.scrub().await;
        Ok(gone)
    }
}

fn call((persona, at_s, text): (String, i64, String)) -> Call {
    Call { persona, at: at(at_s), text }
}

/// Seconds since 1970 as they are kept; what cannot be a time is the beginning of it.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How callers are named who do not want to be known, by whoever passes their call on. The numbers are Twilio's: such a
/// word on the keys of a telephone.
const WITHHELD: [&str; 13] = [
    "anonymous",
    "unknown",
    "restricted",
    "unavailable",
    "private",
    "withheld",
    "blocked",
    "-",
    "+266696687",
    "+8656696",
    "+7378742833",
    "+86282452253",
    "+2562533",
];

/// Nobody's host (RFC 3323).
const WITHHELD_HOST: &str = "anonymous.invalid";

/// The longest address that is kept.
const NUMBER_BYTES_MAX: usize = 256;

/// The longest text of a call: some 300 words.
const TEXT_BYTES_MAX: usize = 2_048;

/// Calls that are kept of one caller by one persona. A persona is told of twenty at most.
const CALLS_MAX: i64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-12-01T10:00:00Z".parse().unwrap()
    }

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * 86_400)
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        (folder, store)
    }

    fn texts(calls: &[Call]) -> Vec<&str> {
        calls.iter().map(|call| call.text.as_str()).collect()
    }

    #[test]
    fn callers_who_are_withheld_are_nobody() {
        let withheld = [
            "",
            "  ",
            "anonymous",
            "Anonymous",
            "unknown",
            "+266696687",
            "sip:anonymous@trunk.example.org",
            "sip:x7@anonymous.invalid",
            &"1".repeat(300),
        ];
        for number in withheld {
            assert_eq!(Caller::of(number, "office"), None, "{number}");
        }
        assert!(Caller::of("sip:ada@example.org", "office").is_some());
        assert_eq!(Caller::of(" +4930123456 ", "office"), Caller::of("+4930123456", "office"));
        assert_ne!(Caller::of("+4930123456", "office"), Caller::of("+4930123456", "salon"));
    }

    #[tokio::test]
    async fn whoever_agreed_is_remembered_by_that_persona_alone_until_they_say_no() {
        let (_folder, store) = store().await;
        let (office, salon) = (Caller::of("+49301", "office").unwrap(), Caller::of("+49301", "salon").unwrap());
        assert!(!store.has_agreed(&office).await.unwrap());
        store.agree(&office, now()).await.unwrap();
        store.agree(&office, now()).await.unwrap();
        assert!(store.has_agreed(&office).await.unwrap() && !store.has_agreed(&salon).await.unwrap());
        store.keep_call(&office, "Wanted an offer for 40 chairs.", now()).await.unwrap();
        let calls = store.calls(&office, 5, days(180), now()).await.unwrap();
        assert_eq!(texts(&calls), ["Wanted an offer for 40 chairs."]);
        assert!(store.calls(&salon, 5, days(180), now()).await.unwrap().is_empty());

        store.forget(&office).await.unwrap();
        assert!(!store.has_agreed(&office).await.unwrap());
        assert!(store.calls(&office, 5, days(180), now()).await.unwrap().is_empty());
        // A call that still went on then is over.
        store.keep_call(&office, "Wanted an offer for 50 chairs.", now()).await.unwrap();
        assert!(store.known("+49301").await.unwrap().calls.is_empty());
    }

    #[tokio::test]
    async fn the_last_calls_are_told_oldest_first_and_old_ones_are_gone() {
        let (_folder, store) = store().await;
        let (caller, other) = (Caller::of("+49301", "office").unwrap(), Caller::of("+49302", "office").unwrap());
        for who in [&caller, &other] {
            store.agree(who, now()).await.unwrap();
        }
        store.keep_call(&other, "never calls again", now()).await.unwrap();
        for day in 0..10_u64 {
            store.keep_call(&caller, &format!("call {day}"), now() + days(day)).await.unwrap();
        }
        let then = now() + days(9);
        let calls = store.calls(&caller, 3, days(180), then).await.unwrap();
        assert_eq!(texts(&calls), ["call 7", "call 8", "call 9"]);
        assert_eq!(texts(&store.calls(&caller, 20, days(2), then).await.unwrap()), ["call 7", "call 8", "call 9"]);
        assert_eq!(store.known("+49301").await.unwrap().calls.len(), 3, "what is too old is not kept either");
        assert!(store.known("+49302").await.unwrap().calls.is_empty(), "whoever's it is");
    }

    #[tokio::test]
    async fn nobody_fills_the_store_with_calls() {
        let (_folder, store) = store().await;
        let caller = Caller::of("+49301", "office").unwrap();
        store.agree(&caller, now()).await.unwrap();
        for number in 0..CALLS_MAX + 5 {
            store.keep_call(&caller, &format!("ä{}", "x".repeat(5_000 + number as usize)), now()).await.unwrap();
        }
        let known = store.known("+49301").await.unwrap();
        assert_eq!(known.calls.len(), CALLS_MAX as usize);
        assert!(known.calls.iter().all(|call| call.text.len() <= TEXT_BYTES_MAX));
    }

    #[tokio::test]
    async fn what_is_erased_is_in_no_file_any_more() {
        let (folder, store) = store().await;
        let caller = Caller::of("+49301", "office").unwrap();
        store.agree(&caller, now()).await.unwrap();
        store.keep_call(&caller, "a word like xylophonist", now()).await.unwrap();
        assert_eq!(store.erase("+49301").await.unwrap(), 2);
        assert_eq!(store.erase("+49301").await.unwrap(), 0);
        let known = store.known("+49301").await.unwrap();
        assert!(known.agreed.is_empty() && known.calls.is_empty());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(11).any(|part| part == b"xylophonist"));
        }
    }
}
