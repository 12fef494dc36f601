//! The events of one stream between its listener and its reader, while words wait to be told whose they are.
//!
//! Pure: told the time, it says which words are to be labelled and which events may go. What comes behind a held
//! `Final` waits with it, in its order, with one exception: how likely a turn has ended says nothing of words, so it
//! goes past the `Final` that its own pause brings. Whoever begins to speak waits for no voices: then the words before
//! go out with what is known. A stream that is told nothing of voices holds nothing. Owned by a stream of
//! [`super::cell`], under its lock, and by [`super::replay`].

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use media::time::MediaTime;

use crate::event::{Event, UtteranceId, VoiceRun, Word};

/// How long the words of a live stream wait for their voices, at most. With the pause before it and the decode, a
/// label is there within a second of its word.
const HELD_MAX: Duration = Duration::from_millis(600);

/// Up to where voices are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Up to here on the stream's timeline.
    Until(MediaTime),
    /// As far as they ever will be.
    All,
}

/// What one stream holds.
#[derive(Debug)]
pub(super) struct Held {
    /// In their order; nothing before the first that waits stays for longer than a call.
    line: VecDeque<Waiting>,
    tells_voices: bool,
    /// Whether somebody waits for the words as they are spoken.
    is_live: bool,
    /// Nothing more is to be said of voices.
    has_ended: bool,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    label: Label,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    /// Has its voices, or needs none.
    Done,
    /// Waits for them, at the latest until then; for as long as it takes where nobody is in a hurry.
    Wanted { due: Option<Instant> },
}

impl Waiting {
    fn is_wanted(&self) -> bool {
        matches!(self.label, Label::Wanted { .. })
    }

    /// Whether it is the end of an utterance: its words, or that nobody speaks any more.
    fn ends(&self, utterance: UtteranceId) -> bool {
        match &self.event {
            Event::Final { utterance: of, .. } | Event::SpeechEnded { utterance: of, .. } => *of == utterance,
            _ => false,
        }
    }
}

impl Held {
    /// Of a stream that is told voices, or is not.
    pub(super) fn new(tells_voices: bool, is_live: bool) -> Self {
        Self { line: VecDeque::new(), tells_voices, is_live, has_ended: !tells_voices }
    }

    /// Takes what the listener said.
    pub(super) fn push(&mut self, event: Event, now: Instant) {
        let mut label = Label::Done;
        match &event {
            Event::Final { words, .. } if self.tells_voices && !words.is_empty() => {
                label = Label::Wanted { due: self.is_live.then(|| now + HELD_MAX) };
            }
            Event::SpeechStarted { .. } => self.hurry(now),
            Event::TurnEnded { utterance, .. } => {
                let place = self.first_wanted();
                if self.line.range(place..).all(|waiting| waiting.ends(*utterance)) {
                    self.line.insert(place, Waiting { event, label });
                    return;
                }
            }
            Event::Partial { .. } => {
                if let Some(last) = self.line.back_mut()
                    && is_newer(&last.event, &event)
                {
                    last.event = event;
                    return;
                }
            }
            _ => {}
        }
        self.line.push_back(Waiting { event, label });
    }

    /// The next event that may go.
    pub(super) fn poll(&mut self) -> Option<Event> {
        self.line.pop_front_if(|waiting| !waiting.is_wanted()).map(|waiting| waiting.event)
    }

    /// The words to be labelled now, in their order: whose voices are known to their end, or which waited for long
    /// enough.
    pub(super) fn wanted(&self, known: Known, now: Instant) -> Vec<(UtteranceId, Vec<Word>)> {
        let mut wanted = Vec::new();
        for waiting in &self.line {
            let (Event::Final { utterance, words, .. }, Label::Wanted { due }) = (&waiting.event, waiting.label) else {
                continue;
            };
            let is_known = match known {
                Known::Until(until) => words.last().is_none_or(|last| last.span.end <= until),
                Known::All => true,
            };
            if !is_known && due.is_none_or(|due| due > now) {
                break;
            }
            wanted.push((*utterance, words.clone()));
        }
        wanted
    }

    /// Labels the first words that wait. Whether they are of this utterance and the runs hold all of them; otherwise
    /// nothing has changed.
    pub(super) fn label(&mut self, of: UtteranceId, runs: Vec<VoiceRun>) -> bool {
        let Some(waiting) = self.line.iter_mut().find(|waiting| waiting.is_wanted()) else { return false };
        match &mut waiting.event {
            Event::Final { utterance, words, voices, .. } if *utterance == of && hold(&runs, words.len()) => {
                *voices = runs;
                waiting.label = Label::Done;
                true
            }
            _ => false,
        }
    }

