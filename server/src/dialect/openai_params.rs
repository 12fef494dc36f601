//! The fields of `POST /v1/audio/transcriptions`, parsed once into what they mean. Source: OpenAI's API
//! reference and the parameter types of its Python SDK (lists arrive as `name[]`, objects as `name[key]`).
//!
//! Pure. A wrong value is refused by name. What the server cannot honour but may soundly ignore (a sampling
//! temperature, a voice-activity threshold) is noted in [`Params::ignored`] and told in a response header.

use std::fmt;

use asr::recognizer::{Hints, Info};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::openai_error::Refusal;

/// Model names of OpenAI that the server's recognizer answers to.
pub(super) const ALIASES: [&str; 6] = [
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
];

/// What the client asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Params {
    /// Shape of the answer.
    pub format: ResponseFormat,
    /// Whether segments are sent as they arrive.
    pub stream: bool,
    /// Whether `verbose_json` holds words.
    pub words: bool,
    /// Whether `verbose_json` holds segments.
    pub segments: bool,
    /// Whether the log-probability of each word is told.
    pub logprobs: bool,
    /// Language and terms for the recognizer.
    pub hints: Hints,
    /// Who may be known by their voice.
    pub speakers: Vec<KnownSpeaker>,
    /// Silence that closes a segment, in milliseconds.
    pub endpointing_ms: u32,
    /// Fields that were understood and have no effect.
    pub ignored: Vec<&'static str>,
}

/// Somebody whom the client names, and a recording of their voice.
#[derive(Clone, PartialEq)]
pub(super) struct KnownSpeaker {
    /// As the segments are to call them.
    pub name: String,
    /// Any container that can be decoded.
    pub recording: Bytes,
}

impl fmt::Debug for KnownSpeaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSpeaker({} bytes)", self.recording.len())
    }
}

/// The values of `response_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFormat {
    /// `{"text", …}`.
    Json,
    /// Plain text.
    Text,
    /// SubRip subtitles.
    Srt,
    /// Text with times.
    VerboseJson,
    /// WebVTT subtitles.
    Vtt,
    /// Text with speakers.
    DiarizedJson,
}

impl Params {
    /// Reads the text fields of the form, in the order in which they came; a field given twice counts as last
    /// said, except lists.
    ///
    /// # Errors
    /// A 400 that names the field, or 404 for a model that is not here.
    pub(super) fn parse(fields: &[(String, String)], engine: &Info) -> Result<Self, Refusal> {
        let one = |name: &str| fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let list = |name: &str| -> Vec<&str> {
            let indexed = |key: &str| {
                key.strip_prefix(name).is_some_and(|rest| {
                    rest.is_empty()
                        || rest
                            .strip_prefix('[')
                            .and_then(|rest| rest.strip_suffix(']'))
                            .is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
                })
            };
            fields.iter().filter(|(key, _)| indexed(key)).map(|(_, value)| value.as_str()).collect()
        };

        check_model(one("model"), engine)?;
        let format = ResponseFormat::parse(one("response_format"))?;
        let stream = flag("stream", one("stream"))?;
        if stream && !matches!(format, ResponseFormat::Json | ResponseFormat::Text | ResponseFormat::DiarizedJson) {
            return Err(Refusal::value(
                "response_format",
                "unsupported_value",
                "With stream=true, response_format is json, text or diarized_json.",
            ));
        }
        let (words, segments) = granularities(&list("timestamp_granularities"), format)?;
        let logprobs = include(&list("include"), format)?;
        let speakers = known_speakers(&list(SPEAKER_NAMES), &list(SPEAKER_REFERENCES), format)?;
        let mut ignored = Vec::new();
        if temperature(one("temperature"))? > 0.0 {
            ignored.push("temperature");
        }
        let endpointing_ms = chunking(fields, &mut ignored)?;
        let hints = Hints {
            language: language(one("language"), &list("languages"), engine)?,
            keyterms: keyterms(one("prompt"), &list("keywords")),
        };
        Ok(Self { format, stream, words, segments, logprobs, hints, speakers, endpointing_ms, ignored })
    }
}

/// Every name that the server answers to, its recognizer's own first.
pub(super) fn models(engine: &Info) -> impl Iterator<Item = &str> {
    std::iter::once(engine.model.as_str()).chain(ALIASES)
}

