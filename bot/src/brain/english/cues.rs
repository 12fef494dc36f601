//! The cues of English: what announces that somebody is to do something.
//!
//! Contractions are already taken apart ("I'll" is `i will`, "gonna" is `going to`). `@` stands for a person.

use Needs::{Date, Verb, Work};

/// One cue.
pub(super) struct Cue {
    /// Its words; adverbs may stand between them.
    pub(super) words: &'static str,
    /// Who is to do it.
    pub(super) who: Who,
    /// What form the verb after it has.
    pub(super) form: Form,
    /// What it takes to believe it.
    pub(super) needs: Needs,
    /// Whether it is a promise of the one who is to do it.
    pub(super) promised: bool,
    /// Whether it may be put as a question.
    pub(super) asks: bool,
    /// How sure a cue of this kind is with a verb that is surely work.
    pub(super) confidence: f32,
}

/// Who is to do it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Speaker,
    Team,
    Addressee,
    Named,
    Nobody,
}

/// The form of the verb after a cue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// "send"
    Base,
    /// "sending"
    Ing,
    /// "sent"
    Passive,
}

/// What a cue needs to count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Any verb that is not excluded.
    Verb,
    /// A verb that is surely work; another one only with a date.
    Work,
    /// A verb that is surely work, and a date.
    Date,
}

const fn promise(words: &'static str, needs: Needs, confidence: f32) -> Cue {
    Cue { words, who: Who::Speaker, form: Form::Base, needs, promised: true, asks: false, confidence }
}

const fn team(words: &'static str, needs: Needs, confidence: f32) -> Cue {
    Cue { words, who: Who::Team, form: Form::Base, needs, promised: false, asks: false, confidence }
}

const fn duty(words: &'static str, needs: Needs, confidence: f32) -> Cue {
    Cue { words, who: Who::Addressee, form: Form::Base, needs, promised: false, asks: false, confidence }
}

const fn request(words: &'static str, confidence: f32) -> Cue {
    Cue { words, who: Who::Addressee, form: Form::Base, needs: Work, promised: false, asks: true, confidence }
}

const fn named(words: &'static str, needs: Needs, confidence: f32) -> Cue {
    Cue { words, who: Who::Named, form: Form::Base, needs, promised: false, asks: false, confidence }
}

const fn nobody(words: &'static str, confidence: f32) -> Cue {
    Cue { words, who: Who::Nobody, form: Form::Base, needs: Work, promised: false, asks: false, confidence }
}

const fn passive(words: &'static str, confidence: f32) -> Cue {
    Cue { form: Form::Passive, ..nobody(words, confidence) }
}

const fn ing(cue: Cue) -> Cue {
    Cue { form: Form::Ing, ..cue }
}

const fn asking(cue: Cue) -> Cue {
    Cue { asks: true, ..cue }
}

/// No words at all: the verb itself asks.
pub(super) static IMPERATIVE: Cue = duty("", Work, 0.7);

