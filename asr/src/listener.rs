//! One stream's ears: from scored windows to utterances, decode jobs and events.
//!
//! Pure: told windows with their scores, the results of jobs and the time, it says which decode it wants next
//! and how urgently, and queues [`Event`]s. One job at a time; the worker that runs it is somebody else's.
//! The policy is here: when a window is decoded again, what is settled ([`crate::agree`]), where a monologue is
//! cut, how a final is ready before the pause is over, and what is thrown away when decoding cannot keep up.

mod belief;
mod pace;
mod tongue;
mod turns;
mod utterance;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use media::{
    frame::EAR_HZ,
    time::{MediaTime, Span},
};

use self::{
    belief::is_invented,
    pace::{PARTIAL_STEP_MIN, Pace},
    tongue::Tongue,
    turns::Turns,
    utterance::{Latest, TAIL_SAMPLES, Utterance},
};
use crate::{
    agree::{self, Agreement},
    event::{Cut, Event, LostWhy, UtteranceId, Word},
    pool::StreamConfig,
    recognizer::{Error, Hints, Hypothesis},
    segment::{Score, Segment},
    vad::gate::{Edge, Gate, WINDOW_MS, WINDOW_SAMPLES},
};

/// A decode or a score that the stream wants done.
pub struct Job {
    /// Counts up on the stream.
    pub id: u64,
    /// 16 kHz mono.
    pub audio: Vec<f32>,
    /// What is to be done with it.
    pub task: Task,
    /// What is expected in it.
    pub hints: Hints,
    /// Set when nobody needs the answer any more.
    pub abort: Arc<AtomicBool>,
}

/// What a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The words so far; answered by [`Listener::decoded`].
    Partial,
    /// Words that a final waits for; answered by [`Listener::decoded`].
    Final,
    /// Whether the speaker is done; answered by [`Listener::scored`].
    Turn,
}

/// How a stream listens.
pub struct Listener {
    config: StreamConfig,
    /// No window that is decoded grows longer than this.
    window_max: u64,
    gate: Gate,
    heard: u64,
    /// What was heard last while nobody spoke, so that an utterance can begin before it was noticed.
    before: Segment,
    open: Option<Utterance>,
    closing: VecDeque<Closing>,
    next_utterance: u64,
    next_job: u64,
    in_flight: Option<InFlight>,
    /// For live streams that ask whether the speaker is done.
    turns: Option<Turns>,
    tongue: Tongue,
    /// Since when the next partial is wanted.
    partial_wanted: Option<Instant>,
    pace: Pace,
    partials_dropped: u64,
    events: VecDeque<Event>,
    ended: bool,
}

struct Closing {
    utterance: Utterance,
    cut: Cut,
    /// Where the stretch of speech ended, when it ended with this utterance.
    speech_ended: Option<u64>,
    since: Instant,
}

struct InFlight {
    job: u64,
    utterance: UtteranceId,
    /// Where the audio of the job ends on the stream.
    until: u64,
    /// Where it begins: behind the segment's start when a cut is being tried.
    from: u64,
    /// How much speech its utterance had.
    speech_s: f32,
    abort: Arc<AtomicBool>,
}

impl Listener {
    /// A stream that has heard nothing. `window_max_s` is the recognizer's.
    pub fn new(config: StreamConfig, window_max_s: u32) -> Self {
        Self {
            gate: Gate::new(config.endpointing_ms.clamp(ENDPOINTING_MIN_MS, ENDPOINTING_MAX_MS)),
            // Nobody waits to speak after a file.
            turns: config.turn_after_ms.filter(|_| config.live).map(Turns::new),
            tongue: Tongue::default(),
            config,
            window_max: u64::from(window_max_s.clamp(4, WINDOW_MAX_S)) * HZ,
            heard: 0,
            before: Segment::new(0),
            open: None,
            closing: VecDeque::new(),
            next_utterance: 0,
            next_job: 0,
            in_flight: None,
            partial_wanted: None,
            pace: Pace::default(),
            partials_dropped: 0,
            events: VecDeque::new(),
            ended: false,
        }
    }

