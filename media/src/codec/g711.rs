//! G.711: one byte per sample, mu-law (America, Japan) or A-law (elsewhere).
//!
//! Both curves are a sign, three bits of octave and four bits within it, over 16-bit samples; encoding picks
//! the nearest value. Decoding looks up a table, because it is done for every byte of every call.

use std::sync::LazyLock;

use super::pcm::to_i16;

/// What mu-law adds to a magnitude so that its octaves begin at powers of two.
const MU_BIAS: i32 = 0x84;

/// The largest magnitude that mu-law can say.
const MU_CLIP: i32 = 32_635;

/// A-law sends every other bit inverted, so that silence is not a run of zeros on the line.
const A_TOGGLED: u8 = 0x55;

/// Which of the two companding curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMU, G.711 mu-law.
    Mu,
    /// PCMA, G.711 A-law.
    A,
}

impl Law {
    /// The sample that `byte` stands for.
    pub fn decode(self, byte: u8) -> f32 {
        self.samples()[usize::from(byte)]
    }

    /// The byte that stands for `sample`, clipped to [-1, 1].
    pub fn encode(self, sample: f32) -> u8 {
        let linear = i32::from(to_i16(sample));
        match self {
            Self::Mu => mu_byte(linear),
            Self::A => a_byte(linear),
        }
    }

    /// The samples of all 256 bytes.
    pub(crate) fn samples(self) -> &'static [f32; 256] {
        static MU: LazyLock<[f32; 256]> = LazyLock::new(|| table(mu_linear));
        static A: LazyLock<[f32; 256]> = LazyLock::new(|| table(a_linear));
        match self {
            Self::Mu => &MU,
            Self::A => &A,
        }
    }
}

fn table(linear: fn(u8) -> i32) -> [f32; 256] {
    std::array::from_fn(|byte| linear(byte as u8) as f32 / 32_768.0)
}

fn mu_linear(byte: u8) -> i32 {
    let code = !byte;
    let (octave, step) = (code >> 4 & 7, i32::from(code & 0xf));
    let magnitude = (((step << 3) + MU_BIAS) << octave) - MU_BIAS;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

fn mu_byte(linear: i32) -> u8 {
    let magnitude = linear.abs().min(MU_CLIP) + MU_BIAS;
    let octave = magnitude.ilog2() - 7;
    let step = magnitude >> (octave + 3) & 0xf;
    let sign = if linear < 0 { 0x80 } else { 0 };
    !(sign | (octave << 4) as u8 | step as u8)
}

fn a_linear(byte: u8) -> i32 {
    let code = byte ^ A_TOGGLED;
    let (octave, step) = (code >> 4 & 7, i32::from(code & 0xf));
    let magnitude = match octave {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (octave - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

fn a_byte(linear: i32) -> u8 {
    let (sign, magnitude) = if linear < 0 { (0, !linear) } else { (0x80, linear) };
    let steps = magnitude >> 4;
    let code = match steps {
        0..16 => steps,
        _ => {
            let octave = steps.ilog2() as i32 - 3;
            octave << 4 | steps >> (octave - 1) & 0xf
        }
    };
    (sign | code as u8) ^ A_TOGGLED
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn linear(law: Law, byte: u8) -> i32 {
        (law.decode(byte) * 32_768.0) as i32
    }

    #[test]
    fn known_codes_have_their_known_values() {
        assert_eq!([0xff, 0x00, 0x80].map(|byte| linear(Law::Mu, byte)), [0, -32_124, 32_124]);
        assert_eq!([0xd5, 0x2a].map(|byte| linear(Law::A, byte)), [8, -32_256]);
    }

    #[test]
    fn every_code_survives_the_round_trip() {
        for byte in 0..=255 {
            let mu = Law::Mu.encode(Law::Mu.decode(byte));
            // Mu-law has two zeros; the negative one comes back positive.
            assert!(mu == byte || (byte, mu) == (0x7f, 0xff), "{byte:#x} -> {mu:#x}");
            assert_eq!(Law::A.encode(Law::A.decode(byte)), byte);
        }
    }

    #[test]
    fn out_of_range_samples_are_clipped_and_not_a_number_is_silence() {
        assert_eq!(Law::Mu.encode(7.0), Law::Mu.encode(1.0));
        assert_eq!(Law::A.encode(-7.0), Law::A.encode(-1.0));
        assert_eq!(Law::Mu.encode(f32::NAN), Law::Mu.encode(0.0));
    }

    #[test]
    fn the_reference_vectors_agree() {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/g711");
        if !vectors.exists() {
            println!("skipped: no reference vectors beside the checkout");
            return;
        }
        for (law, name) in [(Law::Mu, "ulaw"), (Law::A, "alaw")] {
            let decoded = std::fs::read(vectors.join(format!("{name}_decode_s16le.bin"))).unwrap();
            for (byte, expected) in decoded.chunks_exact(2).enumerate() {
                assert_eq!(linear(law, byte as u8), i32::from(i16::from_le_bytes([expected[0], expected[1]])));
            }
            let encoded = std::fs::read(vectors.join(format!("{name}_encode_all_s16.bin"))).unwrap();
            for (sample, &expected) in (-32_768_i32..=32_767).zip(&encoded) {
                let ours = law.encode(sample as f32 / 32_768.0);
                let error = |byte| (linear(law, byte) - sample).abs();
                assert!(error(ours) <= error(expected), "{name} {sample}: {ours:#x}, reference {expected:#x}");
            }
        }
    }
}
