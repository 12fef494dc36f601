//! `Gather`: what the caller presses or says, until it is whole.
//!
//! Whichever comes first, key or word, decides what is gathered. A key ends the prompts at once; speech ends them when
//! there are words, or when it has lasted [`BARGE_IN`]: a cough shall not take the menu away. Waiting for the first
//! input begins when the prompts are over. Without any input the document goes on.

use std::time::{Duration, Instant};

use super::{
    choice::choose,
    desk::{Desk, Extra},
    frame::Then,
    prompts::Prompts,
};
use crate::ivr::{
    callback,
    effect::{Effect, ListenId, Listening, SoundId, Words},
    input::Heard,
    key::{Key, Keys},
    likely,
    notice::Code,
    private::Private,
    twiml::{Choice, Gather, SpeechTimeout},
    webhook::Endpoint,
};

/// How long speech without words lasts before it silences the prompts. Shorter, and coughs and clicks do; longer, and
/// the caller speaks against the menu.
const BARGE_IN: Duration = Duration::from_millis(400);

/// How long the recognizer may take to settle a sentence that is over.
const SETTLE: Duration = Duration::from_secs(5);

/// How long after the end of speech a recognizer that decides itself (`speechTimeout="auto"`) is waited for.
const AUTO: Duration = Duration::from_secs(3);

/// The most keys of one input. The vendor knows no limit; nobody types more.
const MOST_KEYS: usize = 1_000;

/// The most sentences of one input. Nobody dictates that much to a menu; a recognizer gone wild might.
const MOST_SENTENCES: usize = 200;

/// A `Gather` that runs.
pub(super) struct Gathering {
    gather: Gather,
    partial_to: Option<Endpoint>,
    prompts: Prompts,
    mode: Mode,
    keys: Keys,
    listening: Option<ListenId>,
    speech: Speech,
    /// When no first key or word, or no further key, has come.
    idle_at: Option<Instant>,
    /// An input that is whole but must wait for the prompts: `bargeIn="false"`.
    held: Option<Whole>,
}

/// What is being gathered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Undecided,
    Keys,
    Speech,
}

/// What the caller has said so far.
#[derive(Default)]
struct Speech {
    is_going_on: bool,
    /// Sentences that will not change: text and how sure.
    finals: Vec<(Private, f32)>,
    /// Words after them that still may.
    partial: Option<Private>,
    language: Option<String>,
    partials_told: u64,
    /// When the prompts are silenced.
    barge_at: Option<Instant>,
    /// When the sentence is over.
    over_at: Option<Instant>,
    /// When the caller has spoken for too long.
    too_long_at: Option<Instant>,
    /// When the recognizer has had its time to settle.
    settled_by: Option<Instant>,
}

/// Why an input of keys is whole.
#[derive(Clone, Copy)]
enum Whole {
    /// That key says so.
    FinishedOn(Key),
    /// There are as many as were asked for.
    Count,
}

impl Gathering {
    /// Begins; keys that were typed ahead are taken first.
    pub(super) fn start(desk: &mut Desk, now: Instant, mut gather: Gather) -> (Self, Then) {
        let partial_to = gather.partial_results.as_ref().and_then(|link| desk.endpoint(link));
        let prompts = std::mem::take(&mut gather.prompts);
        let mut gathering = Self {
            gather,
            partial_to,
            prompts: Prompts::start(desk, now, Vec::new()),
            mode: Mode::Undecided,
            keys: Keys::default(),
            listening: None,
            speech: Speech::default(),
            idle_at: None,
            held: None,
        };
        while gathering.gather.keys
            && let Some(key) = desk.typed.pop_front()
        {
            // A finishing key before any other belongs to the input before: that one was whole already when it came.
            if gathering.gather.finish_on == Some(key) && gathering.keys.is_empty() {
                continue;
            }
            // With `bargeIn="false"` the prompts are still to be heard, whatever was typed.
            if gathering.gather.barge_in {
                match gathering.press(desk, now, key) {
                    Then::Stay => {}
                    then => return (gathering, then),
                }
            } else if gathering.held.is_none() {
                gathering.held = gathering.take(key);
            } else {
                desk.typed.push_front(key);
                break;
            }
        }
        if gathering.mode == Mode::Keys && gathering.gather.barge_in {
            return (gathering, Then::Stay);
        }
        gathering.prompts = Prompts::start(desk, now, prompts);
        if gathering.gather.barge_in {
            gathering.listen(desk);
        }
        let then = gathering.after_prompts(desk, now);
        (gathering, then)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let Speech { barge_at, over_at, too_long_at, settled_by, .. } = self.speech;
        [self.prompts.deadline(), self.idle_at, barge_at, over_at, too_long_at, settled_by].into_iter().flatten().min()
    }

