//! A call on time of its own: an application whose pages are known, and everything the machine asks for as one line.
//!
//! Pages are answered at once. What is played, said and dialled waits for the test to end it. Lines leave out ids and
//! what every request of a call says (`CallSid`, `From`, …), so that a test reads as the call went.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant, SystemTime},
};

use bot::ivr::{
    call::{CallFacts, Direction, ProgressEvents, StatusCallback},
    effect::{Callee, Effect, Leg, LegId, ListenId, Listening, RecordingId, RelayId, RelaySpec, SoundId, TapId},
    input::{
        ConferenceEvent, Ending, Heard, Input, LegEvent, QueueEvent, RecordingEvent, RelayEvent, SoundEnd, TapEvent,
    },
    key::{Key, Tone},
    machine::{Machine, Role, Rules, Setup, Source},
    twiml::{Answering, Times},
    webhook::{Endpoint, Fetch, FetchError, Method, Page, Params},
};
use media::time::Epoch;

/// Where the application lives.
pub(crate) const APPLICATION: &str = "https://app.test/";

/// A call, and who makes it go on.
pub(crate) struct Call {
    pub(crate) machine: Machine,
    zero: Instant,
    now: Duration,
    pages: BTreeMap<String, VecDeque<Answer>>,
    lines: Vec<String>,
    /// Every request as it was, in order.
    pub(crate) requests: Vec<Fetch>,
    /// Everything else that was told, in order.
    pub(crate) told: Vec<(String, Params)>,
    pub(crate) sound: Option<SoundId>,
    pub(crate) listening: Option<ListenId>,
    pub(crate) recordings: Vec<RecordingId>,
    pub(crate) legs: Vec<LegId>,
    pub(crate) dialled: Vec<Leg>,
    pub(crate) taps: Vec<TapId>,
    pub(crate) relays: Vec<(RelayId, RelaySpec)>,
    is_over: bool,
}

/// What the application answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Page {
        status: u16,
        content_type: &'static str,
        body: String,
    },
    Fails(FetchError),
    /// Nothing yet.
    Waits,
}

/// How a call is set up, before it begins.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) zero: Instant,
    pub(crate) pages: BTreeMap<String, VecDeque<Answer>>,
}

/// A call to `https://app.test/voice`, which answers `verbs` in a `Response`.
pub(crate) fn call(verbs: &str) -> Plan {
    Plan::new().page("/voice", verbs)
}

impl Plan {
    pub(crate) fn new() -> Self {
        let zero = some_instant();
        let facts = CallFacts {
            call_sid: "CA0123".to_owned(),
            account_sid: "AC0123".to_owned(),
            from: "+4930111".into(),
            to: "+4930222".into(),
            direction: Direction::Inbound,
            caller_name: None,
            forwarded_from: None,
            parent_call_sid: None,
            is_answered: false,
            status: None,
            own_params: Vec::new(),
            epoch: Epoch { instant: zero, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_112_900) },
        };
        let source = Source::At(endpoint("voice"));
        let rules = Rules { apology: None, ..Rules::default() };
        let setup = Setup { facts, role: Role::Call, source, fallback: None, rules };
        Self { setup, zero, pages: BTreeMap::new() }
    }

    /// The application answers requests for `path` with `verbs` in a `Response`.
    pub(crate) fn page(self, path: &str, verbs: &str) -> Self {
        self.answer(path, xml(verbs))
    }

    /// The application answers the next request for `path` so; the last answer is repeated.
    pub(crate) fn answer(mut self, path: &str, answer: Answer) -> Self {
        self.pages.entry(path.to_owned()).or_default().push_back(answer);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// Who wants to hear how the call goes.
    pub(crate) fn status_callback(self) -> Self {
        let events = ProgressEvents { initiated: true, ringing: true, answered: true, completed: true };
        self.with(|setup| setup.facts.status = Some(StatusCallback { to: endpoint("status"), events }))
    }

    pub(crate) fn begin(self) -> Call {
        let Self { setup, zero, pages } = self;
        let machine = Machine::new(zero, setup);
        let mut call = Call {
            machine,
            zero,
            now: Duration::ZERO,
            pages,
            lines: Vec::new(),
            requests: Vec::new(),
            told: Vec::new(),
            sound: None,
            listening: None,
            recordings: Vec::new(),
            legs: Vec::new(),
            dialled: Vec::new(),
            taps: Vec::new(),
            relays: Vec::new(),
            is_over: false,
        };
        call.drain();
        call
    }
}

