//! Speech as the answer to a request: what is said becomes bytes while it is spoken, whichever dialect asked.
//!
//! Runs on the request's task. Nothing is answered before the first sound is there, so that a voice that fails is told
//! by a status; one that fails later ends the answer before its end, which every client notices. Whoever goes away
//! drops the answer and with it what is still to be said.

use std::collections::VecDeque;

use bytes::Bytes;
use tts::{
    utterance::{Piece, Prosody, Utterance},
    voice::{self, Language, VoiceId},
    worker::{Refused, Said, Speech},
};

use crate::{
    app::App,
    encode::{Encoder, Format},
    error::ApiError,
};

/// An answer that is being spoken.
pub(super) struct Spoken {
    speech: Speech,
    encoder: Option<Encoder>,
    /// Bytes that wait to be sent.
    ready: VecDeque<Bytes>,
}

/// Why nothing, or not all, is said.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSpoken {
    /// The text has no word.
    #[error("there is nothing to say in that text")]
    Nothing,
    /// Too long, or every place is taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The voice failed.
    #[error(transparent)]
    Voice(#[from] voice::Error),
    /// There is no voice, or no encoder.
    #[error(transparent)]
    Server(#[from] ApiError),
}

impl NotSpoken {
    /// Whether the request itself is at fault.
    pub(super) fn is_senders(&self) -> bool {
        matches!(self, Self::Nothing | Self::Refused(Refused::TooMuch(_) | Refused::Rate(_)))
    }

    /// The refusal, for what is not the sender's fault. What a voice says of itself is for the log.
    pub(super) fn refusal(self) -> ApiError {
        match self {
            Self::Refused(Refused::Closing) => ApiError::draining(),
            Self::Refused(refused) => ApiError::full(refused.to_string()),
            Self::Voice(error @ voice::Error::Missing { .. }) => {
                ApiError::full("this server has no voice").hint(error.to_string())
            }
            Self::Voice(error) => {
                tracing::warn!(%error, "a request for speech was not spoken");
                ApiError::full("the voice of this server failed")
            }
            Self::Server(error) => error,
            Self::Nothing => ApiError::bad_request("nothing_to_say", self.to_string()),
        }
    }
}

impl Spoken {
    /// Begins to say `utterance`, and waits for its first sound.
    pub(super) async fn begin(
        app: &App,
        utterance: &Utterance,
        format: Format,
        bitrate_bps: u32,
    ) -> Result<Self, NotSpoken> {
        let speech = app.voices()?.speak(utterance, format.rate_hz)?;
        let mut header = Vec::new();
        let encoder = Encoder::begin(format, bitrate_bps, &mut header).map_err(ApiError::internal)?;
        let mut spoken = Self { speech, encoder: Some(encoder), ready: VecDeque::new() };
        let mut is_heard = false;
        let mut bytes = header;
        while !is_heard {
            match spoken.speech.next().await {
                Some(Said::Samples { samples, .. }) => {
                    is_heard = true;
                    spoken.encode(&samples, &mut bytes);
                }
                Some(Said::Failed { error, .. }) => return Err(error.into()),
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                Some(Said::Finished { .. } | Said::Dropped { .. }) | None => return Err(NotSpoken::Nothing),
            }
        }
        spoken.keep(bytes);
        Ok(spoken)
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, NotSpoken>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            self.encoder.as_ref()?;
            let mut bytes = Vec::new();
            match self.speech.next().await {
                Some(Said::Samples { samples, .. }) => self.encode(&samples, &mut bytes),
                Some(Said::Failed { error, .. }) => {
                    self.encoder = None;
                    return Some(Err(error.into()));
                }
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                Some(Said::Finished { .. } | Said::Dropped { .. }) => {
                    if let Some(encoder) = self.encoder.take() {
                        encoder.finish(&mut bytes);
                    }
                }
                // The voices stop before the end: the server goes down.
                None => {
                    self.encoder = None;
                    return Some(Err(Refused::Closing.into()));
                }
            }
            self.keep(bytes);
        }
    }

    fn encode(&mut self, samples: &[f32], bytes: &mut Vec<u8>) {
        if let Some(encoder) = &mut self.encoder {
            encoder.push(samples, bytes);
        }
    }

    fn keep(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.ready.push_back(bytes.into());
        }
    }
}

/// What is to be said at a speed.
pub(super) fn utterance(voice: VoiceId, text: &str, speed: f32) -> Utterance {
    let text = Piece::Text(text.to_owned());
    let pieces = if (speed - 1.0).abs() < 0.01 {
        vec![text]
    } else {
        vec![Piece::Prosody(Prosody { rate: speed.clamp(0.3, 3.0), ..Prosody::default() }, vec![text])]
    };
    Utterance { voice, pieces }
}

/// The language of a text whose sender does not say it: German where more of its words are German's commonest than
/// English's, else English.
pub(super) fn language_of(text: &str) -> Language {
    let (mut german, mut english) = (0, 0);
    for word in text.split(|c: char| !c.is_alphabetic()).take(400) {
        let word = word.to_lowercase();
        let umlauts = word.chars().filter(|c| matches!(c, 'ä' | 'ö' | 'ü' | 'ß')).count();
        german += usize::from(GERMAN.contains(&word.as_str())) + umlauts;
        english += usize::from(ENGLISH.contains(&word.as_str()));
    }
    if german > english { Language::GERMAN } else { Language::ENGLISH_US }
}

const GERMAN: [&str; 48] = [
    "der", "die", "das", "den", "dem", "ein", "eine", "einen", "und", "oder", "aber", "ist", "sind", "war", "nicht",
    "ich", "du", "sie", "wir", "er", "es", "mit", "von", "zu", "zum", "zur", "auf", "für", "bei", "im", "um", "wie",
    "was", "wann", "ja", "nein", "guten", "gute", "tag", "hallo", "bitte", "danke", "uhr", "auch", "noch", "kann",
    "haben", "wird",
];

const ENGLISH: [&str; 48] = [
    "the", "a", "an", "and", "or", "but", "is", "are", "was", "not", "i", "you", "she", "he", "it", "we", "they",
    "with", "of", "to", "on", "for", "at", "in", "how", "what", "when", "yes", "no", "good", "hello", "hi", "please",
    "thanks", "thank", "also", "can", "have", "will", "this", "that", "your", "my", "do", "be", "from", "by", "there",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_its_own_language() {
        for (text, expected) in [
            ("Guten Tag, wie kann ich Ihnen helfen?", Language::GERMAN),
            ("Schöne Grüße", Language::GERMAN),
            ("Hello, how can I help you?", Language::ENGLISH_US),
            ("The quick brown fox jumped over the lazy dog.", Language::ENGLISH_US),
            ("Die Katze", Language::GERMAN),
            ("4711", Language::ENGLISH_US),
            ("", Language::ENGLISH_US),
        ] {
            assert_eq!(language_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_speed_is_a_mark_around_the_text() {
        assert_eq!(utterance(VoiceId::default(), "x", 1.0), Utterance::plain(VoiceId::default(), "x"));
        let quick = utterance(VoiceId::default(), "x", 4.0);
        assert!(matches!(&quick.pieces[0], Piece::Prosody(Prosody { rate: 3.0, .. }, _)), "{quick:?}");
    }
}
