//! Recordings: what is asked for, and how one is shown. Pure values, in Twilio's names.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    call::sid_of,
    dates::date,
    error::RestError,
    page::Listed,
    params::{Params, Period},
    wish::RecordWish,
};
use crate::dialect::twilio::sid::{Kind, Sid};

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It grows.
    InProgress,
    /// It holds still.
    Paused,
    /// It is over, and its file is not ready yet.
    Processing,
    /// It is ready.
    Completed,
    /// There was nothing to keep.
    Absent,
    /// It broke off.
    Failed,
}

impl Status {
    /// Twilio's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in-progress",
            Self::Paused => "paused",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }
}

/// Who asked for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `<Dial record>`.
    DialVerb,
    /// `<Record>`.
    RecordVerb,
    /// `<Start><Recording>`.
    StartVerb,
    /// `<Conference record>`.
    Conference,
    /// A call that was placed with `Record`.
    OutboundApi,
    /// A program, while the call went on.
    StartCallRecordingApi,
}

impl Source {
    /// Twilio's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DialVerb => "DialVerb",
            Self::RecordVerb => "RecordVerb",
            Self::StartVerb => "StartRecordingTwiML",
            Self::Conference => "Conference",
            Self::OutboundApi => "OutboundAPI",
            Self::StartCallRecordingApi => "StartCallRecordingAPI",
        }
    }
}

/// A recording, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingView {
    /// Its name.
    pub sid: Sid,
    /// The call that it is of.
    pub call: Option<Sid>,
    /// The conference that it is of.
    pub conference: Option<Sid>,
    /// 1, or 2 for one of each party.
    pub channels: u8,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// When its first sound was heard.
    pub started: Timestamp,
    /// How long it is, once it is over, in seconds.
    pub duration_s: Option<u64>,
    /// Where it stands.
    pub status: Status,
    /// Who asked for it.
    pub source: Source,
    /// Twilio's number of what went wrong.
    pub error_code: Option<u32>,
}

impl RecordingView {
    /// As Twilio spells it. `public` is how the world reaches this server, such as `https://voice.example.org`.
    pub fn spell(&self, account: &str, public: &str) -> Value {
        let base = format!("/2010-04-01/Accounts/{account}/Recordings/{}", self.sid);
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "call_sid": self.call,
            "conference_sid": self.conference,
            "channels": self.channels,
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "start_time": date(self.started),
            "price": null,
            "price_unit": "USD",
            "duration": self.duration_s.map_or_else(|| "-1".to_owned(), |seconds| seconds.to_string()),
            "sid": self.sid,
            "source": self.source.as_str(),
            "status": self.status.as_str(),
            "error_code": self.error_code,
            "uri": format!("{base}.json"),
            "subresource_uris": {"transcriptions": format!("{base}/Transcriptions.json")},
            "encryption_details": null,
            "media_url": format!("{public}{base}"),
        })
    }
}

impl Listed for RecordingView {
    fn name(&self) -> String {
        self.sid.to_string()
    }
}

/// Which recordings are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingFilter {
    call: Option<Sid>,
    conference: Option<Sid>,
    created: Period,
}

impl RecordingFilter {
    /// Reads what a query asks for; `call` and `conference` are those that the path names.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params, call: Option<Sid>, conference: Option<Sid>) -> Result<Self, RestError> {
        let named = |name: &str, kind: Kind| params.text(name).map(|text| sid_of(name, kind, text)).transpose();
        Ok(Self {
            call: call.or(named("CallSid", Kind::Call)?),
            conference: conference.or(named("ConferenceSid", Kind::Conference)?),
            created: params.period("DateCreated")?,
        })
    }

    /// Whether `recording` is to be listed.
    pub fn covers(&self, recording: &RecordingView) -> bool {
        self.call.is_none_or(|call| Some(call) == recording.call)
            && self.conference.is_none_or(|conference| Some(conference) == recording.conference)
            && self.created.covers(Some(recording.created))
    }
}

/// A recording to be begun of a call that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRecording(pub RecordWish);

impl StartRecording {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        RecordWish::read(params).map(Self)
    }
}

/// What is to become of a recording that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateRecording {
    /// It ends.
    Stop,
    /// It holds still: what is said meanwhile is silence in it, or is left out.
    Pause {
        /// Whether the pause is as long in the file.
        is_silence: bool,
    },
    /// It goes on.
    Resume,
}

impl UpdateRecording {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let is_silence = params.word("PauseBehavior", &[("silence", true), ("skip", false)])?.unwrap_or(true);
        let words = [("stopped", Self::Stop), ("paused", Self::Pause { is_silence }), ("in-progress", Self::Resume)];
        params.word("Status", &words)?.ok_or_else(|| RestError::bad_parameter("Status", "it is required"))
    }
}

/// How the sound of a recording is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaWish {
    /// One channel for both parties although there are two.
    pub is_mixed: bool,
    /// To be saved rather than played.
    pub is_download: bool,
}

