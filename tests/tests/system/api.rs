//! The border of the server: who gets in, what is said to those who do not, and how it starts and refuses to.

use std::path::{Path, PathBuf};

use ::server::config::Config;
use serde_json::{Value, json};
use tests::{client::Socket, fixture, scripted::Local, server};

const KEY: &str = "hv_a_key_of_these_tests";

#[tokio::test]
async fn a_server_without_a_model_serves_and_says_which_command_brings_one() {
    let local = Local::deaf(Config::default()).await;
    assert_eq!(get(&local, "/healthz").await.0, 200);
    let (status, ready) = get(&local, "/readyz").await;
    assert_eq!((status, ready["error"]["code"].as_str()), (503, Some("no_model")));
    assert!(ready["error"]["hint"].as_str().unwrap().contains("harmony models fetch loudness"), "{ready}");

    let room = local.app.open_room("").unwrap();
    let url = format!("{}/api/rooms/{}/audio?encoding=linear16&live=false", local.ws_url(), room.id());
    let refused = Socket::open(&url, &[]).await.err().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.body["error"]["hint"].as_str().unwrap().contains("harmony models fetch"), "{:?}", refused.body);

    let refused = Socket::open(&format!("{}/v1/listen?encoding=linear16&sample_rate=16000", local.ws_url()), &[])
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_server_with_keys_opens_to_them_in_every_way_they_come_and_to_nothing_else() {
    let local = Local::deaf(with_key()).await;
    let client = reqwest_client();
    for (authorization, status) in [
        (None, 401),
        (Some("Bearer wrong"), 401),
        (Some(KEY), 401),
        (Some(&*format!("Bearer {KEY}")), 200),
        (Some(&*format!("Token {KEY}")), 200),
    ] {
        let mut request = client.get(format!("{}/api/rooms", local.base_url()));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{authorization:?}");
        if status == 401 {
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(body["error"]["code"], "unauthorized");
        }
    }
    for public in ["/healthz", "/openapi.json", "/"] {
        assert_eq!(get(&local, public).await.0, 200, "{public}");
    }
    assert_eq!(get(&local, "/metrics").await.0, 401);

    let room = local.app.open_room("").unwrap();
    let events = format!("{}/api/rooms/{}/events", local.ws_url(), room.id());
    assert_eq!(Socket::open(&events, &[]).await.err().unwrap().status, 401);
    // The client itself insists that the server echoes one of the protocols it offered.
    assert!(Socket::open(&events, &[("sec-websocket-protocol", &format!("token, {KEY}"))]).await.is_ok());
}

#[tokio::test]
async fn pages_of_others_cannot_use_a_server_without_keys_and_may_use_one_with() {
    let open = Local::deaf(Config::default()).await;
    let room = open.app.open_room("").unwrap();
    let events = format!("{}/api/rooms/{}/events", open.ws_url(), room.id());
    let foreign = Socket::open(&events, &[("origin", "https://example.com")]).await.err().unwrap();
    assert_eq!((foreign.status, foreign.body["error"]["code"].as_str()), (403, Some("foreign_origin")));
    let rebound = Socket::open(&events, &[("host", "example.com")]).await.err().unwrap();
    assert_eq!((rebound.status, rebound.body["error"]["code"].as_str()), (403, Some("foreign_host")));
    assert!(Socket::open(&events, &[("origin", &open.base_url())]).await.is_ok());
    let post = reqwest_client().post(format!("{}/api/rooms", open.base_url())).header("origin", "https://example.com");
    assert_eq!(post.send().await.unwrap().status(), 403);

    let keyed = Local::deaf(with_key()).await;
    let room = keyed.app.open_room("").unwrap();
    let events = format!("{}/api/rooms/{}/events", keyed.ws_url(), room.id());
    let headers = [("origin", "https://example.com"), ("sec-websocket-protocol", &*format!("bearer, {KEY}"))];
    assert!(Socket::open(&events, &headers).await.is_ok());
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_refused_in_the_servers_own_shape() {
    let local = Local::deaf(Config::default()).await;
    let client = reqwest_client();
    let url = |path: &str| format!("{}{path}", local.base_url());
    let json_type = ("content-type", "application/json");
    let cases = [
        (client.get(url("/nothing")), 404, "not_found"),
        (client.put(url("/api/rooms")), 405, "method_not_allowed"),
        (client.get(url("/api/rooms/r99")), 404, "not_found"),
        (client.get(url("/api/rooms/99")), 404, "not_found"),
        (client.delete(url("/api/rooms/r99")), 404, "not_found"),
        (client.post(url("/api/rooms")).header(json_type.0, json_type.1).body("{"), 400, "bad_json"),
        (client.post(url("/api/rooms")).header(json_type.0, json_type.1).body("{\"titel\":1}"), 400, "bad_json"),
        (client.post(url("/api/rooms")).header("content-type", "text/plain").body("x"), 415, "not_json"),
    ];
    for (request, status, code) in cases {
        let response = request.send().await.unwrap();
        let (got, path) = (response.status(), response.url().path().to_owned());
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!((got.as_u16(), body["error"]["code"].as_str()), (status, Some(code)), "{path}: {body}");
    }
    let room = local.app.open_room("").unwrap();
    let events = format!("/api/rooms/{}/events", room.id());
    assert_eq!(get(&local, &events).await.0, 426);
    assert_eq!(get(&local, &format!("{events}?since=yesterday")).await.0, 400);
}

#[tokio::test]
async fn rooms_open_list_and_close_over_http() {
    let local = Local::deaf(Config::default()).await;
    let client = reqwest_client();
    let rooms = format!("{}/api/rooms", local.base_url());
    let response = client.post(&rooms).json(&json!({"title": "Stand-up"})).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (201, "/api/rooms/r1"));
    assert_eq!(client.post(&rooms).send().await.unwrap().status(), 201, "a body is not needed");
    let (_, list) = get(&local, "/api/rooms").await;
    let titles: Vec<_> = list["rooms"].as_array().unwrap().iter().map(|room| room["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Stand-up", "Room 2"]);
    for part in ["transcript", "actions", "summary"] {
        assert_eq!(get(&local, &format!("/api/rooms/r1/{part}")).await.1["room"], "r1");
    }
    assert_eq!(client.delete(format!("{rooms}/r1")).send().await.unwrap().status(), 204);
    assert_eq!(get(&local, "/api/rooms/r1").await.0, 404);
    assert_eq!(get(&local, "/api/rooms/r2").await.0, 200);
}

