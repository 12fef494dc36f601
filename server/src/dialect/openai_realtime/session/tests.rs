//! Sessions as clients set them: what stays, what is refused, and what becomes of the rest.

use bot::{llm::MustCall, persona::TurnSettings};
use media::codec::raw::Encoding;
use tts::voice::Language;

use super::*;

fn session() -> Session {
    Session::new("sess_1".to_owned(), Kind::Realtime, "gpt-realtime")
}

fn updated(update: Value) -> (Session, Vec<Refused>) {
    session().update(&update, false).unwrap()
}

#[test]
fn what_is_left_out_stays_as_it_was() {
    let (session, idle) = updated(json!({
        "type": "realtime", "instructions": "You sell flowers.", "output_modalities": ["text"],
        "tools": [{"type": "function", "name": "stock", "parameters": {"type": "object"}}],
        "audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"voice": "cedar"}},
    }));
    assert!(idle.is_empty());
    let (session, _) = session.update(&json!({"audio": {"input": {"turn_detection": null}}}), true).unwrap();
    let told = session.to_json();
    assert_eq!(told["model"], "gpt-realtime");
    assert_eq!(told["instructions"], "You sell flowers.");
    assert_eq!(told["audio"]["input"]["format"], json!({"type": "audio/pcmu"}));
    assert_eq!(told["audio"]["output"]["voice"], "cedar");
    assert_eq!(told["audio"]["input"]["turn_detection"], Value::Null);
    assert_eq!(told["tools"][0]["name"], "stock");
    let (persona, functions) = session.persona(&["Be brief."], &[("house", "gpt-realtime")]);
    assert_eq!(persona.instructions, "You sell flowers.\nBe brief.");
    assert_eq!((persona.models.primary.as_deref(), functions.len()), (Some("house"), 1));
    assert!(persona.turn.answers_when_asked && !persona.turn.is_interruptible && persona.greeting.is_empty());
    assert_eq!(persona.voice.in_language(Language::GERMAN), Some("man"));
    assert_eq!(session.input(), Input::Raw { encoding: Encoding::MuLaw, rate_hz: 8_000, channels: 1 });
    assert_eq!(session.input_ms(800), 100);
}

#[test]
fn whoever_is_sent_what_was_told_changes_nothing() {
    let told = session().to_json();
    let (again, idle) = session().update(&told, true).unwrap();
    assert_eq!((again.to_json(), idle), (told, vec![]));
    let written = Session::new("sess_2".to_owned(), Kind::Transcription, "").to_json();
    assert_eq!(session().update(&written, false).unwrap().0.kind, Kind::Transcription);
}

#[test]
fn a_choice_says_what_the_model_has_to_call_also_in_one_answer_alone() {
    let tools = json!([{"type": "function", "name": "stock", "parameters": {"type": "object"}}]);
    let this = json!({"type": "function", "name": "stock"});
    let (plain, _) = updated(json!({"tools": tools}));
    for (choice, must_call, offered) in [
        (json!("auto"), MustCall::Nothing, 1),
        (json!("none"), MustCall::Nothing, 0),
        (json!("required"), MustCall::Any, 1),
        (this.clone(), MustCall::This("stock".to_owned()), 1),
    ] {
        let (always, _) = plain.update(&json!({"tool_choice": choice}), true).unwrap();
        let (once, _) = plain.for_response(&json!({"tool_choice": choice})).unwrap();
        for session in [always, once] {
            assert_eq!(session.to_json()["tool_choice"], choice);
            let (persona, functions) = session.persona(&[], &[]);
            assert_eq!((persona.models.must_call, functions.len()), (must_call.clone(), offered), "{choice}");
        }
    }
    assert_eq!(plain.to_json()["tool_choice"], "auto", "one answer changes no session");
    let (forced, _) = plain.update(&json!({"tool_choice": this}), true).unwrap();
    let refused = forced.update(&json!({"tools": []}), true).err().expect("the function that is named is gone");
    assert_eq!(refused.param, "session.tool_choice");
}

#[test]
fn a_detection_becomes_manners() {
    let of = |detection: Value| {
        updated(json!({"audio": {"input": {"turn_detection": detection}}})).0.persona(&[], &[]).0.turn
    };
    let server = of(json!({"type": "server_vad", "silence_duration_ms": 300, "idle_timeout_ms": 6_000}));
    assert_eq!((server.wait.as_millis(), server.wait_dictating.as_millis()), (300, 300));
    assert_eq!((server.idle_after.as_secs(), server.answers_when_asked), (6, false));
    let quiet = of(json!({"type": "semantic_vad", "eagerness": "low", "create_response": false}));
    assert!(quiet.answers_when_asked && quiet.is_interruptible);
    assert_eq!(quiet.wait_unsure, TurnSettings::default().wait_unsure * 2);
}

#[test]
fn noise_is_taken_out_where_a_session_says_which_until_it_says_null() {
    let of = |session: &Session, wanted: Value| {
        session.update(&json!({"audio": {"input": {"noise_reduction": wanted}}}), false).map(|(session, _)| session)
    };
    assert!(!session().suppresses_noise());
    for kind in ["near_field", "far_field"] {
        let noisy = of(&session(), json!({"type": kind})).unwrap();
        assert!(noisy.suppresses_noise(), "{kind}");
        assert_eq!(noisy.to_json()["audio"]["input"]["noise_reduction"], json!({"type": kind}));
        let (same, _) = noisy.update(&json!({"audio": {"input": {"transcription": null}}}), false).unwrap();
        assert!(same.suppresses_noise(), "what is left out stays");
        let plain = of(&noisy, Value::Null).unwrap();
        assert!(!plain.suppresses_noise());
        assert_eq!(plain.to_json()["audio"]["input"]["noise_reduction"], Value::Null);
    }
    for wanted in [json!({"type": "fan"}), json!({}), json!("near_field"), json!(7)] {
        let refused = of(&session(), wanted.clone()).err().unwrap_or_else(|| panic!("{wanted} is fine"));
        assert_eq!(refused.param, "session.audio.input.noise_reduction", "{wanted}");
    }
}

