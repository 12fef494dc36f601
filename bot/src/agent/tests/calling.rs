//! Tools in a conversation: beside speech, cancelled, outlived, late, repeated.

use super::*;

fn asked_with_a_call(name: &str) -> World {
    let mut world = World::greeted();
    world.says("Haben Sie am Dienstag etwas frei?");
    world.said(Delta::Text("Ich sehe nach. ".to_owned()));
    world.calls("c1", name);
    assert_eq!(world.log(), ["ask Primary", "say Ich sehe nach.", &format!("call {name}")]);
    world
}

#[test]
fn a_tool_runs_beside_speech_its_wait_is_bridged_and_its_result_is_asked_about() {
    let mut world = asked_with_a_call("look_up");
    world.hear_all();
    world.pass(810);
    assert_eq!(world.log(), ["say Einen Moment, bitte."]);
    world.hear_all();
    world.tool("c1", Outcome::done("frei um 9"));
    assert_eq!(world.log(), ["ask Primary"]);
    let told = world.told();
    assert_eq!(told[told.len() - 2..], ["agent: Ich sehe nach. (1 called)", "tool: frei um 9 false"]);
    world.answers("Um 9 Uhr ist frei.");
    world.hear_all();
    assert_eq!(world.agent.answered, 1);
    // The same result once more is nobody's.
    world.log();
    world.tool("c1", Outcome::done("frei um 9"));
    world.pass(5_000);
    assert!(world.log().is_empty());
}

#[test]
fn a_call_is_forced_in_the_first_round_of_an_answer_alone() {
    let mut persona = persona();
    persona.models.must_call = llm::MustCall::Any;
    let mut world = World::new(persona);
    world.tell(Input::Begin);
    world.hear_all();
    let forced = |world: &World| world.asked.last().map(|(_, request)| request.must_call.clone());
    world.says("Haben Sie am Dienstag etwas frei?");
    assert_eq!(forced(&world), Some(llm::MustCall::Any));
    world.calls("c1", "look_up");
    world.tool("c1", Outcome::done("frei um 9"));
    assert_eq!(forced(&world), Some(llm::MustCall::Nothing), "or it would call for ever");
    world.answers("Um 9 Uhr ist frei.");
    world.hear_all();
    world.says("Haben Sie auch am Mittwoch etwas frei?");
    assert_eq!(forced(&world), Some(llm::MustCall::Any));
}

#[test]
fn the_bridge_is_the_tools_own_where_it_has_one() {
    let mut world = World::greeted();
    Arc::make_mut(&mut world.agent.facts).tools[0].filler = PerLanguage::any("Ich frage den Kalender.");
    world.says("Haben Sie am Dienstag etwas frei?");
    world.calls("c1", "look_up");
    world.pass(900);
    assert!(world.log().contains(&"say Ich frage den Kalender.".to_owned()));
}

#[test]
fn an_interruption_cancels_what_is_safe_to_cancel_and_the_model_is_told() {
    let mut world = asked_with_a_call("look_up");
    world.begins();
    world.speaks();
    world.partial("Nein, lieber Mittwoch");
    assert_eq!(world.log(), ["pause", "hush", "cancel call c1"]);
    world.tool("c1", Outcome::done("zu spät"));
    world.settles("Nein, lieber Mittwoch.");
    world.stops();
    world.pass(1_500);
    let told = world.told();
    assert!(told.iter().any(|line| line.starts_with("tool: Not done: the caller interrupted")), "{told:?}");
    assert!(told.iter().all(|line| !line.contains("zu spät")));
}

#[test]
fn what_is_not_safe_to_cancel_goes_on_and_its_result_is_told_once_nobody_speaks() {
    let mut world = asked_with_a_call("book");
    world.begins();
    world.speaks();
    world.partial("Übrigens, wie ist die Adresse");
    assert_eq!(world.log(), ["pause", "hush"]);
    world.settles("Übrigens, wie ist die Adresse?");
    world.stops();
    world.pass(900);
    world.answers("Hauptstraße 1.");
    assert_eq!(world.log(), ["ask Primary", "say Hauptstraße 1."]);
    world.tool("c1", Outcome::done("gebucht"));
    assert!(world.log().is_empty(), "not in the middle of another answer");
    world.hear_all();
    assert_eq!(world.log(), ["ask Primary"]);
    let told = world.told();
    assert!(told.contains(&"tool: gebucht false".to_owned()), "{told:?}");
    world.answers("Der Termin ist gebucht.");
    world.hear_all();
    world.pass(5_000);
    assert_eq!(world.log(), ["say Der Termin ist gebucht."]);
}

