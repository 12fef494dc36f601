//! Calls that whoever runs this server asks for: by its API, by its command line, by Twilio's REST interface.
//!
//! A call is dialled by the same rules as any other, and once it is taken it does what was asked: run an application,
//! join a room, or be listened to in one of its own.

use std::{sync::Arc, time::Duration};

use bot::{
    actor::RoomHandle,
    answering::Outcome,
    ivr::{
        call::StatusCallback,
        machine::{Role, Source},
        webhook::{Endpoint, Method},
    },
};
use sip::message::Headers;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::{
    Phones,
    call::{News, Phone},
    detect::{self, Detection},
    incoming::part,
    menu::{self, Application, Door, Reach},
    outgoing::{self, Dial, NotDialled},
    progress, together,
};
use crate::{agent::Seated, app::App, recording};

/// What a call does once it is taken.
#[expect(clippy::large_enum_variant, reason = "there is one for each call, and it moves once")]
pub(crate) enum Purpose {
    /// Runs an application; `status` is told how the call goes.
    Application {
        /// Its first document.
        source: Source,
        /// Asked when a document cannot be had.
        fallback: Option<Endpoint>,
        /// Told how the call goes.
        status: Option<StatusCallback>,
    },
    /// Talks with an agent, in the room where it sits; that is closed when the call is over.
    Agent(Box<Seated>),
    /// Takes part in a room.
    Room(RoomHandle),
    /// Is listened to, in a room of its own.
    Listen,
}

/// A call to be made.
pub(crate) struct Originate {
    /// A number, `sip:` or `client:`.
    pub(crate) to: String,
    /// Who calls, as the other side is shown it.
    pub(crate) from: String,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// Keys that are pressed as soon as it is taken.
    pub(crate) send_digits: String,
    /// How long it may ring.
    pub(crate) ring_for: Duration,
    /// How long it may last once it is taken; for as long as the rules allow when not set.
    pub(crate) longest: Option<Duration>,
    /// For a challenge of an address.
    pub(crate) credentials: Option<sip::auth::Credentials>,
    /// Who is counted for it.
    pub(crate) payer: String,
    /// Whether it is to be found out who takes it.
    pub(crate) detection: Option<Detection>,
}

/// Hops of a call that begins here.
const MAX_FORWARDS: u8 = 70;

/// Places a call and lets it do what it is for; returns as soon as it is on its way.
///
/// # Errors
/// [`NotDialled`]; nobody is called then.
pub(crate) async fn originate(app: &App, phones: &Arc<Phones>, wish: Originate) -> Result<Phone, NotDialled> {
    let dial = Dial {
        whom: phones.whom_called(&wish.to)?,
        from: wish.from,
        from_name: None,
        payer: wish.payer,
        is_trusted: true,
        parent: None,
        told: match &wish.purpose {
            Purpose::Room(room) => Some(room.clone()),
            Purpose::Agent(seated) => Some(seated.room().clone()),
            _ => None,
        },
        ring_for: wish.ring_for,
        credentials: wish.credentials,
        headers: Headers::new(),
        max_forwards: MAX_FORWARDS,
    };
    let mut held = outgoing::dial(app, phones, dial).await?;
    // Of several telephones of a user the one that is wanted most.
    let (phone, news) = held.swap_remove(0);
    for (other, _) in held {
        other.hang_up().await;
    }
    if let Some(longest) = wish.longest {
        phone.limit(app.clock(), longest);
    }
    // From now on, so that it can be sent elsewhere while it rings.
    let runs = matches!(wish.purpose, Purpose::Application { .. });
    let door = runs.then(|| phones.menus().open(phone.sid()));
    if let Purpose::Application { status: Some(status), .. } = &wish.purpose {
        progress::tell(app, &phone, status.clone());
    }
    // From now on, so that not a word of the greeting is missed.
    let detected = wish.detection.map(|detection| {
        let is_aside = detection.is_aside;
        Some(detect::detect(app, &phone, detection)).filter(|_| !is_aside)
    });
    let task = Task {
        app: app.clone(),
        phones: phones.clone(),
        phone: phone.clone(),
        send_digits: wish.send_digits,
        detected: detected.flatten(),
    };
    tokio::spawn(task.go_on(news, wish.purpose, door));
    Ok(phone)
}

