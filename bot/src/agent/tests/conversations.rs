//! Conversations, line by line: what is said, heard and decided.

use super::*;

#[test]
fn a_greeting_an_answer_and_a_good_bye() {
    let mut world = World::new(persona());
    world.tell(Input::Begin);
    assert_eq!(world.log(), ["say Guten Tag, wer ist da?"]);
    world.hear_all();
    world.says("Ich hätte gern einen Termin.");
    assert_eq!(world.log(), ["ask Primary"]);
    world.said(Delta::Text("Gern, da schaue ich einmal nach, ".to_owned()));
    // The first clause leaves at once.
    assert_eq!(world.log(), ["say Gern, da schaue ich einmal nach,"]);
    world.answers("am 3. Mai ist noch etwas frei. Passt das?");
    assert_eq!(world.log(), ["say am 3. Mai ist noch etwas frei.", "say Passt das?"]);
    world.hear_all();
    world.says("Ja, danke, das war es.");
    assert_eq!(
        world.told(),
        [
            "user: [the call begins]",
            "agent: Guten Tag, wer ist da?",
            "user: Ich hätte gern einen Termin.",
            "agent: Gern, da schaue ich einmal nach, am 3. Mai ist noch etwas frei. Passt das?",
            "user: Ja, danke, das war es.",
        ]
    );
    world.log();
    world.said(Delta::Text("Auf Wiederhören!".to_owned()));
    world.calls("c1", "hang_up");
    assert_eq!(world.log(), ["say Auf Wiederhören!", "call hang_up"]);
    world.tell(Input::Granted { call: "c1".to_owned(), action: tools::Action::HangUp { why: String::new() } });
    assert!(world.log().is_empty(), "nobody is hung up on before the good-bye was heard");
    world.hear_all();
    assert_eq!(world.log(), ["hang up goodbye"]);
    assert!(world.agent.is_over() && world.agent.due().is_none());
}

#[test]
fn an_answer_is_prepared_and_thrown_away_when_the_caller_goes_on() {
    let mut world = World::greeted();
    world.speaks();
    world.pass(900);
    world.settles("Ich hätte gern einen Termin");
    world.stops();
    assert_eq!(world.log(), ["ask Primary"]);
    // What comes is held: nobody knows yet whether it is wanted.
    world.said(Delta::Text("Wann denn? Morgen? ".to_owned()));
    world.pass(100);
    assert!(world.log().is_empty());
    world.speaks();
    assert_eq!(world.log(), ["cancel"]);
    world.answers("Zu spät.");
    world.pass(900);
    world.settles("am Dienstag.");
    world.stops();
    world.answers("Gern am Dienstag.");
    assert_eq!(world.log(), ["ask Primary"]);
    world.tell(Input::EndOfTurn { probability: 0.95 });
    world.pass(200);
    assert_eq!(world.log(), ["say Gern am Dienstag."]);
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::TurnEnded { was_prepared: true, .. })));
}

#[test]
fn an_interruption_cuts_the_history_to_the_words_that_were_heard() {
    let mut world = World::greeted();
    world.says("Wann haben Sie geöffnet?");
    world.answers("Wir haben von Montag bis Freitag offen. Am Samstag nur bis zwölf.");
    world.begins();
    world.hears_words(4);
    world.log();
    world.speaks();
    assert_eq!(world.log(), ["pause"]);
    world.pass(150);
    world.partial("Und am Sonntag");
    assert_eq!(world.log(), ["hush"]);
    world.pass(700);
    world.settles("Und am Sonntag?");
    world.stops();
    world.tell(Input::EndOfTurn { probability: 0.95 });
    world.pass(300);
    let told = world.told();
    assert_eq!(told[told.len() - 2..], ["agent: Wir haben von Montag", "user: Und am Sonntag?"]);
    assert!(world.notices.iter().any(
        |notice| matches!(notice, Notice::BotInterrupted { unheard, .. } if unheard.reveal().starts_with("bis Freitag"))
    ));
}

