//! Keys for SRTP in the description itself (SDES, RFC 4568; AES-GCM by RFC 7714): `a=crypto` lines read and written.
//!
//! One key a line, no MKI, no key derivation rate, nothing left unprotected: what every telephone and Teams do. A line
//! that wants more is passed over for the next. A lifetime is taken when it outlasts any call, since keys
//! are not changed within one.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use media::rtp::srtp::{MasterKey, Profile};

/// Base64 as written; when read, with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lines that are looked at; who offers more does not mean it.
const LINES_MAX: usize = 16;

/// A lifetime of fewer packets than this, which are six hours of sound, asks for new keys within a call.
const LIFETIME_MIN: u64 = 1 << 20;

/// What is said where a lifetime must be.
const LIFETIME: &str = "2^31";

/// A line that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crypto {
    pub(super) tag: u32,
    pub(super) key: MasterKey,
    /// It said a lifetime: some want to see one in the answer, others break when they do.
    pub(super) says_lifetime: bool,
}

impl Crypto {
    /// The lines that can be used, in the order in which they were offered; with none, why the first cannot.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Self>, &'static str> {
        let (mut usable, mut first) = (Vec::new(), None);
        for line in lines.take(LINES_MAX) {
            match Self::parse(line) {
                Ok(crypto) => usable.push(crypto),
                Err(why) => {
                    first.get_or_insert(why);
                }
            }
        }
        match first {
            Some(why) if usable.is_empty() => Err(why),
            _ => Ok(usable),
        }
    }

    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_ascii_whitespace();
        let tag = words.next().filter(|tag| tag.len() <= 9).and_then(|tag| tag.parse().ok()).ok_or("it has no tag")?;
        let suite = words.next().ok_or("it names no suite")?;
        let profile = PROFILES.into_iter().find(|known| name(*known).eq_ignore_ascii_case(suite));
        let profile = profile.ok_or("its suite is not known")?;
        let (key, says_lifetime) = inline(words.next().ok_or("it has no key")?, profile)?;
        // What a session parameter changes is not done here; those with a dash may be passed over, and the window
        // is a hint to the one who receives.
        if words.any(|parameter| !parameter.starts_with('-') && !parameter.starts_with("WSH=") && parameter != "KDR=0")
        {
            return Err("its session parameters are not known");
        }
        Ok(Self { tag, key, says_lifetime })
    }

    /// The value of its attribute.
    pub(super) fn print(&self) -> String {
        let lifetime = if self.says_lifetime { format!("|{LIFETIME}") } else { String::new() };
        format!("{} {} inline:{}{lifetime}", self.tag, name(self.key.profile()), BASE64.encode(self.key.bytes()))
    }
}

/// `inline:` key and salt, with what may follow; whether that is a lifetime.
fn inline(text: &str, profile: Profile) -> Result<(MasterKey, bool), &'static str> {
    let text = text.strip_prefix("inline:").ok_or("its key is not inline")?;
    if text.contains(';') {
        return Err("it has several keys");
    }
    let mut parts = text.split('|');
    let master = BASE64.decode(parts.next().unwrap_or_default()).map_err(|_| "its key is not base64")?;
    let key = MasterKey::new(profile, master).map_err(|_| "its key has another length than its suite's")?;
    let mut says_lifetime = false;
    for part in parts {
        if part.contains(':') {
            return Err("it has an MKI");
        }
        if lifetime(part).ok_or("its lifetime cannot be read")? < LIFETIME_MIN {
            return Err("its lifetime is shorter than a call");
        }
        says_lifetime = true;
    }
    Ok((key, says_lifetime))
}

/// Packets that a key lives: a number, or a power of two.
fn lifetime(text: &str) -> Option<u64> {
    match text.strip_prefix("2^") {
        Some(power) => power.parse().ok().filter(|power| *power <= 48).map(|power: u32| 1 << power),
        None => text.parse().ok(),
    }
}

const PROFILES: [Profile; 4] =
    [Profile::AesCm128HmacSha1_80, Profile::AesCm128HmacSha1_32, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

const fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        Profile::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        Profile::AeadAes128Gcm => "AEAD_AES_128_GCM",
        Profile::AeadAes256Gcm => "AEAD_AES_256_GCM",
    }
}

#[cfg(test)]
mod tests {
    use media::rtp::srtp::Rollover;
    use proptest::prelude::*;

    use super::*;

    /// Forty letters are the thirty bytes of the usual suite.
    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    fn read(line: &str) -> Result<Vec<Crypto>, &'static str> {
        Crypto::read(std::iter::once(line))
    }

    #[test]
    fn lines_of_the_field_are_read_and_what_asks_for_more_is_passed_over() {
        let usual = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        assert_eq!(read(&usual).unwrap()[0].print(), usual);
        let teams = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31");
        assert_eq!(read(&teams).unwrap()[0].print(), teams);
        for (line, why) in [
            (format!("{usual}|2^31|1:4"), "it has an MKI"),
            (format!("{usual}|1:4"), "it has an MKI"),
            (format!("{usual}|2^10"), "its lifetime is shorter than a call"),
            (format!("{usual}|2^99"), "its lifetime cannot be read"),
            (format!("{usual};inline:{KEY}"), "it has several keys"),
            (format!("{usual} UNENCRYPTED_SRTP"), "its session parameters are not known"),
            (format!("{usual} KDR=3"), "its session parameters are not known"),
            (format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"), "its suite is not known"),
            (format!("1 AEAD_AES_256_GCM inline:{KEY}"), "its key has another length than its suite's"),
            (format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), "it has no tag"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:!".to_owned(), "its key is not base64"),
            ("1 AES_CM_128_HMAC_SHA1_80".to_owned(), "it has no key"),
        ] {
            assert_eq!(read(&line).err(), Some(why), "{line}");
        }
        for line in [format!("{usual} WSH=64 -X"), format!("{usual}|1048576"), format!("{usual} KDR=0")] {
            assert!(read(&line).is_ok(), "{line}");
        }
        let both = [format!("7 F8_128_HMAC_SHA1_80 inline:{KEY}"), usual];
        assert_eq!(Crypto::read(both.iter().map(String::as_str)).unwrap()[0].tag, 1);
    }

    #[test]
    fn a_key_is_not_shown() {
        let crypto = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        assert!(!format!("{crypto:?}").contains("119"), "{crypto:?}");
    }

    proptest! {
        #[test]
        fn fresh_keys_of_every_suite_read_back(tag in 1_u32..1_000_000_000, seed: u8, says_lifetime: bool) {
            for profile in PROFILES {
                let key = MasterKey::fresh(profile, &mut |bytes| bytes.fill(seed));
                // Their lengths are right.
                key.sealer(&Rollover::default());
                key.opener(&Rollover::default());
                let crypto = Crypto { tag, key, says_lifetime };
                prop_assert_eq!(read(&crypto.print()), Ok(vec![crypto]));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9]{0,10} ?(AES_CM_128_HMAC_SHA1_80|[!-~]{0,9}) ?(inline:)?[A-Za-z0-9+/=|;:^ -]{0,60}") {
            let _ = read(&text);
        }
    }
}