    pub(super) fn tick(&mut self, desk: &mut Desk, now: Instant) -> Then {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if !self.prompts.are_over() {
            self.prompts.tick(desk, now);
            match self.after_prompts(desk, now) {
                Then::Stay => {}
                then => return then,
            }
        }
        if is_due(self.speech.barge_at) {
            self.speech.barge_at = None;
            self.silence(desk, now);
        }
        if is_due(self.speech.settled_by) {
            return self.spoken(desk);
        }
        if is_due(self.speech.over_at) || is_due(self.speech.too_long_at) {
            self.speech.over_at = None;
            self.speech.too_long_at = None;
            return self.settle(desk, now);
        }
        if is_due(self.idle_at) {
            self.idle_at = None;
            return self.typed(desk, None);
        }
        Then::Stay
    }

    pub(super) fn sound_ended(&mut self, desk: &mut Desk, now: Instant, id: SoundId) -> Then {
        if self.prompts.are_over() {
            return Then::Stay;
        }
        self.prompts.sound_ended(desk, now, id);
        self.after_prompts(desk, now)
    }

    pub(super) fn press(&mut self, desk: &mut Desk, now: Instant, key: Key) -> Then {
        if !self.gather.keys || self.mode == Mode::Speech || self.held.is_some() {
            return Then::Stay;
        }
        let whole = self.take(key);
        self.stop_listening(desk);
        if self.gather.barge_in {
            self.prompts.silence(desk);
        }
        match whole {
            Some(_) if !self.prompts.are_over() => self.held = whole,
            Some(whole) => return self.typed(desk, Some(whole)),
            None if self.prompts.are_over() => self.idle_at = Some(now + self.gather.timeout),
            None => {}
        }
        Then::Stay
    }

    pub(super) fn heard(&mut self, desk: &mut Desk, now: Instant, id: ListenId, what: Heard) -> Then {
        if self.listening != Some(id) || self.mode == Mode::Keys {
            return Then::Stay;
        }
        match what {
            Heard::SpeechStarted if self.speech.settled_by.is_some() => {}
            Heard::SpeechStarted => {
                self.speech.is_going_on = true;
                self.speech.over_at = None;
                self.idle_at = None;
                self.speech.too_long_at.get_or_insert(now + self.gather.max_speech);
                if !self.prompts.are_over() {
                    self.speech.barge_at = Some(now + BARGE_IN);
                }
            }
            Heard::SpeechEnded => {
                self.speech.is_going_on = false;
                self.speech.barge_at = None;
                return self.paused(desk, now);
            }
            Heard::Partial { text, stability } if !text.reveal().trim().is_empty() => {
                let text = self.meant(&text);
                self.words_came(desk, now);
                self.tell_partial(desk, &text, stability);
                self.speech.partial = Some(text);
            }
            Heard::Final { text, confidence, language } => {
                self.speech.partial = None;
                if !text.reveal().trim().is_empty() {
                    self.words_came(desk, now);
                    self.speech.finals.push((self.meant(&text), confidence));
                    self.speech.language = language.or_else(|| self.speech.language.take());
                }
                if self.speech.finals.len() >= MOST_SENTENCES {
                    return self.spoken(desk);
                }
                if !self.speech.is_going_on {
                    return self.paused(desk, now);
                }
            }
            Heard::Settled if self.speech.settled_by.is_some() => return self.spoken(desk),
            Heard::Failed => {
                desk.warn(Code::OURS, "speech is not recognized: the recognizer failed or is full");
                self.listening = None;
                self.speech.too_long_at = None;
                self.speech.over_at = None;
                self.speech.barge_at = None;
                if self.mode == Mode::Speech {
                    return self.spoken(desk);
                }
                if self.prompts.are_over() && self.idle_at.is_none() {
                    self.idle_at = Some(now + self.gather.timeout);
                }
            }
            Heard::Partial { .. } | Heard::Settled => {}
        }
        Then::Stay
    }

