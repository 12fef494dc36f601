//! We as Twilio: the sound of a call to somebody's bot, and what the bot answers to the caller's ear.
//!
//! For `<Connect><Stream>` (both ways) and `<Start><Stream>` (one way). One task a stream, [`run`]: it says what is
//! heard every 20 ms, as the graph makes it, and plays what comes through [`super::playlist`]. A bot that floods,
//! raves, stops reading or vanishes ends its stream with an [`Ended`] and nothing else: the caller's leg, the room and
//! the graph are never waited for and never wait. The socket is dialled by [`crate::webhook`], behind its guard.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use media::{
    bridge::{Bridge, BridgeError, Leg, LegEvent, Plan},
    codec::g711::Law,
    graph::{
        node::{Control, Event},
        nodes::{
            capture::capture,
            playout::{Mouth, playout},
        },
    },
    time::MediaTime,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    ear::{Ear, RATE_HZ},
    message::{BadFrame, Command, Narrator, Start, Track},
    outbox::Outbox,
    playlist::{Full, Next, Playlist},
};
use crate::webhook::WebhookError;

/// How often the graph is looked at and the mouth fed: as often as the graph ticks.
const TICK: Duration = Duration::from_millis(10);

/// How often a bot is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A bot of which nothing came for this long, no answer to a ping either, is gone.
const SILENT: Duration = Duration::from_secs(45);

/// Messages of a bot that cannot be read, before it is hung up on: a bug in one message is no reason, a bot that
/// speaks another protocol is.
const BAD_FRAMES_MAX: u32 = 100;

/// Sound that was dropped because the bot was too far ahead, before it is hung up on: ten times what is kept.
const DROPPED_BYTES_MAX: u64 = 10_000_000;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A voice that is cut off fades within a few ticks.
const FADE: Duration = Duration::from_millis(60);

/// What a call wants of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The caller pressed a key.
    Dtmf(char),
    /// The stream is to end. Dropping the sender is the same.
    Stop,
}

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The call, or the leg that was listened to, is gone.
    CallGone,
    /// The bot closed its socket, as one does that is done: the next verb is due.
    Closed(Option<u16>),
    /// The bot's connection broke, or nothing came for too long.
    Vanished,
    /// The bot does not read.
    Deaf,
    /// What the bot sends is no WebSocket, or not one message of it makes sense.
    Raving,
    /// The bot sends without end.
    Flooding,
}

impl Ended {
    /// The error that Twilio would report; nothing when all was well.
    pub fn twilio_code(self) -> Option<u32> {
        match self {
            Self::Stopped | Self::CallGone => None,
            Self::Closed(_) => Some(31_921),
            Self::Vanished => Some(31_903),
            Self::Deaf => Some(31_930),
            Self::Raving | Self::Flooding => Some(31_924),
        }
    }
}