#[test]
fn a_cough_and_a_mhm_cost_nothing() {
    for (heard, why) in [("", "cough"), ("mhm", "mhm")] {
        let mut world = World::greeted();
        world.says("Wann haben Sie geöffnet?");
        world.answers("Wir haben von Montag bis Freitag offen.");
        world.begins();
        world.log();
        world.speaks();
        world.pass(200);
        world.partial(heard);
        world.pass(150);
        world.settles(heard);
        world.stops();
        assert_eq!(world.log(), ["pause", "resume"], "{why}");
        world.hear_all();
        world.pass(1_000);
        assert!(world.log().is_empty(), "{why}");
        assert_eq!(world.agent.answered, 1);
    }
}

#[test]
fn somebody_who_goes_on_before_the_answer_is_answered_once_to_all_of_it() {
    let mut world = World::greeted();
    world.says("Ich brauche einen Termin.");
    world.said(Delta::Text("Gern. Wann?".to_owned()));
    world.speaks();
    world.pass(300);
    world.partial("und zwar am Dienstag");
    assert_eq!(world.log(), ["ask Primary", "say Gern.", "pause", "cancel", "hush"]);
    world.pass(500);
    world.settles("und zwar am Dienstag.");
    world.stops();
    world.pass(1_500);
    assert_eq!(world.told().last().map(String::as_str), Some("user: Ich brauche einen Termin. und zwar am Dienstag."));
    let dropped = |notice: &&Notice| matches!(notice, Notice::Dropped { why: Dropped::WentOn, .. });
    assert_eq!(world.notices.iter().filter(dropped).count(), 1);
}

#[test]
fn a_slow_model_is_bridged_and_a_silent_one_apologised_for_within_five_seconds() {
    let mut world = World::greeted();
    world.says("Wie ist das Wetter?");
    assert_eq!(world.log(), ["ask Primary"]);
    world.pass(690);
    assert!(world.log().is_empty());
    world.pass(20);
    assert_eq!(world.log(), ["say Einen Moment, bitte."]);
    world.hear_all();
    world.pass(3_500);
    let log = world.log();
    assert!(log[0] == "cancel" && log[1].starts_with("say Entschuldigung"), "{log:?}");
    world.hear_all();
    assert_eq!((world.agent.answered, world.agent.dropped), (1, 0));
    // Bridges are no part of the conversation.
    world.says("Hallo, hören Sie mich?");
    assert!(world.told().iter().all(|line| !line.contains("Moment")), "{:?}", world.told());
}

#[test]
fn every_way_in_which_a_model_fails_is_answered() {
    let trouble = || llm::Trouble::NoModel;
    type Fails = fn(&mut World, AskId);
    let excuse = "say Entschuldigung, das hat gerade nicht geklappt. Können Sie das bitte noch einmal sagen?";
    let refusal = "say Dabei kann ich leider nicht helfen. Kann ich sonst etwas für Sie tun?";
    let ways: [(&str, Fails, &str); 5] = [
        ("it fails", |world, ask| world.tell(Input::AskFailed { ask, why: llm::Trouble::NoModel }), excuse),
        ("it says nothing", |world, _| world.done(Stop::End), excuse),
        ("it claims calls and makes none", |world, _| world.done(Stop::Calls), excuse),
        ("it writes only marks", |world, _| world.answers("** \n👍"), excuse),
        ("it refuses", |world, _| world.done(Stop::Refused), refusal),
    ];
    for (why, fail, line) in ways {
        let mut world = World::greeted();
        world.says("Wie ist das Wetter?");
        world.log();
        let ask = world.last_ask();
        fail(&mut world, ask);
        assert_eq!(world.log(), [line], "{why}");
        world.hear_all();
        assert_eq!((world.agent.answered, world.agent.dropped), (1, 0), "{why}");
    }
    // Half an answer is an answer.
    let mut world = World::greeted();
    world.says("Wie ist das Wetter?");
    world.said(Delta::Text("Heute scheint die Sonne. Morgen".to_owned()));
    let ask = world.last_ask();
    world.tell(Input::AskFailed { ask, why: trouble() });
    world.hear_all();
    assert_eq!(world.log(), ["ask Primary", "say Heute scheint die Sonne."]);
    assert_eq!(world.agent.answered, 1);
}

#[test]
fn a_model_that_writes_at_a_long_call_is_waited_for_and_not_for_ever() {
    let mut world = World::greeted();
    world.says("Bitte buchen Sie den Dienstag.");
    world.said(Delta::Text("Ich trage das ein. ".to_owned()));
    world.hear_all();
    world.log();
    world.pass(9_900);
    assert_eq!(world.log(), ["say Einen Moment, bitte."]);
    world.pass(200);
    assert_eq!(world.log(), ["cancel"]);
}

