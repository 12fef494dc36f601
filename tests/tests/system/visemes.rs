//! What a face does while somebody speaks here: the visemes of a room's events, against what was heard of it.
//!
//! The voice is espeak-ng's. Whether the mouth moves is compared with whether something sounds, in the order of the room's
//! events and by the rule that clients follow: an event takes the place of what was told from its moment on. Both are laid
//! side by side by their ends: how a sentence looks is known a moment after it is heard where nobody has said it before.

use std::{path::Path, time::Duration};

use bot::actor::RoomHandle;
use serde_json::{Value, json};
use server::config::Config;
use tests::{
    calls::Calls,
    client::{Said, Socket, events, of_type, samples, until_told},
    scripted::Local,
};
use tokio::{pin, select, time::timeout};

/// What is heard.
const RATE_HZ: usize = 8_000;

/// Sound and mouth are looked at in steps of 20 ms.
const STEP_S: f64 = 0.02;

/// Quieter than this is silence.
const QUIET: f32 = 0.004;

/// A pause between sentences is no shorter, one at a comma is.
const PAUSE_STEPS: usize = 12;

/// The mouth opens and closes no further from its sound than this: places of words are estimated.
const NEAR_STEPS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_mouth_moves_while_words_for_a_room_are_heard_and_rests_between_sentences() {
    let Some((local, _room, mut ada)) = with_a_listener().await else { return };
    let mut told = events(&local.ws_url(), "r1").await;
    let text = "Das Essen ist fertig. Bitte kommt alle in den Garten. Danke, und guten Appetit.";
    let words = json!({"text": text, "language": "de"});
    let (status, begun) = Calls::at(&local.base_url()).post("rooms/r1/say", &words).await;
    assert_eq!(status, 202, "{begun}");
    let (seen, heard) = hear_until(&mut told, "say.ended", &mut ada).await;

    let visemes: Vec<&Value> = of_type(&seen, "avatar.viseme").collect();
    let is_its = |event: &&Value| event["say"] == begun["say"] && event.get("participant").is_none();
    assert!(visemes.len() >= 3 && visemes.iter().all(is_its), "an event for each of three sentences: {visemes:?}");
    let (mouth, sound) = (moves(&visemes), sounds(&heard));
    assert_alike(&mouth, &sound);
    let (rests, silences) = (pauses(&mouth), pauses(&sound));
    assert!(rests.len() == 2 && silences.len() == 2, "two pauses: {rests:?} {silences:?}");
    for (rest, silence) in rests.iter().zip(&silences) {
        let is_near = |a: usize, b: usize| a.abs_diff(b) <= NEAR_STEPS;
        assert!(is_near(rest.0, silence.0) && is_near(rest.1, silence.1), "{rests:?} {silences:?}");
    }
    let at_s = |kind: &str| of_type(&seen, kind).next().and_then(|event| event["at_s"].as_f64()).expect("a time");
    let (started_s, ended_s) = (at_s("say.started"), at_s("say.ended"));
    let last_s = visemes.iter().flat_map(|event| shapes(event)).map(|(_, _, to_s)| to_s).fold(0.0, f64::max);
    let first_s = visemes[0]["start_s"].as_f64().expect("a time");
    assert!(started_s <= first_s && last_s <= ended_s + 0.1, "{started_s} {first_s} {last_s} {ended_s}");
    // Whoever comes late is told the same.
    let again = until_told(&mut events(&local.ws_url(), "r1").await, "say.ended").await;
    assert!(of_type(&again, "avatar.viseme").eq(visemes.iter().copied()), "{again:?}");
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_a_face_while_it_is_heard() {
    let Some((local, _room, mut ada)) = with_a_listener().await else { return };
    let mut told = events(&local.ws_url(), "r1").await;
    assert_eq!(Calls::at(&local.base_url()).post("rooms/r1/agent", &json!({})).await.0, 201);
    let (seen, heard) = hear_until(&mut told, "bot.spoke", &mut ada).await;

    let agent = of_type(&seen, "participant.joined").find(|event| event["kind"] == "agent").expect("it came");
    let spoke = seen.last().expect("it spoke");
    let visemes: Vec<&Value> = of_type(&seen, "avatar.viseme").collect();
    let is_its = |event: &&Value| event["participant"] == agent["participant"] && event["turn"] == spoke["turn"];
    assert!(visemes.len() >= 2 && visemes.iter().all(is_its), "an event for each of two sentences: {visemes:?}");
    assert_alike(&moves(&visemes), &sounds(&heard));
    local.drain().await;
}

/// A server that tells visemes, with a room in which Ada listens; nothing where there is no voice.
async fn with_a_listener() -> Option<(Local, RoomHandle, Socket)> {
    if !Path::new("/usr/bin/espeak-ng").exists() {
        println!("skipped: no espeak-ng");
        return None;
    }
    let local = Local::deaf(Config::parse(Path::new("test.toml"), "[tts]\nvisemes = true\n", []).unwrap()).await;
    let room = local.app.open_room("").unwrap();
    let url =
        format!("{}/api/rooms/r1/audio?encoding=linear16&sample_rate={RATE_HZ}&name=Ada&listen=true", local.ws_url());
    let mut ada = Socket::open(&url, &[]).await.unwrap();
    assert_eq!(ada.json().await.unwrap()["type"], "ready");
    Some((local, room, ada))
}

/// The events until one of this type, and what is heard until a second later.
async fn hear_until(told: &mut Socket, kind: &str, ear: &mut Socket) -> (Vec<Value>, Vec<f32>) {
    let mut heard = Vec::new();
    let telling = until_told(told, kind);
    pin!(telling);
    let seen = loop {
        select! {
            seen = &mut telling => break seen,
            said = ear.message() => keep(said.expect("she is there"), &mut heard),
        }
    };
    let still_coming = async {
        while let Ok(said) = ear.message().await {
            keep(said, &mut heard);
        }
    };
    let _: Result<(), _> = timeout(Duration::from_secs(1), still_coming).await;
    (seen, heard)
}

fn keep(said: Said, heard: &mut Vec<f32>) {
    if let Said::Sound(bytes) = said {
        heard.extend(samples(&bytes));
    }
}

/// The shapes of an event: which, from when and until when in seconds of the room.
fn shapes(event: &Value) -> Vec<(String, f64, f64)> {
    let start_s = event["start_s"].as_f64().expect("a time");
    let ms = |shape: &Value, field: &str| shape[field].as_f64().expect("milliseconds") / 1_000.0;
    let read = |shape: &Value| {
        let from_s = start_s + ms(shape, "at_ms");
        (shape["viseme"].as_str().expect("a name").to_owned(), from_s, from_s + ms(shape, "duration_ms"))
    };
    event["visemes"].as_array().expect("a list").iter().map(read).collect()
}

/// Step by step from its last movement back to its first, whether the mouth moves.
fn moves(events: &[&Value]) -> Vec<bool> {
    let mut all: Vec<(String, f64, f64)> = Vec::new();
    for event in events {
        let start_s = event["start_s"].as_f64().expect("a time");
        all.retain(|(_, from_s, _)| *from_s < start_s);
        all.iter_mut().for_each(|(_, _, to_s)| *to_s = to_s.min(start_s));
        all.extend(shapes(event));
    }
    all.retain(|(viseme, _, _)| viseme != "sil");
    let (first_s, last_s) = (all[0].1, all[all.len() - 1].2);
    let is_moving = |at_s: f64| all.iter().any(|(_, from_s, to_s)| (*from_s..*to_s).contains(&at_s));
    (0..((last_s - first_s) / STEP_S) as usize).map(|step| is_moving(last_s - (step as f64 + 0.5) * STEP_S)).collect()
}

/// Step by step from the last sound back to the first, whether something sounds.
fn sounds(heard: &[f32]) -> Vec<bool> {
    let level = |piece: &[f32]| (piece.iter().map(|s| s * s).sum::<f32>() / piece.len() as f32).sqrt();
    let loud: Vec<bool> = heard.chunks((RATE_HZ as f64 * STEP_S) as usize).map(|piece| level(piece) > QUIET).collect();
    let first = loud.iter().position(|loud| *loud).expect("something is heard");
    let last = loud.iter().rposition(|loud| *loud).expect("something is heard");
    loud[first..=last].iter().rev().copied().collect()
}

/// Long rests between movements, or silences between sounds: from which step to which.
fn pauses(is_on: &[bool]) -> Vec<(usize, usize)> {
    let mut pauses = Vec::new();
    let mut off_since = None;
    for (step, is_on) in is_on.iter().enumerate() {
        match (*is_on, off_since) {
            (false, None) => off_since = Some(step),
            (true, Some(from)) => {
                if step - from >= PAUSE_STEPS {
                    pauses.push((from, step));
                }
                off_since = None;
            }
            _ => {}
        }
    }
    pauses
}

/// The mouth moves with the sound, and not a fifth of a second earlier or later.
fn assert_alike(mouth: &[bool], sound: &[bool]) {
    let share = |later: i64| {
        let at =
            |step: usize| usize::try_from(step as i64 - later).ok().and_then(|at| mouth.get(at)).is_some_and(|on| *on);
        let alike = sound.iter().enumerate().filter(|(step, is_on)| at(*step) == **is_on).count();
        alike as f64 / sound.len() as f64
    };
    let (early, now, late) = (share(-10), share(0), share(10));
    println!("the mouth is as the sound: {now:.2}; moved by 200 ms: {early:.2}, {late:.2}");
    assert!(now > 0.75 && now > early && now > late, "{early} {now} {late}\n{mouth:?}\n{sound:?}");
}
