//! The query of `/v1/listen`: repeated keys and string booleans in, a checked [`Query`] out.
//!
//! Pure. A value that cannot be served is refused with the parameter's name, never bent silently; what is
//! served without effect is named in [`Query::warnings`] and reaches the client in the metadata. Parameters
//! nobody knows are ignored, as clients of every age send some.

use std::time::Duration;

use asr::{
    pool::StreamConfig,
    recognizer::{Hints, Info},
};
use media::codec::raw::Encoding;

use super::{
    message::Warning,
    redact::Redact,
    words::{Effects, Replacement},
};

/// Which of the two doors the query came through; a few parameters exist only at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `WS /v1/listen`.
    Live,
    /// `POST /v1/listen`.
    Prerecorded,
}

/// How the bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audio {
    /// No `encoding` was named: a container, told by its first bytes.
    Container,
    /// Samples or packets without a header.
    Raw {
        /// What one sample or packet is.
        encoding: Encoding,
        /// Samples per second.
        rate_hz: u32,
        /// Interleaved channels.
        channels: u16,
    },
}

/// Where a finished prerecorded result is delivered instead of being the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// An absolute `http` or `https` URL; its host is checked when it is called.
    pub url: String,
    /// `PUT` instead of `POST`.
    pub put: bool,
}

/// Everything a client asked of one request, checked.
#[derive(Clone, Debug)]
pub struct Query {
    /// How to read the bytes.
    pub audio: Audio,
    /// One transcript a channel, instead of one of the mix.
    pub multichannel: bool,
    /// Language and key terms for the recognizer.
    pub hints: Hints,
    /// Whether the language heard is to be reported.
    pub detect_language: bool,
    /// Whether interim results are wanted.
    pub interim_results: bool,
    /// Silence that ends an utterance; `None` when the client switched endpointing off.
    pub endpointing: Option<Duration>,
    /// Gap after the last word that is reported as `UtteranceEnd`.
    pub utterance_end: Option<Duration>,
    /// Whether `SpeechStarted` is wanted.
    pub vad_events: bool,
    /// Whether words carry their speaker: whoever's voice it is, with `multichannel` the channel.
    pub diarize: bool,
    /// What is done to the words before they are written.
    pub effects: Effects,
    /// Terms to look for.
    pub search: Vec<String>,
    /// Whether paragraphs are wanted (prerecorded).
    pub paragraphs: bool,
    /// Whether utterances are wanted (prerecorded).
    pub utterances: bool,
    /// The gap between words that parts utterances, in seconds (prerecorded).
    pub utt_split_s: f64,
    /// Where to deliver (prerecorded).
    pub callback: Option<Callback>,
    /// Labels, echoed in the metadata.
    pub tags: Vec<String>,
    /// `key:value` pairs, echoed in the metadata.
    pub extra: Vec<(String, String)>,
    /// What was accepted without effect, and why.
    pub warnings: Vec<Warning>,
    /// The client asked that nothing is kept.
    pub private: bool,
}

/// A value that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {why}")]
pub struct BadQuery {
    /// Which parameter.
    pub parameter: &'static str,
    /// What was expected.
    pub why: String,
}

/// Silence that ends an utterance unless the client says otherwise. The dialect's own default is 10 ms, which
/// no voice-activity detector can honour; shorter wishes are lifted to this.
const ENDPOINTING_MIN: Duration = Duration::from_millis(200);
/// The ears take no more.
const ENDPOINTING_MAX: Duration = Duration::from_secs(10);
/// Channels of one stream; each is a stream of the recognizer when `multichannel` is set.
const CHANNELS_MAX: u16 = 20;
/// Key terms, search terms, replacements and tags of one request: room for any honest list.
const LIST_MAX: usize = 200;

