//! SIP from the wire: scenarios of our own, played by sipp against the real binary.
//!
//! `tests/data/sipp` holds them, one for each behaviour, and each says in its first line what it is about. A test runs
//! many against one server, most of them at once; all of them end by the protocol, and afterwards no call is left.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tests::{
    calls::Calls,
    client::Socket,
    server::{self, Server},
    sipp::{Options, Sipp, free_port},
    tls::Certificate,
    wire::{Heard, Line},
};

/// Whoever calls from this machine may misdial as often as it likes: the scenarios do.
const TRUSTED: &str = "trusted = [\"127.0.0.1\"]";

/// Sipp sends no sound.
const SILENT: &str = "[rtp]\ntimeout_s = 0\n[webhooks]\nallow = [\"127.0.0.1:*\"]\n";

const NUMBERS: &str = "[[numbers]]\nnumber = \"echo\"\nto = \"echo\"\n\
    [[numbers]]\nnumber = \"ring\"\nto = \"ring\"\n\
    [[numbers]]\nnumber = \"auth\"\nto = \"echo\"\nauth = true\n\
    [[numbers]]\nnumber = \"8?\"\nto = \"conference:{dialled}\"\n\
    [[sip.users]]\nname = \"ada\"\npassword = \"seven-words\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn requests_outside_of_calls_are_answered_as_the_rfcs_say() {
    let Some((server, calls)) = start("") else { return };
    let names = ["options", "method_unknown", "method_not_taken", "extension_unknown", "goodbye_to_nobody"];
    let names = names.into_iter().chain(["number_unknown"]);
    call_all(&server, names.flat_map(|name| both(name, Options { user: "nobody", ..Options::default() }))).await;
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telephones_register_and_go_and_wrong_passwords_stay_out() {
    let Some((server, calls)) = start("") else { return };
    let right = Options { user: "ada", login: ("ada", "seven-words"), ..Options::default() };
    // One after the other: each takes away all places of the same telephone.
    for run in both("register", right) {
        call_all(&server, [run]).await;
    }
    let wrong = Options { login: ("ada", "eight-words"), ..right };
    let stranger = Options { user: "eve", login: ("eve", "seven-words"), ..right };
    call_all(&server, both("register_wrongly", wrong).into_iter().chain(both("register_wrongly", stranger))).await;
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_go_as_their_callers_wish() {
    let Some((server, calls)) = start("") else { return };
    let on = |user| Options { user, ..Options::default() };
    let runs = [
        ("call", on("echo")),
        ("call_with_password", Options { login: ("ada", "seven-words"), proves_user: true, ..on("auth") }),
        ("call_late_offer", on("echo")),
        ("call_late_offer_refused", on("echo")),
        ("call_cancelled", on("ring")),
        ("call_modified", on("echo")),
        ("call_held", on("echo")),
        ("call_reliably", on("ring")),
        ("call_twice", on("ring")),
        ("session_too_brief", on("echo")),
        ("call_in_no_place", on("echo")),
    ];
    call_all(&server, runs.into_iter().flat_map(|(name, options)| both(name, options))).await;
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_called_through_a_trunk_decides_how_the_call_goes() {
    let port = free_port();
    // Just as many calls as this test makes, so that one more is too many.
    let trunk = trunk(port).replace("allow = [\"+49\"]\n", "allow = [\"+49\"]\ncaller_calls_per_minute = 11\n");
    let numbers = "[[numbers]]\nnumber = \"+49*\"\nto = \"trunk:carrier\"\nfrom = [\"127.0.0.1\"]\n";
    let trunk = trunk + numbers;
    let Some((server, calls)) = start(&trunk) else { return };
    // One after the other, since the trunk is one.
    for (caller, callee) in [
        ("call", "called"),
        ("call", "called_challenges"),
        ("call_early", "called_early"),
        ("call_early", "called_reliably"),
        ("call_early_reliably", "called_early"),
        ("call_late_offer", "called"),
        ("call_cancelled", "called_is_cancelled"),
        ("call_until_they_hang_up", "called_and_ends"),
        ("call_refused_486", "called_is_busy"),
        ("call_refused_480", "called_is_away"),
        ("call_refused_503", "called_is_full"),
    ] {
        let called = Sipp::await_calls(callee, Options { port, ..Options::default() }).await;
        let call = Sipp::call(&server.sip(), caller, Options { user: "+4930123456", ..Options::default() });
        Sipp::all_good(vec![call, called]).await;
        let were = calls.none().await;
        assert!(were.iter().any(|call| call["trunk"] == "carrier"), "{were:?}");
    }
    let once_more = Options { user: "+4930123456", ..Options::default() };
    Sipp::call(&server.sip(), "call_refused_for_now", once_more).good().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_the_server_makes_go_as_those_called_wish() {
    let Some((_server, calls)) = start("") else { return };
    let plain = async |scenario: &'static str, is_tcp: bool, status: &'static str| {
        let called = Sipp::await_calls(scenario, Options { is_tcp, ..Options::default() }).await;
        let id = calls.make(&to(&called, is_tcp), 1).await;
        called.good().await;
        calls.until(&id, status).await;
    };
    let ordered = async |scenario: &'static str, orders: Vec<serde_json::Value>| {
        let called = Sipp::await_calls(scenario, Options::default()).await;
        let id = calls.make(&to(&called, false), 8).await;
        calls.until(&id, "in-progress").await;
        for order in &orders {
            calls.act(&id, order).await;
        }
        called.good().await;
        calls.until(&id, "completed").await;
    };
    let elsewhere = async || {
        let other = Sipp::await_calls("called", Options::default()).await;
        let keys = [("elsewhere", other.uri())];
        let keys = [(keys[0].0, &*keys[0].1)];
        let called = Sipp::await_calls("called_redirects", Options { keys: &keys, ..Options::default() }).await;
        let id = calls.make(&called.uri(), 1).await;
        Sipp::all_good(vec![called, other]).await;
        calls.until(&id, "completed").await;
    };
    let given_up = async || {
        let called = Sipp::await_calls("called_is_cancelled", Options::default()).await;
        let id = calls.make(&called.uri(), 1).await;
        calls.until(&id, "ringing").await;
        calls.end(&id).await;
        called.good().await;
        calls.until(&id, "canceled").await;
    };
    tokio::join!(
        plain("called", false, "completed"),
        plain("called", true, "completed"),
        plain("called_early", false, "completed"),
        plain("called_early", true, "completed"),
        plain("called_reliably", false, "completed"),
        plain("called_reliably", true, "completed"),
        plain("called_forks", false, "completed"),
        plain("called_and_holds", false, "completed"),
        plain("called_and_ends", false, "completed"),
        plain("called_is_busy", false, "busy"),
        plain("called_is_away", false, "no-answer"),
        plain("called_is_full", false, "failed"),
    );
    tokio::join!(
        ordered("called_hears_keys", vec![json!({"action": "dtmf", "digits": "42"})]),
        ordered(
            "called_and_held",
            vec![json!({"action": "hold", "is_held": true}), json!({"action": "hold", "is_held": false})]
        ),
        elsewhere(),
        given_up(),
    );
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_kept_alive_and_dead_ones_end() {
    let Some((server, calls)) = start("") else { return };
    let sip = server.sip();
    let long = Options { within_s: 75, ..Options::default() };
    let run = async |scenario: &'static str| Sipp::call(&sip, scenario, long).good().await;
    let called = async |scenario: &'static str| {
        let called = Sipp::await_calls(scenario, long).await;
        calls.make(&called.uri(), 70).await;
        called.good().await;
    };
    let unheard = async || {
        let ended = run("call_not_acknowledged").await;
        // After 0, 0.5, 1.5, 3.5, 7.5, 11.5, ... seconds.
        let answers = ended.received("SIP/2.0 200");
        assert!((8..=12).contains(&answers), "{answers} answers:\n{}", ended.messages);
    };
    tokio::join!(
        run("session_renewed_by_us"),
        run("session_forgotten"),
        called("called_is_renewed"),
        called("called_forgets"),
        unheard(),
    );
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_for_a_transfer_makes_it_and_tells_how_it_goes() {
    let Some((server, calls)) = start("") else { return };
    let sip = server.sip();
    let blind = async |room: &'static str, scenario: &'static str, target: &'static str| {
        let target = Sipp::await_calls(target, Options::default()).await;
        let whom = target.uri();
        let keys = [("whom", &*whom)];
        let call = Sipp::call(&sip, scenario, Options { user: room, keys: &keys, ..Options::default() });
        Sipp::all_good(vec![call, target]).await;
    };
    tokio::join!(
        blind("80", "transfer", "called_and_ends"),
        blind("81", "transfer_refused", "called_is_busy"),
        attended(&sip),
        replaced(&sip),
    );
    calls.none().await;
}

/// Two calls of one telephone, of which the other side of the first is to take the place in the second.
async fn attended(sip: &str) {
    let mut second = Sipp::call(sip, "call_to_be_replaced", Options { user: "83", ..Options::default() });
    let place = second.noted("dialog").await.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    let whom = format!("sip:83@{sip}?Replaces={place}");
    let keys = [("whom", &*whom)];
    let first = Sipp::call(sip, "transfer_attended", Options { user: "82", keys: &keys, ..Options::default() });
    Sipp::all_good(vec![first, second]).await;
}

/// A call, and another that takes its place.
async fn replaced(sip: &str) {
    let mut old = Sipp::call(sip, "call_to_be_replaced", Options { user: "84", ..Options::default() });
    let place = old.noted("dialog").await;
    let keys = [("place", &*place)];
    let new = Sipp::call(sip, "call_in_place", Options { user: "84", keys: &keys, ..Options::default() });
    Sipp::all_good(vec![old, new]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_for_transfers_and_lets_go_when_they_are_done() {
    let Some((_server, calls)) = start("") else { return };
    let transfer = async |scenario: &'static str, status: u16| {
        let called =
            Sipp::await_calls(scenario, Options { keys: &[("whom", "127.0.0.1:9")], ..Options::default() }).await;
        let id = calls.make(&called.uri(), 8).await;
        calls.until(&id, "in-progress").await;
        let wish = json!({"action": "transfer", "to": "sip:carol@127.0.0.1:9"});
        let (answered, why) = calls.post(&format!("calls/{id}"), &wish).await;
        assert_eq!(answered, status, "{why}");
        called.good().await;
    };
    // The far end of one call takes our place in the other.
    let attended = async || {
        let one = Sipp::await_calls("called_and_sent_to_a_call", Options::default()).await;
        let other = Sipp::await_calls("called", Options::default()).await;
        let (first, second) = (calls.make(&one.uri(), 8).await, calls.make(&other.uri(), 8).await);
        calls.until(&first, "in-progress").await;
        calls.until(&second, "in-progress").await;
        calls.act(&first, &json!({"action": "transfer", "to": second})).await;
        // Whoever was sent there would replace us now.
        calls.end(&second).await;
        Sipp::all_good(vec![one, other]).await;
    };
    tokio::join!(transfer("called_and_sent_on", 202), transfer("called_and_sent_on_in_vain", 502), attended());
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_by_info_reach_the_room() {
    let Some((server, calls)) = start("") else { return };
    let call = Sipp::call(&server.sip(), "call_keys", Options { user: "85", ..Options::default() });
    let finding = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let rooms = calls.get("rooms").await;
            let room = rooms["rooms"].as_array().into_iter().flatten().find(|room| room["title"] == "85").cloned();
            if let Some(room) = room.and_then(|room| room["id"].as_str().map(str::to_owned)) {
                return room;
            }
        }
    };
    let room = tokio::time::timeout(Duration::from_secs(10), finding).await.expect("the call opens a room");
    let url = format!("{}/api/rooms/{room}/events?since=0", server.ws_url());
    let mut events = Socket::open(&url, &[]).await.unwrap();
    let seen = events.until("participant.left").await.unwrap();
    let keys: Vec<_> = seen.iter().filter(|event| event["type"] == "dtmf").collect();
    assert_eq!(keys.iter().map(|key| &key["digit"]).collect::<Vec<_>>(), ["5", "#"], "{keys:?}");
    call.good().await;
    calls.none().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_wants_a_registration_gets_one() {
    let port = free_port();
    if let Err(why) = Sipp::installed() {
        return println!("{why}");
    }
    let mut registrar = Sipp::await_calls("registrar", Options { port, ..Options::default() }).await;
    let Some((_server, calls)) = start(&(trunk(port) + "register = true\n")) else { return };
    registrar.noted("registered").await;
    registrar.good().await;
    let trunks = calls.get("trunks").await;
    assert_eq!(trunks["trunks"][0]["is_registered"], true, "{trunks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_come_by_tls_and_garbage_there_is_hung_up_on() {
    if let Err(why) = Sipp::installed() {
        return println!("{why}");
    }
    let (certificate, tls) = (Certificate::fresh(), free_port());
    let telephone = format!("{TRUSTED}\ntls_cert = {:?}\ntls_key = {:?}", certificate.path(), certificate.key());
    let port = tls.to_string();
    let config = format!("{SILENT}{NUMBERS}");
    let server = Server::start(server::Options {
        config: &config,
        telephone: Some(&telephone),
        env: vec![("HARMONY__SIP__TLS_PORT", &port)],
        ..server::Options::default()
    });
    let server = server.unwrap();
    let calls = Calls::of(&server);
    let by_tls = SocketAddr::from(([127, 0, 0, 1], tls));
    let tunnel = certificate.tunnel(by_tls).await.to_string();
    let on = |user| Options { user, is_tcp: true, ..Options::default() };
    let registering = Options { login: ("ada", "seven-words"), ..on("ada") };
    let run = async || {
        let runs = [("options", on("echo")), ("call", on("echo")), ("register", registering)];
        Sipp::all_good(runs.map(|(name, options)| Sipp::call(&tunnel, name, options)).into()).await;
    };
    run().await;
    let garbage =
        [&b"INVITE sip:a@b SIP/2.0\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1], &[0; 5_000], b"\x80\x2e\x01\x00\x02"];
    for bytes in garbage {
        let mut line = Line::to(&by_tls.to_string()).await;
        line.send(bytes).await;
        assert_eq!(line.next(Duration::from_secs(8)).await, Heard::Closed);
    }
    run().await;
    calls.none().await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// A line to the telephone network that ends at that port of this machine.
fn trunk(port: u16) -> String {
    format!(
        "[dialling]\nallow = [\"+49\"]\n[[trunks]]\nname = \"carrier\"\nuri = \"sip:127.0.0.1:{port}\"\n\
         user = \"trunk-user\"\npassword = \"trunk-password\"\nallow = [\"192.0.2.1\"]\nkeepalive_s = 0\n"
    )
}

/// The address by which a callee is called.
fn to(called: &Sipp, is_tcp: bool) -> String {
    called.uri() + if is_tcp { ";transport=tcp" } else { "" }
}

fn start(config: &str) -> Option<(Server, Calls)> {
    if let Err(why) = Sipp::installed() {
        println!("{why}");
        return None;
    }
    let config = format!("{SILENT}{NUMBERS}{config}");
    let options = server::Options { config: &config, telephone: Some(TRUSTED), ..server::Options::default() };
    let server = Server::start(options).unwrap();
    let calls = Calls::of(&server);
    Some((server, calls))
}

/// A scenario over datagrams, and over a connection.
fn both<'a>(scenario: &'a str, options: Options<'a>) -> [(&'a str, Options<'a>); 2] {
    [(scenario, Options { is_tcp: false, ..options }), (scenario, Options { is_tcp: true, ..options })]
}

/// Runs all of them at once.
async fn call_all<'a>(server: &Server, runs: impl IntoIterator<Item = (&'a str, Options<'a>)>) {
    let sip = server.sip();
    let runs = runs.into_iter().map(|(scenario, options)| Sipp::call(&sip, scenario, options));
    Sipp::all_good(runs.collect()).await;
}
