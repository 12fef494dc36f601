//! Calls that we make: whom they go to, whether they may, and the permit that they hold while they last.
//!
//! What may be dialled is decided by [`bot::routing`], asked through the phone's desk; here a wish becomes an INVITE.
//! Calls through trunks hold a permit and a place on the trunk until they are over. Addresses that somebody else named
//! (a TwiML page, a transfer) are resolved here and refused where they lead into this machine or its networks,
//! unless the configuration allows it.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bot::{
    actor::RoomHandle,
    event::Direction,
    routing::{Party, dialling::PermitId},
};
use sip::{
    endpoint::Invite,
    message::{Headers, NameAddr, Scheme, Uri},
    transport::{Protocol, Target},
};
use tokio::sync::mpsc;

use super::{
    Phones,
    call::{self, Beginning, Facts, News, Phone},
    line::{Line, local_ip},
    sid::{Sid, SidKind},
};
use crate::{
    app::App,
    config::Transport,
    webhook::address::{Scope, scope},
};

/// Whom a call goes to.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    /// A number, by the first trunk that is up.
    Number(String),
    /// A number, by that trunk; `dialled` is what the caller wished, before it was rewritten.
    Trunk {
        /// The trunk.
        trunk: String,
        /// As it goes to the trunk.
        number: String,
        /// As it was dialled.
        dialled: String,
    },
    /// Whoever registered as that user here: every telephone of theirs rings.
    User(String),
    /// An address.
    Address(Box<Uri>),
}

/// A wish to call somebody.
#[derive(Clone)]
pub(crate) struct Dial {
    /// Whom.
    pub(crate) whom: Whom,
    /// Who calls, as the other side is shown it; the trunk's own when empty.
    pub(crate) from: String,
    /// The name beside it.
    pub(crate) from_name: Option<String>,
    /// Who is counted for it and pays in the end: a user, a trunk, an address.
    pub(crate) payer: String,
    /// Whether whoever wishes runs this server: then addresses may lie in its own networks.
    pub(crate) is_trusted: bool,
    /// The call that it is made for.
    pub(crate) parent: Option<Sid>,
    /// The room that is told how it goes.
    pub(crate) told: Option<RoomHandle>,
    /// How long it may ring.
    pub(crate) ring_for: Duration,
    /// For a challenge of an address; trunks have their own.
    pub(crate) credentials: Option<sip::auth::Credentials>,
    /// Beside those that are written here.
    pub(crate) headers: Headers,
    /// Hops that are left, where it continues another call.
    pub(crate) max_forwards: u8,
}

/// Why nobody is called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDialled {
    /// Not SIP, or no number.
    #[error("that is no number and no SIP address")]
    Unreadable,
    /// There is no such trunk, or none at all.
    #[error("there is no trunk to dial by: [[trunks]] in the configuration names them")]
    NoTrunk,
    /// Nobody registered by that name.
    #[error("nobody of that name is registered here")]
    NotRegistered,
    /// The rules against toll fraud.
    #[error("it may not be dialled: {0}")]
    Refused(#[from] bot::routing::dialling::Refusal),
    /// The trunk is full.
    #[error("{0}")]
    Busy(#[from] bot::routing::trunk::Busy),
    /// The address leads into this machine or its networks.
    #[error("the address leads into this machine's networks; webhooks.allow lists those that may be called")]
    Forbidden,
    /// The name leads nowhere.
    #[error("the name of the host leads nowhere")]
    UnknownHost,
    /// No port for sound.
    #[error(transparent)]
    NoPort(#[from] media::net::NetError),
    /// The server drains.
    #[error("the server is shutting down")]
    Draining,
}

impl NotDialled {
    /// The status that a caller who waits for it is given.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Unreadable => 484,
            Self::NoTrunk | Self::UnknownHost => 404,
            Self::NotRegistered => 480,
            Self::Refused(refusal) => refusal.status(),
            Self::Busy(_) | Self::NoPort(_) | Self::Draining => 503,
            Self::Forbidden => 403,
        }
    }

    /// The seconds after which asking again may help, if it may.
    pub(crate) fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Refused(refusal) => {
                let wait = refusal.retry_after()?;
                // Not a moment too early.
                Some(u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1))
            }
            Self::Busy(_) | Self::NoPort(_) | Self::Draining => Some(RETRY_AFTER_S),
            Self::Unreadable | Self::NoTrunk | Self::UnknownHost | Self::NotRegistered | Self::Forbidden => None,
        }
    }
}

/// Calls end by themselves; nobody knows when.
const RETRY_AFTER_S: u32 = 5;

