//! Our own recognizer as a judge of sound: what words are still in what came out?
//!
//! Moonshine over whole recordings, offline, without the streaming; every rate is brought to its 16 kHz.

use std::sync::atomic::AtomicBool;

use asr::{
    moonshine::Moonshine,
    onnx::Library,
    recognizer::{Decoder, Hints, Recognizer as _},
};
use media::dsp::resample::Resampler;

use crate::{
    fixture::{model, onnx_library},
    listening::Sound,
};

/// What the recognizer hears at.
const RATE_HZ: u32 = 16_000;

/// The longest piece that is decoded at once, about: a little less than the model was trained on.
const PIECE: usize = 11 * RATE_HZ as usize;

/// Writes down English speech.
pub struct Transcriber(Box<dyn Decoder>);

impl Transcriber {
    /// The recognizer of this machine, or the reason to skip.
    ///
    /// # Errors
    /// When the model or its library is not there.
    ///
    /// # Panics
    /// When they are there and do not load.
    pub fn load() -> Result<Self, String> {
        let (library, folder) = (onnx_library()?, model("moonshine-tiny-en")?);
        let library = Library::open(&library).expect("the library loads");
        let moonshine = Moonshine::load(&library, &folder).expect("the model loads");
        Ok(Self(moonshine.decoder().expect("a decoder")))
    }

    /// The words of a sound, which is cut about every 11 s where it is quietest.
    ///
    /// # Panics
    /// When the rate is none that sound has, or the model refuses.
    pub fn text(&mut self, sound: Sound<'_>) -> String {
        let mut audio = Vec::new();
        let mut resampler = Resampler::new(sound.rate_hz, RATE_HZ).expect("a rate that sound has");
        resampler.process(sound.samples, &mut audio);
        resampler.flush(&mut audio);
        let (mut words, mut rest) = (Vec::new(), &audio[..]);
        while !rest.is_empty() {
            let whole = rest.len() <= PIECE + 32_000;
            let at = if whole { rest.len() } else { quietest(rest, PIECE - 64_000, PIECE + 32_000) };
            let (piece, after) = rest.split_at(at);
            let decoded = self.0.decode(piece, &Hints::default(), &AtomicBool::new(false));
            words.extend(decoded.expect("it decodes").words.into_iter().map(|word| word.text));
            rest = after;
        }
        words.join(" ")
    }
}

/// The middle of the quietest 200 ms between two places.
fn quietest(audio: &[f32], from: usize, until: usize) -> usize {
    let power = |at: &usize| audio[*at..*at + 3200].iter().map(|sample| sample * sample).sum::<f32>();
    let at = (from..until - 3200).step_by(320).min_by(|a, b| power(a).total_cmp(&power(b)));
    at.expect("the range is long") + 1600
}