pub(super) const CUES: &[Cue] = &[
    // Promises.
    promise("i will", Verb, 0.9),
    promise("i shall", Verb, 0.85),
    promise("i am going to", Verb, 0.85),
    promise("i promise to", Verb, 0.9),
    promise("i will make sure to", Verb, 0.9),
    promise("i plan to", Work, 0.75),
    promise("i am planning to", Work, 0.75),
    promise("i intend to", Work, 0.75),
    promise("i am happy to", Work, 0.7),
    promise("i would be happy to", Date, 0.65),
    promise("i can", Work, 0.65),
    promise("i need to", Work, 0.8),
    promise("i have to", Work, 0.8),
    promise("i have got to", Work, 0.8),
    promise("i must", Work, 0.8),
    promise("i should", Work, 0.65),
    promise("i am supposed to", Work, 0.75),
    promise("i want to", Date, 0.65),
    promise("let me", Work, 0.65),
    ing(promise("i will be", Work, 0.8)),
    ing(promise("i am", Date, 0.7)),
    // What we are to do.
    team("we will", Work, 0.75),
    team("we are going to", Work, 0.75),
    team("we need to", Work, 0.75),
    team("we have to", Work, 0.75),
    team("we have got to", Work, 0.75),
    team("we must", Work, 0.75),
    team("we should", Work, 0.65),
    team("we ought to", Work, 0.65),
    team("we plan to", Work, 0.65),
    team("let us", Work, 0.6),
    // What you are to do.
    duty("you will", Work, 0.65),
    duty("you need to", Work, 0.7),
    duty("you have to", Work, 0.65),
    duty("you must", Work, 0.65),
    duty("you should", Work, 0.6),
    duty("i need you to", Work, 0.85),
    duty("i want you to", Work, 0.85),
    duty("i would like you to", Work, 0.85),
    duty("i would ask you to", Work, 0.8),
    duty("please", Work, 0.8),
    duty("do not forget to", Verb, 0.85),
    duty("remember to", Work, 0.8),
    duty("make sure to", Work, 0.75),
    duty("make sure you", Work, 0.75),
    duty("be sure to", Work, 0.7),
    duty("your task is to", Verb, 0.85),
    duty("your job is to", Work, 0.75),
    request("can you", 0.8),
    request("could you", 0.85),
    request("would you", 0.75),
    request("will you", 0.75),
    request("can i ask you to", 0.8),
    request("could i ask you to", 0.8),
    request("may i ask you to", 0.8),
    request("would it be possible for you to", 0.75),
    request("would you be able to", 0.75),
    request("are you able to", 0.65),
    request("if you could", 0.65),
    request("i would appreciate it if you could", 0.8),
    request("it would be great if you could", 0.8),
    ing(request("would you mind", 0.8)),
    ing(request("do you mind", 0.75)),
    // What somebody by name is to do.
    named("@ will", Work, 0.85),
    named("@ is going to", Work, 0.85),
    named("@ are going to", Work, 0.75),
    named("@ needs to", Work, 0.85),
    named("@ need to", Work, 0.75),
    named("@ has to", Work, 0.85),
    named("@ must", Work, 0.8),
    named("@ should", Work, 0.75),
    named("@ shall", Work, 0.8),
    named("@ can", Date, 0.65),
    named("@ is supposed to", Work, 0.8),
    named("@ agreed to", Work, 0.85),
    named("@ has agreed to", Work, 0.85),
    named("@ promised to", Work, 0.85),
    named("@ volunteered to", Work, 0.85),
    named("@ offered to", Work, 0.8),
    named("@ to", Work, 0.75),
    asking(named("can @", Work, 0.65)),
    asking(named("could @", Work, 0.65)),
    named("i need @ to", Work, 0.85),
    named("i want @ to", Work, 0.85),
    named("i would like @ to", Work, 0.85),
    named("i will ask @ to", Work, 0.75),
    named("let us have @", Work, 0.75),
    named("have @", Date, 0.6),
    named("action item for @ to", Verb, 0.9),
    named("action item for @", Work, 0.85),
    ing(named("@ is responsible for", Work, 0.85)),
    ing(named("@ is in charge of", Work, 0.85)),
    // What has to be done by whomever.
    nobody("someone needs to", 0.75),
    nobody("somebody needs to", 0.75),
    nobody("someone has to", 0.75),
    nobody("somebody has to", 0.75),
    nobody("someone must", 0.7),
    nobody("somebody must", 0.7),
    nobody("someone should", 0.7),
    nobody("somebody should", 0.7),
    nobody("one of us needs to", 0.75),
    nobody("one of us has to", 0.75),
    nobody("action item is to", 0.9),
    nobody("next step is to", 0.8),
    nobody("next steps are to", 0.8),
    asking(nobody("can someone", 0.75)),
    asking(nobody("can somebody", 0.75)),
    asking(nobody("could someone", 0.75)),
    asking(nobody("could somebody", 0.75)),
    passive("needs to be", 0.75),
    passive("need to be", 0.75),
    passive("has to be", 0.75),
    passive("have to be", 0.75),
    passive("must be", 0.7),
    passive("should be", 0.6),
];