    /// Takes the next window (at most [`WINDOW_SAMPLES`], fewer only before [`Self::finalize`] or
    /// [`Self::end`]) with the voice detector's score.
    pub fn hear(&mut self, window: &[f32], speech: f32, now: Instant) {
        let score = Score::of(window, speech);
        self.heard += window.len() as u64;
        let edge = self.gate.step(speech);
        match &mut self.open {
            Some(utterance) => {
                utterance.segment.push(window, score);
                if self.gate.is_open() && self.gate.quiet_windows() == 0 {
                    utterance.speech_until = self.heard;
                }
            }
            None => self.before.push(window, score),
        }
        self.watch_pause(window, edge, now);
        match edge {
            Some(Edge::Opened { windows_ago }) => self.open_utterance(windows_ago),
            Some(Edge::Closed { windows_ago }) => self.close_utterance(windows_ago, now),
            None if self.open.is_none() => self.before.keep_last(PRE_ROLL_WINDOWS),
            None => self.keep_short(now),
        }
        self.shed_backlog();
    }

    /// Expects something else from the next decode on.
    pub fn expect(&mut self, hints: Hints) {
        self.config.hints = hints;
    }

    /// Asks for everything heard so far as a final.
    pub fn finalize(&mut self, now: Instant) {
        let next = self.gate.is_open().then(|| self.new_utterance(Segment::new(self.heard)));
        let utterance = match self.open.take() {
            Some(utterance) => utterance,
            None => self.new_utterance(Segment::new(self.heard)),
        };
        self.open = next;
        if self.open.is_none() {
            self.before = Segment::new(self.heard);
        }
        self.close(utterance, Cut::Finalize, None, now);
    }

    /// Ends the stream: what is open becomes final.
    pub fn end(&mut self, now: Instant) {
        self.ended = true;
        // What was asked of a pause comes too late, and nothing may be said after the last word.
        if let Some(turns) = &mut self.turns {
            turns.resume();
        }
        if let Some(utterance) = self.open.take() {
            let speech_until = utterance.speech_until;
            self.gate.close();
            self.close(utterance, Cut::End, Some(speech_until), now);
        }
    }

    /// The next event.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the stream has ended and everything was said.
    pub fn is_done(&self) -> bool {
        self.ended && self.closing.is_empty() && self.events.is_empty()
    }

    /// Whether decoding is so far behind that no more audio should be handed over where it can wait.
    pub fn is_backed_up(&self) -> bool {
        self.closing.len() >= 2
    }

