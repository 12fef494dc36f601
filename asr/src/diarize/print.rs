//! A voice that is kept: what one person sounds like to one model, so that they are recognized another time.
//!
//! [`VoicePrint`] is pure: numbers of two models say nothing about each other, so a print names the model that made
//! it, and is compared with those of the same model alone. [`Enroller`] makes one from a recording of one person
//! speaking: it runs on the thread of whoever asks, some hundredths of the recording's length, and refuses what would
//! make a print of nobody. A print is as personal as a fingerprint: it is never shown, not even by `Debug`.

use std::{fmt, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    cluster::dot,
    mel::Row,
    voice::{NUMBERS, Picture, Voice, VoiceKind},
};
use crate::{
    onnx::Library,
    recognizer::Error,
    turn::features::HOP,
    vad::silero::{self, Silero},
};

/// What one person sounds like.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kept")]
pub struct VoicePrint {
    /// The model that heard it, by the name of its manifest entry.
    pub model: Arc<str>,
    /// A unit vector.
    pub voice: Arc<[f32]>,
}

impl VoicePrint {
    /// A print of a voice of any length, as `model` heard it.
    ///
    /// # Errors
    /// [`BadPrint`] when that cannot be a voice of the model.
    pub fn new(model: &str, voice: &[f32]) -> Result<Self, BadPrint> {
        if model.is_empty() || model.len() > MODEL_BYTES_MAX {
            return Err(BadPrint::Model);
        }
        let known = VoiceKind::ALL.into_iter().find(|kind| kind.name() == model);
        let expected = known.and_then(VoiceKind::numbers);
        if !NUMBERS.contains(&voice.len()) || expected.is_some_and(|numbers| voice.len() != numbers) {
            return Err(BadPrint::Numbers { model: model.to_owned(), is: voice.len() });
        }
        let length = dot(voice, voice).sqrt();
        if !length.is_finite() || length < LENGTH_MIN {
            return Err(BadPrint::Nothing);
        }
        Ok(Self { model: model.into(), voice: voice.iter().map(|part| part / length).collect() })
    }

    /// How alike two voices are, in [-1, 1]; `None` where different models made the prints. From which figure on they
    /// are one is the model's own: [`super::Thresholds`].
    pub fn likeness(&self, other: &Self) -> Option<f32> {
        let is_comparable = self.model == other.model && self.voice.len() == other.voice.len();
        is_comparable.then(|| dot(&self.voice, &other.voice))
    }
}

impl fmt::Debug for VoicePrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VoicePrint({}, …)", self.model)
    }
}

/// A print as it was kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    model: String,
    voice: Vec<f32>,
}

impl TryFrom<Kept> for VoicePrint {
    type Error = BadPrint;

    fn try_from(kept: Kept) -> Result<Self, BadPrint> {
        Self::new(&kept.model, &kept.voice)
    }
}

/// Something is no print of a voice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrint {
    /// It does not say which model made it.
    #[error("the print of a voice names the model that made it, in {MODEL_BYTES_MAX} characters at most")]
    Model,
    /// It has more or fewer numbers than the model gives.
    #[error("{is} numbers are no voice of the model {model}")]
    Numbers {
        /// Which model.
        model: String,
        /// How many there are.
        is: usize,
    },
    /// Its numbers are all zero, or none.
    #[error("the print of a voice holds no voice")]
    Nothing,
}

/// Makes prints of recordings.
#[derive(Debug)]
pub struct Enroller {
    voice: Voice,
    activity: Option<Silero>,
}

impl Enroller {
    /// Loads the voice model. What is loud enough is taken for speech.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub fn load(library: &Library, voice: &Path) -> Result<Self, Error> {
        Ok(Self { voice: Voice::load(library, voice)?, activity: None })
    }

    /// The same, where speech is also what the voice-activity model takes for it: music and noise are none.
    #[must_use]
    pub fn with_activity(self, activity: Silero) -> Self {
        Self { activity: Some(activity), ..self }
    }

    /// Which model makes the prints.
    pub fn kind(&self) -> VoiceKind {
        self.voice.kind()
    }

    /// The voice of the one person who speaks in a recording: 16 kHz mono in [-1, 1], with 4 s of speech at least. Of
    /// a long one the first two minutes are listened to.
    ///
    /// # Errors
    /// [`EnrolError`]; all but [`EnrolError::Engine`] are the recording's fault.
    pub fn hear(&mut self, samples: &[f32]) -> Result<VoicePrint, EnrolError> {
        let kind = self.voice.kind();
        let sane = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        let sound: Vec<f32> = samples.iter().take(HEARD_SAMPLES_MAX).map(sane).collect();
        let (mut picture, mut rows) = (Picture::new(kind), Vec::new());
        picture.hear(&sound, &mut rows);
        picture.end(&mut rows);
        rows.truncate(sound.len() / HOP);
        let mut speech = loud(&rows);
        if let Some(activity) = &mut self.activity {
            keep_active(activity, &sound, &mut speech)?;
        }
        check(&sound, &speech)?;
        let said: Vec<&Row> =
            rows.iter().zip(&speech).filter_map(|(row, is_speech)| is_speech.then_some(row)).collect();
        let pieces = said.windows(PIECE_HOPS).step_by(PIECE_STEP).map(|piece| self.voice.of(piece.iter().copied()));
        let pieces = pieces.collect::<Result<Vec<_>, Error>>()?;
        let voice = one_voice(&pieces, kind.thresholds().one_reference)?;
        VoicePrint::new(kind.name(), &voice).map_err(|bad| Error::Engine(bad.to_string()).into())
    }
}

