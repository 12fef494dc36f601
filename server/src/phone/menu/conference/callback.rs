//! What is told of a conference: the vendor's parameters, by its names.
//!
//! Pure: what happened and how it stands in, [`Params`] out.

use std::time::SystemTime;

use bot::ivr::{
    callback::{seconds, timestamp},
    twiml::ConferenceEvents,
    webhook::Params,
};

use super::meeting::Member;
use crate::phone::recordings::View;

/// The conference that is told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) account: &'a str,
    pub(super) sid: &'a str,
    pub(super) name: &'a str,
    /// Counts what was told of it, from 1.
    pub(super) sequence: u64,
    pub(super) at: SystemTime,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Start,
    /// With the call that ended it, if one did, and why in a word.
    End,
    Join,
    Leave,
    Mute,
    Unmute,
    Hold,
    Unhold,
    Modify,
    SpeechStart,
    SpeechStop,
}

impl Happened {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "conference-start",
            Self::End => "conference-end",
            Self::Join => "participant-join",
            Self::Leave => "participant-leave",
            Self::Mute => "participant-mute",
            Self::Unmute => "participant-unmute",
            Self::Hold => "participant-hold",
            Self::Unhold => "participant-unhold",
            Self::Modify => "participant-modify",
            Self::SpeechStart => "participant-speech-start",
            Self::SpeechStop => "participant-speech-stop",
        }
    }

    /// Whether somebody wants to hear of it.
    pub(super) fn is_wanted(self, events: ConferenceEvents) -> bool {
        match self {
            Self::Start => events.start,
            Self::End => events.end,
            Self::Join => events.join,
            Self::Leave => events.leave,
            Self::Mute | Self::Unmute => events.mute,
            Self::Hold | Self::Unhold => events.hold,
            Self::Modify => events.modify,
            Self::SpeechStart | Self::SpeechStop => events.speaker,
        }
    }
}

/// Whom an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Participant<'a> {
    pub(super) call: &'a str,
    pub(super) label: Option<&'a str>,
    pub(super) member: Member,
}

/// Why a conference has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    /// The call with which it ended.
    pub(super) by: Option<&'a str>,
    pub(super) reason: &'static str,
}

/// Tells of a conference.
pub(super) fn event(
    about: About<'_>,
    happened: Happened,
    participant: Option<Participant<'_>>,
    end: Option<End<'_>>,
) -> Params {
    let mut params = Params::default();
    params.push("ConferenceSid", about.sid);
    params.push("FriendlyName", about.name);
    params.push("AccountSid", about.account);
    params.push("SequenceNumber", about.sequence.to_string());
    params.push("Timestamp", timestamp(about.at));
    params.push("StatusCallbackEvent", happened.as_str());
    if let Some(Participant { call, label, member }) = participant {
        params.push("CallSid", call);
        params.push("Muted", member.manner.is_muted.to_string());
        params.push("Hold", member.is_held.to_string());
        params.push("Coaching", "false");
        params.push("EndConferenceOnExit", member.manner.ends.to_string());
        params.push("StartConferenceOnEnter", member.manner.starts.to_string());
        if let Some(label) = label {
            params.push("ParticipantLabel", label);
        }
    }
    if let Some(End { by, reason }) = end {
        if let Some(by) = by {
            params.push("CallSidEndingConference", by);
        }
        params.push("ReasonConferenceEnded", reason);
    }
    params
}

