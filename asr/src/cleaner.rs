//! What is done to a window of speech before a recognizer hears it: a quiet talker is made louder, noise is taken out.
//!
//! A recognizer that stands in front of another and shares its threads. Only the audio that is decoded is touched:
//! the guards against invented text, the journal and the recording have what came in, and voice activity raises quiet
//! streams for itself ([`crate::vad::silero`]). One window has one gain and is cleaned as a whole, so nothing pumps,
//! nothing comes late, no sample is added or lost, and the same window always becomes the same, which is why a call
//! that is heard again is heard alike.
//!
//! By itself it does only what was measured to help (`benches/benches/noisy.rs`).

mod level;
mod suppress;

use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicBool},
};

use serde::Deserialize;

pub use self::level::Levels;
use self::suppress::Suppressor;
use crate::recognizer::{Decoder, Error, Hints, Hypothesis, Info, Recognizer};

/// What may be done to windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaning {
    /// Whether quiet speech is made louder for engines that lose words of it.
    pub gain: bool,
    /// Whether noise is taken out.
    pub suppression: Suppression,
}

/// When noise is taken out of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suppression {
    /// Where it helps the engine, by what was measured of it.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Of every window.
    On,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { gain: true, suppression: Suppression::Auto }
    }
}

/// The recognizer behind what `wish` does for it; itself when that is nothing.
pub fn before(recognizer: Arc<dyn Recognizer>, wish: Cleaning) -> Arc<dyn Recognizer> {
    let plan = Plan::of(recognizer.info().engine, wish);
    if plan == Plan::NOTHING { recognizer } else { Arc::new(Cleaned { recognizer, plan }) }
}

/// What is done for one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    gain: bool,
    suppress: bool,
}

impl Plan {
    const NOTHING: Self = Self { gain: false, suppress: false };

    fn of(engine: &str, wish: Cleaning) -> Self {
        Self {
            gain: wish.gain && WANTS_GAIN.contains(&engine),
            // Measured at 0 to 20 dB in a room's noise and in babble, either engine hears most words of what it is
            // given as it is: the network takes away what they were trained to hear through. So `auto` is never.
            suppress: wish.suppression == Suppression::On,
        }
    }
}

/// Engines that lose words of quiet speech. Whisper's spectrogram has an absolute floor: of 16 clips at -60 dBFS it
/// had 18.5 % of the words wrong, and 4.6 % with 24 dB of gain; at -50 dBFS 5.6 % and none. Moonshine's first layer
/// divides the level out: down to -60 dBFS gain makes no difference to it that could be told from chance.
const WANTS_GAIN: [&str; 1] = ["whisper"];

struct Cleaned {
    recognizer: Arc<dyn Recognizer>,
    plan: Plan,
}

impl Recognizer for Cleaned {
    fn info(&self) -> &Info {
        self.recognizer.info()
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        let suppressor = self.plan.suppress.then(Suppressor::new);
        Ok(Box::new(Cleaner { decoder: self.recognizer.decoder()?, gain: self.plan.gain, suppressor }))
    }
}

struct Cleaner {
    decoder: Box<dyn Decoder>,
    gain: bool,
    suppressor: Option<Suppressor>,
}

impl Decoder for Cleaner {
    fn decode(&mut self, audio: &[f32], hints: &Hints, abort: &AtomicBool) -> Result<Hypothesis, Error> {
        let mut window = Cow::Borrowed(audio);
        if let Some(suppressor) = &mut self.suppressor {
            window = Cow::Owned(suppressor.clean(audio));
        }
        // The level is that of the speech which is left.
        if self.gain
            && let Some(factor) = level::gain(&window)
        {
            window.to_mut().iter_mut().for_each(|sample| *sample *= factor);
        }
        self.decoder.decode(&window, hints, abort)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Remembers what it was given.
    struct Listener(Info, Arc<Mutex<Vec<f32>>>);

    impl Recognizer for Listener {
        fn info(&self) -> &Info {
            &self.0
        }

        fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
            Ok(Box::new(Heard(self.1.clone())))
        }
    }

    struct Heard(Arc<Mutex<Vec<f32>>>);

    impl Decoder for Heard {
        fn decode(&mut self, audio: &[f32], _: &Hints, _: &AtomicBool) -> Result<Hypothesis, Error> {
            *self.0.lock().unwrap() = audio.to_vec();
            Ok(Hypothesis::default())
        }
    }

    fn heard(engine: &'static str, wish: Cleaning, audio: &[f32]) -> Vec<f32> {
        let info = Info { engine, model: engine.to_owned(), languages: vec!["en".to_owned()], window_max_s: 20 };
        let given = Arc::new(Mutex::new(Vec::new()));
        let recognizer = before(Arc::new(Listener(info, given.clone())), wish);
        assert_eq!(recognizer.info().engine, engine);
        let mut decoder = recognizer.decoder().unwrap();
        decoder.decode(audio, &Hints::default(), &AtomicBool::new(false)).unwrap();
        let given = given.lock().unwrap();
        given.clone()
    }

    /// Half a second of quiet, a second of somebody far from the microphone, half a second of quiet.
    fn far() -> Vec<f32> {
        (0..32_000).map(|n| if (8_000..24_000).contains(&n) { 0.004 * (n as f32 * 0.3).sin() } else { 0.0 }).collect()
    }

    #[test]
    fn whisper_hears_a_quiet_talker_louder_and_moonshine_as_they_are() {
        let far = far();
        let louder = heard("whisper", Cleaning::default(), &far);
        assert_eq!(louder.len(), far.len());
        assert!((louder[10_000] / far[10_000] - 15.85).abs() < 0.1, "24 dB");
        assert_eq!(heard("moonshine", Cleaning::default(), &far), far);
        let without = Cleaning { gain: false, ..Cleaning::default() };
        assert_eq!(heard("whisper", without, &far), far);
    }

    #[test]
    fn noise_is_taken_out_only_where_that_is_asked_for() {
        let mut noise = media::dsp::noise::Noise::new(3);
        let hiss: Vec<f32> = (0..32_000).map(|_| 0.05 * noise.sample()).collect();
        for engine in ["whisper", "moonshine"] {
            for suppression in [Suppression::Auto, Suppression::Off] {
                assert_eq!(heard(engine, Cleaning { gain: false, suppression }, &hiss), hiss);
            }
            let cleaned = heard(engine, Cleaning { gain: false, suppression: Suppression::On }, &hiss);
            assert_eq!(cleaned.len(), hiss.len());
            let rms = media::dsp::level::rms_dbfs;
            assert!(rms(&cleaned[16_000..]) < rms(&hiss[16_000..]) - 10.0, "{} dBFS", rms(&cleaned[16_000..]));
        }
    }
}
