//! Calls that come: who calls whom, whether they may, and what answers.
//!
//! One task a call. [`bot::routing`] decides; here its decision is carried out. Whoever is unknown and whoever is
//! refused hears the same, and is counted, so that scanners fall silent by themselves.

use std::sync::Arc;

use asr::recognizer::Hints;
use bot::{
    actor::RoomHandle,
    event::Direction,
    routing::{Ask, Caller, Decision, Destination, Party, guard::Outcome},
};
use sip::{
    auth::{Checked, Unproven},
    endpoint::CallId,
    message::{Headers, NameAddr},
    transport::Source,
};
use tokio::sync::mpsc;

use super::{
    Phones,
    call::{self, Beginning, Facts, News, Part, Phone},
    consent::{self, Asking},
    exchange::Incoming,
    line::{Line, local_ip},
    outgoing::{Dial, Whom},
    sid::{Sid, SidKind},
    together,
};
use crate::{
    app::App,
    call::{ENDPOINTING_MS, Words},
    error::ApiError,
};

/// How long somebody rings who is called because a number leads there.
const RING_FOR: std::time::Duration = std::time::Duration::from_secs(120);

/// Takes calls as they come, until the exchange is gone.
pub(super) async fn take(app: App, phones: Arc<Phones>, mut incoming: mpsc::Receiver<Incoming>) {
    while let Some(call) = incoming.recv().await {
        tokio::spawn(answer(app.clone(), phones.clone(), call));
    }
}

/// A call that may come in.
struct Admitted {
    destination: Destination,
    /// How they are asked, where the call is to be recorded.
    asks: Option<Ask>,
    /// Whether several people may be on the caller's line.
    diarize: bool,
    caller: Who,
    called: Party,
}

/// Who calls.
struct Who {
    /// A number, or the user of an address.
    from: String,
    name: Option<String>,
    /// Who is counted for what it costs.
    payer: String,
    trunk: Option<String>,
}

async fn answer(app: App, phones: Arc<Phones>, incoming: Incoming) {
    let Incoming { dialog, request, source, offer, replaces, .. } = incoming;
    let reject = |status: u16, headers: Headers| {
        let command = sip::endpoint::Command::Reject { status, headers };
        async { dialog.tell(command).await }
    };
    let address = source.remote.ip();
    if app.admission().is_draining() {
        return reject(503, retry_after(5)).await;
    }
    let Ok(from) = request.headers.from() else { return reject(400, Headers::new()).await };
    let now = app.clock().now();
    let judged = judge(&phones, &request, &source, &from, replaces.is_some(), now);
    let Admitted { destination, asks, diarize, caller, called } = match judged {
        Ok(admitted) => admitted,
        Err((status, headers)) => return reject(status, headers).await,
    };
    let here = phones.here();
    let told = local_ip(here, source.remote);
    let trunk = phones.trunks().iter().find(|trunk| Some(&trunk.name) == caller.trunk.as_ref());
    let advertised = phones.advertised_sound().unwrap_or(told);
    // Phones behind a translator say where they believe to be; they are heard where they are, once.
    let line = match Line::open(&phones, advertised, phones.capabilities(trunk), true) {
        Ok(line) => line,
        Err(error) => {
            tracing::warn!(%error, "a call found no port for its sound");
            release(&phones, caller.trunk.as_deref());
            return reject(503, retry_after(5)).await;
        }
    };
    let facts = Facts {
        sid: Sid::fresh(SidKind::Call),
        direction: Direction::Inbound,
        from: caller.from.clone(),
        from_name: caller.name.clone(),
        to: called.best().to_owned(),
        parent: None,
        trunk: caller.trunk.clone(),
        payer: caller.payer.clone(),
        began: app.clock().wall(),
    };
    tracing::info!(call = %facts.sid, source = %address, trunk = facts.trunk.as_deref(), "a telephone call");
    let silence = phones.silence();
    let beginning = Beginning { facts, dialog, line, offer, is_incoming: true, told: None, silence };
    let (phone, news) = call::carry(app.clone(), beginning);
    phones.calls().enter(&phone);
    let max_forwards = request.headers.number("Max-Forwards").ok().flatten().unwrap_or(70).min(70) as u8;
    match replaces {
        Some(replaced) => {
            let from_us = request.headers.first(together::FOR_CALL).and_then(|sid| sid.parse().ok());
            let other_end = from_us.and_then(|sid| phones.calls().made_for(&sid));
            take_the_place(&app, &phones, (&phone, news), replaced, other_end).await;
        }
        None => {
            let asking = asks.map(|asks| Asking::of(&app, &asks));
            let way = Connecting { destination, asking, diarize, max_forwards };
            connect(&app, &phones, &phone, news, way, &caller).await;
        }
    }
    // Whatever happened: what a call holds is free when it is over.
    phone.over().await;
    release(&phones, caller.trunk.as_deref());
}

