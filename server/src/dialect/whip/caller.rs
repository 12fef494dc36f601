//! A caller over WebRTC in a room: joins when it is connected, reads the room's events, obeys its commands.
//!
//! One task a caller. Events go over the data channel as the same JSON objects as on the WebSocket, at the
//! caller's pace: the log is read by cursor, so a partial that newer words have replaced is never sent, and a
//! caller so slow that the log has moved on is told the number to resume from. What it sends is a few commands.

use axum::response::Response;
use bot::{
    actor::{Follower, RoomHandle},
    participant::{Change, Kind},
};
use media::webrtc::{Sound, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::Wishes;
use crate::{
    app::App,
    call::{self, Call, Wish, Words},
    error::ApiError,
    webrtc::{Entry, Session},
};

/// How somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To speak, and to listen where the offer says so.
    Whip,
    /// To listen.
    Whep,
}

/// What a caller may send over the data channel.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// Nobody is to hear me, or everybody again.
    Mute { is_muted: bool },
    /// Whether I agree to be recorded.
    Consent { consent: bool },
    /// I want the words of what I have said so far.
    Finalize,
}

/// Answers a caller of the room that is `named`, and starts its task.
///
/// # Errors
/// What HTTP says: the room, a place, the offer.
pub(super) async fn begin(
    app: &App,
    named: &str,
    way: Way,
    wishes: Wishes,
    offer: media::webrtc::offer::Offer,
) -> Result<Response, ApiError> {
    let language = call::language(app, wishes.language.as_deref())?;
    let speaks = way == Way::Whip && offer.audio.direction.is_sending();
    let words = if speaks { Words::Wanted } else { Words::NotWanted };
    if speaks && app.ears().is_ok() {
        // Joined only when it is connected; a place that is missing now is better told now.
        drop(app.admission().stream()?);
    }
    let room = super::room(app, named)?;
    let (leg, outgoing) = super::leg(offer.audio, *room.epoch())?;
    let is_listening = offer.audio.direction.is_receiving();
    let has_channel = offer.has_channel;
    let sound = Sound { incoming: leg.packets, outgoing: is_listening.then_some(outgoing) };
    let endpoint = format!("/{}/{named}", if way == Way::Whip { "whip" } else { "whep" });
    let (entry, said, response) = super::answer(app, endpoint, offer, sound).await?;
    let wish = Wish {
        name: wishes.name.unwrap_or_default(),
        kind: Kind::Webrtc,
        consent: wishes.consent,
        hints: asr::recognizer::Hints { language, ..asr::recognizer::Hints::default() },
        endpointing_ms: call::ENDPOINTING_MS,
        words,
        source: speaks.then(|| Box::new(leg.receive) as _),
        sink: is_listening.then(|| Box::new(leg.send) as _),
        key_ticks_hz: KEY_TICKS_HZ,
        suppress_noise: wishes.suppress_noise.unwrap_or(false),
        hears_itself: false,
        diarize: wishes.diarize.unwrap_or(false),
    };
    let events = has_channel.then(|| room.follow(Some(room.read(bot::room::Room::last_seq))));
    tokio::spawn(carry(app.clone(), room, entry, said, wish, events));
    Ok(response)
}

/// From the answer to the end.
async fn carry(
    app: App,
    room: RoomHandle,
    entry: Entry,
    said: mpsc::Receiver<String>,
    wish: Wish,
    events: Option<Follower>,
) {
    let session = entry.session.clone();
    let mut state = session.peer.state();
    // An error means that the peer's task is gone, which its last state says too.
    let _ = state.wait_for(|state| *state != State::Connecting).await;
    if state.borrow().is_over() {
        tracing::info!(state = ?*state.borrow(), "a caller over WebRTC never came");
        return;
    }
    let mut call = match call::join(&app, &room, wish).await {
        Ok(call) => call,
        Err(error) => {
            tracing::info!(%error, "a caller over WebRTC was not let in");
            refuse(&session, &error).await;
            return;
        }
    };
    tracing::info!(room = %room.id(), participant = %call.participant(), "a caller over WebRTC joined");
    let ended = call.ended();
    let why = tokio::select! {
        // A leg whose room closes has nothing more to say either; why comes first.
        biased;
        // Cancel-safe all: whatever is not done when the call ends need not be done any more.
        why = ended => Some(why),
        _ = state.wait_for(|state| state.is_over()) => None,
        () = converse(&session, &room, &mut call, said, events) => None,
    };
    let participant = call.participant();
    call.hung_up().await;
    if let Some(why) = why {
        let farewell = json!({"type": "ended", "why": format!("{why:?}")}).to_string();
        say_goodbye(&session, farewell).await;
    }
    // Over already where the caller went by itself.
    session.peer.close();
    let _ = state.wait_for(|state| state.is_over()).await;
    tracing::info!(room = %room.id(), %participant, ?why, state = ?*state.borrow(), "a caller over WebRTC left");
}

