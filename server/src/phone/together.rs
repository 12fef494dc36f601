//! Calls that are on: one alone in a room, or two together, until somebody goes; and transfers between them.
//!
//! A party that asks for a transfer (REFER) is passed on by us: whoever it names is called, by the same rules as
//! anybody else that it might call, joins the room, and the asking party is told how it went and let go. An attended
//! transfer names a call that whoever asks has with somebody; when that is one with us, the new call comes back to
//! this very server and takes its place.

use std::{sync::Arc, time::Duration};

use bot::actor::RoomHandle;
use sip::{
    endpoint::ReferId,
    message::{Headers, NameAddr},
};
use tokio::sync::mpsc;

use super::{
    Phones,
    call::{News, Over, Phone, Refusal, State},
    consent::{self, Asking},
    incoming::{part, retry_after},
    outgoing::{self, Dial, Held},
};
use crate::{app::App, recording};

/// How long somebody rings to whom a call is transferred.
const RING_FOR: Duration = Duration::from_secs(60);

/// Hops of a call that a transfer makes.
const MAX_FORWARDS: u8 = 30;

/// Keeps a call that is in a room until it is over, passing it on where it asks for that.
pub(super) async fn alone(app: &App, phones: &Arc<Phones>, phone: &Phone, mut news: mpsc::Receiver<News>) {
    loop {
        tokio::select! {
            _ = phone.over() => return,
            told = news.recv() => match told {
                Some(News::Referred { refer, to, replaces, referred_by }) => {
                    let asked = Asked { refer, to, replaces, referred_by };
                    transfer(app, phones, phone, asked).await;
                }
                Some(News::LeftRoom) => phone.hang_up().await,
                None => {
                    phone.over().await;
                    return;
                }
            },
        }
    }
}

/// Keeps a call that came back to us from ourselves (see [`FOR_CALL`]), until it is over or nobody is left whom the two
/// ends of it connect.
pub(super) async fn alone_with(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    other_end: &Phone,
) {
    let deserted = async {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        // The first comes at once, when the other end may not have entered its room.
        looks.tick().await;
        loop {
            looks.tick().await;
            if is_deserted(phone) && is_deserted(other_end) {
                return;
            }
        }
    };
    tokio::select! {
        () = alone(app, phones, phone, news) => {}
        () = deserted => {
            tracing::info!(call = %phone.sid(), "a call between two of our rooms is ended: nobody else is there");
            phone.hang_up().await;
        }
    }
}

/// Whether nobody else is where the call is.
fn is_deserted(phone: &Phone) -> bool {
    phone.place().borrow().as_ref().is_none_or(|place| place.room.read(|room| room.participants().len() <= 1))
}

/// Calls somebody for a call that waits, and puts the two together in `room` until one of them goes; where they are to be
/// recorded they are asked.
pub(super) async fn pass_on(
    app: &App,
    phones: &Arc<Phones>,
    held: Held,
    dial: Dial,
    room: &RoomHandle,
    asking: Option<Asking>,
) {
    let (phone, news) = held;
    match outgoing::dial(app, phones, dial).await {
        Ok(others) => {
            if let Some(other) = until_taken(app, &phone, others, room).await {
                if let Some(asking) = asking {
                    consent::ask(app, room, &[phone.clone(), other.0.clone()], asking);
                }
                stay(app, phones, (phone, news), other).await;
            }
        }
        Err(error) => {
            tracing::info!(call = %phone.sid(), %error, "a call was not passed on");
            let headers = error.retry_after_s().map(retry_after).unwrap_or_default();
            phone.reject(error.status(), headers).await;
        }
    }
    // The room is told how its recording ended before it is closed.
    recording::end_with(app, room.id()).await;
    room.close().await;
}

/// Lets the caller hear how it goes until somebody takes the call and both are in the room; `None` when it came to
/// nothing, and the caller was told.
async fn until_taken(app: &App, phone: &Phone, mut others: Vec<Held>, room: &RoomHandle) -> Option<Held> {
    let taken = until_answered(app, phone, &others, room).await;
    let winner = taken.map(|at| others.swap_remove(at));
    for (other, _) in others {
        other.hang_up().await;
    }
    let (other, other_news) = winner?;
    if phone.answer().await.is_err() {
        other.hang_up().await;
        return None;
    }
    for one in [&other, phone] {
        let is_in = one.place().borrow().as_ref().is_some_and(|place| place.room.id() == room.id());
        if is_in {
            continue;
        }
        if let Err(error) = one.enter(room, part(app, one)).await {
            tracing::warn!(call = %one.sid(), %error, "two calls could not be put together");
            phone.hang_up().await;
            other.hang_up().await;
            return None;
        }
    }
    Some((other, other_news))
}

