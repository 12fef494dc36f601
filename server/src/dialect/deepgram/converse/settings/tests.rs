//! What clients ask for, and what becomes of it.

use super::*;

fn read(settings: Value) -> Result<Wanted, Refused> {
    Wanted::read(serde_json::from_value(settings).unwrap(), &[("house", "llama-3")])
}

#[test]
fn what_is_left_out_is_as_the_public_service_has_it() {
    let wanted = read(json!({"audio": {}, "agent": {}})).unwrap();
    assert_eq!(wanted.input, Input::Raw { encoding: Encoding::Linear16, rate_hz: 24_000, channels: 1 });
    assert_eq!(wanted.output, encode::Format { coding: Coding::Linear16, is_wav: false, rate_hz: 24_000 });
    assert!(wanted.persona.greeting.is_empty() && wanted.persona.tools.is_empty() && wanted.warnings.is_empty());
    assert_eq!((wanted.listening.language.as_deref(), wanted.keeps_history), (Some("en"), true));
}

#[test]
fn an_agent_becomes_a_persona_with_functions_and_a_past() {
    let wanted = read(json!({
        "audio": {"input": {"encoding": "mulaw", "sample_rate": 8000.0}, "output": {"encoding": "alaw"}},
        "flags": {"history": false},
        "agent": {
            "greeting": " Guten Tag! ",
            "listen": {"provider": {"type": "deepgram", "model": "nova-3", "language": "de", "keyterms": ["Kiel"]}},
            "think": [
                {"provider": {"type": "open_ai", "model": "gpt-unknown"}, "prompt": "Nobody."},
                {
                    "provider": {"type": "open_ai", "model": "llama-3", "temperature": 0.5},
                    "prompt": "You sell flowers.",
                    "functions": [{"name": "stock", "description": "How many are left", "defer_until_eot": true}],
                },
            ],
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}},
            "context": {"messages": [
                {"type": "History", "role": "user", "content": "Hallo"},
                {"type": "History", "function_calls": [
                    {"id": "1", "name": "stock", "client_side": true, "arguments": "{}", "response": "7"},
                ]},
            ]},
        },
    }))
    .unwrap();
    let persona = &wanted.persona;
    assert_eq!(persona.greeting_in(Language::GERMAN), Some("Guten Tag!"));
    assert_eq!((persona.instructions.as_str(), &persona.tools[..]), ("You sell flowers.", &["stock".to_owned()][..]));
    assert_eq!((persona.models.primary.as_deref(), persona.models.temperature_milli), (Some("house"), Some(500)));
    assert_eq!(persona.voice.in_language(Language::GERMAN), Some("man"));
    let function = &wanted.thinking.functions[0];
    assert!(!function.rule.is_safe_to_cancel && function.parameters["type"] == "object");
    let listening = &wanted.listening;
    assert_eq!((listening.language.as_deref(), &listening.keyterms[..]), (Some("de"), &["Kiel".to_owned()][..]));
    assert!(matches!(
        &wanted.past[..],
        [llm::Message::User(_), llm::Message::Assistant { .. }, llm::Message::ToolResult { content, .. }] if content == "7"
    ));
    assert!(!wanted.keeps_history && wanted.warnings.is_empty());
    assert_eq!(wanted.output.rate_hz, 8_000);
}

#[test]
fn what_cannot_be_done_names_its_field() {
    for (field, settings) in [
        ("agent", json!({"agent": "a1b2"})),
        ("agent", json!({"agent": {"greeting": 7}})),
        ("audio.input.encoding", json!({"audio": {"input": {"encoding": "amr-nb"}}, "agent": {}})),
        ("audio.input.sample_rate", json!({"audio": {"input": {"sample_rate": 1}}, "agent": {}})),
        ("audio.output.encoding", json!({"audio": {"output": {"encoding": "mp3"}}, "agent": {}})),
        ("audio.output.container", json!({"audio": {"output": {"container": "wav"}}, "agent": {}})),
        ("audio.output.sample_rate", json!({"audio": {"output": {"sample_rate": 11_025}}, "agent": {}})),
        ("agent.think", json!({"agent": {"think": []}})),
        ("agent.think.endpoint", json!({"agent": {"think": {"endpoint": {"url": "http://127.0.0.1/"}}}})),
        ("agent.think.prompt", json!({"agent": {"think": {"prompt": "x".repeat(25_001)}}})),
        ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "a b"}]}}})),
        ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "hang_up"}]}}})),
        ("agent.think.functions.endpoint", json!({"agent": {"think": {"functions": [{"name": "a", "endpoint": {}}]}}})),
        (
            "agent.think.endpoint",
            json!({"agent": {"think": {
                "provider": {"type": "google", "model": "m"}, "endpoint": {"url": "https://llm.example/"},
            }}}),
        ),
        ("agent.think.functions", json!({"agent": {"think": {"functions": [{"name": "a", "parameters": 7}]}}})),
        (
            "agent.think.functions",
            json!({"agent": {"think": {"functions": [{"name": "a", "description": "x".repeat(70_000)}]}}}),
        ),
        ("agent.greeting", json!({"agent": {"greeting": "a! ".repeat(4_000)}})),
        (
            "agent.context.messages",
            json!({"agent": {"context": {"messages": [{"role": "user", "content": "x".repeat(41_000)}]}}}),
        ),
        ("agent.listen.provider.language", json!({"agent": {"language": "tlh"}})),
        ("agent.context.messages", json!({"agent": {"context": {"messages": [{"role": "x", "content": ""}]}}})),
    ] {
        let refused = read(settings.clone()).err().unwrap_or_else(|| panic!("{settings} is fine"));
        assert_eq!(refused.field, field, "{settings}");
    }
}