/// Why a recording makes no print.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is no speech in it.
    #[error("nobody speaks in the recording; {SPEECH_S_MIN} s of one person speaking are needed")]
    Silent,
    /// There is not enough speech in it.
    #[error("the recording holds {speech_s:.1} s of speech; {SPEECH_S_MIN} s of one person speaking are needed")]
    Short {
        /// How much there is.
        speech_s: f32,
    },
    /// It is too loud for what recorded it, most of the time.
    #[error("the recording is clipped throughout; make it again, quieter")]
    Clipped,
    /// Its parts are unlike each other.
    #[error("more than one voice seems to speak in the recording; record one person alone, in one place")]
    SeveralVoices,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl EnrolError {
    /// Whether another recording may do.
    pub fn is_recordings(&self) -> bool {
        !matches!(self, Self::Engine(_))
    }
}

/// Speech below which a print would say more about the words than about the voice.
const SPEECH_S_MIN: u32 = 4;

/// Two minutes: more speech makes a print no better, and takes a second or two.
const HEARD_SAMPLES_MAX: usize = 120 * 100 * HOP;

/// Hops of speech in a piece: 1.6 s, as GE2E learned and as all of them are given elsewhere.
const PIECE_HOPS: usize = 160;

/// Hops from piece to piece.
const PIECE_STEP: usize = 80;

/// Mean square of a hop below which nobody is heard: 60 dB below full. The quietest talkers are 40 dB below it.
const QUIET: f32 = 1e-6;

/// How far below the loudest hops speech goes: 30 dB, which keeps soft sounds and leaves out most rooms.
const SOFT: f32 = 1e-3;

/// From this probability on the voice-activity model hears speech.
const ACTIVITY: f32 = 0.5;

/// What is this close to full was cut off there.
const FULL: f32 = 0.985;

/// Samples of a hop at full from which on it is clipped: a loud voice touches full with one or two.
const FULL_SAMPLES: usize = HOP / 20;

/// Shorter than this no voice is.
const LENGTH_MIN: f32 = 1e-3;

const MODEL_BYTES_MAX: usize = 64;

/// Which hops are loud enough to be speech.
fn loud(rows: &[Row]) -> Vec<bool> {
    let mut powers: Vec<f32> = rows.iter().map(|row| row.power).collect();
    powers.sort_by(f32::total_cmp);
    // A click is no measure of how loud somebody speaks.
    let loudest = powers.get(powers.len() * 19 / 20).copied().unwrap_or(0.0);
    let least = QUIET.max(loudest * SOFT);
    rows.iter().map(|row| row.power >= least).collect()
}

/// Lets go of hops that the voice-activity model takes for no speech.
fn keep_active(activity: &mut Silero, sound: &[f32], speech: &mut [bool]) -> Result<(), Error> {
    let mut state = silero::State::default();
    let (windows, _) = sound.as_chunks::<{ silero::WINDOW_SAMPLES }>();
    for (at, samples) in windows.iter().enumerate() {
        let mut window = silero::Window { state: &mut state, samples, speech: 0.0 };
        activity.score(std::slice::from_mut(&mut window))?;
        if window.speech < ACTIVITY {
            let hop = |window: usize| (window * silero::WINDOW_SAMPLES / HOP).min(speech.len());
            let (from, until) = (hop(at), hop(at + 1));
            speech[from..until].fill(false);
        }
    }
    Ok(())
}

