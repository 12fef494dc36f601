//! Queues: callers who wait, by name, and those who take them.
//!
//! [`mod@line`] decides who is first and how everybody stands; here it is told who comes and goes, and menus are
//! told what that means for their callers. Each caller who waits has a task that tells in order: what has happened never
//! overtakes, and of several standings only the last is told. A caller who was taken keeps their place until they are
//! connected. At most [`QUEUES_MAX`] queues; the one that has been empty longest gives up its place, and where none is
//! empty there is no new one. In memory: a restart forgets them, with the calls.

mod line;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use bot::ivr::{
    input::{Input, QueueEvent, Standing},
    webhook::Endpoint,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::line::{Line, Ticket};
use crate::{
    clock::Clock,
    phone::{
        call::Phone,
        sid::{Sid, SidKind},
    },
};

/// Queues that are known at once.
const QUEUES_MAX: usize = 1_000;

/// Events of one caller that wait for their menu.
const EVENTS: usize = 16;

/// Nobody is taken while fewer have room: what follows from it is never lost then.
const EVENTS_FREE_MIN: usize = 4;

/// All queues. Cheap to clone. `P` is what a caller is held by.
pub(crate) struct Queues<P = Phone>(Arc<Mutex<Book<P>>>);

struct Book<P> {
    clock: Clock,
    queues: BTreeMap<String, Queue<P>>,
    /// Counts what happens, so that the queue that was used longest ago is known.
    uses: u64,
}

struct Queue<P> {
    sid: Sid,
    /// The most who may wait, where somebody has set it.
    limit: Option<u32>,
    /// The most who may wait, as who came last had it.
    size_max: u32,
    line: Line<Waiter<P>>,
    created: SystemTime,
    used: u64,
}

struct Waiter<P> {
    call: Sid,
    phone: P,
    entered: SystemTime,
    events: mpsc::Sender<QueueEvent>,
    standing: watch::Sender<Standing>,
    accepted: watch::Sender<bool>,
}

/// A queue as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueView {
    /// Its name among queues.
    pub(crate) sid: Sid,
    /// As callers' documents call it.
    pub(crate) name: String,
    /// The most who may wait.
    pub(crate) size_max: u32,
    /// How many wait.
    pub(crate) size: u32,
    /// How long they have waited on average.
    pub(crate) average_wait: Duration,
    /// When it was made.
    pub(crate) created: SystemTime,
}

/// One who waits, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberView {
    /// Their call.
    pub(crate) call: Sid,
    /// From 1.
    pub(crate) position: u32,
    /// How long they have waited.
    pub(crate) waited: Duration,
    /// When they came.
    pub(crate) entered: SystemTime,
}

/// Why a queue was not made, changed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueueRefusal {
    /// The name belongs to another.
    #[error("there is a queue of that name")]
    Exists,
    /// No queue of that name.
    #[error("there is no such queue")]
    Missing,
    /// Somebody waits in it.
    #[error("somebody waits in that queue")]
    InUse,
    /// As many as there can be.
    #[error("there are {QUEUES_MAX} queues, which is all there can be")]
    Full,
}

impl<P> Clone for Queues<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> Default for Queues<P> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Book { clock: Clock, queues: BTreeMap::new(), uses: 0 })))
    }
}

impl Queues {
    /// Lets a caller wait in the queue of this name until the answer is dropped; the menu is told how that goes.
    pub(crate) fn enter(&self, name: &str, size_max: u32, phone: &Phone, told: mpsc::Sender<Input>) -> Waiting {
        self.admit(name, size_max, (phone.sid().clone(), phone.clone()), told)
    }
}

