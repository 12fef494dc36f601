//! Conferences and who is in them: what is asked for, and how they are shown. Pure values, in Twilio's names.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    call::Status as CallStatus,
    dates::date,
    error::RestError,
    page::Listed,
    params::{Hook, Params, Period},
    wish::{Detection, RecordWish, StatusCallback},
};
use crate::dialect::twilio::sid::{Kind, Sid};

/// Where a conference stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for somebody who may begin it.
    Init,
    /// People talk.
    InProgress,
    /// It is over.
    Completed,
}

const STATUSES: [(&str, Status); 3] =
    [("init", Status::Init), ("in-progress", Status::InProgress), ("completed", Status::Completed)];

impl Status {
    /// Twilio's word.
    pub fn as_str(self) -> &'static str {
        STATUSES.iter().find(|(_, status)| *status == self).map_or("", |(word, _)| word)
    }
}

/// Why a conference is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyEnded {
    /// A program ended it.
    Api,
    /// Somebody left with whom it ends.
    EndOnExitLeft,
    /// The last of them left.
    LastLeft,
    /// The last of them was sent out.
    LastKicked,
}

impl WhyEnded {
    /// Twilio's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "conference-ended-via-api",
            Self::EndOnExitLeft => "participant-with-end-conference-on-exit-left",
            Self::LastLeft => "last-participant-left",
            Self::LastKicked => "last-participant-kicked",
        }
    }
}

/// A conference, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceView {
    /// Its name to programs.
    pub sid: Sid,
    /// Its name to people.
    pub friendly_name: String,
    /// When it began.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// Where it stands.
    pub status: Status,
    /// Why it is over, and with whose leaving.
    pub why_ended: Option<(WhyEnded, Option<Sid>)>,
}

impl ConferenceView {
    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        let base = format!("/2010-04-01/Accounts/{account}/Conferences/{}", self.sid);
        json!({
            "account_sid": account,
            "api_version": "2010-04-01",
            "call_sid_ending_conference": self.why_ended.and_then(|(_, call)| call),
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "friendly_name": self.friendly_name,
            "reason_conference_ended": self.why_ended.map(|(why, _)| why.as_str()),
            "region": "us1",
            "sid": self.sid,
            "status": self.status.as_str(),
            "subresource_uris": {
                "participants": format!("{base}/Participants.json"),
                "recordings": format!("{base}/Recordings.json"),
            },
            "uri": format!("{base}.json"),
        })
    }
}

impl Listed for ConferenceView {
    fn name(&self) -> String {
        self.sid.to_string()
    }
}

/// Which conferences are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceFilter {
    friendly_name: Option<String>,
    status: Option<Status>,
    created: Period,
    updated: Period,
}

impl ConferenceFilter {
    /// Reads what a query asks for.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        Ok(Self {
            friendly_name: params.line("FriendlyName")?,
            status: params.word("Status", &STATUSES)?,
            created: params.period("DateCreated")?,
            updated: params.period("DateUpdated")?,
        })
    }

    /// Whether `conference` is to be listed.
    pub fn covers(&self, conference: &ConferenceView) -> bool {
        self.friendly_name.as_ref().is_none_or(|name| *name == conference.friendly_name)
            && self.status.is_none_or(|status| status == conference.status)
            && self.created.covers(Some(conference.created))
            && self.updated.covers(Some(conference.updated))
    }
}

/// What is to become of a conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateConference {
    /// It is to end.
    pub ends: bool,
    /// What everybody is to hear: a document, or a sound.
    pub announce: Option<Hook>,
}

impl UpdateConference {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        Ok(Self {
            ends: params.word("Status", &[("completed", true)])?.unwrap_or(false),
            announce: params.hook("AnnounceUrl", "AnnounceMethod")?,
        })
    }
}

