//! What kind of bytes these are, judged by how they begin.
//!
//! Names and content types lie, first bytes rarely do. What is no audio is named as well as can be, because
//! "this is a PNG image" helps a sender more than "bad request".

use std::fmt;

/// Bytes that suffice to recognise every container.
pub const ENOUGH_BYTES: usize = 16;

/// The containers that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// RIFF, RF64 or BW64 with uncompressed or G.711 audio.
    Wav,
    /// Native FLAC.
    Flac,
    /// MPEG audio, layers 1 to 3.
    Mp3,
    /// Ogg with Opus, Vorbis or FLAC.
    Ogg,
    /// WebM or Matroska.
    WebM,
    /// MP4, M4A, QuickTime.
    Mp4,
    /// AAC in ADTS frames.
    Aac,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::Ogg => "Ogg",
            Self::WebM => "WebM",
            Self::Mp4 => "MP4",
            Self::Aac => "AAC",
        })
    }
}

/// The bytes begin like no audio container that is known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is {seems}; expected WAV, FLAC, MP3, AAC, Ogg (Opus or Vorbis), WebM (Opus) or MP4 (AAC)")]
pub struct Unrecognised {
    /// What the bytes seem to be instead, with its article.
    pub seems: &'static str,
}

/// The container that begins with `bytes`; give [`ENOUGH_BYTES`] of them where there are as many.
pub fn sniff(bytes: &[u8]) -> Result<Container, Unrecognised> {
    let form = bytes.get(8..12);
    match bytes {
        [b'R', b'I', b'F', b'F', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..]
            if form == Some(b"WAVE") =>
        {
            Ok(Container::Wav)
        }
        [b'f', b'L', b'a', b'C', ..] => Ok(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Ok(Container::Ogg),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Ok(Container::WebM),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(Container::Mp4),
        [0xff, second, third, ..] if second & 0xe0 == 0xe0 => mpeg_frame(*second, *third),
        _ => Err(Unrecognised { seems: other(bytes) }),
    }
}

/// Length of the ID3v2 tag at the start of `bytes`, its header of ten bytes included.
pub(super) fn id3_bytes(bytes: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', version, _, flags, a, b, c, d] = bytes.first_chunk::<10>()? else { return None };
    if version == 0xff || [a, b, c, d].iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let body = [a, b, c, d].iter().fold(0, |size, &byte| size << 7 | u64::from(byte));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(10 + body + footer)
}

/// Where a WebM says that it ends; `None` when its writer did not know or did not say so at the start.
pub(super) fn webm_end_byte(bytes: &[u8]) -> Option<u64> {
    const SEGMENT_ID: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let at = bytes.windows(4).position(|window| window == SEGMENT_ID)? + SEGMENT_ID.len();
    // The leading zeros of the first byte count the bytes that follow; all ones is an unknown size.
    let &first = bytes.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let field = bytes.get(at..at + length)?;
    let marker = 0x80_u64.checked_shl(7 * (length as u32 - 1))?;
    let size = field.iter().fold(0, |size: u64, &byte| size << 8 | u64::from(byte)) ^ marker;
    (size != marker - 1).then_some(())?;
    size.checked_add((at + length) as u64)
}

/// A frame header has a version, a layer, a bit rate and a sample rate; all ones are none of these.
fn mpeg_frame(second: u8, third: u8) -> Result<Container, Unrecognised> {
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    match layer {
        0 if second & 0xf0 == 0xf0 && third >> 2 & 0xf < 13 => Ok(Container::Aac),
        1.. if version != 1 && third >> 4 != 0xf && third >> 2 & 3 != 3 => Ok(Container::Mp3),
        _ => Err(Unrecognised { seems: NOTHING_KNOWN }),
    }
}

const NOTHING_KNOWN: &str = "nothing that is known here (raw audio needs its encoding and sample rate in the request)";

fn other(bytes: &[u8]) -> &'static str {
    let form = bytes.get(8..12);
    let known: [(&[u8], &str); 22] = [
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
        (b"\x1f\x8b", "gzip-compressed data"),
        (b"BZh", "bzip2-compressed data"),
        (b"\xfd7zXZ", "xz-compressed data"),
        (b"(\xb5/\xfd", "zstd-compressed data"),
        (b"#!AMR", "AMR audio, which is not supported"),
        (b"caff", "Core Audio (CAF), which is not supported"),
        (b"MThd", "a MIDI file, which has notes and no sound"),
        (b".snd", "Sun audio (AU), which is not supported"),
        (b"FLV", "a Flash video, which is not supported"),
        (b"OpusHead", "a bare Opus header without its Ogg container"),
        (b"\x30\x26\xb2\x75", "Windows Media (ASF), which is not supported"),
        (b"wvpk", "WavPack audio, which is not supported"),
        (b"MAC ", "Monkey's Audio, which is not supported"),
        (b"RIFF", "a RIFF file that is not WAV"),
        (b"FORM", "AIFF or another IFF file, which is not supported"),
        (b"\x7fELF", "a program"),
        (b"ID3", "a damaged ID3 tag"),
    ];
    if bytes.starts_with(b"RIFF") && form == Some(b"AVI ") {
        return "an AVI video, which is not supported";
    }
    if bytes.starts_with(b"RIFF") && form == Some(b"WEBP") {
        return "a WebP image";
    }
    if let Some((_, seems)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return seems;
    }
    let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    let start = &bytes[..bytes.len().min(64)];
    let text = start.iter().all(printable) && String::from_utf8_lossy(start).matches('\u{fffd}').count() <= 1;
    match start.trim_ascii_start().first() {
        _ if bytes.iter().all(|&byte| byte == 0) => "nothing but zero bytes",
        _ if !text => NOTHING_KNOWN,
        Some(b'{' | b'[') => "JSON text",
        Some(b'<') => "HTML or XML text",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        let known: [(&[u8], Container); 9] = [
            (b"RIFF\xff\xff\xff\xffWAVEfmt ", Container::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", Container::Wav),
            (b"fLaC\0\0\0\x22", Container::Flac),
            (b"OggS\0\x02", Container::Ogg),
            (b"\x1a\x45\xdf\xa3\x9f", Container::WebM),
            (b"\0\0\0\x20ftypM4A ", Container::Mp4),
            (b"\xff\xfb\x90\x64", Container::Mp3),
            (b"\xff\xf3\x40\xc0", Container::Mp3),
            (b"\xff\xf1\x50\x80", Container::Aac),
        ];
        for (bytes, container) in known {
            assert_eq!(sniff(bytes), Ok(container), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_audio_is_named() {
        let named: [(&[u8], &str); 9] = [
            (b"\x89PNG\r\n\x1a\n", "a PNG image"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
            (b"{\"type\":\"KeepAlive\"}", "JSON text"),
            (b"<!DOCTYPE html>", "HTML or XML text"),
            (b"Guten Tag, \xc3\xbcbrigens", "text"),
            (b"RIFF\0\0\0\0AVI LIST", "an AVI video, which is not supported"),
            (b"FORM\0\0\0\0AIFF", "AIFF or another IFF file, which is not supported"),
            (b"\0\0\0\0\0\0\0\0", "nothing but zero bytes"),
            (b"\x01\x02\x03\x9f\x80", NOTHING_KNOWN),
        ];
        for (bytes, seems) in named {
            assert_eq!(sniff(bytes), Err(Unrecognised { seems }), "{bytes:?}");
        }
        let message = sniff(b"\x89PNG\r\n\x1a\n").unwrap_err().to_string();
        assert!(message.starts_with("this is a PNG image; expected WAV, FLAC"), "{message}");
    }

    #[test]
    fn the_length_of_a_tag_is_read_seven_bits_at_a_time() {
        assert_eq!(id3_bytes(b"ID3\x04\0\0\0\0\x02\x01rest"), Some(10 + 257));
        assert_eq!(id3_bytes(b"ID3\x04\0\x10\0\0\0\0rest"), Some(20));
        assert_eq!(id3_bytes(b"ID3\x04\0\0\x80\0\x02\x01rest"), None);
        assert_eq!(id3_bytes(b"ID3"), None);
    }

    #[test]
    fn the_end_of_a_webm_is_where_its_segment_says() {
        assert_eq!(webm_end_byte(b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x85"), Some(10 + 5));
        assert_eq!(webm_end_byte(b"\x18\x53\x80\x67\x41\x02"), Some(6 + 0x102));
        assert_eq!(webm_end_byte(b"\x18\x53\x80\x67\x01\0\0\0\0\0\x10\0"), Some(12 + 0x1000));
        for unknown in
            [&b"\x18\x53\x80\x67\xff"[..], b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", b"\x18\x53\x80\x67"]
        {
            assert_eq!(webm_end_byte(unknown), None);
        }
    }

    proptest! {
        #[test]
        fn any_beginning_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = sniff(&bytes);
            let _ = id3_bytes(&bytes);
            let _ = webm_end_byte(&bytes);
        }
    }
}
