//! What a model wishes for, and what comes of it.

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::persona::PerLanguage;

const PERSONA: &str = r#"
language = "de"
tools = ["take_note", "hang_up", "crm__*", "transfer"]
[transfer]
sales = "sip:sales@office.example"
[tool.crm__refund]
approval = "ask"
calls_max = 2
[tool.crm__find]
cancellable = true
timeout_ms = 2000
filler = { de = "Ich sehe nach.", en = "Let me see." }
[tool.crm__wipe]
approval = "deny"
[tool.crm__guarded]
approval = "allow"
[limits]
tool_calls_max = 6
tools_at_once = 2
"#;

fn tool(name: &str, approval: Approval) -> Tool {
    Tool {
        name: name.to_owned(),
        description: format!("{name}."),
        parameters: json!({
            "type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": false,
        }),
        origin: Origin::Mcp { server: "crm".to_owned(), tool: name.to_owned() },
        rule: Rule { approval, filler: PerLanguage::any("Moment."), ..Rule::default() },
    }
}

fn registry() -> Registry {
    let names = ["crm__find", "crm__refund", "crm__wipe", "admin__delete"];
    let tools = names.map(|name| tool(name, Approval::Allow)).into_iter();
    let catalog: Catalog = tools.chain([tool("crm__guarded", Approval::Ask)]).collect();
    let persona = Persona::parse("p", PERSONA).unwrap();
    Registry::new(Arc::new(catalog), &persona, date(2026, 11, 30).at(14, 30, 0, 0))
}

fn call(id: &str, name: &str, arguments: Value) -> Call {
    Call { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_string() }
}

fn at(seconds: u64) -> MediaTime {
    MediaTime::from_millis(1_000 * seconds)
}

#[test]
fn what_was_brought_along_is_asked_of_the_line_and_other_tools_may_follow() {
    let of = |names: &[&str]| -> Arc<Catalog> {
        let line = |name: &&str| Tool { origin: Origin::Line, ..tool(name, Approval::Allow) };
        Arc::new(names.iter().map(line).collect())
    };
    let mut persona = Persona::built_in();
    persona.tools = vec!["stock".to_owned()];
    let mut registry = Registry::new(of(&["stock"]), &persona, date(2026, 11, 30).at(14, 30, 0, 0));
    let admitted = registry.admit(&call("1", "stock", json!({"id": 7})), at(1)).unwrap();
    assert!(matches!(admitted.does, Does::Line(arguments) if arguments["id"] == 7));
    persona.tools = vec!["price".to_owned()];
    registry.offer(of(&["price"]), &persona);
    assert_eq!(registry.specs().len(), 1);
    assert!(registry.admit(&call("2", "stock", json!({})), at(2)).is_err());
    assert!(registry.settle("1", Settled::Answered(&Outcome::done("3")), at(3)), "what is under way goes on");
}

fn verdicts(registry: &mut Registry) -> Vec<String> {
    std::iter::from_fn(|| registry.poll())
        .map(|record| {
            let verdict = match record.verdict {
                Verdict::Admitted { why } | Verdict::Refused { why } => why.to_owned(),
                Verdict::Answered { agreed } => format!("agreed={agreed}"),
                Verdict::Ended { how, took, .. } => format!("{how} {}", took.as_secs()),
            };
            format!("{} {verdict}", record.tool)
        })
        .collect()
}

#[test]
fn the_model_is_told_of_what_its_persona_may_use_and_of_nothing_else() {
    let registry = registry();
    let names: Vec<_> = registry.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["crm__find", "crm__guarded", "crm__refund", "hang_up", "take_note", "transfer"]);
    assert!(registry.is_safe_to_cancel("crm__find") && !registry.is_safe_to_cancel("crm__refund"));
    assert_eq!(registry.filler("crm__find", Language::GERMAN), Some("Ich sehe nach."));
    assert_eq!(registry.filler("crm__refund", Language::GERMAN), Some("Moment."));
    assert_eq!(registry.filler("hang_up", Language::GERMAN), None);
    let refund = registry.specs().into_iter().find(|spec| spec.name == "crm__refund").unwrap();
    assert!(refund.description.ends_with("The caller has to agree to it first."));
}