impl Query {
    /// Reads the pairs of a query string, in order.
    ///
    /// # Errors
    /// [`BadQuery`] for the first value that cannot be served.
    pub fn parse(pairs: &[(String, String)], door: Door, engine: &Info) -> Result<Self, BadQuery> {
        let pairs = Pairs(pairs);
        let live = door == Door::Live;
        let mut warnings = Vec::new();

        let audio = audio(&pairs)?;
        let multichannel = pairs.flag("multichannel")?;
        let interim_results = live && pairs.flag("interim_results")?;
        let smart_format = pairs.flag("smart_format")?;
        let punctuate = pairs.flag("punctuate")? || smart_format;
        let numerals = pairs.flag("numerals")? || smart_format;
        let detect_language = detect_language(&pairs)?;
        let language = language(&pairs, detect_language, engine)?;
        let english = language.as_deref().or_else(|| sole(engine)) == Some("en");
        if numerals && !english && pairs.flag("numerals")? {
            warnings.push(Warning::without_effect("numerals", "numbers are rewritten in English only"));
        }
        if let Some(model) = pairs.last("model").filter(|model| *model != engine.model) {
            let message = format!("{model:.60} is not hosted here; {} answered", engine.model);
            warnings.push(Warning { parameter: "model", kind: "unsupported_model", message });
        }
        let diarize = diarize(&pairs, door)?;
        for parameter in ["summarize", "topics", "intents", "sentiment", "detect_entities", "dictation", "measurements"]
        {
            if pairs.last(parameter).is_some_and(|value| !value.eq_ignore_ascii_case("false")) {
                warnings.push(Warning::without_effect(parameter, "not offered by this server"));
            }
        }
        let utterance_end = if live { utterance_end(&pairs, interim_results)? } else { None };
        let callback = callback(&pairs, door)?;
        Ok(Self {
            audio,
            multichannel,
            hints: Hints { language, keyterms: keyterms(&pairs)? },
            detect_language,
            interim_results,
            endpointing: endpointing(&pairs)?,
            utterance_end,
            vad_events: live && pairs.flag("vad_events")?,
            diarize,
            effects: Effects {
                punctuate,
                numerals: numerals && english,
                amounts: smart_format && english,
                replacements: replacements(&pairs)?,
                profanity_filter: pairs.flag("profanity_filter")?,
                redact: redact(&pairs)?,
            },
            search: pairs.list("search")?,
            paragraphs: pairs.flag("paragraphs")? || smart_format,
            utterances: pairs.flag("utterances")?,
            utt_split_s: utt_split(&pairs)?,
            callback,
            tags: pairs.list("tag")?,
            extra: extra(&pairs)?,
            warnings,
            private: pairs.flag("mip_opt_out")?,
        })
    }

    /// Whether people are told apart by their voices: where each has a channel, that says more.
    pub fn tells_voices(&self) -> bool {
        self.diarize && !self.multichannel
    }

    /// Whether the conversation may be shown in a room: not when the client wants words hidden or nothing kept.
    pub fn may_be_shown(&self) -> bool {
        !self.private && self.effects.redact.is_off()
    }
}

/// The pairs as they came; the last value of a repeated key counts where only one can.
pub(super) struct Pairs<'a>(pub(super) &'a [(String, String)]);

impl<'a> Pairs<'a> {
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn last(&self, key: &str) -> Option<&'a str> {
        self.all(key).last().filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<bool, BadQuery> {
        match self.last(key) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(bad(key, format!("expected true or false, got {value:.40?}"))),
        }
    }

    pub(super) fn decimal(&self, key: &'static str) -> Result<Option<f32>, BadQuery> {
        let Some(value) = self.last(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| bad(key, format!("expected a number, got {value:.40?}")))
    }

    fn number(&self, key: &'static str) -> Result<Option<u32>, BadQuery> {
        let Some(value) = self.last(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| bad(key, format!("expected a whole number, got {value:.40?}")))
    }

    pub(super) fn list(&self, key: &'static str) -> Result<Vec<String>, BadQuery> {
        let list: Vec<String> = self.all(key).filter(|value| !value.trim().is_empty()).map(str::to_owned).collect();
        if list.len() > LIST_MAX {
            return Err(bad(key, format!("at most {LIST_MAX} values")));
        }
        if let Some(long) = list.iter().find(|value| value.len() > 256) {
            return Err(bad(key, format!("a value is longer than 256 bytes: {long:.40?}…")));
        }
        Ok(list)
    }
}