#[test]
fn a_good_bye_and_a_filler_are_filled_in_once_wherever_they_are_said() {
    let greeted = || {
        let mut persona = persona();
        persona.goodbye = PerLanguage::any("Tschüss, {{name}}!");
        let mut world = World::new(persona);
        let facts = Arc::make_mut(&mut world.agent.facts);
        // What a value holds is no template.
        facts.values.insert("name".to_owned(), "{{caller}}".to_owned());
        facts.tools[0].filler = PerLanguage::any("Einen Moment, {{name}}.");
        world.tell(Input::Begin);
        world.hear_all();
        world.log();
        world
    };
    let mut world = greeted();
    world.says("Das war alles.");
    world.calls("c1", "hang_up");
    world.tell(Input::Granted { call: "c1".to_owned(), action: tools::Action::HangUp { why: String::new() } });
    assert_eq!(world.log(), ["ask Primary", "call hang_up", "say Tschüss, {{caller}}!"]);
    let mut world = greeted();
    for _ in 0..2 {
        world.pass(12_000);
        world.hear_all();
    }
    world.log();
    world.pass(12_000);
    assert_eq!(world.log(), ["say Tschüss, {{caller}}!"]);
    let mut world = greeted();
    world.says("Haben Sie am Dienstag etwas frei?");
    world.calls("c1", "look_up");
    world.pass(900);
    assert_eq!(world.log(), ["ask Primary", "call look_up", "say Einen Moment, {{caller}}."]);
}

#[test]
fn an_endless_answer_ends() {
    let mut world = World::greeted();
    world.says("Erzähl mir was.");
    for _ in 0..300 {
        let ask = world.last_ask();
        world.tell(Input::Said { ask, delta: Delta::Text("Und so ging es immer weiter. ".to_owned()) });
    }
    assert!(world.log().contains(&"cancel".to_owned()));
    assert!(world.voice.len() <= 100);
    world.hear_all();
    assert_eq!(world.agent.answered, 1);
}

#[test]
fn a_silent_caller_is_asked_and_then_let_go() {
    let mut world = World::greeted();
    for _ in 0..2 {
        world.pass(12_000);
        assert_eq!(world.log(), ["say Sind Sie noch da?"]);
        world.hear_all();
    }
    world.pass(12_000);
    assert_eq!(world.log(), ["say Auf Wiederhören!"]);
    world.hear_all();
    assert_eq!(world.log(), ["hang up idle"]);
}

#[test]
fn somebody_who_speaks_over_the_good_bye_is_listened_to() {
    let mut world = World::greeted();
    world.pass(12_000);
    world.hear_all();
    world.pass(12_000);
    world.hear_all();
    world.pass(12_000);
    world.begins();
    world.log();
    world.speaks();
    world.hear();
    world.pass(300);
    assert_eq!(world.log(), ["pause"], "the call is not ended while somebody speaks");
    world.partial("Moment, ich bin noch da");
    world.settles("Moment, ich bin noch da.");
    world.stops();
    world.pass(900);
    assert!(!world.agent.is_over());
    assert_eq!(world.log(), ["hush", "ask Primary"]);
}

#[test]
fn keys_are_a_turn_and_interrupt() {
    let mut world = World::greeted();
    world.says("Was brauchen Sie?");
    world.answers("Bitte tippen Sie Ihre Nummer ein.");
    world.hears_words(3);
    world.log();
    for key in ['4', '7'] {
        world.tell(Input::Key(Key::from_char(key).unwrap()));
    }
    assert_eq!(world.log(), ["hush"]);
    world.pass(2_500);
    assert_eq!(world.log(), ["ask Primary"]);
    assert_eq!(world.told().last().map(String::as_str), Some("user: [keys] 47"));
    world.answers("Danke.");
    world.hear_all();
    world.tell(Input::Key(Key::from_char('1').unwrap()));
    world.tell(Input::Key(Key::POUND));
    assert_eq!(world.told().last().map(String::as_str), Some("user: [keys] 1"));
}

