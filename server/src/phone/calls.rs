//! Every telephone call of this server: those that are on, and those that were lately.
//!
//! Read by the API, the console and Twilio's REST; written when a call begins and when it ends. Calls that are over
//! are kept as values, [`KEPT`] of them; the oldest go first. In memory: a restart forgets them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bot::{answering::AnsweredBy, event::Direction, ivr::call::CallStatus};
use media::id::{ParticipantId, RoomId};

use super::{
    call::{Condition, Over, Phone, State},
    sid::Sid,
};

/// Calls that are over and still known: a day of a small office.
const KEPT: usize = 2_000;

/// Every call. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    live: BTreeMap<Sid, Phone>,
    over: VecDeque<View>,
}

/// A call as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Its name.
    pub(crate) sid: Sid,
    /// Who began it.
    pub(crate) direction: Direction,
    /// Who calls.
    pub(crate) from: String,
    /// The name that came with it.
    pub(crate) from_name: Option<String>,
    /// Who is called.
    pub(crate) to: String,
    /// The call that it was made for.
    pub(crate) parent: Option<Sid>,
    /// The trunk that it came by or goes to.
    pub(crate) trunk: Option<String>,
    /// How it stands: `queued`, `ringing`, `in-progress`, `completed`, `busy`, `no-answer`, `canceled`, `failed`.
    pub(crate) status: &'static str,
    /// When it began.
    pub(crate) began: SystemTime,
    /// When it was taken.
    pub(crate) answered: Option<SystemTime>,
    /// When it ended.
    pub(crate) ended: Option<SystemTime>,
    /// Who took it, as far as anybody can tell.
    pub(crate) answered_by: Option<AnsweredBy>,
    /// The room that it is in, or was in last.
    pub(crate) room: Option<RoomId>,
    /// Who it is there.
    pub(crate) participant: Option<ParticipantId>,
    /// Whether nobody hears it there.
    pub(crate) is_muted: bool,
    /// Who holds whom, and how it sounds.
    pub(crate) condition: Condition,
    /// What the far end refused it with, 300 to 699.
    pub(crate) refused_with: Option<u16>,
}

impl View {
    /// How `phone` stands now.
    pub(crate) fn of(phone: &Phone) -> Self {
        let facts = phone.facts();
        let (status, answered, ended, refusal) = match phone.now() {
            State::Dialling => ("queued", None, None, None),
            State::Ringing | State::Early => ("ringing", None, None, None),
            State::Answered { at } => ("in-progress", Some(at), None, None),
            State::Ended { why, answered, at, refusal } => {
                (ended(why, answered.is_some(), facts.direction).as_str(), answered, Some(at), refusal)
            }
        };
        let condition = phone.condition();
        let place = phone.place().borrow().clone();
        let seated = place.as_ref().and_then(|place| place.room.read(|room| room.participant(place.participant)));
        Self {
            sid: facts.sid.clone(),
            direction: facts.direction,
            from: facts.from.clone(),
            from_name: facts.from_name.clone(),
            to: facts.to.clone(),
            parent: facts.parent.clone(),
            trunk: facts.trunk.clone(),
            status,
            began: facts.began,
            answered,
            ended,
            answered_by: phone.answered_by(),
            room: place.as_ref().map(|place| place.room.id()).or_else(|| condition.entered.filter(|_| ended.is_some())),
            participant: place.map(|place| place.participant),
            is_muted: seated.is_some_and(|seated| seated.is_muted),
            condition,
            refused_with: refusal.map(|refusal| refusal.status),
        }
    }
}

/// How a call that is over stands, as Twilio's clients know it.
pub(super) fn ended(why: Over, was_answered: bool, direction: Direction) -> CallStatus {
    match why {
        _ if was_answered => CallStatus::Completed,
        Over::Busy => CallStatus::Busy,
        Over::NoAnswer => CallStatus::NoAnswer,
        Over::Cancelled => CallStatus::Canceled,
        // We gave up calling.
        Over::Us if direction == Direction::Outbound => CallStatus::Canceled,
        Over::Them | Over::Us | Over::Replaced => CallStatus::Completed,
        Over::Failed | Over::Lost => CallStatus::Failed,
    }
}

impl Calls {
    /// Enters a call until it is over, and keeps what it was.
    pub(crate) fn enter(&self, phone: &Phone) {
        self.lock().live.insert(phone.sid().clone(), phone.clone());
        let (book, phone) = (self.clone(), phone.clone());
        tokio::spawn(async move {
            phone.over().await;
            let view = View::of(&phone);
            let mut book = book.lock();
            book.live.remove(phone.sid());
            if book.over.len() >= KEPT {
                book.over.pop_front();
            }
            book.over.push_back(view);
        });
    }

    /// A call that is on.
    pub(crate) fn live(&self, sid: &Sid) -> Option<Phone> {
        self.lock().live.get(sid).cloned()
    }

    /// The call that is on with this dialog.
    pub(crate) fn by_dialog(&self, dialog: sip::endpoint::CallId) -> Option<Phone> {
        self.lock().live.values().find(|phone| phone.dialog() == dialog).cloned()
    }

    /// The call that is on and was made for that one.
    pub(crate) fn made_for(&self, sid: &Sid) -> Option<Phone> {
        self.lock().live.values().find(|phone| phone.facts().parent.as_ref() == Some(sid)).cloned()
    }

    /// A call, on or over.
    pub(crate) fn view(&self, sid: &Sid) -> Option<View> {
        let book = self.lock();
        let live = book.live.get(sid).map(View::of);
        live.or_else(|| book.over.iter().find(|view| view.sid == *sid).cloned())
    }

    /// All of them, the newest first.
    pub(crate) fn views(&self) -> Vec<View> {
        self.latest(KEPT)
    }

    /// All that are on, and as many of those that are over; the newest first.
    pub(crate) fn latest(&self, over_most: usize) -> Vec<View> {
        let book = self.lock();
        let over = book.over.iter().rev().take(over_most).cloned();
        let mut views: Vec<_> = book.live.values().map(View::of).chain(over).collect();
        drop(book);
        views.sort_by(|one, other| other.began.cmp(&one.began).then_with(|| one.sid.cmp(&other.sid)));
        views
    }

    /// Forgets a call that is over; false when there is none.
    pub(crate) fn forget(&self, sid: &Sid) -> bool {
        let mut book = self.lock();
        let before = book.over.len();
        book.over.retain(|view| view.sid != *sid);
        book.over.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call in the metrics, for as long as it lasts.
pub(crate) struct Counted(metrics::Gauge);

impl Counted {
    pub(crate) fn new(direction: Direction) -> Self {
        let state = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        let gauge = metrics::gauge!("harmony_calls", "state" => state);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
