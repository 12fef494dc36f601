//! Every container and codec against the audio it was made from: level, likeness, length and place in time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use media::{
    decode::{
        Block, DecodeError, Losses,
        file::Decoder,
        sniff::Container,
        stream::{self, Item},
    },
    dsp::level::rms_dbfs,
    ears::{Ears, Listen},
    frame::Format,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What a fixture became, as it was decoded and as the ears got it.
struct Decoded {
    container: Container,
    format: Format,
    losses: Losses,
    ears: Vec<Vec<f32>>,
}

fn decode(name: &str) -> Decoded {
    let mut decoder = Decoder::open(File::open(fixture(name)).unwrap()).unwrap();
    let mut ears = None;
    let mut heard = Vec::new();
    let mut format = None;
    for block in decoder.by_ref() {
        let block = block.unwrap();
        format = Some(block.format());
        let ears = ears.get_or_insert_with(|| {
            heard = vec![Vec::new(); block.channels.len()];
            Ears::new(block.format(), Listen::PerChannel).unwrap()
        });
        ears.hear(&block.channels, &mut heard);
    }
    ears.unwrap().flush(&mut heard);
    Decoded { container: decoder.container(), format: format.unwrap(), losses: decoder.losses(), ears: heard }
}

fn speech() -> Vec<f32> {
    let mut reader = hound::WavReader::open(fixture("speech.wav")).unwrap();
    reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

fn sine() -> Vec<f32> {
    let amplitude = 10_f32.powf(-12.0 / 20.0);
    (0..12_800).map(|n| amplitude * (std::f32::consts::TAU * 440.0 * n as f32 / 16_000.0).sin()).collect()
}

/// Correlation of `heard`, moved `lag` samples towards the start, with `original`.
fn likeness(original: &[f32], heard: &[f32], lag: usize) -> f64 {
    let pairs = || original.iter().zip(&heard[lag.min(heard.len())..]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let product: f64 = pairs().map(|(a, b)| a * b).sum();
    let (energy_a, energy_b) = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a * a, y + b * b));
    product / (energy_a * energy_b).sqrt()
}

struct Expected {
    name: &'static str,
    container: Container,
    rate_hz: u32,
    channels: u16,
    seconds: f64,
    /// Least correlation with the original.
    likeness: f64,
    /// Largest deviation of the rms level.
    level_db: f32,
    /// Samples at 16 kHz by which the audio comes late: the priming of an AAC encoder stays in.
    late: usize,
    /// Samples at 16 kHz that may follow: padding of the last packet that the container does not announce.
    padding: usize,
}

const fn lossless(name: &'static str, container: Container, channels: u16, seconds: f64) -> Expected {
    let (likeness, level_db) = (0.999_999, 0.01);
    Expected { name, container, rate_hz: 16_000, channels, seconds, likeness, level_db, late: 0, padding: 0 }
}

const fn lossy(name: &'static str, container: Container, rate_hz: u32, late: usize, padding: usize) -> Expected {
    let (likeness, level_db) = (0.97, 0.5);
    Expected { name, container, rate_hz, channels: 2, seconds: 0.8, likeness, level_db, late, padding }
}

