//! A participant with sound: a seat in the room, a leg of its bridge, and ears that hear what the leg says.
//!
//! A transport makes a source and a sink and calls [`join`]; the room announces the participant before anybody
//! hears them. One task a call carries what goes between room and leg: mute, consent and being sent out come
//! from the seat's standing, keys that are pressed go to the room, and the words of the ears go there too. The
//! call ends when its transport drops it, when the participant is sent out, when the room closes, or when the
//! server drains; the leg falls silent at once then, the last words still come out, and the participant leaves.
//! Nothing here is real time, and nothing waits for a transport.

mod listening;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use asr::{diarize::Diarization, pool::StreamConfig, recognizer::Hints};
use bot::{
    actor::{JoinError, RoomHandle, Seat},
    participant::{Kind, Newcomer, Standing, Timeline, may_be_captured},
};
use media::{
    bridge::{Bridge, BridgeError, Leg, LegControl, LegEvent, LegId, Plan},
    graph::node::{Control, Event, Node},
    id::ParticipantId,
    rtp::dtmf,
    time::MediaTime,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::listening::{Expected, Finalize, Listening};
use crate::{admission::Place, app::App, error::ApiError, known_voices::Known, sound::Presence, telemetry};

/// A pause after which an utterance is settled: short enough to read along, long enough to draw a breath.
pub const ENDPOINTING_MS: u32 = 400;

/// The same where an agent waits for the end of a turn: what it says soon is heard as attention, and what it says into
/// a breath it takes back.
pub(crate) const ENDPOINTING_MS_OF_AGENTS: u32 = 250;

/// Silence after which it is scored whether somebody is done, where an agent waits for that: what the model learned from.
pub(crate) const TURN_AFTER_MS: u32 = 200;

/// Events of a leg that wait for its transport. A leg has a handful a second; when the transport does not look,
/// the newest are dropped and counted.
const EVENTS_MAX: usize = 64;

/// Keys that wait to be told to the room; nobody presses so many at once, and when somebody does the newest are
/// dropped and counted.
const KEYS_MAX: usize = 32;

/// Who joins, and with what.
pub struct Wish {
    /// What the room calls them; `Speaker` when empty.
    pub name: String,
    /// How they come.
    pub kind: Kind,
    /// Whether they agreed to be recorded; `None` when nobody asked them.
    pub consent: Option<bool>,
    /// Language and key terms, for the ears.
    pub hints: Hints,
    /// Silence that closes an utterance, in milliseconds.
    pub endpointing_ms: u32,
    /// Whether their words are wanted.
    pub words: Words,
    /// Where their voice comes from, as in [`Plan`].
    pub source: Option<Box<dyn Node>>,
    /// Where what they hear goes, as in [`Plan`].
    pub sink: Option<Box<dyn Node>>,
    /// Ticks per second in which the source says how long keys were pressed: its codec's RTP clock.
    pub key_ticks_hz: u32,
    /// Whether noise is taken out of their voice.
    pub suppress_noise: bool,
    /// Whether they hear themselves.
    pub hears_itself: bool,
    /// Whether several people may be on the line: the ears tell their voices apart then, and know those who are known
    /// here.
    pub diarize: bool,
}

/// Whether somebody's words are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Yes, where there is a model: takes a place of the recognizer.
    Wanted,
    /// No: somebody who only listens, or their own echo.
    NotWanted,
}

/// Why a call ends although its transport goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The room was deleted.
    RoomClosed,
    /// Somebody sent the participant out.
    SentOut,
    /// The server shuts down.
    Draining,
}

/// A call that is on. Dropping it is hanging up.
pub struct Call {
    participant: ParticipantId,
    room: RoomHandle,
    is_transcribed: bool,
    control: LegControl,
    bridge: Bridge,
    events: mpsc::Receiver<LegEvent>,
    finalize: Arc<Finalize>,
    expected: Arc<Expected>,
    progress: Arc<Progress>,
    keys: Keys,
    fate: Fate,
    hang_up: DropGuard,
    /// Closed when the participant has left.
    gone: watch::Receiver<()>,
}

/// Keys that a transport hears of in messages of its own, where sound brings none. Cheap to clone; does nothing once
/// the call is over.
#[derive(Clone, Debug)]
pub struct Keys(mpsc::Sender<dtmf::Key>);

impl Keys {
    /// Tells the room that the participant pressed `key` just now.
    pub fn press(&self, key: dtmf::Key) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.try_send(key) {
            metrics::counter!("harmony_drops_total", "crossing" => "call_keys").increment(1);
        }
    }
}