/// Somebody in a conference, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantView {
    /// Their call.
    pub call: Sid,
    /// Where.
    pub conference: Sid,
    /// What whoever added them calls them.
    pub label: Option<String>,
    /// When they were added.
    pub created: Timestamp,
    /// When they changed last.
    pub updated: Timestamp,
    /// Where their call stands.
    pub status: CallStatus,
    /// Nobody hears them.
    pub is_muted: bool,
    /// They hear music and nobody.
    pub is_on_hold: bool,
    /// The conference begins with them.
    pub starts_on_enter: bool,
    /// The conference ends with them.
    pub ends_on_exit: bool,
    /// Only this one hears them.
    pub coaches: Option<Sid>,
}

impl ParticipantView {
    /// As Twilio spells it.
    pub fn spell(&self, account: &str) -> Value {
        let status = match self.status {
            CallStatus::Queued => "queued",
            CallStatus::Ringing => "ringing",
            CallStatus::InProgress => "connected",
            CallStatus::Completed => "complete",
            CallStatus::Busy | CallStatus::Failed | CallStatus::NoAnswer | CallStatus::Canceled => "failed",
        };
        let base = format!("/2010-04-01/Accounts/{account}/Conferences/{}", self.conference);
        json!({
            "account_sid": account,
            "call_sid": self.call,
            "call_sid_to_coach": self.coaches,
            "coaching": self.coaches.is_some(),
            "conference_sid": self.conference,
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "end_conference_on_exit": self.ends_on_exit,
            "hold": self.is_on_hold,
            "label": self.label,
            "muted": self.is_muted,
            "queue_time": "0",
            "start_conference_on_enter": self.starts_on_enter,
            "status": status,
            "uri": format!("{base}/Participants/{}.json", self.call),
        })
    }
}

impl Listed for ParticipantView {
    fn name(&self) -> String {
        self.call.to_string()
    }
}

/// Which participants are listed; `None` for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParticipantFilter {
    is_muted: Option<bool>,
    is_on_hold: Option<bool>,
    is_coaching: Option<bool>,
}

impl ParticipantFilter {
    /// Reads what a query asks for.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let [is_muted, is_on_hold, is_coaching] = ["Muted", "Hold", "Coaching"].map(|name| params.flag(name));
        Ok(Self { is_muted: is_muted?, is_on_hold: is_on_hold?, is_coaching: is_coaching? })
    }

    /// Whether `participant` is to be listed.
    pub fn covers(&self, participant: &ParticipantView) -> bool {
        self.is_muted.is_none_or(|is_muted| is_muted == participant.is_muted)
            && self.is_on_hold.is_none_or(|is_on_hold| is_on_hold == participant.is_on_hold)
            && self.is_coaching.is_none_or(|is_coaching| is_coaching == participant.coaches.is_some())
    }
}

/// How somebody is in a conference; `None` leaves it, or is Twilio's default for somebody new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Nobody is to hear them.
    pub is_muted: Option<bool>,
    /// They are to hear music and nobody.
    pub is_on_hold: Option<bool>,
    /// What they hear on hold.
    pub hold: Option<Hook>,
    /// What they alone are to hear.
    pub announce: Option<Hook>,
    /// Whom they coach, heard by nobody else; nobody where they are to be heard by all.
    pub coaches: Option<Option<Sid>>,
    /// What they hear while they wait.
    pub wait: Option<Hook>,
    /// A beep when they come, and when they go.
    pub beeps: Option<Beep>,
    /// The conference ends with them.
    pub ends_on_exit: Option<bool>,
}

/// When a conference beeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beep {
    /// When somebody comes and goes.
    Always,
    /// Never.
    Never,
    /// When somebody comes.
    OnEnter,
    /// When somebody goes.
    OnExit,
}

impl Manners {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let beeps =
            [("true", Beep::Always), ("false", Beep::Never), ("onEnter", Beep::OnEnter), ("onExit", Beep::OnExit)];
        Ok(Self {
            is_muted: params.flag("Muted")?,
            is_on_hold: params.flag("Hold")?,
            hold: params.hook("HoldUrl", "HoldMethod")?,
            announce: params.hook("AnnounceUrl", "AnnounceMethod")?,
            coaches: coaches(params)?,
            wait: params.hook("WaitUrl", "WaitMethod")?,
            beeps: params.word("Beep", &beeps)?,
            ends_on_exit: params.flag("EndConferenceOnExit")?,
        })
    }
}