const FIXTURES: [Expected; 23] = [
    lossless("speech.wav", Container::Wav, 1, 0.8),
    lossless("streamed.wav", Container::Wav, 1, 0.8),
    lossless("s24.wav", Container::Wav, 1, 0.5),
    lossless("s32.wav", Container::Wav, 1, 0.4),
    lossless("f32.wav", Container::Wav, 1, 0.4),
    lossless("f64.wav", Container::Wav, 1, 0.2),
    lossless("extensible.wav", Container::Wav, 2, 0.25),
    lossless("speech.flac", Container::Flac, 1, 0.8),
    lossless("stereo.flac", Container::Flac, 2, 0.8),
    Expected { likeness: 0.995, level_db: 0.1, ..lossless("u8.wav", Container::Wav, 1, 0.8) },
    Expected { likeness: 0.999, level_db: 0.1, ..lossless("mulaw.wav", Container::Wav, 1, 0.8) },
    Expected { likeness: 0.999, level_db: 0.1, ..lossless("alaw.wav", Container::Wav, 1, 0.8) },
    lossy("stereo.mp3", Container::Mp3, 16_000, 0, 0),
    lossy("stereo.ogg", Container::Ogg, 16_000, 0, 0),
    lossy("vorbis.webm", Container::WebM, 16_000, 0, 1_024),
    lossy("stereo.opus", Container::Ogg, 48_000, 0, 0),
    lossy("stereo.webm", Container::WebM, 48_000, 0, 320),
    Expected { channels: 1, ..lossy("live.webm", Container::WebM, 48_000, 0, 320) },
    lossy("opus.mp4", Container::Mp4, 48_000, 0, 320),
    lossy("stereo.m4a", Container::Mp4, 16_000, 1_024, 1_024),
    lossy("faststart.m4a", Container::Mp4, 16_000, 1_024, 1_024),
    lossy("fragmented.mp4", Container::Mp4, 16_000, 1_024, 1_024),
    lossy("speech.aac", Container::Aac, 16_000, 1_024, 1_024),
];

#[test]
fn every_format_gives_back_the_audio_it_was_made_from() {
    let originals = [speech(), sine()];
    for expected in &FIXTURES {
        let name = expected.name;
        let decoded = decode(name);
        assert_eq!(decoded.container, expected.container, "{name}");
        assert_eq!(decoded.format, Format { rate_hz: expected.rate_hz, channels: expected.channels }, "{name}");
        assert_eq!(decoded.losses, Losses::default(), "{name}");

        let samples = (expected.seconds * 16_000.0) as usize;
        let most = samples + expected.late + expected.padding;
        for (channel, (heard, original)) in decoded.ears.iter().zip(&originals).enumerate() {
            let original = &original[..samples];
            assert!((samples + expected.late..=most).contains(&heard.len()), "{name}: {} samples", heard.len());
            let like = likeness(original, heard, expected.late);
            assert!(like >= expected.likeness, "{name}, channel {channel}: correlation {like}");
            let level_db = rms_dbfs(&heard[expected.late..expected.late + samples]) - rms_dbfs(original);
            assert!(level_db.abs() <= expected.level_db, "{name}, channel {channel}: {level_db} dB");
        }
    }
}

fn file_samples(name: &str) -> Vec<Vec<f32>> {
    joined(Decoder::open(File::open(fixture(name)).unwrap()).unwrap().map(Result::unwrap))
}

fn joined(blocks: impl Iterator<Item = Block>) -> Vec<Vec<f32>> {
    blocks.fold(Vec::new(), |mut all, block| {
        all.resize(block.channels.len(), Vec::new());
        for (all, channel) in all.iter_mut().zip(block.channels) {
            all.extend(channel);
        }
        all
    })
}

#[test]
fn what_arrives_in_pieces_is_the_same_as_the_file() {
    for expected in FIXTURES.iter().filter(|expected| expected.name != "stereo.m4a") {
        let bytes = Bytes::from(std::fs::read(fixture(expected.name)).unwrap());
        for piece_bytes in [1, 7, 1_000, usize::MAX] {
            let (input, mut output) = stream::open().unwrap();
            let feeding = std::thread::spawn({
                let bytes = bytes.clone();
                move || {
                    for piece in bytes.chunks(piece_bytes.min(bytes.len())) {
                        // The decoder may be done before trailing metadata came.
                        if input.blocking_push(bytes.slice_ref(piece)).is_err() {
                            break;
                        }
                    }
                }
            });
            let mut blocks = Vec::new();
            let losses = loop {
                match output.blocking_next() {
                    Some(Item::Block(block)) => blocks.push(block),
                    Some(Item::End(losses)) => break losses,
                    other => panic!("{}: {other:?}", expected.name),
                }
            };
            assert!(output.blocking_next().is_none());
            feeding.join().unwrap();
            assert_eq!(losses, Losses::default(), "{}", expected.name);
            assert_eq!(joined(blocks.into_iter()), file_samples(expected.name), "{}", expected.name);
        }
    }
}

