//! The local brain: finds action items, decisions and questions in what is said, and sums a conversation up.
//!
//! A pure state machine in German and English, made of rules that a linguist can read; no model, no network,
//! no clock. [`Brain::handle`] takes what happened and when; drain [`Brain::poll`] after every call. Finals go
//! in as they arrive and everything found comes out at once, later improved under the same id. What was said
//! is data: no sentence changes how the brain works.
//!
//! Memory is bounded for a meeting of any length. When full, the oldest closed questions, the oldest items
//! that were declined, then the oldest of their kind are forgotten; the summary keeps its best candidates per
//! stretch of time and the most frequent terms. What was already handed out stays with whoever took it.

mod action;
mod attribution;
mod date;
mod decision;
mod english;
mod found;
mod german;
mod introduction;
mod language;
mod ledger;
mod names;
mod number;
mod question;
mod reply;
mod sentence;
mod summary;
mod tokens;

use std::collections::VecDeque;

use asr::event::{Cut, UtteranceId, Word};
use jiff::civil::Date;
use media::{
    id::ParticipantId,
    time::{MediaTime, Span},
};
use serde::Serialize;

pub use action::{ActionItem, ItemId, Owner, Standing};
pub use attribution::{Attributed, Renamed, Stretch};
pub use decision::{Decision, DecisionId};
pub use introduction::Introduction;
pub use language::Language;
pub use question::{Question, QuestionId};
pub use summary::{Summary, SummarySentence};

use decision::Decisions;
use ledger::Ledger;
use names::Names;
use question::Questions;
use sentence::{Sentence, Speaker};
use summary::Summarizer;
use tokens::Token;

/// What a brain has to know before the first word.
#[derive(Clone, Debug)]
pub struct Config {
    /// The local date on which the call began; "tomorrow" is the day after it.
    pub call_date: Date,
    /// The language of finals that neither say theirs nor show it.
    pub language: Language,
    /// How many sentences a summary quotes at most.
    pub summary_sentences: usize,
}

impl Config {
    /// English unless the words say otherwise, eight sentences of summary.
    pub fn new(call_date: Date) -> Self {
        Self { call_date, language: Language::English, summary_sentences: 8 }
    }
}

/// What a brain is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody finished an utterance.
    Heard(Heard),
    /// Somebody came in, or changed their name.
    Joined {
        /// Who.
        participant: ParticipantId,
        /// What they are called.
        name: Option<String>,
    },
    /// It is known better who said the words of an utterance.
    Attributed(Attributed),
    /// One of several speakers on a stream is called otherwise from now on, and in all that was found.
    Renamed(Renamed),
    /// Somebody went. Their name still resolves.
    Left {
        /// Who.
        participant: ParticipantId,
    },
    /// The conversation is over: what was held back is read, and the summary is given.
    Ended,
}

/// The settled words of one utterance.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whose stream it was heard on.
    pub participant: Option<ParticipantId>,
    /// Which utterance of that stream.
    pub utterance: UtteranceId,
    /// Who spoke, where that is known; wins over the participant's name.
    pub speaker: Option<String>,
    /// All its words, on the room's timeline.
    pub words: Vec<Word>,
    /// Why the final was closed; after [`Cut::Length`] the sentence may go on in the next.
    pub cut: Cut,
    /// The language as the recognizer knows it, such as `en` or `de-DE`.
    pub language: Option<String>,
}

/// What a brain says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// An action item, new (`revision` 1) or changed.
    Note(ActionItem),
    /// A decision.
    Decided(Decision),
    /// A question, new (`answer` is none) or answered.
    Asked(Question),
    /// The summary of the whole conversation, after [`Input::Ended`].
    Summarised(Summary),
}

/// The words that something rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Whose stream they were heard on.
    pub participant: Option<ParticipantId>,
    /// The utterance of that stream in which they begin.
    pub utterance: UtteranceId,
    /// From the beginning of the first word to the end of the last.
    pub span: Span,
}

