//! One conference that is on: whoever takes part, its room, and what follows from each change.
//!
//! Nothing here waits: whatever takes time (a tone, a recording, following the room) is a task of its own, and ends with
//! the conference.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bot::{
    actor::RoomHandle,
    event::RoomEvent,
    ivr::{
        twiml::{ConferenceEvents, ConferenceRoom},
        webhook::{Endpoint, Notify, Params},
    },
    room::Room,
};
use media::{
    bridge::{LegEvent, LegId, Plan},
    dsp::tone::{Generator, Tone},
    frame::MOUTH_HZ,
    graph::node::Event,
    id::ParticipantId,
};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Change, Conferences, Missing, NotAnnounced, Notifier, ParticipantView, Seats, View, Wanted, Wish,
    announce::Announcement,
    callback::{self, About, End, Happened, Participant},
    meeting::{Manner, Meeting, Member, MemberId, Outcome, Presence, Why},
    record::{self, RecordingWish},
};
use crate::{
    app::App,
    error::ApiError,
    phone::{
        call::Phone,
        recordings::Recorded,
        sid::{NO_ACCOUNT, Sid, SidKind},
    },
    sound::RoomSound,
    speaker::{Abandoned, Pace, Speaker},
};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 64;

/// How much softer than other tones the one is that tells of somebody: it is heard under the talk.
const BEEP_GAIN_DB: f32 = -10.0;

/// How long the end of that tone is waited for: the mouth's 400 ms, and room for a busy engine.
const BEEP_WITHIN: Duration = Duration::from_secs(2);

/// Announcements that are made at once: to a few people one by one, or to all.
const ANNOUNCEMENTS: usize = 4;

/// A leg that no room ever has: nobody hears whom it alone is to hear.
const NOBODY: LegId = LegId(u64::MAX);

/// Samples that are made at a time: 20 ms.
const BLOCK: usize = MOUTH_HZ as usize / 50;

/// A conference that is on.
pub(super) struct Conference {
    app: App,
    recorded: Recorded,
    sid: Sid,
    name: String,
    room: RoomHandle,
    account: String,
    meeting: Meeting,
    people: BTreeMap<MemberId, Person>,
    created: SystemTime,
    /// How much was told of it.
    told: u64,
    /// Who is told what happens: as the first had it who wanted that.
    callback: Option<(Endpoint, ConferenceEvents, Notifier)>,
    /// How it is recorded: as the first had it who wanted that.
    recording: Option<RecordingWish>,
    is_recorded: bool,
    is_beeping: Arc<AtomicBool>,
    /// Places for announcements.
    announcing: Arc<Semaphore>,
    /// The call with which it was to end.
    ender: Option<Sid>,
    ended: Option<(SystemTime, Why)>,
    over: CancellationToken,
}

/// One who takes part.
pub(super) struct Person {
    pub(super) call: Sid,
    pub(super) phone: Option<Phone>,
    pub(super) label: Option<String>,
    pub(super) joined: SystemTime,
    /// Where they are to be; their menu is told.
    pub(super) whereabouts: watch::Sender<Whereabouts>,
    /// Who they are in the room, once they were in it.
    pub(super) participant: Option<ParticipantId>,
    /// What they hear while they are held, where somebody named that.
    pub(super) music: Option<Endpoint>,
    /// Whom they coach.
    pub(super) coaches: Option<Sid>,
}

/// Where somebody is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whereabouts {
    pub(super) presence: Presence,
    /// What they hear there, instead of what their document named for waiting.
    pub(super) music: Option<Endpoint>,
}

/// One who is in the room and coaches, with whoever alone is to hear them.
pub(super) struct Whisper {
    pub(super) phone: Phone,
    pub(super) listener: LegId,
    pub(super) is_muted: bool,
}

/// A caller's place in a conference.
pub(super) struct Place {
    pub(super) sid: Sid,
    pub(super) id: MemberId,
}

