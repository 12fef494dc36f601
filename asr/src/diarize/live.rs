//! Who speaks now: the voices of one stream told apart while it is heard, and put right as more is known.
//!
//! [`Live`] is one stream and holds no model: [`Models`] are lent to it, so that one thread with one set of them hears
//! every stream in turn. Every half second of sound in which somebody may speak the segmentation model hears the last
//! 5 s, and the voice model the last 1.3 s ([`heard`]); the ledger says who there is ([`ledger`]), and the turns are
//! found as at the end of a recording, but over the last ten seconds. What was told of an utterance is remembered
//! ([`said`]) and told anew where somebody turns out to be another, or nobody to be somebody.
//!
//! Runs on the thread of whoever feeds it, never on a real-time one: some 5 % of a core while somebody speaks, next to
//! nothing in silence. Memory does not grow: 5 MB a stream, whether it lasts for minutes or for hours.

mod heard;
mod ledger;
mod said;

use std::{collections::VecDeque, path::Path};

use media::{
    frame::EAR_HZ,
    time::{MediaTime, Span},
};

pub use self::ledger::{Unusable, UnusableWhy};
use self::{heard::Heard, ledger::Ledger, said::Said};
use super::{
    ACTIVITY, Diarization, Hop, PIECE_STEP, Speech, Turn, VoiceId,
    cluster::{Piece, dot},
    label,
    mel::Row,
    segmentation::Segmentation,
    turns,
    voice::{Picture, Voice, VoiceKind},
};
use crate::{
    event::{UtteranceId, VoiceRun, Word},
    onnx::Library,
    recognizer::Error,
    turn::features::HOP,
    vad::silero::{self, Silero},
};

/// The models, loaded once and lent to every stream.
#[derive(Debug)]
pub struct Models {
    speech: SpeechModel,
    voice: Voice,
}

#[derive(Debug)]
enum SpeechModel {
    Segmentation(Segmentation),
    Activity(Silero),
}

impl Models {
    /// Loads the models: for [`Speech`] either of the two, and a voice model ([`VoiceKind`]).
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing, cut, or another model.
    pub fn load(library: &Library, speech: Speech<'_>, voice: &Path) -> Result<Self, Error> {
        let speech = match speech {
            Speech::Segmentation(path) => SpeechModel::Segmentation(Segmentation::load(library, path)?),
            Speech::Activity(path) => SpeechModel::Activity(Silero::load(library, path)?),
        };
        Ok(Self { speech, voice: Voice::load(library, voice)? })
    }

    /// Which voice model it is.
    pub fn kind(&self) -> VoiceKind {
        self.voice.kind()
    }
}

/// The voices of one stream.
#[derive(Debug)]
pub struct Live {
    wish: Diarization,
    /// Nothing before the first sample: only then it is known which model hears.
    core: Option<Box<Core>>,
}

impl Live {
    /// A stream that begins.
    pub fn new(wish: &Diarization) -> Self {
        Self { wish: wish.clone(), core: None }
    }

    /// Takes the next samples: 16 kHz mono in [-1, 1], from the stream's first on, always with the same models. What is
    /// not a number is silence, what is louder than full is full.
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails: half a second goes unheard, and the stream may go on.
    pub fn hear(&mut self, models: &mut Models, samples: &[f32]) -> Result<(), Error> {
        let core = self.core.get_or_insert_with(|| {
            let core = Box::new(Core::new(&self.wish, models.kind()));
            for Unusable { voice, why } in core.ledger.unusable() {
                tracing::warn!(voice = voice.0, %why, "a known voice cannot be recognized");
            }
            core
        });
        let mut outcome = Ok(());
        for part in samples.chunks(STRIDE) {
            outcome = core.hear(models, part).and(outcome);
        }
        outcome
    }

    /// Up to which time of the stream speakers are decided for now: its first sample is zero. At most a second behind
    /// what was heard.
    pub fn known_until(&self) -> MediaTime {
        self.core.as_ref().map_or(MediaTime::ZERO, |core| core.known_until())
    }

