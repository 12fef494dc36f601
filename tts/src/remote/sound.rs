//! The sound of an answer: bytes into samples as they come, counted, listened to for where the words are. Pure.

use super::{RATE_HZ, Trouble};
use crate::{
    places::Envelope,
    voice::{Error, Made, Sentence},
};

/// The most samples of a sentence: the longest at the slowest speed.
const SAMPLES_MAX: u64 = 120 * RATE_HZ as u64;

/// A sentence that is being answered.
pub(super) struct Sound<'a> {
    provider: &'static str,
    sentence: &'a Sentence,
    made: &'a mut dyn FnMut(Made<'_>),
    envelope: Envelope,
    /// The first byte of a sample whose second has not come.
    half: Option<u8>,
    samples: Vec<f32>,
    count: u64,
    /// The word that was told last, and its place.
    told: Option<(usize, u64)>,
}

impl<'a> Sound<'a> {
    pub(super) fn new(provider: &'static str, sentence: &'a Sentence, made: &'a mut dyn FnMut(Made<'_>)) -> Self {
        let envelope = Envelope::of_recordings(RATE_HZ);
        Self { provider, sentence, made, envelope, half: None, samples: Vec::new(), count: 0, told: None }
    }

    /// Samples that were handed over.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes the next bytes, 16 bits a sample, and hands their samples over.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.count == 0 && self.half.is_none() {
            self.check(bytes)?;
        }
        self.samples.clear();
        let mut rest = bytes;
        if let (Some(low), Some((high, after))) = (self.half, rest.split_first()) {
            self.samples.push(sample(low, *high));
            self.half = None;
            rest = after;
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        self.samples.extend(pairs.iter().map(|[low, high]| sample(*low, *high)));
        if let Some(low) = odd.first() {
            self.half = Some(*low);
        }
        self.count += self.samples.len() as u64;
        if self.count > SAMPLES_MAX {
            return Err(self.broken("it does not stop".to_owned()));
        }
        if !self.samples.is_empty() {
            self.envelope.hear(&self.samples);
            (self.made)(Made::Samples(&self.samples));
        }
        Ok(())
    }

    /// A word begins; whoever tells one after a later one is not believed.
    pub(super) fn word(&mut self, index: usize, at_sample: u64) {
        let is_next = self.told.is_none_or(|(told, _)| told < index) && index < self.sentence.words.len();
        if is_next {
            let at_sample = self.told.map_or(at_sample, |(_, before)| before.max(at_sample));
            self.told = Some((index, at_sample));
            (self.made)(Made::Word { index, at_sample });
        }
    }

    /// That was all. Words whose places nobody told have them estimated.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.count == 0 {
            return Err(self.broken("it sends no sound".to_owned()));
        }
        if self.told.is_none() {
            for (index, at_sample) in self.envelope.places(self.sentence).into_iter().enumerate() {
                (self.made)(Made::Word { index, at_sample });
            }
        }
        Ok(())
    }

    /// Refuses what is a file of another kind: played as samples it would be noise.
    fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        let kind = match bytes {
            [b'R', b'I', b'F', b'F', ..] => "a WAV file",
            [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => "MP3",
            [b'O', b'g', b'g', b'S', ..] => "an Ogg file",
            [b'{', b'"', ..] | [b'<', b'!' | b'?' | b'h' | b'H', ..] => "text",
            _ => return Ok(()),
        };
        Err(self.broken(format!("it sends {kind} where samples of 16 bits were asked for")))
    }

    fn broken(&self, why: String) -> Error {
        Trouble::Broken { provider: self.provider, why }.into()
    }
}

fn sample(low: u8, high: u8) -> f32 {
    f32::from(i16::from_le_bytes([low, high])) / 32_768.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::{How, VoiceId, Word};

    fn sentence() -> Sentence {
        let word = |text: &str| Word { written: text.to_owned(), spoken: text.to_owned(), how: How::default() };
        Sentence { voice: VoiceId::default(), words: vec![word("one"), word("two")] }
    }

    /// Samples and words that come of these pieces.
    fn heard(pieces: &[&[u8]]) -> Result<(Vec<f32>, usize), Error> {
        let (mut samples, mut words) = (Vec::new(), 0);
        let sentence = sentence();
        let mut made = |made: Made<'_>| match made {
            Made::Samples(some) => samples.extend_from_slice(some),
            Made::Word { .. } => words += 1,
            Made::Instead => {}
        };
        let mut sound = Sound::new("nobody", &sentence, &mut made);
        pieces.iter().try_for_each(|piece| sound.hear(piece))?;
        sound.finish()?;
        Ok((samples, words))
    }

    #[test]
    fn samples_are_the_same_however_their_bytes_are_cut() {
        let bytes = [0_u8, 64, 0, 192, 255, 127, 1];
        let whole = heard(&[&bytes]).unwrap();
        assert_eq!(whole, (vec![0.5, -0.5, 32_767.0 / 32_768.0], 2));
        for cut in 1..bytes.len() {
            assert_eq!(heard(&[&bytes[..cut], &[], &bytes[cut..]]).unwrap(), whole, "{cut}");
        }
    }

    #[test]
    fn what_is_no_sound_is_refused_before_it_is_heard() {
        for bytes in [&b"RIFF\0\0\0\0WAVE"[..], b"ID3\x04", b"OggS", b"{\"error\":1}", b"<html>", b""] {
            assert!(matches!(heard(&[bytes]), Err(Error::Remote(Trouble::Broken { .. }))), "{bytes:?}");
        }
    }

    #[test]
    fn what_does_not_stop_is_given_up() {
        let second = vec![0_u8; 2 * RATE_HZ as usize];
        let pieces = vec![second.as_slice(); 121];
        let error = heard(&pieces).unwrap_err().to_string();
        assert!(error.contains("does not stop"), "{error}");
    }
}
