//! Who took a call that we made: a person, a machine, nobody who can be reached.
//!
//! One task a call for whom that is to be found out. [`bot::answering`] decides; here it is told what is overheard on
//! the line and, where the call's room has ears, what they make of its words, wherever the call goes meanwhile. What it
//! found is an event of the call's room, and stays with the call. It ends by itself, with the call or at its timeout.
//! Nothing here is real time.

use std::future::pending;

use bot::{
    actor::Follower,
    answering::{Answering, Input, Outcome, Settings},
    event::RoomEvent,
    ivr::{
        callback::{self, ChildCall},
        private::Private,
        webhook::{Endpoint, Notify},
    },
    room::Room,
};
use media::dsp::progress::Heard;
use tokio::{
    sync::{broadcast, oneshot, watch},
    time::sleep_until,
};

use super::{
    call::{Phone, Place},
    menu,
};
use crate::app::App;

/// Entries of a room's log that are read at once.
const ENTRIES: usize = 32;

/// That it is to be found out who takes a call.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    /// What is to be found out, and how patiently.
    pub(crate) settings: Settings,
    /// Whether the call goes on meanwhile; else what it is for begins when it is known.
    pub(crate) is_aside: bool,
    /// Who is told.
    pub(crate) told: Option<Endpoint>,
}

/// Finds out who takes `phone`, from when that is taken; nothing where nobody does.
///
/// It hears what the call says in the rooms that it enters from now on.
pub(super) fn detect(app: &App, phone: &Phone, detection: Detection) -> oneshot::Receiver<Outcome> {
    let (found, finding) = oneshot::channel();
    let overheard = phone.overhear();
    let (app, phone) = (app.clone(), phone.clone());
    tokio::spawn(async move {
        if !phone.taken().await {
            return;
        }
        // What was played before it was taken is the network's, and no greeting.
        let overheard = overheard.resubscribe();
        let outcome = listen(&app, &phone, detection.settings, overheard).await;
        phone.is_answered_by(outcome.answered_by);
        let event = RoomEvent::CallAnsweredBy {
            call: phone.sid().shared(),
            who: outcome.class,
            answered_by: outcome.answered_by,
            why: outcome.why,
            after: outcome.after,
        };
        let place = phone.place().borrow().clone();
        if let Some(Place { room, .. }) = place {
            // A room that is closed has nobody to tell.
            let _ = room.publish(event).await;
        }
        // Whoever waits for it goes on before anybody else is told.
        let _ = found.send(outcome);
        if let Some(to) = detection.told {
            tell(&app, &phone, to, &outcome).await;
        }
    });
    finding
}

/// Tells an application who took the call.
async fn tell(app: &App, phone: &Phone, to: Endpoint, outcome: &Outcome) {
    let facts = phone.facts();
    let child = ChildCall {
        call_sid: facts.sid.to_string(),
        from: Private::from(facts.from.clone()),
        to: Private::from(facts.to.clone()),
    };
    let of = menu::facts(app, phone, None);
    let params = callback::machine_detection(&of, &child, outcome.answered_by.name(), outcome.after);
    menu::tell(app, &Notify { to, params }).await;
}

async fn listen(app: &App, phone: &Phone, settings: Settings, mut overheard: broadcast::Receiver<Heard>) -> Outcome {
    let epoch = app.clock().epoch();
    let now = || epoch.at(app.clock().now());
    let mut answering = Answering::new(settings, now());
    let mut words = Words::of(phone.place());
    let over = phone.over();
    tokio::pin!(over);
    loop {
        if let Some(outcome) = answering.outcome() {
            return outcome;
        }
        let due = answering.next_deadline();
        let due = async {
            match due {
                Some(at) => sleep_until((epoch.instant + at.as_duration()).into()).await,
                None => pending().await,
            }
        };
        // Cancel-safe all: what is not taken now is taken the next time.
        tokio::select! {
            _ = &mut over => answering.handle(Input::Ended, now()),
            heard = overheard.recv() => match heard {
                Ok(heard) => answering.handle(Input::Heard(heard), now()),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    metrics::counter!("harmony_drops_total", "crossing" => "overheard").increment(missed);
                }
                // The call's task is gone, and tells nobody that it is over.
                Err(broadcast::error::RecvError::Closed) => answering.handle(Input::Ended, now()),
            },
            text = words.next() => answering.handle(Input::Words(&text), now()),
            () = due => answering.handle(Input::Tick, now()),
        }
    }
}

/// What the call says, in whichever room it is.
struct Words {
    places: watch::Receiver<Option<Place>>,
    here: Option<(Place, Follower)>,
    /// Read and not told yet, the next at the end.
    read: Vec<String>,
}

impl Words {
    fn of(mut places: watch::Receiver<Option<Place>>) -> Self {
        places.mark_changed();
        Self { places, here: None, read: Vec::new() }
    }

    /// All words so far of the utterance under way. Cancel-safe.
    async fn next(&mut self) -> String {
        loop {
            if let Some(text) = self.read.pop() {
                return text;
            }
            let entries = async {
                match &mut self.here {
                    Some((_, log)) => log.next(ENTRIES).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                changed = self.places.changed() => {
                    if changed.is_err() {
                        // It goes nowhere any more.
                        return pending().await;
                    }
                    let place = self.places.borrow_and_update().clone();
                    self.here = place.map(|place| {
                        let log = place.room.follow(Some(place.room.read(Room::last_seq)));
                        (place, log)
                    });
                }
                entries = entries => {
                    let Some((place, log)) = &mut self.here else { continue };
                    match entries {
                        // The room is closed: another follows, or the end of the call.
                        Ok(entries) if entries.is_empty() => self.here = None,
                        Ok(entries) => {
                            let said = entries.iter().filter_map(|entry| match &entry.event {
                                RoomEvent::TranscriptPartial { segment, .. }
                                | RoomEvent::TranscriptFinal { segment }
                                    if segment.participant == place.participant => Some(segment.text.clone()),
                                _ => None,
                            });
                            self.read.extend(said);
                            self.read.reverse();
                        }
                        Err(fell_off) => *log = place.room.follow(Some(fell_off.resume)),
                    }
                }
            }
        }
    }
}
