//! The mouth of an agent: sentences in, sound into the room, and back what of it was heard.
//!
//! A leg of the room's bridge like anybody's. One task says, reads and writes: sentences go to a line of [`tts::worker`];
//! what comes out of it is read up to [`AHEAD_PIECES`] ahead, so that the places of words are known long before they are
//! heard; and it is written into the ring of 400 ms, with the marks of [`Ledger`]. Every sample bears the number of its
//! sentence, so a hush drops by type what is late, wherever it waits: in the line, ahead, or in the ring. Crossings: 128
//! sentences wait for the line, one more is told as not spoken; what is ahead makes the reader wait. Never real time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::{
    bridge::{Bridge, BridgeError, Leg, LegEvent, LegId, Level, Plan},
    frame::MOUTH_HZ,
    graph::node::{Control, Event},
    time::MediaTime,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;
use tts::{
    utterance::Utterance,
    viseme::Shape,
    worker::{Refused, Said, Speech, SpeechInput, Voices},
};

use super::played::{Ledger, STEP_SAMPLES};
use crate::{
    lips::Motion,
    sound::RoomSound,
    speaker::{Abandoned, Pace, Speaker},
};

/// Sentences that wait for the line of speech: all that an agent says in one turn.
const SENTENCES_MAX: usize = 128;

/// Pieces of a tenth of a second that are read ahead: ten seconds, which hold the sentence that is heard and most of the
/// next. Two megabytes, while a long answer is given.
const AHEAD_PIECES: usize = 100;

/// News that wait: a sentence has three.
const NEWS_MAX: usize = 64;

/// When an order to a node that the engine had no room for is given again.
const AGAIN: Duration = Duration::from_millis(10);

/// One sentence of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    turn: u64,
    number: u64,
}

/// Bits of a key that number the sentences of a turn.
const NUMBER_BITS: u32 = 24;

impl Sentence {
    /// The sentence with this number; they count up within their turn.
    pub(crate) const fn new(turn: u64, number: u64) -> Self {
        Self { turn, number }
    }

    /// Whose.
    pub(crate) fn turn(self) -> u64 {
        self.turn
    }

    /// Which of its turn's.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// Turn and sentence in one number, in the order in which they are said: what lines and rings call a turn.
    pub(super) fn key(self) -> u64 {
        // Zero is before every turn.
        (self.turn + 1) << NUMBER_BITS | self.number.min((1 << NUMBER_BITS) - 1)
    }

    /// The key behind which the next turn begins.
    pub(super) fn last_of(turn: u64) -> u64 {
        Self::new(turn, u64::MAX).key()
    }

    fn of_key(key: u64) -> Self {
        Self { turn: (key >> NUMBER_BITS).saturating_sub(1), number: key & ((1 << NUMBER_BITS) - 1) }
    }
}

/// What became of sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The voice made the first sound of it.
    Made(Sentence),
    /// Its first sample is heard now.
    Began(Sentence),
    /// So many of its words were heard so far.
    Words(Sentence, usize),
    /// All of it was heard.
    Played(Sentence),
    /// The voice failed at it; why.
    NotSpoken(Sentence, String),
    /// What the mouth does from a moment on.
    Moved(Sentence, Motion),
}

/// Why there is no mouth.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoMouth {
    /// The engine has no place, or is gone.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// Every voice speaks.
    #[error(transparent)]
    Refused(#[from] Refused),
}

struct Say {
    sentence: Sentence,
    utterance: Utterance,
}

/// A mouth. Dropping it is falling silent at once.
pub(crate) struct Mouth {
    leg: Leg,
    bridge: Bridge,
    says: mpsc::Sender<Say>,
    /// The key up to which everything is dropped.
    hushed: watch::Sender<u64>,
    ledger: Arc<Mutex<Ledger>>,
    news: mpsc::Receiver<(MediaTime, Heard)>,
    ready: VecDeque<(MediaTime, Heard)>,
    /// Orders that the engine had no room for.
    orders: VecDeque<Control>,
    again: Interval,
    _speaking: AbortOnDropHandle<()>,
}

impl Mouth {
    /// A mouth in a room.
    ///
    /// # Errors
    /// [`NoMouth`]; nothing was taken then.
    pub(crate) async fn enter(sound: &RoomSound, voices: &Voices) -> Result<Self, NoMouth> {
        let (input, speech) = voices.open(MOUTH_HZ)?;
        let (playout, speaker) = Speaker::new(MOUTH_HZ, Pace::Taken);
        let plan = Plan { source: Some(Box::new(playout)), may_be_captured: true, ..Plan::default() };
        let leg = sound.bridge().join(plan).await?;
        let bridge = sound.bridge().clone();
        let (says, saying) = mpsc::channel(SENTENCES_MAX);
        let (told, news) = mpsc::channel(NEWS_MAX);
        let (hushed, hushes) = watch::channel(0);
        let ledger = Arc::<Mutex<Ledger>>::default();
        let line = Line { ledger: ledger.clone(), told, hushed: hushes, bridge: bridge.clone() };
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let speaking = tokio::spawn(line.speak(saying, input, speech, speaker));
        Ok(Self {
            leg,
            bridge,
            says,
            hushed,
            ledger,
            news,
            ready: VecDeque::new(),
            orders: VecDeque::new(),
            again,
            _speaking: AbortOnDropHandle::new(speaking),
        })
    }

