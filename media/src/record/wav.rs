//! Samples as 16-bit mono WAV at 48 kHz, whose header is right at any moment.
//!
//! Pure: the header for a length, the bytes of samples, and the length of what a crash left. A header is written
//! again after the samples it counts, so a file never promises more than it holds. Sizes in WAV have 32 bits: a
//! recording of more than twelve hours goes on in a next file, which every player can open.

/// Bytes before the samples.
pub(super) const HEADER_BYTES: u64 = 44;

/// Bytes of one sample.
pub(super) const SAMPLE_BYTES: u64 = 2;

/// Most samples of one file: 12 h 25 min, the last whole minute whose size has 32 bits.
pub(super) const SAMPLES_MAX: u64 = 745 * 60 * 48_000;

/// The header of a file of that many samples.
///
/// # Panics
/// When there are more than [`SAMPLES_MAX`].
pub(super) fn header(samples: u64) -> [u8; HEADER_BYTES as usize] {
    assert!(samples <= SAMPLES_MAX, "the caller goes on in a next file");
    let data_bytes = (samples * SAMPLE_BYTES) as u32;
    let mut header = [0; HEADER_BYTES as usize];
    let mut fields = [
        b"RIFF".as_slice(),
        &(data_bytes + HEADER_BYTES as u32 - 8).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &48_000_u32.to_le_bytes(),
        &(48_000 * SAMPLE_BYTES as u32).to_le_bytes(),
        &(SAMPLE_BYTES as u16).to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
    ]
    .concat()
    .into_iter();
    header.fill_with(|| fields.next().expect("the fields are 44 bytes"));
    header
}

/// Appends samples in [-1, 1], rounded; what is louder is clipped.
pub(super) fn push(samples: &[f32], out: &mut Vec<u8>) {
    out.extend(samples.iter().flat_map(|sample| ((sample * 32_767.0).round() as i16).to_le_bytes()));
}

/// How many samples a file of ours of `bytes` holds, whatever its header says.
pub(super) fn samples_of(bytes: u64) -> u64 {
    (bytes.saturating_sub(HEADER_BYTES) / SAMPLE_BYTES).min(SAMPLES_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(samples in prop::collection::vec(-1.5_f32..1.5, 0..500)) {
            let mut bytes = header(samples.len() as u64).to_vec();
            push(&samples, &mut bytes);
            prop_assert_eq!(samples_of(bytes.len() as u64), samples.len() as u64);
            let mut reader = hound::WavReader::new(bytes.as_slice()).unwrap();
            prop_assert_eq!((reader.spec().sample_rate, reader.spec().channels), (48_000, 1));
            let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), samples.len());
            for (read, sample) in read.iter().zip(&samples) {
                prop_assert!((f32::from(*read) / 32_767.0 - sample.clamp(-1.0, 1.0)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn the_longest_file_still_has_a_header() {
        let header = header(SAMPLES_MAX);
        assert_eq!(u32::from_le_bytes(header[40..44].try_into().unwrap()), 4_291_200_000);
    }
}
