//! Recordings: begun beside a call, paused, ended, heard, removed.

use std::time::Duration;

use bot::ivr::{
    callback::{self, RecordingFacts, RecordingStatus},
    effect::{RecordingSource, RecordingSpec},
    input::{Input, RecordingEvent},
    twiml::Channels,
    webhook::{Endpoint, Notify},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::{NOT_IN_PROGRESS, Outcome, calls::live, endpoint, found, named, phones, shown};
use crate::{
    app::App,
    dialect::twilio::{
        rest::{
            error::RestError,
            recording::{MediaWish, RecordingView, Source, StartRecording, Status, TranscriptionView, UpdateRecording},
            wish::{RecordTrack, RecordWish},
        },
        sid::{Kind, Sid},
    },
    phone::{
        call::Phone,
        menu,
        recordings::{View, Whose, wav::Wav},
        sid::Sid as PhoneSid,
    },
    recording::Target,
};

/// The longest recording: as long as a call that is placed here may last unless it says otherwise.
const LONGEST: Duration = Duration::from_secs(14_400);

/// Every recording.
pub(in super::super) async fn recordings(app: &App) -> Outcome<Vec<RecordingView>> {
    let views = phones(app)?.recorded().views(app, None).await;
    Ok(views.map_err(|error| RestError::from(&error))?.iter().map(view).collect())
}

/// One recording.
pub(in super::super) async fn recording(app: &App, sid: Sid) -> Outcome<Option<RecordingView>> {
    let recorded = phones(app)?.recorded();
    let Some(sid) = named(sid) else { return Ok(None) };
    Ok(found(recorded.view(app, &sid).await)?.as_ref().map(view))
}

/// The sound of a recording.
pub(in super::super) async fn recording_media(app: &App, sid: Sid, wish: MediaWish) -> Outcome<Option<Wav>> {
    let recorded = phones(app)?.recorded();
    let Some(sid) = named(sid) else { return Ok(None) };
    found(recorded.wav(app, &sid, wish.is_mixed).await)
}

/// Removes a recording and its file; false when there is none.
pub(in super::super) async fn delete_recording(app: &App, sid: Sid) -> Outcome<bool> {
    let recorded = phones(app)?.recorded();
    let Some(sid) = named(sid) else { return Ok(false) };
    Ok(found(recorded.delete(app, &sid).await)?.is_some())
}

/// Begins to record a call.
pub(in super::super) async fn start_recording(
    app: &App,
    call: Sid,
    StartRecording(wish): StartRecording,
) -> Outcome<Option<RecordingView>> {
    let Some(phone) = live(app, call)? else { return Ok(None) };
    begin(app, &phone, &wish, "StartCallRecordingAPI").await.map(Some)
}

/// Changes a recording that goes on.
pub(in super::super) async fn update_recording(
    app: &App,
    sid: Sid,
    wish: UpdateRecording,
) -> Outcome<Option<RecordingView>> {
    let recorded = phones(app)?.recorded();
    let target = match wish {
        UpdateRecording::Stop => Target::Stopped,
        UpdateRecording::Resume => Target::Recording,
        UpdateRecording::Pause { is_silence: true } => Target::Paused,
        UpdateRecording::Pause { is_silence: false } => {
            let message = "a pause is silence in the recording here: PauseBehavior=skip is not built";
            return Err(RestError::not_built(message));
        }
    };
    let Some(sid) = named(sid) else { return Ok(None) };
    match recorded.change(app, &sid, target).await {
        Err(error) if error.code == "ended" => Err(RestError::not_now(NOT_IN_PROGRESS, error.message)),
        outcome => Ok(found(outcome)?.as_ref().map(view)),
    }
}

/// The words of every recording.
pub(in super::super) async fn transcriptions(app: &App) -> Outcome<Vec<TranscriptionView>> {
    phones(app)?;
    let message = "what was said in recordings is told to transcribeCallback, and lies in the room's transcript \
        (/api/rooms); this list is not built";
    Err(RestError::not_built(message))
}

/// Records a call that was placed with `Record`, from the moment that there is something to record.
pub(super) async fn record_once_taken(app: App, phone: Phone, wish: RecordWish) {
    let mut places = phone.place();
    // A call that nobody takes is over without ever having been anywhere.
    if places.wait_for(Option::is_some).await.is_err() {
        return;
    }
    if let Err(error) = begin(&app, &phone, &wish, "OutboundAPI").await {
        tracing::warn!(call = %phone.sid(), %error, "a call that was to be recorded is not");
    }
}

async fn begin(app: &App, phone: &Phone, wish: &RecordWish, by: &'static str) -> Outcome<RecordingView> {
    let recorded = phones(app)?.recorded();
    let callback = wish.callback.as_ref().map(endpoint).transpose()?;
    let channels = if wish.is_dual { Channels::Dual } else { Channels::Mono };
    let source = match wish.track {
        RecordTrack::Inbound => RecordingSource::Caller,
        RecordTrack::Outbound => RecordingSource::Other,
        RecordTrack::Both => RecordingSource::Both(channels),
    };
    let spec = RecordingSpec { source, max_length: LONGEST, trim: wish.trims, transcribe: false, by };
    let nowhere = || {
        RestError::not_now(
            NOT_IN_PROGRESS,
            "Requested resource is not eligible for recording: the call \
        is not in-progress, or nobody hears it",
        )
    };
    let mut telling = menu::beside(app, recorded, phone, spec).ok_or_else(nowhere)?;
    let sid: PhoneSid = match telling.recv().await {
        Some(Input::Recording { event: RecordingEvent::Started { sid }, .. }) => sid.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| RestError::unavailable("the call cannot be recorded now: the log of the server says why"))?;
    let view_now = recorded.view(app, &sid).await.map_err(|error| RestError::from(&error))?;
    let end = End { app: app.clone(), phone: phone.clone(), began: app.clock().wall(), by, callback };
    tokio::spawn(end.told(telling));
    Ok(view(&view_now))
}

/// Who is told when a recording is done.
struct End {
    app: App,
    phone: Phone,
    began: std::time::SystemTime,
    by: &'static str,
    callback: Option<Endpoint>,
}

impl End {
    /// Until it is over.
    async fn told(self, mut telling: mpsc::Receiver<Input>) {
        while let Some(input) = telling.recv().await {
            let Input::Recording { event: RecordingEvent::Done { sid, url, duration, channels }, .. } = input else {
                continue;
            };
            let Some(to) = &self.callback else { continue };
            let recording =
                RecordingFacts { sid, url, duration, channels, source: self.by, track: None, began: Some(self.began) };
            let facts = menu::facts(&self.app, &self.phone, None);
            let params = callback::recording(&facts, &recording, RecordingStatus::Completed);
            menu::tell(&self.app, &Notify { to: to.clone(), params }).await;
        }
    }
}

fn view(recording: &View) -> RecordingView {
    let began = recording.began.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let status = match recording.status {
        "in-progress" => Status::InProgress,
        "paused" => Status::Paused,
        "completed" => Status::Completed,
        "absent" => Status::Absent,
        _ => Status::Failed,
    };
    let is_over = !matches!(status, Status::InProgress | Status::Paused);
    let lasted = SignedDuration::try_from(recording.duration).unwrap_or_default();
    let (call, conference) = match &recording.about.whose {
        Whose::Call(call) => (Some(shown(Kind::Call, call)), None),
        Whose::Conference(conference) => (None, Some(shown(Kind::Conference, conference))),
    };
    RecordingView {
        sid: shown(Kind::Recording, &recording.sid),
        call,
        conference,
        channels: recording.about.channels,
        created: began,
        updated: if is_over { began.checked_add(lasted).unwrap_or(began) } else { began },
        started: began,
        duration_s: is_over.then_some(recording.duration.as_secs()),
        status,
        source: match recording.about.by.as_str() {
            "DialVerb" => Source::DialVerb,
            "RecordVerb" => Source::RecordVerb,
            "Conference" => Source::Conference,
            "OutboundAPI" => Source::OutboundApi,
            "StartCallRecordingAPI" => Source::StartCallRecordingApi,
            _ => Source::StartVerb,
        },
        error_code: None,
    }
}

#[cfg(test)]
mod tests {
    use bot::ivr::twiml::AudioTrack;

    use super::*;
    use crate::phone::{recordings::About, sid::SidKind};

    #[test]
    fn a_recording_of_the_telephone_has_a_length_once_it_is_over() {
        let call = PhoneSid::fresh(SidKind::Call);
        let recording = View {
            sid: PhoneSid::fresh(SidKind::Recording),
            about: About {
                whose: Whose::Call(call.clone()),
                by: "OutboundAPI".to_owned(),
                track: AudioTrack::Both,
                channels: 2,
            },
            status: "paused",
            began: "2026-12-01T08:15:00.000Z".to_owned(),
            duration: Duration::from_millis(4_600),
        };
        let running = view(&recording);
        assert_eq!((running.status, running.duration_s), (Status::Paused, None));
        assert_eq!((running.call, running.source), (Some(shown(Kind::Call, &call)), Source::OutboundApi));
        let over = view(&View { status: "completed", ..recording });
        assert_eq!((over.duration_s, over.updated.to_string().as_str()), (Some(4), "2026-12-01T08:15:04.6Z"));
    }
}