/// Refuses a recording with too little speech, or none that is whole.
fn check(sound: &[f32], speech: &[bool]) -> Result<(), EnrolError> {
    let hops = speech.iter().filter(|is_speech| **is_speech).count();
    let speech_s = hops as f32 / 100.0;
    if hops == 0 {
        return Err(EnrolError::Silent);
    }
    if speech_s < SPEECH_S_MIN as f32 {
        return Err(EnrolError::Short { speech_s });
    }
    let is_clipped = |hop: &[f32]| hop.iter().filter(|sample| sample.abs() >= FULL).count() >= FULL_SAMPLES;
    let clipped = sound.chunks(HOP).zip(speech).filter(|(hop, is_speech)| **is_speech && is_clipped(hop)).count();
    if clipped * 2 > hops { Err(EnrolError::Clipped) } else { Ok(()) }
}

/// The mean of the pieces, unless parts of them are less than `alike`.
fn one_voice(pieces: &[Vec<f32>], alike: f32) -> Result<Vec<f32>, EnrolError> {
    if parts(pieces) < alike {
        return Err(EnrolError::SeveralVoices);
    }
    Ok(mean(pieces.iter()))
}

/// How alike the two parts are into which the pieces fall: each piece is with the one of the two that it is more like,
/// to begin with the two pieces that are least alike. On recordings of one person that are at hand the figure was 0.77
/// and more with GE2E, on two who read one after the other 0.69 and less, on two who take turns every two seconds 0.71
/// to 0.80: of those some pass.
fn parts(pieces: &[Vec<f32>]) -> f32 {
    let pairs = (0..pieces.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    let unlike = pairs
        .map(|(first, second)| (dot(&pieces[first], &pieces[second]), first, second))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, first, second)) = unlike else { return 1.0 };
    let mut parts = [pieces[first].clone(), pieces[second].clone()];
    for _ in 0..ROUNDS {
        let is_first = |piece: &&Vec<f32>| dot(piece, &parts[0]) >= dot(piece, &parts[1]);
        let (ones, others): (Vec<&Vec<f32>>, Vec<&Vec<f32>>) = pieces.iter().partition(is_first);
        if ones.is_empty() || others.is_empty() {
            break;
        }
        parts = [mean(ones.into_iter()), mean(others.into_iter())];
    }
    dot(&parts[0], &parts[1])
}

/// Times that the pieces are put to the two parts again.
const ROUNDS: usize = 8;

