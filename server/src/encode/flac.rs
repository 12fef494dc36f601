//! Samples into FLAC: mono, 16 bits, without loss. Pure.
//!
//! Blocks of 4,096 samples, each predicted by one of the five fixed polynomials, the rest coded after Rice; a block
//! that this does not shorten is stored as it is, one of a single value as that. It makes speech shorter. Source: RFC
//! 9639.

/// Samples of a block: a tenth to half of a second, and what most encoders take.
const BLOCK: usize = 4_096;

/// Bits of a sample.
const BITS: u32 = 16;

/// Makes one FLAC stream.
pub(super) struct Flac {
    block: Vec<i32>,
    frames: u64,
}

impl Flac {
    /// Begins a stream at `rate_hz`: its header is appended to `out`. How long it will be is not said, as in a stream.
    pub(super) fn begin(rate_hz: u32, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"fLaC");
        // The last block of metadata, of type 0, 34 bytes long.
        out.extend_from_slice(&[0x80, 0, 0, 34]);
        let mut info = Bits::default();
        info.put(BLOCK as u64, 16);
        info.put(BLOCK as u64, 16);
        info.put(0, 24);
        info.put(0, 24);
        info.put(u64::from(rate_hz), 20);
        info.put(0, 3);
        info.put(u64::from(BITS - 1), 5);
        info.put(0, 36);
        out.append(&mut info.bytes());
        // No sum of the samples is known beforehand.
        out.extend_from_slice(&[0; 16]);
        Self { block: Vec::with_capacity(BLOCK), frames: 0 }
    }

    /// Takes samples and appends the frames that they complete.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) {
        for sample in samples {
            self.block.push((sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i32);
            if self.block.len() == BLOCK {
                self.frame(out);
            }
        }
    }

    /// Appends the last frame.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        if !self.block.is_empty() {
            self.frame(out);
        }
    }

    fn frame(&mut self, out: &mut Vec<u8>) {
        let mut frame = Bits::default();
        // The sign that every frame begins with, and blocks of one size.
        frame.put(0b1111_1111_1111_1000, 16);
        // The size of the block stands below, the rate at the start of the stream; mono; 16 bits.
        frame.put(0b0111_0000, 8);
        frame.put(0b0000_1000, 8);
        for byte in numbered(self.frames) {
            frame.put(u64::from(byte), 8);
        }
        frame.put(self.block.len() as u64 - 1, 16);
        let sum = crc(frame.whole(), 8, 0x07);
        frame.put(sum.into(), 8);
        subframe(&self.block, &mut frame);
        let mut bytes = frame.bytes();
        let sum = crc(&bytes, 16, 0x8005);
        bytes.extend_from_slice(&sum.to_be_bytes());
        out.append(&mut bytes);
        self.frames += 1;
        self.block.clear();
    }
}

/// The one channel of a frame.
fn subframe(block: &[i32], frame: &mut Bits) {
    let sample = |value: i32| u64::from(value as u16);
    if block.iter().all(|value| *value == block[0]) {
        frame.put(0b0000_0000, 8);
        frame.put(sample(block[0]), BITS);
        return;
    }
    let orders = 0..=block.len().saturating_sub(1).min(4);
    let best =
        orders.map(|order| (order, residual(block, order))).min_by_key(|(_, rest)| sum(rest)).unwrap_or_default();
    let (order, rest) = best;
    let (bits, parameter) = (0..15).map(|parameter| (rice_bits(&rest, parameter), parameter)).min().unwrap_or_default();
    if bits + BITS as u64 * order as u64 >= u64::from(BITS) * block.len() as u64 {
        frame.put(0b0000_0010, 8);
        block.iter().for_each(|value| frame.put(sample(*value), BITS));
        return;
    }
    frame.put((0b00_1000 | order as u64) << 1, 8);
    block[..order].iter().for_each(|value| frame.put(sample(*value), BITS));
    // Rice with a parameter of four bits, one partition.
    frame.put(0b00, 2);
    frame.put(0, 4);
    frame.put(u64::from(parameter), 4);
    for value in rest {
        let folded = fold(value);
        frame.zeros(folded >> parameter);
        frame.put(1, 1);
        frame.put(folded & ((1 << parameter) - 1), parameter);
    }
}

/// What a fixed polynomial of this order does not foresee.
fn residual(block: &[i32], order: usize) -> Vec<i32> {
    let mut rest = block.to_vec();
    for _ in 0..order {
        rest = rest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    }
    rest
}

fn sum(rest: &[i32]) -> u64 {
    rest.iter().map(|value| u64::from(value.unsigned_abs())).sum()
}

fn rice_bits(rest: &[i32], parameter: u32) -> u64 {
    rest.iter().map(|value| (fold(*value) >> parameter) + 1 + u64::from(parameter)).sum()
}

