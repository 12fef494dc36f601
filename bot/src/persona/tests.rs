//! Personas as people write them, right and wrong.

use proptest::prelude::*;

use super::*;

fn office() -> Persona {
    Persona::parse("office", include_str!("../../../examples/personas/office.toml")).unwrap()
}

fn appointments() -> Persona {
    Persona::parse("appointments", include_str!("../../../examples/personas/appointments.toml")).unwrap()
}

fn wrong(text: &str) -> String {
    Persona::parse("p", text).map_or_else(|wrong| wrong.to_string(), |persona| format!("{persona:?}"))
}

#[test]
fn the_built_in_persona_greets_in_both_languages_and_does_no_harm() {
    let persona = Persona::built_in();
    assert_eq!((persona.name.as_str(), persona.language), (BUILT_IN, Language::ENGLISH_US));
    assert!(persona.greeting_in(Language::GERMAN).unwrap().starts_with("Hallo"));
    assert!(persona.greeting_in(Language::ENGLISH_US).unwrap().starts_with("Hello"));
    assert!(!persona.may_use("transfer") && !persona.may_use("press_keys") && persona.may_use("take_note"));
    assert!(persona.facts.iter().all(|fact| fact.answer.in_language(Language::GERMAN).is_some()));
    assert_eq!(persona.limits, Limits::default());
}

#[test]
fn the_examples_are_what_they_say() {
    let office = office();
    assert_eq!((office.title.as_str(), office.language), ("Klara", Language::GERMAN));
    assert_eq!(office.voice.in_language(Language::GERMAN), Some("Polly.Vicki"));
    assert_eq!(office.transfer.len(), 3);
    assert_eq!(office.hand_over, ["appointments"]);
    assert_eq!(office.rules["transfer"].calls_max, Some(2));
    assert_eq!(office.limits.call, Duration::from_secs(900));
    let appointments = appointments();
    let book = &appointments.rules["calendar__book"];
    assert_eq!((book.approval, book.calls_max, book.is_safe_to_cancel), (Some(Approval::Ask), Some(1), None));
    assert_eq!(appointments.rules["calendar__free"].is_safe_to_cancel, Some(true));
    assert_eq!(appointments.turn.wait_dictating, Duration::from_millis(2_500));
    assert_eq!(appointments.turn.interrupt_words, 3);
    assert_eq!(appointments.turn.wait, TurnSettings::default().wait);
    assert_eq!(appointments.models.temperature_milli, Some(200));
    let salon = Persona::parse("salon", include_str!("../../../examples/personas/salon.toml")).unwrap();
    assert_eq!(
        salon.intents.iter().map(|intent| intent.name.as_str()).collect::<Vec<_>>(),
        ["book", "hours", "cancel"]
    );
    let book = &salon.intents[0];
    assert_eq!((book.slots.len(), book.slots[0].choices.len(), book.tool.as_deref()), (6, 3, Some("book")));
    assert!(book.slots.iter().all(|slot| slot.is_optional || slot.prompt.in_language(Language::GERMAN).is_some()));
    // Both greet and say good-bye in both languages.
    for persona in [office, appointments] {
        for text in [&persona.greeting, &persona.goodbye] {
            assert!(text.in_language(Language::GERMAN).is_some() && text.in_language(Language::ENGLISH_US).is_some());
        }
    }
}

#[test]
fn the_persona_of_the_handbook_is_one() {
    let handbook = include_str!("../../../docs/agent.md");
    let block = handbook.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let persona = Persona::parse("office", block).unwrap();
    assert_eq!((persona.title.as_str(), persona.language), ("Office of Dr. Jones", Language::ENGLISH_US));
    assert!(persona.may_use("crm__find") && persona.transfer.contains_key("reception"));
}

