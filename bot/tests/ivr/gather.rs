//! `Gather`: keys, words, and what is played meanwhile.

use crate::kit::call;
use bot::ivr::input::Heard;

const MENU: &str = r#"<Gather action="menu" numDigits="1"><Say>Press one.</Say></Gather><Say>Nothing came.</Say>"#;

#[test]
fn a_key_ends_the_prompt_and_asks_the_action() {
    let mut call = call(MENU).page("/menu", "<Say>Thanks.</Say>").begin();
    call.expect(&["POST /voice", "answer", "say \"Press one.\""]);
    call.press("1");
    call.expect(&["stop sound", "POST /menu Digits=1 FinishedOnKey=", "say \"Thanks.\""]);
    call.sound_ends().expect(&["hang up"]);
    assert!(call.machine.is_over());
}

#[test]
fn without_a_key_the_document_goes_on_after_the_timeout() {
    let mut call = call(MENU).begin();
    call.forget().wait_s(60).expect(&[]);
    call.sound_ends().wait_ms(4_999).expect(&[]);
    call.wait_ms(1).expect(&["say \"Nothing came.\""]);
}

#[test]
fn each_key_begins_the_timeout_anew() {
    let mut call = call(r#"<Gather action="menu" timeout="3"/>"#).begin();
    call.forget().press("1").wait_ms(2_900).press("2").wait_ms(2_900).press("3").expect(&[]);
    call.wait_s(3).expect(&["POST /menu Digits=123 FinishedOnKey="]);
}

#[test]
fn the_finishing_key_ends_the_input_and_is_none_of_it() {
    let mut call = call(r#"<Gather action="menu"/>"#).begin();
    call.forget().press("42#").expect(&["POST /menu Digits=42 FinishedOnKey=#"]);
}

#[test]
fn the_finishing_key_alone_is_no_input() {
    let mut call = call(r#"<Gather action="menu"/><Say>on</Say>"#).begin();
    call.forget().press("#").expect(&["say \"on\""]);
}

#[test]
fn an_empty_finishing_key_makes_every_key_input() {
    let mut call = call(r#"<Gather action="menu" finishOnKey="" numDigits="3"/>"#).begin();
    call.forget().press("#*1").expect(&["POST /menu Digits=#*1 FinishedOnKey="]);
}

#[test]
fn an_action_on_empty_results_is_asked_without_input() {
    let mut call = call(r#"<Gather action="menu" actionOnEmptyResult="true"/><Say>never</Say>"#).begin();
    call.forget().wait_s(5).expect(&["POST /menu Digits= FinishedOnKey="]);
}

#[test]
fn keys_typed_ahead_are_the_next_input_and_silence_its_prompts() {
    let mut call = call(r#"<Say>Welcome.</Say><Gather action="menu" numDigits="2"><Say>Two.</Say></Gather>"#)
        .page("/menu", r#"<Gather action="pin" numDigits="4"><Say>PIN.</Say></Gather>"#)
        .begin();
    call.forget().press("12345").expect(&[]);
    call.sound_ends().expect(&["POST /menu Digits=12 FinishedOnKey="]);
    call.press("6").expect(&["POST /pin Digits=3456 FinishedOnKey="]);
}

#[test]
fn a_finishing_key_that_was_one_too_many_does_not_end_the_next_input() {
    let mut call = call(r#"<Gather action="menu" numDigits="1"/>"#).begin();
    call.press("1#").forget();
    call.application_answers(r#"<Gather action="next" numDigits="1"><Say>Next.</Say></Gather>"#);
    call.expect(&["say \"Next.\""]);
}

#[test]
fn only_so_many_keys_are_kept() {
    let mut call = call(r#"<Say>Welcome.</Say><Gather action="menu"/>"#).begin();
    call.press(&"1".repeat(100)).sound_ends().forget();
    call.press("#");
    assert_eq!(call.last_params().value("Digits").map(str::len), Some(32));
}

#[test]
fn without_barge_in_keys_count_and_the_prompt_is_heard_to_its_end() {
    let gather = r#"<Gather action="menu" numDigits="2" bargeIn="false"><Say>Long.</Say></Gather>"#;
    let mut call = call(gather).begin();
    call.forget().press("12").wait_s(30).expect(&[]);
    call.sound_ends().expect(&["POST /menu Digits=12 FinishedOnKey="]);
}

#[test]
fn prompts_follow_each_other_with_their_pauses() {
    let gather = r#"<Gather action="menu"><Say>One.</Say><Pause length="2"/><Play>beep.wav</Play></Gather>"#;
    let mut call = call(gather).begin();
    call.expect(&["POST /voice", "answer", "say \"One.\""]);
    call.sound_ends().wait_ms(1_999).expect(&[]);
    call.wait_ms(1).expect(&["play /beep.wav"]);
    call.press("1").expect(&["stop sound"]);
}

#[test]
fn words_end_the_prompt_and_go_to_the_action_when_the_recognizer_is_sure() {
    let gather = r#"<Gather input="speech" action="menu" speechTimeout="auto" language="de-DE">
        <Say language="de-DE">Was darf es sein?</Say></Gather>"#;
    let mut call = call(gather).begin();
    call.expect(&["POST /voice", "answer", "say \"Was darf es sein?\" in de-DE", "listen for words in de-DE"]);
    call.speech_starts().partial("einen").expect(&["stop sound"]);
    call.words("Einen Termin, bitte.").speech_ends();
    call.expect(&["stop listening", "POST /menu SpeechResult=Einen Termin, bitte. Confidence=0.9"]);
}

#[test]
fn a_cough_does_not_take_the_menu_away_but_speech_does() {
    let mut call = call(r#"<Gather input="speech" action="menu"><Say>Menu.</Say></Gather>"#).begin();
    call.forget().speech_starts().wait_ms(300).speech_ends().wait_s(2).expect(&[]);
    call.speech_starts().wait_ms(400).expect(&["stop sound"]);
}

#[test]
fn a_pause_shorter_than_the_speech_timeout_joins_sentences() {
    let mut call = call(r#"<Gather input="speech" action="menu" speechTimeout="2"/>"#).begin();
    call.forget().says("I want").wait_ms(1_900).says("an appointment").wait_ms(1_900).expect(&[]);
    call.wait_ms(100);
    call.expect(&["stop listening", "POST /menu SpeechResult=I want an appointment Confidence=0.9"]);
}

#[test]
fn words_that_may_still_change_are_settled_before_they_are_sent() {
    let mut call = call(r#"<Gather input="speech" action="menu" speechTimeout="1"/>"#).begin();
    call.forget().speech_starts().partial("to morrow").speech_ends().wait_s(1).expect(&["settle"]);
    call.words("Tomorrow.").ears(Heard::Settled);
    call.expect(&["stop listening", "POST /menu SpeechResult=Tomorrow. Confidence=0.9"]);
}

#[test]
fn a_recognizer_that_never_settles_is_not_waited_for() {
    let mut call = call(r#"<Gather input="speech" action="menu" speechTimeout="1"/>"#).begin();
    call.forget().speech_starts().partial("hello").speech_ends().wait_s(1).expect(&["settle"]);
    call.wait_s(5).expect(&["stop listening", "POST /menu SpeechResult=hello Confidence=0"]);
}

#[test]
fn a_caller_who_talks_without_end_is_heard_up_to_max_speech_time() {
    let mut call = call(r#"<Gather input="speech" action="menu" maxSpeechTime="10"/>"#).begin();
    call.forget().speech_starts().words("Once upon a time").wait_s(10).expect(&["settle"]);
    call.ears(Heard::Settled);
    call.expect(&["stop listening", "POST /menu SpeechResult=Once upon a time Confidence=0.9"]);
}

#[test]
fn noise_is_no_input_and_gives_the_caller_all_their_time_again() {
    let mut call = call(r#"<Gather input="speech" action="menu"/><Say>on</Say>"#).begin();
    call.forget().wait_s(4).speech_starts().wait_s(2).words("").speech_ends().wait_ms(4_999).expect(&[]);
    call.wait_ms(1).expect(&["stop listening", "say \"on\""]);
}

#[test]
fn whichever_comes_first_decides_key_or_word() {
    let both = r#"<Gather input="dtmf speech" action="menu" numDigits="2" speechTimeout="auto"/>"#;
    let mut keys = call(both).begin();
    keys.forget().press("1").expect(&["stop listening"]);
    keys.press("2").expect(&["POST /menu Digits=12 FinishedOnKey="]);
    let mut words = call(both).begin();
    words.forget().speech_starts().partial("one").press("1#").expect(&[]);
    words.words("one").speech_ends();
    words.expect(&["stop listening", "POST /menu SpeechResult=one Confidence=0.9"]);
}

#[test]
fn a_recognizer_that_fails_leaves_the_keys() {
    let mut call = call(r#"<Gather input="dtmf speech" action="menu" numDigits="1"/>"#).begin();
    call.forget().ears(Heard::Failed).expect(&["warn 0 Gather"]);
    call.press("7").expect(&["POST /menu Digits=7 FinishedOnKey="]);
}

#[test]
fn a_recognizer_that_fails_while_the_caller_speaks_does_not_hang_the_call() {
    let mut call = call(r#"<Gather input="speech" action="menu"/><Say>on</Say>"#).begin();
    call.forget().speech_starts().ears(Heard::Failed).wait_s(5).expect(&["warn 0 Gather", "say \"on\""]);
}

#[test]
fn partial_results_are_told_as_they_come() {
    let gather = r#"<Gather input="speech" action="menu" partialResultCallback="live" speechTimeout="3"/>"#;
    let mut call = call(gather).begin();
    call.forget().speech_starts().partial("I").partial("I would").words("I would like.").partial("a");
    call.expect(&[
        "tell POST /live UnstableSpeechResult=I Stability=0.5 SequenceNumber=0",
        "tell POST /live UnstableSpeechResult=I would Stability=0.5 SequenceNumber=1",
        "tell POST /live StableSpeechResult=I would like. UnstableSpeechResult=a Stability=0.5 SequenceNumber=2",
    ]);
}

#[test]
fn a_language_that_is_found_out_is_told() {
    let mut call = call(r#"<Gather input="speech" language="multi" action="menu" speechTimeout="auto"/>"#).begin();
    call.expect(&["POST /voice", "answer", "listen for words in any language"]);
    call.ears(Heard::Final { text: "Deutsch".into(), confidence: 0.75, language: Some("de-DE".into()) });
    call.expect(&["stop listening", "POST /menu SpeechResult=Deutsch Confidence=0.75 Language=de-DE"]);
}

#[test]
fn a_choice_is_the_same_by_key_and_by_word() {
    let gather = r#"<Gather input="dtmf speech" numDigits="1" speechTimeout="auto" action="menu"
        choices="de = 1, Deutsch, German; en = 2, English"/>"#;
    let mut by_key = call(gather).begin();
    by_key.press("2");
    assert_eq!(by_key.last_params().value("Choice"), Some("en"));
    let mut by_word = call(gather).begin();
    by_word.says("Auf Deutsch, bitte!");
    assert_eq!(by_word.last_params().value("Choice"), Some("de"));
    let mut neither = call(gather).begin();
    neither.says("Français");
    assert_eq!(neither.last_params().value("Choice"), None);
}

#[test]
fn keys_after_the_input_is_whole_are_for_the_next_one() {
    let mut call = call(r#"<Gather action="menu" numDigits="1"/>"#).begin();
    call.press("1").forget().press("23");
    call.application_answers(r#"<Gather action="next" numDigits="2"/>"#);
    call.expect(&["POST /next Digits=23 FinishedOnKey="]);
}

#[test]
fn a_gather_without_an_action_asks_its_own_document() {
    let mut call = call("<Gather numDigits=\"1\"/>").begin();
    call.forget().press("5");
    call.expect(&["POST /voice Digits=5 FinishedOnKey="]);
}

#[test]
fn get_is_asked_with_get() {
    let mut call = call(r#"<Gather action="menu?lang=de" method="GET" numDigits="1"/>"#).begin();
    call.forget().press("5").expect(&["GET /menu?lang=de Digits=5 FinishedOnKey="]);
}