impl<P: Clone> Queues<P> {
    fn admit(&self, name: &str, size_max: u32, (call, phone): (Sid, P), told: mpsc::Sender<Input>) -> Waiting<P> {
        let (events, happened) = mpsc::channel(EVENTS);
        let (standing, standings) = watch::channel(Standing::default());
        let (accepted, _) = watch::channel(false);
        let mut book = self.lock();
        let (now, entered) = (book.clock.now(), book.clock.wall());
        let waiter = Waiter { call, phone, entered, events: events.clone(), standing, accepted };
        let (first, ticket) = match book.queue(name) {
            None => (QueueEvent::Failed, None),
            Some(queue) => {
                queue.size_max = size_max;
                let size_max = size_max.min(queue.limit.unwrap_or(u32::MAX));
                match queue.line.enter(waiter, size_max, now) {
                    None => (QueueEvent::Full, None),
                    Some(ticket) => {
                        queue.announce(now);
                        let (sid, standing) = (queue.sid.to_string(), *standings.borrow());
                        (QueueEvent::Entered { sid, standing }, Some(ticket))
                    }
                }
            }
        };
        drop(book);
        // The channel is new, so there is room.
        let _ = events.try_send(first);
        let mut standings = standings;
        // That one is told with the first event.
        standings.mark_unchanged();
        let gone = CancellationToken::new();
        tokio::spawn(tell(told, happened, standings, gone.clone()));
        Waiting { queues: self.clone(), name: name.to_owned(), ticket, _told: gone.drop_guard() }
    }

    /// Takes whoever waits longest in the queue of this name, for the call `by`; they hear `whisper` first.
    pub(crate) fn take(&self, name: &str, by: &Sid, whisper: Option<Endpoint>) -> Option<Taken<P>> {
        let mut book = self.lock();
        let now = book.clock.now();
        let queue = book.queues.get_mut(name)?;
        // A menu that does not listen, or is leaving just now, is passed over.
        let listens = |waiter: &Waiter<P>| waiter.events.capacity() >= EVENTS_FREE_MIN && !waiter.events.is_closed();
        let (ticket, waiter) = queue.line.take(listens)?;
        waiter.accepted.send_replace(false);
        let _ = waiter.events.try_send(QueueEvent::Taken { by_call_sid: by.to_string(), whisper });
        let taken = Taken {
            phone: waiter.phone.clone(),
            accepted: waiter.accepted.subscribe(),
            events: waiter.events.clone(),
            queues: self.clone(),
            name: name.to_owned(),
            ticket,
            stage: Mutex::new(Stage::Taken),
        };
        queue.announce(now);
        Some(taken)
    }

    /// All queues, by name.
    pub(crate) fn views(&self) -> Vec<QueueView> {
        let book = self.lock();
        let now = book.clock.now();
        book.queues.iter().map(|(name, queue)| queue.view(name, now)).collect()
    }

    /// Who waits in the queue of this sid, from the front.
    pub(crate) fn members(&self, sid: &Sid) -> Option<Vec<MemberView>> {
        let book = self.lock();
        let now = book.clock.now();
        let (_, queue) = book.by_sid(sid)?;
        let members = queue.line.waiting().zip(1..).map(|((waiter, since), position)| MemberView {
            call: waiter.call.clone(),
            position,
            waited: now.saturating_duration_since(since),
            entered: waiter.entered,
        });
        Some(members.collect())
    }

    /// Makes a queue before anybody waits in it.
    ///
    /// # Errors
    /// [`QueueRefusal::Exists`], [`QueueRefusal::Full`].
    pub(crate) fn create(&self, name: &str, limit: u32) -> Result<QueueView, QueueRefusal> {
        let mut book = self.lock();
        if book.queues.contains_key(name) {
            return Err(QueueRefusal::Exists);
        }
        let now = book.clock.now();
        let queue = book.queue(name).ok_or(QueueRefusal::Full)?;
        (queue.limit, queue.size_max) = (Some(limit), limit);
        Ok(queue.view(name, now))
    }

    /// Changes what is given: the name, and the most who may wait. Those who wait stay.
    ///
    /// # Errors
    /// [`QueueRefusal::Missing`], [`QueueRefusal::Exists`].
    pub(crate) fn update(&self, sid: &Sid, name: Option<&str>, limit: Option<u32>) -> Result<QueueView, QueueRefusal> {
        let mut book = self.lock();
        let now = book.clock.now();
        let old = book.by_sid(sid).map(|(name, _)| name.clone()).ok_or(QueueRefusal::Missing)?;
        let new = name.unwrap_or(&old);
        if new != old {
            // Whoever waits or takes holds it by its name.
            match book.queues.get(new) {
                Some(_) => return Err(QueueRefusal::Exists),
                None if !book.queues[&old].line.is_empty() => return Err(QueueRefusal::InUse),
                None => {}
            }
            if let Some(queue) = book.queues.remove(&old) {
                book.queues.insert(new.to_owned(), queue);
            }
        }
        let queue = book.queues.get_mut(new).ok_or(QueueRefusal::Missing)?;
        queue.limit = limit.or(queue.limit);
        Ok(queue.view(new, now))
    }

