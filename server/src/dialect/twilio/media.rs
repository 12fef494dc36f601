//! `WS /twilio/media`: a call at Twilio (or at any vendor that speaks its streams) becomes part of a room.
//!
//! `<Connect><Stream url="wss://…/twilio/media">` brings a caller who hears the room; `<Start><Stream>` with both
//! tracks brings two who only speak, each under a name of their own. What the TwiML says in `<Parameter>` decides:
//! `room` (an id or a name; a room of its own when left out), `name`, `other_name`, `language`, `consent`, `listen`.
//! One task reads the socket and one writes it, both of this connection; nothing of a slow client piles up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use asr::recognizer::Hints;
use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use bot::{actor::RoomHandle, participant::Kind};
use media::{
    bridge::LegEvent,
    codec::g711::Law,
    graph::{
        node::{Event, Node},
        nodes::capture::capture,
    },
    rtp::dtmf,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    backlog::{Backlog, Verdict},
    ear::{Ear, RATE_HZ},
    message::{Command, Said, Start, Track},
    outbox::Outbox,
};
use crate::{
    app::App,
    call::{self, Call, Ended, Keys, Words},
    dialect::{
        whip,
        wire::{self, Incoming, Reader, Writer},
    },
    error::ApiError,
    socket,
    speaker::{Pace, Speaker},
};

/// How long a client may take to say who it is.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Messages before the start; Twilio sends one.
const PREAMBLE_MAX: usize = 10;

/// How often the graph is looked at.
const TICK: Duration = Duration::from_millis(10);

/// All that a caller says is one turn.
const TURN: u64 = 1;

/// The mark behind the last sound.
const LAST: u64 = 1;

/// How long the last sound is waited for: the mouth's 400 ms, and room for a busy engine.
const HEARD_WITHIN: Duration = Duration::from_millis(1_500);

/// Silence behind the last sound, 60 ms, for what the graph's resamplers hold.
const TAIL_SAMPLES: usize = 60 * RATE_HZ as usize / 1_000;

/// Messages that cannot be read before the client is told that it speaks something else.
const BAD_FRAMES_MAX: u32 = 100;

/// The upgrade.
pub(super) async fn upgrade(
    State(app): State<App>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "media streams come over a WebSocket")
    })?;
    if app.admission().is_draining() {
        return Err(ApiError::draining());
    }
    Ok(socket::limited(upgrade).on_upgrade(move |socket| converse(app, socket)))
}

/// Why a stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The caller hung up, or Twilio was told to stop.
    Stopped,
    /// The client is gone.
    Gone,
    /// The close code and the reason.
    Refused(u16, String),
    Left(Ended),
}

/// One connection, from its first message to its last.
async fn converse(app: App, socket: WebSocket) {
    let idle = Duration::from_secs(app.config().limits.idle_s);
    let (mut writer, mut reader) = wire::split(socket, idle);
    let begun = match timeout(START_WITHIN, first(&mut reader)).await {
        Ok(Ok(start)) => begin(&app, &start).await.map_err(|error| refusal(&error)),
        Ok(Err(end)) => Err(end),
        Err(_) => Err(End::Refused(close_code::POLICY, "no start came".to_owned())),
    };
    let end = match begun {
        Ok(stream) => stream.run(&mut writer, &mut reader).await,
        Err(end) => end,
    };
    match end {
        End::Gone => {}
        End::Stopped => wire::close(writer, reader, close_code::NORMAL, "the stream was stopped").await,
        End::Refused(code, reason) => wire::close(writer, reader, code, &reason).await,
        End::Left(Ended::RoomClosed) => wire::close(writer, reader, close_code::NORMAL, "the room was closed").await,
        End::Left(Ended::SentOut) => wire::close(writer, reader, close_code::NORMAL, "sent out of the room").await,
        End::Left(Ended::Draining) => wire::close(writer, reader, close_code::AWAY, "the server shuts down").await,
    }
}

/// The start of the stream.
async fn first(reader: &mut Reader) -> Result<Start, End> {
    for _ in 0..PREAMBLE_MAX {
        match said(reader.next().await)? {
            Some(Said::Start(start)) => return Ok(*start),
            Some(Said::Stop) => return Err(End::Stopped),
            _ => {}
        }
    }
    Err(End::Refused(close_code::POLICY, "no start came".to_owned()))
}

