//! `X-Twilio-Signature`: proof that a request comes from whoever knows the account's token.
//!
//! For a form it is the base64 of HMAC-SHA1 over the whole address followed by every parameter, sorted by name, name and
//! value joined without anything between. A `GET` has its parameters in the address already. For other bodies the
//! address carries `bodySHA256`, and only the address is signed. Comparing takes as long for a wrong signature as for
//! a right one.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

/// The header that carries it.
pub const HEADER: &str = "X-Twilio-Signature";

/// The signature of a request to `url` with the form `params`; without any for a `GET` or a WebSocket.
pub fn sign<'a>(token: &str, url: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    STANDARD.encode(digest(token, url, &sorted(params)))
}

/// The address and the signature of a request whose `body` is no form.
pub fn sign_body(token: &str, url: &Url, body: &[u8]) -> (Url, String) {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair(BODY_HASH, &body_hash(body));
    let signature = sign(token, url.as_str(), []);
    (url, signature)
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

/// Whether `signature` is that of a request to `url`, whose `bodySHA256` is that of `body`.
pub fn verify_body(token: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let hash = Url::parse(url).ok().and_then(|url| {
        let mut pairs = url.query_pairs();
        pairs.find(|(name, _)| name == BODY_HASH).map(|(_, hash)| hash.into_owned())
    });
    let is_body = hash.is_some_and(|hash| bool::from(body_hash(body).as_bytes().ct_eq(hash.to_lowercase().as_bytes())));
    verify(token, url, [], signature) & is_body
}

const BODY_HASH: &str = "bodySHA256";

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

fn body_hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
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