    /// Removes a queue in which nobody waits.
    ///
    /// # Errors
    /// [`QueueRefusal::Missing`], [`QueueRefusal::InUse`].
    pub(crate) fn remove(&self, sid: &Sid) -> Result<(), QueueRefusal> {
        let mut book = self.lock();
        let (name, queue) = book.by_sid(sid).ok_or(QueueRefusal::Missing)?;
        if !queue.line.is_empty() {
            return Err(QueueRefusal::InUse);
        }
        let name = name.clone();
        book.queues.remove(&name);
        Ok(())
    }

    /// Changes the line of a queue, and tells everybody how they stand then.
    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Line<Waiter<P>>, Instant) -> Option<T>) -> Option<T> {
        let mut book = self.lock();
        let now = book.clock.now();
        let queue = book.queues.get_mut(name)?;
        let changed = change(&mut queue.line, now)?;
        queue.announce(now);
        Some(changed)
    }

    fn lock(&self) -> MutexGuard<'_, Book<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Book<P> {
    /// The queue of this name, made where there is none; `None` when there is no place for one more.
    fn queue(&mut self, name: &str) -> Option<&mut Queue<P>> {
        if !self.queues.contains_key(name) && self.queues.len() >= QUEUES_MAX {
            let unused = self.queues.iter().filter(|(_, queue)| queue.line.is_empty() && queue.limit.is_none());
            let oldest = unused.min_by_key(|(_, queue)| queue.used).map(|(name, _)| name.clone());
            self.queues.remove(&oldest?);
        }
        self.uses += 1;
        let (used, created) = (self.uses, self.clock.wall());
        let queue = self.queues.entry(name.to_owned()).or_insert_with(|| Queue {
            sid: Sid::fresh(SidKind::Queue),
            limit: None,
            size_max: 0,
            line: Line::new(),
            created,
            used,
        });
        queue.used = used;
        Some(queue)
    }

    fn by_sid(&self, sid: &Sid) -> Option<(&String, &Queue<P>)> {
        self.queues.iter().find(|(_, queue)| queue.sid == *sid)
    }
}

impl<P> Queue<P> {
    /// Tells everybody who waits how they stand, where that has changed.
    fn announce(&self, now: Instant) {
        for (waiter, standing) in self.line.standings(now) {
            waiter.standing.send_if_modified(|known| std::mem::replace(known, standing) != standing);
        }
    }

    fn view(&self, name: &str, now: Instant) -> QueueView {
        QueueView {
            sid: self.sid.clone(),
            name: name.to_owned(),
            size_max: self.limit.unwrap_or(self.size_max),
            size: u32::try_from(self.line.waiting().count()).unwrap_or(u32::MAX),
            average_wait: self.line.wait_now(now),
            created: self.created,
        }
    }
}

/// Tells a menu what happens to its caller, until the caller has left.
async fn tell(
    told: mpsc::Sender<Input>,
    mut happened: mpsc::Receiver<QueueEvent>,
    mut standings: watch::Receiver<Standing>,
    gone: CancellationToken,
) {
    let telling = async {
        loop {
            let event = tokio::select! {
                biased;
                event = happened.recv() => event,
                Ok(()) = standings.changed() => Some(QueueEvent::Moved(*standings.borrow_and_update())),
            };
            let Some(event) = event else { return };
            if told.send(Input::Queue(event)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = gone.cancelled() => {}
    }
}

/// A caller's place in a queue; dropping it is leaving, also after they were connected.
pub(crate) struct Waiting<P: Clone = Phone> {
    queues: Queues<P>,
    name: String,
    /// `None` when there was no place.
    ticket: Option<Ticket>,
    _told: DropGuard,
}

impl<P: Clone> Waiting<P> {
    /// The caller has heard what they were to hear: whoever takes them may connect them.
    pub(crate) fn accept(&self) {
        let mut book = self.queues.lock();
        let queue = book.queues.get_mut(&self.name);
        if let Some(waiter) = queue.zip(self.ticket).and_then(|(queue, ticket)| queue.line.taken(ticket)) {
            waiter.accepted.send_replace(true);
        }
    }
}

impl<P: Clone> Drop for Waiting<P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.queues.change(&self.name, |line, _| line.leave(ticket));
        }
    }
}

