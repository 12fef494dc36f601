//! The rules of the house that a compiler does not keep: which package may know which.

use std::{collections::BTreeSet, fs, path::Path};

/// What each package may depend on. The brain cannot tell a phone from a browser, so `bot` never knows `sip`.
const ARROWS: [(&str, &[&str]); 8] = [
    ("media", &[]),
    ("asr", &["media"]),
    ("tts", &["media"]),
    ("sip", &["media"]),
    ("bot", &["media", "asr", "tts"]),
    ("server", &["media", "asr", "tts", "sip", "bot"]),
    ("benches", &["media", "asr", "tts", "sip", "bot", "server", "tests"]),
    ("tests", &["media", "asr", "tts", "sip", "bot", "server"]),
];

#[test]
fn packages_depend_only_along_the_arrows() {
    let packages: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ARROWS {
        let path = root().join(name).join("Cargo.toml");
        let manifest: toml::Table =
            fs::read_to_string(&path).expect("every package has a manifest").parse().expect("valid TOML");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(toml::Value::Table(dependencies)) = manifest.get(table) else { continue };
            for dependency in dependencies.keys().filter(|dependency| packages.contains(dependency.as_str())) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency} ({table})");
            }
        }
    }
}

#[test]
fn every_package_of_the_workspace_has_its_arrows() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .expect("the workspace has a manifest")
        .parse()
        .expect("valid TOML");
    let members: BTreeSet<&str> = manifest["workspace"]["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member.as_str().expect("a name"))
        .collect();
    assert_eq!(members, ARROWS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn main_composes_and_nothing_else() {
    let main = fs::read_to_string(root().join("server/src/main.rs")).expect("the binary has a main");
    assert!(main.lines().count() < 60, "server/src/main.rs has {} lines", main.lines().count());
}

#[test]
fn young_libraries_are_known_to_one_place() {
    let places = [
        ("asr", "ort", "onnx.rs"),
        ("bot", "rmcp", "tools/mcp"),
        ("media", "rtc", "webrtc"),
        ("sip", "ezk_sip_types", "message/wire.rs"),
    ];
    for (package, library, place) in places {
        let root = root().join(package).join("src");
        let mut knowers = 0;
        for path in sources(&root) {
            let text = fs::read_to_string(&path).expect("a source is text");
            let is_known = text
                .lines()
                .map(str::trim_start)
                .any(|line| line.starts_with(&format!("use {library}::")) || line.contains(&format!(" {library}::")));
            assert!(!is_known || path.starts_with(root.join(place)), "{} knows {library}", path.display());
            knowers += usize::from(is_known);
        }
        assert!(knowers > 0, "nobody knows {library}: the test looks for the wrong name");
    }
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("packages lie in the workspace")
}
