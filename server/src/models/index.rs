//! The Python package index: which one pip is configured with, and what its project pages say.
//!
//! Pure apart from [`IndexUrl::configured`], which reads the environment and pip's files. Pages are the
//! "simple" interface in either form: JSON (PEP 691), else HTML (PEP 503).

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use reqwest::Url;
use serde::Deserialize;

use super::manifest::{Pattern, Sha256};

/// What to ask an index for.
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// The address of an index. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexUrl(Url);

impl IndexUrl {
    /// The index that pip would use here: `PIP_INDEX_URL`, else pip's files, else pypi.org.
    ///
    /// # Errors
    /// [`BadIndex`] when what is configured is no address.
    pub fn configured() -> Result<Self, BadIndex> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let read = |path: PathBuf| std::fs::read_to_string(path).ok();
        let files: Vec<_> = config_files(&variable).into_iter().filter_map(read).collect();
        Self::chosen(variable("PIP_INDEX_URL").as_deref(), &files)
    }

    /// The environment's choice, else that of the last file that names one, else pypi.org.
    ///
    /// # Errors
    /// [`BadIndex`] when the choice is no address.
    pub fn chosen(environment: Option<&str>, files: &[String]) -> Result<Self, BadIndex> {
        let configured = || files.iter().rev().find_map(|text| index_of(text));
        let text = environment.map(str::to_owned).or_else(configured);
        Self::parse(text.as_deref().unwrap_or("https://pypi.org/simple"))
    }

    /// Reads an address.
    ///
    /// # Errors
    /// [`BadIndex`] when it is none.
    pub fn parse(text: &str) -> Result<Self, BadIndex> {
        let text = text.trim().trim_end_matches('/');
        match Url::parse(&format!("{text}/")) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self(url)),
            _ => Err(BadIndex),
        }
    }

    /// The page of a project.
    pub fn project(&self, package: &str) -> Url {
        static RUNS: LazyLock<Regex> = LazyLock::new(|| Regex::new("[-_.]+").expect("a constant pattern"));
        let name = RUNS.replace_all(package, "-").to_ascii_lowercase();
        self.0.join(&format!("{name}/")).expect("a package name is a valid path segment")
    }
}

impl fmt::Debug for IndexUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// An address for people: without name, password, query and fragment.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// One file that an index offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The file's name.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// Its digest, when the index says so.
    pub sha256: Option<Sha256>,
}

/// Finds the file that fits `wheel` on a project's page.
///
/// `page` is where the page was found (after redirects); relative addresses are read from there, and the
/// page's name and password go along when the file is at the same place.
///
/// # Errors
/// [`BadPage`] when the page is in neither form or names no such file.
pub fn find(page: &Url, body: &str, wheel: &Pattern) -> Result<Listed, BadPage> {
    let json = body.trim_start().starts_with('{');
    let listed = if json { json_files(body)? } else { html_files(body)? };
    let (name, address, sha256) = listed.into_iter().find(|(name, ..)| wheel.fits(name)).ok_or(BadPage::NotListed)?;
    let mut url = page.join(&address).map_err(|_| BadPage::Unreadable)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadPage::Unreadable);
    }
    url.set_fragment(None);
    let same_place = url.origin() == page.origin();
    if same_place && url.username().is_empty() && !page.username().is_empty() {
        let _ = url.set_username(page.username());
        let _ = url.set_password(page.password());
    }
    Ok(Listed { name, url, sha256 })
}

type Row = (String, String, Option<Sha256>);

fn json_files(body: &str) -> Result<Vec<Row>, BadPage> {
    #[derive(Deserialize)]
    struct Page {
        files: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        filename: String,
        url: String,
        #[serde(default)]
        hashes: Hashes,
    }
    #[derive(Default, Deserialize)]
    struct Hashes {
        sha256: Option<String>,
    }
    let page: Page = serde_json::from_str(body).map_err(|_| BadPage::Unreadable)?;
    let row = |file: File| (file.filename, file.url, file.hashes.sha256.as_deref().and_then(Sha256::parse));
    Ok(page.files.into_iter().map(row).collect())
}

fn html_files(body: &str) -> Result<Vec<Row>, BadPage> {
    static ANCHOR: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?is)<a\s[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')"#).expect("a constant pattern")
    });
    let anchors = ANCHOR.captures_iter(body).filter_map(|found| found.get(1).or_else(|| found.get(2)));
    let rows: Vec<Row> = anchors.map(|href| row_of(&unescaped(href.as_str()))).collect();
    if rows.is_empty() && !body.to_ascii_lowercase().contains("<html") {
        return Err(BadPage::Unreadable);
    }
    Ok(rows)
}

