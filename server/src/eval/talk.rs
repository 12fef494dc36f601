//! One call of a script: a caller who says its lines, listens, carries its tools out, and notes what happens.
//!
//! The caller is a leg of the agent's room: what they say goes through the room to the ears, what they hear is what the room
//! mixes for them, and all times are taken there. One task, which looks every 20 ms; the microphone never stops. Nothing is
//! decided here about what is right.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use asr::recognizer::Hints;
use bot::{
    actor::{Follower, RoomHandle},
    agent::Input,
    event::RoomEvent,
    participant::Kind,
    persona::Persona,
    room::Room,
    tools::Outcome,
    understand::intent,
};
use media::{
    codec::raw::Encoding,
    frame::MOUTH_HZ,
    graph::nodes::{
        capture::{CaptureReader, capture},
        frames::Heard,
    },
    id::ParticipantId,
    rtp::dtmf::Key,
};
use tokio::time::{Interval, interval, timeout};

use super::{
    Error,
    judge::{Called, Observed},
    model::Model,
    prompter::Prompter,
    script::{Does, Line, Script},
    seen::Seen,
    speech::{CALLER_HZ, PIECE, Sound},
};
use crate::{
    agent::{self, Reins, Wish, With},
    app::App,
    call::{self, Call, Words},
    clock::Clock,
    encode::linear16,
    live,
    microphone::Microphone,
};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// Louder than this is sound.
const LOUD: f32 = 0.01;

/// Pieces from one key to the next: as fast as people press them.
const KEY_PIECES: usize = 10;

/// How long the agent's first words, or an answer, may take to their end.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How long a caller waits to find out that nothing is answered.
const QUIET_FOR: Duration = Duration::from_secs(4);

/// Longer than any line lasts.
const LINE_WITHIN: Duration = Duration::from_secs(120);

/// How long everybody may take to leave.
const PARTING: Duration = Duration::from_secs(10);

/// A call that is on.
pub(super) struct Talk<'a> {
    script: &'a Script,
    persona: Arc<Persona>,
    room: RoomHandle,
    call: Call,
    microphone: Microphone,
    reader: CaptureReader,
    reins: Reins,
    events: Follower,
    ticks: Interval,
    model: Option<&'a Model>,
    prompter: Option<&'a Prompter>,
    caller: ParticipantId,
    /// Whether the agent says something first.
    greets: bool,
    doing: Doing,
    /// The greeting, and each line that was begun.
    seen: Vec<Seen>,
    /// Which of them each turn of the agent belongs to.
    turns: BTreeMap<u64, usize>,
    /// What tools will give, and when.
    due: Vec<(Instant, String, Outcome)>,
    is_over: bool,
    has_left: bool,
}

/// What the caller does just now, besides listening.
enum Doing {
    Nothing,
    Saying { sound: Sound, at: usize },
    Pressing { keys: VecDeque<Key>, wait: usize },
}

impl<'a> Talk<'a> {
    /// Brings an agent and its caller together.
    ///
    /// # Errors
    /// [`Error`]: no room, no voice, no place.
    pub(super) async fn begin(
        app: &App,
        persona: Persona,
        script: &'a Script,
        (model, prompter): (Option<&'a Model>, Option<&'a Prompter>),
    ) -> Result<Self, Error> {
        let greets = persona.greeting_in(persona.language).is_some_and(|greeting| !greeting.trim().is_empty());
        let persona = Arc::new(persona);
        let room = app.open_room("eval")?;
        let functions = script.tools.iter().map(|scripted| scripted.tool.clone()).collect();
        // The agent is there before its caller, who is listened to for it then.
        let seated = agent::seat(app, &room, persona.clone(), functions).await?;
        let input = live::Input::Raw { encoding: Encoding::Linear16, rate_hz: CALLER_HZ, channels: 1 };
        let (source, microphone) = Microphone::open(input)?;
        let (sink, reader) = capture();
        let wish = call::Wish {
            name: "Caller".to_owned(),
            kind: Kind::Websocket,
            consent: None,
            hints: Hints::default(),
            endpointing_ms: call::ENDPOINTING_MS,
            words: Words::Wanted,
            source: Some(Box::new(source)),
            sink: Some(Box::new(sink)),
            key_ticks_hz: MOUTH_HZ,
            suppress_noise: false,
            hears_itself: false,
            diarize: false,
        };
        let call = call::join(app, &room, wish).await?;
        let caller = call.participant();
        let events = room.follow(Some(room.read(Room::last_seq)));
        Ok(Self {
            script,
            persona,
            room,
            call,
            microphone,
            reader,
            reins: seated.begin(With::One(caller), script.values.clone()),
            events,
            ticks: interval(Duration::from_millis(20)),
            model,
            prompter,
            caller,
            greets,
            doing: Doing::Nothing,
            seen: vec![Seen::greeting(Clock.now())],
            turns: BTreeMap::new(),
            due: Vec::new(),
            is_over: false,
            has_left: false,
        })
    }