impl Call {
    /// What was asked for since the last time somebody looked.
    #[track_caller]
    pub(crate) fn expect(&mut self, lines: &[&str]) -> &mut Self {
        let seen = std::mem::take(&mut self.lines);
        assert_eq!(seen, lines, "\nseen:\n    {}\n", seen.join("\n    "));
        self
    }

    /// What was asked for since the last time somebody looked.
    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Sets the clock.
    pub(crate) fn at_ms(&mut self, ms: u64) -> &mut Self {
        self.now = Duration::from_millis(ms);
        self
    }

    /// Drops what was asked for since the last time somebody looked.
    pub(crate) fn forget(&mut self) -> &mut Self {
        self.lines.clear();
        self
    }

    pub(crate) fn tell(&mut self, input: Input) -> &mut Self {
        self.machine.handle(self.zero + self.now, input);
        self.drain();
        self
    }

    /// Lets time pass, waking the machine when it asks for it.
    pub(crate) fn wait_ms(&mut self, ms: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(ms);
        let mut rounds = 0;
        while let Some(at) = self.machine.next_deadline().map(|at| at - self.zero).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.tell(Input::Tick);
            rounds += 1;
            assert!(rounds < 10_000, "a machine that asks for the time again and again");
        }
        self.now = end;
        self
    }

    pub(crate) fn wait_s(&mut self, seconds: u64) -> &mut Self {
        self.wait_ms(seconds * 1_000)
    }

    /// What plays comes to its end.
    #[track_caller]
    pub(crate) fn sound_ends(&mut self) -> &mut Self {
        let id = self.sound.take().expect("something plays");
        self.tell(Input::SoundEnded { id, how: SoundEnd::Played })
    }

    #[track_caller]
    pub(crate) fn sound_fails(&mut self) -> &mut Self {
        let id = self.sound.take().expect("something plays");
        self.tell(Input::SoundEnded { id, how: SoundEnd::Failed })
    }

    /// The caller presses keys, at once.
    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.tell(Input::Key(Key::from_char(key).expect("a key")));
        }
        self
    }

    #[track_caller]
    pub(crate) fn ears(&mut self, what: Heard) -> &mut Self {
        let id = self.listening.expect("somebody listens");
        self.tell(Input::Heard { id, what })
    }

    /// The caller begins to speak.
    #[track_caller]
    pub(crate) fn speech_starts(&mut self) -> &mut Self {
        self.ears(Heard::SpeechStarted)
    }

    /// The caller stops speaking.
    #[track_caller]
    pub(crate) fn speech_ends(&mut self) -> &mut Self {
        self.ears(Heard::SpeechEnded)
    }

    #[track_caller]
    pub(crate) fn partial(&mut self, text: &str) -> &mut Self {
        self.ears(Heard::Partial { text: text.into(), stability: 0.5 })
    }

    #[track_caller]
    pub(crate) fn words(&mut self, text: &str) -> &mut Self {
        self.ears(Heard::Final { text: text.into(), confidence: 0.9, language: None })
    }

    /// The caller says a sentence, and stops.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) -> &mut Self {
        self.speech_starts().words(text);
        if self.listening.is_some() {
            self.speech_ends();
        }
        self
    }

    #[track_caller]
    pub(crate) fn leg(&mut self, which: usize, event: LegEvent) -> &mut Self {
        let id = self.legs[which];
        self.tell(Input::Leg { id, event })
    }

    #[track_caller]
    pub(crate) fn recording(&mut self, event: RecordingEvent) -> &mut Self {
        let id = *self.recordings.last().expect("something is recorded");
        self.tell(Input::Recording { id, event })
    }

    /// The file of the last recording is there.
    #[track_caller]
    pub(crate) fn file_of(&mut self, seconds: u64) -> &mut Self {
        self.recording(RecordingEvent::Done {
            sid: "RE01".to_owned(),
            url: "https://here.test/RE01".to_owned(),
            duration: Duration::from_secs(seconds),
            channels: 1,
        })
    }

    #[track_caller]
    pub(crate) fn tap(&mut self, event: TapEvent) -> &mut Self {
        let id = *self.taps.last().expect("something takes the sound");
        self.tell(Input::Tap { id, event })
    }

    #[track_caller]
    pub(crate) fn relay(&mut self, event: RelayEvent) -> &mut Self {
        let id = self.relays.last().expect("an application is talked with").0;
        self.tell(Input::Relay { id, event })
    }

    pub(crate) fn queue(&mut self, event: QueueEvent) -> &mut Self {
        self.tell(Input::Queue(event))
    }

    pub(crate) fn conference(&mut self, event: ConferenceEvent) -> &mut Self {
        self.tell(Input::Conference(event))
    }

    pub(crate) fn caller_hangs_up(&mut self) -> &mut Self {
        self.tell(Input::HungUp(Ending::Caller))
    }

    /// The application answers a request that it was asked before.
    pub(crate) fn application_answers(&mut self, verbs: &str) -> &mut Self {
        self.answer_last(xml(verbs))
    }

    pub(crate) fn answer_last(&mut self, answer: Answer) -> &mut Self {
        let fetch = self.requests.last().expect("something was asked").clone();
        self.answer(&fetch, answer);
        self
    }

    /// The parameters of the last request.
    pub(crate) fn last_params(&self) -> &Params {
        &self.requests.last().expect("something was asked").params
    }

    fn answer(&mut self, fetch: &Fetch, answer: Answer) {
        let result = match answer {
            Answer::Page { status, content_type, body } => {
                let (url, content_type, body) = (fetch.to.url.clone(), content_type.to_owned(), body.into_bytes());
                Ok(Page { url, status, content_type, body })
            }
            Answer::Fails(error) => Err(error),
            Answer::Waits => return,
        };
        self.tell(Input::Fetched { id: fetch.id, result });
    }

    fn drain(&mut self) {
        let mut asked = Vec::new();
        while let Some(effect) = self.machine.poll() {
            self.note(&effect);
            if let Effect::Fetch(fetch) = effect {
                asked.push(fetch);
            }
        }
        for fetch in asked {
            self.requests.push(fetch.clone());
            let Some(answers) = self.pages.get_mut(fetch.to.url.path()) else { continue };
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            self.answer(&fetch, answer.expect("a page has an answer"));
        }
    }

    fn note(&mut self, effect: &Effect) {
        if self.is_over {
            let is_callback = matches!(effect, Effect::Notify(_) | Effect::Warn(_));
            assert!(is_callback, "asked for after the call: {effect:?}");
        }
        match effect {
            Effect::Say { id, .. }
            | Effect::Play { id, .. }
            | Effect::PlayKeys { id, .. }
            | Effect::Beep { id }
            | Effect::HoldMusic { id }
            | Effect::Ringback { id, .. } => self.sound = Some(*id),
            Effect::StopSound(id) if self.sound == Some(*id) => self.sound = None,
            Effect::Listen { id, .. } => self.listening = Some(*id),
            Effect::StopListening(id) if self.listening == Some(*id) => self.listening = None,
            Effect::Record { id, .. } => self.recordings.push(*id),
            Effect::Dial(leg) => {
                self.legs.push(leg.id);
                self.dialled.push(leg.as_ref().clone());
            }
            Effect::StartStream { id, .. } | Effect::StartTranscription { id, .. } => self.taps.push(*id),
            Effect::StartRelay { id, spec } => self.relays.push((*id, spec.as_ref().clone())),
            Effect::HangUp | Effect::Reject(_) | Effect::Finished => self.is_over = true,
            Effect::Notify(notify) => self.told.push((notify.to.url.path().to_owned(), notify.params.clone())),
            _ => {}
        }
        let line = self.line(effect);
        self.lines.push(line);
    }

    /// An effect as one line.
    fn line(&self, effect: &Effect) -> String {
        let times = |times: &Times| match times {
            Times::Count(1) => String::new(),
            Times::Count(count) => format!(" {count} times"),
            Times::Forever => " for ever".to_owned(),
        };
        let leg = |id: &LegId| self.legs.iter().position(|own| own == id).map_or(usize::MAX, |at| at);
        match effect {
            Effect::Answer => "answer".to_owned(),
            Effect::Reject(reason) => format!("reject {reason:?}"),
            Effect::HangUp => "hang up".to_owned(),
            Effect::Finished => "finished".to_owned(),
            Effect::Fetch(fetch) => request("", &fetch.to, &fetch.params),
            Effect::Notify(notify) => request("tell ", &notify.to, &notify.params),
            Effect::Warn(notice) => format!("warn {} {}", notice.code, notice.element),
            Effect::Say { speech, times: count, .. } => {
                let language = speech.language.iter().map(|language| format!(" in {language}")).collect::<String>();
                format!("say {:?}{language}{}", speech.words(), times(count))
            }
            Effect::Play { url, times: count, .. } => format!("play {}{}", place(url), times(count)),
            Effect::PlayKeys { tones: keys, .. } => format!("play keys {}", tones(keys)),
            Effect::Beep { .. } => "beep".to_owned(),
            Effect::HoldMusic { .. } => "music".to_owned(),
            Effect::Ringback { is_signalled: true, .. } => "ringing is signalled".to_owned(),
            Effect::Ringback { country, .. } => format!("ringing {}", country.as_deref().unwrap_or("as here")),
            Effect::StopSound(_) => "stop sound".to_owned(),
            Effect::Listen { to: Listening::Activity, .. } => "listen for speech".to_owned(),
            Effect::Listen { to: Listening::Words(words), .. } => {
                let language = words.language.as_deref().unwrap_or("any language");
                format!("listen for words in {language}")
            }
            Effect::SettleListening(_) => "settle".to_owned(),
            Effect::StopListening(_) => "stop listening".to_owned(),
            Effect::Record { spec, .. } => format!("record {:?} at most {}s", spec.source, spec.max_length.as_secs()),
            Effect::StopRecording(_) => "stop recording".to_owned(),
            Effect::Dial(leg) => {
                let who = match &leg.who {
                    Callee::Phone(Answering::Number(number)) => number.reveal().to_owned(),
                    Callee::Phone(Answering::Sip { uri, .. }) => uri.reveal().to_owned(),
                    Callee::Phone(Answering::Client { identity, .. }) => format!("client {identity}"),
                    Callee::Queue(name) => format!("queue {name}"),
                };
                format!("dial {who} as {} for {}s", leg.caller_id.reveal(), leg.timeout.as_secs())
            }
            Effect::HangUpLeg(id) => format!("hang up leg {}", leg(id)),
            Effect::HearEarly(id) => format!("hear leg {} ring", leg(id)),
            Effect::Bridge(id) => format!("bridge leg {}", leg(id)),
            Effect::JoinConference { room, .. } => format!("join conference {}", room.name),
            Effect::LeaveConference => "leave conference".to_owned(),
            Effect::Enqueue { queue, .. } => format!("enqueue in {queue}"),
            Effect::LeaveQueue => "leave queue".to_owned(),
            Effect::AcceptDequeue => "accept".to_owned(),
            Effect::StartStream { spec, .. } => format!("stream {:?} to {}", spec.track, spec.url),
            Effect::StartTranscription { spec, .. } => format!("transcribe {:?}", spec.track),
            Effect::StopTap(_) => "stop tap".to_owned(),
            Effect::StartRelay { spec, .. } => format!("relay to {}", spec.url),
            Effect::StopRelay(_) => "stop relay".to_owned(),
            Effect::Refer { to } => format!("refer to {}", to.reveal()),
        }
    }
}

