//! `WS /twilio/relay`: an agent as the application of a ConversationRelay, whoever its host is: Twilio, Telnyx, or another
//! server like this one. They hear and speak, the agent thinks.
//!
//! `?agent=NAME` or a `<Parameter name="agent">` says who talks. The conversation is a room like any other: its caller is
//! in it with the words that the host recognized, the agent with those that were heard of it, by what the host tells and
//! by reckoning ([`crate::agent`]). The host says when a turn is over and what interrupts. One task a connection reads,
//! writes and carries; [`message`] reads and spells, purely. What is to be written waits in an [`Outbox`]; a host that
//! reads nothing is gone. Never real time.

mod message;
mod words;

use std::time::Duration;

use asr::event::{Cut, Event, UtteranceId};
use axum::{
    extract::{
        Query, State,
        rejection::QueryRejection,
        ws::{Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use bot::{
    actor::{RoomHandle, Seat},
    agent::Input,
    participant::{Kind, Newcomer, Timeline},
    persona::Persona,
};
use media::time::MediaTime;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use self::{
    message::{Parting, Said, Setup},
    words::{base, spread, tag},
};
use super::{media::close_code_of, outbox::Outbox};
use crate::{
    agent::{self, Piece, Reins, Wish, With},
    app::App,
    clock::Clock,
    dialect::wire::{self, Incoming, Reader, Writer},
    error::ApiError,
    socket,
};

/// How long a host may take to say who calls.
const SETUP_WITHIN: Duration = Duration::from_secs(10);

/// A host says nothing while nobody speaks; the agent ends a call long before this.
const IDLE_AFTER: Duration = Duration::from_secs(3_600);

/// Messages that cannot be read before the host is told that it speaks something else.
const BAD_MESSAGES_MAX: u32 = 100;

/// How often it is looked whether the host still reads.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an agent may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// How long the last words may take to a host.
const GOODBYE: Duration = Duration::from_secs(2);

/// What stands in the address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    agent: Option<String>,
}

/// The upgrade.
pub(super) async fn upgrade(
    State(app): State<App>,
    asked: Result<Query<Asked>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "a ConversationRelay comes over a WebSocket")
    })?;
    let Query(Asked { agent }) = asked.map_err(|refusal| ApiError::bad_request("bad_query", refusal.body_text()))?;
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    // Whoever wrote the document learns now that there is nobody of that name.
    app.agents().persona(agent.as_deref())?;
    Ok(socket::limited(upgrade).on_upgrade(move |socket| converse(app, socket, agent)))
}

/// Why a conversation is over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The host is gone: its caller hung up, or it has no use for us any more.
    Gone,
    /// The agent has done, or was sent away.
    Over,
    /// The server goes down.
    Draining,
    /// The close code and the reason.
    Refused(u16, String),
}

