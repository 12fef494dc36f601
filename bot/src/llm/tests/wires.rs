//! Answers of the vendors, byte by byte.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{call, done, numbered, text, word};
use crate::llm::{
    Delta, Fault, Kind, Stop, Trouble,
    stream::{ANSWER_BYTES_MAX, CALL_BYTES_MAX, CALLS_MAX, Stream, TEXT_BYTES_MAX},
};

const KINDS: [Kind; 4] = [Kind::OpenAi, Kind::Compatible, Kind::Azure, Kind::Anthropic];

/// What comes of bytes that come in these pieces, and how it ended.
fn read<'a>(kind: Kind, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Delta>, Result<(), Trouble>) {
    let (mut stream, mut deltas) = (Stream::new(kind, "home".into()), Vec::new());
    for piece in pieces {
        if stream.is_done() {
            break;
        }
        if let Err(trouble) = stream.push(piece, &mut deltas) {
            return (numbered(deltas), Err(trouble));
        }
    }
    let ended = stream.end(&mut deltas);
    assert_eq!(ended.is_ok(), stream.is_done());
    (numbered(deltas), ended)
}

/// Events as OpenAI sends them.
fn openai(chunks: &[Value]) -> Vec<u8> {
    let mut stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    stream.push_str("data: [DONE]\n\n");
    stream.into_bytes()
}

fn said(delta: Value) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn stopped(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn counted(input: u32, output: u32) -> Value {
    json!({ "choices": [], "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output } })
}

/// Events as Anthropic sends them.
fn anthropic(events: &[Value]) -> Vec<u8> {
    let events = events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    events.collect::<String>().into_bytes()
}

fn message_start(input: u32) -> Value {
    json!({ "type": "message_start", "message": { "id": "m", "role": "assistant", "content": [],
            "usage": { "input_tokens": input, "cache_read_input_tokens": 100, "output_tokens": 1 } } })
}

fn message_end(reason: &str, output: u32) -> [Value; 2] {
    [
        json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": output } }),
        json!({ "type": "message_stop" }),
    ]
}

fn all(kind: Kind, bytes: &[u8]) -> Vec<Delta> {
    let (deltas, ended) = read(kind, [bytes]);
    assert_eq!(ended, Ok(()));
    deltas
}

fn trouble(kind: Kind, bytes: &[u8]) -> Trouble {
    read(kind, [bytes]).1.unwrap_err()
}

#[test]
fn words_come_as_they_are_written_and_the_count_with_the_end() {
    let chunks = [
        said(json!({ "role": "assistant", "content": "" })),
        said(json!({ "content": "Grüß" })),
        said(json!({ "content": " Gott." })),
        stopped("stop"),
        counted(20, 3),
    ];
    assert_eq!(all(Kind::OpenAi, &openai(&chunks)), [text("Grüß"), text(" Gott."), done(Stop::End, 20, 3)]);
}

#[test]
fn an_answer_without_count_or_last_word_is_whole_when_the_model_has_stopped() {
    let chunks = [said(json!({ "content": "Yes." })), stopped("stop")];
    let stream = openai(&chunks);
    assert_eq!(all(Kind::Compatible, &stream), [text("Yes."), done(Stop::End, 0, 0)]);
    let without_end = &stream[..stream.len() - "data: [DONE]\n\n".len()];
    assert_eq!(all(Kind::Compatible, without_end), [text("Yes."), done(Stop::End, 0, 0)]);
}

#[test]
fn calls_are_put_together_by_their_numbers_and_given_out_whole() {
    let chunks = [
        said(json!({ "role": "assistant", "content": null, "tool_calls": [
            { "index": 0, "id": "a", "type": "function", "function": { "name": "weather", "arguments": "" } }] })),
        said(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"city\":" } }] })),
        said(json!({ "tool_calls": [
            { "index": 1, "id": "b", "type": "function", "function": { "name": "time", "arguments": "{" } },
            { "index": 0, "function": { "arguments": "\"Köln\"}" } }] })),
        said(json!({ "tool_calls": [{ "index": 1, "function": { "arguments": "}" } }] })),
        stopped("tool_calls"),
        counted(5, 9),
    ];
    assert_eq!(
        all(Kind::OpenAi, &openai(&chunks)),
        [call(1, "weather", "{\"city\":\"Köln\"}"), call(2, "time", "{}"), done(Stop::Calls, 5, 9)]
    );
}

