//! The hashes of digest and what is computed with them (RFC 7616 section 3.4, RFC 8760).

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A hash, plain or for a session, in which the password's hash is mixed with both sides' nonces once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What every phone knows.
    Md5,
    /// MD5 for a session.
    Md5Sess,
    /// RFC 8760.
    Sha256,
    /// SHA-256 for a session.
    Sha256Sess,
    /// RFC 8760: SHA-512, cut to 256 bits.
    Sha512T256,
    /// SHA-512/256 for a session.
    Sha512T256Sess,
}

/// What an answer is computed from.
pub(super) struct Question<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) username: &'a str,
    pub(super) realm: &'a str,
    pub(super) password: &'a str,
    pub(super) nonce: &'a str,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    /// Count as eight digits and the client's nonce; `None` where the server offers no `qop` (RFC 2069).
    pub(super) auth: Option<(&'a str, &'a str)>,
}

impl Algorithm {
    /// All, the strongest last.
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess, Self::Sha512T256, Self::Sha512T256Sess];

    /// As headers write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512T256 => "SHA-512-256",
            Self::Sha512T256Sess => "SHA-512-256-sess",
        }
    }

    /// The one of that name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether it is for a session.
    pub(super) const fn is_for_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess | Self::Sha512T256Sess)
    }

    /// The hash of `parts` with colons between them, in lower-case digits.
    fn hash(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hashed::<Md5>(parts),
            Self::Sha256 | Self::Sha256Sess => hashed::<Sha256>(parts),
            Self::Sha512T256 | Self::Sha512T256Sess => hashed::<Sha512_256>(parts),
        }
    }
}

impl Question<'_> {
    /// The `response` that proves the password.
    pub(super) fn answer(&self) -> String {
        let hash = |parts: &[&str]| self.algorithm.hash(parts);
        let mut secret = hash(&[self.username, self.realm, self.password]);
        if self.algorithm.is_for_session() {
            secret = hash(&[&secret, self.nonce, self.auth.map_or("", |(_, cnonce)| cnonce)]);
        }
        let what = hash(&[self.method, self.uri]);
        match self.auth {
            Some((count, cnonce)) => hash(&[&secret, self.nonce, count, cnonce, "auth", &what]),
            None => hash(&[&secret, self.nonce, &what]),
        }
    }
}

fn hashed<D: Digest>(parts: &[&str]) -> String {
    let mut digest = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            digest.update(":");
        }
        digest.update(part);
    }
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    digest.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1 and figures of SIP; see the source that the file names.
    #[test]
    fn answers_are_those_of_the_vectors() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/digest_vectors.json"));
        // The vectors lie beside the repository, and not everybody has them.
        let Ok(text) = text else { return println!("skipped: no vectors of digests beside the checkout") };
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let vectors = vectors["vectors"].as_object().unwrap();
        assert!(vectors.len() >= 7);
        for (name, vector) in vectors {
            let of = |key: &str| vector[key].as_str().unwrap();
            let algorithm = ["SHA-512-256", "SHA-256", "MD5"].into_iter().find(|known| name.contains(known)).unwrap();
            let question = Question {
                algorithm: Algorithm::named(algorithm).unwrap(),
                username: of("user"),
                realm: of("realm"),
                password: of("password"),
                nonce: of("nonce"),
                method: of("method"),
                uri: of("uri"),
                auth: Some((of("nc"), of("cnonce"))),
            };
            assert_eq!(question.answer(), of("response"), "{name}");
        }
    }

    /// The example of RFC 7616 section 3.9.1, and the same without qop and for a session, computed apart.
    #[test]
    fn answers_are_those_of_the_rfc() {
        let question = |algorithm| Question {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            method: "GET",
            uri: "/dir/index.html",
            auth: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        };
        assert_eq!(question(Algorithm::Md5).answer(), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            question(Algorithm::Sha256).answer(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        let old = Question { auth: None, ..question(Algorithm::Md5) };
        assert_eq!(old.answer(), OLD_ANSWER);
        assert_eq!(question(Algorithm::Md5Sess).answer(), SESSION_ANSWER);
    }

    const OLD_ANSWER: &str = "7b2cc3b30e75b4777ea31027084363fd";
    const SESSION_ANSWER: &str = "e783283f46242139c486a698fec7211d";
}