/// The task of a call until whatever it is for has begun, and of what it is for.
struct Task {
    app: App,
    phones: Arc<Phones>,
    phone: Phone,
    send_digits: String,
    /// Who took it, where that is waited for.
    detected: Option<oneshot::Receiver<Outcome>>,
}

impl Task {
    async fn go_on(self, news: mpsc::Receiver<News>, purpose: Purpose, door: Option<Door>) {
        let (app, own) = match &purpose {
            Purpose::Agent(seated) => (self.app.clone(), seated.room().clone()),
            _ => return self.carry(news, purpose, door).await,
        };
        self.carry(news, purpose, door).await;
        // However it went: nobody else knows of the room.
        recording::end_with(&app, own.id()).await;
        own.close().await;
    }

    async fn carry(mut self, mut news: mpsc::Receiver<News>, purpose: Purpose, door: Option<Door>) {
        let Self { app, phones, phone, .. } = &self;
        let (app, phones, phone) = (app.clone(), phones.clone(), phone.clone());
        if !phone.taken().await {
            return;
        }
        let room = match &purpose {
            Purpose::Room(room) => Ok(room.clone()),
            Purpose::Agent(seated) => Ok(seated.room().clone()),
            Purpose::Application { .. } | Purpose::Listen => app.open_room(""),
        };
        let room = match room {
            Ok(room) => room,
            Err(error) => {
                tracing::warn!(call = %phone.sid(), %error, "a call found no room");
                return phone.hang_up().await;
            }
        };
        let mut part = part(&app, &phone);
        if let Purpose::Agent(seated) = &purpose {
            part.hints = super::agent::hints(&app, seated.persona());
        }
        // An application enters it by itself, unless somebody has to listen before.
        let runs = matches!(purpose, Purpose::Application { .. });
        if (!runs || self.detected.is_some())
            && let Err(error) = phone.enter(&room, part).await
        {
            tracing::warn!(call = %phone.sid(), %error, "a call could not enter its room");
            phone.hang_up().await;
            if !matches!(purpose, Purpose::Room(_)) {
                room.close().await;
            }
            return;
        }
        if let Some(detected) = self.detected.take()
            && detected.await.is_err()
        {
            // Nobody took it after all.
            return;
        }
        press(&phone, &self.send_digits).await;
        match purpose {
            Purpose::Application { source, fallback, .. } => {
                let reach = match &source {
                    Source::At(endpoint) => Reach::of(endpoint.url.as_str()),
                    Source::Inline(_) => Reach::of(""),
                };
                let door = door.unwrap_or_else(|| phones.menus().open(phone.sid()));
                // How the call goes is told already.
                let application = Application { source, fallback, status: None, reach };
                menu::run_in(room, door, &app, &phones, &phone, &mut news, application, Role::Call).await;
            }
            Purpose::Agent(seated) => super::agent::talk(&app, &phones, &phone, news, *seated).await,
            Purpose::Room(_) | Purpose::Listen => together::alone(&app, &phones, &phone, news).await,
        }
    }
}

/// Presses keys; `w` waits for half a second.
async fn press(phone: &Phone, keys: &str) {
    let tones = bot::ivr::key::Tone::read(keys).unwrap_or_default();
    let _ = menu::press(phone.clone(), tones, Some(1)).await;
}

/// Whom `From` names, as a telephone shows it: a number, or the user of an address.
pub(crate) fn caller(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("client:").unwrap_or(text);
    let uri = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"));
    uri.and_then(|uri| uri.split_once('@')).map_or(text, |(user, _)| user).to_owned()
}

/// An address to ask.
pub(crate) fn endpoint(url: &str, method: Method) -> Option<Endpoint> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "file"))?;
    Some(Endpoint { url, method })
}
