//! What was recorded of calls: `RE…` names, the recordings that they stand for, and how one is begun.
//!
//! Each is a recording of its own in the folder of all recordings ([`media::record`]), called by its time and its
//! `RE…` name, with what else must be known of it among its labels. So the book needs no file of its own, knows after a
//! restart what it knew before, and forgets what somebody removed. Several of one call do not know of each other:
//! each has its own files, its own pauses and its own end. What came to nothing has no files and is remembered in
//! memory, [`ABSENT_KEPT`] of them. Whatever reads the disk runs on a blocking thread.

pub(crate) mod wav;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bot::{actor::RoomHandle, event::RoomEvent, ivr::twiml::AudioTrack};
use media::{
    record::{Manifest, Opening, RecordError, Recording, RecordingId, Source, State},
    time::{MediaTime, Span},
};

use self::wav::Wav;
use super::sid::{NO_ACCOUNT, Sid, SidKind};
use crate::{
    app::App,
    config::Config,
    error::ApiError,
    recording::{self, Guest, Target, blocking, refused},
};

/// Recordings that came to nothing and are still known: a day of a small office.
const ABSENT_KEPT: usize = 500;

/// Recordings that are looked through for those of a call, newest first: each costs reading a small file.
const LOOKED_THROUGH: usize = 5_000;

/// How long the recorder is given to take an order when it has too many: it takes them ten times a second.
const TAKE_WITHIN: Duration = Duration::from_secs(1);

/// Whose recording it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A call's.
    Call(Sid),
    /// A conference's.
    Conference(Sid),
}

/// What is known of a recording before its first sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Whose it is.
    pub(crate) whose: Whose,
    /// What asked for it: `RecordVerb`, `DialVerb`, `StartCallRecordingTwiML`, `Conference`, …
    pub(crate) by: String,
    /// Whose sound it has.
    pub(crate) track: AudioTrack,
    /// How many channels it has.
    pub(crate) channels: u8,
}

/// A recording as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// Its name.
    pub(crate) sid: Sid,
    /// What was known of it before its first sound.
    pub(crate) about: About,
    /// `in-progress`, `paused`, `completed`, `absent` or `failed`.
    pub(crate) status: &'static str,
    /// When it began (RFC 3339).
    pub(crate) began: String,
    /// How long it is, without the silence that is cut off.
    pub(crate) duration: Duration,
}

/// The book. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<VecDeque<View>>>);

impl Recorded {
    /// A recording of this name.
    ///
    /// # Errors
    /// 404 when there is none; 503 when this server keeps none.
    pub(crate) async fn view(&self, app: &App, sid: &Sid) -> Result<View, ApiError> {
        if let Some(absent) = self.lock().iter().find(|view| view.sid == *sid) {
            return Ok(absent.clone());
        }
        let manifest = find(app, sid).await?;
        View::read(&manifest).ok_or_else(|| missing(sid))
    }

    /// Those of `whose`, or all of them, newest first.
    ///
    /// # Errors
    /// 503 when this server keeps none; 500 when the disk refuses.
    pub(crate) async fn views(&self, app: &App, whose: Option<&Whose>) -> Result<Vec<View>, ApiError> {
        let recorder = app.recordings()?.recorder().clone();
        let listed = blocking(move || recorder.list(LOOKED_THROUGH, None)).await?;
        let listed = listed.map_err(|error| refused(error.into()))?;
        let mut views: Vec<_> = listed.iter().filter_map(|manifest| View::read(manifest)).collect();
        views.extend(self.lock().iter().cloned());
        views.retain(|view| whose.is_none_or(|whose| view.about.whose == *whose));
        views.sort_by(|one, other| other.began.cmp(&one.began));
        Ok(views)
    }

    /// Pauses it, goes on with it or ends it.
    ///
    /// # Errors
    /// 404 when there is none; 409 when it has ended.
    pub(crate) async fn change(&self, app: &App, sid: &Sid, target: Target) -> Result<View, ApiError> {
        let id = find(app, sid).await?.id.clone();
        let manifest = recording::change(app, &id, target).await?;
        View::read(&manifest).ok_or_else(|| missing(sid))
    }

    /// Removes it with its files.
    ///
    /// # Errors
    /// 404 when there is none; 409 while it runs.
    pub(crate) async fn delete(&self, app: &App, sid: &Sid) -> Result<(), ApiError> {
        let was_absent = {
            let mut absent = self.lock();
            let before = absent.len();
            absent.retain(|view| view.sid != *sid);
            absent.len() < before
        };
        if was_absent {
            return Ok(());
        }
        let id = find(app, sid).await?.id.clone();
        let recorder = app.recordings()?.recorder().clone();
        blocking(move || recorder.delete(&id)).await?.map_err(refused)?;
        tracing::info!(recording = %sid, "recording removed");
        Ok(())
    }