    /// Its leg of the room.
    pub(super) fn leg(&self) -> LegId {
        self.leg.id()
    }

    /// How loud it is.
    pub(super) fn levels(&self) -> watch::Receiver<Level> {
        self.leg.levels()
    }

    /// Silences it for everybody, whatever it says.
    pub(super) fn mute(&mut self, is_muted: bool) {
        self.leg.mute(is_muted);
        let at = self.bridge.now();
        let means = lock(&self.ledger).muted(is_muted, at);
        self.make_ready(at, means);
    }

    /// Says a sentence behind those that were said before.
    pub(crate) fn say(&mut self, sentence: Sentence, text: &str, utterance: Utterance) {
        if sentence.key() <= *self.hushed.borrow() {
            return;
        }
        lock(&self.ledger).say(sentence, text);
        if let Err(refused) = self.says.try_send(Say { sentence, utterance }) {
            lock(&self.ledger).forget(sentence);
            let why = match refused {
                mpsc::error::TrySendError::Full(_) => "too many sentences wait",
                mpsc::error::TrySendError::Closed(_) => "the voice is gone",
            };
            self.ready.push_back((self.bridge.now(), Heard::NotSpoken(sentence, why.to_owned())));
        }
    }

    /// Holds still within a tick and a fade; nothing is lost.
    pub(crate) fn pause(&mut self) {
        self.order(Control::Pause);
        let at = self.bridge.now();
        let means = lock(&self.ledger).paused(true, at);
        self.make_ready(at, means);
    }

    /// Goes on where it held still.
    pub(crate) fn resume(&mut self) {
        let at = self.bridge.now();
        let means = lock(&self.ledger).paused(false, at);
        self.make_ready(at, means);
        self.order(Control::Resume);
    }

    /// Drops this turn and those before it, wherever their sound waits and however late it comes.
    pub(crate) fn hush(&mut self, turn: u64) {
        let through = Sentence::last_of(turn);
        self.hushed.send_if_modified(|hushed| {
            let is_more = *hushed < through;
            *hushed = through.max(*hushed);
            is_more
        });
        let at = self.bridge.now();
        let means = lock(&self.ledger).hushed(through, at);
        self.ready
            .retain(|(_, heard)| !matches!(heard, Heard::NotSpoken(of, _) | Heard::Moved(of, _) if of.turn <= turn));
        self.make_ready(at, means);
        self.order(Control::Flush(through));
    }

    /// What was heard next, and when; `None` when nobody can hear it any more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(MediaTime, Heard)> {
        loop {
            if let Some(heard) = self.ready.pop_front() {
                return Some(heard);
            }
            tokio::select! {
                Some(told) = self.news.recv() => return Some(told),
                event = self.leg.events.recv() => match event {
                    Some(LegEvent::Source { at, event: Event::MarkPlayed(id) }) => {
                        let mut heard = Vec::new();
                        lock(&self.ledger).played(id, at, &mut heard);
                        self.make_ready(at, heard);
                    }
                    Some(LegEvent::Source { event: Event::MarkFlushed(id), .. }) => lock(&self.ledger).flushed(id),
                    Some(LegEvent::Panicked { .. }) | None => return None,
                    Some(_) => {}
                },
                _ = self.again.tick(), if !self.orders.is_empty() => {
                    let waiting = std::mem::take(&mut self.orders);
                    waiting.into_iter().for_each(|order| self.order(order));
                }
            }
        }
    }

    fn make_ready(&mut self, at: MediaTime, heard: Vec<Heard>) {
        self.ready.extend(heard.into_iter().map(|heard| (at, heard)));
    }

    /// Orders keep their order.
    fn order(&mut self, order: Control) {
        if !self.orders.is_empty() || self.leg.tell_source(order).is_err() {
            self.orders.push_back(order);
        }
    }
}

/// The task of a mouth.
struct Line {
    ledger: Arc<Mutex<Ledger>>,
    told: mpsc::Sender<(MediaTime, Heard)>,
    hushed: watch::Receiver<u64>,
    bridge: Bridge,
}

/// What was read ahead.
enum Piece {
    Samples(Sentence, Vec<f32>),
    End(Sentence),
    /// No more of it comes.
    Broken(Sentence),
}

impl Line {
    async fn speak(self, says: mpsc::Receiver<Say>, input: SpeechInput, speech: Speech, speaker: Speaker) {
        let (ahead, pieces) = mpsc::channel(AHEAD_PIECES);
        tokio::select! {
            () = self.tell(says, input) => {}
            () = self.read(speech, ahead) => {}
            // Nobody plays it any more.
            Err(Abandoned) = self.write(pieces, speaker) => {}
        }
    }

