//! The agent of a room at the console: asked in, spoken to, interrupted and sent away, by the page's own buttons.
//!
//! A real Chromium whose microphone plays a recording, a scripted model, espeak-ng's voice. What the person hears is
//! compared with what was said; what the page shows of it must be that, and no more. Skipped where a part is absent.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    console_page::{HEARD_HZ, Person, SOON, artifact, browser_or_skip, open_room, write_wav},
    fixture,
    listening::{Sound, UNLIKE, likeness},
    llm::Model,
    server::{self, Server},
    spoken::{by_the_command, whole_sentences},
};

/// Speech without a pause in its first two seconds.
const QUESTION: &str = "audio/speech/sense_and_sensibility_01_austen_64kb-0880.wav";
const INTERRUPTION: &str = "audio/speech/jfk.wav";

const GREETING: &str = "Hello, this is the desk.";
const SHORT: &str = "Then that is all for today.";
const LONG: &str = "There was once a miller who had three sons. He also had a mill, a donkey and a cat. When he died \
                    the eldest son took the mill. The second took the donkey and rode away. The cat looked at him for a \
                    long time and said nothing. The youngest of them was given only the cat.";

/// When what is said begins: behind the greeting, and in the middle of the answer.
const ASKS_S: f32 = 20.0;
const INTERRUPTS_S: f32 = 10.0;

/// All of it is said and answered within.
const TALKED_WITHIN: Duration = Duration::from_secs(60);

/// Alike from here on is the same speech, behind a browser's Opus too.
const ALIKE: f64 = 0.8;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_asked_in_spoken_to_interrupted_and_sent_away() {
    let (Some(browser), Some(asks), Some(interrupts)) = (browser_or_skip(), speech(QUESTION), speech(INTERRUPTION))
    else {
        return;
    };
    let silent = |seconds: f32| vec![0.0; (seconds * HEARD_HZ as f32) as usize];
    let file = artifact("microphone-agent.wav");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    write_wav(&file, &[silent(ASKS_S), asks, silent(INTERRUPTS_S), interrupts, silent(10.0)].concat());
    let file = file.canonicalize().unwrap();

    // A question for each turn, and no sooner; nobody is asked whether they are still there.
    let personas = tempfile::tempdir().unwrap();
    let persona = format!(
        "title = \"Desk\"\nlanguages = [\"en\"]\n[greeting]\nen = {GREETING:?}\n[turn]\neager = false\nidle_after_ms = 0\n"
    );
    std::fs::write(personas.path().join("desk.toml"), persona).unwrap();
    let model = Model::with(json!([{"say": LONG, "once": true}, {"say": SHORT}])).await;
    let config = format!("[agent]\npersonas = {:?}\npersona = \"desk\"\n{}", personas.path(), model.config());
    let server = Server::start(server::Options { config: &config, ..server::Options::default() }).unwrap();
    let room = open_room(&server, json!({"title": "At the desk"})).await;

    let mut ada = Person::at(&server, &browser, "Ada", Some(&file)).await;
    ada.open(&room).await;
    ada.join().await;
    ada.listen().await;
    let none = text(&mut ada, "#agent-state").await;
    ada.page.click("#agent-toggle").await;
    ada.page.wait_for(&format!("document.querySelector('#agent-state').textContent !== {none:?}"), SOON).await;
    ada.page.wait_for(&says(GREETING), SOON).await;
    ada.page.wait_for("document.querySelector('.line.answer .cut')", TALKED_WITHIN).await;
    ada.page.wait_for(&says(SHORT), TALKED_WITHIN).await;
    ada.page.screenshot(&artifact("agent-1440.png")).await;

    // What was heard of the answer stands there, and what was not is struck out behind it.
    let cut = text(&mut ada, ".line.answer .cut").await;
    let line = text(&mut ada, ".line.answer:has(.cut) .said").await;
    let heard = line.strip_suffix(cut.as_str()).expect("the cut stands last").trim_end();
    assert_eq!(format!("{heard} {cut}"), LONG);
    let words = heard.split_whitespace().count();
    assert!((2..55).contains(&words), "{words} words were heard before somebody spoke: {heard:?}");
    let turns = text(&mut ada, "#agent-turns").await;
    assert!(turns.contains("ms"), "{turns:?}");
    let answers = ada.page.evaluate("document.querySelectorAll('#agent-turns li').length").await;
    assert!(answers.as_f64().is_some_and(|answers| answers >= 2.0), "{answers}: {turns:?}");

    ada.page.click("#agent-toggle").await;
    ada.page.wait_for(&format!("document.querySelector('#agent-state').textContent === {none:?}"), SOON).await;
    ada.page.wait_for("document.querySelectorAll('.person').length === 1", SOON).await;
    let played = ada.heard().await;
    assert_eq!(ada.close().await, <[String; 0]>::default());

    let played = Sound { samples: &played, rate_hz: HEARD_HZ };
    let likeness = |said: &str| likeness(by_the_command("en", said).sound(), played);
    // Of the sentence that was not heard to its end a part was.
    let (told, untold) = (whole_sentences(heard), whole_sentences(&cut));
    assert!(!told.is_empty() && untold.len() > 1, "{heard:?} {cut:?}");
    for sentence in told.into_iter().chain([GREETING, SHORT]) {
        assert!(likeness(sentence) > ALIKE, "{sentence:?} was not heard: {}", likeness(sentence));
    }
    for sentence in &untold[1..] {
        assert!(likeness(sentence) < UNLIKE, "{sentence:?} was heard: {}", likeness(sentence));
    }
}

/// Whether the page shows that an agent has said this.
fn says(said: &str) -> String {
    format!("[...document.querySelectorAll('.line.answer .said')].some((line) => line.textContent.trim() === {said:?})")
}

async fn text(person: &mut Person, what: &str) -> String {
    let text = person.page.evaluate(&format!("document.querySelector({what:?})?.textContent ?? null")).await;
    match text {
        Value::String(text) => text.trim().to_owned(),
        other => panic!("there is no {what}: {other}"),
    }
}

/// The first two seconds of a recording, and a bit.
fn speech(recording: &str) -> Option<Vec<f32>> {
    let path = fixture::recording(recording).map_err(|why| println!("{why}")).ok()?;
    let mut speech = fixture::wav_16k(&path);
    speech.truncate(2 * HEARD_HZ as usize);
    Some(speech)
}
