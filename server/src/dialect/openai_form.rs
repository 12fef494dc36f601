//! Reads a `multipart/form-data` upload: short text fields into memory, the recording into memory or, beyond
//! 8 MiB, into a file without a name that is gone when it is closed.
//!
//! Runs on an async task. Memory is bounded whatever is sent: fields are few and short, and what goes beyond
//! the limits is read to its end (a client that still writes would not hear the refusal) but kept nowhere.

use std::io;

use axum::{
    extract::multipart::{Field, Multipart, MultipartError},
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

use super::{
    openai_error::Refusal,
    openai_params::{SPEAKER_REFERENCES, SPEAKERS_MAX},
};
use crate::{socket::IDLE_TIMEOUT, transcribe::Source};

/// What was uploaded.
#[derive(Debug)]
pub(super) struct Form {
    /// Text fields in the order in which they came.
    pub fields: Vec<(String, String)>,
    /// The recording.
    pub file: Source,
}

/// Reads the form; the recording may have `file_bytes_max` bytes.
///
/// # Errors
/// 400 when the form is broken or holds no file, 413 when something is too large.
pub(super) async fn read(mut multipart: Multipart, file_bytes_max: u64) -> Result<Form, Refusal> {
    let mut fields = Vec::new();
    let mut file = None;
    let mut too_large = None;
    let mut references = 0;
    while let Some(mut field) = multipart.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        // A file that comes twice counts as last said, like every field.
        if name == "file" {
            match spool(&mut field, file_bytes_max).await? {
                Spooled::Kept(source) => file = Some(source),
                Spooled::TooLarge => {
                    too_large = Some((name, format!("The file is larger than {file_bytes_max} bytes.")));
                }
            }
        } else if fields.len() < FIELDS_MAX {
            let is_reference = name.starts_with(SPEAKER_REFERENCES);
            references += usize::from(is_reference);
            if references > SPEAKERS_MAX {
                let message = format!("At most {SPEAKERS_MAX} speakers can be known.");
                return Err(Refusal::value(SPEAKER_REFERENCES, "too_many_fields", message));
            }
            let bytes_max = if is_reference { REFERENCE_BYTES_MAX } else { FIELD_BYTES_MAX };
            match text(&mut field, bytes_max).await? {
                Some(value) => fields.push((name, value)),
                None => {
                    let message = format!("The field is larger than {bytes_max} bytes.");
                    too_large = Some((name.chars().take(60).collect(), message));
                }
            }
        } else {
            return Err(Refusal::request(
                StatusCode::BAD_REQUEST,
                "too_many_fields",
                format!("The form has more than {FIELDS_MAX} fields."),
            ));
        }
    }
    if let Some((param, message)) = too_large {
        let refusal = Refusal::value(&param, "too_large", message);
        return Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, ..refusal });
    }
    let file = file.ok_or_else(|| {
        Refusal::value("file", "missing_required_parameter", "You must provide a file: the recording to transcribe.")
    })?;
    Ok(Form { fields, file })
}

enum Spooled {
    Kept(Source),
    TooLarge,
}

async fn spool(field: &mut Field<'_>, bytes_max: u64) -> Result<Spooled, Refusal> {
    let mut memory = BytesMut::new();
    let mut disk: Option<tokio::fs::File> = None;
    let mut total: u64 = 0;
    while let Some(chunk) = chunk(field).await? {
        total += chunk.len() as u64;
        if total > bytes_max {
            // Read on, keep nothing.
            disk = None;
            memory = BytesMut::new();
        } else if let Some(file) = &mut disk {
            file.write_all(&chunk).await.map_err(|error| no_room(&error))?;
        } else if memory.len() + chunk.len() <= MEMORY_BYTES_MAX {
            memory.extend_from_slice(&chunk);
        } else {
            let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other).flatten();
            let mut file = tokio::fs::File::from_std(file.map_err(|error| no_room(&error))?);
            file.write_all(&memory).await.map_err(|error| no_room(&error))?;
            file.write_all(&chunk).await.map_err(|error| no_room(&error))?;
            memory = BytesMut::new();
            disk = Some(file);
        }
    }
    if total > bytes_max {
        return Ok(Spooled::TooLarge);
    }
    Ok(Spooled::Kept(match disk {
        Some(mut file) => {
            file.flush().await.map_err(|error| no_room(&error))?;
            Source::File(file.into_std().await)
        }
        None => Source::Bytes(memory.freeze()),
    }))
}

/// The value of a text field; `None` when it is longer than a field may be. Broken UTF-8 is replaced: the
/// parser of the field refuses what it does not know.
async fn text(field: &mut Field<'_>, bytes_max: usize) -> Result<Option<String>, Refusal> {
    let mut bytes = BytesMut::new();
    let mut fits = true;
    while let Some(chunk) = chunk(field).await? {
        fits &= bytes.len() + chunk.len() <= bytes_max;
        if fits {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(fits.then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

async fn chunk(field: &mut Field<'_>) -> Result<Option<Bytes>, Refusal> {
    // A client that stops in the middle would hold its place for ever.
    match tokio::time::timeout(IDLE_TIMEOUT, field.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| broken(&error)),
        Err(_) => Err(Refusal::request(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("Nothing of the upload came for {} seconds.", IDLE_TIMEOUT.as_secs()),
        )),
    }
}

/// What is said of a form that cannot be read.
pub(super) fn broken(error: &MultipartError) -> Refusal {
    let code = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "invalid_form" };
    Refusal::request(error.status(), code, format!("The form cannot be read: {}.", error.body_text()))
}

fn no_room(error: &io::Error) -> Refusal {
    tracing::error!(%error, "an upload could not be kept on disk");
    Refusal::request(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The upload could not be kept.")
}

/// Uploads up to this stay in memory: four minutes of 16 kHz speech, and most of what people dictate.
const MEMORY_BYTES_MAX: usize = 8 << 20;

/// A recording of a known speaker: ten seconds of stereo as a file of samples, in base64.
const REFERENCE_BYTES_MAX: usize = 4 << 20;

/// No other field of the dialect is longer than a prompt.
const FIELD_BYTES_MAX: usize = 256 << 10;

/// The dialect has about fifteen fields; lists repeat theirs.
const FIELDS_MAX: usize = 256;