/// The local brain of one conversation. See the module for what it does.
#[derive(Debug)]
pub struct Brain {
    config: Config,
    names: Names,
    /// Sentences that a final broke off, by speaker, waiting for the next final.
    held: VecDeque<Held>,
    ledger: Ledger,
    decisions: Decisions,
    questions: Questions,
    summarizer: Summarizer,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Held {
    speaker: Speaker,
    language: Language,
    tokens: Vec<Token>,
    since: MediaTime,
}

impl Brain {
    /// A brain that has heard nothing.
    pub fn new(config: Config) -> Self {
        Self {
            names: Names::default(),
            held: VecDeque::new(),
            ledger: Ledger::default(),
            decisions: Decisions::default(),
            questions: Questions::default(),
            summarizer: Summarizer::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes in what happened at `now`. Drain [`Brain::poll`] afterwards.
    pub fn handle(&mut self, input: Input, now: MediaTime) {
        self.release_held(|held| now.since(held.since) > HOLD);
        match input {
            Input::Heard(heard) => self.on_heard(heard, now),
            Input::Joined { participant, name } => self.names.joined(participant, name),
            Input::Attributed(attributed) => self.on_attributed(&attributed),
            Input::Renamed(renamed) => self.on_renamed(&renamed),
            Input::Left { participant } => {
                self.release_held(|held| held.speaker.participant == Some(participant));
                self.names.left(participant);
            }
            Input::Ended => {
                self.release_held(|_| true);
                let summary = self.summary();
                self.outputs.push_back(Output::Summarised(summary));
            }
        }
    }

    /// What was found, in order; none when there is no more.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The summary of what was heard so far.
    pub fn summary(&self) -> Summary {
        Summary {
            participants: self.names.all().to_vec(),
            sentences: self.summarizer.best(self.config.summary_sentences),
            decisions: self.decisions.all().cloned().collect(),
            actions: self.ledger.items().filter(|item| item.standing != Standing::Declined).cloned().collect(),
            open_questions: self.questions.open().cloned().collect(),
        }
    }

    fn on_heard(&mut self, heard: Heard, now: MediaTime) {
        let name = heard.speaker.or_else(|| self.names.of(heard.participant?).map(str::to_owned));
        if let Some(name) = &name {
            self.names.saw(name);
        }
        let speaker = Speaker { participant: heard.participant, name };
        let mut tokens = tokens::of(&heard.words, heard.utterance);
        if tokens.is_empty() {
            return;
        }
        let hint = heard.language.as_deref().and_then(Language::from_tag);
        let mut language = hint.or_else(|| Language::detect(&tokens));
        if let Some(at) = self.held.iter().position(|held| held.speaker.same(&speaker))
            && let Some(held) = self.held.remove(at)
        {
            language = language.or(Some(held.language));
            tokens = held.tokens.into_iter().chain(tokens).collect();
        }
        let language = language.unwrap_or(self.config.language);
        let punctuated = tokens.iter().any(|token| token.stop > tokens::Stop::None);
        let mut sentences = sentence::split(tokens);
        let goes_on = sentences
            .pop_if(|last| last.len() <= LONGEST_HELD && sentence::goes_on(last, heard.cut))
            .map(|tokens| Held { speaker: speaker.clone(), language, tokens, since: now });
        for tokens in sentences {
            self.read(&Sentence { speaker: speaker.clone(), language, tokens, punctuated });
        }
        if let Some(held) = goes_on {
            if self.held.len() >= MOST_HELD {
                self.release_oldest();
            }
            self.held.push_back(held);
        }
    }

    fn on_attributed(&mut self, attributed: &Attributed) {
        for name in attributed.names() {
            self.names.saw(name);
        }
        let line = self.names.of(attributed.participant).map(str::to_owned);
        for held in &mut self.held {
            if let Some(token) = held.tokens.last()
                && let Some(name) = attributed.speaker(held.speaker.participant, token.utterance, token.span)
            {
                held.speaker.name = name.or_else(|| line.clone());
            }
        }
        let said_by = |evidence: &Evidence| {
            let name = attributed.speaker(evidence.participant, evidence.utterance, evidence.span)?;
            Some(name.or_else(|| line.clone()))
        };
        self.decisions.attribute(&said_by);
        self.questions.attribute(&said_by);
        self.summarizer.attribute(&said_by);
        let changed = self.ledger.attribute(attributed.participant, &said_by);
        self.outputs.extend(changed.into_iter().map(Output::Note));
    }

    fn on_renamed(&mut self, renamed: &Renamed) {
        self.names.renamed(&renamed.from, &renamed.to);
        for held in &mut self.held {
            renamed.put_right(held.speaker.participant, &mut held.speaker.name);
        }
        self.decisions.rename(renamed);
        self.questions.rename(renamed);
        self.summarizer.rename(renamed);
        let changed = self.ledger.rename(renamed);
        self.outputs.extend(changed.into_iter().map(Output::Note));
    }

    fn release_held(&mut self, ripe: impl Fn(&Held) -> bool) {
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else { return };
            if ripe(&held) {
                self.read_held(held);
            } else {
                self.held.push_back(held);
            }
        }
    }

    fn release_oldest(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.read_held(held);
        }
    }

