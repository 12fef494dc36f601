//! Decisions: what people settled on.

use std::collections::VecDeque;

use serde::Serialize;

use super::{
    Evidence, Language, Renamed,
    sentence::Sentence,
    tokens::{Stop, Token},
};

/// One decision of a conversation; counts up from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DecisionId(pub u32);

/// Something that was settled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Which decision.
    pub id: DecisionId,
    /// The sentence, as it was said.
    pub text: String,
    /// Who said it, when known.
    pub speaker: Option<String>,
    /// The words it rests on.
    pub evidence: Evidence,
    /// How sure the rules are, 0..=1.
    pub confidence: f32,
    /// The language it was said in.
    pub language: Language,
}

/// The decisions of a conversation; at most [`KEPT`], the oldest is forgotten.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    decisions: VecDeque<Decision>,
    next_id: u32,
    /// The sentence before, when it proposed something: what a bare "agreed" settles.
    proposal: Option<(String, Evidence)>,
}

impl Decisions {
    /// All that are remembered, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// The decision that `sentence` states, when it is not one that is known.
    pub(super) fn read(&mut self, sentence: &Sentence) -> Option<Decision> {
        let stated = stated(sentence);
        let whole = 0..sentence.tokens.len();
        let settled = match stated {
            Some((begin, confidence)) => Some((sentence.text(), sentence.evidence(&(begin..whole.end)), confidence)),
            None if is_bare_consent(sentence) => self.proposal.take().map(|(text, evidence)| (text, evidence, 0.6)),
            None => None,
        };
        if !is_bare_consent(sentence) {
            self.proposal = is_proposal(sentence).then(|| (sentence.text(), sentence.evidence(&whole)));
        }
        let (text, evidence, confidence) = settled?;
        if self.decisions.iter().any(|known| known.text == text) {
            return None;
        }
        let id = DecisionId(self.next_id);
        self.next_id += 1;
        let speaker = sentence.speaker.name.clone();
        let decision = Decision { id, text, speaker, evidence, confidence, language: sentence.language };
        if self.decisions.len() >= KEPT {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision.clone());
        Some(decision)
    }

    /// Puts right who said what: `said_by` knows of some of it.
    pub(super) fn attribute(&mut self, said_by: &impl Fn(&Evidence) -> Option<Option<String>>) {
        for decision in &mut self.decisions {
            if let Some(name) = said_by(&decision.evidence) {
                decision.speaker = name;
            }
        }
    }

    /// Somebody is called otherwise.
    pub(super) fn rename(&mut self, renamed: &Renamed) {
        for decision in &mut self.decisions {
            renamed.put_right(decision.evidence.participant, &mut decision.speaker);
        }
    }
}

/// Where the clause that states a decision begins, and how surely it does.
fn stated(sentence: &Sentence) -> Option<(usize, f32)> {
    if sentence.asks() {
        return None;
    }
    let tokens = &sentence.tokens;
    let (cues, small, excluded) = match sentence.language {
        Language::English => (ENGLISH, ENGLISH_SMALL, ENGLISH_EXCLUDED),
        Language::German => (GERMAN, GERMAN_SMALL, GERMAN_EXCLUDED),
    };
    (0..tokens.len()).find_map(|at| {
        let (end, confidence) =
            cues.iter().find_map(|(phrase, confidence)| Some((phrase_end(tokens, at, phrase, small)?, *confidence)))?;
        let clause = tokens[..at].iter().rposition(|token| token.stop > Stop::None).map_or(0, |stop| stop + 1);
        let spoilt = |token: &Token| token.among(excluded) || token.quoted;
        let after = &tokens[end..tokens.len().min(end + 2)];
        let ends_here = end == tokens.len() || tokens[end - 1].stop >= Stop::End;
        let clause_end =
            tokens[end - 1..].iter().position(|token| token.stop > Stop::None).map_or(tokens.len(), |stop| end + stop);
        let hedged = tokens[end..clause_end.max(end)].iter().any(|token| token.among(HEDGES));
        let refused =
            tokens[clause..end].iter().any(spoilt) || after.iter().any(|token| token.among(NEVER_AFTER)) || hedged;
        let too_short = ends_here && tokens.len() < 3;
        (!refused && !too_short).then_some((clause, confidence))
    })
}