impl ResponseFormat {
    fn parse(value: Option<&str>) -> Result<Self, Refusal> {
        Ok(match value {
            None | Some("json") => Self::Json,
            Some("text") => Self::Text,
            Some("srt") => Self::Srt,
            Some("verbose_json") => Self::VerboseJson,
            Some("vtt") => Self::Vtt,
            Some("diarized_json") => Self::DiarizedJson,
            Some(other) => {
                return Err(Refusal::value(
                    "response_format",
                    "invalid_value",
                    format!(
                        "response_format is json, text, srt, verbose_json, vtt or diarized_json, not '{}'.",
                        short(other)
                    ),
                ));
            }
        })
    }
}

fn check_model(value: Option<&str>, engine: &Info) -> Result<(), Refusal> {
    let name = value.filter(|name| !name.is_empty()).ok_or_else(|| {
        Refusal::value("model", "missing_required_parameter", "You must provide a model; whisper-1 will do.")
    })?;
    if models(engine).any(|known| known == name) { Ok(()) } else { Err(Refusal::model(name)) }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, Refusal> {
    match value {
        None | Some("false" | "False" | "0" | "") => Ok(false),
        Some("true" | "True" | "1") => Ok(true),
        Some(other) => {
            Err(Refusal::value(name, "invalid_value", format!("{name} is true or false, not '{}'.", short(other))))
        }
    }
}

/// Whether words, and whether segments. Without a wish `verbose_json` holds segments.
fn granularities(values: &[&str], format: ResponseFormat) -> Result<(bool, bool), Refusal> {
    if let Some(other) = values.iter().find(|value| !matches!(**value, "word" | "segment")) {
        return Err(Refusal::value(
            "timestamp_granularities",
            "invalid_value",
            format!("timestamp_granularities holds word or segment, not '{}'.", short(other)),
        ));
    }
    if !values.is_empty() && format != ResponseFormat::VerboseJson {
        return Err(Refusal::value(
            "timestamp_granularities",
            "unsupported_value",
            "timestamp_granularities needs response_format=verbose_json.",
        ));
    }
    Ok((values.contains(&"word"), values.is_empty() || values.contains(&"segment")))
}

fn include(values: &[&str], format: ResponseFormat) -> Result<bool, Refusal> {
    if let Some(other) = values.iter().find(|value| **value != "logprobs") {
        return Err(Refusal::value(
            "include",
            "invalid_value",
            format!("include holds logprobs, not '{}'.", short(other)),
        ));
    }
    if !values.is_empty() && format != ResponseFormat::Json {
        return Err(Refusal::value("include", "unsupported_value", "include[]=logprobs needs response_format=json."));
    }
    Ok(!values.is_empty())
}

/// Names and recordings, each name with the recording in its place.
fn known_speakers(names: &[&str], references: &[&str], format: ResponseFormat) -> Result<Vec<KnownSpeaker>, Refusal> {
    let wrong = |param: &str, message: String| Refusal::value(param, "invalid_value", message);
    if names.len() != references.len() {
        let given = format!("There are {} names and {} recordings of known speakers.", names.len(), references.len());
        let param = if references.is_empty() { SPEAKER_NAMES } else { SPEAKER_REFERENCES };
        return Err(wrong(param, format!("{given} Send as many of each, in the same order.")));
    }
    if names.len() > SPEAKERS_MAX {
        return Err(wrong(SPEAKER_NAMES, format!("At most {SPEAKERS_MAX} speakers can be known.")));
    }
    if !names.is_empty() && format != ResponseFormat::DiarizedJson {
        let message = format!("{SPEAKER_NAMES} needs response_format=diarized_json.");
        return Err(Refusal::value(SPEAKER_NAMES, "unsupported_value", message));
    }
    let mut speakers: Vec<KnownSpeaker> = Vec::new();
    for (name, reference) in names.iter().zip(references) {
        let name = name.trim();
        let is_new = speakers.iter().all(|speaker| speaker.name != name);
        if name.is_empty() || name.chars().count() > SPEAKER_NAME_CHARS_MAX || !is_new {
            let message =
                format!("A known speaker has a name of 1 to {SPEAKER_NAME_CHARS_MAX} characters that no other has.");
            return Err(wrong(SPEAKER_NAMES, message));
        }
        let encoded = reference.strip_prefix("data:").and_then(|rest| rest.split_once(','));
        let encoded = encoded.filter(|(kind, _)| kind.ends_with(";base64"));
        let recording = encoded.and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok()).ok_or_else(|| {
            let message = format!("Each of {SPEAKER_REFERENCES} is a data URL such as data:audio/wav;base64,…");
            wrong(SPEAKER_REFERENCES, message)
        })?;
        speakers.push(KnownSpeaker { name: name.to_owned(), recording: recording.into() });
    }
    Ok(speakers)
}