#[test]
fn calls_of_servers_with_ways_of_their_own_are_understood() {
    let whole = |index: Value, id: Value, name: &str, arguments: Value| json!({ "index": index, "id": id, "function": { "name": name, "arguments": arguments } });
    let two = |first: &str, second: &str| {
        vec![call(1, first, "{\"x\":1}"), call(2, second, "{\"x\":2}"), done(Stop::Calls, 0, 0)]
    };
    let (x1, x2) = (json!("{\"x\":1}"), json!("{\"x\":2}"));
    for (way, pieces, calls) in [
        (
            "every call is number 0 and the end is no call's",
            vec![
                vec![whole(json!(0), json!("a"), "f", x1.clone())],
                vec![whole(json!(0), json!("b"), "f", x2.clone())],
            ],
            two("f", "f"),
        ),
        (
            "no numbers",
            vec![vec![
                whole(json!(null), json!("a"), "f", x1.clone()),
                whole(json!(null), json!("b"), "g", x2.clone()),
            ]],
            two("f", "g"),
        ),
        (
            "neither numbers nor ids",
            vec![vec![
                whole(json!(null), json!(null), "f", x1.clone()),
                whole(json!(null), json!(""), "f", x2.clone()),
            ]],
            two("f", "f"),
        ),
        (
            "arguments as objects",
            vec![vec![
                whole(json!(0), json!("a"), "f", json!({ "x": 1 })),
                whole(json!(1), json!("b"), "g", json!({ "x": 2 })),
            ]],
            two("f", "g"),
        ),
        (
            "an id for every piece",
            vec![
                vec![whole(json!(0), json!("a"), "f", json!("{\"x\""))],
                vec![json!({ "index": 0, "id": "a2", "function": { "arguments": ":1}" } })],
                vec![whole(json!(1), json!("b"), "g", x2.clone())],
            ],
            two("f", "g"),
        ),
        (
            "the name with every piece",
            vec![
                vec![whole(json!(0), json!("a"), "f", json!("{\"x\""))],
                vec![whole(json!(0), json!("a"), "f", json!(":1}"))],
                vec![whole(json!(1), json!("b"), "g", x2.clone())],
            ],
            two("f", "g"),
        ),
    ] {
        let mut chunks: Vec<Value> = pieces.into_iter().map(|calls| said(json!({ "tool_calls": calls }))).collect();
        chunks.push(stopped("stop"));
        assert_eq!(all(Kind::Compatible, &openai(&chunks)), calls, "{way}");
    }
}

#[test]
fn reasons_to_stop_are_told_apart() {
    for (reason, why) in [
        ("stop", Stop::End),
        ("length", Stop::Length),
        ("content_filter", Stop::Refused),
        ("tool_calls", Stop::End),
        ("eos", Stop::End),
    ] {
        let deltas = all(Kind::Azure, &openai(&[said(json!({ "content": "x" })), stopped(reason)]));
        assert_eq!(deltas, [text("x"), done(why, 0, 0)], "{reason}");
    }
    let refusal = [said(json!({ "refusal": "No." })), stopped("stop")];
    assert_eq!(all(Kind::OpenAi, &openai(&refusal)), [text("No."), done(Stop::End, 0, 0)]);
    let filtered = [json!({ "choices": [], "prompt_filter_results": [{}] }), stopped("content_filter")];
    assert_eq!(all(Kind::Azure, &openai(&filtered)), [done(Stop::Refused, 0, 0)]);
}