/// What the task needs that follows a conference's room.
pub(super) struct Following {
    sid: Sid,
    name: String,
    room: RoomHandle,
    over: CancellationToken,
}

impl Conference {
    pub(super) fn open(app: &App, recorded: &Recorded, name: &str) -> Result<Self, ApiError> {
        Ok(Self {
            app: app.clone(),
            recorded: recorded.clone(),
            sid: Sid::fresh(SidKind::Conference),
            name: name.to_owned(),
            room: app.room_called(name)?,
            account: app.config().twilio.account_sid.clone().unwrap_or_else(|| NO_ACCOUNT.to_owned()),
            meeting: Meeting::default(),
            people: BTreeMap::new(),
            created: app.clock().wall(),
            told: 0,
            callback: None,
            recording: None,
            is_recorded: false,
            is_beeping: Arc::default(),
            announcing: Arc::new(Semaphore::new(ANNOUNCEMENTS)),
            ender: None,
            ended: None,
            over: CancellationToken::new(),
        })
    }

    pub(super) fn following(&self) -> Following {
        Following { sid: self.sid.clone(), name: self.name.clone(), room: self.room.clone(), over: self.over.clone() }
    }

    /// Lets somebody take part; nothing when it is full.
    pub(super) fn join(&mut self, seats: &mut Seats, person: Person, wish: Wish, notifier: Notifier) -> Option<Place> {
        let Wish { room, callback, recording_callback } = wish;
        self.count_guests(seats);
        let manner = manner(&room, &person.call);
        let Some((id, outcomes)) = self.meeting.join(manner, room.max_participants) else {
            tracing::info!(call = %person.call, conference = %self.sid, "a conference is full");
            return None;
        };
        self.people.insert(id, person);
        if let (None, Some(to), Some((_, events))) = (&self.callback, callback, &room.callback) {
            self.callback = Some((to, *events, notifier.clone()));
        }
        if self.recording.is_none() && room.record {
            let events = room.recording_callback.as_ref().map(|callback| callback.events);
            let callback = recording_callback.zip(events).map(|(to, events)| (to, events, notifier));
            self.recording = Some(RecordingWish { is_trimmed: room.trim, callback });
        }
        self.carry_out(outcomes);
        self.record();
        Some(Place { sid: self.sid.clone(), id })
    }

    /// Changes who takes part, and how, and does what follows.
    pub(super) fn act(&mut self, change: impl FnOnce(&mut Meeting) -> Vec<Outcome>) {
        let outcomes = change(&mut self.meeting);
        self.carry_out(outcomes);
    }

    /// Changes how somebody takes part, and what they hear and who hears them.
    pub(super) fn change(&mut self, id: MemberId, change: Change, wanted: Wanted) {
        let Wanted { music, coaches } = wanted;
        if let Some(person) = self.people.get_mut(&id) {
            if change.hold.is_some() || music.is_some() {
                // What was named for one time holds for that time.
                person.music = music;
            }
            if let Some(coaches) = coaches {
                person.coaches = coaches;
            }
        }
        self.act(|meeting| meeting.change(id, change));
        // Who waited already, and is held now, stays where they are and hears something else.
        if let Some(member) = self.meeting.member(id) {
            self.place(id, member.presence);
        }
    }

    /// What everybody in the room, or the one with this call, is to hear.
    pub(super) fn announcement(&self, call: Option<&Sid>, to: Endpoint) -> Result<Announcement, NotAnnounced> {
        let mut params = Params::default();
        params.push("AccountSid", self.account.as_str());
        params.push("ConferenceSid", self.sid.as_str());
        params.push("FriendlyName", self.name.as_str());
        let mut heard_by = None;
        if let Some(call) = call {
            params.push("CallSid", call.as_str());
            let id = self.id_of(call).ok_or(Missing)?;
            heard_by = Some(self.leg_of(id).ok_or(NotAnnounced::NotHere)?);
        }
        let place = self.announcing.clone().try_acquire_owned().map_err(|_| NotAnnounced::Busy)?;
        let (app, sound, over) = (self.app.clone(), self.app.sound(&self.room), self.over.clone());
        Ok(Announcement { app, to, params, sound, heard_by, over, place })
    }

