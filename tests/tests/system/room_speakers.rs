//! Several people on one line of a room: what clients read of them over HTTP, and what the console shows and does.
//!
//! The ears are left out: what they tell apart is put into the room as they would put it. The page is a real Chromium's;
//! that part is skipped where there is none.

use std::time::Duration;

use ::server::config::Config;
use asr::{
    diarize::VoiceId,
    event::{Cut, Event, UtteranceId, VoiceRun, Word},
};
use bot::{actor::RoomHandle, event::RoomEvent, participant::Newcomer};
use media::time::{MediaTime, Span};
use serde_json::{Value, json};
use tests::{
    chromium::{self, Chromium},
    console_page::SOON,
    scripted::Local,
};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn people_on_one_line_are_listed_put_right_and_named_by_whoever_knows_them() {
    let local = Local::deaf(Config::default()).await;
    let room = local.app.open_room("Board").unwrap();
    let newcomer = Newcomer { known_voices: vec!["Mia".to_owned()], ..Newcomer::from("Line") };
    let seat = room.join(newcomer).await.unwrap();
    let both = said(0, &[("We are late today.", 1), ("I will send the report tomorrow.", 0)]);
    seat.heard(both).await.unwrap();
    seat.heard(said(1, &[("Hello, this is Jonas.", 1)])).await.unwrap();
    until(&room, |event| matches!(event, RoomEvent::SpeakerSuggested { .. })).await;

    let (_, transcript) = ask(&local, &room, "transcript", None).await;
    let speakers: Vec<&str> =
        transcript["segments"].as_array().unwrap().iter().filter_map(|part| part["speaker"].as_str()).collect();
    assert_eq!(speakers, ["Line, voice 1", "Mia", "Line, voice 1"], "{transcript}");
    let (_, listed) = ask(&local, &room, "speakers", None).await;
    assert_eq!(listed["speakers"][0]["speaker"], "p1.1", "{listed}");
    assert_eq!(listed["speakers"][0]["named_by"], "enrolled", "{listed}");
    assert_eq!(listed["speakers"][1]["words"], 8, "{listed}");

    for (speaker, name, status) in
        [("p1.9", "Eve", 404), ("p9.1", "Eve", 404), ("nobody", "Eve", 404), ("p1", "Eve", 400), ("p1.2", " ", 400)]
    {
        let (answer, body) = ask(&local, &room, &format!("speakers/{speaker}"), Some(name)).await;
        assert_eq!(answer, status, "{speaker} {body}");
    }

    if let Ok(browser) = Chromium::installed().map_err(|why| println!("{why}")) {
        let mut page = Chromium::start(&browser, chromium::Options::default()).await;
        page.resize(1440, 900, false).await;
        page.open(&local.base_url()).await;
        let entry = format!("[data-room={}]", room.id());
        page.wait_for(&format!("document.querySelector('{entry}')"), SOON).await;
        page.click(&entry).await;
        page.click("#tab-people").await;
        page.wait_for("document.querySelectorAll('#talk .talk').length === 2", SOON).await;
        page.wait_for("document.querySelectorAll('.word[data-by]').length === 2", SOON).await;
        page.click("#talk-offers .offer-yes").await;
        page.wait_for(&is_shown("#talk .talk-name", "Jonas"), SOON).await;
        page.wait_for("document.querySelectorAll('#talk-offers .offer').length === 0", SOON).await;
        seat.heard(relabelled(0, 10, 1)).await.unwrap();
        page.wait_for("document.querySelectorAll('#talk .talk').length === 1", SOON).await;
        page.wait_for("document.querySelectorAll('.word[data-by]').length === 0", SOON).await;
        page.wait_for(&is_shown(".line .speaker", "Jonas"), SOON).await;
        page.wait_for(&is_shown("#actions .chip.owner", "Jonas"), SOON).await;
        page.close().await;
    } else {
        seat.heard(relabelled(0, 10, 1)).await.unwrap();
    }

    let (answer, named) = ask(&local, &room, "speakers/p1.2", Some(" Jonas Weber ")).await;
    assert_eq!((answer, named["speakers"][0]["name"].as_str()), (200, Some("Jonas Weber")), "{named}");
    let (_, actions) = ask(&local, &room, "actions", None).await;
    assert_eq!(actions["action_items"][0]["owner"], "Jonas Weber", "{actions}");
}

/// An utterance as the ears tell it, its words a quarter of a second each.
fn said(utterance: u64, runs: &[(&str, u16)]) -> Event {
    let (mut words, mut voices) = (Vec::new(), Vec::new());
    for (text, voice) in runs {
        let before = words.len();
        for text in text.split(' ') {
            let start = MediaTime::from_millis(utterance * 10_000 + 250 * words.len() as u64);
            let span = Span::new(start, start + Duration::from_millis(250));
            words.push(Word { text: text.to_owned(), span, confidence: 0.9 });
        }
        voices.push(VoiceRun { words: words.len() - before, voice: Some(VoiceId(*voice)), confidence: 0.9 });
    }
    let span = Span::new(words[0].span.start, words[words.len() - 1].span.end);
    let utterance = UtteranceId(utterance);
    Event::Final { utterance, words, span, cut: Cut::Pause, language: Some("en".to_owned()), voices }
}

fn relabelled(utterance: u64, words: usize, voice: u16) -> Event {
    let voices = vec![VoiceRun { words, voice: Some(VoiceId(voice)), confidence: 0.9 }];
    Event::Relabelled { utterance: UtteranceId(utterance), voices }
}

async fn until(room: &RoomHandle, is_it: impl Fn(&RoomEvent) -> bool) {
    let mut log = room.follow(None);
    let found = timeout(SOON, async {
        loop {
            let entries = log.next(16).await.unwrap();
            assert!(!entries.is_empty(), "the room was closed");
            if entries.iter().any(|entry| is_it(&entry.event)) {
                return;
            }
        }
    });
    found.await.expect("an event that never came");
}

/// Reads `path` of the room, or gives a name to it.
async fn ask(local: &Local, room: &RoomHandle, path: &str, name: Option<&str>) -> (u16, Value) {
    ::server::models::tls::install();
    let (client, url) = (reqwest::Client::new(), format!("{}/api/rooms/{}/{path}", local.base_url(), room.id()));
    let request = match name {
        Some(name) => {
            let body = json!({ "name": name }).to_string();
            client.post(url).header("content-type", "application/json").body(body)
        }
        None => client.get(url),
    };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// Whether one of those that `selector` finds on the page reads `text`.
fn is_shown(selector: &str, text: &str) -> String {
    format!("[...document.querySelectorAll('{selector}')].some((one) => one.textContent === '{text}')")
}
