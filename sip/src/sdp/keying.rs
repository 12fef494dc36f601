//! How keys are agreed on by DTLS (RFC 8842, RFC 8122): whose certificate is shown, and who begins.
//!
//! Pure. What is read here of one end becomes [`Protection::Dtls`], which names one association: as long as certificates
//! and roles stay, a change of the call keeps its keys, however the roles are put in words.

use super::{Agreed, Attribute, Media, Protection, Session};

/// Fingerprints that are looked at.
const FINGERPRINTS_MAX: usize = 8;

/// The one hash function that everybody has (RFC 8122 section 5).
const HASH: &str = "sha-256";

/// Bytes of its hash.
const HASH_BYTES: usize = 32;

/// How a certificate is known, and who begins the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// `sha-256` and bytes in capital letters, as `a=fingerprint` says them.
    pub fingerprint: String,
    /// The role.
    pub setup: Setup,
    /// The name of the association, where it has one: another one asks for another handshake.
    pub tls_id: Option<String>,
}

/// Who begins a DTLS handshake, as the one who says it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The one who says it.
    Active,
    /// The other.
    Passive,
    /// As the other likes.
    ActPass,
}

impl Setup {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }
}

impl Dtls {
    /// What `media` of `session` says; nothing where it says nothing.
    pub(super) fn read(session: &Session, media: &Media) -> Option<Result<Self, &'static str>> {
        let named = |name| media.value(name).or_else(|| session.value(name));
        named("fingerprint")?;
        let own = media.has("fingerprint");
        let attributes = if own { &media.attributes } else { &session.attributes };
        let values = attributes.iter().filter(|attribute| attribute.name == "fingerprint");
        let mut read =
            values.filter_map(|attribute| attribute.value.as_deref()).take(FINGERPRINTS_MAX).map(fingerprint);
        let fingerprint = match read.clone().find_map(Result::ok) {
            Some(fingerprint) => fingerprint,
            None => return read.find_map(Result::err).map(Err),
        };
        let setup = match named("setup").unwrap_or("actpass").trim() {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::ActPass,
            _ => return Some(Err("its setup is none that connects")),
        };
        Some(Ok(Self { fingerprint, setup, tls_id: named("tls-id").map(str::to_owned) }))
    }

    /// What a handshake will protect, and who begins it; `before` is what was agreed on until now.
    pub(super) fn agreed(&self, before: Option<&Agreed>) -> Protection {
        let kept = match before.map(|agreed| &agreed.protection) {
            Some(Protection::Dtls { fingerprint, is_client, tls_id })
                if (fingerprint, tls_id) == (&self.fingerprint, &self.tls_id) =>
            {
                Some(*is_client)
            }
            _ => None,
        };
        // Who may choose begins: its packets open the way through a translator of addresses. Later it stays as it is.
        let is_client = match self.setup {
            Setup::Active => false,
            Setup::Passive => true,
            Setup::ActPass => kept.unwrap_or(true),
        };
        Protection::Dtls { fingerprint: self.fingerprint.clone(), is_client, tls_id: self.tls_id.clone() }
    }
}

/// What an answer says of an association with our certificate.
pub(super) fn answer_lines(ours: &str, is_client: bool) -> Vec<Attribute> {
    let setup = if is_client { Setup::Active } else { Setup::Passive };
    vec![Attribute::of("fingerprint", ours), Attribute::of("setup", setup.name())]
}

/// What an offer says of one.
pub(super) fn offer_lines(ours: &str) -> Vec<Attribute> {
    vec![Attribute::of("fingerprint", ours), Attribute::of("setup", Setup::ActPass.name())]
}

/// A fingerprint that can be trusted, in the one way to write it.
fn fingerprint(text: &str) -> Result<String, &'static str> {
    let (hash, bytes) = text.trim().split_once(' ').ok_or("its fingerprint cannot be read")?;
    if !hash.eq_ignore_ascii_case(HASH) {
        return Err("its fingerprint is not one of SHA-256");
    }
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bytes = bytes.trim();
    match bytes.split(':').count() == HASH_BYTES && bytes.split(':').all(is_byte) {
        true => Ok(format!("{HASH} {}", bytes.to_ascii_uppercase())),
        false => Err("its fingerprint cannot be read"),
    }
}
