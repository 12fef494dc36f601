//! An application, a caller and a voice in virtual time: what each is told.

use std::time::Duration;

use asr::event::{Cut, Event, UtteranceId, Word};
use media::time::Span;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    ivr::{
        key::Key,
        private::Private,
        twiml::{self, Connect, Connected, Limits, Verb},
    },
    persona::TurnSettings,
};

fn ms(ms: u64) -> MediaTime {
    MediaTime::from_millis(ms)
}

/// What a document with these attributes wants.
fn settings(attributes: &str) -> RelaySettings {
    let text = format!(
        "<Response><Connect><ConversationRelay url=\"wss://x.test/\" {attributes}>\
         <Language code=\"de-DE\" voice=\"Vicki\"/></ConversationRelay></Connect></Response>"
    );
    let document = twiml::parse(text.as_bytes(), Limits::default()).expect("a document");
    assert_eq!(document.notices, []);
    match document.steps.into_iter().next().map(|step| step.verb) {
        Some(Verb::Connect(Connect { to: Connected::Relay(relay), .. })) => relay.settings,
        other => panic!("{other:?}"),
    }
}

struct Scene {
    relay: Relay,
    now_ms: u64,
    utterance: u64,
    lines: Vec<String>,
    /// Sentences that the voice has, and files and keys that are made.
    said: VecDeque<(u64, u64)>,
    sounds: Vec<u64>,
}

impl Scene {
    fn new(attributes: &str) -> Self {
        let relay = Relay::new(settings(attributes), ms(0));
        let (lines, said, sounds) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut scene = Self { relay, now_ms: 0, utterance: 0, lines, said, sounds };
        scene.tell(Input::Begin);
        scene
    }

    /// The same, of which the beginning is known.
    fn begun(attributes: &str) -> Self {
        let mut scene = Self::new(attributes);
        scene.expect(&["listen for any"]);
        scene
    }

    fn tell(&mut self, input: Input<'_>) -> &mut Self {
        self.relay.handle(input, ms(self.now_ms));
        while let Some(output) = self.relay.poll() {
            match &output {
                Output::Say { turn, sentence, .. } => self.said.push_back((*turn, *sentence)),
                Output::Play { turn, .. } | Output::Press { turn, .. } => self.sounds.push(*turn),
                _ => {}
            }
            self.lines.push(line(output));
        }
        self
    }

    fn says(&mut self, message: &Value) -> &mut Self {
        let text = message.to_string();
        self.tell(Input::Message(&text))
    }

    fn text(&mut self, token: &str, is_last: bool) -> &mut Self {
        self.says(&json!({"type": "text", "token": token, "last": is_last}))
    }

    fn wait(&mut self, span_ms: u64) -> &mut Self {
        let end = self.now_ms + span_ms;
        for _ in 0..1_000 {
            let Some(due) = self.relay.due().filter(|due| *due <= ms(end)) else { break };
            self.now_ms = self.now_ms.max(due.as_millis() + 1);
            self.tell(Input::Tick);
        }
        self.now_ms = self.now_ms.max(end);
        self
    }

    /// The caller begins to speak, and these are their words so far.
    fn starts(&mut self, text: &str) -> &mut Self {
        self.utterance += 1;
        let utterance = UtteranceId(self.utterance);
        self.tell(Input::Ears(&Event::SpeechStarted { utterance, at: ms(self.now_ms) }));
        self.wait(300);
        let (words, span) = (words(text), Span::default());
        self.tell(Input::Ears(&Event::Partial { utterance, revision: 1, stable_words: 0, words, span }))
    }

    /// They stop.
    fn stops(&mut self, text: &str) -> &mut Self {
        self.wait(200);
        let (utterance, words, span) = (UtteranceId(self.utterance), words(text), Span::default());
        let language = Some("en".to_owned());
        self.tell(Input::Ears(&Event::Final { utterance, words, span, cut: Cut::Pause, language, voices: Vec::new() }));
        self.tell(Input::Ears(&Event::SpeechEnded { utterance, at: ms(self.now_ms) }))
    }

    #[track_caller]
    fn expect(&mut self, lines: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.lines), lines);
        self
    }
}

fn words(text: &str) -> Vec<Word> {
    let word = |text: &str| Word { text: text.to_owned(), span: Span::default(), confidence: 0.9 };
    text.split_whitespace().map(word).collect()
}

