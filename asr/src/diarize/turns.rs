//! From voices every half second and speech every 10 ms to who spoke from when to when.
//!
//! Pure. Each moment of speech is as like each person as the pieces around it are; the likeliest course through
//! all moments, at a price for every change of speaker, says who spoke ([`course`]). An unknown voice is one of
//! those that may have: it is as likely at every moment, so it wins where nobody is like what is heard. Where two
//! speak at once, the other is whoever speaks before or after.

use media::{
    frame::EAR_HZ,
    time::{MediaTime, Span},
};

use super::{
    Hop, Turn, VoiceId,
    cluster::{Names, Piece, STRANGE, dot},
};
use crate::turn::features::HOP;

/// What a change of speaker costs, in the likeness of one hop: a tenth of likeness held for half a second.
const CHANGE_COST: f32 = 5.0;

/// A pause within somebody's turn: hops in which nobody speaks, a second at most.
const PAUSE_HOPS: usize = 100;

/// Turns begin and end in the breath around them: 250 ms, or half of what is between two turns.
const BREATH_HOPS: usize = 25;

/// How far from a moment of two voices the second is looked for: 3 s.
const SECOND_HOPS: usize = 300;

/// Nobody speaks.
const NOBODY: u8 = u8::MAX;

/// Who spoke when, by start. Those who are known have their own numbers; the others are numbered behind them, in the order
/// in which they first speak.
pub(super) fn turns(hops: &[Hop], pieces: &[Piece], people: &[Vec<f32>], names: &Names) -> Vec<Turn> {
    let spoken: Vec<usize> = (0..hops.len()).filter(|&at| hops[at].speech).collect();
    let unknown = people.len();
    let mut first = vec![NOBODY; hops.len()];
    for (&at, who) in spoken.iter().zip(course(&spoken, pieces, people)) {
        first[at] = who;
    }
    let second = seconds(hops, &first, unknown);

    let mut found: Vec<(usize, usize, usize)> = Vec::new();
    for who in 0..=unknown {
        let from = found.len();
        let speaks = |at: usize| usize::from(first[at]) == who || usize::from(second[at]) == who;
        for (start, end) in runs(hops.len(), speaks) {
            match found[from..].last_mut() {
                Some((_, before, _)) if is_pause(&first[*before..start]) => *before = end,
                _ => found.push((start, end, who)),
            }
        }
    }
    found.sort_unstable();
    numbered(&breathed(&found, hops.len()), unknown, names)
}

/// Who most likely speaks at each hop of speech: an index into the people, or their number for an unknown voice.
fn course(spoken: &[usize], pieces: &[Piece], people: &[Vec<f32>]) -> Vec<u8> {
    let states = people.len() + 1;
    let alike: Vec<Vec<f32>> = pieces
        .iter()
        .map(|piece| people.iter().map(|voice| dot(voice, &piece.voice)).chain([STRANGE]).collect())
        .collect();
    let mut score = vec![0.0_f32; states];
    // For each hop and state, the state before.
    let mut before: Vec<u8> = Vec::with_capacity(spoken.len() * states);
    let mut after = 0;
    for &at in spoken {
        while after < pieces.len() && pieces[after].at <= at {
            after += 1;
        }
        let best = most(&score);
        let changed = score[best] - CHANGE_COST;
        for (state, sum) in score.iter_mut().enumerate() {
            let stays = *sum >= changed;
            let from = if stays { state } else { best };
            before.push(from as u8);
            *sum = sum.max(changed) + likeness(state, at, after, pieces, &alike);
        }
        // Only differences count; sums over hours would lose them.
        let top = score.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        score.iter_mut().for_each(|sum| *sum -= top);
    }
    let mut state = most(&score);
    let mut course = vec![NOBODY; spoken.len()];
    for (slot, before) in course.iter_mut().zip(before.chunks(states)).rev() {
        *slot = state as u8;
        state = usize::from(before[state]);
    }
    course
}

