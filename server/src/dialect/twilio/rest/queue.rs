//! Queues and who waits in them: what is asked for, and how they are shown. Pure values, in Twilio's names.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    dates::date,
    error::RestError,
    page::Listed,
    params::{Hook, Params},
};
use crate::dialect::twilio::sid::{Kind, Sid};

/// How many may wait when nobody says it.
const SIZE: u32 = 100;

/// How many may be allowed to wait.
const SIZE_MAX: u32 = 5_000;

/// The longest name of a queue.
const NAME_CHARS_MAX: usize = 64;

/// A queue, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name to programs.
    pub sid: Sid,
    /// Its name in documents.
    pub friendly_name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// How many wait.
    pub size: u32,
    /// How many may.
    pub size_max: u32,
    /// How long those who wait have waited on average, in seconds.
    pub average_wait_s: u32,
}

impl QueueView {
    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        let base = format!("/2010-04-01/Accounts/{account}/Queues/{}", self.sid);
        json!({
            "account_sid": account,
            "average_wait_time": self.average_wait_s,
            "current_size": self.size,
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "friendly_name": self.friendly_name,
            "max_size": self.size_max,
            "sid": self.sid,
            "subresource_uris": {"members": format!("{base}/Members.json")},
            "uri": format!("{base}.json"),
        })
    }
}

impl Listed for QueueView {
    fn name(&self) -> String {
        self.sid.to_string()
    }
}

/// Somebody who waits, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Their call.
    pub call: Sid,
    /// Where.
    pub queue: Sid,
    /// Since when.
    pub enqueued: Timestamp,
    /// Counted from 1.
    pub position: u32,
    /// How long, in seconds.
    pub waited_s: u64,
}

impl MemberView {
    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        json!({
            "account_sid": account,
            "call_sid": self.call,
            "date_enqueued": date(self.enqueued),
            "position": self.position,
            "queue_sid": self.queue,
            "uri": format!("/2010-04-01/Accounts/{account}/Queues/{}/Members/{}.json", self.queue, self.call),
            "wait_time": self.waited_s,
        })
    }
}

impl Listed for MemberView {
    fn name(&self) -> String {
        self.call.to_string()
    }
}

/// A queue to be made or changed; `None` leaves it, or is the default of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueWish {
    /// Its name in documents.
    pub friendly_name: Option<String>,
    /// How many may wait.
    pub size_max: Option<u32>,
}

impl QueueWish {
    /// Reads the form of a request that changes one.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let friendly_name = params.line("FriendlyName")?;
        if friendly_name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
            return Err(RestError::bad_parameter("FriendlyName", "it has at most 64 characters"));
        }
        Ok(Self { friendly_name, size_max: params.number("MaxSize", 1..=SIZE_MAX)? })
    }

    /// Reads the form of a request that makes one.
    ///
    /// # Errors
    /// 400.
    pub fn read_new(params: &Params) -> Result<(String, u32), RestError> {
        let wish = Self::read(params)?;
        let name = wish.friendly_name.ok_or_else(|| RestError::bad_parameter("FriendlyName", "it is required"))?;
        Ok((name, wish.size_max.unwrap_or(SIZE)))
    }
}

/// Who of a queue is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// Whoever has waited longest.
    Front,
    /// This call.
    Call(Sid),
}

impl Member {
    /// Reads the end of a path; nothing when it names nobody.
    pub fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("front") {
            return Some(Self::Front);
        }
        Sid::of(Kind::Call, text).map(Self::Call)
    }
}

/// Whoever waits is to go on: what they do then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dequeue(pub Hook);

impl Dequeue {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let hook = params.hook("Url", "Method")?;
        hook.map(Self).ok_or_else(|| RestError::not_now(21_205, "Url parameter is required"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_queue_and_its_members_read_as_twilios_do() {
        let at: Timestamp = "2012-08-07T22:57:41Z".parse().unwrap();
        let queue = QueueView {
            sid: Sid::new(Kind::Queue, 1),
            friendly_name: "support".to_owned(),
            created: at,
            updated: at,
            size: 2,
            size_max: 100,
            average_wait_s: 30,
        };
        let base = "/2010-04-01/Accounts/AC1/Queues/QU00000000000000000000000000000001";
        assert_eq!(
            queue.spell("AC1"),
            json!({
                "account_sid": "AC1",
                "average_wait_time": 30,
                "current_size": 2,
                "date_created": "Tue, 07 Aug 2012 22:57:41 +0000",
                "date_updated": "Tue, 07 Aug 2012 22:57:41 +0000",
                "friendly_name": "support",
                "max_size": 100,
                "sid": "QU00000000000000000000000000000001",
                "subresource_uris": {"members": format!("{base}/Members.json")},
                "uri": format!("{base}.json"),
            })
        );
        let member =
            MemberView { call: Sid::new(Kind::Call, 2), queue: queue.sid, enqueued: at, position: 1, waited_s: 143 };
        assert_eq!(
            member.spell("AC1"),
            json!({
                "account_sid": "AC1",
                "call_sid": "CA00000000000000000000000000000002",
                "date_enqueued": "Tue, 07 Aug 2012 22:57:41 +0000",
                "position": 1,
                "queue_sid": "QU00000000000000000000000000000001",
                "uri": format!("{base}/Members/CA00000000000000000000000000000002.json"),
                "wait_time": 143,
            })
        );
    }

    #[test]
    fn the_first_in_line_has_a_name_of_their_own() {
        assert_eq!(Member::read("Front"), Some(Member::Front));
        let call = Sid::new(Kind::Call, 2);
        assert_eq!(Member::read(&call.to_string()), Some(Member::Call(call)));
        assert_eq!(Member::read("QU00000000000000000000000000000001"), None);
    }

    #[test]
    fn a_queue_needs_a_name_and_has_a_size() {
        assert_eq!(QueueWish::read_new(&params(&[("FriendlyName", "a")])), Ok(("a".to_owned(), SIZE)));
        assert!(QueueWish::read_new(&params(&[])).is_err());
        assert!(QueueWish::read(&params(&[("MaxSize", "5001")])).is_err());
        assert!(Dequeue::read(&params(&[])).is_err());
    }
}
