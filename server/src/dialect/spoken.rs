//! Speech as the answer to a request: what is said becomes bytes while it is spoken, whichever dialect asked.
//!
//! Nothing is answered before the first sound is there, on the request's task, so that a voice that fails is told by a
//! status. From then on a task of its own hands over one piece after the other; what fails later ends the answer before
//! its end, which every client notices. Whoever goes away, or reads nothing for as long as a socket may be left unread,
//! drops the speech and with it what is still to be said. At most [`PLACES_MAX`] are spoken to at once; one more is
//! refused.

use std::io;

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::timeout,
};
use tts::{
    utterance::{Piece, Prosody, Utterance},
    voice::{self, Language, VoiceId},
    worker::{Refused, Said, Speech, Voices},
};

use crate::{
    app::App,
    encode::{Encoder, Format},
    error::ApiError,
    socket,
};

/// A request's body: four thousand characters of four bytes, each written as an escape, and the rest.
pub(super) const BODY_BYTES_MAX: usize = 128 << 10;

/// Opus without a bit rate: what music streams have twice of, and more than speech needs.
pub(super) const OPUS_BPS: u32 = 48_000;

/// Answers that are spoken at once in this process: a quarter of the lines of speech, so that calls keep the rest.
const PLACES_MAX: usize = 256;

static PLACES: Semaphore = Semaphore::const_new(PLACES_MAX);

/// A place of one who is spoken to.
pub(super) type Place = SemaphorePermit<'static>;

/// Takes a place.
///
/// # Errors
/// 503 when there is none.
pub(super) fn place() -> Result<Place, ApiError> {
    PLACES.try_acquire().map_err(|_| ApiError::full("too much is being said"))
}

/// An answer that is being spoken.
pub(super) struct Spoken {
    parts: mpsc::Receiver<Part>,
    is_over: bool,
}

/// A part of an answer. Only one that ends by its last is whole.
enum Part {
    Bytes(Bytes),
    Failed(NotSpoken),
    Last,
}

/// What speaks an answer.
struct Speaking {
    speech: Speech,
    encoder: Encoder,
    _place: Place,
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
    /// There is no voice, no encoder, or no place.
    #[error(transparent)]
    Server(#[from] ApiError),
    /// What was said already was not read.
    #[error("the answer was left unread for too long")]
    Unread,
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
            Self::Unread => ApiError::new(StatusCode::REQUEST_TIMEOUT, "unread", self.to_string()),
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
        if app.admission().is_draining() {
            return Err(ApiError::draining().into());
        }
        let place = place()?;
        Self::by(app.voices()?, place, utterance, format, bitrate_bps).await
    }

    /// The same by these voices.
    async fn by(
        voices: &Voices,
        place: Place,
        utterance: &Utterance,
        format: Format,
        bitrate_bps: u32,
    ) -> Result<Self, NotSpoken> {
        let mut speech = voices.speak(utterance, format.rate_hz)?;
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(format, bitrate_bps, &mut bytes).map_err(ApiError::internal)?;
        loop {
            match speech.next().await {
                Some(Said::Samples { samples, .. }) => {
                    encoder.push(&samples, &mut bytes);
                    break;
                }
                Some(Said::Failed { error, .. }) => return Err(error.into()),
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                Some(Said::Finished { .. } | Said::Dropped { .. }) | None => return Err(NotSpoken::Nothing),
            }
        }
        // One part waits for the client; what is made beyond it waits in the line of speech, which is bounded.
        let (to, parts) = mpsc::channel(1);
        tokio::spawn(Speaking { speech, encoder, _place: place }.run(bytes, to));
        Ok(Self { parts, is_over: false })
    }

    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, NotSpoken>> {
        if self.is_over {
            return None;
        }
        match self.parts.recv().await {
            Some(Part::Bytes(bytes)) => return Some(Ok(bytes)),
            Some(Part::Last) => self.is_over = true,
            Some(Part::Failed(error)) => {
                self.is_over = true;
                return Some(Err(error));
            }
            // Whoever spoke it has given up, and could not say so.
            None => {
                self.is_over = true;
                return Some(Err(NotSpoken::Unread));
            }
        }
        None
    }

    /// The answer as a body. One that breaks off is cut, so that nobody takes it for whole.
    pub(super) fn body(self) -> Body {
        Body::from_stream(unfold(self, |mut spoken| async move {
            let part = spoken.next().await?;
            Some((part.map_err(|error| io::Error::other(error.to_string())), spoken))
        }))
    }
}