#[test]
fn ids_are_our_own_and_never_come_again() {
    let whole = json!({ "index": 0, "id": "0", "function": { "name": "f", "arguments": "{}" } });
    let bytes = openai(&[said(json!({ "tool_calls": [whole] })), stopped("tool_calls")]);
    let ids = [(); 3].map(|()| {
        let (mut stream, mut deltas) = (Stream::new(Kind::Compatible, "home".into()), Vec::new());
        stream.push(&bytes, &mut deltas).unwrap();
        let Some(Delta::Call(call)) = deltas.first() else { panic!("{deltas:?}") };
        call.id.clone()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn half_a_call_is_never_given_out() {
    let piece = said(
        json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "pay", "arguments": "{\"sum\":1" } }] }),
    );
    let cut = openai(&[said(json!({ "content": "So" })), piece.clone(), stopped("length")]);
    assert_eq!(all(Kind::OpenAi, &cut), [text("So"), done(Stop::Length, 0, 0)]);
    let broken_off = openai(&[piece]);
    let broken_off = &broken_off[..broken_off.len() - "data: [DONE]\n\n".len()];
    let (deltas, ended) = read(Kind::OpenAi, [broken_off]);
    assert_eq!((deltas, ended), (vec![], Err(Trouble::CutOff { provider: "home".into() })));
    let nameless = openai(&[said(json!({ "tool_calls": [{ "index": 0, "id": "a" }] })), stopped("tool_calls")]);
    assert_eq!(word(&trouble(Kind::OpenAi, &nameless)), "garbled");
}

#[test]
fn what_is_no_answer_is_a_trouble_of_the_provider() {
    for (bytes, expected) in [
        (openai(&[]), "cut_off"),
        (b"".to_vec(), "cut_off"),
        (b"<html><body>502 Bad Gateway</body></html>".to_vec(), "cut_off"),
        (b"data: <html>\n\n".to_vec(), "garbled"),
        (b"data: {\"choices\": [{\"delta\"\n\n".to_vec(), "garbled"),
        (b"data: [1, 2]\n\n".to_vec(), "garbled"),
        (b"data: {\"choices\": 7}\n\n".to_vec(), "garbled"),
        (b"data: \xff\xfe{\n\n".to_vec(), "garbled"),
        (openai(&[stopped("stop")]), "empty"),
        (openai(&[said(json!({ "content": " \n" })), stopped("stop")]), "empty"),
        (openai(&[said(json!({ "reasoning": "hm" })), stopped("length")]), "empty"),
        (openai(&[stopped("abort")]), "cut_off"),
        (openai(&[stopped("error")]), "failed"),
    ] {
        let trouble = trouble(Kind::Compatible, &bytes);
        assert_eq!(word(&trouble), expected, "{:?}", bytes.escape_ascii().to_string());
        assert_eq!(trouble.fault(), Fault::Provider);
    }
}

#[test]
fn what_was_said_before_an_error_was_said() {
    let chunks = [said(json!({ "content": "Well," })), json!({ "error": { "message": "secret words", "code": 503 } })];
    let (deltas, ended) = read(Kind::Compatible, [&openai(&chunks)[..]]);
    assert_eq!(deltas, [text("Well,")]);
    let trouble = ended.unwrap_err();
    assert_eq!((word(&trouble), trouble.to_string().contains("secret")), ("busy", false));
}

#[test]
fn thoughts_and_half_characters_are_not_said() {
    let chunks = [
        said(json!({ "reasoning_content": "The caller wants" })),
        said(json!({ "content": "<thi" })),
        said(json!({ "content": "nk>Hm.</think>\n\nGut" })),
        said(json!({ "content": "en \u{fffd}Tag" })),
        stopped("stop"),
    ];
    assert_eq!(all(Kind::Compatible, &openai(&chunks)), [text("Gut"), text("en Tag"), done(Stop::End, 0, 0)]);
    // A byte that is no text inside a string harms that character alone.
    let bytes = b"data: {\"choices\":[{\"delta\":{\"content\":\"ja\xff!\"},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(all(Kind::Compatible, bytes), [text("ja!"), done(Stop::End, 0, 0)]);
}

#[test]
fn thoughts_are_no_beginning_and_calls_are() {
    let (mut stream, mut deltas) = (Stream::new(Kind::Compatible, "home".into()), Vec::new());
    let chunk = |value: Value| format!("data: {value}\n\n").into_bytes();
    stream.push(b": keep-alive\n\n", &mut deltas).unwrap();
    assert_eq!((stream.steps(), stream.has_begun()), (0, false));
    stream.push(&chunk(said(json!({ "reasoning": "hm" }))), &mut deltas).unwrap();
    assert_eq!((stream.steps(), stream.has_begun()), (1, false));
    let begins = json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "f" } }] });
    stream.push(&chunk(said(begins)), &mut deltas).unwrap();
    assert_eq!((stream.steps(), stream.has_begun(), deltas.len()), (2, true, 0));
    assert_eq!((stream.is_calling(), stream.written_bytes()), (true, "hmf".len()));
}