impl MediaWish {
    /// Reads a query.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        Ok(Self {
            is_mixed: params.word("RequestedChannels", &[("1", true), ("2", false)])?.unwrap_or(false),
            is_download: params.flag("Download")?.unwrap_or(false),
        })
    }
}

/// The words of a recording, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptionView {
    /// Its name.
    pub sid: Sid,
    /// Of which recording.
    pub recording: Sid,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// The words; `None` while they are written, or when that failed.
    pub text: Option<String>,
    /// Whether it failed.
    pub has_failed: bool,
    /// How long the recording is, in seconds.
    pub duration_s: u64,
}

impl TranscriptionView {
    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        let status = match (&self.text, self.has_failed) {
            (Some(_), _) => "completed",
            (None, true) => "failed",
            (None, false) => "in-progress",
        };
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "duration": self.duration_s.to_string(),
            "price": null,
            "price_unit": "USD",
            "recording_sid": self.recording,
            "sid": self.sid,
            "status": status,
            "transcription_text": self.text,
            "type": "fast",
            "uri": format!("/2010-04-01/Accounts/{account}/Transcriptions/{}.json", self.sid),
        })
    }
}

impl Listed for TranscriptionView {
    fn name(&self) -> String {
        self.sid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn recording() -> RecordingView {
        let at = "2016-10-14T21:56:34Z".parse().unwrap();
        RecordingView {
            sid: Sid::new(Kind::Recording, 1),
            call: Some(Sid::new(Kind::Call, 2)),
            conference: None,
            channels: 1,
            created: at,
            updated: at,
            started: at,
            duration_s: Some(4),
            status: Status::Completed,
            source: Source::RecordVerb,
            error_code: None,
        }
    }

    #[test]
    fn a_recording_reads_as_twilios_do() {
        let base = "/2010-04-01/Accounts/AC1/Recordings/RE00000000000000000000000000000001";
        assert_eq!(
            recording().spell("AC1", "https://voice.example"),
            json!({
                "account_sid": "AC1",
                "api_version": "2010-04-01",
                "call_sid": "CA00000000000000000000000000000002",
                "conference_sid": null,
                "channels": 1,
                "date_created": "Fri, 14 Oct 2016 21:56:34 +0000",
                "date_updated": "Fri, 14 Oct 2016 21:56:34 +0000",
                "start_time": "Fri, 14 Oct 2016 21:56:34 +0000",
                "price": null,
                "price_unit": "USD",
                "duration": "4",
                "sid": "RE00000000000000000000000000000001",
                "source": "RecordVerb",
                "status": "completed",
                "error_code": null,
                "uri": format!("{base}.json"),
                "subresource_uris": {"transcriptions": format!("{base}/Transcriptions.json")},
                "encryption_details": null,
                "media_url": format!("https://voice.example{base}"),
            })
        );
        let on = RecordingView { duration_s: None, status: Status::InProgress, ..recording() };
        assert_eq!(on.spell("AC1", "")["duration"], "-1");
    }

    #[test]
    fn a_list_is_of_the_call_that_the_path_names() {
        let own = RecordingFilter::read(&params(&[]), Some(Sid::new(Kind::Call, 2)), None).unwrap();
        let other = RecordingFilter::read(&params(&[("CallSid", "CA00000000000000000000000000000003")]), None, None);
        assert_eq!((own.covers(&recording()), other.unwrap().covers(&recording())), (true, false));
    }

    #[test]
    fn a_recording_is_steered_by_twilios_words() {
        for (pairs, expected) in [
            (&[("Status", "stopped")][..], UpdateRecording::Stop),
            (&[("Status", "paused")][..], UpdateRecording::Pause { is_silence: true }),
            (&[("Status", "paused"), ("PauseBehavior", "skip")][..], UpdateRecording::Pause { is_silence: false }),
            (&[("Status", "in-progress")][..], UpdateRecording::Resume),
        ] {
            assert_eq!(UpdateRecording::read(&params(pairs)), Ok(expected));
        }
        assert!(UpdateRecording::read(&params(&[])).is_err());
    }

    #[test]
    fn the_words_of_a_recording_say_how_they_stand() {
        let at = recording().created;
        let words = TranscriptionView {
            sid: Sid::new(Kind::Transcription, 1),
            recording: Sid::new(Kind::Recording, 1),
            created: at,
            updated: at,
            text: Some("hello".to_owned()),
            has_failed: false,
            duration_s: 10,
        };
        let spelled = words.spell("AC1");
        assert_eq!((&spelled["status"], &spelled["transcription_text"]), (&json!("completed"), &json!("hello")));
        assert_eq!(TranscriptionView { text: None, ..words.clone() }.spell("AC1")["status"], "in-progress");
        assert_eq!(TranscriptionView { text: None, has_failed: true, ..words }.spell("AC1")["status"], "failed");
    }
}