/// A call that goes on although the caller interrupted, and their next question.
fn interrupted_with_a_call() -> World {
    let mut world = asked_with_a_call("book");
    world.begins();
    world.speaks();
    world.partial("Übrigens, wie ist die Adresse");
    world.settles("Übrigens, wie ist die Adresse?");
    world.stops();
    world.pass(900);
    world.answers("Hauptstraße 1.");
    world.hear_all();
    world.log();
    world
}

#[test]
fn news_that_no_model_tells_are_told_by_rules() {
    let fails: [fn(&mut World); 3] = [
        |world| {
            let ask = world.last_ask();
            world.tell(Input::AskFailed { ask, why: llm::Trouble::NoModel });
        },
        |world| world.done(Stop::End),
        |world| world.done(Stop::Refused),
    ];
    for fail in fails {
        for (outcome, said) in [
            (Outcome::done("Gebucht für Dienstag um neun."), "say Gebucht für Dienstag um neun."),
            (Outcome::done(""), "say Erledigt."),
            (Outcome::failed("503"), "say Das hat leider nicht geklappt."),
        ] {
            let mut world = interrupted_with_a_call();
            world.tool("c1", outcome);
            assert_eq!(world.log(), ["ask Primary"]);
            fail(&mut world);
            assert_eq!(world.log(), [said]);
            world.hear_all();
            world.pass(5_000);
            assert!(world.log().is_empty(), "it is told once");
        }
    }
}

#[test]
fn a_result_whose_call_is_forgotten_is_no_news() {
    let mut world = interrupted_with_a_call();
    world.agent.history.forget(usize::MAX, None);
    world.tool("c1", Outcome::done("gebucht"));
    assert!(world.log().is_empty());
}

#[test]
fn a_tool_that_was_not_offered_is_unknown_to_whoever_looks_on() {
    let mut world = World::greeted();
    world.says("Haben Sie am Dienstag etwas frei?");
    world.calls("c1", "Frau Weber");
    world.tool("c1", Outcome::failed("There is no such tool."));
    let name = |notice: &Notice| match notice {
        Notice::Tool { name, .. } => Some(name.clone()),
        _ => None,
    };
    assert_eq!(world.notices.iter().filter_map(name).collect::<Vec<_>>(), ["unknown", "unknown"]);
}

#[test]
fn a_tool_that_never_answers_is_given_up() {
    let mut world = asked_with_a_call("look_up");
    world.hear_all();
    for _ in 0..12 {
        world.pass(1_000);
        world.hear_all();
    }
    let log = world.log();
    assert!(log.contains(&"cancel call c1".to_owned()) && log.contains(&"ask Primary".to_owned()), "{log:?}");
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::Tool { what: ToolStep::TimedOut, .. })));
}

#[test]
fn a_call_that_is_repeated_is_called_once() {
    let mut world = World::greeted();
    world.says("Haben Sie am Dienstag etwas frei?");
    world.log();
    for _ in 0..3 {
        let call = Call { id: "c1".to_owned(), name: "book".to_owned(), arguments: "{}".to_owned() };
        world.said(Delta::Call(call));
    }
    world.done(Stop::Calls);
    assert_eq!(world.log(), ["call book"]);
    world.tool("c1", Outcome::done("gebucht"));
    world.calls("c1", "book");
    // A model that knows nothing but the same again is apologised for.
    let log = world.log();
    assert!(log[0] == "ask Primary" && log[1].starts_with("say "), "{log:?}");
}

#[test]
fn nothing_is_called_for_a_turn_that_is_only_prepared_or_while_somebody_speaks_over_it() {
    let mut world = World::greeted();
    world.speaks();
    world.pass(900);
    world.settles("Buchen Sie den Dienstag");
    world.stops();
    world.calls("c1", "book");
    assert_eq!(world.log(), ["ask Primary"]);
    world.tell(Input::EndOfTurn { probability: 0.95 });
    world.pass(200);
    assert_eq!(world.log(), ["call book"]);
    world.tool("c1", Outcome::done("gebucht"));
    world.said(Delta::Text("Ist gebucht. ".to_owned()));
    world.begins();
    world.speaks();
    world.log();
    world.calls("c2", "book");
    assert!(world.log().is_empty());
    world.settles("");
    world.stops();
    assert_eq!(world.log(), ["resume", "call book"]);
}