    /// Who says which of the words of an utterance, as far as is known now. It is remembered, so that it can be put
    /// right: for ten minutes whatever becomes known, later where somebody turns out to be another.
    pub fn label(&mut self, utterance: UtteranceId, words: &[Word]) -> Vec<VoiceRun> {
        match &mut self.core {
            Some(core) => core.label(utterance, words),
            None if words.is_empty() => Vec::new(),
            None => vec![VoiceRun { words: words.len(), voice: None, confidence: 0.0 }],
        }
    }

    /// The next utterance of which something else is known than was told, the oldest first, and what.
    pub fn relabelled(&mut self) -> Option<(UtteranceId, Vec<VoiceRun>)> {
        self.core.as_mut()?.said.changed()
    }

    /// The sound has ended: settles who there was, from all that is kept. What changes by it is then
    /// [`relabelled`](Self::relabelled).
    ///
    /// # Errors
    /// [`Error::Engine`] when the engine fails; people are settled all the same, but for the last second.
    pub fn finish(&mut self, models: &mut Models) -> Result<(), Error> {
        self.core.as_mut().map_or(Ok(()), |core| core.finish(models))
    }

    /// Who speaks from when to when during `span`, by start, as far as is known now. Nothing is known of what lies more
    /// than ten minutes back.
    pub fn turns(&self, span: Span) -> Vec<Turn> {
        self.core.as_ref().map_or_else(Vec::new, |core| core.turns(span))
    }

    /// Known voices that cannot be recognized here, and why; whoever has them is a stranger. Empty before the first
    /// samples.
    pub fn unusable(&self) -> Vec<Unusable> {
        self.core.as_ref().map_or_else(Vec::new, |core| core.ledger.unusable())
    }
}

/// Samples that the segmentation model hears at once: 5 s. Twice as many cost twice as much and were measured to find
/// no more, half as many hear speech in laughter.
const WINDOW: usize = 80_000;

/// Samples from window to window: half a second.
const STRIDE: usize = 8_000;

/// Hops of sound that a piece looks at before its middle and behind it: 1.3 s. One that lies evenly around its middle
/// comes later, and a second after a change of speaker three times as much was given to whoever spoke before.
const PIECE_BEFORE: usize = 80;
const PIECE_BEHIND: usize = 50;

/// Hops of speech below which a piece says too little about a voice.
const PIECE_SPEECH_HOPS: usize = 50;

/// The last hops of what was heard are not decided yet: the sound that comes tells what they are.
const UNSURE_HOPS: usize = 30;

/// Hops around what is asked for that its turns are found in: before, by when any change of speaker is over, and behind.
const CONTEXT_BEFORE: usize = 1_000;
const CONTEXT_BEHIND: usize = 300;

/// Mean square of 10 ms in which nobody can be heard: 70 dB below full.
const QUIET: f32 = 1e-7;

/// How much surer a label is for each unit of likeness that its voice is ahead of the next.
const SURER: f32 = 2.5;

/// What was heard of a stream and who there is.
#[derive(Debug)]
struct Core {
    /// The last samples, as many as a window holds.
    sound: VecDeque<f32>,
    /// Samples so far.
    samples: usize,
    /// The sample at which the next window ends.
    next_end: usize,
    /// Samples until which speech was looked for.
    heard_samples: usize,
    picture: Picture,
    rows: VecDeque<Row>,
    /// Which hop the rows begin at.
    rows_at: usize,
    activity: Box<silero::State>,
    /// Samples that the voice-activity model has scored.
    scored: usize,
    heard: Heard,
    /// The hop in the middle of the next piece.
    next_piece: usize,
    ledger: Ledger,
    /// As of when everything was labelled.
    generation: u64,
    said: Said,
    has_ended: bool,
}

impl Core {
    fn new(wish: &Diarization, kind: VoiceKind) -> Self {
        Self {
            sound: std::iter::repeat_n(0.0, WINDOW).collect(),
            samples: 0,
            next_end: STRIDE,
            heard_samples: 0,
            picture: Picture::new(kind),
            rows: VecDeque::new(),
            rows_at: 0,
            activity: Box::default(),
            scored: 0,
            heard: Heard::default(),
            next_piece: PIECE_STEP / 2,
            ledger: Ledger::new(wish, kind),
            generation: 0,
            said: Said::default(),
            has_ended: false,
        }
    }