/// Tells a caller why it is not let in, and says goodbye.
async fn refuse(session: &Session, error: &ApiError) {
    let refusal = json!({"type": "error", "code": error.code, "message": error.message}).to_string();
    say_goodbye(session, refusal).await;
    session.peer.close();
    let _ = session.peer.state().wait_for(|state| state.is_over()).await;
}

/// Tells a caller the last thing, and gives it a moment to read it and to go by itself: what a connection
/// that is closed had not sent yet is lost, and a caller who was sent out would come back.
async fn say_goodbye(session: &Session, words: String) {
    let mut state = session.peer.state();
    let told = async {
        if session.peer.tell(words).await.is_ok() {
            let _ = state.wait_for(|state| state.is_over()).await;
        }
    };
    // Whoever has no channel, or does not read it, is not waited for.
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

/// Events out, commands in, until the connection is over.
async fn converse(
    session: &Session,
    room: &RoomHandle,
    call: &mut Call,
    mut said: mpsc::Receiver<String>,
    events: Option<Follower>,
) {
    let ready = json!({
        "type": "ready",
        "room": room.id(),
        "participant": call.participant(),
        "is_transcribed": call.is_transcribed(),
    });
    let participant = call.participant();
    let tell = async {
        match events {
            Some(events) => tell_events(session, ready.to_string(), events).await,
            None => std::future::pending().await,
        }
    };
    let listen = async {
        loop {
            tokio::select! {
                text = said.recv() => {
                    let Some(text) = text else { return };
                    let answer = match serde_json::from_str(&text) {
                        Ok(Command::Mute { is_muted }) => {
                            change(room, participant, Change { is_muted: Some(is_muted), consent: None }).await
                        }
                        Ok(Command::Consent { consent }) => {
                            change(room, participant, Change { is_muted: None, consent: Some(consent) }).await
                        }
                        Ok(Command::Finalize) => {
                            call.finalize();
                            None
                        }
                        Err(error) => Some(("bad_command", error.to_string())),
                    };
                    if let Some((code, message)) = answer {
                        let answer = json!({"type": "error", "code": code, "message": message}).to_string();
                        if session.peer.tell(answer).await.is_err() {
                            return;
                        }
                    }
                }
                // Nothing that a leg reports is for a browser; taken so that it does not pile up.
                event = call.next() => if event.is_none() {
                    return;
                },
            }
        }
    };
    tokio::select! {
        () = tell => {}
        () = listen => {}
    }
}

async fn change(
    room: &RoomHandle,
    participant: media::id::ParticipantId,
    change: Change,
) -> Option<(&'static str, String)> {
    room.update(participant, change).await.err().map(|error| ("not_changed", error.to_string()))
}

/// Tells everything that happens; returns when the connection is over.
async fn tell_events(session: &Session, ready: String, mut events: Follower) {
    if session.peer.tell(ready).await.is_err() {
        return;
    }
    loop {
        match events.next(BATCH_MAX).await {
            // The room is closed, which ends the call elsewhere.
            Ok(batch) if batch.is_empty() => return std::future::pending().await,
            Ok(batch) => {
                for event in batch {
                    if session.peer.tell(to_json(&*event)).await.is_err() {
                        return;
                    }
                }
            }
            Err(fell_off) => {
                let resume = json!({"type": "resume", "since": fell_off.resume}).to_string();
                if session.peer.tell(resume).await.is_err() {
                    return;
                }
                return std::future::pending().await;
            }
        }
    }
}

fn to_json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("an event holds only strings, numbers and lists of them")
}

/// Events taken from the log at a time: few in hand, since what is in hand is never replaced by newer words.
const BATCH_MAX: usize = 8;

/// The RTP clock of Opus, which keys are timed by.
const KEY_TICKS_HZ: u32 = 48_000;

/// How long a goodbye may take to be sent and read.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);
