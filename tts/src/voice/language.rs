//! The languages that can be spoken, and which of them is nearest to the one that is asked for.

use std::fmt;

/// A language that can be spoken, by its tag in BCP 47.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(&'static str);

/// By which rules numbers, dates and the like become words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// English; dates in figures have the month first in American, the day first in any other.
    English {
        /// Whether the month comes first.
        month_first: bool,
    },
    /// German.
    German,
    /// Another language: the voice reads figures by its own rules.
    Own,
}

impl Language {
    /// American English, which is what telephone applications mean when they say nothing.
    pub const ENGLISH_US: Self = Self("en-US");
    /// German.
    pub const GERMAN: Self = Self("de");

    /// The spoken language nearest to `tag`, and whether it is the same: another region's is near, another language
    /// is not. Case and `_` do not matter.
    pub fn nearest(tag: &str) -> Option<(Self, bool)> {
        let tag: String = tag.trim().chars().take(35).map(|c| if c == '_' { '-' } else { c }).collect();
        let known =
            |wanted: &str| SPOKEN.iter().find(|known| known.eq_ignore_ascii_case(wanted)).map(|known| Self(known));
        if let Some(exact) = known(&tag) {
            return Some((exact, true));
        }
        if let Some((_, near, is_same)) = NEAR.iter().find(|(from, ..)| from.eq_ignore_ascii_case(&tag)) {
            return Some((Self(near), *is_same));
        }
        let base = tag.split('-').next().unwrap_or_default();
        // One spoken form for all regions is no substitute but the language itself.
        if let Some(only) = known(base) {
            return Some((only, true));
        }
        NEAR.iter().find(|(from, ..)| from.eq_ignore_ascii_case(base)).map(|(_, near, _)| (Self(near), tag == base))
    }

    /// Its tag, as in `de` or `en-US`.
    pub fn tag(self) -> &'static str {
        self.0
    }

    /// By which rules its figures become words.
    pub fn rules(self) -> Rules {
        match self.0.split('-').next().unwrap_or_default() {
            "de" => Rules::German,
            "en" => Rules::English { month_first: self.0 == "en-US" },
            _ => Rules::Own,
        }
    }

    /// Whether both are the same but for their region.
    pub fn is_kin(self, other: Self) -> bool {
        self.0.split('-').next() == other.0.split('-').next()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is spoken. All of them are voices of espeak-ng, whose names are these in small letters.
const SPOKEN: &[&str] = &[
    "af",
    "am",
    "ar",
    "az",
    "be",
    "bg",
    "bn",
    "bs",
    "ca",
    "cmn",
    "cs",
    "cy",
    "da",
    "de",
    "el",
    "en-029",
    "en-GB",
    "en-GB-scotland",
    "en-US",
    "eo",
    "es",
    "es-419",
    "et",
    "eu",
    "fa",
    "fi",
    "fr-BE",
    "fr-CH",
    "fr-FR",
    "ga",
    "gu",
    "he",
    "hi",
    "hr",
    "hu",
    "hy",
    "id",
    "is",
    "it",
    "ja",
    "ka",
    "kk",
    "kn",
    "ko",
    "la",
    "lb",
    "lt",
    "lv",
    "mk",
    "ml",
    "mr",
    "ms",
    "mt",
    "nb",
    "ne",
    "nl",
    "pa",
    "pl",
    "pt",
    "pt-BR",
    "ro",
    "ru",
    "sk",
    "sl",
    "sq",
    "sr",
    "sv",
    "sw",
    "ta",
    "tr",
    "uk",
    "yue",
];

/// What is asked for in another way, its nearest, and whether that is the same.
const NEAR: &[(&str, &str, bool)] = &[
    ("en", "en-US", true),
    ("en-AU", "en-GB", false),
    ("en-NZ", "en-GB", false),
    ("en-IE", "en-GB", false),
    ("en-IN", "en-GB", false),
    ("en-ZA", "en-GB", false),
    ("en-CA", "en-US", false),
    ("en-GB-WLS", "en-GB", false),
    ("en-GB-SCT", "en-GB-scotland", true),
    ("es-MX", "es-419", true),
    ("es-US", "es-419", true),
    ("es-AR", "es-419", true),
    ("es-CO", "es-419", true),
    ("es-CL", "es-419", true),
    ("es-PE", "es-419", true),
    ("fr", "fr-FR", true),
    ("fr-CA", "fr-FR", false),
    ("zh", "cmn", true),
    ("zh-CN", "cmn", true),
    ("zh-TW", "cmn", true),
    ("zh-SG", "cmn", true),
    ("zh-HK", "yue", true),
    ("no", "nb", true),
    ("nn", "nb", false),
    ("arb", "ar", true),
    ("nl-BE", "nl", false),
    ("iw", "he", true),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(tag: &str) -> Option<(&'static str, bool)> {
        Language::nearest(tag).map(|(language, is_same)| (language.tag(), is_same))
    }

    #[test]
    fn a_region_is_found_itself_or_nearby() {
        assert_eq!(nearest("de-DE"), Some(("de", true)));
        assert_eq!(nearest("de_at"), Some(("de", true)));
        assert_eq!(nearest("EN-us"), Some(("en-US", true)));
        assert_eq!(nearest("en"), Some(("en-US", true)));
        assert_eq!(nearest("en-AU"), Some(("en-GB", false)));
        assert_eq!(nearest("en-SG"), Some(("en-US", false)));
        assert_eq!(nearest("zh-TW"), Some(("cmn", true)));
        assert_eq!(nearest("pt-BR"), Some(("pt-BR", true)));
        assert_eq!(nearest("fr-CA"), Some(("fr-FR", false)));
    }

    #[test]
    fn a_language_that_nobody_speaks_has_no_nearest() {
        for tag in ["", "tlh", "x", "-", "12", "dé"] {
            assert_eq!(nearest(tag), None, "{tag:?}");
        }
    }

    #[test]
    fn the_tables_name_what_is_spoken_and_each_once() {
        for (_, near, _) in NEAR {
            assert!(SPOKEN.contains(near), "{near}");
        }
        assert!(SPOKEN.is_sorted());
    }
}
