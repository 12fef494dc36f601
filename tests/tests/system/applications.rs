//! Applications on real telephones: what a caller hears before anybody answers, keys while they wait and confer, words that
//! an application expects, and calls that are recorded when everybody agreed.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use server::config::Config;
use tempfile::TempDir;
use tests::{
    baresip::{Baresip, Options, Sampled, pass},
    calls::Calls,
    client::Socket,
    clients,
    hook::Hook,
    listening::{Gap, compare},
    scripted::Local,
    server::{self as kit, Server},
    sipp::free_port,
    sounds::voice,
    spoken::Spoken,
};

const RATE_HZ: u32 = 8_000;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_far_side_plays_before_it_answers_is_heard_by_the_caller_taken_or_not() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    for is_taken_late in [true, false] {
        let pages = Pages::new();
        let server = Server::start(with_telephone(&pages.number("7", "dial.xml"))).unwrap();
        let says = voice(12.0, 5);
        let account = ";regint=0;answermode=early".to_owned();
        let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, says, ..Options::default() }).await;
        pages.write(
            "dial.xml",
            &format!(
                "<Response><Dial answerOnBridge=\"{is_taken_late}\"><Sip>sip:bob@127.0.0.1:{}</Sip></Dial></Response>",
                bob.port()
            ),
        );
        let mut ada = Baresip::start(&server.sip(), Options { user: "ada", ..Options::default() }).await;
        ada.dial(&format!("sip:7@{}", server.sip())).await;
        ada.until(if is_taken_late { "CALL_PROGRESS" } else { "CALL_ESTABLISHED" }).await;
        let calls = Calls::of(&server);
        let child = child(&calls, "ringing").await;
        pass(Duration::from_secs(5)).await;
        let all = calls.get("calls").await;
        let own = all["calls"].as_array().unwrap().iter().find(|call| call["direction"] == "inbound").unwrap().clone();
        let expected = if is_taken_late { "ringing" } else { "in-progress" };
        assert_eq!(own["status"], expected, "nobody answered so far: {all}");
        bob.accept().await;
        calls.until(&child, "in-progress").await;
        if is_taken_late {
            ada.until("CALL_ESTABLISHED").await;
        }
        pass(Duration::from_secs(3)).await;
        ada.hang_up().await;
        bob.until("CALL_CLOSED").await;
        for phone in [&mut ada, &mut bob] {
            phone.quit().await;
        }
        let ((said, _), (_, heard)) = (bob.sound(), ada.sound());
        let hearing = compare(said.sound(), heard.sound()).unwrap();
        println!("taken late: {is_taken_late}: {hearing:?}");
        // Our own ringing under it would be heard as another sound.
        assert!(hearing.likeness > 0.9 && hearing.level_db.abs() < 2.0, "{hearing:?}");
        // Bob's telephone speaks as soon as it says that it does, a moment before the line to ada is joined to it.
        let is_whole = |gap: &Gap| gap.length_ms < if gap.at_s < 0.05 { 2_000.0 } else { 400.0 };
        assert!(hearing.gaps.iter().all(is_whole), "{hearing:?}");
        assert!(
            heard.samples.len() > 4 * RATE_HZ as usize,
            "{} samples before and after it was taken",
            heard.samples.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_pressed_in_a_queue_reaches_its_menu_and_leads_out() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let pages = Pages::new();
    let server = Server::start(with_telephone(&pages.number("5", "queue.xml"))).unwrap();
    let mut asked = Hook::start("<Response><Pause length=\"1\"/></Response>").await;
    pages.write(
        "queue.xml",
        &format!(
            "<Response><Enqueue waitUrl=\"wait.xml\" action=\"{}\">desk</Enqueue></Response>",
            asked.url("/dequeued")
        ),
    );
    pages.write(
        "wait.xml",
        &format!(
            "<Response><Gather numDigits=\"1\" timeout=\"60\" action=\"leave.xml\"><Play>{}</Play></Gather></Response>",
            asked.url("/nothing.wav")
        ),
    );
    pages.write("leave.xml", "<Response><Leave/></Response>");
    let mut ada = Baresip::start(&server.sip(), Options { user: "ada", ..Options::default() }).await;
    ada.dial(&format!("sip:5@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    // It waits: what plays meanwhile is asked for.
    assert_eq!(asked.next().await.path, "/nothing.wav");
    ada.press("7").await;
    let left = asked.next().await;
    assert_eq!((left.path.as_str(), left.param("QueueResult")), ("/dequeued", "leave"));
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_leaves_a_conference_and_other_keys_do_not() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let pages = Pages::new();
    let server = Server::start(with_telephone(&pages.number("6", "conference.xml"))).unwrap();
    let mut asked = Hook::start("<Response><Pause length=\"60\"/></Response>").await;
    let document = format!(
        "<Response><Dial hangupOnStar=\"true\" action=\"{}\"><Conference beep=\"false\">standup</Conference></Dial></Response>",
        asked.url("/after")
    );
    pages.write("conference.xml", &document);
    let mut ada = Baresip::start(&server.sip(), Options { user: "ada", ..Options::default() }).await;
    let mut bob = Baresip::start(&server.sip(), Options { user: "bob", ..Options::default() }).await;
    let calls = Calls::of(&server);
    for phone in [&mut ada, &mut bob] {
        phone.dial(&format!("sip:6@{}", server.sip())).await;
        phone.until("CALL_ESTABLISHED").await;
    }
    let of = async |from: &str| {
        let all = calls.get("calls").await;
        all["calls"].as_array().unwrap().iter().find(|call| call["from"] == from).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (of_ada, of_bob) = (of("ada").await, of("bob").await);
    let room = async |id: &str| calls.get(&format!("calls/{id}")).await["room"].clone();
    // Both are in the conference's room, which is neither's own.
    let together = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let (one, other) = (room(&of_ada).await, room(&of_bob).await);
            if !one.is_null() && one == other {
                return one;
            }
        }
    };
    let conference = tokio::time::timeout(Duration::from_secs(15), together).await.expect("they meet");
    ada.press("12#").await;
    let url = format!("{}/api/rooms/{}/events?since=0", server.ws_url(), conference.as_str().unwrap());
    let mut events = Socket::open(&url, &[]).await.unwrap();
    loop {
        if events.until("dtmf").await.unwrap().last().unwrap()["digit"] == "#" {
            break;
        }
    }
    assert_eq!(room(&of_ada).await, conference, "no key but the star leads out");
    ada.press("*").await;
    let after = asked.next().await;
    assert_eq!((after.path.as_str(), after.param("DialCallStatus")), ("/after", "answered"));
    assert_eq!(after.param("CallSid"), of_ada);
    calls.until_so(&of_ada, |call| call["room"] != conference && call["status"] == "in-progress").await;
    for phone in [&mut ada, &mut bob] {
        phone.hang_up().await;
        phone.until("CALL_CLOSED").await;
        phone.quit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gather_tells_the_ears_its_language_and_words_and_the_application_hears_them_as_they_are_spoken() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let pages = Pages::new();
    let config = Config::parse(Path::new("test.toml"), &pages.number("4", "order.xml"), []).unwrap();
    let (local, telephone) = match Local::listening_with_telephone(config).await {
        Ok(started) => started,
        Err(why) => return println!("{why}"),
    };
    let mut asked = Hook::start("<Response><Pause length=\"1\"/></Response>").await;
    pages.write(
        "order.xml",
        &format!(
            "<Response><Gather input=\"speech\" language=\"de-DE\" hints=\"Weizenbier\" timeout=\"20\" speechTimeout=\"1\" \
             partialResultCallback=\"{}\" action=\"{}\"/></Response>",
            asked.url("/partial"),
            asked.url("/ordered")
        ),
    );
    let spoken = match Spoken::start(RATE_HZ) {
        Ok(spoken) => spoken,
        Err(why) => return println!("{why}"),
    };
    let order = spoken.says("en", "I would like a glass of beer and something to eat, please.");
    let says = [vec![0.0; RATE_HZ as usize], order].concat();
    let server = telephone.to_string();
    let mut ada = Baresip::start(&server, Options { user: "ada", says, ..Options::default() }).await;
    ada.dial(&format!("sip:4@{server}")).await;
    let mut partials = Vec::new();
    let ordered = loop {
        let told = asked.next().await;
        match told.path.as_str() {
            "/partial" => partials.push(told),
            _ => break told,
        }
    };
    // The scripted recognizer hears the first word that it is told to expect where it would hear its own.
    let said = ordered.param("SpeechResult");
    assert!(ordered.path == "/ordered" && said.starts_with("Weizenbier"), "{said}");
    assert!(!ordered.param("Confidence").is_empty());
    assert!(!partials.is_empty(), "no word came before the end");
    for (number, partial) in partials.iter().enumerate() {
        assert!(partial.param("UnstableSpeechResult").starts_with("Weizenbier"), "{partial:?}");
        assert_eq!(partial.param("SequenceNumber"), number.to_string());
        assert!(!partial.param("Stability").is_empty());
    }
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    local.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_once_both_pressed_the_key_and_not_while_one_dictates_their_card() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let server = Server::start(with_telephone(&recorded("to = \"user:bob\"", ""))).unwrap();
    let mut pair = Pair::talk(&server, voice(60.0, 3)).await;
    let mut events = pair.events(&server).await;
    pair.bob.press("1").await;
    pair.ada.press("1").await;
    events.until("recording.started").await.unwrap();
    pass(Duration::from_secs(2)).await;
    // Whoever is called pauses it while the other says what is nobody's business.
    pair.bob.press("*").await;
    let paused_s = at_s(&events.until("recording.paused").await.unwrap());
    pass(Duration::from_secs(3)).await;
    pair.bob.press("*").await;
    let resumed_s = at_s(&events.until("recording.resumed").await.unwrap());
    pass(Duration::from_secs(2)).await;
    pair.hang_up().await;
    let ended = events.until("recording.ended").await.unwrap();
    assert_eq!(ended.last().unwrap()["state"], "finished", "{ended:?}");

    // Each has a file of their own.
    let (of_ada, _of_bob) = (Kept::of(&server, "ada").await, Kept::of(&server, "bob").await);
    // What is on its way when it is paused lies on the edge.
    let before = of_ada.loudest(0.0, paused_s - 0.5);
    let dictated = of_ada.loudest(paused_s + 0.5, resumed_s - 0.5);
    let after = of_ada.loudest(resumed_s + 0.5, resumed_s + 1.9);
    assert!(before > 0.05 && after > 0.05 && dictated < 0.001, "{before} {dictated} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_a_program_began_holds_nobody_before_both_agreed_and_a_key_pauses_it() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let server = Server::start(with_telephone(&recorded("to = \"user:bob\"", ""))).unwrap();
    let mut pair = Pair::talk(&server, voice(60.0, 3)).await;
    let path = format!("rooms/{}/recordings", pair.room(&server).await);
    let (status, begun) = Calls::of(&server).post(&path, &json!({})).await;
    assert_eq!(status, 201, "{begun}");
    let mut events = pair.events(&server).await;
    events.until("recording.started").await.unwrap();
    pair.ada.press("1").await;
    pass(Duration::from_secs(3)).await;
    pair.bob.press("1").await;
    let mut agreed = Vec::new();
    while agreed.len() < 2 {
        let seen = events.until("participant.updated").await.unwrap();
        if seen.last().unwrap()["consent"] == true {
            agreed.push(at_s(&seen));
        }
    }
    pass(Duration::from_secs(3)).await;
    pair.bob.press("*").await;
    let paused_s = at_s(&events.until("recording.paused").await.unwrap());
    pair.hang_up().await;
    events.until("recording.ended").await.unwrap();

    let of_ada = Kept::of(&server, "ada").await;
    // She pressed her key three seconds before Bob: none of them is kept.
    let (before, after) = (of_ada.loudest(0.0, agreed[1] - 0.5), of_ada.loudest(agreed[1] + 0.5, paused_s - 0.5));
    assert!(before < 0.001 && after > 0.05, "{before} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presses_no_key_is_not_recorded_and_the_call_goes_on() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let config =
        recorded("to = \"user:bob\"\nquestion = \"May we?\"\nlanguage = \"en\"", "[recording.consent]\nwithin_s = 1\n");
    let server = Server::start(with_telephone(&config)).unwrap();
    let mut pair = Pair::talk(&server, voice(60.0, 3)).await;
    let mut events = pair.events(&server).await;
    pair.ada.press("1").await;
    // Ada agreed, and is not recorded either: Bob said nothing.
    let mut refused = Vec::new();
    while refused.len() < 2 {
        let seen = events.until("participant.updated").await.unwrap();
        let update = seen.last().unwrap();
        if update["consent"] == false {
            refused.push(update["name"].as_str().unwrap().to_owned());
        }
    }
    refused.sort();
    assert_eq!(refused, ["ada", "bob"]);
    pass(Duration::from_secs(7)).await;
    let calls = Calls::of(&server);
    assert_eq!(calls.get("recordings").await["recordings"], json!([]));
    pair.hang_up().await;
    let ((said, _), (_, heard)) = (pair.ada.sound(), pair.bob.sound());
    let tail = Sampled { samples: heard.samples[heard.samples.len() - 3 * RATE_HZ as usize..].to_vec(), ..heard };
    // Bob hears her on, as before; what was asked came earlier.
    let hearing = compare(tail.sound(), said.sound());
    assert!(hearing.is_ok_and(|hearing| hearing.likeness > 0.8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoken_yes_is_recorded_and_a_spoken_no_is_not() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let spoken = match Spoken::start(RATE_HZ) {
        Ok(spoken) => spoken,
        Err(why) => return println!("{why}"),
    };
    // A recognizer hears a synthetic voice now so and now otherwise: whatever is said is heard as this.
    const ANSWERS: [(&[&str], bool); 2] = [(&["Yes."], true), (&["No."], false)];
    for (heard, is_recorded) in ANSWERS {
        // A silence is a no as well, but one that comes later than this test waits.
        let config = recorded(
            "to = \"scribe\"\nquestion = \"May we record this call?\"\nlanguage = \"en\"",
            "[recording.consent]\nwithin_s = 60\n",
        );
        let config = Config::parse(Path::new("test.toml"), &config, []).unwrap();
        let (local, telephone) = match Local::hearing_with_telephone(config, heard).await {
            Ok(started) => started,
            Err(why) => return println!("{why}"),
        };
        // Again and again: the first that begins after the question counts.
        let once = [spoken.says("en", "I see."), vec![0.0; 2 * RATE_HZ as usize]].concat();
        let says = once.repeat(10);
        let server = telephone.to_string();
        let mut ada = Baresip::start(&server, Options { user: "ada", says, ..Options::default() }).await;
        ada.dial(&format!("sip:3@{server}")).await;
        ada.until("CALL_ESTABLISHED").await;
        let mut events = Socket::open(&format!("{}/api/rooms/r1/events?since=0", local.ws_url()), &[]).await.unwrap();
        let mut seen: Vec<Value> = Vec::new();
        let deciding = async {
            loop {
                seen.extend(events.until("participant.updated").await.unwrap());
                let update = seen.last().unwrap();
                if !update["consent"].is_null() {
                    return update.clone();
                }
            }
        };
        let decided = tokio::time::timeout(Duration::from_secs(40), deciding).await.expect("what she says is heard");
        // A question that cannot be asked is a no, too, before anybody has said a word.
        assert!(seen.iter().any(|event| event["type"] == "transcript.final"), "{seen:?}");
        assert_eq!((&decided["name"], &decided["consent"]), (&json!("ada"), &json!(is_recorded)), "{heard:?}");
        if is_recorded {
            events.until("recording.started").await.unwrap();
        } else {
            pass(Duration::from_secs(2)).await;
            assert_eq!(Calls::at(&local.base_url()).get("recordings").await["recordings"], json!([]));
        }
        ada.hang_up().await;
        ada.until("CALL_CLOSED").await;
        ada.quit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_flask_as_twilio_documents_it_holds_a_call_unchanged() {
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let port = free_port().to_string();
    let free = format!("127.0.0.1:{port}");
    let started = tokio::task::spawn_blocking(move || clients::python_program("twilio_app.py", &[&port, TOKEN]));
    let Some(_application) = started.await.unwrap() else { return };
    let config = format!(
        "[twilio]\naccount_sid = \"{ACCOUNT}\"\nauth_token = \"{TOKEN}\"\n[webhooks]\nallow = [\"127.0.0.1:*\"]\n\
         [[numbers]]\nnumber = \"8\"\nto = \"ivr:http://{free}/voice\"\n"
    );
    let server = Server::start(with_telephone(&config)).unwrap();
    let mut ada =
        Baresip::start(&server.sip(), Options { user: "ada", says: voice(60.0, 7), ..Options::default() }).await;
    ada.dial(&format!("sip:8@{}", server.sip())).await;
    ada.until("CALL_ESTABLISHED").await;
    ada.press("2").await;
    // She is recorded until she says that she is done.
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Recordings.json", server.base_url());
    let recording = async {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let answer = reqwest::Client::new().get(&url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
            let list: Value = answer.json().await.unwrap();
            if list["recordings"][0]["status"] == "in-progress" {
                return;
            }
        }
    };
    ::server::models::tls::install();
    tokio::time::timeout(Duration::from_secs(20), recording).await.expect("she is recorded");
    pass(Duration::from_secs(2)).await;
    ada.press("#").await;
    ada.until("CALL_CLOSED").await;
    ada.quit().await;
    let log: Value = reqwest::get(format!("http://{free}/log")).await.unwrap().json().await.unwrap();
    let log = log.as_array().unwrap();
    assert!(log.iter().all(|asked| asked["is_genuine"] == true), "{log:?}");
    let paths: Vec<_> = log.iter().map(|asked| asked["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/voice", "/gather", "/recorded"]);
    assert_eq!((&log[1]["params"]["Digits"], &log[1]["visits"]), (&json!("2"), &json!(2)), "its session is the call's");
    let seconds: u32 = log[2]["params"]["RecordingDuration"].as_str().unwrap().parse().unwrap();
    assert!((1..10).contains(&seconds) && log[2]["params"]["Digits"] == "#", "{log:?}");
}

/// TwiML in files, of which numbers are made.
struct Pages(TempDir);

impl Pages {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, document: &str) {
        std::fs::write(self.0.path().join(name), document).unwrap();
    }

    /// The entry of a number that leads to a file, whose webhooks may lie on this machine.
    fn number(&self, number: &str, name: &str) -> String {
        let file = self.0.path().join(name);
        let number = format!("[[numbers]]\nnumber = \"{number}\"\nto = \"ivr:{}\"\n", file.display());
        format!("[webhooks]\nallow = [\"127.0.0.1:*\"]\n{number}")
    }
}

/// Number 3 leads there, is recorded when everybody agrees, and Bob may register.
fn recorded(leads: &str, consent: &str) -> String {
    format!(
        "[[sip.users]]\nname = \"bob\"\npassword = \"seven-words\"\n[[numbers]]\nnumber = \"3\"\nrecord = \"ask\"\n{leads}\n\
         [recording]\nformat = \"wav\"\n{consent}"
    )
}

/// Two who talk: Ada, who called number 3, and Bob, who registered.
struct Pair {
    ada: Baresip,
    bob: Baresip,
}

impl Pair {
    async fn talk(server: &Server, says: Vec<f32>) -> Self {
        let account = ";auth_user=bob;auth_pass=seven-words;regint=60;answermode=auto".to_owned();
        let mut bob = Baresip::start(&server.sip(), Options { user: "bob", account, ..Options::default() }).await;
        bob.until_printed("200 OK (harmony) [1 binding]").await;
        let mut ada = Baresip::start(&server.sip(), Options { user: "ada", says, ..Options::default() }).await;
        ada.dial(&format!("sip:3@{}", server.sip())).await;
        ada.until("CALL_ESTABLISHED").await;
        bob.until("CALL_ESTABLISHED").await;
        Self { ada, bob }
    }

    /// Their room.
    async fn room(&self, server: &Server) -> String {
        let calls = Calls::of(server);
        let child = child(&calls, "in-progress").await;
        calls.until_so(&child, |call| !call["room"].is_null()).await["room"].as_str().unwrap().to_owned()
    }

    /// What happens in their room.
    async fn events(&self, server: &Server) -> Socket {
        let room = self.room(server).await;
        Socket::open(&format!("{}/api/rooms/{room}/events?since=0", server.ws_url()), &[]).await.unwrap()
    }

    async fn hang_up(&mut self) {
        self.ada.hang_up().await;
        for phone in [&mut self.ada, &mut self.bob] {
            phone.until("CALL_CLOSED").await;
            phone.quit().await;
        }
    }
}

/// What the only recording kept of one person.
struct Kept {
    samples: Vec<f32>,
    rate_hz: f64,
    start_s: f64,
}

impl Kept {
    async fn of(server: &Server, name: &str) -> Self {
        let kept = Calls::of(server).get("recordings").await["recordings"][0].clone();
        let start_s = kept["start_s"].as_f64().unwrap();
        let mut tracks = kept["tracks"].as_array().unwrap().iter();
        let track = tracks.find(|track| track["name"] == name).unwrap_or_else(|| panic!("nothing of {name}: {kept}"));
        let folder = server.data_dir().join("recordings").join(kept["id"].as_str().unwrap());
        let (samples, rate_hz) = wav(&folder.join(track["file"].as_str().unwrap()));
        Self { samples, rate_hz, start_s }
    }

    /// The loudest sample between two moments of the room.
    fn loudest(&self, from_s: f64, until_s: f64) -> f32 {
        let place = |at_s: f64| (((at_s - self.start_s).max(0.0) * self.rate_hz) as usize).min(self.samples.len());
        let samples = &self.samples[place(from_s)..place(until_s)];
        samples.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()))
    }
}

/// The call that we made for another, once it stands so.
async fn child(calls: &Calls, status: &str) -> String {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let looking = async {
        loop {
            looks.tick().await;
            let all = calls.get("calls").await;
            let found = all["calls"].as_array().unwrap().iter().find(|call| call["direction"] == "outbound").cloned();
            if let Some(call) = found.filter(|call| call["status"] == status) {
                return call["id"].as_str().unwrap().to_owned();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), looking).await.expect("somebody is called")
}

fn with_telephone(config: &str) -> kit::Options<'_> {
    kit::Options { config, telephone: Some(""), ..kit::Options::default() }
}

fn at_s(events: &[Value]) -> f64 {
    events.last().unwrap()["at_s"].as_f64().unwrap()
}

/// The samples of a file, and their rate.
fn wav(path: &Path) -> (Vec<f32>, f64) {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rate_hz = f64::from(reader.spec().sample_rate);
    (reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect(), rate_hz)
}
