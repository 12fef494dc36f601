//! `X-Twilio-Signature`: proof that a request comes from whoever knows the account's token.
//!
//! For a form it is the base64 of HMAC-SHA1 over the whole address followed by every parameter, sorted by name, name and
//! value joined without anything between. A `GET` has its parameters in the address already. Comparing takes as
//! long for a wrong signature as for a right one.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// The header that carries it.
pub const HEADER: &str = "X-Twilio-Signature";

/// The signature of a request to `url` with the form `params`; without any for a `GET` or a WebSocket.
pub fn sign<'a>(token: &str, url: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    STANDARD.encode(digest(token, url, &sorted(params)))
}

/// Whether `signature` is that of a request to `url` with the form `params`.
///
/// A proxy may have added or taken away the port that the scheme implies, and the slash of an empty path, so all
/// spellings are tried. An empty token proves nothing.
pub fn verify<'a>(
    token: &str,
    url: &str,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
    signature: &str,
) -> bool {
    if token.is_empty() {
        return false;
    }
    let Ok(theirs) = STANDARD.decode(signature.trim()) else { return false };
    let params = sorted(params);
    // All are computed, whichever fits.
    spellings(url).into_iter().fold(false, |is_ours, url| {
        let ours = digest(token, &url, &params);
        is_ours | bool::from(ours.as_slice().ct_eq(&theirs))
    })
}

type Sorted<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Values of a name that stands several times are sorted too, and one that repeats counts once.
fn sorted<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> Sorted<'a> {
    let mut sorted = Sorted::new();
    for (name, value) in params {
        sorted.entry(name).or_default().insert(value);
    }
    sorted
}

fn digest(token: &str, url: &str, params: &Sorted<'_>) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length will do");
    mac.update(url.as_bytes());
    for (name, value) in params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value))) {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Parts an address into what stands before and after its host and port.
fn authority(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    Some((&url[..start], &url[start..end], &url[end..]))
}

/// An address as senders and receivers may have it: with the port that its scheme implies or without, and an empty path
/// with its slash or without.
fn spellings(url: &str) -> Vec<String> {
    let Some((before, authority, after)) = authority(url) else { return vec![url.to_owned()] };
    let bare = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if matches!(before, "https://" | "wss://") { 443 } else { 80 };
    let other = bare.map_or_else(|| format!("{authority}:{port}"), |(host, _)| host.to_owned());
    let paths = if matches!(after, "" | "/") { vec!["", "/"] } else { vec![after] };
    let authorities = [authority, &other];
    let all =
        authorities.iter().flat_map(|authority| paths.iter().map(move |path| format!("{before}{authority}{path}")));
    all.collect()
}
