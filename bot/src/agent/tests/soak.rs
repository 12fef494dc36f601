//! An hour of one call, on virtual time: somebody who asks, hesitates, coughs, interrupts and presses keys, a model and
//! tools that fail in every way they can, a voice that breaks off, hand-overs and transfers.
//!
//! What happens is drawn from a seed ([`people`]) and lies in an agenda; time jumps from one thing to the next. After each
//! of them the [`Referee`] of the exhaustive walk judges what the agent wants, and [`judged`] what only shows in the long run:
//! no turn stays open, no words are lost, nothing grows. After all of it the agent still answers.

mod judged;
mod people;

use std::collections::VecDeque;

use self::people::{Dice, Fate, Said};
use super::{super::machine::Phase, referee::Referee, *};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long everybody behaves afterwards, and how many answers have to be heard in that.
const CALM: Duration = Duration::from_secs(120);
const CALM_ANSWERS: u32 = 3;

const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// Letters of a question to a model: such a history, and what a persona is told.
const QUESTION_CHARS_MAX: usize = 50_000;

/// What sounds behind the last word of a sentence.
const TAIL: Duration = Duration::from_millis(20);

/// What is told of a broken promise: the last things that happened.
const TRAIL: usize = 40;

/// What happens next.
enum Thing {
    /// The agent is told this.
    Told(Input),
    /// The caller thinks of something to do.
    NextAct,
}

/// A sentence that the voice is at.
struct Playing {
    sentence: u64,
    fate: Fate,
    has_begun: bool,
    words: usize,
}

/// One call of an hour.
struct Hour {
    seed: u64,
    dice: Dice,
    agent: Agent,
    referee: Referee,
    now: MediaTime,
    /// What will happen, in its order; of two things at a time the one that was thought of first.
    agenda: BTreeMap<(MediaTime, u64), Thing>,
    planned: u64,
    utterances: u64,
    calls: u64,
    playing: Option<Playing>,
    /// When the voice is further.
    voice_at: MediaTime,
    /// How far away that is, while the voice holds still.
    held: Option<Duration>,
    /// A summary that was asked for. The referee judges answers.
    summary: Option<AskId>,
    /// Turns of the caller that are neither answered nor dropped, and since when.
    open: BTreeMap<TurnId, MediaTime>,
    /// Since when words of the caller are neither their turn nor told to be none.
    owed: Option<MediaTime>,
    /// Whether words became a turn, or none, since the caller began to speak.
    is_settled: bool,
    /// Whether part of the history was just forgotten.
    has_forgotten: bool,
    /// Whether everybody behaves from now on.
    is_calm: bool,
    /// Whether the caller was asked whether they are there.
    was_asked: bool,
    seen: BTreeMap<&'static str, u32>,
    trail: VecDeque<String>,
}

impl Hour {
    fn begin(seed: u64) -> Self {
        let agent = Agent::new(Arc::new(lasting(persona())), facts(), MediaTime::ZERO);
        let mut hour = Self {
            seed,
            dice: Dice::new(seed),
            agent,
            referee: Referee::default(),
            now: MediaTime::ZERO,
            agenda: BTreeMap::new(),
            planned: 0,
            utterances: 0,
            calls: 0,
            playing: None,
            voice_at: MediaTime::ZERO,
            held: None,
            summary: None,
            open: BTreeMap::new(),
            owed: None,
            is_settled: true,
            has_forgotten: false,
            is_calm: false,
            was_asked: false,
            seen: BTreeMap::new(),
            trail: VecDeque::new(),
        };
        hour.tell(Input::Begin);
        hour.plan(Duration::from_secs(4), Thing::NextAct);
        hour
    }

    fn plan(&mut self, after: Duration, thing: Thing) {
        self.plan_at(self.now + after, thing);
    }

