//! L16: samples of 16 bits, big end first (RFC 3551 section 4.5.11). No state, no allocation.

use super::pcm::to_i16;

/// Encodes samples in [-1, 1] to the front of `out`; how many bytes that were. What `out` has no room for is left
/// out, and not a number is silence.
pub fn encode(samples: &[f32], out: &mut [u8]) -> usize {
    let pairs = out.as_chunks_mut::<2>().0;
    let encoded = pairs.len().min(samples.len());
    for (bytes, sample) in pairs.iter_mut().zip(samples) {
        *bytes = to_i16(*sample).to_be_bytes();
    }
    2 * encoded
}

/// Decodes bytes to the front of `out`; how many samples that were. What `out` has no room for is left out, and so is
/// half a sample.
pub fn decode(bytes: &[u8], out: &mut [f32]) -> usize {
    let pairs = bytes.as_chunks::<2>().0;
    for (sample, bytes) in out.iter_mut().zip(pairs) {
        *sample = f32::from(i16::from_be_bytes(*bytes)) / 32_768.0;
    }
    pairs.len().min(out.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_the_round_trip_and_the_big_end_is_first() {
        let samples: Vec<f32> = (i16::MIN..=i16::MAX).map(|sample| f32::from(sample) / 32_768.0).collect();
        let (mut bytes, mut back) = (vec![0; 2 * samples.len()], vec![0.0; samples.len()]);
        assert_eq!(encode(&samples, &mut bytes), bytes.len());
        assert_eq!(decode(&bytes, &mut back), samples.len());
        assert_eq!(back, samples);
        assert_eq!(bytes[..4], [0x80, 0x00, 0x80, 0x01]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_what_is_too_loud_is_clipped() {
        let mut bytes = [9; 3];
        assert_eq!(encode(&[2.0, 0.0], &mut bytes), 2);
        assert_eq!(bytes, [0x7f, 0xff, 9]);
        assert_eq!(encode(&[f32::NAN], &mut bytes), 2);
        assert_eq!(bytes, [0, 0, 9]);
        assert_eq!(decode(&[0x40, 0, 7], &mut [0.0; 4]), 1);
    }
}