    /// Takes at most [`STRIDE`] samples.
    fn hear(&mut self, models: &mut Models, samples: &[f32]) -> Result<(), Error> {
        if self.has_ended {
            return Ok(());
        }
        let sane = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        let samples: Vec<f32> = samples.iter().map(sane).collect();
        self.picture.hear(&samples, &mut self.rows);
        // A window ends within these samples at most once.
        let before = self.next_end.saturating_sub(self.samples).min(samples.len());
        let (first, second) = samples.split_at(before);
        self.keep(first);
        let mut outcome = Ok(());
        if self.samples == self.next_end {
            outcome = self.window(models);
            let is_idle = !self.is_speech(self.heard.until().saturating_sub(100)..self.heard.until());
            self.next_end += if is_idle { 2 * STRIDE } else { STRIDE };
            outcome = self.gather(models, false).and(outcome);
            self.put_right(false);
        }
        self.keep(second);
        outcome
    }

    fn keep(&mut self, samples: &[f32]) {
        self.sound.drain(..samples.len().min(self.sound.len()));
        self.sound.extend(samples);
        self.samples += samples.len();
    }

    /// Looks for speech in the window that ends now.
    fn window(&mut self, models: &mut Models) -> Result<(), Error> {
        let until = self.samples / HOP;
        let new = (self.samples - self.heard_samples).min(WINDOW);
        self.heard_samples = self.samples;
        self.heard.reach(until);
        match &mut models.speech {
            SpeechModel::Segmentation(model) => {
                let sound: &[f32] = self.sound.make_contiguous();
                // What is new and a second before it: speech that went on until just now has an end to be found.
                let lately = &sound[WINDOW - (new + 2 * STRIDE).min(WINDOW)..];
                let power = |hop: &[f32]| hop.iter().map(|sample| sample * sample).sum::<f32>() / hop.len() as f32;
                if lately.chunks(HOP).all(|hop| power(hop) < QUIET) {
                    return Ok(());
                }
                let told = model.hear(sound)?;
                self.heard.add(self.samples as i64 - WINDOW as i64, &told, until);
            }
            SpeechModel::Activity(model) => {
                // After a failure the sound may be gone that was not scored.
                self.scored = self.scored.max(self.samples.saturating_sub(WINDOW));
                while self.scored + silero::WINDOW_SAMPLES <= self.samples {
                    let at = WINDOW - (self.samples - self.scored);
                    let Some(samples) = self.sound.make_contiguous()[at..].first_chunk() else { break };
                    let mut window = silero::Window { state: &mut self.activity, samples, speech: 0.0 };
                    let scored = model.score(std::slice::from_mut(&mut window));
                    let speech = f32::from(u8::from(window.speech >= ACTIVITY));
                    let hops = self.scored / HOP..(self.scored + silero::WINDOW_SAMPLES) / HOP;
                    self.scored += silero::WINDOW_SAMPLES;
                    scored?;
                    hops.for_each(|hop| self.heard.tell(hop, speech, 0.0));
                }
            }
        }
        Ok(())
    }

    fn is_speech(&self, mut hops: std::ops::Range<usize>) -> bool {
        hops.any(|hop| self.heard.hop(hop).speech)
    }