/// What a message says; nothing when it cannot be read.
fn said(incoming: Incoming) -> Result<Option<Said>, End> {
    match incoming {
        Incoming::Text(text) => Ok(Said::read(&text).inspect_err(|bad| tracing::debug!(%bad, "a bad message")).ok()),
        Incoming::Binary(_) => Ok(None),
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

/// The close code of a socket for which something could not be had.
pub(super) fn close_code_of(error: &ApiError) -> u16 {
    match error.status {
        StatusCode::SERVICE_UNAVAILABLE => close_code::AGAIN,
        StatusCode::INTERNAL_SERVER_ERROR => close_code::ERROR,
        _ => close_code::POLICY,
    }
}

/// What the TwiML asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wishes<'a> {
    room: Option<&'a str>,
    name: &'a str,
    other_name: &'a str,
    language: Option<&'a str>,
    consent: Option<bool>,
    /// Whether the caller hears the room; only a stream of one track may go both ways.
    listens: bool,
}

impl<'a> Wishes<'a> {
    fn read(start: &'a Start) -> Result<Self, ApiError> {
        let text = |name: &str| start.parameters.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let flag = |name: &str| match text(name) {
            None => Ok(None),
            Some("true" | "1" | "yes") => Ok(Some(true)),
            Some("false" | "0" | "no") => Ok(Some(false)),
            Some(_) => Err(ApiError::bad_request("bad_parameter", format!("{name} is true or false"))),
        };
        let format = &start.format;
        if (format.encoding.as_str(), format.sample_rate, format.channels) != ("audio/x-mulaw", RATE_HZ, 1) {
            return Err(ApiError::bad_request("bad_audio_format", "the sound must be audio/x-mulaw at 8000 Hz, mono"));
        }
        if start.tracks.is_empty() {
            return Err(ApiError::bad_request("no_track", "a stream without a track brings nothing"));
        }
        let is_inbound = start.tracks == [Track::Inbound];
        Ok(Self {
            room: text("room"),
            name: text("name").unwrap_or("Caller"),
            other_name: text("other_name").unwrap_or("Called"),
            language: text("language"),
            consent: flag("consent")?,
            listens: flag("listen")?.unwrap_or(is_inbound) && is_inbound,
        })
    }
}

/// Lets the callers of a stream into their room.
async fn begin(app: &App, start: &Start) -> Result<Stream, ApiError> {
    let wishes = Wishes::read(start)?;
    let room = match wishes.room {
        Some(named) => whip::room(app, named)?,
        None => app.open_room("")?,
    };
    let mut sides = BTreeMap::new();
    let mut ear = None;
    for track in &start.tracks {
        let (side, hears) = side(app, &room, &wishes, *track).await?;
        sides.insert(*track, side);
        ear = ear.or(hears);
    }
    tracing::info!(room = %room.id(), call = %shown(&start.call_sid), tracks = sides.len(), "a media stream began");
    Ok(Stream { stream_sid: start.stream_sid.clone(), room, sides, ear })
}

/// One participant of a stream: what it says goes into the speaker.
struct Side {
    call: Call,
    speaker: Speaker,
}

async fn side(
    app: &App,
    room: &RoomHandle,
    wishes: &Wishes<'_>,
    track: Track,
) -> Result<(Side, Option<Ear>), ApiError> {
    let (source, speaker) = Speaker::new(RATE_HZ, Pace::Spoken);
    let (sink, ear) = match wishes.listens {
        true => {
            let (sink, reader) = capture();
            (Some(Box::new(sink) as Box<dyn Node>), Some(Ear::new(reader)))
        }
        false => (None, None),
    };
    let name = match track {
        Track::Inbound => wishes.name,
        Track::Outbound => wishes.other_name,
    };
    let wish = call::Wish {
        name: name.to_owned(),
        kind: Kind::Twilio,
        consent: wishes.consent,
        hints: Hints { language: call::language(app, wishes.language)?, keyterms: Vec::new() },
        endpointing_ms: call::ENDPOINTING_MS,
        words: Words::Wanted,
        source: Some(Box::new(source)),
        sink,
        key_ticks_hz: RATE_HZ,
        suppress_noise: false,
        hears_itself: false,
        diarize: false,
    };
    Ok((Side { call: call::join(app, room, wish).await?, speaker }, ear))
}

/// A stream that is on.
struct Stream {
    stream_sid: String,
    room: RoomHandle,
    sides: BTreeMap<Track, Side>,
    ear: Option<Ear>,
}

impl Stream {
    async fn run(self, writer: &mut Writer, reader: &mut Reader) -> End {
        let Self { stream_sid, room, sides, ear } = self;
        let (mut calls, mut speakers) = (Vec::new(), BTreeMap::new());
        for (track, Side { call, speaker }) in sides {
            calls.push(call);
            speakers.insert(track, speaker);
        }
        // All of them leave for the same reasons, and keys are the caller's.
        let left = calls.first().map(Call::ended);
        let keys = calls.first().map(Call::keys);
        let left = async {
            match left {
                Some(left) => left.await,
                None => std::future::pending().await,
            }
        };
        let marks_played = Arc::new(AtomicU64::new(0));
        let speaking = Speaking { speakers, keys, marks_played: marks_played.clone() };
        let hearing = Hearing { stream_sid, ear, marks_played, backlog: Backlog::default(), outbox: Outbox::default() };
        let speakers = tokio::select! {
            spoken = speaking.run(reader) => spoken,
            end = hearing.run(writer, &mut calls) => Err(end),
            why = left => Err(End::Left(why)),
        };
        let end = match speakers {
            Ok((end, speakers)) => {
                last_words(speakers, &mut calls).await;
                end
            }
            Err(end) => end,
        };
        let gone: Vec<_> = calls.into_iter().map(Call::hung_up).collect();
        futures_util::future::join_all(gone).await;
        tracing::info!(room = %room.id(), ?end, "a media stream is over");
        end
    }
}

/// What a client says.
struct Speaking {
    speakers: BTreeMap<Track, Speaker>,
    keys: Option<Keys>,
    /// The last mark of ours that was played, as a number.
    marks_played: Arc<AtomicU64>,
}

impl Speaking {
    /// Until nothing more comes. The speakers come back so that their last sound can be waited for.
    async fn run(mut self, reader: &mut Reader) -> Result<(End, BTreeMap<Track, Speaker>), End> {
        let mut samples = Vec::new();
        let mut bad_frames = 0;
        let end = loop {
            match said(reader.next().await) {
                Ok(Some(Said::Media { track, payload, .. })) => {
                    samples.clear();
                    samples.extend(payload.iter().map(|byte| Law::Mu.decode(*byte)));
                    if let Some(speaker) = self.speakers.get_mut(&track) {
                        // A leg that has left hears nothing; why it left is told elsewhere.
                        let _ = speaker.speak(TURN, &samples).await;
                    }
                }
                Ok(Some(Said::Dtmf(digit))) => {
                    if let (Some(keys), Some(key)) = (&self.keys, dtmf::Key::from_char(digit)) {
                        keys.press(key);
                    }
                }
                Ok(Some(Said::Mark(name))) => {
                    if let Ok(number) = name.parse() {
                        self.marks_played.fetch_max(number, Ordering::AcqRel);
                    }
                }
                Ok(Some(Said::Stop)) => break End::Stopped,
                Ok(Some(Said::Connected | Said::Start(_) | Said::Unknown(_))) => {}
                Ok(None) => {
                    bad_frames += 1;
                    if bad_frames > BAD_FRAMES_MAX {
                        break End::Refused(close_code::UNSUPPORTED, "these are no media streams".to_owned());
                    }
                }
                Err(end) => break end,
            }
        };
        Ok((end, self.speakers))
    }
}

/// Waits until what was said last has been heard.
async fn last_words(speakers: BTreeMap<Track, Speaker>, calls: &mut [Call]) {
    let heard = async {
        // In the order of the calls.
        for (mut speaker, call) in speakers.into_values().zip(calls) {
            let said = async {
                speaker.speak(TURN, &[0.0; TAIL_SAMPLES]).await?;
                speaker.mark(TURN, LAST).await
            };
            if said.await.is_err() {
                continue;
            }
            while let Some(event) = call.next().await {
                if matches!(event, LegEvent::Source { event: Event::MarkPlayed(LAST), .. }) {
                    break;
                }
            }
        }
    };
    // A mark that was lost on its way is as good as played by then.
    let _ = timeout(HEARD_WITHIN, heard).await;
}

/// What a client hears.
struct Hearing {
    stream_sid: String,
    ear: Option<Ear>,
    marks_played: Arc<AtomicU64>,
    backlog: Backlog,
    outbox: Outbox<Message>,
}

impl Hearing {
    /// Until the client does not take it any more.
    async fn run(mut self, writer: &mut Writer, calls: &mut [Call]) -> End {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut zero = None;
        loop {
            // Cancel-safe: a tick only says that it is time to look, and the outbox keeps what it has.
            tokio::select! {
                now = ticks.tick() => {
                    for call in calls.iter_mut() {
                        while let Some(Some(_)) = now_or_never(call.next()) {}
                    }
                    if self.outbox.is_stuck(now) {
                        return End::Gone;
                    }
                    while let Some(chunk) = self.ear.as_mut().and_then(|ear| ear.next(&mut zero)) {
                        let command = Command::Media(chunk.payload.to_vec());
                        if self.outbox.sound(Message::text(command.spell(&self.stream_sid))).is_err() {
                            metrics::counter!("harmony_drops_total", "crossing" => "media_streams").increment(1);
                            continue;
                        }
                        let played = self.marks_played.load(Ordering::Acquire);
                        let command = match self.backlog.sent(played) {
                            Verdict::GoOn => continue,
                            Verdict::Mark(number) => Command::Mark(number.to_string()),
                            Verdict::Clear => Command::Clear,
                        };
                        if self.outbox.word(Message::text(command.spell(&self.stream_sid))).is_err() {
                            return End::Gone;
                        }
                    }
                }
                sent = self.outbox.advance(writer), if self.outbox.has_work() => {
                    if sent.is_err() {
                        return End::Gone;
                    }
                }
            }
        }
    }
}

/// What is there already.
fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    use futures_util::FutureExt as _;
    future.now_or_never()
}

