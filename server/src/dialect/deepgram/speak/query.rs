//! The query of `/v1/speak`: which voice, in which format. Pure.
//!
//! As with `/v1/listen`, a value that cannot be served is refused with the parameter's name, and parameters that nobody
//! knows are ignored. Without an encoding the answer is WAV, where the public service sends MP3: nothing here makes
//! that.

use tts::voice::{Language, Speaker, VoiceId, choose};

use crate::{
    dialect::{deepgram::refusal::Refusal, spoken},
    encode::{Coding, Format, OPUS_HZ},
};

/// Which of the two doors the query came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `POST`: the answer is a file.
    Whole,
    /// `WS`: messages of bare samples.
    Live,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// As the request calls it.
    pub(super) model: String,
    /// Who speaks, and in which language; `None` is the language of the text.
    speaker: Speaker,
    language: Option<Language>,
    pub(super) format: Format,
    pub(super) bitrate_bps: u32,
    pub(super) speed: f32,
}

/// What the public service speaks with when nothing is named.
const USUAL_MODEL: &str = "aura-2-thalia-en";

/// What samples are when nothing is named, and what a telephone's are.
const USUAL_HZ: u32 = 24_000;
const TELEPHONE_HZ: u32 = 8_000;

impl Query {
    pub(super) fn parse(pairs: &[(String, String)], door: Door) -> Result<Self, Refusal> {
        let find = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let model: String = find("model").unwrap_or(USUAL_MODEL).chars().take(100).collect();
        let (speaker, language) = who(&model);
        if find("callback").is_some() {
            return Err(refused("callback", "speech is not delivered elsewhere: read the answer"));
        }
        let speed = match find("speed") {
            None => 1.0,
            Some(text) => {
                let speed = text.parse::<f32>().ok().filter(|speed| (0.25..=4.0).contains(speed));
                speed.ok_or_else(|| refused("speed", "expected a number from 0.25 to 4"))?
            }
        };
        let coding = coding(find("encoding"), door)?;
        let is_wav = is_wav(find("container"), coding, door)?;
        let rate_hz = rate(find("sample_rate"), coding)?;
        let bitrate_bps = match find("bit_rate") {
            None => spoken::OPUS_BPS,
            Some(_) if coding != Coding::Opus => return Err(refused("bit_rate", "only opus has one to choose")),
            Some(text) => {
                let bits = number(text).filter(|bits| (4_000..=510_000).contains(bits));
                bits.ok_or_else(|| refused("bit_rate", "expected 4000 to 510000"))?
            }
        };
        Ok(Self { model, speaker, language, format: Format { coding, is_wav, rate_hz }, bitrate_bps, speed })
    }

    /// Who says `text`.
    pub(super) fn voice(&self, text: &str) -> VoiceId {
        VoiceId { language: self.language.unwrap_or_else(|| spoken::language_of(text)), speaker: self.speaker }
    }
}

fn coding(encoding: Option<&str>, door: Door) -> Result<Coding, Refusal> {
    let coding = match encoding {
        None | Some("linear16") => Coding::Linear16,
        Some("mulaw") => Coding::Mulaw,
        Some("alaw") => Coding::Alaw,
        Some("flac") if door == Door::Whole => Coding::Flac,
        Some("opus") if door == Door::Whole => Coding::Opus,
        Some("mp3" | "aac") => {
            return Err(refused("encoding", "this server makes neither mp3 nor aac: use linear16, opus or flac"));
        }
        Some(_) if door == Door::Live => return Err(refused("encoding", "expected linear16, mulaw or alaw")),
        Some(_) => return Err(refused("encoding", "expected linear16, mulaw, alaw, opus or flac")),
    };
    Ok(coding)
}

fn is_wav(container: Option<&str>, coding: Coding, door: Door) -> Result<bool, Refusal> {
    let is_plain = matches!(coding, Coding::Linear16 | Coding::Mulaw | Coding::Alaw);
    match container {
        None => Ok(is_plain && door == Door::Whole),
        Some("none") if coding != Coding::Opus => Ok(false),
        Some("wav") if is_plain && door == Door::Whole => Ok(true),
        Some("ogg") if coding == Coding::Opus => Ok(false),
        Some(_) if door == Door::Live => Err(refused("container", "a socket carries bare samples: none")),
        Some(_) => Err(refused("container", "expected wav or none for samples, ogg for opus, none for flac")),
    }
}

fn rate(sample_rate: Option<&str>, coding: Coding) -> Result<u32, Refusal> {
    let usual = match coding {
        Coding::Linear16 | Coding::Flac => USUAL_HZ,
        Coding::Mulaw | Coding::Alaw => TELEPHONE_HZ,
        Coding::Opus => OPUS_HZ,
    };
    let Some(text) = sample_rate else { return Ok(usual) };
    let rate_hz = number(text);
    match coding {
        Coding::Opus => {
            rate_hz.filter(|rate_hz| *rate_hz == OPUS_HZ).ok_or_else(|| refused("sample_rate", "opus has 48000"))
        }
        Coding::Linear16 | Coding::Flac => {
            let known =
                rate_hz.filter(|rate_hz| [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000].contains(rate_hz));
            known.ok_or_else(|| refused("sample_rate", "expected 8000, 16000, 22050, 24000, 32000, 44100 or 48000"))
        }
        Coding::Mulaw | Coding::Alaw => {
            let known = rate_hz.filter(|rate_hz| [8_000, 16_000].contains(rate_hz));
            known.ok_or_else(|| refused("sample_rate", "expected 8000 or 16000"))
        }
    }
}

