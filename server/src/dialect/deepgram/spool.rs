//! Keeps the audio of a request in a file without a name while it arrives, hashing it on the way.
//!
//! Runs on an async task. Memory holds one chunk, the disk at most the configured bytes; the file is gone when
//! it is closed. Headerless audio gets a WAV header in front, so that the same decoder reads both.

use std::{io, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use media::codec::raw::Encoding;
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
    time::timeout,
};

use super::{query::Audio, refusal::Refusal};
use crate::{encode::wav_header, transcribe::Source};

/// What arrived.
#[derive(Debug)]
pub struct Spooled {
    /// The recording.
    pub source: Source,
    /// Of the bytes as they came, hexadecimal.
    pub sha256: String,
}

/// A client that sends nothing of its body for this long has gone.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `body` to its end.
///
/// # Errors
/// 400 for an empty or broken body and for packets without a container, 408 when it stalls, 413 when it is
/// longer than `bytes_max`.
pub async fn spool<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    audio: Audio,
    bytes_max: u64,
) -> Result<Spooled, Refusal> {
    let header_bytes = match audio {
        Audio::Container => 0,
        Audio::Raw { encoding: Encoding::Opus, .. } => {
            return Err(Refusal::bad_request("encoding: opus packets need a container; send Ogg or WebM"));
        }
        Audio::Raw { .. } => HEADER_BYTES,
    };
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other).flatten();
    let mut file = File::from_std(file.map_err(no_room)?);
    file.write_all(&vec![0; header_bytes]).await.map_err(no_room)?;
    let mut hash = Sha256::new();
    let mut total: u64 = 0;
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = timeout(CHUNK_TIMEOUT, body.next()).await.map_err(|_| stalled())? {
        let chunk = chunk.map_err(|_| Refusal::bad_request("the audio broke off before its end"))?;
        total += chunk.len() as u64;
        if total > bytes_max {
            return Err(too_large(bytes_max));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(no_room)?;
    }
    if total == 0 {
        return Err(Refusal::bad_request("the body holds no audio"));
    }
    if let Audio::Raw { encoding, rate_hz, channels } = audio {
        file.rewind().await.map_err(no_room)?;
        file.write_all(&wav_header(encoding, rate_hz, channels, Some(total))).await.map_err(no_room)?;
    }
    file.flush().await.map_err(no_room)?;
    Ok(Spooled { source: Source::File(file.into_std().await), sha256: hex(&hash.finalize()) })
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stalled() -> Refusal {
    Refusal {
        status: StatusCode::REQUEST_TIMEOUT,
        err_code: "SLOW_UPLOAD".to_owned(),
        err_msg: "the audio stopped arriving before its end".to_owned(),
        retry_after_s: None,
    }
}

fn too_large(bytes_max: u64) -> Refusal {
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        err_code: "PAYLOAD_TOO_LARGE".to_owned(),
        err_msg: format!("the audio is larger than {bytes_max} bytes"),
        retry_after_s: None,
    }
}

fn no_room(error: io::Error) -> Refusal {
    tracing::error!(%error, "an upload could not be kept on disk");
    Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        err_code: "INTERNAL_SERVER_ERROR".to_owned(),
        err_msg: "the upload could not be kept".to_owned(),
        retry_after_s: None,
    }
}

const HEADER_BYTES: usize = 44;

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Seek};

    use futures_util::stream::iter;

    use super::*;

    type Chunk = Result<Bytes, io::Error>;

    fn body(chunks: &[&'static [u8]]) -> impl Stream<Item = Chunk> + use<> {
        iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect::<Vec<Chunk>>())
    }

    #[tokio::test]
    async fn what_arrives_is_kept_whole_and_hashed_as_it_came() {
        let spooled = spool(body(&[b"ab", b"c"]), Audio::Container, 10).await.unwrap();
        assert_eq!(spooled.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let Source::File(mut file) = spooled.source else { panic!("a file was expected") };
        let mut kept = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut kept).unwrap();
        assert_eq!(kept, b"abc");
    }

    #[tokio::test]
    async fn an_upload_is_refused_when_it_is_empty_too_large_or_broken() {
        let status = |result: Result<Spooled, Refusal>| result.unwrap_err().status.as_u16();
        assert_eq!(status(spool(body(&[]), Audio::Container, 10).await), 400);
        assert_eq!(status(spool(body(&[b"0123456789a"]), Audio::Container, 10).await), 413);
        let broken = iter([Ok(Bytes::from_static(b"ab")), Err(io::Error::other("gone"))]);
        assert_eq!(status(spool(broken, Audio::Container, 10).await), 400);
        let opus = Audio::Raw { encoding: Encoding::Opus, rate_hz: 48_000, channels: 1 };
        assert_eq!(status(spool(body(&[b"ab"]), opus, 10).await), 400);
    }

    #[test]
    fn headerless_audio_reads_as_the_wav_it_became() {
        for (encoding, sample_bytes) in
            [(Encoding::Linear16, 2), (Encoding::Linear32, 4), (Encoding::MuLaw, 1), (Encoding::ALaw, 1)]
        {
            let data = vec![0; 800 * sample_bytes * 2];
            let mut wav = wav_header(encoding, 8_000, 2, Some(data.len() as u64));
            assert_eq!(wav.len(), HEADER_BYTES);
            wav.extend_from_slice(&data);
            let mut decoder = media::decode::file::Decoder::open(Cursor::new(wav)).unwrap();
            let mut samples = 0;
            while let Some(block) = decoder.next_block().unwrap() {
                assert_eq!((block.rate_hz, block.channels.len()), (8_000, 2), "{encoding:?}");
                samples += block.channels[0].len();
            }
            assert_eq!(samples, 800, "{encoding:?}");
        }
    }
}