    /// Its sound, as a WAV that comes piece by piece: in as many channels as it has, or in one.
    ///
    /// # Errors
    /// 404 when there is none, or none with sound; 409 while it runs.
    pub(crate) async fn wav(&self, app: &App, sid: &Sid, wants_one_channel: bool) -> Result<Wav, ApiError> {
        let manifest = find(app, sid).await?;
        if manifest.state.is_running() {
            let message = format!("the recording {sid} still runs");
            return Err(ApiError::new(axum::http::StatusCode::CONFLICT, "running", message));
        }
        let view = View::read(&manifest).ok_or_else(|| missing(sid))?;
        let recorder = app.recordings()?.recorder().clone();
        let lanes = lanes(&manifest, view.about.channels);
        let plan = wav::Plan {
            lanes: lanes
                .into_iter()
                .map(|tracks| {
                    let files =
                        tracks.into_iter().filter_map(|(from, file)| Some((recorder.path(&manifest, &file)?, from)));
                    files.collect()
                })
                .collect(),
            span: kept(&manifest),
            is_mixed_down: wants_one_channel,
        };
        let opened = blocking(move || Wav::open(plan)).await?;
        opened.map_err(|error| {
            tracing::warn!(recording = %sid, %error, "the files of a recording cannot be read");
            missing(sid)
        })
    }

    /// Remembers a recording that came to nothing.
    pub(crate) fn came_to_nothing(&self, view: View) {
        let mut absent = self.lock();
        if absent.len() >= ABSENT_KEPT {
            absent.pop_front();
        }
        absent.push_back(view);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recording that runs.
pub(crate) struct Running {
    /// Its name.
    pub(crate) sid: Sid,
    recording: Recording,
    /// The server waits for it before it ends.
    _guest: Guest,
}

/// Begins a recording in `room`, on its timeline; the room is told of its beginning and its end.
///
/// # Errors
/// 503 when the recorder is full or busy, 507 when the disk is.
pub(crate) async fn begin(
    app: &App,
    room: &RoomHandle,
    about: &About,
    sources: Vec<Source>,
) -> Result<Running, ApiError> {
    let recordings = app.recordings()?;
    let guest = recordings.guest();
    let recorder = recordings.recorder().clone();
    let sid = Sid::fresh(SidKind::Recording);
    let now = recording::timestamp(app.clock().wall());
    let opening = Opening {
        name: format!("{}-{sid}", now.strftime("%Y%m%d-%H%M%S")),
        room: room.id().to_string(),
        room_began: format!("{:.3}", recording::timestamp(room.epoch().wall)),
        title: room.title().to_owned(),
        started_at: format!("{now:.3}"),
        epoch: *room.epoch(),
        start: room.epoch().at(app.clock().now()),
        encoding: recorder.encoding(),
        labels: labels(&sid, about),
    };
    let recording = blocking(move || recorder.begin(opening)).await?.map_err(refused)?;
    let running = Running { sid, recording, _guest: guest };
    for source in sources {
        if let Err(error) = running.recording.add(source) {
            // It has begun: it ends like any other, without this file.
            running.stop(app, room).await;
            return Err(refused(error));
        }
    }
    let name: Arc<str> = running.recording.id().to_string().into();
    let _ = room.publish(RoomEvent::RecordingStarted { recording: name.clone() }).await;
    let (ended, room) = (running.recording.clone(), room.clone());
    tokio::spawn(async move {
        let ended = ended.ended().await;
        let (state, why) = (ended.state.as_str().into(), ended.reason.as_deref().map(Into::into));
        // A closed room has nobody left to tell.
        let _ = room.publish(RoomEvent::RecordingEnded { recording: name, state, why }).await;
    });
    Ok(running)
}

impl Running {
    /// Its first moment, on the timeline that it was begun with.
    pub(crate) fn start(&self) -> MediaTime {
        MediaTime::from_secs_f64(self.recording.manifest().start_s)
    }

    /// When it began (RFC 3339).
    pub(crate) fn began(&self) -> String {
        self.recording.manifest().started_at.clone()
    }

    /// Whether it was paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.recording.manifest().state == State::Paused
    }

    /// Keeps only this stretch of it, on the timeline that it was begun with; the files stay whole.
    pub(crate) fn keep(&self, span: Span) {
        let start = self.start();
        let seconds = |at: MediaTime| at.since(start).as_secs_f64();
        let kept = format!("{:.3}-{:.3}", seconds(span.start), seconds(span.end));
        // Without the label all of it is kept.
        let _ = self.recording.label(KEPT, kept);
    }

    /// Ends it now; [`Running::ended`] says when its files are whole.
    pub(crate) async fn stop(&self, app: &App, room: &RoomHandle) {
        let mut status = self.recording.status();
        let at = room.epoch().at(app.clock().now());
        while matches!(self.recording.stop(at), Err(RecordError::Busy)) {
            // The recorder tells its status at least once a second: orders have been taken by then.
            let _ = tokio::time::timeout(TAKE_WITHIN, status.changed()).await;
        }
    }

    /// Resolves when it has ended, by whomever.
    pub(crate) async fn ended(&self) -> View {
        View::read(&*self.recording.ended().await).expect("its labels are those that it was begun with")
    }

    /// Removes its files, since nothing is in them.
    ///
    /// # Errors
    /// When the disk refuses; they stay then.
    pub(crate) async fn discard(&self, app: &App) -> Result<(), ApiError> {
        let (recorder, id) = (app.recordings()?.recorder().clone(), self.recording.id().clone());
        blocking(move || recorder.delete(&id)).await?.map_err(refused)
    }
}

/// Where a recording can be had.
pub(crate) fn url(config: &Config, sid: &Sid) -> String {
    let account = config.twilio.account_sid.as_deref().unwrap_or(NO_ACCOUNT);
    format!("{}/2010-04-01/Accounts/{account}/Recordings/{sid}", public_base(config))
}

/// How the world calls this server.
fn public_base(config: &Config) -> String {
    match (&config.twilio.public_url, config.http_address()) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(address)) => format!("http://{address}"),
        (None, None) => "http://localhost".to_owned(),
    }
}

