use asr::event::{Cut, UtteranceId, Word};
use media::time::Span;

use super::*;
use crate::persona::TurnSettings;

fn ms(ms: u64) -> MediaTime {
    MediaTime::from_millis(ms)
}

fn words(text: &str) -> Vec<Word> {
    let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 0.9 };
    text.split_whitespace().map(word).collect()
}

/// One caller, the machine, and what it decided, in words.
struct Call {
    turns: Turns,
    utterance: u64,
    log: Vec<String>,
}

impl Call {
    fn new(settings: TurnSettings) -> Self {
        Self { turns: Turns::new(settings, MediaTime::ZERO), utterance: 0, log: Vec::new() }
    }

    fn tell(&mut self, input: Input<'_>, at: u64) {
        // Whatever is due before happens before.
        while let Some(due) = self.turns.due().filter(|due| *due < ms(at)) {
            self.turns.handle(Input::Tick, due);
            self.drain(due);
            assert!(self.turns.due().is_none_or(|next| next > due), "it waits for {due}, which has come");
        }
        self.turns.handle(input, ms(at));
        self.drain(ms(at));
    }

    fn drain(&mut self, now: MediaTime) {
        while let Some(output) = self.turns.poll() {
            let what = match output {
                Output::Prepare { said, .. } => format!("prepare {:?}", said.reveal()),
                Output::Discard => "discard".to_owned(),
                Output::Ended(ended) => format!("ended {:?} {:?}", ended.said.reveal(), ended.why),
                Output::Pause => "pause".to_owned(),
                Output::Resume { why, .. } => format!("resume {why:?}"),
                Output::Interrupt { .. } => "interrupt".to_owned(),
                Output::NotTaken { said, why } => format!("not taken {:?} {why:?}", said.reveal()),
                Output::Idle { before } => format!("idle {before}"),
                Output::GiveUp => "give up".to_owned(),
            };
            self.log.push(format!("{} {what}", now.as_millis()));
        }
    }

    fn speaks(&mut self, at: u64) {
        self.utterance += 1;
        let utterance = UtteranceId(self.utterance);
        self.tell(Input::Ears(&Event::SpeechStarted { utterance, at: ms(at.saturating_sub(64)) }), at);
    }

    fn partial(&mut self, text: &str, at: u64) {
        let utterance = UtteranceId(self.utterance);
        let event =
            Event::Partial { utterance, revision: 1, stable_words: 0, words: words(text), span: Span::default() };
        self.tell(Input::Ears(&event), at);
    }

    fn says(&mut self, text: &str, at: u64) {
        let utterance = UtteranceId(self.utterance);
        let event = Event::Final {
            utterance,
            words: words(text),
            span: Span::default(),
            cut: Cut::Pause,
            language: Some("de".to_owned()),
            voices: Vec::new(),
        };
        self.tell(Input::Ears(&event), at);
    }

    /// Speech that ended 100 ms ago, as a gate tells it.
    fn stops(&mut self, at: u64) {
        let utterance = UtteranceId(self.utterance);
        self.tell(Input::Ears(&Event::SpeechEnded { utterance, at: ms(at - 100) }), at);
    }

    fn score(&mut self, probability: f32, at: u64) {
        self.tell(Input::EndOfTurn { probability }, at);
    }

    fn floor(&mut self, floor: Floor, asked: bool, at: u64) {
        self.tell(Input::Floor { floor, may_interrupt: true, asked }, at);
    }

    fn run(&mut self, until: u64) -> Vec<String> {
        self.tell(Input::Tick, until);
        std::mem::take(&mut self.log)
    }
}

fn quiet() -> TurnSettings {
    TurnSettings { idle_after: Duration::ZERO, ..TurnSettings::default() }
}

/// What is decided of `text`, said from 0 to 1,000, when the model gives `probability`.
fn after(text: &str, probability: Option<f32>) -> Vec<String> {
    let mut call = Call::new(quiet());
    call.speaks(64);
    call.says(text, 1_090);
    call.stops(1_100);
    if let Some(probability) = probability {
        call.score(probability, 1_140);
    }
    call.run(10_000)
}

#[test]
fn a_turn_ends_after_a_silence_that_fits_its_words_and_the_models_score() {
    for (text, probability, decided) in [
        ("Guten Tag.", Some(0.9), vec!["1100 prepare \"Guten Tag.\"", "1200 ended \"Guten Tag.\" Silence"]),
        ("Ich hätte gern", Some(0.0), vec!["1100 prepare \"Ich hätte gern\"", "1900 ended \"Ich hätte gern\" Silence"]),
        ("Ich möchte den", Some(0.3), vec!["2350 ended \"Ich möchte den\" Silence"]),
        ("Meine Nummer ist 0171", Some(0.7), vec!["2800 ended \"Meine Nummer ist 0171\" Silence"]),
        ("I would like to book a", None, vec!["2350 ended \"I would like to book a\" Silence"]),
        ("", None, vec![]),
        ("äh", Some(0.9), vec!["1900 not taken \"äh\" NoWords"]),
    ] {
        assert_eq!(after(text, probability), decided, "{text}");
    }
}

