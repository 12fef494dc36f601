//! A web for the tests of fetching: one server on the loopback that plays index, mirror and hub, and misbehaves
//! as each test asks. It notes every request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{Cursor, Write as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use sha2::Digest as _;
use zip::{ZipWriter, write::SimpleFileOptions};

/// What is found at one path.
#[derive(Clone)]
pub(crate) enum Page {
    /// The bytes, in ranges too.
    Whole(Vec<u8>),
    /// The bytes, whatever range is asked for.
    NoRanges(Vec<u8>),
    /// Text of that content type.
    Text(&'static str, String),
    /// The first request breaks off after so many bytes, later ones do not.
    CutOnce(Vec<u8>, usize),
    /// The first `n` requests are answered with the status, later ones with the bytes.
    FailFirst(usize, StatusCode, Vec<u8>),
    /// The bytes without saying how many there are.
    Unsized(Vec<u8>),
    /// The head of the bytes, then nothing more, for ever.
    Silence(Vec<u8>, usize),
    /// A byte every few milliseconds, for ever.
    Drip(usize),
    /// To itself.
    Loop,
}

/// The server. It ends with the runtime of its test.
pub(crate) struct Web {
    pub(crate) base: String,
    seen: Seen,
}

/// Path and `Range` header of each request.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;
type Site = Arc<(BTreeMap<String, Page>, Seen)>;

impl Web {
    pub(crate) async fn serve(pages: impl IntoIterator<Item = (&str, Page)>) -> Self {
        let pages = pages.into_iter().map(|(path, page)| (path.to_owned(), page)).collect();
        let seen = Seen::default();
        let site: Site = Arc::new((pages, seen.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(site);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, seen }
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<(String, Option<String>)> {
        self.seen.lock().unwrap().clone()
    }

    /// How often a path was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|(seen, _)| seen == path).count()
    }
}

async fn answer(State(site): State<Site>, request: Request) -> Response {
    let (pages, seen) = &*site;
    let path = request.uri().path().to_owned();
    let range = request.headers().get(header::RANGE).map(|value| value.to_str().unwrap().to_owned());
    let earlier = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|(before, _)| *before == path).count();
        seen.push((path.clone(), range.clone()));
        earlier
    };
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match pages.get(&path) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Whole(bytes)) => whole(bytes, from),
        Some(Page::NoRanges(bytes)) => whole(bytes, None),
        Some(Page::Text(kind, text)) => ([(header::CONTENT_TYPE, *kind)], text.clone()).into_response(),
        Some(Page::CutOnce(bytes, at)) if earlier == 0 => {
            let head = Bytes::copy_from_slice(&bytes[..*at]);
            let chunks = stream::iter([Ok(head), Err(std::io::Error::other("cut"))]);
            // The head is sent before the cut is noticed.
            let chunks = chunks.then(|chunk| async {
                tokio::task::yield_now().await;
                chunk
            });
            ([(header::CONTENT_LENGTH, bytes.len())], Body::from_stream(chunks)).into_response()
        }
        Some(Page::FailFirst(times, status, _)) if earlier < *times => status.into_response(),
        Some(Page::CutOnce(bytes, _) | Page::FailFirst(_, _, bytes)) => whole(bytes, from),
        Some(Page::Unsized(bytes)) => {
            let chunks: Vec<_> = bytes.chunks(1000).map(|chunk| Ok::<_, Infallible>(chunk.to_vec())).collect();
            Body::from_stream(stream::iter(chunks)).into_response()
        }
        Some(Page::Silence(bytes, at)) => {
            let head = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(&bytes[..*at]))]);
            ([(header::CONTENT_LENGTH, bytes.len())], Body::from_stream(head.chain(stream::pending()))).into_response()
        }
        Some(Page::Drip(length)) => {
            let drops = stream::unfold(tokio::time::interval(Duration::from_millis(2)), |mut interval| async {
                interval.tick().await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), interval))
            });
            ([(header::CONTENT_LENGTH, *length)], Body::from_stream(drops)).into_response()
        }
        Some(Page::Loop) => (StatusCode::FOUND, [(header::LOCATION, path)]).into_response(),
    }
}

fn whole(bytes: &[u8], from: Option<usize>) -> Response {
    match from {
        None => bytes.to_vec().into_response(),
        Some(from) if from < bytes.len() => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            let head = [(header::CONTENT_RANGE, range)];
            (StatusCode::PARTIAL_CONTENT, head, bytes[from..].to_vec()).into_response()
        }
        Some(_) => {
            let range = format!("bytes */{}", bytes.len());
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, range)]).into_response()
        }
    }
}

/// Bytes that do not compress and differ by seed.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A zip with these members.
pub(crate) fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