    /// Says every line, hangs up, and tells what was observed: of the greeting, where there is one, and of each line.
    ///
    /// # Errors
    /// [`Error`] when the caller's leg is lost.
    pub(super) async fn run(mut self, sounds: Vec<Option<Sound>>) -> Result<(Option<Observed>, Vec<Observed>), Error> {
        if self.greets {
            self.until(ANSWER_WITHIN, |seen, _| seen.is_settled()).await?;
        } else {
            self.until(QUIET_FOR, |seen, _| seen.is_silent()).await?;
        }
        let script = self.script;
        for (at, (line, sound)) in script.lines.iter().zip(sounds).enumerate() {
            let is_interrupted = script.lines.get(at + 1).is_some_and(|next| next.interrupts.is_some());
            self.line(line, sound, is_interrupted).await?;
            if self.is_over {
                break;
            }
        }
        let observed = self.observed();
        self.hang_up().await;
        Ok(observed)
    }

    /// Says one line, and waits for what comes of it unless the next one interrupts that.
    async fn line(&mut self, line: &Line, sound: Option<Sound>, is_interrupted: bool) -> Result<(), Error> {
        match line.interrupts {
            Some(after) => {
                self.until(ANSWER_WITHIN, |seen, _| seen.answered_at().is_some()).await?;
                self.until(ANSWER_WITHIN, |seen, now| {
                    seen.is_settled() || seen.answered_at().is_none_or(|at| now.saturating_duration_since(at) >= after)
                })
                .await?;
                if self.is_over {
                    return Ok(());
                }
                self.seen.push(Seen::over_an_answer());
            }
            None => self.seen.push(Seen::default()),
        }
        self.doing = match (&line.does, sound) {
            (Does::Presses(keys, _), _) => Doing::Pressing { keys: keys.iter().copied().collect(), wait: 0 },
            (_, Some(sound)) => {
                if let (Some(prompter), Some(prompt)) = (self.prompter, &sound.prompt) {
                    prompter.expect(prompt.clone());
                }
                Doing::Saying { sound, at: 0 }
            }
            // Every line but keys has its sound.
            (_, None) => Doing::Nothing,
        };
        self.until(LINE_WITHIN, |seen, _| seen.done_at().is_some()).await?;
        if is_interrupted {
            return Ok(());
        }
        if line.expected.answers {
            self.until(ANSWER_WITHIN, |seen, _| seen.is_settled()).await
        } else {
            self.until(QUIET_FOR, |_, _| false).await
        }
    }

    /// Goes on until it is so, so long was enough, or the conversation is over.
    async fn until(&mut self, within: Duration, is_so: impl Fn(&Seen, Instant) -> bool) -> Result<(), Error> {
        let end = Clock.now() + within;
        loop {
            let now = Clock.now();
            let is_over = now >= end || (self.is_over && self.newest().is_silent());
            if is_over || is_so(self.newest(), now) {
                return Ok(());
            }
            self.step().await?;
        }
    }

    fn newest(&mut self) -> &mut Seen {
        self.seen.last_mut().expect("the greeting is there from the beginning")
    }