/// Calls somebody, at each of their telephones; they ring when this returns, or will.
///
/// # Errors
/// [`NotDialled`]; nobody was called then and nothing is counted.
pub(crate) async fn dial(app: &App, phones: &Arc<Phones>, dial: Dial) -> Result<Vec<Held>, NotDialled> {
    if app.admission().is_draining() {
        return Err(NotDialled::Draining);
    }
    let mut held = Vec::new();
    for way in ways(app, phones, &dial).await? {
        let cost = Cost { permit: way.permit, trunk: way.trunk.clone(), phones: phones.clone() };
        match place(app, phones, &dial, way).await {
            Ok((phone, news)) => {
                tokio::spawn(watch(app.clone(), phone.clone(), cost, dial.ring_for));
                held.push((phone, news));
            }
            Err(error) => {
                cost.give_back(app, None);
                if held.is_empty() {
                    return Err(error);
                }
            }
        }
    }
    Ok(held)
}

async fn place(app: &App, phones: &Arc<Phones>, dial: &Dial, way: Way) -> Result<Held, NotDialled> {
    let remote = way.target.as_ref().map(|target| target.address);
    let here = remote.map_or_else(|| phones.here(), |remote| local_ip(phones.here(), remote));
    let advertised = way.advertise.or_else(|| phones.advertised_sound()).unwrap_or(here);
    let mut line = Line::open(phones, advertised, way.capabilities, true)?;
    let offer = line.offer();
    let from_user = if dial.from.is_empty() { way.caller_id } else { dial.from.clone() };
    let mut from = NameAddr::new(phones.uri_of(&from_user));
    from.display = dial.from_name.clone();
    let invite = Invite {
        from,
        to: NameAddr::new(way.uri.clone()),
        uri: way.uri,
        target: way.target,
        routes: way.routes,
        contact_user: Some(phones.contact_user().to_owned()),
        offer: Some(offer),
        credentials: way.credentials,
        headers: dial.headers.clone(),
        most_redirects: way.most_redirects,
        max_forwards: dial.max_forwards,
    };
    let facts = Facts {
        sid: Sid::fresh(SidKind::Call),
        direction: Direction::Outbound,
        from: from_user,
        from_name: dial.from_name.clone(),
        to: way.shown,
        parent: dial.parent.clone(),
        trunk: way.trunk,
        payer: dial.payer.clone(),
        began: app.clock().wall(),
    };
    let dialog = phones.exchange().place(invite).await;
    let silence = phones.silence();
    let told = dial.told.clone();
    let beginning = Beginning { facts, dialog, line, offer: None, is_incoming: false, told, silence };
    let (phone, news) = call::carry(app.clone(), beginning);
    phones.calls().enter(&phone);
    Ok((phone, news))
}

/// What a wish comes to.
struct Way {
    uri: Uri,
    /// Whom it goes to, for people.
    shown: String,
    target: Option<Target>,
    routes: Vec<NameAddr>,
    credentials: Option<sip::auth::Credentials>,
    capabilities: sip::sdp::Capabilities,
    /// Who calls when nobody says so.
    caller_id: String,
    advertise: Option<IpAddr>,
    trunk: Option<String>,
    permit: Option<PermitId>,
    /// Whoever we pay to carry the call may send it on; nobody else is followed past the rules.
    most_redirects: u8,
}

/// The ways to whom a call goes; more than one where a user has several telephones.
async fn ways(app: &App, phones: &Phones, dial: &Dial) -> Result<Vec<Way>, NotDialled> {
    match &dial.whom {
        Whom::Number(number) => {
            let party = party(phones, number)?;
            let trunk =
                phones.trunks().iter().find(|trunk| phones.is_up(&trunk.name)).or_else(|| phones.trunks().first());
            let trunk = trunk.ok_or(NotDialled::NoTrunk)?.name.clone();
            Ok(vec![by_trunk(app, phones, dial, &trunk, party.best(), &party)?])
        }
        Whom::Trunk { trunk, number, dialled } => {
            let party = party(phones, dialled)?;
            Ok(vec![by_trunk(app, phones, dial, trunk, number, &party)?])
        }
        Whom::User(user) => {
            let reaches = phones.registered(user, app.clock().now());
            let ways = reaches.into_iter().map(|reach| Way {
                uri: reach.uri,
                shown: user.clone(),
                target: reach.target,
                routes: reach.routes,
                credentials: None,
                capabilities: phones.capabilities(None),
                caller_id: "anonymous".to_owned(),
                advertise: None,
                trunk: None,
                permit: None,
                most_redirects: 0,
            });
            let ways: Vec<_> = ways.collect();
            if ways.is_empty() { Err(NotDialled::NotRegistered) } else { Ok(ways) }
        }
        Whom::Address(uri) => {
            let target = if dial.is_trusted { None } else { Some(guarded(app, phones, uri).await?) };
            Ok(vec![Way {
                uri: (**uri).clone(),
                shown: uri.to_string(),
                target,
                routes: Vec::new(),
                credentials: dial.credentials.clone(),
                capabilities: phones.capabilities(None),
                caller_id: "anonymous".to_owned(),
                advertise: None,
                trunk: None,
                permit: None,
                most_redirects: if dial.is_trusted { 3 } else { 0 },
            }])
        }
    }
}