/// Whether the call may come in, and to whom; the status and headers that refuse it.
fn judge(
    phones: &Phones,
    request: &sip::message::Request,
    source: &Source,
    from: &NameAddr,
    is_replacing: bool,
    now: std::time::Instant,
) -> Result<Admitted, (u16, Headers)> {
    let address = source.remote.ip();
    let certified = phones.certified(source).map(|trunk| trunk.name.clone());
    // Counted is who may be somebody else: who shows a certificate is not.
    let is_counted = certified.is_none();
    let mut desk = phones.desk();
    let trunk = certified.or_else(|| desk.trunks.by_source(address).map(str::to_owned));
    let user = match desk.check(request, address, now) {
        Checked::Known { username } => Some(username),
        Checked::Unknown { why: Unproven::Missing, .. } => None,
        // A proof that fails is asked for again, whatever was called.
        Checked::Unknown { is_stale, .. } => return Err((401, desk.challenge(request, address, now, is_stale))),
    };
    let refused = |desk: &mut super::desk::Desk, status: u16| {
        if is_counted {
            desk.guard.note(address, Outcome::Refused, now);
        }
        (status, Headers::new())
    };
    let Ok(called) = Party::read(&request.uri.to_string(), phones.numbering()) else {
        return Err(refused(&mut desk, 404));
    };
    let caller = Caller { address, trunk: trunk.as_deref(), user: user.as_deref() };
    let asks = phones.table().asks(&called, &caller);
    let diarize = phones.table().diarizes(&called, &caller);
    let destination = match phones.table().route(&called, &caller) {
        Decision::Connect(Destination::Reject(status)) => return Err((status, Headers::new())),
        Decision::Connect(destination) => destination,
        Decision::Challenge => return Err((401, desk.challenge(request, address, now, false))),
        // Whoever takes the place of a call knows its names, which nobody guesses.
        Decision::Refuse(_) if is_replacing => Destination::Ring,
        Decision::Refuse(status) => return Err(refused(&mut desk, status)),
    };
    if is_counted {
        desk.guard.note(address, Outcome::Served, now);
    }
    if let Some(trunk) = &trunk
        && let Err(busy) = desk.trunks.admit(trunk, now)
    {
        tracing::warn!(trunk, %busy, "a call by a trunk was refused");
        return Err((503, retry_after(1)));
    }
    let read = Party::read(&from.uri.to_string(), phones.numbering());
    let number = read.map(|party| party.best().to_owned()).unwrap_or_default();
    let payer = match (&user, &trunk) {
        (Some(user), _) => format!("user:{user}"),
        (None, Some(trunk)) => format!("trunk:{trunk}"),
        (None, None) => format!("address:{address}"),
    };
    let name = from.display.clone().filter(|name| !name.trim().is_empty());
    Ok(Admitted { destination, asks, diarize, caller: Who { from: number, name, payer, trunk }, called })
}

fn release(phones: &Phones, trunk: Option<&str>) {
    if let Some(trunk) = trunk {
        phones.desk().trunks.release(trunk);
    }
}

/// What was decided about a call.
struct Connecting {
    destination: Destination,
    asking: Option<Asking>,
    /// Whether several people may be on the caller's line.
    diarize: bool,
    max_forwards: u8,
}

/// Whom a call is passed on to.
struct Passing {
    whom: Whom,
    asking: Option<Asking>,
    max_forwards: u8,
}

/// A room for a call; where the call is to be recorded, everybody in it must agree.
fn room_of(app: &App, asking: Option<&Asking>) -> Result<RoomHandle, ApiError> {
    let settings = asking.map(|_| Asking::room()).unwrap_or_default();
    app.open_room_with("", settings)
}

/// Carries a decision out; returns when nothing is left to do but to wait for the end.
async fn connect(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    way: Connecting,
    caller: &Who,
) {
    let Connecting { destination, asking, diarize, max_forwards } = way;
    match destination {
        Destination::Echo => {
            if phone.answer().await.is_ok()
                && let Err(error) = phone.echo().await
            {
                tracing::warn!(call = %phone.sid(), %error, "an echo could not begin");
                phone.hang_up().await;
            }
        }
        Destination::Ring => phone.ring().await,
        Destination::Scribe => scribe(app, phones, phone, news, asking, diarize).await,
        Destination::Conference(name) => conference(app, phones, phone, news, &name, diarize).await,
        Destination::Ivr(ivr) => super::menu::answer(app, phones, phone, news, &ivr).await,
        Destination::Agent(persona) => super::agent::answer(app, phones, phone, news, persona.as_deref()).await,
        Destination::User(user) => {
            let whom = Whom::User(user);
            pass_on(app, phones, phone, news, Passing { whom, asking, max_forwards }, caller).await;
        }
        Destination::Trunk { trunk, number } => {
            let dialled = phone.facts().to.clone();
            let whom = Whom::Trunk { trunk, number, dialled };
            pass_on(app, phones, phone, news, Passing { whom, asking, max_forwards }, caller).await;
        }
        Destination::Reject(status) => phone.reject(status, Headers::new()).await,
    }
}

