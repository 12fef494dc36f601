//! The console at `/`: a page for people, served from the binary.
//!
//! Every file of the page is part of the binary, so it needs no folder beside it and fits the server that
//! answers it. Files carry an `ETag` of their content and are asked for anew each time, which costs an
//! unchanged file one empty answer. The page may load nothing from elsewhere and run nothing inline: what a
//! voice says is shown as text, and if it ever were not, the browser would still not run it. Runs on tokio
//! workers; holds no state.

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use sha2::{Digest, Sha256};

/// The page and its parts, for a router of any state: they need none.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, serve(file)))
}

/// One file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    body: &'static str,
}

static FILES: [File; 41] = [
    File { path: "/", kind: HTML, body: include_str!("page.html") },
    File { path: "/console/icon.svg", kind: "image/svg+xml", body: include_str!("icon.svg") },
    File { path: "/console/style.css", kind: CSS, body: include_str!("style.css") },
    File { path: "/console/conversation.css", kind: CSS, body: include_str!("conversation.css") },
    File { path: "/console/call.css", kind: CSS, body: include_str!("call.css") },
    File { path: "/console/telephone.css", kind: CSS, body: include_str!("telephone.css") },
    File { path: "/console/agent.js", kind: JS, body: include_str!("agent.js") },
    File { path: "/console/app.js", kind: JS, body: include_str!("app.js") },
    File { path: "/console/audio-socket.js", kind: JS, body: include_str!("audio-socket.js") },
    File { path: "/console/call-view.js", kind: JS, body: include_str!("call-view.js") },
    File { path: "/console/calls-feed.js", kind: JS, body: include_str!("calls-feed.js") },
    File { path: "/console/capture-worklet.js", kind: JS, body: include_str!("capture-worklet.js") },
    File { path: "/console/confirm.js", kind: JS, body: include_str!("confirm.js") },
    File { path: "/console/conversation.js", kind: JS, body: include_str!("conversation.js") },
    File { path: "/console/devices.js", kind: JS, body: include_str!("devices.js") },
    File { path: "/console/engine.js", kind: JS, body: include_str!("engine.js") },
    File { path: "/console/event-stream.js", kind: JS, body: include_str!("event-stream.js") },
    File { path: "/console/export.js", kind: JS, body: include_str!("export.js") },
    File { path: "/console/file-send.js", kind: JS, body: include_str!("file-send.js") },
    File { path: "/console/i18n.js", kind: JS, body: include_str!("i18n.js") },
    File { path: "/console/keypad.js", kind: JS, body: include_str!("keypad.js") },
    File { path: "/console/latency.js", kind: JS, body: include_str!("latency.js") },
    File { path: "/console/meter.js", kind: JS, body: include_str!("meter.js") },
    File { path: "/console/microphone.js", kind: JS, body: include_str!("microphone.js") },
    File { path: "/console/notes.js", kind: JS, body: include_str!("notes.js") },
    File { path: "/console/notice.js", kind: JS, body: include_str!("notice.js") },
    File { path: "/console/people.js", kind: JS, body: include_str!("people.js") },
    File { path: "/console/phone-call.js", kind: JS, body: include_str!("phone-call.js") },
    File { path: "/console/play.js", kind: JS, body: include_str!("play.js") },
    File { path: "/console/recordings.js", kind: JS, body: include_str!("recordings.js") },
    File { path: "/console/rooms.js", kind: JS, body: include_str!("rooms.js") },
    File { path: "/console/server.js", kind: JS, body: include_str!("server.js") },
    File { path: "/console/softphone.js", kind: JS, body: include_str!("softphone.js") },
    File { path: "/console/stream-level.js", kind: JS, body: include_str!("stream-level.js") },
    File { path: "/console/tabs.js", kind: JS, body: include_str!("tabs.js") },
    File { path: "/console/talk.js", kind: JS, body: include_str!("talk.js") },
    File { path: "/console/telephone.js", kind: JS, body: include_str!("telephone.js") },
    File { path: "/console/transcript.js", kind: JS, body: include_str!("transcript.js") },
    File { path: "/console/voices.js", kind: JS, body: include_str!("voices.js") },
    File { path: "/console/waterfall.js", kind: JS, body: include_str!("waterfall.js") },
    File { path: "/console/whip.js", kind: JS, body: include_str!("whip.js") },
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

fn serve<S: Clone + Send + Sync + 'static>(file: &'static File) -> MethodRouter<S> {
    // Hashed once, when the router is made: some thirty files of a few kilobytes.
    let tag = tag_of(file.body);
    get(move |headers: HeaderMap| std::future::ready(answer(file, &tag, &headers)))
}