#[test]
fn a_client_is_warned_where_another_model_answers() {
    let think = json!({"agent": {"think": {"provider": {"type": "open_ai", "model": "gpt-4o"}}}});
    let warnings = read(think.clone()).unwrap().warnings;
    assert!(matches!(&warnings[..], [Told::Warning { code: "MODEL_NOT_CONFIGURED", .. }]), "{warnings:?}");
    let without = Wanted::read(serde_json::from_value(think).unwrap(), &[]).unwrap().warnings;
    assert!(matches!(&without[..], [Told::Warning { code: "NO_MODEL", .. }]), "{without:?}");
}

#[test]
fn a_client_may_bring_its_own_model_and_functions_and_go_back() {
    let mut wanted = read(json!({"agent": {"think": {
        "provider": {"type": "open_ai", "model": "gpt-unknown", "temperature": 0.25},
        "endpoint": {"url": "https://llm.example/v1/chat/completions", "headers": {"authorization": "Bearer k"}},
        "functions": [
            {"name": "stock", "endpoint": {"url": "https://shop.example/stock", "method": "get"}},
            {"name": "sell"},
            {"name": "sell", "endpoint": {"url": "https://shop.example/sell"}},
        ],
        "context_length": "max",
    }}}))
    .unwrap();
    assert!(matches!(&wanted.warnings[..], [Told::Warning { code: "CONTEXT_LENGTH", .. }]), "{:?}", wanted.warnings);
    let thinking = &mut wanted.thinking;
    assert_eq!(thinking.model.as_ref().map(|own| own.model.as_str()), Some("gpt-unknown"));
    assert_eq!(thinking.functions.len(), 2);
    assert!(thinking.served.contains_key("stock") && !thinking.served.contains_key("sell"));
    assert_eq!(wanted.persona.models.temperature_milli, Some(250));
    let mut think = |think: Value| {
        think_as(OneOrMore::One(serde_json::from_value(think).unwrap()), &[], &mut wanted.persona, thinking).unwrap()
    };
    assert!(think(json!({"prompt": "Be brief."})).is_empty(), "its own model still thinks");
    let warnings = think(json!({"provider": {"type": "open_ai", "model": "gpt-4o"}}));
    assert!(matches!(&warnings[..], [Told::Warning { code: "NO_MODEL", .. }]), "{warnings:?}");
    assert!(wanted.thinking.model.is_none());
}

#[test]
fn what_is_listened_for_changes_by_what_is_given() {
    let Wanted { mut persona, mut listening, .. } = read(json!({"agent": {}})).unwrap();
    let mut listen = |provider: Value| {
        let told = listen_as(serde_json::from_value(provider).unwrap(), &mut persona, &mut listening);
        told.map(|told| (told.is_some(), listening.clone(), persona.languages.clone()))
    };
    let german = listen(json!({"type": "deepgram", "language": "de", "keyterms": ["Kiel"]})).unwrap();
    let expected = |language: Option<&str>, terms: &[&str]| Listening {
        language: language.map(str::to_owned),
        keyterms: terms.iter().map(|term| (*term).to_owned()).collect(),
    };
    assert_eq!(german, (false, expected(Some("de"), &["Kiel"]), vec![Language::GERMAN]));
    let same = listen(json!({"version": "v2", "model": "flux", "eot_threshold": 0.7})).unwrap();
    assert_eq!(same, (true, expected(Some("de"), &["Kiel"]), vec![Language::GERMAN]));
    assert_eq!(listen(json!({"language": null, "language_hints": null, "keyterms": null})).unwrap().1, same.1);
    let (_, any, both) = listen(json!({"language_hints": ["en", "de"], "keyterms": []})).unwrap();
    assert_eq!((any, both.len()), (expected(None, &[]), 2));
    assert!(listen(json!({"language": "tlh"})).is_err());
}

#[test]
fn a_voice_may_bring_its_language_along() {
    let mut persona = read(json!({"agent": {}})).unwrap().persona;
    let speak = json!({"provider": {"type": "eleven_labs", "model_id": "m", "voice": {"id": "x"}, "language": "de"}});
    speak_as(OneOrMore::One(serde_json::from_value(speak).unwrap()), &mut persona);
    assert_eq!((persona.language, persona.languages.len()), (Language::GERMAN, 2));
    assert!(persona.voice.is_empty());
}
