//! The paths of the resources, and who answers each: read the form, ask the desk, spell the answer.

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{MethodRouter, get, post},
};
use serde_json::Value;

use super::{
    Asked, account,
    call::{CallFilter, CallView},
    conference::{
        AddParticipant, ConferenceFilter, ConferenceView, Manners, ParticipantFilter, ParticipantView, UpdateConference,
    },
    created, desk,
    error::RestError,
    media,
    queue::{Dequeue, Member, MemberView, QueueView, QueueWish},
    recording::{RecordingFilter, RecordingView, StartRecording, TranscriptionView, UpdateRecording},
    shown,
    side::{SideName, SideView, StartStream, StartTranscription, read_stop},
    wish::{CreateCall, UpdateCall},
};
use crate::{
    app::App,
    dialect::twilio::sid::{Kind, Sid},
};

type Answer = Result<Response, RestError>;

/// All paths. A list ends in `.json` or not; the names of things are read either way.
pub(super) fn all() -> Router<App> {
    let lists: [(&str, MethodRouter<App>); 14] = [
        ("", get(account)),
        ("/Calls", get(calls).post(create_call)),
        ("/Calls/{call}/Recordings", get(recordings_of_call).post(start_recording)),
        ("/Calls/{call}/Streams", post(start_stream)),
        ("/Calls/{call}/Transcriptions", post(start_transcription)),
        ("/Recordings", get(recordings)),
        ("/Recordings/{recording}/Transcriptions", get(transcriptions_of_recording)),
        ("/Transcriptions", get(transcriptions)),
        ("/Conferences", get(conferences)),
        ("/Conferences/{conference}/Participants", get(participants).post(add_participant)),
        ("/Conferences/{conference}/Recordings", get(recordings_of_conference)),
        ("/Queues", get(queues).post(create_queue)),
        ("/Queues/{queue}/Members", get(members)),
        // Twilio's clients ask for them, and there never are any.
        ("/Calls/{call}/Notifications", get(no_notifications)),
    ];
    let things: [(&str, MethodRouter<App>); 11] = [
        ("/Calls/{call}", get(call).post(update_call).delete(delete_call)),
        (
            "/Calls/{call}/Recordings/{recording}",
            get(recording_of_call).post(update_recording).delete(delete_recording_of_call),
        ),
        ("/Calls/{call}/Streams/{stream}", post(stop_stream)),
        ("/Calls/{call}/Transcriptions/{transcription}", post(stop_transcription)),
        ("/Recordings/{recording}", get(recording).delete(delete_recording)),
        ("/Recordings/{recording}/Transcriptions/{transcription}", get(transcription_of_recording)),
        ("/Transcriptions/{transcription}", get(transcription)),
        ("/Conferences/{conference}", get(conference).post(update_conference)),
        (
            "/Conferences/{conference}/Participants/{call}",
            get(participant).post(update_participant).delete(remove_participant),
        ),
        ("/Queues/{queue}", get(queue).post(update_queue).delete(delete_queue)),
        ("/Queues/{queue}/Members/{member}", get(member).post(dequeue)),
    ];
    let base = |rest: &str| format!("/2010-04-01/Accounts/{{account}}{rest}");
    let mut router = Router::new();
    for (path, answer) in lists {
        // The account's own name takes its `.json` with it.
        if !path.is_empty() {
            router = router.route(&format!("{}.json", base(path)), answer.clone());
        }
        router = router.route(&base(path), answer);
    }
    for (path, answer) in things {
        router = router.route(&base(path), answer);
    }
    router
}

type One = Path<(String, String)>;
type Two = Path<(String, String, String)>;

impl Asked {
    fn call(&self, view: &CallView) -> Value {
        view.spell(&self.account)
    }

    fn recording(&self, view: &RecordingView) -> Value {
        view.spell(&self.account, &self.public)
    }
}

async fn calls(asked: Asked) -> Answer {
    let filter = CallFilter::read(&asked.params)?;
    let calls = desk::calls(&asked.app).await?;
    asked.page("calls", calls, |call| filter.covers(call), |call| asked.call(call))
}

async fn create_call(asked: Asked) -> Answer {
    let wish = CreateCall::read(&asked.params)?;
    Ok(created(asked.call(&desk::create_call(&asked.app, wish).await?)))
}

