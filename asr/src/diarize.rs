//! Who spoke when, by voice: a recording on which several people are mixed, and the turns of each of them.
//!
//! [`Diarizer`] is given the sound as it comes and the turns are asked for once it has ended. The segmentation model
//! says when anybody speaks and when two do ([`segmentation`]); the voice model says what each 1.6 s of speech sound
//! like ([`voice`], of the picture of [`mel`]). From there on everything is decided by pure code: which pieces are
//! one person ([`cluster`]), who speaks from when to when ([`turns`]), and who says each word ([`label`]). A voice
//! that is like nobody's is unknown rather than somebody's. Without the segmentation model voice activity serves,
//! and two who speak at once are heard as one.
//!
//! Streams are told apart while they are heard by [`live`].
//!
//! Runs on the thread of whoever feeds it, some 4 % of a core for sound as fast as it is spoken; never on a
//! real-time one. Memory grows by 8 MB for an hour of speech, and up to 12 MB more are needed at the end.

mod cluster;
mod fbank;
pub mod label;
pub mod live;
mod mel;
pub mod print;
mod segmentation;
mod turns;
mod voice;

use std::{collections::VecDeque, path::Path};

use media::time::Span;

pub use self::voice::{Thresholds, VoiceKind};
use self::{
    cluster::{Groups, Piece},
    mel::Row,
    print::VoicePrint,
    segmentation::{Overlaid, STRIDE, Segmentation},
    voice::{Picture, Voice},
};
use crate::{
    onnx::Library,
    recognizer::Error,
    turn::features::HOP,
    vad::silero::{self, Silero},
};

/// A person of one recording; counts up in the order in which they first speak, from zero or behind those who are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId(pub u16);

/// How the voices of a stream are told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diarization {
    /// Voices that may be recognized: the first is [`VoiceId`] 0 and so on, and whoever is none of them counts up from
    /// there.
    pub known: Vec<VoicePrint>,
    /// How many people there are, where somebody knows; those who are known and silent are among them.
    pub expected: Option<usize>,
}

/// Somebody speaks. Turns of two people overlap where both speak at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose voice it is; `None` for one that is like nobody's.
    pub voice: Option<VoiceId>,
    /// From when to when, short pauses and a breath at either end included.
    pub span: Span,
}

/// What says when anybody speaks.
#[derive(Clone, Copy, Debug)]
pub enum Speech<'a> {
    /// The segmentation model, which also hears that two speak at once.
    Segmentation(&'a Path),
    /// The voice-activity model, which does not.
    Activity(&'a Path),
}

/// 10 ms of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    /// Anybody speaks.
    speech: bool,
    /// Two do.
    overlap: bool,
}

/// Hears one recording.
#[derive(Debug)]
pub struct Diarizer {
    speech: Hearing,
    voice: Voice,
    picture: Picture,
    /// Sound that [`Hearing`] may still look at.
    sound: Vec<f32>,
    /// Which sample the sound begins at.
    sound_at: usize,
    /// Every hop that is certain.
    hops: Vec<Hop>,
    /// Rows that a piece may still need.
    rows: VecDeque<Row>,
    /// Which hop the rows begin at.
    rows_at: usize,
    /// The hop in the middle of the next piece.
    next_piece: usize,
    pieces: Vec<Piece>,
    groups: Groups,
    known: Vec<VoicePrint>,
}

impl Diarizer {
    /// Loads the models: for [`Speech`] either of the two, and a voice model ([`VoiceKind`]).
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing, cut, or another model.
    pub fn load(library: &Library, speech: Speech<'_>, voice: &Path) -> Result<Self, Error> {
        let speech = match speech {
            Speech::Segmentation(path) => Hearing::Segmentation {
                model: Segmentation::load(library, path)?,
                overlaid: Overlaid::default(),
                next_end: STRIDE,
            },
            Speech::Activity(path) => {
                Hearing::Activity { model: Silero::load(library, path)?, state: Box::default(), heard: 0 }
            }
        };
        let voice = Voice::load(library, voice)?;
        Ok(Self {
            speech,
            picture: Picture::new(voice.kind()),
            voice,
            sound: Vec::new(),
            sound_at: 0,
            hops: Vec::new(),
            rows: VecDeque::new(),
            rows_at: 0,
            next_piece: PIECE_STEP / 2,
            pieces: Vec::new(),
            groups: Groups::default(),
            known: Vec::new(),
        })
    }

    /// Voices that may be recognized: the first is [`VoiceId`] 0 and so on, and whoever is none of them counts up from
    /// there. A print that another model made is nobody's here.
    pub fn know(&mut self, known: Vec<VoicePrint>) {
        self.known = known;
    }

    /// Takes the next samples: 16 kHz mono in [-1, 1]. What is not a number is silence, what is louder than full is
    /// full.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails; what was heard before stands, but not what these samples are.
    pub fn hear(&mut self, samples: &[f32]) -> Result<(), Error> {
        let from = self.sound.len();
        let sane = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        self.sound.extend(samples.iter().map(sane));
        self.picture.hear(&self.sound[from..], &mut self.rows);
        self.speech.hear(&self.sound, self.sound_at, &mut self.hops)?;
        self.forget();
        self.gather(false)
    }

    /// Who spoke when, by start: of `expected` people where somebody knows how many there are.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails.
    pub fn finish(mut self, expected: Option<usize>) -> Result<Vec<Turn>, Error> {
        self.picture.end(&mut self.rows);
        self.speech.end(&self.sound, self.sound_at, &mut self.hops)?;
        self.gather(true)?;
        let people = cluster::people(self.groups, &self.pieces, expected);
        let names = cluster::names(&people, &self.known, self.voice.kind());
        Ok(turns::turns(&self.hops, &self.pieces, &people, &names))
    }

