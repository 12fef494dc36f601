//! Judges a ggml file before whisper.cpp reads it.
//!
//! whisper.cpp trusts what it loads: a cut vocabulary, an impossible size or a missing tensor ends in an
//! exception across the language border or in an abort of the process. So the whole structure is walked
//! first, without reading the weights: header, filters, vocabulary, and every tensor's place and size.
//! Source: whisper.cpp 1.8, `whisper_model_load`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

const MAGIC: u32 = 0x6767_6d6c;

/// Mel filters span the 201 bins of a 400-point transform.
const FILTER_BINS: u32 = 201;

/// What the header says of the model's shape.
struct Shape {
    vocabulary: u32,
    audio_layers: u32,
    text_layers: u32,
    mels: u32,
}

/// `Err` says what is wrong with the file.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    walk(&mut BufReader::new(file), size)
}

fn walk(file: &mut (impl Read + Seek), size: u64) -> Result<(), String> {
    if u32_from(file)? != MAGIC {
        return Err("not a ggml model".to_owned());
    }
    let shape = header(file)?;
    filters(file, &shape)?;
    vocabulary(file, &shape)?;
    tensors(file, &shape, size)
}

fn header(file: &mut impl Read) -> Result<Shape, String> {
    let mut field = |what: &str, allowed: &dyn Fn(u32) -> bool| {
        let value = u32_from(file)?;
        if allowed(value) { Ok(value) } else { Err(format!("not a Whisper model: {what} is {value}")) }
    };
    let width = |value: u32| (64..=4096).contains(&value) && value.is_multiple_of(64);
    // Only these have a name in whisper.cpp; it throws on others.
    let named = |value: u32| [4, 6, 12, 24, 32].contains(&value);
    let vocabulary = field("the vocabulary", &|value| (51_864..=51_866).contains(&value))?;
    field("the audio context", &|value| value == 1500)?;
    let audio_width = field("the encoder's width", &width)?;
    field("the encoder's heads", &|value| value * 64 == audio_width)?;
    let audio_layers = field("the encoder's depth", &named)?;
    field("the text context", &|value| value == 448)?;
    field("the decoder's width", &|value| value == audio_width)?;
    field("the decoder's heads", &|value| value * 64 == audio_width)?;
    let text_layers = field("the decoder's depth", &|value| (1..=32).contains(&value))?;
    let mels = field("the number of mel bands", &|value| value == 80 || value == 128)?;
    field("the weights' format", &|value| value < 4000 && matches!(value % 1000, 0..=3 | 7..=14))?;
    Ok(Shape { vocabulary, audio_layers, text_layers, mels })
}

fn filters(file: &mut (impl Read + Seek), shape: &Shape) -> Result<(), String> {
    let (mels, bins) = (u32_from(file)?, u32_from(file)?);
    if mels != shape.mels || bins != FILTER_BINS {
        return Err(format!("not a Whisper model: {mels} filters over {bins} bins"));
    }
    skip(file, u64::from(mels * bins * 4))
}

fn vocabulary(file: &mut (impl Read + Seek), shape: &Shape) -> Result<(), String> {
    let count = u32_from(file)?;
    if count == 0 || count > shape.vocabulary {
        return Err(format!("damaged: {count} words in a vocabulary of {}", shape.vocabulary));
    }
    for _ in 0..count {
        let length = u32_from(file)?;
        if length > 1024 {
            return Err(format!("damaged: a word of {length} bytes"));
        }
        skip(file, u64::from(length))?;
    }
    Ok(())
}

fn tensors(file: &mut (impl Read + Seek), shape: &Shape, size: u64) -> Result<(), String> {
    let expected = 11 + 15 * shape.audio_layers as usize + 24 * shape.text_layers as usize;
    let mut names = BTreeSet::new();
    loop {
        let at = file.stream_position().map_err(|error| error.to_string())?;
        if at == size {
            break;
        }
        let (dimensions, name_length, format) = (u32_from(file)?, u32_from(file)?, u32_from(file)?);
        if !(1..=3).contains(&dimensions) || !(1..=128).contains(&name_length) {
            return Err(format!("damaged at byte {at}"));
        }
        let mut elements = 1u64;
        let mut row = 0;
        for index in 0..dimensions {
            let extent = u64::from(u32_from(file)?);
            row = if index == 0 { extent } else { row };
            elements = elements
                .checked_mul(extent)
                .filter(|&all| all < 1 << 40)
                .ok_or_else(|| format!("damaged at byte {at}"))?;
        }
        let mut name = vec![0; name_length as usize];
        file.read_exact(&mut name).map_err(|_| cut())?;
        let (block, block_bytes) =
            block(format).ok_or_else(|| format!("damaged: weights of an unknown kind ({format})"))?;
        if elements == 0 || row % block != 0 {
            return Err(format!("damaged at byte {at}"));
        }
        let data = file.stream_position().map_err(|error| error.to_string())?;
        let end = data + elements / block * block_bytes;
        if end > size {
            return Err(cut());
        }
        file.seek(SeekFrom::Start(end)).map_err(|error| error.to_string())?;
        if !names.insert(name) || names.len() > expected {
            return Err("damaged: a tensor too many".to_owned());
        }
    }
    match names.len() {
        0 => Err("it holds no weights (a file for whisper.cpp's own tests)".to_owned()),
        found if found == expected => Ok(()),
        found => Err(format!("cut: {found} of {expected} tensors")),
    }
}

/// Elements and bytes of one block of a ggml weight format.
fn block(format: u32) -> Option<(u64, u64)> {
    Some(match format {
        0 => (1, 4),
        1 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}

fn u32_from(file: &mut impl Read) -> Result<u32, String> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes).map_err(|_| cut())?;
    Ok(u32::from_le_bytes(bytes))
}

/// Skips forward; running past the end is noticed by the next read.
fn skip(file: &mut impl Seek, bytes: u64) -> Result<(), String> {
    file.seek(SeekFrom::Current(bytes.cast_signed())).map(drop).map_err(|error| error.to_string())
}

fn cut() -> String {
    "cut: it ends too early".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn model() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/whisper-micro.en-q5_0.bin"))
            .expect("readable")
    }

    fn judged(bytes: &[u8]) -> Result<(), String> {
        walk(&mut Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn a_whole_model_passes_and_every_cut_of_it_is_refused() {
        let model = model();
        assert_eq!(judged(&model), Ok(()));
        for part in [0, 3, 4, 20, 47, 60_000, 65_000, 300_000, 600_000, 1_000_000, model.len() / 2, model.len() - 1] {
            assert!(judged(&model[..part]).is_err(), "{part} bytes pass");
        }
        let longer = [&model[..], &[0; 5]].concat();
        assert!(judged(&longer).is_err());
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        assert_eq!(judged(b"GGUF then something").unwrap_err(), "not a ggml model");
        let mut other = MAGIC.to_le_bytes().to_vec();
        other.extend([7; 100]);
        assert!(judged(&other).unwrap_err().starts_with("not a Whisper model"));
    }

    proptest! {
        #[test]
        fn any_header_is_judged_without_a_crash(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MAGIC.to_le_bytes().to_vec();
            file.extend(bytes);
            prop_assert!(judged(&file).is_err());
        }
    }
}
