//! Calls: which are asked for, and how one is shown.
//!
//! Pure values, in Twilio's names. [`super::desk`] is where they meet the telephone.

use bot::answering::AnsweredBy;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    dates::date,
    error::RestError,
    page::Listed,
    params::{Params, Period},
};
use crate::dialect::twilio::sid::{Kind, Sid};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Ready to be placed.
    Queued,
    /// Ringing.
    Ringing,
    /// Answered.
    InProgress,
    /// Over, after it was answered.
    Completed,
    /// Refused: the line was busy.
    Busy,
    /// It could not be placed.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// Given up by whoever placed it, before it was answered.
    Canceled,
}

const STATUSES: [(&str, Status); 8] = [
    ("queued", Status::Queued),
    ("ringing", Status::Ringing),
    ("in-progress", Status::InProgress),
    ("completed", Status::Completed),
    ("busy", Status::Busy),
    ("failed", Status::Failed),
    ("no-answer", Status::NoAnswer),
    ("canceled", Status::Canceled),
];

impl Status {
    /// Twilio's word.
    pub fn as_str(self) -> &'static str {
        STATUSES.iter().find(|(_, status)| *status == self).map_or("", |(word, _)| word)
    }

    /// Whether nothing more comes.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}

/// Who began a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Somebody called us.
    Inbound,
    /// A program did, by this API.
    OutboundApi,
    /// A document did, with `<Dial>`.
    OutboundDial,
}

impl Direction {
    /// Twilio's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundApi => "outbound-api",
            Self::OutboundDial => "outbound-dial",
        }
    }
}

/// A call, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// Its name.
    pub sid: Sid,
    /// The call that dialled it.
    pub parent: Option<Sid>,
    /// Who called: a number, a SIP URI or `client:name`.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// Where it stands.
    pub status: Status,
    /// Who began it.
    pub direction: Direction,
    /// When it was asked for, or came.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// When it was answered.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Who answered.
    pub answered_by: Option<AnsweredBy>,
    /// What the network says the caller is called.
    pub caller_name: Option<String>,
    /// Who sent the caller on to us.
    pub forwarded_from: Option<String>,
}

impl CallView {
    /// How long it was answered, in whole seconds begun; nothing before it is over.
    pub fn duration_s(&self) -> Option<i64> {
        let ended = self.ended?;
        let Some(started) = self.started else { return Some(0) };
        Some((ended.duration_since(started).as_millis().max(0) as u64).div_ceil(1_000) as i64)
    }

    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        let base = format!("/2010-04-01/Accounts/{account}/Calls/{}", self.sid);
        json!({
            "account_sid": account,
            "annotation": null,
            "answered_by": self.answered_by.map(AnsweredBy::name),
            "api_version": "2010-04-01",
            "caller_name": self.caller_name,
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "direction": self.direction.as_str(),
            "duration": self.duration_s().map(|seconds| seconds.to_string()),
            "end_time": self.ended.map(date),
            "forwarded_from": self.forwarded_from,
            "from": self.from,
            "from_formatted": self.from,
            "group_sid": null,
            "parent_call_sid": self.parent,
            "phone_number_sid": null,
            "price": null,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": self.sid,
            "start_time": self.started.map(date),
            "status": self.status.as_str(),
            "subresource_uris": {
                "recordings": format!("{base}/Recordings.json"),
                "streams": format!("{base}/Streams.json"),
                "transcriptions": format!("{base}/Transcriptions.json"),
            },
            "to": self.to,
            "to_formatted": self.to,
            "trunk_sid": null,
            "uri": format!("{base}.json"),
        })
    }
}

impl Listed for CallView {
    fn name(&self) -> String {
        self.sid.to_string()
    }
}

/// Which calls are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    to: Option<String>,
    from: Option<String>,
    parent: Option<Sid>,
    status: Option<Status>,
    started: Period,
    ended: Period,
}

