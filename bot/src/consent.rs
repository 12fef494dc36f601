//! Whether a call may be recorded: everybody who is in it is asked, and says so by a key or a word.
//!
//! [`Consent`] is a pure machine. It is told when the question was heard to its end, which keys were pressed, what was said
//! and the time, and asks for what follows: record once everybody has agreed, or do not. Whoever says no, says nothing in
//! time or says something else is not recorded, and neither is anybody they talk with; the call goes on in any case.
//! While it is recorded a key of anybody's pauses it and lets it go on, for what is nobody's business, such as the number of
//! a card. The contract is that of all our machines: after each `handle` drain `poll`, then wait for `next_deadline` or the
//! next input. No words show in the `Debug` of these values.

mod answer;
mod text;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use media::{id::ParticipantId, time::MediaTime};

pub use self::{
    answer::answer,
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
pub enum Input<'a> {
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
        /// What it means; see [`answer`].
        means: Option<bool>,
        /// When they began.
        from: MediaTime,
    },
    /// The recording was paused or goes on, whoever wanted it; or it is over.
    Recording(Recording<'a>),
    /// Time has passed.
    Tick,
}

/// How a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording<'a> {
    /// It runs, or goes on.
    Runs,
    /// It is paused.
    Paused,
    /// It is over, or could not begin; the state says how.
    Over(&'a str),
}

/// What the machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask everybody. Answered by `Asked` or `Unasked`.
    Ask,
    /// Ask no more: everybody has answered.
    Hush,
    /// Somebody has agreed, or has not: nobody records them then.
    Decided(ParticipantId, bool),
    /// Record from now on.
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
    people: BTreeMap<ParticipantId, Option<bool>>,
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
    Recording,
    Paused,
    /// Nothing is recorded (any more).
    Over,
}