    /// Puts right what was said of words that have gone: it is not held, whatever else is.
    pub(super) fn relabel(&mut self, utterance: UtteranceId, voices: Vec<VoiceRun>) {
        let place = self.first_wanted();
        let event = Event::Relabelled { utterance, voices };
        self.line.insert(place, Waiting { event, label: Label::Done });
    }

    /// By when the first that waits has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.line.iter().find_map(|waiting| match waiting.label {
            Label::Wanted { due } => Some(due),
            Label::Done => None,
        })?
    }

    /// Whether words wait for their voices.
    pub(super) fn is_waiting(&self) -> bool {
        self.line.iter().any(Waiting::is_wanted)
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    /// Nothing more will be said of voices.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether nothing more will be said of voices.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether everything has gone and nothing more comes of voices.
    pub(super) fn is_done(&self) -> bool {
        self.has_ended && self.line.is_empty()
    }

    /// The place of the first that waits for voices.
    fn first_wanted(&self) -> usize {
        self.line.iter().position(Waiting::is_wanted).unwrap_or(self.line.len())
    }

    fn hurry(&mut self, now: Instant) {
        for waiting in &mut self.line {
            if let Label::Wanted { due: Some(due) } = &mut waiting.label {
                *due = now.min(*due);
            }
        }
    }
}

/// Whether runs hold so many words, each run at least one.
pub(super) fn hold(runs: &[VoiceRun], words: usize) -> bool {
    let held = runs.iter().try_fold(0_usize, |sum, run| sum.checked_add(run.words));
    held == Some(words) && runs.iter().all(|run| run.words > 0)
}