/// Lets somebody in.
///
/// # Errors
/// 503 when every place is taken, the room or the engine is full, or the server drains; 404 when the room was
/// closed. Nothing was taken then. Without a model it is no error: nobody listens to the words then.
pub async fn join(app: &App, room: &RoomHandle, wish: Wish) -> Result<Call, ApiError> {
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    let is_wanted = wish.words == Words::Wanted && wish.source.is_some();
    let ears = app.ears().ok().filter(|_| is_wanted).cloned();
    let place = ears.as_ref().map(|_| app.admission().stream()).transpose()?;
    let known = if wish.diarize && ears.is_some() { Some(known_voices(app).await) } else { None };
    let name = if wish.name.is_empty() { "Speaker".to_owned() } else { wish.name };
    let newcomer = Newcomer {
        name,
        kind: wish.kind,
        consent: wish.consent,
        is_transcribed: ears.is_some(),
        timeline: Timeline::Rooms,
        known_voices: known.iter().flat_map(|known| &known.names).map(ToString::to_string).collect(),
    };
    // Announced before it is heard: the seat comes before the leg.
    let seat = room.join(newcomer).await.map_err(|error| match error {
        JoinError::Crowded(_) => ApiError::full(error.to_string()),
        JoinError::Closed(_) => ApiError::not_found("the room was closed"),
    })?;
    let sound = app.sound(room);
    let may_be_captured = may_be_captured(room.settings().consent_required, wish.consent);
    let plan = Plan {
        source: wish.source,
        sink: wish.sink,
        ears: ears.is_some(),
        suppress_noise: wish.suppress_noise,
        hears_itself: wish.hears_itself,
        is_muted: false,
        may_be_captured,
        heard_by: None,
    };
    let mut leg = sound.bridge().join(plan).await?;
    let participant = seat.participant();
    let name = room.read(|room| room.participant(participant)).map_or_else(|| "".into(), |who| who.name);
    let presence = sound.enter(crate::sound::Member { participant, name, leg: leg.id(), levels: leg.levels() });

    let hang_up = CancellationToken::new();
    let fate = Fate { room: room.clone(), standing: seat.standing(), shutdown: app.shutdown().clone() };
    let finalize = Arc::new(Finalize::default());
    let expected = Arc::new(Expected::default());
    let progress = Arc::new(Progress::default());
    let is_transcribed = ears.is_some();
    let talks = app.agents().is_in(room.id());
    let endpointing_ms = if talks { ENDPOINTING_MS_OF_AGENTS.min(wish.endpointing_ms) } else { wish.endpointing_ms };
    let listening = leg.take_ears().zip(ears).map(|(reader, ears)| Listening {
        reader,
        ears,
        config: StreamConfig {
            hints: wish.hints,
            partials: true,
            endpointing_ms,
            starts_at: MediaTime::ZERO,
            live: true,
            turn_after_ms: talks.then_some(TURN_AFTER_MS),
            diarization: known.map(|known| Diarization { known: known.prints, expected: None }),
        },
        bridge: sound.bridge().clone(),
        finalize: finalize.clone(),
        expected: expected.clone(),
        progress: progress.clone(),
        hang_up: hang_up.clone(),
    });
    let (to_transport, events) = mpsc::channel(EVENTS_MAX);
    let (keys, pressed) = mpsc::channel(KEYS_MAX);
    let (has_left, gone) = watch::channel(());
    let control = leg.control();
    let line = Line {
        leg,
        presence,
        fate: fate.clone(),
        consent_required: room.settings().consent_required,
        to_transport,
        bridge: sound.bridge().clone(),
        pressed,
        key_ticks_hz: wish.key_ticks_hz.max(1),
        hang_up: hang_up.clone(),
        _counted: Counted::new(is_transcribed),
    };
    tokio::spawn(carry(line, listening, place, seat, has_left));
    let hang_up = hang_up.drop_guard();
    let bridge = sound.bridge().clone();
    Ok(Call {
        participant,
        room: room.clone(),
        is_transcribed,
        control,
        bridge,
        events,
        finalize,
        expected,
        progress,
        keys: Keys(keys),
        fate,
        hang_up,
        gone,
    })
}

/// Everybody whom this machine knows by voice. Nobody when the task that reads it fails: a call does not.
async fn known_voices(app: &App) -> Known {
    let app = app.clone();
    tokio::task::spawn_blocking(move || Known::here(app.config())).await.unwrap_or_default()
}