    /// Whether the next window may go unscored when it is as quiet as the room: nothing is being said.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && !self.gate.is_busy()
    }

    /// Samples heard so far.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// Samples of closed utterances that still wait for their words.
    pub fn backlog_samples(&self) -> u64 {
        self.closing.iter().map(|closing| closing.utterance.segment.len() as u64).sum()
    }

    /// Partials that were due and never made because decoding was busy, since the last call.
    pub fn take_partials_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.partials_dropped)
    }

    /// By when the next job is due; `None` when none is wanted or one is under way. The earlier wins
    /// across streams: finals of live streams first, then pauses to be scored, partials, and files. Within a stream
    /// there is one job at a time, so that its final waits for a score of its own that is under way.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.in_flight.is_some() || self.turns.as_ref().is_some_and(Turns::is_busy) {
            return None;
        }
        if let Some(closing) = self.closing.front() {
            return Some(if self.config.live {
                before(closing.since, FINAL_HEAD_START)
            } else {
                closing.since + FILE_WAITS
            });
        }
        if self.wants_early_final() {
            return Some(before(now, FINAL_HEAD_START));
        }
        if let Some(since) = self.turns.as_ref().and_then(Turns::wanted) {
            return Some(since);
        }
        if !self.wants_partial() {
            self.partial_wanted = None;
            return None;
        }
        let since = *self.partial_wanted.get_or_insert(now);
        Some(since + PARTIAL_WAITS)
    }

    /// Takes the job that [`Self::due`] spoke of.
    pub fn take_job(&mut self, now: Instant) -> Option<Job> {
        self.due(now)?;
        let is_final = !self.closing.is_empty() || self.wants_early_final();
        self.next_job += 1;
        let job = self.next_job;
        let abort = Arc::new(AtomicBool::new(false));
        if !is_final && let Some(audio) = self.turns.as_mut().and_then(|turns| turns.take(job)) {
            return Some(Job { id: job, audio, task: Task::Turn, hints: Hints::default(), abort });
        }
        if let Some(since) = self.partial_wanted.take() {
            let step = self.pace.step(self.open.as_ref().map_or(0, |open| open.segment.len() as u64));
            let late = now.saturating_duration_since(since).as_secs_f32();
            self.partials_dropped += (late / (step as f32 / EAR_HZ as f32)) as u64;
        }
        let (utterance, is_open) = match self.closing.front_mut() {
            Some(closing) => (&mut closing.utterance, false),
            None => (self.open.as_mut()?, true),
        };
        let until = (utterance.speech_until + TAIL_SAMPLES).clamp(utterance.segment.start(), utterance.segment.end());
        let mut from = utterance.segment.start();
        if is_open
            && !is_final
            && let Some(cut) = utterance.cut_to_try()
        {
            utterance.tried_at = utterance.segment.end();
            from = cut;
        }
        utterance.decoded_until = utterance.segment.end();
        let range = (from - utterance.segment.start()) as usize..(until - utterance.segment.start()) as usize;
        let audio = utterance.segment.samples()[range].to_vec();
        let task = if is_final { Task::Final } else { Task::Partial };
        let speech_s = utterance.segment.speech_s();
        let mut hints = self.config.hints.clone();
        if hints.language.is_none() {
            hints.language = utterance.language.clone().or_else(|| self.tongue.expected(speech_s).map(str::to_owned));
        }
        let utterance = utterance.id;
        self.in_flight = Some(InFlight { job, utterance, until, from, speech_s, abort: abort.clone() });
        Some(Job { id: job, audio, task, hints, abort })
    }

    /// Takes the answer to a job, and what it cost the worker.
    pub fn decoded(&mut self, job: u64, answer: Result<Hypothesis, Error>, cost: Duration) {
        let Some(flight) = self.in_flight.take_if(|flight| flight.job == job) else { return };
        if answer.is_ok() {
            self.pace.learn(flight.until - flight.from, cost);
        }
        let closing = self.closing.front().is_some_and(|closing| closing.utterance.id == flight.utterance);
        match answer {
            // Its words will be asked for again.
            Ok(hypothesis) if self.is_in_doubt(&flight, &hypothesis) => {}
            Ok(hypothesis) if closing => self.decoded_closing(&flight, hypothesis),
            Ok(hypothesis) => self.decoded_open(&flight, hypothesis),
            Err(Error::Aborted) => {}
            Err(_) if closing => {
                let closing = self.closing.pop_front().expect("its front was just looked at");
                self.lose(closing, LostWhy::Recognizer);
            }
            Err(_) => {}
        }
        self.finish_what_is_known();
    }

    fn open_utterance(&mut self, windows_ago: u32) {
        let segment = std::mem::take(&mut self.before);
        let began = self.heard.saturating_sub(u64::from(windows_ago) * WINDOW_SAMPLES as u64);
        let mut utterance = self.new_utterance(segment);
        utterance.speech_until = self.heard;
        self.events.push_back(Event::SpeechStarted { utterance: utterance.id, at: self.at(began) });
        self.open = Some(utterance);
    }

    fn new_utterance(&mut self, segment: Segment) -> Utterance {
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        Utterance::new(id, segment, Agreement::default())
    }

    fn close_utterance(&mut self, windows_ago: u32, now: Instant) {
        let ended = self.heard.saturating_sub(u64::from(windows_ago) * WINDOW_SAMPLES as u64);
        let Some(mut utterance) = self.open.take() else { return };
        // What lies behind the tail belongs to the pre-roll of whoever speaks next.
        let tail = (utterance.speech_until + TAIL_SAMPLES).div_ceil(WINDOW_SAMPLES as u64) * WINDOW_SAMPLES as u64;
        self.before = utterance.segment.split_off(tail.max(utterance.segment.start()));
        self.before.keep_last(PRE_ROLL_WINDOWS);
        self.close(utterance, Cut::Pause, Some(ended), now);
    }

    fn close(&mut self, utterance: Utterance, cut: Cut, speech_ended: Option<u64>, now: Instant) {
        if let Some(flight) = &self.in_flight
            && flight.utterance == utterance.id
            && !flight.settles(&utterance)
        {
            flight.abort.store(true, Ordering::Relaxed);
        }
        self.partial_wanted = None;
        self.closing.push_back(Closing { utterance, cut, speech_ended, since: now });
        self.finish_what_is_known();
    }

    /// Finishes closed utterances, oldest first, whose words are known without another decode.
    fn finish_what_is_known(&mut self) {
        while let Some(front) = self.closing.front() {
            let utterance = &front.utterance;
            if self.in_flight.as_ref().is_some_and(|flight| flight.utterance == utterance.id) {
                return;
            }
            let nothing_said = utterance.agreement.settled() == 0 && utterance.segment.speech_s() < SPEECH_MIN_S;
            let known = utterance.latest.as_ref().is_some_and(|latest| latest.until >= utterance.needed_until());
            if !nothing_said && !known {
                return;
            }
            let closing = self.closing.pop_front().expect("its front was just looked at");
            self.finish(closing);
        }
    }

    fn finish(&mut self, mut closing: Closing) {
        let utterance = &mut closing.utterance;
        let latest = utterance.latest.take().map(|latest| latest.hypothesis);
        let language = latest.as_ref().and_then(|hypothesis| hypothesis.language.clone());
        let heard = latest.map_or_else(Vec::new, |hypothesis| self.believed(&closing.utterance, hypothesis));
        let utterance = closing.utterance;
        let span = self.span(utterance.segment.start(), utterance.segment.end());
        let certain = utterance.certain_language();
        let words = utterance.agreement.settle(heard);
        self.tongue.learn(certain.filter(|_| !words.is_empty()));
        self.events.push_back(Event::Final {
            utterance: utterance.id,
            words,
            span,
            cut: closing.cut,
            language,
            voices: Vec::new(),
        });
        if let Some(ended) = closing.speech_ended {
            let at = self.at(ended);
            self.events.push_back(Event::SpeechEnded { utterance: utterance.id, at });
        }
    }

    fn lose(&mut self, mut closing: Closing, why: LostWhy) {
        closing.utterance.latest = None;
        let span = self.span(closing.utterance.segment.start(), closing.utterance.segment.end());
        self.events.push_back(Event::Lost { span, why });
        self.finish(closing);
    }

    fn decoded_closing(&mut self, flight: &InFlight, hypothesis: Hypothesis) {
        let Some(closing) = self.closing.front_mut() else { return };
        // An answer about other audio (a cut that was being tried, or more than was left after one) is no answer.
        if flight.settles(&closing.utterance) {
            closing.utterance.latest = Some(Latest { until: flight.until, hypothesis });
        }
    }

    fn decoded_open(&mut self, flight: &InFlight, hypothesis: Hypothesis) {
        let Some(mut utterance) = self.open.take_if(|open| open.id == flight.utterance) else { return };
        if flight.from == utterance.segment.start() {
            let words = self.believed(&utterance, hypothesis.clone());
            utterance.latest = Some(Latest { until: flight.until, hypothesis });
            self.revise(&mut utterance, words, flight.until);
        } else {
            let words = self.timed(flight.from, hypothesis);
            self.judge_cut(&mut utterance, flight, words);
        }
        self.open = Some(utterance);
    }

    fn revise(&mut self, utterance: &mut Utterance, words: Vec<Word>, until: u64) {
        let certain_until = self.at(until.saturating_sub(CERTAIN_AFTER));
        if utterance.agreement.revise(words, certain_until) && self.config.partials {
            utterance.revision += 1;
            self.events.push_back(Event::Partial {
                utterance: utterance.id,
                revision: utterance.revision,
                stable_words: utterance.agreement.settled(),
                words: utterance.agreement.words().to_vec(),
                span: self.span(utterance.segment.start(), until),
            });
        }
    }

    /// A cut was tried: `words` is what the rest alone says. When it says what it said as part of the whole,
    /// the cut is made and the settled words before it become final.
    fn judge_cut(&mut self, utterance: &mut Utterance, flight: &InFlight, words: Vec<Word>) {
        let known = utterance.agreement.words();
        let before = (1..=utterance.agreement.settled())
            .filter(|&count| known.get(count).zip(words.first()).is_some_and(|(a, b)| agree::same(&a.text, &b.text)))
            .map(|count| (count, agree::distance(&known[count..], &words)))
            .filter(|&(_, distance)| distance <= CUT_DISTANCE_MAX)
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((count, _)) = before else {
            utterance.bad_cuts.push(flight.from);
            return;
        };
        let rest = utterance.segment.split_off(flight.from);
        let front = std::mem::replace(&mut utterance.segment, rest);
        let said = utterance.agreement.split_off_front(count);
        let span = self.span(front.start(), front.end());
        let language = utterance.latest.take().and_then(|latest| latest.hypothesis.language);
        self.events.push_back(Event::Final {
            utterance: utterance.id,
            words: said,
            span,
            cut: Cut::Length,
            language,
            voices: Vec::new(),
        });
        utterance.id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        utterance.revision = 0;
        utterance.bad_cuts.clear();
        // What is said from here on may be in another language.
        self.tongue.learn(utterance.certain_language());
        utterance.language = None;
        utterance.is_language_certain = false;
        self.revise(utterance, words, flight.until);
    }

    /// Cuts a monologue where it is quietest when no tried cut was accepted in time, or none can be tried
    /// because nobody wants partials.
    fn keep_short(&mut self, now: Instant) {
        let window_max = self.window_max;
        let Some(utterance) = self.open.as_mut().filter(|open| open.segment.len() as u64 >= window_max) else { return };
        let (start, end) = (utterance.segment.start(), utterance.segment.end());
        let length = end - start;
        let Some(dip) = utterance.segment.quietest(start + length * 2 / 5, end - HZ) else { return };
        let cut_at = self.config.starts_at + MediaTime::from_samples(dip.at, EAR_HZ).as_duration();
        let rest = utterance.segment.split_off(dip.at);
        let settled = utterance.agreement.settled_words();
        let before = settled.iter().take_while(|word| middle(word.span) < cut_at).count();
        let rest_agreement = Agreement::resume(settled[before..].to_vec());
        utterance.agreement = Agreement::resume(settled[..before].to_vec());
        utterance.latest = None;
        let (speech_until, front_until) = (utterance.speech_until, utterance.segment.end());
        utterance.speech_until = speech_until.min(front_until);
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        let mut next = Utterance::new(id, rest, rest_agreement);
        next.speech_until = speech_until;
        if let Some(front) = self.open.replace(next) {
            self.close(front, Cut::Length, None, now);
        }
    }

    /// Gives up the oldest closed utterance of a live stream when its words would come too late to matter.
    fn shed_backlog(&mut self) {
        if !self.config.live || self.backlog_samples() <= BACKLOG_MAX_SAMPLES {
            return;
        }
        // Order is kept: only the front may be given up, and not while it is being decoded.
        let front = self.closing.front().map(|closing| closing.utterance.id);
        if self.in_flight.as_ref().is_some_and(|flight| Some(flight.utterance) == front) {
            return;
        }
        if let Some(closing) = self.closing.pop_front() {
            self.lose(closing, LostWhy::Overload);
        }
    }

    /// Whether somebody has just fallen silent and the words up to there are not known yet: decoding now has
    /// the final ready when the pause is over. Nobody waits for a file's, whose words then depend on its audio alone.
    fn wants_early_final(&self) -> bool {
        self.config.live
            && self.gate.quiet_windows() >= EARLY_FINAL_WINDOWS
            && self.open.as_ref().is_some_and(|open| {
                open.segment.speech_s() >= SPEECH_MIN_S
                    && open.latest.as_ref().is_none_or(|latest| latest.until < open.needed_until())
            })
    }

    fn wants_partial(&self) -> bool {
        if !self.config.partials || self.gate.quiet_windows() > 0 {
            return false;
        }
        let Some(open) = &self.open else { return false };
        let fresh = open.segment.end() - open.decoded_until.max(open.segment.start());
        if open.decoded_until == 0 {
            return open.segment.speech_s() >= FIRST_PARTIAL_S;
        }
        let step = if open.agreement.words().is_empty() {
            PARTIAL_STEP_MIN
        } else {
            self.pace.step(open.segment.len() as u64)
        };
        fresh >= step
    }

    /// The words of a whole decode, with times on the room's timeline; none when they look invented.
    fn believed(&self, utterance: &Utterance, hypothesis: Hypothesis) -> Vec<Word> {
        if is_invented(&utterance.segment, &hypothesis) {
            return Vec::new();
        }
        self.timed(utterance.segment.start(), hypothesis)
    }

    fn timed(&self, from: u64, hypothesis: Hypothesis) -> Vec<Word> {
        let from_s = from as f64 / f64::from(EAR_HZ) + self.config.starts_at.as_secs_f64();
        let at = |s: f32| MediaTime::from_secs_f64(from_s + f64::from(s));
        hypothesis
            .words
            .into_iter()
            .map(|word| Word {
                text: word.text,
                span: Span::new(at(word.start_s), at(word.end_s)),
                confidence: word.confidence.clamp(0.0, 1.0),
            })
            .collect()
    }

    fn at(&self, sample: u64) -> MediaTime {
        self.config.starts_at + MediaTime::from_samples(sample, EAR_HZ).as_duration()
    }

    fn span(&self, from: u64, until: u64) -> Span {
        Span::new(self.at(from), self.at(until))
    }
}

