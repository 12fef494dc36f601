//! Conferences: callers whom their menus send to the same room, by its name.
//!
//! The room is the one of that title, which numbers, browsers and sockets join by other ways: whoever came so is a guest,
//! waits for nobody and is nobody's to move. [`meeting`] decides who is in it and who waits; [`live`] carries that out for
//! one conference; here are all of them, by name, and what menus and the REST interface may do. What is told of
//! somebody's place is a slot with one value: however often it changes, a menu that is slow is told the last.
//! Conferences are as many as there are rooms for; those that are over are kept as values, [`KEPT`] of them, in memory.
//!
//! Who coaches is heard by the one they coach and by nobody else: in no recording either, but in the room's words.

mod announce;
mod callback;
mod live;
mod meeting;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bot::ivr::{
    input::{ConferenceEvent, Input},
    twiml::ConferenceRoom,
    webhook::{Endpoint, Notify},
};
use media::id::{ParticipantId, RoomId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::meeting::Change;
use self::{
    live::{Conference, Person, Place, Whereabouts, Whisper},
    meeting::{Presence, Why},
};
use crate::{
    app::App,
    error::ApiError,
    phone::{
        Phones,
        call::{Part, Phone},
        incoming::part,
        recordings::Recorded,
        sid::Sid,
    },
};

/// Conferences that are over and still known: a week of a small office.
const KEPT: usize = 500;

/// How a caller wants to take part, with what their document named as absolute addresses.
pub(crate) struct Wish {
    /// Which conference, and how.
    pub(crate) room: ConferenceRoom,
    /// Who is told what happens in it.
    pub(crate) callback: Option<Endpoint>,
    /// Who is told of its recording.
    pub(crate) recording_callback: Option<Endpoint>,
}

/// Tells an application something, as the menu does that gave it.
pub(crate) type Notifier = Arc<dyn Fn(Notify) + Send + Sync>;

/// All conferences. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Conferences(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    live: BTreeMap<String, Conference>,
    over: VecDeque<View>,
    seats: Seats,
}

/// Who is, or was lately, in a room as one who takes part: they are no guests, until they have left it.
type Seats = BTreeMap<RoomId, BTreeSet<ParticipantId>>;

/// A conference as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// Its name among conferences.
    pub(crate) sid: Sid,
    /// As documents call it.
    pub(crate) name: String,
    /// `init`, `in-progress` or `completed`.
    pub(crate) status: &'static str,
    /// When its first caller came.
    pub(crate) created: SystemTime,
    /// When it ended.
    pub(crate) ended: Option<SystemTime>,
    /// Why it ended.
    pub(crate) reason: Option<&'static str>,
    /// The call with which it ended.
    pub(crate) ended_by: Option<Sid>,
    /// The room that it is.
    pub(crate) room: RoomId,
}

/// One who takes part, as they are shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParticipantView {
    /// Their call.
    pub(crate) call: Sid,
    /// What their document called them.
    pub(crate) label: Option<String>,
    /// Whether nobody hears them.
    pub(crate) is_muted: bool,
    /// Whether they were put on hold.
    pub(crate) is_held: bool,
    /// Whether it may begin with them.
    pub(crate) start_on_enter: bool,
    /// Whether it ends with them.
    pub(crate) end_on_exit: bool,
    /// Whether they wait, for company or for its beginning.
    pub(crate) is_waiting: bool,
    /// Whom they coach: nobody else hears them.
    pub(crate) coaches: Option<Sid>,
    /// When they came.
    pub(crate) joined: SystemTime,
}

/// There is no such conference, or nobody of that call in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such conference, or that call takes no part in it")]
pub(crate) struct Missing;

/// What else is to change about somebody; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// What they hear while they are held, this time.
    pub(crate) music: Option<Endpoint>,
    /// Whom they coach, if anybody.
    pub(crate) coaches: Option<Option<Sid>>,
}

/// Why an announcement does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnnounced {
    /// There is no such conference that is on, or that call takes no part in it.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Whoever was to hear it is not in the room now.
    #[error("they wait, or are on hold, and would not hear it")]
    NotHere,
    /// There are as many as there may be.
    #[error("too many announcements are being made to this conference")]
    Busy,
}