/// What a bot does wrong without ending its stream. Each kind is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A message of it cannot be read.
    #[error(transparent)]
    BadFrame(#[from] BadFrame),
    /// It is too far ahead of what the caller hears.
    #[error(transparent)]
    TooFarAhead(#[from] Full),
    /// It reads too slowly, and misses sound.
    #[error("the bot reads too slowly and misses sound")]
    Slow,
}

impl Warning {
    /// What Twilio calls it.
    pub fn twilio_code(self) -> u32 {
        match self {
            Self::BadFrame(bad) => bad.twilio_code(),
            Self::TooFarAhead(_) | Self::Slow => 31_930,
        }
    }
}

/// What Twilio calls a socket that could not be dialled.
pub fn twilio_code(error: &WebhookError) -> u32 {
    match error {
        WebhookError::Url(_) => 11_100,
        _ => 31_920,
    }
}

/// A bot's voice: a leg of the caller's room, and the mouth of its source.
pub struct Voice {
    leg: Leg,
    mouth: Mouth,
}

impl Voice {
    /// Of a leg whose source is the other end of `mouth`, at 8 kHz.
    pub fn new(leg: Leg, mouth: Mouth) -> Self {
        Self { leg, mouth }
    }

    /// Ends it softly.
    async fn hush(mut self, turn: u64) {
        if self.leg.tell_source(Control::Flush(turn)).is_err() {
            return;
        }
        let faded = async {
            while !matches!(self.leg.events.recv().await, Some(LegEvent::Source { event: Event::Drained, .. }) | None) {
            }
        };
        // What has not faded by then is silent or stuck: it goes all the same.
        let _ = timeout(FADE, faded).await;
    }
}

/// The sound that a stream carries.
#[derive(Default)]
pub struct Ends {
    /// What comes in from the caller.
    pub inbound: Option<Ear>,
    /// What goes out to the caller.
    pub outbound: Option<Ear>,
    /// What the bot says; nothing for a stream that only goes out.
    pub voice: Option<Voice>,
}

impl Ends {
    /// A leg for a bot in the caller's room: it hears all the others, and they hear it.
    ///
    /// # Errors
    /// As for [`Bridge::join`].
    pub async fn join(bridge: &Bridge) -> Result<Self, BridgeError> {
        let (sink, reader) = capture();
        let (playout, mouth) = playout(RATE_HZ);
        let plan = Plan {
            source: Some(Box::new(playout)),
            sink: Some(Box::new(sink)),
            may_be_captured: true,
            ..Plan::default()
        };
        let leg = bridge.join(plan).await?;
        Ok(Self { inbound: Some(Ear::new(reader)), outbound: None, voice: Some(Voice::new(leg, mouth)) })
    }

    fn tracks(&self) -> Vec<Track> {
        let inbound = self.inbound.iter().map(|_| Track::Inbound);
        inbound.chain(self.outbound.iter().map(|_| Track::Outbound)).collect()
    }

    fn ears(&mut self) -> impl Iterator<Item = (Track, &mut Ear)> {
        let inbound = self.inbound.iter_mut().map(|ear| (Track::Inbound, ear));
        inbound.chain(self.outbound.iter_mut().map(|ear| (Track::Outbound, ear)))
    }
}

/// Carries one stream over an open `socket` until it ends. `start` names the stream, its call and its parameters; the
/// tracks are those of `ends`. Warnings go to `warnings`; when nobody takes them they are dropped.
pub async fn run<S>(
    socket: WebSocketStream<S>,
    start: Start,
    mut ends: Ends,
    mut orders: mpsc::Receiver<Order>,
    warnings: mpsc::Sender<Warning>,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = Start { tracks: ends.tracks(), ..start };
    for (_, ear) in ends.ears() {
        ear.skip();
    }
    let (mut sink, mut source) = socket.split();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut running = Running::new(start, warnings, Instant::now());
    let mut outbox = Outbox::default();
    let mut ended = running.begin(&mut outbox);
    while ended.is_none() {
        // Cancel-safe, all of them: what one has taken, it has handed out.
        ended = tokio::select! {
            message = source.next() => running.on_message(message, &mut ends.voice, &mut outbox),
            now = ticks.tick() => running.on_tick(now, &mut ends, &mut outbox),
            event = next_event(&mut ends.voice) => running.on_event(event, &mut outbox),
            order = orders.recv() => running.on_order(order, &mut outbox),
            sent = outbox.advance(&mut sink), if outbox.has_work() => sent.err().map(|_| Ended::Vanished),
        };
    }
    let ended = ended.unwrap_or(Ended::Stopped);
    let turn = running.playlist.turn();
    let goodbye = async {
        let reason = match ended {
            Ended::Stopped | Ended::CallGone => {
                sink.send(Message::text(running.narrator.stop())).await?;
                (CloseCode::Normal, "the stream was stopped")
            }
            Ended::Raving => (CloseCode::Policy, "these are no messages of Media Streams"),
            Ended::Flooding => (CloseCode::Policy, "more was sent than is ever played"),
            Ended::Closed(_) | Ended::Vanished | Ended::Deaf => (CloseCode::Normal, ""),
        };
        sink.send(Message::Close(Some(CloseFrame { code: reason.0, reason: reason.1.into() }))).await?;
        while let Some(Ok(_)) = source.next().await {}
        Ok::<_, tungstenite::Error>(())
    };
    let quiet = async {
        if let Some(voice) = ends.voice {
            voice.hush(turn).await;
        }
    };
    // A bot that is gone takes no goodbye; it was meant well.
    let (_, ()) = tokio::join!(timeout(GOODBYE, goodbye), quiet);
    tracing::debug!(?ended, "a media stream is over");
    ended
}

async fn next_event(voice: &mut Option<Voice>) -> Option<LegEvent> {
    match voice {
        Some(voice) => voice.leg.events.recv().await,
        None => std::future::pending().await,
    }
}

/// What a stream knows. Its methods never wait; each says whether the stream is over.
struct Running {
    narrator: Narrator,
    stream_sid: String,
    playlist: Playlist,
    /// The stream's first frame.
    zero: Option<MediaTime>,
    /// A turn that is dead, which the leg has not been told yet.
    to_flush: Option<u64>,
    heard_at: Instant,
    asked_at: Instant,
    bad_frames: u32,
    dropped_bytes: u64,
    warned: [bool; 3],
    warnings: mpsc::Sender<Warning>,
}

impl Running {
    fn new(start: Start, warnings: mpsc::Sender<Warning>, now: Instant) -> Self {
        Self {
            stream_sid: start.stream_sid.clone(),
            narrator: Narrator::new(start),
            playlist: Playlist::default(),
            zero: None,
            to_flush: None,
            heard_at: now,
            asked_at: now,
            bad_frames: 0,
            dropped_bytes: 0,
            warned: [false; 3],
            warnings,
        }
    }

    fn begin(&mut self, outbox: &mut Outbox<Message>) -> Option<Ended> {
        let connected = self.narrator.connected();
        say(outbox, connected).or_else(|| say(outbox, self.narrator.start()))
    }

    fn on_message(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
        voice: &mut Option<Voice>,
        outbox: &mut Outbox<Message>,
    ) -> Option<Ended> {
        use tungstenite::{Error as Wire, error::ProtocolError};
        self.heard_at = Instant::now();
        let read = match message {
            Some(Ok(Message::Text(_))) if voice.is_none() => Err(BadFrame::OneWay),
            Some(Ok(Message::Text(text))) => Command::read(&text, &self.stream_sid),
            Some(Ok(Message::Binary(_))) => Err(BadFrame::Binary),
            Some(Ok(Message::Close(frame))) => return Some(Ended::Closed(frame.map(|frame| frame.code.into()))),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return None,
            Some(Err(Wire::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => return Some(Ended::Vanished),
            Some(Err(Wire::Capacity(_) | Wire::Protocol(_) | Wire::Utf8(_))) => return Some(Ended::Raving),
            Some(Err(_)) | None => return Some(Ended::Vanished),
        };
        match read {
            Ok(Command::Media(payload)) => {
                let Err(full) = self.playlist.push(&payload) else { return None };
                self.warn(full.into());
                self.dropped_bytes += payload.len() as u64;
                (self.dropped_bytes > DROPPED_BYTES_MAX).then_some(Ended::Flooding)
            }
            Ok(Command::Mark(name)) => {
                let Err(full) = self.playlist.mark(name) else { return None };
                self.warn(full.into());
                self.count_bad_frame()
            }
            Ok(Command::Clear) => {
                let (dead, marks) = self.playlist.clear();
                self.to_flush = Some(dead);
                self.flush(voice);
                self.answer(marks, outbox)
            }
            // Frameworks answer on streams that only go out, too; it is wrong and harms nobody.
            Err(BadFrame::OneWay) => {
                self.warn(BadFrame::OneWay.into());
                None
            }
            Err(bad) => {
                self.warn(bad.into());
                self.count_bad_frame()
            }
        }
    }

    fn on_tick(&mut self, now: Instant, ends: &mut Ends, outbox: &mut Outbox<Message>) -> Option<Ended> {
        if outbox.is_stuck(now) {
            return Some(Ended::Deaf);
        }
        if now.saturating_duration_since(self.heard_at) > SILENT {
            return Some(Ended::Vanished);
        }
        if now.saturating_duration_since(self.asked_at) > PING_EVERY {
            self.asked_at = now;
            if outbox.word(Message::Ping(Vec::new().into())).is_err() {
                return Some(Ended::Deaf);
            }
        }
        let mut is_slow = false;
        let mut is_over = true;
        for (track, ear) in ends.ears() {
            while let Some(chunk) = ear.next(&mut self.zero) {
                let said = self.narrator.media(track, chunk.at_ms, &chunk.payload);
                is_slow |= outbox.sound(Message::text(said)).is_err();
            }
            is_over &= ear.has_ended();
        }
        if is_slow {
            self.warn(Warning::Slow);
            metrics::counter!("harmony_drops_total", "crossing" => "media_streams").increment(1);
        }
        self.flush(&mut ends.voice);
        let answered = ends.voice.as_mut().and_then(|voice| self.feed(&mut voice.mouth, outbox));
        answered.or_else(|| is_over.then_some(Ended::CallGone))
    }

    /// Writes into the mouth what is due.
    fn feed(&mut self, mouth: &mut Mouth, outbox: &mut Outbox<Message>) -> Option<Ended> {
        let waiting = mouth.queued();
        for _ in 0..self.playlist.due(waiting) {
            let turn = self.playlist.turn();
            let written = match self.playlist.take() {
                Some(Next::Sound(bytes)) => {
                    let samples: Vec<f32> = bytes.into_iter().map(|byte| Law::Mu.decode(byte)).collect();
                    mouth.speak(turn, &samples) == samples.len()
                }
                Some(Next::Mark(number)) => mouth.mark(turn, number),
                None => break,
            };
            // There is room for what is due; only a leg that has left takes nothing.
            if !written {
                return Some(Ended::CallGone);
            }
        }
        let rested = self.playlist.rested(mouth.queued());
        self.answer(rested, outbox)
    }

    fn on_event(&mut self, event: Option<LegEvent>, outbox: &mut Outbox<Message>) -> Option<Ended> {
        match event {
            Some(LegEvent::Source { event: Event::MarkPlayed(number) | Event::MarkFlushed(number), .. }) => {
                let played = self.playlist.played(number);
                self.answer(played, outbox)
            }
            Some(_) => None,
            None => Some(Ended::CallGone),
        }
    }

    fn on_order(&mut self, order: Option<Order>, outbox: &mut Outbox<Message>) -> Option<Ended> {
        match order {
            Some(Order::Dtmf(digit)) => say(outbox, self.narrator.dtmf(digit)),
            Some(Order::Stop) | None => Some(Ended::Stopped),
        }
    }

    fn answer(&mut self, marks: Vec<String>, outbox: &mut Outbox<Message>) -> Option<Ended> {
        marks.iter().find_map(|name| say(outbox, self.narrator.mark(name)))
    }

    /// Tells the leg which turn is dead; an engine that is busy is told a tick later.
    fn flush(&mut self, voice: &mut Option<Voice>) {
        if let (Some(dead), Some(voice)) = (self.to_flush, voice)
            && voice.leg.tell_source(Control::Flush(dead)).is_ok()
        {
            self.to_flush = None;
        }
    }

    fn count_bad_frame(&mut self) -> Option<Ended> {
        self.bad_frames += 1;
        (self.bad_frames > BAD_FRAMES_MAX).then_some(Ended::Raving)
    }

    fn warn(&mut self, warning: Warning) {
        let kind = match warning {
            Warning::BadFrame(_) => 0,
            Warning::TooFarAhead(_) => 1,
            Warning::Slow => 2,
        };
        if !std::mem::replace(&mut self.warned[kind], true) {
            tracing::debug!(%warning, "a bot is wrong");
            // Whoever does not listen is not interested.
            let _ = self.warnings.try_send(warning);
        }
    }
}

fn say(outbox: &mut Outbox<Message>, message: String) -> Option<Ended> {
    outbox.word(Message::text(message)).is_err().then_some(Ended::Deaf)
}

#[cfg(test)]
mod tests;