impl Speaking {
    /// Hands everything over, `bytes` first, to a client that reads.
    async fn run(self, mut bytes: Vec<u8>, to: mpsc::Sender<Part>) {
        let Self { _place, mut speech, mut encoder } = self;
        let last = loop {
            if !bytes.is_empty() && !give(&to, Part::Bytes(std::mem::take(&mut bytes).into())).await {
                return;
            }
            let said = tokio::select! {
                said = speech.next() => said,
                () = to.closed() => return,
            };
            match said {
                Some(Said::Samples { samples, .. }) => encoder.push(&samples, &mut bytes),
                Some(Said::Word { .. } | Said::Viseme { .. }) => {}
                Some(Said::Failed { error, .. }) => break Part::Failed(error.into()),
                Some(Said::Finished { .. } | Said::Dropped { .. }) => {
                    encoder.finish(&mut bytes);
                    if !bytes.is_empty() && !give(&to, Part::Bytes(bytes.into())).await {
                        return;
                    }
                    break Part::Last;
                }
                // The voices stop before the end: the server goes down.
                None => break Part::Failed(Refused::Closing.into()),
            }
        };
        give(&to, last).await;
    }
}

/// Hands a part over; false when the client has gone or reads nothing.
async fn give(to: &mpsc::Sender<Part>, part: Part) -> bool {
    matches!(timeout(socket::WRITE_TIMEOUT, to.send(part)).await, Ok(Ok(())))
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
    use std::sync::Arc;

    use tts::{fake::Fake, worker::Options};

    use super::*;
    use crate::encode::Coding;

    const PLAIN: Format = Format { coding: Coding::Linear16, is_wav: false, rate_hz: 16_000 };

    fn voices() -> Voices {
        Voices::start(Arc::new(Fake::default()), Options::default()).unwrap()
    }

    /// How many bytes come, and how it ends.
    async fn rest(mut spoken: Spoken) -> (usize, Result<(), NotSpoken>) {
        let mut bytes = 0;
        while let Some(part) = spoken.next().await {
            match part {
                Ok(part) => bytes += part.len(),
                Err(error) => {
                    assert!(spoken.next().await.is_none(), "an end is the end");
                    return (bytes, Err(error));
                }
            }
        }
        (bytes, Ok(()))
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_ends_with_an_error() {
        let voices = voices();
        for (text, is_whole) in [("one two three four", true), ("one two three fail", false)] {
            let utterance = Utterance::plain(VoiceId::default(), text);
            let spoken = Spoken::by(&voices, place().unwrap(), &utterance, PLAIN, OPUS_BPS).await.unwrap();
            let (bytes, end) = rest(spoken).await;
            assert!(bytes > 3 * 1_600, "{text}: {bytes} bytes");
            assert!(if is_whole { end.is_ok() } else { matches!(end, Err(NotSpoken::Voice(_))) }, "{text}: {end:?}");
        }
        let nothing = Utterance::plain(VoiceId::default(), "***");
        let refused = Spoken::by(&voices, place().unwrap(), &nothing, PLAIN, OPUS_BPS).await;
        assert!(matches!(refused.err(), Some(NotSpoken::Nothing)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_gives_up_the_line_and_the_place_and_is_not_told_that_it_was_all() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let voices = voices();
        let utterance = Utterance::plain(VoiceId::default(), "one two three four five six");
        let place = ONE.try_acquire().unwrap();
        let spoken = Spoken::by(&voices, place, &utterance, PLAIN, OPUS_BPS).await.unwrap();
        assert_eq!(voices.stats().lines, 1);
        // The clock goes on by itself once everybody waits for it alone.
        drop(ONE.acquire().await.unwrap());
        assert_eq!(voices.stats().lines, 0);
        let (bytes, end) = rest(spoken).await;
        assert!(bytes > 0 && matches!(end, Err(NotSpoken::Unread)), "{bytes} bytes, {end:?}");
    }

    #[tokio::test]
    async fn who_goes_away_gives_up_the_line_and_the_place() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let voices = voices();
        let utterance = Utterance::plain(VoiceId::default(), "one two three four five six");
        let spoken = Spoken::by(&voices, ONE.try_acquire().unwrap(), &utterance, PLAIN, OPUS_BPS).await.unwrap();
        drop(spoken.body());
        drop(ONE.acquire().await.unwrap());
        assert_eq!(voices.stats().lines, 0);
    }

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
