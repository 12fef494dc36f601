//! Questions: what was asked, and whether somebody answered.

use std::collections::VecDeque;

use serde::Serialize;

use super::{
    Evidence, Language, Renamed,
    sentence::{Sentence, Speaker},
    tokens::Stop,
};

/// One question of a conversation; counts up from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct QuestionId(pub u32);

/// Something that was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// Which question; the same when it is answered.
    pub id: QuestionId,
    /// The sentence, as it was said.
    pub text: String,
    /// Who asked, when known.
    pub speaker: Option<String>,
    /// The words it rests on.
    pub evidence: Evidence,
    /// Where somebody else answered it.
    pub answer: Option<Evidence>,
    /// The language it was said in.
    pub language: Language,
}

/// The questions of a conversation; at most [`KEPT`]. When full the oldest answered one, else the oldest, is
/// forgotten.
#[derive(Debug, Default)]
pub(super) struct Questions {
    questions: VecDeque<Question>,
    next_id: u32,
    /// The question that waits for an answer, and who asked it.
    pending: Option<(QuestionId, Speaker)>,
}

impl Questions {
    /// Those nobody answered, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| question.answer.is_none())
    }

    /// The question that `sentence` is, if it is one.
    pub(super) fn read(&mut self, sentence: &Sentence) -> Option<Question> {
        if !is_question(sentence) {
            return None;
        }
        let id = QuestionId(self.next_id);
        self.next_id += 1;
        let text = sentence.text();
        let text = if text.ends_with('?') { text } else { text.trim_end_matches('.').to_owned() + "?" };
        let question = Question {
            id,
            text,
            speaker: sentence.speaker.name.clone(),
            evidence: sentence.evidence(&(0..sentence.tokens.len())),
            answer: None,
            language: sentence.language,
        };
        if self.questions.len() >= KEPT {
            let answered = self.questions.iter().position(|question| question.answer.is_some());
            self.questions.remove(answered.unwrap_or(0));
        }
        self.questions.push_back(question.clone());
        self.pending = Some((id, sentence.speaker.clone()));
        Some(question)
    }

    /// The question before, when `sentence` is what somebody else says next and no "I don't know".
    pub(super) fn answered_by(&mut self, sentence: &Sentence) -> Option<Question> {
        let (id, asker) = self.pending.as_ref()?;
        if !asker.differs(&sentence.speaker) || is_hesitation(sentence) {
            return None;
        }
        let question = self.questions.iter_mut().find(|question| question.id == *id)?;
        let answer = sentence.evidence(&(0..sentence.tokens.len()));
        self.pending = None;
        if answer.span.start.since(question.evidence.span.end) > ANSWER_WITHIN || is_evasion(sentence) {
            return None;
        }
        question.answer = Some(answer);
        Some(question.clone())
    }

    /// Puts right who said what: `said_by` knows of some of it.
    pub(super) fn attribute(&mut self, said_by: &impl Fn(&Evidence) -> Option<Option<String>>) {
        for question in &mut self.questions {
            let Some(name) = said_by(&question.evidence) else { continue };
            // Whoever asked, and goes on, does not answer themselves.
            if let Some((id, asker)) = &mut self.pending
                && *id == question.id
            {
                asker.name.clone_from(&name);
            }
            question.speaker = name;
        }
    }

    /// Somebody is called otherwise.
    pub(super) fn rename(&mut self, renamed: &Renamed) {
        if let Some((_, asker)) = &mut self.pending {
            renamed.put_right(asker.participant, &mut asker.name);
        }
        for question in &mut self.questions {
            renamed.put_right(question.evidence.participant, &mut question.speaker);
        }
    }
}

