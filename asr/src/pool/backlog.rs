//! The sound of one stream on its way to the thread that tells voices apart, and what is left out when there is
//! too much.
//!
//! Pure. A live stream waits for nobody: what does not fit becomes silence of the same length, so that time stays
//! right, until half of the sound is gone; its words are written all the same. A stream whose sound and silence are a
//! minute long together is given up. Filled by the voice-activity thread, emptied by [`super::voices`].

use std::collections::VecDeque;

use media::frame::EAR_HZ;

/// Sound that waits, at most: 4 s. More would only hide that telling voices apart is behind.
const SOUND_MAX: usize = 4 * EAR_HZ as usize;

/// From here on a stream is too far behind for anything to come of it.
const BEHIND_MAX: usize = 60 * EAR_HZ as usize;

/// What is taken at once: half a second. Less costs more, more lets other streams wait.
const TAKEN_MAX: usize = EAR_HZ as usize / 2;

/// What was heard and not yet listened to for voices.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    stretches: VecDeque<Stretch>,
    /// Samples of sound in it.
    sound: usize,
    /// Samples of silence that stands for sound.
    silence: usize,
    /// Sound is left out until there is room again.
    is_skipping: bool,
    has_ended: bool,
    is_closed: bool,
}

#[derive(Debug)]
enum Stretch {
    Sound(Vec<f32>),
    Silence(usize),
}

impl Backlog {
    /// Takes what was heard. Whether it was left out: only where that may be.
    pub(super) fn push(&mut self, samples: &[f32], may_skip: bool) -> bool {
        if self.is_closed || samples.is_empty() {
            return false;
        }
        if self.is_skipping {
            self.is_skipping = self.sound > SOUND_MAX / 2;
        } else {
            self.is_skipping = may_skip && self.sound + samples.len() > SOUND_MAX;
        }
        if self.is_skipping {
            self.silence += samples.len();
            match self.stretches.back_mut() {
                Some(Stretch::Silence(length)) => *length += samples.len(),
                _ => self.stretches.push_back(Stretch::Silence(samples.len())),
            }
            return true;
        }
        self.sound += samples.len();
        match self.stretches.back_mut() {
            Some(Stretch::Sound(sound)) if sound.len() + samples.len() <= TAKEN_MAX => sound.extend_from_slice(samples),
            _ => {
                let mut sound = Vec::with_capacity(TAKEN_MAX);
                sound.extend_from_slice(samples);
                self.stretches.push_back(Stretch::Sound(sound));
            }
        }
        false
    }

    /// The next stretch, with silence where sound was left out.
    pub(super) fn take(&mut self) -> Option<Vec<f32>> {
        match self.stretches.front_mut()? {
            Stretch::Silence(length) if *length > TAKEN_MAX => {
                *length -= TAKEN_MAX;
                self.silence -= TAKEN_MAX;
                Some(vec![0.0; TAKEN_MAX])
            }
            _ => match self.stretches.pop_front()? {
                Stretch::Sound(sound) => {
                    self.sound -= sound.len();
                    Some(sound)
                }
                Stretch::Silence(length) => {
                    self.silence -= length;
                    Some(vec![0.0; length])
                }
            },
        }
    }

    /// No more sound comes.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether everything has been taken and nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.stretches.is_empty()
    }

    /// Whether there is something to take.
    pub(super) fn has_more(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// Whether there is enough for a turn of the thread: half a second, or what is left at the end.
    pub(super) fn is_worth_a_look(&self) -> bool {
        self.has_ended || self.sound + self.silence >= TAKEN_MAX
    }

    /// Whether whoever may wait should.
    pub(super) fn is_full(&self) -> bool {
        self.sound >= SOUND_MAX
    }

    /// Whether it is so far behind that it is to be given up.
    pub(super) fn is_hopeless(&self) -> bool {
        self.sound + self.silence > BEHIND_MAX
    }

    /// Nobody listens any more: what is there and what comes is dropped.
    pub(super) fn close(&mut self) {
        *self = Self { is_closed: true, has_ended: self.has_ended, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: [f32; 512] = [0.5; 512];

    fn taken(backlog: &mut Backlog) -> Vec<f32> {
        std::iter::from_fn(|| backlog.take()).flatten().collect()
    }

    #[test]
    fn what_fits_comes_out_as_it_went_in() {
        let mut backlog = Backlog::default();
        let sound: Vec<f32> = (0..SOUND_MAX / 2).map(|at| at as f32).collect();
        for piece in sound.chunks(500) {
            assert!(!backlog.push(piece, true));
        }
        assert!(backlog.has_more() && !backlog.is_full());
        assert_eq!(taken(&mut backlog), sound);
        assert!(!backlog.has_more() && !backlog.is_over());
        backlog.end();
        assert!(backlog.is_over());
    }

    #[test]
    fn what_does_not_fit_is_silence_of_the_same_length() {
        let mut backlog = Backlog::default();
        let windows = 2 * SOUND_MAX / WINDOW.len();
        let skipped = (0..windows).filter(|_| backlog.push(&WINDOW, true)).count();
        assert_eq!(skipped, windows / 2);
        // Sound is taken again only once half of it is gone.
        let first = backlog.take().expect("sound");
        assert!(backlog.push(&WINDOW, true));
        let mut heard = first;
        while heard.len() < SOUND_MAX / 2 {
            heard.extend(backlog.take().expect("sound"));
        }
        assert!(!backlog.push(&WINDOW, true));
        heard.extend(taken(&mut backlog));
        assert_eq!(heard.len(), (windows + 2) * WINDOW.len(), "no sample is missing");
        assert_eq!(heard.iter().filter(|sample| **sample == 0.0).count(), (skipped + 1) * WINDOW.len());
        assert_eq!(heard.last(), Some(&0.5));
        assert_eq!((backlog.sound, backlog.silence), (0, 0));
    }

    #[test]
    fn a_file_leaves_nothing_out() {
        let mut backlog = Backlog::default();
        while !backlog.is_full() {
            assert!(!backlog.push(&WINDOW, false));
        }
        assert!(!backlog.push(&WINDOW, false), "the window that was on its way");
        assert!(taken(&mut backlog).iter().all(|sample| *sample == 0.5));
    }

    #[test]
    fn whoever_is_a_minute_behind_is_given_up() {
        let mut backlog = Backlog::default();
        for _ in 0..=BEHIND_MAX / WINDOW.len() {
            assert!(!backlog.is_hopeless());
            backlog.push(&WINDOW, true);
        }
        assert!(backlog.is_hopeless());
        backlog.close();
        assert!(!backlog.push(&WINDOW, true) && !backlog.has_more() && !backlog.is_hopeless());
    }

    #[test]
    fn a_look_is_worth_half_a_second_or_the_end() {
        let mut backlog = Backlog::default();
        backlog.push(&WINDOW, true);
        assert!(!backlog.is_worth_a_look());
        backlog.end();
        assert!(backlog.is_worth_a_look());
    }
}