    fn read_held(&mut self, held: Held) {
        let Held { speaker, language, tokens, .. } = held;
        let punctuated = tokens.iter().any(|token| token.stop > tokens::Stop::None);
        self.read(&Sentence { speaker, language, tokens, punctuated });
    }

    /// Reads one sentence for everything it may hold.
    fn read(&mut self, sentence: &Sentence) {
        let dates = date::find(&sentence.tokens, sentence.language, self.config.call_date);
        let mut found = match sentence.language {
            Language::English => english::find(sentence, &self.names, &dates),
            Language::German => german::find(sentence, &self.names, &dates),
        };
        let decided = self.decisions.read(sentence);
        if decided.is_some() {
            found.retain(|found| found.subject != found::Subject::Team || found.due.is_some());
        }
        let noted = self.ledger.read(sentence, &found, &dates, &self.names);
        let asked = if found.is_empty() && noted.is_empty() { self.questions.read(sentence) } else { None };
        let answered = if asked.is_none() { self.questions.answered_by(sentence) } else { None };
        self.summarizer.read(sentence, !noted.is_empty(), decided.is_some());
        self.outputs.extend(noted.into_iter().map(Output::Note));
        self.outputs.extend(decided.map(Output::Decided));
        self.outputs.extend(asked.into_iter().chain(answered).map(Output::Asked));
    }
}

/// The first words in which whoever says `words` may say what they are called: "this is Jonas", "mein Name ist …".
pub fn introduced(words: &[Word]) -> Option<Introduction> {
    introduction::find(words)
}

/// The first day that `text` speaks of, seen from `today`: "next Friday", "am 15.", "3/15". What somebody said when
/// asked for a day needs no preposition.
pub fn day_in(text: &str, language: Language, today: Date) -> Option<Date> {
    let by = match language {
        Language::English => "by",
        Language::German => "bis",
    };
    let read = |text: &str| days_in(text, language, today).first().copied();
    read(text).or_else(|| read(&format!("{by} {text}")))
}

/// The days that `text` speaks of without having been asked for one, from left to right: a bare "15" is none.
pub(crate) fn days_in(text: &str, language: Language, today: Date) -> Vec<Date> {
    let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 1.0 };
    let words: Vec<Word> = text.split_whitespace().take(LONGEST_HELD).map(word).collect();
    let tokens = tokens::of(&words, UtteranceId(0));
    date::find(&tokens, language, today).into_iter().map(|found| found.date).collect()
}

/// The number below a hundred, or in up to four digits, that begins at `words[0]`, in small letters, and how many words it
/// takes. A German article counts as one.
pub(crate) fn cardinal(words: &[&str], language: Language) -> Option<(u32, usize)> {
    match language {
        Language::English => number::english_cardinal(words),
        Language::German => number::german_cardinal(words.first()?).map(|number| (number, 1)),
    }
}

/// Whether `word`, in small letters, is a common first name and no other common word.
pub(crate) fn is_first_name(word: &str) -> bool {
    names::is_first_name(word)
}

/// The language whose commonest words are more in `text`; none when they are even.
pub(crate) fn language_in(text: &str) -> Option<Language> {
    let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 1.0 };
    let words: Vec<Word> = text.split_whitespace().take(LONGEST_HELD).map(word).collect();
    Language::detect(&tokens::of(&words, UtteranceId(0)))
}

/// How long a sentence that was broken off waits for the rest. Longer than anybody pauses inside one.
const HOLD: std::time::Duration = std::time::Duration::from_secs(5);

/// A sentence longer than this many tokens is read although it may go on; bounds the cost of a final.
const LONGEST_HELD: usize = 80;

/// How many speakers may be in the middle of a sentence; beyond, the oldest is read as it is.
const MOST_HELD: usize = 64;
