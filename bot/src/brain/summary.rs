//! The summary: the sentences that say most, in the order they were said, with what was found besides.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{ActionItem, Decision, Evidence, Question, Renamed, sentence::Sentence, tokens::Token};

/// A conversation in short; every part quotes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The names of those who were there or spoke, in order of appearance.
    pub participants: Vec<String>,
    /// The sentences that say most, in the order they were said.
    pub sentences: Vec<SummarySentence>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// What is to be done, without what was declined.
    pub actions: Vec<ActionItem>,
    /// What was asked and not answered.
    pub open_questions: Vec<Question>,
}

/// One sentence of a summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SummarySentence {
    /// As it was said.
    pub text: String,
    /// Who said it, when known.
    pub speaker: Option<String>,
    /// The words it rests on.
    pub evidence: Evidence,
}

/// Keeps the sentences worth quoting: at most [`CANDIDATES`] of them, and the counts of at most [`TERMS`] words.
///
/// A sentence is worth what its words are: words that come up often in this conversation and rarely in the
/// language. When candidates run out of room, the weaker half of each stretch of time goes, so that the
/// beginning of a long meeting is still there at its end.
#[derive(Debug, Default)]
pub(super) struct Summarizer {
    counts: BTreeMap<String, u32>,
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    sentence: SummarySentence,
    words: BTreeSet<String>,
    /// What it is worth besides its words: above 1 where something was noted or decided.
    weight: f32,
}

impl Summarizer {
    /// Takes in one sentence.
    pub(super) fn read(&mut self, sentence: &Sentence, noted: bool, decided: bool) {
        let words: BTreeSet<String> = sentence.tokens.iter().filter(|token| tells(token)).map(stem).collect();
        for word in &words {
            *self.counts.entry(word.clone()).or_default() += 1;
        }
        if self.counts.len() > TERMS {
            self.forget_rare_terms();
        }
        let tokens = sentence.tokens.len();
        if words.len() < 3 || tokens > LONGEST || sentence.asks() {
            return;
        }
        let mut weight = if decided { 1.6 } else { 1.0 };
        if noted {
            weight *= 1.25;
        }
        if sentence.tokens.iter().any(Token::is_digits) {
            weight *= 1.1;
        }
        if tokens < 6 {
            weight *= 0.7;
        }
        let quoted = SummarySentence {
            text: sentence.text(),
            speaker: sentence.speaker.name.clone(),
            evidence: sentence.evidence(&(0..tokens)),
        };
        self.candidates.push(Candidate { sentence: quoted, words, weight });
        if self.candidates.len() > CANDIDATES {
            self.thin_out();
        }
    }

    /// The best `limit` sentences that do not say the same, within [`LENGTH`] characters, in order of time.
    pub(super) fn best(&self, limit: usize) -> Vec<SummarySentence> {
        let mut scored: Vec<(f32, &Candidate)> =
            self.candidates.iter().map(|candidate| (self.score(candidate), candidate)).collect();
        let mut chosen: Vec<&Candidate> = Vec::new();
        let mut length = 0;
        while chosen.len() < limit
            && let Some(at) = best_at(&scored)
        {
            let (_, candidate) = scored.swap_remove(at);
            let chars = candidate.sentence.text.chars().count();
            if length + chars > LENGTH {
                continue;
            }
            length += chars;
            for (score, other) in &mut scored {
                *score *= 1.0 - overlap(&candidate.words, &other.words);
            }
            chosen.push(candidate);
        }
        let mut sentences: Vec<SummarySentence> =
            chosen.into_iter().map(|candidate| candidate.sentence.clone()).collect();
        sentences.sort_by_key(|sentence| (sentence.evidence.span.start, sentence.evidence.span.end));
        sentences
    }

    /// Puts right who said what: `said_by` knows of some of it.
    pub(super) fn attribute(&mut self, said_by: &impl Fn(&Evidence) -> Option<Option<String>>) {
        for candidate in &mut self.candidates {
            if let Some(name) = said_by(&candidate.sentence.evidence) {
                candidate.sentence.speaker = name;
            }
        }
    }

    /// Somebody is called otherwise.
    pub(super) fn rename(&mut self, renamed: &Renamed) {
        for candidate in &mut self.candidates {
            renamed.put_right(candidate.sentence.evidence.participant, &mut candidate.sentence.speaker);
        }
    }

    fn score(&self, candidate: &Candidate) -> f32 {
        let sum: f32 = candidate
            .words
            .iter()
            .map(|word| (1.0 + self.counts.get(word).copied().unwrap_or_default() as f32).ln())
            .sum();
        // The root lets longer sentences win a little, not by length alone.
        candidate.weight * sum / (candidate.words.len() as f32).sqrt()
    }

    fn forget_rare_terms(&mut self) {
        let mut least = 1;
        while self.counts.len() > TERMS / 2 {
            self.counts.retain(|_, count| *count > least);
            least *= 2;
        }
    }