/// Whom somebody is to coach.
fn coaches(params: &Params) -> Result<Option<Option<Sid>>, RestError> {
    let named = |text| {
        let why = "it is the sid of the call that is coached";
        Sid::of(Kind::Call, text).ok_or_else(|| RestError::bad_parameter("CallSidToCoach", why))
    };
    let coached = params.text("CallSidToCoach").map(named).transpose()?;
    match (params.flag("Coaching")?, coached) {
        (Some(false), _) => Ok(Some(None)),
        (_, Some(coached)) => Ok(Some(Some(coached))),
        (Some(true), None) => Err(RestError::bad_parameter("CallSidToCoach", "Coaching needs somebody to coach")),
        (None, None) => Ok(None),
    }
}

/// Somebody to be called into a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddParticipant {
    /// Whom to call.
    pub to: String,
    /// Who calls.
    pub from: String,
    /// What to call them.
    pub label: Option<String>,
    /// How they are in it.
    pub manners: Manners,
    /// The conference begins with them.
    pub starts_on_enter: bool,
    /// They hear the ringing, and others do.
    pub early_media: bool,
    /// How long it may ring, in seconds.
    pub timeout_s: u32,
    /// How long the call may last, in seconds.
    pub time_limit_s: u32,
    /// Most people in the conference.
    pub participants_max: u32,
    /// Whether and how their call is recorded.
    pub record: Option<RecordWish>,
    /// Where the call's changes are told.
    pub status_callback: Option<StatusCallback>,
    /// Whether and how it is found out who answers.
    pub detection: Option<Detection>,
}

