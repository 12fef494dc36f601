//! The query of `/v2/listen`, and what a client may change later: when a turn is over. Pure.
//!
//! Sound and key terms are read as for `/v1/listen`. What is not done here is refused where silence about it would leak
//! something, else warned of.

use std::time::Duration;

use asr::recognizer::{Hints, Info};
use bot::persona::TurnSettings;
use serde::{Deserialize, Serialize};

use crate::{
    dialect::deepgram::query::{Audio, BadQuery, Pairs, audio, bad, keyterms, known_language},
    live::Input,
};

/// What a client wants of its stream.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) input: Input,
    pub(super) hints: Hints,
    pub(super) thresholds: Thresholds,
    /// Whether nothing may be kept.
    pub(super) is_private: bool,
    /// What has no effect, and why.
    pub(super) warnings: Vec<&'static str>,
}

/// When a turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Thresholds {
    /// The probability from which an end is likely enough to be told beforehand; without it none is.
    #[serde(rename = "eager_eot_threshold", skip_serializing_if = "Option::is_none")]
    pub(super) eager: Option<f32>,
    /// The probability from which a turn is over after a short silence.
    #[serde(rename = "eot_threshold")]
    pub(super) end: f32,
    /// Silence after which it is over in any case.
    #[serde(rename = "eot_timeout_ms")]
    pub(super) timeout_ms: u32,
}

/// Those that a client changes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Changes {
    eager_eot_threshold: Option<f32>,
    eot_threshold: Option<f32>,
    eot_timeout_ms: Option<f64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { eager: None, end: 0.7, timeout_ms: 5_000 }
    }
}

impl Thresholds {
    /// With those that are changed.
    ///
    /// # Errors
    /// [`BadQuery`] for the first that is out of its range.
    pub(super) fn with(self, changes: Changes) -> Result<Self, BadQuery> {
        let timeout_ms = changes.eot_timeout_ms.unwrap_or_else(|| f64::from(self.timeout_ms));
        let changed = Self {
            eager: changes.eager_eot_threshold.or(self.eager),
            end: changes.eot_threshold.unwrap_or(self.end),
            timeout_ms: if (500.0..=60_000.0).contains(&timeout_ms) { timeout_ms as u32 } else { 0 },
        };
        if !(0.5..=1.0).contains(&changed.end) {
            return Err(bad("eot_threshold", "expected 0.5 to 1"));
        }
        if changed.eager.is_some_and(|eager| !(0.3..=0.9).contains(&eager) || eager > changed.end) {
            return Err(bad("eager_eot_threshold", "expected 0.3 to 0.9, and not more than eot_threshold"));
        }
        if changed.timeout_ms == 0 {
            return Err(bad("eot_timeout_ms", "expected 500 to 60000"));
        }
        Ok(changed)
    }

    /// As manners of turns: waits of our own are no longer than the client allows.
    pub(super) fn manners(self) -> TurnSettings {
        let usual = TurnSettings::default();
        let timeout = Duration::from_millis(u64::from(self.timeout_ms));
        // Nothing is as sure as that: the client ends turns, or silence does.
        let is_manual = self.end >= 1.0;
        TurnSettings {
            sure: self.end,
            wait: if is_manual { timeout } else { usual.wait.min(timeout) },
            wait_unsure: if is_manual { timeout } else { usual.wait_unsure.min(timeout) },
            wait_dictating: if is_manual { timeout } else { usual.wait_dictating.min(timeout) },
            is_eager: self.eager.is_some(),
            // Nobody is asked here whether they are there.
            idle_after: Duration::ZERO,
            ..usual
        }
    }
}

