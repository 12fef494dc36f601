//! What a bot sends ahead of time, handed to the caller's mouth at the pace at which it is heard.
//!
//! Twilio keeps whatever a bot sends and plays it in order; so does this, up to [`KEPT_S`]. Marks lie between bytes of
//! sound and come back when all before them was played, or at once when the bot clears. Pure: told once a tick how
//! much the mouth still holds, it says what to write next; it keeps no clock. Its answers to the bot do not hang on
//! an event that is lost: a later mark, or a mouth that has been dry for a while, answers for those before.

use std::collections::VecDeque;

/// Bytes of mu-law in one second.
const BYTES_PER_SECOND: usize = 8_000;

/// Seconds that a bot may be ahead: the longest answer that a model speaks in one go, several times over. It costs
/// 1 MB in the worst case; when it is full, what comes is dropped and the bot's fault.
pub const KEPT_S: usize = 120;

/// A piece of the mouth: 10 ms.
const PIECE_BYTES: usize = BYTES_PER_SECOND / 100;

/// Pieces that are in the mouth at most: 300 ms, more than any stall of the task that feeds it. They are no delay,
/// since a clear takes them back.
const AHEAD_PIECES: usize = 30;

/// Sound that is gathered before the first of it is played: 40 ms, two messages of a bot that keeps pace, so that
/// one that is a little late leaves no gap.
const CUSHION_BYTES: usize = 4 * PIECE_BYTES;

/// Ticks after which less is played too: it was all there is.
const CUSHION_TICKS: u32 = 4;

/// Marks that wait; a bot that sets more is out of its mind.
const MARKS_MAX: usize = 1_000;

/// Ticks after which a mouth that is empty has played its marks, whatever became of their events.
const DRY_TICKS: u32 = 20;

/// What a bot sent and the caller has not heard.
#[derive(Debug, Default)]
pub struct Playlist {
    sound: VecDeque<u8>,
    /// Behind which byte of all that was ever sent each mark lies.
    marks: VecDeque<(u64, String)>,
    /// Bytes that were handed over or cleared.
    taken: u64,
    /// Marks that the mouth has, by their number.
    handed: VecDeque<(u64, String)>,
    next_mark: u64,
    turn: u64,
    held_ticks: u32,
    dry_ticks: u32,
}

/// What goes into the mouth next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// At most 80 bytes of mu-law.
    Sound(Vec<u8>),
    /// A mark.
    Mark(u64),
}

/// The bot is too far ahead: what it sent was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bot is more than {KEPT_S} s, or {MARKS_MAX} marks, ahead of what the caller hears")]
pub struct Full;

