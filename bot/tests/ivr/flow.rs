//! How documents follow each other: addresses, failures, fallbacks, limits.

use bot::ivr::{machine::Source, twiml::Speech, webhook::FetchError};

use crate::kit::{Answer, Plan, call, endpoint, page};

#[test]
fn verbs_are_done_in_their_order() {
    let verbs = r#"<Say loop="2">one</Say><Pause length="2"/><Play loop="0">two.mp3</Play><Say>never</Say>"#;
    let mut call = call(verbs).begin();
    call.expect(&["POST /voice", "answer", "say \"one\" 2 times"]);
    call.sound_ends().wait_s(2).expect(&["play /two.mp3 for ever"]);
    call.sound_ends().expect(&["say \"never\""]);
}

#[test]
fn addresses_are_relative_to_the_document_that_names_them() {
    let mut call = call(r#"<Redirect method="GET">menu/start</Redirect>"#)
        .page("/menu/start", r#"<Play>hello.wav</Play><Redirect>../end?x=1</Redirect>"#)
        .page("/end", "<Play>https://files.test/bye.wav</Play><Play>//cdn.test/x.wav</Play>")
        .begin();
    call.expect(&["POST /voice", "GET /menu/start", "answer", "play /menu/hello.wav"]);
    call.sound_ends().expect(&["POST /end?x=1", "play https://files.test/bye.wav"]);
    call.sound_ends().expect(&["play https://cdn.test/x.wav"]);
}

#[test]
fn a_sound_that_cannot_be_played_does_not_end_the_call() {
    let mut call = call("<Play>gone.wav</Play><Say>on</Say>").begin();
    call.forget().sound_fails().expect(&["warn 13420 Play", "say \"on\""]);
}

#[test]
fn a_document_that_redirects_to_itself_is_stopped() {
    let mut call = call("<Redirect/>").begin();
    assert_eq!(call.requests.len(), 60);
    call.forget();
    assert!(call.machine.is_over());
    let mut two = crate::kit::call("<Redirect>b</Redirect>").page("/b", "<Redirect>voice</Redirect>");
    two = two.with(|setup| setup.rules.apology = Some(Speech::plain("Sorry.")));
    let mut two = two.begin();
    two.forget().sound_ends().expect(&["hang up"]);
}

#[test]
fn a_call_has_only_so_many_documents() {
    let verbs = r#"<Pause length="5"/><Redirect/>"#;
    let mut call = call(verbs).with(|setup| setup.rules.documents = 10).begin();
    call.wait_s(1_000);
    assert_eq!(call.requests.len(), 10);
    assert!(call.machine.is_over());
}

#[test]
fn the_fallback_is_asked_with_what_went_wrong() {
    let plan = |answer| {
        let plan =
            call("<Redirect>next</Redirect>").answer("/next", answer).page("/fallback", "<Say>One moment.</Say>");
        plan.with(|setup| setup.fallback = Some(endpoint("fallback")))
    };
    for (answer, code) in [
        (page(500, "text/html", ""), 11200),
        (page(404, "text/xml", "<Response/>"), 11200),
        (Answer::Fails(FetchError::Timeout), 11200),
        (Answer::Fails(FetchError::Connection), 11205),
        (Answer::Fails(FetchError::Forbidden), 11210),
        (Answer::Fails(FetchError::TooManyRedirects), 11215),
        (Answer::Fails(FetchError::Tls), 11220),
        (Answer::Fails(FetchError::TooLarge), 11750),
        (page(200, "text/xml", ""), 12100),
        (page(200, "text/xml", "<Response><Say></Response>"), 12100),
        (page(200, "application/json", "{}"), 12300),
    ] {
        let mut call = plan(answer).begin();
        let warning = format!("warn {code} Redirect");
        let asked = format!("POST /fallback ErrorCode={code} ErrorUrl=https://app.test/next");
        let lines = ["POST /voice", "POST /next", &warning, &asked, "answer", "say \"One moment.\""];
        let lines = lines.map(|line| line.replace(" Redirect", ""));
        let seen = call.take_lines().into_iter().map(|line| line.replace(" Redirect", "").replace(" Response", ""));
        assert_eq!(seen.collect::<Vec<_>>(), lines);
    }
}

#[test]
fn a_fallback_that_fails_too_ends_the_call() {
    let plan =
        call("<Redirect>next</Redirect>").answer("/next", page(500, "", "")).answer("/fallback", page(500, "", ""));
    let mut call = plan.with(|setup| setup.fallback = Some(endpoint("fallback"))).begin();
    call.expect(&[
        "POST /voice",
        "POST /next",
        "warn 11200 Response",
        "POST /fallback ErrorCode=11200 ErrorUrl=https://app.test/next",
        "warn 11200 Response",
        "hang up",
    ]);
}

#[test]
fn a_fallback_document_that_goes_wrong_ends_the_call() {
    let plan = call("<Pay/>").page("/fallback", "<Pay/>");
    let mut call = plan.with(|setup| setup.fallback = Some(endpoint("fallback"))).begin();
    call.expect(&[
        "POST /voice",
        "warn 12200 Pay",
        "POST /fallback ErrorCode=12200 ErrorUrl=https://app.test/voice",
        "warn 12200 Pay",
        "hang up",
    ]);
}

#[test]
fn without_a_fallback_the_caller_hears_that_something_went_wrong() {
    let plan = Plan::new().answer("/voice", page(500, "", ""));
    let mut call = plan.with(|setup| setup.rules.apology = Some(Speech::plain("Sorry."))).begin();
    call.expect(&["POST /voice", "warn 11200 Response", "answer", "say \"Sorry.\""]);
    call.sound_ends().expect(&["hang up"]);
}

#[test]
fn an_apology_that_never_ends_ends_the_call_all_the_same() {
    let plan = Plan::new().answer("/voice", page(500, "", ""));
    let mut call = plan.with(|setup| setup.rules.apology = Some(Speech::plain("Sorry."))).begin();
    call.forget().wait_s(20).expect(&["stop sound", "hang up"]);
}

#[test]
fn an_application_that_never_answers_is_given_up() {
    let mut call = call("<Redirect>slow</Redirect>").answer("/slow", Answer::Waits).begin();
    call.forget().wait_ms(15_999).expect(&[]);
    call.wait_ms(1).expect(&["warn 11200 Response", "hang up"]);
    call.application_answers("<Say>Here I am.</Say>").expect(&[]);
}

#[test]
fn plain_text_is_spoken_and_a_sound_is_played() {
    let mut text = Plan::new().answer("/voice", page(200, "text/plain", " Hello there. ")).begin();
    text.expect(&["POST /voice", "answer", "say \"Hello there.\""]);
    let mut sound = Plan::new().answer("/voice", page(200, "audio/mpeg", "\u{0}\u{1}")).begin();
    sound.expect(&["POST /voice", "answer", "play /voice"]);
}

#[test]
fn an_empty_answer_ends_the_call_in_peace() {
    let mut nothing = Plan::new().answer("/voice", page(204, "", "")).begin();
    nothing.expect(&["POST /voice", "hang up"]);
    call("").begin().expect(&["POST /voice", "hang up"]);
}

#[test]
fn what_is_not_built_ends_the_call_where_it_is_reached_and_not_before() {
    let mut call = call("<Say>Hi.</Say><Connect><VirtualAgent/></Connect><Say>never</Say>").begin();
    call.expect(&["POST /voice", "answer", "say \"Hi.\""]);
    call.sound_ends().expect(&["warn 12200 Connect/VirtualAgent", "hang up"]);
    crate::kit::call("<Start><Siprec/></Start>").begin().expect(&["POST /voice", "warn 12200 Start/Siprec", "hang up"]);
}

#[test]
fn a_page_from_the_network_never_makes_the_server_read_its_files() {
    let verbs = r#"<Play>file:///etc/passwd</Play><Redirect>file:///etc/passwd</Redirect>"#;
    let mut call = call(verbs).begin();
    call.expect(&["POST /voice", "answer", "warn 11100 Play", "warn 11100 Redirect", "warn 11100 Redirect", "hang up"]);
}

#[test]
fn files_are_templates_and_may_lead_to_files_and_applications() {
    let greet = "<Gather numDigits=\"1\" action=\"menu.xml\"/>";
    let menu = "{{#Digits}}<Say>You pressed {{Digits}}.</Say>{{/Digits}}<Redirect>https://app.test/end</Redirect>";
    let plan = Plan::new().page("/app/greet.xml", greet).page("/app/menu.xml", menu).page("/end", "");
    let plan = plan.with(|setup| {
        let url = "file:///app/greet.xml".parse().expect("an address");
        setup.source = Source::At(bot::ivr::webhook::Endpoint { url, method: Default::default() });
    });
    let mut call = plan.begin();
    call.press("7").expect(&[
        "POST file:///app/greet.xml",
        "answer",
        "POST file:///app/menu.xml Digits=7 FinishedOnKey=",
        "say \"You pressed 7.\"",
    ]);
    call.sound_ends().expect(&["POST /end", "hang up"]);
}

#[test]
fn a_document_handed_over_has_no_address_that_others_are_relative_to() {
    let text = "<Response><Play>hello.wav</Play><Play>https://files.test/a.wav</Play><Redirect>x</Redirect></Response>";
    let mut call = call("").with(|setup| setup.source = Source::Inline(text.into())).begin();
    call.expect(&["answer", "warn 11100 Play", "play https://files.test/a.wav"]);
    call.sound_ends().expect(&["warn 11100 Redirect", "warn 11100 Redirect", "hang up"]);
}

#[test]
fn a_handed_over_document_that_asks_itself_is_run_again() {
    let text = "<Response><Gather numDigits=\"1\"/><Say>Bye.</Say></Response>";
    let mut call = call("").with(|setup| setup.source = Source::Inline(text.into())).begin();
    call.press("1").press("2").wait_s(5).expect(&["answer", "say \"Bye.\""]);
}

#[test]
fn a_language_of_the_call_is_spoken_where_the_document_names_none() {
    let plan = call("<Say>Tag.</Say><Say language=\"en-US\">Hi.</Say><Say voice=\"Polly.Amy\">Hi.</Say>");
    let mut call = plan.with(|setup| setup.rules.language = Some("de-DE".into())).begin();
    call.forget();
    call.sound_ends().expect(&["say \"Hi.\" in en-US"]);
    call.sound_ends().expect(&["say \"Hi.\""]);
}

#[test]
fn keys_are_played() {
    let mut call = call(r#"<Play digits="ww1234#"/>"#).begin();
    call.expect(&["POST /voice", "answer", "play keys ww1234#"]);
}

#[test]
fn time_that_runs_backwards_does_no_harm() {
    let mut call = call(r#"<Pause length="5"/><Say>Hi.</Say>"#).begin();
    call.wait_s(3);
    call.at_ms(0).tell(bot::ivr::input::Input::Tick);
    call.at_ms(5_000).tell(bot::ivr::input::Input::Tick).expect(&["POST /voice", "answer", "say \"Hi.\""]);
}