/// How like a state the hop `at` is: between the pieces on either side. `after` is the first piece behind it.
fn likeness(state: usize, at: usize, after: usize, pieces: &[Piece], alike: &[Vec<f32>]) -> f32 {
    match (after.checked_sub(1), alike.get(after)) {
        (Some(before), Some(next)) => {
            let way = (at - pieces[before].at) as f32 / (pieces[after].at - pieces[before].at) as f32;
            alike[before][state] * (1.0 - way) + next[state] * way
        }
        (Some(last), None) => alike[last][state],
        (None, Some(next)) => next[state],
        // No piece at all, so no people: the only state is the unknown voice.
        (None, None) => STRANGE,
    }
}

/// The index of the largest, the first of equals.
fn most(scores: &[f32]) -> usize {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter().position(|&score| score >= best).unwrap_or(0)
}

/// Who else speaks where two do: the nearest in time of the people who is not the first.
fn seconds(hops: &[Hop], first: &[u8], unknown: usize) -> Vec<u8> {
    let mut second = vec![NOBODY; hops.len()];
    for at in (0..hops.len()).filter(|&at| hops[at].overlap) {
        let other =
            |near: usize| first.get(near).copied().filter(|&who| usize::from(who) < unknown && who != first[at]);
        let found = (1..SECOND_HOPS).find_map(|away| at.checked_sub(away).and_then(other).or_else(|| other(at + away)));
        second[at] = found.unwrap_or(NOBODY);
    }
    second
}

fn is_pause(between: &[u8]) -> bool {
    between.len() < PAUSE_HOPS && between.iter().all(|&who| who == NOBODY)
}