    /// Lets go of sound that nothing looks at any more.
    fn forget(&mut self) {
        let gone = self.speech.needs_from().saturating_sub(self.sound_at).min(self.sound.len());
        self.sound.drain(..gone);
        self.sound_at += gone;
    }

    /// Listens to the voice of every piece whose hops and rows are certain.
    fn gather(&mut self, ended: bool) -> Result<(), Error> {
        loop {
            // The row of the last hop may still lack some of its sound.
            let certain = self.hops.len().min(self.rows_at + self.rows.len());
            let is_whole = self.next_piece + PIECE_HOPS / 2 <= certain;
            let is_due = is_whole || (ended && self.next_piece < self.hops.len());
            if !is_due {
                return Ok(());
            }
            let at = self.next_piece;
            let around = at.saturating_sub(PIECE_HOPS / 2)..(at + PIECE_HOPS / 2).min(self.hops.len());
            let (hops, rows, rows_at) = (&self.hops, &self.rows, self.rows_at);
            // Where two speak at once there is no one voice.
            let alone: Vec<&Row> = around
                .filter(|&hop| hops[hop].speech && !hops[hop].overlap)
                .filter_map(|hop| rows.get(hop.checked_sub(rows_at)?))
                .collect();
            if alone.len() >= PIECE_SPEECH_HOPS {
                let piece = Piece { at, hops: alone.len(), voice: self.voice.of(alone.into_iter())? };
                self.groups.take(&piece);
                self.pieces.push(piece);
            }
            self.next_piece += PIECE_STEP;
            let gone = self.next_piece.saturating_sub(PIECE_HOPS / 2).saturating_sub(self.rows_at);
            let gone = gone.min(self.rows.len());
            self.rows.drain(..gone);
            self.rows_at += gone;
        }
    }
}

/// What says when anybody speaks, with what it has heard so far.
#[derive(Debug)]
enum Hearing {
    Segmentation {
        model: Segmentation,
        overlaid: Overlaid,
        /// The sample at which the next window ends.
        next_end: usize,
    },
    Activity {
        model: Silero,
        state: Box<silero::State>,
        /// Samples heard.
        heard: usize,
    },
}

impl Hearing {
    /// Appends the hops that are certain by `sound`, which begins at sample `from`.
    fn hear(&mut self, sound: &[f32], from: usize, hops: &mut Vec<Hop>) -> Result<(), Error> {
        let until = from + sound.len();
        match self {
            Self::Segmentation { model, overlaid, next_end } => {
                while *next_end <= until {
                    segment(model, overlaid, *next_end, sound, from)?;
                    *next_end += STRIDE;
                    overlaid.settle(next_end.saturating_sub(segmentation::WINDOW) / HOP, hops);
                }
            }
            Self::Activity { model, state, heard } => {
                while *heard + silero::WINDOW_SAMPLES <= until {
                    let Some(samples) = sound[*heard - from..].first_chunk() else { break };
                    let mut window = silero::Window { state, samples, speech: 0.0 };
                    model.score(std::slice::from_mut(&mut window))?;
                    let hop = Hop { speech: window.speech >= ACTIVITY, overlap: false };
                    *heard += silero::WINDOW_SAMPLES;
                    hops.resize(*heard / HOP, hop);
                }
            }
        }
        Ok(())
    }

    /// Appends the hops that are left: the sound has ended.
    fn end(&mut self, sound: &[f32], from: usize, hops: &mut Vec<Hop>) -> Result<(), Error> {
        let until = from + sound.len();
        match self {
            Self::Segmentation { model, overlaid, next_end } => {
                while *next_end < until + segmentation::WINDOW {
                    segment(model, overlaid, *next_end, sound, from)?;
                    *next_end += STRIDE;
                }
                overlaid.settle(until / HOP, hops);
            }
            // Less than a window is left, 32 ms: it is taken for silence.
            Self::Activity { .. } => hops.resize(until / HOP, Hop { speech: false, overlap: false }),
        }
        Ok(())
    }

    /// The first sample that is still looked at.
    fn needs_from(&self) -> usize {
        match self {
            Self::Segmentation { next_end, .. } => next_end.saturating_sub(segmentation::WINDOW),
            Self::Activity { heard, .. } => *heard,
        }
    }
}

/// Hears the window that ends at sample `end`. Before the first sample and after the last there is silence.
fn segment(
    model: &mut Segmentation,
    overlaid: &mut Overlaid,
    end: usize,
    sound: &[f32],
    from: usize,
) -> Result<(), Error> {
    let mut window = vec![0.0; segmentation::WINDOW];
    let start = end as i64 - segmentation::WINDOW as i64;
    let first = from.max(end.saturating_sub(segmentation::WINDOW));
    let last = end.min(from + sound.len()).max(first);
    let heard = &sound[first - from..last - from];
    let at = (first as i64 - start) as usize;
    window[at..at + heard.len()].copy_from_slice(heard);
    overlaid.add(start, &model.hear(&window)?);
    Ok(())
}

/// Hops that a piece of voice looks at: 1.6 s, as the voice model learned.
const PIECE_HOPS: usize = 160;

/// Hops from piece to piece: half a second. Twice as many cost twice as much and were measured to find no more.
const PIECE_STEP: usize = 50;

/// Hops of speech below which a piece says too little about a voice.
const PIECE_SPEECH_HOPS: usize = 80;

/// From this probability on the voice-activity model hears speech.
const ACTIVITY: f32 = 0.5;
