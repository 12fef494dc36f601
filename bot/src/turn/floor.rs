//! The machine: who speaks, who waits, and until when.
//!
//! Pure. Three things go on at once and are kept apart: the caller's voice ([`Caller`]), the agent's floor, and an
//! overlap of both ([`Overlap`]). What is due is asked of each of them, so that no wait can be forgotten.

use std::{collections::VecDeque, fmt, time::Duration};

use asr::event::{Event, Word};
use media::time::MediaTime;

use super::{
    ANSWERS_EARLY, EndWhy, Ended, FINAL_MAX, Floor, Input, NotTaken, Output, SAME_PAUSE, SPEECH_MAX, Shape,
    WORDLESS_MAX, WORTH_PREPARING,
    barge::{Judgement, judge},
    echo::Lately,
    pace::Pace,
    said::Said,
    words,
};
use crate::{ivr::private::Private, persona::TurnSettings};

/// Who has the floor in one call.
#[derive(Clone)]
pub struct Turns {
    pub(super) settings: TurnSettings,
    pub(super) pace: Pace,
    pub(super) caller: Caller,
    pub(super) said: Said,
    /// What the end-of-turn model said of the last pause, and when that began.
    pub(super) score: Option<(f32, MediaTime)>,
    /// For which words an answer is being prepared.
    pub(super) prepared: Option<String>,
    pub(super) floor: Floor,
    pub(super) may_interrupt: bool,
    pub(super) overlap: Option<Overlap>,
    /// A "yes" over the end of a question, and when it was said.
    pub(super) early: Option<(Vec<Word>, MediaTime)>,
    pub(super) lately: Lately,
    /// Since when nobody says anything, while the floor is free.
    pub(super) idle_since: MediaTime,
    pub(super) idle_times: u32,
    /// Whether what was said had to wait until the agent was done.
    pub(super) was_held: bool,
    /// Whether the turn that ended last is not yet answered by a sound: whoever goes on now was cut off.
    pub(super) is_answering: bool,
    /// Whether a voice was taken for none because it never paused. Its next word says that it was one.
    pub(super) gave_up: bool,
    outputs: VecDeque<Output>,
}

/// The caller's voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// They speak.
    Speaking {
        /// Since when, as far as a turn is concerned.
        since: MediaTime,
    },
    /// They do not.
    Silent {
        /// Since when.
        since: MediaTime,
        /// When that was noticed.
        noticed: MediaTime,
    },
}

/// Speech over the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// When it was noticed.
    pub(super) since: MediaTime,
    /// When the sound began.
    pub(super) began: MediaTime,
    /// Whether the agent holds still because of it.
    pub(super) is_paused: bool,
}

impl Turns {
    /// A call that begins at `now`, the floor free.
    pub fn new(settings: TurnSettings, now: MediaTime) -> Self {
        Self {
            settings,
            pace: Pace::default(),
            caller: Caller::Silent { since: now, noticed: now },
            said: Said::default(),
            score: None,
            prepared: None,
            floor: Floor::Free,
            may_interrupt: true,
            overlap: None,
            early: None,
            lately: Lately::default(),
            idle_since: now,
            idle_times: 0,
            was_held: false,
            is_answering: false,
            gave_up: false,
            outputs: VecDeque::new(),
        }
    }

    /// Somebody has decided that the agent goes on, whoever speaks: what is said over it now is no interruption.
    pub fn overrule(&mut self) {
        self.overlap = None;
        self.early = None;
    }

    /// Whoever holds the line has shown that they are there: silence counts anew from now on.
    pub fn attend(&mut self, now: MediaTime) {
        self.idle_since = now;
        self.idle_times = 0;
    }

    /// Other manners from now on; what is said so far stays.
    pub fn behave(&mut self, settings: TurnSettings) {
        self.settings = settings;
    }

