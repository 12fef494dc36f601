//! The ledger of action items: what is new, what only repeats, confirms, dates or declines an earlier one.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use media::{id::ParticipantId, time::MediaTime};

use super::{
    ActionItem, Evidence, ItemId, Owner, Renamed, Standing,
    date::{self, Dated},
    found::{Found, Subject},
    names::Names,
    reply::{self, Reply},
    sentence::{Sentence, Speaker},
};

/// The action items of a conversation; at most [`KEPT`].
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    next_id: u32,
}

#[derive(Debug)]
struct Entry {
    item: ActionItem,
    words: Words,
    /// Who said it last.
    speaker: Speaker,
    /// When it was last spoken of.
    at: MediaTime,
    /// Whether it was put to somebody as "you".
    asked: bool,
    /// The words in which its owner took it, when it is whoever said them.
    taken: Option<Evidence>,
}

impl Ledger {
    /// All items that are remembered, oldest first.
    pub(super) fn items(&self) -> impl Iterator<Item = &ActionItem> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// Takes in what was `found` in `sentence`; the items that are new or changed, each once.
    pub(super) fn read(
        &mut self,
        sentence: &Sentence,
        found: &[Found],
        dates: &[Dated],
        names: &Names,
    ) -> Vec<ActionItem> {
        let mut changed = Vec::new();
        if found.is_empty() {
            changed.extend(self.reply(sentence, names));
        }
        for found in found {
            let evidence = sentence.evidence(&found.range);
            changed.extend(if found.anaphoric {
                self.point_back(sentence, found, evidence, names)
            } else {
                self.note(sentence, found, evidence, names)
            });
        }
        if found.is_empty() && changed.is_empty() {
            changed.extend(self.date_later(sentence, dates));
        }
        let mut ids: Vec<ItemId> = changed;
        ids.dedup();
        ids.iter().filter_map(|id| self.items().find(|item| item.id == *id).cloned()).collect()
    }

    /// A new item, or an earlier one said again.
    fn note(&mut self, sentence: &Sentence, found: &Found, evidence: Evidence, names: &Names) -> Option<ItemId> {
        let owner = owner_of(&found.subject, sentence, names);
        let words = Words::of(&found.text);
        let same = self.entries.iter_mut().rev().find(|entry| entry.is_same(&words, owner.as_ref(), found, sentence));
        let Some(entry) = same else {
            return Some(self.add(sentence, found, evidence, owner, words));
        };
        entry.take_owner(owner, found, evidence);
        if let Some(due) = &found.due {
            entry.set_due(due, sentence);
        }
        if found.promised {
            entry.item.standing = Standing::Agreed;
        }
        entry.item.confidence = (entry.item.confidence.max(found.confidence) + 0.05).min(0.99);
        Some(entry.touch(sentence, evidence))
    }

    fn add(
        &mut self,
        sentence: &Sentence,
        found: &Found,
        evidence: Evidence,
        owner: Option<Owner>,
        words: Words,
    ) -> ItemId {
        let id = ItemId(self.next_id);
        self.next_id += 1;
        let item = ActionItem {
            id,
            revision: 1,
            text: found.text.clone(),
            owner,
            due: found.due.as_ref().map(|due| due.date),
            due_said: found.due.as_ref().map(|due| said(sentence, due)),
            standing: if found.promised { Standing::Agreed } else { Standing::Proposed },
            evidence: vec![evidence],
            confidence: found.confidence,
            language: sentence.language,
        };
        if self.entries.len() >= KEPT {
            let declined = self.entries.iter().position(|entry| entry.item.standing == Standing::Declined);
            self.entries.remove(declined.unwrap_or(0));
        }
        let asked = matches!(found.subject, Subject::Addressee(_));
        let taken = (found.subject == Subject::Speaker).then_some(evidence);
        let speaker = sentence.speaker.clone();
        self.entries.push_back(Entry { item, words, speaker, at: evidence.span.end, asked, taken });
        id
    }

    /// "I'll do that": takes what was just proposed. With nothing to point at it counts only with a date.
    fn point_back(&mut self, sentence: &Sentence, found: &Found, evidence: Evidence, names: &Names) -> Option<ItemId> {
        let owner = owner_of(&found.subject, sentence, names);
        let taken = |entry: &Entry| {
            let by_other = entry.item.owner.as_ref().is_some_and(|other| is_other_person(other, owner.as_ref()));
            entry.item.standing == Standing::Agreed && by_other
        };
        let Some(entry) = self.recent(evidence.span.start).filter(|entry| !taken(entry)) else {
            let names_work = found.due.is_some();
            return names_work.then(|| self.add(sentence, found, evidence, owner, Words::of(&found.text)));
        };
        if let Some(due) = &found.due {
            entry.set_due(due, sentence);
        }
        if found.promised {
            entry.item.standing = Standing::Agreed;
        }
        entry.take_owner(owner, found, evidence);
        entry.item.confidence = (entry.item.confidence + 0.05).min(0.99);
        Some(entry.touch(sentence, evidence))
    }