fn temperature(value: Option<&str>) -> Result<f64, Refusal> {
    let Some(text) = value else { return Ok(0.0) };
    text.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| {
        Refusal::value(
            "temperature",
            "invalid_value",
            format!("temperature is a number from 0 to 1, not '{}'.", short(text)),
        )
    })
}

/// The silence that ends a segment. `chunking_strategy` is `auto`, a JSON object, or fields in brackets.
fn chunking(fields: &[(String, String)], ignored: &mut Vec<&'static str>) -> Result<u32, Refusal> {
    let wrong = |message: &str| Refusal::value("chunking_strategy", "invalid_value", message);
    let mut object = serde_json::Map::new();
    for (key, value) in fields {
        let Some(rest) = key.strip_prefix("chunking_strategy") else { continue };
        if let Some(name) = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
            object.insert(name.to_owned(), value);
        } else if rest.is_empty() && value != "auto" {
            object = serde_json::from_str(value)
                .map_err(|_| wrong("chunking_strategy is 'auto' or an object of type server_vad."))?;
        }
    }
    if object.is_empty() {
        return Ok(ENDPOINTING_MS);
    }
    if object.get("type").and_then(|kind| kind.as_str()) != Some("server_vad") {
        return Err(wrong("chunking_strategy.type is server_vad."));
    }
    let mut endpointing_ms = ENDPOINTING_MS;
    for (name, value) in &object {
        match name.as_str() {
            "type" => {}
            "silence_duration_ms" => {
                endpointing_ms = value
                    .as_u64()
                    .and_then(|ms| u32::try_from(ms).ok())
                    .filter(|ms| (200..=10_000).contains(ms))
                    .ok_or_else(|| wrong("chunking_strategy.silence_duration_ms is a number from 200 to 10000."))?;
            }
            "prefix_padding_ms" if value.as_u64().is_some() => ignored.push("chunking_strategy.prefix_padding_ms"),
            "threshold" if value.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)) => {
                ignored.push("chunking_strategy.threshold");
            }
            "prefix_padding_ms" => return Err(wrong("chunking_strategy.prefix_padding_ms is a whole number.")),
            "threshold" => return Err(wrong("chunking_strategy.threshold is a number from 0 to 1.")),
            other => return Err(wrong(&format!("chunking_strategy has no field '{}'.", short(other)))),
        }
    }
    Ok(endpointing_ms)
}

/// The language to listen for. A region (`de-AT`) is accepted and dropped; of several languages the engine is
/// told only when there is one that it knows, else it detects.
fn language(one: Option<&str>, several: &[&str], engine: &Info) -> Result<Option<String>, Refusal> {
    if let Some(tag) = one.filter(|tag| !tag.is_empty()) {
        let code = iso_639_1("language", tag)?;
        return match engine.languages.contains(&code) {
            true => Ok(Some(code)),
            false => Err(unknown_language("language", &code, engine)),
        };
    }
    let codes = several.iter().map(|tag| iso_639_1("languages", tag)).collect::<Result<Vec<_>, _>>()?;
    let known: Vec<&String> = codes.iter().filter(|code| engine.languages.contains(code)).collect();
    match (codes.first(), known.as_slice()) {
        (Some(code), []) => Err(unknown_language("languages", code, engine)),
        (_, [one]) => Ok(Some((*one).clone())),
        _ => Ok(None),
    }
}