#[test]
fn a_score_that_comes_before_the_gate_closes_counts_for_the_same_pause_only() {
    for (scored, ends) in [(990, 1_200), (400, 1_433)] {
        let mut call = Call::new(quiet());
        call.speaks(64);
        let utterance = UtteranceId(1);
        let event = Event::TurnEnded { utterance, probability: 0.9, at: ms(scored) };
        call.tell(Input::Ears(&event), scored + 60);
        call.says("Guten Tag.", 1_090);
        call.stops(1_100);
        let last = call.run(10_000).pop();
        assert_eq!(last, Some(format!("{ends} ended \"Guten Tag.\" Silence")));
    }
}

#[test]
fn what_was_prepared_is_thrown_away_when_the_caller_goes_on_and_all_of_it_is_one_turn() {
    let mut call = Call::new(quiet());
    call.speaks(64);
    call.says("Ich hätte gern einen Termin", 1_090);
    call.stops(1_100);
    call.speaks(1_400);
    call.says("am Dienstag.", 2_090);
    call.stops(2_100);
    call.score(0.9, 2_150);
    let all = "\"Ich hätte gern einen Termin am Dienstag.\"";
    assert_eq!(
        call.run(10_000),
        [
            "1100 prepare \"Ich hätte gern einen Termin\"".to_owned(),
            "1400 discard".to_owned(),
            format!("2100 prepare {all}"),
            format!("2200 ended {all} Silence"),
        ]
    );
}

#[test]
fn words_over_the_agent_interrupt_it_and_become_a_turn() {
    let mut call = Call::new(quiet());
    call.floor(Floor::Speaking, false, 0);
    call.speaks(1_000);
    call.partial("Geht auch", 1_250);
    assert_eq!(call.run(1_260), ["1000 pause", "1250 interrupt"]);
    call.floor(Floor::Free, false, 1_260);
    call.says("Geht auch Donnerstag?", 2_090);
    call.stops(2_100);
    call.score(0.9, 2_110);
    assert_eq!(
        call.run(9_000),
        ["2100 prepare \"Geht auch Donnerstag?\"", "2200 ended \"Geht auch Donnerstag?\" Silence"]
    );
}

#[test]
fn listening_coughs_echoes_and_short_words_let_the_agent_go_on() {
    /// What was said until when, and what comes of it.
    type Case = (&'static [(&'static str, u64)], &'static [&'static str]);
    let cases: [Case; 5] = [
        // A sign of listening: decided within 300 ms, and not taken when it is over.
        (&[("mhm", 1_200)], &["1000 pause", "1300 resume Backchannel", "1700 not taken \"mhm\" Backchannel"]),
        // A cough is held until it is over.
        (&[("", 1_690)], &["1000 pause", "1700 resume NoWords"]),
        (
            &[("Dienstag oder am", 1_250)],
            &["1000 pause", "1300 resume Echo", "1700 not taken \"Dienstag oder am\" Echo"],
        ),
        // A word that grows into a sentence is an interruption after all.
        (
            &[("ja", 1_100), ("ja aber das stimmt nicht", 1_500)],
            &["1000 pause", "1300 resume Backchannel", "1500 interrupt"],
        ),
        (&[("Donnerstag", 1_200)], &["1000 pause", "1536 interrupt"]),
    ];
    for (said, decided) in cases {
        let mut call = Call::new(quiet());
        call.floor(Floor::Speaking, false, 0);
        call.tell(Input::Audible("Wir haben am Dienstag oder am Mittwoch geöffnet."), 10);
        call.speaks(1_000);
        for (text, at) in said {
            call.partial(text, *at);
        }
        if decided.last().is_some_and(|last| last.contains("interrupt")) {
            assert_eq!(call.run(1_690), decided);
            continue;
        }
        call.says(said.last().map_or("", |(text, _)| text), 1_695);
        call.stops(1_700);
        assert_eq!(call.run(9_000), decided);
    }
}

#[test]
fn a_sound_that_never_becomes_a_word_holds_the_agent_for_a_while_and_no_longer() {
    let mut call = Call::new(quiet());
    call.floor(Floor::Speaking, false, 0);
    call.speaks(1_000);
    assert_eq!(call.run(30_000), ["1000 pause", "2500 resume NoWords"]);
    call.partial("Hallo hören Sie mich", 31_000);
    assert_eq!(call.run(32_000), ["31000 interrupt"]);
}

