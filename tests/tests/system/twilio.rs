//! Twilio's protocols from outside: streams of callers into a real room, and its own SDK against the REST resources.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bot::{event::RoomEvent, participant::Kind, room::Room};
use media::codec::g711::Law;
use serde_json::{Value, json};
use server::{
    config::Config,
    dialect::twilio::message::{Format, Narrator, Start, Track},
    webhook::{
        Cookies, Method, Request, WebhookError, Webhooks,
        signature::{self, AuthToken},
    },
};
use tests::{
    client::{Closed, Refused, Socket},
    clients,
    hook::Hook,
    listening::{Sound, compare},
    scripted::Local,
    sounds::{VOICE_HZ, voice},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// 20 ms.
const CHUNK: usize = 160;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A caller at Twilio, and the socket that Twilio opened for them.
struct Caller {
    socket: Socket,
    narrator: Narrator,
    sid: String,
}

impl Caller {
    async fn dial(local: &Local, sid: &str, tracks: &[Track], parameters: &[(&str, &str)]) -> Self {
        let socket = Socket::open(&format!("{}/twilio/media", local.ws_url()), &[]).await.unwrap();
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let start = Start {
            stream_sid: sid.to_owned(),
            account_sid: ACCOUNT.to_owned(),
            call_sid: "CA1".to_owned(),
            tracks: tracks.to_vec(),
            parameters,
            format: Format::default(),
        };
        let mut caller = Self { socket, narrator: Narrator::new(start), sid: sid.to_owned() };
        let connected = caller.narrator.connected();
        caller.socket.text(&connected).await;
        let start = caller.narrator.start();
        caller.socket.text(&start).await;
        caller
    }

    /// Says `said` as Twilio brings it, and hears what comes, for as long as it takes: sound, and when each came.
    async fn talk(&mut self, said: &[f32]) -> (Vec<f32>, Vec<Instant>) {
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut heard, mut times, mut at_ms) = (Vec::new(), Vec::new(), 0);
        let mut chunks = said.chunks(CHUNK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let Some(chunk) = chunks.next() else { return (heard, times) };
                    let payload: Vec<u8> = chunk.iter().map(|sample| Law::Mu.encode(*sample)).collect();
                    let media = self.narrator.media(Track::Inbound, at_ms, &payload);
                    at_ms += 20;
                    self.socket.text(&media).await;
                }
                message = self.socket.json() => {
                    let message = message.expect("the stream goes on");
                    assert_eq!(message["streamSid"], self.sid.as_str());
                    match message["event"].as_str() {
                        Some("media") => {
                            times.push(Instant::now());
                            heard.extend(decoded(&message));
                        }
                        // As Twilio does when it has played what came before.
                        Some("mark") => {
                            let mark = self.narrator.mark(message["mark"]["name"].as_str().unwrap());
                            self.socket.text(&mark).await;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    /// Hangs up, and reads to the end.
    async fn hang_up(mut self) -> Closed {
        let stop = self.narrator.stop();
        self.socket.text(&stop).await;
        self.socket.rest().await.1
    }
}

fn decoded(media: &Value) -> Vec<f32> {
    let payload = STANDARD.decode(media["media"]["payload"].as_str().unwrap()).unwrap();
    payload.into_iter().map(|byte| Law::Mu.decode(byte)).collect()
}

fn config(text: &str) -> Config {
    Config::parse(Path::new("test.toml"), text, []).unwrap()
}

fn with_account() -> Config {
    config(&format!("[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\""))
}

/// With an account, whose applications may lie on this machine.
fn with_applications() -> Config {
    let account = format!("account_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"");
    config(&format!("[twilio]\n{account}\n[webhooks]\nallow = [\"127.0.0.1:*\"]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_callers_meet_in_a_room_and_hear_each_other_at_an_even_pace() {
    let local = Local::deaf(Config::default()).await;
    let mut ada = Caller::dial(&local, "MZ1", &[Track::Inbound], &[("room", "sales"), ("name", "Ada")]).await;
    let mut bob = Caller::dial(&local, "MZ2", &[Track::Inbound], &[("room", "sales"), ("name", "Bob")]).await;
    let (ada_says, bob_says) = (voice(5.0, 1), voice(5.0, 2));
    let ((ada_heard, ada_times), (bob_heard, _)) = tokio::join!(ada.talk(&ada_says), bob.talk(&bob_says));
    for (who, said, heard) in [("Ada", &bob_says, &ada_heard), ("Bob", &ada_says, &bob_heard)] {
        let (said, heard) = (Sound { samples: said, rate_hz: VOICE_HZ }, Sound { samples: heard, rate_hz: VOICE_HZ });
        let hearing = compare(said, heard).unwrap_or_else(|error| panic!("{who} heard nothing: {error:?}"));
        println!("{who} heard: {:.0} ms late, likeness {:.3}", hearing.delay_ms, hearing.likeness);
        assert!(hearing.likeness > 0.9, "{who}: {hearing:?}");
        assert!(hearing.delay_ms < 400.0, "{who}: {hearing:?}");
    }
    // The pace that most come at: a machine that stands still delays some, and those behind them come at once.
    let mut paces: Vec<_> = ada_times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    paces.sort_unstable();
    assert!((15..=25).contains(&paces[paces.len() / 2]), "{paces:?} ms from one to the next");
    let room = local.app.room_called("sales").unwrap();
    let people = room.read(Room::participants);
    let mut names: Vec<_> = people.iter().map(|person| (&*person.name, person.kind)).collect();
    // Both dialled at once.
    names.sort_by_key(|(name, _)| *name);
    assert_eq!(names, [("Ada", Kind::Twilio), ("Bob", Kind::Twilio)]);
    assert_eq!(ada.hang_up().await.code, Some(1000));
    assert_eq!(bob.hang_up().await.code, Some(1000));
    assert!(room.read(Room::participants).is_empty());
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_become_events_and_two_tracks_become_two_people_who_only_speak() {
    let local = Local::deaf(Config::default()).await;
    let parameters = [("room", "desk"), ("name", "Ada"), ("other_name", "Bob")];
    let mut caller = Caller::dial(&local, "MZ1", &[Track::Inbound, Track::Outbound], &parameters).await;
    let key = caller.narrator.dtmf('5');
    caller.socket.text(&key).await;
    let room = local.app.room_called("desk").unwrap();
    let mut log = room.follow(None);
    let mut names = Vec::new();
    let digit = loop {
        let found = log.next(16).await.unwrap().into_iter().find_map(|entry| match &entry.event {
            RoomEvent::Dtmf { digit, .. } => Some(*digit),
            RoomEvent::ParticipantJoined { name, .. } => {
                names.push(name.to_string());
                None
            }
            _ => None,
        });
        if let Some(digit) = found {
            break digit;
        }
    };
    assert_eq!((digit, names), ('5', vec!["Ada".to_owned(), "Bob".to_owned()]));
    let (heard, _) = caller.talk(&voice(0.5, 3)).await;
    assert!(heard.is_empty(), "a stream that only comes in is told nothing");
    assert_eq!(caller.hang_up().await.code, Some(1000));
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_no_stream_is_told_why_and_a_room_that_closes_ends_one() {
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/twilio/media", local.ws_url());
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    for _ in 0..20 {
        socket.text("nonsense").await;
    }
    assert_eq!(socket.rest().await.1, Closed { code: Some(1008), reason: "no start came".to_owned() });
    let mut caller = Caller::dial(&local, "MZ1", &[Track::Inbound], &[("room", "r99")]).await;
    assert_eq!(caller.socket.json().await.unwrap_err().code, Some(1008));
    let mut caller = Caller::dial(&local, "MZ1", &[Track::Inbound], &[("room", "short")]).await;
    caller.talk(&voice(0.3, 4)).await;
    let room = local.app.room_called("short").unwrap();
    room.close().await;
    let (_, closed) = caller.socket.rest().await;
    assert_eq!(closed, Closed { code: Some(1000), reason: "the room was closed".to_owned() });
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_account_only_its_own_streams_and_holders_of_keys_come_in() {
    let local = Local::deaf(with_account()).await;
    let url = format!("{}/twilio/media", local.ws_url());
    let refused = |answer: Result<Socket, Refused>| answer.err().map(|refused| (refused.status, refused.body));
    let (status, body) = refused(Socket::open(&url, &[]).await).unwrap();
    assert_eq!((status, &body["error"]["code"]), (403, &json!("bad_signature")));
    let signed = |token: &str, url: &str| signature::sign(&AuthToken::new(token), url, &[]);
    let wrong = signed("another token", &url);
    assert_eq!(refused(Socket::open(&url, &[("x-twilio-signature", &wrong)]).await).unwrap().0, 403);
    let right = signed(TOKEN, &url);
    assert!(Socket::open(&url, &[("x-twilio-signature", &right)]).await.is_ok());
    local.drain().await;

    let mut keyed = with_account();
    keyed.auth.keys = vec!["key".to_owned()];
    let local = Local::deaf(keyed).await;
    let url = format!("{}/twilio/media", local.ws_url());
    assert_eq!(refused(Socket::open(&url, &[]).await).unwrap().0, 401);
    assert!(Socket::open(&url, &[("authorization", "Bearer key")]).await.is_ok());
    assert!(Socket::open(&url, &[("x-twilio-signature", &signed(TOKEN, &url))]).await.is_ok());
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_nobody_may_use_the_resources_and_refusals_are_twilios() {
    let local = Local::deaf(Config::default()).await;
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", local.base_url());
    let response = reqwest::Client::new().get(&url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({
            "code": 20_003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        })
    );
    local.drain().await;

    let local = Local::deaf(with_account()).await;
    let client = reqwest::Client::new();
    for (method, path, status, code) in [
        ("GET", format!("Accounts/{ACCOUNT}.json"), 200, Value::Null),
        ("GET", format!("Accounts/{ACCOUNT}"), 200, Value::Null),
        ("GET", "Accounts/AC2/Calls.json".to_owned(), 404, json!(20_404)),
        ("GET", format!("Accounts/{ACCOUNT}/Calls"), 503, json!(20_503)),
        ("GET", format!("Accounts/{ACCOUNT}/Calls/CA1.json"), 404, json!(20_404)),
        ("GET", format!("Accounts/{ACCOUNT}/Messages.json"), 404, json!(20_404)),
        ("PUT", format!("Accounts/{ACCOUNT}/Calls.json"), 405, json!(20_405)),
        ("GET", format!("Accounts/{ACCOUNT}/Recordings/RE{:032}.mp3", 0), 406, json!(20_406)),
        ("POST", format!("Accounts/{ACCOUNT}/Calls.json"), 400, json!(21_201)),
    ] {
        let url = format!("{}/2010-04-01/{path}", local.base_url());
        let request = client.request(method.parse().unwrap(), &url).basic_auth(ACCOUNT, Some(TOKEN));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{method} {path}");
    }
    let large = "Twiml=".to_owned() + &"x".repeat(100_000);
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", local.base_url());
    let response = client.post(&url).basic_auth(ACCOUNT, Some(TOKEN)).body(large).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twilios_own_sdk_understands_the_resources() {
    let local = Local::deaf(with_account()).await;
    let base = local.base_url();
    let run = move |scenario: &'static str| {
        let base = base.clone();
        tokio::task::spawn_blocking(move || clients::python("twilio_client.py", &[&base, ACCOUNT, TOKEN, scenario]))
    };
    let Some(account) = run("account").await.unwrap() else { return };
    assert_eq!((&account["sid"], &account["status"]), (&json!(ACCOUNT), &json!("active")));
    let refusals = run("refusals").await.unwrap().unwrap();
    for (what, status, code) in [
        ("wrong_token", 401, 20_003),
        ("no_url", 400, 21_205),
        ("bad_url", 400, 21_205),
        ("no_such_thing", 404, 20_404),
    ] {
        assert_eq!((&refusals[what]["status"], &refusals[what]["code"]), (&json!(status), &json!(code)), "{what}");
    }
    assert_eq!(refusals["mp3"], 406);
    let off = run("off").await.unwrap().unwrap();
    for (what, refusal) in off.as_object().unwrap() {
        assert_eq!((&refusal["status"], &refusal["code"]), (&json!(503), &json!(20_503)), "{what}: {refusal}");
    }
    local.drain().await;
}

/// What the REST interface answers: the status, and the body.
async fn rest(local: &Local, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/{path}", local.base_url());
    let request = reqwest::Client::new().request(method.parse().unwrap(), url).basic_auth(ACCOUNT, Some(TOKEN));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = if method == "POST" {
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    } else {
        request
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// Asks until the answer is as it should be, or for so long that it never will be.
async fn rest_until(local: &Local, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        let mut looks = interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let (_, value) = rest(local, "GET", path, &[]).await;
            if is_so(&value) {
                return value;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("{path} never was so"))
}

#[tokio::test(flavor = "multi_thread")]
async fn twilios_own_sdk_places_a_call_changes_it_and_ends_it() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let mut second = Hook::start("<Response><Pause length=\"60\"/></Response>").await;
    let to = format!("sip:echo@{telephone}");
    let given = json!({
        "to": to,
        "from": "+15005550001",
        "twiml": "<Response><Pause length=\"60\"/></Response>",
        "second_twiml": format!("<Response><Redirect>{}</Redirect></Response>", second.url("/second")),
    })
    .to_string();
    let base = local.base_url();
    let run = move |scenario: &'static str, given: String| {
        let base = base.clone();
        let arguments = move || clients::python("twilio_client.py", &[&base, ACCOUNT, TOKEN, scenario, &given]);
        tokio::task::spawn_blocking(arguments)
    };
    let Some(report) = run("drive", given).await.unwrap() else { return };
    let sid = &report["placed"]["sid"];
    for stage in ["fetched", "changed", "taken", "ended", "again"] {
        assert_eq!(&report[stage]["sid"], sid, "{report}");
    }
    assert_eq!((&report["placed"]["to"], &report["placed"]["from"]), (&json!(to), &json!("+15005550001")));
    assert_eq!(report["placed"]["direction"], "outbound-api");
    assert_eq!((&report["is_listed"], &report["taken"]["status"]), (&json!(true), &json!("in-progress")), "{report}");
    assert_eq!((&report["ended"]["status"], &report["again"]["status"]), (&json!("completed"), &json!("completed")));
    let asked = second.next().await;
    assert_eq!((asked.path.as_str(), &json!(asked.param("CallSid"))), ("/second", sid));
    let params: Vec<_> = asked.params.into_iter().collect();
    assert!(signature::is_genuine(&AuthToken::new(TOKEN), &second.url("/second"), &params, &asked.signature));

    for _ in 0..2 {
        let form = [("To", to.as_str()), ("From", "+15005550001"), ("Twiml", "<Response><Hangup/></Response>")];
        assert_eq!(rest(&local, "POST", "Calls.json", &form).await.0, 201);
    }
    // Each is two: we call ourselves.
    let is_all = |list: &Value| {
        list["calls"]
            .as_array()
            .is_some_and(|calls| calls.len() == 6 && calls.iter().all(|call| call["status"] == "completed"))
    };
    let all = rest_until(&local, "Calls.json", is_all).await;
    let all: Vec<_> = all["calls"].as_array().unwrap().iter().map(|call| call["sid"].clone()).collect();
    assert_eq!(run("pages", "{}".to_owned()).await.unwrap(), Some(json!(all)));

    let forgotten = format!("Calls/{}.json", all[0].as_str().unwrap());
    assert_eq!(rest(&local, "DELETE", &forgotten, &[]).await.0, 204);
    assert_eq!(rest(&local, "GET", &forgotten, &[]).await.0, 404);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_places_a_call_is_told_how_it_goes_also_when_nobody_takes_it() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let mut told = Hook::start("<Response/>").await;
    let events = ["initiated", "ringing", "answered", "completed"].map(|event| ("StatusCallbackEvent", event));
    for (who, twiml, expected) in [
        ("ring", "<Response/>", &["initiated", "ringing", "no-answer"][..]),
        ("nobody", "<Response/>", &["initiated", "failed"]),
        ("echo", "<Response><Hangup/></Response>", &["initiated", "in-progress", "completed"]),
    ] {
        let (to, callback) = (format!("sip:{who}@{telephone}"), told.url("/status"));
        let mut form = vec![("To", to.as_str()), ("From", "+15005550001"), ("Twiml", twiml), ("Timeout", "1")];
        form.push(("StatusCallback", &callback));
        form.extend(events);
        let (status, placed) = rest(&local, "POST", "Calls.json", &form).await;
        assert_eq!(status, 201, "{placed}");
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let asked = told.next().await;
            assert_eq!(json!(asked.param("CallSid")), placed["sid"]);
            assert_eq!(asked.param("CallbackSource"), "call-progress-events");
            seen.push(asked.param("CallStatus").to_owned());
        }
        assert_eq!(seen, expected, "{who}");
        let path = format!("Calls/{}.json", placed["sid"].as_str().unwrap());
        let over = rest_until(&local, &path, |call| call["status"] == *expected.last().unwrap()).await;
        assert!(!over["end_time"].is_null(), "{over}");
    }
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_placed_or_changed_is_refused_with_twilios_number() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let echo = format!("sip:echo@{telephone}");
    for (to, status, code) in
        [("not a number!", 400, 21_211), ("client:nobody", 400, 21_214), ("+15005550006", 400, 21_214)]
    {
        let form = [("To", to), ("From", "+15005550001"), ("Twiml", "<Response/>")];
        let (got, body) = rest(&local, "POST", "Calls.json", &form).await;
        assert_eq!((got, &body["code"]), (status, &json!(code)), "{to}: {body}");
    }
    let form = [("To", echo.as_str()), ("From", "+15005550001"), ("Twiml", "<Response><Hangup/></Response>")];
    let (_, placed) = rest(&local, "POST", "Calls.json", &form).await;
    let path = format!("Calls/{}.json", placed["sid"].as_str().unwrap());
    rest_until(&local, &path, |call| call["status"] == "completed").await;
    let (status, body) = rest(&local, "POST", &path, &[("Twiml", "<Response/>")]).await;
    assert_eq!((status, &body["code"]), (400, &json!(21_220)));
    for (path, code) in [("Streams.json", 21_205), ("Recordings.json", 21_220)] {
        let path = format!("Calls/{}/{path}", placed["sid"].as_str().unwrap());
        let (status, body) = rest(&local, "POST", &path, &[]).await;
        assert!(status == 400 && [json!(code), json!(20_001)].contains(&body["code"]), "{path}: {body}");
    }
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_from_outside_paused_and_heard() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let mut told = Hook::start("<Response/>").await;
    let to = format!("sip:echo@{telephone}");
    // Music plays while one waits, and the other side sends it back.
    let form = [("To", to.as_str()), ("From", "+1"), ("Twiml", "<Response><Enqueue>music</Enqueue></Response>")];
    let (_, placed) = rest(&local, "POST", "Calls.json", &form).await;
    let call = format!("Calls/{}", placed["sid"].as_str().unwrap());
    let is_one = |list: &Value| list["queues"].as_array().is_some_and(|all| all.len() == 1);
    let queues = rest_until(&local, "Queues.json", is_one).await;
    let members = format!("Queues/{}/Members.json", queues["queues"][0]["sid"].as_str().unwrap());
    let has_waited = |seconds: u64| {
        move |list: &Value| list["queue_members"][0]["wait_time"].as_u64().is_some_and(|waited| waited >= seconds)
    };
    rest_until(&local, &members, has_waited(0)).await;
    let recordings = format!("{call}/Recordings.json");
    let callback = told.url("/recorded");
    let wish = [("RecordingChannels", "dual"), ("Trim", "do-not-trim"), ("RecordingStatusCallback", callback.as_str())];
    let (status, begun) = rest(&local, "POST", &recordings, &wish).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!((&begun["status"], &begun["channels"]), (&json!("in-progress"), &json!(2)));
    assert_eq!((&begun["source"], &begun["duration"]), (&json!("StartCallRecordingAPI"), &json!("-1")));
    let current = format!("{call}/Recordings/Twilio.CURRENT.json");
    for status in ["paused", "in-progress"] {
        let (_, changed) = rest(&local, "POST", &current, &[("Status", status)]).await;
        assert_eq!((&changed["status"], &changed["sid"]), (&json!(status), &begun["sid"]), "{changed}");
    }
    let (code, skipped) = rest(&local, "POST", &current, &[("Status", "paused"), ("PauseBehavior", "skip")]).await;
    assert_eq!((code, &skipped["code"]), (501, &json!(20_501)));
    rest_until(&local, &members, has_waited(3)).await;
    let (_, stopped) = rest(&local, "POST", &current, &[("Status", "stopped")]).await;
    assert_eq!((&stopped["status"], &stopped["sid"]), (&json!("completed"), &begun["sid"]), "{stopped}");
    let done = told.next().await;
    assert_eq!((done.param("RecordingStatus"), done.param("RecordingChannels")), ("completed", "2"));
    assert_eq!(json!(done.param("RecordingSid")), begun["sid"]);
    let name = format!("Recordings/{}", begun["sid"].as_str().unwrap());
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/{name}.wav", local.base_url());
    let wav = reqwest::Client::new().get(url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    let wav = wav.bytes().await.unwrap();
    let mut reader = hound::WavReader::new(&wav[..]).unwrap();
    assert_eq!(reader.spec().channels, 2);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    for channel in 0..2 {
        let loudest = samples.iter().skip(channel).step_by(2).map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(loudest > 300, "channel {channel}: {loudest}");
    }
    let (_, list) = rest(&local, "GET", &recordings, &[]).await;
    assert_eq!((list["recordings"].as_array().map(Vec::len), &list["recordings"][0]["sid"]), (Some(1), &begun["sid"]));
    assert_eq!(rest(&local, "DELETE", &format!("{name}.json"), &[]).await.0, 204);
    assert_eq!(rest(&local, "GET", &format!("{name}.json"), &[]).await.0, 404);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_called_into_a_conference_muted_and_sent_out() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let to = format!("sip:echo@{telephone}");
    let mut calls = Vec::new();
    let mut conference = "R&D".to_owned();
    for label in ["ada", "bob"] {
        let form = [("To", to.as_str()), ("From", "+15005550001"), ("Label", label)];
        let path = format!("Conferences/{}/Participants.json", conference.replace('&', "%26"));
        let (status, added) = rest(&local, "POST", &path, &form).await;
        assert_eq!((status, &added["label"]), (201, &json!(label)), "{added}");
        calls.push(added["call_sid"].as_str().unwrap().to_owned());
        conference = added["conference_sid"].as_str().unwrap().to_owned();
    }
    let shown = format!("Conferences/{conference}.json");
    let began = rest_until(&local, &shown, |one| one["status"] == "in-progress").await;
    assert_eq!(began["friendly_name"], "R&D");
    let people = format!("Conferences/{conference}/Participants.json");
    let list = rest_until(&local, &people, |list| list["participants"].as_array().is_some_and(|all| all.len() == 2));
    assert!(list.await["participants"].as_array().unwrap().iter().all(|one| one["status"] == "connected"));
    let ada = format!("Conferences/{conference}/Participants/ada.json");
    // Everybody in its room hears what is announced, and one of them alone what is for them: once their call is there.
    let mut asked = Hook::start("<Response><Pause length=\"1\"/></Response>").await;
    let news = asked.url("/news");
    assert_eq!(rest(&local, "POST", &shown, &[("AnnounceUrl", news.as_str())]).await.0, 200);
    let announced = asked.next().await;
    assert_eq!((announced.path.as_str(), announced.param("ConferenceSid")), ("/news", conference.as_str()));
    let own = asked.url("/own");
    let announcing = async {
        let mut looks = interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            if rest(&local, "POST", &ada, &[("AnnounceUrl", own.as_str())]).await.0 == 200 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), announcing).await.expect("ada comes into the room");
    let announced = asked.next().await;
    assert_eq!((announced.path.as_str(), announced.param("CallSid")), ("/own", calls[0].as_str()));
    let (_, coaching) =
        rest(&local, "POST", &ada, &[("Coaching", "true"), ("CallSidToCoach", calls[1].as_str())]).await;
    assert_eq!((&coaching["coaching"], &coaching["call_sid_to_coach"]), (&json!(true), &json!(calls[1])));
    let (_, alone) = rest(&local, "POST", &ada, &[("Coaching", "false")]).await;
    assert_eq!((&alone["coaching"], &alone["call_sid_to_coach"]), (&json!(false), &json!(null)));
    let (sdk, hold) = (asked.url("/sdk"), asked.url("/hold"));
    let given = json!({
        "conference": conference, "call": calls[0], "coached": calls[1], "announce": sdk, "hold": hold,
    });
    let (base, given) = (local.base_url(), given.to_string());
    let arguments = move || clients::python("twilio_client.py", &[&base, ACCOUNT, TOKEN, "confer", &given]);
    let mut expected = vec!["/hold"];
    if let Some(report) = tokio::task::spawn_blocking(arguments).await.unwrap() {
        expected.push("/sdk");
        assert_eq!((&report["status"], &report["coaching"]), (&json!("in-progress"), &json!([true, calls[1]])));
        assert_eq!(report["held"], json!([true, false, null]));
    } else {
        let (_, held) = rest(&local, "POST", &ada, &[("Hold", "true"), ("HoldUrl", hold.as_str())]).await;
        assert_eq!(held["hold"], json!(true));
    }
    // What is heard on hold is asked for again and again.
    while !expected.is_empty() {
        let path = asked.next().await.path;
        expected.retain(|wanted| *wanted != path);
    }
    let (_, muted) = rest(&local, "POST", &ada, &[("Muted", "true")]).await;
    assert_eq!((&muted["muted"], &muted["call_sid"]), (&json!(true), &json!(calls[0])));
    assert_eq!(rest(&local, "DELETE", &ada, &[]).await.0, 204);
    assert_eq!(rest(&local, "GET", &ada, &[]).await.0, 404);
    let (_, over) = rest(&local, "POST", &shown, &[("Status", "completed")]).await;
    assert_eq!(
        (&over["status"], &over["reason_conference_ended"]),
        (&json!("completed"), &json!("conference-ended-via-api"))
    );
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_in_a_queue_is_seen_there_and_sent_on() {
    let (local, telephone) = Local::with_telephone(with_applications()).await;
    let mut next = Hook::start("<Response><Pause length=\"60\"/></Response>").await;
    let (status, queue) = rest(&local, "POST", "Queues.json", &[("FriendlyName", "sales"), ("MaxSize", "5")]).await;
    assert_eq!((status, &queue["max_size"]), (201, &json!(5)));
    assert_eq!(rest(&local, "POST", "Queues.json", &[("FriendlyName", "sales")]).await.0, 409);
    let to = format!("sip:echo@{telephone}");
    let form = [("To", to.as_str()), ("From", "+1"), ("Twiml", "<Response><Enqueue>sales</Enqueue></Response>")];
    let (_, placed) = rest(&local, "POST", "Calls.json", &form).await;
    let path = format!("Queues/{}", queue["sid"].as_str().unwrap());
    rest_until(&local, &format!("{path}.json"), |queue| queue["current_size"] == 1).await;
    let (_, members) = rest(&local, "GET", &format!("{path}/Members.json"), &[]).await;
    assert_eq!(members["queue_members"][0]["call_sid"], placed["sid"]);
    assert_eq!(rest(&local, "DELETE", &format!("{path}.json"), &[]).await.0, 409);
    let (_, taken) = rest(&local, "POST", &format!("{path}/Members/Front.json"), &[("Url", &next.url("/next"))]).await;
    assert_eq!((&taken["call_sid"], &taken["position"]), (&placed["sid"], &json!(1)));
    assert_eq!(next.next().await.path, "/next");
    rest_until(&local, &format!("{path}.json"), |queue| queue["current_size"] == 0).await;
    assert_eq!(rest(&local, "DELETE", &format!("{path}.json"), &[]).await.0, 204);
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flask_application_takes_our_webhooks_and_knows_a_call_by_its_cookie() {
    let port = tests::sipp::free_port().to_string();
    let free = format!("127.0.0.1:{port}");
    let started = tokio::task::spawn_blocking(move || clients::python_program("twilio_app.py", &[&port, TOKEN]));
    let Some(_application) = started.await.unwrap() else { return };
    server::models::tls::install();
    let webhooks = Webhooks::new(&config("[webhooks]\nallow = [\"127.0.0.1:*\"]"), server::clock::Clock);
    let ask = async |path: &str, method: Method, cookies: &Cookies, token: &str| {
        // Flask shows a query with its umlauts decoded, which is not what anybody signs; a form has no such trouble.
        let speech = if method == Method::Post { "Grüße & mehr" } else { "more & more" };
        let params = [("CallSid", "CA1"), ("From", "+49 30 1"), ("Digits", "1"), ("SpeechResult", speech)];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let request = Request {
            token: Some(AuthToken::new(token)),
            cookies: Some(cookies.clone()),
            ..Request::new(method, format!("http://{free}{path}"), params)
        };
        webhooks.send(&request).await
    };
    let (call, other) = (Cookies::default(), Cookies::default());
    let menu = ask("/voice", Method::Post, &call, TOKEN).await.unwrap();
    assert!(String::from_utf8_lossy(&menu.body).contains("<Gather action=\"/gather\""));
    let sales = ask("/gather", Method::Get, &call, TOKEN).await.unwrap();
    assert!(String::from_utf8_lossy(&sales.body).contains("You selected sales"));
    ask("/gather?from=menu", Method::Post, &other, TOKEN).await.unwrap();
    assert_eq!(ask("/status", Method::Post, &other, TOKEN).await.unwrap().status, 204);
    let forged = ask("/voice", Method::Post, &other, "another token").await.unwrap_err();
    assert!(matches!(forged, WebhookError::Status { status: 403, .. }), "{forged}");
    let log: Value = reqwest::get(format!("http://{free}/log")).await.unwrap().json().await.unwrap();
    let genuine: Vec<_> = log.as_array().unwrap().iter().map(|seen| seen["is_genuine"].as_bool().unwrap()).collect();
    assert_eq!(genuine, [true, true, true, true, false]);
    assert_eq!((&log[1]["visits"], &log[2]["visits"]), (&json!(2), &json!(1)), "a session is a call's own");
    assert_eq!(log[0]["params"]["SpeechResult"], "Grüße & mehr");
}

#[test]
fn twilios_own_validator_takes_our_signatures() {
    let token = AuthToken::new(TOKEN);
    let given: Vec<Value> = [
        (
            "https://app.example/voice",
            &[("CallSid", "CA1"), ("From", "+49301"), ("SpeechResult", "Grüße & mehr = gut")][..],
        ),
        ("http://127.0.0.1:5000/voice?a=1&b=%20", &[("Digits", "")][..]),
        ("https://app.example/voice?CallSid=CA1&From=%2B49301", &[][..]),
        ("wss://app.example/media", &[][..]),
    ]
    .into_iter()
    .map(|(url, params)| {
        let pairs: Vec<_> = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let params: serde_json::Map<_, _> =
            params.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({"url": url, "params": params, "signature": signature::sign(&token, url, &pairs)})
    })
    .collect();
    let text = serde_json::to_string(&given).unwrap();
    let Some(verdicts) = clients::python("twilio_client.py", &["http://none", ACCOUNT, TOKEN, "validate", &text])
    else {
        return;
    };
    assert_eq!(verdicts, json!([true, true, true, true]));
}