    /// Drops the weaker half of every stretch of [`STRETCH`] candidates.
    fn thin_out(&mut self) {
        let scores: Vec<f32> = self.candidates.iter().map(|candidate| self.score(candidate)).collect();
        let mut keep = vec![false; scores.len()];
        for from in (0..scores.len()).step_by(STRETCH) {
            let mut stretch: Vec<usize> = (from..scores.len().min(from + STRETCH)).collect();
            stretch.sort_by(|one, two| scores[*two].total_cmp(&scores[*one]));
            stretch.iter().take(STRETCH / 2).for_each(|at| keep[*at] = true);
        }
        let mut keep = keep.into_iter();
        self.candidates.retain(|_| keep.next().unwrap_or(true));
    }
}

fn best_at(scored: &[(f32, &Candidate)]) -> Option<usize> {
    (0..scored.len()).filter(|at| scored[*at].0 > 0.0).max_by(|one, two| scored[*one].0.total_cmp(&scored[*two].0))
}

/// How much two sets of words have in common, 0..=1.
fn overlap(one: &BTreeSet<String>, two: &BTreeSet<String>) -> f32 {
    let common = one.intersection(two).count();
    common as f32 / one.len().min(two.len()).max(1) as f32
}

/// Whether a token says what a sentence is about.
fn tells(token: &Token) -> bool {
    !token.text.is_empty() && token.norm.chars().count() > 2 && STOP_WORDS.binary_search(&token.norm.as_str()).is_err()
}

/// Crude, and the same for both languages: enough to bring "report" and "reports" together.
fn stem(token: &Token) -> String {
    token.norm.chars().take(7).collect()
}

/// Sentences kept to choose from; about 200 kB.
const CANDIDATES: usize = 512;

/// Candidates that compete for room with each other.
const STRETCH: usize = 16;

/// Words counted; beyond, those that came up least are forgotten.
const TERMS: usize = 8192;

/// Longer sentences are run-on speech, and not quoted.
const LONGEST: usize = 48;

/// Characters of all quoted sentences together.
const LENGTH: usize = 1600;

/// Words that say nothing about the subject. Sorted.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "aber", "about", "actually", "after", "again", "all", "alles", "als", "also", "and", "any", "anything", "are",
    "auch", "auf", "aus", "back", "because", "been", "before", "bei", "being", "bin", "bis", "bist", "bit", "bitte",
    "both", "but", "came", "can", "cannot", "come", "could", "dafür", "damit", "danke", "dann", "daran", "darauf",
    "darf", "darüber", "das", "dass", "davon", "dazu", "dein", "deine", "dem", "den", "denn", "der", "des", "dich",
    "did", "die", "diese", "diesem", "diesen", "dieser", "dieses", "dir", "doch", "does", "doing", "dort", "down",
    "durch", "dürfen", "each", "eben", "eigentlich", "ein", "eine", "einem", "einen", "einer", "eines", "einfach",
    "einmal", "etwas", "euch", "euer", "eure", "even", "everything", "few", "for", "from", "für", "ganz", "gegen",
    "gehen", "geht", "gemacht", "genau", "gesagt", "get", "gibt", "going", "good", "got", "great", "gut", "habe",
    "haben", "had", "hallo", "halt", "has", "hast", "hat", "hatte", "hatten", "have", "having", "hello", "her",
    "here", "hers", "hier", "him", "hinter", "his", "how", "ich", "ihm", "ihn", "ihnen", "ihr", "ihre", "ihren",
    "ihrer", "immer", "into", "irgendwie", "ist", "its", "jede", "jeder", "jedes", "jetzt", "just", "kann", "kannst",
    "kein", "keine", "keinen", "kind", "klar", "know", "können", "könnte", "könnten", "let", "like", "lot", "machen",
    "macht", "made", "mag", "make", "mal", "man", "many", "may", "maybe", "mean", "mehr", "mein", "meine", "meinen",
    "meiner", "mich", "might", "mir", "mit", "more", "most", "much", "muss", "must", "möchte", "müssen", "müsste",
    "nach", "natürlich", "need", "nein", "nicht", "nichts", "noch", "nor", "not", "now", "nur", "oder", "off", "ohne",
    "okay", "once", "one", "only", "other", "our", "ours", "out", "over", "own", "perhaps", "please", "really",
    "right", "sagen", "sagt", "said", "same", "say", "says", "schon", "see", "sehr", "seid", "sein", "seine",
    "seinen", "seiner", "seit", "shall", "she", "should", "sich", "sie", "sind", "soll", "sollen", "sollte",
    "sollten", "some", "somebody", "someone", "something", "sondern", "still", "such", "sure", "take", "than",
    "thank", "thanks", "that", "the", "their", "them", "then", "there", "these", "they", "thing", "things", "think",
    "this", "those", "too", "two", "und", "under", "uns", "unser", "unsere", "unseren", "unter", "until", "very",
    "viel", "viele", "vielleicht", "vom", "von", "vor", "wann", "want", "war", "waren", "warum", "was", "way", "weil",
    "welche", "welcher", "welches", "well", "wem", "wen", "wenn", "went", "wer", "werde", "werden", "were", "weshalb",
    "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "wie", "wieder", "wieso", "will", "wir",
    "wird", "with", "wollen", "wollte", "worden", "would", "wurde", "wurden", "würde", "würden", "yeah", "yep", "yes",
    "you", "your", "yours", "ziemlich", "zum", "zur", "über",
];