/// Lets a caller take part in a conference; the menu is told where they are to be.
pub(super) fn attend(
    app: &App,
    phones: &Phones,
    phone: &Phone,
    wish: Wish,
    told: mpsc::Sender<Input>,
    notifier: Notifier,
) -> Attending {
    let who = Who { call: phone.sid().clone(), phone: Some(phone.clone()) };
    phones.conferences().admit(app, phones.recorded(), who, wish, told, notifier)
}

/// Who wants to take part; without a telephone only in tests.
struct Who {
    call: Sid,
    phone: Option<Phone>,
}

impl Conferences {
    fn admit(
        &self,
        app: &App,
        recorded: &Recorded,
        who: Who,
        wish: Wish,
        told: mpsc::Sender<Input>,
        notifier: Notifier,
    ) -> Attending {
        let (name, phone) = (wish.room.name.clone(), who.phone.clone());
        let (whereabouts, places) = watch::channel(Whereabouts { presence: Presence::Waiting, music: None });
        let coaches = wish.room.coach.as_ref().and_then(|coached| coached.parse().ok());
        let person = Person {
            call: who.call,
            phone: who.phone,
            label: wish.room.label.clone(),
            joined: app.clock().wall(),
            whereabouts,
            participant: None,
            music: None,
            coaches,
        };
        let place = self.join(app, recorded, person, wish, notifier);
        let gone = CancellationToken::new();
        let sid = place.as_ref().map(|place| place.sid.to_string());
        tokio::spawn(tell(told, sid, places, gone.clone()));
        Attending { app: app.clone(), conferences: self.clone(), name, place, phone, _told: gone.drop_guard() }
    }

    /// Nothing when there is no place.
    fn join(&self, app: &App, recorded: &Recorded, person: Person, wish: Wish, notifier: Notifier) -> Option<Place> {
        let name = wish.room.name.clone();
        let mut book = self.lock();
        book.seats.retain(|room, _| app.rooms().room(*room).is_some());
        if let Err(error) = self.open(&mut book, app, recorded, &name) {
            tracing::warn!(call = %person.call, %error, "a conference found no room");
            return None;
        }
        let Book { live, seats, .. } = &mut *book;
        let place = live.get_mut(&name)?.join(seats, person, wish, notifier);
        if place.is_none() {
            // The first was one too many already: there was no conference.
            if let Some(empty) = live.get(&name).filter(|conference| conference.is_empty()) {
                empty.forget();
                live.remove(&name);
            }
        }
        place
    }

    /// The conference of this name, begun where there is none.
    fn open(&self, book: &mut Book, app: &App, recorded: &Recorded, name: &str) -> Result<(), ApiError> {
        if !book.live.contains_key(name) {
            let conference = Conference::open(app, recorded, name)?;
            tokio::spawn(live::follow(self.clone(), app.clone(), conference.following()));
            book.live.insert(name.to_owned(), conference);
        }
        Ok(())
    }

    /// The conference of this name before anybody takes part: `phone` is on its way. When that call is over and nobody
    /// takes part, so is the conference.
    ///
    /// # Errors
    /// 503 when there is no room for it.
    pub(crate) fn expect(&self, app: &App, recorded: &Recorded, name: &str, phone: &Phone) -> Result<View, ApiError> {
        let mut book = self.lock();
        self.open(&mut book, app, recorded, name)?;
        let view = book.live.get(name).map(Conference::view).ok_or_else(|| ApiError::full("there is no conference"))?;
        drop(book);
        let (conferences, sid, phone) = (self.clone(), view.sid.clone(), phone.clone());
        tokio::spawn(async move {
            phone.over().await;
            // It may be over by itself.
            let _ = conferences.within(sid.as_str(), |conference| {
                if conference.is_empty() {
                    conference.act(|meeting| meeting.end(Why::LastLeft));
                }
                Some(())
            });
        });
        Ok(view)
    }

    /// All conferences: those that are on by name, then those that were lately, the newest first.
    pub(crate) fn views(&self) -> Vec<View> {
        let book = self.lock();
        let live = book.live.values().map(Conference::view);
        live.chain(book.over.iter().rev().cloned()).collect()
    }