#[tokio::test]
async fn the_metrics_name_what_the_server_holds() {
    let local = Local::deaf(Config::default()).await;
    let _room = local.app.open_room("").unwrap();
    let text =
        reqwest_client().get(format!("{}/metrics", local.base_url())).send().await.unwrap().text().await.unwrap();
    for metric in
        ["harmony_streams{state=\"open\"} 0", "harmony_streams_max ", "harmony_rooms 1", "harmony_connections "]
    {
        assert!(text.contains(metric), "{metric} is not in\n{text}");
    }
}

#[test]
fn the_binary_without_any_model_starts_and_names_the_command_that_brings_one() {
    let empty = tempfile::tempdir().unwrap();
    let options = server::Options { config: &models_in(empty.path()), ..Default::default() };
    let server = server::Server::start(options).unwrap();
    assert!(
        server.stdout().contains("engine:    none: ") && server.stdout().contains("harmony models fetch"),
        "{}",
        server.stdout()
    );
    assert!(server.stdout().starts_with(&format!("console:   {}/", server.base_url())), "{}", server.stdout());
}

#[test]
fn the_binary_refuses_to_start_with_a_cut_model_in_one_line() {
    let Some(()) = server::models_or_skip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let silero = folder.path().join("silero-vad/silero_vad.onnx");
    for name in ["onnxruntime", "silero-vad", "moonshine-tiny-en"] {
        copy_folder(&fixture::model(name).unwrap(), &folder.path().join(name));
    }
    let bytes = std::fs::read(&silero).unwrap();
    std::fs::write(&silero, &bytes[..bytes.len() / 2]).unwrap();
    let options = server::Options { config: &models_in(folder.path()), ..Default::default() };
    let refusal = server::Server::start(options).unwrap_err();
    let lines: Vec<_> = refusal.lines().filter(|line| line.starts_with("harmony: ")).collect();
    assert_eq!(lines.len(), 1, "{refusal}");
    assert!(lines[0].contains("silero_vad.onnx") && lines[0].contains("harmony models fetch"), "{refusal}");
    assert!(!refusal.contains("panicked"), "{refusal}");
}

#[test]
fn the_binary_refuses_the_open_network_without_keys_and_unknown_keys_with_their_line() {
    let open = server::Options { env: vec![("HARMONY__HTTP__HOST", "0.0.0.0")], ..Default::default() };
    let refusal = server::Server::start(open).unwrap_err();
    assert!(
        refusal.starts_with("harmony: refusing to listen on 0.0.0.0:") && refusal.contains("harmony keys create"),
        "{refusal}"
    );

    let unknown = server::Options { config: "[http2]\nport = 1", ..Default::default() };
    let refusal = server::Server::start(unknown).unwrap_err();
    assert!(refusal.contains("harmony.toml:9: unknown field `http2`"), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
}

#[test]
fn the_binary_drains_on_sigterm_and_ends_with_success() {
    let empty = tempfile::tempdir().unwrap();
    let options = server::Options { config: &models_in(empty.path()), ..Default::default() };
    let mut server = server::Server::start(options).unwrap();
    // A connection that says nothing must not hold up the end.
    let _silent = std::net::TcpStream::connect(server.address()).unwrap();
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    assert!(server.log().contains("draining") && server.log().contains("drained"), "{}", server.log());
}

async fn get(local: &Local, path: &str) -> (u16, Value) {
    let response = reqwest_client().get(format!("{}{path}", local.base_url())).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

fn reqwest_client() -> reqwest::Client {
    server_tls();
    reqwest::Client::new()
}

fn server_tls() {
    ::server::models::tls::install();
}

fn with_key() -> Config {
    let mut config = Config::default();
    config.auth.keys = vec![KEY.to_owned()];
    config
}

fn models_in(folder: &Path) -> String {
    format!("[models]\ndir = {folder:?}")
}

fn copy_folder(from: &PathBuf, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