    /// Those who are in the room and coach somebody.
    pub(super) fn whispers(&self) -> Vec<Whisper> {
        let coaches = self.people.iter().filter_map(|(id, person)| {
            let coached = person.coaches.as_ref()?;
            self.leg_of(*id)?;
            // While the one they coach is not in the room, nobody hears them.
            let listener = self.id_of(coached).and_then(|id| self.leg_of(id)).unwrap_or(NOBODY);
            let is_muted = self.meeting.member(*id)?.manner.is_muted;
            Some(Whisper { phone: person.phone.clone()?, listener, is_muted })
        });
        coaches.collect()
    }

    /// The leg of somebody who is in the room.
    fn leg_of(&self, id: MemberId) -> Option<LegId> {
        let participant = self.people.get(&id)?.participant?;
        let members = self.app.sound(&self.room).members();
        members.iter().find(|member| member.participant == participant).map(|member| member.leg)
    }

    /// Says where somebody is to be.
    fn place(&self, id: MemberId, presence: Presence) {
        let Some(person) = self.people.get(&id) else { return };
        let is_held = self.meeting.member(id).is_some_and(|member| member.is_held);
        let music = person.music.clone().filter(|_| is_held && presence == Presence::Waiting);
        let now = Whereabouts { presence, music };
        person.whereabouts.send_if_modified(|known| {
            let is_new = *known != now;
            *known = now;
            is_new
        });
    }

    /// Looks who is in the room without taking part by a document.
    pub(super) fn count_guests(&mut self, seats: &mut Seats) {
        let here = self.room.read(Room::participants);
        let seats = seats.entry(self.room.id()).or_default();
        seats.retain(|seat| here.iter().any(|person| person.id == *seat));
        let guests = here.len() - seats.len();
        self.act(|meeting| meeting.guests(guests));
    }

    /// Somebody who takes part is in the room now, as `participant`.
    pub(super) fn is_seated(&mut self, id: MemberId, participant: ParticipantId, seats: &mut Seats) {
        seats.entry(self.room.id()).or_default().insert(participant);
        if let Some(person) = self.people.get_mut(&id) {
            person.participant = Some(participant);
        }
        self.count_guests(seats);
    }

    pub(super) fn sid(&self) -> &Sid {
        &self.sid
    }

    pub(super) fn room(&self) -> RoomHandle {
        self.room.clone()
    }

    pub(super) fn phone(&self, id: MemberId) -> Option<Phone> {
        self.people.get(&id)?.phone.clone()
    }

    pub(super) fn id_of(&self, call: &Sid) -> Option<MemberId> {
        self.people.iter().find(|(_, person)| person.call == *call).map(|(id, _)| *id)
    }