async fn call(Path((_, call)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Call, &call)?;
    let found = desk::call(&asked.app, sid).await?;
    Ok(shown(asked.call(&asked.found(found)?)))
}

async fn update_call(Path((_, call)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Call, &call)?;
    let wish = UpdateCall::read(&asked.params)?;
    let found = desk::update_call(&asked.app, sid, wish).await?;
    Ok(shown(asked.call(&asked.found(found)?)))
}

async fn delete_call(Path((_, call)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Call, &call)?;
    asked.deleted(desk::delete_call(&asked.app, sid).await?)
}

/// A call that is there.
async fn known_call(asked: &Asked, call: &str) -> Result<Sid, RestError> {
    let sid = asked.sid(Kind::Call, call)?;
    let found = desk::call(&asked.app, sid).await?;
    asked.found(found).map(|_| sid)
}

async fn recordings(asked: Asked) -> Answer {
    listed_recordings(&asked, None, None).await
}

async fn recordings_of_call(Path((_, call)): One, asked: Asked) -> Answer {
    let call = known_call(&asked, &call).await?;
    listed_recordings(&asked, Some(call), None).await
}

async fn recordings_of_conference(Path((_, conference)): One, asked: Asked) -> Answer {
    let conference = asked.sid(Kind::Conference, &conference)?;
    listed_recordings(&asked, None, Some(conference)).await
}

async fn listed_recordings(asked: &Asked, call: Option<Sid>, conference: Option<Sid>) -> Answer {
    let filter = RecordingFilter::read(&asked.params, call, conference)?;
    let recordings = desk::recordings(&asked.app).await?;
    asked.page("recordings", recordings, |one| filter.covers(one), |one| asked.recording(one))
}

async fn start_recording(Path((_, call)): One, asked: Asked) -> Answer {
    let call = asked.sid(Kind::Call, &call)?;
    let wish = StartRecording::read(&asked.params)?;
    let started = desk::start_recording(&asked.app, call, wish).await?;
    Ok(created(asked.recording(&asked.found(started)?)))
}

/// The recording of a call, by its name or as `Twilio.CURRENT`.
async fn own_recording(asked: &Asked, call: &str, recording: &str) -> Result<RecordingView, RestError> {
    let call = asked.sid(Kind::Call, call)?;
    let recording = recording.strip_suffix(".json").unwrap_or(recording);
    let all = desk::recordings(&asked.app).await?;
    let is_current = recording.eq_ignore_ascii_case("Twilio.CURRENT");
    let is_it = |one: &RecordingView| {
        one.call == Some(call) && if is_current { one.duration_s.is_none() } else { one.sid.to_string() == recording }
    };
    asked.found(all.into_iter().find(is_it))
}

async fn recording_of_call(Path((_, call, recording)): Two, asked: Asked) -> Answer {
    let found = own_recording(&asked, &call, &recording).await?;
    Ok(shown(asked.recording(&found)))
}

async fn update_recording(Path((_, call, recording)): Two, asked: Asked) -> Answer {
    let wish = UpdateRecording::read(&asked.params)?;
    let found = own_recording(&asked, &call, &recording).await?;
    let updated = desk::update_recording(&asked.app, found.sid, wish).await?;
    Ok(shown(asked.recording(&asked.found(updated)?)))
}

async fn delete_recording_of_call(Path((_, call, recording)): Two, asked: Asked) -> Answer {
    let found = own_recording(&asked, &call, &recording).await?;
    asked.deleted(desk::delete_recording(&asked.app, found.sid).await?)
}

/// What a recording is (`.json`), or how it sounds (`.wav`, or nothing).
async fn recording(Path((_, named)): One, asked: Asked) -> Answer {
    match media::Wanted::read(&named) {
        (name, media::Wanted::Facts) => {
            let sid = asked.sid(Kind::Recording, name)?;
            let found = desk::recording(&asked.app, sid).await?;
            Ok(shown(asked.recording(&asked.found(found)?)))
        }
        (name, media::Wanted::Wav) => {
            let sid = asked.sid(Kind::Recording, name)?;
            media::sound(&asked, sid).await
        }
        (_, media::Wanted::Mp3) => Err(media::no_mp3()),
    }
}

async fn delete_recording(Path((_, recording)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Recording, &recording)?;
    asked.deleted(desk::delete_recording(&asked.app, sid).await?)
}

async fn transcriptions(asked: Asked) -> Answer {
    listed_transcriptions(&asked, None).await
}