/// A whole number; SDKs write some of them with a point.
fn number(text: &str) -> Option<u32> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The name by which personas know the voice that the public service calls `model`.
pub(in crate::dialect::deepgram) fn voice_named(model: &str) -> String {
    if !model.starts_with("aura") {
        return model.to_owned();
    }
    if who(model).0 == Speaker::Man { "man".to_owned() } else { "woman".to_owned() }
}

/// Whom the names of the public service promise: `aura-2-thalia-en` is a woman who speaks English. Other names are
/// those that [`choose`] knows; where the name says no language the text decides on it.
fn who(model: &str) -> (Speaker, Option<Language>) {
    if !model.starts_with("aura") {
        let found = choose(Some(model), None);
        return (found.voice.speaker, found.named);
    }
    let mut parts = model.split('-').rev();
    let language = parts.next().and_then(Language::nearest).map(|(language, _)| language);
    let name = parts.next().unwrap_or_default();
    (if MEN.contains(&name) { Speaker::Man } else { Speaker::Woman }, language)
}

const MEN: [&str; 26] = [
    "alvaro", "angus", "apollo", "aquila", "arcas", "aries", "atlas", "dionisio", "draco", "fabian", "helios",
    "hermes", "hyperion", "julius", "jupiter", "mars", "neptune", "nestor", "odysseus", "orion", "orpheus", "perseus",
    "pluto", "saturn", "sirio", "zeus",
];

fn refused(parameter: &str, why: &str) -> Refusal {
    Refusal::bad_request(format!("{parameter}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, door: Door) -> Result<Query, Refusal> {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Query::parse(&pairs, door)
    }

    #[test]
    fn formats_are_those_of_the_public_service_but_for_what_nothing_makes_here() {
        for (query, door, coding, is_wav, rate_hz) in [
            ("", Door::Whole, Coding::Linear16, true, 24_000),
            ("", Door::Live, Coding::Linear16, false, 24_000),
            ("encoding=linear16&container=none&sample_rate=48000", Door::Whole, Coding::Linear16, false, 48_000),
            ("encoding=mulaw&container=wav", Door::Whole, Coding::Mulaw, true, 8_000),
            ("encoding=alaw&sample_rate=16000.0", Door::Live, Coding::Alaw, false, 16_000),
            ("encoding=opus&container=ogg&bit_rate=24000", Door::Whole, Coding::Opus, false, 48_000),
            ("encoding=flac&sample_rate=22050", Door::Whole, Coding::Flac, false, 22_050),
        ] {
            let parsed = parse(query, door).unwrap();
            assert_eq!(parsed.format, Format { coding, is_wav, rate_hz }, "{query}");
        }
        assert_eq!(parse("encoding=opus&bit_rate=24000", Door::Whole).unwrap().bitrate_bps, 24_000);
    }

    #[test]
    fn what_cannot_be_served_names_its_parameter() {
        for (query, door, parameter) in [
            ("encoding=mp3", Door::Whole, "encoding"),
            ("encoding=opus", Door::Live, "encoding"),
            ("encoding=speex", Door::Whole, "encoding"),
            ("container=ogg", Door::Whole, "container"),
            ("container=wav", Door::Live, "container"),
            ("encoding=opus&container=none", Door::Whole, "container"),
            ("sample_rate=11", Door::Whole, "sample_rate"),
            ("encoding=mulaw&sample_rate=24000", Door::Live, "sample_rate"),
            ("bit_rate=48000", Door::Whole, "bit_rate"),
            ("encoding=opus&bit_rate=1", Door::Whole, "bit_rate"),
            ("speed=fast", Door::Whole, "speed"),
            ("callback=http://127.0.0.1/", Door::Whole, "callback"),
        ] {
            let refusal = parse(query, door).unwrap_err();
            assert!(refusal.err_msg.starts_with(&format!("{parameter}: ")), "{query}: {}", refusal.err_msg);
        }
    }

    #[test]
    fn a_model_promises_who_speaks_and_in_which_language() {
        let who = |model: &str, text: &str| parse(&format!("model={model}"), Door::Whole).unwrap().voice(text);
        let voice = |language, speaker| VoiceId { language, speaker };
        assert_eq!(who("aura-2-thalia-en", "Guten Tag"), voice(Language::ENGLISH_US, Speaker::Woman));
        assert_eq!(who("aura-2-julius-de", "Hello"), voice(Language::GERMAN, Speaker::Man));
        assert_eq!(who("aura-asteria-en", ""), voice(Language::ENGLISH_US, Speaker::Woman));
        assert_eq!(who("Polly.Hans", ""), voice(Language::GERMAN, Speaker::Man));
        assert_eq!(who("Polly.Marlene", "Taxi"), voice(Language::GERMAN, Speaker::Woman));
        assert_eq!(who("nobody", "Guten Tag, bitte"), voice(Language::GERMAN, Speaker::Man));
        assert_eq!(who("woman", "Guten Tag, wie geht es Ihnen"), voice(Language::GERMAN, Speaker::Woman));
        assert_eq!(who("woman", "Hello, how are you?"), voice(Language::ENGLISH_US, Speaker::Woman));
    }
}
