//! What a menu records: `Record`, the recording of a `Dial`, and what runs beside the document.
//!
//! One task a recording. Each is a recording of its own ([`crate::phone::recordings`]), with exactly the sound that was
//! asked for, and goes with the call from room to room ([`crate::phone::track`]); several of one call do not know of
//! each other. It ends when it is stopped, by the menu or by whoever steers recordings from outside, when it is as long
//! as it may be, and with its menu. Consent is kept by the captures, and a caller who may not be recorded is not recorded
//! at all. What was said comes from the room's transcript of the same stretch.

pub(super) mod loudness;
mod words;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bot::{
    actor::RoomHandle,
    ivr::{
        effect::{RecordingId, RecordingSource, RecordingSpec},
        input::{Input, RecordingEvent},
        private::Private,
        twiml::{AudioTrack, Channels},
    },
    participant::may_be_captured,
};
use media::{
    graph::nodes::capture::CaptureReader,
    id::ParticipantId,
    record::Source,
    time::{MediaTime, Span},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{loudness::Loudness, words::Words};
use crate::{
    app::App,
    phone::{
        call::Phone,
        recordings::{self, About, Recorded, Running, View, Whose},
        track::{self, Side},
    },
};

/// How long the last words of a recording are waited for: a decoder under load takes a second or two.
const WORDS_WITHIN: Duration = Duration::from_secs(20);

/// Events of one recording: there are three.
const EVENTS: usize = 4;

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// The recordings of one menu; all end when it is dropped.
pub(super) struct Records {
    app: App,
    phone: Phone,
    recorded: Recorded,
    told: mpsc::Sender<Input>,
    running: BTreeMap<RecordingId, (DropGuard, JoinHandle<()>)>,
}

impl Records {
    pub(super) fn new(app: &App, recorded: &Recorded, phone: &Phone, told: mpsc::Sender<Input>) -> Self {
        let (app, phone, recorded) = (app.clone(), phone.clone(), recorded.clone());
        Self { app, phone, recorded, told, running: BTreeMap::new() }
    }

    /// Begins a recording on the timeline of the menu's room.
    pub(super) fn begin(&mut self, id: RecordingId, spec: RecordingSpec, room: &RoomHandle) {
        // The machine has a handful at once; those that ended by themselves make room.
        self.running.retain(|_, (_, task)| !task.is_finished());
        let stop = CancellationToken::new();
        let task = Task {
            app: self.app.clone(),
            phone: self.phone.clone(),
            recorded: self.recorded.clone(),
            told: self.told.clone(),
            room: room.clone(),
            id,
            spec,
            stop: stop.clone(),
        };
        self.running.insert(id, (stop.drop_guard(), tokio::spawn(task.run())));
    }

    /// Ends a recording.
    pub(super) fn stop(&mut self, id: RecordingId) {
        self.running.remove(&id);
    }
}

/// Records a call because somebody outside wants it, whether or not it has a menu; it ends with the call at the latest.
/// What is told are [`Input::Recording`]s, the first of them within moments; ending it is for
/// [`Recorded::change`]. Nothing when the call is in no room.
pub(crate) fn beside(
    app: &App,
    recorded: &Recorded,
    phone: &Phone,
    spec: RecordingSpec,
) -> Option<mpsc::Receiver<Input>> {
    let room = phone.place().borrow().as_ref()?.room.clone();
    let (told, telling) = mpsc::channel(EVENTS);
    let stop = CancellationToken::new();
    let task = Task {
        app: app.clone(),
        phone: phone.clone(),
        recorded: recorded.clone(),
        told,
        room,
        id: RecordingId(0),
        spec,
        stop: stop.clone(),
    };
    let phone = phone.clone();
    tokio::spawn(async move {
        let ending = async {
            phone.over().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = task.run() => {}
            () = ending => {}
        }
    });
    Some(telling)
}

/// The task of one recording.
struct Task {
    app: App,
    phone: Phone,
    recorded: Recorded,
    told: mpsc::Sender<Input>,
    room: RoomHandle,
    id: RecordingId,
    spec: RecordingSpec,
    stop: CancellationToken,
}

/// What a source comes to: whose sound lies in which file.
struct Plan {
    sides: &'static [Side],
    track: AudioTrack,
}

impl Plan {
    fn of(source: RecordingSource) -> Self {
        let (sides, track): (&'static [Side], _) = match source {
            RecordingSource::Caller => (&[Side::Caller], AudioTrack::Inbound),
            RecordingSource::Other => (&[Side::Others], AudioTrack::Outbound),
            RecordingSource::Both(Channels::Mono) => (&[Side::Everybody], AudioTrack::Both),
            RecordingSource::Both(Channels::Dual) => (&[Side::Caller, Side::Others], AudioTrack::Both),
        };
        Self { sides, track }
    }
}

impl Task {
    async fn run(self) {
        let (call, id) = (self.phone.sid(), self.id.0);
        match self.record().await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%call, recording = id, %error, "a call that was to be recorded is not");
                self.tell(RecordingEvent::Failed).await;
            }
        }
    }

    async fn record(&self) -> Result<(), crate::error::ApiError> {
        let caller = self.phone.place().borrow().as_ref().map(|place| place.participant);
        if self.spec.source == RecordingSource::Caller && !self.may_record(caller) {
            let message = "the caller has not agreed to be recorded";
            return Err(crate::error::ApiError::forbidden("no_consent", message));
        }
        let Plan { sides, track } = Plan::of(self.spec.source);
        let (follow, readers) = track::follow(&self.app, self.phone.place(), *self.room.epoch(), sides);
        let joined = self.room.epoch().at(self.app.clock().now());
        let sources = sides.iter().zip(readers).map(|(side, reader)| source(*side, caller, joined, reader));
        let about = About {
            whose: Whose::Call(self.phone.sid().clone()),
            by: self.spec.by.to_owned(),
            track,
            channels: if sides.len() == 2 { 2 } else { 1 },
        };
        let running = recordings::begin(&self.app, &self.room, &about, sources.collect()).await?;
        self.tell(RecordingEvent::Started { sid: running.sid.to_string() }).await;

        let loudness = Mutex::new(Loudness::default());
        let following = async {
            follow
                .run(|_, frame| {
                    if !running.is_paused() {
                        lock(&loudness).hear(frame.at, &frame.samples);
                    }
                })
                .await;
            // A call that is over leaves its recording to whoever ends it.
            std::future::pending::<()>().await;
        };
        let mut words = self.spec.transcribe.then(|| Words::of(&self.room, caller)).flatten();
        let recording = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                _ = tokio::time::timeout(self.spec.max_length, running.ended()) => {}
                () = listen(words.as_mut()) => {}
            }
            if self.spec.trim
                && let Some(span) = lock(&loudness).loud()
            {
                running.keep(span);
            }
            // Where somebody else ended it, this does nothing. The last sound is on its way, and followed meanwhile.
            running.stop(&self.app, &self.room).await;
            running.ended().await
        };
        let view = tokio::select! {
            view = recording => view,
            () = following => return Ok(()),
        };
        let end = self.room.epoch().at(self.app.clock().now());
        let has_sound = lock(&loudness).has_sound();
        if self.conclude(&running, view, has_sound).await && self.spec.transcribe {
            let text = self.words(words, Span::new(running.start(), end)).await;
            self.tell(RecordingEvent::Transcribed { sid: running.sid.to_string(), text }).await;
        }
        Ok(())
    }

    /// Tells how it ended; true when there is a file.
    async fn conclude(&self, running: &Running, view: View, has_sound: bool) -> bool {
        if view.status == "failed" {
            tracing::warn!(call = %self.phone.sid(), recording = %view.sid, "a recording of a call failed");
            self.tell(RecordingEvent::Failed).await;
            return false;
        }
        if !has_sound || view.duration.is_zero() {
            if let Err(error) = running.discard(&self.app).await {
                tracing::warn!(recording = %view.sid, %error, "an empty recording stays");
            }
            self.recorded.came_to_nothing(View { status: "absent", duration: Duration::ZERO, ..view });
            self.tell(RecordingEvent::Absent).await;
            return false;
        }
        let done = RecordingEvent::Done {
            sid: view.sid.to_string(),
            url: recordings::url(self.app.config(), &view.sid),
            duration: view.duration,
            channels: view.about.channels,
        };
        self.tell(done).await;
        true
    }

    /// What the caller said in it; `None` when nobody listens to their words, or the last did not come.
    async fn words(&self, words: Option<Words>, span: Span) -> Option<Private> {
        let mut words = words?;
        self.phone.finalize().await;
        tokio::time::timeout(WORDS_WITHIN, words.settled()).await.ok()?;
        let text = self.room.read(|room| words::within(&room.transcript(), words.caller(), span));
        Some(Private::from(text))
    }

    fn may_record(&self, caller: Option<ParticipantId>) -> bool {
        let required = self.room.settings().consent_required;
        let caller = caller.and_then(|caller| self.room.read(|room| room.participant(caller)));
        may_be_captured(required, caller.and_then(|caller| caller.consent))
    }

    async fn tell(&self, event: RecordingEvent) {
        // A menu that is gone has nobody left to tell.
        let _ = self.told.send(Input::Recording { id: self.id, event }).await;
    }
}

/// Reads on for as long as the recording runs, so that nothing of the room's log is missed.
async fn listen(words: Option<&mut Words>) {
    if let Some(words) = words {
        words.listen().await;
    }
    std::future::pending::<()>().await;
}

/// The caller has a file of their own; whoever else is heard is one.
fn source(side: Side, caller: Option<ParticipantId>, joined: MediaTime, reader: CaptureReader) -> Source {
    let (participant, name) = match side {
        Side::Caller => (Some(caller.unwrap_or(NOBODY)), "Caller"),
        Side::Others => (None, "Others"),
        Side::Everybody => (None, "Everybody"),
    };
    Source { participant, name: name.to_owned(), joined, reader }
}

/// A caller who is not in the room yet; participants count from one.
const NOBODY: ParticipantId = ParticipantId(0);

/// Locks, also after a panic elsewhere: every change of the guarded values is complete before it can panic.
fn lock(loudness: &Mutex<Loudness>) -> std::sync::MutexGuard<'_, Loudness> {
    loudness.lock().unwrap_or_else(PoisonError::into_inner)
}