async fn transcriptions_of_recording(Path((_, recording)): One, asked: Asked) -> Answer {
    let recording = asked.sid(Kind::Recording, &recording)?;
    listed_transcriptions(&asked, Some(recording)).await
}

async fn listed_transcriptions(asked: &Asked, recording: Option<Sid>) -> Answer {
    let all = desk::transcriptions(&asked.app).await?;
    let covers = |one: &TranscriptionView| recording.is_none_or(|recording| recording == one.recording);
    asked.page("transcriptions", all, covers, |one| one.spell(&asked.account))
}

async fn transcription(Path((_, transcription)): One, asked: Asked) -> Answer {
    one_transcription(&asked, &transcription).await
}

async fn transcription_of_recording(Path((_, _, transcription)): Two, asked: Asked) -> Answer {
    one_transcription(&asked, &transcription).await
}

async fn one_transcription(asked: &Asked, transcription: &str) -> Answer {
    let sid = asked.sid(Kind::Transcription, transcription)?;
    let all = desk::transcriptions(&asked.app).await?;
    let found = asked.found(all.into_iter().find(|one| one.sid == sid))?;
    Ok(shown(found.spell(&asked.account)))
}

async fn conferences(asked: Asked) -> Answer {
    let filter = ConferenceFilter::read(&asked.params)?;
    let all = desk::conferences(&asked.app).await?;
    asked.page("conferences", all, |one| filter.covers(one), |one| one.spell(&asked.account))
}

async fn conference(Path((_, conference)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Conference, &conference)?;
    let all = desk::conferences(&asked.app).await?;
    let found: ConferenceView = asked.found(all.into_iter().find(|one| one.sid == sid))?;
    Ok(shown(found.spell(&asked.account)))
}

async fn update_conference(Path((_, conference)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Conference, &conference)?;
    let wish = UpdateConference::read(&asked.params)?;
    let found = desk::update_conference(&asked.app, sid, wish).await?;
    Ok(shown(asked.found(found)?.spell(&asked.account)))
}

async fn people(asked: &Asked, conference: &str) -> Result<(Sid, Vec<ParticipantView>), RestError> {
    let sid = asked.sid(Kind::Conference, conference)?;
    let people = desk::participants(&asked.app, sid).await?;
    Ok((sid, asked.found(people)?))
}

async fn participants(Path((_, conference)): One, asked: Asked) -> Answer {
    let filter = ParticipantFilter::read(&asked.params)?;
    let (_, people) = people(&asked, &conference).await?;
    asked.page("participants", people, |one| filter.covers(one), |one| one.spell(&asked.account))
}

async fn add_participant(Path((_, conference)): One, asked: Asked) -> Answer {
    let wish = AddParticipant::read(&asked.params)?;
    let added = desk::add_participant(&asked.app, &conference, wish).await?;
    Ok(created(added.spell(&asked.account)))
}

/// Somebody in a conference, by their call or their label.
async fn one_participant(asked: &Asked, conference: &str, named: &str) -> Result<ParticipantView, RestError> {
    let named = named.strip_suffix(".json").unwrap_or(named);
    let (_, people) = people(asked, conference).await?;
    let is_them = |one: &ParticipantView| one.call.to_string() == named || one.label.as_deref() == Some(named);
    asked.found(people.into_iter().find(is_them))
}

async fn participant(Path((_, conference, named)): Two, asked: Asked) -> Answer {
    Ok(shown(one_participant(&asked, &conference, &named).await?.spell(&asked.account)))
}

async fn update_participant(Path((_, conference, named)): Two, asked: Asked) -> Answer {
    let wish = Manners::read(&asked.params)?;
    let them = one_participant(&asked, &conference, &named).await?;
    let updated = desk::update_participant(&asked.app, them.conference, them.call, wish).await?;
    Ok(shown(asked.found(updated)?.spell(&asked.account)))
}

async fn remove_participant(Path((_, conference, named)): Two, asked: Asked) -> Answer {
    let them = one_participant(&asked, &conference, &named).await?;
    asked.deleted(desk::remove_participant(&asked.app, them.conference, them.call).await?)
}

async fn queues(asked: Asked) -> Answer {
    let all = desk::queues(&asked.app).await?;
    asked.page("queues", all, |_| true, |one| one.spell(&asked.account))
}