    fn plan_at(&mut self, at: MediaTime, thing: Thing) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), thing);
    }

    /// Lets so much time pass, and everything happen that happens in it.
    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let planned = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let is_voiced =
                self.held.is_none() && self.playing.as_ref().is_some_and(|playing| playing.fate != Fate::Hangs);
            let voice = is_voiced.then_some(self.voice_at);
            let due = self.agent.due();
            let Some(next) = [planned, voice, due].into_iter().flatten().min().filter(|next| *next <= until) else {
                break;
            };
            self.now = next.max(self.now);
            if voice == Some(next) {
                self.play();
            } else if planned == Some(next) {
                match self.agenda.pop_first() {
                    Some((_, Thing::Told(input))) => self.tell(input),
                    Some((_, Thing::NextAct)) => self.act(),
                    None => {}
                }
            } else {
                self.tell(Input::Tick);
            }
        }
        self.now = until;
    }

    /// The caller does something, and thinks of the next thing later.
    fn act(&mut self) {
        let is_plain = self.is_calm || std::mem::take(&mut self.was_asked);
        let (does, end) = people::act(&mut self.dice, &mut self.utterances, self.now, is_plain);
        for (at, input) in does {
            self.plan_at(at, Thing::Told(input));
        }
        let pause = if self.is_calm { Duration::from_secs(9) } else { people::pause(&mut self.dice) };
        self.plan_at(end + pause, Thing::NextAct);
    }

    /// The voice goes on by a step.
    fn play(&mut self) {
        let (Some(playing), Some(spoken)) = (&mut self.playing, self.referee.voice.first_mut()) else { return };
        let (turn, sentence) = (spoken.turn, spoken.id);
        let all = spoken.text.split_whitespace().count();
        let after_this = playing.words + usize::from(playing.has_begun);
        let next = spoken.text.split_whitespace().nth(after_this).map(people::lasts);
        let breaks_off = playing.fate == Fate::BreaksOff && playing.has_begun && playing.words >= all / 2;
        let input = if playing.fate == Fate::Fails || breaks_off {
            self.referee.voice_told = true;
            self.referee.is_heard(0);
            Input::NotSpoken { turn, sentence }
        } else if !playing.has_begun {
            playing.has_begun = true;
            Input::SpeechBegan { turn, sentence }
        } else if playing.words < all {
            playing.words += 1;
            spoken.heard = playing.words;
            Input::WordPlayed { turn, sentence, words: playing.words }
        } else {
            spoken.heard = all;
            self.referee.is_heard(0);
            Input::Played { turn, sentence }
        };
        self.voice_at = self.now + next.unwrap_or(TAIL);
        self.tell(input);
    }

    /// Looks which sentence the voice is at now, and whether it holds still.
    fn follow_voice(&mut self) {
        let first = self.referee.voice.first().map(|spoken| spoken.id);
        if first != self.playing.as_ref().map(|playing| playing.sentence) {
            let (fate, after) =
                if self.is_calm { (Fate::Plays, Duration::from_millis(90)) } else { people::voice(&mut self.dice) };
            self.playing = first.map(|sentence| Playing { sentence, fate, has_begun: false, words: 0 });
            self.voice_at = self.now + after;
            self.held = None;
        }
        match (self.referee.is_paused, self.held) {
            (true, None) => self.held = Some(self.voice_at.since(self.now)),
            (false, Some(left)) => {
                self.voice_at = self.now + left;
                self.held = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn tell(&mut self, input: Input) {
        self.note(format!("{} {input:?}", self.now));
        self.sees(&input);
        self.agent.handle(input, self.now);
        while let Some(output) = self.agent.poll() {
            self.note(format!("    {output:?}"));
            self.takes(output);
        }
        self.follow_voice();
        self.check();
    }

    /// What happens, before the agent is told.
    fn sees(&mut self, input: &Input) {
        match input {
            Input::Said { ask, delta: Delta::Done(_) } | Input::AskFailed { ask, .. } => {
                // Of a question that was cancelled the answer still comes: nobody may notice.
                self.referee.ask.take_if(|asked| asked == ask);
                self.summary.take_if(|asked| asked == ask);
            }
            Input::ToolDone { call, .. } | Input::Granted { call, .. } => {
                self.referee.running.retain(|running| running != call);
            }
            Input::Ears(Event::SpeechStarted { .. }) => self.is_settled = false,
            Input::Ears(Event::Final { words, .. }) => {
                let is_owed = !words.is_empty() && !self.is_settled && self.agent.phase == Phase::Talking;
                if is_owed {
                    self.owed.get_or_insert(self.now);
                }
            }
            _ => {}
        }
    }

    /// What the agent wants: whether it may, and what comes of it.
    fn takes(&mut self, output: Output) {
        match &output {
            Output::Ask { ask, role: llm::Role::Fast, request, .. } => {
                self.summary = Some(*ask);
                let comes = if self.is_calm { people::plain_summary() } else { people::summary(&mut self.dice) };
                self.answers(*ask, request, comes);
                return;
            }
            Output::Cancel(ask) if self.summary == Some(*ask) => {
                self.summary = None;
                return;
            }
            Output::Publish(notice) => self.counts(notice),
            _ => {}
        }
        if let Err(broken) = self.referee.judges(output.clone()) {
            panic!("{broken}{}", self.place());
        }
        match output {
            Output::Ask { ask, request, .. } => {
                let comes = if self.is_calm {
                    people::plain_answer()
                } else {
                    people::answer(&mut self.dice, &request, &mut self.calls)
                };
                self.answers(ask, &request, comes);
            }
            Output::Call { call, .. } => {
                if let Some((after, input)) = people::tool(&mut self.dice, &call) {
                    self.plan(after, Thing::Told(input));
                }
            }
            Output::Transfer { .. } => {
                // Nobody is there; now and then not even that is said.
                if !self.dice.percent(15) {
                    let after = self.dice.millis(1_000, 8_000);
                    self.plan(after, Thing::Told(Input::CameBack));
                }
                self.saw("transferred");
            }
            Output::HandOver { .. } => {
                let after = self.dice.millis(50, 900);
                let input = if self.dice.percent(20) {
                    Input::CameBack
                } else {
                    let mut other = persona();
                    other.greeting = PerLanguage::any("Hier ist die Werkstatt, worum geht es?");
                    Input::TookOver { persona: Arc::new(lasting(other)), tools: facts().tools }
                };
                self.plan(after, Thing::Told(input));
                self.saw("handed over");
            }
            Output::Press(_) => self.saw("pressed"),
            _ => {}
        }
    }

    fn answers(&mut self, ask: AskId, request: &Request, comes: Vec<(Duration, Said)>) {
        let texts = request.messages.iter().map(|message| match message {
            Message::User(text) | Message::Assistant { text, .. } | Message::ToolResult { content: text, .. } => text,
        });
        let chars = request.system.chars().count() + texts.map(|text| text.chars().count()).sum::<usize>();
        assert!(chars <= QUESTION_CHARS_MAX, "a question of {chars} letters{}", self.place());
        for (after, said) in comes {
            let input = match said {
                Said::Piece(delta) => Input::Said { ask, delta },
                Said::Fails(why) => Input::AskFailed { ask, why },
            };
            self.plan(after, Thing::Told(input));
        }
    }

    /// The caller hangs up; what was seen in the hour.
    fn ends(mut self) -> BTreeMap<&'static str, u32> {
        self.referee.hears_no_more(TurnId(u64::MAX));
        self.agent.handle(Input::HungUp, self.now);
        while let Some(output) = self.agent.poll() {
            self.takes(output);
        }
        self.check_history();
        assert!(self.agent.is_over() && self.referee.is_over && self.agent.due().is_none(), "{}", self.place());
        assert!(self.referee.open.is_empty(), "a turn is neither answered nor dropped{}", self.place());
        self.seen
    }

    fn note(&mut self, what: String) {
        if self.trail.len() >= TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back(what);
    }

    /// Where it is, for somebody who looks for what broke.
    fn place(&self) -> String {
        let trail: Vec<&str> = self.trail.iter().map(String::as_str).collect();
        format!(" (seed {}, at {})\n{}", self.seed, self.now, trail.join("\n"))
    }
}

/// A persona whose calls may last.
fn lasting(mut persona: Persona) -> Persona {
    persona.limits.call = 3 * HOUR;
    persona.limits.turns_max = 100_000;
    persona
}

#[test]
fn an_hour_of_trouble_breaks_no_promise_and_then_the_agent_still_answers() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in SEEDS {
        let mut hour = Hour::begin(seed);
        hour.pass(HOUR);
        let answered = hour.times("answered");
        assert!(answered > 60, "seed {seed}: {answered} answers are no conversation: {:?}", hour.seen);
        hour.is_calm = true;
        hour.pass(CALM);
        let since = hour.times("answered") - answered;
        assert!(since >= CALM_ANSWERS, "it answers no more, {since} times{}", hour.place());
        for (what, times) in hour.ends() {
            *seen.entry(what).or_default() += times;
        }
    }
    println!("{} hours: {seen:?}", SEEDS.len());
    // An hour in which nothing of this happened would prove nothing.
    let all = [
        "interrupted",
        "resumed",
        "not taken",
        "thrown away",
        "dropped",
        "bridged",
        "trouble",
        "a tool is done",
        "a tool timed out",
        "keys",
        "idle",
        "pressed",
        "transferred",
        "handed over",
        "summarised",
    ];
    for what in all {
        assert!(seen.contains_key(what), "never {what}: {seen:?}");
    }
}