pub(super) fn bad(parameter: &'static str, why: impl Into<String>) -> BadQuery {
    BadQuery { parameter, why: why.into() }
}

pub(super) fn audio(pairs: &Pairs<'_>) -> Result<Audio, BadQuery> {
    let rate_hz = pairs.number("sample_rate")?;
    if let Some(rate) = rate_hz.filter(|rate| !(8_000..=48_000).contains(rate)) {
        return Err(bad("sample_rate", format!("{rate} Hz is outside 8000..=48000")));
    }
    let channels = pairs.number("channels")?.unwrap_or(1);
    let channels = u16::try_from(channels)
        .ok()
        .filter(|channels| (1..=CHANNELS_MAX).contains(channels))
        .ok_or_else(|| bad("channels", format!("{channels} is outside 1..={CHANNELS_MAX}")))?;
    let Some(name) = pairs.last("encoding") else { return Ok(Audio::Container) };
    let (encoding, usual_hz) = match name.to_ascii_lowercase().as_str() {
        "linear16" => (Encoding::Linear16, None),
        "linear32" => (Encoding::Linear32, None),
        "mulaw" => (Encoding::MuLaw, Some(8_000)),
        "alaw" => (Encoding::ALaw, Some(8_000)),
        "opus" => (Encoding::Opus, Some(48_000)),
        // Both carry their own header, so that their rate and channels are read from the bytes.
        "ogg-opus" | "flac" => return Ok(Audio::Container),
        "amr-nb" | "amr-wb" | "speex" | "g729" => {
            return Err(bad("encoding", format!("{name} is not decoded by this server; {SERVED}")));
        }
        _ => return Err(bad("encoding", format!("{name:.40?} is unknown; {SERVED}"))),
    };
    let rate_hz = rate_hz
        .or(usual_hz)
        .ok_or_else(|| bad("sample_rate", format!("encoding={name} needs a sample_rate, such as 16000")))?;
    if encoding == Encoding::Opus && channels > 2 {
        return Err(bad("channels", "raw opus carries at most 2 channels"));
    }
    Ok(Audio::Raw { encoding, rate_hz, channels })
}

const SERVED: &str = "served are linear16, linear32, mulaw, alaw, opus, ogg-opus and flac, \
                      or a container (WAV, FLAC, MP3, Ogg, WebM, MP4) without encoding";

fn sole(engine: &Info) -> Option<&str> {
    match engine.languages.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

fn detect_language(pairs: &Pairs<'_>) -> Result<bool, BadQuery> {
    // A list of candidates (`detect_language=en&detect_language=de`) asks for detection as well.
    match pairs.last("detect_language") {
        Some(value) if value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(true),
        _ => pairs.flag("detect_language"),
    }
}

fn language(pairs: &Pairs<'_>, detect: bool, engine: &Info) -> Result<Option<String>, BadQuery> {
    let Some(wish) = pairs.last("language").filter(|_| !detect) else { return Ok(None) };
    if wish.eq_ignore_ascii_case("multi") {
        return Ok(None);
    }
    known_language("language", wish, engine).map(Some)
}

/// The code of a language that the engine knows.
pub(super) fn known_language(parameter: &'static str, wish: &str, engine: &Info) -> Result<String, BadQuery> {
    let base = wish.split(['-', '_']).next().unwrap_or(wish).to_ascii_lowercase();
    if engine.languages.contains(&base) {
        return Ok(base);
    }
    let known = engine.languages.join(", ");
    Err(bad(parameter, format!("{} does not know {wish:.20?}; it knows {known:.200}", engine.model)))
}

fn diarize(pairs: &Pairs<'_>, door: Door) -> Result<bool, BadQuery> {
    let model = pairs.last("diarize_model");
    match (model, door) {
        (None | Some("latest" | "v1"), _) | (Some("v2"), Door::Prerecorded) => {}
        (Some("v2"), Door::Live) => return Err(bad("diarize_model", "v2 is not offered on live audio")),
        (Some(other), _) => return Err(bad("diarize_model", format!("expected latest or v1, got {other:.40?}"))),
    }
    Ok(pairs.flag("diarize")? || model.is_some())
}

fn endpointing(pairs: &Pairs<'_>) -> Result<Option<Duration>, BadQuery> {
    match pairs.last("endpointing") {
        None => Ok(Some(Duration::from_millis(u64::from(StreamConfig::default().endpointing_ms)))),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(ENDPOINTING_MIN)),
        Some(value) => {
            let millis: u32 = value
                .parse()
                .map_err(|_| bad("endpointing", format!("expected milliseconds or false, got {value:.40?}")))?;
            Ok(Some(Duration::from_millis(u64::from(millis)).clamp(ENDPOINTING_MIN, ENDPOINTING_MAX)))
        }
    }
}

