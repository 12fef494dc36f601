//! The body of the fuzz target `twiml`: a document, and what happens to a call that runs it.
//!
//! The bytes up to the first zero are the document; each three after it are an event: which, and with what. Events name
//! what the machine asked for by how long ago, so a fuzzer reaches deep states without guessing ids.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use bot::ivr::{
    call::{CallFacts, Direction},
    effect::{Effect, LegId, ListenId, RecordingId, SoundId, TapId},
    input::{
        ConferenceEvent, Ending, Heard, Input, LegEvent, QueueEvent, RecordingEvent, SoundEnd, Standing, TapEvent,
        Unreached,
    },
    key::Key,
    machine::{Machine, Role, Rules, Setup, Source},
    template,
    twiml::{self, AudioTrack, Limits},
    webhook::{Endpoint, FetchError, Method, Page, Params, RequestId},
};
use media::time::Epoch;

use crate::fuzzing::some_instant;

/// A document is read, or refused with a line that it has; a call that runs it asks for nothing after its end, is taken
/// once, always waits for something, and ends.
pub fn twiml(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (document, events) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let lines = document.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    match twiml::parse(document, Limits::default()) {
        Ok(read) => {
            assert!(read.steps.iter().all(|step| (1..=lines).contains(&step.line)));
            assert!(read.notices.iter().all(|notice| (1..=lines).contains(&notice.line)));
            assert!(read.notices.len() <= Limits::default().notices);
        }
        Err(error) => assert!(error.line <= lines, "{error}"),
    }
    let text = String::from_utf8_lossy(document);
    if let Ok(filled) = template::fill(&text, &Params::default(), 100_000) {
        assert!(filled.len() <= text.len(), "without values nothing grows");
    }
    let mut call = Call::new(&text);
    for event in events.chunks_exact(3).take(400) {
        call.happen(event[0], event[1], event[2]);
    }
    call.end();
}

/// A call, and what it asked for.
struct Call {
    machine: Machine,
    document: String,
    zero: Instant,
    now: Duration,
    asked: Option<RequestId>,
    ids: BTreeMap<&'static str, Vec<u64>>,
    is_taken: bool,
    is_over: bool,
}

impl Call {
    fn new(document: &str) -> Self {
        let zero = some_instant();
        let facts = CallFacts {
            call_sid: "CA1".to_owned(),
            account_sid: "AC1".to_owned(),
            from: "+491".into(),
            to: "+492".into(),
            direction: Direction::Inbound,
            caller_name: None,
            forwarded_from: None,
            parent_call_sid: None,
            is_answered: false,
            status: None,
            own_params: Vec::new(),
            epoch: Epoch { instant: zero, wall: SystemTime::UNIX_EPOCH },
        };
        let (role, rules) = (Role::Call, Rules::default());
        let source = Source::At(endpoint());
        let machine = Machine::new(zero, Setup { facts, role, source, fallback: None, rules });
        let (document, ids) = (document.to_owned(), BTreeMap::new());
        let mut call =
            Self { machine, document, zero, now: Duration::ZERO, asked: None, ids, is_taken: false, is_over: false };
        call.drain();
        call.answer();
        call
    }