/// Whether a sentence asks something: by its mark, or by the order of its words.
fn is_question(sentence: &Sentence) -> bool {
    let tokens = &sentence.tokens;
    let lead = tokens.iter().take_while(|token| token.among(LEAD)).count();
    let words: Vec<&str> = tokens[lead..].iter().map(|token| token.norm.as_str()).collect();
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| begins_with(&words, phrase));
    if begins(PHATIC) {
        return false;
    }
    let marked = sentence.asks();
    let (wh, finite, pronouns, exclaims) = match sentence.language {
        Language::English => (ENGLISH_WH, ENGLISH_FINITE, ENGLISH_SUBJECTS, ENGLISH_NOT_ASKING),
        Language::German => (GERMAN_WH, GERMAN_FINITE, GERMAN_SUBJECTS, GERMAN_NOT_ASKING),
    };
    let [first, rest @ ..] = words.as_slice() else { return false };
    let is_wh = wh.contains(first);
    if marked {
        return words.len() >= 3 || is_wh;
    }
    if tokens.last().is_some_and(|token| token.stop == Stop::End) && sentence.punctuated {
        return false;
    }
    let second = rest.first().copied().unwrap_or_default();
    let verb_second = finite.contains(&second)
        || (HOW_MANY.contains(&second) && words.iter().skip(2).take(3).any(|word| finite.contains(word)));
    let noun_second = ["which", "welche", "welcher", "welches", "welchen", "what"].contains(first)
        && rest.iter().skip(1).take(2).any(|word| finite.contains(word))
        && !pronouns.contains(&second);
    let verb_first = finite.contains(first) && pronouns.contains(&second);
    words.len() >= 3 && !begins(exclaims) && (is_wh && (verb_second || noun_second) || verb_first)
}

fn is_hesitation(sentence: &Sentence) -> bool {
    sentence.tokens.iter().all(|token| token.among(HESITATION))
}

fn is_evasion(sentence: &Sentence) -> bool {
    let words: Vec<&str> = sentence.tokens.iter().map(|token| token.norm.as_str()).collect();
    (0..words.len().min(4)).any(|at| EVASIONS.iter().any(|phrase| begins_with(&words[at..], phrase)))
}

fn begins_with(words: &[&str], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase.split(' ').all(|word| words.next().is_some_and(|next| *next == word))
}

const KEPT: usize = 512;

/// Whatever is said later than this answers something else.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// May stand before a question.
#[rustfmt::skip]
const LEAD: &[&str] = &[
    "so", "okay", "ok", "and", "but", "well", "um", "uh", "now", "right", "hey", "yes", "yeah", "no", "alright",
    "und", "aber", "also", "ja", "äh", "ähm", "gut", "dann", "denn", "sag", "mal", "nein", "then", "sorry",
    "entschuldigung", "then", "great", "thanks",
];

/// Greetings and checks of the line, which ask nothing.
#[rustfmt::skip]
const PHATIC: &[&str] = &[
    "how are you", "how is it going", "how do you do", "can you hear", "can everyone hear", "can everybody hear",
    "can you see", "can everyone see", "do you hear", "you know what", "are you there", "hello", "what is up",
    "any questions", "are there any questions", "does that make sense", "wie geht es", "wie geht's", "hört ihr mich",
    "hören sie mich", "hörst du mich", "könnt ihr mich hören", "können sie mich hören", "kannst du mich hören",
    "seht ihr", "sehen sie meinen", "wissen sie was", "weißt du was", "gibt es noch fragen", "noch fragen",
    "bist du noch da", "sind sie noch da", "hallo", "ist da jemand", "right", "is that okay", "weisst du was",
];

#[rustfmt::skip]
const ENGLISH_WH: &[&str] = &[
    "who", "what", "which", "where", "when", "why", "how", "whose", "whom",
];

#[rustfmt::skip]
const ENGLISH_FINITE: &[&str] = &[
    "is", "are", "was", "were", "do", "does", "did", "can", "could", "will", "would", "should", "shall", "have",
    "has", "had", "am", "may", "might", "must", "owns", "wants", "knows", "takes", "needs", "sends", "about",
];

#[rustfmt::skip]
const ENGLISH_SUBJECTS: &[&str] = &[
    "i", "you", "he", "she", "it", "we", "they", "there", "this", "that", "the", "your", "our", "my", "anyone",
    "anybody", "someone", "everyone", "these", "those", "their", "any",
];