    /// What a turn of the agent belongs to: what was there when it was first told of.
    fn of(&mut self, turn: u64) -> &mut Seen {
        let newest = self.seen.len() - 1;
        let at = *self.turns.entry(turn).or_insert(newest);
        &mut self.seen[at]
    }

    async fn step(&mut self) -> Result<(), Error> {
        // Cancel-safe: every arm hands out what it has once, or is looked at again.
        tokio::select! {
            _ = self.ticks.tick() => self.on_tick().await,
            wish = self.reins.next(), if !self.is_over => {
                self.on_wish(wish).await;
                Ok(())
            }
            event = self.call.next(), if !self.has_left => {
                // What the leg reports is looked at so that it does not pile up.
                self.has_left = event.is_none();
                Ok(())
            }
            entries = self.events.next(ENTRIES) => {
                match entries {
                    Ok(entries) if entries.is_empty() => return Err(Error::Lost),
                    Ok(entries) => entries.iter().for_each(|entry| self.on_event(&entry.event)),
                    Err(fell_off) => self.events = self.room.follow(Some(fell_off.resume)),
                }
                Ok(())
            }
        }
    }

    /// Says 20 ms, and hears as much.
    async fn on_tick(&mut self) -> Result<(), Error> {
        if self.has_left {
            return Err(Error::Lost);
        }
        let (piece, begins, ends) = self.next_piece();
        let mut bytes = Vec::with_capacity(2 * piece.len());
        linear16(&piece, &mut bytes);
        self.microphone.push(bytes.into()).await?;
        let now = Clock.now();
        if begins {
            self.newest().began(now);
        }
        if ends {
            self.newest().done(now);
        }
        while let Some(heard) = self.reader.hear() {
            let is_loud = match heard {
                Heard::Frame(frame) => frame.samples.iter().any(|sample| sample.abs() > LOUD),
                Heard::Lost(_) => false,
            };
            self.newest().hear(is_loud, now);
        }
        if let Some(model) = self.model {
            let unknown = model.take_unknown();
            self.newest().unknown(unknown);
        }
        while let Some(at) = self.due.iter().position(|(due, ..)| *due <= now) {
            let (_, call, outcome) = self.due.swap_remove(at);
            self.reins.tell(Input::ToolDone { call, outcome }).await;
        }
        Ok(())
    }

    /// The next 20 ms, whether something of the line is in them, and whether its last is.
    fn next_piece(&mut self) -> (Vec<f32>, bool, bool) {
        let mut piece = Vec::new();
        let (mut begins, mut ends) = (false, false);
        match &mut self.doing {
            Doing::Nothing => {}
            Doing::Saying { sound, at } => {
                let until = (*at + PIECE).min(sound.said.end);
                piece.extend_from_slice(&sound.samples[*at..until]);
                begins = until > sound.said.start;
                ends = until == sound.said.end;
                *at = until;
            }
            Doing::Pressing { keys, wait: 0 } => {
                if let Some(key) = keys.pop_front() {
                    self.call.keys().press(key);
                }
                (begins, ends) = (true, keys.is_empty());
                self.doing = Doing::Pressing { keys: std::mem::take(keys), wait: KEY_PIECES };
            }
            Doing::Pressing { wait, .. } => *wait -= 1,
        }
        if ends {
            self.doing = Doing::Nothing;
        }
        piece.resize(PIECE, 0.0);
        (piece, begins, ends)
    }

    async fn on_wish(&mut self, wish: Option<Wish>) {
        match wish {
            Some(Wish::HangUp) => {
                self.newest().hung_up();
                self.reins.tell(Input::HungUp).await;
            }
            // Nobody is there whom the caller could be sent to.
            Some(Wish::Transfer { .. }) => self.reins.tell(Input::CameBack).await,
            // What it says and does is told by the room.
            Some(Wish::Press(_) | Wish::Says { .. } | Wish::Tells(_) | Wish::Used(_)) => {}
            Some(Wish::Call { id, name, arguments }) => {
                let scripted = self.script.tools.iter().find(|scripted| scripted.tool.name == name);
                let (takes, outcome) = match scripted {
                    Some(scripted) if scripted.fails => (scripted.takes, Outcome::failed(scripted.answer.clone())),
                    Some(scripted) => (scripted.takes, Outcome::done(scripted.answer.clone())),
                    None => (Duration::ZERO, Outcome::failed("there is no such tool")),
                };
                self.due.push((Clock.now() + takes, id, outcome));
                self.newest().called(Called { name, arguments: Some(arguments) });
            }
            Some(Wish::Cancel { id }) => self.due.retain(|(_, waiting, _)| *waiting != id),
            None => self.is_over = true,
        }
    }