/// Listens, and writes down what is said.
async fn scribe(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    asking: Option<Asking>,
    diarize: bool,
) {
    let room = match room_of(app, asking.as_ref()) {
        Ok(room) => room,
        Err(error) => return refuse(phone, &error).await,
    };
    if phone.answer().await.is_err() {
        return room.close().await;
    }
    if let Err(error) = phone.enter(&room, Part { diarize, ..part(app, phone) }).await {
        tracing::warn!(call = %phone.sid(), %error, "a call could not be listened to");
        phone.hang_up().await;
    }
    if let Some(asking) = asking {
        consent::ask(app, &room, std::slice::from_ref(phone), asking);
    }
    together::alone(app, phones, phone, news).await;
}

async fn conference(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    name: &str,
    diarize: bool,
) {
    let room = match app.room_called(name) {
        Ok(room) => room,
        Err(error) => return refuse(phone, &error).await,
    };
    if phone.answer().await.is_err() {
        return;
    }
    if let Err(error) = phone.enter(&room, Part { diarize, ..part(app, phone) }).await {
        tracing::warn!(call = %phone.sid(), %error, "a call could not join its conference");
        phone.hang_up().await;
    }
    together::alone(app, phones, phone, news).await;
}

/// Calls somebody else and puts the two together.
async fn pass_on(
    app: &App,
    phones: &Arc<Phones>,
    phone: &Phone,
    news: mpsc::Receiver<News>,
    passing: Passing,
    caller: &Who,
) {
    let Passing { whom, asking, max_forwards } = passing;
    let Some(max_forwards) = max_forwards.checked_sub(1).filter(|left| *left > 0) else {
        return phone.reject(483, Headers::new()).await;
    };
    let room = match room_of(app, asking.as_ref()) {
        Ok(room) => room,
        Err(error) => return refuse(phone, &error).await,
    };
    let dial = Dial {
        whom,
        from: caller.from.clone(),
        from_name: caller.name.clone(),
        payer: caller.payer.clone(),
        is_trusted: true,
        parent: Some(phone.sid().clone()),
        told: Some(room.clone()),
        ring_for: RING_FOR,
        credentials: None,
        headers: Headers::new(),
        max_forwards,
    };
    together::pass_on(app, phones, (phone.clone(), news), dial, &room, asking).await;
}

/// A call that takes the place of another of ours (RFC 3891): it enters the room, and the endpoint ends the other.
async fn take_the_place(
    app: &App,
    phones: &Arc<Phones>,
    (phone, news): (&Phone, mpsc::Receiver<News>),
    replaced: CallId,
    other_end: Option<Phone>,
) {
    let Some(place) = phones.calls().by_dialog(replaced).and_then(|other| other.place().borrow().clone()) else {
        return phone.reject(481, Headers::new()).await;
    };
    if phone.answer().await.is_err() {
        return;
    }
    if let Err(error) = phone.enter(&place.room, part(app, phone)).await {
        tracing::warn!(call = %phone.sid(), %error, "a call could not take the place of another");
        phone.hang_up().await;
    }
    match other_end {
        Some(other_end) => together::alone_with(app, phones, phone, news, &other_end).await,
        None => together::alone(app, phones, phone, news).await,
    }
}

/// How a call takes part when nobody says otherwise: under its name, and its words are wanted.
pub(super) fn part(app: &App, phone: &Phone) -> Part {
    let facts = phone.facts();
    let (number, name) = match facts.direction {
        Direction::Inbound => (&facts.from, facts.from_name.clone()),
        Direction::Outbound => (&facts.to, None),
    };
    let name = name.unwrap_or_else(|| number.clone());
    // A call that finds no place among those who are listened to is still a call.
    let has_place = app.admission().stream().is_ok();
    Part {
        name,
        words: if has_place { Words::Wanted } else { Words::NotWanted },
        hints: Hints::default(),
        endpointing_ms: ENDPOINTING_MS,
        consent: None,
        is_muted: false,
        diarize: false,
    }
}

pub(super) async fn refuse(phone: &Phone, error: &ApiError) {
    tracing::warn!(call = %phone.sid(), %error, "a telephone call was refused");
    phone.reject(503, retry_after(5)).await;
}

pub(super) fn retry_after(seconds: u32) -> Headers {
    let mut headers = Headers::new();
    headers.push("Retry-After", seconds.to_string());
    headers
}