pub(crate) fn endpoint(path: &str) -> Endpoint {
    let url = format!("{APPLICATION}{path}").parse().expect("an address");
    Endpoint { url, method: Method::Post }
}

/// `verbs` in a `Response`, as an application answers them.
pub(crate) fn xml(verbs: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{verbs}</Response>");
    Answer::Page { status: 200, content_type: "text/xml; charset=utf-8", body }
}

/// A page that is no document, or another status.
pub(crate) fn page(status: u16, content_type: &'static str, body: &str) -> Answer {
    Answer::Page { status, content_type, body: body.to_owned() }
}

fn request(before: &str, to: &Endpoint, params: &Params) -> String {
    /// What every request of the call says.
    const KNOWN: [&str; 9] =
        ["CallSid", "AccountSid", "From", "To", "ApiVersion", "Direction", "Caller", "Called", "CallStatus"];
    const TIMES: [&str; 4] = ["Timestamp", "RecordingStartTime", "CallbackSource", "Duration"];
    let is_progress = params.value("SequenceNumber").is_some() && params.value("CallbackSource").is_some();
    let shown = params.iter().filter(|(name, _)| {
        let is_known = KNOWN.contains(name) && !(is_progress && *name == "CallStatus");
        !is_known && !TIMES.contains(name)
    });
    let shown: String = shown.map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{before}{} {}{shown}", to.method.as_str(), place(&to.url))
}

fn place(url: &url::Url) -> String {
    url.as_str().strip_prefix("https://app.test").unwrap_or(url.as_str()).to_owned()
}

fn tones(tones: &[Tone]) -> String {
    let tone = |tone: &Tone| match tone {
        Tone::Key(key) => key.as_char(),
        Tone::Wait(_) => 'w',
    };
    tones.iter().map(tone).collect()
}

#[expect(clippy::disallowed_methods, reason = "where virtual time begins; nothing reads the clock again")]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}
