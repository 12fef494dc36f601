//! What a voice sounds like: some hundred numbers for some speech, alike for the same person and unlike for others.
//!
//! [`VoiceKind`] lists the models that are known and what each of them wants: which picture of the sound
//! ([`Picture`]), and from which likeness on two voices are one ([`Thresholds`]). How loud somebody is, or how their
//! line sounds, says nothing about who it is: a piece for GE2E is brought to one loudness, and of a piece of a filter
//! bank the mean is taken out. Tensor `[batch, frames, bands]` to `[batch, numbers]`, made unit vectors here.
//! Source: GE2E as trained for Resemblyzer 0.1.4 (Apache-2.0); WeSpeaker (Apache-2.0), whose ResNet34-LM is CC-BY-4.0
//! for its training data; CAM++ of 3D-Speaker (Apache-2.0); ReDimNet (MIT) as WeSpeaker's recipe trains it.

use std::path::Path;

use super::{
    cluster::dot,
    fbank::{Fbank, Form, Taper},
    mel::{COLUMNS, MELS, Mel, Row},
};
use crate::{
    onnx::{self, Input, Library, Selection, Session},
    recognizer::Error,
};

/// A voice model that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceKind {
    /// WeSpeaker's ResNet34 after large-margin fine-tuning: 256 numbers.
    WeSpeaker,
    /// CAM++ as 3D-Speaker exports it: 192 or 512 numbers.
    CamPlusPlus,
    /// ReDimNet B2 as WeSpeaker exports it: 192 numbers.
    ReDimNet,
    /// Resemblyzer's network: 256 numbers.
    Ge2e,
}

/// From which likeness (cosine, in [-1, 1]) on voices are one. Numbers of two models cannot be compared, so each has
/// its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A piece of 1.6 s joins a group that it is this much like.
    pub joins: f32,
    /// Two groups that are this much alike are one person.
    pub one_person: f32,
    /// What is less like a person than this is somebody else.
    pub strange: f32,
    /// Of one person's recording, split into the two parts that are least alike, the parts are this much alike.
    pub one_reference: f32,
}

impl VoiceKind {
    /// All of them, the better first.
    pub const ALL: [Self; 4] = [Self::WeSpeaker, Self::CamPlusPlus, Self::ReDimNet, Self::Ge2e];

    /// Its name in the list of models: its folder, and what prints of voices say they are made by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WeSpeaker => "wespeaker-resnet34-lm",
            Self::CamPlusPlus => "campplus",
            Self::ReDimNet => "redimnet-b2",
            Self::Ge2e => "resemblyzer-ge2e",
        }
    }

    /// The file in that folder.
    pub const fn file(self) -> &'static str {
        match self {
            Self::WeSpeaker => "wespeaker-resnet34-lm.onnx",
            Self::CamPlusPlus => "campplus.onnx",
            Self::ReDimNet => "redimnet-b2.onnx",
            Self::Ge2e => "resemblyzer_ge2e.onnx",
        }
    }

    /// Which model lies at a path, by the name of the file or of its folder; GE2E where neither says.
    pub fn at(path: &Path) -> Self {
        let file = path.file_name();
        let folder = path.parent().and_then(Path::file_name);
        let is_named = |kind: &Self| file.is_some_and(|file| file == kind.file());
        let is_in_folder = |kind: &Self| folder.is_some_and(|folder| folder == kind.name());
        let mut all = Self::ALL.into_iter();
        all.clone().find(is_named).or_else(|| all.find(is_in_folder)).unwrap_or(Self::Ge2e)
    }

    /// From when on its voices are one. Those of GE2E were found on recordings of meetings; those of the others are
    /// where their makers' verification sets out from and were held against no recording here.
    pub const fn thresholds(self) -> Thresholds {
        match self {
            Self::Ge2e => Thresholds { joins: 0.77, one_person: 0.86, strange: 0.70, one_reference: 0.73 },
            Self::WeSpeaker | Self::CamPlusPlus | Self::ReDimNet => {
                Thresholds { joins: 0.45, one_person: 0.60, strange: 0.30, one_reference: 0.35 }
            }
        }
    }

    /// How many numbers it gives, where all files of it give as many.
    pub(super) const fn numbers(self) -> Option<usize> {
        match self {
            Self::Ge2e | Self::WeSpeaker => Some(256),
            Self::ReDimNet => Some(192),
            Self::CamPlusPlus => None,
        }
    }

    /// The filter bank that it looks at; `None` for GE2E, which has a picture of its own.
    const fn form(self) -> Option<Form> {
        match self {
            Self::Ge2e => None,
            Self::WeSpeaker => Some(Form { bands: 80, taper: Taper::Hamming, full: 32_768.0 }),
            Self::ReDimNet => Some(Form { bands: 72, taper: Taper::Hamming, full: 32_768.0 }),
            Self::CamPlusPlus => Some(Form { bands: 80, taper: Taper::Povey, full: 1.0 }),
        }
    }

    /// Columns of its picture.
    const fn columns(self) -> usize {
        match self.form() {
            Some(form) => form.bands,
            None => MELS,
        }
    }
}