impl AddParticipant {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// 400 with Twilio's codes.
    pub fn read(params: &Params) -> Result<Self, RestError> {
        let record = RecordWish::read(params)?;
        Ok(Self {
            to: params.line("To")?.ok_or_else(|| RestError::not_now(21_201, "No 'To' number is specified"))?,
            from: params.line("From")?.ok_or_else(|| RestError::not_now(21_213, "No 'From' number is specified"))?,
            label: params.line("Label")?,
            manners: Manners::read(params)?,
            starts_on_enter: params.flag("StartConferenceOnEnter")?.unwrap_or(true),
            early_media: params.flag("EarlyMedia")?.unwrap_or(true),
            timeout_s: params.number("Timeout", 5..=600)?.unwrap_or(60),
            time_limit_s: params.number("TimeLimit", 1..=86_400)?.unwrap_or(14_400),
            participants_max: params.number("MaxParticipants", 2..=250)?.unwrap_or(250),
            record: params.flag("Record")?.unwrap_or(false).then_some(record),
            status_callback: StatusCallback::read(params)?,
            detection: Detection::of_participant(params)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn at() -> Timestamp {
        "2011-02-18T19:26:50Z".parse().unwrap()
    }

    fn conference() -> ConferenceView {
        ConferenceView {
            sid: Sid::new(Kind::Conference, 1),
            friendly_name: "sales".to_owned(),
            created: at(),
            updated: at(),
            status: Status::InProgress,
            why_ended: None,
        }
    }

    fn participant() -> ParticipantView {
        ParticipantView {
            call: Sid::new(Kind::Call, 2),
            conference: Sid::new(Kind::Conference, 1),
            label: None,
            created: at(),
            updated: at(),
            status: CallStatus::InProgress,
            is_muted: true,
            is_on_hold: false,
            starts_on_enter: true,
            ends_on_exit: false,
            coaches: None,
        }
    }

    #[test]
    fn a_conference_reads_as_twilios_do() {
        let base = "/2010-04-01/Accounts/AC1/Conferences/CF00000000000000000000000000000001";
        assert_eq!(
            conference().spell("AC1"),
            json!({
                "account_sid": "AC1",
                "api_version": "2010-04-01",
                "call_sid_ending_conference": null,
                "date_created": "Fri, 18 Feb 2011 19:26:50 +0000",
                "date_updated": "Fri, 18 Feb 2011 19:26:50 +0000",
                "friendly_name": "sales",
                "reason_conference_ended": null,
                "region": "us1",
                "sid": "CF00000000000000000000000000000001",
                "status": "in-progress",
                "subresource_uris": {
                    "participants": format!("{base}/Participants.json"),
                    "recordings": format!("{base}/Recordings.json"),
                },
                "uri": format!("{base}.json"),
            })
        );
        let ended = (WhyEnded::LastLeft, Some(Sid::new(Kind::Call, 2)));
        let over = ConferenceView { status: Status::Completed, why_ended: Some(ended), ..conference() }.spell("AC1");
        assert_eq!(over["reason_conference_ended"], "last-participant-left");
        assert_eq!(over["call_sid_ending_conference"], "CA00000000000000000000000000000002");
    }

    #[test]
    fn a_participant_reads_as_twilios_do() {
        assert_eq!(
            participant().spell("AC1"),
            json!({
                "account_sid": "AC1",
                "call_sid": "CA00000000000000000000000000000002",
                "call_sid_to_coach": null,
                "coaching": false,
                "conference_sid": "CF00000000000000000000000000000001",
                "date_created": "Fri, 18 Feb 2011 19:26:50 +0000",
                "date_updated": "Fri, 18 Feb 2011 19:26:50 +0000",
                "end_conference_on_exit": false,
                "hold": false,
                "label": null,
                "muted": true,
                "queue_time": "0",
                "start_conference_on_enter": true,
                "status": "connected",
                "uri": concat!(
                    "/2010-04-01/Accounts/AC1/Conferences/CF00000000000000000000000000000001",
                    "/Participants/CA00000000000000000000000000000002.json"
                ),
            })
        );
    }

    #[test]
    fn lists_hold_what_was_asked_for() {
        for (pair, listed) in [
            (("FriendlyName", "sales"), true),
            (("FriendlyName", "support"), false),
            (("Status", "in-progress"), true),
            (("Status", "completed"), false),
            (("DateCreated", "2011-02-18"), true),
        ] {
            assert_eq!(ConferenceFilter::read(&params(&[pair])).unwrap().covers(&conference()), listed, "{pair:?}");
        }
        for (pair, listed) in [(("Muted", "true"), true), (("Hold", "true"), false), (("Coaching", "false"), true)] {
            assert_eq!(ParticipantFilter::read(&params(&[pair])).unwrap().covers(&participant()), listed, "{pair:?}");
        }
    }

    #[test]
    fn somebody_is_muted_held_or_added_by_twilios_words() {
        let manners = Manners::read(&params(&[("Muted", "true"), ("Hold", "false"), ("Beep", "onEnter")])).unwrap();
        assert_eq!((manners.is_muted, manners.is_on_hold), (Some(true), Some(false)));
        assert_eq!((manners.beeps, manners.coaches), (Some(Beep::OnEnter), None));
        let call = "CA00000000000000000000000000000002";
        for (pairs, coaches) in [
            (&[("CallSidToCoach", call)][..], Some(Some(Sid::new(Kind::Call, 2)))),
            (&[("Coaching", "true"), ("CallSidToCoach", call)][..], Some(Some(Sid::new(Kind::Call, 2)))),
            (&[("Coaching", "false"), ("CallSidToCoach", call)][..], Some(None)),
        ] {
            assert_eq!(Manners::read(&params(pairs)).unwrap().coaches, coaches, "{pairs:?}");
        }
        for pairs in [&[("Coaching", "true")], &[("CallSidToCoach", "CF00000000000000000000000000000002")]] {
            assert_eq!(Manners::read(&params(pairs)).unwrap_err().code, 20_001, "{pairs:?}");
        }
        let added = AddParticipant::read(&params(&[("To", "+1"), ("From", "+2"), ("EarlyMedia", "false")])).unwrap();
        assert_eq!((added.timeout_s, added.starts_on_enter, added.early_media), (60, true, false));
        assert_eq!(AddParticipant::read(&params(&[("From", "+2")])).unwrap_err().code, 21_201);
        assert_eq!(UpdateConference::read(&params(&[("Status", "completed")])).map(|update| update.ends), Ok(true));
        assert!(UpdateConference::read(&params(&[("Status", "init")])).is_err());
    }
}
