//! Conferences in real rooms, without telephones: what menus are told, and what is told of the conference.

use bot::ivr::{
    twiml::{Beep, ConferenceEvents, Link, Reference},
    webhook::Method,
};

use super::*;
use crate::{auth::keys::KeyRing, config::Config, engine::NoEars, phone::sid::SidKind};

struct Hall {
    app: App,
    conferences: Conferences,
    recorded: Recorded,
    notified: Arc<Mutex<Vec<Notify>>>,
}

struct Caller {
    call: Sid,
    attending: Attending,
    told: mpsc::Receiver<Input>,
}

impl Hall {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let keys = KeyRing::load(data.path(), &[]).unwrap();
        let app = App::new(Config::default(), Err(NoEars(String::new())), keys).unwrap();
        let (conferences, recorded) = (Conferences::default(), Recorded::default());
        Self { app, conferences, recorded, notified: Arc::default() }
    }

    fn join(&self, change: impl FnOnce(&mut ConferenceRoom)) -> Caller {
        let mut room = ConferenceRoom {
            name: "weekly".to_owned(),
            muted: false,
            beep: Beep::Never,
            start_on_enter: true,
            end_on_exit: false,
            wait: None,
            max_participants: 250,
            record: false,
            trim: false,
            coach: None,
            label: None,
            callback: None,
            recording_callback: None,
        };
        change(&mut room);
        let callback = room
            .callback
            .is_some()
            .then(|| Endpoint { url: url::Url::parse("https://app.example/events").unwrap(), method: Method::Post });
        let wish = Wish { room, callback, recording_callback: None };
        let (told, heard) = mpsc::channel(64);
        let call = Sid::fresh(SidKind::Call);
        let notified = self.notified.clone();
        let notifier: Notifier = Arc::new(move |notify| notified.lock().unwrap().push(notify));
        let who = Who { call: call.clone(), phone: None };
        let attending = self.conferences.admit(&self.app, &self.recorded, who, wish, told, notifier);
        Caller { call, attending, told: heard }
    }

    fn notified(&self) -> Vec<(String, Option<String>)> {
        let notified = self.notified.lock().unwrap();
        let value = |notify: &Notify, name: &str| notify.params.value(name).map(str::to_owned);
        notified
            .iter()
            .map(|notify| (value(notify, "StatusCallbackEvent").unwrap(), value(notify, "CallSid")))
            .collect()
    }
}