/// As much of a name as a log needs.
fn shown(sid: &str) -> String {
    sid.chars().filter(char::is_ascii_alphanumeric).take(34).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(tracks: &[Track], parameters: &[(&str, &str)]) -> Start {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Start { tracks: tracks.to_vec(), parameters, ..Start::default() }
    }

    #[test]
    fn a_caller_hears_the_room_and_two_tracks_only_speak() {
        let both = [Track::Inbound, Track::Outbound];
        for (tracks, parameters, listens) in [
            (&both[..1], &[][..], true),
            (&both[..1], &[("listen", "false")][..], false),
            (&both[..], &[][..], false),
            (&both[..], &[("listen", "true")][..], false),
            (&both[1..], &[][..], false),
        ] {
            assert_eq!(Wishes::read(&start(tracks, parameters)).unwrap().listens, listens, "{tracks:?} {parameters:?}");
        }
    }

    #[test]
    fn names_come_from_the_parameters_and_are_never_empty() {
        let plain = start(&[Track::Inbound], &[("name", ""), ("room", "")]);
        let wishes = Wishes::read(&plain).unwrap();
        assert_eq!((wishes.name, wishes.other_name, wishes.room, wishes.consent), ("Caller", "Called", None, None));
        let named =
            start(&[Track::Inbound], &[("name", "Ada"), ("room", "sales"), ("consent", "yes"), ("language", "de")]);
        let wishes = Wishes::read(&named).unwrap();
        assert_eq!((wishes.name, wishes.room, wishes.consent), ("Ada", Some("sales"), Some(true)));
        assert_eq!(wishes.language, Some("de"));
    }

    #[test]
    fn what_cannot_be_heard_is_refused_before_anybody_joins() {
        let odd = start(&[Track::Inbound], &[("consent", "perhaps")]);
        assert_eq!(Wishes::read(&odd).unwrap_err().code, "bad_parameter");
        assert_eq!(Wishes::read(&start(&[], &[])).unwrap_err().code, "no_track");
        let mut wide = start(&[Track::Inbound], &[]);
        wide.format.sample_rate = 16_000;
        assert_eq!(Wishes::read(&wide).unwrap_err().code, "bad_audio_format");
    }
}