    /// What was heard, where it is nearly a word that is likely to come.
    fn meant(&self, heard: &Private) -> Private {
        likely::read(heard.reveal(), &self.gather.hints).into()
    }

    /// Ends it without a result.
    pub(super) fn abandon(&mut self, desk: &mut Desk) {
        self.prompts.silence(desk);
        self.stop_listening(desk);
    }

    /// Adds a key, and says whether the input is whole with it.
    fn take(&mut self, key: Key) -> Option<Whole> {
        self.mode = Mode::Keys;
        if self.gather.finish_on == Some(key) {
            return Some(Whole::FinishedOn(key));
        }
        self.keys.push(key);
        (self.keys.len() >= self.gather.num_digits.unwrap_or(MOST_KEYS)).then_some(Whole::Count)
    }

    /// What is due when the prompts have been played or silenced.
    fn after_prompts(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if !self.prompts.are_over() {
            return Then::Stay;
        }
        if let Some(whole) = self.held.take() {
            return self.typed(desk, Some(whole));
        }
        if self.mode == Mode::Undecided {
            self.listen(desk);
        }
        let is_speaking = self.mode == Mode::Speech || self.speech.is_going_on;
        if self.idle_at.is_none() && !is_speaking {
            self.idle_at = Some(now + self.gather.timeout);
        }
        Then::Stay
    }

    fn silence(&mut self, desk: &mut Desk, now: Instant) {
        if self.gather.barge_in && !self.prompts.are_over() {
            self.prompts.silence(desk);
            // Nothing is held with barge-in, so this only begins to wait.
            self.after_prompts(desk, now);
        }
    }

    fn words_came(&mut self, desk: &mut Desk, now: Instant) {
        self.mode = Mode::Speech;
        self.idle_at = None;
        self.speech.barge_at = None;
        if self.speech.settled_by.is_none() {
            self.speech.too_long_at.get_or_insert(now + self.gather.max_speech);
        }
        self.silence(desk, now);
    }

    /// Speech paused, or the recognizer has said what it was: perhaps the sentence is over.
    fn paused(&mut self, desk: &mut Desk, now: Instant) -> Then {
        if self.speech.settled_by.is_some() {
            return Then::Stay;
        }
        if self.mode == Mode::Undecided {
            // A noise. The caller has all their time again.
            self.speech.too_long_at = None;
            return self.after_prompts(desk, now);
        }
        match self.gather.speech_timeout {
            SpeechTimeout::Auto if !self.speech.finals.is_empty() => return self.settle(desk, now),
            SpeechTimeout::Auto => self.speech.over_at = Some(now + AUTO),
            // Counted from the pause: words that settle later do not begin it anew.
            SpeechTimeout::After(pause) => {
                self.speech.over_at.get_or_insert(now + pause);
            }
        }
        Then::Stay
    }

    /// The sentence is over: waits for words that may still change, or takes what there is.
    fn settle(&mut self, desk: &mut Desk, now: Instant) -> Then {
        let Some(id) = self.listening else { return self.spoken(desk) };
        if self.speech.partial.is_none() && !self.speech.is_going_on {
            return self.spoken(desk);
        }
        self.speech.settled_by = Some(now + SETTLE);
        desk.emit(Effect::SettleListening(id));
        Then::Stay
    }