impl Caller {
    async fn next(&mut self) -> ConferenceEvent {
        match self.told.recv().await {
            Some(Input::Conference(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn joins(&mut self) -> bool {
        match self.next().await {
            ConferenceEvent::Joined { is_waiting, .. } => is_waiting,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_first_waits_for_company_and_waits_again_when_it_has_gone() {
    let hall = Hall::new();
    let mut ada = hall.join(|_| {});
    assert!(ada.joins().await);
    let mut bob = hall.join(|_| {});
    assert!(!bob.joins().await);
    assert_eq!(ada.next().await, ConferenceEvent::Started);
    assert_eq!(hall.conferences.view("weekly").unwrap().status, "in-progress");
    bob.attending.leave().await;
    assert_eq!(ada.next().await, ConferenceEvent::Waiting);
    drop(ada.attending);
    let view = &hall.conferences.views()[0];
    assert_eq!((view.status, view.reason), ("completed", Some("last-participant-left")));
    assert_eq!(hall.conferences.participants(view.sid.as_str()), Ok(Vec::new()));
    assert_eq!(hall.conferences.participants("weekly"), Err(Missing));
    // The next of that name is another.
    let mut ada = hall.join(|_| {});
    assert!(ada.joins().await);
    assert_ne!(hall.conferences.view("weekly").unwrap().sid, view.sid);
}

#[tokio::test]
async fn all_are_out_when_somebody_goes_with_whom_it_ends_and_whoever_is_too_many_is_not_let_in() {
    let hall = Hall::new();
    let mut ada = hall.join(|_| {});
    let host = hall.join(|room| room.end_on_exit = true);
    let mut third = hall.join(|room| room.max_participants = 2);
    assert_eq!(third.next().await, ConferenceEvent::Left);
    // What happened before the menu listened is one thing.
    assert!(!ada.joins().await);
    let call = host.call.clone();
    drop(host.attending);
    assert_eq!(ada.next().await, ConferenceEvent::Left);
    assert_eq!(ada.told.recv().await, None);
    let view = &hall.conferences.views()[0];
    assert_eq!((view.status, view.ended_by.as_ref()), ("completed", Some(&call)));
}

#[tokio::test]
async fn somebody_in_the_room_by_another_way_is_company_until_they_leave() {
    let hall = Hall::new();
    let room = hall.app.room_called("weekly").unwrap();
    let mut ada = hall.join(|room| room.start_on_enter = false);
    assert!(ada.joins().await);
    let seat = room.join("Browser").await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Started);
    drop(seat);
    assert_eq!(ada.next().await, ConferenceEvent::Waiting);
    // Two others are there, and two may be: whoever comes first is one too many.
    drop(ada.attending);
    let seats = [room.join("One").await.unwrap(), room.join("Two").await.unwrap()];
    let mut late = hall.join(|room| room.max_participants = 2);
    assert_eq!(late.next().await, ConferenceEvent::Left);
    assert!(hall.conferences.view("weekly").is_none());
    drop(seats);
    let mut ada = hall.join(|room| room.start_on_enter = false);
    while !ada.joins().await {
        // Those two have not left yet.
        drop(ada.attending);
        ada = hall.join(|room| room.start_on_enter = false);
    }
    // Whoever takes part by a document is no guest in the room.
    let seat = room.join("Ada").await.unwrap();
    let place = ada.attending.place.as_ref().unwrap();
    let seated = hall.conferences.with_seats(place.sid.as_str(), |conference, seats| {
        conference.is_seated(place.id, seat.participant(), seats);
        Some(conference.participant(place.id)?.is_waiting)
    });
    assert_eq!(seated, Ok(true));
}

#[tokio::test]
async fn those_who_wait_keep_their_conference_when_its_room_was_empty_for_too_long() {
    let hall = Hall::new();
    let mut ada = hall.join(|_| {});
    assert!(ada.joins().await);
    let before = hall.conferences.view("weekly").unwrap();
    hall.app.room_called("weekly").unwrap().close().await;
    // Whoever comes next meets them in another room.
    let after = loop {
        let view = hall.conferences.view("weekly").unwrap();
        if view.room != before.room {
            break view;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(after.sid, before.sid);
    let mut bob = hall.join(|_| {});
    assert!(!bob.joins().await);
    assert_eq!(ada.next().await, ConferenceEvent::Started);
    // One that people are in ends with its room.
    hall.app.room_called("weekly").unwrap().close().await;
    assert_eq!(ada.next().await, ConferenceEvent::Left);
    assert_eq!(bob.next().await, ConferenceEvent::Left);
}

#[tokio::test]
async fn participants_are_listed_muted_held_and_taken_out() {
    let hall = Hall::new();
    let mut ada = hall.join(|room| room.label = Some("boss".to_owned()));
    let mut bob = hall.join(|room| room.coach = Some("CA1".to_owned()));
    assert!(!bob.joins().await);
    assert!(!ada.joins().await);
    let people = hall.conferences.participants("weekly").unwrap();
    assert_eq!(people.iter().map(|who| who.is_muted).collect::<Vec<_>>(), [false, true]);
    assert_eq!(people[0].label.as_deref(), Some("boss"));
    let change = Change { muted: Some(true), hold: Some(true), end_on_exit: Some(true) };
    let view = hall.conferences.change("weekly", &ada.call, change, Wanted::default()).await.unwrap();
    assert!(view.is_muted && view.is_held && view.end_on_exit && view.is_waiting);
    assert_eq!(ada.next().await, ConferenceEvent::Waiting);
    let back = Change { hold: Some(false), ..Change::default() };
    hall.conferences.change("weekly", &ada.call, back, Wanted::default()).await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Started);
    hall.conferences.kick("weekly", &bob.call).unwrap();
    assert_eq!(bob.next().await, ConferenceEvent::Left);
    assert_eq!(hall.conferences.kick("weekly", &bob.call), Err(Missing));
    assert!(bob.attending.enter().await.is_err());
    hall.conferences.end("weekly").unwrap();
    assert_eq!(hall.conferences.end("weekly"), Err(Missing));
    assert_eq!(hall.conferences.views()[0].reason, Some("conference-ended-via-api"));
}

#[tokio::test]
async fn who_is_held_hears_what_was_named_for_this_time_and_who_coaches_is_shown_with_whom() {
    let hall = Hall::new();
    let mut ada = hall.join(|_| {});
    let pupil = ada.call.to_string();
    let mut bob = hall.join(|room| room.coach = Some(pupil));
    assert!(!bob.joins().await && !ada.joins().await);
    let people = hall.conferences.participants("weekly").unwrap();
    assert_eq!(people.iter().map(|who| who.coaches.clone()).collect::<Vec<_>>(), [None, Some(ada.call.clone())]);
    assert!(people.iter().all(|who| !who.is_muted), "the one whom they coach hears them");
    let url = url::Url::parse("https://app.example/hold").unwrap();
    let music = Endpoint { url, method: Method::Get };
    let hold = |is_held| Change { hold: Some(is_held), ..Change::default() };
    let named = Wanted { music: Some(music.clone()), ..Wanted::default() };
    hall.conferences.change("weekly", &ada.call, hold(true), named.clone()).await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Held(music.clone()));
    hall.conferences.change("weekly", &ada.call, hold(false), Wanted::default()).await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Started);
    hall.conferences.change("weekly", &ada.call, hold(true), Wanted::default()).await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Waiting);
    // Who is held already hears something else from now on.
    hall.conferences.change("weekly", &ada.call, Change::default(), named).await.unwrap();
    assert_eq!(ada.next().await, ConferenceEvent::Held(music.clone()));
    let alone = Wanted { coaches: Some(None), ..Wanted::default() };
    let view = hall.conferences.change("weekly", &bob.call, Change::default(), alone).await.unwrap();
    assert_eq!(view.coaches, None);
    // Nobody of them is in the room, so nobody hears what is for them alone; and no more than a few are made at once.
    let announce = |call: Option<&Sid>| hall.conferences.announce("weekly", call, music.clone());
    assert_eq!(announce(Some(&ada.call)), Err(NotAnnounced::NotHere));
    assert_eq!(announce(Some(&Sid::fresh(SidKind::Call))), Err(NotAnnounced::Missing(Missing)));
    assert_eq!(hall.conferences.announce("nobody's", None, music.clone()), Err(NotAnnounced::Missing(Missing)));
    let begun: Vec<_> = (0..5).map(|_| announce(None)).collect();
    assert_eq!(begun, [Ok(()), Ok(()), Ok(()), Ok(()), Err(NotAnnounced::Busy)]);
}

#[tokio::test]
async fn whoever_asked_first_is_told_what_happens_and_only_what_they_asked_for() {
    let hall = Hall::new();
    let link = Link { to: Reference("https://app.example/events".to_owned()), method: Method::Post };
    let asks = |events: ConferenceEvents| {
        let link = link.clone();
        move |room: &mut ConferenceRoom| room.callback = Some((link, events))
    };
    let events = ConferenceEvents { start: true, end: true, join: true, leave: true, ..ConferenceEvents::default() };
    let ada = hall.join(asks(events));
    let bob = hall.join(asks(ConferenceEvents { mute: true, ..ConferenceEvents::default() }));
    let mute = Change { muted: Some(true), ..Change::default() };
    hall.conferences.change("weekly", &bob.call, mute, Wanted::default()).await.unwrap();
    let (a, b) = (Some(ada.call.to_string()), Some(bob.call.to_string()));
    drop(bob.attending);
    drop(ada.attending);
    let event = |name: &str, call: &Option<String>| (name.to_owned(), call.clone());
    assert_eq!(
        hall.notified(),
        [
            event("participant-join", &a),
            event("participant-join", &b),
            event("conference-start", &None),
            event("participant-leave", &b),
            event("participant-leave", &a),
            event("conference-end", &None),
        ]
    );
    let notified = hall.notified.lock().unwrap();
    let numbers: Vec<_> = notified.iter().filter_map(|notify| notify.params.value("SequenceNumber")).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
}
