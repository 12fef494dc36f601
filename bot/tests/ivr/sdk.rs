//! What the vendor's own library builds is read, and what it signs is what we sign. `data/twiml/by_sdk.py` wrote it.

use std::time::Duration;

use bot::ivr::{
    signature::{sign, verify},
    twiml::{self, Answering, Connected, Dialled, Interpretation, Limits, Piece, RelayLanguage, Startable, Verb},
};

/// The documents, by the names of the functions that built them.
fn document(name: &str) -> twiml::Document {
    let line = include_str!("../data/twiml/by_sdk.tsv").lines().find(|line| line.starts_with(&format!("{name}\t")));
    let (_, xml) = line.and_then(|line| line.split_once('\t')).expect("a document of that name");
    twiml::parse(xml.as_bytes(), Limits::default()).expect("what the library builds is read")
}

#[test]
fn everything_the_library_builds_is_read_without_a_complaint() {
    for name in [
        "speech",
        "plays",
        "gather",
        "record",
        "dial",
        "dial_plain",
        "conference",
        "queues",
        "streams",
        "others",
        "relay",
    ] {
        let document = document(name);
        assert_eq!(document.notices, [], "{name}");
        assert!(!document.steps.is_empty(), "{name}");
        assert!(!document.steps.iter().any(|step| matches!(step.verb, Verb::Unsupported { .. })), "{name}");
    }
}

#[test]
fn a_relay_has_its_greeting_and_its_languages() {
    let Verb::Connect(connect) = &document("relay").steps[0].verb else { panic!("connect") };
    let Connected::Relay(relay) = &connect.to else { panic!("words") };
    assert_eq!((relay.url.0.as_str(), relay.settings.greeting.as_str()), ("wss://bot.test/relay", "Hi!"));
    let german = RelayLanguage { code: "de-DE".to_owned(), voice: Some("Vicki".to_owned()), hints: Vec::new() };
    assert_eq!(relay.settings.languages, [german]);
}

#[test]
fn speech_keeps_its_order_and_its_markup() {
    let Verb::Say(say) = &document("speech").steps[0].verb else { panic!("speech") };
    assert_eq!(say.speech.voice.as_deref(), Some("Polly.Vicki"));
    assert_eq!(
        say.speech.words(),
        "Guten Tag. HeuteGood morning Ein Absatz. pecanlangsam Ein Satz. 12.03.2026zum Beispielread"
    );
    assert!(say.speech.pieces.contains(&Piece::Break(Duration::from_millis(100))));
    let date = Piece::SayAs { how: Interpretation::Date(None), text: "12.03.2026".into() };
    assert!(say.speech.pieces.contains(&date));
    let prosody = say.speech.pieces.iter().find_map(|piece| match piece {
        Piece::Prosody(prosody, _) => Some(*prosody),
        _ => None,
    });
    let prosody = prosody.expect("prosody");
    assert_eq!((prosody.rate, prosody.volume_db), (0.75, 6.0));
    assert!((prosody.pitch - 0.9).abs() < 1e-6);
}

#[test]
fn all_that_a_dial_may_hold_is_there() {
    let Verb::Dial(dial) = &document("dial").steps[0].verb else { panic!("dial") };
    let Dialled::Legs { targets, sequential: true } = &dial.dialled else { panic!("three, one after the other") };
    assert_eq!(targets.len(), 3);
    assert!(targets[0].detection.as_ref().is_some_and(|detection| detection.until_end_of_greeting));
    let Answering::Client { identity, parameters } = &targets[2].who else { panic!("a client") };
    assert_eq!((identity.as_str(), parameters.len()), ("alice", 1));
    assert!(dial.answer_on_bridge && dial.hangup_on_star && dial.refer.is_some());
}

#[test]
fn streams_transcriptions_and_recordings_are_told_apart() {
    let steps = document("streams").steps;
    let Verb::Start(started) = &steps[0].verb else { panic!("start") };
    let kinds = started.iter().map(|start| match start {
        Startable::Stream(_) => "stream",
        Startable::Transcription(_) => "transcription",
        Startable::Recording(_) => "recording",
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["stream", "transcription", "recording"]);
}

#[test]
fn what_the_library_signs_is_what_we_sign() {
    let mut signed = 0;
    for line in include_str!("../data/twiml/signed.tsv").lines() {
        let [token, url, form, theirs] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("four fields") };
        let params: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let params = || params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(sign(token, url, params()), theirs, "{url}");
        assert!(verify(token, url, params(), theirs));
        assert!(!verify("another token", url, params(), theirs));
        assert!(!verify(token, url, params().chain([("Digits", "9")]), theirs), "another form");
        assert!(!verify(token, "https://other.test/voice", params(), theirs), "another address");
        signed += 1;
    }
    assert_eq!(signed, 6);
}

#[test]
fn a_port_that_the_scheme_implies_may_come_and_go() {
    let with = sign("token", "https://app.test:443/voice?x=1", [("a", "1")]);
    assert!(verify("token", "https://app.test/voice?x=1", [("a", "1")], &with));
    let without = sign("token", "http://app.test/voice", [("a", "1")]);
    assert!(verify("token", "http://app.test:80/voice", [("a", "1")], &without));
    assert!(!verify("token", "http://app.test:80/voice", [("a", "1")], "not base64!"));
    assert!(!verify("token", "http://app.test:80/voice", [("a", "1")], ""));
}