impl Playlist {
    /// On whose behalf the mouth is written to: grows with each clear.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Adds sound behind all else.
    ///
    /// # Errors
    /// [`Full`]: none of it was taken.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), Full> {
        if self.sound.len() + payload.len() > KEPT_S * BYTES_PER_SECOND {
            return Err(Full);
        }
        self.sound.extend(payload);
        Ok(())
    }

    /// Adds a mark behind all else.
    ///
    /// # Errors
    /// [`Full`]: it was not taken.
    pub fn mark(&mut self, name: String) -> Result<(), Full> {
        if self.marks.len() + self.handed.len() >= MARKS_MAX {
            return Err(Full);
        }
        self.marks.push_back((self.taken + self.sound.len() as u64, name));
        Ok(())
    }

    /// Forgets all that was not played. Returns the last turn that is dead by now, and the marks to be answered, in
    /// their order.
    pub fn clear(&mut self) -> (u64, Vec<String>) {
        let dead = self.turn;
        self.turn += 1;
        self.taken += self.sound.len() as u64;
        self.sound.clear();
        let marks = self.handed.drain(..).chain(self.marks.drain(..)).map(|(_, name)| name).collect();
        (dead, marks)
    }

    /// How many pieces may be taken with [`Playlist::take`] in this tick of 10 ms, of the start of which the mouth
    /// holds `waiting`.
    pub fn due(&mut self, waiting: usize) -> usize {
        if self.sound.is_empty() && self.marks.is_empty() {
            self.held_ticks = 0;
            return 0;
        }
        let is_crumb = self.sound.len() < CUSHION_BYTES && self.marks.is_empty();
        if waiting == 0 && is_crumb && self.held_ticks < CUSHION_TICKS {
            self.held_ticks += 1;
            return 0;
        }
        self.held_ticks = 0;
        AHEAD_PIECES.saturating_sub(waiting)
    }

    /// What to write into the mouth.
    pub fn take(&mut self) -> Option<Next> {
        let until_mark = match self.marks.front() {
            Some((behind, _)) => usize::try_from(behind - self.taken).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        if until_mark == 0 {
            let (_, name) = self.marks.pop_front()?;
            self.next_mark += 1;
            self.handed.push_back((self.next_mark, name));
            return Some(Next::Mark(self.next_mark));
        }
        let bytes = self.sound.len().min(PIECE_BYTES).min(until_mark);
        if bytes == 0 {
            return None;
        }
        self.taken += bytes as u64;
        Some(Next::Sound(self.sound.drain(..bytes).collect()))
    }

    /// The mouth has played mark `number`: those to be answered.
    pub fn played(&mut self, number: u64) -> Vec<String> {
        let answered = self.handed.iter().take_while(|(handed, _)| *handed <= number).count();
        self.handed.drain(..answered).map(|(_, name)| name).collect()
    }

    /// To be told once a tick how much waits in the mouth: the marks to be answered because it has long been empty.
    pub fn rested(&mut self, waiting: usize) -> Vec<String> {
        self.dry_ticks = if waiting == 0 && !self.handed.is_empty() { self.dry_ticks + 1 } else { 0 };
        if self.dry_ticks < DRY_TICKS {
            return Vec::new();
        }
        self.handed.drain(..).map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(playlist: &mut Playlist, pieces: usize) -> Vec<Next> {
        (0..pieces).map_while(|_| playlist.take()).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn sound_comes_out_in_pieces_and_marks_where_they_were_set() {
        let mut playlist = Playlist::default();
        playlist.mark("first".to_owned()).unwrap();
        playlist.push(&[1; 100]).unwrap();
        playlist.mark("second".to_owned()).unwrap();
        playlist.mark("third".to_owned()).unwrap();
        playlist.push(&[2; 90]).unwrap();
        let sizes: Vec<_> = taken(&mut playlist, 99)
            .into_iter()
            .map(|next| match next {
                Next::Sound(bytes) => (bytes[0], bytes.len() as u64),
                Next::Mark(number) => (0, number),
            })
            .collect();
        assert_eq!(sizes, [(0, 1), (1, 80), (1, 20), (0, 2), (0, 3), (2, 80), (2, 10)]);
        assert_eq!(playlist.played(1), names(&["first"]));
        // The event of the second was lost.
        assert_eq!(playlist.played(3), names(&["second", "third"]));
        assert_eq!(playlist.played(3), names(&[]));
    }

    #[test]
    fn crumbs_of_one_byte_are_gathered() {
        let mut playlist = Playlist::default();
        for _ in 0..400 {
            playlist.push(&[7]).unwrap();
        }
        assert_eq!(taken(&mut playlist, 99), vec![Next::Sound(vec![7; 80]); 5]);
    }

    #[test]
    fn a_clear_answers_every_mark_at_once_and_in_order() {
        let mut playlist = Playlist::default();
        playlist.push(&[1; 80]).unwrap();
        playlist.mark("in the mouth".to_owned()).unwrap();
        assert_eq!(taken(&mut playlist, 2).len(), 2);
        playlist.push(&[1; 800]).unwrap();
        playlist.mark("waiting".to_owned()).unwrap();
        assert_eq!(playlist.clear(), (0, names(&["in the mouth", "waiting"])));
        assert_eq!((playlist.turn(), playlist.take()), (1, None));
        assert_eq!(playlist.played(1), names(&[]), "it has been answered");
        playlist.push(&[2; 80]).unwrap();
        playlist.mark("after".to_owned()).unwrap();
        assert_eq!(taken(&mut playlist, 9), [Next::Sound(vec![2; 80]), Next::Mark(2)]);
    }

    #[test]
    fn the_first_sound_waits_for_a_little_more_and_not_for_long() {
        let mut playlist = Playlist::default();
        playlist.push(&[1; 160]).unwrap();
        assert_eq!(playlist.due(0), 0);
        playlist.push(&[1; 160]).unwrap();
        assert_eq!(playlist.due(0), AHEAD_PIECES);
        let mut short = Playlist::default();
        short.push(&[1; 160]).unwrap();
        assert_eq!((0..5).map(|_| short.due(0)).collect::<Vec<_>>(), [0, 0, 0, 0, AHEAD_PIECES]);
        let mut marked = Playlist::default();
        marked.push(&[1; 160]).unwrap();
        marked.mark("that was all".to_owned()).unwrap();
        assert_eq!(marked.due(0), AHEAD_PIECES);
    }

    #[test]
    fn a_mouth_that_is_full_enough_gets_nothing() {
        let mut playlist = Playlist::default();
        playlist.push(&[1; 8_000]).unwrap();
        assert_eq!([playlist.due(AHEAD_PIECES), playlist.due(AHEAD_PIECES - 2), playlist.due(40)], [0, 2, 0]);
    }

    #[test]
    fn a_bot_that_is_too_far_ahead_is_told_and_what_was_there_stays() {
        let mut playlist = Playlist::default();
        for _ in 0..KEPT_S {
            playlist.push(&[1; BYTES_PER_SECOND]).unwrap();
        }
        assert_eq!(playlist.push(&[2]), Err(Full));
        for n in 0..MARKS_MAX {
            playlist.mark(n.to_string()).unwrap();
        }
        assert_eq!(playlist.mark("one more".to_owned()), Err(Full));
        assert_eq!(playlist.sound.len(), KEPT_S * BYTES_PER_SECOND);
        assert_eq!(playlist.clear().1.len(), MARKS_MAX);
        assert_eq!(playlist.push(&[2]), Ok(()));
    }

    #[test]
    fn marks_whose_events_were_lost_are_answered_when_the_mouth_has_long_been_empty() {
        let mut playlist = Playlist::default();
        playlist.push(&[1; 80]).unwrap();
        playlist.mark("lost".to_owned()).unwrap();
        taken(&mut playlist, 2);
        assert!((0..1_000).all(|_| playlist.rested(1).is_empty()));
        assert!((1..DRY_TICKS).all(|_| playlist.rested(0).is_empty()));
        assert_eq!(playlist.rested(0), names(&["lost"]));
        assert_eq!(playlist.rested(0), names(&[]));
    }
}
