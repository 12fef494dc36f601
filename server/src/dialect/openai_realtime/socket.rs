//! A session over a socket, whose sound is in its messages.
//!
//! A session is set up before anybody is there: the room begins with the first event that is no update. Runs on the
//! connection's task; [`super::reading`] and [`super::talk`] are its two halves.

use std::time::Duration;

use axum::extract::ws::WebSocket;
use bot::{actor::RoomHandle, participant::Kind as Way, persona::Persona, tools::Tool};
use media::graph::{node::Node, nodes::capture::capture};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    carrier::Carrier,
    command::{Command, Said},
    reading::{End, Heard, hear, read},
    session::{Kind, Session},
    talk::{self, Entered, Lines, ORDERS_MAX, Talk, begin, open_room, refuse, tell},
};
use crate::{
    app::App,
    dialect::{deepgram::client::Client, wire},
    error::ApiError,
    hearing::Mix,
    microphone::Microphone,
};

/// Whoever only writes may think for long; a microphone is never silent.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// Serves a client until it goes; `tag` is in all names of the session.
pub(super) async fn run(app: App, socket: WebSocket, session: Session, tag: String) {
    let (writer, mut reader) = wire::split(socket, IDLE_AFTER);
    let mut client = Carrier::Socket(Client::new(writer));
    let mut story = talk::open(&app, session, tag);
    let mut garbage = 0;
    let first = loop {
        tell(&mut story, &mut client).await;
        if client.is_gone() {
            break Err(End::Gone);
        }
        let incoming = tokio::select! {
            biased;
            () = app.shutdown().cancelled() => break Err(End::Draining),
            incoming = reader.next() => incoming,
        };
        match hear(incoming, &mut garbage) {
            // Whatever else comes begins it.
            Heard::Said(Said { event_id, command: command @ Command::Update { .. } }) => {
                story.obey(event_id.as_deref(), command);
            }
            Heard::Said(said) => break Ok(said),
            Heard::Wrong(event_id, refused) => story.refuse(event_id.as_deref(), &refused),
            Heard::Ended(end) => break Err(end),
        }
    };
    let end = match first {
        Err(end) => end,
        Ok(first) => match enter(&app, story.session.clone(), story.persona()).await {
            Ok((room, entered, microphone)) => {
                let talk = Talk::new(room.clone(), entered, story);
                let (over, (orders, ordered)) = (CancellationToken::new(), mpsc::channel(ORDERS_MAX));
                let reading = read(&mut reader, (first, garbage), microphone, orders, &over);
                let writing = async {
                    let end = talk.hold(&app, &mut client, ordered).await;
                    over.cancel();
                    end
                };
                let (came, went) = tokio::join!(reading, writing);
                room.close().await;
                came.unwrap_or(went)
            }
            Err(error) => {
                refuse(&mut story, &mut client, &error, first.event_id.as_deref()).await;
                End::Refused
            }
        },
    };
    let (code, reason) = end.goodbye();
    if let Carrier::Socket(client) = client {
        wire::close(client.into_writer(), reader, code, reason).await;
    }
}

/// Brings the client into a room, with a microphone for what comes in its messages.
async fn enter(
    app: &App,
    session: Session,
    who: (Persona, Vec<Tool>),
) -> Result<(RoomHandle, Entered, Microphone), ApiError> {
    let (source, microphone) = Microphone::open(session.input())?;
    let (sink, reader) = capture();
    // Where nobody answers there is nothing to be heard.
    let is_answered = session.kind == Kind::Realtime;
    let mix = is_answered.then(|| Mix::new(reader, session.output().rate_hz)).transpose();
    let mix = mix.map_err(|error| ApiError::bad_request("bad_audio_format", error.to_string()))?;
    let sink: Option<Box<dyn Node>> = if is_answered { Some(Box::new(sink)) } else { None };
    let source: Option<Box<dyn Node>> = Some(Box::new(source));
    let lines = Lines { way: Way::Websocket, source, sink, taken: microphone.taken(), mix };
    let room = open_room(app)?;
    let entered = begin(app, &room, session, who, lines).await?;
    Ok((room, entered, microphone))
}
