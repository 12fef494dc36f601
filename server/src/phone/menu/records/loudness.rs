//! Where something is to be heard in a recording: whether it is empty, and what is left without the silence at its ends.
//!
//! Pure: told the sound of all sides, 20 ms at a time, with its times.

use std::time::Duration;

use media::{
    dsp::level::rms_dbfs,
    time::{MediaTime, Span},
};

/// What is quieter is nothing at all: a line that is digitally silent idles below -70 dBFS.
const NOTHING_DBFS: f32 = -65.0;

/// What is quieter is silence: the same limit at which a pause of speech is one elsewhere.
const SILENCE_DBFS: f32 = -50.0;

/// What is kept around the first and the last sound, so that no consonant is cut.
const MARGIN: Duration = Duration::from_millis(200);

/// What was heard so far.
#[derive(Debug, Default)]
pub(in crate::phone::menu) struct Loudness {
    has_sound: bool,
    loud: Option<Span>,
}

impl Loudness {
    /// Takes what was heard from `at` on.
    pub(in crate::phone::menu) fn hear(&mut self, at: MediaTime, samples: &[f32]) {
        let level = rms_dbfs(samples);
        self.has_sound |= level > NOTHING_DBFS;
        if level > SILENCE_DBFS {
            let end = MediaTime::from_ticks(at.ticks() + samples.len() as u64);
            let loud = self.loud.get_or_insert_with(|| Span::new(at, end));
            // The sides do not come in the order of time.
            *loud = Span::new(loud.start.min(at), loud.end.max(end));
        }
    }

    /// Whether there is anything in it.
    pub(in crate::phone::menu) fn has_sound(&self) -> bool {
        self.has_sound
    }

    /// From the first loud sound to the last, with a margin; `None` when there is none.
    pub(in crate::phone::menu) fn loud(&self) -> Option<Span> {
        self.loud.map(|loud| Span::new(loud.start.saturating_sub(MARGIN), loud.end + MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(at: u64) -> MediaTime {
        MediaTime::from_millis(at)
    }

    #[test]
    fn silence_is_nothing_noise_is_something_and_speech_is_kept_with_a_margin() {
        let mut heard = Loudness::default();
        heard.hear(millis(0), &[0.0; 960]);
        // What an idle line of A-law says.
        heard.hear(millis(20), &[8.0 / 32_768.0; 960]);
        assert!(!heard.has_sound() && heard.loud().is_none());
        heard.hear(millis(40), &[0.001; 960]);
        assert!(heard.has_sound() && heard.loud().is_none());
        heard.hear(millis(1_000), &[0.1; 960]);
        heard.hear(millis(3_000), &[0.001; 960]);
        assert_eq!(heard.loud(), Some(Span::new(millis(800), millis(1_220))));
    }

    proptest! {
        #[test]
        fn whatever_is_loud_is_kept_in_whichever_order_it_comes(at in prop::collection::vec(0_u64..100_000, 1..20)) {
            let mut heard = Loudness::default();
            at.iter().for_each(|at| heard.hear(millis(*at), &[0.5; 960]));
            let kept = heard.loud().unwrap();
            let (first, last) = (at.iter().min().unwrap(), at.iter().max().unwrap());
            prop_assert_eq!(kept.start, millis(first.saturating_sub(200)));
            prop_assert_eq!(kept.end, millis(last + 220));
        }
    }
}