fn iso_639_1(param: &str, tag: &str) -> Result<String, Refusal> {
    let code = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    if code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(code);
    }
    Err(Refusal::value(
        param,
        "invalid_language_format",
        format!("{param} is an ISO 639-1 code such as en or de, not '{}'.", short(tag)),
    ))
}

fn unknown_language(param: &str, code: &str, engine: &Info) -> Refusal {
    Refusal::value(
        param,
        "unsupported_language",
        format!(
            "The recognizer {} does not know '{code}', only {}; a Whisper model knows more.",
            engine.model,
            engine.languages.join(", ")
        ),
    )
}

/// Terms to expect: each keyword, and the parts of the prompt between commas, semicolons and lines.
fn keyterms(prompt: Option<&str>, keywords: &[&str]) -> Vec<String> {
    keywords
        .iter()
        .copied()
        .chain(prompt.unwrap_or_default().split([',', ';', '\n']))
        .map(str::trim)
        .filter(|term| !term.is_empty())
        .take(KEYTERMS_MAX)
        .map(|term| term.chars().take(KEYTERM_CHARS_MAX).collect())
        .collect()
}

/// A value as it is echoed in a message.
fn short(value: &str) -> String {
    value.chars().take(60).collect()
}

/// The names of known speakers.
const SPEAKER_NAMES: &str = "known_speaker_names";

/// The recordings of known speakers.
pub(super) const SPEAKER_REFERENCES: &str = "known_speaker_references";

/// Speakers that can be known, as the public service has it.
pub(super) const SPEAKERS_MAX: usize = 4;

const SPEAKER_NAME_CHARS_MAX: usize = 100;

/// A pause of half a second reads as the end of a sentence; a recording has no hurry to end it sooner.
const ENDPOINTING_MS: u32 = 500;

/// More terms than this crowd out what was said before them in a recognizer's prompt of 224 tokens.
const KEYTERMS_MAX: usize = 100;

