//! Whether a call may be recorded: everybody who is in it is asked, and says so by a key or a word.
//!
//! [`Consent`] is a pure machine. It is told when the question was heard to its end, which keys were pressed, what was said
//! and the time, and asks for what follows: record once everybody has agreed, or do not. Whoever says no, says nothing in
//! time or says something else is not recorded, and neither is anybody they talk with; the call goes on in any case.
//! While it is recorded a key of anybody's pauses it and lets it go on, for what is nobody's business, such as the number of
//! a card. People are told what is true: how the recording stands once it was asked for. The contract is that of all our
//! machines: after each `handle` drain `poll`, then wait for `next_deadline` or the next input. No words show in the `Debug`
//! of these values.

mod answer;
mod text;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use media::{id::ParticipantId, time::MediaTime};

pub use self::{
    answer::meaning,
    text::{Language, Notice},
};

/// How people are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an answer is waited for once the question was heard.
    pub within: Duration,
    /// The key that agrees.
    pub agree: char,
    /// The key that does not.
    pub refuse: char,
    /// The key that pauses a recording, and lets it go on; none does where there is none.
    pub pause: Option<char>,
}

impl Default for Settings {
    /// Ten seconds are time to look for a key on a telephone that one holds to one's ear.
    fn default() -> Self {
        Self { within: Duration::from_secs(10), agree: '1', refuse: '2', pause: Some('*') }
    }
}

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The question was heard to its end.
    Asked,
    /// The question could not be asked: nobody agrees to what they have not heard.
    Unasked,
    /// Somebody pressed a key.
    Key {
        /// Who.
        who: ParticipantId,
        /// Which.
        key: char,
    },
    /// Somebody said something.
    Said {
        /// Who.
        who: ParticipantId,
        /// What it means; see [`meaning`].
        means: Option<bool>,
        /// When they began.
        from: MediaTime,
    },
    /// The recording was paused or goes on, whoever wanted it, or it is over: how it stands now.
    Recording(Recording),
    /// How the recording stands after what was asked for, done or not: the answer to `Record`, `Pause` and `Resume`.
    Steered(Recording),
    /// Time has passed.
    Tick,
}

/// How a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// It runs, or goes on.
    Runs,
    /// It is paused.
    Paused,
    /// It is over, or could not begin.
    Over,
}

/// What the machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask everybody. Answered by `Asked` or `Unasked`.
    Ask,
    /// Ask no more: everybody has answered.
    Hush,
    /// Somebody may be recorded, as everybody else may, or may not be.
    Decided(ParticipantId, bool),
    /// Record from now on. Answered by `Steered`, as are the next two.
    Record,
    /// Pause the recording.
    Pause,
    /// Let it go on.
    Resume,
    /// Tell everybody something.
    Tell(Notice),
}

/// Asks those who are in a call.
#[derive(Debug)]
pub struct Consent {
    settings: Settings,
    /// Who has agreed.
    people: BTreeMap<ParticipantId, bool>,
    phase: Phase,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The question is being said.
    Asking,
    /// It was heard at `from`.
    Waiting {
        from: MediaTime,
        until: MediaTime,
    },
    /// Everybody has agreed, and nobody was told yet whether it is recorded.
    Beginning,
    Recording,
    /// It is asked to pause.
    Pausing,
    Paused,
    /// It is asked to go on.
    Resuming,
    /// Nothing is recorded (any more).
    Over,
}

