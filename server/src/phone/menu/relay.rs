//! One conversation of words: a caller of a menu, and somebody's application at the other end of a WebSocket.
//!
//! One task a conversation, around the pure [`bot::ivr::relay::Relay`], which decides. It dials behind the guard of
//! [`crate::webhook`], follows the caller's words and keys in the menu's room, speaks with a mouth of its own there
//! ([`crate::agent::Mouth`]: what was heard of it is known to the word), and plays files beside it. It ends when the
//! application is done or gone, or with the call; the menu's machine is told once. An application that does not read is
//! hung up on by the bounds of its [`Outbox`]; what it sends is read as fast as it can be obeyed.

use std::time::{Duration, Instant};

use asr::recognizer::Hints;
use bot::{
    actor::{Follower, RoomHandle},
    agent,
    event::Published,
    ivr::{
        call::CallStatus,
        effect::{RelayId, RelaySpec, SoundId},
        input::{Input as MenuInput, RelayEvent},
        notice::Code,
        relay::{Input, Output, Relay, Tongue, message},
    },
    room::Room,
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use media::{id::ParticipantId, time::MediaTime};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;
use tts::{
    utterance::Utterance,
    voice::{VoiceId, choose},
};

use super::{
    ENTRIES, expecting, facts,
    fetch::Desk,
    legs::press,
    speech,
    voice::{self, NoSound, Voice},
};
use crate::{
    agent::{Heard, Mouth, Sentence, With},
    app::App,
    dialect::twilio::outbox::Outbox,
    phone::{
        call::Phone,
        sid::{Sid, SidKind},
    },
    webhook,
};

/// Time until a socket is open.
const DIAL_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the application still reads and answers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(15);

/// An application of which nothing came for this long, no answer to a ping either, is gone.
const SILENT: Duration = Duration::from_secs(45);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

type Sink = SplitSink<WebSocketStream<webhook::Stream>, Message>;
type Source = SplitStream<WebSocketStream<webhook::Stream>>;

/// The task of one conversation.
pub(super) struct Task {
    pub(super) app: App,
    pub(super) phone: Phone,
    pub(super) room: RoomHandle,
    /// Who is talked with.
    pub(super) caller: ParticipantId,
    pub(super) id: RelayId,
    pub(super) spec: RelaySpec,
    pub(super) desk: Desk,
    pub(super) told: mpsc::Sender<MenuInput>,
    /// Ends it when it is cancelled.
    pub(super) stop: CancellationToken,
}

impl Task {
    pub(super) async fn run(self) {
        let report = Report { id: self.id, told: self.told.clone(), call: self.phone.sid().clone() };
        let dialling = self.desk.socket(&self.spec.url, DIAL_WITHIN);
        let socket = tokio::select! {
            socket = dialling => socket,
            () = self.stop.cancelled() => return report.tell(stopped()).await,
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return report.tell(failed(Code::RELAY_CONNECTION, error.to_string())).await,
        };
        let (mut sink, mut source) = socket.split();
        let (event, mut outbox) = self.talk(&mut sink, &mut source).await;
        // The next verb does not wait for the application's goodbye.
        report.tell(event).await;
        let goodbye = async {
            // One that has closed the socket takes nothing more, and is answered in kind by reading to its end.
            while outbox.has_work() && outbox.advance(&mut sink).await.is_ok() {}
            let _ = sink.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await;
            while let Some(Ok(_)) = source.next().await {}
        };
        // One that is gone takes no goodbye; it was meant well.
        let _ = timeout(GOODBYE, goodbye).await;
    }

    /// Until it is over; how it ended, and what is still to be sent.
    async fn talk(self, sink: &mut Sink, source: &mut Source) -> (RelayEvent, Outbox<Message>) {
        let sound = self.app.sound(&self.room);
        let voices = match self.app.voices() {
            Ok(voices) => voices,
            Err(error) => return (failed(Code::OURS, error.to_string()), Outbox::default()),
        };
        let mouth = match Mouth::enter(&sound, voices).await {
            Ok(mouth) => mouth,
            Err(error) => return (failed(Code::OURS, error.to_string()), Outbox::default()),
        };
        let events = self.room.follow(Some(self.room.read(Room::last_seq)));
        let talk = Talk::new(self, mouth);
        talk.run(events, sink, source).await
    }
}

/// Who is told how it ended.
struct Report {
    id: RelayId,
    told: mpsc::Sender<MenuInput>,
    call: Sid,
}

impl Report {
    async fn tell(self, event: RelayEvent) {
        let Self { id, told, call } = self;
        if let RelayEvent::Failed { why, .. } = &event {
            tracing::info!(%call, relay = id.0, why, "a conversation of words failed");
        }
        // A menu that is gone has nobody left to tell.
        let _ = told.send(MenuInput::Relay { id, event }).await;
    }
}

/// A conversation that is on.
struct Talk {
    task: Task,
    relay: Relay,
    mouth: Mouth,
    /// Plays files; there once one is played.
    files: Option<Voice>,
    outbox: Outbox<Message>,
    heard_at: tokio::time::Instant,
    asked_at: tokio::time::Instant,
    over: Option<RelayEvent>,
}

impl Talk {
    fn new(task: Task, mouth: Mouth) -> Self {
        let now = task.room.epoch().at(task.app.clock().now());
        let relay = Relay::new(task.spec.settings.clone(), now);
        let at = tokio::time::Instant::now();
        Self { task, relay, mouth, files: None, outbox: Outbox::default(), heard_at: at, asked_at: at, over: None }
    }

    async fn run(
        mut self,
        mut events: Follower,
        sink: &mut Sink,
        source: &mut Source,
    ) -> (RelayEvent, Outbox<Message>) {
        let stop = self.task.stop.clone();
        self.begin().await;
        let mut looks = looks();
        loop {
            if let Some(over) = self.over.take() {
                return (over, self.outbox);
            }
            let due = self.due();
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe, all of them: what one has taken, it has handed out.
            tokio::select! {
                () = stop.cancelled() => self.over = Some(stopped()),
                entries = events.next(ENTRIES) => match entries {
                    // The room was closed, and the call goes with it.
                    Ok(entries) if entries.is_empty() => self.over = Some(stopped()),
                    Ok(entries) => {
                        for entry in entries {
                            self.hear(&entry).await;
                        }
                    }
                    Err(fell_off) => events = self.task.room.follow(Some(fell_off.resume)),
                },
                heard = self.mouth.next() => match heard {
                    Some((_, heard)) => self.on_heard(heard).await,
                    None => self.over = Some(failed(Code::OURS, "the voice is gone".to_owned())),
                },
                played = next_played(&mut self.files) => {
                    let (SoundId(turn), is_made) = match played {
                        voice::Heard::Played(id) => (id, true),
                        voice::Heard::Failed(id) => (id, false),
                    };
                    self.tell(Input::SoundEnded { turn, is_made }).await;
                }
                message = source.next() => self.on_message(message).await,
                sent = self.outbox.advance(sink), if self.outbox.has_work() => {
                    if sent.is_err() {
                        self.tell(Input::Closed).await;
                    }
                }
                now = looks.tick() => self.look(now),
                () = due => self.tell(Input::Tick).await,
            }
        }
    }

    /// Tells both sides that it is on.
    async fn begin(&mut self) {
        let (id, told, sid) = (self.task.id, self.task.told.clone(), Sid::fresh(SidKind::Session).to_string());
        let facts = facts(&self.task.app, &self.task.phone, None);
        // Nobody is talked with before the call is taken.
        self.say(message::setup(&sid, &facts, CallStatus::InProgress, &self.task.spec.parameters));
        let deaf = self.task.app.ears().err().map(|missing| format!("nobody listens here but to keys: {missing}"));
        if let Some(deaf) = deaf {
            self.say(message::error(&deaf));
        }
        let _ = told.send(MenuInput::Relay { id, event: RelayEvent::Started { sid } }).await;
        self.tell(Input::Begin).await;
    }

    fn now(&self) -> MediaTime {
        self.task.room.epoch().at(self.task.app.clock().now())
    }

    fn due(&self) -> Option<Instant> {
        Some(self.task.room.epoch().instant + self.relay.due()?.as_duration())
    }

    /// What happens in the room that is the caller's.
    async fn hear(&mut self, entry: &Published) {
        let caller = self.task.caller;
        match With::One(caller).hear(&entry.event, caller) {
            Some(agent::Input::Ears(event)) => self.tell(Input::Ears(&event)).await,
            Some(agent::Input::Key(key)) => self.tell(Input::Key(key)).await,
            _ => {}
        }
    }

    async fn on_heard(&mut self, heard: Heard) {
        let input = match heard {
            Heard::Began(of) => Input::Began { turn: of.turn(), sentence: of.number() },
            Heard::Words(of, words) => Input::Words { turn: of.turn(), sentence: of.number(), words },
            Heard::Played(of) => Input::Played { turn: of.turn(), sentence: of.number() },
            Heard::NotSpoken(of, why) => {
                tracing::warn!(call = %self.task.phone.sid(), why, "a text of an application was not spoken");
                Input::NotSpoken { turn: of.turn(), sentence: of.number() }
            }
            // When it was made, and what a mouth does meanwhile, is nothing to an application of words.
            _ => return,
        };
        self.tell(input).await;
    }

    async fn on_message(&mut self, message: Option<Result<Message, tungstenite::Error>>) {
        self.heard_at = tokio::time::Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => self.tell(Input::Message(&text)).await,
            Some(Ok(Message::Binary(_))) => self.tell(Input::Binary).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => self.tell(Input::Closed).await,
        }
    }

    /// Whether the application is there, and reads.
    fn look(&mut self, now: tokio::time::Instant) {
        let is_silent = now.saturating_duration_since(self.heard_at) > SILENT;
        if is_silent || self.outbox.is_stuck(now) {
            let why = if is_silent { "nothing came over the WebSocket for too long" } else { DEAF };
            self.over = Some(failed(Code::RELAY_CLOSED, why.to_owned()));
        } else if now.saturating_duration_since(self.asked_at) > PING_EVERY {
            self.asked_at = now;
            self.send(Message::Ping(Vec::new().into()));
        }
    }

    /// Tells the machine, and does all that it wants.
    async fn tell(&mut self, input: Input<'_>) {
        self.relay.handle(input, self.now());
        while let Some(output) = self.relay.poll() {
            self.carry_out(output).await;
        }
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Tell(message) => self.say(message.into_inner()),
            Output::Say { turn, sentence, text, tongue } => {
                let utterance = Utterance::plain(speaker(&tongue), text.reveal());
                self.mouth.say(Sentence::new(turn, sentence), text.reveal(), utterance);
            }
            Output::Play { turn, url, times } => {
                let getting = self.task.desk.file(url);
                self.sound(turn, |mouth| async move {
                    let bytes = getting.await.map_err(NoSound::Failed)?;
                    voice::file(mouth, bytes, speech::count(times)).await
                })
                .await;
            }
            Output::Press { turn, tones } => {
                let phone = self.task.phone.clone();
                self.sound(turn, |_| press(phone, tones, Some(1))).await;
            }
            Output::Pause => self.mouth.pause(),
            Output::Resume => self.mouth.resume(),
            Output::Hush(turn) => {
                self.mouth.hush(turn);
                // One sound is made at a time, and what is hushed is everything up to it.
                if let Some(files) = &mut self.files {
                    files.stop_all();
                }
            }
            Output::Expect(language) => {
                let hints = self.hints(language.as_deref());
                self.task.phone.expect(hints).await;
            }
            Output::End(event) => self.over = Some(event),
        }
    }

    /// Makes a sound that is no speech.
    async fn sound<F>(&mut self, turn: u64, make: impl FnOnce(voice::Mouth) -> F)
    where
        F: Future<Output = Result<(), NoSound>> + Send + 'static,
    {
        if self.files.is_none() {
            match Voice::enter(&self.task.app.sound(&self.task.room)).await {
                Ok(files) => self.files = Some(files),
                Err(error) => return self.over = Some(failed(Code::OURS, error.to_string())),
            }
        }
        if let Some(files) = &mut self.files {
            files.begin(SoundId(turn), make);
        }
    }

    /// What the recognizer is told of a language and of words that are likely to come.
    fn hints(&self, language: Option<&str>) -> Hints {
        let Ok(ears) = self.task.app.ears() else { return Hints::default() };
        expecting::hints(&ears.info().languages, language, &self.task.spec.settings.hints_of(language))
    }

    fn say(&mut self, message: String) {
        self.send(Message::text(message));
    }

    fn send(&mut self, message: Message) {
        if self.outbox.word(message).is_err() {
            self.over = Some(failed(Code::RELAY_CLOSED, DEAF.to_owned()));
        }
    }
}

/// What is wrong with an application that does not read.
const DEAF: &str = "the other side of the WebSocket does not read";

/// What became of a file, where any was played.
async fn next_played(files: &mut Option<Voice>) -> voice::Heard {
    match files {
        Some(files) => files.next().await,
        None => std::future::pending().await,
    }
}

fn looks() -> Interval {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Who speaks.
fn speaker(tongue: &Tongue) -> VoiceId {
    choose(tongue.voice.as_deref(), tongue.language.as_deref()).voice
}

fn stopped() -> RelayEvent {
    RelayEvent::Ended { handoff: None }
}

fn failed(code: Code, why: String) -> RelayEvent {
    RelayEvent::Failed { code, why }
}