/// Stretches of hops in which something holds.
fn runs(hops: usize, holds: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in (0..hops).filter(|&at| holds(at)) {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

/// Lets every turn begin and end in the silence around it.
fn breathed(found: &[(usize, usize, usize)], hops: usize) -> Vec<(usize, usize, usize)> {
    let mut anyone = vec![false; hops];
    for &(start, end, _) in found {
        anyone[start..end].fill(true);
    }
    let breath = |free: usize, at_edge: bool| {
        if at_edge || free >= 2 * BREATH_HOPS { free.min(BREATH_HOPS) } else { free / 2 }
    };
    let longest = 2 * BREATH_HOPS;
    found
        .iter()
        .map(|&(start, end, who)| {
            let before = anyone[..start].iter().rev().take(longest).take_while(|&&speaks| !speaks).count();
            let after = anyone[end..].iter().take(longest).take_while(|&&speaks| !speaks).count();
            (start - breath(before, before == start), end + breath(after, end + after == hops), who)
        })
        .collect()
}

/// Gives the people their numbers and the turns their times.
fn numbered(found: &[(usize, usize, usize)], unknown: usize, names: &Names) -> Vec<Turn> {
    let mut order: Vec<usize> = Vec::new();
    let time = |hop: usize| MediaTime::from_samples((hop * HOP) as u64, EAR_HZ);
    found
        .iter()
        .map(|&(start, end, who)| {
            let voice = (who != unknown).then(|| {
                let number = names.of(who).unwrap_or_else(|| {
                    let before = order.iter().position(|&other| other == who);
                    let place = before.unwrap_or_else(|| {
                        order.push(who);
                        order.len() - 1
                    });
                    names.known() + place
                });
                VoiceId(number as u16)
            });
            Turn { voice, span: Span::new(time(start), time(end)) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three people who are quite unlike, and one whom nobody knows.
    fn voice(who: usize) -> Vec<f32> {
        (0..4).map(|part| f32::from(part == who)).collect()
    }

    /// A piece every half second, by whoever `who` says speaks then.
    fn pieces(hops: usize, who: impl Fn(usize) -> usize) -> Vec<Piece> {
        (25..hops).step_by(50).map(|at| Piece { at, hops: 160, voice: voice(who(at)) }).collect()
    }

    fn told(hops: &[Hop], pieces: &[Piece]) -> Vec<(Option<u16>, u64, u64)> {
        let people: Vec<Vec<f32>> = (0..3).map(voice).collect();
        turns(hops, pieces, &people, &Names::default())
            .iter()
            .map(|turn| (turn.voice.map(|voice| voice.0), turn.span.start.as_millis(), turn.span.end.as_millis()))
            .collect()
    }

    fn speech(hops: usize, silent: impl Fn(usize) -> bool) -> Vec<Hop> {
        (0..hops).map(|at| Hop { speech: !silent(at), overlap: false }).collect()
    }

    #[test]
    fn turns_change_where_the_voice_does() {
        // Person 2 speaks for 5 s, then person 0: they are numbered as they speak.
        let turns = told(&speech(1_000, |_| false), &pieces(1_000, |at| if at < 500 { 2 } else { 0 }));
        let [(Some(0), 0, changed), (Some(1), begins, 10_000)] = turns[..] else { panic!("{turns:?}") };
        assert!(changed == begins && changed.abs_diff(5_000) < 300, "{turns:?}");
    }

    #[test]
    fn a_piece_that_is_off_changes_no_speaker() {
        // Half a second like a second person is half a piece of noise.
        let mut pieces = pieces(1_000, |_| 0);
        pieces[10].voice = vec![0.66, 0.74, 0.0, 0.0];
        assert_eq!(told(&speech(1_000, |_| false), &pieces), [(Some(0), 0, 10_000)]);
    }

    #[test]
    fn whom_nobody_is_like_is_unknown() {
        let turns = told(&speech(1_000, |_| false), &pieces(1_000, |at| if at < 500 { 0 } else { 3 }));
        assert_eq!(turns.iter().map(|turn| turn.0).collect::<Vec<_>>(), [Some(0), None]);
    }

    #[test]
    fn a_short_pause_belongs_to_the_turn_and_a_long_one_ends_it() {
        let pause = |from: usize, until: usize| move |at: usize| (from..until).contains(&at);
        let one = |hops: &[Hop]| told(hops, &pieces(1_000, |_| 0));
        assert_eq!(one(&speech(1_000, pause(400, 499))), [(Some(0), 0, 10_000)]);
        // The breath around: a quarter of a second.
        assert_eq!(one(&speech(1_000, pause(400, 600))), [(Some(0), 0, 4_250), (Some(0), 5_750, 10_000)]);
    }

    #[test]
    fn two_who_speak_at_once_both_have_a_turn() {
        let mut hops = speech(1_000, |_| false);
        hops[400..470].iter_mut().for_each(|hop| hop.overlap = true);
        let turns = told(&hops, &pieces(1_000, |at| if at < 500 { 0 } else { 1 }));
        assert_eq!(turns.iter().map(|turn| turn.0).collect::<Vec<_>>(), [Some(0), Some(1), Some(1)]);
        assert_eq!((turns[1].1, turns[1].2), (4_000, 4_700));
    }

    #[test]
    fn breath_between_two_turns_is_shared() {
        let turns =
            told(&speech(1_000, |at| (490..510).contains(&at)), &pieces(1_000, |at| if at < 500 { 0 } else { 1 }));
        assert_eq!(turns, [(Some(0), 0, 5_000), (Some(1), 5_000, 10_000)]);
    }

    #[test]
    fn speech_without_any_voice_is_unknown_and_silence_is_nothing() {
        let unknown = turns(&speech(300, |_| false), &[], &[], &Names::default());
        assert!(unknown.len() == 1 && unknown[0].voice.is_none(), "{unknown:?}");
        assert!(turns(&speech(300, |_| true), &[], &[], &Names::default()).is_empty());
        assert!(turns(&[], &[], &[], &Names::default()).is_empty());
    }
}