/// Makes rows of sound for a voice model.
#[derive(Debug)]
pub(super) enum Picture {
    Mel(Mel),
    Fbank(Fbank),
}

impl Picture {
    /// The picture that a model looks at.
    pub(super) fn new(kind: VoiceKind) -> Self {
        match kind.form() {
            Some(form) => Self::Fbank(Fbank::new(form)),
            None => Self::Mel(Mel::new()),
        }
    }

    /// Takes the next samples (16 kHz mono) and appends the rows that are certain by them.
    pub(super) fn hear(&mut self, samples: &[f32], rows: &mut impl Extend<Row>) {
        match self {
            Self::Mel(mel) => mel.hear(samples, rows),
            Self::Fbank(fbank) => fbank.hear(samples, rows),
        }
    }

    /// Appends the last rows: the sound has ended.
    pub(super) fn end(&mut self, rows: &mut impl Extend<Row>) {
        match self {
            Self::Mel(mel) => mel.end(rows),
            Self::Fbank(fbank) => fbank.end(rows),
        }
    }
}

/// Mean square that every piece for GE2E is brought to: 30 dB below full, as the model's training data.
const LOUDNESS: f32 = 1e-3;

/// Kept from dividing by the silence of a dead line.
const LOUDNESS_MIN: f32 = 1e-12;

/// Numbers of a voice: fewer tell nobody apart, and no model gives more.
pub(super) const NUMBERS: std::ops::RangeInclusive<usize> = 32..=2_048;

/// The loaded model.
#[derive(Debug)]
pub(super) struct Voice {
    kind: VoiceKind,
    session: Session,
    select: Selection,
    /// How many numbers this file gives; known once it has run.
    numbers: Option<usize>,
    picture: Vec<f32>,
}

impl Voice {
    /// Loads a model of the kind that its path names and shows it a second of silence.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, or another model.
    pub(super) fn load(library: &Library, model: &Path) -> Result<Self, Error> {
        let kind = VoiceKind::at(model);
        let refused = || onnx::model_error(model, format_args!("not a voice model of the kind {}", kind.name()));
        let bytes = onnx::read_model(model)?;
        let session = library.session(model, &bytes)?;
        let is_right = match kind {
            VoiceKind::Ge2e => session.inputs().eq(["mels"]) && session.outputs().eq(["embedding"]),
            // Exports call them as they please.
            _ => session.inputs().count() == 1,
        };
        let output = session.outputs().next().map(str::to_owned);
        let (true, Some(output)) = (is_right, output) else { return Err(refused()) };
        let select = Selection::new([output])?;
        let mut voice = Self { kind, session, select, numbers: kind.numbers(), picture: Vec::new() };
        // A damaged file may load and still not run: better said at once than in the middle of a recording.
        let silence = [Row { bands: [0.0; COLUMNS], power: 0.0 }; 100];
        let heard = voice.of(silence.iter()).map_err(|error| onnx::model_error(model, error))?;
        voice.numbers = Some(heard.len());
        Ok(voice)
    }

    /// Which model it is.
    pub(super) fn kind(&self) -> VoiceKind {
        self.kind
    }