/// Which of those who are called took it first; the caller hears ringing, or what the far side plays.
async fn until_answered(app: &App, phone: &Phone, others: &[Held], room: &RoomHandle) -> Option<usize> {
    let mut states: Vec<_> = others.iter().map(|(other, _)| other.state()).collect();
    let (mut rings, mut sounds) = (false, false);
    loop {
        let now: Vec<_> = states.iter_mut().map(|state| state.borrow_and_update().clone()).collect();
        if let Some(at) = now.iter().position(State::is_answered) {
            return Some(at);
        }
        if now.iter().all(State::is_over) {
            let Refusal { status, retry_after_s } = nearest(&now);
            phone.reject(status, retry_after_s.map(retry_after).unwrap_or_default()).await;
            return None;
        }
        // What one far side plays is heard before anybody answers: announcements, its own ringing. Of several, none.
        if let ([State::Early], false) = (&now[..], sounds) {
            sounds = true;
            let (other, _) = &others[0];
            let is_heard = phone.ring_early().await
                && other.enter(room, part(app, other)).await.is_ok()
                && phone.enter(room, part(app, phone)).await.is_ok();
            if !is_heard {
                phone.ring().await;
            }
        } else if now.iter().any(|state| matches!(state, State::Ringing | State::Early)) && !rings && !sounds {
            rings = true;
            phone.ring().await;
        }
        let waiting = states.iter_mut().zip(&now).filter(|(_, now)| !now.is_over());
        let changed = futures_util::future::select_all(waiting.map(|(state, _)| Box::pin(state.changed())));
        tokio::select! {
            _ = changed => {}
            _ = phone.over() => return None,
        }
    }
}

/// Which of those who are called took it first; `None` when none of them will any more. Cancel-safe.
pub(super) async fn first_taken(others: &[Held]) -> Option<usize> {
    let mut states: Vec<_> = others.iter().map(|(other, _)| other.state()).collect();
    loop {
        let now: Vec<_> = states.iter_mut().map(|state| state.borrow_and_update().clone()).collect();
        if let Some(at) = now.iter().position(State::is_answered) {
            return Some(at);
        }
        let waiting: Vec<_> = states.iter_mut().zip(&now).filter(|(_, now)| !now.is_over()).collect();
        if waiting.is_empty() {
            return None;
        }
        let _ = futures_util::future::select_all(waiting.into_iter().map(|(state, _)| Box::pin(state.changed()))).await;
    }
}

/// What those say who were called and did not take the call: of several, the nearest to a person.
fn nearest(over: &[State]) -> Refusal {
    let reasons = over.iter().filter_map(|state| match state {
        State::Ended { why, refusal, .. } => Some((*why, refused(*why, *refusal))),
        _ => None,
    });
    // Busy before nobody there, before no such number.
    let nearest = reasons.max_by_key(|(why, _)| match why {
        Over::Busy => 2,
        Over::Failed => 0,
        _ => 1,
    });
    nearest.map_or(Refusal { status: UNAVAILABLE, retry_after_s: None }, |(_, refusal)| refusal)
}

/// What whoever waits for a call is told when it came to nothing: what the far side said, where that means anything to
/// somebody else.
fn refused(why: Over, refusal: Option<Refusal>) -> Refusal {
    let plain = |status| Refusal { status, retry_after_s: None };
    match (why, refusal) {
        // That we could not prove who we are is no fault of whoever calls.
        (_, Some(Refusal { status: 401 | 407, .. })) => plain(500),
        // Nobody is there whom we could go on to, or they gave up with us.
        (_, Some(Refusal { status: ..=399 | 408 | 487, .. })) => plain(UNAVAILABLE),
        (_, Some(refusal)) => refusal,
        (Over::Busy, None) => plain(486),
        (Over::Failed, None) => plain(404),
        (Over::NoAnswer | Over::Them | Over::Us | Over::Cancelled | Over::Lost | Over::Replaced, None) => {
            plain(UNAVAILABLE)
        }
    }
}

/// Keeps two calls together until one of them goes; whoever is transferred to takes the place of the one who asked.
pub(super) async fn stay(app: &App, phones: &Arc<Phones>, one: Held, other: Held) {
    let mut pair = [one, other];
    loop {
        let [(one, one_news), (other, other_news)] = &mut pair;
        let (at, told) = tokio::select! {
            _ = one.over() => (0, None),
            _ = other.over() => (1, None),
            Some(told) = one_news.recv() => (0, Some(told)),
            Some(told) = other_news.recv() => (1, Some(told)),
        };
        match told {
            None => {
                pair[1 - at].0.hang_up().await;
                return;
            }
            Some(News::Referred { refer, to, replaces, referred_by }) => {
                let asked = Asked { refer, to, replaces, referred_by };
                if let Some(third) = transfer(app, phones, &pair[at].0, asked).await {
                    // Whoever asked hangs up when it is told; if it does not, we do.
                    let asker = std::mem::replace(&mut pair[at], third).0;
                    tokio::spawn(async move {
                        if tokio::time::timeout(FAREWELL, asker.over()).await.is_err() {
                            asker.hang_up().await;
                        }
                    });
                }
            }
            Some(News::LeftRoom) => {
                pair[at].0.hang_up().await;
            }
        }
    }
}