    fn happen(&mut self, kind: u8, which: u8, what: u8) {
        let id = |ids: &BTreeMap<_, Vec<u64>>, kind| {
            ids.get(kind).and_then(|ids: &Vec<u64>| ids.iter().rev().nth(usize::from(which & 3)).copied()).unwrap_or(0)
        };
        let text = || match what >> 4 {
            0 => String::new(),
            _ => "a word or two".to_owned(),
        };
        let input = match kind % 15 {
            0 => return self.wait(Duration::from_millis(u64::from(which) * 100 + u64::from(what))),
            1 => return self.answer(),
            2 => {
                let Some(id) = self.asked.take() else { return };
                Input::Fetched { id, result: Err(FetchError::Timeout) }
            }
            3 => {
                let how = if what & 1 == 0 { SoundEnd::Played } else { SoundEnd::Failed };
                Input::SoundEnded { id: SoundId(id(&self.ids, "sound")), how }
            }
            4 => Input::Key(Key::from_char(char::from(b"0123456789*#ABCD"[usize::from(what & 15)])).expect("a key")),
            5 => {
                let what = match what & 7 {
                    0 => Heard::SpeechStarted,
                    1 => Heard::SpeechEnded,
                    2 | 3 => Heard::Partial { text: text().into(), stability: 0.5 },
                    4 | 5 => Heard::Final { text: text().into(), confidence: 0.5, language: None },
                    6 => Heard::Settled,
                    _ => Heard::Failed,
                };
                Input::Heard { id: ListenId(id(&self.ids, "listen")), what }
            }
            6 => {
                let sid = "RE1".to_owned();
                let event = match what % 5 {
                    0 => RecordingEvent::Started { sid },
                    1 => RecordingEvent::Done { sid, url: text(), duration: Duration::from_secs(1), channels: 1 },
                    2 => RecordingEvent::Absent,
                    3 => RecordingEvent::Failed,
                    _ => RecordingEvent::Transcribed { sid, text: None },
                };
                Input::Recording { id: RecordingId(id(&self.ids, "record")), event }
            }
            7 | 8 => {
                let event = match what % 9 {
                    8 => LegEvent::Early,
                    0 => LegEvent::Started { call_sid: "CA2".to_owned() },
                    1 => LegEvent::Ringing,
                    2 => LegEvent::Answered,
                    3 => LegEvent::Ready,
                    4 => LegEvent::Unreached(Unreached::Busy),
                    5 => LegEvent::Unreached(Unreached::NoAnswer),
                    6 => LegEvent::Ended,
                    _ => LegEvent::Refers { to: "sip:a@b".into() },
                };
                Input::Leg { id: LegId(id(&self.ids, "leg")), event }
            }
            9 => Input::Conference(match what % 5 {
                0 | 1 => ConferenceEvent::Joined { sid: "CF1".to_owned(), is_waiting: what & 1 == 0 },
                2 => ConferenceEvent::Started,
                3 => ConferenceEvent::Waiting,
                _ => ConferenceEvent::Left,
            }),
            10 => Input::Queue(match what % 7 {
                0 => QueueEvent::Entered { sid: "QU1".to_owned(), standing: Standing::default() },
                1 => QueueEvent::Moved(Standing::default()),
                2 => QueueEvent::Full,
                3 => QueueEvent::Taken { by_call_sid: "CA2".to_owned(), whisper: None },
                4 => QueueEvent::Taken { by_call_sid: "CA2".to_owned(), whisper: Some(endpoint()) },
                5 => QueueEvent::Bridged,
                _ => QueueEvent::BridgeEnded,
            }),
            11 => {
                let (track, text, language) = (AudioTrack::Both, text().into(), None);
                let event = match what % 4 {
                    0 => TapEvent::Started { sid: "MZ1".to_owned() },
                    1 => TapEvent::Stopped,
                    2 => TapEvent::Failed { why: "no".to_owned() },
                    _ => TapEvent::Said { track, text, confidence: 0.5, is_final: which & 1 == 0, language },
                };
                Input::Tap { id: TapId(id(&self.ids, "tap")), event }
            }
            12 => Input::Referred { sip_status: 100 + u16::from(what) * 2 },
            13 => Input::Redirected(Source::Inline(self.document.clone())),
            _ if what < 16 => Input::HungUp(Ending::Caller),
            _ => Input::Tick,
        };
        self.tell(input);
    }

    /// The application answers with the document, whatever it is asked.
    fn answer(&mut self) {
        let Some(id) = self.asked.take() else { return };
        let body = self.document.clone().into_bytes();
        let result = Ok(Page { url: endpoint().url, status: 200, content_type: "text/xml".to_owned(), body });
        self.tell(Input::Fetched { id, result });
    }

    fn tell(&mut self, input: Input) {
        let is_last = matches!(input, Input::HungUp(_));
        self.machine.handle(self.zero + self.now, input);
        self.drain();
        self.is_over |= is_last;
        assert!(self.machine.is_over() || self.machine.next_deadline().is_some(), "it waits for nothing");
    }

    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        for round in 0.. {
            let Some(at) = self.machine.next_deadline().map(|at| at - self.zero).filter(|at| *at <= end) else { break };
            assert!(round < 100_000, "deadlines without end");
            self.now = self.now.max(at);
            self.tell(Input::Tick);
        }
        self.now = end;
    }

    /// Nothing more happens: the longest call, and then the longest that a recording is waited for.
    fn end(&mut self) {
        self.wait(Rules::default().call + Rules::default().recording_timeout);
        assert!(self.machine.is_over());
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.poll() {
            let is_callback = matches!(effect, Effect::Notify(_) | Effect::Warn(_));
            assert!(!self.is_over || is_callback, "asked for after the call");
            let mut given = |kind, id| self.ids.entry(kind).or_default().push(id);
            match effect {
                Effect::Fetch(fetch) => self.asked = Some(fetch.id),
                Effect::Answer => assert!(!std::mem::replace(&mut self.is_taken, true), "a call is taken once"),
                Effect::Say { id, .. }
                | Effect::Play { id, .. }
                | Effect::PlayKeys { id, .. }
                | Effect::Beep { id }
                | Effect::HoldMusic { id }
                | Effect::Ringback { id, .. } => given("sound", id.0),
                Effect::Listen { id, .. } => given("listen", id.0),
                Effect::Record { id, .. } => given("record", id.0),
                Effect::Dial(leg) => given("leg", leg.id.0),
                Effect::StartStream { id, .. } | Effect::StartTranscription { id, .. } => given("tap", id.0),
                Effect::HangUp | Effect::Reject(_) | Effect::Finished => self.is_over = true,
                _ => {}
            }
        }
    }
}

fn endpoint() -> Endpoint {
    Endpoint { url: "https://app.test/voice".parse().expect("an address"), method: Method::Post }
}
