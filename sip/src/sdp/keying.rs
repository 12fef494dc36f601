//! How keys are agreed on by DTLS (RFC 8842, RFC 8122): whose certificate is shown, and who begins.
//!
//! Pure. What is read here of one end becomes [`Protection::Dtls`], which names one association: as long as certificates
//! and roles stay, a change of the call keeps its keys, however the roles are put in words.

use media::net::is_behind_translator;

use super::{Agreed, Attribute, Media, Protection, Session, audio::Audio};

/// Fingerprints that are looked at.
const FINGERPRINTS_MAX: usize = 8;

/// The one hash function that everybody has (RFC 8122 section 5).
const HASH: &str = "sha-256";

/// Bytes of its hash.
const HASH_BYTES: usize = 32;

/// How a certificate is known, and who begins the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// `sha-256` and bytes in capital letters, as `a=fingerprint` says them: the certificate is one of these (RFC 8122
    /// section 5). At least one, in order.
    pub fingerprints: Vec<String>,
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
        let mut fingerprints: Vec<String> = read.clone().filter_map(Result::ok).collect();
        if fingerprints.is_empty() {
            return read.find_map(Result::err).map(Err);
        }
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let setup = match named("setup").unwrap_or("actpass").trim() {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::ActPass,
            _ => return Some(Err("its setup is none that connects")),
        };
        Some(Ok(Self { fingerprints, setup, tls_id: named("tls-id").map(str::to_owned) }))
    }

    /// What a handshake will protect, and who begins it; `before` is what was agreed on until now, and `is_reachable` says
    /// whether our first word can find who said this.
    pub(super) fn agreed(&self, before: Option<&Agreed>, is_reachable: bool) -> Protection {
        let of = |is_client, tls_id| Protection::Dtls { fingerprints: self.fingerprints.clone(), is_client, tls_id };
        let kept = before.and_then(|agreed| {
            let Protection::Dtls { is_client, tls_id, .. } = &agreed.protection else { return None };
            // Whatever the roles are said to be now: that is judged below.
            let is_kept = of(*is_client, self.tls_id.clone()).continues(&agreed.protection);
            is_kept.then_some((*is_client, tls_id))
        });
        // Who may choose begins, unless the other must open the way through a translator of addresses first. Later it stays
        // as it is.
        let is_client = match self.setup {
            Setup::Active => false,
            Setup::Passive => true,
            Setup::ActPass => kept.map_or(is_reachable, |(is_client, _)| is_client),
        };
        // Our offers name no association, so the answers to them do not either.
        let name = self.tls_id.as_ref().or_else(|| kept.and_then(|(_, name)| name.as_ref()));
        of(is_client, name.cloned())
    }
}

/// Whether our first word finds the far end: where both have ICE it says itself where it is, and without, nobody gets to an
/// address behind a translator before something came from it.
pub(super) fn is_reachable(theirs: &Audio<'_>, has_ice: bool) -> bool {
    has_ice || theirs.rtp.is_none_or(|rtp| !is_behind_translator(rtp.ip()))
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
