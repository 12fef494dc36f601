//! Sessions, line by line: what the client says, what happens, and what both are told.

use asr::event::Word;
use bot::{
    event::{RoomEvent, Segment},
    turn::{EndWhy, Ended, Shape},
};
use media::time::Span;
use tts::voice::Language;

use super::*;
use crate::{clock::Clock, dialect::openai_realtime::command::Said};

const CALLER: ParticipantId = ParticipantId(2);

struct World {
    story: Story,
    now: Instant,
}

impl World {
    fn new(kind: Kind) -> Self {
        let session = Session::new("sess_1".to_owned(), kind, "gpt-realtime");
        let story = Story::new(session, &[], String::new());
        Self { story, now: Instant::from_std(Clock.now()) }
    }

    /// A conversation that has begun with this session.
    fn begun(update: Value) -> Self {
        let mut world = Self::new(Kind::Realtime);
        world.story.obey(None, Command::Update { session: update });
        world.story.begin(CALLER);
        world.drain();
        world
    }

    fn says(&mut self, message: Value) -> Vec<Value> {
        let said = Said::read(&message.to_string()).map_err(|(_, refused)| refused).unwrap();
        self.story.obey(said.event_id.as_deref(), said.command);
        self.told()
    }

    fn notices(&mut self, notice: Notice) -> Vec<Value> {
        self.story.notices(notice, self.now);
        self.told()
    }

    fn told(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.story.told()).collect()
    }

    fn wants(&mut self) -> Vec<Want> {
        std::iter::from_fn(|| self.story.wants()).collect()
    }

    fn drain(&mut self) {
        self.told();
        self.wants();
    }

    /// What the agent is told, in words.
    fn inputs(&mut self) -> Vec<String> {
        let inputs = self.wants().into_iter().filter_map(|want| match want {
            Want::Tell(input) => Some(format!("{input:?}")),
            Want::Deliver(_) | Want::Change(..) | Want::Expect(..) => None,
        });
        inputs.collect()
    }

    fn expire(&mut self) -> Vec<Value> {
        self.now = self.story.due().expect("something is due");
        self.story.expire(self.now);
        self.told()
    }
}

fn types(told: &[Value]) -> Vec<&str> {
    told.iter().filter_map(|event| event["type"].as_str()).collect()
}

fn ended(turn: u64) -> Notice {
    let ended = Ended {
        said: "Is it open?".into(),
        language: None,
        why: EndWhy::Silence,
        probability: None,
        shape: Shape::Whole,
        at: MediaTime::ZERO,
        silence: Duration::ZERO,
    };
    Notice::TurnEnded { turn: TurnId(turn), ended, was_prepared: false }
}

fn spoke(turn: u64, text: &str) -> Notice {
    Notice::BotSpoke { turn: TurnId(turn), heard: text.into(), language: Language::ENGLISH_US, took: Duration::ZERO }
}

fn interrupted(turn: u64, text: &str) -> Notice {
    let (heard, unheard, after) = (text.into(), "the rest".into(), Duration::ZERO);
    Notice::BotInterrupted { turn: TurnId(turn), heard, unheard, after }
}

#[test]
fn an_answer_to_somebody_who_spoke_ends_when_its_last_sound_was_sent() {
    let mut world = World::begun(json!({}));
    assert_eq!(types(&world.notices(ended(1))), ["response.created"]);
    world.story.says(TurnId(1), "Until six.");
    assert!(world.story.is_speaking());
    world.story.has_used(Usage { input_tokens: 3, output_tokens: 2 });
    world.drain();
    assert!(world.notices(spoke(1, "Until six.")).is_empty(), "sound is on its way");
    world.story.sounds("AAAA".to_owned(), 20);
    assert_eq!(types(&world.told()), ["response.output_audio.delta"]);
    let told = world.expire();
    let done = told.last().unwrap();
    assert_eq!((&done["type"], &done["response"]["status"]), (&json!("response.done"), &json!("completed")));
    assert_eq!(done["response"]["usage"]["total_tokens"], 5);
    assert!(world.inputs().is_empty(), "nobody asked for anything");
}