/// The language to listen for, as a client names it: `None` for any.
///
/// # Errors
/// 400 when there is a model that does not know it.
pub fn language(app: &App, asked: Option<&str>) -> Result<Option<String>, ApiError> {
    let asked = asked.filter(|asked| !asked.is_empty() && *asked != "auto");
    let (Some(asked), Ok(ears)) = (asked, app.ears()) else {
        return Ok(None);
    };
    let code = asked.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    let known = &ears.info().languages;
    if known.contains(&code) {
        return Ok(Some(code));
    }
    let model = &ears.info().model;
    Err(ApiError::bad_request("unknown_language", format!("{model} does not know that language"))
        .hint(format!("leave language out, or use one of {}", known.join(", "))))
}

impl Call {
    /// Who.
    pub fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// Where.
    pub fn room(&self) -> &RoomHandle {
        &self.room
    }

    /// Whether somebody listens to the words.
    pub fn is_transcribed(&self) -> bool {
        self.is_transcribed
    }

    /// What the leg reports, apart from keys, which became events of the room; `None` when the leg is gone.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<LegEvent> {
        self.events.recv().await
    }

    /// Where keys go that do not come with the sound.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Gives an order to the source. One that comes when too many wait is dropped and counted.
    pub fn tell_source(&self, control: Control) {
        if self.control.tell_source(control).is_err() {
            metrics::counter!("harmony_drops_total", "crossing" => "leg_orders").increment(1);
        }
    }

    /// Puts other nodes in the places of its source and sink, as [`LegControl::renew`] does.
    ///
    /// # Errors
    /// When they have a shape or a rate that no leg has.
    pub fn renew(&self, source: Option<Box<dyn Node>>, sink: Option<Box<dyn Node>>) -> Result<(), BridgeError> {
        self.control.renew(source, sink)
    }

    /// Who alone hears it from now on, as [`LegControl::heard_by`] has it.
    pub(crate) fn heard_by(&self, listener: Option<LegId>) {
        self.control.heard_by(listener);
    }

    /// Resolves when the call ends although its transport goes on; say goodbye then and drop the call.
    /// Independent of this value's life.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + use<> {
        self.fate.clone().wait()
    }

    /// Lets the ears expect another language or other terms from now on.
    pub fn expect(&self, hints: Hints) {
        self.expected.tell(hints);
    }

    /// Asks for the words of everything that was said so far, without waiting for a pause.
    pub fn finalize(&self) {
        self.finalize_through(self.bridge.now());
    }

    /// The same with what is said in the next moment: what a caller said already may still be on its way here.
    pub fn finalize_soon(&self, after: Duration) {
        self.finalize_through(self.bridge.now() + after);
    }

    /// Asks for the words of everything that the leg says up to `through`.
    pub fn finalize_through(&self, through: MediaTime) {
        self.finalize.ask(through);
    }

    /// How long after its last sound the newest words came out, in milliseconds.
    pub fn lag_ms(&self) -> Option<u64> {
        self.progress.lag_ms()
    }

    /// Hangs up, and resolves when the last words are published and the participant has left.
    pub fn hung_up(self) -> impl Future<Output = ()> + Send + use<> {
        let Self { hang_up, mut gone, .. } = self;
        drop(hang_up);
        async move {
            // It never changes; the wait ends when the other end is dropped.
            let _ = gone.changed().await;
        }
    }
}

/// How far the ears of a call are.
#[derive(Default)]
struct Progress {
    /// Milliseconds, plus one; zero while nothing has come out.
    lag_plus_one: AtomicU64,
}

impl Progress {
    /// Notes how long ago the sound was heard that newly published words rest on.
    fn came_out(&self, lag: Duration) {
        telemetry::stage("ear_to_text", lag);
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX - 1);
        self.lag_plus_one.store(lag_ms.saturating_add(1), Ordering::Release);
    }

    fn lag_ms(&self) -> Option<u64> {
        self.lag_plus_one.load(Ordering::Acquire).checked_sub(1)
    }
}

/// What may end a call from the room's side.
#[derive(Clone)]
struct Fate {
    room: RoomHandle,
    standing: watch::Receiver<Standing>,
    shutdown: CancellationToken,
}

impl Fate {
    async fn wait(mut self) -> Ended {
        let sent_out = async {
            // A desk that is gone sends nobody out: its participant has left.
            if self.standing.wait_for(|standing| standing.is_sent_out).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        // A server that drains closes its rooms too: the reason comes before its consequence.
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ended::Draining,
            () = self.room.closed() => Ended::RoomClosed,
            () = sent_out => Ended::SentOut,
        }
    }
}

