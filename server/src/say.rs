//! Words that are said to a room because somebody asked for it: through a leg of their own, then they are gone.
//!
//! One task each. What is asked for while something is being said is said at once, over it: whoever wants one after the
//! other waits for `say.ended`. At most [`SAYS_MAX`] in the server; one more is refused. Where visemes are wanted, the room
//! is told of them as they are heard ([`Lips`]). Crossing: [`AHEAD_PIECES`] of sound wait to be heard, then the voice does.
//! Never real time.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bot::{
    actor::RoomHandle,
    event::{PlayEnd, RoomEvent},
};
use media::{
    bridge::{Leg, LegEvent, Plan},
    frame::MOUTH_HZ,
    graph::node::Event,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tts::{
    utterance::Utterance,
    viseme::Shape,
    voice::{Language, choose},
    worker::{Refused, Said, Speech},
};

use crate::{
    agent::STEP_SAMPLES,
    app::App,
    error::ApiError,
    lips::Lips,
    play::{END, MARK_WITHIN},
    speaker::{Abandoned, Pace, Speaker},
};

/// As many as files that are played.
const SAYS_MAX: usize = 32;

/// Pieces of a tenth of a second that are read ahead, as an agent's mouth does.
const AHEAD_PIECES: usize = 100;

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
        said = speak(speech, speaker, &mut leg, (&room, &say)) => if said { PlayEnd::Finished } else { PlayEnd::Failed },
        () = room.closed() => PlayEnd::Stopped,
        () = app.shutdown().cancelled() => PlayEnd::Stopped,
    };
    drop((leg, place));
    // A room that is closed has nobody to tell.
    let _ = room.publish(RoomEvent::SayEnded { say, why }).await;
}

/// Says it, and waits until it was heard; false where the voice failed or nobody hears it.
async fn speak(speech: Speech, speaker: Speaker, leg: &mut Leg, (room, say): (&RoomHandle, &Arc<str>)) -> bool {
    let lips = Mutex::<Lips>::default();
    let (ahead, pieces) = mpsc::channel(AHEAD_PIECES);
    let saying = async {
        let (is_whole, written) = tokio::join!(read(speech, ahead, &lips), write(pieces, speaker));
        written.map(|()| is_whole)
    };
    let hearing = async {
        while let Some(event) = leg.events.recv().await {
            let LegEvent::Source { at, event: Event::MarkPlayed(mark) } = event else { continue };
            let Some(samples) = mark.checked_sub(BEGIN) else { break };
            let motion = lock(&lips).heard(at, samples);
            if let Some(motion) = motion {
                // A room that is closed has nobody to tell.
                let _ = room.publish(motion.of_say(say.clone())).await;
            }
        }
    };
    let mut hearing = pin!(hearing);
    let is_whole = tokio::select! {
        biased;
        said = saying => match said {
            Ok(is_whole) => is_whole,
            Err(Abandoned) => return false,
        },
        // The leg is gone.
        () = &mut hearing => return false,
    };
    // A mark that was dropped on its way is as good as played by then.
    let _ = timeout(MARK_WITHIN, hearing).await;
    is_whole
}

/// Reads what the voice makes, ahead of what is heard: what the mouth does is told behind the sound of a sentence. False
/// where it failed.
async fn read(mut speech: Speech, ahead: mpsc::Sender<Vec<f32>>, lips: &Mutex<Lips>) -> bool {
    let mut is_whole = true;
    while let Some(said) = speech.next().await {
        match said {
            Said::Samples { samples, .. } => {
                if ahead.send(samples).await.is_err() {
                    return false;
                }
            }
            Said::Viseme { viseme, at_sample, samples, .. } => {
                lock(lips).shape(Shape { viseme, at_sample, samples });
            }
            Said::Failed { error, .. } => {
                tracing::warn!(%error, "words for a room were not said to their end");
                is_whole = false;
            }
            Said::Word { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
        }
    }
    is_whole
}

/// Writes it into the leg, with marks that tell how far it was heard.
async fn write(mut pieces: mpsc::Receiver<Vec<f32>>, mut speaker: Speaker) -> Result<(), Abandoned> {
    let mut written = 0;
    while let Some(piece) = pieces.recv().await {
        if written == 0 {
            speaker.mark(TURN, BEGIN).await?;
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let room = (STEP_SAMPLES - written % STEP_SAMPLES) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            speaker.speak(TURN, now).await?;
            written += now.len() as u64;
            rest = later;
            if written % STEP_SAMPLES == 0 {
                speaker.mark(TURN, BEGIN + written).await?;
            }
        }
    }
    speaker.mark(TURN, END).await
}

/// Locks, also after a panic elsewhere: every change of the lips is complete before it can panic.
fn lock(lips: &Mutex<Lips>) -> MutexGuard<'_, Lips> {
    lips.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The mark before the first sample; those behind others count on from it by samples, and [`END`] lies below.
const BEGIN: u64 = END + 1;