#[test]
fn what_is_written_is_a_turn_and_interrupts_like_a_key() {
    let mut world = World::greeted();
    world.says("Was brauchen Sie?");
    world.answers("Bitte nennen Sie mir Ihre Nummer.");
    world.hears_words(3);
    world.log();
    world.tell(Input::Wrote(" Sie ist 47. ".to_owned()));
    assert_eq!(world.log(), ["hush", "ask Primary"]);
    assert_eq!(world.told().last().map(String::as_str), Some("user: Sie ist 47."));
    world.answers("Danke.");
    world.hear_all();
    world.log();
    world.tell(Input::Wrote("  ".to_owned()));
    assert!(world.log().is_empty());
}

#[test]
fn words_of_others_are_said_when_nobody_speaks_or_next_or_now() {
    let say = |text: &str, when| Input::Say { text: text.to_owned(), when };
    let mut world = World::greeted();
    world.tell(say("Es ist zwölf.", When::Free));
    assert_eq!(world.log(), ["say Es ist zwölf."]);
    world.hears_words(1);
    world.tell(say("Niemand hört das.", When::Free));
    world.tell(say("Und noch etwas.", When::Next));
    assert!(world.log().is_empty() && world.notices.contains(&Notice::NotSaid));
    world.hear();
    assert_eq!(world.log(), ["say Und noch etwas."]);
    world.hears_words(1);
    world.tell(say("Halt!", When::Now));
    assert_eq!(world.log(), ["hush", "say Halt!"]);
    world.hear_all();
    world.speaks();
    world.log();
    world.tell(say("Niemand hört das.", When::Free));
    assert!(world.log().is_empty(), "the caller speaks");
    for _ in 0..20 {
        world.tell(say("Warten.", When::Next));
    }
    world.log();
    assert_eq!(world.notices.iter().filter(|notice| **notice == Notice::NotSaid).count(), 2 + 4);
}

#[test]
fn words_that_are_to_be_said_now_are_said_over_a_caller_too() {
    let mut world = World::greeted();
    world.says("Was kostet das?");
    world.answers("Das kostet zwölf Euro im Monat.");
    world.hears_words(2);
    world.speaks();
    world.log();
    world.tell(Input::Say { text: "Halt!".to_owned(), when: When::Now });
    assert_eq!(world.log(), ["hush", "say Halt!"]);
    world.partial("nein das meine ich nicht");
    world.pass(1_000);
    assert!(world.log().is_empty(), "it is not cut by what was said before it");
    world.hear();
    world.stops();
    world.settles("Nein, das meine ich nicht.");
    world.pass(3_000);
    assert!(world.log().contains(&"ask Primary".to_owned()), "the caller is answered then");
}

#[test]
fn a_turn_whose_first_sentence_failed_is_told_with_the_next() {
    let mut world = World::greeted();
    world.says("Was kostet das?");
    world.answers("Einen Moment. Das kostet zwölf Euro.");
    let (turn, sentence, _) = world.voice.remove(0);
    world.tell(Input::NotSpoken { turn, sentence });
    world.notices.clear();
    world.hear_all();
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::BotSpeaking { .. })));
}

#[test]
fn a_persona_that_changes_goes_on_without_a_greeting() {
    let mut world = World::greeted();
    let mut other = persona();
    other.instructions = "You sell flowers.".to_owned();
    world.tell(Input::Changed { persona: Arc::new(other), tools: vec![offer("stock", true)] });
    assert!(world.log().is_empty());
    world.says("Was haben Sie da?");
    let (_, request) = world.asked.last().expect("it was asked");
    assert!(request.system.contains("You sell flowers."));
    assert_eq!(request.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["stock"]);
}

#[test]
fn a_conversation_that_began_elsewhere_goes_on() {
    let call = Call { id: "1".to_owned(), name: "stock".to_owned(), arguments: "{}".to_owned() };
    let result = |id: &str| Message::ToolResult {
        id: id.to_owned(),
        name: "stock".to_owned(),
        content: "7 Rosen".to_owned(),
        is_error: false,
    };
    let past = vec![
        Message::User("Haben Sie Rosen?".to_owned()),
        Message::Assistant { text: String::new(), calls: vec![call] },
        result("1"),
        result("nobody asked"),
    ];
    let mut world = World::new(persona());
    world.agent = Agent::new(Arc::new(persona()), Facts { past, ..facts() }, MediaTime::ZERO);
    world.tell(Input::Begin);
    world.hear_all();
    world.says("Und Tulpen?");
    let (_, request) = world.asked.last().expect("it was asked");
    assert_eq!(request.messages.len(), 5, "{:?}", request.messages);
    assert!(matches!(&request.messages[2], Message::ToolResult { content, .. } if content == "7 Rosen"));
}

