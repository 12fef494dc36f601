//! Tools of real servers: those of the official SDK where it is installed, and one that misbehaves.

use std::{
    net::TcpListener as StdListener,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::interval,
};

use super::*;

/// Enough for any process to start on a machine that is busy.
const LONG: Duration = Duration::from_secs(40);

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/mcp").join(name).display().to_string()
}

/// The interpreter with the official SDK; none says so and skips.
fn official() -> Option<String> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pyenv/bin/python");
    let imports = std::process::Command::new(&python)
        .args(["-c", "import mcp.server.mcpserver"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if imports.is_ok_and(|status| status.success()) {
        return Some(python.display().to_string());
    }
    eprintln!("skipped: {} has no mcp (tests/setup.sh installs it)", python.display());
    None
}

fn start(config: &str) -> Outside {
    Outside::start(&toml::from_str(config).unwrap(), false, &|name| (name == "HUSH").then(|| "s3cret".to_owned()))
        .unwrap()
}

fn stubborn(mode: &str) -> Outside {
    let mode = if mode.is_empty() { String::new() } else { format!(", {mode:?}") };
    start(&format!(
        "[mcp.s]\ncommand = [\"python3\", {:?}{mode}]\nenv = {{ TOKEN = {{ env = \"HUSH\" }} }}\ntimeout_ms = 5000",
        script("stubborn.py")
    ))
}

async fn has(outside: &Outside, tool: &str) {
    let mut catalogs = outside.catalogs();
    let found = catalogs.wait_for(|catalog| catalog.find(tool).is_some());
    timeout(LONG, found).await.unwrap_or_else(|_| panic!("{tool} never came: {:?}", outside.health())).unwrap();
}

async fn call(outside: &Outside, tool: &str, arguments: Value) -> Outcome {
    outside.call(tool, arguments.as_object().unwrap(), LONG).await
}

fn why(outside: &Outside) -> String {
    match &outside.health()["s"] {
        Health::Down { why, .. } => why.clone(),
        other => panic!("{other:?}"),
    }
}

/// Whether the process has ended, or waits only for whoever collects it.
fn is_gone(pid: &str) -> bool {
    let status = PathBuf::from("/proc").join(pid).join("stat");
    std::fs::read_to_string(status).map_or(true, |stat| stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

async fn ends(pid: &str) {
    let gone = async {
        let mut looks = interval(Duration::from_millis(20));
        while !is_gone(pid) {
            looks.tick().await;
        }
    };
    timeout(LONG, gone).await.unwrap_or_else(|_| panic!("{pid} lives on"));
}

#[tokio::test]
async fn a_server_of_the_official_sdk_is_called_over_its_streams() {
    let Some(python) = official() else { return };
    let outside = start(&format!("[mcp.calendar]\ncommand = [{python:?}, {:?}]", script("official.py")));
    has(&outside, "calendar__free").await;
    speaks_with_the_official(&outside).await;
    outside.close().await;
    assert_eq!(outside.health()["calendar"], Health::Ended);
}

#[tokio::test]
async fn a_server_of_the_official_sdk_is_called_over_http() {
    let Some(python) = official() else { return };
    let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _server = tokio::process::Command::new(python)
        .args([script("official.py"), port.to_string()])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let outside =
        start(&format!("allow = [\"127.0.0.1:{port}\"]\n[mcp.calendar]\nurl = \"http://127.0.0.1:{port}/mcp\""));
    has(&outside, "calendar__free").await;
    speaks_with_the_official(&outside).await;
    outside.close().await;
}

async fn speaks_with_the_official(outside: &Outside) {
    let catalog = outside.catalog();
    let names: Vec<_> = catalog.tools().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["calendar__book", "calendar__fail", "calendar__free"]);
    let free = call(outside, "calendar__free", json!({"day": "2026-12-01"})).await;
    assert_eq!(free, Outcome::done("2026-12-01T09:00\n2026-12-01T10:00"));
    let person = json!({"at": "2026-12-01T09:00", "person": {"name": "Ada", "telephone": null}});
    let schema = &catalog.find("calendar__book").unwrap().parameters;
    assert_eq!(super::super::schema::check(schema, &person), Ok(()));
    let wrong = super::super::schema::check(schema, &json!({"at": "x", "person": {"telephone": 7}})).unwrap_err();
    assert!(wrong.to_string().contains("person.name is missing"), "{wrong}");
    assert_eq!(
        call(outside, "calendar__book", person).await,
        Outcome::done("Booked 2026-12-01T09:00 for Ada; bookings: 1.")
    );
    assert!(call(outside, "calendar__fail", json!({})).await.is_error);
    assert!(call(outside, "calendar__free", json!({"day": 7})).await.is_error);
}

#[tokio::test]
async fn a_server_may_say_anything_and_does_no_harm() {
    let outside = stubborn("");
    has(&outside, "s__echo").await;
    assert_eq!(call(&outside, "s__echo", json!({"ä": 1})).await, Outcome::done(r#"{"\u00e4": 1}"#));
    // It has what it was given, and nothing of ours.
    let env: BTreeMap<String, String> =
        serde_json::from_str(&call(&outside, "s__env", json!({})).await.content).unwrap();
    assert_eq!(env["TOKEN"], "s3cret");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_none() || !env.contains_key("CARGO_MANIFEST_DIR"));
    let huge = call(&outside, "s__huge", json!({})).await;
    assert!(!huge.is_error && huge.content.len() < 20_000);
    assert_eq!(call(&outside, "s__garbage", json!({})).await, Outcome::done("after garbage"));
    assert_eq!(call(&outside, "s__error", json!({})).await, Outcome::failed("The tool failed: there is no such thing"));
    assert_eq!(call(&outside, "s__nothing", json!({})).await, Outcome::failed("This tool is not there any more."));
    assert_eq!(call(&outside, "s__more", json!({})).await, Outcome::done("there is more"));
    has(&outside, "s__another").await;
    outside.close().await;
    let ended = call(&outside, "s__echo", json!({})).await;
    assert_eq!(ended, Outcome::failed("The server of this tool cannot be reached now."));
}

#[tokio::test]
async fn a_tool_that_never_returns_is_given_up_and_told_so() {
    let outside = stubborn("");
    has(&outside, "s__hang").await;
    let hung = outside.call("s__hang", &Map::new(), Duration::from_millis(200)).await;
    assert_eq!(hung, Outcome::failed("The tool did not answer within 200 ms."));
    // The notice may still be on its way.
    let told = async {
        let mut looks = interval(Duration::from_millis(20));
        while call(&outside, "s__cancelled", json!({})).await != Outcome::done("1") {
            looks.tick().await;
        }
    };
    timeout(LONG, told).await.unwrap();
    outside.close().await;
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_its_call_is_lost() {
    let outside = stubborn("");
    has(&outside, "s__die").await;
    let pid = call(&outside, "s__pid", json!({})).await.content;
    let died = call(&outside, "s__die", json!({})).await;
    assert_eq!(died, Outcome::failed("The connection to the server of this tool broke; what it did is not known."));
    // Its tools are still offered, and say that they cannot be had until it is back.
    let back = async {
        let mut looks = interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            assert!(outside.catalog().find("s__pid").is_some());
            match call(&outside, "s__pid", json!({})).await {
                Outcome { content, is_error: false } => break content,
                Outcome { content, .. } => assert!(content.contains("server of this tool"), "{content}"),
            }
        }
    };
    assert_ne!(timeout(LONG, back).await.unwrap(), pid);
    outside.close().await;
}

#[tokio::test]
async fn a_server_that_starts_the_second_time_is_taken_then() {
    let folder = tempfile::tempdir().unwrap();
    let outside = stubborn(&folder.path().join("started").display().to_string());
    outside.settled().await;
    assert!(outside.catalog().is_empty());
    assert!(matches!(outside.health()["s"], Health::Down { failures: 1, .. }), "{:?}", outside.health());
    has(&outside, "s__echo").await;
    assert_eq!(outside.health()["s"], Health::Up { tools: 11 });
    outside.close().await;
}

#[tokio::test]
async fn programs_end_with_this_server_and_take_theirs_along() {
    for is_closed in [false, true] {
        let outside = stubborn("");
        has(&outside, "s__child").await;
        let server = call(&outside, "s__pid", json!({})).await.content;
        let child = call(&outside, "s__child", json!({})).await.content;
        assert!(!is_gone(&server) && !is_gone(&child));
        if is_closed {
            outside.close().await;
        }
        drop(outside);
        ends(&server).await;
        ends(&child).await;
    }
}

#[tokio::test]
async fn a_list_without_end_is_read_to_a_limit() {
    let outside = stubborn("endless");
    has(&outside, "s__echo").await;
    assert!(outside.catalog().len() <= 128);
    outside.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let outside = stubborn("mute");
    outside.settled().await;
    assert_eq!(why(&outside), "it did not answer in time");
    outside.close().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_not_to_be() {
    let outside = start("[mcp.s]\ncommand = [\"/no/such/program\"]");
    outside.settled().await;
    assert!(why(&outside).starts_with("/no/such/program cannot be started"), "{}", why(&outside));
    outside.close().await;
}

#[tokio::test]
async fn an_mcp_server_in_our_own_network_needs_to_be_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let outside = start(&format!("[mcp.s]\nurl = \"http://{host}:{port}/mcp\""));
        outside.settled().await;
        assert!(why(&outside).contains("is an address of this machine"), "{}", why(&outside));
    }
    let untouched = timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(untouched.is_err());
}

/// Answers every request with `answer`.
async fn answering(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 8_192];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_web_server_that_is_no_mcp_server_is_down_with_a_reason() {
    let full = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    for answer in [
        full("200 OK", "content-type: text/html\r\n", "<h1>Log in</h1>"),
        full("500 Oops", "content-type: text/html\r\n", "<h1>Oops</h1>"),
        full("200 OK", "content-type: application/json\r\n", "{\"jsonrpc\": "),
        full("200 OK", "content-type: application/json\r\n", &"1".repeat(5 << 20)),
        full("302 Found", "location: http://169.254.169.254/\r\n", ""),
        full("401 No", "www-authenticate: Bearer\r\n", ""),
    ] {
        let head = answer.lines().next().unwrap().to_owned();
        let port = answering(answer.into_bytes()).await;
        let outside = start(&format!("allow = [\"127.0.0.1:{port}\"]\n[mcp.s]\nurl = \"http://127.0.0.1:{port}/mcp\""));
        timeout(LONG, outside.settled()).await.unwrap_or_else(|_| panic!("{head}"));
        let why = why(&outside);
        assert!(!why.is_empty() && why.len() < 400 && !why.contains('\n'), "{head}: {why}");
        assert!(outside.catalog().is_empty(), "{head}");
    }
}

#[tokio::test]
async fn a_url_that_is_a_secret_is_not_shown() {
    let full = |status: &str| {
        let body = "Cannot POST /hush/mcp?key=whisper";
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let nobody = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut ports = vec![nobody];
    for answer in [full("404 None"), full("403 No"), full("500 Oops"), full("302 Found"), "SSH-2.0\r\n".to_owned()] {
        ports.push(answering(answer.into_bytes()).await);
    }
    for port in ports {
        let url = format!("http://127.0.0.1:{port}/hush/mcp?key=whisper");
        let outside = start(&format!("allow = [\"127.0.0.1:{port}\"]\n[mcp.s]\nurl = {url:?}"));
        timeout(LONG, outside.settled()).await.unwrap();
        let why = why(&outside);
        assert!(!why.is_empty() && !why.contains("hush") && !why.contains("whisper"), "{why}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_said_to_be_missing() {
    let start = |config: &str| {
        let tools = toml::from_str(config).unwrap();
        Outside::start(&tools, false, &|name| (name == "ODD").then(|| "a\nb".to_owned())).err().unwrap().to_string()
    };
    let missing = start("[mcp.s]\ncommand = [\"a\"]\nenv = { TOKEN = { env = \"NONE\" } }");
    assert_eq!(missing, "tools: the variable NONE of the environment is not set, and s needs it");
    let odd = "[http.t]\ndescription = \"d\"\nurl = \"https://a/\"\nheaders = { X-Key = { env = \"ODD\" } }";
    assert_eq!(start(odd), "tools: the value of X-Key of t has something that no header can hold");
}

#[tokio::test]
async fn http_tools_are_offered_beside_those_of_servers() {
    let outside = start("[http.weather]\ndescription = \"d\"\nurl = \"https://a/{city}\"\nparameters = { city = {} }");
    let catalog = outside.catalog();
    let weather = catalog.find("weather").unwrap();
    assert_eq!((&weather.origin, &weather.parameters["required"]), (&Origin::Http, &json!(["city"])));
    let refused = call(&outside, "weather", json!({"city": ".."})).await;
    assert_eq!(refused, Outcome::failed("This cannot be asked: an argument cannot stand in an address."));
}

#[tokio::test]
async fn what_a_client_brings_is_not_asked_within_this_servers_network() {
    let outside = start("allow = [\"127.0.0.2\"]");
    for url in ["http://127.0.0.1:1/v1/chat/completions", "http://169.254.169.254/latest", "http://[::1]:80/"] {
        let endpoint = Endpoint::new(url, &BTreeMap::new()).unwrap();
        let model = outside.model(endpoint.clone(), Kind::Compatible, "m", Patience::default()).await;
        assert!(matches!(model, Err(BadEndpoint::Refused(_))), "{url}");
        let tool = BroughtTool::new(crate::tools::config::Method::Post, endpoint).unwrap();
        let outcome = outside.call_brought(&tool, &Map::new(), LONG).await;
        assert!(outcome.is_error && outcome.content.contains("may not be called"), "{url}: {outcome:?}");
    }
    let listed = Endpoint::new("http://127.0.0.2:1/v1", &BTreeMap::new()).unwrap();
    assert!(outside.model(listed, Kind::Compatible, "m", Patience::default()).await.is_ok());
}