#[test]
fn an_mp4_with_its_index_at_the_end_cannot_be_streamed_and_says_so() {
    let (input, mut output) = stream::open().unwrap();
    let _ = input.blocking_push(std::fs::read(fixture("stereo.m4a")).unwrap().into());
    drop(input);
    match output.blocking_next() {
        Some(Item::Failed(DecodeError::Unsupported { container: Container::Mp4, what })) => {
            assert!(what.contains("index"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for `enough_samples` of `name` while its last `held_back` bytes do not come and the stream stays open.
async fn heard_while_open(name: &str, held_back: usize, enough_samples: usize) {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let (input, mut output) = stream::open().unwrap();
    let feeding = async { input.push(Bytes::copy_from_slice(&bytes[..bytes.len() - held_back])).await.unwrap() };
    let mut heard_samples = 0;
    let hearing = async {
        while heard_samples < enough_samples {
            match output.next().await {
                Some(Item::Block(block)) => heard_samples += block.samples(),
                other => panic!("{name}: {other:?}"),
            }
        }
    };
    let both = async { tokio::join!(feeding, hearing) };
    let in_time = tokio::time::timeout(Duration::from_secs(30), both).await;
    assert!(in_time.is_ok(), "{name}: only {heard_samples} of {enough_samples} samples came");
}

#[tokio::test]
async fn blocks_leave_while_the_stream_goes_on() {
    heard_while_open("streamed.wav", 2, 12_799).await;
    heard_while_open("speech.wav", 100, 12_750).await;
    // Where a packet ends only shows with the next, so one stays inside.
    heard_while_open("live.webm", 200, 48_000 * 6 / 10).await;
    heard_while_open("stereo.mp3", 800, 16_000 * 6 / 10).await;
    heard_while_open("speech.aac", 800, 16_000 * 6 / 10).await;
    heard_while_open("stereo.flac", 9_000, 4_096).await;
    // Ogg comes in pages, here of 200 ms: of this cut two are whole.
    heard_while_open("stereo.opus", 2_500, 48_000 * 38 / 100).await;
}

#[test]
fn surround_opus_and_compressed_wav_are_refused_by_name() {
    let refused = |name: &str| Decoder::open(File::open(fixture(name)).unwrap()).err().unwrap().to_string();
    assert!(refused("surround.opus").contains("channel mapping family 1"), "{}", refused("surround.opus"));
    assert!(refused("adpcm.wav").contains("ADPCM"), "{}", refused("adpcm.wav"));
}

#[test]
fn a_tag_in_front_of_the_audio_is_read_over() {
    let audio = std::fs::read(fixture("stereo.mp3")).unwrap();
    let untagged = &audio[audio.windows(2).position(|w| w == [0xff, 0xf3]).unwrap()..];
    for body_bytes in [0_usize, 5, 300, 5_000, 70_000] {
        let mut tagged = b"ID3\x04\0\0".to_vec();
        tagged.extend([0, (body_bytes >> 14) as u8, (body_bytes >> 7 & 0x7f) as u8, (body_bytes & 0x7f) as u8]);
        tagged.resize(10 + body_bytes, 0x55);
        tagged.extend_from_slice(untagged);
        let decoder = Decoder::open(std::io::Cursor::new(tagged)).unwrap();
        assert_eq!(decoder.container(), Container::Mp3);
        assert_eq!(joined(decoder.map(Result::unwrap)), file_samples("stereo.mp3"));
    }
}

#[test]
fn an_ogg_stream_chained_after_another_goes_on() {
    let mut twice = std::fs::read(fixture("stereo.opus")).unwrap();
    twice.extend_from_within(..);
    let once = file_samples("stereo.opus");
    let chained = joined(Decoder::open(std::io::Cursor::new(twice)).unwrap().map(Result::unwrap));
    assert_eq!(chained[0].len(), 2 * once[0].len());
    assert_eq!(chained[0][once[0].len()..], once[0]);
}