#[test]
fn what_the_caller_talks_the_model_into_is_refused_and_recorded() {
    let mut registry = registry();
    for (name, arguments, code) in [
        ("admin__delete", json!({}), "unknown_tool"),
        ("crm__wipe", json!({}), "unknown_tool"),
        ("refund\u{7}everything", json!({}), "unknown_tool"),
        ("transfer", json!({"to": "+49900123456"}), "arguments"),
        ("crm__find", json!({"id": "7; DROP TABLE"}), "arguments"),
        ("crm__find", json!([1]), "no_json"),
    ] {
        let refusal = registry.admit(&call(name, name, arguments.clone()), at(1)).unwrap_err();
        assert_eq!(refusal.code(), code, "{name} {arguments}: {refusal}");
        assert!(refusal.outcome().is_error && !refusal.to_string().contains("DROP"), "{refusal}");
    }
    let broken = Call { arguments: "{\"id\": 7".to_owned(), ..call("x", "crm__find", json!({})) };
    assert!(registry.admit(&broken, at(1)).unwrap_err().to_string().contains("line 1, column 8"));
    let long = Call { arguments: " ".repeat(40_000), ..broken };
    assert_eq!(registry.admit(&long, at(1)).unwrap_err().code(), "no_json");
    let deep = Call { arguments: "[".repeat(30_000), ..long };
    assert_eq!(registry.admit(&deep, at(1)).unwrap_err().code(), "no_json");
    let seen = verdicts(&mut registry);
    assert_eq!(seen[2], "unknown unknown_tool");
    assert_eq!(seen.len(), 9);
    assert_eq!(registry.under_way.len(), 0);
}

#[test]
fn a_wish_is_carried_out_once_and_its_late_result_is_dropped() {
    let mut registry = registry();
    let find = call("1", "crm__find", json!({"id": 7}));
    let admitted = registry.admit(&find, at(1)).unwrap();
    assert_eq!(admitted.does, Does::Outside(json!({"id": 7}).as_object().unwrap().clone()));
    assert_eq!((admitted.timeout, admitted.is_safe_to_cancel), (Duration::from_secs(2), true));
    assert_eq!(registry.admit(&find, at(1)), Err(Refusal::Again));
    assert_eq!(registry.due(), Some(at(3)));
    assert!(registry.expire(at(2)).is_empty());
    let expired = registry.expire(at(3));
    assert!(matches!(&expired[..], [(id, outcome)] if id == "1" && outcome.is_error), "{expired:?}");
    assert!(!registry.settle("1", Settled::Answered(&Outcome::done("late")), at(4)));
    assert_eq!(registry.admit(&find, at(5)), Err(Refusal::Again));
    assert!(registry.admit(&Call { id: "2".to_owned(), ..find }, at(5)).is_ok());
    assert!(registry.settle("2", Settled::Cancelled, at(6)));
    assert_eq!(
        verdicts(&mut registry),
        [
            "crm__find allowed",
            "crm__find again",
            "crm__find timed_out 2",
            "crm__find again",
            "crm__find allowed",
            "crm__find cancelled 1",
        ]
    );
}

#[test]
fn limits_hold_for_a_tool_for_a_call_and_for_a_moment() {
    let mut registry = registry();
    let note = |n: usize| call(&n.to_string(), "take_note", json!({"text": "x"}));
    assert!(registry.admit(&note(0), at(0)).is_ok());
    assert!(registry.admit(&note(1), at(0)).is_ok());
    assert_eq!(registry.admit(&note(2), at(0)), Err(Refusal::Busy(2)));
    for n in 0..2 {
        assert!(registry.settle(&n.to_string(), Settled::Answered(&Outcome::done("Noted.")), at(1)));
    }
    for n in 3..7 {
        assert!(registry.admit(&note(n), at(2)).is_ok(), "{n}");
        registry.settle(&n.to_string(), Settled::Cancelled, at(2));
    }
    assert_eq!(registry.admit(&note(7), at(3)), Err(Refusal::CallLimit(6)));
    // Another persona does not begin to count anew.
    registry.hand_over(&Persona::parse("q", PERSONA).unwrap());
    assert_eq!(registry.admit(&note(8), at(3)), Err(Refusal::CallLimit(6)));
}

