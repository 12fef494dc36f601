//! Documents: what is read, what is left out, what is refused.

use bot::ivr::twiml::{self, Dialled, DocumentError, Limits, SpeechTimeout, Verb};

fn read(verbs: &str) -> twiml::Document {
    twiml::parse(format!("<Response>{verbs}</Response>").as_bytes(), Limits::default()).expect("a document")
}

fn refused(document: &[u8]) -> DocumentError {
    twiml::parse(document, Limits::default()).expect_err("refused")
}

/// The notices of a document, as `code element: line`.
fn notices(verbs: &str) -> Vec<String> {
    read(verbs).notices.iter().map(|notice| format!("{} {}: {}", notice.code, notice.element, notice.line)).collect()
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    for (document, line) in [
        ("<Response>\n<Say>Hi</Response>", 2),
        ("<Response>\n\n<Say>a & b</Say></Response>", 3),
        ("<Response>\n<Say loop=2>Hi</Say></Response>", 2),
        ("<Response>\n<Say>&nbsp;</Say></Response>", 2),
        ("<Response>\n<Say a=\"1\" a=\"2\"/></Response>", 2),
        ("<Response>", 1),
        ("", 1),
        ("hello", 1),
        ("\n\n<Say>Hi</Say>", 3),
        ("<Response/><Response/>", 1),
        ("\n<response><Say>Hi</Say></response>", 2),
    ] {
        let error = refused(document.as_bytes());
        assert_eq!((error.code.0, error.line), (12100, line), "{document:?}: {error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(refused(b"<Response>\n<Say>\xff\xfe</Say></Response>").line, 2);
    assert_eq!(refused(b"\x00\x00\x00").code.0, 12100);
}

#[test]
fn a_billion_laughs_and_entities_from_outside_are_refused() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;">]>
        <Response><Say>&lol1;</Say></Response>"#;
    let outside = r#"<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response><Say>&x;</Say></Response>"#;
    for document in [laughs, outside, "<!DOCTYPE html><Response/>"] {
        let error = refused(document.as_bytes());
        assert_eq!(error.code.0, 12100);
        assert!(error.what.contains("document type"), "{error}");
    }
}

#[test]
fn documents_too_long_too_deep_or_too_full_are_refused() {
    let long = format!("<Response><Say>{}</Say></Response>", "x".repeat(64 * 1024));
    assert_eq!(refused(long.as_bytes()).code.0, 11750);
    let deep = format!("<Response><Say>{}x{}</Say></Response>", "<p>".repeat(20), "</p>".repeat(20));
    assert!(refused(deep.as_bytes()).what.contains("within 16 others"));
    let deepest = format!("<Response><Say>{}x{}</Say></Response>", "<p>".repeat(14), "</p>".repeat(14));
    assert!(twiml::parse(deepest.as_bytes(), Limits::default()).is_ok());
    let full = format!("<Response>{}</Response>", "<Pause/>".repeat(5_000));
    assert!(refused(full.as_bytes()).what.contains("4000"));
    let abyss = "<a>".repeat(20_000);
    assert_eq!(refused(abyss.as_bytes()).code.0, 12100);
}

#[test]
fn a_byte_order_mark_blank_lines_comments_and_character_data_do_no_harm() {
    let document = "\u{feff}\n<?xml version=\"1.0\"?><!-- a --><Response>\n<!-- b --><Say>a<!-- c -->b <![CDATA[<c>]]></Say></Response>";
    let document = twiml::parse(document.as_bytes(), Limits::default()).expect("a document");
    assert_eq!(document.notices, []);
    assert_eq!(document.steps[0].line, 3);
    let Verb::Say(say) = &document.steps[0].verb else { panic!("speech") };
    assert_eq!(say.speech.words(), "ab <c>");
}

#[test]
fn unknown_attributes_and_elements_are_left_out_and_told() {
    assert_eq!(notices("<Say tone=\"nice\">Hi</Say>"), ["12200 Say: 1"]);
    assert_eq!(notices("\n<Sya>Hi</Sya>"), ["12200 Sya: 2"]);
    assert_eq!(notices("<say>Hi</say>"), ["12200 say: 1"], "names are spelt as they are");
    assert_eq!(notices("<Stream url=\"wss://x.test\"/>"), ["12200 Stream: 1"], "a noun is no verb");
    assert_eq!(notices("text"), ["12200 Response: 1"]);
    assert_eq!(read("<Sya/><Say>Hi</Say>").steps.len(), 1);
}

#[test]
fn values_that_are_none_become_their_defaults_and_are_told() {
    for (verb, code) in [
        ("<Gather timeout=\"soon\"/>", 13313),
        ("<Gather timeout=\"0\"/>", 13313),
        ("<Gather numDigits=\"-1\"/>", 13314),
        ("<Gather finishOnKey=\"12\"/>", 13310),
        ("<Gather speechTimeout=\"never\"/>", 13327),
        ("<Gather input=\"smell\"/>", 12200),
        ("<Gather method=\"PUT\"/>", 12200),
        ("<Record maxLength=\"99999999999\"/>", 13612),
        ("<Record finishOnKey=\"x\"/>", 13613),
        ("<Pause length=\"long\"/>", 13910),
        ("<Say loop=\"-1\">Hi</Say>", 13510),
        ("<Play loop=\"x\">a</Play>", 13410),
        ("<Play digits=\"1x\">a</Play>", 12200),
        ("<Reject reason=\"bored\"/>", 12200),
        ("<Dial timeout=\"x\">+491</Dial>", 13212),
        ("<Say>a<break time=\"1h\"/></Say>", 12200),
        ("<Say><prosody rate=\"quick\">a</prosody></Say>", 12200),
        ("<Say><say-as interpret-as=\"poem\">a</say-as></Say>", 12200),
    ] {
        let document = read(verb);
        let codes: Vec<_> = document.notices.iter().map(|notice| notice.code.0).collect();
        assert_eq!(codes, [code], "{verb}: {:?}", document.notices);
        assert_eq!(document.steps.len(), 1, "{verb}");
    }
    let Verb::Gather(gather) = &read("<Gather timeout=\"soon\" input=\"smell\"/>").steps[0].verb else { panic!() };
    assert_eq!((gather.timeout.as_secs(), gather.keys, gather.speech), (5, true, false));
}

#[test]
fn a_speech_timeout_is_the_timeout_where_it_is_not_named() {
    let timeout = |attributes: &str| match &read(&format!("<Gather {attributes}/>")).steps[0].verb {
        Verb::Gather(gather) => gather.speech_timeout,
        _ => panic!("gather"),
    };
    assert_eq!(timeout("timeout=\"9\""), SpeechTimeout::After(std::time::Duration::from_secs(9)));
    assert_eq!(timeout("speechTimeout=\"auto\""), SpeechTimeout::Auto);
    assert_eq!(timeout("speechTimeout=\"2\""), SpeechTimeout::After(std::time::Duration::from_secs(2)));
}

#[test]
fn verbs_in_the_wrong_place_are_left_out_and_told() {
    assert_eq!(notices("<Gather><Dial>+491</Dial><Say>Hi</Say></Gather>"), ["13320 Dial: 1"]);
    assert_eq!(notices("<Dial><Say>Hi</Say><Number>+491</Number></Dial>"), ["12200 Say: 1"]);
    assert_eq!(notices("<Play>a<Say>Hi</Say></Play>"), ["12200 Say: 1"]);
    assert_eq!(notices("<Start><Say>Hi</Say></Start>"), ["14300 Say: 1"]);
    assert_eq!(notices("<Connect><Say>Hi</Say></Connect>"), ["12200 Say: 1", "12200 Connect: 1"]);
    assert_eq!(notices("<Dial><Conference>a</Conference><Number>+491</Number></Dial>"), ["12200 Dial: 1"]);
    assert_eq!(notices("<Enqueue/>"), ["14205 Enqueue: 1"]);
    assert_eq!(notices(&format!("<Enqueue>{}</Enqueue>", "q".repeat(65))), ["14205 Enqueue: 1"]);
    assert_eq!(notices("<Play/>"), ["13420 Play: 1"]);
    assert_eq!(notices("<Refer/>"), ["13243 Refer: 1"]);
}

#[test]
fn a_notice_shows_no_value() {
    let document = read("<Dial callerId=\"x\"><Number>call 4929 1234</Number></Dial><Gather timeout=\"4929\"/>");
    assert_eq!(document.notices.len(), 2);
    assert!(document.notices.iter().all(|notice| !notice.to_string().contains("4929")), "{:?}", document.notices);
    assert!(!refused(b"<Response><Say>4929 & 1234</Say></Response>").to_string().contains("4929"));
}

#[test]
fn only_so_many_notices_are_kept() {
    assert_eq!(read(&"<Sya/>".repeat(3_000)).notices.len(), 50);
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let targets = |dial: &str| match &read(dial).steps[0].verb {
        Verb::Dial(dial) => match &dial.dialled {
            Dialled::Legs { targets, .. } => targets.len(),
            _ => 0,
        },
        _ => panic!("dial"),
    };
    for good in ["+49 (30) 123-456", "030/123456", "sip:a@b.test", "client:alice", "*21#", "112"] {
        assert_eq!(targets(&format!("<Dial>{good}</Dial>")), 1, "{good}");
    }
    for bad in ["call me", "+49x", "++49", "sip:", "tel:+491", "<Number/>", "<Sip>http://a</Sip>", "<Client/>"] {
        assert_eq!(targets(&format!("<Dial>{bad}</Dial>")), 0, "{bad}");
    }
    let many = "<Number>+491</Number>".repeat(11);
    assert_eq!(targets(&format!("<Dial>{many}</Dial>")), 10);
}