fn utterance_end(pairs: &Pairs<'_>, interim_results: bool) -> Result<Option<Duration>, BadQuery> {
    const PARAMETER: &str = "utterance_end_ms";
    if pairs.last(PARAMETER).is_none_or(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(None);
    }
    let millis = pairs.number(PARAMETER)?.unwrap_or(0);
    if !(1_000..=5_000).contains(&millis) {
        return Err(bad(PARAMETER, format!("{millis} is outside 1000..=5000")));
    }
    if !interim_results {
        return Err(bad(PARAMETER, "needs interim_results=true"));
    }
    Ok(Some(Duration::from_millis(u64::from(millis))))
}

pub(super) fn keyterms(pairs: &Pairs<'_>) -> Result<Vec<String>, BadQuery> {
    let mut terms = pairs.list("keyterm")?;
    for keyword in pairs.list("keywords")? {
        // `term:boost`: the boost has no counterpart in the recognizers, and a negative one asks for the opposite.
        match keyword.rsplit_once(':') {
            Some((term, boost)) => match boost.parse::<f32>() {
                Ok(boost) if boost > 0.0 => terms.push(term.to_owned()),
                Ok(_) => {}
                Err(_) => return Err(bad("keywords", format!("expected term:number, got {keyword:.40?}"))),
            },
            None => terms.push(keyword),
        }
    }
    Ok(terms)
}

fn replacements(pairs: &Pairs<'_>) -> Result<Vec<Replacement>, BadQuery> {
    pairs
        .list("replace")?
        .iter()
        .map(|pair| {
            let (find, with) =
                pair.split_once(':').ok_or_else(|| bad("replace", format!("expected find:with, got {pair:.40?}")))?;
            Replacement::new(find, with).ok_or_else(|| bad("replace", "there is nothing to find"))
        })
        .collect()
}

fn redact(pairs: &Pairs<'_>) -> Result<Redact, BadQuery> {
    let mut redact = Redact::default();
    for value in pairs.all("redact").flat_map(|value| value.split(',')).map(str::trim).filter(|v| !v.is_empty()) {
        match value.to_ascii_lowercase().as_str() {
            "false" => {}
            "true" => redact = Redact { pci: true, ssn: true, numbers: true, ..redact },
            "pci" => redact.pci = true,
            "ssn" => redact.ssn = true,
            "numbers" => redact.numbers = true,
            "aggressive_numbers" => redact.every_number = true,
            // Accepting what is not hidden would leak it.
            _ => {
                let why = format!("{value:.40?} cannot be hidden; pci, ssn, numbers and aggressive_numbers can");
                return Err(bad("redact", why));
            }
        }
    }
    Ok(redact)
}

fn utt_split(pairs: &Pairs<'_>) -> Result<f64, BadQuery> {
    let Some(value) = pairs.last("utt_split") else { return Ok(0.8) };
    value
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
        .ok_or_else(|| bad("utt_split", format!("expected seconds above 0, got {value:.40?}")))
}