#[test]
fn a_model_that_goes_round_in_circles_is_asked_without_tools() {
    let mut world = World::greeted();
    world.says("Haben Sie am Dienstag etwas frei?");
    let rounds = world.agent.persona.limits.tool_rounds_max;
    for round in 0..rounds {
        assert!(!world.asked.last().unwrap().1.tools.is_empty());
        let id = format!("c{round}");
        world.calls(&id, "look_up");
        world.tool(&id, Outcome::done("vielleicht"));
    }
    assert!(world.asked.last().unwrap().1.tools.is_empty());
}

#[test]
fn keys_are_pressed_once_what_was_said_was_heard() {
    let mut world = asked_with_a_call("press_keys");
    world.tell(Input::Granted { call: "c1".to_owned(), action: tools::Action::PressKeys("1w2".to_owned()) });
    assert!(world.log().is_empty());
    world.hear_all();
    assert_eq!(world.log(), ["press 1w2"]);
    // What is said while keys are on their way is not heard.
    world.pass(1_200);
    assert!(world.log().is_empty());
    world.pass(100);
    assert_eq!(world.log(), ["ask Primary"]);
    world.pass(500);
    assert!(world.log().is_empty(), "the wait for an answer begins with the last key");
}

#[test]
fn a_caller_is_passed_on_after_a_word_and_comes_back_when_nobody_is_there() {
    let mut world = World::greeted();
    world.says("Verbinden Sie mich bitte.");
    world.calls("c1", "transfer");
    world.log();
    let action = tools::Action::Transfer { name: "sales".to_owned(), to: "sip:a@b".to_owned() };
    world.tell(Input::Granted { call: "c1".to_owned(), action });
    assert_eq!(world.log(), ["say Ich verbinde Sie, einen Moment bitte."]);
    world.hear_all();
    assert_eq!(world.log(), ["transfer sales"]);
    world.says("Hallo? Ist da wer?");
    assert!(world.log().is_empty(), "somebody else listens");
    world.tell(Input::CameBack);
    assert!(world.log()[0].starts_with("say Dort ist leider niemand"));
    world.hear_all();
    world.says("Dann nicht, danke schön.");
    assert_eq!(world.log(), ["ask Primary"]);
}

#[test]
fn an_interruption_takes_a_hang_up_back() {
    let mut world = World::greeted();
    world.says("Das war alles.");
    world.said(Delta::Text("Auf Wiederhören und einen schönen Tag!".to_owned()));
    world.calls("c1", "hang_up");
    world.tell(Input::Granted { call: "c1".to_owned(), action: tools::Action::HangUp { why: String::new() } });
    world.begins();
    world.speaks();
    world.partial("Halt, noch eine Frage");
    world.settles("Halt, noch eine Frage.");
    world.stops();
    world.pass(1_500);
    assert!(!world.agent.is_over());
    assert!(world.told().iter().any(|line| line.starts_with("tool: Not done")), "{:?}", world.told());
}

#[test]
fn another_persona_goes_on_with_the_same_conversation() {
    let mut world = World::greeted();
    world.says("Ich habe eine medizinische Frage.");
    world.calls("c1", "hand_over");
    let action = tools::Action::HandOver { persona: "doctor".to_owned() };
    world.tell(Input::Granted { call: "c1".to_owned(), action });
    world.hear_all();
    assert_eq!(world.log().last().map(String::as_str), Some("hand over doctor"));
    let mut doctor = persona();
    doctor.greeting = PerLanguage::any("Hier ist die Ärztin.");
    world.tell(Input::TookOver { persona: Arc::new(doctor), tools: Vec::new() });
    assert_eq!(world.log(), ["say Hier ist die Ärztin."]);
    world.hear_all();
    world.says("Mir tut der Kopf weh.");
    assert!(world.told().iter().any(|line| line.contains("medizinische Frage")));
    assert!(world.asked.last().unwrap().1.tools.is_empty());
}