#[test]
fn an_endless_answer_ends_at_its_bounds() {
    let event = format!("data: {}\n\n", said(json!({ "content": "word ".repeat(100) }))).into_bytes();
    let many = event.repeat(TEXT_BYTES_MAX / 500 + 2);
    let (deltas, ended) = read(Kind::Compatible, many.chunks(4_096));
    assert_eq!(word(&ended.unwrap_err()), "too_long");
    let spoken: usize = deltas.iter().map(|delta| if let Delta::Text(text) = delta { text.len() } else { 0 }).sum();
    assert!(spoken <= TEXT_BYTES_MAX, "{spoken}");

    let keep_alive = b": still here\n\n".repeat(ANSWER_BYTES_MAX / 14 + 1);
    assert_eq!(word(&read(Kind::Compatible, keep_alive.chunks(65_536)).1.unwrap_err()), "too_long");
    assert_eq!(word(&trouble(Kind::Compatible, &vec![b'x'; 1 << 20])), "too_long");

    let calls: Vec<Value> =
        (0..=CALLS_MAX).map(|index| json!({ "index": index, "id": "a", "function": { "name": "f" } })).collect();
    assert_eq!(word(&trouble(Kind::Compatible, &openai(&[said(json!({ "tool_calls": calls }))]))), "too_long");
    let long =
        json!({ "tool_calls": [{ "index": 0, "function": { "name": "f", "arguments": "x".repeat(CALL_BYTES_MAX) } }] });
    assert_eq!(word(&trouble(Kind::Compatible, &openai(&[said(long)]))), "too_long");
}

#[test]
fn anthropics_blocks_become_words_and_calls() {
    let mut events = vec![
        message_start(20),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "thinking", "thinking": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "thinking_delta", "thinking": "hm" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "text_delta", "text": "One moment" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "text_delta", "text": "." } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "content_block_start", "index": 2,
                "content_block": { "type": "tool_use", "id": "toolu_1", "name": "weather", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 2, "delta": { "type": "input_json_delta", "partial_json": "" } }),
        json!({ "type": "content_block_delta", "index": 2,
                "delta": { "type": "input_json_delta", "partial_json": "{\"city\": \"K" } }),
        json!({ "type": "content_block_delta", "index": 2,
                "delta": { "type": "input_json_delta", "partial_json": "öln\"}" } }),
        json!({ "type": "content_block_stop", "index": 2 }),
        json!({ "type": "content_block_start", "index": 3,
                "content_block": { "type": "tool_use", "id": "toolu_2", "name": "time", "input": {} } }),
        json!({ "type": "content_block_stop", "index": 3 }),
        json!({ "type": "some_day", "anything": 1 }),
    ];
    events.extend(message_end("tool_use", 42));
    assert_eq!(
        all(Kind::Anthropic, &anthropic(&events)),
        [
            text("One moment"),
            text("."),
            call(1, "weather", "{\"city\": \"Köln\"}"),
            call(2, "time", "{}"),
            done(Stop::Calls, 120, 42)
        ]
    );
}