    /// "Yes", "I can't": settles what was just asked for by somebody else.
    fn reply(&mut self, sentence: &Sentence, names: &Names) -> Option<ItemId> {
        let reply = reply::read(sentence)?;
        let evidence = sentence.evidence(&(0..sentence.tokens.len()));
        let entry = self.recent(evidence.span.start)?;
        let from_another = !entry.speaker.same(&sentence.speaker) || entry.speaker == Speaker::default();
        if entry.item.standing != Standing::Proposed || !from_another {
            return None;
        }
        let speaker = owner_of(&Subject::Speaker, sentence, names);
        let is_for_other = entry.item.owner.as_ref().is_some_and(|owner| is_other_person(owner, speaker.as_ref()));
        match reply {
            Reply::No if is_for_other => return None,
            Reply::Yes if is_for_other => return None,
            Reply::No if entry.asked => {
                entry.item.standing = Standing::Declined;
                entry.item.confidence = (entry.item.confidence - 0.2).max(0.05);
            }
            Reply::No => return None,
            Reply::Mine => {
                if speaker.is_some() {
                    (entry.item.owner, entry.taken) = (speaker, Some(evidence));
                }
                entry.item.standing = Standing::Agreed;
            }
            Reply::Yes => {
                if entry.asked && entry.item.owner.is_none() {
                    (entry.item.owner, entry.taken) = (speaker, Some(evidence));
                }
                entry.item.standing = Standing::Agreed;
            }
        }
        if entry.item.standing == Standing::Agreed {
            entry.item.confidence = (entry.item.confidence + 0.1).min(0.99);
        }
        Some(entry.touch(sentence, evidence))
    }

    /// "By Friday, please.": a sentence that is hardly more than a date dates the last item.
    fn date_later(&mut self, sentence: &Sentence, dates: &[Dated]) -> Option<ItemId> {
        let all = 0..sentence.tokens.len();
        let due = date::choose(dates, &all, |_| false)?;
        let evidence = sentence.evidence(&due.range);
        let beside = all.filter(|at| !due.range.contains(at) && !sentence.tokens[*at].among(AROUND_A_DATE)).count();
        if beside > 0 || sentence.asks() {
            return None;
        }
        let entry = self.recent(evidence.span.start)?;
        if entry.item.due == Some(due.date) {
            return None;
        }
        entry.set_due(&due, sentence);
        Some(entry.touch(sentence, evidence))
    }

    /// Puts right who took what on the stream of `participant`: `said_by` knows who said some words. The items that
    /// change.
    pub(super) fn attribute(
        &mut self,
        participant: ParticipantId,
        said_by: &impl Fn(&Evidence) -> Option<Option<String>>,
    ) -> Vec<ActionItem> {
        let mut changed = Vec::new();
        for entry in &mut self.entries {
            if let Some(name) = entry.item.evidence.last().and_then(said_by) {
                entry.speaker.name = name;
            }
            let Some(name) = entry.taken.as_ref().and_then(said_by) else { continue };
            let owner = Some(Owner::Person { participant: Some(participant), name });
            if entry.item.owner != owner {
                entry.item.owner = owner;
                entry.item.revision += 1;
                changed.push(entry.item.clone());
            }
        }
        changed
    }

    /// Somebody is called otherwise; the items that change.
    pub(super) fn rename(&mut self, renamed: &Renamed) -> Vec<ActionItem> {
        let mut changed = Vec::new();
        for entry in &mut self.entries {
            renamed.put_right(entry.speaker.participant, &mut entry.speaker.name);
            let before = entry.item.owner.clone();
            if let Some(Owner::Person { participant, name }) = &mut entry.item.owner {
                renamed.put_right(*participant, name);
            }
            if entry.item.owner != before {
                entry.item.revision += 1;
                changed.push(entry.item.clone());
            }
        }
        changed
    }

    /// The item last spoken of, when that is not long before `now`.
    fn recent(&mut self, now: MediaTime) -> Option<&mut Entry> {
        let entry = self.entries.iter_mut().max_by_key(|entry| (entry.at, entry.item.id))?;
        (now.since(entry.at) <= RECENT && entry.item.standing != Standing::Declined).then_some(entry)
    }
}

impl Entry {
    /// Whether `found` says this item again.
    fn is_same(&self, words: &Words, owner: Option<&Owner>, found: &Found, sentence: &Sentence) -> bool {
        if self.item.language != sentence.language {
            return false;
        }
        let owners_agree = match (&self.item.owner, owner) {
            (Some(one @ Owner::Person { .. }), Some(two @ Owner::Person { .. })) => !is_other_person(one, Some(two)),
            _ => true,
        };
        let common = self.words.common(words);
        let fewer = self.words.0.len().min(words.0.len());
        let more = self.words.0.len().max(words.0.len());
        let alike = common > 0 && (common * 10 >= more * 6 || (fewer >= 2 && common == fewer));
        let dues_agree = match (self.item.due, &found.due) {
            (Some(one), Some(two)) => one == two.date || common * 10 >= more * 8,
            _ => true,
        };
        owners_agree && alike && dues_agree
    }

