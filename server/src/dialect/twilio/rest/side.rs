//! What runs beside a call: media streams and live transcriptions, begun and ended by programs.
//!
//! Pure values, in Twilio's names. Parameters of a stream come as `Parameter1.Name` and `Parameter1.Value`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    dates::date,
    error::RestError,
    params::{Hook, Params},
};
use crate::{
    dialect::twilio::{message::Track, sid::Sid},
    webhook::target::Target,
};

/// Parameters of one stream.
const PARAMETERS_MAX: usize = 99;

/// Something that runs beside a call, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideView {
    /// Its name to programs.
    pub sid: Sid,
    /// The call.
    pub call: Sid,
    /// Its name in documents.
    pub name: Option<String>,
    /// Whether it still runs.
    pub is_running: bool,
    /// When it changed last.
    pub updated: Timestamp,
}

impl SideView {
    /// As Twilio spells it; `list` is `Streams` or `Transcriptions`.
    pub fn spell(&self, account: &str, list: &str) -> Value {
        json!({
            "account_sid": account,
            "call_sid": self.call,
            "date_updated": date(self.updated),
            "name": self.name,
            "sid": self.sid,
            "status": if self.is_running { "in-progress" } else { "stopped" },
            "uri": format!("/2010-04-01/Accounts/{account}/Calls/{}/{list}/{}.json", self.call, self.sid),
        })
    }
}

/// What of a call's sides is meant: its sid, or the name that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SideName {
    /// Its name to programs.
    Sid(Sid),
    /// Its name in documents.
    Given(String),
}

impl SideName {
    /// Reads the end of a path.
    pub fn read(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Given(text.to_owned()), Self::Sid)
    }
}

/// Whose voice goes out.
fn tracks(params: &Params) -> Result<Option<Vec<Track>>, RestError> {
    let both: &[Track] = &[Track::Inbound, Track::Outbound];
    let words = [("inbound_track", &both[..1]), ("outbound_track", &both[1..]), ("both_tracks", both)];
    Ok(params.word("Track", &words)?.map(<[Track]>::to_vec))
}

/// A stream to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartStream {
    /// Where to: `wss`, or `ws`.
    pub url: String,
    /// Its name in documents.
    pub name: Option<String>,
    /// Whose voice.
    pub tracks: Vec<Track>,
    /// Where it is told of.
    pub status_callback: Option<Hook>,
    /// What the other side is told.
    pub parameters: BTreeMap<String, String>,
}

impl StartStream {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let url = params.text("Url").filter(|url| Target::socket(url).is_ok());
        let numbered = |n: usize| {
            let name = params.text(&format!("Parameter{n}.Name"))?;
            let value = params.text(&format!("Parameter{n}.Value")).unwrap_or_default();
            Some((name.to_owned(), value.to_owned()))
        };
        Ok(Self {
            url: url.ok_or_else(|| RestError::bad_parameter("Url", "it is a wss URL"))?.to_owned(),
            name: params.line("Name")?,
            tracks: tracks(params)?.unwrap_or_else(|| vec![Track::Inbound]),
            status_callback: params.hook("StatusCallback", "StatusCallbackMethod")?,
            parameters: (1..=PARAMETERS_MAX).filter_map(numbered).collect(),
        })
    }
}

/// A live transcription to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTranscription {
    /// Its name in documents.
    pub name: Option<String>,
    /// Whose words.
    pub tracks: Vec<Track>,
    /// Where the words go.
    pub status_callback: Option<Hook>,
    /// The language, such as `en-US`.
    pub language: Option<String>,
    /// Whether words are told that may still change.
    pub partial_results: bool,
    /// What the caller is called.
    pub inbound_label: Option<String>,
    /// What the other party is called.
    pub outbound_label: Option<String>,
    /// Words that may come, with commas between.
    pub hints: Option<String>,
}

impl StartTranscription {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        Ok(Self {
            name: params.line("Name")?,
            tracks: tracks(params)?.unwrap_or_else(|| vec![Track::Inbound, Track::Outbound]),
            status_callback: params.hook("StatusCallbackUrl", "StatusCallbackMethod")?,
            language: params.line("LanguageCode")?,
            partial_results: params.flag("PartialResults")?.unwrap_or(false),
            inbound_label: params.line("InboundTrackLabel")?,
            outbound_label: params.line("OutboundTrackLabel")?,
            hints: params.line("Hints")?,
        })
    }
}

/// Reads the form of a request that ends a side: `Status=stopped` is all there is.
///
/// # Errors
/// 400.
pub fn read_stop(params: &Params) -> Result<(), RestError> {
    params.word("Status", &[("stopped", ())])?.ok_or_else(|| RestError::bad_parameter("Status", "it is stopped"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::twilio::sid::Kind;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_stream_reads_as_twilios_do() {
        let view = SideView {
            sid: Sid::new(Kind::Stream, 1),
            call: Sid::new(Kind::Call, 2),
            name: Some("ears".to_owned()),
            is_running: true,
            updated: "2015-07-30T20:00:00Z".parse().unwrap(),
        };
        assert_eq!(
            view.spell("AC1", "Streams"),
            json!({
                "account_sid": "AC1",
                "call_sid": "CA00000000000000000000000000000002",
                "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
                "name": "ears",
                "sid": "MZ00000000000000000000000000000001",
                "status": "in-progress",
                "uri": concat!(
                    "/2010-04-01/Accounts/AC1/Calls/CA00000000000000000000000000000002",
                    "/Streams/MZ00000000000000000000000000000001.json"
                ),
            })
        );
    }

    #[test]
    fn a_stream_is_begun_with_its_parameters_and_ended_by_either_name() {
        let wish = StartStream::read(&params(&[
            ("Url", "wss://bot.example/media"),
            ("Track", "both_tracks"),
            ("Parameter1.Name", "FirstName"),
            ("Parameter1.Value", "Ada"),
            ("Parameter2.Name", "Empty"),
        ]))
        .unwrap();
        assert_eq!(wish.tracks, [Track::Inbound, Track::Outbound]);
        let expected = [("FirstName", "Ada"), ("Empty", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(wish.parameters, BTreeMap::from(expected));
        for url in ["", "https://bot.example/", "nonsense"] {
            assert!(StartStream::read(&params(&[("Url", url)])).is_err(), "{url}");
        }
        assert_eq!(SideName::read("ears"), SideName::Given("ears".to_owned()));
        let sid = Sid::new(Kind::Stream, 1);
        assert_eq!(SideName::read(&sid.to_string()), SideName::Sid(sid));
        assert_eq!(read_stop(&params(&[("Status", "stopped")])), Ok(()));
        assert!(read_stop(&params(&[])).is_err());
    }

    #[test]
    fn a_transcription_listens_to_both_unless_it_is_told_otherwise() {
        let wish = StartTranscription::read(&params(&[("LanguageCode", "de-DE"), ("PartialResults", "true")])).unwrap();
        assert_eq!(wish.tracks.len(), 2);
        assert!(wish.partial_results && wish.language.as_deref() == Some("de-DE"));
        let one = StartTranscription::read(&params(&[("Track", "outbound_track")])).unwrap();
        assert_eq!(one.tracks, [Track::Outbound]);
    }
}