/// A transfer that somebody asks for.
struct Asked {
    refer: ReferId,
    to: NameAddr,
    replaces: Option<String>,
    referred_by: Option<String>,
}

/// Calls whom `phone` names, and brings them into its room; `None` when that came to nothing, and it was told.
async fn transfer(app: &App, phones: &Arc<Phones>, phone: &Phone, asked: Asked) -> Option<Held> {
    let Asked { refer, to, replaces, referred_by } = asked;
    let Some(place) = phone.place().borrow().clone() else {
        phone.answer_refer(refer, 603).await;
        return None;
    };
    let mut headers = Headers::new();
    let is_attended = replaces.is_some();
    let facts = phone.facts();
    let is_ours = is_attended && phones.is_here(&to.uri);
    if let Some(replaces) = replaces {
        headers.push("Replaces", replaces);
    }
    if is_ours {
        headers.push(FOR_CALL, facts.sid.to_string());
    }
    if let Some(referred_by) = referred_by {
        headers.push("Referred-By", referred_by);
    }
    let dial = Dial {
        whom: phones.whom(&to.uri),
        from: facts.from.clone(),
        from_name: facts.from_name.clone(),
        payer: facts.payer.clone(),
        // A call of ours that it is to take the place of is no way into anybody's network.
        is_trusted: is_ours,
        parent: Some(facts.sid.clone()),
        told: Some(place.room.clone()),
        ring_for: RING_FOR,
        credentials: None,
        headers,
        max_forwards: MAX_FORWARDS,
    };
    let dialled = outgoing::dial(app, phones, dial).await.map(|mut dialled| dialled.swap_remove(0));
    let (third, news) = match dialled {
        Ok(dialled) => dialled,
        Err(error) => {
            tracing::info!(call = %phone.sid(), %error, "a transfer was refused");
            phone.answer_refer(refer, if error.status() == 403 { 603 } else { error.status() }).await;
            return None;
        }
    };
    phone.answer_refer(refer, 202).await;
    let mut state = third.state();
    let mut has_rung = false;
    loop {
        let now = state.borrow_and_update().clone();
        match now {
            State::Dialling => {}
            State::Ringing | State::Early => {
                if !std::mem::replace(&mut has_rung, true) {
                    phone.notify_refer(refer, 180).await;
                }
            }
            State::Answered { .. } => break,
            State::Ended { why, refusal, .. } => {
                phone.notify_refer(refer, refused(why, refusal).status).await;
                return None;
            }
        }
        if state.changed().await.is_err() {
            return None;
        }
    }
    if let Err(error) = third.enter(&place.room, part(app, &third)).await {
        tracing::warn!(call = %third.sid(), %error, "somebody who was transferred to could not join");
        third.hang_up().await;
        phone.notify_refer(refer, 500).await;
        return None;
    }
    phone.notify_refer(refer, 200).await;
    Some((third, news))
}

/// Names the call whose transfer leads back to this server, so that the two ends of the new call know each other. Both
/// are ours, and neither would ever hang up on the other.
pub(super) const FOR_CALL: &str = "X-Harmony-For-Call";

/// How often both ends of such a call are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long whoever asked for a transfer may take to hang up once it is done.
const FAREWELL: Duration = Duration::from_secs(5);

/// Temporarily Unavailable.
const UNAVAILABLE: u16 = 480;

#[cfg(test)]
mod tests {
    use super::*;

    fn over(why: Over, status: u16) -> State {
        let refusal = (status != 0).then_some(Refusal { status, retry_after_s: (status == 503).then_some(7) });
        State::Ended { why, answered: None, at: std::time::SystemTime::UNIX_EPOCH, refusal }
    }

    #[test]
    fn a_caller_is_told_what_the_far_side_said_where_it_means_anything_to_them() {
        for (why, said, told) in [
            (Over::Busy, 486, 486),
            (Over::Busy, 603, 603),
            (Over::Failed, 404, 404),
            (Over::Failed, 488, 488),
            (Over::Failed, 503, 503),
            (Over::Failed, 407, 500),
            (Over::Failed, 302, 480),
            (Over::NoAnswer, 408, 480),
            (Over::NoAnswer, 0, 480),
            (Over::Failed, 0, 404),
        ] {
            assert_eq!(nearest(&[over(why, said)]).status, told, "{why:?} {said}");
        }
        assert_eq!(nearest(&[over(Over::Failed, 503)]).retry_after_s, Some(7));
    }

    #[test]
    fn of_several_telephones_the_nearest_to_a_person_says_why() {
        let (busy, away, full) = (over(Over::Busy, 486), over(Over::NoAnswer, 480), over(Over::Failed, 503));
        assert_eq!(nearest(&[full.clone(), busy, away.clone()]).status, 486);
        assert_eq!(nearest(&[full, away]).status, 480);
    }
}
