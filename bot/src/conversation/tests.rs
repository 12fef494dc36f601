//! A line that several people share, from what the ears tell apart to what is to be done.

use asr::event::{VoiceRun, Word};
use jiff::civil::date;

use super::*;
use crate::room::Limits;

const NOW: MediaTime = MediaTime::from_millis(60_000);

/// What happens on the line.
enum Step {
    Said(u64, &'static [(&'static str, Option<u16>)]),
    Relabelled(u64, &'static [(usize, Option<u16>)]),
    Named(u16, &'static str),
}

struct Table {
    conversation: Conversation,
    room: Mutex<Room>,
    line: ParticipantId,
}

impl Table {
    /// A room microphone that knows Mia's voice.
    fn new() -> Self {
        let mut conversation = Conversation::new(date(2026, 3, 4), None);
        let room = Mutex::new(Room::new(Limits::default()));
        let newcomer = Newcomer { known_voices: vec!["Mia".to_owned()], ..Newcomer::from("Board room") };
        // As a journal has it.
        let newcomer = serde_json::from_slice(&json(&newcomer)).unwrap();
        let line = conversation.join(&room, newcomer, NOW).unwrap();
        Self { conversation, room, line }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Said(utterance, runs) => {
                let mut words = Vec::new();
                let mut voices = Vec::new();
                for (text, voice) in *runs {
                    let before = words.len();
                    for text in text.split(' ') {
                        let start = MediaTime::from_millis(300 * words.len() as u64);
                        let span = Span::new(start, start + std::time::Duration::from_millis(280));
                        words.push(Word { text: text.to_owned(), span, confidence: 0.9 });
                    }
                    let voice = voice.map(VoiceId);
                    voices.push(VoiceRun { words: words.len() - before, voice, confidence: 0.9 });
                }
                let span = Span::new(words[0].span.start, words[words.len() - 1].span.end);
                let (utterance, language) = (UtteranceId(*utterance), Some("en".to_owned()));
                let event = Event::Final { utterance, words, span, cut: Cut::Pause, language, voices };
                self.conversation.hear(&self.room, self.line, event, NOW);
            }
            Step::Relabelled(utterance, runs) => {
                let voices = voices(runs);
                let event = Event::Relabelled { utterance: UtteranceId(*utterance), voices };
                self.conversation.hear(&self.room, self.line, event, NOW);
            }
            Step::Named(voice, name) => {
                self.conversation.name_speaker(&self.room, self.line, VoiceId(*voice), (*name).to_owned(), NOW);
            }
        }
    }

    fn owners(&self) -> Vec<Option<String>> {
        lock(&self.room).actions().iter().map(|item| item.owner.clone()).collect()
    }

    /// Every event as it goes over the wire.
    fn events(&self) -> Vec<serde_json::Value> {
        let room = lock(&self.room);
        room.read(0, usize::MAX).unwrap().iter().map(|entry| serde_json::to_value(&**entry).unwrap()).collect()
    }
}

fn voices(runs: &[(usize, Option<u16>)]) -> Vec<VoiceRun> {
    let run = |&(words, voice): &(usize, Option<u16>)| VoiceRun { words, voice: voice.map(VoiceId), confidence: 0.9 };
    runs.iter().map(run).collect()
}

const PROMISE: Step = Step::Said(0, &[("We are late today.", Some(1)), ("I will send the report tomorrow.", Some(0))]);

#[test]
fn whoever_said_i_owns_the_work_and_stays_its_owner_under_a_better_label_and_name() {
    let mut table = Table::new();
    table.take(&PROMISE);
    assert_eq!(table.owners(), [Some("Mia".to_owned())]);
    table.take(&Step::Relabelled(0, &[(10, Some(1))]));
    assert_eq!(table.owners(), [Some("Board room, voice 1".to_owned())]);
    table.take(&Step::Named(1, "Jonas"));
    assert_eq!(table.owners(), [Some("Jonas".to_owned())]);
    let updates = table.events().iter().filter(|event| event["type"] == "action_item.updated").count();
    assert_eq!(updates, 2, "{:?}", table.events());
}