    /// The conference of this sid, or the one that is on of this name.
    pub(crate) fn view(&self, sid_or_name: &str) -> Option<View> {
        let book = self.lock();
        let live = book.named(sid_or_name).and_then(|name| Some(book.live.get(name)?.view()));
        live.or_else(|| book.over.iter().find(|view| view.sid.as_str() == sid_or_name).cloned())
    }

    /// Who takes part in a conference that is on; nobody in one that is over.
    ///
    /// # Errors
    /// [`Missing`].
    pub(crate) fn participants(&self, sid_or_name: &str) -> Result<Vec<ParticipantView>, Missing> {
        let book = self.lock();
        match book.named(sid_or_name).and_then(|name| book.live.get(name)) {
            Some(conference) => Ok(conference.participants()),
            None if book.over.iter().any(|view| view.sid.as_str() == sid_or_name) => Ok(Vec::new()),
            None => Err(Missing),
        }
    }

    /// Changes how a call takes part; how it does then.
    ///
    /// # Errors
    /// [`Missing`].
    pub(crate) async fn change(
        &self,
        sid_or_name: &str,
        call: &Sid,
        change: Change,
        wanted: Wanted,
    ) -> Result<ParticipantView, Missing> {
        let has_no_pupil = wanted.coaches == Some(None);
        let (view, phone, whispers) = self.within(sid_or_name, |conference| {
            let id = conference.id_of(call)?;
            conference.change(id, change, wanted);
            Some((conference.participant(id)?, conference.phone(id), conference.whispers()))
        })?;
        if let Some(phone) = phone.filter(|_| !view.is_waiting) {
            if has_no_pupil {
                phone.heard_by(None).await;
            }
            // Whoever waits is muted when they enter.
            if let Some(is_muted) = change.muted {
                phone.mute(is_muted).await;
            }
        }
        whisper(whispers).await;
        Ok(view)
    }

    /// Begins to say what a document says, to everybody who is in a conference or to one of them alone.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn announce(&self, sid_or_name: &str, call: Option<&Sid>, to: Endpoint) -> Result<(), NotAnnounced> {
        let announcement = self.within(sid_or_name, |conference| Some(conference.announcement(call, to)))??;
        tokio::spawn(announcement.run());
        Ok(())
    }

    /// Takes a call out of a conference; its menu goes on.
    ///
    /// # Errors
    /// [`Missing`].
    pub(crate) fn kick(&self, sid_or_name: &str, call: &Sid) -> Result<(), Missing> {
        self.within(sid_or_name, |conference| {
            let id = conference.id_of(call)?;
            conference.act(|meeting| meeting.kick(id));
            Some(())
        })
    }

    /// Ends a conference; the menus of all who take part go on.
    ///
    /// # Errors
    /// [`Missing`].
    pub(crate) fn end(&self, sid_or_name: &str) -> Result<(), Missing> {
        self.within(sid_or_name, |conference| {
            conference.act(|meeting| meeting.end(Why::Ordered));
            Some(())
        })
    }

    /// Does something with a conference that is on; moves it to those that were when it is over then.
    fn within<T>(&self, sid_or_name: &str, act: impl FnOnce(&mut Conference) -> Option<T>) -> Result<T, Missing> {
        self.with_seats(sid_or_name, |conference, _| act(conference))
    }

    fn with_seats<T>(
        &self,
        sid_or_name: &str,
        act: impl FnOnce(&mut Conference, &mut Seats) -> Option<T>,
    ) -> Result<T, Missing> {
        let mut book = self.lock();
        let name = book.named(sid_or_name).cloned().ok_or(Missing)?;
        let Book { live, seats, over } = &mut *book;
        let conference = live.get_mut(&name).ok_or(Missing)?;
        let done = act(conference, seats);
        if conference.is_over() {
            if over.len() >= KEPT {
                over.pop_front();
            }
            over.push_back(conference.view());
            live.remove(&name);
        }
        done.ok_or(Missing)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// The name of the conference that is on of this sid or name.
    fn named(&self, sid_or_name: &str) -> Option<&String> {
        let by_sid = self.live.iter().find(|(_, conference)| conference.sid().as_str() == sid_or_name);
        by_sid.or_else(|| self.live.get_key_value(sid_or_name)).map(|(name, _)| name)
    }
}