#[test]
fn a_tool_that_needs_a_yes_waits_for_the_callers_own() {
    let mut registry = registry();
    let refund = |id: &str, order: i64| call(id, "crm__refund", json!({"id": order}));
    // The model cannot say yes for the caller, however often it asks.
    assert_eq!(registry.admit(&refund("1", 7), at(1)), Err(Refusal::Ask));
    assert_eq!(registry.admit(&refund("2", 7), at(2)), Err(Refusal::Ask));
    assert!(registry.is_asking(at(3)));
    registry.answered(false, at(3));
    assert!(!registry.is_asking(at(3)));
    assert_eq!(registry.admit(&refund("3", 7), at(4)), Err(Refusal::Ask));
    registry.answered(true, at(5));
    // A yes is for what was asked, and for once.
    assert_eq!(registry.admit(&refund("4", 8), at(6)), Err(Refusal::Ask));
    registry.answered(true, at(7));
    assert!(registry.admit(&refund("5", 8), at(8)).is_ok());
    assert_eq!(registry.admit(&refund("6", 8), at(9)), Err(Refusal::Ask));
    registry.answered(true, at(10));
    registry.settle("5", Settled::Answered(&Outcome::done("ok")), at(10));
    assert!(registry.admit(&refund("7", 8), at(11)).is_ok());
    registry.settle("7", Settled::Answered(&Outcome::failed("no")), at(12));
    assert_eq!(registry.admit(&refund("8", 8), at(13)), Err(Refusal::ToolLimit(2)));
    let seen = verdicts(&mut registry);
    assert!(seen.contains(&"crm__refund approved".to_owned()) && seen.contains(&"crm__refund failed 1".to_owned()));
    assert!(seen.contains(&"crm__refund agreed=false".to_owned()));
}

#[test]
fn a_yes_holds_for_a_minute_and_not_for_whatever_comes() {
    let mut registry = registry();
    let refund = |id: &str| call(id, "crm__refund", json!({"id": 7}));
    registry.answered(true, at(0));
    assert_eq!(registry.admit(&refund("1"), at(1)), Err(Refusal::Ask));
    registry.answered(true, at(62));
    assert_eq!(registry.admit(&refund("2"), at(63)), Err(Refusal::Ask));
    registry.answered(true, at(64));
    assert_eq!(registry.admit(&refund("3"), at(124)), Err(Refusal::Ask));
}

#[test]
fn a_persona_may_be_stricter_than_the_configuration_and_never_laxer() {
    let mut registry = registry();
    assert_eq!(registry.admit(&call("1", "crm__guarded", json!({})), at(0)), Err(Refusal::Ask));
}

#[test]
fn arguments_that_fit_and_cannot_be_done_are_explained() {
    let mut registry = registry();
    let impossible = registry.admit(&call("1", "take_note", json!({"text": "  "})), at(0)).unwrap_err();
    assert_eq!(
        (impossible.code(), impossible.to_string().as_str()),
        ("impossible", "This cannot be done: text is empty.")
    );
    let none = Call { arguments: String::new(), ..call("2", "hang_up", json!({})) };
    let admitted = registry.admit(&none, at(0)).unwrap();
    assert_eq!(admitted.does, Does::BuiltIn(Action::HangUp { why: String::new() }));
    let transfer = registry.admit(&call("3", "transfer", json!({"to": "sales"})), at(0)).unwrap();
    assert!(matches!(transfer.does, Does::BuiltIn(Action::Transfer { to, .. }) if to == "sip:sales@office.example"));
}

#[derive(Clone, Debug)]
enum Step {
    Admit(u8, usize, i64),
    Settle(u8),
    Answer(bool),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u8..12, 0usize..5, 0i64..3).prop_map(|(id, tool, order)| Step::Admit(id, tool, order)),
        (0u8..12).prop_map(Step::Settle),
        any::<bool>().prop_map(Step::Answer),
        (0u64..20).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn whatever_happens_limits_hold_and_nothing_is_done_twice(steps in steps()) {
        let mut registry = registry();
        let mut now = at(0);
        let mut carried_out = std::collections::BTreeSet::new();
        let mut refunds = 0;
        let mut yeses = 0;
        for step in steps {
            match step {
                Step::Admit(id, tool, order) => {
                    let name = ["crm__find", "crm__refund", "take_note", "admin__delete", "crm__wipe"][tool];
                    let arguments = if tool == 2 { json!({"text": "x"}) } else { json!({"id": order}) };
                    let wish = call(&id.to_string(), name, arguments);
                    if registry.admit(&wish, now).is_ok() {
                        prop_assert!(tool < 3);
                        prop_assert!(carried_out.insert((wish.id, wish.name, wish.arguments)));
                        refunds += u32::from(tool == 1);
                    }
                }
                Step::Settle(id) => {
                    registry.settle(&id.to_string(), Settled::Cancelled, now);
                }
                Step::Answer(yes) => {
                    yeses += u32::from(yes && registry.is_asking(now));
                    registry.answered(yes, now);
                }
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    registry.expire(now);
                    prop_assert!(registry.due().is_none_or(|due| due > now));
                }
            }
            prop_assert!(carried_out.len() <= 6 && registry.under_way.len() <= 2);
            prop_assert!(refunds <= 2 && refunds <= yeses);
        }
    }
}