#[test]
fn a_greeting_that_may_not_be_interrupted_is_heard_and_what_was_said_over_it_answered() {
    let mut persona = persona();
    persona.turn.is_greeting_interruptible = false;
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world.begins();
    world.log();
    world.says("Ich brauche Hilfe.");
    world.tell(Input::Key(Key::from_char('1').unwrap()));
    world.tell(Input::Key(Key::POUND));
    assert!(world.log().is_empty());
    world.hear();
    assert_eq!(world.log(), ["ask Primary"]);
    assert_eq!(world.told().last().map(String::as_str), Some("user: Ich brauche Hilfe. [keys] 1"));
}

#[test]
fn the_answer_is_in_the_language_of_the_caller() {
    let mut world = World::greeted();
    world.says("Could you please tell me the price?");
    assert_eq!(world.agent.language(), Language::ENGLISH_US);
    assert!(world.asked.last().is_some_and(|(_, request)| request.system.contains("Answer in English")));
    world.pass(900);
    assert_eq!(world.log(), ["ask Primary", "say One moment, please."]);
}

#[test]
fn a_voice_that_fails_or_is_silent_does_not_hold_the_call() {
    let mut world = World::greeted();
    world.says("Hallo, wer spricht da?");
    world.answers("Ich bin es.");
    let (turn, sentence, _) = world.voice.remove(0);
    world.tell(Input::NotSpoken { turn, sentence });
    assert_eq!((world.agent.answered, world.agent.dropped), (0, 1));
    world.says("Hallo, wer spricht da?");
    world.answers("Ich bin es.");
    world.pass(20_000);
    assert_eq!((world.agent.answered, world.agent.dropped), (0, 2));
}

/// A call that went on until its beginning is being summed up.
fn too_long() -> World {
    let mut world = World::greeted();
    let long = "Ich erzähle Ihnen eine lange Geschichte von einem Hund und einer Katze. ".repeat(8);
    while world.asked.last().is_none_or(|(_, request)| !request.system.starts_with("Sum up")) {
        world.says(&long);
        world.pass(2_000);
        world.answers("Das ist ja eine schöne Geschichte.");
        world.hear_all();
        assert!(world.asked.len() < 60, "nothing was ever summed up");
    }
    world
}

#[test]
fn what_lies_too_far_back_becomes_a_summary() {
    let mut world = too_long();
    world.answers("Es geht um Hund und Katze.");
    world.says("Und wie geht es weiter?");
    let (_, request) = world.asked.last().unwrap();
    assert!(request.system.contains("earlier in this call: Es geht um Hund und Katze."));
    assert!(request.messages.len() < 20, "{}", request.messages.len());
    assert_eq!(world.notices.iter().filter(|notice| matches!(notice, Notice::Summarised { .. })).count(), 1);
}

#[test]
fn another_past_is_not_shortened_by_a_summary_of_the_one_before() {
    let mut world = too_long();
    world.log.clear();
    world.tell(Input::Past(vec![Message::User("Etwas anderes.".to_owned())]));
    assert_eq!(world.log(), ["cancel"]);
    world.answers("Es geht um Hund und Katze.");
    world.tell(Input::Respond);
    assert_eq!(world.told(), ["user: Etwas anderes."]);
}

