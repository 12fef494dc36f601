//! A conversation for tests of the brain: lines of text become words with times, outputs are gathered.

use asr::event::{Cut, UtteranceId, Word};
use bot::brain::{ActionItem, Brain, Config, Decision, Heard, Input, Output, Question};
use jiff::civil::{Date, date};
use media::{
    id::ParticipantId,
    time::{MediaTime, Span},
};

/// The day all test calls take place: a Wednesday.
pub(crate) const CALL_DATE: Date = date(2026, 3, 4);

/// Those in the room, with the ids 1, 2, 3.
pub(crate) const PEOPLE: [&str; 3] = ["Kim", "Anna Weber", "Tom"];

/// A brain, and how far its room's time has come.
pub(crate) struct Conversation {
    pub(crate) brain: Brain,
    pub(crate) now_ms: u64,
    utterances: u64,
}

impl Conversation {
    /// Kim, Anna and Tom are in the room.
    pub(crate) fn of_three() -> Self {
        let mut conversation = Self::empty();
        for (at, name) in PEOPLE.iter().enumerate() {
            let joined = Input::Joined { participant: ParticipantId(at as u64 + 1), name: Some((*name).to_owned()) };
            conversation.brain.handle(joined, MediaTime::ZERO);
        }
        conversation
    }

    /// Nobody is in the room yet.
    pub(crate) fn empty() -> Self {
        Self { brain: Brain::new(Config::new(CALL_DATE)), now_ms: 0, utterances: 0 }
    }

    /// `speaker` (a name of [`PEOPLE`]) says `text` in one final; 300 ms a word, then a pause of 500 ms.
    pub(crate) fn say(&mut self, speaker: &str, text: &str, language: Option<&str>) -> Vec<Output> {
        self.say_cut(speaker, text, language, Cut::Pause)
    }

    /// The same, with a reason why the final ends.
    pub(crate) fn say_cut(&mut self, speaker: &str, text: &str, language: Option<&str>, cut: Cut) -> Vec<Output> {
        let participant =
            PEOPLE.iter().position(|name| name.starts_with(speaker)).map(|at| ParticipantId(at as u64 + 1));
        let words = words(text, self.now_ms);
        self.now_ms += 300 * words.len() as u64 + 500;
        let utterance = UtteranceId(self.utterances);
        self.utterances += 1;
        let speaker = participant.is_none().then(|| speaker.to_owned()).filter(|name| !name.is_empty());
        let heard = Heard { participant, utterance, speaker, words, cut, language: language.map(str::to_owned) };
        self.brain.handle(Input::Heard(heard), MediaTime::from_millis(self.now_ms));
        self.drain()
    }

    /// The conversation is over.
    pub(crate) fn end(&mut self) -> Vec<Output> {
        self.brain.handle(Input::Ended, MediaTime::from_millis(self.now_ms));
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.brain.poll()).collect()
    }
}

/// The words of `text` from `start_ms` on, 300 ms each.
pub(crate) fn words(text: &str, start_ms: u64) -> Vec<Word> {
    let word = |(at, text): (usize, &str)| {
        let start = start_ms + 300 * at as u64;
        let span = Span::new(MediaTime::from_millis(start), MediaTime::from_millis(start + 280));
        Word { text: text.to_owned(), span, confidence: 0.9 }
    };
    text.split_whitespace().enumerate().map(word).collect()
}

/// The latest revision of each action item among `outputs`.
pub(crate) fn items(outputs: &[Output]) -> Vec<ActionItem> {
    let mut items: Vec<ActionItem> = Vec::new();
    for output in outputs {
        if let Output::Note(item) = output {
            items.retain(|known| known.id != item.id);
            items.push(item.clone());
        }
    }
    items
}

/// The decisions among `outputs`.
pub(crate) fn decisions(outputs: &[Output]) -> Vec<Decision> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Decided(decision) = output { Some(decision.clone()) } else { None })
        .collect()
}

/// The questions among `outputs`.
pub(crate) fn questions(outputs: &[Output]) -> Vec<Question> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Asked(question) = output { Some(question.clone()) } else { None })
        .collect()
}

/// The lines of a table that are neither empty nor comments, cut at tabs.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect()
}