fn tag_of(body: &str) -> HeaderValue {
    let digest = Sha256::digest(body);
    let tag: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{tag}\"")).expect("hexadecimal digits and quotes are a header value")
}

fn answer(file: &'static File, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (PERMISSIONS, HeaderValue::from_static("microphone=(self), camera=(), geolocation=()")),
    ];
    if is_known(asked, tag) {
        (StatusCode::NOT_MODIFIED, fixed).into_response()
    } else {
        (fixed, file.body).into_response()
    }
}

/// Whether the browser already holds this content. A proxy may have weakened the tag; for equal bytes that
/// makes no difference.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes())
    })
}

/// Everything comes from this server (sockets of the same origin included), nothing is framed by another
/// page, and no form leads elsewhere. Players may also play what the page itself has fetched with its key.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; object-src 'none'";

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = if_none_match {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_file_says_its_kind_and_forbids_what_comes_from_elsewhere() {
        for file in &FILES {
            let response = ask(file.path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{}", file.path);
            assert_eq!(response.headers()[header::CONTENT_TYPE], file.kind);
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
    }

    #[tokio::test]
    async fn a_file_that_the_browser_holds_is_not_sent_again() {
        let first = ask("/console/app.js", None).await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(ask("/console/app.js", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            ask("/console/app.js", Some(&format!("\"other\", W/{tag}"))).await.status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(ask("/console/app.js", Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let served = |path: &str| FILES.iter().any(|file| file.path == path);
        for file in &FILES {
            for named in file.body.split(['"', '\'']).filter(|text| text.starts_with("/console/")) {
                assert!(served(named), "{} names {named}", file.path);
            }
            for named in
                file.body.split('"').filter_map(|text| text.strip_prefix("./")).filter(|name| name.ends_with(".js"))
            {
                assert!(served(&format!("/console/{named}")), "{} imports {named}", file.path);
            }
        }
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere_and_nothing_runs_inline() {
        for file in &FILES {
            let elsewhere = file.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{}", file.path);
            for way_in in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", " onclick="]
            {
                assert!(!file.body.contains(way_in), "{} holds {way_in}", file.path);
            }
        }
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let text = include_str!("i18n.js");
        let keys = |tag: &str| -> Vec<String> {
            let block = text.split(&format!("\n  {tag}: {{\n")).nth(1).unwrap().split("\n  },").next().unwrap();
            let key = regex::Regex::new(r#"(?m)(?:^\s+|", )(\w+): ""#).unwrap();
            key.captures_iter(block).map(|found| found[1].to_owned()).collect()
        };
        let (english, german) = (keys("en"), keys("de"));
        assert!(english.len() > 60, "only {} keys were read", english.len());
        assert_eq!(english, german);
        for attribute in ["data-text=\"", "data-label=\""] {
            let page = include_str!("page.html").split(attribute).skip(1);
            for named in page.map(|rest| rest.split('"').next().unwrap()) {
                assert!(english.iter().any(|key| key == named), "no words for {named}");
            }
        }
        let script = regex::Regex::new(r#"\bt\("(\w+)""#).unwrap();
        for file in FILES.iter().filter(|file| file.kind == JS) {
            for named in script.captures_iter(file.body) {
                assert!(english.iter().any(|key| *key == named[1]), "{} asks for {}", file.path, &named[1]);
            }
        }
    }
}