/// One connection, from its first message to its last.
async fn converse(app: App, socket: WebSocket, named: Option<String>) {
    let (mut writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let begun = match timeout(SETUP_WITHIN, first(&mut reader)).await {
        Ok(Ok(setup)) => begin(&app, &setup, named.as_deref()).await.map_err(|error| refusal(&error)),
        Ok(Err(end)) => Err(end),
        Err(_) => Err(End::Refused(close_code::POLICY, "no setup came".to_owned())),
    };
    let end = match begun {
        Ok(talk) => talk.hold(&app, &mut writer, &mut reader).await,
        Err(end) => end,
    };
    match end {
        End::Gone => {}
        End::Over => wire::close(writer, reader, close_code::NORMAL, "").await,
        End::Draining => wire::close(writer, reader, close_code::AWAY, "the server shuts down").await,
        End::Refused(code, reason) => wire::close(writer, reader, code, &reason).await,
    }
}

/// Who calls.
async fn first(reader: &mut Reader) -> Result<Setup, End> {
    for _ in 0..=BAD_MESSAGES_MAX {
        if let Ok(Said::Setup(setup)) = said(reader.next().await)? {
            return Ok(*setup);
        }
    }
    Err(End::Refused(close_code::POLICY, "no setup came".to_owned()))
}

/// What a message says, or what is wrong with it.
fn said(incoming: Incoming) -> Result<Result<Said, String>, End> {
    match incoming {
        Incoming::Text(text) => Ok(Said::read(&text).map_err(|bad| bad.to_string())),
        Incoming::Binary(_) => Ok(Err("a message that is no text".to_owned())),
        Incoming::Ended(wire::Ended::Gone) => Err(End::Gone),
        Incoming::Ended(wire::Ended::Idle) => {
            Err(End::Refused(close_code::POLICY, "nothing came for too long".to_owned()))
        }
        Incoming::Ended(wire::Ended::Unreadable(code, reason)) => Err(End::Refused(code, reason.to_owned())),
    }
}

fn refusal(error: &ApiError) -> End {
    End::Refused(close_code_of(error), error.message.clone())
}

/// Lets a caller and their agent into a room of their own.
async fn begin(app: &App, setup: &Setup, named: Option<&str>) -> Result<Talk, ApiError> {
    let persona = app.agents().persona(named.or_else(|| setup.agent()))?;
    let room = app.open_room("")?;
    match enter(app, &room, setup, &persona).await {
        Ok(talk) => Ok(talk),
        Err(error) => {
            room.close().await;
            Err(error)
        }
    }
}

async fn enter(app: &App, room: &RoomHandle, setup: &Setup, persona: &Persona) -> Result<Talk, ApiError> {
    let newcomer = Newcomer {
        name: setup.caller().to_owned(),
        kind: Kind::Twilio,
        consent: None,
        is_transcribed: true,
        timeline: Timeline::Rooms,
        known_voices: Vec::new(),
    };
    // The caller is there first: the agent greets whoever it finds.
    let caller = room.join(newcomer).await.map_err(agent::not_let_in)?;
    let (seated, pieces) = agent::seat_for_another(app, room, persona).await?;
    let reins = seated.begin(With::Told(caller.participant()), setup.values());
    tracing::info!(room = %room.id(), call = %shown(&setup.call_sid), "a conversation of words began");
    Ok(Talk {
        room: room.clone(),
        clock: app.clock(),
        caller,
        reins,
        pieces,
        outbox: Outbox::default(),
        tongue: None,
        utterance: 0,
        is_speaking: false,
        heard_until: MediaTime::ZERO,
        bad_messages: 0,
        is_lost: false,
    })
}

/// A conversation that is on.
struct Talk {
    room: RoomHandle,
    clock: Clock,
    caller: Seat,
    reins: Reins,
    pieces: mpsc::Receiver<Piece>,
    outbox: Outbox<Message>,
    /// The language that the host heard last, as it names it.
    tongue: Option<String>,
    /// The number of what the caller says now, or next.
    utterance: u64,
    is_speaking: bool,
    /// When the words end that were told last.
    heard_until: MediaTime,
    bad_messages: u32,
    /// Whether more waits for the host than is worth waiting for.
    is_lost: bool,
}

impl Talk {
    /// Until the host goes, the agent has done, or the server goes down.
    async fn hold(mut self, app: &App, writer: &mut Writer, reader: &mut Reader) -> End {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut standing = self.caller.standing();
        let mut is_muted = false;
        let end = loop {
            if self.is_lost {
                break End::Gone;
            }
            // Cancel-safe: every arm hands out what it has once, or keeps what it has. A server that goes down is the reason,
            // although the agent ends by it, too; the host is read last, so that nothing waits behind what it sends.
            tokio::select! {
                biased;
                () = app.shutdown().cancelled() => break End::Draining,
                sent = self.outbox.advance(writer), if self.outbox.has_work() => {
                    if sent.is_err() {
                        break End::Gone;
                    }
                }
                now = looks.tick() => {
                    if self.outbox.is_stuck(now) {
                        break End::Gone;
                    }
                }
                Ok(()) = standing.changed() => {
                    let now = *standing.borrow_and_update();
                    is_muted = now.is_muted;
                    if is_muted {
                        self.on_mute().await;
                    }
                    if now.is_sent_out {
                        self.part(Parting::Goodbye);
                        break End::Over;
                    }
                }
                wish = self.reins.next() => {
                    if let Some(end) = self.grant(wish) {
                        break end;
                    }
                }
                // Its end is the agent's, and told by the reins.
                Some(piece) = self.pieces.recv() => self.speak(piece),
                incoming = reader.next() => match said(incoming) {
                    Ok(Ok(said)) => self.hear(said, is_muted).await,
                    Ok(Err(bad)) => {
                        tracing::debug!(room = %self.room.id(), bad, "a bad message");
                        self.bad_messages += 1;
                        if self.bad_messages > BAD_MESSAGES_MAX {
                            let why = "these are no messages of ConversationRelay";
                            break End::Refused(close_code::UNSUPPORTED, why.to_owned());
                        }
                    }
                    Err(end) => break end,
                },
            }
        };
        let room = self.room.id();
        self.leave(writer, &end).await;
        tracing::info!(%room, ?end, "a conversation of words is over");
        end
    }

    /// Sends what is still to be sent, and closes the room once the agent has told it how it ended.
    async fn leave(mut self, writer: &mut Writer, end: &End) {
        let leaving = async {
            self.reins.tell(Input::HungUp).await;
            while self.reins.next().await.is_some() {}
        };
        // One that does not leave in time finds its room closed.
        let _ = timeout(LEAVE_WITHIN, leaving).await;
        if *end != End::Gone {
            let sending = async {
                while self.outbox.has_work() {
                    self.outbox.advance(writer).await?;
                }
                Ok::<_, axum::Error>(())
            };
            // A host that takes no goodbye has none; it was meant well.
            let _ = timeout(GOODBYE, sending).await;
        }
        drop(self.caller);
        self.room.close().await;
    }

    /// What the host says.
    async fn hear(&mut self, said: Said, is_muted: bool) {
        match said {
            Said::Prompt { .. } | Said::Dtmf(_) if is_muted => {}
            Said::Prompt { said, language, is_last: true } => self.on_prompt(&said, language).await,
            Said::Prompt { .. } => self.on_speech().await,
            Said::Dtmf(key) => {
                // Whoever leaves the room meanwhile is told by its end.
                let _ = self.caller.pressed(key.as_char(), self.now(), Duration::ZERO).await;
                self.reins.heard_all().await;
                self.reins.tell(Input::Key(key)).await;
            }
            Said::Interrupt(heard) => self.reins.interrupted(heard).await,
            Said::Played(text) => self.reins.played(text).await,
            Said::Error(why) => {
                tracing::debug!(room = %self.room.id(), why, "the host of a conversation complains");
            }
            Said::Setup(_) | Said::Other => {}
        }
    }

    /// The caller speaks: somebody is there, and is not asked whether they are.
    async fn on_speech(&mut self) {
        if !std::mem::replace(&mut self.is_speaking, true) {
            self.ears(Event::SpeechStarted { utterance: UtteranceId(self.utterance), at: self.now() }).await;
        }
    }

    /// Whoever is muted while they speak is heard no more: what they say does not count, and nobody waits for its end.
    async fn on_mute(&mut self) {
        if std::mem::take(&mut self.is_speaking) {
            let (at, utterance) = (self.now(), UtteranceId(self.utterance));
            self.utterance += 1;
            self.ears(Event::SpeechEnded { utterance, at }).await;
        }
    }

    /// The caller has said this.
    async fn on_prompt(&mut self, said: &str, language: Option<String>) {
        let (now, utterance) = (self.now(), UtteranceId(self.utterance));
        self.utterance += 1;
        let (words, span) = spread(said, self.heard_until, now);
        self.heard_until = now;
        let is_empty = words.is_empty();
        if language.is_some() {
            self.tongue.clone_from(&language);
        }
        let language = language.map(|tag| base(&tag).to_owned());
        // Without an interruption all that was said before was heard.
        self.reins.heard_all().await;
        if !is_empty || self.is_speaking {
            self.ears(Event::Final { utterance, words, span, cut: Cut::Pause, language, voices: Vec::new() }).await;
        }
        if std::mem::take(&mut self.is_speaking) {
            self.ears(Event::SpeechEnded { utterance, at: now }).await;
        }
        if !is_empty {
            // What is still being thought of answers less than was said.
            self.reins.tell(Input::Stop).await;
            self.reins.tell(Input::Respond).await;
        }
    }

    /// Tells the room and the agent.
    async fn ears(&mut self, event: Event) {
        // A room that is closed ends the conversation anyway.
        let _ = self.caller.heard(event.clone()).await;
        self.reins.tell(Input::Ears(event)).await;
    }

    /// Does what the agent wants of the line; how the conversation ends then, if it does.
    fn grant(&mut self, wish: Option<Wish>) -> Option<End> {
        // What it said before it wanted this.
        while let Ok(piece) = self.pieces.try_recv() {
            self.speak(piece);
        }
        match wish {
            Some(Wish::Press(keys)) => self.say(message::press(&keys)),
            Some(Wish::Transfer { to }) => {
                self.part(Parting::Handoff { to: &to });
                return Some(End::Over);
            }
            // Somebody may have sent it away; its caller is not kept waiting.
            Some(Wish::HangUp) | None => {
                self.part(Parting::Goodbye);
                return Some(End::Over);
            }
            // Nobody brought tools along, or asked to be told.
            Some(Wish::Call { .. } | Wish::Cancel { .. } | Wish::Says { .. } | Wish::Tells(_) | Wish::Used(_)) => {}
        }
        None
    }

    fn speak(&mut self, piece: Piece) {
        match piece {
            Piece::Text { text, language } => {
                let language = self.tongue.as_deref().map(|tongue| tag(language, tongue));
                // What follows is another sentence.
                let message = message::text(&format!("{text} "), language);
                self.say(message);
            }
            Piece::Last => self.say(message::last()),
        }
    }

    fn part(&mut self, parting: Parting<'_>) {
        self.say(message::end(parting));
    }

    fn say(&mut self, message: String) {
        self.is_lost |= self.outbox.word(Message::text(message)).is_err();
    }

    fn now(&self) -> MediaTime {
        self.room.epoch().at(self.clock.now())
    }
}

/// As much of a name as a log needs.
fn shown(sid: &str) -> String {
    sid.chars().filter(char::is_ascii_alphanumeric).take(34).collect()
}
