//! What holds for every document and every order of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bot::ivr::{
    effect::{Effect, LegId, ListenId, RecordingId, RelayId, SoundId, TapId},
    input::{
        ConferenceEvent, Ending, Heard, Input, LegEvent, QueueEvent, RecordingEvent, RelayEvent, SoundEnd, Standing,
        TapEvent, Unreached,
    },
    key::Key,
    machine::{Machine, Role, Source},
    notice::Code,
    twiml::{self, AudioTrack, Limits},
    webhook::{FetchError, Page, RequestId},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::kit::{Plan, endpoint};

/// One verb, with whatever may stand in it.
fn verb() -> impl Strategy<Value = String> {
    let prompts = prop::sample::select(vec![
        "",
        "<Say>Menu.</Say>",
        "<Say/><Pause length=\"1\"/><Play>a.wav</Play>",
        "<Say loop=\"0\">On.</Say>",
        "<Dial/>",
    ]);
    let inputs = prop::sample::select(vec!["dtmf", "speech", "dtmf speech", "x"]);
    let gather = (prompts, inputs, 0..4_u32, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(prompts, input, digits, barge_in, empty, auto)| {
            let speech = if auto { "auto" } else { "2" };
            format!(
                "<Gather input=\"{input}\" numDigits=\"{digits}\" bargeIn=\"{barge_in}\" speechTimeout=\"{speech}\" \
                 actionOnEmptyResult=\"{empty}\" partialResultCallback=\"p\" action=\"a\">{prompts}</Gather>"
            )
        },
    );
    let others = prop::sample::select(vec![
        "<Say>Hello.</Say>",
        "<Say loop=\"0\">On and on.</Say>",
        "<Say/>",
        "<Play>a.wav</Play>",
        "<Play>file:///a</Play>",
        "<Play digits=\"1w2\"/>",
        "<Pause/>",
        "<Pause length=\"0\"/>",
        "<Record action=\"a\" recordingStatusCallback=\"r\" transcribe=\"true\"/>",
        "<Record playBeep=\"false\" maxLength=\"3\" transcribeCallback=\"t\"/>",
        "<Dial action=\"a\">+491</Dial>",
        "<Dial record=\"record-from-ringing\" answerOnBridge=\"true\"><Number>+491</Number><Number url=\"w\">+492</Number></Dial>",
        "<Dial sequential=\"true\" hangupOnStar=\"true\" timeLimit=\"9\" record=\"true\" action=\"a\">\
         <Number statusCallback=\"s\">+491</Number><Client>x</Client></Dial>",
        "<Dial referUrl=\"a\">+491</Dial>",
        "<Dial/>",
        "<Dial action=\"a\"><Conference waitUrl=\"wait\">c</Conference></Dial>",
        "<Dial><Conference waitUrl=\"\">c</Conference></Dial>",
        "<Dial><Queue url=\"w\">q</Queue></Dial>",
        "<Enqueue waitUrl=\"wait\" action=\"a\">q</Enqueue>",
        "<Enqueue>q</Enqueue>",
        "<Leave/>",
        "<Hangup/>",
        "<Redirect>a</Redirect>",
        "<Redirect/>",
        "<Redirect>http://[</Redirect>",
        "<Reject/>",
        "<Refer action=\"a\"><Sip>sip:a@b</Sip></Refer>",
        "<Connect action=\"a\"><Stream url=\"wss://x.test\"/></Connect>",
        "<Connect action=\"a\"><ConversationRelay url=\"wss://x.test\"/></Connect>",
        "<Start><Stream url=\"wss://x.test\" statusCallback=\"s\"/><Recording/><Transcription statusCallbackUrl=\"t\"/></Start>",
        "<Stop><Stream/><Recording/><Transcription/></Stop>",
        "<Pay/>",
        "<Nonsense/>",
    ]);
    prop_oneof![2 => gather, 5 => others.prop_map(str::to_owned)]
}

