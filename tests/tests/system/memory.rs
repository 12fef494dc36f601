//! Callers who are remembered from call to call, and forgotten; reminders that are told when their time has come.
//!
//! The caller comes by a `ConversationRelay` whose host is a client of ours, so nothing sounds and nothing waits for
//! speech; the rules answer. A reminder is due at once for whoever reads the machine's clock: its time is long over.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use server::{
    config::Config,
    store::reminders::{New, State},
};
use tempfile::TempDir;
use tests::{
    client::{events, until_told},
    hook::Hook,
    relay_host::RelayHost,
    scripted::Local,
};
use tokio::time::{interval, timeout};

/// Whom the relay's host says to be.
const NUMBER: &str = "+15005550006";

/// The longest that something is waited for that nobody tells.
const PATIENCE: Duration = Duration::from_secs(30);

const STRANGER: &str = "Good morning, this is the office.";
const KNOWN: &str = "Welcome back.";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_agreed_is_known_when_they_call_again_and_nobody_who_was_forgotten() {
    let (local, _personas) = office().await;
    let (mut host, greeting) = call(&local).await;
    assert_eq!(greeting, STRANGER);
    host.says("Please take a note that I need forty chairs.").await;
    host.answer().await;
    // Nothing was agreed to, so nothing is kept.
    end(&local, host).await;
    assert_eq!(known(&local).await, json!({"number": NUMBER, "agreed": [], "calls": []}));

    let (mut host, greeting) = call(&local).await;
    assert_eq!(greeting, STRANGER);
    host.says("Please remember me.").await;
    assert_eq!(host.answer().await.0, "Good, I will remember our conversation.");
    host.says("Remind me tomorrow at three of the forty chairs.").await;
    assert_eq!(host.answer().await.0, "I will remind you.");
    end(&local, host).await;
    let known = until(&local, |known| known["calls"].as_array().is_some_and(|calls| !calls.is_empty())).await;
    assert_eq!(known["agreed"][0]["persona"], "office");
    // The call before the yes is not among them.
    assert_eq!(known["calls"].as_array().unwrap().len(), 1, "{known}");
    let text = known["calls"][0]["text"].as_str().unwrap();
    assert!(text.contains("forty chairs"), "{text}");
    let reminders = get(&local, "/api/reminders").await;
    let reminder = &reminders["reminders"][0];
    assert_eq!((&reminder["state"], &reminder["number"]), (&json!("waiting"), &json!(NUMBER)), "{reminders}");
    assert!(reminder["due"].as_str().is_some_and(|due| due.ends_with("T15:00")), "{reminders}");

    let (mut host, greeting) = call(&local).await;
    assert_eq!(greeting, KNOWN);
    host.says("Forget me, please.").await;
    assert_eq!(host.answer().await.0, "I have erased all that I knew of you.");
    end(&local, host).await;
    let (host, greeting) = call(&local).await;
    assert_eq!(greeting, STRANGER);
    assert_eq!(self::known(&local).await, json!({"number": NUMBER, "agreed": [], "calls": []}));
    drop(host);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_that_fell_due_while_nobody_served_is_told_at_the_start() {
    let mut hook = Hook::with("thank you".to_owned()).await;
    let text = format!("[reminders]\nurl = \"{}\"\n", hook.url("/reminders"));
    let local = Local::deaf(Config::parse(Path::new("test.toml"), &text, []).unwrap()).await;
    let store = local.app.store().unwrap().clone();
    let due_at = "2026-01-05T08:00:00Z".parse().unwrap();
    let new = New {
        text: "Send the offer to Mrs Weber.".to_owned(),
        due: "2026-01-05".to_owned(),
        due_at,
        persona: "office".to_owned(),
        room: "r1".to_owned(),
        number: Some(NUMBER.to_owned()),
    };
    let id = store.remind(&new, due_at).await.unwrap().unwrap();
    let watching = tokio::spawn(server::reminders::watch(local.app.clone()));
    let asked = hook.next().await;
    assert_eq!(asked.path, "/reminders");
    assert_eq!((asked.param("Event"), asked.param("Text")), ("reminder.due", "Send the offer to Mrs Weber."));
    assert_eq!((asked.param("ReminderId"), asked.param("Caller")), (id.to_string().as_str(), NUMBER));
    local.drain().await;
    // What is under way is noted before it ends.
    watching.await.unwrap();
    assert_eq!(store.reminders(9).await.unwrap()[0].state, State::Told);
}

/// A server with a persona that remembers, and the folder of that persona.
async fn office() -> (Local, TempDir) {
    let personas = TempDir::new().unwrap();
    let persona = format!(
        "title = \"Office\"\nlanguages = [\"en\"]\ntools = [\"take_note\", \"remind\", \"remember\"]\n\
         [greeting]\nen = \"{{{{#known}}}}{KNOWN}{{{{/known}}}}{{{{^known}}}}{STRANGER}{{{{/known}}}}\"\n\
         [memory]\n"
    );
    std::fs::write(personas.path().join("office.toml"), persona).unwrap();
    let text = format!("[agent]\npersonas = {:?}\npersona = \"office\"\n", personas.path());
    (Local::deaf(Config::parse(Path::new("test.toml"), &text, []).unwrap()).await, personas)
}

/// Somebody calls, and is greeted.
async fn call(local: &Local) -> (RelayHost, String) {
    let mut host = RelayHost::dial(&format!("{}/twilio/relay", local.ws_url()), &[]).await.unwrap();
    host.sets_up(&Value::Null).await;
    let (greeting, _) = host.answer().await;
    (host, greeting)
}

/// They hang up, and their agent has left.
async fn end(local: &Local, host: RelayHost) {
    let rooms = get(local, "/api/rooms").await;
    let room = rooms["rooms"].as_array().and_then(|rooms| rooms.last()).unwrap()["id"].as_str().unwrap().to_owned();
    let mut told = events(&local.ws_url(), &room).await;
    drop(host);
    until_told(&mut told, "summary.ready").await;
}

async fn known(local: &Local) -> Value {
    get(local, &format!("/api/callers/{NUMBER}")).await
}

/// What is remembered, once it is so.
async fn until(local: &Local, is_so: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        let mut looks = interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let known = known(local).await;
            if is_so(&known) {
                return known;
            }
        }
    };
    timeout(PATIENCE, looking).await.expect("a call is kept when it is over")
}

async fn get(local: &Local, path: &str) -> Value {
    reqwest::get(format!("{}{path}", local.base_url())).await.unwrap().json().await.unwrap()
}