    /// Listens to the voice of every piece whose hops and rows are there.
    fn gather(&mut self, models: &mut Models, ended: bool) -> Result<(), Error> {
        let mut outcome = Ok(());
        loop {
            let certain = self.heard.until().min(self.rows_at + self.rows.len());
            let is_whole = self.next_piece + PIECE_BEHIND <= certain;
            let is_due = is_whole || (ended && self.next_piece < certain);
            if !is_due {
                return outcome;
            }
            let at = self.next_piece;
            let around = at.saturating_sub(PIECE_BEFORE)..(at + PIECE_BEHIND).min(certain);
            let alone: Vec<&Row> = around
                .filter(|&hop| self.heard.hop(hop) == Hop { speech: true, overlap: false })
                .filter_map(|hop| self.rows.get(hop.checked_sub(self.rows_at)?))
                .collect();
            if alone.len() >= PIECE_SPEECH_HOPS {
                let hops = alone.len();
                match models.voice.of(alone.into_iter()) {
                    Ok(voice) => self.ledger.take(Piece { at, hops, voice }),
                    Err(error) => outcome = Err(error),
                }
            }
            self.next_piece += PIECE_STEP;
            let gone = self.next_piece.saturating_sub(PIECE_BEFORE).saturating_sub(self.rows_at);
            let gone = gone.min(self.rows.len());
            self.rows.drain(..gone);
            self.rows_at += gone;
        }
    }

    fn finish(&mut self, models: &mut Models) -> Result<(), Error> {
        if self.has_ended {
            return Ok(());
        }
        self.has_ended = true;
        self.picture.end(&mut self.rows);
        let mut outcome = Ok(());
        if self.heard_samples < self.samples {
            outcome = self.window(models);
        }
        outcome = self.gather(models, true).and(outcome);
        self.ledger.end();
        self.put_right(true);
        outcome
    }

    fn known_until(&self) -> MediaTime {
        let unsure = if self.has_ended { 0 } else { UNSURE_HOPS };
        time(self.heard.until().saturating_sub(unsure))
    }

    fn label(&mut self, utterance: UtteranceId, words: &[Word]) -> Vec<VoiceRun> {
        let voices = self.runs(words);
        self.said.tell(utterance, words, &voices);
        voices
    }

    /// Looks again at what was said: at all of it where people came, went or became one, else at what is over.
    fn put_right(&mut self, all: bool) {
        self.said.forget(time(self.heard.from()));
        for merge in self.ledger.merges() {
            self.said.rename(merge);
        }
        let generation = self.ledger.generation();
        let again =
            if all || generation != self.generation { self.said.whole() } else { self.said.ripe(self.known_until()) };
        self.generation = generation;
        for id in again {
            let voices = self.runs(self.said.words(id));
            self.said.put_right(id, voices);
        }
    }

    /// Who says which of the words.
    fn runs(&self, words: &[Word]) -> Vec<VoiceRun> {
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return Vec::new() };
        let turns = self.turns(Span::new(first.span.start, last.span.end));
        let said = label::speakers(words, &turns);
        let mut start = 0;
        said.chunk_by(|a, b| a == b)
            .map(|run| {
                let end = start + run.len();
                let span = Span::new(words[start].span.start, words[end - 1].span.end);
                start = end;
                VoiceRun { words: run.len(), voice: run[0], confidence: self.confidence(span, run[0]) }
            })
            .collect()
    }

    fn turns(&self, span: Span) -> Vec<Turn> {
        let (start, end) = (hop(span.start), hop(span.end) + 1);
        let from = start.saturating_sub(CONTEXT_BEFORE).max(self.heard.from());
        let until = (end + CONTEXT_BEHIND).min(self.heard.until());
        let hops: Vec<Hop> = (from..until).map(|at| self.heard.hop(at)).collect();
        let during = self.ledger.pieces().iter().filter(|piece| (from..until).contains(&piece.at));
        let pieces: Vec<Piece> = during.map(|piece| Piece { at: piece.at - from, ..piece.clone() }).collect();
        let (voices, names) = self.ledger.people();
        let later = time(from).as_duration();
        let near = Span::new(time(start.saturating_sub(NEAR_HOPS)), time(end + NEAR_HOPS));
        turns::turns(&hops, &pieces, &voices, &names)
            .into_iter()
            .map(|turn| Turn { span: Span::new(turn.span.start + later, turn.span.end + later), ..turn })
            .filter(|turn| turn.span.start < near.end && turn.span.end > near.start)
            .collect()
    }

    /// How sure a label is: how far its voice is ahead of the next, where a voice was heard at all.
    fn confidence(&self, span: Span, voice: Option<VoiceId>) -> f32 {
        let around = hop(span.start).saturating_sub(PIECE_BEHIND)..hop(span.end) + PIECE_BEFORE;
        let (voices, names) = self.ledger.people();
        let (mut ahead, mut count) = (0.0, 0_u16);
        for piece in self.ledger.pieces().iter().filter(|piece| around.contains(&piece.at)) {
            let (mut own, mut other) = (self.ledger.strange(), f32::NEG_INFINITY);
            for (at, person) in voices.iter().enumerate() {
                let alike = dot(person, &piece.voice);
                if voice.is_some_and(|voice| names.of(at) == Some(usize::from(voice.0))) {
                    (own, other) = (alike, other.max(self.ledger.strange()));
                } else {
                    other = other.max(alike);
                }
            }
            ahead += if other.is_finite() { own - other } else { 0.0 };
            count += 1;
        }
        if count == 0 { 0.0 } else { (0.5 + SURER * ahead / f32::from(count)).clamp(0.0, 1.0) }
    }
}