/// The last segment of the address is the file's name; its fragment may be `sha256=…`.
fn row_of(href: &str) -> Row {
    let (address, fragment) = href.split_once('#').unwrap_or((href, ""));
    let path = address.split('?').next().unwrap_or(address);
    let name = path.rsplit('/').next().unwrap_or(path).replace("%2B", "+").replace("%2b", "+");
    let digest = fragment.split('&').find_map(|part| part.strip_prefix("sha256=")).and_then(Sha256::parse);
    (name, address.to_owned(), digest)
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// pip's files, weakest first. `PIP_CONFIG_FILE` is strongest, and naming the null device there switches the
/// others off.
fn config_files(variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let named = variable("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files = vec![PathBuf::from("/etc/xdg/pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        files.push(home.join(".pip/pip.conf"));
        if cfg!(target_os = "macos") {
            files.push(home.join("Library/Application Support/pip/pip.conf"));
        }
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(variable("VIRTUAL_ENV").map(|dir| PathBuf::from(dir).join("pip.conf")));
    files.extend(named);
    files
}

/// `index-url` in one of pip's files; what `[install]` says outweighs `[global]`.
fn index_of(text: &str) -> Option<String> {
    let mut section = String::new();
    let mut general = None;
    let mut install = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_ascii_lowercase();
            continue;
        }
        let Some((key, value)) = line.split_once(['=', ':']) else { continue };
        let key = key.trim().to_ascii_lowercase().replace('_', "-");
        if line.starts_with(['#', ';']) || key != "index-url" || value.trim().is_empty() {
            continue;
        }
        match section.as_str() {
            "install" => install = Some(value.trim().to_owned()),
            "global" => general = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    install.or(general)
}

/// pip is configured with something that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the package index that pip is configured with (PIP_INDEX_URL or index-url) is not an http address")]
pub struct BadIndex;

/// A project's page does not lead to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    /// Neither JSON nor HTML in the form of the simple interface.
    #[error("the package index answered with something that is no list of files")]
    Unreadable,
    /// The page is sound and the file is not on it: this index does not carry it.
    #[error("the package index does not list it")]
    NotListed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_outweighs_files_and_a_later_file_an_earlier_one() {
        let file = |host: &str| format!("[global]\nindex-url = https://{host}/simple/\n");
        let chosen =
            |environment, files: &[String]| IndexUrl::chosen(environment, files).unwrap().project("a").to_string();
        assert_eq!(chosen(None, &[]), "https://pypi.org/simple/a/");
        assert_eq!(chosen(None, &[file("one"), file("two")]), "https://two/simple/a/");
        assert_eq!(chosen(None, &[file("one"), "[global]\ncert = /x\n".into()]), "https://one/simple/a/");
        assert_eq!(chosen(Some("http://three"), &[file("one")]), "http://three/a/");
        assert_eq!(IndexUrl::chosen(Some("file:///etc"), &[]), Err(BadIndex));
    }

    #[test]
    fn a_config_file_is_read_as_pip_reads_it() {
        assert_eq!(
            index_of("[global]\n# index-url = https://no\nindex_url: https://yes/\n"),
            Some("https://yes/".into())
        );
        let both =
            "[install]\nindex-url=https://install\n[global]\nindex-url=https://global\n[list]\nindex-url=https://list";
        assert_eq!(index_of(both), Some("https://install".into()));
        assert_eq!(index_of("[global]\nindex-url =\n"), None);
        assert_eq!(index_of("index-url = https://outside-of-a-section\n"), None);
    }

    #[test]
    fn naming_the_null_device_switches_pips_files_off() {
        let null = |name: &str| (name == "PIP_CONFIG_FILE").then(|| "/dev/null".to_owned());
        assert!(config_files(&null).is_empty());
        let home = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        assert!(config_files(&home).contains(&PathBuf::from("/h/.config/pip/pip.conf")));
    }

    #[test]
    fn a_project_name_is_normalized() {
        let index = IndexUrl::parse("https://i/simple").unwrap();
        assert_eq!(index.project("Silero_.VAD").as_str(), "https://i/simple/silero-vad/");
    }

    #[test]
    fn both_forms_of_a_page_lead_to_the_same_file() {
        let page = Url::parse("https://i/simple/a/").unwrap();
        let digest = "ab".repeat(32);
        let html = format!(
            "<html><a href='../../f/a-1.tar.gz'>x</a>\n<a class=\"y\"\n href=\"../../f/a-1-py3-none-any.whl?k=1&amp;l=2#sha256={digest}\" \
             data-requires-python=\"&gt;=3.8\">a</a>"
        );
        let json = format!(
            r#"{{"meta":{{"api-version":"1.3"}},"files":[{{"filename":"a-1-py3-none-any.whl",
            "url":"../../f/a-1-py3-none-any.whl?k=1&l=2","hashes":{{"sha256":"{digest}"}},"size":3,"yanked":false}}]}}"#
        );
        let wheel = Pattern::new("a-1-*.whl");
        let found = find(&page, &html, &wheel).unwrap();
        assert_eq!(found.url.as_str(), "https://i/f/a-1-py3-none-any.whl?k=1&l=2");
        assert_eq!(found.sha256.unwrap().to_string(), digest);
        assert_eq!(find(&page, &json, &wheel).unwrap(), found);
        assert_eq!(find(&page, &html, &Pattern::new("b-*")), Err(BadPage::NotListed));
    }

    #[test]
    fn a_page_that_is_no_list_is_refused() {
        let page = Url::parse("https://i/").unwrap();
        let wheel = Pattern::new("*");
        for body in ["", "{", "{\"files\": 3}", "not found", "<a href='file:///etc/passwd'>"] {
            assert_eq!(find(&page, body, &wheel), Err(BadPage::Unreadable), "{body}");
        }
        assert_eq!(find(&page, "<html></html>", &wheel), Err(BadPage::NotListed));
    }

    #[test]
    fn a_password_is_carried_to_the_same_place_only_and_never_shown() {
        let page = Url::parse("https://me:pass@i/simple/a/").unwrap();
        let wheel = Pattern::new("*.whl");
        let near = find(&page, "<a href='/f/a.whl'>", &wheel).unwrap().url;
        assert_eq!(near.password(), Some("pass"));
        let far = find(&page, "<a href='https://elsewhere/f/a.whl'>", &wheel).unwrap().url;
        assert_eq!((far.username(), far.password()), ("", None));
        assert_eq!(shown(&near), "https://i/f/a.whl");
        assert!(!format!("{:?}", IndexUrl::parse(page.as_str()).unwrap()).contains("pass"));
    }
}