    /// Whether nobody takes part by a document.
    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Ends its tasks: nobody ever took part.
    pub(super) fn forget(&self) {
        self.over.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn view(&self) -> View {
        let why = self.ended.map(|(_, why)| why);
        View {
            sid: self.sid.clone(),
            name: self.name.clone(),
            status: match (self.ended, self.meeting.has_begun()) {
                (Some(_), _) => "completed",
                (None, true) => "in-progress",
                (None, false) => "init",
            },
            created: self.created,
            ended: self.ended.map(|(at, _)| at),
            reason: why.map(reason),
            ended_by: self.ender.clone().filter(|_| matches!(why, Some(Why::EndedBy(_)))),
            room: self.room.id(),
        }
    }

    pub(super) fn participants(&self) -> Vec<ParticipantView> {
        self.people.keys().filter_map(|id| self.participant(*id)).collect()
    }

    pub(super) fn participant(&self, id: MemberId) -> Option<ParticipantView> {
        let (person, member) = (self.people.get(&id)?, self.meeting.member(id)?);
        Some(ParticipantView {
            call: person.call.clone(),
            label: person.label.clone(),
            is_muted: member.manner.is_muted,
            is_held: member.is_held,
            start_on_enter: member.manner.starts,
            end_on_exit: member.manner.ends,
            is_waiting: member.presence == Presence::Waiting,
            coaches: person.coaches.clone(),
            joined: person.joined,
        })
    }

    fn carry_out(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Move(id, presence) => self.place(id, presence),
                Outcome::Joined(id) => self.tell_of(id, |_| Happened::Join),
                Outcome::Went(id, member) => self.went(id, member),
                Outcome::Muted(id) => {
                    self.tell_of(id, |member| if member.manner.is_muted { Happened::Mute } else { Happened::Unmute });
                }
                Outcome::Held(id) => {
                    self.tell_of(id, |member| if member.is_held { Happened::Hold } else { Happened::Unhold });
                }
                Outcome::Modified(id) => self.tell_of(id, |_| Happened::Modify),
                Outcome::Beep => self.beep(),
                Outcome::Begun => {
                    tracing::info!(conference = %self.sid, room = %self.room.id(), "a conference begins");
                    self.tell(Happened::Start, None, None);
                    self.record();
                }
                Outcome::Over(why) => self.finish(why),
            }
        }
    }

    fn went(&mut self, id: MemberId, member: Member) {
        let Some(person) = self.people.remove(&id) else { return };
        if member.manner.ends {
            self.ender.get_or_insert_with(|| person.call.clone());
        }
        let who = Participant { call: person.call.as_str(), label: person.label.as_deref(), member };
        self.tell(Happened::Leave, Some(who), None);
    }

    fn finish(&mut self, why: Why) {
        tracing::info!(conference = %self.sid, why = reason(why), "a conference is over");
        self.ended = Some((self.app.clock().wall(), why));
        self.over.cancel();
        let by = self.ender.clone().filter(|_| matches!(why, Why::EndedBy(_)));
        self.tell(Happened::End, None, Some(End { by: by.as_ref().map(Sid::as_str), reason: reason(why) }));
    }

    fn tell_of(&mut self, id: MemberId, what: impl FnOnce(&Member) -> Happened) {
        let (Some(member), Some(person)) = (self.meeting.member(id), self.people.get(&id)) else { return };
        let (call, label) = (person.call.clone(), person.label.clone());
        let who = Participant { call: call.as_str(), label: label.as_deref(), member };
        self.tell(what(&member), Some(who), None);
    }

    fn tell(&mut self, happened: Happened, who: Option<Participant<'_>>, end: Option<End<'_>>) {
        let Some((to, _, notifier)) = self.callback.as_ref().filter(|(_, events, _)| happened.is_wanted(*events))
        else {
            return;
        };
        self.told += 1;
        let about = About {
            account: &self.account,
            sid: self.sid.as_str(),
            name: &self.name,
            sequence: self.told,
            at: self.app.clock().wall(),
        };
        let params = callback::event(about, happened, who, end);
        notifier(Notify { to: to.clone(), params });
    }

    /// Says that somebody who takes part speaks, or has stopped.
    fn speaks(&mut self, participant: ParticipantId, happened: Happened) {
        let spoke = self.people.iter().find(|(_, person)| person.participant == Some(participant));
        if let Some(id) = spoke.map(|(id, _)| *id) {
            self.tell_of(id, |_| happened);
        }
    }

    /// Begins its recording, where one is wanted and it has begun itself.
    fn record(&mut self) {
        if self.is_recorded || !self.meeting.has_begun() || self.is_over() {
            return;
        }
        let Some(wish) = self.recording.clone() else { return };
        self.is_recorded = true;
        let task = record::Task {
            app: self.app.clone(),
            recorded: self.recorded.clone(),
            room: self.room.clone(),
            conference: self.sid.clone(),
            account: self.account.clone(),
            wish,
            over: self.over.clone(),
        };
        tokio::spawn(task.run());
    }

    /// A tone, unless there is one already.
    fn beep(&self) {
        if self.is_beeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let (sound, is_beeping, sid) = (self.app.sound(&self.room), self.is_beeping.clone(), self.sid.clone());
        tokio::spawn(async move {
            if let Err(error) = beep(&sound).await {
                tracing::info!(conference = %sid, %error, "a conference has no tone");
            }
            is_beeping.store(false, Ordering::Release);
        });
    }
}

