//! The recording of a conference: everybody in its room in one channel, from its beginning to its end.
//!
//! One task, as long as it is recorded. Whoever wanted it is told that it runs, and what became of it.

use std::sync::{Arc, Mutex, PoisonError};

use bot::{
    actor::RoomHandle,
    ivr::{
        twiml::{AudioTrack, RecordingEvents},
        webhook::{Endpoint, Notify, Params},
    },
};
use media::{bridge::Captured, record::Source};
use tokio_util::sync::CancellationToken;

use super::{Notifier, callback};
use crate::{
    app::App,
    error::ApiError,
    phone::{
        menu::records::loudness::Loudness,
        recordings::{self, About, Recorded, View, Whose},
        sid::Sid,
        track,
    },
};

/// How a conference is recorded.
#[derive(Clone)]
pub(super) struct RecordingWish {
    /// Whether silence at its ends is cut off.
    pub(super) is_trimmed: bool,
    /// Who is told of it.
    pub(super) callback: Option<(Endpoint, RecordingEvents, Notifier)>,
}

/// The task of one recording.
pub(super) struct Task {
    pub(super) app: App,
    pub(super) recorded: Recorded,
    pub(super) room: RoomHandle,
    pub(super) conference: Sid,
    pub(super) account: String,
    pub(super) wish: RecordingWish,
    /// The conference is over.
    pub(super) over: CancellationToken,
}

impl Task {
    pub(super) async fn run(self) {
        if let Err(error) = self.record().await {
            tracing::warn!(conference = %self.conference, %error, "a conference that was to be recorded is not");
        }
    }

    async fn record(&self) -> Result<(), ApiError> {
        let about = About {
            whose: Whose::Conference(self.conference.clone()),
            by: "Conference".to_owned(),
            track: AudioTrack::Both,
            channels: 1,
        };
        let captured = self.app.sound(&self.room).bridge().capture(Captured::Everybody).await?;
        let joined = self.room.epoch().at(self.app.clock().now());
        let loudness = Arc::new(Mutex::new(Loudness::default()));
        let noting = loudness.clone();
        let (passing, reader) = track::pass_on(captured, move |frame| {
            noting.lock().unwrap_or_else(PoisonError::into_inner).hear(frame.at, &frame.samples);
        });
        let source = Source { participant: None, name: "Everybody".to_owned(), joined, reader };
        let running = recordings::begin(&self.app, &self.room, &about, vec![source]).await?;
        let (sid, began) = (running.sid.to_string(), running.began());
        self.tell(
            |events| events.in_progress,
            || callback::recording(&self.account, self.conference.as_str(), &sid, &began, None),
        );
        let recording = async {
            tokio::select! {
                () = self.over.cancelled() => {}
                _ = running.ended() => {}
            }
            let loud = loudness.lock().unwrap_or_else(PoisonError::into_inner).loud();
            if let Some(span) = loud.filter(|_| self.wish.is_trimmed) {
                running.keep(span);
            }
            running.stop(&self.app, &self.room).await;
            running.ended().await
        };
        let view = tokio::select! {
            view = recording => view,
            // The sound has ended, with its room: so has the recording, or it will.
            () = passing => {
                running.stop(&self.app, &self.room).await;
                running.ended().await
            }
        };
        let has_sound = loudness.lock().unwrap_or_else(PoisonError::into_inner).has_sound();
        let view = if has_sound && !view.duration.is_zero() {
            view
        } else {
            if let Err(error) = running.discard(&self.app).await {
                tracing::warn!(recording = %view.sid, %error, "an empty recording stays");
            }
            let absent = View { status: "absent", ..view };
            self.recorded.came_to_nothing(absent.clone());
            absent
        };
        let url = recordings::url(self.app.config(), &view.sid);
        let wants = |events: RecordingEvents| if view.status == "absent" { events.absent } else { events.completed };
        self.tell(wants, || {
            callback::recording(&self.account, self.conference.as_str(), &sid, &began, Some((&view, &url)))
        });
        Ok(())
    }

    fn tell(&self, is_wanted: impl Fn(RecordingEvents) -> bool, params: impl FnOnce() -> Params) {
        if let Some((to, events, notifier)) = &self.wish.callback
            && is_wanted(*events)
        {
            notifier(Notify { to: to.clone(), params: params() });
        }
    }
}