fn line(output: Output) -> String {
    match output {
        Output::Tell(message) => {
            let message: Value = serde_json::from_str(message.reveal()).expect("JSON");
            match message["type"].as_str() {
                Some("prompt") => {
                    let last = if message["last"] == true { "" } else { "…" };
                    format!("prompt {}{last} in {}", message["voicePrompt"], message["lang"])
                }
                Some("interrupt") => {
                    let heard = &message["utteranceUntilInterrupt"];
                    format!("interrupt {heard} after {}", message["durationUntilInterruptMs"])
                }
                Some("dtmf") => format!("dtmf {}", message["digit"]),
                Some("info") => format!("{} {}", message["name"], message["value"]),
                Some("error") => "error".to_owned(),
                other => panic!("{other:?}"),
            }
        }
        Output::Say { turn, sentence, text, tongue } => {
            let language = tongue.language.map(|language| format!(" in {language}")).unwrap_or_default();
            format!("say {turn}.{sentence} {:?}{language}", text.reveal())
        }
        Output::Play { turn, url, .. } => format!("play {turn} {url}"),
        Output::Press { turn, tones } => format!("press {turn}: {} keys", tones.len()),
        Output::Pause => "pause".to_owned(),
        Output::Resume => "resume".to_owned(),
        Output::Hush(turn) => format!("hush {turn}"),
        Output::Expect(language) => format!("listen for {}", language.as_deref().unwrap_or("any")),
        Output::End(RelayEvent::Ended { handoff }) => {
            format!("end {}", handoff.map(Private::into_inner).unwrap_or_default())
        }
        Output::End(RelayEvent::Failed { code, .. }) => format!("failed {code}"),
        Output::End(event) => panic!("{event:?}"),
    }
}