    /// Hands sentences to the line of speech, and hushes it.
    async fn tell(&self, mut says: mpsc::Receiver<Say>, mut input: SpeechInput) {
        let mut hushed = self.hushed.clone();
        let mut next: Option<Say> = None;
        loop {
            let saying = async {
                match &next {
                    Some(Say { sentence, utterance }) => input.say(sentence.key(), utterance).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: an utterance that waits for room has not been taken.
            tokio::select! {
                biased;
                changed = hushed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let through = *hushed.borrow_and_update();
                    input.hush(through);
                    next = next.filter(|say| say.sentence.key() > through);
                }
                said = saying => {
                    let Some(Say { sentence, .. }) = next.take() else { continue };
                    if let Err(refused) = said {
                        self.failed(sentence, refused.to_string()).await;
                    }
                }
                say = says.recv(), if next.is_none() => {
                    let Some(say) = say else { return };
                    next = Some(say).filter(|say| say.sentence.key() > *hushed.borrow());
                }
            }
        }
    }

    /// Reads what the line of speech makes, ahead of what is heard.
    async fn read(&self, mut speech: Speech, ahead: mpsc::Sender<Piece>) {
        let mut begun = 0;
        while let Some(said) = speech.next().await {
            let piece = match said {
                Said::Samples { turn, samples, .. } => {
                    let sentence = Sentence::of_key(turn);
                    if turn > begun {
                        begun = turn;
                        // Whoever listens may be gone; then nobody is told.
                        let _ = self.told.send((self.bridge.now(), Heard::Made(sentence))).await;
                    }
                    Piece::Samples(sentence, samples)
                }
                Said::Word { turn, text, at_sample, .. } => {
                    lock(&self.ledger).word(Sentence::of_key(turn), &text, at_sample);
                    continue;
                }
                Said::Viseme { turn, viseme, at_sample, samples, .. } => {
                    lock(&self.ledger).shape(Sentence::of_key(turn), Shape { viseme, at_sample, samples });
                    continue;
                }
                Said::Finished { turn, .. } => Piece::End(Sentence::of_key(turn)),
                Said::Failed { turn, error, .. } => {
                    let sentence = Sentence::of_key(turn);
                    self.failed(sentence, error.to_string()).await;
                    Piece::Broken(sentence)
                }
                Said::Dropped { turn, .. } => Piece::Broken(Sentence::of_key(turn)),
            };
            if ahead.send(piece).await.is_err() {
                return;
            }
        }
    }

    /// Writes what was read into the ring, with marks.
    async fn write(&self, mut pieces: mpsc::Receiver<Piece>, mut speaker: Speaker) -> Result<(), Abandoned> {
        let mut current: Option<(Sentence, u64)> = None;
        while let Some(piece) = pieces.recv().await {
            let (Piece::Samples(sentence, _) | Piece::End(sentence) | Piece::Broken(sentence)) = piece;
            if current.is_none_or(|(current, _)| current != sentence) {
                if let Some((before, _)) = current.take() {
                    end_early(&mut speaker, before).await?;
                }
                // A sentence that was hushed before it began leaves nothing behind.
                if self.is_hushed(sentence) || matches!(piece, Piece::Broken(_)) {
                    continue;
                }
                let begin = lock(&self.ledger).begin(sentence);
                speaker.mark(sentence.key(), begin).await?;
                current = Some((sentence, 0));
            }
            let Some((_, written)) = &mut current else { continue };
            match piece {
                Piece::Samples(_, samples) => {
                    let mut rest = &samples[..];
                    while !rest.is_empty() && !self.is_hushed(sentence) {
                        let room = (STEP_SAMPLES - *written % STEP_SAMPLES) as usize;
                        let (now, later) = rest.split_at(rest.len().min(room));
                        speaker.speak(sentence.key(), now).await?;
                        *written += now.len() as u64;
                        rest = later;
                        if *written % STEP_SAMPLES == 0 {
                            let mark = lock(&self.ledger).within(sentence, *written);
                            speaker.mark(sentence.key(), mark).await?;
                        }
                    }
                }
                Piece::End(_) => {
                    current = None;
                    let end = lock(&self.ledger).end(sentence);
                    speaker.mark(sentence.key(), end).await?;
                }
                Piece::Broken(_) => {
                    current = None;
                    end_early(&mut speaker, sentence).await?;
                }
            }
        }
        Ok(())
    }

    fn is_hushed(&self, sentence: Sentence) -> bool {
        sentence.key() <= *self.hushed.borrow()
    }

    async fn failed(&self, sentence: Sentence, why: String) {
        lock(&self.ledger).forget(sentence);
        // Whoever listens may be gone; then nobody is told.
        let _ = self.told.send((self.bridge.now(), Heard::NotSpoken(sentence, why))).await;
    }
}

/// What is left of a sentence that broke off goes out under its own number, not under the next one's.
async fn end_early(speaker: &mut Speaker, sentence: Sentence) -> Result<(), Abandoned> {
    speaker.mark(sentence.key(), NO_MARK).await
}

/// A mark that tells nobody anything: they count from one.
const NO_MARK: u64 = 0;

/// Locks, also after a panic elsewhere: every change of the ledger is complete before it can panic.
fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