    /// An owner by name wins over "we" and over nobody; who promises wins over who was asked.
    fn take_owner(&mut self, owner: Option<Owner>, found: &Found, evidence: Evidence) {
        let replaces = match (&self.item.owner, &owner) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(Owner::Team), Some(Owner::Person { .. })) => true,
            (Some(Owner::Person { .. }), Some(Owner::Person { .. })) => found.promised,
            (Some(_), Some(Owner::Team)) => false,
        };
        if replaces {
            self.item.owner = owner;
            self.taken = (found.subject == Subject::Speaker).then_some(evidence);
        }
    }

    fn set_due(&mut self, due: &Dated, sentence: &Sentence) {
        self.item.due = Some(due.date);
        self.item.due_said = Some(said(sentence, due));
    }

    fn touch(&mut self, sentence: &Sentence, evidence: Evidence) -> ItemId {
        if !self.item.evidence.contains(&evidence) {
            if self.item.evidence.len() >= EVIDENCE_KEPT {
                self.item.evidence.remove(1);
            }
            self.item.evidence.push(evidence);
        }
        self.item.revision += 1;
        self.at = self.at.max(evidence.span.end);
        self.speaker = sentence.speaker.clone();
        self.item.id
    }
}

fn owner_of(subject: &Subject, sentence: &Sentence, names: &Names) -> Option<Owner> {
    match subject {
        Subject::Speaker => {
            let Speaker { participant, name } = sentence.speaker.clone();
            (participant.is_some() || name.is_some()).then_some(Owner::Person { participant, name })
        }
        Subject::Team => Some(Owner::Team),
        Subject::Addressee(Some(name)) | Subject::Named(name) => Some(names.resolve(name)),
        Subject::Addressee(None) => names.other_than(&sentence.speaker),
        Subject::Nobody => None,
    }
}

/// Whether `owner` is a person and surely not `person`.
fn is_other_person(owner: &Owner, person: Option<&Owner>) -> bool {
    let speaker = |owner: &Owner| match owner {
        Owner::Person { participant, name } => Some(Speaker { participant: *participant, name: name.clone() }),
        Owner::Team => None,
    };
    match (speaker(owner), person.and_then(speaker)) {
        (Some(one), Some(two)) => one.differs(&two),
        _ => false,
    }
}

fn said(sentence: &Sentence, due: &Dated) -> String {
    let words: Vec<&str> = sentence.tokens[due.range.clone()]
        .iter()
        .map(|token| token.text.as_str())
        .filter(|text| !text.is_empty())
        .collect();
    words.join(" ")
}

/// The words of a text that tell it from others, cut to a stem of six letters, as sorted hashes: comparing a new
/// item with all the others is what a long meeting does most.
#[derive(Debug)]
struct Words(Vec<u64>);

impl Words {
    fn of(text: &str) -> Self {
        let mut hashes: Vec<u64> = text
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_lowercase)
            .filter(|word| word.chars().count() > 1 && !SMALL_WORDS.contains(&word.as_str()))
            .map(|word| {
                let mut hasher = DefaultHasher::new();
                word.chars().take(6).for_each(|c| c.hash(&mut hasher));
                hasher.finish()
            })
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// How many words both have.
    fn common(&self, other: &Self) -> usize {
        self.0.iter().filter(|word| other.0.binary_search(word).is_ok()).count()
    }
}

/// Items kept; the oldest declined one, else the oldest, is forgotten. Nobody reads a list longer than this.
const KEPT: usize = 512;

/// Evidence kept per item; the first always stays.
const EVIDENCE_KEPT: usize = 8;

/// How long after an item was spoken of "yes" and "by Friday" still mean it.
const RECENT: std::time::Duration = std::time::Duration::from_secs(20);

#[rustfmt::skip]
const SMALL_WORDS: &[&str] = &[
    "the", "an", "to", "of", "for", "and", "or", "it", "that", "this", "you", "me", "us", "them", "my", "your", "our",
    "in", "on", "at", "with", "be", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "und", "oder",
    "es", "mir", "dir", "uns", "ihnen", "euch", "mich", "sich", "an", "am", "im", "zu", "zum", "zur", "mit", "für",
    "von", "auf", "noch", "auch", "mal",
];

/// What may stand beside a date that dates an earlier item.
#[rustfmt::skip]
const AROUND_A_DATE: &[&str] = &[
    "please", "bitte", "is", "it", "that", "fine", "then", "latest", "at", "the", "if", "possible", "okay", "ok",
    "say", "let", "us", "so", "and", "ideally", "due", "deadline", "would", "be", "good", "great", "best", "i",
    "need", "well", "yes", "um", "uh", "also", "ja", "und", "zwar", "wenn", "möglich", "am", "besten", "dann", "gut",
    "reicht", "wäre", "ist", "das", "brauche", "ich", "es", "bräuchte", "frist", "die", "spätestens", "äh", "ähm",
    "sagen", "wir", "in", "ordnung", "enough", "should", "by", "until", "works", "passt", "mir", "for", "me",
    "perfect", "schön", "super",
];