/// A caller's part in a conference; dropping it is leaving.
pub(super) struct Attending {
    app: App,
    conferences: Conferences,
    name: String,
    /// `None` when there was no place.
    place: Option<Place>,
    phone: Option<Phone>,
    _told: DropGuard,
}

impl Attending {
    /// Brings the caller into the conference's room, muted where that is wanted.
    ///
    /// # Errors
    /// As [`Phone::enter`]; 404 when they take no part any more.
    pub(super) async fn enter(&self) -> Result<(), ApiError> {
        let gone = || ApiError::not_found("the caller takes no part in the conference any more");
        let (Some(place), Some(phone)) = (&self.place, &self.phone) else { return Err(gone()) };
        let wanted = || {
            let found = self.conferences.within(place.sid.as_str(), |conference| {
                let view = conference.participant(place.id)?;
                Some((conference.room(), view.is_muted, view.coaches.is_some()))
            });
            found.map_err(|Missing| gone())
        };
        let (room, is_muted, whispers) = wanted()?;
        // Who is heard by one alone is heard by nobody until it is known who that is.
        let enters_muted = is_muted || whispers;
        let part = Part { is_muted: enters_muted, ..part(&self.app, phone) };
        let participant = phone.enter(&room, part).await?;
        let seated = self.conferences.with_seats(place.sid.as_str(), |conference, seats| {
            conference.is_seated(place.id, participant, seats);
            Some(conference.whispers())
        });
        whisper(seated.unwrap_or_default()).await;
        // They may have been muted on their way, or told to coach nobody.
        if let Ok((_, now, false)) = wanted()
            && now != enters_muted
        {
            phone.mute(now).await;
        }
        Ok(())
    }

    /// Leaves the conference; where the caller is to be is the menu's to know.
    pub(super) async fn leave(self) {
        drop(self);
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            // By its sid: another conference of the same name may have followed.
            let left = self.conferences.within(place.sid.as_str(), |conference| {
                conference.act(|meeting| meeting.leave(place.id));
                Some(())
            });
            tracing::debug!(conference = %place.sid, name = self.name, was_on = left.is_ok(), "a caller left");
        }
    }
}

/// Lets those who coach be heard by whom they coach.
async fn whisper(whispers: Vec<Whisper>) {
    for Whisper { phone, listener, is_muted } in whispers {
        // In this order, so that nobody else hears a word.
        phone.heard_by(Some(listener)).await;
        phone.mute(is_muted).await;
    }
}

/// Tells a menu where its caller is to be, until the caller has left.
async fn tell(
    told: mpsc::Sender<Input>,
    sid: Option<String>,
    mut places: watch::Receiver<Whereabouts>,
    gone: CancellationToken,
) {
    let telling = async {
        let mut known = places.borrow_and_update().clone();
        let first = match sid {
            Some(sid) if known.presence != Presence::Left => {
                ConferenceEvent::Joined { sid, is_waiting: known.presence == Presence::Waiting }
            }
            // There was no place, or not for long.
            _ => ConferenceEvent::Left,
        };
        let mut next = Some(first);
        loop {
            if let Some(event) = next.take() {
                let is_last = event == ConferenceEvent::Left;
                if told.send(Input::Conference(event)).await.is_err() || is_last {
                    return;
                }
            }
            if places.changed().await.is_err() {
                return;
            }
            let now = places.borrow_and_update().clone();
            if now != known {
                known = now.clone();
                next = Some(match (now.presence, now.music) {
                    (Presence::In, _) => ConferenceEvent::Started,
                    (Presence::Waiting, Some(music)) => ConferenceEvent::Held(music),
                    (Presence::Waiting, None) => ConferenceEvent::Waiting,
                    (Presence::Left, _) => ConferenceEvent::Left,
                });
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = gone.cancelled() => {}
    }
}

#[cfg(test)]
mod tests;