#[test]
fn the_greeting_comes_first_and_an_answer_is_said_sentence_by_sentence_as_it_comes() {
    let mut scene = Scene::new(r#"welcomeGreeting="Hello." language="en-US""#);
    scene.expect(&["listen for en-US", "say 1.1 \"Hello.\" in en-US"]);
    scene.text("This is the office. How may I", false).expect(&[]);
    scene.tell(Input::Began { turn: 1, sentence: 1 }).tell(Input::Played { turn: 1, sentence: 1 });
    scene.expect(&["say 2.1 \"This is the office.\" in en-US"]);
    scene.text(" help you?", true).expect(&["say 2.2 \"How may I help you?\" in en-US"]);
}

#[test]
fn who_asks_for_it_is_told_which_sentences_were_heard_and_nothing_of_what_was_not() {
    let mut scene = Scene::new(r#"events="tokens-played" welcomeGreeting="Hello.""#);
    scene.lines.clear();
    scene.tell(Input::Began { turn: 1, sentence: 1 }).tell(Input::Played { turn: 1, sentence: 1 });
    scene.expect(&["\"tokensPlayed\" \"Hello.\""]);
    scene.text("There are two rooms. One is large. The other is not.", true);
    scene.lines.clear();
    // The end of the first is told by that of the second.
    scene.tell(Input::Began { turn: 2, sentence: 1 }).tell(Input::Played { turn: 2, sentence: 2 });
    scene.expect(&["\"tokensPlayed\" \"There are two rooms. One is large.\""]);
    scene.tell(Input::NotSpoken { turn: 2, sentence: 3 }).expect(&["error"]);
    scene.tell(Input::Played { turn: 2, sentence: 3 }).tell(Input::Played { turn: 1, sentence: 1 }).expect(&[]);
}

#[test]
fn german_is_cut_as_germans_write_it() {
    let mut scene = Scene::new(r#"language="de-DE""#);
    scene.text("Wir haben z. B. am 3. Mai Zeit. Passt das?", true).expect(&[
        "listen for de-DE",
        "say 1.1 \"Wir haben z. B. am 3. Mai Zeit.\" in de-DE",
        "say 1.2 \"Passt das?\" in de-DE",
    ]);
}

#[test]
fn tokens_that_stop_without_a_last_one_are_said_and_the_floor_becomes_free() {
    let mut scene = Scene::begun("");
    scene.text("One moment", false).expect(&[]);
    scene.wait(900).expect(&["say 1.1 \"One moment\""]);
    scene.tell(Input::Began { turn: 1, sentence: 1 }).tell(Input::Played { turn: 1, sentence: 1 });
    scene.starts("a table for two").stops("a table for two").wait(2_000);
    scene.expect(&["prompt \"a table for two\" in \"en\""]);
    scene.text("Gladly.", true).expect(&["say 2.1 \"Gladly.\""]);
}

#[test]
fn words_interrupt_and_the_application_is_told_what_was_heard_and_then_what_was_said() {
    let mut scene = Scene::begun("");
    scene.text("There are two rooms. One of them is large. It", false);
    scene.expect(&["say 1.1 \"There are two rooms.\"", "say 1.2 \"One of them is large.\""]);
    scene.tell(Input::Began { turn: 1, sentence: 1 }).tell(Input::Played { turn: 1, sentence: 1 });
    scene.tell(Input::Began { turn: 1, sentence: 2 }).tell(Input::Words { turn: 1, sentence: 2, words: 3 });
    // Tokens go on, so that it does not stall.
    scene.wait(600).text(" has", false).wait(400).expect(&[]);
    scene.starts("stop please");
    scene.expect(&["pause", "hush 1", "resume", "interrupt \"There are two rooms. One of them\" after 1000"]);
    scene.text(" a view.", false).expect(&[]);
    scene.stops("stop please").wait(2_000).expect(&["prompt \"stop please\" in \"en\""]);
    scene.text("Of course.", true).expect(&["say 2.1 \"Of course.\""]);
}

#[test]
fn an_interruption_that_turns_out_to_be_no_words_does_not_swallow_what_the_application_says_next() {
    let mut scene = Scene::begun("");
    scene.text("There are two rooms. One of them", false).tell(Input::Began { turn: 1, sentence: 1 });
    scene.starts("stop please").stops("äh").wait(15_000);
    assert!(scene.lines.iter().any(|line| line.starts_with("interrupt")), "{:?}", scene.lines);
    assert!(!scene.lines.iter().any(|line| line.starts_with("prompt")), "{:?}", scene.lines);
    scene.lines.clear();
    scene.text("Anyway. It", false).expect(&["say 2.1 \"Anyway.\""]);
}

#[test]
fn a_sentence_that_fails_while_another_is_heard_changes_nothing_of_what_was_heard() {
    let mut scene = Scene::begun("");
    scene.text("There are two rooms. One is large.", true).tell(Input::Began { turn: 1, sentence: 1 });
    scene.tell(Input::Words { turn: 1, sentence: 1, words: 2 }).tell(Input::NotSpoken { turn: 1, sentence: 2 });
    scene.tell(Input::Key(Key::STAR));
    assert_eq!(scene.lines.last().map(String::as_str), Some("interrupt \"There are\" after 0"));
}

#[test]
fn a_sign_of_listening_holds_the_voice_and_lets_it_go_on() {
    let mut scene = Scene::begun("");
    scene.text("We are open from nine to five.", true).tell(Input::Began { turn: 1, sentence: 1 });
    scene.expect(&["say 1.1 \"We are open from nine to five.\""]);
    scene.starts("mhm").stops("mhm").wait(1_000).expect(&["pause", "resume"]);
    scene.tell(Input::Played { turn: 1, sentence: 1 }).wait(5_000).expect(&[]);
}

#[test]
fn what_cannot_be_interrupted_is_not_and_what_was_said_over_it_is_told_where_the_document_wants_it() {
    let over = |attributes: &str| {
        let mut scene = Scene::begun(attributes);
        scene.says(&json!({"type": "text", "token": "Listen to this.", "last": true, "interruptible": false}));
        scene.tell(Input::Began { turn: 1, sentence: 1 }).expect(&["say 1.1 \"Listen to this.\""]);
        scene.tell(Input::Key(Key::STAR)).starts("hello there").stops("hello there");
        scene.tell(Input::Played { turn: 1, sentence: 1 }).wait(3_000);
        scene
    };
    over(r#"dtmfDetection="true""#).expect(&[]);
    let mut told = over(r#"dtmfDetection="true" reportInputDuringAgentSpeech="any""#);
    told.expect(&["dtmf \"*\"", "prompt \"hello there\" in \"en\""]);
}

#[test]
fn a_key_interrupts_and_what_is_under_way_of_the_answer_then_is_not_said() {
    let mut scene = Scene::begun(r#"dtmfDetection="true" interruptible="dtmf""#);
    scene.text("Press one for sales. Press", false).tell(Input::Began { turn: 1, sentence: 1 });
    scene.expect(&["say 1.1 \"Press one for sales.\""]);
    // Speech does not, and is told nobody.
    scene.starts("stop please").stops("stop please").expect(&[]);
    scene.tell(Input::Key(Key::POUND)).expect(&["hush 1", "interrupt \"\" after 500", "dtmf \"#\""]);
    scene.text(" two for service.", false).wait(600).expect(&[]);
    scene.text("Sales it is.", true).expect(&["say 2.1 \"Sales it is.\""]);
}

#[test]
fn what_gives_way_is_dropped_for_what_comes_next_and_the_rest_waits_its_turn() {
    let mut scene = Scene::begun("");
    scene.says(&json!({"type": "text", "token": "Still looking.", "last": true, "preemptible": true}));
    scene.text("Found it.", true).text("And more.", true);
    scene.expect(&["say 1.1 \"Still looking.\"", "hush 1", "say 2.1 \"Found it.\""]);
    scene.tell(Input::Played { turn: 2, sentence: 1 }).expect(&["say 3.1 \"And more.\""]);
}

#[test]
fn files_and_keys_keep_their_order_among_what_is_said() {
    let mut scene = Scene::begun("");
    scene.text("Listen", false);
    scene.says(&json!({"type": "play", "source": "https://x.test/a.wav"}));
    scene.says(&json!({"type": "sendDigits", "digits": "12"})).expect(&["say 1.1 \"Listen\""]);
    scene.tell(Input::Played { turn: 1, sentence: 1 }).expect(&["play 2 https://x.test/a.wav"]);
    scene.tell(Input::SoundEnded { turn: 2, is_made: false }).expect(&["error", "press 3: 2 keys"]);
    scene.tell(Input::SoundEnded { turn: 3, is_made: true }).text("Done.", true).expect(&["say 4.1 \"Done.\""]);
}

#[test]
fn the_application_changes_to_a_declared_language_and_to_no_other() {
    let mut scene = Scene::begun(r#"voice="Joanna""#);
    scene.says(&json!({"type": "language", "ttsLanguage": "de-DE", "transcriptionLanguage": "de-de"}));
    scene.text("Ja.", true).expect(&["listen for de-de", "say 1.1 \"Ja.\" in de-DE"]);
    scene.says(&json!({"type": "language", "ttsLanguage": "fr-FR", "transcriptionLanguage": "fr-FR"}));
    scene.expect(&["error", "error"]);
    // A language without its region is that of the region that is declared.
    scene.tell(Input::Played { turn: 1, sentence: 1 });
    scene.says(&json!({"type": "text", "token": "Gern.", "last": true, "lang": "de"}));
    scene.expect(&["say 2.1 \"Gern.\" in de-DE"]).tell(Input::Played { turn: 2, sentence: 1 });
    scene.starts("guten Tag").stops("guten Tag").wait(2_000).expect(&["prompt \"guten Tag\" in \"de-de\""]);
}

#[test]
fn words_so_far_are_told_where_they_are_wanted() {
    let mut scene = Scene::begun(r#"partialPrompts="true" transcriptionLanguage="multi""#);
    scene.starts("a table").expect(&["prompt \"a table\"… in \"\""]);
    scene.stops("a table for two").expect(&["prompt \"a table for two\"… in \"\""]);
    scene.wait(2_000).expect(&["prompt \"a table for two\" in \"en\""]);
}

#[test]
fn an_application_that_is_done_says_what_it_leaves_and_one_that_is_gone_or_raves_has_failed() {
    let mut done = Scene::begun("");
    done.text("Goodbye.", true).says(&json!({"type": "end", "handoffData": "{\"to\":\"sales\"}"}));
    done.expect(&["say 1.1 \"Goodbye.\"", "hush 1", "end {\"to\":\"sales\"}"]);
    done.text("More.", true).wait(10_000).expect(&[]);
    assert!(done.relay.is_over && done.relay.due().is_none());
    Scene::begun("").tell(Input::Closed).expect(&["failed 64105"]);
    let mut raving = Scene::begun("");
    raving.tell(Input::Message("hello")).tell(Input::Binary).expect(&["error", "error"]);
    for _ in 0..=BAD_MESSAGES_MAX {
        raving.tell(Input::Message("{}"));
    }
    assert_eq!(raving.lines.last().map(String::as_str), Some("failed 64107"));
}

#[test]
fn an_application_that_never_stops_fills_no_memory() {
    let mut scene = Scene::begun("");
    for _ in 0..200 {
        scene.text("On and on it goes, and nobody has ever heard the end of it. ", true);
        scene.says(&json!({"type": "text", "token": "word ".repeat(1_000), "last": false}));
    }
    assert!(scene.relay.cycles.len() <= CYCLES_MAX);
    let answers = scene.relay.cycles.iter_mut().filter_map(Cycle::answer);
    let waiting: usize = answers.map(|answer| answer.waiting_bytes()).sum();
    assert!(waiting < 2 * WAITING_BYTES_MAX, "{waiting}");
    assert!(scene.lines.iter().any(|line| line == "error"));
}

#[test]
fn the_document_says_how_long_silence_is_and_how_little_interrupts() {
    let usual = TurnSettings::default();
    let eager = manners(&settings(r#"speechTimeout="700" interruptSensitivity="high""#));
    let wait = Duration::from_millis(700);
    assert_eq!((eager.wait, eager.wait_unsure, eager.wait_dictating), (wait, wait, usual.wait_dictating));
    let (low, medium) =
        (manners(&settings(r#"interruptSensitivity="low""#)), manners(&settings(r#"interruptSensitivity="medium""#)));
    assert_eq!([&eager, &medium, &low].map(|manners| manners.interrupt_words), [1, 2, 4]);
    assert_eq!(medium.wait_unsure, usual.wait_unsure);
}

/// One thing that happens, of thirteen kinds.
fn happens(scene: &mut Scene, kind: u8, arg: u64) {
    let words = if arg.is_multiple_of(2) { "stop please" } else { "mhm" };
    match kind {
        0 => {
            scene.text("So it goes on. And on, ", false);
        }
        1 => {
            scene.text("That was it.", true);
        }
        2 => {
            scene.says(&json!({"type": "text", "token": "Wait.", "last": true, "preemptible": true}));
        }
        3 => {
            scene.says(&json!({"type": "text", "token": "Hear this.", "last": true, "interruptible": false}));
        }
        4 => {
            scene.says(
                &json!({"type": "play", "source": "https://x.test/a.wav", "interruptible": arg.is_multiple_of(2)}),
            );
        }
        5 => {
            scene.says(&json!({"type": "sendDigits", "digits": "1"}));
        }
        6 => {
            scene.tell(Input::Key(Key::STAR));
        }
        7 => {
            scene.starts(words);
        }
        8 => {
            scene.stops(words);
        }
        9 => {
            scene.wait(arg);
        }
        10 => {
            scene.tell(Input::Message("nonsense"));
        }
        11 => scene.hears_one(),
        _ => {
            if let Some((turn, sentence)) = scene.said.pop_front() {
                scene.tell(Input::NotSpoken { turn, sentence });
            }
        }
    }
}

impl Scene {
    /// The caller hears the next sentence, and whatever else is made, to its end.
    fn hears_one(&mut self) {
        if let Some((turn, sentence)) = self.said.pop_front() {
            self.tell(Input::Began { turn, sentence });
            self.tell(Input::Words { turn, sentence, words: 1 });
            self.tell(Input::Played { turn, sentence });
        }
        for turn in std::mem::take(&mut self.sounds) {
            self.tell(Input::SoundEnded { turn, is_made: true });
        }
    }
}

proptest! {
    #[test]
    fn no_message_panics_the_reader(
        kind in "text|play|sendDigits|language|end|x",
        key in "token|last|lang|interruptible|preemptible|source|loop|digits|ttsLanguage|handoffData|[a-z]{0,9}",
        text in ".{0,60}",
    ) {
        let _ = Command::read(&text);
        for value in [json!(text), json!([text]), json!(7), json!(null)] {
            let mut message = json!({"type": kind, "token": text, "source": text, "digits": text, "loop": text});
            message[&key] = value;
            let _ = Command::read(&message.to_string());
        }
    }

    /// Whatever happens in which order: of what was hushed nothing more is asked for, the voice does not hold still for
    /// ever, and when nothing happens any more nothing is waited for.
    #[test]
    fn what_is_hushed_stays_silent_and_every_conversation_comes_to_rest(
        steps in prop::collection::vec((0..13_u8, 0..4_000_u64), 0..60),
        reported in any::<bool>(),
    ) {
        let attributes = if reported { "reportInputDuringAgentSpeech=\"any\"" } else { "" };
        let mut scene = Scene::new(attributes);
        for (kind, arg) in steps {
            happens(&mut scene, kind, arg);
        }
        for _ in 0..400 {
            scene.hears_one();
            scene.wait(1_000);
        }
        prop_assert!(scene.relay.cycles.is_empty());
        prop_assert_eq!(scene.relay.due(), None);
        let (mut hushed, mut is_paused) = (0, false);
        for line in &scene.lines {
            let number = |text: &str| text.split(['.', ' ', ':']).next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            if let Some(turn) = line.strip_prefix("hush ") {
                hushed = hushed.max(number(turn));
                is_paused = false;
            }
            for asked in ["say ", "play ", "press "] {
                if let Some(rest) = line.strip_prefix(asked) {
                    prop_assert!(number(rest) > hushed, "{} after hush {}", line, hushed);
                }
            }
            is_paused = (is_paused && line != "resume") || line == "pause";
        }
        prop_assert!(!is_paused, "{:?}", scene.lines);
    }
}