impl Consent {
    /// Asks `people`, who are all that are in the call; without anybody nothing is recorded.
    pub fn new(settings: Settings, people: impl IntoIterator<Item = ParticipantId>) -> Self {
        let people: BTreeMap<_, _> = people.into_iter().map(|who| (who, None)).collect();
        let phase = if people.is_empty() { Phase::Over } else { Phase::Asking };
        let effects = (!people.is_empty()).then_some(Effect::Ask).into_iter().collect();
        Self { settings, people, phase, effects }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: MediaTime) {
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
                if let Some(agrees) = means.filter(|_| from + GRACE >= asked) {
                    self.decide(who, agrees);
                }
            }
            Input::Recording(state) => self.follow(state),
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
            Phase::Asking | Phase::Recording | Phase::Paused | Phase::Over => None,
        }
    }

    fn press(&mut self, who: ParticipantId, key: char) {
        let pauses = self.settings.pause == Some(key) && self.people.contains_key(&who);
        match self.phase {
            Phase::Asking | Phase::Waiting { .. } if key == self.settings.agree => self.decide(who, true),
            Phase::Asking | Phase::Waiting { .. } if key == self.settings.refuse => self.decide(who, false),
            Phase::Recording if pauses => {
                self.phase = Phase::Paused;
                // Said when it is true: what follows is not kept.
                self.effects.extend([Effect::Pause, Effect::Tell(Notice::Paused)]);
            }
            Phase::Paused if pauses => {
                self.phase = Phase::Recording;
                self.effects.extend([Effect::Tell(Notice::Resumed), Effect::Resume]);
            }
            _ => {}
        }
    }

    /// Somebody has answered. What was said first holds: who agreed does not agree again, nor take it back by a word of
    /// the talk that follows.
    fn decide(&mut self, who: ParticipantId, agrees: bool) {
        let Some(known) = self.people.get_mut(&who).filter(|known| known.is_none()) else { return };
        *known = Some(agrees);
        self.effects.push_back(Effect::Decided(who, agrees));
        if !agrees {
            return self.decline();
        }
        if self.people.values().all(|answer| *answer == Some(true)) {
            self.phase = Phase::Recording;
            // The recording itself holds that it was told.
            self.effects.extend([Effect::Hush, Effect::Record, Effect::Tell(Notice::Begins)]);
        }
    }

    /// Nothing is recorded, whoever agreed meanwhile.
    fn decline(&mut self) {
        self.phase = Phase::Over;
        for (who, answer) in &mut self.people {
            if answer.replace(false) != Some(false) {
                self.effects.push_back(Effect::Decided(*who, false));
            }
        }
        self.effects.extend([Effect::Hush, Effect::Tell(Notice::Declined)]);
    }

    fn follow(&mut self, state: Recording<'_>) {
        self.phase = match (self.phase, state) {
            (Phase::Recording | Phase::Paused, Recording::Over(_)) => Phase::Over,
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

    fn key(who: ParticipantId, key: char) -> Input<'static> {
        Input::Key { who, key }
    }

    fn said(who: ParticipantId, text: &str, second: u64) -> Input<'static> {
        Input::Said { who, means: answer(text), from: at(second) }
    }

    fn drained(consent: &mut Consent) -> Vec<Effect> {
        std::iter::from_fn(|| consent.poll()).collect()
    }

    /// Two who are asked, and what follows from these inputs, each a second after the one before.
    fn after(inputs: &[Input<'_>]) -> Vec<Effect> {
        let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
        assert_eq!(drained(&mut consent), [Effect::Ask]);
        for (second, input) in (1..).zip(inputs) {
            consent.handle(*input, at(second));
        }
        drained(&mut consent)
    }

    #[test]
    fn it_is_recorded_when_everybody_has_agreed_by_a_key_or_a_word() {
        let all = [Effect::Hush, Effect::Record, Effect::Tell(Notice::Begins)];
        let agreed = |who| Effect::Decided(who, true);
        // A key may be pressed before the question is over.
        let by_keys = after(&[key(ADA, '1'), Input::Asked, key(BOB, '1')]);
        assert_eq!(by_keys, [&[agreed(ADA), agreed(BOB)][..], &all].concat());
        let by_words = after(&[Input::Asked, said(BOB, "Yes, I agree.", 1), said(ADA, "Ja, gerne.", 2)]);
        assert_eq!(by_words, [&[agreed(BOB), agreed(ADA)][..], &all].concat());
    }

    #[test]
    fn it_is_not_when_anybody_refuses_or_one_is_silent() {
        let (yes, no) = (|who| Effect::Decided(who, true), |who| Effect::Decided(who, false));
        let none = [Effect::Hush, Effect::Tell(Notice::Declined)];
        let refused = after(&[Input::Asked, key(ADA, '1'), said(BOB, "Nein, lieber nicht.", 2), key(BOB, '1')]);
        assert_eq!(refused, [&[yes(ADA), no(BOB), no(ADA)][..], &none].concat());
        let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
        consent.handle(Input::Asked, at(5));
        consent.handle(key(ADA, '1'), at(7));
        assert_eq!(consent.next_deadline(), Some(at(15)));
        consent.handle(Input::Tick, at(14));
        consent.handle(Input::Tick, at(15));
        assert_eq!(drained(&mut consent), [&[Effect::Ask, yes(ADA), no(ADA), no(BOB)][..], &none].concat());
        assert_eq!(consent.next_deadline(), None);
        assert_eq!(after(&[Input::Unasked, key(ADA, '1')]), [&[no(ADA), no(BOB)][..], &none].concat());
    }

    #[test]
    fn a_yes_that_is_older_than_the_question_or_unclear_is_none() {
        let unclear = [
            Input::Key { who: ParticipantId(9), key: '1' },
            said(ADA, "Yes?", 0),
            Input::Asked,
            // Said while the question was still going on, and heard now.
            said(ADA, "Yes.", 1),
            said(ADA, "Ja, hallo, hier ist Weber.", 3),
            said(BOB, "Why not?", 3),
            key(BOB, '7'),
        ];
        assert_eq!(after(&unclear), []);
    }

    #[test]
    fn a_key_of_anybodys_pauses_it_and_lets_it_go_on() {
        let begun = [Input::Asked, key(ADA, '1'), key(BOB, '1')];
        let count = after(&begun).len();
        let after = |more: &[Input<'_>]| after(&[&begun[..], more].concat())[count..].to_vec();
        let paused = [Effect::Pause, Effect::Tell(Notice::Paused)];
        let resumed = [Effect::Tell(Notice::Resumed), Effect::Resume];
        assert_eq!(after(&[key(BOB, '*'), key(ADA, '1'), key(ADA, '*')]), [paused, resumed].concat());
        // Somebody else steers it, too.
        let outside = [Input::Recording(Recording::Paused), key(ADA, '*')];
        assert_eq!(after(&outside), resumed);
        assert_eq!(after(&[Input::Recording(Recording::Over("failed")), key(ADA, '*')]), []);
    }

    fn input() -> impl Strategy<Value = Input<'static>> {
        let who = || prop::sample::select(vec![ADA, BOB, ParticipantId(3)]);
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
            Just(Input::Recording(Recording::Paused)),
            Just(Input::Recording(Recording::Over("finished"))),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_nobody_is_recorded_unless_all_agreed_and_nobody_said_no(
            inputs in prop::collection::vec(input(), 0..30),
        ) {
            let mut consent = Consent::new(Settings::default(), [ADA, BOB]);
            let mut agreed = BTreeMap::new();
            for (second, input) in (0..).zip(inputs) {
                consent.handle(input, at(second));
                while let Some(effect) = consent.poll() {
                    match effect {
                        Effect::Decided(who, agrees) => {
                            agreed.insert(who, agrees);
                        }
                        Effect::Record | Effect::Resume | Effect::Pause => {
                            prop_assert_eq!(&agreed, &BTreeMap::from([(ADA, true), (BOB, true)]));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}
