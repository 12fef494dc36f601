//! An agent on the telephone: takes the call, lets the two talk in a room of their own, and does what the agent wants of
//! the line.
//!
//! One task a call, beside the conversation's own. A transfer is a call that we make, by the same rules as any other,
//! while the caller hears ringing; when somebody takes it the agent leaves, and the two are kept together. Nothing here
//! is real time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use asr::recognizer::Hints;
use bot::{
    actor::RoomHandle,
    agent::Input,
    ivr::{effect::SoundId, key::Tone},
    participant::Kind,
    persona::Persona,
    room::Room,
};
use media::id::ParticipantId;
use sip::message::Headers;
use tokio::sync::mpsc;

use super::{
    Phones,
    call::{News, Part, Phone},
    incoming::{part, refuse},
    menu::{self, Voice, press, ringing, tone},
    outgoing::{self, Dial, Held},
    together,
};
use crate::{
    agent::{self, Reins, Seated, Wish, With},
    app::App,
    error::ApiError,
    recording,
};

/// How long somebody rings to whom a caller is transferred.
const RING_FOR: Duration = Duration::from_secs(40);

/// Hops of a call that a transfer makes.
const MAX_FORWARDS: u8 = 30;

/// Answers a call that came in.
pub(super) async fn answer(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    persona: Option<&str>,
) {
    let room = match app.open_room("") {
        Ok(room) => room,
        Err(error) => return refuse(phone, &error).await,
    };
    // The agent is there before its caller, so that nobody waits for a greeting.
    match agent::take_seat(app, &room, persona).await {
        Ok(seated) => {
            if phone.answer().await.is_ok() {
                talk(app, phones, phone, news, seated).await;
            }
        }
        Err(error) => refuse(phone, &error).await,
    }
    // The room is told how its recording ended before it is closed.
    recording::end_with(app, room.id()).await;
    room.close().await;
}

/// Lets an agent talk with a call that is taken, until it is over or somebody else goes on with it.
pub(super) async fn talk(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    mut news: mpsc::Receiver<News>,
    seated: Seated,
) {
    let room = seated.room().clone();
    let participant = match enter(app, phone, &room, seated.persona()).await {
        Ok(participant) => participant,
        Err(error) => {
            tracing::warn!(call = %phone.sid(), %error, "a caller could not enter the room of their agent");
            return phone.hang_up().await;
        }
    };
    let mut reins = seated.begin(With::One(participant), values(phone));
    loop {
        tokio::select! {
            _ = phone.over() => {
                reins.tell(Input::HungUp).await;
                break;
            }
            wish = reins.next() => match wish {
                Some(Wish::HangUp) => phone.hang_up().await,
                Some(Wish::Press(keys)) => {
                    let tones = Tone::read(&keys).unwrap_or_default();
                    let _ = press(phone.clone(), tones, Some(1)).await;
                }
                Some(Wish::Transfer { to }) => match connect(app, phones, phone, &room, &to, &reins).await {
                    Ok(other) => {
                        reins.tell(Input::HungUp).await;
                        drop(reins);
                        return together::stay(app, phones, (phone.clone(), news), other).await;
                    }
                    // Whoever has hung up meanwhile is nobody to be told.
                    Err(_) if phone.now().is_over() => {}
                    Err(why) => {
                        tracing::info!(call = %phone.sid(), why, "an agent could not transfer its caller");
                        reins.tell(Input::CameBack).await;
                    }
                },
                // Nobody brought tools along.
                Some(Wish::Call { .. } | Wish::Cancel { .. }) => {}
                Some(Wish::Says { .. } | Wish::Tells(_) | Wish::Used(_)) => {}
                // Somebody ended the conversation: to go on with the caller themselves, where they are here.
                None if is_accompanied(&room) => return together::alone(app, phones, phone, news).await,
                None => {
                    phone.hang_up().await;
                    break;
                }
            },
            Some(told) = news.recv() => match told {
                // Whoever talks with an agent has nobody to pass on.
                News::Referred { refer, .. } => phone.answer_refer(refer, 603).await,
                News::LeftRoom => phone.hang_up().await,
            },
        }
    }
    // Until the agent has told the room how it ended.
    while reins.next().await.is_some() {}
}

/// Brings the caller into the room, unless they are there already.
async fn enter(app: &App, phone: &Phone, room: &RoomHandle, persona: &Persona) -> Result<ParticipantId, ApiError> {
    let place = phone.place().borrow().clone().filter(|place| place.room.id() == room.id());
    if let Some(place) = place {
        return Ok(place.participant);
    }
    let part = Part { hints: hints(app, persona), ..part(app, phone) };
    phone.enter(room, part).await
}

/// With a persona of one language nobody is heard in another by mistake.
pub(super) fn hints(app: &App, persona: &Persona) -> Hints {
    let ([language], Ok(ears)) = (&persona.languages[..], app.ears()) else { return Hints::default() };
    menu::hints(&ears.info().languages, Some(language.tag()), &[])
}

/// What the texts of a persona may name of a call.
fn values(phone: &Phone) -> BTreeMap<String, String> {
    let facts = phone.facts();
    let mut values =
        BTreeMap::from([("caller".to_owned(), facts.from.clone()), ("called".to_owned(), facts.to.clone())]);
    if let Some(name) = &facts.from_name {
        values.insert("name".to_owned(), name.clone());
    }
    values
}

/// Whether somebody beside the caller is in the room.
fn is_accompanied(room: &RoomHandle) -> bool {
    room.read(Room::participants).iter().filter(|who| who.kind != Kind::Agent).count() > 1
}

/// Calls somebody for the caller, who hears ringing meanwhile, and brings them into the room; why not, where nobody came.
async fn connect(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    room: &RoomHandle,
    to: &str,
    reins: &Reins,
) -> Result<Held, String> {
    let facts = phone.facts();
    let dial = Dial {
        whom: phones.whom_called(to).map_err(|error| error.to_string())?,
        from: facts.from.clone(),
        from_name: facts.from_name.clone(),
        payer: facts.payer.clone(),
        // The persona names it, which whoever runs this server wrote.
        is_trusted: true,
        parent: Some(facts.sid.clone()),
        told: Some(room.clone()),
        ring_for: RING_FOR,
        credentials: None,
        headers: Headers::new(),
        max_forwards: MAX_FORWARDS,
    };
    // Of several telephones of a user all ring, and the one that is taken first is theirs.
    let mut others = outgoing::dial(app, phones, dial).await.map_err(|error| error.to_string())?;
    // A room without ringing is a room all the same.
    let mut voice = Voice::enter(&app.sound(room)).await.ok();
    if let Some(voice) = &mut voice {
        voice.begin(SoundId(1), |mouth| tone(mouth, ringing(None)));
    }
    let taken = tokio::select! {
        taken = together::first_taken(&others) => taken,
        _ = phone.over() => None,
        // Somebody ended the conversation: nobody is waited for any more.
        () = reins.over() => None,
    };
    drop(voice);
    let winner = taken.map(|at| others.swap_remove(at));
    for (more, _) in others {
        more.hang_up().await;
    }
    let Some((other, news)) = winner else { return Err("nobody took the call".to_owned()) };
    if let Err(error) = other.enter(room, part(app, &other)).await {
        other.hang_up().await;
        return Err(error.to_string());
    }
    Ok((other, news))
}