/// By a trunk, within the rules against toll fraud; the permit and the place on the trunk are taken.
fn by_trunk(
    app: &App,
    phones: &Phones,
    dial: &Dial,
    name: &str,
    number: &str,
    dialled: &Party,
) -> Result<Way, NotDialled> {
    let trunk = phones.trunks().iter().find(|trunk| trunk.name == name).ok_or(NotDialled::NoTrunk)?;
    let mut uri: Uri = trunk.uri.parse().map_err(|_| NotDialled::NoTrunk)?;
    uri.user = Some(Uri::escaped_user(number));
    if let Some(protocol) = protocol_param(trunk.transport) {
        uri.params.set("transport", Some(protocol));
    }
    let rewritten = party(phones, number)?;
    let now = app.clock().now();
    let mut desk = phones.desk();
    let permit = desk.dialling.permit(&dial.payer, &[dialled.clone(), rewritten], now)?;
    if let Err(busy) = desk.trunks.admit(name, now) {
        desk.dialling.ended(permit.id, None, now);
        return Err(busy.into());
    }
    drop(desk);
    let caller_id = trunk.caller_id.clone().or_else(|| trunk.user.clone()).unwrap_or_default();
    let credentials = trunk.password.clone().map(|password| sip::auth::Credentials {
        username: trunk.auth_user.clone().or_else(|| trunk.user.clone()).unwrap_or_default(),
        password,
        realm: None,
    });
    Ok(Way {
        uri,
        shown: number.to_owned(),
        target: phones.target_of(name),
        routes: Vec::new(),
        credentials,
        capabilities: phones.capabilities(Some(trunk)),
        caller_id,
        advertise: trunk.advertise.as_ref().and_then(|address| address.parse().ok()),
        trunk: Some(name.to_owned()),
        permit: Some(permit.id),
        most_redirects: 3,
    })
}

fn protocol_param(transport: Option<Transport>) -> Option<&'static str> {
    match transport? {
        Transport::Udp => None,
        Transport::Tcp => Some("tcp"),
        Transport::Tls => Some("tls"),
    }
}

/// Where an address that somebody else named leads, if it may be called.
async fn guarded(app: &App, phones: &Phones, uri: &Uri) -> Result<Target, NotDialled> {
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        return Err(NotDialled::Unreadable);
    }
    let protocol = match uri.transport() {
        _ if uri.is_sips() => Some(Protocol::Tls),
        Some(named) => Some(Protocol::named(&named).ok_or(NotDialled::Unreadable)?),
        None => None,
    };
    let targets = phones.resolver().look_up(&uri.host, uri.port, protocol).await;
    let target = targets.into_iter().next().ok_or(NotDialled::UnknownHost)?;
    let address = target.address;
    let host = uri.host.trim_start_matches('[').trim_end_matches(']');
    let is_allowed =
        scope(address.ip()) == Scope::Public || app.config().webhooks.allows(host, address.port(), address.ip());
    if is_allowed { Ok(target) } else { Err(NotDialled::Forbidden) }
}

/// What a call holds while it lasts.
struct Cost {
    permit: Option<PermitId>,
    trunk: Option<String>,
    phones: Arc<Phones>,
}

impl Cost {
    /// `answered` is when it began to cost money.
    fn give_back(&self, app: &App, answered: Option<Instant>) {
        let mut desk = self.phones.desk();
        if let Some(permit) = self.permit {
            desk.dialling.ended(permit, answered, app.clock().now());
        }
        if let Some(trunk) = &self.trunk {
            desk.trunks.release(trunk);
        }
    }

    /// How long the call may go on without asking again; `None` when it must end now.
    fn renew(&self, app: &App) -> Option<Option<Instant>> {
        let Some(permit) = self.permit else { return Some(None) };
        let renewed = self.phones.desk().dialling.renew(permit, app.clock().now());
        renewed.map(|permit| Some(permit.renew_by))
    }
}

/// Ends a call that rings for too long or whose permit runs out, and gives back what it held.
async fn watch(app: App, phone: Phone, cost: Cost, ring_for: Duration) {
    match tokio::time::timeout(ring_for, phone.taken()).await {
        Ok(_) => {}
        Err(_) => phone.no_answer().await,
    }
    let answered = phone.now().is_answered().then(|| app.clock().now());
    let over = phone.over();
    tokio::pin!(over);
    while let Some(until) = cost.renew(&app) {
        let due = async {
            match until {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut over => return cost.give_back(&app, answered),
            () = due => {}
        }
    }
    tracing::info!(call = %phone.sid(), "a call is ended: it is too long, or the budget of the day is spent");
    phone.hang_up().await;
    over.await;
    cost.give_back(&app, answered);
}

/// The number or name that an address calls.
fn party(phones: &Phones, text: &str) -> Result<Party, NotDialled> {
    Party::read(text, phones.numbering()).map_err(|_| NotDialled::Unreadable)
}

/// A call and what it tells.
pub(crate) type Held = (Phone, mpsc::Receiver<News>);