impl Consent {
    /// Asks `people`, who are all that are in the call; without anybody nothing is recorded.
    pub fn new(settings: Settings, people: impl IntoIterator<Item = ParticipantId>) -> Self {
        let people: BTreeMap<_, _> = people.into_iter().map(|who| (who, false)).collect();
        let phase = if people.is_empty() { Phase::Over } else { Phase::Asking };
        let effects = (!people.is_empty()).then_some(Effect::Ask).into_iter().collect();
        Self { settings, people, phase, effects }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, input: Input, now: MediaTime) {
        match input {
            Input::Asked => {
                if self.phase == Phase::Asking {
                    self.phase = Phase::Waiting { from: now, until: now + self.settings.within };
                }
            }
            Input::Unasked => {
                if self.phase == Phase::Asking {
                    self.decline();
                }
            }
            Input::Key { who, key } => self.press(who, key),
            Input::Said { who, means, from } => {
                // Nobody answers what they have not heard: "Yes, hello?" is how a telephone is taken.
                let Phase::Waiting { from: asked, .. } = self.phase else { return };
                match means.filter(|_| from + GRACE >= asked && self.people.contains_key(&who)) {
                    Some(true) => self.agree(who),
                    Some(false) => self.decline(),
                    None => {}
                }
            }
            Input::Recording(state) => self.follow(state),
            Input::Steered(state) => self.steered(state),
            Input::Tick => {
                if let Phase::Waiting { until, .. } = self.phase
                    && until <= now
                {
                    self.decline();
                }
            }
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When it must be told the time again.
    pub fn next_deadline(&self) -> Option<MediaTime> {
        match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            Phase::Asking
            | Phase::Beginning
            | Phase::Recording
            | Phase::Pausing
            | Phase::Paused
            | Phase::Resuming
            | Phase::Over => None,
        }
    }

    fn press(&mut self, who: ParticipantId, key: char) {
        if !self.people.contains_key(&who) {
            return;
        }
        let pauses = self.settings.pause == Some(key);
        match self.phase {
            Phase::Asking | Phase::Waiting { .. } if key == self.settings.refuse => self.decline(),
            Phase::Asking | Phase::Waiting { .. } if key == self.settings.agree => self.agree(who),
            Phase::Recording if pauses => {
                self.phase = Phase::Pausing;
                self.effects.push_back(Effect::Pause);
            }
            Phase::Paused if pauses => {
                self.phase = Phase::Resuming;
                self.effects.push_back(Effect::Resume);
            }
            _ => {}
        }
    }

    /// Somebody has agreed. They may still refuse until everybody has: a yes may have been meant for whoever they talk with.
    fn agree(&mut self, who: ParticipantId) {
        let Some(agreed) = self.people.get_mut(&who) else { return };
        *agreed = true;
        if self.people.values().all(|agreed| *agreed) {
            self.phase = Phase::Beginning;
            self.effects.push_back(Effect::Hush);
            // Not before: a recording that somebody else began holds those who may be recorded.
            self.effects.extend(self.people.keys().map(|who| Effect::Decided(*who, true)));
            self.effects.push_back(Effect::Record);
        }
    }

    /// Nothing is recorded, whoever agreed meanwhile.
    fn decline(&mut self) {
        self.phase = Phase::Over;
        self.effects.extend(self.people.keys().map(|who| Effect::Decided(*who, false)));
        self.effects.extend([Effect::Hush, Effect::Tell(Notice::Declined)]);
    }

    /// What was asked for is done, or could not be: that is told.
    fn steered(&mut self, state: Recording) {
        let (phase, notice) = match (self.phase, state) {
            // A recording that begins later is none that they were told of.
            (Phase::Beginning, Recording::Over) => return self.decline(),
            (Phase::Beginning, Recording::Runs) => (Phase::Recording, Notice::Begins),
            (Phase::Pausing, Recording::Runs) => (Phase::Recording, Notice::GoesOn),
            (Phase::Resuming, Recording::Runs) => (Phase::Recording, Notice::Resumed),
            (Phase::Beginning | Phase::Pausing | Phase::Resuming, Recording::Paused) => (Phase::Paused, Notice::Paused),
            (Phase::Pausing | Phase::Resuming, Recording::Over) => (Phase::Over, Notice::Ended),
            // Nothing was asked for.
            (Phase::Asking | Phase::Waiting { .. } | Phase::Recording | Phase::Paused | Phase::Over, _) => return,
        };
        self.phase = phase;
        self.effects.push_back(Effect::Tell(notice));
    }

    /// Somebody else steers it. What we asked for ourselves is answered by `Steered`.
    fn follow(&mut self, state: Recording) {
        self.phase = match (self.phase, state) {
            (Phase::Recording | Phase::Paused, Recording::Over) => Phase::Over,
            (Phase::Recording, Recording::Paused) => Phase::Paused,
            (Phase::Paused, Recording::Runs) => Phase::Recording,
            (phase, _) => phase,
        };
    }
}

/// How long before the end of the question its answer may begin: who knows how it ends does not wait for that.
const GRACE: Duration = Duration::from_millis(1_000);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADA: ParticipantId = ParticipantId(1);
    const BOB: ParticipantId = ParticipantId(2);

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_millis(seconds * 1_000)
    }

    fn key(who: ParticipantId, key: char) -> Input {
        Input::Key { who, key }
    }

    fn said(who: ParticipantId, text: &str, second: u64) -> Input {
        Input::Said { who, means: answer::answer(text), from: at(second) }
    }

    fn drained(consent: &mut Consent) -> Vec<Effect> {
        std::iter::from_fn(|| consent.poll()).collect()
    }

    /// Two who are asked, and what follows from these inputs, each a second after the one before.
    fn after(inputs: &[Input]) -> Vec<Effect> {
        let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
        assert_eq!(drained(&mut consent), [Effect::Ask]);
        for (second, input) in (1..).zip(inputs) {
            consent.handle(*input, at(second));
        }
        drained(&mut consent)
    }

    /// What follows when everybody has agreed, and nothing before that.
    const AGREED: [Effect; 4] = [Effect::Hush, Effect::Decided(ADA, true), Effect::Decided(BOB, true), Effect::Record];
    /// What follows when anybody has not.
    const DECLINED: [Effect; 4] =
        [Effect::Decided(ADA, false), Effect::Decided(BOB, false), Effect::Hush, Effect::Tell(Notice::Declined)];

    #[test]
    fn it_is_recorded_when_everybody_has_agreed_by_a_key_or_a_word() {
        // A key may be pressed before the question is over.
        assert_eq!(after(&[key(ADA, '1'), Input::Asked, key(BOB, '1')]), AGREED);
        assert_eq!(after(&[Input::Asked, said(BOB, "Yes, I agree.", 1), said(ADA, "Ja, gerne.", 2)]), AGREED);
        assert_eq!(after(&[Input::Asked, key(ADA, '1'), key(ADA, '1')]), [], "of Bob nothing was heard");
    }

    #[test]
    fn that_it_is_recorded_is_said_when_it_is() {
        let begun = [Input::Asked, key(ADA, '1'), key(BOB, '1')];
        let after = |state| after(&[&begun[..], &[Input::Steered(state)]].concat())[AGREED.len()..].to_vec();
        assert_eq!(after(Recording::Runs), [Effect::Tell(Notice::Begins)]);
        // Who began it before had paused it.
        assert_eq!(after(Recording::Paused), [Effect::Tell(Notice::Paused)]);
        assert_eq!(after(Recording::Over), DECLINED, "the disk is full");
    }

    #[test]
    fn it_is_not_when_anybody_refuses_or_one_is_silent() {
        assert_eq!(after(&[Input::Asked, key(ADA, '1'), said(BOB, "Nein, lieber nicht.", 2), key(BOB, '1')]), DECLINED);
        let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
        consent.handle(Input::Asked, at(5));
        consent.handle(key(ADA, '1'), at(7));
        assert_eq!(consent.next_deadline(), Some(at(15)));
        consent.handle(Input::Tick, at(14));
        assert_eq!(drained(&mut consent), [Effect::Ask]);
        consent.handle(Input::Tick, at(15));
        assert_eq!(drained(&mut consent), DECLINED);
        assert_eq!(consent.next_deadline(), None);
        assert_eq!(after(&[Input::Unasked, key(ADA, '1')]), DECLINED);
    }

    #[test]
    fn who_was_taken_to_agree_may_still_refuse() {
        // What Ada said was meant for Bob.
        let chatter = [Input::Asked, said(ADA, "Ja.", 1)];
        for refusal in [key(ADA, '2'), said(ADA, "No, I do not agree.", 3)] {
            let inputs = [&chatter[..], &[refusal, key(BOB, '1')]].concat();
            assert_eq!(after(&inputs), DECLINED, "{refusal:?}");
        }
        assert_eq!(after(&[key(ADA, '1'), key(ADA, '2')]), DECLINED, "while the question is said");
    }

    #[test]
    fn a_yes_that_is_older_than_the_question_or_unclear_is_none() {
        let stranger = ParticipantId(9);
        let unclear = [
            key(stranger, '1'),
            key(stranger, '2'),
            said(ADA, "Yes?", 0),
            Input::Asked,
            said(stranger, "No.", 4),
            // Said while the question was still going on, and heard now.
            said(ADA, "Yes.", 1),
            said(ADA, "Ja, hallo, hier ist Weber.", 3),
            said(BOB, "Why not?", 3),
            key(BOB, '7'),
        ];
        assert_eq!(after(&unclear), []);
    }

    /// What follows once it is recorded.
    fn recorded(more: &[Input]) -> Vec<Effect> {
        let begun = [Input::Asked, key(ADA, '1'), key(BOB, '1'), Input::Steered(Recording::Runs)];
        after(&[&begun[..], more].concat())[after(&begun).len()..].to_vec()
    }

    #[test]
    fn a_key_of_anybodys_pauses_it_and_lets_it_go_on() {
        let (paused, runs) = (Input::Steered(Recording::Paused), Input::Steered(Recording::Runs));
        let told = [Effect::Pause, Effect::Tell(Notice::Paused), Effect::Resume, Effect::Tell(Notice::Resumed)];
        assert_eq!(recorded(&[key(BOB, '*'), paused, key(ADA, '1'), key(ADA, '*'), runs]), told);
        // The room tells it, too, before and after.
        let echo = [Input::Recording(Recording::Paused), paused, Input::Recording(Recording::Paused)];
        assert_eq!(recorded(&[&[key(BOB, '*')][..], &echo, &[key(ADA, '*'), runs]].concat()), told);
        // Somebody else steers it.
        assert_eq!(recorded(&[Input::Recording(Recording::Paused), key(ADA, '*'), runs]), told[2..]);
        assert_eq!(recorded(&[Input::Recording(Recording::Over), key(ADA, '*')]), []);
    }

    #[test]
    fn what_could_not_be_done_is_not_said_to_be() {
        let (paused, runs) = (Input::Steered(Recording::Paused), Input::Steered(Recording::Runs));
        let over = Input::Steered(Recording::Over);
        assert_eq!(recorded(&[key(BOB, '*'), runs]), [Effect::Pause, Effect::Tell(Notice::GoesOn)]);
        assert_eq!(recorded(&[key(BOB, '*'), over, key(BOB, '*')]), [Effect::Pause, Effect::Tell(Notice::Ended)]);
        let stays = recorded(&[key(BOB, '*'), paused, key(BOB, '*'), paused]);
        assert_eq!(stays[2..], [Effect::Resume, Effect::Tell(Notice::Paused)]);
        // A second press before the first has its answer says nothing.
        assert_eq!(recorded(&[key(BOB, '*'), key(BOB, '*'), paused]), [Effect::Pause, Effect::Tell(Notice::Paused)]);
    }

    fn input() -> impl Strategy<Value = Input> {
        let who = || prop::sample::select(vec![ADA, BOB, ParticipantId(3)]);
        let state = || prop::sample::select(vec![Recording::Runs, Recording::Paused, Recording::Over]);
        prop_oneof![
            Just(Input::Asked),
            Just(Input::Unasked),
            Just(Input::Tick),
            (who(), prop::sample::select(vec!['1', '2', '*', '7'])).prop_map(|(who, key)| Input::Key { who, key }),
            (who(), any::<Option<bool>>(), 0_u64..40).prop_map(|(who, means, from)| Input::Said {
                who,
                means,
                from: at(from)
            }),
            state().prop_map(Input::Recording),
            state().prop_map(Input::Steered),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_nobody_is_recorded_unless_all_agreed_and_nobody_said_no(
            inputs in prop::collection::vec(input(), 0..30),
        ) {
            let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
            let mut may_be = BTreeMap::new();
            let mut agreeing = BTreeMap::new();
            let mut has_begun = false;
            for (second, input) in (0..).zip(inputs) {
                match input {
                    Input::Key { who, key: '1' } | Input::Said { who, means: Some(true), .. } => {
                        agreeing.insert(who, true);
                    }
                    Input::Key { who, key: '2' } if !has_begun => {
                        agreeing.insert(who, false);
                    }
                    _ => {}
                }
                consent.handle(input, at(second));
                while let Some(effect) = consent.poll() {
                    match effect {
                        Effect::Decided(who, may) => {
                            may_be.insert(who, may);
                        }
                        Effect::Record | Effect::Resume | Effect::Pause => {
                            has_begun |= effect == Effect::Record;
                            prop_assert_eq!(&may_be, &BTreeMap::from([(ADA, true), (BOB, true)]));
                            prop_assert!([ADA, BOB].iter().all(|who| agreeing.get(who) == Some(&true)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}