/// The mean of unit vectors, a unit vector itself.
fn mean<'a>(pieces: impl Iterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    let mut sum = Vec::new();
    for piece in pieces {
        sum.resize(piece.len(), 0.0);
        for (sum, part) in sum.iter_mut().zip(piece) {
            *sum += part;
        }
    }
    let length = dot(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|part| *part /= length);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarize::mel::COLUMNS;

    fn print(model: &str, numbers: usize, at: usize) -> VoicePrint {
        let voice: Vec<f32> = (0..numbers).map(|part| if part == at { 3.0 } else { 0.0 }).collect();
        VoicePrint::new(model, &voice).unwrap()
    }

    #[test]
    fn a_print_reads_back_as_it_was_kept() {
        let voice: Vec<f32> = (0..256).map(|part| ((part * 37 % 101) as f32 - 50.0) / 7.0).collect();
        let print = VoicePrint::new("resemblyzer-ge2e", &voice).unwrap();
        let kept = serde_json::to_string(&print).unwrap();
        let back: VoicePrint = serde_json::from_str(&kept).unwrap();
        assert_eq!(back.model, print.model);
        assert!(print.likeness(&back).unwrap() > 0.999_99, "{kept}");
        assert!((print.likeness(&print).unwrap() - 1.0).abs() < 1e-5, "a print is of length one");
    }

    #[test]
    fn prints_of_two_models_cannot_be_compared() {
        let one = print("campplus", 192, 0);
        assert_eq!(one.likeness(&print("campplus", 192, 0)), Some(1.0));
        assert_eq!(one.likeness(&print("campplus", 192, 5)), Some(0.0));
        assert_eq!(one.likeness(&print("campplus", 512, 0)), None);
        assert_eq!(one.likeness(&print("another", 192, 0)), None);
    }

    #[test]
    fn what_is_no_print_is_refused() {
        assert_eq!(VoicePrint::new("", &[1.0; 64]), Err(BadPrint::Model));
        assert_eq!(VoicePrint::new(&"m".repeat(65), &[1.0; 64]), Err(BadPrint::Model));
        for numbers in [0, 31, 192, 255, 2_049] {
            let refused = VoicePrint::new("resemblyzer-ge2e", &vec![1.0; numbers]);
            assert_eq!(refused, Err(BadPrint::Numbers { model: "resemblyzer-ge2e".to_owned(), is: numbers }));
        }
        for part in [0.0, f32::NAN, f32::INFINITY, f32::MAX] {
            assert_eq!(VoicePrint::new("campplus", &[part; 192]), Err(BadPrint::Nothing), "{part}");
        }
        for text in [
            "null",
            "{}",
            r#"{"model": "campplus"}"#,
            r#"{"model": "campplus", "voice": []}"#,
            r#"{"model": "campplus", "voice": [1.0, null]}"#,
            r#"{"model": "campplus", "voice": [], "name": "x"}"#,
        ] {
            assert!(serde_json::from_str::<VoicePrint>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_print_does_not_show_its_numbers() {
        assert_eq!(format!("{:?}", print("campplus", 192, 0)), "VoicePrint(campplus, …)");
    }

    /// Hops of these mean squares.
    fn rows(powers: impl IntoIterator<Item = f32>) -> Vec<Row> {
        powers.into_iter().map(|power| Row { bands: [0.0; COLUMNS], power }).collect()
    }

    #[test]
    fn speech_is_what_is_loud_enough_for_its_recording() {
        // A voice, a pause with the sound of a room, and one click.
        let powers = std::iter::repeat_n(1e-2, 300).chain(std::iter::repeat_n(2e-6, 200)).chain([1.0]);
        let speech = loud(&rows(powers));
        assert_eq!(speech.iter().filter(|is_speech| **is_speech).count(), 301);
        // The same 40 dB down: the room is gone, the voice is not.
        let powers = std::iter::repeat_n(2e-6, 300).chain(std::iter::repeat_n(2e-10, 200));
        assert_eq!(loud(&rows(powers)).iter().filter(|is_speech| **is_speech).count(), 300);
        assert!(loud(&rows([0.0; 500])).iter().all(|is_speech| !is_speech));
        assert!(loud(&[]).is_empty());
    }

    #[test]
    fn silence_scraps_and_clipping_are_refused_with_the_reason() {
        let sound = |level: f32, hops: usize| vec![level; hops * HOP];
        assert!(matches!(check(&sound(0.0, 900), &[false; 900]), Err(EnrolError::Silent)));
        assert!(matches!(check(&[], &[]), Err(EnrolError::Silent)));
        match check(&sound(0.1, 900), &[&[true; 399][..], &[false; 501][..]].concat()) {
            Err(EnrolError::Short { speech_s }) => assert!((speech_s - 3.99).abs() < 1e-3),
            other => panic!("{other:?}"),
        }
        assert!(check(&sound(0.1, 400), &[true; 400]).is_ok());
        assert!(matches!(check(&sound(1.0, 400), &[true; 400]), Err(EnrolError::Clipped)));
        assert!(matches!(check(&sound(-1.0, 400), &[true; 400]), Err(EnrolError::Clipped)));
        // Half of it is whole, and a peak now and then is a loud voice.
        assert!(check(&[sound(1.0, 200), sound(0.5, 200)].concat(), &[true; 400]).is_ok());
        let peaks: Vec<f32> = (0..400 * HOP).map(|at| if at % 40 == 0 { 1.0 } else { 0.3 }).collect();
        assert!(check(&peaks, &[true; 400]).is_ok());
    }

    /// A piece by somebody: their own direction, with noise that leaves it some 0.9 alike.
    fn piece(who: usize, seed: &mut u32) -> Vec<f32> {
        let mut noise = || {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let voice: Vec<f32> = (0..32).map(|part| f32::from(u8::from(part == who)) + 0.12 * noise()).collect();
        mean(std::iter::once(&voice))
    }

    #[test]
    fn two_who_speak_one_after_the_other_or_in_turns_are_no_one_voice() {
        let mut seed = 7;
        let alone: Vec<Vec<f32>> = (0..30).map(|_| piece(3, &mut seed)).collect();
        let voice = one_voice(&alone, 0.73).unwrap();
        assert!(voice[3] > 0.95 && (dot(&voice, &voice) - 1.0).abs() < 1e-4, "{voice:?}");
        let orders: [fn(usize) -> usize; 3] = [|at| at / 15, |at| at % 2, |at| usize::from(at > 26)];
        for who in orders {
            let both: Vec<Vec<f32>> = (0..30).map(|at| piece(who(at), &mut seed)).collect();
            assert!(matches!(one_voice(&both, 0.73), Err(EnrolError::SeveralVoices)));
        }
        assert!(one_voice(&alone[..1], 0.73).is_ok());
    }
}