/// A caller who is taken out of a queue. Dropped before they are connected, they wait on; dropped after that, they are
/// told that it has ended.
pub(crate) struct Taken<P: Clone = Phone> {
    phone: P,
    accepted: watch::Receiver<bool>,
    events: mpsc::Sender<QueueEvent>,
    queues: Queues<P>,
    name: String,
    ticket: Ticket,
    stage: Mutex<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Taken,
    Bridged,
    Over,
}

impl<P: Clone> Taken<P> {
    /// Their call.
    pub(crate) fn phone(&self) -> &P {
        &self.phone
    }

    /// Resolves when the caller has heard what they were to hear; false when they have left meanwhile.
    pub(crate) async fn accepted(&self) -> bool {
        self.accepted.clone().wait_for(|accepted| *accepted).await.is_ok()
    }

    /// Lets them wait on, where they waited.
    pub(crate) async fn give_back(&self) {
        if self.passes(Stage::Taken, Stage::Over) {
            self.back();
        }
    }

    /// They are connected.
    pub(crate) async fn bridged(&self) {
        if self.passes(Stage::Taken, Stage::Bridged) {
            self.queues.change(&self.name, |line, now| line.connect(self.ticket, now));
            self.tell(QueueEvent::Bridged);
        }
    }

    /// They are no longer connected.
    pub(crate) async fn ended(&self) {
        if self.passes(Stage::Bridged, Stage::Over) {
            self.tell(QueueEvent::BridgeEnded);
        }
    }

    fn back(&self) {
        // They may have left.
        let was_here = self.queues.change(&self.name, |line, _| line.give_back(self.ticket).map(drop));
        if was_here.is_some() {
            self.tell(QueueEvent::GivenBack);
        }
    }

    fn tell(&self, event: QueueEvent) {
        // There was room for all of them when the caller was taken, or they have left since.
        let _ = self.events.try_send(event);
    }

    /// Whether it goes from one stage to the next now.
    fn passes(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = *stage == from;
        if passes {
            *stage = to;
        }
        passes
    }
}