#[test]
fn what_cannot_be_done_names_its_field_and_what_has_no_effect_does_too() {
    for (param, update) in [
        ("session", json!(7)),
        ("session.type", json!({"type": "song"})),
        ("session.modalities", json!({"modalities": ["audio"]})),
        ("session.output_modalities", json!({"output_modalities": ["text", "audio"]})),
        ("session.tool_choice", json!({"tool_choice": "always"})),
        ("session.tool_choice", json!({"tool_choice": 7})),
        ("session.tool_choice", json!({"tool_choice": {"type": "function"}})),
        ("session.tool_choice", json!({"tool_choice": {"type": "mcp", "server_label": "x"}})),
        ("session.tool_choice", json!({"tool_choice": {"type": "function", "name": "stock"}})),
        ("session.max_output_tokens", json!({"max_output_tokens": 0})),
        ("session.prompt", json!({"prompt": {"id": "pmpt_1"}})),
        ("session.tools[0].type", json!({"tools": [{"type": "mcp", "server_label": "x"}]})),
        ("session.tools[0].name", json!({"tools": [{"type": "function", "name": "hang_up"}]})),
        ("session.tools[0].parameters", json!({"tools": [{"name": "a", "parameters": 7}]})),
        ("session.audio.input.format.type", json!({"audio": {"input": {"format": {"type": "audio/mp3"}}}})),
        (
            "session.audio.input.format.rate",
            json!({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}),
        ),
        ("session.audio.input.turn_detection.type", json!({"audio": {"input": {"turn_detection": {"type": "none"}}}})),
        (
            "session.audio.input.turn_detection.idle_timeout_ms",
            json!({"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1}}}}),
        ),
        (
            "session.audio.input.transcription.language",
            json!({"audio": {"input": {"transcription": {"language": "tlh"}}}}),
        ),
        ("session.audio.output.voice", json!({"audio": {"output": {"voice": {}}}})),
    ] {
        let refused = session().update(&update, false).err().unwrap_or_else(|| panic!("{update} is fine"));
        assert_eq!(refused.param, param, "{update}");
    }
    let (_, idle) = updated(json!({
        "tracing": "auto",
        "audio": {
            "input": {"turn_detection": {"type": "server_vad", "threshold": 0.8, "prefix_padding_ms": 300}},
            "output": {"speed": 1.25},
        },
    }));
    let params: Vec<&str> = idle.iter().map(|idle| idle.param.as_str()).collect();
    assert_eq!(
        params,
        ["session.tracing", "session.audio.input.turn_detection.threshold", "session.audio.output.speed"]
    );
}

#[test]
fn voices_are_told_apart_where_words_are_written_down_and_the_model_is_asked_for_it() {
    let told = |kind: &str, model: Value| {
        let wanted = json!({"type": kind, "audio": {"input": {"transcription": {"model": model}}}});
        session().update(&wanted, false).unwrap().0.tells_voices()
    };
    assert!(told("transcription", json!("gpt-4o-transcribe-diarize")));
    assert!(!told("transcription", json!("gpt-4o-transcribe")));
    assert!(!told("realtime", json!("gpt-4o-transcribe-diarize")), "an agent talks with one caller");
    assert!(!session().tells_voices());
}

#[test]
fn what_sound_depends_on_stays_once_it_may_flow() {
    for update in [
        json!({"type": "transcription"}),
        json!({"model": "another"}),
        json!({"audio": {"input": {"format": {"type": "audio/pcma"}}}}),
        json!({"audio": {"output": {"format": {"type": "audio/pcma"}}}}),
    ] {
        assert!(session().update(&update, false).is_ok(), "{update}");
        let refused = session().update(&update, true).err().expect("it is too late");
        assert_eq!(refused.code, "cannot_update", "{update}");
    }
    // Clients over WebRTC send all of it when their channel opens.
    let all = json!({"type": "realtime", "model": "another", "audio": {"input": {"format": {"type": "audio/pcma"}}}});
    let (tracked, _) = session().over_track().update(&all, true).unwrap();
    assert!(tracked.is_tracked() && tracked.to_json()["model"] == "another");
    for update in
        [json!({"type": "transcription"}), json!({"audio": {"input": {"noise_reduction": {"type": "far_field"}}}})]
    {
        assert!(session().over_track().update(&update, true).is_err(), "{update}");
    }
    let one = json!({"instructions": "Sing.", "metadata": {"a": "b"}, "output_modalities": ["text"]});
    assert!(session().for_response(&one).unwrap().0.is_written());
    for (param, wanted) in [
        ("response.conversation", json!({"conversation": "none"})),
        ("response.input", json!({"input": []})),
        ("response.tool_choice", json!({"tool_choice": {"type": "function", "name": "stock"}})),
    ] {
        assert_eq!(session().for_response(&wanted).err().map(|refused| refused.param).as_deref(), Some(param));
    }
}