#[test]
fn a_summary_that_fails_or_is_empty_is_asked_for_again_after_a_minute_and_not_before() {
    let fails: [fn(&mut World); 2] = [
        |world| {
            let ask = world.last_ask();
            world.tell(Input::AskFailed { ask, why: llm::Trouble::NoModel });
        },
        |world| world.done(Stop::End),
    ];
    let summaries =
        |world: &World| world.asked.iter().filter(|(_, request)| request.system.starts_with("Sum up")).count();
    let round = |world: &mut World, said: &str| {
        world.says(said);
        world.answers("Das ist ja eine schöne Geschichte.");
        world.hear_all();
    };
    let long = "Ich erzähle Ihnen eine lange Geschichte von einem Hund und einer Katze. ".repeat(8);
    for fail in fails {
        let mut world = World::greeted();
        while summaries(&world) == 0 {
            round(&mut world, &long);
            assert!(world.asked.len() < 60, "nothing was ever summed up");
        }
        fail(&mut world);
        let again = world.now + Duration::from_secs(60);
        while world.now + Duration::from_secs(2) < again {
            round(&mut world, "Und wie ging es dann weiter?");
            assert_eq!(summaries(&world), 1, "at {}", world.now);
        }
        world.pass(2_000);
        round(&mut world, "Und wie ging es dann weiter?");
        assert_eq!(summaries(&world), 2);
    }
}

#[test]
fn a_call_that_has_lasted_long_enough_is_ended_politely() {
    let mut persona = persona();
    persona.limits.call = Duration::from_secs(20);
    persona.turn.idle_after = Duration::ZERO;
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world.hear_all();
    world.log();
    world.pass(20_000);
    assert_eq!(world.log(), ["say Auf Wiederhören!"]);
    // Nobody plays it: the call ends all the same.
    world.pass(60_000);
    assert!(world.agent.is_over());
}

#[test]
fn what_comes_late_or_twice_or_from_nowhere_changes_nothing() {
    let mut world = World::greeted();
    world.says("Hallo, wer spricht da?");
    world.answers("Ich bin es.");
    world.hear_all();
    world.log();
    let before = (world.agent.answered, world.agent.due());
    for turn in [TurnId(0), TurnId(1), TurnId(2), TurnId(99)] {
        world.tell(Input::Played { turn, sentence: 1 });
        world.tell(Input::WordPlayed { turn, sentence: 2, words: 99 });
        world.tell(Input::SpeechBegan { turn, sentence: 2 });
        world.tell(Input::NotSpoken { turn, sentence: 7 });
    }
    world.answers("Noch einmal.");
    world.tool("nobody", Outcome::done("x"));
    world.tell(Input::CameBack);
    world.tell(Input::Begin);
    assert!(world.log().is_empty());
    assert_eq!((world.agent.answered, world.agent.due()), before);
    world.tell(Input::HungUp);
    world.tell(Input::HungUp);
    world.says("Hallo?");
    assert!(world.log().is_empty());
}

#[test]
fn no_words_show_in_debug() {
    let secret = "Geheimnis";
    let input = Input::Said { ask: AskId(1), delta: Delta::Text(secret.to_owned()) };
    let (turn, language) = (TurnId(1), Language::GERMAN);
    let output = Output::Speak { turn, sentence: 1, text: secret.to_owned(), language };
    let notice = Output::Publish(Notice::BotSpoke { turn, heard: secret.into(), language, took: Duration::ZERO });
    let key = Input::Key(Key::from_char('7').unwrap());
    let call = Call { id: secret.to_owned(), name: secret.to_owned(), arguments: secret.to_owned() };
    let call = Output::Call { call, turn, is_offered: false };
    let shown = format!("{input:?} {output:?} {notice:?} {key:?} {call:?}");
    assert!(!shown.contains(secret) && !shown.contains('7'), "{shown}");
}

/// A call in which nothing is answered but when somebody asks for that, and calls end a turn.
fn asked() -> World {
    let mut persona = persona();
    persona.greeting = PerLanguage::default();
    (persona.turn.answers_when_asked, persona.turn.ends_with_calls) = (true, true);
    persona.turn.is_interruptible = false;
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world
}

#[test]
fn an_answer_waits_until_somebody_asks_for_it() {
    let mut world = asked();
    world.says("Haben Sie offen?");
    world.pass(5_000);
    assert!(world.log().is_empty());
    world.tell(Input::Recall(Message::User("Guten Tag.".to_owned())));
    world.tell(Input::Respond);
    assert_eq!(world.log(), ["ask Primary"]);
    assert_eq!(world.told(), ["user: Guten Tag. Haben Sie offen?"]);
    world.answers("Ja.");
    // While one is under way that is the answer.
    world.tell(Input::Respond);
    world.hear_all();
    assert_eq!(world.log(), ["say Ja."]);
    world.tell(Input::Respond);
    assert_eq!(world.log(), ["ask Primary"]);
    assert_eq!(world.told(), ["user: Guten Tag. Haben Sie offen?", "agent: Ja."]);
    world.answers("Wirklich.");
    world.hear_all();
    world.tell(Input::Past(vec![Message::User("Etwas anderes.".to_owned())]));
    world.tell(Input::Respond);
    assert_eq!(world.told(), ["user: Etwas anderes."]);
}