/// How far from a word a turn may lie and still say something about it.
const NEAR_HOPS: usize = 100;

fn hop(time: MediaTime) -> usize {
    usize::try_from(time.samples(EAR_HZ)).unwrap_or(usize::MAX / 2) / HOP
}

fn time(hop: usize) -> MediaTime {
    MediaTime::from_samples((hop * HOP) as u64, EAR_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream in which pieces and speech are given rather than heard, each half second by whoever `who` says; nobody
    /// for -1.
    struct Talk {
        core: Core,
        seed: u32,
    }

    impl Talk {
        fn new() -> Self {
            Self { core: Core::new(&Diarization::default(), VoiceKind::Ge2e), seed: 7 }
        }

        fn voice(&mut self, who: usize) -> Vec<f32> {
            let mut noise = || {
                self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let voice: Vec<f32> = (0..64).map(|part| f32::from(u8::from(part == who)) + 0.08 * noise()).collect();
            let length = dot(&voice, &voice).sqrt();
            voice.iter().map(|part| part / length).collect()
        }

        fn hear(&mut self, who: i32, half_seconds: usize) {
            for _ in 0..half_seconds {
                let from = self.core.heard.until();
                self.core.heard.reach(from + 50);
                if let Ok(who) = usize::try_from(who) {
                    (from..from + 50).for_each(|hop| self.core.heard.tell(hop, 1.0, 0.0));
                    let voice = self.voice(who);
                    self.core.ledger.take(Piece { at: from + 25, hops: 130, voice });
                }
                self.core.put_right(false);
            }
        }

        /// Words of 300 ms from a second on, one letter for each whose it is: a dash for nobody known.
        fn label(&mut self, id: u64, from_s: f64, count: usize) -> String {
            let words = words(from_s, count);
            letters(&self.core.label(UtteranceId(id), &words))
        }
    }

    fn words(from_s: f64, count: usize) -> Vec<Word> {
        let at = |word: usize| MediaTime::from_secs_f64(from_s + word as f64 * 0.3);
        let word =
            |word: usize| Word { text: "word".to_owned(), span: Span::new(at(word), at(word + 1)), confidence: 0.9 };
        (0..count).map(word).collect()
    }

    fn letters(runs: &[VoiceRun]) -> String {
        let letter = |run: &VoiceRun| run.voice.map_or('-', |voice| char::from(b'a' + voice.0 as u8));
        runs.iter().flat_map(|run| std::iter::repeat_n(letter(run), run.words)).collect()
    }

    fn relabelled(core: &mut Core) -> Vec<(u64, String)> {
        std::iter::from_fn(|| core.said.changed()).map(|(id, runs)| (id.0, letters(&runs))).collect()
    }

    #[test]
    fn the_first_is_somebody_within_moments_and_the_second_after_four_seconds() {
        let mut talk = Talk::new();
        talk.hear(0, 4);
        assert_eq!(talk.label(0, 0.2, 4), "aaaa");
        talk.hear(1, 6);
        assert_eq!(talk.label(1, 2.5, 4), "----", "rather nobody than the wrong one");
        assert!(relabelled(&mut talk.core).is_empty());
        talk.hear(1, 6);
        assert_eq!(relabelled(&mut talk.core), [(1, "bbbb".to_owned())], "who is somebody now was it then");
        assert_eq!(talk.label(2, 5.0, 4), "bbbb");
    }

    #[test]
    fn a_sentence_taken_over_is_two_peoples() {
        let mut talk = Talk::new();
        for _ in 0..3 {
            talk.hear(0, 12);
            talk.hear(1, 12);
        }
        // The sixth turn begins at 30 s.
        assert_eq!(talk.label(0, 28.5, 10), "aaaaabbbbb");
    }

    #[test]
    fn a_turn_of_300_ms_is_no_third_person_and_splits_nobody() {
        let mut talk = Talk::new();
        talk.hear(0, 30);
        // Less than a piece, so only the hops say that anybody spoke.
        let from = talk.core.heard.until();
        talk.core.heard.reach(from + 30);
        (from..from + 30).for_each(|hop| talk.core.heard.tell(hop, 1.0, 0.0));
        talk.core.heard.reach(from + 50);
        talk.hear(0, 10);
        assert_eq!(talk.label(0, 14.0, 8), "aaaaaaaa");
        assert_eq!(talk.core.ledger.people().0.len(), 1);
    }

    #[test]
    fn silence_is_nobody_and_words_in_it_are_nobodys() {
        let mut talk = Talk::new();
        talk.hear(-1, 40);
        assert_eq!(talk.label(0, 5.0, 3), "---");
        assert!(talk.core.turns(Span::new(MediaTime::ZERO, MediaTime::from_millis(20_000))).is_empty());
        assert_eq!(talk.label(1, 0.0, 0), "");
        assert_eq!(talk.label(2, 1e9, 2), "--", "words that were not heard yet");
    }

    #[test]
    fn what_is_relabelled_ends_in_what_the_end_says() {
        let mut talk = Talk::new();
        let mut told: Vec<(u64, String)> = Vec::new();
        for turn in 0..40_u64 {
            let from_s = talk.core.heard.until() as f64 / 100.0;
            talk.hear([0, 1, 2, 1][turn as usize % 4], 5);
            let said = talk.label(turn, from_s + 0.3, 6);
            told.push((turn, said));
            for (id, said) in relabelled(&mut talk.core) {
                told[id as usize].1 = said;
            }
        }
        talk.core.ledger.end();
        talk.core.put_right(true);
        for (id, said) in relabelled(&mut talk.core) {
            told[id as usize].1 = said;
        }
        for (id, said) in told {
            let words = talk.core.said.words(UtteranceId(id)).to_vec();
            assert_eq!(said, letters(&talk.core.runs(&words)), "utterance {id}");
            let should = ["aaaaaa", "bbbbbb", "cccccc", "bbbbbb"][id as usize % 4];
            assert_eq!(said, should, "utterance {id}");
        }
    }

    #[test]
    fn a_label_is_surer_where_its_voice_is_far_ahead() {
        let mut talk = Talk::new();
        talk.hear(0, 20);
        talk.hear(1, 20);
        let sure = talk.core.label(UtteranceId(0), &words(3.0, 4))[0].confidence;
        assert!(sure > 0.8 && sure <= 1.0, "{sure}");
        let unheard = talk.core.label(UtteranceId(1), &words(1e6, 1))[0].confidence;
        assert!(unheard.abs() < f32::EPSILON, "{unheard}");
    }

    #[test]
    fn an_empty_stream_knows_nothing_and_says_so() {
        let mut live = Live::new(&Diarization::default());
        assert_eq!(live.known_until(), MediaTime::ZERO);
        assert_eq!(letters(&live.label(UtteranceId(0), &words(0.0, 2))), "--");
        assert!(live.label(UtteranceId(1), &[]).is_empty());
        assert!(live.relabelled().is_none() && live.unusable().is_empty());
        assert!(live.turns(Span::default()).is_empty());
    }
}