    fn on_event(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::TranscriptFinal { segment } if segment.participant == self.caller => {
                self.newest().understood(&segment.text);
            }
            RoomEvent::TurnEnded { turn, .. } => self.of(*turn).turn(*turn),
            RoomEvent::BotSpeaking { turn, is_filler: true, .. } => self.of(*turn).bridged(),
            RoomEvent::BotSpeaking { turn, .. } => _ = self.of(*turn),
            RoomEvent::BotSpoke { turn, text, .. } => self.of(*turn).spoke(*turn, text),
            RoomEvent::BotInterrupted { turn, text, unheard, .. } => self.of(*turn).cut(*turn, text, unheard),
            RoomEvent::BotTrace { turn: Some(turn), what, why, .. } => {
                let why = why.as_deref().unwrap_or_default();
                match &**what {
                    "dropped" | "thrown_away" => self.of(*turn).dropped(*turn),
                    "trouble" => self.of(*turn).trouble(*turn, why),
                    "tool" => {
                        let name = why.strip_suffix(": called");
                        // Those of the script are seen with their arguments.
                        let is_other = |name: &&str| self.script.tools.iter().all(|known| known.tool.name != *name);
                        if let Some(name) = name.filter(is_other) {
                            self.newest().called(Called { name: name.to_owned(), arguments: None });
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// What there is to judge; lines that were never reached are as if nobody had been there.
    fn observed(&self) -> (Option<Observed>, Vec<Observed>) {
        let told_wrong = |before: &Seen| {
            let Some(cut) = before.unheard().map(last_words) else { return false };
            // What was said again is rightly remembered.
            let was_heard = self.seen.iter().any(|seen| seen.observed(None, false).answer.contains(cut));
            !was_heard && self.model.is_some_and(|model| model.was_told_of(cut))
        };
        let of = |at: usize| {
            let before = at.checked_sub(1).and_then(|before| self.seen.get(before));
            let seen = self.seen.get(at)?;
            let observed = seen.observed(before, before.is_some_and(told_wrong));
            Some(Observed { intents: self.wanted(&observed.heard), ..observed })
        };
        let lines = (1..=self.script.lines.len()).map(|at| of(at).unwrap_or_default()).collect();
        (of(0).filter(|_| self.greets), lines)
    }

    /// What is wanted by these words, as the agent understands them.
    fn wanted(&self, words: &str) -> Vec<String> {
        let (intents, confidence) = (&self.persona.intents, self.persona.understanding.confidence);
        let found = intent::route(words, intents, confidence);
        found.iter().filter_map(|found| Some(intents.get(found.intent)?.name.clone())).collect()
    }

    /// Everybody leaves.
    async fn hang_up(self) {
        let Self { room, call, mut reins, .. } = self;
        let leaving = async {
            reins.tell(Input::HungUp).await;
            reins.over().await;
            call.hung_up().await;
            room.close().await;
        };
        // Whoever does not leave by then is dropped with the call.
        let _ = timeout(PARTING, leaving).await;
    }
}

/// The last few words of a text: enough to be known again.
fn last_words(text: &str) -> &str {
    let begins = text.char_indices().filter(|(_, sign)| *sign == ' ').map(|(at, _)| at + 1);
    begins.rev().nth(WORDS - 1).map_or(text, |from| &text[from..])
}

/// Words that are never said by accident.
const WORDS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_text_are_its_end() {
        assert_eq!(last_words("one two three four five six seven"), "three four five six seven");
        assert_eq!(last_words("five six"), "five six");
        assert_eq!(last_words(""), "");
    }
}