#[test]
fn a_name_that_two_had_is_taken_from_one_of_them_alone() {
    let mut table = Table::new();
    table.take(&Step::Said(0, &[("I will send the report tomorrow.", Some(1))]));
    table.take(&Step::Said(1, &[("I will send the invoice tomorrow.", Some(2))]));
    table.take(&Step::Named(1, "Jonas"));
    table.take(&Step::Named(2, "Jonas"));
    assert_eq!(table.owners(), [Some("Jonas".to_owned()), Some("Jonas".to_owned())]);
    table.take(&Step::Named(2, "Peter"));
    assert_eq!(table.owners(), [Some("Jonas".to_owned()), Some("Peter".to_owned())]);
}

#[test]
fn an_unknown_voice_makes_nobody_elses_promise() {
    let mut table = Table::new();
    table.take(&Step::Said(0, &[("I will send the report tomorrow.", None)]));
    assert_eq!(table.owners(), [Some("Board room".to_owned())], "the line is all that is known");
}

#[test]
fn whoever_goes_on_after_a_question_is_no_answer_to_themselves_once_their_voice_is_known() {
    let mut table = Table::new();
    table.take(&Step::Said(0, &[("How much does the licence cost?", None)]));
    table.take(&Step::Relabelled(0, &[(6, Some(1))]));
    table.take(&Step::Said(1, &[("It was cheap in the past.", Some(1))]));
    let answered = |table: &Table| lock(&table.room).questions().iter().map(|it| it.answered).collect::<Vec<_>>();
    assert_eq!(answered(&table), [false]);
    table.take(&Step::Said(2, &[("It costs two hundred euros a year.", Some(0))]));
    assert_eq!(answered(&table), [true]);
}

#[test]
fn a_name_that_is_said_is_offered_once_and_given_to_nobody() {
    let mut table = Table::new();
    table.take(&Step::Said(0, &[("Hello, this is Jonas.", Some(1))]));
    table.take(&Step::Said(1, &[("Hello, this is Jonas.", Some(1)), ("And this is Peter.", Some(0))]));
    let events = table.events();
    let offered: Vec<_> = events.iter().filter(|event| event["type"] == "speaker.suggested").collect();
    assert_eq!(offered.len(), 1, "{offered:?}");
    let offered = offered[0];
    assert_eq!((&offered["speaker"], &offered["name"]), (&"p1.2".into(), &"Jonas".into()));
    assert_eq!((&offered["quote"], &offered["utterance"]), (&"this is Jonas.".into(), &0.into()));
    let names: Vec<String> =
        lock(&table.room).transcript().iter().flat_map(|it| it.by_speaker()).map(|it| it.speaker.to_string()).collect();
    assert_eq!(names, ["Board room, voice 1", "Board room, voice 1", "Mia"]);
}

#[test]
fn a_room_that_is_told_the_same_again_says_the_same_again() {
    let steps = [
        PROMISE,
        Step::Said(1, &[("Hello, this is Jonas.", Some(1))]),
        Step::Relabelled(0, &[(10, Some(1))]),
        Step::Relabelled(0, &[(4, Some(1)), (6, Some(2))]),
        Step::Named(1, "Jonas"),
        Step::Named(9, "Nobody"),
        Step::Relabelled(1, &[(4, None)]),
    ];
    let (mut one, mut other) = (Table::new(), Table::new());
    for table in [&mut one, &mut other] {
        steps.iter().for_each(|step| table.take(step));
    }
    assert!(one.events().len() > steps.len(), "{:?}", one.events());
    assert_eq!(one.events(), other.events());
}

#[test]
fn what_puts_an_utterance_right_is_told_apart_in_a_journal_by_its_number() {
    let mut conversation = Conversation::new(date(2026, 3, 4), None);
    let relabelled = |utterance| Event::Relabelled { utterance: UtteranceId(utterance), voices: Vec::new() };
    let mut name = |utterance| conversation.name_of(ParticipantId(1), &relabelled(utterance));
    assert_eq!(name(4), Key::Relabelled { utterance: 4, count: 1 });
    assert_eq!(name(5), Key::Relabelled { utterance: 5, count: 1 });
    assert_eq!(name(4), Key::Relabelled { utterance: 4, count: 2 });
    let named = What::Name { participant: 1, voice: 2, name: "Jonas".to_owned() };
    assert_eq!(serde_json::from_slice::<What>(&json(&named)).unwrap(), named);
}