#[test]
fn whoever_asks_for_an_answer_waits_for_words_that_are_owed() {
    let mut world = asked();
    world.speaks();
    world.pass(500);
    world.tell(Input::Respond);
    assert!(world.log().is_empty());
    world.settles("Und morgen?");
    assert_eq!((world.log(), world.told()), (vec!["ask Primary".to_owned()], vec!["user: Und morgen?".to_owned()]));
    let mut world = asked();
    world.speaks();
    world.tell(Input::Respond);
    world.pass(1_400);
    assert!(world.log().is_empty());
    world.pass(200);
    assert_eq!(world.log(), ["ask Primary"], "not for ever");
    let mut world = asked();
    world.says("Das gilt nicht.");
    world.tell(Input::Forget);
    world.tell(Input::Respond);
    assert_eq!(world.told(), ["user: [the call begins]"]);
}

#[test]
fn whoever_stops_an_answer_is_told_what_was_heard_of_it() {
    let mut world = asked();
    world.says("Zählen Sie bitte.");
    world.tell(Input::Respond);
    world.answers("Eins zwei drei vier.");
    world.begins();
    world.hears_words(2);
    world.log();
    world.tell(Input::Stop);
    assert_eq!(world.log(), ["hush"]);
    let cut = |world: &World| match world.notices.last() {
        Some(Notice::BotInterrupted { heard, .. }) => Some(heard.reveal().to_owned()),
        _ => None,
    };
    assert_eq!(cut(&world).as_deref(), Some("Eins zwei"));
    // An answer that has not begun ends, too.
    world.speaks();
    world.tell(Input::Respond);
    world.tell(Input::Stop);
    assert_eq!((world.log(), cut(&world).as_deref()), (vec!["hush".to_owned()], Some("")));
    world.tell(Input::Stop);
    assert!(world.log().is_empty(), "there is nothing to stop");
}

#[test]
fn it_is_known_whether_more_of_an_answer_may_come() {
    let mut world = World::greeted();
    assert!(!world.agent.is_composing());
    world.says("Ist noch etwas da?");
    assert!(world.agent.is_composing());
    world.said(Delta::Text("Ich sehe nach. ".to_owned()));
    world.calls("c1", "look_up");
    assert!(world.agent.is_composing(), "the tool may have something to say");
    world.tool("c1", Outcome::done("sieben"));
    assert!(world.agent.is_composing());
    world.answers("Sieben.");
    assert!(!world.agent.is_composing(), "although nothing of it was heard");
    world.hear_all();
    assert!(!world.agent.is_composing());
}

#[test]
fn whoever_was_silent_and_then_spoke_is_asked_as_often_again_before_the_call_ends() {
    let mut world = asked();
    for _ in 0..2 {
        world.pass(12_100);
        assert_eq!(world.log(), ["say Sind Sie noch da?"]);
        world.hear_all();
    }
    world.says("Ja, einen Moment noch.");
    world.tell(Input::Respond);
    world.answers("Gern.");
    world.hear_all();
    world.log();
    world.pass(12_100);
    assert_eq!(world.log(), ["say Sind Sie noch da?"]);
}

#[test]
fn a_turn_may_end_with_its_calls_and_the_next_knows_what_came_of_them() {
    let mut world = asked();
    world.says("Ist noch etwas da?");
    world.tell(Input::Respond);
    world.calls("c1", "look_up");
    assert_eq!(world.log(), ["ask Primary", "call look_up"]);
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::BotSpoke { .. })));
    world.tool("c1", Outcome::done("sieben"));
    world.pass(1_000);
    assert!(world.log().is_empty(), "nobody asked for an answer");
    world.tell(Input::Respond);
    assert_eq!(world.log(), ["ask Primary"]);
    assert_eq!(world.told(), ["user: Ist noch etwas da?", "agent:  (1 called)", "tool: sieben false"]);
}