impl<P: Clone> Drop for Taken<P> {
    fn drop(&mut self) {
        if self.passes(Stage::Taken, Stage::Over) {
            self.back();
        } else if self.passes(Stage::Bridged, Stage::Over) {
            self.tell(QueueEvent::BridgeEnded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue, and what the menus of its callers were told.
    #[derive(Default)]
    struct Hall {
        queues: Queues<&'static str>,
    }

    struct Caller {
        waiting: Waiting<&'static str>,
        told: mpsc::Receiver<Input>,
    }

    impl Hall {
        fn enter(&self, who: &'static str, size_max: u32) -> Caller {
            let (told, heard) = mpsc::channel(64);
            let waiting = self.queues.admit("sales", size_max, (sid(), who), told);
            Caller { waiting, told: heard }
        }

        fn take(&self) -> Taken<&'static str> {
            self.queues.take("sales", &sid(), None).unwrap()
        }
    }

    impl Caller {
        async fn next(&mut self) -> QueueEvent {
            match self.told.recv().await {
                Some(Input::Queue(event)) => event,
                other => panic!("{other:?}"),
            }
        }

        async fn position(&mut self) -> (u32, u32) {
            match self.next().await {
                QueueEvent::Entered { standing, .. } | QueueEvent::Moved(standing) => {
                    (standing.position, standing.size)
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn sid() -> Sid {
        Sid::fresh(SidKind::Call)
    }

    #[tokio::test]
    async fn callers_are_told_where_they_stand_and_go_in_the_order_in_which_they_came() {
        let hall = Hall::default();
        let mut ada = hall.enter("ada", 9);
        assert_eq!(ada.position().await, (1, 1));
        let mut bob = hall.enter("bob", 9);
        assert_eq!(bob.position().await, (2, 2));
        assert_eq!(ada.position().await, (1, 2));
        let taken = hall.take();
        assert_eq!(*taken.phone(), "ada");
        assert!(matches!(ada.next().await, QueueEvent::Taken { whisper: None, .. }));
        assert_eq!(bob.position().await, (1, 1));
        ada.waiting.accept();
        assert!(taken.accepted().await);
        taken.bridged().await;
        assert_eq!(ada.next().await, QueueEvent::Bridged);
        taken.ended().await;
        assert_eq!(ada.next().await, QueueEvent::BridgeEnded);
        drop(taken);
        drop(ada.waiting);
        assert_eq!(ada.told.recv().await, None);
        assert_eq!(hall.queues.views()[0].size, 1);
    }

    #[tokio::test]
    async fn whoever_comes_when_there_is_no_place_is_told_so() {
        let hall = Hall::default();
        let ada = hall.enter("ada", 1);
        assert_eq!(hall.enter("bob", 1).next().await, QueueEvent::Full);
        drop(ada);
        assert_eq!(hall.enter("bob", 1).position().await, (1, 1));
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_while_they_are_taken_is_not_connected() {
        let hall = Hall::default();
        let ada = hall.enter("ada", 9);
        let taken = hall.take();
        assert!(hall.queues.take("sales", &sid(), None).is_none());
        drop(ada);
        assert!(!taken.accepted().await);
        taken.give_back().await;
        assert!(hall.queues.take("sales", &sid(), None).is_none());
    }

    #[tokio::test]
    async fn a_caller_who_is_given_back_is_first_again_and_can_be_taken_anew() {
        let hall = Hall::default();
        let mut ada = hall.enter("ada", 9);
        let bob = hall.enter("bob", 9);
        assert_eq!(ada.position().await, (1, 1));
        assert_eq!(ada.position().await, (1, 2));
        let taken = hall.take();
        ada.waiting.accept();
        assert!(taken.accepted().await);
        // Whoever took them has hung up.
        drop(taken);
        assert!(matches!(ada.next().await, QueueEvent::Taken { .. }));
        assert_eq!(ada.next().await, QueueEvent::GivenBack);
        let again = hall.take();
        assert_eq!(*again.phone(), "ada");
        // What they accepted before does not count.
        assert!(!*again.accepted.borrow());
        drop((again, bob));
    }

    #[tokio::test]
    async fn a_connection_that_ends_by_itself_is_told_to_whoever_was_waiting() {
        let hall = Hall::default();
        let mut ada = hall.enter("ada", 9);
        assert_eq!(ada.position().await, (1, 1));
        let taken = hall.take();
        taken.bridged().await;
        drop(taken);
        assert!(matches!(ada.next().await, QueueEvent::Taken { .. }));
        assert_eq!(ada.next().await, QueueEvent::Bridged);
        assert_eq!(ada.next().await, QueueEvent::BridgeEnded);
    }

    #[tokio::test]
    async fn queues_are_made_listed_renamed_and_removed() {
        let hall = Hall::default();
        let made = hall.queues.create("sales", 1).unwrap();
        assert_eq!(hall.queues.create("sales", 1), Err(QueueRefusal::Exists));
        let ada = hall.enter("ada", 9);
        assert_eq!(hall.enter("bob", 9).next().await, QueueEvent::Full);
        let members = hall.queues.members(&made.sid).unwrap();
        assert_eq!(members.iter().map(|member| member.position).collect::<Vec<_>>(), [1]);
        let sizes: Vec<_> = hall.queues.views().into_iter().map(|queue| (queue.sid, queue.size_max)).collect();
        assert!(sizes.contains(&(made.sid.clone(), 1)), "{sizes:?}");
        assert_eq!(hall.queues.remove(&made.sid), Err(QueueRefusal::InUse));
        assert_eq!(hall.queues.update(&made.sid, Some("help"), None), Err(QueueRefusal::InUse));
        drop(ada);
        assert_eq!(hall.queues.update(&made.sid, Some("help"), Some(2)).unwrap().name, "help");
        assert_eq!(hall.queues.remove(&made.sid), Ok(()));
        assert_eq!(hall.queues.remove(&made.sid), Err(QueueRefusal::Missing));
        assert!(hall.queues.members(&made.sid).is_none());
    }

    #[tokio::test]
    async fn the_queue_that_was_empty_longest_gives_up_its_place() {
        let hall = Hall::default();
        let busy = hall.enter("ada", 9);
        for n in 1..QUEUES_MAX {
            drop(hall.queues.admit(&format!("q{n}"), 9, (sid(), "x"), mpsc::channel(1).0));
        }
        drop(hall.queues.admit("one more", 9, (sid(), "x"), mpsc::channel(1).0));
        let names: Vec<_> = hall.queues.views().into_iter().map(|view| view.name).collect();
        assert_eq!(names.len(), QUEUES_MAX);
        assert!(names.contains(&"sales".to_owned()) && !names.contains(&"q1".to_owned()));
        drop(busy);
    }
}