impl View {
    /// What a recording's state file says; nothing of one that is no call's.
    fn read(manifest: &Manifest) -> Option<Self> {
        let label = |name: &str| manifest.labels.get(name).map(String::as_str);
        let whose = match (label(CALL), label(CONFERENCE)) {
            (Some(call), _) => Whose::Call(call.parse().ok()?),
            (None, Some(conference)) => Whose::Conference(conference.parse().ok()?),
            (None, None) => return None,
        };
        Some(Self {
            sid: label(SID)?.parse().ok()?,
            about: About {
                whose,
                by: label(BY).unwrap_or_default().to_owned(),
                track: match label(TRACK) {
                    Some("inbound") => AudioTrack::Inbound,
                    Some("outbound") => AudioTrack::Outbound,
                    _ => AudioTrack::Both,
                },
                channels: if label(CHANNELS) == Some("2") { 2 } else { 1 },
            },
            status: match manifest.state {
                State::Recording => "in-progress",
                State::Paused => "paused",
                State::Finished | State::Interrupted => "completed",
                // What was written is there.
                State::Failed if manifest.duration_s > 0.0 => "completed",
                State::Failed => "failed",
            },
            began: manifest.started_at.clone(),
            duration: kept(manifest).duration(),
        })
    }
}

/// The labels of a recording that begins.
fn labels(sid: &Sid, about: &About) -> BTreeMap<String, String> {
    let (name, whose) = match &about.whose {
        Whose::Call(call) => (CALL, call),
        Whose::Conference(conference) => (CONFERENCE, conference),
    };
    let track = match about.track {
        AudioTrack::Inbound => "inbound",
        AudioTrack::Outbound => "outbound",
        AudioTrack::Both => "both",
    };
    let labels = [
        (SID, sid.to_string()),
        (name, whose.to_string()),
        (BY, about.by.clone()),
        (TRACK, track.to_owned()),
        (CHANNELS, about.channels.to_string()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The stretch of a recording that is kept, from its first sample on.
fn kept(manifest: &Manifest) -> Span {
    let whole = Span::new(MediaTime::ZERO, MediaTime::from_secs_f64(manifest.duration_s));
    let kept = manifest.labels.get(KEPT).and_then(|text| text.split_once('-'));
    let Some((from, to)) = kept.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?))) else {
        return whole;
    };
    let inside = |seconds: f64| MediaTime::from_secs_f64(seconds).min(whole.end);
    Span::new(inside(from), inside(to))
}