#[test]
fn anthropics_reasons_and_errors_are_told_apart() {
    let says = |reason: &str| {
        let mut events = vec![
            message_start(1),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "x" } }),
        ];
        events.extend(message_end(reason, 2));
        anthropic(&events)
    };
    for (reason, why) in [
        ("end_turn", Stop::End),
        ("stop_sequence", Stop::End),
        ("max_tokens", Stop::Length),
        ("model_context_window_exceeded", Stop::Length),
        ("refusal", Stop::Refused),
        ("pause_turn", Stop::End),
    ] {
        assert_eq!(all(Kind::Anthropic, &says(reason)), [text("x"), done(why, 101, 2)], "{reason}");
    }
    for (kind, expected) in [
        ("overloaded_error", "busy"),
        ("rate_limit_error", "busy"),
        ("api_error", "failed"),
        ("invalid_request_error", "refused"),
        ("authentication_error", "refused"),
    ] {
        let error = json!({ "type": "error", "error": { "type": kind, "message": "words of a caller" } });
        let trouble = trouble(Kind::Anthropic, &anthropic(&[message_start(1), error]));
        assert_eq!(word(&trouble), expected, "{kind}");
        assert!(trouble.to_string().contains(kind) && !trouble.to_string().contains("words"), "{trouble}");
    }
    for (bytes, expected) in [
        (anthropic(&[message_start(1)]), "cut_off"),
        (b"event: message_start\ndata: {\"type\":\"message_start\"}\n\n".to_vec(), "garbled"),
        (b"data: {}\n\n".to_vec(), "garbled"),
        (b"data: nonsense\n\n".to_vec(), "garbled"),
        (anthropic(&message_end("end_turn", 0)), "empty"),
    ] {
        assert_eq!(word(&trouble(Kind::Anthropic, &bytes)), expected, "{:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn half_a_call_of_anthropics_is_never_given_out() {
    let mut events = vec![
        message_start(1),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "So" } }),
        json!({ "type": "content_block_start", "index": 1,
                "content_block": { "type": "tool_use", "id": "t", "name": "pay", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1,
                "delta": { "type": "input_json_delta", "partial_json": "{\"sum\": 1" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
    ];
    let (deltas, ended) = read(Kind::Anthropic, [&anthropic(&events)[..]]);
    assert_eq!((deltas, word(&ended.unwrap_err())), (vec![text("So")], "cut_off"));
    events.extend(message_end("max_tokens", 9));
    assert_eq!(all(Kind::Anthropic, &anthropic(&events)), [text("So"), done(Stop::Length, 101, 9)]);
}

/// Streams that are nearly well: whole events of every vendor, some of them damaged, in any order.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let mut known: Vec<Vec<u8>> = vec![
        openai(&[said(json!({ "content": "Grüß <think>dich</think>" })), stopped("stop"), counted(1, 2)]),
        openai(&[
            said(json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "f", "arguments": "{}" } }] })),
            stopped("tool_calls"),
        ]),
        anthropic(&message_end("end_turn", 3)),
        b": ping\r\n\r\ndata: \xff\r\r".to_vec(),
    ];
    let tool = json!({ "type": "content_block_start", "index": 0,
                       "content_block": { "type": "tool_use", "id": "t", "name": "f", "input": {} } });
    let piece = json!({ "type": "content_block_delta", "index": 0,
                        "delta": { "type": "input_json_delta", "partial_json": "{\"ü\":1}" } });
    let words = json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "text_delta", "text": "Öl" } });
    known.push(anthropic(&[message_start(1), tool, piece, words]));
    let part = (proptest::sample::select(known), any::<proptest::sample::Index>(), 0_u8..6, any::<u8>());
    let part = part.prop_map(|(mut part, at, damage, byte)| {
        let at = at.index(part.len());
        match damage {
            0 => part.truncate(at),
            1 => part[at] = byte,
            _ => {}
        }
        part
    });
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_cutting_of_bytes_gives_the_same_deltas(bytes in streams(), size in 1_usize..24) {
        for kind in KINDS {
            prop_assert_eq!(read(kind, bytes.chunks(size)), read(kind, [&bytes[..]]));
        }
    }

    #[test]
    fn any_bytes_end_in_an_answer_or_a_trouble(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for kind in KINDS {
            let (deltas, ended) = read(kind, [&bytes[..]]);
            let whole = deltas.iter().filter(|delta| matches!(delta, Delta::Done(_))).count();
            prop_assert_eq!(whole, usize::from(ended.is_ok()));
        }
    }

    #[test]
    fn any_json_in_an_event_ends_in_an_answer_or_a_trouble(
        text in r#"(\{|\}|\[|\]|:|,|"choices"|"delta"|"content"|"tool_calls"|"index"|"finish_reason"|"type"|"message_start"|"usage"|"error"|null|7|-1|1e99|"x"){0,20}"#,
    ) {
        let bytes = format!("data: {text}\n\n").into_bytes();
        for kind in KINDS {
            prop_assert!(read(kind, [&bytes[..]]).1.is_err(), "nothing here stops");
        }
    }
}
