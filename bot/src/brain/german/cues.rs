//! The cues of German: what announces that somebody is to do something.
//!
//! The words of a cue stand together, adverbs aside; its verb stands elsewhere. `@` stands for a person.

/// One cue.
pub(super) struct Cue {
    /// Its words.
    pub(super) words: &'static str,
    /// Who is to do it.
    pub(super) who: Who,
    /// Where its verb is.
    pub(super) verb: Place,
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

/// Where the verb of a cue is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The infinitive that ends the clause.
    Infinitive,
    /// The infinitive with "zu" in the clause or the one after.
    Zu,
}

const fn cue(words: &'static str, who: Who, confidence: f32) -> Cue {
    let promised = matches!(who, Speaker);
    Cue { words, who, verb: Place::Infinitive, promised, asks: false, confidence }
}

const fn request(words: &'static str, confidence: f32) -> Cue {
    Cue { asks: true, ..cue(words, Addressee, confidence) }
}

const fn zu(cue: Cue) -> Cue {
    Cue { verb: Place::Zu, ..cue }
}

const fn asking(cue: Cue) -> Cue {
    Cue { asks: true, ..cue }
}

use Who::{Addressee, Named, Nobody, Speaker, Team};

pub(super) const CUES: &[Cue] = &[
    // Promises.
    cue("ich werde", Speaker, 0.9),
    cue("werde ich", Speaker, 0.9),
    cue("ich muss", Speaker, 0.8),
    cue("muss ich", Speaker, 0.8),
    cue("ich soll", Speaker, 0.75),
    cue("soll ich", Speaker, 0.7),
    cue("ich sollte", Speaker, 0.65),
    cue("sollte ich", Speaker, 0.65),
    cue("ich will", Speaker, 0.7),
    cue("will ich", Speaker, 0.7),
    cue("ich kann", Speaker, 0.65),
    cue("kann ich", Speaker, 0.65),
    zu(cue("ich verspreche", Speaker, 0.9)),
    zu(cue("ich habe vor", Speaker, 0.8)),
    zu(cue("ich plane", Speaker, 0.7)),
    // What we are to do.
    cue("wir müssen", Team, 0.75),
    cue("müssen wir", Team, 0.75),
    cue("wir sollten", Team, 0.65),
    cue("sollten wir", Team, 0.65),
    cue("wir sollen", Team, 0.65),
    cue("wir werden", Team, 0.75),
    cue("werden wir", Team, 0.75),
    cue("wir wollen", Team, 0.65),
    cue("lass uns", Team, 0.6),
    cue("lasst uns", Team, 0.6),
    cue("lassen sie uns", Team, 0.6),
    zu(cue("wir haben vor", Team, 0.7)),
    zu(cue("wir dürfen nicht vergessen", Team, 0.8)),
    zu(cue("ich darf nicht vergessen", Speaker, 0.8)),
    // What you are to do.
    request("kannst du", 0.8),
    request("könntest du", 0.85),
    request("könnt ihr", 0.75),
    request("könntet ihr", 0.8),
    request("können sie", 0.8),
    request("könnten sie", 0.85),
    request("würdest du", 0.8),
    request("würden sie", 0.8),
    request("würdet ihr", 0.75),
    request("magst du", 0.7),
    request("wirst du", 0.65),
    zu(request("wärst du so nett", 0.75)),
    zu(request("wären sie so nett", 0.75)),
    zu(request("wären sie so freundlich", 0.75)),
    zu(request("darf ich sie bitten", 0.8)),
    zu(request("darf ich dich bitten", 0.8)),
    zu(request("kann ich dich bitten", 0.8)),
    zu(request("kann ich sie bitten", 0.8)),
    zu(cue("ich bitte dich", Addressee, 0.8)),
    zu(cue("ich bitte sie", Addressee, 0.8)),
    zu(cue("ich bitte euch", Addressee, 0.8)),
    cue("du musst", Addressee, 0.7),
    cue("musst du", Addressee, 0.7),
    cue("du sollst", Addressee, 0.7),
    cue("du solltest", Addressee, 0.6),
    cue("solltest du", Addressee, 0.6),
    cue("ihr müsst", Addressee, 0.7),
    cue("müsst ihr", Addressee, 0.7),
    cue("ihr sollt", Addressee, 0.7),
    cue("sie müssen", Addressee, 0.65),
    cue("müssen sie", Addressee, 0.65),
    cue("sie sollten", Addressee, 0.6),
    zu(cue("vergiss nicht", Addressee, 0.85)),
    zu(cue("vergesst nicht", Addressee, 0.85)),
    zu(cue("vergessen sie nicht", Addressee, 0.85)),
    zu(cue("denk daran", Addressee, 0.85)),
    zu(cue("denk dran", Addressee, 0.85)),
    zu(cue("denkt daran", Addressee, 0.85)),
    zu(cue("denkt dran", Addressee, 0.85)),
    zu(cue("denken sie daran", Addressee, 0.85)),
    zu(cue("denken sie dran", Addressee, 0.85)),
    zu(cue("deine aufgabe ist es", Addressee, 0.85)),
    zu(cue("ihre aufgabe ist es", Addressee, 0.8)),
    zu(cue("nicht vergessen", Addressee, 0.8)),
    zu(cue("bitte nicht vergessen", Addressee, 0.85)),
    cue("bitte", Addressee, 0.75),
    // What somebody by name is to do.
    cue("@ muss", Named, 0.85),
    cue("muss @", Named, 0.85),
    cue("@ soll", Named, 0.8),
    cue("soll @", Named, 0.8),
    cue("@ sollte", Named, 0.75),
    cue("sollte @", Named, 0.75),
    cue("@ wird", Named, 0.85),
    cue("wird @", Named, 0.85),
    cue("@ müssen", Named, 0.75),
    cue("@ will", Named, 0.7),
    asking(cue("kann @", Named, 0.65)),
    asking(cue("könnte @", Named, 0.65)),
    cue("aufgabe für @", Named, 0.85),
    cue("to-do für @", Named, 0.85),
    cue("todo für @", Named, 0.85),
    // What has to be done by whomever.
    cue("jemand muss", Nobody, 0.75),
    cue("muss jemand", Nobody, 0.75),
    cue("jemand müsste", Nobody, 0.65),
    cue("müsste jemand", Nobody, 0.65),
    cue("jemand sollte", Nobody, 0.7),
    cue("sollte jemand", Nobody, 0.7),
    cue("einer muss", Nobody, 0.7),
    cue("einer von uns muss", Nobody, 0.75),
    asking(cue("kann jemand", Nobody, 0.75)),
    asking(cue("könnte jemand", Nobody, 0.75)),
    zu(cue("der nächste schritt ist", Nobody, 0.75)),
    zu(cue("nächster schritt ist", Nobody, 0.75)),
];
