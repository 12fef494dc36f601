use jiff::civil::date;

use super::*;
use crate::persona::PerLanguage;

fn local() -> Local {
    let mut persona = Persona::built_in();
    persona.transfer =
        [("Einkauf", "sip:a@b"), ("Verkauf", "sip:c@d")].map(|(n, a)| (n.to_owned(), a.to_owned())).into();
    persona.facts.push(crate::persona::Fact {
        about: vec!["geöffnet".to_owned(), "opening hours".to_owned()],
        answer: PerLanguage::any("Montag bis Freitag, {{from|9}} bis 17 Uhr."),
    });
    Local::new(Arc::new(persona), Facts::new(date(2026, 11, 30).at(14, 30, 0, 0)))
}

fn request(said: &str, tools: &[BuiltIn]) -> Request {
    let spec = |tool: &BuiltIn| ToolSpec {
        name: tool.name().to_owned(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    };
    Request {
        messages: vec![
            Message::Assistant { text: "Guten Tag, hier ist Harmony.".to_owned(), calls: Vec::new() },
            Message::User(said.to_owned()),
        ],
        tools: tools.iter().map(spec).collect(),
        ..Request::default()
    }
}

fn ask(local: &mut Local, said: &str, tools: &[BuiltIn], language: Language) -> (String, Option<(String, String)>) {
    let mut text = String::new();
    let mut called = None;
    let deltas = local.answer(Role::Primary, &request(said, tools), language, MediaTime::from_millis(60_000));
    assert!(matches!(deltas.last(), Some(Delta::Done(_))));
    for delta in deltas {
        match delta {
            Delta::Text(more) => text.push_str(&more),
            Delta::Call(call) => called = Some((call.name, call.arguments)),
            Delta::Done(_) => {}
        }
    }
    (text, called)
}

#[test]
fn simple_questions_are_answered_without_a_model_in_both_languages() {
    let (de, en) = (Language::GERMAN, Language::ENGLISH_US);
    for (said, language, answer) in [
        ("Wie spät ist es?", de, "Es ist 14 Uhr 31."),
        ("What time is it, please?", en, "It is 2:31 PM."),
        ("Welches Datum ist heute?", de, "Heute ist Montag, der 30. November 2026."),
        ("What day is it today?", en, "Today is Monday, November 30, 2026."),
        ("Welcher Tag ist der 3. März?", de, "Das ist Mittwoch, der 3. März 2027."),
        ("Wie bitte?", de, "Guten Tag, hier ist Harmony."),
        ("Could you repeat that?", en, "Guten Tag, hier ist Harmony."),
        ("Wann haben Sie geöffnet?", de, "Montag bis Freitag, 9 bis 17 Uhr."),
        ("[keys] 12", de, "Sie haben 1 2 gedrückt."),
        ("Hallo, guten Tag!", de, "Hallo! Wie kann ich Ihnen helfen?"),
        ("Vielen Dank.", de, "Gern geschehen. Kann ich sonst noch etwas tun?"),
        ("Please put me through to sales.", en, "I am sorry, I cannot transfer calls here. But I can take a message."),
    ] {
        assert_eq!(ask(&mut local(), said, &[], language), (answer.to_owned(), None), "{said}");
    }
}

#[test]
fn notes_are_taken_and_read_back() {
    let mut local = local();
    let tools = [BuiltIn::TakeNote];
    let note = |text: &str| Some(("take_note".to_owned(), json!({"text": text}).to_string()));
    let (said, call) = ask(&mut local, "Notiere bitte, dass Frau Weber anruft.", &tools, Language::GERMAN);
    assert_eq!((said.as_str(), call), ("Ich habe notiert: Frau Weber anruft.", note("Frau Weber anruft")));
    let (said, call) = ask(&mut local, "Please take a note", &tools, Language::ENGLISH_US);
    assert_eq!((said.as_str(), call), ("Sure. What should I note?", None));
    let (said, call) = ask(&mut local, "The milk is empty.", &tools, Language::ENGLISH_US);
    assert_eq!((said.as_str(), call), ("I have noted: The milk is empty.", note("The milk is empty")));
    let (said, _) = ask(&mut local, "Was hast du notiert?", &tools, Language::GERMAN);
    assert_eq!(said, "Ich habe notiert: Frau Weber anruft. The milk is empty.");
}

#[test]
fn passing_on_reminding_and_good_bye_are_tools_where_there_are_any() {
    let tools = [BuiltIn::HangUp, BuiltIn::Transfer, BuiltIn::Remind];
    let call = |said: &str| ask(&mut local(), said, &tools, Language::GERMAN);
    let (_, called) = call("Verbinden Sie mich mit dem Verkauf.");
    assert_eq!(called, Some(("transfer".to_owned(), json!({"to": "Verkauf"}).to_string())));
    assert_eq!(call("Ich möchte mit einem Menschen sprechen.").0, "Zu wem möchten Sie: Einkauf oder Verkauf?");
    let (_, called) = call("Kann ich mit dem Einkauf sprechen?");
    assert_eq!(called, Some(("transfer".to_owned(), json!({"to": "Einkauf"}).to_string())));
    assert!(!call("Kann ich mit Karte zahlen?").0.starts_with("Zu wem"));
    // Nothing is cancelled here, and nothing is said to be.
    let said = call("Please cancel my appointment").0;
    assert!(!said.starts_with("In Ordnung") && !said.starts_with("All right"), "{said}");
    assert_eq!(call("Das war's, tschüss.").1.map(|(name, _)| name), Some("hang_up".to_owned()));
    assert_eq!(call("Erinnere mich morgen an den Müll.").1.map(|(name, _)| name), Some("remind".to_owned()));
    assert_eq!(ask(&mut local(), "Tschüss!", &[], Language::GERMAN).1, None);
}

#[test]
fn whoever_wants_to_be_remembered_or_forgotten_says_so() {
    let tools = [BuiltIn::Remember];
    let wants = |agreed: bool| Some(("remember".to_owned(), json!({"agreed": agreed}).to_string()));
    for (said, agreed) in [
        ("Sie dürfen sich unser Gespräch merken.", true),
        ("Please remember me.", true),
        ("Vergessen Sie mich bitte.", false),
        ("Please don't remember me.", false),
        ("Delete my data!", false),
    ] {
        assert_eq!(ask(&mut local(), said, &tools, Language::GERMAN).1, wants(agreed), "{said}");
    }
    assert_eq!(ask(&mut local(), "Please don\u{2019}t remember me.", &tools, Language::GERMAN).1, wants(false));
    for said in [
        "I don't remember my order number.",
        "I don't remember this street.",
        "Please don't forget me.",
        "Vergessen Sie mich bitte nicht!",
        "Löschen Sie meine Daten nicht.",
        "Do you remember me?",
        "You remember me, right?",
        "I never want you to remember me.",
        "Merken Sie sich unser Gespräch nicht.",
        "I remember meeting you.",
    ] {
        assert_eq!(ask(&mut local(), said, &tools, Language::GERMAN).1, None, "nobody decides by {said:?}");
    }
    // Where nothing is kept, nothing is promised.
    let (said, call) = ask(&mut local(), "Please remember me.", &[], Language::ENGLISH_US);
    assert_eq!((said.as_str(), call), ("Nothing of our conversation is kept when you hang up.", None));
}

#[test]
fn what_it_does_not_understand_it_says_so() {
    let mut local = local();
    let (said, _) = ask(&mut local, "Warum ist der Himmel blau?", &[], Language::GERMAN);
    assert!(said.contains("kein Sprachmodell") && said.contains("Notizen aufnehmen"), "{said}");
    let (again, _) = ask(&mut local, "Erkläre mir die Steuer auf Zinsen.", &[], Language::GERMAN);
    assert_ne!(said, again);
}

#[test]
fn a_forced_call_is_made_where_it_takes_no_arguments_and_never_with_made_up_ones() {
    let spec =
        |name: &str, parameters: Value| ToolSpec { name: name.to_owned(), description: String::new(), parameters };
    let stock = || spec("stock", json!({"type": "object", "properties": {}}));
    let refund = || spec("refund", json!({"type": "object", "required": ["sum"]}));
    let this = |name: &str| MustCall::This(name.to_owned());
    for (must_call, tools, called) in [
        (MustCall::Nothing, vec![stock()], None),
        (MustCall::Any, vec![stock()], Some("stock")),
        (MustCall::Any, vec![refund()], None),
        (MustCall::Any, vec![stock(), refund()], None),
        (this("stock"), vec![stock(), refund()], Some("stock")),
        (this("refund"), vec![stock(), refund()], None),
        (this("stock"), vec![refund()], None),
    ] {
        let asked = Request { must_call, tools, ..request("How many roses are there?", &[]) };
        let deltas = local().answer(Role::Primary, &asked, Language::ENGLISH_US, MediaTime::ZERO);
        let made = deltas.iter().find_map(|delta| match delta {
            Delta::Call(call) => Some((call.name.as_str(), call.arguments.as_str())),
            Delta::Text(_) | Delta::Done(_) => None,
        });
        assert_eq!(made, called.map(|name| (name, "{}")), "{asked:?}");
        assert!(made.is_some() || matches!(&deltas[0], Delta::Text(_)), "nobody is left without an answer");
    }
}

#[test]
fn a_summary_is_made_of_what_callers_said() {
    let mut local = local();
    let request = Request {
        messages: vec![Message::User("Caller: Ich heiße Weber.\nAgent: Gern.\n".to_owned())],
        ..Request::default()
    };
    let deltas = local.answer(Role::Fast, &request, Language::GERMAN, MediaTime::ZERO);
    assert_eq!(deltas[0], Delta::Text("Caller: Ich heiße Weber.\n".to_owned()));
}

#[test]
fn a_summary_of_a_line_that_is_too_long_is_its_beginning() {
    let said = format!("Caller: {}", "ä".repeat(1_000));
    let summed = summary(&said);
    assert!(said.starts_with(&summed) && summed.len() <= SUMMARY_BYTES_MAX && summed.len() > SUMMARY_BYTES_MAX - 4);
    assert_eq!(summary(&format!("Caller: Weber.\n{said}")).lines().count(), 2);
}

#[test]
fn the_good_bye_is_the_personas_filled_in() {
    let mut local = local();
    local.facts.values.insert("name".to_owned(), "Anna".to_owned());
    for (own, said) in [
        (PerLanguage::any("Tschüss, {{name}}!"), "Tschüss, Anna!"),
        (PerLanguage::any("{{nobody}}"), "Auf Wiederhören!"),
        (PerLanguage::default(), "Auf Wiederhören!"),
    ] {
        Arc::make_mut(&mut local.persona).goodbye = own;
        assert_eq!(ask(&mut local, "Tschüss!", &[], Language::GERMAN).0, said);
    }
}