/// Whether `event` makes an unread partial of the same utterance worthless.
pub(super) fn is_newer(unread: &Event, event: &Event) -> bool {
    match (unread, event) {
        (Event::Partial { utterance: old, .. }, Event::Partial { utterance: new, .. }) => old == new,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use media::time::Span;

    use super::*;
    use crate::{diarize::VoiceId, event::Cut};

    #[expect(clippy::disallowed_methods, reason = "any instant will do: only differences are looked at")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(at: u64) -> MediaTime {
        MediaTime::from_millis(at)
    }

    fn words(until_ms: u64) -> Vec<Word> {
        let word = |text: &str, from: u64, until: u64| Word {
            text: text.to_owned(),
            span: Span::new(ms(from), ms(until)),
            confidence: 1.0,
        };
        vec![word("guten", until_ms - 400, until_ms - 200), word("Tag", until_ms - 200, until_ms)]
    }

    fn said(utterance: u64, until_ms: u64) -> Event {
        Event::Final {
            utterance: UtteranceId(utterance),
            words: words(until_ms),
            span: Span::new(ms(until_ms - 400), ms(until_ms + 100)),
            cut: Cut::Pause,
            language: None,
            voices: Vec::new(),
        }
    }

    fn labelled(utterance: u64, until_ms: u64, runs: &[VoiceRun]) -> Event {
        match said(utterance, until_ms) {
            Event::Final { utterance, words, span, cut, language, .. } => {
                Event::Final { utterance, words, span, cut, language, voices: runs.to_vec() }
            }
            other => other,
        }
    }

    fn ended(utterance: u64) -> Event {
        Event::SpeechEnded { utterance: UtteranceId(utterance), at: ms(1_000) }
    }

    fn started(utterance: u64) -> Event {
        Event::SpeechStarted { utterance: UtteranceId(utterance), at: ms(1_500) }
    }

    fn turn(utterance: u64) -> Event {
        Event::TurnEnded { utterance: UtteranceId(utterance), probability: 0.9, at: ms(1_000) }
    }

    fn runs(words: usize) -> Vec<VoiceRun> {
        vec![VoiceRun { words, voice: Some(VoiceId(0)), confidence: 0.8 }]
    }

    fn all(held: &mut Held) -> Vec<Event> {
        std::iter::from_fn(|| held.poll()).collect()
    }

    #[test]
    fn a_stream_that_is_told_nothing_of_voices_holds_nothing() {
        let mut held = Held::new(false, true);
        held.push(said(0, 1_000), start());
        held.push(ended(0), start());
        assert_eq!(all(&mut held), [said(0, 1_000), ended(0)]);
        assert!(held.is_done() && held.due().is_none());
    }

    #[test]
    fn words_wait_until_voices_are_known_to_their_end() {
        let now = start();
        let mut held = Held::new(true, true);
        held.push(said(0, 1_000), now);
        held.push(ended(0), now);
        assert!(all(&mut held).is_empty());
        assert!(held.wanted(Known::Until(ms(999)), now).is_empty());
        assert_eq!(held.wanted(Known::Until(ms(1_000)), now), [(UtteranceId(0), words(1_000))]);
        assert!(held.label(UtteranceId(0), runs(2)));
        assert_eq!(all(&mut held), [labelled(0, 1_000, &runs(2)), ended(0)]);
        assert!(!held.is_done(), "they may still be put right");
        held.end();
        assert!(held.is_done());
    }

    #[test]
    fn nobody_waits_longer_than_the_bound_but_files() {
        let now = start();
        let mut live = Held::new(true, true);
        live.push(said(0, 1_000), now);
        assert_eq!(live.due(), Some(now + HELD_MAX));
        let unknown = Known::Until(MediaTime::ZERO);
        assert!(live.wanted(unknown, now + HELD_MAX.mul_f32(0.9)).is_empty());
        assert_eq!(live.wanted(unknown, now + HELD_MAX).len(), 1);
        let mut file = Held::new(true, false);
        file.push(said(0, 1_000), now);
        assert_eq!(file.due(), None);
        assert!(file.wanted(unknown, now + 100 * HELD_MAX).is_empty());
        assert_eq!(file.wanted(Known::All, now).len(), 1);
    }

    #[test]
    fn words_are_labelled_in_their_order() {
        let now = start();
        let mut held = Held::new(true, true);
        held.push(said(0, 1_000), now);
        held.push(said(1, 2_000), now + HELD_MAX / 2);
        assert_eq!(held.wanted(Known::Until(ms(0)), now + HELD_MAX).len(), 1, "the second has time left");
        assert!(!held.label(UtteranceId(1), runs(2)), "the first comes first");
        assert!(held.label(UtteranceId(0), runs(2)));
        assert!(!held.label(UtteranceId(1), runs(3)), "three words where there are two");
        assert!(!held.label(UtteranceId(1), Vec::new()));
        assert_eq!(all(&mut held), [labelled(0, 1_000, &runs(2))]);
        assert!(held.is_waiting() && held.due() == Some(now + HELD_MAX / 2 + HELD_MAX));
    }

    #[test]
    fn the_end_of_a_turn_goes_past_the_words_of_its_own_pause_alone() {
        let now = start();
        let mut held = Held::new(true, true);
        held.push(said(0, 1_000), now);
        held.push(ended(0), now);
        held.push(turn(0), now);
        assert_eq!(all(&mut held), [turn(0)]);
        held.push(turn(1), now);
        assert!(all(&mut held).is_empty(), "words of another utterance come before it");
        assert!(held.label(UtteranceId(0), runs(2)));
        assert_eq!(all(&mut held), [labelled(0, 1_000, &runs(2)), ended(0), turn(1)]);
    }

    #[test]
    fn whoever_begins_to_speak_hurries_the_words_before() {
        let now = start();
        let mut held = Held::new(true, true);
        held.push(said(0, 1_000), now);
        let soon = now + HELD_MAX / 6;
        held.push(started(1), soon);
        held.push(turn(0), soon);
        assert!(all(&mut held).is_empty(), "a turn that goes on has not ended");
        assert_eq!(held.due(), Some(soon));
        assert_eq!(held.wanted(Known::Until(ms(0)), soon).len(), 1);
        assert!(held.label(UtteranceId(0), runs(2)));
        assert_eq!(all(&mut held), [labelled(0, 1_000, &runs(2)), started(1), turn(0)]);
    }

    #[test]
    fn partials_that_wait_are_replaced_and_corrections_are_not_held() {
        let now = start();
        let partial = |revision| Event::Partial {
            utterance: UtteranceId(1),
            revision,
            stable_words: 0,
            words: words(2_000),
            span: Span::new(ms(1_600), ms(2_000)),
        };
        let mut held = Held::new(true, true);
        held.push(said(0, 1_000), now);
        held.push(partial(1), now);
        held.push(partial(2), now);
        held.relabel(UtteranceId(7), runs(4));
        assert_eq!(all(&mut held), [Event::Relabelled { utterance: UtteranceId(7), voices: runs(4) }]);
        assert_eq!(held.len(), 2);
        assert!(held.label(UtteranceId(0), runs(2)));
        assert_eq!(all(&mut held), [labelled(0, 1_000, &runs(2)), partial(2)]);
    }

    #[test]
    fn words_that_are_none_wait_for_nobody() {
        let now = start();
        let mut held = Held::new(true, true);
        let Event::Final { utterance, span, cut, language, voices, .. } = said(0, 1_000) else { unreachable!() };
        let empty = Event::Final { utterance, words: Vec::new(), span, cut, language, voices };
        held.push(empty.clone(), now);
        assert_eq!(all(&mut held), [empty]);
    }

    #[test]
    fn runs_hold_all_words_or_are_refused() {
        let run = |words| VoiceRun { words, voice: None, confidence: 0.0 };
        assert!(hold(&[run(1), run(2)], 3));
        for (runs, words) in [(vec![], 1), (vec![run(3), run(0)], 3), (vec![run(usize::MAX), run(2)], 1)] {
            assert!(!hold(&runs, words), "{runs:?}");
        }
    }
}