/// Small numbers of both signs as small numbers of none.
fn fold(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}

/// A number as UTF-8 would write it, for frames beyond Unicode too.
fn numbered(number: u64) -> Vec<u8> {
    if number < 0x80 {
        return vec![number as u8];
    }
    let mut tail = Vec::new();
    let mut rest = number;
    // The first byte has room for six bits less each further byte.
    while rest >= 1 << (6 - tail.len()) {
        tail.push(0x80 | (rest & 0x3f) as u8);
        rest >>= 6;
    }
    let ones = !(0xff_u8 >> (tail.len() + 1));
    let mut bytes = vec![ones | rest as u8];
    bytes.extend(tail.into_iter().rev());
    bytes
}

/// A cyclic sum of so many bits, beginning with nothing.
fn crc(bytes: &[u8], bits: u32, polynomial: u16) -> u16 {
    let top = 1 << (bits - 1);
    let mask = u16::MAX >> (16 - bits);
    bytes.iter().fold(0_u16, |sum, byte| {
        let sum = sum ^ (u16::from(*byte) << (bits - 8));
        (0..8).fold(sum, |sum, _| if sum & top == 0 { (sum << 1) & mask } else { ((sum << 1) ^ polynomial) & mask })
    })
}

/// Bits in their order.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    /// Appends the lowest `count` bits of `value`, 56 at most.
    fn put(&mut self, value: u64, count: u32) {
        self.pending = (self.pending << count) | (value & ((1 << count) - 1));
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.pending >> self.count) as u8);
        }
        self.pending &= (1 << self.count) - 1;
    }

    fn zeros(&mut self, count: u64) {
        for _ in 0..count / 32 {
            self.put(0, 32);
        }
        self.put(0, (count % 32) as u32);
    }

    /// The bytes that are whole.
    fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// All of them, the last filled with zeros.
    fn bytes(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use media::decode::file::Decoder;
    use proptest::prelude::*;

    use super::*;

    fn encoded(samples: &[f32], rate_hz: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut flac = Flac::begin(rate_hz, &mut out);
        samples.chunks(777).for_each(|some| flac.push(some, &mut out));
        flac.finish(&mut out);
        out
    }

    /// What another's decoder hears, in 16 bits.
    fn decoded(bytes: Vec<u8>) -> Vec<i32> {
        let mut decoder = Decoder::open(Cursor::new(bytes)).expect("it is FLAC");
        let mut heard = Vec::new();
        while let Some(block) = decoder.next_block().expect("it is whole") {
            heard.extend(block.channels[0].iter().map(|sample| (sample * 32_768.0).round() as i32));
        }
        heard
    }

    fn in_16_bits(samples: &[f32]) -> Vec<i32> {
        samples.iter().map(|sample| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i32).collect()
    }

    #[test]
    fn speech_comes_back_bit_for_bit_and_shorter() {
        let tone = |n: usize| 0.4 * (n as f32 * 0.05).sin() + 0.1 * (n as f32 * 0.31).sin();
        let samples: Vec<f32> = (0..3 * BLOCK + 100).map(tone).chain(vec![0.0; 2 * BLOCK]).collect();
        let bytes = encoded(&samples, 24_000);
        assert!(bytes.len() < samples.len() * 3 / 2, "{} for {}", bytes.len(), samples.len());
        assert_eq!(decoded(bytes), in_16_bits(&samples));
    }

    #[test]
    fn noise_and_clicks_come_back_too() {
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let loud: Vec<f32> = (0..BLOCK + 5).map(|_| noise()).collect();
        assert_eq!(decoded(encoded(&loud, 8_000)), in_16_bits(&loud));
        let mut click = vec![0.0; 2 * BLOCK];
        (click[10], click[5_000]) = (1.0, -1.0);
        assert_eq!(decoded(encoded(&click, 48_000)), in_16_bits(&click));
    }

    #[test]
    fn numbers_of_frames_are_written_as_utf_8_writes_them() {
        for number in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x1_0000] {
            let expected = char::from_u32(number).map_or_else(Vec::new, |c| c.to_string().into_bytes());
            assert_eq!(numbered(number.into()), expected, "{number:x}");
        }
        assert_eq!(numbered(0x20_0000), [0xf8, 0x88, 0x80, 0x80, 0x80]);
    }

    #[test]
    fn sums_are_those_of_the_catalogue() {
        assert_eq!(crc(b"123456789", 8, 0x07), 0xf4);
        assert_eq!(crc(b"123456789", 16, 0x8005), 0xfee8);
    }

    proptest! {
        #[test]
        fn whatever_is_said_comes_back(samples in prop::collection::vec(-1.1_f32..1.1, 17..600)) {
            prop_assert_eq!(decoded(encoded(&samples, 16_000)), in_16_bits(&samples));
        }
    }
}