#[test]
fn an_empty_file_is_a_quiet_persona() {
    let persona = Persona::parse("quiet", "").unwrap();
    assert_eq!((persona.title.as_str(), persona.language), ("quiet", Language::ENGLISH_US));
    assert_eq!(persona.greeting_in(Language::GERMAN), None);
    assert!(persona.may_use("hang_up") && !persona.may_use("transfer"));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, expected) in [
        ("greting = \"Hi\"", "p.toml:1: unknown field `greting`"),
        ("title = \"A\"\n[turn]\nwait = 3", "p.toml:3: unknown field `wait`"),
        ("\n\n[limits]\ncall_minutes = -1", "p.toml:4: invalid value"),
        ("title = \"A\"\nlanguage = \"xx\"", "p.toml:2: \"xx\" is no language that is spoken here"),
        ("[greeting]\nde = \"Hallo\"\nde = \"Hallo\"", "p.toml:3: duplicate key"),
        ("title = \"A\"\n[turn]\nwait_ms = 90000", "p.toml:3: at most 60000 ms"),
        ("[turn]\nsure = 1.5", "p.toml:2: from 0 to 1"),
        ("[limits]\n\ncall_minutes = 0", "p.toml:3: at least 1"),
        ("[limits]\nturns_max = 0", "p.toml:2: at least 1"),
        ("[limits]\ntools_at_once = 0", "p.toml:2: at least 1"),
        ("[limits]\nanswer_tokens_max = 0", "p.toml:2: at least 1"),
        ("tools = [\"book\"]\n[tool.book]\ntimeout_ms = 0", "p.toml:3: from 1 to 53000 ms"),
        ("tools = [\"book\"]\n[tool.book]\ntimeout_ms = 53001", "p.toml:3: from 1 to 53000 ms"),
        ("[models]\ntemperature = 3", "p.toml:2: from 0 to 2"),
        ("[limits]\ncost_max = nan", "p.toml:2: an amount of 0 or more"),
        ("\ntools = [\"a b\"]", "p.toml:2: \"a b\" is no name of a tool"),
        ("\n[transfer]\nsales = \"sip:sales@a\"", "p.toml:2: transfer: tools has to name \"transfer\""),
        ("tools = [\"transfer\"]\n[transfer]\nsales = \"\"", "p.toml:2: transfer: each needs"),
        ("\nhand_over = [\"boss\"]", "p.toml:2: hand_over: tools has to name \"hand_over\""),
        ("\n[tool.book]\ncalls_max = 1", "p.toml:2: tool.book: tools does not name it"),
        ("tools = [\"book\"]\n[tool.book]\napproval = \"maybe\"", "p.toml:3: unknown variant `maybe`"),
        ("[[facts]]\nabout = [\"x\"]", "p.toml:1: missing field `answer`"),
        ("tools = [\"take_note\"]\n[memory]", "p.toml:1: memory: tools has to name \"remember\""),
        ("[memory]\ndays = 0", "p.toml:2: from 1 to 3650 days"),
        ("[memory]\ncalls = 21", "p.toml:2: from 1 to 20 calls"),
        ("[memory]\nconsent = \"maybe\"", "p.toml:2: unknown variant `maybe`"),
        ("title = \"A", "p.toml:1: "),
    ] {
        let wrong = wrong(text);
        assert!(wrong.starts_with(expected) && !wrong.contains('\n'), "{text:?}: {wrong}");
    }
    for name in ["", "Office", "a/b", "..", "a b", "ä"] {
        assert!(matches!(Persona::parse(name, ""), Err(BadPersona::Name(_))), "{name}");
    }
    let long = format!("instructions = \"{}\"", "x".repeat(200_000));
    assert!(matches!(Persona::parse("p", &long), Err(BadPersona::Size { .. })));
}

#[test]
fn callers_are_remembered_where_the_persona_says_so_and_in_no_other_way() {
    let memory = |text: &str| Persona::parse("p", text).unwrap().memory;
    assert_eq!(memory(""), None);
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let usual = Memory { consent: Consent::Asked, calls: 5, kept_for: days(180) };
    assert_eq!(memory("[memory]"), Some(usual));
    let given = memory("tools = []\n[memory]\nconsent = \"given\"\ncalls = 2\ndays = 30");
    assert_eq!(given, Some(Memory { consent: Consent::Given, calls: 2, kept_for: days(30) }));
}

#[test]
fn tools_are_allowed_by_name_or_by_the_beginning_of_one() {
    let persona = Persona::parse("p", "tools = [\"take_note\", \"crm__*\"]").unwrap();
    for (tool, may) in [
        ("take_note", true),
        ("take_notes", false),
        ("crm__find", true),
        ("crm__", true),
        ("crm_find", false),
        ("hang_up", false),
    ] {
        assert_eq!(persona.may_use(tool), may, "{tool}");
    }
    assert!(Persona::parse("p", "tools = [\"*\"]").unwrap().may_use("anything"));
}

#[test]
fn it_answers_in_the_nearest_language_that_it_speaks() {
    let persona = office();
    let british = Language::nearest("en-GB").unwrap().0;
    for (asked, answered) in [
        (Language::GERMAN, Language::GERMAN),
        (british, british),
        (Language::ENGLISH_US, british),
        (Language::nearest("fr").unwrap().0, Language::GERMAN),
    ] {
        assert_eq!(persona.answers_in(asked), answered, "{asked}");
    }
    assert!(persona.greeting_in(Language::ENGLISH_US).unwrap().starts_with("Good day"));
}

proptest! {
    #[test]
    fn no_text_does_harm(text in ".{0,200}") {
        let _ = Persona::parse("p", &text);
    }

    #[test]
    fn a_broken_example_says_where_it_is_broken(cut in 0usize..2_000, with in "[\\[\\]\"=\\n#a]{1,3}") {
        let text = include_str!("../../../examples/personas/appointments.toml");
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let broken = format!("{}{with}{}", &text[..at], &text[at..]);
        if let Err(BadPersona::Line { line, .. }) = Persona::parse("p", &broken) {
            prop_assert!((1..=broken.lines().count() + 1).contains(&line));
        }
    }
}