/// Tells of a conference's recording; `view` once it is over.
pub(super) fn recording(
    account: &str,
    conference: &str,
    recording: &str,
    began: &str,
    over: Option<(&View, &str)>,
) -> Params {
    let mut params = Params::default();
    params.push("AccountSid", account);
    params.push("ConferenceSid", conference);
    params.push("RecordingSid", recording);
    let status = over.map_or("in-progress", |(view, _)| view.status);
    let done = over.filter(|(view, _)| view.status == "completed");
    if let Some((_, url)) = done {
        params.push("RecordingUrl", url);
    }
    params.push("RecordingStatus", status);
    if let Some((view, _)) = done {
        params.push("RecordingDuration", seconds(view.duration));
        params.push("RecordingChannels", view.about.channels.to_string());
    }
    params.push("RecordingStartTime", began);
    params.push("RecordingSource", "Conference");
    params.push("RecordingTrack", "both");
    params.push("ErrorCode", if status == "failed" { "1" } else { "0" });
    params
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bot::ivr::twiml::{AudioTrack, Beep};

    use super::{
        super::meeting::{Manner, Presence},
        *,
    };
    use crate::phone::{
        recordings,
        sid::{Sid, SidKind},
    };

    const ABOUT: About<'_> =
        About { account: "AC1", sid: "CF1", name: "weekly", sequence: 7, at: SystemTime::UNIX_EPOCH };

    fn names(params: &Params) -> Vec<(&str, &str)> {
        params.iter().collect()
    }

    #[test]
    fn an_event_says_which_conference_what_happened_and_how_whoever_it_is_about_stands() {
        let manner = Manner { starts: true, ends: false, beep: Beep::Both, is_muted: true };
        let member = Member { manner, is_held: false, presence: Presence::In };
        let who = Participant { call: "CA1", label: Some("host"), member };
        let params = event(ABOUT, Happened::Join, Some(who), None);
        let common = [
            ("ConferenceSid", "CF1"),
            ("FriendlyName", "weekly"),
            ("AccountSid", "AC1"),
            ("SequenceNumber", "7"),
            ("Timestamp", "Thu, 1 Jan 1970 00:00:00 +0000"),
        ];
        assert_eq!(names(&params)[..4], common[..4]);
        assert!(params.value("Timestamp").unwrap().ends_with("1970 00:00:00 +0000"));
        let own = [
            ("StatusCallbackEvent", "participant-join"),
            ("CallSid", "CA1"),
            ("Muted", "true"),
            ("Hold", "false"),
            ("Coaching", "false"),
            ("EndConferenceOnExit", "false"),
            ("StartConferenceOnEnter", "true"),
            ("ParticipantLabel", "host"),
        ];
        assert_eq!(names(&params)[5..], own);
        let end = End { by: Some("CA1"), reason: "participant-with-end-conference-on-exit-left" };
        let params = event(ABOUT, Happened::End, None, Some(end));
        assert_eq!(
            names(&params)[5..],
            [
                ("StatusCallbackEvent", "conference-end"),
                ("CallSidEndingConference", "CA1"),
                ("ReasonConferenceEnded", end.reason),
            ]
        );
    }

    #[test]
    fn each_event_is_told_to_those_who_want_its_kind_alone() {
        let all = [
            (Happened::Start, ConferenceEvents { start: true, ..ConferenceEvents::default() }),
            (Happened::End, ConferenceEvents { end: true, ..ConferenceEvents::default() }),
            (Happened::Join, ConferenceEvents { join: true, ..ConferenceEvents::default() }),
            (Happened::Leave, ConferenceEvents { leave: true, ..ConferenceEvents::default() }),
            (Happened::Unmute, ConferenceEvents { mute: true, ..ConferenceEvents::default() }),
            (Happened::Unhold, ConferenceEvents { hold: true, ..ConferenceEvents::default() }),
            (Happened::Modify, ConferenceEvents { modify: true, ..ConferenceEvents::default() }),
            (Happened::SpeechStop, ConferenceEvents { speaker: true, ..ConferenceEvents::default() }),
        ];
        for (at, (happened, _)) in all.iter().enumerate() {
            for (other, (_, events)) in all.iter().enumerate() {
                assert_eq!(happened.is_wanted(*events), at == other, "{happened:?} {events:?}");
            }
        }
    }

    #[test]
    fn a_recording_is_told_while_it_runs_and_with_its_file_when_it_is_done() {
        let running = recording("AC1", "CF1", "RE1", "2026", None);
        assert_eq!(running.value("RecordingStatus"), Some("in-progress"));
        assert_eq!(running.value("RecordingUrl"), None);
        let view = View {
            sid: Sid::fresh(SidKind::Recording),
            about: recordings::About {
                whose: recordings::Whose::Conference(Sid::fresh(SidKind::Conference)),
                by: "Conference".to_owned(),
                track: AudioTrack::Both,
                channels: 1,
            },
            status: "completed",
            began: "2026".to_owned(),
            duration: Duration::from_millis(7_900),
        };
        let done = recording("AC1", "CF1", "RE1", "2026", Some((&view, "http://a/RE1")));
        for (name, value) in [
            ("RecordingUrl", "http://a/RE1"),
            ("RecordingStatus", "completed"),
            ("RecordingDuration", "7"),
            ("RecordingChannels", "1"),
            ("ErrorCode", "0"),
        ] {
            assert_eq!(done.value(name), Some(value), "{name}");
        }
        let absent = View { status: "absent", ..view };
        let told = recording("AC1", "CF1", "RE1", "2026", Some((&absent, "http://a/RE1")));
        assert_eq!((told.value("RecordingStatus"), told.value("RecordingUrl")), (Some("absent"), None));
    }
}