/// A term is a name, not a text.
const KEYTERM_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info(languages: &[&str]) -> Info {
        Info {
            engine: "moonshine",
            model: "moonshine-tiny-en".to_owned(),
            languages: languages.iter().map(ToString::to_string).collect(),
            window_max_s: 24,
        }
    }

    fn parse(fields: &[(&str, &str)]) -> Result<Params, Refusal> {
        let mut all = vec![("model".to_owned(), "whisper-1".to_owned())];
        all.extend(fields.iter().map(|(key, value)| (key.to_string(), value.to_string())));
        Params::parse(&all, &info(&["en"]))
    }

    #[test]
    fn a_model_alone_is_plain_json() {
        let params = parse(&[]).unwrap();
        assert_eq!((params.format, params.stream, params.logprobs), (ResponseFormat::Json, false, false));
        assert_eq!(params.hints, Hints::default());
    }

    #[test]
    fn every_name_in_the_list_of_models_is_accepted() {
        let engine = info(&["en"]);
        for name in models(&engine) {
            assert!(Params::parse(&[("model".to_owned(), name.to_owned())], &engine).is_ok(), "{name}");
        }
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for (field, value, code) in [
            ("model", "whisper-99", "model_not_found"),
            ("model", "", "missing_required_parameter"),
            ("response_format", "xml", "invalid_value"),
            ("stream", "maybe", "invalid_value"),
            ("timestamp_granularities[]", "phoneme", "invalid_value"),
            ("timestamp_granularities[]", "word", "unsupported_value"),
            ("include[]", "everything", "invalid_value"),
            ("temperature", "hot", "invalid_value"),
            ("temperature", "1.5", "invalid_value"),
            ("temperature", "NaN", "invalid_value"),
            ("language", "english", "invalid_language_format"),
            ("language", "de", "unsupported_language"),
            ("languages[]", "de", "unsupported_language"),
            ("chunking_strategy", "sometimes", "invalid_value"),
            ("chunking_strategy[type]", "client_vad", "invalid_value"),
            ("known_speaker_names[]", "agent", "invalid_value"),
            ("known_speaker_references[]", "data:audio/wav;base64,AAAA", "invalid_value"),
        ] {
            let refusal = parse(&[(field, value)]).unwrap_err();
            assert_eq!(refusal.code.as_deref(), Some(code), "{field}={value}");
            assert_eq!(refusal.param.as_deref(), field.split('[').next(), "{field}={value}");
        }
    }

    #[test]
    fn known_speakers_are_names_each_with_a_recording() {
        let format = ("response_format", "diarized_json");
        let name = |name| ("known_speaker_names[]", name);
        let recording = |url| ("known_speaker_references[]", url);
        let sound = recording("data:audio/wav;base64,aGk=");
        let speakers = parse(&[format, name(" Ada "), name("Jörg"), sound, sound]).unwrap().speakers;
        let named: Vec<_> = speakers.iter().map(|known| (known.name.as_str(), &known.recording[..])).collect();
        assert_eq!(named, [("Ada", &b"hi"[..]), ("Jörg", &b"hi"[..])]);
        assert!(!format!("{speakers:?}").contains("Ada"), "nobody is named in a log");
        let (names, references) = ("known_speaker_names", "known_speaker_references");
        let (long, fifth) = ("x".repeat(101), ["a", "b", "c", "d", "e"].map(name));
        for (fields, param, code) in [
            (vec![name("Ada"), sound], names, "unsupported_value"),
            (vec![format, name("Ada"), name("Bob"), sound], references, "invalid_value"),
            (vec![format, name("Ada"), name("Ada"), sound, sound], names, "invalid_value"),
            (vec![format, name(" "), sound], names, "invalid_value"),
            (vec![format, name(&long), sound], names, "invalid_value"),
            (vec![format, name("Ada"), recording("https://example.org/ada.wav")], references, "invalid_value"),
            (vec![format, name("Ada"), recording("data:audio/wav,hi")], references, "invalid_value"),
            (vec![format, name("Ada"), recording("data:audio/wav;base64,?")], references, "invalid_value"),
            ([vec![format], fifth.to_vec(), vec![sound; 5]].concat(), names, "invalid_value"),
        ] {
            let refusal = parse(&fields).unwrap_err();
            assert_eq!((refusal.param.as_deref(), refusal.code.as_deref()), (Some(param), Some(code)), "{fields:?}");
        }
    }

    #[test]
    fn streaming_of_subtitles_is_refused() {
        let refusal = parse(&[("stream", "true"), ("response_format", "srt")]).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("response_format"));
    }

    #[test]
    fn granularities_choose_words_and_segments() {
        let verbose = ("response_format", "verbose_json");
        let chosen = |fields: &[(&str, &str)]| parse(fields).map(|params| (params.words, params.segments)).unwrap();
        assert_eq!(chosen(&[verbose]), (false, true));
        assert_eq!(chosen(&[verbose, ("timestamp_granularities[]", "word")]), (true, false));
        assert_eq!(
            chosen(&[verbose, ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]),
            (true, true)
        );
    }

    #[test]
    fn voice_activity_comes_as_json_or_in_brackets() {
        let json = parse(&[("chunking_strategy", r#"{"type":"server_vad","silence_duration_ms":700}"#)]).unwrap();
        let brackets = parse(&[
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[silence_duration_ms]", "700"),
            ("chunking_strategy[threshold]", "0.4"),
        ])
        .unwrap();
        assert_eq!((json.endpointing_ms, brackets.endpointing_ms), (700, 700));
        assert_eq!(brackets.ignored, ["chunking_strategy.threshold"]);
    }

    #[test]
    fn prompts_and_keywords_become_terms() {
        let params = parse(&[("prompt", "Marie Skłodowska, Pierre;\nRadium "), ("keywords[]", "Polonium")]).unwrap();
        assert_eq!(params.hints.keyterms, ["Polonium", "Marie Skłodowska", "Pierre", "Radium"]);
    }

    #[test]
    fn one_known_language_of_several_is_taken() {
        let fields = [("model", "whisper-1"), ("languages[]", "de"), ("languages[]", "en-GB")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let taken = |engine: &Info| Params::parse(&fields, engine).unwrap().hints.language;
        assert_eq!(taken(&info(&["en"])).as_deref(), Some("en"));
        assert_eq!(taken(&info(&["en", "de"])), None);
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(fields in prop::collection::vec(("[a-z_]{1,12}(\\[[a-z]{0,4}\\])?", ".{0,80}"), 0..8)) {

            let _ = Params::parse(&fields, &info(&["en", "de"]));
        }
    }
}
