//! Which voice speaks: the names that telephone applications use, and what stands in for them here.
//!
//! Nobody has those companies' voices; what their names promise is a language and whether a man or a woman speaks,
//! and that is kept. Pure.

use Speaker::{Man, Woman};

use super::Language;

/// Who speaks, and in which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId {
    /// In which language.
    pub language: Language,
    /// Who.
    pub speaker: Speaker,
}

impl Default for VoiceId {
    fn default() -> Self {
        Self { language: Language::ENGLISH_US, speaker: Man }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaker {
    /// A man.
    #[default]
    Man,
    /// A woman.
    Woman,
}

/// A voice that was found for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Who speaks.
    pub voice: VoiceId,
    /// The language that the name itself says, whatever is spoken; `man` and `woman` say none.
    pub named: Option<Language>,
    /// Why it is not what was asked for, to be logged once; nothing where it is near enough.
    pub warning: Option<String>,
}

/// The voice nearest to what is asked for: `man`, `woman`, `alice`, `Polly.Marlene`, `Google.de-DE-Standard-A`, a name
/// alone (`Marlene`), or a language in place of a name (`de-DE`, `de+f`). A `language` that is named beside it is what
/// the text is in, so it wins over the voice's own. Nothing at all is a man who speaks American English.
pub fn choose(name: Option<&str>, language: Option<&str>) -> Choice {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let language = language.map(str::trim).filter(|tag| !tag.is_empty());
    let mut warnings = Vec::new();
    let named = name.and_then(|name| {
        let named = by_name(name);
        if named.is_none() {
            warnings.push(format!("no voice is called {:?}", shown(name)));
        }
        named
    });
    let (of_name, speaker) = named.unwrap_or_default();
    let spoken = match language {
        None => of_name,
        Some(tag) => match Language::nearest(tag) {
            Some((near, is_same)) => {
                // The voice's own region is nearer than another's that merely stands in.
                let own = of_name.filter(|own| !is_same && own.is_kin(near));
                if !is_same && own.is_none() {
                    warnings.push(format!("{:?} is spoken as {near}", shown(tag)));
                }
                Some(own.unwrap_or(near))
            }
            None => {
                let instead = of_name.unwrap_or(Language::ENGLISH_US);
                warnings.push(format!("nobody here speaks {:?}; it is read as {instead}", shown(tag)));
                Some(instead)
            }
        },
    };
    if let (Some(own), Some(spoken)) = (of_name, spoken)
        && !own.is_kin(spoken)
    {
        warnings.push(format!("the voice {:?} speaks {own}, the text is in {spoken}", shown(name.unwrap_or_default())));
    }
    Choice {
        voice: VoiceId { language: spoken.unwrap_or(Language::ENGLISH_US), speaker },
        named: of_name,
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
    }
}

fn by_name(name: &str) -> Option<(Option<Language>, Speaker)> {
    match name.to_ascii_lowercase().as_str() {
        "man" => return Some((None, Man)),
        "woman" | "alice" => return Some((None, Woman)),
        _ => {}
    }
    // Polly.Marlene, Polly.Vicki-Neural, Polly.Joanna-Generative.
    let rest = strip_prefix(name, "Polly.").unwrap_or(name);
    let person = rest.split('-').next().unwrap_or_default();
    if let Some((_, tag, speaker)) = POLLY.iter().find(|(known, ..)| known.eq_ignore_ascii_case(person)) {
        return Some((Language::nearest(tag).map(|(language, _)| language), *speaker));
    }
    // Google.de-DE-Wavenet-B, Google.en-US-Chirp3-HD-Aoede, and a language alone.
    let rest = strip_prefix(name, "Google.").unwrap_or(name);
    if let Some((tag, variant)) = rest.split_once('+') {
        let speaker = if variant.starts_with(['f', 'F']) { Woman } else { Man };
        return Language::nearest(tag).map(|(language, _)| (Some(language), speaker));
    }
    let parts: Vec<&str> = rest.split('-').collect();
    let is_tag = matches!(parts[0].len(), 2 | 3) && parts[0].bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_tag || parts.len() > 6 {
        return None;
    }
    let tag = parts[..parts.len().min(2)].join("-");
    // Of Google's letters A, C, E and F are mostly women's.
    let is_woman = parts.len() > 2 && matches!(parts[parts.len() - 1], "A" | "C" | "E" | "F");
    let speaker = if is_woman { Woman } else { Man };
    Language::nearest(&tag).map(|(language, _)| (Some(language), speaker))
}

fn strip_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
}

fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Amazon's voices: name, language, who.
const POLLY: &[(&str, &str, Speaker)] = &[
    ("Zeina", "arb", Woman),
    ("Hala", "ar-AE", Woman),
    ("Zayd", "ar-AE", Man),
    ("Lisa", "nl-BE", Woman),
    ("Arlet", "ca-ES", Woman),
    ("Jitka", "cs-CZ", Woman),
    ("Hiujin", "yue-CN", Woman),
    ("Zhiyu", "cmn-CN", Woman),
    ("Naja", "da-DK", Woman),
    ("Mads", "da-DK", Man),
    ("Sofie", "da-DK", Woman),
    ("Laura", "nl-NL", Woman),
    ("Lotte", "nl-NL", Woman),
    ("Ruben", "nl-NL", Man),
    ("Nicole", "en-AU", Woman),
    ("Olivia", "en-AU", Woman),
    ("Russell", "en-AU", Man),
    ("Amy", "en-GB", Woman),
    ("Emma", "en-GB", Woman),
    ("Brian", "en-GB", Man),
    ("Arthur", "en-GB", Man),
    ("Aditi", "en-IN", Woman),
    ("Raveena", "en-IN", Woman),
    ("Kajal", "en-IN", Woman),
    ("Niamh", "en-IE", Woman),
    ("Aria", "en-NZ", Woman),
    ("Jasmine", "en-SG", Woman),
    ("Ayanda", "en-ZA", Woman),
    ("Ivy", "en-US", Woman),
    ("Joanna", "en-US", Woman),
    ("Kendra", "en-US", Woman),
    ("Kimberly", "en-US", Woman),
    ("Salli", "en-US", Woman),
    ("Joey", "en-US", Man),
    ("Justin", "en-US", Man),
    ("Kevin", "en-US", Man),
    ("Matthew", "en-US", Man),
    ("Ruth", "en-US", Woman),
    ("Stephen", "en-US", Man),
    ("Gregory", "en-US", Man),
    ("Danielle", "en-US", Woman),
    ("Patrick", "en-US", Man),
    ("Geraint", "en-GB-WLS", Man),
    ("Suvi", "fi-FI", Woman),
    ("Celine", "fr-FR", Woman),
    ("Lea", "fr-FR", Woman),
    ("Mathieu", "fr-FR", Man),
    ("Remi", "fr-FR", Man),
    ("Isabelle", "fr-BE", Woman),
    ("Chantal", "fr-CA", Woman),
    ("Gabrielle", "fr-CA", Woman),
    ("Liam", "fr-CA", Man),
    ("Marlene", "de-DE", Woman),
    ("Vicki", "de-DE", Woman),
    ("Hans", "de-DE", Man),
    ("Daniel", "de-DE", Man),
    ("Hannah", "de-AT", Woman),
    ("Sabrina", "de-CH", Woman),
    ("Dora", "is-IS", Woman),
    ("Karl", "is-IS", Man),
    ("Carla", "it-IT", Woman),
    ("Bianca", "it-IT", Woman),
    ("Giorgio", "it-IT", Man),
    ("Adriano", "it-IT", Man),
    ("Mizuki", "ja-JP", Woman),
    ("Takumi", "ja-JP", Man),
    ("Kazuha", "ja-JP", Woman),
    ("Tomoko", "ja-JP", Woman),
    ("Seoyeon", "ko-KR", Woman),
    ("Jihye", "ko-KR", Woman),
    ("Liv", "nb-NO", Woman),
    ("Ida", "nb-NO", Woman),
    ("Ewa", "pl-PL", Woman),
    ("Maja", "pl-PL", Woman),
    ("Jacek", "pl-PL", Man),
    ("Jan", "pl-PL", Man),
    ("Ola", "pl-PL", Woman),
    ("Camila", "pt-BR", Woman),
    ("Vitoria", "pt-BR", Woman),
    ("Ricardo", "pt-BR", Man),
    ("Thiago", "pt-BR", Man),
    ("Ines", "pt-PT", Woman),
    ("Cristiano", "pt-PT", Man),
    ("Carmen", "ro-RO", Woman),
    ("Tatyana", "ru-RU", Woman),
    ("Maxim", "ru-RU", Man),
    ("Conchita", "es-ES", Woman),
    ("Lucia", "es-ES", Woman),
    ("Enrique", "es-ES", Man),
    ("Sergio", "es-ES", Man),
    ("Mia", "es-MX", Woman),
    ("Andres", "es-MX", Man),
    ("Lupe", "es-US", Woman),
    ("Penelope", "es-US", Woman),
    ("Miguel", "es-US", Man),
    ("Pedro", "es-US", Man),
    ("Astrid", "sv-SE", Woman),
    ("Elin", "sv-SE", Woman),
    ("Filiz", "tr-TR", Woman),
    ("Burcu", "tr-TR", Woman),
    ("Gwyneth", "cy-GB", Woman),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: Option<&str>, language: Option<&str>) -> (&'static str, Speaker, bool) {
        let Choice { voice, warning, .. } = choose(name, language);
        (voice.language.tag(), voice.speaker, warning.is_some())
    }

    #[test]
    fn the_names_that_applications_use_find_a_language_and_a_speaker() {
        for (name, language, expected) in [
            (None, None, ("en-US", Man, false)),
            (Some("man"), None, ("en-US", Man, false)),
            (Some("woman"), Some("de-DE"), ("de", Woman, false)),
            (Some("alice"), Some("en-GB"), ("en-GB", Woman, false)),
            (Some("Polly.Marlene"), None, ("de", Woman, false)),
            (Some("polly.hans"), Some("de-DE"), ("de", Man, false)),
            (Some("Polly.Vicki-Neural"), None, ("de", Woman, false)),
            (Some("Polly.Nicole"), Some("en-AU"), ("en-GB", Woman, false)),
            (Some("Marlene"), None, ("de", Woman, false)),
            (Some("Google.de-DE-Wavenet-B"), None, ("de", Man, false)),
            (Some("Google.en-GB-Standard-A"), None, ("en-GB", Woman, false)),
            (Some("de-DE"), None, ("de", Man, false)),
            (Some("de+f2"), None, ("de", Woman, false)),
            (None, Some("de"), ("de", Man, false)),
            (Some(""), Some(""), ("en-US", Man, false)),
        ] {
            assert_eq!(chosen(name, language), expected, "{name:?} {language:?}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_said_and_something_near_speaks() {
        for (name, language, expected) in [
            (Some("Polly.Nobody"), None, ("en-US", Man)),
            (Some("Polly.Nobody"), Some("de-DE"), ("de", Man)),
            (Some("woman"), Some("tlh"), ("en-US", Woman)),
            (Some("Polly.Marlene"), Some("tlh"), ("de", Woman)),
            (Some("Polly.Marlene"), Some("en-US"), ("en-US", Woman)),
            (None, Some("en-AU"), ("en-GB", Man)),
        ] {
            let (tag, speaker, is_warned) = chosen(name, language);
            assert_eq!(((tag, speaker), is_warned), (expected, true), "{name:?} {language:?}");
        }
    }

    #[test]
    fn a_name_says_its_language_where_it_has_one() {
        for (name, expected) in [
            ("Polly.Marlene", Some("de")),
            ("Google.en-GB-Standard-A", Some("en-GB")),
            ("de+f2", Some("de")),
            ("woman", None),
            ("man", None),
            ("Polly.Nobody", None),
        ] {
            assert_eq!(choose(Some(name), None).named.map(Language::tag), expected, "{name}");
            assert_eq!(choose(Some(name), Some("fr")).named.map(Language::tag), expected, "{name} in French");
        }
    }

    #[test]
    fn every_voice_of_the_table_speaks_its_language() {
        for (name, tag, speaker) in POLLY {
            let choice = choose(Some(&format!("Polly.{name}")), None);
            assert_eq!((choice.voice.speaker, choice.warning), (*speaker, None), "{name}");
            assert!(Language::nearest(tag).is_some(), "{tag}");
        }
    }
}