    fn typed(&mut self, desk: &mut Desk, whole: Option<Whole>) -> Then {
        self.stop_listening(desk);
        self.prompts.silence(desk);
        let digits = self.keys.to_text();
        if digits.is_empty() && !self.gather.action_on_empty_result {
            return Then::Next;
        }
        if !self.gather.keys {
            return self.ask(vec![("SpeechResult", String::new())]);
        }
        let finished_on = match whole {
            Some(Whole::FinishedOn(key)) => key.as_char().to_string(),
            _ => String::new(),
        };
        let means = |choice: &&Choice| choice.name == digits || choice.words.contains(&digits);
        let chosen = self.gather.choices.iter().find(means).map(|choice| choice.name.clone());
        let mut extra = vec![("Digits", digits), ("FinishedOnKey", finished_on)];
        extra.extend(chosen.map(|name| ("Choice", name)));
        self.ask(extra)
    }

    fn spoken(&mut self, desk: &mut Desk) -> Then {
        // What had not settled in time is better than nothing.
        if let Some(partial) = self.speech.partial.take() {
            self.speech.finals.push((partial, 0.0));
        }
        if self.speech.finals.is_empty() {
            return self.typed(desk, None);
        }
        self.stop_listening(desk);
        self.prompts.silence(desk);
        let texts: Vec<_> = self.speech.finals.iter().map(|(text, _)| text.reveal().trim()).collect();
        let text = texts.join(" ");
        let words = |text: &str| text.split_whitespace().count().max(1) as f32;
        let all: f32 = texts.iter().map(|text| words(text)).sum();
        let sure: f32 = self.speech.finals.iter().map(|(text, sure)| sure * words(text.reveal())).sum();
        let chosen = choose(&self.gather.choices, &text).map(str::to_owned);
        let mut extra = vec![("SpeechResult", text), ("Confidence", callback::share(sure / all).to_string())];
        extra.extend(self.speech.language.take().map(|language| ("Language", language)));
        extra.extend(chosen.map(|name| ("Choice", name)));
        self.ask(extra)
    }

    fn ask(&self, extra: Extra) -> Then {
        Then::Ask { to: self.gather.action.clone(), method: self.gather.method, extra }
    }

    fn listen(&mut self, desk: &mut Desk) {
        if !self.gather.speech || self.listening.is_some() {
            return;
        }
        let id = ListenId(desk.fresh());
        let language = self.gather.language.clone().or_else(|| desk.rules.language.clone());
        let words =
            Words { language: language.filter(|language| language != "multi"), hints: self.expected(), partials: true };
        self.listening = Some(id);
        desk.emit(Effect::Listen { id, to: Listening::Words(words) });
    }

    /// Words that are likely to come: those that are named, and those that mean something.
    fn expected(&self) -> Vec<String> {
        let choices = self.gather.choices.iter().flat_map(|choice| choice.words.iter());
        let is_word = |word: &&String| word.chars().any(char::is_alphabetic);
        self.gather.hints.iter().chain(choices.filter(is_word)).cloned().collect()
    }

    fn stop_listening(&mut self, desk: &mut Desk) {
        if let Some(id) = self.listening.take() {
            desk.emit(Effect::StopListening(id));
        }
        let Speech { barge_at, over_at, too_long_at, settled_by, .. } = &mut self.speech;
        [barge_at, over_at, too_long_at, settled_by].into_iter().for_each(|at| *at = None);
    }

    fn tell_partial(&mut self, desk: &mut Desk, text: &Private, stability: f32) {
        let Some(to) = self.partial_to.clone() else { return };
        let mut extra: Extra = Vec::new();
        let settled: Vec<_> = self.speech.finals.iter().map(|(text, _)| text.reveal().trim()).collect();
        if !settled.is_empty() {
            extra.push(("StableSpeechResult", settled.join(" ")));
        }
        extra.push(("UnstableSpeechResult", text.reveal().to_owned()));
        extra.push(("Stability", callback::share(stability).to_string()));
        extra.push(("SequenceNumber", self.speech.partials_told.to_string()));
        self.speech.partials_told += 1;
        let params = desk.params(extra);
        desk.notify(&to, params);
    }
}