impl CallFilter {
    /// Reads what a query asks for.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let parent = match params.text("ParentCallSid") {
            Some(text) => Some(sid_of("ParentCallSid", Kind::Call, text)?),
            None => None,
        };
        Ok(Self {
            to: params.line("To")?,
            from: params.line("From")?,
            parent,
            status: params.word("Status", &STATUSES)?,
            started: params.period("StartTime")?,
            ended: params.period("EndTime")?,
        })
    }

    /// Whether `call` is to be listed.
    pub fn covers(&self, call: &CallView) -> bool {
        self.to.as_ref().is_none_or(|to| *to == call.to)
            && self.from.as_ref().is_none_or(|from| *from == call.from)
            && self.parent.is_none_or(|parent| Some(parent) == call.parent)
            && self.status.is_none_or(|status| status == call.status)
            && self.started.covers(call.started)
            && self.ended.covers(call.ended)
    }
}

/// A name in a parameter.
///
/// # Errors
/// 400.
pub(super) fn sid_of(name: &str, kind: Kind, text: &str) -> Result<Sid, RestError> {
    let why = || format!("it is {} and 32 hexadecimal digits", kind.letters());
    Sid::of(kind, text).ok_or_else(|| RestError::bad_parameter(name, &why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn call() -> CallView {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        CallView {
            sid: Sid::new(Kind::Call, 1),
            parent: None,
            from: "+14158675308".to_owned(),
            to: "+14158675309".to_owned(),
            status: Status::Completed,
            direction: Direction::Inbound,
            created: at("2010-08-31T20:36:28Z"),
            updated: at("2010-08-31T20:36:44Z"),
            started: Some(at("2010-08-31T20:36:29Z")),
            ended: Some(at("2010-08-31T20:36:44Z")),
            answered_by: Some(AnsweredBy::Human),
            caller_name: None,
            forwarded_from: None,
        }
    }

    #[test]
    fn a_call_reads_as_twilios_do() {
        let base = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/CA00000000000000000000000000000001");
        assert_eq!(
            call().spell(ACCOUNT),
            json!({
                "account_sid": ACCOUNT,
                "annotation": null,
                "answered_by": "human",
                "api_version": "2010-04-01",
                "caller_name": null,
                "date_created": "Tue, 31 Aug 2010 20:36:28 +0000",
                "date_updated": "Tue, 31 Aug 2010 20:36:44 +0000",
                "direction": "inbound",
                "duration": "15",
                "end_time": "Tue, 31 Aug 2010 20:36:44 +0000",
                "forwarded_from": null,
                "from": "+14158675308",
                "from_formatted": "+14158675308",
                "group_sid": null,
                "parent_call_sid": null,
                "phone_number_sid": null,
                "price": null,
                "price_unit": "USD",
                "queue_time": "0",
                "sid": "CA00000000000000000000000000000001",
                "start_time": "Tue, 31 Aug 2010 20:36:29 +0000",
                "status": "completed",
                "subresource_uris": {
                    "recordings": format!("{base}/Recordings.json"),
                    "streams": format!("{base}/Streams.json"),
                    "transcriptions": format!("{base}/Transcriptions.json"),
                },
                "to": "+14158675309",
                "to_formatted": "+14158675309",
                "trunk_sid": null,
                "uri": format!("{base}.json"),
            })
        );
    }

    #[test]
    fn a_call_that_goes_on_has_no_end_and_one_that_was_never_answered_took_no_time() {
        let on = CallView { ended: None, status: Status::InProgress, ..call() };
        assert_eq!((on.spell(ACCOUNT)["duration"].clone(), on.status.is_over()), (Value::Null, false));
        let missed = CallView { started: None, status: Status::NoAnswer, ..call() };
        assert_eq!((missed.spell(ACCOUNT)["duration"].clone(), missed.status.is_over()), (json!("0"), true));
    }

    #[test]
    fn a_filter_lists_what_it_names() {
        for (pair, listed) in [
            (("To", "+14158675309"), true),
            (("To", "+1"), false),
            (("From", "+14158675308"), true),
            (("Status", "completed"), true),
            (("Status", "busy"), false),
            (("StartTime", "2010-08-31"), true),
            (("StartTime>", "2010-09-01"), false),
            (("EndTime<", "2010-08-31T20:36:43Z"), false),
            (("ParentCallSid", "CA00000000000000000000000000000002"), false),
            (("Nonsense", "x"), true),
        ] {
            assert_eq!(CallFilter::read(&params(&[pair])).unwrap().covers(&call()), listed, "{pair:?}");
        }
        assert!(CallFilter::read(&params(&[("Status", "odd")])).is_err());
        assert!(CallFilter::read(&params(&[("ParentCallSid", "RE1")])).is_err());
    }
}