impl Query {
    /// Reads the pairs of a query string, in order.
    ///
    /// # Errors
    /// [`BadQuery`] for the first value that cannot be served.
    pub(super) fn parse(pairs: &[(String, String)], engine: &Info) -> Result<Self, BadQuery> {
        let pairs = Pairs(pairs);
        if pairs.all("redact").any(|value| !value.is_empty() && !value.eq_ignore_ascii_case("false")) {
            return Err(bad("redact", "nothing is hidden here; /v1/listen hides numbers"));
        }
        let input = match audio(&pairs)? {
            Audio::Container => Input::Container,
            Audio::Raw { encoding, rate_hz, channels } => Input::Raw { encoding, rate_hz, channels },
        };
        let thresholds = Thresholds::default().with(Changes {
            eager_eot_threshold: pairs.decimal("eager_eot_threshold")?,
            eot_threshold: pairs.decimal("eot_threshold")?,
            eot_timeout_ms: pairs.decimal("eot_timeout_ms")?.map(f64::from),
        })?;
        let mut warnings = Vec::new();
        if pairs.flag("numerals")? {
            warnings.push("numerals: numbers are written as they were recognized");
        }
        if pairs.flag("profanity_filter")? {
            warnings.push("profanity_filter: nothing is filtered here; /v1/listen filters");
        }
        let hints = Hints { language: language(&pairs, engine)?, keyterms: keyterms(&pairs)? };
        Ok(Self { input, hints, thresholds, is_private: pairs.flag("mip_opt_out")?, warnings })
    }
}

/// The language of the model's name, or of a single hint; `None` where there is a choice.
fn language(pairs: &Pairs<'_>, engine: &Info) -> Result<Option<String>, BadQuery> {
    let model = pairs.last("model").ok_or_else(|| bad("model", "must be named, such as flux-general-en"))?;
    let hinted = pairs.list("language_hint")?;
    let (parameter, wish) = match (model.rsplit_once('-'), &hinted[..]) {
        (Some((_, "en")), _) => ("model", "en"),
        (_, [only]) => ("language_hint", only.as_str()),
        _ => return Ok(None),
    };
    known_language(parameter, wish, engine).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, BadQuery> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let engine = Info {
            engine: "fake",
            model: "tiny".to_owned(),
            languages: vec!["de".to_owned(), "en".to_owned()],
            window_max_s: 30,
        };
        Query::parse(&pairs, &engine)
    }

    #[test]
    fn thresholds_have_the_defaults_and_the_ranges_of_the_public_service() {
        let thresholds = parse("model=flux-general-en").unwrap().thresholds;
        assert_eq!(thresholds, Thresholds { eager: None, end: 0.7, timeout_ms: 5_000 });
        let manners = thresholds.manners();
        assert!(!manners.is_eager && manners.wait_unsure == TurnSettings::default().wait_unsure);
        let query =
            parse("model=flux-general-en&eager_eot_threshold=0.4&eot_threshold=0.9&eot_timeout_ms=600").unwrap();
        let manners = query.thresholds.manners();
        assert!(manners.is_eager && manners.sure == 0.9);
        assert_eq!(manners.wait_dictating, Duration::from_millis(600));
        let manners = parse("model=flux-general-en&eot_threshold=1&eot_timeout_ms=60000").unwrap().thresholds.manners();
        let waits = [manners.wait, manners.wait_unsure, manners.wait_dictating];
        assert_eq!(waits, [Duration::from_secs(60); 3], "the client ends turns");
        for (query, parameter) in [
            ("eot_threshold=0.2", "eot_threshold"),
            ("eot_threshold=NaN", "eot_threshold"),
            ("eager_eot_threshold=0.8", "eager_eot_threshold"),
            ("eager_eot_threshold=0.1", "eager_eot_threshold"),
            ("eot_timeout_ms=100", "eot_timeout_ms"),
            ("eot_timeout_ms=soon", "eot_timeout_ms"),
            ("redact=pci", "redact"),
            ("encoding=amr-nb", "encoding"),
        ] {
            let refused = parse(&format!("model=flux-general-en&{query}")).unwrap_err();
            assert_eq!(refused.parameter, parameter, "{query}");
        }
    }

    #[test]
    fn the_model_or_a_hint_says_the_language() {
        for (query, language) in [
            ("model=flux-general-en", Some("en")),
            ("model=flux-general-multi", None),
            ("model=flux-general-multi&language_hint=de-AT", Some("de")),
            ("model=flux-general-multi&language_hint=de&language_hint=en", None),
        ] {
            assert_eq!(parse(query).unwrap().hints.language.as_deref(), language, "{query}");
        }
        assert_eq!(parse("model=flux-general-multi&language_hint=fr").unwrap_err().parameter, "language_hint");
        assert_eq!(parse("encoding=linear16&sample_rate=16000").unwrap_err().parameter, "model");
    }

    #[test]
    fn what_has_no_effect_is_warned_of() {
        assert_eq!(parse("model=flux-general-en&numerals=true&profanity_filter=true").unwrap().warnings.len(), 2);
    }
}
