//! The cookies of one call: what its web application set, sent back to it, forgotten with the call.
//!
//! [`Jar`] is pure and told the time; [`Cookies`] is the jar in a shape that the requests of one call share. A cookie
//! goes back to the host that set it and to no other, whatever its `Domain` says: applications that share cookies
//! between hosts of one call are rarer than hosts that share a domain with strangers. Source: RFC 6265.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::target::Target;

/// Cookies that a call keeps; the oldest goes when one more comes. Sessions need one or two.
const COOKIES_MAX: usize = 20;

/// A longer one is left out, as browsers do.
const COOKIE_BYTES_MAX: usize = 4_096;

/// The jar of a call, for all its requests.
#[derive(Clone, Debug, Default)]
pub struct Cookies(Arc<Mutex<Jar>>);

impl Cookies {
    /// What to send along.
    pub(super) fn header(&self, target: &Target, now: SystemTime) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).header(target, now)
    }

    /// Notes what came along with an answer.
    pub(super) fn store<'a>(&self, target: &Target, set: impl Iterator<Item = &'a str>, now: SystemTime) {
        let mut jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for set in set {
            jar.store(target, set, now);
        }
    }
}

/// Cookies, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar(Vec<Cookie>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    path: String,
    needs_tls: bool,
    gone_at: Option<SystemTime>,
}

impl Jar {
    /// Takes a `Set-Cookie` header that came from `target`; one that cannot be read is left out.
    pub fn store(&mut self, target: &Target, header: &str, now: SystemTime) {
        if header.len() > COOKIE_BYTES_MAX {
            return;
        }
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if name.is_empty() || !header.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return;
        }
        let host = target.origin_host();
        let mut cookie = Cookie { name, value, host, path: own_path(target), needs_tls: false, gone_at: None };
        let mut has_max_age = false;
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name, value.trim()));
            match name.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.needs_tls = true,
                "max-age" => {
                    let Ok(seconds) = value.parse::<i64>() else { continue };
                    has_max_age = true;
                    let lives = Duration::from_secs(seconds.clamp(0, LONGEST_S).unsigned_abs());
                    cookie.gone_at = Some(now + lives);
                }
                "expires" if !has_max_age => cookie.gone_at = httpdate::parse_http_date(value).ok(),
                _ => {}
            }
        }
        self.0.retain(|other| (&other.name, &other.host, &other.path) != (&cookie.name, &cookie.host, &cookie.path));
        if cookie.gone_at.is_none_or(|at| at > now) {
            if self.0.len() >= COOKIES_MAX {
                self.0.remove(0);
            }
            self.0.push(cookie);
        }
    }

    /// The `Cookie` header for `target`; `None` when there is nothing to send.
    pub fn header(&self, target: &Target, now: SystemTime) -> Option<String> {
        let host = target.origin_host();
        let fits = |cookie: &&Cookie| {
            cookie.host == host
                && (target.is_tls() || !cookie.needs_tls)
                && cookie.gone_at.is_none_or(|at| at > now)
                && covers(&cookie.path, target.path())
        };
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(fits).collect();
        // The longest path first, then the oldest.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl Target {
    fn origin_host(&self) -> String {
        self.host().trim_end_matches('.').to_owned()
    }
}

/// The folder that the request's path lies in.
fn own_path(target: &Target) -> String {
    match target.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

fn covers(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

/// A year: no call is longer, and sums stay within what a clock can say.
const LONGEST_S: i64 = 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn target(url: &str) -> Target {
        Target::http(url).unwrap()
    }

    fn jar(url: &str, headers: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for header in headers {
            jar.store(&target(url), header, NOW);
        }
        jar
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_to_no_other() {
        let jar =
            jar("https://app.example/voice", &["session=abc; Path=/; HttpOnly", "theme=dark; Path=/; Domain=example"]);
        assert_eq!(jar.header(&target("https://app.example/gather"), NOW).as_deref(), Some("session=abc; theme=dark"));
        assert_eq!(jar.header(&target("https://APP.example:8443/"), NOW).as_deref(), Some("session=abc; theme=dark"));
        for other in ["https://www.example/", "https://example/", "https://app.example.evil/"] {
            assert_eq!(jar.header(&target(other), NOW), None, "{other}");
        }
    }

    #[test]
    fn path_and_secrecy_are_kept() {
        let jar = jar("https://a/ivr/menu", &["own=1", "deep=2; Path=/ivr/menu", "hush=3; Path=/; Secure"]);
        assert_eq!(jar.header(&target("https://a/ivr/menu"), NOW).as_deref(), Some("deep=2; own=1; hush=3"));
        assert_eq!(jar.header(&target("http://a/ivr/other"), NOW).as_deref(), Some("own=1"));
        assert_eq!(jar.header(&target("http://a/ivrs"), NOW), None);
    }

    #[test]
    fn a_cookie_ends_with_its_age_and_is_replaced_by_its_name() {
        let mut jar =
            jar("http://a/", &["s=1; Max-Age=60", "t=1; Expires=Thu, 01 Jan 1970 00:00:30 GMT", "s=2; Max-Age=60"]);
        let later = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(jar.header(&target("http://a/"), NOW).as_deref(), Some("t=1; s=2"));
        assert_eq!(jar.header(&target("http://a/"), later(31)).as_deref(), Some("s=2"));
        assert_eq!(jar.header(&target("http://a/"), later(61)), None);
        jar.store(&target("http://a/"), "s=; Max-Age=0", NOW);
        assert_eq!(jar.header(&target("http://a/"), NOW).as_deref(), Some("t=1"));
    }

    #[test]
    fn nonsense_is_left_out_and_floods_are_cut() {
        let huge = format!("s={}", "x".repeat(COOKIE_BYTES_MAX));
        let mut jar = jar("http://a/", &["", "novalue", "=x", "a\r\nb=c", "é=1", &huge, "m=1; Max-Age=never; Path=x"]);
        assert_eq!(jar.header(&target("http://a/"), NOW).as_deref(), Some("m=1"));
        for n in 0..100 {
            jar.store(&target("http://a/"), &format!("n{n}=1"), NOW);
        }
        assert_eq!(jar.0.len(), COOKIES_MAX);
        assert_eq!(jar.0.last().map(|cookie| cookie.name.as_str()), Some("n99"));
    }
}
