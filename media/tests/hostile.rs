//! Bytes that mean harm or had an accident: typed errors, bounded memory, no panic, no hang.

#![expect(clippy::print_stdout, reason = "a skipped check says so")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    io::{self, Cursor, Read},
    path::Path,
};

use media::decode::{DecodeError, Losses, file::Decoder, sniff::Container};
use proptest::prelude::*;

const FIXTURES: [&str; 16] = [
    "speech.wav",
    "streamed.wav",
    "extensible.wav",
    "mulaw.wav",
    "speech.flac",
    "stereo.flac",
    "stereo.mp3",
    "stereo.ogg",
    "stereo.opus",
    "stereo.webm",
    "vorbis.webm",
    "live.webm",
    "stereo.m4a",
    "fragmented.mp4",
    "opus.mp4",
    "speech.aac",
];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Samples per channel, losses, and the error if it ended with one.
fn drain(mut decoder: Decoder) -> (usize, Losses, Option<DecodeError>) {
    let mut samples = 0;
    let error = loop {
        match decoder.next_block() {
            Ok(Some(block)) => {
                assert!(block.channels.iter().all(|channel| channel.len() == block.samples()));
                assert!(block.channels.iter().flatten().all(|s| (-1.0..=1.0).contains(s)));
                samples += block.samples();
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    (samples, decoder.losses(), error)
}

fn open(bytes: Vec<u8>) -> Result<Decoder, DecodeError> {
    Decoder::open(Cursor::new(bytes))
}

/// Highest memory use of this process so far, in MiB: resident, and with what was asked for and never touched.
fn peak_mib() -> Option<[u64; 2]> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok();
    let kib: [Option<u64>; 2] = [field("VmHWM:"), field("VmPeak:")];
    Some([kib[0]? >> 10, kib[1]? >> 10])
}

/// Runs `work` and checks that it needed less than `mib` more memory.
fn within_mib(mib: u64, work: impl FnOnce()) {
    let before = peak_mib();
    work();
    match before.zip(peak_mib()) {
        Some((before, after)) => {
            let grown = [after[0] - before[0], after[1] - before[1]];
            assert!(grown.iter().all(|&grown| grown < mib), "memory grew by {grown:?} MiB");
        }
        None => println!("skipped the memory check: no /proc/self/status here"),
    }
}

#[test]
fn nothing_and_almost_nothing_are_told_apart() {
    assert!(matches!(open(Vec::new()), Err(DecodeError::Empty)));
    assert!(matches!(open(b"RIFF".to_vec()), Err(DecodeError::Unrecognised(_))));
    let error = open(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec()).err().unwrap().to_string();
    assert!(error.starts_with("this is a PNG image; expected WAV"), "{error}");
}

#[test]
fn truncated_audio_gives_what_is_there_and_a_warning() {
    for name in ["speech.wav", "stereo.ogg", "stereo.opus", "stereo.webm", "stereo.flac", "faststart.m4a"] {
        let whole = bytes(name);
        let all = drain(open(whole.clone()).unwrap()).0;
        let (samples, losses, error) = drain(open(whole[..whole.len() * 8 / 10].to_vec()).unwrap());
        assert!(losses.truncated, "{name}: {losses:?} {error:?}");
        assert!(error.is_none(), "{name}: {error:?}");
        assert!((all / 10..all * 9 / 10).contains(&samples), "{name}: {samples} of {all}");
    }
}

#[test]
fn a_header_alone_is_an_empty_recording_or_a_damaged_one() {
    let (samples, losses, error) = drain(open(bytes("speech.wav")[..44].to_vec()).unwrap());
    assert_eq!((samples, losses.truncated, error.is_none()), (0, true, true));
    assert!(matches!(
        open(bytes("speech.wav")[..30].to_vec()),
        Err(DecodeError::Damaged { container: Container::Wav, .. })
    ));
    for name in FIXTURES {
        // Wherever a header is cut there is an error or an end, never anything else.
        for cut in [1, 4, 12, 20, 30, 50, 100, 200] {
            if let Ok(decoder) = open(bytes(name)[..cut].to_vec()) {
                drain(decoder);
            }
        }
    }
}

#[test]
fn a_wav_that_declares_no_length_plays_to_its_end() {
    for declared in [0_u32, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut wav = bytes("speech.wav");
        let at = wav.windows(4).position(|w| w == b"data").unwrap() + 4;
        wav[at..at + 4].copy_from_slice(&declared.to_le_bytes());
        let (samples, losses, error) = drain(open(wav).unwrap());
        assert_eq!((samples, losses, error.is_none()), (12_800, Losses::default(), true), "{declared:#x}");
    }
}

#[test]
fn chunks_around_the_audio_are_read_over() {
    let wav = bytes("speech.wav");
    let mut decorated = wav[..12].to_vec();
    decorated.extend(b"LIST\x05\0\0\0hello\0");
    decorated.extend(&wav[12..]);
    decorated.extend(b"LIST\x04\0\0\0tail");
    assert_eq!(drain(open(decorated).unwrap()).0, 12_800);
}

fn wav_header(rate_hz: u32, channels: u16, bits: u16, data_bytes: u32) -> Vec<u8> {
    let frame_bytes = channels.wrapping_mul(bits / 8);
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0".to_vec();
    header.extend(channels.to_le_bytes());
    header.extend(rate_hz.to_le_bytes());
    header.extend(rate_hz.wrapping_mul(u32::from(frame_bytes)).to_le_bytes());
    header.extend(frame_bytes.to_le_bytes());
    header.extend(bits.to_le_bytes());
    header.extend(b"data");
    header.extend(data_bytes.to_le_bytes());
    header
}

#[test]
fn thirty_two_channels_at_192_khz_are_decoded() {
    let mut wav = wav_header(192_000, 32, 24, 32 * 3 * 1_000);
    wav.extend((0..32 * 1_000).flat_map(|n| [0, 0, (n % 32) as u8]));
    let mut decoder = open(wav).unwrap();
    let block = decoder.next_block().unwrap().unwrap();
    assert_eq!((block.rate_hz, block.channels.len()), (192_000, 32));
    assert!(block.channels.iter().enumerate().all(|(c, samples)| samples.iter().all(|&s| s == c as f32 / 128.0)));
    assert_eq!(block.samples() + drain(decoder).0, 1_000);
}

#[test]
fn unbelievable_formats_are_refused() {
    for (rate_hz, channels, bits) in [
        (0, 1, 16),
        (u32::MAX, 1, 16),
        (16_000, 0, 16),
        (16_000, 33, 16),
        (16_000, u16::MAX, 16),
        (16_000, 1, 7),
        (16_000, 1, 0),
    ] {
        let mut wav = wav_header(rate_hz, channels, bits, 100);
        wav.resize(144, 0);
        let error = open(wav).err().unwrap();
        assert!(matches!(error, DecodeError::Unsupported { container: Container::Wav, .. }), "{error}");
    }
}

#[test]
fn declared_sizes_are_not_allocated() {
    let mut ogg = bytes("stereo.opus");
    let tags = ogg.windows(8).position(|w| w == b"OpusTags").unwrap() + 8;
    ogg[tags..tags + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut flac = bytes("speech.flac");
    flac[5..8].copy_from_slice(&[0xff; 3]);
    let mut webm = bytes("stereo.webm")[..40].to_vec();
    webm.extend([0x16, 0x54, 0xae, 0x6b, 0x01, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    webm.resize(500, 0);
    let mut mp4 = bytes("faststart.m4a");
    for table in [&b"stts"[..], b"stsz", b"stsc", b"stco"] {
        let at = mp4.windows(4).position(|w| w == table).unwrap();
        mp4[at + 8..at + 12].copy_from_slice(&[0x3f, 0xff, 0xff, 0xff]);
    }
    let mut format_chunk = wav_header(16_000, 1, 16, 0);
    format_chunk[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let id3 = b"ID3\x04\0\0\x7f\x7f\x7f\x7f rest".to_vec();
    within_mib(100, || {
        for hostile in [ogg, flac, webm, mp4, format_chunk, id3] {
            if let Ok(decoder) = open(hostile) {
                drain(decoder);
            }
        }
    });
}

/// Repeats its bytes for ever, after a beginning.
struct Endless(Cursor<Vec<u8>>, io::Chain<Cursor<Vec<u8>>, io::Empty>);

impl Endless {
    fn new(beginning: &[u8], repeated: &[u8]) -> Self {
        Self(Cursor::new(repeated.to_vec()), Cursor::new(beginning.to_vec()).chain(io::empty()))
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.1.read(buffer)? {
            0 => {
                if self.0.position() == self.0.get_ref().len() as u64 {
                    self.0.set_position(0);
                }
                self.0.read(buffer)
            }
            read => Ok(read),
        }
    }
}

#[test]
fn an_endless_header_ends() {
    let mut junk = b"JUNK\xf8\xff\0\0".to_vec();
    junk.resize(8 + 0xfff8, 0);
    let mut padding = vec![1, 0, 0xff, 0xf0];
    padding.resize(4 + 0xfff0, 0);
    let stream_info = &bytes("speech.flac")[..42];
    let mut webm_void = vec![0xec, 0x10, 0xff, 0xf0];
    webm_void.resize(4 + 0xfff0, 0);
    let webm = bytes("live.webm");
    let webm_start = &webm[..webm.windows(4).position(|w| w == [0x11, 0x4d, 0x9b, 0x74]).unwrap()];
    let mut free = b"\0\0\xff\xf8free".to_vec();
    free.resize(0xfff8, 0);
    let ftyp = b"\0\0\0\x10ftypM4A \0\0\0\0";
    within_mib(200, || {
        for (container, beginning, repeated) in [
            (Container::Wav, &b"RIFF\xff\xff\xff\xffWAVE"[..], &junk),
            (Container::Flac, stream_info, &padding),
            (Container::WebM, webm_start, &webm_void),
            (Container::Mp4, ftyp, &free),
            (Container::Mp3, b"\xff\xfb\x90\x64", &vec![0; 10_000]),
            (Container::Ogg, b"OggS\0\x02", &vec![0; 10_000]),
        ] {
            match Decoder::open_stream(Endless::new(beginning, repeated)) {
                Err(DecodeError::NoAudio { container: found } | DecodeError::Damaged { container: found, .. }) => {
                    assert_eq!(found, container);
                }
                Err(other) => panic!("{container}: {other}"),
                Ok(_) => panic!("{container}: opened"),
            }
        }
    });
}

/// Two hours of a 440 Hz sine, made as they are read.
struct LongRecording {
    header: Cursor<Vec<u8>>,
    next_sample: u64,
    samples: u64,
}

impl Read for LongRecording {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.header.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        let mut written = 0;
        for place in buffer.chunks_exact_mut(2).take((self.samples - self.next_sample) as usize) {
            let phase = (self.next_sample % 400) as f32 * 11.0 / 400.0 * std::f32::consts::TAU;
            place.copy_from_slice(&((phase.sin() * 16_384.0) as i16).to_le_bytes());
            self.next_sample += 1;
            written += 2;
        }
        Ok(written)
    }
}

#[test]
fn two_hours_are_decoded_in_a_bounded_amount_of_memory() {
    let samples = 2 * 60 * 60 * 16_000;
    let header = Cursor::new(wav_header(16_000, 1, 16, samples as u32 * 2));
    within_mib(20, || {
        let decoder = Decoder::open_stream(LongRecording { header, next_sample: 0, samples }).unwrap();
        let mut heard = 0;
        let mut energy = 0.0;
        for block in decoder {
            let block = block.unwrap();
            heard += block.samples() as u64;
            energy += block.channels[0].iter().map(|&s| f64::from(s * s)).sum::<f64>();
        }
        assert_eq!(heard, samples);
        assert!((energy / samples as f64 - 0.125).abs() < 1e-3);
    });
}

#[test]
fn twenty_minutes_of_compressed_audio_are_decoded_in_a_bounded_amount_of_memory() {
    let mp3 = bytes("stereo.mp3");
    // The first frame, of 288 bytes as all of them, says how long the recording is; this one is longer.
    let frames = &mp3[mp3.windows(2).position(|w| w == [0xff, 0xf3]).unwrap() + 288..];
    let repeats = 20 * 60;
    let length = frames.len() as u64 * repeats;
    within_mib(20, || {
        let decoder = Decoder::open_stream(Endless::new(&[], frames).take(length)).unwrap();
        let (samples, losses, error) = drain(decoder);
        assert!(error.is_none(), "{error:?}");
        assert!(samples > 15 * 60 * 16_000, "{samples} samples, {losses:?}");
    });
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_decoded(
        name in prop::sample::select(FIXTURES.to_vec()),
        keep in 0..64_usize,
        noise in prop::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let mut input = bytes(name)[..keep].to_vec();
        input.extend(noise);
        if let Ok(decoder) = open(input) {
            drain(decoder);
        }
    }

    #[test]
    fn damaged_files_are_refused_or_decoded(
        name in prop::sample::select(FIXTURES.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        header_damage in prop::collection::vec((0..600_usize, any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        streamed in any::<bool>(),
    ) {
        let mut input = bytes(name);
        for (at, byte) in damage {
            let at = at.index(input.len());
            input[at] = byte;
        }
        for (at, byte) in header_damage {
            input[at] = byte;
        }
        input.truncate(input.len() / 2 + cut.index(input.len() / 2 + 1));
        let opened = if streamed { Decoder::open_stream(Cursor::new(input)) } else { open(input) };
        if let Ok(decoder) = opened {
            drain(decoder);
        }
    }
}