fn extra(pairs: &Pairs<'_>) -> Result<Vec<(String, String)>, BadQuery> {
    pairs
        .list("extra")?
        .iter()
        .map(|pair| {
            let (key, value) =
                pair.split_once(':').ok_or_else(|| bad("extra", format!("expected key:value, got {pair:.40?}")))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn callback(pairs: &Pairs<'_>, door: Door) -> Result<Option<Callback>, BadQuery> {
    let Some(url) = pairs.last("callback") else { return Ok(None) };
    if door == Door::Live {
        return Err(bad("callback", "live results come over this socket; callbacks are for prerecorded audio"));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(bad("callback", "expected an http or https URL"));
    }
    let put = match pairs.last("callback_method") {
        None => false,
        Some(method) if method.eq_ignore_ascii_case("post") => false,
        Some(method) if method.eq_ignore_ascii_case("put") => true,
        Some(method) => return Err(bad("callback_method", format!("expected post or put, got {method:.40?}"))),
    };
    Ok(Some(Callback { url: url.to_owned(), put }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(languages: &[&str]) -> Info {
        Info {
            engine: "moonshine",
            model: "moonshine-tiny-en".into(),
            languages: languages.iter().map(|&code| code.to_owned()).collect(),
            window_max_s: 30,
        }
    }

    fn parse(query: &str) -> Result<Query, BadQuery> {
        parse_at(query, Door::Live)
    }

    fn parse_at(query: &str, door: Door) -> Result<Query, BadQuery> {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.replace("%20", " ")))
            .collect();
        Query::parse(&pairs, door, &engine(&["en"]))
    }

    #[test]
    fn an_empty_query_is_a_container_with_the_defaults() {
        let query = parse("").unwrap();
        assert_eq!(query.audio, Audio::Container);
        assert!(!query.interim_results && !query.multichannel && !query.effects.punctuate);
        assert_eq!(query.endpointing, Some(Duration::from_millis(300)));
        assert!(query.warnings.is_empty());
    }

    #[test]
    fn booleans_arrive_as_strings_of_any_case_and_nothing_else() {
        assert!(parse("interim_results=True").unwrap().interim_results);
        assert!(!parse("interim_results=false").unwrap().interim_results);
        assert_eq!(parse("interim_results=maybe").unwrap_err().parameter, "interim_results");
    }

    #[test]
    fn repeated_keys_make_lists_and_keywords_lose_their_boost() {
        let query = parse("keyterm=Harmony&keyterm=Silero%20gate&keywords=snuffleupagus:5&keywords=no:-3").unwrap();
        assert_eq!(query.hints.keyterms, ["Harmony", "Silero gate", "snuffleupagus"]);
        assert_eq!(parse("tag=a&tag=b").unwrap().tags, ["a", "b"]);
    }

    #[test]
    fn every_served_encoding_is_read_and_every_other_is_refused_by_name() {
        let raw = |name: &str| parse(&format!("encoding={name}&sample_rate=16000")).map(|query| query.audio);
        for (name, encoding) in [
            ("linear16", Encoding::Linear16),
            ("linear32", Encoding::Linear32),
            ("mulaw", Encoding::MuLaw),
            ("alaw", Encoding::ALaw),
            ("opus", Encoding::Opus),
        ] {
            assert_eq!(raw(name), Ok(Audio::Raw { encoding, rate_hz: 16_000, channels: 1 }), "{name}");
        }
        assert_eq!(raw("ogg-opus"), Ok(Audio::Container));
        assert_eq!(raw("flac"), Ok(Audio::Container));
        for name in ["amr-nb", "amr-wb", "speex", "g729", "mp5"] {
            let refusal = raw(name).unwrap_err();
            assert_eq!(refusal.parameter, "encoding");
            assert!(refusal.why.contains(name) && refusal.why.contains("linear16"), "{refusal}");
        }
    }

    #[test]
    fn rates_have_a_default_only_where_the_encoding_has_one() {
        assert_eq!(parse("encoding=linear16").unwrap_err().parameter, "sample_rate");
        assert_eq!(
            parse("encoding=mulaw").unwrap().audio,
            Audio::Raw { encoding: Encoding::MuLaw, rate_hz: 8_000, channels: 1 }
        );
        for rate in ["0", "7999", "192000", "fast", "-8000"] {
            assert!(parse(&format!("encoding=linear16&sample_rate={rate}")).is_err(), "{rate}");
        }
        assert!(parse("encoding=linear16&sample_rate=16000&channels=0").is_err());
        assert!(parse("encoding=linear16&sample_rate=16000&channels=33").is_err());
    }

    #[test]
    fn endpointing_is_a_number_or_false_and_never_below_the_floor() {
        assert_eq!(parse("endpointing=false").unwrap().endpointing, None);
        assert_eq!(parse("endpointing=10").unwrap().endpointing, Some(Duration::from_millis(200)));
        assert_eq!(parse("endpointing=750").unwrap().endpointing, Some(Duration::from_millis(750)));
        assert!(parse("endpointing=soon").is_err());
    }

    #[test]
    fn utterance_end_needs_its_range_and_interim_results() {
        let whole = "interim_results=true&utterance_end_ms=1000";
        assert_eq!(parse(whole).unwrap().utterance_end, Some(Duration::from_secs(1)));
        assert!(parse("utterance_end_ms=1000").is_err());
        assert!(parse("interim_results=true&utterance_end_ms=999").is_err());
        assert!(parse("interim_results=true&utterance_end_ms=5001").is_err());
    }

    #[test]
    fn a_language_keeps_its_base_and_an_unknown_one_is_refused() {
        assert_eq!(parse("language=en-US").unwrap().hints.language.as_deref(), Some("en"));
        assert_eq!(parse("language=multi").unwrap().hints.language, None);
        let refusal = parse("language=de").unwrap_err();
        assert!(refusal.why.contains("moonshine-tiny-en"), "{refusal}");
        assert!(parse_at("detect_language=true&language=de", Door::Prerecorded).unwrap().detect_language);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let parameters = |query: &str| -> Vec<&'static str> {
            parse(query).unwrap().warnings.iter().map(|warning| warning.parameter).collect()
        };
        assert_eq!(parameters("model=nova-3"), ["model"]);
        assert_eq!(parameters("model=moonshine-tiny-en"), [""; 0]);
        assert_eq!(parameters("diarize=true"), [""; 0]);
        assert_eq!(parameters("dictation=true&detect_entities=false"), ["dictation"]);
    }

    #[test]
    fn voices_are_told_apart_where_channels_do_not_say_who_speaks() {
        let tells = |query: &str| parse(query).map(|query| (query.diarize, query.tells_voices()));
        assert_eq!(tells(""), Ok((false, false)));
        assert_eq!(tells("diarize=true"), Ok((true, true)));
        assert_eq!(tells("diarize_model=latest"), Ok((true, true)));
        assert_eq!(tells("diarize=true&multichannel=true"), Ok((true, false)));
        assert_eq!(tells("diarize=perhaps").unwrap_err().parameter, "diarize");
    }

    #[test]
    fn what_cannot_be_hidden_is_refused_instead_of_leaked() {
        let redact = parse("redact=pci&redact=ssn").unwrap().effects.redact;
        assert!(redact.pci && redact.ssn && !redact.numbers);
        assert!(!parse("redact=numbers").unwrap().may_be_shown());
        assert_eq!(parse("redact=phi").unwrap_err().parameter, "redact");
    }

    #[test]
    fn callbacks_are_for_prerecorded_audio() {
        assert_eq!(parse("callback=https://example.org/x").unwrap_err().parameter, "callback");
        let query = parse_at("callback=https://example.org/x&callback_method=put", Door::Prerecorded).unwrap();
        assert_eq!(query.callback, Some(Callback { url: "https://example.org/x".into(), put: true }));
        assert!(parse_at("callback=ftp://example.org", Door::Prerecorded).is_err());
    }

    #[test]
    fn lists_are_bounded() {
        let many = vec!["keyterm=x"; 201].join("&");
        assert_eq!(parse(&many).unwrap_err().parameter, "keyterm");
        assert_eq!(parse(&format!("search={}", "y".repeat(300))).unwrap_err().parameter, "search");
    }
}
