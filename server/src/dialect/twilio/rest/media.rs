//! The sound of a recording: `GET …/Recordings/{sid}.wav`, or without an ending, as Twilio has it.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};

use super::{Asked, desk, error::RestError, recording::MediaWish};
use crate::{dialect::twilio::sid::Sid, phone::recordings::wav::Wav};

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What it is.
    Facts,
    /// How it sounds.
    Wav,
    /// How it sounds, smaller.
    Mp3,
}

impl Wanted {
    /// Reads the end of a path: the name, and what its ending asks for.
    pub(super) fn read(named: &str) -> (&str, Self) {
        for (ending, wanted) in [(".json", Self::Facts), (".wav", Self::Wav), (".mp3", Self::Mp3)] {
            if let Some(name) = named.strip_suffix(ending) {
                return (name, wanted);
            }
        }
        (named, Self::Wav)
    }
}

/// MP3 is not written here, and nobody should take something else for it.
pub(super) fn no_mp3() -> RestError {
    let message = "recordings are kept as WAV and not as MP3: ask for the same path with .wav";
    RestError::new(StatusCode::NOT_ACCEPTABLE, 20_406, message)
}

/// Sends the sound as it is made.
pub(super) async fn sound(asked: &Asked, sid: Sid) -> Result<Response, RestError> {
    let wish = MediaWish::read(&asked.params)?;
    let found = desk::recording_media(&asked.app, sid, wish).await?;
    let Wav { bytes, mut pieces } = asked.found(found)?;
    let pieces = stream::poll_fn(move |cx| pieces.poll_recv(cx)).map(Ok::<_, Infallible>);
    let how = if wish.is_download { "attachment" } else { "inline" };
    let headers = [
        (header::CONTENT_TYPE, "audio/x-wav".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("{how}; filename=\"{sid}.wav\"")),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_wanted() {
        assert_eq!(Wanted::read("RE1.json"), ("RE1", Wanted::Facts));
        assert_eq!(Wanted::read("RE1.wav"), ("RE1", Wanted::Wav));
        assert_eq!(Wanted::read("RE1.mp3"), ("RE1", Wanted::Mp3));
        assert_eq!(Wanted::read("RE1"), ("RE1", Wanted::Wav));
        assert_eq!(no_mp3().status, StatusCode::NOT_ACCEPTABLE);
    }
}