impl InFlight {
    /// Whether its answer will be about the whole of a closed utterance and nothing else.
    fn settles(&self, utterance: &Utterance) -> bool {
        self.from == utterance.segment.start()
            && (utterance.needed_until()..=utterance.segment.end()).contains(&self.until)
    }
}

fn middle(span: Span) -> MediaTime {
    MediaTime::from_ticks((span.start.ticks() + span.end.ticks()) / 2)
}

/// `at` moved earlier; the clock's own beginning when it is younger than that.
fn before(at: Instant, by: Duration) -> Instant {
    at.checked_sub(by).unwrap_or(at)
}

const HZ: u64 = EAR_HZ as u64;

/// The shortest pause that may end an utterance: shorter ones lie inside words (plosives, "sieb-zehn").
const ENDPOINTING_MIN_MS: u32 = 192;
const ENDPOINTING_MAX_MS: u32 = 10_000;

/// Kept from before the onset: 320 ms, because soft first sounds ("f", "h", "s") score late. Costs a little
/// decoding per utterance.
const PRE_ROLL_WINDOWS: usize = 10;

/// Silence after which the final is decoded, in the hope that the pause lasts. One window is often a plosive;
/// more than three would make the final late.
const EARLY_FINAL_WINDOWS: u32 = 96 / WINDOW_MS;

/// Sound that was speech for less than this says no word.
const SPEECH_MIN_S: f32 = 0.06;

/// Speech that must be there before the first partial: less says nothing, more is a late first word.
const FIRST_PARTIAL_S: f32 = 0.19;

/// Words younger than this do not settle: the recognizer has not heard what follows them. More makes settled
/// text trail the voice; less settles first guesses ("my" for "what").
const CERTAIN_AFTER: u64 = HZ;

/// The rest alone must say what it said within the whole: at most one word in five differs.
const CUT_DISTANCE_MAX: f32 = 0.2;

/// No window is decoded that is longer, whatever the recognizer can take: cost grows with the square.
const WINDOW_MAX_S: u32 = 14;

/// A live stream whose words would come later than this gives up the oldest.
const BACKLOG_MAX_SAMPLES: u64 = 30 * HZ;

/// Finals go before every partial that has waited for less than this.
const FINAL_HEAD_START: Duration = Duration::from_secs(2);

/// How long a partial may wait before it counts as late.
const PARTIAL_WAITS: Duration = Duration::from_millis(300);

/// How long a file steps back behind live streams.
const FILE_WAITS: Duration = Duration::from_millis(500);