/// The files of each channel, each with its first sample on the recording's own timeline: the caller's left, the others'
/// right.
fn lanes(manifest: &Manifest, channels: u8) -> Vec<Vec<(MediaTime, String)>> {
    let of = |wants_mix: Option<bool>| {
        let tracks = manifest.tracks.iter();
        let wanted = tracks.filter(|track| wants_mix.is_none_or(|wants_mix| track.participant.is_none() == wants_mix));
        let from = |start_s: f64| MediaTime::from_secs_f64(start_s - manifest.start_s);
        wanted.map(|track| (from(track.start_s), track.file.clone())).collect()
    };
    if channels == 2 { vec![of(Some(false)), of(Some(true))] } else { vec![of(None)] }
}

/// The recording of this name.
async fn find(app: &App, sid: &Sid) -> Result<Arc<Manifest>, ApiError> {
    let recorder = app.recordings()?.recorder().clone();
    let suffix = format!("-{sid}");
    let found = blocking(move || {
        let id: Option<RecordingId> = recorder.ending(&suffix)?;
        id.map(|id| recorder.show(&id)).transpose()
    });
    match found.await? {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) => Err(missing(sid)),
        Err(error) => Err(refused(error.into())),
    }
}

fn missing(sid: &Sid) -> ApiError {
    ApiError::not_found(format!("there is no recording {sid}"))
}

/// Its own name.
const SID: &str = "sid";
/// The call, or the conference.
const CALL: &str = "call";
const CONFERENCE: &str = "conference";
/// What asked for it.
const BY: &str = "source";
/// Whose sound it has.
const TRACK: &str = "track";
/// How many channels.
const CHANNELS: &str = "channels";
/// What is left when the silence at its ends is cut off, in seconds from its first sample.
const KEPT: &str = "kept";

#[cfg(test)]
mod tests {
    use media::{id::ParticipantId, record::Container};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::{
        auth::keys::KeyRing,
        engine::NoEars,
        phone::{
            call::Place,
            track::{self, Side, tests::speak},
        },
    };

    fn manifest(labels: BTreeMap<String, String>) -> Manifest {
        let track = |participant: Option<&str>, file: &str, start_s: f64| media::record::Track {
            participant: participant.map(str::to_owned),
            name: String::new(),
            file: file.to_owned(),
            start_s,
            joined_s: start_s,
            duration_s: 4.0,
            bytes: 1,
        };
        Manifest {
            id: "20261201-081500-RE".parse().unwrap(),
            room: "r1".to_owned(),
            room_began: String::new(),
            title: String::new(),
            state: State::Finished,
            reason: None,
            started_at: "2026-12-01T08:15:00.000Z".to_owned(),
            start_s: 2.0,
            duration_s: 10.0,
            format: Container::Ogg,
            tracks: vec![
                track(None, "mixed.ogg", 2.0),
                track(Some("p1"), "p1.ogg", 2.0),
                track(Some("p1"), "p1-2.ogg", 6.0),
            ],
            labels,
        }
    }

    #[test]
    fn what_is_noted_beside_a_recording_is_read_back() {
        let sid = Sid::fresh(SidKind::Recording);
        for whose in [Whose::Call(Sid::fresh(SidKind::Call)), Whose::Conference(Sid::fresh(SidKind::Conference))] {
            for (track, channels) in [(AudioTrack::Inbound, 1), (AudioTrack::Outbound, 1), (AudioTrack::Both, 2)] {
                let about = About { whose: whose.clone(), by: "DialVerb".to_owned(), track, channels };
                let view = View::read(&manifest(labels(&sid, &about))).unwrap();
                assert_eq!((view.sid, view.about, view.status), (sid.clone(), about, "completed"));
                assert_eq!(view.duration, Duration::from_secs(10));
            }
        }
        assert_eq!(View::read(&manifest(BTreeMap::new())), None);
    }

    #[test]
    fn a_recording_is_as_long_as_what_is_kept_of_it_and_a_broken_note_keeps_all() {
        let millis = MediaTime::from_millis;
        for (note, expected) in [
            (None, (0, 10_000)),
            (Some("1.250-9.500"), (1_250, 9_500)),
            (Some("1.250-99.5"), (1_250, 10_000)),
            (Some("5-1"), (5_000, 5_000)),
            (Some("-1-x"), (0, 10_000)),
            (Some(""), (0, 10_000)),
        ] {
            let labels = note.map(|note| (KEPT.to_owned(), note.to_owned())).into_iter().collect();
            let expected = Span::new(millis(expected.0), millis(expected.1));
            assert_eq!(kept(&manifest(labels)), expected, "{note:?}");
        }
    }

