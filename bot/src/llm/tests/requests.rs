//! What goes out to each vendor.

use serde_json::{Value, json};

use super::provider;
use crate::llm::{Call, Kind, Message, MustCall, Request, ToolSpec, anthropic, openai};

fn request() -> Request {
    let call = |id: &str, arguments: &str| Call {
        id: id.to_owned(),
        name: "weather".to_owned(),
        arguments: arguments.to_owned(),
    };
    let result = |id: &str, content: &str, is_error: bool| Message::ToolResult {
        id: id.to_owned(),
        name: "weather".to_owned(),
        content: content.to_owned(),
        is_error,
    };
    Request {
        system: "You are kind.".to_owned(),
        messages: vec![
            Message::Assistant { text: "Guten Tag! ".to_owned(), calls: Vec::new() },
            Message::User("Regnet es?".to_owned()),
            Message::Assistant {
                text: String::new(),
                calls: vec![call("a", "{\"city\":\"Köln\"}"), call("b", "{\"ci")],
            },
            result("b", "no such city", true),
            result("a", "rain", false),
            Message::User("Und?".to_owned()),
        ],
        tools: vec![ToolSpec {
            name: "weather".to_owned(),
            description: "Tells the weather.".to_owned(),
            parameters: json!({ "type": "object" }),
        }],
        max_tokens: 300,
        temperature: Some(1.5),
        must_call: MustCall::Nothing,
    }
}

#[test]
fn openai_is_told_the_whole_conversation_in_its_order() {
    let body = openai::body(&provider("p", Kind::Compatible, "http://h/v1"), &request());
    assert_eq!(
        body,
        json!({
            "model": "some-model", "stream": true, "stream_options": { "include_usage": true },
            "max_tokens": 300, "temperature": 1.5,
            "messages": [
                { "role": "system", "content": "You are kind." },
                { "role": "assistant", "content": "Guten Tag! " },
                { "role": "user", "content": "Regnet es?" },
                { "role": "assistant", "content": null, "tool_calls": [
                    { "id": "a", "type": "function",
                      "function": { "name": "weather", "arguments": "{\"city\":\"Köln\"}" } },
                    { "id": "b", "type": "function", "function": { "name": "weather", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "a", "content": "rain" },
                { "role": "tool", "tool_call_id": "b", "content": "error: no such city" },
                { "role": "user", "content": "Und?" },
            ],
            "tools": [{ "type": "function", "function": {
                "name": "weather", "description": "Tells the weather.", "parameters": { "type": "object" } } }],
        })
    );
}

#[test]
fn openai_itself_and_azure_name_the_limit_anew() {
    for (kind, name) in [
        (Kind::OpenAi, "max_completion_tokens"),
        (Kind::Azure, "max_completion_tokens"),
        (Kind::Compatible, "max_tokens"),
    ] {
        let body = openai::body(&provider("p", kind, "http://h/v1"), &request());
        assert_eq!(body[name], 300);
        assert_eq!(["max_tokens", "max_completion_tokens"].iter().filter(|name| body.get(name).is_some()).count(), 1);
    }
}

#[test]
fn anthropic_is_told_the_same_in_turns_a_person_first() {
    let body = anthropic::body(&provider("p", Kind::Anthropic, "http://h/v1"), &request());
    assert_eq!(
        body,
        json!({
            "model": "some-model", "stream": true, "max_tokens": 300, "temperature": 1.0,
            "system": [{ "type": "text", "text": "You are kind.", "cache_control": { "type": "ephemeral" } }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "(The call begins.)" }] },
                { "role": "assistant", "content": [{ "type": "text", "text": "Guten Tag!" }] },
                { "role": "user", "content": [{ "type": "text", "text": "Regnet es?" }] },
                { "role": "assistant", "content": [
                    { "type": "tool_use", "id": "a", "name": "weather", "input": { "city": "Köln" } },
                    { "type": "tool_use", "id": "b", "name": "weather", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "a", "content": "rain", "is_error": false },
                    { "type": "tool_result", "tool_use_id": "b", "content": "no such city", "is_error": true },
                    { "type": "text", "text": "Und?" },
                ] },
            ],
            "tools": [{ "name": "weather", "description": "Tells the weather.", "input_schema": { "type": "object" } }],
        })
    );
}