#[test]
fn a_silence_that_lasts_is_told_with_its_span_and_is_an_item_without_words() {
    let detection = json!({"type": "server_vad", "idle_timeout_ms": 6_000});
    let mut world = World::begun(json!({"audio": {"input": {"turn_detection": detection}}}));
    let event =
        RoomEvent::SpeechEnded { participant: ParticipantId(9), utterance: 0, end: MediaTime::from_millis(9_500) };
    world.story.hear(&Published { v: 1, seq: 1, at: MediaTime::from_millis(9_500), event });
    let told = world.notices(Notice::Idle { before: 0 });
    assert_eq!(
        types(&told),
        [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
    );
    assert_eq!((&told[0]["audio_start_ms"], &told[0]["audio_end_ms"]), (&json!(3_500), &json!(9_500)));
    for event in &told[..2] {
        assert_eq!(event["item_id"], told[2]["item"]["id"]);
    }
    assert_eq!(told[3]["item"]["content"][0]["transcript"], Value::Null);
    // A silence that began before the room did is as long as the room.
    let mut world = World::begun(json!({"audio": {"input": {"turn_detection": detection}}}));
    assert_eq!(world.notices(Notice::Idle { before: 0 })[0]["audio_start_ms"], 0);
}

#[test]
fn a_new_turn_ends_the_last_one_at_once() {
    let mut world = World::begun(json!({}));
    world.notices(ended(1));
    world.story.says(TurnId(1), "Yes.");
    world.notices(spoke(1, "Yes."));
    assert_eq!(types(&world.notices(ended(2))).last(), Some(&"response.created"));
    assert_eq!(world.story.due(), None);
    // What comes late of a turn that is over is nobody's.
    world.story.says(TurnId(1), "And more.");
    assert!(world.told().is_empty());
}

#[test]
fn an_answer_that_was_asked_for_and_that_nobody_could_say_has_failed() {
    let mut world = World::begun(json!({}));
    world.says(json!({"type": "response.create"}));
    world.story.says(TurnId(1), "Until six.");
    let why = "the voice failed".to_owned();
    world.notices(Notice::Trouble { turn: TurnId(1), why, after: Duration::ZERO });
    let done = world.notices(spoke(1, "")).pop().unwrap();
    assert_eq!(done["response"]["status"], "failed");
    assert_eq!(done["response"]["status_details"]["error"]["message"], "the voice failed");
}

#[test]
fn whoever_speaks_over_an_answer_and_whoever_stops_it_are_told_apart() {
    let mut world = World::begun(json!({}));
    world.notices(ended(1));
    world.story.says(TurnId(1), "Once upon a time.");
    let done = world.notices(interrupted(1, "Once")).pop().unwrap();
    assert_eq!(done["response"]["status_details"]["reason"], "turn_detected");
    world.notices(ended(2));
    world.story.says(TurnId(2), "Once upon a time.");
    world.drain();
    assert_eq!(
        world.says(json!({"type": "response.cancel", "response_id": "another"}))[0]["error"]["code"],
        "response_cancel_not_active"
    );
    assert!(world.says(json!({"type": "response.cancel"})).is_empty());
    // Another answer waits until the stopped one has ended.
    assert!(world.says(json!({"type": "response.create"})).is_empty());
    assert_eq!(world.inputs(), ["Stop"]);
    let told = world.notices(interrupted(2, "Once upon"));
    let done = told.iter().find(|event| event["type"] == "response.done").unwrap();
    assert_eq!(done["response"]["status_details"]["reason"], "client_cancelled");
    assert_eq!((types(&told).last(), world.inputs()), (Some(&"response.created"), vec!["Respond".to_owned()]));
    assert_eq!(
        world.says(json!({"type": "response.create"}))[0]["error"]["code"],
        "conversation_already_has_active_response"
    );
}

#[test]
fn a_written_question_waits_for_whoever_asks_for_its_answer() {
    let mut world = World::begun(json!({"output_modalities": ["text"]}));
    let item = json!({
        "type": "message", "role": "user", "id": "q", "content": [{"type": "input_text", "text": "Is it open?"}],
    });
    let told = world.says(json!({"type": "conversation.item.create", "item": item}));
    assert_eq!(types(&told), ["conversation.item.added", "conversation.item.done"]);
    assert_eq!(world.inputs(), ["Recall"]);
    let asked = json!({"type": "response.create", "response": {"metadata": {"a": "b"}}});
    assert_eq!(types(&world.says(asked)), ["response.created"]);
    assert_eq!(world.inputs(), ["Respond"]);
    world.story.says(TurnId(1), "Until six.");
    let told = world.notices(spoke(1, "Until six."));
    assert!(!types(&told).iter().any(|kind| kind.contains("audio")), "{told:?}");
    assert_eq!(told.last().unwrap()["response"]["metadata"], json!({"a": "b"}));
    let retrieved = world.says(json!({"type": "conversation.item.retrieve", "item_id": "q"}));
    assert_eq!(retrieved[0]["item"]["content"][0]["text"], "Is it open?");
    world.says(json!({"type": "conversation.item.delete", "item_id": "q"}));
    assert_eq!(world.inputs(), ["Past(1 messages)"]);
    let gone = world.says(json!({"type": "conversation.item.retrieve", "item_id": "q", "event_id": "mine"}));
    assert_eq!((&gone[0]["error"]["code"], &gone[0]["error"]["event_id"]), (&json!("item_not_found"), &json!("mine")));
}

#[test]
fn an_answer_may_be_unlike_the_session_and_the_next_is_like_it_again() {
    let mut world = World::begun(json!({"instructions": "Be polite."}));
    world
        .says(json!({"type": "response.create", "response": {"instructions": "Sing.", "output_modalities": ["text"]}}));
    let instructions = |wants: &[Want]| {
        let changes = wants.iter().filter_map(|want| match want {
            Want::Change(persona, _) => Some(persona.instructions.clone()),
            _ => None,
        });
        changes.collect::<Vec<_>>()
    };
    let wants = world.wants();
    assert_eq!(instructions(&wants), ["Sing."]);
    assert!(wants.iter().any(|want| matches!(want, Want::Deliver(Delivery::Written))));
    world.story.says(TurnId(1), "La la.");
    world.notices(spoke(1, "La la."));
    let wants = world.wants();
    assert_eq!(instructions(&wants), ["Be polite."]);
    assert!(wants.iter().any(|want| matches!(want, Want::Deliver(Delivery::Told))));
}

#[test]
fn the_output_of_a_function_is_told_when_its_answer_is_over_and_before_the_next() {
    let mut world = World::begun(json!({}));
    world.notices(ended(1));
    world.story.says(TurnId(1), "One moment.");
    world.story.calls_function("c1".to_owned(), "stock".to_owned(), "{}".to_owned());
    world.drain();
    let output = json!({"type": "function_call_output", "call_id": "c1", "output": "7"});
    world.says(json!({"type": "conversation.item.create", "item": output}));
    assert!(world.says(json!({"type": "response.create"})).is_empty());
    assert!(world.inputs().is_empty(), "the answer is still being said");
    world.notices(spoke(1, "One moment."));
    assert_eq!(types(&world.expire()).last(), Some(&"response.created"));
    assert_eq!(world.inputs(), ["ToolDone(is_error: false)", "Respond"]);
    let unknown = json!({"type": "function_call_output", "call_id": "c9", "output": "7"});
    let told = world.says(json!({"type": "conversation.item.create", "item": unknown}));
    assert_eq!(told[0]["error"]["param"], "item.call_id");
}

#[test]
fn what_was_committed_is_answered_once_its_words_are_there() {
    let mut world = World::begun(json!({"audio": {"input": {"turn_detection": null, "transcription": {}}}}));
    world.story.commit(Some("mine"), 1, 1);
    assert_eq!(world.told()[0]["error"]["code"], "input_audio_buffer_commit_empty");
    world.story.commit(None, 1_000, 2);
    world.drain();
    assert_eq!(types(&world.says(json!({"type": "response.create"}))), ["response.created"]);
    assert!(world.inputs().is_empty(), "its words are to come");
    world.story.heard(2, world.now);
    let span = Span::default();
    let words = vec![Word { text: "Hello".to_owned(), span, confidence: 0.9 }];
    let (text, speaker) = ("Hello".to_owned(), "".into());
    let segment =
        Segment { participant: CALLER, speaker, utterance: 0, text, words, span, language: None, voices: Vec::new() };
    let event = RoomEvent::TranscriptFinal { segment: segment.into() };
    world.story.hear(&Published { v: 1, seq: 1, at: MediaTime::ZERO, event });
    assert_eq!(world.told().last().unwrap()["transcript"], "Hello");
    assert_eq!(world.inputs(), ["Respond"]);
}

#[test]
fn of_what_was_spoken_a_part_may_have_been_heard() {
    let mut world = World::begun(json!({}));
    world.notices(ended(1));
    world.story.says(TurnId(1), "one two three four");
    world.story.sounds("AAAA".to_owned(), 1_000);
    world.notices(spoke(1, "one two three four"));
    let done = world.expire().pop().unwrap();
    let id = done["response"]["output"][0]["id"].clone();
    let truncate =
        |ms: u64| json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0, "audio_end_ms": ms});
    assert_eq!(world.says(truncate(1_001))[0]["error"]["param"], "audio_end_ms");
    assert_eq!(types(&world.says(truncate(500))), ["conversation.item.truncated"]);
    assert_eq!(world.inputs(), ["Past(1 messages)"]);
    let item = world.says(json!({"type": "conversation.item.retrieve", "item_id": id}));
    assert_eq!(item[0]["item"]["content"][0]["transcript"], "one two");
}