    #[test]
    fn the_caller_is_left_and_the_others_right_each_file_where_it_begins() {
        let manifest = manifest(BTreeMap::new());
        let file = |millis, name: &str| (MediaTime::from_millis(millis), name.to_owned());
        let caller = vec![file(0, "p1.ogg"), file(4_000, "p1-2.ogg")];
        assert_eq!(lanes(&manifest, 2), [caller, vec![file(0, "mixed.ogg")]]);
        assert_eq!(lanes(&manifest, 1).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_moves_is_kept_in_two_channels_and_comes_as_one_file() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.recording.dir = Some(data.path().join("recordings"));
        config.recording.format = Container::Wav;
        let keys = KeyRing::load(data.path(), &[]).unwrap();
        let recordings = recording::Recordings::open(&config).unwrap();
        let app = App::new(config, Err(NoEars(String::new())), keys).unwrap();
        app.keep(recordings);
        let (first, second) = (app.open_room("a").unwrap(), app.open_room("b").unwrap());
        let _legs = (speak(&app, &first, 1, 0.25).await, speak(&app, &first, 2, 0.125).await);
        let _others = (speak(&app, &second, 7, 0.25).await, speak(&app, &second, 8, -0.5).await);
        let place = |room: &RoomHandle, who| Some(Place { room: room.clone(), participant: ParticipantId(who) });
        let (to, places) = watch::channel(place(&first, 1));
        let sides = [Side::Caller, Side::Others];
        let (follow, readers) = track::follow(&app, places, *first.epoch(), &sides);
        let joined = first.epoch().at(app.clock().now());
        let source = |(reader, participant)| Source { participant, name: String::new(), joined, reader };
        let sources = readers.into_iter().zip([Some(ParticipantId(1)), None]).map(source);
        let call = Whose::Call(Sid::fresh(SidKind::Call));
        let about = About { whose: call.clone(), by: "DialVerb".to_owned(), track: AudioTrack::Both, channels: 2 };
        let running = begin(&app, &first, &about, sources.collect()).await.unwrap();
        let (heard, mut frames) = mpsc::channel(1_000);
        let followed = tokio::spawn(follow.run(move |side, frame| {
            let _ = heard.try_send((side, frame.samples[959]));
        }));
        let mut until = async |side, level: f32| {
            while let Some((heard, sample)) = frames.recv().await {
                if heard == side && (sample - level).abs() < 2e-3 {
                    return;
                }
            }
        };
        until(Side::Others, 0.125).await;
        to.send_replace(place(&second, 7));
        until(Side::Others, -0.5).await;
        let book = Recorded::default();
        assert_eq!(book.view(&app, &running.sid).await.unwrap().status, "in-progress");
        assert_eq!(book.wav(&app, &running.sid, false).await.unwrap_err().code, "running");
        running.stop(&app, &first).await;
        let view = running.ended().await;
        assert_eq!((view.status, view.about.channels), ("completed", 2));
        drop(to);
        followed.await.unwrap();
        assert_eq!(book.views(&app, Some(&call)).await.unwrap(), std::slice::from_ref(&view));

        let mut wav = book.wav(&app, &view.sid, false).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = wav.pieces.recv().await {
            bytes.extend_from_slice(&piece);
        }
        assert_eq!(bytes.len() as u64, wav.bytes);
        let samples: Vec<_> = bytes[44..].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        let near = |sample: i16, level: f32| (f32::from(sample) / 32_767.0 - level).abs() < 5e-3;
        let both =
            |left, right| samples.chunks_exact(2).filter(|two| near(two[0], left) && near(two[1], right)).count();
        // Of both rooms there is something, with the caller on the left.
        assert!(both(0.25, 0.125) > 160, "{} of {}", both(0.25, 0.125), samples.len());
        assert!(both(0.25, -0.5) > 160, "{} of {}", both(0.25, -0.5), samples.len());
        assert!(samples.chunks_exact(2).all(|two| two[1] <= 0 || f32::from(two[1]) / 32_767.0 < 0.2));
        book.delete(&app, &view.sid).await.unwrap();
        assert_eq!(book.view(&app, &view.sid).await.unwrap_err().status.as_u16(), 404);
    }

    #[test]
    fn a_recording_is_had_where_the_world_finds_this_server() {
        let sid: Sid = "RE0123456789abcdef0123456789abcdef".parse().unwrap();
        let mut config = Config::default();
        let path = format!("/2010-04-01/Accounts/{NO_ACCOUNT}/Recordings/{sid}");
        assert_eq!(url(&config, &sid), format!("http://127.0.0.1:8080{path}"));
        config.twilio.public_url = Some("https://voice.example.org/".to_owned());
        config.twilio.account_sid = Some("AC1".to_owned());
        assert_eq!(url(&config, &sid), format!("https://voice.example.org/2010-04-01/Accounts/AC1/Recordings/{sid}"));
    }
}
