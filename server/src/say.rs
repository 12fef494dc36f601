//! Words that are said to a room because somebody asked for it: through a leg of their own, then they are gone.
//!
//! One task each. What is asked for while something is being said is said at once, over it: whoever wants one after the
//! other waits for `say.ended`. At most [`SAYS_MAX`] in the server; one more is refused. Never real time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bot::{
    actor::RoomHandle,
    event::{PlayEnd, RoomEvent},
};
use media::{
    bridge::{Leg, Plan},
    frame::MOUTH_HZ,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tts::{
    utterance::Utterance,
    voice::{Language, choose},
    worker::{Refused, Said, Speech},
};

use crate::{
    app::App,
    error::ApiError,
    play::{END, until_heard},
    speaker::{Abandoned, Pace, Speaker},
};

/// As many as files that are played.
const SAYS_MAX: usize = 32;

/// The leg says one thing, which is one turn.
const TURN: u64 = 1;

/// What says: places, and what was begun.
pub(crate) struct Says {
    places: Arc<Semaphore>,
    begun: AtomicU64,
}

impl Default for Says {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(SAYS_MAX)), begun: AtomicU64::new(0) }
    }
}

/// Begins to say `text`; its name, which the room's events bear.
///
/// # Errors
/// 400 when there is nothing to say, or more than anybody listens to; 404 when the room was closed; 503 when as much is
/// said as may be.
pub(crate) async fn start(
    app: &App,
    room: &RoomHandle,
    text: &str,
    language: Option<&str>,
    voice: Option<&str>,
) -> Result<Arc<str>, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::bad_request("nothing_to_say", "text is empty"));
    }
    if let Some(tag) = language.filter(|tag| Language::nearest(tag).is_none()) {
        let tag: String = tag.chars().take(40).collect();
        return Err(ApiError::bad_request("unknown_language", format!("nobody here speaks {tag:?}")));
    }
    if let Some(why) = choose(voice, None).warning {
        return Err(
            ApiError::bad_request("unknown_voice", why).hint("man, woman, or a name that telephone applications use")
        );
    }
    let choice = choose(voice, language);
    let says = app.says();
    let place = says.places.clone().try_acquire_owned().map_err(|_| ApiError::full("too much is being said"))?;
    let speech =
        app.voices()?.speak(&Utterance::plain(choice.voice, text), MOUTH_HZ).map_err(|refused| match refused {
            Refused::TooMuch(_) => ApiError::bad_request("too_long", refused.to_string()),
            refused => ApiError::full(refused.to_string()),
        })?;
    let (playout, speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
    let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
    let leg = app.sound(room).bridge().join(plan).await?;
    let say: Arc<str> = format!("say{}", says.begun.fetch_add(1, Ordering::Relaxed) + 1).into();
    room.publish(RoomEvent::SayStarted { say: say.clone() })
        .await
        .map_err(|_| ApiError::not_found("the room was closed"))?;
    tokio::spawn(run(app.clone(), room.clone(), say.clone(), speech, leg, speaker, place));
    Ok(say)
}

async fn run(
    app: App,
    room: RoomHandle,
    say: Arc<str>,
    speech: Speech,
    mut leg: Leg,
    speaker: Speaker,
    place: OwnedSemaphorePermit,
) {
    let why = tokio::select! {
        said = speak(speech, speaker, &mut leg) => if said { PlayEnd::Finished } else { PlayEnd::Failed },
        () = room.closed() => PlayEnd::Stopped,
        () = app.shutdown().cancelled() => PlayEnd::Stopped,
    };
    drop((leg, place));
    // A room that is closed has nobody to tell.
    let _ = room.publish(RoomEvent::SayEnded { say, why }).await;
}

/// Says it, and waits until it was heard; false where the voice failed or nobody hears it.
async fn speak(mut speech: Speech, mut speaker: Speaker, leg: &mut Leg) -> bool {
    let saying = async {
        let mut is_whole = true;
        while let Some(said) = speech.next().await {
            match said {
                Said::Samples { samples, .. } => speaker.speak(TURN, &samples).await?,
                Said::Failed { error, .. } => {
                    tracing::warn!(%error, "words for a room were not said to their end");
                    is_whole = false;
                }
                Said::Word { .. } | Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
            }
        }
        speaker.mark(TURN, END).await?;
        Ok::<_, Abandoned>(is_whole)
    };
    let Ok(is_whole) = saying.await else { return false };
    until_heard(leg).await;
    is_whole
}