#[test]
fn what_sounds_over_a_track_is_told_of_and_cut_by_clearing_it() {
    let session = Session::new("sess_1".to_owned(), Kind::Realtime, "gpt-realtime").over_track();
    let mut world = World { story: Story::new(session, &[], String::new()), now: Instant::from_std(Clock.now()) };
    world.story.begin(CALLER);
    world.drain();
    assert!(world.says(json!({"type": "output_audio_buffer.clear"})).is_empty(), "nothing sounds");
    world.notices(ended(1));
    world.story.says(TurnId(1), "one two three four");
    world.drain();
    let speaking = Notice::BotSpeaking { turn: TurnId(1), after: Duration::ZERO, is_filler: false };
    assert_eq!(types(&world.notices(speaking)), ["output_audio_buffer.started"]);
    assert!(world.says(json!({"type": "output_audio_buffer.clear"})).is_empty());
    assert_eq!(world.inputs(), ["Stop"]);
    let told = world.notices(interrupted(1, "one"));
    assert_eq!(types(&told)[told.len() - 2..], ["response.done", "output_audio_buffer.cleared"]);
    let details = &told[told.len() - 2]["response"]["status_details"];
    assert_eq!(details["reason"], "client_cancelled");
}

#[test]
fn what_systems_write_belongs_to_the_instructions() {
    let mut world = World::begun(json!({"instructions": "Be polite."}));
    let item = json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "It is late."}]});
    world.says(json!({"type": "conversation.item.create", "item": item}));
    let wants = world.wants();
    let changed = wants.iter().find_map(|want| match want {
        Want::Change(persona, _) => Some(persona.instructions.as_str()),
        _ => None,
    });
    assert_eq!(changed, Some("Be polite.\nIt is late."));
}

#[test]
fn whoever_only_writes_down_answers_nobody() {
    let mut world = World::new(Kind::Transcription);
    assert_eq!(world.told()[0]["session"]["type"], "transcription");
    world.story.begin(CALLER);
    for message in [json!({"type": "response.create"}), json!({"type": "response.cancel"})] {
        assert_eq!(world.says(message)[0]["error"]["code"], "unsupported_event");
    }
    assert_eq!(world.says(json!({"type": "output_audio_buffer.clear"}))[0]["error"]["param"], "type");
    assert!(world.inputs().is_empty());
}