/// Where `phrase` ends when it begins at `at`; words of `small` may stand between, `…` for up to eight words.
fn phrase_end(tokens: &[Token], at: usize, phrase: &str, small: &[&str]) -> Option<usize> {
    let mut next = at;
    let mut gap = 0;
    for word in phrase.split(' ') {
        if word == "…" {
            gap = 8;
            continue;
        }
        let from = next;
        while !tokens.get(next)?.is(word) {
            let token = &tokens[next];
            let passable = next > at && tokens[next - 1].stop < Stop::End && (token.among(small) || next - from < gap);
            if !passable {
                return None;
            }
            next += 1;
        }
        next += 1;
        gap = 0;
    }
    Some(next)
}

/// "Agreed.", "Abgemacht."
fn is_bare_consent(sentence: &Sentence) -> bool {
    sentence.tokens.len() <= 4
        && sentence.tokens.iter().any(|token| token.among(CONSENT))
        && sentence.tokens.iter().all(|token| token.among(CONSENT) || token.among(AROUND_CONSENT))
}

fn is_proposal(sentence: &Sentence) -> bool {
    let tokens = &sentence.tokens;
    (0..tokens.len()).any(|at| PROPOSALS.iter().any(|phrase| phrase_end(tokens, at, phrase, &[]).is_some()))
}

const KEPT: usize = 256;

/// What states a decision in English, with how surely. Adverbs may stand between the words.
const ENGLISH: &[(&str, f32)] = &[
    ("we agreed to", 0.9),
    ("we agreed that", 0.9),
    ("we agreed on", 0.9),
    ("we have agreed", 0.85),
    ("we are agreed", 0.8),
    ("we agree that", 0.7),
    ("we all agree to", 0.75),
    ("we decided", 0.9),
    ("we have decided", 0.9),
    ("i have decided", 0.75),
    ("it was decided", 0.85),
    ("it is decided", 0.85),
    ("it has been decided", 0.85),
    ("the decision is", 0.9),
    ("our decision is", 0.9),
    ("decision made", 0.8),
    ("let us go with", 0.85),
    ("let us stick with", 0.8),
    ("let us stick to", 0.75),
    ("let us settle on", 0.85),
    ("let us agree on", 0.8),
    ("let us agree to", 0.8),
    ("let us agree that", 0.8),
    ("we will go with", 0.85),
    ("we are going with", 0.85),
    ("we are going to go with", 0.85),
    ("we will stick with", 0.8),
    ("we are sticking with", 0.8),
    ("we settled on", 0.85),
    ("we have settled on", 0.85),
    ("we chose", 0.7),
    ("we have chosen", 0.75),
    ("we voted to", 0.8),
    ("we opted for", 0.8),
    ("we concluded that", 0.75),
    ("the board approved", 0.75),
    ("we approved", 0.75),
    ("it is settled", 0.75),
    ("so it is settled", 0.75),
    ("we will not … until", 0.55),
    ("the plan is to", 0.55),
    ("final decision", 0.75),
];