#[test]
fn a_yes_over_the_end_of_a_question_is_its_answer_and_over_a_statement_is_none() {
    for (asked, decided) in [(true, Some("ended \"ja\" FloorFree")), (false, None)] {
        let mut call = Call::new(quiet());
        call.floor(Floor::Speaking, asked, 0);
        call.speaks(1_000);
        call.partial("ja", 1_200);
        call.says("ja", 1_395);
        call.stops(1_400);
        call.floor(Floor::Free, asked, 2_000);
        let log = call.run(9_000);
        let ended = log.iter().find(|line| line.contains("ended"));
        assert_eq!(ended.map(|line| line.split_once(' ').unwrap().1), decided, "{log:?}");
    }
}

#[test]
fn what_is_said_over_an_agent_that_may_not_be_interrupted_waits_for_its_turn() {
    let mut call = Call::new(quiet());
    call.tell(Input::Floor { floor: Floor::Speaking, may_interrupt: false, asked: false }, 0);
    call.speaks(1_000);
    call.says("Ich brauche Hilfe.", 1_990);
    call.stops(2_000);
    assert!(call.run(5_000).is_empty());
    call.tell(Input::Floor { floor: Floor::Free, may_interrupt: true, asked: true }, 5_000);
    assert_eq!(call.run(5_100), ["5000 ended \"Ich brauche Hilfe.\" FloorFree"]);
}

#[test]
fn a_key_interrupts_at_once() {
    let mut call = Call::new(quiet());
    call.floor(Floor::Speaking, false, 0);
    call.tell(Input::Key, 500);
    assert_eq!(call.run(600), ["500 interrupt"]);
}

#[test]
fn silence_is_asked_about_and_then_given_up() {
    let settings = TurnSettings { idle_after: Duration::from_secs(5), idle_times: 2, ..TurnSettings::default() };
    let mut call = Call::new(settings);
    assert_eq!(call.run(30_000), ["5000 idle 0", "10000 idle 1", "15000 give up"]);
    assert_eq!(call.turns.due(), None);
}

#[test]
fn a_recognizer_that_owes_its_words_and_a_caller_who_never_pauses_are_not_waited_for_for_ever() {
    let mut call = Call::new(quiet());
    call.speaks(64);
    call.partial("Ist da jemand?", 500);
    call.stops(1_000);
    assert_eq!(call.run(9_000), ["2500 ended \"Ist da jemand?\" Overdue"]);
    call.speaks(10_000);
    call.partial("Und dann und dann", 11_000);
    let log = call.run(200_000);
    assert_eq!(log, ["69936 ended \"Und dann und dann\" TooLong"]);
    // The same words come again with the next revision, and are no second turn.
    call.partial("Und dann und dann noch mehr", 200_100);
    call.says("Und dann und dann noch mehr.", 200_900);
    call.stops(201_000);
    let log = call.run(209_000);
    let ended: Vec<_> = log.iter().filter(|line| line.contains("ended")).collect();
    assert!(ended.len() == 1 && ended[0].contains("\"noch mehr.\""), "{log:?}");
}

#[test]
fn a_caller_who_was_cut_off_is_waited_for_longer_the_next_time() {
    let mut call = Call::new(quiet());
    let wait = |call: &mut Call, from: u64| {
        call.speaks(from);
        call.says("Ich hätte gern", from + 900);
        call.stops(from + 1_000);
        let log = call.run(from + 5_000);
        let at: u64 = log.last().unwrap().split_once(' ').unwrap().0.parse().unwrap();
        at - from - 900
    };
    let before = wait(&mut call, 1_000);
    call.floor(Floor::Thinking, false, 6_000);
    call.speaks(6_100);
    call.partial("einen Termin am Dienstag", 6_300);
    call.floor(Floor::Free, false, 6_300);
    call.says("einen Termin am Dienstag.", 6_900);
    call.stops(7_000);
    call.run(12_000);
    let after = wait(&mut call, 13_000);
    assert!(after > before, "{before} {after}");
}

#[test]
fn the_words_of_a_voice_that_was_given_up_are_no_sign_of_it_when_they_come_once_more() {
    let mut call = Call::new(quiet());
    call.speaks(64);
    call.partial("Und dann", 500);
    assert_eq!(call.run(125_000), ["60000 ended \"Und dann\" TooLong"]);
    call.partial("Und dann", 130_000);
    assert!(call.run(131_000).is_empty() && call.turns.is_quiet());
    call.partial("Und dann noch etwas", 132_000);
    assert!(!call.turns.is_quiet());
}

#[test]
fn a_turn_without_a_language_has_not_that_of_the_turn_before() {
    let mut said = Said::default();
    let hear = |said: &mut Said, utterance: u64, language: Option<&str>| {
        let (utterance, span, language) = (UtteranceId(utterance), Span::default(), language.map(str::to_owned));
        said.hear(&Event::Final {
            utterance,
            words: words("Ja."),
            span,
            cut: Cut::Pause,
            language,
            voices: Vec::new(),
        });
    };
    hear(&mut said, 1, Some("de"));
    assert_eq!(said.language().as_deref(), Some("de"));
    said.take();
    hear(&mut said, 2, None);
    assert_eq!((said.text().as_str(), said.language()), ("Ja.", None));
}