fn document() -> impl Strategy<Value = String> {
    let verbs = prop::collection::vec(verb(), 0..6);
    prop_oneof![
        12 => verbs.prop_map(|verbs| format!("<Response>{}</Response>", verbs.concat())),
        1 => Just("<Response><Say></Response>".to_owned()),
    ]
}

/// What may happen next, with ids counted back from the last that was given.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Answer(String),
    Fails,
    Status(u16),
    SoundEnds(u64),
    Key(char),
    Heard(u64, Heard),
    Recording(u64, RecordingEvent),
    Leg(u64, LegEvent),
    Conference(ConferenceEvent),
    Queue(QueueEvent),
    Tap(u64, TapEvent),
    Relay(u64, RelayEvent),
    Referred(u16),
    Redirected(String),
    HangUp,
    HungUp,
}

fn heard() -> impl Strategy<Value = Heard> {
    let text = || prop::sample::select(vec!["", "one", "a termin please"]);
    prop_oneof![
        Just(Heard::SpeechStarted),
        Just(Heard::SpeechEnded),
        text().prop_map(|text| Heard::Partial { text: text.into(), stability: f32::NAN }),
        text().prop_map(|text| Heard::Final { text: text.into(), confidence: 2.0, language: None }),
        Just(Heard::Settled),
        Just(Heard::Failed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let recording = prop::sample::select(vec![
        RecordingEvent::Started { sid: "RE1".into() },
        RecordingEvent::Done { sid: "RE1".into(), url: "u".into(), duration: Duration::from_secs(3), channels: 1 },
        RecordingEvent::Absent,
        RecordingEvent::Failed,
        RecordingEvent::Transcribed { sid: "RE1".into(), text: Some("hi".into()) },
    ]);
    let leg = prop::sample::select(vec![
        LegEvent::Started { call_sid: "CA1".into() },
        LegEvent::Ringing,
        LegEvent::Early,
        LegEvent::Answered,
        LegEvent::Ready,
        LegEvent::Detected("human"),
        LegEvent::Unreached(Unreached::Busy),
        LegEvent::Unreached(Unreached::Failed),
        LegEvent::Ended,
        LegEvent::Refers { to: "sip:x@y".into() },
    ]);
    let conference = prop::sample::select(vec![
        ConferenceEvent::Joined { sid: "CF1".into(), is_waiting: true },
        ConferenceEvent::Joined { sid: "CF1".into(), is_waiting: false },
        ConferenceEvent::Started,
        ConferenceEvent::Waiting,
        ConferenceEvent::Held(endpoint("hold")),
        ConferenceEvent::Left,
    ]);
    let queue = prop::sample::select(vec![
        QueueEvent::Entered { sid: "QU1".into(), standing: Standing::default() },
        QueueEvent::Moved(Standing::default()),
        QueueEvent::Full,
        QueueEvent::Failed,
        QueueEvent::Taken { by_call_sid: "CA2".into(), whisper: None },
        QueueEvent::Taken { by_call_sid: "CA2".into(), whisper: Some(endpoint("w")) },
        QueueEvent::GivenBack,
        QueueEvent::Bridged,
        QueueEvent::BridgeEnded,
    ]);
    let tap = prop::sample::select(vec![
        TapEvent::Started { sid: "MZ1".into() },
        TapEvent::Stopped,
        TapEvent::Failed { why: "no".into() },
        TapEvent::Said {
            track: AudioTrack::Inbound,
            text: "hi".into(),
            confidence: 0.5,
            is_final: false,
            language: None,
        },
    ]);
    let relay = prop::sample::select(vec![
        RelayEvent::Started { sid: "VX1".into() },
        RelayEvent::Ended { handoff: Some("a=1".into()) },
        RelayEvent::Failed { code: Code::RELAY_CLOSED, why: "no".into() },
    ]);
    let back = || 0..3_u64;
    prop_oneof![
        6 => (0..9_000_u64).prop_map(Step::Wait),
        1 => (0..9_000_000_u64).prop_map(Step::Wait),
        8 => document().prop_map(Step::Answer),
        1 => Just(Step::Fails),
        1 => prop::sample::select(vec![204_u16, 302, 404, 500]).prop_map(Step::Status),
        6 => back().prop_map(Step::SoundEnds),
        5 => prop::sample::select(vec!['1', '2', '#', '*']).prop_map(Step::Key),
        6 => (back(), heard()).prop_map(|(back, heard)| Step::Heard(back, heard)),
        4 => (back(), recording).prop_map(|(back, event)| Step::Recording(back, event)),
        5 => (back(), leg).prop_map(|(back, event)| Step::Leg(back, event)),
        3 => conference.prop_map(Step::Conference),
        4 => queue.prop_map(Step::Queue),
        3 => (back(), tap).prop_map(|(back, event)| Step::Tap(back, event)),
        3 => (back(), relay).prop_map(|(back, event)| Step::Relay(back, event)),
        1 => prop::sample::select(vec![202_u16, 603]).prop_map(Step::Referred),
        1 => document().prop_map(Step::Redirected),
        1 => Just(Step::HangUp),
        1 => Just(Step::HungUp),
    ]
}

/// A machine, and what is open in it as far as its effects tell.
struct Watched {
    machine: Machine,
    zero: std::time::Instant,
    now: Duration,
    asked: Option<RequestId>,
    ids: BTreeMap<&'static str, Vec<u64>>,
    seen: BTreeSet<String>,
    is_over: bool,
    answers: usize,
}

impl Watched {
    fn tell(&mut self, input: Input) {
        self.machine.handle(self.zero + self.now, input.clone());
        if matches!(input, Input::HungUp(_)) {
            self.drain();
            self.is_over = true;
        }
        self.drain();
    }

    fn drain(&mut self) {
        let mut effects = 0;
        while let Some(effect) = self.machine.poll() {
            effects += 1;
            assert!(effects < 2_000, "effects without end");
            let is_callback = matches!(effect, Effect::Notify(_) | Effect::Warn(_));
            assert!(!self.is_over || is_callback, "after the call: {effect:?}");
            let name = format!("{effect:?}");
            self.seen.insert(name.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default().to_owned());
            let mut given = |kind, id| self.ids.entry(kind).or_default().push(id);
            match effect {
                Effect::Fetch(fetch) => self.asked = Some(fetch.id),
                Effect::Answer => self.answers += 1,
                Effect::Notify(notify) => assert!(matches!(notify.to.url.scheme(), "http" | "https")),
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
                Effect::StartRelay { id, .. } => given("relay", id.0),
                Effect::HangUp | Effect::Reject(_) | Effect::Finished => self.is_over = true,
                _ => {}
            }
        }
        assert!(self.answers <= 1, "a call is taken once");
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut rounds = 0;
        while let Some(at) = self.machine.next_deadline().map(|at| at - self.zero).filter(|at| *at <= end) {
            assert!(at > self.now || rounds < 1_000, "a deadline that does not move");
            self.now = self.now.max(at);
            self.tell(Input::Tick);
            rounds += 1;
            assert!(rounds < 100_000, "deadlines without end");
        }
        self.now = end;
    }

    fn id(&self, kind: &str, back: u64) -> u64 {
        let ids = self.ids.get(kind).map_or(&[][..], Vec::as_slice);
        ids.iter().rev().nth(back as usize).copied().unwrap_or(u64::MAX)
    }

    fn page(&mut self, status: u16, body: String) {
        let Some(id) = self.asked.take() else { return };
        let (url, content_type) = (endpoint("page").url, "text/xml".to_owned());
        self.tell(Input::Fetched { id, result: Ok(Page { url, status, content_type, body: body.into_bytes() }) });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => self.wait(ms),
            Step::Answer(body) => self.page(200, body),
            Step::Status(status) => self.page(status, String::new()),
            Step::Fails => {
                if let Some(id) = self.asked.take() {
                    self.tell(Input::Fetched { id, result: Err(FetchError::Connection) });
                }
            }
            Step::SoundEnds(back) => {
                let id = SoundId(self.id("sound", back));
                self.tell(Input::SoundEnded { id, how: SoundEnd::Played });
            }
            Step::Key(key) => self.tell(Input::Key(Key::from_char(key).expect("a key"))),
            Step::Heard(back, what) => self.tell(Input::Heard { id: ListenId(self.id("listen", back)), what }),
            Step::Recording(back, event) => {
                self.tell(Input::Recording { id: RecordingId(self.id("record", back)), event });
            }
            Step::Leg(back, event) => self.tell(Input::Leg { id: LegId(self.id("leg", back)), event }),
            Step::Conference(event) => self.tell(Input::Conference(event)),
            Step::Queue(event) => self.tell(Input::Queue(event)),
            Step::Tap(back, event) => self.tell(Input::Tap { id: TapId(self.id("tap", back)), event }),
            Step::Relay(back, event) => self.tell(Input::Relay { id: RelayId(self.id("relay", back)), event }),
            Step::Referred(sip_status) => self.tell(Input::Referred { sip_status }),
            Step::Redirected(text) => self.tell(Input::Redirected(Source::Inline(text))),
            Step::HangUp => self.tell(Input::HangUp),
            Step::HungUp => self.tell(Input::HungUp(Ending::Caller)),
        }
    }
}

/// A call in which `steps` happen, until nothing happens any more; what was asked for in it.
fn live(steps: Vec<Step>, is_whisper: bool, has_fallback: bool) -> BTreeSet<String> {
    let plan = Plan::new().with(|setup| {
        setup.role = if is_whisper { Role::Whisper } else { Role::Call };
        setup.fallback = has_fallback.then(|| endpoint("fallback"));
        setup.rules.apology = Some(twiml::Speech::plain("Sorry."));
    });
    let zero = plan.zero;
    let machine = Machine::new(zero, plan.setup);
    let mut call = Watched {
        machine,
        zero,
        now: Duration::ZERO,
        asked: None,
        ids: BTreeMap::new(),
        seen: BTreeSet::new(),
        is_over: false,
        answers: 0,
    };
    call.drain();
    for step in steps {
        call.step(step);
        assert!(call.machine.is_over() || call.machine.next_deadline().is_some(), "it waits for nothing");
    }
    // Nothing more happens: the longest call, and then the longest that a recording is waited for.
    call.wait(4 * 3_600_000 + 300_000);
    assert!(call.machine.is_over());
    assert_eq!(call.machine.next_deadline(), None);
    call.seen
}

/// What is proven below is proven of deep calls: everything that can be asked for is.
#[test]
fn random_calls_reach_everything_that_can_be_asked_for() {
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 60);
    let mut seen = BTreeSet::new();
    for round in 0..3_000 {
        let steps = steps.new_tree(&mut runner).expect("steps").current();
        seen.extend(live(steps, round % 4 == 0, round % 3 == 0));
    }
    for effect in [
        "AcceptDequeue",
        "Answer",
        "Beep",
        "Bridge",
        "Dial",
        "Enqueue",
        "Fetch",
        "Finished",
        "HangUp",
        "HangUpLeg",
        "HoldMusic",
        "JoinConference",
        "LeaveConference",
        "LeaveQueue",
        "Listen",
        "Notify",
        "Play",
        "PlayKeys",
        "Record",
        "Refer",
        "Reject",
        "Ringback",
        "Say",
        "SettleListening",
        "StartRelay",
        "StartStream",
        "StartTranscription",
        "StopListening",
        "StopRecording",
        "StopRelay",
        "StopSound",
        "StopTap",
        "Warn",
    ] {
        assert!(seen.contains(effect), "never {effect}: {seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    /// No document and no order of events panics, spins or asks for something after the call; the call is taken at most
    /// once, always waits for something, and ends when nothing happens any more.
    #[test]
    fn every_call_ends(
        steps in prop::collection::vec(step(), 0..60),
        is_whisper in any::<bool>(),
        has_fallback in any::<bool>(),
    ) {
        live(steps, is_whisper, has_fallback);
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = twiml::parse(&bytes, Limits::default());
    }

    #[test]
    fn no_accident_panics_the_reader(document in document(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = document.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = twiml::parse(&bytes, Limits::default());
    }
}