/// Look like questions but are wishes, exclamations and conditions.
#[rustfmt::skip]
const ENGLISH_NOT_ASKING: &[&str] = &[
    "what a", "how about that", "had i", "had we", "should you need", "may i say", "were it", "do that", "do the",
    "do this", "do it", "have the", "have a", "do your", "do our", "have your", "have that",
];

#[rustfmt::skip]
const GERMAN_WH: &[&str] = &[
    "wer", "wen", "wem", "wessen", "was", "welche", "welcher", "welches", "welchen", "wo", "wohin", "woher", "wann",
    "warum", "weshalb", "wieso", "wie", "womit", "wofür", "woran", "wozu", "worum", "wieviel", "wieviele", "worauf",
    "wovon",
];

#[rustfmt::skip]
const GERMAN_FINITE: &[&str] = &[
    "ist", "sind", "war", "waren", "bin", "bist", "seid", "wird", "werden", "werdet", "wirst", "kann", "kannst",
    "können", "könnt", "könnte", "könntest", "könnten", "soll", "sollen", "sollte", "sollten", "sollst", "muss",
    "müssen", "musst", "müsste", "darf", "dürfen", "hat", "haben", "hast", "habt", "hatte", "hatten", "macht",
    "machen", "machst", "kommt", "kommen", "kommst", "geht", "gehen", "gibt", "sagt", "sagst", "meint", "meinst",
    "schickt", "schicken", "übernimmt", "kümmert", "weiß", "weißt", "wissen", "will", "wollen", "willst", "möchte",
    "möchten", "möchtest", "würde", "würden", "würdest", "wäre", "wären", "kostet", "kosten", "heißt", "braucht",
    "brauchen", "brauchst", "steht", "stehen", "läuft", "laufen", "sieht", "siehst", "findet", "findest", "denkst",
    "glaubst", "dauert", "liegt", "passt", "funktioniert", "bekommen", "bekommt", "nehmen", "nimmt", "spricht",
    "schreibt", "viel", "viele", "lange",
];

#[rustfmt::skip]
const GERMAN_SUBJECTS: &[&str] = &[
    "ich", "du", "er", "sie", "es", "wir", "ihr", "der", "die", "das", "den", "dein", "deine", "euer", "eure", "ihre",
    "unser", "unsere", "jemand", "alle", "man", "dieser", "diese", "dieses", "denn", "schon", "noch", "eigentlich",
    "wirklich",
];

#[rustfmt::skip]
const GERMAN_NOT_ASKING: &[&str] = &[
    "wie gesagt", "wie besprochen", "wie vereinbart", "was für ein", "würde ich", "könnte ich", "hätte ich",
    "machen wir", "gehen wir", "nehmen wir", "kann ich machen", "mache ich", "kommen sie", "schicken sie",
    "nehmen sie", "machen sie", "gehen sie",
];

#[rustfmt::skip]
const HOW_MANY: &[&str] = &[
    "many", "much", "long", "often", "soon", "far", "viel", "viele", "lange", "oft", "weit", "bald", "hoch", "teuer",
];

#[rustfmt::skip]
const HESITATION: &[&str] = &[
    "um", "uh", "hmm", "hm", "well", "so", "äh", "ähm", "mhm", "also", "tja", "naja", "na", "oh",
];

/// Say something without answering.
#[rustfmt::skip]
const EVASIONS: &[&str] = &[
    "i do not know", "do not know", "no idea", "good question", "not sure", "i am not sure", "let me check",
    "i would have to check", "i have no idea", "ask me later", "das weiß ich nicht", "weiß ich nicht",
    "ich weiß es nicht", "ich weiß nicht", "keine ahnung", "gute frage", "da muss ich nachsehen", "da müsste ich",
    "bin mir nicht sicher", "ich bin nicht sicher", "das muss ich nachsehen", "kann ich nicht sagen",
    "das kann ich nicht sagen",
];
