//! Uncompressed samples: interleaved little-endian bytes into one f32 vector per channel.
//!
//! Bytes may be cut anywhere, also inside a sample; the cut-off part of a frame is kept for the next call.
//! Nothing here fails: every byte pattern is a sample, and what is not a number becomes silence.

use super::g711::Law;

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned 8 bits, silence at 128.
    U8,
    /// Signed 16 bits.
    S16,
    /// Signed 24 bits, packed in three bytes.
    S24,
    /// Signed 32 bits.
    S32,
    /// IEEE float, 32 bits.
    F32,
    /// IEEE float, 64 bits.
    F64,
    /// G.711, 8 bits.
    G711(Law),
}

impl SampleFormat {
    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::G711(_) => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Takes interleaved bytes apart into channels.
pub struct Deinterleaver {
    format: SampleFormat,
    channels: usize,
    /// The beginning of a frame whose end has not come yet: always less than one frame.
    cut: Vec<u8>,
}

impl Deinterleaver {
    /// A deinterleaver of `channels` channels.
    ///
    /// # Panics
    /// When `channels` is zero.
    pub fn new(format: SampleFormat, channels: usize) -> Self {
        assert!(channels > 0, "audio has at least one channel");
        Self { format, channels, cut: Vec::with_capacity(format.bytes() * channels) }
    }

    /// Appends the samples of `bytes` to `out`, one vector per channel, in [-1, 1].
    ///
    /// # Panics
    /// When `out` has not one vector per channel.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut [Vec<f32>]) {
        assert_eq!(out.len(), self.channels, "one vector per channel");
        let frame_bytes = self.format.bytes() * self.channels;
        if !self.cut.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(frame_bytes - self.cut.len()));
            self.cut.extend_from_slice(now);
            bytes = later;
            if self.cut.len() < frame_bytes {
                return;
            }
            spread(self.format, &self.cut, out);
            self.cut.clear();
        }
        let whole = bytes.len() - bytes.len() % frame_bytes;
        spread(self.format, &bytes[..whole], out);
        self.cut.extend_from_slice(&bytes[whole..]);
    }

    /// Bytes of a frame that was begun and not finished.
    pub fn cut_bytes(&self) -> usize {
        self.cut.len()
    }
}

fn spread(format: SampleFormat, bytes: &[u8], out: &mut [Vec<f32>]) {
    match format {
        SampleFormat::U8 => each::<1>(bytes, out, |[byte]| (f32::from(byte) - 128.0) / 128.0),
        SampleFormat::S16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
        SampleFormat::S24 => {
            each(bytes, out, |[low, mid, high]| (i32::from_le_bytes([0, low, mid, high]) >> 8) as f32 / 8_388_608.0);
        }
        SampleFormat::S32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0),
        SampleFormat::F32 => each(bytes, out, |b| sound(f32::from_le_bytes(b))),
        SampleFormat::F64 => each(bytes, out, |b| sound(f64::from_le_bytes(b) as f32)),
        SampleFormat::G711(law) => {
            let samples = law.samples();
            each::<1>(bytes, out, |[byte]| samples[usize::from(byte)]);
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [Vec<f32>], sample: impl Fn([u8; N]) -> f32) {
    let channels = out.len();
    for (channel, out) in out.iter_mut().enumerate() {
        let samples = bytes.chunks_exact(N).skip(channel).step_by(channels);
        out.extend(samples.map(|b| sample(b.try_into().expect("chunks are exact"))));
    }
}

/// A float that can be played: in [-1, 1], and silence where it is infinite or not a number.
pub(crate) fn sound(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 }
}

/// The nearest sample of 16 bits, clipped; not a number is silence.
pub(super) fn to_i16(sample: f32) -> i16 {
    let scaled = sample * 32_768.0;
    // Rounded by hand: `round` is a call for each sample in code that runs on every x86-64. The last number before a half,
    // since with a half what lies just before one would be rounded up.
    (scaled + 0.499_999_97_f32.copysign(scaled)) as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_rounded_as_by_the_standard_library() {
        let round = |sample: f32| (sample * 32_768.0).round() as i16;
        for half in -70_000_i32..=70_000 {
            let sample = half as f32 / 65_536.0;
            for sample in [sample.next_down(), sample, sample.next_up()] {
                assert_eq!(to_i16(sample), round(sample), "{sample}");
            }
        }
        assert_eq!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(to_i16), [0, i16::MAX, i16::MIN]);
    }

    const FORMATS: [SampleFormat; 8] = [
        SampleFormat::U8,
        SampleFormat::S16,
        SampleFormat::S24,
        SampleFormat::S32,
        SampleFormat::F32,
        SampleFormat::F64,
        SampleFormat::G711(Law::Mu),
        SampleFormat::G711(Law::A),
    ];

    fn mono(format: SampleFormat, bytes: &[u8]) -> Vec<f32> {
        let mut out = [Vec::new()];
        Deinterleaver::new(format, 1).push(bytes, &mut out);
        let [samples] = out;
        samples
    }

    #[test]
    fn every_format_has_its_extremes_and_its_silence() {
        assert_eq!(mono(SampleFormat::U8, &[0, 128, 192]), [-1.0, 0.0, 0.5]);
        assert_eq!(mono(SampleFormat::S16, &[0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.0, 0.5]);
        assert_eq!(mono(SampleFormat::S24, &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40]), [-1.0, 0.0, 0.5]);
        assert_eq!(mono(SampleFormat::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.5]);
        let floats: Vec<u8> = [0.25_f32, -3.0, f32::NAN, f32::INFINITY].iter().flat_map(|f| f.to_le_bytes()).collect();
        assert_eq!(mono(SampleFormat::F32, &floats), [0.25, -1.0, 0.0, 0.0]);
        let doubles: Vec<u8> = [0.25_f64, 1e300, f64::NAN].iter().flat_map(|f| f.to_le_bytes()).collect();
        assert_eq!(mono(SampleFormat::F64, &doubles), [0.25, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(
            format in prop::sample::select(FORMATS.to_vec()),
            channels in 1..=32_usize,
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let bytes = pieces.concat();
            let mut whole = vec![Vec::new(); channels];
            Deinterleaver::new(format, channels).push(&bytes, &mut whole);

            let mut cut = vec![Vec::new(); channels];
            let mut deinterleaver = Deinterleaver::new(format, channels);
            for piece in &pieces {
                deinterleaver.push(piece, &mut cut);
            }
            prop_assert_eq!(&cut, &whole);
            let frame_bytes = format.bytes() * channels;
            prop_assert!(cut.iter().all(|c| c.len() == bytes.len() / frame_bytes));
            prop_assert!(cut.iter().flatten().all(|s| (-1.0..=1.0).contains(s)));
            prop_assert_eq!(deinterleaver.cut_bytes(), bytes.len() % frame_bytes);
        }
    }
}