#[test]
fn anthropic_always_hears_a_person_first_and_last() {
    let provider = provider("p", Kind::Anthropic, "http://h/v1");
    let assistant = |text: &str| Message::Assistant { text: text.to_owned(), calls: Vec::new() };
    for messages in [
        vec![],
        vec![assistant("Hello?")],
        vec![Message::User("a".into()), Message::User("b".into()), assistant("c"), assistant("d")],
    ] {
        let body = anthropic::body(&provider, &Request { messages, max_tokens: 9, ..Request::default() });
        let roles: Vec<&str> =
            body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!((roles.first(), roles.last()), (Some(&"user"), Some(&"user")), "{body}");
        assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "{roles:?}");
        assert!(body.get("system").is_none() && body.get("tools").is_none() && body.get("temperature").is_none());
    }
}

#[test]
fn a_name_that_a_model_made_up_is_written_as_vendors_take_it() {
    let call = |name: &str| Call { id: "000000001".to_owned(), name: name.to_owned(), arguments: "{}".to_owned() };
    let calls = vec![call("calendar.book"), call(&"ü".repeat(70))];
    let messages = vec![Message::User("a".into()), Message::Assistant { text: String::new(), calls }];
    let request = Request { messages, max_tokens: 9, ..Request::default() };
    let body = openai::body(&provider("p", Kind::Compatible, "http://h/v1"), &request);
    let names =
        |calls: &Value, at: &str| [0_usize, 1].map(|n| calls[n].pointer(at).unwrap().as_str().unwrap().to_owned());
    let expected = ["calendar_book".to_owned(), "_".repeat(64)];
    assert_eq!(names(&body["messages"][1]["tool_calls"], "/function/name"), expected);
    let body = anthropic::body(&provider("p", Kind::Anthropic, "http://h/v1"), &request);
    assert_eq!(names(&body["messages"][1]["content"], "/name"), expected);
}

#[test]
fn extras_are_added_and_do_not_overrule_the_request() {
    for kind in [Kind::Compatible, Kind::Anthropic] {
        let mut provider = provider("p", kind, "http://h/v1");
        let extras = json!({ "reasoning_effort": "minimal", "stream": false, "model": "other" });
        let Value::Object(extras) = extras else { panic!("an object") };
        provider.extra = extras;
        let body = if kind == Kind::Anthropic {
            anthropic::body(&provider, &request())
        } else {
            openai::body(&provider, &request())
        };
        assert_eq!(
            (&body["reasoning_effort"], &body["stream"], &body["model"]),
            (&json!("minimal"), &json!(true), &json!("some-model"))
        );
    }
}

#[test]
fn a_call_is_forced_as_each_vendor_has_it_and_only_of_what_is_offered() {
    let any = || MustCall::Any;
    let this = |name: &str| MustCall::This(name.to_owned());
    for (must_call, by_openai, by_anthropic) in [
        (MustCall::Nothing, Value::Null, Value::Null),
        (any(), json!("required"), json!({ "type": "any" })),
        (
            this("weather"),
            json!({ "type": "function", "function": { "name": "weather" } }),
            json!({ "type": "tool", "name": "weather" }),
        ),
        (this("refund"), Value::Null, Value::Null),
    ] {
        let request = Request { must_call, ..request() };
        assert_eq!(openai::body(&provider("p", Kind::OpenAi, "http://h/v1"), &request)["tool_choice"], by_openai);
        let mut vendor = provider("p", Kind::Anthropic, "http://h/v1");
        assert_eq!(anthropic::body(&vendor, &request)["tool_choice"], by_anthropic);
        vendor.extra.insert("thinking".to_owned(), json!({ "type": "enabled", "budget_tokens": 1_024 }));
        assert!(anthropic::body(&vendor, &request).get("tool_choice").is_none(), "whoever thinks cannot be forced");
    }
    let none = Request { tools: Vec::new(), must_call: any(), ..request() };
    assert!(openai::body(&provider("p", Kind::Compatible, "http://h/v1"), &none).get("tool_choice").is_none());
}

#[test]
fn a_temperature_that_is_no_number_is_left_out() {
    let odd = Request { temperature: Some(f32::NAN), ..request() };
    assert!(openai::body(&provider("p", Kind::OpenAi, "http://h/v1"), &odd).get("temperature").is_none());
    assert!(anthropic::body(&provider("p", Kind::Anthropic, "http://h/v1"), &odd).get("temperature").is_none());
}