/// Follows a conference's room until the conference is over: who comes and goes by other ways, and who speaks.
pub(super) async fn follow(conferences: Conferences, app: App, following: Following) {
    let Following { sid, name, mut room, over } = following;
    loop {
        let mut log = room.follow(Some(room.read(Room::last_seq)));
        loop {
            // Cancel-safe: an entry that is not taken is taken the next time.
            let entries = tokio::select! {
                () = over.cancelled() => return,
                entries = log.next(ENTRIES) => entries,
            };
            let entries = match entries {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => entries,
                Err(fell_off) => {
                    log = room.follow(Some(fell_off.resume));
                    Vec::new()
                }
            };
            let looked = conferences.with_seats(sid.as_str(), |conference, seats| {
                for entry in &entries {
                    match &entry.event {
                        RoomEvent::SpeechStarted { participant, .. } => {
                            conference.speaks(*participant, Happened::SpeechStart);
                        }
                        RoomEvent::SpeechEnded { participant, .. } => {
                            conference.speaks(*participant, Happened::SpeechStop);
                        }
                        _ => {}
                    }
                }
                conference.count_guests(seats);
                Some(())
            });
            if looked.is_err() {
                return;
            }
        }
        // The room was closed. Where nobody was in it, it was empty for too long: those who wait need another.
        let reopened = conferences.within(sid.as_str(), |conference| {
            let another = if conference.meeting.is_in_use() { None } else { app.room_called(&name).ok() };
            match &another {
                Some(room) => conference.room = room.clone(),
                None => conference.act(|meeting| meeting.end(Why::Ordered)),
            }
            another
        });
        match reopened {
            Ok(another) => room = another,
            Err(_) => return,
        }
    }
}

fn manner(room: &ConferenceRoom, call: &Sid) -> Manner {
    let has_no_pupil = room.coach.as_ref().is_some_and(|coached| coached.parse::<Sid>().is_err());
    if has_no_pupil {
        tracing::warn!(%call, "who is to be coached is named by no call's sid: who asks for it listens, muted");
    }
    Manner {
        starts: room.start_on_enter,
        ends: room.end_on_exit,
        beep: room.beep,
        is_muted: room.muted || has_no_pupil,
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::LastLeft => "last-participant-left",
        Why::EndedBy(_) => "participant-with-end-conference-on-exit-left",
        Why::Ordered => "conference-ended-via-api",
    }
}

/// Why there was no tone.
#[derive(Debug, thiserror::Error)]
enum NoBeep {
    #[error(transparent)]
    Bridge(#[from] media::bridge::BridgeError),
    #[error(transparent)]
    Abandoned(#[from] Abandoned),
}

/// A tone that everybody in the room hears, to its end.
async fn beep(sound: &RoomSound) -> Result<(), NoBeep> {
    let (playout, mut speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
    let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
    let mut leg = sound.bridge().join(plan).await?;
    leg.gain_db(BEEP_GAIN_DB);
    let mut generator = Generator::new(Tone::Beep, MOUTH_HZ);
    let mut block = [0.0; BLOCK];
    while generator.write(&mut block) {
        speaker.speak(1, &block).await?;
    }
    speaker.mark(1, 1).await?;
    let heard = async {
        while let Some(event) = leg.events.recv().await {
            if matches!(event, LegEvent::Source { event: Event::MarkPlayed(_), .. }) {
                break;
            }
        }
    };
    // A mark that was dropped on its way is as good as played by then.
    let _ = tokio::time::timeout(BEEP_WITHIN, heard).await;
    Ok(())
}
