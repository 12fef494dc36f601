//! Files that nobody ended: cut to what is whole, marked as ended, and measured.
//!
//! Runs when the server starts, over what a crash left, and after a file could not be written on. What a file
//! holds may be anything. Doing it twice does nothing more; being killed in the middle leaves it to the next time.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{
    ogg::{self, PAGE_BYTES_MAX, Page},
    opus,
    state::Container,
    wav,
};

/// How much of the end of a long file is looked at. Unsynced data is that of a second or two; 8 MiB are half an
/// hour at 32 kb/s.
const TAIL_BYTES: u64 = 8 << 20;

/// What a file turned out to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repaired {
    /// Samples at 48 kHz.
    pub(super) samples: u64,
    /// Its length.
    pub(super) bytes: u64,
}

/// Ends the file and says what it holds.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn repair(path: &Path, container: Container) -> io::Result<Repaired> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let samples = match container {
        Container::Ogg => repair_ogg(&file)?,
        Container::Wav => repair_wav(&file)?,
    };
    file.sync_all()?;
    Ok(Repaired { samples, bytes: file.metadata()?.len() })
}

fn repair_wav(file: &File) -> io::Result<u64> {
    let samples = wav::samples_of(file.metadata()?.len());
    // The header first: a file shorter than one becomes an empty recording.
    file.write_all_at(&wav::header(samples), 0)?;
    file.set_len(wav::HEADER_BYTES + samples * wav::SAMPLE_BYTES)?;
    Ok(samples)
}

fn repair_ogg(file: &File) -> io::Result<u64> {
    let Some(last) = last_page(file)? else {
        file.set_len(0)?;
        return Ok(0);
    };
    file.set_len(last.at + last.page.len() as u64)?;
    if !last.is_last {
        let mut page = last.page;
        ogg::end_with(&mut page);
        file.write_all_at(&page, last.at)?;
    }
    Ok(opus::audible_samples(last.granule, pre_skip(file)?))
}

struct LastPage {
    at: u64,
    page: Vec<u8>,
    granule: u64,
    is_last: bool,
}

/// The last whole page that follows on whole pages, looking at no more than the tail of the file.
fn last_page(file: &File) -> io::Result<Option<LastPage>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; (length - start) as usize];
    file.read_exact_at(&mut tail, start)?;
    // The tail may begin inside a page: the first whole one begins no later than the longest page.
    let lead = if start == 0 { 1 } else { PAGE_BYTES_MAX.min(tail.len()) };
    let is_whole = |&at: &usize| matches!(Page::parse(&tail[at..]), Page::Whole { .. });
    let Some(mut at) = (0..lead.min(tail.len())).find(is_whole) else { return Ok(None) };
    let mut last = None;
    while let Page::Whole { bytes, granule, is_last } = Page::parse(&tail[at..]) {
        last = Some((at, bytes, granule, is_last));
        at += bytes;
    }
    Ok(last.map(|(at, bytes, granule, is_last)| LastPage {
        at: start + at as u64,
        page: tail[at..at + bytes].to_vec(),
        granule,
        is_last,
    }))
}

/// What the first page says that players drop.
fn pre_skip(file: &File) -> io::Result<u16> {
    // 27 bytes of page header, one lacing value, then the identification header.
    let mut head = [0; 19];
    match file.read_exact_at(&mut head, 28) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        read => read?,
    }
    Ok(crate::codec::opus::Head::parse(&head).map_or(0, |head| head.pre_skip))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::record::{file::TrackFile, state::Encoding};

    fn tone(samples: usize) -> Vec<f32> {
        (0..samples).map(|n| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    /// A whole file of 3 s, and its bytes.
    fn whole(container: Container) -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p1");
        let encoding = Encoding { container, bitrate_bps: 32_000 };
        let mut file = TrackFile::create(&path, encoding, 1, "").unwrap();
        for piece in tone(3 * 48_000).chunks(4_800) {
            file.push(piece);
            file.flush().unwrap();
        }
        file.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    fn decoded(path: &Path) -> Option<(usize, bool)> {
        let mut decoder = crate::decode::file::Decoder::open(File::open(path).unwrap()).ok()?;
        let mut samples = 0;
        while let Ok(Some(block)) = decoder.next_block() {
            samples += block.samples();
        }
        Some((samples, decoder.losses().truncated || decoder.losses().damaged_packets > 0))
    }

    #[test]
    fn a_whole_file_is_left_as_it_is_and_measured() {
        for container in [Container::Ogg, Container::Wav] {
            let (_folder, path, bytes) = whole(container);
            assert_eq!(repair(&path, container).unwrap().samples, 3 * 48_000, "{container:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_long_file_is_repaired_by_its_tail() {
        let (_folder, path, bytes) = whole(Container::Ogg);
        // Much of the same before the tail: only the tail is looked at.
        let mut long = bytes.clone();
        while (long.len() as u64) < TAIL_BYTES + 100_000 {
            long.extend_from_slice(&bytes);
        }
        let whole_bytes = long.len();
        long.extend_from_slice(b"OggS and then the disk was full");
        fs::write(&path, &long).unwrap();
        assert_eq!(repair(&path, Container::Ogg).unwrap().samples, 3 * 48_000);
        assert_eq!(fs::metadata(&path).unwrap().len(), whole_bytes as u64);
    }

    #[test]
    fn a_hole_of_zeros_ends_an_ogg_file() {
        let (_folder, path, mut bytes) = whole(Container::Ogg);
        let hole = bytes.len() * 2 / 3;
        bytes[hole..hole + 400].fill(0);
        fs::write(&path, &bytes).unwrap();
        let samples = repair(&path, Container::Ogg).unwrap().samples;
        assert!((48_000..2 * 48_000).contains(&samples), "{samples}");
        let (heard, _) = decoded(&path).unwrap();
        assert!(heard.abs_diff(samples as usize) <= 960, "{heard} of {samples}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_file_cut_at_any_byte_is_playable_to_within_a_second_of_the_cut(
            cut in any::<prop::sample::Index>(),
            is_ogg in any::<bool>(),
        ) {
            let container = if is_ogg { Container::Ogg } else { Container::Wav };
            let (_folder, path, bytes) = whole(container);
            let cut = cut.index(bytes.len());
            fs::write(&path, &bytes[..cut]).unwrap();
            let samples = repair(&path, container).unwrap().samples;
            let expected = cut as f64 / bytes.len() as f64 * 3.0;
            prop_assert!(samples as f64 / 48_000.0 > expected - 1.0, "{samples} of {expected} s");
            if samples > 0 {
                let (heard, is_damaged) = decoded(&path).unwrap();
                prop_assert!(!is_damaged);
                prop_assert!(heard.abs_diff(samples as usize) <= 960, "{} of {}", heard, samples);
            }
            let again = fs::read(&path).unwrap();
            prop_assert_eq!(repair(&path, container).unwrap().samples, samples);
            prop_assert_eq!(fs::read(&path).unwrap(), again);
        }

        #[test]
        fn any_bytes_are_repaired_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p1");
            for container in [Container::Ogg, Container::Wav] {
                fs::write(&path, &bytes).unwrap();
                let _ = repair(&path, container);
            }
        }
    }
}