/// The leg of a call and what belongs to it; dropped as one when the call ends.
struct Line {
    leg: Leg,
    presence: Presence,
    fate: Fate,
    consent_required: bool,
    to_transport: mpsc::Sender<LegEvent>,
    bridge: Bridge,
    pressed: mpsc::Receiver<dtmf::Key>,
    key_ticks_hz: u32,
    hang_up: CancellationToken,
    _counted: Counted,
}

/// The task of a call.
async fn carry(
    line: Line,
    listening: Option<Listening>,
    place: Option<Place>,
    seat: Seat,
    has_left: watch::Sender<()>,
) {
    let listen = async {
        if let Some(listening) = listening {
            listening.run(&seat).await;
        }
    };
    tokio::join!(line.run(&seat), listen);
    // In this order: whoever sees the participant leave finds the place free.
    drop(place);
    let (room, participant) = (seat.room().clone(), seat.participant());
    drop(seat);
    // Told by the room's own log, so that whoever waits for the end reads the room as it is then.
    let left = async {
        let mut log = room.follow(Some(room.read(bot::room::Room::last_seq)));
        while room.read(|room| room.participant(participant)).is_some() {
            if !log.next(1).await.is_ok_and(|events| !events.is_empty()) {
                break;
            }
        }
    };
    left.await;
    drop(has_left);
}

impl Line {
    /// Until the call ends; the leg is gone when this returns.
    async fn run(mut self, seat: &Seat) {
        let mut standing = seat.standing();
        let mut key: Option<(dtmf::Key, MediaTime)> = None;
        let ended = self.fate.clone().wait();
        tokio::pin!(ended);
        loop {
            // Cancel-safe: an event is handed out once, a standing is looked at whenever it has changed.
            tokio::select! {
                () = self.hang_up.cancelled() => break,
                why = &mut ended => {
                    tracing::debug!(room = %self.fate.room.id(), participant = %seat.participant(), ?why, "a call ends");
                    break;
                }
                Ok(()) = standing.changed() => {
                    let now = *standing.borrow_and_update();
                    self.leg.mute(now.is_muted);
                    self.leg.allow_capture(may_be_captured(self.consent_required, now.consent));
                }
                // The call holds one sender for as long as this runs.
                Some(pressed) = self.pressed.recv() => {
                    // A room that is closed ends the call anyway.
                    let _ = seat.pressed(pressed.as_char(), self.bridge.now(), Duration::ZERO).await;
                }
                event = self.leg.events.recv() => {
                    let Some(event) = event else { break };
                    self.on_event(event, &mut key, seat).await;
                }
            }
        }
        if let Some((held, pressed)) = key {
            let _ = seat.pressed(held.as_char(), pressed, Duration::ZERO).await;
        }
        // Whoever is told that the call is over finds the leg gone.
        self.hang_up.cancel();
        drop(self.presence);
        drop(self.leg);
        drop(self.to_transport);
    }

    async fn on_event(&mut self, event: LegEvent, key: &mut Option<(dtmf::Key, MediaTime)>, seat: &Seat) {
        match event {
            LegEvent::Source { at, event: Event::Key(dtmf::Event::Pressed(pressed)) } => *key = Some((pressed, at)),
            LegEvent::Source { at, event: Event::Key(dtmf::Event::Released { key: released, ticks }) } => {
                let ticks = u64::try_from(ticks).unwrap_or(0);
                let duration = MediaTime::from_samples(ticks, self.key_ticks_hz).as_duration();
                let start = match key.take() {
                    Some((pressed, start)) if pressed == released => start,
                    _ => at.saturating_sub(duration),
                };
                // A room that is closed ends the call anyway.
                let _ = seat.pressed(released.as_char(), start, duration).await;
            }
            event => {
                if let LegEvent::Panicked { part, .. } = event {
                    tracing::error!(participant = %seat.participant(), ?part, "a part of a leg broke and is silent");
                }
                if let LegEvent::Source { event: Event::Rtp(health), .. } = event {
                    // The jitter buffer holds packets for as long as it aims at.
                    telemetry::stage("packet_to_frame", Duration::from_secs_f32(health.target_ms.max(0.0) / 1_000.0));
                }
                if let Err(mpsc::error::TrySendError::Full(_)) = self.to_transport.try_send(event) {
                    metrics::counter!("harmony_drops_total", "crossing" => "call_events").increment(1);
                }
            }
        }
    }
}

/// One call in the metrics, for as long as it lasts.
struct Counted(metrics::Gauge);

impl Counted {
    fn new(is_transcribed: bool) -> Self {
        let state = if is_transcribed { "transcribed" } else { "untranscribed" };
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