    /// The voice in these rows of its [`Picture`], a unit vector.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails.
    pub(super) fn of<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) -> Result<Vec<f32>, Error> {
        let columns = self.kind.columns();
        self.picture.clear();
        let (mut power, mut count) = (0.0_f32, 0_usize);
        for row in rows {
            self.picture.extend_from_slice(&row.bands[..columns]);
            power += row.power;
            count += 1;
        }
        match self.kind.form() {
            Some(_) => centre(&mut self.picture, columns),
            None => level(&mut self.picture, power / count.max(1) as f32),
        }
        let outputs = self.session.run(&[Input::F32(&[1, count, columns], &self.picture)], &self.select)?;
        let (shape, vector) = outputs[0].f32s()?;
        let is_expected =
            self.numbers.map_or_else(|| NUMBERS.contains(&vector.len()), |numbers| vector.len() == numbers);
        if !is_expected || !vector.iter().all(|part| part.is_finite()) {
            return Err(Error::Engine(format!("voice: {shape:?} holds no voice")));
        }
        // Most models end with that; an export may leave it to whoever uses it.
        let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
        Ok(vector.iter().map(|part| part / length).collect())
    }
}

/// Brings a piece to one loudness: `power` is the mean square of its samples.
fn level(picture: &mut [f32], power: f32) {
    let gain = LOUDNESS / power.max(LOUDNESS_MIN);
    for mel in picture {
        *mel *= gain;
    }
}

/// Takes its mean out of every column.
fn centre(picture: &mut [f32], columns: usize) {
    let rows = (picture.len() / columns).max(1) as f32;
    let mut mean = vec![0.0_f32; columns];
    for row in picture.chunks_exact(columns) {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += value / rows;
        }
    }
    for row in picture.chunks_exact_mut(columns) {
        for (value, mean) in row.iter_mut().zip(&mean) {
            *value -= mean;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_file_or_its_folder() {
        for (path, kind) in [
            ("models/wespeaker-resnet34-lm/wespeaker-resnet34-lm.onnx", VoiceKind::WeSpeaker),
            ("models/campplus/mine.onnx", VoiceKind::CamPlusPlus),
            ("anywhere/redimnet-b2.onnx", VoiceKind::ReDimNet),
            ("models/speaker/resemblyzer_ge2e.onnx", VoiceKind::Ge2e),
            // The file says more than where it lies.
            ("models/campplus/resemblyzer_ge2e.onnx", VoiceKind::Ge2e),
            ("some.onnx", VoiceKind::Ge2e),
            ("", VoiceKind::Ge2e),
        ] {
            assert_eq!(VoiceKind::at(Path::new(path)), kind, "{path}");
        }
    }

    #[test]
    fn no_two_models_share_a_name_and_every_picture_has_room() {
        for (at, kind) in VoiceKind::ALL.into_iter().enumerate() {
            assert!(
                VoiceKind::ALL[..at].iter().all(|other| other.name() != kind.name() && other.file() != kind.file())
            );
            assert!((1..=COLUMNS).contains(&kind.columns()), "{kind:?}");
            let Thresholds { joins, one_person, strange, one_reference } = kind.thresholds();
            assert!(strange < joins && joins < one_person && one_reference < one_person, "{kind:?}");
        }
    }

    #[test]
    fn a_line_that_colours_a_voice_leaves_no_mark_on_a_filter_bank() {
        let mut picture = vec![1.0, 10.0, 3.0, 20.0, 5.0, 60.0];
        let mut coloured: Vec<f32> = picture.iter().zip([2.0, -4.0].iter().cycle()).map(|(a, b)| a + b).collect();
        centre(&mut picture, 2);
        centre(&mut coloured, 2);
        assert_eq!(picture, [-2.0, -20.0, 0.0, -10.0, 2.0, 30.0]);
        assert!(picture.iter().zip(&coloured).all(|(a, b)| (a - b).abs() < 1e-5), "{coloured:?}");
        centre(&mut [], 2);
    }

    #[test]
    fn pieces_for_ge2e_are_equally_loud() {
        // Mels are powers: four times the power is twice the amplitude.
        let (mut quiet, mut loud) = ([1.0, 2.0], [4.0, 8.0]);
        level(&mut quiet, 1e-5);
        level(&mut loud, 4e-5);
        assert!(quiet.iter().zip(&loud).all(|(a, b)| (a - b).abs() < 1e-3));
        level(&mut [0.0], 0.0);
    }
}