async fn create_queue(asked: Asked) -> Answer {
    let (name, size_max) = QueueWish::read_new(&asked.params)?;
    let made = desk::create_queue(&asked.app, name, size_max).await?;
    Ok(created(made.spell(&asked.account)))
}

async fn queue(Path((_, queue)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Queue, &queue)?;
    let all = desk::queues(&asked.app).await?;
    let found: QueueView = asked.found(all.into_iter().find(|one| one.sid == sid))?;
    Ok(shown(found.spell(&asked.account)))
}

async fn update_queue(Path((_, queue)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Queue, &queue)?;
    let wish = QueueWish::read(&asked.params)?;
    let found = desk::update_queue(&asked.app, sid, wish).await?;
    Ok(shown(asked.found(found)?.spell(&asked.account)))
}

async fn delete_queue(Path((_, queue)): One, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Queue, &queue)?;
    asked.deleted(desk::delete_queue(&asked.app, sid).await?)
}

async fn waiting(asked: &Asked, queue: &str) -> Result<(Sid, Vec<MemberView>), RestError> {
    let sid = asked.sid(Kind::Queue, queue)?;
    let waiting = desk::members(&asked.app, sid).await?;
    Ok((sid, asked.found(waiting)?))
}

async fn members(Path((_, queue)): One, asked: Asked) -> Answer {
    let (_, waiting) = waiting(&asked, &queue).await?;
    asked.page("queue_members", waiting, |_| true, |one| one.spell(&asked.account))
}

fn member_of(asked: &Asked, named: &str) -> Result<Member, RestError> {
    asked.found(Member::read(named.strip_suffix(".json").unwrap_or(named)))
}

async fn member(Path((_, queue, named)): Two, asked: Asked) -> Answer {
    let member = member_of(&asked, &named)?;
    let (_, waiting) = waiting(&asked, &queue).await?;
    let found = match member {
        Member::Front => waiting.into_iter().next(),
        Member::Call(call) => waiting.into_iter().find(|one| one.call == call),
    };
    Ok(shown(asked.found(found)?.spell(&asked.account)))
}

async fn dequeue(Path((_, queue, named)): Two, asked: Asked) -> Answer {
    let sid = asked.sid(Kind::Queue, &queue)?;
    let member = member_of(&asked, &named)?;
    let wish = Dequeue::read(&asked.params)?;
    let taken = desk::dequeue(&asked.app, sid, member, wish).await?;
    Ok(shown(asked.found(taken)?.spell(&asked.account)))
}

impl Asked {
    fn begun(&self, side: Option<SideView>, list: &str) -> Answer {
        Ok(created(self.found(side)?.spell(&self.account, list)))
    }

    fn ended(&self, side: Option<SideView>, list: &str) -> Answer {
        Ok(shown(self.found(side)?.spell(&self.account, list)))
    }
}

async fn start_stream(Path((_, call)): One, asked: Asked) -> Answer {
    let call = asked.sid(Kind::Call, &call)?;
    let wish = StartStream::read(&asked.params)?;
    asked.begun(desk::start_stream(&asked.app, call, wish).await?, "Streams")
}

async fn stop_stream(Path((_, call, named)): Two, asked: Asked) -> Answer {
    let call = asked.sid(Kind::Call, &call)?;
    read_stop(&asked.params)?;
    let name = SideName::read(named.strip_suffix(".json").unwrap_or(&named));
    asked.ended(desk::stop_stream(&asked.app, call, name).await?, "Streams")
}

async fn start_transcription(Path((_, call)): One, asked: Asked) -> Answer {
    let call = asked.sid(Kind::Call, &call)?;
    let wish = StartTranscription::read(&asked.params)?;
    asked.begun(desk::start_transcription(&asked.app, call, wish).await?, "Transcriptions")
}

async fn stop_transcription(Path((_, call, named)): Two, asked: Asked) -> Answer {
    let call = asked.sid(Kind::Call, &call)?;
    read_stop(&asked.params)?;
    let name = SideName::read(named.strip_suffix(".json").unwrap_or(&named));
    asked.ended(desk::stop_transcription(&asked.app, call, name).await?, "Transcriptions")
}

async fn no_notifications(Path((_, call)): One, asked: Asked) -> Answer {
    known_call(&asked, &call).await?;
    asked.page("notifications", Vec::<CallView>::new(), |_| true, |_| Value::Null)
}
