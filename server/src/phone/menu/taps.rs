//! What takes the sound of a call beside its menu: streams to WebSockets, and transcriptions.
//!
//! A stream is a task of its own and goes with the call ([`streams`]). A transcription is what is heard in the room that
//! the call is in, told on ([`scribe`]), also while that is a conference's. What is told waits in a queue of 256 for the machine; when that is full the newest words are dropped and
//! counted, never the end.

mod scribe;
mod streams;

use std::collections::BTreeMap;

use bot::{
    actor::RoomHandle,
    event::RoomEvent,
    ivr::{
        effect::{StreamSpec, TapId, TranscriptionSpec},
        input::{Input, TapEvent},
    },
};
use media::id::ParticipantId;
use tokio::sync::mpsc;

use self::scribe::Scribe;
use super::fetch::Desk;
use crate::{
    app::App,
    dialect::twilio::stream::Order,
    phone::{
        call::Phone,
        sid::{Sid, SidKind},
    },
};

/// What is told and waits for the machine.
const TOLD: usize = 256;

/// Of these, so many are kept for beginnings and ends: a call has a handful of transcriptions.
const TOLD_KEPT: usize = 32;

/// Orders that wait for a stream: keys that are pressed. Nobody presses so many at once; more are dropped.
const ORDERS: usize = 32;

/// The streams and transcriptions of one menu; streams end when it is dropped.
pub(super) struct Taps {
    app: App,
    phone: Phone,
    told: mpsc::Sender<Input>,
    /// What is told by the menu's own task, which must not wait for itself.
    saying: mpsc::Sender<Input>,
    streams: BTreeMap<TapId, Stream>,
    scribes: BTreeMap<TapId, Scribe>,
}

struct Stream {
    orders: mpsc::Sender<Order>,
    is_bidirectional: bool,
}

impl Taps {
    pub(super) fn new(app: &App, phone: &Phone, told: mpsc::Sender<Input>) -> Self {
        let (saying, mut said) = mpsc::channel(TOLD);
        let to_machine = told.clone();
        tokio::spawn(async move {
            while let Some(input) = said.recv().await {
                if to_machine.send(input).await.is_err() {
                    return;
                }
            }
        });
        let (app, phone) = (app.clone(), phone.clone());
        Self { app, phone, told, saying, streams: BTreeMap::new(), scribes: BTreeMap::new() }
    }

    /// Begins a stream.
    pub(super) fn stream(&mut self, id: TapId, spec: StreamSpec, room: &RoomHandle, desk: &Desk) {
        self.streams.retain(|_, stream| !stream.orders.is_closed());
        let (orders, inbox) = mpsc::channel(ORDERS);
        self.streams.insert(id, Stream { orders, is_bidirectional: spec.is_bidirectional });
        let dialling = desk.socket(&spec.url, streams::DIAL_WITHIN);
        let task = streams::Task {
            app: self.app.clone(),
            phone: self.phone.clone(),
            room: room.clone(),
            id,
            spec,
            told: self.told.clone(),
            orders: inbox,
        };
        tokio::spawn(task.run(dialling));
    }

    /// Begins a transcription.
    pub(super) fn transcribe(&mut self, id: TapId, spec: TranscriptionSpec) {
        if let Err(missing) = self.app.ears() {
            return self.tell(id, TapEvent::Failed { why: format!("nobody listens here: {missing}") });
        }
        if !self.is_listened_to() {
            let why = "all places of the recognizer are taken: nobody listens to this call".to_owned();
            return self.tell(id, TapEvent::Failed { why });
        }
        self.tell(id, TapEvent::Started { sid: Sid::fresh(SidKind::Transcription).to_string() });
        self.scribes.insert(id, Scribe::new(&spec));
    }

    /// What an event of the call's room means to them.
    pub(super) fn hear(&mut self, event: &RoomEvent, caller: ParticipantId) {
        if let RoomEvent::Dtmf { participant, digit, .. } = event
            && *participant == caller
        {
            // A stream that only goes out is told no keys, as the vendor has it.
            for stream in self.streams.values().filter(|stream| stream.is_bidirectional) {
                let _ = stream.orders.try_send(Order::Dtmf(*digit));
            }
        }
        for (id, scribe) in &self.scribes {
            let Some(said) = scribe.hear(event, caller) else { continue };
            if self.saying.capacity() > TOLD_KEPT {
                self.tell(*id, said);
            } else {
                metrics::counter!("harmony_drops_total", "crossing" => "transcriptions").increment(1);
            }
        }
    }

    /// Ends a stream or a transcription.
    pub(super) fn stop(&mut self, id: TapId) {
        // A stream's task tells of its end.
        self.streams.remove(&id);
        if self.scribes.remove(&id).is_some() {
            self.tell(id, TapEvent::Stopped);
        }
    }

    /// Whether somebody listens to the caller's words; not known before they are in a room.
    fn is_listened_to(&self) -> bool {
        let place = self.phone.place().borrow().clone();
        let caller = place.and_then(|place| place.room.read(|room| room.participant(place.participant)));
        caller.is_none_or(|caller| caller.is_transcribed)
    }

    fn tell(&self, id: TapId, event: TapEvent) {
        // There is room for beginnings and ends; a menu that is gone has nobody left to tell.
        let _ = self.saying.try_send(Input::Tap { id, event });
    }
}