/// What states a decision in German.
const GERMAN: &[(&str, f32)] = &[
    ("wir haben … beschlossen", 0.9),
    ("haben wir … beschlossen", 0.9),
    ("wir haben … entschieden", 0.9),
    ("haben wir … entschieden", 0.85),
    ("wir haben … geeinigt", 0.9),
    ("haben wir … geeinigt", 0.85),
    ("wir haben … verständigt", 0.85),
    ("wir haben … vereinbart", 0.85),
    ("haben wir … vereinbart", 0.8),
    ("wir haben … festgelegt", 0.8),
    ("es wurde … beschlossen", 0.85),
    ("es wurde … entschieden", 0.85),
    ("wurde beschlossen", 0.8),
    ("ist beschlossen", 0.8),
    ("beschlossen ist", 0.8),
    ("beschlossene sache", 0.8),
    ("wir beschließen", 0.85),
    ("wir einigen uns", 0.85),
    ("wir entscheiden uns für", 0.85),
    ("wir entscheiden uns gegen", 0.85),
    ("ich habe … entschieden", 0.7),
    ("die entscheidung ist", 0.85),
    ("die entscheidung lautet", 0.9),
    ("unsere entscheidung", 0.8),
    ("dann machen wir", 0.7),
    ("so machen wir", 0.75),
    ("wir machen das so", 0.75),
    ("wir machen es so", 0.75),
    ("dann nehmen wir", 0.8),
    ("wir nehmen also", 0.75),
    ("also nehmen wir", 0.75),
    ("wir bleiben bei", 0.8),
    ("dann bleiben wir bei", 0.8),
    ("bleiben wir bei", 0.7),
    ("es bleibt bei", 0.8),
    ("es bleibt dabei", 0.75),
    ("wir bleiben dabei", 0.75),
    ("dann bleibt es", 0.75),
    ("wir legen fest", 0.8),
    ("dann ist … beschlossen", 0.8),
    ("damit ist … beschlossen", 0.85),
    ("damit ist … entschieden", 0.85),
    ("wir setzen auf", 0.6),
    ("dann gilt", 0.55),
    ("abgemacht dann", 0.75),
    ("einigen wir uns auf", 0.85),
    ("lass uns … nehmen", 0.7),
    ("lasst uns … nehmen", 0.7),
    ("dann verschieben wir", 0.75),
    ("dann verzichten wir", 0.75),
    ("wir verzichten auf", 0.7),
];

#[rustfmt::skip]
const ENGLISH_SMALL: &[&str] = &[
    "all", "just", "now", "then", "finally", "also", "therefore", "definitely", "basically", "already", "both",
    "today", "unanimously", "jointly", "hereby", "really", "probably",
];

#[rustfmt::skip]
const GERMAN_SMALL: &[&str] = &[
    "also", "jetzt", "nun", "dann", "auch", "doch", "einfach", "mal", "heute", "schließlich", "gemeinsam",
    "einstimmig", "endlich", "ja", "eben", "uns",
];

#[rustfmt::skip]
const ENGLISH_EXCLUDED: &[&str] = &[
    "if", "unless", "whether", "not", "never", "once", "when", "until", "before", "how", "why", "what", "who", "did",
    "had", "have-not", "yet", "maybe", "perhaps", "would", "could",
];

#[rustfmt::skip]
const GERMAN_EXCLUDED: &[&str] = &[
    "wenn", "falls", "ob", "nicht", "nie", "noch", "sobald", "bevor", "bis", "hätten", "hätte", "würden", "würde",
    "könnten", "sollten", "vielleicht", "warum", "wie", "was", "wer", "nichts", "kein", "keine",
];

const NEVER_AFTER: &[&str] = &["yet", "nothing"];

#[rustfmt::skip]
const HEDGES: &[&str] = &[
    "maybe", "perhaps", "vielleicht", "eventuell", "möglicherweise",
];

#[rustfmt::skip]
const CONSENT: &[&str] = &[
    "agreed", "abgemacht", "deal", "einverstanden", "beschlossen", "settled", "done",
];

#[rustfmt::skip]
const AROUND_CONSENT: &[&str] = &[
    "okay", "ok", "then", "yes", "ja", "gut", "also", "dann", "it", "is", "that", "so", "great", "it's", "right",
    "alle", "all",
];

#[rustfmt::skip]
const PROPOSALS: &[&str] = &[
    "let us", "we should", "we could", "i propose", "i suggest", "how about", "what about", "shall we", "we would",
    "should we", "lass uns", "lasst uns", "lassen sie uns", "wir sollten", "wir könnten", "ich schlage vor",
    "mein vorschlag", "sollen wir", "wollen wir", "wie wäre es", "wie wär", "dann sollten wir", "my suggestion",
    "my proposal", "vorschlag",
];