    /// Takes what happened at `now`, and what is due by then. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, input: Input<'_>, now: MediaTime) {
        match input {
            Input::Ears(event) => self.on_ears(event, now),
            Input::EndOfTurn { probability } => {
                if let Caller::Silent { since, .. } = self.caller {
                    self.on_score(probability, since);
                }
            }
            Input::Floor { floor, may_interrupt, asked } => self.on_floor(floor, may_interrupt, asked, now),
            Input::Audible(text) => self.lately.hear(text),
            Input::Key => self.on_key(now),
            Input::Tick => {}
        }
        self.expire(now);
    }

    /// What was decided, until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether something was decided and is not yet polled.
    pub fn has_decided(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When time alone decides something.
    pub fn due(&self) -> Option<MediaTime> {
        [self.overlap_due(), self.end_due().map(|(at, _)| at), self.voice_due(), self.idle_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the agent holds still because somebody speaks over it.
    pub fn is_paused(&self) -> bool {
        self.overlap.is_some_and(|overlap| overlap.is_paused)
    }

    /// Whether the caller neither speaks nor has said something that is not yet their turn.
    pub fn is_quiet(&self) -> bool {
        matches!(self.caller, Caller::Silent { .. }) && self.said.is_empty() && !self.said.is_owed()
    }

    /// The words of the turn under way, which then is none any more: they belong to somebody who ends it by other means.
    pub fn take(&mut self, now: MediaTime) -> Option<Private> {
        self.prepared = None;
        self.early = None;
        self.idle_since = now;
        let text = self.said.take();
        if !text.is_empty() {
            // Whoever has said something is there.
            self.idle_times = 0;
        }
        (!text.is_empty()).then(|| text.into())
    }

    /// Whether the recognizer still owes words of the turn under way.
    pub fn is_owed(&self) -> bool {
        self.said.is_owed()
    }

    /// The language of the turn under way, where the recognizer has said one.
    pub fn language(&self) -> Option<String> {
        self.said.language()
    }

    fn on_ears(&mut self, event: &Event, now: MediaTime) {
        let changed = self.said.hear(event);
        // Revisions go on while nothing is said: a new word says that somebody speaks, the same once more does not.
        let has_word = changed && matches!(event, Event::Partial { words, .. } if !words.is_empty());
        if self.gave_up && has_word {
            self.gave_up = false;
            self.caller = Caller::Speaking { since: now };
        }
        match event {
            Event::SpeechStarted { at, .. } => self.on_speech(*at, now),
            Event::SpeechEnded { at, .. } => {
                self.caller = Caller::Silent { since: (*at).min(now), noticed: now };
                self.gave_up = false;
                self.idle_since = now;
                self.settle_overlap(now);
                self.prepare(now);
            }
            Event::Partial { .. } | Event::Final { .. } if changed => {
                self.settle_overlap(now);
                let text = self.said.text();
                if self.prepared.as_ref().is_some_and(|prepared| *prepared != text) {
                    self.discard();
                }
                self.prepare(now);
            }
            Event::Partial { .. } | Event::Final { .. } => self.prepare(now),
            Event::TurnEnded { probability, at, .. } => self.on_score(*probability, (*at).min(now)),
            // What went unheard is no silence and no words; what was heard before and after it counts.
            Event::Relabelled { .. } | Event::Lost { .. } => {}
        }
    }

    fn on_score(&mut self, probability: f32, at: MediaTime) {
        if probability.is_finite() {
            self.score = Some((probability.clamp(0.0, 1.0), at));
        }
    }

    /// What the end-of-turn model says of the pause that began at `since`.
    fn probability(&self, since: MediaTime) -> Option<f32> {
        let (probability, at) = self.score?;
        (at.since(since).max(since.since(at)) <= SAME_PAUSE).then_some(probability)
    }

    fn on_speech(&mut self, at: MediaTime, now: MediaTime) {
        self.caller = Caller::Speaking { since: at.min(now) };
        self.gave_up = false;
        self.score = None;
        self.early = None;
        self.was_held = false;
        self.idle_since = now;
        self.discard();
        if self.floor == Floor::Free || !self.may_interrupt {
            return;
        }
        if !self.is_paused() {
            self.outputs.push_back(Output::Pause);
        }
        self.overlap = Some(Overlap { since: now, began: at.min(now), is_paused: true });
    }

    fn on_key(&mut self, now: MediaTime) {
        self.idle_since = now;
        self.idle_times = 0;
        self.discard();
        if self.floor != Floor::Free && self.may_interrupt {
            self.interrupt(self.overlap.map_or(Duration::ZERO, |overlap| now.since(overlap.since)));
        }
    }

    fn on_floor(&mut self, floor: Floor, may_interrupt: bool, asked: bool, now: MediaTime) {
        let before = std::mem::replace(&mut self.floor, floor);
        self.may_interrupt = may_interrupt;
        if floor == Floor::Speaking && std::mem::take(&mut self.is_answering) {
            self.pace.stood();
        }
        if before == Floor::Free || floor != Floor::Free {
            return;
        }
        self.idle_since = now;
        if self.is_paused() {
            let after = self.overlap.map_or(Duration::ZERO, |overlap| now.since(overlap.since));
            self.outputs.push_back(Output::Resume { why: NotTaken::NothingPlays, after });
        }
        let was_over = self.overlap.take().is_some();
        if let Some((words, at)) = self.early.take()
            && asked
            && now.since(at) <= ANSWERS_EARLY
        {
            self.said.put_back(words);
        }
        // What was said over an agent that cannot be interrupted waits for its turn, unless it said nothing. Whoever asks
        // for an answer decides on that alone.
        if !was_over
            && !self.settings.answers_when_asked
            && matches!(self.caller, Caller::Silent { .. })
            && !self.said.is_empty()
        {
            let text = self.said.text();
            match judge(&text, Duration::MAX, &self.lately, &self.settings) {
                Judgement::No(why @ (NotTaken::Echo | NotTaken::NoWords)) => self.leave(why),
                Judgement::No(why @ NotTaken::Backchannel) if !asked => self.leave(why),
                Judgement::Interrupts | Judgement::No(_) => self.was_held = true,
            }
        }
    }

    /// Judges what is said over the agent, when there is an overlap.
    fn settle_overlap(&mut self, now: MediaTime) {
        let Some(overlap) = self.overlap else { return };
        let (lasted, is_over) = match self.caller {
            Caller::Speaking { .. } => (now.since(overlap.began), false),
            Caller::Silent { since, .. } => (since.since(overlap.began), !self.said.is_owed()),
        };
        let judged = judge(&self.said.text(), lasted, &self.lately, &self.settings);
        let waited = now.since(overlap.since);
        match judged {
            Judgement::Interrupts => {
                self.interrupt(waited);
            }
            Judgement::No(why) if is_over => {
                self.resume(why, waited);
                self.overlap = None;
                if why == NotTaken::Backchannel {
                    self.early = Some((self.said.words(), now));
                }
                self.leave(why);
            }
            // Until the sound is over, nobody can tell a cough from a word; a word alone may be the first of many.
            Judgement::No(NotTaken::NoWords) if waited < WORDLESS_MAX => {}
            Judgement::No(NotTaken::TooShort) if lasted < self.settings.interrupt_after && waited < WORDLESS_MAX => {}
            Judgement::No(why) if waited >= self.settings.decide_within => self.resume(why, waited),
            Judgement::No(_) => {}
        }
    }

    fn interrupt(&mut self, after: Duration) {
        if self.floor == Floor::Thinking && std::mem::take(&mut self.is_answering) {
            self.pace.cut_off();
        }
        self.overlap = None;
        self.early = None;
        self.idle_times = 0;
        // Whoever holds the floor gives it up, and says so; until then nothing ends.
        self.outputs.push_back(Output::Interrupt { after });
    }

    fn resume(&mut self, why: NotTaken, after: Duration) {
        if let Some(overlap) = &mut self.overlap
            && std::mem::take(&mut overlap.is_paused)
        {
            self.outputs.push_back(Output::Resume { why, after });
        }
    }

    /// What was said is no turn.
    fn leave(&mut self, why: NotTaken) {
        let text = self.said.take();
        if !text.is_empty() {
            self.outputs.push_back(Output::NotTaken { said: text.into(), why });
        }
    }

    fn discard(&mut self) {
        if self.prepared.take().is_some() {
            self.outputs.push_back(Output::Discard);
        }
    }

    /// Lets an answer be prepared where that is worth it.
    fn prepare(&mut self, now: MediaTime) {
        let Some((at, EndWhy::Silence)) = self.end_due() else { return };
        if !self.settings.is_eager || self.prepared.is_some() || at.since(now) < WORTH_PREPARING {
            return;
        }
        let text = self.said.text();
        if matches!(Shape::of(&text), Shape::Open | Shape::Dictating) {
            return;
        }
        self.prepared = Some(text.clone());
        self.outputs.push_back(Output::Prepare { said: text.into(), language: self.said.language() });
    }

    /// When the turn under way ends, if nothing happens before.
    fn end_due(&self) -> Option<(MediaTime, EndWhy)> {
        if self.floor != Floor::Free || self.settings.answers_when_asked {
            return None;
        }
        match self.caller {
            Caller::Speaking { since } => (!self.said.is_empty()).then_some((since + SPEECH_MAX, EndWhy::TooLong)),
            Caller::Silent { noticed, .. } if self.said.is_owed() => Some((noticed + FINAL_MAX, EndWhy::Overdue)),
            Caller::Silent { since, .. } if !self.said.is_empty() => {
                let wait = Shape::of(&self.said.text()).wait(self.probability(since), &self.settings);
                Some((since + self.pace.stretch(wait), EndWhy::Silence))
            }
            Caller::Silent { .. } => None,
        }
    }

    /// When an overlap is judged again.
    fn overlap_due(&self) -> Option<MediaTime> {
        let overlap = self.overlap?;
        let wordless = overlap.since + WORDLESS_MAX;
        let judged = judge(&self.said.text(), Duration::ZERO, &self.lately, &self.settings);
        match (self.caller, judged) {
            // Its last words are owed.
            (Caller::Silent { noticed, .. }, _) => Some(wordless.max(noticed + OWED_MAX)),
            // A word that lasts becomes an interruption, whether the agent holds still or not.
            (Caller::Speaking { .. }, Judgement::No(NotTaken::TooShort)) => {
                let long = overlap.began + self.settings.interrupt_after;
                Some(if overlap.is_paused { long.min(wordless) } else { long })
            }
            (Caller::Speaking { .. }, _) if !overlap.is_paused => None,
            (Caller::Speaking { .. }, Judgement::No(NotTaken::NoWords)) => Some(wordless),
            (Caller::Speaking { .. }, _) => Some((overlap.since + self.settings.decide_within).min(wordless)),
        }
    }

    /// When a voice that never pauses is taken for none.
    fn voice_due(&self) -> Option<MediaTime> {
        match self.caller {
            Caller::Speaking { since } => Some(since + SPEECH_MAX),
            Caller::Silent { .. } => None,
        }
    }

    fn idle_due(&self) -> Option<MediaTime> {
        let is_asked = self.settings.idle_after > Duration::ZERO;
        // Words that wait for somebody to ask for an answer are no sign of life.
        let is_silent = matches!(self.caller, Caller::Silent { .. });
        let is_quiet = self.is_quiet() || (self.settings.answers_when_asked && is_silent);
        (is_asked && self.floor == Floor::Free && is_quiet && self.idle_times <= self.settings.idle_times)
            .then(|| self.idle_since + self.settings.idle_after)
    }

    fn expire(&mut self, now: MediaTime) {
        if self.overlap_due().is_some_and(|at| at <= now) {
            self.expire_overlap(now);
        }
        if let Some((_, why)) = self.end_due().filter(|(at, _)| *at <= now) {
            self.end(why, now);
        }
        if self.voice_due().is_some_and(|at| at <= now) {
            // Either its words were just taken, or it has none: in both cases it is counted anew.
            self.caller = Caller::Silent { since: now, noticed: now };
            self.gave_up = true;
            self.said.keep_partial();
            self.idle_since = now;
            self.settle_overlap(now);
        }
        if self.idle_due().is_some_and(|at| at <= now) {
            self.idle_since = now;
            let before = self.idle_times;
            self.idle_times += 1;
            let is_last = before >= self.settings.idle_times;
            self.outputs.push_back(if is_last { Output::GiveUp } else { Output::Idle { before } });
        }
    }

    fn expire_overlap(&mut self, now: MediaTime) {
        let Some(overlap) = self.overlap else { return };
        if matches!(self.caller, Caller::Silent { .. }) {
            // The recognizer had its time.
            self.said.keep_partial();
        }
        self.settle_overlap(now);
        let waited = now.since(overlap.since);
        if self.is_paused() && waited >= WORDLESS_MAX {
            self.resume(NotTaken::TooShort, waited);
        }
    }

    fn end(&mut self, why: EndWhy, now: MediaTime) {
        let at = match self.caller {
            Caller::Silent { since, .. } => since,
            Caller::Speaking { .. } => now,
        };
        if why == EndWhy::Overdue {
            self.said.keep_partial();
        }
        let language = self.said.language();
        let text = self.said.take();
        if matches!(why, EndWhy::TooLong) {
            self.caller = Caller::Speaking { since: now };
        }
        self.idle_since = now;
        let was_held = std::mem::take(&mut self.was_held);
        // A breath of somebody who thinks is no turn; asked whether they are there, they will say.
        if words::of(&text).iter().all(|word| words::is_hesitation(word)) {
            self.discard();
            if !text.is_empty() {
                self.outputs.push_back(Output::NotTaken { said: text.into(), why: NotTaken::NoWords });
            }
            return;
        }
        self.prepared = None;
        self.is_answering = true;
        self.idle_times = 0;
        let why = if was_held { EndWhy::FloorFree } else { why };
        let shape = Shape::of(&text);
        let probability = self.probability(at);
        self.score = None;
        let silence = now.since(at);
        self.outputs.push_back(Output::Ended(Ended {
            said: text.into(),
            language,
            why,
            probability,
            shape,
            at,
            silence,
        }));
    }
}

impl fmt::Debug for Turns {
    /// Who speaks: never words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("caller", &self.caller).field("floor", &self.floor).finish_non_exhaustive()
    }
}

/// The recognizer's final words over the agent are waited for so long after the sound.
const OWED_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
impl Turns {
    /// What decides how it goes on, with times as seen from `now`. Left out, and so not told apart: the caller's pace, what
    /// was audible lately, and how high a score is.
    pub(crate) fn print(&self, now: MediaTime) -> impl std::hash::Hash + use<> {
        let ago = |at: MediaTime| now.since(at).min(SPEECH_MAX);
        let caller = match self.caller {
            Caller::Speaking { since } => (true, ago(since), Duration::ZERO),
            Caller::Silent { since, noticed } if !self.said.is_empty() || self.said.is_owed() => {
                (false, ago(since), ago(noticed))
            }
            Caller::Silent { .. } => (false, Duration::ZERO, Duration::ZERO),
        };
        let overlap = self.overlap.map(|overlap| (ago(overlap.since), ago(overlap.began), overlap.is_paused));
        let said = (self.said.text(), self.said.is_owed(), self.score.is_some(), self.prepared.clone());
        let early =
            self.early.as_ref().map(|(words, at)| (asr::event::text(words), ago(*at).min(ANSWERS_EARLY + OWED_MAX)));
        let idle = (self.idle_due().map(|at| at.since(now)), self.idle_times);
        (caller, overlap, said, early, idle, (self.floor, self.may_interrupt, self.was_held, self.gave_up))
    }
}
